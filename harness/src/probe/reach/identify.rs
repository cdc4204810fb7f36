//! What speaks at a port?

use super::greeting;
use crate::evidence::Speak;
use crate::evidence::probed::{Excerpt, Failure, Greeting, How, Identified, Saw, Speaks, Step};
use crate::probe::failure;
use crate::probe::open::{self, Connection};
use crate::probe::options::Options;
use crate::probe::watch::{Lap, Watch};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use sidetone::net::dial::target::WEBSOCKET_PATH;
use sidetone::protocol::{AudioParameters, Hello, Message};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

/// How long a greeting is waited for, at most.
const GREETING: Duration = Duration::from_millis(250);
/// How long answers are waited for, at most.
const ANSWERS: Duration = Duration::from_secs(1);
/// How long the other answers are waited for when one has come.
const GRACE: Duration = Duration::from_millis(150);
/// Most bytes of an answer.
const MOST: usize = 1_024;

/// How a peer took what it was told.
#[derive(Debug, Default)]
struct Reply {
    /// Its first bytes.
    bytes: Vec<u8>,
    /// How it ended without any.
    end: End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Waits,
    Closes,
    Resets,
}

/// Listens for a greeting, then asks in each protocol, on connections of its own.
pub async fn identify(address: SocketAddr, options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let words = [hello(), http_request(options), tls_hello(options)];
    let options = Options { url: options.url.with(Speak::Tcp), ..options.clone() };
    let saw = match open::again(address, &options, watch).await {
        Err(failure) => Identified { failure: Some(failure), ..Identified::default() },
        Ok(stream) => {
            let connected_us = lap.so_far_us();
            let first = reply(stream, &[], by(lap, watch, GREETING)).await;
            let after_us = lap.so_far_us() - connected_us;
            let listened_ms = after_us / 1_000;
            if first.bytes.is_empty() {
                let asked = Box::pin(ask(address, &options, words, watch, lap)).await;
                Identified { listened_ms, ..conclude(&first, asked) }
            } else {
                let protocol = greeting::greets(&first.bytes).map(str::to_owned);
                let greeting = Greeting { begins: Excerpt::of(&first.bytes), protocol, after_us };
                Identified { speaks: Speaks::Greeting, greeting: Some(greeting), listened_ms, ..Identified::default() }
            }
        }
    };
    lap.end(address, Saw::Identify(saw))
}

/// So much time from now, and not beyond the layer's.
fn by(lap: Lap, watch: Watch, time: Duration) -> Instant {
    let left = watch.deadline.saturating_sub(Duration::from_micros(lap.so_far_us()));
    lap.until() - left + time.min(left)
}

/// Says something, and reads the first bytes of what comes; what comes together in a moment counts as one answer.
async fn reply(mut stream: Connection, words: &[u8], until: Instant) -> Reply {
    let mut reply = Reply::default();
    let told = timeout_at(until, async {
        stream.write_all(words).await?;
        stream.flush().await
    });
    match told.await {
        Err(_) => return reply,
        // what the peer said before it closed is still to be read
        Ok(Err(error)) => reply.end = how_it_ends(failure::of(&error).how),
        Ok(Ok(())) => {}
    }
    reply.end = read(&mut stream, &mut reply.bytes, until).await.unwrap_or(reply.end);
    reply
}

/// Reads until a line or a header is there; `None`: time is over.
async fn read(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>, until: Instant) -> Option<End> {
    let mut buffer = [0; MOST];
    while bytes.len() < MOST {
        let room = buffer.len() - bytes.len();
        match timeout_at(until, stream.read(&mut buffer[..room])).await.ok()? {
            Ok(0) => return Some(End::Closes),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) => return Some(how_it_ends(failure::of(&error).how)),
        }
        if bytes.contains(&b'\n') || bytes.len() >= 16 {
            return None;
        }
    }
    None
}

const fn how_it_ends(how: How) -> End {
    if matches!(how, How::Reset) { End::Resets } else { End::Closes }
}

/// Replies to a hello, to an HTTP request, to a TLS hello; an error: no connection was completed.
type Asked = [Result<Reply, Failure>; 3];

