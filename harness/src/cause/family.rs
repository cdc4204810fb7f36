//! Address families.

use super::Cause;
use crate::evidence::FixKind::{NeedsRoot, Safe};
use crate::evidence::Horizon::{Medium, Short};
use crate::evidence::Layer;

/// Of the layer `family`.
pub const CAUSES: &[Cause] = &[Cause {
    code: "family.ipv6_disabled",
    layer: Layer::Family,
    title: "the machine has no IPv6",
    explanation: "The server was told to listen on an IPv6 address, and this machine, or its network namespace, has IPv6 switched \
                  off: not even ::1 exists. Containers are often started like that, and so are machines with ipv6.disable=1 on \
                  the kernel's command line. The kernel refuses with EADDRNOTAVAIL, or with EAFNOSUPPORT if it was built \
                  without IPv6. IPv4 is not affected.",
    settled_by: "bind or socket failed with EADDRNOTAVAIL (99) or EAFNOSUPPORT (97) for an IPv6 address, and ::1 cannot be \
                 bound by anybody on this machine.",
    confounder: "bind.address_not_local: there ::1 can be bound, and only the address that was asked for is missing.",
    fixes: &[
        (Safe, "leave IPv6 addresses out of --bind, or leave --bind out: then a missing family is only a warning"),
        (NeedsRoot, "switch it on: sysctl net.ipv6.conf.all.disable_ipv6=0 (and the same for lo)"),
    ],
    later: &[
        (Short, "ask for a family by --bind only where the service needs it"),
        (Medium, "give containers IPv6 (for Docker \"ipv6\": true), so that they see what clients see"),
    ],
    scenario: "ipv6-disabled",
}];
