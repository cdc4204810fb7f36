//! Systems without `/proc`: nothing can be seen, and that is said.

use super::{Before, Depth, Open};
use crate::evidence::probed::{Behind, Unseen};
use std::net::SocketAddr;

/// Nothing.
pub(super) fn before() -> Before {
    Before::default()
}

/// Says that nothing can be seen.
pub(super) fn look(addresses: &[SocketAddr], _before: Before, _depth: Depth) -> Behind {
    let unseen = Unseen {
        what: "who has the port, and what that process does".to_owned(),
        why: "available on Linux only".to_owned(),
        remedy: Some("lsof -nP -iTCP -sTCP:LISTEN".to_owned()),
    };
    let port = addresses.first().map_or(0, SocketAddr::port);
    Behind { port, unseen: vec![unseen], ..Behind::default() }
}

/// Not available here.
pub(super) fn listens(pid: u32) -> Result<Vec<SocketAddr>, String> {
    Err(format!("pid {pid}: where a process listens can be seen on Linux only; give HOST:PORT"))
}

/// Not available here.
pub(super) fn open(_udp: bool) -> Result<(Vec<Open>, u64), String> {
    Err("sockets with their owners can be seen on Linux only; lsof -nP -iTCP -sTCP:LISTEN tells more".to_owned())
}

/// Not available here.
pub(super) fn programs(_: SocketAddr) -> Vec<String> {
    Vec::new()
}

/// Not available here.
pub(super) fn datagrams(addresses: &[SocketAddr]) -> Behind {
    look(addresses, Before::default(), Depth::Shallow)
}
