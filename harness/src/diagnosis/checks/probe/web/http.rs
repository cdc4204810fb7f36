//! Answers, upgrades, origins.

use super::{by_address, is_own, milliseconds};
use crate::diagnosis::view::{View, draft};
use crate::evidence::probed::{Failure, How, Http, OriginTried, Saw, Step, Upgrade};
use crate::evidence::{Check, Layer, Side};

/// Headers that tell something of a refusal.
const TELLING: &[&str] = &[
    "server",
    "location",
    "upgrade",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "www-authenticate",
    "retry-after",
    "via",
    "x-cache",
    "cf-ray",
    "content-type",
];

/// `404 Not Found`.
pub(in crate::diagnosis) fn status_line(http: &Http) -> String {
    let status = http.status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
    format!("{status} {}", http.reason.first_line(60)).trim_end().to_owned()
}

/// How a body begins, on one line.
fn beginning(http: &Http) -> String {
    let flat: Vec<_> = http.body.as_str().split_whitespace().collect();
    let flat = flat.join(" ");
    let cut: String = flat.chars().take(160).collect();
    if cut.len() < flat.len() { format!("{cut}...") } else { cut }
}

/// What an answer says besides its status: headers that matter, and how its body begins.
fn details(http: &Http) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (name, value) in &http.headers {
        if TELLING.iter().any(|telling| name.eq_ignore_ascii_case(telling)) {
            parts.push(format!("{name}: {}", value.first_line(100)));
        }
    }
    if let Some(encoding) = &http.encoding {
        parts.push(format!("{} bytes of a body in {encoding}, not unpacked", http.body_bytes));
    } else if !http.body.is_empty() {
        parts.push(format!("its body begins: {}", beginning(http)));
    }
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join("; ")) }
}

/// Why there is no answer, and what came instead.
pub(in crate::diagnosis) fn no_answer(failure: &Failure) -> String {
    let words = match failure.how {
        How::TimedOut => format!("the request was sent, {failure}"),
        How::TooSlow => format!("the answer drips in: {failure}"),
        How::TooMuch => format!("the answer has no end that a client would wait for: {failure}"),
        _ => failure.to_string(),
    };
    if failure.begins.is_empty() || failure.how == How::TooMuch {
        return words;
    }
    format!("{words}; what came begins with {:?}", failure.begins.first_line(80))
}

pub(super) fn answer(view: &mut View<'_>) -> Vec<Check> {
    let grouped = by_address(view, |saw| if let Saw::Http(http) = saw { Some(http) } else { None });
    let mut checks = Vec::new();
    for (address, steps) in grouped {
        let check = draft(format!("http.answer/{address}"), Layer::Http, Side::Server, format!("http {address}"));
        // the last of a chain of redirects decides; of several rounds the first that is not well
        let ends = steps.iter().enumerate().filter(|(i, _)| steps.get(i + 1).is_none_or(|(_, _, next)| next.hop == 0));
        let mut ends = ends.map(|(_, end)| end);
        let Some(first) = ends.next() else { continue };
        let bad = |http: &Http| http.failure.is_some() || http.status.is_none_or(|status| status >= 400);
        let (_, _, http) = std::iter::once(first).chain(ends).find(|(_, _, http)| bad(http)).unwrap_or(first);
        let ids = steps.iter().map(|(line, _, _)| view.cite(*line)).collect();
        checks.push(match (&http.failure, http.status) {
            (Some(failure), _) if is_own(failure) => check.unknown(failure.to_string(), ids),
            (Some(failure), Some(_)) => {
                let message = format!("{}: {failure}{}", status_line(http), details(http));
                check.fail(message, ids, "give the address that it redirects to, or correct the redirect")
            }
            (Some(failure), None) => {
                let place = if http.hop > 0 { format!("redirected to {}: ", http.url) } else { String::new() };
                check.fail(
                    format!("{place}{}", no_answer(failure)),
                    ids,
                    "see what answers at that port, and whether it is well",
                )
            }
            (None, Some(400..)) => {
                let message = format!("{}{}", status_line(http), details(http));
                check.fail(message, ids, "compare path, host name and credentials with what the server expects")
            }
            (None, Some(300..)) => {
                let message = format!("{}{}", status_line(http), details(http));
                check.warn(message, ids, "ask for the address that it names")
            }
            (None, _) => check.pass(well(http), ids),
        });
    }
    checks
}

fn well(http: &Http) -> String {
    let mut told = vec![status_line(http)];
    if let Some(us) = http.first_byte_us {
        told.push(format!("first byte after {}", milliseconds(us)));
    }
    if http.hop > 0 {
        let times = if http.hop == 1 { "one redirect".to_owned() } else { format!("{} redirects", http.hop) };
        told.push(format!("after {times}, from {}", http.url));
    }
    if !http.proxies.is_empty() {
        told.push(format!("by way of {}", http.proxies.join(", ")));
    }
    if let Some(encoding) = &http.encoding {
        told.push(format!("compressed unasked ({encoding}, {} bytes, not unpacked)", http.body_bytes));
    }
    if http.body_whole == Some(false) {
        told.push(format!("{} bytes of its body came and not its end", http.body_bytes));
    }
    told.join(", ")
}

