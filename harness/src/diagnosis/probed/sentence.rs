//! The words of a probe's verdict where nothing is wrong, and what it did not look at.

use crate::diagnosis::summary::and;
use crate::evidence::probed::{Greeting, Saw, Speaks};
use crate::evidence::{Check, Evidence, NotChecked, Observation, ProbePlan, Speak, Status};
use std::net::SocketAddr;

/// Everything answers: what, where, how fast.
pub(in crate::diagnosis) fn healthy(evidence: &Evidence, plan: &ProbePlan, checks: &[Check]) -> String {
    let passed = checks.iter().filter(|c| c.status == Status::Pass).count();
    let mut what = Vec::new();
    let mut add = |text: String| {
        if !what.contains(&text) {
            what.push(text);
        }
    };
    for (_, seen) in evidence.observations() {
        let Observation::Probed(step) = seen else { continue };
        match &step.saw {
            Saw::Tls(it) => it.version.iter().for_each(|version| add(version.clone())),
            Saw::Http(it) => it.status.iter().for_each(|status| add(format!("HTTP {status}"))),
            Saw::Upgrade(it) if it.failure.is_none() && !it.elsewhere => add("a WebSocket".to_owned()),
            Saw::Hello(it) if it.answered => add(match &it.agent {
                Some(agent) => format!("Sidetone ({})", agent.first_line(40)),
                None => "Sidetone".to_owned(),
            }),
            Saw::Echo(it) if it.failure.is_none() => add("sound through the echo room".to_owned()),
            Saw::Identify(it) if it.speaks == Speaks::Greeting => {
                let greeting = it.greeting.as_ref();
                let name = greeting.and_then(|g| g.protocol.clone());
                let words = greeting.map(|g| g.begins.first_line(60)).unwrap_or_default();
                add(match name {
                    // bytes that are no text tell people nothing beside the name
                    Some(name) if greeting.is_some_and(Greeting::is_binary) => name,
                    name => format!("{} ({words})", name.as_deref().unwrap_or("a greeting")),
                });
            }
            Saw::Identify(it) if it.speaks == Speaks::Unknown => add(match it.answers_like.as_deref() {
                Some("PROXY protocol") => "a listener that expects the PROXY protocol".to_owned(),
                Some(like) => like.to_owned(),
                None => "answers in a protocol that this probe does not know".to_owned(),
            }),
            Saw::Identify(it) if plan.speak == Speak::Tcp => match it.speaks {
                Speaks::Http | Speaks::WebSocket => add("HTTP".to_owned()),
                Speaks::Tls => add("TLS".to_owned()),
                _ => {}
            },
            Saw::Identify(it) if plan.speak == Speak::Tls && matches!(it.speaks, Speaks::Http | Speaks::WebSocket) => {
                add("HTTP".to_owned());
            }
            Saw::Stun(it) => it.mapped.iter().for_each(|mapped| add(format!("STUN, which sees us as {mapped}"))),
            Saw::Exchange(it) => add(format!("{} bytes in answer", it.received)),
            _ => {}
        }
    }
    let answers = if what.is_empty() { "it accepts connections".to_owned() } else { and(&what) };
    let addresses = answering(evidence);
    let at = if addresses.is_empty() { String::new() } else { format!(" on {}", and(&addresses)) };
    format!("{} works: {answers}{at}; {}", plan.target, all(passed))
}

fn all(passed: usize) -> String {
    match passed {
        1 => "the one check passed".to_owned(),
        n => format!("all {n} checks passed"),
    }
}

/// Addresses that completed a connection.
fn answering(evidence: &Evidence) -> Vec<String> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for (_, seen) in evidence.observations() {
        if let Observation::Probed(step) = seen
            && let (Some(address), Saw::Connect(it)) = (step.address, &step.saw)
            && it.failure.is_none()
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found.iter().map(ToString::to_string).collect()
}

/// Whether an address of the target is this machine's; `None`: there is no address, or it is not known.
fn whose(evidence: &Evidence) -> Option<bool> {
    let all = evidence.observations().filter_map(|(_, seen)| match seen {
        Observation::Probed(step) => match &step.saw {
            Saw::Route(route) => route.this_machine,
            _ => None,
        },
        _ => None,
    });
    all.reduce(|one, other| one || other)
}

/// Whether every address completed a connection.
fn connected(evidence: &Evidence) -> bool {
    evidence.observations().all(|(_, seen)| match seen {
        Observation::Probed(step) => !matches!(&step.saw, Saw::Connect(it) if it.failure.is_some()),
        _ => true,
    })
}

/// What a probe leaves out, and how it would not.
pub(in crate::diagnosis) fn not_checked(evidence: &Evidence, plan: &ProbePlan) -> Vec<NotChecked> {
    let mut list = Vec::new();
    let mut add = |what: &str, why: String, remedy: Option<&str>| {
        list.push(NotChecked { what: what.to_owned(), why, remedy: remedy.map(str::to_owned) });
    };
    let is_ours = evidence.observations().any(|(_, seen)| {
        matches!(seen, Observation::Probed(step) if matches!(&step.saw, Saw::Hello(hello) if hello.answered))
    });
    if is_ours && !plan.deep {
        add(
            "sound",
            "a probe joins no room unless it is told to".to_owned(),
            Some("--deep sends a tone through the echo room"),
        );
    }
    let behind = evidence.observations().find_map(|(_, seen)| match seen {
        Observation::Probed(step) => match &step.saw {
            Saw::Behind(behind) => Some(behind),
            _ => None,
        },
        _ => None,
    });
    match behind {
        Some(behind) => {
            // whose socket it is, and that it is reached, is known: filters and namespaces do not matter
            let settled =
                behind.listeners.iter().any(|one| one.covers && !one.owners.is_empty()) && connected(evidence);
            for unseen in behind.unseen.iter().filter(|_| !settled) {
                add(&unseen.what, unseen.why.clone(), unseen.remedy.as_deref());
            }
            if !plan.log {
                add("what the server itself says", "its log was not given".to_owned(), Some("--log FILE reads it too"));
            }
        }
        None if plan.proxy.is_some() => {
            add(
                "what is behind the socket",
                "a proxy stands between".to_owned(),
                Some("run the probe on the server's machine"),
            );
        }
        None => {
            let (why, remedy) = match whose(evidence) {
                Some(true) => ("this machine did not say in time", None),
                Some(false) => ("the target is another machine", Some("run the probe on the server's machine")),
                None => ("the target has no address", None),
            };
            add("what is behind the socket", why.to_owned(), remedy);
        }
    }
    for (_, seen) in evidence.observations() {
        if let Observation::NotObserved { what, why, remedy } = seen {
            add(what, why.clone(), remedy.as_deref());
        }
    }
    list
}
