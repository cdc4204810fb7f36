//! The integration tests: one binary, against the real `sidetone` program on loopback.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be, helpers included")]
#![expect(clippy::wildcard_enum_match_arm, reason = "tests pick the one event or message that they wait for")]

mod bad_input;
mod binding;
mod client;
mod commands;
mod drain;
mod echo;
mod hostile;
mod http;
mod origin;
mod page;
mod rooms;
mod slow_consumer;
mod support;
mod terminal;
mod wire;
