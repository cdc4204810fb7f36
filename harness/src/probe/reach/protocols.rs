//! Protocols by the first bytes of a server: what greets or complains like that, and for those that wait to be asked, the
//! smallest harmless question. One row a protocol. PURE.

/// A protocol that is not asked for by a scheme of the probe's own.
#[derive(Debug)]
pub struct Protocol {
    /// As people write it.
    pub name: &'static str,
    /// Where it usually is.
    pub ports: &'static [u16],
    /// How the names of its servers' programs begin.
    pub programs: &'static [&'static str],
    /// Whether bytes that nobody asked for, or that answer words of another protocol, are of it.
    pub begins: fn(&[u8]) -> bool,
    /// `None`: it greets, so that nobody has to ask.
    pub question: Option<Question>,
}

/// How one asks for a protocol.
#[derive(Debug)]
pub struct Question {
    /// What is said.
    pub say: &'static [u8],
    /// Whether that is what answers it.
    pub answers: fn(&[u8]) -> bool,
    /// What ends the conversation in order.
    pub goodbye: &'static [u8],
    /// How likely it is where neither port nor program tells, by [`Mood`], in its order. 0: it is not asked then.
    pub weight: [u32; 5],
}

/// What a server did with the questions so far, none of which it answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It reset each connection.
    Resets,
    /// It ended each with a FIN.
    Closes,
    /// It reset the one with words of HTTP, and waits on others.
    ResetsHttp,
    /// It closed the one with words of HTTP, and waits on others.
    ClosesHttp,
    /// It waits.
    #[default]
    Waits,
}

/// So many questions are asked besides Sidetone's, HTTP and TLS, not more: servers log each of them.
pub const MOST: usize = 2;
/// What a port adds to a weight; a program adds twice that.
const BY_PORT: u32 = 100;
/// The row that stands for whatever is behind such a header.
pub const PROXY_PROTOCOL: &str = "PROXY protocol";
/// Ports on which TLS is usual from the first byte.
const TLS_PORTS: &[u16] = &[443, 465, 563, 636, 853, 989, 990, 993, 995, 5061, 5223, 5671, 6697, 8443, 8883, 64_738];

/// A binding request (RFC 8489); the transaction is nobody's.
const STUN: &[u8] = b"\0\x01\0\0\x21\x12\xa4\x42sidetone hi!";
const SIP: &[u8] = b"OPTIONS sip:probe@localhost SIP/2.0\r\nVia: SIP/2.0/TCP localhost;branch=z9hG4bKsidetone;rport\r\nMax-Forwards: 0\r\n\
    From: <sip:probe@localhost>;tag=sidetone\r\nTo: <sip:probe@localhost>\r\nCall-ID: sidetone@localhost\r\nCSeq: 1 OPTIONS\r\n\
    Content-Length: 0\r\n\r\n";
const XMPP: &[u8] = b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams'>";
/// Some close who asks for a WebSocket at a path without one, and answer this.
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// `UNKNOWN`: the receiver takes the addresses of the connection itself; then a request that most servers answer.
const PROXY: &[u8] = b"PROXY UNKNOWN\r\nGET / HTTP/1.0\r\n\r\n";

const fn ask(say: &'static [u8], answers: fn(&[u8]) -> bool, goodbye: &'static [u8], weight: [u32; 5]) -> Question {
    Question { say, answers, goodbye, weight }
}

macro_rules! row {
    ($name:expr, $ports:expr, $programs:expr, $begins:expr) => {
        Protocol { name: $name, ports: &$ports, programs: &$programs, begins: $begins, question: None }
    };
    ($name:expr, $ports:expr, $programs:expr, $begins:expr, $question:expr) => {
        Protocol { name: $name, ports: &$ports, programs: &$programs, begins: $begins, question: Some($question) }
    };
}

