//! The clients: where they are sent, their start, the call, their end.

use super::server::reachable;
use super::{AGAIN, Child, Run, SERVER, STEP};
use crate::clock::{monotonic_ns, now_rfc3339};
use crate::evidence::{Action, ClientKind, ClientPlan, Observation, Observed, Step};
use crate::launch::{Restrict, Stream, resources};
use nix::sys::signal::Signal;
use sidetone::event::{Event, Family, ListenerKind, Record, Transport};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a snapshot waits for its first pictures at least: on a busy machine a client joins late.
const SNAPSHOT_PATIENCE_MS: u64 = 8_000;

impl Run {
    /// Where a client of this kind goes: what the server announces, or else what was asked for.
    pub(super) fn target(&self, client: &ClientPlan) -> Result<SocketAddr, String> {
        let family = |a: &&SocketAddr| Family::of(a) == client.family;
        let kind = match client.transport {
            Transport::Tcp => ListenerKind::Tcp,
            Transport::WebSocket => ListenerKind::WebSocket,
        };
        let announced = self.ready.as_ref().map(|ready| match kind {
            ListenerKind::Tcp => &ready.tcp,
            ListenerKind::WebSocket => &ready.websocket,
        });
        let asked = self.asked.iter().find(|(k, _)| *k == kind).map(|(_, addresses)| addresses);
        let found = announced.and_then(|a| a.iter().find(family)).or_else(|| asked?.iter().find(family));
        match found {
            Some(address) if address.port() != 0 => Ok(reachable(*address)),
            _ => Err(format!("the server has no {} listener over {}", client.transport, client.family)),
        }
    }

    fn client_args(&mut self, client: &ClientPlan) -> Result<Vec<String>, String> {
        let scheme = match client.transport {
            Transport::Tcp => "tcp",
            Transport::WebSocket => "ws",
        };
        let address = self.injected.way_of(&client.name).map_or_else(|| self.target(client), Ok)?;
        let file = |kind: &str| self.setup.folder.join(format!("{}.{kind}", client.name)).display().to_string();
        let target = format!("{scheme}://{address}");
        let command = match client.kind {
            ClientKind::Terminal => "client",
            ClientKind::Browser => "browser",
        };
        let mut args = vec![command.to_owned(), target, "--name".to_owned(), client.name.clone()];
        args.extend(["--mic", &client.mic, "--video", &client.video, "--stats", "json"].map(String::from));
        args.extend(["--speaker".to_owned(), format!("wav:{}", file("wav"))]);
        args.extend(["--save-pictures".to_owned(), file("pictures")]);
        args.extend(["--log-format", "json", "--log-level", "debug"].map(String::from));
        if client.snapshot {
            let delay = self.setup.plan.duration_ms.saturating_sub(1_000).max(500);
            args.extend(["--snapshot".to_owned(), "--snapshot-delay".to_owned(), format!("{delay}ms")]);
            // the others stay until it has ended
            if !client.args.iter().any(|a| a == "--timeout" || a.starts_with("--timeout=")) {
                let patience = self.setup.plan.duration_ms.max(SNAPSHOT_PATIENCE_MS);
                args.extend(["--timeout".to_owned(), format!("{patience}ms")]);
            }
        }
        args.extend(client.says.iter().flat_map(|line| ["--say".to_owned(), line.clone()]));
        if let (ClientKind::Browser, Ok(browser)) = (client.kind, &self.setup.browser) {
            args.extend(["--browser".to_owned(), browser.display().to_string()]);
            args.extend(["--screenshots".to_owned(), self.setup.folder.display().to_string()]);
            args.extend(self.browser_args(&client.name));
        }
        args.extend(client.args.iter().cloned());
        Ok(args)
    }

