//! Systems that this reader does not know.

use crate::evidence::SocketRow;
use std::collections::BTreeSet;

/// Not available here.
pub fn table(_pids: &[u32], _ports: &[u16]) -> Result<Vec<SocketRow>, String> {
    Err("not available on this system".to_owned())
}

/// Not available here.
pub fn local_ports() -> Result<BTreeSet<u16>, String> {
    Err("not available on this system".to_owned())
}
