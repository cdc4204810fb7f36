//! Which pages may open a WebSocket here: any page on the web can try, and a browser says where it comes from
//! (RFC 6455, section 10.2). Pure: headers and addresses in, verdict out.
//!
//! Native clients send no origin and come in. A page may if it was served from one of the server's own names at the
//! listener's own port, or from what `--allow-origin` lists. The name is compared as the browser wrote it, whole: nothing
//! is decoded, cut or matched by its beginning or end.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Pages that may open a WebSocket.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Names of this machine, in lower case, beside `localhost` and its addresses.
    pub own_names: Vec<String>,
    /// What else is allowed.
    pub allowed: Vec<AllowedOrigin>,
}

/// One `--allow-origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `*`.
    Any,
    /// `chat.example`: with any scheme, at any port.
    Host(String),
    /// `https://chat.example:8443`; without a port, that of the scheme.
    Exact(WebOrigin),
}

/// Where a page comes from (RFC 6454), as a browser writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: String,
    /// In lower case; an IPv6 address in its shortest form, without brackets.
    host: String,
    /// `None` for a scheme that has no port by itself.
    port: Option<u16>,
}

/// A page that may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// What is wrong.
    pub(super) reason: String,
    /// What to do.
    pub(super) remedy: String,
}

impl Origins {
    /// Decides on the `Origin` headers of an upgrade whose connection has that local address.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub(super) fn judge(&self, sent: &[String], local: SocketAddr) -> Result<(), Refused> {
        let sent = match sent {
            [] => return Ok(()),
            [one] => one.as_str(),
            [..] => return refuse("a request with several Origin headers opens no WebSocket", "send one"),
        };
        if self.allowed.contains(&AllowedOrigin::Any) {
            return Ok(());
        }
        let Some(origin) = WebOrigin::parse(sent) else {
            return refuse(
                "a page that does not say where it comes from opens no WebSocket here",
                "open the page from this server's own address",
            );
        };
        let own_name = self.is_own_name(&origin.host, local.ip());
        let own = own_name && matches!(origin.scheme.as_str(), "http" | "https") && origin.port == Some(local.port());
        let listed = self.allowed.iter().any(|allowed| match allowed {
            AllowedOrigin::Any => true,
            AllowedOrigin::Host(host) => *host == origin.host,
            AllowedOrigin::Exact(exact) => *exact == origin,
        });
        if own || listed {
            return Ok(());
        }
        let why = if own_name { "if a proxy or a forwarded port leads here" } else { "if that page is yours" };
        refuse(
            &format!("a page of {sent} may not open a WebSocket here"),
            &format!("{why}, start the server with --allow-origin {sent}"),
        )
    }

    fn is_own_name(&self, host: &str, local: IpAddr) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            let (address, local) = (address.to_canonical(), local.to_canonical());
            return address == local || (address.is_loopback() && local.is_loopback());
        }
        let below_localhost = host.strip_suffix(".localhost").is_some_and(|label| !label.is_empty());
        host == "localhost" || below_localhost || self.own_names.iter().any(|name| name == host)
    }
}

fn refuse(reason: &str, remedy: &str) -> Result<(), Refused> {
    Err(Refused { reason: reason.to_owned(), remedy: remedy.to_owned() })
}

impl WebOrigin {
    /// `scheme://host[:port]` in lower case and nothing else; `None` for `null` and for all that no browser sends.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(is_scheme) {
            return None;
        }
        let (host, port) = split_host(rest)?;
        let port = match (port, scheme) {
            (Some(digits), _) => Some(read_port(digits)?),
            (None, "http" | "ws") => Some(80),
            (None, "https" | "wss") => Some(443),
            (None, _) => None,
        };
        Some(Self { scheme: scheme.to_owned(), host, port })
    }
}

