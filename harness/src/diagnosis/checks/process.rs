//! Processes: started, ended, whole.

use super::picture::NOTHING_CAME;
use crate::diagnosis::load;
use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, Layer, LogLine, Observation, Side};

fn side(process: &str) -> Side {
    if process == SERVER { Side::Server } else { Side::Client }
}

/// The run was not cut short.
pub(super) fn complete(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("harness.complete", Layer::Harness, Side::Harness, "the run was complete");
    match view.interrupted() {
        None => vec![check.pass("every step was done", vec![])],
        Some((line, reason)) => {
            let id = view.cite(line);
            vec![check.unknown(format!("cut short: {reason}; what comes after is not checked"), vec![id])]
        }
    }
}

/// What a scenario breaks on purpose was really broken. If not, it says nothing about anything.
pub(super) fn fault(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("harness.fault", Layer::Harness, Side::Harness, "the fault of this scenario was there");
    let missed = view.missed();
    let injected = view.seen(|o| match o {
        Observation::FaultInjected { fault, what } => Some(format!("{fault}: {what}")),
        _ => None,
    });
    if let Some((line, fault, why)) = missed {
        let id = view.cite(line);
        return vec![check.unknown(format!("{fault} could not be set up: {why}"), vec![id])];
    }
    if injected.is_empty() {
        return vec![];
    }
    let ids = injected.iter().map(|(line, _)| view.cite(*line)).collect();
    let told: Vec<_> = injected.into_iter().map(|(_, what)| what).collect();
    vec![check.pass(told.join("; "), ids)]
}

/// There is a browser for those who are to come with one. If not, nothing was run.
pub(super) fn browser(view: &mut View<'_>) -> Vec<Check> {
    let Some((_, why)) = view.no_browser() else { return vec![] };
    vec![draft("harness.browser", Layer::Harness, Side::Harness, "a browser is installed").skip(why)]
}

/// Every program was started and the server got ready.
pub(super) fn started(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let failures = view.seen(|o| match o {
        Observation::SpawnFailed { process, command, reason, .. } => Some((process, command, reason)),
        _ => None,
    });
    for (line, (process, command, reason)) in failures {
        let id = view.cite(line);
        let check =
            draft(format!("process.started/{process}"), Layer::Process, side(process), format!("{process} starts"));
        let program = command.first().map_or("", String::as_str);
        let remedy = format!("build it first, or name the right binary with --sidetone PATH (tried {program})");
        checks.push(check.fail(format!("{program} could not be started: {reason}"), vec![id], remedy));
    }
    let ready = draft("process.ready", Layer::Process, Side::Server, "the server gets ready");
    let seen = view.first(|o| match o {
        Observation::Ready { after_us, .. } => Some(Ok(*after_us)),
        Observation::NotReady { waited_ms, reason, .. } => Some(Err((*waited_ms, reason))),
        _ => None,
    });
    match seen {
        Some((line, Ok(after_us))) => {
            let id = view.cite(line);
            checks.push(ready.pass(format!("ready line after {:.1} ms", after_us as f64 / 1e3), vec![id]));
        }
        Some((line, Err((waited_ms, reason)))) => {
            let mut ids = vec![view.cite(line)];
            let last = view.evidence.log(SERVER, "stderr").and_then(|log| Some((log, log.lines.last()?)));
            if let Some((log, last)) = last {
                ids.push(view.cite_log(log, last));
            }
            let message = match ended_by_itself(view, SERVER) {
                Some((line, how)) => {
                    ids.push(view.cite(line));
                    let said = last.map_or_else(String::new, |(_, line)| format!(": {}", said(line)));
                    format!("it {how} after {waited_ms} ms, without a ready line{said}")
                }
                None => format!("no ready line within {waited_ms} ms ({reason})"),
            };
            checks.push(ready.fail(message, ids, "read the last lines of the server's log"));
        }
        None if !view.evidence.plan.server.launch && !view.evidence.plan.server.bind.is_empty() => {
            checks.push(ready.skip("this scenario has no server"));
        }
        None => checks.push(ready.unknown("the server was not started, or not waited for", vec![])),
    }
    checks
}

/// How a process ended that nobody had asked to.
fn ended_by_itself(view: &View<'_>, process: &str) -> Option<(usize, String)> {
    view.first(|o| match o {
        Observation::ProcessExited { process: p, code, signal, by_harness: false, .. } if p == process => {
            let by_signal = || signal.map(|s| format!("was ended by signal {s}"));
            code.map(|c| format!("ended with exit code {c}")).or_else(by_signal)
        }
        _ => None,
    })
}

/// What a log line says to people.
fn said(line: &LogLine) -> &str {
    line.record.as_ref().map_or_else(|| line.text.trim(), |r| r.message.as_str())
}

/// Every program ended with the right code.
pub(super) fn exits(view: &mut View<'_>) -> Vec<Check> {
    let started = view.seen(|o| match o {
        Observation::ProcessStarted { process, .. } => Some(process),
        _ => None,
    });
    started.into_iter().map(|(_, process)| exit(view, process)).collect()
}

