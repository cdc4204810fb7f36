//! What is broken on purpose: before the server starts, when it is ready, during the call; and whether it really was.
//!
//! A fault that could not be set up, or that had no chance to have an effect, makes the scenario say nothing.

use super::{Child, Run, SERVER};
use crate::evidence::{ClientPlan, Fault, Observation};
use crate::fault::hold::{self, Claim, Holder};
use crate::fault::stall::Way;
use crate::fault::{descriptors, fifo, ipv6, pause};
use crate::launch::{Restrict, resources};
use nix::sys::signal::Signal;
use sidetone::event::ListenerKind;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The FIFO that nobody reads, inside the run's folder.
const FIFO: &str = "server.fifo";
/// How long a holder may take to end.
const GRACE: Duration = Duration::from_millis(500);
/// Ports below this one need a privilege, unless the machine says otherwise.
const PRIVILEGED: u16 = 1024;

/// What is broken now.
#[derive(Default)]
pub(super) struct Injected {
    holders: Vec<Holder>,
    ways: BTreeMap<String, Way>,
    told: Mutex<Vec<(String, String)>>,
    /// Kinds of faults of the call that were really done.
    done: Mutex<BTreeSet<&'static str>>,
}

impl Injected {
    /// Where a client goes whose way can stand still.
    pub(super) fn way_of(&self, client: &str) -> Option<SocketAddr> {
        self.ways.get(client).map(Way::address)
    }

    fn tell(&self, fault: &Fault, what: String) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(fault.kind());
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push((fault.kind().to_owned(), what));
    }

    /// What has happened since the last time.
    pub(super) fn told(&mut self) -> Vec<(String, String)> {
        std::mem::take(self.told.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// What happens during the call; it ends with the call.
    pub(super) async fn during_call(&self, faults: &[Fault], children: &BTreeMap<String, Child>) -> Infallible {
        let mut all: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
        for fault in faults {
            match fault {
                Fault::Pause { process, hold, every } => {
                    let Some(child) = children.get(process) else { continue };
                    self.tell(fault, format!("{process} is stopped for {} ms every {} ms", hold.0, every.0));
                    let pausing = pause::run(|signal| child.process.signal(signal), hold.duration(), every.duration());
                    all.push(Box::pin(async move {
                        drop(pausing.await); // it ends only with the program, which is seen by its exit
                    }));
                }
                Fault::Stall { client, hold, every } => {
                    let Some(way) = self.ways.get(client) else { continue };
                    self.tell(
                        fault,
                        format!("the way to {client} stands still for {} ms every {} ms", hold.0, every.0),
                    );
                    way.begin();
                }
                Fault::Signal { process, signal, after: Some(after) } => {
                    let (Some(child), Ok(number)) = (children.get(process), signal.parse::<Signal>()) else { continue };
                    all.push(Box::pin(async move {
                        tokio::time::sleep(after.duration()).await;
                        // told first: an effect such as the end of the server ends the call, and this with it
                        self.tell(fault, format!("{signal} to {process} (pid {})", child.process.pid));
                        if !send(child, number).await {
                            self.done.lock().unwrap_or_else(PoisonError::into_inner).remove(fault.kind());
                        }
                    }));
                }
                _ => {}
            }
        }
        futures_util::future::join_all(all).await;
        std::future::pending().await
    }

    /// Lets go of what is held.
    pub(super) async fn end(&mut self) {
        self.ways.clear();
        for mut holder in self.holders.drain(..) {
            drop(holder.process.stop(GRACE).await);
            drop(holder.process.finish(GRACE).await);
        }
    }
}

/// Whether a signal did what it is for. Rust's own handler swallows the first SIGSEGV that is not a real fault, so a signal of
/// a crash is sent until it is one; a stop takes a moment.
async fn send(child: &Child, signal: Signal) -> bool {
    let crash = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGABRT, Signal::SIGKILL];
    for attempt in 0..50 {
        // one that is gone is seen by its exit
        if (attempt == 0 || crash.contains(&signal)) && child.process.signal(signal).is_err() {
            return false;
        }
        let ended = tokio::time::timeout(Duration::from_millis(20), child.process.ended());
        let stopped = || {
            let state = resources::process_state(child.process.pid).ok().flatten();
            state.is_some_and(|state| ["T", "t"].contains(&state.state.as_str()))
        };
        match signal {
            Signal::SIGSTOP if stopped() => return true,
            Signal::SIGSTOP => drop(ended.await),
            _ if !crash.contains(&signal) => return true,
            _ if ended.await.is_ok() => return true,
            _ => {}
        }
    }
    false
}

impl Run {
    pub(super) fn faults(&self) -> Vec<Fault> {
        self.setup.plan.faults.clone()
    }

    pub(super) fn injected(&mut self, fault: &Fault, what: String) {
        self.see(Observation::FaultInjected { fault: fault.kind().to_owned(), what });
    }

