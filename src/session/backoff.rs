//! Exponential back-off with full jitter.

use std::time::Duration;

/// Doubles a ceiling from `first` to `last`; each delay is drawn evenly from the upper half of it, so that
/// many clients that lost one server do not come back in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    attempt: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(15))
    }
}

impl Backoff {
    /// From `first` up to `last`.
    pub const fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, attempt: 0 }
    }

    /// Attempts since the last [`Backoff::reset`].
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The next delay. `chance` is an even random number in 0..1.
    pub fn next_delay(&mut self, chance: f64) -> Duration {
        let ceiling = self.first.saturating_mul(1 << self.attempt.min(20)).min(self.last);
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// After a success.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_are_jittered_and_end_at_the_ceiling() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let longest: Vec<_> = (0..6).map(|_| backoff.next_delay(1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next_delay(0.0).as_millis(), 50);
        let mut many = Backoff::default();
        for _ in 0..100 {
            assert!(many.next_delay(1.0) <= Duration::from_secs(15));
        }
    }
}
