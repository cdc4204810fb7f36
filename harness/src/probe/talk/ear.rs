//! What a probe says in an echo room, and what it makes of what comes back. PURE: the same arrivals give the same figures.
//!
//! ```text
//! 0 ms    200  260     400                                 1700    1800 1860   2000
//! |-------|/////|-------|~~~~~~~~~~~~ 880 Hz ~~~~~~~~~~~~~~~|-------|\\\\\|------|
//!          first marker: a chirp upwards                     second marker: downwards
//! ```
//! Markers tell delays, the tone between them levels and frequencies.

use crate::evidence::probed::EchoHeard;
use rustfft::{FftPlanner, num_complex::Complex};
use sidetone::audio::{
    CodecError, Encoder, FRAME_SAMPLES, Playout, Prediction, SAMPLE_RATE, Tone, codec, level, meter, signal,
};
use sidetone::protocol::AudioPacket;
use std::f64::consts::TAU;
use std::ops::Range;
use std::time::Duration;

/// The tone in hertz.
pub const TONE_HZ: f64 = 880.0;
/// Level of tone and markers: dBFS of a sine by its peaks.
pub const LEVEL_DB: f32 = -20.0;
/// Frames of 20 ms.
pub const FRAMES: usize = 100;
/// Length of a marker.
const MARKER: usize = ms(60);
/// Where the markers begin.
const MARKERS: [usize; 2] = [ms(200), ms(1_800)];
/// Where the tone is.
const TONE: Range<usize> = ms(400)..ms(1_700);
/// Left out at both ends of the tone: buffers may have changed their delay, codecs settle.
const SETTLE: usize = ms(60);
/// Samples that a speaker asks for at once: 10 ms.
const PERIOD: usize = SAMPLE_RATE as usize / 100;
/// A sample louder than this is sound (-60 dBFS).
const AUDIBLE: f32 = 0.001;
/// A sample at or above this is at full scale.
const FULL: f32 = 0.999;
/// A marker that is less alike than this is none: white noise of the same length is at 0.1.
const ALIKE: f64 = 0.5;
/// From the RMS of a sine to the level of its peaks.
const CREST_DB: f64 = 3.010_3;

const fn ms(milliseconds: usize) -> usize {
    SAMPLE_RATE as usize / 1_000 * milliseconds
}

/// A packet of sound as it arrived, keep-alives included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, after the probe began to speak.
    pub at: Duration,
    /// Counts the packets of the server; wraps.
    pub sequence: u16,
    /// 48 kHz ticks of the server's clock; wraps.
    pub timestamp: u32,
    /// The sound.
    pub packet: AudioPacket,
}

/// A chirp from 400 to 4,000 Hz, or back, with soft ends.
fn marker(upwards: bool) -> Vec<f32> {
    let (low, high) = (400.0, 4_000.0);
    let seconds = MARKER as f64 / f64::from(SAMPLE_RATE);
    let (from, to) = if upwards { (low, high) } else { (high, low) };
    let sample = |i: usize| {
        let t = i as f64 / f64::from(SAMPLE_RATE);
        let phase = from * t + (to - from) / (2.0 * seconds) * t * t;
        #[expect(clippy::cast_possible_truncation, reason = "a sample is an f32")]
        let sine = (TAU * phase).sin() as f32;
        sine * signal::amplitude(LEVEL_DB) * edge(i, MARKER)
    };
    (0..MARKER).map(sample).collect()
}

/// Rises over the first 5 ms and falls over the last.
fn edge(at: usize, length: usize) -> f32 {
    let from_end = at.min(length - 1 - at) + 1;
    (from_end as f32 / ms(5) as f32).min(1.0)
}

/// The whole signal.
pub fn signal() -> Vec<f32> {
    let mut samples = vec![0.0; FRAMES * FRAME_SAMPLES];
    for (start, upwards) in MARKERS.into_iter().zip([true, false]) {
        samples[start..start + MARKER].copy_from_slice(&marker(upwards));
    }
    let part = &mut samples[TONE];
    Tone::new(TONE_HZ, signal::amplitude(LEVEL_DB)).fill(part);
    let length = part.len();
    part.iter_mut().enumerate().for_each(|(i, sample)| *sample *= edge(i, length));
    samples
}

