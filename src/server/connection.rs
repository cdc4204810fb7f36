//! One connection from its first byte to its last, whatever its transport.
//!
//! ```text
//!            hello in 5 s            welcome                  close by us, by the peer, or by time
//! accepted ---------------> joining --------> in the room ------------------------------------------> closing -> gone
//!     |  no hello, malformed  |  refused            | malformed (1002, 1009, 1003), silent (1008), slow (1013)
//!     +-----------------------+---------------------+--> close frame or Bye, then drain for at most 1 s
//! ```

use super::hub::{Hub, Registration, Seat, lock};
use super::intake::{Intake, Refused, clean, read_hello, shown};
use crate::clock;
use crate::event::{Event, Transport};
use crate::net::outbox::{Close, Next, Outbox};
use crate::net::transport::{Broken, Reader, Received, Writer};
use crate::protocol::video::jpeg_size;
use crate::protocol::{AudioPacket, Frame, Kind, Message, Ping, VideoChunk, WireError, close};
use crate::session::{Beat, Heartbeat};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Pings of a WebSocket that may come before the hello.
const PINGS_BEFORE_HELLO: u32 = 16;
/// How long a visitor may take to say hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// A receiver that takes nothing for so long is closed.
const STALL: Duration = Duration::from_secs(10);
/// How long last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Most characters of a peer's last words that are told.
const MOST_OF_A_REASON: usize = 200;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) transport: Transport,
    pub(crate) peer: SocketAddr,
}

/// How a connection ended.
#[derive(Debug)]
struct End {
    code: u16,
    reason: String,
    by_peer: bool,
    /// Whether there is still somebody to say goodbye to.
    alive: bool,
}

impl End {
    fn ours(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), by_peer: false, alive: true }
    }

    /// A reason from anybody goes into logs, and from there onto terminals.
    fn peers(code: Option<u16>, reason: &str) -> Self {
        let reason = shown(reason).chars().take(MOST_OF_A_REASON).collect();
        Self { code: code.unwrap_or(1005), reason, by_peer: true, alive: code.is_some() }
    }

    fn lost(reason: &impl ToString) -> Self {
        Self { code: 1006, reason: reason.to_string(), by_peer: true, alive: false }
    }
}

struct Connection<'a> {
    hub: &'a Hub,
    id: u64,
    origin: Origin,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
}

/// Serves a connection until it is gone.
pub(crate) async fn serve(hub: Arc<Hub>, registration: Registration, origin: Origin, halves: (Reader, Writer)) {
    let (mut reader, mut writer) = halves;
    let connection = Connection {
        hub: &hub,
        id: registration.id,
        origin,
        bytes_received: AtomicU64::new(0),
        bytes_sent: AtomicU64::new(0),
    };
    let outbox = &registration.outbox;
    let end = match connection.hello(&mut reader, outbox).await {
        Ok(seat) => connection.session(&seat, &mut reader, &mut writer).await,
        Err(end) => {
            // a refusal may wait in the outbox
            outbox.close(end.code, end.reason.clone());
            drop(timeout(LAST_WORDS, connection.write_loop(outbox, &mut writer)).await);
            end
        }
    };
    if end.alive {
        drop(timeout(LAST_WORDS, reader.drain()).await);
    }
    hub.config.log.emit(Event::ConnectionClosed {
        connection: connection.id,
        peer: origin.peer,
        close_code: end.code,
        reason: end.reason,
        by_peer: end.by_peer,
        bytes_received: connection.bytes_received.into_inner(),
        bytes_sent: connection.bytes_sent.into_inner(),
    });
}

/// The first frame, or what ends the connection; [`Received::Alive`]: too many pings came before it.
async fn first_message(reader: &mut Reader) -> Result<Received, Broken> {
    for _ in 0..PINGS_BEFORE_HELLO {
        match reader.next().await? {
            Received::Alive => {}
            first @ (Received::Frame(_) | Received::Closed(..)) => return Ok(first),
        }
    }
    Ok(Received::Alive)
}

