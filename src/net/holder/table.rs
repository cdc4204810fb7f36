//! The text of `/proc/net/tcp` and `/proc/net/tcp6`. Pure.

use crate::event::{Holder, SocketRole};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One socket of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its own end; an IPv4 address on an IPv6 socket is given as IPv4.
    pub local: SocketAddr,
    /// The other end; `None` while it listens.
    pub remote: Option<SocketAddr>,
    /// The kernel's number of its state, for instance 10 for `LISTEN`.
    pub state: u8,
    /// 0: no process has it open.
    pub inode: u64,
}

const STATES: [&str; 13] = [
    "UNKNOWN",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;

impl Row {
    /// The kernel's name of the state.
    pub fn state_name(&self) -> &'static str {
        STATES.get(usize::from(self.state)).unwrap_or(&STATES[0])
    }

    /// What the socket is.
    pub const fn role(&self) -> SocketRole {
        match self.state {
            LISTEN => SocketRole::Listener,
            TIME_WAIT => SocketRole::TimeWait,
            _ => SocketRole::Connection,
        }
    }

    /// Whether this socket can stand in the way of a bind to `asked` (IPv6 with `IPV6_V6ONLY`).
    ///
    /// The table does not tell whether a socket on `[::]` serves IPv4 too, so it counts for IPv4 as well.
    pub fn conflicts(&self, asked: SocketAddr) -> bool {
        if self.local.port() != asked.port() {
            return false;
        }
        match (asked.ip().to_canonical(), self.local.ip()) {
            (asked, own) if asked.is_ipv4() == own.is_ipv4() => {
                asked == own || asked.is_unspecified() || own.is_unspecified()
            }
            (IpAddr::V4(_), own) => own.is_unspecified(),
            (IpAddr::V6(_), _) => false,
        }
    }

    /// Sorts the most relevant first: listeners, connections, `TIME_WAIT`; in each, the asked address and family first.
    pub fn rank(&self, asked: SocketAddr) -> impl Ord + use<> {
        let other_family = self.local.is_ipv4() != asked.is_ipv4();
        (self.role(), other_family, self.local.ip() != asked.ip(), self.inode == 0, self.remote)
    }

    /// The row as it is reported.
    pub fn holder(&self, owner: Option<(u32, Option<String>)>) -> Holder {
        let (pid, command) = owner.map_or((None, None), |(pid, command)| (Some(pid), command));
        Holder {
            local: self.local,
            remote: self.remote,
            role: self.role(),
            state: self.state_name().to_owned(),
            pid,
            command,
        }
    }
}

/// All rows that can be read; the heading and lines of another shape are skipped.
pub fn rows(text: &str) -> impl Iterator<Item = Row> {
    text.lines().filter_map(row)
}

fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let local = address(fields.get(1)?)?;
    let remote = address(fields.get(2)?)?;
    let state = u8::from_str_radix(fields.get(3)?, 16).ok()?;
    let inode = fields.get(9)?.parse().ok()?;
    Some(Row { local, remote: (state != LISTEN).then_some(remote), state, inode })
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !ip.is_ascii() {
        return None;
    }
    // Each group of eight digits is four bytes in network order, printed as one number of the machine's order.
    let group = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(group(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (n, bytes) in octets.chunks_exact_mut(4).enumerate() {
                bytes.copy_from_slice(&group(n * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The tables below were printed by a little-endian machine.
    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1D24 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41001 1 0000000000000000 100 0 0 10 0
   1: 00000000:1D25 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41002 1 0000000000000000 100 0 0 10 0
   2: 0500000A:9415 077100CB:01BB 01 00000000:00000000 00:00000000 00000000     0        0 41003 1 0000000000000000 20 4 30 10 -1
   3: 0100007F:1D24 0100007F:C350 06 00000000:00000000 03:0000176F 00000000     0        0 0 3 0000000000000000
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1D24 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 51001 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000000000000:1D26 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 51002 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1D24 0000000000000000FFFF00000100007F:C351 08 00000000:00000000 00:00000000 00000000     0        0 51003 1 0000000000000000 20 4 30 10 -1
   3: B80D0120000000000000000001000000:1D24 B80D0120000000000000000002000000:C352 01 00000000:00000000 00:00000000 00000000     0        0 51004 1 0000000000000000 20 4 30 10 -1
";

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn ipv4_rows_are_read_in_the_right_byte_order() {
        let read: Vec<_> = rows(TCP).collect();
        assert_eq!(read.len(), 4);
        assert_eq!(read[0], Row { local: at("127.0.0.1:7460"), remote: None, state: 10, inode: 41001 });
        assert_eq!(read[1].local, at("0.0.0.0:7461"));
        assert_eq!((read[2].local, read[2].remote), (at("10.0.0.5:37909"), Some(at("203.0.113.7:443"))));
        assert_eq!((read[2].state_name(), read[2].role()), ("ESTABLISHED", SocketRole::Connection));
        assert_eq!((read[3].state_name(), read[3].role(), read[3].inode), ("TIME_WAIT", SocketRole::TimeWait, 0));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn ipv6_rows_are_read_and_mapped_addresses_become_ipv4() {
        let read: Vec<_> = rows(TCP6).collect();
        assert_eq!(read[0].local, at("[::1]:7460"));
        assert_eq!(read[1].local, at("[::]:7462"));
        assert_eq!((read[2].local, read[2].remote), (at("127.0.0.1:7460"), Some(at("127.0.0.1:50001"))));
        assert_eq!(read[2].state_name(), "CLOSE_WAIT");
        assert_eq!((read[3].local, read[3].remote), (at("[2001:db8::1]:7460"), Some(at("[2001:db8::2]:50002"))));
    }

    #[test]
    fn other_lines_are_skipped() {
        let odd = "  sl  local\n\n 0: zz:1 00000000:0000 0A 1\n 0: 0100007F:1D24 00000000:0000 0A 0:0 0:0 0 0 0 x\n 0: é00007F:1D24 a b c";
        assert_eq!(rows(odd).count(), 0);
    }

    fn listening(local: &str) -> Row {
        Row { local: at(local), remote: None, state: LISTEN, inode: 1 }
    }

    #[test]
    fn exact_and_wildcard_addresses_conflict_either_way() {
        for (own, asked, expected) in [
            ("127.0.0.1:7460", "127.0.0.1:7460", true),
            ("127.0.0.1:7460", "127.0.0.1:7461", false),
            ("127.0.0.1:7460", "127.0.0.2:7460", false),
            ("127.0.0.1:7460", "0.0.0.0:7460", true),
            ("0.0.0.0:7460", "127.0.0.1:7460", true),
            ("[::1]:7460", "[::]:7460", true),
            ("[::]:7460", "[::1]:7460", true),
            ("[::1]:7460", "127.0.0.1:7460", false),
            ("[::]:7460", "127.0.0.1:7460", true),
            ("[::]:7460", "0.0.0.0:7460", true),
            ("[2001:db8::1]:7460", "0.0.0.0:7460", false),
            ("0.0.0.0:7460", "[::]:7460", false),
            ("127.0.0.1:7460", "[::ffff:127.0.0.1]:7460", true),
        ] {
            assert_eq!(listening(own).conflicts(at(asked)), expected, "{own} against {asked}");
        }
    }

    #[test]
    fn listeners_rank_before_connections_before_time_wait() {
        let asked = at("127.0.0.1:7460");
        let row = |state, local| Row { state, ..listening(local) };
        let mut all = [
            row(6, "127.0.0.1:7460"),
            row(1, "127.0.0.1:7460"),
            row(10, "[::]:7460"),
            row(10, "0.0.0.0:7460"),
            row(10, "127.0.0.1:7460"),
        ];
        all.sort_by_key(|r| r.rank(asked));
        assert_eq!(
            all.map(|r| (r.state, r.local.to_string())),
            [
                (10, "127.0.0.1:7460".to_owned()),
                (10, "0.0.0.0:7460".to_owned()),
                (10, "[::]:7460".to_owned()),
                (1, "127.0.0.1:7460".to_owned()),
                (6, "127.0.0.1:7460".to_owned()),
            ]
        );
    }
}
