//! What the checks mean for people: by component, and along each connection.

use super::summary::{and, worst};
use crate::evidence::{Check, ClientPlan, Edge, Evidence, Impact, Observation, Status};
use sidetone::event::{Family, Transport};

/// Whether a check is about one of these clients, or about none in particular.
fn concerns(check: &Check, clients: &[&ClientPlan]) -> bool {
    match check.id.split('/').nth(1) {
        None => false,
        Some(who) => clients.iter().any(|c| c.name == who),
    }
}

/// Whether these clients joined; if only some did, which.
fn joined(checks: &[Check], clients: &[&ClientPlan]) -> (Status, Option<String>) {
    let of = |c: &&ClientPlan| {
        worst(checks.iter().filter(|check| check.id.starts_with("session.joined") && concerns(check, &[*c])))
    };
    let (well, unwell): (Vec<_>, Vec<_>) = clients.iter().partition(|c| of(c) == Status::Pass);
    let names = |list: &[&&ClientPlan]| and(&list.iter().map(|c| c.name.as_str()).collect::<Vec<_>>());
    let some = (!well.is_empty() && !unwell.is_empty())
        .then(|| format!("{} joined, {} did not", names(&well), names(&unwell)));
    (clients.iter().map(of).max().unwrap_or(Status::Unknown), some)
}

/// The impact table.
pub(super) fn impact(evidence: &Evidence, checks: &[Check]) -> Vec<Impact> {
    let mut rows = Vec::new();
    let mut row = |component: &str, status: Status, good: &str, bad: &str| {
        let effect = match status {
            Status::Pass | Status::Skip => good,
            Status::Warn => "works, with a warning",
            Status::Unknown => "could not be checked",
            Status::Fail => bad,
        };
        rows.push(Impact { component: component.to_owned(), status, effect: effect.to_owned() });
    };
    let by_prefix = |prefixes: &[&str]| {
        let concerned: Vec<_> = checks.iter().filter(|c| prefixes.iter().any(|p| c.id.starts_with(p))).collect();
        worst(concerned.into_iter())
    };
    row(
        "Server listeners",
        by_prefix(&["bind.", "tcp.", "http.", "session.hello", "process.ready"]),
        "bound, owned by the server, answering",
        "at least one listener is not what it should be",
    );
    for (transport, component) in [(Transport::Tcp, "TCP clients"), (Transport::WebSocket, "WebSocket clients")] {
        let clients: Vec<_> = evidence.plan.clients.iter().filter(|c| c.transport == transport).collect();
        if !clients.is_empty() {
            let (status, some) = joined(checks, &clients);
            row(component, status, "join", some.as_deref().unwrap_or("cannot join"));
        }
    }
    if evidence.plan.server.launch && !evidence.plan.server.bind.is_empty() {
        let (status, effect) = browsers(evidence);
        row("Browsers", status, "the page and its WebSocket are served", &effect);
    }
    for (family, component) in [(Family::Ipv4, "IPv4"), (Family::Ipv6, "IPv6")] {
        let clients: Vec<_> = evidence.plan.clients.iter().filter(|c| c.family == family).collect();
        if !clients.is_empty() {
            let (status, some) = joined(checks, &clients);
            row(component, status, "works", some.as_deref().unwrap_or("does not work"));
        }
    }
    let has = |prefix: &str| checks.iter().any(|c| c.id.starts_with(prefix));
    if has("media.hears") || has("media.speech") {
        let status = by_prefix(&["media.hears", "media.speech", "media.concealment", "media.underrun", "media.mixer"]);
        row(
            "Sound",
            status,
            "everybody hears the others and not themselves",
            "somebody hears the wrong thing, or nothing",
        );
    }
    if has("media.picture") {
        let status = by_prefix(&["media.picture", "media.snapshot"]);
        row("Pictures", status, "everybody sees the others", "somebody does not see the others");
    }
    if has("discovery.") {
        row(
            "Discovery (mDNS)",
            by_prefix(&["discovery."]),
            "the server is found by a browse",
            "the server is not found by a browse",
        );
    }
    let status = by_prefix(&["process.exit", "process.no_orphans", "bind.released", "resource."]);
    row(
        "Shutdown",
        status,
        "clean: ports, processes and descriptors are free",
        "something is left behind or ended badly",
    );
    rows
}

/// Browsers are served from the WebSocket's port, on each address by itself.
fn browsers(evidence: &Evidence) -> (Status, String) {
    let served = evidence.observations().find_map(|(_, o)| match o {
        Observation::Ready { websocket, .. } => Some(websocket.as_slice()),
        Observation::NotReady { .. } => Some(&[]),
        _ => None,
    });
    let Some(served) = served else { return (Status::Unknown, String::new()) };
    let there = |ip: &&std::net::IpAddr| served.iter().any(|a| a.ip() == **ip);
    let (on, off): (Vec<_>, Vec<_>) = evidence.plan.server.bind.iter().partition(there);
    let list = |ips: &[&std::net::IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if on.is_empty() {
        return (Status::Fail, "cut off: the page and its WebSocket come from a port that is not there".to_owned());
    }
    if !off.is_empty() {
        return (Status::Fail, format!("served on {}, cut off on {}", list(&on), list(&off)));
    }
    let port = served.first().map(std::net::SocketAddr::port);
    let answers = evidence.observations().filter_map(|(_, o)| match o {
        Observation::Http { address, status, .. } if Some(address.port()) == port => Some(status.is_some()),
        Observation::Connect { address, errno: Some(_), .. } if Some(address.port()) == port => Some(false),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    let status = match (answers.is_empty(), answers.iter().all(|answered| *answered)) {
        (true, _) => Status::Unknown,
        (false, true) => Status::Pass,
        (false, false) => Status::Fail,
    };
    (status, "the port is there and does not answer as it should".to_owned())
}

/// Who was connected to whom.
pub(super) fn flow(evidence: &Evidence, checks: &[Check]) -> Vec<Edge> {
    let target = |client: &ClientPlan| {
        evidence.observations.iter().find_map(|o| match &o.what {
            Observation::ProcessStarted { process, command, .. } if *process == client.name => {
                command.iter().find(|a| a.contains("://")).cloned()
            }
            _ => None,
        })
    };
    let status = |prefix: &str, client: &ClientPlan| {
        worst(checks.iter().filter(|c| c.id.starts_with(prefix) && concerns(c, &[client])))
    };
    let mut edges = Vec::new();
    for client in &evidence.plan.clients {
        let label = target(client).unwrap_or_else(|| format!("{} {}", client.transport, client.family));
        edges.push(Edge {
            from: client.name.clone(),
            to: "server".to_owned(),
            label,
            status: status("session.joined/", client),
        });
    }
    for client in &evidence.plan.clients {
        for other in &client.hears {
            let id = [format!("media.hears/{}", client.name), format!("media.speech/{}", client.name)];
            let status = worst(checks.iter().filter(|c| id.contains(&c.id)));
            edges.push(Edge {
                from: other.clone(),
                to: client.name.clone(),
                label: "sound, mixed by the server".to_owned(),
                status,
            });
        }
        for other in &client.sees {
            let id = format!("media.picture/{}/{other}", client.name);
            let status = worst(checks.iter().filter(|c| c.id == id));
            edges.push(Edge { from: other.clone(), to: client.name.clone(), label: "pictures".to_owned(), status });
        }
    }
    edges
}
