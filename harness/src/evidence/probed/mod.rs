//! What a probe of one target saw: a [`Step`] a layer and address, each with its deadline, timing and result.
//!
//! * [`reach`]: the name, the way, the connection, the proxy, what speaks there, the words of any protocol;
//! * [`tls`]: the handshake, the certificates, the bytes of an old peer;
//! * [`web`]: HTTP, the upgrade, frames of a WebSocket;
//! * [`talk`]: the hello, the echo room, STUN, mDNS;
//! * [`behind`]: what this machine knows of a socket whose server runs on it; `told`: a line for people.
//!
//! Text that a peer sent is kept as it came but cut: [`Excerpt`]; reports make it harmless. Secrets that the user gave are
//! never in here.

pub mod behind;
pub mod reach;
pub mod talk;
pub mod tls;
mod told;
pub mod web;

pub use behind::{Behind, Filters, Firewall, Holding, Listening, Owner, Unseen};
pub use reach::{
    Asked, Connected, Exchange, FamilyAnswer, Greeting, Identified, LookupError, NameSource, Proxied, Resolved, Route, Speaks,
};
pub use talk::{Advertised, Answers, EchoHeard, Hello, Stun, Turn, Unfinished};
pub use tls::{Alert, Certificate, OldPeer, Tls, Trust, TrustProblem};
pub use web::{
    Close, Closed, FrameProblem, Http, Intrusive, Message, Opcode, OriginTried, Ping, Upgrade, UpgradeProblem, Wait,
};

use serde::{Deserialize, Serialize};
use sidetone::event::Errno;
use std::fmt;
use std::net::SocketAddr;

/// One step of a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The address it was made with; `None`: it concerns the target as a whole.
    pub address: Option<SocketAddr>,
    /// When it began, in microseconds since the probe began.
    pub began_us: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How long it might have taken, in milliseconds.
    pub deadline_ms: u64,
    /// What it saw.
    pub saw: Saw,
}

/// What a step saw. Each kind has a `failure`: `None` is success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case")]
pub enum Saw {
    /// The addresses of the name.
    Resolve(Resolved),
    /// The way to an address.
    Route(Route),
    /// A TCP connection.
    Connect(Connected),
    /// A proxy was asked to connect.
    Proxy(Proxied),
    /// What speaks at a port that was given without a scheme.
    Identify(Identified),
    /// A TLS handshake.
    Tls(Tls),
    /// One HTTP request; each redirect that is followed is a step of its own.
    Http(Http),
    /// A WebSocket upgrade.
    Upgrade(Upgrade),
    /// Ping and pong on the WebSocket.
    Ping(Ping),
    /// What the server says first, or while nobody asks it anything.
    Wait(Wait),
    /// The close handshake of the WebSocket.
    Close(Close),
    /// The upgrade with an `Origin`.
    Origin(OriginTried),
    /// Tests that cost the server something (`--intrusive`).
    Intrusive(Intrusive),
    /// A Sidetone hello.
    Hello(Hello),
    /// The echo room (`--deep`).
    Echo(EchoHeard),
    /// A browse by mDNS, and whether what is advertised answers (`--deep`).
    Advertised(Advertised),
    /// STUN and TURN.
    Stun(Stun),
    /// `--send` and `--expect`, or a wait for words on a bare connection.
    Exchange(Exchange),
    /// Behind the socket, on this machine.
    Behind(Behind),
    /// A step that only a later minor version knows.
    #[serde(other)]
    Later,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub how: How,
    /// The error of the system call, where one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<Errno>,
    /// In a few words, without the address: for instance `no byte within 3000 ms`.
    pub words: String,
    /// Bytes of the peer that had come until then.
    #[serde(default)]
    pub received: u64,
    /// How they begin.
    #[serde(default, skip_serializing_if = "Excerpt::is_empty")]
    pub begins: Excerpt,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The deadline came and nothing had been received.
    TimedOut,
    /// The deadline came while bytes were still dripping in.
    TooSlow,
    /// `ECONNREFUSED`.
    Refused,
    /// `ENETUNREACH`, `EHOSTUNREACH`, `ENETDOWN`, `EADDRNOTAVAIL`, or `EINVAL` of an address without its scope.
    Unreachable,
    /// `ECONNRESET` or `EPIPE`.
    Reset,
    /// The peer closed (FIN) where more was due.
    Closed,
    /// More came than is allowed: headers, frames, certificates.
    TooMuch,
    /// What came breaks the protocol.
    Malformed,
    /// The peer says no in its own protocol (an alert, a status, a close frame).
    Said,
    /// Our own limits or rights: says nothing of the peer.
    Own,
    /// A resolver gives no address.
    NoAddress,
    /// Anything else.
    Other,
}

/// The beginning of what a peer sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Excerpt(String);

fn hex(byte: u8) -> String {
    format!("\\x{byte:02x}")
}

impl Excerpt {
    /// Most characters that are kept.
    pub const MOST: usize = 2_000;