/// Every protocol; where several fit, the first.
pub const PROTOCOLS: &[Protocol] = &[
    row!("SSH", [22, 2222], ["sshd", "dropbear"], |b| text(b, &["SSH-"])),
    row!("VNC", [5900, 5901], ["Xvnc", "x11vnc"], |b| text(b, &["RFB "])),
    row!("NATS", [4222], ["nats-server"], |b| text(b, &["INFO {"])),
    row!("POP3", [110, 995], ["dovecot"], |b| text(b, &["+OK"])),
    row!("IMAP", [143, 993], ["dovecot"], |b| text(b, &["* OK", "* PREAUTH", "* BYE"])),
    row!("rsync", [873], ["rsync"], |b| text(b, &["@RSYNCD:"])),
    row!("MPD", [6600], ["mpd"], |b| text(b, &["OK MPD "])),
    row!("HTTP", [], [], |b| text(b, &["HTTP/"])),
    row!("FTP", [21], ["vsftpd", "proftpd"], |b| text(b, &["220", "421", "554"]) && says(b, &["FTP"])),
    row!("SMTP", [25, 465, 587], ["master", "exim"], smtp),
    row!("FTP or SMTP", [], [], |b| text(b, &["220 ", "220-"])),
    row!("NNTP", [119, 563], ["innd"], |b| text(b, &["200 ", "201 "]) && says(b, &["NNTP", "NEWS", "INN"])),
    row!("Telnet", [23], ["telnetd"], |b| matches!(b, [0xff, 0xfb..=0xfe, ..])),
    row!("MySQL", [3306], ["mysqld", "mariadbd"], mysql),
    row!(
        "IRC",
        [6667, 6697],
        ["ngircd", "inspircd", "ircd"],
        irc,
        ask(b"PING :sidetone\r\n", irc, b"QUIT\r\n", [0, 0, 0, 5, 10])
    ),
    row!(
        "Redis",
        [6379],
        ["redis-server", "valkey-server"],
        redis,
        ask(b"PING\r\n", pong, b"QUIT\r\n", [5, 10, 5, 10, 40])
    ),
    row!("memcached", [11_211], ["memcached"], |b| text(b, &["ERROR\r\n"]), MEMCACHED),
    row!("RTSP", [554, 8554], ["mediamtx"], |b| text(b, &["RTSP/"]), RTSP),
    row!("SIP", [5060, 5061], ["asterisk", "kamailio", "opensips", "freeswitch"], |b| text(b, &["SIP/2.0 "]), SIP_ROW),
    row!(
        "XMPP",
        [5222, 5223, 5269],
        ["prosody", "lua", "ejabberd", "beam"],
        xmpp,
        ask(XMPP, xmpp, b"</stream:stream>", [5, 5, 5, 15, 15])
    ),
    row!("AMQP", [5671, 5672], ["rabbitmq", "beam", "qpidd"], |b| text(b, &["AMQP"]), AMQP),
    row!(
        "MQTT",
        [1883, 8883],
        ["mosquitto", "vernemq", "emqx"],
        |_| false,
        ask(MQTT, connack, b"", [35, 38, 30, 20, 30])
    ),
    row!("PostgreSQL", [5432], ["postgres", "pgbouncer"], postgres_error, POSTGRES),
    row!("STUN", [3478, 5349], ["turnserver", "coturn"], stun, ask(STUN, stun, b"", [15, 5, 40, 10, 20])),
    row!("HTTP/2", [50_051], [], settings, ask(HTTP_2, settings, GOAWAY, [10, 20, 10, 10, 10])),
    row!("Snapcast", [1704], ["snapserver"], snapcast, ask(SNAPCAST_TIME, snapcast, b"", [0, 8, 0, 0, 0])),
    row!("a plain GET", [1780], ["snapserver"], |_| false, ask(GET, |b| text(b, &["HTTP/"]), b"", [0, 15, 10, 10, 0])),
    row!("JSON-RPC", [1705], ["snapserver"], |b| says(b, &["\"JSONRPC\""]), ask(JSON_RPC, json, b"", [0, 0, 0, 0, 0])),
    row!(
        "Mumble",
        [64_738],
        ["murmurd", "mumble-server"],
        mumble,
        ask(b"\0\0\0\0\0\x04\x08\x80\x8c\x04", mumble, b"", [0, 0, 0, 0, 0])
    ),
    row!(PROXY_PROTOCOL, [], [], |_| false, ask(PROXY, |b| !b.is_empty(), b"", [40, 40, 0, 0, 0])),
];

