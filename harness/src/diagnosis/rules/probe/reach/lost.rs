//! Attempts without an answer, and without a way.

use super::{Attempt, ask_there, attempts, of_connections, told};
use crate::diagnosis::checks::probe::behind::listener;
use crate::diagnosis::rules::probe::behind::{self, who};
use crate::diagnosis::rules::{Found, failed, finding, hypothesis, link, refuted};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Behind, How, Listening, Saw};
use crate::evidence::{Check, Confidence, Hypothesis, HypothesisState, Link};
use std::net::SocketAddr;

fn addresses(all: &[Attempt<'_>]) -> Vec<SocketAddr> {
    all.iter().map(|attempt| attempt.address).collect()
}

fn silences(view: &mut View<'_>, all: &[Attempt<'_>]) -> Vec<Link> {
    let links = all.iter().filter_map(|attempt| {
        let id = view.cite(attempt.line);
        link(format!("{}: {}", attempt.address, attempt.failure), &[id])
    });
    links.collect()
}

fn taker(seen: &Behind, target: SocketAddr) -> Option<&Listening> {
    seen.listeners.iter().find(|one| Listening::takes(one.address, one.v6only, target))
}

/// Whether as many wait as may; `None`: not known.
fn is_full(one: &Listening) -> Option<bool> {
    Some(one.waiting? >= one.backlog?)
}

pub(super) fn queue_full(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let all = attempts(view, checks, How::TimedOut);
    let (line, seen) = behind::seen(view)?;
    let (attempt, one) = all.iter().find_map(|attempt| Some((*attempt, taker(seen, attempt.address)?)))?;
    let rose = seen.overflows_rose.map(|(overflows, _)| overflows);
    let confidence = match (is_full(one), rose) {
        (Some(true), Some(1..)) => Confidence::High,
        (Some(true), _) | (None, Some(1..)) => Confidence::Medium,
        _ => return None,
    };
    let id = view.cite(line);
    let mut chain = vec![link(listener(one), std::slice::from_ref(&id))?];
    if let Some(rose) = rose {
        chain.push(link(format!("ListenOverflows rose by {rose} meanwhile"), std::slice::from_ref(&id))?);
    }
    chain.extend(silences(view, &[attempt]));
    let waiting = one.waiting.unwrap_or_default();
    let most = one.backlog.map(|most| format!(" of at most {most}")).unwrap_or_default();
    let owner = one.owners.first().map_or_else(|| "a process that may not be seen".to_owned(), who);
    let summary = format!(
        "the accept queue of {} is full: {waiting}{most} connections wait, and {owner} does not take them",
        one.address
    );
    let hypotheses = vec![refuted("a filter drops the packets", "the queue and its counter", vec![id])];
    let mut finding = finding("tcp.accept_queue_full", summary, chain, hypotheses)?;
    finding.confidence = confidence;
    if let Some(owner) = one.owners.first() {
        for fix in &mut finding.fixes {
            fix.text = fix.text.replace("/proc/PID/", &format!("/proc/{}/", owner.pid));
        }
    }
    Some((finding, of_connections(checks, &addresses(&all))))
}

pub(super) fn slow_fallback(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let all = attempts(view, checks, How::TimedOut);
    let chosen = view.steps(|step, saw| match saw {
        Saw::Connect(it) if it.chosen && it.failure.is_none() => {
            Some((step.address?, it.client_begins_ms, step.took_us))
        }
        _ => None,
    });
    let (line, (works, begins_ms, took_us)) = chosen.into_iter().next()?;
    let all: Vec<_> = all.into_iter().filter(|a| a.address.is_ipv6() != works.is_ipv6()).collect();
    let first = all.first()?;
    let mut chain = silences(view, &all);
    let id = view.cite(line);
    let ms = took_us as f64 / 1e3;
    chain.push(link(format!("{works} completes a connection in {ms:.1} ms"), std::slice::from_ref(&id))?);
    let hypotheses = vec![refuted("the server is down", "the other family answers", vec![id])];
    let (lost, family) = (told(addresses(&all).into_iter()), if first.address.is_ipv6() { "IPv6" } else { "IPv4" });
    let summary = format!(
        "{lost} does not answer and {works} does: clients that try {family} first wait {begins_ms} ms (RFC 8305), or their whole timeout"
    );
    Some((finding("family.slow_fallback", summary, chain, hypotheses)?, of_connections(checks, &addresses(&all))))
}

