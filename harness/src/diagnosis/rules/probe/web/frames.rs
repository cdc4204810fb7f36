//! Causes that frames tell, or their absence.

use super::closes::closed_with;
use super::{ABOVE_THE_UPGRADE, Case, Talk, addresses, alive, evidence, explained, is_unwell, medium, stopped, talks};
use crate::diagnosis::rules::{Found, finding, hypothesis, link, refuted};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Failure, FrameProblem, How, Wait};
use crate::evidence::{Check, EvidenceId, HypothesisState};
use std::net::SocketAddr;

/// A failure of what was listened to, or else of the close handshake, with what of a frame is wrong.
type Trouble<'a> = (EvidenceId, &'a Failure, Option<FrameProblem>);

fn trouble<'a>(talk: &Talk<'a>) -> Option<Trouble<'a>> {
    let wait = talk.wait.as_ref().and_then(|(id, wait)| Some((id.clone(), wait.failure.as_ref()?, wait.problem)));
    let close =
        || talk.close.as_ref().and_then(|(id, close)| Some((id.clone(), close.failure.as_ref()?, close.problem)));
    wait.or_else(close)
}

/// Addresses with such a trouble whose checks are not well.
fn troubled<'a>(
    view: &mut View<'a>,
    checks: &[Check],
    wanted: impl Fn(&Failure, Option<FrameProblem>) -> bool,
) -> Vec<Case<'a, Failure>> {
    let mut cases = Vec::new();
    for (address, talk) in talks(view) {
        let open = is_unwell(checks, "websocket.first_words", address) || is_unwell(checks, "websocket.close", address);
        if let Some((evidence, saw, problem)) = trouble(&talk).filter(|_| open)
            && wanted(saw, problem)
        {
            cases.push(Case { address, evidence, saw });
        }
    }
    cases
}

