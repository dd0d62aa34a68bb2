//! The facts of a failed attempt that error rules match on: status, structured codes, the provider's own message.

use std::borrow::Cow;

use ninerouter_dialect::UpstreamErrorBody;
use serde_json::Value;

use crate::clock::UnixMs;
use crate::provider::family::ErrorFamily;
use crate::redact::redact_text;
use crate::routing::classify::{Failure, TransportFailure};

/// What rules see of a failure.
pub(crate) struct Facts<'a> {
    pub(crate) provider: &'a str,
    pub(crate) family: ErrorFamily,
    /// HTTP status; for an error inside a 2xx answer the status it stands for, when it says so.
    pub(crate) status: Option<u16>,
    /// Status of the response head.
    pub(crate) http_status: Option<u16>,
    /// Every structured code, type, status and reason of the body.
    pub(crate) codes: Vec<Cow<'a, str>>,
    /// The provider's own message.
    pub(crate) message: &'a str,
    /// The message in lower case, without quoted parts.
    pub(crate) text: String,
    pub(crate) body: Option<&'a UpstreamErrorBody>,
    pub(crate) transport: Option<TransportFailure>,
    pub(crate) canonical: &'a str,
    pub(crate) families: &'a [String],
    pub(crate) oauth: bool,
    pub(crate) now: UnixMs,
    headers: &'a (dyn Fn(&str) -> Option<&'a str> + 'a),
    models: [&'a str; 2],
}

impl<'a> Facts<'a> {
    pub(crate) fn read(failure: &Failure<'a>) -> Self {
        let codes = failure.body.map(codes).unwrap_or_default();
        let message = failure.body.and_then(message).unwrap_or("");
        let requested = failure.requested_model;
        let bare = requested.split_once('/').map_or(requested, |(_, model)| model);
        Self {
            provider: failure.provider,
            family: failure.family,
            status: effective_status(failure, &codes),
            http_status: failure.status,
            codes,
            message,
            text: unquoted(message).to_lowercase(),
            body: failure.body,
            transport: failure.transport,
            canonical: failure.canonical,
            families: failure.families,
            oauth: failure.oauth,
            now: failure.now,
            headers: failure.headers,
            models: [failure.upstream_model, bare],
        }
    }

    /// First value of a response header.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        (self.headers)(name)
    }

    /// True when the answer carries this structured code; `x*` matches by prefix.
    pub(crate) fn has_code(&self, wanted: &str) -> bool {
        let matches = |code: &str| match wanted.strip_suffix('*') {
            Some(prefix) => {
                code.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
            }
            None => code.eq_ignore_ascii_case(wanted),
        };
        self.codes.iter().any(|code| matches(code))
    }

    /// True when the provider's own message says `pattern` (lower case; `~` stands for up to 40 other bytes).
    pub(crate) fn says(&self, pattern: &str) -> bool {
        says(&self.text, pattern)
    }

    /// True when the message names the model that was asked for.
    pub(crate) fn names_model(&self) -> bool {
        self.models.iter().any(|model| names(self.message, model))
    }

    /// The upstream's own code, for people and for the reply.
    pub(crate) fn main_code(&self) -> Option<&str> {
        let body = self.body?;
        let given = [&body.code, &body.error_type, &body.status];
        given
            .into_iter()
            .find_map(|code| code.as_deref())
            .or_else(|| self.codes.first().map(AsRef::as_ref))
    }

    /// The member of the error object, else of the body, with this name.
    pub(crate) fn field(&self, name: &str) -> Option<&'a Value> {
        let root = root(&self.body?.raw);
        objects(root).into_iter().find_map(|object| object.get(name)).filter(|v| !v.is_null())
    }

    /// A member as text; numbers are written out.
    pub(crate) fn field_text(&self, name: &str) -> Option<Cow<'a, str>> {
        text_of(self.field(name)?)
    }

    /// The entries of Google's `details`.
    pub(crate) fn details(&self) -> impl Iterator<Item = &'a Value> {
        let given = self.body.and_then(|body| body.details.as_ref());
        let found = given.or_else(|| self.field("details"));
        found.and_then(Value::as_array).into_iter().flatten()
    }
}

/// The upstream's message for logs and replies: redacted, at most 500 characters.
pub(crate) fn message_for_people(facts: &Facts<'_>) -> String {
    const LONGEST: usize = 500;
    let own: Cow<'_, str> =
        if facts.message.is_empty() { no_message(facts).into() } else { facts.message.into() };
    // Vendors echo keys and tokens in their errors (accounts §9.107).
    let clean = redact_text(&own);
    clean.chars().filter(|c| !c.is_control() || *c == '\n').take(LONGEST).collect()
}

