//! What can be said of names and addresses without asking anybody. Pure.

use sidetone::event::Family;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Errors of `getaddrinfo` (RFC 3493, section 6.1): below 0 those of Linux, above those of the BSDs and macOS.
const ERRORS: &[(i32, &str)] = &[
    (-1, "EAI_BADFLAGS"),
    (-2, "EAI_NONAME"),
    (-3, "EAI_AGAIN"),
    (-4, "EAI_FAIL"),
    (-5, "EAI_NODATA"),
    (-6, "EAI_FAMILY"),
    (-7, "EAI_SOCKTYPE"),
    (-8, "EAI_SERVICE"),
    (-9, "EAI_ADDRFAMILY"),
    (-10, "EAI_MEMORY"),
    (-11, "EAI_SYSTEM"),
    (-12, "EAI_OVERFLOW"),
    (1, "EAI_ADDRFAMILY"),
    (2, "EAI_AGAIN"),
    (3, "EAI_BADFLAGS"),
    (4, "EAI_FAIL"),
    (5, "EAI_FAMILY"),
    (6, "EAI_MEMORY"),
    (7, "EAI_NODATA"),
    (8, "EAI_NONAME"),
    (9, "EAI_SERVICE"),
    (10, "EAI_SOCKTYPE"),
    (11, "EAI_SYSTEM"),
];

/// Name of an error of `getaddrinfo`.
pub fn lookup_error(number: i32) -> String {
    let known = ERRORS.iter().find(|(n, _)| *n == number);
    known.map_or_else(|| format!("error {number} of getaddrinfo"), |(_, name)| (*name).to_owned())
}

/// Addresses that a hosts file gives a name (`hosts(5)`; case does not matter).
pub fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let line = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name.trim_end_matches('.'))).then_some(address)
    };
    text.lines().filter_map(line).collect()
}

/// Name servers of a `resolv.conf(5)`, as written.
pub fn name_servers(text: &str) -> Vec<String> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next().map(|word| word.chars().take(64).collect()))?
    };
    text.lines().filter_map(server).collect()
}

/// A literal address and, after `%`, its zone (RFC 4007, section 11): an interface's name or number.
pub fn literal(host: &str) -> Option<(IpAddr, Option<&str>)> {
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    let address: IpAddr = address.parse().ok()?;
    (zone.is_none() || address.is_ipv6()).then_some((address, zone))
}

/// An address with a port, and for IPv6 with the number of its interface (0: none).
pub fn with_scope(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), port),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, scope).into(),
    }
}

/// The families in turn, IPv6 first (RFC 8305, section 4); each address once, the order within a family as it was.
pub fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut once: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !once.contains(address) {
            once.push(*address);
        }
    }
    let (mut v6, mut v4): (Vec<_>, Vec<_>) = once.into_iter().partition(SocketAddr::is_ipv6);
    v6.reverse();
    v4.reverse();
    let mut order = Vec::new();
    loop {
        let next = [v6.pop(), v4.pop()];
        if next == [None, None] {
            return order;
        }
        order.extend(next.into_iter().flatten());
    }
}

/// Whether an address is of a family that is wanted.
pub fn wanted(address: &SocketAddr, only: Option<Family>) -> bool {
    only.is_none_or(|family| family == Family::of(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hosts_file_is_read_as_the_resolver_does() {
        let text = "127.0.0.1 localhost # loop\n# 10.0.0.1 a\n::1 ip6-localhost LOCALHOST\nfe80::1%lo0 localhost\n10.0.0.5\ta.example b\n";
        assert_eq!(in_hosts(text, "localhost"), ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(in_hosts(text, "A.example."), ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        assert_eq!(in_hosts(text, "10.0.0.5"), [] as [IpAddr; 0]);
        assert_eq!(in_hosts(text, "a"), [] as [IpAddr; 0], "a comment");
    }

    #[test]
    fn name_servers_are_those_that_are_switched_on() {
        let text =
            "# nameserver 1.1.1.1\nsearch example.org\nnameserver 10.0.0.53\n nameserver fe80::1%eth0\nnameserver\n";
        assert_eq!(name_servers(text), ["10.0.0.53", "fe80::1%eth0"]);
        assert_eq!(name_servers(""), [] as [String; 0]);
    }

    #[test]
    fn literals_may_have_a_zone() {
        assert_eq!(literal("fe80::1%eth0"), Some(("fe80::1".parse().unwrap(), Some("eth0"))));
        assert_eq!(literal("127.0.0.1"), Some(("127.0.0.1".parse().unwrap(), None)));
        assert_eq!((literal("127.0.0.1%eth0"), literal("localhost"), literal("")), (None, None, None));
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let all = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = all(&["10.0.0.1:9", "10.0.0.2:9", "10.0.0.1:9", "[::1]:9", "10.0.0.3:9", "[::2]:9"]);
        let order = all(&["[::1]:9", "10.0.0.1:9", "[::2]:9", "10.0.0.2:9", "10.0.0.3:9"]);
        assert_eq!(in_turn(&given), order);
        assert_eq!(in_turn(&[]), []);
    }

    #[test]
    fn errors_have_their_names() {
        assert_eq!((lookup_error(-2), lookup_error(-3)), ("EAI_NONAME".to_owned(), "EAI_AGAIN".to_owned()));
        assert_eq!(lookup_error(-99), "error -99 of getaddrinfo");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}", name in "\\PC{0,20}") {
            drop(in_hosts(&text, &name));
            drop(name_servers(&text));
            prop_assert!(literal(&name).is_none_or(|(_, zone)| zone.is_none_or(|zone| name.ends_with(zone))));
        }
    }
}
