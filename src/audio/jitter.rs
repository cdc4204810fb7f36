//! An adaptive jitter buffer for one stream.
//!
//! A packet's *relative delay* is how much later it came than the fastest packet of the last 10 s would have, by the
//! sender's timestamps. The target delay is a high quantile of it (NetEq's idea), so that all but 1 % are in time. A
//! talk spurt starts when its first packet is due: fastest arrival + target. From then on one packet follows another,
//! and the reader asks [`JitterBuffer::excess`] how far off the target it plays.
//!
//! ```text
//!            packet             due                      keep-alive
//! Stopped -----------> Filling -----> Playing ------------------------------> Silent
//!    ^                                   |  ^                due               |  |
//!    +------ nothing for 500 ms ---------+  +----------------------------------+  |
//!    +------ nothing for 500 ms --------------------------------------------------+
//! ```
//!
//! In `Playing` a gap inside the stream is a loss: made up, and playback goes on behind it. An empty buffer
//! is late data: made up, and playback waits, so the delay grows as the network asks for; what then comes later than
//! the new target allows is thrown away. In silence nothing is lost, so there every spurt starts at the target anew.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{FRAME_SAMPLES, codec, ticks};
use crate::event::ConcealmentCounters;
use crate::protocol::AudioPacket;

/// Smallest target delay by default (40 ms).
pub const MIN_TARGET: Duration = Duration::from_millis(40);

/// Largest target delay, and the longest that the buffer ever is (400 ms).
pub const MAX_TARGET: Duration = Duration::from_millis(400);

/// A sender that sent nothing for so long has stopped; keep-alives come every 400 ms.
pub const STOPPED_AFTER: Duration = Duration::from_millis(500);

/// Ticks of a frame.
const FRAME: i64 = FRAME_SAMPLES as i64;

/// Packets that are ever kept, against a reader that never reads.
const MAX_PACKETS: usize = 64;

/// Arrivals that the target is drawn from: at most so many, at most so old (ticks).
const WINDOW: (usize, i64) = (500, 480_000);

/// Of how many arrivals one may be late.
const LATE_ONE_IN: usize = 100;

/// Added to the quantile, ticks (10 ms): the reader's own unevenness.
const MARGIN: i64 = 480;

/// A timestamp that is so far off (ticks, 1 s) is that of a new stream.
const RESTART: i64 = 48_000;

/// What to play for the next frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Decode this.
    Packet(AudioPacket),
    /// The sender is alive and silent: play silence, nothing is missing.
    Silent,
    /// Sound has come and is held back until the buffer is as long as it should be.
    Filling,
    /// Sound is missing: make it up.
    Missing {
        /// Samples to make up; 0 if the packets are late, and then as many as the reader needs now.
        samples: usize,
    },
    /// Nothing was ever received, or nothing for more than [`STOPPED_AFTER`].
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Stopped,
    Filling,
    Playing,
    Silent,
}

#[derive(Debug)]
struct Entry {
    sequence: u16,
    arrival: i64,
    packet: AudioPacket,
}

impl Entry {
    fn is_sound(&self) -> bool {
        !self.packet.opus.is_empty()
    }
}

/// Arrivals of the last seconds and what follows from them.
#[derive(Debug, Default)]
struct Delays {
    /// Arrival, and arrival minus timestamp, in ticks.
    window: VecDeque<(i64, i64)>,
    scratch: Vec<i64>,
    /// Arrival minus timestamp of the fastest.
    fastest: i64,
    /// Relative delay that only one in [`LATE_ONE_IN`] exceeds.
    quantile: i64,
}

impl Delays {
    fn add(&mut self, arrival: i64, position: i64) {
        self.window.push_back((arrival, arrival - position));
        while self.window.len() > WINDOW.0 || self.window.front().is_some_and(|f| f.0 < arrival - WINDOW.1) {
            self.window.pop_front();
        }
        self.scratch.clear();
        self.scratch.extend(self.window.iter().map(|w| w.1));
        let late = self.scratch.len() / LATE_ONE_IN;
        let rank = self.scratch.len() - 1 - late;
        let quantile = *self.scratch.select_nth_unstable(rank).1;
        // Selection leaves the smaller ones in front.
        self.fastest = self.scratch[..=rank].iter().copied().min().unwrap_or(quantile);
        self.quantile = quantile - self.fastest;
    }
}

