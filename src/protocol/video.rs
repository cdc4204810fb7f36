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

/// Why bytes are no picture for the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// Something else: its first bytes, and what they are if that is known.
    #[error("a picture that is no JPEG: it {0}")]
    NotJpeg(String),
    /// More bytes than a picture may have.
    #[error("a picture of {bytes} bytes, limit {MAX_PICTURE}")]
    TooManyBytes {
        /// All of them.
        bytes: usize,
    },
    /// More pixels than a picture may have.
    #[error("a JPEG of {width}x{height}, limit {MAX_WIDTH}x{MAX_HEIGHT}")]
    TooLarge {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// Cut, contradictory, or of a kind that is not taken (arithmetic, lossless, 12-bit, CMYK).
    #[error("a JPEG that is not taken: {0}")]
    NotTaken(&'static str),
}

impl From<JpegError> for WireError {
    fn from(error: JpegError) -> Self {
        Self::Payload { kind: Kind::Video.code(), reason: error.to_string() }
    }
}

/// Width and height of a JPEG for the wire from its header alone (ITU-T T.81, annex B), in time that depends on the
/// number of header segments; nothing is allocated. The picture data is not looked at, so a decoder may still refuse it.
///
/// # Errors
/// See [`JpegError`].
pub fn jpeg_size(jpeg: &[u8]) -> Result<(u32, u32), JpegError> {
    if jpeg.len() > MAX_PICTURE {
        return Err(JpegError::TooManyBytes { bytes: jpeg.len() });
    }
    let mut rest = jpeg.strip_prefix(&[0xFF, 0xD8]).ok_or_else(|| JpegError::NotJpeg(beginning(jpeg)))?;
    let mut size = None;
    loop {
        let (marker, segment, after) = next_segment(rest).ok_or(JpegError::NotTaken("its header ends early"))?;
        rest = after;
        match marker {
            0xDA => return size.ok_or(JpegError::NotTaken("picture data before the size")),
            0xC0..=0xC2 if size.is_some() => return Err(JpegError::NotTaken("it has two sizes")),
            0xC0..=0xC2 => size = Some(frame_size(segment)?),
            // Huffman tables, quantisation tables, restart interval, application data, comment
            0xC4 | 0xDB | 0xDD | 0xE0..=0xEF | 0xFE => {}
            _ => return Err(JpegError::NotTaken("it is of a rare kind")),
        }
    }
}

/// Marker, contents and what follows.
fn next_segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[0xFF, marker, high, low], rest) = bytes.split_first_chunk()? else { return None };
    let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(2)?;
    let (segment, after) = rest.split_at_checked(length)?;
    Some((marker, segment, after))
}

fn frame_size(segment: &[u8]) -> Result<(u32, u32), JpegError> {
    let &[precision, h1, h0, w1, w0, components, ..] = segment else {
        return Err(JpegError::NotTaken("its size is cut off"));
    };
    if precision != 8 || !matches!(components, 1 | 3) {
        return Err(JpegError::NotTaken("it is not 8-bit grey or colour"));
    }
    let (width, height) = (u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
    if width == 0 || height == 0 {
        return Err(JpegError::NotTaken("it has no pixels"));
    }
    if width > MAX_WIDTH || height > MAX_HEIGHT {
        return Err(JpegError::TooLarge { width, height });
    }
    Ok((width, height))
}

/// What a person recognises what was sent by.
fn beginning(bytes: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 6] = [
        (b"\x89PNG", "PNG"),
        (b"GIF8", "GIF"),
        (b"RIFF", "WebP"),
        (b"BM", "BMP"),
        (b"<", "markup"),
        (b"\0\0\0", "AVIF, HEIC or a film"),
    ];
    let first = &bytes[..bytes.len().min(4)];
    if first.is_empty() {
        return "is empty".to_owned();
    }
    let hex = first.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let known = KNOWN.iter().find(|(mark, _)| first.starts_with(mark));
    format!("begins with 0x{hex}{}", known.map_or_else(String::new, |(_, name)| format!(" ({name})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header with that SOF marker and those sizes, one component, and the beginning of its data.
    fn header(sof: u8, width: u16, height: u16) -> Vec<u8> {
        let ([h1, h0], [w1, w0]) = (height.to_be_bytes(), width.to_be_bytes());
        let frame = [0xFF, sof, 0, 11, 8, h1, h0, w1, w0, 1, 1, 0x11, 0];
        [&[0xFF, 0xD8][..], &frame, &[0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0], &[1, 2, 3, 0xFF, 0xD9]].concat()
    }

    #[test]
    fn a_size_is_read_and_limited() {
        for sof in 0xC0..=0xC2 {
            assert_eq!(jpeg_size(&header(sof, 320, 240)), Ok((320, 240)));
        }
        let said = |bytes: &[u8]| jpeg_size(bytes).unwrap_err().to_string();
        assert_eq!(said(&header(0xC0, 65_500, 65_500)), "a JPEG of 65500x65500, limit 320x240");
        assert_eq!(said(&header(0xC0, 320, 241)), "a JPEG of 320x241, limit 320x240");
        assert_eq!(said(&header(0xC0, 0, 240)), "a JPEG that is not taken: it has no pixels");
        assert_eq!(said(&header(0xC3, 32, 24)), "a JPEG that is not taken: it is of a rare kind");
        assert_eq!(said(&vec![0xFF; MAX_PICTURE + 1]), "a picture of 65537 bytes, limit 65536");
        let whole = header(0xC0, 32, 24);
        let twice = [&whole[..15], &whole[2..]].concat();
        assert_eq!(said(&twice), "a JPEG that is not taken: it has two sizes");
        for cut in 2..24 {
            assert_eq!(said(&whole[..cut]), "a JPEG that is not taken: its header ends early", "{cut}");
        }
    }

    #[test]
    fn what_is_no_jpeg_is_named() {
        let cases: [(&[u8], &str); 8] = [
            (b"\x89PNG\r\n\x1a\n", "begins with 0x89504e47 (PNG)"),
            (b"GIF89a", "begins with 0x47494638 (GIF)"),
            (b"RIFF....WEBP", "begins with 0x52494646 (WebP)"),
            (b"<svg onload=x>", "begins with 0x3c737667 (markup)"),
            (b"\0\0\0\x1cftypavif", "begins with 0x0000001c (AVIF, HEIC or a film)"),
            (b"jpeg", "begins with 0x6a706567"),
            (b"\xff", "begins with 0xff"),
            (b"", "is empty"),
        ];
        for (bytes, text) in cases {
            let error = WireError::from(jpeg_size(bytes).unwrap_err());
            let expected = format!("invalid payload of kind 0x20: a picture that is no JPEG: it {text}");
            assert_eq!((error.to_string(), error.close_code()), (expected, 1002));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_size_is_above_the_limit(
            start in prop::sample::select(vec![vec![], vec![0xFF, 0xD8], header(0xC0, 320, 240)]),
            changes in prop::collection::vec((0_usize..40, any::<u8>()), 0..8),
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = [start, rest].concat();
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            if let Ok((width, height)) = jpeg_size(&bytes) {
                prop_assert!((1..=MAX_WIDTH).contains(&width) && (1..=MAX_HEIGHT).contains(&height));
            }
        }
    }

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
