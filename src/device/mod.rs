//! Where sound and pictures come from and go to, behind small traits. I/O.
//!
//! Files, generators and null devices; each is paced by its user like a real device: a microphone gives 20 ms every 20 ms, a
//! speaker takes 10 ms every 10 ms.
//!
//! * `microphone`, `speaker`, `camera`: one file a kind.

pub mod camera;
pub mod microphone;
pub mod speaker;

pub use camera::{Camera, CameraSpec};
pub use microphone::{Microphone, MicrophoneSpec};
pub use speaker::{Speaker, SpeakerSpec};

use std::path::PathBuf;

/// A device or file that cannot be used. Says which and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The file cannot be opened, read or written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong and how to mend it.
        reason: String,
    },
}
