//! The error codes in an answer of a token endpoint, wherever its vendor puts them.

use serde_json::{Map, Value};

/// Longest code worth showing.
const LONGEST: usize = 64;

/// What an error body says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Codes {
    /// Every code found, the most specific first. Harmless characters only.
    found: Vec<String>,
    /// The vendor's text, not redacted.
    pub text: Option<String>,
}

impl Codes {
    /// Reads RFC 6749 (`error`), objects (`error.code`, `error.type`), AWS (`__type`) and plain `code`.
    #[must_use]
    pub fn read(body: &Map<String, Value>) -> Self {
        let error = body.get("error");
        let nested = error.and_then(Value::as_object);
        let within = |name| nested.and_then(|e| e.get(name));
        let aws = body.get("__type").and_then(Value::as_str);
        let candidates = [
            within("code").and_then(Value::as_str),
            within("type").and_then(Value::as_str),
            error.and_then(Value::as_str),
            body.get("code").and_then(Value::as_str),
            body.get("error_code").and_then(Value::as_str),
            aws.map(|name| name.rsplit('#').next().unwrap_or(name)),
        ];
        let text = [within("message"), body.get("error_description"), body.get("message")];
        Self {
            found: candidates.into_iter().flatten().filter_map(harmless).collect(),
            text: text.into_iter().flatten().find_map(Value::as_str).map(str::to_owned),
        }
    }

    /// The first of the body's codes that is one of `known`.
    #[must_use]
    pub fn among(&self, known: &[&'static str]) -> Option<&'static str> {
        let named = |code: &String| known.iter().find(|k| k.eq_ignore_ascii_case(code)).copied();
        self.found.iter().find_map(named)
    }

    /// The first code, to be shown.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.found.first().map(String::as_str)
    }
}

/// A code as it may be shown: nothing else of an answer's text is trusted to be one.
fn harmless(code: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let fits = !code.is_empty() && code.len() <= LONGEST && code.chars().all(plain);
    fits.then(|| code.to_owned())
}
