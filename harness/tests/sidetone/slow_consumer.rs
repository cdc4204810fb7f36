//! A peer that stops reading harms nobody, and not for long.

use super::support::peer::picture;
use super::support::{Deadline, Got, Peer, Server, chat, keep_alive, paced};
use sidetone::event::{Event, Transport};
use sidetone::protocol::{Kind, Message};
use std::time::Duration;

/// What a connection may have waiting: the control queue, 100 ms of sound, two pictures of each other sender.
const MOST_QUEUED: u64 = 256 * 1_024 + 70_000 + 5 * 1_600 + 2 * 70_000;

/// Tenths of a second that it goes on.
const ROUNDS: u32 = 115;

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
    let (mut lines, mut pictures) = (0, 0);
    paced(Duration::from_millis(100), ROUNDS, |i| {
        ada.picture(i, &picture);
        ada.tell(&chat(&line));
        if i % 10 == 0 {
            slow.try_bytes(keep_alive().encode()); // it is alive: only its receiving side is stuck
            bob.send(&keep_alive());
            most = most.max(server.program.resident());
        }
        let deadline = Deadline::after(Duration::from_millis(50));
        while !deadline.passed() {
            match bob.try_next(deadline) {
                Some(Got::Closed(code, reason)) => panic!("bob was closed: {code:?} {reason}"),
                Some(Got::Frame(frame)) => {
                    pictures += u32::from(frame.kind == Kind::Video);
                    lines += u32::from(matches!(Message::decode(&frame), Ok(Some(Message::Chat(_)))));
                }
                None => {}
            }
        }
    });
    assert!(lines + 3 >= ROUNDS, "bob read {lines} lines");
    assert!(pictures >= ROUNDS * 8 / 2, "bob saw {pictures} chunks of {ROUNDS} pictures");
    let (stalled_ms, queued_bytes) = server.program.event("session.slow_consumer", |event| match event {
        Event::SessionSlowConsumer { stalled_ms, queued_bytes, .. } => Some((*stalled_ms, *queued_bytes)),
        _ => None,
    });
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
