//! Test signals: endless sources that keep their phase from one call to the next.

use std::f64::consts::TAU;

use super::SAMPLE_RATE;

/// Linear amplitude of a level in dBFS.
pub fn amplitude(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}

/// An endless sine.
#[derive(Clone, Debug)]
pub struct Tone {
    phase: f64,
    step: f64,
    amplitude: f32,
}

impl Tone {
    /// A sine of `hz` with peaks at `amplitude` (1.0 is full scale).
    pub fn new(hz: f64, amplitude: f32) -> Self {
        Self { phase: 0.0, step: hz / f64::from(SAMPLE_RATE), amplitude }
    }

    /// Overwrites `out` with the next samples.
    pub fn fill(&mut self, out: &mut [f32]) {
        for sample in out {
            #[expect(clippy::cast_possible_truncation, reason = "a sample is an f32")]
            let sine = (self.phase * TAU).sin() as f32;
            *sample = self.amplitude * sine;
            self.phase = (self.phase + self.step).fract();
        }
    }
}

/// Endless white noise from a seed: the same seed gives the same samples.
#[derive(Clone, Debug)]
pub struct Noise {
    state: u64,
    amplitude: f32,
}

impl Noise {
    /// Noise whose RMS is `rms` (1.0 is full scale), evenly distributed.
    pub fn new(seed: u64, rms: f32) -> Self {
        Self { state: seed, amplitude: rms * 3_f32.sqrt() }
    }

    /// Overwrites `out` with the next samples.
    pub fn fill(&mut self, out: &mut [f32]) {
        for sample in out {
            #[expect(clippy::cast_possible_truncation, reason = "a sample is an f32")]
            let even = (self.next_unit() * 2.0 - 1.0) as f32;
            *sample = self.amplitude * even;
        }
    }

    /// The next number, evenly distributed in 0..1 (splitmix64).
    pub fn next_unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::meter;
    use super::*;

    #[test]
    fn pieces_join_without_a_seam() {
        let mut whole = vec![0.0; 1_000];
        Tone::new(660.0, 0.5).fill(&mut whole);
        let mut pieces = vec![0.0; 1_000];
        let mut tone = Tone::new(660.0, 0.5);
        pieces.chunks_mut(7).for_each(|piece| tone.fill(piece));
        assert_eq!(whole, pieces);
        assert!((meter::peak(&whole) - 0.5).abs() < 0.001);
    }

    #[test]
    fn noise_has_the_asked_level_and_repeats() {
        let mut one = vec![0.0; 48_000];
        Noise::new(3, amplitude(-40.0)).fill(&mut one);
        assert!((meter::rms_db(&one) + 40.0).abs() < 0.2, "{}", meter::rms_db(&one));
        let mut two = vec![0.0; 48_000];
        Noise::new(3, amplitude(-40.0)).fill(&mut two);
        assert_eq!(one, two);
    }
}
