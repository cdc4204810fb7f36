//! What only more connections tell: the certificate without a server name (or, for an address, with one), the answer to an
//! old hello, the peer's clock.

use super::{Hello, old, server_name, shake};
use crate::evidence::Speak;
use crate::evidence::probed::{Failure, How, OldPeer, Saw, Step, Tls, Trust, TrustProblem};
use crate::probe::failure;
use crate::probe::open::{self, Connection};
use crate::probe::options::Options;
use crate::probe::watch::{Lap, Watch};
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long the peer's clock is waited for: a courtesy, not a layer.
const PATIENCE_FOR_A_DATE: Duration = Duration::from_secs(1);
/// Most bytes of headers in which the peer's clock is looked for.
const MOST_HEADERS: u64 = 16 * 1_024;
/// Alerts of a server that likes nothing of a hello: `handshake_failure`, `illegal_parameter`,
/// `protocol_version`, `insufficient_security`.
const NO_AGREEMENT: [u8; 4] = [40, 47, 70, 71];

/// What only more connections tell: the certificate without a server name, and what a peer that our library cannot speak
/// to says to an old hello (then `first` is told again, with [`Tls::old`]); likewise the clock of a peer whose certificate
/// is out of its time. Each has [`Tls::second_look`].
pub async fn second_looks(address: SocketAddr, options: &Options, first: &Tls, watch: Watch) -> Vec<Step> {
    if first.failure.is_some() {
        if !may_be_old(first) {
            return Vec::new();
        }
        let lap = watch.begin();
        let peer = old_look(address, options, first, (lap, watch)).await;
        let again = Tls { second_look: true, old: Some(peer), ..first.clone() };
        return vec![lap.end(address, Saw::Tls(again))];
    }
    let (name, clock) = tokio::join!(
        Box::pin(otherwise_named(address, options, first, watch)),
        Box::pin(with_clock(address, options, first, watch)),
    );
    name.into_iter().chain(clock).collect()
}

fn may_be_old(first: &Tls) -> bool {
    let refused = first.alert.as_ref().is_some_and(|alert| NO_AGREEMENT.contains(&alert.number));
    let hung_up = first.failure.as_ref().is_some_and(|f| matches!(f.how, How::Closed | How::Reset) && f.received == 0);
    !first.asks_certificate && (first.disagreed || refused || hung_up)
}

/// A further connection without TLS.
async fn plain(address: SocketAddr, options: &Options, watch: Watch) -> Result<Connection, Failure> {
    let options = Options { url: options.url.with(Speak::Tcp), ..options.clone() };
    open::again(address, &options, watch).await
}

/// Without the name that the first look sent; where it had none, as for an address, with the first that its certificate has.
async fn otherwise_named(address: SocketAddr, options: &Options, first: &Tls, watch: Watch) -> Option<Step> {
    let alpn: Vec<&str> = first.offered.iter().map(String::as_str).collect();
    let (name, sends_name) = match &first.server_name {
        Some(_) => (server_name(&options.url.host, address), false),
        None => (first_name(first)?, true),
    };
    let stream = plain(address, options, watch).await.ok()?;
    let hello = Hello { name, sends_name, alpn: &alpn };
    let (mut step, _) = shake(stream, address, options, &hello, watch).await;
    if let Saw::Tls(tls) = &mut step.saw {
        tls.second_look = true;
    }
    Some(step)
}

/// A name that the server's certificate has, where it lacks the address.
fn first_name(first: &Tls) -> Option<ServerName<'static>> {
    if first.trust.as_ref().and_then(|trust| trust.problem) != Some(TrustProblem::Name) {
        return None;
    }
    let names = first.chain.first()?.names.iter().filter_map(|name| ServerName::try_from(name.clone()).ok());
    names.into_iter().find(|name| matches!(name, ServerName::DnsName(_)))
}

