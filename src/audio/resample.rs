//! A sample queue that can be read a little faster or slower than it was filled: clock drift.

use std::collections::VecDeque;

/// The most that the reading speed differs from 1: 0.5 %, a tenth of a semitone.
pub const MAX_CORRECTION: f64 = 0.005;

/// Samples that cubic interpolation needs beyond the one it stands at.
const AHEAD: usize = 2;

/// Speed at which a fraction of a sample is made up for, so that the queue can pass samples through again.
const SETTLING: f64 = 1.001;

/// A queue of samples with a reading position between them. At speed 1 samples pass bit for bit.
#[derive(Debug, Default)]
pub struct Resampler {
    queue: VecDeque<f32>,
    /// The sample before the queue.
    before: f32,
    /// Reading position between the first and the second sample of the queue, 0..1.
    fraction: f64,
}

impl Resampler {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends samples.
    pub fn push(&mut self, samples: &[f32]) {
        self.queue.extend(samples);
    }

    /// Samples in the queue.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether samples pass bit for bit at `speed`.
    pub fn is_transparent(&self, speed: f64) -> bool {
        is_one(speed) && self.fraction <= 0.0
    }

    /// Samples that must be in the queue to read `count` at `speed`.
    pub fn needed(&self, count: usize, speed: f64) -> usize {
        if self.is_transparent(speed) {
            return count;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let steps = (self.fraction + count as f64 * clamp(speed)).ceil() as usize;
        steps + AHEAD
    }

    /// Reads into the front of `out` until it is full or the queue is empty; `speed` above 1 empties the queue faster.
    /// Returns samples written and samples taken from the queue.
    pub fn read(&mut self, out: &mut [f32], speed: f64) -> (usize, usize) {
        let before = self.queue.len();
        let mut written = 0;
        for sample in out {
            let Some(value) = self.next(speed) else { break };
            *sample = value;
            written += 1;
        }
        if self.queue.is_empty() {
            self.fraction = 0.0;
        }
        (written, before - self.queue.len())
    }

    /// Throws everything away.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn next(&mut self, speed: f64) -> Option<f32> {
        if self.is_transparent(speed) {
            self.before = self.queue.pop_front()?;
            return Some(self.before);
        }
        let first = *self.queue.front()?;
        // At the end of the sound the last sample stands for those that never come.
        let at = |i: usize| self.queue.get(i).or_else(|| self.queue.back()).copied().unwrap_or(first);
        #[expect(clippy::cast_possible_truncation, reason = "a sample is an f32")]
        let offset = self.fraction as f32;
        let value = cubic([self.before, first, at(1), at(2)], offset);
        self.fraction += clamp(speed);
        while self.fraction >= 1.0
            && let Some(gone) = self.queue.pop_front()
        {
            self.before = gone;
            self.fraction = if is_one(speed) { 0.0 } else { self.fraction - 1.0 };
        }
        Some(value)
    }
}

fn is_one(speed: f64) -> bool {
    (speed - 1.0).abs() < 1e-9
}

fn clamp(speed: f64) -> f64 {
    if is_one(speed) { SETTLING } else { speed.clamp(1.0 - MAX_CORRECTION, 1.0 + MAX_CORRECTION) }
}

/// Catmull-Rom interpolation between the two middle points.
fn cubic([before, left, right, after]: [f32; 4], at: f32) -> f32 {
    let slope_left = (right - before) / 2.0;
    let slope_right = (after - left) / 2.0;
    let (square, cube) = (at * at, at * at * at);
    left * (2.0 * cube - 3.0 * square + 1.0)
        + slope_left * (cube - 2.0 * square + at)
        + right * (3.0 * square - 2.0 * cube)
        + slope_right * (cube - square)
}

#[cfg(test)]
mod tests {
    use super::super::{meter, signal::Tone};
    use super::*;

    fn tone(samples: usize) -> Vec<f32> {
        let mut out = vec![0.0; samples];
        Tone::new(1_000.0, 0.5).fill(&mut out);
        out
    }

    #[test]
    fn speed_one_is_bit_transparent_also_after_a_correction() {
        let sent = tone(48_000);
        let mut queue = Resampler::new();
        queue.push(&sent);
        let mut out = vec![0.0; 10_000];
        assert_eq!(queue.read(&mut out, 1.0), (10_000, 10_000));
        assert_eq!(out, sent[..10_000]);
        queue.read(&mut out[..2_345], 1.003);
        queue.read(&mut out[..1_000], 1.0);
        assert!(queue.is_transparent(1.0), "the fraction is made up for within 1000 samples");
        let rest = queue.len();
        let mut tail = vec![0.0; rest];
        assert_eq!(queue.read(&mut tail, 1.0), (rest, rest));
        assert_eq!(tail, sent[48_000 - rest..]);
    }

    #[test]
    fn a_correction_is_clean_and_takes_what_it_says() {
        for speed in [0.995, 0.999, 1.001, 1.005] {
            let mut queue = Resampler::new();
            queue.push(&tone(60_000));
            let mut out = vec![0.0; 48_000];
            let (written, taken) = queue.read(&mut out, speed);
            assert_eq!(written, 48_000);
            assert!((taken as f64 / 48_000.0 - speed).abs() < 1e-4, "{taken} at {speed}");
            let mut wanted = vec![0.0; 48_000];
            Tone::new(1_000.0 * speed, 0.5).fill(&mut wanted);
            let error: Vec<f32> = out.iter().zip(&wanted).map(|(a, b)| a - b).collect();
            assert!(meter::rms_db(&error) < -75.0, "{} dB at {speed}", meter::rms_db(&error));
        }
    }

    #[test]
    fn needed_is_enough_and_the_speed_is_bounded() {
        for speed in [0.9, 0.9951, 1.0, 1.0042, 1.2] {
            let mut queue = Resampler::new();
            let mut out = vec![0.0; 480];
            for _ in 0..300 {
                let needed = queue.needed(480, speed);
                assert!((477..=486).contains(&needed), "{needed}");
                let missing = needed.saturating_sub(queue.len());
                queue.push(&vec![0.1; missing]);
                assert_eq!(queue.read(&mut out, speed).0, 480);
                assert!(queue.len() <= 5, "nothing piles up: {}", queue.len());
            }
        }
    }

    #[test]
    fn an_empty_queue_gives_what_it_has() {
        let mut queue = Resampler::new();
        queue.push(&[1.0, 2.0]);
        let mut out = [9.0; 4];
        assert_eq!(queue.read(&mut out, 1.0), (2, 2));
        assert!(queue.is_empty());
        queue.push(&[1.0; 100]);
        assert!(queue.read(&mut [0.0; 200], 1.004).0 >= 99);
        assert!(queue.is_empty() && queue.is_transparent(1.0));
    }
}
