//! Standard output and error of a program: byte for byte into a file, line by line to whoever listens.
//!
//! A thread a stream reads the pipe and never waits for anybody: a full disk is remembered, a slow listener misses lines. So
//! the program is never blocked by us, and memory stays within [`KEPT_BYTES`] a stream.

use crate::clock::monotonic_ns;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// A longer line is cut here for listeners (the file has it whole), in bytes.
pub const LINE_BYTES: usize = 64 << 10;
/// Most bytes of lines that are kept for listeners of one stream.
pub const KEPT_BYTES: usize = 4 << 20;
/// What a kept line costs besides its text, roughly.
const LINE_OVERHEAD: usize = 128;

/// Which stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1, as in the captured file.
    pub number: u64,
    /// Without its end; invalid UTF-8 replaced.
    pub text: String,
    /// Whether it was longer than [`LINE_BYTES`].
    pub cut: bool,
    /// `CLOCK_MONOTONIC` in nanoseconds when the harness read its end.
    pub monotonic_ns: u64,
}

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLine {
    /// Not in time.
    #[error("no such line in time")]
    TimedOut,
    /// The stream ended first.
    #[error("the output ended without such a line")]
    Ended,
}

/// What became of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Bytes that the program printed.
    pub bytes: u64,
    /// Bytes of them that are not in the file: over the limit, or after a failed write.
    pub dropped_bytes: u64,
    /// Lines, the last unfinished one included.
    pub lines: u64,
    /// Why the file is not complete although the limit was not reached, for instance a full disk.
    pub write_error: Option<String>,
    /// Whether the stream was read to its end. If not, somebody still holds the pipe and the counts are unknown (0).
    pub drained: bool,
}

/// The lines of a stream, each once; those that were dropped before they were read are counted.
#[derive(Debug)]
pub struct Lines {
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
    next: u64,
    /// Lines that came and went before this reader took them.
    pub missed: u64,
}

impl Lines {
    /// The next line; `None` at the end of the stream. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            // Before the look, so that a line that comes just after it wakes us.
            self.changed.borrow_and_update();
            {
                let kept = self.shared.lock();
                let first = kept.next_number - kept.lines.len() as u64;
                self.missed += first.saturating_sub(self.next);
                self.next = self.next.max(first);
                let index = usize::try_from(self.next - first).unwrap_or(usize::MAX);
                if let Some(line) = kept.lines.get(index) {
                    self.next += 1;
                    return Some(line.clone());
                }
                if kept.ended {
                    return None;
                }
            }
            if self.changed.changed().await.is_err() {
                // The thread is gone; it said so in `ended` unless it panicked.
                self.shared.lock().ended = true;
            }
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Kept {
    lines: VecDeque<Line>,
    bytes: usize,
    next_number: u64,
    ended: bool,
}

impl Default for Kept {
    fn default() -> Self {
        Self { lines: VecDeque::new(), bytes: 0, next_number: 1, ended: false }
    }
}

impl Kept {
    fn push(&mut self, bytes: &[u8], cut: bool, monotonic_ns: u64) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.bytes += text.len() + LINE_OVERHEAD;
        self.lines.push_back(Line { number: self.next_number, text, cut, monotonic_ns });
        self.next_number += 1;
        while self.bytes > KEPT_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.text.len() + LINE_OVERHEAD;
        }
    }
}

/// A stream that is being captured.
#[derive(Debug)]
pub(super) struct Running {
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
    result: oneshot::Receiver<Captured>,
}

impl Running {
    pub(super) fn lines(&self) -> Lines {
        Lines { shared: Arc::clone(&self.shared), changed: self.changed.clone(), next: 1, missed: 0 }
    }

    /// The outcome, or a blank one if the stream has not ended `within`.
    pub(super) async fn finish(&mut self, within: Duration) -> Captured {
        match timeout(within, &mut self.result).await {
            Ok(Ok(captured)) => captured,
            Ok(Err(_)) => Captured { write_error: Some("the capturing thread failed".into()), ..Captured::default() },
            Err(_) => Captured::default(),
        }
    }
}

/// Starts to capture `pipe` into `path`. A file that cannot be made counts as a failed write, not as an error.
pub(super) fn start(pipe: PipeReader, path: &Path, limit: u64) -> io::Result<Running> {
    let shared = Arc::new(Shared::default());
    let (notify, changed) = watch::channel(());
    let (tell, result) = oneshot::channel();
    let sink = Sink::open(path, limit);
    let for_thread = Arc::clone(&shared);
    std::thread::Builder::new().name("capture".into()).spawn(move || {
        let captured = drain(pipe, sink, &for_thread, &notify);
        for_thread.lock().ended = true;
        // Nobody waits if the process was dropped.
        drop(tell.send(captured));
        notify.send_replace(());
    })?;
    Ok(Running { shared, changed, result })
}

