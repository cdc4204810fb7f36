//! HTTP and WebSocket: [`refusals`] are told by a status, [`forbidden`] by 401 and 403; [`handshake`] is a 101 that is none, or
//! an answer that does not come; [`closes`] are told by a close frame, [`frames`] by what is sent or not sent on the WebSocket.

mod closes;
mod forbidden;
mod frames;
mod handshake;
mod refusals;
#[cfg(test)]
mod tests;

use crate::diagnosis::rules::{Rule, hypothesis, refuted, unwell};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::View;
use crate::evidence::probed::{Behind, Close, Http, Identified, Intrusive, Owner, Ping, Saw, Speaks, Upgrade, Wait};
use crate::evidence::{Check, Confidence, EvidenceId, Finding, Hypothesis, HypothesisState};
use std::net::SocketAddr;

/// In this order.
pub(super) const RULES: &[Rule] = &[
    refusals::rate_limited,
    refusals::header_too_large,
    refusals::version_refused,
    refusals::redirected,
    refusals::upstream_failed,
    forbidden::forbidden,
    forbidden::own_pages_refused,
    handshake::subprotocol,
    refusals::headers_lost,
    refusals::wrong_path,
    refusals::not_upgraded,
    handshake::bad_accept_key,
    handshake::headers_lost_in_the_answer,
    handshake::http2_only,
    handshake::too_slow,
    handshake::no_reply,
    frames::protocol_error,
    frames::bad_utf8,
    frames::too_big,
    closes::policy_violation,
    closes::server_error,
    closes::later,
    closes::wrong_type,
    frames::flooded,
    frames::no_frame,
    frames::no_pong,
    frames::fragments,
    frames::close_hung,
];

/// What follows from an upgrade that did not come about.
const ABOVE_HTTP: &[&str] =
    &["http.answer", "http.origin", "websocket.", "tcp.exchange", "session.hello", "media.echo", "probe.left_out"];
/// What follows from a WebSocket that is not well.
const ABOVE_THE_UPGRADE: &[&str] = &[
    "websocket.pong",
    "websocket.first_words",
    "websocket.close",
    "tcp.exchange",
    "session.hello",
    "media.echo",
    "probe.left_out",
];

/// Something that was seen at an address, with its evidence.
#[derive(Clone)]
struct Case<'a, T> {
    address: SocketAddr,
    evidence: EvidenceId,
    saw: &'a T,
}

/// What is not well, and above, of these addresses.
fn explained<T>(cases: &[Case<'_, T>], checks: &[Check], follows: &[&str]) -> Vec<String> {
    let concerned = |check: &&Check| {
        follows.iter().any(|kind| check.id.starts_with(kind))
            && check.id.split_once('/').is_some_and(|(kind, at)| {
                kind == "probe.left_out" || cases.iter().any(|case| at == case.address.to_string())
            })
    };
    unwell(checks).filter(concerned).map(|check| check.id.clone()).collect()
}

fn is_unwell(checks: &[Check], kind: &str, address: SocketAddr) -> bool {
    let id = format!("{kind}/{address}");
    unwell(checks).any(|check| check.id == id)
}

/// The steps that `pick` wants, where the check of that kind is not well and not explained.
fn cases<'a, T>(
    view: &mut View<'a>,
    checks: &[Check],
    kind: &str,
    pick: impl Fn(&'a Saw) -> Option<&'a T>,
) -> Vec<Case<'a, T>> {
    let steps = view.steps(|step, saw| Some((step.address?, pick(saw)?)));
    let wanted = steps.into_iter().filter(|(_, (address, _))| is_unwell(checks, kind, *address));
    wanted.map(|(line, (address, saw))| Case { address, evidence: view.cite(line), saw }).collect()
}

/// First tries of upgrades that failed.
fn upgrades<'a>(view: &mut View<'a>, checks: &[Check]) -> Vec<Case<'a, Upgrade>> {
    cases(view, checks, "websocket.upgrade", |saw| match saw {
        Saw::Upgrade(upgrade) if upgrade.is_first() => Some(upgrade),
        _ => None,
    })
}

/// Answers that refuse: those to upgrades, and the last ones to plain requests.
fn answers<'a>(view: &mut View<'a>, checks: &[Check]) -> Vec<Case<'a, Http>> {
    let upgrades = upgrades(view, checks);
    let upgrades =
        upgrades.into_iter().map(|case| Case { address: case.address, evidence: case.evidence, saw: &case.saw.answer });
    let mut found: Vec<_> = upgrades.collect();
    let plain = cases(view, checks, "http.answer", |saw| match saw {
        Saw::Http(http) => Some(http),
        _ => None,
    });
    for case in &plain {
        let last = plain.iter().filter(|other| other.address == case.address).map(|other| other.saw.hop).max();
        if last == Some(case.saw.hop) {
            found.push(case.clone());
        }
    }
    found
}

