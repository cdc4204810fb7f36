//! What else a failed bind might have meant, and what to do about this very one.

use super::Case;
use super::told::{inside, range};
use crate::diagnosis::listeners::{as_the_server, errno};
use crate::diagnosis::rules::{hypothesis, refuted};
use crate::diagnosis::view::View;
use crate::evidence::{Answer, EvidenceId, Finding, Fix, FixKind, Hypothesis, HypothesisState, Question};
use sidetone::event::ListenerKind;
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
pub(super) fn specific_fixes(finding: &mut Finding, case: &Case, view: &View<'_>) {
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
