//! Ports and addresses.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, NeedsRoot, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `bind`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "bind.port_in_use",
        layer: Layer::Bind,
        title: "another program listens on the port",
        explanation: "The server asked for a port on which another process listens already, so the kernel refused \
                      with EADDRINUSE. Most often that is an earlier instance of the same server that never ended, a \
                      second service with the same default port, or a container that publishes the port. \
                      SO_REUSEADDR does not help: it never lets two sockets share a port while one of them listens. \
                      Clients that connect to the port nevertheless reach the other program.",
        settled_by: "bind or listen failed with EADDRINUSE (98), and the kernel's table has a LISTEN row for the \
                     same address and port that belongs to another process.",
        confounder: "bind.port_in_time_wait and bind.port_taken_by_outgoing give the same errno, but there the table \
                     has no LISTEN row for the port; with bind.wildcard_conflict the row is there, for another \
                     address.",
        fixes: &[
            (Safe, "start the server on another port, or with --on-bind-failure next to take the next free one"),
            (ChangesState, "end the program that listens (ss -ltnp names it) and start the server again"),
            (
                NeedsRoot,
                "if ss shows no owner, ask as root (ss -ltnp): the processes of other users are hidden from you",
            ),
        ],
        later: &[
            (Short, "give each service of the machine a port of its own and write the list down"),
            (
                Medium,
                "let the service manager own the server, so that an old instance has ended before a new one starts",
            ),
            (
                Long,
                "hand the listening socket over from the service manager (socket activation), so that no start races for it",
            ),
        ],
        scenario: "websocket-port-held",
    },
    Cause {
        code: "bind.port_in_time_wait",
        layer: Layer::Bind,
        title: "closed connections still occupy the port",
        explanation: "Nobody holds the port any more, but connections that its former owner closed first are kept by \
                      the kernel in TIME_WAIT for 60 seconds. A new bind passes over them only if the old socket and \
                      the new one both have set SO_REUSEADDR. The old one had not, so the new one gets EADDRINUSE \
                      although it did everything right.",
        settled_by: "bind failed with EADDRINUSE (98), and all rows of the port in the kernel's table are in \
                     TIME_WAIT, with inode 0 and no process. It goes away by itself within 60 seconds.",
        confounder: "bind.port_in_use has a LISTEN row with an owner, and waiting does not help.",
        fixes: &[
            (Safe, "wait 60 seconds and start the server again"),
            (Safe, "start the server on another port until then"),
        ],
        later: &[
            (Short, "let the service manager try again for longer than 60 seconds before it gives up"),
            (
                Medium,
                "set SO_REUSEADDR in the program that had the port before; accepted connections inherit it from its listener",
            ),
            (Long, "let clients close first: TIME_WAIT stays with the side that closes first"),
        ],
        scenario: "websocket-port-time-wait",
    },
    Cause {
        code: "bind.port_taken_by_outgoing",
        layer: Layer::Bind,
        title: "an outgoing connection uses the port as its local end",
        explanation: "The asked port lies in the ephemeral range (ip_local_port_range, usually 32768-60999), from \
                      which the kernel takes the local port of every outgoing connection. One of them was given this \
                      port, so it cannot be bound on the same address or on a wildcard that covers it. Nobody \
                      listens there: clients are refused, and a look for listeners finds none. It is chance, so the \
                      same server starts well on most days.",
        settled_by: "bind failed with EADDRINUSE (98), the kernel's table has a connected row with that local port \
                     and an owner, and it has no LISTEN row for it.",
        confounder: "bind.port_in_time_wait: those rows have no owner and are gone after 60 seconds; a connection \
                     may last for days.",
        fixes: &[
            (Safe, "use a port below the ephemeral range, for instance 7461"),
            (ChangesState, "end the program that has the connection, or make it reconnect, and start the server again"),
            (
                NeedsRoot,
                "reserve the port for the next time: sysctl net.ipv4.ip_local_reserved_ports=PORT (it replaces the list: repeat what \
                 is in it)",
            ),
        ],
        later: &[
            (Short, "move the service to a port below 32768"),
            (
                Medium,
                "where the port must stay, set net.ipv4.ip_local_reserved_ports in /etc/sysctl.d for every machine",
            ),
            (Long, "check in deployment that no configured port lies in ip_local_port_range unless it is reserved"),
        ],
        scenario: "websocket-port-outgoing",
    },
    Cause {
        code: "bind.bound_not_listening",
        layer: Layer::Bind,
        title: "a socket is bound to the port and does not listen",
        explanation: "A process has bound the port and has not called listen (yet). The kernel counts the port as \
                      taken (unless both sides have set SO_REUSEADDR) and refuses every connection to it. The socket \
                      is in no line of /proc/net/tcp, since that lists only listening and connected ones, so the \
                      port looks free. It comes about when a program waits between bind and listen, or reserves a \
                      port and forgets it.",
        settled_by: "A second bind fails with EADDRINUSE (98) while the kernel's table has no row with that port, \
                     and a connection is refused (ECONNREFUSED).",
        confounder: "tcp.refused without a server: there the second bind succeeds.",
        fixes: &[
            (Safe, "find the holder: ss -tnpB (bound and inactive sockets; Linux and iproute2 6.8 or later)"),
            (Safe, "start the server on another port"),
            (ChangesState, "end the program that holds the socket and start the server again"),
        ],
        later: &[
            (Short, "call listen right after bind, and do what takes long before both"),
            (Medium, "to reserve a port, listen on it and hand that socket on instead of a number"),
        ],
        scenario: "bound-not-listening",
    },
    Cause {
        code: "bind.permission_denied",
        layer: Layer::Bind,
        title: "the port is privileged",
        explanation: "Ports below ip_unprivileged_port_start (1024 unless somebody changed it) may be bound only \
                      with the capability CAP_NET_BIND_SERVICE. The server does not have it: it runs as an ordinary \
                      user, or as root in a container or a service that dropped the capability. The same command \
                      works for whoever tries it as root.",
        settled_by: "bind failed with EACCES (13), the port is below ip_unprivileged_port_start, and the process \
                     lacks CAP_NET_BIND_SERVICE (CapEff in /proc/PID/status).",
        confounder: "A security module (SELinux, AppArmor) denies with EACCES as well; then ports above the limit \
                     are denied, too, and the audit log names the module.",
        fixes: &[
            (Safe, "use a port from 1024 up, for instance 7461"),
            (
                NeedsRoot,
                "give the service the capability: AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit, or setcap \
                 cap_net_bind_service=+ep on the binary (an update of the file loses that)",
            ),
            (NeedsRoot, "or lower the limit for the whole machine: sysctl net.ipv4.ip_unprivileged_port_start=PORT"),
        ],
        later: &[
            (Short, "do not start servers as root for the sake of a port: give them the one capability"),
            (
                Medium,
                "put a proxy or a socket-activated unit on the privileged port and let the server keep a high one",
            ),
        ],
        scenario: "privileged-port",
    },
    Cause {
        code: "bind.address_not_local",
        layer: Layer::Bind,
        title: "the address is not one of this machine",
        explanation: "The server was told to bind an address that no interface of this machine, or of its network \
                      namespace, has. Typical are an address of the host used inside a container, the public address \
                      of a machine behind NAT, a copied configuration, or an interface that is not up yet at boot. \
                      The kernel refuses with EADDRNOTAVAIL, whatever the port.",
        settled_by: "bind failed with EADDRNOTAVAIL (99), and no interface lists the address (ip address).",
        confounder: "An interface that comes up late: the address is listed by the time you look, and a second start \
                     works. If it is only ::1 that fails, IPv6 is switched off.",
        fixes: &[
            (Safe, "bind an address that ip address lists, or 0.0.0.0 and :: for all of them"),
            (ChangesState, "if the address is listed by now, start the server again"),
            (NeedsRoot, "if it belongs to this machine, add it: ip address add ADDRESS/PREFIX dev INTERFACE"),
        ],
        later: &[
            (Short, "bind the wildcard and decide with a firewall who may connect, where addresses change"),
            (Medium, "start the server after network-online.target, so that its interface has its addresses"),
            (Long, "for an address that moves between machines set net.ipv4.ip_nonlocal_bind=1 on all of them"),
        ],
        scenario: "address-not-local",
    },
    Cause {
        code: "bind.wildcard_conflict",
        layer: Layer::Bind,
        title: "another address of the same port is taken",
        explanation: "The server asked for the wildcard (0.0.0.0 or ::), and another process listens on one address \
                      of the same port, or the other way round. A wildcard covers every address, so the two overlap \
                      and the kernel refuses with EADDRINUSE. SO_REUSEADDR does not help while one of them listens. \
                      A dual-stack listener on :: without IPV6_V6ONLY overlaps with IPv4 addresses too.",
        settled_by: "bind or listen failed with EADDRINUSE (98), and the LISTEN row of that port is for another \
                     address, where one of the two is a wildcard.",
        confounder: "bind.port_in_use: the LISTEN row is for exactly the asked address.",
        fixes: &[
            (Safe, "bind only the address that is needed and free, for instance --bind with the address of the LAN"),
            (Safe, "start the server on another port"),
            (ChangesState, "end the other listener (ss -ltnp names it) and start the server again"),
        ],
        later: &[
            (Short, "bind every service of the machine either to the wildcard or each to its own addresses"),
            (Medium, "give each service a port of its own, so that addresses never decide who may start"),
        ],
        scenario: "wildcard-conflict",
    },
    Cause {
        code: "bind.ephemeral_range_exhausted",
        layer: Layer::Bind,
        title: "no port of the ephemeral range is free",
        explanation: "The server asked for port 0, that is any free port of ip_local_port_range, and every one of \
                      them is taken. A program that leaks connections, very many short connections in TIME_WAIT, or \
                      a range that was made small use it up. The kernel answers EADDRINUSE although nobody asked for \
                      a certain port. Outgoing connections of the machine begin to fail with EADDRNOTAVAIL at the \
                      same time.",
        settled_by: "bind of port 0 failed with EADDRINUSE (98), and sockets with local ports of the range fill it.",
        confounder: "tcp.ephemeral_ports_exhausted is the same shortage seen by connect, with EADDRNOTAVAIL; \
                     bind.port_in_use is about one port that was asked for by its number.",
        fixes: &[
            (Safe, "give the server a fixed port outside the range, for instance --port 7460 --websocket-port 7461"),
            (
                ChangesState,
                "find who holds the most (ss -tanp) and end or restart it; TIME_WAIT is gone after 60 seconds",
            ),
            (NeedsRoot, "widen the range: sysctl net.ipv4.ip_local_port_range=\"15000 60999\""),
        ],
        later: &[
            (Short, "alert on the number of sockets in ip_local_port_range, before it is full"),
            (Medium, "keep connections open and use them again instead of opening one for each request"),
            (Long, "give services fixed ports, and spread clients of many connections over several addresses"),
        ],
        scenario: "ephemeral-range-exhausted",
    },
    Cause {
        code: "bind.other_network_namespace",
        layer: Layer::Bind,
        title: "the server listens in another network namespace",
        explanation: "A process listens on the port, but in a network namespace of its own: a container, a service with \
                      PrivateNetwork=, or something that was started with ip netns exec. Its loopback and its ports are not those \
                      of the machine, so here nothing listens and connections are refused. Seen from inside everything is well.",
        settled_by: "A connection is refused here, and /proc/PID/net/tcp of a process whose ns/net differs from ours has a LISTEN \
                     row for the port.",
        confounder: "tcp.refused: nothing listens anywhere. A published port of a container forwards from here, and then there is a \
                     listener or a rule here too.",
        fixes: &[
            (Safe, "connect to the address of the namespace: nsenter --net --target PID ip -br address"),
            (ChangesState, "publish the port (docker run --publish PORT:PORT), and bind 0.0.0.0 inside, not 127.0.0.1"),
            (NeedsRoot, "look from inside: nsenter --net --target PID sidetone-harness probe :PORT"),
        ],
        later: &[
            (Short, "write down which ports each container publishes"),
            (Medium, "probe services by the address that their clients use, from outside the container"),
        ],
        scenario: "",
    },
    Cause {
        code: "bind.loopback_only",
        layer: Layer::Bind,
        title: "the server listens on loopback only",
        explanation: "The server listens on 127.0.0.1 or ::1, which only programs of the same machine reach, and clients come to \
                      another address of it. The kernel refuses them at once: that address has no listener. It is a usual and \
                      safe default, and a usual surprise when the first client from outside comes.",
        settled_by: "The address refuses (ECONNREFUSED), and every LISTEN row of the port is for a loopback address.",
        confounder: "tcp.filtered: no answer until the deadline. tcp.rejected_by_filter: the LISTEN row covers the address.",
        fixes: &[
            (Safe, "on the same machine, use 127.0.0.1 or ::1"),
            (ChangesState, "let the server listen on the address, or on all of them: --bind 0.0.0.0 --bind ::"),
        ],
        later: &[
            (Short, "decide for each service who may reach it, and write its bind address down"),
            (Medium, "bind only what is needed, and put a proxy with TLS before what others reach"),
        ],
        scenario: "",
    },
];
