//! What recordings, pictures and printed snapshots show.

mod own_tone;

use crate::evidence::{ClientPlan, Log, Observation, OwnTone, Plan, ToneLevel};
use crate::probe::talk::ear::{best_delay, strongest_hz};
use sidetone::audio::{SAMPLE_RATE, meter};
use sidetone::device::microphone::read_wav;
use sidetone::event::Event;
use sidetone::video::{Picture, jpeg, pattern, ssim};
use std::{ops::Range, path::Path};

/// A sample louder than this is sound (-60 dBFS).
const AUDIBLE: f32 = 0.001;
/// Left out after the first sound: codecs and buffers settle.
const SETTLE: usize = SAMPLE_RATE as usize / 5;
/// A tone is measured over such pieces: half a second.
const WINDOW: usize = SAMPLE_RATE as usize / 2;
/// A frame of speech is judged as a whole: 20 ms.
const FRAME: usize = SAMPLE_RATE as usize / 50;
/// Speech is compared in such pieces: 200 ms.
const PIECE: usize = SAMPLE_RATE as usize / 5;
/// Silence this long (80 ms) separates two talk spurts.
const PAUSE: usize = SAMPLE_RATE as usize * 2 / 25;
/// A talk spurt may come this much (60 ms) earlier or later than the whole.
const WANDER: usize = SAMPLE_RATE as usize * 3 / 50;

/// Everything that the files of a run's clients show.
pub(super) fn media(plan: &Plan, folder: &Path, logs: &[Log]) -> Vec<Observation> {
    let mut seen = Vec::new();
    for client in &plan.clients {
        recording(plan, client, (folder, logs), &mut seen);
        pictures(plan, client, folder, &mut seen);
        if let Some(log) = logs.iter().find(|l| l.process == client.name && l.stream == "stdout") {
            printed(client, log, &mut seen);
        }
    }
    seen
}

fn tone_of(client: &ClientPlan) -> Option<f64> {
    client.mic.strip_prefix("tone:")?.parse().ok()
}

fn recording(plan: &Plan, client: &ClientPlan, (folder, logs): (&Path, &[Log]), seen: &mut Vec<Observation>) {
    let path = format!("{}.wav", client.name);
    let samples = match read_wav(&folder.join(&path)) {
        Ok(samples) => samples,
        Err(error) => {
            let what = format!("the recording of {}", client.name);
            seen.push(Observation::NotObserved { what, why: error.to_string(), remedy: None });
            return;
        }
    };
    let audible = |s: &f32| s.abs() > AUDIBLE;
    let first = samples.iter().position(audible).unwrap_or(samples.len());
    let last = samples.iter().rposition(audible).map_or(0, |i| i + 1);
    let part = samples.get(first + SETTLE..last).unwrap_or_default();
    // who starts slowly, as a browser on a busy machine, is not heard before it is in
    let all_in = first.saturating_add(SETTLE).max(all_in(client, logs));
    let together = samples.get(all_in..last).filter(|together| together.len() >= WINDOW).unwrap_or(part);
    let own = tone_of(client);
    let tones: Vec<_> = plan
        .clients
        .iter()
        .filter_map(tone_of)
        .map(|hz| {
            let part = if own == Some(hz) { part } else { together };
            let (whole, typical) = (meter::tone_db(part, hz), typical_db(part, hz));
            // over the whole the codec's noise is spread thinner, and what is heard of oneself must stand out of it both ways;
            // pauses hide a tone from the whole, so the others' tones need stand out only one way
            let db = if own == Some(hz) { whole.min(typical) } else { whole.max(typical) };
            ToneLevel { hz, db: floor(db) }
        })
        .collect();
    let own_tone = own.and_then(|own| own_tone_of(plan, client, own, (part, &tones)));
    seen.push(Observation::Recording {
        process: client.name.clone(),
        path: path.clone(),
        seconds: samples.len() as f64 / f64::from(SAMPLE_RATE),
        rms_db: floor(meter::rms_db(part)),
        strongest_hz: strongest_hz(part).unwrap_or(0.0),
        tones,
        own_tone,
    });
    for other in plan.clients.iter().filter(|c| client.hears.contains(&c.name)) {
        let Some(sent) = other.mic.strip_prefix("wav:").and_then(|f| read_wav(Path::new(f)).ok()) else { continue };
        let Alignment { correlation, delay_ms, delay_spread_ms, pieces } = align(&sent, &samples);
        let (process, of, delay_spread_ms) = (client.name.clone(), other.name.clone(), Some(delay_spread_ms));
        let path = path.clone();
        seen.push(Observation::Speech { process, path, of, correlation, delay_ms, delay_spread_ms, pieces });
    }
}

