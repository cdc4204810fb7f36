//! How a target is probed. Holds the user's secrets, so it is never written anywhere.

use super::target::Url;
use crate::evidence::ProbePlan;
use regex::bytes::Regex;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sidetone::event::Family;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How one target is probed.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Options {
    /// What.
    pub url: Url,
    /// Deadline of each layer.
    pub deadline: Duration,
    /// Only this family; `None`: both.
    pub only: Option<Family>,
    /// Addresses that the user gives instead of a resolver: host, port (`None`: any), address.
    pub resolve: Arc<[(String, Option<u16>, IpAddr)]>,
    /// Whether those come from an announcement by mDNS.
    pub by_mdns: bool,
    /// Further headers of requests: secrets. Names as given.
    pub headers: Arc<[(String, String)]>,
    /// `Origin` to send.
    pub origin: Option<String>,
    /// Subprotocols to offer. Empty: none, which every server understands; to Sidetone, its own.
    pub subprotocols: Arc<[String]>,
    /// `--subprotocol none`: none, whatever the server is.
    pub no_subprotocol: bool,
    /// The server is known to be Sidetone: by the word of the user, or by its announcement.
    pub sidetone: bool,
    /// TLS.
    pub tls: Arc<TlsOptions>,
    /// Proxy; `None`: direct.
    pub proxy: Option<Proxy>,
    /// `http_proxy` and the like of the environment, without credentials.
    pub proxies_of_environment: Arc<[String]>,
    /// Media, mDNS, Origin.
    pub deep: bool,
    /// Limits.
    pub intrusive: bool,
    /// What to send.
    pub send: Option<Arc<[u8]>>,
    /// What must come.
    pub expect: Option<Regex>,
    /// Interfaces for mDNS; empty: all that can be used.
    pub mdns_interfaces: Arc<[String]>,
    /// Whether to look behind the socket if the target is this machine.
    pub behind: bool,
    /// Whether the server's own log is read too.
    pub log: bool,
}

/// How TLS is spoken.
#[derive(Default)]
pub struct TlsOptions {
    /// Go on whatever the certificate is (`-k`).
    pub insecure: bool,
    /// Authorities of `--ca` with the file's name; `None`: those of the system.
    pub authorities: Option<(String, Vec<CertificateDer<'static>>)>,
    /// Our certificate chain and key (`--client-cert`).
    pub certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `NAME:PASSWORD`: a secret.
    pub credentials: Option<String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("plan", &self.plan()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions").field("insecure", &self.insecure).finish_non_exhaustive()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string())
    }
}

/// Without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "http://{open}{}{close}:{}", self.host, self.port)
    }
}

impl Options {
    /// For a target, with everything else as it is without any option.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            deadline: Duration::from_secs(3),
            only: None,
            resolve: Arc::default(),
            by_mdns: false,
            headers: Arc::default(),
            origin: None,
            subprotocols: Arc::default(),
            no_subprotocol: false,
            sidetone: false,
            tls: Arc::default(),
            proxy: None,
            proxies_of_environment: Arc::default(),
            deep: false,
            intrusive: false,
            send: None,
            expect: None,
            mdns_interfaces: Arc::default(),
            behind: true,
            log: false,
        }
    }

    /// What an upgrade offers. Nothing, unless the user or the server's nature says so: many servers take the first name that
    /// they are offered, and others refuse names that they do not know.
    pub fn offered(&self) -> Vec<String> {
        if self.subprotocols.is_empty() && self.sidetone && !self.no_subprotocol {
            vec![sidetone::protocol::SUBPROTOCOL.to_owned()]
        } else {
            self.subprotocols.to_vec()
        }
    }

    /// What is asked, without the secrets: part of the evidence.
    pub fn plan(&self) -> ProbePlan {
        ProbePlan {
            target: self.url.to_string(),
            speak: self.url.speak,
            host: self.url.host.clone(),
            port: self.url.port,
            deadline_ms: u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX),
            only: self.only,
            deep: self.deep,
            intrusive: self.intrusive,
            insecure: self.tls.insecure,
            subprotocols: self.subprotocols.to_vec(),
            sidetone: self.sidetone,
            origin: self.origin.clone(),
            proxy: self.proxy.as_ref().map(ToString::to_string),
            proxies_of_environment: self.proxies_of_environment.to_vec(),
            log: self.log,
            bounds: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_in_no_debug_text_and_in_no_plan() {
        let super::super::target::Target::Url(url) = "wss://me:s3cret@example.org".parse().unwrap() else { panic!() };
        let options = Options {
            headers: Arc::new([("Authorization".to_owned(), "Bearer s3cret".to_owned())]),
            proxy: Some(Proxy { host: "::1".to_owned(), port: 3128, credentials: Some("a:s3cret".to_owned()) }),
            ..Options::new(url)
        };
        let text = format!("{options:?} {:?} {:?}", options.tls, options.proxy);
        assert!(!text.contains("s3cret") && text.contains("http://[::1]:3128"), "{text}");
        assert!(!serde_json::to_string(&options.plan()).unwrap().contains("s3cret"));
    }
}
