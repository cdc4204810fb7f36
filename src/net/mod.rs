//! Sockets. I/O.
pub mod outbox;
pub mod transport;
