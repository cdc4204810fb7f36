//! A log line.

use super::{Event, Level};
use serde::{Deserialize, Serialize};

/// One event with its circumstances: a JSON line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// UTC, RFC 3339 with microseconds.
    pub time: String,
    /// `CLOCK_MONOTONIC` in nanoseconds: comparable between the processes of one machine.
    pub monotonic_ns: u64,
    /// Severity.
    pub level: Level,
    /// `file:line` of the code that reported.
    pub source: String,
    /// Process.
    pub pid: u32,
    /// Name and fields: `"event": "listener.bound", "fields": {...}`.
    #[serde(flatten)]
    pub event: Event,
    /// For people.
    pub message: String,
}

/// A line that is not a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Not a JSON object with our outer fields.
    #[error("not a structured event: {0}")]
    NotStructured(String),
    /// Ours, but its name or fields are not of this version's catalogue.
    #[error("unknown event or fields: {0}")]
    Drifted(String),
}

impl Record {
    /// Reads a line.
    ///
    /// # Errors
    /// [`Unread`], which tells free text (a panic, a library's print) from an event of another version.
    pub fn parse(line: &str) -> Result<Self, Unread> {
        serde_json::from_str(line).map_err(|error| {
            let named = serde_json::from_str::<serde_json::Value>(line)
                .ok()
                .and_then(|v| Some((v.get("event")?.as_str()?.to_owned(), v.get("monotonic_ns")?.as_u64()?)));
            match named {
                Some((name, _)) => Unread::Drifted(format!("{name}: {error}")),
                None => Unread::NotStructured(error.to_string()),
            }
        })
    }
}
