//! The whole report of one scenario, and the parts that a run of several shares with it.

use super::super::{figures, overview};
use super::escape::{code, text};
use super::table::Table;
use super::view::View;
use super::{cause, closing, flow, media, timeline};
use crate::evidence::{Check, Expectation, Report, RunReport, ScenarioSummary, Side, Status, Verdict};

/// A point below an item of a list.
const BELOW: &str = "\n    - ";

/// The whole document.
pub(super) fn document(run: &RunReport, summary: Option<&ScenarioSummary>, report: &Report) -> String {
    let view = View::here(summary, report);
    let repeated = summary.is_some_and(|s| s.repeats > 1);
    let mut parts = vec![verdict(if repeated { &run.verdict } else { &report.verdict })];
    parts.extend(expectation(&report.expectation, report.verdict.status));
    parts.push(facts(run, &view));
    let sections: [(&str, Option<String>); 19] = [
        ("Summary", Some(summary_of(&view))),
        ("Over all repeats", summary.and_then(repeats)),
        ("Root cause", cause::section(&view)),
        (cause::considered_title(&view), cause::considered(&view)),
        ("Follow-up checks", cause::follow_ups(&view)),
        ("Server side", side(&view, Side::Server)),
        ("Client side", side(&view, Side::Client)),
        ("Path between them", side(&view, Side::Path)),
        ("Harness", side(&view, Side::Harness)),
        ("Impact", impact(report)),
        ("Connectivity", flow::section(&report.flow)),
        ("What people saw", media::pictures(&view)),
        ("Figures", media::section(report)),
        ("Timeline", timeline::section(&report.timeline)),
        ("How to reproduce", closing::reproduce(report)),
        ("What was not checked", Some(closing::not_checked(report))),
        ("Recommendations", closing::recommendations(&view)),
        ("Evidence", closing::evidence(&view)),
        ("Environment", closing::environment(&report.environment)),
    ];
    for (title, body) in sections {
        parts.extend(body.map(|body| format!("## {title}\n\n{body}")));
    }
    parts.join("\n\n") + "\n"
}

/// `**FAIL** The WebSocket listener is down because ...`
pub(super) fn verdict(verdict: &Verdict) -> String {
    format!("**{}** {}", verdict.status.word(), text(&verdict.sentence))
}

/// What the scenario wanted, if it says so, and that a failure it wanted is none.
pub(super) fn expectation(expectation: &Expectation, observed: Status) -> Option<String> {
    match expectation {
        Expectation::None => None,
        Expectation::Met { expected } => {
            let counts = if observed == Status::Pass {
                String::new()
            } else {
                format!(", so this {} counts as a pass", observed.word())
            };
            Some(format!("**As expected:** this scenario wants: {}. All of it was found{counts}.", text(expected)))
        }
        Expectation::Unmet { expected, found } => Some(format!(
            "**Not as expected:** this scenario wants: {}. Found instead: {}.",
            text(expected),
            text(found)
        )),
    }
}

/// The first fact is the head of the table, since a markdown table has one.
fn facts(run: &RunReport, view: &View<'_>) -> String {
    let info = &view.report.run;
    let title = format!("{}: {}", code(&info.scenario), text(&view.report.title));
    let mut table = Table::new(&["Scenario", &title]);
    table.row(["Date".to_owned(), text(&figures::date(&info.started))]);
    table.row(["Command".to_owned(), code(&info.command.join(" "))]);
    table.row(["Run".to_owned(), code(&run.run_id)]);
    table.row(["Seed".to_owned(), info.seed.to_string()]);
    table.row(["Versions".to_owned(), versions(view.report)]);
    table.row(["Duration".to_owned(), figures::millis(info.duration_ms)]);
    if let Some(summary) = view.summary.filter(|s| s.repeats > 1) {
        let worst =
            format!("{} ({}); this is repeat {}", summary.repeats, text(&overview::repeats(summary)), info.repeat);
        table.row(["Repeats".to_owned(), worst]);
    }
    table.to_string()
}

/// Of the harness and of what it ran.
pub(super) fn versions(report: &Report) -> String {
    let sidetone = report.run.sidetone_version.as_deref().unwrap_or("unknown (it could not be asked)");
    format!("sidetone-harness {}, sidetone {}", text(&report.run.harness_version), text(sidetone))
}

