//! Time of steps.

use crate::evidence::probed::{Saw, Step};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// One probe's clock and the deadline of its layers.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    zero: Instant,
    /// How long a layer may take.
    pub deadline: Duration,
}

/// A step that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Lap {
    watch: Watch,
    began: Instant,
}

impl Watch {
    /// Starts.
    pub fn start(deadline: Duration) -> Self {
        Self { zero: now(), deadline }
    }

    /// The same clock with three quarters of the deadline.
    #[must_use]
    pub fn shorter(self) -> Self {
        Self { deadline: self.deadline * 3 / 4, ..self }
    }

    /// A step begins.
    pub fn begin(self) -> Lap {
        Lap { watch: self, began: now() }
    }
}

impl Lap {
    /// When the layer's time is over.
    pub fn until(self) -> Instant {
        self.began + self.watch.deadline
    }

    /// So much time from now.
    pub fn after(self, time: Duration) -> Instant {
        self.began + self.began.elapsed() + time
    }

    /// Microseconds so far.
    pub fn so_far_us(self) -> u64 {
        micros(self.began.elapsed())
    }

    /// The step has ended.
    pub fn end(self, address: impl Into<Option<SocketAddr>>, saw: Saw) -> Step {
        Step {
            address: address.into(),
            began_us: micros(self.began - self.watch.zero),
            took_us: self.so_far_us(),
            deadline_ms: u64::try_from(self.watch.deadline.as_millis()).unwrap_or(u64::MAX),
            saw,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a probe measures")]
fn now() -> Instant {
    Instant::now()
}
