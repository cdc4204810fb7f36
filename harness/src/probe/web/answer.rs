//! Answers of HTTP/1.1, read within bounds of bytes and time whatever the peer does.

use super::body::{Body, excerpt};
use super::request::Request;
use crate::evidence::probed::{Excerpt, Failure, How, Http};
use crate::probe::failure;
use crate::probe::open::Connection;
use crate::probe::watch::{Lap, Watch};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{timeout, timeout_at};

/// Most bytes of one answer's status line and headers. Like the next two a limit of the probe's own, above those of browsers:
/// what is beyond it is not judged.
pub const MOST_HEAD: usize = 256 << 10;
/// Most headers.
const MOST_HEADERS: usize = 2_000;
/// Most interim answers (`100 Continue` and the like).
const MOST_INTERIM: u32 = 1_000;
/// How long a body is waited for after its headers: what matters of it comes with them.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes that one read asks for.
const CHUNK: usize = 16 << 10;

/// An answer, and what steps do not keep of it.
#[derive(Debug, Default)]
pub struct Answer {
    /// What steps keep.
    pub http: Http,
    /// `Location`, to be followed.
    pub location: Option<String>,
    /// The body as far as it was read, at most 64 KiB.
    pub body: Vec<u8>,
    /// After a 101: bytes that came together with it.
    pub early: Vec<u8>,
}

/// Status line and headers.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    length: usize,
    version: u8,
    status: u16,
    reason: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

/// Sends a request and reads its answer until the layer's deadline.
pub async fn ask(stream: &mut Connection, request: &Request, lap: Lap, watch: Watch) -> Answer {
    let mut answer = Answer::default();
    answer.http.method = String::from("GET");
    answer.http.url.clone_from(&request.url);
    let bytes = request.encode();
    let sent = watch.begin();
    let sending = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    let unsent = match timeout_at(lap.until(), sending).await {
        Ok(Ok(())) => None,
        // it may have said why before it closed: that is read first
        Ok(Err(error)) => Some(failure::of(&error)),
        Err(_) => {
            let words = format!("it did not take the request within {} ms", watch.deadline.as_millis());
            answer.http.failure = Some(Failure::new(How::TimedOut, words));
            return answer;
        }
    };
    let mut buffer = Vec::new();
    let head = match read_head(stream, &mut buffer, &mut answer.http, (lap, watch, sent)).await {
        Ok(head) => head,
        Err(failure) => {
            answer.http.failure = Some(unsent.filter(|_| failure.received == 0).unwrap_or(failure));
            return answer;
        }
    };
    let rest = buffer.split_off(head.length);
    keep(&mut answer, &head);
    if head.status == 101 {
        answer.early = rest;
        return answer;
    }
    let mut body = Body::of(head.status, &head.headers, rest);
    let whole = match timeout(BODY_PATIENCE, timeout_at(lap.until(), body.read(stream))).await {
        Ok(Ok(whole)) => whole,
        Ok(Err(_)) | Err(_) => Some(false),
    };
    answer.body = body.into_bytes();
    answer.http.body_whole = whole;
    answer.http.body_bytes = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
    if answer.http.encoding.is_none() {
        answer.http.body = excerpt(&answer.body);
    }
    answer
}

