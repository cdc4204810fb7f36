//! Echo rooms: a client alone with its own sound.

use super::support::ear::{Ear, Talker, talk};
use super::support::peer::BOTH;
use super::support::{Peer, Server, hello};
use sidetone::event::{Event, Transport};
use sidetone::protocol::control::ECHO_ROOM;
use sidetone::protocol::{AudioPacket, Capability, Chat, Hello, Kind, Message, Welcome};

/// Joins with `echo`.
fn echo(server: &Server, transport: Transport, name: &str) -> (Peer, Welcome) {
    let mut peer = Peer::connect(server, transport);
    let hello = Hello { capabilities: vec![Capability::Audio, Capability::Echo], ..hello(name, "lobby") };
    peer.tell(&Message::Hello(hello));
    let welcome =
        peer.until_message("a welcome", |m| if let Message::Welcome(welcome) = m { Some(welcome) } else { None });
    peer.stream = welcome.stream;
    (peer, welcome)
}

#[test]
fn each_echo_hears_itself_and_no_other_and_no_room_hears_or_sees_an_echo() {
    let server = Server::start();
    for transport in BOTH {
        // those of the other transport may not have left yet
        let room = format!("room over {transport}");
        let (mut ada, _) = Peer::join(&server, transport, "ada", &room);
        let (mut bob, _) = Peer::join(&server, transport, "bob", &room);
        let (mut one, welcome) = echo(&server, transport, "ada");
        let (mut two, _) = echo(&server, transport, "ada");
        assert_eq!((welcome.participants.len(), welcome.room.as_str()), (0, ECHO_ROOM));
        assert!(welcome.capabilities.contains(&Capability::Echo));
        let tones = [440.0_f64, 660.0, 880.0, 1_100.0];
        // who says which tone, and hears which
        let all = [
            (&mut ada, 440.0, 660.0),
            (&mut bob, 660.0, 440.0),
            (&mut one, 880.0, 880.0),
            (&mut two, 1_100.0, 1_100.0),
        ];
        let talkers = all.map(|(peer, says, hears)| {
            let others: Vec<_> = tones.into_iter().filter(|hz| (hz - hears).abs() > 1.0).collect();
            Talker::new(peer, says, Ear::new(&format!("who says {says} Hz"), &[hears], &others, -60.0))
        });
        talk(talkers.into());
        one.tell(&Message::Chat(Chat { from: String::new(), text: "anybody there?".to_owned() }));
        drop((one, two));
        ada.tell(&Message::Chat(Chat { from: String::new(), text: "the end".to_owned() }));
        let strange = bob.until_message("the end", |m| match m {
            Message::Joined(joined) => Some(format!("joined: {}", joined.participant.name)),
            Message::Left(left) => Some(format!("left: {}", left.name)),
            Message::Chat(chat) => Some(chat.text),
            _ => None,
        });
        assert_eq!(strange, "the end", "a room is told nothing of an echo");
    }
    let log = server.stop();
    let joined = log.iter().filter(|r| matches!(&r.event, Event::SessionJoined { room, .. } if room == ECHO_ROOM));
    assert_eq!(joined.count(), 4);
}

#[test]
fn who_is_silent_in_an_echo_room_hears_keep_alives() {
    let server = Server::start();
    let (mut peer, _) = echo(&server, Transport::Tcp, "ada");
    let level = peer.until("a keep-alive", |frame| match frame.kind {
        Kind::Audio => Some(AudioPacket::decode(&frame.payload).unwrap().level),
        _ => None,
    });
    assert_eq!(level, 127);
    server.stop();
}