/// Host and digits of the port. An IPv6 address has brackets; a name, nothing but letters, digits and `-._`.
fn split_host(text: &str) -> Option<(String, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
        return Some((address.to_string(), port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    (!host.is_empty() && host.len() <= 253 && host.bytes().all(is_host)).then(|| (host.to_owned(), port))
}

fn read_port(digits: &str) -> Option<u16> {
    let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

impl FromStr for AllowedOrigin {
    type Err = String;

    /// What an operator types: upper case and a bare IPv6 address are fine, what could never match is not.
    fn from_str(text: &str) -> Result<Self, String> {
        let typed = text.trim().to_lowercase();
        if typed == "*" {
            return Ok(Self::Any);
        }
        if typed == "null" {
            let why = "null is what sandboxed pages and files say, whoever made them";
            return Err(format!("{why}; serve the page from a name and allow that"));
        }
        if typed.contains('*') {
            return Err("a * stands alone, for every page there is; otherwise name each host".to_owned());
        }
        if let Ok(address) = typed.parse::<Ipv6Addr>() {
            return Ok(Self::Host(address.to_string()));
        }
        if !typed.is_ascii() {
            return Err("write the name as browsers send it, in ASCII (xn--...)".to_owned());
        }
        if typed.contains("://") {
            return WebOrigin::parse(&typed).map(Self::Exact).ok_or_else(|| {
                "an origin is scheme://host or scheme://host:port, without a path or a user".to_owned()
            });
        }
        match split_host(&typed) {
            Some((host, None)) => Ok(Self::Host(host)),
            Some((_, Some(_))) => {
                Err(format!("a host alone is allowed at every port; for one port write https://{typed}"))
            }
            None => Err("neither a host (chat.example) nor an origin (https://chat.example)".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Fixture {
        own_names: Vec<String>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        what: String,
        origins: Vec<String>,
        local: SocketAddr,
        #[serde(default)]
        allow: Vec<String>,
        allowed: bool,
    }

    fn fixture() -> Fixture {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/web/origins.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn each_origin_is_judged_as_the_fixture_says() {
        let fixture = fixture();
        for case in &fixture.cases {
            let allowed = case.allow.iter().map(|text| text.parse().unwrap()).collect();
            let origins = Origins { own_names: fixture.own_names.clone(), allowed };
            let verdict = origins.judge(&case.origins, case.local);
            assert_eq!(verdict.is_ok(), case.allowed, "{}: {:?}: {verdict:?}", case.what, case.origins);
        }
        assert!(fixture.cases.len() > 60, "{}", fixture.cases.len());
    }

    #[test]
    fn the_remedy_of_a_refusal_helps() {
        let fixture = fixture();
        for case in fixture.cases.iter().filter(|case| !case.allowed) {
            let [origin] = &case.origins[..] else { continue };
            let origins = Origins { own_names: fixture.own_names.clone(), allowed: vec![] };
            let remedy = origins.judge(&case.origins, case.local).unwrap_err().remedy;
            let Some((_, named)) = remedy.split_once("--allow-origin ") else { continue };
            assert_eq!(named, origin);
            let allowed = vec![named.parse().unwrap()];
            assert!(Origins { allowed, ..origins }.judge(&case.origins, case.local).is_ok(), "{}", case.what);
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        let bad = [
            ("null", "serve the page from a name"),
            ("*.example", "a * stands alone"),
            ("https://*", "a * stands alone"),
            ("https://chat.example/", "without a path"),
            ("https://ada@chat.example", "without a path or a user"),
            ("https://chat.example:0", "scheme://host:port"),
            ("https://chat.example:65536", "scheme://host:port"),
            ("https://", "scheme://host"),
            ("chat.example:8443", "write https://chat.example:8443"),
            ("b\u{fc}cher.example", "xn--"),
            ("", "neither a host"),
            ("a b", "neither a host"),
            ("chat.example/room", "neither a host"),
        ];
        for (text, sentence) in bad {
            let error = text.parse::<AllowedOrigin>().unwrap_err();
            assert!(error.contains(sentence), "{text:?}: {error}");
        }
        for good in ["*", "chat.example", "HTTPS://Chat.Example:8443", "::1", "[::1]", "192.0.2.1", "app://x"] {
            assert!(good.parse::<AllowedOrigin>().is_ok(), "{good:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_never_panics_and_only_own_names_come_in(text in "\\PC{0,40}") {
            let origins = Origins { own_names: vec!["box".to_owned()], allowed: vec![] };
            let local = "127.0.0.1:7461".parse().unwrap();
            let allowed = origins.judge(std::slice::from_ref(&text), local).is_ok();
            prop_assert!(!allowed || text.ends_with(":7461"));
            drop(text.parse::<AllowedOrigin>());
        }
    }
}
