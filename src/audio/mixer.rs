//! The server's mixer of one room.
//!
//! Every 20 ms each participant hears the loudest speakers without itself:
//!
//! ```text
//! A speaks ---+--> B + C -> limiter -> A's own encoder  -> A
//! B speaks ---+--> A + C -> limiter -> B's own encoder  -> B
//! C speaks ---+--> A + B -> limiter -> C's own encoder  -> C
//!             +--> A + B + C -> limiter -> shared encoder -> D, E, F ... (one packet, shared)
//! ```
//!
//! # Moving between encoders
//!
//! Who begins to speak moves from the shared encoder to its own, who ends moves back. Three things keep that from
//! clicking. Encoders predict nothing, so a packet depends on earlier ones by its 2.5 ms of overlap alone. An encoder that
//! did not run in the tick before is reset and fed what its listener heard before, and those packets are thrown away. And a
//! voice enters and leaves within a frame by a short fade, so at the border of two frames the mix with it and the mix
//! without it are the same sound. The limiter has no memory for the same reason.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::level::level;
use super::voice::Voice;
use super::{Encoder, FRAME_SAMPLES, KEEP_ALIVE_FRAMES, Prediction, limiter};
use crate::event::ConcealmentCounters;
use crate::protocol::AudioPacket;
use crate::protocol::audio::SILENCE;

/// Speakers that are mixed by default.
pub const LOUDEST: usize = 8;

/// Samples over which a voice is faded in or out of the mix when its rank changes (5 ms).
const FADE: usize = 240;

/// dB that a speaker in the mix counts louder than it is, so that two equal ones do not take turns.
const HYSTERESIS: u8 = 6;

/// Frames of mix that are kept to feed an encoder with before its listener moves to it: one is enough for the overlap, a
/// few more settle the encoder's slow high-pass filter (3 Hz), which matters for low voices.
const PRIMING: usize = 4;

type Frame = Vec<f32>;

/// What one participant is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixOut {
    /// Whom to send it to.
    pub stream: u16,
    /// Level of the mix (RFC 6464 scale).
    pub level: u8,
    /// One Opus packet, shared with all that hear the same; empty for a keep-alive.
    pub opus: Bytes,
}

#[derive(Debug)]
struct Member {
    voice: Voice,
    /// Made when this member first speaks while somebody else does.
    own: Option<Encoder>,
    own_ran: bool,
    /// Level that ranks it: the loudest lately, fading by 1 dB a frame.
    rank: u8,
    /// Whether its voice is at full level in the mix.
    mixed: bool,
    /// Ticks since something was sent to it; `None`: not quiet.
    quiet: Option<u32>,
}

/// The mixer of one room; see the module's documentation.
#[derive(Debug)]
pub struct RoomMixer {
    members: BTreeMap<u16, Member>,
    /// Voices of members that left while they spoke: they fade out in the next tick.
    leaving: Vec<Voice>,
    shared: Option<Encoder>,
    shared_ran: bool,
    /// The last frames of the shared mix, oldest first.
    history: VecDeque<Frame>,
    loudest: usize,
    /// Nobody's own voice is left out.
    echo: bool,
    speakers: usize,
    /// Samples concealed for members that left.
    concealed_before: u64,
}

impl Default for RoomMixer {
    fn default() -> Self {
        Self::new(LOUDEST)
    }
}

impl RoomMixer {
    /// An empty room that mixes the `loudest` speakers.
    pub fn new(loudest: usize) -> Self {
        Self {
            members: BTreeMap::new(),
            leaving: Vec::new(),
            shared: None,
            shared_ran: false,
            history: VecDeque::new(),
            loudest,
            echo: false,
            speakers: 0,
            concealed_before: 0,
        }
    }

    /// An empty room in which each hears itself too: the echo room of one participant.
    pub fn echo() -> Self {
        Self { echo: true, ..Self::new(1) }
    }

    /// A participant comes; one of the same number starts anew.
    pub fn add(&mut self, stream: u16) {
        self.remove(stream);
        self.members.insert(
            stream,
            Member { voice: Voice::new(), own: None, own_ran: false, rank: SILENCE, mixed: false, quiet: None },
        );
    }