/// The first answer that is not an interim one; the buffer then begins with it.
async fn read_head(
    stream: &mut Connection,
    buffer: &mut Vec<u8>,
    http: &mut Http,
    (lap, watch, sent): (Lap, Watch, Lap),
) -> Result<Head, Failure> {
    let mut fresh = true;
    loop {
        // an end of headers needs a line end; the first bytes tell whether it is HTTP at all
        let head = if fresh { parse(buffer)? } else { None };
        match head {
            Some(head) if (100..200).contains(&head.status) && head.status != 101 => {
                http.interim += 1;
                buffer.drain(..head.length);
                if http.interim > MOST_INTERIM {
                    let what = format!("{MOST_INTERIM} interim answers ({} and so on)", head.status);
                    return Err(own_limit(&what).after(buffer));
                }
                continue;
            }
            Some(head) => return Ok(head),
            None if buffer.len() >= MOST_HEAD => {
                return Err(own_limit(&format!("{} KiB of headers", MOST_HEAD >> 10)).after(buffer));
            }
            None => {}
        }
        let before = buffer.len();
        buffer.reserve(CHUNK);
        let ended = match timeout_at(lap.until(), stream.read_buf(buffer)).await {
            Ok(Ok(0)) => failure::closed(buffer),
            Ok(Ok(_)) => {
                http.first_byte_us.get_or_insert_with(|| sent.so_far_us());
                fresh = before < 64 || buffer[before..].contains(&b'\n');
                continue;
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => failure::closed(buffer),
            Ok(Err(error)) => failure::of(&error).after(buffer),
            Err(_) => failure::late(watch.deadline, buffer),
        };
        return Err(after_interim(ended, http.interim));
    }
}

/// Interim answers are bytes too: a peer that sent some did not keep silent.
fn after_interim(failure: Failure, interim: u32) -> Failure {
    if interim == 0 || failure.received > 0 {
        return failure;
    }
    let how = if failure.how == How::TimedOut { How::TooSlow } else { failure.how };
    let words = format!("{}, after {interim} interim answers", failure.words);
    Failure { how, words, ..failure }
}

/// What is legal and more than the probe reads.
fn own_limit(what: &str) -> Failure {
    Failure::new(How::Own, format!("the probe's own limit: it reads at most {what}"))
}

/// The minor version of an answer above 1.1, which is to be read as 1.1 (RFC 9110, section 2.5).
fn later_minor(bytes: &[u8]) -> Option<u8> {
    let minor = *bytes.strip_prefix(b"HTTP/1.")?.first()?;
    matches!(minor, b'2'..=b'9').then(|| minor - b'0')
}

/// `None`: more is needed.
fn parse(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let Some(minor) = later_minor(bytes) else { return parse_as_1_1(bytes) };
    let read = [b"HTTP/1.1", &bytes[8..]].concat();
    let parsed = parse_as_1_1(&read).map_err(|failure| Failure { begins: Excerpt::of(bytes), ..failure });
    Ok(parsed?.map(|head| Head { version: minor, ..head }))
}

fn parse_as_1_1(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = vec![httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(length)) => length,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(own_limit(&format!("{MOST_HEADERS} headers")).after(bytes));
        }
        Err(error) => {
            let words = if bytes.starts_with(b"HTTP/1.") {
                format!("not valid HTTP: {error}")
            } else {
                "the reply is not HTTP".to_owned()
            };
            return Err(Failure::new(How::Malformed, words).after(bytes));
        }
    };
    let (Some(version), Some(status @ 100..)) = (response.version, response.code) else {
        return Err(Failure::new(How::Malformed, "not valid HTTP: its status is below 100").after(bytes));
    };
    let reason = response.reason.unwrap_or_default().as_bytes().to_vec();
    let headers = response.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
    Ok(Some(Head { length, version, status, reason, headers }))
}

/// What a step keeps of a head.
fn keep(answer: &mut Answer, head: &Head) {
    let http = &mut answer.http;
    http.status = Some(head.status);
    http.reason = Excerpt::of(&head.reason);
    http.version = format!("HTTP/1.{}", head.version);
    http.header_bytes = u64::try_from(head.length).unwrap_or(u64::MAX);
    http.headers = head.headers.iter().map(|(name, value)| (name.clone(), told(name, value))).collect();
    http.encoding = http.header("content-encoding").filter(|e| !e.eq_ignore_ascii_case("identity")).map(str::to_owned);
    http.proxies = http.headers.iter().filter(|(name, value)| between(name, value.as_str())).map(shown).collect();
    answer.location = head
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("location"))
        .map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned());
    http.location = answer.location.as_ref().map(|to| Excerpt::of(without_credentials(to).as_bytes()).to_string());
}

