//! HTTP and WebSocket.

use super::{Excerpt, Failure};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One HTTP/1.1 request and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// `GET`.
    pub method: String,
    /// Without credentials.
    pub url: String,
    /// Status; `None`: none came.
    pub status: Option<u16>,
    /// Words after the status.
    pub reason: Excerpt,
    /// `HTTP/1.1`.
    pub version: String,
    /// In order, names as sent. Kept: 100 at most, values cut; those that were asked to be secret are not here.
    pub headers: Vec<(String, Excerpt)>,
    /// Bytes of all headers.
    pub header_bytes: u64,
    /// Answers with a status below 200 that came before.
    pub interim: u32,
    /// How the body begins; empty where it is compressed.
    pub body: Excerpt,
    /// Bytes of the body that were read.
    pub body_bytes: u64,
    /// Whether the body came as whole as its headers announce; `None`: there was more than is read, or no body.
    #[serde(default)]
    pub body_whole: Option<bool>,
    /// `Content-Encoding`, where the server compresses unasked.
    pub encoding: Option<String>,
    /// When the first byte came, in microseconds after the request.
    pub first_byte_us: Option<u64>,
    /// Which redirect this is, from 0. The step's address stays that of the first request.
    pub hop: u32,
    /// Where it was asked, if it is another address than the step's.
    #[serde(default)]
    pub peer: Option<SocketAddr>,
    /// Where it is sent on to.
    pub location: Option<String>,
    /// Who says that it stands between: `Via`, `X-Cache`, `CF-Ray`, ... with their values.
    pub proxies: Vec<String>,
    /// No answer, or none that is HTTP.
    pub failure: Option<Failure>,
}

impl Http {
    /// Whether its `Server` header says that it is Sidetone.
    pub fn is_sidetone(&self) -> bool {
        self.header("server").is_some_and(|name| name.to_ascii_lowercase().starts_with("sidetone"))
    }

    /// The value of a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A WebSocket upgrade (RFC 6455, section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The request, without secrets: names and values in order.
    pub request: Vec<(String, String)>,
    /// Subprotocols that were offered.
    pub offered: Vec<String>,
    /// The answer.
    pub answer: Http,
    /// What the answer breaks.
    pub problems: Vec<UpgradeProblem>,
    /// The `Sec-WebSocket-Accept` that the key demands.
    pub accept_wanted: String,
    /// Chosen subprotocol.
    pub subprotocol: Option<String>,
    /// Chosen extensions.
    pub extensions: Option<String>,
    /// Whether it is the second try, without a subprotocol.
    #[serde(default)]
    pub second_try: bool,
    /// Whether a usual path was tried instead of the one that was asked for, which has no WebSocket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// No answer, no 101, or one that breaks the rules.
    pub failure: Option<Failure>,
}

impl Upgrade {
    /// Whether it is what the user asked for, and not a further look at it.
    pub const fn is_first(&self) -> bool {
        !self.second_try && !self.elsewhere
    }
}

/// What the answer to an upgrade can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeProblem {
    /// `Upgrade` is missing or not `websocket`.
    UpgradeHeader,
    /// `Connection` is missing or does not say `Upgrade`.
    ConnectionHeader,
    /// `Sec-WebSocket-Accept` is missing.
    AcceptMissing,
    /// `Sec-WebSocket-Accept` is not what the key demands.
    AcceptWrong,
    /// A subprotocol that was not offered.
    SubprotocolNotOffered,
    /// None was chosen although the user asked for some.
    SubprotocolMissing,
    /// An extension that was not offered.
    ExtensionNotOffered,
    /// A header that may stand once stands twice.
    Twice,
}

/// Ping and pong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// From the ping to its pong.
    pub rtt_us: Option<u64>,
    /// Other frames that came meanwhile.
    pub others: u32,
    /// No pong, or a wrong one.
    pub failure: Option<Failure>,
}

/// What kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "RFC 6455, section 5.2")]
pub enum Opcode {
    Text,
    Binary,
}

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its kind.
    pub opcode: Opcode,
    /// Its length.
    pub bytes: u64,
    /// How it begins.
    pub begins: Excerpt,
}

/// What a peer's frames can break (RFC 6455, sections 5 and 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameProblem {
    /// A reserved bit is set, and no extension was agreed.
    ReservedBit,
    /// An opcode that RFC 6455 does not have.
    UnknownOpcode,
    /// A server's frame is masked.
    Masked,
    /// A control frame in fragments.
    ControlFragmented,
    /// A control frame with more than 125 bytes.
    ControlTooLong,
    /// The highest bit of a 64-bit length is set.
    LengthTooLong,
    /// The length is written with more bytes than it needs.
    LengthNotMinimal,
    /// A continuation of no message.
    ContinuationOfNothing,
    /// A message begins inside another.
    MessageInMessage,
    /// A close frame with a code that may not be sent, or with half a code.
    CloseCode,
    /// A text message or a close reason that is not UTF-8.
    BadUtf8,
    /// It announces more bytes than any server means.
    TooLarge,
    /// More frames or bytes than anybody asked for.
    Flood,
}

/// What came while nobody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// How long it was listened to.
    pub listened_ms: u64,
    /// Messages. Kept: 5 at most.
    pub messages: Vec<Message>,
    /// Frames, control frames included.
    pub frames: u64,
    /// Pings of the server.
    pub pings: u64,
    /// The server closed.
    pub closed: Option<Closed>,
    /// The header of the frame that breaks the rules, hexadecimal.
    pub offending: Option<String>,
    /// What that frame breaks.
    #[serde(default)]
    pub problem: Option<FrameProblem>,
    /// A frame that breaks the rules, a flood, a connection that ended without a close frame.
    pub failure: Option<Failure>,
}

/// A close frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// RFC 6455, section 7.4; `None`: without one (1005).
    pub code: Option<u16>,
    /// For people.
    pub reason: Excerpt,
}

/// The close handshake, begun by the probe with 1000.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The server's close frame.
    pub answer: Option<Closed>,
    /// Whether the server then closed the connection, as RFC 6455 7.1.1 wants; `None`: not waited for.
    pub hung_up: Option<bool>,
    /// What a frame breaks that came instead.
    #[serde(default)]
    pub problem: Option<FrameProblem>,
    /// No close frame.
    pub failure: Option<Failure>,
}

/// Whether pages of an origin may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginTried {
    /// The `Origin` that was sent; `None`: none, as programs do.
    pub origin: Option<String>,
    /// Its status.
    pub status: Option<u16>,
    /// No answer.
    pub failure: Option<Failure>,
}

/// Tests that cost the server something, on the WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intrusive {
    /// Bytes of the largest message that the server did not close for.
    pub largest_accepted: Option<u64>,
    /// Bytes of the smallest message that it closed for; `None`: none up to `most_tried`.
    pub smallest_refused: Option<u64>,
    /// How it refused that.
    pub refused_with: Option<Closed>,
    /// The largest that was tried.
    pub most_tried: u64,
    /// Whether a message in two fragments was taken; `None`: not found out.
    pub fragments: Option<bool>,
    /// Whether a text message was taken.
    pub text: Option<bool>,
    /// Whether a binary message was taken.
    pub binary: Option<bool>,
    /// How many connections it took.
    pub connections: u32,
    /// It could not be tried.
    pub failure: Option<Failure>,
}
