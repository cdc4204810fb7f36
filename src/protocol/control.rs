//! Control payloads: JSON, so that people can read them in a capture. Unknown fields are ignored.

use super::{Frame, Kind, WireError, text};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest name of a participant, a room or a server, in characters.
pub const MAX_NAME: usize = 32;
/// The longest chat line in bytes.
pub const MAX_CHAT: usize = 4_096;

/// What a peer can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Sends or plays sound.
    Audio,
    /// Sends or shows pictures.
    Picture,
    /// Sends or shows text.
    Chat,
    /// Of a server: it has echo rooms. Of a client: it wants one for itself alone. It joins no room, nobody sees it, and it
    /// hears its own sound as the others would hear it. Unless the welcome has this word too, the client is in the room that
    /// it named: an older server does not know it.
    Echo,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// What a welcome calls the room of a client that wanted an echo.
pub const ECHO_ROOM: &str = "(echo)";

/// The sound that one side offers or gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioParameters {
    /// Always `opus`.
    pub codec: String,
    /// In hertz: 48,000.
    pub clock_rate: u32,
    /// 1.
    pub channels: u8,
    /// 5, 10 or 20.
    pub frame_ms: u8,
    /// Bits a second.
    pub bitrate: u32,
}

impl Default for AudioParameters {
    fn default() -> Self {
        Self { codec: "opus".to_owned(), clock_rate: super::CLOCK_RATE, channels: 1, frame_ms: 20, bitrate: 128_000 }
    }
}

/// Client to server, first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Lowest version spoken.
    pub version_min: u16,
    /// Highest version spoken.
    pub version_max: u16,
    /// 1 to 32 characters, no control characters, unique in the room.
    pub name: String,
    /// As `name`; made when the first one joins.
    pub room: String,
    /// What this client can do.
    pub capabilities: Vec<Capability>,
    /// Program and version, for logs.
    #[serde(default)]
    pub agent: String,
    /// The sound that the client sends and wants.
    #[serde(default)]
    pub audio: AudioParameters,
}

/// One of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Stream of its pictures.
    pub stream: u16,
    /// Its name.
    pub name: String,
    /// Whether it muted itself.
    #[serde(default)]
    pub muted: bool,
}

/// Server to client: the hello is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that both speak.
    pub version: u16,
    /// The client's stream from now on.
    pub stream: u16,
    /// Name of the server.
    pub server: String,
    /// Program and version of the server.
    pub agent: String,
    /// Room joined; [`ECHO_ROOM`] for an echo.
    pub room: String,
    /// The others in the room.
    pub participants: Vec<Participant>,
    /// What the server does.
    pub capabilities: Vec<Capability>,
    /// The sound as agreed.
    pub audio: AudioParameters,
    /// Time between heartbeats.
    pub heartbeat_ms: u32,
    /// A peer that is silent for so long is gone.
    pub timeout_ms: u32,
}

/// Why a server says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No common version.
    VersionUnsupported,
    /// The name is empty, too long or has control characters.
    NameInvalid,
    /// Somebody in the room has that name.
    NameTaken,
    /// The room's name is empty, too long or has control characters.
    RoomInvalid,
    /// No place left.
    ServerFull,
    /// The codec, rate, channels or frame length is not served.
    AudioUnsupported,
    /// The server is going down.
    ShuttingDown,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

impl RefusalCode {
    /// The close code that follows the refusal.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::ServerFull => super::close::TRY_AGAIN_LATER,
            Self::ShuttingDown => super::close::GOING_AWAY,
            Self::VersionUnsupported
            | Self::NameInvalid
            | Self::NameTaken
            | Self::RoomInvalid
            | Self::AudioUnsupported
            | Self::Unknown => super::close::POLICY_VIOLATION,
        }
    }
}

/// Server to client instead of a welcome. What the server is stands in it too, so that a hello without a common version asks
/// for that and joins nothing; older servers leave it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people, with the remedy.
    pub message: String,
    /// Program and version of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Lowest version that it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_min: Option<u16>,
    /// Highest version that it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_max: Option<u16>,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
}

