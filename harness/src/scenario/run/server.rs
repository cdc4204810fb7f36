//! The server: its start, and the look at it from outside.

use super::{AGAIN, INTERFACE, PROBE, Run, SERVER};
use crate::clock::monotonic_ns;
use crate::evidence::Observation;
use crate::launch::{NoLine, Stream, resources};
use crate::probe;
use crate::sockets;
use nix::sys::signal::Signal;
use sidetone::event::{ListenerKind, Ready, Transport};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Patience for a browse.
const BROWSE: Duration = Duration::from_secs(5);
/// The server's ready file, inside the run's folder.
const READY_FILE: &str = "server.ready.json";
/// How long a program whose output has ended may take to be reported as ended.
const ENDING: Duration = Duration::from_secs(1);

impl Run {
    fn server_args(&self) -> Vec<String> {
        let plan = &self.setup.plan.server;
        let port = |wanted: ListenerKind| {
            let asked = self.asked.iter().find(|(kind, _)| *kind == wanted);
            asked.and_then(|(_, addresses)| addresses.first()).map_or(0, SocketAddr::port).to_string()
        };
        let (tcp, websocket) = (port(ListenerKind::Tcp), port(ListenerKind::WebSocket));
        let mut args: Vec<String> =
            ["server", "--port", &tcp, "--websocket-port", &websocket, "--name"].map(String::from).into();
        args.push(self.instance.clone());
        args.extend(["--ready-file".to_owned(), self.setup.folder.join(READY_FILE).display().to_string()]);
        args.extend(plan.bind.iter().flat_map(|ip| ["--bind".to_owned(), ip.to_string()]));
        args.extend(["--log-format", "json", "--log-level", "debug"].map(String::from));
        args.extend(if plan.mdns {
            vec!["--mdns-interface".to_owned(), INTERFACE.to_owned()]
        } else {
            vec!["--no-mdns".to_owned()]
        });
        args.extend(plan.args.iter().cloned());
        args
    }

    /// Whether it got ready.
    pub(super) async fn start_server(&mut self) -> bool {
        for (listener, addresses) in self.asked.clone() {
            self.see(Observation::Asked { listener, addresses });
        }
        let args = self.server_args().into_iter().chain(self.faulty_args()).collect();
        let mdns = self.setup.plan.server.mdns;
        if !self.launch(SERVER, self.server_program(), args, self.restrictions()).await {
            return false;
        }
        let process = &self.children[SERVER].process;
        let started = process.started_monotonic_ns;
        let line =
            process.wait_for_line(Stream::Stdout, |l| serde_json::from_str::<Ready>(l).is_ok(), self.ready_within());
        let line = line.await;
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
        if line.is_ok() {
            self.read_ready_file();
        }
        if matches!(line, Err(NoLine::Ended))
            && let Some(child) = self.children.get_mut(SERVER)
        {
            // one that ended by itself must not look as if we had ended it
            drop(child.process.wait(ENDING).await);
        }
        line.is_ok()
    }

    /// Ends the server and starts it again on the same ports, as another program of the same kind.
    pub(super) async fn restart_server(&mut self, down: Duration) {
        let (Some(ready), Some(old)) = (self.ready.clone(), self.children.get(SERVER)) else { return };
        drop(old.process.signal(Signal::SIGTERM)); // one that is gone is seen by its exit
        let pid = old.process.pid;
        let (signal, why) = ("SIGTERM".to_owned(), "the server is started again during the call".to_owned());
        self.see(Observation::SignalSent { process: SERVER.to_owned(), pid, signal, why });
        self.wait_for_exit(SERVER, super::STEP).await;
        let ended_ns = monotonic_ns();
        tokio::time::sleep(down).await;
        for (kind, addresses) in [(ListenerKind::Tcp, &ready.tcp), (ListenerKind::WebSocket, &ready.websocket)] {
            let port = addresses.first().map_or(0, SocketAddr::port);
            let asked = self.asked.iter_mut().filter(|(k, _)| *k == kind);
            asked.flat_map(|(_, addresses)| addresses).for_each(|address| address.set_port(port));
        }
        let args = self.server_args().into_iter().chain(self.faulty_args()).collect();
        let Some(before) = self.children.remove(SERVER) else { return };
        self.before_restart.push(before);
        if !self.launch(AGAIN, self.server_program(), args, self.restrictions()).await {
            return;
        }
        let process = &self.children[AGAIN].process;
        let pid = process.pid;
        let is_ready = |l: &str| serde_json::from_str::<Ready>(l).is_ok();
        match process.wait_for_line(Stream::Stdout, is_ready, self.ready_within()).await {
            Ok(line) => {
                let (process, again) = (SERVER.to_owned(), AGAIN.to_owned());
                self.see(Observation::Restarted { process, again, pid, ended_ns, ready_ns: line.monotonic_ns });
            }
            Err(why) => {
                let waited_ms = sidetone::clock::millis(self.ready_within());
                let (process, reason) = (AGAIN.to_owned(), why.to_string());
                self.see(Observation::NotReady { process, waited_ms, reason });
            }
        }
    }

