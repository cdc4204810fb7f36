//! A missing listener in words: the chain from the holder to the failed bind, and the sentence that people need.

use super::Case;
use crate::diagnosis::listeners::{errno, fell_back, was_ready};
use crate::diagnosis::rules::link;
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Answer, EvidenceId, Link, Question};
use sidetone::event::{Family, ListenerKind};
use std::collections::BTreeSet;
use std::net::IpAddr;

fn addresses(cases: &[Case]) -> String {
    let mut all: Vec<_> = cases.iter().map(|case| case.missing.address.to_string()).collect();
    let mut seen = BTreeSet::new();
    all.retain(|address| seen.insert(address.clone()));
    and(&all)
}

/// The ephemeral range where the server ran: by the harness's own look, which may be in another network than its start.
pub(super) fn range(view: &View<'_>) -> Option<(u16, u16)> {
    match view.answer_to(&Question::EphemeralRange {}) {
        Some((_, Answer::Range { range, .. })) => Some(*range),
        _ => view.evidence.environment.ephemeral_range,
    }
}

/// `TCP`, `WebSocket`, or both.
fn kinds(cases: &[Case]) -> String {
    let mut kinds: Vec<_> = cases.iter().map(|case| named(case.missing.kind)).collect();
    kinds.dedup();
    and(&kinds)
}

pub(super) fn inside(view: &View<'_>, port: u16) -> Option<(u16, u16)> {
    range(view).filter(|(low, high)| (*low..=*high).contains(&port))
}

/// From who holds it to what the server got; what is alike of several addresses is one link.
pub(super) fn chain(view: &mut View<'_>, cases: &[Case]) -> Option<Vec<Link>> {
    let port = cases.first()?.missing.address.port();
    let mut chain = Grouped::default();
    for held in cases.iter().filter_map(|case| case.in_the_way.first()) {
        let since = held.since.as_ref().map_or_else(String::new, |since| format!(", running since {},", clock(since)));
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
            let (before, after) = (format!("{who} {call} to"), format!("for {kind} fails with {errno}"));
            chain.add(before, case.missing.address.to_string(), &after, evidence);
        }
    }
    for case in cases {
        let address = case.missing.address.to_string();
        match &case.now {
            Some((false, id)) if case.missing.told => {
                chain.add("the harness's own bind to".to_owned(), address, "fails too", id);
            }
            Some((true, id)) if case.errno == errno::EADDRINUSE => {
                chain.add("by now".to_owned(), address, "is free again: the harness could bind it", id);
            }
            _ => {}
        }
    }
    if let Some((low, high)) = inside(view, port)
        && let Some(held) = cases
            .iter()
            .find_map(|case| case.in_the_way.first())
            .filter(|h| !["LISTEN", "TIME_WAIT"].contains(&h.state.as_str()))
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
            let words = and(&words);
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

/// `13:05:59 UTC` of an RFC 3339 time.
fn clock(time: &str) -> String {
    let time = time.split('T').nth(1).unwrap_or(time);
    format!("{} UTC", time.split(['.', 'Z']).next().unwrap_or(time))
}

/// Everybody who is in the way, once each.
fn holders(view: &View<'_>, cases: &[Case]) -> String {
    let mut told: Vec<String> = Vec::new();
    for held in cases.iter().filter_map(|case| case.in_the_way.first()) {
        let since = held.since.as_ref().map_or_else(String::new, |since| format!(", running since {},", clock(since)));
        let own = held.pid.is_some() && held.pid == view.pid(SERVER);
        let who = if own { "the server itself".to_owned() } else { format!("{}{since}", held.who()) };
        if !told.contains(&who) {
            told.push(who);
        }
    }
    and(&told)
}

/// Where the holders listen; an IPv6 wildcard may take the IPv4 port too.
fn held_addresses(cases: &[Case]) -> String {
    let mut told: Vec<String> = Vec::new();
    for (case, held) in cases.iter().filter_map(|case| Some((case, case.in_the_way.first()?))) {
        let both = held.local.is_ipv6() && case.missing.address.is_ipv4();
        let one = if both { format!("{} (IPv4 too)", held.local) } else { held.local.to_string() };
        if !told.contains(&one) {
            told.push(one);
        }
    }
    and(&told)
}

