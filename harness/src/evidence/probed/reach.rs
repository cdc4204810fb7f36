//! From the name to the first bytes.

use super::{Excerpt, Failure};
use serde::{Deserialize, Serialize};
use sidetone::event::Family;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where the addresses of a name come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameSource {
    /// It is an address already.
    #[default]
    Literal,
    /// `--resolve`.
    Given,
    /// `/etc/hosts` has it.
    HostsFile,
    /// A browse by mDNS.
    Mdns,
    /// The system's resolver (`getaddrinfo`), and not from `/etc/hosts`.
    Resolver,
}

/// The addresses of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The name as asked for, without brackets.
    pub host: String,
    /// Where the answer comes from.
    pub source: NameSource,
    /// One a family that was asked for; the other one too, where `-4` or `-6` leaves no address.
    pub answers: Vec<FamilyAnswer>,
    /// What will be tried, families in turn (RFC 8305); those left out by `-4` or `-6` are not in here.
    pub order: Vec<SocketAddr>,
    /// Name servers of `/etc/resolv.conf`; `None`: not readable, or not asked.
    pub name_servers: Option<Vec<String>>,
    /// No address at all.
    pub failure: Option<Failure>,
}

/// What the resolver says of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyAnswer {
    /// Which.
    pub family: Family,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Why there are none.
    pub error: Option<LookupError>,
    /// How long it took.
    pub took_us: u64,
}

/// An error of `getaddrinfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupError {
    /// For instance -2; 0: it did not answer in time.
    pub number: i32,
    /// For instance `EAI_NONAME`; `timed out`.
    pub name: String,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => f.write_str(&self.name),
            number => write!(f, "{} ({number})", self.name),
        }
    }
}

/// The way to an address, by the kernel's routing table. No packet is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The address that a connection would come from.
    pub source: Option<IpAddr>,
    /// The interface that has it.
    pub interface: Option<String>,
    /// Whether the address is one of this machine; `None`: not known.
    pub this_machine: Option<bool>,
    /// MTU of the interface.
    pub mtu: Option<u32>,
    /// There is no way.
    pub failure: Option<Failure>,
}

/// A TCP connection attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Its place in the order of RFC 8305, from 1.
    pub order: u32,
    /// When a client that follows RFC 8305 would begin it, in milliseconds after the first: 250 ms for each one before it
    /// that has neither failed nor succeeded.
    pub client_begins_ms: u64,
    /// Whether such a client would use it.
    pub chosen: bool,
    /// Own address of the connection.
    pub local: Option<SocketAddr>,
    /// Attempts that were made; more than one, where an attempt and what the kernel said of the port contradicted each other.
    #[serde(default = "once")]
    pub attempts: u32,
    /// What the first attempt came to, where there were more, and how long before this one it was made, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<(Failure, u64)>,
    /// What happened instead.
    pub failure: Option<Failure>,
}

const fn once() -> u32 {
    1
}

/// A proxy that was asked to connect (`CONNECT`, RFC 9110).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxied {
    /// Which, without credentials.
    pub proxy: String,
    /// What it was asked for.
    pub authority: String,
    /// Its status.
    pub status: Option<u16>,
    /// How its answer begins.
    pub answer: Excerpt,
    /// It did not connect.
    pub failure: Option<Failure>,
}

/// What speaks at a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// The conclusion from what follows.
    pub speaks: Speaks,
    /// What it says before anybody says anything; `None`: nothing within `listened_ms`.
    pub greeting: Option<Greeting>,
    /// How long it was listened to.
    pub listened_ms: u64,
    /// How it answers a Sidetone hello.
    pub to_hello: Excerpt,
    /// How it answers an HTTP request with an upgrade.
    pub to_http: Excerpt,
    /// How it answers a TLS `ClientHello`.
    pub to_tls: Excerpt,
    /// What it does without an answer: `closes`, `resets`, `waits`.
    pub otherwise: String,
    /// What answers like that, to these words or to a question of its own: `Redis`, `MQTT`, ...; `None`: not known.
    #[serde(default)]
    pub answers_like: Option<String>,
    /// How it ended the first connection before anything was said on it: `closes`, `resets`; `None`: it did not.
    #[serde(default)]
    pub unasked_end: Option<String>,
    /// Everything that was asked, each on a connection of its own.
    #[serde(default)]
    pub asked: Vec<Asked>,
    /// Connections that were opened for it; 0: older evidence, which does not say.
    #[serde(default)]
    pub connections: u32,
    /// Why it could not be asked: no further connection was completed.
    #[serde(default)]
    pub failure: Option<Failure>,
}

impl Identified {
    /// Whether it is known what speaks.
    pub const fn is_known(&self) -> bool {
        match self.speaks {
            Speaks::Sidetone | Speaks::WebSocket | Speaks::Http | Speaks::Tls | Speaks::Greeting => true,
            Speaks::Unknown => self.answers_like.is_some(),
            Speaks::Silent | Speaks::Closes => false,
        }
    }
}

/// One question and how it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The protocol, or what was said.
    pub what: String,
    /// How the answer begins.
    pub answer: Excerpt,
    /// `answers`, `closes`, `resets`, `waits`, `no connection`.
    pub ended: String,
    /// Until the first byte or the end, in microseconds; 0: neither came.
    pub took_us: u64,
}

/// What speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaks {
    /// Sidetone's framed protocol.
    Sidetone,
    /// HTTP, and it upgrades to a WebSocket at the path that was asked.
    WebSocket,
    /// HTTP, no upgrade.
    Http,
    /// TLS.
    Tls,
    /// It greets first.
    Greeting,
    /// It accepts and says nothing.
    #[default]
    Silent,
    /// It accepts and closes.
    Closes,
    /// It answers in no protocol that the probe knows.
    Unknown,
}

/// The words of a server that speaks first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// How it begins.
    pub begins: Excerpt,
    /// What greets like that: `SSH`, `SMTP`, `FTP`, `IMAP`, `POP3`, `MySQL`, `VNC`, `IRC`, `NATS`...; `None`: not known.
    pub protocol: Option<String>,
    /// After how many microseconds.
    pub after_us: u64,
}

impl Greeting {
    /// Whether it begins with bytes that are no text, which tell people nothing beside the name of the protocol.
    pub fn is_binary(&self) -> bool {
        self.begins.as_str().find("\\x").is_some_and(|at| at < 3)
    }
}

/// Bytes sent and bytes that came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// `tcp`, `tls`, `ws`, `wss` or `udp`.
    pub over: String,
    /// How many bytes were sent (their text is not kept: it may be a secret).
    pub sent: u64,
    /// How many came.
    pub received: u64,
    /// How they begin.
    pub begins: Excerpt,
    /// The expected pattern; `None`: anything.
    pub expect: Option<String>,
    /// Whether it was found; `None`: no pattern.
    pub matched: Option<bool>,
    /// Nothing came, or not what was expected.
    pub failure: Option<Failure>,
}