/// An upgrade and, where there was one, its second try without a subprotocol.
pub(in crate::diagnosis) struct Tried<'a> {
    pub first: (usize, &'a Step, &'a Upgrade),
    pub second: Option<(usize, &'a Step, &'a Upgrade)>,
}

impl<'a> Tried<'a> {
    pub(in crate::diagnosis) fn all(steps: &[(usize, &'a Step, &'a Upgrade)]) -> Vec<Self> {
        let mut tried: Vec<Self> = Vec::new();
        for step in steps {
            match tried.last_mut() {
                Some(last) if step.2.second_try && last.second.is_none() => last.second = Some(*step),
                _ => tried.push(Self { first: *step, second: None }),
            }
        }
        tried
    }

    /// The one that counts: the second only if it went better.
    pub(in crate::diagnosis) fn outcome(&self) -> (usize, &'a Step, &'a Upgrade) {
        self.second.filter(|(_, _, second)| second.failure.is_none()).unwrap_or(self.first)
    }
}

pub(super) fn upgrade(view: &mut View<'_>) -> Vec<Check> {
    let grouped = by_address(view, |saw| if let Saw::Upgrade(upgrade) = saw { Some(upgrade) } else { None });
    let mut checks = Vec::new();
    for (address, steps) in grouped {
        let check = draft(
            format!("websocket.upgrade/{address}"),
            Layer::Websocket,
            Side::Server,
            format!("websocket {address}"),
        );
        let ids = steps.iter().map(|(line, _, _)| view.cite(*line)).collect();
        let tried = Tried::all(&steps);
        let Some(first) = tried.first() else { continue };
        let failed = |tried: &&Tried<'_>| tried.outcome().2.failure.is_some();
        let decides = tried.iter().find(failed).unwrap_or(first);
        let (_, step, upgrade) = decides.outcome();
        checks.push(match &upgrade.failure {
            None => check.pass(upgraded(step, upgrade, decides), ids),
            Some(failure) if is_own(failure) => check.unknown(failure.to_string(), ids),
            Some(failure) if upgrade.answer.status.is_none() => {
                check.fail(no_answer(failure), ids, "see what answers at that port, and whether it is well")
            }
            Some(failure) => {
                let message = format!("{failure}{}", details(&upgrade.answer));
                check.fail(message, ids, "compare path and headers with what the server expects, without proxies first")
            }
        });
    }
    checks
}

fn upgraded(step: &Step, upgrade: &Upgrade, tried: &Tried<'_>) -> String {
    let mut told = vec![format!("101 in {}", milliseconds(step.took_us))];
    told.push(match &upgrade.subprotocol {
        Some(chosen) => format!("subprotocol {chosen}"),
        None => "no subprotocol".to_owned(),
    });
    if upgrade.second_try {
        let (_, _, first) = tried.first;
        told.push(format!("where {} was offered: {}", first.offered.join(", "), status_line(&first.answer)));
    }
    if !upgrade.answer.proxies.is_empty() {
        told.push(format!("by way of {}", upgrade.answer.proxies.join(", ")));
    }
    told.join(", ")
}

pub(super) fn origin(view: &mut View<'_>) -> Vec<Check> {
    let grouped = by_address(view, |saw| if let Saw::Origin(origin) = saw { Some(origin) } else { None });
    let mut checks = Vec::new();
    for (address, steps) in grouped {
        // after a refused upgrade there is one step alone, which belongs to that
        if steps.len() < 3 {
            continue;
        }
        let check = draft(format!("http.origin/{address}"), Layer::Http, Side::Server, format!("origin {address}"));
        let ids = steps.iter().map(|(line, _, _)| view.cite(*line)).collect();
        let told: Vec<_> = steps.iter().map(|(_, _, tried)| outcome(tried)).collect();
        let message = told.join("; ");
        let taken = |wanted: fn(&OriginTried) -> bool| {
            steps.iter().find(|(_, _, tried)| wanted(tried)).map(|(_, _, tried)| tried.status == Some(101))
        };
        let own = taken(|tried| tried.origin.as_ref().is_some_and(|origin| !origin.ends_with("stranger.example")));
        let stranger = taken(|tried| tried.origin.as_ref().is_some_and(|origin| origin.ends_with("stranger.example")));
        checks.push(if steps.iter().all(|(_, _, tried)| tried.status.is_none()) {
            check.unknown(message, ids)
        } else if stranger == Some(true) {
            let remedy = "let the server refuse origins that are not its own: else any page uses its visitors' rights";
            check.warn(message, ids, remedy)
        } else if own == Some(false) {
            check.warn(message, ids, "if pages are to connect, let the server accept the origin that they come from")
        } else {
            check.pass(message, ids)
        });
    }
    checks
}

fn outcome(tried: &OriginTried) -> String {
    let who = tried.origin.as_ref().map_or_else(|| "without an Origin".to_owned(), |origin| format!("from {origin}"));
    match (tried.status, &tried.failure) {
        (Some(101), _) => format!("{who}: accepted"),
        (Some(status), _) => format!("{who}: {status}"),
        (None, Some(failure)) => format!("{who}: {failure}"),
        (None, None) => format!("{who}: no answer"),
    }
}
