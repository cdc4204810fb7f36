//! Mixing and playback: in time, without gaps, without made-up sound.

use crate::diagnosis::load::{self, Excuse, Gap, LESS_LOAD, Scheduling};
use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, ClientKind, ClientPlan, EvidenceId, Layer, Log, LogLine, Observation, Side};
use serde_json::Value;
use sidetone::event::{Event, UnderrunCause};

/// So little missing in a whole call (one frame of 20 ms) is a warning, whatever the reason: nobody hears it, and a thread that waits
/// for another one or for a disk leaves no trace in the samples.
const ONE_FRAME: u64 = 960;
/// Length of a tick of the mixer.
const TICK_MS: u64 = 20;
/// Percent of the time in which some task waited for a processor, from which on the machine counts as busy.
const SHORT_OF_PROCESSORS: f64 = 5.0;

/// The mixer ticks at its rate.
pub(super) fn mixer(view: &mut View<'_>) -> Vec<Check> {
    let check = draft("media.mixer", Layer::Media, Side::Server, "the mixer ticks at its rate");
    let stats = view.events(SERVER, |e| match e {
        Event::MixerStats { ticks, expected_ticks, late_ticks, max_lateness_us, .. } => {
            Some((*ticks, *expected_ticks, *late_ticks, *max_lateness_us))
        }
        _ => None,
    });
    if stats.is_empty() {
        let joined = view.events(SERVER, |e| matches!(e, Event::SessionJoined { .. }).then_some(()));
        let early = view.end_of(SERVER).is_some_and(|(_, end)| !end.by_harness);
        return vec![if view.started_clients().is_empty() || view.pid(SERVER).is_none() {
            check.skip("nobody joined, so nothing was mixed")
        } else if early || view.cut_off(SERVER).is_some() {
            check.unknown("the server ended before it told what it had mixed", vec![])
        } else if joined.is_empty() && view.evidence.log(SERVER, "stderr").is_some_and(|log| !log.lines.is_empty()) {
            check.skip("nobody joined, so nothing was mixed")
        } else {
            check.unknown("the log has no mixer.stats event (level debug is needed)", vec![])
        }];
    }
    let sum =
        |pick: fn(&(u64, u64, u64, u64)) -> u64| stats.iter().fold(0_u64, |sum, (_, _, s)| sum.saturating_add(pick(s)));
    let (ticks, expected, late) = (sum(|s| s.0), sum(|s| s.1), sum(|s| s.2));
    let worst = stats.iter().map(|(_, _, s)| s.3).max().unwrap_or(0);
    let ids = stats.iter().map(|(log, line, _)| view.cite_log(log, line)).collect();
    let message = format!("{ticks} of {expected} ticks, {late} later than 5 ms, the worst {worst} us");
    let fraction = ticks as f64 / expected.max(1) as f64;
    // one tick more or less is where the counting began and ended
    vec![if fraction >= view.evidence.plan.limits.mixer_ticks_fraction || ticks.saturating_add(1) >= expected {
        check.pass(message, ids)
    } else {
        let gaps = stats.iter().filter_map(|(log, line, s)| missed_ticks(log, line, (s.1.saturating_sub(s.0), s.3)));
        let (gaps, lost) = (gaps.collect::<Vec<_>>(), expected.saturating_sub(ticks).saturating_mul(TICK_MS));
        match excused(view, SERVER, (&gaps, lost), |excuse| excuse.left == 0)
            .map(|(why, ids)| (format!("{message}; {why}"), ids))
        {
            Some((why, ids)) => check.warn(why, ids, LESS_LOAD),
            None => check.fail(message, ids, "look for a blocked or starved mixer thread"),
        }
    }]
}

/// A second of the mixer in which ticks were missed: how many, and the latest one by how many microseconds.
fn missed_ticks<'a>(log: &'a Log, line: &'a LogLine, (missed, late_us): (u64, u64)) -> Option<Gap<'a>> {
    let (to_ns, lost_ns) = (line.record.as_ref()?.monotonic_ns, missed.saturating_mul(TICK_MS * 1_000_000));
    // several may have been missed one by one
    let lost_ns = lost_ns.min(late_us.saturating_mul(1_000));
    // one tick more or less is where the counting began and ended
    (missed > 1).then(|| Gap {
        from_ns: to_ns.saturating_sub(1_000_000_000),
        to_ns,
        lost_ns,
        at_once: true,
        samples: 0,
        cause: None,
        way: vec![SERVER],
        told: Some((log, line)),
    })
}

