//! Where events are written: one thread, one file or stderr. I/O.

use crate::clock;
use crate::event::{Event, Level, Record, Reporter};
use std::fs::File;
use std::io::{self, Write};
use std::panic::Location;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// How events look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Pretty,
    /// One [`Record`] a line.
    Json,
}

/// A cheap handle; clones write to the same place.
#[derive(Clone, Debug)]
pub struct Log {
    sender: Option<Sender<Item>>,
    level: Level,
    pid: u32,
}

/// Writes what is left when it is dropped. Keep it until the end of `main`.
#[derive(Debug)]
pub struct Guard {
    end: Sender<Item>,
    writer: Option<JoinHandle<()>>,
}

impl Log {
    /// Writes events of at least `level` to `file`, or to stderr.
    ///
    /// # Errors
    /// The file cannot be opened for appending.
    pub fn open(format: Format, level: Level, file: Option<&Path>) -> io::Result<(Self, Guard)> {
        let output: Box<dyn Write + Send> = match file {
            Some(path) => Box::new(File::options().append(true).create(true).open(path)?),
            None => Box::new(io::stderr()),
        };
        let (sender, receiver) = mpsc::channel();
        let writer =
            std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&receiver, output, format))?;
        let guard = Guard { end: sender.clone(), writer: Some(writer) };
        Ok((Self { sender: Some(sender), level, pid: std::process::id() }, guard))
    }

    /// Writes nothing.
    pub const fn discard() -> Self {
        Self { sender: None, level: Level::Error, pid: 0 }
    }

    /// Reports an event from the caller's place in the code. Never blocks, never fails.
    #[track_caller]
    pub fn emit(&self, event: Event) {
        self.emit_at(event, Location::caller());
    }

    /// Reports an event from a given place in the code.
    pub fn emit_at(&self, event: Event, place: &'static Location<'static>) {
        let level = event.level();
        let Some(sender) = self.sender.as_ref().filter(|_| level <= self.level) else { return };
        let record = Record {
            time: clock::utc(),
            monotonic_ns: clock::monotonic_ns(),
            level,
            source: format!("{}:{}", place.file(), place.line()),
            pid: self.pid,
            message: event.message(),
            event,
        };
        drop(sender.send(Item::Record(Box::new(record)))); // the writer ends only after the last handle
    }

    /// This log as a callback for code that knows only the event vocabulary.
    pub fn reporter(&self) -> Reporter {
        let log = self.clone();
        Reporter::new(move |event, place| log.emit_at(event, place))
    }
}

/// Handles may outlive the guard (a detached task holds one), so the end of the channel cannot be the sign to end.
#[derive(Debug)]
enum Item {
    Record(Box<Record>),
    End,
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.end.send(Item::End));
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

fn write_all(receiver: &Receiver<Item>, mut output: Box<dyn Write + Send>, format: Format) {
    let mut failed = false;
    while let Ok(Item::Record(record)) = receiver.recv() {
        let mut line = match format {
            Format::Json => serde_json::to_vec(&record).unwrap_or_default(),
            Format::Pretty => pretty(&record).into_bytes(),
        };
        line.push(b'\n');
        // one write a line, so that the lines of two processes in one file do not mix
        if let Err(error) = output.write_all(&line).and_then(|()| output.flush())
            && !failed
        {
            failed = true; // once: a full disk must not fill stderr too
            drop(writeln!(io::stderr(), "sidetone: the log cannot be written: {error}"));
        }
    }
}

fn pretty(record: &Record) -> String {
    let clock = record.time.get(11..23).unwrap_or(&record.time);
    let text = format!("{clock} {:<5} {:<24} {}", record.level, record.event.name(), record.message);
    text.chars().map(|c| if crate::protocol::text::is_unprintable(c) { '\u{b7}' } else { c }).collect()
}
