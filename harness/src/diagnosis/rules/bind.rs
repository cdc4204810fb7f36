//! Listeners that were asked for and are missing: which of the reasons it was, and what follows from it.

use super::{Rule, finding, hypothesis, link, refuted, unwell, without};
use crate::diagnosis::listeners::{
    InTheWay, Missing, as_the_server, clients_of, errno, fell_back, in_the_way, missing, was_ready,
};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{
    Answer, Check, Confidence, EvidenceId, Finding, Fix, FixKind, Hypothesis, HypothesisState, Link, Observation,
    Question,
};
use sidetone::event::ListenerKind;
use std::net::SocketAddr;

/// A rule a listener: two can fail for two reasons.
pub(super) const RULES: &[Rule] = &[tcp, websocket];

/// What holds for every listener alike is one finding, not two.
const OF_THE_MACHINE: [&str; 4] =
    ["bind.permission_denied", "bind.address_not_local", "bind.ephemeral_range_exhausted", "resource.fd_limit"];

fn tcp(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    of_kind(view, checks, ListenerKind::Tcp)
}

fn websocket(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    of_kind(view, checks, ListenerKind::WebSocket)
}

/// A missing listener with what is in its way.
struct Case {
    missing: Missing,
    errno: i32,
    in_the_way: Vec<InTheWay>,
    /// Whether the harness could bind the address itself, and where that is written.
    now: Option<(bool, EvidenceId)>,
}

fn of_kind(view: &mut View<'_>, checks: &[Check], kind: ListenerKind) -> Option<(Finding, Vec<String>)> {
    let of = |view: &mut View<'_>, kind: ListenerKind| {
        let all: Vec<Missing> = missing(view).into_iter().filter(|m| m.kind == kind && m.number().is_some()).collect();
        first_ports(all).into_iter().filter_map(|missing| case(view, missing)).collect::<Vec<_>>()
    };
    let mut cases = of(view, kind);
    let code = classify(cases.first()?).0?;
    let confidence = classify(cases.first()?).1;
    if OF_THE_MACHINE.contains(&code) {
        let other = if kind == ListenerKind::Tcp { ListenerKind::WebSocket } else { ListenerKind::Tcp };
        let others: Vec<_> = of(view, other).into_iter().filter(|c| classify(c).0 == Some(code)).collect();
        if !others.is_empty() && kind == ListenerKind::WebSocket {
            return None; // told with the other one
        }
        cases.extend(others);
    }
    let first = cases.first()?;
    // one reason for all addresses of the listener, or the first address's alone
    let same: Vec<&Case> = cases.iter().filter(|case| classify(case).0 == Some(code)).collect();
    let chain = chain(view, &same)?;
    let hypotheses = hypotheses(view, first, code);
    let summary = summary(view, &same, code);
    let mut finding = finding(code, summary, chain, hypotheses)?;
    finding.confidence = confidence;
    specific_fixes(&mut finding, first, view);
    let explained = consequences(view, checks, &same);
    Some((finding, explained))
}

/// With what is in its way.
fn case(view: &mut View<'_>, missing: Missing) -> Option<Case> {
    let errno = missing.number()?;
    let in_the_way = in_the_way(view, &missing);
    let now = match view.answer_to(&as_the_server(missing.address)) {
        Some((line, Answer::Bound {})) => Some((true, view.cite(line))),
        Some((line, Answer::NotBound { .. })) => Some((false, view.cite(line))),
        _ => None,
    };
    Some(Case { missing, errno, in_the_way, now })
}

/// Under policy `next` the log tells of every port that was tried; the asked one is what matters.
fn first_ports(all: Vec<Missing>) -> Vec<Missing> {
    let asked = all.first().map(|m| m.address.port());
    all.into_iter().filter(|m| Some(m.address.port()) == asked).collect()
}

