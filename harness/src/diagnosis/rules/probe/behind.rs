//! Behind the socket: what the process that listens does explains what its socket does not.

use crate::diagnosis::checks::probe::behind::listener;
use crate::diagnosis::rules::{Found, Rule, finding, hypothesis, link, refuted, unwell};
use crate::diagnosis::view::View;
use crate::evidence::follow_up::short_command;
use crate::evidence::probed::{Behind, Listening, Owner, Saw};
use crate::evidence::{Check, Confidence, Finding, HypothesisState, Link};
use std::net::SocketAddr;

/// In this order.
pub(super) const RULES: &[Rule] = &[stopped, blocked, out_of_descriptors];

/// What this machine knows of the port, if it was looked at: the last look.
pub(super) fn seen<'a>(view: &View<'a>) -> Option<(usize, &'a Behind)> {
    let all = view.steps(|_, saw| match saw {
        Saw::Behind(seen) => Some(seen),
        _ => None,
    });
    all.into_iter().next_back()
}

/// A listener that takes connections of the target, whose owners all are like this.
fn listens(seen: &Behind, like: impl Fn(&Owner) -> bool) -> Option<&Listening> {
    seen.listeners.iter().find(|one| one.covers && !one.owners.is_empty() && one.owners.iter().all(&like))
}

fn state(owner: &Owner, letters: &[&str]) -> bool {
    owner.state.as_ref().is_some_and(|state| letters.contains(&state.state.as_str()))
}

/// `pid 4711 (sidetone server)`.
pub(super) fn who(owner: &Owner) -> String {
    let command = owner.command.as_deref().map(short_command);
    let command = command.map(|command| format!(" ({command})")).unwrap_or_default();
    format!("pid {}{command}", owner.pid)
}

/// The address at the end of a check's id.
pub(super) fn address_of(check: &Check) -> Option<SocketAddr> {
    check.id.split_once('/')?.1.parse().ok()
}

/// Checks that cannot be well while nobody serves this listener.
fn above(checks: &[Check], one: &Listening) -> Vec<String> {
    let below = ["dns.resolve", "tcp.route", "tls.certificate"];
    let concerned = unwell(checks).filter(|check| {
        let kind = check.id.split('/').next().unwrap_or_default();
        let there = address_of(check).is_none_or(|target| Listening::takes(one.address, one.v6only, target));
        !below.contains(&kind) && (there || kind == "process.behind")
    });
    concerned.map(|check| check.id.clone()).collect()
}

/// What the connection did, then the first layer that got nothing.
fn symptoms(view: &mut View<'_>, checks: &[Check], explained: &[String]) -> Vec<Link> {
    let mut chain = Vec::new();
    let completed = view.steps(|step, saw| match saw {
        Saw::Connect(it) if it.failure.is_none() => Some((step.address?, step.took_us)),
        _ => None,
    });
    if let Some((line, (address, took_us))) = completed.into_iter().next() {
        let id = view.cite(line);
        let text =
            format!("{address} completes a connection in {took_us} us: the kernel does that without the program");
        chain.extend(link(text, &[id]));
    }
    let silent = checks.iter().find(|check| explained.contains(&check.id) && !check.id.starts_with("process.behind"));
    if let Some(check) = silent {
        chain.extend(link(format!("{}: {}", check.title, check.message), &check.evidence));
    }
    chain
}

/// Puts the process id where the catalogue says PID.
fn with_pid(mut finding: Finding, pid: u32) -> Finding {
    for fix in &mut finding.fixes {
        for place in ["-CONT PID", "--pid PID", "/proc/PID/", "--target PID"] {
            fix.text = fix.text.replace(place, &place.replace("PID", &pid.to_string()));
        }
    }
    finding
}

fn stopped(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, seen) = seen(view)?;
    let one = listens(seen, |owner| state(owner, &["T", "t"]))?;
    let explained = above(checks, one);
    let (owner, id) = (one.owners.first()?, view.cite(line));
    if explained.is_empty() {
        return None;
    }
    let mut chain = vec![link(listener(one), std::slice::from_ref(&id))?];
    chain.extend(symptoms(view, checks, &explained));
    let hypotheses = vec![
        refuted("it is busy or in an endless loop", "its state: a program that works is in state R", vec![id.clone()]),
        refuted("it waits for a lock or a device", "its state: one that waits is in state S or D", vec![id]),
    ];
    let letter = owner.state.as_ref().map_or("T", |state| state.state.as_str());
    let summary = format!(
        "{}, which listens on {}, is stopped (state {letter}, as after SIGSTOP): the kernel completes connections, and nobody gets an answer",
        who(owner),
        one.address
    );
    Some((with_pid(finding("process.stopped", summary, chain, hypotheses)?, owner.pid), explained))
}

fn blocked(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, seen) = seen(view)?;
    let one = listens(seen, |owner| state(owner, &["D"]))?;
    let explained = above(checks, one);
    let (owner, id) = (one.owners.first()?, view.cite(line));
    if explained.is_empty() {
        return None;
    }
    let mut chain = vec![link(listener(one), std::slice::from_ref(&id))?];
    chain.extend(symptoms(view, checks, &explained));
    let waits_in = owner.state.as_ref().and_then(|state| state.waits_in.as_deref());
    let place = waits_in.map(|function| format!(" in {function}")).unwrap_or_default();
    let hypotheses = vec![
        refuted("it is stopped (SIGSTOP)", "its state", vec![id.clone()]),
        hypothesis(HypothesisState::Open, "it waited for a moment only", "a second look at its state", vec![id]),
    ];
    let summary = format!(
        "{}, which listens on {}, waits for a device and cannot be interrupted (state D{place}): nobody gets an answer",
        who(owner),
        one.address
    );
    let mut finding = with_pid(finding("process.blocked_on_io", summary, chain, hypotheses)?, owner.pid);
    finding.confidence = Confidence::Medium;
    Some((finding, explained))
}

/// Open descriptors and the limit, where they are as many.
fn full(owner: &Owner) -> Option<(u32, u64)> {
    let state = owner.state.as_ref()?;
    let (open, limit) = (state.descriptors?, state.descriptor_limit?);
    (u64::from(open) >= limit).then_some((open, limit))
}

fn out_of_descriptors(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, seen) = seen(view)?;
    let one = listens(seen, |owner| full(owner).is_some())?;
    let explained = above(checks, one);
    // somebody waits, or it is not known
    if explained.is_empty() || one.waiting == Some(0) {
        return None;
    }
    let (owner, id) = (one.owners.first()?, view.cite(line));
    let (open, limit) = full(owner)?;
    let mut chain = vec![link(listener(one), std::slice::from_ref(&id))?];
    chain.extend(symptoms(view, checks, &explained));
    let hypotheses = vec![refuted("it is stopped (SIGSTOP)", "its state", vec![id])];
    let waiting = match one.waiting {
        Some(1) => "1 connection waits to be accepted".to_owned(),
        Some(n) => format!("{n} connections wait to be accepted"),
        None => "whether connections wait could not be seen".to_owned(),
    };
    let summary = format!(
        "{}, which listens on {}, has no descriptor left ({open} are open, its limit is {limit}): {waiting}, and nobody gets an answer",
        who(owner),
        one.address
    );
    let mut finding = with_pid(finding("resource.fd_limit", summary, chain, hypotheses)?, owner.pid);
    if one.waiting.is_none() {
        finding.confidence = Confidence::Medium;
    }
    Some((finding, explained))
}
