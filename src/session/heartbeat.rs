//! Heartbeats: every frame of the peer is a sign of life; silence is asked, then given up.

use std::time::Duration;

/// Time between pings.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// A peer that is silent for so long is gone.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing until then.
    Wait(Duration),
    /// Send a ping.
    Ping,
    /// The peer has been silent for so long: give it up.
    Gone(Duration),
}

/// The state of one connection. Times are of a monotonic clock.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    heard: Duration,
    pinged: Duration,
}

impl Heartbeat {
    /// From the handshake on.
    pub const fn new(now: Duration) -> Self {
        Self { heard: now, pinged: now }
    }

    /// Something came from the peer.
    pub const fn received(&mut self, now: Duration) {
        self.heard = now;
    }

    /// What to do at `now`; a [`Beat::Ping`] counts as done.
    pub fn poll(&mut self, now: Duration) -> Beat {
        let silent = now.saturating_sub(self.heard);
        if silent >= TIMEOUT {
            return Beat::Gone(silent);
        }
        let next = self.pinged + INTERVAL;
        if now >= next {
            self.pinged = now;
            return Beat::Ping;
        }
        Beat::Wait(next.min(self.heard + TIMEOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pings_every_interval_and_gives_up_after_the_timeout() {
        let mut heartbeat = Heartbeat::new(s(100));
        assert_eq!(heartbeat.poll(s(101)), Beat::Wait(s(102)));
        assert_eq!(heartbeat.poll(s(102)), Beat::Ping);
        assert_eq!(heartbeat.poll(s(102)), Beat::Wait(s(104)));
        heartbeat.received(s(103));
        assert_eq!(heartbeat.poll(s(112)), Beat::Ping);
        assert_eq!(heartbeat.poll(s(112)), Beat::Wait(s(113)));
        assert_eq!(heartbeat.poll(s(113)), Beat::Gone(s(10)));
    }
}
