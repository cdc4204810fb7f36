//! What a client's speaker callback pulls from.
//!
//! # Underruns
//!
//! A callback that gets fewer real samples than it should is an underrun. Silence from a silent sender is real. The cause:
//!
//! | cause | what was found |
//! |---|---|
//! | `Filling` | sound has come and is held back until the buffer is long enough |
//! | `NothingReceived` | no packet ever, or none for more than 500 ms |
//! | `LateData` | the packet was due by the sender's clock plus the target delay (or was lost on the way), so sound was made up |
//! | `LateCallback` | the data was there or not yet due, and a callback came more than 1.5 periods after the one before it |
//!
//! The caller's period is `out.len()`. A late callback alone is no underrun: a device that buffers several periods
//! asks late and then quickly several times, and loses nothing. So the time that a late callback missed is kept as a
//! debt, and callbacks that come early pay it back. `LateCallback` is reported
//!
//! * when sound had to be made up during such a catch-up although the missing packet was not due yet: the device
//!   was served faster than time passes;
//! * when callbacks come at their pace again and more than half a period of the debt is left: the device went without
//!   these samples. Then `got` is `out.len()` and `expected` is more than that by the debt.

use serde::Serialize;
use std::time::Duration;

use super::voice::{Rest, Voice};
use super::{SAMPLE_RATE, meter, ticks};
use crate::event::{ConcealmentCounters, UnderrunCause};
use crate::protocol::AudioPacket;

/// What one callback got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Real samples, silence of a silent sender included.
    pub got: usize,
    /// `out.len()`, or more if a late callback cost the device samples.
    pub expected: usize,
    /// Why `got` is less than `expected`.
    pub underrun: Option<UnderrunCause>,
    /// Samples that wait after this callback, decoded or not.
    pub buffered: usize,
    /// Samples that should wait on average.
    pub target: usize,
    /// Playback began in this callback, for the first time or after the sender had stopped.
    pub started: bool,
}

/// Underruns of one cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnderrunStats {
    /// Callbacks.
    pub count: u64,
    /// Samples that they got.
    pub samples_got: u64,
    /// Samples that they should have got.
    pub samples_expected: u64,
}

/// Underruns by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnderrunsByCause {
    /// The buffer was filling.
    pub filling: UnderrunStats,
    /// Nothing came.
    pub nothing_received: UnderrunStats,
    /// Packets came too late or not at all.
    pub late_data: UnderrunStats,
    /// The device asked too late.
    pub late_callback: UnderrunStats,
}

impl UnderrunsByCause {
    fn of(&mut self, cause: UnderrunCause) -> &mut UnderrunStats {
        match cause {
            UnderrunCause::Filling => &mut self.filling,
            UnderrunCause::NothingReceived => &mut self.nothing_received,
            UnderrunCause::LateData => &mut self.late_data,
            UnderrunCause::LateCallback => &mut self.late_callback,
        }
    }
}

/// Counters since the beginning, by the names of W3C webrtc-stats where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlayoutStats {
    /// Packets that came, keep-alives included.
    pub packets_received: u64,
    /// Packets thrown away: too late, twice, or beyond the bound of the buffer.
    pub packets_discarded: u64,
    /// Samples played, made-up ones and silence of a silent sender included.
    pub total_samples_received: u64,
    /// Seconds of `total_samples_received`.
    pub total_samples_duration: f64,
    /// Samples made up.
    pub concealed_samples: u64,
    /// Runs of made-up samples.
    pub concealment_events: u64,
    /// Seconds that emitted samples spent in the buffer, summed over samples.
    pub jitter_buffer_delay: f64,
    /// Seconds of target delay, summed over emitted samples.
    pub jitter_buffer_target_delay: f64,
    /// Samples emitted by the buffer.
    pub jitter_buffer_emitted_count: u64,
    /// Samples put in to play slower than received (clock drift).
    pub inserted_samples_for_deceleration: u64,
    /// Samples left out to play faster.
    pub removed_samples_for_acceleration: u64,
    /// Sum of squared sample values over the sampling rate (1.0 is full scale).
    pub total_audio_energy: f64,
    /// RMS of the last callback, 0 to 1.
    pub audio_level: f64,
    /// Times that the speaker asked.
    pub callbacks: u64,
    /// Of these, more than 1.5 periods after the one before.
    pub late_callbacks: u64,
    /// Callbacks that got too little.
    pub underruns: UnderrunsByCause,
}

/// The punctuality of callbacks, in ticks.
#[derive(Debug, Default)]
struct CallbackClock {
    last: Option<i64>,
    debt: i64,
    catching_up: bool,
    late: u64,
}

