//! `JUnit` XML for CI. It follows the expectation, as the exit code does: where a scenario wanted the failure that it found,
//! CI is green, and each check still says what was observed.

use super::{Reporter, clean, overview};
use crate::evidence::{Check, Expectation, Report, RunReport, ScenarioSummary, Status};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// A suite a scenario, a case a check and one for a stated expectation.
#[derive(Clone, Copy, Debug)]
pub struct Junit;

impl Reporter for Junit {
    fn name(&self) -> &'static str {
        "junit"
    }

    fn extension(&self) -> &'static str {
        "xml"
    }

    fn render(&self, run: &RunReport) -> String {
        let mut document = quick_junit::Report::new("sidetone-harness");
        document.timestamp = run.started.parse().ok();
        document.time = Some(Duration::from_millis(run.scenarios.iter().map(|s| s.duration_ms).sum()));
        for (summary, report) in overview::scenarios(run) {
            document.add_test_suite(suite(summary, report));
        }
        document.to_string().expect("XML of valid strings into memory")
    }
}

fn suite(summary: &ScenarioSummary, report: Option<&Report>) -> TestSuite {
    let name = clean::line(&summary.name);
    let mut suite = TestSuite::new(name.as_str());
    suite.time = Some(Duration::from_millis(summary.duration_ms));
    if summary.repeats > 1 {
        suite.add_property(quick_junit::Property::new("repeats", summary.repeats.to_string()));
        suite.add_property(quick_junit::Property::new("repeats by status", clean::line(&overview::repeats(summary))));
    }
    let met = matches!(summary.expectation, Expectation::Met { .. });
    if let Some(report) = report {
        suite.timestamp = report.run.started.parse().ok();
        suite.add_property(quick_junit::Property::new("seed", report.run.seed.to_string()));
        for check in &report.checks {
            suite.add_test_case(case(&name, check, met));
        }
    }
    if let Some(case) = expectation(&name, &summary.expectation, summary.verdict.status) {
        suite.add_test_case(case);
    }
    let told = said(summary.verdict.status, &summary.verdict.sentence);
    suite.set_system_out(if met { format!("as expected: {told}") } else { told });
    suite
}

fn case(scenario: &str, check: &Check, expected: bool) -> TestCase {
    let said = said(check.status, &check.message);
    let told =
        check.caused_by.as_ref().map_or_else(|| said.clone(), |c| clean::line(&format!("{said} (caused by {c})")));
    let status = match (check.status, expected) {
        (Status::Pass | Status::Warn, _) | (Status::Fail, true) => TestCaseStatus::success(),
        (Status::Fail, false) => non_success(NonSuccessKind::Failure, &told),
        (Status::Unknown, false) => non_success(NonSuccessKind::Error, &told),
        (Status::Unknown, true) | (Status::Skip, _) => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(told.as_str());
            skipped
        }
    };
    let mut case = TestCase::new(clean::line(&format!("{}: {}", check.id, check.title)), status);
    case.set_classname(format!("{scenario}.{}", layer(check)));
    if check.status != Status::Pass && matches!(case.status, TestCaseStatus::Success { .. }) {
        let prefix = if check.status == Status::Fail { "as expected: " } else { "" };
        case.set_system_out(format!("{prefix}{told}"));
    }
    if let (TestCaseStatus::NonSuccess { description, .. }, Some(remedy)) = (&mut case.status, &check.remedy) {
        *description = Some(clean::line(&format!("What to do: {remedy}")).into());
    }
    case
}

fn expectation(scenario: &str, expectation: &Expectation, observed: Status) -> Option<TestCase> {
    let status = match expectation {
        Expectation::None => return None,
        Expectation::Met { .. } => TestCaseStatus::success(),
        Expectation::Unmet { expected, found } => {
            // what could not be judged is no failure
            let kind = if observed == Status::Unknown { NonSuccessKind::Error } else { NonSuccessKind::Failure };
            non_success(kind, &clean::line(&format!("expected {expected}, found {found}")))
        }
    };
    let mut case = TestCase::new("expectation", status);
    case.set_classname(scenario);
    if let Expectation::Met { expected } = expectation {
        case.set_system_out(clean::line(&format!("found as expected: {expected}")));
    }
    Some(case)
}

fn non_success(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

fn said(status: Status, message: &str) -> String {
    format!("{}: {}", status.word(), clean::line(message))
}

/// The layer as JSON calls it.
fn layer(check: &Check) -> String {
    format!("{:?}", check.layer).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    /// Tags balanced, attributes quoted, no character that XML 1.0 forbids.
    fn assert_well_formed(xml: &str) {
        let forbidden =
            |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
        assert!(!xml.contains(forbidden), "{xml:?}");
        let body = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap();
        let mut open = Vec::new();
        for tag in body.split('<').skip(1) {
            let (tag, text) = tag.split_once('>').expect("every < begins a tag");
            assert!(!text.contains('>') || !text.contains('<'), "{text:?}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag:?}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn every_sample_is_well_formed() {
        for (_, run) in samples::all() {
            assert_well_formed(&Junit.render(&run));
        }
    }

    #[test]
    fn snapshots() {
        insta::assert_snapshot!("junit_held_port", Junit.render(&samples::held_port()));
        insta::assert_snapshot!("junit_unknown", Junit.render(&samples::unknown()));
        insta::assert_snapshot!("junit_hostile", Junit.render(&samples::hostile()));
    }

    fn totals(run: &RunReport) -> (usize, usize) {
        let document = quick_junit::Report::deserialize_from_str(&Junit.render(run));
        let document = document.expect("what quick-junit wrote it reads");
        (document.failures, document.errors)
    }

    #[test]
    fn an_expected_failure_is_green_and_an_unexpected_one_is_not() {
        let mut run = samples::held_port();
        let fails = run.reports[0].checks.iter().filter(|c| c.status == Status::Fail).count();
        let unknowns = run.reports[0].checks.iter().filter(|c| c.status == Status::Unknown).count();
        run.scenarios[0].expectation = Expectation::None;
        assert_eq!(totals(&run), (fails, unknowns));
        run.scenarios[0].expectation = Expectation::Met { expected: "bind.port_taken_by_outgoing".to_owned() };
        assert_eq!(totals(&run), (0, 0));
        let unmet = Expectation::Unmet { expected: "bind.permission_denied".to_owned(), found: "another".to_owned() };
        run.scenarios[0].expectation = unmet;
        assert_eq!(totals(&run), (fails + 1, unknowns));
    }
}
