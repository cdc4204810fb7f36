//! The wire: bytes to messages and back. PURE.
//!
//! One protocol runs over TCP and WebSocket. Every frame is a 16-byte big-endian header and a payload:
//!
//! ```text
//!   0        1        2        3        4        5        6        7
//! +--------+--------+--------+--------+--------+--------+--------+--------+
//! |  0xD7  |  kind  |      flags      |     stream      |    sequence     |
//! +--------+--------+--------+--------+--------+--------+--------+--------+
//! |             timestamp             |              length               |
//! +--------+--------+--------+--------+--------+--------+--------+--------+
//! |  payload: `length` bytes ...
//! ```
//!
//! * The first byte has its high bit set: it is neither a TLS record (0x16) nor ASCII, so one port can tell
//!   Sidetone, TLS and HTTP apart.
//! * `flags` are reserved: sent as 0, ignored when received.
//! * `stream` is given by the server in [`Welcome`]; 0 is the mix. A client sends its own stream number (0 before
//!   the welcome); a server sends 0 for the mix and the sender's number for pictures.
//! * `sequence` counts the audio packets to one receiver, or the chunks of a picture; it wraps at 65,536. 0 on control frames.
//! * `timestamp` counts 48 kHz ticks of the sender's media clock and wraps; 0 on control frames.
//! * `length` is the payload's size in bytes, checked against the limit of its kind before anything is allocated.
//!
//! On TCP the length frames the stream. On WebSocket one frame is one binary message; a message that is not exactly
//! one frame closes the connection with 1002. The client speaks first, with [`Hello`]. Unknown kinds are
//! skipped, unknown JSON fields ignored.
//!
//! A hello without a common version is refused, and the [`Refusal`] tells which versions, capabilities and program the server
//! has: so a probe asks for them and joins nothing. A hello with [`Capability::Echo`] joins no room either: its client is alone
//! with itself and hears its own sound, which went through everything that anybody's sound goes through.
//!
//! What names and lines of text may hold is in [`text`].
//!
//! Kinds below 0x10 are control and carry JSON; 0x10 is [`audio`], 0x20 is [`video`]:
//!
//! | from | kinds |
//! |---|---|
//! | client | 0x01 hello |
//! | server | 0x02 welcome, 0x03 refusal, 0x06 joined, 0x07 left, 0x0B speaking |
//! | both | 0x04 ping, 0x05 pong, 0x08 chat, 0x09 mute, 0x0A bye, 0x10 audio, 0x20 video |

pub mod audio;
pub mod control;
pub mod frame;
pub mod text;
pub mod video;

pub use audio::AudioPacket;
pub use control::{
    AudioParameters, Bye, Capability, Chat, Hello, Joined, Left, Message, Mute, Participant, Ping, Refusal,
    RefusalCode, Speaking, Welcome,
};
pub use frame::{Decoder, Frame, HEADER_LENGTH, Header, Kind, MAGIC, WireError};
pub use video::VideoChunk;

/// The only version of the protocol so far.
pub const VERSION: u16 = 1;

/// The subprotocol named in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "sidetone.v1";

/// Ticks of a media timestamp in a second, and the sampling rate of all audio.
pub const CLOCK_RATE: u32 = 48_000;

/// Close codes (RFC 6455, section 7.4.1, and the IANA registry); the TCP transport carries them in [`Bye`].
pub mod close {
    /// The purpose was fulfilled.
    pub const NORMAL: u16 = 1000;
    /// The server is going down.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the wire format.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The peer sent a message of a type that is not accepted here (a text message).
    pub const UNSUPPORTED_DATA: u16 = 1003;
    /// A valid message that is not allowed now: refused hello, no hello in time, heartbeat missing.
    pub const POLICY_VIOLATION: u16 = 1008;
    /// A payload above the limit of its kind.
    pub const MESSAGE_TOO_BIG: u16 = 1009;
    /// Slow consumer or full server: try again later.
    pub const TRY_AGAIN_LATER: u16 = 1013;
}
