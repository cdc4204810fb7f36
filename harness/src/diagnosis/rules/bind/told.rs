//! A missing listener in words: the chain from the holder to the failed bind, and the sentence that people need.

use super::Case;
use crate::diagnosis::listeners::{errno, fell_back, was_ready};
use crate::diagnosis::rules::link;
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Answer, EvidenceId, Link, Question};
use sidetone::event::ListenerKind;

fn addresses(cases: &[&Case]) -> String {
    let mut all: Vec<_> = cases.iter().map(|case| case.missing.address.to_string()).collect();
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|address| seen.insert(address.clone()));
    and(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The ephemeral range where the server ran: by the harness's own look, which may be in another network than its start.
pub(super) fn range(view: &View<'_>) -> Option<(u16, u16)> {
    match view.answer_to(&Question::EphemeralRange {}) {
        Some((_, Answer::Range { range, .. })) => Some(*range),
        _ => view.evidence.environment.ephemeral_range,
    }
}

/// `TCP`, `WebSocket`, or both.
fn kinds(cases: &[&Case]) -> String {
    let mut kinds: Vec<_> = cases.iter().map(|case| named(case.missing.kind)).collect();
    kinds.dedup();
    and(&kinds)
}

pub(super) fn inside(view: &View<'_>, port: u16) -> Option<(u16, u16)> {
    range(view).filter(|(low, high)| (*low..=*high).contains(&port))
}

/// From who holds it to what the server got; what is alike of several addresses is one link.
pub(super) fn chain(view: &mut View<'_>, cases: &[&Case]) -> Option<Vec<Link>> {
    let port = cases.first()?.missing.address.port();
    let mut chain = Grouped::default();
    for held in cases.iter().filter_map(|case| case.in_the_way.first()) {
        let since = held.since.as_ref().map_or_else(String::new, |since| format!(", running since {since},"));
        let (who, local) = (held.who(), held.local.to_string());
        match (held.state.as_str(), held.remote) {
            ("LISTEN", _) => chain.add(format!("{who}{since} listens on"), local, "", &held.evidence),
            ("TIME_WAIT", _) => {
                let after = "in TIME_WAIT: what remains of a closed connection, which no process holds";
                chain.add("the kernel has".to_owned(), local, after, &held.evidence);
            }
            (state, Some(remote)) => {
                let connection = format!("{local} -> {remote} ({state})");
                let after = ": the port is its local end";
                chain.add(format!("{who}{since} has the connection"), connection, after, &held.evidence);
            }
            (_, None) => chain.add(format!("{who}{since} holds"), local, "", &held.evidence),
        }
    }
    if let Some((line, Answer::Range { range: (low, high), taken })) = view.answer_to(&Question::EphemeralRange {}) {
        let size = u32::from(*high).saturating_sub(u32::from(*low)) + 1;
        let range = format!("{taken} of the {size} ports of the ephemeral range {low}-{high}");
        chain.add(String::new(), range, "are taken", &view.cite(line));
    }
    for case in cases {
        let (call, errno) = case.missing.failed.as_ref()?;
        let who =
            if case.missing.told { "the server's" } else { "the server's log does not say so, and the harness's own" };
        let kind = named(case.missing.kind);
        for evidence in &case.missing.evidence {
            let (before, after) = (format!("{who} {call} for {kind} of"), format!("fails with {errno}"));
            chain.add(before, case.missing.address.to_string(), &after, evidence);
        }
    }
    for case in cases {
        let address = case.missing.address.to_string();
        match &case.now {
            Some((false, id)) if case.missing.told => {
                chain.add("the harness's own bind of".to_owned(), address, "fails too", id);
            }
            Some((true, id)) if case.errno == errno::EADDRINUSE => {
                chain.add("by now".to_owned(), address, "can be bound: whoever held it has let go", id);
            }
            _ => {}
        }
    }
    if let Some((low, high)) = inside(view, port)
        && let Some(held) = cases.iter().find_map(|case| case.in_the_way.first()).filter(|h| h.state != "LISTEN")
    {
        let text =
            format!("lies inside the ephemeral range {low}-{high}, from which outgoing connections take their ports");
        chain.add(String::new(), port.to_string(), &text, &held.evidence);
    }
    chain.links()
}

/// Statements that differ in one word only.
#[derive(Default)]
struct Grouped(Vec<(String, Vec<String>, String, Vec<EvidenceId>)>);

impl Grouped {
    fn add(&mut self, before: String, word: String, after: &str, evidence: &EvidenceId) {
        let known = self.0.iter().position(|(b, _, a, _)| *b == before && a == after);
        let at = known.unwrap_or_else(|| {
            self.0.push((before, Vec::new(), after.to_owned(), Vec::new()));
            self.0.len() - 1
        });
        let group = &mut self.0[at];
        if !group.1.contains(&word) {
            group.1.push(word);
        }
        if !group.3.contains(evidence) {
            group.3.push(evidence.clone());
        }
    }

    fn links(self) -> Option<Vec<Link>> {
        let said = |(before, words, after, evidence): (String, Vec<String>, String, Vec<EvidenceId>)| {
            let words = and(&words.iter().map(String::as_str).collect::<Vec<_>>());
            let after = if after.is_empty() || after.starts_with(':') { after } else { format!(" {after}") };
            link(format!("{before} {words}{after}").trim(), &evidence)
        };
        self.0.into_iter().map(said).collect()
    }
}

/// As people write it.
const fn named(kind: ListenerKind) -> &'static str {
    match kind {
        ListenerKind::Tcp => "TCP",
        ListenerKind::WebSocket => "WebSocket",
    }
}

