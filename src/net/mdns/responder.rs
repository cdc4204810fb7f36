//! The life of an announcement. Pure: the clock and the packets are arguments.
//!
//! ```text
//!            3 probes, 250 ms apart        2 announcements, 1 s apart
//! Probing ---------------------------> Announcing ------------------> Idle
//!    ^  \ somebody has the name: number    |  somebody else uses it    |
//!    |___\ or wins the tie: 1 s later      v                           v
//!    ^_________________________________________________________________|
//! ```

use super::message::{Service, TTL, srv_bytes};
use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag, ResourceRecord};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const PROBES: u8 = 3;
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
const ANNOUNCEMENTS: u8 = 2;
/// Conflicts after which every further one costs a pause (RFC 6762, section 8.1).
const PATIENCE: u32 = 15;
const PAUSE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);
/// Answers to several questions at once go out as one.
const GATHER: Duration = Duration::from_millis(20);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Send a packet on an interface, over both families.
    Send {
        /// Number of the interface.
        link: usize,
        /// The packet.
        packet: Vec<u8>,
    },
    /// The name was taken; this is the new one.
    Named(String),
    /// The first announcement is out.
    Announced {
        /// The name.
        instance: String,
        /// The addresses told, on any interface.
        addresses: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Probing { sent: u8, next: Instant },
    Announcing { sent: u8, next: Instant },
    Idle,
}

/// One interface.
#[derive(Clone, Debug)]
struct Link {
    addresses: Vec<IpAddr>,
    /// The last time that the records were sent.
    told: Option<Instant>,
    /// When a query is to be answered.
    due: Option<Instant>,
}

/// The announcement of one server on its interfaces.
#[derive(Clone, Debug)]
pub(super) struct Responder {
    base: String,
    number: u32,
    conflicts: u32,
    service: Service,
    links: Vec<Link>,
    state: State,
    announced: bool,
}

impl Responder {
    /// `links` has the addresses to tell on each interface.
    pub(super) fn new(service: Service, links: Vec<Vec<IpAddr>>, now: Instant, jitter: Duration) -> Self {
        let links = links.into_iter().map(|addresses| Link { addresses, told: None, due: None }).collect();
        let state = State::Probing { sent: 0, next: now + jitter };
        Self { base: service.instance.clone(), number: 1, conflicts: 0, service, links, state, announced: false }
    }

    pub(super) fn instance(&self) -> String {
        self.service.instance.clone()
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub(super) fn wakeup(&self) -> Option<Instant> {
        let own = match self.state {
            State::Probing { next, .. } | State::Announcing { next, .. } => Some(next),
            State::Idle => None,
        };
        self.links.iter().filter_map(|link| link.due).chain(own).min()
    }

    /// What is due.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Output> {
        let mut outputs = vec![];
        match self.state {
            State::Probing { sent, next } if next <= now && sent < PROBES => {
                let packet = self.service.probe();
                outputs.extend((0..self.links.len()).map(|link| Output::Send { link, packet: packet.clone() }));
                self.state = State::Probing { sent: sent + 1, next: now + PROBE_INTERVAL };
            }
            State::Probing { next, .. } if next <= now => {
                self.tell_all(now, &mut outputs);
                let mut addresses: Vec<_> = self.links.iter().flat_map(|link| &link.addresses).collect();
                addresses.sort_unstable();
                addresses.dedup();
                let addresses = addresses.iter().map(ToString::to_string).collect();
                outputs.push(Output::Announced { instance: self.instance(), addresses });
                self.announced = true;
                self.state = State::Announcing { sent: 1, next: now + SECOND };
            }
            State::Announcing { sent, next } if next <= now => {
                self.tell_all(now, &mut outputs);
                let sent = sent + 1;
                self.state =
                    if sent < ANNOUNCEMENTS { State::Announcing { sent, next: now + SECOND } } else { State::Idle };
            }
            State::Probing { .. } | State::Announcing { .. } | State::Idle => {}
        }
        for link in 0..self.links.len() {
            if self.links[link].due.is_some_and(|due| due <= now) {
                outputs.push(self.tell(link, now));
            }
        }
        outputs
    }

    /// A packet came on an interface; our own come back too.
    pub(super) fn receive(&mut self, link: usize, packet: &[u8], now: Instant) -> Vec<Output> {
        let Ok(packet) = Packet::parse(packet) else { return vec![] };
        if packet.has_flags(PacketFlag::RESPONSE) {
            let records = packet.answers.iter().chain(&packet.additional_records);
            if records.filter(|record| record.ttl > 0).any(|record| self.disputes(record).is_some()) {
                return self.conflict(now);
            }
            return vec![];
        }
        let theirs = packet.name_servers.iter().find_map(|record| self.disputes(record));
        let probing = matches!(self.state, State::Probing { .. });
        if probing {
            if theirs.is_some_and(|theirs| theirs > srv_bytes(&self.service.srv())) {
                self.state = State::Probing { sent: 0, next: now + SECOND };
            }
            return vec![];
        }
        if self.is_asked(link, &packet) {
            let told = self.links[link].told;
            // A probe is answered at once, or its sender takes the name.
            let due = if theirs.is_some() { now } else { told.map_or(now, |told| told + SECOND).max(now + GATHER) };
            self.links[link].due = Some(self.links[link].due.map_or(due, |before| before.min(due)));
        }
        vec![]
    }

    /// Takes everything back; nothing if nothing was announced.
    pub(super) fn goodbye(&mut self) -> Vec<Output> {
        if !self.announced {
            return vec![];
        }
        let packet = |link: &Link| self.service.announcement(&link.addresses, 0);
        self.links.iter().map(packet).enumerate().map(|(link, packet)| Output::Send { link, packet }).collect()
    }

    /// What another server's record says of our name.
    fn disputes(&self, record: &ResourceRecord<'_>) -> Option<Vec<u8>> {
        let RData::SRV(theirs) = &record.rdata else { return None };
        let theirs = srv_bytes(theirs);
        (record.name == self.service.name() && theirs != srv_bytes(&self.service.srv())).then_some(theirs)
    }

    fn conflict(&mut self, now: Instant) -> Vec<Output> {
        let probing = matches!(self.state, State::Probing { .. });
        self.conflicts += 1;
        let pause = if self.conflicts > PATIENCE { PAUSE } else { Duration::ZERO };
        self.state = State::Probing { sent: 0, next: now + pause };
        if !probing {
            // Both believed to have it: ask again, whoever answers keeps it (RFC 6762, section 9).
            return vec![];
        }
        self.number += 1;
        self.service.instance = Service::numbered(&self.base, self.number);
        vec![Output::Named(self.instance())]
    }

    /// Whether a question is ours and its answer is not known to the asker.
    fn is_asked(&self, link: usize, packet: &Packet<'_>) -> bool {
        let records = self.service.records(&self.links[link].addresses, TTL);
        let known = |record: &ResourceRecord<'_>| {
            packet.answers.iter().any(|k| k.name == record.name && k.rdata == record.rdata && k.ttl >= TTL / 2)
        };
        packet.questions.iter().any(|question| {
            records.iter().any(|record| {
                record.name == question.qname
                    && record.match_qtype(question.qtype)
                    && record.match_qclass(question.qclass)
                    && !known(record)
            })
        })
    }

    fn tell_all(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        for link in 0..self.links.len() {
            outputs.push(self.tell(link, now));
        }
    }

    fn tell(&mut self, link: usize, now: Instant) -> Output {
        let this = &mut self.links[link];
        this.told = Some(now);
        this.due = None;
        Output::Send { link, packet: self.service.announcement(&this.addresses, TTL) }
    }
}
