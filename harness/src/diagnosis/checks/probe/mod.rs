//! Checks of a probe, by layer: [`reach`], [`tls`], [`web`], [`talk`], [`behind`], [`log`]. Each looks at the steps of its layer, one
//! outcome a step; what a probe did not come to is skipped here with its reason.

pub(in crate::diagnosis) mod behind;
mod log;
pub(in crate::diagnosis) mod reach;
pub(in crate::diagnosis) mod talk;
mod tls;
pub(in crate::diagnosis) mod web;

use super::CheckDef;
use crate::diagnosis::probed::bounds;
use crate::diagnosis::view::{View, draft};
use crate::evidence::probed::Saw;
use crate::evidence::{Check, Layer, Side, Speak};

/// All of them, from the name up.
pub(in crate::diagnosis) const CHECKS: &[&[CheckDef]] =
    &[reach::CHECKS, tls::CHECKS, web::CHECKS, talk::CHECKS, LEFT_OUT, behind::CHECKS, log::CHECKS, BOUNDS];

const LEFT_OUT: &[CheckDef] =
    &[CheckDef { id: "probe.left_out", about: "layers that the probe did not come to", run: left_out }];

const BOUNDS: &[CheckDef] =
    &[CheckDef { id: "threshold", about: "figures are within the user's bounds", run: bounds::checks }];

/// Whether a layer is due, its word, and which steps are of it.
type Due = (bool, &'static str, Layer, fn(&Saw) -> bool);

/// Layers that were due by the target's scheme, and that no step reached.
fn left_out(view: &mut View<'_>) -> Vec<Check> {
    let Some(plan) = &view.evidence.plan.probe else { return Vec::new() };
    let speak = plan.speak;
    let reached = |is: fn(&Saw) -> bool| !view.steps(|_, saw| is(saw).then_some(())).is_empty();
    let went =
        |is: fn(&Saw) -> bool| !view.steps(|_, saw| (is(saw) && saw.failure().is_none()).then_some(())).is_empty();
    let needs = if !went(|saw| matches!(saw, Saw::Resolve(_) | Saw::Proxy(_))) {
        "needs an address"
    } else if !speak.datagrams() && !went(|saw| matches!(saw, Saw::Connect(_) | Saw::Proxy(_))) {
        "needs tcp"
    } else if speak.secure() {
        "needs tls, with a certificate that can be trusted"
    } else {
        "needs what comes before"
    };
    let due: [Due; 5] = [
        (!speak.datagrams() && plan.proxy.is_none(), "tcp", Layer::Tcp, |saw| matches!(saw, Saw::Connect(_))),
        (speak.secure(), "tls", Layer::Tls, |saw| matches!(saw, Saw::Tls(_))),
        (matches!(speak, Speak::Http | Speak::Https), "http", Layer::Http, |saw| matches!(saw, Saw::Http(_))),
        (speak.websocket(), "websocket", Layer::Websocket, |saw| matches!(saw, Saw::Upgrade(_))),
        (plan.sidetone && matches!(speak, Speak::Tcp | Speak::Tls), "sidetone", Layer::Session, |saw| {
            matches!(saw, Saw::Hello(_) | Saw::Exchange(_))
        }),
    ];
    let missing = due.into_iter().filter(|(due, _, _, is)| *due && !reached(*is));
    missing
        .map(|(_, word, layer, _)| draft(format!("probe.left_out/{word}"), layer, Side::Server, word).skip(needs))
        .collect()
}
