//! One pass over a request body: what routing must know, and nothing more.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use bytes::Bytes;

use crate::error::{ApiError, ErrorKind};
use crate::usage::lenient_tokens;
use crate::{Dialect, json};

/// A string member of the body and where its value stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StrField {
    /// The string, unescaped.
    pub value: String,
    /// The JSON string in the body, quotes included.
    pub range: Range<usize>,
}

/// What routing needs from a request body.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Peek {
    /// The model asked for; `None` when absent or not a string.
    pub model: Option<StrField>,
    /// Whether the body has a `model` of any type.
    pub model_present: bool,
    /// Whether a stream was asked for: only JSON `true` streams (T015).
    pub stream: bool,
    /// The `stream_options` value.
    pub stream_options: Option<Range<usize>>,
    /// Whether `stream_options.include_usage` is `true`.
    pub include_usage: bool,
    /// The output cap, whatever the dialect calls it.
    pub max_tokens: Option<u64>,
    /// The conversation: `messages`, `input` or `contents`.
    pub turns: Option<Range<usize>>,
    /// Turns of a conversation that is an array.
    pub turn_count: usize,
    /// Whether the conversation is a non-empty array or a non-empty string.
    pub turns_nonempty: bool,
    /// A chat body with an `input` array instead of `messages` (endpoints §4.1).
    pub input_instead_of_messages: bool,
    /// The system instructions, where the dialect keeps them apart from the turns.
    pub system: Option<Range<usize>>,
    /// The `metadata` value.
    pub metadata: Option<Range<usize>>,
    /// Whether tools are declared.
    pub tools: bool,
    /// `prompt_cache_key`.
    pub prompt_cache_key: Option<String>,
    /// `previous_response_id` (Responses).
    pub previous_response_id: Option<String>,
    /// `conversation.id`, `conversation` or `conversation_id`.
    pub conversation: Option<String>,
    /// `session_id`.
    pub session_id: Option<String>,
    /// Whether a stored `prompt` template stands in for the input (Responses).
    pub prompt_template: bool,
}

/// Why a request body cannot be routed. Always the client's fault: status 400.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PeekError {
    /// Some byte sequence is not UTF-8.
    #[error("the request body is not valid UTF-8")]
    NotUtf8,
    /// Brackets nest deeper than 127 levels.
    #[error("the request body nests deeper than 127 levels")]
    TooDeep,
    /// The body does not parse, or something follows the object.
    #[error("the request body is not valid JSON: {0}")]
    NotJson(String),
    /// The body is JSON but not an object.
    #[error("the request body must be a JSON object")]
    NotObject,
    /// A key that decides routing occurs twice; parsers disagree on which one wins.
    #[error("`{0}` occurs more than once in the request body")]
    DuplicateKey(&'static str),
    /// `model` is absent, not a string, or blank.
    #[error("`model` must be a non-empty string")]
    NoModel,
    /// The conversation is absent or empty.
    #[error("`{0}` must be a non-empty array")]
    NoTurns(&'static str),
    /// A field has a type or value that the endpoint does not take.
    #[error("{message}")]
    Invalid {
        /// The field.
        param: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A field that cannot be honoured on this route.
    #[error("{message}")]
    Unsupported {
        /// The field.
        param: &'static str,
        /// Why, and what to do instead.
        message: String,
    },
}

impl PeekError {
    /// The machine-readable code, where there is one (endpoints §5).
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::NotUtf8 | Self::TooDeep | Self::NotJson(_) | Self::NotObject => {
                Some("invalid_json")
            }
            Self::Unsupported { .. } => Some("unsupported_parameter"),
            Self::DuplicateKey(_) | Self::NoModel | Self::NoTurns(_) | Self::Invalid { .. } => None,
        }
    }

    /// The text for the client.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The field that is at fault.
    pub const fn param(&self) -> Option<&'static str> {
        match self {
            Self::NotUtf8 | Self::TooDeep | Self::NotJson(_) | Self::NotObject => None,
            Self::DuplicateKey(key) | Self::NoTurns(key) => Some(key),
            Self::NoModel => Some("model"),
            Self::Invalid { param, .. } | Self::Unsupported { param, .. } => Some(param),
        }
    }

    /// The answer for the client: 400 in every dialect.
    pub fn to_api_error(&self, request_id: impl Into<String>) -> ApiError {
        ApiError {
            kind: ErrorKind::InvalidRequest,
            status: None,
            code: self.code().map(Cow::Borrowed),
            param: self.param().map(str::to_owned),
            message: self.message(),
            request_id: request_id.into(),
        }
    }
}

