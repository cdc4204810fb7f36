//! Types of event fields.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Severity. A healthy event is never [`Level::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Something that was asked for did not happen.
    Error,
    /// Works, but somebody should look.
    Warn,
    /// The course of things.
    Info,
    /// Details for somebody who looks closer.
    Debug,
}

impl Level {
    /// All, most severe first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];
}

macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }
        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("{word:?} is none of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

words!(Level { Error => "error", Warn => "warn", Info => "info", Debug => "debug" });

/// Which of the server's listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerKind {
    /// The framed protocol over TCP.
    Tcp,
    /// HTTP and WebSocket.
    WebSocket,
}

words!(ListenerKind { Tcp => "tcp", WebSocket => "websocket" });

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `AF_INET`.
    Ipv4,
    /// `AF_INET6`.
    Ipv6,
}

words!(Family { Ipv4 => "IPv4", Ipv6 => "IPv6" });

impl Family {
    /// The family of an address.
    pub const fn of(address: &std::net::SocketAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Framed TCP.
    Tcp,
    /// WebSocket.
    WebSocket,
}

words!(Transport { Tcp => "tcp", WebSocket => "websocket" });

/// What a server does when a listener cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// End with exit code 3.
    Fail,
    /// Take the next free port and announce it.
    Next,
    /// Go on with what is bound and say so everywhere.
    Degrade,
}

words!(Policy { Fail => "fail", Next => "next", Degrade => "degrade" });

/// An operating system error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errno {
    /// For instance 98.
    pub number: i32,
    /// For instance `EADDRINUSE`.
    pub name: String,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.number)
    }
}

/// What a socket that holds a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketRole {
    /// It listens.
    Listener,
    /// The local end of a connection.
    Connection,
    /// The remains of a closed connection; no process owns it.
    TimeWait,
}

words!(SocketRole { Listener => "LISTEN", Connection => "local end of a connection", TimeWait => "TIME_WAIT" });

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The socket's own address.
    pub local: std::net::SocketAddr,
    /// The other end of a connection.
    pub remote: Option<std::net::SocketAddr>,
    /// What the socket is.
    pub role: SocketRole,
    /// Kernel's name of the state, for instance `LISTEN`.
    pub state: String,
    /// `None`: no process owns it, or we may not see which.
    pub pid: Option<u32>,
    /// Command of the process.
    pub command: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.command) {
            (Some(pid), Some(command)) => write!(f, "pid {pid} ({command})")?,
            (Some(pid), None) => write!(f, "pid {pid}")?,
            (None, _) if self.role == SocketRole::TimeWait => write!(f, "no process")?,
            (None, _) => write!(f, "a process we may not see")?,
        }
        write!(f, ", {} {}", self.state, self.local)?;
        if let Some(remote) = self.remote {
            write!(f, " -> {remote}")?;
        }
        Ok(())
    }
}

/// Why playback had fewer samples than its device asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnderrunCause {
    /// The buffer still fills for the first time: not a fault.
    Filling,
    /// Nothing was received at all, or the stream has stopped.
    NothingReceived,
    /// Packets come, but later than the buffer is long.
    LateData,
    /// The device asked late, and so for more than one period.
    LateCallback,
}

words!(UnderrunCause {
    Filling => "filling",
    NothingReceived => "nothing received",
    LateData => "late data",
    LateCallback => "late callback",
});

/// What a receiver of sound had to make up (W3C webrtc-stats names).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConcealmentCounters {
    /// Packets that came.
    pub packets_received: u64,
    /// Samples played, made-up ones included.
    pub total_samples_received: u64,
    /// Samples made up because none had come in time.
    pub concealed_samples: u64,
    /// Runs of made-up samples.
    pub concealment_events: u64,
    /// Packets thrown away because they came too late or the buffer was full.
    pub packets_discarded: u64,
}

/// The ready line of a server: one JSON line on stdout with `--log-format json`, and the content of `--ready-file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "`\"ready\": true` is what a reader of the JSON looks for")]
pub struct Ready {
    /// Always true: there is no such line before.
    pub ready: bool,
    /// Name of the server.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Real addresses of the framed protocol.
    pub tcp: Vec<std::net::SocketAddr>,
    /// Real addresses of HTTP and WebSocket.
    pub websocket: Vec<std::net::SocketAddr>,
    /// Path of the WebSocket.
    pub websocket_path: String,
    /// What is missing, a sentence each; empty if everything is up.
    pub degraded: Vec<String>,
    /// Microseconds from the start of the program to this line.
    pub startup_us: u64,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[std::net::SocketAddr]| {
            if addresses.is_empty() {
                return "none".to_owned();
            }
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        write!(f, "{} is ready: tcp {}, websocket {}", self.name, list(&self.tcp), list(&self.websocket))?;
        if !self.degraded.is_empty() {
            write!(f, "; DEGRADED: {}", self.degraded.join("; "))?;
        }
        Ok(())
    }
}
