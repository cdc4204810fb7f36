//! The grammar of targets: what stands where, whatever it means. Pure. Clients and probes read it in their own ways.

use super::TargetError;
use std::net::Ipv6Addr;

/// Longest name (RFC 1035, section 2.3.4, written with dots).
const LONGEST_NAME: usize = 253;

/// `[SCHEME://][CREDENTIALS@]HOST[:PORT][/PATH][?QUERY]`, taken apart. A fragment is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// In lower case; `None`: none was given.
    pub scheme: Option<String>,
    /// What stands before `@`: a secret.
    pub credentials: Option<String>,
    /// A name or an address, without brackets; empty only where a port alone was given.
    pub host: String,
    /// 1 to 65535.
    pub port: Option<u16>,
    /// Path and query, as given.
    pub rest: String,
}

impl Typed {
    /// Takes a target apart.
    ///
    /// # Errors
    /// No host, or a port that is none. Credentials are never in the message.
    pub fn parse(typed: &str) -> Result<Self, TargetError> {
        let typed = typed.trim();
        let (scheme, rest) = match typed.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, typed),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let rest = rest.split('#').next().unwrap_or_default();
        let shown = redacted(typed);
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials.to_owned()), authority),
            None => (None, authority),
        };
        let (host, port) = split_port(&shown, authority)?;
        let host = match host {
            "" if scheme.is_none() && port.is_some() && credentials.is_none() => String::new(),
            host => checked_host(&shown, host)?,
        };
        Ok(Self { scheme, credentials, host, port, rest: rest.to_owned() })
    }
}

/// A target as typed, cut, with `***` for credentials.
pub fn redacted(typed: &str) -> String {
    let typed = typed.trim();
    let start = typed.find("://").map_or(0, |at| at + 3);
    let end = typed[start..].find(['/', '?', '#']).map_or(typed.len(), |at| start + at);
    let shown = match typed[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &typed[..start], &typed[start + at..]),
        None => typed.to_owned(),
    };
    if shown.chars().count() <= 120 { shown } else { shown.chars().take(117).chain("...".chars()).collect() }
}

/// Host (brackets kept) and port.
fn split_port<'a>(shown: &str, authority: &'a str) -> Result<(&'a str, Option<u16>), TargetError> {
    let colon = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|at| bracket + at),
        None => authority.find(':'),
    };
    let Some(colon) = colon else { return Ok((authority, None)) };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    if port.contains(':') {
        return Err(TargetError::Host { target: shown.to_owned(), host: cut(authority) });
    }
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number @ 1..) if digits => Ok((host, Some(number))),
        _ => Err(TargetError::Port { target: shown.to_owned(), port: cut(port) }),
    }
}

fn checked_host(shown: &str, host: &str) -> Result<String, TargetError> {
    let wrong = || TargetError::Host { target: shown.to_owned(), host: cut(host) };
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(wrong)?;
        let (address, scope) = inner.split_once('%').map_or((inner, None), |(address, scope)| (address, Some(scope)));
        address.parse::<Ipv6Addr>().map_err(|_| wrong())?;
        if scope.is_some_and(|scope| scope.is_empty() || !scope.chars().all(in_name)) {
            return Err(wrong());
        }
        return Ok(inner.to_owned());
    }
    if host.is_empty() || host.len() > LONGEST_NAME || !host.chars().all(in_name) {
        Err(wrong())
    } else {
        Ok(host.to_owned())
    }
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '.' | '_')
}

fn cut(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(77).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_are_taken_apart_and_never_shown() {
        let typed = Typed::parse("wss://me:s3cret@example.org:9/a?b#c").unwrap();
        assert_eq!(typed.credentials.as_deref(), Some("me:s3cret"));
        assert_eq!((typed.host.as_str(), typed.port, typed.rest.as_str()), ("example.org", Some(9), "/a?b"));
        assert_eq!(redacted("wss://me:s3cret@example.org:9/a@b"), "wss://***@example.org:9/a@b");
        for wrong in ["ws://me:s3cret@example.org:0", "me:s3cret@:9", "ws://a:s3cret@@", "x://s3cret@[::1"] {
            let error = Typed::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_told_and_cut() {
        let error = Typed::parse(&format!("ws://{}:80", "a".repeat(300))).unwrap_err().to_string();
        assert!(error.len() < 400 && error.contains("is no host"), "{error}");
        assert!(Typed::parse(&format!("ws://{}:80", "a".repeat(253))).is_ok());
    }

    #[test]
    fn scopes() {
        assert_eq!(Typed::parse("[fe80::1%eth0]:9").unwrap().host, "fe80::1%eth0");
        assert!(Typed::parse("[fe80::1%]:9").is_err() && Typed::parse("[fe80::1%a b]:9").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(typed in ".{0,64}") {
            drop(Typed::parse(&typed));
            drop(redacted(&typed));
        }
    }
}