/// The value of a header. Cookies are keys to somebody's session: their names are enough.
fn told(name: &str, value: &[u8]) -> Excerpt {
    match value.iter().position(|byte| *byte == b'=') {
        Some(at) if name.eq_ignore_ascii_case("set-cookie") => Excerpt::of(&[&value[..at], b"=***"].concat()),
        _ if name.eq_ignore_ascii_case("location") => {
            Excerpt::of(without_credentials(&String::from_utf8_lossy(value)).as_bytes())
        }
        _ => Excerpt::of(value),
    }
}

fn shown((name, value): &(String, Excerpt)) -> String {
    format!("{name}: {}", value.first_line(80))
}

/// A URL with `***` for what stands before its `@`.
fn without_credentials(url: &str) -> String {
    let Some(start) = url.find("//").map(|at| at + 2) else { return url.to_owned() };
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &url[..start], &url[start + at..]),
        None => url.to_owned(),
    }
}

/// Headers that only something between us and the server sets.
const OF_PROXIES: &[&str] = &[
    "via",
    "x-cache",
    "x-cache-status",
    "x-served-by",
    "x-varnish",
    "x-squid-error",
    "x-envoy-upstream-service-time",
    "proxy-authenticate",
    "proxy-connection",
    "cf-ray",
    "cf-cache-status",
    "x-amz-cf-id",
    "x-amz-cf-pop",
    "x-azure-ref",
    "x-vercel-id",
    "fly-request-id",
    "akamai-grn",
];

/// Programs that mostly stand in front of others, by how their `Server` begins.
const PROXIES: &[&str] = &[
    "cloudflare",
    "cloudfront",
    "akamaighost",
    "awselb",
    "varnish",
    "envoy",
    "istio-envoy",
    "haproxy",
    "squid",
    "nginx",
    "openresty",
    "caddy",
    "traefik",
    "fly/",
    "vercel",
    "google frontend",
];

