//! The session layer of a scenario's own server: the hello of [`super::talk::hello`].

use super::options::Options;
use super::talk::hello;
use super::target::Url;
use super::watch::Watch;
use crate::evidence::probed::How;
use crate::evidence::{Observation, Speak};
use sidetone::event::Transport;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

/// Says hello with no common version. A living server refuses it with `version_unsupported`, and nobody in any room notices.
pub async fn hello(address: SocketAddr, transport: Transport, patience: Duration) -> Observation {
    let lap = Watch::start(patience).begin();
    let late = || format!("no answer within {} ms", patience.as_millis());
    let speak = if transport == Transport::WebSocket { Speak::Ws } else { Speak::Tcp };
    let url = Url {
        speak: Speak::Any,
        host: address.ip().to_string(),
        port: address.port(),
        path: String::new(),
        credentials: None,
    };
    let options = Options { deadline: patience, ..Options::new(url.with(speak)) };
    let mut link = None;
    let (answered, answer) = match timeout_at(lap.until(), TcpStream::connect(address)).await {
        Err(_) => (false, late()),
        Ok(Err(error)) => (false, format!("connect: {error}")),
        Ok(Ok(stream)) => {
            let asked = Box::pin(hello::ask(Box::new(stream), &options, lap.until(), patience)).await;
            link = asked.1;
            match (asked.0.failure, asked.0.code.as_deref()) {
                (Some(failure), _) if failure.how == How::TimedOut => (false, late()),
                (Some(failure), _) => (false, format!("hello: {failure}")),
                (None, Some("version_unsupported")) => (true, format!("refused: {}", asked.0.says)),
                (None, Some(_)) => (false, format!("refused: {}", asked.0.says)),
                (None, None) => (false, format!("answered: {}", asked.0.says)),
            }
        }
    };
    let took_us = lap.so_far_us();
    if let Some(link) = link {
        link.leave().await;
    }
    Observation::Hello { address, transport, answered, answer, took_us }
}
