//! The `sidetone` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    sidetone::cli::main()
}
