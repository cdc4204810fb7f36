//! Scheduling of the mixer's thread.

/// Asks for `SCHED_FIFO`; says what the thread runs under.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "nix has no sched_setscheduler; the call takes an integer and a valid pointer to a live struct"
)]
pub(crate) fn raise_priority() -> String {
    use nix::libc::{SCHED_FIFO, SCHED_RESET_ON_FORK, sched_param, sched_setscheduler};
    let parameters = sched_param { sched_priority: 10 };
    // 0 is the calling thread
    let result = unsafe { sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &raw const parameters) };
    if result == 0 {
        "SCHED_FIFO".to_owned()
    } else {
        format!("SCHED_OTHER (no SCHED_FIFO: {})", nix::errno::Errno::last())
    }
}

/// Elsewhere the default.
#[cfg(not(target_os = "linux"))]
pub(crate) fn raise_priority() -> String {
    "default scheduling".to_owned()
}

/// Microseconds that the calling thread has waited for a processor so far; `None` where the kernel does not tell.
pub(crate) fn run_delay_us() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1_000)
}
