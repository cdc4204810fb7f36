//! HTTP and WebSocket: [`answers`] names what a status or a missing answer means, [`frames`] what goes wrong after an upgrade.
//! One rule a cause; addresses that show the same are one finding.

mod answers;
mod frames;

use crate::diagnosis::checks::probe::web::http::Tried;
use crate::diagnosis::rules::{Found, Rule, finding, hypothesis, link, unwell};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::View;
use crate::evidence::probed::{Http, Identified, OriginTried, Saw, Step};
use crate::evidence::{Check, Confidence, HypothesisState, ProbePlan};
use std::net::SocketAddr;

/// In this order: what keeps a WebSocket from being there comes before what is wrong with it.
pub(super) const RULES: &[Rule] = &[
    |view, checks| by_cause(view, checks, "http.redirected"),
    |view, checks| by_cause(view, checks, "http.forbidden"),
    |view, checks| by_cause(view, checks, "http.rate_limited"),
    |view, checks| by_cause(view, checks, "http.header_too_large"),
    |view, checks| by_cause(view, checks, "http.upstream_failed"),
    |view, checks| by_cause(view, checks, "http.websocket_version_refused"),
    |view, checks| by_cause(view, checks, "http.upgrade_headers_lost"),
    |view, checks| by_cause(view, checks, "http.wrong_path"),
    |view, checks| by_cause(view, checks, "http.not_upgraded"),
    |view, checks| by_cause(view, checks, "http.bad_accept_key"),
    |view, checks| by_cause(view, checks, "http.subprotocol_not_agreed"),
    |view, checks| by_cause(view, checks, "http.response_too_slow"),
    |view, checks| by_cause(view, checks, "http.no_reply_to_upgrade"),
    |view, checks| by_cause(view, checks, "websocket.bad_utf8"),
    |view, checks| by_cause(view, checks, "websocket.flooded"),
    |view, checks| by_cause(view, checks, "websocket.protocol_error"),
    |view, checks| by_cause(view, checks, "websocket.wrong_message_type"),
    |view, checks| by_cause(view, checks, "websocket.message_too_big"),
    |view, checks| by_cause(view, checks, "websocket.policy_violation"),
    |view, checks| by_cause(view, checks, "websocket.server_error"),
    |view, checks| by_cause(view, checks, "websocket.restarting_or_overloaded"),
    |view, checks| by_cause(view, checks, "websocket.closed_without_frame"),
    |view, checks| by_cause(view, checks, "websocket.no_pong"),
    |view, checks| by_cause(view, checks, "websocket.close_handshake_hung"),
    |view, checks| by_cause(view, checks, "websocket.fragmentation_unsupported"),
];

/// Checks that cannot be well while the WebSocket or the HTTP of their address is not.
const FOLLOW: &[&str] = &["http.", "websocket.", "session.hello", "tcp.identify", "tcp.exchange", "media."];

/// What one step means.
struct Told {
    code: &'static str,
    confidence: Confidence,
    /// The fact, of the address: `answers 404 Not Found to ...`.
    fact: String,
    /// The sentence for whoever is paged; the address is said before it.
    summary: String,
    /// What else it might be: state, statement, what decides it; all by the evidence of the step.
    hypotheses: Vec<(HypothesisState, &'static str, String)>,
    /// Further observations that it was concluded from.
    also: Vec<(usize, String)>,
}

impl Told {
    fn sure(code: &'static str, fact: impl Into<String>, summary: impl Into<String>) -> Self {
        let (fact, summary) = (fact.into(), summary.into());
        Self { code, confidence: Confidence::High, fact, summary, hypotheses: Vec::new(), also: Vec::new() }
    }

    /// Not ruled out: only likely then.
    fn unless(mut self, statement: &'static str, decided_by: impl Into<String>) -> Self {
        self.confidence = Confidence::Medium;
        self.hypotheses.push((HypothesisState::Open, statement, decided_by.into()));
        self
    }

    fn not(mut self, statement: &'static str, decided_by: impl Into<String>) -> Self {
        self.hypotheses.push((HypothesisState::Refuted, statement, decided_by.into()));
        self
    }

