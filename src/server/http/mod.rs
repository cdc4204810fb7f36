//! The WebSocket port: HTTP with the page, `/healthz`, `/readyz`, `/metrics`, and the upgrade at `/ws` and `/`.
//!
//! * `page`: the browser client's files; `upgrade`: from a request to a WebSocket;
//! * `origin`: which pages may open one.

pub(crate) mod origin;
pub(crate) mod page;
mod upgrade;

use super::counted::Counted;
use super::hub::{Hub, Registration};
use crate::event::Event;
use crate::protocol::close;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;

/// Where a WebSocket is opened; an upgrade at `/` is taken too, so that one link serves pages and programs.
pub(crate) const PATH: &str = "/ws";
/// What the server calls itself.
const SERVER: &str = concat!("sidetone/", env!("CARGO_PKG_VERSION"));
/// How long a request's head may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// The two ends of a connection. Behind a listener on all addresses, `local` is the one that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// Serves one connection; a WebSocket goes on in a task of its own.
pub(crate) async fn serve(hub: Arc<Hub>, registration: Registration, stream: TcpStream, ends: Ends) {
    let peer = ends.peer;
    let (id, outbox) = (registration.id, Arc::clone(&registration.outbox));
    // the upgrade takes the place in the hub's list with it
    let place = Arc::new(Mutex::new(Some(registration)));
    let (stream, counts) = Counted::new(stream);
    let read_of_answered = AtomicU64::new(0);
    let service = hyper::service::service_fn(|request| {
        read_of_answered.store(counts.read.load(Ordering::Relaxed), Ordering::Relaxed);
        let answer = answer(&hub, &place, ends, request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(16 * 1_024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut served = pin!(served);
    let (result, told) = tokio::select! {
        result = &mut served => (result, false),
        () = outbox.closing() => {
            served.as_mut().graceful_shutdown();
            (tokio::time::timeout(Duration::from_millis(500), served).await.unwrap_or(Ok(())), true)
        }
    };
    if super::hub::lock(&place).is_none() {
        return; // a WebSocket now, whose own end will be reported
    }
    let in_a_head = counts.read.load(Ordering::Relaxed) > read_of_answered.load(Ordering::Relaxed);
    let malformed = result.as_ref().err().filter(|e| e.is_parse() || (in_a_head && !told && !is_of_transport(e)));
    if let Some(error) = malformed {
        let (error, close_code) = (format!("no HTTP request: {error}"), close::PROTOCOL_ERROR);
        hub.metrics.malformed_total.inc();
        hub.config.log.emit(Event::ConnectionMalformed { connection: id, peer, error, close_code });
    }
    hub.config.log.emit(Event::ConnectionClosed {
        connection: id,
        peer,
        close_code: if malformed.is_some() { close::PROTOCOL_ERROR } else { close::NORMAL },
        reason: result.as_ref().err().map_or_else(|| "HTTP is done".to_owned(), ToString::to_string),
        by_peer: !told && malformed.is_none(),
        bytes_received: counts.read.load(Ordering::Relaxed),
        bytes_sent: counts.written.load(Ordering::Relaxed),
    });
}

/// A reset in the middle of a request is nobody's fault.
fn is_of_transport(error: &hyper::Error) -> bool {
    !error.is_timeout() && !error.is_incomplete_message()
}

type Answer = Response<Full<Bytes>>;

fn answer(hub: &Arc<Hub>, place: &Mutex<Option<Registration>>, ends: Ends, request: Request<Incoming>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let known = ["/", "/healthz", "/readyz", "/metrics", PATH];
    let answer = if !known.contains(&path.as_str()) && !hub.page.has(&path) {
        text(StatusCode::NOT_FOUND, format!("not found; this server has {}\n", known.join(" ")))
    } else if method != Method::GET && method != Method::HEAD {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        answer
    } else {
        match path.as_str() {
            "/healthz" => health(hub),
            "/readyz" => readiness(hub),
            "/metrics" => typed("application/openmetrics-text; version=1.0.0; charset=utf-8", hub.metrics.text()),
            PATH => upgrade::answer(hub, place, ends, request),
            "/" if upgrade::is_asked(&request) => upgrade::answer(hub, place, ends, request),
            _ => hub.page.answer(&path, request.headers()),
        }
    };
    let status = answer.status().as_u16();
    hub.config.log.emit(Event::HttpAnswered { peer: ends.peer, method: method.to_string(), path, status });
    answer
}

fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    let mut answer = typed("text/plain; charset=utf-8", body);
    *answer.status_mut() = status;
    answer
}

fn typed(content_type: &'static str, body: impl Into<String>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.into())));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    answer
}

/// Elements of a header that is a list, however many lines it takes.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim)
}

/// 200 as long as the process serves; the body tells ok from degraded.
fn health(hub: &Hub) -> Answer {
    let degraded = &hub.config.degraded;
    let status = if degraded.is_empty() { "ok" } else { "degraded" };
    let body = serde_json::json!({
        "status": status,
        "degraded": degraded,
        "name": hub.config.name,
        "version": env!("CARGO_PKG_VERSION"),
        "draining": hub.is_draining(),
    });
    typed("application/json", format!("{body}\n"))
}

/// 200 if new participants are welcome, else 503.
fn readiness(hub: &Hub) -> Answer {
    if hub.is_draining() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    text(StatusCode::OK, "ready\n")
}
