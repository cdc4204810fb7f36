//! Saved evidence of every scenario that breaks something is diagnosed again: the same cause, whatever the engine is told
//! of the plan.
#![cfg(test)] // so that the lints know the helpers for test code
#![expect(clippy::wildcard_enum_match_arm, reason = "a test wants one kind; later kinds are none of its business")]

use super::place::root;
use sidetone_harness::cause;
use sidetone_harness::diagnosis::outcome::counts_as;
use sidetone_harness::diagnosis::questions::questions;
use sidetone_harness::diagnosis::{diagnose, outcome};
use sidetone_harness::evidence::{Evidence, Expectation, HypothesisState, NO_CAUSE, Observation, Report, Status};
use sidetone_harness::scenario::shipped;
use sidetone_harness::timeline::timeline;
use std::collections::BTreeSet;

/// Causes without saved evidence, and why.
const WITHOUT: [(&str, &str); 1] =
    [("resource.disk_full", "the evidence of a full disk cannot be saved on it; disk.rs finds it")];

fn saved() -> Vec<(String, Evidence)> {
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("fixtures/evidence")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (name, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    };
    files.into_iter().map(read).collect()
}

fn diagnosed(evidence: &Evidence) -> Report {
    diagnose(evidence, timeline(evidence))
}

/// What the engine concludes, without the numbers of citations.
fn gist(report: &Report) -> Vec<(String, String, String)> {
    let gist =
        |f: &sidetone_harness::evidence::Finding| (f.cause.clone(), format!("{:?}", f.confidence), f.summary.clone());
    report.findings.iter().map(gist).collect()
}

#[test]
fn every_shipped_fault_has_saved_evidence_and_its_expectation_is_met() {
    let all = saved();
    for (name, _) in shipped::FAULTS {
        let (_, evidence) =
            all.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("fixtures/evidence/{name}.json is missing"));
        let report = diagnosed(evidence);
        assert_eq!(counts_as(&report), Status::Pass, "{name}: {:?}: {}", report.expectation, report.verdict.sentence);
        assert_eq!(outcome::exit_code([&report].into_iter(), false), outcome::exit::GOOD, "{name}");
    }
    for (name, evidence) in &all {
        let report = diagnosed(evidence);
        assert!(!matches!(report.expectation, Expectation::Unmet { .. }), "{name}: {:?}", report.expectation);
    }
}

#[test]
fn the_engine_does_not_look_at_the_plan_of_the_fault() {
    for (name, evidence) in saved() {
        let mut blind = evidence.clone();
        blind.plan.faults.clear();
        blind.plan.expected_cause = None;
        blind.plan.expected_status = None;
        blind.plan.expected_pass.clear();
        for seen in &mut blind.observations {
            if matches!(seen.what, Observation::FaultInjected { .. }) {
                seen.what = Observation::Later;
            }
        }
        let (mut told, mut blind) = (diagnosed(&evidence), diagnosed(&blind));
        for report in [&mut told, &mut blind] {
            // these are about the plan
            report.expectation = Expectation::None;
            report.checks.retain(|c| c.id != "harness.fault");
            report.timeline.clear();
            report.reproduce.clear();
            report.evidence.clear();
        }
        let named = |report: &Report| serde_json::to_string(report).unwrap();
        // citations are numbered in the order of use, and the check of the fault has some
        let plain = |text: String| {
            text.split("\"E").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit())).collect::<String>()
        };
        assert_eq!(plain(named(&told)), plain(named(&blind)), "{name}");
    }
}

