//! `reports/sample/` is what today's code makes of saved evidence. `make bless` writes it anew.
#![cfg(test)]

use sidetone_harness::diagnosis::{diagnose, outcome};
use sidetone_harness::evidence::{Evidence, RunReport, SCHEMA_VERSION};
use sidetone_harness::report::by_name;
use sidetone_harness::timeline::timeline;
use std::path::{Path, PathBuf};

/// Which of the saved evidence is shown as a report.
const SAMPLES: [&str; 5] =
    ["call", "call-mute", "call-phantom-listener", "websocket-port-held", "websocket-port-outgoing"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The report of one saved run, as `run` would have written it into the scenario's folder.
fn report(evidence: &Evidence) -> RunReport {
    let report = diagnose(evidence, timeline(evidence));
    let (summary, worst) =
        outcome::summarise(&evidence.plan.scenario, std::slice::from_ref(&report), |_| String::new()).unwrap();
    RunReport {
        schema_version: SCHEMA_VERSION.to_owned(),
        run_id: evidence.run.run_id.clone(),
        started: evidence.run.started.clone(),
        command: evidence.run.command.clone(),
        verdict: worst.verdict.clone(),
        exit_code: outcome::exit_code([&report].into_iter(), false),
        scenarios: vec![summary],
        comparison: None,
        reports: vec![report],
    }
}

#[test]
fn the_sample_reports_are_true() {
    let bless = std::env::var_os("BLESS").is_some();
    let folder = root().join("fixtures/evidence");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.file_stem().is_some_and(|name| SAMPLES.iter().any(|sample| name == *sample)));
    files.sort();
    assert_eq!(files.len(), SAMPLES.len());
    for file in files {
        let evidence: Evidence = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let run = report(&evidence);
        let sample = root().join("reports/sample").join(file.file_stem().unwrap());
        for (format, name) in [("markdown", "report.md"), ("json", "report.json"), ("junit", "junit.xml")] {
            let text = by_name(format).unwrap().render(&run);
            let path = sample.join(name);
            if bless {
                std::fs::create_dir_all(&sample).unwrap();
                std::fs::write(&path, text).unwrap();
            } else {
                let committed = std::fs::read_to_string(&path).unwrap_or_default();
                let same = committed == text;
                assert!(same, "{} is not what the code makes of its evidence today; `make bless`", path.display());
            }
        }
    }
}
