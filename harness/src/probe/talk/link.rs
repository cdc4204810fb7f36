//! A connection on which Sidetone is spoken: framed, or on a WebSocket. It keeps how the peer began, for what it says wrong.

use crate::evidence::Speak;
use crate::evidence::probed::{Excerpt, Failure, How, Unfinished};
use crate::probe::failure;
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::web::request::basic;
use sidetone::net::transport::{self, Broken, Reader, Received, Writer};
use sidetone::protocol::{Bye, Decoder, HEADER_LENGTH, Header, Message, SUBPROTOCOL, WireError, close};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, header};

/// Bytes that a read asks for.
const READ_CHUNK: usize = 4 * 1_024;
/// Bytes that are kept of what the peer says first.
const KEPT: usize = 512;
/// How long a goodbye may take: the server has nothing left to say.
const GOODBYE: Duration = Duration::from_millis(100);

/// What a peer has said so far: how it begins, and how much it was.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<(Vec<u8>, u64)>>);

impl Seen {
    fn add(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(seen.0.len()).min(bytes.len());
        seen.0.extend_from_slice(&bytes[..room]);
        seen.1 += bytes.len() as u64;
    }

    /// From here on: what was an answer to an upgrade is none to a hello.
    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Vec::new(), 0);
    }

    fn so_far(&self) -> (Vec<u8>, u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The failure, with what came before it.
    pub(super) fn with(&self, failure: Failure) -> Failure {
        let (begins, received) = self.so_far();
        Failure { received, begins: Excerpt::of(&begins), ..failure }
    }

    /// The deadline has come.
    pub(super) fn late(&self, deadline: Duration) -> Failure {
        match self.so_far() {
            (_, 0) => failure::late(deadline, &[]),
            (_, count) => {
                let words = format!("{count} bytes within {} ms, and no whole answer", deadline.as_millis());
                self.with(Failure::new(How::TooSlow, words))
            }
        }
    }
}

