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
        Ok(Err(error)) => Some(name(&error)),
        Err(_) => Some(format!("ETIMEDOUT (no answer within {} ms)", patience.as_millis())),
    };
    Observation::Connect { address, errno, took_us: took_us(began) }
}

/// Name and number.
fn name(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("{:?} ({number})", Errno::from_raw(number)),
        None => error.to_string(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a probe measures")]
pub(super) fn begin() -> Instant {
    Instant::now()
}

pub(super) fn took_us(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn errors_have_name_and_number() {
        let told = |errno: Errno| name(&std::io::Error::from_raw_os_error(errno as i32));
        assert_eq!(told(Errno::EADDRNOTAVAIL), "EADDRNOTAVAIL (99)", "no ephemeral port is left");
        assert_eq!(told(Errno::ECONNREFUSED), "ECONNREFUSED (111)");
    }
}