/// A trouble as a finding: `ADDRESS says: words`.
fn told(cases: &[Case<'_, Failure>], checks: &[Check], cause: &str, what: &str) -> Option<Found> {
    let failure = cases.first()?.saw;
    let chain = vec![link(format!("what came: {failure}"), &evidence(cases))?];
    let summary = format!("{} {what}: {failure}", addresses(cases));
    Some((finding(cause, summary, chain, vec![])?, explained(cases, checks, ABOVE_THE_UPGRADE)))
}

pub(super) fn protocol_error(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let breaks = |failure: &Failure, problem: Option<FrameProblem>| match problem {
        None => failure.how == How::Malformed,
        Some(FrameProblem::BadUtf8 | FrameProblem::TooLarge | FrameProblem::Flood) => false,
        Some(_) => true,
    };
    let cases = troubled(view, checks, breaks);
    if !cases.is_empty() {
        return told(&cases, checks, "websocket.protocol_error", "breaks the WebSocket protocol");
    }
    let said = closed_with(view, checks, &[1002, 1010])?;
    let open = said.open("something between changes bytes", "the same on the server's own machine, past every proxy");
    said.found("websocket.protocol_error", "it finds that the client breaks the protocol", open, checks)
}

pub(super) fn bad_utf8(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = troubled(view, checks, |_, problem| problem == Some(FrameProblem::BadUtf8));
    if !cases.is_empty() {
        return told(&cases, checks, "websocket.bad_utf8", "sends text that is none");
    }
    let said = closed_with(view, checks, &[1007])?;
    let open = said.open("something between changes bytes", "the same on the server's own machine, past every proxy");
    said.found("websocket.bad_utf8", "it finds that a text message is not UTF-8", open, checks)
}

pub(super) fn too_big(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = troubled(view, checks, |_, problem| problem == Some(FrameProblem::TooLarge));
    if !cases.is_empty() {
        let what = "announces a message that nobody takes";
        let (mut finding, explained) = told(&cases, checks, "websocket.message_too_big", what)?;
        finding.hypotheses.push(hypothesis(
            HypothesisState::Open,
            "the bytes are no frame at all, and only look like one (websocket.protocol_error)",
            "what the server writes at that place",
            evidence(&cases),
        ));
        return Some((medium(finding), explained));
    }
    let limit = talks(view).into_iter().find_map(|(address, talk)| {
        let (id, tried) = talk.limits?;
        Some((address, id, tried.largest_accepted?, tried.smallest_refused?))
    });
    let mut said = closed_with(view, checks, &[1009])?;
    let known = limit.filter(|(address, ..)| said.cases.iter().any(|case| case.address == *address));
    let meaning = match known {
        Some((_, id, most, refused)) => {
            said.chain.push(link(format!("it takes {most} bytes, and refuses {refused}"), &[id])?);
            format!("the message is too large for it; it takes {most} bytes")
        }
        None => "the message is too large for it".to_owned(),
    };
    said.found("websocket.message_too_big", &meaning, vec![], checks)
}

pub(super) fn flooded(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = troubled(view, checks, |_, problem| problem == Some(FrameProblem::Flood));
    let (mut finding, explained) = told(&cases, checks, "websocket.flooded", "sends far more than anybody asked for")?;
    let first = cases.first()?.address;
    let pings = talks(view).into_iter().find(|(address, _)| *address == first).and_then(|(_, talk)| talk.wait);
    if let Some((id, wait)) = pings.filter(|(_, wait)| wait.pings > 0) {
        finding.chain.push(link(format!("{} of {} frames were pings", wait.pings, wait.frames), &[id])?);
    }
    let wrong = "the frames themselves are wrong (websocket.protocol_error)";
    finding.hypotheses.push(refuted(wrong, "each of them is in order by itself", evidence(&cases)));
    Some((finding, explained))
}

pub(super) fn no_frame(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let ended = |failure: &Failure, problem: Option<FrameProblem>| {
        problem.is_none() && matches!(failure.how, How::Closed | How::Reset)
    };
    let cases = troubled(view, checks, ended);
    let what = "ends the connection of the WebSocket without a close frame";
    let (mut finding, explained) = told(&cases, checks, "websocket.closed_without_frame", what)?;
    let statement = "the server's process ended";
    let Some((id, what)) = alive(view, cases.first()?.address) else {
        let by = "the process behind the port: run the probe on that machine";
        finding.hypotheses.push(hypothesis(HypothesisState::Open, statement, by, evidence(&cases)));
        return Some((medium(finding), explained));
    };
    finding.hypotheses.push(refuted(statement, &what, vec![id]));
    Some((finding, explained))
}

/// Something that a server which does not answer a ping did on the same connection.
fn moved(talk: &Talk<'_>) -> Option<(EvidenceId, String)> {
    let frames = |wait: &Wait| wait.frames > 0;
    let heard = talk.wait.as_ref().filter(|(_, wait)| frames(wait));
    let heard = heard.map(|(id, wait)| (id.clone(), format!("{} frames of it came on the connection", wait.frames)));
    heard.or_else(|| {
        let (id, _) = talk.close.as_ref().filter(|(_, close)| close.answer.is_some())?;
        Some((id.clone(), "it answers a close frame".to_owned()))
    })
}

pub(super) fn no_pong(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut cases = Vec::new();
    let mut talks = talks(view);
    talks.retain(|(address, _)| is_unwell(checks, "websocket.pong", *address));
    for (address, talk) in &talks {
        let failed = talk.ping.as_ref().and_then(|(id, ping)| Some((id, ping.failure.as_ref()?)));
        if let Some((id, saw)) = failed.filter(|(_, f)| matches!(f.how, How::TimedOut | How::TooSlow)) {
            cases.push(Case { address: *address, evidence: id.clone(), saw });
        }
    }
    let first: SocketAddr = cases.first()?.address;
    let failure = cases.first()?.saw;
    let talk = talks.iter().find(|(address, _)| *address == first).map(|(_, talk)| talk);
    let alive = talk.and_then(moved).or_else(|| alive(view, first));
    let ids = evidence(&cases);
    let mut chain =
        vec![link("the upgrade was made, and a ping sent", &ids)?, link(format!("no answer to it: {failure}"), &ids)?];
    let but = match &alive {
        Some((id, what)) => {
            chain.push(link(what.clone(), std::slice::from_ref(id))?);
            format!(", although {what}")
        }
        None => String::new(),
    };
    let sure = alive.is_some();
    let summary = format!("{} does not answer a ping of the WebSocket: {failure}{but}", addresses(&cases));
    let finding = finding("websocket.no_pong", summary, chain, vec![stopped(alive, ids)])?;
    // what the server does answer is another matter
    let follows = if sure { &["websocket.pong"][..] } else { ABOVE_THE_UPGRADE };
    Some((if sure { finding } else { medium(finding) }, explained(&cases, checks, follows)))
}

pub(super) fn fragments(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut cases = Vec::new();
    for (address, talk) in talks(view) {
        let broken = talk.limits.filter(|(_, tried)| tried.fragments == Some(false));
        if let Some((evidence, saw)) = broken.filter(|_| is_unwell(checks, "websocket.limits", address)) {
            cases.push(Case { address, evidence, saw });
        }
    }
    let first = cases.first()?.saw;
    let chain = vec![
        link("a message in one frame is taken", &evidence(&cases))?,
        link("the same in two fragments is not", &evidence(&cases))?,
    ];
    let summary =
        format!("{} takes messages in one frame and closes when the same comes in two fragments", addresses(&cases));
    let mut hypotheses = Vec::new();
    if let Some(most) = first.largest_accepted {
        let by = format!("it takes {most} bytes in one frame");
        let statement = "the message is too large (websocket.message_too_big)";
        hypotheses.push(refuted(statement, &by, evidence(&cases)));
    }
    let finding = finding("websocket.fragmentation_unsupported", summary, chain, hypotheses)?;
    Some((finding, explained(&cases, checks, &["websocket.limits"])))
}

pub(super) fn close_hung(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut cases = Vec::new();
    for (address, talk) in talks(view) {
        let open = is_unwell(checks, "websocket.close", address);
        let Some((evidence, saw)) = talk.close.filter(|_| open) else { continue };
        let silent = saw.failure.as_ref().is_some_and(|f| matches!(f.how, How::TimedOut | How::TooSlow));
        if silent || saw.failure.is_none() && saw.hung_up == Some(false) {
            let pong = talk.ping.and_then(|(id, ping)| Some((id, ping.rtt_us?)));
            cases.push((Case { address, evidence, saw }, pong));
        }
    }
    let (cases, pongs): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let first = cases.first()?.saw;
    let what = match &first.failure {
        Some(failure) => format!("does not answer a close frame: {failure}"),
        None => "answers a close frame and does not end the connection".to_owned(),
    };
    let chain = vec![
        link("a close frame with 1000 was sent", &evidence(&cases))?,
        link(format!("the server {what}"), &evidence(&cases))?,
    ];
    let pong = pongs.into_iter().next().flatten().map(|(id, _)| (id, "it answered a ping just before".to_owned()));
    let sure = pong.is_some();
    let summary = format!("{} {what}", addresses(&cases));
    let finding = finding("websocket.close_handshake_hung", summary, chain, vec![stopped(pong, evidence(&cases))])?;
    Some((if sure { finding } else { medium(finding) }, explained(&cases, checks, &["websocket.close"])))
}
