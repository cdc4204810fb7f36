//! Refusals that no failed bind explains.

use super::{Found, Rule, failed, finding, hypothesis, ids, link, refuted, unwell};
use crate::diagnosis::listeners::as_the_server;
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Answer, Check, EvidenceId, Hypothesis, HypothesisState, Observation, Question};
use std::net::SocketAddr;

/// In this order.
pub(super) const RULES: &[Rule] = &[refused];

/// Every refused address.
fn refused_addresses(view: &View<'_>) -> String {
    let all = view.seen(|o| match o {
        Observation::Connect { address, errno: Some(errno), .. } if errno.starts_with("ECONNREFUSED") => Some(*address),
        _ => None,
    });
    let mut told: Vec<_> = all.into_iter().map(|(_, address)| address.to_string()).collect();
    told.dedup();
    and(&told)
}

/// The first refused address, with the observation and its time.
fn first_refused(view: &View<'_>) -> Option<(usize, SocketAddr, u64)> {
    view.evidence.observations.iter().enumerate().find_map(|(i, seen)| match &seen.what {
        Observation::Connect { address, errno: Some(errno), .. } if errno.starts_with("ECONNREFUSED") => {
            Some((i + 1, *address, seen.monotonic_ns))
        }
        _ => None,
    })
}

fn refused(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    failed(checks, "tcp.connect").first()?;
    let (line, address, at_ns) = first_refused(view)?;
    let (table_line, row) = view.covering_row("ready", address).or_else(|| view.covering_row("call", address))?;
    let ended = view.end_of(SERVER).filter(|(_, end)| end.by_harness && end.ended_ns.is_some_and(|ns| ns <= at_ns));
    // a server that ended by itself said why, or its exit code does
    if view.end_of(SERVER).is_some_and(|(_, end)| !end.by_harness) {
        return None;
    }
    // who is refused while a socket listens is refused by a filter, and by nobody's absence
    if row.is_some() && ended.is_none() {
        return None;
    }
    let refusal = view.cite(line);
    let mut chain = Vec::new();
    let (summary, explained) = if let Some((end_line, end)) = ended {
        let signal = view.first(|o| match o {
            Observation::SignalSent { process, signal, pid, .. } if process == SERVER => Some((signal, *pid)),
            _ => None,
        });
        let (sent_line, (signal, pid)) = signal?;
        let after = end.ended_ns.map_or(0, |ns| at_ns.saturating_sub(ns) / 1_000_000);
        chain.push(link(format!("the harness sent {signal} to the server (pid {pid})"), &[view.cite(sent_line)])?);
        chain.push(link("the server ended as it had been asked to", &[view.cite(end_line)])?);
        chain.push(link(
            format!("{address} refuses connections {after} ms after that"),
            std::slice::from_ref(&refusal),
        )?);
        let before = if after == 0 { "just".to_owned() } else { format!("{after} ms") };
        let summary = format!(
            "connections are refused because the harness itself had ended the server (pid {pid}, {signal}) {before} before; \
             no bind failed"
        );
        let follows: Vec<_> = unwell(checks).filter(|c| !c.id.starts_with("harness.")).collect();
        (summary, ids(&follows))
    } else {
        let launched = view.pid(SERVER).is_some();
        let table = view.cite(table_line);
        chain.push(link(format!("no socket listens on {address}"), &[table])?);
        chain.push(link(format!("{address} refuses connections"), std::slice::from_ref(&refusal))?);
        let who = if launched { "" } else { ": no server was started" };
        let all = refused_addresses(view);
        let summary = format!("nothing listens on {all}{who}");
        let follows: Vec<_> = if launched {
            ["tcp.connect", "session.joined", "process.exit", "http.", "session.hello"]
                .iter()
                .flat_map(|prefix| unwell(checks).filter(move |c| c.id.starts_with(prefix)))
                .collect()
        } else {
            unwell(checks).filter(|c| !c.id.starts_with("harness.")).collect()
        };
        (summary, ids(&follows))
    };
    let hypotheses = why_not(view, address, &refusal);
    Some((finding("tcp.refused", summary, chain, hypotheses)?, explained))
}

/// What else a refusal might mean.
fn why_not(view: &mut View<'_>, address: SocketAddr, refusal: &EvidenceId) -> Vec<Hypothesis> {
    let holder = "another program holds the port without listening, or a listener failed to bind";
    let free = match view.answer_to(&as_the_server(address)) {
        Some((line, Answer::Bound {})) => {
            refuted(holder, "the harness could bind the same address", vec![view.cite(line)])
        }
        Some((line, _)) => hypothesis(
            HypothesisState::Open,
            holder,
            "a bind of the same address by the harness",
            vec![view.cite(line)],
        ),
        None => {
            hypothesis(HypothesisState::Open, holder, "a bind of the same address by the harness, not made", vec![])
        }
    };
    let filter = "a filter refuses for a listener that is there";
    let filtered = match view.answer_to(&Question::Holders { port: address.port() }) {
        Some((line, Answer::Holders { sockets })) if sockets.iter().all(|s| s.socket.state != "LISTEN") => {
            refuted(filter, "nothing listens on that port", vec![view.cite(line)])
        }
        _ => hypothesis(HypothesisState::Open, filter, "the kernel's socket table", vec![refusal.clone()]),
    };
    vec![free, filtered]
}
