//! What a person types to have it probed. Pure.

use crate::evidence::Speak;
use sidetone::net::dial::TargetError;
use sidetone::net::dial::target::TCP_PORT;
use sidetone::net::dial::typed::{Typed, redacted};
use std::fmt;
use std::str::FromStr;

/// Something to probe. Its `Display` is the canonical form, without credentials.
///
/// | typed | means |
/// |---|---|
/// | `ws:// wss:// http:// https://HOST[:PORT][/PATH]` | as in a browser: ports 80 and 443, path `/` (RFC 6455, section 3) unless given |
/// | `tcp:// tls://HOST[:PORT]` | transports: what speaks there, or words to send; port 7460 unless given |
/// | `udp://HOST:PORT`, `stun:HOST[:PORT]`, `turn:HOST[:PORT]` | datagrams; 3478 unless given |
/// | `HOST:PORT`, `:PORT` | what speaks there? `:PORT` is this machine |
/// | `pid:N` | everything that a process listens on |
/// | a name without dots, colons and slashes | a server that announces itself by mDNS |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One host and port.
    Url(Url),
    /// A server's name in its mDNS announcement.
    Instance(String),
    /// All listeners of a process.
    Process(u32),
}

/// One host and port, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// How.
    pub speak: Speak,
    /// Name or address, without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
    /// Path and query; empty where there is none (`tcp`, `udp`); `/` for HTTP and WebSocket without one.
    pub path: String,
    /// `NAME:PASSWORD`: a secret, sent as HTTP Basic authentication.
    pub credentials: Option<String>,
}

/// Text that names nothing to probe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// In its grammar.
    #[error("{0}")]
    Grammar(TargetError),
    /// A scheme that is not spoken.
    #[error(
        "{target}: {scheme}: is not spoken here; use tcp, tls, ws, wss, http, https, udp, stun, turn, or HOST:PORT"
    )]
    Scheme {
        /// As typed, without credentials.
        target: String,
        /// The scheme.
        scheme: String,
    },
    /// Not the id of a process.
    #[error("pid:{0}: give the number of a process, as in pid:4711")]
    Pid(String),
    /// Neither a scheme nor a port.
    #[error("{0}: no port; write {0}:7461, https://{0} or wss://{0}")]
    NoPort(String),
    /// UDP has no usual port.
    #[error("{0}: udp needs a port, as in udp://example.org:3478")]
    NoDatagramPort(String),
}

impl From<TargetError> for Wrong {
    fn from(error: TargetError) -> Self {
        Self::Grammar(error)
    }
}

impl FromStr for Target {
    type Err = Wrong;

    fn from_str(typed: &str) -> Result<Self, Wrong> {
        let typed = typed.trim();
        if let Some(pid) = typed.strip_prefix("pid:") {
            return pid
                .parse()
                .ok()
                .filter(|pid| *pid > 0)
                .map(Self::Process)
                .ok_or_else(|| Wrong::Pid(pid.chars().take(40).collect()));
        }
        // STUN's URIs have no slashes (RFC 7064)
        for scheme in ["stun", "turn"] {
            if let Some(rest) = typed.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':'))
                && !rest.starts_with("//")
            {
                return format!("{scheme}://{rest}").parse();
            }
        }
        let is_name = !typed.is_empty() && !typed.contains([':', '/', '.', '@', '[', '?', '#']) && typed.len() <= 63;
        if is_name && typed != "localhost" {
            return Ok(Self::Instance(typed.to_owned()));
        }
        Url::read(typed).map(Self::Url)
    }
}

impl Url {
    fn read(typed: &str) -> Result<Self, Wrong> {
        let shown = redacted(typed);
        let Typed { scheme, credentials, host, port, rest } = Typed::parse(typed)?;
        let speak = match scheme.as_deref() {
            None => Speak::Any,
            Some(word) => {
                let all = [
                    Speak::Tcp,
                    Speak::Tls,
                    Speak::Ws,
                    Speak::Wss,
                    Speak::Http,
                    Speak::Https,
                    Speak::Udp,
                    Speak::Stun,
                    Speak::Turn,
                ];
                let scheme = || Wrong::Scheme { target: shown.clone(), scheme: word.chars().take(40).collect() };
                all.into_iter().find(|speak| speak.word() == word).ok_or_else(scheme)?
            }
        };
        let usual = match speak {
            Speak::Any => None,
            Speak::Tcp | Speak::Tls => Some(TCP_PORT),
            Speak::Ws | Speak::Http => Some(80),
            Speak::Wss | Speak::Https => Some(443),
            Speak::Stun | Speak::Turn => Some(3478),
            Speak::Udp => return Self::datagrams(&shown, host, port, credentials),
        };
        let port = port.or(usual).ok_or_else(|| Wrong::NoPort(shown.clone()))?;
        let bare = matches!(rest.as_str(), "" | "/");
        let has_path = matches!(speak, Speak::Any | Speak::Ws | Speak::Wss | Speak::Http | Speak::Https);
        if !has_path && !bare {
            return Err(TargetError::Path { target: shown, path: rest }.into());
        }
        let path = match speak {
            Speak::Ws | Speak::Wss | Speak::Http | Speak::Https if bare => "/".to_owned(),
            _ if has_path && rest.starts_with('?') => format!("/{rest}"),
            Speak::Any if bare => String::new(),
            Speak::Any | Speak::Ws | Speak::Wss | Speak::Http | Speak::Https => rest,
            Speak::Tcp | Speak::Tls | Speak::Udp | Speak::Stun | Speak::Turn => String::new(),
        };
        let host = if host.is_empty() { "localhost".to_owned() } else { host };
        Ok(Self { speak, host, port, path, credentials })
    }

