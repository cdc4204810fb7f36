//! `sidetone server`.

use super::{LogOptions, exit};
use crate::clock;
use crate::event::{Event, Family, ListenerKind, Policy, Ready};
use crate::log::Log;
use crate::net::bind::{BindPlan, Bound, bind};
use crate::net::dial::target::{TCP_PORT, WEBSOCKET_PORT};
use crate::net::mdns::{self, Advert, Announcement};
use crate::protocol::control::check_name;
use crate::server::{self, AllowedOrigin, Config, Listeners, Origins, WEBSOCKET_PATH};
use clap::Args;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long clients may take to go when the server ends.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// Listen on TCP and on HTTP/WebSocket, mix and pass on.
#[derive(Debug, Args)]
pub struct Server {
    /// Address to listen on; may be repeated [default: loopback of both families]. `--bind 0.0.0.0 --bind ::` opens it to all.
    #[arg(long, value_name = "ADDR")]
    bind: Vec<IpAddr>,
    /// Port of the framed protocol; 0: any free one, the same for all addresses.
    #[arg(long, default_value_t = TCP_PORT)]
    port: u16,
    /// Port of HTTP and WebSocket; 0: any free one.
    #[arg(long, default_value_t = WEBSOCKET_PORT)]
    websocket_port: u16,
    /// What to do when a listener cannot be bound: end with exit code 3, take the next free port, or go on without it.
    #[arg(long, default_value = "fail", value_name = "fail|next|degrade")]
    on_bind_failure: Policy,
    /// Name of the server, shown to clients and announced by mDNS [default: sidetone on HOST].
    #[arg(long)]
    name: Option<String>,
    /// Most participants in all rooms together.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    max_clients: u32,
    /// Most speakers of a room that are heard at once; the loudest win.
    #[arg(long, default_value_t = crate::audio::mixer::LOUDEST as u32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    max_speakers: u32,
    /// Let pages of another origin join, too; may be repeated: `https://chat.example`, a host for any scheme and port,
    /// or `*` for every page there is [default: the server's own page].
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<AllowedOrigin>,
    /// Serve the page's files from this folder, read at each request, for work on the page.
    #[arg(long, value_name = "FOLDER")]
    page_from: Option<PathBuf>,
    /// Do not announce the server by mDNS.
    #[arg(long)]
    no_mdns: bool,
    /// Interface to announce on; may be repeated [default: those of the bound addresses].
    #[arg(long, value_name = "NAME")]
    mdns_interface: Vec<String>,
    /// Write the ready line as JSON to this file once every listener is up.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Misbehave on purpose.
    #[cfg(feature = "sabotage")]
    #[arg(long)]
    sabotage: Option<server::sabotage::Sabotage>,
    #[command(flatten)]
    log: LogOptions,
}

fn local_addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|l| l.local_addr().ok()).collect()
}

impl Server {
    /// Runs until SIGTERM or SIGINT.
    pub fn run(&self, started: Duration) -> ExitCode {
        let name = self.name.clone().unwrap_or_else(default_name);
        if let Err(reason) = check_name(&name) {
            return exit::with(exit::USAGE, format!("--name: {reason}"));
        }
        if self.port != 0 && self.port == self.websocket_port {
            let reason = format!("--port and --websocket-port are both {}; give two numbers, or 0", self.port);
            return exit::with(exit::USAGE, reason);
        }
        if let Some(folder) = self.page_from.as_ref().filter(|folder| !folder.join(crate::web::INDEX).is_file()) {
            let reason = format!("--page-from {}: no {} is in there", folder.display(), crate::web::INDEX);
            return exit::with(exit::USAGE, reason);
        }
        let (log, _guard) = match self.log.open(false) {
            Ok(log) => log,
            Err(reason) => return exit::with(exit::INTERNAL, reason),
        };
        log.emit(Event::ServerStarting {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: name.clone(),
            on_bind_failure: self.on_bind_failure,
            command: std::env::args().collect(),
        });
        let (tcp, websocket) = match self.bind_all(&log) {
            Ok(bound) => bound,
            Err(code) => return code,
        };
        match super::runtime().and_then(|runtime| runtime.block_on(self.serve((tcp, websocket), name, &log, started))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => exit::with(exit::INTERNAL, error),
        }
    }

