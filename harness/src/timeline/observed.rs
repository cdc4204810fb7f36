//! A sentence for each kind of observation.

use crate::evidence::observed::BrowseRow;
use crate::evidence::{Observation, SocketRow, TableSource, Waits};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;

const HARNESS: &str = "harness";

/// Who it is about (a process, or `harness` where the harness itself did or saw it) and what happened, in one line.
#[expect(clippy::too_many_lines, reason = "one arm a kind of observation; nothing is decided here")]
pub fn line(seen: &Observation) -> (&str, String) {
    use Observation as O;
    match seen {
        O::ProcessStarted { process, pid, command } => {
            (process, format!("started as pid {pid}: {}", command.join(" ")))
        }
        O::Samples { figure, values } => (HARNESS, format!("{figure}: {} samples", values.len())),
        O::Probed(step) => (HARNESS, step.to_string()),
        O::SpawnFailed { process, command, errno, reason } => {
            let errno = errno.map(|e| format!(" (errno {e})")).unwrap_or_default();
            (process, format!("could not be started: {reason}{errno}: {}", command.join(" ")))
        }
        O::Ready { process, after_us, tcp, websocket, degraded } => {
            (process, ready(*after_us, tcp, websocket, degraded))
        }
        O::ReadyFile { path, tcp, websocket } => {
            (HARNESS, format!("{path}: tcp {}, websocket {}", list(tcp), list(websocket)))
        }
        O::NotReady { process, waited_ms, reason } => (process, format!("not ready after {waited_ms} ms: {reason}")),
        O::SignalSent { process, pid, signal, why } => (HARNESS, format!("{signal} to {process} (pid {pid}): {why}")),
        O::ProcessExited { process, pid, code, signal, by_harness, core_dumped, ended_ns: _ } => {
            (process, exited(*pid, (*code, *signal), *by_harness, *core_dumped))
        }
        O::StillRunning { process, pid, waited_ms } => (process, format!("pid {pid} still alive after {waited_ms} ms")),
        O::Orphans { process, pids } => (process, format!("left processes behind, killed: pid {}", list(pids))),
        O::SocketSelfTest { source, address, seen, owned, error } => {
            (HARNESS, self_test(*source, *address, (*seen, *owned), error.as_deref()))
        }
        O::SocketTable { moment, source, rows, error } => {
            (HARNESS, socket_table(moment, *source, rows, error.as_deref()))
        }
        O::Asked { listener, addresses } => {
            (HARNESS, format!("the server is told to listen on {} for {listener}", list(addresses)))
        }
        O::FollowUp { question, because, answer, took_us } => {
            (HARNESS, format!("{question} {answer} (asked because of: {because}; {})", us(*took_us)))
        }
        O::Restarted { process, again, pid, ended_ns, ready_ns } => {
            let away = ready_ns.saturating_sub(*ended_ns) / 1_000_000;
            (HARNESS, format!("{process} was started again as {again} (pid {pid}); nobody served for {away} ms"))
        }
        O::Step { client, did } => (client, did.clone()),
        O::NoBrowser { process, why } => (process, format!("cannot be run: {why}")),
        O::FaultInjected { fault, what } => (HARNESS, format!("fault {fault}: {what}")),
        O::FaultMissed { fault, why } => (HARNESS, format!("fault {fault} is not there: {why}")),
        O::Resolved { target, addresses, error, took_us } => {
            let how = error.clone().unwrap_or_else(|| list(addresses));
            (HARNESS, format!("look-up of {target}: {how} after {}", us(*took_us)))
        }
        O::Later => (HARNESS, "an observation that this version does not know".to_owned()),
        O::Connect { address, errno, took_us } => {
            let how = errno.as_deref().unwrap_or("accepted");
            (HARNESS, format!("connect to {address}: {how} after {}", us(*took_us)))
        }
        O::Http { address, path, status, error, took_us, body: _ } => {
            let how = outcome(status.as_ref(), error.as_deref());
            (HARNESS, format!("GET http://{address}{path}: {how} after {}", us(*took_us)))
        }
        O::Hello { address, transport, answered, answer, took_us } => {
            let how = if *answered { format!("answered {answer}") } else { format!("no answer: {answer}") };
            (HARNESS, format!("hello to {address} over {transport}: {how} after {}", us(*took_us)))
        }
        O::Browse { interfaces, found, expected_instance, error, took_ms } => {
            let on = format!("browse on {} for {expected_instance:?}", list(interfaces));
            (HARNESS, format!("{on}: {} after {took_ms} ms", browsed(found, expected_instance, error.as_deref())))
        }
        O::Resources { process, moment, rss_bytes, descriptors, threads } => {
            let kib = rss_bytes / 1024;
            (process, format!("{moment}: {kib} KiB resident, {descriptors} descriptors, {threads} threads"))
        }
        O::Pressure { window_ms, cpu_some_us, run_delay_us } => {
            (HARNESS, pressure(*window_ms, *cpu_some_us, run_delay_us))
        }
        O::Scheduling { at_ms, processes, .. } => (HARNESS, scheduling(at_ms, processes)),
        O::Recording { process, path, seconds, rms_db, strongest_hz, .. } => {
            (process, format!("{path}: {seconds:.2} s at {rms_db:.1} dBFS, strongest at {strongest_hz:.0} Hz"))
        }
        O::Speech { process, path, of, correlation, delay_ms, .. } => {
            (process, format!("{path} against {of}: correlation {correlation:.3} after {delay_ms:.1} ms"))
        }
        O::Picture { process, of, path, width, height, hue, expected_hue, ssim } => {
            (process, format!("picture of {of} ({path}, {width}x{height}){}", likeness(*hue, *expected_hue, *ssim)))
        }
        O::Snapshot { process, path, tiles, ink_fraction } => {
            let ink = ink_fraction * 100.0;
            (process, format!("snapshot {path} shows {}, {ink:.0} % of it drawn", list(tiles)))
        }
        O::Stats { process, stats } => (process, statistics(stats)),
        O::CoreFiles { paths } if paths.is_empty() => (HARNESS, "no core file found".to_owned()),
        O::CoreFiles { paths } => (HARNESS, format!("core files: {}", list(paths))),
        O::NotObserved { what, why, remedy: _ } => (HARNESS, format!("not observed: {what}: {why}")),
        O::Interrupted { reason } => (HARNESS, format!("run cut short: {reason}")),
        O::Overhead { observed_ms, total_ms } => {
            let own = total_ms.saturating_sub(*observed_ms);
            (HARNESS, format!("observed for {observed_ms} ms of {total_ms} ms: own share {own} ms"))
        }
    }
}

