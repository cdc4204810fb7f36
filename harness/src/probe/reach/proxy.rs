//! Through an HTTP proxy (`CONNECT`; RFC 9110, section 9.3.6).

use super::{connect, names};
use crate::evidence::probed::{Excerpt, Failure, How, Proxied, Saw, Step};
use crate::probe::failure;
use crate::probe::options::{Options, Proxy};
use crate::probe::watch::{Lap, Watch};
use crate::probe::web::request::basic;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

/// Most bytes of an answer, headers included.
const MOST: usize = 16 * 1024;
/// Most headers of an answer.
const HEADERS: usize = 100;

/// Asks a proxy to connect to the target. The proxy resolves the name.
pub async fn tunnel(options: &Options, proxy: &Proxy, watch: Watch) -> (Step, Option<TcpStream>) {
    let lap = watch.begin();
    let authority = options.url.authority();
    let mut proxied = Proxied { proxy: proxy.to_string(), authority, ..Proxied::default() };
    let mut stream = match reach(proxy, lap, watch).await {
        Ok(stream) => stream,
        Err(failure) => {
            let words = format!("the proxy itself cannot be reached: {failure}");
            proxied.failure = Some(Failure { words, errno: None, ..failure });
            return (lap.end(None, Saw::Proxy(proxied)), None);
        }
    };
    let address = stream.peer_addr().ok();
    let mut received = Vec::new();
    let asked = timeout_at(lap.until(), ask(&mut stream, &proxied.authority, proxy, &mut received)).await;
    proxied.answer = Excerpt::of(&received);
    proxied.failure = match asked {
        Err(_) => Some(failure::late(watch.deadline, &received)),
        Ok(Err(failure)) => Some(failure),
        Ok(Ok(())) => judge(&received, &mut proxied.status),
    };
    let stream = Some(stream).filter(|_| proxied.failure.is_none());
    (lap.end(address, Saw::Proxy(proxied)), stream)
}

/// The first address of the proxy that completes a connection; all are tried at once.
async fn reach(proxy: &Proxy, lap: Lap, watch: Watch) -> Result<TcpStream, Failure> {
    let found = timeout_at(lap.until(), tokio::net::lookup_host((proxy.host.as_str(), proxy.port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Err(_) => return Err(Failure::new(How::TimedOut, "no answer of the resolver to its name")),
        Ok(Err(error)) => return Err(Failure::new(How::NoAddress, error.to_string())),
        Ok(Ok(addresses)) => names::in_turn(&addresses.collect::<Vec<_>>()),
    };
    let attempts = addresses.into_iter().map(|address| {
        Box::pin(async move {
            match timeout_at(lap.until(), connect::connect(address, watch)).await {
                Err(_) => Err(failure::late(watch.deadline, &[])),
                Ok((_, Some(stream))) => Ok(stream),
                Ok((step, None)) => Err(step.saw.failure().cloned().unwrap_or_else(none)),
            }
        })
    });
    let attempts: Vec<_> = attempts.collect();
    if attempts.is_empty() {
        return Err(none());
    }
    futures_util::future::select_ok(attempts).await.map(|(stream, _)| stream)
}

fn none() -> Failure {
    Failure::new(How::NoAddress, "its name has no address")
}

/// Reads up to the end of the headers and not a byte further: what follows is the target's.
async fn ask(stream: &mut TcpStream, authority: &str, proxy: &Proxy, received: &mut Vec<u8>) -> Result<(), Failure> {
    let agent = concat!("sidetone-harness/", env!("CARGO_PKG_VERSION"));
    let told = |credentials: &String| format!("Proxy-Authorization: {}\r\n", basic(credentials));
    let authorization = proxy.credentials.as_ref().map(told).unwrap_or_default();
    let request =
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| failure::of(&error))?;
    let mut byte = [0];
    while !received.ends_with(b"\r\n\r\n") && !received.ends_with(b"\n\n") {
        if received.len() >= MOST {
            return Err(Failure::new(How::TooMuch, format!("more than {MOST} bytes of headers")).after(received));
        }
        match stream.read(&mut byte).await {
            Ok(0) => return Err(failure::closed(received)),
            Ok(_) => received.extend_from_slice(&byte),
            Err(error) => return Err(failure::of(&error).after(received)),
        }
    }
    Ok(())
}

/// Reads the answer. Pure.
fn judge(received: &[u8], status: &mut Option<u16>) -> Option<Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    if let Err(error) = answer.parse(received) {
        return Some(Failure::new(How::Malformed, format!("its answer is not HTTP: {error}")).after(received));
    }
    *status = answer.code;
    match answer.code {
        Some(200..=299) => None,
        code => {
            let code = code.unwrap_or_default();
            let reason = Excerpt::text(answer.reason.unwrap_or_default()).first_line(80);
            Some(Failure::new(How::Said, format!("it answers {code} {reason}").trim_end()).after(received))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;
    use std::time::Duration;
    use tokio::net::TcpListener;

    /// What a proxy that answers like that is asked for, and what becomes of it.
    async fn through(answer: &'static [u8]) -> (String, Step, Option<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Proxy { host: "127.0.0.1".to_owned(), port, credentials: Some("Aladdin:open sesame".to_owned()) };
        let Ok(Target::Url(url)) = "ws://example.invalid:81".parse() else { panic!() };
        let options = Options::new(url);
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer).await.unwrap();
            String::from_utf8(asked).unwrap()
        };
        let ((step, stream), asked) =
            tokio::join!(tunnel(&options, &proxy, Watch::start(Duration::from_secs(10))), serve);
        (asked, step, stream)
    }

    fn seen(step: &Step) -> &Proxied {
        let Saw::Proxy(proxied) = &step.saw else { panic!("{step}") };
        proxied
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_the_targets() {
        let (asked, step, stream) = through(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nSSH-2.0").await;
        assert!(asked.starts_with("CONNECT example.invalid:81 HTTP/1.1\r\nHost: example.invalid:81\r\n"), "{asked}");
        assert!(asked.contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{asked}");
        assert_eq!((seen(&step).status, &seen(&step).failure), (Some(200), &None));
        assert!(!serde_json::to_string(&step).unwrap().contains("sesame"));
        let mut rest = String::new();
        stream.unwrap().read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "SSH-2.0");
    }

    #[tokio::test]
    async fn a_proxy_that_says_no_or_is_none() {
        let (_, step, stream) = through(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
        let failure = seen(&step).failure.clone().unwrap();
        assert_eq!((failure.how, failure.words.as_str()), (How::Said, "it answers 407 Proxy Authentication Required"));
        assert!(stream.is_none());
        let (_, step, _) = through(b"SSH-2.0-x\r\n\r\n").await;
        assert_eq!(seen(&step).failure.as_ref().unwrap().how, How::Malformed);
        let (_, step, _) = through(b"HTTP/1.1 200 OK\r\n").await;
        assert_eq!(seen(&step).failure.as_ref().unwrap().how, How::Closed);
    }
}
