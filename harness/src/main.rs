//! The `sidetone-harness` binary.
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "supervise") {
        return sidetone_harness::supervise::main(args);
    }
    ExitCode::SUCCESS
}
