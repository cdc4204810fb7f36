//! HTTP and WebSocket: [`http`] has answers and origins, [`upgrade`] the way to a WebSocket, [`socket`] what is said on it.

mod http;
mod socket;
mod upgrade;

use crate::diagnosis::checks::CheckDef;
use crate::diagnosis::view::View;
use crate::evidence::EvidenceId;
use crate::evidence::probed::{Closed, Excerpt, Http, Saw};
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub(in crate::diagnosis) use http::{Sender, sender};

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef { id: "http.answer", about: "the server answers an HTTP request well", run: http::answers },
    CheckDef { id: "websocket.upgrade", about: "the server upgrades to a WebSocket", run: upgrade::upgrades },
    CheckDef { id: "websocket.pong", about: "a ping of the WebSocket is answered", run: socket::pongs },
    CheckDef { id: "websocket.first_words", about: "what the server says unasked is in order", run: socket::waits },
    CheckDef { id: "websocket.close", about: "the WebSocket is closed by both sides", run: socket::closes },
    CheckDef {
        id: "http.origin",
        about: "pages of the server may connect, those of strangers not",
        run: http::origins,
    },
    CheckDef { id: "websocket.limits", about: "which messages the server takes", run: socket::limits },
];

/// Headers of a refusal that tell somebody what to do.
const TELLING: &[&str] =
    &["Server", "Location", "WWW-Authenticate", "Retry-After", "Sec-WebSocket-Version", "Via", "Content-Type"];

/// Steps of one kind with their evidence, by address, in the order in which they were made.
fn by_address<'a, T>(
    view: &mut View<'a>,
    pick: impl Fn(&'a Saw) -> Option<&'a T>,
) -> BTreeMap<SocketAddr, Vec<(EvidenceId, &'a T)>> {
    let steps = view.steps(|step, saw| Some((step.address?, pick(saw)?)));
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (line, (address, saw)) in steps {
        found.entry(address).or_default().push((view.cite(line), saw));
    }
    found
}

/// The first line of what a peer sent, blanks for tabs, at most so many characters.
pub(in crate::diagnosis) fn words(excerpt: &Excerpt, most: usize) -> String {
    excerpt.first_line(most).replace(char::is_control, " ").trim().to_owned()
}

/// `404 Not Found`.
pub(in crate::diagnosis) fn status_line(http: &Http) -> String {
    let status = http.status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
    format!("{status} {}", words(&http.reason, 60)).trim_end().to_owned()
}

/// `Server: nginx; body: no such page`: the headers that matter, and how the body begins. Empty: there is nothing of both.
fn particulars(http: &Http) -> String {
    let mut told = Vec::new();
    for name in TELLING {
        let value = http.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        told.extend(value.map(|(_, value)| format!("{name}: {}", words(value, 120))));
    }
    let more = http.proxies.iter().filter(|proxy| TELLING.iter().all(|name| !begins_with(proxy, name)));
    told.extend(more.map(|proxy| words(&Excerpt::text(proxy), 120)));
    match (&http.encoding, words(&http.body, 120)) {
        (Some(encoding), _) => told.push(format!("body compressed unasked ({})", words(&Excerpt::text(encoding), 20))),
        (None, body) if !body.is_empty() => told.push(format!("body: {body}")),
        (None, _) => {}
    }
    told.join("; ")
}

fn begins_with(header: &str, name: &str) -> bool {
    header.split(':').next().is_some_and(|given| given.trim().eq_ignore_ascii_case(name))
}

/// `1011 (no room)`.
pub(in crate::diagnosis) fn code(closed: &Closed) -> String {
    let code = closed.code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
    let reason = words(&closed.reason, 120);
    if reason.is_empty() { code } else { format!("{code} ({reason})") }
}

/// Whether a close frame says that all is well: done, going away, or nothing at all.
pub(in crate::diagnosis) const fn in_peace(closed: &Closed) -> bool {
    matches!(closed.code, None | Some(1000 | 1001))
}

fn milliseconds(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1_000.0)
}
