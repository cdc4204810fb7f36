//! Opus (RFC 6716) at the settings of the house: mono, 48 kHz, restricted low delay, 128 kb/s, complexity 5.

use bytes::Bytes;
use opus::{Application, Bitrate, Channels};

use super::SAMPLE_RATE;

/// Bits in a second.
pub const BITRATE: i32 = 128_000;

/// Bytes of the largest packet of one Opus frame.
pub const MAX_PACKET: usize = 1_275;

/// Samples of the shortest Opus frame (2.5 ms); concealment comes in multiples of it.
pub const SHORTEST: usize = 120;

/// Samples of the longest packet that is accepted (60 ms).
const LONGEST: usize = 2_880;

/// Samples that the encoder looks ahead (2.5 ms): decoded sound is this much later than what was encoded.
pub const LOOKAHEAD: usize = 120;

/// What Opus refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A packet that no decoder can read, or one longer than 60 ms.
    #[error("invalid Opus packet of {length} bytes: {reason}")]
    Packet {
        /// Its bytes.
        length: usize,
        /// What is wrong.
        reason: String,
    },
    /// A frame that no encoder can take.
    #[error("a frame of {samples} samples cannot be encoded: {reason}")]
    Frame {
        /// Its samples.
        samples: usize,
        /// What is wrong.
        reason: String,
    },
    /// The codec could not be made or set up.
    #[error("Opus: {0}")]
    Setup(String),
}

fn setup(error: &opus::Error) -> CodecError {
    CodecError::Setup(error.to_string())
}

/// Whether frames lean on the frames before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// A few bits cheaper; a decoder must have heard the frames before.
    Enabled,
    /// Every frame but its 2.5 ms of overlap stands alone: for listeners that move between encoders, and senders
    /// that pause.
    Disabled,
}

/// An Opus encoder (43 KiB: made when somebody first speaks).
#[derive(Debug)]
pub struct Encoder {
    inner: opus::Encoder,
}

impl Encoder {
    /// An encoder at the settings of the house.
    ///
    /// # Errors
    /// [`CodecError::Setup`], in practice only without memory.
    pub fn new(prediction: Prediction) -> Result<Self, CodecError> {
        let mut inner =
            opus::Encoder::new(SAMPLE_RATE, Channels::Mono, Application::LowDelay).map_err(|e| setup(&e))?;
        inner.set_bitrate(Bitrate::Bits(BITRATE)).map_err(|e| setup(&e))?;
        inner.set_complexity(5).map_err(|e| setup(&e))?;
        inner.set_prediction_disabled(prediction == Prediction::Disabled).map_err(|e| setup(&e))?;
        Ok(Self { inner })
    }

    /// Encodes one frame of 2.5, 5, 10 or 20 ms (normally [`super::FRAME_SAMPLES`]) to at most [`MAX_PACKET`] bytes.
    ///
    /// # Errors
    /// [`CodecError::Frame`] for a frame of another length.
    pub fn encode(&mut self, frame: &[f32]) -> Result<Bytes, CodecError> {
        let mut packet = [0; MAX_PACKET];
        let length = self
            .inner
            .encode_float(frame, &mut packet)
            .map_err(|e| CodecError::Frame { samples: frame.len(), reason: e.to_string() })?;
        Ok(Bytes::copy_from_slice(&packet[..length]))
    }

    /// Forgets all frames; the settings stay.
    pub fn reset(&mut self) {
        self.inner.reset_state().expect("OPUS_RESET_STATE takes no argument and cannot fail");
    }
}

