//! One received stream as samples: jitter buffer, decoder, concealment and clock drift together.
//!
//! Reading takes two steps, so that a mixer can rank streams before it decodes any: [`Voice::gather`] takes packets,
//! then either [`Voice::render`] decodes and plays them or [`Voice::skip`] drops them.

use std::collections::VecDeque;
use std::time::Duration;

use super::jitter::{JitterBuffer, Pull};
use super::resample::{MAX_CORRECTION, Resampler};
use super::{Decoder, FRAME_SAMPLES, SAMPLE_RATE, codec};
use crate::event::ConcealmentCounters;
use crate::protocol::AudioPacket;
use crate::protocol::audio::SILENCE;

/// Samples over which sound begins (2.5 ms), after as many that still belong to what the sender encoded before its
/// pause (the look-ahead of the codec).
const FADE_IN: usize = codec::LOOKAHEAD;

/// Samples of made-up sound that fade away after the last packet of a talk spurt (5 ms).
const TAIL: usize = 240;

/// How much longer than the target the buffer may be without correction, samples (30 ms: more than a frame, as
/// playback starts at the first reading after the target).
const TOO_LONG: f64 = 1_440.0;

/// How much shorter, samples (10 ms).
const TOO_SHORT: f64 = -480.0;

/// A correction ends this close to the target, samples (2 ms).
const CLOSE: f64 = 96.0;

/// For how long the buffer must be off before a correction begins, samples (1 s).
const PATIENCE: usize = 48_000;

/// Why a reading stopped short of its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It did not.
    None,
    /// The sender is silent.
    Silent,
    /// The buffer still fills.
    Filling,
    /// Nothing was received, or the sender stopped.
    Idle,
}

/// What a reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Samples of real sound, or of silence from a silent sender.
    pub real: usize,
    /// Samples that were made up.
    pub made_up: usize,
    /// Samples of zeros because there was nothing.
    pub empty: usize,
    /// Why there was nothing.
    pub rest: Rest,
}

#[derive(Debug)]
enum Piece {
    Packet(AudioPacket),
    MakeUp(usize),
    Tail,
}

impl Piece {
    fn samples(&self) -> usize {
        match self {
            Self::Packet(packet) => codec::samples(&packet.opus).unwrap_or(FRAME_SAMPLES),
            Self::MakeUp(samples) => *samples,
            Self::Tail => TAIL,
        }
    }
}

/// Decides at which speed to read.
#[derive(Debug, Default)]
struct Drift {
    /// Smoothed distance from the target in samples; positive: the buffer is too long.
    off: Option<f64>,
    off_for: usize,
    correcting: bool,
}

impl Drift {
    fn speed(&mut self, off: Option<i64>, samples: usize) -> f64 {
        let Some(now) = off else {
            *self = Self::default();
            return 1.0;
        };
        let before = self.off.unwrap_or(now as f64);
        // Half a second evens out callbacks and arrivals.
        let weight = (samples as f64 / 24_000.0).min(1.0);
        let off = before + (now as f64 - before) * weight;
        self.off = Some(off);
        self.off_for = if (TOO_SHORT..=TOO_LONG).contains(&off) { 0 } else { self.off_for + samples };
        if self.correcting {
            self.correcting = off.abs() > CLOSE;
        } else {
            self.correcting = self.off_for > PATIENCE;
        }
        if !self.correcting {
            return 1.0;
        }
        // A tenth of the distance a second: what must go fast goes fast, the rest is not heard.
        let speed = (off / 10.0 / f64::from(SAMPLE_RATE)).abs().clamp(0.001, MAX_CORRECTION);
        1.0 + speed.copysign(off)
    }
}

/// Counts of the samples that a voice played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoiceCounts {
    /// Samples played, silence of a silent sender included.
    pub total: u64,
    /// Of these, made up.
    pub concealed: u64,
    /// Runs of made-up samples.
    pub concealment_events: u64,
    /// Samples put in to play slower.
    pub inserted: u64,
    /// Samples left out to play faster.
    pub removed: u64,
}

