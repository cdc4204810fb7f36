//! One run of one scenario: launch, observe, end, and save the evidence. Readiness is seen, never slept for; whatever
//! interrupts the steps, the ending and the saving happen.

#![expect(clippy::wildcard_enum_match_arm, reason = "a look-up wants one kind; later kinds are none of its business")]

use super::analyse;
use super::folder::{artefacts, reason};
use crate::clock::{monotonic_ns, now_rfc3339};
use crate::evidence::{ClientPlan, Environment, Evidence, Log, Observation, Observed, Plan, RunInfo, SCHEMA_VERSION};
use crate::launch::{Launch, Launcher, NoLine, Process, Stream, read_log, resources};
use crate::probe;
use crate::sockets;
use nix::sys::signal::Signal;
use sidetone::event::{Event, Family, Ready, Record, Transport};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Patience for a server to get ready, for a client to join, for a process to end.
const STEP: Duration = Duration::from_secs(10);
/// Patience for one probe.
const PROBE: Duration = Duration::from_secs(2);
/// How long a program whose output has ended may take to be reported as ended.
const ENDING: Duration = Duration::from_secs(1);
/// How long what ends may take to be really gone.
const SETTLE: Duration = Duration::from_secs(2);
/// The server's name in reports.
pub(super) const SERVER: &str = "server";
/// Where servers are announced: nothing of a test leaves the machine.
const INTERFACE: &str = "lo";

/// What a run needs besides its plan.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) plan: Plan,
    pub(super) info: RunInfo,
    /// The `sidetone` binary.
    pub(super) sidetone: PathBuf,
    /// This binary.
    pub(super) harness: PathBuf,
    /// Where everything is written; it exists.
    pub(super) folder: PathBuf,
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
    ready: Option<Ready>,
    browsing: Option<JoinHandle<Observation>>,
    instance: String,
    environment: Environment,
    began_ns: u64,
    observed_ms: u64,
    problems: Vec<SaveProblem>,
    cores_before: Vec<PathBuf>,
}

