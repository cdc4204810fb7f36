//! The integration tests: one binary.
mod launch;
mod sample;
mod tidy;

fn main() {}
