//! One run of one scenario: launch, observe, end, and save the evidence. Readiness is seen, never slept for; whatever
//! interrupts the steps, the ending and the saving happen.
//!
//! * `server`: its start, and the look at it from outside; `clients`: their start, the call, their end;
//! * `faults`: what is broken on purpose, when, and whether it really was; `page`: the same for browsers; `follow_up`: what the diagnosis asks for;
//! * `finish`: everything is ended, looked at once more, and saved.

#![expect(clippy::wildcard_enum_match_arm, reason = "a look-up wants one kind; later kinds are none of its business")]

mod clients;
mod faults;
mod finish;
mod follow_up;
mod page;
mod server;

use crate::clock::{monotonic_ns, now_rfc3339};
use crate::evidence::{ClientKind, Environment, Evidence, Observation, Observed, Plan, RunInfo};
use crate::launch::scheduling::Sampler;
use crate::launch::{Launch, Launcher, Process, Restrict, resources};
use crate::sockets;
use faults::Injected;
use serde::{Deserialize, Serialize};
use sidetone::event::{ListenerKind, Ready};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Patience for a process to end.
const STEP: Duration = Duration::from_secs(10);
/// Patience for one probe.
const PROBE: Duration = Duration::from_secs(2);
/// How long what ends may take to be really gone.
const SETTLE: Duration = Duration::from_secs(2);
/// The server's name in reports.
pub(super) const SERVER: &str = "server";
/// The name of a server that was started again.
const AGAIN: &str = "server-again";
/// Where servers are announced: nothing of a test leaves the machine.
const INTERFACE: &str = "lo";

/// What a run needs besides its plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) plan: Plan,
    pub(super) info: RunInfo,
    /// The `sidetone` binary.
    pub(super) sidetone: PathBuf,
    /// The browser for clients of that kind, or why there is none.
    pub(super) browser: Result<PathBuf, String>,
    /// A `sidetone` that can misbehave on purpose, if there is one.
    pub(super) saboteur: Option<PathBuf>,
    /// This binary.
    pub(super) harness: PathBuf,
    /// Where everything is written; it exists.
    pub(super) folder: PathBuf,
    /// Why the scenario's own network could not be made: then nothing is run.
    pub(super) without_network: Option<String>,
}

/// Something that could not be saved; what was seen is still there.
pub(super) type SaveProblem = String;

struct Child {
    process: Process,
    exited: bool,
}

struct Run {
    setup: Setup,
    observed: Vec<Observed>,
    children: BTreeMap<String, Child>,
    /// Servers that ended because they were to be started again.
    before_restart: Vec<Child>,
    injected: Injected,
    /// Where each listener was told to listen.
    asked: Vec<(ListenerKind, Vec<SocketAddr>)>,
    /// Whether those that were stopped on purpose go on again.
    mended: bool,
    ready: Option<Ready>,
    browsing: Option<JoinHandle<Observation>>,
    instance: String,
    environment: Environment,
    began_ns: u64,
    observed_ms: u64,
    problems: Vec<SaveProblem>,
    cores_before: Vec<PathBuf>,
    /// `None`: it could not be started, or has ended.
    sampler: Option<Sampler>,
}

/// Runs it. `interrupt` resolves with a reason when the run must end early.
pub(super) async fn run(setup: Setup, interrupt: impl Future<Output = String>) -> (Evidence, Vec<SaveProblem>) {
    let began_ns = monotonic_ns();
    let instance = format!("harness {} {}", setup.info.seed % 1_000_000, std::process::id());
    let mut run = Run {
        observed: Vec::new(),
        children: BTreeMap::new(),
        before_restart: Vec::new(),
        injected: Injected::default(),
        asked: Vec::new(),
        mended: false,
        ready: None,
        browsing: None,
        instance,
        environment: resources::environment(),
        began_ns,
        observed_ms: 0,
        problems: Vec::new(),
        cores_before: cores(),
        sampler: Sampler::start(),
        setup,
    };
    let timeout = Duration::from_millis(run.setup.plan.timeout_ms);
    let interrupted = tokio::select! {
        () = run.steps() => None,
        reason = interrupt => Some(reason),
        () = tokio::time::sleep(timeout) => {
            let reason = format!("the scenario's deadline of {} ms was reached", timeout.as_millis());
            run.late(&reason);
            Some(reason)
        }
    };
    if let Some(reason) = interrupted {
        run.see(Observation::Interrupted { reason });
    }
    run.end().await;
    run.conclude()
}

