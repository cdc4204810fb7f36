//! The client: joins a room, sends its microphone and camera, plays and shows the others. I/O.
//!
//! ```text
//!            dial, upgrade, hello          welcome              connection lost
//! connecting ----------------------> asked ------> in the room ----------------> waiting (back-off) -> connecting
//!     | gives up (snapshot, --once)    | refused       | leave, signal, snapshot taken
//!     +--------------------------------+---------------+--> ended
//! ```
//!
//! * `shared`: what the threads and tasks of one client share;
//! * `link`: from a target to a welcome; `session`: from the welcome to the end; `control`: signals as a remote control;
//! * `media`: the paced threads of microphone, camera and speaker;
//! * `screen`: the drawn terminal; `snapshot`: one picture, printed; `stats`: W3C webrtc-stats.

mod control;
mod link;
mod media;
mod screen;
mod session;
mod shared;
mod snapshot;
mod stats;

pub use screen::TerminalKind;
pub use session::Command;

use crate::clock;
use crate::device::{CameraSpec, MicrophoneSpec, SpeakerSpec};
use crate::event::Event;
use crate::log::Log;
use crate::net::dial::Target;
use crate::protocol::RefusalCode;
use crate::session::Backoff;
use session::SessionEnd;
use shared::{Shared, lock};
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// When a client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// When it is told to; it reconnects for ever.
    Stay,
    /// When it is told to, or when no connection could be had for so long.
    Once {
        /// Patience for a connection.
        timeout: Duration,
    },
    /// After one picture.
    Snapshot {
        /// Patience for a connection and the first picture.
        timeout: Duration,
        /// Time after the first picture.
        delay: Duration,
    },
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to.
    pub target: Target,
    /// Own name.
    pub name: String,
    /// Room.
    pub room: String,
    /// Sound sent.
    pub microphone: MicrophoneSpec,
    /// Where the others' sound goes.
    pub speaker: SpeakerSpec,
    /// Pictures sent.
    pub camera: CameraSpec,
    /// Of them, so many a second.
    pub pictures_per_second: u32,
    /// Folder for the last picture of each participant.
    pub save_pictures: Option<PathBuf>,
    /// Chat lines that are said one after the other, each when SIGUSR2 comes.
    pub says: Vec<String>,
    /// When to end.
    pub mode: Mode,
    /// How the terminal is drawn; `None`: not at all.
    pub screen: Option<TerminalKind>,
    /// For the printed snapshot.
    pub print: TerminalKind,
    /// Where events go.
    pub log: Log,
}

/// How a client ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was told to.
    Done,
    /// No connection.
    Unreachable(String),
    /// The server said no.
    Refused(String),
    /// Connected, but nothing came in time.
    NothingCame(String),
    /// A connection was lost and not regained.
    Lost(String),
    /// A device or file cannot be used.
    NoDevice(String),
}

/// What a client leaves behind.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// The printed snapshot.
    pub snapshot: Option<String>,
    /// `--stats json`: a W3C webrtc-stats report.
    pub stats: serde_json::Value,
}

/// Runs a client until it has reason to end. `shutdown` resolves when it is told to (a signal).
pub async fn run(config: Config, shutdown: impl Future<Output = &'static str>) -> Ended {
    let (commands, mut from_screen) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(config));
    let media = match media::Media::open(&shared) {
        Ok(media) => media,
        Err(error) => {
            let outcome = Outcome::NoDevice(error.to_string());
            return Ended { outcome, snapshot: None, stats: stats::report(&shared) };
        }
    };
    let control = control::Control::start(shared.config.says.clone(), commands.clone());
    if let Err(error) = &control {
        shared.set_status(format!("no remote control: {error}"));
    }
    let screen = shared.config.screen.map(|kind| screen::Screen::start(Arc::clone(&shared), kind, commands));
    let mut taken = None;
    let outcome = {
        let mut living = pin!(live(&shared, &media, &mut from_screen));
        let mut snapshot = pin!(snapshot::wait(&shared));
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            outcome = &mut living => outcome,
            result = &mut snapshot => {
                taken = result.is_ok().then(|| snapshot::print(&shared));
                let outcome = result.err().unwrap_or(Outcome::Done);
                say_goodbye(&shared, &mut living, "the snapshot is taken").await;
                outcome
            }
            signal = &mut shutdown => {
                say_goodbye(&shared, &mut living, signal).await;
                Outcome::Done
            }
        }
    };
    drop((screen, control));
    media.finish();
    let problem = shared.save_pictures();
    let outcome = match (outcome, problem) {
        (Outcome::Done, Some(problem)) => Outcome::NoDevice(problem),
        (outcome, _) => outcome,
    };
    Ended { outcome, snapshot: taken, stats: stats::report(&shared) }
}

