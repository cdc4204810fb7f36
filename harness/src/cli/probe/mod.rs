//! `sidetone-harness probe`.
//!
//! * [`gather`]: from what was typed to what is probed; [`rounds`]: one target, once or often, until something;
//! * [`output`]: what is printed and written.

mod gather;
mod output;
mod rounds;

use super::run::parse_destination;
use super::{colour, fail, say};
use crate::diagnosis::outcome::{self, exit};
use crate::diagnosis::probed::bounds;
use crate::evidence::{Bound, Report, ScenarioSummary};
use crate::scenario::batch::Destination;
use clap::{ArgAction, Args, ValueEnum};
use futures_util::StreamExt as _;
use gather::{Stop, Wanted};
use rounds::Done;
use sidetone::clock::parse_duration;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const TARGETS: &str = "\
A target is ws://, wss://, http://, https://, tcp://, tls:// or udp://HOST[:PORT][/PATH], stun:HOST, turn:HOST, HOST:PORT or :PORT \
(finds out what speaks there), pid:N (all that a process listens on), or the name of a server that announces itself by mDNS.

Figures for --max and --min: dns.resolve tcp.connect tls.handshake tls.expiry http.first_byte websocket.upgrade websocket.rtt \
session.hello stun.rtt echo.rtt echo.jitter echo.loss echo.concealed echo.mouth_to_ear echo.level probe.total, each also with \
.min .max .median or .pNN.";

/// What is wrong with that server: every layer of a target, and the cause.
#[derive(Debug, Args)]
#[command(after_help = TARGETS)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Probe {
    /// What to look at; several are shown side by side.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// A file with one target a line; `-` is stdin.
    #[arg(long = "targets", value_name = "FILE")]
    target_files: Vec<String>,
    /// Targets at a time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Deadline of each layer.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_timeout)]
    timeout: Duration,
    /// IPv4 only.
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6')]
    ipv6: bool,
    /// Go on whatever the certificate is.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// A header of requests: NAME:VALUE, or @FILE with one a line (secrets belong into a file or into the environment).
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME:VALUE|@FILE",
        env = "SIDETONE_PROBE_HEADERS",
        hide_env_values = true,
        value_delimiter = '\n'
    )]
    headers: Vec<String>,
    /// Address of a name, instead of asking the resolver; may be repeated.
    #[arg(long, value_name = "HOST[:PORT]:ADDRESS")]
    resolve: Vec<String>,
    /// `Origin` of the upgrade, as a browser would send it.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// WebSocket subprotocol to offer, or `none`; may be repeated [default: none].
    #[arg(long = "subprotocol", value_name = "NAME|none")]
    subprotocols: Vec<String>,
    /// The target is a Sidetone server: anything else that answers there is a failure.
    #[arg(long)]
    sidetone: bool,
    /// Certificates (PEM) of authorities to trust, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Our certificate and its key (PEM, one file).
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// Through an HTTP proxy; `env` is that of the environment [default: direct].
    #[arg(long, value_name = "URL|env")]
    proxy: Option<String>,
    /// Media through the echo room, mDNS, and which origins may connect.
    #[arg(long)]
    deep: bool,
    /// Limits too: the largest message, fragments, text and binary. Costs the server something.
    #[arg(long)]
    intrusive: bool,
    /// Interface for mDNS; may be repeated [default: all that can be used].
    #[arg(long = "mdns-interface", value_name = "NAME")]
    mdns_interfaces: Vec<String>,
    /// Send this (\n \r \t \\ \xNN are understood), or a file.
    #[arg(long, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    send: Option<String>,
    /// What must come then.
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    expect: Option<String>,
    /// The server's own event log, read together with what the probe sees.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The same target in several ways: tcp, tls, ws, wss, http, https, ipv4, ipv6, direct, proxy.
    #[arg(long, value_name = "WAY,...", value_delimiter = ',')]
    compare: Vec<String>,
    /// So many rounds.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with = "until")]
    count: u32,
    /// From the begin of a round to the next [default: 1s; 500ms with --until].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    interval: Option<Duration>,
    /// Go on until it is so.
    #[arg(long, value_name = "STATE", requires = "patience")]
    until: Option<Until>,
    /// How long --until goes on.
    #[arg(long = "for", id = "patience", value_name = "DURATION", value_parser = parse_duration, requires = "until")]
    patience: Option<Duration>,
    /// A figure must not be above a value, as in tcp.connect.p95=50ms; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = |text: &str| bounds::parse(text, true, duration))]
    max: Vec<Bound>,
    /// A figure must not be below a value, as in tls.expiry=14d; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true, value_parser = |text: &str| bounds::parse(text, false, duration))]
    min: Vec<Bound>,
    /// The report as JSON on stdout (its schema is that of `run`).
    #[arg(long)]
    json: bool,
    /// Write a report to a place of its own; `-` is stdout; may be repeated.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = parse_destination)]
    report: Vec<Destination>,
    /// Write figures for `node_exporter`'s textfile collector.
    #[arg(long, value_name = "FILE")]
    prometheus: Option<PathBuf>,
    /// Write all that was observed; `diagnose FILE` reads it again. One target only.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// Every step, with everything that it saw.
    #[arg(short, long, action = ArgAction::SetTrue)]
    verbose: bool,
    /// A warning fails too.
    #[arg(long)]
    strict: bool,
}

