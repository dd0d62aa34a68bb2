//! Looks into JSON text without building a tree: members, elements, lenient scalars.

use std::borrow::Cow;
use std::fmt;
use std::ops::{ControlFlow, Range};

use memchr::memchr2;
use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::scan;

/// Deepest nesting that any body may have (security §10: serde_json refuses the 128th level).
pub(crate) const MAX_DEPTH: usize = 127;

/// One member of an object: all three borrow from the text that was walked.
pub(crate) struct Member<'a> {
    /// The key, unescaped.
    pub(crate) key: Cow<'a, str>,
    /// The key as written, with its quotes.
    pub(crate) raw_key: &'a str,
    /// The value as written.
    pub(crate) value: &'a str,
    /// How many elements or members the value has.
    pub(crate) items: usize,
    /// How deep brackets nest in it.
    pub(crate) depth: usize,
}

/// Calls `f` for each member of the object in `text`; the whole text must be one object.
pub(crate) fn each_member<'a>(
    text: &'a str,
    mut f: impl FnMut(Member<'a>) -> ControlFlow<()>,
) -> Result<(), serde_json::Error> {
    let mut bad_key = false;
    let walked = scan::members(text, |raw_key, value| {
        let Some(key) = string(raw_key) else {
            bad_key = true;
            return ControlFlow::Break(());
        };
        let scan::Passed { text: value, items, depth } = value;
        f(Member { key, raw_key, value, items, depth })
    });
    match walked {
        Some(_) if !bad_key => Ok(()),
        _ => Err(fault(text, |de| de.deserialize_map(Members))),
    }
}

/// Calls `f` for each element of the array in `text`; the whole text must be one array.
pub(crate) fn each_element<'a>(
    text: &'a str,
    f: impl FnMut(&'a str) -> ControlFlow<()>,
) -> Result<(), serde_json::Error> {
    match scan::elements(text, f) {
        Some(_) => Ok(()),
        None => Err(fault(text, |de| de.deserialize_seq(Elements))),
    }
}

/// What is wrong with a text, and where, in the parser's words.
fn fault<'a>(
    text: &'a str,
    parse: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::StrRead<'a>>,
    ) -> Result<(), serde_json::Error>,
) -> serde_json::Error {
    let mut de = serde_json::Deserializer::from_str(text);
    let parsed = parse(&mut de).and_then(|()| de.end());
    parsed.err().unwrap_or_else(|| serde_json::Error::custom("invalid JSON"))
}

/// Visits members of an object that may be malformed; `false` when it is not an object.
pub(crate) fn visit<'a>(text: &'a str, mut f: impl FnMut(&str, &'a str)) -> bool {
    each_member(text, |m| {
        f(&m.key, m.value);
        ControlFlow::Continue(())
    })
    .is_ok()
}

/// Visits elements of an array that may be malformed; `false` when it is not an array.
pub(crate) fn visit_elements<'a>(text: &'a str, mut f: impl FnMut(&'a str)) -> bool {
    each_element(text, |element| {
        f(element);
        ControlFlow::Continue(())
    })
    .is_ok()
}

/// An object once more, members kept, changed or left out: `f` gives the value that a member is to have.
/// `None` when the text is no object.
pub(crate) fn rewrite<'a>(
    text: &'a str,
    mut f: impl FnMut(&str, &'a str) -> Option<Cow<'a, str>>,
) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    out.push('{');
    let walked = each_member(text, |m| {
        if let Some(value) = f(&m.key, m.value) {
            push_member(&mut out, m.raw_key, &value);
        }
        ControlFlow::Continue(())
    });
    out.push('}');
    walked.ok().map(|()| out)
}

/// Writes one more member of an object that is being written; the key comes with its quotes.
pub(crate) fn push_member(out: &mut String, quoted_key: &str, value: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push_str(quoted_key);
    out.push(':');
    out.push_str(value);
}

/// The value of one member, the last one when the key is repeated.
pub(crate) fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut found = None;
    visit(text, |name, value| {
        if name == key {
            found = Some(value);
        }
    });
    found
}

/// Where `part`, a sub-slice of `whole`, lies in it.
pub(crate) fn range_in(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start.saturating_add(part.len())
}

