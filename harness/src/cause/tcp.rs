//! Connections.

use super::Cause;
use crate::evidence::FixKind::Safe;
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `tcp`.
pub const CAUSES: &[Cause] = &[Cause {
    code: "tcp.refused",
    layer: Layer::Tcp,
    title: "nothing listens there",
    explanation: "The machine was reached and nothing listens on that address and port, so the kernel refused the \
                  connection at once. Either there is no server, it was not started or has ended before the clients \
                  came, or it listens on another port or address. A client that tries for ever makes this look like \
                  a fault of the network.",
    settled_by: "connect fails with ECONNREFUSED (111) within a millisecond or so, the kernel's table has no LISTEN \
                 row for that port, and no server tried to bind it in vain.",
    confounder: "A filter that rejects: the same errno although a LISTEN row matches. A server that could not bind \
                 is a cause of the layer bind; one that was killed is process.killed_by_third_party.",
    fixes: &[
        (Safe, "start the server, and the clients when it is ready"),
        (
            Safe,
            "if it runs, give the clients the address and port of its ready line (server.ready); ss -ltn shows both",
        ),
    ],
    later: &[
        (Short, "start clients only when the server said that it is ready (--ready-file or GET /readyz)"),
        (Medium, "let whatever starts both end both, in this order: clients first, then the server"),
        (Long, "let clients find the server by a name or by mDNS, so that a changed port reaches them"),
    ],
    scenario: "no-server",
}];
