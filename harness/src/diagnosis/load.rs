//! Whether load explains what came late or was lost.
//!
//! It does only where it coincides: a program between the two ends waited for a processor during at least half of the gap, by the
//! kernel's own count, and was not stopped. How busy the machine was otherwise excuses nothing, and neither does a process that
//! has no part in this sound. Load never explains a wrong mix, silence, a refusal or a bind that failed.

use super::view::{SERVER, View};
use crate::evidence::{Check, EvidenceId, Log, LogLine, Observation, Status, Waits};
use sidetone::event::{Event, Record, UnderrunCause};
use std::collections::BTreeMap;

/// What to do where load explains it.
pub(super) const LESS_LOAD: &str = "repeat on a machine with a free processor";
/// A wait ends somewhere in the interval in which it is counted, and a buffer plays on for a while after what fills it stops.
const BEFORE_NS: u64 = 100_000_000;
/// What is counted at the end of an interval, and what is told after it is over, lies this much later at most.
const AFTER_NS: u64 = 60_000_000;
/// A gap up to this length may be the sum of waits in several programs.
const SHORT_NS: u64 = 100_000_000;

/// See [`Observation::Scheduling`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Scheduling<'a> {
    line: usize,
    began_ns: u64,
    at_ms: &'a [u32],
    processes: &'a BTreeMap<String, Waits>,
}

/// A time in which something was missing, and how much.
#[derive(Clone, Debug)]
pub(super) struct Gap<'a> {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub(super) from_ns: u64,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub(super) to_ns: u64,
    /// What of this time is to be explained, in nanoseconds.
    pub(super) lost_ns: u64,
    /// Whether it was lost at once, so that many small waits do not explain it.
    pub(super) at_once: bool,
    /// Samples of sound that are missing, where it is sound.
    pub(super) samples: u64,
    /// Why, by the one that noticed it.
    pub(super) cause: Option<UnderrunCause>,
    /// The programs that could have caused it.
    pub(super) way: Vec<&'a str>,
    /// Where it is told.
    pub(super) told: Option<(&'a Log, &'a LogLine)>,
}

/// What load explains of several gaps.
#[derive(Clone, Debug)]
pub(super) struct Excuse {
    /// Samples in the gaps that it explains.
    pub(super) samples: u64,
    /// Time in these gaps, in nanoseconds.
    pub(super) lost_ns: u64,
    /// Gaps that it explains.
    pub(super) gaps: usize,
    /// Gaps that it does not explain.
    pub(super) left: usize,
    /// A part of a sentence.
    pub(super) words: String,
    /// What shows it.
    pub(super) ids: Vec<EvidenceId>,
}

impl<'a> Scheduling<'a> {
    /// What was sampled; `None`: nothing was.
    pub(super) fn of(view: &View<'a>) -> Option<Self> {
        let (line, (began_ns, at_ms, processes)) = view.first(|o| match o {
            Observation::Scheduling { began_ns, at_ms, processes } => Some((*began_ns, at_ms.as_slice(), processes)),
            _ => None,
        })?;
        Some(Self { line, began_ns, at_ms, processes })
    }

