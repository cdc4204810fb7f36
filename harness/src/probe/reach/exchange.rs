//! `--send` and `--expect`.

use crate::evidence::probed::{Excerpt, Exchange, Failure, How, Saw, Step};
use crate::probe::failure;
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::{Lap, Watch};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

/// Most bytes that are read.
const MOST: usize = 1 << 20;
/// Bytes of one read: not less than the largest datagram.
const BUFFER: usize = 1 << 16;

/// Sends, and reads until what is expected came, on a connection.
pub async fn on_stream(mut stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let mut received = Vec::new();
    let (sent, ended) = match send_on(&mut stream, options, lap).await {
        Ok(sent) => (sent, read(&mut stream, &mut received, options, lap).await),
        Err(ended) => (0, ended),
    };
    lap.end(address, Saw::Exchange(told(options, sent, &received, (ended, watch))))
}

/// How it ended.
enum Ended {
    /// What was expected is there, or anything where nothing particular was.
    Enough,
    /// The deadline.
    Late,
    /// The peer closed.
    Closed,
    /// More than is read came.
    Full,
    /// A call failed.
    Failed(io::Error),
}

async fn send_on(stream: &mut Connection, options: &Options, lap: Lap) -> Result<u64, Ended> {
    let Some(words) = &options.send else { return Ok(0) };
    let told = timeout_at(lap.until(), async {
        stream.write_all(words).await?;
        stream.flush().await
    });
    match told.await {
        Err(_) => Err(Ended::Late),
        Ok(Err(error)) => Err(Ended::Failed(error)),
        Ok(Ok(())) => Ok(words.len() as u64),
    }
}

async fn read(stream: &mut Connection, received: &mut Vec<u8>, options: &Options, lap: Lap) -> Ended {
    let mut buffer = vec![0; BUFFER];
    while received.len() < MOST {
        let room = BUFFER.min(MOST - received.len());
        match timeout_at(lap.until(), stream.read(&mut buffer[..room])).await {
            Err(_) => return Ended::Late,
            Ok(Err(error)) => return Ended::Failed(error),
            Ok(Ok(0)) => return Ended::Closed,
            Ok(Ok(count)) => received.extend_from_slice(&buffer[..count]),
        }
        if enough(options, received) {
            return Ended::Enough;
        }
    }
    Ended::Full
}

fn enough(options: &Options, received: &[u8]) -> bool {
    options.expect.as_ref().map_or(!received.is_empty(), |expect| expect.is_match(received))
}

/// The same with datagrams. What comes in several is put together. Nothing is sent twice: what it does is not known here.
pub async fn on_datagrams(address: SocketAddr, options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let mut received = Vec::new();
    let words = options.send.as_deref().unwrap_or_default();
    let ended = match datagrams(address, words, options, lap, &mut received).await {
        Ok(ended) => ended,
        Err(error) => Ended::Failed(error),
    };
    lap.end(address, Saw::Exchange(told(options, words.len() as u64, &received, (ended, watch))))
}

async fn datagrams(
    address: SocketAddr,
    words: &[u8],
    options: &Options,
    lap: Lap,
    received: &mut Vec<u8>,
) -> io::Result<Ended> {
    let socket = connected(address).await?;
    socket.send(words).await?;
    let mut buffer = vec![0; BUFFER];
    while received.len() < MOST {
        let Ok(came) = timeout_at(lap.until(), socket.recv(&mut buffer)).await else { return Ok(Ended::Late) };
        let count = came?;
        received.extend_from_slice(&buffer[..count.min(MOST - received.len())]);
        // an empty datagram is an answer too
        if enough(options, received) || options.expect.is_none() {
            return Ok(Ended::Enough);
        }
    }
    Ok(Ended::Full)
}

/// A datagram socket that takes answers of one address alone, and is told what ICMP says of it.
pub(in crate::probe) async fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr =
        if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

