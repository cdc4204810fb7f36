//! Several targets side by side.

use super::bounds::told;
use super::samples::FIGURES;
use crate::evidence::{Compared, Comparison, Report, Status};

/// Most targets that fit side by side.
const MOST: usize = 6;

/// A row a layer with its worst status, and a row a figure; `None`: there is one target, or there are too many.
pub fn compare(reports: &[Report]) -> Option<Comparison> {
    if !(2..=MOST).contains(&reports.len()) {
        return None;
    }
    let columns = reports.iter().map(|report| report.run.scenario.clone()).collect();
    let mut layers: Vec<_> = reports.iter().flat_map(|report| report.checks.iter().map(|check| check.layer)).collect();
    layers.sort();
    layers.dedup();
    let mut rows: Vec<Compared> = Vec::new();
    let mut add = |name: String, cells: Vec<String>| {
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push(Compared { name, cells });
        }
    };
    for layer in layers {
        let worst = |report: &Report| {
            let statuses = report.checks.iter().filter(|check| check.layer == layer).map(|check| check.status);
            statuses.max().map(Status::word).unwrap_or_default().to_owned()
        };
        add(format!("{layer:?}").to_lowercase(), reports.iter().map(worst).collect());
    }
    for figure in FIGURES {
        for suffix in ["", ".p95", ".max"] {
            let name = format!("{}{suffix}", figure.name);
            let value = |report: &Report| {
                report.metrics.get(&name).map(|metric| told(metric.value, &metric.unit)).unwrap_or_default()
            };
            let cells: Vec<_> = reports.iter().map(value).collect();
            add(name, cells);
        }
    }
    let cause = |report: &Report| report.findings.first().map(|f| f.cause.clone()).unwrap_or_default();
    add("cause".to_owned(), reports.iter().map(cause).collect());
    add("verdict".to_owned(), reports.iter().map(|report| report.verdict.status.word().to_owned()).collect());
    Some(Comparison { columns, rows })
}
