//! Sidetone: [`session`] (hello), [`media`] (echo room), [`discovery`] (mDNS).

mod discovery;
mod media;
mod session;
#[cfg(test)]
mod tests;

use crate::diagnosis::rules::{Rule, unwell};
use crate::diagnosis::view::View;
use crate::evidence::probed::{EchoHeard, Hello, Saw, Step};
use crate::evidence::{Check, EvidenceId};
use std::net::SocketAddr;

/// In this order.
pub(super) const RULES: &[Rule] = &[
    session::foreign,
    session::truncated,
    session::framing,
    session::version,
    session::full,
    session::room,
    session::deadlock,
    session::feature,
    media::undecodable,
    media::silence,
    media::lost,
    media::moved,
    media::clipped,
    media::late,
    media::growing,
    discovery::unanswered,
];

/// A step whose check is not well and that nothing has explained yet.
struct Case<'a, T> {
    address: SocketAddr,
    /// Of the check.
    id: String,
    evidence: EvidenceId,
    saw: &'a T,
}

fn cases<'a, T>(
    view: &mut View<'a>,
    checks: &[Check],
    prefix: &str,
    pick: impl Fn(&'a Saw) -> Option<&'a T>,
) -> Vec<Case<'a, T>> {
    let steps = view.steps(|step: &'a Step, saw| Some((step.address?, pick(saw)?)));
    let mut found = Vec::new();
    for (line, (address, saw)) in steps {
        let id = format!("{prefix}/{address}");
        if unwell(checks).any(|check| check.id == id) {
            found.push(Case { address, id, evidence: view.cite(line), saw });
        }
    }
    found
}

fn hellos<'a>(view: &mut View<'a>, checks: &[Check]) -> Vec<Case<'a, Hello>> {
    cases(view, checks, "session.hello", |saw| match saw {
        Saw::Hello(hello) => Some(hello),
        _ => None,
    })
}

fn echoes<'a>(view: &mut View<'a>, checks: &[Check]) -> Vec<Case<'a, EchoHeard>> {
    cases(view, checks, "media.echo", |saw| match saw {
        Saw::Echo(heard) => Some(heard),
        _ => None,
    })
}

/// `A`, `A and B`, ...: the addresses of cases.
fn addresses<T>(cases: &[Case<'_, T>]) -> String {
    let told: Vec<_> = cases.iter().map(|case| case.address.to_string()).collect();
    crate::diagnosis::summary::and(&told)
}

fn explained<T>(cases: &[Case<'_, T>]) -> Vec<String> {
    cases.iter().map(|case| case.id.clone()).collect()
}

fn evidence<T>(cases: &[Case<'_, T>]) -> Vec<EvidenceId> {
    cases.iter().map(|case| case.evidence.clone()).collect()
}