/// One received stream; see the module's documentation.
#[derive(Debug, Default)]
pub struct Voice {
    buffer: JitterBuffer,
    decoder: Option<Decoder>,
    queue: Resampler,
    /// What the queue holds, in order: made up or not, and how many samples.
    runs: VecDeque<(bool, usize)>,
    pieces: Vec<Piece>,
    rest: Option<Rest>,
    drift: Drift,
    speed: f64,
    /// The last piece gathered was sound: an end needs a tail, a start a fade.
    sounding: bool,
    fade_in: bool,
    /// The last packet that was skipped: the decoder hears it before it comes back.
    skipped: Option<AudioPacket>,
    level: u8,
    making_up: bool,
    scratch: Vec<f32>,
    counts: VoiceCounts,
}

impl Voice {
    /// A voice that makes its decoder when it first speaks.
    pub fn new() -> Self {
        Self { speed: 1.0, level: SILENCE, ..Self::default() }
    }

    /// Takes a packet as it arrives.
    pub fn push(&mut self, sequence: u16, timestamp: u32, packet: AudioPacket, now: Duration) {
        self.buffer.push(sequence, timestamp, packet, now);
    }

    /// Nothing comes any more, see [`JitterBuffer::end`].
    pub fn end_stream(&mut self) {
        self.buffer.end();
    }

    /// Takes what is needed to play `samples` now. Returns whether there is any sound; its level is [`Voice::level`].
    pub fn gather(&mut self, samples: usize, now: Duration) -> bool {
        self.buffer.set_reading(samples);
        let off = self.buffer.excess(now).map(|e| e + i64::try_from(self.queue.len()).unwrap_or(0));
        self.speed = self.drift.speed(off, samples);
        let needed = self.queue.needed(samples, self.speed);
        let mut planned = self.queue.len();
        let mut loudest = None;
        self.rest = None;
        while planned < needed {
            let piece = match self.buffer.pull(now) {
                Pull::Packet(packet) => {
                    loudest = Some(loudest.unwrap_or(SILENCE).min(packet.level));
                    Piece::Packet(packet)
                }
                Pull::Missing { samples: 0 } => Piece::MakeUp((needed - planned).next_multiple_of(codec::SHORTEST)),
                Pull::Missing { samples } => Piece::MakeUp(samples),
                Pull::Silent => return self.end(Rest::Silent),
                Pull::Filling => return self.end(Rest::Filling),
                Pull::Idle => return self.end(Rest::Idle),
            };
            if !self.sounding {
                self.fade_in = true;
            }
            self.sounding = true;
            planned += piece.samples();
            self.pieces.push(piece);
        }
        self.level = loudest.unwrap_or(self.level);
        true
    }

    fn end(&mut self, rest: Rest) -> bool {
        self.rest = Some(rest);
        if self.sounding {
            self.sounding = false;
            self.pieces.push(Piece::Tail);
        }
        !self.pieces.is_empty() || !self.queue.is_empty()
    }

    /// Level of what was gathered last (RFC 6464 scale).
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Decodes what was gathered and fills `out` with it.
    pub fn render(&mut self, out: &mut [f32]) -> Heard {
        for piece in std::mem::take(&mut self.pieces) {
            self.decode(&piece);
        }
        let (written, taken) = self.queue.read(out, self.speed);
        out[written..].fill(0.0);
        let made_up = self.account(taken).min(written);
        let rest = self.rest.unwrap_or(Rest::None);
        let left = out.len() - written;
        let silent = if rest == Rest::Silent { left } else { 0 };
        if taken > written {
            self.counts.removed += (taken - written) as u64;
        } else {
            self.counts.inserted += (written - taken) as u64;
        }
        self.counts.total += (written + silent) as u64;
        self.counts.concealed += made_up as u64;
        Heard { real: written - made_up + silent, made_up, empty: left - silent, rest }
    }

