//! A Sidetone hello with no common version.

use crate::evidence::probed::{Failure, Hello, How, Saw, Step};
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::Watch;
use std::net::SocketAddr;

/// Says it on a connection: framed, or on a WebSocket after an upgrade of its own (by `options.url.speak`).
pub async fn hello(stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let _ = (stream, options);
    tokio::task::yield_now().await;
    lap.end(address, Saw::Hello(Hello { failure: Some(Failure::new(How::Other, "not built")), ..Hello::default() }))
}
