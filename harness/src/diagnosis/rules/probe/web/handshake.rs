//! A 101 that breaks the rules, and answers that do not come.

use super::{
    ABOVE_HTTP, Case, addresses, alive, answers, cases, evidence, explained, identified, medium, stopped, upgrades,
};
use crate::diagnosis::checks::probe::web::{status_line, words};
use crate::diagnosis::rules::{Found, finding, hypothesis, link, refuted};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Excerpt, Failure, How, Saw, Speaks, Upgrade, UpgradeProblem};
use crate::evidence::{Check, HypothesisState};

/// Upgrades whose answer has one of these problems.
fn with_problem<'a>(view: &mut View<'a>, checks: &[Check], wanted: &[UpgradeProblem]) -> Vec<Case<'a, Upgrade>> {
    let mut found = upgrades(view, checks);
    found.retain(|case| case.saw.problems.iter().any(|problem| wanted.contains(problem)));
    found
}

pub(super) fn bad_accept_key(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let found = with_problem(view, checks, &[UpgradeProblem::AcceptWrong, UpgradeProblem::AcceptMissing]);
    let first = found.first()?.saw;
    let ids = evidence(&found);
    let came = first.answer.header("sec-websocket-accept").map(|value| words(&Excerpt::text(value), 60));
    let wanted = &first.accept_wanted;
    let what = match &came {
        Some(came) => format!("Sec-WebSocket-Accept is {came:?}, and the key demands {wanted:?}"),
        None => "Sec-WebSocket-Accept is missing".to_owned(),
    };
    let mut chain = vec![link(format!("the answer is {}", status_line(&first.answer)), &ids)?];
    chain.push(link(what.clone(), &ids)?);
    let summary = format!("{} answers 101 with a wrong proof of the handshake: {what}", addresses(&found));
    let hypotheses = match (&came, first.answer.proxies.first()) {
        (Some(_), Some(proxy)) => {
            let by = format!("the same upgrade on the server's own machine ({})", words(&Excerpt::text(proxy), 60));
            vec![hypothesis(HypothesisState::Open, "a cache replays the answer to another request", by, ids)]
        }
        _ => vec![],
    };
    let sure = hypotheses.is_empty();
    let finding = finding("http.bad_accept_key", summary, chain, hypotheses)?;
    Some((if sure { finding } else { medium(finding) }, explained(&found, checks, ABOVE_HTTP)))
}

/// A 101 without the headers that make it one.
pub(super) fn headers_lost_in_the_answer(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let found = with_problem(view, checks, &[UpgradeProblem::UpgradeHeader, UpgradeProblem::ConnectionHeader]);
    let first = found.first()?.saw;
    let ids = evidence(&found);
    let failure = first.failure.as_ref()?;
    let chain =
        vec![link(format!("the answer is {}", status_line(&first.answer)), &ids)?, link(failure.to_string(), &ids)?];
    let summary = format!("{} answers 101 without the headers that belong to it: {failure}", addresses(&found));
    let open = hypothesis(
        HypothesisState::Open,
        "the server itself leaves them out, and no proxy drops them",
        "the same upgrade on the server's own machine",
        ids,
    );
    let finding = medium(finding("http.upgrade_headers_lost", summary, chain, vec![open])?);
    Some((finding, explained(&found, checks, ABOVE_HTTP)))
}

/// Another one than was offered, none, or a refusal because of the offer.
pub(super) fn subprotocol(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let wanted = [UpgradeProblem::SubprotocolNotOffered, UpgradeProblem::SubprotocolMissing];
    let found = with_problem(view, checks, &wanted);
    let Some(first) = found.first() else { return refused_with_it(view, checks) };
    let first = first.saw;
    let ids = evidence(&found);
    let offered = if first.offered.is_empty() { "none".to_owned() } else { first.offered.join(", ") };
    let chosen = match &first.subprotocol {
        Some(name) => format!("chooses the subprotocol {:?}", words(&Excerpt::text(name), 60)),
        None => "chooses no subprotocol".to_owned(),
    };
    let chain =
        vec![link(format!("the request offered: {offered}"), &ids)?, link(format!("the answer {chosen}"), &ids)?];
    let summary = format!("{} {chosen}; offered was {offered}", addresses(&found));
    let finding = finding("http.subprotocol_not_agreed", summary, chain, vec![])?;
    Some((finding, explained(&found, checks, ABOVE_HTTP)))
}

fn refused_with_it(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let without = cases(view, checks, "websocket.upgrade", |saw| match saw {
        Saw::Upgrade(upgrade) if upgrade.second_try && upgrade.failure.is_none() => Some(upgrade),
        _ => None,
    });
    let mut found = upgrades(view, checks);
    found.retain(|case| without.iter().any(|other| other.address == case.address));
    let first = found.first()?.saw;
    let offered = first.offered.join(", ");
    let status = status_line(&first.answer);
    let chain = vec![
        link(format!("an upgrade that offers {offered} gets {status}"), &evidence(&found))?,
        link("the same upgrade without a subprotocol gets 101", &evidence(&without))?,
    ];
    let summary = format!(
        "{} upgrades only without the subprotocol {offered}: with it the answer is {status}",
        addresses(&found)
    );
    let other = refuted("there is no WebSocket at that path", "it upgrades without a subprotocol", evidence(&without));
    let finding = finding("http.subprotocol_not_agreed", summary, chain, vec![other])?;
    // the WebSocket itself is there, and what is wrong with it is another matter
    Some((finding, explained(&found, checks, &["websocket.upgrade"])))
}

