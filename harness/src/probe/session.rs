//! The session layer: a hello that no server can accept. A living server refuses it with `version_unsupported`, and nobody
//! in any room notices.

use super::tcp::{begin, took_us};
use crate::evidence::Observation;
use sidetone::event::Transport;
use sidetone::net::transport::{self, Reader, Received, Stream, Writer};
use sidetone::protocol::{AudioParameters, Hello, Message, RefusalCode, SUBPROTOCOL, close};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// Says hello with no common version.
pub async fn hello(address: SocketAddr, transport: Transport, patience: Duration) -> Observation {
    let began = begin();
    let result = timeout(patience, ask(address, transport)).await;
    let took_us = took_us(began);
    let (answered, answer) = match result {
        Err(_) => (false, format!("no answer within {} ms", patience.as_millis())),
        Ok(Err(error)) => (false, error),
        Ok(Ok((expected, answer))) => (expected, answer),
    };
    Observation::Hello { address, transport, answered, answer, took_us }
}

async fn open(address: SocketAddr, transport: Transport) -> Result<(Reader, Writer), String> {
    let stream = TcpStream::connect(address).await.map_err(|e| format!("connect: {e}"))?;
    match transport {
        Transport::Tcp => Ok(transport::tcp(stream)),
        Transport::WebSocket => {
            let url = format!("ws://{address}/ws");
            let mut request = url.into_client_request().map_err(|e| format!("upgrade: {e}"))?;
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            let stream: Box<dyn Stream> = Box::new(stream);
            let config = Some(transport::websocket_config());
            let upgraded = tokio_tungstenite::client_async_with_config(request, stream, config).await;
            upgraded.map(|(socket, _)| transport::websocket(socket)).map_err(|e| format!("upgrade: {e}"))
        }
    }
}

/// Whether the answer was the expected refusal, and what it was.
async fn ask(address: SocketAddr, transport: Transport) -> Result<(bool, String), String> {
    let (mut reader, mut writer) = open(address, transport).await?;
    let hello = Message::Hello(Hello {
        version_min: 0,
        version_max: 0,
        name: "sidetone-harness".to_owned(),
        room: "probe".to_owned(),
        capabilities: Vec::new(),
        agent: concat!("sidetone-harness/", env!("CARGO_PKG_VERSION")).to_owned(),
        audio: AudioParameters::default(),
    });
    writer.send(hello.frame(0, 0).encode()).await.map_err(|e| format!("hello: {e}"))?;
    let answer = match reader.next().await.map_err(|e| format!("hello: {e}"))? {
        Received::Frame(frame) => match Message::decode(&frame) {
            Ok(Some(Message::Refusal(refusal))) => {
                (refusal.code == RefusalCode::VersionUnsupported, format!("refused: {}", refusal.message))
            }
            Ok(_) => (false, format!("answered with kind {:?}", frame.kind)),
            Err(error) => (false, error.to_string()),
        },
        Received::Closed(code, reason) => (false, format!("closed: {} {reason}", code.unwrap_or_default())),
        Received::Alive => (false, "answered with a ping".to_owned()),
    };
    drop(writer.close(close::NORMAL, "probe done").await);
    drop(timeout(Duration::from_millis(200), reader.drain()).await);
    Ok(answer)
}
