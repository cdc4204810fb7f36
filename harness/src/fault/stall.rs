//! A way over TCP whose direction from the server to the client stands still for a while, again and again.

use crate::clock::monotonic_ns;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// Most bytes that wait here in a direction: the rest stays with the kernel, so that a server feels a way that stands.
const CHUNK_BYTES: usize = 16 << 10;
/// After a connection could not be accepted (no descriptors are left).
const BREATH: Duration = Duration::from_millis(20);

/// A proxy inside this process. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Way {
    address: SocketAddr,
    rhythm: Arc<Rhythm>,
    task: JoinHandle<()>,
}

impl Way {
    /// Listens on the loopback address of the target's family, on a port that the kernel gives, and copies bytes both ways.
    /// To be called inside a runtime.
    ///
    /// # Errors
    /// That of the listener. A target that does not answer closes the client's connection instead.
    pub fn start(target: SocketAddr, hold: Duration, every: Duration) -> io::Result<Self> {
        let loopback = match target {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        let listener = std::net::TcpListener::bind(loopback)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let rhythm = Arc::new(Rhythm { began_ns: OnceLock::new(), hold, every });
        let task = tokio::spawn(accept(TcpListener::from_std(listener)?, target, Arc::clone(&rhythm)));
        Ok(Self { address, rhythm, task })
    }

    /// Where the client connects.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on each round of `every` ends with a standstill of `hold`. Only the first call counts.
    pub fn begin(&self) {
        self.rhythm.began_ns.get_or_init(monotonic_ns);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Rhythm {
    began_ns: OnceLock<u64>,
    hold: Duration,
    every: Duration,
}

impl Rhythm {
    async fn flow(&self) {
        while let Some(left) = self.began_ns.get().and_then(|began| {
            let since = Duration::from_nanos(monotonic_ns().saturating_sub(*began));
            stands_still(since, self.hold, self.every)
        }) {
            sleep(left).await;
        }
    }
}

/// Whether the way stands still `since` its beginning, and for how long still: it does at the end of each round. A `hold` of
/// the whole of `every` never ends.
fn stands_still(since: Duration, hold: Duration, every: Duration) -> Option<Duration> {
    let round = every.as_nanos();
    let phase = since.as_nanos().checked_rem(round)?;
    let flows = round - hold.min(every).as_nanos();
    let left = (phase >= flows).then(|| round - phase)?;
    Some(Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)))
}

/// The connections end with this task: the set aborts them when it is dropped.
async fn accept(listener: TcpListener, target: SocketAddr, rhythm: Arc<Rhythm>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                // How a connection ends is for its two ends to tell.
                let rhythm = Arc::clone(&rhythm);
                connections.spawn(async move { drop(connect(client, target, &rhythm).await) });
            }
            Err(_) => sleep(BREATH).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(client: TcpStream, target: SocketAddr, rhythm: &Rhythm) -> io::Result<()> {
    let server = TcpStream::connect(target).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::try_join!(copy(from_client, to_server, None), copy(from_server, to_client, Some(rhythm)))?;
    Ok(())
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, rhythm: Option<&Rhythm>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        // The end of the stream stands still too.
        if let Some(rhythm) = rhythm {
            rhythm.flow().await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(20);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_stands_still_at_the_end_of_each_round() {
        let at = |since| stands_still(ms(since), ms(300), ms(1_000));
        assert_eq!([at(0), at(699), at(700), at(999)], [None, None, Some(ms(300)), Some(ms(1))]);
        assert_eq!([at(1_000), at(5_800), at(6_000)], [None, Some(ms(200)), None]);
    }

    #[test]
    fn odd_rhythms_are_no_accident() {
        assert_eq!(stands_still(ms(5), ms(0), ms(10)), None, "no hold, no stall");
        assert_eq!(stands_still(ms(5), ms(10), ms(0)), None, "no round, no stall");
        assert_eq!(
            stands_still(ms(15), ms(20), ms(10)),
            Some(ms(5)),
            "all of the round: until the next, which is the same"
        );
    }

    /// A way to a server of the test, with both ends of a connection.
    async fn way(hold: Duration, every: Duration) -> (Way, TcpStream, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let way = Way::start(server.local_addr().unwrap(), hold, every).unwrap();
        let client = TcpStream::connect(way.address()).await.unwrap();
        let (accepted, _) = server.accept().await.unwrap();
        (way, client, accepted)
    }

    async fn passes(from: &mut TcpStream, to: &mut TcpStream, byte: u8) {
        from.write_all(&[byte]).await.unwrap();
        assert_eq!(timeout(SOON, to.read_u8()).await.expect("it does not come").unwrap(), byte);
    }

    #[tokio::test]
    async fn until_it_begins_bytes_pass_and_then_one_direction_stands_still() {
        let (way, mut client, mut server) = way(SOON * 10, SOON * 10).await;
        assert!(way.address().ip().is_loopback());
        passes(&mut client, &mut server, 1).await;
        passes(&mut server, &mut client, 2).await;
        way.begin();
        server.write_all(&[3]).await.unwrap();
        // the other direction is never delayed, and what was sent before has had its time
        for byte in 4..20 {
            passes(&mut client, &mut server, byte).await;
        }
        let early = timeout(ms(50), client.read_u8()).await;
        assert!(early.is_err(), "it came in the hold: {early:?}");
    }

    #[tokio::test]
    async fn after_the_hold_everything_comes_in_order() {
        let (hold, every) = (ms(300), ms(310));
        let (way, mut client, mut server) = way(hold, every).await;
        way.begin();
        // by the way's own clock, so that it is no matter when this test gets a processor
        let began = *way.rhythm.began_ns.get().unwrap();
        let since = || Duration::from_nanos(monotonic_ns() - began);
        sleep(ms(30)).await;
        let now = since();
        let left = stands_still(now, hold, every).map_or(Duration::ZERO, |left| now + left);
        for byte in 0..100 {
            server.write_all(&[byte]).await.unwrap();
        }
        server.shutdown().await.unwrap();
        let mut all = Vec::new();
        timeout(SOON, client.read_to_end(&mut all)).await.unwrap().unwrap();
        assert_eq!(all, (0..100).collect::<Vec<u8>>());
        assert!(since() >= left, "it did not stand still until {left:?}: {:?}", since());
    }

    #[tokio::test]
    async fn with_the_way_its_connections_end() {
        let (way, mut client, mut server) = way(SOON * 10, SOON * 10).await;
        let address = way.address();
        drop(way);
        let ends = |read: io::Result<usize>| read.map_or(true, |read| read == 0);
        assert!(ends(timeout(SOON, client.read(&mut [0])).await.expect("the client's end is open")));
        assert!(ends(timeout(SOON, server.read(&mut [0])).await.expect("the server's end is open")));
        assert!(TcpStream::connect(address).await.is_err());
    }
}
