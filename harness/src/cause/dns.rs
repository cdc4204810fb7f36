//! Names.

use super::Cause;
use crate::evidence::FixKind::{NeedsRoot, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `dns`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "dns.name_not_found",
        layer: Layer::Dns,
        title: "the name does not exist",
        explanation: "The resolver answered, and says that there is no such name (NXDOMAIN). Mostly it is a slip of the \
                      keyboard, a name that only another network or a VPN knows, or a record that was never made or has \
                      been taken away. No packet was ever sent to a server.",
        settled_by: "getaddrinfo fails with EAI_NONAME (-2) for every family that was asked for.",
        confounder: "dns.resolver_unavailable: the error is EAI_AGAIN (-3), and nothing is known of the name. A name that exists \
                     without an address gives EAI_NODATA (-5).",
        fixes: &[
            (Safe, "check the spelling; getent ahosts NAME shows what this machine finds"),
            (Safe, "if the address is known, go on with --resolve NAME:PORT:ADDRESS or the address itself"),
            (NeedsRoot, "if the name is of this network, make the record, or a line in /etc/hosts"),
        ],
        later: &[
            (Short, "check in deployment that every configured name resolves where it is used"),
            (Medium, "keep names and servers in one place, so that a removed server takes its name with it"),
        ],
        scenario: "",
    },
    Cause {
        code: "dns.resolver_unavailable",
        layer: Layer::Dns,
        title: "the resolver does not answer",
        explanation: "This machine could not ask anybody for the address: the name servers of /etc/resolv.conf did not answer, \
                      refused, or failed themselves. Whether the name exists is not known, and the server behind it may be \
                      perfectly well. Everything on this machine that uses names has the same trouble.",
        settled_by: "getaddrinfo fails with EAI_AGAIN (-3) or EAI_FAIL (-4), or gives no answer until the deadline, and \
                     /etc/resolv.conf names a server.",
        confounder: "dns.name_not_found: the resolver answers, and says that there is no such name. One broken zone gives the same \
                     error: then other names resolve.",
        fixes: &[
            (Safe, "try another name (getent ahosts example.org): if it resolves, only that zone is broken"),
            (Safe, "go on without a resolver: --resolve NAME:PORT:ADDRESS or the address itself"),
            (NeedsRoot, "check that the servers in /etc/resolv.conf can be reached on port 53, or name others"),
        ],
        later: &[
            (Short, "name two servers in /etc/resolv.conf, in different networks"),
            (Medium, "run a caching resolver on the machine, and watch it"),
        ],
        scenario: "",
    },
    Cause {
        code: "dns.resolver_slow",
        layer: Layer::Dns,
        title: "the resolver is slow",
        explanation: "The name was resolved, but only after so long that people notice: every new connection begins with that \
                      wait. Typical are a first name server that does not answer, so that each lookup waits 5 seconds \
                      for the second one, and a server that drops questions for IPv6 addresses. The way to the server itself is fast.",
        settled_by: "The lookup takes longer than a second, or one family times out, while a connection to the address is fast.",
        confounder: "tcp.high_latency: the connection is slow as well. A first lookup after a long time may be slow once: the second \
                     one is fast then.",
        fixes: &[
            (Safe, "look it up twice: time getent ahosts NAME; a second fast answer means an empty cache, not a fault"),
            (Safe, "go on without a resolver: --resolve NAME:PORT:ADDRESS, or -4 if only IPv6 questions are slow"),
            (NeedsRoot, "take servers that do not answer out of /etc/resolv.conf, or set options timeout:1 attempts:2"),
        ],
        later: &[
            (Short, "watch dns.resolve with --max dns.resolve=100ms"),
            (Medium, "run a caching resolver on the machine"),
        ],
        scenario: "",
    },
    Cause {
        code: "dns.no_address_of_family",
        layer: Layer::Dns,
        title: "the name has no address of that family",
        explanation: "The name exists, and it has no address of the family that was asked for, by -4 or -6 or because only \
                      one is of use here. The other family would do, where it can be used. Nobody was asked for a connection.",
        settled_by: "getaddrinfo gives addresses of the other family, or EAI_NODATA (-5): the name is there and has none.",
        confounder: "family.server_v4_only: there the name has addresses of both families, and one is refused.",
        fixes: &[
            (Safe, "leave -4 or -6 away"),
            (NeedsRoot, "add the missing record (A for IPv4, AAAA for IPv6), if the server listens on that family"),
        ],
        later: &[
            (Short, "probe both families after each change: -4 and -6"),
            (Long, "give public names both records, and servers both families"),
        ],
        scenario: "",
    },
    Cause {
        code: "dns.resolver_not_configured",
        layer: Layer::Dns,
        title: "this machine has no resolver",
        explanation: "There is no name server in /etc/resolv.conf, or the file cannot be read, so only names in /etc/hosts \
                      can be resolved. Typical are a minimal container, a link to a file that a stopped service would have \
                      written (systemd-resolved, a DHCP client, a VPN), and a network that is not up yet.",
        settled_by: "getaddrinfo fails with EAI_AGAIN (-3), and /etc/resolv.conf has no line nameserver.",
        confounder: "dns.resolver_unavailable: there are servers in the file, and they do not answer.",
        fixes: &[
            (Safe, "go on without a resolver: --resolve NAME:PORT:ADDRESS or the address itself"),
            (Safe, "see where the file comes from: ls -l /etc/resolv.conf"),
            (NeedsRoot, "start the service that writes it, or write a line: nameserver ADDRESS"),
        ],
        later: &[
            (Short, "start programs that use names after the network is up (network-online.target)"),
            (Medium, "give containers a resolver in their description, not by hand"),
        ],
        scenario: "",
    },
];
