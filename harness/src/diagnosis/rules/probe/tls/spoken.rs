//! TLS spoken to who does not speak it, and the reverse.

use super::{explained, failing, told};
use crate::diagnosis::rules::{Found, finding, link, refuted};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Excerpt, Failure, How, Http, Identified, Saw, Speaks};
use crate::evidence::{Check, ProbePlan, Speak, Status};
use std::net::SocketAddr;

/// What nginx, Apache and Go say in a 400 to plain HTTP at their port for HTTPS, in lower case.
const PLAIN_TO_HTTPS: &[&str] = &[
    "plain http request was sent to https port",
    "speaking plain http to an ssl-enabled server port",
    "client sent an http request to an https server",
];
/// Checks that fail if TLS is missing.
const ASKED_PLAINLY: &[&str] = &["http.answer/", "websocket.upgrade/", "session.hello/", "tcp.exchange/"];

/// The URL of the target in another scheme.
fn url(plan: &ProbePlan, speak: Speak) -> String {
    let rest = plan.target.split_once("://").map_or(plan.target.as_str(), |(_, rest)| rest);
    format!("{}://{rest}", speak.word())
}

/// `tls.plain_spoken_to_tls_port`.
pub(super) fn plain_to_tls(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let plan = view.evidence.plan.probe.as_ref()?;
    let secure = match plan.speak {
        Speak::Ws => Speak::Wss,
        Speak::Http => Speak::Https,
        Speak::Tcp => Speak::Tls,
        _ => return None,
    };
    let failed = |address: SocketAddr| {
        let of_it = |check: &&Check| ASKED_PLAINLY.iter().any(|kind| check.id == format!("{kind}{address}"));
        checks.iter().filter(|check| check.status == Status::Fail).any(|check| of_it(&check))
    };
    let signs = view.steps(|step, saw| Some((step.address.filter(|a| failed(*a))?, sign_of_tls(saw)?)));
    let mut addresses: Vec<SocketAddr> = signs.iter().map(|(_, (address, _))| *address).collect();
    addresses.dedup();
    addresses.sort_unstable();
    addresses.dedup();
    let mut chain = Vec::new();
    for (line, (address, sign)) in signs {
        chain.push(link(format!("{address} {sign}"), &[view.cite(line)])?);
    }
    let first = chain.first()?.evidence().to_vec();
    let verb = if addresses.len() == 1 { "speaks" } else { "speak" };
    let summary = format!("{} {verb} TLS: use {}", told(&addresses), url(plan, secure));
    let reverse = refuted("TLS was spoken to a plain port", "the target has no TLS in its scheme", first);
    let finding = finding("tls.plain_spoken_to_tls_port", summary, chain, vec![reverse])?;
    Some((finding, explained(checks, &addresses)))
}

fn sign_of_tls(saw: &Saw) -> Option<String> {
    match saw {
        Saw::Identify(identified) if identified.speaks == Speaks::Tls => {
            Some("answers a ClientHello with TLS".to_owned())
        }
        Saw::Http(http) => of_http(http),
        Saw::Upgrade(upgrade) => of_http(&upgrade.answer).or_else(|| of_failure(upgrade.failure.as_ref())),
        Saw::Hello(hello) => of_failure(hello.failure.as_ref()),
        Saw::Exchange(exchange) if is_record(&exchange.begins) => Some(AS_A_RECORD.to_owned()),
        Saw::Exchange(exchange) => of_failure(exchange.failure.as_ref()),
        _ => None,
    }
}

const AS_A_RECORD: &str = "answers what was said plainly with a TLS record";

fn of_failure(failure: Option<&Failure>) -> Option<String> {
    failure.filter(|failure| is_record(&failure.begins)).map(|_| AS_A_RECORD.to_owned())
}

fn of_http(http: &Http) -> Option<String> {
    let body = http.body.as_str().to_ascii_lowercase();
    if http.status == Some(400) && PLAIN_TO_HTTPS.iter().any(|words| body.contains(words)) {
        return Some("says with its 400 that a plain request came to a port for HTTPS".to_owned());
    }
    of_failure(http.failure.as_ref())
}

/// Whether an answer begins with an alert or a handshake message of TLS.
fn is_record(begins: &Excerpt) -> bool {
    begins.as_str().starts_with("\\x15\\x03") || begins.as_str().starts_with("\\x16\\x03")
}

