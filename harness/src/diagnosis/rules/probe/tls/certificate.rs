//! Certificates that are not trusted.

use super::{Look, explained, failing, further, of_this_machine, told};
use crate::diagnosis::rules::{Found, finding, hypothesis, link, refuted};
use crate::diagnosis::view::View;
use crate::evidence::probed::tls::span;
use crate::evidence::probed::{Certificate, Trust, TrustProblem};
use crate::evidence::{Check, Confidence, EvidenceId, Finding, Hypothesis, HypothesisState};
use std::net::SocketAddr;

/// Clocks that differ by less agree.
const CLOCKS_AGREE_S: u64 = 300;

/// The same bad certificate at one or several addresses.
struct Bad<'a> {
    first: Look<'a>,
    own: &'a Certificate,
    trust: &'a Trust,
    addresses: Vec<SocketAddr>,
    cited: Vec<EvidenceId>,
}

fn bad<'a>(view: &mut View<'a>, checks: &[Check], problems: &[TrustProblem]) -> Option<Bad<'a>> {
    let mut of_interest = failing(view, checks, "tls.certificate");
    of_interest.retain(|look| {
        look.tls.trust.as_ref().and_then(|trust| trust.problem).is_some_and(|problem| problems.contains(&problem))
    });
    let first = *of_interest.first()?;
    let own = first.tls.chain.first()?;
    let trust = first.tls.trust.as_ref()?;
    of_interest.retain(|look| look.tls.chain.first().is_some_and(|one| one.sha256 == own.sha256));
    let cited = of_interest.iter().map(|look| view.cite(look.line)).collect();
    Some(Bad { first, own, trust, addresses: of_interest.iter().map(|look| look.address).collect(), cited })
}

impl Bad<'_> {
    fn all(&self) -> String {
        told(&self.addresses)
    }

    /// The finding with one statement about all its addresses.
    fn found(
        &self,
        checks: &[Check],
        (code, confidence): (&str, Confidence),
        (summary, statement): (String, String),
        hypotheses: Vec<Hypothesis>,
    ) -> Option<Found> {
        let chain = vec![link(statement, &self.cited)?];
        let finding = Finding { confidence, ..finding(code, summary, chain, hypotheses)? };
        Some((finding, explained(checks, &self.addresses)))
    }
}

/// By how many seconds the peer's clock is ahead, and where that is said.
fn clock_ahead(view: &View<'_>, address: SocketAddr) -> Option<(usize, i64)> {
    let ahead = |look: Look<'_>| Some((look.line, look.tls.trust.as_ref()?.clock_ahead_s?));
    further(view, address).into_iter().find_map(ahead)
}

/// `time.clock_skew`: by the peer's clock the certificate is good, by ours it is not.
pub(super) fn clock(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let bad = bad(view, checks, &[TrustProblem::Expired, TrustProblem::NotYetValid])?;
    let address = bad.first.address;
    let (line, ahead) = clock_ahead(view, address).filter(|(_, ahead)| ahead.unsigned_abs() > CLOCKS_AGREE_S)?;
    let at = &bad.trust.judged_at;
    let good_there = |one: &Certificate| {
        one.begins_in_s(at).is_some_and(|seconds| seconds <= ahead)
            && one.ends_in_s(at).is_none_or(|seconds| seconds > ahead)
    };
    if !bad.first.tls.chain.iter().all(good_there) {
        return None;
    }
    let by = span(ahead);
    let way = if ahead > 0 { "behind" } else { "ahead of" };
    let summary = format!(
        "the clock of this machine ({at}) is {by} {way} that of {}, by which the certificate {} is valid: one of the two is wrong",
        bad.all(),
        bad.own.called()
    );
    let valid = format!("by the clock here, {at}, the certificate is not valid: {}", bad.trust.words);
    let cited = view.cite(line);
    let theirs = "the clock of the server is wrong, and the certificate is not valid";
    let by_a_third = "a third clock, or the certificate of another server";
    let open = hypothesis(HypothesisState::Open, theirs, by_a_third, vec![cited.clone()]);
    let kind = ("time.clock_skew", Confidence::Medium);
    let (mut finding, explained) = bad.found(checks, kind, (summary, valid), vec![open])?;
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    finding.chain.push(link(format!("the Date of {address} is {by} {direction} the clock here"), &[cited])?);
    Some((finding, explained))
}

