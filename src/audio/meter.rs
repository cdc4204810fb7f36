//! Meters: what a sound is, in numbers.

use std::f64::consts::TAU;

use super::SAMPLE_RATE;

/// Level in dBFS of the one frequency `hz`: a sine whose peaks reach full scale is 0 dB. Negative infinity for
/// no samples or digital silence.
///
/// A Fourier sum at exactly `hz` under a 4-term Blackman-Harris window (Harris 1978; side lobes at -92 dB), so other
/// frequencies do not leak in once they are 4 / duration away: 4 Hz at a second. Noise counts for less the longer the
/// signal is.
pub fn tone_db(samples: &[f32], hz: f64) -> f64 {
    let count = samples.len() as f64;
    let step = TAU * hz / f64::from(SAMPLE_RATE);
    let (mut re, mut im, mut weight) = (0.0, 0.0, 0.0);
    for (i, &sample) in samples.iter().enumerate() {
        let at = i as f64;
        let turn = TAU * (at + 0.5) / count;
        let window = 0.358_75 - 0.488_29 * turn.cos() + 0.141_28 * (2.0 * turn).cos() - 0.011_68 * (3.0 * turn).cos();
        let (sin, cos) = (step * at).sin_cos();
        re += f64::from(sample) * window * cos;
        im += f64::from(sample) * window * sin;
        weight += window;
    }
    if samples.is_empty() {
        return f64::NEG_INFINITY;
    }
    20.0 * (2.0 * re.hypot(im) / weight).log10()
}

/// RMS of the samples, linear; 0 for none.
pub fn rms(samples: &[f32]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let energy: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    (energy / samples.len() as f64).sqrt()
}

/// RMS in dB over full scale: 0 for a full-scale square wave, -3 for a full-scale sine, negative infinity for
/// digital silence.
pub fn rms_db(samples: &[f32]) -> f64 {
    20.0 * rms(samples).log10()
}

/// The largest magnitude, linear; 0 for no samples.
pub fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, s| s.abs().max(peak))
}

#[cfg(test)]
mod tests {
    use super::super::signal::Tone;
    use super::super::{Decoder, Encoder, FRAME_SAMPLES, Prediction};
    use super::*;

    fn through_opus(hz: f64, amplitude: f32, frames: usize, prediction: Prediction) -> Vec<f32> {
        let mut tone = Tone::new(hz, amplitude);
        let mut encoder = Encoder::new(prediction).unwrap();
        let mut decoder = Decoder::new().unwrap();
        let mut out = Vec::new();
        for _ in 0..frames {
            let mut frame = [0.0; FRAME_SAMPLES];
            tone.fill(&mut frame);
            decoder.decode(&encoder.encode(&frame).unwrap(), &mut out).unwrap();
        }
        out
    }

    #[test]
    fn a_tone_reads_its_own_level_and_nothing_elsewhere() {
        let mut samples = vec![0.0; 48_000];
        Tone::new(660.0, 0.1).fill(&mut samples);
        assert!((tone_db(&samples, 660.0) + 20.0).abs() < 0.01);
        assert!(tone_db(&samples, 440.0) < -110.0, "{}", tone_db(&samples, 440.0));
        assert!((rms_db(&samples) + 23.01).abs() < 0.01);
        assert!((peak(&samples) - 0.1).abs() < 0.001);
    }

    #[test]
    fn nothing_reads_as_nothing() {
        for empty in [&[][..], &[0.0; 100]] {
            assert!(tone_db(empty, 440.0) < f64::MIN);
            assert!(rms_db(empty) < f64::MIN);
            assert!(peak(empty) == 0.0);
        }
    }

    #[test]
    fn opus_at_the_house_settings_leaves_other_tones_70_db_down() {
        for prediction in [Prediction::Enabled, Prediction::Disabled] {
            for amplitude in [0.05, 0.25, 0.5] {
                for (sent, other) in [(660.0, 440.0), (440.0, 660.0), (1_000.0, 660.0)] {
                    let out = through_opus(sent, amplitude, 60, prediction);
                    // The first frames hold the onset.
                    let steady = &out[5 * FRAME_SAMPLES..];
                    let down = tone_db(steady, sent) - tone_db(steady, other);
                    assert!(down > 70.0, "{prediction:?} {amplitude}: {other} Hz only {down} dB below {sent} Hz");
                }
            }
        }
    }
}
