//! What the diagnosis wants to know more, and what the harness found out.

use super::SocketRow;
use serde::{Deserialize, Serialize};
use sidetone::event::Errno;
use std::fmt;
use std::net::SocketAddr;

/// A question that decides between hypotheses. The harness answers it with its own hands while the scene is untouched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// Can this address be bound, as a server would (`SO_REUSEADDR`)? Released at once; it never listens.
    Bind {
        /// Which.
        address: SocketAddr,
        /// `IPV6_V6ONLY` of an IPv6 socket; `None` for IPv4.
        v6only: Option<bool>,
    },
    /// Which sockets have this local port, whose are they, and since when do those processes run?
    Holders {
        /// Which port.
        port: u16,
    },
    /// Does this address complete a TCP connection?
    Connect {
        /// Which.
        address: SocketAddr,
    },
    /// Does this server answer a browse by mDNS?
    Browse {
        /// Its instance name.
        instance: String,
    },
    /// What does a process do?
    Process {
        /// Its name in the scenario.
        process: String,
        /// Its id.
        pid: u32,
    },
    /// How many ports of the ephemeral range are taken?
    EphemeralRange {},
    /// A question that only a later minor version knows.
    #[serde(other)]
    Later,
}

/// The answer. What could not be found out is [`Answer::None`], never a no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The address can be bound.
    Bound {},
    /// It cannot.
    NotBound {
        /// The system call that failed: `socket`, `setsockopt` or `bind`.
        call: String,
        /// Its error.
        errno: Errno,
    },
    /// The sockets with that local port.
    Holders {
        /// None: nothing in the kernel's table has that port.
        sockets: Vec<Held>,
    },
    /// A connection was completed.
    Connected {},
    /// It was not.
    NotConnected {
        /// Name and number, for instance `ECONNREFUSED (111)`.
        errno: String,
    },
    /// The browse found it.
    Found {
        /// Its ports: TCP and WebSocket.
        ports: Vec<u16>,
    },
    /// The browse did not find it.
    NotFound {
        /// How long it was looked for.
        waited_ms: u64,
        /// Whether the same browse found an announcement of the harness itself; `None`: none could be made.
        #[serde(default)]
        control_found: Option<bool>,
    },
    /// What the system says of the process.
    Process(ProcessState),
    /// The process is gone.
    Gone {},
    /// How full the range is.
    Range {
        /// First and last port.
        range: (u16, u16),
        /// Different local ports in it that a TCP socket has.
        taken: u32,
    },
    /// It could not be found out.
    None {
        /// Why.
        why: String,
    },
    /// An answer that only a later minor version knows.
    #[serde(other)]
    Later,
}

/// A socket with its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The socket.
    pub socket: SocketRow,
    /// Command of the first owner.
    pub command: Option<String>,
    /// When the first owner was started, UTC.
    pub since: Option<String>,
}

/// What a process does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessState {
    /// The kernel's letter: `R` running, `S` sleeping, `D` waiting for a device, `T` stopped, `Z` ended and not reaped.
    pub state: String,
    /// The kernel function in which its main thread waits; `None`: not readable, or it runs.
    pub waits_in: Option<String>,
    /// Processor time in milliseconds since its start.
    pub cpu_ms: u64,
    /// Open descriptors.
    pub descriptors: Option<u32>,
    /// Most open descriptors (the soft limit).
    pub descriptor_limit: Option<u64>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, v6only } => {
                let option = match v6only {
                    None => "",
                    Some(true) => " with IPV6_V6ONLY",
                    Some(false) => " without IPV6_V6ONLY",
                };
                write!(f, "can the harness bind {address}{option}?")
            }
            Self::Holders { port } => write!(f, "who holds port {port}, and since when?"),
            Self::Connect { address } => write!(f, "does {address} complete a connection?"),
            Self::Browse { instance } => write!(f, "does {instance:?} answer a browse by mDNS?"),
            Self::Process { process, pid } => write!(f, "what does {process} (pid {pid}) do?"),
            Self::Later => f.write_str("a question that this version does not know"),
            Self::EphemeralRange {} => f.write_str("how many ports of the ephemeral range are taken?"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound {} | Self::Connected {} => f.write_str("yes"),
            Self::NotBound { call, errno } => write!(f, "no: {call} fails with {errno}"),
            Self::Holders { sockets } if sockets.is_empty() => f.write_str("nothing in the kernel's table has it"),
            Self::Holders { sockets } => {
                let told: Vec<_> = sockets.iter().take(4).map(ToString::to_string).collect();
                f.write_str(&told.join("; "))?;
                match sockets.len() {
                    0..=4 => Ok(()),
                    n => write!(f, "; and {} more", n - 4),
                }
            }
            Self::NotConnected { errno } => write!(f, "no: {errno}"),
            Self::Found { ports } => write!(f, "yes, with ports {ports:?}"),
            Self::NotFound { waited_ms, control_found } => {
                write!(f, "no, not within {waited_ms} ms")?;
                f.write_str(match control_found {
                    Some(true) => "; an announcement of the harness itself was found by the same browse",
                    Some(false) => "; but an announcement of the harness itself was not found either",
                    None => "",
                })
            }
            Self::Process(state) => state.fmt(f),
            Self::Gone {} => f.write_str("it has ended"),
            Self::Range { range: (low, high), taken } => {
                write!(f, "{taken} of the {} ports {low}-{high}", u32::from(*high).saturating_sub((*low).into()) + 1)
            }
            Self::Later => f.write_str("an answer that this version does not know"),
            Self::None { why } => write!(f, "not found out: {why}"),
        }
    }
}

/// A command line for a sentence: the program without its folder, at most 60 characters. The evidence has all of it.
pub fn short_command(command: &str) -> String {
    let (program, rest) = command.split_once(' ').map_or((command, ""), |(program, rest)| (program, rest));
    let program = program.rsplit('/').next().unwrap_or(program);
    let whole = if rest.is_empty() { program.to_owned() } else { format!("{program} {rest}") };
    if whole.chars().count() <= 60 { whole } else { whole.chars().take(57).chain("...".chars()).collect() }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command.as_deref().map(short_command);
        match (self.socket.pids.first(), &command) {
            (Some(pid), Some(command)) => write!(f, "pid {pid} ({command})")?,
            (Some(pid), None) => write!(f, "pid {pid}")?,
            (None, _) if self.socket.inode == 0 => f.write_str("no process")?,
            (None, _) => f.write_str("a process that we may not see")?,
        }
        write!(f, ", {} {}", self.socket.state, self.socket.local)?;
        if let Some(remote) = self.socket.remote {
            write!(f, " -> {remote}")?;
        }
        match &self.since {
            Some(since) => write!(f, ", running since {since}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.state.as_str() {
            "R" => "it runs",
            "S" => "it sleeps",
            "D" => "it waits for a device",
            "T" | "t" => "it is stopped",
            "Z" => "it has ended and is not reaped",
            _ => "it is in an unknown state",
        };
        write!(f, "{word} (state {})", self.state)?;
        if let Some(function) = &self.waits_in {
            write!(f, " in {function}")?;
        }
        write!(f, ", {} ms of processor time", self.cpu_ms)?;
        match (self.descriptors, self.descriptor_limit) {
            (Some(open), Some(limit)) => write!(f, ", {open} of {limit} descriptors open"),
            (Some(open), None) => write!(f, ", {open} descriptors open"),
            (None, _) => Ok(()),
        }
    }
}
