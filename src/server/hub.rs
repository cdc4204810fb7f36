//! Rooms and who is in them. Every lock here is held for a few map operations, never across an await or a mix.
//!
//! Lock order: [`Hub`]'s state, then a room's members, then an outbox.

use super::Config;
use super::http::page::Page;
use super::metrics::Metrics;
use crate::clock;
use crate::event::ConcealmentCounters;
use crate::net::outbox::Outbox;
use crate::protocol::control::ECHO_ROOM;
use crate::protocol::{
    AudioPacket, Capability, Chat, Frame, Hello, Joined, Left, Message, Mute, Participant, Refusal, RefusalCode,
    Welcome,
};
use crate::session::{admit, heartbeat};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most participants that a welcome lists: a control payload has 64 KiB. The others follow as if they had just joined.
const WELCOMED: usize = 256;
/// Most participants of one room: what a newcomer is told must fit its queue.
const MOST_OF_A_ROOM: usize = 1_024;
/// Program and version.
const AGENT: &str = concat!("sidetone/", env!("CARGO_PKG_VERSION"));
/// What the server does.
const CAPABILITIES: [Capability; 4] = [Capability::Audio, Capability::Picture, Capability::Chat, Capability::Echo];

/// What the mixer has to know; it drains this once a tick.
#[derive(Debug)]
pub(crate) enum Inbound {
    Join(u16),
    Leave(u16),
    Audio { stream: u16, sequence: u16, timestamp: u32, packet: AudioPacket, at: Duration },
}

/// Somebody in a room.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) stream: u16,
    pub(crate) name: String,
    pub(crate) muted: AtomicBool,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) hears: bool,
    pub(crate) sees: bool,
    /// Written by the mixer: what it got of this speaker.
    pub(crate) heard: Mutex<ConcealmentCounters>,
}

impl Member {
    /// Queues a control message.
    pub(crate) fn tell(&self, message: &Message) {
        self.outbox.control(message.frame(0, 0).encode());
    }

    fn participant(&self) -> Participant {
        Participant { stream: self.stream, name: self.name.clone(), muted: self.muted.load(Ordering::Relaxed) }
    }
}

/// A room: it is made when the first one joins and goes with the last. An echo room is that of one participant, has no name
/// by which anybody could join it, and goes with it.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) echo: bool,
    members: Mutex<BTreeMap<u16, Arc<Member>>>,
    inbox: Mutex<Vec<Inbound>>,
}

impl Room {
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        lock(&self.members).values().cloned().collect()
    }

    pub(crate) fn take_inbox(&self) -> Vec<Inbound> {
        std::mem::take(&mut *lock(&self.inbox))
    }

    fn others(&self, stream: u16) -> Vec<Arc<Member>> {
        lock(&self.members).values().filter(|m| m.stream != stream).cloned().collect()
    }

    /// Encoded once, shared by all.
    fn tell_others(&self, stream: u16, message: &Message) {
        let frame = message.frame(0, 0).encode();
        self.others(stream).iter().for_each(|m| m.outbox.control(frame.clone()));
    }
}

/// A participant's place; what it sends goes through here.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) room: Arc<Room>,
    pub(crate) member: Arc<Member>,
}

impl Seat {
    pub(crate) fn audio(&self, frame: &Frame, packet: AudioPacket, at: Duration) {
        let stream = self.member.stream;
        let inbound = Inbound::Audio { stream, sequence: frame.sequence, timestamp: frame.timestamp, packet, at };
        lock(&self.room.inbox).push(inbound);
    }

    /// Sends a whole picture, already cut into frames, to the others.
    pub(crate) fn picture(&self, chunks: &[Bytes]) {
        for other in self.room.others(self.member.stream).iter().filter(|m| m.sees) {
            other.outbox.picture(self.member.stream, chunks.to_vec());
        }
    }

    pub(crate) fn chat(&self, text: String) {
        let chat = Message::Chat(Chat { from: self.member.name.clone(), text });
        self.room.tell_others(self.member.stream, &chat);
    }

