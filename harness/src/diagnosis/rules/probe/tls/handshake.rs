//! Handshakes that end, or do not come to an end.

use super::{Look, explained, failing, further, of_this_machine, told};
use crate::diagnosis::rules::{Found, finding, hypothesis, link, refuted};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::View;
use crate::evidence::probed::{How, Saw};
use crate::evidence::{Check, Confidence, EvidenceId, Finding, Hypothesis, HypothesisState, ProcessState};
use std::net::SocketAddr;

/// `handshake_failure`, `protocol_version`, `insufficient_security`.
const NO_AGREEMENT: [u8; 3] = [40, 70, 71];
/// `unrecognized_name`.
const UNRECOGNIZED_NAME: u8 = 112;
/// `no_application_protocol`.
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// What one rule says of its looks: the first speaks for all.
struct Told<'a> {
    code: &'a str,
    summary: String,
    statement: String,
    confidence: Confidence,
    hypotheses: Vec<Hypothesis>,
}

fn found(view: &mut View<'_>, checks: &[Check], looks: &[Look<'_>], told: Told<'_>) -> Option<Found> {
    let cited: Vec<EvidenceId> = looks.iter().map(|look| view.cite(look.line)).collect();
    let chain = vec![link(told.statement, &cited)?];
    let addresses = addresses(looks);
    let finding = Finding { confidence: told.confidence, ..finding(told.code, told.summary, chain, told.hypotheses)? };
    Some((finding, explained(checks, &addresses)))
}

fn addresses(looks: &[Look<'_>]) -> Vec<SocketAddr> {
    looks.iter().map(|look| look.address).collect()
}

fn alert(look: &Look<'_>) -> Option<u8> {
    look.tls.alert.as_ref().map(|alert| alert.number)
}

fn failure(look: &Look<'_>) -> String {
    look.tls.failure.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The failed handshakes that a rule wants.
fn wanted<'a>(view: &View<'a>, checks: &[Check], wants: impl Fn(&Look<'_>) -> bool) -> Vec<Look<'a>> {
    failing(view, checks, "tls.handshake").into_iter().filter(wants).collect()
}

/// `tls.client_certificate_required`.
pub(super) fn client_certificate(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let hung_up = |look: &Look<'_>| {
        look.tls.failure.as_ref().is_some_and(|f| matches!(f.how, How::Closed | How::Reset | How::Said))
    };
    let looks = wanted(view, checks, |look| look.tls.asks_certificate && hung_up(look));
    let first = looks.first()?;
    let all = told(&addresses(&looks));
    let takes = match first.tls.asks_for_those_of.as_slice() {
        [] => String::new(),
        names => format!(", of {},", and(names)),
    };
    let why = failure(first);
    let (summary, statement) = if first.tls.sent_certificate {
        (
            format!("{all} does not accept the certificate of --client-cert: {why}"),
            format!("{all} asked for a certificate{takes} got ours, and ended the connection: {why}"),
        )
    } else {
        (
            format!("{all} wants a certificate of the client{takes} and none was given: {why}: use --client-cert FILE"),
            format!("{all} asked for a certificate, got none, and ended the connection: {why}"),
        )
    };
    let cited = vec![view.cite(first.line)];
    let settled = first.tls.alert.is_some();
    let other = "it ended the connection for another reason";
    let hypotheses = if settled {
        vec![refuted("no version or cipher in common", "both had agreed before it asked for a certificate", cited)]
    } else {
        vec![hypothesis(HypothesisState::Open, other, "the same probe with --client-cert FILE", cited)]
    };
    let confidence = if settled { Confidence::High } else { Confidence::Medium };
    let code = "tls.client_certificate_required";
    found(view, checks, &looks, Told { code, summary, statement, confidence, hypotheses })
}

/// `tls.alpn_mismatch`.
pub(super) fn protocol(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let unoffered = |look: &Look<'_>| {
        look.tls.failure.is_none() && look.tls.protocol.as_ref().is_some_and(|p| !look.tls.offered.contains(p))
    };
    let looks = wanted(view, checks, |look| alert(look) == Some(NO_APPLICATION_PROTOCOL) || unoffered(look));
    let first = looks.first()?;
    let all = told(&addresses(&looks));
    let offered = and(&first.tls.offered);
    let statement = match &first.tls.protocol {
        Some(chosen) => format!("{all} was offered {offered} and chose {chosen}"),
        None => format!("{all} was offered {offered} and takes none of that: {}", failure(first)),
    };
    let summary = format!("{statement}; a WebSocket needs http/1.1");
    let code = "tls.alpn_mismatch";
    found(view, checks, &looks, Told { code, summary, statement, confidence: Confidence::High, hypotheses: vec![] })
}

/// `tls.name_mismatch` or `tls.server_name_not_sent`, by the alert `unrecognized_name`.
pub(super) fn name_refused(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let looks = wanted(view, checks, |look| alert(look) == Some(UNRECOGNIZED_NAME));
    let first = looks.first()?;
    let all = told(&addresses(&looks));
    let (code, summary) = match &first.tls.server_name {
        Some(name) => ("tls.name_mismatch", format!("{all} does not know the name {name}: {}", failure(first))),
        None => (
            "tls.server_name_not_sent",
            format!("{all} wants a server name, and for an address none is sent: use its name instead of the address"),
        ),
    };
    let statement = format!("{all}: {}", failure(first));
    found(view, checks, &looks, Told { code, summary, statement, confidence: Confidence::High, hypotheses: vec![] })
}

/// `tls.version_or_cipher_mismatch`.
pub(super) fn nothing_in_common(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let old_of = |view: &View<'_>, look: &Look<'_>| {
        let old = |further: Look<'_>| {
            let old = further.tls.old.as_ref()?;
            Some((further.line, old.version.clone()?, old.cipher.clone()?))
        };
        further(view, look.address).into_iter().find_map(old)
    };
    let refused = |look: &Look<'_>| {
        let said_no = alert(look).is_some_and(|number| NO_AGREEMENT.contains(&number));
        !look.tls.asks_certificate && (look.tls.disagreed || said_no || old_of(view, look).is_some())
    };
    let looks = wanted(view, checks, refused);
    let first = looks.first()?;
    let all = told(&addresses(&looks));
    let why = failure(first);
    let code = "tls.version_or_cipher_mismatch";
    let statement = format!("{all} refuses a hello of TLS 1.2 and 1.3: {why}");
    if let Some((line, version, cipher)) = old_of(view, first) {
        let summary = format!(
            "{all} agrees to nothing newer than {version} with {cipher}: clients of today need TLS 1.2 with ECDHE, or TLS 1.3"
        );
        let told = Told { code, summary, statement, confidence: Confidence::High, hypotheses: vec![] };
        let (mut finding, explained) = found(view, checks, &looks, told)?;
        let cited = view.cite(line);
        finding.chain.push(link(format!("to a hello of 2008 it answers with {version} and {cipher}"), &[cited])?);
        return Some((finding, explained));
    }
    let settled = first.tls.disagreed || alert(first).is_some_and(|number| number != NO_AGREEMENT[0]);
    let other = "it wants something else that the hello lacks, for instance another server name";
    let hypotheses = if settled {
        vec![]
    } else {
        let cited = vec![view.cite(first.line)];
        vec![hypothesis(HypothesisState::Open, other, "the server's log, or its configuration", cited)]
    };
    let confidence = if settled { Confidence::High } else { Confidence::Medium };
    let summary = format!("{all} finds no version or cipher of TLS in common with this probe (TLS 1.2, 1.3): {why}");
    found(view, checks, &looks, Told { code, summary, statement, confidence, hypotheses })
}

