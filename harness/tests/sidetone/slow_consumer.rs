//! A peer that stops reading harms nobody, and not for long.

use super::support::peer::picture;
use super::support::{Deadline, Peer, Server, chat, keep_alive};
use sidetone::clock;
use sidetone::event::{Event, Transport};
use sidetone::protocol::{Kind, Message, VideoChunk};
use std::time::Duration;

/// What a connection may have waiting: the control queue, 100 ms of sound, two pictures of each other sender.
const MOST_QUEUED: u64 = 256 * 1_024 + 70_000 + 5 * 1_600 + 2 * 70_000;

/// From one picture to the next.
const ROUND: Duration = Duration::from_millis(100);

/// Takes ten seconds: the server's patience.
#[test]
fn a_peer_that_does_not_read_is_closed_and_costs_little() {
    let mut server = Server::start();
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    let (mut bob, _) = Peer::join(&server, Transport::WebSocket, "bob", "lobby");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&server.tcp().into()).unwrap();
    let mut slow = Peer::over(socket.into(), Transport::Tcp);
    slow.enter("slow", "lobby");
    let address = slow.address;

    let picture = picture(1, 60_000);
    let line = "x".repeat(4_000);
    let (before, mut most) = (server.program.resident(), 0);
    let (mut begins, began, patience) = (vec![], clock::monotonic(), Deadline::new());
    let is_told = |event: &Event| match event {
        Event::SessionSlowConsumer { stalled_ms, queued_bytes, .. } => Some((*stalled_ms, *queued_bytes)),
        _ => None,
    };
    // a round is over when bob has all of it
    let (stalled_ms, queued_bytes) = loop {
        let round = u32::try_from(begins.len()).unwrap();
        begins.push(clock::monotonic());
        ada.picture(round, &picture);
        ada.tell(&chat(&line));
        slow.try_bytes(keep_alive().encode()); // it is alive: only its receiving side is stuck
        bob.send(&keep_alive());
        most = most.max(server.program.resident());
        let (mut has_line, mut chunks) = (false, 0);
        bob.until("the line and the picture of this round", |frame| {
            chunks += usize::from(frame.kind == Kind::Video);
            has_line |= matches!(Message::decode(frame), Ok(Some(Message::Chat(_))));
            (has_line && chunks == VideoChunk::split(round, &picture).len()).then_some(())
        });
        if let Some(told) = server.program.seen(is_told) {
            break told;
        }
        assert!(!patience.passed(), "a peer that does not read is kept");
        clock::sleep_until(began + ROUND * (round + 1));
    };
    let told = clock::monotonic();
    let meanwhile = begins.iter().filter(|begin| **begin + Duration::from_secs(9) > told).count();
    assert!(meanwhile >= 5, "bob waits for the one who does not read: {meanwhile} rounds in nine seconds");
    assert_eq!(stalled_ms, 10_000);
    assert!(queued_bytes <= MOST_QUEUED, "{queued_bytes} bytes were queued");
    assert!(most.saturating_sub(before) < 16 * 1_024, "from {before} kB to {most} kB");
    let code = server.program.event("connection.closed", |event| match event {
        Event::ConnectionClosed { peer, close_code, .. } if *peer == address => Some(*close_code),
        _ => None,
    });
    assert_eq!(code, 1013);
    let left = bob.until_message("left", |m| if let Message::Left(left) = m { Some(left.name) } else { None });
    assert_eq!(left, "slow");
    server.stop();
}
