//! Handshake and certificates: [`spoken`] in the wrong protocol, [`handshake`]s that end, [`certificate`]s that nobody trusts.

mod certificate;
mod handshake;
mod spoken;
#[cfg(test)]
mod tests;

use crate::diagnosis::rules::{Rule, unwell};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::View;
use crate::evidence::probed::{Saw, Tls};
use crate::evidence::{Check, Status};
use std::net::SocketAddr;

/// In this order.
pub(super) const RULES: &[Rule] = &[
    spoken::plain_to_tls,
    spoken::tls_to_plain,
    handshake::client_certificate,
    handshake::protocol,
    handshake::name_refused,
    handshake::nothing_in_common,
    handshake::stalled,
    certificate::clock,
    certificate::expired,
    certificate::not_yet_valid,
    certificate::name,
    certificate::intermediate,
    certificate::unknown_issuer,
];

/// What stands on TLS at an address.
const ABOVE: &[&str] = &["tls.", "tcp.identify", "tcp.exchange", "http.", "websocket.", "session.", "media."];

/// A look at one address.
#[derive(Clone, Copy)]
struct Look<'a> {
    line: usize,
    address: SocketAddr,
    tls: &'a Tls,
}

fn looks<'a>(view: &View<'a>, second: bool) -> Vec<Look<'a>> {
    let found = view.steps(|step, saw| match saw {
        Saw::Tls(tls) if tls.second_look == second => Some((step.address?, tls)),
        _ => None,
    });
    found.into_iter().map(|(line, (address, tls))| Look { line, address, tls }).collect()
}

/// The first looks whose check of that kind has failed.
fn failing<'a>(view: &View<'a>, checks: &[Check], kind: &str) -> Vec<Look<'a>> {
    let failed = |look: &Look<'_>| {
        let id = format!("{kind}/{}", look.address);
        checks.iter().any(|check| check.status == Status::Fail && check.id == id)
    };
    looks(view, false).into_iter().filter(failed).collect()
}

/// What else was seen of an address in TLS.
fn further<'a>(view: &View<'a>, address: SocketAddr) -> Vec<Look<'a>> {
    looks(view, true).into_iter().filter(|look| look.address == address).collect()
}

/// Ids of what cannot be well at these addresses without TLS.
fn explained(checks: &[Check], addresses: &[SocketAddr]) -> Vec<String> {
    let concerned = |check: &&Check| {
        let at = check.id.split_once('/').map(|(_, at)| at);
        addresses.iter().any(|address| at == Some(address.to_string().as_str()))
            && ABOVE.iter().any(|kind| check.id.starts_with(kind))
    };
    unwell(checks).filter(concerned).map(|check| check.id.clone()).collect()
}

fn told(addresses: &[SocketAddr]) -> String {
    let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    and(&words)
}

/// Whether an address is one of this machine, and where that is said.
fn of_this_machine(view: &View<'_>, address: SocketAddr) -> Option<usize> {
    let routes = view.steps(|step, saw| match saw {
        Saw::Route(route) if step.address == Some(address) => Some(route.this_machine),
        _ => None,
    });
    routes.into_iter().find(|(_, here)| *here == Some(true)).map(|(line, _)| line)
}
