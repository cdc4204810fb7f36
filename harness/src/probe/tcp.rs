//! TCP: does the kernel complete a connection?

use crate::evidence::Observation;
use nix::errno::Errno;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Connects once and closes at once.
pub async fn connect(address: SocketAddr, patience: Duration) -> Observation {
    let began = begin();
    let errno = match timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(
            error
                .raw_os_error()
                .map_or_else(|| error.to_string(), |number| format!("{:?} ({number})", Errno::from_raw(number))),
        ),
        Err(_) => Some(format!("ETIMEDOUT (no answer within {} ms)", patience.as_millis())),
    };
    Observation::Connect { address, errno, took_us: took_us(began) }
}

#[expect(clippy::disallowed_methods, reason = "a probe measures")]
pub(super) fn begin() -> Instant {
    Instant::now()
}

pub(super) fn took_us(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}
