//! An entry of the catalogue as text for people.

use super::Cause;
use crate::evidence::{FixKind, Horizon};

/// Characters a line.
const WIDTH: usize = 96;

/// Everything that is known of a cause, under headings.
pub fn render(cause: &Cause) -> String {
    let mut parts = vec![format!("{}: {}", cause.code, cause.title)];
    for (heading, text) in [
        ("How it comes about", cause.explanation),
        ("What settles it", cause.settled_by),
        ("What it is not", cause.confounder),
    ] {
        parts.push(format!("{heading}\n{}", wrapped("  ", text)));
    }
    let fixes = cause.fixes.iter().map(|(kind, text)| wrapped(&format!("  {:16} ", tag(*kind)), text));
    parts.push(section("What to do", fixes));
    let later = cause.later.iter().map(|(horizon, text)| wrapped(&format!("  {:12} ", term(*horizon)), text));
    parts.push(section("So that it does not come back", later));
    if !cause.scenario.is_empty() {
        parts.push(format!("See it\n  sidetone-harness run {}", cause.scenario));
    }
    parts.join("\n\n") + "\n"
}

fn section(heading: &str, lines: impl Iterator<Item = String>) -> String {
    lines.fold(heading.to_owned(), |all, line| format!("{all}\n{line}"))
}

const fn tag(kind: FixKind) -> &'static str {
    match kind {
        FixKind::Safe => "[safe]",
        FixKind::ChangesState => "[changes state]",
        FixKind::NeedsRoot => "[needs root]",
    }
}

const fn term(horizon: Horizon) -> &'static str {
    match horizon {
        Horizon::Immediate => "At once",
        Horizon::Short => "Short term",
        Horizon::Medium => "Medium term",
        Horizon::Long => "Long term",
    }
}

/// `head`, then the text broken at blanks, its further lines under its first.
fn wrapped(head: &str, text: &str) -> String {
    let indent = head.chars().count();
    let mut out = head.to_owned();
    let mut used = indent;
    for word in text.split_whitespace() {
        let letters = word.chars().count();
        if used > indent && used + 1 + letters > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        }
        if used > indent {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += letters;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{by_code, iter};
    use super::*;

    #[test]
    fn snapshot() {
        insta::assert_snapshot!("explained", render(by_code("bind.port_taken_by_outgoing").unwrap()));
    }

    #[test]
    fn every_entry_fits_and_says_everything() {
        for cause in iter() {
            let text = render(cause);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            assert!(text.starts_with(&format!("{}: ", cause.code)) && text.ends_with('\n'));
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let todo = cause.fixes.iter().map(|(_, text)| *text).chain(cause.later.iter().map(|(_, text)| *text));
            for part in todo.chain([cause.title, cause.explanation, cause.settled_by, cause.confounder, cause.scenario])
            {
                assert!(flat.contains(part), "{}: {part}", cause.code);
            }
            assert_eq!(text.contains("See it"), !cause.scenario.is_empty(), "{}", cause.code);
        }
    }
}
