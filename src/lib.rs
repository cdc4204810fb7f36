//! Sidetone: real-time audio and video chat for terminals and browsers.
//!
//! | module | kind | what it is |
//! |---|---|---|
//! | [`protocol`] | pure | bytes to messages and back; the wire format is drawn in its documentation |
//! | [`event`] | pure | the vocabulary of structured log events |
//! | [`net`] | I/O | listening with who holds the port, dialling, mDNS |
pub mod event;
pub mod net;
pub mod protocol;
