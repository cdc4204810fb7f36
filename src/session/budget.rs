//! Token buckets: how much a peer may send.

use std::time::Duration;

/// Refills `rate` tokens a second up to `burst`.
#[derive(Clone, Debug)]
pub struct Budget {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Duration,
}

impl Budget {
    /// A full bucket.
    pub fn new(rate: u32, burst: u32, now: Duration) -> Self {
        Self { rate: f64::from(rate), burst: f64::from(burst), tokens: f64::from(burst), at: now }
    }

    /// Takes a token; `false`: the peer sends too much.
    pub fn take(&mut self, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_the_rate_holds_after_it() {
        let mut budget = Budget::new(10, 5, Duration::ZERO);
        assert_eq!((0..8).filter(|_| budget.take(Duration::ZERO)).count(), 5);
        assert_eq!((0..8).filter(|_| budget.take(Duration::from_millis(300))).count(), 3);
        assert_eq!((0..8).filter(|_| budget.take(Duration::from_mins(1))).count(), 5);
    }
}
