//! What the server takes from a participant, and how much of it.

use crate::protocol::video::Assembler;
use crate::protocol::{Frame, Hello, Kind, Message, WireError, control};
use crate::session::Budget;
use std::time::Duration;

/// What a participant may send: generous for bursts after a stall, bounded in the long run.
pub(super) struct Intake {
    pub(super) audio: Budget,
    pub(super) video: Budget,
    pub(super) control: Budget,
    pub(super) assembler: Assembler,
}

impl Intake {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            audio: Budget::new(100, 1_000, now),
            video: Budget::new(480, 1_000, now),
            control: Budget::new(20, 100, now),
            assembler: Assembler::new(),
        }
    }
}

/// Why a frame is not taken.
pub(super) enum Refused {
    Wire(WireError),
    Flood(&'static str),
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// The first frame.
pub(super) fn read_hello(frame: &Frame) -> Result<Hello, WireError> {
    match Message::decode(frame)? {
        Some(Message::Hello(hello)) => Ok(hello),
        _ => Err(WireError::NotAllowed { kind: frame.kind.code(), when: "before the hello" }),
    }
}

/// A chat line as it may be shown anywhere: not too long, control characters made visible.
pub(super) fn clean(text: &str, kind: Kind) -> Result<String, WireError> {
    if text.len() > control::MAX_CHAT {
        let reason = format!("chat line of {} bytes, limit {}", text.len(), control::MAX_CHAT);
        return Err(WireError::Payload { kind: kind.code(), reason });
    }
    Ok(text.chars().map(|c| if control::is_unprintable(c) { '\u{b7}' } else { c }).collect())
}
