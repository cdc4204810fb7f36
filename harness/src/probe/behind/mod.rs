//! Behind a socket, on this machine: who listens, what that process does, who else has the port, what filters packets.
//!
//! * `system`: what only Linux can tell, and its stand-in elsewhere: `look` puts it together from `diag` (the kernel's socket
//!   tables by netlink), `owners` (one scan of `/proc/PID/fd`), `kernel` (counters and settings), `namespaces`;
//! * [`firewall`]: rules of nft and iptables.

#[cfg(target_os = "linux")]
pub mod diag;
pub mod firewall;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
pub mod owners;
#[cfg(target_os = "linux")]
#[path = "look.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod system;

use crate::evidence::probed::{Saw, Step};
use crate::probe::watch::Watch;
use std::net::SocketAddr;

/// What is read before the probe connects, so that what rises meanwhile can be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    /// `ListenOverflows` and `ListenDrops`.
    pub overflows: Option<(u64, u64)>,
}

/// Reads it.
pub fn before() -> Before {
    system::before()
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything answers: who listens.
    Shallow,
    /// Something is wrong: everything.
    Deep,
}

/// Looks; blocks for milliseconds, so it is called on a thread where that is allowed. `addresses` are those of the target
/// that are this machine's, all with the same port.
pub fn behind(addresses: &[SocketAddr], before: Before, depth: Depth, watch: Watch) -> Step {
    let lap = watch.begin();
    let seen = system::look(addresses, before, depth);
    lap.end(addresses.first().copied(), Saw::Behind(seen))
}

/// The same of datagram sockets: who has the port.
pub fn datagrams(addresses: &[SocketAddr], watch: Watch) -> Step {
    let lap = watch.begin();
    lap.end(addresses.first().copied(), Saw::Behind(system::datagrams(addresses)))
}

/// A socket that waits for others, with its owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// Whether an IPv6 wildcard leaves IPv4 alone; `None`: not known, or no such wildcard.
    pub v6only: Option<bool>,
    /// User id that made it; `None`: not known.
    pub user_id: Option<u32>,
    /// An owner, where one may be seen.
    pub pid: Option<u32>,
    /// Connections that wait for accept (TCP).
    pub waiting: Option<u32>,
    /// Most that may wait (TCP).
    pub backlog: Option<u32>,
}

/// Every listener of this machine, sorted by port, with `udp` the open datagram sockets too; and of how many processes the
/// descriptors could not be seen while an owner was missing. One read of the table, and one scan that ends when all owners are found.
///
/// # Errors
/// Why the table cannot be read.
pub fn open(udp: bool) -> Result<(Vec<Open>, u64), String> {
    system::open(udp)
}

/// File names of the programs that listen on the port of an address, as far as they may be seen, with the scripts that
/// interpreters run.
pub fn programs(address: SocketAddr) -> Vec<String> {
    system::programs(address)
}

/// Where a process listens (TCP), in its own network namespace as far as that is ours.
///
/// # Errors
/// There is no such process, or it may not be looked at: with the remedy.
pub fn listens(pid: u32) -> Result<Vec<SocketAddr>, String> {
    system::listens(pid)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::evidence::Answer;
    use crate::evidence::probed::Behind;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    fn look(addresses: &[SocketAddr], depth: Depth) -> (Behind, u64) {
        let step = behind(addresses, before(), depth, Watch::start(Duration::from_secs(10)));
        let Saw::Behind(seen) = step.saw else { panic!("{step}") };
        (seen, step.took_us)
    }

    #[test]
    fn our_own_listener_with_what_waits_in_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _waits = TcpStream::connect(address).unwrap();
        for depth in [Depth::Shallow, Depth::Deep] {
            let (seen, _) = look(&[address], depth);
            let [one] = &seen.listeners[..] else { panic!("{seen:#?}") };
            assert_eq!((one.address, one.covers, one.waiting), (address, true, Some(1)));
            assert!(one.backlog.is_none_or(|backlog| backlog >= 1));
            let own = one.owners.iter().find(|owner| owner.pid == std::process::id()).unwrap();
            assert!(own.command.is_some() && own.since.is_some() && own.state.as_ref().unwrap().descriptors.is_some());
            assert_eq!(seen.bind, None, "something listens");
        }
        assert!(listens(std::process::id()).unwrap().contains(&address));
    }

    #[test]
    fn a_socket_that_is_bound_and_does_not_listen() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let (seen, _) = look(&[address], Depth::Deep);
        assert!(seen.listeners.is_empty(), "{seen:#?}");
        assert!(matches!(&seen.bind, Some(Answer::NotBound { errno, .. }) if errno.name == "EADDRINUSE"), "{seen:#?}");
        // Linux 6.8 lists such sockets; before that it says so
        let own = seen.bound_only.iter().any(|holding| holding.pid == std::process::id());
        assert!(own || seen.unseen.iter().any(|unseen| unseen.what.contains("without listening")), "{seen:#?}");
    }

    #[test]
    fn a_port_that_nobody_has_can_be_bound() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (seen, _) = look(&[address], Depth::Deep);
        assert!(seen.listeners.is_empty() && seen.bound_only.is_empty(), "{seen:#?}");
        assert!(seen.overflows.is_some() && seen.somaxconn.is_some() && seen.ephemeral_range.is_some());
        if seen.others_count == 0 {
            assert_eq!(seen.bind, Some(Answer::Bound {}));
        }
    }

    #[test]
    fn open_sockets_with_their_owners() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (rows, _) = open(true).unwrap();
        for (protocol, address) in [("tcp", listener.local_addr()), ("udp", socket.local_addr())] {
            let address = address.unwrap();
            let row = rows.iter().find(|row| row.protocol == protocol && row.address == address);
            assert!(row.unwrap().pid.is_some(), "{protocol} {address}");
        }
        assert!(open(false).unwrap().0.iter().all(|row| row.protocol == "tcp"));
    }

    #[test]
    fn processes_that_cannot_be_asked() {
        assert!(listens(u32::MAX).unwrap_err().contains("no process"), "{:?}", listens(u32::MAX));
    }
}
