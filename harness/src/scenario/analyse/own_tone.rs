//! Whether a listener's own tone comes back, measured against a control: a frequency of the same recording that nobody sends.
//!
//! Dropouts splash over the whole spectrum, so the level of one frequency says little on a busy machine. In short windows that
//! the recording itself chooses (those in which the others' tones are steady) a splash is rare, and where there is one it
//! lifts the control as much as the own tone. PURE.

use crate::evidence::OwnTone;
use sidetone::audio::SAMPLE_RATE;
use std::f64::consts::TAU;

/// Length of a window: 100 ms. Its main lobe under a Hann window is 20 Hz wide to each side.
const WINDOW: usize = SAMPLE_RATE as usize / 10;
/// From the begin of a window to that of the next.
const HOP: usize = WINDOW / 2;
/// So many windows (half of each is shared with the next) say enough.
const ENOUGH: usize = 8;
/// A steady tone is this close to its median, in dB.
const STEADY_DB: f64 = 1.0;
/// The control's distance to every tone, in Hz: three main lobes, where a Hann window lets 60 dB less through.
const FROM_TONES_HZ: f64 = 60.0;
/// The control's distance to whatever distortion makes of the tones, in Hz.
const FROM_PRODUCTS_HZ: f64 = 30.0;
/// Frequencies at which a control is looked for.
const LOWEST_HZ: f64 = 100.0;
const HIGHEST_HZ: f64 = 8_000.0;
/// Between two candidates.
const STEP_HZ: f64 = 10.0;

/// The tones of a call as one of its listeners should hear them.
#[derive(Debug)]
pub(super) struct Tones<'a> {
    /// What it sends itself.
    pub(super) own: f64,
    /// What it should hear, and does: these choose the windows.
    pub(super) heard: &'a [f64],
    /// All that anybody sends.
    pub(super) sent: &'a [f64],
}

/// The own tone and the control in every window in which all the others are steady; where that says too little, in those in which
/// the own one is. `None`: there is no frequency to compare with.
pub(super) fn measure(part: &[f32], tones: &Tones<'_>) -> Option<OwnTone> {
    let control_hz = control(tones)?;
    let windows: Vec<&[f32]> = (0..).map_while(|i| part.get(i * HOP..i * HOP + WINDOW)).collect();
    let by_others = if tones.heard.is_empty() { vec![] } else { steady(&windows, tones.heard) };
    let others_steady = by_others.len() >= ENOUGH;
    let chosen = if others_steady { by_others } else { steady(&windows, &[tones.own]) };
    let levels = chosen.into_iter().map(|w| (tenths(level_db(w, tones.own)), tenths(level_db(w, control_hz))));
    let (own_db, control_db) = levels.unzip();
    Some(OwnTone { hz: tones.own, control_hz, others_steady, own_db, control_db })
}

/// The windows in which each of these tones is close to its median.
fn steady<'a>(windows: &[&'a [f32]], choosing: &[f64]) -> Vec<&'a [f32]> {
    let mut steady = vec![true; windows.len()];
    for hz in choosing {
        let levels: Vec<f64> = windows.iter().map(|w| level_db(w, *hz)).collect();
        let median = median(&levels);
        steady.iter_mut().zip(levels).for_each(|(steady, db)| *steady &= (db - median).abs() <= STEADY_DB);
    }
    windows.iter().zip(steady).filter_map(|(window, steady)| steady.then_some(*window)).collect()
}

/// A frequency that nobody sends and no distortion makes, about as far from the others' tones as the own one is.
fn control(tones: &Tones<'_>) -> Option<f64> {
    let others: Vec<f64> = tones.sent.iter().copied().filter(|hz| (hz - tones.own).abs() > 0.5).collect();
    let nearest = |hz: f64, among: &[f64]| among.iter().map(|other| (other - hz).abs()).fold(f64::MAX, f64::min);
    let wanted = nearest(tones.own, &others).min(HIGHEST_HZ);
    let products = products(tones.sent);
    let mut candidates = Vec::new();
    let mut hz = LOWEST_HZ;
    while hz <= HIGHEST_HZ {
        if nearest(hz, tones.sent) >= FROM_TONES_HZ && nearest(hz, &products) >= FROM_PRODUCTS_HZ {
            candidates.push(hz);
        }
        hz += STEP_HZ;
    }
    // without others, near the own tone
    let reference = if others.is_empty() { std::slice::from_ref(&tones.own) } else { others.as_slice() };
    let off = |hz: &f64| (nearest(*hz, reference) - wanted).abs();
    candidates.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)))
}

/// Harmonics, and the sums and differences of two tones up to the third order.
fn products(sent: &[f64]) -> Vec<f64> {
    let mut found = Vec::new();
    for a in sent {
        found.extend((2..=5).map(|n| a * f64::from(n)));
        for b in sent {
            found.extend([a + b, (a - b).abs(), 2.0 * a + b, (2.0 * a - b).abs()]);
        }
    }
    found
}

/// Level in dBFS of one frequency under a Hann window; digital silence is -200.
fn level_db(window: &[f32], hz: f64) -> f64 {
    let step = TAU * hz / f64::from(SAMPLE_RATE);
    let (mut re, mut im, mut weight) = (0.0, 0.0, 0.0);
    for (i, sample) in window.iter().enumerate() {
        let hann = 0.5 - 0.5 * (TAU * (i as f64 + 0.5) / window.len() as f64).cos();
        let (sin, cos) = (step * i as f64).sin_cos();
        re += f64::from(*sample) * hann * cos;
        im += f64::from(*sample) * hann * sin;
        weight += hann;
    }
    super::floor(20.0 * (2.0 * re.hypot(im) / weight).log10())
}

