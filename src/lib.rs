//! Sidetone: real-time audio and video chat for terminals and browsers.
//!
//! | module | kind | what it is |
//! |---|---|---|
//! | [`audio`] | pure | jitter buffer, mixer, limiter, level, concealment, drift, Opus, test signals and meters |
//! | [`protocol`] | pure | bytes to messages and back; the wire format is drawn in its documentation |
//! | [`event`] | pure | the vocabulary of structured log events |
pub mod audio;
pub mod event;
pub mod protocol;
pub mod clock;
pub mod log;
pub mod net;
pub mod server;
pub mod session;
