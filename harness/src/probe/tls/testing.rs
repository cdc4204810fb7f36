//! Certificates and servers for the tests of this layer.

use super::peer::provider;
use crate::probe::options::{Options, TlsOptions};
use crate::probe::target::{Target, Url};
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(super) type Pair = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// So many days from now.
pub(super) fn day(days: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(days * 24)
}

/// Parameters of a certificate that is valid from and until so many days from now.
fn params_from(names: Vec<String>, days: [i64; 2]) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    let at = |days: i64| Duration::from_secs(u64::try_from(day(days).as_second()).unwrap());
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + at(days[0]);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + at(days[1]);
    params
}

/// A server's certificate to be.
pub(super) struct Leaf {
    pub names: Vec<String>,
    pub days: [i64; 2],
}

impl Leaf {
    pub(super) fn new(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), days: [-1, 30] }
    }

    fn params(&self) -> CertificateParams {
        let mut params = params_from(self.names.clone(), self.days);
        params.distinguished_name.push(DnType::CommonName, self.names.first().map_or("nobody", String::as_str));
        params
    }

    pub(super) fn self_signed(&self) -> Pair {
        let key = KeyPair::generate().unwrap();
        (self.params().self_signed(&key).unwrap().der().clone(), der(&key))
    }
}

fn der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// An authority.
pub(super) struct Signer {
    pub der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    pub(super) fn root(name: &str) -> Self {
        Self::root_for(name, &[])
    }

    pub(super) fn root_for(name: &str, names: &[&str]) -> Self {
        let (params, key) = Self::params(name, names);
        Self { der: params.self_signed(&key).unwrap().der().clone(), issuer: Issuer::new(params, key) }
    }

    pub(super) fn intermediate(&self, name: &str) -> Self {
        let (params, key) = Self::params(name, &[]);
        Self { der: params.signed_by(&key, &self.issuer).unwrap().der().clone(), issuer: Issuer::new(params, key) }
    }

    fn params(name: &str, names: &[&str]) -> (CertificateParams, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        (params, KeyPair::generate().unwrap())
    }

    pub(super) fn sign(&self, leaf: &Leaf) -> Pair {
        let key = KeyPair::generate().unwrap();
        (leaf.params().signed_by(&key, &self.issuer).unwrap().der().clone(), der(&key))
    }
}

/// How a server speaks TLS.
pub(super) struct Server {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub alpn: Vec<Vec<u8>>,
    /// Whose certificates clients must have.
    pub wants: Option<CertificateDer<'static>>,
}

impl Server {
    pub(super) fn new((certificate, key): Pair) -> Self {
        Self { chain: vec![certificate], key, versions: rustls::ALL_VERSIONS, alpn: Vec::new(), wants: None }
    }

    pub(super) fn config(self) -> ServerConfig {
        let provider = Arc::clone(provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(self.versions).unwrap();
        let builder = match self.wants {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(self.chain, self.key).unwrap();
        config.alpn_protocols = self.alpn;
        config
    }

    /// Starts it: every connection is shaken hands with, told `first`, and read until the peer is done.
    pub(super) async fn start(self, first: &'static [u8]) -> SocketAddr {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let acceptor = TlsAcceptor::from(Arc::new(self.config()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    drop(stream.write_all(first).await);
                    drop(stream.read_to_end(&mut Vec::new()).await);
                });
            }
        });
        address
    }
}

/// Options for a target, with these authorities.
pub(super) fn options(target: &str, trusted: &[&Signer]) -> Options {
    let Target::Url(url) = target.parse::<Target>().unwrap() else { panic!("{target} is no URL") };
    let certificates = trusted.iter().map(|signer| signer.der.clone()).collect();
    let tls = TlsOptions { authorities: Some(("ca.pem".to_owned(), certificates)), ..TlsOptions::default() };
    with(url, tls)
}

pub(super) fn with(url: Url, tls: TlsOptions) -> Options {
    Options { tls: Arc::new(tls), deadline: Duration::from_secs(10), ..Options::new(url) }
}
