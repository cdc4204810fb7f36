//! Errors of system calls as failures of steps.

use crate::evidence::probed::{Failure, How};
use nix::libc;
use sidetone::net::errno;
use std::io;
use std::time::Duration;

/// What a failed call on a socket means for a step.
pub fn of(error: &io::Error) -> Failure {
    let errno = errno::errno(error);
    let how = match errno.as_ref().map(|errno| errno.number) {
        Some(libc::ECONNREFUSED) => How::Refused,
        Some(libc::ETIMEDOUT) => How::TimedOut,
        Some(
            libc::ENETUNREACH
            | libc::EHOSTUNREACH
            | libc::ENETDOWN
            | libc::EHOSTDOWN
            | libc::EADDRNOTAVAIL
            | libc::EINVAL,
        ) => How::Unreachable,
        Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => How::Reset,
        Some(libc::EMFILE | libc::ENFILE | libc::EACCES | libc::EPERM | libc::ENOBUFS | libc::ENOMEM) => How::Own,
        None if error.kind() == io::ErrorKind::UnexpectedEof => How::Closed,
        None if error.kind() == io::ErrorKind::TimedOut => How::TimedOut,
        None if error.kind() == io::ErrorKind::InvalidData => How::Malformed,
        _ => How::Other,
    };
    let words = if errno.is_some() { String::new() } else { error.to_string() };
    Failure { errno, ..Failure::new(how, words) }
}

/// Nothing, or not all of it, came in time; `received` is what did.
pub fn late(deadline: Duration, received: &[u8]) -> Failure {
    let ms = deadline.as_millis();
    if received.is_empty() {
        Failure::new(How::TimedOut, format!("no byte within {ms} ms"))
    } else {
        Failure::new(How::TooSlow, format!("only {} bytes within {ms} ms", received.len())).after(received)
    }
}

/// The peer closed the connection where more was due.
pub fn closed(received: &[u8]) -> Failure {
    let words = match received.len() {
        0 => "closed without a byte".to_owned(),
        n => format!("closed after {n} bytes"),
    };
    Failure::new(How::Closed, words).after(received)
}
