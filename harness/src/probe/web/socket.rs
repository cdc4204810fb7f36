//! A WebSocket that keeps what is wrong with what it receives.

use super::frame::{BINARY, CLOSE, NORMAL, PING, PONG, TEXT, encode};
use super::messages::Heard;
use super::wire::{Trouble, Wire};
use crate::evidence::probed::{
    Close, Closed, Excerpt, Exchange, Failure, FrameProblem, How, Message, Ping, Saw, Step, Wait,
};
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::Watch;
use regex::bytes::Regex;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{timeout, timeout_at};

/// Bytes of a message that are kept.
const KEPT: usize = Excerpt::MOST;
/// Bytes of a message in which an expected pattern is looked for.
const SEARCHED: usize = 64 << 10;
/// Messages that are kept.
const MOST_MESSAGES: usize = 5;
/// More pings than that within the time of a probe are a flood.
const FLOOD_PINGS: u64 = 1_000;
/// The probe stops to read after so many bytes, and after so many frames, that nobody asked for: its own limits.
const MOST_BYTES: u64 = 64 << 20;
const MOST_FRAMES: u64 = 1_000_000;
/// How long it is listened to what the server says first: four round trips within these bounds.
const LISTEN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));
/// How long the server has to close the connection after both close frames.
const HANG_UP: Duration = Duration::from_millis(500);

/// An upgraded connection.
pub struct WebSocket {
    /// What was upgraded.
    pub stream: Connection,
    /// Bytes that came together with the answer.
    pub early: Vec<u8>,
    /// The chosen subprotocol.
    pub subprotocol: Option<String>,
    /// Whether an extension was agreed, which only a header of the user's own can have offered.
    pub extended: bool,
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket").field("subprotocol", &self.subprotocol).finish_non_exhaustive()
    }
}

impl WebSocket {
    /// Ping and pong; what the server says meanwhile and shortly after; `--send` and `--expect`; the close handshake.
    pub async fn look(self, address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
        let mut talk = Talk::new(self);
        let lap = watch.begin();
        let ping = talk.ping(watch).await;
        let mut steps = vec![lap.end(address, Saw::Ping(ping.clone()))];
        if let (None, Some(rtt_us)) = (&talk.over, ping.rtt_us) {
            let window = Duration::from_micros(rtt_us.saturating_mul(4)).clamp(LISTEN.0, LISTEN.1);
            drop(timeout(window, async { while talk.hear().await.is_some() {} }).await);
        }
        talk.wait.listened_ms = lap.so_far_us() / 1_000;
        let over = talk.over.clone();
        steps.push(lap.end(address, Saw::Wait(talk.waited())));
        if over.is_some() {
            talk.answer_close().await;
            return steps;
        }
        if options.send.is_some() || options.expect.is_some() {
            let lap = watch.begin();
            let exchange = talk.exchange(options, watch).await;
            steps.push(lap.end(address, Saw::Exchange(exchange)));
        }
        let lap = watch.begin();
        let close = talk.close(watch).await;
        steps.push(lap.end(address, Saw::Close(close)));
        steps
    }

    /// Says that it is done, and does not wait for the answer.
    pub(super) async fn leave(self) {
        let mut wire = Wire::new(self, 0);
        drop(timeout(HANG_UP, wire.send(CLOSE, &NORMAL.to_be_bytes())).await);
    }
}

/// Why nothing more will be heard.
#[derive(Clone, Debug)]
enum Over {
    Trouble(Trouble),
    Closed(Closed),
    /// A limit of the probe's own.
    Enough(Failure),
}

impl Over {
    /// As the failure of a step that needed the connection.
    fn failure(&self) -> Failure {
        match self {
            Self::Trouble(trouble) => trouble.failure.clone(),
            Self::Enough(failure) => failure.clone(),
            Self::Closed(closed) => Failure::new(How::Said, format!("it closed the WebSocket: {}", told(closed))),
        }
    }
}

/// `1011 (broken)`.
fn told(closed: &Closed) -> String {
    let code = closed.code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
    if closed.reason.is_empty() { code } else { format!("{code} ({})", closed.reason.first_line(120)) }
}

/// A conversation on a WebSocket.
struct Talk {
    wire: Wire,
    wait: Wait,
    over: Option<Over>,
    /// Beginnings of the messages that came while nobody asked.
    first_words: Vec<Vec<u8>>,
    /// Whether what comes was asked for, so that no amount of it is a flood.
    asked: bool,
}

impl Talk {
    fn new(socket: WebSocket) -> Self {
        let wire = Wire::new(socket, KEPT);
        Self { wire, wait: Wait::default(), over: None, first_words: Vec::new(), asked: false }
    }

