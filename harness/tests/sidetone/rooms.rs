//! Who hears, sees and reads whom.

use super::support::ear::{Ear, Talker, talk};
use super::support::peer::{BOTH, Voice, picture, tag_of};
use super::support::{Deadline, Got, Peer, Server, chat, paced};
use sidetone::event::Transport;
use sidetone::protocol::video::Assembler;
use sidetone::protocol::{AudioPacket, Capability, Hello, Kind, Message, Mute, VideoChunk};
use std::time::Duration;

const FRAME: Duration = Duration::from_millis(20);

#[test]
fn everybody_hears_the_others_and_not_themselves() {
    let server = Server::start();
    let tones = [440.0_f64, 700.0, 1_100.0];
    let transports = [Transport::Tcp, Transport::WebSocket, Transport::Tcp];
    let mut peers: Vec<_> = (0..3).map(|i| Peer::join(&server, transports[i], &format!("p{i}"), "lobby").0).collect();
    let talkers = peers.iter_mut().zip(tones).enumerate().map(|(i, (peer, own))| {
        let others: Vec<_> = tones.into_iter().filter(|hz| (hz - own).abs() > 1.0).collect();
        Talker::new(peer, own, Ear::new(&format!("p{i}"), &others, &[own], -60.0))
    });
    talk(talkers.collect());
    server.stop();
}

#[test]
fn rooms_are_separate() {
    let server = Server::start();
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "one");
    let (mut bob, _) = Peer::join(&server, Transport::WebSocket, "bob", "one");
    let (mut eve, welcome) = Peer::join(&server, Transport::Tcp, "ada", "two");
    assert_eq!(welcome.participants, [], "a name is taken in its room only");
    let mut voice = Voice::new(440.0);
    ada.picture(1, &picture(1, 100));
    ada.tell(&chat("hello room one"));
    says_until_heard(&mut ada, &mut voice, &mut bob);
    // whatever leaked was queued before the answer to a ping that is sent now
    eve.tell(&Message::Ping(sidetone::protocol::Ping { nonce: 7 }));
    let leaked = eve.until("a pong", |frame| match (frame.kind, Message::decode(frame).unwrap()) {
        (Kind::Audio, _) => (AudioPacket::decode(&frame.payload).unwrap().level < 127).then(|| "sound".to_owned()),
        (Kind::Video, _) => Some("a picture".to_owned()),
        (_, Some(Message::Pong(_))) => Some("nothing".to_owned()),
        (_, Some(Message::Ping(_))) => None,
        (_, other) => Some(format!("{other:?}")),
    });
    assert_eq!(leaked, "nothing");
    server.stop();
}

#[test]
fn who_comes_who_goes_and_who_is_mute_is_announced() {
    for transport in BOTH {
        let server = Server::start();
        let (mut ada, welcome) = Peer::join(&server, transport, "ada", "lobby");
        assert_eq!(welcome.participants, []);
        assert_eq!((welcome.room.as_str(), welcome.version, welcome.audio.clock_rate), ("lobby", 1, 48_000));
        let (mut bob, welcome) = Peer::join(&server, Transport::Tcp, "bob", "lobby");
        assert_eq!(welcome.participants.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["ada"]);
        let joined =
            ada.until_message("joined", |m| if let Message::Joined(j) = m { Some(j.participant) } else { None });
        assert_eq!((joined.name.as_str(), joined.stream, joined.muted), ("bob", bob.stream, false));

        bob.tell(&Message::Mute(Mute { stream: 999, muted: true }));
        let mute = ada.until_message("mute", |m| if let Message::Mute(mute) = m { Some(mute) } else { None });
        assert_eq!(mute, Mute { stream: bob.stream, muted: true }, "the server fills in whose");
        let (late, welcome) = Peer::join(&server, transport, "late", "lobby");
        let bobs = welcome.participants.iter().find(|p| p.name == "bob").unwrap();
        assert!(bobs.muted, "who comes later learns it, too");

        drop(late);
        let left = ada.until_message("left", |m| if let Message::Left(left) = m { Some(left.name) } else { None });
        assert_eq!(left, "late");
        bob.tell(&Message::Bye(sidetone::protocol::Bye { code: 1000, reason: "done".to_owned() }));
        assert_eq!(bob.closed().0, Some(1000), "a goodbye is answered");
        let left = ada.until_message("left", |m| if let Message::Left(left) = m { Some(left.name) } else { None });
        assert_eq!(left, "bob");
        server.stop();
    }
}

#[test]
fn chat_names_its_sender_and_carries_no_control_characters() {
    let server = Server::start();
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    let (mut bob, _) = Peer::join(&server, Transport::WebSocket, "bob", "lobby");
    let forged =
        Message::Chat(sidetone::protocol::Chat { from: "bob".to_owned(), text: "a\u{1b}[2Jb\u{202e}c\n".into() });
    ada.tell(&forged);
    let got = bob.until_message("chat", |m| if let Message::Chat(chat) = m { Some(chat) } else { None });
    assert_eq!((got.from.as_str(), got.text.as_str()), ("ada", "a\u{b7}[2Jb\u{b7}c\u{b7}"));
    server.stop();
}

