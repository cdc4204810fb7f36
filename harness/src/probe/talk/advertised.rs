//! Does what is advertised answer?

use crate::evidence::probed::{Advertised, Answers, Excerpt, Failure, How, Saw, Step};
use crate::probe::options::Options;
use crate::probe::reach::{connect, resolve};
use crate::probe::target::Url;
use crate::probe::watch::Watch;
use futures_util::future::join_all;
use sidetone::net::mdns::{BrowseOptions, Found, MdnsError, browse, usable_interfaces};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

/// How long is listened for answers.
const LISTEN: Duration = Duration::from_secs(1);
/// Connections that are tried at most.
const MOST: usize = 32;

/// Browses on the interfaces of the options, and connects to what is found at the target's host or port, or by its name.
/// Takes a second and one deadline at most.
pub async fn advertised(options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let mut seen = Advertised::default();
    let given = !options.mdns_interfaces.is_empty();
    let interfaces = if given { Ok(options.mdns_interfaces.to_vec()) } else { usable_interfaces() };
    let failed = |error: &MdnsError| Some(Failure::new(How::Own, error.to_string()));
    match interfaces {
        Ok(interfaces) => seen.interfaces = interfaces,
        Err(error) => {
            seen.failure = failed(&error);
            return lap.end(None, Saw::Advertised(seen));
        }
    }
    let timeout = LISTEN.min(watch.deadline);
    seen.listened_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    // of interfaces that nobody named, one that works is enough
    let interfaces = given.then(|| seen.interfaces.clone());
    let browsing = browse(BrowseOptions { interfaces, timeout, stop_after_first: false });
    let (found, resolved) = tokio::join!(browsing, resolve::resolve(options, watch));
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            seen.failure = failed(&error);
            return lap.end(None, Saw::Advertised(seen));
        }
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    if let Saw::Resolve(resolved) = &resolved.saw {
        addresses.extend(resolved.order.iter().map(SocketAddr::ip));
    }
    let scope = if let [only] = seen.interfaces.as_slice() { index(only) } else { None };
    let tried = of_target(&found, &options.url, &addresses, is_own)
        .flat_map(|found| sockets(found, scope).into_iter().map(|address| (found.instance.as_str(), address)))
        .take(MOST);
    seen.found = join_all(tried.map(|(instance, address)| async move {
        let (step, _) = connect::connect(address, watch).await;
        Answers { instance: Excerpt::text(instance), address, failure: step.saw.failure().cloned() }
    }))
    .await;
    lap.end(None, Saw::Advertised(seen))
}

fn index(interface: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(interface).ok()
}

/// Whether an address is one of this machine: only then can a socket have it. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// What concerns the target: its name, its host, or its port on an address of it. A target on loopback is this machine, which
/// may advertise its other addresses.
fn of_target<'f>(
    found: &'f [Found],
    url: &'f Url,
    addresses: &'f [IpAddr],
    is_own: impl Fn(IpAddr) -> bool + 'f,
) -> impl Iterator<Item = &'f Found> {
    let bare = |name: &str| name.trim_end_matches('.').trim_end_matches(".local").to_lowercase();
    let here = addresses.iter().any(IpAddr::is_loopback);
    found.iter().filter(move |found| {
        let by_name = found.instance == url.host || bare(&found.host) == bare(&url.host);
        let by_port = found.port == url.port || found.websocket_port == Some(url.port);
        let at_it = |address: &IpAddr| addresses.contains(address) || here && is_own(*address);
        by_name || by_port && found.addresses.iter().any(at_it)
    })
}

/// Where it says that it listens. A link-local address needs a scope: the interface, if there is only one.
fn sockets(found: &Found, scope: Option<u32>) -> Vec<SocketAddr> {
    let ports: Vec<u16> = [Some(found.port), found.websocket_port].into_iter().flatten().filter(|p| *p > 0).collect();
    let at = |ip: &IpAddr, port: u16| match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(SocketAddrV6::new(*v6, port, 0, scope?).into()),
        IpAddr::V4(_) | IpAddr::V6(_) => Some(SocketAddr::new(*ip, port)),
    };
    found.addresses.iter().flat_map(|ip| ports.iter().filter_map(move |port| at(ip, *port))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;

    fn found(instance: &str, host: &str, port: u16, addresses: &[&str]) -> Found {
        Found {
            instance: instance.to_owned(),
            host: host.to_owned(),
            port,
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            websocket_port: Some(port + 1),
            path: "/ws".to_owned(),
            tls: false,
            degraded: false,
            version: String::new(),
        }
    }

    fn names(target: &str, addresses: &[&str]) -> Vec<String> {
        let Target::Url(url) = target.parse().unwrap() else { panic!("{target}") };
        let all = [
            found("one", "one.local", 7460, &["127.0.0.1"]),
            found("two", "two.local.", 7460, &["192.0.2.7", "fe80::7"]),
            found("three", "three.local", 9000, &["192.0.2.8"]),
        ];
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let own = |address: IpAddr| address == IpAddr::from([192, 0, 2, 8]);
        of_target(&all, &url, &addresses, own).map(|found| found.instance.clone()).collect()
    }

    #[test]
    fn only_what_concerns_the_target_is_asked() {
        assert_eq!(names("tcp://127.0.0.1:7460", &["127.0.0.1"]), ["one"]);
        assert_eq!(names("ws://127.0.0.1:7461", &["127.0.0.1"]), ["one"], "by its WebSocket port");
        assert_eq!(names("tcp://192.0.2.7:7460", &["192.0.2.7"]), ["two"]);
        assert_eq!(names("tcp://Two.local:1", &["192.0.2.7"]), ["two"], "by its host, whatever the port");
        assert_eq!(
            names("tcp://localhost:9000", &["127.0.0.1"]),
            ["three"],
            "this machine by another of its addresses"
        );
        assert_eq!(names("tcp://192.0.2.99:7460", &["192.0.2.99"]), [] as [String; 0]);
    }

    #[test]
    fn a_link_local_address_is_tried_where_its_interface_is_known() {
        let two = found("two", "two.local.", 7460, &["192.0.2.7", "fe80::7"]);
        let told = |scope| sockets(&two, scope).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(None), ["192.0.2.7:7460", "192.0.2.7:7461"]);
        assert_eq!(told(Some(3)), ["192.0.2.7:7460", "192.0.2.7:7461", "[fe80::7%3]:7460", "[fe80::7%3]:7461"]);
    }
}