/// The signal in packets, one each 20 ms. Silence in it is sent as sound, so that nothing is switched off on the way.
///
/// # Errors
/// The codec cannot be made.
pub fn packets() -> Result<Vec<AudioPacket>, CodecError> {
    let mut encoder = Encoder::new(Prediction::Disabled)?;
    let encode = |frame: &[f32]| Ok(AudioPacket { level: level(frame).min(126), opus: encoder.encode(frame)? });
    signal().chunks_exact(FRAME_SAMPLES).map(encode).collect()
}

/// Adds to `heard` what the arrivals tell. Sample 0 of the signal was spoken at time zero.
pub fn judge(heard: &mut EchoHeard, arrivals: &[Arrival]) {
    heard.tone_hz = TONE_HZ;
    heard.level_sent_db = f64::from(LEVEL_DB);
    count(heard, arrivals);
    let Some(last) = arrivals.iter().map(|arrival| arrival.at).max() else { return };
    let (samples, concealed) = play(arrivals, last);
    heard.concealed_fraction = concealed;
    let is_sound = |s: &f32| s.abs() > AUDIBLE;
    let Some(first) = samples.iter().position(is_sound) else { return };
    let end = samples.iter().rposition(is_sound).map_or(first, |at| at + 1);
    let sounding = &samples[first..end];
    let full = sounding.iter().filter(|s| s.abs() >= FULL).count();
    heard.clipped_fraction = Some(full as f64 / sounding.len() as f64);
    let delays = [(true, MARKERS[0]), (false, MARKERS[1])].map(|(upwards, at)| delay(&marker(upwards), &samples, at));
    let in_ms = |samples: usize| samples as f64 * 1_000.0 / f64::from(SAMPLE_RATE);
    heard.mouth_to_ear_ms = delays[0].map(in_ms);
    heard.mouth_to_ear_last_ms = delays[1].map(in_ms);
    // without a marker, what is in the middle must be the tone
    let tone = match delays[0] {
        Some(delay) => TONE.start + delay + SETTLE..TONE.end + delay - SETTLE,
        None => first + sounding.len() * 3 / 10..first + sounding.len() * 8 / 10,
    };
    let part = samples.get(tone.start..tone.end.min(samples.len())).unwrap_or_default();
    let power_db = meter::rms_db(part) + CREST_DB;
    if !power_db.is_finite() || power_db < -100.0 {
        return;
    }
    heard.level_heard_db = Some(power_db);
    heard.strongest_hz = strongest_hz(part);
    heard.purity_db = purity_db(part, TONE_HZ);
}

/// Losses, order and jitter, by sequence numbers, timestamps and times of arrival.
fn count(heard: &mut EchoHeard, arrivals: &[Arrival]) {
    let sound = || arrivals.iter().filter(|arrival| !arrival.packet.opus.is_empty());
    heard.packets_received = sound().count() as u64;
    heard.undecodable = sound().filter(|arrival| codec::samples(&arrival.packet.opus).is_err()).count() as u64;
    let mut numbers = Vec::new();
    let mut newest: Option<i64> = None;
    for arrival in arrivals {
        // the nearest number to the newest one that ends in these 16 bits
        let number = match newest {
            None => i64::from(arrival.sequence),
            Some(newest) => {
                let low = u16::try_from(newest.rem_euclid(1 << 16)).unwrap_or_default();
                newest + i64::from(arrival.sequence.wrapping_sub(low).cast_signed())
            }
        };
        heard.packets_reordered += u64::from(newest.is_some_and(|newest| number < newest));
        newest = newest.max(Some(number));
        numbers.push(number);
    }
    numbers.sort_unstable();
    numbers.dedup();
    if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
        heard.packets_lost = (last - first + 1).unsigned_abs().saturating_sub(numbers.len() as u64);
    }
    heard.jitter_us = jitter_us(sound());
}

