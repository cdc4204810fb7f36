//! State machines of a session: input and time in, decision out. PURE.
//!
//! * [`handshake`]: may this hello come in?
//! * [`heartbeat`]: when to ping, when a peer is gone.
//! * [`backoff`]: when to try again.
//! * [`budget`]: how much a peer may send.
//! * [`speaking`]: who is heard in a room.

pub mod backoff;
pub mod budget;
pub mod handshake;
pub mod heartbeat;
pub mod speaking;

pub use backoff::Backoff;
pub use budget::Budget;
pub use handshake::{Admission, admit};
pub use heartbeat::{Beat, Heartbeat};
pub use speaking::Speakers;