/// A SETTINGS frame of HTTP/2 where HTTP/1.1 was spoken.
pub(super) fn http2_only(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    // length 3 bytes, type 4, no flag, stream 0 (RFC 9113, section 6.5)
    let settings = |failure: &Failure| {
        let begins = failure.begins.as_str();
        begins.starts_with("\\x00\\x00") && begins.get(12..32).is_some_and(|rest| rest == "\\x04\\x00\\x00\\x00\\x00")
    };
    let mut found = answers(view, checks);
    found.retain(|case| case.saw.failure.as_ref().is_some_and(settings));
    let first = found.first()?;
    let ids = evidence(&found);
    let chain = vec![
        link("the request was one of HTTP/1.1", &ids)?,
        link("what came begins with a SETTINGS frame of HTTP/2", &ids)?,
    ];
    let summary = format!(
        "{} speaks HTTP/2 without TLS and no HTTP/1.1, which a WebSocket upgrade needs",
        addresses(&found)
    );
    let identified = identified(view, first.address);
    let other = "it is another protocol that only begins like HTTP/2";
    let hypotheses = match identified {
        Some((id, it)) if it.answers_like.as_deref() == Some("HTTP/2") || it.greeting.as_ref().is_some_and(|g| g.protocol.as_deref() == Some("HTTP/2")) => {
            vec![refuted(other, "a further connection begins with SETTINGS too", vec![id])]
        }
        _ => vec![hypothesis(HypothesisState::Open, other, "curl --http2-prior-knowledge", ids)],
    };
    Some((finding("http.http2_only", summary, chain, hypotheses)?, explained(&found, checks, ABOVE_HTTP)))
}

pub(super) fn too_slow(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let slow = |failure: &Failure| {
        let begins = failure.begins.as_str();
        let http = begins.starts_with("HTTP/") || "HTTP/".starts_with(begins);
        failure.how == How::TooSlow && http
    };
    let mut found = answers(view, checks);
    found.retain(|case| case.saw.status.is_none() && case.saw.failure.as_ref().is_some_and(slow));
    let first = found.first()?.saw;
    let failure = first.failure.as_ref()?;
    let ids = evidence(&found);
    let chain = vec![link("the request was sent", &ids)?, link(format!("the answer began: {failure}"), &ids)?];
    let summary = format!("{} answers too slowly to be of use: {failure}", addresses(&found));
    let hypotheses = vec![
        refuted("it does not answer (http.no_reply_to_upgrade)", "bytes of an answer came", ids.clone()),
        hypothesis(
            HypothesisState::Open,
            "the way to it is slow (tcp.bandwidth_capped), and not the server",
            "the same request on the server's own machine, and other traffic to it",
            ids,
        ),
    ];
    let finding = medium(finding("http.response_too_slow", summary, chain, hypotheses)?);
    Some((finding, explained(&found, checks, ABOVE_HTTP)))
}

pub(super) fn no_reply(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let silent = |upgrade: &Upgrade| {
        let failure = upgrade.failure.as_ref();
        failure.is_some_and(|f| f.how == How::TimedOut && f.received == 0 && f.errno.is_none())
            && upgrade.answer.status.is_none()
            && upgrade.answer.interim == 0
    };
    let mut found = upgrades(view, checks);
    found.retain(|case| silent(case.saw));
    // whoever speaks another protocol owes no answer to HTTP
    found.retain(|case| {
        identified(view, case.address).is_none_or(|(_, it)| {
            matches!(it.speaks, Speaks::Http | Speaks::WebSocket | Speaks::Silent | Speaks::Closes | Speaks::Unknown)
        })
    });
    let first = found.first()?;
    let failure = first.saw.failure.as_ref()?;
    let ids = evidence(&found);
    let mut chain = vec![
        link("the connection was made, and the request for an upgrade sent on it", &ids)?,
        link(format!("no answer came: {failure}"), &ids)?,
    ];
    let alive = alive(view, first.address);
    let sure = alive.is_some();
    let but = match &alive {
        Some((id, what)) => {
            chain.push(link(what.clone(), std::slice::from_ref(id))?);
            format!(", although {what}")
        }
        None => String::new(),
    };
    let summary =
        format!("{} takes the request for a WebSocket and does not answer it: {failure}{but}", addresses(&found));
    let finding = finding("http.no_reply_to_upgrade", summary, chain, vec![stopped(alive, ids)])?;
    Some((if sure { finding } else { medium(finding) }, explained(&found, checks, ABOVE_HTTP)))
}