fn exit<'a>(view: &mut View<'a>, process: &'a str) -> Check {
    let check =
        draft(format!("process.exit/{process}"), Layer::Process, side(process), format!("{process} ends with 0"));
    let still = view.first(|o| match o {
        Observation::StillRunning { process: p, waited_ms, .. } if p == process => Some(*waited_ms),
        _ => None,
    });
    let ended = view.first(|o| match o {
        Observation::ProcessExited { process: p, code, signal, by_harness, .. } if p == process => {
            Some((*code, *signal, *by_harness))
        }
        _ => None,
    });
    if let Some((line, waited_ms)) = still {
        let id = view.cite(line);
        let message = format!("{process} did not end within {waited_ms} ms and was killed");
        return check.fail(
            message,
            vec![id],
            format!("find out what {process} waits for at its end (its log's last lines)"),
        );
    }
    let Some((line, (code, signal, by_harness))) = ended else {
        return check.unknown(format!("the end of {process} was not seen"), vec![]);
    };
    let mut ids = vec![view.cite(line)];
    let snapshot = view.evidence.plan.clients.iter().any(|c| c.name == process && c.snapshot);
    let cut = view.interrupted().is_some();
    match (code, signal) {
        (Some(0), _) if by_harness || snapshot => check.pass("exit code 0", ids),
        (Some(0), _) => {
            let message = format!("{process} ended with 0 before it was asked to");
            check.fail(message, ids, "find out why it ended early")
        }
        (Some(code), _) => {
            let last = view.evidence.log(process, "stderr").and_then(|log| Some((log, log.lines.last()?)));
            let said = last.map_or_else(String::new, |(_, line)| format!(": {}", said(line)));
            ids.extend(last.map(|(log, line)| view.cite_log(log, line)));
            let remedy = format!("read the log of {process}; exit codes are listed by `sidetone --help`");
            let message = format!("exit code {code}{said}");
            let failed = check.fail(message, ids, remedy);
            if snapshot && code == NOTHING_CAME { load::unless_late(view, process, failed) } else { failed }
        }
        (None, Some(15)) if by_harness && cut => check.pass("ended by the harness's SIGTERM", ids),
        (None, Some(signal)) => {
            let message = format!("{process} was ended by signal {signal}");
            check.fail(message, ids, "look for a crash, the kernel's OOM killer, or somebody who killed it")
        }
        (None, None) => check.unknown("neither a code nor a signal is known", ids),
    }
}

/// Marks of a program that broke, as they stand in its output.
const BROKEN: [&str; 6] =
    ["panicked at", "AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "MemorySanitizer", "stack overflow"];

/// No panic, no sanitizer output, no core.
pub(super) fn no_panic(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("process.no_panic", Layer::Process, Side::Server, "no panic, sanitizer report or core");
    let evidence = view.evidence;
    if evidence.logs.is_empty() {
        return vec![check.unknown("no log could be read", vec![])];
    }
    // an event may quote such words; free text on stdout or stderr is the program itself breaking
    let marks = evidence.logs.iter().flat_map(|log| {
        let free = log.lines.iter().filter(|l| l.record.is_none());
        free.filter(|l| BROKEN.iter().any(|mark| l.text.contains(mark))).map(move |l| (log, l))
    });
    let marks: Vec<_> = marks.take(5).collect();
    let dumped = view.seen(|o| match o {
        Observation::CoreFiles { paths } if !paths.is_empty() => Some(paths.join(", ")),
        Observation::ProcessExited { process, core_dumped: true, .. } => Some(format!("{process} dumped core")),
        _ => None,
    });
    let mut ids: Vec<_> = marks.iter().map(|(log, line)| view.cite_log(log, line)).collect();
    ids.extend(dumped.iter().map(|(line, _)| view.cite(*line)).collect::<Vec<_>>());
    let said = marks.iter().map(|(log, line)| format!("{}: {}", log.process, line.text.trim()));
    let said: Vec<_> = said.chain(dumped.iter().map(|(_, text)| text.clone())).collect();
    if said.is_empty() {
        let looked = format!("none in {} logs", evidence.logs.len());
        return vec![check.pass(looked, vec![])];
    }
    vec![check.fail(said.join("; "), ids, "report the panic with this report attached")]
}

/// Nothing outlived its parent.
pub(super) fn no_orphans(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("process.no_orphans", Layer::Process, Side::Harness, "no process is left behind");
    let orphans = view.seen(|o| match o {
        Observation::Orphans { process, pids } => Some((process, pids)),
        _ => None,
    });
    if let Some((line, (process, pids))) = orphans.first() {
        let id = view.cite(*line);
        let message = format!("{} of {process} outlived it (pids {pids:?}) and were killed", pids.len());
        return vec![check.fail(message, vec![id], format!("let {process} end its children before itself"))];
    }
    if let Some((line, why)) = view.not_observed("left nothing behind") {
        let id = view.cite(line);
        return vec![check.unknown(why, vec![id])];
    }
    let ends = view.seen(|o| matches!(o, Observation::ProcessExited { .. }).then_some(()));
    vec![check.pass(format!("{} processes ended, no descendant was left", ends.len()), vec![])]
}
