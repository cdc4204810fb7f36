//! What the threads and tasks of one client share.

use super::Config;
use crate::audio::{Playout, SAMPLE_RATE, meter};
use crate::clock;
use crate::net::outbox::{Counts, Outbox};
use crate::protocol::video::Assembler;
use crate::protocol::{Message, Participant, Welcome, close};
use crate::video::{Picture, jpeg};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chat lines kept.
const CHAT_LINES: usize = 100;

/// The connection of the moment.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) outbox: Arc<Outbox>,
    pub(super) stream: u16,
}

/// One of the others.
#[derive(Debug, Default)]
pub(super) struct Remote {
    pub(super) name: String,
    pub(super) muted: bool,
    /// Whether it is heard now.
    pub(super) speaking: bool,
    pub(super) assembler: Assembler,
    pub(super) picture: Option<Picture>,
}

/// Everything received of one sender's pictures, kept after it left.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    pub(super) received: u64,
    pub(super) undecodable: u64,
    pub(super) bytes: u64,
    pub(super) last: Option<Bytes>,
}

/// The room as this client knows it.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) welcome: Option<Welcome>,
    pub(super) others: BTreeMap<u16, Remote>,
    pub(super) chat: VecDeque<String>,
    pub(super) status: String,
    /// Why there is no connection, by the last attempt that came to an end.
    pub(super) problem: Option<String>,
    pub(super) pictures: BTreeMap<String, Pictures>,
}

/// What the microphone delivered, before anything decides whether it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Heard {
    /// RMS of the last frame, linear: 1 is full scale.
    pub(super) level: f64,
    /// Seconds times squared RMS, as W3C webrtc-stats counts `totalAudioEnergy`.
    pub(super) energy: f64,
    /// Samples delivered.
    pub(super) samples: u64,
}

impl Heard {
    /// Adds a frame.
    pub(super) fn add(&mut self, frame: &[f32]) {
        let level = meter::rms(frame);
        self.level = level;
        self.energy += level * level * frame.len() as f64 / f64::from(SAMPLE_RATE);
        self.samples += frame.len() as u64;
    }

    /// Seconds delivered.
    pub(super) fn seconds(&self) -> f64 {
        self.samples as f64 / f64::from(SAMPLE_RATE)
    }
}

