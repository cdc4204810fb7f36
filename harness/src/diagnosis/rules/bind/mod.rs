//! Listeners that were asked for and are missing: which of the reasons it was, and what follows from it.
//!
//! * `told`: the chain and the sentence; `doubts`: other explanations, and what to do.

mod doubts;
mod told;

pub(in crate::diagnosis) use doubts::elsewhere;

use super::{Rule, finding, unwell, without};
use crate::diagnosis::listeners::{
    InTheWay, Missing, as_the_server, clients_of, errno, fell_back, in_the_way, missing, was_ready,
};
use crate::diagnosis::view::View;
use crate::evidence::{Answer, Check, Confidence, EvidenceId, Finding, Observation};
use doubts::{hypotheses, specific_fixes};
use sidetone::event::ListenerKind;
use std::net::SocketAddr;
use told::{chain, summary};

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
