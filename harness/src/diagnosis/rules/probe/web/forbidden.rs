//! Who is not let in, and by what: the `Origin`, or credentials.

use super::refusals::{answered, between, program, with_status};
use super::{ABOVE_HTTP, Case, addresses, answers, evidence, explained};
use crate::diagnosis::checks::probe::web::{Sender, sender, status_line, words};
use crate::diagnosis::rules::{Found, failed, finding, hypothesis, link, refuted};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::View;
use crate::evidence::probed::{Excerpt, Http, OriginTried, Saw};
use crate::evidence::{Check, Confidence, EvidenceId, Hypothesis, HypothesisState, ProbePlan};
use std::net::SocketAddr;

/// What was tried with other origins at an address.
fn tried<'a>(view: &mut View<'a>, address: SocketAddr) -> Vec<(EvidenceId, &'a OriginTried)> {
    let steps = view.steps(|step, saw| match saw {
        Saw::Origin(tried) if step.address == Some(address) => Some(tried),
        _ => None,
    });
    steps.into_iter().map(|(line, tried)| (view.cite(line), tried)).collect()
}

fn shown(origin: Option<&str>) -> String {
    origin.map_or_else(
        || "without Origin".to_owned(),
        |origin| format!("with Origin {}", words(&Excerpt::text(origin), 80)),
    )
}

/// Whether the `Origin` decides, as far as other origins were tried.
fn by_origin(view: &mut View<'_>, case: &Case<'_, Http>, plan: &ProbePlan) -> Hypothesis {
    let statement = "refused because of the Origin";
    let others = tried(view, case.address);
    let other = |(_, one): &&(EvidenceId, &OriginTried)| one.origin != plan.origin && one.status.is_some();
    let accepted = others.iter().filter(other).find(|(_, one)| one.status == Some(101));
    if let Some((id, one)) = accepted {
        let by = format!("the same upgrade {} gets 101", shown(one.origin.as_deref()));
        return hypothesis(HypothesisState::Confirmed, statement, by, vec![case.evidence.clone(), id.clone()]);
    }
    if let Some((id, one)) = others.iter().find(other) {
        let by = format!("{} it is refused as well", shown(one.origin.as_deref()));
        return refuted(statement, &by, vec![case.evidence.clone(), id.clone()]);
    }
    let by = "the same upgrade with another Origin, or without one";
    hypothesis(HypothesisState::Open, statement, by, vec![case.evidence.clone()])
}

fn by_credentials(http: &Http, id: &EvidenceId) -> Hypothesis {
    let statement = "refused for want of credentials";
    match http.header("www-authenticate") {
        Some(wants) => {
            let by = format!("WWW-Authenticate: {}", words(&Excerpt::text(wants), 80));
            hypothesis(HypothesisState::Confirmed, statement, by, vec![id.clone()])
        }
        None if http.status == Some(401) => {
            hypothesis(HypothesisState::Confirmed, statement, "that is what 401 means", vec![id.clone()])
        }
        None => {
            hypothesis(HypothesisState::Open, statement, "the same request with credentials (-H)", vec![id.clone()])
        }
    }
}

pub(super) fn forbidden(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (cases, http) = with_status(answers(view, checks), |http| matches!(http.status, Some(401 | 403)))?;
    let plan = view.evidence.plan.probe.as_ref()?;
    let first = cases.first()?;
    let origin = by_origin(view, first, plan);
    let credentials = by_credentials(http, &first.evidence);
    let confirmed = |it: &Hypothesis| it.state == HypothesisState::Confirmed;
    let mut chain = vec![answered(&cases, http)?];
    for it in [&origin, &credentials].into_iter().filter(|it| confirmed(it)) {
        chain.push(link(it.decided_by.clone(), &it.evidence)?);
    }
    let because = if confirmed(&origin) {
        format!(
            " because of the Origin: {} it gets {}, but {}",
            shown(plan.origin.as_deref()),
            status_line(http),
            origin.decided_by
        )
    } else if confirmed(&credentials) {
        format!(" for want of credentials: {} ({})", status_line(http), credentials.decided_by)
    } else {
        format!(": {}", status_line(http))
    };
    let summary = format!("{}{} does not let this client in{because}", addresses(&cases), program(http));
    let sure = confirmed(&origin) || confirmed(&credentials);
    let mut hypotheses = vec![origin, credentials];
    if let Some(proxy) = between(http) {
        let statement = "a proxy on the way refuses it, and not the server";
        let by = format!("the same request on the server's own machine ({proxy})");
        hypotheses.push(hypothesis(HypothesisState::Open, statement, by, evidence(&cases)));
    }
    let mut finding = finding("http.forbidden", summary, chain, hypotheses)?;
    finding.confidence = if sure { Confidence::High } else { Confidence::Medium };
    Some((finding, explained(&cases, checks, ABOVE_HTTP)))
}

/// Programs get in, and the server's own pages do not.
pub(super) fn own_pages_refused(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let plan = view.evidence.plan.probe.as_ref()?;
    let failed: Vec<_> = failed(checks, "http.origin/").into_iter().map(|check| check.id.clone()).collect();
    let steps = view.steps(|step, saw| match saw {
        Saw::Origin(tried) => Some((step.address?, tried)),
        _ => None,
    });
    let mut found: Vec<(EvidenceId, SocketAddr, &OriginTried)> = Vec::new();
    for (line, (address, one)) in steps {
        let own = sender(one.origin.as_deref(), plan) == Sender::Own && matches!(one.status, Some(401 | 403));
        if own && failed.contains(&format!("http.origin/{address}")) {
            found.push((view.cite(line), address, one));
        }
    }
    let (_, address, first) = found.first()?;
    let status = first.status?;
    let mut chain = Vec::new();
    for (id, address, one) in &found {
        let statement = format!("{address} answers {status} {}", shown(one.origin.as_deref()));
        chain.push(link(statement, std::slice::from_ref(id))?);
    }
    let accepted = tried(view, *address).into_iter().find(|(_, one)| one.status == Some(101));
    if let Some((id, one)) = accepted {
        chain.push(link(format!("{} it answers 101", shown(one.origin.as_deref())), &[id])?);
    }
    let all: Vec<_> = found.iter().map(|(_, address, _)| address.to_string()).collect();
    let summary = format!(
        "{} refuses its own pages: {status} {}, while others get in",
        and(&all),
        shown(first.origin.as_deref())
    );
    Some((finding("http.forbidden", summary, chain, vec![])?, failed))
}
