//! A soft limiter for a mix.
//!
//! It has no memory: below -3 dBFS it changes nothing, above it bends smoothly towards full scale. So nothing can
//! pump, and a listener that moves between two mixes of the same sound hears no difference.

/// Below this magnitude (-3 dBFS) samples pass unchanged.
pub const KNEE: f32 = 0.707_945_8;

/// Limits the samples in place; none exceeds 1.0. What is not a number becomes 0.
pub fn limit(samples: &mut [f32]) {
    for sample in samples {
        let size = sample.abs();
        if size > KNEE {
            let room = 1.0 - KNEE;
            *sample = (KNEE + room * ((size - KNEE) / room).tanh()).copysign(*sample);
        } else if size.is_nan() {
            *sample = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{meter, signal::Tone};
    use super::*;

    #[test]
    fn transparent_below_the_knee_and_bounded_above() {
        let mut quiet = vec![0.0; 960];
        Tone::new(500.0, KNEE).fill(&mut quiet);
        let before = quiet.clone();
        limit(&mut quiet);
        assert_eq!(quiet, before);
        let mut loud = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 8.0, -8.0];
        limit(&mut loud);
        assert_eq!(loud.map(f32::to_bits), [1.0_f32, -1.0, 0.0, 1.0, -1.0].map(f32::to_bits));
    }

    #[test]
    fn it_bends_and_never_clips_flat() {
        let mut ramp: Vec<f32> = (0_u8..=200).map(|i| f32::from(i) / 100.0).collect();
        limit(&mut ramp);
        assert!(ramp.windows(2).all(|w| w[1] > w[0] && w[1] - w[0] < 0.010_1), "monotonic, slope at most 1");
        assert!(meter::peak(&ramp) < 1.0);
    }
}