    fn datagrams(shown: &str, host: String, port: Option<u16>, credentials: Option<String>) -> Result<Self, Wrong> {
        let port = port.ok_or_else(|| Wrong::NoDatagramPort(shown.to_owned()))?;
        Ok(Self { speak: Speak::Udp, host, port, path: String::new(), credentials })
    }

    /// `HOST:PORT`, with brackets around IPv6.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The same place, spoken to in another way.
    #[must_use]
    pub fn with(&self, speak: Speak) -> Self {
        let path = match (speak, self.path.as_str()) {
            (Speak::Ws | Speak::Wss | Speak::Http | Speak::Https, "") => "/".to_owned(),
            (Speak::Tcp | Speak::Tls | Speak::Udp | Speak::Stun | Speak::Turn, _) => String::new(),
            (_, path) => path.to_owned(),
        };
        Self { speak, path, ..self.clone() }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.speak {
            Speak::Any => {}
            Speak::Stun | Speak::Turn => write!(f, "{}:", self.speak.word())?,
            Speak::Tcp | Speak::Tls | Speak::Ws | Speak::Wss | Speak::Http | Speak::Https | Speak::Udp => {
                write!(f, "{}://", self.speak.word())?;
            }
        }
        write!(f, "{}{}", self.authority(), self.path)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Instance(name) => f.write_str(name),
            Self::Process(pid) => write!(f, "pid:{pid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(typed: &str) -> String {
        typed.parse::<Target>().map_or_else(|error| format!("ERROR {error}"), |target| target.to_string())
    }

    #[test]
    fn every_form_has_its_meaning() {
        for (typed, expected) in [
            ("ws://example.org", "ws://example.org:80/"),
            ("ws://example.org:9/", "ws://example.org:9/"),
            ("ws://example.org:9?room=1", "ws://example.org:9/?room=1"),
            ("wss://example.org", "wss://example.org:443/"),
            ("wss://example.org/chat?x#y", "wss://example.org:443/chat?x"),
            ("http://example.org", "http://example.org:80/"),
            ("https://me:pw@example.org/a", "https://example.org:443/a"),
            ("tcp://[::1]", "tcp://[::1]:7460"),
            ("tls://example.org:9", "tls://example.org:9"),
            ("udp://example.org:9", "udp://example.org:9"),
            ("stun:example.org", "stun:example.org:3478"),
            ("stun://example.org:1", "stun:example.org:1"),
            ("turn:[::1]:9", "turn:[::1]:9"),
            ("example.org:9", "example.org:9"),
            ("example.org:9/ws", "example.org:9/ws"),
            (":9", "localhost:9"),
            ("[fe80::1%eth0]:9", "[fe80::1%eth0]:9"),
            ("pid:12", "pid:12"),
            ("the demo", "the demo"),
            ("studio", "studio"),
        ] {
            assert_eq!(canonical(typed), expected, "{typed}");
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_remedy() {
        for (typed, expected) in [
            ("gopher://example.org", "gopher: is not spoken here; use tcp, tls"),
            ("example.org", "no port; write example.org:7461, https://example.org"),
            ("localhost", "no port; write localhost:7461"),
            ("ws://example.org:0", "\"0\" is no port"),
            ("ws://example.org:70000", "\"70000\" is no port"),
            ("::1", "IPv6 in brackets"),
            ("::1:7461", "IPv6 in brackets"),
            ("ws://", "\"\" is no host"),
            ("", "\"\" is no host"),
            ("pid:x", "give the number of a process"),
            ("pid:0", "give the number of a process"),
            ("udp://example.org", "udp needs a port"),
            ("tcp://example.org/room", "tcp:// has no path"),
        ] {
            let text = canonical(typed);
            assert!(text.starts_with("ERROR ") && text.contains(expected), "{typed}: {text}");
        }
        let text = canonical("ws://me:s3cret@example.org:0");
        assert!(!text.contains("s3cret") && text.contains("***@"), "{text}");
    }

    proptest! {
        #[test]
        fn the_canonical_form_means_the_same(typed in "(tcp://|ws://|https://|stun:|)[\\[\\]:/?#a-z0-9.é%-]{0,24}") {
            if let Ok(target) = typed.parse::<Target>() {
                prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
            }
        }
    }
}
