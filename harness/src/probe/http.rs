//! HTTP/1.1: one GET of a scenario to its own server, on a connection of its own.

use super::open::Connection;
use super::watch::Watch;
use super::web::http;
use super::{failure, tcp};
use crate::evidence::Observation;
use crate::evidence::probed::{Failure, How};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

/// Most characters of a body that are kept.
const MOST: usize = 2_000;

/// Asks for `path`.
pub async fn get(address: SocketAddr, path: &str, patience: Duration) -> Observation {
    let began = tcp::begin();
    let watch = Watch::start(patience);
    let lap = watch.begin();
    let connected = match timeout_at(lap.until(), TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(failure::of(&error)),
        Err(_) => Err(failure::late(patience, &[])),
    };
    let (status, body, failed) = match connected {
        Err(failure) => (None, String::new(), Some(failure)),
        Ok(stream) => {
            let mut stream: Connection = stream;
            let answer = http::once(&mut stream, address, path, (lap, watch)).await;
            let body = String::from_utf8_lossy(&answer.body).chars().take(MOST).collect();
            (answer.http.status, body, answer.http.failure)
        }
    };
    let error = failed.as_ref().map(told);
    Observation::Http { address, path: path.to_owned(), status, body, error, took_us: tcp::took_us(began) }
}

fn told(failure: &Failure) -> String {
    if failure.how == How::Malformed {
        return format!("no HTTP answer: {:?}", failure.begins.first_line(80));
    }
    failure.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn answered(answer: &'static [u8]) -> (Option<u16>, String, Option<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(answer).await);
        });
        let Observation::Http { status, body, error, .. } = get(address, "/x", Duration::from_secs(5)).await else {
            panic!("no answer")
        };
        (status, body, error)
    }

    #[tokio::test]
    async fn answers() {
        let said = answered(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"a\":\"\\\"\xc3\xbc\"}").await;
        assert_eq!(said, (Some(200), "{\"a\":\"\\\"ü\"}".to_owned(), None), "the body is as it came");
        assert_eq!(answered(b"HTTP/1.0 503\r\n\r\n").await.0, Some(503));
        for (bad, why) in [
            (&b""[..], "closed without a byte"),
            (b"SSH-2.0-x\r\n", "no HTTP answer: \"SSH-2.0-x\""),
            (b"HTTP/1.1", "closed after 8 bytes"),
            (b"HTTP/1.1 abc x", "no HTTP answer: \"HTTP/1.1 abc x\""),
        ] {
            assert_eq!(answered(bad).await, (None, String::new(), Some(why.to_owned())));
        }
    }
}
