//! What runs out: descriptors, the disk.

use super::{Found, Rule, failed, finding, link, without};
use crate::diagnosis::listeners::errno;
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Answer, Check, Confidence, Observation, Question};
use sidetone::event::Event;

/// In this order.
pub(super) const RULES: &[Rule] = &[disk_full];
/// Where the server cannot take what is asked of it.
pub(super) const LIMITS: &[Rule] = &[out_of_descriptors];
/// What only time brings out.
pub(super) const LEAKS: &[Rule] = &[leak];

/// Errno 28, as the system's own message ends.
const ENOSPC: &str = "(os error 28)";
/// Checks that rest on files of the run.
const REST_ON_FILES: [&str; 4] = ["media.", "process.exit/", "log.", "discovery.withdrawn"];

fn disk_full(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut chain = Vec::new();
    let unwritten = view.seen(|o| match o {
        Observation::NotObserved { what, why, .. } if why.contains(ENOSPC) => Some(format!("{what}: {why}")),
        _ => None,
    });
    for (line, statement) in unwritten {
        chain.push(link(statement, &[view.cite(line)])?);
    }
    let names: Vec<_> = view.evidence.plan.clients.iter().map(|c| c.name.as_str()).collect();
    for name in names {
        let failed = view.events(name, |e| match e {
            Event::DeviceFailed { reason, .. } if reason.contains(ENOSPC) => Some(e.message()),
            _ => None,
        });
        if let Some((log, line, message)) = failed.first() {
            chain.push(link(format!("{name}: {message}"), &[view.cite_log(log, line)])?);
        }
    }
    let first = chain.first()?;
    let summary = format!("the disk of the run's files is full (ENOSPC): {}", first.statement());
    let rest_on_files = checks.iter().filter(|c| REST_ON_FILES.iter().any(|p| c.id.starts_with(p)));
    let explained = rest_on_files.map(|c| c.id.clone()).collect();
    Some((finding("resource.disk_full", summary, chain, vec![])?, explained))
}

/// The server cannot accept: connections wait in the kernel, complete and unanswered.
fn out_of_descriptors(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let refused = view.events(SERVER, |e| match e {
        Event::ConnectionAcceptFailed { address, errno, open_connections, .. } if errno.number == errno::EMFILE => {
            Some((*address, errno.clone(), *open_connections))
        }
        _ => None,
    });
    let (log, line, (_, errno, connections)) = refused.first()?.clone();
    let times = refused.len();
    let mut chain = Vec::new();
    let state = view.answers(|question, answer| match (question, answer) {
        (Question::Process { process, .. }, Answer::Process(state)) if process == SERVER => Some(state),
        _ => None,
    });
    let full =
        state.into_iter().next().and_then(|(line, state)| Some((line, state.descriptors?, state.descriptor_limit?)));
    let mut settled = false;
    if let Some((line, open, limit)) = full {
        settled = u64::from(open) >= limit;
        chain.push(link(
            format!("the server may open descriptors below {limit}, and {open} are open"),
            &[view.cite(line)],
        )?);
    }
    let mut addresses: Vec<_> = refused.iter().map(|(_, _, (address, ..))| address.to_string()).collect();
    addresses.sort();
    addresses.dedup();
    let list = and(&addresses);
    let often = if times == 1 { String::new() } else { format!(" ({times} times)") };
    let cited = view.cite_log(log, line);
    let text = format!("accept fails with {errno} on {list}{often}, at {connections} open connections");
    chain.push(link(text, &[cited])?);
    let waiting = view.seen(|o| match o {
        Observation::SocketTable { moment, rows, .. } if moment == "call" => rows
            .iter()
            .find(|row| row.state == "LISTEN" && row.rx_queue.is_some_and(|waiting| waiting > 0))
            .map(|row| (row.local, row.rx_queue.unwrap_or(0))),
        _ => None,
    });
    if let Some((line, (local, count))) = waiting.first() {
        let them = if *count == 1 { "1 connection waits".to_owned() } else { format!("{count} connections wait") };
        chain.push(link(
            format!("{them} in the kernel's queue of {local}: connected, never answered"),
            &[view.cite(*line)],
        )?);
    }
    let count = match full {
        Some((_, open, limit)) => format!("{open} are open, its limit is {limit}"),
        None => errno.to_string(),
    };
    let summary = format!(
        "the server has no descriptor left ({count}): connections are completed by the kernel, and nobody gets an answer"
    );
    let mut finding = finding("resource.fd_limit", summary, chain, vec![])?;
    finding.confidence = if settled { Confidence::High } else { Confidence::Medium };
    let pid = view.pid(SERVER).unwrap_or_default();
    for fix in &mut finding.fixes {
        fix.text =
            fix.text.replace("--pid PID", &format!("--pid {pid}")).replace("/proc/PID/", &format!("/proc/{pid}/"));
    }
    let waits = |client: &&crate::evidence::ClientPlan| {
        view.events(&client.name, |e| matches!(e, Event::ClientJoined { .. }).then_some(())).is_empty()
    };
    let waiting: Vec<_> = view.evidence.plan.clients.iter().filter(waits).map(|c| c.name.clone()).collect();
    let mut explained = without(view, &waiting, checks);
    let of_server = ["session.hello", "http.health", "log.no_errors", "resource.descriptors", "discovery.browse"];
    explained.extend(of_server.map(str::to_owned));
    Some((finding, explained))
}

fn leak(_: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let leak = failed(checks, "resource.descriptors").first().copied()?;
    let chain = vec![link(leak.message.clone(), &leak.evidence)?];
    let summary = format!("the server leaks descriptors: {}", leak.message);
    Some((finding("resource.fd_limit", summary, chain, vec![])?, vec![leak.id.clone()]))
}