fn told(options: &Options, sent: u64, received: &[u8], (ended, watch): (Ended, Watch)) -> Exchange {
    let expect = options.expect.as_ref().map(ToString::to_string);
    let unmatched = |failure: Failure| match (&expect, received.len()) {
        (Some(expect), 1..) => {
            Failure { words: format!("{}, and nothing in it matches {expect:?}", failure.words), ..failure }
        }
        _ => failure,
    };
    let failure = match ended {
        Ended::Enough => None,
        Ended::Late => Some(unmatched(failure::late(watch.deadline, received))),
        Ended::Closed => Some(unmatched(failure::closed(received))),
        Ended::Full => {
            Some(Failure::new(How::TooMuch, format!("{MOST} bytes came without what was expected")).after(received))
        }
        Ended::Failed(error) => Some(failure::of(&error).after(received)),
    };
    Exchange {
        over: options.url.speak.word().to_owned(),
        sent,
        received: received.len() as u64,
        begins: Excerpt::of(received),
        matched: expect.is_some().then_some(failure.is_none()),
        expect,
        failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;
    use regex::bytes::Regex;
    use std::sync::Arc;
    use std::time::Duration;

    fn options(target: &str, send: &str, expect: Option<&str>) -> Options {
        let Ok(Target::Url(url)) = target.parse() else { panic!("{target}") };
        let send = (!send.is_empty()).then(|| Arc::from(send.as_bytes()));
        Options { send, expect: expect.map(|e| Regex::new(e).unwrap()), ..Options::new(url) }
    }

    fn seen(step: Step) -> Exchange {
        let Saw::Exchange(exchange) = step.saw else { panic!("{step}") };
        exchange
    }

    /// One end for the probe, the other says these pieces after it was asked, and closes or not.
    async fn stream(options: &Options, says: &'static [&'static [u8]], closes: bool, patience: Duration) -> Exchange {
        let (own, mut other) = tokio::io::duplex(64);
        let peer = tokio::spawn(async move {
            let mut asked = [0; 4];
            drop(other.read_exact(&mut asked).await);
            for piece in says {
                drop(other.write_all(piece).await);
            }
            if !closes {
                drop(other.read(&mut asked).await);
            }
        });
        let step = on_stream(Box::new(own), "127.0.0.1:9".parse().unwrap(), options, Watch::start(patience)).await;
        peer.abort();
        seen(step)
    }

    #[tokio::test]
    async fn what_is_expected_may_come_in_pieces() {
        let long = Duration::from_secs(10);
        let asks = options("tcp://127.0.0.1:9", "PING", Some("PO+NG"));
        let good = stream(&asks, &[b"PO", b"O", b"NG"], false, long).await;
        assert_eq!((good.matched, good.sent, good.received, good.failure), (Some(true), 4, 5, None));
        assert_eq!((good.over.as_str(), good.expect.as_deref()), ("tcp", Some("PO+NG")));
        let other = stream(&asks, &[b"-ERR"], true, long).await;
        let failure = other.failure.unwrap();
        assert_eq!((other.matched, failure.how, failure.received), (Some(false), How::Closed, 4));
        assert!(failure.words.contains("nothing in it matches"), "{failure}");
        let closed = stream(&asks, &[], true, long).await.failure.unwrap();
        assert_eq!((closed.how, closed.words.as_str()), (How::Closed, "closed without a byte"));
        let anything = stream(&options("tcp://127.0.0.1:9", "PING", None), &[b"x"], false, long).await;
        assert_eq!((anything.matched, anything.failure), (None, None));
    }

    #[tokio::test]
    async fn silence_and_floods_end() {
        const PIECE: &[u8] = &[b'a'; 64];
        static FLOOD: &[&[u8]] = &[PIECE; MOST / 64 + 1];
        let asks = options("tcp://127.0.0.1:9", "PING", Some("PONG"));
        let silent = stream(&asks, &[], false, Duration::from_millis(100)).await.failure.unwrap();
        assert_eq!((silent.how, silent.words.as_str()), (How::TimedOut, "no byte within 100 ms"));
        let flood = stream(&asks, FLOOD, false, Duration::from_secs(20)).await;
        assert_eq!((flood.failure.unwrap().how, flood.received), (How::TooMuch, MOST as u64));
    }

    #[tokio::test]
    async fn datagrams_are_answered_refused_or_lost() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = peer.local_addr().unwrap();
        let asks = options(&format!("udp://{address}"), "PING", Some("PONG"));
        let echo = async {
            let mut buffer = [0; 16];
            let (count, from) = peer.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..count], b"PING");
            peer.send_to(b"PONG", from).await.unwrap();
        };
        let (step, ()) = tokio::join!(on_datagrams(address, &asks, Watch::start(Duration::from_secs(10))), echo);
        let good = seen(step);
        assert_eq!((good.matched, good.failure, good.over.as_str()), (Some(true), None, "udp"));

        let lost = seen(on_datagrams(address, &asks, Watch::start(Duration::from_millis(100))).await);
        assert_eq!(lost.failure.unwrap().how, How::TimedOut);

        drop(peer);
        let refused = seen(on_datagrams(address, &asks, Watch::start(Duration::from_secs(10))).await);
        assert_eq!(refused.failure.unwrap().how, How::Refused);
    }
}
