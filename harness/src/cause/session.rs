//! Sessions.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, Safe};
use crate::evidence::Horizon::{Medium, Short};
use crate::evidence::Layer;

/// Of the layer `session`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "session.version_mismatch",
        layer: Layer::Session,
        title: "client and server have no version of the protocol in common",
        explanation: "The server is alive, understood the hello, and refused it because it speaks no version that \
                      the client speaks. One of the two was updated and the other was not, or a client of a newer \
                      release meets an old server. Nothing on the way is at fault.",
        settled_by: "The refusal has the code version_unsupported and tells the versions of the server, and the own \
                     one is not among them.",
        confounder: "process.wrong_version: a build that is not the one meant to run. The program and version in the \
                     refusal tell which one answers.",
        fixes: &[
            (Safe, "compare `sidetone --version` on both sides"),
            (ChangesState, "use a client of the server's version, or update the older side"),
        ],
        later: &[
            (Short, "roll out servers before clients, and let a new server speak the version before its own too"),
            (Medium, "show the server's version in the client's message, as the refusal tells it"),
        ],
        scenario: "",
    },
    Cause {
        code: "session.foreign_server_answered",
        layer: Layer::Session,
        title: "something else than Sidetone answers at that port",
        explanation: "The connection is complete and the first bytes that come back are those of another protocol. \
                      The port is that of another program, the scheme is the wrong one (the WebSocket port of a \
                      Sidetone server speaks HTTP, not the framed protocol), or a proxy or load balancer answers for \
                      a server that is gone. Clients see a broken connection or wait for ever.",
        settled_by: "The answer to a hello does not begin as a frame does, and names its own protocol: a banner, a \
                     status line. Who owns the listening socket confirms it where that can be seen.",
        confounder: "session.framing_error: a Sidetone server that breaks its own framing. Its bytes begin with \
                     0xd7.",
        fixes: &[
            (Safe, "compare address, port and scheme of the target with the server's ready line"),
            (Safe, "see who listens there: ss -ltnp on that machine, or the probe's own lines behind the socket"),
            (ChangesState, "start the server there, or on a port of its own"),
        ],
        later: &[
            (Short, "give people the whole target with its scheme, copied from the ready line"),
            (Medium, "check a deployment with the probe from where its clients are"),
        ],
        scenario: "",
    },
    Cause {
        code: "session.framing_error",
        layer: Layer::Session,
        title: "what comes back cannot be a frame",
        explanation: "The answer begins as a frame does, and then its header cannot be true: a length that no frame \
                      of its kind has, or more bytes announced than ever come. A writer with the other byte order \
                      makes absurd lengths; a proxy that changes bytes, text instead of binary messages, or two \
                      writers on one connection do it too. The reader waits for bytes that never come, or gives up.",
        settled_by: "The header of the answer, byte for byte: its length is above the limit of its kind, or the \
                     connection stays open and the rest does not come.",
        confounder: "session.message_truncated: the connection ends in the middle of a frame. tcp.mtu_black_hole: \
                     small messages come through and large ones never do.",
        fixes: &[
            (
                Safe,
                "look at the first bytes of the answer in the report: header and length are drawn in src/protocol/mod.rs",
            ),
            (Safe, "ask the server on its own machine, to leave out what is between"),
            (ChangesState, "go back to the version of the server or proxy before its framing was changed"),
        ],
        later: &[
            (Short, "test every writer against the golden vectors in fixtures/wire"),
            (Medium, "let one task alone write to a connection"),
        ],
        scenario: "",
    },
    Cause {
        code: "session.message_truncated",
        layer: Layer::Session,
        title: "the connection ends in the middle of a message",
        explanation: "A frame was begun and the connection was closed before its end. The server ended while it \
                      wrote (it was killed, it crashed, it ran into its own time-out), or something between closed \
                      the stream early. What was cut off is lost, and the client can only try again.",
        settled_by: "The stream ends (FIN) while fewer bytes have come than the header announced.",
        confounder: "session.framing_error: the connection stays open and the bytes never come.",
        fixes: &[
            (Safe, "read the server's log at that time: did it end, or close the connection, and why"),
            (Safe, "ask the server on its own machine, to leave out what is between"),
            (ChangesState, "start the server again if it has ended"),
        ],
        later: &[
            (Short, "let the server say goodbye before it closes, and flush before that"),
            (Medium, "raise the time-outs of proxies above the heartbeat"),
        ],
        scenario: "",
    },
    Cause {
        code: "session.handshake_deadlock",
        layer: Layer::Session,
        title: "the server takes the hello and says nothing",
        explanation: "The connection is accepted, the hello is on its way, and nothing comes back. Either the server \
                      waits as well: for another kind of first message, for the rest of one, for a lock that \
                      somebody holds. Or its program does not run at all: the kernel accepts connections for a \
                      process that is stopped or stuck, until the queue is full.",
        settled_by: "Connect succeeds, the hello is sent, no byte comes within the deadline. An answer to a ping on \
                     the same connection shows that the process itself runs.",
        confounder: "process.stopped and process.deadlocked: the state of the process tells. \
                     session.foreign_server_answered: another protocol that waits for its own first words.",
        fixes: &[
            (Safe, "look at the process behind the socket: its state, what it waits for, whether it accepts"),
            (Safe, "read the server's log around that time"),
            (ChangesState, "start the server again"),
        ],
        later: &[
            (Short, "give every wait of the handshake a time-out that ends the connection with a reason"),
            (Medium, "watch the server by a hello from outside, not by an open port"),
        ],
        scenario: "",
    },
    Cause {
        code: "session.capacity_reached",
        layer: Layer::Session,
        title: "every place of the server is taken",
        explanation: "The server is well and refuses newcomers because it has as many participants as it may have, \
                      or the room has. It says so with a code of its own. Who is inside notices nothing.",
        settled_by: "The refusal has the code server_full.",
        confounder: "resource.fd_limit: the server cannot accept connections at all, and nobody gets a refusal.",
        fixes: &[
            (Safe, "see who is connected: sidetone_participants in /metrics"),
            (ChangesState, "let idle participants leave, or start the server with a larger --max-clients"),
        ],
        later: &[
            (Short, "alert on participants near the limit"),
            (Medium, "measure what the machine can carry (sidetone-harness load) and set the limit by it"),
        ],
        scenario: "",
    },
    Cause {
        code: "session.room_unavailable",
        layer: Layer::Session,
        title: "the server gives no room of that name",
        explanation: "The server is well and refuses the room that was asked for: its name is not allowed there, it \
                      does not exist, or it is closed to newcomers. Other rooms may be fine.",
        settled_by: "The refusal has the code room_invalid.",
        confounder: "session.capacity_reached: the room exists and is full.",
        fixes: &[(Safe, "read the reason in the refusal, and choose another room with --room")],
        later: &[(Short, "tell people the name of the room together with the address")],
        scenario: "",
    },
    Cause {
        code: "session.feature_not_offered",
        layer: Layer::Session,
        title: "the server does not offer what was asked for",
        explanation: "The server is well and its list of capabilities lacks something that the client wants, such as \
                      the echo room that a probe of the sound needs. It is an older version, was built without it, \
                      or another program that speaks the protocol.",
        settled_by: "The capabilities in the welcome or the refusal, or the code of the refusal.",
        confounder: "session.version_mismatch: not even the version is common.",
        fixes: &[
            (Safe, "compare the server's program and version in the report with the client's"),
            (ChangesState, "update the server, or do without"),
        ],
        later: &[(Short, "list what a server offers where people choose one")],
        scenario: "",
    },
];