/// Whether waiting for a processor explains what was lost on the way through `process`: a part of a sentence, and its evidence.
/// Where the waits were sampled they must coincide with the `gaps`, and explain enough; older evidence is judged over the whole
/// call, by `lost_ms`.
pub(super) fn excused<'a>(
    view: &mut View<'a>,
    process: &str,
    (gaps, lost_ms): (&[Gap<'a>], u64),
    enough: impl Fn(&Excuse) -> bool,
) -> Option<(String, Vec<EvidenceId>)> {
    if Scheduling::of(view).is_none() {
        return excused_over_all(view, process, lost_ms);
    }
    load::excuse(view, gaps).filter(enough).map(|excuse| (excuse.words, excuse.ids))
}

/// The run-queue delay on the way (the listener, the server, those it hears) must be at least as long as what was lost, and the
/// kernel must have seen the machine short of processors: who was not in the way excuses nothing.
fn excused_over_all(view: &mut View<'_>, process: &str, lost_ms: u64) -> Option<(String, Vec<EvidenceId>)> {
    let (line, pressure) = view.pressure()?;
    let heard = view.evidence.plan.clients.iter().find(|c| c.name == process).map_or(&[][..], |c| &c.hears);
    let on_the_way = |name: &str| name == process || name == SERVER || heard.iter().any(|h| h == name);
    let delays = pressure.run_delay_us.iter().filter(|(name, _)| on_the_way(name));
    let waited_ms = delays.fold(0_u64, |sum, (_, us)| sum.saturating_add(*us)) / 1_000;
    let window_ms = pressure.window_ms.max(1);
    let pressed = pressure.cpu_some_us.map(|some| some as f64 / 10.0 / window_ms as f64);
    if lost_ms == 0 || waited_ms < lost_ms || pressed.is_some_and(|percent| percent < SHORT_OF_PROCESSORS) {
        return None;
    }
    let kernel = pressed.map_or_else(String::new, |percent| format!(", cpu pressure {percent:.0} %"));
    let why = format!(
        "the machine was busy: the programs in between waited {waited_ms} ms for a processor in {window_ms} ms{kernel}"
    );
    Some((why, vec![view.cite(line)]))
}

/// The statistics that a client printed at its end: their observation, the `inbound-rtp` audio part, and the whole.
fn stats<'a>(view: &View<'a>, client: &str) -> Option<(usize, &'a Value, &'a Value)> {
    let (line, stats) = view.first(|o| match o {
        Observation::Stats { process, stats } if process == client => Some(stats),
        _ => None,
    })?;
    let inbound = stats["stats"].as_array()?.iter().find(|s| s["type"] == "inbound-rtp" && s["kind"] == "audio")?;
    Some((line, inbound, stats))
}

/// Those who should hear somebody.
fn listeners<'a>(view: &View<'a>) -> Vec<&'a ClientPlan> {
    view.started_clients().into_iter().filter(|c| !c.hears.is_empty()).collect()
}

/// Little sound was made up.
pub(super) fn concealment(view: &mut View<'_>) -> Vec<Check> {
    listeners(view).into_iter().map(|client| concealment_of(view, client)).collect()
}

fn concealment_of<'a>(view: &mut View<'a>, client: &'a ClientPlan) -> Check {
    let title = format!("little of what {} hears was made up", client.name);
    let check = draft(format!("media.concealment/{}", client.name), Layer::Media, Side::Path, title);
    let Some((line, inbound, _)) = stats(view, &client.name) else {
        return check.unknown(format!("{} printed no statistics", client.name), vec![]);
    };
    let mut ids = vec![view.cite(line)];
    let count = |name: &str| inbound[name].as_u64();
    let (Some(concealed), Some(total)) = (count("concealedSamples"), count("totalSamplesReceived")) else {
        return check.unknown("the statistics have no concealedSamples or totalSamplesReceived", ids);
    };
    // what the server made up of a speaker sounds as wrong as what the client made up of the server's stream
    let mut at_server = 0;
    for (log, line, (name, samples)) in view.events(SERVER, |e| match e {
        Event::SessionLeft { name, inbound, .. } => Some((name, inbound.concealed_samples)),
        _ => None,
    }) {
        if client.hears.contains(name) && samples > 0 {
            at_server = u64::saturating_add(at_server, samples);
            ids.push(view.cite_log(log, line));
        }
    }
    if total == 0 {
        return check.fail(
            format!("{} received no sound at all", client.name),
            ids,
            "see whether others send, and whether the server mixes",
        );
    }
    let fraction = concealed.saturating_add(at_server) as f64 / total as f64;
    let message = format!(
        "{:.2} % of {:.1} s ({concealed} samples by {}, {at_server} by the server)",
        fraction * 100.0,
        total as f64 / 48_000.0,
        client.name
    );
    let limit = view.evidence.plan.limits.concealed_fraction;
    if fraction <= limit {
        return check.pass(message, ids);
    }
    let lost = concealed.saturating_add(at_server);
    let mut gaps = load::gaps_at(view, &client.name);
    gaps.extend(load::gaps_of(view, &client.hears));
    let enough = |excuse: &Excuse| lost.saturating_sub(excuse.samples) as f64 / total as f64 <= limit;
    if let Some((why, more)) = excused(view, &client.name, (&gaps, lost / 48), enough) {
        ids.extend(more);
        return check.warn(format!("{message}; {why}"), ids, LESS_LOAD);
    }
    let message = format!("{message}; at most {:.0} % is fine", limit * 100.0);
    check.fail(message, ids, "see which side made it up: the client (path to it) or the server (path from the speaker)")
}