/// The string in `raw`, unescaped; `None` for any other type.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The first characters of the string in `raw`, unescaped, however long it is.
pub(crate) fn start_of_string(raw: &str, chars: usize) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let (mut at, mut escaped) = (0_usize, false);
    for _ in 0..chars {
        let rest = inner.get(at..).unwrap_or_default();
        let length = match rest.as_bytes() {
            [] => break,
            // The first half of a pair of surrogates: the second one belongs to it.
            [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => 12,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        escaped |= rest.starts_with('\\');
        at = at.saturating_add(length).min(inner.len());
    }
    let start = inner.get(..at)?;
    if !escaped {
        return Some(Cow::Borrowed(start));
    }
    serde_json::from_str(&["\"", start, "\""].concat()).ok().map(Cow::Owned)
}

/// A string that is not blank.
pub(crate) fn text(raw: &str) -> Option<String> {
    string(raw).filter(|s| !s.trim().is_empty()).map(Cow::into_owned)
}

/// `null`, `""`, `[]`, `{}`: a value that says nothing.
pub(crate) fn is_blank(raw: &str) -> bool {
    match raw.as_bytes() {
        b"null" | b"\"\"" => true,
        [b'[', inner @ .., b']'] | [b'{', inner @ .., b'}'] => inner.trim_ascii().is_empty(),
        _ => false,
    }
}

/// Whether `raw` is an object.
pub(crate) fn is_object(raw: &str) -> bool {
    raw.starts_with('{')
}

/// Whether `raw` is an array.
pub(crate) fn is_array(raw: &str) -> bool {
    raw.starts_with('[')
}

/// Quotes and escapes a string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Puts JSON text on one line, as a stream of events needs it: values that are carried along may hold
/// line breaks between their tokens. Inside strings JSON allows none.
pub(crate) fn one_line(json: &mut [u8]) {
    let mut from = 0;
    while let Some(at) = json.get(from..).and_then(|rest| memchr2(b'\n', b'\r', rest)) {
        from = from.saturating_add(at);
        if let Some(byte) = json.get_mut(from) {
            *byte = b' ';
        }
    }
}

/// Decodes bytes that may hold invalid UTF-8: a broken character never fails a stream (F39).
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // What is valid, and nearly everything is, is found out many bytes at a time.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Whether brackets nest deeper than allowed; brackets inside strings do not count.
///
/// The skipping parser is iterative and has no limit of its own, so tiers A and B need this.
pub(crate) fn too_deep(bytes: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut rest = bytes;
    loop {
        let Some((&byte, tail)) = rest.split_first() else { return false };
        rest = tail;
        match byte {
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => rest = after_string(rest),
            _ => {}
        }
    }
}

/// What follows the closing quote of a string whose opening quote was just read.
pub(crate) fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        let escape = rest.get(at) == Some(&b'\\');
        // A backslash takes the next byte with it.
        rest = rest.get(at.saturating_add(if escape { 2 } else { 1 })..).unwrap_or_default();
        if !escape {
            return rest;
        }
    }
    &[]
}

/// An object of anything.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            map.next_value::<&'de RawValue>()?;
            string(key.get()).ok_or_else(|| A::Error::custom("invalid object key"))?;
        }
        Ok(())
    }
}

/// An array of anything.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<&'de RawValue>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_with_unescaped_keys_and_raw_values() {
        let text = r#"{ "a" : 1.0, "b\u0063":{"x":[1, 2]} }"#;
        let mut seen = Vec::new();
        each_member(text, |m| {
            seen.push((m.key.into_owned(), m.raw_key.to_owned(), m.value.to_owned()));
            ControlFlow::Continue(())
        })
        .unwrap();
        let want = vec![
            ("a".to_owned(), "\"a\"".to_owned(), "1.0".to_owned()),
            ("bc".to_owned(), r#""b\u0063""#.to_owned(), r#"{"x":[1, 2]}"#.to_owned()),
        ];
        assert_eq!(seen, want);
    }

    #[test]
    fn a_long_string_is_looked_at_as_far_as_it_is_wanted() {
        for (raw, chars, want) in [
            ("\"abc\"", 2, Some("ab")),
            ("\"abc\"", 9, Some("abc")),
            ("\"\"", 9, Some("")),
            (r#""\n\u00e4\\x""#, 3, Some("\nä\\")),
            (r#""\ud83d\ude00é""#, 1, Some("😀")),
            (r#""é\ud83d\ude00b""#, 2, Some("é😀")),
            (r#""\ud83d""#, 1, None),
            ("5", 1, None),
        ] {
            assert_eq!(start_of_string(raw, chars).as_deref(), want, "{raw} {chars}");
        }
    }

    #[test]
    fn objects_are_rewritten_member_by_member() {
        let text = r#"{ "a" : 1.0, "b\u0063":{"x":[1, 2]}, "d":null }"#;
        let got = rewrite(text, |key, value| match key {
            "a" => None,
            "d" => Some("5".into()),
            _ => Some(value.into()),
        });
        assert_eq!(got.as_deref(), Some(r#"{"b\u0063":{"x":[1, 2]},"d":5}"#));
        assert_eq!(rewrite("[1]", |_, value| Some(value.into())), None);
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        for (text, want) in [
            (deep(127), false),
            (deep(128), true),
            (format!("\"{}\"", "[".repeat(500)), false),
            (format!("\"\\\"{}\"", "[".repeat(500)), false),
            (format!("\"\\\\\"{}", "[".repeat(500)), true),
        ] {
            assert_eq!(too_deep(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn json_goes_on_one_line() {
        let mut json = b"{\r\n \"a\\n\":\n[1]}".to_vec();
        one_line(&mut json);
        assert_eq!(json, b"{   \"a\\n\": [1]}");
    }

    #[test]
    fn blank_values_are_recognised() {
        for (raw, want) in [
            ("null", true),
            ("\"\"", true),
            ("[ ]", true),
            ("{}", true),
            ("0", false),
            ("[0]", false),
        ] {
            assert_eq!(is_blank(raw), want, "{raw}");
        }
    }
}
