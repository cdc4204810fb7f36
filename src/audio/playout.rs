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
    /// The last callback before the device asked late, until it is at its pace again.
    pub late_since: Option<Duration>,
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
    /// The callback before the one that was late.
    since: i64,
    late: u64,
}

impl CallbackClock {
    /// Notes a callback; returns the samples that the device is now known to have gone without.
    fn observe(&mut self, now: i64, period: i64) -> i64 {
        let Some(last) = self.last.replace(now) else { return 0 };
        let elapsed = now - last;
        if 2 * elapsed > 3 * period {
            self.late += 1;
            if !self.catching_up {
                self.since = last;
            }
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
        let gone = std::mem::take(&mut self.debt);
        if 2 * gone > period { gone } else { 0 }
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

    /// Nothing comes any more until somebody sends again: what is here is played, and nothing is made up.
    pub fn end_stream(&mut self) {
        self.voice.end_stream();
    }

    /// Fills all of `out` (any length): with sound, with made-up sound if it is missing in the middle of speech, or
    /// with zeros.
    pub fn render(&mut self, out: &mut [f32], now: Duration) -> Rendered {
        self.callbacks += 1;
        let period = i64::try_from(out.len()).unwrap_or(i64::MAX);
        let catching_up_before = self.clock.catching_up;
        let lost = self.clock.observe(ticks(now), period);
        let catching_up = catching_up_before || self.clock.catching_up;
        let begun = self.voice.buffer().starts();
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
            started: self.voice.buffer().starts() > begun,
            late_since: catching_up.then(|| time_of(self.clock.since)),
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

/// The time of a tick of the media clock.
fn time_of(ticks: i64) -> Duration {
    Duration::from_micros(u64::try_from(ticks).unwrap_or(0).saturating_mul(1_000_000) / u64::from(SAMPLE_RATE))
}

#[cfg(test)]
mod tests {
    use super::super::signal::Noise;
    use super::super::{Encoder, FRAME_SAMPLES, KEEP_ALIVE_FRAMES, Prediction, Tone, level};
    use super::*;

    /// A sender and a speaker on one virtual clock, in microseconds.
    struct Call {
        playout: Playout,
        encoder: Encoder,
        tone: Tone,
        /// Arrival and packet number, in order of arrival.
        arrivals: Vec<(u64, u16, u32, AudioPacket)>,
        heard: Vec<f32>,
        rendered: Vec<Rendered>,
    }

    const START: u64 = 1_000_000;

    impl Call {
        /// Packet n is sent at `n * period` us and arrives `delay(n)` us later; `speaks(n)` or a keep-alive.
        fn new(frames: u32, period: u64, mut delay: impl FnMut(u32) -> u64, speaks: impl Fn(u32) -> bool) -> Self {
            let mut call = Self {
                playout: Playout::new(),
                encoder: Encoder::new(Prediction::Disabled).unwrap(),
                tone: Tone::new(440.0, 0.2),
                arrivals: Vec::new(),
                heard: Vec::new(),
                rendered: Vec::new(),
            };
            let (mut sequence, mut silent) = (0, 0);
            for n in 0..frames {
                let mut frame = [0.0; FRAME_SAMPLES];
                call.tone.fill(&mut frame);
                let at = START + u64::from(n) * period + delay(n);
                silent = if speaks(n) { 0 } else { silent + 1 };
                let packet = match silent % KEEP_ALIVE_FRAMES {
                    _ if silent == 0 => {
                        AudioPacket { level: level(&frame), opus: call.encoder.encode(&frame).unwrap() }
                    }
                    1 => AudioPacket::keep_alive(),
                    _ => continue,
                };
                call.arrivals.push((at, sequence, n * 960, packet));
                sequence = sequence.wrapping_add(1);
            }
            // TCP: what comes late holds up what is behind it.
            for i in 1..call.arrivals.len() {
                call.arrivals[i].0 = call.arrivals[i].0.max(call.arrivals[i - 1].0);
            }
            call.arrivals.reverse();
            call
        }

        fn even(frames: u32) -> Self {
            Self::new(frames, 20_000, |_| 0, |_| true)
        }

        /// One callback at `at` us.
        fn callback(&mut self, at: u64, samples: usize) -> Rendered {
            while self.arrivals.last().is_some_and(|a| a.0 <= at) {
                let (time, sequence, timestamp, packet) = self.arrivals.pop().unwrap();
                self.playout.push(sequence, timestamp, packet, Duration::from_micros(time));
            }
            let mut out = vec![9.0; samples];
            let rendered = self.playout.render(&mut out, Duration::from_micros(at));
            self.heard.extend(out);
            self.rendered.push(rendered);
            rendered
        }

        /// Callbacks of 10 ms from `from` to `to` ms after the start, each `uneven` us off.
        fn run(&mut self, from: u64, to: u64, mut uneven: impl FnMut() -> u64) {
            for ms in (from..to).step_by(10) {
                self.callback(START + ms * 1_000 + uneven(), 480);
            }
        }

        fn causes(&self) -> Vec<UnderrunCause> {
            self.rendered.iter().filter_map(|r| r.underrun).collect()
        }
    }

    fn jitter(seed: u64, most: f64) -> impl FnMut() -> u64 {
        let mut noise = Noise::new(seed, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds, small")]
        move || (noise.next_unit() * most) as u64
    }

    #[test]
    fn a_healthy_call_conceals_nothing_from_the_first_frame_on() {
        for seed in 0..20 {
            let mut network = jitter(seed, 10_000.0);
            let mut call = Call::new(1_500, 20_000, |_| network(), |_| true);
            call.run(0, 29_500, jitter(seed + 100, 4_000.0));
            let stats = call.playout.stats();
            assert_eq!((stats.concealed_samples, stats.packets_discarded), (0, 0), "seed {seed}");
            assert_eq!((stats.inserted_samples_for_deceleration, stats.removed_samples_for_acceleration), (0, 0));
            let start = call.rendered.iter().position(|r| r.started).unwrap();
            assert!((3..=6).contains(&start), "seed {seed}: playback starts after about 40 ms, callback {start}");
            assert!(call.rendered[start..].iter().all(|r| r.underrun.is_none() && r.got == 480 && r.target == 1_920));
            assert!(call.rendered[..start].iter().all(|r| r.underrun.is_some() && r.got == 0));
        }
    }

    #[test]
    fn what_is_heard_is_bit_for_bit_what_was_decoded() {
        let mut call = Call::even(100);
        let mut decoder = super::super::Decoder::new().unwrap();
        let mut wanted = Vec::new();
        for arrival in call.arrivals.iter().rev() {
            decoder.decode(&arrival.3.opus, &mut wanted).unwrap();
        }
        call.run(0, 1_900, || 0);
        let start = 480 * call.rendered.iter().position(|r| r.started).unwrap();
        assert!(call.heard[..start].iter().all(|s| *s == 0.0));
        let heard = &call.heard[start..];
        // The beginning is faded in.
        assert_eq!(heard[240..], wanted[240..heard.len()]);
    }

    #[test]
    fn spikes_of_40_ms_cost_at_most_a_few_and_then_nothing() {
        for seed in 0..10 {
            let mut network = jitter(seed, 10_000.0);
            let delay = move |n: u32| network() + if n % 50 == 49 { 40_000 } else { 0 };
            let mut call = Call::new(3_000, 20_000, delay, |_| true);
            call.run(0, 59_500, jitter(seed + 100, 4_000.0));
            let stats = call.playout.stats();
            assert!(stats.concealment_events <= 4, "seed {seed}: {stats:?}");
            assert!(stats.concealed_samples <= 4 * 960, "seed {seed}: {stats:?}");
            let late: Vec<_> = call.rendered.iter().map(|r| r.underrun == Some(UnderrunCause::LateData)).collect();
            assert!(late[3_000..].iter().all(|late| !late), "seed {seed}: after half the time it has adapted");
            assert!(call.rendered[5_000].target > 1_920);
        }
    }

    #[test]
    fn silence_is_no_underrun_and_spurts_lose_nothing() {
        let mut network = jitter(5, 10_000.0);
        let mut call = Call::new(3_000, 20_000, |_| network(), |n| n % 137 < 60);
        call.run(0, 59_000, jitter(6, 4_000.0));
        let stats = call.playout.stats();
        assert_eq!((stats.concealed_samples, stats.packets_discarded), (0, 0));
        assert!(call.causes().iter().all(|c| matches!(c, UnderrunCause::Filling | UnderrunCause::NothingReceived)));
        assert!(call.causes().len() <= 6, "before the first frame only: {:?}", call.causes());
        let jump = call.heard.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(jump < 0.03, "a 440 Hz tone at 0.2 moves 0.012 a sample, a click 0.2: {jump}");
    }

    #[test]
    fn drift_is_resampled_away_in_both_directions() {
        for (period, faster) in [(19_990, true), (20_010, false)] {
            // 500 ppm for 4 minutes: 120 ms.
            let mut call = Call::new(12_000, period, |_| 0, |_| true);
            call.run(0, 239_000, jitter(1, 4_000.0));
            let stats = call.playout.stats();
            assert_eq!((stats.concealed_samples, stats.packets_discarded), (0, 0), "{period}: {stats:?}");
            let (more, less) = (stats.removed_samples_for_acceleration, stats.inserted_samples_for_deceleration);
            let (wanted, other) = if faster { (more, less) } else { (less, more) };
            assert!(wanted > 3_000 && other < 100, "{period}: removed {more}, inserted {less}");
            assert!(call.rendered[10..].iter().all(|r| (480..4_800).contains(&r.buffered)));
            let jump = call.heard[5_000..].windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
            assert!(jump < 0.013, "{period}: no seam: {jump}");
        }
    }

    #[test]
    fn a_stall_is_late_data_and_ends() {
        let stall = |n: u32| if n == 100 { 240_000 } else { 0 };
        let mut call = Call::new(500, 20_000, stall, |_| true);
        call.run(0, 9_900, || 0);
        let stats = call.playout.stats();
        assert_eq!(stats.underruns.late_data.count, stats.underruns.late_data.samples_expected / 480);
        assert!((15..=22).contains(&stats.underruns.late_data.count), "{stats:?}");
        assert_eq!(stats.concealment_events, 1);
        assert_eq!(stats.underruns.late_callback, UnderrunStats::default());
        assert!(call.rendered[300..].iter().all(|r| r.underrun.is_none()));
    }

    #[test]
    fn a_sender_that_stops_is_nothing_received() {
        let mut call = Call::even(50);
        call.run(0, 3_000, || 0);
        let causes = call.causes();
        assert_eq!(causes.last(), Some(&UnderrunCause::NothingReceived));
        let late = causes.iter().filter(|c| **c == UnderrunCause::LateData).count();
        assert!((44..=48).contains(&late), "500 ms after the last packet: {late}");
        let count = call.playout.stats().underruns.nothing_received.count;
        assert!((140..160).contains(&count), "{count}");
        assert!(call.heard[480 * 200..].iter().all(|s| *s == 0.0));
    }

    #[test]
    fn a_playout_that_receives_nothing_says_so() {
        let mut call = Call::even(0);
        let rendered = call.callback(START, 480);
        assert_eq!(
            rendered,
            Rendered {
                got: 0,
                expected: 480,
                underrun: Some(UnderrunCause::NothingReceived),
                buffered: 0,
                target: 1_920,
                started: false,
                late_since: None,
            }
        );
        assert!(call.heard.iter().all(|s| *s == 0.0));
    }

    #[test]
    fn a_callback_that_comes_late_and_is_not_made_up_for_is_a_late_callback() {
        let mut call = Call::even(200);
        call.run(0, 1_000, || 0);
        let late = call.callback(START + 1_030_000, 480);
        assert_eq!((late.got, late.underrun), (480, None), "it may still catch up");
        let next = call.callback(START + 1_040_000, 480);
        // Callbacks at 990, 1,030 and 1,040 ms: 30 ms are gone.
        assert_eq!((next.got, next.expected), (480, 480 + 1_440));
        assert_eq!(next.late_since, Some(Duration::from_micros(START + 990_000)));
        assert_eq!(next.underrun, Some(UnderrunCause::LateCallback));
        call.run(1_050, 2_000, || 0);
        let stats = call.playout.stats();
        assert_eq!((stats.underruns.late_callback.count, stats.late_callbacks), (1, 1));
        assert_eq!((stats.concealed_samples, stats.underruns.late_data.count), (0, 0));
    }

    #[test]
    fn a_device_that_asks_in_bursts_has_no_underruns() {
        let mut call = Call::even(500);
        for burst in 0..240_u64 {
            for i in 0..4 {
                call.callback(START + burst * 40_000 + i * 100, 480);
            }
        }
        let stats = call.playout.stats();
        assert!(stats.late_callbacks > 200);
        assert_eq!(stats.underruns.late_callback, UnderrunStats::default());
        assert_eq!(stats.concealed_samples, 0);
    }

    #[test]
    fn a_device_that_slept_and_drains_the_buffer_is_a_late_callback() {
        let mut call = Call::even(200);
        call.run(0, 1_000, || 0);
        // 700 ms of sleep, of which the buffer keeps 400 ms, then everything at once.
        for i in 0..70 {
            call.callback(START + 1_700_000 + i * 10, 480);
        }
        let stats = call.playout.stats();
        assert!(stats.underruns.late_callback.count > 20, "{stats:?}");
        assert_eq!(stats.underruns.late_data.count, 0, "{stats:?}");
    }

    #[test]
    fn any_length_may_be_asked_for() {
        let mut call = Call::even(300);
        let mut at = 0;
        for i in 0..2_000_u64 {
            let samples = [1, 441, 480, 960, 1_024, 37][usize::try_from(i % 6).unwrap()];
            at += samples as u64 * 125 / 6;
            if at > 5_900_000 {
                break;
            }
            call.callback(START + at, samples);
        }
        let stats = call.playout.stats();
        assert_eq!((stats.concealed_samples, stats.packets_discarded), (0, 0));
        let json = serde_json::to_value(stats).unwrap();
        assert!(json["jitterBufferEmittedCount"].as_u64().unwrap() > 200_000);
        assert!(json["totalAudioEnergy"].as_f64().unwrap() > 0.1);
        assert!((json["audioLevel"].as_f64().unwrap() - 0.141).abs() < 0.05);
        assert_eq!(json["underruns"]["lateData"]["count"], 0);
    }
}
