//! Interfaces and their multicast sockets. I/O.

use super::MdnsError;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};

/// The port of mDNS.
const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Hops of every mDNS packet (RFC 6762, section 11).
const HOPS: u32 = 255;

#[derive(Clone, Debug)]
struct Interface {
    name: String,
    flags: InterfaceFlags,
    address: IpAddr,
}

/// One row an address of each interface that is up.
fn interfaces() -> Result<Vec<Interface>, MdnsError> {
    let all = getifaddrs()
        .map_err(|error| MdnsError::System { doing: "listing interfaces".to_owned(), reason: error.to_string() })?;
    let up = all.filter(|row| row.flags.contains(InterfaceFlags::IFF_UP));
    Ok(up
        .filter_map(|row| {
            let storage = row.address?;
            let four = storage.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            let address = four.or_else(|| storage.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))?;
            Some(Interface { name: row.interface_name, flags: row.flags, address })
        })
        .collect())
}

fn names<'a>(rows: impl Iterator<Item = &'a Interface>) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for row in rows {
        if !names.contains(&row.name) {
            names.push(row.name.clone());
        }
    }
    names
}

fn is_shared(row: &Interface) -> bool {
    row.flags.contains(InterfaceFlags::IFF_MULTICAST) && !row.flags.contains(InterfaceFlags::IFF_POINTOPOINT)
}

/// The interfaces that have one of the addresses; a wildcard stands for all that carry multicast, loopback excepted.
///
/// # Errors
/// The interfaces cannot be listed.
pub fn interfaces_of(addresses: &[IpAddr]) -> Result<Vec<String>, MdnsError> {
    let all = interfaces()?;
    let any = addresses.iter().any(IpAddr::is_unspecified);
    let has = |row: &&Interface| addresses.contains(&row.address) || (row.address.is_loopback() && loopback(addresses));
    let wild = |row: &&Interface| any && is_shared(row) && !row.flags.contains(InterfaceFlags::IFF_LOOPBACK);
    Ok(names(all.iter().filter(|row| has(row) || wild(row))))
}

fn loopback(addresses: &[IpAddr]) -> bool {
    addresses.iter().any(IpAddr::is_loopback)
}

/// Loopback and all interfaces that carry multicast.
///
/// # Errors
/// The interfaces cannot be listed.
pub fn usable_interfaces() -> Result<Vec<String>, MdnsError> {
    let all = interfaces()?;
    Ok(names(all.iter().filter(|row| is_shared(row) || row.flags.contains(InterfaceFlags::IFF_LOOPBACK))))
}

/// An interface with its sockets: one a family.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    addresses: Vec<IpAddr>,
    sockets: Vec<(UdpSocket, SocketAddr)>,
}

/// Opens the sockets of each interface; one family that works is enough.
pub(super) fn open(names: &[String]) -> Result<Vec<Link>, MdnsError> {
    if names.is_empty() {
        return Err(MdnsError::NoInterface);
    }
    let all = interfaces()?;
    let mut links: Vec<Link> = vec![];
    for name in names {
        if !links.iter().any(|link| link.name == *name) {
            links.push(open_one(name, &all)?);
        }
    }
    Ok(links)
}

fn open_one(name: &str, all: &[Interface]) -> Result<Link, MdnsError> {
    let index = if_nametoindex(name).map_err(|_| MdnsError::UnknownInterface(name.to_owned()))?;
    let failed = |reason: String| MdnsError::Interface { interface: name.to_owned(), reason };
    let addresses: Vec<IpAddr> = all.iter().filter(|row| row.name == name).map(|row| row.address).collect();
    let four = addresses.iter().find_map(|address| match address {
        IpAddr::V4(four) => Some(*four),
        IpAddr::V6(_) => None,
    });
    let mut sockets = vec![];
    let mut errors = vec![];
    let mut keep = |family: &str, opened: io::Result<(UdpSocket, SocketAddr)>| match opened {
        Ok(socket) => sockets.push(socket),
        Err(error) => errors.push(format!("{family}: {error}")),
    };
    if let Some(four) = four {
        keep("IPv4", open_v4(name, index, four));
    }
    if addresses.iter().any(IpAddr::is_ipv6) {
        keep("IPv6", open_v6(name, index));
    }
    if addresses.is_empty() {
        return Err(failed("it is down or has no address".to_owned()));
    }
    if sockets.is_empty() {
        return Err(failed(errors.join("; ")));
    }
    Ok(Link { name: name.to_owned(), addresses, sockets })
}

fn open_v4(name: &str, index: u32, own: Ipv4Addr) -> io::Result<(UdpSocket, SocketAddr)> {
    let group = SocketAddr::V4(SocketAddrV4::new(GROUP_V4, PORT));
    let socket = unbound(Domain::IPV4, name)?;
    socket.set_multicast_ttl_v4(HOPS)?;
    socket.set_multicast_loop_v4(true)?;
    // Or packets of groups that other programs joined elsewhere would come here.
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v4(false)?;
    // Bound to the group, it takes no unicast packet away from another responder of this machine.
    socket.bind(&group.into())?;
    socket.set_multicast_if_v4(&own)?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    Ok((socket.into(), group))
}