    /// A participant goes; what was received from it, or `None` if it was not there.
    pub fn remove(&mut self, stream: u16) -> Option<ConcealmentCounters> {
        let member = self.members.remove(&stream)?;
        let counters = member.voice.counters();
        self.concealed_before += counters.concealed_samples;
        if member.mixed {
            self.leaving.push(member.voice);
        }
        Some(counters)
    }

    /// Takes a packet of a participant as it arrives; ignored if it is not in the room.
    #[expect(clippy::too_many_arguments, reason = "a frame's header fields and its arrival, as everywhere")]
    pub fn push(&mut self, stream: u16, sequence: u16, timestamp: u32, packet: AudioPacket, now: Duration) {
        if let Some(member) = self.members.get_mut(&stream) {
            member.voice.push(sequence, timestamp, packet, now);
        }
    }

    /// Mixes the next 20 ms. Returns what to send, at most one packet a participant; nobody is sent anything in silence
    /// but a keep-alive at once and then every 400 ms. The timestamp of the mix advances by 960 with every tick,
    /// whether or not something is sent; the sequence with every packet.
    pub fn tick(&mut self, now: Duration) -> Vec<MixOut> {
        let voices = self.render(now);
        self.speakers = voices.iter().filter(|v| v.0.is_some()).count();
        if voices.is_empty() {
            self.shared_ran = false;
            self.history.clear();
            return self.members.iter_mut().filter_map(|(&stream, m)| m.keep_alive(stream)).collect();
        }
        let everybody = mix(&voices, None);
        let mut shared = None;
        let mut out = Vec::with_capacity(self.members.len());
        for (&stream, member) in &mut self.members {
            let speaks = !self.echo && voices.iter().any(|v| v.0 == Some(stream));
            if speaks && voices.len() == 1 {
                out.extend(member.keep_alive(stream));
                continue;
            }
            member.quiet = None;
            let packet = if speaks {
                let frame = mix(&voices, Some(stream));
                let opus = encode(&mut member.own, member.own_ran, &self.history, &frame);
                member.own_ran = true;
                opus.map(|opus| (level(&frame), opus))
            } else {
                member.own_ran = false;
                let (ran, history) = (self.shared_ran, &self.history);
                let encoder = &mut self.shared;
                shared
                    .get_or_insert_with(|| encode(encoder, ran, history, &everybody).map(|o| (level(&everybody), o)))
                    .clone()
            };
            out.extend(packet.map(|(level, opus)| MixOut { stream, level, opus }));
        }
        self.shared_ran = shared.is_some();
        if self.history.len() == PRIMING {
            self.history.pop_front();
        }
        self.history.push_back(everybody);
        out
    }

    /// Participants in the mix of the last tick.
    pub const fn speakers(&self) -> usize {
        self.speakers
    }

    /// Streams of those who were in the mix of the last tick.
    pub fn heard(&self) -> impl Iterator<Item = u16> {
        self.members.iter().filter(|(_, member)| member.mixed).map(|(stream, _)| *stream)
    }

    /// Participants in the room.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in the room.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What was received from a participant and what had to be made up; zeros if it is not in the room.
    pub fn counters(&self, stream: u16) -> ConcealmentCounters {
        self.members.get(&stream).map(|m| m.voice.counters()).unwrap_or_default()
    }

    /// Samples concealed in this room so far, for all that are or were in it.
    pub fn concealed_samples(&self) -> u64 {
        self.concealed_before + self.members.values().map(|m| m.voice.counts().concealed).sum::<u64>()
    }

