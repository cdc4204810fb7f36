//! One clock for everything that happened in a run. PURE.
//!
//! Programs and harness stamp what they say with `CLOCK_MONOTONIC`, so their lines can be merged by time: [`timeline`] does,
//! and keeps of each line where it stands. Each kind of observation has its own sentence in [`observed`].

pub mod observed;

use crate::evidence::{Evidence, Log, LogLine, TimelineEntry, ledger};
use sidetone::event::{Event, Level, Record};
use std::collections::BTreeMap;

/// A run of so many alike lines of a process becomes one line; fewer are shown one by one, since each may name another
/// address.
const RUN: usize = 4;

/// A line before it is put on the common clock.
struct Moment {
    at_ns: u64,
    who: String,
    what: String,
    source: String,
    /// Equal for lines that say the same but for their figures.
    alike: String,
}

/// Everything worth a line, in the order of time, from the first such line on: the harness's observations, all events above
/// `DEBUG` and the `DEBUG` events that tell the course of a call. At the same nanosecond observations come first, then
/// logs in their order. Runs of the same event of the same process become one line with a count.
pub fn timeline(evidence: &Evidence) -> Vec<TimelineEntry> {
    let observations = evidence.observations.iter().enumerate().map(|(index, seen)| {
        let (who, what) = observed::line(&seen.what);
        let source = format!("{}:{}", ledger::OBSERVATIONS, index + 1);
        Moment { at_ns: seen.monotonic_ns, alike: without_figures(&what), who: who.to_owned(), what, source }
    });
    let events = evidence.logs.iter().flat_map(|log| {
        log.lines.iter().filter_map(move |line| {
            let record = line.record.as_ref().filter(|r| matters(r))?;
            Some(event(log, line, record))
        })
    });
    let mut moments: Vec<_> = observations.chain(events).collect();
    moments.sort_by_key(|m| m.at_ns);
    let start = moments.first().map_or(0, |m| m.at_ns);
    runs(&moments).into_iter().map(|run| entry(&run, start)).collect()
}

fn event(log: &Log, line: &LogLine, record: &Record) -> Moment {
    Moment {
        at_ns: record.monotonic_ns,
        alike: format!("{}: {}", record.event.name(), without_figures(&record.message)),
        who: log.process.clone(),
        what: record.message.clone(),
        source: format!("{}:{}", log.path, line.number),
    }
}

fn matters(record: &Record) -> bool {
    let told = matches!(
        record.event,
        Event::ListenerBinding { .. }
            | Event::ConnectionAccepted { .. }
            | Event::ConnectionClosed { .. }
            | Event::ClientConnected { .. }
            | Event::AudioPlaying { .. }
    );
    told || record.level < Level::Debug
}

fn without_figures(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if bare.ends_with('#') => {}
            '0'..='9' => bare.push('#'),
            other => bare.push(other),
        }
    }
    bare
}

/// Groups neighbours of one process that are alike (lines of other processes may stand between them), in the order of the
/// first of each group. Short groups are taken apart again.
fn runs(moments: &[Moment]) -> Vec<Vec<&Moment>> {
    let mut groups: Vec<Vec<&Moment>> = Vec::new();
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    for moment in moments {
        match latest.get(moment.who.as_str()) {
            Some(&at) if groups[at][0].alike == moment.alike => groups[at].push(moment),
            _ => {
                latest.insert(&moment.who, groups.len());
                groups.push(vec![moment]);
            }
        }
    }
    let mut shown: Vec<Vec<&Moment>> = Vec::new();
    for group in groups {
        if group.len() < RUN {
            shown.extend(group.into_iter().map(|m| vec![m]));
        } else {
            shown.push(group);
        }
    }
    shown.sort_by_key(|group| group[0].at_ns);
    shown
}

fn entry(run: &[&Moment], start_ns: u64) -> TimelineEntry {
    let micros = |m: &Moment| i64::try_from((m.at_ns - start_ns) / 1000).unwrap_or(i64::MAX);
    let (first, last) = (run[0], run[run.len() - 1]);
    let mut what = first.what.clone();
    if run.len() > 1 {
        let within = u64::try_from(micros(last) - micros(first)).unwrap_or(0) / 1000;
        what = format!("{what} (and {} more such within {within} ms)", run.len() - 1);
    }
    TimelineEntry { at_us: micros(first), who: first.who.clone(), what, source: first.source.clone() }
}

#[cfg(test)]
mod tests;