impl Peek {
    /// The model, which chat, Responses and Messages bodies must name.
    ///
    /// # Errors
    /// [`PeekError::NoModel`] when it is absent, not a string, or blank.
    pub fn require_model(&self) -> Result<&StrField, PeekError> {
        self.model.as_ref().filter(|m| !m.value.trim().is_empty()).ok_or(PeekError::NoModel)
    }

    /// Checks that there is a conversation; how it looks inside is for the upstream to judge.
    ///
    /// # Errors
    /// [`PeekError::NoTurns`] when it is missing (for `chat` also when it is empty).
    pub fn require_turns(&self, dialect: Dialect) -> Result<(), PeekError> {
        let fine = match dialect {
            Dialect::Chat => self.turns_nonempty || self.input_instead_of_messages,
            Dialect::Anth | Dialect::Gem => self.turns.is_some(),
            Dialect::Resp => {
                self.turns.is_some()
                    || self.prompt_template
                    || self.previous_response_id.is_some()
                    || self.conversation.is_some()
            }
        };
        if fine { Ok(()) } else { Err(PeekError::NoTurns(dialect.turns_key())) }
    }
}

/// Removes a leading byte order mark.
pub fn strip_bom(mut body: Bytes) -> Bytes {
    if body.starts_with(b"\xef\xbb\xbf") {
        drop(body.split_to(3));
    }
    body
}

/// Reads what routing needs from a request body in one linear pass.
///
/// # Errors
/// A [`PeekError`] when the body is not one JSON object in UTF-8 of bounded depth, or when a key
/// that decides routing occurs twice.
///
/// # Examples
/// ```
/// use ninerouter_dialect::{Dialect, peek};
/// let body = br#"{"model":"glm/glm-4.7","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
/// let seen = peek(Dialect::Chat, body).unwrap();
/// assert_eq!(seen.require_model().unwrap().value, "glm/glm-4.7");
/// assert!(seen.stream);
/// ```
pub fn peek(dialect: Dialect, body: &[u8]) -> Result<Peek, PeekError> {
    let text = utf8_text(body)?;
    // Ranges count from the start of `body`, also when a byte order mark was left on it.
    let offset = body.len().saturating_sub(text.len());
    let mut walk =
        Walk { dialect, text, offset, seen: Peek::default(), keys: 0, input_array: false };
    let mut failed = None;
    json::each_member(text, |m| {
        // The object around it counts as well.
        let read = match m.depth < json::MAX_DEPTH {
            true => walk.member(&m.key, m.value, m.items),
            false => Err(PeekError::TooDeep),
        };
        match read {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })
    .map_err(|error| match json::too_deep(text.as_bytes()) {
        true => PeekError::TooDeep,
        false => json_error(&error),
    })?;
    match failed {
        Some(error) => Err(error),
        None => Ok(walk.finish()),
    }
}

/// The body as text, after the checks that hold in every tier: UTF-8 and depth.
pub(crate) fn checked_text(body: &[u8]) -> Result<&str, PeekError> {
    let text = utf8_text(body)?;
    if json::too_deep(text.as_bytes()) {
        return Err(PeekError::TooDeep);
    }
    Ok(text)
}

fn utf8_text(body: &[u8]) -> Result<&str, PeekError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Skipped values are not UTF-8-checked by the JSON scanner, hence one check up front.
    std::str::from_utf8(body).map_err(|_invalid| PeekError::NotUtf8)
}