    /// The ready file is a channel of its own: it must say what the ready line said.
    fn read_ready_file(&mut self) {
        let text = std::fs::read_to_string(self.setup.folder.join(READY_FILE));
        let seen = match text
            .map_err(|e| e.to_string())
            .and_then(|t| serde_json::from_str::<Ready>(&t).map_err(|e| e.to_string()))
        {
            Ok(ready) => {
                Observation::ReadyFile { path: READY_FILE.to_owned(), tcp: ready.tcp, websocket: ready.websocket }
            }
            Err(why) => Observation::NotObserved { what: "the ready file".to_owned(), why, remedy: None },
        };
        self.see(seen);
    }

    pub(super) fn look_at_resources(&mut self, moment: &str) {
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
    pub(super) fn listeners(&self) -> Vec<(Transport, SocketAddr)> {
        let Some(ready) = &self.ready else { return Vec::new() };
        let tcp = ready.tcp.iter().map(|a| (Transport::Tcp, *a));
        tcp.chain(ready.websocket.iter().map(|a| (Transport::WebSocket, *a))).collect()
    }

    pub(super) async fn look_at_sockets(&mut self, moment: &str) {
        let pids: Vec<u32> = self.children.values().filter(|c| !c.exited).map(|c| c.process.pid).collect();
        let asked = self.asked.iter().flat_map(|(_, addresses)| addresses).map(SocketAddr::port).filter(|p| *p != 0);
        let mut ports: Vec<u16> = self.listeners().iter().map(|(_, a)| a.port()).chain(asked).collect();
        ports.sort_unstable();
        ports.dedup();
        let moment = moment.to_owned();
        let tables = tokio::task::spawn_blocking(move || sockets::observe(&moment, &pids, &ports)).await;
        for table in tables.into_iter().flatten() {
            self.see(table);
        }
    }

    /// What is announced, and where somebody would go who knows only what was asked for.
    fn to_be_probed(&self) -> Vec<(Transport, SocketAddr)> {
        let mut all = self.listeners();
        for (kind, addresses) in &self.asked {
            let transport = match kind {
                ListenerKind::Tcp => Transport::Tcp,
                ListenerKind::WebSocket => Transport::WebSocket,
            };
            let elsewhere = |asked: &SocketAddr| {
                self.listeners().iter().any(|(t, bound)| *t == transport && bound.ip() == asked.ip())
            };
            // no packet leaves the machine: what is not bound may be an address of somebody else
            let own = |a: &SocketAddr| a.ip().is_loopback() || a.ip().is_unspecified();
            let known = addresses.iter().filter(|a| a.port() != 0 && !elsewhere(a) && own(a));
            all.extend(known.map(|a| (transport, *a)).collect::<Vec<_>>());
        }
        all
    }

    pub(super) async fn probe_listeners(&mut self) {
        let patience = PROBE.min(self.patience());
        let listeners = self.to_be_probed();
        let probes = listeners.iter().map(|(transport, address)| async {
            // a wildcard is reached through loopback
            let address = reachable(*address);
            let mut seen = vec![probe::tcp::connect(address, patience).await];
            if matches!(seen[0], Observation::Connect { errno: Some(_), .. }) {
                return seen; // nothing above TCP can be asked
            }
            seen.push(probe::session::hello(address, *transport, patience).await);
            if *transport == Transport::WebSocket {
                seen.push(probe::http::get(address, "/healthz", patience).await);
            }
            seen
        });
        for seen in futures_util::future::join_all(probes).await {
            for one in seen {
                self.see(one);
            }
        }
    }

    pub(super) fn start_browse(&mut self) {
        if self.setup.plan.server.mdns {
            let instance = self.instance.clone();
            let patience = BROWSE.min(self.patience());
            self.browsing =
                Some(tokio::spawn(
                    async move { probe::mdns::find(&[INTERFACE.to_owned()], &instance, patience).await },
                ));
        }
    }

    /// Waits for the browse, if one was begun.
    pub(super) async fn finish_browse(&mut self) {
        let Some(mut browsing) = self.browsing.take() else { return };
        let interrupted = self.observed.iter().any(|o| matches!(o.what, Observation::Interrupted { .. }));
        let gone = async {
            match self.children.get(SERVER) {
                Some(server) => server.process.ended().await,
                None => std::future::pending().await,
            }
        };
        let done = tokio::select! {
            biased;
            done = &mut browsing => done.map_err(|error| error.to_string()),
            // whoever interrupts does not wait for it
            () = std::future::ready(()), if interrupted => Err("the run was cut short".to_owned()),
            () = gone => Err("the server ended before a browse found it".to_owned()),
        };
        browsing.abort();
        let not_seen = |why| Observation::NotObserved { what: "discovery by mDNS".to_owned(), why, remedy: None };
        let seen = done.unwrap_or_else(not_seen);
        self.see(seen);
    }
}

/// The address through which a listener is reached from this machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    }
}