fn no_message(facts: &Facts<'_>) -> String {
    if let Some(body) = facts.body.filter(|body| body.is_html) {
        let title = body.html_title.as_deref().unwrap_or("no title");
        let status = facts.http_status.map_or_else(String::new, |s| format!(" (status {s})"));
        return format!("upstream returned HTML{status}: {title}");
    }
    match (facts.transport, facts.status) {
        (Some(transport), _) => transport.describe().to_owned(),
        (None, Some(status)) => format!("upstream answered with status {status}"),
        (None, None) => "no answer from the upstream".to_owned(),
    }
}

impl TransportFailure {
    /// A short text for people, without addresses.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::ClientGone => "the client went away",
            Self::Dns => "the upstream's name did not resolve",
            Self::Connect => "could not connect to the upstream",
            Self::Tls => "the TLS handshake with the upstream failed",
            Self::ConnectTimeout => "no connection to the upstream in time",
            Self::SendStall => "the upstream stopped reading the request",
            Self::HeadTimeout => "no response from the upstream in time",
            Self::ContentTimeout => "no content from the upstream in time",
            Self::Reset => "the upstream closed the connection",
            Self::Protocol => "the upstream broke the protocol",
            Self::Truncated => "the upstream's answer ended early",
            Self::BadBody => "the upstream's answer could not be read",
            Self::Empty => "the upstream's answer was empty",
            Self::Proxy => "the outbound proxy could not be reached",
            Self::Blocked => "the outbound guard refused the destination",
        }
    }

    /// True when waiting for the upstream ended it.
    #[must_use]
    pub fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::ConnectTimeout | Self::SendStall | Self::HeadTimeout | Self::ContentTimeout
        )
    }
}

/// `pattern` within `text`: its parts, separated by `~`, in order and at most 40 bytes apart.
fn says(text: &str, pattern: &str) -> bool {
    const GAP: usize = 40;
    let mut parts = pattern.split('~');
    let Some(first) = parts.next() else { return false };
    let rest: Vec<&str> = parts.collect();
    text.match_indices(first).any(|(at, found)| {
        let mut from = at.saturating_add(found.len());
        rest.iter().all(|part| {
            let Some(tail) = text.get(from..) else { return false };
            match tail.find(part) {
                Some(gap) if gap <= GAP => {
                    from = from.saturating_add(gap).saturating_add(part.len());
                    true
                }
                Some(_) | None => false,
            }
        })
    })
}

/// True when `message` holds `model` as a word of its own, in any case.
fn names(message: &str, model: &str) -> bool {
    if model.len() < 2 {
        return false;
    }
    let message = message.to_ascii_lowercase();
    let model = model.to_ascii_lowercase();
    let inside = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    message.match_indices(&model).any(|(at, found)| {
        let before = message.get(..at).and_then(|s| s.chars().next_back());
        let after = message.get(at.saturating_add(found.len())..).and_then(|s| s.chars().next());
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

/// `message` without what stands in quotes: vendors quote the client's own words there, and those decide nothing.
fn unquoted(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut closing: Option<char> = None;
    let mut previous = ' ';
    let mut chars = message.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        match closing {
            // An apostrophe inside a word closes nothing.
            Some(end) if c == end && !(end == '\'' && next.is_alphanumeric()) => {
                closing = None;
                out.push(c);
            }
            Some(_) => {}
            None => {
                out.push(c);
                closing = opens(c, previous);
            }
        }
        previous = c;
    }
    // A quote that never closes was an apostrophe or a cut message: better too much text than none.
    if closing.is_some() { message.to_owned() } else { out }
}

fn opens(c: char, previous: char) -> Option<char> {
    match c {
        '"' => Some('"'),
        '`' => Some('`'),
        '“' => Some('”'),
        '\'' if !previous.is_alphanumeric() => Some('\''),
        _ => None,
    }
}

/// `[{"error":…}]`: Google's stream endpoints answer errors with an array.
fn root(raw: &Value) -> &Value {
    match raw {
        Value::Array(items) => items.first().unwrap_or(raw),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            raw
        }
    }
}

/// The objects that may carry codes, the most specific first.
fn objects(root: &Value) -> Vec<&Value> {
    let paths =
        ["/error", "/response/error", "/error/error", "/error/innererror", "/base_resp", ""];
    paths.iter().filter_map(|path| root.pointer(path)).filter(|v| v.is_object()).collect()
}

fn codes(body: &UpstreamErrorBody) -> Vec<Cow<'_, str>> {
    const KEYS: [&str; 9] = [
        "type",
        "code",
        "status",
        "reason",
        "errorCode",
        "error_code",
        "status_code",
        "__type",
        "limit_id",
    ];
    let root = root(&body.raw);
    let given = [&body.error_type, &body.code, &body.status];
    let mut codes: Vec<Cow<'_, str>> =
        given.into_iter().filter_map(|c| c.as_deref()).map(Cow::Borrowed).collect();
    for object in objects(root) {
        codes.extend(KEYS.iter().filter_map(|key| text_of(object.get(key)?)).map(after_hash));
    }
    if let Some(word) = root.get("error").and_then(Value::as_str).filter(|s| !s.contains(' ')) {
        codes.push(Cow::Borrowed(word));
    }
    let details = body.details.as_ref().or_else(|| root.pointer("/error/details"));
    for detail in details.and_then(Value::as_array).into_iter().flatten() {
        let found = [detail.get("reason"), detail.pointer("/debug/error")];
        codes.extend(found.into_iter().flatten().filter_map(text_of));
    }
    codes.retain(|code| !code.is_empty());
    codes
}

