//! Behind a socket, on this machine: who listens, what that process does, who else has the port, what filters packets.

use crate::evidence::probed::{Behind, Saw, Step};
use crate::probe::watch::Watch;
use std::net::SocketAddr;

/// What is read before the probe connects, so that what rises meanwhile can be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    /// `ListenOverflows` and `ListenDrops`.
    pub overflows: Option<(u64, u64)>,
}

/// Reads it.
pub fn before() -> Before {
    Before::default()
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything answers: who listens.
    Shallow,
    /// Something is wrong: everything.
    Deep,
}

/// Looks; blocks for milliseconds, so it is called on a thread where that is allowed. `addresses` are those of the target
/// that are this machine's, all with the same port.
pub fn behind(addresses: &[SocketAddr], before: Before, depth: Depth, watch: Watch) -> Step {
    let lap = watch.begin();
    let _ = (before, depth);
    lap.end(addresses.first().copied(), Saw::Behind(Behind::default()))
}

/// Where a process listens (TCP), in its own network namespace as far as that is ours.
///
/// # Errors
/// There is no such process, or it may not be looked at: with the remedy.
pub fn listens(pid: u32) -> Result<Vec<SocketAddr>, String> {
    Err(format!("pid {pid}: not built"))
}