fn median(levels: &[f64]) -> f64 {
    let mut sorted = levels.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(-200.0)
}

/// Evidence is read by people too.
fn tenths(db: f64) -> f64 {
    (db * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidetone::audio::Tone;
    use sidetone::audio::signal::Noise;

    const TONES: Tones<'static> = Tones { own: 440.0, heard: &[660.0, 880.0], sent: &[440.0, 660.0, 880.0] };

    fn with(parts: &[(f64, f32)], seconds: usize) -> Vec<f32> {
        let mut sum = vec![0.0; seconds * 48_000];
        for (hz, amplitude) in parts {
            let mut one = vec![0.0; sum.len()];
            Tone::new(*hz, *amplitude).fill(&mut one);
            sum.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
        }
        sum
    }

    /// How much the own tone is above the control in the middle window.
    fn above(seen: &OwnTone) -> f64 {
        median(&seen.own_db.iter().zip(&seen.control_db).map(|(own, control)| own - control).collect::<Vec<_>>())
    }

    #[test]
    fn the_control_is_as_far_from_the_others_as_the_own_tone_and_not_made_by_them() {
        for tones in [
            TONES,
            Tones { own: 660.0, heard: &[440.0], sent: &[440.0, 660.0] },
            Tones { own: 880.0, heard: &[440.0, 660.0], sent: &[880.0, 440.0, 660.0] },
            Tones { own: 1_000.0, heard: &[], sent: &[1_000.0] },
        ] {
            let hz = control(&tones).unwrap();
            assert!(tones.sent.iter().all(|sent| (sent - hz).abs() >= FROM_TONES_HZ), "{hz}: {tones:?}");
            assert!(products(tones.sent).iter().all(|made| (made - hz).abs() >= FROM_PRODUCTS_HZ), "{hz}: {tones:?}");
            let distance = |hz: f64| tones.heard.iter().map(|o| (o - hz).abs()).fold(f64::MAX, f64::min);
            assert!(tones.heard.is_empty() || (distance(hz) - distance(tones.own)).abs() <= 60.0, "{hz}: {tones:?}");
        }
    }

    #[test]
    fn an_echo_stands_above_the_control_in_every_window() {
        let seen = measure(&with(&[(660.0, 0.1), (880.0, 0.1), (440.0, 0.000_2)], 3), &TONES).unwrap();
        assert!(seen.own_db.len() > 50, "{}", seen.own_db.len());
        assert!(above(&seen) > 30.0 && seen.own_db.iter().all(|db| (db + 74.0).abs() < 1.0), "{seen:?}");
    }

    #[test]
    fn noise_and_dropouts_lift_the_control_as_much() {
        let mut heard = with(&[(660.0, 0.1), (880.0, 0.1)], 4);
        let mut noise = vec![0.0; heard.len()];
        Noise::new(3, 0.003).fill(&mut noise);
        heard.iter_mut().zip(noise).for_each(|(sample, noise)| *sample += noise);
        // a gap of 15 ms in every 250 ms
        for gap in heard.chunks_mut(12_000) {
            gap[3_000..3_720].fill(0.0);
        }
        let seen = measure(&heard, &TONES).unwrap();
        assert!(seen.own_db.len() >= 20, "{}", seen.own_db.len());
        assert!(above(&seen).abs() < 6.0, "{}: {seen:?}", above(&seen));
    }

    #[test]
    fn windows_with_a_gap_are_left_out() {
        let mut heard = with(&[(660.0, 0.1), (880.0, 0.1)], 2);
        let whole = measure(&heard, &TONES).unwrap().own_db.len();
        heard[48_000..52_800].fill(0.0);
        let left = measure(&heard, &TONES).unwrap().own_db.len();
        assert!(left < whole && left + 5 >= whole, "{left} of {whole}");
    }

    #[test]
    fn where_the_others_come_and_go_an_echo_is_still_found_and_noise_is_none() {
        let mut echo = with(&[(440.0, 0.2)], 3);
        let (mut noise, others) = (vec![0.0; echo.len()], with(&[(660.0, 0.1), (880.0, 0.1)], 3));
        Noise::new(5, 0.003).fill(&mut noise);
        for (i, other) in others.chunks(2_400).enumerate().filter(|(i, _)| i % 2 == 0) {
            for (k, sample) in other.iter().enumerate() {
                echo[i * 2_400 + k] += sample;
                noise[i * 2_400 + k] += sample;
            }
        }
        let tones = Tones { own: 440.0, heard: &[660.0, 880.0], sent: &[440.0, 660.0, 880.0] };
        let found = measure(&echo, &tones).unwrap();
        assert!(above(&found) > 10.0 && found.own_db.len() >= ENOUGH, "{found:?}");
        let none = measure(&noise, &tones).unwrap();
        assert!(above(&none) < 10.0, "{none:?}");
    }

    #[test]
    fn where_the_others_are_not_heard_the_own_tone_chooses() {
        let swapped = measure(&with(&[(440.0, 0.1)], 2), &Tones { heard: &[], ..TONES }).unwrap();
        assert!(above(&swapped) > 60.0 && swapped.own_db.len() > 30, "{swapped:?}");
        assert!(!swapped.others_steady);
        let silent = measure(&vec![0.0; 96_000], &Tones { heard: &[], ..TONES }).unwrap();
        assert!(above(&silent).abs() < 0.1, "{silent:?}");
        assert_eq!(measure(&[0.1; 100], &TONES).unwrap().own_db, [] as [f64; 0], "too short");
    }
}