fn between(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let value = value.to_ascii_lowercase();
    OF_PROXIES.contains(&name.as_str()) || name == "server" && PROXIES.iter().any(|proxy| value.starts_with(proxy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use tokio::io::DuplexStream;

    /// Asks a peer that does what the test says, and that comes to an end.
    async fn asked<F: Future<Output = ()> + Send + 'static>(peer: impl FnOnce(DuplexStream) -> F) -> Answer {
        asked_within(Duration::from_secs(30), peer).await
    }

    async fn asked_within<F: Future<Output = ()> + Send + 'static>(
        deadline: Duration,
        peer: impl FnOnce(DuplexStream) -> F,
    ) -> Answer {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(peer(theirs));
        let watch = Watch::start(deadline);
        let request = Request::new("http://x/", "x".to_owned(), "/", Arc::default());
        let mut stream: Connection = Box::new(ours);
        ask(&mut stream, &request, watch.begin(), watch).await
    }

    async fn answered(bytes: &'static [u8]) -> Answer {
        asked(move |mut peer| async move {
            peer.write_all(bytes).await.unwrap();
            drop(peer.read_to_end(&mut Vec::new()).await);
        })
        .await
    }

    fn failed(answer: &Answer) -> (How, &str) {
        let failure = answer.http.failure.as_ref().unwrap();
        (failure.how, &failure.words)
    }

    #[tokio::test]
    async fn what_an_answer_says_is_kept() {
        let answer = answered(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found it\r\nServer: nginx/1.2\r\nVia: 1.1 far\r\nSet-Cookie: id=s3cret\r\n\
              Location: http://me:s3cret@b/\x1b[2J\r\nContent-Length: 2\r\n\r\nhi and more",
        )
        .await;
        // a control character in a header makes it no HTTP
        assert_eq!(failed(&answer).0, How::Malformed);
        let answer = answered(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found it\r\nServer: nginx/1.2\r\nVia: 1.1 far\r\nSet-Cookie: id=s3cret\r\n\
              Location: http://me:s3cret@b/\xff\r\nContent-Length: 2\r\n\r\nhi and more",
        )
        .await;
        let http = &answer.http;
        assert_eq!((http.status, http.reason.as_str(), http.version.as_str()), (Some(302), "Found it", "HTTP/1.1"));
        assert_eq!((http.interim, http.body.as_str(), http.body_bytes, http.body_whole), (1, "hi", 2, Some(true)));
        assert_eq!(http.proxies, ["Server: nginx/1.2", "Via: 1.1 far"]);
        assert_eq!(answer.location.as_deref(), Some("http://me:s3cret@b/\u{fffd}"), "followed as it is");
        assert!(http.location.as_ref().unwrap().starts_with("http://***@b/") && http.first_byte_us.is_some());
        assert!(!format!("{http:?}").contains("s3cret") && http.failure.is_none(), "{http:?}");
    }

    #[tokio::test]
    async fn a_compressed_body_is_counted_and_never_unpacked() {
        let answer =
            answered(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00").await;
        assert_eq!((answer.http.encoding.as_deref(), answer.http.body_bytes), (Some("gzip"), 4));
        assert!(answer.http.body.is_empty());
    }

    #[tokio::test]
    async fn bytes_after_a_101_are_not_a_body() {
        let answer = answered(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi").await;
        assert_eq!((answer.early.as_slice(), answer.http.body_bytes), (&b"\x81\x02hi"[..], 0));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_fails_nothing() {
        let answer = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nabc").await;
        assert_eq!((answer.http.failure, answer.http.body_whole, answer.http.body_bytes), (None, Some(false), 3));
    }

    #[tokio::test]
    async fn peers_that_never_come_to_an_end_are_told_within_the_deadline() {
        let silent = asked_within(Duration::from_millis(400), |mut peer| async move {
            drop(peer.read_to_end(&mut Vec::new()).await);
        })
        .await;
        assert_eq!(failed(&silent), (How::TimedOut, "no byte within 400 ms"));
        let dripping = asked_within(Duration::from_secs(2), |mut peer| async move {
            // one long header, so that no line of it can be judged
            for byte in b"HTTP/1.1 200 OK\r\nA: ".iter().chain(b"x".iter().cycle()) {
                if peer.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        assert_eq!(failed(&dripping).0, How::TooSlow);
        let one_header = asked(|mut peer| async move {
            drop(peer.write_all(b"HTTP/1.1 200 OK\r\nA: ").await);
            while peer.write_all(&[b'x'; 4096]).await.is_ok() {}
        })
        .await;
        assert_eq!(failed(&one_header), (How::Own, "the probe's own limit: it reads at most 256 KiB of headers"));
        let many = asked(|mut peer| async move {
            drop(peer.write_all(b"HTTP/1.1 200 OK\r\n").await);
            while peer.write_all(b"A: b\r\n").await.is_ok() {}
        })
        .await;
        assert_eq!(failed(&many), (How::Own, "the probe's own limit: it reads at most 2000 headers"));
        let interim =
            asked(|mut peer| async move { while peer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {} })
                .await;
        assert_eq!(
            failed(&interim),
            (How::Own, "the probe's own limit: it reads at most 1000 interim answers (100 and so on)")
        );
    }

    #[tokio::test]
    async fn peers_that_speak_no_http_or_close() {
        let greeting = answered(b"SSH-2.0-OpenSSH_9.6\r\n").await;
        assert_eq!(failed(&greeting), (How::Malformed, "the reply is not HTTP"));
        assert_eq!(greeting.http.failure.unwrap().begins.as_str(), "SSH-2.0-OpenSSH_9.6\r\n");
        let closing = asked(|mut peer| async move { drop(peer.read(&mut [0; 4096]).await) }).await;
        assert_eq!(failed(&closing), (How::Closed, "closed without a byte"));
        let early = asked(|mut peer| async move {
            drop(peer.read(&mut [0; 4096]).await);
            drop(peer.write_all(b"HTTP/1.1 200").await);
        })
        .await;
        assert_eq!(failed(&early), (How::Closed, "closed after 12 bytes"));
    }

    proptest! {
        #[test]
        fn no_head_makes_it_panic(bytes in "(HTTP/1.[01] )?[0-9A-Za-z:;, \r\n\u{0}\u{ff}-]{0,120}") {
            if let Ok(Some(head)) = parse(bytes.as_bytes()) {
                prop_assert!(head.length <= bytes.len() && head.status >= 100);
            }
        }
    }
}
