//! The integration tests: one binary.
mod launch;
mod place;
mod sabotage;

fn main() {}