/// The sample of a client's recording at which all whom it hears are in, as near as the logs tell; 0: they do not, or all were before.
fn all_in(client: &ClientPlan, logs: &[Log]) -> usize {
    let when = |name: &str, wanted: fn(&Event) -> bool| {
        let lines = logs.iter().filter(|log| log.process == name).flat_map(|log| &log.lines);
        let mut records = lines.filter_map(|line| line.record.as_ref());
        records.find(|record| wanted(&record.event)).map(|record| record.monotonic_ns)
    };
    let speaker = |event: &Event| matches!(event, Event::DeviceOpened { kind, .. } if kind == "speaker");
    let joined = client.hears.iter().filter_map(|name| when(name, |event| matches!(event, Event::ClientJoined { .. })));
    let waited_ns = joined.max().zip(when(&client.name, speaker)).map_or(0, |(in_ns, from)| in_ns.saturating_sub(from));
    usize::try_from(waited_ns / 1_000 * u64::from(SAMPLE_RATE) / 1_000_000).unwrap_or(usize::MAX)
}

/// The own tone against its control, in windows chosen by those of the others' tones that are heard at all.
fn own_tone_of(plan: &Plan, client: &ClientPlan, own: f64, (part, levels): (&[f32], &[ToneLevel])) -> Option<OwnTone> {
    let sent: Vec<f64> = levels.iter().map(|tone| tone.hz).collect();
    let of_others = plan.clients.iter().filter(|c| client.hears.contains(&c.name)).filter_map(tone_of);
    let is_heard = |hz: &f64| levels.iter().any(|t| (t.hz - hz).abs() < 0.5 && t.db >= plan.limits.tone_at_least_db);
    let heard: Vec<f64> = of_others.filter(is_heard).collect();
    own_tone::measure(part, &own_tone::Tones { own, heard: &heard, sent: &sent })
}

/// Level of a tone: the median over half seconds. A pause, as when a server is started again, neither thins the tone out nor
/// spreads its neighbours over the spectrum.
fn typical_db(part: &[f32], hz: f64) -> f64 {
    let mut levels: Vec<f64> = part.chunks_exact(WINDOW).map(|w| meter::tone_db(w, hz)).collect();
    levels.sort_by(f64::total_cmp);
    levels.get(levels.len() / 2).copied().unwrap_or_else(|| meter::tone_db(part, hz))
}

/// JSON knows no infinity: silence is -200 dB.
fn floor(db: f64) -> f64 {
    if db.is_finite() { db.max(-200.0) } else { -200.0 }
}

/// What a recording has of what was sent.
struct Alignment {
    /// Pearson's correlation, each talk spurt at its own place.
    correlation: f64,
    /// Where `sent` begins in the recording, milliseconds.
    delay_ms: f64,
    /// How far apart the delays of the talk spurts are, milliseconds.
    delay_spread_ms: f64,
    /// Correlation of each [`PIECE`] of the talk spurts, at its own delay.
    pieces: Vec<f64>,
}

