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
        title: "a frame breaks the protocol",
        explanation: "A frame does not follow RFC 6455: a reserved bit without an extension, an unknown opcode, a \
                      masked frame of a server, a length that may not be written so, or fragments out of order. \
                      Every client ends such a connection with 1002. Code 1002 from the server means that it saw \
                      such a frame of ours.",
        settled_by: "The header of the offending frame, in hexadecimal, or a close frame with 1002.",
        confounder: "A proxy that changes frames, or bytes of another protocol on the same connection: the same \
                     without proxies tells.",
        fixes: &[
            (
                Safe,
                "look at the header of the frame: its first byte has the reserved bits and the opcode, its second the mask",
            ),
            (Safe, "connect without proxies, and without extensions such as permessage-deflate"),
            (ChangesState, "update the server's WebSocket library"),
        ],
        later: &[(Medium, "run the Autobahn test suite against the server")],
        scenario: "",
    },
    Cause {
        code: "websocket.bad_utf8",
        layer: Layer::Websocket,
        title: "a text message is not UTF-8",
        explanation: "Text messages and the reasons of close frames must be UTF-8, and every side must end a \
                      connection where they are not. Mostly binary data, or text in an older encoding, was sent as a \
                      text message. Code 1007 from the server means that it saw that in a message of ours.",
        settled_by: "The bytes of the message are not UTF-8, or the server closes with 1007.",
        confounder: "websocket.protocol_error: the frame itself is wrong, not what it carries.",
        fixes: &[
            (Safe, "look at the first bytes of the message for what it really is"),
            (ChangesState, "send data that is no text as binary messages"),
        ],
        later: &[(Medium, "encode text at one place, and test it with other letters than ASCII")],
        scenario: "",
    },
    Cause {
        code: "websocket.message_too_big",
        layer: Layer::Websocket,
        title: "a message is larger than the server takes",
        explanation: "The server closed with 1009 because a message was larger than its limit. Limits protect its \
                      memory and are mostly a power of two. A proxy may have a smaller one than the server.",
        settled_by: "A close frame with 1009 after a message; --intrusive finds the limit.",
        confounder: "websocket.policy_violation: the server refuses for another rule, with 1008.",
        fixes: &[
            (Safe, "find the limit with --intrusive, and keep messages below it"),
            (ChangesState, "raise the limit of the server or the proxy"),
        ],
        later: &[(Medium, "split what is large into messages with a known bound")],
        scenario: "",
    },
    Cause {
        code: "websocket.policy_violation",
        layer: Layer::Websocket,
        title: "a rule of the server forbids it",
        explanation: "The server ended the connection with 1008: what was asked or sent is against a rule of its \
                      own. Wanted credentials that did not come, a message before the first one that is due, or too \
                      many messages are such rules. The code says no more than that; the reason beside it may.",
        settled_by: "A close frame with 1008.",
        confounder: "http.forbidden: the refusal came already as an answer to the upgrade.",
        fixes: &[
            (Safe, "read the reason of the close frame, and the server's log for that moment"),
            (Safe, "send the credentials or the first message that the server expects"),
        ],
        later: &[(Medium, "let the server say in the reason which rule it was")],
        scenario: "",
    },
    Cause {
        code: "websocket.server_error",
        layer: Layer::Websocket,
        title: "the server met an error of its own",
        explanation: "The server ended the connection with 1011: something unexpected happened on its side. Mostly a \
                      handler failed or panicked and the library closed for it. The client can do nothing about \
                      that.",
        settled_by: "A close frame with 1011; the server's log has the error or the panic.",
        confounder: "websocket.restarting_or_overloaded: the server closes on purpose, with 1012 or 1013.",
        fixes: &[
            (Safe, "read the server's log for that moment (--log FILE)"),
            (ChangesState, "correct the handler that failed"),
        ],
        later: &[(Medium, "count such closes, and be told when there are any")],
        scenario: "",
    },
    Cause {
        code: "websocket.restarting_or_overloaded",
        layer: Layer::Websocket,
        title: "the server restarts or has too much to do",
        explanation: "The server ended the connection with 1012, because it restarts, or 1013, because it has too \
                      much to do. Both mean: come back later. Clients that all come back at once make the next one.",
        settled_by: "A close frame with 1012 or 1013.",
        confounder: "websocket.server_error: 1011 is an error and no intention.",
        fixes: &[
            (Safe, "wait some seconds and try again"),
            (Safe, "look whether the server is being deployed, or is out of some resource"),
        ],
        later: &[
            (Short, "let clients wait longer after each failure, with some chance in it"),
            (Medium, "restart servers one after the other"),
        ],
        scenario: "",
    },
    Cause {
        code: "websocket.closed_without_frame",
        layer: Layer::Websocket,
        title: "the connection ends without a close frame",
        explanation: "The TCP connection of the WebSocket ended by FIN or RST and no close frame came before; \
                      browsers call it 1006. The server's program died or dropped the connection, or a proxy cut it, \
                      for instance when it had been idle. Nothing tells the client why.",
        settled_by: "The stream ends, or is reset, after the upgrade and without a frame of opcode 8.",
        confounder: "tcp.reset_after_accept and tcp.closed_early end before any answer. A process that died is told \
                     by its exit, or by its id before and after.",
        fixes: &[
            (Safe, "look whether the server's process is still the same, and at the end of its log"),
            (Safe, "connect without proxies: if it stays then, a proxy's time-out cuts it"),
            (ChangesState, "let the server send pings more often than the shortest time-out on the way"),
        ],
        later: &[(Medium, "let the server end every connection with a close frame and a code")],
        scenario: "",
    },
    Cause {
        code: "websocket.no_pong",
        layer: Layer::Websocket,
        title: "pings are not answered",
        explanation: "The WebSocket was upgraded and a ping stays without its pong. RFC 6455 demands an answer as \
                      soon as possible, and libraries give it while they read. A server that does not read, because \
                      it waits for something else, does not answer.",
        settled_by: "No pong comes within the deadline while the connection stays open.",
        confounder: "process.stopped: then nothing comes at all, and the state of the process is T.",
        fixes: &[
            (Safe, "look whether other messages are answered: if so, the library is not told to answer pings"),
            (Safe, "look what the server's threads wait for"),
            (ChangesState, "let the server read all the time, also while it waits for something else"),
        ],
        later: &[(Medium, "let the server measure how long its handlers keep it from reading")],
        scenario: "",
    },
    Cause {
        code: "websocket.flooded",
        layer: Layer::Websocket,
        title: "the server floods its clients",
        explanation: "The server sends more frames or bytes than anybody asked for, pings or messages, faster than a \
                      client wants to work on them. A loop without a pause, or a broadcast meant for somebody else, \
                      makes it. A client that answers each ping is kept busy with nothing else.",
        settled_by: "More than 1000 frames or 4 MiB come before anything was asked.",
        confounder: "websocket.protocol_error: the frames themselves are wrong.",
        fixes: &[
            (Safe, "look at what comes: pings alone, or messages and what they say"),
            (ChangesState, "correct the server's timer or loop that sends them"),
        ],
        later: &[(Medium, "bound how much the server sends to one client in a second")],
        scenario: "",
    },
    Cause {
        code: "websocket.fragmentation_unsupported",
        layer: Layer::Websocket,
        title: "messages in fragments are not taken",
        explanation: "The server takes a message in one frame and ends the connection for the same message in two. \
                      RFC 6455 lets every sender, and every proxy, split messages. Clients that stream, and some \
                      libraries with large messages, do so.",
        settled_by: "One message is taken whole and not in two fragments (--intrusive).",
        confounder: "websocket.message_too_big: the size decides, and not the fragments.",
        fixes: &[
            (Safe, "let the client send each message in one frame"),
            (ChangesState, "update the server's WebSocket library, or let it put fragments together"),
        ],
        later: &[(Medium, "run the Autobahn test suite against the server")],
        scenario: "",
    },
    Cause {
        code: "websocket.wrong_message_type",
        layer: Layer::Websocket,
        title: "a message has a type that the server does not take",
        explanation: "The server ended the connection with 1003: it does not take messages of that type. The opcode \
                      of a message says whether it is text or binary, whatever its bytes are. Sidetone's frames are \
                      binary messages.",
        settled_by: "A close frame with 1003 after a message.",
        confounder: "websocket.bad_utf8: the type was right, and the bytes were not.",
        fixes: &[(
            Safe,
            "send the message with the other type: the probe sends what is valid UTF-8 as text, anything else as binary",
        )],
        later: &[(Medium, "let the server say in the reason which type it takes")],
        scenario: "",
    },
    Cause {
        code: "websocket.close_handshake_hung",
        layer: Layer::Websocket,
        title: "the close is not answered",
        explanation: "The client said that it wants to close, and the server neither answered with a close frame nor \
                      closed the connection. The connection then stays on both sides until a time-out. A server that \
                      does not read any more, or whose handler waits, does that.",
        settled_by: "A close frame was sent, none comes within the deadline, and the connection is still there.",
        confounder: "websocket.closed_without_frame: the connection ends, only the frame is missing. \
                     process.stopped: nothing was answered before either.",
        fixes: &[
            (Safe, "let clients close the connection themselves some seconds after their close frame"),
            (ChangesState, "let the server read, and answer close frames, until the connection has ended"),
        ],
        later: &[(Medium, "count connections that wait for their close, and be told when they pile up")],
        scenario: "",
    },
];
