//! The integration tests: one binary, against the real `sidetone` program on loopback.

mod bad_input;
mod binding;
mod client;
mod commands;
mod drain;
mod http;
mod rooms;
mod slow_consumer;
mod support;
mod terminal;
mod wire;
