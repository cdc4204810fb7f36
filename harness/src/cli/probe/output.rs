//! What a probe prints and writes.

use super::{Cut, Probe};
use crate::cli::redacted_command_line;
use crate::clock::now_rfc3339;
use crate::diagnosis::outcome;
use crate::diagnosis::probed::compare;
use crate::evidence::{Evidence, Report, RunReport, SCHEMA_VERSION, ScenarioSummary};
use crate::report::prometheus::Prometheus;
use crate::report::text::Text;
use crate::report::{Reporter, json};
use crate::scenario::folder::run_id;
use std::fs;
use std::io;
use std::path::Path;

/// All targets together.
pub(super) fn report(
    asked: &Probe,
    reports: Vec<Report>,
    scenarios: Vec<ScenarioSummary>,
    cut: Option<(Cut, usize)>,
) -> RunReport {
    let started = reports.iter().map(|report| report.run.started.clone()).min().unwrap_or_else(now_rfc3339);
    let mut verdict = outcome::verdict(&scenarios, &reports);
    if let Some((cut, wanted)) = cut {
        let why = if cut == Cut::Interrupted { "SIGINT" } else { "SIGTERM" };
        verdict = outcome::cut_short(verdict, why, wanted, &scenarios);
    }
    RunReport {
        schema_version: SCHEMA_VERSION.to_owned(),
        run_id: run_id(&started),
        started,
        command: redacted_command_line(),
        verdict,
        exit_code: outcome::exit_code(reports.iter(), asked.strict),
        comparison: compare::compare(&reports),
        scenarios,
        reports,
    }
}

/// What goes to stdout.
pub(super) fn text(asked: &Probe, run: &RunReport, colour: bool) -> String {
    if asked.json { json::Json.render(run) } else { Text { colour, every_step: asked.verbose }.render(run) }
}

/// Writes files; gives what could not be written.
pub(super) fn write(asked: &Probe, run: &RunReport, evidence: Option<&Evidence>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut note = |path: &Path, written: io::Result<()>| {
        if let Err(error) = written {
            problems.push(format!("{}: {error}", path.display()));
        }
    };
    for destination in &asked.report {
        let text = destination.reporter.render(run);
        if destination.is_stdout() {
            note(Path::new("stdout"), crate::cli::print(&text));
        } else {
            note(&destination.path, fs::write(&destination.path, text));
        }
    }
    if let Some(path) = &asked.prometheus {
        note(path, whole(path, &Prometheus.render(run)));
    }
    if let (Some(path), Some(evidence)) = (&asked.evidence, evidence) {
        let text = serde_json::to_string_pretty(evidence).map_err(io::Error::other);
        note(path, text.and_then(|text| fs::write(path, text + "\n")));
    }
    problems
}

/// A collector that reads meanwhile sees the old file or the new one, never half of one.
fn whole(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside)))
}
