//! Connections that come to nothing: the proxy's, and those that end before a byte.

use crate::diagnosis::rules::probe::behind::address_of;
use crate::diagnosis::rules::{Found, failed, finding, hypothesis, ids, link};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Failure, How, Saw, Speaks, Step};
use crate::evidence::{Check, HypothesisState};
use std::net::SocketAddr;

pub(super) fn proxy(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let open = failed(checks, "tcp.proxy");
    open.first()?;
    let all = view.steps(|_, saw| match saw {
        Saw::Proxy(it) => Some((it, it.failure.as_ref()?)),
        _ => None,
    });
    let (line, (it, failure)) = *all.first()?;
    let id = view.cite(line);
    let chain =
        vec![link(format!("{} asked to connect to {}: {failure}", it.proxy, it.authority), std::slice::from_ref(&id))?];
    let statement = "without the proxy the target does not answer either";
    let hypotheses = vec![hypothesis(HypothesisState::Open, statement, "the probe without --proxy", vec![id])];
    let summary = format!("the proxy {} does not connect to {}: {failure}", it.proxy, it.authority);
    Some((finding("tcp.proxy_interferes", summary, chain, hypotheses)?, ids(&open)))
}

/// Layers that can see the end of a connection before a byte.
const LAYERS: [&str; 6] =
    ["session.hello", "websocket.upgrade", "http.answer", "tls.handshake", "tcp.identify", "tcp.exchange"];

fn failure(saw: &Saw) -> Option<&Failure> {
    match saw {
        Saw::Hello(it) => it.failure.as_ref(),
        Saw::Upgrade(it) => it.failure.as_ref(),
        Saw::Http(it) => it.failure.as_ref(),
        Saw::Tls(it) => it.failure.as_ref(),
        Saw::Exchange(it) if it.over != "udp" => it.failure.as_ref(),
        _ => None,
    }
}

/// Whether a step saw the end before a byte: by a reset?
fn ended(step: &Step) -> Option<(SocketAddr, bool)> {
    if let Saw::Identify(it) = &step.saw {
        let closes = it.speaks == Speaks::Closes && it.failure.is_none();
        return closes.then_some((step.address?, it.otherwise == "resets"));
    }
    let failure = failure(&step.saw)?;
    let ended = matches!(failure.how, How::Reset | How::Closed) && failure.received == 0;
    ended.then_some((step.address?, failure.how == How::Reset))
}

/// Whether something at an address answers in some protocol: then it only did not like what it was told.
fn speaks(view: &View<'_>, address: SocketAddr) -> bool {
    let found = view.steps(|step, saw| match saw {
        Saw::Identify(it) if step.address == Some(address) => {
            (!matches!(it.speaks, Speaks::Closes | Speaks::Silent)).then_some(())
        }
        // TLS was spoken, so what ends above it ends inside of it
        Saw::Tls(it) if step.address == Some(address) => it.failure.is_none().then_some(()),
        _ => None,
    });
    !found.is_empty()
}

pub(super) fn cut(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let is_open = |address: SocketAddr| {
        LAYERS.iter().flat_map(|layer| failed(checks, layer)).any(|check| address_of(check) == Some(address))
    };
    let all = view.steps(|step, _| ended(step));
    let all: Vec<_> =
        all.into_iter().filter(|(_, (address, _))| is_open(*address) && !speaks(view, *address)).collect();
    // who closes in order while words of ours wait unread resets that connection: one end in order tells them apart
    let (_, (address, _)) = *all.first()?;
    let in_order = all.iter().find(|(_, (other, reset))| *other == address && !reset);
    let (line, (_, reset)) = *in_order.or_else(|| all.first())?;
    let mut chain = Vec::new();
    let completed = view.steps(|step, saw| match saw {
        Saw::Connect(it) if it.failure.is_none() && step.address == Some(address) => Some((step.took_us, it.local)),
        _ => None,
    });
    if let Some((line, (took_us, local))) = completed.into_iter().next() {
        let from = local.map(|local| format!(" from {local}")).unwrap_or_default();
        chain.push(link(format!("{address} completes a connection{from} in {took_us} us"), &[view.cite(line)])?);
    }
    let id = view.cite(line);
    let how = if reset { "reset (ECONNRESET)" } else { "closed in order (FIN)" };
    chain.push(link(format!("it is {how} before a byte came"), std::slice::from_ref(&id))?);
    let also: Vec<_> = all.iter().filter(|(other, _)| *other != line).map(|(line, _)| *line).take(3).collect();
    for line in also {
        chain.push(link("a further connection ended in the same way", &[view.cite(line)])?);
    }
    let open = |statement: &str, by: &str| hypothesis(HypothesisState::Open, statement, by, vec![id.clone()]);
    let hypotheses = vec![
        open("a list of allowed addresses or a limit refuses us", "the server's log"),
        open("a proxy or load balancer answers for a server that is not there", "a probe of the server behind it"),
    ];
    let (code, what) = if reset { ("tcp.reset_after_accept", "resets") } else { ("tcp.closed_early", "closes") };
    let summary =
        format!("{address} accepts connections and {what} them before it answers a byte, whatever it is asked");
    let layers = LAYERS.iter().flat_map(|layer| failed(checks, layer));
    let explained = layers.filter(|check| {
        let at = address_of(check);
        at.is_some_and(|at| all.iter().any(|(_, (address, _))| *address == at))
    });
    Some((finding(code, summary, chain, hypotheses)?, explained.map(|check| check.id.clone()).collect()))
}
