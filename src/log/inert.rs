//! Text that moves no cursor, begins no line and turns no reading direction, for terminals, logs and pages alike.

use std::borrow::Cow;

/// `text` with control characters as their pictures (`␛`) and with the others that cannot be seen or that turn the reading
/// direction by their number (`⟨U+202E⟩`).
#[must_use]
pub fn inert(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\u{0}'..='\u{1f}' => out.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => out.push('␡'),
            c if acts(c) => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// True for what acts instead of being shown.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_log_05_nothing_acts_and_all_stays_readable() {
        for (text, want) in [
            ("plain: é 漢 🙂", "plain: é 漢 🙂"),
            ("a\nINFO forged\r\n", "a␊INFO forged␍␊"),
            ("\u{1b}[2J\u{9b}31m\u{7}\t", "␛[2J⟨U+009B⟩31m␇␉"),
            ("abc\u{202e}txt\u{2028}\u{200f}\u{7f}", "abc⟨U+202E⟩txt⟨U+2028⟩⟨U+200F⟩␡"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ] {
            assert_eq!(inert(text), want);
            assert_eq!(inert(want), want);
        }
    }
}
