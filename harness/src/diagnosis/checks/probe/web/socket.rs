//! What is said on a WebSocket.

use super::{by_address, code, in_peace, milliseconds, words};
use crate::diagnosis::view::{Draft, View, draft};
use crate::evidence::probed::{Close, How, Intrusive, Opcode, Ping, Saw, Wait};
use crate::evidence::{Check, EvidenceId, Layer, Side};
use std::net::SocketAddr;

fn begin(kind: &str, word: &str, address: SocketAddr) -> Draft {
    draft(format!("websocket.{kind}/{address}"), Layer::Websocket, Side::Server, format!("{word} {address}"))
}

pub(super) fn pongs(view: &mut View<'_>) -> Vec<Check> {
    let waits = by_address(view, waited);
    let seen = by_address(view, |saw| match saw {
        Saw::Ping(ping) => Some(ping),
        _ => None,
    });
    let mut checks = Vec::new();
    for (address, pings) in seen {
        let Some((id, ping)) = pings.into_iter().next_back() else { continue };
        let wait = waits.get(&address).and_then(|waits| waits.last()).map(|(_, wait)| *wait);
        checks.push(answered(begin("pong", "ping", address), ping, wait, vec![id]));
    }
    checks
}

fn answered(check: Draft, ping: &Ping, wait: Option<&Wait>, ids: Vec<EvidenceId>) -> Check {
    let meanwhile = match ping.others {
        0 => String::new(),
        others => format!("; {others} other frames meanwhile"),
    };
    let Some(failure) = &ping.failure else {
        let rtt = ping.rtt_us.map_or_else(|| "pong".to_owned(), |us| format!("pong in {}", milliseconds(us)));
        return check.pass(format!("{rtt}{meanwhile}"), ids);
    };
    let message = format!("{failure}{meanwhile}");
    let left = wait.and_then(|wait| wait.closed.as_ref()).is_some_and(in_peace);
    match failure.how {
        How::Own => check.unknown(message, ids),
        // a server that had said good-bye owes no pong
        How::Said if left => check.warn(message, ids, "see why the server closes so soon"),
        _ => check.fail(message, ids, "read the server's log around that time"),
    }
}

const fn waited(saw: &Saw) -> Option<&Wait> {
    match saw {
        Saw::Wait(wait) => Some(wait),
        _ => None,
    }
}

pub(super) fn waits(view: &mut View<'_>) -> Vec<Check> {
    let seen = by_address(view, waited);
    let judge = |(address, waits): (SocketAddr, Vec<(EvidenceId, &Wait)>)| {
        let (id, wait) = waits.into_iter().next_back()?;
        Some(listened(begin("first_words", "listen", address), wait, vec![id]))
    };
    seen.into_iter().filter_map(judge).collect()
}

fn listened(check: Draft, wait: &Wait, ids: Vec<EvidenceId>) -> Check {
    if let Some(failure) = &wait.failure {
        return match failure.how {
            How::Own => check.unknown(failure.to_string(), ids),
            _ => check.fail(failure.to_string(), ids, "read the server's log around that time"),
        };
    }
    let said = said(wait);
    match &wait.closed {
        Some(closed) if in_peace(closed) => {
            check.warn(format!("it closes by itself: {}{said}", code(closed)), ids, "see why the server closes so soon")
        }
        Some(closed) => check.fail(
            format!("it closes by itself: {}{said}", code(closed)),
            ids,
            "read the server's log around that time",
        ),
        None if said.is_empty() => check.pass(format!("no greeting within {} ms", wait.listened_ms), ids),
        None => check.pass(format!("says first{said}"), ids),
    }
}

/// `: text of 5 bytes: hello; 2 pings`; empty: nothing came.
fn said(wait: &Wait) -> String {
    let kind = |opcode| match opcode {
        Opcode::Text => "text",
        Opcode::Binary => "binary",
    };
    let told = wait
        .messages
        .iter()
        .map(|message| format!("{} of {} bytes: {}", kind(message.opcode), message.bytes, words(&message.begins, 60)));
    let pings = match wait.pings {
        0 => None,
        1 => Some("a ping".to_owned()),
        pings => Some(format!("{pings} pings")),
    };
    let all: Vec<String> = told.chain(pings).collect();
    if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) }
}

