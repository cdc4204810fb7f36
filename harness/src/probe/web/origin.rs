//! Which origins may connect.

use super::request::own_origin;
use super::upgrade::with_origin;
use crate::evidence::probed::Step;
use crate::probe::options::Options;
use crate::probe::watch::Watch;
use futures_util::future::join_all;
use std::net::SocketAddr;

/// An origin that no server knows (`.example` is nobody's, RFC 2606).
const STRANGER: &str = "https://stranger.example";

/// The upgrade without an `Origin`, with the server's own, and with a stranger's, on connections of its own.
pub async fn origins(address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
    let origins = [None, Some(own_origin(&options.url)), Some(STRANGER.to_owned())];
    join_all(origins.into_iter().map(|origin| with_origin(origin, address, options, watch))).await
}
