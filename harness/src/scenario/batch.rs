//! Several scenarios and repeats: runs them one after the other, writes one report over all.

use super::file::Scenario;
use super::folder;
use super::isolated;
use super::run::{self, Setup};
use crate::clock::now_rfc3339;
use crate::diagnosis::{diagnose, outcome};
use crate::evidence::{Expectation, Network, Report, RunInfo, RunReport, SCHEMA_VERSION, Status};
use crate::report::{self, Reporter};
use crate::timeline::timeline;
use std::future::Future;
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// Why a run was told to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// The deadline of the run or of a scenario.
    Deadline,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Interrupt {
    /// The exit code that tells it.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Deadline => outcome::exit::DEADLINE,
            Self::Interrupted => outcome::exit::INTERRUPTED,
            Self::Terminated => outcome::exit::TERMINATED,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Deadline => "the deadline of the run (--timeout) was reached",
            Self::Interrupted => "SIGINT",
            Self::Terminated => "SIGTERM",
        }
    }
}

/// A report that goes to a place of its own.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Format.
    pub reporter: &'static dyn Reporter,
    /// A file; `-` is stdout.
    pub path: PathBuf,
}

impl Destination {
    /// Whether it goes to stdout.
    pub fn is_stdout(&self) -> bool {
        self.path.as_os_str() == "-"
    }
}

/// What to run and where to write it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In this order.
    pub scenarios: Vec<Scenario>,
    /// Each so many times.
    pub repeat: u32,
    /// Of all chance.
    pub seed: u64,
    /// Runs are written below this folder.
    pub root: PathBuf,
    /// Newest runs that are kept there.
    pub keep: usize,
    /// The `sidetone` binary.
    pub sidetone: PathBuf,
    /// A `sidetone` that can misbehave on purpose, for the scenarios that need one.
    pub saboteur: Option<PathBuf>,
    /// The browser for clients of that kind, or why there is none.
    pub browser: Result<PathBuf, String>,
    /// What it says of its version, if it could be asked.
    pub sidetone_version: Option<String>,
    /// This binary.
    pub harness: PathBuf,
    /// The harness's command line.
    pub command: Vec<String>,
    /// The words of it that name scenarios.
    pub asked: Vec<String>,
    /// A warning fails too.
    pub strict: bool,
    /// Further reports.
    pub destinations: Vec<Destination>,
}

/// Nothing could be run.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The folder of the run cannot be made.
    #[error("{path}: the run cannot be written there: {}; give another folder with --out FOLDER", folder::reason(error), path = path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// What a batch leaves behind.
#[derive(Debug)]
pub struct Done {
    /// All conclusions.
    pub report: RunReport,
    /// Where it is.
    pub folder: PathBuf,
    /// What could not be written.
    pub problems: Vec<String>,
    /// Rendered reports for stdout.
    pub stdout: Vec<String>,
    /// Why it ended early.
    pub interrupt: Option<Interrupt>,
}

impl Done {
    /// What the harness exits with: an early end, then its own failure, then what the checks say.
    pub fn exit_code(&self) -> u8 {
        match self.interrupt {
            Some(interrupt) => interrupt.exit_code(),
            None if !self.problems.is_empty() => outcome::exit::HARNESS,
            None => self.report.exit_code,
        }
    }
}

async fn interrupted(mut interrupts: watch::Receiver<Option<Interrupt>>) -> Interrupt {
    loop {
        if let Some(interrupt) = *interrupts.borrow_and_update() {
            return interrupt;
        }
        if interrupts.changed().await.is_err() {
            std::future::pending::<()>().await; // nobody is left who could interrupt
        }
    }
}

