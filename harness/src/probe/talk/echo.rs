//! The echo room: a marked signal goes through everything that anybody's sound goes through, and comes back.

use super::ear::{self, Arrival};
use super::hello::{self, Answer, word};
use super::link::{Link, Seen, harmless};
use crate::evidence::probed::{EchoHeard, Failure, How, Saw, Step};
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::{Lap, Watch};
use sidetone::audio::FRAME;
use sidetone::net::transport::Received;
use sidetone::protocol::{AudioPacket, Capability, Frame, Kind, Message, Ping, VERSION};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long after its last word the probe listens.
const TAIL: Duration = Duration::from_millis(700);
/// Frames between two heartbeats.
const HEARTBEAT: usize = 12;
/// Frames that a server may send: a mixer sends 50 packets a second.
const MOST: usize = 1_000;
/// Ticks of a frame.
const TICKS: u32 = 960;

/// Joins it, sends a marked signal for two seconds, and measures what comes back. Takes at most 3 s more than the layer's
/// deadline, which is for the way into the room.
pub async fn echo(stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let (heard, link) = Box::pin(listen(stream, options, lap.until(), watch)).await;
    let step = lap.end(address, Saw::Echo(heard));
    if let Some(link) = link {
        link.leave().await;
    }
    step
}

async fn listen(stream: Connection, options: &Options, until: Instant, watch: Watch) -> (EchoHeard, Option<Link>) {
    let mut heard =
        EchoHeard { tone_hz: ear::TONE_HZ, level_sent_db: f64::from(ear::LEVEL_DB), ..EchoHeard::default() };
    let packets = match ear::packets() {
        Ok(packets) => packets,
        Err(error) => {
            heard.failure = Some(Failure::new(How::Own, error.to_string()));
            return (heard, None);
        }
    };
    let seen = Seen::default();
    let joining = Box::pin(join(stream, options, seen.clone(), &mut heard));
    let (mut link, number) = match timeout_at(until, joining).await {
        Ok(Ok(joined)) => joined,
        Ok(Err((failure, link))) => {
            heard.failure = Some(failure);
            return (heard, link);
        }
        Err(_) => {
            heard.failure = Some(seen.late(watch.deadline));
            return (heard, None);
        }
    };
    let mut talk = Talk::new(packets, number, watch);
    let broken = talk.run(&mut link).await.err();
    let whole = broken.is_none();
    talk.conclude(&mut heard, broken);
    (heard, whole.then_some(link))
}

/// Into a room of its own, also where a server knows no echo and takes the word for nothing.
async fn join(
    stream: Connection,
    options: &Options,
    seen: Seen,
    heard: &mut EchoHeard,
) -> Result<(Link, u16), (Failure, Option<Link>)> {
    let mut link = Link::open(stream, options, seen).await.map_err(|failure| (failure, None))?;
    let name = format!("probe-{:016x}", rand::random::<u64>());
    let hello = hello::message(VERSION, vec![Capability::Audio, Capability::Echo], &name, &name);
    match hello::question(&mut link, &hello).await {
        Ok(Answer::Welcome(welcome)) => {
            let offered = welcome.capabilities.contains(&Capability::Echo);
            heard.offered = Some(offered);
            if offered {
                return Ok((link, welcome.stream));
            }
            let words = match welcome.capabilities.iter().filter_map(word).collect::<Vec<_>>().join(", ") {
                list if list.is_empty() => "the server offers no echo room".to_owned(),
                list => format!("the server offers no echo room, only {list}"),
            };
            Err((Failure::new(How::Said, words), Some(link)))
        }
        Ok(Answer::Refusal(refusal)) => {
            heard.refused = word(&refusal.code);
            Err((Failure::new(How::Said, harmless(&refusal.message)), Some(link)))
        }
        Err(failure) => Err((failure, None)),
    }
}

/// One conversation with oneself.
struct Talk {
    lap: Lap,
    began: Instant,
    packets: Vec<AudioPacket>,
    /// Our stream.
    number: u16,
    /// Packets sent; one more than there are: the keep-alive behind them too.
    sent: usize,
    lateness: Duration,
    /// When each heartbeat was sent; the place is its nonce.
    pings: Vec<Duration>,
    round_trips: Vec<Duration>,
    frames: usize,
    arrivals: Vec<Arrival>,
}