    /// Printable ASCII, tabs and line ends as they are, every other byte as `\xNN`; cut after [`Self::MOST`] characters.
    pub fn of(bytes: &[u8]) -> Self {
        let mut text = String::new();
        for byte in bytes {
            match byte {
                b'\\' => text.push_str("\\\\"),
                b'\r' | b'\n' | b'\t' | 0x20..=0x7e => text.push(char::from(*byte)),
                other => text.push_str(&hex(*other)),
            }
            if text.len() >= Self::MOST {
                text.truncate(Self::MOST);
                break;
            }
        }
        Self(text)
    }

    /// UTF-8 text of a peer, without its control characters (`\n` and `\t` stay); cut after [`Self::MOST`] bytes.
    pub fn text(text: &str) -> Self {
        let harmless = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
        let cut = &text[..text.floor_char_boundary(Self::MOST)];
        Self(cut.chars().map(harmless).collect())
    }

    /// Whether nothing came.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first line, at most so many characters.
    pub fn first_line(&self, most: usize) -> String {
        let line = self.0.lines().next().unwrap_or_default();
        let cut: String = line.chars().take(most).collect();
        if cut.len() < line.len() { format!("{cut}...") } else { cut }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Failure {
    /// With words alone.
    pub fn new(how: How, words: impl Into<String>) -> Self {
        Self { how, errno: None, words: words.into(), received: 0, begins: Excerpt::default() }
    }

    /// And what had been received until then.
    #[must_use]
    pub fn after(self, received: &[u8]) -> Self {
        let count = u64::try_from(received.len()).unwrap_or(u64::MAX);
        Self { received: count, begins: Excerpt::of(received), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.errno {
            Some(errno) if self.words.is_empty() => write!(f, "{errno}"),
            Some(errno) => write!(f, "{errno}: {}", self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl Saw {
    /// The layer in a word, for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::Route(_) => "route",
            Self::Connect(_) => "tcp",
            Self::Proxy(_) => "proxy",
            Self::Identify(_) => "identify",
            Self::Tls(_) => "tls",
            Self::Http(_) => "http",
            Self::Upgrade(_) => "websocket",
            Self::Ping(_) => "ping",
            Self::Wait(_) => "listen",
            Self::Close(_) => "close",
            Self::Origin(_) => "origin",
            Self::Intrusive(_) => "limits",
            Self::Hello(_) => "sidetone",
            Self::Echo(_) => "media",
            Self::Advertised(_) => "mdns",
            Self::Stun(_) => "stun",
            Self::Exchange(_) => "exchange",
            Self::Behind(_) => "behind",
            Self::Later => "later",
        }
    }

    /// Why the step failed; `None`: it did not.
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Resolve(it) => it.failure.as_ref(),
            Self::Route(it) => it.failure.as_ref(),
            Self::Connect(it) => it.failure.as_ref(),
            Self::Proxy(it) => it.failure.as_ref(),
            Self::Tls(it) => it.failure.as_ref(),
            Self::Http(it) => it.failure.as_ref(),
            Self::Upgrade(it) => it.failure.as_ref(),
            Self::Ping(it) => it.failure.as_ref(),
            Self::Wait(it) => it.failure.as_ref(),
            Self::Close(it) => it.failure.as_ref(),
            Self::Origin(it) => it.failure.as_ref(),
            Self::Intrusive(it) => it.failure.as_ref(),
            Self::Hello(it) => it.failure.as_ref(),
            Self::Echo(it) => it.failure.as_ref(),
            Self::Advertised(it) => it.failure.as_ref(),
            Self::Stun(it) => it.failure.as_ref(),
            Self::Exchange(it) => it.failure.as_ref(),
            Self::Identify(it) => it.failure.as_ref(),
            Self::Behind(_) | Self::Later => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_harmless_and_bounded() {
        assert_eq!(Excerpt::of(b"SSH-2.0\r\n\x1b[2J\\").as_str(), "SSH-2.0\r\n\\x1b[2J\\\\");
        assert!(Excerpt::of(&[0; 9_000]).as_str().len() <= Excerpt::MOST);
        assert_eq!(Excerpt::text("a\u{1b}b\u{7}\nc").as_str(), "a\u{fffd}b\u{fffd}\nc");
        assert!(Excerpt::text(&"é".repeat(9_000)).as_str().len() <= Excerpt::MOST);
        assert_eq!(Excerpt::text("one\ntwo").first_line(2), "on...");
    }

    #[test]
    fn a_step_comes_back_from_its_file() {
        let step = Step {
            address: Some(([127, 0, 0, 1], 9).into()),
            began_us: 1,
            took_us: 2,
            deadline_ms: 3,
            saw: Saw::Connect(Connected { failure: Some(Failure::new(How::Refused, "")), ..Connected::default() }),
        };
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step, "{text}");
        let later = r#"{"address":null,"began_us":1,"took_us":2,"deadline_ms":3,"saw":{"layer":"quic","x":1}}"#;
        assert_eq!(serde_json::from_str::<Step>(later).unwrap().saw, Saw::Later);
    }
}
