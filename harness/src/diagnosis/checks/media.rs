//! Sound.

use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, ClientPlan, EvidenceId, Layer, Observation, Side};
use serde_json::Value;
use sidetone::event::{Event, UnderrunCause};

/// Percent of the time in which some task waited for a processor, from which on the machine counts as busy.
const SHORT_OF_PROCESSORS: f64 = 5.0;
/// dBFS that stand for no power at all.
const SILENCE: f64 = -200.0;
/// A recording below so many dBFS is silent.
const SILENT: f64 = -90.0;

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
        return vec![if view.started_clients().is_empty() {
            check.skip("nobody joined, so nothing was mixed")
        } else {
            check.unknown("the log has no mixer.stats event (level debug is needed)", vec![])
        }];
    }
    let sum = |pick: fn(&(u64, u64, u64, u64)) -> u64| stats.iter().map(|(_, _, s)| pick(s)).sum::<u64>();
    let (ticks, expected, late) = (sum(|s| s.0), sum(|s| s.1), sum(|s| s.2));
    let worst = stats.iter().map(|(_, _, s)| s.3).max().unwrap_or(0);
    let ids = stats.iter().map(|(log, line, _)| view.cite_log(log, line)).collect();
    let message = format!("{ticks} of {expected} ticks, {late} later than 5 ms, the worst {worst} us");
    let fraction = ticks as f64 / expected.max(1) as f64;
    // one tick more or less is where the counting began and ended
    vec![if fraction >= view.evidence.plan.limits.mixer_ticks_fraction || ticks + 1 >= expected {
        check.pass(message, ids)
    } else {
        match excused(view, SERVER, expected.saturating_sub(ticks) * 20, &message) {
            Some((why, id)) => check.warn(why, vec![id], "repeat on a machine with a free processor"),
            None => check.fail(message, ids, "look for a blocked or starved mixer thread"),
        }
    }]
}

/// Whether waiting for a processor explains `lost_ms` of lost sound on the way through `process`: the sentence that says so
/// and its evidence. The run-queue delay on that way (the listener, the server, those it hears) must be at least as long as
/// what was lost, and the kernel must have seen the machine short of processors: who was not in the way excuses nothing.
fn excused(view: &mut View<'_>, process: &str, lost_ms: u64, message: &str) -> Option<(String, EvidenceId)> {
    let (line, pressure) = view.pressure()?;
    let heard = view.evidence.plan.clients.iter().find(|c| c.name == process).map_or(&[][..], |c| &c.hears);
    let on_the_way = |name: &str| name == process || name == SERVER || heard.iter().any(|h| h == name);
    let delays = pressure.run_delay_us.iter().filter(|(name, _)| on_the_way(name));
    let waited_ms = delays.map(|(_, us)| us).sum::<u64>() / 1_000;
    let window_ms = pressure.window_ms.max(1);
    let pressed = pressure.cpu_some_us.map(|some| some as f64 / 10.0 / window_ms as f64);
    if lost_ms == 0 || waited_ms < lost_ms || pressed.is_some_and(|percent| percent < SHORT_OF_PROCESSORS) {
        return None;
    }
    let kernel = pressed.map_or_else(String::new, |percent| format!(", cpu pressure {percent:.0} %"));
    let why = format!(
        "{message}; the machine was busy: the programs on the way waited {waited_ms} ms for a processor in \
         {window_ms} ms{kernel}"
    );
    Some((why, view.cite(line)))
}

fn tone_of(client: &ClientPlan) -> Option<f64> {
    client.mic.strip_prefix("tone:")?.parse().ok()
}

/// Each hears the others' tones and not its own.
pub(super) fn hears(view: &mut View<'_>) -> Vec<Check> {
    let clients = view.evidence.plan.clients.iter();
    let listening: Vec<_> = clients.filter(|c| !c.hears.is_empty() && tones_heard(view, c).next().is_some()).collect();
    listening.into_iter().map(|client| hears_one(view, client)).collect()
}

fn tones_heard<'a>(view: &View<'a>, client: &'a ClientPlan) -> impl Iterator<Item = (&'a str, f64)> {
    let all = view.evidence.plan.clients.iter().filter(|c| client.hears.contains(&c.name));
    all.filter_map(|c| Some((c.name.as_str(), tone_of(c)?)))
}