impl Connection<'_> {
    /// Waits for the hello and answers it.
    async fn hello(&self, reader: &mut Reader, outbox: &Arc<Outbox>) -> Result<Seat, End> {
        let first = async {
            tokio::select! {
                first = timeout(HELLO_PATIENCE, first_message(reader)) => Some(first),
                _ = outbox.next() => None, // only a close can be in there
            }
        };
        let hello = match first.await {
            None => return Err(End::ours(close::GOING_AWAY, "the server is going down")),
            Some(Err(_)) => return Err(End::ours(close::POLICY_VIOLATION, "no hello within 5 s")),
            Some(Ok(Err(broken))) => return Err(self.broken(&broken)),
            Some(Ok(Ok(Received::Closed(code, reason)))) => return Err(End::peers(code, &reason)),
            Some(Ok(Ok(Received::Alive))) => {
                let reason = "too many pings before the hello".to_owned();
                return Err(self.misbehaved(close::POLICY_VIOLATION, reason));
            }
            Some(Ok(Ok(Received::Frame(frame)))) => {
                self.count_received(&frame);
                read_hello(&frame).map_err(|error| self.broken(&Broken::Wire(error)))?
            }
        };
        match self.hub.join(&hello, outbox) {
            Ok(seat) => {
                self.joined(&seat, hello.agent);
                Ok(seat)
            }
            Err(refusal) => {
                self.hub.metrics.refused_total.inc();
                let code = serde_json::to_value(refusal.code).unwrap_or_default();
                self.hub.config.log.emit(Event::SessionRefused {
                    connection: self.id,
                    peer: self.origin.peer,
                    code: code.as_str().unwrap_or_default().to_owned(),
                    reason: refusal.message.clone(),
                });
                let (code, reason) = (refusal.code.close_code(), refusal.message.clone());
                outbox.control(Message::Refusal(refusal).frame(0, 0).encode());
                Err(End::ours(code, reason))
            }
        }
    }

    fn joined(&self, seat: &Seat, agent: String) {
        #[cfg(feature = "sabotage")]
        if self.hub.config.sabotage == Some(super::sabotage::Sabotage::LeakDescriptor) {
            std::mem::forget(std::fs::File::open("/dev/null"));
        }
        self.hub.config.log.emit(Event::SessionJoined {
            connection: self.id,
            stream: seat.member.stream,
            name: seat.member.name.clone(),
            room: seat.room.name.clone(),
            transport: self.origin.transport,
            peer: self.origin.peer,
            agent,
        });
    }

    /// From the welcome to the end; both directions run at once, so that a slow receiver is still heard.
    async fn session(&self, seat: &Seat, reader: &mut Reader, writer: &mut Writer) -> End {
        let outbox = &seat.member.outbox;
        let mut pictures = 0;
        let end = {
            let mut reading = pin!(self.read_loop(seat, reader, &mut pictures));
            let mut writing = pin!(self.write_loop(outbox, writer));
            tokio::select! {
                end = &mut reading => {
                    if end.alive {
                        outbox.close(end.code, end.reason.clone());
                        drop(timeout(LAST_WORDS, &mut writing).await);
                    }
                    end
                }
                end = &mut writing => end,
            }
        };
        self.hub.leave(seat);
        let counts = outbox.counts();
        self.hub.config.log.emit(Event::SessionLeft {
            connection: self.id,
            stream: seat.member.stream,
            name: seat.member.name.clone(),
            room: seat.room.name.clone(),
            reason: end.reason.clone(),
            inbound: *lock(&seat.member.heard),
            pictures_received: pictures,
            audio_sent: counts.audio_sent,
            audio_dropped: counts.audio_dropped,
            pictures_sent: counts.pictures_sent,
            pictures_dropped: counts.pictures_dropped,
        });
        end
    }

    async fn read_loop(&self, seat: &Seat, reader: &mut Reader, pictures: &mut u64) -> End {
        let mut intake = Intake::new(clock::monotonic());
        let mut heartbeat = Heartbeat::new(clock::monotonic());
        loop {
            let wake = match heartbeat.poll(clock::monotonic()) {
                Beat::Wait(until) => until.saturating_sub(clock::monotonic()),
                Beat::Ping => {
                    seat.member.tell(&Message::Ping(Ping { nonce: clock::monotonic_ns() }));
                    continue;
                }
                Beat::Gone(silent) => return self.timed_out(seat, silent),
            };
            let received = match timeout(wake, reader.next()).await {
                Err(_) => continue,
                Ok(Ok(received)) => received,
                Ok(Err(broken)) => return self.broken(&broken),
            };
            let now = clock::monotonic();
            heartbeat.received(now);
            let frame = match received {
                Received::Frame(frame) => frame,
                Received::Alive if intake.control.take(now) => continue,
                Received::Alive => return self.misbehaved(close::POLICY_VIOLATION, "too many pings".to_owned()),
                Received::Closed(code, reason) => return End::peers(code, &reason),
            };
            self.count_received(&frame);
            match self.take(seat, &mut intake, &frame, now) {
                Ok(whole) => *pictures += u64::from(whole),
                Err(Refused::Wire(error)) => return self.broken(&Broken::Wire(error)),
                Err(Refused::Flood(what)) => {
                    let reason = format!("more {what} than a participant may send");
                    return self.misbehaved(close::POLICY_VIOLATION, reason);
                }
            }
        }
    }

    /// Acts on a frame; `true` if it completed a picture.
    fn take(&self, seat: &Seat, intake: &mut Intake, frame: &Frame, now: Duration) -> Result<bool, Refused> {
        match frame.kind {
            Kind::Audio => {
                if !intake.audio.take(now) {
                    return Err(Refused::Flood("audio"));
                }
                let packet = AudioPacket::decode(&frame.payload)?;
                self.hub.metrics.audio_received_total.inc();
                #[cfg(feature = "sabotage")]
                if self.hub.config.sabotage == Some(super::sabotage::Sabotage::Loopback) {
                    seat.member.outbox.audio(packet.frame(0, frame.sequence, frame.timestamp).encode());
                    return Ok(false);
                }
                seat.audio(frame, packet, now);
                Ok(false)
            }
            Kind::Video => {
                if !intake.video.take(now) {
                    return Err(Refused::Flood("video"));
                }
                let chunk = VideoChunk::decode(&frame.payload)?;
                let Some(jpeg) = intake.assembler.push(&chunk)? else { return Ok(false) };
                jpeg_size(&jpeg).map_err(WireError::from)?; // what is no picture, or a bomb, reaches nobody
                self.hub.metrics.pictures_received_total.inc();
                #[cfg(feature = "sabotage")]
                if self.hub.config.sabotage == Some(super::sabotage::Sabotage::DropPictures) {
                    return Ok(true);
                }
                let stream = seat.member.stream;
                let chunks: Vec<_> = VideoChunk::split(chunk.picture, &jpeg)
                    .iter()
                    .map(|c| c.frame(stream, c.index, frame.timestamp).encode())
                    .collect();
                seat.picture(&chunks);
                Ok(true)
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
            | Kind::Unknown(_) => {
                if !intake.control.take(now) {
                    return Err(Refused::Flood("control messages"));
                }
                obey(seat, frame)?;
                Ok(false)
            }
        }
    }

    async fn write_loop(&self, outbox: &Outbox, writer: &mut Writer) -> End {
        loop {
            match outbox.next().await {
                Next::Frame(frame) => {
                    let length = frame.len() as u64;
                    match timeout(STALL, writer.send(frame)).await {
                        Ok(Ok(())) => {
                            self.bytes_sent.fetch_add(length, Ordering::Relaxed);
                            self.hub.metrics.bytes_sent_total.inc_by(length);
                        }
                        Ok(Err(error)) => return End::lost(&error),
                        Err(_) => return self.stalled(outbox, writer).await,
                    }
                }
                Next::Close(Close { code, reason }) => {
                    let sent = timeout(LAST_WORDS, writer.close(code, &reason)).await;
                    let alive = matches!(sent, Ok(Ok(())));
                    return End { code, reason, by_peer: false, alive };
                }
            }
        }
    }

    async fn stalled(&self, outbox: &Outbox, writer: &mut Writer) -> End {
        self.hub.config.log.emit(Event::SessionSlowConsumer {
            connection: self.id,
            name: self.origin.peer.to_string(),
            stalled_ms: clock::millis(STALL),
            queued_bytes: outbox.queued_bytes(),
        });
        let reason = "your receiver has stalled for 10 s; come back when it reads again";
        drop(timeout(Duration::from_millis(200), writer.close(close::TRY_AGAIN_LATER, reason)).await);
        End { code: close::TRY_AGAIN_LATER, reason: reason.to_owned(), by_peer: false, alive: false }
    }

    fn timed_out(&self, seat: &Seat, silent: Duration) -> End {
        let silent_ms = clock::millis(silent);
        self.hub.config.log.emit(Event::SessionTimedOut {
            connection: self.id,
            name: seat.member.name.clone(),
            silent_ms,
        });
        End::ours(close::POLICY_VIOLATION, format!("nothing received for {silent_ms} ms"))
    }

    fn broken(&self, broken: &Broken) -> End {
        if !broken.is_malformed() {
            return End::lost(broken);
        }
        self.misbehaved(broken.close_code(), broken.to_string())
    }

    /// Ends a connection whose peer broke the rules.
    fn misbehaved(&self, close_code: u16, reason: String) -> End {
        self.hub.metrics.malformed_total.inc();
        let (connection, peer, error) = (self.id, self.origin.peer, reason.clone());
        self.hub.config.log.emit(Event::ConnectionMalformed { connection, peer, error, close_code });
        End::ours(close_code, reason)
    }

    fn count_received(&self, frame: &Frame) {
        let length = (frame.payload.len() + crate::protocol::HEADER_LENGTH) as u64;
        self.bytes_received.fetch_add(length, Ordering::Relaxed);
        self.hub.metrics.bytes_received_total.inc_by(length);
    }
}

/// Acts on a control frame; an unknown kind is skipped.
fn obey(seat: &Seat, frame: &Frame) -> Result<(), WireError> {
    match Message::decode(frame)? {
        Some(Message::Ping(ping)) => seat.member.tell(&Message::Pong(ping)),
        Some(Message::Chat(chat)) => seat.chat(clean(&chat.text, frame.kind)?),
        Some(Message::Mute(mute)) => seat.mute(mute.muted),
        Some(Message::Pong(_) | Message::Bye(_)) | None => {}
        Some(
            Message::Hello(_)
            | Message::Welcome(_)
            | Message::Refusal(_)
            | Message::Joined(_)
            | Message::Left(_)
            | Message::Speaking(_),
        ) => {
            return Err(WireError::NotAllowed { kind: frame.kind.code(), when: "from a client in a room" });
        }
    }
    Ok(())
}
