//! What a running server answers: one file a layer. I/O.
//!
//! * [`tcp`], [`http`], [`session`], [`mdns`];
//! * [`follow_up`]: answers to the questions of the diagnosis; [`bind`] is one of them.
//!
//! Each probe gives an [`crate::evidence::Observation`]; none decides what that means.

pub mod bind;
pub mod follow_up;
pub mod http;
pub mod mdns;
pub mod session;
pub mod tcp;