    /// Begin and end of each interval that ends in a span or is under way at its end.
    fn intervals(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = (usize, u64, u64)> + use<'_, 'a> {
        let end = |i: usize| self.at_ms.get(i).map(|ms| self.began_ns.saturating_add(u64::from(*ms) * 1_000_000));
        (0..self.at_ms.len()).filter_map(move |i| {
            let (begin, end) = (i.checked_sub(1).map_or(Some(self.began_ns), end)?, end(i)?);
            (end > from_ns && begin < to_ns).then_some((i, begin, end))
        })
    }

    /// For how much of a span a process waited for a processor, in nanoseconds: all of it, and the longest without a break. A wait
    /// is counted when it is over, so it lies before the end of its interval, and where two overlap the time counts once.
    fn waited_ns(&self, process: &str, from_ns: u64, to_ns: u64) -> (u64, u64) {
        let Some(waits) = self.processes.get(process) else { return (0, 0) };
        let (mut all, mut longest, mut run, mut open) = (0_u64, 0_u64, 0_u64, to_ns);
        // backwards: a long wait reaches over the intervals before
        let later = to_ns.saturating_add(u64::from(u32::MAX));
        for (i, _, end) in self.intervals(from_ns, later).collect::<Vec<_>>().into_iter().rev() {
            let waited = waits.delay_us.get(i).map_or(0, |us| u64::from(*us) * 1_000);
            let (begin, end) = (end.saturating_sub(waited).max(from_ns), end.min(open));
            let more = end.saturating_sub(begin);
            run = if end == open { run.saturating_add(more) } else { more };
            (all, longest, open) = (all.saturating_add(more), longest.max(run), open.min(begin));
        }
        (all, longest)
    }

    /// Whether a process was stopped at some time in a span.
    pub(super) fn was_stopped(&self, process: &str, from_ns: u64, to_ns: u64) -> bool {
        let Some(waits) = self.processes.get(process) else { return false };
        let state = |i: usize| waits.states.as_bytes().get(i);
        self.intervals(from_ns, to_ns).any(|(i, ..)| matches!(state(i), Some(b'T' | b't')))
    }

    /// Who waited longest for a processor, and for how long, where that covers at least half of a gap; `None`: it does not, or one of
    /// the programs in between was stopped.
    fn explains(&self, gap: &Gap<'a>) -> Option<(&'a str, u64)> {
        let (from, to) = (gap.from_ns.saturating_sub(BEFORE_NS), gap.to_ns.saturating_add(AFTER_NS));
        if gap.way.iter().any(|process| self.was_stopped(process, from, to)) {
            return None;
        }
        let waited = gap.way.iter().map(|process| {
            let (all, longest) = self.waited_ns(process, from, to);
            (*process, if gap.at_once { longest } else { all })
        });
        let waited: Vec<_> = waited.collect();
        let (process, ns) = waited.iter().copied().max_by_key(|(_, ns)| *ns)?;
        // a packet waits in one program after the other
        let in_turn = waited.iter().fold(0_u64, |sum, (_, ns)| sum.saturating_add(*ns));
        let covers = if gap.at_once && gap.lost_ns <= SHORT_NS { in_turn } else { ns };
        // who waits for two thirds of all the time gets nowhere, however short each wait is
        let starved = gap.way.iter().any(|process| {
            let (all, _) = self.waited_ns(process, gap.from_ns, gap.to_ns);
            all.saturating_mul(3) >= gap.to_ns.saturating_sub(gap.from_ns).saturating_mul(2)
        });
        (ns > 0 && (covers.saturating_mul(2) >= gap.lost_ns || starved)).then_some((process, ns))
    }
}

/// In how many of how many samples a process was stopped, and the observation that says so; `None`: never, or nothing was sampled.
pub(super) fn stopped(view: &View<'_>, process: &str) -> Option<(usize, String)> {
    let scheduling = Scheduling::of(view)?;
    let states = &scheduling.processes.get(process)?.states;
    let there = states.chars().filter(|state| *state != '-').count();
    let stopped = states.chars().filter(|state| matches!(state, 'T' | 't')).count();
    (stopped > 0).then(|| (scheduling.line, format!("stopped (state T) in {stopped} of {there} samples")))
}

/// What load explains of these gaps; `None`: nothing, or it was not sampled.
pub(super) fn excuse<'a>(view: &mut View<'a>, gaps: &[Gap<'a>]) -> Option<Excuse> {
    let scheduling = Scheduling::of(view)?;
    let explained: Vec<_> = gaps.iter().filter_map(|gap| Some((gap, scheduling.explains(gap)?))).collect();
    let (process, ns) = explained.iter().map(|(_, waited)| *waited).max_by_key(|(_, ns)| *ns)?;
    let mut ids = vec![view.cite(scheduling.line)];
    let told = explained.iter().filter_map(|(gap, _)| gap.told).take(3);
    ids.extend(told.map(|(log, line)| view.cite_log(log, line)).collect::<Vec<_>>());
    let of = if gaps.len() == 1 { "it".to_owned() } else { format!("{} of {} gaps", explained.len(), gaps.len()) };
    let verb = if gaps.len() == 1 || explained.len() == 1 { "coincides" } else { "coincide" };
    let sum = |of: fn(&Gap<'a>) -> u64| explained.iter().fold(0_u64, |sum, (gap, _)| sum.saturating_add(of(gap)));
    Some(Excuse {
        samples: sum(|gap| gap.samples),
        lost_ns: sum(|gap| gap.lost_ns),
        gaps: explained.len(),
        left: gaps.len() - explained.len(),
        words: format!(
            "the machine was busy: {of} {verb} with waits for a processor (longest: {process}, {} ms)",
            ns / 1_000_000
        ),
        ids,
    })
}

/// Whether `process` or the server waited for a processor during at least half of a span.
pub(super) fn excuse_span<'a>(view: &mut View<'a>, process: &'a str, from_ns: u64, to_ns: u64) -> Option<Excuse> {
    let (lost_ns, way) = (to_ns.saturating_sub(from_ns), on_the_way(view, [process]));
    excuse(view, &[Gap { from_ns, to_ns, lost_ns, at_once: false, samples: 0, cause: None, way, told: None }])
}

/// Of a client to which nothing came in time: only a warning if it or the server waited for a processor during at least half of the
/// client's life.
pub(super) fn unless_late<'a>(view: &mut View<'a>, client: &'a str, failed: Check) -> Check {
    let began = view.evidence.observations.iter().find_map(|seen| match &seen.what {
        Observation::ProcessStarted { process, .. } if process == client => Some(seen.monotonic_ns),
        _ => None,
    });
    let ended = view.end_of(client).and_then(|(_, end)| end.ended_ns);
    match began.zip(ended).and_then(|(began, ended)| excuse_span(view, client, began, ended)) {
        Some(Excuse { words, ids, .. }) => Check {
            status: Status::Warn,
            message: format!("{}; {words}", failed.message),
            evidence: [failed.evidence, ids].concat(),
            remedy: Some(LESS_LOAD.to_owned()),
            ..failed
        },
        None => failed,
    }
}

