//! Sound that is sent and heard.

use super::echo::{Echo, judge};
use super::playback::excused;
use crate::diagnosis::load::{self, Excuse, LESS_LOAD};
use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Check, ClientPlan, Layer, Log, LogLine, Observation, Side};
use sidetone::event::Event;

/// dBFS that stand for no power at all.
const SILENCE: f64 = -200.0;
/// A recording below so many dBFS is silent.
const SILENT: f64 = -90.0;

/// What a client sent, by its own statistics.
#[derive(Clone, Debug)]
pub(in crate::diagnosis) struct Sending {
    /// The observation that says so.
    line: usize,
    /// Audio packets, keep-alives included.
    pub(in crate::diagnosis) packets: u64,
    /// Of these, keep-alives of a silent microphone.
    keep_alives: u64,
    /// Sum of squared samples over the sampling rate, as the microphone delivered them; `None`: no microphone.
    energy: Option<f64>,
}

impl Sending {
    /// Whether it is measured what the microphone delivered.
    pub(in crate::diagnosis) const fn is_measured(&self) -> bool {
        self.energy.is_some()
    }

    /// Whether the microphone delivered nothing but silence.
    pub(in crate::diagnosis) fn only_silence(&self) -> bool {
        self.keep_alives >= self.packets && self.energy.is_none_or(|energy| energy <= f64::EPSILON)
    }
}

/// What the server counted of a sender at the end of its session: where it says so, and the packets.
pub(in crate::diagnosis) fn at_server<'a>(view: &View<'a>, name: &str) -> Option<(&'a Log, &'a LogLine, u64)> {
    let left = view.events(SERVER, |e| match e {
        Event::SessionLeft { name: n, inbound, .. } if n == name => Some(inbound.packets_received),
        _ => None,
    });
    left.into_iter().next()
}

/// What a client sent, if it printed its statistics.
pub(in crate::diagnosis) fn sending(view: &View<'_>, client: &ClientPlan) -> Option<Sending> {
    let (line, whole) = view.first(|o| match o {
        Observation::Stats { process, stats } if *process == client.name => Some(stats),
        _ => None,
    })?;
    let parts = whole["stats"].as_array()?;
    let outbound = parts.iter().find(|s| s["type"] == "outbound-rtp" && s["kind"] == "audio")?;
    let source = parts.iter().find(|s| s["type"] == "media-source" && s["kind"] == "audio");
    Some(Sending {
        line,
        packets: outbound["packetsSent"].as_u64()?,
        keep_alives: whole["sidetone"]["keepAlivesSent"].as_u64().unwrap_or(0),
        energy: source.and_then(|s| s["totalAudioEnergy"].as_f64()),
    })
}

/// Each who is to be heard sends sound.
pub(super) fn sends(view: &mut View<'_>) -> Vec<Check> {
    let clients = &view.evidence.plan.clients;
    let heard: Vec<_> =
        view.started_clients().into_iter().filter(|c| clients.iter().any(|o| o.hears.contains(&c.name))).collect();
    heard.into_iter().map(|client| sends_one(view, client)).collect()
}

fn sends_one(view: &mut View<'_>, client: &ClientPlan) -> Check {
    let name = &client.name;
    let check = draft(format!("media.sends/{name}"), Layer::Media, Side::Client, format!("{name} sends sound"));
    if let Some((line, why)) = view.cut_off(name) {
        let id = view.cite(line);
        return check.unknown(format!("{name} did not complete its statistics: {why}"), vec![id]);
    }
    let Some(sent) = sending(view, client) else {
        return check.unknown(format!("{name} printed no statistics"), vec![]);
    };
    let ids = vec![view.cite(sent.line)];
    let Sending { packets, keep_alives, .. } = sent;
    if packets == 0 {
        return check.fail(
            "0 packets of sound were sent",
            ids,
            format!("give {name} a microphone (--mic), or unmute it"),
        );
    }
    if sent.only_silence() {
        let energy = if sent.energy.is_some() { "; what the microphone delivered has no energy at all" } else { "" };
        let message = format!("all {packets} packets are keep-alives of a silent microphone{energy}");
        return check.fail(message, ids, format!("unmute {name}'s microphone, or choose another one"));
    }
    if keep_alives >= packets {
        let message =
            format!("all {packets} packets are keep-alives although the microphone delivers sound: it is muted");
        return check.fail(message, ids, format!("unmute {name}"));
    }
    check.pass(format!("{packets} packets, {keep_alives} of them keep-alives"), ids)
}

fn tone_of(client: &ClientPlan) -> Option<f64> {
    client.mic.strip_prefix("tone:")?.parse().ok()
}

/// Each hears the others' tones and not its own.
pub(super) fn hears(view: &mut View<'_>) -> Vec<Check> {
    let clients = view.evidence.plan.clients.iter();
    let by_file = |c: &&ClientPlan| c.hears.iter().any(|name| mic_of(view, name).starts_with("wav:"));
    let listening: Vec<_> = clients.filter(|c| !c.hears.is_empty() && !by_file(c)).collect();
    listening.into_iter().map(|client| hears_one(view, client)).collect()
}

