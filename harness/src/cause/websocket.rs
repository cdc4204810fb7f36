//! WebSocket.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, Safe};
use crate::evidence::Horizon::{Medium, Short};
use crate::evidence::Layer;

/// Of the layer `websocket`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "websocket.protocol_error",
        layer: Layer::Websocket,
        title: "a frame breaks the WebSocket protocol",
        explanation: "One side sent bytes that are no frame of RFC 6455, and the other has to end the connection: a \
                      server that masks its frames, a reserved bit without an extension, an opcode that does not \
                      exist, a continuation of nothing. Mostly one writer wrote into the message of another, an \
                      extension was used that was not agreed, or something that does not speak WebSocket wrote to the \
                      connection.",
        settled_by: "The header of the offending frame, byte by byte, or the close code 1002 of the side that \
                     refuses.",
        confounder: "A proxy that changes bytes on the way: asked directly the server is right. \
                     websocket.compression_mismatch: a reserved bit after permessage-deflate was agreed.",
        fixes: &[
            (Safe, "look at the header of the frame in the report: RFC 6455 5.2 draws it"),
            (Safe, "ask the server on its own machine, past every proxy"),
            (ChangesState, "go back to the version of the server or proxy before the change"),
        ],
        later: &[
            (Short, "let one task alone write to a connection"),
            (Medium, "run the Autobahn test suite against the server for each release"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.bad_utf8",
        layer: Layer::Websocket,
        title: "a text message is not UTF-8",
        explanation: "Text messages and close reasons are UTF-8 by definition, and a receiver has to end the \
                      connection with 1007 when one is not. The sender put binary data into a text message, cut a text \
                      in the middle of a character, or uses another encoding. It shows only with the letters that need \
                      more than one byte.",
        settled_by: "The bytes of the message, or the close code 1007 of the side that refuses.",
        confounder: "websocket.wrong_message_type: binary data that was sent as text on purpose; the receiver expects \
                     the other kind.",
        fixes: &[
            (Safe, "look at the bytes at the place where the text ends or breaks"),
            (ChangesState, "send binary data in binary messages, and cut text only between characters"),
        ],
        later: &[
            (Short, "test with letters of two, three and four bytes at every place where text is cut"),
            (Medium, "let the type of the API that sends text guarantee UTF-8"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.message_too_big",
        layer: Layer::Websocket,
        title: "a message is larger than its receiver takes",
        explanation: "Every receiver has a largest message, and ends the connection with 1009 above it; what no \
                      receiver takes at all is a frame that announces more bytes than anybody has. A client sends \
                      something that has grown over the limit, a proxy in between has a smaller limit than the server, \
                      or a length was written wrongly.",
        settled_by: "The close code 1009, or the announced length; --intrusive finds the limit by bisection.",
        confounder: "websocket.protocol_error: bytes that are no frame look like an absurd length. What comes after \
                     them tells.",
        fixes: &[
            (Safe, "find the limit: sidetone-harness probe --intrusive, once past the proxy and once through it"),
            (ChangesState, "send smaller messages, or raise the limit of whoever says 1009"),
        ],
        later: &[
            (Short, "tell clients the limit in the first message"),
            (Medium, "keep the limits of proxy and server in one place"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.policy_violation",
        layer: Layer::Websocket,
        title: "the server closes because of a rule of its own",
        explanation: "The server closed with 1008: the client did something that the server's own rules forbid and \
                      that no other code describes. It did not say who it is, said so too late, sent too much, or is \
                      not allowed there. The reason in the close frame says which, if the server gives one.",
        settled_by: "The close code 1008 with its reason.",
        confounder: "http.forbidden: the refusal comes before the upgrade, as a status.",
        fixes: &[
            (Safe, "read the reason in the close frame, and the server's log at that time"),
            (ChangesState, "do what the rule asks for: credentials, a first message in time, fewer messages"),
        ],
        later: &[
            (Short, "let the server name the rule in the reason"),
            (Medium, "write the rules down where the protocol of the application is"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.server_error",
        layer: Layer::Websocket,
        title: "the server closes because of an error of its own",
        explanation: "The server closed with 1011: something in it failed that is not the client's fault, an exception \
                      or a backend that is gone. A new connection may work, or fail in the same way. The server's log \
                      has the error itself.",
        settled_by: "The close code 1011 with its reason, and an error or a panic in the server's log at that time.",
        confounder: "http.upstream_failed: code 1014, or a status before the upgrade, where a proxy cannot reach the \
                     server.",
        fixes: &[
            (Safe, "read the server's log at that time: --log FILE reads it with the probe"),
            (Safe, "try again: does it fail each time, or now and then"),
            (ChangesState, "start the server again, or go back to the version before"),
        ],
        later: &[
            (Short, "alert on closes with 1011"),
            (Medium, "put an identifier into the reason that leads to the line in the log"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.restarting_or_overloaded",
        layer: Layer::Websocket,
        title: "the server asks to come back later",
        explanation: "The server closed with 1012, because it is being restarted, or with 1013, because it has too \
                      much to do. Both mean that the client is welcome later. Clients that come back all at once make \
                      it worse.",
        settled_by: "The close code 1012 or 1013.",
        confounder: "websocket.server_error: the server did not mean to close. Its log and the start of its process \
                     tell.",
        fixes: &[
            (Safe, "try again in a minute, and wait for it: sidetone-harness probe --until healthy"),
            (Safe, "look at load, memory and the number of connections of the server"),
            (ChangesState, "add capacity, or let some clients leave, if it stays overloaded"),
        ],
        later: &[
            (Short, "let clients wait longer after each failure, by a random share"),
            (Medium, "drain connections one after the other before a restart"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.closed_without_frame",
        layer: Layer::Websocket,
        title: "the connection ends without a close frame",
        explanation: "The TCP connection ended while the WebSocket was open, and nobody said why: clients see code \
                      1006. The server ended or crashed, a proxy closed a connection that was idle for too long, or \
                      the server closes sockets without the closing handshake. What was on its way is lost.",
        settled_by: "FIN or RST without a close frame before it.",
        confounder: "A process that died: it no longer answers and its process id has changed. tcp.closed_early and \
                     tcp.reset_after_accept: nothing at all had been said before.",
        fixes: &[
            (Safe, "read the server's log at that time: did it end, or close the connection, and why"),
            (Safe, "ask the server on its own machine, past the proxy: if it stays open there, the proxy closes it"),
            (ChangesState, "raise the proxy's time-out for idle connections above the heartbeat"),
        ],
        later: &[
            (Short, "let the server send a close frame with a reason before it closes"),
            (Medium, "send pings more often than the shortest time-out on the way"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.no_pong",
        layer: Layer::Websocket,
        title: "a ping of the WebSocket is not answered",
        explanation: "A ping has to be answered by a pong at once, by the library, without help of the application. \
                      The server does not: its task that reads is blocked or was never started, the library leaves \
                      pongs to the application, or the process is stopped. Clients that watch the connection by pings \
                      drop it again and again.",
        settled_by: "No pong with the ping's payload within the deadline, while other data flows on the connection or \
                     the server answers otherwise.",
        confounder: "process.stopped: nothing flows at all. The state of the process tells.",
        fixes: &[
            (Safe, "look at the process behind the port: run the probe on that machine"),
            (Safe, "see whether the server reads from the connection while it waits for something else"),
            (ChangesState, "start the server again if it answers nobody"),
        ],
        later: &[
            (Short, "read from each connection in a task of its own that never waits for the application"),
            (Medium, "watch the server by pings of the WebSocket from outside"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.flooded",
        layer: Layer::Websocket,
        title: "the server sends far more than anybody asked for",
        explanation: "Pings or messages come in a flood that nobody asked for. A timer without a pause, a loop that \
                      sends its own echo, or a backlog that is replayed to every newcomer does it, and so does \
                      somebody who wants to tie up clients. A client that answers each ping doubles the traffic.",
        settled_by: "More frames or bytes within the first moments than any use of the connection needs, each of them \
                     in order by itself.",
        confounder: "websocket.protocol_error: the frames themselves are wrong.",
        fixes: &[
            (Safe, "see what the frames are: pings, or messages with the same beginning"),
            (ChangesState, "end the connection, and limit what the server sends for each connection"),
        ],
        later: &[
            (Short, "give each connection a limit of frames a second in both directions"),
            (Medium, "alert on frames sent for each connection"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.fragmentation_unsupported",
        layer: Layer::Websocket,
        title: "the server takes no message in fragments",
        explanation: "A message may come in several frames, and every receiver has to put it together again. This \
                      server takes a message in one frame and closes when the same message comes in two. It works \
                      until a client or a proxy in between cuts a large message.",
        settled_by: "The same message passes in one frame and not in two.",
        confounder: "websocket.message_too_big: a large message is refused whole, too.",
        fixes: &[
            (Safe, "let clients send each message in one frame"),
            (ChangesState, "use a library that puts fragments together, or update it"),
        ],
        later: &[
            (Short, "test with messages in two and three fragments, with a ping between them"),
            (Medium, "run the Autobahn test suite against the server for each release"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.wrong_message_type",
        layer: Layer::Websocket,
        title: "text was sent where binary is expected, or vice versa",
        explanation: "The server closed with 1003: it does not take that kind of message. Text and binary are \
                      different kinds, and many servers take only one of them; a client that sends JSON as binary, or \
                      a frame of its protocol as text, is refused although each byte is right.",
        settled_by: "The close code 1003, and --intrusive shows which kind the server takes.",
        confounder: "websocket.policy_violation: the kind is right and the content is not allowed.",
        fixes: &[
            (Safe, "find out which kind it takes: sidetone-harness probe --intrusive"),
            (ChangesState, "send the other kind of message"),
        ],
        later: &[
            (Short, "write down which kind each message of the protocol is"),
            (Medium, "let the server name the kind it expects in the reason of its close frame"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.close_handshake_hung",
        layer: Layer::Websocket,
        title: "the WebSocket does not end when it is closed",
        explanation: "The client said that it is done and the server does not answer with a close frame, or answers \
                      and keeps the connection open. Such connections stay in the server until a time-out ends them, \
                      take descriptors and places, and slow down every restart. Nobody notices until there are many.",
        settled_by: "The close frame was sent, no answer came or the connection stayed open, while the server \
                     answered before.",
        confounder: "process.stopped: nothing was answered before either.",
        fixes: &[
            (Safe, "count the connections of the server that have no client any more: ss -tn on both sides"),
            (ChangesState, "answer the close frame in the task that reads, and close the socket after it"),
        ],
        later: &[
            (Short, "end a connection by a time-out after the close frame was sent or received"),
            (Medium, "alert on connections without participants"),
        ],
        scenario: "",
    },
];
