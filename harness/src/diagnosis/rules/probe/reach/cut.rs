//! Connections that come to nothing: the proxy's, and those that end before a byte.

use crate::diagnosis::rules::probe::behind::address_of;
use crate::diagnosis::rules::{Found, failed, finding, hypothesis, ids, link, refuted};
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
            (it.is_known() || it.speaks == Speaks::Unknown).then_some(())
        }
        // TLS was spoken, so what ends above it ends inside of it
        Saw::Tls(it) if step.address == Some(address) => it.failure.is_none().then_some(()),
        _ => None,
    });
    !found.is_empty()
}

/// What a server was asked that ended each of these connections; empty: it did so unasked.
fn asked(view: &View<'_>, address: SocketAddr) -> Vec<String> {
    let mut asked: Vec<String> = Vec::new();
    let mut unasked = false;
    for (_, saw) in view.steps(|step, saw| (step.address == Some(address)).then_some(saw)) {
        match saw {
            Saw::Upgrade(_) => asked.push("a WebSocket upgrade".to_owned()),
            Saw::Http(_) => asked.push("HTTP".to_owned()),
            Saw::Tls(_) => asked.push("TLS".to_owned()),
            Saw::Hello(_) => asked.push("a Sidetone hello".to_owned()),
            Saw::Exchange(_) => asked.push("the words of --send".to_owned()),
            Saw::Identify(it) => {
                unasked |= it.unasked_end.is_some();
                asked.extend(it.asked.iter().map(|one| one.what.clone()));
            }
            _ => {}
        }
    }
    if unasked {
        return Vec::new();
    }
    let mut seen = std::collections::BTreeSet::new();
    asked.retain(|what| seen.insert(what.clone()));
    asked
}

/// A header that proxies write must come first: without it connections are ended, with it there is an answer.
pub(super) fn proxy_header(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let all = view.steps(|step, saw| match saw {
        Saw::Identify(it) if it.answers_like.as_deref() == Some("PROXY protocol") => Some((step.address?, it)),
        _ => None,
    });
    let open = |address: SocketAddr| {
        LAYERS.iter().flat_map(|layer| failed(checks, layer)).any(|check| address_of(check) == Some(address))
    };
    let (line, (address, it)) = all.into_iter().find(|(_, (address, _))| open(*address))?;
    let id = view.cite(line);
    let without: Vec<_> = it.asked.iter().filter(|one| one.answer.is_empty()).map(|one| one.what.as_str()).collect();
    let with = it.asked.iter().find(|one| !one.answer.is_empty())?.answer.first_line(60);
    let chain = vec![
        link(format!("without a header it ends the connection without a byte; asked: {}", without.join(", ")), std::slice::from_ref(&id))?,
        link(format!("after the header \"PROXY UNKNOWN\" it answers: {with}"), std::slice::from_ref(&id))?,
    ];
    let summary = format!(
        "{address} ends every connection that does not begin with a header of the PROXY protocol; with one it answers"
    );
    let broken = refuted("the server is broken and ends every connection", "its answer after that header", vec![id]);
    let layers = LAYERS.iter().flat_map(|layer| failed(checks, layer));
    let explained = layers.filter(|check| address_of(check) == Some(address)).map(|check| check.id.clone()).collect();
    Some((finding("tcp.proxy_header_expected", summary, chain, vec![broken])?, explained))
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
    let asked = asked(view, address);
    let when = if asked.is_empty() {
        format!("accepts connections and {what} them before anything is said")
    } else {
        format!("accepts connections and {what} them without a byte; asked: {}", asked.join(", "))
    };
    let summary = format!("{address} {when}");
    let layers = LAYERS.iter().flat_map(|layer| failed(checks, layer));
    let explained = layers.filter(|check| {
        let at = address_of(check);
        at.is_some_and(|at| all.iter().any(|(_, (address, _))| *address == at))
    });
    Some((finding(code, summary, chain, hypotheses)?, explained.map(|check| check.id.clone()).collect()))
}
