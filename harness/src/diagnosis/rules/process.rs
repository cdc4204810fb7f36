//! Programs that are stopped, crashed, killed, or never came so far as to listen.

use super::{Found, Rule, finding, hypothesis, link, refuted, unwell};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Answer, Check, Confidence, HypothesisState, Observation, ProcessState, Question};
use sidetone::event::Event;

/// In this order.
pub(super) const RULES: &[Rule] = &[crashed, killed, stopped, hung];
/// Where Linux waits in `open` of a FIFO for the other end.
const WAITS_FOR_PEER: &str = "wait_for_partner";

/// Signals that the kernel sends to a program that did what cannot be done.
const CRASHES: [(i32, &str); 6] =
    [(11, "SIGSEGV"), (7, "SIGBUS"), (4, "SIGILL"), (8, "SIGFPE"), (6, "SIGABRT"), (31, "SIGSYS")];
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Programs of the run, the server first.
fn programs(view: &View<'_>) -> Vec<String> {
    let clients = view.evidence.plan.clients.iter().map(|c| c.name.clone());
    std::iter::once(SERVER.to_owned()).chain(clients).collect()
}

/// How a sentence calls a program.
fn called(process: &str) -> &str {
    if process == SERVER { "the server" } else { process }
}

/// When the harness saw something: ` at 13:05:59 UTC`.
fn at(view: &View<'_>, line: usize) -> String {
    let time = view.evidence.observations.get(line - 1).map_or("", |o| o.time.as_str());
    let clock = time.split('T').nth(1).and_then(|t| t.split(['.', 'Z']).next());
    clock.map_or_else(String::new, |clock| format!(" at {clock} UTC"))
}

/// Who lost a connection to the server, by their own logs.
fn cut_off(view: &View<'_>) -> String {
    let lost = |client: &&str| {
        !view.events(client, |e| matches!(e, Event::ClientDisconnected { .. }).then_some(())).is_empty()
    };
    let names: Vec<_> = view.evidence.plan.clients.iter().map(|c| c.name.as_str()).filter(lost).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!("; {one} lost its connection"),
        many => format!("; {} lost their connections", and(many)),
    }
}

/// What a program's end explains: if it is the server all that is not well, else what concerns the client.
fn consequences(view: &View<'_>, process: &str, checks: &[Check]) -> Vec<String> {
    if process == SERVER {
        // a bind that failed while it lived has a reason of its own
        let failed = view.events(SERVER, |e| matches!(e, Event::ListenerBindFailed { .. }).then_some(()));
        let of_binds = ["bind.no_failure", "bind.asked", "bind.failure_told", "log.no_errors"];
        let own =
            |c: &&Check| !c.id.starts_with("harness.") && (failed.is_empty() || !of_binds.contains(&c.id.as_str()));
        return unwell(checks).filter(own).map(|c| c.id.clone()).collect();
    }
    let mut explained = super::without(view, &[process.to_owned()], checks);
    // the server counts a client that ended without a goodbye, and its own descriptors with it
    explained.extend(["session.stayed", "process.no_panic"].map(str::to_owned));
    explained
}

fn ended_by(view: &View<'_>, wanted: impl Fn(i32) -> bool) -> Option<(String, usize, i32)> {
    programs(view).into_iter().find_map(|process| {
        let (line, end) = view.end_of(&process)?;
        let signal = end.signal.filter(|s| wanted(*s) && !end.by_harness)?;
        Some((process, line, signal))
    })
}

fn lost(view: &View<'_>, process: &str) -> String {
    if process == SERVER { cut_off(view) } else { String::new() }
}

fn crashed(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let name_of = |signal: i32| CRASHES.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name);
    let (process, line, signal) = ended_by(view, |s| name_of(s).is_some())?;
    let name = name_of(signal)?;
    let id = view.cite(line);
    let mut chain = vec![link(
        format!("{} was ended by {name} ({signal}), and the harness had not asked it to end", called(&process)),
        std::slice::from_ref(&id),
    )?];
    if let Some((log, last)) = view.evidence.log(&process, "stderr").and_then(|log| Some((log, log.lines.last()?))) {
        let said = last.record.as_ref().map_or_else(|| last.text.trim(), |r| r.message.as_str());
        chain.push(link(format!("the last that it said before: {said}"), &[view.cite_log(log, last)])?);
    }
    let hypotheses = vec![
        refuted("it was killed (SIGKILL), by the kernel or by somebody", "the signal of its end", vec![id.clone()]),
        refuted("it ended by itself with an exit code", "the signal of its end", vec![id.clone()]),
        hypothesis(
            HypothesisState::Open,
            "somebody sent that signal to a program that did nothing wrong",
            "the kernel's log: it has a line only of a real fault; it was not read",
            vec![id],
        ),
    ];
    let pid = view.pid(&process).unwrap_or_default();
    let summary =
        format!("{} (pid {pid}) crashed with {name}{}{}", called(&process), at(view, line), lost(view, &process));
    Some((finding("process.crashed", summary, chain, hypotheses)?, consequences(view, &process, checks)))
}

fn killed(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (process, line, signal) = ended_by(view, |s| [SIGKILL, SIGTERM].contains(&s))?;
    let id = view.cite(line);
    let name = if signal == SIGKILL { "SIGKILL" } else { "SIGTERM" };
    let chain = vec![link(
        format!("{} was ended by {name} ({signal}), which the harness had not sent", called(&process)),
        std::slice::from_ref(&id),
    )?];
    let hypotheses = vec![
        refuted("it crashed", "the signal of its end is none that a fault of its own brings", vec![id.clone()]),
        hypothesis(
            HypothesisState::Open,
            "it ran out of memory, and the kernel killed it (OOM)",
            "memory.events of its control group, which was not read",
            vec![id],
        ),
    ];
    let pid = view.pid(&process).unwrap_or_default();
    let who = called(&process);
    let summary = format!(
        "somebody, not the harness, ended {who} (pid {pid}) with {name}{}{}",
        at(view, line),
        lost(view, &process)
    );
    let mut finding = finding("process.killed_by_third_party", summary, chain, hypotheses)?;
    if signal == SIGKILL {
        finding.confidence = Confidence::Medium; // the kernel sends the same when memory runs out
    }
    Some((finding, consequences(view, &process, checks)))
}