/// RFC 3550, section 6.4.1, in microseconds.
fn jitter_us<'a>(mut arrivals: impl Iterator<Item = &'a Arrival>) -> Option<u64> {
    let mut before = arrivals.next()?;
    let (mut jitter, mut any) = (0.0_f64, false);
    for arrival in arrivals {
        let spoken = f64::from(arrival.timestamp.wrapping_sub(before.timestamp).cast_signed()) / f64::from(SAMPLE_RATE);
        let apart = arrival.at.as_secs_f64() - before.at.as_secs_f64() - spoken;
        jitter += (apart.abs() - jitter) / 16.0;
        (before, any) = (arrival, true);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and seconds at most")]
    any.then_some((jitter * 1e6).round() as u64)
}

/// What a client would have played, from time zero on, and which part of it was made up.
fn play(arrivals: &[Arrival], last: Duration) -> (Vec<f32>, Option<f64>) {
    let period = Duration::from_millis(10);
    let mut order: Vec<_> = arrivals.iter().collect();
    order.sort_by_key(|arrival| arrival.at);
    let mut waiting = order.into_iter().peekable();
    let mut playout = Playout::new();
    let (mut samples, mut buffer, mut now) = (Vec::new(), [0.0; PERIOD], Duration::ZERO);
    // the buffer is never longer than 400 ms
    while now < last + Duration::from_millis(500) {
        while let Some(arrival) = waiting.next_if(|arrival| arrival.at <= now) {
            playout.push(arrival.sequence, arrival.timestamp, arrival.packet.clone(), arrival.at);
        }
        if waiting.peek().is_none() {
            playout.end_stream();
        }
        playout.render(&mut buffer, now);
        samples.extend_from_slice(&buffer);
        now += period;
    }
    let counters = playout.counters();
    let fraction = counters.concealed_samples as f64 / counters.total_samples_received as f64;
    (samples, (counters.total_samples_received > 0).then_some(fraction))
}

/// How much later than at `spoken` a marker is heard, in samples; `None`: it is not in there.
fn delay(marker: &[f32], heard: &[f32], spoken: usize) -> Option<usize> {
    let after = heard.get(spoken..)?;
    let at = usize::try_from(best_delay(marker, after)?).ok()?;
    let found = after.get(at..at + marker.len())?;
    let product: f64 = marker.iter().zip(found).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    let scale = (energy(marker) * energy(found)).sqrt();
    (scale > 0.0 && product / scale > ALIKE).then_some(at)
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum()
}

/// The delay, in samples, at which `piece` fits best into `recorded`; none without samples.
pub fn best_delay(piece: &[f32], recorded: &[f32]) -> Option<isize> {
    if piece.is_empty() || recorded.is_empty() {
        return None;
    }
    let length = (piece.len() + recorded.len()).next_power_of_two();
    let spectrum = |samples: &[f32]| {
        let mut bins: Vec<_> = samples.iter().map(|s| Complex::new(*s, 0.0)).collect();
        bins.resize(length, Complex::default());
        FftPlanner::new().plan_fft_forward(length).process(&mut bins);
        bins
    };
    let mut product: Vec<_> = spectrum(recorded).iter().zip(spectrum(piece)).map(|(r, s)| r * s.conj()).collect();
    FftPlanner::new().plan_fft_inverse(length).process(&mut product);
    let best = (0..length).max_by(|a, b| product[*a].re.total_cmp(&product[*b].re))?;
    // the upper half of a circular correlation are negative delays
    let best = isize::try_from(best).ok()?;
    let whole = isize::try_from(length).ok()?;
    Some(if best.unsigned_abs() <= recorded.len() { best } else { best - whole })
}

/// The frequency with the most power, from the middle of the signal; `None` for less than 0.7 s.
pub fn strongest_hz(samples: &[f32]) -> Option<f64> {
    const LENGTH: usize = 1 << 15;
    let from = samples.len().checked_sub(LENGTH)? / 2;
    let mut bins: Vec<Complex<f32>> = samples[from..from + LENGTH]
        .iter()
        .enumerate()
        .map(|(i, s)| {
            let hann = 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / LENGTH as f32).cos();
            Complex::new(s * hann, 0.0)
        })
        .collect();
    FftPlanner::new().plan_fft_forward(LENGTH).process(&mut bins);
    let strongest = (1..LENGTH / 2).max_by(|a, b| bins[*a].norm_sqr().total_cmp(&bins[*b].norm_sqr()))?;
    Some(strongest as f64 * f64::from(SAMPLE_RATE) / LENGTH as f64)
}