/// The sentence that people need: what is cut off, by whom, since when, what still works.
pub(super) fn summary(view: &mut View<'_>, cases: &[Case], code: &str) -> String {
    let list = addresses(cases);
    let errno = cases[0].missing.failed.as_ref().map_or("", |(_, errno)| errno.name.as_str()).to_owned();
    let kind = kinds(cases);
    let port = cases[0].missing.address.port();
    let held = cases.iter().find_map(|case| case.in_the_way.first());
    let who = holders(view, cases);
    let free_again = cases.iter().any(|case| matches!(case.now, Some((true, _))));
    let why = match (code, held) {
        ("bind.port_in_use", Some(_)) if free_again => {
            format!("{who} listened on {list} at that moment, and it is free again")
        }
        ("bind.port_in_use", Some(_)) => format!("{who} already listens on {}", held_addresses(cases)),
        ("bind.port_in_use", None) => format!("somebody held {list} at that moment, and nobody can be named"),
        ("bind.wildcard_conflict", Some(held)) => {
            format!("{who} already listens on {}, and {list} cannot be bound beside it", held.local)
        }
        ("bind.port_in_time_wait", _) => {
            format!(
                "{list} is in TIME_WAIT, the remains of a closed connection that no process holds; it is free within a minute"
            )
        }
        ("bind.port_taken_by_outgoing", Some(held)) => {
            let to = held.remote.map_or_else(String::new, |remote| format!(" to {remote}"));
            let lies = if inside(view, port).is_some() { " (an ephemeral port)" } else { "" };
            format!("{who} holds {list}{lies} as the local end of an outgoing connection{to}")
        }
        ("bind.bound_not_listening", _) => {
            format!(
                "a socket that does not listen is bound to {list}; no table that the harness reads names its process"
            )
        }
        ("bind.permission_denied", _) => match view.evidence.environment.unprivileged_port_start {
            Some(start) if port < start => format!("port {port} needs CAP_NET_BIND_SERVICE, as all below {start} do"),
            Some(_) => format!("a security policy denies {list}"),
            None => format!("{list} was denied; from which port on no privilege is needed could not be read"),
        },
        ("family.ipv6_disabled", _) => {
            format!("this machine has no IPv6, and {} was asked for", cases[0].missing.address.ip())
        }
        ("bind.address_not_local", _) => format!("{} is no address of this machine", cases[0].missing.address.ip()),
        ("bind.ephemeral_range_exhausted", _) => match range(view) {
            Some((low, high)) => {
                format!("any free port was asked for, and none of the ephemeral range {low}-{high} is free")
            }
            None => "any free port was asked for, and none is free".to_owned(),
        },
        _ => format!("{kind} cannot be bound to {list}"),
    };
    effect(view, cases, &format!("{why} ({errno})"))
}

/// What it means for people, around the reason.
fn effect(view: &mut View<'_>, cases: &[Case], why: &str) -> String {
    let kind = cases[0].missing.kind;
    if let Some((asked, port, _)) = fell_back(view, kind) {
        return format!("{} listens on port {port} instead of {asked}, and says so: {why}", named(kind));
    }
    if !was_ready(view) {
        return match view.end_of(SERVER) {
            Some((_, end)) if !end.by_harness => {
                let code = end.code.map_or_else(String::new, |code| format!(" (exit code {code})"));
                format!("the server did not start{code}: {why}")
            }
            _ => format!("the server did not get ready: {why}"),
        };
    }
    let (off, on): (Vec<_>, Vec<_>) = [ListenerKind::Tcp, ListenerKind::WebSocket]
        .into_iter()
        .map(|kind| (kind, absent(view, kind)))
        .partition(|(_, absent)| !absent.is_empty());
    let who = |kind: ListenerKind| match kind {
        ListenerKind::Tcp => "TCP clients",
        ListenerKind::WebSocket => "WebSocket clients and browsers",
    };
    let all = view.evidence.plan.server.bind.len();
    // what of a kind is still there
    let families = |kind| {
        let there: BTreeSet<_> = present(view, kind).into_iter().collect();
        there.into_iter().collect::<Vec<_>>().join(" and ")
    };
    let partly = off.iter().filter(|(_, absent)| absent.len() < all);
    let rest: Vec<_> = partly.map(|(kind, _)| format!("{} over {}", who(*kind), families(*kind))).collect();
    let off: Vec<_> = off
        .iter()
        .map(|(kind, absent)| {
            let over = if absent.len() == all { String::new() } else { format!(" over {}", absent.join(" and ")) };
            format!("{}{over}", who(*kind))
        })
        .collect();
    let off = if off.is_empty() { named(kind).to_owned() } else { and(&off) };
    let mut on: Vec<_> = on.iter().map(|(kind, _)| who(*kind).to_owned()).collect();
    on.extend(rest);
    let on = if on.is_empty() { String::new() } else { format!("; {} are served", and(&on)) };
    format!("{off} are cut off: {why}{on}")
}

/// The families, or addresses where two of a family were asked for, on which a kind of listener is there.
fn present(view: &View<'_>, kind: ListenerKind) -> Vec<String> {
    let gone = absent(view, kind);
    let asked = &view.evidence.plan.server.bind;
    asked.iter().map(|ip| named_ip(asked, ip)).filter(|name| !gone.contains(name)).collect()
}

/// By its family, or by itself where two of a family were asked for.
fn named_ip(asked: &[IpAddr], ip: &IpAddr) -> String {
    let same = asked.iter().filter(|other| other.is_ipv4() == ip.is_ipv4()).count() > 1;
    if same { ip.to_string() } else { Family::of(&(*ip, 0).into()).to_string() }
}

/// The families on which a kind of listener is missing, or the address where two of a family were asked for.
fn absent(view: &View<'_>, kind: ListenerKind) -> Vec<String> {
    let Some((_, tcp, websocket)) = view.ready() else { return Vec::new() };
    let there = if kind == ListenerKind::Tcp { tcp } else { websocket };
    let asked = &view.evidence.plan.server.bind;
    let missing = asked.iter().filter(|ip| there.iter().all(|a| a.ip() != **ip));
    missing.map(|ip| named_ip(asked, ip)).collect()
}
