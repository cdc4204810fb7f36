//! Exit codes of `sidetone`. They are an interface.

use std::process::ExitCode;

/// Done; a server drained after SIGTERM or SIGINT.
pub const DONE: u8 = 0;
/// An internal error.
pub const INTERNAL: u8 = 1;
/// Wrong usage.
pub const USAGE: u8 = 2;
/// A listener could not be bound.
pub const BIND: u8 = 3;
/// The server could not be reached: name, refused, timed out.
pub const UNREACHABLE: u8 = 4;
/// The server said no: version, full, name taken.
pub const REFUSED: u8 = 5;
/// Connected, but nothing came in time.
pub const NOTHING_CAME: u8 = 6;
/// The connection was lost and not regained.
pub const LOST: u8 = 7;
/// No usable device or file.
pub const NO_DEVICE: u8 = 8;

/// Writes the reason on stderr, a line each with the program's name, and gives the code.
pub fn with(code: u8, reason: impl std::fmt::Display) -> ExitCode {
    let reason = reason.to_string();
    let lines =
        reason.lines().map(|l| format!("sidetone: {}\n", l.chars().map(crate::video::text::safe).collect::<String>()));
    drop(std::io::Write::write_all(&mut std::io::stderr(), lines.collect::<String>().as_bytes()));
    ExitCode::from(code)
}
