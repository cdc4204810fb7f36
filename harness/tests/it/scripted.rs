//! Servers that do what a file says: the peers of probes. Plain threads, so that no runtime of a test matters.
#![cfg(test)] // so that the lints know the helpers for test code

use super::echoing;
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde::Deserialize;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A scripted server keeps no connection longer: a probe that hangs fails by its own test's patience.
const LONGEST: Duration = Duration::from_secs(30);

/// A server of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// Speak TLS first.
    pub(crate) tls: Option<Tls>,
    /// What each connection does; with `by_connection` the n-th list is the n-th connection's, the last one everybody's after it.
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    #[serde(default)]
    pub(crate) by_connection: Vec<Vec<Step>>,
    /// Listens on `::1` instead.
    #[serde(default)]
    pub(crate) ipv6: bool,
}

/// One step: a word and its arguments.
pub(crate) type Step = Vec<toml::Value>;

/// Which certificate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) names: Vec<String>,
    /// Valid from and until, in days from now.
    #[serde(default = "a_month")]
    pub(crate) days: [i64; 2],
    /// `ca` (given to the probe as `{ca}`), `self`, `stranger`, `intermediate` (which is not sent; the certificate says where it can be had).
    #[serde(default = "by_ca")]
    pub(crate) signed_by: String,
    #[serde(default)]
    pub(crate) alpn: Vec<String>,
    /// `1.2` or `1.3`: only that; absent: both.
    pub(crate) only: Option<String>,
    /// Wants a certificate of the client.
    #[serde(default)]
    pub(crate) wants_certificate: bool,
}

fn a_month() -> [i64; 2] {
    [-1, 30]
}

fn by_ca() -> String {
    "ca".to_owned()
}

/// An authority that a probe can be told to trust.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate as PEM.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::default()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A certificate chain and its key as the table wants them.
fn certificate(tls: &Tls, authority: &Authority) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(tls.names.clone()).unwrap();
    params.distinguished_name.push(DnType::CommonName, tls.names.first().map_or("nobody", String::as_str));
    let day = |days: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(days * 24);
        let part = |format: &str| at.strftime(format).to_string().parse::<u16>().unwrap();
        let small = |format: &str| u8::try_from(part(format)).unwrap();
        rcgen::date_time_ymd(i32::from(part("%Y")), small("%m"), small("%d"))
    };
    params.not_before = day(tls.days[0]);
    params.not_after = day(tls.days[1]);
    let key = KeyPair::generate().unwrap();
    let leaf = match tls.signed_by.as_str() {
        "ca" => params.signed_by(&key, &authority.issuer),
        "self" => params.self_signed(&key),
        "stranger" => params.signed_by(&key, &Authority::new("an authority nobody knows").issuer),
        "intermediate" => {
            let between = authority_params("an intermediate");
            let between_key = KeyPair::generate().unwrap();
            // SEQUENCE { SEQUENCE { caIssuers, [6] "http://ca.example/i" } }, as public authorities write it (RFC 5280 4.2.2.1)
            let access =
                [&b"\x30\x21\x30\x1f\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x13"[..], b"http://ca.example/i"];
            let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access.concat());
            params.custom_extensions.push(access);
            params.signed_by(&key, &Issuer::new(between, between_key))
        }
        other => panic!("signed_by = {other:?} is not known"),
    };
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    (vec![leaf.unwrap().der().clone()], key)
}