impl Talk {
    fn new(packets: Vec<AudioPacket>, number: u16, watch: Watch) -> Self {
        let lap = watch.begin();
        Self {
            lap,
            began: lap.until() - watch.deadline,
            packets,
            number,
            sent: 0,
            lateness: Duration::ZERO,
            pings: Vec::new(),
            round_trips: Vec::new(),
            frames: 0,
            arrivals: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.lap.so_far_us())
    }

    /// A frame is sent when its last sample has been spoken.
    fn due(&self) -> Duration {
        let place = u32::try_from(self.sent.min(self.packets.len())).unwrap_or(u32::MAX);
        FRAME * (place + 1) + if self.has_spoken() { TAIL } else { Duration::ZERO }
    }

    const fn has_spoken(&self) -> bool {
        self.sent > self.packets.len()
    }

    async fn run(&mut self, link: &mut Link) -> Result<(), Failure> {
        loop {
            match timeout_at(self.began + self.due(), link.next()).await {
                Ok(received) => {
                    if self.take(received?, link).await? {
                        return Ok(());
                    }
                }
                Err(_) if self.has_spoken() => return Ok(()),
                Err(_) => self.speak(link).await?,
            }
        }
    }

    async fn speak(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.lateness = self.lateness.max(self.now().saturating_sub(self.due()));
        let (keep_alive, place) = (AudioPacket::keep_alive(), self.sent + 1);
        let packet = self.packets.get(self.sent).unwrap_or(&keep_alive);
        let sequence = u16::try_from(place).unwrap_or(u16::MAX);
        let frame = packet.frame(self.number, sequence, TICKS * u32::from(sequence)).encode();
        self.send(link, frame).await?;
        if self.sent.is_multiple_of(HEARTBEAT) {
            let nonce = self.pings.len() as u64;
            self.pings.push(self.now());
            self.send(link, Message::Ping(Ping { nonce }).frame(self.number, 0).encode()).await?;
        }
        self.sent += 1;
        Ok(())
    }

    /// A server that takes nothing for so long hangs.
    async fn send(&self, link: &mut Link, frame: bytes::Bytes) -> Result<(), Failure> {
        let patience = self.began + self.due() + TAIL;
        let full = || Failure::new(How::TimedOut, format!("takes nothing for {} ms", TAIL.as_millis()));
        match timeout_at(patience, link.send(frame)).await {
            Ok(sent) => sent,
            Err(_) => Err(link.failed(full())),
        }
    }

    /// Whether that was the end of the echo.
    async fn take(&mut self, received: Received, link: &mut Link) -> Result<bool, Failure> {
        self.frames += 1;
        if self.frames > MOST {
            return Err(link.failed(Failure::new(How::TooMuch, format!("more than {MOST} frames"))));
        }
        let frame = match received {
            Received::Frame(frame) => frame,
            Received::Alive => return Ok(false),
            Received::Closed(code, reason) => return Err(link.closed(code, &reason)),
        };
        if frame.kind == Kind::Audio {
            return self.hear(&frame, link);
        }
        let malformed = |error: &dyn std::fmt::Display| Failure::new(How::Malformed, harmless(&error.to_string()));
        match Message::decode(&frame).map_err(|error| link.failed(malformed(&error)))? {
            Some(Message::Ping(ping)) => self.send(link, Message::Pong(ping).frame(self.number, 0).encode()).await?,
            Some(Message::Pong(Ping { nonce })) => {
                let sent = usize::try_from(nonce).ok().and_then(|place| self.pings.get(place));
                self.round_trips.extend(sent.map(|sent| self.now().saturating_sub(*sent)));
            }
            _ => {}
        }
        Ok(false)
    }

    fn hear(&mut self, frame: &Frame, link: &Link) -> Result<bool, Failure> {
        let malformed = |error| link.failed(Failure::new(How::Malformed, harmless(&format!("{error}"))));
        let packet = AudioPacket::decode(&frame.payload).map_err(malformed)?;
        let silent = packet.opus.is_empty();
        let (at, sequence, timestamp) = (self.now(), frame.sequence, frame.timestamp);
        self.arrivals.push(Arrival { at, sequence, timestamp, packet });
        let heard = || self.arrivals.iter().any(|arrival| !arrival.packet.opus.is_empty());
        Ok(silent && self.has_spoken() && heard())
    }