fn classify(case: &Case) -> (Option<&'static str>, Confidence) {
    let asked = case.missing.address;
    let held = case.in_the_way.first();
    match case.errno {
        errno::EACCES | errno::EPERM => (Some("bind.permission_denied"), Confidence::High),
        errno::EADDRNOTAVAIL => (Some("bind.address_not_local"), Confidence::High),
        errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM => (Some("resource.fd_limit"), Confidence::High),
        errno::EADDRINUSE if asked.port() == 0 => (Some("bind.ephemeral_range_exhausted"), Confidence::High),
        errno::EADDRINUSE => match (held.map(|h| h.state.as_str()), &case.now) {
            (Some("LISTEN"), _) => {
                let specific = held.is_some_and(|h| !h.local.ip().is_unspecified()) && asked.ip().is_unspecified();
                let code = if specific { "bind.wildcard_conflict" } else { "bind.port_in_use" };
                let known = held.is_some_and(|h| h.pid.is_some());
                (Some(code), if known { Confidence::High } else { Confidence::Medium })
            }
            (Some("TIME_WAIT"), _) => (Some("bind.port_in_time_wait"), Confidence::High),
            (Some(_), _) => (Some("bind.port_taken_by_outgoing"), Confidence::High),
            // nothing in any table, and still taken: bound by somebody who does not listen
            (None, Some((false, _))) => (Some("bind.bound_not_listening"), Confidence::High),
            (None, _) => (Some("bind.port_in_use"), Confidence::Low),
        },
        _ => (None, Confidence::Low),
    }
}

