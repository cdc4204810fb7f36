//! Connections.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, NeedsRoot, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `tcp`.
pub const CAUSES: &[Cause] = &[
    Cause {
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
    },
    Cause {
        code: "tcp.filtered",
        layer: Layer::Tcp,
        title: "packets are dropped",
        explanation: "The attempt to connect gets no answer of any kind, neither a connection nor a refusal: somebody on the way \
                      drops the packets, or their answers. Mostly that is a firewall on the server's machine or in front of \
                      it, a security group of a cloud, or a host that is down behind a router that does not say so. A server \
                      that is only not running would refuse at once.",
        settled_by: "connect gives no answer until the deadline, a LISTEN row matches, nothing waits in its queue and \
                      ListenOverflows has not risen.",
        confounder: "tcp.accept_queue_full: the queue of the listener is full and ListenOverflows rises. From another machine the \
                      two look alike.",
        fixes: &[
            (Safe, "run the probe on the server's machine: if it connects there, the filter is on the way"),
            (Safe, "try another port of the same machine: one that refuses at once shows that the machine is up"),
            (
                NeedsRoot,
                "let the port in: nft list ruleset or iptables -S shows what drops; a cloud has its security group besides",
            ),
        ],
        later: &[
            (Short, "reject instead of drop inside your own networks, so that clients know at once"),
            (Medium, "keep the rules of firewalls with the configuration of the service that needs them"),
            (Long, "probe from outside after each deployment, with a deadline"),
        ],
        scenario: "",
    },
    Cause {
        code: "tcp.rejected_by_filter",
        layer: Layer::Tcp,
        title: "a filter refuses for a server that listens",
        explanation: "The connection is refused at once as if nothing listened, and yet a socket of a running process listens on \
                      that address and port. So the refusal comes from a rule that rejects (reject with tcp reset, or an \
                      ICMP message) on this machine. The server never sees the attempt, and its log has nothing.",
        settled_by: "connect fails with ECONNREFUSED (111) although a LISTEN row of a process that runs covers the address, and its \
                      queue is not full.",
        confounder: "tcp.refused: there is no LISTEN row. net.ipv4.tcp_abort_on_overflow=1 resets when the accept queue is full.",
        fixes: &[
            (Safe, "look for the rule: nft list ruleset, iptables -S and ip6tables -S, as root"),
            (NeedsRoot, "take the rule away, or accept the port before it"),
        ],
        later: &[
            (Short, "keep the rules of the firewall with the configuration of the service that needs them"),
            (Medium, "probe from outside after each change of the rules"),
        ],
        scenario: "",
    },
    Cause {
        code: "tcp.accept_queue_full",
        layer: Layer::Tcp,
        title: "the accept queue is full",
        explanation: "Completed connections wait in a queue until the server calls accept, and that queue is full. The kernel then \
                      drops further attempts, so clients wait and try again, and time out. The server is overloaded, stuck \
                      in a lock or in one slow request, or asked for a queue that is too short (backlog, net.core.somaxconn).",
        settled_by: "connect times out or is very slow, more connections wait than the backlog allows, and ListenOverflows rises \
                      with each attempt.",
        confounder: "tcp.filtered: the queue is empty and ListenOverflows stands still. process.stopped and resource.fd_limit fill \
                      the queue, too: the process's state and its descriptors tell.",
        fixes: &[
            (Safe, "see what the server does instead of accepting: its log, top, /proc/PID/wchan of its threads"),
            (ChangesState, "start it again; connections that wait are lost"),
            (NeedsRoot, "raise net.core.somaxconn, and the backlog of the server with it"),
        ],
        later: &[
            (Short, "alert when ListenOverflows rises (nstat -az TcpExtListenOverflows)"),
            (Medium, "accept in a task of its own that does nothing else"),
            (Long, "limit clients in the server, and refuse the rest with words"),
        ],
        scenario: "",
    },
    Cause {
        code: "tcp.unreachable",
        layer: Layer::Tcp,
        title: "no way leads to the address",
        explanation: "There is no route to that address: this machine has none, or a router on the way says so. Typical are a \
                      cable, a Wi-Fi or a VPN that is down, an IPv6 address on a machine without IPv6, and a private address of \
                      another network. Nobody at the other end was asked.",
        settled_by: "connect fails with ENETUNREACH (101), EHOSTUNREACH (113) or ENETDOWN (100).",
        confounder: "tcp.filtered: no answer at all until the deadline. family.scope_id_missing: EINVAL for an address in fe80::/10.",
        fixes: &[
            (Safe, "look at the way: ip route get ADDRESS, and whether its interface is up: ip -br address"),
            (Safe, "use another address of the server, or the other family: -4 or -6"),
            (NeedsRoot, "bring the interface or the VPN up, or add the route"),
        ],
        later: &[
            (Short, "watch the way itself (the router, the VPN) beside the server"),
            (Medium, "give names only addresses that clients can reach"),
        ],
        scenario: "",
    },
    Cause {
        code: "tcp.reset_after_accept",
        layer: Layer::Tcp,
        title: "reset before a byte is answered",
        explanation: "The connection is completed and then reset without an answer. A program resets when it closes while bytes that \
                      it has not read are waiting, when it ends or crashes with the connection open, or when it sets SO_LINGER to \
                      0. A load balancer does the same when nothing is behind it, and a filter that looks into connections when \
                      it does not like what it sees.",
        settled_by: "connect succeeds, and read fails with ECONNRESET (104) after 0 bytes.",
        confounder: "tcp.closed_early: the end is orderly (read gives 0). A server of another protocol may reset when it is spoken to \
                      wrongly: then it answers in its own.",
        fixes: &[
            (Safe, "read the server's log of that second: it says why it closes, or that it ended"),
            (Safe, "if a proxy or load balancer is in front, probe the server behind it directly"),
            (Safe, "compare with the port of the server's ready line: another program may listen here"),
        ],
        later: &[
            (Short, "let the server say why it refuses, before it closes"),
            (Medium, "read what is waiting before close, so that the last words reach the client"),
        ],
        scenario: "",
    },
    Cause {
        code: "tcp.closed_early",
        layer: Layer::Tcp,
        title: "closed before a byte is answered",
        explanation: "The server accepts the connection and closes it in order, without an answer to anything that it was asked. \
                      So it does on purpose: a list of allowed addresses (TCP wrappers, a proxy's access list), a limit of \
                      clients, a service that is not configured, or a load balancer without a server behind it.",
        settled_by: "connect succeeds, and read gives 0 (FIN) without a byte before it, whatever is asked.",
        confounder: "tcp.reset_after_accept: ECONNRESET instead. A server of another protocol may close when it is spoken to wrongly: \
                      then it answers in its own.",
        fixes: &[
            (Safe, "read the server's log of that second: most programs say there whom they refuse and why"),
            (Safe, "probe from an address that is allowed, for instance on the server's machine"),
            (ChangesState, "if a list of addresses refuses, add the client's (its address is in the evidence)"),
        ],
        later: &[
            (Short, "let the server answer a refusal in its protocol before it closes"),
            (Medium, "let load balancers answer for themselves when nothing is behind them (503)"),
        ],
        scenario: "",
    },
    Cause {
        code: "tcp.proxy_header_expected",
        layer: Layer::Tcp,
        title: "a header of the PROXY protocol is expected",
        explanation: "The listener is meant for a load balancer that writes the client's address before everything else (the PROXY \
                      protocol: accept-proxy in HAProxy, proxy_protocol in nginx and Envoy). Who connects directly does not write \
                      that header, so the server ends the connection without a word. Mostly clients use the port behind the \
                      balancer, or the balancer stopped to send the header.",
        settled_by: "Every connection that begins otherwise ends without a byte, and one that begins with a header of the PROXY protocol \
                      is answered.",
        confounder: "tcp.closed_early: it closes after such a header as well.",
        fixes: &[
            (Safe, "connect through the load balancer, or to a listener without the PROXY protocol"),
            (
                ChangesState,
                "let the balancer in front send the header (send-proxy in HAProxy, proxy_protocol on in nginx), or turn it off in the listener",
            ),
        ],
        later: &[
            (Short, "name the listeners that expect the header as such in the configuration of both sides"),
            (Medium, "probe the way through the load balancer after each change of it"),
        ],
        scenario: "",
    },
    Cause {
        code: "tcp.proxy_interferes",
        layer: Layer::Tcp,
        title: "the proxy does not let the connection through",
        explanation: "The way goes through an HTTP proxy, and that does not connect: it cannot be reached, wants credentials, does \
                      not allow the port or the name, or cannot reach the target itself. The server was not asked. The same \
                      happens to programs that take a proxy from the environment (http_proxy, https_proxy) without anybody \
                      thinking of it.",
        settled_by: "The proxy refuses the connection, or answers CONNECT with another status than 200.",
        confounder: "tcp.refused: without a proxy nothing answers either. 502 and 504 of the proxy are its view of the target.",
        fixes: &[
            (Safe, "try it without the proxy: NO_PROXY for other programs, and no --proxy here"),
            (Safe, "give the proxy its credentials if it answers 407"),
            (
                ChangesState,
                "have the proxy allow the target's name and port (403, 405), or take a port that it allows: 443",
            ),
        ],
        later: &[
            (Short, "list hosts of your own network in no_proxy wherever http_proxy is set"),
            (Medium, "use port 443 with TLS for what must pass proxies"),
        ],
        scenario: "",
    },
    Cause {
        code: "tcp.ephemeral_ports_exhausted",
        layer: Layer::Tcp,
        title: "no port is left for outgoing connections",
        explanation: "Every outgoing connection needs a local port of the ephemeral range, and towards this address none is free: a \
                      program opens connections faster than they end, or keeps them. Closed ones stay in TIME_WAIT for 60 \
                      seconds. The server was not asked, and other addresses may still work.",
        settled_by: "connect fails with EADDRNOTAVAIL (99), and the ports of ip_local_port_range are in the socket table.",
        confounder: "resource.fd_limit: EMFILE, a limit of the process. bind.ephemeral_range_exhausted: bind to port 0 fails.",
        fixes: &[
            (Safe, "see who has them: ss -tanp, and how many are in TIME-WAIT: ss -s"),
            (ChangesState, "end or slow down the program that opens them"),
            (NeedsRoot, "widen the range: sysctl net.ipv4.ip_local_port_range=\"15000 60999\""),
        ],
        later: &[
            (Short, "let clients keep connections instead of opening one for each request"),
            (Medium, "alert at 80 % of the range"),
            (Long, "spread the load over several addresses"),
        ],
        scenario: "",
    },
];