fn config(tls: &Tls, authority: &Authority) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] = match tls.only.as_deref() {
        None => rustls::ALL_VERSIONS,
        Some("1.2") => &[&rustls::version::TLS12],
        Some("1.3") => &[&rustls::version::TLS13],
        Some(other) => panic!("only = {other:?} is not known"),
    };
    let (chain, key) = certificate(tls, authority);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = if tls.wants_certificate {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Starts the server; it lives as long as the test's process. `None`: this machine lacks the family.
pub(crate) fn serve(script: &Script, authority: &Authority) -> Option<SocketAddr> {
    let listener = TcpListener::bind(if script.ipv6 { "[::1]:0" } else { "127.0.0.1:0" }).ok()?;
    let address = listener.local_addr().unwrap();
    let tls = script.tls.as_ref().map(|tls| config(tls, authority));
    let lists = if script.by_connection.is_empty() { vec![script.steps.clone()] } else { script.by_connection.clone() };
    if lists[0].first().is_some_and(|step| word(step) == "accept-nothing") {
        std::mem::forget(listener); // for as long as the tests run
        return Some(address);
    }
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let steps = lists.get(number).or_else(|| lists.last()).cloned().unwrap_or_default();
            let tls = tls.clone();
            std::thread::spawn(move || drop(connection(stream, tls, &steps)));
        }
    });
    Some(address)
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, steps: &[Step]) -> io::Result<()> {
    stream.set_read_timeout(Some(LONGEST))?;
    stream.set_write_timeout(Some(LONGEST))?;
    stream.set_nodelay(true)?;
    let raw = stream.try_clone()?;
    let mut both: Box<dyn Both> = match tls {
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, stream))
        }
        None => Box::new(stream),
    };
    let mut request = String::new();
    for step in steps {
        match word(step) {
            "send" => both.write_all(&bytes(text(step, 1), &request))?,
            "send-repeatedly" => {
                let what = bytes(text(step, 1), &request);
                let times = step.get(2).and_then(toml::Value::as_integer).unwrap_or(i64::MAX);
                for _ in 0..times {
                    both.write_all(&what)?;
                }
            }
            "drip" => {
                for byte in bytes(text(step, 1), &request) {
                    both.write_all(&[byte])?;
                    both.flush()?;
                    std::thread::sleep(milliseconds(step, 2));
                }
            }
            "read-request" => request = read_request(&mut both)?,
            "read-line" => drop(read_until(&mut both, b"\n")?),
            "close-if" if request.contains(text(step, 1)) => return both.flush(),
            "close-if" => {}
            "close-unless" => {
                let wanted = bytes(text(step, 1), &request);
                let mut came = vec![0; wanted.len()];
                both.read_exact(&mut came)?;
                if came != wanted {
                    return both.flush();
                }
            }
            "unless-path" => {
                let path = request.split(' ').nth(1).unwrap_or_default();
                if path.split('?').next() != Some(text(step, 1)) {
                    both.write_all(&bytes(text(step, 2), &request))?;
                    return both.flush();
                }
            }
            "read" => both.read_exact(&mut vec![0; usize::try_from(number(step, 1)).unwrap()])?,
            "read-frame" => drop(read_frame(&mut both)?),
            "read-sidetone" => read_sidetone(&mut both)?,
            "echo" => echoing::echo(&mut both, text(step, 1))?,
            "pong" => {
                let payload = read_frame(&mut both)?;
                let mut frame = vec![0x8a, u8::try_from(payload.len()).unwrap()];
                frame.extend(payload);
                both.write_all(&frame)?;
            }
            "pause" => std::thread::sleep(milliseconds(step, 1)),
            "hang" => {
                both.flush()?;
                std::thread::sleep(LONGEST);
            }
            "close" => return both.flush(),
            "reset" => {
                both.flush()?;
                socket2::SockRef::from(&raw).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
            other => panic!("{other:?} is no step of a script"),
        }
        both.flush()?;
    }
    // what the peer still sends is read, so that closing is a FIN and no RST
    let mut rest = [0; 4096];
    while both.read(&mut rest)? > 0 {}
    Ok(())
}

fn word(step: &Step) -> &str {
    text(step, 0)
}

fn text(step: &Step, at: usize) -> &str {
    step.get(at).and_then(toml::Value::as_str).unwrap_or_else(|| panic!("{step:?}: a text is missing at {at}"))
}

fn number(step: &Step, at: usize) -> i64 {
    step.get(at).and_then(toml::Value::as_integer).unwrap_or_else(|| panic!("{step:?}: a number is missing at {at}"))
}

fn milliseconds(step: &Step, at: usize) -> Duration {
    Duration::from_millis(u64::try_from(number(step, at)).unwrap())
}

/// `\xNN` is a byte; `{accept}` the accept key of the last request, `{chosen}` the header with the first subprotocol that it offers,
/// `{date}` the time as HTTP writes it.
fn bytes(text: &str, request: &str) -> Vec<u8> {
    let key = value(request, "sec-websocket-key");
    let offered = value(request, "sec-websocket-protocol");
    let first = offered.split(',').next().unwrap_or_default().trim();
    let chosen = if first.is_empty() { String::new() } else { format!("Sec-WebSocket-Protocol: {first}\r\n") };
    let text = text.replace("{chosen}", &chosen);
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let text = text.replace("{accept}", &derive_accept_key(key.as_bytes())).replace("{date}", &date);
    let mut out = Vec::new();
    let mut parts = text.split("\\x");
    out.extend(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap_or_else(|_| panic!("\\x{part}: two hexadecimal digits")));
        out.extend(&part.as_bytes()[2..]);
    }
    out
}

/// Reads to the empty line.
fn read_request(stream: &mut dyn Both) -> io::Result<String> {
    read_until(stream, b"\r\n\r\n")
}

fn read_until(stream: &mut dyn Both, end: &[u8]) -> io::Result<String> {
    let mut came = Vec::new();
    let mut byte = [0];
    while !came.ends_with(end) {
        stream.read_exact(&mut byte)?;
        came.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&came).into_owned())
}

/// The value of a header of a request, by its name in lower case; empty: it has none.
fn value(request: &str, name: &str) -> String {
    let found = request.lines().find_map(|line| {
        let (given, value) = line.split_once(':')?;
        given.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    });
    found.unwrap_or_default()
}

/// Reads a frame of Sidetone's, of at most 64 KiB.
fn read_sidetone(stream: &mut dyn Both) -> io::Result<()> {
    let mut head = [0; 16];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[12], head[13], head[14], head[15]]);
    stream.read_exact(&mut vec![0; usize::try_from(length).unwrap().min(1 << 16)])
}

/// Reads a masked frame of at most 64 KiB; gives its payload.
fn read_frame(stream: &mut dyn Both) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let length = match head[1] & 0x7f {
        126 => {
            let mut long = [0; 2];
            stream.read_exact(&mut long)?;
            usize::from(u16::from_be_bytes(long))
        }
        127 => return Err(io::Error::other("a frame above 64 KiB")),
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    payload.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= mask[i % 4]);
    Ok(payload)
}
