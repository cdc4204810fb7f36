//! The server's answer to a hello.

use crate::protocol::control::check_name;
use crate::protocol::{AudioParameters, CLOCK_RATE, Hello, Refusal, RefusalCode, VERSION};

/// What was agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The version that both speak.
    pub version: u16,
    /// The sound as agreed.
    pub audio: AudioParameters,
}

/// Decides on a hello. `taken` tells whether a name is in use in the hello's room; `full` whether the server has no
/// place left. Checks come in the order in which a person would mend them.
///
/// # Errors
/// The refusal to send.
pub fn admit(hello: &Hello, taken: impl FnOnce(&str) -> bool, full: bool) -> Result<Admission, Refusal> {
    let refuse = |code, message: String| Err(Refusal::new(code, message));
    if hello.version_min > VERSION || hello.version_max < VERSION {
        let (min, max) = (hello.version_min, hello.version_max);
        return refuse(
            RefusalCode::VersionUnsupported,
            format!("this server speaks version {VERSION}, the client {min} to {max}; use a matching client"),
        );
    }
    if let Err(reason) = check_name(&hello.name) {
        return refuse(RefusalCode::NameInvalid, format!("{reason}; choose another with --name"));
    }
    if let Err(reason) = check_name(&hello.room) {
        return refuse(RefusalCode::RoomInvalid, format!("{reason}; choose another with --room"));
    }
    let offered = &hello.audio;
    let served = offered.codec == "opus" && offered.clock_rate == CLOCK_RATE && offered.channels == 1;
    if !served || offered.frame_ms != 20 {
        return refuse(
            RefusalCode::AudioUnsupported,
            format!("this server takes opus, {CLOCK_RATE} Hz, 1 channel, 20 ms; the client offers {}", told(offered)),
        );
    }
    if full {
        return refuse(RefusalCode::ServerFull, "every place is taken; try again later".to_owned());
    }
    if taken(&hello.name) {
        return refuse(
            RefusalCode::NameTaken,
            format!("{:?} is already in room {:?}; choose another name with --name", hello.name, hello.room),
        );
    }
    Ok(Admission { version: VERSION, audio: AudioParameters::default() })
}

/// A codec's name from anybody goes no further if it is no name.
fn told(offered: &AudioParameters) -> String {
    let AudioParameters { codec, clock_rate, channels, frame_ms, .. } = offered;
    let codec = if check_name(codec).is_ok() { codec } else { "another codec" };
    format!("{codec}, {clock_rate} Hz, {channels} channels, {frame_ms} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            version_min: 1,
            version_max: 3,
            name: "ada".to_owned(),
            room: "lobby".to_owned(),
            capabilities: vec![],
            agent: String::new(),
            audio: AudioParameters::default(),
        }
    }

    fn refusal(hello: &Hello, taken: bool, full: bool) -> Option<RefusalCode> {
        admit(hello, |_| taken, full).err().map(|r| r.code)
    }

    #[test]
    fn a_good_hello_comes_in_and_each_bad_one_is_told_why() {
        assert_eq!(admit(&hello(), |_| false, false).unwrap().version, 1);
        let with = |change: fn(&mut Hello)| {
            let mut hello = hello();
            change(&mut hello);
            refusal(&hello, true, true)
        };
        assert_eq!(with(|h| h.version_min = 2), Some(RefusalCode::VersionUnsupported));
        assert_eq!(with(|h| h.version_max = 0), Some(RefusalCode::VersionUnsupported));
        assert_eq!(with(|h| h.name = "\u{1b}[2J".to_owned()), Some(RefusalCode::NameInvalid));
        let mut long = hello();
        long.audio.codec = "\0".repeat(60_000);
        assert!(admit(&long, |_| false, false).unwrap_err().message.len() < 200);
        assert_eq!(with(|h| h.room.clear()), Some(RefusalCode::RoomInvalid));
        assert_eq!(with(|h| h.audio.clock_rate = 44_100), Some(RefusalCode::AudioUnsupported));
        assert_eq!(refusal(&hello(), true, true), Some(RefusalCode::ServerFull));
        assert_eq!(refusal(&hello(), true, false), Some(RefusalCode::NameTaken));
    }
}