    /// The scenario says nothing: the fault is not there.
    pub(super) fn missed(&mut self, fault: &str, why: String) -> bool {
        self.see(Observation::FaultMissed { fault: fault.to_owned(), why });
        false
    }

    /// How the server is to misbehave.
    pub(super) fn sabotaged(&self) -> Option<String> {
        self.setup.plan.faults.iter().find_map(|fault| match fault {
            Fault::Sabotage { how } => Some(how.clone()),
            _ => None,
        })
    }

    /// What the faults add to the server's command line.
    pub(super) fn faulty_args(&self) -> Vec<String> {
        let args = self.setup.plan.faults.iter().flat_map(|fault| match fault {
            Fault::Sabotage { how } => vec!["--sabotage".to_owned(), how.clone()],
            Fault::BlockLog {} => vec!["--log-file".to_owned(), self.setup.folder.join(FIFO).display().to_string()],
            _ => vec![],
        });
        args.collect()
    }

    /// What the server may not do.
    pub(super) fn restrictions(&self) -> Restrict {
        let any = |wanted: fn(&Fault) -> bool| self.setup.plan.faults.iter().any(wanted);
        Restrict {
            drop_net_bind: any(|f| matches!(f, Fault::DropNetBind {})),
            // a crash on purpose leaves no core behind
            no_core: any(|f| matches!(f, Fault::Signal { .. })),
        }
    }

    /// Decides where the server is told to listen, and breaks what must be broken before it starts. False: that failed.
    pub(super) async fn break_before_start(&mut self) -> bool {
        let server = self.setup.plan.server.clone();
        let ports = [(ListenerKind::Tcp, server.port), (ListenerKind::WebSocket, server.websocket_port)];
        self.asked = ports.map(|(kind, port)| (kind, server.bind.iter().map(|ip| (*ip, port).into()).collect())).into();
        if let Some(why) = self.setup.without_network.clone() {
            return self.missed("private network", why);
        }
        for fault in self.faults() {
            let done = match &fault {
                Fault::HoldPort { .. } | Fault::ExhaustPorts { .. } => self.hold(&fault).await,
                Fault::DisableIpv6 {} => ipv6::disable(),
                Fault::DropNetBind {}
                    if [server.port, server.websocket_port].iter().all(|p| *p == 0 || *p >= PRIVILEGED) =>
                {
                    Err(format!("no port below {PRIVILEGED} is asked for"))
                }
                Fault::DropNetBind {} => Ok("the server may not bind privileged ports".to_owned()),
                Fault::BlockLog {} => {
                    fifo::make(&self.setup.folder.join(FIFO)).map(|()| format!("{FIFO} has no reader"))
                }
                Fault::Sabotage { how } if self.setup.saboteur.is_some() => Ok(format!("the server has {how:?}")),
                Fault::Sabotage { .. } => {
                    Err("there is no server that can misbehave: `make sabotage` builds one, --saboteur PATH names it"
                        .to_owned())
                }
                _ => continue,
            };
            match done {
                Ok(what) => self.injected(&fault, what),
                Err(why) => return self.missed(fault.kind(), why),
            }
        }
        // some faults are facts of the machine that the server finds
        self.environment = resources::environment();
        true
    }

    async fn hold(&mut self, fault: &Fault) -> Result<String, String> {
        let (what, on, ends_after) = match fault {
            Fault::HoldPort { by, on, ends_after, .. } => (Claim::Port(*by), on.clone(), *ends_after),
            Fault::ExhaustPorts { ports } => {
                (Claim::Range { ports: *ports }, self.setup.plan.server.bind.clone(), None)
            }
            _ => return Ok(String::new()),
        };
        let ends_after = ends_after.map(crate::evidence::Millis::duration);
        let name = format!("holder-{}", self.injected.holders.len() + 1);
        let program = (name.as_str(), self.setup.harness.as_path());
        let holder = hold::start(&self.launcher(), program, what, &on, ends_after).await?;
        if ends_after.is_some_and(|after| after.is_zero()) {
            // it is to be gone before the server asks
            drop(tokio::time::timeout(super::STEP, holder.process.ended()).await);
        }
        if let (Fault::HoldPort { listener, .. }, Some(held)) = (fault, holder.addresses.first()) {
            let asked = self.asked.iter_mut().filter(|(kind, _)| *kind == *listener);
            asked.flat_map(|(_, addresses)| addresses).for_each(|address| address.set_port(held.port()));
        }
        let held: Vec<_> = holder.addresses.iter().take(4).map(ToString::to_string).collect();
        let more = holder.addresses.len().saturating_sub(4);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let told = format!("pid {} holds {}{more}", holder.process.pid, held.join(", "));
        self.injected.holders.push(holder);
        Ok(told)
    }

