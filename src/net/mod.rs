//! Sockets: listening, dialling, transports, mDNS. I/O.
//!
//! | module | what it does |
//! |---|---|
//! | [`bind`] | binds a listener on several addresses under a policy; every failure names errno, holder and remedy |
//! | [`dial`] | from what a person typed to a connected socket |
//! | [`transport`] | frames over TCP and WebSocket, for server and client |
//! | [`outbox`] | what waits for one receiver: control, audio, video |
//! | [`holder`] | who holds a port |
//! | [`mdns`] | announces a server on chosen interfaces and finds others |
//! | [`errno`] | names of operating system errors |
//!
//! Nothing here writes a log: whoever calls passes a `report` callback that takes the [`Event`](crate::event::Event)s.

pub mod bind;
pub mod dial;
pub mod errno;
pub mod holder;
pub mod mdns;
pub mod outbox;
pub mod transport;