/// A version that nobody has: the broker refuses it and makes no session (MQTT 3.1.1, section 3.1.2.2).
const MQTT: &[u8] = b"\x10\x0c\0\x04MQTT\x63\x02\0\x3c\0\0";
const MEMCACHED: Question = ask(b"version\r\n", |b| text(b, &["VERSION "]), b"quit\r\n", [0, 5, 0, 5, 5]);
const RTSP: Question = ask(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", |b| text(b, &["RTSP/"]), b"", [5, 5, 5, 5, 5]);
const SIP_ROW: Question = ask(SIP, |b| text(b, &["SIP/2.0 "]), b"", [0, 0, 0, 40, 5]);
const AMQP: Question = ask(b"AMQP\0\0\x09\x01", amqp_start, b"", [12, 12, 5, 5, 8]);
const POSTGRES: Question =
    ask(b"\0\0\0\x08\x04\xd2\x16\x2f", |b| matches!(b, b"S" | b"N") || postgres_error(b), b"", [10, 35, 0, 0, 0]);
/// The preface and an empty SETTINGS frame (RFC 9113, section 3.4).
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
const JSON_RPC: &[u8] = b"{\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"Server.GetRPCVersion\"}\r\n";

/// A time message, which is answered before any hello: type, id, reference, two times, size 8, and a third time.
const SNAPCAST_TIME: &[u8] = b"\x04\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0";

fn text(bytes: &[u8], starts: &[&str]) -> bool {
    starts.iter().any(|start| bytes.starts_with(start.as_bytes()))
}

/// Whether the first line has one of these words, in upper case.
fn says(bytes: &[u8], words: &[&str]) -> bool {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default().to_ascii_uppercase();
    words.iter().any(|word| line.windows(word.len()).any(|part| part == word.as_bytes()))
}

fn smtp(bytes: &[u8]) -> bool {
    text(bytes, &["220"]) && says(bytes, &["SMTP", "MAIL"]) || text(bytes, &["554 ", "421 "])
}

/// A message with a prefix and a word or number of RFC 1459, or one without a prefix.
fn irc(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let prefixed = bytes.starts_with(b":") && words.next().is_some_and(|source| source.len() > 1);
    let word = words.next().unwrap_or_default();
    let numeric = word.len() == 3 && word.iter().all(u8::is_ascii_digit);
    prefixed && (numeric || matches!(word, b"NOTICE" | b"PONG" | b"ERROR" | b"PING"))
        || text(bytes, &["NOTICE ", "ERROR :", "PONG "])
}

fn redis(bytes: &[u8]) -> bool {
    text(bytes, &["-ERR", "-DENIED", "-MISCONF", "-NOAUTH", "-LOADING", "+PONG"])
}

fn pong(bytes: &[u8]) -> bool {
    redis(bytes)
}

/// Length (3 bytes, little endian), sequence 0, then protocol 10 or an error packet.
fn mysql(bytes: &[u8]) -> bool {
    let [low, middle, high, 0, 10 | 0xff, ..] = bytes else { return false };
    (5..=1_024).contains(&u32::from_le_bytes([*low, *middle, *high, 0]))
}

fn xmpp(bytes: &[u8]) -> bool {
    text(bytes, &["<?xml", "<stream:stream"])
}

/// MQTT 3.1.1 and 5: CONNACK, whatever its return code.
fn connack(bytes: &[u8]) -> bool {
    matches!(bytes, [0x20, 2..=127, 0 | 1, _, ..])
}

/// `Connection.Start` on channel 0, or the version that the broker speaks.
fn amqp_start(bytes: &[u8]) -> bool {
    matches!(bytes, [1, 0, 0, _, _, _, _, 0, 10, 0, 10, ..]) || text(bytes, &["AMQP"])
}

/// An `ErrorResponse`: its type, its length, then a severity.
fn postgres_error(bytes: &[u8]) -> bool {
    matches!(bytes, [b'E', 0, 0, _, _, b'S', ..])
}

/// A message of STUN (RFC 8489, section 5) that answers a binding request.
fn stun(bytes: &[u8]) -> bool {
    matches!(bytes, [1, 1 | 0x11, _, _, 0x21, 0x12, 0xa4, 0x42, ..])
}

/// A SETTINGS frame on stream 0 (RFC 9113, section 6.5): a multiple of 6 bytes, no flag.
fn settings(bytes: &[u8]) -> bool {
    let [0, high, low, 4, 0, 0, 0, 0, 0, ..] = bytes else { return false };
    u16::from_be_bytes([*high, *low]).is_multiple_of(6)
}

/// A time message with the question's id as its reference.
fn snapcast(bytes: &[u8]) -> bool {
    matches!(bytes, [4, 0, _, _, 1, 0, ..])
}

fn json(bytes: &[u8]) -> bool {
    text(bytes, &["{\""])
}

/// A version message: type 0, a short length, fields of protobuf.
fn mumble(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, 0, 0, 0, 2..=250, 0x08 | 0x12, ..])
}

