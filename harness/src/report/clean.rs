//! Makes text from outside harmless before a reporter escapes it for its own format.

/// The longest sentence in characters.
pub const SENTENCE: usize = 500;

/// One line without control characters: escape sequences of terminals are taken out whole, white space of every kind becomes
/// a blank, and characters that reorder or hide text (bidirectional overrides, zero widths) or that XML forbids are dropped.
pub fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.peek() == Some(&'[') => {
                chars.next();
                // Parameters and intermediates, then one final byte (ECMA-48, 5.4).
                while chars.next_if(|c| matches!(c, '\x20'..='\x3f')).is_some() {}
                chars.next_if(|c| matches!(c, '\x40'..='\x7e'));
            }
            c if c.is_whitespace() => clean.push(' '),
            c if c.is_control() || hides(c) => {}
            c => clean.push(c),
        }
    }
    clean.trim().to_owned()
}

const fn hides(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// [`line()`], no longer than anybody would read.
pub fn sentence(text: &str) -> String {
    cut(&line(text), SENTENCE)
}

/// At most `most` characters; what is cut off is replaced by an ellipsis.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(line("\x1b[31;1mred\x1b[0m\x07 a\tb\r\nc\x1b]0;title\x07"), "red a b  c]0;title");
        assert_eq!(line("abc\u{202e}cba\u{200b}\u{ffff}"), "abccba");
        assert_eq!(line("\x1b["), "");
    }

    #[test]
    fn cut_counts_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüx", 3), "äö…");
    }
}