/// The buffer of one stream; see the module's documentation.
#[derive(Debug)]
pub struct JitterBuffer {
    entries: BTreeMap<i64, Entry>,
    state: State,
    /// Unwrapped timestamp of the next sample to be played.
    cursor: i64,
    /// Sequence of the last packet played or given up.
    sequence: u16,
    /// Samples of the last packet played.
    frame: i64,
    /// The reader ran dry since the last packet.
    starved: bool,
    newest: i64,
    last_arrival: Option<i64>,
    delays: Delays,
    min_target: i64,
    starts: u64,
    packets_received: u64,
    packets_discarded: u64,
    delay_ticks: i64,
    target_ticks: i64,
    emitted: u64,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl JitterBuffer {
    /// An empty buffer with the default smallest target, [`MIN_TARGET`].
    pub fn new() -> Self {
        Self::with_min_target(MIN_TARGET)
    }

    /// An empty buffer whose target is never below `min_target`.
    pub fn with_min_target(min_target: Duration) -> Self {
        Self {
            entries: BTreeMap::new(),
            state: State::Stopped,
            cursor: i64::MIN,
            sequence: 0,
            frame: FRAME,
            starved: false,
            newest: 0,
            last_arrival: None,
            delays: Delays::default(),
            min_target: ticks(min_target.min(MAX_TARGET)),
            starts: 0,
            packets_received: 0,
            packets_discarded: 0,
            delay_ticks: 0,
            target_ticks: 0,
            emitted: 0,
        }
    }

    /// Takes a packet as it arrives. `timestamp` counts 48 kHz ticks of the sender; both numbers wrap.
    pub fn push(&mut self, sequence: u16, timestamp: u32, packet: AudioPacket, now: Duration) {
        let arrival = ticks(now);
        self.packets_received += 1;
        let position = self.unwrap(timestamp, arrival);
        self.delays.add(arrival, position);
        self.newest = self.newest.max(position);
        self.last_arrival = Some(self.last_arrival.map_or(arrival, |last| last.max(arrival)));
        let entry = Entry { sequence, arrival, packet };
        if position < self.cursor || self.entries.contains_key(&position) {
            self.discard(&entry);
            return;
        }
        self.entries.insert(position, entry);
        if self.entries.len() > MAX_PACKETS {
            self.drop_first();
        }
    }

    /// The next frame to play. Call it whenever another frame of samples is needed: once every 20 ms on average.
    pub fn pull(&mut self, now: Duration) -> Pull {
        let now = ticks(now);
        if self.state == State::Playing { self.pull_playing(now) } else { self.pull_waiting(now) }
    }

    /// How much later than the target the next packet plays if it is pulled now, in samples: positive if the buffer is longer than
    /// it should be. `None` while nothing plays.
    pub fn excess(&self, now: Duration) -> Option<i64> {
        (self.state == State::Playing).then(|| self.overdue(ticks(now), self.cursor))
    }

    /// Samples that wait in the buffer (before decoding).
    pub fn buffered_samples(&self) -> usize {
        usize::try_from(self.frame).unwrap_or(0) * self.entries.values().filter(|e| e.is_sound()).count()
    }

    /// The delay that the network asks for, in samples.
    pub fn target_samples(&self) -> usize {
        usize::try_from(self.target()).unwrap_or(0)
    }

    /// Whether any packet ever came.
    pub fn has_received(&self) -> bool {
        self.last_arrival.is_some()
    }

    /// Times that playback began after filling.
    pub const fn starts(&self) -> u64 {
        self.starts
    }

    /// Packets received and thrown away; the reader knows what was played and made up.
    pub fn counters(&self) -> ConcealmentCounters {
        ConcealmentCounters {
            packets_received: self.packets_received,
            packets_discarded: self.packets_discarded,
            ..ConcealmentCounters::default()
        }
    }

    /// Sum over all emitted samples of the seconds that each spent in the buffer (W3C `jitterBufferDelay`).
    pub fn jitter_buffer_delay(&self) -> f64 {
        self.delay_ticks as f64 / f64::from(super::SAMPLE_RATE)
    }

    /// Sum over all emitted samples of the target when each was emitted, seconds (W3C `jitterBufferTargetDelay`).
    pub fn jitter_buffer_target_delay(&self) -> f64 {
        self.target_ticks as f64 / f64::from(super::SAMPLE_RATE)
    }

    /// Samples emitted (W3C `jitterBufferEmittedCount`).
    pub const fn jitter_buffer_emitted_count(&self) -> u64 {
        self.emitted
    }

    fn target(&self) -> i64 {
        (self.delays.quantile + MARGIN).clamp(self.min_target, ticks(MAX_TARGET))
    }

    /// How long ago the sample at `position` should have been played, in ticks.
    fn overdue(&self, now: i64, position: i64) -> i64 {
        now - self.delays.fastest - self.target() - position
    }

    /// The timestamp without its wraps; begins anew if the sender did.
    fn unwrap(&mut self, timestamp: u32, arrival: i64) -> i64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low 32 bits are the timestamp")]
        let newest = self.newest as u32;
        let position = self.newest + i64::from(timestamp.wrapping_sub(newest).cast_signed());
        let known = self.delays.window.back().is_some_and(|last| arrival - last.0 <= WINDOW.1);
        let early = arrival - position - self.delays.fastest < -RESTART;
        if known && !early && position >= self.newest - RESTART {
            return position;
        }
        while !self.entries.is_empty() {
            self.drop_first();
        }
        self.delays.window.clear();
        self.cursor = i64::MIN;
        self.state = State::Stopped;
        self.newest = i64::from(timestamp);
        self.newest
    }

