//! Reads captured files back. Bounded: of a huge log the first and the last lines are kept.

use crate::evidence::{Log, LogLine};
use sidetone::event::Record;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Most lines kept of each end of a log.
const END_LINES: usize = 20_000;
/// Most bytes kept of each end of a log.
const END_BYTES: usize = 16 << 20;
/// Most characters of a line's text, see [`LogLine::text`].
const TEXT_CHARS: usize = 4096;
/// Most bytes of a line that are read as an event.
const LINE_BYTES: usize = 64 << 10;

/// Reads the log at `path` inside `folder`. Anything that can be read is a log, binary rubbish too.
///
/// # Errors
/// Why it cannot be read, for instance because it is missing; for [`crate::evidence::Observation::NotObserved`].
pub fn read_log(folder: &Path, path: &str, process: &str, stream: &str) -> Result<Log, String> {
    let failed = |e: io::Error| format!("cannot read {path}: {e}");
    let file = File::open(folder.join(path)).map_err(failed)?;
    let ends = Ends { lines: END_LINES, bytes: END_BYTES };
    let lines = read_lines(BufReader::new(file), ends).map_err(failed)?;
    Ok(Log { process: process.to_owned(), stream: stream.to_owned(), path: path.to_owned(), lines })
}

/// How much is kept of each end.
#[derive(Clone, Copy)]
struct Ends {
    lines: usize,
    bytes: usize,
}

fn read_lines(mut reader: impl BufRead, ends: Ends) -> io::Result<Vec<LogLine>> {
    let (mut head, mut tail) = (Vec::new(), VecDeque::new());
    let (mut head_bytes, mut tail_bytes, mut left_out, mut number) = (0, 0, 0_u64, 0_u32);
    let mut line = Vec::new();
    while let Some(whole) = read_line(&mut reader, &mut line)? {
        number = number.saturating_add(1);
        if left_out == 0 && tail.is_empty() && head.len() < ends.lines && head_bytes + line.len() <= ends.bytes {
            head_bytes += line.len();
            head.push(parse(number, &line, whole));
            continue;
        }
        // Read as events only at the end: most of them are pushed out again.
        tail_bytes += line.len();
        tail.push_back((number, line.clone(), whole));
        while tail.len() > ends.lines || tail_bytes > ends.bytes {
            let Some((_, bytes, _)) = tail.pop_front() else { break };
            tail_bytes -= bytes.len();
            left_out += 1;
        }
    }
    if left_out > 0 {
        let text = format!("[sidetone-harness: {left_out} lines left out]");
        let number = u32::try_from(head.len() + 1).unwrap_or(u32::MAX);
        head.push(LogLine { number, text, record: None, unread: Some("a note of the harness".to_owned()) });
    }
    head.extend(tail.into_iter().map(|(number, bytes, whole)| parse(number, &bytes, whole)));
    Ok(head)
}

/// Reads a line without its end into `line`, at most [`LINE_BYTES`] of it; whether that is all of it. `None`: the end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let (mut whole, mut any) = (true, false);
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = available.iter().position(|b| *b == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        let taken = part.len().min(LINE_BYTES - line.len());
        line.extend_from_slice(&part[..taken]);
        whole &= taken == part.len();
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

fn parse(number: u32, bytes: &[u8], whole: bool) -> LogLine {
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    let (record, unread) = match Record::parse(&text) {
        Ok(record) if whole => (Some(record), None),
        Err(unread) if whole => (None, Some(unread.to_string())),
        Ok(_) | Err(_) => (None, Some(format!("longer than {LINE_BYTES} bytes"))),
    };
    LogLine { number, text: text.chars().take(TEXT_CHARS).collect(), record, unread }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    const EVENT: &str = r#"{"time":"2026-11-22T21:30:00.000000Z","monotonic_ns":5,"level":"INFO","source":"a.rs:1","pid":7,"event":"listener.nonsense","fields":{},"message":"hm"}"#;

    fn read(bytes: &[u8], lines: usize, most: usize) -> Vec<LogLine> {
        read_lines(bytes, Ends { lines, bytes: most }).unwrap()
    }

    #[test]
    fn events_text_and_rubbish_are_told_apart() {
        let event = sidetone::event::CATALOGUE.first().expect("there are events").name;
        let drifted = EVENT.to_owned();
        let bytes = [drifted.as_bytes(), b"\nthread 'main' panicked\r\n\xff\x00\xfe"].concat();
        let lines = read(&bytes, 10, 1000);
        assert!(lines[0].unread.as_ref().unwrap().starts_with("unknown event"), "{event}: {lines:?}");
        assert_eq!((lines[1].number, lines[1].text.as_str()), (2, "thread 'main' panicked"));
        assert!(lines[1].unread.as_ref().unwrap().starts_with("not a structured event"));
        assert_eq!(lines[2].text, "\u{fffd}\0\u{fffd}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn the_ends_of_a_huge_log_are_kept_with_a_note() {
        let mut text = String::new();
        for i in 1..=100 {
            writeln!(text, "line {i}").unwrap();
        }
        let lines = read(text.as_bytes(), 3, 1000);
        let texts: Vec<_> = lines.iter().map(|l| (l.number, l.text.as_str())).collect();
        let note = "[sidetone-harness: 94 lines left out]";
        let expected = [
            (1, "line 1"),
            (2, "line 2"),
            (3, "line 3"),
            (4, note),
            (98, "line 98"),
            (99, "line 99"),
            (100, "line 100"),
        ];
        assert_eq!(texts, expected);
        let few: usize = read(text.as_bytes(), 1000, 50).iter().map(|l| l.text.len()).sum();
        assert!(few < 200, "{few}");
    }

    #[test]
    fn a_long_line_is_cut_and_not_read_as_an_event() {
        let long = "x".repeat(LINE_BYTES + 1) + "\nnext";
        let lines = read(long.as_bytes(), 10, 1 << 20);
        assert_eq!((lines[0].text.len(), lines[1].text.as_str()), (TEXT_CHARS, "next"));
        assert!(lines[0].unread.as_ref().unwrap().starts_with("longer"));
    }

    #[test]
    fn an_empty_file_is_an_empty_log_and_a_missing_one_is_none() {
        assert_eq!(read(b"", 10, 10), []);
        let folder = tempfile::tempdir().unwrap();
        let error = read_log(folder.path(), "none.txt", "a", "stderr").unwrap_err();
        assert!(error.starts_with("cannot read none.txt"), "{error}");
        assert!(read_log(folder.path(), ".", "a", "stderr").is_err());
    }

    #[test]
    fn a_line_over_the_limit_is_left_out_and_those_after_it_are_in_order() {
        let text = format!("one\n{}\ntwo\nthree", "x".repeat(200));
        let numbers: Vec<_> = read(text.as_bytes(), 7, 100).iter().map(|l| l.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn anything_is_a_log(bytes in prop::collection::vec(any::<u8>(), 0..300), most in 0_usize..8) {
            let lines = read(&bytes, most, 100);
            prop_assert!(lines.len() <= 2 * most + 1);
            prop_assert!(lines.windows(2).all(|w| w[0].number < w[1].number));
        }
    }
}
