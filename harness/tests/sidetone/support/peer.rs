//! A participant that is written by hand: blocking sockets, frames, no cleverness.

use super::{Deadline, PATIENCE, Server};
use bytes::Bytes;
use sidetone::audio::{Encoder, FRAME_SAMPLES, Prediction, Tone, level};
use sidetone::event::Transport;
use sidetone::protocol::{
    AudioPacket, AudioParameters, Bye, Capability, Chat, Decoder, Frame, Hello, Kind, Message, SUBPROTOCOL, VideoChunk,
    Welcome,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage, client::client_with_config};

pub(crate) const BOTH: [Transport; 2] = [Transport::Tcp, Transport::WebSocket];

enum Wire {
    Tcp(TcpStream, Decoder),
    WebSocket(Box<WebSocket<TcpStream>>),
}

/// What came.
#[derive(Debug)]
pub(crate) enum Got {
    Frame(Frame),
    /// A close frame or a Bye, or the end of the stream without one.
    Closed(Option<u16>, String),
}

/// One end of a connection to a server.
pub(crate) struct Peer {
    wire: Wire,
    /// As the server sees it.
    pub(crate) address: SocketAddr,
    pub(crate) stream: u16,
    sequence: u16,
    timestamp: u32,
}

/// A hello of an ordinary participant of the room `room`.
pub(crate) fn hello(name: &str, room: &str) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        name: name.to_owned(),
        room: room.to_owned(),
        capabilities: vec![Capability::Audio, Capability::Picture, Capability::Chat],
        agent: "test".to_owned(),
        audio: AudioParameters::default(),
    }
}

pub(crate) fn chat(text: &str) -> Message {
    Message::Chat(Chat { from: String::new(), text: text.to_owned() })
}

pub(crate) fn keep_alive() -> Frame {
    AudioPacket::keep_alive().frame(0, 0, 0)
}

