//! What the server itself says, where its log was given.

use crate::diagnosis::checks::CheckDef;
use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, Layer, Side};
use sidetone::event::{Event, Level};

/// In this order.
pub(super) const CHECKS: &[CheckDef] =
    &[CheckDef { id: "log.server", about: "the server's log tells of no failed bind and no error", run: server }];

/// Failed binds, errors, underruns. How old they are is for the reader: a log has no end.
fn server(view: &mut View<'_>) -> Vec<Check> {
    let evidence = view.evidence;
    if !evidence.plan.probe.as_ref().is_some_and(|plan| plan.log) {
        return Vec::new();
    }
    let check = draft("log.server", Layer::Log, Side::Server, "log");
    let Some(log) = evidence.logs.first() else {
        return vec![check.unknown("the log could not be read", vec![])];
    };
    let records: Vec<_> = log.lines.iter().filter_map(|line| Some((line, line.record.as_ref()?))).collect();
    let Some((_, last)) = records.last() else {
        let why = format!("{}: {} lines, none of them an event of Sidetone", log.path, log.lines.len());
        return vec![check.unknown(why, vec![])];
    };
    let failed = view.events(SERVER, |e| matches!(e, Event::ListenerBindFailed { .. }).then(|| e.message()));
    if let Some((log, line, message)) = failed.first() {
        let ids = failed.iter().take(5).map(|(log, line, _)| view.cite_log(log, line)).collect();
        let message = format!("{}:{}: {message}", log.path, line.number);
        return vec![check.fail(message, ids, "free the port, or give the server another one")];
    }
    let errors: Vec<_> = records.iter().filter(|(_, record)| record.level == Level::Error).collect();
    if let Some((line, first)) = errors.first() {
        let ids = errors.iter().take(5).map(|(line, _)| view.cite_log(log, line)).collect();
        let message = format!("{} errors; the first: {}:{}: {}", errors.len(), log.path, line.number, first.message);
        return vec![check.warn(message, ids, "read the events around it")];
    }
    let message = format!("{}: {} events until {}, none of them an error", log.path, records.len(), last.time);
    vec![check.pass(message, vec![])]
}
