//! What is worth saying first: the same choice for every format.

use super::figures::counted;
use crate::evidence::{
    Check, Confidence, EvidenceItem, Expectation, Finding, FixKind, Hypothesis, HypothesisState, Report, RunReport,
    ScenarioSummary, Status,
};
use std::cmp::Reverse;

/// The order in which statuses are counted: worst first.
pub const WORST_FIRST: [Status; 5] = [Status::Fail, Status::Unknown, Status::Warn, Status::Pass, Status::Skip];

/// `31 checks: 9 FAIL, 2 UNKNOWN, 1 WARN, 18 PASS, 1 SKIP`.
pub fn counts(checks: &[Check]) -> String {
    let each: Vec<_> = WORST_FIRST
        .iter()
        .map(|status| (checks.iter().filter(|c| c.status == *status).count(), status.word()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if each.is_empty() {
        "no check ran".to_owned()
    } else {
        format!("{}: {}", counted(checks.len(), "check"), each.join(", "))
    }
}

/// Whether somebody has to read about it.
pub fn is_news(status: Status) -> bool {
    matches!(status, Status::Fail | Status::Unknown | Status::Warn)
}

/// The first finding that explains a check which is not as it should be.
pub fn explained<'a>(report: &'a Report, check: &Check) -> Option<&'a Finding> {
    let cause = check.caused_by.as_ref().filter(|_| check.status != Status::Pass)?;
    report.findings.iter().find(|f| f.cause == *cause)
}

/// The checks that a finding explains, worst first. Empty for the second finding of the same cause: each check is told once.
pub fn consequences<'a>(report: &'a Report, finding: &Finding) -> Vec<&'a Check> {
    let told = report.checks.iter().filter(|c| explained(report, c).is_some_and(|f| std::ptr::eq(f, finding)));
    sorted(told.collect())
}

/// The checks that no finding explains, worst first.
pub fn independent(report: &Report) -> Vec<&Check> {
    sorted(report.checks.iter().filter(|c| explained(report, c).is_none()).collect())
}

/// The worst status that a finding explains; a finding that explains no check is as bad as a failure.
pub fn status_of(report: &Report, finding: &Finding) -> Status {
    let news = consequences(report, finding).into_iter().map(|c| c.status).filter(|s| is_news(*s));
    news.max().unwrap_or(Status::Fail)
}

/// What a person would guess first and is in this state, without what a finding says of itself.
pub fn guesses(report: &Report, state: HypothesisState) -> impl Iterator<Item = &Hypothesis> {
    let told =
        |guess: &Hypothesis| report.findings.iter().flat_map(|f| &f.hypotheses).any(|h| h.statement == guess.statement);
    report.considered.iter().filter(move |h| h.state == state && !told(h))
}

/// Worst first, then from the lowest layer up; otherwise as they came.
fn sorted(mut checks: Vec<&Check>) -> Vec<&Check> {
    let rank = |s: Status| WORST_FIRST.iter().position(|w| *w == s);
    checks.sort_by_key(|c| (rank(c.status), c.layer));
    checks
}

/// Each scenario with its report, if that is there.
pub fn scenarios(run: &RunReport) -> impl Iterator<Item = (&ScenarioSummary, Option<&Report>)> {
    run.scenarios.iter().enumerate().map(|(i, s)| (s, run.reports.get(i)))
}

/// The one scenario of a run that has only one.
pub fn only(run: &RunReport) -> Option<(Option<&ScenarioSummary>, &Report)> {
    match (run.scenarios.as_slice(), run.reports.as_slice()) {
        (summaries @ ([] | [_]), [report]) => Some((summaries.first(), report)),
        _ => None,
    }
}

/// Passed each time, and nothing else was expected.
pub fn is_plain_pass(summary: &ScenarioSummary) -> bool {
    summary.verdict.status == Status::Pass
        && !matches!(summary.expectation, Expectation::Unmet { .. })
        && summary.by_status.keys().all(|word| word == Status::Pass.word())
        && summary.not_passed.is_empty()
}

/// How often checks of a repeated scenario were not a pass: check, status word, count; most often first.
pub fn not_passed(summary: &ScenarioSummary) -> Vec<(&str, &str, u32)> {
    let mut rows: Vec<_> = summary
        .not_passed
        .iter()
        .flat_map(|(check, by)| by.iter().map(move |(word, count)| (check.as_str(), word.as_str(), *count)))
        .filter(|(_, word, _)| *word != Status::Skip.word())
        .collect();
    rows.sort_by_key(|(_, word, count)| (WORST_FIRST.iter().position(|s| s.word() == *word), Reverse(*count)));
    rows
}

/// `99 PASS, 1 WARN`, worst first.
pub fn repeats(summary: &ScenarioSummary) -> String {
    let count = |s: Status| summary.by_status.get(s.word()).map(|n| format!("{n} {}", s.word()));
    WORST_FIRST.into_iter().filter_map(count).collect::<Vec<_>>().join(", ")
}

/// What a piece of evidence says to people, if it is an event with a message.
pub fn message(item: &EvidenceItem) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(&item.excerpt).ok()?;
    Some(event.get("message")?.as_str()?.to_owned())
}

/// How sure a finding is, in words.
pub const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "confidence low: one of several explanations",
        Confidence::Medium => "confidence medium: the likeliest explanation",
        Confidence::High => "confidence high",
    }
}

/// The tag of a fix.
pub const fn tag(kind: FixKind) -> &'static str {
    match kind {
        FixKind::Safe => "[safe]",
        FixKind::ChangesState => "[changes state]",
        FixKind::NeedsRoot => "[needs root]",
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn each_check_is_told_once() {
        let run = samples::held_port();
        let report = &run.reports[0];
        let followed: usize = report.findings.iter().map(|f| consequences(report, f).len()).sum();
        assert!(followed > 1);
        assert_eq!(followed + independent(report).len(), report.checks.len());
        assert!(consequences(report, &report.findings[0]).iter().all(|c| c.status != Status::Pass));
    }

    #[test]
    fn a_cause_that_no_finding_names_explains_nothing() {
        let mut run = samples::held_port();
        run.reports[0].findings.clear();
        assert_eq!(independent(&run.reports[0]).len(), run.reports[0].checks.len());
    }

    #[test]
    fn worst_comes_first_and_a_failure_before_an_unknown() {
        let run = samples::held_port();
        let order: Vec<_> = independent(&run.reports[0]).iter().map(|c| c.status).collect();
        let rank = |s: &Status| WORST_FIRST.iter().position(|w| w == s);
        assert!(order.is_sorted_by_key(rank), "{order:?}");
    }

    #[test]
    fn one_warning_in_a_hundred_is_no_plain_pass() {
        let run = samples::several();
        assert!(is_plain_pass(&run.scenarios[0]));
        let repeated = run.scenarios.iter().find(|s| s.repeats == 100).unwrap();
        assert!(!is_plain_pass(repeated));
        assert_eq!(repeats(repeated), "2 UNKNOWN, 1 WARN, 97 PASS");
        assert_eq!(not_passed(repeated)[0], ("path.discovery", "UNKNOWN", 2));
    }
}