    fn conclude(mut self, heard: &mut EchoHeard, broken: Option<Failure>) {
        let spoken = self.sent.min(self.packets.len()) as u64;
        heard.packets_sent = spoken;
        heard.sent_ms = spoken * 20;
        heard.own_lateness_us = u64::try_from(self.lateness.as_micros()).unwrap_or(u64::MAX);
        self.round_trips.sort_unstable();
        let median = self.round_trips.get(self.round_trips.len() / 2);
        heard.rtt_us = median.and_then(|time| u64::try_from(time.as_micros()).ok());
        ear::judge(heard, &self.arrivals);
        let nothing =
            || Failure::new(How::TimedOut, format!("no packet came back within {} ms", self.due().as_millis()));
        heard.failure = broken.or_else(|| self.arrivals.is_empty().then(nothing));
    }
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test wants some kinds; the rest fail it")]
mod tests {
    use super::*;
    use crate::probe::target::Target;
    use sidetone::protocol::{AudioParameters, Decoder, Refusal, RefusalCode, Welcome};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    fn welcome(capabilities: Vec<Capability>) -> Message {
        Message::Welcome(Welcome {
            version: 1,
            stream: 7,
            server: "test".to_owned(),
            agent: "test/1".to_owned(),
            room: "(echo)".to_owned(),
            participants: vec![],
            capabilities,
            audio: AudioParameters::default(),
            heartbeat_ms: 2_000,
            timeout_ms: 10_000,
        })
    }

    /// Answers a hello with `answer`, then gives back what `returned` makes of each packet.
    async fn server(mut far: DuplexStream, answer: Message, mut returned: impl FnMut(Frame) -> Option<Frame>) {
        let mut decoder = Decoder::new();
        loop {
            while let Some(frame) = decoder.next_frame().unwrap() {
                let reply = match frame.kind {
                    Kind::Hello => Some(answer.frame(0, 0)),
                    Kind::Ping => Some(Frame { kind: Kind::Pong, ..frame }),
                    Kind::Audio => returned(frame),
                    Kind::Bye => return,
                    other => panic!("{other:?} of a probe"),
                };
                if let Some(reply) = reply
                    && far.write_all(&reply.encode()).await.is_err()
                {
                    return;
                }
            }
            if far.read_buf(decoder.buffer()).await.unwrap_or(0) == 0 {
                return;
            }
        }
    }

    async fn heard(answer: Message, returned: impl FnMut(Frame) -> Option<Frame>) -> EchoHeard {
        let (near, far) = tokio::io::duplex(64 * 1_024);
        let Target::Url(url) = "tcp://127.0.0.1".parse().unwrap() else { panic!() };
        let options = Options { deadline: Duration::from_secs(2), ..Options::new(url) };
        let echoing = echo(Box::new(near), ([127, 0, 0, 1], 9).into(), &options, Watch::start(options.deadline));
        let (step, ()) = tokio::join!(echoing, server(far, answer, returned));
        let Saw::Echo(heard) = step.saw else { panic!("{step:?}") };
        heard
    }

    #[tokio::test]
    async fn a_good_echo_a_silent_one_and_one_that_is_not_offered() {
        let both = || vec![Capability::Audio, Capability::Echo];
        let (good, silent, none, full, gone) = tokio::join!(
            heard(welcome(both()), Some),
            heard(welcome(both()), |frame| {
                let (sequence, timestamp) = (frame.sequence, frame.timestamp);
                Some(AudioPacket::keep_alive().frame(0, sequence, timestamp))
            }),
            heard(welcome(vec![Capability::Audio, Capability::Chat]), Some),
            heard(Message::Refusal(Refusal::new(RefusalCode::ServerFull, "full\u{7}")), Some),
            heard(welcome(both()), |_| None),
        );
        assert!(good.failure.is_none(), "{good:?}");
        assert_eq!((good.sent_ms, good.packets_sent, good.packets_received, good.packets_lost), (2_000, 100, 100, 0));
        assert_eq!(good.offered, Some(true));
        assert!(good.rtt_us.is_some() && good.level_heard_db.is_some_and(|db| (db + 20.0).abs() < 1.0), "{good:?}");
        assert!(
            (silent.packets_received, silent.level_heard_db) == (0, None) && silent.failure.is_none(),
            "{silent:?}"
        );
        assert_eq!(none.failure.unwrap().words, "the server offers no echo room, only audio, chat");
        assert_eq!((none.offered, none.packets_sent), (Some(false), 0));
        assert_eq!(
            (full.refused.as_deref(), full.failure.unwrap().words.as_str()),
            (Some("server_full"), "full\u{fffd}")
        );
        assert_eq!(gone.failure.unwrap().how, How::TimedOut);
    }
}
