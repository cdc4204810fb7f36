//! Whatever a peer sends ends at most its own connection, with the right code, and is told in one event.

use super::support::peer::{BOTH, Voice, picture};
use super::support::{Deadline, Got, Peer, Server, chat, hello, keep_alive};
use bytes::Bytes;
use sidetone::audio::FRAME;
use sidetone::clock;
use sidetone::event::{Event, Record, Transport};
use sidetone::protocol::video::CHUNK_DATA;
use sidetone::protocol::{
    AudioPacket, Frame, Hello, Joined, Kind, Left, Message, Participant, Ping, Refusal, RefusalCode, Speaking,
    VideoChunk,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

/// Two well-behaved peers that talk all the time.
struct Bystanders {
    ending: Arc<AtomicBool>,
    /// Packets of sound that one of them got.
    sounds: Arc<AtomicU32>,
    thread: JoinHandle<(u32, u32)>,
}

impl Bystanders {
    fn start(server: &Server) -> Self {
        let (mut alice, _) = Peer::join(server, Transport::Tcp, "alice", "lobby");
        let (mut bob, _) = Peer::join(server, Transport::WebSocket, "bob", "lobby");
        let (ending, sounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (told, heard) = (Arc::clone(&ending), Arc::clone(&sounds));
        let thread = std::thread::spawn(move || {
            let (mut voice, mut said, mut read) = (Voice::new(440.0), 0, 0);
            let mut next = clock::monotonic();
            for tick in 0_u32.. {
                alice.audio(&voice.packet());
                bob.audio(&AudioPacket::keep_alive());
                if tick.is_multiple_of(10) && !told.load(Ordering::Relaxed) {
                    alice.tell(&chat(&format!("line {said}")));
                    said += 1;
                }
                while let Some(got) = alice.waiting() {
                    assert!(matches!(got, Got::Frame(_)), "a bystander was closed: {got:?}");
                }
                while let Some(got) = bob.waiting() {
                    let Got::Frame(frame) = got else { panic!("a bystander was closed: {got:?}") };
                    if frame.kind == Kind::Audio {
                        let sound = AudioPacket::decode(&frame.payload).unwrap().level < 127;
                        heard.fetch_add(u32::from(sound), Ordering::Relaxed);
                    } else if let Some(Message::Chat(chat)) = Message::decode(&frame).unwrap()
                        && chat.from == "alice"
                    {
                        assert_eq!(chat.text, format!("line {read}"));
                        read += 1;
                    }
                }
                if told.load(Ordering::Relaxed) && read == said {
                    break;
                }
                next = (next + FRAME).max(clock::monotonic());
                clock::sleep_until(next);
            }
            (said, read)
        });
        Self { ending, sounds, thread }
    }

    /// Sound goes on.
    fn hear_on(&self) {
        let (before, patience) = (self.sounds.load(Ordering::Relaxed), Deadline::new());
        while self.sounds.load(Ordering::Relaxed) < before + 3 {
            assert!(!self.thread.is_finished(), "a bystander has gone");
            assert!(!patience.passed(), "the bystanders hear nothing any more");
            clock::sleep_until(clock::monotonic() + FRAME / 4);
        }
    }

    /// Every chat line came, in order; sound flows.
    fn end(self) {
        self.hear_on();
        self.ending.store(true, Ordering::Relaxed);
        let patience = Deadline::new();
        while !self.thread.is_finished() && !patience.passed() {
            clock::sleep_until(clock::monotonic() + FRAME);
        }
        assert!(self.thread.is_finished(), "a chat line did not come");
        let (said, read) = self.thread.join().expect("the bystanders stayed connected");
        assert!(said > 0 && said == read, "{read} of {said} lines");
    }
}

/// What an offender does.
type Act = fn(&mut Peer);
/// What is odd about a hello.
type Change = fn(&mut Hello);

struct Case {
    what: &'static str,
    over: &'static [Transport],
    /// Whether the offender is in the room already.
    joined: bool,
    act: Act,
    close_code: u16,
}

const TCP: &[Transport] = &[Transport::Tcp];
const WEBSOCKET: &[Transport] = &[Transport::WebSocket];

const fn case(what: &'static str, over: &'static [Transport], joined: bool, close_code: u16, act: Act) -> Case {
    Case { what, over, joined, act, close_code }
}

fn frame(kind: Kind, payload: &[u8]) -> Frame {
    Frame { kind, stream: 0, sequence: 0, timestamp: 0, payload: Bytes::copy_from_slice(payload) }
}

/// A header that announces `length` bytes, and none of them.
fn announce(kind: Kind, length: u32) -> Bytes {
    let mut bytes = frame(kind, &[]).encode().to_vec();
    bytes[12..16].copy_from_slice(&length.to_be_bytes());
    bytes.into()
}

fn chunk(index: u16, count: u16, data: &[u8]) -> Frame {
    VideoChunk { picture: 1, index, count, data: Bytes::copy_from_slice(data) }.frame(0, 0, 0)
}

fn ping() -> Message {
    Message::Ping(Ping { nonce: 5 })
}

fn ada() -> Participant {
    Participant { stream: 9, name: "ada".to_owned(), muted: false }
}

const CASES: &[Case] = &[
    case("bytes that are no frame", &BOTH, false, 1002, |p| {
        p.send_bytes(Bytes::from_static(&[0x00, 0xFF, 0x13, 0x37]));
    }),
    case("HTTP on the TCP port", TCP, false, 1002, |p| p.send_raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
    case("TLS on the TCP port", TCP, false, 1002, |p| p.send_raw(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3])),
    case("the end inside a header", TCP, false, 1002, |p| {
        p.send_raw(&ping().frame(0, 0).encode()[..7]);
        p.finish();
    }),
    case("the end inside a payload", TCP, true, 1002, |p| {
        p.send_raw(&ping().frame(0, 0).encode()[..20]);
        p.finish();
    }),
    case("a length of 4 GiB before the hello", &BOTH, false, 1009, |p| p.send_bytes(announce(Kind::Hello, u32::MAX))),
    case("an audio frame of 1501 bytes", &BOTH, true, 1009, |p| p.send_bytes(announce(Kind::Audio, 1_501))),
    case("a WebSocket message of 1 MB", WEBSOCKET, true, 1009, |p| p.try_bytes(vec![0xD7; 1 << 20].into())),
    case("a text message", WEBSOCKET, false, 1003, |p| p.send_text("hello")),
    case("a text message in a room", WEBSOCKET, true, 1003, |p| p.send_text("{}")),
    case("an empty message", WEBSOCKET, true, 1002, |p| p.send_bytes(Bytes::new())),
    case("two frames in one message", WEBSOCKET, true, 1002, |p| {
        let one = ping().frame(0, 0).encode();
        p.send_bytes([&one[..], &one[..]].concat().into());
    }),
    case("half a frame in a message", WEBSOCKET, true, 1002, |p| p.send_bytes(ping().frame(0, 0).encode().slice(..20))),
    case("a WebSocket frame without a mask", WEBSOCKET, true, 1002, |p| p.send_raw(&[0x82, 0x01, 0xD7])),
    case("a WebSocket frame of a reserved type", WEBSOCKET, true, 1002, |p| p.send_raw(&[0x83, 0x81, 0, 0, 0, 0, 1])),
    case("sound before the hello", &BOTH, false, 1002, |p| p.send(&keep_alive())),
    case("a ping before the hello", &BOTH, false, 1002, |p| p.tell(&ping())),
    case("a hello that is no JSON", &BOTH, false, 1002, |p| p.send(&frame(Kind::Hello, b"hello"))),
    case("a hello without a name", &BOTH, false, 1002, |p| p.send(&frame(Kind::Hello, b"{\"version_min\":1}"))),
    case("a second hello", &BOTH, true, 1002, |p| p.tell(&Message::Hello(hello("again", "lobby")))),
    case("somebody joined, says a client", &BOTH, true, 1002, |p| {
        p.tell(&Message::Joined(Joined { participant: ada() }));
    }),
    case("somebody left, says a client", &BOTH, true, 1002, |p| {
        p.tell(&Message::Left(Left { stream: 1, name: "alice".to_owned() }));
    }),
    case("a refusal from a client", &BOTH, true, 1002, |p| {
        p.tell(&Message::Refusal(Refusal::new(RefusalCode::ServerFull, "")));
    }),
    case("somebody is heard, says a client", &BOTH, true, 1002, |p| {
        p.tell(&Message::Speaking(Speaking { streams: vec![1] }));
    }),
    case("a goodbye that cannot be answered", &BOTH, true, 1002, |p| {
        p.send(&frame(Kind::Bye, b"{\"code\":1005,\"reason\":\"\"}"));
    }),
    case("sound of level 200", &BOTH, true, 1002, |p| p.send(&frame(Kind::Audio, &[200, 1, 2]))),
    case("sound without a packet", &BOTH, true, 1002, |p| p.send(&frame(Kind::Audio, &[5]))),
    case("chunk 3 of 3", &BOTH, true, 1002, |p| p.send(&chunk(3, 3, b"x"))),
    case("a picture of no chunks", &BOTH, true, 1002, |p| p.send(&chunk(0, 0, b"x"))),
    case("a picture above 64 KiB", &BOTH, true, 1002, |p| {
        (0..9).for_each(|i| p.try_bytes(chunk(i, 9, &vec![7; CHUNK_DATA]).encode()));
    }),
    case("a PNG", &BOTH, true, 1002, |p| p.picture(1, &Bytes::from_static(b"\x89PNG\r\n\x1a\n and so on"))),
    case("markup as a picture", &BOTH, true, 1002, |p| p.picture(1, &Bytes::from_static(b"<svg onload=alert(1)>"))),
    case("a picture of 65500x65500", &BOTH, true, 1002, |p| {
        let mut bomb = picture(1, 1_000).to_vec();
        bomb[7..11].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
        p.picture(1, &bomb.into());
    }),
    case("a JPEG that ends in its header", &BOTH, true, 1002, |p| p.picture(1, &picture(1, 100).slice(..20))),
    case("a chat line of 4097 bytes", &BOTH, true, 1002, |p| p.tell(&chat(&"x".repeat(4_097)))),
    case("a flood of pings", &BOTH, true, 1008, |p| (0..400).for_each(|_| p.try_bytes(ping().frame(0, 0).encode()))),
    case("a flood of frames nobody knows", &BOTH, true, 1008, |p| {
        (0..400).for_each(|_| p.try_bytes(frame(Kind::Unknown(0x7F), &[1]).encode()));
    }),
    case("a flood of sound", &BOTH, true, 1008, |p| {
        (0..3_000).for_each(|_| p.try_bytes(keep_alive().encode()));
    }),
    case("a flood of WebSocket pings", WEBSOCKET, true, 1008, |p| {
        let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(400);
        drop(p.socket().write_all(&pings));
    }),
];

/// The events that blame a peer.
fn blames(records: &[Record], address: SocketAddr) -> Vec<&Event> {
    let blames = |event: &&Event| match event {
        Event::ConnectionMalformed { peer, .. } | Event::SessionRefused { peer, .. } => *peer == address,
        _ => false,
    };
    records.iter().map(|record| &record.event).filter(blames).collect()
}

#[test]
fn a_bad_peer_is_closed_with_the_right_code_and_nobody_else_notices() {
    let server = Server::start();
    let bystanders = Bystanders::start(&server);
    let mut offenders = Vec::new();
    for case in CASES {
        for &transport in case.over {
            let mut offender = Peer::connect(&server, transport);
            if case.joined {
                // the one before may not have left yet
                offender.enter(&format!("mallory {}", offenders.len()), "lobby");
            }
            (case.act)(&mut offender);
            let (code, reason) = offender.closed();
            assert_eq!(code, Some(case.close_code), "{} over {transport}: {reason}", case.what);
            bystanders.hear_on();
            // kept, so that nobody else gets its port
            offenders.push((case, transport, offender));
        }
    }
    bystanders.end();
    let records = server.stop();
    for (case, transport, offender) in offenders {
        let blames = blames(&records, offender.address);
        let [Event::ConnectionMalformed { close_code, .. }] = blames[..] else {
            panic!("{} over {transport}: one connection.malformed, not {blames:?}", case.what);
        };
        assert_eq!(*close_code, case.close_code, "{} over {transport}", case.what);
    }
}

#[test]
fn what_is_unusual_but_allowed_keeps_the_connection() {
    let allowed: [(&str, Act); 6] = [
        ("a kind of a later version", |p| p.send(&frame(Kind::Unknown(0x7F), b"{}"))),
        ("an unknown field", |p| p.send(&frame(Kind::Mute, b"{\"muted\":true,\"later\":1}"))),
        ("a chat line of 4096 bytes", |p| p.tell(&chat(&"x".repeat(4_096)))),
        ("a chunk out of order", |p| p.send(&chunk(2, 3, b"x"))),
        ("a packet that is no Opus", |p| p.send(&frame(Kind::Audio, &[3, 0xFF, 0xFF, 0xFF]))),
        ("a pong that nobody asked for", |p| p.tell(&Message::Pong(Ping { nonce: 1 }))),
    ];
    let server = Server::start();
    for transport in BOTH {
        let (mut peer, _) = Peer::join(&server, transport, &format!("over {transport}"), "lobby");
        for (what, act) in allowed {
            act(&mut peer);
            peer.tell(&ping());
            peer.until_message(what, |message| (message == Message::Pong(Ping { nonce: 5 })).then_some(()));
        }
    }
    let records = server.stop();
    assert!(!records.iter().any(|r| r.event.name() == "connection.malformed"));
}

#[test]
fn a_hello_is_refused_with_the_reason() {
    let refused: [(RefusalCode, Change); 10] = [
        (RefusalCode::VersionUnsupported, |h| (h.version_min, h.version_max) = (2, 9)),
        (RefusalCode::VersionUnsupported, |h| (h.version_min, h.version_max) = (0, 0)),
        (RefusalCode::NameInvalid, |h| h.name.clear()),
        (RefusalCode::NameInvalid, |h| h.name = "x".repeat(33)),
        (RefusalCode::NameInvalid, |h| h.name = "\u{1b}[2Jada".to_owned()),
        (RefusalCode::NameInvalid, |h| h.name = "a\u{202e}da".to_owned()),
        (RefusalCode::NameTaken, |h| h.name = "alice".to_owned()),
        (RefusalCode::RoomInvalid, |h| h.room = "a\nb".to_owned()),
        (RefusalCode::AudioUnsupported, |h| h.audio.clock_rate = 44_100),
        (RefusalCode::AudioUnsupported, |h| h.audio.frame_ms = 7),
    ];
    let server = Server::start();
    let bystanders = Bystanders::start(&server);
    let mut peers = Vec::new();
    for (expected, change) in refused {
        for transport in BOTH {
            let mut peer = Peer::connect(&server, transport);
            let mut hello = hello("ada", "lobby");
            change(&mut hello);
            peer.tell(&Message::Hello(hello));
            let refusal = peer.until("a refusal", |frame| match Message::decode(frame).unwrap() {
                Some(Message::Refusal(refusal)) => Some(refusal),
                other => panic!("instead of a refusal: {other:?}"),
            });
            assert_eq!(refusal.code, expected, "over {transport}: {}", refusal.message);
            assert_eq!(peer.closed().0, Some(1008), "{expected:?} over {transport}");
            bystanders.hear_on();
            peers.push((expected, peer));
        }
    }
    bystanders.end();
    let records = server.stop();
    for (expected, peer) in peers {
        let blames = blames(&records, peer.address);
        let [Event::SessionRefused { code, .. }] = blames[..] else {
            panic!("{expected:?}: one session.refused, not {blames:?}");
        };
        assert_eq!(serde_json::to_value(expected).unwrap(), **code);
    }
}

#[test]
fn a_full_server_says_try_again_later() {
    let server = Server::with(&["--max-clients", "1"]);
    let (ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    for transport in BOTH {
        let mut second = Peer::connect(&server, transport);
        second.tell(&Message::Hello(hello("bob", "another")));
        let code = second.until_message("a refusal", |message| match message {
            Message::Refusal(refusal) => Some(refusal.code),
            _ => None,
        });
        assert_eq!((code, second.closed().0), (RefusalCode::ServerFull, Some(1013)));
    }
    let mut server = server;
    drop(ada);
    server.program.named("session.left");
    Peer::join(&server, Transport::Tcp, "bob", "lobby");
}

/// What came back until the end of the stream.
fn rest(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(super::support::PATIENCE)).unwrap();
    let mut text = Vec::new();
    drop(stream.read_to_end(&mut text)); // a reset after the answer is an end, too
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn what_is_no_http_gets_400_and_is_told() {
    let mut server = Server::start();
    let bystanders = Bystanders::start(&server);
    let heads = [
        &b"\xd7\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
        b"GET\r\n\r\n",
        b"GET /ws HTTP/9.9\r\n\r\n",
    ];
    for head in heads {
        let mut stream = TcpStream::connect(server.websocket()).unwrap();
        stream.write_all(head).unwrap();
        let address = stream.local_addr().unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = rest(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        server.program.event("connection.malformed", |event| match event {
            Event::ConnectionMalformed { peer, .. } if *peer == address => Some(()),
            _ => None,
        });
        bystanders.hear_on();
    }
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let mut stream = TcpStream::connect(server.websocket()).unwrap();
    drop(stream.write_all(long.as_bytes()));
    let answer = rest(stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    bystanders.end();
    server.stop();
}

/// Takes ten seconds: both patiences run at the same time.
#[test]
fn who_says_nothing_is_sent_away() {
    let mut server = Server::start();
    let mut silent = BOTH.map(|transport| Peer::connect(&server, transport));
    let mut slow = TcpStream::connect(server.websocket()).unwrap();
    slow.write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\n").unwrap();
    let idle = TcpStream::connect(server.websocket()).unwrap();
    let (address, quiet) = (slow.local_addr().unwrap(), idle.local_addr().unwrap());
    for peer in &mut silent {
        let (code, reason) = peer.closed();
        assert_eq!((code, reason.as_str()), (Some(1008), "no hello within 5 s"));
    }
    assert_eq!((rest(slow), rest(idle)), (String::new(), String::new()));
    let blamed = server.program.event("the half head", |event| match event {
        Event::ConnectionMalformed { peer, .. } => Some(*peer),
        _ => None,
    });
    assert_eq!(blamed, address);
    let records = server.stop();
    assert_eq!(blames(&records, address).len(), 1);
    assert_eq!(blames(&records, quiet).len(), 0, "a connection without a byte breaks no rule");
}
