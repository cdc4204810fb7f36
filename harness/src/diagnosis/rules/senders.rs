//! Participants that should be heard and send nothing, or nothing but silence.

use super::{Found, Rule, failed, finding, hypothesis, link, refuted, without};
use crate::diagnosis::checks::media::{Sending, at_server, sending};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::View;
use crate::evidence::{Check, ClientPlan, EvidenceId, HypothesisState, Link, Observation};

/// In this order.
pub(super) const RULES: &[Rule] = &[nothing_sent, silent_microphone];

/// Those who are to be heard and of whom `check` is true, with what they sent.
fn senders(view: &View<'_>, checks: &[Check], is_so: impl Fn(&Sending) -> bool) -> Vec<(String, Sending, Check)> {
    let failed = failed(checks, "media.sends/");
    let clients = view.evidence.plan.clients.iter();
    let found = clients.filter_map(|client| {
        let check = failed.iter().find(|c| c.id == format!("media.sends/{}", client.name))?;
        let sent = sending(view, client).filter(&is_so)?;
        Some((client.name.clone(), sent, (*check).clone()))
    });
    found.collect()
}

/// Who hears nothing because of it: those who were to hear them and nobody else.
fn listeners(view: &View<'_>, mute: &[String]) -> Vec<String> {
    let clients = view.evidence.plan.clients.iter();
    let only = |c: &&ClientPlan| !c.hears.is_empty() && c.hears.iter().all(|h| mute.contains(h));
    clients.filter(only).map(|c| c.name.clone()).collect()
}

/// Adds what a sender says of itself, and what the server counted of it; gives where the latter is written.
fn both_sides(view: &mut View<'_>, name: &str, check: &Check, chain: &mut Vec<Link>) -> Option<EvidenceId> {
    chain.extend(link(check.message.clone(), &check.evidence));
    let (log, line, count) = at_server(view, name)?;
    let id = view.cite_log(log, line);
    chain.extend(link(format!("the server counted {count} packets from {name}"), std::slice::from_ref(&id)));
    Some(id)
}

fn nothing_sent(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let found = senders(view, checks, |sent| sent.packets == 0);
    let names: Vec<_> = found.iter().map(|(name, ..)| name.clone()).collect();
    let mut chain = Vec::new();
    let mut hypotheses = Vec::new();
    for (name, _, check) in &found {
        if let Some(id) = both_sides(view, name, check, &mut chain) {
            let lost = "the packets were lost on the way";
            hypotheses.push(refuted(lost, "the sender's own count, and the server's", vec![id]));
        }
        let muted = "the microphone delivers silence";
        hypotheses.push(refuted(
            muted,
            "silence sends a keep-alive every 400 ms, and there was none",
            check.evidence.clone(),
        ));
        let who = &view.evidence.plan.clients.iter().find(|c| c.name == *name)?.mic;
        if who == "none" {
            hypotheses.push(hypothesis(
                HypothesisState::Confirmed,
                "it has no microphone",
                "its command line: --mic none",
                view_of_start(view, name).into_iter().collect(),
            ));
        }
    }
    found.first()?;
    let listeners = listeners(view, &names);
    let without =
        names.iter().all(|name| view.evidence.plan.clients.iter().any(|c| c.name == *name && c.mic == "none"));
    let why = if without { " (it was started with --mic none)" } else { "" };
    let verb = if names.len() == 1 { "sends" } else { "send" };
    let who = and(&names);
    let summary = format!("{who} {verb} no sound at all{why}, so {}", who_hears(&listeners));
    let explained = explained(view, checks, &names, &listeners);
    Some((finding("media.nothing_sent", summary, chain, hypotheses)?, explained))
}

fn silent_microphone(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let found = senders(view, checks, |sent| sent.packets > 0 && sent.only_silence());
    let names: Vec<_> = found.iter().map(|(name, ..)| name.clone()).collect();
    let mut chain = Vec::new();
    let mut hypotheses = Vec::new();
    for (name, sent, check) in &found {
        if let Some(id) = both_sides(view, name, check, &mut chain) {
            hypotheses.push(refuted("nothing is sent", "the server's own count", vec![id]));
        }
        let (mixer, by) = ("the server loses the sound", "the microphone's own energy, before anything was sent");
        let state = if sent.is_measured() { HypothesisState::Refuted } else { HypothesisState::Open };
        hypotheses.push(hypothesis(state, mixer, by, check.evidence.clone()));
    }
    found.first()?;
    let listeners = listeners(view, &names);
    let who = and(&names);
    let summary = format!("the microphone of {who} delivers nothing but silence, so {}", who_hears(&listeners));
    let explained = explained(view, checks, &names, &listeners);
    let mut finding = finding("media.silence", summary, chain, hypotheses)?;
    // the other half of this cause, a mixer that loses sound, is ruled out
    finding.fixes.retain(|fix| !fix.text.starts_with("compare what came in"));
    for fix in &mut finding.fixes {
        fix.text = fix.text.replace("if what came in is silent already, ", "");
    }
    Some((finding, explained))
}

fn who_hears(listeners: &[String]) -> String {
    let names: Vec<_> = listeners.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => "whoever was to hear it does not".to_owned(),
        [one] => format!("{one} hears nothing"),
        many => format!("{} hear nothing", and(many)),
    }
}

fn explained(view: &View<'_>, checks: &[Check], mute: &[String], listeners: &[String]) -> Vec<String> {
    let mut explained: Vec<_> = mute.iter().map(|name| format!("media.sends/{name}")).collect();
    let of_listeners = without(view, mute, checks);
    let ear =
        |id: &String| listeners.iter().any(|l| id.ends_with(&format!("/{l}"))) && !id.starts_with("media.callbacks");
    explained.extend(of_listeners.into_iter().filter(ear));
    explained
}

fn view_of_start(view: &mut View<'_>, name: &str) -> Option<EvidenceId> {
    let (line, ()) =
        view.first(|o| matches!(o, Observation::ProcessStarted { process, .. } if process == name).then_some(()))?;
    Some(view.cite(line))
}