/// Notes what is read.
struct Tap {
    stream: Connection,
    seen: Seen,
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.seen.add(&buffer.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

enum Wire {
    Framed(Box<Tap>, Decoder),
    WebSocket(Box<(Reader, Writer)>),
}

/// See the module's documentation.
pub(in crate::probe) struct Link {
    wire: Wire,
    seen: Seen,
}

impl Link {
    /// Upgrades first, where the target is a WebSocket. Without a deadline: `seen` tells what came until the caller's.
    ///
    /// # Errors
    /// Why there is no upgrade.
    pub(super) async fn open(stream: Connection, options: &Options, seen: Seen) -> Result<Self, Failure> {
        let tap = Box::new(Tap { stream, seen: seen.clone() });
        if !matches!(options.url.speak, Speak::Ws | Speak::Wss) {
            return Ok(Self { wire: Wire::Framed(tap, Decoder::new()), seen });
        }
        let request = request(options)?;
        let stream: Connection = tap;
        let config = Some(transport::websocket_config());
        let upgrading = tokio_tungstenite::client_async_with_config(request, stream, config);
        match Box::pin(upgrading).await {
            Ok((websocket, _)) => {
                seen.forget();
                Ok(Self { wire: Wire::WebSocket(Box::new(transport::websocket(websocket))), seen })
            }
            Err(error) => Err(seen.with(no_upgrade(error))),
        }
    }

    /// Sends a control message.
    ///
    /// # Errors
    /// The transport failed.
    pub(super) async fn tell(&mut self, message: &Message) -> Result<(), Failure> {
        self.send(message.frame(0, 0).encode()).await
    }

    /// Sends one encoded frame.
    ///
    /// # Errors
    /// The transport failed.
    pub(super) async fn send(&mut self, frame: bytes::Bytes) -> Result<(), Failure> {
        let sent = match &mut self.wire {
            Wire::Framed(tap, _) => match tap.write_all(&frame).await {
                Ok(()) => tap.flush().await,
                Err(error) => Err(error),
            },
            Wire::WebSocket(halves) => halves.1.send(frame).await,
        };
        sent.map_err(|error| self.seen.with(failure::of(&error)))
    }

    /// What comes next. Safe to drop and call again.
    ///
    /// # Errors
    /// The peer speaks something else, breaks off inside a frame, or the transport fails.
    pub(super) async fn next(&mut self) -> Result<Received, Failure> {
        let received = match &mut self.wire {
            Wire::Framed(tap, decoder) => framed(tap, decoder).await,
            Wire::WebSocket(halves) => halves.0.next().await,
        };
        received.map_err(|error| self.seen.with(broken(error)))
    }

    /// The peer has ended the connection where more was due.
    pub(super) fn closed(&self, code: Option<u16>, reason: &str) -> Failure {
        self.seen.with(match code {
            Some(code) => Failure::new(How::Said, harmless(&format!("closed with {code} {reason}"))),
            None if self.seen.so_far().1 == 0 => failure::closed(&[]),
            None => Failure::new(How::Closed, harmless(&format!("closed without an answer: {reason}"))),
        })
    }

    /// Any failure of this connection, with what had come.
    pub(super) fn failed(&self, failure: Failure) -> Failure {
        self.seen.with(failure)
    }

    /// A frame that has begun and is not whole.
    pub(super) fn unfinished(&mut self) -> Option<Unfinished> {
        let Wire::Framed(_, decoder) = &mut self.wire else { return None };
        let had = decoder.pending() as u64;
        let (begins, received) = self.seen.so_far();
        // only of the first frame the header is still here
        let first = begins.first_chunk::<HEADER_LENGTH>().filter(|_| received == had);
        let announced =
            first.and_then(|head| Header::decode(head).ok()).map(|h| HEADER_LENGTH as u64 + u64::from(h.length));
        (had > 0).then_some(Unfinished { had, announced })
    }

    /// Says goodbye and hears the server out, for a moment.
    pub(in crate::probe) async fn leave(mut self) {
        let goodbye = async {
            match &mut self.wire {
                Wire::Framed(tap, _) => {
                    let bye = Message::Bye(Bye { code: close::NORMAL, reason: "probe done".to_owned() });
                    tap.write_all(&bye.frame(0, 0).encode()).await?;
                    tap.shutdown().await?;
                    let mut sink = [0; 512];
                    while tap.read(&mut sink).await? > 0 {}
                }
                Wire::WebSocket(halves) => {
                    halves.1.close(close::NORMAL, "probe done").await?;
                    halves.0.drain().await;
                }
            }
            io::Result::Ok(())
        };
        drop(timeout(GOODBYE, goodbye).await);
    }
}

async fn framed(tap: &mut Tap, decoder: &mut Decoder) -> Result<Received, Broken> {
    loop {
        if let Some(frame) = decoder.next_frame()? {
            return Ok(match Message::decode(&frame) {
                Ok(Some(Message::Bye(Bye { code, reason }))) => Received::Closed(Some(code), reason),
                _ => Received::Frame(frame),
            });
        }
        decoder.buffer().reserve(READ_CHUNK);
        if tap.read_buf(decoder.buffer()).await? == 0 {
            return match decoder.pending() {
                0 => Ok(Received::Closed(None, "the stream ended".to_owned())),
                pending => Err(Broken::Truncated(pending)),
            };
        }
    }
}

/// Words that hold text of a peer, cut and without control characters.
pub(super) fn harmless(words: &str) -> String {
    Excerpt::text(words.trim_end()).first_line(200)
}

fn broken(error: Broken) -> Failure {
    let words = harmless(&error.to_string());
    match error {
        Broken::Io(error) => failure::of(&error),
        Broken::Truncated(had) => Failure::new(How::Closed, format!("closed inside a frame, after {had} bytes of it")),
        Broken::Wire(WireError::TooBig { length, .. }) => {
            let swapped = length.swap_bytes();
            let order =
                if swapped <= 64 * 1_024 { format!(" ({swapped} in the other byte order)") } else { String::new() };
            Failure::new(How::TooMuch, format!("{words}{order}"))
        }
        Broken::WebSocket { close_code: close::MESSAGE_TOO_BIG, .. } => Failure::new(How::TooMuch, words),
        Broken::Wire(_) | Broken::WebSocket { .. } => Failure::new(How::Malformed, words),
    }
}

fn no_upgrade(error: WsError) -> Failure {
    let words = harmless(&error.to_string());
    match error {
        WsError::Io(error) => failure::of(&error),
        WsError::Http(answer) => Failure::new(How::Said, format!("the upgrade is answered with {}", answer.status())),
        WsError::Protocol(ProtocolError::HandshakeIncomplete) | WsError::ConnectionClosed | WsError::AlreadyClosed => {
            Failure::new(How::Closed, words)
        }
        WsError::Protocol(_)
        | WsError::Capacity(_)
        | WsError::Tls(_)
        | WsError::WriteBufferFull(_)
        | WsError::Utf8(_)
        | WsError::AttackAttempt
        | WsError::Url(_)
        | WsError::HttpFormat(_) => Failure::new(How::Malformed, words),
    }
}

/// The upgrade, with all that the user wants in it.
fn request(options: &Options) -> Result<Request, Failure> {
    let own = |what: &str| Failure::new(How::Own, format!("{what} cannot be sent"));
    let url = &options.url;
    // a scope is this machine's own business
    let host = url.host.split('%').next().unwrap_or_default();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let address = format!("{}://{host}:{}{}", url.speak.word(), url.port, url.path);
    let mut request = address.into_client_request().map_err(|_| own("the path"))?;
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    if let Some(origin) = &options.origin {
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).map_err(|_| own("the origin"))?);
    }
    if let Some(credentials) = &url.credentials {
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&basic(credentials)).map_err(|_| own("the credentials"))?,
        );
    }
    for (name, value) in options.headers.iter() {
        let bad = || own(&format!("the header {name}"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        headers.insert(key, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;

    #[test]
    fn the_upgrade_carries_what_the_user_wants_and_no_scope() {
        let Target::Url(url) = "ws://me:p%40ss@[fe80::1%25eth0]:7461/room".parse().unwrap() else { panic!() };
        let options = Options {
            headers: Arc::new([("X-Token".to_owned(), "s3cret".to_owned())]),
            origin: Some("http://localhost".to_owned()),
            ..Options::new(url)
        };
        let request = request(&options).unwrap();
        let value = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(value("authorization").as_deref(), Some("Basic bWU6cEBzcw=="));
        assert_eq!(value("x-token").as_deref(), Some("s3cret"));
        assert_eq!(value("origin").as_deref(), Some("http://localhost"));
        assert_eq!(value("sec-websocket-protocol").as_deref(), Some(SUBPROTOCOL));
        assert_eq!(value("host").as_deref(), Some("[fe80::1]:7461"));
        assert_eq!(request.uri().path(), "/room");
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_named_without_its_value() {
        let Target::Url(url) = "ws://127.0.0.1".parse().unwrap() else { panic!() };
        let headers = Arc::new([("X-Token".to_owned(), "s3cret\n".to_owned())]);
        let failure = request(&Options { headers, ..Options::new(url) }).unwrap_err();
        assert_eq!((failure.how, failure.words.as_str()), (How::Own, "the header X-Token cannot be sent"));
    }
}
