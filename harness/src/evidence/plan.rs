//! What a run was meant to be: the scenario with every default filled in.

use super::{Fault, Millis, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidetone::event::{Family, Transport};
use std::net::IpAddr;

/// As an expected cause: nothing may fail and no cause may be named.
pub const NO_CAUSE: &str = "none";
/// Patience for one step of a run unless the scenario says otherwise, in milliseconds.
pub const PATIENCE_MS: u64 = 10_000;

/// A scenario as data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Short name, for instance `call`.
    pub scenario: String,
    /// One line for people.
    pub title: String,
    /// How long the call is observed, in milliseconds.
    pub duration_ms: u64,
    /// Deadline of the whole scenario in milliseconds.
    pub timeout_ms: u64,
    /// Patience for a client to join, for a probe and for a browse, in milliseconds.
    #[serde(default = "patience_ms")]
    pub patience_ms: u64,
    /// Where it runs.
    #[serde(default)]
    pub network: Network,
    /// The server.
    pub server: ServerPlan,
    /// The clients, in the order of their start.
    pub clients: Vec<ClientPlan>,
    /// What clients are made to do during the call.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// When a measured figure is a failure.
    pub limits: Limits,
    /// What is broken on purpose. The diagnosis does not look here: it is asked what happened, not what was planned.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What a probe was asked; `None`: this is no probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbePlan>,
    /// The cause that this scenario must find, or [`NO_CAUSE`]; `None`: nothing may be wrong.
    pub expected_cause: Option<String>,
    /// The verdict that it must have; `None`: any, if a cause is expected.
    #[serde(default)]
    pub expected_status: Option<Status>,
    /// Ids of checks that must be made and pass.
    #[serde(default)]
    pub expected_pass: Vec<String>,
}

fn patience_ms() -> u64 {
    PATIENCE_MS
}

/// Which network a scenario runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// That of the machine.
    #[default]
    Shared,
    /// A network namespace of its own, in which only loopback exists.
    Private,
}

fn yes() -> bool {
    true
}

/// The server to launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// Addresses to bind.
    pub bind: Vec<IpAddr>,
    /// Asked port of the framed protocol; 0: the kernel chooses.
    #[serde(default)]
    pub port: u16,
    /// Asked port of HTTP and WebSocket; 0: the kernel chooses.
    #[serde(default)]
    pub websocket_port: u16,
    /// Patience for it to get ready, in milliseconds.
    #[serde(default = "patience_ms")]
    pub ready_within_ms: u64,
    /// Whether there is a server at all.
    #[serde(default = "yes")]
    pub launch: bool,
    /// Whether it announces itself by mDNS (on loopback).
    pub mdns: bool,
    /// Further arguments.
    pub args: Vec<String>,
}

/// What a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// `sidetone client`.
    #[default]
    Terminal,
    /// A browser that opens the server's page, driven by the harness.
    Browser,
}

/// Something that a client does so long after all have joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When.
    pub after: Millis,
    /// Which client.
    pub client: String,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
}

/// What a client can be made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Mute its microphone, or give it back.
    Mute,
    /// Say the next of its lines.
    Say,
}

/// A client to launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientPlan {
    /// Name in the room.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub kind: ClientKind,
    /// How it connects.
    pub transport: Transport,
    /// Over which family.
    pub family: Family,
    /// `tone:HZ`, `wav:FILE`, `silence` or `none`.
    pub mic: String,
    /// `test-pattern`, `image:FILE` or `none`.
    pub video: String,
    /// It comes so long after those before it have joined; `None`: together with them.
    #[serde(default)]
    pub after: Option<Millis>,
    /// Whether it runs in snapshot mode.
    pub snapshot: bool,
    /// Names of those whose sound it must hear.
    pub hears: Vec<String>,
    /// Names of those whose pictures it must see.
    pub sees: Vec<String>,
    /// Chat lines that it says by steps, and that all others must get.
    #[serde(default)]
    pub says: Vec<String>,
    /// Further arguments.
    pub args: Vec<String>,
}

/// Thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// Own tone at least so many decibels below the heard one.
    pub own_tone_down_db: f64,
    /// The heard tone at least so loud, in dBFS.
    pub tone_at_least_db: f64,
    /// Most concealed samples of all samples, as a fraction.
    pub concealed_fraction: f64,
    /// Least correlation of recorded and sent speech.
    pub correlation: f64,
    /// Least structural similarity of received and sent picture.
    pub ssim: f64,
    /// Mixer ticks of expected ticks, as a fraction.
    pub mixer_ticks_fraction: f64,
    /// Most growth of the server's resident size in bytes over the scenario.
    pub rss_growth_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            own_tone_down_db: 60.0,
            tone_at_least_db: -30.0,
            concealed_fraction: 0.01,
            correlation: 0.9,
            ssim: 0.8,
            mixer_ticks_fraction: 0.98,
            rss_growth_bytes: 16 << 20,
        }
    }
}

/// What a probe was asked to look at.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbePlan {
    /// The target in its canonical form, without credentials.
    pub target: String,
    /// How it is spoken to.
    pub speak: Speak,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Deadline of each layer in milliseconds.
    pub deadline_ms: u64,
    /// Only this family (`-4`, `-6`); `None`: both.
    #[serde(default)]
    pub only: Option<Family>,
    /// Media, mDNS and Origin too.
    #[serde(default)]
    pub deep: bool,
    /// Limits too.
    #[serde(default)]
    pub intrusive: bool,
    /// Whatever certificate it has (`-k`).
    #[serde(default)]
    pub insecure: bool,
    /// Subprotocols that the user wants one of.
    #[serde(default)]
    pub subprotocols: Vec<String>,
    /// Whether it is known to be Sidetone: the user says so, or it was found by its announcement.
    #[serde(default)]
    pub sidetone: bool,
    /// `Origin` that the user sends.
    #[serde(default)]
    pub origin: Option<String>,
    /// Proxy, without credentials.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Proxies that the environment names and that other programs would use: `http_proxy=...`, without credentials.
    #[serde(default)]
    pub proxies_of_environment: Vec<String>,
    /// Whether the server's own log was read too (`--log`).
    #[serde(default)]
    pub log: bool,
    /// Thresholds of the user (`--max`, `--min`).
    #[serde(default)]
    pub bounds: Vec<Bound>,
}

/// A threshold of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// A figure, and perhaps what of its samples: `tcp.connect.p95`.
    pub name: String,
    /// `true`: it must not be above `value`; `false`: not below.
    pub most: bool,
    /// In the unit of the figure.
    pub value: f64,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speak {
    /// `HOST:PORT`: find out.
    #[default]
    Any,
    /// Sidetone's framed protocol, or words to send.
    Tcp,
    /// The same in TLS.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket in TLS.
    Wss,
    /// HTTP.
    Http,
    /// HTTP in TLS.
    Https,
    /// Datagrams.
    Udp,
    /// STUN binding.
    Stun,
    /// STUN binding and TURN allocation.
    Turn,
}

impl Speak {
    /// As in a URL; empty: find out.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Http => "http",
            Self::Https => "https",
            Self::Udp => "udp",
            Self::Stun => "stun",
            Self::Turn => "turn",
        }
    }

    /// Whether TLS comes before the rest.
    pub const fn secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss | Self::Https)
    }

    /// Whether it is a WebSocket.
    pub const fn websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// Whether it goes over UDP.
    pub const fn datagrams(self) -> bool {
        matches!(self, Self::Udp | Self::Stun | Self::Turn)
    }
}