    pub(crate) fn mute(&self, muted: bool) {
        self.member.muted.store(muted, Ordering::Relaxed);
        self.room.tell_others(self.member.stream, &Message::Mute(Mute { stream: self.member.stream, muted }));
    }
}

#[derive(Debug, Default)]
struct State {
    rooms: BTreeMap<String, Arc<Room>>,
    /// By the stream of its participant.
    echo_rooms: BTreeMap<u16, Arc<Room>>,
    streams: BTreeSet<u16>,
    last_stream: u16,
    rooms_made: u64,
    draining: bool,
    connections: BTreeMap<u64, Arc<Outbox>>,
    last_connection: u64,
}

/// The server's shared state.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) page: Page,
    state: Mutex<State>,
    /// Wakes the mixer when there is a room, or at the end.
    rooms_changed: Condvar,
    connection_gone: Notify,
}

/// Keeps a connection in the hub's list for as long as it lives.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) id: u64,
    pub(crate) outbox: Arc<Outbox>,
    hub: Arc<Hub>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.hub.state).connections.remove(&self.id);
        self.hub.metrics.connections.dec();
        self.hub.connection_gone.notify_waiters();
    }
}

impl Hub {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            page: Page::new(&config.name, config.page_from.clone()),
            config,
            metrics: Metrics::new(),
            state: Mutex::default(),
            rooms_changed: Condvar::new(),
            connection_gone: Notify::new(),
        }
    }

    /// Takes in a connection; `None` if there are far more than participants are allowed, or at the end.
    pub(crate) fn register(self: &Arc<Self>) -> Option<Registration> {
        let mut state = lock(&self.state);
        // visitors that did not say hello yet, health checks and probes need some room beyond the participants
        if state.draining || state.connections.len() >= self.config.max_clients as usize + 256 {
            return None;
        }
        state.last_connection += 1;
        let (id, outbox) = (state.last_connection, Arc::new(Outbox::default()));
        state.connections.insert(id, Arc::clone(&outbox));
        self.metrics.connections.inc();
        self.metrics.connections_total.inc();
        Some(Registration { id, outbox, hub: Arc::clone(self) })
    }

    pub(crate) fn open_connections(&self) -> u32 {
        u32::try_from(lock(&self.state).connections.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn connections_served(&self) -> u64 {
        lock(&self.state).last_connection
    }

    pub(crate) fn is_draining(&self) -> bool {
        lock(&self.state).draining
    }

    /// Lets a participant in and tells the others.
    pub(crate) fn join(&self, hello: &Hello, outbox: &Arc<Outbox>) -> Result<Seat, Refusal> {
        let mut state = lock(&self.state);
        if state.draining {
            let message = "the server is going down; come back in a moment";
            return Err(Refusal::new(RefusalCode::ShuttingDown, message).told_by(AGENT, &CAPABILITIES));
        }
        let echo = hello.capabilities.contains(&Capability::Echo);
        let room = if echo { None } else { state.rooms.get(&hello.room).cloned() };
        let taken = |name: &str| room.as_ref().is_some_and(|room| lock(&room.members).values().any(|m| m.name == name));
        let crowded = room.as_ref().is_some_and(|room| lock(&room.members).len() >= MOST_OF_A_ROOM);
        let full = crowded || state.streams.len() >= self.config.max_clients as usize;
        let admission = admit(hello, taken, full).map_err(|refusal| refusal.told_by(AGENT, &CAPABILITIES))?;
        let stream = state.free_stream();
        let room = room.unwrap_or_else(|| if echo { state.make_echo(stream) } else { state.make_room(&hello.room) });
        let member = Arc::new(Member {
            stream,
            name: hello.name.clone(),
            muted: AtomicBool::new(false),
            outbox: Arc::clone(outbox),
            hears: hello.capabilities.contains(&Capability::Audio),
            sees: hello.capabilities.contains(&Capability::Picture),
            heard: Mutex::default(),
        });
        let mut participants: Vec<_> = room.members().iter().map(|m| m.participant()).collect();
        let followed = participants.split_off(participants.len().min(WELCOMED));
        member.tell(&Message::Welcome(Welcome {
            version: admission.version,
            stream,
            server: self.config.name.clone(),
            agent: AGENT.to_owned(),
            room: room.name.clone(),
            participants,
            capabilities: CAPABILITIES.to_vec(),
            audio: admission.audio,
            heartbeat_ms: clock::short_millis(heartbeat::INTERVAL),
            timeout_ms: clock::short_millis(heartbeat::TIMEOUT),
        }));
        for participant in followed {
            member.tell(&Message::Joined(Joined { participant }));
        }
        room.tell_others(stream, &Message::Joined(Joined { participant: member.participant() }));
        lock(&room.members).insert(stream, Arc::clone(&member));
        lock(&room.inbox).push(Inbound::Join(stream));
        self.metrics.count_people(state.streams.len(), state.rooms.len());
        drop(state);
        self.rooms_changed.notify_all();
        Ok(Seat { room, member })
    }

    /// Takes a participant out and tells the others.
    pub(crate) fn leave(&self, seat: &Seat) {
        let stream = seat.member.stream;
        let mut state = lock(&self.state);
        state.streams.remove(&stream);
        let empty = {
            let mut members = lock(&seat.room.members);
            members.remove(&stream);
            members.is_empty()
        };
        if seat.room.echo {
            state.echo_rooms.remove(&stream);
        } else if empty {
            state.rooms.remove(&seat.room.name);
        }
        self.metrics.count_people(state.streams.len(), state.rooms.len());
        drop(state);
        lock(&seat.room.inbox).push(Inbound::Leave(stream));
        seat.room.others(stream).iter().for_each(|other| other.outbox.forget(stream));
        seat.room.tell_others(stream, &Message::Left(Left { stream, name: seat.member.name.clone() }));
    }

    /// The rooms of this tick.
    pub(crate) fn rooms(&self) -> Vec<Arc<Room>> {
        let state = lock(&self.state);
        state.rooms.values().chain(state.echo_rooms.values()).cloned().collect()
    }

    /// Waits until there is a room; `false` at the end.
    pub(crate) fn wait_for_rooms(&self) -> bool {
        let state = lock(&self.state);
        let waits = |state: &mut State| state.rooms.is_empty() && state.echo_rooms.is_empty() && !state.draining;
        let state = self.rooms_changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        !state.draining
    }

    /// Says goodbye to all and waits for them to go, at most `patience`. Gives the number of those who stayed.
    pub(crate) async fn drain(&self, patience: Duration) -> u32 {
        {
            let mut state = lock(&self.state);
            state.draining = true;
            for outbox in state.connections.values() {
                outbox.close(crate::protocol::close::GOING_AWAY, "the server is going down");
            }
        }
        self.rooms_changed.notify_all();
        let all_gone = async {
            loop {
                let gone = self.connection_gone.notified();
                if self.open_connections() == 0 {
                    return;
                }
                gone.await;
            }
        };
        drop(tokio::time::timeout(patience, all_gone).await);
        self.open_connections()
    }
}

impl State {
    /// The next number after the last one given that nobody has: a number is not reused while its last frames may still
    /// be on their way. 0 is the mix.
    fn free_stream(&mut self) -> u16 {
        loop {
            self.last_stream = self.last_stream.checked_add(1).unwrap_or(1);
            if self.streams.insert(self.last_stream) {
                return self.last_stream;
            }
        }
    }

    fn make_room(&mut self, name: &str) -> Arc<Room> {
        let room = self.new_room(name, false);
        self.rooms.insert(name.to_owned(), Arc::clone(&room));
        room
    }

    fn make_echo(&mut self, stream: u16) -> Arc<Room> {
        let room = self.new_room(ECHO_ROOM, true);
        self.echo_rooms.insert(stream, Arc::clone(&room));
        room
    }

    fn new_room(&mut self, name: &str, echo: bool) -> Arc<Room> {
        self.rooms_made += 1;
        let (id, name) = (self.rooms_made, name.to_owned());
        Arc::new(Room { id, name, echo, members: Mutex::default(), inbox: Mutex::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::net::outbox::Next;
    use crate::protocol::AudioParameters;
    use crate::server::Origins;

    fn hub(max_clients: u32) -> Hub {
        Hub::new(Config {
            name: "test".to_owned(),
            max_clients,
            loudest: 8,
            degraded: vec![],
            origins: Origins::default(),
            page_from: None,
            log: Log::discard(),
            #[cfg(feature = "sabotage")]
            sabotage: None,
        })
    }

    fn hello(name: String) -> Hello {
        Hello {
            version_min: 1,
            version_max: 1,
            name,
            room: "lobby".to_owned(),
            capabilities: vec![],
            agent: String::new(),
            audio: AudioParameters::default(),
        }
    }

    /// The names that a newcomer is told, by welcome and by the joins behind it.
    async fn told(outbox: &Outbox) -> (usize, usize) {
        outbox.close(1000, "end of what waits");
        let (mut welcomed, mut followed) = (0, 0);
        while let Next::Frame(bytes) = outbox.next().await {
            match Message::decode(&Frame::from_message(bytes).unwrap()).unwrap() {
                Some(Message::Welcome(welcome)) => welcomed = welcome.participants.len(),
                Some(Message::Joined(_)) => followed += 1,
                other => panic!("{other:?}"),
            }
        }
        (welcomed, followed)
    }

    #[test]
    fn an_echo_is_alone_in_a_room_of_its_own_and_counts_as_a_participant() {
        let hub = hub(4);
        let join = |name: &str, room: &str, capabilities: &[Capability]| {
            let hello = Hello { room: room.to_owned(), capabilities: capabilities.to_vec(), ..hello(name.to_owned()) };
            hub.join(&hello, &Arc::default())
        };
        let ada = join("ada", "lobby", &[Capability::Audio]).unwrap();
        let echoes = [0, 1].map(|_| join("ada", "lobby", &[Capability::Audio, Capability::Echo]).unwrap());
        let namesake = join("ada", ECHO_ROOM, &[]).expect("a room of that name is a room like any other");
        for seat in &echoes {
            assert_eq!((seat.room.members().len(), seat.room.echo), (1, true), "alone, whoever has its name");
        }
        assert_eq!(ada.room.members().len(), 1, "nobody was told of the echoes");
        assert_eq!(hub.rooms().len(), 4, "the mixer serves all");
        assert_eq!(join("eve", "lobby", &[Capability::Echo]).unwrap_err().code, RefusalCode::ServerFull);
        hub.leave(&echoes[0]);
        assert_eq!(hub.rooms().len(), 3);
        assert!(join("eve", "lobby", &[]).is_ok(), "its place is free again");
        for seat in [&echoes[1], &namesake] {
            hub.leave(seat);
        }
        assert_eq!(hub.rooms().iter().map(|room| room.name.as_str()).collect::<Vec<_>>(), ["lobby"]);
    }

    #[test]
    fn a_hello_without_a_common_version_learns_what_the_server_is() {
        let hello = Hello { version_min: 0, version_max: 0, ..hello("probe".to_owned()) };
        let refusal = hub(1).join(&hello, &Arc::default()).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::VersionUnsupported);
        assert_eq!((refusal.version_min, refusal.version_max), (Some(1), Some(1)));
        assert_eq!(refusal.capabilities.as_deref(), Some(&CAPABILITIES[..]));
        assert!(refusal.agent.is_some_and(|agent| agent.starts_with("sidetone/")));
    }

    #[tokio::test]
    async fn a_crowded_room_fits_into_a_newcomers_queue_and_is_full_at_last() {
        let hub = hub(10_000);
        let long = "\u{1F600}".repeat(28);
        for n in 0..MOST_OF_A_ROOM - 1 {
            hub.join(&hello(format!("{long}{n:04}")), &Arc::default()).unwrap();
        }
        let outbox = Arc::default();
        hub.join(&hello("last".to_owned()), &outbox).unwrap();
        assert_eq!(told(&outbox).await, (WELCOMED, MOST_OF_A_ROOM - 1 - WELCOMED));
        let refusal = hub.join(&hello("one too many".to_owned()), &Arc::default()).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::ServerFull);
    }
}
