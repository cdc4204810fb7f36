//! What is known of a failed bind.

use crate::event::{Errno, Event, Family, Holder, ListenerKind};
use nix::libc;
use std::fmt;
use std::net::SocketAddr;

/// One address that could not be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFailure {
    /// Which listener.
    pub listener: ListenerKind,
    /// The asked address.
    pub address: SocketAddr,
    /// The system call that failed: `socket`, `setsockopt`, `fcntl`, `bind` or `listen`.
    pub call: &'static str,
    /// Its error.
    pub errno: Errno,
    /// Who holds the port, most relevant first, at most eight.
    pub holders: Vec<Holder>,
    /// What helps.
    pub remedy: String,
}

impl AddressFailure {
    /// The event that reports it.
    pub fn event(&self) -> Event {
        Event::ListenerBindFailed {
            listener: self.listener,
            address: self.address,
            family: Family::of(&self.address),
            call: self.call.to_owned(),
            errno: self.errno.clone(),
            holders: self.holders.clone(),
            remedy: self.remedy.clone(),
        }
    }

    /// For a server that goes on without it.
    pub fn missing(&self) -> String {
        format!("{} on {} is missing: {}", self.listener, self.address, self.why())
    }

    /// Another port may work.
    pub(super) fn is_of_the_port(&self) -> bool {
        matches!(self.errno.number, libc::EADDRINUSE | libc::EACCES)
    }

    fn why(&self) -> String {
        let held = self.holders.first().map(|holder| format!("held by {holder}; ")).unwrap_or_default();
        format!("{} failed with {}; {held}{}", self.call, self.errno, self.remedy)
    }
}

impl fmt::Display for AddressFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}: {}", self.listener, self.address, self.why())
    }
}

/// A listener that could not be bound: one line for each address that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", self.lines(), self.others())]
pub struct BindFailure {
    /// Every address that failed, never none.
    pub failures: Vec<AddressFailure>,
    /// Ports tried in vain after the asked one.
    pub others_tried: u16,
}

impl BindFailure {
    fn lines(&self) -> String {
        self.failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    fn others(&self) -> String {
        match (self.others_tried, self.failures.first()) {
            (0, _) | (_, None) => String::new(),
            (n, Some(first)) => format!("\n{}: none of the next {n} ports could be used either", first.listener),
        }
    }
}
