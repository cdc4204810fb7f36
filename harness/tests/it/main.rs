//! The integration tests: one binary.
mod launch;
mod place;
mod sabotage;
mod sample;
mod tidy;