/// The server, that which was started in its place, and these.
fn on_the_way<'a>(view: &View<'a>, more: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    servers(view).into_iter().chain(more).collect()
}

/// The server, and that which was started in its place.
pub(super) fn servers<'a>(view: &View<'a>) -> Vec<&'a str> {
    let again = view.first(|o| match o {
        Observation::Restarted { again, .. } => Some(again.as_str()),
        _ => None,
    });
    [SERVER].into_iter().chain(again.map(|(_, again)| again)).collect()
}

/// The gaps that a listener noticed in what it played.
pub(super) fn gaps_at<'a>(view: &View<'a>, listener: &'a str) -> Vec<Gap<'a>> {
    let told = view.events(listener, gap_of);
    let way = |cause: UnderrunCause| match cause {
        UnderrunCause::LateCallback => vec![listener],
        UnderrunCause::Filling | UnderrunCause::NothingReceived | UnderrunCause::LateData => {
            on_the_way(view, [listener])
        }
    };
    let down = down(view);
    let gaps = told.into_iter().filter_map(|(log, line, told)| told.gap((log, line), way(told.cause)));
    // who learns late that the server has gone conceals on until then: that is no packet that was late, but many turns
    let while_down = |gap: &Gap<'_>| down.is_some_and(|(from, to)| gap.to_ns > from && gap.from_ns < to);
    gaps.map(|gap| Gap { at_once: !while_down(&gap), ..gap }).collect()
}

/// When there was no server, because it was started again: from when it was told to end until clients are back.
fn down(view: &View<'_>) -> Option<(u64, u64)> {
    let around_ns = 1_000_000_000;
    let (_, (ended_ns, ready_ns)) = view.first(|o| match o {
        Observation::Restarted { ended_ns, ready_ns, .. } => Some((*ended_ns, *ready_ns)),
        _ => None,
    })?;
    Some((ended_ns.saturating_sub(around_ns), ready_ns.saturating_add(around_ns)))
}

