//! What mDNS advertises.

use crate::diagnosis::rules::{Found, failed, finding, hypothesis, link};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::View;
use crate::evidence::probed::{How, Saw};
use crate::evidence::{Check, Confidence, HypothesisState};

/// An announcement names an address at which nothing answers.
pub(super) fn unanswered(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let check = failed(checks, "discovery.answers").first().copied()?.clone();
    let seen = view.steps(|_, saw| match saw {
        Saw::Advertised(advertised) => Some(advertised),
        _ => None,
    });
    let (line, advertised) = seen.into_iter().next()?;
    let ours = |how: How| matches!(how, How::Own | How::Unreachable);
    let dead: Vec<_> = advertised
        .found
        .iter()
        .filter_map(|one| Some((one, one.failure.as_ref().filter(|failure| !ours(failure.how))?)))
        .collect();
    let (first, _) = dead.first()?;
    let told: Vec<_> = dead.iter().map(|(one, failure)| format!("{} ({failure})", one.address)).collect();
    let id = view.cite(line);
    let on = advertised.interfaces.join(" ");
    let name = first.instance.first_line(63);
    let chain = vec![
        link(format!("{name:?} advertises itself by mDNS on {on}"), std::slice::from_ref(&id))?,
        link(format!("nothing answers at {}", and(&told)), std::slice::from_ref(&id))?,
    ];
    let refused = dead.iter().all(|(_, failure)| failure.how == How::Refused);
    let filtered = hypothesis(
        if refused { HypothesisState::Refuted } else { HypothesisState::Open },
        "a filter drops what is sent there",
        if refused { "the connections are refused at once" } else { "a connection from the server's own machine" },
        vec![id],
    );
    let summary = format!("mDNS advertises {name:?} at {}, where nothing answers", and(&told));
    let mut finding = finding("log.contradicts_observation", summary, chain, vec![filtered])?;
    finding.confidence = if refused { Confidence::High } else { Confidence::Medium };
    finding.fixes.retain(|fix| !fix.text.starts_with("for mDNS"));
    Some((finding, vec![check.id]))
}