/// The text of all files below a folder whose names end like that.
fn files_below(folder: &str, end: &str) -> String {
    let mut open = vec![root().join(folder)];
    let mut text = String::new();
    while let Some(folder) = open.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().unwrap().ends_with(end) {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

#[test]
fn every_cause_has_saved_evidence() {
    let found: BTreeSet<String> =
        saved().iter().flat_map(|(_, evidence)| diagnosed(evidence).findings).map(|f| f.cause).collect();
    // what only a probe finds has a scripted server, or, where no server on loopback can show it, a test of its rule
    let probed = files_below("fixtures/probe", "toml") + &files_below("harness/src/diagnosis/rules/probe", "tests.rs");
    let shown = |code: &str| found.contains(code) || probed.contains(&format!("\"{code}\""));
    let lacks = |code: &&str| !shown(code) && WITHOUT.iter().all(|(without, _)| without != code);
    let lacking: Vec<_> = cause::iter().map(|c| c.code).filter(lacks).collect();
    assert_eq!(lacking, [] as [&str; 0], "save the evidence of a run that finds it in fixtures/evidence");
    let names: BTreeSet<_> = shipped::all().map(|(name, _)| name).collect();
    let unknown: Vec<_> = cause::iter().filter(|c| !c.scenario.is_empty() && !names.contains(c.scenario)).collect();
    assert!(unknown.is_empty(), "no such scenario: {unknown:?}");
}

#[test]
fn every_sentence_of_a_finding_has_evidence_that_can_be_opened() {
    for (name, evidence) in saved() {
        let report = diagnosed(&evidence);
        let known: BTreeSet<_> = report.evidence.iter().map(|e| e.id.to_string()).collect();
        for finding in &report.findings {
            assert!(!finding.chain.is_empty() && !finding.fixes.is_empty(), "{name}: {}", finding.summary);
            for link in &finding.chain {
                assert!(!link.evidence().is_empty(), "{name}: {}", link.statement());
                assert!(
                    link.evidence().iter().all(|id| known.contains(&id.to_string())),
                    "{name}: {}",
                    link.statement()
                );
            }
            let decided = finding.hypotheses.iter().filter(|h| h.state != HypothesisState::Open);
            for hypothesis in decided.chain(report.considered.iter().filter(|h| h.state != HypothesisState::Open)) {
                let cited = !hypothesis.evidence.is_empty() && !hypothesis.decided_by.is_empty();
                assert!(cited, "{name}: {:?} {}", hypothesis.state, hypothesis.statement);
            }
        }
        let wrong = report.checks.iter().any(|c| matches!(c.status, Status::Warn | Status::Fail));
        assert_eq!(report.considered.len(), if wrong { 6 } else { 0 }, "{name}: the six guesses");
    }
}

#[test]
fn nothing_more_is_asked_than_was_answered() {
    for (name, evidence) in saved().into_iter().filter(|(name, _)| !name.starts_with("call")) {
        let open = questions(&evidence);
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

#[test]
fn without_answers_nothing_is_made_up() {
    for (name, evidence) in saved() {
        let whole = diagnosed(&evidence);
        let mut alone = evidence.clone();
        for seen in &mut alone.observations {
            if matches!(seen.what, Observation::FollowUp { .. }) {
                seen.what = Observation::Later;
            }
        }
        let report = diagnosed(&alone);
        let causes: BTreeSet<_> = whole.findings.iter().map(|f| f.cause.as_str()).collect();
        for finding in &report.findings {
            // the one that only a second look can tell from a holder that has gone
            let held = causes.contains("bind.bound_not_listening") && finding.cause == "bind.port_in_use";
            assert!(causes.contains(finding.cause.as_str()) || held, "{name}: {}", finding.summary);
        }
    }
}

/// Puts the greatest number wherever one stands in what programs logged and told.
fn greatest(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) if number.is_u64() => *value = u64::MAX.into(),
        serde_json::Value::Array(all) => all.iter_mut().for_each(greatest),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(greatest),
        _ => {}
    }
}

#[test]
fn no_figure_of_a_program_can_break_a_diagnosis() {
    use sidetone::event::Event;
    for (_, mut evidence) in
        saved().into_iter().filter(|(name, _)| name.starts_with("call") || name.starts_with("late"))
    {
        for record in evidence.logs.iter_mut().flat_map(|l| &mut l.lines).filter_map(|l| l.record.as_mut()) {
            match &mut record.event {
                Event::MixerStats { ticks, expected_ticks, late_ticks, .. } => {
                    (*ticks, *expected_ticks, *late_ticks) = (u64::MAX, u64::MAX, u64::MAX);
                }
                Event::SessionLeft { inbound, pictures_received, audio_sent, pictures_sent, .. } => {
                    (inbound.packets_received, inbound.concealed_samples) = (u64::MAX, u64::MAX);
                    (*pictures_received, *audio_sent, *pictures_sent) = (u64::MAX, u64::MAX, u64::MAX);
                }
                Event::AudioGap { samples, lasted_us, ended_utc_ms, .. } => {
                    (*samples, *lasted_us, *ended_utc_ms) = (u64::MAX, u64::MAX, Some(u64::MAX));
                }
                _ => {}
            }
        }
        for seen in &mut evidence.observations {
            match &mut seen.what {
                Observation::Stats { stats, .. } => greatest(stats),
                Observation::Pressure { run_delay_us, .. } => run_delay_us.values_mut().for_each(|us| *us = u64::MAX),
                Observation::Scheduling { began_ns, at_ms, processes } => {
                    *began_ns = u64::MAX;
                    at_ms.fill(u32::MAX);
                    for waits in processes.values_mut() {
                        waits.delay_us.fill(u32::MAX);
                    }
                }
                _ => {}
            }
        }
        diagnosed(&evidence);
    }
}

#[test]
fn a_healthy_scenario_names_no_cause() {
    let healthy = |evidence: &Evidence| evidence.plan.expected_cause.as_deref() == Some(NO_CAUSE);
    let all: Vec<_> = saved().into_iter().filter(|(name, e)| name == "call" || healthy(e)).collect();
    assert!(all.len() >= 3);
    for (name, evidence) in all {
        let report = diagnosed(&evidence);
        assert_eq!((gist(&report), report.verdict.status), (vec![], Status::Pass), "{name}");
    }
}

#[test]
fn load_accuses_nobody_and_hides_no_fault() {
    // four processes and more burned two processors beside these runs
    let busy: Vec<_> = saved().into_iter().filter(|(name, _)| name.ends_with("-busy")).collect();
    let (healthy, faulty): (Vec<_>, Vec<_>) = busy.iter().partition(|(_, e)| e.plan.expected_cause.is_none());
    assert!(healthy.len() >= 3 && faulty.len() >= 6, "{} healthy, {} faulty", healthy.len(), faulty.len());
    for (name, evidence) in healthy {
        let report = diagnosed(evidence);
        let failed: Vec<_> = report.checks.iter().filter(|c| c.status == Status::Fail).collect();
        assert!(failed.is_empty() && report.findings.is_empty(), "{name}: {failed:?}");
    }
    for (name, evidence) in faulty {
        let report = diagnosed(evidence);
        let first = report.findings.first().map(|f| f.cause.as_str());
        assert_eq!(first, evidence.plan.expected_cause.as_deref(), "{name}: {}", report.verdict.sentence);
    }
}

#[test]
fn load_that_was_not_there_at_that_time_excuses_nothing() {
    let all = saved();
    let (_, evidence) = all.iter().find(|(name, _)| name == "call-browser-busy").unwrap();
    let lost = |evidence: &Evidence| {
        let report = diagnosed(evidence);
        let of_loss = |id: &str| id.starts_with("media.underrun/") || id.starts_with("media.concealment/");
        report.checks.iter().filter(|c| of_loss(&c.id)).map(|c| c.status).max().unwrap()
    };
    assert_eq!(lost(evidence), Status::Warn);
    let mut idle = evidence.clone();
    for seen in &mut idle.observations {
        if let Observation::Scheduling { processes, .. } = &mut seen.what {
            for waits in processes.values_mut() {
                waits.delay_us.fill(0);
            }
        }
    }
    assert_eq!(lost(&idle), Status::Fail, "the pressure over the whole call is still there");
}