fn addresses(cases: &[&Case]) -> String {
    let mut all: Vec<_> = cases.iter().map(|case| case.missing.address.to_string()).collect();
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|address| seen.insert(address.clone()));
    and(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The ephemeral range where the server ran: by the harness's own look, which may be in another network than its start.
fn range(view: &View<'_>) -> Option<(u16, u16)> {
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

fn inside(view: &View<'_>, port: u16) -> Option<(u16, u16)> {
    range(view).filter(|(low, high)| (*low..=*high).contains(&port))
}

/// From who holds it to what the server got; what is alike of several addresses is one link.
fn chain(view: &mut View<'_>, cases: &[&Case]) -> Option<Vec<Link>> {
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

fn summary(view: &mut View<'_>, cases: &[&Case], code: &str) -> String {
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

/// The nearest other explanations, with what splits them.
fn hypotheses(view: &mut View<'_>, case: &Case, code: &str) -> Vec<Hypothesis> {
    let asked = case.missing.address;
    let mut all = Vec::new();
    if case.errno == errno::EADDRINUSE && asked.port() != 0 {
        let looked = view.answer_to(&Question::Holders { port: asked.port() }).map(|(line, _)| view.cite(line));
        let evidence: Vec<_> = case.in_the_way.iter().map(|h| h.evidence.clone()).chain(looked.clone()).collect();
        let has = |state: &str| case.in_the_way.iter().any(|h| h.state == state);
        let connected = case.in_the_way.iter().any(|h| !["LISTEN", "TIME_WAIT"].contains(&h.state.as_str()));
        let known = !case.in_the_way.is_empty() || looked.is_some();
        for (statement, is_so) in [
            ("another listener has the port", has("LISTEN")),
            ("an outgoing connection has the port as its local end", connected && !has("LISTEN")),
            ("a closed connection remains in TIME_WAIT", has("TIME_WAIT") && !connected && !has("LISTEN")),
        ] {
            let state = match (is_so, known) {
                (true, _) => HypothesisState::Confirmed,
                (false, true) => HypothesisState::Refuted,
                (false, false) => HypothesisState::Open,
            };
            let by = format!("the sockets with local port {}", asked.port());
            all.push(hypothesis(state, statement, by, evidence.first().cloned().into_iter().collect()));
        }
        if let Some((bound, id)) = &case.now {
            let statement = "it was only so for a moment";
            let by = "the same bind, by the harness, later";
            all.push(if *bound {
                hypothesis(HypothesisState::Confirmed, statement, by, vec![id.clone()])
            } else {
                refuted(statement, by, vec![id.clone()])
            });
        }
    }
    if code == "bind.permission_denied" {
        all.extend(elsewhere(view, asked).map(|(address, bound, id)| {
            let by = format!("a bind of {address} by the harness");
            let state = if bound { HypothesisState::Refuted } else { HypothesisState::Open };
            hypothesis(state, "no port can be bound at all", by, vec![id])
        }));
    }
    if code == "bind.address_not_local" {
        let any: SocketAddr =
            if asked.is_ipv4() { ([127, 0, 0, 1], 0).into() } else { ([0, 0, 0, 0, 0, 0, 0, 1], 0).into() };
        if let Some((line, answer)) = view.answer_to(&as_the_server(any)) {
            let state = if *answer == (Answer::Bound {}) { HypothesisState::Refuted } else { HypothesisState::Open };
            let id = view.cite(line);
            let family = sidetone::event::Family::of(&asked);
            all.push(hypothesis(
                state,
                &format!("{family} is switched off"),
                format!("a bind of {any} by the harness"),
                vec![id],
            ));
        }
    }
    all
}

/// The attempt at a port outside the ephemeral range.
pub(in crate::diagnosis) fn elsewhere(
    view: &mut View<'_>,
    asked: SocketAddr,
) -> Option<(SocketAddr, bool, EvidenceId)> {
    let (low, _) = range(view)?;
    let found = view.answers(|question, answer| match (question, answer) {
        (Question::Bind { address, .. }, Answer::Bound {} | Answer::NotBound { .. })
            if address.ip() == asked.ip()
                && (1024..low).contains(&address.port())
                && address.port() != asked.port() =>
        {
            Some((*address, *answer == (Answer::Bound {})))
        }
        _ => None,
    });
    let (line, (address, bound)) = found.into_iter().last()?;
    Some((address, bound, view.cite(line)))
}

/// What to do about this very holder comes before what the catalogue says in general.
fn specific_fixes(finding: &mut Finding, case: &Case, view: &View<'_>) {
    let port = case.missing.address.port();
    let flag = match case.missing.kind {
        ListenerKind::Tcp => "--port",
        ListenerKind::WebSocket => "--websocket-port",
    };
    let mut fixes = Vec::new();
    let mut fix = |kind, text: String| fixes.push(Fix { kind, text });
    match finding.cause.as_str() {
        "bind.port_taken_by_outgoing" | "bind.port_in_time_wait" if inside(view, port).is_some() => {
            let low = range(view).map_or(32_768, |(low, _)| low);
            fix(FixKind::Safe, format!("give the server a port below {low}, outside the ephemeral range: {flag} N"));
            fix(FixKind::NeedsRoot, format!("reserve the port: sysctl net.ipv4.ip_local_reserved_ports={port}"));
        }
        "bind.port_in_use" | "bind.wildcard_conflict" | "bind.bound_not_listening" | "bind.port_taken_by_outgoing" => {
            fix(FixKind::Safe, format!("give the server another port: {flag} N"));
        }
        _ => {}
    }
    if let Some((held, pid)) = case.in_the_way.first().and_then(|h| Some((h, h.pid?))) {
        let what = if held.state == "LISTEN" { "it listens there" } else { "its connection ends with it" };
        fix(FixKind::ChangesState, format!("end pid {pid} ({what}), then restart the server"));
    }
    if !fixes.is_empty() {
        finding.fixes = fixes;
        finding.fixes.sort_by_key(|f| f.kind);
    }
}

/// What cannot be well while these listeners are missing.
fn consequences(view: &mut View<'_>, checks: &[Check], cases: &[&Case]) -> Vec<String> {
    if !was_ready(view) {
        return unwell(checks).filter(|c| !c.id.starts_with("harness.")).map(|c| c.id.clone()).collect();
    }
    let gone: Vec<Missing> = cases.iter().map(|case| case.missing.clone()).collect();
    let cut_off = if fell_back(view, gone[0].kind).is_some() { Vec::new() } else { clients_of(view, &gone) };
    let mut explained = without(view, &cut_off, checks);
    explained.extend(["bind.no_failure", "bind.asked", "http.health", "bind.announced"].map(str::to_owned));
    // refusals and foreign answers at the missing addresses, if there are no others
    let there = |address: &SocketAddr| gone.iter().any(|m| m.address.port() == address.port());
    let elsewhere = view.seen(|o| match o {
        Observation::Connect { address, errno: Some(_), .. } | Observation::Hello { address, answered: false, .. }
            if !there(address) =>
        {
            Some(())
        }
        _ => None,
    });
    if elsewhere.is_empty() {
        explained.extend(["tcp.connect", "session.hello"].map(str::to_owned));
    }
    if only_about_it(view) {
        explained.push("log.no_errors".to_owned());
    }
    explained
}

/// Whether every ERROR of the logs is of a bind, or of a client that could not get in.
fn only_about_it(view: &View<'_>) -> bool {
    use sidetone::event::{Event, Level};
    let records = view.evidence.logs.iter().flat_map(|log| log.lines.iter().filter_map(|l| l.record.as_ref()));
    let mut errors = records.filter(|r| r.level == Level::Error);
    errors.all(|r| matches!(r.event, Event::ListenerBindFailed { .. } | Event::ClientRefused { .. }))
}
