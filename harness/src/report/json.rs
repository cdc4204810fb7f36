//! `report.json`: for programs, and for this harness later.

use super::Reporter;
use crate::evidence::{RunReport, SCHEMA_VERSION};
use serde::Deserialize;

/// Pretty JSON of the whole run.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Reporter for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn extension(&self) -> &'static str {
        "json"
    }

    /// Figures that JSON cannot express (infinite, not a number) are left out: an absent figure is one that nobody measured.
    fn render(&self, run: &RunReport) -> String {
        let mut run = run.clone();
        for report in &mut run.reports {
            report.metrics.retain(|_, metric| metric.value.is_finite());
        }
        pretty(&run)
    }
}

/// The JSON schema (draft 2020-12) of what [`Json`] writes.
pub fn schema() -> String {
    pretty(&schemars::schema_for!(RunReport))
}

fn pretty(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("all keys of a report are strings");
    text.push('\n');
    text
}

/// Why a text is not a report that we can read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is of another major version.
    #[error(
        "report of schema version {found}: this program reads version {SCHEMA_VERSION} and every other minor version of it"
    )]
    Version {
        /// What it says it is.
        found: String,
    },
    /// It is not JSON, says no version or has not the shape of its version.
    #[error("not a report: {0}")]
    Shape(#[from] serde_json::Error),
}

/// Reads what [`Json`] wrote, in this or any other minor version; fields that are not known are ignored.
///
/// # Errors
/// [`ReadError`]
pub fn read(text: &str) -> Result<RunReport, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        schema_version: String,
    }
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    let Head { schema_version } = serde_json::from_str(text)?;
    if major(&schema_version) == major(SCHEMA_VERSION) {
        Ok(serde_json::from_str(text)?)
    } else {
        Err(ReadError::Version { found: schema_version })
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use serde_json::{Value, json};

    const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/schema/report.schema.json");

    fn value(run: &RunReport) -> Value {
        serde_json::from_str(&Json.render(run)).unwrap()
    }

    #[test]
    fn the_shipped_schema_is_up_to_date() {
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(SCHEMA_FILE, schema()).unwrap();
        }
        let shipped = std::fs::read_to_string(SCHEMA_FILE).unwrap_or_default();
        assert!(shipped == schema(), "{SCHEMA_FILE} is out of date: run the tests once with BLESS=1");
    }

    #[test]
    fn every_report_keeps_to_the_schema_and_comes_back() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for (name, run) in samples::all() {
            let errors: Vec<_> = validator.iter_errors(&value(&run)).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
            let again = read(&Json.render(&run)).unwrap();
            assert_eq!(Json.render(&again), Json.render(&run), "{name}");
        }
        let mut broken = value(&samples::healthy());
        broken["reports"][0]["checks"][0]["status"] = json!("green");
        assert!(!validator.is_valid(&broken));
    }

    #[test]
    fn a_later_minor_version_is_read_and_another_major_one_refused() {
        let mut later = value(&samples::healthy());
        later["schema_version"] = json!("1.7");
        later["mood"] = json!("good");
        later["reports"][0]["checks"][0]["mood"] = json!("good");
        assert_eq!(read(&later.to_string()).unwrap().reports, samples::healthy().reports);

        later["schema_version"] = json!("2.0");
        let refused = read(&later.to_string()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "report of schema version 2.0: this program reads version {SCHEMA_VERSION} and every other minor version of it"
            )
        );
        later["schema_version"] = json!("10.0");
        assert!(matches!(read(&later.to_string()), Err(ReadError::Version { .. })));
        assert!(matches!(read("{}"), Err(ReadError::Shape(_))));
    }

    #[test]
    fn a_report_of_before_guesses_and_follow_ups_is_read() {
        let mut earlier = value(&samples::healthy());
        earlier["schema_version"] = json!("1.0");
        for field in ["considered", "follow_ups"] {
            earlier["reports"][0].as_object_mut().unwrap().remove(field).unwrap();
        }
        assert_eq!(read(&earlier.to_string()).unwrap().reports, samples::healthy().reports);
    }

    #[test]
    fn a_figure_that_is_none_is_left_out() {
        let run = samples::hostile();
        assert!(run.reports[0].metrics.values().any(|m| !m.value.is_finite()));
        assert!(read(&Json.render(&run)).is_ok());
    }
}