/// Samples that a packet decodes to.
///
/// # Errors
/// [`CodecError::Packet`]: empty, above [`MAX_PACKET`] bytes, malformed, or longer than 60 ms.
pub fn samples(packet: &[u8]) -> Result<usize, CodecError> {
    let bad = |reason: String| CodecError::Packet { length: packet.len(), reason };
    if packet.is_empty() || packet.len() > MAX_PACKET {
        return Err(bad(format!("not 1 to {MAX_PACKET} bytes")));
    }
    let samples = opus::packet::get_nb_samples(packet, SAMPLE_RATE).map_err(|e| bad(e.to_string()))?;
    if samples == 0 || samples > LONGEST {
        return Err(bad(format!("{samples} samples, limit {LONGEST}")));
    }
    Ok(samples)
}

/// Concealed samples in a row that are played as Opus makes them up (60 ms).
const CONCEALED_FULL: usize = 2_880;

/// Concealed samples in a row after which nothing is left (200 ms). Opus alone never fades a steady tone out.
const CONCEALED_MOST: usize = 9_600;

/// An Opus decoder.
#[derive(Debug)]
pub struct Decoder {
    inner: opus::Decoder,
    /// Samples made up since the last packet.
    concealed: usize,
}

/// Gain of the sample after `concealed` made-up ones.
fn concealment_gain(concealed: usize) -> f32 {
    let left = CONCEALED_MOST.saturating_sub(concealed.max(CONCEALED_FULL));
    left as f32 / (CONCEALED_MOST - CONCEALED_FULL) as f32
}

