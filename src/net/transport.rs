//! Frames over a transport: TCP or WebSocket, behind one reader and one writer, for the server and the client.

use crate::protocol::{Bye, Decoder, Frame, HEADER_LENGTH, Message, WireError, close, frame::MAX_FRAME};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};

/// Bytes that a TCP read asks for; a connection that says nothing holds no buffer.
const READ_CHUNK: usize = 4 * 1_024;

/// What a WebSocket runs on: a plain socket, or what an HTTP upgrade left.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
type WebSocket = WebSocketStream<Box<dyn Stream>>;

/// Small buffers (the default is 128 KiB a connection), and no message above one frame.
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_CHUNK)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_FRAME)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME))
}

/// What came.
#[derive(Debug)]
pub enum Received {
    /// A frame.
    Frame(Frame),
    /// A sign of life of the transport (WebSocket ping or pong).
    Alive,
    /// The peer ended the connection: close code (`None`: without saying so) and reason.
    Closed(Option<u16>, String),
}

/// Why reading cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The peer broke our wire format.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer broke RFC 6455, or sent a message of the wrong type.
    #[error("{reason}")]
    WebSocket {
        /// The code that answers it.
        close_code: u16,
        /// What happened.
        reason: String,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, {0} bytes of it had come")]
    Truncated(usize),
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Broken {
    /// The close code to answer with.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::Wire(error) => error.close_code(),
            Self::WebSocket { close_code, .. } => *close_code,
            Self::Truncated(_) | Self::Io(_) => close::PROTOCOL_ERROR,
        }
    }

    /// Whether the peer misbehaved; a failed transport or an early end is not that.
    pub const fn is_malformed(&self) -> bool {
        match self {
            Self::Wire(_) | Self::WebSocket { .. } | Self::Truncated(_) => true,
            Self::Io(_) => false,
        }
    }
}

/// The receiving half.
#[expect(missing_debug_implementations, reason = "streams have none")]
pub enum Reader {
    /// Framed by the length in the header.
    Tcp(OwnedReadHalf, Decoder),
    /// One message is one frame.
    WebSocket(SplitStream<WebSocket>),
}

/// The sending half.
#[expect(missing_debug_implementations, reason = "streams have none")]
pub enum Writer {
    /// See [`Reader::Tcp`].
    Tcp(OwnedWriteHalf),
    /// See [`Reader::WebSocket`].
    WebSocket(SplitSink<WebSocket, WsMessage>),
}

/// Both halves over TCP.
pub fn tcp(stream: TcpStream) -> (Reader, Writer) {
    let (read, write) = stream.into_split();
    (Reader::Tcp(read, Decoder::new()), Writer::Tcp(write))
}

/// Both halves over an established WebSocket.
pub fn websocket(stream: WebSocket) -> (Reader, Writer) {
    let (write, read) = stream.split();
    (Reader::WebSocket(read), Writer::WebSocket(write))
}

impl Reader {
    /// The next thing that comes. Safe to drop and call again.
    ///
    /// # Errors
    /// [`Broken`]; the connection is then of no further use for reading.
    pub async fn next(&mut self) -> Result<Received, Broken> {
        match self {
            Self::Tcp(stream, decoder) => loop {
                if let Some(frame) = decoder.next_frame()? {
                    return Ok(received(frame));
                }
                decoder.buffer().reserve(READ_CHUNK);
                if stream.read_buf(decoder.buffer()).await? == 0 {
                    return match decoder.pending() {
                        0 => Ok(Received::Closed(None, "the stream ended".to_owned())),
                        pending => Err(Broken::Truncated(pending)),
                    };
                }
            },
            Self::WebSocket(stream) => match stream.next().await {
                Some(Ok(WsMessage::Binary(message))) => Ok(received(Frame::from_message(message)?)),
                Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_))) => Ok(Received::Alive),
                Some(Ok(WsMessage::Text(_))) => Err(Broken::WebSocket {
                    close_code: close::UNSUPPORTED_DATA,
                    reason: "text message; frames are binary messages".to_owned(),
                }),
                Some(Ok(WsMessage::Close(frame))) => Ok(match frame {
                    Some(frame) => Received::Closed(Some(frame.code.into()), frame.reason.to_string()),
                    None => Received::Closed(None, "closed without a code".to_owned()),
                }),
                Some(Err(error)) => of_tungstenite(error),
                None => Ok(Received::Closed(None, "the stream ended".to_owned())),
            },
        }
    }

    /// Reads and forgets until the peer has closed: unread bytes at a close make the kernel send a reset, which can destroy
    /// the last words on their way. Give it a time-out.
    pub async fn drain(&mut self) {
        match self {
            Self::Tcp(stream, _) => {
                let mut sink = [0; 512];
                while matches!(stream.read(&mut sink).await, Ok(n) if n > 0) {}
            }
            Self::WebSocket(stream) => while matches!(stream.next().await, Some(Ok(_))) {},
        }
    }
}

fn received(frame: Frame) -> Received {
    match Message::decode(&frame) {
        Ok(Some(Message::Bye(Bye { code, reason }))) => Received::Closed(Some(code), reason),
        _ => Received::Frame(frame),
    }
}

fn of_tungstenite(error: WsError) -> Result<Received, Broken> {
    let reason = error.to_string();
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => Ok(Received::Closed(None, "closed".to_owned())),
        WsError::Io(error) => Err(Broken::Io(error)),
        WsError::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Ok(Received::Closed(None, "the stream ended without a close frame".to_owned()))
        }
        WsError::Capacity(_) => Err(Broken::WebSocket { close_code: close::MESSAGE_TOO_BIG, reason }),
        WsError::Protocol(_)
        | WsError::Tls(_)
        | WsError::WriteBufferFull(_)
        | WsError::Utf8(_)
        | WsError::AttackAttempt
        | WsError::Url(_)
        | WsError::Http(_)
        | WsError::HttpFormat(_) => Err(Broken::WebSocket { close_code: close::PROTOCOL_ERROR, reason }),
    }
}

impl Writer {
    /// Sends one encoded frame and flushes it.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn send(&mut self, frame: Bytes) -> io::Result<()> {
        debug_assert!(frame.len() >= HEADER_LENGTH, "one call is one frame");
        match self {
            Self::Tcp(stream) => stream.write_all(&frame).await,
            Self::WebSocket(sink) => sink.send(WsMessage::Binary(frame)).await.map_err(io_error),
        }
    }

    /// Says why and ends the sending side: a close frame, or a [`Bye`] and the end of the stream.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        let reason = &reason[..reason.floor_char_boundary(120)]; // a close frame holds 123 bytes
        match self {
            Self::Tcp(stream) => {
                let bye = Message::Bye(Bye { code, reason: reason.to_owned() });
                stream.write_all(&bye.frame(0, 0).encode()).await?;
                stream.shutdown().await
            }
            Self::WebSocket(sink) => {
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                sink.send(WsMessage::Close(Some(frame))).await.map_err(io_error)
            }
        }
    }
}

fn io_error(error: WsError) -> io::Error {
    if let WsError::Io(error) = error { error } else { io::Error::other(error) }
}
