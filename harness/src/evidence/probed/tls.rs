//! TLS.

use super::Failure;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A handshake. It goes on whatever the certificate is; whether it can be trusted is in [`Tls::trust`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct Tls {
    /// The server name that was sent; `None`: none (an address, or the second look without one).
    pub server_name: Option<String>,
    /// Whether this is a further look: without a server name (for an address: with one), or the first one told again with
    /// [`Tls::old`] or [`Trust::clock_ahead_s`]. Its time is not that of the handshake.
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
    /// Whose certificates it takes, distinguished names. Kept: 10 at most; empty: it names nobody.
    #[serde(default)]
    pub asks_for_those_of: Vec<String>,
    /// Whether one was sent.
    pub sent_certificate: bool,
    /// The server chose a version or a cipher that our library does not speak.
    #[serde(default)]
    pub disagreed: bool,
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

/// Seconds from one moment to another, both RFC 3339; `None`: not readable, as the year 9999 that means "never".
fn seconds_between(from: &str, to: &str) -> Option<i64> {
    let (from, to) = (from.parse::<Timestamp>().ok()?, to.parse::<Timestamp>().ok()?);
    Some(to.as_second() - from.as_second())
}

/// A span for people, of whichever sign: `3 days`, `1 hour`, `20 seconds`.
pub fn span(seconds: i64) -> String {
    let whole = seconds.unsigned_abs();
    let (count, unit) = match whole {
        0..120 => (whole, "second"),
        120..7_200 => (whole / 60, "minute"),
        7_200..172_800 => (whole / 3_600, "hour"),
        _ => (whole / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

impl Certificate {
    /// Seconds until it ends, from a moment in RFC 3339; negative: it has ended. `None`: never, or not readable.
    pub fn ends_in_s(&self, at: &str) -> Option<i64> {
        seconds_between(at, &self.not_after)
    }

    /// Seconds until it begins, from a moment in RFC 3339; negative: it has begun.
    pub fn begins_in_s(&self, at: &str) -> Option<i64> {
        seconds_between(at, &self.not_before)
    }

    /// What people call it: its subject, or its first name, or its serial number.
    pub fn called(&self) -> String {
        match (self.subject.as_str(), self.names.first()) {
            ("", Some(name)) => name.clone(),
            ("", None) => format!("certificate {}", self.serial),
            (subject, _) => subject.to_owned(),
        }
    }

    /// Its names in a few words: the first three and how many more.
    pub fn told_names(&self) -> String {
        match self.names.as_slice() {
            [] => "no name".to_owned(),
            [a, b, c, more @ ..] if !more.is_empty() => format!("{a}, {b}, {c} and {} more", more.len()),
            few => few.join(", "),
        }
    }

    /// Bits of an RSA key; `None`: another kind.
    pub fn rsa_bits(&self) -> Option<u32> {
        self.key.strip_prefix("RSA ")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_names_of_a_certificate_are_told() {
        let certificate = Certificate {
            names: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
            not_before: "2026-11-01T00:00:00Z".to_owned(),
            not_after: "2026-11-24T00:00:00Z".to_owned(),
            key: "RSA 1024".to_owned(),
            ..Certificate::default()
        };
        let at = "2026-11-27T00:00:00Z";
        assert_eq!(certificate.ends_in_s(at).map(span).as_deref(), Some("3 days"));
        assert_eq!(certificate.begins_in_s(at), Some(-26 * 86_400));
        assert_eq!((certificate.told_names(), certificate.called()), ("a, b, c and 2 more".to_owned(), "a".to_owned()));
        assert_eq!(certificate.rsa_bits(), Some(1_024));
        let never = Certificate { not_after: "9999-12-31T23:59:59Z".to_owned(), ..Certificate::default() };
        assert_eq!((never.ends_in_s(at), never.told_names()), (None, "no name".to_owned()));
        assert_eq!([span(1), span(-7_200), span(300)], ["1 second", "2 hours", "5 minutes"]);
    }
}
