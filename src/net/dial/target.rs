//! What a person types to name a server. Pure.

use super::typed::{Typed, redacted};
use crate::event::Transport;
use std::fmt;
use std::str::FromStr;

/// Where the framed protocol listens unless told otherwise.
pub const TCP_PORT: u16 = 7460;
/// Where HTTP and WebSocket listen unless told otherwise.
pub const WEBSOCKET_PORT: u16 = 7461;
/// Where the WebSocket is, on an HTTP server.
pub const WEBSOCKET_PATH: &str = "/ws";

/// A server to dial. Its `Display` is the canonical form, with port and path.
///
/// | typed | means |
/// |---|---|
/// | `tcp://HOST[:PORT]` | the framed protocol |
/// | `ws://HOST[:PORT][/PATH]` | a WebSocket |
/// | `http://HOST[:PORT]/...` | a link copied from a browser: the WebSocket of that server (port 80 unless given) |
/// | `HOST:PORT`, `:PORT` | WebSocket on port 7461 or with a path, the framed protocol on any other; no host is this machine |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// How to speak to it.
    pub transport: Transport,
    /// A name or an address, without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
    /// Begins with `/`; empty for TCP.
    pub path: String,
}

/// Text that names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// TLS is asked for.
    #[error("{target}: TLS is not available in this version; use {instead}:// on a network you trust")]
    Tls {
        /// As typed.
        target: String,
        /// The scheme without it.
        instead: &'static str,
    },
    /// A name and a password.
    #[error("{target}: credentials in a target are not used here; leave out what stands before the @")]
    Credentials {
        /// As typed, without them.
        target: String,
    },
    /// Another scheme.
    #[error("{target}: {scheme}:// is not spoken here; use tcp://, ws:// or http://")]
    Scheme {
        /// As typed.
        target: String,
        /// Its scheme.
        scheme: String,
    },
    /// Neither a scheme nor a port.
    #[error("{target}: no port; write {target}:7460 (TCP) or {target}:7461 (WebSocket)")]
    NoPort {
        /// As typed.
        target: String,
    },
    /// Not a number from 1 to 65535.
    #[error("{target}: {port:?} is no port; give a number from 1 to 65535")]
    Port {
        /// As typed.
        target: String,
        /// What stands for the port.
        port: String,
    },
    /// No name and no address.
    #[error("{target}: {host:?} is no host; give a name or an address, IPv6 in brackets as in [::1]:7460")]
    Host {
        /// As typed.
        target: String,
        /// What stands for the host.
        host: String,
    },
    /// A path where there is none.
    #[error("{target}: tcp:// has no path; leave {path} out, or use ws://")]
    Path {
        /// As typed.
        target: String,
        /// The path.
        path: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Tcp,
    WebSocket,
    Http,
    None,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(typed: &str) -> Result<Self, TargetError> {
        let shown = redacted(typed);
        let Typed { scheme, credentials, host, port, rest } = Typed::parse(typed)?;
        let scheme = scheme_of(&shown, scheme.as_deref())?;
        if credentials.is_some() {
            return Err(TargetError::Credentials { target: shown });
        }
        let host = if host.is_empty() { "localhost".to_owned() } else { host };
        let bare_path = matches!(rest.as_str(), "" | "/");
        let websocket = match scheme {
            Scheme::Tcp => false,
            Scheme::WebSocket | Scheme::Http => true,
            Scheme::None => port == Some(WEBSOCKET_PORT) || !rest.is_empty(),
        };
        if !websocket && !bare_path {
            return Err(TargetError::Path { target: shown, path: rest });
        }
        let port = match (port, scheme) {
            (Some(port), _) => port,
            (None, Scheme::Tcp) => TCP_PORT,
            (None, Scheme::WebSocket) => WEBSOCKET_PORT,
            (None, Scheme::Http) => 80,
            (None, Scheme::None) => return Err(TargetError::NoPort { target: shown }),
        };
        // A browser's link names a page, not the WebSocket.
        let path = if !websocket {
            String::new()
        } else if bare_path || scheme == Scheme::Http {
            WEBSOCKET_PATH.to_owned()
        } else if rest.starts_with('?') {
            format!("{WEBSOCKET_PATH}{rest}")
        } else {
            rest
        };
        let transport = if websocket { Transport::WebSocket } else { Transport::Tcp };
        Ok(Self { transport, host, port, path })
    }
}

