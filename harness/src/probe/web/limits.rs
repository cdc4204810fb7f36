//! `--intrusive`: the largest message, fragments, text and binary.

use super::frame::{BINARY, CONTINUATION, PING, TEXT, encode, header};
use super::messages::Heard;
use super::upgrade;
use super::wire::{Reading, Wire};
use crate::evidence::probed::{Closed, Failure, How, Intrusive, Saw, Step};
use crate::probe::open::Connection;
use crate::probe::options::Options;
use crate::probe::watch::Watch;
use std::net::SocketAddr;
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::time::timeout_at;

/// The smallest message whose size is looked at.
const LEAST: u64 = 1 << 10;
/// The largest.
const MOST: u64 = 64 << 20;
/// Sizes that are tried first, upwards.
const STEPS: [u64; 7] = [LEAST, 8 << 10, 64 << 10, 512 << 10, 4 << 20, 32 << 20, MOST];
/// Most connections.
const MOST_CONNECTIONS: u32 = 24;
/// Bytes that are written at a time; a multiple of the mask's length.
const CHUNK: usize = 16 << 10;
/// What the messages consist of: valid text too.
const LETTER: u8 = b'x';

/// What became of one message.
enum Outcome {
    /// The server answered a ping that came after it.
    Taken,
    /// It closed, with a frame or without.
    Refused(Option<Closed>),
    /// Neither within the deadline.
    Undecided(Failure),
}

/// What is sent.
#[derive(Clone, Copy)]
struct Shape {
    opcode: u8,
    bytes: u64,
    fragments: bool,
}

struct Tries<'o> {
    address: SocketAddr,
    options: &'o Options,
    watch: Watch,
    seen: Intrusive,
}

/// Tries, on connections of its own; each has the layer's deadline.
pub async fn limits(address: SocketAddr, options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let mut tries = Tries { address, options, watch, seen: Intrusive::default() };
    if let Err(failure) = tries.all().await {
        tries.seen.failure = Some(failure);
    }
    lap.end(address, Saw::Intrusive(tries.seen))
}

impl Tries<'_> {
    async fn all(&mut self) -> Result<(), Failure> {
        let small = |opcode| Shape { opcode, bytes: 16, fragments: false };
        let (text, refused_text) = self.taken(small(TEXT)).await?;
        let (binary, refused_binary) = self.taken(small(BINARY)).await?;
        self.seen.text = text;
        self.seen.binary = binary;
        let opcode = match (text, binary) {
            (_, Some(true)) => BINARY,
            (Some(true), _) => TEXT,
            _ => {
                self.seen.refused_with = refused_binary.or(refused_text);
                let code = self.seen.refused_with.as_ref().and_then(|closed| closed.code);
                let with = code.map_or_else(|| "without a code".to_owned(), |code| format!("with {code}"));
                let words = format!("it takes no message that is not of its own protocol: it closes {with}");
                return Err(Failure::new(How::Said, words));
            }
        };
        self.seen.fragments = self.taken(Shape { opcode, bytes: 16, fragments: true }).await?.0;
        self.largest(opcode).await
    }

    /// Whether a message was taken; `None`: that could not be told.
    async fn taken(&mut self, shape: Shape) -> Result<(Option<bool>, Option<Closed>), Failure> {
        Ok(match self.one(shape).await? {
            Outcome::Taken => (Some(true), None),
            Outcome::Refused(closed) => (Some(false), closed),
            Outcome::Undecided(_) => (None, None),
        })
    }

    /// Upwards in large steps, then between the two that decide, powers of two first: limits mostly are some.
    async fn largest(&mut self, opcode: u8) -> Result<(), Failure> {
        for bytes in STEPS {
            if !self.size(opcode, bytes).await? {
                break;
            }
        }
        while let (Some(low), Some(high)) = (self.seen.largest_accepted, self.seen.smallest_refused) {
            let Some(next) = between(low, high).filter(|_| self.seen.connections < MOST_CONNECTIONS) else { break };
            if !self.size(opcode, next).await? && self.seen.smallest_refused != Some(next) {
                break;
            }
        }
        Ok(())
    }

    /// Tries one size. Whether it was taken.
    async fn size(&mut self, opcode: u8, bytes: u64) -> Result<bool, Failure> {
        match self.one(Shape { opcode, bytes, fragments: false }).await? {
            Outcome::Taken => {
                self.seen.largest_accepted = Some(bytes);
                self.seen.most_tried = self.seen.most_tried.max(bytes);
                Ok(true)
            }
            Outcome::Refused(closed) => {
                self.seen.smallest_refused = Some(bytes);
                self.seen.refused_with = closed;
                self.seen.most_tried = self.seen.most_tried.max(bytes);
                Ok(false)
            }
            // a slow way, or a server that takes its time: no answer is no limit
            Outcome::Undecided(failure) if self.seen.largest_accepted.is_none() => Err(failure),
            Outcome::Undecided(_) => Ok(false),
        }
    }

    async fn one(&mut self, shape: Shape) -> Result<Outcome, Failure> {
        self.seen.connections += 1;
        let socket = upgrade::another(self.address, self.options, self.watch).await?;
        let Wire { mut read, mut write } = Wire::new(socket, 0);
        let lap = self.watch.begin();
        let ping: [u8; 8] = rand::random();
        let mut writing = std::pin::pin!(async {
            // a failure is told by what is read then
            drop(send(&mut write, shape, &ping).await);
            std::future::pending::<()>().await;
        });
        let outcome = timeout_at(lap.until(), async {
            tokio::select! {
                () = &mut writing => Outcome::Refused(None),
                outcome = verdict(&mut read, &ping) => outcome,
            }
        });
        Ok(outcome.await.unwrap_or_else(|_| {
            let ms = self.watch.deadline.as_millis();
            let words = format!("a message of {} bytes was neither taken nor refused within {ms} ms", shape.bytes);
            Outcome::Undecided(Failure::new(How::TimedOut, words))
        }))
    }
}

