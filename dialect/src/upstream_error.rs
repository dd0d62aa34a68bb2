//! Reads the error body of an upstream, whatever its shape (translation §3.4).

use serde_json::Value;

use crate::error::ErrorKind;
use crate::json;

/// Larger error bodies are not parsed as a tree.
const PARSE_LIMIT: usize = 64 * 1024;
/// Longer messages are cut.
const MESSAGE_LIMIT: usize = 4096;
/// How often a message may hold another error body as text.
const NESTING: usize = 3;

/// What an upstream said about a failure.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct UpstreamErrorBody {
    /// The text for people, unwrapped from gateways that nest bodies.
    pub message: Option<String>,
    /// `error.type`, or `__type` of AWS.
    pub error_type: Option<String>,
    /// `error.code`, numbers as text.
    pub code: Option<String>,
    /// `error.status`, numbers as text.
    pub status: Option<String>,
    /// `error.param`.
    pub param: Option<String>,
    /// `error.details` of Google, or `error.metadata` of OpenRouter.
    pub details: Option<Value>,
    /// The body as a tree; null when it is no JSON or larger than 64 KiB.
    pub raw: Value,
    /// Whether the body is an HTML page.
    pub is_html: bool,
    /// The page's title.
    pub html_title: Option<String>,
}

/// Reads an error body; never fails, in the worst case it is all text.
///
/// # Examples
/// ```
/// use ninerouter_dialect::parse_error_body;
/// let body = br#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#;
/// let seen = parse_error_body(429, Some("application/json"), body);
/// assert_eq!(seen.message.as_deref(), Some("slow down"));
/// ```
pub fn parse_error_body(status: u16, content_type: Option<&str>, body: &[u8]) -> UpstreamErrorBody {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let mut seen = UpstreamErrorBody::default();
    if body.is_empty() {
        seen.message = Some(reason(status).to_owned());
        return seen;
    }
    if looks_like_html(content_type, body) {
        seen.is_html = true;
        seen.html_title = html_title(body);
        let title = seen.html_title.as_ref().map(|t| format!(": {t}")).unwrap_or_default();
        seen.message = Some(format!("upstream returned HTML (status {status}){title}"));
        return seen;
    }
    match tree(sse_payload(body).unwrap_or(body)) {
        Some(value) => seen.fill(&value, NESTING, Some(value.clone())),
        None => seen.message = Some(cut(&json::lossy(body))),
    }
    if seen.message.is_none() {
        seen.message = Some(seen.code.clone().unwrap_or_else(|| reason(status).to_owned()));
    }
    seen
}

impl UpstreamErrorBody {
    /// The kind of the failure: explicit names first, the status second, the text last.
    pub fn kind(&self, status: Option<u16>) -> ErrorKind {
        let named = self.names().find_map(specific_kind);
        let kind = named
            .or_else(|| status.and_then(status_kind))
            .or_else(|| self.numeric_status().and_then(status_kind))
            .or_else(|| self.names().find_map(general_kind));
        match kind {
            None => self.message_kind().unwrap_or(ErrorKind::BadGateway),
            // "Invalid request" is what providers say to nearly everything: the text may know more.
            Some(ErrorKind::InvalidRequest | ErrorKind::TooLarge) => self
                .message_kind()
                .filter(|kind| *kind == ErrorKind::ContextLength)
                .or(kind)
                .unwrap_or(ErrorKind::InvalidRequest),
            Some(kind) => kind,
        }
    }