/// One talks at the pace of a device until the other hears something.
fn says_until_heard(speaker: &mut Peer, voice: &mut Voice, listener: &mut Peer) {
    let patience = Deadline::new();
    let mut hears = false;
    while !hears {
        assert!(!patience.passed(), "nothing is heard");
        speaker.audio(&voice.packet());
        let frame_is_over = Deadline::after(FRAME);
        while let Some(Got::Frame(frame)) = listener.try_next(frame_is_over) {
            hears |= frame.kind == Kind::Audio && frame.payload[0] < 127;
        }
    }
}

/// What a peer is told next about who is heard.
fn speaking(peer: &mut Peer) -> Vec<u16> {
    peer.until_message(
        "who is heard",
        |m| if let Message::Speaking(speaking) = m { Some(speaking.streams) } else { None },
    )
}

#[test]
fn everybody_is_told_who_is_heard_when_it_changes() {
    let server = Server::start();
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    let (mut bob, _) = Peer::join(&server, Transport::WebSocket, "bob", "lobby");
    let mut voice = Voice::new(440.0);
    let mut late = Peer::connect(&server, Transport::Tcp);
    // words with pauses of 100 ms between them
    let says = |ada: &mut Peer, voice: &mut Voice, words: u32| {
        paced(FRAME, 15 * words, |i| match i % 15 {
            0..10 => ada.audio(&voice.packet()),
            10 => ada.audio(&AudioPacket::keep_alive()),
            _ => {}
        });
    };
    says(&mut ada, &mut voice, 3);
    late.tell(&Message::Hello(super::support::hello("late", "lobby")));
    late.until_message("a welcome", |m| matches!(m, Message::Welcome(_)).then_some(()));
    says(&mut ada, &mut voice, 2);
    let from = ada.stream;
    for peer in [&mut late, &mut ada, &mut bob] {
        assert_eq!((speaking(peer), speaking(peer)), (vec![from], vec![]), "who comes later learns it, too");
    }
    drop(ada);
    // on a busy machine a pause may be a long one; nobody is told the same twice
    for peer in [&mut late, &mut bob] {
        let mut told = vec![];
        peer.until_message("left", |m| match m {
            Message::Speaking(speaking) => {
                assert_ne!(speaking.streams, told);
                told = speaking.streams;
                None
            }
            Message::Left(_) => Some(()),
            _ => None,
        });
    }
    server.stop();
}

/// Reads pictures of one sender until the one that ends with `last`; gives the tag of each.
fn pictures(peer: &mut Peer, from: u16, last: u8) -> Vec<u8> {
    let (mut assembler, mut seen) = (Assembler::new(), Vec::new());
    peer.until("the last picture", |frame| {
        if frame.kind == Kind::Video {
            assert_eq!(frame.stream, from);
            let chunk = VideoChunk::decode(&frame.payload).unwrap();
            if let Some(jpeg) = assembler.push(&chunk).unwrap() {
                seen.push(tag_of(&jpeg).expect("a picture is whole"));
            }
        }
        (seen.last() == Some(&last)).then_some(())
    });
    seen
}

#[test]
fn pictures_reach_the_others_whole_and_the_latest_wins() {
    let server = Server::start();
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    let (mut bob, _) = Peer::join(&server, Transport::WebSocket, "bob", "lobby");
    let mut slow = {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(&server.tcp().into()).unwrap();
        let mut peer = Peer::over(socket.into(), Transport::Tcp);
        peer.enter("slow", "lobby");
        peer
    };
    let from = ada.stream;
    for tag in 1..=100 {
        ada.picture(u32::from(tag), &picture(tag, 60_000));
        if tag % 10 == 0 {
            pictures(&mut bob, from, tag); // the one who reads gets the newest before the next ones are sent
        }
    }
    let seen = pictures(&mut slow, from, 100);
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.len() < 100, "old pictures are skipped for one who does not keep up, not queued: {seen:?}");
    server.stop();
}

#[test]
fn nobody_gets_what_they_cannot_use() {
    let server = Server::start();
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    let mut reader = Peer::connect(&server, Transport::Tcp);
    let hello = Hello { capabilities: vec![Capability::Chat], ..super::support::hello("text", "lobby") };
    reader.tell(&Message::Hello(hello));
    reader.until_message("a welcome", |m| matches!(m, Message::Welcome(_)).then_some(()));
    let mut voice = Voice::new(440.0);
    ada.picture(1, &picture(1, 100));
    paced(FRAME, 25, |_| ada.audio(&voice.packet()));
    ada.tell(&chat("the end"));
    let deadline = Deadline::new();
    loop {
        match reader.next(deadline) {
            Got::Frame(frame) => match Message::decode(&frame).unwrap() {
                Some(Message::Chat(chat)) => break assert_eq!(chat.text, "the end"),
                Some(_) => {}
                None => panic!("{:?} for one who only reads", frame.kind),
            },
            Got::Closed(code, reason) => panic!("{code:?} {reason}"),
        }
    }
    server.stop();
}
