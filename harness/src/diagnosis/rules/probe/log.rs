//! What the server's own log explains.

use crate::diagnosis::rules::{Found, Rule, bind, failed, unwell};
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::Check;
use sidetone::event::Event;

/// In this order.
pub(super) const RULES: &[Rule] = &[bind_failed];

/// Nobody answers at a port that the server could not bind, by its own log.
fn bind_failed(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let port = view.evidence.plan.probe.as_ref()?.port;
    failed(checks, "tcp.connect").first()?;
    let told = view.events(SERVER, |e| match e {
        Event::ListenerBindFailed { address, .. } => (address.port() == port).then_some(()),
        _ => None,
    });
    told.first()?;
    let found = bind::find(view, checks);
    let mark = format!(":{port}");
    let (finding, _) = found.into_iter().find(|(finding, _)| finding.summary.contains(&mark))?;
    let follows = unwell(checks).map(|check| check.id.clone());
    let left_out = checks.iter().filter(|check| check.id.starts_with("probe.left_out")).map(|check| check.id.clone());
    Some((finding, follows.chain(left_out).collect()))
}
