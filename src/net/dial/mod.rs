//! Dialling a server: from what a person typed to a connected socket.
//!
//! [`target`] reads the typed text (pure; [`typed`] is its grammar), [`resolve`] asks for its addresses, [`connect`] tries them: IPv6 and IPv4
//! in turn, the next one as soon as one failed or after a quarter of a second (RFC 8305 in short).

pub mod target;
pub mod typed;

pub use target::{Target, TargetError};
pub use typed::Typed;

use crate::event::Errno;
use crate::net::errno::errno;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use nix::libc;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};

/// How long an address is tried alone before the next one is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Why a server was not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("{host}: {reason}: check the name, or give the address itself")]
    Resolve {
        /// As asked for.
        host: String,
        /// What the resolver says.
        reason: String,
    },
    /// The machine answered that nothing listens there (`ECONNREFUSED`).
    #[error("{address} refused the connection: nothing listens there, so check the port and that the server runs")]
    Refused {
        /// The address tried.
        address: SocketAddr,
    },
    /// No answer in time.
    #[error("{address} did not answer within {} ms: a filter drops the packets, or the machine is down", after.as_millis())]
    TimedOut {
        /// The address tried.
        address: SocketAddr,
        /// How long.
        after: Duration,
    },
    /// There is no way to it.
    #[error("{address} is unreachable, {errno}: check the network and the address")]
    Unreachable {
        /// The address tried.
        address: SocketAddr,
        /// `ENETUNREACH`, `EHOSTUNREACH`, `ENETDOWN` or `EADDRNOTAVAIL`.
        errno: Errno,
    },
    /// Anything else.
    #[error("{address}: {reason}")]
    Other {
        /// The address tried.
        address: SocketAddr,
        /// Its number and name, if a system call failed.
        errno: Option<Errno>,
        /// What the system says.
        reason: String,
    },
}

impl DialError {
    /// What a failed connect means; `after` is the time it was given.
    pub fn of(address: SocketAddr, after: Duration, error: &io::Error) -> Self {
        let Some(errno) = errno(error) else {
            return Self::Other { address, errno: None, reason: error.to_string() };
        };
        match errno.number {
            libc::ECONNREFUSED => Self::Refused { address },
            libc::ETIMEDOUT => Self::TimedOut { address, after },
            libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL => {
                Self::Unreachable { address, errno }
            }
            _ => Self::Other { address, reason: errno.to_string(), errno: Some(errno) },
        }
    }

    /// The address that did not work; `None` if there was none.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Resolve { .. } => None,
            Self::Refused { address }
            | Self::TimedOut { address, .. }
            | Self::Unreachable { address, .. }
            | Self::Other { address, .. } => Some(*address),
        }
    }

    /// The operating system's error, where there was one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Resolve { .. } | Self::TimedOut { .. } => None,
            Self::Refused { .. } => Some(crate::net::errno::of_number(libc::ECONNREFUSED)),
            Self::Unreachable { errno, .. } => Some(errno.clone()),
            Self::Other { errno, .. } => errno.clone(),
        }
    }

    /// `resolve` or `connect`: the stage that failed.
    pub const fn stage(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "resolve",
            Self::Refused { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } | Self::Other { .. } => "connect",
        }
    }

    /// The higher, the more it tells: a refusal comes from the machine itself, "unreachable" may only mean that this
    /// one has no IPv6.
    const fn weight(&self) -> u8 {
        match self {
            Self::Other { .. } => 4,
            Self::Refused { .. } => 3,
            Self::TimedOut { .. } => 2,
            Self::Unreachable { .. } => 1,
            Self::Resolve { .. } => 0,
        }
    }
}

/// The addresses of a target, IPv6 and IPv4 in turn, never none.
///
/// # Errors
/// [`DialError::Resolve`].
pub async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, DialError> {
    let failed = |reason| DialError::Resolve { host: target.host.clone(), reason };
    let found = lookup_host((target.host.as_str(), target.port)).await.map_err(|error| failed(error.to_string()))?;
    let addresses = interleave(found);
    if addresses.is_empty() { Err(failed("the name has no address".to_owned())) } else { Ok(addresses) }
}

fn interleave(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (six, four): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut ordered = vec![];
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            return ordered;
        }
        for address in pair.into_iter().flatten() {
            if !ordered.contains(&address) {
                ordered.push(address);
            }
        }
    }
}

