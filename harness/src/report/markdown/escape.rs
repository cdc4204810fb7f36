//! Text from outside, so that it can neither break nor imitate markdown.

use super::super::clean;

/// Text for a paragraph, a list item or a cell of a table.
pub(super) fn text(text: &str) -> String {
    up_to(text, clean::SENTENCE)
}

/// The same, cut after `most` characters.
pub(super) fn up_to(text: &str, most: usize) -> String {
    let clean: Vec<char> = clean::cut(&clean::line(text), most).chars().collect();
    let mut safe = String::with_capacity(clean.len() + 8);
    let mut at = 0;
    while at < clean.len() {
        let address = address_in_brackets(&clean, at);
        if address > 0 {
            safe.extend(&clean[at..at + address]);
            at += address;
            continue;
        }
        match clean[at] {
            // An entity, since what a backslash before it means differs between the parsers of tables.
            '|' => safe.push_str("&#124;"),
            c => {
                if special(&clean, at) {
                    safe.push('\\');
                }
                safe.push(c);
            }
        }
        at += 1;
    }
    safe
}

/// Whether markdown would read a character as a mark. What people read in a file, too, keeps as few backslashes as possible:
/// an underscore inside a word is no emphasis, and a dot makes a list only after a number at the very start.
fn special(text: &[char], at: usize) -> bool {
    let next = text.get(at + 1);
    match text[at] {
        '\\' | '`' | '*' | '[' | ']' | '<' | '~' | '&' | '$' => true,
        '_' => !(at > 0 && text[at - 1].is_alphanumeric() && next.is_some_and(|c| c.is_alphanumeric())),
        '#' | '+' | '-' | '=' | '>' => at == 0,
        '.' | ')' => at > 0 && next.is_none_or(|c| *c == ' ') && text[..at].iter().all(char::is_ascii_digit),
        _ => false,
    }
}

/// The length of an IPv6 address in brackets that begins here and can be neither a link nor the definition of one.
fn address_in_brackets(text: &[char], at: usize) -> usize {
    if at == 0 || text[at] != '[' {
        return 0;
    }
    let inside = text[at + 1..].iter().take_while(|c| c.is_ascii_hexdigit() || **c == ':').count();
    let after = text.get(at + inside + 2);
    let address = inside > 1 && text.get(at + 1 + inside) == Some(&']') && !matches!(after, Some('(' | '['));
    if address { inside + 2 } else { 0 }
}

/// Text as code, in one line; empty text is nothing at all.
pub(super) fn code(text: &str) -> String {
    let clean = clean::cut(&clean::line(text), 2 * clean::SENTENCE);
    if clean.is_empty() {
        String::new()
    } else if clean.contains(['`', '|']) {
        format!("<code>{}</code>", html(&clean))
    } else {
        format!("`{clean}`")
    }
}

/// Text inside HTML, where markdown may still look for its marks.
pub(super) fn html(text: &str) -> String {
    let mut safe = String::new();
    for c in clean::line(text).chars() {
        match c {
            '&' | '<' | '>' | '"' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '$' => {
                safe.extend(["&#", &u32::from(c).to_string(), ";"]);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// A relative path as the target of a link.
pub(super) fn path(path: &str) -> String {
    let mut safe = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => safe.push(char::from(byte)),
            byte => safe.extend(["%", &format!("{byte:02X}")]),
        }
    }
    safe
}

/// Lines as a block of code, fenced so that nothing in them ends it.
pub(super) fn block(language: &str, lines: &[String]) -> String {
    let run = |line: &String| line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(lines.iter().map(run).max().unwrap_or(0).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", lines.join("\n"))
}

/// Something that opens on a click.
pub(super) fn folded(title: &str, body: &str) -> String {
    format!("<details><summary>{}</summary>\n\n{body}\n\n</details>", html(title))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identifiers_stay_readable_and_marks_lose_their_meaning() {
        assert_eq!(text("bind.port_in_use at 127.0.0.1:80"), "bind.port_in_use at 127.0.0.1:80");
        assert_eq!(text("_a_ *b* [c](d) <b> a|b `x` a\\|"), r"\_a\_ \*b\* \[c\](d) \<b> a&#124;b \`x\` a\\&#124;");
        assert_eq!(text("a -> [::1]:80 [::1](x)"), r"a -> [::1]:80 \[::1\](x)");
        assert_eq!(text("[a]: b"), r"\[a\]: b");
        assert_eq!(text("0.5 s"), "0.5 s");
        assert_eq!(text("# title"), r"\# title");
        assert_eq!(text("1. one"), r"1\. one");
        assert_eq!(text("-- two\n\n# three"), r"\-- two  # three");
        assert_eq!(text(&"x".repeat(9000)).chars().count(), clean::SENTENCE);
    }

    #[test]
    fn code_is_plain_unless_it_cannot_be() {
        assert_eq!(code("a b"), "`a b`");
        assert_eq!(code("a`b|c"), "<code>a&#96;b&#124;c</code>");
        assert_eq!(code("\n"), "");
        assert_eq!(block("sh", &["a ```` b".to_owned()]), "`````sh\na ```` b\n`````");
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a parser's events, of which few matter here")]
    /// What a reader of a table sees in its first cell; `None`: there is more or less than one row of two cells.
    fn seen_in_a_cell(cell: &str) -> Option<String> {
        use pulldown_cmark::{Event as E, Options, Parser, Tag};
        let table = format!("| a | b |\n|---|---|\n| {cell} | end |\n");
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH;
        let (mut cells, mut seen) = (0, String::new());
        for event in Parser::new_ext(&table, options) {
            match event {
                E::Start(Tag::TableCell) => cells += 1,
                E::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } | Tag::Image { .. }) => {
                    return None;
                }
                E::InlineHtml(html) if !matches!(&*html, "<code>" | "</code>") => return None,
                E::Text(text) | E::Code(text) if cells == 3 => seen.push_str(&text),
                _ => {}
            }
        }
        (cells == 4).then_some(seen)
    }

    proptest! {
        #[test]
        fn a_reader_sees_exactly_the_text(outside in "[-a-c0-9 \\\\`*_\\[\\]()<>|~&$#+=.:;!/\"'\n\u{1b}é]{0,40}") {
            let clean = clean::line(&outside);
            prop_assert_eq!(seen_in_a_cell(&text(&outside)), Some(clean.clone()), "{}", text(&outside));
            prop_assert_eq!(seen_in_a_cell(&code(&outside)), Some(clean), "{}", code(&outside));
        }
    }
}
