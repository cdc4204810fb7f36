//! TCP connections.

use crate::evidence::probed::{Connected, Saw, Step};
use crate::probe::failure;
use crate::probe::watch::Watch;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

/// Connects to every address at once, and tells the order in which a client that follows RFC 8305 would.
pub async fn connect_all(addresses: &[SocketAddr], watch: Watch) -> Vec<(Step, Option<TcpStream>)> {
    futures_util::future::join_all(addresses.iter().map(|address| connect(*address, watch))).await
}

/// Connects once.
pub async fn connect(address: SocketAddr, watch: Watch) -> (Step, Option<TcpStream>) {
    let lap = watch.begin();
    let (stream, failure) = match timeout_at(lap.until(), TcpStream::connect(address)).await {
        Err(_) => (None, Some(failure::late(watch.deadline, &[]))),
        Ok(Err(error)) => (None, Some(failure::of(&error))),
        Ok(Ok(stream)) => (Some(stream), None),
    };
    (lap.end(address, Saw::Connect(Connected { failure, ..Connected::default() })), stream)
}
