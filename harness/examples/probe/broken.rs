//! Twelve broken servers, and a healthy one.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A hanging server keeps a connection so long.
const LONG: Duration = Duration::from_mins(10);
/// The name in every certificate.
pub(crate) const NAME: &str = "localhost";

/// A certificate authority, and what it signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::default())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of the benchmark");
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// For [`NAME`], until the first of January of a year.
    pub(crate) fn config(&self, until: i32) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
        let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?;
        Ok(Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?))
    }
}

/// What a broken server does with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Nothing at all.
    Hangs,
    /// Closes it.
    Closes,
    /// Answers every request like this.
    Answers(&'static str),
}

/// Serves for as long as this program runs.
pub(crate) fn serve(does: Does, tls: Option<Arc<ServerConfig>>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tls = tls.clone();
            std::thread::spawn(move || connection(stream, does, tls));
        }
    });
    Ok(address)
}

fn connection(stream: TcpStream, does: Does, tls: Option<Arc<ServerConfig>>) {
    // what a peer breaks off is its own affair
    let served = match tls.map(ServerConnection::new) {
        None => answer(stream, does),
        Some(Ok(connection)) => answer(StreamOwned::new(connection, stream), does),
        Some(Err(error)) => Err(io::Error::other(error)),
    };
    drop(served);
}

fn answer(mut stream: impl Read + Write, does: Does) -> io::Result<()> {
    match does {
        Does::Hangs => std::thread::sleep(LONG),
        Does::Closes => {}
        Does::Answers(text) => {
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && request.len() < 16 << 10 {
                stream.read_exact(&mut byte)?;
                request.push(byte[0]);
            }
            stream.write_all(text.as_bytes())?;
            stream.flush()?;
            let mut rest = [0; 1024];
            while stream.read(&mut rest)? > 0 {}
        }
    }
    Ok(())
}
