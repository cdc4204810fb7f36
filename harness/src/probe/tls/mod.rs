//! TLS: the handshake with whatever certificate, the judgement of the certificate, the bytes of an old peer.

pub mod files;

use crate::evidence::probed::{Failure, How, Saw, Step, Tls};
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::Watch;
use std::net::SocketAddr;

/// Shakes hands, with the server name unless the host is an address. The connection is given back whatever the certificate
/// is; whoever uses it looks at [`Tls::trust`] first ([`crate::probe::open::may_go_on`]).
pub async fn handshake(
    stream: Connection,
    address: SocketAddr,
    options: &Options,
    alpn: &[&str],
    watch: Watch,
) -> (Step, Option<Connection>) {
    let lap = watch.begin();
    let _ = (stream, options, alpn);
    tokio::task::yield_now().await;
    (lap.end(address, Saw::Tls(Tls { failure: Some(Failure::new(How::Other, "not built")), ..Tls::default() })), None)
}

/// What only more connections tell: the certificate without a server name, and what a peer that our library cannot speak
/// to says to an old hello (then `first` is told again, with [`Tls::old`]).
pub async fn second_looks(address: SocketAddr, options: &Options, first: &Tls, watch: Watch) -> Vec<Step> {
    let _ = (address, options, first, watch);
    tokio::task::yield_now().await;
    Vec::new()
}
