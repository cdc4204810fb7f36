//! The integration tests: one binary, against the real `sidetone` program on loopback.

mod support;
mod wire;
