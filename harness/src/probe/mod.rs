//! What a running server answers: one file a layer. I/O.
//!
//! * [`tcp`], [`http`], [`session`], [`mdns`].
//!
//! Each probe gives an [`crate::evidence::Observation`]; none decides what that means.

pub mod http;
pub mod mdns;
pub mod session;
pub mod tcp;
