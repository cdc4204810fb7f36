//! What the tests share: the program as a child process, and a peer that speaks the protocol by hand.

pub(crate) mod ear;
pub(crate) mod fake;
pub(crate) mod peer;
pub(crate) mod program;

pub(crate) use fake::Fake;
pub(crate) use peer::{Got, Peer, chat, hello, keep_alive};
pub(crate) use program::{Program, Server, client, sidetone};

use sidetone::clock;
use std::time::Duration;

/// How long anything may take before a test gives up on it. Only a failing test waits for so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A point in time to wait for.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Duration);

impl Deadline {
    pub(crate) fn new() -> Self {
        Self::after(PATIENCE)
    }

    pub(crate) fn after(patience: Duration) -> Self {
        Self(clock::monotonic() + patience)
    }

    /// What is left; never zero, which sockets take for "for ever".
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_sub(clock::monotonic()).max(Duration::from_millis(1))
    }

    pub(crate) fn passed(self) -> bool {
        clock::monotonic() >= self.0
    }
}

/// A file in `fixtures/`.
pub(crate) fn fixture(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// Calls `body` once every `period`, `count` times; paced like a device, so lateness never adds up.
pub(crate) fn paced(period: Duration, count: u32, mut body: impl FnMut(u32)) {
    let began = clock::monotonic();
    for i in 0..count {
        clock::sleep_until(began + period * i);
        body(i);
    }
}
