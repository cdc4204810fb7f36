//! A run of several scenarios: its verdict, a line each, and the summary of each that is not a plain pass.

use super::super::{figures, overview};
use super::escape::{code, path, text};
use super::scenario::{expectation, status, summary_of, verdict, versions};
use super::table::Table;
use super::view::View;
use crate::evidence::{Expectation, Report, RunReport, ScenarioSummary};

/// The whole document.
pub(super) fn document(run: &RunReport) -> String {
    let mut parts = vec![verdict(&run.verdict), facts(run)];
    let sections = [("Scenarios", scenarios(run)), ("Over all repeats", repeats(run))];
    for (title, body) in sections {
        parts.extend(body.map(|body| format!("## {title}\n\n{body}")));
    }
    for (summary, report) in overview::scenarios(run) {
        if !overview::is_plain_pass(summary) {
            parts.push(one(summary, report));
        }
    }
    parts.join("\n\n") + "\n"
}

fn facts(run: &RunReport) -> String {
    let id = code(&run.run_id);
    let mut table = Table::new(&["Run", &id]);
    table.row(["Date".to_owned(), text(&figures::date(&run.started))]);
    table.row(["Command".to_owned(), code(&run.command.join(" "))]);
    if let Some(report) = run.reports.first() {
        table.row(["Seed".to_owned(), report.run.seed.to_string()]);
        table.row(["Versions".to_owned(), versions(report)]);
    }
    table.row(["Duration".to_owned(), figures::millis(run.scenarios.iter().map(|s| s.duration_ms).sum())]);
    table.row(["Exit code".to_owned(), run.exit_code.to_string()]);
    table.to_string()
}

fn scenarios(run: &RunReport) -> Option<String> {
    let mut table = Table::new(&["Scenario", "Status", "Expectation", "Repeats", "Duration", "Report"]);
    for summary in &run.scenarios {
        let wanted = match &summary.expectation {
            Expectation::None => String::new(),
            Expectation::Met { expected } => format!("met: {}", text(expected)),
            Expectation::Unmet { expected, .. } => format!("**not met**: {}", text(expected)),
        };
        let repeats = if summary.repeats > 1 { text(&overview::repeats(summary)) } else { String::new() };
        let folder = path(summary.folder.trim_end_matches('/'));
        let link = if folder.is_empty() { String::new() } else { format!("[report]({folder}/report.md)") };
        let duration = figures::millis(summary.duration_ms);
        let status = match &summary.expectation {
            Expectation::Met { .. } => format!("{}, as expected", summary.verdict.status.word()),
            Expectation::None | Expectation::Unmet { .. } => status(summary.verdict.status),
        };
        table.row([text(&summary.name), status, wanted, repeats, duration, link]);
    }
    table.finish()
}

fn repeats(run: &RunReport) -> Option<String> {
    let mut table = Table::new(&["Scenario", "Check", "Status", "How often"]);
    for summary in run.scenarios.iter().filter(|s| s.repeats > 1) {
        for (check, word, count) in overview::not_passed(summary) {
            table.row([text(&summary.name), code(check), text(word), format!("{count} of {}", summary.repeats)]);
        }
    }
    table.finish()
}

fn one(summary: &ScenarioSummary, report: Option<&Report>) -> String {
    let mut parts = vec![format!("## {}", text(&summary.name)), verdict(&summary.verdict)];
    parts.extend(expectation(&summary.expectation, summary.verdict.status));
    parts.extend(report.map(|report| summary_of(&View::linked(summary, report))));
    parts.join("\n\n")
}