    /// Decodes whom the mix needs: stream (`None` for one that has left) and sound.
    fn render(&mut self, now: Duration) -> Vec<(Option<u16>, Frame)> {
        let mut ranked = Vec::new();
        for (&stream, member) in &mut self.members {
            if member.voice.gather(FRAME_SAMPLES, now) {
                member.rank = member.voice.level().min(member.rank.saturating_add(1));
                let bonus = if member.mixed { HYSTERESIS } else { 0 };
                ranked.push((member.rank.saturating_sub(bonus), stream));
            } else {
                member.rank = SILENCE;
                member.mixed = false;
                // Counts the silence as played.
                member.voice.render(&mut [0.0; FRAME_SAMPLES]);
            }
        }
        ranked.sort_unstable();
        let mut voices = Vec::new();
        for (place, (_, stream)) in ranked.into_iter().enumerate() {
            let Some(member) = self.members.get_mut(&stream) else { continue };
            let chosen = place < self.loudest;
            if !chosen && !member.mixed {
                member.voice.skip(FRAME_SAMPLES);
                continue;
            }
            let mut frame = vec![0.0; FRAME_SAMPLES];
            member.voice.render(&mut frame);
            fade(&mut frame, member.mixed, chosen);
            member.mixed = chosen;
            voices.push((Some(stream), frame));
        }
        for mut voice in self.leaving.drain(..) {
            if voice.gather(FRAME_SAMPLES, now) {
                let mut frame = vec![0.0; FRAME_SAMPLES];
                voice.render(&mut frame);
                fade(&mut frame, true, false);
                voices.push((None, frame));
            }
        }
        voices
    }
}

impl Member {
    /// A quiet tick: a keep-alive if it is time for one.
    fn keep_alive(&mut self, stream: u16) -> Option<MixOut> {
        self.own_ran = false;
        let ticks = self.quiet.map_or(0, |ticks| (ticks + 1) % KEEP_ALIVE_FRAMES);
        self.quiet = Some(ticks);
        (ticks == 0).then(|| MixOut { stream, level: SILENCE, opus: Bytes::new() })
    }
}

/// Ramps a frame whose voice was (not) and is (not) in the mix.
fn fade(frame: &mut [f32], was: bool, is: bool) {
    if was == is {
        return;
    }
    for (i, sample) in frame.iter_mut().enumerate() {
        let into = ((i + 1) as f32 / FADE as f32).min(1.0);
        *sample *= if is { into } else { 1.0 - into };
    }
}

/// The limited sum of all voices but that of `without`.
fn mix(voices: &[(Option<u16>, Frame)], without: Option<u16>) -> Frame {
    let mut sum = vec![0.0; FRAME_SAMPLES];
    for (stream, frame) in voices {
        if stream.is_none() || *stream != without {
            sum.iter_mut().zip(frame).for_each(|(sum, sample)| *sum += sample);
        }
    }
    limiter::limit(&mut sum);
    sum
}