/// Finds where `sent` begins in `recorded`, and each of its talk spurts near there: an adaptive buffer takes a new
/// delay in a pause, which nobody hears, and which a single alignment would count as lost sound.
fn align(sent: &[f32], recorded: &[f32]) -> Alignment {
    let Some(delay) = best_delay(sent, recorded) else {
        return Alignment { correlation: 0.0, delay_ms: 0.0, delay_spread_ms: 0.0, pieces: vec![] };
    };
    let (mut xy, mut earliest, mut latest) = (0.0, isize::MAX, isize::MIN);
    let mut pieces = Vec::new();
    for spurt in spurts(sent) {
        for (i, piece) in sent[spurt.clone()].chunks_exact(PIECE).enumerate() {
            pieces.push(likeness(piece, near(recorded, delay, spurt.start + i * PIECE, PIECE).0));
        }
        let piece = &sent[spurt.clone()];
        let (window, start) = near(recorded, delay, spurt.start, piece.len());
        let Some(offset) = best_delay(piece, window) else { continue };
        xy += dot(piece, window, offset);
        let own = offset.saturating_add_unsigned(start).saturating_sub_unsigned(spurt.start);
        (earliest, latest) = (earliest.min(own), latest.max(own));
    }
    // what was sent and lies outside the recording counts as lost, and what is in the recording beyond it as made up
    let common = recorded.iter().skip(usize::try_from(delay).unwrap_or(0)).take(sent.len());
    let scale = (energy(sent.iter()) * energy(common)).sqrt();
    let ms = |samples: isize| samples as f64 * 1_000.0 / f64::from(SAMPLE_RATE);
    Alignment {
        correlation: if scale > 0.0 { xy / scale } else { 0.0 },
        delay_ms: ms(delay),
        delay_spread_ms: ms(latest.saturating_sub(earliest).max(0)),
        pieces,
    }
}

/// The part of a recording in which what was sent from `start` on may lie, and where that begins.
fn near(recorded: &[f32], delay: isize, start: usize, length: usize) -> (&[f32], usize) {
    let from = delay.saturating_add_unsigned(start).saturating_sub_unsigned(WANDER);
    let begin = usize::try_from(from).unwrap_or(0).min(recorded.len());
    let end = usize::try_from(from.saturating_add_unsigned(length + 2 * WANDER)).unwrap_or(0);
    (&recorded[begin..end.clamp(begin, recorded.len())], begin)
}

/// Correlation of a piece with the part of `window` that is most like it, to hundredths.
fn likeness(piece: &[f32], window: &[f32]) -> f64 {
    let Some(offset) = best_delay(piece, window) else { return 0.0 };
    let common = window.iter().skip(usize::try_from(offset).unwrap_or(0)).take(piece.len());
    let scale = (energy(piece.iter()) * energy(common)).sqrt();
    if scale > 0.0 { (dot(piece, window, offset) / scale * 100.0).round() / 100.0 } else { 0.0 }
}

fn energy<'a>(samples: impl Iterator<Item = &'a f32>) -> f64 {
    samples.map(|s| f64::from(*s).powi(2)).sum()
}

