//! Frames: the header, its limits, and an incremental decoder for byte streams.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The first byte of every frame.
pub const MAGIC: u8 = 0xD7;

/// Bytes of a header.
pub const HEADER_LENGTH: usize = 16;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Client to server, first frame: [`crate::protocol::Hello`].
    Hello,
    /// Server to client: [`crate::protocol::Welcome`].
    Welcome,
    /// Server to client instead of a welcome: [`crate::protocol::Refusal`]; the connection closes after it.
    Refusal,
    /// Either way: [`crate::protocol::Ping`].
    Ping,
    /// The answer to a ping, with the same payload.
    Pong,
    /// Server to client: [`crate::protocol::Joined`].
    Joined,
    /// Server to client: [`crate::protocol::Left`].
    Left,
    /// Either way: [`crate::protocol::Chat`].
    Chat,
    /// Either way: [`crate::protocol::Mute`].
    Mute,
    /// Either way, last frame: [`crate::protocol::Bye`].
    Bye,
    /// Server to client: [`crate::protocol::Speaking`].
    Speaking,
    /// Either way: [`crate::protocol::AudioPacket`].
    Audio,
    /// Either way: [`crate::protocol::VideoChunk`].
    Video,
    /// A kind of a later version: skipped.
    Unknown(u8),
}

impl Kind {
    /// The byte on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Hello => 0x01,
            Self::Welcome => 0x02,
            Self::Refusal => 0x03,
            Self::Ping => 0x04,
            Self::Pong => 0x05,
            Self::Joined => 0x06,
            Self::Left => 0x07,
            Self::Chat => 0x08,
            Self::Mute => 0x09,
            Self::Bye => 0x0A,
            Self::Speaking => 0x0B,
            Self::Audio => 0x10,
            Self::Video => 0x20,
            Self::Unknown(code) => code,
        }
    }

    /// The kind of a byte from the wire.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0x01 => Self::Hello,
            0x02 => Self::Welcome,
            0x03 => Self::Refusal,
            0x04 => Self::Ping,
            0x05 => Self::Pong,
            0x06 => Self::Joined,
            0x07 => Self::Left,
            0x08 => Self::Chat,
            0x09 => Self::Mute,
            0x0A => Self::Bye,
            0x0B => Self::Speaking,
            0x10 => Self::Audio,
            0x20 => Self::Video,
            other => Self::Unknown(other),
        }
    }

    /// The largest payload in bytes. An unknown kind may be as large as a control payload.
    pub const fn limit(self) -> usize {
        match self {
            Self::Audio => 1_500,
            Self::Video => 16 * 1_024,
            Self::Hello
            | Self::Welcome
            | Self::Refusal
            | Self::Ping
            | Self::Pong
            | Self::Joined
            | Self::Left
            | Self::Chat
            | Self::Mute
            | Self::Bye
            | Self::Speaking
            | Self::Unknown(_) => 64 * 1_024,
        }
    }
}

/// The largest frame of any kind: header and payload.
pub const MAX_FRAME: usize = HEADER_LENGTH + 64 * 1_024;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub kind: Kind,
    /// Reserved: 0.
    pub flags: u16,
    /// Stream number; 0 is the mix.
    pub stream: u16,
    /// Counts frames of one kind and stream; wraps.
    pub sequence: u16,
    /// 48 kHz ticks; wraps.
    pub timestamp: u32,
    /// Payload bytes.
    pub length: u32,
}