/// `com.amazon…#ThrottlingException` names its type after the hash.
fn after_hash(code: Cow<'_, str>) -> Cow<'_, str> {
    match code.rsplit_once('#') {
        Some((_, name)) => Cow::Owned(name.to_owned()),
        None => code,
    }
}

fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(s) => Some(Cow::Borrowed(s)),
        Value::Number(n) => Some(Cow::Owned(n.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn message(body: &UpstreamErrorBody) -> Option<&str> {
    let raw = root(&body.raw);
    let elsewhere = || {
        let paths = ["/base_resp/status_msg", "/msg", "/response/error/message"];
        paths.iter().find_map(|path| raw.pointer(path).and_then(Value::as_str))
    };
    body.message.as_deref().or_else(elsewhere)
}

/// The status rules look at. An error inside a 2xx answer (or inside a stream) is judged by what it says it is.
fn effective_status(failure: &Failure<'_>, codes: &[Cow<'_, str>]) -> Option<u16> {
    match failure.status {
        Some(status) if !(200..300).contains(&status) => Some(status),
        // An error event inside a stream has no status of its own: the head said 200.
        given => {
            let head = given.or(failure.body.map(|_| 200));
            codes.iter().find_map(|code| named_status(code)).or(head)
        }
    }
}

fn named_status(code: &str) -> Option<u16> {
    if let Ok(number) = code.parse::<u16>() {
        return (400..600).contains(&number).then_some(number);
    }
    let status = match code.to_ascii_lowercase().as_str() {
        "invalid_request_error" | "invalid_argument" | "failed_precondition" | "out_of_range" => {
            400
        }
        "authentication_error" | "invalid_api_key" | "unauthenticated" => 401,
        "billing_error" => 402,
        "permission_error" | "permission_denied" => 403,
        "not_found_error" | "not_found" => 404,
        "already_exists" | "aborted" => 409,
        "request_too_large" => 413,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "insufficient_quota"
        | "resource_exhausted" => 429,
        "api_error"
        | "server_error"
        | "internal_error"
        | "internal_server_error"
        | "internal"
        | "unknown"
        | "data_loss"
        | "cancelled" => 500,
        "unimplemented" => 501,
        "server_is_overloaded"
        | "service_unavailable"
        | "service_unavailable_error"
        | "unavailable" => 503,
        "timeout_error" | "deadline_exceeded" => 504,
        "overloaded_error" => 529,
        _ => return None,
    };
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_of_the_client_are_left_out() {
        let table = [
            ("text contains 'rate limit exceeded' here", "text contains '' here"),
            ("the \"quota\" word and `capacity`", "the \"\" word and ``"),
            ("it doesn't close", "it doesn't close"),
            ("Claude's limit, user's 'a b' end", "Claude's limit, user's '' end"),
            ("an 'unclosed quote", "an 'unclosed quote"),
            ("“fancy”", "“”"),
        ];
        for (message, want) in table {
            assert_eq!(unquoted(message), want);
        }
    }

    #[test]
    fn a_pattern_with_a_gap_matches_within_forty_bytes() {
        assert!(says("this exceeds the maximum number of tokens", "exceeds the maximum~token"));
        assert!(!says(
            "exceeds the maximum allowed size of a request body in this service, tokens",
            "exceeds the maximum~token"
        ));
        assert!(says("a b a c", "a~c"));
        assert!(!says("c a", "a~c"));
    }

    #[test]
    fn a_model_is_named_only_as_a_word_of_its_own() {
        assert!(names("The model `gpt-5` does not exist", "gpt-5"));
        assert!(names("model: GPT-5.", "gpt-5"));
        assert!(!names("The model gpt-5-mini is fine", "gpt-5"));
        assert!(!names("xgpt-5", "gpt-5"));
        assert!(!names("anything", ""));
    }
}