pub(super) fn filtered(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let all = attempts(view, checks, How::TimedOut);
    let first = *all.first()?;
    let mut chain = silences(view, &all);
    let look = behind::seen(view);
    let own = look.map(|(line, seen)| (line, seen, taker(seen, first.address)));
    let mut by = String::new();
    let mut confidence = Confidence::Medium;
    let hypotheses: Vec<Hypothesis> = if let Some((line, seen, one)) = own {
        let id = view.cite(line);
        let drops = |rule: &&String| rule.to_lowercase().contains("drop");
        let rule = seen.firewall.filters.iter().find_map(|f| Some((f.tool.as_str(), f.rules.iter().find(drops)?)));
        if let Some((tool, rule)) = rule {
            chain.insert(0, link(format!("{tool} has a rule that drops: {rule}"), std::slice::from_ref(&id))?);
            by = format!(" by a rule of {tool} ({rule})");
        }
        if let Some(one) = one {
            chain.push(link(format!("a socket listens: {}", listener(one)), std::slice::from_ref(&id))?);
        }
        let queue = "the server's accept queue is full";
        let flat = seen.overflows_rose.is_some_and(|(overflows, _)| overflows == 0);
        let empty = one.is_none_or(|one| is_full(one) == Some(false));
        if empty && flat {
            confidence = Confidence::High;
            vec![refuted(queue, "its length, and ListenOverflows, which has not risen", vec![id])]
        } else {
            vec![hypothesis(HypothesisState::Open, queue, "its length and ListenOverflows", vec![id])]
        }
    } else {
        let id = view.cite(first.line);
        vec![
            ask_there("the server's accept queue is full", vec![id.clone()]),
            hypothesis(HypothesisState::Open, "the machine is down or not there", "another port of it", vec![id]),
        ]
    };
    let list = told(addresses(&all).into_iter());
    let summary = format!("no answer from {list} within {} ms: packets are dropped{by}", first.step.deadline_ms);
    let mut finding = finding("tcp.filtered", summary, chain, hypotheses)?;
    finding.confidence = confidence;
    Some((finding, of_connections(checks, &addresses(&all))))
}

pub(super) fn unreachable(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let no_way = ["tcp.connect/", "tcp.route/"].iter().flat_map(|kind| failed(checks, kind)).next()?;
    let all = view.steps(|step, saw| {
        let failure = match saw {
            Saw::Route(it) => it.failure.as_ref()?,
            Saw::Connect(it) => it.failure.as_ref()?,
            _ => return None,
        };
        (failure.how == How::Unreachable).then_some((step.address?, failure))
    });
    let (_, (first, failure)) = *all.first()?;
    let mut chain = Vec::new();
    for (line, (address, failure)) in &all {
        chain.push(link(format!("{address}: {failure}"), &[view.cite(*line)])?);
    }
    let mut there: Vec<_> = all.iter().map(|(_, (address, _))| *address).collect();
    there.dedup();
    let mut explained = of_connections(checks, &there);
    // of datagrams, which need no connection
    let words = ["tcp.exchange/", "tcp.stun/"].iter().flat_map(|kind| failed(checks, kind));
    explained
        .extend(words.filter(|c| behind::address_of(c).is_some_and(|at| there.contains(&at))).map(|c| c.id.clone()));
    explained.contains(&no_way.id).then_some(())?;
    let name = failure.errno.as_ref().map(ToString::to_string).unwrap_or_default();
    let summary = format!("no way leads to {first}: {name}");
    Some((finding("tcp.unreachable", summary, chain, vec![])?, explained))
}
