//! Sidetone: real-time audio and video chat for terminals and browsers.
//!
//! | module | kind | what it is |
//! |---|---|---|
//! | [`protocol`] | pure | bytes to messages and back; the wire format is drawn in its documentation |
//! | [`session`] | pure | state machines: handshake, heartbeat, back-off, budgets (input and time in, decision out) |
//! | [`event`] | pure | the vocabulary of structured log events |
//! | [`audio`] | pure | jitter buffer, mixer, limiter, levels, concealment, drift, Opus, test signals and meters |
//! | [`video`] | pure | pictures, JPEG, test patterns, terminal rendering, grid, changed-cell output |
//! | [`web`] | pure | the browser client's files, embedded |
//! | [`clock`] | I/O | the one file that reads clocks |
//! | [`log`] | I/O | where events are written |
//! | [`net`] | I/O | listeners, dialling, transports, queues, mDNS |
//! | [`device`] | I/O | microphones, speakers and cameras behind small traits |
//! | [`server`] | I/O | rooms, mixer, HTTP; takes its listeners and its shutdown |
//! | [`client`] | I/O | joins, sends, plays, shows |
//! | [`cli`] | I/O | one clap struct a subcommand |
//!
//! Invariants, held by tests: a pure module imports only pure modules and reads no clock; nothing is allocated before its
//! length is checked; whatever a peer sends ends at most its own connection.
pub mod audio;
pub mod cli;
pub mod client;
pub mod clock;
pub mod device;
pub mod event;
pub mod log;
pub mod net;
pub mod protocol;
pub mod server;
pub mod session;
pub mod video;
pub mod web;