/// Figures that only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes_sent: AtomicU64,
    pub(super) bytes_received: AtomicU64,
    pub(super) packets_sent: AtomicU64,
    pub(super) packets_received: AtomicU64,
    pub(super) audio_bytes_received: AtomicU64,
    pub(super) audio_packets_with_sound: AtomicU64,
    pub(super) audio_packets_sent: AtomicU64,
    pub(super) audio_bytes_sent: AtomicU64,
    /// Packets that say no more than that the sender lives.
    pub(super) keep_alives_sent: AtomicU64,
    pub(super) pictures_sent: AtomicU64,
    pub(super) connections: AtomicU32,
    pub(super) callbacks: AtomicU64,
    /// Of the speaker's thread, in microseconds.
    pub(super) callbacks_took_us: AtomicU64,
    pub(super) round_trip_us: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) started: Duration,
    pub(super) playout: Mutex<Playout>,
    pub(super) room: Mutex<Room>,
    pub(super) link: Mutex<Option<Link>>,
    pub(super) muted: AtomicBool,
    pub(super) leaving: AtomicBool,
    pub(super) counters: Counters,
    pub(super) heard: Mutex<Heard>,
    /// A picture came.
    pub(super) pictured: Notify,
    past: Mutex<Counts>,
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        let status = format!("connecting to {}", config.target);
        Self {
            config,
            started: clock::monotonic(),
            playout: Mutex::new(Playout::new()),
            room: Mutex::new(Room { status, ..Room::default() }),
            link: Mutex::default(),
            muted: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            counters: Counters::default(),
            heard: Mutex::default(),
            pictured: Notify::new(),
            past: Mutex::default(),
        }
    }

    pub(super) fn link(&self) -> Option<Link> {
        lock(&self.link).clone()
    }

    /// Takes the connection away and keeps its figures.
    pub(super) fn unlink(&self) {
        if let Some(link) = lock(&self.link).take() {
            let counts = link.outbox.counts();
            let mut past = lock(&self.past);
            past.audio_sent += counts.audio_sent;
            past.audio_dropped += counts.audio_dropped;
            past.pictures_sent += counts.pictures_sent;
            past.pictures_dropped += counts.pictures_dropped;
        }
    }

    /// What all connections so far let through.
    pub(super) fn queue_counts(&self) -> Counts {
        let mut counts = *lock(&self.past);
        if let Some(link) = self.link() {
            let now = link.outbox.counts();
            counts.audio_sent += now.audio_sent;
            counts.audio_dropped += now.audio_dropped;
            counts.pictures_sent += now.pictures_sent;
            counts.pictures_dropped += now.pictures_dropped;
        }
        counts
    }

    /// Queues a control message, if there is a connection.
    pub(super) fn tell(&self, message: &Message) {
        if let Some(link) = self.link() {
            link.outbox.control(message.frame(link.stream, 0).encode());
        }
    }

    /// Asks the connection to end; `false` if there is none.
    pub(super) fn leave(&self, reason: &str) -> bool {
        self.leaving.store(true, Ordering::Relaxed);
        let link = self.link();
        if let Some(link) = &link {
            link.outbox.close(close::NORMAL, reason);
        }
        link.is_some()
    }

    pub(super) fn set_status(&self, status: String) {
        lock(&self.room).status = status;
    }

    pub(super) fn since_start_ms(&self) -> u64 {
        clock::millis(clock::monotonic().saturating_sub(self.started))
    }

    /// Writes the last picture of each sender; gives the first problem.
    pub(super) fn save_pictures(&self) -> Option<String> {
        let folder = self.config.save_pictures.as_ref()?;
        let room = lock(&self.room);
        let saved = room.pictures.iter().filter_map(|(name, p)| Some((name, p.last.as_ref()?))).try_for_each(
            |(name, picture)| {
                std::fs::create_dir_all(folder)?;
                std::fs::write(folder.join(format!("{}.jpg", file_name(name))), picture)
            },
        );
        saved.err().map(|error| format!("{}: pictures cannot be saved: {error}", folder.display()))
    }
}

/// A participant's name as a file's: what might be a path or hidden becomes `_`.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

impl Room {
    pub(super) fn enter(&mut self, welcome: Welcome) {
        self.others = welcome.participants.iter().cloned().map(|p| (p.stream, Remote::of(p))).collect();
        self.status = format!("in room {:?} of {}", welcome.room, welcome.server);
        self.welcome = Some(welcome);
    }

    pub(super) fn add(&mut self, participant: Participant) {
        self.others.insert(participant.stream, Remote::of(participant));
    }

    pub(super) fn say(&mut self, line: String) {
        self.chat.push_back(line);
        if self.chat.len() > CHAT_LINES {
            self.chat.pop_front();
        }
    }

    /// Takes a whole JPEG; gives name, width and height of a sender's first picture.
    pub(super) fn picture(&mut self, stream: u16, encoded: Bytes) -> Option<(String, u32, u32)> {
        let remote = self.others.get_mut(&stream)?;
        let seen = self.pictures.entry(remote.name.clone()).or_default();
        seen.bytes += encoded.len() as u64;
        let Ok(picture) = jpeg::decode(&encoded) else {
            seen.undecodable += 1;
            return None;
        };
        seen.received += 1;
        seen.last = Some(encoded);
        let first = (seen.received == 1).then(|| (remote.name.clone(), picture.width(), picture.height()));
        remote.picture = Some(picture);
        first
    }
}

impl Remote {
    fn of(participant: Participant) -> Self {
        Self { name: participant.name, muted: participant.muted, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_the_squared_level_times_the_seconds() {
        let mut heard = Heard::default();
        for _ in 0..50 {
            heard.add(&[0.5; 960]);
        }
        assert!((heard.seconds() - 1.0).abs() < 1e-9, "{heard:?}");
        assert!((heard.energy - 0.25).abs() < 1e-9 && (heard.level - 0.5).abs() < 1e-9, "{heard:?}");
        let energy = heard.energy;
        heard.add(&[0.0; 960]);
        assert_eq!(heard, Heard { level: 0.0, energy, samples: 51 * 960 });
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        assert_eq!(file_name("../../etc/passwd"), "______etc_passwd");
        assert_eq!(file_name("Zoë-1"), "Zoë-1");
    }
}