impl Decoder {
    /// A decoder to mono at 48 kHz.
    ///
    /// # Errors
    /// [`CodecError::Setup`], in practice only without memory.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self { inner: opus::Decoder::new(SAMPLE_RATE, Channels::Mono).map_err(|e| setup(&e))?, concealed: 0 })
    }

    /// Decodes a packet of 2.5 to 60 ms and appends its samples; on error nothing is appended.
    ///
    /// # Errors
    /// [`CodecError::Packet`].
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), CodecError> {
        let samples = samples(packet)?;
        let start = out.len();
        self.append(packet, samples, out)
            .map_err(|e| CodecError::Packet { length: packet.len(), reason: e.to_string() })?;
        let gain = concealment_gain(self.concealed);
        if gain < 1.0 {
            // Opus joins on to what it made up at its full level; what was played is softer.
            for (i, sample) in out[start..].iter_mut().take(SHORTEST).enumerate() {
                *sample *= gain + (1.0 - gain) * (i + 1) as f32 / SHORTEST as f32;
            }
        }
        self.concealed = 0;
        Ok(())
    }

    /// Appends `samples` of made-up sound (packet loss concealment) that goes on from the last packet, decays after
    /// 60 ms and is gone after 200 ms; rounded up to a multiple of [`SHORTEST`].
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) {
        let start = out.len();
        let mut left = samples.next_multiple_of(SHORTEST);
        while left > 0 {
            // The decoder makes up whole frames only, of 20, 10, 5 or 2.5 ms.
            let piece = [960, 480, 240].into_iter().find(|&p| p <= left).unwrap_or(SHORTEST);
            if self.append(&[], piece, out).is_err() {
                out.resize(out.len() + piece, 0.0);
            }
            left -= piece;
        }
        for sample in &mut out[start..] {
            *sample *= concealment_gain(self.concealed);
            self.concealed += 1;
        }
    }

    /// Forgets what it has decoded.
    pub fn reset(&mut self) {
        self.inner.reset_state().expect("OPUS_RESET_STATE takes no argument and cannot fail");
        self.concealed = 0;
    }

    fn append(&mut self, packet: &[u8], samples: usize, out: &mut Vec<f32>) -> Result<(), opus::Error> {
        let start = out.len();
        out.resize(start + samples, 0.0);
        match self.inner.decode_float(packet, &mut out[start..], false) {
            Ok(got) => {
                out.truncate(start + got);
                // A forged packet must not poison a mix.
                out[start..].iter_mut().filter(|s| !s.is_finite()).for_each(|s| *s = 0.0);
                Ok(())
            }
            Err(error) => {
                out.truncate(start);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FRAME_SAMPLES, Tone, meter};
    use super::*;
    use proptest::prelude::*;

    fn tone_packets(frames: usize) -> Vec<Bytes> {
        let mut tone = Tone::new(440.0, 0.5);
        let mut encoder = Encoder::new(Prediction::Enabled).unwrap();
        (0..frames)
            .map(|_| {
                let mut frame = [0.0; FRAME_SAMPLES];
                tone.fill(&mut frame);
                encoder.encode(&frame).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_tone_comes_back_2_5_ms_later_at_the_asked_bitrate() {
        let packets = tone_packets(100);
        let bytes: usize = packets.iter().map(Bytes::len).sum();
        assert!((24_000..=36_000).contains(&bytes), "{bytes} bytes in 2 s at 128 kb/s");
        let mut decoder = Decoder::new().unwrap();
        let mut out = Vec::new();
        for packet in &packets {
            decoder.decode(packet, &mut out).unwrap();
        }
        assert_eq!(out.len(), 100 * FRAME_SAMPLES);
        let mut sent = vec![0.0; out.len()];
        Tone::new(440.0, 0.5).fill(&mut sent);
        let error: Vec<f32> =
            out[LOOKAHEAD..].iter().zip(&sent).skip(FRAME_SAMPLES).map(|(got, sent)| got - sent).collect();
        assert!(meter::rms_db(&error) < -40.0, "{}", meter::rms_db(&error));
    }

    #[test]
    fn concealment_goes_on_and_decays() {
        let mut decoder = Decoder::new().unwrap();
        let mut out = Vec::new();
        for packet in tone_packets(10) {
            decoder.decode(&packet, &mut out).unwrap();
        }
        let mut made = Vec::new();
        decoder.conceal(500, &mut made);
        assert_eq!(made.len(), 600, "rounded up to 2.5 ms");
        assert!(meter::rms_db(&made) > -20.0, "{}", meter::rms_db(&made));
        let mut later = Vec::new();
        decoder.conceal(48_000, &mut later);
        assert_eq!(later.len(), 48_000);
        assert!(meter::rms_db(&later[..960]) > -20.0, "{}", meter::rms_db(&later[..960]));
        assert!(meter::peak(&later[9_600..]) == 0.0);
        let steps = later.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(steps < 0.06, "a 440 Hz tone at 0.5 moves 0.029 a sample, a click much more: {steps}");
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let mut encoder = Encoder::new(Prediction::Disabled).unwrap();
        assert!(matches!(encoder.encode(&[0.0; 959]), Err(CodecError::Frame { samples: 959, .. })));
        let mut decoder = Decoder::new().unwrap();
        let mut out = Vec::new();
        assert!(decoder.decode(&[], &mut out).is_err());
        assert!(decoder.decode(&[0; MAX_PACKET + 1], &mut out).is_err());
        // Configuration 31 (20 ms CELT) in 6 frames: 120 ms.
        assert!(decoder.decode(&[0xFB, 6], &mut out).is_err());
        assert!(out.is_empty());
    }

    #[test]
    fn a_reset_encoder_is_a_fresh_one() {
        let mut tone = Tone::new(300.0, 0.3);
        let mut frame = [0.0; FRAME_SAMPLES];
        let mut encoder = Encoder::new(Prediction::Disabled).unwrap();
        tone.fill(&mut frame);
        encoder.encode(&frame).unwrap();
        encoder.reset();
        let again = encoder.encode(&frame).unwrap();
        assert_eq!(again, Encoder::new(Prediction::Disabled).unwrap().encode(&frame).unwrap());
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_stays_finite(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_400), 1..6)) {
            let mut decoder = Decoder::new().unwrap();
            for packet in packets {
                let mut out = Vec::new();
                if decoder.decode(&packet, &mut out).is_ok() {
                    prop_assert_eq!(out.len(), samples(&packet).unwrap());
                } else {
                    prop_assert!(out.is_empty());
                }
                prop_assert!(out.iter().all(|s| s.is_finite()));
            }
        }
    }
}
