//! One target: once, so many times, or until something is so.

use super::gather::Wanted;
use super::{Probe, Until};
use crate::cli::redacted_command_line;
use crate::clock::{monotonic_ns, now_rfc3339};
use crate::diagnosis::diagnose;
use crate::diagnosis::probed::samples::samples;
use crate::diagnosis::questions::questions;
use crate::evidence::probed::{Saw, Step};
use crate::evidence::{
    Evidence, Expectation, Log, Observation, Observed, Plan, Report, RunInfo, SCHEMA_VERSION, Status,
};
use crate::launch::{logs, resources};
use crate::probe::follow_up;
use crate::probe::run::look;
use crate::scenario::folder::run_id;
use crate::timeline::timeline;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;

/// Rounds of questions that a log raises.
const MOST_ROUNDS: u32 = 4;

/// What became of a target.
pub(super) struct Done {
    pub(super) name: String,
    /// Of each round that was made; of `--until` the last one.
    pub(super) statuses: Vec<Status>,
    /// The worst round, of `--until` the last one, with the figures of all; `None`: it was ended before the first one.
    pub(super) shown: Option<(Report, Evidence)>,
}

/// All rounds.
pub(super) async fn all(asked: &Probe, wanted: &Wanted, mut stopped: watch::Receiver<bool>) -> Done {
    let mut rounds: Vec<(Status, Evidence)> = Vec::new();
    let mut statuses: Vec<Status> = Vec::new();
    let mut collected: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let began = monotonic_ns();
    let usual = if asked.until.is_some() { Duration::from_millis(500) } else { Duration::from_secs(1) };
    let interval = asked.interval.unwrap_or(usual);
    let patience = asked.patience.unwrap_or_default();
    let mut number = 0_u32;
    let mut reached = false;
    loop {
        number += 1;
        let round_began = monotonic_ns();
        let evidence = tokio::select! {
            evidence = round(asked, wanted, number) => evidence,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let status = diagnose(&evidence, Vec::new()).verdict.status;
        for (figure, (values, _)) in samples(&evidence) {
            collected.entry(figure).or_default().extend(values);
        }
        statuses.push(status);
        // the first of the worst stands for all; until something is so, the last one does
        if asked.until.is_some() || rounds.first().is_none_or(|(worst, _)| status > *worst) {
            rounds = vec![(status, evidence)];
        }
        reached = match asked.until {
            None => number >= asked.count,
            Some(Until::Healthy) => matches!(status, Status::Pass | Status::Warn),
            Some(Until::Failing) => status == Status::Fail,
        };
        let next = Duration::from_nanos(round_began - began) + interval;
        if reached || asked.until.is_some() && next > patience {
            break;
        }
        let rest = interval.saturating_sub(Duration::from_nanos(monotonic_ns() - round_began));
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }
    let Some((_, mut evidence)) = rounds.pop() else {
        return Done { name: wanted.name.clone(), statuses, shown: None };
    };
    if statuses.len() > 1 {
        let all = collected.into_iter().map(|(figure, values)| Observation::Samples { figure, values });
        evidence.observations.extend(all.map(seen));
    }
    evidence.run.duration_ms = (monotonic_ns() - began) / 1_000_000;
    let mut shown = diagnose(&evidence, timeline(&evidence));
    if let Some(until) = asked.until {
        shown.expectation = expectation(until, patience, reached, &shown);
        statuses = vec![shown.verdict.status];
    }
    Done { name: wanted.name.clone(), statuses, shown: Some((shown, evidence)) }
}

/// What was waited for came, or did not; and why.
fn expectation(until: Until, patience: Duration, reached: bool, last: &Report) -> Expectation {
    let state = match until {
        Until::Healthy => "healthy",
        Until::Failing => "failing",
    };
    let expected = format!("{state} within {} s", patience.as_secs_f64());
    if reached {
        return Expectation::Met { expected };
    }
    Expectation::Unmet { expected, found: format!("{} at the end", last.verdict.status.word()) }
}

fn seen(what: Observation) -> Observed {
    Observed { time: now_rfc3339(), monotonic_ns: monotonic_ns(), what }
}

/// One look, as evidence.
async fn round(asked: &Probe, wanted: &Wanted, number: u32) -> Evidence {
    let started = now_rfc3339();
    let began = monotonic_ns();
    let mut observations: Vec<Observed> = Box::pin(look(&wanted.options)).await.into_iter().map(seen).collect();
    // when a step began is known better than when all was over
    for observed in &mut observations {
        if let Observation::Probed(step) = &observed.what {
            observed.monotonic_ns = began + step.began_us * 1_000;
        }
    }
    let mut logs = Vec::new();
    let here = observations.iter().any(|seen| matches!(&seen.what, Observation::Probed(step) if is_here(step)));
    if let Some(path) = &asked.log {
        match read(path) {
            Ok(log) => logs.push(log),
            Err(why) => observations.push(seen(Observation::NotObserved {
                what: "the server's own log".to_owned(),
                why,
                remedy: Some("--log FILE, a file that can be read".to_owned()),
            })),
        }
    }
    let mut probe = wanted.options.plan();
    probe.bounds = asked.max.iter().chain(&asked.min).cloned().collect();
    let plan = Plan {
        scenario: wanted.name.clone(),
        title: format!("Probe of {}", wanted.name),
        probe: Some(probe),
        ..Plan::default()
    };
    let run = RunInfo {
        run_id: run_id(&started),
        scenario: wanted.name.clone(),
        repeat: number,
        started,
        duration_ms: (monotonic_ns() - began) / 1_000_000,
        command: redacted_command_line(),
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..RunInfo::default()
    };
    let mut evidence = Evidence {
        schema_version: SCHEMA_VERSION.to_owned(),
        run,
        plan,
        environment: resources::environment(),
        logs,
        observations,
        artefacts: BTreeMap::new(),
    };
    if here && asked.log.is_some() {
        follow_up(&mut evidence).await;
    }
    evidence
}

/// Whether the target is this machine.
fn is_here(step: &Step) -> bool {
    matches!(&step.saw, Saw::Route(route) if route.this_machine == Some(true))
}

/// What the log leaves open is found out: who has the port now, and can it be bound?
async fn follow_up(evidence: &mut Evidence) {
    for _ in 0..MOST_ROUNDS {
        let questions = questions(evidence);
        if questions.is_empty() {
            break;
        }
        for (question, because) in questions {
            let answer = follow_up::answer(&question, &because).await;
            evidence.observations.push(seen(answer));
        }
    }
}

fn read(path: &Path) -> Result<Log, String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(format!("{}: no file", path.display()));
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    logs::read_log(folder, name, "server", "events")
}
