//! Bodies of answers: where they end, and how they begin.

use crate::evidence::probed::Excerpt;
use crate::probe::open::Connection;
use tokio::io::AsyncReadExt;

/// Most bytes of a body that are read.
const MOST: usize = 64 << 10;
/// Bytes that one read asks for.
const CHUNK: usize = 4 << 10;

/// How a body begins, for people.
pub(super) fn excerpt(body: &[u8]) -> Excerpt {
    let cut = &body[..body.len().min(4 * Excerpt::MOST)];
    match std::str::from_utf8(cut) {
        Ok(text) => Excerpt::text(&text.replace("\r\n", "\n")),
        // a character that is cut in two is no sign of binary data
        Err(error) if error.error_len().is_none() => {
            Excerpt::text(&String::from_utf8_lossy(&cut[..error.valid_up_to()]).replace("\r\n", "\n"))
        }
        Err(_) => Excerpt::of(cut),
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk (RFC 9112, section 7.1).
    Chunked,
    /// Where the connection does.
    Close,
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body {
    end: End,
    raw: Vec<u8>,
    /// Chunked: where in `raw` the next chunk's size stands.
    at: usize,
    /// Chunked: what the chunks hold.
    decoded: Vec<u8>,
}

impl Body {
    pub(super) fn of(status: u16, headers: &[(String, Vec<u8>)], rest: Vec<u8>) -> Self {
        let value = |wanted: &str| {
            let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| String::from_utf8_lossy(value).trim().to_ascii_lowercase())
        };
        let end = if matches!(status, 204 | 304) {
            End::Length(0)
        } else if value("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
            End::Chunked
        } else {
            value("content-length").and_then(|length| length.parse().ok()).map_or(End::Close, End::Length)
        };
        Self { end, raw: rest, at: 0, decoded: Vec::new() }
    }

    /// Whether all of it is there; `None`: only a close will tell. An error: its chunks are none.
    fn is_whole(&mut self) -> Result<Option<bool>, ()> {
        match self.end {
            End::Length(length) => Ok(Some(u64::try_from(self.raw.len()).is_ok_and(|got| got >= length))),
            End::Close => Ok(None),
            End::Chunked => loop {
                let Some((begin, size)) = self.chunk()? else { return Ok(Some(false)) };
                if size == 0 {
                    return Ok(Some(true));
                }
                let end = begin.saturating_add(size);
                if self.raw.len() < end.saturating_add(2) {
                    return Ok(Some(false));
                }
                self.decoded.extend_from_slice(&self.raw[begin..end]);
                self.at = end + 2;
            },
        }
    }

    /// Where the next chunk begins, and its size; `None`: its size is not there yet.
    fn chunk(&self) -> Result<Option<(usize, usize)>, ()> {
        match httparse::parse_chunk_size(&self.raw[self.at..]) {
            Ok(httparse::Status::Complete((length, size))) => {
                Ok(Some((self.at + length, usize::try_from(size).unwrap_or(usize::MAX))))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(_) => Err(()),
        }
    }

    /// Reads to its end or to the most that is read. Whether it came whole; `None`: it was longer than that.
    pub(super) async fn read(&mut self, stream: &mut Connection) -> Option<bool> {
        loop {
            match self.is_whole() {
                Ok(Some(true)) => return Some(true),
                Ok(Some(false) | None) if self.raw.len() >= MOST => return None,
                Ok(Some(false) | None) => {}
                Err(()) => return Some(false),
            }
            self.raw.reserve(CHUNK);
            match stream.read_buf(&mut self.raw).await {
                Ok(0) => return Some(self.end == End::Close),
                Ok(_) => {}
                Err(_) => return Some(false),
            }
        }
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        let mut bytes = match self.end {
            End::Length(length) => {
                self.raw.truncate(usize::try_from(length).unwrap_or(usize::MAX));
                self.raw
            }
            End::Close => self.raw,
            End::Chunked => {
                if let Ok(Some((begin, size))) = self.chunk() {
                    let end = self.raw.len().min(begin.saturating_add(size));
                    self.decoded.extend_from_slice(&self.raw[begin.min(end)..end]);
                }
                self.decoded
            }
        };
        bytes.truncate(MOST);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(headers: &[(&str, &str)], raw: &[u8]) -> Body {
        let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        Body::of(200, &headers, raw.to_vec())
    }

    async fn read(mut body: Body, more: &[u8]) -> (Option<bool>, String) {
        let mut stream: Connection = Box::new(tokio_test_stream(more));
        let whole = body.read(&mut stream).await;
        (whole, String::from_utf8(body.into_bytes()).unwrap())
    }

    /// A peer that sends this and closes.
    fn tokio_test_stream(bytes: &[u8]) -> tokio::io::Join<std::io::Cursor<Vec<u8>>, tokio::io::Sink> {
        tokio::io::join(std::io::Cursor::new(bytes.to_vec()), tokio::io::sink())
    }

    #[tokio::test]
    async fn a_body_ends_where_its_headers_say() {
        let length = [("Content-Length", "4")];
        assert_eq!(read(body(&length, b"ab"), b"cdef").await, (Some(true), "abcd".to_owned()));
        assert_eq!(read(body(&length, b"ab"), b"c").await, (Some(false), "abc".to_owned()));
        let chunked = [("transfer-encoding", "gzip, chunked")];
        assert_eq!(
            read(body(&chunked, b"3\r\nab"), b"c\r\n1\r\nd\r\n0\r\n\r\n").await,
            (Some(true), "abcd".to_owned())
        );
        assert_eq!(read(body(&chunked, b"ff\r\nab"), b"c").await, (Some(false), "abc".to_owned()));
        assert_eq!(read(body(&chunked, b"nothing"), b"").await, (Some(false), String::new()));
        assert_eq!(read(body(&[], b"ab"), b"cd").await, (Some(true), "abcd".to_owned()));
        let endless = read(body(&[], b""), &vec![b'x'; 1 << 20]).await;
        assert_eq!((endless.0, endless.1.len()), (None, MOST), "no more is read than that");
    }

    #[test]
    fn the_beginning_of_a_body_is_text_where_it_can_be() {
        assert_eq!(excerpt("grüß\r\ndich".as_bytes()).as_str(), "grüß\ndich");
        assert_eq!(excerpt(b"\xff\x1b[2J").as_str(), "\\xff\\x1b[2J");
        let cut = excerpt(&"é".repeat(9_000).into_bytes()[..7_999]);
        assert!(cut.as_str().starts_with("éé"), "a cut character does not make it binary");
    }

    proptest! {
        #[test]
        fn no_chunks_make_it_panic(raw in "[0-9a-fx\r\n;]{0,80}") {
            let mut body = body(&[("transfer-encoding", "chunked")], raw.as_bytes());
            let _ = body.is_whole();
            prop_assert!(body.into_bytes().len() <= raw.len());
        }
    }
}
