//! `sidetone-harness probe`.

use super::{colour, command_line, fail, print_and_exit};
use crate::clock::{monotonic_ns, now_rfc3339};
use crate::diagnosis::diagnose_only;
use crate::diagnosis::outcome::{self, exit};
use crate::evidence::{Evidence, Observation, Observed, Plan, RunInfo, RunReport, SCHEMA_VERSION};
use crate::launch::resources;
use crate::report::Reporter;
use crate::report::text::Text;
use crate::scenario::folder::run_id;
use crate::timeline::timeline;
use crate::{probe, sockets};
use clap::Args;
use sidetone::clock::parse_duration;
use sidetone::event::Transport;
use sidetone::net::dial::{self, Target};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

/// The checks that a probe from outside can make.
const CHECKS: [&str; 4] = ["dns.resolve", "tcp.connect", "http.health", "session.hello"];

/// Look at a server that is already running, layer by layer.
#[derive(Debug, Args)]
pub(super) struct Probe {
    /// tcp://HOST:PORT, ws://HOST:PORT, HOST:PORT or :PORT.
    #[arg(required = true)]
    targets: Vec<Target>,
    /// Patience for each step.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    timeout: Duration,
    /// A warning fails too.
    #[arg(long)]
    strict: bool,
}

impl Probe {
    pub(super) fn run(&self) -> ExitCode {
        let runtime = match super::runtime() {
            Ok(runtime) => runtime,
            Err(error) => return fail(exit::HARNESS, error),
        };
        let mut reports = Vec::new();
        for target in &self.targets {
            let evidence = runtime.block_on(self.look(target));
            let resolved = evidence.observations().any(|(_, o)| matches!(o, Observation::Connect { .. }));
            let wanted = |id: &str| match id {
                "dns.resolve" => true,
                "http.health" => resolved && target.transport == Transport::WebSocket,
                id => resolved && CHECKS.contains(&id),
            };
            reports.push(diagnose_only(&evidence, timeline(&evidence), wanted));
        }
        let summaries: Vec<_> = reports
            .iter()
            .filter_map(|r| {
                outcome::summarise(&r.run.scenario, std::slice::from_ref(r), |_| String::new()).map(|s| s.0)
            })
            .collect();
        let started = now_rfc3339();
        let run = RunReport {
            schema_version: SCHEMA_VERSION.to_owned(),
            run_id: run_id(&started),
            started,
            command: command_line(),
            verdict: outcome::verdict(&summaries, &reports),
            exit_code: outcome::exit_code(reports.iter(), self.strict),
            scenarios: summaries,
            reports,
        };
        print_and_exit(&Text { colour: colour() }.render(&run), run.exit_code)
    }

    async fn look(&self, target: &Target) -> Evidence {
        let started = now_rfc3339();
        let began = monotonic_ns();
        let mut observed = Vec::new();
        let mut see = |what| observed.push(Observed { time: now_rfc3339(), monotonic_ns: monotonic_ns(), what });
        let resolved = match tokio::time::timeout(self.timeout, dial::resolve(target)).await {
            Err(_) => Err(format!("the resolver did not answer within {} ms", self.timeout.as_millis())),
            Ok(resolved) => resolved.map_err(|error| error.to_string()),
        };
        see(Observation::Resolved {
            target: target.to_string(),
            addresses: resolved.clone().unwrap_or_default(),
            error: resolved.clone().err(),
            took_us: (monotonic_ns() - began) / 1_000,
        });
        for address in resolved.unwrap_or_default() {
            see(probe::tcp::connect(address, self.timeout).await);
            see(probe::session::hello(address, target.transport, self.timeout).await);
            if target.transport == Transport::WebSocket {
                see(probe::http::get(address, "/healthz", self.timeout).await);
            }
            if address.ip().is_loopback() {
                sockets::observe("ready", &[], &[address.port()]).into_iter().for_each(&mut see);
            }
        }
        let plan = Plan { scenario: target.to_string(), title: format!("Probe of {target}"), ..Plan::default() };
        let run = RunInfo {
            run_id: run_id(&started),
            scenario: target.to_string(),
            repeat: 1,
            started,
            duration_ms: (monotonic_ns() - began) / 1_000_000,
            command: command_line(),
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..RunInfo::default()
        };
        Evidence {
            schema_version: SCHEMA_VERSION.to_owned(),
            run,
            plan,
            environment: resources::environment(),
            logs: Vec::new(),
            observations: observed,
            artefacts: BTreeMap::new(),
        }
    }
}
