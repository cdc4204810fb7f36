//! The rules: each names one cause from checks and evidence. A const table; what a rule explains is marked `caused_by`.
//!
//! * `process`: programs that are stopped, killed, crashed, or wait; `bind`: listeners that are missing;
//! * `browser`: what keeps a page from its WebSocket, microphone, sound; `connect`: refusals; `resource`: descriptors, disk; `log`: claims that are not so;
//! * `probe`: what a probe of a running server finds, with rules of its own;
//! * `media`, `senders`, `playout`: sound and pictures lost in the server, never sent, or late.
//!
//! To add one: an entry in [`crate::cause`], a function here, a line in a table, a scenario or a saved evidence that proves it.

mod bind;
mod browser;
mod connect;
mod log;
mod media;
mod playout;
mod probe;
mod process;
mod resource;
mod senders;

pub(super) use bind::elsewhere;

use super::view::View;
use crate::cause::by_code;
use crate::evidence::{Check, Confidence, EvidenceId, Finding, Fix, Hypothesis, HypothesisState, Link, Status};

/// Finds one cause, and says by their ids which checks it explains.
type Rule = fn(&mut View<'_>, &[Check]) -> Option<Found>;

/// What a rule found, and the ids of the checks that it explains.
type Found = (Finding, Vec<String>);

/// Before the listeners, in the order in which one explains the other: what a machine lacks, what a process does.
const BEFORE: &[&[Rule]] = &[resource::RULES, process::RULES];
/// After the listeners: what the server holds, what it says, what people hear.
const AFTER: &[&[Rule]] = &[
    resource::LIMITS,
    log::RULES,
    browser::RULES,
    connect::RULES,
    resource::LEAKS,
    senders::RULES,
    media::RULES,
    playout::RULES,
];

/// Applies every rule; marks the checks that are explained.
pub fn find(view: &mut View<'_>, checks: &mut [Check]) -> Vec<Finding> {
    let mut findings: Ranked = Vec::new();
    if view.evidence.plan.probe.is_some() {
        one_each(view, checks, probe::FAMILIES, &mut findings);
        return by_rank(findings);
    }
    one_each(view, checks, BEFORE, &mut findings);
    let open: Vec<Check> = unexplained(checks);
    for found in bind::find(view, &open) {
        mark(checks, found, &mut findings);
    }
    one_each(view, checks, AFTER, &mut findings);
    by_rank(findings)
}

/// Findings with the worst status of the checks that each explains.
type Ranked = Vec<(Status, Finding)>;

/// What explains a failure comes before what explains a warning; within one status the order of the rules stays.
fn by_rank(mut findings: Ranked) -> Vec<Finding> {
    findings.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
    findings.into_iter().map(|(_, finding)| finding).collect()
}

fn one_each(view: &mut View<'_>, checks: &mut [Check], families: &[&[Rule]], findings: &mut Ranked) {
    for rule in families.iter().flat_map(|family| family.iter()) {
        if let Some(found) = rule(view, &unexplained(checks)) {
            mark(checks, found, findings);
        }
    }
}

fn unexplained(checks: &[Check]) -> Vec<Check> {
    checks.iter().filter(|c| c.caused_by.is_none()).cloned().collect()
}

fn mark(checks: &mut [Check], (finding, explained): Found, findings: &mut Ranked) {
    let mut worst = Status::Pass;
    let open = |c: &&mut Check| c.caused_by.is_none() && !matches!(c.status, Status::Pass | Status::Skip);
    for check in checks.iter_mut().filter(open).filter(|c| explained.contains(&c.id)) {
        check.caused_by = Some(finding.cause.clone());
        worst = worst.max(check.status);
    }
    findings.push((worst, finding));
}

fn failed<'c>(checks: &'c [Check], prefix: &str) -> Vec<&'c Check> {
    checks.iter().filter(|c| c.status == Status::Fail && c.id.starts_with(prefix)).collect()
}

/// What is neither well nor left out.
fn unwell(checks: &[Check]) -> impl Iterator<Item = &Check> {
    checks.iter().filter(|c| !matches!(c.status, Status::Pass | Status::Skip))
}

fn ids(checks: &[&Check]) -> Vec<String> {
    checks.iter().map(|c| c.id.clone()).collect()
}

fn finding(code: &str, summary: String, chain: Vec<Link>, hypotheses: Vec<Hypothesis>) -> Option<Finding> {
    let cause = by_code(code)?;
    let fixes = cause.fixes.iter().map(|(kind, text)| Fix { kind: *kind, text: (*text).to_owned() }).collect();
    let (cause, layer) = (cause.code.to_owned(), cause.layer);
    Some(Finding { cause, layer, confidence: Confidence::High, summary, chain, hypotheses, fixes })
}

fn link(statement: impl Into<String>, evidence: &[EvidenceId]) -> Option<Link> {
    let (first, more) = evidence.split_first()?;
    Some(Link::new(statement, first.clone(), more.iter().cloned()))
}

fn hypothesis(
    state: HypothesisState,
    statement: &str,
    decided_by: impl Into<String>,
    evidence: Vec<EvidenceId>,
) -> Hypothesis {
    Hypothesis { statement: statement.to_owned(), state, decided_by: decided_by.into(), evidence }
}

fn refuted(statement: &str, decided_by: &str, evidence: Vec<EvidenceId>) -> Hypothesis {
    hypothesis(HypothesisState::Refuted, statement, decided_by, evidence)
}

/// Checks that cannot be well while these clients cannot be in: their own, and those of others about them.
fn without(view: &View<'_>, gone: &[String], checks: &[Check]) -> Vec<String> {
    let is_gone = |name: &str| gone.iter().any(|g| g == name);
    let misses = |name: &str| {
        let client = view.evidence.plan.clients.iter().find(|c| c.name == name);
        client.is_some_and(|c| c.hears.iter().chain(&c.sees).any(|other| is_gone(other)))
    };
    let of_ears = ["media.hears", "media.speech", "media.underrun", "media.concealment", "media.snapshot"];
    let concerned = unwell(checks).filter(|check| {
        let mut parts = check.id.split('/');
        let kind = parts.next().unwrap_or_default();
        match (parts.next(), parts.next()) {
            (Some(who), None) => is_gone(who) || of_ears.contains(&kind) && misses(who),
            (Some(who), Some(of)) => is_gone(who) || is_gone(of),
            (None, _) => false,
        }
    });
    concerned.map(|c| c.id.clone()).collect()
}
