//! An adaptive jitter buffer for one stream.
//!
//! A packet's *relative delay* is how much later it came than the fastest packet of the last 10 s would have, by the
//! sender's timestamps. The target delay is a high quantile of it (`NetEq`'s idea), so that all but 1 % are in time. A
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
const FRAME: i64 = 960;
const _: () = assert!(FRAME.unsigned_abs() == FRAME_SAMPLES as u64);

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
    /// No packet will come any more, as far as is known.
    ended: bool,
    delays: Delays,
    min_target: i64,
    /// Samples that the reader takes at once: it needs so much before it is due.
    reading: i64,
    starts: u64,
    /// Whether anything was played since the sender came or came back.
    sounded: bool,
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
            ended: false,
            delays: Delays::default(),
            min_target: ticks(min_target.min(MAX_TARGET)),
            reading: 0,
            starts: 0,
            sounded: false,
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
        self.ended = false;
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

    /// The connection is gone: what is here is played, and nothing is made up for what does not come. The next packet goes on.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Says how many samples the reader is going to take at once: the target has room for the most it lately took.
    pub fn set_reading(&mut self, samples: usize) {
        let samples = i64::try_from(samples).unwrap_or(i64::MAX).min(ticks(MAX_TARGET));
        self.reading = samples.max(self.reading - self.reading / 256);
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

    /// Times that the first sound was played since the sender came or came back.
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
        (self.delays.quantile + MARGIN + self.reading).clamp(self.min_target, ticks(MAX_TARGET))
    }

    /// How long ago the sample at `position` should have been played, in ticks.
    fn overdue(&self, now: i64, position: i64) -> i64 {
        now - self.delays.fastest - self.target() - position
    }

    /// The timestamp without its wraps; begins anew if the sender did.
    fn unwrap(&mut self, timestamp: u32, arrival: i64) -> i64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the low 32 bits are the timestamp"
        )]
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
        self.stop();
        self.newest = i64::from(timestamp);
        self.newest
    }

    fn stop(&mut self) {
        self.state = State::Stopped;
        self.sounded = false;
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
                self.stop();
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
        }
        if !self.sounded {
            self.sounded = true;
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
                self.stop();
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
            && self.overdue(now, position) >= FRAME + self.reading
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
        self.ended || self.last_arrival.is_none_or(|last| now - last > ticks(STOPPED_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    /// A packet of 20 ms whose second byte tells it apart.
    fn sound(id: u8) -> AudioPacket {
        // Configuration 31: one CELT frame of 20 ms, full band.
        AudioPacket { level: 20, opus: Bytes::from(vec![0xF8, id]) }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn id(pull: &Pull) -> Option<u8> {
        if let Pull::Packet(packet) = pull { packet.opus.get(1).copied() } else { None }
    }

    /// Sends packet `n` of an even stream (number, sequence and timestamp count with it) at `at` ms.
    fn push(buffer: &mut JitterBuffer, n: u8, at: u64) {
        push_from(buffer, 65_530, u32::MAX - 3_000, n, at);
    }

    fn push_from(buffer: &mut JitterBuffer, sequence: u16, timestamp: u32, n: u8, at: u64) {
        let n16 = u16::from(n);
        buffer.push(sequence.wrapping_add(n16), timestamp.wrapping_add(u32::from(n) * 960), sound(n), ms(at));
    }

    fn keep_alive(buffer: &mut JitterBuffer, n: u8, at: u64) {
        let sequence = 65_530_u16.wrapping_add(u16::from(n));
        let timestamp = (u32::MAX - 3_000).wrapping_add(u32::from(n) * 960);
        buffer.push(sequence, timestamp, AudioPacket::keep_alive(), ms(at));
    }

    /// A buffer that has played packets 0..n of an even stream that began at 1,000 ms; time is then 1,045 + 20 n ms.
    fn playing(n: u8) -> JitterBuffer {
        let mut buffer = JitterBuffer::new();
        for i in 0..n + 2 {
            push(&mut buffer, i, 1_000 + 20 * u64::from(i));
            if i >= 2 {
                assert_eq!(id(&buffer.pull(ms(1_005 + 20 * u64::from(i)))), Some(i - 2));
            }
        }
        buffer
    }

    #[test]
    fn an_even_stream_fills_for_40_ms_and_then_plays_all_through_the_wraps() {
        let mut buffer = JitterBuffer::new();
        assert_eq!(buffer.pull(ms(990)), Pull::Idle);
        let mut got = Vec::new();
        for n in 0..200_u8 {
            let at = 1_000 + 20 * u64::from(n);
            push(&mut buffer, n, at);
            got.push(buffer.pull(ms(at + 5)));
        }
        assert_eq!(got[..2], [Pull::Filling, Pull::Filling]);
        assert!(got[2..].iter().enumerate().all(|(i, p)| id(p) == u8::try_from(i).ok()), "{got:?}");
        assert_eq!(buffer.target_samples(), 1_920);
        assert_eq!(buffer.starts(), 1);
        let delay = buffer.jitter_buffer_delay() / buffer.jitter_buffer_emitted_count() as f64;
        assert!((delay - 0.045).abs() < 0.001, "{delay}");
        assert_eq!(buffer.excess(ms(1_000 + 20 * 199 + 5)), Some(5 * 48 - 960), "the next one, 15 ms ahead");
    }

    #[test]
    fn reordered_packets_play_in_order_and_duplicates_once() {
        let mut buffer = playing(5);
        for (n, at) in [(8, 1_141), (7, 1_142), (7, 1_143), (3, 1_143), (9, 1_144)] {
            push(&mut buffer, n, at);
        }
        let got: Vec<_> = (0..5).map(|i| id(&buffer.pull(ms(1_145 + 20 * i)))).collect();
        assert_eq!(got, [5, 6, 7, 8, 9].map(Some));
        assert_eq!(buffer.counters().packets_discarded, 2, "one twice, one too late");
        assert_eq!(buffer.counters().packets_received, 12);
    }

    #[test]
    fn a_lost_packet_is_missing_once() {
        let mut buffer = playing(5);
        push(&mut buffer, 8, 1_160);
        let got: Vec<_> = (0..4).map(|i| buffer.pull(ms(1_145 + 20 * i))).collect();
        assert_eq!(
            got,
            [Pull::Packet(sound(5)), Pull::Packet(sound(6)), Pull::Missing { samples: 960 }, Pull::Packet(sound(8))]
        );
    }

    #[test]
    fn silence_after_a_keep_alive_is_not_loss_and_a_spurt_starts_at_the_target() {
        let mut buffer = playing(5);
        keep_alive(&mut buffer, 7, 1_140);
        assert_eq!((id(&buffer.pull(ms(1_145))), id(&buffer.pull(ms(1_165)))), (Some(5), Some(6)));
        for i in 0..18 {
            assert_eq!(buffer.pull(ms(1_185 + 20 * i)), Pull::Silent);
        }
        keep_alive(&mut buffer, 27, 1_540);
        assert_eq!(buffer.pull(ms(1_560)), Pull::Silent);
        // Sequence goes on by one while the timestamp jumps; 65,530 + 9 with the timestamp of 37.
        let stamp = (u32::MAX - 3_000).wrapping_add(37 * 960);
        buffer.push(65_530_u16.wrapping_add(28), stamp, sound(37), ms(1_740));
        assert_eq!(buffer.pull(ms(1_765)), Pull::Silent, "held back");
        assert_eq!(id(&buffer.pull(ms(1_785))), Some(37), "due after 40 ms");
        assert_eq!(buffer.counters().packets_discarded, 0);
        assert_eq!(buffer.starts(), 1);
    }

    #[test]
    fn the_first_sound_after_a_silent_start_is_a_start() {
        let mut buffer = JitterBuffer::new();
        keep_alive(&mut buffer, 0, 1_000);
        assert_eq!(buffer.pull(ms(1_050)), Pull::Silent);
        assert_eq!(buffer.starts(), 0);
        push(&mut buffer, 5, 1_100);
        assert_eq!(id(&buffer.pull(ms(1_150))), Some(5));
        assert_eq!(buffer.starts(), 1);
    }

    #[test]
    fn a_pause_without_a_keep_alive_is_no_loss_if_no_sequence_is_missing() {
        let mut buffer = playing(5);
        let stamp = (u32::MAX - 3_000).wrapping_add(12 * 960);
        buffer.push(65_530_u16.wrapping_add(7), stamp, sound(12), ms(1_140));
        let got: Vec<_> = (0..2).map(|i| id(&buffer.pull(ms(1_145 + 20 * i)))).collect();
        assert_eq!(got, [Some(5), Some(6)]);
        assert_eq!(buffer.pull(ms(1_185)), Pull::Silent);
    }

    #[test]
    fn nothing_for_500_ms_is_idle_and_playback_then_fills_again() {
        let mut buffer = playing(5);
        assert!(id(&buffer.pull(ms(1_145))).is_some() && id(&buffer.pull(ms(1_165))).is_some());
        // The last packet came at 1,120 ms.
        assert_eq!(buffer.pull(ms(1_620)), Pull::Missing { samples: 0 });
        assert_eq!(buffer.pull(ms(1_621)), Pull::Idle);
        push(&mut buffer, 60, 2_200);
        assert_eq!(buffer.pull(ms(2_205)), Pull::Filling);
        assert_eq!(id(&buffer.pull(ms(2_245))), Some(60));
        assert_eq!(buffer.starts(), 2);
    }

    #[test]
    fn an_end_makes_nothing_up_and_the_next_packet_goes_on() {
        let mut buffer = playing(5);
        buffer.end();
        assert_eq!((id(&buffer.pull(ms(1_145))), id(&buffer.pull(ms(1_165)))), (Some(5), Some(6)), "what is here");
        assert_eq!(buffer.pull(ms(1_185)), Pull::Idle, "not made up");
        push(&mut buffer, 60, 2_200);
        assert_eq!(buffer.pull(ms(2_205)), Pull::Filling);
        assert_eq!(id(&buffer.pull(ms(2_245))), Some(60));
    }

    #[test]
    fn a_stall_grows_the_buffer_for_a_while_and_what_is_too_late_is_thrown_away() {
        for (stalled, thrown_away) in [(10_u8, 0), (22, 4)] {
            let mut buffer = playing(100);
            let mut missing = 0;
            // So many packets come together.
            let back = 3_045 + 20 * u64::from(stalled + 2);
            for at in (3_045..back).step_by(20) {
                missing += u8::from(matches!(buffer.pull(ms(at)), Pull::Missing { samples: 0 }));
            }
            assert_eq!(missing, stalled);
            for n in 102..104 + stalled {
                push(&mut buffer, n, back - 1);
            }
            let first = id(&buffer.pull(ms(back))).unwrap();
            assert_eq!(u64::from(first - 102), buffer.counters().packets_discarded);
            assert_eq!(first - 102, thrown_away, "a target of {} keeps the rest", buffer.target_samples());
            for n in first + 1..104 + stalled {
                let at = back + 20 * u64::from(n - first);
                assert_eq!(id(&buffer.pull(ms(at))), Some(n), "no gap behind it");
            }
        }
    }

    #[test]
    fn the_target_follows_jitter_and_comes_back() {
        let mut buffer = JitterBuffer::new();
        let mut at = |n: u32, late: u64| {
            buffer.push(u16::try_from(n).unwrap(), n * 960, sound(0), ms(1_000 + 20 * u64::from(n) + late));
            buffer.pull(ms(1_001 + 20 * u64::from(n) + late));
            buffer.target_samples()
        };
        let even = (0..100).map(|n| at(n, 0)).max();
        assert_eq!(even, Some(1_920));
        let jittery = (100..400).map(|n| at(n, if n % 10 == 0 { 100 } else { 0 })).last().unwrap();
        assert!((4_800..=5_500).contains(&jittery), "100 ms and a margin: {jittery}");
        let wild = (400..700).map(|n| at(n, if n % 10 == 0 { 900 } else { 0 })).last();
        assert_eq!(wild, Some(19_200), "bounded at 400 ms");
        let calm = (700..1_300).map(|n| at(n, 0)).last();
        assert_eq!(calm, Some(1_920));
    }

    #[test]
    fn a_restarted_sender_is_taken_at_once() {
        for timestamp in [0, 0x8000_0000, 77_777_777] {
            let mut buffer = playing(100);
            for n in 0..10 {
                push_from(&mut buffer, 3, timestamp, n, 3_100 + 20 * u64::from(n));
            }
            assert_eq!(id(&buffer.pull(ms(3_300))).map(|n| n < 10), Some(true), "{timestamp}");
        }
    }

    #[test]
    fn a_sender_that_comes_back_after_minutes_is_taken_at_once() {
        let mut buffer = playing(100);
        push_from(&mut buffer, 9, 5, 0, 600_000);
        assert_eq!(buffer.pull(ms(600_001)), Pull::Filling);
        assert_eq!(id(&buffer.pull(ms(600_041))), Some(0));
    }

    #[test]
    fn a_reader_that_sleeps_finds_at_most_400_ms() {
        let mut buffer = playing(10);
        for n in 12..112 {
            push(&mut buffer, n, 1_000 + 20 * u64::from(n));
        }
        assert_eq!(id(&buffer.pull(ms(3_230))), Some(111 - 20));
    }

    proptest! {
        #[test]
        fn any_arrivals_keep_order_and_bounds(
            arrivals in prop::collection::vec((any::<bool>(), 0_u16..12, 0_u64..80, any::<bool>()), 1..200),
            wild in any::<u32>(),
        ) {
            let mut buffer = JitterBuffer::new();
            let (mut now, mut emitted) = (1_000, 0);
            for (i, &(jump, back, wait, keep)) in arrivals.iter().enumerate() {
                now += wait;
                let n = u16::try_from(i).unwrap().saturating_sub(back);
                let base = if jump && i % 50 == 49 { wild } else { 0 };
                let packet = if keep && i % 7 == 0 { AudioPacket::keep_alive() } else { sound(0) };
                buffer.push(n, base.wrapping_add(u32::from(n) * 960), packet, ms(now));
                let pull = buffer.pull(ms(now + 3));
                emitted += u64::from(matches!(pull, Pull::Packet(_)));
                if let Pull::Packet(packet) = pull {
                    prop_assert!(!packet.opus.is_empty(), "a keep-alive is never decoded");
                }
                prop_assert!((1_920..=19_200).contains(&buffer.target_samples()));
                prop_assert!(buffer.buffered_samples() <= MAX_PACKETS * 960);
            }
            let counters = buffer.counters();
            prop_assert_eq!(counters.packets_received, arrivals.len() as u64);
            prop_assert!(emitted + counters.packets_discarded <= counters.packets_received);
        }
    }
}
