//! `/proc/net/tcp` and `/proc/net/tcp6`, with owners by `/proc/PID/fd`.

use crate::evidence::SocketRow;
use crate::launch::resources;
use nix::fcntl::readlinkat;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// See [`super::table`].
pub fn table(pids: &[u32], ports: &[u16]) -> Result<Vec<SocketRow>, String> {
    let rows = look(pids, ports)?;
    // As in the other reader: a socket that came or went between the scans deserves a second look.
    if rows.iter().any(|r| r.inode != 0 && r.pids.is_empty()) { look(pids, ports) } else { Ok(rows) }
}

/// Every local port of a TCP socket in any state.
pub fn local_ports() -> Result<BTreeSet<u16>, String> {
    Ok(all()?.into_iter().map(|row| row.local.port()).collect())
}

fn all() -> Result<Vec<SocketRow>, String> {
    all_of("/proc")
}

/// Every TCP socket of a network namespace, without owners: `/proc` for ours, `/proc/PID` for that of a process.
pub(crate) fn all_of(folder: &str) -> Result<Vec<SocketRow>, String> {
    let mut rows = read(&format!("{folder}/net/tcp"), 8)?;
    rows.extend(read(&format!("{folder}/net/tcp6"), 32)?);
    Ok(rows)
}

fn look(pids: &[u32], ports: &[u16]) -> Result<Vec<SocketRow>, String> {
    let mut owners = owners(pids.iter().copied());
    let mut rows: Vec<_> =
        all()?.into_iter().filter(|r| ports.contains(&r.local.port()) || owners.contains_key(&r.inode)).collect();
    if rows.iter().any(|r| r.inode != 0 && !owners.contains_key(&r.inode)) {
        // Somebody else is on one of our ports: who?
        owners = self::owners(resources::pids());
    }
    for row in &mut rows {
        row.pids = owners.get(&row.inode).map(|pids| pids.iter().copied().collect()).unwrap_or_default();
    }
    Ok(rows)
}

fn read(path: &str, digits: usize) -> Result<Vec<SocketRow>, String> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text, digits).map_err(|line| format!("{path}: cannot read the line {line:?}")),
        // A kernel without IPv6 has no such file.
        Err(error) if error.kind() == io::ErrorKind::NotFound && digits == 32 => Ok(Vec::new()),
        Err(error) => Err(format!("cannot read {path}: {error}")),
    }
}

/// The processes that hold each socket inode, of those that we may look at.
fn owners(pids: impl Iterator<Item = u32>) -> BTreeMap<u64, BTreeSet<u32>> {
    let mut owners: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    for pid in pids {
        for inode in sockets_of(pid).into_iter().flatten() {
            owners.entry(inode).or_default().insert(pid);
        }
    }
    owners
}

/// Inodes of the sockets that a process has.
///
/// # Errors
/// It is gone, or may not be looked at.
pub(crate) fn sockets_of(pid: u32) -> io::Result<Vec<u64>> {
    let folder = format!("/proc/{pid}/fd");
    // from the open folder each name is one step instead of four: with thousands of descriptors that is most of the time
    let open = fs::File::open(&folder)?;
    let mut found = Vec::new();
    for descriptor in fs::read_dir(&folder)? {
        // it may have been closed meanwhile
        let Ok(target) = descriptor.and_then(|one| Ok(readlinkat(&open, one.file_name().as_os_str())?)) else {
            continue;
        };
        found.extend(target.to_str().and_then(socket_inode));
    }
    Ok(found)
}

/// `socket:[12345]`.
pub(crate) fn socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Reads a whole table with addresses of so many hexadecimal digits. The error is the first line that is not understood.
fn parse(text: &str, digits: usize) -> Result<Vec<SocketRow>, String> {
    // The first line is the heading.
    text.lines().skip(1).map(|line| parse_row(line, digits).ok_or_else(|| line.to_owned())).collect()
}

/// `sl local remote state tx:rx timer:when retransmits uid timeout inode ...`
fn parse_row(line: &str, digits: usize) -> Option<SocketRow> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [_, local, remote, state, queues, _, _, _, _, inode, ..] = words[..] else { return None };
    let state = state_name(u8::from_str_radix(state, 16).ok()?);
    let (_, rx_queue) = queues.split_once(':')?;
    Some(SocketRow {
        local: parse_address(local, digits)?,
        remote: Some(parse_address(remote, digits)?).filter(|_| state != "LISTEN"),
        state: state.to_owned(),
        inode: inode.parse().ok()?,
        pids: Vec::new(),
        rx_queue: Some(u64::from_str_radix(rx_queue, 16).ok()?),
    })
}

