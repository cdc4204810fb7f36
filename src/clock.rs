//! The clocks of this machine: the one file of the crate that reads them. I/O.

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
