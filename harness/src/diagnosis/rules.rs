//! The rules: each names one cause from checks and evidence. A const table; what a rule explains is marked `caused_by`.
//!
//! To add one: an entry in [`crate::cause::CAUSES`], a function here, a line in [`RULES`], evidence in a test.

use super::view::{SERVER, View};
use crate::cause::by_code;
use crate::evidence::{
    Check, Confidence, EvidenceId, Finding, Fix, FixKind, Hypothesis, HypothesisState, Link, Observation, Status,
};
use sidetone::event::Event;

/// Finds one cause, and says by their ids which checks it explains.
type Rule = fn(&mut View<'_>, &[Check]) -> Option<(Finding, Vec<String>)>;

/// In the order of layers: a lower one explains a higher one.
const RULES: &[Rule] = &[contradiction, leak, echo, silence, no_pictures];

/// Applies every rule; marks the checks that are explained.
pub fn find(view: &mut View<'_>, checks: &mut [Check]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in RULES {
        let open: Vec<Check> = checks.iter().filter(|c| c.caused_by.is_none()).cloned().collect();
        let Some((finding, explained)) = rule(view, &open) else { continue };
        for check in checks.iter_mut().filter(|c| explained.contains(&c.id)) {
            check.caused_by = Some(finding.cause.clone());
        }
        findings.push(finding);
    }
    findings
}

fn failed<'c>(checks: &'c [Check], prefix: &str) -> Vec<&'c Check> {
    checks.iter().filter(|c| c.status == Status::Fail && c.id.starts_with(prefix)).collect()
}

fn ids(checks: &[&Check]) -> Vec<String> {
    checks.iter().map(|c| c.id.clone()).collect()
}

fn finding(code: &str, summary: String, chain: Vec<Link>, hypotheses: Vec<Hypothesis>) -> Option<Finding> {
    let cause = by_code(code)?;
    let fixes = vec![Fix { kind: FixKind::Safe, text: cause.remedy.to_owned() }];
    let (cause, layer) = (cause.code.to_owned(), cause.layer);
    Some(Finding { cause, layer, confidence: Confidence::High, summary, chain, hypotheses, fixes })
}

fn link(statement: impl Into<String>, evidence: &[EvidenceId]) -> Option<Link> {
    let (first, more) = evidence.split_first()?;
    Some(Link::new(statement, first.clone(), more.iter().cloned()))
}

fn refuted(statement: &str, decided_by: &str, evidence: Vec<EvidenceId>) -> Hypothesis {
    Hypothesis {
        statement: statement.to_owned(),
        state: HypothesisState::Refuted,
        decided_by: decided_by.to_owned(),
        evidence,
    }
}

/// What the server got of each speaker, by its own log at the end of the session.
fn received(view: &mut View<'_>) -> (u64, u64, Vec<EvidenceId>) {
    let left = view.events(SERVER, |e| match e {
        Event::SessionLeft { inbound, pictures_received, .. } => Some((inbound.packets_received, *pictures_received)),
        _ => None,
    });
    let (packets, pictures) = left.iter().fold((0, 0), |sum, (_, _, p)| (sum.0 + p.0, sum.1 + p.1));
    let cited = left.iter().filter(|(_, _, p)| p.0 + p.1 > 0).map(|(log, line, _)| view.cite_log(log, line)).collect();
    (packets, pictures, cited)
}

fn contradiction(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let log = failed(checks, "bind.log_agrees").first().copied()?;
    let kernel = failed(checks, "bind.kernel/");
    // one reader alone could be blind; both deny it, and both passed their self-test
    let denied = kernel.len() == 2;
    let mut explained = ids(&kernel);
    explained.push(log.id.clone());
    explained.extend(ids(&failed(checks, "tcp.connect")));
    explained.extend(ids(&failed(checks, "session.hello")));
    explained.extend(ids(&failed(checks, "bind.asked")));
    let mut chain = vec![link(log.message.clone(), &log.evidence)?];
    if let Some(kernel) = kernel.first() {
        chain.push(link("netlink and /proc both deny it, and both see the harness's own socket", &kernel.evidence)?);
    }
    let mut finding = finding("log.contradicts_observation", log.message.clone(), chain, vec![])?;
    finding.confidence = if denied { Confidence::High } else { Confidence::Medium };
    let _ = view;
    Some((finding, explained))
}

fn leak(_: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let leak = failed(checks, "resource.descriptors").first().copied()?;
    let chain = vec![link(leak.message.clone(), &leak.evidence)?];
    let summary = format!("the server leaks descriptors: {}", leak.message);
    Some((finding("resource.fd_limit", summary, chain, vec![])?, vec![leak.id.clone()]))
}

fn echo(_: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let hearing = failed(checks, "media.hears/");
    let selves: Vec<_> = hearing.iter().copied().filter(|c| c.message.contains("hears itself")).collect();
    let first = selves.first()?;
    let chain: Option<Vec<_>> = selves.iter().map(|c| link(c.message.clone(), &c.evidence)).collect();
    let summary = format!("the wrong mix reaches {} of the listeners: {}", selves.len(), first.message);
    Some((finding("media.echo", summary, chain?, vec![])?, ids(&hearing)))
}

fn silence(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let hearing = failed(checks, "media.hears/");
    let silent: Vec<_> = hearing.iter().copied().filter(|c| c.message.contains("is silent")).collect();
    let first = silent.first()?;
    let (packets, _, cited) = received(view);
    if packets == 0 {
        return None;
    }
    let chain = vec![
        link(format!("the server received {packets} packets from the speakers"), &cited)?,
        link(first.message.clone(), &first.evidence)?,
    ];
    let hypotheses =
        vec![refuted("the microphones sent nothing", "the server's own count at the end of each session", cited)];
    let summary = format!("{packets} packets of sound reached the server, and {} listeners hear nothing", silent.len());
    let mut explained = ids(&silent);
    explained.extend(ids(&failed(checks, "media.underrun/")));
    explained.extend(ids(&failed(checks, "media.concealment/")));
    Some((finding("media.silence", summary, chain, hypotheses)?, explained))
}

fn no_pictures(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let unseen = failed(checks, "media.picture/");
    let first = unseen.first()?;
    let (_, pictures, cited) = received(view);
    let arrived = view.first(|o| matches!(o, Observation::Picture { .. }).then_some(()));
    if pictures == 0 || arrived.is_some() {
        return None;
    }
    let chain = vec![
        link(format!("the server received {pictures} whole pictures"), &cited)?,
        link(first.message.clone(), &first.evidence)?,
    ];
    let hypotheses =
        vec![refuted("the cameras sent nothing", "the server's own count at the end of each session", cited)];
    let summary = format!("{pictures} pictures reached the server, and none of them any client");
    let mut explained = ids(&unseen);
    explained.extend(ids(&failed(checks, "media.snapshot/")));
    explained.extend(
        checks
            .iter()
            .filter(|c| c.id.starts_with("process.exit/") && c.message.contains("no picture"))
            .map(|c| c.id.clone()),
    );
    Some((finding("media.no_video_frame", summary, chain, hypotheses)?, explained))
}