    /// The status that an error inside a 200 answer stands for (REL-UP-4), if it says so.
    pub fn status_hint(&self) -> Option<u16> {
        self.numeric_status().or_else(|| {
            let kind = self
                .names()
                .find_map(specific_kind)
                .or_else(|| self.names().find_map(general_kind))
                .or_else(|| self.message_kind())?;
            Some(match kind {
                ErrorKind::Overloaded => 529,
                other => other.http_status(),
            })
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        // The code is the most specific of the three.
        [&self.code, &self.status, &self.error_type].into_iter().filter_map(|name| name.as_deref())
    }

    fn numeric_status(&self) -> Option<u16> {
        [&self.code, &self.status]
            .into_iter()
            .filter_map(|name| name.as_deref()?.parse::<u16>().ok())
            .find(|status| (400..600).contains(status))
    }

    fn message_kind(&self) -> Option<ErrorKind> {
        let message = self.message.as_deref()?.to_ascii_lowercase();
        let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
        if says(&[
            "context_length_exceeded",
            "maximum context length",
            "prompt is too long",
            "input token count exceeds",
            "exceeds the context window",
            "input is too long",
        ]) {
            Some(ErrorKind::ContextLength)
        } else if says(&["insufficient_quota"]) {
            Some(ErrorKind::Quota)
        } else if says(&["credit balance is too low", "billing"]) {
            Some(ErrorKind::Billing)
        } else if says(&["rate limit", "too many requests"]) {
            Some(ErrorKind::RateLimit)
        } else if says(&["overloaded", "capacity"]) {
            Some(ErrorKind::Overloaded)
        } else if says(&["invalid_grant", "token has expired"]) {
            Some(ErrorKind::Auth)
        } else {
            None
        }
    }

    /// Takes what `value` says; deeper levels are closer to the cause and win.
    fn fill(&mut self, value: &Value, levels: usize, raw: Option<Value>) {
        if let Some(raw) = raw {
            self.raw = raw;
        }
        // Gemini stream endpoints answer with an array.
        let value = match value {
            Value::Array(items) => items.first().unwrap_or(value),
            other => other,
        };
        let inner = [value.get("error"), value.pointer("/response/error"), value.get("detail")]
            .into_iter()
            .flatten()
            .find(|inner| inner.is_object())
            .unwrap_or(value);
        let is_top = std::ptr::eq(inner, value);
        let own_type = text_of(inner.get("type")).filter(|t| !is_top || is_error_name(t));
        set(&mut self.error_type, own_type.or_else(|| aws_type(value)));
        set(&mut self.code, text_of(inner.get("code")).or_else(|| mini_max_code(value)));
        set(&mut self.status, text_of(inner.get("status")).filter(|s| s != "failed"));
        set(&mut self.param, text_of(inner.get("param")));
        if let Some(details) = inner.get("details").or_else(|| inner.get("metadata")) {
            self.details = Some(details.clone());
        }
        let Some(message) = message_of(value, inner) else { return };
        if self.code.is_none()
            && let Some(Value::String(name)) = value.get("error")
            && is_error_name(name)
        {
            self.code = Some(name.clone());
        }
        match inner_body(&message).filter(|_| levels > 1) {
            Some(nested) => self.fill(&nested, levels.saturating_sub(1), None),
            None => self.message = Some(cut(&message)),
        }
        if let Some(raw) = inner.pointer("/metadata/raw").and_then(Value::as_str)
            && !raw.trim().is_empty()
        {
            // OpenRouter says "Provider returned error" and keeps the cause in here.
            let mut cause = Self::default();
            match inner_body(raw).filter(|_| levels > 1) {
                Some(nested) => cause.fill(&nested, levels.saturating_sub(1), None),
                None => cause.message = Some(cut(raw)),
            }
            let outer = self.message.take().unwrap_or_default();
            self.message = Some(cut(&format!("{outer}: {}", cause.message.unwrap_or_default())));
        }
    }
}

fn set(slot: &mut Option<String>, value: Option<String>) {
    if value.is_some() {
        *slot = value;
    }
}

/// The tree of a small body; of a large one only its `error` member.
fn tree(body: &[u8]) -> Option<Value> {
    if body.len() <= PARSE_LIMIT {
        let text = json::lossy(body);
        return serde_json::from_str(&text).ok().filter(|v: &Value| v.is_object() || v.is_array());
    }
    let text = std::str::from_utf8(body).ok()?;
    let error = json::member(text, "error").filter(|raw| raw.len() <= PARSE_LIMIT)?;
    let error: Value = serde_json::from_str(error).ok()?;
    Some(serde_json::json!({ "error": error }))
}

/// The first payload of a body that is an event stream (gateways send errors so).
fn sse_payload(body: &[u8]) -> Option<&[u8]> {
    if !body.starts_with(b"event:") && !body.starts_with(b"data:") {
        return None;
    }
    body.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"data:")).map(<[u8]>::trim_ascii)
}

fn message_of(value: &Value, inner: &Value) -> Option<String> {
    let described =
        || ["error_description", "message", "msg"].into_iter().find_map(|k| text_of(value.get(k)));
    if let Some(message) = text_of(inner.get("message")) {
        return Some(message);
    }
    if let Some(Value::String(error)) = value.get("error") {
        return Some(match described() {
            Some(more) if is_error_name(error) => format!("{error}: {more}"),
            _ => error.clone(),
        });
    }
    described()
        .or_else(|| text_of(inner.get("msg")))
        .or_else(|| detail_of(value.get("detail")?))
        .or_else(|| text_of(value.pointer("/errors/0/message")))
        .or_else(|| text_of(value.pointer("/errors/0")))
        .or_else(|| text_of(value.get("Message")))
        .or_else(|| text_of(value.pointer("/base_resp/status_msg")))
        .or_else(|| aws_type(value))
        .or_else(|| inner.get("message").filter(|m| m.is_object()).map(Value::to_string))
}