/// What a peer can get wrong on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first byte is not [`MAGIC`]: the peer speaks something else.
    #[error("first byte is 0x{found:02x}, not 0x{MAGIC:02x}: this is not a Sidetone frame")]
    NotAFrame {
        /// The byte.
        found: u8,
    },
    /// The payload is above the limit of its kind.
    #[error("payload of {length} bytes for kind 0x{kind:02x}, limit {limit}")]
    TooBig {
        /// Kind byte.
        kind: u8,
        /// Announced payload bytes.
        length: u32,
        /// Limit in bytes.
        limit: usize,
    },
    /// A WebSocket message that is not exactly one frame.
    #[error("message of {found} bytes holds a frame of {expected} bytes; one message is one frame")]
    NotOneFrame {
        /// Message bytes.
        found: usize,
        /// Bytes that the header announces (16 if the header itself is cut).
        expected: usize,
    },
    /// A payload that its kind cannot have.
    #[error("invalid payload of kind 0x{kind:02x}: {reason}")]
    Payload {
        /// Kind byte.
        kind: u8,
        /// What is wrong.
        reason: String,
    },
    /// A kind that this side may not send, or not now.
    #[error("kind 0x{kind:02x} is not allowed {when}")]
    NotAllowed {
        /// Kind byte.
        kind: u8,
        /// For instance "before hello".
        when: &'static str,
    },
}

impl WireError {
    /// The close code that answers this error.
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::TooBig { .. } => super::close::MESSAGE_TOO_BIG,
            Self::NotAFrame { .. } | Self::NotOneFrame { .. } | Self::Payload { .. } | Self::NotAllowed { .. } => {
                super::close::PROTOCOL_ERROR
            }
        }
    }
}

impl Header {
    /// Reads a header and checks magic and length.
    ///
    /// # Errors
    /// [`WireError::NotAFrame`], [`WireError::TooBig`].
    pub fn decode(bytes: &[u8; HEADER_LENGTH]) -> Result<Self, WireError> {
        let mut buf = &bytes[..];
        let found = buf.get_u8();
        if found != MAGIC {
            return Err(WireError::NotAFrame { found });
        }
        let kind = Kind::from_code(buf.get_u8());
        let header = Self {
            kind,
            flags: buf.get_u16(),
            stream: buf.get_u16(),
            sequence: buf.get_u16(),
            timestamp: buf.get_u32(),
            length: buf.get_u32(),
        };
        if header.length as usize > kind.limit() {
            return Err(WireError::TooBig { kind: kind.code(), length: header.length, limit: kind.limit() });
        }
        Ok(header)
    }
}

/// One frame. `Bytes`, so that one encoded payload is shared by all its receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: Kind,
    /// Stream number; 0 is the mix.
    pub stream: u16,
    /// Counts frames of one kind and stream; wraps.
    pub sequence: u16,
    /// 48 kHz ticks; wraps.
    pub timestamp: u32,
    /// At most `kind.limit()` bytes.
    pub payload: Bytes,
}

impl Frame {
    /// Header and payload as bytes for the wire.
    pub fn encode(&self) -> Bytes {
        debug_assert!(self.payload.len() <= self.kind.limit(), "the sender keeps the limits too");
        let mut out = BytesMut::with_capacity(HEADER_LENGTH + self.payload.len());
        out.put_u8(MAGIC);
        out.put_u8(self.kind.code());
        out.put_u16(0);
        out.put_u16(self.stream);
        out.put_u16(self.sequence);
        out.put_u32(self.timestamp);
        out.put_u32(u32::try_from(self.payload.len()).expect("payload limits are far below 4 GiB"));
        out.put_slice(&self.payload);
        out.freeze()
    }

    /// Reads a WebSocket message, which must be exactly one frame.
    ///
    /// # Errors
    /// Any [`WireError`] of the header, or [`WireError::NotOneFrame`].
    pub fn from_message(mut message: Bytes) -> Result<Self, WireError> {
        let found = message.len();
        if let Some(&first) = message.first()
            && first != MAGIC
        {
            return Err(WireError::NotAFrame { found: first });
        }
        let Some(head) = message.first_chunk::<HEADER_LENGTH>() else {
            return Err(WireError::NotOneFrame { found, expected: HEADER_LENGTH });
        };
        let header = Header::decode(head)?;
        let expected = HEADER_LENGTH + header.length as usize;
        if found != expected {
            return Err(WireError::NotOneFrame { found, expected });
        }
        message.advance(HEADER_LENGTH);
        Ok(Self::of(header, message))
    }

    fn of(header: Header, payload: Bytes) -> Self {
        Self {
            kind: header.kind,
            stream: header.stream,
            sequence: header.sequence,
            timestamp: header.timestamp,
            payload,
        }
    }
}