    /// Whether at least one of them is in.
    pub(super) async fn start_clients(&mut self) -> bool {
        for client in self.setup.plan.clients.clone() {
            if let Some(after) = client.after {
                self.joined().await;
                tokio::time::sleep(after.duration()).await;
            }
            if let Err(why) = self.lay_way(&client) {
                self.see(Observation::FaultMissed { fault: "stall".to_owned(), why });
                return false;
            }
            match self.client_args(&client) {
                Ok(args) => {
                    let program = match (client.kind, &self.setup.browser) {
                        (ClientKind::Browser, Ok(_)) => self.setup.harness.clone(),
                        _ => self.setup.sidetone.clone(),
                    };
                    if !self.launch(&client.name, program, args, Restrict::default()).await
                        || !self.break_after_page(&client.name).await
                    {
                        return false;
                    }
                }
                Err(why) => {
                    self.see(Observation::NotObserved { what: format!("client {}", client.name), why, remedy: None });
                }
            }
        }
        self.joined().await
    }

    /// Waits until every client is in or has failed at least once. Whether at least one is in: one that does not join shows
    /// in its own checks, and the call of the others is still worth watching.
    async fn joined(&self) -> bool {
        let patience = self.patience();
        let clients = self.children.iter().filter(|(name, _)| ![SERVER, AGAIN].contains(&name.as_str()));
        let waits = clients.map(|(_, child)| async {
            let line = child.process.wait_for_line(Stream::Stderr, |line| settled(line).is_some(), patience).await;
            line.is_ok_and(|line| settled(&line.text) == Some(true))
        });
        futures_util::future::join_all(waits).await.contains(&true)
    }

    /// The observed call. Ends early if a process that should talk ends.
    pub(super) async fn call(&mut self) {
        let began = monotonic_ns();
        let before = self.pressure();
        let duration = Duration::from_millis(self.setup.plan.duration_ms);
        match self.restart_at() {
            Some((after, down)) => {
                self.watch(Duration::ZERO, after).await;
                self.restart_server(down).await;
                let passed = Duration::from_nanos(monotonic_ns() - began);
                self.watch(passed, duration.saturating_sub(passed)).await;
            }
            None => self.watch(Duration::ZERO, duration).await,
        }
        let after = self.pressure();
        self.observed_ms = (monotonic_ns() - began) / 1_000_000;
        let run_delay_us = after.1.iter().map(|(n, a)| (n.clone(), a - before.1.get(n).copied().unwrap_or(*a).min(*a)));
        self.see(Observation::Pressure {
            window_ms: self.observed_ms,
            cpu_some_us: after.0.zip(before.0).map(|(a, b)| a.saturating_sub(b)),
            run_delay_us: run_delay_us.collect(),
        });
        for (fault, what) in self.injected.told() {
            self.see(Observation::FaultInjected { fault, what });
        }
    }

    /// A part of the call, which is `passed` old; ends early if a process that should talk ends. Steps and faults of this part happen,
    /// and the part is not over before its steps have reached everybody.
    async fn watch(&mut self, passed: Duration, duration: Duration) {
        let snapshots: Vec<_> = self.setup.plan.clients.iter().filter(|c| c.snapshot).map(|c| c.name.clone()).collect();
        let mut stepped = Vec::new();
        {
            let (children, injected) = (&self.children, &mut self.injected);
            let talking = children.iter().filter(|(name, _)| !snapshots.contains(name));
            let ends: Vec<_> = talking.map(|(_, child)| Box::pin(child.process.ended())).collect();
            let breaking = injected.during_call(&self.setup.plan.faults, children);
            let patience = Duration::from_millis(self.setup.plan.patience_ms);
            let stepping = steps(&self.setup.plan.steps, (passed, duration), children, patience, &mut stepped);
            let whole = async { tokio::join!(tokio::time::sleep(duration), stepping) };
            tokio::select! {
                () = first(ends) => {}
                ((), ()) = whole => {}
                never = breaking => match never {},
            }
        }
        self.observed.extend(stepped);
    }

    fn pressure(&self) -> (Option<u64>, BTreeMap<String, u64>) {
        let delays = self.children.iter().filter_map(|(n, c)| Some((n.clone(), resources::run_delay(c.process.pid)?)));
        (resources::pressure(), delays.collect())
    }

