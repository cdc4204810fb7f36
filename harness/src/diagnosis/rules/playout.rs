//! A speaker that ran dry: the data came late, or the device asked late.

use super::{Rule, failed, finding, link, refuted};
use crate::diagnosis::checks::playback::{Dry, dry};
use crate::diagnosis::view::View;
use crate::evidence::{Check, Confidence, Finding};

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

fn late_callback(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
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
    let hypotheses = vec![refuted(
        "the data came late",
        format!("the samples missing by cause: {} by late callbacks, {} by late data", dry.by_callback, dry.by_data)
            .as_str(),
        vec![stats],
    )];
    let summary = format!(
        "{name}'s speaker ran dry because its own callbacks came late ({} of {}), {:.0} ms in all: the client's process or its \
         machine did not run in time; the data was there",
        dry.late_callbacks,
        dry.callbacks,
        dry.missing() as f64 / 48.0
    );
    let mut finding = finding("media.underrun_late_callback", summary, chain, hypotheses)?;
    finding.confidence = if dry.by_data == 0 { Confidence::High } else { Confidence::Medium };
    Some((finding, explained(&found)))
}

fn late_data(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let found = runs_dry(view, checks, false);
    let (name, dry, _) = found.first()?;
    let mut chain = Vec::new();
    for (_, _, check) in &found {
        chain.push(link(check.message.clone(), &check.evidence)?);
    }
    let stats = view.cite(dry.line);
    let hypotheses = vec![refuted(
        "the device asked late",
        format!("its callbacks: {} of {} came late", dry.late_callbacks, dry.callbacks).as_str(),
        vec![stats],
    )];
    let summary = format!(
        "{name}'s speaker ran dry because the data came late: {:.0} ms of sound were not there when they were due, while its \
         callbacks came in time ({} of {} late)",
        dry.missing() as f64 / 48.0,
        dry.late_callbacks,
        dry.callbacks
    );
    let mut finding = finding("media.underrun_late_data", summary, chain, hypotheses)?;
    finding.confidence = if dry.by_callback == 0 { Confidence::High } else { Confidence::Medium };
    Some((finding, explained(&found)))
}