/// The gaps that the server noticed in what these speakers sent.
pub(super) fn gaps_of<'a>(view: &View<'a>, speakers: &'a [String]) -> Vec<Gap<'a>> {
    let mut gaps = Vec::new();
    for server in servers(view) {
        for (log, line, told) in view.events(server, gap_of) {
            if let Some(speaker) = told.of.filter(|of| speakers.iter().any(|s| s == of)) {
                gaps.extend(told.gap((log, line), on_the_way(view, [speaker])));
            }
        }
    }
    gaps
}

/// See [`Event::AudioGap`].
#[derive(Clone, Copy)]
struct Told<'a> {
    of: Option<&'a str>,
    cause: UnderrunCause,
    samples: u64,
    lasted_us: u64,
    ended_utc_ms: Option<u64>,
}

fn gap_of(event: &Event) -> Option<Told<'_>> {
    match event {
        Event::AudioGap { of, cause, samples, lasted_us, ended_utc_ms } => Some(Told {
            of: of.as_deref(),
            cause: *cause,
            samples: *samples,
            lasted_us: *lasted_us,
            ended_utc_ms: *ended_utc_ms,
        }),
        _ => None,
    }
}

impl Told<'_> {
    fn gap<'a>(&self, (log, line): (&'a Log, &'a LogLine), way: Vec<&'a str>) -> Option<Gap<'a>> {
        let record = line.record.as_ref()?;
        let to_ns = record.monotonic_ns.saturating_sub(self.ended_utc_ms.map_or(0, |ms| since_ns(record, ms)));
        let lasted = self.lasted_us.saturating_mul(1_000);
        let (samples, cause) = (self.samples, Some(self.cause));
        // what is missing, not the time in which: a device that was late may have had a part of it
        let lost_ns = (self.samples.saturating_mul(1_000_000_000) / 48_000).max(1).min(lasted.max(1));
        let lost_ns = if self.samples == 0 { lasted } else { lost_ns };
        let from_ns = to_ns.saturating_sub(lasted);
        Some(Gap { from_ns, to_ns, lost_ns, at_once: true, samples, cause, way, told: Some((log, line)) })
    }
}

