//! Handshake and certificates.

use crate::diagnosis::checks::CheckDef;
use crate::diagnosis::view::{View, draft};
use crate::evidence::probed::tls::span;
use crate::evidence::probed::{Certificate, Saw, Step, Tls, Trust};
use crate::evidence::{Check, EvidenceId, Layer, Side, Status};
use std::net::SocketAddr;

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef { id: "tls.handshake", about: "each address completes a TLS handshake", run: handshake },
    CheckDef { id: "tls.certificate", about: "each certificate is trusted, and will be for a while", run: certificate },
];

/// Who has less time left should look.
const SOON_S: i64 = 14 * 86_400;
/// Shorter RSA keys are weak (NIST SP 800-131A).
const LEAST_RSA_BITS: u32 = 2_048;

/// First looks, and those that came after them.
fn looks<'a>(view: &View<'a>, second: bool) -> Vec<(usize, SocketAddr, &'a Step, &'a Tls)> {
    let found = view.steps(|step, saw| match saw {
        Saw::Tls(tls) if tls.second_look == second => Some((step.address?, step, tls)),
        _ => None,
    });
    found.into_iter().map(|(line, (address, step, tls))| (line, address, step, tls)).collect()
}

fn handshake(view: &mut View<'_>) -> Vec<Check> {
    let (first, second) = (looks(view, false), looks(view, true));
    let check = |(line, address, step, tls): (usize, SocketAddr, &Step, &Tls)| {
        let further = second.iter().filter(|(_, a, _, _)| *a == address);
        let mut ids = vec![view.cite(line)];
        let mut more = String::new();
        for (line, _, _, tls2) in further {
            if let Some(told) = further_words(tls, tls2) {
                ids.push(view.cite(*line));
                more = format!("{more}; {told}");
            }
        }
        let draft = draft(format!("tls.handshake/{address}"), Layer::Tls, Side::Server, format!("tls {address}"));
        if let Some(failure) = &tls.failure {
            return draft.fail(
                format!("{failure}{more}"),
                ids,
                "compare what the server speaks with what is asked of it",
            );
        }
        let agreed = [&tls.version, &tls.cipher, &tls.key_exchange].into_iter().flatten();
        let agreed: Vec<&str> = agreed.map(String::as_str).chain(tls.protocol.as_deref()).collect();
        let told = format!("{}, {:.1} ms{more}", agreed.join(", "), figure(step.took_us));
        match unoffered(tls) {
            Some(protocol) => {
                let told = format!("the server chose {protocol}, which was not offered: {told}");
                draft.fail(told, ids, "allow http/1.1 (ALPN) in the server's configuration")
            }
            None => draft.pass(told, ids),
        }
    };
    first.into_iter().map(check).collect()
}

fn figure(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// The protocol that was chosen without having been offered.
fn unoffered(tls: &Tls) -> Option<&str> {
    tls.protocol.as_deref().filter(|chosen| !tls.offered.iter().any(|offered| offered == chosen))
}

/// What a further look adds.
fn further_words(first: &Tls, second: &Tls) -> Option<String> {
    if let Some(old) = &second.old {
        return Some(match (&old.version, &old.cipher, &old.alert, &old.failure) {
            (Some(version), Some(cipher), _, _) => format!("to a hello of 2008 it says {version} with {cipher}"),
            (_, _, Some(alert), _) => format!("to a hello of 2008 it says {} (alert {})", alert.name, alert.number),
            (_, _, _, Some(failure)) => format!("a hello of 2008 does no better: {failure}"),
            _ => return None,
        });
    }
    if first.server_name.is_none() || second.server_name.is_some() {
        return None;
    }
    let (ours, theirs) = (first.chain.first(), second.chain.first());
    match (&second.failure, ours, theirs) {
        (Some(failure), _, _) => Some(format!("without a server name: {failure}")),
        (None, Some(ours), Some(theirs)) if ours.sha256 != theirs.sha256 => {
            Some(format!("without a server name another certificate comes, {}", theirs.called()))
        }
        _ => None,
    }
}

fn certificate(view: &mut View<'_>) -> Vec<Check> {
    let insecure = view.evidence.plan.probe.as_ref().is_some_and(|plan| plan.insecure);
    let mut checks = Vec::new();
    for (line, address, _, tls) in looks(view, false) {
        let (Some(own), Some(trust)) = (tls.chain.first(), &tls.trust) else { continue };
        let ids = vec![view.cite(line)];
        checks.push(one_certificate(address, (own, trust), insecure, ids));
    }
    checks
}

fn one_certificate(
    address: SocketAddr,
    (own, trust): (&Certificate, &Trust),
    insecure: bool,
    ids: Vec<EvidenceId>,
) -> Check {
    let title = format!("certificate {address}");
    let draft = draft(format!("tls.certificate/{address}"), Layer::Tls, Side::Server, title);
    let what = match &own.unreadable {
        Some(why) => why.clone(),
        None => format!("{} for {}, {}", own.called(), own.told_names(), own.key),
    };
    if !trust.good {
        let told = format!("{what}: {} (trusted: {})", trust.words, trust.authorities);
        return if insecure {
            let remedy = "works only because -k was given: other clients will refuse it";
            Check { remedy: Some(remedy.to_owned()), ..draft.with(Status::Warn, told, ids) }
        } else {
            draft.fail(
                told,
                ids,
                "serve a certificate that is trusted for this name; -k looks at the rest in spite of it",
            )
        };
    }
    let ends = own.ends_in_s(&trust.judged_at);
    let until = ends.map_or_else(
        || format!("ends {}", own.not_after),
        |seconds| format!("ends in {}, on {}", span(seconds), own.not_after),
    );
    let told = format!("{what}, {until}");
    if ends.is_some_and(|seconds| seconds < SOON_S) {
        draft.warn(told, ids, "renew it, and reload the server")
    } else if let Some(bits) = own.rsa_bits().filter(|bits| *bits < LEAST_RSA_BITS) {
        draft.warn(format!("{told}; an RSA key of {bits} bits is weak"), ids, "make a new key: ECDSA P-256 or RSA 2048")
    } else if own.signature.to_ascii_lowercase().contains("sha1") {
        draft.warn(format!("{told}; it is signed with {}", own.signature), ids, "issue it again, signed with SHA-256")
    } else {
        draft.pass(told, ids)
    }
}