/// How far everything but the tone is below it: in each tenth of a second the tone is fitted and taken away.
fn purity_db(samples: &[f32], hz: f64) -> Option<f64> {
    let (mut tone, mut rest) = (0.0, 0.0);
    for window in samples.chunks_exact(ms(100)) {
        let step = TAU * hz / f64::from(SAMPLE_RATE);
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in window.iter().enumerate() {
            let (sin, cos) = (step * i as f64).sin_cos();
            re += f64::from(*sample) * cos;
            im += f64::from(*sample) * sin;
        }
        // whole cycles of the tone fit a window, so sine and cosine are orthogonal
        let fitted = 2.0 * (re * re + im * im) / window.len() as f64;
        tone += fitted;
        rest += (energy(window) - fitted).max(0.0);
    }
    (tone > 0.0).then(|| (10.0 * (tone / rest.max(tone * 1e-12)).log10()).clamp(-120.0, 120.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidetone::audio::signal::Noise;

    /// Packets that come back `delay_ms(n)` after they were sent.
    fn arrivals(packets: &[AudioPacket], delay_ms: impl Fn(u32) -> u32) -> Vec<Arrival> {
        let arrive = |(n, packet): (u32, &AudioPacket)| Arrival {
            at: Duration::from_millis(u64::from(20 * (n + 1) + delay_ms(n))),
            sequence: u16::try_from((65_500 + n) % 65_536).unwrap(),
            timestamp: (u32::MAX - 10_000).wrapping_add(960 * n),
            packet: packet.clone(),
        };
        (0..).zip(packets).map(arrive).collect()
    }

    fn encoded(samples: &[f32]) -> Vec<AudioPacket> {
        let mut encoder = Encoder::new(Prediction::Disabled).unwrap();
        let packet = |frame: &[f32]| AudioPacket { level: 20, opus: encoder.encode(frame).unwrap() };
        samples.chunks_exact(FRAME_SAMPLES).map(packet).collect()
    }

    fn judged(arrivals: &[Arrival]) -> EchoHeard {
        let mut heard = EchoHeard::default();
        judge(&mut heard, arrivals);
        heard
    }

    #[test]
    fn a_clean_echo_is_as_loud_as_pure_and_as_late_as_it_was_made() {
        let heard = judged(&arrivals(&packets().unwrap(), |_| 80));
        assert_eq!((heard.packets_received, heard.packets_lost, heard.packets_reordered), (100, 0, 0));
        assert_eq!((heard.jitter_us, heard.undecodable, heard.concealed_fraction), (Some(0), 0, Some(0.0)));
        let level = heard.level_heard_db.unwrap();
        assert!((level + 20.0).abs() < 0.3, "{level}");
        assert!((heard.strongest_hz.unwrap() - TONE_HZ).abs() < 1.5, "{heard:?}");
        assert!(heard.purity_db.unwrap() > 40.0, "{heard:?}");
        // 20 ms until a frame is whole, 80 ms on the way, 40 ms and up to two frames in the buffer, 5 ms in the codec
        let (first, last) = (heard.mouth_to_ear_ms.unwrap(), heard.mouth_to_ear_last_ms.unwrap());
        assert!((140.0..190.0).contains(&first), "{first}");
        assert!((first - last).abs() < 1.0, "{first} {last}");
        assert_eq!(heard.clipped_fraction, Some(0.0));
        let later = judged(&arrivals(&packets().unwrap(), |_| 380)).mouth_to_ear_ms.unwrap();
        assert!((later - first - 300.0).abs() < 1.0, "300 ms more on the way are 300 ms more in the ear: {later}");
    }

    #[test]
    fn what_is_lost_or_out_of_order_is_counted_and_made_up() {
        let mut all = arrivals(&packets().unwrap(), |_| 80);
        all.retain(|arrival| !(40..44).contains(&arrival.sequence) && arrival.sequence != 65_520);
        all.swap(10, 11);
        let heard = judged(&all);
        assert_eq!((heard.packets_received, heard.packets_lost, heard.packets_reordered), (95, 5, 1));
        assert!(heard.concealed_fraction.is_some_and(|f| f > 0.03 && f < 0.1), "{heard:?}");
        assert_eq!(heard.jitter_us, Some(0), "each at its time");
    }

    #[test]
    fn packets_that_come_late_together_are_made_up_and_not_lost() {
        // a way that stands still for 300 ms
        let heard =
            judged(&arrivals(&packets().unwrap(), |n| if (60..75).contains(&n) { 80 + 20 * (75 - n) } else { 80 }));
        assert_eq!(heard.packets_lost, 0);
        assert!(heard.jitter_us.is_some_and(|us| us > 1_000), "{heard:?}");
        assert!(heard.concealed_fraction.is_some_and(|f| f > 0.05), "{heard:?}");
    }

    #[test]
    fn the_strongest_tone_is_found() {
        let mut samples = vec![0.0; 48_000];
        Tone::new(660.0, 0.1).fill(&mut samples);
        assert!((strongest_hz(&samples).unwrap() - 660.0).abs() < 2.0);
        assert_eq!(strongest_hz(&samples[..100]), None);
    }

    #[test]
    fn a_moved_tone_clipping_silence_and_noise_are_what_they_are() {
        // 44.1 kHz played as 48 kHz
        let moved: Vec<f32> = {
            let samples = signal();
            (0..88_000).map(|i| samples[i * 441 / 480]).collect()
        };
        let heard = judged(&arrivals(&encoded(&moved), |_| 80));
        let ratio = heard.strongest_hz.unwrap() / TONE_HZ;
        assert!((ratio - 441.0 / 480.0).abs() < 0.003, "{ratio}");
        let loud: Vec<f32> = signal().iter().map(|s| (s * 40.0).clamp(-1.0, 1.0)).collect();
        let heard = judged(&arrivals(&encoded(&loud), |_| 80));
        assert!(heard.clipped_fraction.is_some_and(|f| f > 0.1), "{heard:?}");
        let heard = judged(&arrivals(&encoded(&vec![0.0; FRAMES * FRAME_SAMPLES]), |_| 80));
        assert_eq!((heard.packets_received, heard.level_heard_db, heard.mouth_to_ear_ms), (100, None, None));
        let mut noise = vec![0.0; FRAMES * FRAME_SAMPLES];
        Noise::new(5, 0.1).fill(&mut noise);
        let heard = judged(&arrivals(&encoded(&noise), |_| 80));
        assert!(heard.mouth_to_ear_ms.is_none() && heard.purity_db.unwrap() < 0.0, "{heard:?}");
    }

    #[test]
    fn nothing_and_garbage_are_figures_too() {
        assert_eq!(judged(&[]).packets_received, 0);
        let garbage = AudioPacket { level: 1, opus: vec![0xff; 3].into() };
        let heard = judged(&arrivals(&vec![garbage; 100], |_| 80));
        assert_eq!((heard.packets_received, heard.undecodable), (100, 100));
    }

    #[test]
    fn a_counter_that_jumps_loses_what_it_says_and_stays_a_number() {
        let mut all = arrivals(&packets().unwrap(), |_| 80);
        for (i, arrival) in all.iter_mut().enumerate() {
            arrival.sequence = if i % 2 == 0 { 0 } else { 0x8000 };
        }
        assert!(judged(&all).packets_lost < 10_000_000);
    }
}
