//! Frames of RFC 6455, section 5. PURE.

use crate::evidence::probed::FrameProblem;

/// What follows the earlier fragments of a message.
pub const CONTINUATION: u8 = 0x0;
/// A text message, or its first fragment.
pub const TEXT: u8 = 0x1;
/// A binary message, or its first fragment.
pub const BINARY: u8 = 0x2;
/// The connection is to be closed.
pub const CLOSE: u8 = 0x8;
/// A close frame's code for "done" (RFC 6455, section 7.4.1).
pub const NORMAL: u16 = 1000;
/// Asks for a pong.
pub const PING: u8 = 0x9;
/// Answers a ping.
pub const PONG: u8 = 0xa;

/// A frame that announces more is not read: no client could hold that message.
pub const MOST_ANNOUNCED: u64 = 4 << 30;

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it is the last fragment of its message.
    pub fin: bool,
    /// See [`TEXT`] and the others.
    pub opcode: u8,
    /// Bytes of the payload.
    pub length: u64,
    /// Bytes of the header itself.
    pub own: usize,
    /// Whether a reserved bit is set: an extension changed the payload.
    pub reserved: bool,
}

impl Header {
    /// Whether it is about the connection, and no part of a message.
    pub const fn is_control(self) -> bool {
        self.opcode & 0x8 != 0
    }
}

/// The header of a server's frame; `None`: more bytes are needed. `extended`: an extension was agreed, so that reserved bits mean
/// something.
///
/// # Errors
/// What it breaks, as soon as that can be told.
pub fn read(bytes: &[u8], extended: bool) -> Result<Option<Header>, FrameProblem> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    let reserved = first & 0x70 != 0;
    if reserved && !extended {
        return Err(FrameProblem::ReservedBit);
    }
    if !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
        return Err(FrameProblem::UnknownOpcode);
    }
    if second & 0x80 != 0 {
        return Err(FrameProblem::Masked);
    }
    let short = second & 0x7f;
    let control = opcode & 0x8 != 0;
    if control && !fin {
        return Err(FrameProblem::ControlFragmented);
    }
    if control && short > 125 {
        return Err(FrameProblem::ControlTooLong);
    }
    let (length, own, least) = match (short, rest) {
        (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4, 126),
        (127, rest) => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 10, 1 << 16),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        (short, _) => (u64::from(short), 2, 0),
    };
    if length >> 63 != 0 {
        return Err(FrameProblem::LengthTooLong);
    }
    if length < least {
        return Err(FrameProblem::LengthNotMinimal);
    }
    if length > MOST_ANNOUNCED {
        return Err(FrameProblem::TooLarge);
    }
    Ok(Some(Header { fin, opcode, length, own, reserved }))
}

/// The header of a client's frame; its payload is then to be masked with `mask`.
pub fn header(opcode: u8, fin: bool, length: u64, mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![opcode | if fin { 0x80 } else { 0x00 }];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => bytes.push(0x80 | short),
        (_, Ok(long)) => {
            bytes.push(0x80 | 0x7e);
            bytes.extend(long.to_be_bytes());
        }
        (_, Err(_)) => {
            bytes.push(0x80 | 0x7f);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes
}

/// A whole frame of a client.
pub fn encode(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = header(opcode, true, u64::try_from(payload.len()).unwrap_or(u64::MAX), mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The bytes of a header that breaks the rules, for people: `c1 05`.
pub fn hex(bytes: &[u8]) -> String {
    let header = bytes.get(1).map_or(2, |second| match second & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    });
    let shown: Vec<_> = bytes.iter().take(header).map(|byte| format!("{byte:02x}")).collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_server_may_send() {
        for (bytes, fin, opcode, length, own) in [
            (&[0x81, 0x05][..], true, TEXT, 5, 2),
            (&[0x02, 0x7d, 0xff], false, BINARY, 125, 2),
            (&[0x82, 0x7e, 0x01, 0x00], true, BINARY, 256, 4),
            (&[0x80, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], true, CONTINUATION, 65_536, 10),
            (&[0x88, 0x00], true, CLOSE, 0, 2),
            (&[0x8a, 0x7d], true, PONG, 125, 2),
        ] {
            assert_eq!(read(bytes, false), Ok(Some(Header { fin, opcode, length, own, reserved: false })), "{bytes:x?}");
        }
        for partial in [&[][..], &[0x81], &[0x81, 0x7e, 0], &[0x81, 0x7f, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(read(partial, false), Ok(None), "{partial:x?}");
        }
    }

    #[test]
    fn what_it_may_not() {
        use FrameProblem as P;
        for (bytes, problem) in [
            (&[0xc1, 0x05][..], P::ReservedBit),
            (&[0x91, 0x05], P::ReservedBit),
            (&[0x83, 0x00], P::UnknownOpcode),
            (&[0x8b, 0x00], P::UnknownOpcode),
            (&[0x81, 0x85], P::Masked),
            (&[0x09, 0x00], P::ControlFragmented),
            (&[0x89, 0x7e], P::ControlTooLong),
            (&[0x81, 0x7e, 0x00, 0x7d], P::LengthNotMinimal),
            (&[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff], P::LengthNotMinimal),
            (&[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], P::LengthTooLong),
            (&[0x82, 0x7f, 0, 0, 0x01, 0, 0, 0, 0, 0], P::TooLarge),
        ] {
            assert_eq!(read(bytes, false), Err(problem), "{bytes:x?}");
        }
        assert_eq!(hex(&[0x82, 0x7f, 0, 0, 1, 0, 0, 0, 0, 0, 9, 9]), "82 7f 00 00 01 00 00 00 00 00");
        assert_eq!((hex(&[0xc1, 0x05, 7]), hex(&[0xc1])), ("c1 05".to_owned(), "c1".to_owned()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            if let Ok(Some(header)) = read(&bytes, false) {
                prop_assert!(header.own <= bytes.len() && header.length <= MOST_ANNOUNCED);
            }
            prop_assert!(hex(&bytes).len() < 30);
        }

        #[test]
        fn what_we_send_is_masked_and_of_minimal_length(length in 0_usize..70_000, mask: [u8; 4]) {
            let payload = vec![0x5a; length];
            let mut bytes = encode(BINARY, &payload, mask);
            prop_assert_eq!(bytes[1] & 0x80, 0x80);
            bytes[1] &= 0x7f; // as a server would have sent it
            let header = read(&bytes, false).unwrap().unwrap();
            prop_assert_eq!((header.length, header.fin), (length as u64, true));
            let body = &bytes[header.own + 4..];
            prop_assert!(body.iter().zip(mask.iter().cycle()).all(|(byte, mask)| byte ^ mask == 0x5a));
            prop_assert_eq!(body.len(), length);
        }
    }
}
