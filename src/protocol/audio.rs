//! Audio payloads: one level byte, then one Opus packet (RFC 6716) of mono 48 kHz sound.
//!
//! ```text
//! +--------+----------------------
//! | level  |  Opus packet ...        level 0..=127: -dBov (RFC 6464 scale), 127 = silence
//! +--------+----------------------
//! ```
//! A packet may be empty only at level 127: the keep-alive of a muted or silent speaker.

use super::{Frame, Kind, WireError};
use bytes::{BufMut, Bytes, BytesMut};

/// The level that means silence.
pub const SILENCE: u8 = 127;

/// One audio payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioPacket {
    /// -dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
    /// One Opus packet; empty for a keep-alive.
    pub opus: Bytes,
}

impl AudioPacket {
    /// The keep-alive that tells "muted or silent" from "nothing sent".
    pub const fn keep_alive() -> Self {
        Self { level: SILENCE, opus: Bytes::new() }
    }

    /// A frame for the wire.
    pub fn frame(&self, stream: u16, sequence: u16, timestamp: u32) -> Frame {
        let mut payload = BytesMut::with_capacity(1 + self.opus.len());
        payload.put_u8(self.level);
        payload.put_slice(&self.opus);
        Frame { kind: Kind::Audio, stream, sequence, timestamp, payload: payload.freeze() }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`WireError::Payload`]: empty payload, level above 127, or no Opus packet at a level below 127.
    pub fn decode(payload: &Bytes) -> Result<Self, WireError> {
        let bad = |reason: &str| WireError::Payload { kind: Kind::Audio.code(), reason: reason.to_owned() };
        let &level = payload.first().ok_or_else(|| bad("empty"))?;
        if level > SILENCE {
            return Err(bad("level above 127"));
        }
        let opus = payload.slice(1..);
        if opus.is_empty() && level != SILENCE {
            return Err(bad("no Opus packet at a level below 127"));
        }
        Ok(Self { level, opus })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_and_comes_back() {
        for packet in [AudioPacket::keep_alive(), AudioPacket { level: 3, opus: Bytes::from_static(&[1, 2, 3]) }] {
            assert_eq!(AudioPacket::decode(&packet.frame(1, 2, 3).payload), Ok(packet));
        }
    }

    #[test]
    fn bad_payloads_are_refused() {
        for bad in [&[][..], &[128, 1], &[0]] {
            assert!(AudioPacket::decode(&Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }
}
