//! Refusals: nobody listens, or not there, or somebody refuses for who does.

use super::{Attempt, ask_there, attempts, of_connections, told};
use crate::diagnosis::checks::probe::behind::listener;
use crate::diagnosis::checks::probe::reach::connected;
use crate::diagnosis::rules::probe::behind::{self, who};
use crate::diagnosis::rules::{Found, finding, hypothesis, link, refuted, unwell};
use crate::diagnosis::view::View;
use crate::evidence::follow_up::short_command;
use crate::evidence::probed::{Behind, How, Listening, NameSource, Saw};
use crate::evidence::{Answer, Check, Confidence, EvidenceId, Hypothesis, HypothesisState, Link};
use std::net::SocketAddr;

fn takes(one: &Listening, target: SocketAddr) -> bool {
    Listening::takes(one.address, one.v6only, target)
}

fn bind_refused(seen: &Behind) -> bool {
    matches!(&seen.bind, Some(Answer::NotBound { errno, .. }) if errno.name == "EADDRINUSE")
}

/// Refused addresses that no listener of this machine takes, with what is known of it.
fn untaken<'a>(view: &View<'a>, checks: &[Check]) -> Option<(usize, &'a Behind, Vec<Attempt<'a>>)> {
    let (line, seen) = behind::seen(view)?;
    let all = attempts(view, checks, How::Refused);
    let all: Vec<_> = all.into_iter().filter(|a| !seen.listeners.iter().any(|one| takes(one, a.address))).collect();
    (!all.is_empty()).then_some((line, seen, all))
}

fn refusals(view: &mut View<'_>, all: &[Attempt<'_>]) -> Vec<Link> {
    let links = all.iter().filter_map(|attempt| {
        let id = view.cite(attempt.line);
        link(format!("{} refuses after {} us{}: {}", attempt.address, attempt.step.took_us, times(attempt), attempt.failure), &[id])
    });
    links.collect()
}

/// How often it was tried, where that was more than once.
fn times(attempt: &Attempt<'_>) -> String {
    match attempts_of(attempt) {
        0 | 1 => String::new(),
        count => format!(" in each of {count} attempts"),
    }
}

fn attempts_of(attempt: &Attempt<'_>) -> u32 {
    match &attempt.step.saw {
        Saw::Connect(it) => it.attempts,
        _ => 1,
    }
}

fn addresses(all: &[Attempt<'_>]) -> Vec<SocketAddr> {
    all.iter().map(|attempt| attempt.address).collect()
}

/// A rule rejects for a listener that is there.
pub(super) fn by_filter(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, seen) = behind::seen(view)?;
    let all = attempts(view, checks, How::Refused);
    let attempt = *all.iter().find(|a| seen.listeners.iter().any(|one| takes(one, a.address)))?;
    let one = seen.listeners.iter().find(|one| takes(one, attempt.address))?;
    let id = view.cite(line);
    let mut chain = vec![link(format!("a socket listens: {}", listener(one)), std::slice::from_ref(&id))?];
    chain.extend(refusals(view, &[attempt]));
    let rejects = |rule: &&String| rule.to_lowercase().contains("reject");
    let rule = seen.firewall.filters.iter().find_map(|f| Some((f.tool.as_str(), f.rules.iter().find(rejects)?)));
    let (by, confidence) = match rule {
        Some((tool, rule)) => {
            chain.insert(0, link(format!("{tool} has a rule that rejects: {rule}"), std::slice::from_ref(&id))?);
            (format!("a rule of {tool} rejects ({rule})"), Confidence::High)
        }
        None => ("a filter rejects".to_owned(), Confidence::Medium),
    };
    let mut hypotheses = vec![refuted("nothing listens there", "the kernel's socket table", vec![id.clone()])];
    if rule.is_none() {
        let statement = "the listener came only after the attempt";
        let again = attempts_of(&attempt) > 1;
        let state = if again { HypothesisState::Refuted } else { HypothesisState::Open };
        let by = if again { "further attempts, after the listener was seen" } else { "a second attempt" };
        hypotheses.push(hypothesis(state, statement, by, vec![id]));
    }
    let whose = one.owners.first().map(|owner| format!(" of {}", who(owner))).unwrap_or_default();
    let summary = format!("{} is refused although {}{whose} listens: {by}", attempt.address, one.address);
    let mut finding = finding("tcp.rejected_by_filter", summary, chain, hypotheses)?;
    finding.confidence = confidence;
    Some((finding, of_connections(checks, &addresses(&all))))
}

