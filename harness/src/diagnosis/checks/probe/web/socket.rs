//! What goes on after an upgrade.

use super::{by_address, is_own, milliseconds};
use crate::diagnosis::view::{View, draft};
use crate::evidence::probed::{Closed, Intrusive, Saw, Step, Wait};
use crate::evidence::{Check, EvidenceId, Layer, Side};
use std::net::SocketAddr;

/// `1011 (broken)`.
pub(in crate::diagnosis) fn told(closed: &Closed) -> String {
    let code = closed.code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
    if closed.reason.is_empty() { code } else { format!("{code} ({})", closed.reason.first_line(120)) }
}

/// Whether a close frame says that all is as it should be.
fn is_peaceful(closed: &Closed) -> bool {
    matches!(closed.code, None | Some(1000 | 1001))
}

/// Of each address the step that decides: of several rounds the first that failed.
fn deciding<'a, T>(
    view: &mut View<'a>,
    pick: impl Fn(&'a Saw) -> Option<&'a T>,
    is_bad: impl Fn(&T) -> bool,
) -> Vec<(SocketAddr, &'a Step, &'a T, Vec<EvidenceId>)> {
    let mut found = Vec::new();
    for (address, steps) in by_address(view, pick) {
        let decides = steps.iter().find(|(_, _, saw)| is_bad(saw)).or_else(|| steps.last());
        if let Some((line, step, saw)) = decides {
            found.push((address, *step, *saw, vec![view.cite(*line)]));
        }
    }
    found
}

pub(super) fn pong(view: &mut View<'_>) -> Vec<Check> {
    let steps = deciding(view, |saw| if let Saw::Ping(it) = saw { Some(it) } else { None }, |it| it.failure.is_some());
    let judged = steps.into_iter().map(|(address, _, ping, ids)| {
        let id = format!("websocket.pong/{address}");
        let check = draft(id, Layer::Websocket, Side::Server, format!("ping {address}"));
        match (&ping.failure, ping.rtt_us) {
            (Some(failure), _) if is_own(failure) => check.unknown(failure.to_string(), ids),
            (Some(failure), _) => {
                let others =
                    if ping.others > 0 { format!("; {} other frames came", ping.others) } else { String::new() };
                check.fail(
                    format!("{failure}{others}"),
                    ids,
                    "see whether the server answers pings (RFC 6455, section 5.5.2)",
                )
            }
            (None, Some(us)) => check.pass(format!("pong in {}", milliseconds(us)), ids),
            (None, None) => check.unknown("no time was measured", ids),
        }
    });
    judged.collect()
}

pub(super) fn first_words(view: &mut View<'_>) -> Vec<Check> {
    let is_bad = |wait: &Wait| wait.failure.is_some() || wait.closed.is_some();
    let steps = deciding(view, |saw| if let Saw::Wait(it) = saw { Some(it) } else { None }, is_bad);
    let judged = steps.into_iter().map(|(address, _, wait, ids)| {
        let id = format!("websocket.first_words/{address}");
        let check = draft(id, Layer::Websocket, Side::Server, format!("listen {address}"));
        match (&wait.failure, &wait.closed) {
            (Some(failure), _) if is_own(failure) => check.unknown(failure.to_string(), ids),
            (Some(failure), _) => check.fail(
                failure.to_string(),
                ids,
                "look at the server's own log for that moment, and at proxies on the way",
            ),
            (None, Some(closed)) if is_peaceful(closed) => {
                let message = format!("it closed the WebSocket unasked: {}", told(closed));
                check.warn(message, ids, "see whether it wants a subprotocol, credentials or a first message")
            }
            (None, Some(closed)) => {
                let message = format!("it closed the WebSocket unasked: {}", told(closed));
                check.fail(message, ids, "look at the server's own log for that moment")
            }
            (None, None) => check.pass(heard(wait), ids),
        }
    });
    judged.collect()
}

fn heard(wait: &Wait) -> String {
    let Some(first) = wait.messages.first() else { return "it says nothing unasked".to_owned() };
    let flat: Vec<_> = first.begins.as_str().split_whitespace().collect();
    let begins: String = flat.join(" ").chars().take(120).collect();
    let more = match wait.messages.len() - 1 {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    format!("it says first, in {} bytes: {begins}{more}", first.bytes)
}

pub(super) fn close(view: &mut View<'_>) -> Vec<Check> {
    let steps = deciding(view, |saw| if let Saw::Close(it) = saw { Some(it) } else { None }, |it| it.failure.is_some());
    let judged = steps.into_iter().map(|(address, step, close, ids)| {
        let id = format!("websocket.close/{address}");
        let check = draft(id, Layer::Websocket, Side::Server, format!("close {address}"));
        match (&close.failure, &close.answer, close.hung_up) {
            (Some(failure), _, _) if is_own(failure) => check.unknown(failure.to_string(), ids),
            (Some(failure), _, _) => check.fail(
                failure.to_string(),
                ids,
                "let the server answer a close frame with one (RFC 6455, section 5.5.1)",
            ),
            (None, Some(closed), _) if !is_peaceful(closed) => check.fail(
                format!("it closed with {}", told(closed)),
                ids,
                "look at the server's own log for that moment",
            ),
            (None, Some(closed), Some(false)) => {
                let message = format!("closed with {}, but the server keeps the TCP connection", told(closed));
                check.warn(message, ids, "let the server close the connection first (RFC 6455, section 7.1.1)")
            }
            (None, Some(closed), _) => {
                check.pass(format!("closed with {} in {}", told(closed), milliseconds(step.took_us)), ids)
            }
            (None, None, _) => check.unknown("how it closed is not known", ids),
        }
    });
    judged.collect()
}

pub(super) fn limits(view: &mut View<'_>) -> Vec<Check> {
    let is_bad = |it: &Intrusive| it.fragments == Some(false);
    let steps = deciding(view, |saw| if let Saw::Intrusive(it) = saw { Some(it) } else { None }, is_bad);
    let judged = steps.into_iter().map(|(address, _, limits, ids)| {
        let id = format!("websocket.limits/{address}");
        let check = draft(id, Layer::Websocket, Side::Server, format!("limits {address}"));
        let figures = figures(limits);
        match &limits.failure {
            _ if limits.fragments == Some(false) => {
                let message = format!("a whole message is taken, one in two fragments is not; {figures}");
                check.fail(message, ids, "let the server put fragments together (RFC 6455, section 5.4)")
            }
            Some(failure) => check.unknown(failure.to_string(), ids),
            None => check.pass(figures, ids),
        }
    });
    judged.collect()
}

fn figures(limits: &Intrusive) -> String {
    let size = match (limits.largest_accepted, limits.smallest_refused) {
        (Some(taken), Some(refused)) => {
            let with = limits.refused_with.as_ref().map_or_else(|| "without a close frame".to_owned(), told);
            format!("largest message {taken} bytes; {refused} are refused: {with}")
        }
        (Some(taken), None) => format!("messages of {taken} bytes are taken, larger ones were not decided"),
        (None, Some(refused)) => format!("messages of {refused} bytes are refused"),
        (None, None) => "no size was decided".to_owned(),
    };
    let word = |what: &str, taken: Option<bool>| match taken {
        Some(true) => format!("{what} taken"),
        Some(false) => format!("{what} refused"),
        None => format!("{what} not decided"),
    };
    let words = [word("text", limits.text), word("binary", limits.binary), word("fragments", limits.fragments)];
    format!("{size}; {}; {} connections", words.join(", "), limits.connections)
}
