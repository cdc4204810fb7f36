//! TLS: the handshake with whatever certificate, the judgement of the certificate, the bytes of an old peer.
//!
//! * [`files`]: certificates and keys of the user's files;
//! * `certificate`: X.509 as data; `trust`: whether a chain is good; `alert`: names of alerts;
//! * `peer`: what our side notes; `recorder`: the peer's first bytes; `wrong`: why it ended;
//! * `second`: what only more connections tell; `old`: a hello of 2008 and its answer.

mod alert;
mod certificate;
pub mod files;
mod old;
mod peer;
mod recorder;
mod second;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trust;
mod wrong;

pub use second::second_looks;

use crate::evidence::probed::{Failure, How, Saw, Step, Tls};
use crate::probe::failure;
use crate::probe::open::Connection;
use crate::probe::options::{Options, TlsOptions};
use crate::probe::watch::{Lap, Watch};
use peer::{Chain, Ours, provider};
use recorder::{GivenBack, Record, Recorder};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trust::Authorities;

/// How long a server that asked for a certificate is listened to after the handshake, at least: in TLS 1.3 it says only then
/// what it thinks of what it got.
const SECOND_THOUGHTS: Duration = Duration::from_millis(200);

/// Shakes hands, with the server name unless the host is an address. The connection is given back whatever the certificate
/// is; whoever uses it looks at [`Tls::trust`] first ([`crate::probe::open::may_go_on`]).
pub async fn handshake(
    stream: Connection,
    address: SocketAddr,
    options: &Options,
    alpn: &[&str],
    watch: Watch,
) -> (Step, Option<Connection>) {
    let hello = Hello { name: server_name(&options.url.host, address), sends_name: true, alpn };
    shake(stream, address, options, &hello, watch).await
}

/// Shakes hands only to see whether somebody speaks TLS, and says nothing else; `heard` gets the peer's bytes as they come. The
/// caller ends the connection.
///
/// # Errors
/// The connection ended, or what came is no TLS.
pub async fn touch(
    stream: &mut Connection,
    address: SocketAddr,
    options: &Options,
    heard: impl Fn(&[u8]),
) -> io::Result<()> {
    let hello = Hello { name: server_name(&options.url.host, address), sends_name: true, alpn: &[] };
    let us = prepared(&TlsOptions::default(), &hello).map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(us.config, hello.name).map_err(io::Error::other)?;
    let mut buffer = vec![0; 4 << 10];
    while tls.is_handshaking() {
        write(&mut tls, stream).await?;
        if !tls.is_handshaking() {
            break;
        }
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        heard(&buffer[..count]);
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            if tls.process_new_packets().is_err() {
                // an alert says so; what came tells the rest
                return write(&mut tls, stream).await;
            }
        }
    }
    tls.send_close_notify();
    write(&mut tls, stream).await
}

async fn write(tls: &mut ClientConnection, stream: &mut Connection) -> io::Result<()> {
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes)?;
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// What the hello says, and the name that the certificate is judged for.
struct Hello<'a> {
    name: ServerName<'static>,
    sends_name: bool,
    alpn: &'a [&'a str],
}

/// The name in a certificate for a host; for what is no name of DNS the address, for which no server name is sent.
fn server_name(host: &str, address: SocketAddr) -> ServerName<'static> {
    let without_scope = host.split('%').next().unwrap_or(host);
    match without_scope.parse::<IpAddr>() {
        Ok(ip) => ServerName::from(ip),
        Err(_) => ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::from(address.ip())),
    }
}

async fn shake(
    stream: Connection,
    address: SocketAddr,
    options: &Options,
    hello: &Hello<'_>,
    watch: Watch,
) -> (Step, Option<Connection>) {
    let lap = watch.begin();
    let sent = if let (ServerName::DnsName(name), true) = (&hello.name, hello.sends_name) {
        Some(name.as_ref().to_owned())
    } else {
        None
    };
    let offered = hello.alpn.iter().map(|name| (*name).to_owned()).collect();
    let mut tls = Tls { server_name: sent, offered, ..Tls::default() };
    let (stream, chain) = match prepared(&options.tls, hello) {
        Ok(us) => speak(stream, &us, hello, (lap, watch.deadline), &mut tls).await,
        Err(error) => {
            tls.failure = Some(Failure::new(How::Own, format!("our certificate or key cannot be used: {error}")));
            (None, Vec::new())
        }
    };
    // what follows is no part of the handshake, nor of its time
    let mut step = lap.end(address, Saw::Later);
    tls.chain_bytes = chain.iter().map(|one| u64::try_from(one.len()).unwrap_or(0)).sum();
    tls.chain = certificate::read_all(&chain);
    let (name, ours) = (hello.name.clone(), Arc::clone(&options.tls));
    let judging = tokio::task::spawn_blocking(move || judge(&chain, &name, &ours));
    tls.trust = judging.await.ok().flatten();
    step.saw = Saw::Tls(tls);
    (step, stream)
}

