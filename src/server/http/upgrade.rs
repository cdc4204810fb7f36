//! From a request to a WebSocket (RFC 6455, section 4.2).

use super::origin::Refused;
use super::{Answer, Ends, SERVER, elements, text};
use crate::event::{Event, Transport};
use crate::net::transport::{self, Stream};
use crate::protocol::SUBPROTOCOL;
use crate::server::connection::{self, Origin};
use crate::server::hub::{Hub, Registration, lock};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::{Arc, Mutex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Most characters of a header that are told in an event.
const MOST_TOLD: usize = 200;

/// Whether a request asks for a WebSocket.
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && has_token(headers, header::CONNECTION, "upgrade")
        && has_token(headers, header::UPGRADE, "websocket")
}

/// A request that is no upgrade is told so first; only a real one is asked where it comes from.
pub(super) fn answer(
    hub: &Arc<Hub>,
    place: &Mutex<Option<Registration>>,
    ends: Ends,
    mut request: Request<Incoming>,
) -> Answer {
    let asks = is_asked(&request);
    let headers = request.headers();
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|v| v.as_bytes() == b"13");
    if !asks || !version {
        let mut answer = text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket (RFC 6455, version 13)\n");
        let headers = answer.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return answer;
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).map(|k| derive_accept_key(k.as_bytes())) else {
        return text(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing\n");
    };
    if let Err(refused) = hub.config.origins.judge(&told(headers, &header::ORIGIN), ends.local) {
        return forbidden(hub, ends, headers, &refused);
    }
    let ours = has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
    let Some(registration) = lock(place).take() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "this connection is already in use\n");
    };
    let upgrading = hyper::upgrade::on(&mut request);
    let hub_of_session = Arc::clone(hub);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        let stream: Box<dyn Stream> = Box::new(TokioIo::new(upgraded));
        let websocket =
            WebSocketStream::from_raw_socket(stream, Role::Server, Some(transport::websocket_config())).await;
        let origin = Origin { transport: Transport::WebSocket, peer: ends.peer };
        // boxed: the future of a whole session is large, and a spawned task keeps its first size
        Box::pin(connection::serve(hub_of_session, registration, origin, transport::websocket(websocket))).await;
    });
    switching(&key, ours)
}

fn switching(key: &str, ours: bool) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    if let Ok(key) = HeaderValue::from_str(key) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    }
    if ours {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    answer
}

/// 403 with the remedy, for the person who looks at the browser's network panel.
fn forbidden(hub: &Hub, ends: Ends, headers: &HeaderMap, refused: &Refused) -> Answer {
    let shortened = |texts: Vec<String>| texts.join(", ").chars().take(MOST_TOLD).collect();
    hub.config.log.emit(Event::HttpOriginRefused {
        peer: ends.peer,
        origin: shortened(told(headers, &header::ORIGIN)),
        host: shortened(told(headers, &header::HOST)),
        remedy: refused.remedy.clone(),
    });
    text(StatusCode::FORBIDDEN, format!("{}: {}\n", refused.reason, refused.remedy))
}

/// All values of a header. A byte that is not ASCII makes a value that is no origin.
fn told(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}
