//! Address families.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, NeedsRoot, Safe};
use crate::evidence::Horizon::{Medium, Short};
use crate::evidence::Layer;

/// Of the layer `family`.
pub const CAUSES: &[Cause] = &[
    Cause {
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
    },
    Cause {
        code: "family.server_v4_only",
        layer: Layer::Family,
        title: "the server listens on IPv4 only",
        explanation: "The name or the user leads clients to an IPv6 address, and the server listens on IPv4 alone, so the kernel \
                      refuses IPv6. Clients that try both families lose a moment; those that take the first address only, \
                      or -6, fail. Typical are a bind of 127.0.0.1 or 0.0.0.0 while localhost means ::1 too.",
        settled_by: "The IPv6 address refuses (ECONNREFUSED), the IPv4 address of the same port completes a connection, and the \
                     kernel's table has a LISTEN row for IPv4 only.",
        confounder: "A filter that rejects IPv6: then there is a LISTEN row for IPv6, which only the server's machine can tell. \
                     family.server_v6_only is the reverse.",
        fixes: &[
            (Safe, "use the IPv4 address, or -4"),
            (
                ChangesState,
                "let the server listen on both families: --bind 127.0.0.1 --bind ::1, or without --bind for all",
            ),
        ],
        later: &[
            (Short, "probe both families of every server: -4 and -6"),
            (Medium, "take AAAA records away where no server listens on IPv6"),
        ],
        scenario: "",
    },
    Cause {
        code: "family.server_v6_only",
        layer: Layer::Family,
        title: "the server listens on IPv6 only",
        explanation: "The server listens on an IPv6 address, or on :: with IPV6_V6ONLY, and clients come by IPv4: the kernel \
                      refuses them. A bind of :: takes IPv4 as well only without IPV6_V6ONLY, which the program or \
                      net.ipv6.bindv6only decides. So the same server works on one machine and not on the next.",
        settled_by: "The IPv4 address refuses (ECONNREFUSED), the IPv6 address of the same port completes a connection, and the \
                     only LISTEN row is for IPv6 with IPV6_V6ONLY.",
        confounder: "A filter that rejects IPv4: then the LISTEN row covers IPv4. family.server_v4_only is the reverse.",
        fixes: &[
            (Safe, "use the IPv6 address, or -6"),
            (ChangesState, "let the server listen on both families: --bind 0.0.0.0 --bind ::, or without IPV6_V6ONLY"),
        ],
        later: &[
            (Short, "probe both families of every server: -4 and -6"),
            (Medium, "bind each family on its own, so that no setting of the machine decides"),
        ],
        scenario: "",
    },
    Cause {
        code: "family.name_gives_one_family",
        layer: Layer::Family,
        title: "the server listens on the other family",
        explanation: "The name resolves to addresses of one family only, and the server of that port listens on the other. Often \
                      it is localhost, which in /etc/hosts may be 127.0.0.1 alone while the server took ::1, or the other way \
                      round. Both sides are as they were told, and do not meet.",
        settled_by: "getaddrinfo gives addresses of one family, they refuse (ECONNREFUSED), and the kernel's table has a LISTEN \
                     row of the other family only.",
        confounder: "family.server_v4_only and family.server_v6_only: there the name gives both families, or the address was typed.",
        fixes: &[
            (Safe, "use the address on which the server listens instead of the name"),
            (ChangesState, "let the server listen on both families"),
            (NeedsRoot, "give the name both addresses in /etc/hosts or in DNS"),
        ],
        later: &[
            (Short, "write addresses, not localhost, where only one family is meant"),
            (Medium, "give localhost both addresses in every image: 127.0.0.1 and ::1"),
        ],
        scenario: "",
    },
    Cause {
        code: "family.slow_fallback",
        layer: Layer::Family,
        title: "one family is lost, and clients wait for it",
        explanation: "The name has addresses of both families, and packets to one of them get lost. A client that follows RFC 8305 \
                      waits 250 ms before it tries the next address; others wait for their whole timeout, a minute or more. \
                      The server works, and yet every connection begins with a pause. Typical is IPv6 that is announced and not routed.",
        settled_by: "The first address gives no answer until the deadline (ETIMEDOUT), one of the other family completes at once.",
        confounder: "tcp.filtered: no family answers. tcp.high_latency: both families are slow.",
        fixes: &[
            (Safe, "use the family that works: -4 or -6, or its address"),
            (
                NeedsRoot,
                "repair the way of the other family, or reject instead of drop, so that clients fall back at once",
            ),
            (NeedsRoot, "take the record of the family that does not work out of DNS"),
        ],
        later: &[
            (Short, "watch both families from outside, each on its own"),
            (Medium, "use clients that follow RFC 8305 (Happy Eyeballs)"),
        ],
        scenario: "",
    },
    Cause {
        code: "family.scope_id_missing",
        layer: Layer::Family,
        title: "a link-local address without its interface",
        explanation: "Addresses in fe80::/10 mean something on one link only, and every interface has that network. Without \
                      saying which interface is meant the kernel cannot send anything, and refuses with EINVAL before any \
                      packet. The address itself may be right: it needs a zone, as in fe80::1%eth0.",
        settled_by: "The address is in fe80::/10 and has no zone, and connect fails with EINVAL (22).",
        confounder: "tcp.unreachable: ENETUNREACH (101) or EHOSTUNREACH (113), with a zone.",
        fixes: &[
            (Safe, "name the interface: [fe80::1%eth0]:PORT; ip -6 neigh shows behind which one the neighbour is"),
            (Safe, "use another address of the server, for instance the one that it announces by mDNS"),
        ],
        later: &[
            (Short, "do not write link-local addresses into configurations"),
            (Medium, "give the network unique local addresses (fd00::/8), which need no zone"),
        ],
        scenario: "",
    },
];
