//! The clocks of the harness's I/O modules. Pure modules take the time as an argument.

use nix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of the events too, comparable between the processes of one machine.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Unix has a monotonic clock");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0)
}

/// UTC, RFC 3339 with microseconds, for instance `2026-11-22T21:30:00.000123Z`.
pub fn now_rfc3339() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// By how many microseconds the clock of the day (since 1970) is ahead of `CLOCK_MONOTONIC` now.
pub fn wall_ahead_us() -> i64 {
    let wall = jiff::Timestamp::now().as_microsecond();
    wall - i64::try_from(monotonic_ns() / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let first = monotonic_ns();
        assert!(first > 0);
        assert!(monotonic_ns() >= first);
    }

    #[test]
    fn utc_is_written_with_six_digits() {
        let text = now_rfc3339();
        assert_eq!(text.len(), "2026-11-22T21:30:00.000123Z".len(), "{text}");
        assert!(text.ends_with('Z'));
        text.parse::<jiff::Timestamp>().unwrap();
    }
}
