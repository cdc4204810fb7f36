//! Finding servers.

use super::link::{self, Link};
use super::message::{query, service_name};
use super::{MdnsError, PACKET, now, usable_interfaces};
use simple_dns::rdata::RData;
use simple_dns::{Name, Packet, PacketFlag, ResourceRecord, TYPE};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// The first question waits a little, so that many who start together do not all ask (RFC 6762, section 5.2).
const FIRST: Duration = Duration::from_millis(20);
/// Between the first two questions; doubles.
const AGAIN: Duration = Duration::from_secs(1);

/// How to look.
#[derive(Clone, Debug)]
pub struct BrowseOptions {
    /// Names of interfaces; `None` for loopback and all that carry multicast.
    pub interfaces: Option<Vec<String>>,
    /// How long.
    pub timeout: Duration,
    /// End with the first server found.
    pub stop_after_first: bool,
}

/// A server that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name for people.
    pub instance: String,
    /// Its host name, ending in `.local`.
    pub host: String,
    /// Port of the framed protocol.
    pub port: u16,
    /// IPv6 first, sorted; never none.
    pub addresses: Vec<IpAddr>,
    /// Port of HTTP and WebSocket, if it serves them.
    pub websocket_port: Option<u16>,
    /// Path of the WebSocket; empty if it does not say.
    pub path: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it says that something is missing.
    pub degraded: bool,
    /// Version of its program; empty if it does not say.
    pub version: String,
}

/// Asks for servers until the time is over; sorted by name.
///
/// # Errors
/// Interfaces that do not exist or cannot be used; finding nobody is no error. Of interfaces that were not named, one
/// that works is enough.
pub async fn browse(options: BrowseOptions) -> Result<Vec<Found>, MdnsError> {
    let links = match &options.interfaces {
        Some(names) => link::open(names)?,
        None => open_usable()?,
    };
    let system =
        |error: std::io::Error| MdnsError::System { doing: "opening a socket".to_owned(), reason: error.to_string() };
    let mut sockets = vec![];
    for (socket, group) in links.into_iter().flat_map(Link::into_sockets) {
        sockets.push((UdpSocket::from_std(socket).map_err(system)?, group));
    }
    let mut known = Known::default();
    let mut buffer = vec![0; PACKET];
    let end = tokio::time::sleep(options.timeout);
    tokio::pin!(end);
    let mut interval = AGAIN;
    let mut next = now() + FIRST;
    loop {
        tokio::select! {
            () = &mut end => break,
            () = tokio::time::sleep_until(next.into()) => {
                ask(&sockets, &known).await?;
                next += interval;
                interval *= 2;
            }
            length = receive(&sockets, &mut buffer) => {
                known.learn(&buffer[..length]);
                if options.stop_after_first && !known.found().is_empty() {
                    break;
                }
            }
        }
    }
    Ok(known.found())
}

fn open_usable() -> Result<Vec<Link>, MdnsError> {
    let names = usable_interfaces()?;
    let opened: Vec<_> = names.iter().map(|name| link::open(std::slice::from_ref(name))).collect();
    let mut links = vec![];
    let mut failed = MdnsError::NoInterface;
    for result in opened {
        match result {
            Ok(more) => links.extend(more),
            Err(error) => failed = error,
        }
    }
    if links.is_empty() { Err(failed) } else { Ok(links) }
}