pub(super) fn summary(view: &mut View<'_>, cases: &[&Case], code: &str) -> String {
    let kind = kinds(cases);
    let list = addresses(cases);
    let port = cases[0].missing.address.port();
    let held = cases.iter().find_map(|case| case.in_the_way.first());
    let why = match (code, held) {
        ("bind.port_in_use", Some(held)) => {
            let since = held.since.as_ref().map_or_else(String::new, |since| format!(", running since {since}"));
            format!("{}{since}, already listens on {}", held.who(), held.local)
        }
        ("bind.port_in_use", None) => "somebody held it at that moment, and has let go since".to_owned(),
        ("bind.wildcard_conflict", Some(held)) => {
            format!("{} already listens on {}, and a wildcard cannot be bound beside it", held.who(), held.local)
        }
        ("bind.port_in_time_wait", Some(held)) => {
            format!("{} is in TIME_WAIT, the remains of a connection that was closed; no process holds it", held.local)
        }
        ("bind.port_taken_by_outgoing", Some(held)) => {
            let to = held.remote.map_or_else(String::new, |remote| format!(" {} -> {remote}", held.local));
            let lies = inside(view, port).map_or_else(String::new, |(low, high)| {
                format!("; {port} lies inside the ephemeral range {low}-{high}")
            });
            format!("{} holds the port as the local end of an outgoing connection{to}{lies}", held.who())
        }
        ("bind.bound_not_listening", _) => {
            "a socket that no table shows is bound there and does not listen; no process can be named".to_owned()
        }
        ("bind.permission_denied", _) => match view.evidence.environment.unprivileged_port_start {
            Some(start) if port < start => {
                format!("ports below {start} need CAP_NET_BIND_SERVICE, which the server lacks")
            }
            _ => "a security policy denies it".to_owned(),
        },
        ("bind.address_not_local", _) => format!("{} is no address of this machine", cases[0].missing.address.ip()),
        ("bind.ephemeral_range_exhausted", _) => match range(view) {
            Some((low, high)) => {
                format!("any free port was asked for, and none of the ephemeral range {low}-{high} is free")
            }
            None => "any free port was asked for, and none is free".to_owned(),
        },
        _ => cases[0].missing.failed.as_ref().map_or_else(String::new, |(_, errno)| errno.to_string()),
    };
    let errno = cases[0].missing.failed.as_ref().map_or("", |(_, errno)| errno.name.as_str()).to_owned();
    format!("{kind} cannot listen on {list} ({errno}): {why}{}", effect(view, cases))
}

/// What it means for people.
fn effect(view: &mut View<'_>, cases: &[&Case]) -> String {
    let kind = cases[0].missing.kind;
    if let Some((asked, port, _)) = fell_back(view, kind) {
        return format!("; the server listens on {port} instead of {asked} and announces it");
    }
    if !was_ready(view) {
        return match view.end_of(SERVER) {
            Some((_, end)) if !end.by_harness => {
                let code = end.code.map_or_else(String::new, |code| format!(" with exit code {code}"));
                format!("; the server ended{code}")
            }
            _ => "; the server did not get ready".to_owned(),
        };
    }
    let whole = view.evidence.plan.server.bind.len() == cases.len();
    match (kind, whole) {
        (ListenerKind::WebSocket, true) => {
            "; TCP clients are served, WebSocket clients and browsers are cut off".to_owned()
        }
        (ListenerKind::Tcp, true) => "; WebSocket clients and browsers are served, TCP clients are cut off".to_owned(),
        (_, false) => {
            let families: Vec<_> =
                cases.iter().map(|c| sidetone::event::Family::of(&c.missing.address).to_string()).collect();
            let who = match kind {
                ListenerKind::Tcp => "TCP clients are",
                ListenerKind::WebSocket => "WebSocket clients and browsers are",
            };
            format!("; {who} cut off over {}", and(&families.iter().map(String::as_str).collect::<Vec<_>>()))
        }
    }
}