fn scheduling(at_ms: &[u32], processes: &BTreeMap<String, Waits>) -> String {
    let longest = processes.iter().filter_map(|(name, waits)| Some((waits.delay_us.iter().max()?, name))).max();
    let longest = longest.map_or_else(String::new, |(us, name)| {
        format!("; longest wait for a processor in one interval: {name}, {} ms", us / 1_000)
    });
    let names: Vec<_> = processes.keys().collect();
    format!("waits for a processor sampled at {} moments: {}{longest}", at_ms.len(), list(&names))
}

fn ready(after_us: u64, tcp: &[SocketAddr], websocket: &[SocketAddr], degraded: &[String]) -> String {
    let state = if degraded.is_empty() { "ready" } else { "ready but degraded" };
    let mut text = format!("{state} after {}: tcp {}, websocket {}", us(after_us), list(tcp), list(websocket));
    if !degraded.is_empty() {
        text = format!("{text}; {}", degraded.join("; "));
    }
    text
}

fn exited(pid: u32, how: (Option<i32>, Option<i32>), by_harness: bool, core_dumped: bool) -> String {
    let ended = match how {
        (Some(code), _) => format!("pid {pid} ended with code {code}"),
        (None, Some(signal)) => format!("pid {pid} was ended by signal {signal}"),
        (None, None) => format!("pid {pid} ended, nobody knows how"),
    };
    let core = if core_dumped { ", core dumped" } else { "" };
    let asked = if by_harness { ", as the harness had asked" } else { "" };
    format!("{ended}{core}{asked}")
}

fn self_test(source: TableSource, address: SocketAddr, found: (bool, bool), error: Option<&str>) -> String {
    let how = match (error, found) {
        (Some(error), _) => error,
        (None, (true, true)) => "seen and known as ours",
        (None, (true, false)) => "seen, its owner is not",
        (None, (false, _)) => "not seen",
    };
    format!("self-test of {}: own socket {address}: {how}", reader(source))
}

fn socket_table(moment: &str, source: TableSource, rows: &[SocketRow], error: Option<&str>) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *states.entry(&row.state).or_default() += 1;
    }
    let counted: Vec<_> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let what = error.map_or_else(|| list(&counted), |e| format!("unreadable: {e}"));
    format!("socket table {moment} ({}): {what}", reader(source))
}

fn browsed(found: &[BrowseRow], expected: &str, error: Option<&str>) -> String {
    if let Some(error) = error {
        return error.to_owned();
    }
    match found.iter().find(|row| row.instance == expected) {
        Some(row) => format!("found on port {}", row.port),
        None => format!("not among the {} found", found.len()),
    }
}

fn pressure(window_ms: u64, cpu_some_us: Option<u64>, run_delay_us: &BTreeMap<String, u64>) -> String {
    let some = cpu_some_us.map_or_else(|| "no PSI here".to_owned(), |v| format!("{} of PSI cpu some", us(v)));
    let delays: Vec<_> = run_delay_us.iter().map(|(process, v)| format!("{process} {}", us(*v))).collect();
    format!("waiting for a processor in {window_ms} ms: {some}; {}", list(&delays))
}

fn likeness(hue: Option<f32>, expected_hue: Option<f32>, ssim: Option<f64>) -> String {
    let hue = match (hue, expected_hue) {
        (Some(hue), Some(expected)) => format!(", hue {hue:.0} of expected {expected:.0} degrees"),
        (Some(hue), None) => format!(", hue {hue:.0} degrees"),
        (None, _) => String::new(),
    };
    format!("{hue}{}", ssim.map(|s| format!(", SSIM {s:.2}")).unwrap_or_default())
}

fn statistics(stats: &serde_json::Value) -> String {
    let entries = stats.as_array().map(Vec::len).or_else(|| stats.as_object().map(serde_json::Map::len));
    entries.map_or_else(|| "final statistics".to_owned(), |count| format!("final statistics, {count} entries"))
}

fn outcome(status: Option<&u16>, error: Option<&str>) -> String {
    match (status, error) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(error)) => format!("{status}, then {error}"),
        (None, Some(error)) => error.to_owned(),
        (None, None) => "no answer".to_owned(),
    }
}

const fn reader(source: TableSource) -> &'static str {
    match source {
        TableSource::Netstat2 => "netstat2",
        TableSource::Proc => "/proc",
    }
}

fn us(micros: u64) -> String {
    if micros < 1000 { format!("{micros} us") } else { format!("{:.1} ms", micros as f64 / 1000.0) }
}

fn list<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
