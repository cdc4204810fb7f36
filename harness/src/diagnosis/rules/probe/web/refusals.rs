//! Causes that the status of an answer tells.

use super::{ABOVE_HTTP, Case, addresses, answers, evidence, explained, medium, owner, upgrades};
use crate::diagnosis::checks::probe::web::{status_line, words};
use crate::diagnosis::rules::{Found, finding, hypothesis, link, refuted};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Excerpt, Http, Saw, Upgrade};
use crate::evidence::{Check, Finding, Fix, FixKind, HypothesisState, Link};
use std::net::SocketAddr;

/// Those that the rule wants, and of them those with the status of the first: other statuses are another fact.
pub(super) fn with_status(
    mut cases: Vec<Case<'_, Http>>,
    wanted: impl Fn(&Http) -> bool,
) -> Option<(Vec<Case<'_, Http>>, &Http)> {
    cases.retain(|case| case.saw.status.is_some() && wanted(case.saw));
    let first = cases.first()?.saw;
    cases.retain(|case| case.saw.status == first.status);
    Some((cases, first))
}

/// Path and query of what was asked for, at most so many characters.
fn path(http: &Http) -> String {
    let after = http.url.split_once("://").map_or(http.url.as_str(), |(_, rest)| rest);
    let path = after.find('/').map_or("/", |at| &after[at..]);
    words(&Excerpt::text(path), 80)
}

/// ` (nginx)`; empty: the server does not say what it is.
pub(super) fn program(http: &Http) -> String {
    http.header("server").map(|name| format!(" ({})", words(&Excerpt::text(name), 40))).unwrap_or_default()
}

pub(super) fn between(http: &Http) -> Option<String> {
    http.proxies.first().map(|proxy| words(&Excerpt::text(proxy), 80))
}