fn dot(piece: &[f32], recorded: &[f32], delay: isize) -> f64 {
    let (from_piece, from_recorded) = if delay < 0 { (delay.unsigned_abs(), 0) } else { (0, delay.unsigned_abs()) };
    let common = piece.iter().skip(from_piece).zip(recorded.iter().skip(from_recorded));
    common.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// The parts of `sent` between two pauses.
fn spurts(sent: &[f32]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (i, frame) in sent.chunks(FRAME).enumerate() {
        if energy(frame.iter()) / (frame.len() as f64) < f64::from(AUDIBLE).powi(2) {
            continue;
        }
        let (start, end) = (i * FRAME, i * FRAME + frame.len());
        match found.last_mut() {
            Some(spurt) if start - spurt.end < PAUSE => spurt.end = end,
            _ => found.push(start..end),
        }
    }
    found
}

fn pictures(plan: &Plan, client: &ClientPlan, folder: &Path, seen: &mut Vec<Observation>) {
    for other in plan.clients.iter().filter(|c| client.sees.contains(&c.name)) {
        let path = format!("{}.pictures/{}.jpg", client.name, other.name);
        let decoded = std::fs::read(folder.join(&path)).map_err(|e| e.to_string());
        let decoded = decoded.and_then(|bytes| jpeg::decode(&bytes).map_err(|e| e.to_string()));
        match decoded {
            Ok(picture) => seen.push(compare(client, other, path, &picture)),
            Err(why) => {
                let what = format!("the picture of {} at {} ({path})", other.name, client.name);
                seen.push(Observation::NotObserved { what, why, remedy: None });
            }
        }
    }
}

fn compare(client: &ClientPlan, other: &ClientPlan, path: String, picture: &Picture) -> Observation {
    let pattern = other.video == "test-pattern";
    let sent = other.video.strip_prefix("image:").and_then(|f| jpeg::load(&std::fs::read(f).ok()?).ok());
    Observation::Picture {
        process: client.name.clone(),
        of: other.name.clone(),
        path,
        width: picture.width(),
        height: picture.height(),
        hue: if pattern { pattern::dominant_hue(picture) } else { None },
        expected_hue: pattern.then(|| pattern::hue_of_name(&other.name)),
        ssim: sent.and_then(|sent| ssim::ssim(&sent, picture)),
    }
}

/// What a client printed: its snapshot and its statistics.
fn printed(client: &ClientPlan, log: &Log, seen: &mut Vec<Observation>) {
    for line in &log.lines {
        if let Ok(stats) = serde_json::from_str::<serde_json::Value>(&line.text)
            && stats.get("stats").is_some()
        {
            seen.push(Observation::Stats { process: client.name.clone(), stats });
        }
    }
    if !client.snapshot {
        return;
    }
    let Some(end) = log.lines.iter().position(|l| l.text.starts_with("pictures of ")) else { return };
    let text: String = log.lines[..end].iter().map(|l| l.text.as_str()).collect();
    let inked = text.chars().filter(|c| !c.is_whitespace()).count();
    let list = log.lines[end].text.trim_start_matches("pictures of ").split(';').next().unwrap_or_default();
    seen.push(Observation::Snapshot {
        process: client.name.clone(),
        path: log.path.clone(),
        tiles: list.split(", ").filter(|n| !n.is_empty()).map(str::to_owned).collect(),
        ink_fraction: inked as f64 / text.chars().count().max(1) as f64,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::LogLine;
    use sidetone::audio::signal::Noise;
    use sidetone::event::Record;

    fn noise(count: usize) -> Vec<f32> {
        let mut samples = vec![0.0; count];
        Noise::new(7, 0.1).fill(&mut samples);
        samples
    }

    #[test]
    fn a_delayed_copy_is_found_and_a_stranger_is_not() {
        let sent = noise(20_000);
        let mut recorded = vec![0.0; 4_800];
        recorded.extend(sent.iter().map(|s| s * 0.5));
        recorded.extend(vec![0.0; 3_000]);
        let Alignment { correlation, delay_ms, .. } = align(&sent, &recorded);
        assert!(correlation > 0.999 && (delay_ms - 100.0).abs() < 0.1, "{correlation} {delay_ms}");
        let Alignment { correlation, .. } = align(&sent, &noise(40_000)[20_000..]);
        assert!(correlation < 0.2, "{correlation}");
    }

    #[test]
    fn a_delay_that_changes_in_a_pause_loses_nothing_and_one_within_a_word_does() {
        let words = noise(96_000);
        let pause = vec![0.0; 9_600];
        let sent = [&words[..48_000], &pause, &words[48_000..]].concat();
        let shifted = [&pause[..4_800], &words[..48_000], &pause[..9_120], &words[48_000..]].concat();
        let seen = align(&sent, &shifted);
        assert!(seen.correlation > 0.999 && (seen.delay_spread_ms - 10.0).abs() < 0.1, "{}", seen.correlation);
        let cut = [&pause[..4_800], &words[..24_000], &words[24_480..48_000], &pause, &words[48_000..]].concat();
        let seen = align(&sent, &cut);
        assert!(seen.correlation < 0.85, "{}", seen.correlation);
    }

    #[test]
    fn a_recording_counts_from_when_all_are_in() {
        let log = |process: &str, ns: u64, event: Event| {
            let record = Record {
                time: String::new(),
                monotonic_ns: ns,
                level: event.level(),
                source: String::new(),
                pid: 1,
                message: event.message(),
                event,
            };
            let line = LogLine { number: 1, text: String::new(), record: Some(record), unread: None };
            Log { process: process.to_owned(), stream: "stderr".to_owned(), path: String::new(), lines: vec![line] }
        };
        let (device, kind) = ("wav:a.wav".to_owned(), "speaker".to_owned());
        let opened = Event::DeviceOpened { device, kind, sample_rate: 48_000, channels: 1, period_samples: 480 };
        let joined: Event = serde_json::from_value(serde_json::json!({ "event": "client.joined", "fields": {
            "server": "s", "room": "lobby", "name": "b", "stream": 2, "participants": [], "codec": "opus",
            "clock_rate": 48_000, "channels": 1, "frame_ms": 20, "bitrate": 128_000,
        }}))
        .unwrap();
        let client: ClientPlan = serde_json::from_value(serde_json::json!({
            "name": "a", "transport": "tcp", "family": "ipv4", "mic": "none", "video": "none", "after": null,
            "snapshot": false, "hears": ["b"], "sees": [], "args": [],
        }))
        .unwrap();
        let logs = [log("a", 1_000_000_000, opened.clone()), log("b", 3_500_000_000, joined.clone())];
        assert_eq!(all_in(&client, &logs), 120_000);
        assert_eq!(all_in(&client, &[log("a", 9_000_000_000, opened), log("b", 3_500_000_000, joined)]), 0, "before");
        assert_eq!(all_in(&client, &[]), 0);
    }

    #[test]
    fn a_pause_in_a_tone_changes_neither_its_level_nor_that_of_its_neighbours() {
        let mut samples = vec![0.0; 6 * 48_000];
        sidetone::audio::Tone::new(440.0, 0.1).fill(&mut samples[..100_000]);
        sidetone::audio::Tone::new(440.0, 0.1).fill(&mut samples[130_011..]);
        assert!((typical_db(&samples, 440.0) + 20.0).abs() < 0.1, "{}", typical_db(&samples, 440.0));
        assert!(typical_db(&samples, 660.0) < -100.0, "{}", typical_db(&samples, 660.0));
        assert!((typical_db(&samples[..20_000], 440.0) + 20.0).abs() < 0.1, "shorter than a piece");
    }

    #[test]
    fn made_up_sound_lowers_the_correlation() {
        let mut sent = noise(48_000);
        sent[16_000..32_000].fill(0.0);
        let mut recorded = noise(96_000)[48_000..].to_vec();
        recorded[..16_000].copy_from_slice(&sent[..16_000]);
        recorded[32_000..].copy_from_slice(&sent[32_000..]);
        let seen = align(&sent, &recorded);
        assert!((0.7..0.9).contains(&seen.correlation), "{}", seen.correlation);
    }

    #[test]
    fn a_gap_spoils_the_pieces_around_it_and_a_wrong_sound_all() {
        let sent = noise(96_000);
        let mut gap = sent.clone();
        gap[30_000..33_000].fill(0.0);
        let low = |seen: &Alignment| seen.pieces.iter().filter(|piece| **piece < 0.9).count();
        let seen = align(&sent, &gap);
        assert!(seen.pieces.len() == 10 && (1..=2).contains(&low(&seen)), "{:?}", seen.pieces);
        let wrong: Vec<f32> = sent.iter().zip(&noise(192_000)[96_000..]).map(|(a, b)| a + b).collect();
        assert_eq!(low(&align(&sent, &wrong)), 10);
    }

    #[test]
    fn what_was_cut_off_lowers_the_correlation() {
        let sent = noise(20_000);
        let Alignment { correlation, delay_ms, .. } = align(&sent, &sent[10_000..]);
        assert!((0.6..0.8).contains(&correlation) && delay_ms < -200.0, "{correlation} {delay_ms}");
    }
}
