//! Evidence in, conclusions out. PURE: the same evidence gives the same report, today or next year.
//!
//! * [`checks`]: a const table of checks, one file a layer;
//! * [`rules`]: a const table of rules, each names one cause from checks and evidence;
//! * [`questions`]: what it wants the harness to find out while the scene is untouched;
//! * `listeners`: what is known of each listener that is missing; `guesses`: what a person would think of first;
//! * `load`: whether waits for a processor explain what was late or lost;
//! * [`view`]: typed look-ups in the evidence, and citations;
//! * [`summary`]: verdict, expectation, gaps, recommendations; `impact`: what it means for people; `figures`;
//! * [`probed`]: figures, thresholds and words of probes;
//! * [`outcome`]: exit code and aggregation of several reports.

#![expect(clippy::wildcard_enum_match_arm, reason = "a look-up wants one kind; later kinds are none of its business")]

pub mod checks;
mod figures;
mod guesses;
mod impact;
mod listeners;
mod load;
pub mod outcome;
pub mod probed;
pub mod questions;
pub mod rules;
pub mod summary;
pub mod view;

use crate::evidence::{Evidence, Ledger, Report, SCHEMA_VERSION, TimelineEntry};
use view::View;

/// Concludes. `timeline` is told by [`crate::timeline`], whom this module does not know.
pub fn diagnose(evidence: &Evidence, timeline: Vec<TimelineEntry>) -> Report {
    diagnose_only(evidence, timeline, |_| true)
}

/// As [`diagnose`], with the checks whose ids are wanted.
pub fn diagnose_only(evidence: &Evidence, timeline: Vec<TimelineEntry>, wanted: impl Fn(&str) -> bool) -> Report {
    let mut view = View { evidence, ledger: Ledger::new(evidence) };
    let tables = if evidence.plan.probe.is_some() { checks::probe::CHECKS } else { &[checks::CHECKS] };
    let chosen = tables.iter().copied().flatten().filter(|check| wanted(check.id));
    let mut checks: Vec<_> = chosen.flat_map(|check| (check.run)(&mut view)).collect();
    if view.no_browser().is_some() {
        checks.retain(|check| check.id == "harness.browser");
    }
    checks::allow_for_a_cut(&view, &mut checks);
    checks::allow_for_the_dead(&mut view, &mut checks);
    let findings = rules::find(&mut view, &mut checks);
    let considered = guesses::considered(&mut view, &checks, &findings);
    let follow_ups = summary::follow_ups(&mut view);
    let not_checked = summary::not_checked(&view, &checks);
    let verdict = summary::verdict(evidence, &checks, &findings);
    let expectation = summary::expectation(evidence, &verdict, &checks, &findings);
    Report {
        schema_version: SCHEMA_VERSION.to_owned(),
        run: evidence.run.clone(),
        title: evidence.plan.title.clone(),
        verdict,
        expectation,
        impact: impact::impact(evidence, &checks),
        flow: impact::flow(evidence, &checks),
        pictures: figures::pictures(evidence),
        metrics: figures::metrics(evidence),
        recommendations: summary::recommendations(&checks, &findings),
        not_checked,
        checks,
        findings,
        considered,
        follow_ups,
        evidence: view.ledger.into_items(),
        timeline,
        environment: evidence.environment.clone(),
        reproduce: summary::reproduce(evidence),
    }
}
