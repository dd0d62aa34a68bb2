//! Patterns with `*` for any run of characters, compared without case.

/// True when `text` matches `pattern` as a whole.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(first) = pieces.next() else { return text.is_empty() };
    let Some(mut rest) = strip_prefix(text, first) else { return false };
    let mut last: Option<&str> = None;
    for piece in pieces {
        if let Some(middle) = last
            && !middle.is_empty()
        {
            match find(rest, middle) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        last = Some(piece);
    }
    match last {
        None => rest.is_empty(),
        Some(tail) => ends_with(rest, tail),
    }
}

/// True when `pattern` fits a model id, or its part after the last slash (`vendor/model`).
#[must_use]
pub fn fits_model(pattern: &str, model: &str) -> bool {
    matches(pattern, model)
        || model.rsplit_once('/').is_some_and(|(_, tail)| matches(pattern, tail))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    if head.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
}

fn ends_with(text: &str, tail: &str) -> bool {
    text.len()
        .checked_sub(tail.len())
        .and_then(|at| text.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(tail))
}

/// The text after the first `needle`.
fn find<'a>(text: &'a str, needle: &str) -> Option<&'a str> {
    text.char_indices().find_map(|(at, _)| text.get(at..).and_then(|t| strip_prefix(t, needle)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_any_run() {
        let cases = [
            ("*", "", true),
            ("*", "x", true),
            ("o1*", "o1-mini", true),
            ("o1*", "foo1", false),
            ("*claude*opus-5*", "Claude-Opus-5-x", true),
            ("*claude*opus-5*", "opus-5-claude", false),
            ("*:free", "a/b:free", true),
            ("*:free", "a/b:freed", false),
            ("gemini-*-flash-lite", "gemini-2.5-flash-lite", true),
            ("gemini-*-flash-lite", "gemini-flash-lite", false),
            ("abc", "ABC", true),
            ("abc", "abcd", false),
            ("a*a", "a", false),
            ("*ab*ab", "ab", false),
            ("é*", "éa", true),
            ("e*", "éa", false),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }
}