    /// Whether each fault so far has had its chance; then breaks what must be broken in a running server.
    pub(super) async fn break_when_ready(&mut self) -> bool {
        for fault in self.faults() {
            if let Some(why) = self.had_no_effect(&fault) {
                return self.missed(fault.kind(), why);
            }
            let pid = self.children.get(SERVER).map(|c| c.process.pid);
            match (&fault, pid) {
                (Fault::LimitDescriptors { spare }, Some(pid)) => match descriptors::limit(pid, *spare) {
                    Ok(what) => self.injected(&fault, what),
                    Err(why) => return self.missed(fault.kind(), why),
                },
                (Fault::EndServer { after_page_of: None }, Some(_)) => {
                    self.signal(SERVER, "the launcher ends the server although clients are still to come");
                    self.wait_for_exit(SERVER, super::STEP).await;
                    self.injected(&fault, "the server has ended, the clients come nevertheless".to_owned());
                }
                (Fault::Signal { process, signal, after: None }, Some(pid)) if process == SERVER => {
                    let (Ok(number), Some(child)) = (signal.parse::<Signal>(), self.children.get(SERVER)) else {
                        continue;
                    };
                    if !send(child, number).await {
                        return self.missed(fault.kind(), format!("{signal} to {process} had no effect"));
                    }
                    self.injected(&fault, format!("{signal} to {process} (pid {pid})"));
                }
                _ => {}
            }
        }
        true
    }

    /// Why a fault cannot have had any effect on the server's start.
    fn had_no_effect(&self, fault: &Fault) -> Option<String> {
        let bound: Vec<SocketAddr> = self.listeners().into_iter().map(|(_, address)| address).collect();
        match fault {
            Fault::HoldPort { on, listener, .. } => {
                let (_, asked) = self.asked.iter().find(|(kind, _)| *kind == *listener)?;
                let port = asked.first()?.port();
                let covers = |a: &&SocketAddr| {
                    let all = a.ip().is_unspecified() && on.iter().any(|ip| ip.is_ipv4() == a.is_ipv4());
                    a.port() == port && (on.contains(&a.ip()) || all)
                };
                let free = bound.iter().find(covers)?;
                Some(format!("{free} was free again when the server asked for it"))
            }
            Fault::ExhaustPorts { .. } | Fault::BlockLog {} if self.ready.is_some() => {
                Some("the server got ready nevertheless".to_owned())
            }
            Fault::DisableIpv6 {} => {
                let six = bound.iter().find(|a| a.is_ipv6())?;
                Some(format!("{six} could be bound nevertheless"))
            }
            Fault::DropNetBind {} => {
                let bound = bound.iter().find(|a| a.port() < PRIVILEGED)?;
                Some(format!("{bound} can be bound by anybody here (ip_unprivileged_port_start)"))
            }
            Fault::LimitDescriptors { .. }
            | Fault::Signal { .. }
            | Fault::EndServer { .. }
            | Fault::RestartServer { .. }
                if self.ready.is_none() =>
            {
                Some("the server did not get ready".to_owned())
            }
            _ => None,
        }
    }

    /// Puts a way that can stand still between the server and a client, if the scenario wants one.
    pub(super) fn lay_way(&mut self, client: &ClientPlan) -> Result<(), String> {
        for fault in self.faults() {
            if let Fault::Stall { client: name, hold, every } = &fault
                && *name == client.name
            {
                let target = self.target(client)?;
                let way = Way::start(target, hold.duration(), every.duration()).map_err(|e| e.to_string())?;
                self.injected(&fault, format!("{name} reaches {target} through {}", way.address()));
                self.injected.ways.insert(name.clone(), way);
            }
        }
        Ok(())
    }

    /// Whether what was to happen during the call did. False: the scenario says nothing.
    pub(super) fn broke_in_call(&mut self) -> bool {
        let wanted = self.faults().into_iter().filter(|fault| {
            matches!(fault, Fault::Pause { .. } | Fault::Stall { .. } | Fault::Signal { after: Some(_), .. })
        });
        let done = self.injected.done.get_mut().unwrap_or_else(PoisonError::into_inner).clone();
        match wanted.map(|fault| fault.kind()).find(|kind| !done.contains(kind)) {
            None => true,
            Some(kind) => self.missed(kind, "the call ended before, or never began".to_owned()),
        }
    }

    /// Lets those go on that a scenario stopped, so that they can end.
    pub(super) async fn mend(&mut self) {
        for fault in self.faults() {
            let Fault::Signal { process, signal, .. } = &fault else { continue };
            let running = self.children.get(process).filter(|c| !c.exited && c.process.is_running());
            if let Some(child) = running.filter(|_| signal == "SIGSTOP" && !self.mended) {
                send(child, Signal::SIGCONT).await;
                self.injected(&fault, format!("SIGCONT to {process}"));
            }
        }
        self.mended = true;
    }

    /// A FIFO that nobody reads is a trap for whoever opens the files of a run.
    pub(super) fn remove_fifo(&self) {
        drop(std::fs::remove_file(self.setup.folder.join(FIFO))); // most runs have none
    }
}