/// Something has the port and does not listen: a socket that is only bound, or the end of an outgoing connection.
pub(super) fn held(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, seen, all) = untaken(view, checks)?;
    if !seen.listeners.is_empty() {
        return None;
    }
    let id = view.cite(line);
    let outgoing = seen.others.iter().find(|held| {
        let port = held.socket.local.port();
        let ephemeral = seen.ephemeral_range.is_some_and(|(low, high)| (low..=high).contains(&port));
        held.socket.inode != 0 && held.socket.state != "TIME_WAIT" && ephemeral
    });
    let list = told(addresses(&all).into_iter());
    let (code, summary, fact) = if let Some(held) = outgoing.filter(|_| bind_refused(seen)) {
        let pid = held.socket.pids.first().map(|pid| format!("pid {pid}"));
        let pid = pid.unwrap_or_else(|| "a process that may not be seen".to_owned());
        let command =
            held.command.as_deref().map(|command| format!(" ({})", short_command(command))).unwrap_or_default();
        let summary = format!(
            "nothing listens on {list}, and it cannot be bound: {pid}{command} holds the port as the local end of an outgoing connection"
        );
        ("bind.port_taken_by_outgoing", summary, held.to_string())
    } else if let Some(holding) = seen.bound_only.first() {
        let command = holding.command.as_deref().map(short_command).unwrap_or_default();
        let summary = format!(
            "pid {} ({command}) has bound port {} and does not listen, so {list} is refused",
            holding.pid, seen.port
        );
        let fact = format!("socket {} of pid {} is bound to the port and does not listen", holding.inode, holding.pid);
        ("bind.bound_not_listening", summary, fact)
    } else if bind_refused(seen) && seen.others_count == 0 {
        let summary = format!(
            "{list} is refused, and yet the port cannot be bound: some process has bound it and does not listen (which one cannot be seen)"
        );
        ("bind.bound_not_listening", summary, "no socket of the table has the port".to_owned())
    } else {
        return None;
    };
    let mut chain = vec![link(fact, std::slice::from_ref(&id))?];
    if let Some(bind) = &seen.bind {
        chain.push(link(format!("can the probe bind {}? {bind}", all.first()?.address), std::slice::from_ref(&id))?);
    }
    chain.extend(refusals(view, &all));
    let hypotheses = vec![refuted("another program listens there", "the kernel's socket table", vec![id])];
    Some((finding(code, summary, chain, hypotheses)?, of_connections(checks, &addresses(&all))))
}

/// In another network namespace.
pub(super) fn elsewhere(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, seen, all) = untaken(view, checks)?;
    let one = seen.elsewhere.first().filter(|_| seen.listeners.is_empty())?;
    let id = view.cite(line);
    let namespace = one.namespace.as_deref().unwrap_or("another network namespace");
    let whose = one.owners.first().map_or_else(|| "a process that may not be seen".to_owned(), who);
    let mut chain = vec![link(format!("in {namespace}: {}", listener(one)), std::slice::from_ref(&id))?];
    chain.push(link(format!("here nothing listens on port {}", seen.port), std::slice::from_ref(&id))?);
    chain.extend(refusals(view, &all));
    let list = told(addresses(&all).into_iter());
    let summary = format!("nothing listens on {list} here: {whose} listens on {} in {namespace}", one.address);
    let statement = "it is another server that happens to have the same port";
    let hypotheses = vec![hypothesis(HypothesisState::Open, statement, "its command line", vec![id])];
    let mut finding = finding("bind.other_network_namespace", summary, chain, hypotheses)?;
    if let Some(owner) = one.owners.first() {
        for fix in &mut finding.fixes {
            fix.text = fix.text.replace("--target PID", &format!("--target {}", owner.pid));
        }
    }
    Some((finding, of_connections(checks, &addresses(&all))))
}

