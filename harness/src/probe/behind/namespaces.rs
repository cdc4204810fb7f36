//! Other network namespaces, as far as their processes may be seen.

use crate::evidence::SocketRow;
use crate::launch::resources;
use crate::sockets::proc::all_of;
use std::collections::BTreeMap;
use std::fs;

/// Most namespaces that are looked at.
const MOST: usize = 64;

/// The network namespace of a process, as the kernel names it: `net:[4026531840]`; `None`: gone, or not to be seen.
pub(super) fn of(pid: &str) -> Option<String> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()?.to_str().map(str::to_owned)
}

/// Listeners on a port in other namespaces, with their namespaces; and how many processes' namespaces may not be seen.
pub(super) fn listeners(port: u16) -> (Vec<(String, SocketRow)>, u64) {
    let own = of("self");
    let mut others: BTreeMap<String, u32> = BTreeMap::new();
    let mut hidden = 0;
    for pid in resources::pids() {
        match of(&pid.to_string()) {
            Some(namespace) if Some(&namespace) == own.as_ref() => {}
            Some(namespace) => {
                others.entry(namespace).or_insert(pid);
            }
            // gone by now, or a stranger's
            None => hidden += u64::from(fs::metadata(format!("/proc/{pid}")).is_ok()),
        }
    }
    let found = others.into_iter().take(MOST).flat_map(|(namespace, pid)| {
        let rows = all_of(&format!("/proc/{pid}")).unwrap_or_default();
        let wanted = rows.into_iter().filter(move |row| row.state == "LISTEN" && row.local.port() == port);
        wanted.map(move |row| (namespace.clone(), row)).collect::<Vec<_>>()
    });
    (found.collect(), hidden)
}