/// Whether the clock it was judged by is right.
fn clock_doubt(view: &mut View<'_>, bad: &Bad<'_>) -> (Confidence, Vec<Hypothesis>) {
    let wrong = "the clock of this machine is wrong";
    let agrees = clock_ahead(view, bad.first.address).filter(|(_, ahead)| ahead.unsigned_abs() <= CLOCKS_AGREE_S);
    let here = of_this_machine(view, bad.first.address);
    match (agrees, here) {
        (Some((line, _)), None) => {
            let cited = vec![view.cite(line)];
            (Confidence::High, vec![refuted(wrong, "the Date of the server's answer agrees with it", cited)])
        }
        (_, Some(line)) => {
            let cited = vec![view.cite(line)];
            let by = "a clock of another machine: the server runs on this one";
            (Confidence::Medium, vec![hypothesis(HypothesisState::Open, wrong, by, cited)])
        }
        (None, None) => {
            let by = "a second clock: the server told none";
            (Confidence::Medium, vec![hypothesis(HypothesisState::Open, wrong, by, bad.cited.clone())])
        }
    }
}

/// `tls.certificate_expired`.
pub(super) fn expired(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let bad = bad(view, checks, &[TrustProblem::Expired])?;
    let at = &bad.trust.judged_at;
    let ended = bad.first.tls.chain.iter().find(|one| one.ends_in_s(at).is_some_and(|seconds| seconds < 0))?;
    let by = span(ended.ends_in_s(at)?);
    let summary = format!("{} expired {by} ago, on {}", which(&bad, ended), ended.not_after);
    let statement = format!("{} ended on {}, and the clock here says {at}", ended.called(), ended.not_after);
    let (confidence, hypotheses) = clock_doubt(view, &bad);
    bad.found(checks, ("tls.certificate_expired", confidence), (summary, statement), hypotheses)
}

/// `tls.certificate_not_yet_valid`.
pub(super) fn not_yet_valid(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let bad = bad(view, checks, &[TrustProblem::NotYetValid])?;
    let at = &bad.trust.judged_at;
    let begins = bad.first.tls.chain.iter().find(|one| one.begins_in_s(at).is_some_and(|seconds| seconds > 0))?;
    let by = span(begins.begins_in_s(at)?);
    let summary = format!("{} is not valid yet: it begins in {by}, on {}", which(&bad, begins), begins.not_before);
    let statement = format!("{} begins on {}, and the clock here says {at}", begins.called(), begins.not_before);
    let (confidence, hypotheses) = clock_doubt(view, &bad);
    bad.found(checks, ("tls.certificate_not_yet_valid", confidence), (summary, statement), hypotheses)
}

/// The server's own certificate, or one that came with it.
fn which(bad: &Bad<'_>, one: &Certificate) -> String {
    if one.sha256 == bad.own.sha256 {
        format!("the certificate of {} ({})", bad.all(), one.called())
    } else {
        format!("a certificate that {} sends with its own ({})", bad.all(), one.called())
    }
}

