//! HTTP and WebSocket: [`http`] has answers, upgrades and origins, [`socket`] what goes on after an upgrade.

pub(in crate::diagnosis) mod http;
mod socket;

use crate::diagnosis::checks::CheckDef;
use crate::diagnosis::view::View;
use crate::evidence::probed::{Failure, How, Saw, Step};
use std::net::SocketAddr;

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef { id: "http.answer", about: "an HTTP request is answered with 2xx", run: http::answer },
    CheckDef {
        id: "websocket.upgrade",
        about: "the path upgrades to a WebSocket, by every header",
        run: http::upgrade,
    },
    CheckDef { id: "websocket.pong", about: "a ping is answered", run: socket::pong },
    CheckDef {
        id: "websocket.first_words",
        about: "what the server sends unasked is well formed",
        run: socket::first_words,
    },
    CheckDef { id: "websocket.close", about: "the close handshake is answered and ends", run: socket::close },
    CheckDef {
        id: "http.origin",
        about: "pages of the server may connect, those of strangers may not",
        run: http::origin,
    },
    CheckDef { id: "websocket.limits", about: "messages of each size and kind are taken", run: socket::limits },
];

/// A step with its line and what it saw.
type Seen<'a, T> = (usize, &'a Step, &'a T);

/// Steps of one kind, an address each, in the order in which the addresses were first seen.
fn by_address<'a, T>(view: &View<'a>, pick: impl Fn(&'a Saw) -> Option<&'a T>) -> Vec<(SocketAddr, Vec<Seen<'a, T>>)> {
    let mut grouped: Vec<(SocketAddr, Vec<Seen<'a, T>>)> = Vec::new();
    for (line, (address, step, saw)) in view.steps(|step: &'a Step, saw| Some((step.address?, step, pick(saw)?))) {
        match grouped.iter_mut().find(|(known, _)| *known == address) {
            Some((_, steps)) => steps.push((line, step, saw)),
            None => grouped.push((address, vec![(line, step, saw)])),
        }
    }
    grouped
}

fn milliseconds(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1_000.0)
}

/// Whether a failure says nothing of the peer.
fn is_own(failure: &Failure) -> bool {
    failure.how == How::Own
}