/// FastAPI: a string, or an array of `{loc, msg}`.
fn detail_of(detail: &Value) -> Option<String> {
    let Value::Array(items) = detail else { return text_of(Some(detail)) };
    let lines: Vec<String> = items
        .iter()
        .filter_map(|item| {
            let message = text_of(item.get("msg")).or_else(|| text_of(Some(item)))?;
            let path: Vec<String> = item
                .get("loc")
                .and_then(Value::as_array)
                .map(|loc| loc.iter().filter_map(|part| text_of(Some(part))).collect())
                .unwrap_or_default();
            Some(if path.is_empty() { message } else { format!("{}: {message}", path.join(".")) })
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn aws_type(value: &Value) -> Option<String> {
    let name = text_of(value.get("__type"))?;
    Some(name.rsplit('#').next().unwrap_or(&name).to_owned())
}

fn mini_max_code(value: &Value) -> Option<String> {
    text_of(value.pointer("/base_resp/status_code")).filter(|code| code != "0")
}

/// Strings and numbers as text; blank strings and all else are nothing.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => (!text.trim().is_empty()).then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a string is a name (`invalid_grant`) rather than a sentence.
fn is_error_name(text: &str) -> bool {
    !text.contains(char::is_whitespace) && !matches!(text, "error" | "object" | "response.failed")
}

/// An error body that a gateway put into the message of its own.
fn inner_body(message: &str) -> Option<Value> {
    let message = message.trim();
    if !message.starts_with(['{', '[']) || message.len() > PARSE_LIMIT {
        return None;
    }
    serde_json::from_str(message).ok().filter(|nested: &Value| {
        let object = nested.get(0).unwrap_or(nested);
        ["error", "message", "detail"].iter().any(|key| object.get(key).is_some())
    })
}

fn cut(text: &str) -> String {
    let text = text.trim();
    text.get(..text.floor_char_boundary(MESSAGE_LIMIT)).unwrap_or(text).to_owned()
}

/// Whether a body is an HTML page, by its label or its first bytes.
pub(crate) fn looks_like_html(content_type: Option<&str>, body: &[u8]) -> bool {
    if !body.starts_with(b"<") {
        return false;
    }
    if content_type.is_some_and(|t| t.to_ascii_lowercase().contains("html")) {
        return true;
    }
    let head = body.get(..1024).unwrap_or(body).to_ascii_lowercase();
    ["<!doctype html", "<html", "<head", "<body", "<title", "<center", "<h1"]
        .iter()
        .any(|tag| memchr::memmem::find(&head, tag.as_bytes()).is_some())
}

/// The title of an HTML page.
pub(crate) fn html_title(body: &[u8]) -> Option<String> {
    let page = body.get(..PARSE_LIMIT).unwrap_or(body);
    let lower = page.to_ascii_lowercase();
    let tag = memchr::memmem::find(&lower, b"<title")?;
    let open = tag.saturating_add(memchr::memchr(b'>', lower.get(tag..)?)?).saturating_add(1);
    let len = memchr::memmem::find(lower.get(open..)?, b"</title")?;
    let title = json::lossy(page.get(open..open.saturating_add(len))?)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let title: String = title.chars().take(200).collect();
    (!title.is_empty()).then_some(title)
}

/// Names that settle the kind on their own.
fn specific_kind(name: &str) -> Option<ErrorKind> {
    Some(match name.to_ascii_lowercase().as_str() {
        "context_length_exceeded"
        | "model_context_window_exceeded"
        | "content_length_exceeds_threshold" => ErrorKind::ContextLength,
        "insufficient_quota"
        | "quota_exceeded"
        | "usage_limit_reached"
        | "monthly_request_count"
        | "overage_request_limit_exceeded"
        | "servicequotaexceededexception"
        | "exceeded_current_quota_error" => ErrorKind::Quota,
        "billing_error"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "payment_required"
        | "insufficient_balance" => ErrorKind::Billing,
        "authentication_error"
        | "invalid_api_key"
        | "unauthenticated"
        | "unauthorized"
        | "token_expired"
        | "invalid_grant"
        | "expiredtokenexception"
        | "unrecognizedclientexception"
        | "invalid_authentication_error" => ErrorKind::Auth,
        "permission_error"
        | "permission_denied"
        | "access_denied"
        | "forbidden"
        | "accessdeniedexception" => ErrorKind::Permission,
        "not_found_error"
        | "model_not_found"
        | "not_found"
        | "deploymentnotfound"
        | "resourcenotfoundexception" => ErrorKind::NotFound,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "rate_limit_reached_error"
        | "resource_exhausted"
        | "too_many_requests"
        | "throttlingexception" => ErrorKind::RateLimit,
        "overloaded_error"
        | "overloaded"
        | "engine_overloaded_error"
        | "server_is_overloaded"
        | "service_unavailable_error"
        | "insufficient_model_capacity"
        | "slow_down" => ErrorKind::Overloaded,
        "request_too_large" => ErrorKind::TooLarge,
        "timeout_error" | "deadline_exceeded" | "gateway_timeout" | "modeltimeoutexception" => {
            ErrorKind::GatewayTimeout
        }
        _ => return None,
    })
}

/// Names that providers use for nearly everything.
fn general_kind(name: &str) -> Option<ErrorKind> {
    Some(match name.to_ascii_lowercase().as_str() {
        "invalid_request_error"
        | "invalid_argument"
        | "bad_request"
        | "invalid_prompt"
        | "content_filter"
        | "invalid_request"
        | "failed_precondition"
        | "validationexception"
        | "out_of_range" => ErrorKind::InvalidRequest,
        "server_error"
        | "api_error"
        | "internal"
        | "internal_error"
        | "internal_server_error"
        | "internalserverexception"
        | "unknown" => ErrorKind::Server,
        "unavailable" | "service_unavailable" | "serviceunavailableexception" => {
            ErrorKind::Unavailable
        }
        "bad_gateway" | "modelstreamerrorexception" | "modelerrorexception" => {
            ErrorKind::BadGateway
        }
        _ => return None,
    })
}

fn status_kind(status: u16) -> Option<ErrorKind> {
    Some(match status {
        401 => ErrorKind::Auth,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        404 | 410 => ErrorKind::NotFound,
        405 => ErrorKind::MethodNotAllowed,
        408 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        413 => ErrorKind::TooLarge,
        422 => ErrorKind::Unprocessable,
        429 => ErrorKind::RateLimit,
        499 => ErrorKind::ClientClosed,
        400..=498 => ErrorKind::InvalidRequest,
        500 => ErrorKind::Server,
        503 => ErrorKind::Unavailable,
        504 => ErrorKind::GatewayTimeout,
        529 => ErrorKind::Overloaded,
        501..=599 => ErrorKind::BadGateway,
        _ => return None,
    })
}

/// The standard reason text of a status, for an empty body.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "bad request",
        401 => "unauthorized",
        402 => "payment required",
        403 => "forbidden",
        404 => "not found",
        405 => "method not allowed",
        408 => "request timeout",
        409 => "conflict",
        413 => "content too large",
        415 => "unsupported media type",
        422 => "unprocessable content",
        429 => "too many requests",
        500 => "internal server error",
        502 => "bad gateway",
        503 => "service unavailable",
        504 => "gateway timeout",
        529 => "overloaded",
        _ => "upstream error without a text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> String {
        parse_error_body(400, None, body.as_bytes()).message.unwrap()
    }

    #[test]
    fn t127_messages_are_found_in_every_known_shape() {
        for (body, want) in [
            (r#"{"error":{"message":"a","type":"t"}}"#, "a"),
            (r#"{"error":"a b"}"#, "a b"),
            (r#"{"error":"invalid_grant","error_description":"gone"}"#, "invalid_grant: gone"),
            (r#"{"message":"a"}"#, "a"),
            (r#"{"detail":"a"}"#, "a"),
            (
                r#"{"detail":[{"loc":["body","x",0],"msg":"missing"},{"msg":"odd"}]}"#,
                "body.x.0: missing; odd",
            ),
            (r#"{"errors":[{"message":"a"}]}"#, "a"),
            (r#"{"Message":"a"}"#, "a"),
            (r#"{"__type":"com.amazon#ThrottlingException"}"#, "ThrottlingException"),
            (r#"[{"error":{"code":429,"message":"a","status":"RESOURCE_EXHAUSTED"}}]"#, "a"),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"a"}}"#, "a"),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"c","message":"a"}}}"#,
                "a",
            ),
            (r#"{"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#, "login fail"),
            (
                r#"{"error":{"message":"{\"error\":{\"message\":\"{\\\"error\\\":{\\\"message\\\":\\\"deep\\\"}}\"}}"}}"#,
                "deep",
            ),
            (
                r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"slow\"}}"}}}"#,
                "Provider returned error: slow",
            ),
            ("plain text", "plain text"),
            ("event: error\ndata: {\"error\":{\"message\":\"a\"}}\n\n", "a"),
            ("", "bad request"),
            ("{}", "bad request"),
        ] {
            assert_eq!(message(body), want, "{body}");
        }
    }

    #[test]
    fn t127_html_is_named_with_its_title() {
        let page = b"<!DOCTYPE html>\n<html><head><TITLE>502\n Bad  Gateway</TITLE></head></html>";
        let seen = parse_error_body(502, Some("text/html"), page);
        assert!(seen.is_html);
        assert_eq!(seen.html_title.as_deref(), Some("502 Bad Gateway"));
        assert_eq!(
            seen.message.as_deref(),
            Some("upstream returned HTML (status 502): 502 Bad Gateway")
        );
    }

    #[test]
    fn fields_are_taken_over() {
        let body = br#"{"error":{"message":"m","type":"t","code":42,"param":"p","status":"S",
            "details":[{"@type":"x","retryDelay":"34.4s"}]}}"#;
        let seen = parse_error_body(429, None, body);
        assert_eq!(seen.error_type.as_deref(), Some("t"));
        assert_eq!(seen.code.as_deref(), Some("42"));
        assert_eq!(seen.status.as_deref(), Some("S"));
        assert_eq!(seen.param.as_deref(), Some("p"));
        let delay = seen.details.as_ref().and_then(|d| d.pointer("/0/retryDelay"));
        assert_eq!(delay.and_then(Value::as_str), Some("34.4s"));
        assert_eq!(seen.raw["error"]["code"], 42);
    }

    #[test]
    fn kind_comes_from_names_then_status_then_text() {
        for (status, body, want) in [
            (
                Some(400),
                r#"{"error":{"code":"context_length_exceeded","message":"m"}}"#,
                ErrorKind::ContextLength,
            ),
            (
                Some(400),
                r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#,
                ErrorKind::ContextLength,
            ),
            (
                Some(429),
                r#"{"error":{"type":"insufficient_quota","message":"m"}}"#,
                ErrorKind::Quota,
            ),
            (Some(429), r#"{"error":{"message":"m"}}"#, ErrorKind::RateLimit),
            (
                Some(404),
                r#"{"error":{"type":"invalid_request_error","code":"model_not_found","message":"m"}}"#,
                ErrorKind::NotFound,
            ),
            (None, r#"{"error":{"type":"overloaded_error","message":"m"}}"#, ErrorKind::Overloaded),
            (None, r#"{"error":{"code":503,"message":"m"}}"#, ErrorKind::Unavailable),
            (None, r#"{"error":{"message":"Your credit balance is too low"}}"#, ErrorKind::Billing),
            (None, r#"{"error":{"message":"whatever"}}"#, ErrorKind::BadGateway),
        ] {
            let seen = parse_error_body(status.unwrap_or(200), None, body.as_bytes());
            assert_eq!(seen.kind(status), want, "{body}");
        }
    }

    #[test]
    fn an_error_inside_a_200_names_its_own_status() {
        for (body, want) in [
            (r#"{"error":{"code":429,"message":"m"}}"#, Some(429)),
            (r#"{"error":{"status":400,"code":"content_filter","message":"m"}}"#, Some(400)),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, Some(529)),
            (r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#, Some(500)),
            (
                r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"m"}}"#,
                Some(429),
            ),
            (r#"{"type":"error","code":"rate_limit_exceeded","message":"m"}"#, Some(429)),
            (r#"{"error":{"message":"something"}}"#, None),
        ] {
            let seen = parse_error_body(200, None, body.as_bytes());
            assert_eq!(seen.status_hint(), want, "{body}");
        }
    }

    #[test]
    fn large_bodies_are_read_by_their_error_member_only() {
        let pad = "x".repeat(PARSE_LIMIT);
        let body = format!(r#"{{"pad":"{pad}","error":{{"message":"m"}}}}"#);
        assert_eq!(message(&body), "m");
        assert_eq!(message(&pad).len(), MESSAGE_LIMIT);
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(message(&deep).len(), MESSAGE_LIMIT);
    }
}