/// What a listener's recording shows that it should not.
#[derive(Debug)]
pub(in crate::diagnosis) struct Hearing {
    /// The observation that says so.
    pub(in crate::diagnosis) line: usize,
    /// Length of the recording.
    pub(in crate::diagnosis) seconds: f64,
    /// Frequency and level of its own tone, where it is heard.
    pub(in crate::diagnosis) own: Option<(f64, f64)>,
    /// Name, frequency and level of each tone that is missing.
    pub(in crate::diagnosis) missing: Vec<(String, f64, f64)>,
    /// Whether there is no sound at all.
    pub(in crate::diagnosis) silent: bool,
    /// What is as it should be, and the whole recording, in words.
    told: Vec<String>,
    heard: String,
}

/// What a client hears, if it was recorded.
pub(in crate::diagnosis) fn hearing(view: &View<'_>, client: &ClientPlan) -> Option<Hearing> {
    let (line, (seconds, rms_db, strongest_hz, tones)) = view.first(|o| match o {
        Observation::Recording { process, seconds, rms_db, strongest_hz, tones, .. } if *process == client.name => {
            Some((*seconds, *rms_db, *strongest_hz, tones))
        }
        _ => None,
    })?;
    let limits = &view.evidence.plan.limits;
    let level = |hz: f64| tones.iter().find(|t| (t.hz - hz).abs() < 0.5).map_or(SILENCE, |t| t.db);
    let mut hearing = Hearing {
        line,
        seconds,
        own: None,
        missing: Vec::new(),
        silent: rms_db < SILENT,
        told: Vec::new(),
        heard: if rms_db < SILENT {
            format!("its recording of {seconds:.1} s is silent")
        } else {
            format!("its recording of {seconds:.1} s has {rms_db:.1} dBFS, the strongest tone is {strongest_hz:.0} Hz")
        },
    };
    let mut faintest = 0.0_f64;
    for (name, hz) in tones_heard(view, client) {
        let db = level(hz);
        faintest = faintest.min(db);
        hearing.told.push(format!("{name}'s {hz} Hz at {db:.1} dBFS"));
        if db < limits.tone_at_least_db {
            hearing.missing.push((name.to_owned(), hz, db));
        }
    }
    if let Some(own) = tone_of(client) {
        let db = level(own);
        hearing.told.push(format!("its own {own} Hz {:.1} dB below", faintest - db));
        // where the others are missing, the own tone is compared with what they should have
        if faintest.max(limits.tone_at_least_db) - db < limits.own_tone_down_db {
            hearing.own = Some((own, db));
        }
    }
    Some(hearing)
}

fn hears_one(view: &mut View<'_>, client: &ClientPlan) -> Check {
    let title = format!("{} hears {} and not itself", client.name, client.hears.join(" and "));
    let check = draft(format!("media.hears/{}", client.name), Layer::Media, Side::Path, title);
    if let Some((line, why)) = view.cut_off(&client.name) {
        let id = view.cite(line);
        return check.unknown(format!("{} did not complete its recording: {why}", client.name), vec![id]);
    }
    let Some(hearing) = hearing(view, client) else {
        let why = view.not_observed(&format!("the recording of {}", client.name));
        let ids = why.iter().map(|(line, _)| view.cite(*line)).collect();
        return check.unknown(why.map_or_else(|| "there is no recording".to_owned(), |(_, why)| why), ids);
    };
    let ids = vec![view.cite(hearing.line)];
    let own = hearing.own.map(|(hz, db)| format!("hears itself: its own {hz} Hz at {db:.1} dBFS"));
    let level = |db: f64| if db <= SILENCE { "not at all".to_owned() } else { format!("at {db:.1} dBFS") };
    let missing = hearing.missing.iter().map(|(name, hz, db)| format!("does not hear {name}: {hz} Hz {}", level(*db)));
    let problems: Vec<_> = own.into_iter().chain(missing).collect();
    if problems.is_empty() {
        return check.pass(hearing.told.join(", "), ids);
    }
    check.fail(
        format!("{} {}; {}", client.name, problems.join(", and "), hearing.heard),
        ids,
        "listen to the recordings in this folder; compare what the server got (session.left) with what it sent",
    )
}

