//! Sessions, media, and what is said over UDP.

use super::{Excerpt, Failure};
use serde::{Deserialize, Serialize};
use sidetone::event::Transport;
use std::net::SocketAddr;

/// A Sidetone hello with no common version: a server refuses it and tells what it speaks; nobody in any room notices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Over which transport; `None`: of a later version.
    pub transport: Option<Transport>,
    /// Whether it answered as a Sidetone server does.
    pub answered: bool,
    /// Code of the refusal, for instance `version_unsupported`.
    pub code: Option<String>,
    /// What it says, for people.
    pub says: Excerpt,
    /// Program and version of the server, where it tells.
    pub agent: Option<Excerpt>,
    /// Lowest and highest version that it speaks, where it tells.
    pub versions: Option<(u16, u16)>,
    /// The version that the probe's own program speaks.
    #[serde(default)]
    pub ours: Option<u16>,
    /// What it can do, where it tells: `audio`, `picture`, `chat`, `echo`.
    pub capabilities: Vec<String>,
    /// A frame that the server began and did not finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Unfinished>,
    /// No answer, or none of Sidetone.
    pub failure: Option<Failure>,
}

/// A frame of which only the beginning came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Bytes that had come, header included.
    pub had: u64,
    /// Bytes that its header announces, header included; `None`: the header itself is cut, or not kept.
    pub announced: Option<u64>,
}

/// A marked signal through the echo room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EchoHeard {
    /// How long it was sent, in milliseconds.
    pub sent_ms: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received (silence keep-alives are not counted).
    pub packets_received: u64,
    /// Packets of the server that are missing by their sequence numbers.
    pub packets_lost: u64,
    /// Packets that came out of order.
    pub packets_reordered: u64,
    /// Interarrival jitter (RFC 3550, section 6.4.1) in microseconds.
    pub jitter_us: Option<u64>,
    /// Median round trip of heartbeats on the session, in microseconds.
    pub rtt_us: Option<u64>,
    /// Concealed samples of the samples that the probe's own playout made.
    pub concealed_fraction: Option<f64>,
    /// Level of what was sent, dBFS.
    pub level_sent_db: f64,
    /// Level of what came back, dBFS; `None`: nothing.
    pub level_heard_db: Option<f64>,
    /// The tone that was sent, in hertz.
    pub tone_hz: f64,
    /// The strongest frequency of what came back.
    pub strongest_hz: Option<f64>,
    /// How far everything that is not the tone is below it, in dB.
    pub purity_db: Option<f64>,
    /// From the probe's mouth to its ear: the marker's way there and back, in milliseconds.
    pub mouth_to_ear_ms: Option<f64>,
    /// The same for a second marker, at the end.
    #[serde(default)]
    pub mouth_to_ear_last_ms: Option<f64>,
    /// Share of samples at full scale in what came back.
    pub clipped_fraction: Option<f64>,
    /// Packets received that are no Opus.
    #[serde(default)]
    pub undecodable: u64,
    /// How late the probe itself sent a packet, at worst, in microseconds: what comes too late then says little of the server.
    #[serde(default)]
    pub own_lateness_us: u64,
    /// Whether the server offers an echo room; `None`: it did not come to that.
    #[serde(default)]
    pub offered: Option<bool>,
    /// Code of the refusal, for instance `server_full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// It could not join, or nothing came back.
    pub failure: Option<Failure>,
}

/// A browse by mDNS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertised {
    /// Interfaces that were browsed.
    pub interfaces: Vec<String>,
    /// How long it was listened to.
    pub listened_ms: u64,
    /// What is advertised.
    pub found: Vec<Answers>,
    /// It could not be browsed.
    pub failure: Option<Failure>,
}

/// Something advertised, and whether it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Instance name.
    pub instance: Excerpt,
    /// An advertised address and port.
    pub address: SocketAddr,
    /// Whether a connection was completed there; why not.
    pub failure: Option<Failure>,
}

/// A STUN binding request (RFC 8489), or a TURN allocation without credentials (RFC 8656).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stun {
    /// Requests sent.
    pub attempts: u32,
    /// Our address as the server sees it.
    pub mapped: Option<SocketAddr>,
    /// `SOFTWARE`.
    pub software: Option<Excerpt>,
    /// Error code and words of the answer.
    pub error: Option<(u16, Excerpt)>,
    /// What TURN says; `None`: not asked.
    pub turn: Option<Turn>,
    /// No answer, or none of STUN. No answer is no failure unless ICMP says more: a packet may have been lost or dropped.
    pub failure: Option<Failure>,
}

/// What a TURN server says to an allocation without credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// It wants credentials (401), as it should.
    pub wants_credentials: bool,
    /// It relays for anybody: `XOR-RELAYED-ADDRESS`.
    pub relayed: Option<SocketAddr>,
    /// `REALM`.
    pub realm: Option<Excerpt>,
}
