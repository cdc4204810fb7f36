//! Who was connected to whom, drawn as text.

use super::super::clean;
use super::escape::block;
use crate::evidence::{Edge, Status};

/// The longest name and label in characters.
const MOST: usize = 48;

/// A line an edge, all arrows of the same length; an edge that failed is broken by an `X`, one that nobody could check by a `?`.
pub(super) fn section(edges: &[Edge]) -> Option<String> {
    let shown = |text: &str| clean::cut(&clean::line(text), MOST);
    let rows: Vec<_> = edges.iter().map(|e| (shown(&e.from), shown(&e.label), shown(&e.to), e.status)).collect();
    let width = |part: fn(&(String, String, String, Status)) -> &String| {
        rows.iter().map(|row| part(row).chars().count()).max().unwrap_or(0)
    };
    let (from, label, to) = (width(|r| &r.0), width(|r| &r.1), width(|r| &r.2));
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let filled = format!("{}{}", row.1, "-".repeat(label - row.1.chars().count()));
            let head = match row.3 {
                Status::Fail => "--X-->",
                Status::Unknown => "--?-->",
                Status::Pass | Status::Warn | Status::Skip => "----->",
            };
            format!("{:from$}  --{filled}{head}  {:to$}  {}", row.0, row.2, row.3.word())
        })
        .collect();
    (!lines.is_empty()).then(|| block("text", &lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_are_aligned_and_a_broken_one_is_seen() {
        let edge = |from: &str, label: &str, status| Edge {
            from: from.to_owned(),
            to: "server".to_owned(),
            label: label.to_owned(),
            status,
        };
        let edges = [
            edge("a", "tcp 127.0.0.1:40001", Status::Pass),
            edge("bob", "websocket [::1]:40002", Status::Fail),
            edge("c", "```\nhi", Status::Unknown),
        ];
        let want = "````text\n\
            a    --tcp 127.0.0.1:40001-------->  server  PASS\n\
            bob  --websocket [::1]:40002--X-->  server  FAIL\n\
            c    --``` hi-----------------?-->  server  UNKNOWN\n````";
        let want = want.replace("40001-------->", "40001------->");
        assert_eq!(section(&edges).unwrap(), want);
        assert_eq!(section(&[]), None);
    }
}
