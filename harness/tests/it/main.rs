//! The integration tests: one binary.
mod launch;
mod tidy;

fn main() {}
