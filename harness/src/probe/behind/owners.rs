//! Who has which socket: one scan of `/proc/PID/fd`.

use crate::evidence::probed::Owner;
use crate::launch::resources;
use crate::sockets::proc::sockets_of;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

/// What a scan found.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Processes of each inode that was looked for.
    pub pids: BTreeMap<u64, BTreeSet<u32>>,
    /// Processes whose descriptors may not be seen.
    pub hidden: u64,
}

/// Looks for sockets, from the newest process on: what is looked for was mostly started lately. With `all` every owner of each,
/// else it stops when each has one.
pub fn scan(inodes: &BTreeSet<u64>, all: bool) -> Scan {
    let mut scan = Scan::default();
    let mut wanted = inodes.clone();
    wanted.remove(&0);
    let mut pids: Vec<u32> = if wanted.is_empty() { Vec::new() } else { resources::pids().collect() };
    pids.sort_unstable_by(|a, b| b.cmp(a));
    for pid in pids {
        let found = match sockets_of(pid) {
            Ok(found) => found.into_iter().filter(|inode| wanted.contains(inode)).collect::<Vec<_>>(),
            Err(error) => {
                scan.hidden += u64::from(error.kind() == io::ErrorKind::PermissionDenied);
                continue;
            }
        };
        for inode in found {
            scan.pids.entry(inode).or_default().insert(pid);
            if !all {
                wanted.remove(&inode);
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    scan
}

/// What a process is and does.
pub fn owner(pid: u32, threads: bool) -> Owner {
    Owner {
        pid,
        command: resources::command_line(pid),
        since: resources::started(pid),
        state: resources::process_state(pid).ok().flatten(),
        threads: if threads { states(pid) } else { None },
    }
}

/// States of its threads, the most frequent first: `S 4, R 1`; `None`: not readable.
fn states(pid: u32) -> Option<String> {
    /// Most threads that are looked at.
    const MOST: usize = 1_000;
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.take(MOST).flatten() {
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
        let letter = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        *counts.entry(letter?).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(letter, count)| (std::cmp::Reverse(*count), *letter));
    let told: Vec<_> = counts.iter().map(|(letter, count)| format!("{letter} {count}")).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_socket_of_our_own_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let link = link.to_str().unwrap();
        let inode = link.strip_prefix("socket:[").unwrap().strip_suffix(']').unwrap().parse().unwrap();
        for all in [true, false] {
            let found = scan(&BTreeSet::from([inode, 0]), all);
            // a child that another test has just forked has it too, until its exec
            assert!(!found.pids[&inode].is_empty() && (!all || found.pids[&inode].contains(&std::process::id())));
        }
        assert!(scan(&BTreeSet::new(), true).pids.is_empty());
        assert!(sockets_of(std::process::id()).unwrap().contains(&inode));
        assert_eq!(sockets_of(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn threads_are_counted_by_their_states() {
        let own = owner(std::process::id(), true);
        let threads = own.threads.unwrap();
        let count: u32 = threads.split(", ").map(|part| part[2..].parse::<u32>().unwrap()).sum();
        assert!(count >= 1 && own.state.is_some(), "{threads}");
        assert_eq!(owner(u32::MAX, true).threads, None);
    }
}
