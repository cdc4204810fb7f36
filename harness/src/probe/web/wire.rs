//! The two directions of a WebSocket.

use super::frame;
use super::messages::{Heard, Messages, words};
use super::socket::WebSocket;
use crate::evidence::probed::{Failure, FrameProblem, How};
use crate::probe::failure;
use crate::probe::open::Connection;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// Bytes that one read asks for.
const CHUNK: usize = 16 << 10;

/// A WebSocket that is read frame by frame.
pub(super) struct Wire {
    pub read: Reading,
    pub write: WriteHalf<Connection>,
}

/// The receiving direction.
pub(super) struct Reading {
    stream: ReadHalf<Connection>,
    pub messages: Messages,
}

/// Why nothing more is read.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub failure: Failure,
    pub problem: Option<FrameProblem>,
    /// The header of the frame, hexadecimal.
    pub offending: Option<String>,
}

impl Trouble {
    pub(super) fn broken(problem: FrameProblem, bytes: &[u8]) -> Self {
        let offending = frame::hex(bytes);
        let too_much = matches!(problem, FrameProblem::TooLarge | FrameProblem::Flood);
        let how = if too_much { How::TooMuch } else { How::Malformed };
        // what is wrong with a text stands in its payload, not in its header
        let in_header = !matches!(problem, FrameProblem::BadUtf8 | FrameProblem::Flood);
        let (said, offending) = if in_header {
            (format!("{} (its header: {offending})", words(problem)), Some(offending))
        } else {
            (words(problem).to_owned(), None)
        };
        Self { failure: Failure::new(how, said), problem: Some(problem), offending }
    }
}

impl Wire {
    /// `keep`: how many bytes of a message are kept.
    pub(super) fn new(socket: WebSocket, keep: usize) -> Self {
        let (stream, write) = tokio::io::split(socket.stream);
        let mut messages = Messages::new(socket.early, keep);
        messages.extended = socket.extended;
        Self { read: Reading { stream, messages }, write }
    }

    /// Sends a small frame. Whether that was possible is told by what is read then: the peer may have said why it closed.
    pub(super) async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let bytes = frame::encode(opcode, payload, rand::random());
        if self.write.write_all(&bytes).await.is_ok() {
            drop(self.write.flush().await);
        }
    }
}

impl Reading {
    /// The next thing that the server sends. Can be dropped and called again.
    ///
    /// # Errors
    /// The connection ended or failed, or a frame breaks the rules.
    pub(super) async fn next(&mut self) -> Result<Heard, Trouble> {
        loop {
            match self.messages.heard() {
                Ok(Some(heard)) => return Ok(heard),
                Ok(None) => {}
                Err(problem) => return Err(Trouble::broken(problem, &self.messages.buffer)),
            }
            self.messages.buffer.reserve(CHUNK);
            let failure = match self.stream.read_buf(&mut self.messages.buffer).await {
                Ok(0) => Failure::new(How::Closed, "the connection ended without a close frame"),
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Failure::new(How::Closed, "the connection ended without a close frame")
                }
                Err(error) => failure::of(&error),
            };
            return Err(Trouble { failure, problem: None, offending: None });
        }
    }

    /// Reads and forgets until the peer has closed the connection.
    pub(super) async fn drain(&mut self) {
        let mut sink = vec![0; CHUNK];
        while matches!(self.stream.read(&mut sink).await, Ok(n) if n > 0) {}
    }
}
