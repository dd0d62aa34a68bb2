//! Secrets that are known: whatever they look like, a text that quotes them is shown without them.

use std::borrow::Cow;

use serde_json::Value;

use super::{MASK, is_secret_name};

/// Shorter ones are words like others (`test`, `ollama`): without them a text would be garbled and nothing hidden.
const SHORTEST: usize = 8;

/// The secrets of one call. An upstream that refuses a key may quote it, and not every vendor's keys have a pattern.
#[derive(Clone, Default)]
pub struct Known<'s>(Vec<&'s str>);

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Known").field(&self.0.len()).finish()
    }
}

impl<'s> Known<'s> {
    /// These secrets.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut found: Vec<_> =
            secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect();
        // One may be part of another.
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(found)
    }

    /// Those that headers carry, by the headers' names.
    #[must_use]
    pub fn of_headers(headers: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        let secret = headers.into_iter().filter(|(name, _)| is_secret_name(name));
        Self::new(secret.map(|(_, value)| match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => value,
        }))
    }

    /// True when `bytes` quote one.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|secret| memchr::memmem::find(bytes, secret.as_bytes()).is_some())
    }

    /// The text without them.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret) {
                text = Cow::Owned(text.replace(secret, MASK));
            }
        }
        text
    }

    /// Every text in the value without them.
    #[must_use]
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => match self.text(&text) {
                Cow::Borrowed(_) => Value::String(text),
                Cow::Owned(clean) => Value::String(clean),
            },
            Value::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(name, value)| (name, self.json(value))).collect()
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_sent_is_taken_out_whatever_it_looks_like() {
        let headers = [("Authorization", "Bearer plain-words-key"), ("accept", "text/plain-words")];
        let known = Known::of_headers(headers);
        assert_eq!(known.text("`plain-words-key` is wrong"), "`[redacted]` is wrong");
        assert_eq!(known.text("text/plain-words"), "text/plain-words");
        assert!(known.is_in(b"\"plain-words-key\"") && !known.is_in(b"plain-words"));
        let value = json!({"a": ["plain-words-key", 1], "plain-words": null});
        assert_eq!(known.json(value), json!({"a": ["[redacted]", 1], "plain-words": null}));
        assert!(!format!("{known:?}").contains("plain"));
    }

    #[test]
    fn the_longer_one_goes_first_and_words_stay() {
        let known = Known::new(["12345678", "12345678-and-more", "test", ""]);
        assert_eq!(known.text("12345678-and-more 12345678 test"), "[redacted] [redacted] test");
    }
}
