//! What the checks mean for people: by component, and along each connection.

use super::summary::{and, worst};
use super::view::SERVER;
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
    let of_status = |wanted| clients.iter().filter(|c| of(c) == wanted).collect::<Vec<_>>();
    let (well, unwell) = (of_status(Status::Pass), of_status(Status::Fail));
    let names = |list: &[&&ClientPlan]| and(&list.iter().map(|c| c.name.as_str()).collect::<Vec<_>>());
    let some = (!well.is_empty() && !unwell.is_empty())
        .then(|| format!("{} joined, {} did not", names(&well), names(&unwell)));
    (clients.iter().map(of).max().unwrap_or(Status::Unknown), some)
}

/// What happened to the server before the clients were done with it: then nothing it offered is well.
fn gone(evidence: &Evidence) -> Option<String> {
    let called = evidence.observations.iter().find_map(|o| match &o.what {
        Observation::ProcessStarted { process, .. } if process != SERVER => Some(o.monotonic_ns),
        _ => None,
    });
    evidence.observations.iter().find_map(|o| match &o.what {
        Observation::ProcessExited { process, by_harness, ended_ns, .. } if process == SERVER => {
            let early = ended_ns.zip(called).is_some_and(|(ended, called)| ended < called);
            let time = o.time.split('T').nth(1)?.split('.').next()?;
            (!by_harness || early).then(|| format!("gone since {time} UTC: the server ended"))
        }
        _ => None,
    })
}

/// Rows of the table, as they are added.
#[derive(Default)]
struct Rows(Vec<Impact>);

impl Rows {
    fn add(&mut self, component: &str, status: Status, good: &str, bad: &str) {
        let effect = match status {
            Status::Pass | Status::Skip => good,
            Status::Warn => "works, with a warning",
            Status::Unknown => "could not be checked",
            Status::Fail => bad,
        };
        self.0.push(Impact { component: component.to_owned(), status, effect: effect.to_owned() });
    }
}

/// The impact table.
pub(super) fn impact(evidence: &Evidence, checks: &[Check]) -> Vec<Impact> {
    let mut rows = Rows::default();
    let by_prefix = |prefixes: &[&str]| worst(checks.iter().filter(|c| prefixes.iter().any(|p| c.id.starts_with(p))));
    let gone = gone(evidence);
    let launched = evidence.plan.server.launch || evidence.plan.server.bind.is_empty();
    match (&gone, launched) {
        (_, false) => rows.add("Server", Status::Fail, "", "there is none"),
        (Some(gone), _) => rows.add("Server listeners", Status::Fail, "", gone),
        (None, _) => rows.add(
            "Server listeners",
            by_prefix(&["bind.", "tcp.", "http.", "session.hello", "process.ready"]),
            "bound, owned by the server, answering",
            "at least one listener is not what it should be",
        ),
    }
    clients(evidence, checks, gone.as_deref(), &mut rows);
    let has = |prefix: &str| checks.iter().any(|c| c.id.starts_with(prefix));
    if has("media.hears") || has("media.speech") {
        sound(evidence, checks, &mut rows);
    }
    if has("media.picture") {
        let status = by_prefix(&["media.picture", "media.snapshot"]);
        rows.add("Pictures", status, "everybody sees the others", "somebody does not see the others");
    }
    if has("discovery.") {
        let status = by_prefix(&["discovery."]);
        rows.add("Discovery (mDNS)", status, "the server is found by a browse", "the server is not found by a browse");
    }
    let never = evidence.observations().any(|(_, o)| matches!(o, Observation::NotReady { .. }));
    if never && gone.is_some() {
        let status = by_prefix(&["process.no_orphans"]);
        rows.add("Shutdown", status, "the server did not start, and left nothing behind", "something is left behind");
    } else if launched {
        let status = by_prefix(&["process.exit", "process.no_orphans", "bind.released", "resource."]);
        let good = "clean: ports, processes and descriptors are free";
        rows.add("Shutdown", status, good, "something is left behind or ended badly");
    }
    rows.0
}