/// `tls.name_mismatch`, or `tls.server_name_not_sent` if another certificate comes with a server name, and is good.
pub(super) fn name(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let bad = bad(view, checks, &[TrustProblem::Name])?;
    let host = view.evidence.plan.probe.as_ref().map(|plan| plan.host.clone())?;
    let names = bad.own.told_names();
    let statement = format!("the certificate of {} ({}) is for {names}, not for {host}", bad.all(), bad.own.called());
    let not_sent = "the server shows another certificate if it gets a server name";
    if let Some(sent) = &bad.first.tls.server_name {
        let by = format!("the server name {sent} was sent");
        let hypotheses = vec![refuted(not_sent, &by, bad.cited.clone())];
        let kind = ("tls.name_mismatch", Confidence::High);
        return bad.found(checks, kind, (statement.clone(), statement), hypotheses);
    }
    let by_name = further(view, bad.first.address).into_iter().find_map(|look| {
        let good = look.tls.trust.as_ref().is_some_and(|trust| trust.good);
        Some((look, look.tls.server_name.as_ref()?)).filter(|_| good)
    });
    let Some((look, sent)) = by_name else {
        let by = "a probe by the site's name, with --resolve NAME:PORT:ADDRESS";
        let open = vec![hypothesis(HypothesisState::Open, not_sent, by, bad.cited.clone())];
        let kind = ("tls.name_mismatch", Confidence::Medium);
        return bad.found(checks, kind, (statement.clone(), statement), open);
    };
    let cited = view.cite(look.line);
    let other = look.tls.chain.first().is_some_and(|one| one.sha256 != bad.own.sha256);
    let summary = format!("{statement}: by the name {sent} it is good, so use the name instead of the address");
    if !other {
        let by = format!("the same certificate comes with the server name {sent}");
        let hypotheses = vec![refuted(not_sent, &by, vec![cited])];
        return bad.found(checks, ("tls.name_mismatch", Confidence::High), (summary, statement), hypotheses);
    }
    let kind = ("tls.server_name_not_sent", Confidence::High);
    let (mut finding, explained) = bad.found(checks, kind, (summary, statement), vec![])?;
    finding.chain.push(link(format!("with the server name {sent} a good certificate comes"), &[cited])?);
    Some((finding, explained))
}

/// `tls.intermediate_missing`.
pub(super) fn intermediate(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let bad = bad(view, checks, &[TrustProblem::IntermediateMissing])?;
    // who signs directly with a root that nobody knows does not say where that can be had
    let url = bad.own.issuer_url.as_ref()?;
    let summary = format!(
        "{} sends only its own certificate ({}) and not that of its issuer, {}: configure the full chain",
        bad.all(),
        bad.own.called(),
        bad.own.issuer
    );
    let statement =
        format!("the issuer {} was not sent and is not among the trusted ({})", bad.own.issuer, bad.trust.authorities);
    let root = "the issuer is a root of its own that this machine does not trust";
    let open =
        hypothesis(HypothesisState::Open, root, format!("the issuer's certificate, at {url}"), bad.cited.clone());
    bad.found(checks, ("tls.intermediate_missing", Confidence::Medium), (summary, statement), vec![open])
}

/// `tls.unknown_issuer`.
pub(super) fn unknown_issuer(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let problems = [TrustProblem::UnknownIssuer, TrustProblem::SelfSigned, TrustProblem::IntermediateMissing];
    let bad = bad(view, checks, &problems)?;
    let authorities = &bad.trust.authorities;
    let (summary, statement) = if bad.trust.problem == Some(TrustProblem::SelfSigned) {
        (
            format!(
                "the certificate of {} ({}) has signed itself, and nobody here trusts it (trusted: {authorities})",
                bad.all(),
                bad.own.called()
            ),
            format!("{} names itself as its issuer", bad.own.called()),
        )
    } else {
        let issuer = &bad.own.issuer;
        (
            format!(
                "the certificate of {} ({}) is signed by {issuer}, which leads to nobody who is trusted here (trusted: {authorities})",
                bad.all(),
                bad.own.called()
            ),
            format!("no path leads from {} to a trusted authority: {}", bad.own.called(), bad.trust.words),
        )
    };
    let missing = "an intermediate certificate is missing";
    let (confidence, hypotheses) = if bad.trust.problem == Some(TrustProblem::IntermediateMissing) {
        let by = "the certificate of its issuer, as --ca FILE";
        (Confidence::Medium, vec![hypothesis(HypothesisState::Open, missing, by, bad.cited.clone())])
    } else {
        let by = "the issuer's certificate was sent, or it is the same";
        (Confidence::High, vec![refuted(missing, by, bad.cited.clone())])
    };
    bad.found(checks, ("tls.unknown_issuer", confidence), (summary, statement), hypotheses)
}
