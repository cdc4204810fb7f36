//! From a target to a welcome.

use super::shared::Shared;
use crate::clock;
use crate::event::{Event, Transport};
use crate::net::dial::{self, DialError};
use crate::net::transport::{self, Broken, Reader, Received, Stream, Writer};
use crate::protocol::{AudioParameters, Capability, Hello, Message, Refusal, SUBPROTOCOL, VERSION, Welcome};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error as WsError, handshake::client::Request};

/// Patience for each address, and for each step after it.
const STEP: Duration = Duration::from_secs(5);

/// A connection that was welcomed.
pub(super) struct Linked {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) welcome: Welcome,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0}")]
    Upgrade(String),
    #[error("{0}")]
    Handshake(String),
    #[error("{}", .0.message)]
    Refused(Refusal),
}

impl LinkError {
    const fn stage(&self) -> &'static str {
        match self {
            Self::Dial(error) => error.stage(),
            Self::Upgrade(_) => "upgrade",
            Self::Handshake(_) | Self::Refused(_) => "hello",
        }
    }
}

/// Resolves, connects, upgrades where the target is a WebSocket, says hello.
pub(super) async fn connect(shared: &Shared, attempt: u32) -> Result<Linked, LinkError> {
    let result = try_connect(shared, attempt).await;
    let log = &shared.config.log;
    match &result {
        Ok(_) | Err(LinkError::Dial(DialError::Refused { .. })) => {} // each refused address was reported already
        Err(LinkError::Refused(refusal)) => {
            let code = serde_json::to_value(refusal.code).unwrap_or_default();
            let code = code.as_str().unwrap_or_default().to_owned();
            log.emit(Event::ClientRefused { code, reason: refusal.message.clone() });
        }
        Err(error) => log.emit(Event::ClientConnectFailed {
            target: shared.config.target.to_string(),
            address: None,
            stage: error.stage().to_owned(),
            errno: None,
            reason: error.to_string(),
        }),
    }
    result
}

async fn try_connect(shared: &Shared, attempt: u32) -> Result<Linked, LinkError> {
    let config = &shared.config;
    let (target, log) = (config.target.to_string(), &config.log);
    let began = clock::monotonic();
    let addresses = dial::resolve(&config.target).await?;
    for &address in &addresses {
        log.emit(Event::ClientConnecting { target: target.clone(), address, attempt });
    }
    let report_failure = |error: &DialError| {
        log.emit(Event::ClientConnectFailed {
            target: target.clone(),
            address: error.address(),
            stage: error.stage().to_owned(),
            errno: error.errno(),
            reason: error.to_string(),
        });
    };
    let (stream, address) = dial::connect(&addresses, STEP, &report_failure).await?;
    let local = stream.local_addr().map_err(|e| LinkError::Handshake(e.to_string()))?;
    let transport = config.target.transport;
    let (reader, writer) = match transport {
        Transport::Tcp => transport::tcp(stream),
        Transport::WebSocket => upgrade(&target, Box::new(stream)).await?,
    };
    let took_us = clock::micros(clock::monotonic().saturating_sub(began));
    log.emit(Event::ClientConnected { target, address, local, transport, took_us });
    hello(shared, reader, writer).await
}

async fn upgrade(url: &str, stream: Box<dyn Stream>) -> Result<(Reader, Writer), LinkError> {
    let failed = |reason: String| LinkError::Upgrade(format!("{url}: {reason}"));
    let mut request: Request = url.into_client_request().map_err(|e| failed(e.to_string()))?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let config = Some(transport::websocket_config());
    let upgrading = tokio_tungstenite::client_async_with_config(request, stream, config);
    match timeout(STEP, upgrading).await {
        Err(_) => Err(failed("no answer to the WebSocket upgrade within 5 s".to_owned())),
        Ok(Ok((websocket, _))) => Ok(transport::websocket(websocket)),
        Ok(Err(WsError::Http(answer))) => {
            let status = answer.status();
            Err(failed(format!("the server answered {status} instead of upgrading: check the path (/ws) and the port")))
        }
        Ok(Err(error)) => Err(failed(format!("no WebSocket server answers there ({error})"))),
    }
}

async fn hello(shared: &Shared, mut reader: Reader, mut writer: Writer) -> Result<Linked, LinkError> {
    let config = &shared.config;
    let hello = Message::Hello(Hello {
        version_min: VERSION,
        version_max: VERSION,
        name: config.name.clone(),
        room: config.room.clone(),
        capabilities: vec![Capability::Audio, Capability::Picture, Capability::Chat],
        agent: concat!("sidetone/", env!("CARGO_PKG_VERSION")).to_owned(),
        audio: AudioParameters::default(),
    });
    let asked = async {
        writer.send(hello.frame(0, 0).encode()).await.map_err(Broken::from)?;
        reader.next().await
    };
    let target = &config.target;
    let received = match timeout(STEP, asked).await {
        Err(_) => return Err(LinkError::Handshake(format!("{target} did not answer the hello within 5 s"))),
        Ok(Err(error)) => return Err(LinkError::Handshake(format!("{target} does not speak Sidetone: {error}"))),
        Ok(Ok(received)) => received,
    };
    let frame = match received {
        Received::Frame(frame) => frame,
        Received::Closed(code, reason) => {
            let code = code.map_or_else(String::new, |c| format!("{c} "));
            return Err(LinkError::Handshake(format!("{target} closed the connection: {code}{reason}")));
        }
        Received::Alive => return Err(LinkError::Handshake(format!("{target} answered the hello with a ping"))),
    };
    match Message::decode(&frame) {
        Ok(Some(Message::Welcome(welcome))) => Ok(Linked { reader, writer, welcome }),
        Ok(Some(Message::Refusal(refusal))) => Err(LinkError::Refused(refusal)),
        Ok(_) => Err(LinkError::Handshake(format!("{target} answered the hello with kind {:?}", frame.kind))),
        Err(error) => Err(LinkError::Handshake(format!("{target}: {error}"))),
    }
}
