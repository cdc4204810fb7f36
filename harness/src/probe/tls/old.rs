//! A hello of 2008 and what a peer says to it, out of its own bytes: for servers that speak TLS 1.0 or 1.1, or ciphers that
//! no library of today has (RFC 2246, RFC 4346, RFC 5246). PURE. Nothing is encrypted: it ends before keys are needed.

use super::alert::alert;
use super::certificate;
use crate::evidence::probed::{Failure, How, OldPeer};
use rustls::CipherSuite;
use rustls::pki_types::CertificateDer;

/// Most bytes of the peer that are read.
pub(super) const MOST: usize = 64 * 1_024;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_HELLO_DONE: u8 = 14;

/// Suites of then, best first: RSA and ECDHE with AES-CBC, 3DES, RC4; the last says that renegotiation is safe (RFC 5746).
const SUITES: &[u16] = &[
    0xc014, 0xc013, 0xc00a, 0xc009, 0xc028, 0xc027, 0x0039, 0x0033, 0x003d, 0x003c, 0x0035, 0x002f, 0xc012, 0xc008,
    0x0016, 0x000a, 0xc011, 0x0005, 0x0004, 0x00ff,
];

/// A `ClientHello` for TLS 1.0 to 1.2 as one record, with a server name or without.
pub(super) fn client_hello(random: [u8; 32], server_name: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = server_name {
        let entry = [&[0][..], &with_length(name.as_bytes())].concat();
        extensions.extend(extension(0, &with_length(&entry)));
    }
    // groups P-256 to P-521; points uncompressed; signatures RSA and ECDSA with SHA-256, SHA-384, SHA-1
    extensions.extend(extension(10, &[0, 6, 0, 23, 0, 24, 0, 25]));
    extensions.extend(extension(11, &[1, 0]));
    extensions.extend(extension(13, &[0, 12, 4, 1, 5, 1, 2, 1, 4, 3, 5, 3, 2, 3]));
    let suites: Vec<u8> = SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let mut body = vec![3, 3];
    body.extend(random);
    body.push(0);
    body.extend(with_length(&suites));
    body.extend([1, 0]);
    body.extend(with_length(&extensions));
    let mut message = vec![1, 0];
    message.extend(with_length(&body));
    [&[HANDSHAKE, 3, 1][..], &with_length(&message)].concat()
}

/// With its length in two bytes before it. All that is sent is far shorter than 64 KiB.
fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &with_length(content)].concat()
}

/// What has been understood of an answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Version, cipher, alert, certificates; `failure`: it is no TLS.
    pub peer: OldPeer,
    /// Nothing more of it is wanted.
    pub done: bool,
}

