//! Names, lines and pictures of somebody who means no good: what comes out at the others' end is printable, or nothing.

use super::support::peer::BOTH;
use super::support::{Peer, Server, chat, fixture, hello};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use sidetone::event::{Event, Transport};
use sidetone::protocol::{Bye, Kind, Message, Refusal, RefusalCode};

#[derive(Deserialize)]
struct Case {
    what: String,
    text: String,
    #[serde(default)]
    repeat: String,
    #[serde(default)]
    times: usize,
    name: String,
    /// Missing: unchanged; null: too long.
    #[serde(default = "unchanged")]
    chat: Value,
}

fn unchanged() -> Value {
    Value::Bool(true)
}

impl Case {
    fn text(&self) -> String {
        format!("{}{}", self.text, self.repeat.repeat(self.times))
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(&std::fs::read_to_string(fixture("web/hostile-names.json")).unwrap()).unwrap()
}

/// Every text of a message, whatever its place.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => vec![],
    }
}

/// Written anew, not with the code that is tested.
fn assert_printable(text: &str, what: &str) {
    let bad = |c: char| {
        let overrides = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{feff}'];
        c.is_control()
            || overrides.contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c)
            || ('\u{e000}'..='\u{f8ff}').contains(&c)
            || c >= '\u{e0000}'
    };
    assert!(!text.chars().any(bad), "{what}: {text:?}");
    let marks: Vec<char> = "\u{301}\u{302}\u{303}\u{304}\u{305}\u{20dd}\u{489}".chars().collect();
    let longest = text.split(|c| !marks.contains(&c)).map(|run| run.chars().count()).max();
    assert!(longest <= Some(4), "{what}: {longest:?} marks in a row");
}

/// Reads until a message that `wanted` takes; all that comes before it is printable, too.
fn watch<T>(peer: &mut Peer, what: &str, wanted: impl Fn(&Message) -> Option<T>) -> T {
    peer.until(what, |frame| {
        if !matches!(frame.kind, Kind::Audio | Kind::Video) {
            let message: Value = serde_json::from_slice(&frame.payload).unwrap();
            for text in texts(&message) {
                assert_printable(text, what);
            }
        }
        Message::decode(frame).unwrap().as_ref().and_then(&wanted)
    })
}

#[test]
fn hostile_names_are_refused_and_odd_ones_stay_as_they_are() {
    let server = Server::start();
    for (transport, watching) in BOTH.into_iter().zip([Transport::WebSocket, Transport::Tcp]) {
        let room = format!("room over {transport}");
        let (mut watcher, _) = Peer::join(&server, watching, "watcher", &room);
        for case in cases() {
            let (what, name) = (format!("{} over {transport}", case.what), case.text());
            let mut peer = Peer::connect(&server, transport);
            peer.tell(&Message::Hello(hello(&name, &room)));
            if case.name == "taken" {
                watch(&mut peer, &what, |m| matches!(m, Message::Welcome(_)).then_some(()));
                let seen = watch(&mut watcher, &what, |m| match m {
                    Message::Joined(joined) => Some(joined.participant.name.clone()),
                    _ => None,
                });
                assert_eq!(seen, name, "{what}");
                peer.tell(&Message::Bye(Bye { code: 1000, reason: "\u{1b}[2J\u{202e}".to_owned() }));
                watch(&mut watcher, &what, |m| matches!(m, Message::Left(left) if left.name == name).then_some(()));
            } else {
                assert_eq!(case.name, "refused");
                let code = watch(&mut peer, &what, |m| match m {
                    Message::Refusal(refusal) => Some(refusal.code),
                    Message::Welcome(_) => panic!("{what} is welcome"),
                    _ => None,
                });
                let (close_code, reason) = peer.closed();
                assert_eq!((code, close_code), (RefusalCode::NameInvalid, Some(1008)), "{what}");
                assert_printable(&reason, &what);
            }
        }
    }
    for record in server.stop() {
        assert_printable(&record.message, record.event.name());
    }
}

#[test]
fn hostile_rooms_and_codecs_are_not_repeated() {
    let server = Server::start();
    for transport in BOTH {
        for (field, code) in [("room", RefusalCode::RoomInvalid), ("codec", RefusalCode::AudioUnsupported)] {
            for text in [format!("\u{1b}[2J\u{202e}{}", "\u{301}".repeat(20)), "\0".repeat(10_000)] {
                let mut hello = hello("ada", "lobby");
                *(if field == "room" { &mut hello.room } else { &mut hello.audio.codec }) = text;
                let mut peer = Peer::connect(&server, transport);
                peer.tell(&Message::Hello(hello));
                let refusal: Refusal = watch(&mut peer, field, |m| match m {
                    Message::Refusal(refusal) => Some(refusal.clone()),
                    _ => None,
                });
                assert_eq!(refusal.code, code, "{field} over {transport}");
                assert!(refusal.message.len() < 300, "{}", refusal.message);
            }
        }
    }
    server.stop();
}