fn open_v6(name: &str, index: u32) -> io::Result<(UdpSocket, SocketAddr)> {
    let group = SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, index));
    let socket = unbound(Domain::IPV6, name)?;
    socket.set_only_v6(true)?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_multicast_loop_v6(true)?;
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v6(false)?;
    socket.bind(&group.into())?;
    socket.set_multicast_if_v6(index)?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    Ok((socket.into(), group))
}

fn unbound(domain: Domain, interface: &str) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Every responder and browser of this machine shares the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    #[cfg(target_os = "linux")]
    socket.bind_device(Some(interface.as_bytes()))?;
    #[cfg(not(target_os = "linux"))]
    let _only_linux_binds_by_name = interface;
    Ok(socket)
}

impl Link {
    pub(super) fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        self.sockets.iter().map(|(socket, _)| socket)
    }

    pub(super) fn into_sockets(self) -> impl Iterator<Item = (UdpSocket, SocketAddr)> {
        self.sockets.into_iter()
    }

    /// Which of the bound addresses are told here: the interface's own, a wildcard standing for all of its family.
    pub(super) fn tell(&self, bound: &[IpAddr]) -> Vec<IpAddr> {
        told(&self.addresses, bound)
    }

    /// Over each family; one that works is enough.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        let mut result = Err(io::Error::other("no socket"));
        for (socket, group) in &self.sockets {
            let sent = socket.send_to(packet, group).map(|_| ());
            if result.is_err() {
                result = sent;
            }
        }
        result
    }

    /// The packets that wait.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Vec<Vec<u8>> {
        let mut packets = vec![];
        for socket in self.sockets() {
            // A bounded number, so that a flood cannot keep the thread from its other work.
            for _ in 0..64 {
                let Ok((length, from)) = socket.recv_from(buffer) else { break };
                if is_mdns(from) {
                    packets.push(buffer[..length].to_vec());
                }
            }
        }
        packets
    }
}

/// Another port is no mDNS response (RFC 6762, section 6), or a question that wants a unicast answer.
pub(super) fn is_mdns(from: SocketAddr) -> bool {
    from.port() == PORT
}

fn told(own: &[IpAddr], bound: &[IpAddr]) -> Vec<IpAddr> {
    let wanted = |address: &IpAddr| {
        // A link-local address cannot be dialled without its scope, which no record carries.
        let scoped = matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
        let any = bound.iter().any(|b| b.is_unspecified() && b.is_ipv4() == address.is_ipv4());
        !scoped && (any || bound.contains(address))
    };
    // All of 127.0.0.0/8 is the loopback's, listed or not.
    let local = own.iter().any(IpAddr::is_loopback);
    let unlisted = bound.iter().filter(|b| local && b.is_loopback() && !own.contains(b));
    own.iter().filter(|address| wanted(address)).chain(unlisted).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_tells_its_own_bound_addresses() {
        let ips = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<IpAddr>>();
        let ethernet = ips(&["192.0.2.2", "2001:db8::2", "fe80::1"]);
        assert_eq!(told(&ethernet, &ips(&["0.0.0.0"])), ips(&["192.0.2.2"]));
        assert_eq!(told(&ethernet, &ips(&["0.0.0.0", "::"])), ips(&["192.0.2.2", "2001:db8::2"]));
        assert_eq!(told(&ethernet, &ips(&["192.0.2.2", "127.0.0.1"])), ips(&["192.0.2.2"]));
        let loopback = ips(&["127.0.0.1", "::1"]);
        assert_eq!(told(&loopback, &ips(&["127.0.0.1"])), ips(&["127.0.0.1"]));
        assert_eq!(told(&loopback, &ips(&["127.0.0.2"])), ips(&["127.0.0.2"]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn loopback_addresses_belong_to_the_loopback_interface_alone() {
        assert_eq!(interfaces_of(&["127.0.0.1".parse().unwrap()]).unwrap(), ["lo"]);
        assert!(usable_interfaces().unwrap().contains(&"lo".to_owned()));
        assert!(!interfaces_of(&["0.0.0.0".parse().unwrap()]).unwrap().contains(&"lo".to_owned()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_socket_is_bound_to_its_device_and_to_the_group() {
        let links = open(&["lo".to_owned(), "lo".to_owned()]).unwrap();
        assert_eq!(links.len(), 1);
        assert!(links[0].sockets().count() > 0);
        for socket in links[0].sockets() {
            let raw = socket2::SockRef::from(socket);
            assert_eq!(raw.device().unwrap().as_deref(), Some(b"lo".as_slice()));
            assert!(socket.local_addr().unwrap().ip().is_multicast());
            assert!(socket.local_addr().unwrap().is_ipv6() || !raw.multicast_all_v4().unwrap());
        }
    }

    #[test]
    fn nothing_is_opened_for_no_name_or_a_wrong_one() {
        assert_eq!(open(&[]).unwrap_err(), MdnsError::NoInterface);
        let wrong = "nosuch0".to_owned();
        assert_eq!(open(std::slice::from_ref(&wrong)).unwrap_err(), MdnsError::UnknownInterface(wrong));
    }
}
