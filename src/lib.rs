//! Sidetone: real-time audio and video chat for terminals and browsers.
//!
//! | module | kind | what it is |
//! |---|---|---|
//! | [`protocol`] | pure | bytes to messages and back; the wire format is drawn in its documentation |
//! | [`event`] | pure | the vocabulary of structured log events |
//! | [`video`] | pure | pictures: JPEG, test patterns, glyph and half-block rendering, grid, changed-cell output |
pub mod event;
pub mod protocol;
pub mod video;