/// Encodes a frame; an encoder that did not run in the last tick first hears what its listener heard.
fn encode(encoder: &mut Option<Encoder>, ran: bool, history: &VecDeque<Frame>, frame: &[f32]) -> Option<Bytes> {
    if encoder.is_none() {
        *encoder = Encoder::new(Prediction::Disabled).ok();
    }
    let encoder = encoder.as_mut()?;
    if !ran {
        encoder.reset();
        for before in history {
            encoder.encode(before).ok()?;
        }
    }
    encoder.encode(frame).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Tone, meter};
    use super::*;

    /// A client: sends a tone or keep-alives, decodes what it hears.
    struct Client {
        encoder: Encoder,
        tone: Tone,
        sequence: u16,
        timestamp: u32,
        silent_for: u32,
        decoder: Decoder,
        heard: Vec<f32>,
        packets: Vec<MixOut>,
    }

    impl Client {
        fn new(hz: f64) -> Self {
            Self {
                encoder: Encoder::new(Prediction::Disabled).unwrap(),
                tone: Tone::new(hz, 0.1),
                sequence: 65_530,
                timestamp: u32::MAX - 5_000,
                silent_for: 0,
                decoder: Decoder::new().unwrap(),
                heard: Vec::new(),
                packets: Vec::new(),
            }
        }

        fn next_packet(&mut self, speaks: bool) -> Option<AudioPacket> {
            let mut frame = [0.0; FRAME_SAMPLES];
            self.tone.fill(&mut frame);
            if speaks {
                self.silent_for = 0;
                return Some(AudioPacket { level: level(&frame), opus: self.encoder.encode(&frame).unwrap() });
            }
            self.silent_for += 1;
            (self.silent_for % KEEP_ALIVE_FRAMES == 1).then(AudioPacket::keep_alive)
        }

        fn hear(&mut self, out: MixOut) {
            if !out.opus.is_empty() {
                self.decoder.decode(&out.opus, &mut self.heard).unwrap();
            }
            self.packets.push(out);
        }
    }

    struct Room {
        mixer: RoomMixer,
        clients: BTreeMap<u16, Client>,
        tick: u32,
    }

    impl Room {
        fn new(loudest: usize, tones: &[f64]) -> Self {
            let mut room = Self { mixer: RoomMixer::new(loudest), clients: BTreeMap::new(), tick: 0 };
            for (stream, &hz) in (1..).zip(tones) {
                room.mixer.add(stream);
                room.clients.insert(stream, Client::new(hz));
            }
            room
        }

        fn now(&self) -> Duration {
            Duration::from_millis(1_000 + 20 * u64::from(self.tick))
        }

        /// One tick in which `speakers` send; `lost` of them send and it does not arrive.
        fn run(&mut self, speakers: &[u16], lost: &[u16]) -> Vec<MixOut> {
            let now = self.now();
            for (stream, client) in &mut self.clients {
                if let Some(packet) = client.next_packet(speakers.contains(stream)) {
                    if !lost.contains(stream) {
                        self.mixer.push(*stream, client.sequence, client.timestamp, packet, now);
                    }
                    client.sequence = client.sequence.wrapping_add(1);
                }
                client.timestamp = client.timestamp.wrapping_add(960);
            }
            let out = self.mixer.tick(now + Duration::from_millis(5));
            for packet in &out {
                if let Some(client) = self.clients.get_mut(&packet.stream) {
                    client.hear(packet.clone());
                }
            }
            self.tick += 1;
            out
        }

        fn hears(&self, stream: u16, hz: f64) -> f64 {
            let heard = &self.clients[&stream].heard;
            meter::tone_db(&heard[heard.len() - 24_000..], hz)
        }
    }

    #[test]
    fn everybody_hears_the_others_and_not_itself() {
        let mut room = Room::new(8, &[440.0, 660.0, 1_000.0, 1_500.0]);
        for _ in 0..60 {
            room.run(&[1, 2], &[]);
        }
        assert_eq!(room.mixer.speakers(), 2);
        assert!(room.hears(1, 660.0) > -21.0 && room.hears(1, 440.0) < -70.0);
        assert!(room.hears(2, 440.0) > -21.0 && room.hears(2, 660.0) < -70.0);
        for listener in [3, 4] {
            assert!(room.hears(listener, 440.0) > -21.0 && room.hears(listener, 660.0) > -21.0);
        }
        let out = room.run(&[1, 2], &[]);
        assert_eq!(out.iter().map(|o| o.stream).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(out[2].opus.as_ptr(), out[3].opus.as_ptr(), "one encode for all that only listen");
        assert_ne!(out[0].opus.as_ptr(), out[1].opus.as_ptr());
        assert_eq!((out[0].level, out[2].level), (23, 20));
        assert_eq!(room.mixer.concealed_samples(), 0);
    }

    #[test]
    fn in_an_echo_room_one_hears_itself_and_silence_when_it_is_silent() {
        let mut room = Room::new(1, &[880.0]);
        room.mixer = RoomMixer::echo();
        room.mixer.add(1);
        for _ in 0..60 {
            room.run(&[1], &[]);
        }
        assert!((room.hears(1, 880.0) + 20.0).abs() < 0.5, "at its own level: {}", room.hears(1, 880.0));
        assert_eq!(room.mixer.concealed_samples(), 0);
        let before = room.clients[&1].packets.len();
        for _ in 0..100 {
            room.run(&[], &[]);
        }
        let after = &room.clients[&1].packets[before..];
        let sound = after.iter().take_while(|p| !p.opus.is_empty()).count();
        assert!((1..=4).contains(&sound), "{sound} frames of buffer and tail");
        assert!(after[sound..].iter().all(|p| p.opus.is_empty()), "then keep-alives");
    }

    #[test]
    fn silence_costs_a_keep_alive_every_400_ms() {
        let mut room = Room::new(8, &[440.0, 660.0]);
        for _ in 0..100 {
            room.run(&[], &[]);
        }
        assert!(room.clients.values().all(|c| c.packets.len() == 5 && c.packets.iter().all(|p| p.level == 127)));
        for _ in 0..50 {
            room.run(&[1], &[]);
        }
        assert!(room.clients[&1].packets[5..].iter().all(|p| p.opus.is_empty()), "alone it hears silence");
        let before = room.clients[&2].packets.len();
        for _ in 0..100 {
            room.run(&[], &[]);
        }
        let after = &room.clients[&2].packets[before..];
        let sound = after.iter().take_while(|p| !p.opus.is_empty()).count();
        assert!((1..=4).contains(&sound), "{sound} frames of buffer and tail");
        assert_eq!(after[sound], MixOut { stream: 2, level: 127, opus: Bytes::new() }, "at once");
        assert!((5..=6).contains(&(after.len() - sound)), "{}", after.len() - sound);
        assert_eq!(room.mixer.concealed_samples(), 0);
    }

    #[test]
    fn only_the_loudest_are_mixed() {
        let mut room = Room::new(2, &[440.0, 660.0, 1_000.0, 1_500.0]);
        for (stream, amplitude) in [(1, 0.2), (2, 0.1), (3, 0.02)] {
            let hz = [440.0, 660.0, 1_000.0][usize::from(stream) - 1];
            room.clients.get_mut(&stream).unwrap().tone = Tone::new(hz, amplitude);
        }
        for _ in 0..60 {
            room.run(&[1, 2, 3], &[]);
        }
        assert_eq!(room.mixer.speakers(), 2);
        assert!(room.hears(4, 440.0) > -15.0 && room.hears(4, 660.0) > -21.0 && room.hears(4, 1_000.0) < -70.0);
        assert!(room.hears(3, 440.0) > -15.0, "who is not mixed hears the mix");
        for _ in 0..60 {
            room.run(&[2, 3], &[]);
        }
        assert!(room.hears(4, 440.0) < -70.0 && room.hears(4, 1_000.0) > -35.0, "the next one moves up");
        let counters = room.mixer.counters(3);
        assert_eq!((counters.concealed_samples, counters.packets_received), (0, 120));
        assert!(counters.total_samples_received > 110 * 960);
    }

    #[test]
    fn a_lost_frame_is_concealed_and_counted() {
        let mut room = Room::new(8, &[440.0, 660.0]);
        for tick in 0..60 {
            room.run(&[1], if tick == 30 { &[1] } else { &[] });
        }
        let counters = room.mixer.counters(1);
        assert_eq!((counters.concealed_samples, counters.concealment_events), (960, 1));
        assert_eq!(room.mixer.concealed_samples(), 960);
        assert_eq!(room.mixer.remove(1), Some(counters));
        assert_eq!(room.mixer.concealed_samples(), 960, "kept when the participant goes");
        assert_eq!(room.mixer.counters(1), ConcealmentCounters::default());
        assert!(room.hears(2, 440.0) > -21.0);
    }

    /// Worst error energy (dB) of what `stream` heard against a steady tone, over 5 ms, from sample `from` on.
    fn worst_error(heard: &[f32], hz: f64, from: usize) -> (f64, usize) {
        // The tone as heard: fit sine and cosine over the whole.
        let step = std::f64::consts::TAU * hz / 48_000.0;
        let (mut s, mut c) = (0.0, 0.0);
        let whole = &heard[from..from + (heard.len() - from) / 2_400 * 2_400];
        for (i, &x) in whole.iter().enumerate() {
            s += f64::from(x) * (step * i as f64).sin() * 2.0 / whole.len() as f64;
            c += f64::from(x) * (step * i as f64).cos() * 2.0 / whole.len() as f64;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a sample")]
        let error: Vec<f32> = whole
            .iter()
            .enumerate()
            .map(|(i, &x)| (f64::from(x) - s * (step * i as f64).sin() - c * (step * i as f64).cos()) as f32)
            .collect();
        let worst = error.windows(240).step_by(60).map(meter::rms_db).enumerate();
        worst.map(|(i, db)| (db, i * 60)).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
    }

    #[test]
    fn moving_between_encoders_does_not_click() {
        for hz in [440.0, 200.0, 1_000.0] {
            let mut results = Vec::new();
            for moves in [false, true] {
                let mut room = Room::new(8, &[hz, 660.0, 1_000.0, 880.0]);
                // 2 and 4 speak in turns, so 2 is moved to its own encoder and back; what it says is digital
                // silence to the others, so that all error is the codec's.
                for stream in [2, 4] {
                    room.clients.get_mut(&stream).unwrap().tone = Tone::new(500.0, 1e-4);
                }
                for tick in 0..300 {
                    let talks = moves && tick > 50 && tick % 17 < 8;
                    room.run(if talks { &[1, 2] } else { &[1] }, &[]);
                }
                assert_eq!(room.mixer.concealed_samples(), 0);
                results.push(worst_error(&room.clients[&2].heard, hz, 30 * 960));
            }
            assert!(results[1].0 < results[0].0 + 3.0, "{hz} Hz: steady {:?}, moving {:?}", results[0], results[1]);
        }
    }

    fn largest_step(heard: &[f32]) -> f32 {
        heard.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn nobody_clicks_that_comes_or_goes_in_the_middle_of_a_tone() {
        let mut room = Room::new(1, &[440.0, 440.0, 440.0]);
        // Only one is mixed: 2 is louder and pushes 1 out, then goes.
        room.clients.get_mut(&2).unwrap().tone = Tone::new(440.0, 0.3);
        for tick in 0..150 {
            room.run(if tick / 25 % 2 == 0 { &[1] } else { &[1, 2] }, &[]);
        }
        assert!(room.mixer.speakers() == 1 && room.mixer.remove(2).is_some());
        room.clients.remove(&2);
        for _ in 0..25 {
            room.run(&[1], &[]);
        }
        room.mixer.remove(1);
        let client = room.clients.remove(&1).unwrap();
        let out = room.run(&[], &[]);
        assert!(!out[0].opus.is_empty(), "a last frame in which it fades");
        assert_eq!(room.run(&[], &[])[0].opus, Bytes::new());
        let heard = &room.clients[&3].heard;
        // 440 Hz at 0.4 moves 0.023 a sample; a cut of it would move up to 0.3.
        assert!(largest_step(heard) < 0.035, "{}", largest_step(heard));
        assert!(meter::peak(&client.heard) > 0.25 && meter::rms_db(&heard[heard.len() - 480..]) < -40.0);
    }

    #[test]
    fn a_mix_of_many_loud_speakers_does_not_clip() {
        let mut room = Room::new(8, &[440.0, 550.0, 660.0, 770.0, 880.0, 990.0]);
        for (stream, client) in &mut room.clients {
            client.tone = Tone::new(330.0 + 110.0 * f64::from(*stream), 0.5);
        }
        for _ in 0..50 {
            room.run(&[1, 2, 3, 4, 5], &[]);
        }
        let peak = meter::peak(&room.clients[&6].heard);
        assert!((0.9..1.1).contains(&peak), "{peak}: bounded before the codec");
    }

    #[test]
    fn a_call_through_the_mixer_conceals_nothing() {
        let mut room = Room::new(8, &[440.0, 660.0]);
        let mut playout = super::super::Playout::new();
        let mut noise = super::super::signal::Noise::new(1, 1.0);
        let (mut sequence, mut jitter) = (0_u16, || Duration::from_secs_f64(noise.next_unit() * 0.01));
        let mut causes = Vec::new();
        for tick in 0..500_u32 {
            let at = room.now();
            for packet in room.run(if tick % 90 < 60 { &[1] } else { &[] }, &[]).into_iter().filter(|o| o.stream == 2) {
                let packet = AudioPacket { level: packet.level, opus: packet.opus };
                playout.push(sequence, tick * 960, packet, at + jitter());
                sequence += 1;
            }
            for half in [10, 20] {
                causes.extend(playout.render(&mut [0.0; 480], at + Duration::from_millis(half)).underrun);
            }
        }
        let stats = playout.stats();
        assert_eq!((stats.concealed_samples, stats.packets_discarded), (0, 0));
        assert!(stats.total_samples_received > 490 * 960 && stats.total_audio_energy > 0.01);
        assert_eq!(causes, [], "the first keep-alive comes with the first tick");
    }
}
