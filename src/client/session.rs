//! From the welcome to the end of one connection.

use super::link::Linked;
use super::shared::{Link, Shared, lock};
use crate::clock;
use crate::event::Event;
use crate::net::outbox::{Next, Outbox};
use crate::net::transport::{Broken, Reader, Received, Writer};
use crate::protocol::{
    AudioPacket, Chat, Frame, HEADER_LENGTH, Kind, Message, Mute, Ping, VideoChunk, Welcome, WireError, audio, close,
};
use crate::session::{Beat, Heartbeat};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A receiver that takes nothing for so long is given up.
const STALL: Duration = Duration::from_secs(10);
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a person at the keyboard wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Go.
    Leave,
    /// Switch the microphone.
    ToggleMute,
    /// Say this.
    Chat(String),
}

/// How a session ended.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// We left.
    Left,
    /// The connection is gone.
    Lost(String),
}

/// Runs until the connection ends.
pub(super) async fn run(
    shared: &Arc<Shared>,
    linked: Linked,
    commands: &mut mpsc::UnboundedReceiver<Command>,
) -> SessionEnd {
    let Linked { mut reader, mut writer, welcome } = linked;
    let outbox = Arc::new(Outbox::default());
    *lock(&shared.link) = Some(Link { outbox: Arc::clone(&outbox), stream: welcome.stream });
    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    report_joined(shared, &welcome);
    lock(&shared.room).enter(welcome);
    if shared.muted.load(Ordering::Relaxed) {
        shared.tell(&Message::Mute(Mute { stream: 0, muted: true }));
    }
    if shared.leaving.load(Ordering::Relaxed) {
        shared.leave("asked to leave before the welcome");
    }
    let end = {
        let mut reading = pin!(read_loop(shared, &mut reader));
        let mut writing = pin!(write_loop(shared, &outbox, &mut writer));
        let mut obeying = pin!(obey(shared, commands));
        loop {
            tokio::select! {
                end = &mut reading => {
                    if let Err((code, reason)) = &end {
                        outbox.close(*code, reason.clone());
                        drop(timeout(LAST_WORDS, &mut writing).await);
                    }
                    break end.unwrap_or_else(|(_, reason)| reason);
                }
                end = &mut writing => break end.err().unwrap_or_else(|| "left".to_owned()),
                () = &mut obeying => {}
            }
        }
    };
    shared.unlink();
    if shared.leaving.load(Ordering::Relaxed) {
        drop(timeout(LAST_WORDS, reader.drain()).await);
        return SessionEnd::Left;
    }
    lock(&shared.playout).end_stream();
    lock(&shared.room).others.clear();
    SessionEnd::Lost(end)
}

fn report_joined(shared: &Shared, welcome: &Welcome) {
    let audio = welcome.audio.clone();
    shared.config.log.emit(Event::ClientJoined {
        server: welcome.server.clone(),
        room: welcome.room.clone(),
        name: shared.config.name.clone(),
        stream: welcome.stream,
        participants: welcome.participants.iter().map(|p| p.name.clone()).collect(),
        codec: audio.codec,
        clock_rate: audio.clock_rate,
        channels: audio.channels,
        frame_ms: audio.frame_ms,
        bitrate: audio.bitrate,
    });
}

/// Resolves when the person wants to go. Who mutes without a connection is mute in the next one; a chat line has nobody
/// to go to.
pub(super) async fn told_to_leave(shared: &Shared, commands: &mut mpsc::UnboundedReceiver<Command>) {
    loop {
        match commands.recv().await {
            Some(Command::Leave) => return,
            Some(Command::ToggleMute) => toggle_mute(shared),
            Some(Command::Chat(_)) => lock(&shared.room).say("* not sent: there is no connection".to_owned()),
            None => std::future::pending().await,
        }
    }
}