impl CallbackClock {
    /// Notes a callback; returns the samples that the device is now known to have gone without.
    fn observe(&mut self, now: i64, period: i64) -> i64 {
        let Some(last) = self.last.replace(now) else { return 0 };
        let elapsed = now - last;
        if 2 * elapsed > 3 * period {
            self.late += 1;
            self.catching_up = true;
        }
        if !self.catching_up {
            return 0;
        }
        self.debt = (self.debt + elapsed - period).max(0);
        let at_pace = 10 * elapsed >= 9 * period && 2 * elapsed <= 3 * period;
        if !at_pace {
            return 0;
        }
        self.catching_up = false;
        let lost = std::mem::take(&mut self.debt);
        if 2 * lost > period { lost } else { 0 }
    }
}

/// A received stream on its way to a speaker; see the module's documentation.
#[derive(Debug)]
pub struct Playout {
    voice: Voice,
    clock: CallbackClock,
    callbacks: u64,
    energy: f64,
    level: f64,
    underruns: UnderrunsByCause,
}

impl Default for Playout {
    fn default() -> Self {
        Self::new()
    }
}

impl Playout {
    /// A playout that has received nothing; its decoder is made with the first sound.
    pub fn new() -> Self {
        Self {
            voice: Voice::new(),
            clock: CallbackClock::default(),
            callbacks: 0,
            energy: 0.0,
            level: 0.0,
            underruns: UnderrunsByCause::default(),
        }
    }

    /// Takes a packet as it arrives.
    pub fn push(&mut self, sequence: u16, timestamp: u32, packet: AudioPacket, now: Duration) {
        self.voice.push(sequence, timestamp, packet, now);
    }

    /// Fills all of `out` (any length): with sound, with made-up sound if it is missing in the middle of speech, or
    /// with zeros.
    pub fn render(&mut self, out: &mut [f32], now: Duration) -> Rendered {
        self.callbacks += 1;
        let period = i64::try_from(out.len()).unwrap_or(i64::MAX);
        let catching_up_before = self.clock.catching_up;
        let lost = self.clock.observe(ticks(now), period);
        let catching_up = catching_up_before || self.clock.catching_up;
        let starts = self.voice.buffer().starts();
        self.voice.gather(out.len(), now);
        let heard = self.voice.render(out);
        let mut expected = out.len();
        let underrun = if heard.made_up > 0 {
            // Negative: the next packet is not due yet, so it is not late.
            let ahead = self.voice.buffer().excess(now).is_some_and(|late| late < 0);
            Some(if catching_up && ahead { UnderrunCause::LateCallback } else { UnderrunCause::LateData })
        } else if heard.empty > 0 {
            Some(if heard.rest == Rest::Filling { UnderrunCause::Filling } else { UnderrunCause::NothingReceived })
        } else if lost > 0 && heard.rest == Rest::None {
            expected += usize::try_from(lost).unwrap_or(0);
            Some(UnderrunCause::LateCallback)
        } else {
            None
        };
        if let Some(cause) = underrun {
            let stats = self.underruns.of(cause);
            stats.count += 1;
            stats.samples_got += heard.real as u64;
            stats.samples_expected += expected as u64;
        }
        self.level = meter::rms(out);
        self.energy += self.level * self.level * out.len() as f64 / f64::from(SAMPLE_RATE);
        Rendered {
            got: heard.real,
            expected,
            underrun,
            buffered: self.voice.buffered_samples(),
            target: self.voice.buffer().target_samples(),
            started: self.voice.buffer().starts() > starts,
        }
    }

    /// What was received and what had to be made up.
    pub fn counters(&self) -> ConcealmentCounters {
        self.voice.counters()
    }

    /// All counters.
    pub fn stats(&self) -> PlayoutStats {
        let counters = self.voice.counters();
        let counts = self.voice.counts();
        let buffer = self.voice.buffer();
        PlayoutStats {
            packets_received: counters.packets_received,
            packets_discarded: counters.packets_discarded,
            total_samples_received: counts.total,
            total_samples_duration: counts.total as f64 / f64::from(SAMPLE_RATE),
            concealed_samples: counts.concealed,
            concealment_events: counts.concealment_events,
            jitter_buffer_delay: buffer.jitter_buffer_delay(),
            jitter_buffer_target_delay: buffer.jitter_buffer_target_delay(),
            jitter_buffer_emitted_count: buffer.jitter_buffer_emitted_count(),
            inserted_samples_for_deceleration: counts.inserted,
            removed_samples_for_acceleration: counts.removed,
            total_audio_energy: self.energy,
            audio_level: self.level,
            callbacks: self.callbacks,
            late_callbacks: self.clock.late,
            underruns: self.underruns,
        }
    }
}