/// `tls.handshake_stalled`.
pub(super) fn stalled(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let late =
        |look: &Look<'_>| look.tls.failure.as_ref().is_some_and(|f| matches!(f.how, How::TimedOut | How::TooSlow));
    let looks = wanted(view, checks, late);
    let first = looks.first()?;
    let all = told(&addresses(&looks));
    let why = failure(first);
    let summary = format!("{all} accepts connections and does not shake hands: {why}");
    let statement = format!("a ClientHello was sent to {all}: {why}");
    let cited = view.cite(first.line);
    let stopped = if let Some((line, pid)) = awake(view, first.address) {
        let evidence = vec![view.cite(line)];
        refuted("the process is stopped", &format!("the state of pid {pid}, which listens there"), evidence)
    } else {
        let by = "the state of the process, on the server's machine";
        hypothesis(HypothesisState::Open, "the process is stopped", by, vec![cited.clone()])
    };
    let lost = "big packets of the answer get lost on the way";
    let path = match of_this_machine(view, first.address) {
        Some(line) => refuted(lost, "the address is of this machine", vec![view.cite(line)]),
        None => hypothesis(HypothesisState::Open, lost, "a probe from the server's own machine", vec![cited]),
    };
    let hypotheses = vec![stopped, path];
    let settled = hypotheses.iter().all(|one| one.state == HypothesisState::Refuted);
    let confidence = if settled { Confidence::High } else { Confidence::Medium };
    let code = "tls.handshake_stalled";
    found(view, checks, &looks, Told { code, summary, statement, confidence, hypotheses })
}

/// A process that listens there and is not stopped.
fn awake(view: &View<'_>, address: SocketAddr) -> Option<(usize, u32)> {
    let behind = view.steps(|_, saw| match saw {
        Saw::Behind(behind) if behind.port == address.port() => Some(behind),
        _ => None,
    });
    behind.into_iter().find_map(|(line, behind)| {
        let owners = behind.listeners.iter().filter(|l| l.covers && l.address.is_ipv4() == address.is_ipv4());
        let runs = |state: &ProcessState| !matches!(state.state.as_str(), "T" | "t" | "Z" | "X");
        let mut awake = owners.flat_map(|l| &l.owners).filter(|owner| owner.state.as_ref().is_some_and(runs));
        awake.next().map(|owner| (line, owner.pid))
    })
}
