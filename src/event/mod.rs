//! The vocabulary of structured log events. PURE.
//!
//! Programs write [`Record`]s as JSON lines; the harness reads them through the same types, so that no regular
//! expression stands between the two. Event names and fields are an interface: never renamed, never reused;
//! `sidetone events` prints them. A healthy event is never ERROR.
//!
//! * [`catalogue`] holds every event, a line each with its level, fields and message;
//! * [`record`] is the line as written: time, clock, level, source, process;
//! * [`reporter`] hands events on from code that knows only this vocabulary;
//! * [`value`] holds the types of the fields.

pub mod catalogue;
pub mod record;
pub mod reporter;
pub mod value;

pub use catalogue::{CATALOGUE, Entry, Event};
pub use record::{Record, Unread};
pub use reporter::Reporter;
pub use value::{
    ConcealmentCounters, Errno, Family, Holder, Level, ListenerKind, Policy, Ready, SocketRole, Transport,
    UnderrunCause,
};
