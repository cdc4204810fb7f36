//! A foreign server, as people meet it on a port they believed to be theirs: it knows none of our paths.

use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\nServer: holder\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// How long it listens to what is no HTTP.
const PATIENCE: Duration = Duration::from_millis(200);
/// Most bytes of a head.
const HEAD_BYTES: usize = 16 << 10;
/// After a connection could not be accepted.
const BREATH: Duration = Duration::from_millis(20);

/// Answers every connection, for ever.
pub(super) async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream))),
            Err(_) => sleep(BREATH).await,
        }
    }
}

async fn answer(mut stream: TcpStream) {
    // Whatever came: the answer is the same.
    drop(timeout(PATIENCE, read_head(&mut stream)).await);
    // A peer that went away needs no answer.
    if stream.write_all(ANSWER).await.is_ok() {
        drop(stream.shutdown().await);
    }
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while head.len() < HEAD_BYTES && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(())
}
