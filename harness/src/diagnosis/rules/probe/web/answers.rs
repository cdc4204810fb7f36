//! What a status means, and what no answer means.

use super::{Scene, Told};
use crate::diagnosis::checks::probe::web::http::status_line;
use crate::evidence::probed::{Failure, How, Http, Speaks, Upgrade, UpgradeProblem};
use crate::evidence::{Confidence, Speak};

/// An upgrade that failed.
pub(super) fn of_upgrade(upgrade: &Upgrade, scene: &Scene<'_>) -> Option<Told> {
    let failure = upgrade.failure.as_ref()?;
    let http = &upgrade.answer;
    match http.status {
        None => no_answer(failure, scene),
        Some(101) => broken(upgrade, failure),
        Some(status @ (200..=299)) => Some(Told::sure(
            "http.not_upgraded",
            format!("answers {} to the upgrade", status_line(http)),
            format!("answers {status} instead of 101: {} is served as a page, not as a WebSocket", path(http)),
        )),
        Some(300..=399) => Some(redirected(http, scene)),
        Some(status @ (400 | 426)) => Some(headers_lost(http, status)),
        Some(status) => refused(http, status, scene),
    }
}

/// A GET that failed, or whose answer is none of success.
pub(super) fn of_http(http: &Http, scene: &Scene<'_>) -> Option<Told> {
    match (&http.failure, http.status) {
        (Some(_), Some(300..=399)) => Some(redirected(http, scene)),
        (Some(failure), None) if http.hop == 0 && failure.how == How::TooSlow => no_answer(failure, scene),
        (None, Some(status)) => refused(http, status, scene),
        (Some(_), _) | (None, None) => None,
    }
}

