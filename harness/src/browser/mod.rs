//! A browser as a client program: from outside it looks like `sidetone client`. I/O.
//!
//! [`run`] starts a real browser with a fake microphone and camera, opens the server's page, joins by clicking as a person
//! would, reports what the browser and the page say as events, and ends when it is told to.
//!
//! ```text
//! sidetone-harness browser ── supervisor ── browser ── page ── workers
//!            └────────────── DevTools (one WebSocket) ───────────┘
//! ```
//!
//! * `find`: where browsers are; `folder`, `files`: its profile, and what its devices play; `process`: its life;
//! * `devtools`: the protocol; `watch`: listens to it; `events`: its words in our vocabulary; `base64`: its bytes;
//! * `page`: looks, clicks, types; `obey`: what signals make it do; `record`: what the page plays; `drive`, `finish`: the course of it all;
//! * [`tab`]: a browser without that course, for tests of the page.

mod base64;
mod devtools;
mod drive;
mod events;
mod files;
pub mod find;
mod finish;
mod folder;
mod obey;
mod page;
mod process;
mod record;
pub mod tab;
mod watch;

pub use drive::run;

use serde_json::Value;
use sidetone::device::{CameraSpec, MicrophoneSpec, SpeakerSpec};
use sidetone::log::Log;
use sidetone::net::dial::Target;
use std::path::PathBuf;
use std::time::Duration;

/// How a browser is driven.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Clone, Debug)]
pub struct Setup {
    /// The server whose page is opened.
    pub target: Target,
    /// Another name for the server's address, which the page is opened under.
    pub host_name: Option<String>,
    /// Own name.
    pub name: String,
    /// Room.
    pub room: String,
    /// What the fake microphone gives; none: the page is told to send no sound.
    pub microphone: MicrophoneSpec,
    /// The browser cleans up what the microphone gives, as for a person: echo and noise, and a tone is noise.
    pub cleanup: bool,
    /// What the fake camera gives; none: the page is told to send no pictures.
    pub camera: CameraSpec,
    /// Where the page's sound is recorded.
    pub speaker: SpeakerSpec,
    /// Folder for the last picture of each participant.
    pub save_pictures: Option<PathBuf>,
    /// Folder for pictures of the page.
    pub screenshots: Option<PathBuf>,
    /// Chat lines that are said one after the other, each when SIGUSR2 comes.
    pub says: Vec<String>,
    /// The page is asked for its statistics at the end.
    pub stats: bool,
    /// The browser, if not the first one that is found.
    pub browser: Option<PathBuf>,
    /// This program, for its supervisor.
    pub supervisor: PathBuf,
    /// Patience for the page, and with `once` for a connection.
    pub timeout: Duration,
    /// Ends when there is no connection for `timeout`.
    pub once: bool,
    /// Stays so long in the lobby.
    pub lobby: Duration,
    /// Microphone and camera are denied.
    pub deny_capture: bool,
    /// Name and room are in the URL, so that nothing is typed before the click.
    pub by_link: bool,
    /// Joins by the URL, so that there is no click that would allow sound.
    pub lock_autoplay: bool,
    /// Instead of the document's Content-Security-Policy.
    pub page_policy: Option<String>,
    /// Evaluated in the page before its own scripts.
    pub script: Option<String>,
    /// Inner size in pixels.
    pub window: (u32, u32),
    /// Prefers dark colours.
    pub dark: bool,
    /// With a window that one can see.
    pub headed: bool,
    /// What the analyser hears is told every second.
    pub chatty: bool,
    /// Where events go.
    pub log: Log,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was told to.
    Done,
    /// The page could not be loaded, or it found no connection.
    Unreachable(String),
    /// The server said no.
    Refused(String),
    /// The server was there and what it should give did not come.
    NothingCame(String),
    /// The connection or the browser was lost.
    Lost(String),
    /// No browser, or a file that cannot be used.
    NoDevice(String),
}

/// What it leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// The page's statistics, as `sidetone client --stats json` has them.
    pub stats: Option<Value>,
}