    fn pull_waiting(&mut self, now: i64) -> Pull {
        while let Some(first) = self.entries.first_entry()
            && !first.get().is_sound()
        {
            self.cursor = *first.key();
            self.sequence = first.remove().sequence;
            self.state = State::Silent;
        }
        let Some((&position, _)) = self.entries.first_key_value() else {
            if self.has_stopped(now) {
                self.state = State::Stopped;
            }
            return if self.state == State::Stopped { Pull::Idle } else { Pull::Silent };
        };
        if self.state == State::Stopped {
            self.state = State::Filling;
        }
        if self.overdue(now, position) < 0 {
            return if self.state == State::Filling { Pull::Filling } else { Pull::Silent };
        }
        if self.state == State::Filling {
            self.trim(now);
            self.starts += 1;
        }
        self.state = State::Playing;
        self.emit(now)
    }

    fn pull_playing(&mut self, now: i64) -> Pull {
        while self.span() > ticks(MAX_TARGET) {
            self.drop_first();
        }
        if self.starved {
            self.trim(now);
        }
        let Some((&position, first)) = self.entries.first_key_value() else {
            if self.has_stopped(now) {
                self.state = State::Stopped;
                return Pull::Idle;
            }
            self.starved = true;
            return Pull::Missing { samples: 0 };
        };
        if position - self.cursor > self.frame / 2 && self.cursor != i64::MIN {
            // Sequences without a gap: nothing is missing, the sender paused.
            let paused = first.sequence == self.sequence.wrapping_add(1);
            if self.starved {
                // What is missing was made up while the reader waited.
                if self.overdue(now, position) < 0 {
                    return Pull::Missing { samples: 0 };
                }
            } else if paused || position - self.cursor > ticks(MAX_TARGET) {
                self.state = State::Silent;
                return self.pull_waiting(now);
            } else {
                self.cursor += self.frame;
                self.sequence = self.sequence.wrapping_add(1);
                return Pull::Missing { samples: usize::try_from(self.frame).unwrap_or(FRAME_SAMPLES) };
            }
        }
        if !first.is_sound() {
            self.state = State::Silent;
            return self.pull_waiting(now);
        }
        self.emit(now)
    }

    fn emit(&mut self, now: i64) -> Pull {
        let Some((position, entry)) = self.entries.pop_first() else { return Pull::Idle };
        // What cannot be decoded is made up, a frame long.
        let samples = codec::samples(&entry.packet.opus).unwrap_or(FRAME_SAMPLES);
        self.frame = i64::try_from(samples).unwrap_or(FRAME);
        self.cursor = position + self.frame;
        self.sequence = entry.sequence;
        self.starved = false;
        self.delay_ticks += (now - entry.arrival) * self.frame;
        self.target_ticks += self.target() * self.frame;
        self.emitted += samples as u64;
        Pull::Packet(entry.packet)
    }

    /// After a gap in playback: throws away what is later than the target allows, but never the last packet of sound.
    fn trim(&mut self, now: i64) {
        while let Some((&position, _)) = self.entries.first_key_value()
            && self.overdue(now, position) >= FRAME
            && self.entries.values().nth(1).is_some_and(Entry::is_sound)
        {
            self.drop_first();
        }
    }

    /// Ticks from the first to the last packet.
    fn span(&self) -> i64 {
        let (first, last) = (self.entries.first_key_value(), self.entries.last_key_value());
        first.zip(last).map_or(0, |(first, last)| last.0 - first.0)
    }

    fn drop_first(&mut self) {
        if let Some((position, entry)) = self.entries.pop_first() {
            self.cursor = self.cursor.max(position + self.frame.min(FRAME));
            self.sequence = entry.sequence;
            self.discard(&entry);
        }
    }

    fn discard(&mut self, entry: &Entry) {
        // A keep-alive that nobody needs any more is no loss.
        if entry.is_sound() {
            self.packets_discarded += 1;
        }
    }

    fn has_stopped(&self, now: i64) -> bool {
        self.last_arrival.is_none_or(|last| now - last > ticks(STOPPED_AFTER))
    }
}
