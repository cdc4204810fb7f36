//! What recordings, pictures and printed snapshots show.

use crate::evidence::{ClientPlan, Log, Observation, Plan, ToneLevel};
use rustfft::{FftPlanner, num_complex::Complex};
use sidetone::audio::{SAMPLE_RATE, meter};
use sidetone::device::microphone::read_wav;
use sidetone::video::{Picture, jpeg, pattern, ssim};
use std::path::Path;

/// A sample louder than this is sound (-60 dBFS).
const AUDIBLE: f32 = 0.001;
/// Left out after the first sound: codecs and buffers settle.
const SETTLE: usize = SAMPLE_RATE as usize / 5;

/// Everything that the files of a run's clients show.
pub(super) fn media(plan: &Plan, folder: &Path, logs: &[Log]) -> Vec<Observation> {
    let mut seen = Vec::new();
    for client in &plan.clients {
        recording(plan, client, folder, &mut seen);
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

fn recording(plan: &Plan, client: &ClientPlan, folder: &Path, seen: &mut Vec<Observation>) {
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
    let tones = plan.clients.iter().filter_map(tone_of).map(|hz| ToneLevel { hz, db: floor(meter::tone_db(part, hz)) });
    seen.push(Observation::Recording {
        process: client.name.clone(),
        path: path.clone(),
        seconds: samples.len() as f64 / f64::from(SAMPLE_RATE),
        rms_db: floor(meter::rms_db(part)),
        strongest_hz: strongest_hz(part),
        tones: tones.collect(),
    });
    for other in plan.clients.iter().filter(|c| client.hears.contains(&c.name)) {
        let Some(sent) = other.mic.strip_prefix("wav:").and_then(|f| read_wav(Path::new(f)).ok()) else { continue };
        let (correlation, delay_ms) = align(&sent, &samples);
        let (process, of) = (client.name.clone(), other.name.clone());
        seen.push(Observation::Speech { process, path: path.clone(), of, correlation, delay_ms });
    }
}

/// JSON knows no infinity: silence is -200 dB.
fn floor(db: f64) -> f64 {
    if db.is_finite() { db.max(-200.0) } else { -200.0 }
}

/// The frequency with the most power, from the middle of the signal; 0 if there is none.
fn strongest_hz(samples: &[f32]) -> f64 {
    const LENGTH: usize = 1 << 15;
    if samples.len() < LENGTH {
        return 0.0;
    }
    let from = (samples.len() - LENGTH) / 2;
    let mut bins: Vec<Complex<f32>> = samples[from..from + LENGTH]
        .iter()
        .enumerate()
        .map(|(i, s)| {
            let hann = 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / LENGTH as f32).cos();
            Complex::new(s * hann, 0.0)
        })
        .collect();
    FftPlanner::new().plan_fft_forward(LENGTH).process(&mut bins);
    let strongest = (1..LENGTH / 2).max_by(|a, b| bins[*a].norm_sqr().total_cmp(&bins[*b].norm_sqr())).unwrap_or(0);
    strongest as f64 * f64::from(SAMPLE_RATE) / LENGTH as f64
}

/// Finds where `sent` begins in `recorded`: Pearson's correlation there over the common part, and the delay in
/// milliseconds.
fn align(sent: &[f32], recorded: &[f32]) -> (f64, f64) {
    if sent.is_empty() || recorded.is_empty() {
        return (0.0, 0.0);
    }
    let length = (sent.len() + recorded.len()).next_power_of_two();
    let spectrum = |samples: &[f32]| {
        let mut bins: Vec<_> = samples.iter().map(|s| Complex::new(*s, 0.0)).collect();
        bins.resize(length, Complex::default());
        FftPlanner::new().plan_fft_forward(length).process(&mut bins);
        bins
    };
    let mut product: Vec<_> = spectrum(recorded).iter().zip(spectrum(sent)).map(|(r, s)| r * s.conj()).collect();
    FftPlanner::new().plan_fft_inverse(length).process(&mut product);
    let best = (0..length).max_by(|a, b| product[*a].re.total_cmp(&product[*b].re)).unwrap_or(0);
    // the upper half of a circular correlation are negative delays
    let (from_sent, from_recorded) = if best <= recorded.len() { (0, best) } else { (length - best, 0) };
    let delay = from_recorded as f64 - from_sent as f64;
    let common = sent.iter().skip(from_sent).zip(recorded.iter().skip(from_recorded));
    let (mut xy, mut xx, mut yy) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (x, y) in common {
        let (x, y) = (f64::from(*x), f64::from(*y));
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    // what was sent and lies outside the recording counts as lost
    let whole: f64 = sent.iter().map(|s| f64::from(*s).powi(2)).sum();
    let scale = (whole.max(xx) * yy).sqrt();
    (if scale > 0.0 { xy / scale } else { 0.0 }, delay * 1_000.0 / f64::from(SAMPLE_RATE))
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
    use sidetone::audio::signal::Noise;

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
        let (correlation, delay) = align(&sent, &recorded);
        assert!(correlation > 0.999 && (delay - 100.0).abs() < 0.1, "{correlation} {delay}");
        let (correlation, _) = align(&sent, &noise(40_000)[20_000..]);
        assert!(correlation < 0.2, "{correlation}");
    }

    #[test]
    fn what_was_cut_off_lowers_the_correlation() {
        let sent = noise(20_000);
        let (correlation, delay) = align(&sent, &sent[10_000..]);
        assert!((0.6..0.8).contains(&correlation) && delay < -200.0, "{correlation} {delay}");
    }

    #[test]
    fn the_strongest_tone_is_found() {
        let mut samples = vec![0.0; 48_000];
        sidetone::audio::Tone::new(660.0, 0.1).fill(&mut samples);
        assert!((strongest_hz(&samples) - 660.0).abs() < 2.0);
        assert!(strongest_hz(&[0.0; 100]).abs() < 1e-9);
    }
}
