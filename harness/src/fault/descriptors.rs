//! Fewer descriptors for a program that already runs.

use super::reason;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::collections::BTreeSet;
use std::fs;
use std::io;

/// Sets the soft limit of open descriptors of a running process so that exactly `spare` more can be opened; the hard limit
/// stays. Tells what it did, for instance `the soft limit of pid 12 is 17, 16 are open`.
///
/// # Errors
/// What could not be read or set, with its errno.
pub fn limit(pid: u32, spare: u32) -> Result<String, String> {
    let open = open(pid)?;
    let path = format!("/proc/{pid}/limits");
    let limits = fs::read_to_string(&path).map_err(|e| reason("read", &path, &e))?;
    let hard = hard(&limits).ok_or_else(|| format!("{path} does not tell the hard limit of open files"))?;
    let soft = fitting(&open, spare).min(hard);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| format!("pid {pid} is none"))?;
    prlimit(Some(number), Resource::Nofile, Rlimit { current: Some(soft), maximum: Some(hard) })
        .map_err(|e| reason("prlimit", format_args!("pid {pid}"), &e.into()))?;
    Ok(format!("the soft limit of pid {pid} is {soft}, {} are open", open.len()))
}

/// The descriptors that are open now.
fn open(pid: u32) -> Result<BTreeSet<u32>, String> {
    let path = format!("/proc/{pid}/fd");
    let numbers = fs::read_dir(&path).and_then(|entries| {
        let names = entries.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    });
    numbers.map_err(|e| reason("read", &path, &e))
}

/// The limit is one on numbers, and the lowest free number is given first: so it is the free number that comes after
/// `spare` other free ones. Where the numbers have no gaps that is their count plus `spare`.
fn fitting(open: &BTreeSet<u32>, spare: u32) -> u64 {
    let mut free = (0..=u32::MAX).filter(|number| !open.contains(number));
    u64::from(free.nth(spare as usize).unwrap_or(u32::MAX))
}

/// The hard limit in the text of `/proc/PID/limits`. The kernel knows no unlimited number of descriptors.
fn hard(limits: &str) -> Option<u64> {
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    row.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hard_limit_is_read() {
        let text =
            "Limit  Soft Limit  Hard Limit  Units\nMax cpu time  1  2  seconds\nMax open files   1024   4096   files\n";
        assert_eq!(hard(text), Some(4096));
        assert_eq!(hard("Max cpu time 1 2 seconds"), None);
    }

    #[test]
    fn without_gaps_it_is_the_count_and_the_spare_ones() {
        assert_eq!(fitting(&(0..16).collect(), 1), 17);
        assert_eq!(fitting(&(0..16).collect(), 0), 16);
        assert_eq!(fitting(&BTreeSet::from([0, 1, 2, 10]), 2), 5, "3 and 4 can be had");
    }

    proptest! {
        #[test]
        fn just_so_many_numbers_are_left(open in prop::collection::btree_set(0_u32..60, 0..40), spare in 0_u32..30) {
            let limit = fitting(&open, spare);
            let left = (0..limit).filter(|n| !open.contains(&u32::try_from(*n).unwrap())).count();
            prop_assert_eq!(left, spare as usize);
        }
    }

    #[test]
    fn nobody_can_be_limited_who_is_not_there() {
        let told = limit(u32::MAX, 1).unwrap_err();
        assert!(told.starts_with("read /proc/4294967295/fd: ") && told.ends_with("(ENOENT)"), "{told}");
    }
}