#[test]
fn chat_comes_out_printable() {
    let server = Server::start();
    for (transport, watching) in BOTH.into_iter().zip([Transport::WebSocket, Transport::Tcp]) {
        let room = format!("room over {transport}");
        let (mut watcher, _) = Peer::join(&server, watching, "watcher", &room);
        let (mut peer, _) = Peer::join(&server, transport, "mallory", &room);
        let mut too_long = 0;
        for case in cases() {
            let (what, text) = (format!("{} over {transport}", case.what), case.text());
            peer.tell(&chat(&text));
            if case.chat.is_null() {
                assert_eq!(peer.closed().0, Some(1002), "{what}");
                peer = Peer::connect(&server, transport);
                too_long += 1;
                peer.enter(&format!("mallory {too_long}"), &room);
                continue;
            }
            let seen = watch(&mut watcher, &what, |m| match m {
                Message::Chat(chat) => Some(chat.text.clone()),
                _ => None,
            });
            assert_eq!(seen, case.chat.as_str().unwrap_or(&text), "{what}");
        }
        assert_eq!(too_long, 1);
    }
    server.stop();
}

#[test]
fn what_is_no_picture_reaches_nobody_and_is_one_line_in_the_log() {
    let mut bomb = super::support::peer::picture(1, 1_000).to_vec();
    bomb[7..11].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]); // 65500 twice
    let cases = [
        (Bytes::from_static(b"\x89PNG\r\n\x1a\n"), "a picture that is no JPEG: it begins with 0x89504e47 (PNG)"),
        (
            Bytes::from_static(b"<script>alert(1)</script>"),
            "a picture that is no JPEG: it begins with 0x3c736372 (markup)",
        ),
        (bomb.into(), "a JPEG of 65500x65500, limit 320x240"),
    ];
    let mut server = Server::start();
    for transport in BOTH {
        let room = format!("room over {transport}");
        let (mut watcher, _) = Peer::join(&server, Transport::WebSocket, "watcher", &room);
        for (number, (picture, reason)) in cases.iter().enumerate() {
            let (mut peer, _) = Peer::join(&server, transport, &format!("mallory {number}"), &room);
            peer.picture(1, picture);
            let (code, told) = peer.closed();
            assert!(code == Some(1002) && told.contains(reason), "{code:?} {told}");
            watcher.until("its end", |frame| {
                assert_ne!(frame.kind, Kind::Video, "{reason}");
                matches!(Message::decode(frame), Ok(Some(Message::Left(_)))).then_some(())
            });
            let address = peer.address;
            let error = server.program.event(reason, |event| match event {
                Event::ConnectionMalformed { peer, error, .. } if *peer == address => Some(error.clone()),
                _ => None,
            });
            assert_eq!(error, format!("invalid payload of kind 0x20: {reason}"));
        }
    }
    let records = server.stop();
    let lines = records.iter().filter(|record| record.event.name() == "connection.malformed").count();
    assert_eq!(lines, 2 * cases.len(), "one line each");
}

#[test]
fn a_refusal_over_websocket_says_why_in_its_close_frame_too() {
    let server = Server::with(&["--max-clients", "2"]);
    let _ada = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    for transport in BOTH {
        let mut second = Peer::connect(&server, transport);
        second.tell(&Message::Hello(hello("ada", "lobby")));
        let taken = watch(&mut second, "taken", |m| match m {
            Message::Refusal(refusal) => Some(refusal.clone()),
            _ => None,
        });
        assert_eq!(serde_json::to_value(taken.code).unwrap(), "name_taken");
        assert_eq!(second.closed(), (Some(1008), taken.message));
    }
    let _bob = Peer::join(&server, Transport::Tcp, "bob", "lobby");
    for transport in BOTH {
        let mut third = Peer::connect(&server, transport);
        third.tell(&Message::Hello(hello("eve", "another")));
        let full = watch(&mut third, "full", |m| match m {
            Message::Refusal(refusal) => Some(refusal.clone()),
            _ => None,
        });
        assert_eq!(serde_json::to_value(full.code).unwrap(), "server_full");
        assert_eq!(third.closed(), (Some(1013), full.message));
    }
    server.stop();
}
