//! What Linux tells of a port.

use super::diag::{self, Protocol, Row};
use super::owners::{self, Scan};
use super::{Before, Depth, Open, firewall, kernel, namespaces};
use crate::evidence::probed::{Behind, Firewall, Holding, Listening, Unseen};
use crate::evidence::{Answer, Held, SocketRow};
use crate::launch::resources;
use crate::probe::bind::bind;
use crate::sockets::proc;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

/// Most other sockets that are kept.
const OTHERS: usize = 20;
/// Number of the state of a listener.
const LISTENS: u8 = 10;

/// See [`super::before`].
pub(super) fn before() -> Before {
    Before { overflows: kernel::overflows() }
}

fn unseen(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Unseen {
    Unseen { what: what.into(), why: why.into(), remedy: Some(remedy.into()) }
}

/// See [`super::behind`].
pub(super) fn look(addresses: &[SocketAddr], before: Before, depth: Depth) -> Behind {
    let port = addresses.first().map_or(0, SocketAddr::port);
    let mut seen = Behind { port, ..Behind::default() };
    let states = if depth == Depth::Deep { diag::LISTEN | diag::CONNECTED | diag::BOUND } else { diag::LISTEN };
    let rows = match diag::sockets(Protocol::Tcp, states, port) {
        Ok(rows) => rows,
        Err(why) => by_proc(port, why, &mut seen),
    };
    let elsewhere = if depth == Depth::Deep { in_other_namespaces(port, &mut seen) } else { Vec::new() };
    let inodes = rows.iter().map(|row| row.inode).chain(elsewhere.iter().map(|(_, row)| row.inode)).collect();
    let scan = owners::scan(&inodes, depth == Depth::Deep);
    for row in &rows {
        sort(row, addresses, depth, &scan, &mut seen);
    }
    seen.elsewhere = elsewhere.into_iter().map(|(namespace, row)| foreign(namespace, &row, addresses, &scan)).collect();
    hidden(&scan, &mut seen);
    seen.overflows = kernel::overflows();
    seen.overflows_rose = before.overflows.zip(seen.overflows).map(|(was, is)| {
        let rose = |was: u64, is: u64| is.saturating_sub(was);
        (rose(was.0, is.0), rose(was.1, is.1))
    });
    if depth == Depth::Deep {
        deeper(addresses, &mut seen);
    }
    seen
}

/// See [`super::datagrams`].
pub(super) fn datagrams(addresses: &[SocketAddr]) -> Behind {
    let port = addresses.first().map_or(0, SocketAddr::port);
    let mut seen = Behind { port, datagrams: true, ..Behind::default() };
    let rows = diag::sockets(Protocol::Udp, diag::UNCONNECTED, port).unwrap_or_else(|why| {
        seen.unseen.push(unseen("the sockets of this machine", why, "allow netlink (NETLINK_SOCK_DIAG) in this sandbox"));
        Vec::new()
    });
    let scan = owners::scan(&rows.iter().map(|row| row.inode).collect(), true);
    seen.listeners = rows.iter().map(|row| listening(row, addresses, &scan, Depth::Deep)).collect();
    hidden(&scan, &mut seen);
    seen
}

/// A socket that takes what comes from others.
fn listening(row: &Row, addresses: &[SocketAddr], scan: &Scan, depth: Depth) -> Listening {
    let pids = scan.pids.get(&row.inode).cloned().unwrap_or_default();
    Listening {
        address: row.local,
        covers: addresses.iter().any(|target| Listening::takes(row.local, row.v6only, *target)),
        v6only: row.v6only.filter(|_| row.local.is_ipv6()),
        waiting: Some(row.waiting.into()).filter(|_| row.state == LISTENS),
        // 0 is what /proc leaves open
        backlog: (row.most > 0).then_some(row.most.into()),
        user_id: Some(row.uid),
        namespace: None,
        owners: pids.iter().map(|pid| owners::owner(*pid, depth == Depth::Deep)).collect(),
    }
}

/// Owners that may not be seen.
fn hidden(scan: &Scan, seen: &mut Behind) {
    if seen.listeners.iter().any(|one| one.owners.is_empty()) && scan.hidden > 0 {
        let why = format!("the descriptors of {} processes of other users may not be seen", scan.hidden);
        seen.unseen.push(unseen("whose the listener is", why, more_rights("as root, or as that user")));
    }
}

/// How one would see more. Root has tried already.
fn more_rights(who: &str) -> String {
    if nix::unistd::geteuid().is_root() {
        "run the probe outside of this container, or with CAP_SYS_PTRACE".to_owned()
    } else {
        format!("run the probe {who}")
    }
}

/// One socket of the port.
fn sort(row: &Row, addresses: &[SocketAddr], depth: Depth, scan: &Scan, seen: &mut Behind) {
    let pids = scan.pids.get(&row.inode).cloned().unwrap_or_default();
    if row.state == LISTENS {
        seen.listeners.push(listening(row, addresses, scan, depth));
    } else if row.remote.port() == 0 && row.inode != 0 && row.state == 7 {
        let holding = |pid: &u32| Holding { pid: *pid, command: resources::command_line(*pid), inode: row.inode };
        seen.bound_only.extend(pids.iter().map(holding));
        if pids.is_empty() {
            let why = "it is of another user's process, whose descriptors may not be seen";
            seen.unseen.push(unseen(
                "which process has bound the port without listening",
                why,
                more_rights("as root"),
            ));
        }
    } else {
        seen.others_count += 1;
        if seen.others.len() < OTHERS {
            let first = pids.first().copied();
            seen.others.push(Held {
                socket: SocketRow {
                    local: row.local,
                    remote: Some(row.remote),
                    state: proc::state_name(row.state).to_owned(),
                    inode: row.inode,
                    pids: pids.into_iter().collect(),
                    rx_queue: Some(row.waiting.into()),
                },
                command: first.and_then(resources::command_line),
                since: first.and_then(resources::started),
            });
        }
    }
}

/// Without netlink: the same table as text, without limits of queues.
fn by_proc(port: u16, why: String, seen: &mut Behind) -> Vec<Row> {
    let what = "how long the accept queue may be, and sockets that are bound without listening";
    seen.unseen.push(unseen(what, why, "allow netlink (NETLINK_SOCK_DIAG) in this sandbox"));
    let rows = proc::all_of("/proc").unwrap_or_else(|why| {
        seen.unseen.push(unseen("the sockets of this machine", why, "mount /proc"));
        Vec::new()
    });
    rows.iter().filter(|row| row.local.port() == port).map(from_text).collect()
}

/// A row of `/proc/net/tcp`, which has neither limits nor users.
fn from_text(row: &SocketRow) -> Row {
    Row {
        local: row.local,
        remote: row.remote.unwrap_or_else(|| SocketAddr::new(row.local.ip(), 0)),
        state: if row.state == "LISTEN" { LISTENS } else { 1 },
        uid: 0,
        inode: row.inode,
        waiting: row.rx_queue.and_then(|waiting| u32::try_from(waiting).ok()).unwrap_or(0),
        most: 0,
        v6only: None,
    }
}

fn in_other_namespaces(port: u16, seen: &mut Behind) -> Vec<(String, SocketRow)> {
    let (found, hidden) = namespaces::listeners(port);
    if hidden > 0 {
        let why = format!("the network namespaces of {hidden} processes may not be seen");
        seen.unseen.push(unseen("listeners in other network namespaces (containers)", why, more_rights("as root")));
    }
    found
}

fn foreign(namespace: String, row: &SocketRow, addresses: &[SocketAddr], scan: &Scan) -> Listening {
    let pids = scan.pids.get(&row.inode).cloned().unwrap_or_default();
    Listening {
        address: row.local,
        covers: addresses.iter().any(|target| Listening::takes(row.local, None, *target)),
        v6only: None,
        waiting: row.rx_queue,
        backlog: None,
        user_id: None,
        namespace: Some(namespace),
        owners: pids.iter().map(|pid| owners::owner(*pid, false)).collect(),
    }
}

/// What only matters when something is wrong.
fn deeper(addresses: &[SocketAddr], seen: &mut Behind) {
    seen.somaxconn = kernel::somaxconn();
    seen.ephemeral_range = resources::ephemeral_range();
    if let Some(address) = addresses.first().filter(|_| seen.listeners.is_empty()) {
        seen.bind = Some(bind(*address, address.is_ipv6().then_some(true)));
        let held = matches!(&seen.bind, Some(Answer::NotBound { errno, .. }) if errno.name == "EADDRINUSE");
        let told = seen.unseen.iter().any(|unseen| unseen.what.contains("without listening"));
        if held && seen.others_count == 0 && seen.bound_only.is_empty() && !told {
            let why = "this kernel does not list sockets that are bound and do not listen (Linux 6.8 does)";
            let what = "which process has bound the port without listening";
            seen.unseen.push(unseen(what, why, "look for the program that was told this port"));
        }
    }
    let (filters, blind) = firewall::read(seen.port);
    seen.firewall = Firewall { filters };
    seen.unseen.extend(blind);
}

/// See [`super::open`].
pub(super) fn open(udp: bool) -> Result<(Vec<Open>, u64), String> {
    let tcp = match diag::sockets(Protocol::Tcp, diag::LISTEN, 0) {
        Ok(rows) => rows,
        Err(why) => {
            let rows = proc::all_of("/proc").map_err(|other| format!("{why}; {other}"))?;
            rows.iter().filter(|row| row.state == "LISTEN").map(from_text).collect()
        }
    };
    let udp = if udp { diag::sockets(Protocol::Udp, diag::UNCONNECTED, 0)? } else { Vec::new() };
    let inodes = tcp.iter().chain(&udp).map(|row| row.inode).collect();
    let scan = owners::scan(&inodes, false);
    let row = |protocol, row: Row| Open {
        protocol,
        address: row.local,
        v6only: row.v6only.filter(|_| row.local.is_ipv6()),
        user_id: Some(row.uid).filter(|_| row.most > 0 || protocol == "udp"),
        pid: scan.pids.get(&row.inode).and_then(|pids| pids.first().copied()),
        waiting: (protocol == "tcp").then_some(row.waiting),
        backlog: Some(row.most).filter(|most| *most > 0 && protocol == "tcp"),
    };
    let tcp = tcp.into_iter().map(|one| row("tcp", one));
    let mut all: Vec<_> = tcp.chain(udp.into_iter().map(|one| row("udp", one))).collect();
    all.sort_by_key(|one| (one.protocol, one.address.port(), one.address));
    Ok((all, scan.hidden))
}

/// See [`super::programs`].
pub(super) fn programs(address: SocketAddr) -> Vec<String> {
    let rows = diag::sockets(Protocol::Tcp, diag::LISTEN, address.port()).unwrap_or_default();
    let here = rows.iter().filter(|row| Listening::takes(row.local, row.v6only, address));
    let scan = owners::scan(&here.map(|row| row.inode).collect(), false);
    let commands = scan.pids.values().flatten().filter_map(|pid| resources::command_line(*pid));
    let names = |command: String| {
        let words = command.split_whitespace().take(2).map(|word| word.trim_end_matches(':').to_owned());
        words.map(|word| word.rsplit('/').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    commands.flat_map(names).filter(|name| !name.is_empty() && !name.starts_with('-')).collect()
}

/// See [`super::listens`].
pub(super) fn listens(pid: u32) -> Result<Vec<SocketAddr>, String> {
    let inodes = proc::sockets_of(pid).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            format!("pid {pid}: there is no process with that id")
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            format!("pid {pid}: it is another user's, and its descriptors may not be seen: {}", more_rights("as root"))
        } else {
            format!("pid {pid}: cannot read its descriptors: {error}")
        }
    })?;
    let (own, its) = (namespaces::of("self"), namespaces::of(&pid.to_string()));
    if own.is_some() && its.is_some() && own != its {
        return Err(format!(
            "pid {pid}: it is in another network namespace: nsenter --net --target {pid} sidetone-harness probe pid:{pid}"
        ));
    }
    let rows = proc::all_of("/proc")?;
    let own: BTreeSet<SocketAddr> = rows
        .into_iter()
        .filter(|row| row.state == "LISTEN" && inodes.contains(&row.inode))
        .map(|row| row.local)
        .collect();
    Ok(own.into_iter().collect())
}
