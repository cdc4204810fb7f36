//! The way to an address.

use crate::evidence::probed::{Failure, Route, Saw, Step};
use crate::probe::failure;
use crate::probe::watch::Watch;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::libc;
use nix::net::if_::InterfaceFlags;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Asks the kernel; no packet is sent: a datagram socket that is connected only looks up the way.
pub fn route(address: SocketAddr, watch: Watch) -> Step {
    let lap = watch.begin();
    let interfaces: Option<Vec<InterfaceAddress>> = getifaddrs().ok().map(Iterator::collect);
    let this_machine = is_own(address.ip(), interfaces.as_deref());
    let route = match source(address) {
        Ok(source) => {
            let interface = interfaces.as_deref().and_then(|all| having(source, all));
            let mtu = interface.as_deref().and_then(mtu);
            Route { source: Some(source), interface, this_machine, mtu, failure: None }
        }
        Err(error) => Route { this_machine, failure: Some(no_way(address, &error)), ..Route::default() },
    };
    lap.end(address, Saw::Route(route))
}

fn source(address: SocketAddr) -> io::Result<IpAddr> {
    let any = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip())
}

fn no_way(address: SocketAddr, error: &io::Error) -> Failure {
    let failure = failure::of(error);
    let words = match error.raw_os_error() {
        Some(libc::EINVAL) if without_scope(address) => {
            "a link-local address needs its interface, as in [fe80::1%eth0]"
        }
        Some(libc::ENETUNREACH) => "no route leads there",
        _ => return failure,
    };
    Failure { words: words.to_owned(), ..failure }
}

/// An IPv6 address that means something on one link only, without saying on which.
fn without_scope(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

fn of_interface(interface: &InterfaceAddress) -> Option<IpAddr> {
    let address = interface.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// Whether an address is one of this machine; `None`: its interfaces cannot be listed.
fn is_own(address: IpAddr, interfaces: Option<&[InterfaceAddress]>) -> Option<bool> {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() {
        return Some(true);
    }
    Some(interfaces?.iter().filter_map(of_interface).any(|own| own == address))
}

/// The interface that has an address; every loopback address is that of the loopback interface.
fn having(source: IpAddr, interfaces: &[InterfaceAddress]) -> Option<String> {
    let loops = |interface: &&InterfaceAddress| interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
    let exact = interfaces.iter().find(|interface| of_interface(interface) == Some(source));
    let found = exact.or_else(|| interfaces.iter().find(loops).filter(|_| source.is_loopback()))?;
    Some(found.interface_name.clone())
}

fn mtu(interface: &str) -> Option<u32> {
    std::fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::probed::How;
    use std::time::Duration;

    fn way(address: &str) -> Route {
        let step = route(address.parse().unwrap(), Watch::start(Duration::from_secs(1)));
        let Saw::Route(route) = step.saw else { panic!("{step}") };
        route
    }

    #[test]
    fn loopback_is_this_machine() {
        for address in ["127.0.0.1:9", "127.9.9.9:9"] {
            let found = way(address);
            assert_eq!((found.this_machine, found.failure.as_ref()), (Some(true), None), "{found:?}");
            assert!(found.source.unwrap().is_loopback());
            #[cfg(target_os = "linux")]
            assert!(found.interface.as_deref() == Some("lo") && found.mtu.unwrap() > 1_000, "{found:?}");
        }
        assert_eq!(way("0.0.0.0:9").this_machine, Some(true));
        assert_eq!(way("192.0.2.254:9").this_machine, Some(false), "an address of documentation");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_link_local_address_needs_its_interface() {
        let found = way("[fe80::5]:9").failure.unwrap();
        let told = found.errno.as_ref().unwrap().name.as_str();
        // without IPv6 there is no such way at all
        if told == "EINVAL" {
            assert_eq!(found.how, How::Unreachable);
            assert!(found.words.contains("needs its interface"), "{found}");
        } else {
            assert!(["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"].contains(&told), "{found}");
        }
    }
}