fn cores() -> Vec<PathBuf> {
    std::env::current_dir().map(|folder| resources::core_files(&folder)).unwrap_or_default()
}

impl Run {
    /// The deadline of the scenario came: a server that is not ready by now is too late.
    fn late(&mut self, reason: &str) {
        let told = |o: &Observed| matches!(o.what, Observation::Ready { .. } | Observation::NotReady { .. });
        if let Some(child) = self.children.get(SERVER).filter(|_| !self.observed.iter().any(told)) {
            let waited_ms = monotonic_ns().saturating_sub(child.process.started_monotonic_ns) / 1_000_000;
            let (process, reason) = (SERVER.to_owned(), reason.to_owned());
            self.see(Observation::NotReady { process, waited_ms, reason });
        }
    }

    fn see(&mut self, what: Observation) {
        self.observed.push(Observed { time: now_rfc3339(), monotonic_ns: monotonic_ns(), what });
    }

    /// Patience for a server to get ready.
    const fn ready_within(&self) -> Duration {
        Duration::from_millis(self.setup.plan.server.ready_within_ms)
    }

    /// Patience for a client to join, for a probe and for a browse.
    const fn patience(&self) -> Duration {
        Duration::from_millis(self.setup.plan.patience_ms)
    }

    async fn steps(&mut self) {
        if !self.has_browsers() {
            return;
        }
        let tests = tokio::task::spawn_blocking(sockets::self_test).await.unwrap_or_default();
        for test in tests {
            self.see(test);
        }
        if !self.break_before_start().await {
            return;
        }
        let ready = self.setup.plan.server.launch && self.start_server().await;
        if ready {
            self.look_at_resources("start");
            self.start_browse();
        }
        self.look_at_sockets("ready").await;
        if !self.break_when_ready().await {
            return;
        }
        self.probe_listeners().await;
        // without a server clients are of use only where it is known where they would go
        if (ready || !self.setup.plan.server.launch) && self.start_clients().await {
            self.call().await;
        }
        if !self.broke_in_call() {
            return;
        }
        self.finish_browse().await;
        self.look_at_sockets("call").await;
        self.follow_up().await;
        self.mend().await;
        self.end_clients().await;
    }

    /// Whether every client can be run here. If not, nothing is: a call without one of its clients says little.
    fn has_browsers(&mut self) -> bool {
        let first = self.setup.plan.clients.iter().find(|c| c.kind == ClientKind::Browser);
        let (Some(client), Err(why)) = (first, &self.setup.browser) else { return true };
        let (process, why) = (client.name.clone(), why.clone());
        self.see(Observation::NoBrowser { process, why });
        false
    }

    fn launcher(&self) -> Launcher {
        Launcher { supervisor_exe: self.setup.harness.clone(), log_dir: self.setup.folder.clone() }
    }

    /// The program of a server, which may be one that misbehaves on purpose.
    fn server_program(&self) -> PathBuf {
        let saboteur = self.setup.saboteur.clone().filter(|_| self.sabotaged().is_some());
        saboteur.unwrap_or_else(|| self.setup.sidetone.clone())
    }

    async fn launch(&mut self, name: &str, program: PathBuf, args: Vec<String>, restrict: Restrict) -> bool {
        let launch = Launch { restrict, ..Launch::new(name, program).args(args) };
        match self.launcher().launch(&launch).await {
            Ok(process) => {
                let (pid, command) = (process.pid, process.command.clone());
                let browser = self.setup.plan.clients.iter().any(|c| c.name == name && c.kind == ClientKind::Browser);
                self.sampler.iter().for_each(|sampler| sampler.follow(name, pid, browser));
                self.see(Observation::ProcessStarted { process: name.to_owned(), pid, command });
                self.children.insert(name.to_owned(), Child { process, exited: false });
                true
            }
            Err(failed) => {
                let (errno, reason, command) = (failed.errno, failed.reason, failed.command);
                self.see(Observation::SpawnFailed { process: name.to_owned(), command, errno, reason });
                false
            }
        }
    }
}
