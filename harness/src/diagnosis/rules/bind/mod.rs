//! Listeners that were asked for and are missing: which of the reasons it was, and what follows from it.
//!
//! * `told`: the chain and the sentence; `doubts`: other explanations, and what to do.

mod doubts;
mod told;

pub(in crate::diagnosis) use doubts::elsewhere;

use super::{Found, finding, unwell, without};
use crate::diagnosis::listeners::{
    InTheWay, Missing, as_the_server, clients_of, errno, fell_back, in_the_way, missing, was_ready,
};
use crate::diagnosis::view::View;
use crate::evidence::{Answer, Check, Confidence, EvidenceId, Observation, Question};
use doubts::{fixes, hypotheses};
use sidetone::event::{Event, Level, ListenerKind};
use std::net::SocketAddr;
use told::{chain, summary};

/// What holds for every listener alike is one finding, not one a listener.
const OF_THE_MACHINE: [&str; 5] = [
    "family.ipv6_disabled",
    "bind.permission_denied",
    "bind.address_not_local",
    "bind.ephemeral_range_exhausted",
    "resource.fd_limit",
];

/// A missing listener with what is in its way.
#[derive(Clone)]
struct Case {
    missing: Missing,
    errno: i32,
    in_the_way: Vec<InTheWay>,
    /// Whether the harness looked who has the port, and could see.
    looked: bool,
    /// Whether the harness could bind the address itself, and where that is written.
    now: Option<(bool, EvidenceId)>,
}

/// One finding for each reason: two listeners, or two addresses of one, can fail for two reasons.
pub(super) fn find(view: &mut View<'_>, checks: &[Check]) -> Vec<Found> {
    let mut groups: Vec<(&str, ListenerKind, Vec<Case>)> = Vec::new();
    for case in cases(view) {
        let Some(code) = classify(view, &case).0 else { continue };
        let kind = case.missing.kind;
        let alike =
            |(c, k, _): &&mut (&str, ListenerKind, _)| *c == code && (*k == kind || OF_THE_MACHINE.contains(&code));
        match groups.iter_mut().find(alike) {
            Some((_, _, cases)) => cases.push(case),
            None => groups.push((code, kind, vec![case])),
        }
    }
    let found = groups.into_iter().filter_map(|(code, _, cases)| of_one_reason(view, checks, code, &cases));
    found.collect()
}

fn cases(view: &mut View<'_>) -> Vec<Case> {
    let mut all = Vec::new();
    for kind in [ListenerKind::Tcp, ListenerKind::WebSocket] {
        let missing: Vec<Missing> = missing(view).into_iter().filter(|m| m.kind == kind).collect();
        // under policy `next` the log tells of every port that was tried; the asked one is what matters
        let asked = missing.first().map(|m| m.address.port());
        let asked = missing.into_iter().filter(|m| Some(m.address.port()) == asked);
        all.extend(asked.filter_map(|missing| case(view, missing)).collect::<Vec<_>>());
    }
    all
}

/// With what is in its way.
fn case(view: &mut View<'_>, missing: Missing) -> Option<Case> {
    let errno = missing.number()?;
    let in_the_way = in_the_way(view, &missing);
    let holders = view.answer_to(&Question::Holders { port: missing.address.port() });
    let looked = matches!(holders, Some((_, Answer::Holders { .. })));
    let now = match view.answer_to(&as_the_server(missing.address)) {
        Some((line, Answer::Bound {})) => Some((true, view.cite(line))),
        Some((line, Answer::NotBound { errno: again, .. })) if again.number == errno => Some((false, view.cite(line))),
        _ => None,
    };
    Some(Case { missing, errno, in_the_way, looked, now })
}

