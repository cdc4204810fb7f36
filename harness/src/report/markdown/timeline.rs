//! The timeline as aligned text.

use super::super::{clean, figures};
use super::escape::{block, folded};
use crate::evidence::TimelineEntry;

/// So many lines are open; the rest is folded.
const OPEN: usize = 60;

/// The longest sentence, name and source in characters.
const MOST: usize = 160;
const SHORT: usize = 28;

/// Seconds since the first line, who, what happened, and where it stands.
pub(super) fn section(entries: &[TimelineEntry]) -> Option<String> {
    if entries.is_empty() {
        return None;
    }
    let short = |text: &str| clean::cut(&clean::line(text), SHORT);
    let widest =
        |part: fn(&TimelineEntry) -> &String| entries.iter().map(|e| short(part(e)).chars().count()).max().unwrap_or(0);
    let (who, source) = (widest(|e| &e.who), widest(|e| &e.source));
    let lines: Vec<_> = entries
        .iter()
        .map(|entry| {
            let what = clean::cut(&clean::line(&entry.what), MOST);
            let at = entry.at_us as f64 / 1e6;
            format!("{at:>11.6}  {:who$}  {:source$}  {what}", short(&entry.who), short(&entry.source))
        })
        .collect();
    let (open, rest) = lines.split_at(lines.len().min(OPEN));
    let mut body = format!("Seconds on one clock for all processes.\n\n{}", block("text", open));
    if !rest.is_empty() {
        let title = format!("{} more", figures::counted(rest.len(), "line"));
        body = format!("{body}\n\n{}", folded(&title.replace("lines more", "more lines"), &block("text", rest)));
    }
    Some(body)
}
