//! What else a failed bind might have meant, and what to do about this very one.

use super::Case;
use super::told::{inside, range};
use crate::diagnosis::listeners::{as_the_server, errno, was_ready};
use crate::diagnosis::rules::{hypothesis, refuted};
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Answer, EvidenceId, Finding, Fix, FixKind, Hypothesis, HypothesisState, Question};
use sidetone::event::{Event, ListenerKind};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The nearest other explanations, with what splits them.
pub(super) fn hypotheses(view: &mut View<'_>, case: &Case, code: &str) -> Vec<Hypothesis> {
    let asked = case.missing.address;
    let mut all = Vec::new();
    if case.errno == errno::EADDRINUSE && asked.port() != 0 {
        let looked = view.answer_to(&Question::Holders { port: asked.port() }).map(|(line, _)| view.cite(line));
        let evidence: Vec<_> = case.in_the_way.iter().map(|h| h.evidence.clone()).chain(looked.clone()).collect();
        let has = |state: &str| case.in_the_way.iter().any(|h| h.state == state);
        let connected = case.in_the_way.iter().any(|h| !["LISTEN", "TIME_WAIT"].contains(&h.state.as_str()));
        let known = !case.in_the_way.is_empty() || case.looked;
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
            let statement = "a passing condition";
            let by = "the same bind, by the harness, later";
            all.push(if *bound {
                hypothesis(HypothesisState::Confirmed, statement, by, vec![id.clone()])
            } else {
                refuted(statement, by, vec![id.clone()])
            });
        }
    }
    if code == "bind.permission_denied" {
        let bound = view.events(SERVER, |e| match e {
            Event::ListenerBound { address, .. } => Some(*address),
            _ => None,
        });
        if let Some((log, line, address)) = bound.first() {
            let id = view.cite_log(log, line);
            all.push(refuted("the server can bind no port at all", &format!("it bound {address}"), vec![id]));
        }
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

/// What to do about these very holders comes before what the catalogue says in general.
pub(super) fn fixes(finding: &mut Finding, cases: &[Case], view: &mut View<'_>) {
    let first = &cases[0];
    let port = first.missing.address.port();
    let mut own = Vec::new();
    let mut fix = |kind, text: String| own.push(Fix { kind, text });
    let of_the_port =
        ["bind.port_in_use", "bind.wildcard_conflict", "bind.bound_not_listening", "bind.port_taken_by_outgoing"];
    let another_port = of_the_port.contains(&finding.cause.as_str());
    if another_port {
        let flag = match first.missing.kind {
            ListenerKind::Tcp => "--port",
            ListenerKind::WebSocket => "--websocket-port",
        };
        let free = elsewhere(view, first.missing.address).filter(|(_, bound, _)| *bound);
        let example = free.map_or_else(String::new, |(address, ..)| format!(" ({} is free here)", address.port()));
        let (kind, start) = if was_ready(view) {
            (FixKind::ChangesState, "restart the server with another port")
        } else {
            (FixKind::Safe, "start the server with another port")
        };
        let below = inside(view, port).filter(|_| finding.cause == "bind.port_taken_by_outgoing");
        let below = below.map_or_else(String::new, |(low, _)| format!(" below {low}, outside the ephemeral range"));
        fix(kind, format!("{start}{below}: {flag} N{example}, and tell the clients"));
    }
    let server = view.pid(SERVER);
    let held = cases.iter().filter_map(|c| c.in_the_way.first()?.pid);
    let pids: BTreeSet<u32> = held.filter(|pid| Some(*pid) != server).collect();
    if !pids.is_empty() {
        let list: Vec<_> = pids.iter().map(ToString::to_string).collect();
        fix(FixKind::ChangesState, format!("end pid {}, then restart the server", list.join(" and pid ")));
    }
    let outgoing = finding.cause == "bind.port_taken_by_outgoing" && inside(view, port).is_some();
    if outgoing {
        let append = "append it to net.ipv4.ip_local_reserved_ports (this frees nothing now)";
        fix(FixKind::NeedsRoot, format!("so that {port} is never given to a connection again, {append}"));
    }
    // the catalogue's own words stay where nothing more exact was said
    let said = |general: &Fix| {
        another_port && (general.text.contains("on another port") || general.text.contains("use a port below"))
            || !pids.is_empty() && general.text.starts_with("end the")
            || !pids.is_empty() && general.text.starts_with("if ss shows no owner")
            || outgoing && general.text.starts_with("reserve the port")
    };
    finding.fixes.retain(|general| !said(general));
    finding.fixes.splice(0..0, own);
    finding.fixes.sort_by_key(|f| f.kind);
}