/// Path and query of a URL.
fn path(http: &Http) -> &str {
    let rest = http.url.split_once("://").map_or(http.url.as_str(), |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Statuses that mean the same for a page and for an upgrade.
fn refused(http: &Http, status: u16, scene: &Scene<'_>) -> Option<Told> {
    let fact = format!("answers {} to GET {}", status_line(http), path(http));
    match status {
        401 | 403 | 407 => Some(forbidden(http, status, scene)),
        404 | 405 | 410 => {
            let what = if scene.plan.speak.websocket() { "no WebSocket" } else { "nothing" };
            let summary = format!("answers {}: {what} is at the path {}", status_line(http), path(http));
            let server = http
                .header("server")
                .map_or_else(|| "it does not name itself".to_owned(), |s| format!("it calls itself {s}"));
            let told = Told::sure("http.wrong_path", fact, summary);
            let mut told = told.unless("another server than the wanted one answers there", server);
            // whoever it is, this path is not there
            told.confidence = if status == 404 { Confidence::High } else { Confidence::Medium };
            Some(told)
        }
        429 => {
            let after = http
                .header("retry-after")
                .map_or_else(String::new, |after| format!("; it wants to be left alone for {after} s"));
            Some(Told::sure(
                "http.rate_limited",
                fact,
                format!("answers {}: too many requests{after}", status_line(http)),
            ))
        }
        431 => {
            let summary = format!("answers {}: the headers of the request are too large for it", status_line(http));
            Some(Told::sure("http.header_too_large", fact, summary))
        }
        502..=504 => {
            let by = if http.proxies.is_empty() { String::new() } else { format!(" ({})", http.proxies.join(", ")) };
            let summary =
                format!("answers {}: a proxy{by} is there, and the server behind it is not", status_line(http));
            let told = Told::sure("http.upstream_failed", fact, summary);
            Some(if http.proxies.is_empty() {
                told.unless(
                    "the server itself says so, without a proxy",
                    "no header names a proxy; the server's log tells",
                )
            } else {
                told.not("the server itself says so, without a proxy", http.proxies.join(", "))
            })
        }
        _ => None,
    }
}

fn forbidden(http: &Http, status: u16, scene: &Scene<'_>) -> Told {
    let fact = format!("answers {} to GET {}", status_line(http), path(http));
    let line = status_line(http);
    // the step after a refusal: with an origin where there was none, without one where there was
    let other = scene.origins.first();
    let sent = scene.plan.origin.as_deref();
    let (summary, open) = match (status, other) {
        (401, _) => {
            let scheme = http.header("www-authenticate").map_or_else(String::new, |scheme| format!(" ({scheme})"));
            (format!("answers {line}: it wants credentials{scheme}"), false)
        }
        (407, _) => (format!("answers {line}: a proxy on the way wants credentials"), false),
        (_, Some((_, tried))) if tried.status == Some(101) => match (sent, &tried.origin) {
            (Some(sent), _) => (format!("answers {line} to the origin {sent}, and accepts without an Origin"), false),
            (None, Some(origin)) => {
                (format!("answers {line} without an Origin, and accepts the origin {origin}"), false)
            }
            (None, None) => (format!("answers {line}"), true),
        },
        (_, Some((_, tried))) if tried.status == Some(status) => (
            format!("answers {line}, with and without an Origin: credentials, or from where it is asked, decide"),
            false,
        ),
        (_, _) => match sent {
            Some(sent) => (format!("answers {line}: it may not like the origin {sent}"), true),
            None => (format!("answers {line}: it may want credentials or an Origin"), true),
        },
    };
    let mut told = Told::sure("http.forbidden", fact, summary);
    if open {
        told = told.unless("the Origin decides", "an upgrade with another Origin, which had no answer or was not made");
    }
    match other {
        Some((line, tried)) => {
            let who =
                tried.origin.as_ref().map_or_else(|| "without an Origin".to_owned(), |o| format!("with Origin: {o}"));
            let status = tried.status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
            told.also(*line, format!("{who} the same upgrade is answered with {status}"))
        }
        None => told,
    }
}

fn redirected(http: &Http, scene: &Scene<'_>) -> Told {
    let to = http.location.as_deref().unwrap_or("nowhere");
    let fact = format!("answers {} to {}, location {to}", status_line(http), http.url);
    let summary = if scene.plan.speak.websocket() {
        let hint = match scene.plan.speak {
            Speak::Ws if to.starts_with("https:") || to.starts_with("wss:") => "; try wss://",
            _ => "",
        };
        format!(
            "redirects the WebSocket with {} to {to}, which WebSocket clients do not follow{hint}",
            http.status.unwrap_or_default()
        )
    } else {
        let why = http.failure.as_ref().map_or_else(String::new, |failure| format!(": {failure}"));
        format!("redirects with {} to {to}{why}", http.status.unwrap_or_default())
    };
    Told::sure("http.redirected", fact, summary)
}

fn headers_lost(http: &Http, status: u16) -> Told {
    let fact = format!("answers {} to an upgrade with all its headers", status_line(http));
    let versions = http.header("sec-websocket-version");
    if let Some(versions) = versions
        && !versions.split(',').any(|version| version.trim() == "13")
    {
        let summary =
            format!("answers {}: it speaks WebSocket version {versions}, not 13 (RFC 6455)", status_line(http));
        return Told::sure("http.websocket_version_refused", fact, summary);
    }
    let by = if http.proxies.is_empty() { String::new() } else { format!(", by way of {}", http.proxies.join(", ")) };
    let summary = format!(
        "answers {} although the upgrade was asked for: its Upgrade and Connection headers do not arrive{by}",
        status_line(http)
    );
    let told = Told::sure("http.upgrade_headers_lost", fact, summary);
    if status == 426 {
        return told;
    }
    told.unless(
        "the server refuses the request for a reason of its own",
        "the body of the answer, and a request without proxies",
    )
}

fn broken(upgrade: &Upgrade, failure: &Failure) -> Option<Told> {
    let fact = format!("answers 101, and {failure}");
    let has = |wanted: &[UpgradeProblem]| upgrade.problems.iter().any(|problem| wanted.contains(problem));
    if has(&[UpgradeProblem::AcceptMissing, UpgradeProblem::AcceptWrong]) {
        let summary = format!("upgrades with a key that is not the answer to ours: {failure}");
        return Some(Told::sure("http.bad_accept_key", fact, summary));
    }
    if has(&[UpgradeProblem::SubprotocolMissing, UpgradeProblem::SubprotocolNotOffered]) {
        return Some(Told::sure("http.subprotocol_not_agreed", fact, format!("agrees on no subprotocol: {failure}")));
    }
    if has(&[UpgradeProblem::UpgradeHeader, UpgradeProblem::ConnectionHeader]) {
        let summary = format!("upgrades without saying so in its headers: {failure}");
        let told = Told::sure("http.upgrade_headers_lost", fact, summary);
        return Some(told.unless("the server itself leaves them out", "the same upgrade without proxies"));
    }
    None
}

fn no_answer(failure: &Failure, scene: &Scene<'_>) -> Option<Told> {
    match failure.how {
        How::TooSlow => Some(Told::sure(
            "http.response_too_slow",
            format!("sent {} bytes and no whole answer", failure.received),
            format!("answers too slowly: {failure}"),
        )),
        How::TimedOut => {
            let fact = format!("took the request and {failure}");
            let summary = format!("accepts connections and does not answer the upgrade: {failure}");
            let told = Told::sure("http.no_reply_to_upgrade", fact, summary);
            let stopped = "the process is stopped or blocked, and the kernel alone accepts";
            Some(match scene.identified {
                Some((line, it)) if matches!(it.speaks, Speaks::Http | Speaks::WebSocket) => {
                    told.not(stopped, "it answers other requests").also(line, "it answers another HTTP request")
                }
                Some((line, _)) => told
                    .unless(stopped, "the state of the process")
                    .also(line, "nor does it answer in any other protocol"),
                None => told.unless(stopped, "the state of the process"),
            })
        }
        _ => None,
    }
}