/// Recorded speech is what was sent.
pub(super) fn speech(view: &mut View<'_>) -> Vec<Check> {
    let seen = view.seen(|o| match o {
        Observation::Speech { process, of, correlation, delay_ms, .. } => Some((process, of, *correlation, *delay_ms)),
        _ => None,
    });
    let limit = view.evidence.plan.limits.correlation;
    let mut checks = Vec::new();
    for (line, (process, of, correlation, delay_ms)) in seen {
        let title = format!("{process} hears {of}'s speech");
        let check = draft(format!("media.speech/{process}"), Layer::Media, Side::Path, title);
        let id = view.cite(line);
        let message = format!("correlation {correlation:.3} after alignment by {delay_ms:.1} ms");
        checks.push(if correlation >= limit {
            check.pass(message, vec![id])
        } else {
            match excused(view, process, 20, &message) {
                Some((why, more)) => check.warn(why, vec![id, more], "repeat on a machine with a free processor"),
                None => check.fail(
                    format!("{message}, at least {limit}"),
                    vec![id],
                    "listen to the recording; look for made-up or missing sound",
                ),
            }
        });
    }
    let expected =
        view.evidence.plan.clients.iter().filter(|c| {
            view.evidence.plan.clients.iter().any(|o| c.hears.contains(&o.name) && o.mic.starts_with("wav:"))
        });
    let missing: Vec<_> =
        expected.filter(|c| checks.iter().all(|k| k.id != format!("media.speech/{}", c.name))).collect();
    for client in missing {
        let title = format!("{} hears the speech", client.name);
        let check = draft(format!("media.speech/{}", client.name), Layer::Media, Side::Path, title);
        let why = view.not_observed(&format!("the recording of {}", client.name));
        let ids = why.iter().map(|(line, _)| view.cite(*line)).collect();
        checks.push(check.unknown(why.map_or_else(|| "there is no recording".to_owned(), |(_, w)| w), ids));
    }
    checks
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

fn concealment_of(view: &mut View<'_>, client: &ClientPlan) -> Check {
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
            at_server += samples;
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
    let fraction = (concealed + at_server) as f64 / total as f64;
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
    if let Some((why, id)) = excused(view, &client.name, (concealed + at_server) / 48, &message) {
        ids.push(id);
        return check.warn(why, ids, "repeat on a machine with a free processor");
    }
    let message = format!("{message}; at most {:.0} % is fine", limit * 100.0);
    check.fail(message, ids, "see which side made it up: the client (path to it) or the server (path from the speaker)")
}

/// No underrun after filling.
pub(super) fn underruns(view: &mut View<'_>) -> Vec<Check> {
    listeners(view).into_iter().map(|client| underruns_of(view, client)).collect()
}

fn underruns_of(view: &mut View<'_>, client: &ClientPlan) -> Check {
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
            format!("{count} by {words} ({got} of {expected} samples)")
        })
        .collect();
    let reported = view.events(&client.name, |e| match e {
        Event::AudioUnderrun { cause, .. } => Some(*cause),
        _ => None,
    });
    let starved = reported.iter().filter(|(_, _, cause)| *cause == UnderrunCause::NothingReceived).count();
    ids.extend(reported.iter().take(3).map(|(log, line, _)| view.cite_log(log, line)).collect::<Vec<_>>());
    if told.is_empty() && starved == 0 {
        let filling = of("filling", "count") + of("nothingReceived", "count");
        return check.pass(format!("none; {filling} callbacks while the first packets were on their way"), ids);
    }
    if told.is_empty() {
        let times = if starved == 1 { "once".to_owned() } else { format!("{starved} times") };
        let message = format!("nothing was received for more than half a second, {times}");
        return check.fail(message, ids, "see whether the server sends at all (session.left, audio_sent)");
    }
    let lost_samples: u64 =
        causes.iter().map(|(k, _)| of(k, "samplesExpected").saturating_sub(of(k, "samplesGot"))).sum();
    match excused(view, &client.name, (lost_samples / 48).max(1), &told.join(", ")) {
        Some((why, id)) => {
            ids.push(id);
            check.warn(why, ids, "repeat on a machine with a free processor")
        }
        None => {
            check.fail(told.join(", "), ids, "late data: look at the path; late callback: look at the client's machine")
        }
    }
}

/// The speaker asked at its rate.
pub(super) fn callbacks(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in listeners(view) {
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
        checks.push(if (97.0..=103.0).contains(&rate) {
            check.pass(message, vec![id])
        } else if let Some((why, more)) = excused(view, &client.name, 1, &message) {
            check.warn(why, vec![id, more], "repeat on a machine with a free processor")
        } else {
            check.fail(message, vec![id], "look for a device that is not paced, or a starved client")
        });
    }
    checks
}
