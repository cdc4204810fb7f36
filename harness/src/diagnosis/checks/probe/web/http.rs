//! Answers of HTTP, and whose pages may open a WebSocket.

use super::{by_address, milliseconds, particulars, status_line, words};
use crate::diagnosis::view::{Draft, View, draft};
use crate::evidence::probed::{Excerpt, How, Http, OriginTried, Saw};
use crate::evidence::{Check, EvidenceId, Layer, ProbePlan, Side, Speak, Status};

/// One outcome an address: the last answer decides, the redirects before it are told.
pub(super) fn answers(view: &mut View<'_>) -> Vec<Check> {
    let speak = view.evidence.plan.probe.as_ref().map_or(Speak::Any, |plan| plan.speak);
    let seen = by_address(view, |saw| match saw {
        Saw::Http(http) => Some(http),
        _ => None,
    });
    let judge = |(address, hops): (_, Vec<(EvidenceId, &Http)>)| {
        let check = draft(format!("http.answer/{address}"), Layer::Http, Side::Server, format!("http {address}"));
        let (ids, hops): (Vec<_>, Vec<_>) = hops.into_iter().unzip();
        answered(check, &hops, speak, ids)
    };
    seen.into_iter().map(judge).collect()
}

fn answered(check: Draft, hops: &[&Http], speak: Speak, ids: Vec<EvidenceId>) -> Check {
    let Some((last, before)) = hops.split_last() else { return check.skip("no request was made") };
    let mut told: Vec<String> = before.iter().map(|hop| format!("{}, then", onward(hop))).collect();
    if let Some(failure) = &last.failure {
        let begins = words(&failure.begins, 60);
        let answer = if last.status.is_some() { format!("{}: ", onward(last)) } else { String::new() };
        told.push(format!("{answer}{failure}"));
        if !begins.is_empty() && last.status.is_none() {
            told.push(format!("(it begins: {begins})"));
        }
        let message = told.join(" ");
        return match failure.how {
            How::Own => check.unknown(message, ids),
            _ => check.fail(message, ids, "see what answers at that port, and whether it is well"),
        };
    }
    let first_byte = last.first_byte_us.map(|us| format!(" in {}", milliseconds(us))).unwrap_or_default();
    let more = particulars(last);
    let more = if more.is_empty() { more } else { format!("; {more}") };
    told.push(format!("{}{first_byte}{more}", status_line(last)));
    let message = told.join(" ");
    match (last.status.unwrap_or_default(), speak) {
        (400.., Speak::Http | Speak::Https) => {
            check.fail(message, ids, "compare host, port and path with what the server serves")
        }
        (500.., _) => check.warn(message, ids, "read the server's log"),
        _ => check.pass(message, ids),
    }
}

/// `301 Moved Permanently to http://there/`.
fn onward(http: &Http) -> String {
    let to = http.location.as_ref().map(|to| format!(" to {}", words(&Excerpt::text(to), 120)));
    format!("{}{}", status_line(http), to.unwrap_or_default())
}

/// Whose page would send an `Origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::diagnosis) enum Sender {
    /// None: a program.
    Program,
    /// A page of the server itself.
    Own,
    /// The one that the user named.
    Asked,
    /// A page of somebody else.
    Stranger,
}

/// Whose `Origin` it is.
pub(in crate::diagnosis) fn sender(origin: Option<&str>, plan: &ProbePlan) -> Sender {
    let Some(origin) = origin else { return Sender::Program };
    if plan.origin.as_deref() == Some(origin) {
        return Sender::Asked;
    }
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    let host = if plan.host.contains(':') {
        format!("[{}]", plan.host.split('%').next().unwrap_or_default())
    } else {
        plan.host.clone()
    };
    if authority == host || authority == format!("{host}:{}", plan.port) { Sender::Own } else { Sender::Stranger }
}

/// One outcome an address, over all that was tried there.
pub(super) fn origins(view: &mut View<'_>) -> Vec<Check> {
    let Some(plan) = &view.evidence.plan.probe else { return Vec::new() };
    let mut first = by_address(view, |saw| match saw {
        Saw::Upgrade(upgrade) if upgrade.is_first() => Some(upgrade),
        _ => None,
    });
    let seen = by_address(view, |saw| match saw {
        Saw::Origin(tried) => Some(tried),
        _ => None,
    });
    let mut checks = Vec::new();
    for (address, tried) in seen {
        let check = draft(format!("http.origin/{address}"), Layer::Http, Side::Server, format!("origin {address}"));
        let (mut ids, tried): (Vec<_>, Vec<_>) = tried.into_iter().unzip();
        let mut tried: Vec<OriginTried> = tried.into_iter().cloned().collect();
        let asked = first.remove(&address).and_then(|steps| steps.into_iter().next());
        if let Some((id, upgrade)) = asked
            && tried.iter().all(|one| one.origin != plan.origin)
        {
            let status = upgrade.answer.status;
            let failure = upgrade.failure.clone().filter(|_| status.is_none());
            tried.insert(0, OriginTried { origin: plan.origin.clone(), status, failure });
            ids.insert(0, id);
        }
        checks.push(admitted(check, &tried, plan, ids));
    }
    checks
}

fn admitted(check: Draft, tried: &[OriginTried], plan: &ProbePlan, ids: Vec<EvidenceId>) -> Check {
    let told: Vec<_> = tried.iter().map(outcome).collect();
    let message = told.join("; ");
    let accepted = |who| tried.iter().any(|one| sender(one.origin.as_deref(), plan) == who && one.status == Some(101));
    let refused = |who| {
        tried
            .iter()
            .any(|one| sender(one.origin.as_deref(), plan) == who && one.status.is_some_and(|status| status != 101))
    };
    let any = tried.iter().any(|one| one.status == Some(101));
    if tried.iter().all(|one| one.status.is_none()) {
        check.unknown(message, ids)
    } else if !any {
        check.with(Status::Skip, format!("no Origin gets in: {message}"), ids)
    } else if refused(Sender::Own) {
        let remedy = "let the server accept the origin of its own pages (for Sidetone: --allow-origin)";
        check.fail(format!("its own pages are refused: {message}"), ids, remedy)
    } else if accepted(Sender::Stranger) {
        let remedy = "let the server refuse an Origin that is not its own, unless it is meant for everybody's pages";
        check.warn(format!("any web page may connect, with its visitor's browser: {message}"), ids, remedy)
    } else {
        check.pass(message, ids)
    }
}

fn outcome(tried: &OriginTried) -> String {
    let who = match &tried.origin {
        Some(origin) => words(&Excerpt::text(origin), 80),
        None => "without Origin".to_owned(),
    };
    match (tried.status, &tried.failure) {
        (Some(status), _) => format!("{who}: {status}"),
        (None, Some(failure)) => format!("{who}: {failure}"),
        (None, None) => format!("{who}: no answer"),
    }
}
