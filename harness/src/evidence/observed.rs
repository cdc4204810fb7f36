//! What was observed.

use super::{Answer, Environment, Plan, Question, probed};
use serde::{Deserialize, Serialize};
use sidetone::event::{ListenerKind, Record, Transport};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The input of the diagnosis: one run of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// See [`super::SCHEMA_VERSION`].
    pub schema_version: String,
    /// Which run.
    pub run: RunInfo,
    /// What it was meant to be.
    pub plan: Plan,
    /// Where it ran.
    pub environment: Environment,
    /// Captured logs, one a process and stream.
    pub logs: Vec<Log>,
    /// What the harness itself saw, in order; line N of `observations.jsonl` is element N-1.
    pub observations: Vec<Observed>,
    /// sha256 of each artefact, by its path inside the scenario's folder.
    pub artefacts: BTreeMap<String, String>,
}

/// Which run of which scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunInfo {
    /// Compact UTC time of the run, for instance `20261122T213000Z`.
    pub run_id: String,
    /// Scenario name.
    pub scenario: String,
    /// From 1.
    pub repeat: u32,
    /// Seed of all chance in the harness.
    pub seed: u64,
    /// RFC 3339, UTC.
    pub started: String,
    /// Whole duration in milliseconds, preparation and clean-up included.
    pub duration_ms: u64,
    /// The harness's command line.
    pub command: Vec<String>,
    /// The command line that runs this scenario alone; empty: the same.
    #[serde(default)]
    pub again: Vec<String>,
    /// Version of the harness.
    pub harness_version: String,
    /// What `sidetone --version` says, without the name; `None`: it could not be asked.
    pub sidetone_version: Option<String>,
}

/// A captured log file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// For instance `server`.
    pub process: String,
    /// `events`, `stdout` or `stderr`.
    pub stream: String,
    /// Path inside the scenario's folder.
    pub path: String,
    /// Lines, from line 1.
    pub lines: Vec<LogLine>,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// From 1.
    pub number: u32,
    /// As written (invalid bytes replaced, cut after 4,096 characters).
    pub text: String,
    /// The event, if the line is one.
    pub record: Option<Record>,
    /// Why it is none.
    pub unread: Option<String>,
}

/// One observation of the harness with its circumstances: a line of `observations.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// UTC, RFC 3339 with microseconds.
    pub time: String,
    /// `CLOCK_MONOTONIC` in nanoseconds: the clock of the events too.
    pub monotonic_ns: u64,
    /// What was seen.
    #[serde(flatten)]
    pub what: Observation,
}

/// Which of two independent readers saw a socket table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableSource {
    /// netlink's `sock_diag` through netstat2.
    Netstat2,
    /// `/proc/net/tcp` and `/proc/net/tcp6`.
    Proc,
}

/// One socket of the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SocketRow {
    /// Own address.
    pub local: SocketAddr,
    /// Other end; `None` for a listener.
    pub remote: Option<SocketAddr>,
    /// `LISTEN`, `ESTABLISHED`, `TIME_WAIT`, ...
    pub state: String,
    /// Inode; 0 if no process owns it.
    pub inode: u64,
    /// Owners as far as we may see them.
    pub pids: Vec<u32>,
    /// Connections that wait for accept, or bytes that wait for read; `None`: this reader does not tell.
    pub rx_queue: Option<u64>,
}

/// The level of one frequency in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToneLevel {
    /// Hertz.
    pub hz: f64,
    /// dBFS.
    pub db: f64,
}

/// How long a process waited for a processor, and its state: one value an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// The longest wait of any one of its threads, as it was over in the interval, in microseconds (schedstat).
    pub delay_us: Vec<u32>,
    /// The letter of its state at the end of the interval (`man proc`); `-`: it was not there.
    pub states: String,
}

