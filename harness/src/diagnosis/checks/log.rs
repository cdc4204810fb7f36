//! The logs themselves.

use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, Layer, Side};
use sidetone::event::{Event, Level};

/// Every line of the event logs is an event.
pub(super) fn structured(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("log.structured", Layer::Log, Side::Harness, "every log line is an event");
    let evidence = view.evidence;
    let logs = evidence.logs.iter().filter(|l| l.stream == "stderr");
    let unread: Vec<_> = logs
        .clone()
        .flat_map(|log| {
            log.lines.iter().filter(|l| l.unread.is_some() && !l.text.starts_with("sidetone: ")).map(move |l| (log, l))
        })
        .collect();
    let lines: usize = logs.clone().map(|l| l.lines.len()).sum();
    if lines == 0 {
        return vec![check.unknown("there is no line in any log", vec![])];
    }
    if unread.is_empty() {
        return vec![check.pass(format!("{lines} lines, all of them events"), vec![])];
    }
    let ids = unread.iter().take(5).map(|(log, line)| view.cite_log(log, line)).collect();
    let (log, line) = unread[0];
    let why = line.unread.as_deref().unwrap_or_default();
    let message =
        format!("{} of {lines} lines are no events; the first: {}:{}: {why}", unread.len(), log.path, line.number);
    vec![check.warn(message, ids, "find out who else writes to that stream, or update the harness")]
}

/// A bind that failed and was followed by a successful one on another port is told as a warning by `bind.no_failure`.
fn healed(view: &View<'_>, event: &Event) -> bool {
    let Event::ListenerBindFailed { listener, .. } = event else { return false };
    let fell_back = view.events(SERVER, |e| match e {
        Event::ListenerFellBack { listener, .. } => Some(*listener),
        _ => None,
    });
    fell_back.iter().any(|(_, _, kind)| kind == listener)
}

/// Up to the first semicolon: what helps against it is in the finding.
fn first_sentence(message: &str) -> &str {
    message.split("; ").next().unwrap_or(message)
}

/// No event of level ERROR.
pub(super) fn no_errors(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("log.no_errors", Layer::Log, Side::Server, "no event of level ERROR");
    let evidence = view.evidence;
    let found: Vec<_> = evidence
        .logs
        .iter()
        .flat_map(|log| log.lines.iter().filter_map(move |l| Some((log, l, l.record.as_ref()?))))
        .filter(|(_, _, record)| record.level == Level::Error && !healed(view, &record.event))
        .collect();
    let Some((log, _, first)) = found.first() else {
        return vec![check.pass("none", vec![])];
    };
    let message = format!(
        "{} of them; the first, of {}: {}: {}",
        found.len(),
        log.process,
        first.event.name(),
        first_sentence(&first.message)
    );
    let ids = found.iter().take(5).map(|(log, line, _)| view.cite_log(log, line)).collect();
    vec![check.fail(message, ids, "read the events around it")]
}