/// How long before a record was written it was `utc_ms`, in nanoseconds; 0 if that is in its future or its time cannot be read.
fn since_ns(record: &Record, utc_ms: u64) -> u64 {
    let written = record.time.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond);
    u64::try_from(written).unwrap_or(0).saturating_sub(utc_ms).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Samples every 50 ms for a second; `delays` are (interval, us).
    fn waits(delays: &[(usize, u32)], stopped: &[usize]) -> Waits {
        let mut delay_us = vec![0; 20];
        for (i, us) in delays {
            delay_us[*i] = *us;
        }
        Waits { delay_us, states: (0..20).map(|i| if stopped.contains(&i) { 'T' } else { 'S' }).collect() }
    }

    fn explained(processes: &[(&str, Waits)], gap: &Gap<'static>) -> bool {
        let at_ms: Vec<u32> = (1..=20).map(|i| i * 50).collect();
        let processes: BTreeMap<String, Waits> = processes.iter().map(|(n, w)| ((*n).to_owned(), w.clone())).collect();
        // the scheduling lives only here, a gap for ever
        let scheduling = Scheduling { line: 1, began_ns: 0, at_ms: &at_ms, processes: &processes };
        scheduling.explains(&gap.clone()).is_some()
    }

    /// From 500 to 700 ms.
    fn gap(way: &[&'static str]) -> Gap<'static> {
        Gap {
            from_ns: 500 * MS,
            to_ns: 700 * MS,
            lost_ns: 200 * MS,
            at_once: true,
            samples: 9_600,
            cause: None,
            way: way.to_vec(),
            told: None,
        }
    }

    #[test]
    fn a_wait_over_half_of_the_gap_explains_it() {
        // it ends in the interval from 650 to 700 ms
        let server = [("server", waits(&[(13, 110_000)], &[]))];
        assert!(explained(&server, &gap(&["server", "b"])));
        let short = [("server", waits(&[(13, 90_000)], &[]))];
        assert!(!explained(&short, &gap(&["server", "b"])), "less than half");
    }

    #[test]
    fn an_excuse_needs_coincidence() {
        let before = [("server", waits(&[(3, 200_000)], &[]))];
        assert!(!explained(&before, &gap(&["server"])), "it was over long before");
        let after = [("server", waits(&[(19, 200_000)], &[]))];
        assert!(!explained(&after, &gap(&["server"])), "it began when the sound was back");
        let elsewhere = [("c", waits(&[(13, 200_000)], &[])), ("server", waits(&[], &[]))];
        assert!(!explained(&elsewhere, &gap(&["server", "b"])), "c has no part in it");
    }

    #[test]
    fn many_small_waits_are_no_long_one() {
        let small: Vec<(usize, u32)> = (9..15).map(|i| (i, 30_000)).collect();
        let busy = [("server", waits(&small, &[]))];
        assert!(!explained(&busy, &gap(&["server"])), "20 ms of every 50 it ran");
        let starved: Vec<(usize, u32)> = (9..15).map(|i| (i, 40_000)).collect();
        assert!(explained(&[("server", waits(&starved, &[]))], &gap(&["server"])), "10 ms of every 50 are not enough");
        assert!(explained(&busy, &Gap { at_once: false, ..gap(&["server"]) }), "but over half of the time it waited");
        let long: Vec<(usize, u32)> = (11..14).map(|i| (i, 50_000)).collect();
        assert!(explained(&[("server", waits(&long, &[]))], &gap(&["server"])), "one wait over three samples");
    }

    #[test]
    fn a_short_gap_may_be_the_sum_of_waits_in_turn() {
        let both = [("b", waits(&[(12, 22_000)], &[])), ("server", waits(&[(12, 22_000)], &[]))];
        let short = |lost_ns| Gap { lost_ns, ..gap(&["server", "b"]) };
        assert!(explained(&both, &short(80 * MS)) && !explained(&both, &short(95 * MS)));
        assert!(!explained(&[("b", waits(&[(12, 22_000)], &[]))], &short(80 * MS)));
        let more = [("b", waits(&[(12, 45_000)], &[])), ("server", waits(&[(12, 45_000)], &[]))];
        assert!(!explained(&more, &short(150 * MS)), "not a long one");
    }

    #[test]
    fn who_was_stopped_has_no_excuse() {
        let waited = waits(&[(13, 200_000)], &[]);
        assert!(explained(&[("b", waited.clone())], &gap(&["b"])));
        let stopped = waits(&[(13, 200_000)], &[11, 12]);
        assert!(!explained(&[("b", stopped.clone())], &gap(&["b"])));
        assert!(!explained(&[("b", stopped), ("server", waited)], &gap(&["b", "server"])));
    }

    #[test]
    fn waits_that_overlap_count_once() {
        let at_ms: Vec<u32> = (1..=20).map(|i| i * 50).collect();
        let all = BTreeMap::from([("b".to_owned(), waits(&[(12, 60_000), (13, 80_000), (19, 500_000)], &[]))]);
        let scheduling = Scheduling { line: 1, began_ns: 0, at_ms: &at_ms, processes: &all };
        // 590..650 and 620..700, and 500..1000 covers all of it
        assert_eq!(scheduling.waited_ns("b", 0, 700 * MS), (200 * MS, 200 * MS));
        assert_eq!(scheduling.waited_ns("b", 0, 495 * MS), (0, 0));
        assert_eq!(scheduling.waited_ns("nobody", 0, 700 * MS), (0, 0));
    }

    #[test]
    fn what_cannot_be_is_no_panic() {
        let all = BTreeMap::from([("b".to_owned(), Waits { delay_us: vec![u32::MAX], states: String::new() })]);
        let odd = Scheduling { line: 1, began_ns: u64::MAX, at_ms: &[u32::MAX, 0], processes: &all };
        let gap = Gap { from_ns: u64::MAX, to_ns: 0, lost_ns: u64::MAX, ..gap(&["b"]) };
        assert!(odd.explains(&gap).is_none());
    }
}
