//! The records of a server and the packets that carry them. Pure.

use super::{Advert, MdnsError};
use simple_dns::rdata::{A, AAAA, PTR, RData, SRV, TXT};
use simple_dns::{CLASS, Label, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE};
use std::net::IpAddr;

/// Seconds a record may be kept (RFC 6762, section 10: 120 for what depends on a host).
pub(super) const TTL: u32 = 120;
/// A label's limit in bytes.
const LABEL: usize = 63;

/// One server, as its records tell it.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// First label of its name.
    pub(super) instance: String,
    host: String,
    port: u16,
    txt: Vec<(&'static str, String)>,
}

/// The host name of a process, without `.local`.
pub(super) fn host(machine: &str, pid: u32) -> String {
    let safe: String = machine.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    format!("sidetone-{pid}-{safe}")
}

impl Service {
    /// `machine` is the machine's name. The host name that is announced is the process's own: it does not dispute
    /// another responder's, whose addresses for the machine may differ.
    pub(super) fn new(advert: &Advert, machine: &str, pid: u32) -> Result<Self, MdnsError> {
        if advert.instance.is_empty() || advert.instance.len() > LABEL {
            return Err(MdnsError::Name(advert.instance.clone()));
        }
        let flag = |set: bool| if set { "1" } else { "0" }.to_owned();
        let mut txt = vec![("version", advert.version.clone())];
        txt.extend(advert.websocket_port.map(|port| ("ws", port.to_string())));
        txt.extend([("path", advert.path.clone()), ("tls", flag(advert.tls)), ("degraded", flag(advert.degraded))]);
        if let Some((key, value)) = txt.iter().find(|(key, value)| key.len() + value.len() > 200) {
            return Err(MdnsError::System {
                doing: "writing the TXT record".to_owned(),
                reason: format!("{key}: {} bytes are too many", value.len()),
            });
        }
        Ok(Self { instance: advert.instance.clone(), host: host(machine, pid), port: advert.port, txt })
    }

    /// `Blue room` after `number` conflicts, kept within 63 bytes.
    pub(super) fn numbered(base: &str, number: u32) -> String {
        let suffix = format!(" ({number})");
        let mut end = base.len().min(LABEL - suffix.len());
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}{suffix}", &base[..end])
    }

    pub(super) fn name(&self) -> Name<'static> {
        named(&[&self.instance, "_sidetone", "_tcp", "local"])
    }

    fn host_name(&self) -> Name<'static> {
        named(&[&self.host, "local"])
    }

    pub(super) fn srv(&self) -> SRV<'static> {
        SRV { priority: 0, weight: 0, port: self.port, target: self.host_name() }
    }

    /// All records, those that a query can ask for.
    pub(super) fn records(&self, addresses: &[IpAddr], ttl: u32) -> Vec<ResourceRecord<'static>> {
        let record = |name, data| ResourceRecord::new(name, CLASS::IN, ttl, data);
        let unique = |name, data| record(name, data).with_cache_flush(true);
        let mut all = vec![
            record(service_name(), RData::PTR(PTR(self.name()))),
            record(named(&["_services", "_dns-sd", "_udp", "local"]), RData::PTR(PTR(service_name()))),
            unique(self.name(), RData::SRV(self.srv())),
            unique(self.name(), RData::TXT(self.text())),
        ];
        if ttl == 0 {
            // Others may offer the same type.
            all.remove(1);
        }
        all.extend(addresses.iter().map(|address| {
            let data = match address {
                IpAddr::V4(four) => RData::A(A { address: four.to_bits() }),
                IpAddr::V6(six) => RData::AAAA(AAAA { address: six.to_bits() }),
            };
            unique(self.host_name(), data)
        }));
        all
    }

    fn text(&self) -> TXT<'static> {
        let mut text = TXT::new();
        for (key, value) in &self.txt {
            // Lengths were checked when the service was made.
            let _fits = text.add_attribute(key, Some(value.as_bytes()));
        }
        text.into_owned()
    }

    /// A response that tells everything.
    pub(super) fn announcement(&self, addresses: &[IpAddr], ttl: u32) -> Vec<u8> {
        let mut packet = Packet::new_reply(0);
        packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        packet.answers = self.records(addresses, ttl);
        bytes(&packet)
    }

    /// Asks whether somebody has the name, and says what we would put there (RFC 6762, section 8.1).
    pub(super) fn probe(&self) -> Vec<u8> {
        let mut packet = Packet::new_query(0);
        packet.questions.push(Question::new(self.name(), QTYPE::ANY, QCLASS::CLASS(CLASS::IN), false));
        packet.name_servers.push(ResourceRecord::new(self.name(), CLASS::IN, TTL, RData::SRV(self.srv())));
        bytes(&packet)
    }
}

/// What a browser asks.
pub(super) fn query(questions: Vec<(Name<'static>, TYPE)>) -> Vec<u8> {
    let mut packet = Packet::new_query(0);
    packet.questions = questions
        .into_iter()
        .map(|(name, kind)| Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false))
        .collect();
    bytes(&packet)
}

/// `_sidetone._tcp.local`.
pub(super) fn service_name() -> Name<'static> {
    named(&["_sidetone", "_tcp", "local"])
}

/// The order of RFC 6762, section 8.2, for two SRV records.
pub(super) fn srv_bytes(srv: &SRV<'_>) -> Vec<u8> {
    let numbers = [srv.priority, srv.weight, srv.port];
    let mut all: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    for label in srv.target.get_labels() {
        all.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        all.extend_from_slice(label.as_ref());
    }
    all.push(0);
    all
}

fn named(labels: &[&str]) -> Name<'static> {
    let labels: Vec<_> = labels.iter().map(|label| Label::new_unchecked(label.as_bytes().to_vec())).collect();
    Name::new_with_labels(&labels)
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    packet.build_bytes_vec_compressed().expect("labels and strings were checked to be short enough")
}