    pub(super) async fn end_clients(&mut self) {
        let (snapshots, talking): (Vec<_>, Vec<_>) =
            self.setup.plan.clients.iter().map(|c| (c.snapshot, c.name.clone())).partition(|(snapshot, _)| *snapshot);
        for (_, name) in snapshots {
            self.wait_for_exit(&name, STEP).await;
        }
        for (_, name) in &talking {
            self.signal(name, "the observed call is over");
        }
        for (_, name) in &talking {
            self.wait_for_exit(name, STEP).await;
        }
        self.settle().await;
        self.look_at_resources("end");
    }
}

/// Whether a client is in, by a line of its log; `None`: it tries still, or the line says something else.
fn settled(line: &str) -> Option<bool> {
    match Record::parse(line).ok()?.event {
        Event::ClientJoined { .. } => Some(true),
        // it will try again, and may yet come into the call
        Event::ClientConnectFailed { .. } | Event::ClientRefused { .. } => Some(false),
        _ => None,
    }
}

/// Makes clients do what the plan wants of this part of the call; writes down what was done. The next one waits until all others
/// were told of it: a signal that comes before the one before was taken is none to the kernel.
async fn steps(
    plan: &[Step],
    (passed, duration): (Duration, Duration),
    children: &BTreeMap<String, Child>,
    patience: Duration,
    done: &mut Vec<Observed>,
) {
    let within = |step: &&Step| (passed..passed + duration).contains(&step.after.duration());
    let mut due: Vec<_> = plan.iter().filter(within).collect();
    due.sort_by_key(|step| step.after);
    let began_ns = monotonic_ns();
    for step in due {
        let gone = Duration::from_nanos(monotonic_ns() - began_ns);
        tokio::time::sleep(step.after.duration().saturating_sub(passed + gone)).await;
        let Some(child) = children.get(&step.client) else { continue };
        let did = match step.action {
            Action::Mute => child.process.signal(Signal::SIGUSR1).map(|()| "its microphone is switched (SIGUSR1)"),
            Action::Say => child.process.signal(Signal::SIGUSR2).map(|()| "it says its next line (SIGUSR2)"),
        };
        let did = did.map_or_else(|e| format!("nothing: {e}"), str::to_owned);
        let what = Observation::Step { client: step.client.clone(), did };
        done.push(Observed { time: now_rfc3339(), monotonic_ns: monotonic_ns(), what });
        told(plan, step, children, patience).await;
    }
}

/// Waits until the log of every other client tells of a step, at most `patience`.
async fn told(plan: &[Step], step: &Step, children: &BTreeMap<String, Child>, patience: Duration) {
    let same = |other: &&Step| other.client == step.client && other.action == step.action && other.after <= step.after;
    let times = plan.iter().filter(same).count();
    let is_other = |name: &str| name != step.client && ![SERVER, AGAIN].contains(&name);
    let waits = children.iter().filter(|(name, _)| is_other(name)).map(|(_, child)| async move {
        let mut seen = 0;
        let wanted = |line: &str| {
            seen += usize::from(tells(line, step));
            seen >= times
        };
        // a client that ends, or that is never told, is a matter of the checks
        drop(child.process.wait_for_line(Stream::Stderr, wanted, patience).await);
    });
    futures_util::future::join_all(waits).await;
}

/// Whether a line of another client's log tells of such a step.
fn tells(line: &str, step: &Step) -> bool {
    match (Record::parse(line).ok().map(|record| record.event), step.action) {
        (Some(Event::ClientParticipantMuted { name, .. }), Action::Mute) => name == step.client,
        (Some(Event::ClientChat { from, .. }), Action::Say) => from == step.client,
        _ => false,
    }
}

/// Resolves with the first of them; never, if there is none.
async fn first(ends: Vec<impl Future<Output = ()> + Unpin>) {
    if ends.is_empty() {
        std::future::pending::<()>().await;
    }
    futures_util::future::select_all(ends).await;
}
