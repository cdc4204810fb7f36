//! Connections: TCP, HTTP, the session.

use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, ClientPlan, EvidenceId, Layer, LogLine, Observation, Side};
use sidetone::event::{Event, Family};
use std::net::SocketAddr;

/// What a probe of one address found: `Ok` a figure, `Err` what is wrong.
type Found = Result<String, String>;

/// One outcome over several probes of the same kind.
fn together(
    check: crate::diagnosis::view::Draft,
    view: &mut View<'_>,
    found: Vec<(usize, Found)>,
    remedy: &str,
) -> Vec<Check> {
    let ids: Vec<EvidenceId> = found.iter().map(|(line, _)| view.cite(*line)).collect();
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().map(|(_, f)| f).partition(Result::is_ok);
    let bad: Vec<_> = bad.into_iter().filter_map(Result::err).collect();
    let good: Vec<_> = good.into_iter().flatten().collect();
    vec![if ids.is_empty() {
        check.unknown("not probed: no listener was announced, or the run ended before", vec![])
    } else if bad.is_empty() {
        check.pass(good.join("; "), ids)
    } else {
        check.fail(bad.join("; "), ids, remedy)
    }]
}

/// The target of a probe has addresses. Runs launch what they probe and need no name.
pub(super) fn resolve(view: &mut View<'_>) -> Vec<Check> {
    let seen = view.first(|o| match o {
        Observation::Resolved { target, addresses, error, took_us } => Some((target, addresses, error, *took_us)),
        _ => None,
    });
    let Some((line, (target, addresses, error, took_us))) = seen else { return vec![] };
    let check = draft("dns.resolve", Layer::Dns, Side::Path, format!("{target} has addresses"));
    let id = view.cite(line);
    vec![if let Some(error) = error {
        check.fail(error.clone(), vec![id], "check the spelling, /etc/hosts and the resolver")
    } else {
        let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        check.pass(format!("{} in {took_us} us", list.join(" ")), vec![id])
    }]
}

/// Each listener completes a connection.
pub(super) fn connect(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("tcp.connect", Layer::Tcp, Side::Server, "listeners complete connections");
    let found = view.seen(|o| match o {
        Observation::Connect { address, errno, took_us } => Some((
            *address,
            match errno {
                None => Ok(format!("{address} in {took_us} us")),
                Some(errno) => Err(format!("{address}: {errno}")),
            },
        )),
        _ => None,
    });
    let found = found.into_iter().map(|(line, (address, found))| match stranger_at(view, address) {
        Some(pid) if found.is_ok() => (line, Err(format!("{address} is answered by pid {pid}, not by the server"))),
        _ => (line, found),
    });
    let found = found.collect();
    together(
        check,
        view,
        found,
        "start the server, or compare the port with its ready line; if it listens, look for a filter",
    )
}

/// Another process than the server whose socket listens on an address, if the server was launched and it can be seen.
fn stranger_at(view: &View<'_>, address: SocketAddr) -> Option<u32> {
    let own = view.pid(SERVER)?;
    let (_, row) = view.covering_row("ready", address)?;
    row?.pids.iter().find(|pid| **pid != own).copied().filter(|_| !row.is_some_and(|r| r.pids.contains(&own)))
}

/// Addresses that completed no connection: nothing above TCP can be asked of them.
fn unconnected(view: &View<'_>) -> Vec<SocketAddr> {
    let failed = view.seen(|o| match o {
        Observation::Connect { address, errno: Some(_), .. } => Some(*address),
        _ => None,
    });
    failed.into_iter().map(|(_, address)| address).collect()
}

/// `/healthz` answers 200, not degraded.
pub(super) fn health(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("http.health", Layer::Http, Side::Server, "/healthz answers 200 and \"ok\"");
    let dead = unconnected(view);
    let found = view.seen(|o| match o {
        Observation::Http { address, .. } if dead.contains(address) => None,
        Observation::Http { address, path, status, body, error, took_us } if path == "/healthz" => {
            let said = serde_json::from_str::<serde_json::Value>(body).ok();
            let word = said.as_ref().and_then(|v| v.get("status")?.as_str());
            Some(match (status, word, error) {
                (Some(200), Some("ok"), _) => Ok(format!("{address} in {took_us} us")),
                (Some(200), Some(word), _) => Err(format!("{address} says {word:?}{}", missing_by(said.as_ref()))),
                (Some(status), _, _) if body.trim().is_empty() => Err(format!("{address} answers {status}")),
                (Some(status), _, _) => Err(format!("{address} answers {status}: {}", body.trim())),
                (None, _, error) => Err(format!("{address}: {}", error.as_deref().unwrap_or("no answer"))),
            })
        }
        _ => None,
    });
    if found.is_empty() && !dead.is_empty() {
        return vec![check.skip("needs a TCP connection")];
    }
    together(check, view, found, "ask /healthz by hand; `degraded` lists what is missing")
}

/// What `/healthz` says is missing, each without its reason: the log and the kernel tell that better.
fn missing_by(said: Option<&serde_json::Value>) -> String {
    let list = said.and_then(|v| v.get("degraded")?.as_array());
    let short = |one: &serde_json::Value| one.as_str().map(|s| s.split(": ").next().unwrap_or(s).to_owned());
    let told: Vec<_> = list.into_iter().flatten().filter_map(short).collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join("; ")) }
}

