//! How loud a frame is, and whether anybody speaks.

use super::meter;
use crate::protocol::audio::SILENCE;

/// Level of a frame on the RFC 6464 scale: -dBov from 0 (loudest) to 127 (digital silence, or below -127 dBov). A sine
/// at full scale is 3.
pub fn level(samples: &[f32]) -> u8 {
    let below = (-meter::rms_db(samples)).round();
    // NaN (a broken device) counts as silence.
    if below.is_nan() || below >= f64::from(SILENCE) {
        return SILENCE;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=126")]
    let level = below.max(0.0) as u8;
    level
}

/// Samples of the pieces that a frame is judged by (5 ms), so that an onset late in a frame counts.
const PIECE: usize = 240;

/// Sound below this is never speech, dBFS.
const QUIETEST: f64 = -62.0;

/// How far speech stands out of the noise, dB.
const MARGIN: f64 = 10.0;

/// The noise floor is never taken to be above this, dBFS: so a steady sound above `LOUDEST_FLOOR + MARGIN`, a pure
/// tone for instance, is never learned as noise.
const LOUDEST_FLOOR: f64 = -58.0;

/// How fast the floor rises, dB a frame (3 dB/s).
const RISE: f64 = 0.06;

/// Frames that stay active after the last loud one (200 ms), so that word ends are not cut.
const HANGOVER: u32 = 10;

/// Voice activity detection by energy over a tracked noise floor.
///
/// Active are: everything above -48 dBFS however steady, and from there down to -62 dBFS what stands 10 dB out of the
/// noise. An onset is active in its own frame: nothing of it is cut.
#[derive(Clone, Debug)]
pub struct VoiceActivity {
    floor: f64,
    hangover: u32,
}

impl Default for VoiceActivity {
    fn default() -> Self {
        Self::new()
    }
}

impl VoiceActivity {
    /// A detector that takes the room to be quiet.
    pub const fn new() -> Self {
        Self { floor: -90.0, hangover: 0 }
    }

    /// Whether this frame is to be sent. Call it for every frame in order.
    pub fn is_active(&mut self, frame: &[f32]) -> bool {
        let loudness = || frame.chunks(PIECE).map(meter::rms_db).filter(|db| !db.is_nan());
        let loudest = loudness().fold(f64::NEG_INFINITY, f64::max);
        let quietest = loudness().fold(f64::INFINITY, f64::min);
        let threshold = (self.floor + MARGIN).max(QUIETEST);
        self.floor = quietest.min(self.floor + RISE).clamp(-100.0, LOUDEST_FLOOR);
        if loudest > threshold {
            self.hangover = HANGOVER;
            return true;
        }
        let active = self.hangover > 0;
        self.hangover = self.hangover.saturating_sub(1);
        active
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::{Noise, Tone};
    use super::super::{FRAME_SAMPLES, signal};
    use super::*;

    fn noise(db: f32) -> Noise {
        Noise::new(7, signal::amplitude(db))
    }

    #[test]
    fn the_scale_is_minus_dbov() {
        assert_eq!(level(&[0.0; 960]), 127);
        assert_eq!(level(&[]), 127);
        assert_eq!(level(&[f32::NAN; 960]), 127);
        assert_eq!(level(&[1.0; 960]), 0);
        assert_eq!(level(&[4.0; 960]), 0);
        assert_eq!(level(&[0.01; 960]), 40);
        assert_eq!(level(&[1e-7; 960]), 127);
        let mut sine = [0.0; 960];
        Tone::new(1_000.0, 1.0).fill(&mut sine);
        assert_eq!(level(&sine), 3);
    }

    #[test]
    fn a_steady_tone_is_active_for_ever() {
        for amplitude in [0.5, 0.01] {
            let mut tone = Tone::new(440.0, amplitude);
            let mut vad = VoiceActivity::new();
            let mut frame = [0.0; FRAME_SAMPLES];
            for second in 0..50 * 300 {
                tone.fill(&mut frame);
                assert!(vad.is_active(&frame), "amplitude {amplitude}, frame {second}");
            }
        }
    }

    #[test]
    fn silence_and_low_noise_are_inactive() {
        let mut vad = VoiceActivity::new();
        let mut low = noise(-75.0);
        let mut frame = [0.0; FRAME_SAMPLES];
        for _ in 0..500 {
            assert!(!vad.is_active(&[0.0; FRAME_SAMPLES]));
            low.fill(&mut frame);
            assert!(!vad.is_active(&frame));
        }
    }

    #[test]
    fn steady_room_noise_is_learned_and_quiet_speech_still_heard() {
        let mut vad = VoiceActivity::new();
        let mut room = noise(-58.0);
        let mut speech = noise(-45.0);
        let mut frame = [0.0; FRAME_SAMPLES];
        for _ in 0..50 * 20 {
            room.fill(&mut frame);
            vad.is_active(&frame);
        }
        assert!(!vad.is_active(&frame), "learned");
        for _ in 0..50 * 60 {
            speech.fill(&mut frame);
            assert!(vad.is_active(&frame), "speech at -45 dBFS over noise at -58 dBFS");
        }
    }

    #[test]
    fn an_onset_is_active_in_its_own_frame_and_the_end_hangs_over() {
        let mut vad = VoiceActivity::new();
        let silent = [0.0; FRAME_SAMPLES];
        for _ in 0..100 {
            vad.is_active(&silent);
        }
        let mut onset = silent;
        noise(-40.0).fill(&mut onset[FRAME_SAMPLES - 100..]);
        assert!(vad.is_active(&onset));
        let after = (0..50).take_while(|_| vad.is_active(&silent)).count();
        assert_eq!(after, 10);
    }
}