fn scheme_of(shown: &str, scheme: Option<&str>) -> Result<Scheme, TargetError> {
    let tls = |instead| TargetError::Tls { target: shown.to_owned(), instead };
    match scheme {
        None => Ok(Scheme::None),
        Some("tcp") => Ok(Scheme::Tcp),
        Some("ws") => Ok(Scheme::WebSocket),
        Some("http") => Ok(Scheme::Http),
        Some("tls") => Err(tls("tcp")),
        Some("wss") => Err(tls("ws")),
        Some("https") => Err(tls("http")),
        Some(other) => Err(TargetError::Scheme { target: shown.to_owned(), scheme: other.to_owned() }),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Tcp => "tcp",
            Transport::WebSocket => "ws",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}{}", self.host, self.port, self.path)
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
            ("tcp://example.org", "tcp://example.org:7460"),
            ("tcp://example.org:9/", "tcp://example.org:9"),
            ("ws://example.org", "ws://example.org:7461/ws"),
            ("ws://example.org:9/chat?room=1#top", "ws://example.org:9/chat?room=1"),
            ("ws://example.org?room=1", "ws://example.org:7461/ws?room=1"),
            ("http://example.org:8080/room/blue?x#y", "ws://example.org:8080/ws"),
            ("http://example.org", "ws://example.org:80/ws"),
            ("WS://Example.org", "ws://Example.org:7461/ws"),
            ("example.org:7460", "tcp://example.org:7460"),
            ("example.org:7461", "ws://example.org:7461/ws"),
            ("example.org:9", "tcp://example.org:9"),
            ("example.org:9/ws", "ws://example.org:9/ws"),
            (":7460", "tcp://localhost:7460"),
            (" :7461 ", "ws://localhost:7461/ws"),
            ("[::1]:7460", "tcp://[::1]:7460"),
            ("ws://[fe80::1%eth0]:9", "ws://[fe80::1%eth0]:9/ws"),
            ("192.0.2.1:7461", "ws://192.0.2.1:7461/ws"),
        ] {
            assert_eq!(canonical(typed), expected, "{typed}");
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_remedy() {
        for (typed, expected) in [
            ("tls://example.org", "TLS is not available in this version; use tcp://"),
            ("wss://example.org/ws", "TLS is not available in this version; use ws://"),
            ("https://example.org", "TLS is not available in this version; use http://"),
            ("stun://example.org", "stun:// is not spoken here"),
            ("example.org", "no port; write example.org:7460"),
            ("example.org:", "\"\" is no port"),
            ("example.org:0", "\"0\" is no port"),
            ("example.org:+5", "\"+5\" is no port"),
            ("example.org:65536", "\"65536\" is no port"),
            ("example.org:x", "\"x\" is no port"),
            ("::1", "IPv6 in brackets"),
            ("[::1", "is no host"),
            ("[nonsense]:9", "is no host"),
            ("tcp://", "\"\" is no host"),
            ("tcp://:9", "\"\" is no host"),
            ("", "\"\" is no host"),
            ("me@example.org:9", "***@example.org:9: credentials in a target are not used here"),
            ("two words:9", "\"two words\" is no host"),
            ("tcp://example.org/room", "tcp:// has no path; leave /room out"),
        ] {
            let text = canonical(typed);
            assert!(text.starts_with("ERROR ") && text.contains(expected), "{typed}: {text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_the_canonical_form_means_the_same(typed in "(tcp://|ws://|http://|)[\\[\\]:/?#a-z0-9.é%-]{0,24}") {
            if let Ok(target) = typed.parse::<Target>() {
                prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
            }
        }
    }
}
