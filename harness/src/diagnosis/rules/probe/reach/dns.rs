//! Names.

use crate::diagnosis::checks::probe::reach::SLOW_LOOKUP_US;
use crate::diagnosis::rules::{Found, finding, hypothesis, link, unwell};
use crate::diagnosis::view::View;
use crate::evidence::probed::{NameSource, Resolved, Saw, Step};
use crate::evidence::{Check, Confidence, HypothesisState};

const CHECK: &str = "dns.resolve";

fn resolved<'a>(view: &View<'a>, checks: &[Check]) -> Option<(usize, &'a Step, &'a Resolved)> {
    unwell(checks).find(|check| check.id == CHECK)?;
    let all = view.steps(|step, saw| match saw {
        Saw::Resolve(it) => Some((step, it)),
        _ => None,
    });
    all.into_iter().next().map(|(line, (step, it))| (line, step, it))
}

/// No address: the name, the family, or the resolver.
pub(super) fn unresolved(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, step, it) = resolved(view, checks)?;
    let failure = it.failure.as_ref()?;
    let errors: Vec<_> = it.answers.iter().filter_map(|answer| answer.error.as_ref()).collect();
    let id = view.cite(line);
    let is = |names: &[&str]| errors.iter().any(|error| names.contains(&error.name.as_str()));
    let other = it.answers.iter().find(|answer| !answer.addresses.is_empty());
    let host = &it.host;
    let mut confidence = Confidence::High;
    let mut hypotheses = Vec::new();
    let (code, summary) = if let Some(other) = other {
        let addresses: Vec<_> = other.addresses.iter().take(3).map(ToString::to_string).collect();
        let wanted = view.evidence.plan.probe.as_ref().and_then(|plan| plan.only);
        let wanted = wanted.map_or_else(|| "usable".to_owned(), |family| family.to_string());
        ("dns.no_address_of_family", format!("{host} has no {wanted} address, only {}", addresses.join(", ")))
    } else if errors.iter().any(|error| error.number == 0) || is(&["EAI_AGAIN", "EAI_FAIL"]) {
        let servers = it.name_servers.as_deref();
        match servers {
            Some([]) => {
                ("dns.resolver_not_configured", format!("{host} cannot be resolved: /etc/resolv.conf names no server"))
            }
            None if it.source == NameSource::Resolver => {
                confidence = Confidence::Medium;
                let summary =
                    format!("{host} cannot be resolved: /etc/resolv.conf cannot be read, so there is no resolver");
                ("dns.resolver_not_configured", summary)
            }
            servers => {
                let servers = servers.unwrap_or_default().join(", ");
                let statement = "the resolver works, and only the servers of that zone do not";
                hypotheses.push(hypothesis(HypothesisState::Open, statement, "another name", vec![id.clone()]));
                ("dns.resolver_unavailable", format!("the resolver ({servers}) does not answer for {host}: {failure}"))
            }
        }
    } else if is(&["EAI_NONAME"]) {
        ("dns.name_not_found", format!("there is no such name: {host}"))
    } else if is(&["EAI_NODATA", "EAI_ADDRFAMILY"]) {
        ("dns.no_address_of_family", format!("{host} exists, and has no address"))
    } else {
        return None;
    };
    let took = step.took_us / 1_000;
    let mut chain =
        vec![link(format!("getaddrinfo for {host}: {failure}, after {took} ms"), std::slice::from_ref(&id))?];
    if let Some(servers) = it.name_servers.as_ref().filter(|servers| !servers.is_empty()) {
        chain.push(link(format!("name servers of this machine: {}", servers.join(", ")), &[id])?);
    }
    let mut finding = finding(code, summary, chain, hypotheses)?;
    finding.confidence = confidence;
    Some((finding, vec![CHECK.to_owned()]))
}

/// Addresses, but late.
pub(super) fn slow(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (line, step, it) = resolved(view, checks)?;
    let late = it.answers.iter().find(|answer| answer.error.as_ref().is_some_and(|error| error.number == 0));
    if it.failure.is_some() || late.is_none() && step.took_us <= SLOW_LOOKUP_US {
        return None;
    }
    let id = view.cite(line);
    let mut chain = Vec::new();
    for answer in &it.answers {
        let outcome = match &answer.error {
            Some(error) => error.to_string(),
            None => format!("{} addresses", answer.addresses.len()),
        };
        let text = format!("{}: {outcome} after {} ms", answer.family, answer.took_us / 1_000);
        chain.push(link(text, std::slice::from_ref(&id))?);
    }
    let connected = view.steps(|step, saw| match saw {
        Saw::Connect(it) if it.failure.is_none() => Some((step.address?, step.took_us)),
        _ => None,
    });
    if let Some((line, (address, took_us))) = connected.into_iter().next() {
        chain.push(link(format!("{address} then connects in {} ms", took_us / 1_000), &[view.cite(line)])?);
    }
    let what = late.map_or_else(String::new, |answer| format!(", and {} was not answered at all", answer.family));
    let summary = format!("the resolver took {} ms for {}{what}", step.took_us / 1_000, it.host);
    let statement = "it was the first lookup after a long time, and the next one is fast";
    let hypotheses = vec![hypothesis(HypothesisState::Open, statement, "a second lookup", vec![id])];
    Some((finding("dns.resolver_slow", summary, chain, hypotheses)?, vec![CHECK.to_owned()]))
}
