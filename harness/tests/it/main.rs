//! The integration tests: one binary.
mod launch;

fn main() {}
