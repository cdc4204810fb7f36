//! Which of the listeners that were asked for are missing, and what is known of each: what the log says, what the kernel
//! says, what the harness found out itself. A log that says nothing, or something else, does not hide a missing listener.

use super::view::{SERVER, View};
use crate::evidence::follow_up::short_command;
use crate::evidence::{Answer, EvidenceId, Held, Observation, Question, SocketRow, TableSource};
use sidetone::event::{Errno, Event, Holder, ListenerKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Error numbers by their Linux values: evidence is diagnosed on any system.
pub(super) mod errno {
    pub(in crate::diagnosis) const EPERM: i32 = 1;
    pub(in crate::diagnosis) const EACCES: i32 = 13;
    pub(in crate::diagnosis) const EMFILE: i32 = 24;
    pub(in crate::diagnosis) const EAFNOSUPPORT: i32 = 97;
    pub(in crate::diagnosis) const EADDRINUSE: i32 = 98;
    pub(in crate::diagnosis) const EADDRNOTAVAIL: i32 = 99;
}

/// A listener that was asked for and is not there.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) kind: ListenerKind,
    /// As asked; port 0 means any.
    pub(super) address: SocketAddr,
    /// The failed call and its error, by the server's log or else by the harness's own attempt.
    pub(super) failed: Option<(String, Errno)>,
    /// Whether the server's own log says so.
    pub(super) told: bool,
    /// Holders by the server's log.
    pub(super) holders: Vec<Holder>,
    /// What says all this.
    pub(super) evidence: Vec<EvidenceId>,
}

impl Missing {
    pub(super) fn number(&self) -> Option<i32> {
        self.failed.as_ref().map(|(_, errno)| errno.number)
    }
}

/// Whether the harness can say that the server has no such listener. A server that nobody launched has none.
fn kernel_denies(view: &View<'_>, address: SocketAddr) -> Option<usize> {
    let (line, row) = view.listener_row("ready", address)?;
    let announced =
        view.ready().is_some_and(|(_, tcp, websocket)| tcp.contains(&address) || websocket.contains(&address));
    // whose socket it is cannot always be seen (another user, a program with capabilities); then its own word counts
    let ours = |row: &SocketRow| {
        view.pid(SERVER).is_some_and(|pid| row.pids.contains(&pid)) || row.pids.is_empty() && announced
    };
    (!row.is_some_and(ours)).then_some(line)
}

/// The question whether a listener could be bound as the server would.
pub(super) fn as_the_server(address: SocketAddr) -> Question {
    Question::Bind { address, v6only: address.is_ipv6().then_some(true) }
}

/// Every listener that is missing, those of the log first.
pub(super) fn missing(view: &mut View<'_>) -> Vec<Missing> {
    let mut all = Vec::new();
    let failed = view.events(SERVER, |e| match e {
        Event::ListenerBindFailed { listener, address, call, errno, holders, .. } => {
            Some((*listener, *address, call, errno, holders))
        }
        _ => None,
    });
    for (log, line, (kind, address, call, errno, holders)) in failed {
        let evidence = vec![view.cite_log(log, line)];
        let (failed, holders) = (Some((call.clone(), errno.clone())), holders.clone());
        all.push(Missing { kind, address, failed, told: true, holders, evidence });
    }
    if view.pid(SERVER).is_none() {
        return all;
    }
    for (line, kind, address) in view.asked() {
        if address.port() == 0 || all.iter().any(|m: &Missing| m.kind == kind && m.address == address) {
            continue;
        }
        let Some(table) = kernel_denies(view, address) else { continue };
        let mut evidence = vec![view.cite(line), view.cite(table)];
        let failed = match view.answer_to(&as_the_server(address)) {
            Some((line, Answer::NotBound { call, errno })) => {
                evidence.push(view.cite(line));
                Some((call.clone(), errno.clone()))
            }
            _ => None,
        };
        all.push(Missing { kind, address, failed, told: false, holders: Vec::new(), evidence });
    }
    all
}

/// A socket that has the port, whoever told of it.
#[derive(Clone, Debug)]
pub(super) struct InTheWay {
    pub(super) local: SocketAddr,
    pub(super) remote: Option<SocketAddr>,
    pub(super) state: String,
    pub(super) pid: Option<u32>,
    pub(super) command: Option<String>,
    pub(super) since: Option<String>,
    /// Whether some process owns it; `None`: not told.
    pub(super) owned: Option<bool>,
    pub(super) evidence: EvidenceId,
}