impl Peer {
    /// A connection that has not said hello.
    pub(crate) fn connect(server: &Server, transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::over(TcpStream::connect(server.tcp()).unwrap(), transport),
            Transport::WebSocket => Self::over(TcpStream::connect(server.websocket()).unwrap(), transport),
        }
    }

    /// The same over a stream that is connected already.
    pub(crate) fn over(stream: TcpStream, transport: Transport) -> Self {
        stream.set_nodelay(true).unwrap();
        let address = stream.local_addr().unwrap();
        let wire = match transport {
            Transport::Tcp => Wire::Tcp(stream, Decoder::new()),
            Transport::WebSocket => {
                let url = format!("ws://{}/ws", stream.peer_addr().unwrap());
                let mut request = url.into_client_request().unwrap();
                request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let config = WebSocketConfig::default().read_buffer_size(4_096);
                let (websocket, _) = client_with_config(request, stream, Some(config)).unwrap();
                Wire::WebSocket(Box::new(websocket))
            }
        };
        Self { wire, address, stream: 0, sequence: 0, timestamp: 0 }
    }

    /// Says hello and takes the welcome.
    pub(crate) fn join(server: &Server, transport: Transport, name: &str, room: &str) -> (Self, Welcome) {
        let mut peer = Self::connect(server, transport);
        let welcome = peer.enter(name, room);
        (peer, welcome)
    }

    pub(crate) fn enter(&mut self, name: &str, room: &str) -> Welcome {
        self.tell(&Message::Hello(hello(name, room)));
        let welcome = self.until("a welcome", |frame| match Message::decode(frame).unwrap() {
            Some(Message::Welcome(welcome)) => Some(welcome),
            other => panic!("instead of a welcome: {other:?}"),
        });
        self.stream = welcome.stream;
        welcome
    }

    pub(crate) fn tell(&mut self, message: &Message) {
        self.send(&message.frame(self.stream, 0));
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        self.send_bytes(frame.encode());
    }

    /// As they are; over a WebSocket as one binary message.
    pub(crate) fn send_bytes(&mut self, bytes: Bytes) {
        match &mut self.wire {
            Wire::Tcp(stream, _) => stream.write_all(&bytes).unwrap(),
            Wire::WebSocket(websocket) => websocket.send(WsMessage::Binary(bytes)).unwrap(),
        }
    }

    /// Bytes that the other side may refuse before all of them are out.
    pub(crate) fn try_bytes(&mut self, bytes: Bytes) {
        match &mut self.wire {
            Wire::Tcp(stream, _) => drop(stream.write_all(&bytes)),
            Wire::WebSocket(websocket) => drop(websocket.send(WsMessage::Binary(bytes))),
        }
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        match &mut self.wire {
            Wire::WebSocket(websocket) => websocket.send(WsMessage::text(text)).unwrap(),
            Wire::Tcp(..) => panic!("TCP has no text messages"),
        }
    }

    /// Bytes below the WebSocket, or the same as [`Peer::send_bytes`] over TCP.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.socket().write_all(bytes).unwrap();
    }

    /// Ends the sending side.
    pub(crate) fn finish(&mut self) {
        self.socket().shutdown(std::net::Shutdown::Write).unwrap();
    }

    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match &mut self.wire {
            Wire::Tcp(stream, _) => stream,
            Wire::WebSocket(websocket) => websocket.get_mut(),
        }
    }

    /// The next frame, or the end.
    pub(crate) fn next(&mut self, deadline: Deadline) -> Got {
        self.try_next(deadline).unwrap_or_else(|| panic!("nothing came"))
    }

    /// The same; `None` if nothing came in time. Pings are answered: who only reads must not look dead.
    pub(crate) fn try_next(&mut self, deadline: Deadline) -> Option<Got> {
        let got = self.read_next(deadline);
        if let Some(Got::Frame(frame)) = &got
            && frame.kind == Kind::Ping
            && let Ok(Some(Message::Ping(ping))) = Message::decode(frame)
        {
            self.try_bytes(Message::Pong(ping).frame(self.stream, 0).encode());
        }
        got
    }

    /// What has come already.
    pub(crate) fn waiting(&mut self) -> Option<Got> {
        // a read with a timeout of 1 ms takes 8 ms where the kernel counts in 4 ms
        self.socket().set_nonblocking(true).unwrap();
        let got = self.try_next(Deadline::new());
        self.socket().set_nonblocking(false).unwrap();
        got
    }

    fn read_next(&mut self, deadline: Deadline) -> Option<Got> {
        self.socket().set_read_timeout(Some(deadline.left())).unwrap();
        let gone = |error: &dyn std::fmt::Display| Some(Got::Closed(None, error.to_string()));
        match &mut self.wire {
            Wire::Tcp(stream, decoder) => loop {
                if let Some(frame) = decoder.next_frame().unwrap() {
                    return Some(match Message::decode(&frame).unwrap() {
                        Some(Message::Bye(Bye { code, reason })) => Got::Closed(Some(code), reason),
                        _ => Got::Frame(frame),
                    });
                }
                let mut chunk = [0; 4_096];
                match stream.read(&mut chunk) {
                    Ok(0) => return Some(Got::Closed(None, "the stream ended".to_owned())),
                    Ok(count) => decoder.buffer().extend_from_slice(&chunk[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                    Err(error) => return gone(&error),
                }
            },
            Wire::WebSocket(websocket) => loop {
                return match websocket.read() {
                    Ok(WsMessage::Binary(message)) => Some(Got::Frame(Frame::from_message(message).unwrap())),
                    Ok(WsMessage::Close(Some(frame))) => {
                        Some(Got::Closed(Some(frame.code.into()), frame.reason.to_string()))
                    }
                    Ok(WsMessage::Close(None)) => gone(&"a close frame without a code"),
                    Ok(WsMessage::Text(text)) => panic!("a text message from the server: {text}"),
                    Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_)) => continue,
                    Err(WsError::Io(error)) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(WsError::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        None
                    }
                    Err(error) => gone(&error),
                };
            },
        }
    }

    /// Reads until `wanted` gives something.
    pub(crate) fn until<T>(&mut self, waits_for: &str, mut wanted: impl FnMut(&Frame) -> Option<T>) -> T {
        let deadline = Deadline::new();
        loop {
            assert!(!deadline.passed(), "{waits_for}: not within {PATIENCE:?}");
            match self.try_next(deadline) {
                Some(Got::Frame(frame)) => {
                    if let Some(found) = wanted(&frame) {
                        return found;
                    }
                }
                Some(Got::Closed(code, reason)) => panic!("{waits_for}: closed with {code:?} {reason}"),
                None => {}
            }
        }
    }

    /// Reads until a control message for which `wanted` gives something.
    pub(crate) fn until_message<T>(&mut self, waits_for: &str, mut wanted: impl FnMut(Message) -> Option<T>) -> T {
        self.until(waits_for, |frame| Message::decode(frame).unwrap().and_then(&mut wanted))
    }

    /// Reads until the end of the connection and gives its code.
    pub(crate) fn closed(&mut self) -> (Option<u16>, String) {
        let deadline = Deadline::new();
        loop {
            assert!(!deadline.passed(), "the end: not within {PATIENCE:?}");
            if let Some(Got::Closed(code, reason)) = self.try_next(deadline) {
                return (code, reason);
            }
        }
    }

    /// A whole picture; the server looks at its header alone.
    pub(crate) fn picture(&mut self, number: u32, jpeg: &Bytes) {
        for chunk in VideoChunk::split(number, jpeg) {
            self.send(&chunk.frame(self.stream, chunk.index, 0));
        }
    }

    /// Sends a packet with the next sequence number.
    pub(crate) fn audio(&mut self, packet: &AudioPacket) {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(960);
        self.send(&packet.frame(self.stream, self.sequence, self.timestamp));
    }

    /// Reads until sound (no silence) comes.
    pub(crate) fn hears_sound(&mut self) {
        self.until("sound", |frame| {
            (frame.kind == Kind::Audio).then(|| AudioPacket::decode(&frame.payload).unwrap()).filter(|p| p.level < 127)
        });
    }
}

/// A picture of that many bytes which only its header makes one: its data is `tag` again and again.
pub(crate) fn picture(tag: u8, bytes: usize) -> Bytes {
    let header =
        b"\xFF\xD8\xFF\xC0\x00\x0B\x08\x00\x10\x00\x10\x01\x01\x11\x00\xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00";
    let mut jpeg = header.to_vec();
    jpeg.resize(bytes.max(header.len() + 1), tag);
    jpeg.into()
}

/// The tag of such a picture, if it is whole.
pub(crate) fn tag_of(jpeg: &Bytes) -> Option<u8> {
    let data = &jpeg[25..];
    data.iter().all(|byte| *byte == data[0]).then(|| data[0])
}

/// A tone in packets of 20 ms.
pub(crate) struct Voice(Tone, Encoder);

impl Voice {
    pub(crate) fn new(hz: f64) -> Self {
        Self(Tone::new(hz, 0.25), Encoder::new(Prediction::Enabled).unwrap())
    }

    pub(crate) fn packet(&mut self) -> AudioPacket {
        let mut frame = [0.0; FRAME_SAMPLES];
        self.0.fill(&mut frame);
        AudioPacket { level: level(&frame).min(126), opus: self.1.encode(&frame).unwrap() }
    }
}