/// Ends the session politely, within a second.
async fn say_goodbye(shared: &Shared, living: &mut (impl Future<Output = Outcome> + Unpin), reason: &str) {
    if shared.leave(reason) {
        drop(tokio::time::timeout(Duration::from_secs(1), living).await);
    }
}

/// Connects, and connects again.
async fn live(shared: &Arc<Shared>, media: &media::Media, commands: &mut mpsc::UnboundedReceiver<Command>) -> Outcome {
    let patience = match shared.config.mode {
        Mode::Stay => None,
        Mode::Once { timeout } | Mode::Snapshot { timeout, .. } => Some(timeout),
    };
    let mut backoff = Backoff::default();
    let mut unconnected_since = clock::monotonic();
    let mut was_in = false;
    loop {
        let limit = patience.map_or(Duration::MAX, |p| (unconnected_since + p).saturating_sub(clock::monotonic()));
        let linked = tokio::select! {
            linked = tokio::time::timeout(limit, link::connect(shared, backoff.attempt() + 1)) => linked,
            () = session::told_to_leave(shared, commands) => return Outcome::Done,
        };
        let problem = match linked {
            // an attempt that our own patience cuts short says less than one that came to an end
            Err(_) => lock(&shared.room)
                .problem
                .clone()
                .unwrap_or_else(|| format!("{} did not answer in time", shared.config.target)),
            Ok(Err(link::LinkError::Refused(refusal))) if !may_try_again(was_in, refusal.code) => {
                return Outcome::Refused(refusal.message);
            }
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(link)) => {
                backoff.reset();
                was_in = true;
                media.start(shared);
                let end = session::run(shared, link, commands).await;
                unconnected_since = clock::monotonic();
                match end {
                    SessionEnd::Left => return Outcome::Done,
                    SessionEnd::Lost(reason) => reason,
                }
            }
        };
        lock(&shared.room).problem = Some(problem.clone());
        let given_up = if was_in { Outcome::Lost(problem.clone()) } else { Outcome::Unreachable(problem.clone()) };
        let delay = backoff.next_delay(rand::random());
        let tries_left = patience.is_none_or(|p| clock::monotonic() + delay < unconnected_since + p);
        if !tries_left {
            return given_up;
        }
        shared.set_status(format!("trying again: {problem}"));
        let delay_ms = clock::millis(delay);
        shared.config.log.emit(Event::ClientReconnecting { attempt: backoff.attempt() + 1, delay_ms });
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = session::told_to_leave(shared, commands) => return Outcome::Done,
        }
    }
}

/// A server that is full or going down may take us later; after a lost connection our own old session may still hold the
/// name for some seconds.
const fn may_try_again(was_in: bool, code: RefusalCode) -> bool {
    match code {
        RefusalCode::ShuttingDown => true,
        RefusalCode::ServerFull | RefusalCode::NameTaken => was_in,
        RefusalCode::VersionUnsupported
        | RefusalCode::NameInvalid
        | RefusalCode::RoomInvalid
        | RefusalCode::AudioUnsupported
        | RefusalCode::Unknown => false,
    }
}
