//! Who has a port, and since when.

use super::table;
use crate::evidence::{Held, SocketRow, TableSource};
use crate::launch::resources::{command_line, started};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Every TCP socket whose local port is `port`: listeners first, then connections, then what no process has. An IPv4
/// address on an IPv6 socket is given as IPv4.
///
/// One reader is enough; of both, either may have missed what came or went. A socket that is bound and neither listens nor
/// is connected is in neither table.
///
/// # Errors
/// Why no reader can tell.
pub fn holders(port: u16) -> Result<Vec<Held>, String> {
    let mut rows = merge(table(TableSource::Proc, &[], &[port]), table(TableSource::Netstat2, &[], &[port]))?;
    rows.sort_by_cached_key(|row| (rank(row), row.clone()));
    let mut known = BTreeMap::new();
    let held = rows.into_iter().map(|socket| {
        let (command, since) = match socket.pids.first() {
            Some(&pid) => known.entry(pid).or_insert_with(|| (command_line(pid), started(pid))).clone(),
            None => (None, None),
        };
        Held { socket, command, since }
    });
    Ok(held.collect())
}

fn rank(row: &SocketRow) -> u8 {
    match row.state.as_str() {
        "LISTEN" => 0,
        _ if row.inode != 0 => 1,
        _ => 2,
    }
}

/// Rows of the first with what only the second has seen: sockets, and owners.
fn merge(
    first: Result<Vec<SocketRow>, String>,
    second: Result<Vec<SocketRow>, String>,
) -> Result<Vec<SocketRow>, String> {
    let all = |rows: Vec<SocketRow>| rows.into_iter().map(canonical).collect::<Vec<_>>();
    match (first.map(all), second.map(all)) {
        (Ok(mut rows), Ok(others)) => {
            for other in others {
                let same: Vec<_> =
                    rows.iter_mut().filter(|r| r.local == other.local && r.remote == other.remote).collect();
                if same.is_empty() {
                    rows.push(other);
                    continue;
                }
                for row in same.into_iter().filter(|r| r.inode == other.inode && r.pids.is_empty()) {
                    row.pids.clone_from(&other.pids);
                }
            }
            Ok(rows)
        }
        (Ok(rows), Err(_)) | (Err(_), Ok(rows)) => Ok(rows),
        (Err(first), Err(second)) => Err(format!("{first}; {second}")),
    }
}

fn canonical(row: SocketRow) -> SocketRow {
    SocketRow { local: plain(row.local), remote: row.remote.map(plain), ..row }
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::{TcpListener, TcpStream};

    fn row(local: &str, inode: u64, pids: &[u32]) -> SocketRow {
        SocketRow {
            local: local.parse().unwrap(),
            remote: None,
            state: "LISTEN".to_owned(),
            inode,
            pids: pids.to_vec(),
            rx_queue: None,
        }
    }

    #[test]
    fn one_reader_is_enough_and_two_complete_each_other() {
        let (a, b) = (row("127.0.0.1:9", 1, &[7]), row("[::1]:9", 2, &[8]));
        let blind = || Err("blind".to_owned());
        assert_eq!(merge(Ok(vec![a.clone()]), blind()), Ok(vec![a.clone()]));
        assert_eq!(merge(blind(), Ok(vec![a.clone()])), Ok(vec![a.clone()]));
        assert_eq!(merge(blind(), Err("deaf".to_owned())), Err("blind; deaf".to_owned()));
        assert_eq!(merge(Ok(vec![a.clone()]), Ok(vec![a.clone(), b.clone()])), Ok(vec![a.clone(), b]));
        assert_eq!(merge(Ok(vec![row("127.0.0.1:9", 1, &[])]), Ok(vec![a.clone()])), Ok(vec![a.clone()]), "its owner");
        assert_eq!(merge(Ok(vec![row("[::ffff:127.0.0.1]:9", 1, &[])]), Ok(vec![a.clone()])), Ok(vec![a]));
    }

    #[test]
    fn our_own_listener_comes_before_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (_accepted, _) = listener.accept().unwrap();

        let found: Vec<_> =
            holders(address.port()).unwrap().into_iter().filter(|held| held.socket.local == address).collect();
        let [listens, connected] = &found[..] else { panic!("{found:#?}") };
        assert_eq!((listens.socket.state.as_str(), listens.socket.remote), ("LISTEN", None));
        assert_eq!(connected.socket.remote, Some(client.local_addr().unwrap()));
        for held in &found {
            // a child that another test has just forked has them too, until its exec
            assert!(held.socket.pids.contains(&std::process::id()), "{held:?}");
            let program = std::env::args().next().unwrap();
            let name = program.rsplit('/').next().unwrap();
            assert!(held.command.as_ref().unwrap().contains(&name[..15]), "{held:?}");
            let since: jiff::Timestamp = held.since.as_ref().unwrap().parse().unwrap();
            assert!(since < jiff::Timestamp::now(), "{since}");
        }
    }

    #[test]
    fn an_ipv4_address_on_an_ipv6_socket_is_told_as_ipv4() {
        let Ok(socket) = Socket::new(Domain::IPV6, Type::STREAM, None) else { return }; // a machine without IPv6
        socket.set_only_v6(false).unwrap();
        socket.bind(&"[::ffff:127.0.0.1]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(1).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let found = holders(port).unwrap();
        let ours = found.iter().find(|held| held.socket.pids.contains(&std::process::id())).unwrap();
        assert_eq!(ours.socket.local, SocketAddr::from(([127, 0, 0, 1], port)));
    }
}