fn of_one_reason(view: &mut View<'_>, checks: &[Check], code: &str, cases: &[Case]) -> Option<Found> {
    let first = cases.first()?;
    let confidence = classify(view, first).1;
    let chain = chain(view, cases)?;
    let hypotheses = hypotheses(view, first, code);
    let summary = summary(view, cases, code);
    let mut finding = finding(code, summary, chain, hypotheses)?;
    finding.confidence = confidence;
    fixes(&mut finding, cases, view);
    let explained = consequences(view, checks, cases);
    Some((finding, explained))
}

/// The cause, and how sure it is.
fn classify(view: &View<'_>, case: &Case) -> (Option<&'static str>, Confidence) {
    let asked = case.missing.address;
    let held = case.in_the_way.first();
    match case.errno {
        errno::EACCES | errno::EPERM => (Some("bind.permission_denied"), Confidence::High),
        // a machine without IPv6 has no ::1 either; that is no matter of this address
        errno::EADDRNOTAVAIL | errno::EAFNOSUPPORT
            if asked.is_ipv6() && view.evidence.environment.ipv6 == Some(false) =>
        {
            (Some("family.ipv6_disabled"), Confidence::High)
        }
        errno::EADDRNOTAVAIL => (Some("bind.address_not_local"), Confidence::High),
        errno::EMFILE => (Some("resource.fd_limit"), Confidence::High),
        errno::EADDRINUSE if asked.port() == 0 => (Some("bind.ephemeral_range_exhausted"), Confidence::High),
        errno::EADDRINUSE => match (held.map(|h| h.state.as_str()), &case.now) {
            (Some("LISTEN"), _) => {
                let specific = held.is_some_and(|h| !h.local.ip().is_unspecified()) && asked.ip().is_unspecified();
                let code = if specific { "bind.wildcard_conflict" } else { "bind.port_in_use" };
                let known = held.is_some_and(|h| h.pid.is_some());
                (Some(code), if known { Confidence::High } else { Confidence::Medium })
            }
            (Some("TIME_WAIT"), _) => (Some("bind.port_in_time_wait"), Confidence::High),
            (Some(_), _) => {
                // whose end it is shows by the range that outgoing connections are given
                let outgoing = told::inside(view, asked.port()).is_some() && held.is_some_and(|h| h.pid.is_some());
                let sure = if outgoing { Confidence::High } else { Confidence::Medium };
                (Some("bind.port_taken_by_outgoing"), sure)
            }
            // nothing in any table, and still taken: bound by somebody who does not listen
            (None, Some((false, _))) if case.looked => (Some("bind.bound_not_listening"), Confidence::High),
            (None, _) => (Some("bind.port_in_use"), Confidence::Low),
        },
        _ => (None, Confidence::Low),
    }
}

/// What cannot be well while these listeners are missing.
fn consequences(view: &mut View<'_>, checks: &[Check], cases: &[Case]) -> Vec<String> {
    if !was_ready(view) {
        let own = |c: &&Check| {
            !c.id.starts_with("harness.")
                && !["log.structured", "process.no_panic", "bind.failure_told"].contains(&c.id.as_str())
        };
        return unwell(checks).filter(own).map(|c| c.id.clone()).collect();
    }
    let gone: Vec<Missing> = cases.iter().map(|case| case.missing.clone()).collect();
    let cut_off = if fell_back(view, gone[0].kind).is_some() { Vec::new() } else { clients_of(view, &gone) };
    let mut explained = without(view, &cut_off, checks);
    explained.extend(["bind.no_failure", "bind.asked", "http.health"].map(str::to_owned));
    // refusals and foreign answers at the missing addresses, if there are no others
    let there = |address: &SocketAddr| {
        gone.iter()
            .any(|m| m.address == *address || m.address.ip().is_unspecified() && m.address.port() == address.port())
    };
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
    let records = view.evidence.logs.iter().flat_map(|log| log.lines.iter().filter_map(|l| l.record.as_ref()));
    let mut errors = records.filter(|r| r.level == Level::Error);
    errors.all(|r| matches!(r.event, Event::ListenerBindFailed { .. } | Event::ClientRefused { .. }))
}