/// No underrun after filling.
pub(super) fn underruns(view: &mut View<'_>) -> Vec<Check> {
    listeners(view).into_iter().map(|client| underruns_of(view, client)).collect()
}

fn underruns_of<'a>(view: &mut View<'a>, client: &'a ClientPlan) -> Check {
    let title = format!("{}'s speaker never runs dry", client.name);
    let check = draft(format!("media.underrun/{}", client.name), Layer::Media, Side::Client, title);
    let Some((line, _, whole)) = stats(view, &client.name) else {
        return check.unknown(format!("{} printed no statistics", client.name), vec![]);
    };
    let mut ids = vec![view.cite(line)];
    let of = |cause: &str, what: &str| whole["sidetone"]["underruns"][cause][what].as_u64().unwrap_or(0);
    let causes = [("lateData", "late data"), ("lateCallback", "late callback")];
    let told: Vec<_> = causes
        .iter()
        .filter(|(key, _)| of(key, "count") > 0)
        .map(|(key, words)| {
            let (count, got, expected) = (of(key, "count"), of(key, "samplesGot"), of(key, "samplesExpected"));
            let ms = expected.saturating_sub(got) / 48;
            format!("{ms} ms missing by {words}: {got} of {expected} samples in {count} callbacks")
        })
        .collect();
    let reported = view.events(&client.name, |e| match e {
        Event::AudioUnderrun { cause, .. } => Some(*cause),
        _ => None,
    });
    let starved = reported.iter().filter(|(_, _, cause)| *cause == UnderrunCause::NothingReceived).count();
    // nobody sends while the server is started again
    let starved = starved.saturating_sub(usize::from(super::room::restarted(view).is_some()));
    ids.extend(reported.iter().take(3).map(|(log, line, _)| view.cite_log(log, line)).collect::<Vec<_>>());
    if whole["sidetone"]["callbacks"]["count"].as_u64() == Some(0) {
        return check.skip("it never played");
    }
    if told.is_empty() && starved == 0 {
        let filling = of("filling", "count").saturating_add(of("nothingReceived", "count"));
        return check.pass(format!("none; {filling} callbacks while the first packets were on their way"), ids);
    }
    let gaps = load::gaps_at(view, &client.name);
    if told.is_empty() {
        let times = if starved == 1 { "once".to_owned() } else { format!("{starved} times") };
        let message = format!("nothing was received for more than half a second, {times}");
        let nothing = |gap: &Gap<'_>| gap.cause == Some(UnderrunCause::NothingReceived);
        let gaps: Vec<_> = gaps.into_iter().filter(nothing).collect();
        // older evidence does not say when
        if let Some(excuse) = load::excuse(view, &gaps).filter(|excuse| excuse.left == 0) {
            ids.extend(excuse.ids);
            return check.warn(format!("{message}; {}", excuse.words), ids, LESS_LOAD);
        }
        return check.fail(message, ids, "see whether the server sends at all (session.left, audio_sent)");
    }
    let lost_samples: u64 = causes
        .iter()
        .fold(0, |sum, (k, _)| sum.saturating_add(of(k, "samplesExpected").saturating_sub(of(k, "samplesGot"))));
    let of_sound = |gap: &Gap<'_>| gap.cause != Some(UnderrunCause::NothingReceived);
    let gaps: Vec<_> = gaps.into_iter().filter(of_sound).collect();
    let enough = |excuse: &Excuse| lost_samples.saturating_sub(excuse.samples) <= ONE_FRAME;
    if let Some((why, more)) = excused(view, &client.name, (&gaps, (lost_samples / 48).max(1)), enough) {
        ids.extend(more);
        return check.warn(format!("{}; {why}", told.join(", ")), ids, LESS_LOAD);
    }
    let remedy = "late data: look at the path; late callback: look at the client's machine";
    if Scheduling::of(view).is_some() && lost_samples <= ONE_FRAME {
        return check.warn(told.join(", "), ids, remedy);
    }
    check.fail(told.join(", "), ids, remedy)
}