/// Three connections at once. When one is answered, the others have a moment more.
async fn ask(address: SocketAddr, options: &Options, words: [Vec<u8>; 3], watch: Watch, lap: Lap) -> Asked {
    let until = by(lap, watch, ANSWERS);
    let (answered, mut seen) = tokio::sync::watch::channel(false);
    let one = |words: Vec<u8>| {
        let answered = answered.clone();
        async move {
            let stream = open::again(address, options, watch).await?;
            let reply = reply(stream, &words, until).await;
            if !reply.bytes.is_empty() {
                answered.send_replace(true);
            }
            Ok(reply)
        }
    };
    let cut = async {
        drop(timeout_at(until, seen.wait_for(|answered| *answered)).await);
        tokio::time::sleep_until(by(lap, watch, GRACE)).await;
    };
    let [hello, http, tls] = words.map(one);
    tokio::pin!(cut, hello, http, tls);
    let mut replies: [Option<Result<Reply, Failure>>; 3] = [None, None, None];
    while replies.iter().any(Option::is_none) {
        tokio::select! {
            reply = &mut hello, if replies[0].is_none() => replies[0] = Some(reply),
            reply = &mut http, if replies[1].is_none() => replies[1] = Some(reply),
            reply = &mut tls, if replies[2].is_none() => replies[2] = Some(reply),
            () = &mut cut => break,
        }
    }
    replies.map(|reply| reply.unwrap_or_else(|| Ok(Reply::default())))
}

/// A hello with no common version: a server refuses it, and nobody in any room notices.
fn hello() -> Vec<u8> {
    let hello = Message::Hello(Hello {
        version_min: 0,
        version_max: 0,
        name: "sidetone-harness".to_owned(),
        room: "probe".to_owned(),
        capabilities: Vec::new(),
        agent: concat!("sidetone-harness/", env!("CARGO_PKG_VERSION")).to_owned(),
        audio: AudioParameters::default(),
    });
    hello.frame(0, 0).encode().to_vec()
}

fn http_request(options: &Options) -> Vec<u8> {
    let path = if options.url.path.is_empty() { WEBSOCKET_PATH } else { &options.url.path };
    let protocol = sidetone::protocol::SUBPROTOCOL;
    // the key is that of RFC 6455: what is answered to it is looked at by another layer
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sidetone-harness/{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n",
        options.url.authority(),
        env!("CARGO_PKG_VERSION"),
    )
    .into_bytes()
}

/// A `ClientHello` with the host's name, as rustls writes it; empty if it cannot be made.
fn tls_hello(options: &Options) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let Ok(builder) = builder.with_safe_default_protocol_versions() else { return bytes };
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let host = options.url.host.split('%').next().unwrap_or_default().to_owned();
    let name = ServerName::try_from(host).or_else(|_| ServerName::try_from("localhost"));
    if let Some(mut connection) = name.ok().and_then(|name| ClientConnection::new(Arc::new(config), name).ok()) {
        drop(connection.write_tls(&mut bytes));
    }
    bytes
}

