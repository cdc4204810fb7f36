//! Clocks.

use super::Cause;
use crate::evidence::FixKind::{NeedsRoot, Safe};
use crate::evidence::Horizon::Short;
use crate::evidence::Layer;

/// Of the layer `time`.
pub const CAUSES: &[Cause] = &[Cause {
    code: "time.clock_skew",
    layer: Layer::Time,
    title: "the clocks of two machines differ",
    explanation: "The clocks of this machine and of the peer are so far apart that something which is right on \
                      one is not on the other: a certificate is not valid yet or has expired, a token is refused. One \
                      of the two clocks is wrong.",
    settled_by: "The Date of the peer's answer against our clock, and the certificate that is good by the one \
                     and not by the other.",
    confounder: "tls.certificate_expired: both clocks agree. Which of two clocks is wrong only a third one \
                     tells: if several servers fail at once it is ours.",
    fixes: &[
        (Safe, "compare with a third clock: date -u here, on the server, and anywhere else"),
        (Safe, "probe another server: if it fails in the same way the clock here is wrong"),
        (NeedsRoot, "set the wrong clock: timedatectl set-ntp true, or chronyc makestep"),
    ],
    later: &[(Short, "run NTP on all machines, and warn when it loses its source")],
    scenario: "",
}];