/// Runs it. `interrupt` resolves with a reason when the run must end early.
pub(super) async fn run(setup: Setup, interrupt: impl Future<Output = String>) -> (Evidence, Vec<SaveProblem>) {
    let began_ns = monotonic_ns();
    let instance = format!("harness {} {}", setup.info.seed % 1_000_000, std::process::id());
    let mut run = Run {
        observed: Vec::new(),
        children: BTreeMap::new(),
        ready: None,
        browsing: None,
        instance,
        environment: resources::environment(),
        began_ns,
        observed_ms: 0,
        problems: Vec::new(),
        cores_before: cores(),
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

    async fn steps(&mut self) {
        let tests = tokio::task::spawn_blocking(sockets::self_test).await.unwrap_or_default();
        for test in tests {
            self.see(test);
        }
        if !self.start_server().await {
            return;
        }
        self.look_at_resources("start");
        self.start_browse();
        self.look_at_sockets("ready").await;
        self.probe_listeners().await;
        if self.setup.plan.clients.is_empty() {
            self.settle().await;
            self.look_at_resources("end");
            return;
        }
        if !self.start_clients().await {
            return;
        }
        self.call().await;
        self.end_clients().await;
    }

    fn launcher(&self) -> Launcher {
        Launcher { supervisor_exe: self.setup.harness.clone(), log_dir: self.setup.folder.clone() }
    }

    async fn launch(&mut self, name: &str, args: Vec<String>) -> bool {
        let launch = Launch::new(name, self.setup.sidetone.clone()).args(args);
        match self.launcher().launch(&launch).await {
            Ok(process) => {
                let (pid, command) = (process.pid, process.command.clone());
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

    async fn start_server(&mut self) -> bool {
        let plan = &self.setup.plan.server;
        let mut args: Vec<String> =
            ["server", "--port", "0", "--websocket-port", "0", "--name"].map(String::from).into();
        args.push(self.instance.clone());
        args.extend(plan.bind.iter().flat_map(|ip| ["--bind".to_owned(), ip.to_string()]));
        args.extend(["--log-format", "json", "--log-level", "debug"].map(String::from));
        args.extend(if plan.mdns {
            vec!["--mdns-interface".to_owned(), INTERFACE.to_owned()]
        } else {
            vec!["--no-mdns".to_owned()]
        });
        args.extend(plan.args.iter().cloned());
        let mdns = plan.mdns;
        if !self.launch(SERVER, args).await {
            return false;
        }
        let process = &self.children[SERVER].process;
        let started = process.started_monotonic_ns;
        let line = process.wait_for_line(Stream::Stdout, |l| serde_json::from_str::<Ready>(l).is_ok(), STEP).await;
        let observation = match &line {
            Ok(line) => {
                let ready: Ready = serde_json::from_str(&line.text).expect("the predicate parsed it");
                let after_us = line.monotonic_ns.saturating_sub(started) / 1_000;
                self.ready = Some(ready.clone());
                Observation::Ready {
                    process: SERVER.to_owned(),
                    after_us,
                    tcp: ready.tcp,
                    websocket: ready.websocket,
                    degraded: ready.degraded,
                }
            }
            Err(why) => {
                let waited_ms = monotonic_ns().saturating_sub(started) / 1_000_000;
                Observation::NotReady { process: SERVER.to_owned(), waited_ms, reason: why.to_string() }
            }
        };
        // its sockets are open when it says so: only then is a count of descriptors worth anything
        if line.is_ok() && mdns {
            let opened = |l: &str| l.contains("mdns.registering") || l.contains("mdns.failed");
            drop(self.children[SERVER].process.wait_for_line(Stream::Stderr, opened, PROBE).await);
        }
        self.see(observation);
        if matches!(line, Err(NoLine::Ended))
            && let Some(child) = self.children.get_mut(SERVER)
        {
            // one that ended by itself must not look as if we had ended it
            drop(child.process.wait(ENDING).await);
        }
        line.is_ok()
    }

    fn look_at_resources(&mut self, moment: &str) {
        let Some(pid) = self.children.get(SERVER).map(|c| c.process.pid) else { return };
        let seen = match resources::resources(pid) {
            Ok((rss_bytes, descriptors, threads)) => Observation::Resources {
                process: SERVER.to_owned(),
                moment: moment.to_owned(),
                rss_bytes,
                descriptors,
                threads,
            },
            Err(why) => Observation::NotObserved {
                what: format!("memory and descriptors of the server ({moment})"),
                why,
                remedy: None,
            },
        };
        self.see(seen);
    }

    /// Every address that the server said it listens on.
    fn listeners(&self) -> Vec<(Transport, SocketAddr)> {
        let Some(ready) = &self.ready else { return Vec::new() };
        let tcp = ready.tcp.iter().map(|a| (Transport::Tcp, *a));
        tcp.chain(ready.websocket.iter().map(|a| (Transport::WebSocket, *a))).collect()
    }

    async fn look_at_sockets(&mut self, moment: &str) {
        let pids: Vec<u32> = self.children.values().filter(|c| !c.exited).map(|c| c.process.pid).collect();
        let mut ports: Vec<u16> = self.listeners().iter().map(|(_, a)| a.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        let moment = moment.to_owned();
        let tables = tokio::task::spawn_blocking(move || sockets::observe(&moment, &pids, &ports)).await;
        for table in tables.into_iter().flatten() {
            self.see(table);
        }
    }

    async fn probe_listeners(&mut self) {
        let listeners = self.listeners();
        let probes = listeners.iter().map(|(transport, address)| async {
            // a wildcard is reached through loopback
            let address = reachable(*address);
            let mut seen = vec![probe::tcp::connect(address, PROBE).await];
            seen.push(probe::session::hello(address, *transport, PROBE).await);
            if *transport == Transport::WebSocket {
                seen.push(probe::http::get(address, "/healthz", PROBE).await);
            }
            seen
        });
        for seen in futures_util::future::join_all(probes).await {
            for one in seen {
                self.see(one);
            }
        }
    }

    fn start_browse(&mut self) {
        if self.setup.plan.server.mdns {
            let instance = self.instance.clone();
            let patience = Duration::from_secs(5);
            self.browsing =
                Some(tokio::spawn(
                    async move { probe::mdns::find(&[INTERFACE.to_owned()], &instance, patience).await },
                ));
        }
    }

    fn client_args(&self, client: &ClientPlan) -> Result<Vec<String>, String> {
        let family = |a: &&SocketAddr| Family::of(a) == client.family;
        let Some(ready) = &self.ready else { return Err("the server is not ready".to_owned()) };
        let (scheme, addresses) = match client.transport {
            Transport::Tcp => ("tcp", &ready.tcp),
            Transport::WebSocket => ("ws", &ready.websocket),
        };
        let address = addresses
            .iter()
            .find(family)
            .ok_or_else(|| format!("the server has no {} listener over {}", client.transport, client.family))?;
        let file = |kind: &str| self.setup.folder.join(format!("{}.{kind}", client.name)).display().to_string();
        let target = format!("{scheme}://{}", reachable(*address));
        let mut args = vec!["client".to_owned(), target, "--name".to_owned(), client.name.clone()];
        args.extend(["--mic", &client.mic, "--video", &client.video, "--stats", "json"].map(String::from));
        args.extend(["--speaker".to_owned(), format!("wav:{}", file("wav"))]);
        args.extend(["--save-pictures".to_owned(), file("pictures")]);
        args.extend(["--log-format", "json", "--log-level", "debug"].map(String::from));
        if client.snapshot {
            let delay = self.setup.plan.duration_ms.saturating_sub(1_000).max(500);
            args.extend(["--snapshot".to_owned(), "--snapshot-delay".to_owned(), format!("{delay}ms")]);
            // when the others have left no picture can come
            if !client.args.iter().any(|a| a == "--timeout" || a.starts_with("--timeout=")) {
                let patience = self.setup.plan.duration_ms.max(2_000);
                args.extend(["--timeout".to_owned(), format!("{patience}ms")]);
            }
        }
        args.extend(client.args.iter().cloned());
        Ok(args)
    }

    async fn start_clients(&mut self) -> bool {
        for client in self.setup.plan.clients.clone() {
            match self.client_args(&client) {
                Ok(args) => {
                    if !self.launch(&client.name, args).await {
                        return false;
                    }
                }
                Err(why) => {
                    self.see(Observation::NotObserved { what: format!("client {}", client.name), why, remedy: None });
                }
            }
        }
        let joined = |l: &str| matches!(Record::parse(l), Ok(Record { event: Event::ClientJoined { .. }, .. }));
        let waits = self
            .children
            .iter()
            .filter(|(name, _)| *name != SERVER)
            .map(|(_, child)| child.process.wait_for_line(Stream::Stderr, joined, STEP));
        // one that does not join shows in its own checks; the call of the others is still worth watching
        futures_util::future::join_all(waits).await.iter().any(Result::is_ok)
    }

    /// The observed call. Ends early if a process that should talk ends.
    async fn call(&mut self) {
        let began = monotonic_ns();
        let before = self.pressure();
        let duration = Duration::from_millis(self.setup.plan.duration_ms);
        let snapshots: Vec<_> = self.setup.plan.clients.iter().filter(|c| c.snapshot).map(|c| c.name.clone()).collect();
        {
            let talking = self.children.iter_mut().filter(|(name, _)| !snapshots.contains(name));
            let ends: Vec<_> = talking.map(|(_, child)| Box::pin(child.process.wait(duration * 2))).collect();
            drop(tokio::time::timeout(duration, futures_util::future::select_all(ends)).await);
        }
        let after = self.pressure();
        self.observed_ms = (monotonic_ns() - began) / 1_000_000;
        let run_delay_us = after.1.iter().map(|(n, a)| (n.clone(), a - before.1.get(n).copied().unwrap_or(*a).min(*a)));
        self.see(Observation::Pressure {
            window_ms: self.observed_ms,
            cpu_some_us: after.0.zip(before.0).map(|(a, b)| a.saturating_sub(b)),
            run_delay_us: run_delay_us.collect(),
        });
        self.look_at_sockets("call").await;
    }

    fn pressure(&self) -> (Option<u64>, BTreeMap<String, u64>) {
        let delays = self.children.iter().filter_map(|(n, c)| Some((n.clone(), resources::run_delay(c.process.pid)?)));
        (resources::pressure(), delays.collect())
    }

    async fn end_clients(&mut self) {
        for client in self.setup.plan.clients.clone() {
            if client.snapshot {
                self.wait_for_exit(&client.name, STEP).await;
            } else {
                self.signal(&client.name, "the observed call is over");
            }
        }
        for client in self.setup.plan.clients.clone().iter().filter(|c| !c.snapshot) {
            self.wait_for_exit(&client.name, STEP).await;
        }
        self.settle().await;
        self.look_at_resources("end");
    }

    fn signal(&mut self, name: &str, why: &str) {
        let Some(child) = self.children.get(name).filter(|c| !c.exited && c.process.is_running()) else { return };
        drop(child.process.signal(Signal::SIGTERM)); // a process that is gone is seen by its exit
        let pid = child.process.pid;
        let (signal, why) = ("SIGTERM".to_owned(), why.to_owned());
        self.see(Observation::SignalSent { process: name.to_owned(), pid, signal, why });
    }

    async fn wait_for_exit(&mut self, name: &str, patience: Duration) {
        let by_harness = self.was_signalled(name);
        let Some(child) = self.children.get_mut(name).filter(|c| !c.exited) else { return };
        let pid = child.process.pid;
        let mut exit = child.process.wait(patience).await;
        if exit.is_none() {
            let waited_ms = sidetone::clock::millis(patience);
            self.see(Observation::StillRunning { process: name.to_owned(), pid, waited_ms });
            let Some(child) = self.children.get_mut(name) else { return };
            exit = Some(child.process.stop(Duration::from_millis(200)).await);
        }
        let Some(exit) = exit else { return };
        if let Some(child) = self.children.get_mut(name) {
            child.exited = true;
        }
        if !exit.orphans.is_empty() {
            self.see(Observation::Orphans { process: name.to_owned(), pids: exit.orphans });
        }
        self.see(Observation::ProcessExited {
            process: name.to_owned(),
            pid,
            code: exit.code,
            signal: exit.signal,
            by_harness,
            core_dumped: exit.core_dumped,
        });
    }

    fn was_signalled(&self, name: &str) -> bool {
        self.observed.iter().any(|o| matches!(&o.what, Observation::SignalSent { process, .. } if process == name))
    }

    /// Waits until the server has as few descriptors as at the start, at most [`SETTLE`]: closing takes it a moment.
    async fn settle(&self) {
        let Some(pid) = self.children.get(SERVER).map(|c| c.process.pid) else { return };
        let start = self.observed.iter().find_map(|o| match &o.what {
            Observation::Resources { descriptors, .. } => Some(*descriptors),
            _ => None,
        });
        let Some(start) = start else { return };
        let settled = async {
            while resources::resources(pid).is_ok_and(|(_, now, _)| now > start) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        drop(tokio::time::timeout(SETTLE / 4, settled).await);
    }

    /// Ends whatever still runs, clients first, and looks whether all is gone.
    async fn end(&mut self) {
        let clients: Vec<String> = self.children.keys().filter(|n| *n != SERVER).cloned().collect();
        for name in &clients {
            self.signal(name, "the scenario is over");
        }
        for name in &clients {
            self.wait_for_exit(name, SETTLE).await;
        }
        if let Some(browsing) = self.browsing.take() {
            if self.observed.iter().any(|o| matches!(o.what, Observation::Interrupted { .. })) {
                browsing.abort(); // whoever interrupts does not wait for it
            }
            let seen = browsing.await.unwrap_or_else(|error| Observation::NotObserved {
                what: "mDNS".to_owned(),
                why: error.to_string(),
                remedy: None,
            });
            self.see(seen);
        }
        self.signal(SERVER, "the scenario is over");
        self.wait_for_exit(SERVER, STEP).await;
        self.finish_children().await;
        self.look_at_sockets("after").await;
        let new: Vec<_> = cores().into_iter().filter(|c| !self.cores_before.contains(c)).collect();
        let paths = new.iter().map(|c| c.display().to_string()).collect();
        self.see(Observation::CoreFiles { paths });
    }

    /// Waits for the ends of all output, and for descendants: only then is a port that is still held a fault.
    async fn finish_children(&mut self) {
        for (name, child) in std::mem::take(&mut self.children) {
            let finished = child.process.finish(SETTLE).await;
            let problems = [(&finished.stdout, "standard output"), (&finished.stderr, "standard error")];
            for (captured, what) in problems {
                if let Some(error) = &captured.write_error {
                    self.problems.push(format!("{what} of {name} is not complete: {error}"));
                    let (what, why) = (format!("the whole {what} of {name}"), error.clone());
                    self.see(Observation::NotObserved { what, why, remedy: None });
                }
            }
            if !finished.gone {
                let why = "its supervisor did not end".to_owned();
                self.see(Observation::NotObserved {
                    what: format!("that {name} left nothing behind"),
                    why,
                    remedy: None,
                });
            }
        }
    }

    fn read_logs(&mut self) -> Vec<Log> {
        let started: Vec<String> = self
            .observed
            .iter()
            .filter_map(|o| match &o.what {
                Observation::ProcessStarted { process, .. } => Some(process.clone()),
                _ => None,
            })
            .collect();
        let mut logs = Vec::new();
        for process in started {
            for (stream, file) in
                [("stdout", format!("{process}.stdout.txt")), ("stderr", format!("{process}.stderr.jsonl"))]
            {
                match read_log(&self.setup.folder, &file, &process, stream) {
                    Ok(log) => logs.push(log),
                    Err(why) => {
                        let what = format!("the log of {process} ({stream})");
                        self.see(Observation::NotObserved { what, why, remedy: None });
                    }
                }
            }
        }
        logs
    }

    /// Reads back what was recorded, and writes the evidence.
    fn conclude(mut self) -> (Evidence, Vec<SaveProblem>) {
        let logs = self.read_logs();
        for seen in analyse::media(&self.setup.plan, &self.setup.folder, &logs) {
            self.see(seen);
        }
        let total_ms = (monotonic_ns() - self.began_ns) / 1_000_000;
        self.setup.info.duration_ms = total_ms;
        self.see(Observation::Overhead { observed_ms: self.observed_ms, total_ms });
        let folder = self.setup.folder.clone();
        let mut problems = self.problems;
        let lines: Vec<String> = self.observed.iter().map(|o| serde_json::to_string(o).unwrap_or_default()).collect();
        let mut save = |name: &str, text: String| {
            if let Err(error) = std::fs::write(folder.join(name), text) {
                problems.push(format!("{}: {}", folder.join(name).display(), reason(&error)));
            }
        };
        save(crate::evidence::ledger::OBSERVATIONS, lines.join("\n") + "\n");
        let evidence = Evidence {
            schema_version: SCHEMA_VERSION.to_owned(),
            run: self.setup.info,
            plan: self.setup.plan,
            environment: self.environment,
            logs,
            observations: self.observed,
            artefacts: artefacts(&folder),
        };
        save("evidence.json", serde_json::to_string(&evidence).unwrap_or_default());
        (evidence, problems)
    }
}

/// The address through which a listener is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    }
}
