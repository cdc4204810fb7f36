//! Messages of STUN (RFC 8489) and TURN (RFC 8656). Pure: bytes of a stranger in, bounded values out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Binding, as a request.
pub const BINDING: u16 = 0x0001;
/// Allocate of TURN, as a request.
pub const ALLOCATE: u16 = 0x0003;
/// Refresh of TURN, as a request.
pub const REFRESH: u16 = 0x0004;
/// The fixed value of every header.
const COOKIE: u32 = 0x2112_a442;
const HEADER: usize = 20;
/// Success and error answers of a request.
const SUCCESS: u16 = 0x0100;
const ERROR: u16 = 0x0110;

const MAPPED_ADDRESS: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const LIFETIME: u16 = 0x000d;
const REALM: u16 = 0x0014;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const REQUESTED_TRANSPORT: u16 = 0x0019;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const SOFTWARE: u16 = 0x8022;
/// UDP, as a protocol number.
const UDP: u8 = 17;

/// Names a request; the answer repeats it.
pub type Transaction = [u8; 12];

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Our address as the server sees it.
    pub mapped: Option<SocketAddr>,
    /// `XOR-RELAYED-ADDRESS`.
    pub relayed: Option<SocketAddr>,
    /// Code and words.
    pub error: Option<(u16, Vec<u8>)>,
    /// `SOFTWARE`.
    pub software: Option<Vec<u8>>,
    /// `REALM`.
    pub realm: Option<Vec<u8>>,
}

/// A request. An allocation asks for UDP, a refresh ends at once.
pub fn request(kind: u16, transaction: &Transaction) -> Vec<u8> {
    let attribute: &[u8] = match kind {
        ALLOCATE => &[0, 0x19, 0, 4, UDP, 0, 0, 0],
        REFRESH => &[0, 0x0d, 0, 4, 0, 0, 0, 0],
        _ => &[],
    };
    debug_assert_eq!((REQUESTED_TRANSPORT, LIFETIME), (0x0019, 0x000d));
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(attribute.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(COOKIE.to_be_bytes());
    bytes.extend(transaction);
    bytes.extend(attribute);
    bytes
}

/// Reads an answer to a request.
///
/// # Errors
/// Why it is none; an answer to somebody else is `not an answer to this request`.
pub fn answer(bytes: &[u8], kind: u16, transaction: &Transaction) -> Result<Answer, &'static str> {
    let (Some(first), Some(length), Some(cookie)) = (number(bytes, 0), number(bytes, 2), bytes.get(4..8)) else {
        return Err("too short for STUN");
    };
    if cookie != COOKIE.to_be_bytes() {
        return Err("no STUN: the fixed value of the header is missing");
    }
    if bytes.get(8..HEADER) != Some(&transaction[..]) || ![kind | SUCCESS, kind | ERROR].contains(&first) {
        return Err("not an answer to this request");
    }
    let Some(mut rest) = bytes.get(HEADER..HEADER + usize::from(length)) else {
        return Err("shorter than its header says");
    };
    let mut told = Answer::default();
    while !rest.is_empty() {
        let (Some(kind), Some(length)) = (number(rest, 0), number(rest, 2)) else {
            return Err("an attribute is cut");
        };
        let length = usize::from(length);
        let Some(value) = rest.get(4..4 + length) else { return Err("an attribute is longer than the message") };
        take(&mut told, kind, value, transaction);
        // padded to four bytes; the last one's padding may be missing in old servers
        rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    }
    if first == kind | ERROR && told.error.is_none() {
        return Err("an error without its code");
    }
    Ok(told)
}

fn take(told: &mut Answer, kind: u16, value: &[u8], transaction: &Transaction) {
    match kind {
        XOR_MAPPED_ADDRESS => told.mapped = address(value, Some(transaction)),
        MAPPED_ADDRESS if told.mapped.is_none() => told.mapped = address(value, None),
        XOR_RELAYED_ADDRESS => told.relayed = address(value, Some(transaction)),
        ERROR_CODE => {
            if let [_, _, class, rest, words @ ..] = value {
                told.error = Some((u16::from(class & 7) * 100 + u16::from(*rest), words.to_vec()));
            }
        }
        SOFTWARE => told.software = Some(value.to_vec()),
        REALM => told.realm = Some(value.to_vec()),
        _ => {}
    }
}

