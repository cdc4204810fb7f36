//! `sidetone-harness diagnose`.

use super::{colour, fail, print_and_exit};
use crate::diagnosis::diagnose;
use crate::diagnosis::outcome::{self, exit};
use crate::evidence::{Evidence, RunReport, SCHEMA_VERSION};
use crate::report::text::Text;
use crate::report::{Reporter, by_name};
use crate::timeline::timeline;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Diagnose saved evidence again, offline.
#[derive(Debug, Args)]
pub(super) struct Diagnose {
    /// Saved `evidence.json`.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// markdown, json, junit or text.
    #[arg(long, default_value = "text", value_parser = |name: &str| by_name(name).map(|r| r.name().to_owned()).map_err(|e| e.to_string()))]
    format: String,
    /// A warning fails too.
    #[arg(long)]
    strict: bool,
}

impl Diagnose {
    pub(super) fn run(&self) -> ExitCode {
        let mut reports = Vec::new();
        for file in &self.files {
            match read(file) {
                Ok(evidence) => reports.push(diagnose(&evidence, timeline(&evidence))),
                Err(reason) => return fail(exit::USAGE, format!("{}: {reason}", file.display())),
            }
        }
        let summaries = reports.iter().filter_map(|report| {
            outcome::summarise(&report.run.scenario, std::slice::from_ref(report), |_| String::new()).map(|(s, _)| s)
        });
        let summaries: Vec<_> = summaries.collect();
        let first = &reports[0].run;
        let run = RunReport {
            schema_version: SCHEMA_VERSION.to_owned(),
            run_id: first.run_id.clone(),
            started: first.started.clone(),
            command: first.command.clone(),
            verdict: outcome::verdict(&summaries, &reports),
            exit_code: outcome::exit_code(reports.iter(), self.strict),
            scenarios: summaries,
            reports,
            comparison: None,
        };
        let text = match by_name(&self.format) {
            Ok(reporter) if reporter.name() != "text" => reporter.render(&run),
            _ => Text { colour: colour(), every_step: false }.render(&run),
        };
        print_and_exit(&text, run.exit_code)
    }
}

fn read(path: &Path) -> Result<Evidence, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    if text.trim().is_empty() {
        return Err("the file is empty".to_owned());
    }
    let version = serde_json::from_str::<serde_json::Value>(&text)
        .map_err(|e| format!("not JSON: {e}"))?
        .get("schema_version")
        .and_then(|v| v.as_str().map(str::to_owned))
        .ok_or("not an evidence file: it has no schema_version")?;
    let major = |v: &str| v.split('.').next().map(str::to_owned);
    if major(&version) != major(SCHEMA_VERSION) {
        return Err(format!("schema version {version}; this harness reads {SCHEMA_VERSION} and its minor versions"));
    }
    serde_json::from_str(&text).map_err(|e| format!("not an evidence file: {e}"))
}