/// The first look told again with the peer's clock, if a certificate is out of its time.
async fn with_clock(address: SocketAddr, options: &Options, first: &Tls, watch: Watch) -> Option<Step> {
    let out_of_time = |trust: &&Trust| matches!(trust.problem, Some(TrustProblem::Expired | TrustProblem::NotYetValid));
    let trust = first.trust.as_ref().filter(out_of_time)?;
    if !matches!(options.url.speak, Speak::Wss | Speak::Https) {
        return None;
    }
    let lap = watch.begin();
    let ahead = tokio::time::timeout(PATIENCE_FOR_A_DATE, date(address, options, watch)).await.ok().flatten()?;
    let trust = Some(Trust { clock_ahead_s: Some(ahead), ..trust.clone() });
    Some(lap.end(address, Saw::Tls(Tls { second_look: true, trust, ..first.clone() })))
}

/// Seconds by which the peer's `Date` is ahead of our clock. The certificate is not trusted, so the request has nothing of the
/// user's: no path, no headers, no more than the name that the handshake has told already.
async fn date(address: SocketAddr, options: &Options, watch: Watch) -> Option<i64> {
    let stream = plain(address, options, watch).await.ok()?;
    let hello = Hello { name: server_name(&options.url.host, address), sends_name: true, alpn: &["http/1.1"] };
    let (_, stream) = shake(stream, address, options, &hello, watch).await;
    let mut stream = stream?;
    let request = format!("HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", options.url.authority());
    stream.write_all(request.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    let mut headers = Vec::new();
    let mut limited = stream.take(MOST_HEADERS);
    while !headers.windows(4).any(|end| end == b"\r\n\r\n") {
        if limited.read_buf(&mut headers).await.ok()? == 0 {
            break;
        }
    }
    ahead(&headers, Timestamp::now())
}

fn ahead(headers: &[u8], now: Timestamp) -> Option<i64> {
    let headers = String::from_utf8_lossy(headers);
    let date = headers.lines().skip(1).take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim())
    })?;
    let theirs = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(theirs.as_second() - now.as_second())
}

async fn old_look(address: SocketAddr, options: &Options, first: &Tls, (lap, watch): (Lap, Watch)) -> OldPeer {
    let failed = |failure| OldPeer { failure: Some(failure), ..OldPeer::default() };
    let mut stream = match tokio::time::timeout_at(lap.until(), plain(address, options, watch)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(failure)) => return failed(failure),
        Err(_) => return failed(failure::late(watch.deadline, &[])),
    };
    let mut came = Vec::new();
    let asking = async {
        stream.write_all(&old::client_hello(rand::random(), first.server_name.as_deref())).await?;
        stream.flush().await?;
        while came.len() < old::MOST && !old::read(&came).done {
            let mut part = [0; 4_096];
            match stream.read(&mut part).await? {
                0 => break,
                count => came.extend_from_slice(&part[..count]),
            }
        }
        Ok::<(), std::io::Error>(())
    };
    let asked = tokio::time::timeout_at(lap.until(), asking).await;
    let mut peer = old::read(&came).peer;
    let understood = peer.cipher.is_some() || peer.alert.is_some() || peer.failure.is_some();
    if !understood {
        let kept = &came[..came.len().min(512)];
        peer.failure = Some(match asked {
            Ok(Ok(())) => failure::closed(kept),
            Ok(Err(error)) => failure::of(&error).after(kept),
            Err(_) => failure::late(watch.deadline, kept),
        });
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_compared_with_our_clock() {
        let now: Timestamp = "2026-11-27T10:00:00Z".parse().unwrap();
        let answer = |date: &str| format!("HTTP/1.1 200 OK\r\nServer: x\r\nDATE: {date}\r\n\r\nDate: no");
        assert_eq!(ahead(answer("Fri, 27 Nov 2026 10:00:02 GMT").as_bytes(), now), Some(2));
        assert_eq!(ahead(answer("Thu, 26 Nov 2026 10:00:00 GMT").as_bytes(), now), Some(-86_400));
        assert_eq!(ahead(answer("yesterday").as_bytes(), now), None);
        assert_eq!(ahead(b"HTTP/1.1 200 OK\r\n\r\nDate: Fri, 27 Nov 2026 10:00:02 GMT", now), None);
    }
}
