//! The `sidetone-harness` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    sidetone_harness::cli::main()
}