/// What a client was given as its microphone.
fn mic_of<'a>(view: &View<'a>, name: &str) -> &'a str {
    view.evidence.plan.clients.iter().find(|c| c.name == name).map_or("", |c| c.mic.as_str())
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
    /// Why what it hears of itself is no noise; `None`: there was no control.
    pub(in crate::diagnosis) control: Option<String>,
    /// Why it cannot be told whether it hears itself.
    not_judged: Option<String>,
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
    let (line, (seconds, rms_db, strongest_hz, tones, own_tone)) = view.first(|o| match o {
        Observation::Recording { process, seconds, rms_db, strongest_hz, tones, own_tone, .. }
            if *process == client.name =>
        {
            Some((*seconds, *rms_db, *strongest_hz, tones, own_tone.as_ref()))
        }
        _ => None,
    })?;
    let limits = &view.evidence.plan.limits;
    let level = |hz: f64| tones.iter().find(|t| (t.hz - hz).abs() < 0.5).map_or(SILENCE, |t| t.db);
    let mut hearing = Hearing {
        line,
        seconds,
        own: None,
        control: None,
        not_judged: None,
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
    // where the others are missing, the own tone is compared with what they should have
    let most_db = faintest.max(limits.tone_at_least_db) - limits.own_tone_down_db;
    match (tone_of(client), own_tone) {
        (Some(own), Some(seen)) => match judge(seen, level(own), most_db) {
            Echo::No(told) => hearing.told.push(told),
            Echo::Heard(db, why) => (hearing.own, hearing.control) = (Some((own, db)), Some(why)),
            Echo::NotJudged(why) => hearing.not_judged = Some(why),
        },
        // older evidence has no control
        (Some(own), None) => {
            let db = level(own);
            hearing.told.push(format!("its own {own} Hz {:.1} dB below", faintest - db));
            hearing.own = (db > most_db).then_some((own, db));
        }
        (None, _) => {}
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
    let control = hearing.control.map_or_else(String::new, |why| format!(" ({why})"));
    let own = hearing.own.map(|(hz, db)| format!("hears itself: its own {hz} Hz at {db:.1} dBFS{control}"));
    let level = |db: f64| if db <= SILENCE { "not at all".to_owned() } else { format!("at {db:.1} dBFS") };
    let missing = hearing.missing.iter().map(|(name, hz, db)| format!("does not hear {name}: {hz} Hz {}", level(*db)));
    let expects_tones = tones_heard(view, client).next().is_some();
    let nothing =
        (hearing.silent && !expects_tones).then(|| format!("hears nothing of {}", client.hears.join(" and ")));
    let problems: Vec<_> = own.into_iter().chain(missing).chain(nothing).collect();
    if let Some(why) = hearing.not_judged.filter(|_| problems.is_empty()) {
        let told = hearing.told.join(", ");
        let message = format!("{told}; whether {} hears itself could not be judged: {why}", client.name);
        return check.warn(message, ids, LESS_LOAD);
    }
    if problems.is_empty() {
        let told = if hearing.told.is_empty() { hearing.heard } else { hearing.told.join(", ") };
        return check.pass(told, ids);
    }
    check.fail(
        format!("{} {}; {}", client.name, problems.join(", and "), hearing.heard),
        ids,
        "listen to the recordings in this folder; compare what the server got (session.left) with what it sent",
    )
}

/// How many pieces of speech (200 ms) gaps can spoil: those that they lie in, and one at either end.
fn spoilt(excuse: &Excuse) -> usize {
    usize::try_from(excuse.lost_ns / 200_000_000).unwrap_or(usize::MAX).saturating_add(excuse.gaps.saturating_mul(2))
}

/// Recorded speech is what was sent.
pub(super) fn speech(view: &mut View<'_>) -> Vec<Check> {
    let seen = view.seen(|o| match o {
        Observation::Speech { process, of, correlation, delay_ms, delay_spread_ms, pieces, .. } => {
            let spread = delay_spread_ms.filter(|ms| *ms >= 0.05);
            let spread = spread.map_or_else(String::new, |ms| format!(" (in pauses it changed by {ms:.1} ms)"));
            let message = format!("correlation {correlation:.3} after alignment by {delay_ms:.1} ms{spread}");
            Some((process, of, *correlation, pieces, message))
        }
        _ => None,
    });
    let limit = view.evidence.plan.limits.correlation;
    let mut checks = Vec::new();
    for (line, (process, of, correlation, pieces, message)) in seen {
        let title = format!("{process} hears {of}'s speech");
        let check = draft(format!("media.speech/{process}"), Layer::Media, Side::Path, title);
        let id = view.cite(line);
        checks.push(if correlation >= limit {
            check.pass(message, vec![id])
        } else {
            let mut gaps = load::gaps_at(view, process);
            gaps.extend(load::gaps_of(view, std::slice::from_ref(of)));
            // what is wrong outside of the gaps was not lost: a wrong sound has no excuse
            let wrong = pieces.iter().filter(|piece| **piece < limit).count();
            let enough = |excuse: &Excuse| wrong <= spoilt(excuse);
            match excused(view, process, (&gaps, 20), enough) {
                Some((why, more)) => check.warn(format!("{message}; {why}"), [vec![id], more].concat(), LESS_LOAD),
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
