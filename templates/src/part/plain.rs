//! Foreign text made inert: control and direction characters are written out instead of obeyed.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with control characters (ANSI sequences begin with one), direction marks and zero-width characters as
/// `\u{…}`; tab stays, a line break becomes `↵`.
pub(crate) fn inert(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => plain.push('↵'),
            c if acts(c) => {
                // Writing into a string cannot fail.
                let _written = write!(plain, "\\u{{{:x}}}", u32::from(c));
            }
            c => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

fn acts(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_the_text_around_it_is_written_out() {
        for (text, want) in [
            ("plain\ttext", "plain\ttext"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("one\ntwo", "one↵two"),
        ] {
            assert_eq!(inert(text), want);
        }
    }
}