/// A listener's own tone against a control: a frequency that nobody sends, in the same windows of 100 ms of its recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnTone {
    /// Of the own tone.
    pub hz: f64,
    /// Of the control.
    pub control_hz: f64,
    /// Whether the windows are those in which the others' tones were steady; else those in which the own one was.
    pub others_steady: bool,
    /// Level of the own tone in dBFS in each window.
    pub own_db: Vec<f64>,
    /// Level of the control in the same windows.
    pub control_db: Vec<f64>,
}

/// What the harness saw.
#[expect(missing_docs, reason = "fields are named after what they hold; units are in their names")]
#[expect(clippy::large_enum_variant, reason = "where there are steps of a probe, there is little else")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observation {
    /// A process was started.
    ProcessStarted { process: String, pid: u32, command: Vec<String> },
    /// A process could not be started.
    SpawnFailed { process: String, command: Vec<String>, errno: Option<i32>, reason: String },
    /// A server said that it is ready.
    Ready { process: String, after_us: u64, tcp: Vec<SocketAddr>, websocket: Vec<SocketAddr>, degraded: Vec<String> },
    /// What the ready file says, which must be what the ready line said.
    ReadyFile { path: String, tcp: Vec<SocketAddr>, websocket: Vec<SocketAddr> },
    /// A server did not get ready in time.
    NotReady { process: String, waited_ms: u64, reason: String },
    /// The harness sent a signal.
    SignalSent { process: String, pid: u32, signal: String, why: String },
    /// A process ended. `by_harness`: we had asked for it before.
    ProcessExited {
        process: String,
        pid: u32,
        code: Option<i32>,
        signal: Option<i32>,
        by_harness: bool,
        core_dumped: bool,
        /// `CLOCK_MONOTONIC` in nanoseconds when it was reaped; `None`: nobody saw it.
        #[serde(default)]
        ended_ns: Option<u64>,
    },
    /// A process was still alive when it should have ended.
    StillRunning { process: String, pid: u32, waited_ms: u64 },
    /// Processes of a group outlived their leader; they were killed.
    Orphans { process: String, pids: Vec<u32> },
    /// The harness looked for a socket of its own, through each reader.
    SocketSelfTest { source: TableSource, address: SocketAddr, seen: bool, owned: bool, error: Option<String> },
    /// The kernel's TCP table, restricted to the sockets of our children and to their ports.
    SocketTable { moment: String, source: TableSource, rows: Vec<SocketRow>, error: Option<String> },
    /// Where a listener of the server was told to listen.
    Asked { listener: ListenerKind, addresses: Vec<SocketAddr> },
    /// The harness ended the server and started it again, as `again`.
    Restarted { process: String, again: String, pid: u32, ended_ns: u64, ready_ns: u64 },
    /// A client was made to do something.
    Step { client: String, did: String },
    /// A client of this kind cannot be run here.
    NoBrowser { process: String, why: String },
    /// The answer to a question of the diagnosis.
    FollowUp { question: Question, because: String, answer: Answer, took_us: u64 },
    /// A fault was set up or happened. For readers; the diagnosis does not look at it.
    FaultInjected { fault: String, what: String },
    /// A fault could not be set up, or was gone before it could have any effect: the scenario says nothing.
    FaultMissed { fault: String, why: String },
    /// The harness looked up the name of a target.
    Resolved { target: String, addresses: Vec<SocketAddr>, error: Option<String>, took_us: u64 },
    /// A connection attempt of the harness.
    Connect { address: SocketAddr, errno: Option<String>, took_us: u64 },
    /// An HTTP request of the harness.
    Http { address: SocketAddr, path: String, status: Option<u16>, body: String, error: Option<String>, took_us: u64 },
    /// A hello with no common version: a living server refuses it (`version_unsupported`).
    Hello { address: SocketAddr, transport: Transport, answered: bool, answer: String, took_us: u64 },
    /// A browse for servers by mDNS.
    Browse {
        interfaces: Vec<String>,
        found: Vec<BrowseRow>,
        expected_instance: String,
        error: Option<String>,
        took_ms: u64,
    },
    /// Memory and descriptors of a process.
    Resources { process: String, moment: String, rss_bytes: u64, descriptors: u32, threads: u32 },
    /// How long our processes waited for a processor, and the kernel's pressure figures, over the observed call.
    Pressure {
        window_ms: u64,
        /// Microseconds in which some task waited for a processor (PSI `cpu some`); `None`: no PSI here.
        cpu_some_us: Option<u64>,
        /// Run-queue delay in microseconds of each process (schedstat).
        run_delay_us: BTreeMap<String, u64>,
    },
    /// Who waited for a processor and who was stopped, sampled all through the run: load is an excuse only where it coincides.
    Scheduling {
        /// `CLOCK_MONOTONIC` in nanoseconds from which `at_ms` counts.
        began_ns: u64,
        /// The end of each interval.
        at_ms: Vec<u32>,
        processes: BTreeMap<String, Waits>,
    },
    /// Analysis of a recording.
    Recording {
        process: String,
        path: String,
        seconds: f64,
        /// Of the analysed part: after the first sound.
        rms_db: f64,
        strongest_hz: f64,
        tones: Vec<ToneLevel>,
        /// `None`: it sends no tone, or the evidence is older than this control.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        own_tone: Option<OwnTone>,
    },
    /// Recorded against sent speech.
    Speech {
        process: String,
        path: String,
        of: String,
        /// Each talk spurt at its own delay.
        correlation: f64,
        /// Of the whole.
        delay_ms: f64,
        /// Between the earliest and the latest talk spurt: an adaptive buffer changes its delay in pauses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delay_spread_ms: Option<f64>,
        /// Correlation of each 200 ms of speech at its own delay: tells what was lost here and there from a wrong sound.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pieces: Vec<f64>,
    },
    /// A picture that a client received.
    Picture {
        process: String,
        of: String,
        path: String,
        width: u32,
        height: u32,
        /// Hue of a test pattern in degrees.
        hue: Option<f32>,
        /// Hue that the named sender's pattern has.
        expected_hue: Option<f32>,
        /// Against the sent photograph.
        ssim: Option<f64>,
    },
    /// What a snapshot client printed.
    Snapshot { process: String, path: String, tiles: Vec<String>, ink_fraction: f64 },
    /// Final statistics of a client (`--stats json`).
    Stats { process: String, stats: serde_json::Value },
    /// Core files found after the run.
    CoreFiles { paths: Vec<String> },
    /// Something that could not be observed.
    NotObserved { what: String, why: String, remedy: Option<String> },
    /// A deadline or a signal cut the run short.
    Interrupted { reason: String },
    /// The harness's own share of the run.
    Overhead { observed_ms: u64, total_ms: u64 },
    /// A figure over all rounds of a probe, in the unit of the figure.
    Samples { figure: String, values: Vec<f64> },
    /// A step of a probe.
    Probed(probed::Step),
    /// A kind that only a later minor version knows.
    #[serde(other)]
    Later,
}

/// One server found by a browse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowseRow {
    /// Instance name.
    pub instance: String,
    /// TCP port.
    pub port: u16,
    /// WebSocket port (TXT `ws`).
    pub websocket_port: Option<u16>,
    /// Addresses.
    pub addresses: Vec<std::net::IpAddr>,
}

impl Evidence {
    /// The log of a process and stream.
    pub fn log(&self, process: &str, stream: &str) -> Option<&Log> {
        self.logs.iter().find(|l| l.process == process && l.stream == stream)
    }

    /// All events of a process with the log and line that hold them.
    pub fn events<'a>(&'a self, process: &'a str) -> impl Iterator<Item = (&'a Log, &'a LogLine, &'a Record)> {
        self.logs
            .iter()
            .filter(move |l| l.process == process)
            .flat_map(|log| log.lines.iter().filter_map(move |line| Some((log, line, line.record.as_ref()?))))
    }

    /// All observations with their line number in `observations.jsonl`.
    pub fn observations(&self) -> impl Iterator<Item = (usize, &Observation)> {
        self.observations.iter().enumerate().map(|(i, o)| (i + 1, &o.what))
    }
}