/// One socket that can send is enough: an interface may have one family only.
async fn ask(sockets: &[(UdpSocket, SocketAddr)], known: &Known) -> Result<(), MdnsError> {
    let packet = query(known.questions());
    let mut failed = None;
    let mut sent = false;
    for (socket, group) in sockets {
        match socket.send_to(&packet, group).await {
            Ok(_) => sent = true,
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if !sent => {
            Err(MdnsError::System { doing: "sending a question".to_owned(), reason: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// The length of the next packet of any socket.
async fn receive(sockets: &[(UdpSocket, SocketAddr)], buffer: &mut [u8]) -> usize {
    std::future::poll_fn(|context| {
        for (socket, _) in sockets {
            let mut read = ReadBuf::new(buffer);
            while let Poll::Ready(result) = socket.poll_recv_from(context, &mut read) {
                match result {
                    Ok(from) if link::is_mdns(from) => return Poll::Ready(read.filled().len()),
                    _ => read.clear(),
                }
            }
        }
        Poll::Pending
    })
    .await
}

/// What is known of one name.
#[derive(Clone, Debug, Default)]
struct Instance {
    label: String,
    name: Option<Name<'static>>,
    srv: Option<(u16, Name<'static>)>,
    txt: Option<BTreeMap<String, String>>,
}

/// All that was heard; keys are names in lower case.
#[derive(Clone, Debug, Default)]
struct Known {
    instances: BTreeMap<String, Instance>,
    hosts: BTreeMap<String, Vec<IpAddr>>,
}

impl Known {
    /// Asks for servers, and for what is missing of those that are known.
    fn questions(&self) -> Vec<(Name<'static>, TYPE)> {
        let mut all = vec![(service_name(), TYPE::PTR)];
        for instance in self.instances.values() {
            let Some(name) = &instance.name else { continue };
            if instance.txt.is_none() {
                all.push((name.clone(), TYPE::TXT));
            }
            match &instance.srv {
                None => all.push((name.clone(), TYPE::SRV)),
                Some((_, host)) if !self.hosts.contains_key(&key(host)) => {
                    all.extend([(host.clone(), TYPE::A), (host.clone(), TYPE::AAAA)]);
                }
                Some(_) => {}
            }
        }
        all
    }

    fn learn(&mut self, packet: &[u8]) {
        let Ok(packet) = Packet::parse(packet) else { return };
        if !packet.has_flags(PacketFlag::RESPONSE) {
            return;
        }
        for record in packet.answers.into_iter().chain(packet.additional_records) {
            self.learn_record(record.into_owned());
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "DNS has a hundred types of record, five of them tell of a server"
    )]
    fn learn_record(&mut self, record: ResourceRecord<'static>) {
        let gone = record.ttl == 0;
        let service = service_name();
        let ours = record.name.is_subdomain_of(&service);
        match record.rdata {
            RData::PTR(pointer) if record.name == service => {
                let name = pointer.0;
                if gone {
                    self.instances.remove(&key(&name));
                } else if name.is_subdomain_of(&service) {
                    self.instance(name);
                }
            }
            RData::SRV(srv) if ours && !gone => self.instance(record.name).srv = Some((srv.port, srv.target)),
            RData::TXT(txt) if ours && !gone => {
                let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let pairs =
                    txt.iter_raw().map(|(k, v)| (string(k).to_ascii_lowercase(), string(v.unwrap_or_default())));
                let pairs = pairs.collect();
                self.instance(record.name).txt = Some(pairs);
            }
            RData::A(four) => self.address(&record.name, Ipv4Addr::from_bits(four.address).into(), gone),
            RData::AAAA(six) => self.address(&record.name, Ipv6Addr::from_bits(six.address).into(), gone),
            _ => {}
        }
    }

    fn instance(&mut self, name: Name<'static>) -> &mut Instance {
        let label = name.get_labels().first().map(|l| String::from_utf8_lossy(l.as_ref()).into_owned());
        let instance = self.instances.entry(key(&name)).or_default();
        instance.label = label.unwrap_or_default();
        instance.name = Some(name);
        instance
    }

    fn address(&mut self, host: &Name<'_>, address: IpAddr, gone: bool) {
        // A link-local address is of no use without the interface, which an IP address does not carry.
        if matches!(address, IpAddr::V6(six) if six.is_unicast_link_local()) {
            return;
        }
        let all = self.hosts.entry(key(host)).or_default();
        all.retain(|known| *known != address);
        if !gone {
            all.push(address);
        }
    }

    /// The servers of which enough is known to dial them.
    fn found(&self) -> Vec<Found> {
        let complete = self.instances.values().filter_map(|instance| {
            let (port, host) = instance.srv.as_ref()?;
            let txt = instance.txt.as_ref()?;
            let mut addresses = self.hosts.get(&key(host)).filter(|all| !all.is_empty())?.clone();
            addresses.sort_unstable_by_key(|address| (address.is_ipv4(), *address));
            let value = |key: &str| txt.get(key).cloned().unwrap_or_default();
            Some(Found {
                instance: instance.label.clone(),
                host: host.to_string(),
                port: *port,
                addresses,
                websocket_port: value("ws").parse().ok(),
                path: value("path"),
                tls: value("tls") == "1",
                degraded: value("degraded") == "1",
                version: value("version"),
            })
        });
        let mut found: Vec<_> = complete.collect();
        found.sort_unstable_by(|a: &Found, b| a.instance.cmp(&b.instance));
        found
    }
}

fn key(name: &Name<'_>) -> String {
    name.to_string().to_ascii_lowercase()
}

#[cfg(test)]
pub(super) fn learns(packet: &[u8]) -> usize {
    let mut known = Known::default();
    known.learn(packet);
    known.found().len()
}

#[cfg(test)]
mod tests {
    use super::super::message::Service;
    use super::super::tests::advert;
    use super::*;

    #[test]
    fn an_announcement_is_found_and_a_goodbye_forgets_it() {
        let service = Service::new(&advert("Blue.room é"), "vm.example", 7).unwrap();
        let addresses: Vec<IpAddr> = vec!["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        let mut known = Known::default();
        known.learn(&service.announcement(&addresses, 120));
        let found = known.found();
        assert_eq!(
            found,
            [Found {
                instance: "Blue.room é".to_owned(),
                host: "sidetone-7-vmexample.local".to_owned(),
                port: 7460,
                addresses: vec![addresses[1], addresses[0]],
                websocket_port: Some(7461),
                path: "/ws".to_owned(),
                tls: false,
                degraded: true,
                version: "0.1.0".to_owned(),
            }]
        );
        known.learn(&service.announcement(&addresses, 0));
        assert_eq!(known.found(), []);
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        let service = Service::new(&advert("Blue"), "vm", 7).unwrap();
        let mut known = Known::default();
        let kinds = |known: &Known| known.questions().into_iter().map(|(_, kind)| kind).collect::<Vec<_>>();
        assert_eq!(kinds(&known), [TYPE::PTR]);
        for record in service.records(&[], 120).drain(..1) {
            known.learn_record(record);
        }
        assert_eq!(kinds(&known), [TYPE::PTR, TYPE::TXT, TYPE::SRV]);
        known.learn(&service.announcement(&[], 120));
        assert_eq!(kinds(&known), [TYPE::PTR, TYPE::A, TYPE::AAAA]);
        assert_eq!(known.found(), []);
    }

    #[test]
    fn questions_and_noise_teach_nothing() {
        let mut known = Known::default();
        known.learn(&query(known.questions()));
        known.learn(&[0xff; 40]);
        known.learn(&[]);
        assert_eq!(known.questions().len(), 1);
    }
}