    /// The next thing; pings are answered. `None`: nothing more will come, and `over` says why.
    async fn hear(&mut self) -> Option<Heard> {
        let heard = self.wire.read.next().await;
        let heard = self.noted(heard)?;
        if let Heard::Ping(payload) = &heard {
            self.wire.send(PONG, payload).await;
        }
        Some(heard)
    }

    /// Counts what came, and sees its end.
    fn noted(&mut self, heard: Result<Heard, Trouble>) -> Option<Heard> {
        let heard = match heard {
            Ok(heard) => heard,
            Err(trouble) => {
                self.over = Some(Over::Trouble(trouble));
                return None;
            }
        };
        match &heard {
            Heard::Message(message, begins) if !self.asked => self.keep(message, begins),
            Heard::Ping(_) => self.wait.pings += 1,
            Heard::Closed(closed) => {
                self.over = Some(Over::Closed(closed.clone()));
                return None;
            }
            Heard::Message(..) | Heard::Pong(_) => {}
        }
        let messages = &self.wire.read.messages;
        if self.asked {
            return Some(heard);
        }
        if self.wait.pings > FLOOD_PINGS {
            let mut trouble = Trouble::broken(FrameProblem::Flood, &[]);
            trouble.failure.words = format!("{} pings that nobody asked for", self.wait.pings);
            self.over = Some(Over::Trouble(trouble));
            return None;
        }
        if messages.frames > MOST_FRAMES || messages.bytes > MOST_BYTES {
            let (frames, bytes) = (messages.frames, messages.bytes);
            let words = format!("the probe's own limit: it stopped to read after {frames} frames with {bytes} bytes");
            self.over = Some(Over::Enough(Failure::new(How::Own, words)));
            return None;
        }
        Some(heard)
    }

    fn keep(&mut self, message: &Message, begins: &[u8]) {
        if self.wait.messages.len() < MOST_MESSAGES {
            self.wait.messages.push(message.clone());
            self.first_words.push(begins.to_vec());
        }
    }

    async fn ping(&mut self, watch: Watch) -> Ping {
        let mut ping = Ping::default();
        let lap = watch.begin();
        let payload: [u8; 8] = rand::random();
        let (mut others, mut wrong) = (0_u32, false);
        let answered = timeout_at(lap.until(), async {
            self.wire.send(PING, &payload).await;
            while let Some(heard) = self.hear().await {
                match heard {
                    Heard::Pong(answer) if answer == payload => return true,
                    Heard::Pong(_) => wrong = true,
                    Heard::Message(..) | Heard::Ping(_) | Heard::Closed(_) => {}
                }
                others = others.saturating_add(1);
            }
            false
        })
        .await;
        ping.others = others;
        let ms = watch.deadline.as_millis();
        match answered {
            Ok(true) => ping.rtt_us = Some(lap.so_far_us()),
            Ok(false) => ping.failure = self.over.as_ref().map(Over::failure),
            Err(_) if wrong => {
                ping.failure =
                    Some(Failure::new(How::TimedOut, format!("no pong with the ping's payload within {ms} ms")));
            }
            Err(_) => ping.failure = Some(Failure::new(How::TimedOut, format!("no pong within {ms} ms"))),
        }
        ping
    }

    /// What came while nobody asked, as a step.
    fn waited(&mut self) -> Wait {
        self.wait.frames = self.wire.read.messages.frames;
        match &self.over {
            None => {}
            Some(Over::Closed(closed)) => self.wait.closed = Some(closed.clone()),
            Some(Over::Enough(failure)) => self.wait.failure = Some(failure.clone()),
            Some(Over::Trouble(trouble)) => {
                self.wait.failure = Some(trouble.failure.clone());
                self.wait.problem = trouble.problem;
                self.wait.offending.clone_from(&trouble.offending);
            }
        }
        self.wait.clone()
    }

    /// Answers the server's close frame, or says what it broke.
    async fn answer_close(&mut self) {
        let code = match &self.over {
            Some(Over::Closed(closed)) => closed.code.unwrap_or(NORMAL),
            Some(Over::Trouble(trouble)) => match trouble.problem {
                None => return, // there is nobody any more
                Some(FrameProblem::BadUtf8) => 1007,
                Some(FrameProblem::TooLarge) => 1009,
                Some(FrameProblem::Flood) => 1008,
                Some(_) => 1002,
            },
            Some(Over::Enough(_)) | None => NORMAL,
        };
        drop(timeout(HANG_UP, self.wire.send(CLOSE, &code.to_be_bytes())).await);
    }