/// From the replies: TLS before HTTP, since servers that expect TLS tell a plain request so in HTTP.
fn conclude(first: &Reply, [hello, http, tls]: Asked) -> Identified {
    let (hello, http, tls) = match (hello, http, tls) {
        (Err(failure), Err(_), Err(_)) => return Identified { failure: Some(failure), ..Identified::default() },
        (hello, http, tls) => (hello.unwrap_or_default(), http.unwrap_or_default(), tls.unwrap_or_default()),
    };
    let ends = [first.end, hello.end, http.end, tls.end];
    let all = [&hello.bytes, &http.bytes, &tls.bytes];
    let like = all.iter().find_map(|bytes| greeting::answers(bytes)).map(str::to_owned);
    let status = all.iter().find_map(|bytes| greeting::http(bytes));
    let speaks = if greeting::tls(&tls.bytes) {
        Speaks::Tls
    } else if all.iter().any(|bytes| greeting::sidetone(bytes)) {
        Speaks::Sidetone
    } else if greeting::http(&http.bytes) == Some(101) {
        Speaks::WebSocket
    } else if status.is_some() {
        Speaks::Http
    } else if all.iter().any(|bytes| !bytes.is_empty()) {
        Speaks::Unknown
    } else if ends[1..].contains(&End::Waits) {
        Speaks::Silent
    } else {
        Speaks::Closes
    };
    let otherwise = match speaks {
        // a connection with words of ours unread is reset by a close too; on the first one nothing was said
        Speaks::Closes if first.end != End::Closes && ends.contains(&End::Resets) => "resets",
        Speaks::Closes => "closes",
        Speaks::Silent => "waits",
        Speaks::Sidetone | Speaks::WebSocket | Speaks::Http | Speaks::Tls | Speaks::Greeting | Speaks::Unknown => "",
    };
    Identified {
        speaks,
        to_hello: Excerpt::of(&hello.bytes),
        to_http: Excerpt::of(&http.bytes),
        to_tls: Excerpt::of(&tls.bytes),
        otherwise: otherwise.to_owned(),
        answers_like: like.filter(|_| speaks == Speaks::Unknown),
        ..Identified::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;
    use std::future::Future;
    use tokio::net::{TcpListener, TcpStream};

    /// Looks at a server that does this with each connection.
    async fn look<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> (Identified, u64) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        let Ok(Target::Url(url)) = address.to_string().parse() else { panic!() };
        let step = identify(address, &Options::new(url), Watch::start(Duration::from_mins(1))).await;
        server.abort();
        let Saw::Identify(identified) = step.saw else { panic!("{step}") };
        (identified, step.took_us)
    }

    async fn request(stream: &mut TcpStream) -> Vec<u8> {
        let mut buffer = vec![0; 4_096];
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        buffer.truncate(count);
        buffer
    }

    #[tokio::test]
    async fn one_that_greets() {
        let (seen, _) = look(|mut stream| async move {
            drop(stream.write_all(b"SSH-2.0-x\r\n").await);
            request(&mut stream).await;
        })
        .await;
        let greeting = seen.greeting.unwrap();
        assert_eq!((seen.speaks, greeting.protocol.as_deref()), (Speaks::Greeting, Some("SSH")));
        assert_eq!(greeting.begins.as_str(), "SSH-2.0-x\r\n");
    }

    #[tokio::test]
    async fn one_that_says_nothing_costs_a_second_and_no_more() {
        let (seen, took_us) = look(|mut stream| async move {
            let mut all = Vec::new();
            drop(stream.read_to_end(&mut all).await);
        })
        .await;
        assert_eq!((seen.speaks, seen.otherwise.as_str(), seen.failure), (Speaks::Silent, "waits", None));
        assert!((1_000_000..30_000_000).contains(&took_us), "not until the deadline of a minute: {took_us}");
    }

    #[tokio::test]
    async fn one_that_closes() {
        let (seen, _) = look(|stream| async move { drop(stream) }).await;
        assert_eq!(seen.speaks, Speaks::Closes);
        // what was told to it after it had closed may be answered with a reset
        assert!(["closes", "resets"].contains(&seen.otherwise.as_str()), "{seen:?}");
    }

    #[tokio::test]
    async fn http_and_what_tells_plain_requests_that_it_is_tls() {
        let answer = |upgrade: &'static [u8], other: &'static [u8]| {
            look(move |mut stream| async move {
                let asked = request(&mut stream).await;
                drop(stream.write_all(if asked.starts_with(b"GET") { upgrade } else { other }).await);
            })
        };
        let (http, _) = answer(b"HTTP/1.1 404 Not Found\r\n\r\n", b"").await;
        assert_eq!((http.speaks, http.to_http.first_line(40).as_str()), (Speaks::Http, "HTTP/1.1 404 Not Found"));
        let (socket, _) = answer(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"").await;
        assert_eq!(socket.speaks, Speaks::WebSocket);
        let (tls, _) = answer(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x46").await;
        assert_eq!(tls.speaks, Speaks::Tls);
        let (redis, _) = answer(b"-ERR unknown command\r\n", b"").await;
        assert_eq!((redis.speaks, redis.answers_like.as_deref()), (Speaks::Unknown, Some("Redis")));
    }

    #[tokio::test]
    async fn a_tls_hello_is_one() {
        let Ok(Target::Url(url)) = "localhost:9".parse() else { panic!() };
        let hello = tls_hello(&Options::new(url));
        assert!(greeting::tls(&hello) && hello.windows(9).any(|part| part == b"localhost"));
    }
}