impl InTheWay {
    /// `pid 4711 (curl)`, or who else.
    pub(super) fn who(&self) -> String {
        let command = self.command.as_deref().map(short_command);
        match (self.pid, &command) {
            (Some(pid), Some(command)) => format!("pid {pid} ({command})"),
            (Some(pid), None) => format!("pid {pid}"),
            (None, _) if self.owned == Some(false) => "the kernel (no process)".to_owned(),
            (None, _) => "a process that the harness may not see".to_owned(),
        }
    }
}

/// Whether a socket at `local` stands in the way of a bind to `asked` (an IPv6 one with `IPV6_V6ONLY`).
fn conflicts(local: SocketAddr, asked: SocketAddr) -> bool {
    let same_family = local.is_ipv4() == asked.is_ipv4();
    let covers = local.ip() == asked.ip() || local.ip().is_unspecified() || asked.ip().is_unspecified();
    // a dual-stack wildcard takes the IPv4 port too
    let dual = matches!(local.ip(), IpAddr::V6(ip) if ip.is_unspecified()) && asked.is_ipv4();
    local.port() == asked.port() && (same_family && covers || dual)
}

/// Sockets in the way of a missing listener: by the harness's own look, by the server's log, by the table at its start.
/// Listeners first, then connections, then what nobody holds any more.
pub(super) fn in_the_way(view: &mut View<'_>, missing: &Missing) -> Vec<InTheWay> {
    let own = view.pid(SERVER);
    let mut found: Vec<InTheWay> = Vec::new();
    if let Some((line, Answer::Holders { sockets })) =
        view.answer_to(&Question::Holders { port: missing.address.port() })
    {
        let evidence = view.cite(line);
        found.extend(sockets.iter().map(|held| of_answer(held, &evidence)));
    }
    // who was there when the bind failed may be gone by now, and what he left behind is not what was in the way
    if let Some(evidence) = missing.evidence.first() {
        found.extend(missing.holders.iter().map(|holder| of_log(holder, evidence)));
    }
    if let Ok((line, rows)) = view.table("ready", TableSource::Proc) {
        let evidence = view.cite(line);
        let at_port = rows.iter().filter(|row| row.local.port() == missing.address.port());
        found.extend(at_port.map(|row| of_row(row, &evidence)));
    }
    let mut known = std::collections::BTreeSet::new();
    found.retain(|f| known.insert((f.local, f.remote, f.state.clone())));
    // the server's own socket at another address can be in the way too
    found.retain(|f| {
        conflicts(f.local, missing.address) && (own.is_none() || f.pid != own || f.local != missing.address)
    });
    let rank = |f: &InTheWay| match f.state.as_str() {
        "LISTEN" => 0,
        "TIME_WAIT" => 2,
        _ => 1,
    };
    // an IPv6 wildcard takes the IPv4 port too, unless it is one of IPv6 only: does anybody accept IPv4 there?
    let other_family = |f: &InTheWay| f.local.is_ipv4() != missing.address.is_ipv4();
    let accepts = accepts(view, missing.address);
    found.retain(|f| !other_family(f) || accepts != Some(false));
    found.sort_by_key(|f| (other_family(f) && accepts.is_none(), rank(f)));
    found
}

/// The address through which a listener is reached from its own machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// Whether somebody completes connections to an address; `None`: nobody tried.
fn accepts(view: &View<'_>, address: SocketAddr) -> Option<bool> {
    let address = reachable(address);
    let asked = view.answer_to(&Question::Connect { address }).and_then(|(_, answer)| match answer {
        Answer::Connected {} => Some(true),
        Answer::NotConnected { errno } if errno.starts_with("ECONNREFUSED") => Some(false),
        _ => None,
    });
    asked.or_else(|| {
        let seen = view.first(|o| match o {
            Observation::Connect { address: a, errno, .. } if *a == address => match errno {
                None => Some(true),
                Some(errno) => errno.starts_with("ECONNREFUSED").then_some(false),
            },
            _ => None,
        });
        seen.map(|(_, connected)| connected)
    })
}

fn of_row(row: &SocketRow, evidence: &EvidenceId) -> InTheWay {
    InTheWay {
        local: row.local,
        remote: row.remote,
        state: row.state.clone(),
        pid: row.pids.first().copied(),
        command: None,
        since: None,
        owned: Some(row.inode != 0),
        evidence: evidence.clone(),
    }
}

