//! A Sidetone hello with no common version: a living server refuses it and tells what it is, and nobody in any room notices.

use super::link::{Link, Seen, harmless};
use crate::evidence::Speak;
use crate::evidence::probed::{Excerpt, Failure, Hello, How, Saw, Step};
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::Watch;
use serde::Serialize;
use sidetone::event::Transport;
use sidetone::net::transport::Received;
use sidetone::protocol::{self, AudioParameters, Capability, Message, VERSION};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Frames that may come before the answer.
const MOST_BEFORE: usize = 64;

/// Says it on a connection: framed, or on a WebSocket after an upgrade of its own (by `options.url.speak`).
pub async fn hello(stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let (hello, link) = Box::pin(ask(stream, options, lap.until(), watch.deadline)).await;
    let step = lap.end(address, Saw::Hello(hello));
    if let Some(link) = link {
        link.leave().await;
    }
    step
}

/// Asks, and gives back the connection if there was an answer. `until` is where `deadline` ends.
pub(in crate::probe) async fn ask(
    stream: Connection,
    options: &Options,
    until: Instant,
    deadline: Duration,
) -> (Hello, Option<Link>) {
    let websocket = matches!(options.url.speak, Speak::Ws | Speak::Wss);
    let transport = if websocket { Transport::WebSocket } else { Transport::Tcp };
    let mut hello = Hello { transport: Some(transport), ours: Some(VERSION), ..Hello::default() };
    let seen = Seen::default();
    let mut link = match timeout_at(until, Box::pin(Link::open(stream, options, seen.clone()))).await {
        Ok(Ok(link)) => link,
        Ok(Err(failure)) => return (Hello { failure: Some(failure), ..hello }, None),
        Err(_) => return (Hello { failure: Some(seen.late(deadline)), ..hello }, None),
    };
    let told = message(0, Vec::new(), "sidetone-harness", "probe");
    let failure = match timeout_at(until, question(&mut link, &told)).await {
        Ok(Ok(answer)) => return (answered(hello, answer), Some(link)),
        Ok(Err(failure)) => failure,
        Err(_) => seen.late(deadline),
    };
    hello.unfinished = link.unfinished();
    (Hello { failure: Some(failure), ..hello }, None)
}

/// A hello; version 0 is spoken by nobody.
pub(super) fn message(version: u16, capabilities: Vec<Capability>, name: &str, room: &str) -> Message {
    Message::Hello(protocol::Hello {
        version_min: version,
        version_max: version,
        name: name.to_owned(),
        room: room.to_owned(),
        capabilities,
        agent: concat!("sidetone-harness/", env!("CARGO_PKG_VERSION")).to_owned(),
        audio: AudioParameters::default(),
    })
}

/// The answer to a hello.
pub(super) enum Answer {
    Refusal(protocol::Refusal),
    Welcome(protocol::Welcome),
}

/// Sends a hello and waits for its answer. What a server may say before that is passed over.
pub(super) async fn question(link: &mut Link, hello: &Message) -> Result<Answer, Failure> {
    link.tell(hello).await?;
    for _ in 0..MOST_BEFORE {
        let frame = match link.next().await? {
            Received::Frame(frame) => frame,
            Received::Alive => continue,
            Received::Closed(code, reason) => return Err(link.closed(code, &reason)),
        };
        match Message::decode(&frame) {
            Ok(Some(Message::Refusal(refusal))) => return Ok(Answer::Refusal(refusal)),
            Ok(Some(Message::Welcome(welcome))) => return Ok(Answer::Welcome(welcome)),
            Ok(Some(Message::Ping(_)) | None) => {}
            Ok(Some(_)) => {
                let words = format!("answers a hello with kind 0x{:02x}", frame.kind.code());
                return Err(link.failed(Failure::new(How::Malformed, words)));
            }
            Err(error) => return Err(link.failed(Failure::new(How::Malformed, harmless(&error.to_string())))),
        }
    }
    Err(link.failed(Failure::new(How::Other, format!("{MOST_BEFORE} frames, and no answer among them"))))
}

fn answered(hello: Hello, answer: Answer) -> Hello {
    let words = |all: &[Capability]| all.iter().filter_map(word).collect();
    match answer {
        Answer::Refusal(refusal) => Hello {
            answered: true,
            code: word(&refusal.code),
            says: Excerpt::text(&refusal.message),
            agent: refusal.agent.as_deref().map(Excerpt::text),
            versions: refusal.version_min.zip(refusal.version_max),
            capabilities: refusal.capabilities.as_deref().map(words).unwrap_or_default(),
            ..hello
        },
        // it is not as strict as it should be, and it is there
        Answer::Welcome(welcome) => Hello {
            answered: true,
            says: Excerpt::text(&format!("welcome to {}", welcome.server)),
            agent: Some(Excerpt::text(&welcome.agent)),
            versions: Some((welcome.version, welcome.version)),
            capabilities: words(&welcome.capabilities),
            ..hello
        },
    }
}

