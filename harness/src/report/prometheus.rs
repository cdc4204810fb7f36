//! Figures for a Prometheus collector: the text format, one sample a line. Times are in seconds, shares are fractions.

use super::Reporter;
use crate::evidence::{Report, RunReport, Status};
use std::collections::BTreeMap;

/// The text exposition format (version 0.0.4).
#[derive(Clone, Copy, Debug)]
pub struct Prometheus;

/// What each family is.
const FAMILIES: &[(&str, &str)] = &[
    ("sidetone_probe_success", "1: nothing fails and nothing is unknown."),
    ("sidetone_probe_status", "1 for the status of the verdict."),
    ("sidetone_probe_cause", "1 for the first cause that was found."),
    ("sidetone_probe_check_status", "1 for the status of each check."),
    ("sidetone_probe_rounds", "Rounds by status."),
    ("sidetone_probe_timestamp_seconds", "When the probe began."),
];

impl Reporter for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn extension(&self) -> &'static str {
        "prom"
    }

    fn render(&self, run: &RunReport) -> String {
        let mut samples: Vec<(String, String, f64)> = Vec::new();
        for (index, report) in run.reports.iter().enumerate() {
            let rounds = run.scenarios.get(index).map(|summary| &summary.by_status);
            of_report(report, &mut samples);
            for (word, count) in rounds.into_iter().flatten() {
                let labels = labels(&[("target", &report.run.scenario), ("status", &word.to_lowercase())]);
                samples.push(("sidetone_probe_rounds".to_owned(), labels, f64::from(*count)));
            }
        }
        let mut names: Vec<&str> = samples.iter().map(|(name, ..)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut text = String::new();
        for name in names {
            let help =
                FAMILIES.iter().find(|(family, _)| *family == name).map_or("A figure of the probe.", |(_, help)| help);
            text.extend(["# HELP ", name, " ", help, "\n# TYPE ", name, " gauge\n"]);
            for (_, labels, value) in samples.iter().filter(|(family, ..)| family == name) {
                text.extend([name, labels, " ", &value.to_string(), "\n"]);
            }
        }
        text
    }
}

fn of_report(report: &Report, samples: &mut Vec<(String, String, f64)>) {
    let target = report.run.scenario.as_str();
    let mut add = |name: &str, more: &[(&str, &str)], value: f64| {
        let all: Vec<_> = [("target", target)].into_iter().chain(more.iter().copied()).collect();
        samples.push((format!("sidetone_probe_{name}"), labels(&all), value));
    };
    let good = matches!(report.verdict.status, Status::Pass | Status::Warn);
    add("success", &[], f64::from(u8::from(good)));
    add("status", &[("status", &report.verdict.status.word().to_lowercase())], 1.0);
    if let Some(finding) = report.findings.first() {
        add("cause", &[("cause", &finding.cause)], 1.0);
    }
    // some checks are made for several addresses under one id: the worst counts
    let mut worst: BTreeMap<&str, Status> = BTreeMap::new();
    for check in &report.checks {
        let status = worst.entry(&check.id).or_insert(check.status);
        *status = check.status.max(*status);
    }
    for (check, status) in worst {
        add("check_status", &[("check", check), ("status", &status.word().to_lowercase())], 1.0);
    }
    if let Ok(began) = report.run.started.parse::<jiff::Timestamp>() {
        add("timestamp_seconds", &[], began.as_millisecond() as f64 / 1e3);
    }
    for (name, metric) in &report.metrics {
        let (suffix, value) = match metric.unit.as_str() {
            "us" => ("_seconds", metric.value / 1e6),
            "ms" => ("_seconds", metric.value / 1e3),
            "s" => ("_seconds", metric.value),
            "fraction" => ("_ratio", metric.value),
            "dB" => ("_decibels", metric.value),
            "bytes" => ("_bytes", metric.value),
            _ => ("", metric.value),
        };
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        add(&format!("{plain}{suffix}"), &[], value);
    }
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |value: &str| {
        let plain: String = value.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
        plain.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    };
    let each: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", each.join(","))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn snapshots() {
        for (name, run) in samples::all() {
            insta::assert_snapshot!(format!("prometheus_{name}"), Prometheus.render(&run));
        }
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample_and_no_sample_comes_twice() {
        for (name, run) in samples::all() {
            let text = Prometheus.render(&run);
            let mut seen = std::collections::BTreeSet::new();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok() && series.ends_with('}'), "{name}: {line}");
                assert!(seen.insert(series.to_owned()), "{name}: twice: {line}");
            }
        }
    }

    #[test]
    fn hostile_values_stay_inside_their_quotes() {
        assert_eq!(labels(&[("a", "x\"} 1\ny\\\u{1b}")]), "{a=\"x\\\"} 1\\ny\\\\\u{fffd}\"}");
    }
}