/// How much a speaker went without, and why.
#[derive(Clone, Copy, Debug)]
pub(in crate::diagnosis) struct Dry {
    /// The observation that says so.
    pub(in crate::diagnosis) line: usize,
    /// Samples missing by late data.
    pub(in crate::diagnosis) by_data: u64,
    /// Samples missing by late callbacks.
    pub(in crate::diagnosis) by_callback: u64,
    /// Callbacks that came late.
    pub(in crate::diagnosis) late_callbacks: u64,
    /// All callbacks.
    pub(in crate::diagnosis) callbacks: u64,
}

impl Dry {
    /// Samples missing.
    pub(in crate::diagnosis) const fn missing(&self) -> u64 {
        self.by_data.saturating_add(self.by_callback)
    }

    /// Whether more is missing because the device asked late than because the data came late.
    pub(in crate::diagnosis) const fn mostly_by_callback(&self) -> bool {
        self.by_callback > self.by_data
    }
}

/// By a client's own statistics.
pub(in crate::diagnosis) fn dry(view: &View<'_>, client: &str) -> Option<Dry> {
    let (line, _, whole) = stats(view, client)?;
    let missing = |cause: &str| {
        let of = |what: &str| whole["sidetone"]["underruns"][cause][what].as_u64().unwrap_or(0);
        of("samplesExpected").saturating_sub(of("samplesGot"))
    };
    let inbound = whole["stats"].as_array()?.iter().find(|s| s["type"] == "inbound-rtp" && s["kind"] == "audio")?;
    Some(Dry {
        line,
        by_data: missing("lateData"),
        by_callback: missing("lateCallback"),
        late_callbacks: inbound["lateCallbacks"].as_u64().unwrap_or(0),
        callbacks: whole["sidetone"]["callbacks"]["count"].as_u64().unwrap_or(0),
    })
}

/// "0 of 480 samples" while the buffer fills is no underrun: it is what filling looks like.
pub(super) fn filling(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in listeners(view) {
        let seen = view.events(&client.name, |e| match e {
            Event::AudioFilling { samples_got, samples_expected, callback } => {
                Some((*samples_got, *samples_expected, *callback))
            }
            _ => None,
        });
        let Some((log, line, (got, expected, callback))) = seen.first().copied() else { continue };
        let title = format!("{}'s buffer fills before it plays", client.name);
        let check = draft(format!("media.filling/{}", client.name), Layer::Media, Side::Client, title);
        let mut ids = vec![view.cite_log(log, line)];
        let playing = view.events(&client.name, |e| matches!(e, Event::AudioPlaying { .. }).then_some(()));
        let message =
            format!("{got} of {expected} samples in callback {callback}: the buffer was filling, no sound was lost");
        checks.push(match playing.first() {
            Some((log, line, ())) => {
                ids.push(view.cite_log(log, line));
                check.pass(message, ids)
            }
            None => check.unknown(format!("{message}; it never began to play"), ids),
        });
    }
    checks
}

/// The speaker asked at its rate.
pub(super) fn callbacks(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    // a browser has a pace of its own, which `media.audio_context` and what it plays tell better
    for client in listeners(view).into_iter().filter(|c| c.kind == ClientKind::Terminal) {
        let title = format!("{}'s speaker asks 100 times a second", client.name);
        let check = draft(format!("media.callbacks/{}", client.name), Layer::Media, Side::Client, title);
        let Some((line, _, whole)) = stats(view, &client.name) else {
            checks.push(check.unknown(format!("{} printed no statistics", client.name), vec![]));
            continue;
        };
        let id = view.cite(line);
        let callbacks = &whole["sidetone"]["callbacks"];
        let (count, rate) = (callbacks["count"].as_u64().unwrap_or(0), callbacks["perSecond"].as_f64().unwrap_or(0.0));
        let message = format!("{count} callbacks, {rate:.1} a second");
        // a device that asks too often is not paced, whatever the load
        let late: Vec<_> = if rate < 100.0 { load::gaps_at(view, &client.name) } else { vec![] };
        let by_callback = |gap: &Gap<'_>| gap.cause == Some(UnderrunCause::LateCallback);
        let late: Vec<_> = late.into_iter().filter(by_callback).collect();
        let missed_ms = callbacks["seconds"].as_f64().unwrap_or(0.0) * (100.0 - rate).max(0.0) * 10.0;
        let enough = |excuse: &Excuse| excuse.lost_ns as f64 / 1e6 * 2.0 >= missed_ms;
        checks.push(if (97.0..=103.0).contains(&rate) {
            check.pass(message, vec![id])
        } else if let Some((why, more)) = excused(view, &client.name, (&late, 1), enough) {
            check.warn(format!("{message}; {why}"), [vec![id], more].concat(), LESS_LOAD)
        } else {
            check.fail(message, vec![id], "look for a device that is not paced, or a starved client")
        });
    }
    checks
}