fn drain(mut pipe: PipeReader, mut sink: Sink, shared: &Shared, notify: &watch::Sender<()>) -> Captured {
    let mut buffer = vec![0; 64 << 10];
    let mut splitter = Splitter::default();
    loop {
        let read = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                sink.fail(&error);
                break;
            }
        };
        sink.write(&buffer[..read]);
        let now = monotonic_ns();
        {
            let mut kept = shared.lock();
            splitter.feed(&buffer[..read], |line, cut| kept.push(line, cut, now));
        }
        notify.send_replace(());
    }
    let mut kept = shared.lock();
    splitter.end(|line, cut| kept.push(line, cut, monotonic_ns()));
    let lines = kept.next_number - 1;
    drop(kept);
    Captured { lines, drained: true, ..sink.finish() }
}

/// The file, until it is full or fails.
struct Sink {
    file: Option<File>,
    written: u64,
    limit: u64,
    captured: Captured,
}

impl Sink {
    fn open(path: &Path, limit: u64) -> Self {
        let mut sink = Self { file: None, written: 0, limit, captured: Captured::default() };
        match File::create(path) {
            Ok(file) => sink.file = Some(file),
            Err(error) => sink.captured.write_error = Some(format!("{}: {error}", path.display())),
        }
        sink
    }

    fn write(&mut self, bytes: &[u8]) {
        self.captured.bytes += bytes.len() as u64;
        let room = usize::try_from(self.limit - self.written).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(room)];
        let Some(file) = &mut self.file else {
            self.captured.dropped_bytes += bytes.len() as u64;
            return;
        };
        if let Err(error) = file.write_all(taken) {
            // How much of it went into the file is unknown; count it as dropped.
            self.captured.dropped_bytes += bytes.len() as u64;
            self.fail(&error);
            return;
        }
        self.written += taken.len() as u64;
        self.captured.dropped_bytes += (bytes.len() - taken.len()) as u64;
    }

    fn fail(&mut self, error: &io::Error) {
        self.captured.write_error = Some(error.to_string());
        self.file = None;
    }

    fn finish(mut self) -> Captured {
        let over = self.captured.dropped_bytes;
        if let (Some(file), 1..) = (&mut self.file, over) {
            let note = format!("\n[sidetone-harness: {over} bytes over the limit of {} were left out]\n", self.limit);
            if let Err(error) = file.write_all(note.as_bytes()) {
                self.fail(&error);
            }
        }
        self.captured
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Default)]
struct Splitter {
    line: Vec<u8>,
    cut: bool,
}

impl Splitter {
    fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8], bool)) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.extend(&bytes[..end]);
            self.emit(&mut line);
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// Gives an unfinished last line.
    fn end(&mut self, mut line: impl FnMut(&[u8], bool)) {
        if !self.line.is_empty() {
            self.emit(&mut line);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(LINE_BYTES - self.line.len());
        self.line.extend_from_slice(&bytes[..taken]);
        self.cut |= taken < bytes.len();
    }

    fn emit(&mut self, line: &mut impl FnMut(&[u8], bool)) {
        line(self.line.strip_suffix(b"\r").unwrap_or(&self.line), self.cut);
        self.line.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.feed(chunk, |line, cut| lines.push((line.to_vec(), cut)));
        }
        splitter.end(|line, cut| lines.push((line.to_vec(), cut)));
        lines
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        let long = vec![b'x'; LINE_BYTES + 1];
        let lines = split(&[&long, b"yy\nshort\n"]);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].0.len(), lines[0].1), (LINE_BYTES, true));
        assert_eq!(lines[1], (b"short".to_vec(), false));
    }

    #[test]
    fn kept_lines_stay_within_the_limit() {
        let mut kept = Kept::default();
        for _ in 0..200 {
            kept.push(&vec![0xff; LINE_BYTES], true, 0);
        }
        assert!(kept.bytes <= KEPT_BYTES, "{}", kept.bytes);
        assert_eq!(kept.bytes, kept.lines.iter().map(|l| l.text.len() + LINE_OVERHEAD).sum::<usize>());
        assert_eq!(kept.lines.back().map(|l| l.number), Some(200));
    }

    #[test]
    fn a_full_disk_is_remembered() {
        let mut sink = Sink::open(Path::new("/dev/full"), 100);
        sink.write(b"one");
        sink.write(b"two");
        let captured = sink.finish();
        assert_eq!((captured.bytes, captured.dropped_bytes), (6, 6));
        assert!(captured.write_error.unwrap().contains("No space left"));
    }

    #[test]
    fn a_file_ends_with_a_note_at_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Sink::open(&path, 4);
        sink.write(b"abc");
        sink.write(b"defg");
        let captured = sink.finish();
        assert_eq!((captured.bytes, captured.dropped_bytes, captured.write_error), (7, 3, None));
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "abcd\n[sidetone-harness: 3 bytes over the limit of 4 were left out]\n");
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(bytes in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..60), at in 0_usize..60) {
            let at = at.min(bytes.len());
            prop_assert_eq!(split(&[&bytes]), split(&[&bytes[..at], &bytes[at..]]));
            let mut expected: Vec<_> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            expected.pop_if(|last| last.is_empty());
            prop_assert_eq!(split(&[&bytes]).len(), expected.len());
        }
    }
}
