//! The mixer's thread: one tick every 20 ms against absolute deadlines. The tick decides the latency of everybody, so it
//! never runs on an async timer.

use super::hub::{Hub, Inbound, Member, Room, lock};
use super::realtime;
use crate::audio::mixer::{MixOut, RoomMixer};
use crate::audio::{Gaps, Lack};
use crate::clock;
use crate::event::{Event, UnderrunCause};
use crate::protocol::{AudioPacket, Message, Speaking};
use crate::session::Speakers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Length of a tick.
pub(crate) const TICK: Duration = Duration::from_millis(20);
/// A tick later than this counts as late.
const LATE: Duration = Duration::from_millis(5);
/// So far behind, missed ticks are skipped; less is caught up.
const GIVE_UP: Duration = Duration::from_millis(100);
/// Samples of a tick at 48 kHz.
const TICK_SAMPLES: u32 = 960;

struct Mixed {
    room: Arc<Room>,
    mixer: RoomMixer,
    speakers: Speakers,
    /// Last sequence number sent to each listener.
    sequences: BTreeMap<u16, u16>,
    /// Advances with every tick, whether anything is sent or not.
    timestamp: u32,
    /// Of each speaker, by stream.
    gaps: BTreeMap<u16, (String, Gaps)>,
}

#[derive(Default)]
struct Stats {
    since: Duration,
    ticks: u64,
    late: u64,
    skipped: u64,
    max_lateness: Duration,
    max_work: Duration,
    speakers: u32,
    concealed: u64,
    run_delay_before: Option<u64>,
}

/// Runs until the hub drains.
pub(crate) fn run(hub: &Arc<Hub>) {
    let scheduling = realtime::raise_priority();
    hub.config.log.emit(Event::MixerStarted { frame_ms: clock::short_millis(TICK), scheduling });
    let mut rooms = BTreeMap::new();
    while hub.wait_for_rooms() {
        let mut deadline = clock::monotonic() + TICK;
        let mut stats = Stats::begin(clock::monotonic());
        loop {
            clock::sleep_until(deadline);
            let now = clock::monotonic();
            let present = hub.rooms();
            if present.is_empty() || hub.is_draining() {
                break;
            }
            stats.ticked(now.saturating_sub(deadline));
            tick_all(hub, &mut rooms, &present, now, &mut stats);
            stats.max_work = stats.max_work.max(clock::monotonic().saturating_sub(now));
            deadline += TICK;
            let behind = clock::monotonic().saturating_sub(deadline);
            if behind > GIVE_UP {
                let missed = clock::periods(behind, TICK);
                deadline += TICK * missed;
                stats.skipped += u64::from(missed);
            }
            if now.saturating_sub(stats.since) >= Duration::from_secs(1) {
                stats.report(hub, rooms.len(), now);
                stats = Stats::begin(now);
            }
        }
        rooms.clear();
        stats.report(hub, 0, clock::monotonic());
    }
}

fn tick_all(hub: &Hub, rooms: &mut BTreeMap<u64, Mixed>, present: &[Arc<Room>], now: Duration, stats: &mut Stats) {
    rooms.retain(|id, _| present.iter().any(|room| room.id == *id));
    stats.speakers = 0;
    for room in present {
        let mixed = rooms.entry(room.id).or_insert_with(|| Mixed {
            room: Arc::clone(room),
            mixer: if room.echo { RoomMixer::echo() } else { RoomMixer::new(hub.config.loudest) },
            speakers: Speakers::default(),
            sequences: BTreeMap::new(),
            timestamp: 0,
            gaps: BTreeMap::new(),
        });
        let concealed = mixed.tick(hub, now);
        stats.concealed += concealed;
        stats.speakers += u32::try_from(mixed.mixer.speakers()).unwrap_or(u32::MAX);
        hub.metrics.concealed_samples_total.inc_by(concealed);
    }
    hub.metrics.mixer_ticks_total.inc();
}

