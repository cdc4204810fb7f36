//! What a scenario breaks on purpose.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sidetone::event::ListenerKind;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// A fault. In a scenario file a table `[[fault]]` with `kind = "hold_port"` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Another process holds a port, and the server is told to listen there.
    HoldPort {
        /// Which of the server's listeners gets that port.
        listener: ListenerKind,
        /// What holds it.
        by: Hold,
        /// On these addresses.
        #[serde(default = "loopback")]
        on: Vec<IpAddr>,
        /// The holder ends after so long; `None`: when the scenario ends.
        #[serde(default)]
        ends_after: Option<Millis>,
    },
    /// Another process holds every port of the ephemeral range, which is made small first. In a private network only.
    ExhaustPorts {
        /// How many ports the range has.
        ports: u16,
    },
    /// The network has no IPv6. In a private network only.
    DisableIpv6 {},
    /// The server lacks the capability to bind privileged ports, root or not.
    DropNetBind {},
    /// The server's log goes to a FIFO that nobody reads, so that it waits before it has bound anything.
    BlockLog {},
    /// Once the server is ready it may open only so many more descriptors.
    LimitDescriptors {
        /// How many more.
        spare: u32,
    },
    /// A signal out of nowhere, once the server is ready.
    Signal {
        /// `server` or a client's name.
        process: String,
        /// For instance `SIGSTOP`; `SIGCONT` follows at the end of the call.
        signal: String,
        /// So long after the clients have joined; `None`: before they are started.
        #[serde(default)]
        after: Option<Millis>,
    },
    /// The harness, as a careless launcher would, ends the server and starts the clients nevertheless.
    EndServer {
        /// It ends only when this browser has loaded its page, before it joins.
        #[serde(default)]
        after_page_of: Option<String>,
    },
    /// The harness ends the server during the call and starts it again, on the same ports.
    RestartServer {
        /// So long after the clients have joined.
        after: Millis,
        /// How long nobody serves.
        down: Millis,
    },
    /// A browser gets the page with this Content-Security-Policy instead of the server's, as from a proxy in front.
    PagePolicy {
        /// The client's name.
        client: String,
        /// The whole policy.
        policy: String,
    },
    /// A browser opens the page by this name, which leads to the server.
    HostName {
        /// The client's name.
        client: String,
        /// A name that exists nowhere else.
        name: String,
    },
    /// A browser's person says no when the page asks for microphone and camera.
    DenyCapture {
        /// The client's name.
        client: String,
    },
    /// A browser lets no page sound before somebody touches it, and nobody does.
    LockAutoplay {
        /// The client's name.
        client: String,
    },
    /// A program is stopped for a while, again and again during the call.
    Pause {
        /// `server` or a client's name.
        process: String,
        /// How long each time.
        hold: Millis,
        /// From one to the next.
        every: Millis,
    },
    /// The way from the server to a client stands still for a while, again and again during the call.
    Stall {
        /// The client's name.
        client: String,
        /// How long each time.
        hold: Millis,
        /// From one to the next.
        every: Millis,
    },
    /// The server is one that was built to misbehave (feature `sabotage`).
    Sabotage {
        /// For instance `phantom-listener`.
        how: String,
    },
}

impl Fault {
    /// The word of `kind`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::HoldPort { .. } => "hold_port",
            Self::ExhaustPorts { .. } => "exhaust_ports",
            Self::DisableIpv6 {} => "disable_ipv6",
            Self::DropNetBind {} => "drop_net_bind",
            Self::BlockLog {} => "block_log",
            Self::LimitDescriptors { .. } => "limit_descriptors",
            Self::Signal { .. } => "signal",
            Self::EndServer { .. } => "end_server",
            Self::RestartServer { .. } => "restart_server",
            Self::PagePolicy { .. } => "page_policy",
            Self::HostName { .. } => "host_name",
            Self::DenyCapture { .. } => "deny_capture",
            Self::LockAutoplay { .. } => "lock_autoplay",
            Self::Pause { .. } => "pause",
            Self::Stall { .. } => "stall",
            Self::Sabotage { .. } => "sabotage",
        }
    }

    /// The browser that it is about, if it is about one.
    pub fn browser(&self) -> Option<&str> {
        match self {
            Self::PagePolicy { client, .. }
            | Self::HostName { client, .. }
            | Self::DenyCapture { client }
            | Self::LockAutoplay { client }
            | Self::EndServer { after_page_of: Some(client) } => Some(client),
            Self::HoldPort { .. }
            | Self::ExhaustPorts { .. }
            | Self::DisableIpv6 {}
            | Self::DropNetBind {}
            | Self::BlockLog {}
            | Self::LimitDescriptors { .. }
            | Self::Signal { .. }
            | Self::EndServer { after_page_of: None }
            | Self::RestartServer { .. }
            | Self::Pause { .. }
            | Self::Stall { .. }
            | Self::Sabotage { .. } => None,
        }
    }
}

/// What holds a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// It listens, and answers every connection with HTTP 404.
    Listener,
    /// It is the local end of an outgoing connection, bound without `SO_REUSEADDR`.
    Connection,
    /// It is what remains of a connection that was closed (`TIME_WAIT`); no process holds it.
    TimeWait,
    /// It is bound, and neither listens nor is connected.
    Bound,
}

fn loopback() -> Vec<IpAddr> {
    vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]
}

/// Milliseconds, written as `300ms` or `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", self.0))
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = |digits: &str, unit: u64| digits.parse::<u64>().ok()?.checked_mul(unit);
        let parsed = match text.strip_suffix("ms") {
            Some(digits) => number(digits, 1),
            None => text.strip_suffix('s').and_then(|digits| number(digits, 1_000)),
        };
        parsed
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no duration, for instance 300ms or 2s")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_comes_back_as_it_was_written() {
        let text = "kind = \"stall\"\nclient = \"b\"\nhold = \"300ms\"\nevery = \"1s\"\n";
        let fault: Fault = toml::from_str(text).unwrap();
        assert_eq!(fault, Fault::Stall { client: "b".to_owned(), hold: Millis(300), every: Millis(1_000) });
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        assert!(json.contains(&format!("\"kind\":\"{}\"", fault.kind())), "{json}");
    }

    #[test]
    fn a_wrong_duration_says_what_is_right() {
        for wrong in ["5", "soon", "-1s", "99999999999999999999s", ""] {
            let text = format!("kind = \"pause\"\nprocess = \"b\"\nhold = {wrong:?}\nevery = \"1s\"\n");
            let error = toml::from_str::<Fault>(&text).unwrap_err().to_string();
            assert!(error.contains("for instance 300ms"), "{wrong}: {error}");
        }
    }
}