impl Refusal {
    /// A refusal that does not tell what the server is.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, agent: None, version_min: None, version_max: None, capabilities: None }
    }

    /// And what the server is.
    #[must_use]
    pub fn told_by(self, agent: &str, capabilities: &[Capability]) -> Self {
        Self {
            agent: Some(agent.to_owned()),
            version_min: Some(super::VERSION),
            version_max: Some(super::VERSION),
            capabilities: Some(capabilities.to_vec()),
            ..self
        }
    }
}

/// A heartbeat and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back in the pong.
    pub nonce: u64,
}

/// Somebody came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Who.
    pub participant: Participant,
}

/// Somebody went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its stream.
    pub stream: u16,
    /// Its name.
    pub name: String,
}

/// A line of text. From a client `from` is ignored; the server fills it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// Sender's name.
    #[serde(default)]
    pub from: String,
    /// At most 4,096 bytes.
    pub text: String,
}

/// A microphone was switched off or on. From a client `stream` is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Whose.
    #[serde(default)]
    pub stream: u16,
    /// Off or on.
    pub muted: bool,
}

/// The last frame of a side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// See [`crate::protocol::close`].
    pub code: u16,
    /// For people.
    pub reason: String,
}

/// Server to client: who is in the mix now. Sent when that changes, at most every 100 ms; nobody is heard before the
/// first one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaking {
    /// Their streams, in ascending order.
    pub streams: Vec<u16>,
}

/// Any control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Welcome`].
    Welcome(Welcome),
    /// See [`Refusal`].
    Refusal(Refusal),
    /// See [`Ping`].
    Ping(Ping),
    /// The answer.
    Pong(Ping),
    /// See [`Joined`].
    Joined(Joined),
    /// See [`Left`].
    Left(Left),
    /// See [`Chat`].
    Chat(Chat),
    /// See [`Mute`].
    Mute(Mute),
    /// See [`Bye`].
    Bye(Bye),
    /// See [`Speaking`].
    Speaking(Speaking),
}

impl Message {
    /// The kind of its frame.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Welcome(_) => Kind::Welcome,
            Self::Refusal(_) => Kind::Refusal,
            Self::Ping(_) => Kind::Ping,
            Self::Pong(_) => Kind::Pong,
            Self::Joined(_) => Kind::Joined,
            Self::Left(_) => Kind::Left,
            Self::Chat(_) => Kind::Chat,
            Self::Mute(_) => Kind::Mute,
            Self::Bye(_) => Kind::Bye,
            Self::Speaking(_) => Kind::Speaking,
        }
    }

    /// A frame for the wire. Control frames have no clock: timestamp 0.
    pub fn frame(&self, stream: u16, sequence: u16) -> Frame {
        let json = match self {
            Self::Hello(m) => serde_json::to_vec(m),
            Self::Welcome(m) => serde_json::to_vec(m),
            Self::Refusal(m) => serde_json::to_vec(m),
            Self::Ping(m) | Self::Pong(m) => serde_json::to_vec(m),
            Self::Joined(m) => serde_json::to_vec(m),
            Self::Left(m) => serde_json::to_vec(m),
            Self::Chat(m) => serde_json::to_vec(m),
            Self::Mute(m) => serde_json::to_vec(m),
            Self::Bye(m) => serde_json::to_vec(m),
            Self::Speaking(m) => serde_json::to_vec(m),
        };
        let payload = Bytes::from(json.expect("plain structs have no failing serialisation"));
        Frame { kind: self.kind(), stream, sequence, timestamp: 0, payload }
    }

    /// Reads a control frame; `None` for audio, video and unknown kinds.
    ///
    /// # Errors
    /// [`WireError::Payload`] if the JSON is not of the kind's shape, or a [`Bye`] has a code that no one may send.
    pub fn decode(frame: &Frame) -> Result<Option<Self>, WireError> {
        fn read<T: DeserializeOwned>(frame: &Frame) -> Result<T, WireError> {
            serde_json::from_slice(&frame.payload)
                .map_err(|e| WireError::Payload { kind: frame.kind.code(), reason: e.to_string() })
        }
        Ok(Some(match frame.kind {
            Kind::Hello => Self::Hello(read(frame)?),
            Kind::Welcome => Self::Welcome(read(frame)?),
            Kind::Refusal => Self::Refusal(read(frame)?),
            Kind::Ping => Self::Ping(read(frame)?),
            Kind::Pong => Self::Pong(read(frame)?),
            Kind::Joined => Self::Joined(read(frame)?),
            Kind::Left => Self::Left(read(frame)?),
            Kind::Chat => Self::Chat(read(frame)?),
            Kind::Mute => Self::Mute(read(frame)?),
            Kind::Bye => Self::Bye(read(frame).and_then(check_bye)?),
            Kind::Speaking => Self::Speaking(read(frame)?),
            Kind::Audio | Kind::Video | Kind::Unknown(_) => return Ok(None),
        }))
    }
}

