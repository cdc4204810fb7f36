//! The upgrade to a WebSocket (RFC 6455, section 4).

use super::socket::WebSocket;
use crate::evidence::probed::{Failure, How, Saw, Step, Upgrade};
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::Watch;
use std::net::SocketAddr;

/// Asks for the upgrade, and looks at every header of the answer. A refusal with a status from 400 to 499, where the user
/// named no subprotocol, is tried again without one, on a connection of its own: two steps then.
pub async fn upgrade(
    stream: Connection,
    address: SocketAddr,
    options: &Options,
    watch: Watch,
) -> (Vec<Step>, Option<WebSocket>) {
    let lap = watch.begin();
    let _ = (stream, options);
    tokio::task::yield_now().await;
    (
        vec![lap.end(
            address,
            Saw::Upgrade(Upgrade { failure: Some(Failure::new(How::Other, "not built")), ..Upgrade::default() }),
        )],
        None,
    )
}
