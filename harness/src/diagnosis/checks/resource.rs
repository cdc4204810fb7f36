//! Memory and descriptors of the server, at the end against the start.

use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, Layer, Observation, Side};
use sidetone::event::Event;

struct Sample {
    line: usize,
    rss_bytes: u64,
    descriptors: u32,
}

fn sample(view: &View<'_>, moment: &str) -> Option<Sample> {
    let (line, (rss_bytes, descriptors)) = view.first(|o| match o {
        Observation::Resources { moment: m, rss_bytes, descriptors, .. } if m == moment => {
            Some((*rss_bytes, *descriptors))
        }
        _ => None,
    })?;
    Some(Sample { line, rss_bytes, descriptors })
}

fn is_joined(event: &Event) -> Option<()> {
    matches!(event, Event::SessionJoined { .. }).then_some(())
}

fn is_left(event: &Event) -> Option<()> {
    matches!(event, Event::SessionLeft { .. }).then_some(())
}

/// As many descriptors at the end as at the start.
pub(super) fn descriptors(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("resource.descriptors", Layer::Resource, Side::Server, "no descriptor is left open");
    if super::room::restarted(view).is_some() {
        return vec![check.skip("the server was started again: one program cannot be compared with another")];
    }
    let (Some(start), Some(end)) = (sample(view, "start"), sample(view, "end")) else {
        return vec![check.unknown("not counted at both start and end", vec![])];
    };
    let ids = vec![view.cite(start.line), view.cite(end.line)];
    let (start, end) = (start.descriptors, end.descriptors);
    let (joined, left) = (view.events(SERVER, is_joined).len(), view.events(SERVER, is_left).len());
    if end > start && left < joined {
        let message = format!(
            "{start} at the start, {end} at the end, when {} of {joined} sessions were still open",
            joined - left
        );
        return vec![check.unknown(message, ids)];
    }
    vec![if end <= start {
        check.pass(format!("{start} at the start, {end} after all had left"), ids)
    } else {
        let joins = view.started_clients().len();
        let message = format!("{start} at the start, {end} after all {joins} clients had left: {} leaked", end - start);
        check.fail(message, ids, "list /proc/PID/fd of the server after a join and a leave")
    }]
}

/// Memory did not grow much.
pub(super) fn memory(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("resource.memory", Layer::Resource, Side::Server, "memory did not grow much");
    if super::room::restarted(view).is_some() {
        return vec![check.skip("the server was started again: one program cannot be compared with another")];
    }
    let (Some(start), Some(end)) = (sample(view, "start"), sample(view, "end")) else {
        return vec![check.unknown("not measured at both start and end", vec![])];
    };
    let ids = vec![view.cite(start.line), view.cite(end.line)];
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let message =
        format!("resident {:.1} MiB at the start, {:.1} MiB at the end", mib(start.rss_bytes), mib(end.rss_bytes));
    let limit = view.evidence.plan.limits.rss_growth_bytes;
    vec![if end.rss_bytes.saturating_sub(start.rss_bytes) <= limit {
        check.pass(message, ids)
    } else {
        let message = format!("{message}: grew by more than {:.0} MiB", mib(limit));
        check.warn(message, ids, "repeat the scenario (--repeat 20): growth that goes on is a leak")
    }]
}