/// `tls.tls_spoken_to_plain_port`.
pub(super) fn tls_to_plain(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let plan = view.evidence.plan.probe.as_ref().filter(|plan| plan.speak.secure())?;
    let identified = view.steps(|step, saw| match saw {
        Saw::Identify(identified) => Some((step.address?, identified)),
        _ => None,
    });
    let mut chain = Vec::new();
    let mut addresses = Vec::new();
    let mut spoken = None;
    for look in failing(view, checks, "tls.handshake") {
        let failure = look.tls.failure.as_ref().filter(|_| look.tls.alert.is_none());
        let Some(failure) = failure else { continue };
        let by_bytes = by_first_bytes(failure);
        let by_asking = identified.iter().find(|(_, (address, _))| *address == look.address);
        let by_asking = by_asking.and_then(|(line, (_, identified))| Some((*line, by_identity(identified)?)));
        let Some(found) = by_asking.as_ref().map(|(_, found)| found.clone()).or_else(|| by_bytes.clone()) else {
            continue;
        };
        if by_bytes.is_some() {
            let begins = failure.begins.first_line(60);
            let statement = format!("{} answers a ClientHello with {begins:?}", look.address);
            chain.push(link(statement, &[view.cite(look.line)])?);
        } else {
            chain.push(link(format!("{} shakes no hands: {failure}", look.address), &[view.cite(look.line)])?);
        }
        if let Some((line, (what, _))) = &by_asking {
            chain.push(link(format!("asked without TLS it speaks {what}"), &[view.cite(*line)])?);
        }
        addresses.push(look.address);
        spoken.get_or_insert(found);
    }
    let (what, speaks) = spoken?;
    let advice = match plain_scheme(plan.speak, speaks) {
        Some(speak) => format!("use {}", url(plan, speak)),
        None => "ask the port that speaks TLS".to_owned(),
    };
    let verb = if addresses.len() == 1 { "speaks" } else { "speak" };
    let summary = format!("{} {verb} {what} and no TLS: {advice}", told(&addresses));
    let cited = chain.first()?.evidence().to_vec();
    let older = refuted("it speaks a TLS that the probe does not", "its answer is no record of any TLS", cited);
    let hypotheses = if addresses.is_empty() { Vec::new() } else { vec![older] };
    let finding = finding("tls.tls_spoken_to_plain_port", summary, chain, hypotheses)?;
    Some((finding, explained(checks, &addresses)))
}

/// What speaks without TLS, in words and as data.
type Spoken = (String, Speaks);

fn by_first_bytes(failure: &Failure) -> Option<Spoken> {
    let begins = failure.begins.as_str();
    let record = ["\\x14", "\\x15", "\\x16", "\\x17"].iter().any(|kind| begins.starts_with(kind));
    if failure.how != How::Malformed || begins.is_empty() || record {
        return None;
    }
    Some(match begins {
        http if http.starts_with("HTTP/") => ("plain HTTP".to_owned(), Speaks::Http),
        _ => (format!("something that begins {:?}", failure.begins.first_line(40)), Speaks::Unknown),
    })
}

fn by_identity(identified: &Identified) -> Option<Spoken> {
    let what = match identified.speaks {
        Speaks::Sidetone => "Sidetone's protocol".to_owned(),
        Speaks::WebSocket => "plain HTTP with WebSocket".to_owned(),
        Speaks::Http => "plain HTTP".to_owned(),
        Speaks::Greeting => match identified.greeting.as_ref()? {
            greeting if greeting.protocol.is_some() => greeting.protocol.clone()?,
            greeting => format!("something that greets with {:?}", greeting.begins.first_line(40)),
        },
        Speaks::Tls | Speaks::Silent | Speaks::Closes | Speaks::Unknown => return None,
    };
    Some((what, identified.speaks))
}

/// The scheme without TLS in which one may try again.
fn plain_scheme(asked: Speak, speaks: Speaks) -> Option<Speak> {
    match (speaks, asked) {
        (Speaks::Http | Speaks::WebSocket, Speak::Wss) => Some(Speak::Ws),
        (Speaks::Http | Speaks::WebSocket, _) => Some(Speak::Http),
        (Speaks::Sidetone, _) | (_, Speak::Tls) => Some(Speak::Tcp),
        _ => None,
    }
}