/// Rows about those who connect: by transport, browsers, by family.
fn clients(evidence: &Evidence, checks: &[Check], gone: Option<&str>, rows: &mut Rows) {
    let plan = &evidence.plan;
    let lost = |clients: &[&ClientPlan]| {
        let names: Vec<_> = clients.iter().map(|c| c.name.as_str()).collect();
        format!("{} lost the connection: the server ended", and(&names))
    };
    for (transport, component) in [(Transport::Tcp, "TCP clients"), (Transport::WebSocket, "WebSocket clients")] {
        let clients: Vec<_> = plan.clients.iter().filter(|c| c.transport == transport).collect();
        if clients.is_empty() {
            continue;
        }
        let (status, some) = joined(checks, &clients);
        match gone {
            Some(_) if status == Status::Pass => rows.add(component, Status::Fail, "", &lost(&clients)),
            _ => rows.add(component, status, "join", some.as_deref().unwrap_or("cannot join")),
        }
    }
    if plan.server.launch && !plan.server.bind.is_empty() {
        let (status, effect) = match gone {
            Some(_) => (Status::Fail, "cut off: the server ended".to_owned()),
            None => browsers(evidence),
        };
        rows.add("Browsers", status, "the page and its WebSocket are served", &effect);
    }
    for (family, component) in [(Family::Ipv4, "IPv4"), (Family::Ipv6, "IPv6")] {
        let clients: Vec<_> = plan.clients.iter().filter(|c| c.family == family).collect();
        let (mut status, mut some) = joined(checks, &clients);
        let missing = if gone.is_none() { absent(evidence, family) } else { Vec::new() };
        if !missing.is_empty() {
            (status, some) = (Status::Fail, Some(format!("no {} over {component}", missing.join(" and no "))));
        } else if clients.is_empty() {
            continue;
        } else if gone.is_some() && status == Status::Pass {
            (status, some) = (Status::Fail, Some("worked until the server ended".to_owned()));
        }
        rows.add(component, status, "works", some.as_deref().unwrap_or("does not work"));
    }
}

/// Which kinds of listener are missing on a family that was asked for, when the server was ready.
fn absent(evidence: &Evidence, family: Family) -> Vec<&'static str> {
    let of_family = |ip: &std::net::IpAddr| Family::of(&(*ip, 0).into()) == family;
    let asked = evidence.plan.server.bind.iter().any(of_family);
    let ready = evidence.observations().find_map(|(_, o)| match o {
        Observation::Ready { tcp, websocket, .. } => Some((tcp, websocket)),
        _ => None,
    });
    let Some((tcp, websocket)) = ready.filter(|_| asked) else { return Vec::new() };
    let there = |all: &[std::net::SocketAddr]| all.iter().any(|a| Family::of(a) == family);
    let kinds = [("TCP", there(tcp)), ("WebSocket", there(websocket))];
    kinds.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect()
}

/// Who hears what.
fn sound(evidence: &Evidence, checks: &[Check], rows: &mut Rows) {
    let about = ["media.hears", "media.speech", "media.concealment", "media.underrun", "media.mixer", "media.sends"];
    let status = worst(checks.iter().filter(|c| about.iter().any(|p| c.id.starts_with(p))));
    let fails = |what: &str, name: &str| {
        checks.iter().any(|c| c.id == format!("media.{what}/{name}") && c.status == Status::Fail)
    };
    let told: Vec<_> = evidence
        .plan
        .clients
        .iter()
        .filter(|c| !c.hears.is_empty())
        .filter_map(|c| {
            let others = and(&c.hears);
            let name = &c.name;
            if fails("hears", name) || fails("speech", name) {
                Some(format!("{name} does not hear {others} as it should"))
            } else if fails("underrun", name) || fails("concealment", name) {
                Some(format!("{name} hears {others} with gaps"))
            } else {
                None
            }
        })
        .collect();
    let bad = if told.is_empty() { "the mixer does not keep up".to_owned() } else { told.join("; ") };
    rows.add("Sound", status, "everybody hears the others and not themselves", &bad);
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
            let id = ["hears", "speech", "underrun", "concealment"].map(|what| format!("media.{what}/{}", client.name));
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