/// What the server does after a message: our pong, or an end.
async fn verdict(read: &mut Reading, ping: &[u8; 8]) -> Outcome {
    loop {
        match read.next().await {
            Ok(Heard::Pong(payload)) if payload == ping => return Outcome::Taken,
            Ok(Heard::Closed(closed)) => return Outcome::Refused(Some(closed)),
            Ok(_) => {}
            Err(trouble) if trouble.problem.is_none() => return Outcome::Refused(None),
            Err(trouble) => return Outcome::Undecided(trouble.failure),
        }
    }
}

/// Streams a message and a ping after it; it is never in memory as a whole.
async fn send(write: &mut WriteHalf<Connection>, shape: Shape, ping: &[u8]) -> std::io::Result<()> {
    let mask: [u8; 4] = rand::random();
    let chunk: Vec<u8> = mask.iter().cycle().take(CHUNK).map(|mask| LETTER ^ mask).collect();
    let first = if shape.fragments { shape.bytes / 2 } else { shape.bytes };
    let frames = [(shape.opcode, !shape.fragments, first), (CONTINUATION, true, shape.bytes - first)];
    for (opcode, fin, bytes) in frames.into_iter().take(if shape.fragments { 2 } else { 1 }) {
        write.write_all(&header(opcode, fin, bytes, mask)).await?;
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
        while left > 0 {
            let now = left.min(CHUNK);
            write.write_all(&chunk[..now]).await?;
            left -= now;
        }
    }
    write.write_all(&encode(PING, ping, rand::random())).await?;
    write.flush().await
}

/// The next size to try between one that was taken and one that was not; `None`: near enough (1 KiB, or a 64th).
const fn between(low: u64, high: u64) -> Option<u64> {
    if high - low <= 1 {
        return None;
    }
    if high >= 4 * low {
        return Some(low * 2);
    }
    // a limit that is a power of two is then exact
    if low.is_power_of_two() && high >= 2 * low {
        return Some(low + 1);
    }
    let near = if low / 64 > LEAST { low / 64 } else { LEAST };
    if high - low <= near { None } else { Some(low + (high - low) / 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the search finds for a server with this limit, and how many tries it takes.
    fn search(limit: u64) -> (u64, Option<u64>, u32) {
        let (mut low, mut high, mut tries) = (0, None, 0);
        for bytes in STEPS {
            tries += 1;
            if bytes > limit {
                high = Some(bytes);
                break;
            }
            low = bytes;
        }
        while let Some(next) = high.filter(|_| low > 0).and_then(|high| between(low, high)) {
            tries += 1;
            if next > limit { high = Some(next) } else { low = next }
        }
        (low, high, tries)
    }

    #[test]
    fn a_limit_is_found_in_few_tries() {
        assert_eq!(search(1 << 20), (1 << 20, Some((1 << 20) + 1), 8));
        assert_eq!(search(65_536), (65_536, Some(65_537), 6));
        assert_eq!(search(u64::MAX), (MOST, None, 7));
        assert_eq!(search(10), (0, Some(LEAST), 1));
        for limit in [1_500, 100_000, 1_000_000, 16_000_000, 50_000_000, MOST - 1] {
            let (low, high, tries) = search(limit);
            let high = high.unwrap();
            assert!(low <= limit && limit < high && high - low <= LEAST.max(low / 64), "{limit}: {low} to {high}");
            assert!(tries <= MOST_CONNECTIONS - 3, "{limit}: {tries} tries");
        }
    }
}