/// The code is sent back as that of a close frame, where RFC 6455 (section 7.4) reserves some.
fn check_bye(bye: Bye) -> Result<Bye, WireError> {
    match bye.code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(bye),
        code => Err(WireError::Payload { kind: Kind::Bye.code(), reason: format!("{code} is no close code") }),
    }
}

/// Checks a name of a participant, a room or a server: 1 to 32 characters, none of them unprintable, no piles of marks, no
/// white space at its ends. Markup is fine: whoever shows a name shows it as text.
///
/// # Errors
/// What is wrong and what is allowed, for people.
pub fn check_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if length == 0 || length > MAX_NAME {
        return Err(format!("a name has 1 to {MAX_NAME} characters, this one has {length}"));
    }
    if name.starts_with(text::joins) || text::without_piles(name.chars()).count() < length {
        // not shown again: that would be the harm
        return Err(format!(
            "a name has at most {} combining marks in a row, and none at its beginning",
            text::MAX_MARKS
        ));
    }
    if name.chars().any(text::is_unprintable) {
        return Err(format!("a name has no control characters, nor invisible or private ones: {name:?}"));
    }
    if name.trim() != name {
        return Err(format!("a name does not begin or end with white space: {name:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_and_capabilities_are_ignored() {
        let payload = Bytes::from_static(
            br#"{"version_min":1,"version_max":9,"name":"a","room":"r","capabilities":["audio","smell"],"new":1}"#,
        );
        let frame = Frame { kind: Kind::Hello, stream: 0, sequence: 0, timestamp: 0, payload };
        let Some(Message::Hello(hello)) = Message::decode(&frame).unwrap() else { panic!("a hello") };
        assert_eq!(hello.capabilities, [Capability::Audio, Capability::Unknown]);
        assert_eq!(hello.audio, AudioParameters::default());
    }

    #[test]
    fn names() {
        let long = "ä".repeat(32);
        let marks = |count: usize| format!("a{}", "\u{301}".repeat(count));
        for good in ["a", "Ada Lovelace", long.as_str(), "日本", "<b>Ada</b>", "\u{2764}\u{fe0f}", &marks(4)] {
            assert_eq!(check_name(good), Ok(()), "{good:?}");
        }
        let too_long = "a".repeat(33);
        let hidden =
            ["a\nb", "a\u{1b}[2J", "a\u{202e}b", "a\u{61c}b", "a\u{200d}b", "a\u{e000}", "a\u{ad}b", "a\u{fffe}"];
        let marked = [marks(5), marks(31), "\u{301}a".to_owned()];
        for bad in ["", too_long.as_str(), " a", "a\u{3000}"]
            .into_iter()
            .chain(hidden)
            .chain(marked.iter().map(String::as_str))
        {
            let reason = check_name(bad).expect_err(bad);
            assert!(!reason.chars().any(text::is_unprintable), "{reason:?}");
            assert_eq!(text::without_piles(reason.chars()).collect::<String>(), reason);
        }
    }
}
