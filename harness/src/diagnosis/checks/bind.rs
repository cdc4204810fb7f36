//! Listeners: what the log claims, what the kernel has.

use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, Layer, Log, LogLine, Observation, Side, SocketRow, TableSource};
use sidetone::event::{Event, ListenerKind};
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

/// Listeners that took another port instead of a failed one: asked, taken, and the line that says so.
fn fallen_back<'a>(view: &View<'a>) -> Vec<(&'a Log, &'a LogLine, ListenerKind, u16, u16)> {
    let found = view.events(SERVER, |e| match e {
        Event::ListenerFellBack { listener, asked, port } => Some((*listener, *asked, *port)),
        _ => None,
    });
    found.into_iter().map(|(log, line, (kind, asked, port))| (log, line, kind, asked, port)).collect()
}

/// No bind failed, nothing is degraded.
pub(super) fn no_failure(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.no_failure", Layer::Bind, Side::Server, "every bind succeeded");
    if view.pid(SERVER).is_none() {
        return vec![check.unknown("the server was not started", vec![])];
    }
    let healed: Vec<_> = fallen_back(view);
    let failed = view.events(SERVER, |e| match e {
        Event::ListenerBindFailed { listener, address, call, errno, .. } => {
            Some((*listener, format!("{listener} on {address}: {call} failed with {errno}")))
        }
        _ => None,
    });
    let for_good: Vec<_> =
        failed.iter().filter(|(_, _, (kind, _))| healed.iter().all(|(_, _, k, ..)| *k != *kind)).collect();
    if !for_good.is_empty() {
        let ids = for_good.iter().map(|(log, line, _)| view.cite_log(log, line)).collect();
        let told: Vec<_> = for_good.iter().map(|(_, _, (_, message))| message.clone()).collect();
        return vec![check.fail(told.join("; "), ids, "free the port or give another one")];
    }
    if !healed.is_empty() {
        let ids = healed.iter().map(|(log, line, ..)| view.cite_log(log, line)).collect();
        let told: Vec<_> = healed
            .iter()
            .map(|(_, _, kind, asked, port)| format!("{kind}: port {asked} was taken, {port} is used"))
            .collect();
        return vec![check.warn(
            told.join("; "),
            ids,
            "see that clients are told the real port, or free the asked one",
        )];
    }
    let changed = view.events(SERVER, |e| match e {
        Event::ListenerFamilyUnavailable { .. } => Some(e.message()),
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

/// A failed bind is told: an event, and a line on stderr for each address that names it with its error.
pub(super) fn failure_told(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.failure_told", Layer::Log, Side::Server, "a failed bind is told in one clear line");
    let failed = view.events(SERVER, |e| match e {
        Event::ListenerBindFailed { address, errno, remedy, .. } => {
            Some((*address, errno.name.clone(), remedy.clone()))
        }
        _ => None,
    });
    if failed.is_empty() {
        return vec![check.skip("no bind failed by the log")];
    }
    let mut ids: Vec<_> = failed.iter().map(|(log, line, _)| view.cite_log(log, line)).collect();
    let ended = view.end_of(SERVER).is_some_and(|(_, end)| !end.by_harness);
    if !ended {
        return vec![
            check.pass("an event for each; the server goes on, and says what is missing when it is ready", ids),
        ];
    }
    let free = view.evidence.log(SERVER, "stderr");
    let line_of = |address: &SocketAddr, errno: &str| {
        let lines = free.iter().flat_map(|log| log.lines.iter().filter(|l| l.record.is_none()).map(move |l| (*log, l)));
        lines.into_iter().find(|(_, l)| l.text.contains(&address.to_string()) && l.text.contains(errno))
    };
    let mut silent = Vec::new();
    for (_, _, (address, errno, _)) in &failed {
        match line_of(address, errno) {
            Some((log, line)) => ids.push(view.cite_log(log, line)),
            None => silent.push(address.to_string()),
        }
    }
    vec![if silent.is_empty() {
        check.pass("an event, and a line for people, each with address and error", ids)
    } else {
        let message = format!("the server ended, and no line on stderr tells people of {}", silent.join(", "));
        check.fail(message, ids, "print the failure for people before ending")
    }]
}

/// Every channel announces the same addresses: the ready line, the ready file, the event.
pub(super) fn announced(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.announced", Layer::Bind, Side::Server, "every channel announces the same addresses");
    let Some((line, tcp, websocket)) = view.ready() else {
        return vec![check.unknown("there is no ready line", vec![])];
    };
    let mut ids = vec![view.cite(line)];
    let (mut channels, mut problems) = (vec!["the ready line"], Vec::new());
    let file = view.first(|o| match o {
        Observation::ReadyFile { tcp, websocket, .. } => Some((tcp.as_slice(), websocket.as_slice())),
        _ => None,
    });
    if let Some((line, file)) = file {
        ids.push(view.cite(line));
        channels.push("the ready file");
        if file != (tcp, websocket) {
            problems.push(format!("the ready file says tcp {}, websocket {}", list(file.0), list(file.1)));
        }
    }
    let events = view.events(SERVER, |e| match e {
        Event::ServerReady { tcp, websocket, .. } => Some((tcp.as_slice(), websocket.as_slice())),
        _ => None,
    });
    if let Some((log, line, event)) = events.first() {
        ids.push(view.cite_log(log, line));
        channels.push("the log");
        if *event != (tcp, websocket) {
            problems.push(format!("the log says tcp {}, websocket {}", list(event.0), list(event.1)));
        }
    }
    vec![if channels.len() == 1 {
        check.unknown("the ready line is the only channel that was read", ids)
    } else if problems.is_empty() {
        check.pass(format!("{}: tcp {}, websocket {}", channels.join(", "), list(tcp), list(websocket)), ids)
    } else {
        check.fail(problems.join("; "), ids, "announce what is bound, from one place")
    }]
}

/// Bound where it was told to.
pub(super) fn asked(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.asked", Layer::Bind, Side::Server, "bound where asked, one port number");
    let Some((line, tcp, websocket)) = view.ready() else {
        return vec![check.unknown("there is no ready line", vec![])];
    };
    let mut ids = vec![view.cite(line)];
    let mut problems = Vec::new();
    let healed = fallen_back(view);
    for (kind, addresses) in [(ListenerKind::Tcp, tcp), (ListenerKind::WebSocket, websocket)] {
        let other = healed.iter().find(|(_, _, k, ..)| *k == kind);
        let wanted = view.asked().into_iter().find(|(_, k, a)| *k == kind && a.port() != 0);
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
        match (ports.as_slice(), wanted, other) {
            ([port], Some((line, _, asked)), None) if *port != asked.port() => {
                ids.push(view.cite(line));
                problems.push(format!("{kind} is on port {port}, asked for was {}", asked.port()));
            }
            ([port], _, Some((log, line, _, _, taken))) => {
                ids.push(view.cite_log(log, line));
                if port != taken {
                    problems.push(format!("{kind} is on port {port}, and its log says {taken}"));
                }
            }
            ([] | [_], ..) => {}
            (ports, ..) => problems.push(format!("{kind} has different ports: {ports:?}")),
        }
    }
    vec![if problems.is_empty() {
        check.pass(format!("tcp {}, websocket {}", list(tcp), list(websocket)), ids)
    } else {
        check.fail(problems.join("; "), ids, "compare --bind and the ports asked for with the ready line")
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
        if !view.can_see(source) {
            checks.push(check(reader).unknown("this reader did not pass its self-test", ids));
            continue;
        }
        let problems: Vec<_> = claimed
            .iter()
            .filter_map(|address| match listens(rows, *address) {
                None => Some(format!("{address} is announced, but no socket listens there")),
                // whose it is cannot be seen
                Some(row) if row.pids.is_empty() => None,
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

/// Listeners of the log that the kernel does not have, or has in another process, which is named then.
pub(in crate::diagnosis) fn false_claims(view: &View<'_>) -> Vec<(SocketAddr, Option<u32>)> {
    let (Some(pid), Ok((_, rows))) = (view.pid(SERVER), view.table("ready", TableSource::Proc)) else {
        return Vec::new();
    };
    let bound = view.events(SERVER, |e| match e {
        Event::ListenerBound { address, .. } => Some(*address),
        _ => None,
    });
    let judged = bound.into_iter().filter_map(|(_, _, address)| match listens(rows, address) {
        None => Some((address, None)),
        Some(row) if row.pids.is_empty() || row.pids.contains(&pid) => None,
        Some(row) => Some((address, row.pids.first().copied())),
    });
    judged.collect()
}

/// The log claims just what the kernel has.
pub(super) fn log_agrees(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("bind.log_agrees", Layer::Log, Side::Server, "log and kernel agree on listeners");
    let bound = view.events(SERVER, |e| match e {
        Event::ListenerBound { address, .. } => Some(*address),
        _ => None,
    });
    let Some(pid) = view.pid(SERVER) else { return vec![] };
    if let Some((line, _)) = view.end_of(SERVER).filter(|_| view.ended_before_table("ready")) {
        let id = view.cite(line);
        return vec![check.unknown("the server had ended when the table was read", vec![id])];
    }
    let (line, rows) = match view.table("ready", TableSource::Proc) {
        Ok(table) => table,
        Err(why) => return vec![check.unknown(format!("the table could not be read: {why}"), vec![])],
    };
    if !view.can_see(TableSource::Proc) {
        return vec![check.unknown("the reader did not pass its self-test", vec![])];
    }
    let mut ids = vec![view.cite(line)];
    let mut problems = Vec::new();
    for (log, line, address) in &bound {
        let problem = match listens(rows, *address) {
            None => format!("the log says that {address} listens, the kernel says no"),
            // whose socket it is cannot always be seen; if it can, it must be the server's
            Some(row) if row.pids.is_empty() || row.pids.contains(&pid) => continue,
            Some(row) => {
                let owners: Vec<_> = row.pids.iter().map(ToString::to_string).collect();
                format!(
                    "the log says that the server listens on {address}, the kernel says that pid {} does",
                    owners.join(", ")
                )
            }
        };
        ids.push(view.cite_log(log, line));
        problems.push(problem);
    }
    for (address, _) in listeners_of(rows, pid) {
        if bound.iter().all(|(_, _, claimed)| *claimed != address) {
            problems.push(format!("the server listens on {address}, and its log does not say so"));
        }
    }
    vec![if problems.is_empty() {
        check.pass(format!("{} listeners in the log, all in the kernel", bound.len()), ids)
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
    if !view.can_see(TableSource::Proc) {
        return vec![check.unknown("the reader did not pass its self-test", vec![id])];
    }
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
