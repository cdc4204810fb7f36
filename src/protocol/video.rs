//! Picture payloads: one JPEG of at most 320x240 and 64 KiB, in chunks.
//!
//! ```text
//! +--------+--------+--------+--------+--------+--------+--------+--------+--------
//! |            picture id             |      index      |      count      |  data ...
//! +--------+--------+--------+--------+--------+--------+--------+--------+--------
//! ```
//! All chunks of a picture have the same id and count, come in order, and carry the same timestamp in their header.

use super::{Frame, Kind, WireError};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Largest picture in bytes.
pub const MAX_PICTURE: usize = 64 * 1_024;
/// Largest width in pixels.
pub const MAX_WIDTH: u32 = 320;
/// Largest height in pixels.
pub const MAX_HEIGHT: u32 = 240;
/// Bytes of JPEG data in a chunk as we cut it: small, so that an audio frame never waits long behind one.
pub const CHUNK_DATA: usize = 8 * 1_024;
/// Bytes before the data.
pub const CHUNK_HEADER: usize = 8;
/// Most chunks of a picture.
pub const MAX_CHUNKS: u16 = 64;

/// One chunk of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoChunk {
    /// Counts pictures of a stream; wraps.
    pub picture: u32,
    /// From 0.
    pub index: u16,
    /// Chunks of the picture, from 1 to [`MAX_CHUNKS`].
    pub count: u16,
    /// A part of the JPEG, not empty.
    pub data: Bytes,
}

impl VideoChunk {
    /// Cuts a JPEG into chunks. `jpeg` must not be empty nor above [`MAX_PICTURE`].
    pub fn split(picture: u32, jpeg: &Bytes) -> Vec<Self> {
        debug_assert!(!jpeg.is_empty() && jpeg.len() <= MAX_PICTURE, "the sender keeps the limits");
        let count = u16::try_from(jpeg.len().div_ceil(CHUNK_DATA)).unwrap_or(u16::MAX);
        (0..count)
            .map(|index| {
                let from = usize::from(index) * CHUNK_DATA;
                let data = jpeg.slice(from..jpeg.len().min(from + CHUNK_DATA));
                Self { picture, index, count, data }
            })
            .collect()
    }

    /// A frame for the wire.
    pub fn frame(&self, stream: u16, sequence: u16, timestamp: u32) -> Frame {
        let mut payload = BytesMut::with_capacity(CHUNK_HEADER + self.data.len());
        payload.put_u32(self.picture);
        payload.put_u16(self.index);
        payload.put_u16(self.count);
        payload.put_slice(&self.data);
        Frame { kind: Kind::Video, stream, sequence, timestamp, payload: payload.freeze() }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`WireError::Payload`]: shorter than its fields, no data, index not below count, or too many chunks.
    pub fn decode(payload: &Bytes) -> Result<Self, WireError> {
        let bad = |reason: &str| WireError::Payload { kind: Kind::Video.code(), reason: reason.to_owned() };
        let mut rest = payload.clone();
        if rest.len() <= CHUNK_HEADER {
            return Err(bad("no picture data"));
        }
        let (picture, index, count) = (rest.get_u32(), rest.get_u16(), rest.get_u16());
        if count > MAX_CHUNKS || index >= count {
            return Err(bad("chunk index or count out of range"));
        }
        Ok(Self { picture, index, count, data: rest })
    }
}

/// Puts the chunks of one stream together again; a picture with a missing chunk is given up.
#[derive(Debug, Default)]
pub struct Assembler {
    picture: u32,
    next: u16,
    data: BytesMut,
}

impl Assembler {
    /// An empty assembler.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk; gives the whole JPEG after its last one.
    ///
    /// # Errors
    /// [`WireError::Payload`]: the picture grew above [`MAX_PICTURE`].
    pub fn push(&mut self, chunk: &VideoChunk) -> Result<Option<Bytes>, WireError> {
        if chunk.index == 0 {
            self.data.clear();
            (self.picture, self.next) = (chunk.picture, 0);
        }
        if chunk.picture != self.picture || chunk.index != self.next {
            self.next = u16::MAX; // a chunk is missing: wait for the next picture's first
            return Ok(None);
        }
        if self.data.len() + chunk.data.len() > MAX_PICTURE {
            return Err(WireError::Payload { kind: Kind::Video.code(), reason: "picture above 64 KiB".to_owned() });
        }
        self.data.extend_from_slice(&chunk.data);
        self.next += 1;
        Ok((self.next == chunk.count).then(|| {
            self.next = u16::MAX;
            self.data.split().freeze()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_survives_its_chunks() {
        let jpeg: Bytes = (0..20_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let chunks = VideoChunk::split(9, &jpeg);
        assert_eq!(chunks.len(), 3);
        let mut assembler = Assembler::new();
        let mut whole = None;
        for chunk in &chunks {
            assert!(whole.is_none());
            let back = VideoChunk::decode(&chunk.frame(1, 0, 0).payload).unwrap();
            whole = assembler.push(&back).unwrap();
        }
        assert_eq!(whole, Some(jpeg));
    }

    #[test]
    fn a_missing_chunk_gives_up_the_picture_and_only_that() {
        let jpeg: Bytes = vec![5; 20_000].into();
        let mut assembler = Assembler::new();
        let chunks = VideoChunk::split(1, &jpeg);
        assert_eq!(assembler.push(&chunks[0]).unwrap(), None);
        assert_eq!(assembler.push(&chunks[2]).unwrap(), None);
        assert_eq!(assembler.push(&chunks[1]).unwrap(), None);
        let next: Vec<_> = VideoChunk::split(2, &jpeg).iter().map(|c| assembler.push(c).unwrap()).collect();
        assert_eq!(next[2], Some(jpeg));
    }

    #[test]
    fn bad_payloads_are_refused() {
        let chunk = |index: u16, count: u16, data: &[u8]| {
            VideoChunk { picture: 1, index, count, data: Bytes::copy_from_slice(data) }.frame(0, 0, 0).payload
        };
        for bad in [chunk(0, 1, &[]), chunk(1, 1, &[1]), chunk(0, 0, &[1]), chunk(0, 65, &[1]), Bytes::new()] {
            assert!(VideoChunk::decode(&bad).is_err(), "{bad:?}");
        }
    }
}