/// Connects to the first address that answers, `TCP_NODELAY` set. `failed` hears of each address that did not work.
///
/// # Errors
/// The most telling of the addresses' errors: a refusal rather than a time-out, a time-out rather than unreachable.
pub async fn connect(
    addresses: &[SocketAddr],
    per_address: Duration,
    failed: &(dyn Fn(&DialError) + Send + Sync),
) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut told: Option<DialError> = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(attempt(address, per_address));
        } else if attempts.is_empty() {
            let none = DialError::Resolve { host: "no address".to_owned(), reason: "nothing to connect to".to_owned() };
            return Err(told.unwrap_or(none));
        }
        tokio::select! {
            biased;
            Some(result) = attempts.next() => match result {
                Ok(connected) => return Ok(connected),
                Err(error) => {
                    failed(&error);
                    if told.as_ref().is_none_or(|before| before.weight() < error.weight()) {
                        told = Some(error);
                    }
                }
            },
            () = tokio::time::sleep(STAGGER), if waiting.len() > 0 => {}
        }
    }
}

async fn attempt(address: SocketAddr, per_address: Duration) -> Result<(TcpStream, SocketAddr), DialError> {
    let connected = tokio::time::timeout(per_address, TcpStream::connect(address)).await;
    let stream = connected
        .map_err(|_| DialError::TimedOut { address, after: per_address })?
        .map_err(|error| DialError::of(address, per_address, &error))?;
    stream.set_nodelay(true).map_err(|error| DialError::of(address, per_address, &error))?;
    Ok((stream, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::Mutex;

    const LONG: Duration = Duration::from_secs(20);

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// A port that is bound, so that nobody else takes it, and does not listen.
    fn refusing() -> (socket2::Socket, SocketAddr) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn a_refused_address_is_told_and_the_next_one_is_used() {
        let (_held, dead) = refusing();
        let (_listener, live) = listening();
        let heard = Mutex::new(vec![]);
        let (stream, address) =
            connect(&[dead, live], LONG, &|error| heard.lock().unwrap().push(error.clone())).await.unwrap();
        assert_eq!(address, live);
        assert_eq!(stream.peer_addr().unwrap(), live);
        assert!(stream.nodelay().unwrap());
        assert_eq!(*heard.lock().unwrap(), [DialError::Refused { address: dead }]);
    }

    #[tokio::test]
    async fn all_refused_is_refused_and_names_the_address() {
        let (_held, dead) = refusing();
        let error = connect(&[dead], LONG, &|_| {}).await.unwrap_err();
        assert_eq!(error, DialError::Refused { address: dead });
        assert_eq!(error.errno().unwrap().name, "ECONNREFUSED");
        assert!(error.to_string().starts_with(&dead.to_string()));
        assert!(matches!(connect(&[], LONG, &|_| {}).await, Err(DialError::Resolve { .. })));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_accept_queue_times_out_and_does_not_hold_up_the_next_address() {
        let (socket, full) = refusing();
        socket.listen(0).unwrap();
        let mut kept = vec![];
        let short = Duration::from_millis(100);
        let error = loop {
            match connect(&[full], short, &|_| {}).await {
                Ok(connected) => kept.push(connected),
                Err(error) => break error,
            }
            assert!(kept.len() < 16, "the queue never filled");
        };
        assert_eq!(error, DialError::TimedOut { address: full, after: short });
        let (_listener, live) = listening();
        assert_eq!(connect(&[full, live], LONG, &|_| {}).await.unwrap().1, live);
    }

    #[tokio::test]
    async fn addresses_are_resolved_and_a_name_without_one_is_said() {
        let target: Target = "tcp://127.0.0.1:7460".parse().unwrap();
        assert_eq!(resolve(&target).await.unwrap(), ["127.0.0.1:7460".parse().unwrap()]);
        let six: Target = "ws://[::1]".parse().unwrap();
        assert_eq!(resolve(&six).await.unwrap(), ["[::1]:7461".parse().unwrap()]);
    }

    #[test]
    fn families_take_turns_and_none_comes_twice() {
        let all = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = all(&["1.0.0.1:1", "1.0.0.2:1", "1.0.0.1:1", "[::1]:1", "1.0.0.3:1", "[::2]:1"]);
        let expected = all(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "1.0.0.3:1"]);
        assert_eq!(interleave(found.into_iter()), expected);
    }

    #[test]
    fn errors_are_told_apart_by_errno() {
        let address = "192.0.2.77:7460".parse().unwrap();
        let of = |number| DialError::of(address, LONG, &io::Error::from_raw_os_error(number));
        assert_eq!(of(libc::ECONNREFUSED), DialError::Refused { address });
        assert_eq!(of(libc::ETIMEDOUT), DialError::TimedOut { address, after: LONG });
        assert!(matches!(of(libc::EHOSTUNREACH), DialError::Unreachable { .. }));
        assert!(matches!(of(libc::ENETUNREACH), DialError::Unreachable { errno, .. } if errno.name == "ENETUNREACH"));
        assert!(matches!(of(libc::EMFILE), DialError::Other { errno: Some(e), .. } if e.name == "EMFILE"));
    }
}