/// Does what the person wants; never ends.
async fn obey(shared: &Shared, commands: &mut mpsc::UnboundedReceiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Leave => drop(shared.leave("left")),
            Command::ToggleMute => toggle_mute(shared),
            Command::Chat(text) => {
                lock(&shared.room).say(format!("{}: {text}", shared.config.name));
                shared.tell(&Message::Chat(Chat { from: String::new(), text }));
            }
        }
    }
    std::future::pending::<()>().await;
}

fn toggle_mute(shared: &Shared) {
    let muted = !shared.muted.fetch_xor(true, Ordering::Relaxed);
    shared.config.log.emit(Event::ClientMuted { muted });
    shared.tell(&Message::Mute(Mute { stream: 0, muted }));
}

/// `Ok`: the peer ended or the connection is gone; `Err`: we end it, with a close code.
async fn read_loop(shared: &Shared, reader: &mut Reader) -> Result<String, (u16, String)> {
    let mut heartbeat = Heartbeat::new(clock::monotonic());
    loop {
        let wake = match heartbeat.poll(clock::monotonic()) {
            Beat::Wait(until) => until.saturating_sub(clock::monotonic()),
            Beat::Ping => {
                let nonce = clock::monotonic_ns();
                shared.tell(&Message::Ping(Ping { nonce }));
                continue;
            }
            Beat::Gone(silent) => {
                let reason = format!("nothing received from the server for {} s", silent.as_secs());
                disconnected(shared, Some(close::POLICY_VIOLATION), &reason);
                return Err((close::POLICY_VIOLATION, reason));
            }
        };
        let received = match timeout(wake, reader.next()).await {
            Err(_) => continue,
            Ok(Ok(received)) => received,
            Ok(Err(broken)) => return broke(shared, &broken),
        };
        heartbeat.received(clock::monotonic());
        match received {
            Received::Alive => {}
            Received::Closed(code, reason) => {
                let reason = if reason.is_empty() { "closed by the server".to_owned() } else { reason };
                if !shared.leaving.load(Ordering::Relaxed) {
                    disconnected(shared, code, &reason);
                }
                return Ok(reason);
            }
            Received::Frame(frame) => {
                count(shared, &frame);
                if let Err(error) = take(shared, &frame) {
                    return broke(shared, &Broken::Wire(error));
                }
            }
        }
    }
}

fn broke(shared: &Shared, broken: &Broken) -> Result<String, (u16, String)> {
    let reason = broken.to_string();
    disconnected(shared, None, &reason);
    if broken.is_malformed() { Err((broken.close_code(), reason)) } else { Ok(reason) }
}

fn disconnected(shared: &Shared, close_code: Option<u16>, reason: &str) {
    shared.config.log.emit(Event::ClientDisconnected { close_code, reason: reason.to_owned() });
}

fn count(shared: &Shared, frame: &Frame) {
    let counters = &shared.counters;
    counters.packets_received.fetch_add(1, Ordering::Relaxed);
    counters.bytes_received.fetch_add((HEADER_LENGTH + frame.payload.len()) as u64, Ordering::Relaxed);
}

