//! Who holds a port.
//!
//! [`table`] reads the text of the kernel's socket tables (pure), `linux` finds the files and the processes. On
//! another system the answer is "not known", never a false "nobody".

#[cfg(target_os = "linux")]
mod linux;
pub mod table;

use crate::event::Holder;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// What the kernel says of port numbers; `None` where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortFacts {
    /// Ports that outgoing connections and port 0 are given.
    pub ephemeral: Option<RangeInclusive<u16>>,
    /// The first port that needs no privilege.
    pub unprivileged_start: Option<u16>,
}

/// The TCP sockets that stand in the way of a bind to `address`, most relevant first: listeners, then local ends of
/// connections, then `TIME_WAIT`.
///
/// A holder without a pid belongs to another user, or to no process. An empty list is no proof of a free port: the
/// kernel's tables do not show a socket that is bound and neither listens nor is connected. An IPv6 address is taken
/// to be asked for with `IPV6_V6ONLY`, so that IPv4 sockets do not stand in its way.
///
/// # Errors
/// Why it is not known.
pub fn holders(address: SocketAddr) -> Result<Vec<Holder>, String> {
    #[cfg(target_os = "linux")]
    return linux::holders(address);
    #[cfg(not(target_os = "linux"))]
    return Err(format!("who holds {address} is not known on this system"));
}

/// The kernel's port ranges.
pub fn port_facts() -> PortFacts {
    #[cfg(target_os = "linux")]
    return linux::port_facts();
    #[cfg(not(target_os = "linux"))]
    return PortFacts::default();
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::event::SocketRole;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn our_own_listener_comes_first_with_our_pid() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();

        let found = holders(address).unwrap();
        assert_eq!(found[0].role, SocketRole::Listener);
        assert_eq!(found[0].local, address);
        assert_eq!(found[0].pid, Some(std::process::id()));
        assert!(found[0].command.as_ref().is_some_and(|c| !c.is_empty()));
        assert_eq!(found[1].role, SocketRole::Connection);
        assert_eq!(found[1].remote, Some(client.local_addr().unwrap()));
        assert_eq!(found[1].pid, Some(std::process::id()));

        let at_client = holders(client.local_addr().unwrap()).unwrap();
        assert_eq!(at_client[0].remote, Some(address));
        drop((client, accepted));
    }

    #[test]
    fn a_listener_on_loopback_stands_in_the_way_of_the_wildcard_and_not_of_ipv6() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let wildcard = holders(SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
        assert!(wildcard.iter().any(|h| h.pid == Some(std::process::id()) && h.role == SocketRole::Listener));
        let other = holders(SocketAddr::from(([127, 0, 0, 9], port))).unwrap();
        assert!(!other.iter().any(|h| h.local == listener.local_addr().unwrap()));
        let six = holders(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))).unwrap();
        assert!(!six.iter().any(|h| h.local == listener.local_addr().unwrap()));
    }

    #[test]
    fn the_ephemeral_range_is_a_range() {
        let range = port_facts().ephemeral.unwrap();
        assert!(range.start() < range.end(), "{range:?}");
        assert!(port_facts().unprivileged_start.is_some());
    }
}