fn of_answer(held: &Held, evidence: &EvidenceId) -> InTheWay {
    let socket = &held.socket;
    InTheWay {
        local: socket.local,
        remote: socket.remote,
        state: socket.state.clone(),
        pid: socket.pids.first().copied(),
        command: held.command.clone(),
        since: held.since.clone(),
        owned: Some(socket.inode != 0),
        evidence: evidence.clone(),
    }
}

fn of_log(holder: &Holder, evidence: &EvidenceId) -> InTheWay {
    InTheWay {
        local: holder.local,
        remote: holder.remote,
        state: holder.state.clone(),
        pid: holder.pid,
        command: holder.command.clone(),
        since: None,
        owned: None,
        evidence: evidence.clone(),
    }
}

/// The server's own listener on this port that a bind of `ip` would meet: a bind there says nothing about anybody else.
pub(super) fn own_listener(view: &View<'_>, ip: IpAddr, port: u16) -> Option<(usize, SocketAddr)> {
    let own = view.pid(SERVER)?;
    let asked = SocketAddr::new(ip, port);
    let mut sources = [TableSource::Proc, TableSource::Netstat2].into_iter().filter(|s| view.can_see(*s));
    let (line, rows) = sources.find_map(|source| view.table("ready", source).ok())?;
    let row = rows.iter().find(|r| r.state == "LISTEN" && r.pids.contains(&own) && conflicts(r.local, asked))?;
    Some((line, row.local))
}

/// The evidence that the kernel had every listener that the server was asked for when it was ready, if so.
pub(super) fn all_there(view: &mut View<'_>) -> Option<Vec<EvidenceId>> {
    let pid = view.pid(SERVER)?;
    let (ready, tcp, websocket) = view.ready()?;
    let asked = view.asked();
    let mut lines = vec![ready];
    let mut sources = [TableSource::Proc, TableSource::Netstat2].into_iter().filter(|s| view.can_see(*s));
    let (table, rows) = sources.find_map(|source| view.table("ready", source).ok())?;
    lines.push(table);
    for (line, kind, address) in &asked {
        let announced = if *kind == ListenerKind::Tcp { tcp } else { websocket };
        let wanted = |a: &&SocketAddr| a.ip() == address.ip() && (address.port() == 0 || a.port() == address.port());
        let there = |a: &SocketAddr| rows.iter().any(|r| r.state == "LISTEN" && r.local == *a && r.pids.contains(&pid));
        if !announced.iter().filter(wanted).any(there) {
            return None;
        }
        lines.push(*line);
    }
    lines.sort_unstable();
    lines.dedup();
    (!asked.is_empty()).then(|| lines.into_iter().map(|line| view.cite(line)).collect())
}

/// Names of the clients that have no listener of their kind and family left.
pub(super) fn clients_of(view: &View<'_>, missing: &[Missing]) -> Vec<String> {
    let cut_off = |client: &&crate::evidence::ClientPlan| {
        missing.iter().any(|m| {
            let kind = match client.transport {
                sidetone::event::Transport::Tcp => ListenerKind::Tcp,
                sidetone::event::Transport::WebSocket => ListenerKind::WebSocket,
            };
            let there = view.ready().is_some_and(|(_, tcp, websocket)| {
                let all = if kind == ListenerKind::Tcp { tcp } else { websocket };
                all.iter().any(|a| sidetone::event::Family::of(a) == client.family)
            });
            kind == m.kind && sidetone::event::Family::of(&m.address) == client.family && !there
        })
    };
    view.evidence.plan.clients.iter().filter(cut_off).map(|c| c.name.clone()).collect()
}

/// Whether the server took another port than it was told to (policy next), with the ports.
pub(super) fn fell_back(view: &mut View<'_>, kind: ListenerKind) -> Option<(u16, u16, EvidenceId)> {
    let found = view.events(SERVER, |e| match e {
        Event::ListenerFellBack { listener, asked, port } if *listener == kind => Some((*asked, *port)),
        _ => None,
    });
    let (log, line, (asked, port)) = found.into_iter().next()?;
    Some((asked, port, view.cite_log(log, line)))
}

/// Whether the server was ever ready.
pub(super) fn was_ready(view: &View<'_>) -> bool {
    view.first(|o| matches!(o, Observation::Ready { .. }).then_some(())).is_some()
}