/// Cuts a byte stream (TCP) into frames. Feed it with [`Decoder::buffer`], take frames with [`Decoder::next_frame`].
///
/// ```text
/// buffer: [ header | payload | header | pay... ]   header None    -> read 16 bytes, check, keep
///                                                  header Some(h) -> wait for h.length bytes, emit
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    header: Option<Header>,
}

impl Decoder {
    /// An empty decoder; it allocates when bytes come.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the transport appends what it read.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes that wait for the rest of their frame: not 0 at the end of the stream means a truncated frame.
    pub fn pending(&self) -> usize {
        self.buffer.len() + if self.header.is_some() { HEADER_LENGTH } else { 0 }
    }

    /// The next whole frame, or `None` until more bytes came.
    ///
    /// # Errors
    /// [`WireError::NotAFrame`] as soon as the first byte is here, [`WireError::TooBig`] as soon as the header is.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let header = if let Some(header) = self.header {
            header
        } else {
            if let Some(&found) = self.buffer.first()
                && found != MAGIC
            {
                return Err(WireError::NotAFrame { found });
            }
            let Some(head) = self.buffer.first_chunk::<HEADER_LENGTH>() else { return Ok(None) };
            let header = Header::decode(head)?;
            self.buffer.advance(HEADER_LENGTH);
            *self.header.insert(header)
        };
        if self.buffer.len() < header.length as usize {
            return Ok(None);
        }
        self.header = None;
        let payload = self.buffer.split_to(header.length as usize).freeze();
        Ok(Some(Frame::of(header, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: Kind, payload: Vec<u8>) -> Frame {
        Frame { kind, stream: 7, sequence: 65_535, timestamp: 0xDEAD_BEEF, payload: payload.into() }
    }

    proptest! {
        #[test]
        fn a_stream_cut_anywhere_gives_the_same_frames(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
            cut in 1_usize..64,
        ) {
            let frames: Vec<_> = payloads.into_iter().map(|p| frame(Kind::Audio, p)).collect();
            let wire: Vec<u8> = frames.iter().flat_map(|f| f.encode().to_vec()).collect();
            let mut decoder = Decoder::new();
            let mut got = Vec::new();
            for piece in wire.chunks(cut) {
                decoder.buffer().extend_from_slice(piece);
                while let Some(f) = decoder.next_frame().unwrap() {
                    got.push(f);
                }
            }
            prop_assert_eq!(got, frames);
            prop_assert_eq!(decoder.pending(), 0);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = Decoder::new();
            decoder.buffer().extend_from_slice(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
            drop(Frame::from_message(Bytes::from(bytes)));
        }
    }

    #[test]
    fn a_message_is_exactly_one_frame() {
        let good = frame(Kind::Chat, b"{}".to_vec());
        assert_eq!(Frame::from_message(good.encode()), Ok(good.clone()));
        let mut long = good.encode().to_vec();
        long.push(0);
        assert_eq!(Frame::from_message(long.into()), Err(WireError::NotOneFrame { found: 19, expected: 18 }));
        let short = good.encode().slice(..17);
        assert!(matches!(Frame::from_message(short), Err(WireError::NotOneFrame { found: 17, .. })));
        assert!(matches!(Frame::from_message(Bytes::new()), Err(WireError::NotOneFrame { found: 0, .. })));
    }

    #[test]
    fn limits_hold_before_the_payload_came() {
        let mut head = frame(Kind::Audio, vec![]).encode().to_vec();
        head[12..16].copy_from_slice(&1_501_u32.to_be_bytes());
        let mut decoder = Decoder::new();
        decoder.buffer().extend_from_slice(&head);
        let error = decoder.next_frame().unwrap_err();
        assert_eq!(error, WireError::TooBig { kind: 0x10, length: 1_501, limit: 1_500 });
        assert_eq!(error.close_code(), 1009);
    }

    #[test]
    fn another_protocol_is_told_at_its_first_byte() {
        let mut decoder = Decoder::new();
        decoder.buffer().extend_from_slice(b"G");
        assert_eq!(decoder.next_frame(), Err(WireError::NotAFrame { found: b'G' }));
    }
}
