//! Reporters: conclusions in, a document out. PURE, one format a file.
//!
//! | format | file | for |
//! |---|---|---|
//! | `markdown` | [`markdown`] | somebody who was paged, and the archive |
//! | `json` | [`json`] | programs; its schema is shipped |
//! | `junit` | [`junit`] | CI |
//! | `text` | [`text`] | a terminal |
//! | `prometheus` | [`prometheus`] | a collector of figures |
//!
//! [`overview`] decides for all of them what is worth saying first, [`figures`] how a figure reads, and [`clean`] makes text
//! from outside harmless. To add a format: a file with a [`Reporter`], a line in [`REPORTERS`], a snapshot of its samples.

pub mod clean;
pub mod figures;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod overview;
pub mod prometheus;
#[cfg(test)]
pub(crate) mod samples;
pub mod text;

use crate::evidence::RunReport;

/// One format.
pub trait Reporter: std::fmt::Debug + Send + Sync {
    /// What `--report FORMAT=PATH` calls it.
    fn name(&self) -> &'static str;
    /// Of its files, without the dot.
    fn extension(&self) -> &'static str;
    /// The whole document.
    fn render(&self, run: &RunReport) -> String;
}

/// Every format.
pub const REPORTERS: &[&dyn Reporter] = &[
    &markdown::Markdown,
    &json::Json,
    &junit::Junit,
    &text::Text { colour: false, every_step: false },
    &prometheus::Prometheus,
];

/// There is no such format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no report format {asked:?}{}; there are: {}", hint(*.nearest), names().join(", "))]
pub struct UnknownFormat {
    /// What was asked for.
    pub asked: String,
    /// What was probably meant.
    pub nearest: Option<&'static str>,
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(", did you mean {name:?}?")).unwrap_or_default()
}

fn names() -> Vec<&'static str> {
    REPORTERS.iter().map(|r| r.name()).collect()
}

/// The reporter of a format.
///
/// # Errors
/// [`UnknownFormat`], with a suggestion if a name or a file extension is near.
pub fn by_name(name: &str) -> Result<&'static dyn Reporter, UnknownFormat> {
    if let Some(reporter) = REPORTERS.iter().find(|r| r.name() == name) {
        return Ok(*reporter);
    }
    let asked = name.to_lowercase();
    let likeness = |r: &dyn Reporter| {
        if r.extension() == asked { 1.0 } else { strsim::jaro_winkler(r.name(), &asked) }
    };
    let nearest = REPORTERS.iter().map(|r| (likeness(*r), r.name())).max_by(|a, b| a.0.total_cmp(&b.0));
    let nearest = nearest.filter(|(like, _)| *like > 0.75).map(|(_, name)| name);
    Err(UnknownFormat { asked: name.to_owned(), nearest })
}

/// The same run as if only one of its scenarios had run: what is written into that scenario's folder, so its links start
/// there. `None`: there is no report with this index.
pub fn of_scenario(run: &RunReport, index: usize) -> Option<RunReport> {
    let report = run.reports.get(index)?.clone();
    let mut summaries = run.scenarios.get(index).cloned();
    if let Some(summary) = &mut summaries {
        summary.folder.clear();
    }
    Some(RunReport {
        verdict: report.verdict.clone(),
        scenarios: summaries.into_iter().collect(),
        reports: vec![report],
        schema_version: run.schema_version.clone(),
        run_id: run.run_id.clone(),
        started: run.started.clone(),
        command: run.command.clone(),
        exit_code: run.exit_code,
        comparison: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_by_name_and_others_get_a_hint() {
        for reporter in REPORTERS {
            assert_eq!(by_name(reporter.name()).unwrap().extension(), reporter.extension());
        }
        let error = |name: &str| by_name(name).unwrap_err().to_string();
        assert_eq!(
            error("markdwon"),
            "there is no report format \"markdwon\", did you mean \"markdown\"?; there are: markdown, json, junit, text, prometheus"
        );
        assert!(error("md").contains("did you mean \"markdown\"?"));
        assert!(error("XML").contains("did you mean \"junit\"?"));
        assert!(!error("pdf").contains("did you mean"));
    }

    #[test]
    fn one_scenario_of_a_run_stands_alone() {
        let run = samples::several();
        let alone = of_scenario(&run, 1).unwrap();
        assert_eq!((alone.scenarios.len(), alone.reports.len()), (1, 1));
        assert_eq!(alone.reports[0], run.reports[1]);
        assert_eq!(alone.verdict, run.reports[1].verdict);
        assert_eq!(alone.scenarios[0].folder, "");
        assert!(of_scenario(&run, 99).is_none());
    }
}