fn judge(
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    options: &TlsOptions,
) -> Option<crate::evidence::probed::Trust> {
    if chain.is_empty() {
        return None;
    }
    let given = Authorities::given(options);
    let authorities = given.as_ref().unwrap_or_else(|| Authorities::of_the_system());
    trust::judge(chain, name, authorities, jiff::Timestamp::now())
}

/// Our side of one handshake.
struct Us {
    config: Arc<ClientConfig>,
    chain: Arc<Chain>,
    ours: Arc<Ours>,
}

fn prepared(options: &TlsOptions, hello: &Hello<'_>) -> Result<Us, rustls::Error> {
    let (chain, ours) = (Arc::new(Chain::new()), Arc::new(Ours::new(options)?));
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let verifier: Arc<Chain> = Arc::clone(&chain);
    let resolver: Arc<Ours> = Arc::clone(&ours);
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = builder.with_client_cert_resolver(resolver);
    config.alpn_protocols = hello.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    // a protocol that was not offered is something to see, not to stumble over
    config.check_selected_alpn = false;
    config.enable_sni = hello.sends_name;
    config.resumption = Resumption::disabled();
    Ok(Us { config: Arc::new(config), chain, ours })
}

async fn speak(
    stream: Connection,
    us: &Us,
    hello: &Hello<'_>,
    (lap, deadline): (Lap, Duration),
    tls: &mut Tls,
) -> (Option<Connection>, Vec<CertificateDer<'static>>) {
    let record = Record::default();
    let stream = Recorder::new(stream, record.clone());
    let connecting = TlsConnector::from(Arc::clone(&us.config)).connect(hello.name.clone(), stream);
    let connected = tokio::time::timeout_at(lap.until(), Box::pin(connecting)).await;
    let asked = us.ours.asked();
    tls.asks_certificate = asked.is_some();
    tls.asks_for_those_of = asked.unwrap_or_default();
    tls.sent_certificate = us.ours.sent();
    let stream = match connected {
        Ok(Ok(stream)) => {
            agreed(tls, &stream);
            if tls.asks_certificate && tls.version.as_deref() == Some("TLS 1.3") {
                second_thoughts(stream, &record, lap, tls).await
            } else {
                Some(Box::new(stream) as Connection)
            }
        }
        Ok(Err(error)) => {
            wrong::note(tls, &error, &record.seen());
            None
        }
        Err(_) => {
            tls.failure = Some(wrong::late(deadline, &record.seen()));
            None
        }
    };
    (stream, us.chain.take())
}

fn agreed(tls: &mut Tls, stream: &TlsStream<Recorder>) {
    let (_, connection) = stream.get_ref();
    // no other version was offered
    let name = |version| if version == ProtocolVersion::TLSv1_3 { "TLS 1.3" } else { "TLS 1.2" };
    tls.version = connection.protocol_version().map(|version| name(version).to_owned());
    tls.cipher = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    tls.key_exchange = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    tls.protocol = connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
}

/// What a server that asked for a certificate says to what it got, in TLS 1.3: nothing but its tickets, or an alert.
async fn second_thoughts(
    mut stream: TlsStream<Recorder>,
    record: &Record,
    lap: Lap,
    tls: &mut Tls,
) -> Option<Connection> {
    let patience = SECOND_THOUGHTS.max(Duration::from_micros(lap.so_far_us().saturating_mul(2)));
    let mut came = [0; 1_024];
    let listening = poll_fn(|cx| {
        let mut buf = ReadBuf::new(&mut came);
        match Pin::new(&mut stream).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(Some(buf.filled().len()))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // a session ticket is only for whom it lets in
            Poll::Pending if stream.get_ref().1.tls13_tickets_received() > 0 => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        }
    });
    let listening = tokio::time::timeout_at(lap.until(), tokio::time::timeout(patience, listening));
    let heard: io::Result<Option<usize>> = listening.await.map_or(Ok(None), |inner| inner.unwrap_or(Ok(None)));
    match heard {
        Ok(None) => Some(Box::new(stream)),
        Ok(Some(0)) => {
            let seen = record.seen();
            let words = "closed right after the handshake, in which it had asked for a certificate";
            tls.failure = Some(Failure { received: seen.received, ..Failure::new(How::Closed, words) });
            None
        }
        Ok(Some(count)) => Some(Box::new(GivenBack::new(came[..count].to_vec(), stream))),
        Err(error) => {
            wrong::note(tls, &error, &record.seen());
            if tls.alert.is_none() && tls.failure.is_none() {
                tls.failure = Some(failure::of(&error));
            }
            None
        }
    }
}