    /// Sends what the user wants to have sent, and reads until what is expected came.
    async fn exchange(&mut self, options: &Options, watch: Watch) -> Exchange {
        let lap = watch.begin();
        let sent = options.send.as_deref().unwrap_or_default();
        let mut exchange = Exchange {
            over: options.url.speak.word().to_owned(),
            sent: u64::try_from(sent.len()).unwrap_or(u64::MAX),
            expect: options.expect.as_ref().map(|pattern| pattern.as_str().to_owned()),
            ..Exchange::default()
        };
        self.wire.read.messages.keep = SEARCHED;
        self.asked = true;
        let talked = timeout_at(lap.until(), async {
            if options.send.is_none() {
                for begins in std::mem::take(&mut self.first_words) {
                    if fits(&mut exchange, &begins, options.expect.as_ref()) {
                        return true;
                    }
                }
            } else if self.send_while_reading(sent, &mut exchange, options).await {
                return true;
            }
            while let Some(heard) = self.hear().await {
                if let Heard::Message(_, begins) = heard
                    && fits(&mut exchange, &begins, options.expect.as_ref())
                {
                    return true;
                }
            }
            false
        })
        .await;
        exchange.matched = options.expect.as_ref().map(|_| matches!(talked, Ok(true)));
        exchange.failure = match (talked, &self.over) {
            (Ok(true), _) => None,
            (_, Some(over)) => Some(over.failure()),
            (_, None) => Some(nothing_that_fits(&exchange, watch)),
        };
        exchange
    }

    /// A peer that answers while it is sent to would wait for us if we did not read: both at once.
    async fn send_while_reading(&mut self, payload: &[u8], exchange: &mut Exchange, options: &Options) -> bool {
        let opcode = if std::str::from_utf8(payload).is_ok() { TEXT } else { BINARY };
        let message = encode(opcode, payload, rand::random());
        let mut left = message.as_slice();
        let (mut found, mut pinged) = (false, None);
        while !left.is_empty() {
            tokio::select! {
                written = self.wire.write.write(left) => match written {
                    Ok(n @ 1..) => left = &left[n..],
                    Ok(0) | Err(_) => break, // reading tells why
                },
                heard = self.wire.read.next() => match self.noted(heard) {
                    Some(Heard::Message(_, begins)) => found |= fits(exchange, &begins, options.expect.as_ref()),
                    Some(Heard::Ping(payload)) => pinged = Some(payload),
                    Some(Heard::Pong(_) | Heard::Closed(_)) => {}
                    None => return false,
                },
            }
        }
        drop(self.wire.write.flush().await);
        if let Some(payload) = pinged {
            self.wire.send(PONG, &payload).await; // the last one is enough (RFC 6455, section 5.5.3)
        }
        found
    }

    async fn close(&mut self, watch: Watch) -> Close {
        let lap = watch.begin();
        let mut close = Close::default();
        self.wire.read.messages.keep = 0;
        match &self.over {
            Some(Over::Closed(closed)) => {
                close.answer = Some(closed.clone());
                self.answer_close().await;
                return close;
            }
            Some(Over::Enough(failure)) => {
                close.failure = Some(failure.clone());
                self.answer_close().await;
                return close;
            }
            Some(Over::Trouble(trouble)) => {
                close.failure = Some(trouble.failure.clone());
                close.problem = trouble.problem;
                self.answer_close().await;
                return close;
            }
            None => {}
        }
        // what was on its way when it was asked to close is no flood
        self.asked = true;
        let closing = timeout_at(lap.until(), async {
            self.wire.send(CLOSE, &NORMAL.to_be_bytes()).await;
            while self.hear().await.is_some() {}
        });
        if closing.await.is_err() {
            let ms = watch.deadline.as_millis();
            close.failure = Some(Failure::new(How::TimedOut, format!("no close frame within {ms} ms")));
            return close;
        }
        match &self.over {
            Some(Over::Closed(closed)) => {
                close.answer = Some(closed.clone());
                close.hung_up = Some(timeout(HANG_UP, self.wire.read.drain()).await.is_ok());
            }
            Some(Over::Trouble(trouble)) => {
                close.failure = Some(trouble.failure.clone());
                close.problem = trouble.problem;
            }
            Some(Over::Enough(failure)) => close.failure = Some(failure.clone()),
            None => {}
        }
        close
    }
}

/// Takes a message into account. Whether it is what was waited for.
fn fits(exchange: &mut Exchange, message: &[u8], expect: Option<&Regex>) -> bool {
    let fits = expect.is_none_or(|pattern| pattern.is_match(message));
    exchange.received += u64::try_from(message.len()).unwrap_or(u64::MAX);
    if exchange.begins.is_empty() || fits {
        exchange.begins = match std::str::from_utf8(message) {
            Ok(text) => Excerpt::text(text),
            Err(_) => Excerpt::of(&message[..message.len().min(Excerpt::MOST)]),
        };
    }
    fits
}

