//! The clocks of this machine: the one file of the crate that reads them; durations as numbers and as people type them. I/O.

use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use std::time::Duration;

/// `CLOCK_MONOTONIC`: comparable between the processes of one machine.
pub fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub fn monotonic_ns() -> u64 {
    u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX)
}

/// Whole microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole milliseconds as the wire and the events carry short times.
pub fn short_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// How many whole `period`s fit into `duration`.
pub fn periods(duration: Duration, period: Duration) -> u32 {
    u32::try_from(duration.as_nanos() / period.as_nanos().max(1)).unwrap_or(u32::MAX)
}

/// 48 kHz ticks of a media clock that began at zero; they wrap.
pub fn media_ticks(time: Duration) -> u32 {
    let wrapped = time.as_nanos() * 48 / 1_000_000 % (1 << 32);
    u32::try_from(wrapped).expect("the remainder is below 2^32")
}

/// UTC as RFC 3339 with microseconds.
pub fn utc() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// Sleeps until `CLOCK_MONOTONIC` reaches `deadline`. The deadline is absolute, so lateness never adds up.
pub fn sleep_until(deadline: Duration) {
    let deadline = deadline.into();
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &deadline)
        == Err(nix::errno::Errno::EINTR)
    {}
}

/// A duration with a unit (`500ms`, `3s`, `1m 30s`); a plain number counts seconds.
///
/// # Errors
/// What is allowed, for people.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; for instance 500ms, 3s, 1m 30s, or 2 for two seconds");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(duration).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_become_whole_numbers_and_media_ticks_wrap() {
        let duration = Duration::from_micros(2_500);
        assert_eq!((micros(duration), millis(duration), short_millis(duration)), (2_500, 2, 2));
        assert_eq!((micros(Duration::MAX), short_millis(Duration::MAX)), (u64::MAX, u32::MAX));
        assert_eq!(periods(Duration::from_millis(59), Duration::from_millis(20)), 2);
        assert_eq!(media_ticks(Duration::from_millis(20)), 960);
        assert_eq!(media_ticks(Duration::from_secs(89_479)), 24_704);
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1"), Ok(Duration::from_secs(1)));
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "-1", "-1s", "x", "1e99", "NaN"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