impl Batch {
    /// Runs everything. `progress` is told of each step, a line each.
    ///
    /// # Errors
    /// [`BatchError`]: nothing was run.
    pub async fn run(
        &self,
        interrupts: watch::Receiver<Option<Interrupt>>,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Done, BatchError> {
        let started = now_rfc3339();
        let claim = folder::create(&self.root, &folder::run_id(&started))
            .map_err(|error| BatchError::Folder { path: self.root.clone(), error })?;
        let (run_id, folder) = (claim.run_id(), claim.path.clone());
        let mut problems = Vec::new();
        let mut interrupt = None;
        let (mut summaries, mut shown) = (Vec::new(), Vec::new());
        for scenario in &self.scenarios {
            let mut reports: Vec<Report> = Vec::new();
            for repeat in 1..=self.repeat {
                if interrupt.is_some() {
                    break;
                }
                let info = self.info(&run_id, scenario, repeat);
                let place = folder.join(self.folder_of(&scenario.plan.scenario, repeat));
                let (report, unsaved) = self.one(scenario, info, &place, interrupted(interrupts.clone())).await;
                problems.extend(unsaved);
                progress(&self.progress_line(&report));
                interrupt = *interrupts.borrow();
                if interrupt.is_none()
                    && report.checks.iter().any(|c| c.id == "harness.complete" && c.status == Status::Unknown)
                {
                    interrupt = Some(Interrupt::Deadline);
                }
                reports.push(report);
            }
            let name = &scenario.plan.scenario;
            if let Some((summary, worst)) = outcome::summarise(name, &reports, |r| self.folder_of(name, r.run.repeat)) {
                summaries.push(summary);
                shown.push(worst);
            }
        }
        let mut report = RunReport {
            schema_version: SCHEMA_VERSION.to_owned(),
            run_id,
            started,
            command: self.command.clone(),
            verdict: outcome::verdict(&summaries, &shown),
            exit_code: outcome::exit_code(shown.iter(), self.strict),
            scenarios: summaries,
            reports: shown,
            comparison: None,
        };
        if let Some(interrupt) = interrupt {
            report.exit_code = interrupt.exit_code();
            let wanted = self.scenarios.len() * self.repeat as usize;
            if wanted > 1 {
                report.verdict = outcome::cut_short(report.verdict, interrupt.reason(), wanted, &report.scenarios);
            }
        }
        let mut done = Done { report, folder, problems, stdout: Vec::new(), interrupt };
        self.write(&mut done);
        drop(claim);
        Ok(done)
    }

    fn info(&self, run_id: &str, scenario: &Scenario, repeat: u32) -> RunInfo {
        RunInfo {
            run_id: run_id.to_owned(),
            scenario: scenario.plan.scenario.clone(),
            repeat,
            seed: self.seed.wrapping_add(u64::from(repeat - 1)),
            started: now_rfc3339(),
            duration_ms: 0,
            command: self.command.clone(),
            again: self.again(scenario),
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            sidetone_version: self.sidetone_version.clone(),
        }
    }

    /// The command line with this scenario in the place of all that were asked for.
    fn again(&self, scenario: &Scenario) -> Vec<String> {
        let mut command = self.command.clone();
        for word in &self.asked {
            if let Some(at) = command.iter().position(|w| w == word) {
                command.remove(at);
            }
        }
        let after = command.iter().position(|w| w == "run").map_or(command.len(), |at| at + 1);
        command.insert(after, scenario.word.clone());
        command
    }

    fn folder_of(&self, scenario: &str, repeat: u32) -> String {
        if self.repeat == 1 { scenario.to_owned() } else { format!("{scenario}-{repeat:03}") }
    }

    fn progress_line(&self, report: &Report) -> String {
        let count = if self.repeat == 1 { String::new() } else { format!(" {}/{}", report.run.repeat, self.repeat) };
        let seconds = report.run.duration_ms as f64 / 1e3;
        let (word, name) = (report.verdict.status.word(), &report.run.scenario);
        let expected = match &report.expectation {
            Expectation::None => String::new(),
            Expectation::Met { .. } => ", as expected".to_owned(),
            Expectation::Unmet { expected, .. } => format!(", NOT as expected ({expected})"),
        };
        format!("{word:<7} {name}{count} ({seconds:.1} s){expected}: {}", report.verdict.sentence)
    }

    /// One run of one scenario, with its own folder.
    async fn one(
        &self,
        scenario: &Scenario,
        info: RunInfo,
        folder: &Path,
        interrupt: impl Future<Output = Interrupt>,
    ) -> (Report, Vec<String>) {
        let made = std::fs::create_dir_all(folder)
            .err()
            .map(|error| format!("{}: {}", folder.display(), folder::reason(&error)));
        let folder_of_run = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let setup = Setup {
            plan: scenario.plan.clone(),
            info,
            sidetone: self.sidetone.clone(),
            saboteur: self.saboteur.clone(),
            browser: self.browser.clone(),
            harness: self.harness.clone(),
            folder: folder_of_run,
            without_network: None,
        };
        let reason = async { interrupt.await.reason().to_owned() };
        let (evidence, unsaved) = match scenario.plan.network {
            Network::Shared => Box::pin(run::run(setup, reason)).await,
            Network::Private => Box::pin(isolated::run(setup, reason)).await,
        };
        (diagnose(&evidence, timeline(&evidence)), made.into_iter().chain(unsaved).collect())
    }

    /// Writes every report that can be written.
    fn write(&self, done: &mut Done) {
        let mut problems = Vec::new();
        let mut save = |path: &Path, text: &str| {
            if let Err(error) = std::fs::write(path, text) {
                problems.push(format!("{}: {}", path.display(), folder::reason(&error)));
            }
        };
        let standard = [("markdown", "report.md"), ("json", "report.json"), ("junit", "junit.xml")];
        for (format, file) in standard {
            let Ok(reporter) = report::by_name(format) else { continue };
            save(&done.folder.join(file), &reporter.render(&done.report));
            for (i, summary) in done.report.scenarios.iter().enumerate() {
                if let Some(one) = report::of_scenario(&done.report, i) {
                    save(&done.folder.join(&summary.folder).join(file), &reporter.render(&one));
                }
            }
        }
        for destination in &self.destinations {
            let text = destination.reporter.render(&done.report);
            if destination.is_stdout() {
                done.stdout.push(text);
            } else {
                save(&destination.path, &text);
            }
        }
        let kept = folder::point_latest(&self.root, &done.folder).and_then(|()| folder::prune(&self.root, self.keep));
        if let Err(error) = kept {
            problems.push(format!("{}: {}", self.root.display(), folder::reason(&error)));
        }
        done.problems.append(&mut problems);
    }
}