    /// Drops what was gathered instead of decoding it; counts as played.
    pub fn skip(&mut self, samples: usize) {
        for piece in self.pieces.drain(..) {
            match piece {
                Piece::Packet(packet) => {
                    self.skipped = Some(packet);
                    self.making_up = false;
                }
                Piece::MakeUp(samples) => {
                    self.counts.concealed += samples as u64;
                    self.counts.concealment_events += u64::from(!self.making_up);
                    self.making_up = true;
                }
                Piece::Tail => {}
            }
        }
        self.counts.total += samples as u64;
        self.queue.clear();
        self.runs.clear();
    }

    /// Samples until the next packet is needed, and in the jitter buffer.
    pub fn buffered_samples(&self) -> usize {
        self.queue.len() + self.buffer.buffered_samples()
    }

    /// How late the next sample is against the target, in samples; `None` while nothing plays.
    pub fn excess(&self, now: Duration) -> Option<i64> {
        self.buffer.excess(now).map(|e| e + i64::try_from(self.queue.len()).unwrap_or(0))
    }

    /// The jitter buffer behind the voice.
    pub const fn buffer(&self) -> &JitterBuffer {
        &self.buffer
    }

    /// What was played.
    pub const fn counts(&self) -> VoiceCounts {
        self.counts
    }

    /// What was received and what had to be made up.
    pub fn counters(&self) -> ConcealmentCounters {
        ConcealmentCounters {
            total_samples_received: self.counts.total,
            concealed_samples: self.counts.concealed,
            concealment_events: self.counts.concealment_events,
            ..self.buffer.counters()
        }
    }

    fn decode(&mut self, piece: &Piece) {
        let mut samples = std::mem::take(&mut self.scratch);
        samples.clear();
        let made_up = !self.decode_into(piece, &mut samples);
        if std::mem::take(&mut self.fade_in) {
            for (i, sample) in samples.iter_mut().take(2 * FADE_IN).enumerate() {
                *sample *= (i + 1).saturating_sub(FADE_IN) as f32 / FADE_IN as f32;
            }
        }
        if matches!(piece, Piece::Tail) {
            let count = samples.len();
            for (i, sample) in samples.iter_mut().enumerate() {
                *sample *= (count - 1 - i) as f32 / count as f32;
            }
        }
        self.queue.push(&samples);
        self.runs.push_back((made_up, samples.len()));
        self.scratch = samples;
    }

    /// Appends the samples of a piece; false if they are made up.
    fn decode_into(&mut self, piece: &Piece, out: &mut Vec<f32>) -> bool {
        if self.decoder.is_none() {
            self.decoder = Decoder::new().ok();
        }
        let Some(decoder) = &mut self.decoder else {
            out.resize(piece.samples(), 0.0);
            return false;
        };
        if let Some(skipped) = self.skipped.take() {
            decoder.reset();
            // Its sound is past; only what it leaves in the decoder counts.
            if decoder.decode(&skipped.opus, out).is_err() {
                decoder.reset();
            }
            out.clear();
        }
        match piece {
            Piece::Packet(packet) if decoder.decode(&packet.opus, out).is_ok() => true,
            Piece::Packet(_) | Piece::MakeUp(_) => {
                decoder.conceal(piece.samples(), out);
                false
            }
            Piece::Tail => {
                decoder.conceal(TAIL, out);
                true
            }
        }
    }

    /// Takes `taken` samples off the runs; returns how many of them were made up.
    fn account(&mut self, mut taken: usize) -> usize {
        let mut made_up = 0;
        while taken > 0
            && let Some((is_made_up, left)) = self.runs.front_mut()
        {
            let part = taken.min(*left);
            *left -= part;
            taken -= part;
            if *is_made_up {
                made_up += part;
                self.counts.concealment_events += u64::from(!self.making_up);
            }
            self.making_up = *is_made_up;
            if *left == 0 {
                self.runs.pop_front();
            }
        }
        made_up
    }
}
