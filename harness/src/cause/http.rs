//! HTTP and the upgrade to WebSocket.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `http`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "http.blocked_by_browser_policy",
        layer: Layer::Http,
        title: "the page's own policy forbids its WebSocket",
        explanation: "The browser loaded the page and then refused to open the WebSocket by itself: the \
                      Content-Security-Policy that came with the page does not allow that address (connect-src), or \
                      a page from https:// asked for ws:// (mixed content). Not one packet of the attempt reached \
                      the server. Mostly a proxy in front adds a policy of its own, and its default-src covers what \
                      it forgot to name.",
        settled_by: "The browser reports the violated directive and the address it blocked, the server has no \
                     request for the upgrade, and clients that are no browsers join over the same port.",
        confounder: "tcp.refused: the attempt leaves the browser and the kernel refuses it. http.forbidden: the \
                     request reaches the server, and the server says 403.",
        fixes: &[
            (
                Safe,
                "compare the policy that the browser got with the server's own: curl -sI http://HOST:PORT/ with and without the proxy",
            ),
            (
                ChangesState,
                "let the proxy pass the server's Content-Security-Policy, or add connect-src 'self' to its own",
            ),
        ],
        later: &[
            (Short, "set the policy in one place only: where the page comes from"),
            (Medium, "open the page with a real browser in the checks of each deployment, not only with curl"),
        ],
        scenario: "browser-page-policy",
    },
    Cause {
        code: "http.forbidden",
        layer: Layer::Http,
        title: "the server refuses: by Origin, or for want of credentials",
        explanation: "The server understood the request and answered 403 or 401: it does not let this client in. A \
                      browser says in the Origin header which page asks, and a server that checks it keeps pages of \
                      strangers from using a visitor's browser to get into a call. That hits an honest page too when \
                      the server is reached by a name it does not know, for instance behind a proxy or by an alias \
                      in DNS. A 401 wants credentials that were not sent, or does not know those that were.",
        settled_by: "The same request with another Origin, or without one, gets another answer; a 401 names what it \
                     wants in WWW-Authenticate. The server's event http.origin_refused names the origin and the host \
                     that was asked for; clients that are no browsers send no Origin and join.",
        confounder: "http.blocked_by_browser_policy: no request reaches the server at all. A proxy that answers 403 \
                     itself leaves no event in the server's log.",
        fixes: &[
            (Safe, "open the page by a name or address of the server itself: its ready line shows them"),
            (Safe, "where it wants credentials, send them: sidetone-harness probe -H @FILE"),
            (ChangesState, "if the name is right, start the server with --allow-origin and that origin"),
        ],
        later: &[
            (Short, "give the public name with --allow-origin wherever the server is installed"),
            (Medium, "let the proxy in front keep Host and Origin as they came"),
            (Long, "check a deployment through its public name, with a browser"),
        ],
        scenario: "browser-wrong-origin",
    },
    Cause {
        code: "http.wrong_path",
        layer: Layer::Http,
        title: "there is nothing at that path",
        explanation: "The server answers HTTP and has nothing at the path that was asked for. The path was mistyped or \
                      has changed, a proxy in front passes on only some paths or strips a prefix, or another server \
                      than the one that was meant answers at that address. The way to the machine and to the port is \
                      well.",
        settled_by: "The status (404, 405 or 410) with the path; the Server header and the owner of the port tell \
                     which server says so.",
        confounder: "session.foreign_server_answered: another server has the port. Its Server header and its process \
                     tell.",
        fixes: &[
            (Safe, "compare the path with the server's ready line; Sidetone's WebSocket is at /ws"),
            (
                Safe,
                "ask the server on its own machine, past the proxy: if it has the path there, the proxy's rules are wrong",
            ),
            (ChangesState, "pass the path on unchanged in the proxy's rules"),
        ],
        later: &[
            (Short, "give people the whole URL, copied from the ready line"),
            (Medium, "check a deployment with the probe through its public name after each change of the proxy"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.http2_only",
        layer: Layer::Http,
        title: "only HTTP/2 is spoken, without TLS",
        explanation: "The server speaks HTTP/2 from the first byte and nothing else (prior knowledge, as gRPC servers and backends with \
                      proto h2 do). A WebSocket upgrade and an ordinary request of HTTP/1.1 are not understood there.",
        settled_by: "A SETTINGS frame of HTTP/2 comes instead of an answer of HTTP/1.1.",
        confounder: "tls.alpn_mismatch: in TLS the two agree on HTTP/2, and a server would speak HTTP/1.1 too.",
        fixes: &[
            (Safe, "ask the port of the server that speaks HTTP/1.1"),
            (ChangesState, "let the server, or the proxy in front of it, accept HTTP/1.1 on that port too"),
        ],
        later: &[(Medium, "keep WebSockets and gRPC on listeners of their own, named by their protocol")],
        scenario: "",
    },
    Cause {
        code: "http.not_upgraded",
        layer: Layer::Http,
        title: "an ordinary page is answered where a WebSocket was asked for",
        explanation: "The server answered the upgrade with an ordinary, successful answer, as if it had been asked for \
                      a page. Mostly a handler for static files or for a single-page application takes every path that \
                      nothing else claims, so that a wrong path looks like success. Browsers say only that the \
                      connection failed.",
        settled_by: "A status from 200 to 299 instead of 101, with the request's own upgrade headers in the \
                     transcript and the beginning of the page.",
        confounder: "http.upgrade_headers_lost: the server would upgrade and does not see that it was asked to. \
                     Asking it directly, past every proxy, splits the two.",
        fixes: &[
            (Safe, "compare the path with the server's ready line; Sidetone's WebSocket is at /ws"),
            (Safe, "ask the server on its own machine, past the proxy"),
            (ChangesState, "register the WebSocket's path before the handler that takes everything else"),
        ],
        later: &[
            (Short, "let the handler for everything else answer 404 to requests that ask for an upgrade"),
            (Medium, "check the WebSocket itself in deployments, not only that its URL answers 200"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.upgrade_headers_lost",
        layer: Layer::Http,
        title: "the headers of the upgrade are lost on the way",
        explanation: "The client sent Upgrade and Connection, and the server answers as if they had not been there. \
                      These two headers are for one hop only: a proxy drops them unless it is told to pass on \
                      WebSockets, and many speak HTTP/1.0 to the server behind them by default. The server then sees an \
                      ordinary GET and says 426 or 400.",
        settled_by: "The status 426 or 400 with the transcript of the request that had the headers; the proxy names \
                     itself in the answer, and asked directly the server upgrades.",
        confounder: "The client omitted them: the transcript of the request tells. http.websocket_version_refused: a \
                     426 that names other versions than 13.",
        fixes: &[
            (
                Safe,
                "ask the server on its own machine, past the proxy: 101 there shows that the proxy loses the headers",
            ),
            (
                ChangesState,
                "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade",
            ),
            (
                ChangesState,
                "let other proxies pass on WebSockets for that path (Apache: mod_proxy_wstunnel, or upgrade=websocket)",
            ),
        ],
        later: &[
            (Short, "keep the proxy's configuration of WebSockets with the server's own, under test"),
            (Medium, "check the WebSocket through the proxy after each of its updates"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.upstream_failed",
        layer: Layer::Http,
        title: "a proxy answers, and the server behind it does not",
        explanation: "Something in front of the server took the request and could not get an answer from behind: 502 \
                      where it refused or broke off, 504 where it did not answer in time, 503 where there is none left \
                      to ask. What answers is alive; what it should ask is down, restarting, overloaded, or not where \
                      the proxy looks for it.",
        settled_by: "The status 502, 503 or 504, and what the proxy says of itself (Via, Server); its log names the \
                     address that it asked.",
        confounder: "The server's own 503: it says so in its own log, and its answer names no proxy.",
        fixes: &[
            (
                Safe,
                "ask the server behind the proxy directly, on its own machine: sidetone-harness probe ws://127.0.0.1:PORT/ws",
            ),
            (Safe, "read the proxy's error log: it names the address it asked and what came of it"),
            (ChangesState, "start the server, or correct its address in the proxy's configuration"),
        ],
        later: &[
            (Short, "alert on the server behind the proxy, not only on the proxy"),
            (
                Medium,
                "let the proxy check the health of what is behind it (GET /readyz), and start it after the server",
            ),
        ],
        scenario: "",
    },
    Cause {
        code: "http.redirected",
        layer: Layer::Http,
        title: "the request is sent on to somewhere else",
        explanation: "The server answers with a redirect. Clients of WebSockets do not follow those, so that a \
                      redirect from ws to wss, to another host or to a path with a slash at its end is the end for \
                      them, while a browser that loads a page notices nothing. Redirects that lead in a circle or \
                      never end are the same for pages.",
        settled_by: "The status 301, 302, 303, 307 or 308 with its Location; for pages the list of hops.",
        confounder: "http.forbidden: a redirect to a page for signing in means that credentials are wanted.",
        fixes: &[
            (Safe, "use the URL of the Location header at once, with ws for http and wss for https"),
            (
                ChangesState,
                "let the server upgrade at both addresses, or leave the WebSocket's path out of the redirect",
            ),
        ],
        later: &[
            (Short, "give people the URL that needs no redirect"),
            (Medium, "check each public URL of the WebSocket with the probe, those without TLS too"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.bad_accept_key",
        layer: Layer::Http,
        title: "the server's proof of the handshake is wrong",
        explanation: "The server answered 101, and Sec-WebSocket-Accept is missing or not what the request's key \
                      demands. It is made from the key by SHA-1 and Base64; a hand-made server gets it wrong (it \
                      hashes the decoded key, writes hexadecimal, uses a constant), or something between replays the \
                      answer to another request. Every client that follows RFC 6455 ends the connection.",
        settled_by: "The value that the key demands, computed from the transcript, beside the one that came.",
        confounder: "A cache between that replays an old answer: then the same wrong value comes twice, and asked \
                     directly the server is right.",
        fixes: &[
            (Safe, "ask twice: the same value for two different keys is a constant or a cached answer"),
            (Safe, "ask the server on its own machine, past every proxy"),
            (
                ChangesState,
                "make the value as RFC 6455 4.2.2 does: Base64 of SHA-1 of the key as sent and 258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
            ),
        ],
        later: &[
            (
                Short,
                "test the handshake with the example of RFC 6455 1.3: dGhlIHNhbXBsZSBub25jZQ== gives s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            ),
            (Medium, "leave the handshake to a library that is tested against others"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.subprotocol_not_agreed",
        layer: Layer::Http,
        title: "client and server do not agree on a subprotocol",
        explanation: "The client offers the subprotocols that it speaks, and the server has to choose one of them or \
                      none. It chose one that was not offered, chose none although one is needed, or refuses the \
                      upgrade because of the offer. Client and server are of different versions, another application \
                      answers at that path, or the server sends its own name whatever it is asked.",
        settled_by: "Sec-WebSocket-Protocol of the request beside that of the answer; where the offer is refused, the \
                     same upgrade without it gets 101.",
        confounder: "session.foreign_server_answered: another application has the path; what it says on the WebSocket \
                     tells.",
        fixes: &[
            (Safe, "compare the names byte for byte: they are case-sensitive; --subprotocol NAME asks for another one"),
            (ChangesState, "let the server choose from what was offered, or leave the header out"),
        ],
        later: &[
            (Short, "carry the version in the subprotocol's name, and let a new server speak the one before too"),
            (Medium, "test the server with a client that offers nothing and one that offers something unknown"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.websocket_version_refused",
        layer: Layer::Http,
        title: "the server speaks another version of the WebSocket protocol",
        explanation: "The server refuses version 13, which is RFC 6455 and the only one that is in use, and names \
                      others. It is a server from the time of the drafts (versions 0 to 8, until 2011), or one that \
                      compares the header wrongly. No client of today can speak to it.",
        settled_by: "The status 426 or 400 with a Sec-WebSocket-Version that does not have 13.",
        confounder: "http.upgrade_headers_lost: a 426 that names version 13 means that the server did not see the \
                     header.",
        fixes: &[
            (Safe, "see which server answers (the Server header), and how old it is"),
            (ChangesState, "update the server, or the library that makes its WebSocket"),
        ],
        later: &[
            (Short, "test the server with a browser of today"),
            (Medium, "watch the age of the libraries that face the network"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.header_too_large",
        layer: Layer::Http,
        title: "the server finds the request's headers too large",
        explanation: "The server or a proxy refuses the request because its headers are larger than it allows, mostly \
                      because of cookies or tokens that grew; some close the connection without a word instead. Other \
                      clients with fewer cookies get in, so that it looks like a fault of one user's machine.",
        settled_by: "The status 431, or a 400 that says so in its body, with the size of the headers that were sent.",
        confounder: "http.forbidden: the size does not matter there; the same request with small headers is refused \
                     too.",
        fixes: &[
            (Safe, "ask with fewer and smaller headers: without -H, without cookies"),
            (
                ChangesState,
                "raise the limit of whoever says 431 (nginx: large_client_header_buffers; Node: --max-http-header-size)",
            ),
        ],
        later: &[
            (Short, "keep cookies few and small, and set none for the WebSocket's path that it does not need"),
            (Medium, "measure the size of requests where they come in, and alert before the limit"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.no_reply_to_upgrade",
        layer: Layer::Http,
        title: "the server does not answer the request for an upgrade",
        explanation: "The connection is complete, the request was sent, and not one byte comes back. A handler waits \
                      for something that does not come (a lock, a database, a backend), a proxy waits for a server \
                      behind it, or nobody reads from the connection at all: the kernel accepts connections for a \
                      process that is stopped. Clients wait for as long as their own time-out, some for ever.",
        settled_by: "No byte within the deadline after the request, while another request to the same port is \
                     answered.",
        confounder: "process.stopped: no request is answered, whatever it asks for. The state of the process tells.",
        fixes: &[
            (Safe, "look at the process behind the port: run the probe on that machine"),
            (Safe, "read the server's log: does the request appear there"),
            (ChangesState, "start the server again if it does not answer anybody"),
        ],
        later: &[
            (Short, "give the handler of the upgrade a time-out that ends in a 503"),
            (Medium, "watch the WebSocket itself from outside, not an open port"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.response_too_slow",
        layer: Layer::Http,
        title: "the answer drips in too slowly to be of use",
        explanation: "The server answers and takes its time over each byte, so that no single read times out and the \
                      whole is never there. A server that is starved of processor or memory does it, a proxy that \
                      limits bandwidth, or somebody who ties up clients on purpose. A client without a deadline for \
                      the whole answer waits for ever.",
        settled_by: "Bytes came until the deadline and the headers of the answer were not complete.",
        confounder: "http.no_reply_to_upgrade: not one byte comes. tcp.bandwidth_capped: other traffic to that \
                     machine is slow too.",
        fixes: &[
            (Safe, "try a longer --timeout once: does the answer become complete, and at what rate"),
            (
                Safe,
                "look at load, memory and limits of bandwidth on the server's machine, and compare with a request there",
            ),
            (ChangesState, "start the server again if only it is slow"),
        ],
        later: &[
            (Short, "give clients a deadline for the whole answer, not only for each read"),
            (Medium, "alert on the time to the last byte of the headers"),
        ],
        scenario: "",
    },
    Cause {
        code: "http.rate_limited",
        layer: Layer::Http,
        title: "the server turns requests away because there are too many",
        explanation: "The server or a proxy in front counts requests or connections of a client, an address or \
                      everybody, and answers 429 above its limit. Many clients behind one address share one count; \
                      clients that try again at once keep themselves out. The server itself is well.",
        settled_by: "The status 429, and Retry-After where it is sent.",
        confounder: "http.upstream_failed: a 503 says that the server cannot, not that the client may not.",
        fixes: &[
            (Safe, "wait for as long as Retry-After says, and try once"),
            (Safe, "see whether many clients share the address, or one of them reconnects in a loop"),
            (ChangesState, "raise the limit for that address, or count by user instead"),
        ],
        later: &[
            (Short, "let clients wait longer after each failure, by a random share, and honour Retry-After"),
            (Medium, "alert on the share of requests that are turned away"),
        ],
        scenario: "",
    },
];
