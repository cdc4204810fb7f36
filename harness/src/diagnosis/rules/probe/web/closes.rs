//! Causes that the code of a close frame tells (RFC 6455, section 7.4).

use super::{ABOVE_THE_UPGRADE, Case, addresses, evidence, explained, is_unwell, medium, talks};
use crate::diagnosis::checks::probe::web::{code, in_peace};
use crate::diagnosis::rules::{Found, finding, hypothesis, link};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Closed, Saw};
use crate::evidence::{Check, EvidenceId, Hypothesis, HypothesisState, Link};

/// A close frame of the server that is not explained.
pub(super) struct Said<'a> {
    /// Addresses that closed with the same code.
    pub(super) cases: Vec<Case<'a, Closed>>,
    /// `127.0.0.1:9 closes the WebSocket with 1011 (no room)`.
    pub(super) summary: String,
    /// The same as evidence.
    pub(super) chain: Vec<Link>,
}

/// Close frames with one of these codes, those with the code of the first.
pub(super) fn closed_with<'a>(view: &mut View<'a>, checks: &[Check], codes: &[u16]) -> Option<Said<'a>> {
    let mut cases = Vec::new();
    for (address, talk) in talks(view) {
        let wait = talk.wait.and_then(|(id, wait)| Some((id, wait.closed.as_ref()?, "websocket.first_words")));
        let close = talk.close.and_then(|(id, close)| Some((id, close.answer.as_ref()?, "websocket.close")));
        let told = wait.into_iter().chain(close).find(|(_, closed, kind)| {
            !in_peace(closed)
                && closed.code.is_some_and(|code| codes.contains(&code))
                && is_unwell(checks, kind, address)
        });
        cases.extend(told.map(|(evidence, saw, _)| Case { address, evidence, saw }));
    }
    let first = cases.first()?.saw;
    cases.retain(|case| case.saw.code == first.code);
    let told = code(first);
    let summary = format!("{} closes the WebSocket with {told}", addresses(&cases));
    let chain = vec![link(format!("the server's close frame says {told}"), &evidence(&cases))?];
    Some(Said { cases, summary, chain })
}

impl Said<'_> {
    /// The finding, with what the code means; an open question makes it less than sure.
    pub(super) fn found(self, cause: &str, meaning: &str, open: Vec<Hypothesis>, checks: &[Check]) -> Option<Found> {
        let sure = open.is_empty();
        let explained = explained(&self.cases, checks, ABOVE_THE_UPGRADE);
        let finding = finding(cause, format!("{}: {meaning}", self.summary), self.chain, open)?;
        Some((if sure { finding } else { medium(finding) }, explained))
    }

    /// What was not settled.
    pub(super) fn open(&self, statement: &str, decided_by: &str) -> Vec<Hypothesis> {
        vec![hypothesis(HypothesisState::Open, statement, decided_by, evidence(&self.cases))]
    }
}

pub(super) fn policy_violation(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let said = closed_with(view, checks, &[1008])?;
    said.found("websocket.policy_violation", "the client did something that its own rules forbid", vec![], checks)
}

pub(super) fn server_error(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let said = closed_with(view, checks, &[1011])?;
    let meaning = "an error of its own, which its log has";
    said.found("websocket.server_error", meaning, vec![], checks)
}

pub(super) fn later(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let said = closed_with(view, checks, &[1012, 1013])?;
    let restarts = said.cases.first()?.saw.code == Some(1012);
    let meaning = if restarts { "it is being restarted" } else { "it has too much to do; try again later" };
    said.found("websocket.restarting_or_overloaded", meaning, vec![], checks)
}

/// Which kind of message the server takes, as far as that was tried.
fn takes(view: &mut View<'_>) -> Option<(EvidenceId, &'static str)> {
    let tried = view.steps(|_, saw| match saw {
        Saw::Intrusive(tried) => match (tried.text, tried.binary) {
            (Some(true), Some(false)) => Some("it takes text messages, and no binary ones"),
            (Some(false), Some(true)) => Some("it takes binary messages, and no text ones"),
            _ => None,
        },
        _ => None,
    });
    tried.into_iter().next().map(|(line, what)| (view.cite(line), what))
}

pub(super) fn wrong_type(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut said = closed_with(view, checks, &[1003])?;
    let cause = "websocket.wrong_message_type";
    if let Some((id, what)) = takes(view) {
        said.chain.push(link(what, &[id])?);
        return said.found(cause, &format!("it does not take this kind of message; {what}"), vec![], checks);
    }
    let open = said.open("the kind is right and the content is not", "which kind it takes: --intrusive tries both");
    said.found(cause, "it does not take this kind of message, text or binary", open, checks)
}