pub(super) fn closes(view: &mut View<'_>) -> Vec<Check> {
    let seen = by_address(view, |saw| match saw {
        Saw::Close(close) => Some(close),
        _ => None,
    });
    let judge = |(address, closes): (SocketAddr, Vec<(EvidenceId, &Close)>)| {
        let (id, close) = closes.into_iter().next_back()?;
        Some(closed(begin("close", "close", address), close, vec![id]))
    };
    seen.into_iter().filter_map(judge).collect()
}

fn closed(check: Draft, close: &Close, ids: Vec<EvidenceId>) -> Check {
    let remedy = "let the server answer a close frame with its own, and then end the connection (RFC 6455, section 7)";
    if let Some(failure) = &close.failure {
        return match failure.how {
            How::Own => check.unknown(failure.to_string(), ids),
            How::Malformed | How::TooMuch => {
                check.fail(failure.to_string(), ids, "read the server's log around that time")
            }
            _ => check.warn(failure.to_string(), ids, remedy),
        };
    }
    match &close.answer {
        None => check.warn("no close frame in answer", ids, remedy),
        Some(answer) if !in_peace(answer) => {
            check.fail(format!("it closes with {}", code(answer)), ids, "read the server's log around that time")
        }
        Some(answer) if close.hung_up == Some(false) => {
            check.warn(format!("{} in answer, and it does not end the connection", code(answer)), ids, remedy)
        }
        Some(answer) => check.pass(format!("{} in answer", code(answer)), ids),
    }
}

pub(super) fn limits(view: &mut View<'_>) -> Vec<Check> {
    let seen = by_address(view, |saw| match saw {
        Saw::Intrusive(tried) => Some(tried),
        _ => None,
    });
    let judge = |(address, tried): (SocketAddr, Vec<(EvidenceId, &Intrusive)>)| {
        let (id, tried) = tried.into_iter().next_back()?;
        Some(within(begin("limits", "limits", address), tried, vec![id]))
    };
    seen.into_iter().filter_map(judge).collect()
}

fn within(check: Draft, tried: &Intrusive, ids: Vec<EvidenceId>) -> Check {
    let takes = match (tried.text, tried.binary) {
        (Some(true), Some(true)) => Some("takes text and binary"),
        (Some(true), Some(false)) => Some("takes text, no binary"),
        (Some(false), Some(true)) => Some("takes binary, no text"),
        (Some(true), None) => Some("takes text"),
        (None, Some(true)) => Some("takes binary"),
        _ => None,
    };
    let mut told: Vec<String> = takes.into_iter().map(str::to_owned).collect();
    told.extend(largest(tried));
    if tried.fragments == Some(true) {
        told.push("in fragments too".to_owned());
    }
    if tried.fragments == Some(false) {
        told.push("but no message in fragments".to_owned());
        let remedy = "let the server put fragments together: any client and any proxy may send them";
        return check.fail(told.join(", "), ids, remedy);
    }
    match &tried.failure {
        Some(failure) => {
            told.insert(0, failure.to_string());
            check.unknown(told.join("; "), ids)
        }
        None => check.pass(told.join(", "), ids),
    }
}

/// How large a message may be.
fn largest(tried: &Intrusive) -> Option<String> {
    let with = tried.refused_with.as_ref().map(|closed| format!(" with {}", code(closed))).unwrap_or_default();
    match (tried.largest_accepted, tried.smallest_refused) {
        (Some(most), None) => Some(format!("messages of {most} bytes and perhaps more")),
        (Some(most), Some(refused)) => Some(format!("messages up to {most} bytes (it refuses {refused}{with})")),
        (None, Some(refused)) => Some(format!("no message of {refused} bytes (it refuses{with})")),
        (None, None) => None,
    }
}