pub(super) fn answered(cases: &[Case<'_, Http>], http: &Http) -> Option<Link> {
    link(format!("the answer to GET {} is {}", path(http), status_line(http)), &evidence(cases))
}

pub(super) fn rate_limited(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (cases, http) = with_status(answers(view, checks), |http| http.status == Some(429))?;
    let mut chain = vec![answered(&cases, http)?];
    let retry = http.header("retry-after").map(|after| words(&Excerpt::text(after), 40));
    let when = match &retry {
        Some(after) => {
            chain.push(link(format!("it says Retry-After: {after}"), &evidence(&cases))?);
            let unit = if after.bytes().all(|b| b.is_ascii_digit()) { " s" } else { "" };
            format!("come back after {after}{unit}")
        }
        None => "it does not say until when".to_owned(),
    };
    let summary = format!(
        "{}{} turns requests away because there are too many: {}; {when}",
        addresses(&cases),
        program(http),
        status_line(http)
    );
    let unable = refuted("the server cannot answer (http.upstream_failed)", "it says 429", evidence(&cases));
    Some((finding("http.rate_limited", summary, chain, vec![unable])?, explained(&cases, checks, ABOVE_HTTP)))
}

pub(super) fn header_too_large(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let says_so = |http: &Http| {
        let body = http.body.as_str().to_ascii_lowercase();
        let told = body.contains("header or cookie too large") || body.contains("header fields too large");
        http.status == Some(431) || http.status == Some(400) && told
    };
    let (cases, http) = with_status(answers(view, checks), says_so)?;
    let sent = view.steps(|step, saw| match saw {
        Saw::Upgrade(upgrade) if cases.iter().any(|case| step.address == Some(case.address)) => Some(upgrade),
        _ => None,
    });
    let size = |upgrade: &Upgrade| upgrade.request.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let sent: Option<usize> = sent.first().map(|(_, upgrade)| size(upgrade)).filter(|bytes| *bytes > 0);
    let mut chain = vec![answered(&cases, http)?];
    let figure = match sent {
        Some(bytes) => {
            let statement = format!("the request had {bytes} bytes of headers, those of the user (-H) not counted");
            chain.push(link(statement, &evidence(&cases))?);
            format!(" ({bytes} bytes and those of -H)")
        }
        None => String::new(),
    };
    let summary = format!(
        "{}{} finds the headers of the request too large{figure}: {}",
        addresses(&cases),
        program(http),
        status_line(http)
    );
    let forbidden =
        refuted("the client is not let in (http.forbidden)", "the answer speaks of the headers", evidence(&cases));
    Some((finding("http.header_too_large", summary, chain, vec![forbidden])?, explained(&cases, checks, ABOVE_HTTP)))
}

/// Versions that the server names, if 13 is not among them.
fn other_versions(http: &Http) -> Option<String> {
    let named = http.header("sec-websocket-version")?;
    let has_13 = named.split(',').any(|version| version.trim() == "13");
    (!has_13).then(|| words(&Excerpt::text(named), 40))
}

pub(super) fn version_refused(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let refuses = |http: &Http| matches!(http.status, Some(400 | 426)) && other_versions(http).is_some();
    let (cases, http) = with_status(answers(view, checks), refuses)?;
    let versions = other_versions(http)?;
    let chain = vec![
        link("the request asked for version 13 (RFC 6455)", &evidence(&cases))?,
        link(format!("the answer is {}, Sec-WebSocket-Version: {versions}", status_line(http)), &evidence(&cases))?,
    ];
    let summary = format!(
        "{}{} refuses version 13 of the WebSocket protocol, the one in use; it speaks {versions}",
        addresses(&cases),
        program(http)
    );
    let lost = refuted(
        "the server did not see the headers (http.upgrade_headers_lost)",
        "it names versions, and 13 is not among them",
        evidence(&cases),
    );
    let finding = finding("http.websocket_version_refused", summary, chain, vec![lost])?;
    Some((finding, explained(&cases, checks, ABOVE_HTTP)))
}

pub(super) fn redirected(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let moved = |http: &Http| matches!(http.status, Some(301 | 302 | 303 | 307 | 308)) && http.location.is_some();
    let (cases, http) = with_status(answers(view, checks), moved)?;
    let to = words(&Excerpt::text(http.location.as_deref()?), 200);
    let chain = vec![link(format!("the answer is {} with Location: {to}", status_line(http)), &evidence(&cases))?];
    let at = addresses(&cases);
    let summary = match &http.failure {
        Some(failure) => format!("{at} sends {} on to {to} ({}): {failure}", path(http), status_line(http)),
        None => {
            format!("{at} sends {} on to {to} ({}); clients of WebSockets do not follow", path(http), status_line(http))
        }
    };
    let mut finding = finding("http.redirected", summary, chain, vec![])?;
    if let (None, Some(url)) = (&http.failure, as_websocket(&to)) {
        finding.fixes.insert(0, Fix { kind: FixKind::Safe, text: format!("probe {url} instead") });
    }
    Some((finding, explained(&cases, checks, ABOVE_HTTP)))
}

/// The URL of a WebSocket for that of a page.
fn as_websocket(location: &str) -> Option<String> {
    let (scheme, rest) = location.split_once("://")?;
    match scheme {
        "http" | "ws" => Some(format!("ws://{rest}")),
        "https" | "wss" => Some(format!("wss://{rest}")),
        _ => None,
    }
}

fn addresses_of<T>(cases: &[Case<'_, T>]) -> Vec<SocketAddr> {
    cases.iter().map(|case| case.address).collect()
}

/// Where another path of these addresses has a WebSocket, adds that to a finding, as its first fix. Whether there is one.
fn at_another_path(view: &mut View<'_>, at: &[SocketAddr], finding: &mut Finding) -> bool {
    let others = view.steps(|step, saw| match saw {
        Saw::Upgrade(other) if other.elsewhere && other.failure.is_none() => {
            Some(other.answer.url.as_str()).filter(|_| step.address.is_some_and(|address| at.contains(&address)))
        }
        _ => None,
    });
    let Some((line, url)) = others.into_iter().next() else { return false };
    let url = words(&Excerpt::text(url), 200);
    finding.chain.extend(link(format!("the same upgrade at {url} gets 101"), &[view.cite(line)]));
    finding.fixes.insert(0, Fix { kind: FixKind::Safe, text: format!("use {url}: a WebSocket is there") });
    true
}

pub(super) fn upstream_failed(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (cases, http) = with_status(answers(view, checks), |http| matches!(http.status, Some(502..=504)))?;
    let mut chain = vec![answered(&cases, http)?];
    let proxy = between(http);
    if let Some(proxy) = &proxy {
        chain.push(link(format!("a proxy names itself: {proxy}"), &evidence(&cases))?);
    }
    let who = proxy.map_or_else(|| program(http), |proxy| format!(" ({proxy})"));
    let at = addresses(&cases);
    let status = status_line(http);
    let own = "the server says so itself, of its own accord";
    // 502 and 504 are only for those that ask somebody else (RFC 9110)
    if http.status == Some(503) {
        let summary = format!("{at}{who} answers {status}: the server behind it, or it itself, cannot serve now");
        let open = hypothesis(HypothesisState::Open, own, "the server's own log at that time", evidence(&cases));
        let finding = medium(finding("http.upstream_failed", summary, chain, vec![open])?);
        return Some((finding, explained(&cases, checks, ABOVE_HTTP)));
    }
    let why = if http.status == Some(504) { "does not answer it in time" } else { "refuses it or breaks off" };
    let summary = format!("{at}{who} is a proxy, and the server behind it {why}: {status}");
    let no = refuted(own, "the status is for proxies and gateways", evidence(&cases));
    Some((finding("http.upstream_failed", summary, chain, vec![no])?, explained(&cases, checks, ABOVE_HTTP)))
}

/// Whether a 400 says that the upgrade did not arrive.
fn misses_the_upgrade(http: &Http) -> bool {
    let body = http.body.as_str().to_ascii_lowercase();
    !http.proxies.is_empty() || body.contains("websocket") || body.contains("upgrade")
}

pub(super) fn headers_lost(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let lost = |http: &Http| http.status == Some(426) || http.status == Some(400) && misses_the_upgrade(http);
    let mut asked = upgrades(view, checks);
    asked.retain(|case| lost(&case.saw.answer));
    let first = asked.first()?.saw;
    asked.retain(|case| case.saw.answer.status == first.answer.status);
    let http = &first.answer;
    let sent = |name: &str| first.request.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let ids = evidence(&asked);
    let mut chain = Vec::new();
    let mut hypotheses = Vec::new();
    let omitted = "the client did not send them";
    if sent("upgrade") && sent("connection") {
        chain.push(link("the request had Upgrade: websocket and Connection: Upgrade", &ids)?);
        hypotheses.push(refuted(omitted, "the transcript of the request has them", ids.clone()));
    } else {
        let by = "the transcript of the request";
        hypotheses.push(hypothesis(HypothesisState::Open, omitted, by, ids.clone()));
    }
    chain.push(link(format!("the answer is {}", status_line(http)), &ids)?);
    let by = "the same upgrade on the server's own machine, past every proxy";
    let statement = "the server itself finds something wrong with the request";
    hypotheses.push(hypothesis(HypothesisState::Open, statement, by, ids.clone()));
    let way = match between(http) {
        Some(proxy) => {
            chain.push(link(format!("a proxy is on the way: {proxy}"), &ids)?);
            format!("; a proxy is on the way ({proxy})")
        }
        None => program(http),
    };
    let summary = format!(
        "{} does not see that it is asked for a WebSocket: {} although Upgrade and Connection were sent{way}",
        addresses(&asked),
        status_line(http)
    );
    let mut finding = medium(finding("http.upgrade_headers_lost", summary, chain, hypotheses)?);
    let at = addresses_of(&asked);
    at_another_path(view, &at, &mut finding);
    Some((finding, explained(&asked, checks, ABOVE_HTTP)))
}

pub(super) fn wrong_path(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (cases, http) = with_status(answers(view, checks), |http| matches!(http.status, Some(404 | 405 | 410)))?;
    let upgrade = view.evidence.plan.probe.as_ref().is_some_and(|plan| plan.speak.websocket());
    let mut chain = vec![answered(&cases, http)?];
    let program = program(http);
    let owner = owner(view, cases.first()?.address);
    let mut decides = evidence(&cases);
    if let Some((id, owner)) = &owner {
        let command = owner.command.as_deref().and_then(|c| c.split_whitespace().next()).unwrap_or("a program");
        let command = words(&Excerpt::text(command), 80);
        chain.push(link(format!("{command} (pid {}) listens there", owner.pid), std::slice::from_ref(id))?);
        decides.push(id.clone());
    }
    let pid = owner.map(|(_, owner)| format!(", pid {}", owner.pid)).unwrap_or_default();
    let what = if upgrade { "has no WebSocket" } else { "has nothing" };
    let summary =
        format!("{}{pid} {what} at {}: it answers {}{program}", addresses(&cases), path(http), status_line(http));
    let statement = "another server than the one that is meant answers there (session.foreign_server_answered)";
    let ours = http.is_sidetone();
    let other = if ours {
        refuted(statement, "its Server header says that it is Sidetone", decides)
    } else {
        hypothesis(HypothesisState::Open, statement, "its Server header, and who owns the port", decides)
    };
    let mut finding = finding("http.wrong_path", summary, chain, vec![other])?;
    if !ours {
        // where a WebSocket of somebody else's is, its own documentation says
        finding.fixes.retain(|fix| !fix.text.contains("Sidetone"));
    }
    let at = addresses_of(&cases);
    let found = at_another_path(view, &at, &mut finding);
    let finding = if ours || found { finding } else { medium(finding) };
    Some((finding, explained(&cases, checks, ABOVE_HTTP)))
}

pub(super) fn not_upgraded(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut asked = upgrades(view, checks);
    asked.retain(|case| matches!(case.saw.answer.status, Some(200..=299)));
    let http = &asked.first()?.saw.answer;
    asked.retain(|case| case.saw.answer.status == http.status);
    let ids = evidence(&asked);
    let mut chain = vec![
        link("the request asked for an upgrade to a WebSocket", &ids)?,
        link(format!("the answer is {}, not 101", status_line(http)), &ids)?,
    ];
    let begins = words(&http.body, 60);
    let kind = http.header("content-type").map(|kind| format!(" of {}", words(&Excerpt::text(kind), 40)));
    if !begins.is_empty() {
        chain.push(link(format!("its body begins: {begins}"), &ids)?);
    }
    let summary = format!(
        "{} answers {} with an ordinary page{} instead of a WebSocket: {}{}",
        addresses(&asked),
        path(http),
        kind.unwrap_or_default(),
        status_line(http),
        program(http)
    );
    let lost = "a proxy loses the headers of the upgrade (http.upgrade_headers_lost)";
    let doubt = between(http).map(|proxy| {
        let by = format!("the same upgrade on the server's own machine ({proxy})");
        hypothesis(HypothesisState::Open, lost, by, ids)
    });
    let sure = doubt.is_none();
    let mut finding = finding("http.not_upgraded", summary, chain, doubt.into_iter().collect())?;
    if !http.is_sidetone() {
        finding.fixes.retain(|fix| !fix.text.contains("Sidetone"));
    }
    let at = addresses_of(&asked);
    at_another_path(view, &at, &mut finding);
    Some((if sure { finding } else { medium(finding) }, explained(&asked, checks, ABOVE_HTTP)))
}