/// On loopback alone, and another address of this machine was asked.
pub(super) fn loopback_only(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, seen, all) = untaken(view, checks)?;
    let loops = |one: &Listening| one.address.ip().to_canonical().is_loopback();
    let all: Vec<_> = all.into_iter().filter(|a| !a.address.ip().to_canonical().is_loopback()).collect();
    let one = seen.listeners.first().filter(|_| seen.listeners.iter().all(loops) && !all.is_empty())?;
    let id = view.cite(line);
    let mut chain = vec![link(listener(one), std::slice::from_ref(&id))?];
    chain.extend(refusals(view, &all));
    let owner = one.owners.first().map_or_else(|| "a process that may not be seen".to_owned(), who);
    let list = told(addresses(&all).into_iter());
    let summary = format!("{owner} listens on {} only, which is loopback: {list} is refused", one.address);
    let hypotheses = vec![refuted("a filter rejects", "no socket covers that address", vec![id])];
    Some((finding("bind.loopback_only", summary, chain, hypotheses)?, of_connections(checks, &addresses(&all))))
}

/// The other family of the name, or of the server.
pub(super) fn one_family(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let all = attempts(view, checks, How::Refused);
    let first = *all.first()?;
    let v6 = first.address.is_ipv6();
    let all: Vec<_> = all.into_iter().filter(|attempt| attempt.address.is_ipv6() == v6).collect();
    let works = connected(view).into_iter().find(|other| other.is_ipv6() != v6);
    let look = behind::seen(view);
    let other = look.and_then(|(line, seen)| {
        let untaken = seen.listeners.iter().all(|one| all.iter().all(|a| !takes(one, a.address)));
        let of_other = |one: &&Listening| one.address.ip().to_canonical().is_ipv6() != v6;
        let one = seen.listeners.iter().find(of_other).filter(|_| untaken)?;
        seen.listeners.iter().all(|one| of_other(&one)).then_some((line, one))
    });
    if works.is_none() && other.is_none() {
        return None;
    }
    let by_name = view.steps(|_, saw| match saw {
        Saw::Resolve(it) if it.source != NameSource::Literal => {
            it.order.iter().all(|address| address.is_ipv6() == v6).then_some(it.host.as_str())
        }
        _ => None,
    });
    let (mut chain, mut evidence): (Vec<Link>, Vec<EvidenceId>) = (Vec::new(), Vec::new());
    if let Some((line, one)) = other {
        evidence.push(view.cite(line));
        chain.extend(link(listener(one), &evidence));
    }
    chain.extend(refusals(view, &all));
    if let Some((line, address)) = completed(view, works) {
        chain.extend(link(format!("{address} completes a connection"), &[view.cite(line)]));
    }
    let list = told(addresses(&all).into_iter());
    let there = other.map(|(_, one)| one.address).or(works)?;
    let whose =
        other.and_then(|(_, one)| one.owners.first()).map(|owner| format!(" ({})", who(owner))).unwrap_or_default();
    let (code, summary) = match (by_name.first(), works, v6) {
        (Some((line, host)), None, _) => {
            chain.insert(0, link(format!("{host} gives {list} alone"), &[view.cite(*line)])?);
            let summary = format!("{host} leads to {list}, and the server listens on {there} alone{whose}");
            ("family.name_gives_one_family", summary)
        }
        (_, _, true) => {
            ("family.server_v4_only", format!("the server listens on IPv4 only ({there}{whose}): {list} is refused"))
        }
        (_, _, false) => {
            ("family.server_v6_only", format!("the server listens on IPv6 only ({there}{whose}): {list} is refused"))
        }
    };
    let hypotheses = match other {
        Some(_) => vec![refuted("a filter rejects the other family", "no socket covers that address", evidence)],
        None => vec![ask_there("a filter rejects that family for a server that listens on both", vec![])],
    };
    let mut finding = finding(code, summary, chain, hypotheses)?;
    finding.confidence = if other.is_some() { Confidence::High } else { Confidence::Medium };
    Some((finding, of_connections(checks, &addresses(&all))))
}

