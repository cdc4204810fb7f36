//! Several reports together: exit code, summaries, the verdict over all.

use crate::evidence::{Expectation, Report, ScenarioSummary, Status, Verdict};
use std::collections::BTreeMap;

/// Exit codes of `sidetone-harness`. They are an interface.
pub mod exit {
    /// Everything as it should be; warnings allowed.
    pub const GOOD: u8 = 0;
    /// At least one check failed, or an expectation was not met.
    pub const FAILED: u8 = 1;
    /// Usage or scenario error; nothing ran.
    pub const USAGE: u8 = 2;
    /// The harness itself failed; the report is partial.
    pub const HARNESS: u8 = 3;
    /// Nothing failed, but a required check is unknown.
    pub const INCONCLUSIVE: u8 = 4;
    /// No check was selected.
    pub const NOTHING: u8 = 5;
    /// The run's deadline was reached; the report is written.
    pub const DEADLINE: u8 = 124;
    /// SIGINT; children are gone and the report is written.
    pub const INTERRUPTED: u8 = 130;
    /// SIGTERM; children are gone and the report is written.
    pub const TERMINATED: u8 = 143;
}

/// What one report counts as: its verdict, or whether its expectation was met.
pub fn counts_as(report: &Report) -> Status {
    match report.expectation {
        Expectation::None => report.verdict.status,
        Expectation::Met { .. } => Status::Pass,
        // a run that could not be judged is not a failure of the expectation
        Expectation::Unmet { .. } if matches!(report.verdict.status, Status::Unknown | Status::Skip) => {
            report.verdict.status
        }
        Expectation::Unmet { .. } => Status::Fail,
    }
}

/// The exit code of all reports together. With `strict` a warning fails too.
pub fn exit_code<'a>(reports: impl Iterator<Item = &'a Report>, strict: bool) -> u8 {
    let worst = reports.map(counts_as).max();
    match worst {
        None | Some(Status::Skip) => exit::NOTHING,
        Some(Status::Fail) => exit::FAILED,
        Some(Status::Unknown) => exit::INCONCLUSIVE,
        Some(Status::Warn) if strict => exit::FAILED,
        Some(Status::Warn | Status::Pass) => exit::GOOD,
    }
}

/// All repeats of one scenario in one line; `reports` are of that scenario and not empty. The worst stands for all.
pub fn summarise(
    name: &str,
    reports: &[Report],
    folder_of: impl Fn(&Report) -> String,
) -> Option<(ScenarioSummary, Report)> {
    // the first of the worst: later ones often only repeat it
    let worst = reports.iter().rev().max_by_key(|r| counts_as(r))?;
    let mut by_status: BTreeMap<String, u32> = BTreeMap::new();
    let mut not_passed: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    for report in reports {
        *by_status.entry(report.verdict.status.word().to_owned()).or_default() += 1;
        for check in report.checks.iter().filter(|c| !matches!(c.status, Status::Pass | Status::Skip)) {
            let counts = not_passed.entry(check.id.clone()).or_default();
            *counts.entry(check.status.word().to_owned()).or_default() += 1;
        }
    }
    let summary = ScenarioSummary {
        name: name.to_owned(),
        folder: folder_of(worst),
        repeats: u32::try_from(reports.len()).unwrap_or(u32::MAX),
        by_status,
        not_passed,
        verdict: worst.verdict.clone(),
        expectation: worst.expectation.clone(),
        duration_ms: reports.iter().map(|r| r.run.duration_ms).sum(),
    };
    Some((summary, worst.clone()))
}

/// One sentence over all scenarios.
pub fn verdict(summaries: &[ScenarioSummary], reports: &[Report]) -> Verdict {
    match (summaries, reports) {
        ([], _) => Verdict { status: Status::Unknown, sentence: "nothing was run".to_owned() },
        ([one], [report]) if one.repeats == 1 => report.verdict.clone(),
        _ => over_all(summaries, reports),
    }
}

/// A run that ended before all its `wanted` runs were made: what was found stands, and the rest is not known.
pub fn cut_short(verdict: Verdict, reason: &str, wanted: usize, summaries: &[ScenarioSummary]) -> Verdict {
    let begun: u32 = summaries.iter().map(|s| s.repeats).sum();
    let so_far = verdict.sentence;
    let sentence =
        format!("cut short: {reason}; {begun} of {wanted} runs were begun, the last is incomplete; so far: {so_far}");
    Verdict { status: verdict.status.max(Status::Unknown), sentence }
}

fn over_all(summaries: &[ScenarioSummary], reports: &[Report]) -> Verdict {
    let status = reports.iter().map(counts_as).max().unwrap_or(Status::Unknown);
    let runs: u32 = summaries.iter().map(|s| s.repeats).sum();
    let scenarios = match summaries {
        [one] => format!("{} runs of {}", one.repeats, one.name),
        many => format!("{runs} runs of {} scenarios", many.len()),
    };
    let bad: Vec<_> = summaries
        .iter()
        .zip(reports)
        .filter(|(_, r)| !matches!(counts_as(r), Status::Pass | Status::Skip))
        .map(|(s, _)| {
            let counts: Vec<_> = s.by_status.iter().map(|(word, n)| format!("{n} {word}")).collect();
            format!("{} ({}): {}", s.name, counts.join(", "), s.verdict.sentence)
        })
        .collect();
    let sentence = if bad.is_empty() {
        let met = summaries.iter().filter(|s| matches!(s.expectation, Expectation::Met { .. })).count();
        let met = match met {
            0 => String::new(),
            1 => ", and the expectation is met".to_owned(),
            n => format!(", and all {n} expectations are met"),
        };
        format!("{scenarios}: everything as it should be{met}")
    } else {
        format!("{scenarios}: {}", bad.join("; "))
    };
    Verdict { status, sentence }
}
