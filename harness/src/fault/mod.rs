//! Faults, carried out: what breaks a call on purpose. The data is [`crate::evidence::fault`]. I/O.
//!
//! * [`hold`]: another process takes a port, or every port of the ephemeral range;
//! * [`descriptors`]: a running program may open only so many more;
//! * [`stall`]: a way over TCP that stands still again and again;
//! * [`pause`]: a program that is stopped again and again;
//! * [`fifo`]: a file that nobody reads; [`ipv6`]: a network without it.

#[cfg(target_os = "linux")]
pub mod descriptors;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
pub mod descriptors;
pub mod fifo;
pub mod hold;
pub mod ipv6;
pub mod pause;
pub mod stall;

use nix::errno::Errno;
use std::fmt::Display;
use std::io;

/// `operation object: cause (ERRNO)`, for instance `bind 127.0.0.1:80: Permission denied (EACCES)`.
fn reason(operation: &str, object: impl Display, error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => format!("{operation} {object}: {} ({errno:?})", errno.desc()),
        None => format!("{operation} {object}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_operation_object_cause_and_errno() {
        let denied = io::Error::from(Errno::EACCES);
        assert_eq!(reason("bind", "127.0.0.1:80", &denied), "bind 127.0.0.1:80: Permission denied (EACCES)");
        assert_eq!(reason("read", "x", &io::Error::other("no number")), "read x: no number");
    }
}
