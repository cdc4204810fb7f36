//! Counters and settings of the kernel.

use std::fs;

/// `ListenOverflows` and `ListenDrops`; `None`: not readable.
pub(super) fn overflows() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/net/netstat").ok()?;
    Some((counter(&text, "ListenOverflows")?, counter(&text, "ListenDrops")?))
}

/// `net.core.somaxconn`.
pub(super) fn somaxconn() -> Option<u32> {
    fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

/// A line of names and one of numbers, both beginning with `TcpExt:`.
fn counter(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|word| word == name)?;
    values.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let text =
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\nIpExt: InNoRoutes\nIpExt: 4\n";
        assert_eq!((counter(text, "ListenOverflows"), counter(text, "ListenDrops")), (Some(22), Some(333)));
        assert_eq!((counter(text, "InNoRoutes"), counter("", "x"), counter("TcpExt: x", "x")), (None, None, None));
        assert!(overflows().is_some() && somaxconn().unwrap() > 0);
    }
}
