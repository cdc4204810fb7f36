//! One connection on which something is said, what comes back, and an end in order: a server must not see an attack.

use crate::evidence::probed::{Asked, Excerpt, Failure, How};
use crate::probe::failure;
use crate::probe::open::{self, Connection};
use crate::probe::options::Options;
use crate::probe::reach::greeting;
use crate::probe::tls;
use crate::probe::watch::{Lap, Watch};
use crate::probe::web::frame;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;

/// Most bytes of an answer.
const MOST: usize = 1_024;
/// An answer with so many bytes, or with a line end, says what it is.
const ENOUGH: usize = 16;
/// How long one connection may take to end in order.
const LEAVE: Duration = Duration::from_millis(200);
/// Bytes of an answer that are still read then, so that the end is no reset.
const REST: usize = 1 << 20;

/// What is said on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Talk {
    /// Its protocol, or what it is.
    pub(super) name: &'static str,
    /// What is sent; nothing: a greeting is waited for.
    pub(super) say: Vec<u8>,
    /// It asks for a WebSocket, which is closed as one.
    pub(super) http: bool,
    /// It is a TLS handshake.
    pub(super) tls: bool,
    /// Whether that is all that is waited for.
    pub(super) answers: Option<fn(&[u8]) -> bool>,
    /// What is said at the end.
    pub(super) goodbye: &'static [u8],
}

/// How a peer ended a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// It did not.
    #[default]
    Open,
    /// With a FIN.
    Closes,
    /// With a RST.
    Resets,
}

impl End {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Open => "waits",
            Self::Closes => "closes",
            Self::Resets => "resets",
        }
    }
}

/// How a peer took what it was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// Its first bytes.
    pub(super) bytes: Vec<u8>,
    /// How it ended the connection.
    pub(super) end: End,
    /// When its first byte came, or the end, in microseconds.
    pub(super) took_us: u64,
    /// Whether more is not waited for.
    pub(super) done: bool,
    /// Why there was no connection.
    pub(super) opened: Option<Failure>,
}

impl Reply {
    pub(super) fn ended_without_a_byte(&self) -> bool {
        self.opened.is_none() && self.bytes.is_empty() && self.end != End::Open
    }

    pub(super) fn told(&self, name: &str) -> Asked {
        let ended = if self.bytes.is_empty() { self.end.word() } else { "answers" };
        let ended = if self.opened.is_some() { "no connection" } else { ended };
        Asked {
            what: name.to_owned(),
            answer: Excerpt::of(&self.bytes),
            ended: ended.to_owned(),
            took_us: self.took_us,
        }
    }
}

/// What has been heard so far, for those who do not wait for the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Reply>>);

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Reply> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reply(&self) -> Reply {
        self.lock().clone()
    }

    fn add(&self, bytes: &[u8], lap: Lap) {
        let mut reply = self.lock();
        if reply.bytes.is_empty() {
            reply.took_us = lap.so_far_us();
        }
        let room = MOST.saturating_sub(reply.bytes.len()).min(bytes.len());
        reply.bytes.extend_from_slice(&bytes[..room]);
    }

    fn end(&self, end: End, lap: Lap) {
        let mut reply = self.lock();
        if reply.bytes.is_empty() {
            reply.took_us = lap.so_far_us();
        }
        reply.end = end;
    }
}

/// Says it on `stream`, or a connection of its own, hears the first bytes of what comes, tells (`told`) that there is something to look at, and ends the connection; at
/// the latest when `stop` says so.
pub(super) async fn converse(
    talk: Talk,
    stream: Option<Connection>,
    address: SocketAddr,
    (options, watch): (&Options, Watch),
    (heard, told, mut stop): (Heard, impl Fn(), watch::Receiver<bool>),
) {
    let lap = watch.begin();
    let stream = match stream {
        Some(stream) => Ok(stream),
        None => open::again(address, options, watch).await,
    };
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(failure) => {
            heard.lock().opened = Some(failure);
            heard.lock().done = true;
            return told();
        }
    };
    let talking = async {
        let ended = if talk.tls {
            tls::touch(&mut stream, address, options, |bytes| {
                heard.add(bytes, lap);
                told();
            })
            .await
        } else {
            exchange(&mut stream, &talk, &heard, lap).await
        };
        if let Err(error) = ended {
            heard.end(how_it_ends(&error), lap);
        }
    };
    tokio::select! {
        () = talking => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    heard.lock().done = true;
    told();
    let switched = talk.http && greeting::http(&heard.reply().bytes) == Some(101);
    drop(timeout(LEAVE, leave(&mut stream, switched, talk.goodbye)).await);
}

/// Sends the words and reads until it can be told what answers. What the peer said before it closed is read too.
async fn exchange(stream: &mut Connection, talk: &Talk, heard: &Heard, lap: Lap) -> io::Result<()> {
    let said = async {
        stream.write_all(&talk.say).await?;
        stream.flush().await
    };
    let unsaid = said.await.err();
    let mut buffer = [0; MOST];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return Err(unsaid.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => heard.add(&buffer[..count], lap),
            Err(error) => return Err(error),
        }
        let bytes = heard.reply().bytes;
        let answered = talk.answers.is_some_and(|answers| answers(&bytes));
        if answered || bytes.contains(&b'\n') || bytes.len() >= ENOUGH {
            return Ok(());
        }
    }
}

fn how_it_ends(error: &io::Error) -> End {
    if matches!(failure::of(error).how, How::Reset) { End::Resets } else { End::Closes }
}

/// A close frame or a farewell, the end of our direction (with a `close_notify` in TLS), and the rest of what the peer says.
async fn leave(stream: &mut Connection, switched: bool, goodbye: &[u8]) -> io::Result<()> {
    if switched {
        stream.write_all(&frame::encode(frame::CLOSE, &frame::NORMAL.to_be_bytes(), rand::random())).await?;
    }
    stream.write_all(goodbye).await?;
    stream.shutdown().await?;
    let mut sink = [0; 4 * MOST];
    let mut rest = 0;
    while rest < REST {
        match stream.read(&mut sink).await? {
            0 => break,
            count => rest += count,
        }
    }
    Ok(())
}
