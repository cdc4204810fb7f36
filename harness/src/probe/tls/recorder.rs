//! Streams around TLS: below it one that keeps how the peer's bytes begin, above it one that gives back what was read too
//! early.

use crate::probe::open::Connection;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many of the peer's first bytes are kept.
const KEPT: usize = 512;

/// What came from the peer, before TLS made anything of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The first bytes.
    pub first: Vec<u8>,
    /// All of them, counted.
    pub received: u64,
}

/// Where a [`Recorder`] writes; it stays when the stream is gone with its error.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(Arc<Mutex<Seen>>);

impl Record {
    /// What has come so far.
    pub(super) fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(seen.first.len()).min(bytes.len());
        seen.first.extend_from_slice(&bytes[..room]);
        seen.received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }
}

/// Keeps how the peer's bytes begin.
pub(super) struct Recorder {
    stream: Connection,
    record: Record,
}

impl Recorder {
    pub(super) fn new(stream: Connection, record: Record) -> Self {
        Self { stream, record }
    }
}

impl AsyncRead for Recorder {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.record.add(&buf.filled()[before..]);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream some of whose bytes have been read already: they come first.
pub(super) struct GivenBack<S> {
    first: Vec<u8>,
    given: usize,
    stream: S,
}

impl<S> GivenBack<S> {
    pub(super) fn new(first: Vec<u8>, stream: S) -> Self {
        Self { first, given: 0, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GivenBack<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = &self.first[self.given..];
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let now = left.len().min(buf.remaining());
        buf.put_slice(&left[..now]);
        self.given += now;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GivenBack<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn the_first_bytes_are_kept_and_all_are_counted() {
        let (mut peer, ours) = tokio::io::duplex(4_096);
        let record = Record::default();
        let mut stream = Recorder::new(Box::new(ours), record.clone());
        peer.write_all(&[7; 1_000]).await.unwrap();
        stream.read_exact(&mut [0; 1_000]).await.unwrap();
        let seen = record.seen();
        assert_eq!((seen.first.len(), seen.received), (KEPT, 1_000));
        assert!(seen.first.iter().all(|byte| *byte == 7));
        stream.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        peer.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[tokio::test]
    async fn what_was_read_too_early_comes_first() {
        let (mut peer, ours) = tokio::io::duplex(64);
        peer.write_all(b"world").await.unwrap();
        let mut stream = GivenBack::new(b"hello ".to_vec(), ours);
        let mut text = [0; 11];
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello world");
    }
}
