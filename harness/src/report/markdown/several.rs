//! A run of several scenarios: its verdict, a line each, and the summary of each that is not a plain pass.

use super::super::{figures, overview};
use super::escape::{code, path, text};
use super::scenario::{checks, expectation, status, summary_of, verdict, versions};
use super::table::Table;
use super::view::View;
use super::{cause, closing};
use crate::evidence::{Expectation, Report, RunReport, ScenarioSummary};

/// The whole document.
pub(super) fn document(run: &RunReport) -> String {
    let mut parts = vec![verdict(&run.verdict), facts(run)];
    let sections =
        [("Scenarios", scenarios(run)), ("Side by side", side_by_side(run)), ("Over all repeats", repeats(run))];
    for (title, body) in sections {
        parts.extend(body.map(|body| format!("## {title}\n\n{body}")));
    }
    for (index, (summary, report)) in overview::scenarios(run).enumerate() {
        if !overview::is_plain_pass(summary) {
            parts.push(one(index, summary, report));
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
        // a probe draws nothing
        if report.run.seed != 0 {
            table.row(["Seed".to_owned(), report.run.seed.to_string()]);
        }
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

/// Targets of a probe, each in a column.
fn side_by_side(run: &RunReport) -> Option<String> {
    let comparison = run.comparison.as_ref()?;
    let columns: Vec<_> = comparison.columns.iter().map(|name| text(name)).collect();
    let head: Vec<_> = std::iter::once("Layer or figure").chain(columns.iter().map(String::as_str)).collect();
    let mut table = Table::new(&head);
    for row in &comparison.rows {
        table.push(std::iter::once(&row.name).chain(&row.cells).map(|cell| text(cell)).collect());
    }
    table.finish()
}

fn one(index: usize, summary: &ScenarioSummary, report: Option<&Report>) -> String {
    let mut parts = vec![format!("## {}", text(&summary.name)), verdict(&summary.verdict)];
    parts.extend(expectation(&summary.expectation, summary.verdict.status));
    match report {
        Some(report) if summary.folder.is_empty() => parts.extend(whole(&View::among(summary, report, index))),
        Some(report) => parts.push(summary_of(&View::linked(summary, report))),
        None => {}
    }
    parts.join("\n\n")
}

/// Of a report that has no folder of its own, all that a reader needs to believe it.
fn whole(view: &View<'_>) -> Vec<String> {
    let sections = [
        ("Root cause", cause::section(view)),
        ("Checks", checks(view, view.report.checks.iter())),
        ("What was not checked", Some(closing::not_checked(view.report))),
        ("Evidence", closing::evidence(view)),
    ];
    let told = sections.into_iter().filter_map(|(title, body)| Some(format!("### {title}\n\n{}", body?)));
    std::iter::once(summary_of(view)).chain(told).collect()
}