/// Tells "not an object" from "not JSON".
pub(crate) fn json_error(error: &serde_json::Error) -> PeekError {
    if error.is_data() && !error.to_string().starts_with("invalid object key") {
        PeekError::NotObject
    } else {
        PeekError::NotJson(error.to_string())
    }
}

/// Keys that decide routing or billing, one bit each: a second one is refused (T004).
const GUARDED: [&str; 6] = ["model", "stream", "messages", "input", "contents", "tools"];

struct Walk<'a> {
    dialect: Dialect,
    text: &'a str,
    offset: usize,
    seen: Peek,
    keys: u8,
    input_array: bool,
}

impl<'a> Walk<'a> {
    fn member(&mut self, key: &str, raw: &'a str, items: usize) -> Result<(), PeekError> {
        if let Some(bit) = GUARDED.iter().position(|guarded| *guarded == key) {
            let mask = 1_u8 << bit;
            if self.keys & mask != 0 {
                return Err(PeekError::DuplicateKey(GUARDED.get(bit).copied().unwrap_or("model")));
            }
            self.keys |= mask;
        }
        let range = self.range(raw);
        match key {
            "model" => {
                self.seen.model_present = true;
                if raw.starts_with('"') {
                    // An unpaired surrogate escape has no string value: refuse, do not guess.
                    let value = json::string(raw).ok_or(PeekError::NoModel)?.into_owned();
                    self.seen.model = Some(StrField { value, range });
                }
            }
            "stream" => self.seen.stream = raw == "true",
            "stream_options" => {
                self.seen.include_usage = json::member(raw, "include_usage") == Some("true");
                self.seen.stream_options = Some(range);
            }
            "metadata" => self.seen.metadata = Some(range),
            "tools" => self.seen.tools = !json::is_blank(raw),
            "prompt_cache_key" => self.seen.prompt_cache_key = json::text(raw),
            "previous_response_id" => self.seen.previous_response_id = json::text(raw),
            "conversation" => {
                let id = if json::is_object(raw) { json::member(raw, "id") } else { Some(raw) };
                self.seen.conversation =
                    id.and_then(json::text).or_else(|| self.seen.conversation.take());
            }
            "conversation_id" if self.seen.conversation.is_none() => {
                self.seen.conversation = json::text(raw);
            }
            "session_id" => self.seen.session_id = json::text(raw),
            "prompt" => self.seen.prompt_template = json::is_object(raw),
            _ => self.dialect_member(key, raw),
        }
        if key == self.dialect.turns_key() {
            self.seen.turns = Some(self.range(raw));
            self.seen.turn_count = if json::is_array(raw) { items } else { 0 };
            let kind_fits =
                json::is_array(raw) || (self.dialect == Dialect::Resp && raw.starts_with('"'));
            self.seen.turns_nonempty = kind_fits && !json::is_blank(raw);
        } else if key == "input" {
            self.input_array = json::is_array(raw);
        }
        Ok(())
    }

    fn range(&self, raw: &str) -> Range<usize> {
        let range = json::range_in(self.text, raw);
        range.start.saturating_add(self.offset)..range.end.saturating_add(self.offset)
    }

    fn dialect_member(&mut self, key: &str, raw: &'a str) {
        match (self.dialect, key) {
            (Dialect::Anth, "system")
            | (Dialect::Resp, "instructions")
            | (Dialect::Gem, "systemInstruction" | "system_instruction") => {
                self.seen.system = Some(self.range(raw));
            }
            (Dialect::Chat | Dialect::Anth, "max_tokens") => {
                self.seen.max_tokens = self.seen.max_tokens.or_else(|| lenient_tokens(raw));
            }
            (Dialect::Chat, "max_completion_tokens") | (Dialect::Resp, "max_output_tokens") => {
                self.seen.max_tokens = lenient_tokens(raw).or(self.seen.max_tokens);
            }
            (Dialect::Gem, "generationConfig" | "generation_config") => {
                json::visit(raw, |key, raw| {
                    if matches!(key, "maxOutputTokens" | "max_output_tokens") {
                        self.seen.max_tokens = lenient_tokens(raw);
                    }
                });
            }
            (Dialect::Chat | Dialect::Resp | Dialect::Anth | Dialect::Gem, _) => {}
        }
    }

