//! The protocols of the probe's own, by the first bytes of a server. Pure.

use sidetone::protocol::frame::{HEADER_LENGTH, Header};

/// Whether it is the beginning of an HTTP/1 answer, and its status.
pub fn http(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/")?;
    let status = rest.split(|b| *b == b' ').nth(1)?.get(..3)?;
    str::from_utf8(status).ok()?.parse().ok()
}

/// Whether it is the beginning of a TLS record: a handshake or an alert (RFC 8446, section 5.1).
pub fn tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, 0..=4, ..])
}

/// Whether it is the beginning of a Sidetone frame.
pub fn sidetone(bytes: &[u8]) -> bool {
    bytes.first_chunk::<HEADER_LENGTH>().is_some_and(|head| Header::decode(head).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_known_by_their_first_bytes() {
        assert_eq!(http(b"HTTP/1.1 404 Not Found\r\n"), Some(404));
        assert_eq!((http(b"HTTP/1.1 4"), http(b"http/1.1 200"), http(b"HTTP/")), (None, None, None));
        assert!(tls(b"\x15\x03\x01\0\x02\x02\x46") && tls(b"\x16\x03\x03\0") && !tls(b"\x15\x03") && !tls(b"HTTP/1.1"));
        assert!(!sidetone(b"HTTP/1.1 400 Bad") && !sidetone(b""));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let known = [http(&bytes).is_some(), tls(&bytes), sidetone(&bytes)];
            prop_assert!(known.iter().filter(|k| **k).count() <= 1, "one protocol at most");
        }
    }
}
