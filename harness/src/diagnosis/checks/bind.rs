//! Listeners: what the log claims, what the kernel has.

use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, Layer, Observation, Side, SocketRow, TableSource};
use sidetone::event::Event;
use std::net::SocketAddr;

const SOURCES: [(TableSource, &str); 2] = [(TableSource::Netstat2, "netlink"), (TableSource::Proc, "/proc")];

/// Both readers see a socket of the harness itself. If one is blind, nothing that it does not see means anything.
pub(super) fn self_test(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("harness.self_test", Layer::Harness, Side::Harness, "socket readers see our own socket");
    let tests = view.seen(|o| match o {
        Observation::SocketSelfTest { source, address, seen, owned, error } => {
            Some((*source, *address, *seen, *owned, error))
        }
        _ => None,
    });
    let ids: Vec<_> = tests.iter().map(|(line, _)| view.cite(*line)).collect();
    let blind: Vec<_> = tests
        .iter()
        .filter(|(_, (_, _, seen, owned, _))| !seen || !owned)
        .map(|(_, (source, address, seen, _, error))| {
            let what = (*error).clone().unwrap_or_else(|| (if *seen { "not as ours" } else { "not seen" }).to_owned());
            format!("{source:?} at {address}: {what}")
        })
        .collect();
    vec![if tests.is_empty() {
        check.unknown("the self-test did not run", vec![])
    } else if blind.is_empty() {
        check.pass(format!("{} looks, all found it and its owner", tests.len()), ids)
    } else {
        check.unknown(format!("a reader is blind: {}", blind.join("; ")), ids)
    }]
}

/// Whether a reader passed its self-test.
fn can_see(view: &View<'_>, source: TableSource) -> bool {
    let tests = view.seen(|o| match o {
        Observation::SocketSelfTest { source: s, seen, owned, .. } if *s == source => Some(*seen && *owned),
        _ => None,
    });
    !tests.is_empty() && tests.iter().all(|(_, sees)| *sees)
}

/// No bind failed, nothing is degraded.
pub(super) fn no_failure(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.no_failure", Layer::Bind, Side::Server, "every bind succeeded");
    if view.pid(SERVER).is_none() {
        return vec![check.unknown("the server was not started", vec![])];
    }
    let failed = view.events(SERVER, |e| matches!(e, Event::ListenerBindFailed { .. }).then(|| e.message()));
    if let Some((log, line, _)) = failed.first() {
        let id = view.cite_log(log, line);
        let told: Vec<_> = failed.iter().map(|(_, _, message)| message.clone()).collect();
        return vec![check.fail(told.join("; "), vec![id], "free the port or give another one")];
    }
    let changed = view.events(SERVER, |e| match e {
        Event::ListenerFellBack { .. } | Event::ListenerFamilyUnavailable { .. } => Some(e.message()),
        _ => None,
    });
    if let Some((log, line, message)) = changed.first() {
        let id = view.cite_log(log, line);
        return vec![check.warn(message.clone(), vec![id], "check that clients are told the real addresses")];
    }
    let bound = view.events(SERVER, |e| matches!(e, Event::ListenerBound { .. }).then_some(()));
    let ids: Vec<_> = bound.iter().map(|(log, line, ())| view.cite_log(log, line)).collect();
    if ids.is_empty() {
        return vec![check.unknown("the log tells of no bind at all", vec![])];
    }
    vec![check.pass(format!("{} listeners bound, no failure in the log", ids.len()), ids)]
}