    fn also(mut self, line: usize, statement: impl Into<String>) -> Self {
        self.also.push((line, statement.into()));
        self
    }
}

/// What else is known of the address of a step.
struct Scene<'a> {
    plan: &'a ProbePlan,
    identified: Option<(usize, &'a Identified)>,
    origins: Vec<(usize, &'a OriginTried)>,
}

impl<'a> Scene<'a> {
    fn of(view: &View<'a>, plan: &'a ProbePlan, address: SocketAddr) -> Self {
        let at = |step: &Step| step.address == Some(address);
        let identified = view.steps(|step: &'a Step, saw: &'a Saw| match saw {
            Saw::Identify(identified) if at(step) => Some(identified),
            _ => None,
        });
        let origins = view.steps(|step: &'a Step, saw: &'a Saw| match saw {
            Saw::Origin(origin) if at(step) => Some(origin),
            _ => None,
        });
        Self { plan, identified: identified.into_iter().next(), origins }
    }
}

/// A step that a cause was read from: its line, its address, its check, what it means.
type Read = (usize, SocketAddr, String, Told);

/// Every step of this family that means something, in order.
fn read(view: &View<'_>, plan: &ProbePlan) -> Vec<Read> {
    let mut read: Vec<Read> = Vec::new();
    let mut upgrades = view.steps(|step, saw| match saw {
        Saw::Upgrade(upgrade) => Some((step, upgrade)),
        _ => None,
    });
    // addresses are looked at side by side: a second try stands behind the first of its own address
    upgrades.sort_by_key(|(_, (step, _))| step.address);
    let upgrades: Vec<_> = upgrades.into_iter().map(|(line, (step, upgrade))| (line, step, upgrade)).collect();
    let tried: Vec<_> = Tried::all(&upgrades).iter().map(Tried::outcome).collect();
    for (line, step, upgrade) in tried {
        let Some(address) = step.address else { continue };
        let scene = Scene::of(view, plan, address);
        if let Some(told) = answers::of_upgrade(upgrade, &scene) {
            read.push((line, address, format!("websocket.upgrade/{address}"), told));
        }
    }
    let rest = view.steps(|step, saw| {
        let address = step.address?;
        let (kind, told) = match saw {
            Saw::Http(http) => ("http.answer", of_http(view, plan, address, http)?),
            Saw::Wait(wait) => ("websocket.first_words", frames::of_wait(wait)?),
            Saw::Close(close) => ("websocket.close", frames::of_close(close)?),
            Saw::Ping(ping) => ("websocket.pong", frames::of_ping(ping, view, address)?),
            Saw::Intrusive(limits) => ("websocket.limits", frames::of_limits(limits)?),
            _ => return None,
        };
        Some((address, format!("{kind}/{address}"), told))
    });
    read.extend(rest.into_iter().map(|(line, (address, check, told))| (line, address, check, told)));
    read
}

fn of_http(view: &View<'_>, plan: &ProbePlan, address: SocketAddr, http: &Http) -> Option<Told> {
    answers::of_http(http, &Scene::of(view, plan, address))
}

fn by_cause(view: &mut View<'_>, checks: &[Check], code: &str) -> Option<Found> {
    let plan = view.evidence.plan.probe.as_ref()?;
    let open = |id: &str| unwell(checks).any(|check| check.id == id);
    let mut shown: Vec<Read> =
        read(view, plan).into_iter().filter(|(_, _, id, told)| told.code == code && open(id)).collect();
    shown.sort_by_key(|(line, ..)| *line);
    let mut chain = Vec::new();
    let mut addresses: Vec<String> = Vec::new();
    let mut explained = Vec::new();
    for (line, address, _, told) in &shown {
        let id = view.cite(*line);
        chain.push(link(format!("{address} {}", told.fact), &[id])?);
        for (line, statement) in &told.also {
            let id = view.cite(*line);
            chain.push(link(statement.clone(), &[id])?);
        }
        if !addresses.contains(&address.to_string()) {
            addresses.push(address.to_string());
        }
        let ending = format!("/{address}");
        let follows = unwell(checks).filter(|check| check.id.ends_with(&ending));
        explained.extend(follows.filter(|c| FOLLOW.iter().any(|kind| c.id.starts_with(kind))).map(|c| c.id.clone()));
    }
    let (line, _, _, told) = shown.into_iter().next()?;
    let id = view.cite(line);
    let hypotheses = told
        .hypotheses
        .iter()
        .map(|(state, statement, by)| hypothesis(*state, statement, by.clone(), vec![id.clone()]));
    let hypotheses = hypotheses.collect();
    let summary = format!("{} {}", and(&addresses), told.summary);
    let mut finding = finding(code, summary, chain, hypotheses)?;
    finding.confidence = told.confidence;
    Some((finding, explained))
}