/// What `--until` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Until {
    /// Nothing fails and nothing is unknown.
    Healthy,
    /// Something fails.
    Failing,
}

fn duration(text: &str) -> Option<Duration> {
    parse_duration(text).ok()
}

/// A layer without time could not answer at all.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(time) if time < Duration::from_millis(1) => Err("at least 1ms".to_owned()),
        Ok(time) if time > Duration::from_hours(1) => Err("at most 1h".to_owned()),
        other => other,
    }
}

/// What ended a probe before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Interrupted,
    Terminated,
}

impl Cut {
    const fn code(self) -> u8 {
        match self {
            Self::Interrupted => exit::INTERRUPTED,
            Self::Terminated => exit::TERMINATED,
        }
    }
}

impl Probe {
    pub(super) fn run(&self) -> ExitCode {
        // one target needs one thread, and starts faster with it
        let single = self.targets.len() == 1 && self.target_files.is_empty() && self.compare.is_empty();
        let mut builder = if single {
            tokio::runtime::Builder::new_current_thread()
        } else {
            tokio::runtime::Builder::new_multi_thread()
        };
        let runtime = match builder.worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return fail(exit::HARNESS, error),
        };
        let code = runtime.block_on(self.perform());
        // a look at a process that hangs in the kernel must not hold up the end
        runtime.shutdown_timeout(Duration::from_millis(50));
        code
    }

    async fn perform(&self) -> ExitCode {
        let wanted = match self.gather().await {
            Ok(wanted) => wanted,
            Err(Stop::Usage(why)) => return fail(exit::USAGE, why),
            Err(Stop::NotThere(why)) => return fail(exit::FAILED, why),
        };
        if self.evidence.is_some() && wanted.len() > 1 {
            return fail(exit::USAGE, "--evidence: one target only");
        }
        let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => return fail(exit::HARNESS, format!("signals: {error}")),
        };
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let looking = async {
            let each = wanted.iter().map(|one| rounds::all(self, one, stopped.clone()));
            let found = futures_util::stream::iter(each).buffered(usize::from(self.jobs));
            found.collect::<Vec<_>>().await
        };
        tokio::pin!(looking);
        let mut cut = None;
        let done = loop {
            tokio::select! {
                done = &mut looking => break done,
                _ = interrupt.recv() => cut = cut.or(Some(Cut::Interrupted)),
                _ = terminate.recv() => cut = cut.or(Some(Cut::Terminated)),
            }
            stop.send_replace(true);
        };
        self.tell(&wanted, done, cut)
    }

    fn tell(&self, wanted: &[Wanted], done: Vec<Done>, cut: Option<Cut>) -> ExitCode {
        let mut reports: Vec<Report> = Vec::new();
        let mut summaries: Vec<ScenarioSummary> = Vec::new();
        let mut evidence = None;
        for done in done {
            let Some((report, seen)) = done.shown else { continue };
            let alone = outcome::summarise(&done.name, std::slice::from_ref(&report), |_| String::new());
            if let Some((mut summary, report)) = alone {
                summary.repeats = u32::try_from(done.statuses.len()).unwrap_or(u32::MAX);
                summary.by_status.clear();
                for status in &done.statuses {
                    *summary.by_status.entry(status.word().to_owned()).or_default() += 1;
                }
                summaries.push(summary);
                reports.push(report);
                evidence = Some(seen);
            }
        }
        if reports.is_empty() {
            return fail(cut.map_or(exit::HARNESS, Cut::code), "it ended before the first probe did");
        }
        let run = output::report(self, reports, summaries, cut.map(|cut| (cut, wanted.len())));
        let problems = output::write(self, &run, evidence.as_ref());
        for problem in &problems {
            say(&format!("sidetone-harness: not written: {problem}"));
        }
        let code = match cut {
            Some(cut) => cut.code(),
            None if !problems.is_empty() && run.exit_code == exit::GOOD => exit::HARNESS,
            None => run.exit_code,
        };
        if self.report.iter().any(Destination::is_stdout) {
            return ExitCode::from(code);
        }
        super::print_and_exit(&output::text(self, &run, colour()), code)
    }
}
