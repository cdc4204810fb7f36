//! What this machine lacks: an interface in the address, a family, a port.

use super::{attempts, of_connections, told};
use crate::diagnosis::rules::{Found, finding, hypothesis, link, unwell};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Failure, How, Saw};
use crate::evidence::{Check, Confidence, HypothesisState};
use std::net::SocketAddr;

/// Ways and attempts that failed with an errno, where the check of one is not explained.
fn failed<'a>(
    view: &View<'a>,
    checks: &[Check],
    wanted: impl Fn(SocketAddr, &Failure) -> bool,
) -> Vec<(usize, SocketAddr, &'a Failure)> {
    let open = |kind: &str, address| unwell(checks).any(|check| check.id == format!("{kind}/{address}"));
    let all = view.steps(|step, saw| {
        let (kind, failure) = match saw {
            Saw::Route(it) => ("tcp.route", it.failure.as_ref()?),
            Saw::Connect(it) => ("tcp.connect", it.failure.as_ref()?),
            _ => return None,
        };
        let address = step.address?;
        (open(kind, address) && wanted(address, failure)).then_some((address, failure))
    });
    all.into_iter().map(|(line, (address, failure))| (line, address, failure)).collect()
}

fn errno(failure: &Failure) -> &str {
    failure.errno.as_ref().map_or("", |errno| errno.name.as_str())
}

pub(super) fn scope_missing(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let all = failed(view, checks, |address, failure| match address {
        SocketAddr::V6(v6) => v6.ip().is_unicast_link_local() && v6.scope_id() == 0 && errno(failure) == "EINVAL",
        SocketAddr::V4(_) => false,
    });
    let (line, address, failure) = *all.first()?;
    let chain = vec![link(format!("{address}: {failure}"), &[view.cite(line)])?];
    let summary = format!("{} is a link-local address, and does not say on which interface", address.ip());
    let addresses: Vec<_> = all.iter().map(|(_, address, _)| *address).collect();
    Some((finding("family.scope_id_missing", summary, chain, vec![])?, of_connections(checks, &addresses)))
}

pub(super) fn no_ipv6(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    if view.evidence.environment.ipv6 != Some(false) {
        return None;
    }
    let lacks = ["EADDRNOTAVAIL", "EAFNOSUPPORT", "ENETUNREACH"];
    let all = failed(view, checks, |address, failure| address.is_ipv6() && lacks.contains(&errno(failure)));
    let (line, address, failure) = *all.first()?;
    let chain = vec![link(format!("{address}: {failure}; ::1 cannot be bound either"), &[view.cite(line)])?];
    let summary = format!("this machine has no IPv6, so {address} cannot be reached from here");
    let addresses: Vec<_> = all.iter().map(|(_, address, _)| *address).collect();
    Some((finding("family.ipv6_disabled", summary, chain, vec![])?, of_connections(checks, &addresses)))
}

pub(super) fn no_port_left(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let all = attempts(view, checks, How::Unreachable);
    let all: Vec<_> = all.into_iter().filter(|attempt| errno(attempt.failure) == "EADDRNOTAVAIL").collect();
    let first = all.first()?;
    let id = view.cite(first.line);
    let chain = vec![link(format!("{}: {}", first.address, first.failure), std::slice::from_ref(&id))?];
    let figures = if first.failure.words.is_empty() { String::new() } else { format!(": {}", first.failure.words) };
    let addresses: Vec<_> = all.iter().map(|attempt| attempt.address).collect();
    let list = told(addresses.iter().copied());
    let summary = format!("no local port is left for a connection to {list} (EADDRNOTAVAIL){figures}");
    let counted = !first.failure.words.is_empty();
    let hypotheses = if counted {
        vec![]
    } else {
        let statement = "this machine has no address of that family";
        vec![hypothesis(HypothesisState::Open, statement, "ip -br address", vec![id])]
    };
    let mut finding = finding("tcp.ephemeral_ports_exhausted", summary, chain, hypotheses)?;
    finding.confidence = if counted { Confidence::High } else { Confidence::Medium };
    Some((finding, of_connections(checks, &addresses)))
}
