//! A server that is written by hand, for what no real one does.

use super::PATIENCE;
use bytes::Bytes;
use sidetone::protocol::{
    AudioPacket, AudioParameters, Capability, Decoder, Frame, Kind, Message, Participant, VideoChunk, Welcome,
};
use socket2::Socket;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

pub(crate) struct Fake(TcpListener);

impl Fake {
    pub(crate) fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn accept(&self) -> Session {
        let (stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Session { stream, decoder: Decoder::new() }
    }
}

impl From<Socket> for Fake {
    /// A socket that listens.
    fn from(socket: Socket) -> Self {
        Self(socket.into())
    }
}

/// One client of it.
pub(crate) struct Session {
    stream: TcpStream,
    decoder: Decoder,
}

impl Session {
    /// Takes the hello and welcomes it into a room with that other one.
    pub(crate) fn welcome(&mut self, room: &str, other: &str) {
        let hello = self.next().unwrap();
        assert!(matches!(Message::decode(&hello), Ok(Some(Message::Hello(_)))), "{hello:?}");
        self.tell(&Message::Welcome(Welcome {
            version: 1,
            stream: 1,
            server: other.to_owned(),
            agent: other.to_owned(),
            room: room.to_owned(),
            participants: vec![Participant { stream: 2, name: other.to_owned(), muted: false }],
            capabilities: vec![Capability::Audio, Capability::Picture, Capability::Chat],
            audio: AudioParameters::default(),
            heartbeat_ms: 2_000,
            timeout_ms: 10_000,
        }));
    }

    pub(crate) fn tell(&mut self, message: &Message) {
        self.send(&message.frame(0, 0).encode());
    }

    pub(crate) fn picture(&mut self, number: u32, jpeg: &Bytes) {
        for chunk in VideoChunk::split(number, jpeg) {
            self.send(&chunk.frame(2, chunk.index, 0).encode());
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The level of the next packet of sound.
    pub(crate) fn level(&mut self) -> u8 {
        loop {
            let frame = self.next().unwrap();
            if frame.kind == Kind::Audio {
                return AudioPacket::decode(&frame.payload).unwrap().level;
            }
        }
    }

    /// The next frame, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let mut chunk = [0; 4_096];
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.buffer().extend_from_slice(&chunk[..count]),
            }
        }
    }
}
