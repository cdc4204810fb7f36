//! The answer to a request or an upgrade to WebSocket, by its status and its headers.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, Safe};
use crate::evidence::Horizon::{Medium, Short};
use crate::evidence::Layer;

/// Of the layer `http` too.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "http.wrong_path",
        layer: Layer::Http,
        title: "nothing is at that path",
        explanation: "A server answered and does not know the path that was asked for: the path is misspelt, a \
                      prefix of a proxy is missing or doubled, or the WebSocket has another path than the pages. A \
                      server other than the wanted one that has the port answers so too.",
        settled_by: "The status is 404, 405 or 410, in valid HTTP.",
        confounder: "session.foreign_server_answered: another program has the port; its Server header, its process \
                     and the words of its body tell.",
        fixes: &[
            (Safe, "ask for the path that the server's documentation names; Sidetone's WebSocket is at /ws"),
            (Safe, "compare the Server header and the owner of the socket with the server that you mean"),
            (ChangesState, "let the proxy pass that path on as the server expects it"),
        ],
        later: &[
            (Short, "give clients the whole URL, with its path"),
            (Medium, "probe the public URL after each change of a proxy"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.not_upgraded",
        layer: Layer::Http,
        title: "a page answers instead of a WebSocket",
        explanation: "The server answered the upgrade with 200, as if it had been asked for a page. Something that \
                      serves files or pages has taken the path, or a proxy passed the request on as an ordinary one. \
                      Clients report only that the handshake failed.",
        settled_by: "A status from 200 to 299 comes for a request that has all headers of an upgrade.",
        confounder: "http.upgrade_headers_lost: a server that says 400 or 426 noticed that headers were missing.",
        fixes: &[
            (Safe, "look at the body: it mostly shows which program serves that path"),
            (ChangesState, "give the WebSocket's path to the server that upgrades, before the rule that serves files"),
        ],
        later: &[
            (Short, "keep the WebSocket on a path of its own"),
            (Medium, "probe the WebSocket after each change of the routes, not only the pages"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.upgrade_headers_lost",
        layer: Layer::Http,
        title: "the headers of the upgrade do not arrive",
        explanation: "The request had every header that a WebSocket needs, and the server answers as if Connection \
                      and Upgrade were missing. Both are hop-by-hop headers: a proxy that is not told to pass them \
                      on drops them. The same happens in the answer, where a proxy drops them from the 101.",
        settled_by: "The server answers 426, or 400, to a request whose transcript has all headers, or 101 without \
                     Upgrade or Connection; without the proxy it upgrades.",
        confounder: "A 400 may have a reason of the server's own: the body tells. http.websocket_version_refused \
                     names other versions in Sec-WebSocket-Version.",
        fixes: &[
            (Safe, "ask the server directly, without proxies: if it upgrades, the proxy is the cause"),
            (
                ChangesState,
                "let the proxy pass both on; nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection upgrade",
            ),
        ],
        later: &[
            (Short, "keep the proxy's settings for WebSockets with the server's own"),
            (Medium, "probe the WebSocket through every proxy on the way"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.upstream_failed",
        layer: Layer::Http,
        title: "a proxy cannot reach the server behind it",
        explanation: "What answered is a gateway or a load balancer, and it says that the server behind it does not \
                      answer, or that it has none. The way from here to the proxy is well. What is wrong lies \
                      between the proxy and its server, or in that server.",
        settled_by: "The status is 502, 503 or 504, and headers such as Via, CF-Ray or Server name a proxy.",
        confounder: "A server that says 503 by itself, because it starts or has too much to do: then no header names \
                     a proxy and its own log tells of it.",
        fixes: &[
            (Safe, "probe the server from the proxy's machine, at the address that the proxy uses"),
            (Safe, "read the proxy's error log for that moment: it names the address and the errno"),
            (ChangesState, "start the server, or correct its address in the proxy"),
        ],
        later: &[
            (Short, "let the proxy ask the server's /readyz before it sends requests there"),
            (Medium, "watch the server itself too, not only what is in front of it"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.redirected",
        layer: Layer::Http,
        title: "the request is sent elsewhere",
        explanation: "The server answers with another address instead of what was asked for. WebSocket clients do \
                      not follow redirects, and report that the handshake failed. Mostly http is sent on to https, \
                      so that ws:// should have been wss://; a redirect in a circle or without an end is followed by \
                      nobody.",
        settled_by: "The status is 301, 302, 303, 307 or 308, and Location names the other address.",
        confounder: "http.forbidden: a redirect to a page for logging in means that credentials are wanted.",
        fixes: &[
            (Safe, "ask for the address that Location names: wss:// where it begins with https://"),
            (ChangesState, "correct the rule that redirects in a circle, or that takes in the WebSocket's path"),
        ],
        later: &[
            (Short, "give clients the address after all redirects"),
            (Medium, "leave the WebSocket's path out of rules that redirect pages"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.bad_accept_key",
        layer: Layer::Http,
        title: "the answer does not fit to the question",
        explanation: "The server agrees to a WebSocket with a Sec-WebSocket-Accept that was not computed from our \
                      key, or with none. Either its program computes it wrongly, or the answer was made for somebody \
                      else: by a cache, or by a server that answers 101 to everything. Every client must end such a \
                      connection.",
        settled_by: "The accept key is not the base64 of the SHA-1 of our key and the GUID of RFC 6455.",
        confounder: "http.not_upgraded: a status other than 101 is no upgrade at all.",
        fixes: &[
            (
                Safe,
                "ask the server directly, without proxies: if the key is right then, something on the way answers from memory",
            ),
            (ChangesState, "let the proxy cache nothing on that path"),
            (ChangesState, "correct the server: use a library for the handshake"),
        ],
        later: &[(Medium, "test the server with a client that checks the key: browsers all do")],
        scenario: "",
    },
    Cause {
        code: "http.subprotocol_not_agreed",
        layer: Layer::Http,
        title: "no subprotocol is agreed on",
        explanation: "Client and server found no subprotocol that both speak, or the server chose one that was not \
                      offered. Browsers end a connection whose offer was not taken up. Different versions of the two \
                      sides, or a proxy that drops the header, make this.",
        settled_by: "Sec-WebSocket-Protocol of the answer is missing although some were offered, or names another \
                     than those.",
        confounder: "session.version_mismatch: the subprotocol is agreed on, and the versions inside it are not.",
        fixes: &[
            (Safe, "offer the subprotocol that the server documents (--subprotocol)"),
            (Safe, "compare the versions of client and server"),
            (ChangesState, "let the proxy pass Sec-WebSocket-Protocol on, both ways"),
        ],
        later: &[(Medium, "let the server name in its answer what it would have taken")],
        scenario: "",
    },
    Cause {
        code: "http.websocket_version_refused",
        layer: Layer::Http,
        title: "the server speaks another version of WebSocket",
        explanation: "The server answers the upgrade with the versions that it speaks, and 13 is none of them. 13 is \
                      the only one that was ever standardised, so the server, or something before it, is from the \
                      time of the drafts. Clients of today speak no other.",
        settled_by: "Sec-WebSocket-Version of the answer does not have 13.",
        confounder: "http.upgrade_headers_lost: a 426 with version 13 means that the headers did not arrive.",
        fixes: &[
            (Safe, "ask the server directly, without proxies"),
            (ChangesState, "update the server's WebSocket library"),
        ],
        later: &[(Medium, "keep servers within versions that are still maintained")],
        scenario: "",
    },
    Cause {
        code: "http.header_too_large",
        layer: Layer::Http,
        title: "the headers are too large for the server",
        explanation: "The server refuses the request because its headers are larger than it takes. Mostly cookies or \
                      a token have grown over time. Servers and proxies have limits of 4 to 64 KiB, and the smallest \
                      on the way counts.",
        settled_by: "The status is 431.",
        confounder: "http.forbidden: the headers were read, and what they say was refused.",
        fixes: &[
            (Safe, "send less: the headers that were given to the probe with -H, and cookies of that host"),
            (ChangesState, "raise the limit of the server or the proxy (nginx: large_client_header_buffers)"),
        ],
        later: &[(Medium, "keep in cookies and tokens a reference, and the data on the server")],
        scenario: "",
    },
    Cause {
        code: "http.no_reply_to_upgrade",
        layer: Layer::Http,
        title: "the server takes the request and does not answer",
        explanation: "The connection was completed, the request was sent, and not one byte came back. The kernel \
                      completes connections for a program that does not accept them, so the program may be stopped, \
                      blocked or overloaded. If it answers other requests, what waits is the part that upgrades: \
                      often a server behind a proxy.",
        settled_by: "TCP connects, the request is sent, and no byte comes until the deadline.",
        confounder: "process.stopped: other requests are not answered either, and the state of the process is T.",
        fixes: &[
            (Safe, "ask the same port for a page: if that is answered, only the upgrade hangs"),
            (Safe, "look at the process: its state, what its threads wait for, its log's last line"),
            (ChangesState, "restart the server if it is blocked, after its stacks were saved"),
        ],
        later: &[
            (Short, "let clients have a time-out for the handshake"),
            (Medium, "let a watchdog ask the WebSocket and not only a page"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.response_too_slow",
        layer: Layer::Http,
        title: "the answer drips in",
        explanation: "Bytes of the answer came, each soon after the other, and the whole was not there within the \
                      deadline. A time-out that begins anew with each byte never ends on such a peer. The server or \
                      a proxy is overloaded, the way is very narrow, or somebody does it on purpose.",
        settled_by: "Some bytes of the answer are there at the deadline, and the end of its headers is not.",
        confounder: "http.no_reply_to_upgrade: no byte came at all. tcp.bandwidth_capped: everything else from that \
                     host is slow too.",
        fixes: &[
            (Safe, "try again with a longer --timeout, to see whether it ever ends"),
            (Safe, "load something else from the same host to see whether the way is slow"),
        ],
        later: &[(Medium, "give clients a deadline for the whole handshake, not for each read")],
        scenario: "",
    },
    Cause {
        code: "http.rate_limited",
        layer: Layer::Http,
        title: "too many requests",
        explanation: "The server or a proxy before it counts requests and has had enough of ours. Clients that come \
                      back at once after each failure make it worse. All who share our address share its count.",
        settled_by: "The status is 429; Retry-After says how long to wait.",
        confounder: "http.forbidden: the request is refused however seldom it comes.",
        fixes: &[
            (Safe, "wait as long as Retry-After says, then try once"),
            (Safe, "look for clients that connect again without a pause"),
            (ChangesState, "raise the limit for that path or address"),
        ],
        later: &[
            (Short, "let clients wait longer after each failure, with some chance in it"),
            (Medium, "count by user rather than by address where many share one"),
        ],
        scenario: "",
    },
];