/// `0100007F:1F90`: the kernel prints each four bytes of the address (which is in network order) as a number of this
/// machine, and the port as a plain number.
fn parse_address(text: &str, digits: usize) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    if address.len() != digits || !address.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (word, place) in address.as_bytes().chunks(8).zip(bytes.chunks_mut(4)) {
        let word = u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok()?;
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let address = match bytes {
        [a, b, c, d, ..] if digits == 8 => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::from(Ipv6Addr::from(bytes)),
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

pub(crate) const fn state_name(state: u8) -> &'static str {
    match state {
        1 => "ESTABLISHED",
        2 => "SYN_SENT",
        // 12 is a request that the kernel shows by netlink as SYN_RECV.
        3 | 12 => "SYN_RECV",
        4 => "FIN_WAIT1",
        5 => "FIN_WAIT2",
        6 => "TIME_WAIT",
        7 => "CLOSE",
        8 => "CLOSE_WAIT",
        9 => "LAST_ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADING: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn rows(lines: &str, digits: usize) -> Vec<SocketRow> {
        parse(&format!("{HEADING}{lines}"), digits).unwrap()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_ipv4_table() {
        let found = rows(
            "   0: 0100007F:1D24 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 64123 1 0000000000000000 100 0 0 10 0\n   \
               1: 0500000A:9415 077100CB:01BB 01 00000000:0000001F 02:000A7A2E 00000000     0        0 777 2 0000000000000000 20 4 30 10 -1\n   \
               2: 0100007F:9416 0100007F:1D24 06 00000000:00000000 03:000016E4 00000000     0        0 0 3 0000000000000000\n",
            8,
        );
        let texts: Vec<_> = found
            .iter()
            .map(|r| {
                format!("{} {:?} {} {} {:?}", r.local, r.remote.map(|a| a.to_string()), r.state, r.inode, r.rx_queue)
            })
            .collect();
        assert_eq!(
            texts,
            [
                "127.0.0.1:7460 None LISTEN 64123 Some(2)",
                "10.0.0.5:37909 Some(\"203.0.113.7:443\") ESTABLISHED 777 Some(31)",
                "127.0.0.1:37910 Some(\"127.0.0.1:7460\") TIME_WAIT 0 Some(0)",
            ]
        );
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_ipv6_table_with_a_mapped_address() {
        let zero = "0".repeat(32);
        let rest = "00000000:00000000 00:00000000 00000000 0 0 5";
        let found = rows(
            &format!(
                "0: 00000000000000000000000001000000:1D25 {zero}:0000 0A {rest}\n\
                 1: B80D0120DEC0ADDE0403020108070605:0050 0000000000000000FFFF00000100007F:1F90 01 {rest}\n"
            ),
            32,
        );
        assert_eq!(found[0].local.to_string(), "[::1]:7461");
        assert_eq!(found[0].remote, None);
        assert_eq!(found[1].local.to_string(), "[2001:db8:dead:c0de:102:304:506:708]:80");
        assert_eq!(found[1].remote.unwrap().to_string(), "[::ffff:127.0.0.1]:8080");
    }

    #[test]
    fn what_is_not_understood_is_an_error_not_a_gap() {
        for line in ["nonsense", "0: 0100007F:1D24 00000000:0000 0A", "0: 0100007:1 00000000:0 0A 0:0 0 0 0 0 5"] {
            assert_eq!(parse(&format!("{HEADING}{line}\n"), 8), Err(line.to_owned()));
        }
        assert_eq!(rows("", 8), []);
        assert_eq!(socket_inode("socket:[12]"), Some(12));
        assert_eq!(socket_inode("pipe:[12]"), None);
    }

    proptest! {
        #[test]
        fn rubbish_does_not_panic(text in ".{0,200}", digits in prop::sample::select(vec![8_usize, 32])) {
            drop(parse(&format!("{HEADING}{text}"), digits));
            drop(parse_row(&text, digits));
        }

        #[cfg(target_endian = "little")]
        #[test]
        fn every_address_is_read_back(bytes in any::<[u8; 4]>(), port in any::<u16>()) {
            let text = format!("{:08X}:{port:04X}", u32::from_le_bytes(bytes));
            prop_assert_eq!(parse_address(&text, 8), Some(SocketAddr::from((bytes, port))));
        }
    }
}