/// The word of the wire.
pub(super) fn word(value: &impl Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::probed::Unfinished;
    use crate::probe::target::Target;
    use sidetone::protocol::{Frame, Kind, MAGIC, Refusal, RefusalCode};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    fn options(target: &str) -> Options {
        let Target::Url(url) = target.parse().unwrap() else { panic!("{target}") };
        Options { deadline: Duration::from_secs(30), ..Options::new(url) }
    }

    /// What is seen of a peer that reads the hello, says `bytes` and closes, or `hangs`.
    async fn seen(bytes: Vec<u8>, hangs: bool) -> Hello {
        seen_within(Duration::from_secs(30), bytes, hangs).await
    }

    async fn seen_within(deadline: Duration, bytes: Vec<u8>, hangs: bool) -> Hello {
        let (near, mut far) = tokio::io::duplex(4_096);
        let peer = async move {
            let mut head = [0; 16];
            far.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; usize::from(u16::from_be_bytes([head[14], head[15]]))];
            far.read_exact(&mut payload).await.unwrap();
            far.write_all(&bytes).await.unwrap();
            hangs.then_some(far)
        };
        let options = Options { deadline, ..options("tcp://127.0.0.1") };
        let watch = Watch::start(options.deadline);
        let (step, _kept): (Step, Option<DuplexStream>) =
            tokio::join!(hello(Box::new(near), ([127, 0, 0, 1], 9).into(), &options, watch), peer);
        let Saw::Hello(seen) = step.saw else { panic!("{step:?}") };
        seen
    }

    fn refusal(refusal: Refusal) -> Vec<u8> {
        Message::Refusal(refusal).frame(0, 0).encode().to_vec()
    }

    #[tokio::test]
    async fn a_server_is_known_by_its_refusal_whether_it_tells_more_or_not() {
        let plain = Refusal::new(RefusalCode::VersionUnsupported, "no\u{1b}[2J");
        let hello = seen(refusal(plain.clone()), false).await;
        assert!(hello.answered && hello.failure.is_none(), "{hello:?}");
        assert_eq!((hello.code.as_deref(), hello.says.as_str()), (Some("version_unsupported"), "no\u{fffd}[2J"));
        assert_eq!((hello.versions, hello.agent, hello.capabilities.len()), (None, None, 0));
        let telling = plain.told_by("sidetone/9", &[Capability::Audio, Capability::Echo]);
        // a ping and an unknown kind come first
        let mut bytes = Message::Ping(protocol::Ping { nonce: 1 }).frame(0, 0).encode().to_vec();
        let later = Frame { kind: Kind::Unknown(0x7f), stream: 0, sequence: 0, timestamp: 0, payload: "x".into() };
        bytes.extend(later.encode());
        bytes.extend(refusal(telling));
        let hello = seen(bytes, true).await;
        assert_eq!((hello.versions, hello.capabilities.join(" ").as_str()), (Some((1, 1)), "audio echo"));
        assert_eq!(hello.agent.unwrap().as_str(), "sidetone/9");
    }

    #[tokio::test]
    async fn each_wrong_answer_is_told_as_it_is() {
        let hello = seen(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), true).await;
        let failure = hello.failure.unwrap();
        assert_eq!((failure.how, failure.received), (How::Malformed, 21));
        assert_eq!(failure.begins.as_str(), "SSH-2.0-OpenSSH_9.6\r\n");
        let failure = seen(Vec::new(), false).await.failure.unwrap();
        assert_eq!((failure.how, failure.words.as_str()), (How::Closed, "closed without a byte"));
        let failure = seen_within(Duration::from_millis(300), Vec::new(), true).await.failure.unwrap();
        assert_eq!((failure.how, failure.words.as_str()), (How::TimedOut, "no byte within 300 ms"));
        let bye = Message::Bye(protocol::Bye { code: 1008, reason: "go away".to_owned() }).frame(0, 0).encode();
        let failure = seen(bye.to_vec(), true).await.failure.unwrap();
        assert_eq!((failure.how, failure.words.as_str()), (How::Said, "closed with 1008 go away"));
    }

    #[tokio::test]
    async fn a_frame_that_ends_early_and_one_that_never_can() {
        let whole = refusal(Refusal::new(RefusalCode::VersionUnsupported, "no"));
        let cut = whole[..20].to_vec();
        let announced = Some(whole.len() as u64);
        let hello = seen(cut.clone(), false).await;
        assert_eq!(hello.failure.unwrap().words, "closed inside a frame, after 20 bytes of it");
        assert_eq!(hello.unfinished, Some(Unfinished { had: 20, announced }));
        let hello = seen_within(Duration::from_secs(2), cut, true).await;
        assert_eq!(hello.failure.unwrap().how, How::TooSlow);
        assert_eq!(hello.unfinished, Some(Unfinished { had: 20, announced }));
        let absurd = [&[MAGIC, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[5, 0, 0, 0]].concat();
        let failure = seen(absurd, true).await.failure.unwrap();
        assert_eq!(failure.how, How::TooMuch);
        assert!(failure.words.contains("83886080") && failure.words.contains("(5 in the other"), "{}", failure.words);
    }

    #[tokio::test]
    async fn an_upgrade_that_is_refused_or_hangs_ends_the_step() {
        for (bytes, hangs, how) in [
            (&b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..], true, How::Said),
            (b"HTTP/1.1 1", true, How::TooSlow),
        ] {
            let (near, mut far) = tokio::io::duplex(4_096);
            let options = Options { deadline: Duration::from_secs(2), ..options("ws://127.0.0.1") };
            let until = Watch::start(options.deadline).begin().until();
            let asking = ask(Box::new(near), &options, until, options.deadline);
            let ((hello, link), _kept) = tokio::join!(asking, async move {
                far.write_all(bytes).await.unwrap();
                hangs.then_some(far)
            });
            assert_eq!(hello.transport, Some(Transport::WebSocket));
            assert!(link.is_none());
            assert_eq!(hello.failure.map(|f| f.how), Some(how));
        }
    }
}