impl Mixed {
    /// One tick of one room. Gives the samples that had to be made up.
    fn tick(&mut self, hub: &Hub, now: Duration) -> u64 {
        for inbound in self.room.take_inbox() {
            match inbound {
                Inbound::Join(stream) => {
                    self.mixer.add(stream);
                    self.speakers.joined(stream);
                }
                Inbound::Leave(stream) => {
                    self.mixer.remove(stream);
                    self.speakers.left(stream);
                }
                Inbound::Audio { stream, sequence, timestamp, packet, at } => {
                    self.mixer.push(stream, sequence, timestamp, packet, at);
                }
            }
        }
        self.timestamp = self.timestamp.wrapping_add(TICK_SAMPLES);
        let outs = self.mixer.tick(now);
        #[cfg(feature = "sabotage")]
        let outs = super::sabotage::reroute(hub.config.sabotage, outs);
        let members: BTreeMap<u16, _> = self.room.members().into_iter().map(|m| (m.stream, m)).collect();
        for MixOut { stream, level, opus } in outs {
            let Some(member) = members.get(&stream).filter(|m| m.hears) else { continue };
            // a receiver tells loss from silence by a sequence of its own; the Opus packet itself is shared
            let sequence = self.sequences.entry(stream).or_default();
            *sequence = sequence.wrapping_add(1);
            member.outbox.audio(AudioPacket { level, opus }.frame(0, *sequence, self.timestamp).encode());
        }
        self.tell_who_speaks(&members, now);
        self.sequences.retain(|stream, _| members.contains_key(stream));
        self.count_concealed(hub, &members, now)
    }

    /// Keeps what each member's sound lacked, and tells each gap that is over. Gives the samples that had to be concealed.
    fn count_concealed(&mut self, hub: &Hub, members: &BTreeMap<u16, Arc<Member>>, now: Duration) -> u64 {
        let mut concealed = 0;
        for (stream, member) in members {
            let counters = self.mixer.counters(*stream);
            let mut heard = lock(&member.heard);
            let samples = counters.concealed_samples.saturating_sub(heard.concealed_samples);
            *heard = counters;
            drop(heard);
            concealed += samples;
            let (name, gaps) = self.gaps.entry(*stream).or_insert_with(|| (member.name.clone(), Gaps::default()));
            let lacks = (samples > 0).then_some(Lack { cause: UnderrunCause::LateData, samples, since: None });
            if let Some(event) = gaps.observe(lacks, now, Some(name)) {
                hub.config.log.emit(event);
            }
        }
        self.gaps.retain(|stream, (name, gaps)| {
            let stays = members.contains_key(stream);
            let left_open = if stays { None } else { gaps.end(now, Some(name)) };
            if let Some(event) = left_open {
                hub.config.log.emit(event);
            }
            stays
        });
        concealed
    }

    /// A stalled receiver must not drown in it: it is told when its queue is short again.
    fn tell_who_speaks(&mut self, members: &BTreeMap<u16, Arc<Member>>, now: Duration) {
        for stream in self.mixer.heard() {
            self.speakers.heard(stream, now);
        }
        let Some(streams) = self.speakers.news(members.keys().copied(), now) else { return };
        let frame = Message::Speaking(Speaking { streams }).frame(0, 0).encode();
        self.speakers.tell(|stream| members.get(&stream).is_none_or(|m| m.outbox.control_if_short(frame.clone())));
    }
}

impl Stats {
    fn begin(now: Duration) -> Self {
        Self { since: now, run_delay_before: realtime::run_delay_us(), ..Self::default() }
    }

    fn ticked(&mut self, lateness: Duration) {
        self.ticks += 1;
        self.late += u64::from(lateness > LATE);
        self.max_lateness = self.max_lateness.max(lateness);
    }

    fn report(&self, hub: &Hub, rooms: usize, now: Duration) {
        if self.ticks == 0 {
            return;
        }
        hub.metrics.mixer_late_ticks_total.inc_by(self.late);
        let run_delay = realtime::run_delay_us().zip(self.run_delay_before).map(|(now, before)| now - before);
        hub.config.log.emit(Event::MixerStats {
            ticks: self.ticks,
            expected_ticks: u64::from(clock::periods(now.saturating_sub(self.since), TICK)),
            late_ticks: self.late,
            skipped_ticks: self.skipped,
            max_lateness_us: clock::micros(self.max_lateness),
            run_delay_us: run_delay,
            max_work_us: clock::micros(self.max_work),
            rooms: u32::try_from(rooms).unwrap_or(u32::MAX),
            speakers: self.speakers,
            concealed_samples: self.concealed,
        });
    }
}
