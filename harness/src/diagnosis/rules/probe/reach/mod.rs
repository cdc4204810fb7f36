//! The name, the way, connections: [`dns`]; [`own`]: what this machine lacks; [`refused`]: nobody takes the connection;
//! [`lost`]: no answer, no way; [`cut`]: connections that end before a byte.

mod cut;
mod dns;
mod lost;
mod own;
mod refused;
#[cfg(test)]
mod tests;

use super::behind;
use crate::diagnosis::rules::{Rule, hypothesis, unwell};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::View;
use crate::evidence::probed::{Failure, How, Saw, Step};
use crate::evidence::{Check, EvidenceId, Hypothesis, HypothesisState};
use std::net::SocketAddr;

/// In this order.
pub(super) const RULES: &[Rule] = &[
    dns::unresolved,
    dns::slow,
    own::scope_missing,
    own::no_ipv6,
    own::no_port_left,
    cut::proxy,
    lost::queue_full,
    refused::by_filter,
    refused::held,
    refused::elsewhere,
    refused::loopback_only,
    refused::one_family,
    refused::nobody,
    refused::datagrams,
    lost::slow_fallback,
    lost::filtered,
    lost::unreachable,
    cut::proxy_header,
    cut::cut,
];

/// An attempt to connect that failed and that nothing has explained yet.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    line: usize,
    address: SocketAddr,
    step: &'a Step,
    failure: &'a Failure,
}

/// Such attempts of a kind.
fn attempts<'a>(view: &View<'a>, checks: &[Check], how: How) -> Vec<Attempt<'a>> {
    let open = |address: SocketAddr| unwell(checks).any(|check| check.id == format!("tcp.connect/{address}"));
    let all = view.steps(|step, saw| match saw {
        Saw::Connect(it) => Some((step.address?, step, it.failure.as_ref().filter(|failure| failure.how == how)?)),
        _ => None,
    });
    let all = all.into_iter().filter(|(_, (address, ..))| open(*address));
    all.map(|(line, (address, step, failure))| Attempt { line, address, step, failure }).collect()
}

/// `127.0.0.1:9 and [::1]:9`.
fn told(addresses: impl Iterator<Item = SocketAddr>) -> String {
    let all: Vec<_> = addresses.map(|address| address.to_string()).collect();
    and(&all)
}

/// Ids of the checks that a failed connection to these addresses fails.
fn of_connections(checks: &[Check], addresses: &[SocketAddr]) -> Vec<String> {
    let kinds = ["tcp.connect", "tcp.route", "process.behind"];
    let concerned = unwell(checks).filter(|check| {
        let kind = check.id.split('/').next().unwrap_or_default();
        kinds.contains(&kind) && behind::address_of(check).is_some_and(|at| addresses.contains(&at))
            || kind == "process.behind" && !addresses.is_empty()
    });
    concerned.map(|check| check.id.clone()).collect()
}

/// What only the server's own machine can tell.
fn ask_there(statement: &str, evidence: Vec<EvidenceId>) -> Hypothesis {
    hypothesis(HypothesisState::Open, statement, "the probe, run on that machine", evidence)
}