/// Reads the answer as far as it has come.
pub(super) fn read(bytes: &[u8]) -> Answer {
    let mut answer = Answer::default();
    let mut handshake = Vec::new();
    let mut rest = bytes;
    while let [kind, major, minor, high, low, after @ ..] = rest {
        if !matches!(*kind, ALERT | HANDSHAKE) || *major != 3 {
            break;
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let whole = after.len() >= length;
        let content = &after[..length.min(after.len())];
        match (*kind, content) {
            (ALERT, [_, number, ..]) => {
                answer.peer.alert = Some(alert(*number));
                answer.peer.version = answer.peer.version.take().or_else(|| Some(version(*major, *minor)));
                answer.done = true;
                break;
            }
            (HANDSHAKE, content) => handshake.extend_from_slice(content),
            _ => {}
        }
        if !whole {
            break;
        }
        rest = &after[length..];
    }
    let no_tls = bytes.first().is_some_and(|first| !matches!(*first, ALERT | HANDSHAKE));
    if no_tls {
        answer.peer.failure = Some(Failure::new(How::Malformed, "not TLS").after(&bytes[..bytes.len().min(512)]));
        answer.done = true;
    }
    messages(&handshake, &mut answer);
    // an alert that comes instead of a hello has the version of whoever refuses, not one that it would speak
    if answer.peer.cipher.is_none() {
        answer.peer.version = None;
    }
    answer
}

fn messages(mut rest: &[u8], answer: &mut Answer) {
    while let [kind, a, b, c, after @ ..] = rest {
        let length = number([*a, *b, *c]);
        let Some(body) = after.get(..length) else { return };
        match *kind {
            SERVER_HELLO => server_hello(body, &mut answer.peer),
            CERTIFICATE => answer.peer.chain = certificate::read_all(&certificates(body)),
            SERVER_HELLO_DONE => answer.done = true,
            _ => {}
        }
        rest = &after[length..];
    }
}

fn number(bytes: [u8; 3]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn server_hello(body: &[u8], peer: &mut OldPeer) {
    let [major, minor, after @ ..] = body else { return };
    // 32 bytes of random, then the session's id with its length
    let Some((length, after)) = after.get(32..).and_then(<[u8]>::split_first) else { return };
    let Some([high, low, ..]) = after.get(usize::from(*length)..) else { return };
    let suite = u16::from_be_bytes([*high, *low]);
    peer.version = Some(version(*major, *minor));
    peer.cipher = Some(CipherSuite::from(suite).as_str().map_or_else(|| format!("0x{suite:04x}"), str::to_owned));
}

fn version(major: u8, minor: u8) -> String {
    match (major, minor) {
        (3, 0) => "SSL 3.0".to_owned(),
        (3, minor @ 1..=4) => format!("TLS 1.{}", minor - 1),
        (major, minor) => format!("version {major}.{minor}"),
    }
}

fn certificates(body: &[u8]) -> Vec<CertificateDer<'static>> {
    let mut found = Vec::new();
    let mut rest = body.get(3..).unwrap_or_default();
    while let [a, b, c, after @ ..] = rest {
        let length = number([*a, *b, *c]);
        let Some(der) = after.get(..length) else { break };
        found.push(CertificateDer::from(der.to_vec()));
        rest = &after[length..];
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `ServerHello`, Certificate and `ServerHelloDone` of a server that speaks TLS 1.0, each message in a record of its own.
    pub(in crate::probe::tls) fn answer_of_1999(der: &[u8]) -> Vec<u8> {
        let mut hello = vec![3, 1];
        hello.extend([9; 32]);
        hello.extend([0, 0x00, 0x2f, 0]);
        let with_3 = |bytes: &[u8]| {
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            [&length[1..], bytes].concat()
        };
        let record = |kind: u8, body: &[u8]| {
            let message = [&[kind][..], &with_3(body)].concat();
            [&[HANDSHAKE, 3, 1][..], &with_length(&message)].concat()
        };
        [record(SERVER_HELLO, &hello), record(CERTIFICATE, &with_3(&with_3(der))), record(SERVER_HELLO_DONE, &[])]
            .concat()
    }

    #[test]
    fn the_hello_is_what_the_rfc_says() {
        let hello = client_hello([7; 32], Some("a.example"));
        // record: handshake, 3.1, length; message: client_hello, length; 3.3, random, no session
        assert_eq!(hello[..3], [0x16, 3, 1]);
        assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
        assert_eq!(number([hello[6], hello[7], hello[8]]), hello.len() - 9);
        assert_eq!((hello[5], &hello[9..11], &hello[11..43], hello[43]), (1, &[3, 3][..], &[7; 32][..], 0));
        let name = b"\x00\x00\x00\x0e\x00\x0c\x00\x00\x09a.example";
        assert!(hello.windows(name.len()).any(|part| part == name));
        assert!(!client_hello([7; 32], None).windows(9).any(|part| part == b"a.example"));
    }

    #[test]
    fn a_modern_server_understands_the_hello() {
        // the library's own parser takes it: a server that has no such cipher says so, and not that it cannot read it
        let signer = super::super::testing::Server::new(super::super::testing::Leaf::new(&["a.example"]).self_signed());
        let mut server = rustls::ServerConnection::new(std::sync::Arc::new(signer.config())).unwrap();
        let hello = client_hello([7; 32], Some("a.example"));
        server.read_tls(&mut hello.as_slice()).unwrap();
        let error = server.process_new_packets().unwrap_err();
        assert!(matches!(error, rustls::Error::PeerIncompatible(_)), "{error:?}");
    }

    #[test]
    fn an_old_server_is_read() {
        let der = super::super::testing::Leaf::new(&["old.example"]).self_signed().0;
        let bytes = answer_of_1999(&der);
        let answer = read(&bytes);
        assert_eq!(answer.peer.version.as_deref(), Some("TLS 1.0"));
        assert_eq!(answer.peer.cipher.as_deref(), Some("TLS_RSA_WITH_AES_128_CBC_SHA"));
        assert_eq!(answer.peer.chain[0].names, ["old.example"]);
        assert!(answer.done && answer.peer.alert.is_none() && answer.peer.failure.is_none());
        let half = read(&bytes[..60]);
        assert!(!half.done && half.peer.version.is_some() && half.peer.chain.is_empty(), "{half:?}");
    }

    #[test]
    fn alerts_and_other_protocols_are_told() {
        let refused = read(b"\x15\x03\x01\x00\x02\x02\x46");
        assert_eq!(refused.peer.alert.unwrap().name, "protocol_version");
        assert!(refused.done && refused.peer.version.is_none());
        let http = read(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        assert!(http.done && http.peer.failure.unwrap().begins.as_str().starts_with("HTTP/1.1 400"));
        assert!(!read(b"").done);
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0..400_usize, to: u8) {
            drop(read(&bytes));
            let mut nearly = answer_of_1999(b"\x30\x03\x02\x01\x01");
            let at = at % nearly.len();
            nearly[at] = to;
            drop(read(&nearly));
            drop(read(&[b"\x16\x03\x01\x01\x90", bytes.as_slice()].concat()));
        }
    }
}
