//! HTTP/1.1: one GET on a connection of its own.

use super::tcp::{begin, took_us};
use crate::evidence::Observation;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Most bytes of an answer that are read.
const MOST: u64 = 64 << 10;

/// Asks for `path`.
pub async fn get(address: SocketAddr, path: &str, patience: Duration) -> Observation {
    let began = begin();
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let result = timeout(patience, asked).await;
    let took_us = took_us(began);
    let (status, body, error) = match result {
        Err(_) => (None, String::new(), Some(format!("no whole answer within {} ms", patience.as_millis()))),
        Ok(Err(error)) => (None, String::new(), Some(error.to_string())),
        Ok(Ok(answer)) => parse(&String::from_utf8_lossy(&answer)),
    };
    Observation::Http { address, path: path.to_owned(), status, body, error, took_us }
}

/// Status, body (cut after 2,000 characters) and what is wrong.
fn parse(answer: &str) -> (Option<u16>, String, Option<String>) {
    let status = answer
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.split(['\r', '\n']).next()?.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).chars().take(2_000).collect();
    if let Some(status) = status {
        return (Some(status), body, None);
    }
    let seen: String = answer.chars().take(80).collect();
    (None, String::new(), Some(format!("no HTTP answer: {seen:?}")))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn answers() {
        assert_eq!(parse("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello"), (Some(200), "hello".to_owned(), None));
        assert_eq!(parse("HTTP/1.0 503\r\n\r\n").0, Some(503));
        for bad in ["", "SSH-2.0-x", "HTTP/1.1", "HTTP/1.1 abc x"] {
            assert!(parse(bad).2.is_some(), "{bad:?}");
        }
    }
}