/// Family, port, address; with a transaction all of it is hidden from address translators by XOR.
fn address(value: &[u8], hidden: Option<&Transaction>) -> Option<SocketAddr> {
    let mut mask = [0; 16];
    if let Some(transaction) = hidden {
        mask[..4].copy_from_slice(&COOKIE.to_be_bytes());
        mask[4..].copy_from_slice(transaction);
    }
    let port = number(value, 2)? ^ u16::from_be_bytes([mask[0], mask[1]]);
    let mut bytes = [0; 16];
    let given = value.get(4..)?;
    for ((place, byte), mask) in bytes.iter_mut().zip(given).zip(mask) {
        *place = byte ^ mask;
    }
    let address = match (value.get(1)?, given.len()) {
        (1, 4) => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        (2, 16) => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 5769, section 2.2: transaction and answer, without its integrity.
    const TRANSACTION: Transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        bytes.extend(COOKIE.to_be_bytes());
        bytes.extend(TRANSACTION);
        bytes.extend(attributes);
        bytes
    }

    #[test]
    fn the_sample_answer_of_rfc_5769() {
        let mut attributes = b"\x80\x22\x00\x0btest vector ".to_vec();
        attributes.extend(b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43");
        let told = answer(&message(0x0101, &attributes), BINDING, &TRANSACTION).unwrap();
        assert_eq!(told.mapped, Some("192.0.2.1:32853".parse().unwrap()));
        assert_eq!(told.software.as_deref(), Some(&b"test vector"[..]));
    }

    #[test]
    fn the_sample_answer_of_rfc_5769_over_ipv6() {
        let attribute =
            b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
        let told = answer(&message(0x0101, attribute), BINDING, &TRANSACTION).unwrap();
        assert_eq!(told.mapped, Some("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()));
    }

    #[test]
    fn a_turn_server_wants_credentials() {
        let mut attributes = b"\x00\x09\x00\x10\x00\x00\x04\x01Unauthorized".to_vec();
        attributes.extend(b"\x00\x14\x00\x0bexample.org\x00");
        let told = answer(&message(0x0113, &attributes), ALLOCATE, &TRANSACTION).unwrap();
        assert_eq!(told.error, Some((401, b"Unauthorized".to_vec())));
        assert_eq!(told.realm.as_deref(), Some(&b"example.org"[..]));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let why = |bytes: &[u8]| answer(bytes, BINDING, &TRANSACTION).unwrap_err();
        assert_eq!(why(b"PONG"), "too short for STUN");
        assert_eq!(why(b"HTTP/1.1 400 Bad Request\r\n"), "no STUN: the fixed value of the header is missing");
        assert_eq!(why(&message(0x0103, b"")), "not an answer to this request");
        assert_eq!(why(&message(0x0101, b"\x00\x20\x00\x09\x00")), "an attribute is longer than the message");
        assert_eq!(why(&message(0x0101, b"\x00\x20")), "an attribute is cut");
        assert_eq!(why(&message(0x0111, b"")), "an error without its code");
        assert_eq!(why(&message(0x0101, b"\0\0\0\0")[..22]), "shorter than its header says");
        assert_eq!(
            answer(&request(BINDING, &TRANSACTION), BINDING, &TRANSACTION),
            Err("not an answer to this request")
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(answer(&bytes, BINDING, &TRANSACTION));
            if let Ok(told) = answer(&message(0x0101, &bytes), BINDING, &TRANSACTION) {
                prop_assert!(told.software.is_none_or(|words| words.len() <= bytes.len()));
            }
        }

        #[test]
        fn every_address_is_read_back(v4 in any::<[u8; 4]>(), v6 in any::<[u8; 16]>(), port in any::<u16>()) {
            let mask: Vec<u8> = COOKIE.to_be_bytes().into_iter().chain(TRANSACTION).collect();
            for (family, bytes) in [(1, &v4[..]), (2, &v6[..])] {
                let mut value = vec![0, family];
                value.extend((port ^ 0x2112).to_be_bytes());
                value.extend(bytes.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
                let ip = if family == 1 { IpAddr::from(v4) } else { IpAddr::from(v6) };
                prop_assert_eq!(address(&value, Some(&TRANSACTION)), Some(SocketAddr::new(ip, port)));
            }
        }
    }
}