/// Counts, then what is not a pass: causes first, then what none of them explains, worst first.
pub(super) fn summary_of(view: &View<'_>) -> String {
    let report = view.report;
    let mut lines = vec![format!("{}.", overview::counts(&report.checks))];
    let followed: usize = report.findings.iter().map(|f| overview::consequences(report, f).len()).sum();
    if followed > 0 {
        let causes = figures::counted(report.findings.len(), "root cause");
        let follow = if followed == 1 { "follows" } else { "follow" };
        lines.push(format!("{followed} of them {follow} from {causes}."));
    }
    let mut items = Vec::new();
    for (index, finding) in report.findings.iter().enumerate() {
        let status = overview::status_of(report, finding).word();
        let cited: Vec<_> = finding.chain.iter().flat_map(|l| l.evidence().iter().cloned()).collect();
        let more = view.to("root cause", &cause::anchor(index));
        let mut item =
            format!("**{status}** {} {}{}", text(&finding.summary), more, view.in_brackets(&distinct(cited)));
        if let Some(fix) = finding.fixes.iter().min_by_key(|f| f.kind) {
            item = format!("{item}{BELOW}What to do: {} {}", overview::tag(fix.kind), text(&fix.text));
        }
        items.push(item);
    }
    items.extend(
        overview::independent(report).into_iter().filter(|c| overview::is_news(c.status)).map(|c| news(view, c)),
    );
    let list: Vec<_> = items.iter().enumerate().map(|(i, item)| format!("{}. {item}", i + 1)).collect();
    let mut body = lines.join(" ");
    if !list.is_empty() {
        body = format!("{body}\n\n{}", list.join("\n"));
    }
    body
}

fn news(view: &View<'_>, check: &Check) -> String {
    let cited = view.in_brackets(&check.evidence);
    let mut item = format!("**{}** {}: {}{cited}", check.status.word(), text(&check.title), text(&check.message));
    if let Some(cause) = &check.caused_by {
        item = format!("{item}; caused by {}", code(cause));
    }
    if let Some(remedy) = &check.remedy {
        item = format!("{item}{BELOW}What to do: {}", text(remedy));
    }
    item
}

fn distinct<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut seen = Vec::with_capacity(items.len());
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

/// How often which check was not a pass, of all repeats.
fn repeats(summary: &ScenarioSummary) -> Option<String> {
    let mut table = Table::new(&["Check", "Status", "How often"]);
    for (check, word, count) in overview::not_passed(summary) {
        table.row([code(check), text(word), format!("{count} of {}", summary.repeats)]);
    }
    table.finish().filter(|_| summary.repeats > 1)
}

/// The checks of one side that no finding explains, and a pointer to those that one does.
fn side(view: &View<'_>, side: Side) -> Option<String> {
    let table = checks(view, overview::independent(view.report).into_iter().filter(|c| c.side == side));
    let explained = |c: &&Check| c.side == side && overview::explained(view.report, c).is_some();
    let causes = if view.report.findings.len() == 1 { "root cause" } else { "root causes" };
    let note = match view.report.checks.iter().filter(explained).count() {
        0 => None,
        1 => Some(format!("1 more is listed under the {}.", view.to(causes, &cause::anchor(0)))),
        n => Some(format!("{n} more are listed under the {}.", view.to(causes, &cause::anchor(0)))),
    };
    let parts: Vec<_> = table.into_iter().chain(note).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// A table of checks.
pub(super) fn checks<'a>(view: &View<'_>, checks: impl Iterator<Item = &'a Check>) -> Option<String> {
    let mut table = Table::new(&["Status", "Check", "What was seen", "Evidence"]);
    for check in checks {
        let title = format!("{} ({})", text(&check.title), code(&check.id));
        table.row([status(check.status), title, text(&check.message), view.cite(&check.evidence)]);
    }
    table.finish()
}

/// The word; in bold where somebody has to look.
pub(super) fn status(status: Status) -> String {
    if overview::is_news(status) { format!("**{}**", status.word()) } else { status.word().to_owned() }
}

fn impact(report: &Report) -> Option<String> {
    let mut table = Table::new(&["Component", "Status", "Effect"]);
    for row in &report.impact {
        table.row([text(&row.component), status(row.status), text(&row.effect)]);
    }
    table.finish()
}