/// Bound where it was told to.
pub(super) fn asked(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.asked", Layer::Bind, Side::Server, "bound where asked, one port number");
    let Some((line, tcp, websocket)) = view.ready() else {
        return vec![check.unknown("there is no ready line", vec![])];
    };
    let id = view.cite(line);
    let mut problems = Vec::new();
    for (kind, addresses) in [("tcp", tcp), ("websocket", websocket)] {
        for ip in &view.evidence.plan.server.bind {
            if !addresses.iter().any(|a| a.ip() == *ip) {
                problems.push(format!("{kind} is not on {ip}"));
            }
        }
        for address in addresses {
            if !view.evidence.plan.server.bind.contains(&address.ip()) {
                problems.push(format!("{kind} is on {address}, which nobody asked for"));
            }
        }
        let mut ports: Vec<_> = addresses.iter().map(SocketAddr::port).collect();
        ports.dedup();
        if ports.len() > 1 {
            problems.push(format!("{kind} has different ports: {ports:?}"));
        }
    }
    vec![if problems.is_empty() {
        check.pass(format!("tcp {}, websocket {}", list(tcp), list(websocket)), vec![id])
    } else {
        check.fail(problems.join("; "), vec![id], "compare --bind with the ready line")
    }]
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn listens(rows: &[SocketRow], address: SocketAddr) -> Option<&SocketRow> {
    rows.iter().find(|r| r.local == address && r.state == "LISTEN")
}

/// Each announced listener is in the kernel's table, and ours by pid and inode.
pub(super) fn kernel(view: &mut View<'_>) -> Vec<Check> {
    let check = |reader: &str| {
        let title = format!("listeners are in the kernel ({reader})");
        draft(format!("bind.kernel/{}", reader.trim_start_matches('/')), Layer::Bind, Side::Server, title)
    };
    let Some((ready_line, tcp, websocket)) = view.ready() else {
        return vec![check("netlink").unknown("there is no ready line", vec![])];
    };
    let Some(pid) = view.pid(SERVER) else { return vec![] };
    let claimed: Vec<_> = tcp.iter().chain(websocket).copied().collect();
    let mut checks = Vec::new();
    for (source, reader) in SOURCES {
        let (line, rows) = match view.table("ready", source) {
            Ok(table) => table,
            Err(why) => {
                checks.push(check(reader).unknown(format!("the table could not be read: {why}"), vec![]));
                continue;
            }
        };
        let ids = vec![view.cite(ready_line), view.cite(line)];
        if !can_see(view, source) {
            checks.push(check(reader).unknown("this reader did not pass its self-test", ids));
            continue;
        }
        let problems: Vec<_> = claimed
            .iter()
            .filter_map(|address| match listens(rows, *address) {
                None => Some(format!("{address} is announced, but no socket listens there")),
                Some(row) if !row.pids.contains(&pid) => {
                    Some(format!("{address} belongs to {:?}, not to the server (pid {pid})", row.pids))
                }
                Some(row) if row.inode == 0 => Some(format!("{address} has no inode")),
                Some(_) => None,
            })
            .collect();
        checks.push(if problems.is_empty() {
            check(reader).pass(format!("{} LISTEN rows of pid {pid}", claimed.len()), ids)
        } else {
            check(reader).fail(problems.join("; "), ids, "trust the kernel, not the log: the listener is not there")
        });
    }
    checks
}

/// The rows that two readers must agree on: listeners of the server.
fn listeners_of(rows: &[SocketRow], pid: u32) -> Vec<(SocketAddr, u64)> {
    let mut rows: Vec<_> =
        rows.iter().filter(|r| r.state == "LISTEN" && r.pids.contains(&pid)).map(|r| (r.local, r.inode)).collect();
    rows.sort();
    rows
}

/// netlink and `/proc` tell the same.
pub(super) fn readers_agree(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.readers_agree", Layer::Bind, Side::Harness, "netlink and /proc agree");
    let tables = (view.table("ready", TableSource::Netstat2), view.table("ready", TableSource::Proc));
    let (Ok((netlink_line, netlink)), Ok((proc_line, proc)), Some(pid)) = (tables.0, tables.1, view.pid(SERVER)) else {
        return vec![check.unknown("not both tables were read", vec![])];
    };
    let ids = vec![view.cite(netlink_line), view.cite(proc_line)];
    let (netlink, proc) = (listeners_of(netlink, pid), listeners_of(proc, pid));
    vec![if netlink == proc {
        check.pass(format!("{} listeners with the same inodes", proc.len()), ids)
    } else {
        let message = format!("netlink: {netlink:?}; /proc: {proc:?}");
        check.warn(message, ids, "run again; if it stays, the readers' rights differ (hidepid, another namespace)")
    }]
}

/// The log claims just what the kernel has.
pub(super) fn log_agrees(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.log_agrees", Layer::Log, Side::Server, "log and kernel agree on listeners");
    let bound = view.events(SERVER, |e| match e {
        Event::ListenerBound { address, .. } => Some(*address),
        _ => None,
    });
    let Some(pid) = view.pid(SERVER) else { return vec![] };
    let (line, rows) = match view.table("ready", TableSource::Proc) {
        Ok(table) => table,
        Err(why) => return vec![check.unknown(format!("the table could not be read: {why}"), vec![])],
    };
    if !can_see(view, TableSource::Proc) {
        return vec![check.unknown("the reader did not pass its self-test", vec![])];
    }
    let mut ids = vec![view.cite(line)];
    let mut problems = Vec::new();
    for (log, line, address) in &bound {
        if listens(rows, *address).is_none() {
            ids.push(view.cite_log(log, line));
            problems.push(format!("the log says that {address} listens, the kernel says no"));
        }
    }
    for (address, _) in listeners_of(rows, pid) {
        if bound.iter().all(|(_, _, claimed)| *claimed != address) {
            problems.push(format!("the server listens on {address}, and its log does not say so"));
        }
    }
    vec![if problems.is_empty() {
        check.pass(format!("{} claims, all true", bound.len()), ids)
    } else {
        check.fail(problems.join("; "), ids, "trust the kernel; mend the code that reports before it has bound")
    }]
}

/// No port is held after the end.
pub(super) fn released(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.released", Layer::Bind, Side::Server, "no port is held after the end");
    let (line, rows) = match view.table("after", TableSource::Proc) {
        Ok(table) => table,
        Err(why) => return vec![check.unknown(why, vec![])],
    };
    let Some((_, tcp, websocket)) = view.ready() else {
        return vec![check.unknown("there is no ready line that names the ports", vec![])];
    };
    let id = view.cite(line);
    let held: Vec<_> = tcp.iter().chain(websocket).filter_map(|a| listens(rows, *a)).collect();
    vec![if held.is_empty() {
        check.pass("no listener is left on the server's ports", vec![id])
    } else {
        let told: Vec<_> = held.iter().map(|r| format!("{} (pids {:?})", r.local, r.pids)).collect();
        check.fail(
            format!("still listening: {}", told.join(", ")),
            vec![id],
            "look for a process that inherited the socket",
        )
    }]
}