/// What one WebSocket was seen to do.
#[derive(Clone, Default)]
struct Talk<'a> {
    ping: Option<(EvidenceId, &'a Ping)>,
    wait: Option<(EvidenceId, &'a Wait)>,
    close: Option<(EvidenceId, &'a Close)>,
    limits: Option<(EvidenceId, &'a Intrusive)>,
}

/// The WebSockets of all addresses.
fn talks<'a>(view: &mut View<'a>) -> Vec<(SocketAddr, Talk<'a>)> {
    let steps = view.steps(|step, saw| match saw {
        Saw::Ping(_) | Saw::Wait(_) | Saw::Close(_) | Saw::Intrusive(_) => Some((step.address?, saw)),
        _ => None,
    });
    let mut all: Vec<(SocketAddr, Talk<'a>)> = Vec::new();
    for (line, (address, saw)) in steps {
        let id = view.cite(line);
        let at = all.iter().position(|(known, _)| *known == address).unwrap_or_else(|| {
            all.push((address, Talk::default()));
            all.len() - 1
        });
        let talk = &mut all[at].1;
        match saw {
            Saw::Ping(ping) => talk.ping = Some((id, ping)),
            Saw::Wait(wait) => talk.wait = Some((id, wait)),
            Saw::Close(close) => talk.close = Some((id, close)),
            Saw::Intrusive(tried) => talk.limits = Some((id, tried)),
            _ => {}
        }
    }
    all
}

/// `A`, `A and B`, ...
fn addresses<T>(cases: &[Case<'_, T>]) -> String {
    let mut told: Vec<_> = cases.iter().map(|case| case.address.to_string()).collect();
    told.dedup();
    and(&told)
}

fn evidence<T>(cases: &[Case<'_, T>]) -> Vec<EvidenceId> {
    cases.iter().map(|case| case.evidence.clone()).collect()
}

/// Who listens there, if that is this machine and may be seen.
fn owner<'a>(view: &mut View<'a>, address: SocketAddr) -> Option<(EvidenceId, &'a Owner)> {
    let seen = view.steps(|_, saw| match saw {
        Saw::Behind(behind) if behind.port == address.port() => Some(behind),
        _ => None,
    });
    let (line, behind): (usize, &Behind) = seen.into_iter().next()?;
    let owner = behind.listeners.iter().filter(|listening| listening.covers).find_map(|l| l.owners.first())?;
    Some((view.cite(line), owner))
}

fn identified<'a>(view: &mut View<'a>, address: SocketAddr) -> Option<(EvidenceId, &'a Identified)> {
    let seen = view.steps(|step, saw| match saw {
        Saw::Identify(identified) if step.address == Some(address) => Some(identified),
        _ => None,
    });
    let (line, identified) = seen.into_iter().next()?;
    Some((view.cite(line), identified))
}

fn medium(mut finding: Finding) -> Finding {
    finding.confidence = Confidence::Medium;
    finding
}

/// Whether nothing is answered because the process does not run; refuted by something that it did meanwhile.
fn stopped(alive: Option<(EvidenceId, String)>, silent: Vec<EvidenceId>) -> Hypothesis {
    let statement = "the process is stopped or blocked (process.stopped)";
    match alive {
        Some((id, what)) => refuted(statement, &what, vec![id]),
        None => hypothesis(
            HypothesisState::Open,
            statement,
            "the state of the process: run the probe on that machine",
            silent,
        ),
    }
}

/// What shows that the program at an address does something, apart from one WebSocket: an answer of its own.
fn alive(view: &mut View<'_>, address: SocketAddr) -> Option<(EvidenceId, String)> {
    let steps = view.steps(|step, saw| (step.address == Some(address)).then_some(saw));
    steps.into_iter().find_map(|(line, saw)| {
        let what = match saw {
            Saw::Http(http) => http.status.map(|status| format!("it answers a plain request with {status}"))?,
            Saw::Hello(hello) if hello.answered => "it answers a hello on another connection".to_owned(),
            Saw::Identify(it) if it.speaks == Speaks::Http => "it answers HTTP otherwise".to_owned(),
            Saw::Identify(it) if it.speaks == Speaks::WebSocket => "it upgrades when it is asked again".to_owned(),
            _ => return None,
        };
        Some((view.cite(line), what))
    })
}
