//! What a run was meant to be: the scenario with every default filled in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidetone::event::{Family, Transport};
use std::net::IpAddr;

/// A scenario as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Short name, for instance `call`.
    pub scenario: String,
    /// One line for people.
    pub title: String,
    /// How long the call is observed, in milliseconds.
    pub duration_ms: u64,
    /// Deadline of the whole scenario in milliseconds.
    pub timeout_ms: u64,
    /// The server.
    pub server: ServerPlan,
    /// The clients, in the order of their start.
    pub clients: Vec<ClientPlan>,
    /// When a measured figure is a failure.
    pub limits: Limits,
    /// The cause that this scenario must find; `None`: nothing may be wrong.
    pub expected_cause: Option<String>,
}

/// The server to launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// Addresses to bind.
    pub bind: Vec<IpAddr>,
    /// Whether it announces itself by mDNS (on loopback).
    pub mdns: bool,
    /// Further arguments.
    pub args: Vec<String>,
}

/// A client to launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientPlan {
    /// Name in the room.
    pub name: String,
    /// How it connects.
    pub transport: Transport,
    /// Over which family.
    pub family: Family,
    /// `tone:HZ`, `wav:FILE` or `none`.
    pub mic: String,
    /// `test-pattern`, `image:FILE` or `none`.
    pub video: String,
    /// Whether it runs in snapshot mode.
    pub snapshot: bool,
    /// Names of those whose sound it must hear.
    pub hears: Vec<String>,
    /// Names of those whose pictures it must see.
    pub sees: Vec<String>,
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