/// Each accept loop answers a hello.
pub(super) fn hello(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("session.hello", Layer::Session, Side::Server, "every accept loop answers a hello");
    let dead = unconnected(view);
    let found = view.seen(|o| match o {
        Observation::Hello { address, .. } if dead.contains(address) => None,
        Observation::Hello { address, transport, answered, answer, took_us } => Some(if *answered {
            Ok(format!("{address} ({transport}) in {took_us} us"))
        } else {
            Err(format!("{address} ({transport}): {answer}"))
        }),
        _ => None,
    });
    if found.is_empty() && !dead.is_empty() {
        return vec![check.skip("needs a TCP connection")];
    }
    together(
        check,
        view,
        found,
        "the listener is there but its program does not serve it: look for a stopped or blocked server",
    )
}

/// Each client is in, over its transport and family, by both sides' logs.
pub(super) fn joined(view: &mut View<'_>) -> Vec<Check> {
    view.evidence.plan.clients.iter().map(|client| joined_one(view, client)).collect()
}

fn joined_one(view: &mut View<'_>, client: &ClientPlan) -> Check {
    let title = format!("{} joins over {} on {}", client.name, client.transport, client.family);
    let check = draft(format!("session.joined/{}", client.name), Layer::Session, Side::Client, title);
    if view.pid(&client.name).is_none() {
        let why = view.not_observed(&format!("client {}", client.name));
        return match why {
            Some((line, why)) => {
                let id = view.cite(line);
                check.fail(why, vec![id], "compare the client's transport and family with the ready line")
            }
            None => check.unknown("the client was not started", vec![]),
        };
    }
    let own = view.events(&client.name, |e| matches!(e, Event::ClientJoined { .. }).then_some(()));
    let servers = view.events(SERVER, |e| match e {
        Event::SessionJoined { name, transport, peer, .. } if *name == client.name => Some((*transport, *peer)),
        _ => None,
    });
    // what a server did only after its client had been told to go is no joining
    let told_to_go = view.evidence.observations.iter().find_map(|o| match &o.what {
        Observation::SignalSent { process, .. } if *process == client.name => Some(o.monotonic_ns),
        _ => None,
    });
    let in_time = |line: &LogLine| {
        let at = line.record.as_ref().map_or(0, |r| r.monotonic_ns);
        told_to_go.is_none_or(|told| at < told)
    };
    let servers: Vec<_> = servers.into_iter().filter(|(_, line, _)| in_time(line)).collect();
    let mut ids: Vec<_> = own.iter().take(1).map(|(log, line, ())| view.cite_log(log, line)).collect();
    ids.extend(servers.iter().take(1).map(|(log, line, _)| view.cite_log(log, line)).collect::<Vec<_>>());
    match (own.is_empty(), servers.first()) {
        (false, Some((_, _, (transport, peer)))) => {
            let over = (*transport, Family::of(peer));
            if over == (client.transport, client.family) {
                check.pass(format!("from {peer}, by both logs"), ids)
            } else {
                let message = format!("came over {transport} on {} instead", over.1);
                check.fail(message, ids, "compare the target with the ready line")
            }
        }
        (false, None) => {
            check.fail("the client says it is in, the server's log does not", ids, "look which server answered")
        }
        (true, Some(_)) => {
            check.fail("the server says it is in, the client's log does not", ids, "read the client's log")
        }
        (true, None) => {
            let failed = view.events(&client.name, |e| match e {
                Event::ClientConnectFailed { .. } | Event::ClientRefused { .. } => Some(e.message()),
                _ => None,
            });
            if let Some((log, line, _)) = failed.last() {
                ids.push(view.cite_log(log, line));
            }
            let why =
                failed.last().map_or_else(|| "it never joined".to_owned(), |(_, _, m)| format!("never joined: {m}"));
            check.fail(why, ids, "read the client's log from its beginning")
        }
    }
}

/// No connection was lost, refused or malformed.
pub(super) fn stayed(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("session.stayed", Layer::Session, Side::Path, "no connection was lost or malformed");
    if view.started_clients().is_empty() {
        return vec![check.skip("no client was started")];
    }
    let joined = view
        .started_clients()
        .into_iter()
        .any(|client| !view.events(&client.name, |e| matches!(e, Event::ClientJoined { .. }).then_some(())).is_empty());
    let mut told = Vec::new();
    let mut ids = Vec::new();
    // who comes back after the server was started again is told by `session.resumed`
    let restarted = super::room::restarted(view).is_some();
    for client in view.started_clients() {
        let lost = view.events(&client.name, |e| matches!(e, Event::ClientDisconnected { .. }).then(|| e.message()));
        for (log, line, message) in lost.into_iter().skip(usize::from(restarted)) {
            ids.push(view.cite_log(log, line));
            told.push(format!("{}: {message}", client.name));
        }
    }
    for (log, line, message) in view.events(SERVER, |e| match e {
        Event::ConnectionMalformed { .. } | Event::SessionTimedOut { .. } | Event::SessionSlowConsumer { .. } => {
            Some(e.message())
        }
        _ => None,
    }) {
        ids.push(view.cite_log(log, line));
        told.push(message);
    }
    vec![if told.is_empty() && !joined {
        check.skip("nobody was in")
    } else if told.is_empty() {
        let but = if restarted { ", or the server was started again" } else { "" };
        check.pass(format!("all stayed until they were asked to leave{but}"), ids)
    } else {
        check.fail(told.join("; "), ids, "read both logs around that time")
    }]
}