fn completed(view: &View<'_>, wanted: Option<SocketAddr>) -> Option<(usize, SocketAddr)> {
    let all = view.steps(|step, saw| match saw {
        Saw::Connect(it) if it.failure.is_none() && step.address == wanted => step.address,
        _ => None,
    });
    all.into_iter().next()
}

/// Nobody listens.
pub(super) fn nobody(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let all = attempts(view, checks, How::Refused);
    all.first()?;
    let refusal = view.cite(all.first()?.line);
    let list = told(addresses(&all).into_iter());
    let look = behind::seen(view);
    let blind = |seen: &Behind| seen.unseen.iter().any(|unseen| unseen.what.starts_with("the sockets of"));
    let known = look.filter(|(_, seen)| !blind(seen));
    let mut chain = Vec::new();
    let (summary, hypotheses) = if let Some((line, seen)) = known {
        let id = view.cite(line);
        let others: Vec<_> = seen.listeners.iter().map(listener).collect();
        let others = if others.is_empty() {
            String::new()
        } else {
            format!("; that port is listened on at {}", others.join(", "))
        };
        chain.push(link(format!("no socket of this machine listens on {list}{others}"), std::slice::from_ref(&id))?);
        let (bound, hypotheses) = free(seen, &id);
        (format!("nothing listens on {list}{others}{bound}"), hypotheses)
    } else {
        let hypotheses = vec![
            ask_there("a filter rejects for a server that listens", vec![refusal.clone()]),
            ask_there(
                "the server listens on another address or port, or another program holds this one",
                vec![refusal],
            ),
        ];
        (format!("nothing listens on {list}"), hypotheses)
    };
    chain.extend(refusals(view, &all));
    let mut finding = finding("tcp.refused", summary, chain, hypotheses)?;
    finding.confidence = if known.is_some() { Confidence::High } else { Confidence::Medium };
    Some((finding, of_connections(checks, &addresses(&all))))
}

/// What a bind says of a port on which nobody listens.
fn free(seen: &Behind, id: &EvidenceId) -> (String, Vec<Hypothesis>) {
    let filter =
        refuted("a filter refuses for a listener that is there", "the kernel's socket table", vec![id.clone()]);
    let holder = "another program holds the port without listening";
    match &seen.bind {
        Some(Answer::Bound {}) => (
            "; the port is free".to_owned(),
            vec![filter, refuted(holder, "the probe could bind the address (released at once)", vec![id.clone()])],
        ),
        Some(other) => (
            format!("; the probe cannot bind it either: {other}"),
            vec![filter, hypothesis(HypothesisState::Open, holder, "ss -tnpB, as root", vec![id.clone()])],
        ),
        None => (String::new(), vec![filter]),
    }
}

/// ICMP says that nobody has the port.
pub(super) fn datagrams(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let open = |kind: &str, address| unwell(checks).any(|check| check.id == format!("{kind}/{address}"));
    let all = view.steps(|step, saw| {
        let (kind, failure) = match saw {
            Saw::Exchange(it) if it.over == "udp" => ("tcp.exchange", it.failure.as_ref()?),
            Saw::Stun(it) => ("tcp.stun", it.failure.as_ref()?),
            _ => return None,
        };
        let address = step.address?;
        (failure.how == How::Refused && open(kind, address)).then(|| (address, failure, format!("{kind}/{address}")))
    });
    let (line, (_, failure, _)) = all.first()?;
    let chain = vec![link(format!("ICMP answers that the port is unreachable: {failure}"), &[view.cite(*line)])?];
    let list = told(all.iter().map(|(_, (address, ..))| *address));
    let explained = all.iter().map(|(_, (.., id))| id.clone()).collect();
    let summary = format!("nothing listens for datagrams on {list}: ICMP says that the port is unreachable");
    let hypotheses = vec![ask_there("a filter rejects for a server that listens", vec![])];
    Some((finding("tcp.refused", summary, chain, hypotheses)?, explained))
}
