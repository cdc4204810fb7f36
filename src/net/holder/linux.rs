//! `/proc`: socket tables, open files, port ranges. I/O.

use super::{PortFacts, table};
use crate::event::Holder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

pub(super) fn holders(asked: SocketAddr) -> Result<Vec<Holder>, String> {
    // The thread's own network namespace, which need not be that of the process.
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let mut text = read("tcp").map_err(|error| format!("/proc/thread-self/net/tcp: {error}"))?;
    // Without IPv6 in the kernel there is no tcp6.
    text.push_str(&read("tcp6").unwrap_or_default());

    let mut rows: Vec<_> = table::rows(&text).filter(|row| row.conflicts(asked)).collect();
    rows.sort_by_key(|row| row.rank(asked));
    let wanted: BTreeSet<u64> = rows.iter().map(|row| row.inode).filter(|&inode| inode != 0).collect();
    let owners = if wanted.is_empty() { BTreeMap::new() } else { owners(&wanted) };
    Ok(rows.iter().map(|row| row.holder(owners.get(&row.inode).map(|&pid| (pid, command(pid))))).collect())
}

/// The process that has each socket open; the lowest pid if several share it. Processes of others are not seen.
fn owners(wanted: &BTreeSet<u64>) -> BTreeMap<u64, u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let mut found = BTreeMap::new();
    for pid in pids {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            if let Some(inode) = socket_inode(&entry.path())
                && wanted.contains(&inode)
            {
                found.entry(inode).or_insert(pid);
            }
        }
        if found.len() == wanted.len() {
            break;
        }
    }
    found
}

fn socket_inode(fd: &Path) -> Option<u64> {
    fs::read_link(fd).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The kernel cuts `comm` after 15 bytes; the command line then has the whole name.
fn command(pid: u32) -> Option<String> {
    let short = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned();
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = String::from_utf8_lossy(line.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned();
    let whole = program.rsplit('/').next().unwrap_or_default();
    Some(if short.len() >= 15 && whole.starts_with(&short) { whole.to_owned() } else { short })
}

pub(super) fn port_facts() -> PortFacts {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok();
    let range = |text: String| {
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
    };
    PortFacts {
        ephemeral: read("ip_local_port_range").and_then(range),
        unprivileged_start: read("ip_unprivileged_port_start").and_then(|text| text.trim().parse().ok()),
    }
}
