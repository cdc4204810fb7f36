//! What the server takes from a participant, and how much of it.

use crate::protocol::video::Assembler;
use crate::protocol::{Frame, Hello, Kind, Message, WireError, control, text};
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

/// A chat line as it may be shown anywhere, and not too long.
pub(super) fn clean(line: &str, kind: Kind) -> Result<String, WireError> {
    if line.len() > control::MAX_CHAT {
        let reason = format!("chat line of {} bytes, limit {}", line.len(), control::MAX_CHAT);
        return Err(WireError::Payload { kind: kind.code(), reason });
    }
    let mut clean = shown(line);
    clean.truncate(clean.floor_char_boundary(control::MAX_CHAT)); // what stands for a control character takes a byte more
    Ok(clean)
}

/// Harmful characters made visible, invisible ones left out but the joiners that words and families of emoji need, no
/// piles of marks.
pub(super) fn shown(line: &str) -> String {
    let kept = line.chars().filter(|c| matches!(c, '\u{200c}' | '\u{200d}') || !text::is_invisible(*c));
    text::without_piles(kept.map(|c| if text::is_harmful(c) { '\u{b7}' } else { c })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cleaned(text: &str) -> String {
        clean(text, Kind::Chat).unwrap()
    }

    #[test]
    fn lines_stay_lines_and_nothing_hides_in_them() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        for text in ["hi <b>there</b> & \"you\"", family, "\u{645}\u{6cc}\u{200c}\u{62e}", "e\u{301}"] {
            assert_eq!(cleaned(text), text);
        }
        assert_eq!(cleaned("\u{1b}]0;x\u{7}a\u{202e}b\u{61c}\r\n"), "\u{b7}]0;x\u{b7}a\u{b7}b\u{b7}\u{b7}\u{b7}");
        assert_eq!(cleaned("s\u{ad}o\u{200b}ft"), "soft");
        assert_eq!(cleaned(&format!("a{}b", "\u{301}".repeat(1_000))), "a\u{301}\u{301}\u{301}\u{301}b");
        assert_eq!(cleaned(&"\u{7}".repeat(control::MAX_CHAT)).len(), control::MAX_CHAT);
    }

    proptest! {
        #[test]
        fn what_comes_out_is_printable_and_clean_already(text in any::<String>()) {
            let once = cleaned(&text);
            prop_assert!(!once.chars().any(text::is_harmful));
            prop_assert_eq!(cleaned(&once), once);
        }
    }
}