fn take(shared: &Shared, frame: &Frame) -> Result<(), WireError> {
    match frame.kind {
        Kind::Audio => {
            let packet = AudioPacket::decode(&frame.payload)?;
            let counters = &shared.counters;
            counters.audio_bytes_received.fetch_add(frame.payload.len() as u64, Ordering::Relaxed);
            if packet.level < audio::SILENCE && counters.audio_packets_with_sound.fetch_add(1, Ordering::Relaxed) == 0 {
                let (after_ms, level) = (shared.since_start_ms(), packet.level);
                shared.config.log.emit(Event::ClientFirstAudio { after_ms, level });
            }
            lock(&shared.playout).push(frame.sequence, frame.timestamp, packet, clock::monotonic());
        }
        Kind::Video => {
            let chunk = VideoChunk::decode(&frame.payload)?;
            let mut room = lock(&shared.room);
            let Some(remote) = room.others.get_mut(&frame.stream) else { return Ok(()) };
            let Some(encoded) = remote.assembler.push(&chunk)? else { return Ok(()) };
            let first = room.picture(frame.stream, encoded);
            drop(room);
            if let Some((name, width, height)) = first {
                let (stream, after_ms) = (frame.stream, shared.since_start_ms());
                shared.config.log.emit(Event::ClientFirstPicture { stream, name, width, height, after_ms });
            }
            shared.pictured.notify_one();
        }
        Kind::Hello
        | Kind::Welcome
        | Kind::Refusal
        | Kind::Ping
        | Kind::Pong
        | Kind::Joined
        | Kind::Left
        | Kind::Chat
        | Kind::Mute
        | Kind::Bye
        | Kind::Speaking
        | Kind::Unknown(_) => control(shared, frame)?,
    }
    Ok(())
}

fn control(shared: &Shared, frame: &Frame) -> Result<(), WireError> {
    let log = &shared.config.log;
    match Message::decode(frame)? {
        Some(Message::Ping(ping)) => shared.tell(&Message::Pong(ping)),
        Some(Message::Pong(ping)) => {
            let round_trip = clock::monotonic_ns().saturating_sub(ping.nonce) / 1_000;
            shared.counters.round_trip_us.store(round_trip, Ordering::Relaxed);
        }
        Some(Message::Joined(joined)) => {
            let (stream, name) = (joined.participant.stream, joined.participant.name.clone());
            log.emit(Event::ClientParticipantJoined { stream, name });
            let mut room = lock(&shared.room);
            room.say(format!("* {} joined", joined.participant.name));
            room.add(joined.participant);
        }
        Some(Message::Left(left)) => {
            let mut room = lock(&shared.room);
            room.others.remove(&left.stream);
            room.say(format!("* {} left", left.name));
            drop(room);
            log.emit(Event::ClientParticipantLeft { stream: left.stream, name: left.name });
        }
        Some(Message::Chat(chat)) => {
            lock(&shared.room).say(format!("{}: {}", chat.from, chat.text));
            log.emit(Event::ClientChat { from: chat.from, text: chat.text });
        }
        Some(Message::Mute(Mute { stream, muted })) => {
            let named = lock(&shared.room).others.get_mut(&stream).map(|remote| {
                remote.muted = muted;
                remote.name.clone()
            });
            if let Some(name) = named {
                log.emit(Event::ClientParticipantMuted { stream, name, muted });
            }
        }
        Some(Message::Speaking(speaking)) => {
            for (stream, remote) in &mut lock(&shared.room).others {
                remote.speaking = speaking.streams.contains(stream);
            }
        }
        Some(Message::Hello(_) | Message::Welcome(_) | Message::Refusal(_)) => {
            return Err(WireError::NotAllowed { kind: frame.kind.code(), when: "from a server after its welcome" });
        }
        Some(Message::Bye(_)) | None => {}
    }
    Ok(())
}

/// `Ok`: we said goodbye; `Err`: the transport failed.
async fn write_loop(shared: &Shared, outbox: &Outbox, writer: &mut Writer) -> Result<(), String> {
    loop {
        match outbox.next().await {
            Next::Frame(frame) => {
                let length = frame.len() as u64;
                match timeout(STALL, writer.send(frame)).await {
                    Err(_) => return Err("the server takes nothing for 10 s".to_owned()),
                    Ok(Err(error)) => {
                        disconnected(shared, None, &error.to_string());
                        return Err(error.to_string());
                    }
                    Ok(Ok(())) => {
                        shared.counters.bytes_sent.fetch_add(length, Ordering::Relaxed);
                        shared.counters.packets_sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Next::Close(ending) => {
                drop(timeout(LAST_WORDS, writer.close(ending.code, &ending.reason)).await);
                return Ok(());
            }
        }
    }
}
