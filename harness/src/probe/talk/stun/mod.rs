//! STUN (RFC 8489) and TURN (RFC 8656) over UDP. [`message`] reads and writes them.

pub mod message;

use crate::evidence::probed::{Excerpt, Failure, How, Saw, Step, Stun, Turn};
use crate::probe::failure;
use crate::probe::reach::exchange::connected;
use crate::probe::watch::{Lap, Watch};
use message::{ALLOCATE, Answer, BINDING, REFRESH, Transaction};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

/// After so long a request is sent again, and then after twice as long (RFC 8489, section 6.2.1, which begins with 500 ms).
const FIRST: Duration = Duration::from_millis(250);
/// Most requests of one kind.
const MOST: u32 = 7;
/// Longest answer that is read.
const BUFFER: usize = 2_048;
/// The code for "who are you?".
const UNAUTHORIZED: u16 = 401;

/// A binding request; with `turn` an allocation without credentials too.
pub async fn stun(address: SocketAddr, turn: bool, watch: Watch) -> Step {
    let lap = watch.begin();
    let mut stun = Stun::default();
    stun.failure = look(address, turn, lap, watch, &mut stun).await.err();
    lap.end(address, Saw::Stun(stun))
}

async fn look(address: SocketAddr, turn: bool, lap: Lap, watch: Watch, stun: &mut Stun) -> Result<(), Failure> {
    let socket = connected(address).await.map_err(|error| failure::of(&error))?;
    let bound = ask(&socket, BINDING, lap, watch, &mut stun.attempts).await?;
    stun.mapped = bound.mapped;
    stun.software = bound.software.as_deref().map(Excerpt::of);
    if let Some((code, words)) = bound.error {
        stun.error = Some((code, Excerpt::of(&words)));
        return Err(Failure::new(How::Said, format!("it answers {code} {}", Excerpt::of(&words).first_line(80))));
    }
    if !turn {
        return Ok(());
    }
    let allocated = ask(&socket, ALLOCATE, lap, watch, &mut stun.attempts).await?;
    let wants_credentials = allocated.error.as_ref().is_some_and(|(code, _)| *code == UNAUTHORIZED);
    stun.software = stun.software.take().or_else(|| allocated.software.as_deref().map(Excerpt::of));
    stun.error = allocated.error.map(|(code, words)| (code, Excerpt::of(&words)));
    stun.turn = Some(Turn {
        wants_credentials,
        relayed: allocated.relayed,
        realm: allocated.realm.as_deref().map(Excerpt::of),
    });
    if allocated.relayed.is_some() {
        // an allocation that nobody was meant to get is given back
        drop(socket.send(&message::request(REFRESH, &transaction())).await);
    }
    Ok(())
}

fn transaction() -> Transaction {
    rand::random()
}

/// Sends a request until an answer to it comes, or the layer's time is over.
async fn ask(socket: &UdpSocket, kind: u16, lap: Lap, watch: Watch, attempts: &mut u32) -> Result<Answer, Failure> {
    let transaction = transaction();
    let request = message::request(kind, &transaction);
    let mut next = lap.until() - watch.deadline + Duration::from_micros(lap.so_far_us());
    let mut strange = None;
    let mut buffer = vec![0; BUFFER];
    for attempt in 0..MOST {
        socket.send(&request).await.map_err(|error| failure::of(&error))?;
        *attempts += 1;
        next += FIRST * 2_u32.pow(attempt);
        let until = if attempt + 1 == MOST { lap.until() } else { next.min(lap.until()) };
        // what is no answer does not end the wait: it may be of somebody else
        while let Ok(came) = timeout_at(until, socket.recv(&mut buffer)).await {
            let count = came.map_err(|error| failure::of(&error))?;
            match message::answer(&buffer[..count], kind, &transaction) {
                Ok(answer) => return Ok(answer),
                Err(why) => strange = Some(Failure::new(How::Malformed, why).after(&buffer[..count])),
            }
        }
        if until == lap.until() {
            break;
        }
    }
    Err(strange.unwrap_or_else(|| failure::late(watch.deadline, &[])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks a server that answers the `n`-th datagram with this, or not at all.
    async fn against(
        turn: bool,
        deadline: Duration,
        answer: impl Fn(u32, &[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Stun {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serving = tokio::spawn(serve(server, answer));
        let step = stun(address, turn, Watch::start(deadline)).await;
        serving.abort();
        let Saw::Stun(stun) = step.saw else { panic!("{step}") };
        stun
    }

    async fn serve(server: UdpSocket, answer: impl Fn(u32, &[u8]) -> Option<Vec<u8>>) {
        let mut buffer = [0; 200];
        for number in 0.. {
            let (count, from) = server.recv_from(&mut buffer).await.unwrap();
            if let Some(bytes) = answer(number, &buffer[..count]) {
                server.send_to(&bytes, from).await.unwrap();
            }
        }
    }

    /// The answer to a request: its transaction, another type, these attributes.
    fn to(asked: &[u8], kind: u16, attributes: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        bytes.extend(&asked[4..20]);
        bytes.extend(attributes);
        bytes
    }

    #[tokio::test]
    async fn a_lost_request_is_sent_again() {
        let mapped = b"\x00\x01\x00\x08\x00\x01\x00\x09\x0a\x00\x00\x01";
        let seen = against(false, Duration::from_secs(10), |n, asked| (n > 0).then(|| to(asked, 0x0101, mapped))).await;
        assert_eq!((seen.mapped, seen.failure), (Some("10.0.0.1:9".parse().unwrap()), None));
        assert!(seen.attempts >= 2, "the first one was lost: {}", seen.attempts);
    }

    #[tokio::test]
    async fn turn_wants_credentials() {
        let seen = against(true, Duration::from_secs(10), |_, asked| {
            let attributes = b"\x00\x09\x00\x04\x00\x00\x04\x01\x00\x14\x00\x01r\x00\x00\x00";
            Some(if asked[1] == 1 { to(asked, 0x0101, b"") } else { to(asked, 0x0113, attributes) })
        })
        .await;
        let turn = seen.turn.unwrap();
        assert!(turn.wants_credentials && turn.relayed.is_none() && seen.failure.is_none());
        assert_eq!(turn.realm.unwrap().as_str(), "r");
    }

    #[tokio::test]
    async fn silence_and_rubbish_are_told_apart() {
        let silent = against(false, Duration::from_millis(400), |_, _| None).await;
        assert_eq!((silent.attempts, silent.failure.unwrap().how), (2, How::TimedOut));
        let rubbish = against(false, Duration::from_secs(2), |_, _| Some(b"PONG".to_vec())).await;
        assert_eq!(rubbish.failure.unwrap().how, How::Malformed);
        let gone = {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.local_addr().unwrap()
        };
        let step = stun(gone, false, Watch::start(Duration::from_secs(10))).await;
        assert_eq!(step.saw.failure().unwrap().how, How::Refused);
    }
}