/// What greets or complains like that; `None`: not known.
pub fn begins(bytes: &[u8]) -> Option<&'static str> {
    PROTOCOLS.iter().find(|protocol| (protocol.begins)(bytes)).map(|protocol| protocol.name)
}

/// What is known before questions are chosen.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The port of the target.
    pub port: u16,
    /// Names of the programs that own the socket, where that is this machine.
    pub programs: Vec<String>,
    /// What it did with the questions so far.
    pub mood: Mood,
}

/// A row that has a question.
pub type Asking = (&'static Protocol, &'static Question);

impl Hints {
    fn is_named(&self, programs: &[&str]) -> bool {
        self.programs.iter().any(|name| programs.iter().any(|program| name.starts_with(program)))
    }

    /// Whether port or program say that TLS comes first there.
    pub fn says_tls(&self) -> bool {
        TLS_PORTS.contains(&self.port) || self.is_named(&["murmurd", "mumble-server"])
    }

    /// Whether port or program say that it is Sidetone's framed protocol.
    pub fn says_sidetone(&self) -> bool {
        self.port == sidetone::net::dial::target::TCP_PORT || self.is_named(&["sidetone"])
    }

    fn score(&self, protocol: &Protocol, question: &Question) -> u32 {
        let base = question.weight[self.mood as usize];
        let by_port = if protocol.ports.contains(&self.port) { BY_PORT } else { 0 };
        base + by_port + if self.is_named(protocol.programs) { 2 * BY_PORT } else { 0 }
    }

    fn ranked(&self) -> Vec<(u32, Asking)> {
        let asked = PROTOCOLS.iter().filter_map(|protocol| Some((protocol, protocol.question.as_ref()?)));
        // a header of PROXY in front of something else is an attack to those who do not want one
        let ends = matches!(self.mood, Mood::Resets | Mood::Closes);
        let fits = asked.filter(|(protocol, _)| ends || protocol.name != PROXY_PROTOCOL);
        let mut rows: Vec<_> =
            fits.map(|(protocol, question)| (self.score(protocol, question), (protocol, question))).collect();
        rows.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        rows
    }

    /// The protocol that port or program name, to be asked before all others: words of a foreign protocol are logged as attacks, and
    /// there are servers that end by them.
    pub fn named(&self) -> Option<Asking> {
        self.ranked().into_iter().find(|(score, _)| *score >= BY_PORT).map(|(_, row)| row)
    }