    fn finish(self) -> Peek {
        let mut seen = self.seen;
        seen.input_instead_of_messages =
            self.dialect == Dialect::Chat && self.input_array && seen.turns.is_none();
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Dialect; 3] = [Dialect::Chat, Dialect::Resp, Dialect::Anth];

    #[test]
    fn t003_escaped_model_key_is_the_model() {
        let body = br#"{"mod\u0065l":"a"}"#;
        let seen = peek(Dialect::Chat, body).unwrap();
        let model = seen.require_model().unwrap();
        assert_eq!(model.value, "a");
        assert_eq!(&body[model.range.clone()], b"\"a\"");
    }

    #[test]
    fn t004_duplicate_routing_keys_are_refused() {
        for key in GUARDED {
            let body = format!(r#"{{"{key}":"a","x":1,"{key}":"b"}}"#);
            let error = peek(Dialect::Chat, body.as_bytes()).unwrap_err();
            assert_eq!(error, PeekError::DuplicateKey(key));
            assert_eq!(error.param(), Some(key));
        }
        let escaped = br#"{"model":"a","mod\u0065l":"b"}"#;
        assert_eq!(peek(Dialect::Chat, escaped), Err(PeekError::DuplicateKey("model")));
        peek(Dialect::Chat, br#"{"x":1,"x":2,"model":"a"}"#).unwrap();
    }

    #[test]
    fn t005_byte_order_mark_is_accepted_and_removed() {
        let body = Bytes::from_static(b"\xef\xbb\xbf{\"model\":\"a\"}");
        peek(Dialect::Chat, &body).unwrap().require_model().unwrap();
        assert_eq!(strip_bom(body), Bytes::from_static(b"{\"model\":\"a\"}"));
        assert_eq!(strip_bom(Bytes::from_static(b"{}")), Bytes::from_static(b"{}"));
    }

    #[test]
    fn t006_bodies_that_are_no_single_object_are_refused() {
        let deep = |n: usize| format!(r#"{{"model":"a","x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        let strings = format!(r#"{{"model":"a","x":"{}"}}"#, "[{".repeat(400));
        let cases: [(Vec<u8>, Option<&str>); 13] = [
            (b"{\"model\":\"a\"} x".to_vec(), Some("invalid_json")),
            (b"{\"model\":\"a\"}{}".to_vec(), Some("invalid_json")),
            (b"[1]".to_vec(), Some("invalid_json")),
            (b"\"x\"".to_vec(), Some("invalid_json")),
            (b"null".to_vec(), Some("invalid_json")),
            (b"".to_vec(), Some("invalid_json")),
            (b"{\"model\":\"a\"".to_vec(), Some("invalid_json")),
            (b"{\"model\":\"a\",}".to_vec(), Some("invalid_json")),
            (b"{\"model\":\"a\",\"x\":\"\xff\"}".to_vec(), Some("invalid_json")),
            (deep(128).into_bytes(), Some("invalid_json")),
            (deep(127).into_bytes(), Some("invalid_json")),
            (deep(126).into_bytes(), None),
            (strings.into_bytes(), None),
        ];
        for (body, want) in cases {
            let got = peek(Dialect::Chat, &body).err().and_then(|e| e.code());
            assert_eq!(got, want, "{}", String::from_utf8_lossy(&body));
        }
        assert_eq!(peek(Dialect::Chat, b"[1]"), Err(PeekError::NotObject));
    }

    #[test]
    fn t006_model_must_be_a_string_that_is_not_blank() {
        for body in [
            r#"{"model":5}"#,
            r#"{"model":" "}"#,
            r#"{"model":""}"#,
            r#"{"model":null}"#,
            r#"{"x":1}"#,
            r#"{"model":["a"]}"#,
        ] {
            let seen = peek(Dialect::Chat, body.as_bytes()).unwrap();
            let error = seen.require_model().unwrap_err();
            assert_eq!((error.param(), error.code()), (Some("model"), None), "{body}");
        }
        assert_eq!(peek(Dialect::Chat, br#"{"model":"\ud800"}"#), Err(PeekError::NoModel));
    }

    #[test]
    fn t015_only_true_streams() {
        for dialect in BOTH {
            for (stream, want) in [
                (r#""stream":null,"#, false),
                (r#""stream":"true","#, false),
                (r#""stream":1,"#, false),
                (r#""stream":false,"#, false),
                ("", false),
                (r#""stream":true,"#, true),
            ] {
                let body = format!(r#"{{{stream}"model":"a"}}"#);
                assert_eq!(peek(dialect, body.as_bytes()).unwrap().stream, want, "{body}");
            }
        }
    }

    #[test]
    fn chat_needs_messages_but_takes_a_responses_body() {
        for (body, want) in [
            (r#"{"model":"a"}"#, false),
            (r#"{"model":"a","messages":[]}"#, false),
            (r#"{"model":"a","messages":"hi"}"#, false),
            (r#"{"model":"a","messages":[1]}"#, true),
            (r#"{"model":"a","input":[1]}"#, true),
        ] {
            let seen = peek(Dialect::Chat, body.as_bytes()).unwrap();
            assert_eq!(seen.require_turns(Dialect::Chat).is_ok(), want, "{body}");
        }
        let seen = peek(Dialect::Chat, br#"{"input":[1]}"#).unwrap();
        assert!(seen.input_instead_of_messages);
        let seen = peek(Dialect::Chat, br#"{"input":[1],"messages":[1]}"#).unwrap();
        assert!(!seen.input_instead_of_messages);
    }

    #[test]
    fn output_cap_is_found_under_each_name() {
        for (dialect, body, want) in [
            (Dialect::Chat, r#"{"max_tokens":5,"max_completion_tokens":7}"#, Some(7)),
            (Dialect::Chat, r#"{"max_completion_tokens":7,"max_tokens":5}"#, Some(7)),
            (Dialect::Chat, r#"{"max_tokens":5}"#, Some(5)),
            (Dialect::Anth, r#"{"max_tokens":1.0}"#, Some(1)),
            (Dialect::Resp, r#"{"max_output_tokens":9}"#, Some(9)),
            (Dialect::Gem, r#"{"generationConfig":{"maxOutputTokens":3}}"#, Some(3)),
            (Dialect::Gem, r#"{"max_tokens":3}"#, None),
        ] {
            assert_eq!(peek(dialect, body.as_bytes()).unwrap().max_tokens, want, "{body}");
        }
    }

    #[test]
    fn affinity_fields_are_read() {
        let body = br#"{"model":"a","input":"x","prompt_cache_key":"k","previous_response_id":"r",
            "conversation":{"id":"c"},"session_id":"s","metadata":{"a":1}}"#;
        let seen = peek(Dialect::Resp, body).unwrap();
        assert_eq!(seen.prompt_cache_key.as_deref(), Some("k"));
        assert_eq!(seen.previous_response_id.as_deref(), Some("r"));
        assert_eq!(seen.conversation.as_deref(), Some("c"));
        assert_eq!(seen.session_id.as_deref(), Some("s"));
        assert_eq!(&body[seen.metadata.unwrap()], br#"{"a":1}"#);
        let seen = peek(Dialect::Resp, br#"{"conversation_id":"i","conversation":"c"}"#).unwrap();
        assert_eq!(seen.conversation.as_deref(), Some("c"));
    }
}
