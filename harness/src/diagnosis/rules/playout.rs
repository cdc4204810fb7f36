//! A speaker that ran dry: the data came late, or the device asked late.

use super::{Found, Rule, failed, finding, hypothesis, link, refuted};
use crate::diagnosis::checks::playback::{Dry, dry};
use crate::diagnosis::load;
use crate::diagnosis::view::View;
use crate::evidence::{Check, Confidence, Fix, FixKind, HypothesisState, Status};

/// In this order.
pub(super) const RULES: &[Rule] = &[late_callback, late_data];

/// The listeners whose speaker ran dry, mostly for the wanted reason.
fn runs_dry(view: &View<'_>, checks: &[Check], by_callback: bool) -> Vec<(String, Dry, Check)> {
    let failed = failed(checks, "media.underrun/");
    let clients = view.evidence.plan.clients.iter();
    let found = clients.filter_map(|client| {
        let check = failed.iter().find(|c| c.id == format!("media.underrun/{}", client.name))?;
        let dry = dry(view, &client.name)?;
        (dry.missing() > 0 && dry.mostly_by_callback() == by_callback)
            .then(|| (client.name.clone(), dry, (*check).clone()))
    });
    found.collect()
}

/// Checks about the same ears.
fn explained(names: &[(String, Dry, Check)]) -> Vec<String> {
    let of = |name: &String| {
        ["underrun", "concealment", "callbacks", "hears", "speech"].map(|what| format!("media.{what}/{name}"))
    };
    names.iter().flat_map(|(name, ..)| of(name)).collect()
}

fn late_callback(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let found = runs_dry(view, checks, true);
    let (name, dry, _) = found.first()?;
    let mut chain = Vec::new();
    for (_, _, check) in &found {
        chain.push(link(check.message.clone(), &check.evidence)?);
    }
    let stats = view.cite(dry.line);
    let late = format!(
        "{} of {name}'s {} callbacks came more than 1.5 periods after the one before",
        dry.late_callbacks, dry.callbacks
    );
    chain.push(link(late, std::slice::from_ref(&stats))?);
    let missing_ms = dry.missing() / 48;
    let mut hypotheses = vec![refuted(
        "the data came late",
        &format!("missing by late callbacks {} samples, by late data {}", dry.by_callback, dry.by_data),
        vec![stats],
    )];
    let waited = view.pressure().and_then(|(line, pressure)| Some((line, *pressure.run_delay_us.get(name)? / 1_000)));
    let stopped = load::stopped(view, name);
    let idle = stopped.is_some() || waited.is_some_and(|(_, waited_ms)| waited_ms * 2 < missing_ms);
    if let Some((line, told)) = &stopped {
        let by = format!("{name} was {told}, and who is stopped waits for no processor");
        hypotheses.push(refuted("there was too little processor time", &by, vec![view.cite(*line)]));
    } else if let Some((line, waited_ms)) = waited {
        let decided = if idle { HypothesisState::Refuted } else { HypothesisState::Confirmed };
        let by = format!("{name} waited {waited_ms} ms for a processor, and {missing_ms} ms are missing");
        hypotheses.push(hypothesis(decided, "there was too little processor time", by, vec![view.cite(line)]));
    }
    let why = match waited {
        _ if let Some((_, told)) = &stopped => format!("{name} was {told}"),
        Some((_, waited_ms)) if idle => {
            format!("something kept it from running, and it was not the processor ({waited_ms} ms of waiting for one)")
        }
        Some((_, waited_ms)) => format!("it waited {waited_ms} ms for a processor"),
        None => "what kept it from running is not known".to_owned(),
    };
    let summary = format!(
        "{name}'s speaker ran dry for {missing_ms} ms because {name} did not ask for sound in time ({} late callbacks); its data \
         was there, and {why}",
        dry.late_callbacks
    );
    let mut finding = finding("media.underrun_late_callback", summary, chain, hypotheses)?;
    finding.confidence = if dry.by_data == 0 { Confidence::High } else { Confidence::Medium };
    if idle {
        let text = format!(
            "look for what stops {name}: SIGSTOP or a debugger (State in /proc/PID/status), a frozen cgroup, a full pipe"
        );
        let of_processors = ["processor", "competes", "real-time"];
        finding.fixes.retain(|fix| of_processors.iter().all(|word| !fix.text.contains(word)));
        finding.fixes.insert(0, Fix { kind: FixKind::Safe, text });
    }
    Some((finding, explained(&found)))
}

fn late_data(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let found = runs_dry(view, checks, false);
    let (name, dry, _) = found.first()?;
    let mut chain = Vec::new();
    for (_, _, check) in &found {
        chain.push(link(check.message.clone(), &check.evidence)?);
    }
    let stats = view.cite(dry.line);
    let mut hypotheses = vec![refuted(
        "the device asked late",
        &format!("{} of its {} callbacks came late", dry.late_callbacks, dry.callbacks),
        vec![stats],
    )];
    let mixer = checks.iter().find(|c| c.id == "media.mixer" && c.status == Status::Pass);
    if let Some(mixer) = mixer {
        hypotheses.push(refuted("the server mixed late", &mixer.message, mixer.evidence.clone()));
    }
    let way = if mixer.is_some() { "; the server mixed in time, so it is the way to it" } else { "" };
    let summary = format!("{name}'s speaker ran dry for {} ms because its data came late{way}", dry.missing() / 48);
    let mut finding = finding("media.underrun_late_data", summary, chain, hypotheses)?;
    finding.confidence = if dry.by_callback == 0 { Confidence::High } else { Confidence::Medium };
    Some((finding, explained(&found)))
}