/// What the harness saw a process do, the first time that it looked.
fn seen_doing<'a>(view: &View<'a>, process: &str) -> Option<(usize, &'a ProcessState)> {
    let found = view.answers(|question, answer| match (question, answer) {
        (Question::Process { process: p, .. }, Answer::Process(state)) if p == process => Some(state),
        _ => None,
    });
    found.into_iter().next()
}

fn stopped(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut found = programs(view).into_iter().filter_map(|process| {
        let (line, state) = seen_doing(view, &process)?;
        ["T", "t"].contains(&state.state.as_str()).then_some((process, line, state))
    });
    let (process, line, state) = found.next()?;
    drop(found);
    let id = view.cite(line);
    let mut chain = vec![link(format!("{}: {state}", called(&process)), std::slice::from_ref(&id))?];
    let connected = view.first(|o| match o {
        Observation::Connect { address, errno: None, took_us } => Some((*address, *took_us)),
        _ => None,
    });
    let mute = view.first(|o| match o {
        Observation::Hello { address, answered: false, answer, .. } => Some((*address, answer)),
        _ => None,
    });
    if process == SERVER {
        if let Some((line, (address, took_us))) = connected {
            let text = format!(
                "{address} completes a connection in {took_us} us: the kernel does that for a stopped program too"
            );
            chain.push(link(text, &[view.cite(line)])?);
        }
        if let Some((line, (address, answer))) = mute {
            chain.push(link(format!("a hello to {address} gets nothing: {answer}"), &[view.cite(line)])?);
        }
    }
    let hypotheses = vec![
        refuted("it is busy or in an endless loop", "its state: a program that works is in state R", vec![id.clone()]),
        refuted("it waits for a lock, a pipe or a device", "its state: one that waits is in state S or D", vec![id]),
    ];
    let pid = view.pid(&process).unwrap_or_default();
    let effect = if process == SERVER {
        "connections are accepted, and nobody gets an answer"
    } else {
        "it neither sends nor plays"
    };
    let summary =
        format!("{} (pid {pid}) is stopped (state {}, as after SIGSTOP): {effect}", called(&process), state.state);
    let mut finding = finding("process.stopped", summary, chain, hypotheses)?;
    for fix in &mut finding.fixes {
        fix.text =
            fix.text.replace("-CONT PID", &format!("-CONT {pid}")).replace("/proc/PID/", &format!("/proc/{pid}/"));
    }
    Some((finding, consequences(view, &process, checks)))
}

fn hung(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (late, waited_ms) = view.first(|o| match o {
        Observation::NotReady { process, waited_ms, .. } if process == SERVER => Some(*waited_ms),
        _ => None,
    })?;
    let pid = view.pid(SERVER)?;
    let (line, state) = seen_doing(view, SERVER)?;
    let (table, rows) = [crate::evidence::TableSource::Proc, crate::evidence::TableSource::Netstat2]
        .into_iter()
        .filter(|source| view.can_see(*source))
        .find_map(|source| view.table("ready", source).ok())?;
    let listens = rows.iter().any(|row| row.state == "LISTEN" && row.pids.contains(&pid));
    if listens || !["S", "D", "R"].contains(&state.state.as_str()) {
        return None;
    }
    let process = view.cite(line);
    let table = view.cite(table);
    let mut chain = vec![link(format!("no ready line within {waited_ms} ms"), &[view.cite(late)])?];
    let last = view.evidence.log(SERVER, "stderr").map(|log| (log, log.lines.last()));
    let said = match last {
        Some((log, Some(last))) => {
            let said = last.record.as_ref().map_or_else(|| last.text.trim().to_owned(), |r| r.message.clone());
            chain.push(link(format!("its log stops at line {}: {said}", last.number), &[view.cite_log(log, last)])?);
            format!("its log stops after {said:?}")
        }
        _ => "its log is empty".to_owned(),
    };
    chain.push(link("no socket of it listens", std::slice::from_ref(&table))?);
    chain.push(link(format!("{state}"), std::slice::from_ref(&process))?);
    let hypotheses = vec![
        refuted("it is stopped (SIGSTOP)", "its state", vec![process.clone()]),
        refuted("it listens and only does not say so", "the kernel's socket table", vec![table]),
        if state.state == "R" {
            hypothesis(HypothesisState::Confirmed, "it is busy", "its state", vec![process])
        } else {
            refuted("it is busy", "its state: a program that works is in state R", vec![process])
        },
    ];
    let does = match (state.state.as_str(), state.waits_in.as_deref()) {
        ("R", _) => "works".to_owned(),
        (_, Some(WAITS_FOR_PEER)) => "waits for somebody to open the other end of a FIFO".to_owned(),
        (_, Some(function)) => format!("waits in the kernel's {function}"),
        (_, None) => "waits".to_owned(),
    };
    let seconds = waited_ms as f64 / 1e3;
    let summary = format!("the server (pid {pid}) does not listen after {seconds:.1} s: it {does}, and {said}");
    Some((finding("process.hung_before_bind", summary, chain, hypotheses)?, consequences(view, SERVER, checks)))
}