    /// The further questions that are worth their connections, best first, without what was asked: so many, or with `all`
    /// (`--deep`) every one.
    pub fn next(&self, asked: &[&str], most: usize, all: bool) -> Vec<Asking> {
        let rows =
            self.ranked().into_iter().filter(|(score, (row, _))| (all || *score > 0) && !asked.contains(&row.name));
        rows.take(if all { PROTOCOLS.len() } else { most }).map(|(_, row)| row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn servers_that_greet_or_complain_are_known_by_their_words() {
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
            (b":irc.example.org 451 GET :Connection not registered\r\n", "IRC"),
            (b"INFO {\"server_id\":\"N\"}\r\n", "NATS"),
            (b"-DENIED Redis is running in protected mode\r\n", "Redis"),
            (b"-ERR unknown command 'GET'\r\n", "Redis"),
            (b"<?xml version='1.0'?><stream:stream>", "XMPP"),
            (b"AMQP\x00\x00\x09\x01", "AMQP"),
            (b"\xff\xfd\x18", "Telnet"),
            (b"200 news.example.org InterNetNews NNRP server INN\r\n", "NNTP"),
            (b"\0\0\x12\x04\0\0\0\0\0\0\x03", "HTTP/2"),
            (b"\0\0\0\0\0\x20\x08\x83\x8c\x04", "Mumble"),
            (b"ERROR\r\n", "memcached"),
        ] {
            assert_eq!(begins(bytes), Some(protocol), "{}", bytes.escape_ascii());
        }
        for bytes in [&b"hello\r\n"[..], b"", b"\0\0\0\0\n", b": x y\r\n", b"::: 12\r\n"] {
            assert_eq!(begins(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn answers_to_questions_are_known_and_names_are_unique() {
        let answers = |name: &str, bytes: &[u8]| {
            let row = PROTOCOLS.iter().find(|protocol| protocol.name == name).unwrap();
            (row.question.as_ref().unwrap().answers)(bytes)
        };
        for (name, bytes) in [
            ("MQTT", &b"\x20\x02\0\0"[..]),
            ("MQTT", b"\x20\x03\0\x84\0"),
            ("Snapcast", b"\x04\0\x01\0\x01\0\x73\x07"),
            ("PostgreSQL", b"N"),
            ("PostgreSQL", b"S"),
            ("Redis", b"-NOAUTH Authentication required.\r\n"),
            ("AMQP", b"\x01\0\0\0\0\x01\xfa\0\x0a\0\x0a\0\x09"),
            ("STUN", b"\x01\x01\0\x0c\x21\x12\xa4\x42sidetone hi!"),
            ("SIP", b"SIP/2.0 483 Too Many Hops\r\n"),
            ("memcached", b"VERSION 1.6.18\r\n"),
        ] {
            assert!(answers(name, bytes), "{name}");
            assert!(!answers(name, b"HTTP/1.1 400 Bad Request\r\n") && !answers(name, b""), "{name}");
        }
        let mut names: Vec<_> = PROTOCOLS.iter().map(|protocol| protocol.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PROTOCOLS.len());
    }

    #[test]
    fn the_program_and_the_port_choose_the_questions_and_then_what_the_server_did() {
        let names = |hints: &Hints, all| hints.next(&[], MOST, all).iter().map(|(p, _)| p.name).collect::<Vec<_>>();
        let waits = Hints { port: 40_000, ..Hints::default() };
        let resets = Hints { mood: Mood::Resets, ..waits.clone() };
        let closes = Hints { mood: Mood::Closes, ..resets.clone() };
        assert_eq!(names(&resets, false), [PROXY_PROTOCOL, "MQTT"]);
        assert_eq!(names(&closes, false), [PROXY_PROTOCOL, "MQTT"]);
        assert_eq!(names(&Hints { mood: Mood::ResetsHttp, ..resets }, false), ["STUN", "MQTT"]);
        assert_eq!(names(&Hints { mood: Mood::ClosesHttp, ..closes.clone() }, false)[0], "SIP");
        assert_eq!(names(&waits, false), ["Redis", "MQTT"]);
        assert!(waits.named().is_none() && closes.named().is_none());
        let by_port = Hints { port: 5432, ..waits.clone() };
        assert_eq!(by_port.named().unwrap().0.name, "PostgreSQL");
        let by_program = Hints { programs: vec!["turnserver".to_owned()], ..by_port };
        assert_eq!(by_program.named().unwrap().0.name, "STUN");
        assert_eq!(by_program.next(&["STUN"], 1, false)[0].0.name, "PostgreSQL");
        assert!(names(&closes, true).len() > 10 && !names(&waits, true).contains(&PROXY_PROTOCOL));
    }

    #[test]
    fn what_tells_tls_and_sidetone_before_a_word_is_said() {
        let by = |port, program: &str| Hints { port, programs: vec![program.to_owned()], ..Hints::default() };
        assert!(by(443, "x").says_tls() && by(9, "murmurd").says_tls() && !by(9, "x").says_tls());
        assert!(by(7460, "x").says_sidetone() && by(9, "sidetone").says_sidetone() && !by(9, "x").says_sidetone());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for protocol in PROTOCOLS {
                let asked = protocol.question.as_ref().is_some_and(|question| (question.answers)(&bytes));
                prop_assert!(!asked || !bytes.is_empty(), "{}", protocol.name);
            }
            prop_assert!(begins(&bytes).is_none() || !bytes.is_empty());
        }
    }
}
