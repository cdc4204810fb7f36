//! TLS.

use super::Failure;
use serde::{Deserialize, Serialize};

/// A handshake. It goes on whatever the certificate is; whether it can be trusted is in [`Tls::trust`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The server name that was sent; `None`: none (an address, or the second look without one).
    pub server_name: Option<String>,
    /// Whether this is the second look, without a server name.
    #[serde(default)]
    pub second_look: bool,
    /// Protocols that were offered (ALPN).
    pub offered: Vec<String>,
    /// For instance `TLS 1.3`.
    pub version: Option<String>,
    /// For instance `TLS13_AES_128_GCM_SHA256`.
    pub cipher: Option<String>,
    /// For instance `X25519`.
    pub key_exchange: Option<String>,
    /// What the server chose of the offered protocols.
    pub protocol: Option<String>,
    /// As sent, the server's own first. Kept: 10 at most.
    pub chain: Vec<Certificate>,
    /// Bytes of all certificates.
    pub chain_bytes: u64,
    /// Whether the chain is good for the name, now; `None`: no certificate came.
    pub trust: Option<Trust>,
    /// Whether the server asked for a certificate of ours.
    pub asks_certificate: bool,
    /// Whether one was sent.
    pub sent_certificate: bool,
    /// The alert that ended it.
    pub alert: Option<Alert>,
    /// What an older hello found, where our library could not speak to the peer.
    pub old: Option<OldPeer>,
    /// The handshake did not complete.
    pub failure: Option<Failure>,
}

/// A certificate (X.509).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Distinguished name.
    pub subject: String,
    /// Distinguished name of who signed it.
    pub issuer: String,
    /// Subject alternative names: DNS names and addresses. Kept: 50 at most.
    pub names: Vec<String>,
    /// RFC 3339, UTC.
    pub not_before: String,
    /// RFC 3339, UTC.
    pub not_after: String,
    /// For instance `RSA 2048` or `ECDSA P-256`.
    pub key: String,
    /// For instance `sha256WithRSAEncryption`.
    pub signature: String,
    /// Hexadecimal.
    pub serial: String,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// Where its issuer's certificate can be had (AIA).
    pub issuer_url: Option<String>,
    /// Why it could not be read; the other fields are empty then.
    pub unreadable: Option<String>,
}

/// Whether a chain is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// It is: issuer, times, name, purpose.
    pub good: bool,
    /// The first thing that is wrong.
    pub problem: Option<TrustProblem>,
    /// What the verifier says.
    pub words: String,
    /// Where the trusted authorities come from, and how many there are: `142 of the system`, `1 of ca.pem`.
    pub authorities: String,
    /// The clock it was judged by, RFC 3339 UTC.
    pub judged_at: String,
    /// Seconds by which the peer's `Date` header is ahead of our clock, where one came later.
    #[serde(default)]
    pub clock_ahead_s: Option<i64>,
}

/// What can be wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustProblem {
    /// `notAfter` has passed.
    Expired,
    /// `notBefore` has not come.
    NotYetValid,
    /// It is for other names.
    Name,
    /// The chain ends outside the trusted authorities.
    UnknownIssuer,
    /// As before, but the first certificate names an issuer that was not sent and is not self-signed.
    IntermediateMissing,
    /// The certificate signed itself.
    SelfSigned,
    /// A signature is wrong, a purpose does not fit, a certificate cannot be read.
    Bad,
}

/// A TLS alert (RFC 8446, section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// For instance 40.
    pub number: u8,
    /// For instance `handshake_failure`.
    pub name: String,
}

/// What a peer says to a hello of 2008, read from its own bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldPeer {
    /// For instance `TLS 1.0`.
    pub version: Option<String>,
    /// For instance `TLS_RSA_WITH_AES_128_CBC_SHA` or `0x0035`.
    pub cipher: Option<String>,
    /// Its certificates, which it sends in the clear.
    pub chain: Vec<Certificate>,
    /// It does not like that hello either.
    pub alert: Option<Alert>,
    /// What is no TLS at all: how its answer begins.
    pub failure: Option<Failure>,
}
