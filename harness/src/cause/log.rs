//! What programs say.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `log`.
pub const CAUSES: &[Cause] = &[Cause {
    code: "log.contradicts_observation",
    layer: Layer::Log,
    title: "the log claims what an observation denies",
    explanation: "The log says that something is there, and a look from outside shows that it is not: a listener \
                  that the kernel does not have, or an announcement by mDNS that no browse finds. Code that logs its \
                  intention and not the result does this; so does a listener that was closed again, and multicast \
                  that an interface or a filter swallows after it was sent. The observation is right: whoever \
                  believes the log looks in the wrong place.",
    settled_by: "An event (listener.bound, server.ready, mdns.announced) and, after it, an observation that denies \
                 it by a reader that proved itself first: the kernel's table that shows the harness's own socket, a \
                 browse that finds the harness's own announcement.",
    confounder: "A reader that is blind, for instance to another network namespace or an interface without \
                 multicast: then it does not see the harness's own socket or announcement either, and nothing is \
                 concluded.",
    fixes: &[
        (Safe, "believe the observation: give clients an address that really listens, by hand if discovery fails"),
        (Safe, "for mDNS see that the interface has MULTICAST (ip link) and that no filter drops UDP port 5353"),
        (ChangesState, "start the server again, and compare its ready line with ss -ltnp"),
    ],
    later: &[
        (Short, "log what listen() or the network returned, after it returned, and never the intention"),
        (Medium, "let the server connect to its own listeners and browse for itself before it says that it is ready"),
        (Long, "take readiness from a probe from outside, not from a line of the log"),
    ],
    scenario: "claims-to-listen",
}];
