//! The integration tests: one binary.
mod launch;
mod sample;

fn main() {}
