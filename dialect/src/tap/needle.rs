//! Cheap looks into one event's JSON, so that most events are never parsed.
//!
//! A quoted key cannot occur inside a JSON string, where its quotes would be escaped; and a find
//! only leads to a parse, which then decides by structure (F69).

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::json::after_string;

/// A quoted key to look for.
pub(super) type Needle = LazyLock<Finder<'static>>;

macro_rules! needles {
    ($($name:ident = $key:literal;)*) => {
        $(pub(super) static $name: Needle =
            LazyLock::new(|| Finder::new(concat!("\"", $key, "\"")));)*
    };
}

needles! {
    USAGE = "usage";
    FINISH_REASON = "finish_reason";
    ERROR = "error";
    DELTA = "delta";
    TEXT = "text";
    THINKING = "thinking";
    PARTIAL_JSON = "partial_json";
    ARGUMENTS = "arguments";
}

/// Values of a key anywhere in `data`: the bytes from each value's first on.
pub(super) fn values<'d>(
    data: &'d [u8],
    needle: &'static Needle,
) -> impl Iterator<Item = &'d [u8]> {
    let len = needle.needle().len();
    needle.find_iter(data).filter_map(move |at| {
        let rest = data.get(at.saturating_add(len)..)?.trim_ascii_start();
        Some(rest.strip_prefix(b":")?.trim_ascii_start())
    })
}

/// Whether the key has a value other than `null` and `""` somewhere.
pub(super) fn has_value(data: &[u8], needle: &'static Needle) -> bool {
    values(data, needle).any(|value| !value.starts_with(b"null") && !value.starts_with(b"\"\""))
}

/// The length of the key's string value as written; `None` when there is no such string.
pub(super) fn string_len(data: &[u8], needle: &'static Needle) -> Option<usize> {
    values(data, needle).find_map(|value| {
        let (inner, _) = split_string(value.strip_prefix(b"\"")?)?;
        Some(inner.len())
    })
}

/// The top-level `type` of an event that starts with it, as nearly all do.
pub(super) fn leading_type(data: &[u8]) -> Option<&[u8]> {
    let rest = data.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"type\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let (name, _) = split_string(rest.strip_prefix(b"\"")?)?;
    (!name.contains(&b'\\')).then_some(name)
}

/// How much content a chat `delta` or `message` object holds; `None` for none at all. `raw` may
/// go on behind the object. Stops at the first member that says something.
pub(crate) fn delta_content(raw: &[u8]) -> Option<usize> {
    let mut rest = raw.trim_ascii_start().strip_prefix(b"{")?;
    loop {
        rest = skip(rest, b",");
        let (key, after) = split_string(rest.strip_prefix(b"\"")?)?;
        rest = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        match rest.first()? {
            b'"' => {
                let (value, after) = split_string(rest.get(1..)?)?;
                if !value.is_empty() && !is_label(key) {
                    return Some(value.len());
                }
                rest = after;
            }
            open @ (b'[' | b'{') => {
                let inner = rest.get(1..)?.trim_ascii_start();
                let close = if *open == b'[' { b']' } else { b'}' };
                if inner.first() != Some(&close) {
                    return Some(nested_content(rest));
                }
                rest = inner.get(1..)?;
            }
            _ => {
                let end = rest.iter().position(|b| matches!(b, b',' | b'}'))?;
                rest = rest.get(end..)?;
            }
        }
    }
}

/// Tool arguments, or text parts of a content array.
fn nested_content(value: &[u8]) -> usize {
    string_len(value, &ARGUMENTS).or_else(|| string_len(value, &TEXT)).unwrap_or(0)
}

/// Members of a delta that say nothing about content.
fn is_label(key: &[u8]) -> bool {
    matches!(key, b"role" | b"name" | b"id" | b"type" | b"object" | b"tool_call_id" | b"phase")
}

fn skip<'d>(rest: &'d [u8], separator: &[u8]) -> &'d [u8] {
    let rest = rest.trim_ascii_start();
    rest.strip_prefix(separator).unwrap_or(rest).trim_ascii_start()
}

/// A string whose opening quote was just read, and what follows its closing quote.
fn split_string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let after = after_string(rest);
    let end = rest.len().checked_sub(after.len())?.checked_sub(1)?;
    (rest.get(end) == Some(&b'"')).then(|| (rest.get(..end).unwrap_or_default(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_key_and_not_by_text() {
        for (data, want) in [
            (&br#"{"usage":{"a":1}}"#[..], true),
            (br#"{"usage" : 5}"#, true),
            (br#"{"usage":null}"#, false),
            (br#"{"usage":null,"x":{"usage":{}}}"#, true),
            (br#"{"text":"\"usage\":{}"}"#, false),
            (br#"{"text":"usage"}"#, false),
            (br#"{"a":"usage"}"#, false),
        ] {
            assert_eq!(has_value(data, &USAGE), want, "{}", String::from_utf8_lossy(data));
        }
        assert!(!has_value(br#"{"finish_reason":""}"#, &FINISH_REASON));
    }

    #[test]
    fn leading_type_is_read_only_at_the_start() {
        assert_eq!(leading_type(br#"{ "type" : "ping" }"#), Some(&b"ping"[..]));
        assert_eq!(leading_type(br#"{"x":1,"type":"ping"}"#), None);
        assert_eq!(leading_type(br#"{"type":"pi\u006eg"}"#), None);
        assert_eq!(leading_type(br#"{"type":"pi"#), None);
    }

    #[test]
    fn delta_content_ignores_roles_and_empty_values() {
        for (raw, want) in [
            (r#"{}"#, None),
            (r#"{"role":"assistant"}"#, None),
            (r#"{"role":"assistant","content":""}"#, None),
            (r#"{"role":"assistant","content":null,"refusal":null}"#, None),
            (r#"{"role":"assistant","content":"","reasoning":null,"reasoning_details":[]}"#, None),
            (r#"{"index":0,"content":""}"#, None),
            (r#"{"content":"hé"}"#, Some(3)),
            (r#"{ "role" : "assistant" , "content" : "hi" } , "x": 1"#, Some(2)),
            (r#"{"reasoning_content":"\n1"}"#, Some(3)),
            (r#"{"refusal":"no"}"#, Some(2)),
            (r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a"}}]}"#, Some(4)),
            (r#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#, Some(0)),
            (r#"{"content":[{"type":"text","text":"abc"}]}"#, Some(3)),
            (r#"{"content":[]}"#, None),
            (r#"{"content":"a\"b"}"#, Some(4)),
            (r#"nonsense"#, None),
            (r#"{"content":"unterminated"#, None),
        ] {
            assert_eq!(delta_content(raw.as_bytes()), want, "{raw}");
        }
    }
}
