//! Protocols by the first bytes of a server. Pure.

use sidetone::protocol::frame::{HEADER_LENGTH, Header};

/// What greets like that before anybody has said anything; `None`: not known.
pub fn greets(bytes: &[u8]) -> Option<&'static str> {
    let begins = |text: &str| bytes.starts_with(text.as_bytes());
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let says = |word: &str| line.to_ascii_uppercase().windows(word.len()).any(|part| part == word.as_bytes());
    Some(match bytes {
        _ if begins("SSH-") => "SSH",
        _ if begins("RFB ") => "VNC",
        _ if begins("INFO {") => "NATS",
        _ if begins("+OK") => "POP3",
        _ if begins("* OK") || begins("* PREAUTH") || begins("* BYE") => "IMAP",
        _ if begins("@RSYNCD:") => "rsync",
        _ if begins("OK MPD ") => "MPD",
        _ if begins("AMQP") => "AMQP",
        _ if begins("<?xml") || begins("<stream:stream") => "XMPP",
        _ if begins("-ERR") || begins("-DENIED") || begins("-MISCONF") => "Redis",
        _ if begins("HTTP/") => "HTTP",
        _ if begins(":") && says("NOTICE") || begins("NOTICE ") || begins("ERROR :") => "IRC",
        _ if (begins("220") || begins("421") || begins("554")) && says("FTP") => "FTP",
        _ if begins("220") && (says("SMTP") || says("MAIL")) || begins("554 ") || begins("421 ") => "SMTP",
        _ if begins("220 ") || begins("220-") => "FTP or SMTP",
        _ if (begins("200 ") || begins("201 ")) && (says("NNTP") || says("NEWS") || says("INN")) => "NNTP",
        [0xff, 0xfb..=0xfe, ..] => "Telnet",
        // length (3 bytes, little endian), sequence 0, then protocol 10 or an error packet
        [low, middle, high, 0, 10 | 0xff, ..]
            if (5..=1_024).contains(&u32::from_le_bytes([*low, *middle, *high, 0])) =>
        {
            "MySQL"
        }
        _ => return None,
    })
}

/// What answers an HTTP request like that without being HTTP/1; `None`: not known.
pub fn answers(bytes: &[u8]) -> Option<&'static str> {
    let begins = |text: &str| bytes.starts_with(text.as_bytes());
    Some(match bytes {
        _ if begins("RTSP/") => "RTSP",
        _ if begins("SIP/") => "SIP",
        _ if begins("ERROR\r\n") => "memcached",
        // a SETTINGS frame on stream 0 (RFC 9113, section 6.5)
        [0, _, _, 4, 0, 0, 0, 0, 0, ..] => "HTTP/2",
        _ => return greets(bytes),
    })
}

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
    fn servers_that_greet_are_known_by_their_words() {
        for (bytes, protocol) in [
            (&b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], "SSH"),
            (b"220 mx.example.org ESMTP Postfix\r\n", "SMTP"),
            (b"220-Welcome\r\n", "FTP or SMTP"),
            (b"220 (vsFTPd 3.0.3)\r\n", "FTP"),
            (b"* OK [CAPABILITY IMAP4rev1] ready\r\n", "IMAP"),
            (b"+OK POP3 ready\r\n", "POP3"),
            (b"J\0\0\0\n8.0.36\0", "MySQL"),
            (b"\x45\0\0\0\xff\x6a\x04Host", "MySQL"),
            (b"RFB 003.008\n", "VNC"),
            (b":irc.example.org NOTICE * :*** Looking up your hostname\r\n", "IRC"),
            (b"INFO {\"server_id\":\"N\"}\r\n", "NATS"),
            (b"-DENIED Redis is running in protected mode\r\n", "Redis"),
            (b"<?xml version='1.0'?><stream:stream>", "XMPP"),
            (b"AMQP\x00\x00\x09\x01", "AMQP"),
            (b"\xff\xfd\x18", "Telnet"),
            (b"200 news.example.org InterNetNews NNRP server INN\r\n", "NNTP"),
        ] {
            assert_eq!(greets(bytes), Some(protocol), "{}", bytes.escape_ascii());
        }
        assert_eq!((greets(b"hello\r\n"), greets(b""), greets(b"\0\0\0\0\n")), (None, None, None));
    }

    #[test]
    fn answers_are_known_by_their_first_bytes() {
        assert_eq!(http(b"HTTP/1.1 404 Not Found\r\n"), Some(404));
        assert_eq!((http(b"HTTP/1.1 4"), http(b"http/1.1 200"), http(b"HTTP/")), (None, None, None));
        assert!(tls(b"\x15\x03\x01\0\x02\x02\x46") && tls(b"\x16\x03\x03\0") && !tls(b"\x15\x03") && !tls(b"HTTP/1.1"));
        assert_eq!(answers(b"\0\0\x12\x04\0\0\0\0\0\0\x03"), Some("HTTP/2"));
        assert_eq!(answers(b"-ERR unknown command 'GET'\r\n"), Some("Redis"));
        assert!(!sidetone(b"HTTP/1.1 400 Bad") && !sidetone(b""));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let known = [http(&bytes).is_some(), tls(&bytes), sidetone(&bytes)];
            prop_assert!(known.iter().filter(|k| **k).count() <= 1, "one protocol at most");
            prop_assert!(greets(&bytes).is_none() || answers(&bytes).is_some());
        }
    }
}