fn nothing_that_fits(exchange: &Exchange, watch: Watch) -> Failure {
    let ms = watch.deadline.as_millis();
    match (exchange.received, &exchange.expect) {
        (0, _) => Failure::new(How::TimedOut, format!("no message within {ms} ms")),
        (received, _) => {
            let words = format!("{received} bytes within {ms} ms, none of it what was expected");
            Failure { received, begins: exchange.begins.clone(), ..Failure::new(How::TimedOut, words) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, DuplexStream};

    const CLOSED: &[u8] = b"\x88\x02\x03\xe8";

    fn options() -> Options {
        let Ok(Target::Url(url)) = "ws://x".parse() else { panic!() };
        Options { deadline: Duration::from_secs(30), ..Options::new(url) }
    }

    /// Looks at a peer that does what the test says.
    async fn looked<F: Future<Output = ()> + Send + 'static>(
        options: Options,
        peer: impl FnOnce(DuplexStream) -> F,
    ) -> Vec<Saw> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(peer(theirs));
        let socket = WebSocket { stream: Box::new(ours), early: Vec::new(), subprotocol: None, extended: false };
        let watch = Watch::start(options.deadline);
        let steps = socket.look(([127, 0, 0, 1], 9).into(), &options, watch).await;
        steps.into_iter().map(|step| step.saw).collect()
    }

    /// Reads a frame of ours; its opcode and payload.
    async fn frame(peer: &mut DuplexStream) -> (u8, Vec<u8>) {
        let mut head = [0; 6];
        peer.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1] & 0x7f)];
        peer.read_exact(&mut payload).await.unwrap();
        payload.iter_mut().zip(head[2..].iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (head[0] & 0x0f, payload)
    }

    async fn pong(peer: &mut DuplexStream) {
        let (opcode, payload) = frame(peer).await;
        assert_eq!(opcode, PING);
        peer.write_all(&[&[0x8a, 8], payload.as_slice()].concat()).await.unwrap();
    }

    fn failure(saw: &Saw) -> Option<(How, &str)> {
        saw.failure().map(|failure| (failure.how, failure.words.as_str()))
    }

    #[tokio::test]
    async fn a_healthy_server_is_soon_done_with() {
        let saw = looked(options(), |mut peer| async move {
            peer.write_all(b"\x81\x05hello\x89\x01!").await.unwrap();
            pong(&mut peer).await;
            assert_eq!(frame(&mut peer).await, (PONG, b"!".to_vec()), "pings are answered");
            assert_eq!(frame(&mut peer).await, (CLOSE, NORMAL.to_be_bytes().to_vec()));
            peer.write_all(CLOSED).await.unwrap();
        })
        .await;
        let [Saw::Ping(ping), Saw::Wait(wait), Saw::Close(close)] = saw.as_slice() else { panic!("{saw:?}") };
        assert!(ping.rtt_us.is_some() && ping.others == 2 && ping.failure.is_none(), "{ping:?}");
        assert_eq!((wait.messages[0].begins.as_str(), wait.frames, wait.pings), ("hello", 3, 1));
        assert_eq!((close.answer.as_ref().unwrap().code, close.hung_up), (Some(1000), Some(true)));
        assert!(wait.failure.is_none() && close.failure.is_none());
    }

    #[tokio::test]
    async fn words_are_sent_and_what_is_expected_is_found() {
        let send = Options {
            send: Some(Arc::from(&b"who are you?"[..])),
            expect: Some(Regex::new("I am \\w+").unwrap()),
            ..options()
        };
        let saw = looked(send.clone(), |mut peer| async move {
            pong(&mut peer).await;
            assert_eq!(frame(&mut peer).await, (TEXT, b"who are you?".to_vec()));
            peer.write_all(b"\x81\x03eh?\x81\x09I am Bob.").await.unwrap();
            frame(&mut peer).await;
            peer.write_all(CLOSED).await.unwrap();
        })
        .await;
        let Saw::Exchange(exchange) = &saw[2] else { panic!("{saw:?}") };
        assert_eq!((exchange.sent, exchange.received, exchange.matched), (12, 12, Some(true)));
        assert_eq!((exchange.begins.as_str(), &exchange.failure), ("I am Bob.", &None));
        let saw = looked(send, |mut peer| async move {
            pong(&mut peer).await;
            frame(&mut peer).await;
            peer.write_all(b"\x88\x06\x03\xebtext").await.unwrap();
        })
        .await;
        let [_, _, Saw::Exchange(exchange), Saw::Close(close)] = saw.as_slice() else { panic!("{saw:?}") };
        assert_eq!(exchange.failure.as_ref().unwrap().words, "it closed the WebSocket: 1003 (text)");
        assert_eq!((exchange.matched, close.answer.as_ref().unwrap().code), (Some(false), Some(1003)));
    }

    #[tokio::test]
    async fn what_the_server_said_first_may_be_what_is_expected() {
        let expect = Options { expect: Some(Regex::new("hello").unwrap()), ..options() };
        let saw = looked(expect, |mut peer| async move {
            peer.write_all(b"\x81\x05hello").await.unwrap();
            pong(&mut peer).await;
            frame(&mut peer).await;
            peer.write_all(CLOSED).await.unwrap();
        })
        .await;
        assert!(matches!(&saw[2], Saw::Exchange(e) if e.matched == Some(true) && e.failure.is_none()), "{saw:?}");
    }

    #[tokio::test]
    async fn broken_frames_floods_and_giants_are_told_with_their_bytes() {
        for (bytes, how, problem, offending) in [
            (&b"\xc1\x01x"[..], How::Malformed, FrameProblem::ReservedBit, Some("c1 01")),
            (b"\x81\x81aaaab", How::Malformed, FrameProblem::Masked, Some("81 81")),
            (b"\x81\x02\xff\xfe", How::Malformed, FrameProblem::BadUtf8, None),
            (
                b"\x82\x7f\0\0\x01\0\0\0\0\0",
                How::TooMuch,
                FrameProblem::TooLarge,
                Some("82 7f 00 00 01 00 00 00 00 00"),
            ),
        ] {
            let saw = looked(options(), move |mut peer| async move {
                peer.write_all(bytes).await.unwrap();
                drop(peer.read_to_end(&mut Vec::new()).await);
            })
            .await;
            let [Saw::Ping(ping), Saw::Wait(wait)] = saw.as_slice() else { panic!("{saw:?}") };
            assert_eq!((wait.failure.as_ref().unwrap().how, wait.problem), (how, Some(problem)));
            assert_eq!((wait.offending.as_deref(), &ping.failure), (offending, &wait.failure));
        }
        let saw = looked(options(), |mut peer| async move {
            let pings = b"\x89\0".repeat(1_000);
            while peer.write_all(&pings).await.is_ok() {
                drop(peer.read(&mut vec![0; 65_536]).await);
            }
        })
        .await;
        let Saw::Wait(wait) = &saw[1] else { panic!("{saw:?}") };
        assert_eq!((failure(&saw[1]).unwrap().0, wait.problem), (How::TooMuch, Some(FrameProblem::Flood)));
        assert!(wait.frames <= 1_001 && wait.pings > 900, "{wait:?}");
    }

    #[tokio::test]
    async fn ends_of_each_kind_are_told_apart() {
        let saw = looked(options(), |mut peer| async move { pong(&mut peer).await }).await;
        let ended = Some((How::Closed, "the connection ended without a close frame"));
        assert!(failure(&saw[1]) == ended || failure(&saw[2]) == ended, "{saw:?}");
        let saw = looked(options(), |mut peer| async move {
            peer.write_all(b"\x88\x09\x03\xf3no room").await.unwrap();
            drop(peer.read_to_end(&mut Vec::new()).await);
        })
        .await;
        let [Saw::Ping(_), Saw::Wait(wait)] = saw.as_slice() else { panic!("{saw:?}") };
        assert_eq!((wait.closed.as_ref().unwrap().code, &wait.failure), (Some(1011), &None));
        assert_eq!(failure(&saw[0]), Some((How::Said, "it closed the WebSocket: 1011 (no room)")));
        let short = Options { deadline: Duration::from_millis(300), ..options() };
        let saw = looked(short, |mut peer| async move { drop(peer.read_to_end(&mut Vec::new()).await) }).await;
        assert_eq!(failure(&saw[0]), Some((How::TimedOut, "no pong within 300 ms")));
        assert_eq!(failure(&saw[2]), Some((How::TimedOut, "no close frame within 300 ms")));
        let saw = looked(options(), |mut peer| async move {
            pong(&mut peer).await;
            frame(&mut peer).await;
            peer.write_all(CLOSED).await.unwrap();
            drop(peer.read_to_end(&mut Vec::new()).await);
        })
        .await;
        let Saw::Close(close) = &saw[2] else { panic!("{saw:?}") };
        assert_eq!((close.hung_up, &close.failure), (Some(false), &None), "it keeps the connection");
    }
}