    /// Binds both listeners; every failure is reported before the policy decides.
    fn bind_all(&self, log: &Log) -> Result<(Bound, Bound), ExitCode> {
        let report = log.reporter();
        let addresses = match &self.bind[..] {
            [] => vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            asked => asked.to_vec(),
        };
        let asked_families = self.bind.iter().map(|a| if a.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }).collect();
        let mut plan = BindPlan {
            listener: ListenerKind::Tcp,
            addresses,
            port: self.port,
            asked_families,
            policy: self.on_bind_failure,
            next_limit: 64,
            avoid: vec![self.websocket_port],
        };
        let tcp = bind(&plan, &report);
        plan.listener = ListenerKind::WebSocket;
        plan.port = self.websocket_port;
        plan.avoid = vec![self.port];
        let websocket = bind(&plan, &report);
        match (tcp, websocket) {
            (Ok(tcp), Ok(websocket)) if tcp.listeners.is_empty() && websocket.listeners.is_empty() => {
                Err(exit::with(exit::BIND, "no listener could be bound"))
            }
            (Ok(tcp), Ok(websocket)) => Ok((tcp, websocket)),
            (tcp, websocket) => {
                let failures = [tcp.err(), websocket.err()];
                let lines: Vec<_> = failures.into_iter().flatten().map(|f| f.to_string()).collect();
                Err(exit::with(exit::BIND, lines.join("\n")))
            }
        }
    }

    async fn serve(&self, bound: (Bound, Bound), name: String, log: &Log, started: Duration) -> io::Result<()> {
        let (tcp, websocket) = bound;
        let signal = super::signals()?;
        let mut degraded = tcp.degraded;
        degraded.extend(websocket.degraded);
        let mut ready = Ready {
            ready: true,
            name: name.clone(),
            pid: std::process::id(),
            tcp: local_addresses(&tcp.listeners),
            websocket: local_addresses(&websocket.listeners),
            websocket_path: WEBSOCKET_PATH.to_owned(),
            degraded: degraded.clone(),
            startup_us: 0,
        };
        #[cfg(feature = "sabotage")]
        self.phantom(&mut ready, log);
        let config = Config {
            name,
            max_clients: self.max_clients,
            loudest: self.max_speakers as usize,
            degraded,
            origins: Origins { own_names: own_names(), allowed: self.allow_origin.clone() },
            page_from: self.page_from.clone(),
            log: log.clone(),
            #[cfg(feature = "sabotage")]
            sabotage: self.sabotage,
        };
        let running = server::Server::start(Listeners { tcp: tcp.listeners, websocket: websocket.listeners }, config)?;
        ready.startup_us = clock::micros(clock::monotonic().saturating_sub(started));
        self.say_ready(&ready, log)?;
        let announcement = self.announce(&ready, log);
        let signal = signal.await;
        // first, so that nobody finds a server that no longer answers
        if let Some(announcement) = announcement {
            drop(tokio::task::spawn_blocking(move || announcement.withdraw()).await);
        }
        #[cfg(feature = "sabotage")]
        if self.is_silent() && !self.no_mdns {
            server::sabotage::pretend_to_withdraw(ready.name.clone(), log);
        }
        running.drain(signal, DRAIN_PATIENCE).await;
        Ok(())
    }

    fn say_ready(&self, ready: &Ready, log: &Log) -> io::Result<()> {
        log.emit(Event::ServerReady {
            name: ready.name.clone(),
            tcp: ready.tcp.clone(),
            websocket: ready.websocket.clone(),
            degraded: ready.degraded.clone(),
            startup_us: ready.startup_us,
        });
        let json = serde_json::to_string(ready)?;
        if let Some(path) = &self.ready_file {
            write_whole(path, &json)
                .map_err(|e| io::Error::new(e.kind(), format!("--ready-file {}: {e}", path.display())))?;
        }
        let line = match self.log.format {
            crate::log::Format::Json => json,
            crate::log::Format::Pretty => ready.to_string(),
        };
        super::print(&format!("{line}\n"))
    }

    fn announce(&self, ready: &Ready, log: &Log) -> Option<Announcement> {
        if self.no_mdns {
            return None;
        }
        let addresses: Vec<IpAddr> = ready.tcp.iter().chain(&ready.websocket).map(SocketAddr::ip).collect();
        let port_of = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
        let failed = |error: mdns::MdnsError| {
            let (doing, reason) = ("advertise".to_owned(), error.to_string());
            log.emit(Event::MdnsFailed { doing, reason });
        };
        let interfaces = match &self.mdns_interface[..] {
            [] => mdns::interfaces_of(&addresses).map_err(failed).ok()?,
            named => named.to_vec(),
        };
        let advert = Advert {
            instance: ready.name.clone(),
            port: port_of(&ready.tcp).or_else(|| port_of(&ready.websocket))?,
            websocket_port: port_of(&ready.websocket),
            path: WEBSOCKET_PATH.to_owned(),
            tls: false,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            interfaces,
            addresses,
            degraded: !ready.degraded.is_empty(),
        };
        #[cfg(feature = "sabotage")]
        if self.is_silent() {
            server::sabotage::pretend_to_announce(&advert, log);
            return None;
        }
        mdns::advertise(&advert, &log.reporter()).map_err(failed).ok()
    }

    #[cfg(feature = "sabotage")]
    fn is_silent(&self) -> bool {
        self.sabotage == Some(server::sabotage::Sabotage::SilentMdns)
    }

    #[cfg(feature = "sabotage")]
    fn phantom(&self, ready: &mut Ready, log: &Log) {
        if self.sabotage == Some(server::sabotage::Sabotage::PhantomListener) {
            let address: SocketAddr = ([127, 0, 0, 1], ready.tcp[0].port().wrapping_add(1).max(1024)).into();
            ready.tcp.push(address);
            let (listener, family) = (ListenerKind::Tcp, Family::Ipv4);
            log.emit(Event::ListenerBound { listener, address, family, asked: address, backlog: 1024 });
        }
    }
}

/// Writes a file so that a reader sees all of it or nothing.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    std::fs::write(&unfinished, format!("{text}\n"))?;
    std::fs::rename(&unfinished, path)
}

fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok()).unwrap_or_default()
}

/// What a page may call this machine: its name, whole and short, `HOST.local`, and what mDNS announces.
fn own_names() -> Vec<String> {
    let whole = hostname();
    let short = whole.split('.').next().unwrap_or_default().to_owned();
    let mut names = vec![mdns::host_name().to_lowercase()];
    if !short.is_empty() {
        names.extend([whole.to_lowercase(), format!("{short}.local").to_lowercase(), short.to_lowercase()]);
    }
    names
}

fn default_name() -> String {
    let host = hostname();
    let host: String = host.split('.').next().unwrap_or_default().chars().take(20).collect();
    let name = format!("sidetone on {host}");
    if check_name(&name).is_ok() { name } else { "sidetone".to_owned() }
}
