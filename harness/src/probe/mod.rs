//! What a running server answers: one file a layer. I/O.
//!
//! * [`run`]: one probe of one target, from the name up; [`target`], [`options`]: what is probed and how;
//! * [`reach`]: name, way, connection, proxy, what speaks there; [`tls`]; [`web`]: HTTP and WebSocket; [`talk`]: sessions,
//!   media, mDNS, STUN; [`behind`]: what this machine knows of the socket;
//! * [`open`]: connections; [`watch`]: time; [`failure`]: errors as data; `settle`: what contradicts itself;
//! * [`tcp`], [`http`], [`session`], [`mdns`]: what a scenario asks its own server, by the same code;
//! * [`follow_up`]: answers to the questions of the diagnosis; [`bind`] is one of them.
//!
//! Each probe gives [`crate::evidence::Observation`]s; none decides what they mean.

pub mod behind;
pub mod bind;
pub mod failure;
pub mod follow_up;
pub mod http;
pub mod mdns;
pub mod open;
pub mod options;
pub mod reach;
pub mod run;
pub mod session;
mod settle;
pub mod talk;
pub mod target;
pub mod tcp;
pub mod tls;
pub mod watch;
pub mod web;
