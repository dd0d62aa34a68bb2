//! Judges a 2xx body that is no stream: answer, error in disguise, empty, or no JSON at all.

use crate::tap::{TapSummary, delta_content, part_content};
use crate::upstream_error::{UpstreamErrorBody, html_title, looks_like_html, parse_error_body};
use crate::{Dialect, json, usage};

/// What a 2xx body is worth (accounts §6.4, REL-UP-4).
#[derive(Clone, PartialEq, Debug)]
pub enum BodyVerdict {
    /// An answer.
    Ok(TapSummary),
    /// An error body under a success status; it is classified by what it says.
    Error(Box<UpstreamErrorBody>),
    /// No content, no calls, no reasoning: the next account or target may do better.
    Empty,
    /// Not a JSON object or array.
    NotJson {
        /// Whether it is an HTML page.
        html: bool,
        /// The page's title.
        title: Option<String>,
    },
}

/// What the first bytes of a 2xx answer to a stream request look like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StreamBody {
    /// An event stream.
    Sse,
    /// A JSON object where a stream was promised.
    JsonObject,
    /// A JSON array: Gemini's other framing, or an error of a Google endpoint.
    JsonArray,
    /// An HTML or XML page.
    Markup,
    /// Only white space so far.
    Undecided,
}

/// Tells what came in answer to a stream request, by its first byte (translation §4.1). With
/// content type `text/event-stream` a line that starts with `{` is still an event: trust the
/// label first.
pub fn sniff_stream_body(first_bytes: &[u8]) -> StreamBody {
    let bytes = first_bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first_bytes);
    match bytes.trim_ascii_start().first() {
        None => StreamBody::Undecided,
        Some(b'{') => StreamBody::JsonObject,
        Some(b'[') => StreamBody::JsonArray,
        Some(b'<') => StreamBody::Markup,
        Some(_) => StreamBody::Sse,
    }
}

/// Judges a whole 2xx body.
///
/// # Examples
/// ```
/// use ninerouter_dialect::{BodyVerdict, Dialect, judge_body};
/// assert_eq!(judge_body(Dialect::Chat, b"[]"), BodyVerdict::Empty);
/// let body = br#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
/// assert!(matches!(judge_body(Dialect::Chat, body), BodyVerdict::Ok(_)));
/// ```
pub fn judge_body(dialect: Dialect, body: &[u8]) -> BodyVerdict {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    if body.is_empty() || body == b"null" {
        return BodyVerdict::Empty;
    }
    if looks_like_html(None, body) {
        return BodyVerdict::NotJson { html: true, title: html_title(body) };
    }
    let text = json::lossy(body);
    let mut look = Look::new(dialect);
    let whole = if json::is_array(&text) {
        json::visit_elements(&text, |element| {
            look.object(element);
        })
    } else {
        json::is_object(&text) && look.object(&text)
    };
    if !whole {
        return BodyVerdict::NotJson { html: false, title: None };
    }
    look.verdict(body)
}

/// What was found so far; an array of chunks (Gemini) is looked at element by element.
struct Look {
    dialect: Dialect,
    summary: TapSummary,
    content: bool,
    /// The end is the request's own doing (length, refusal, filter, pause): no fault to route around.
    excused: bool,
    failed: bool,
    /// The dialect's main member is there.
    answer: bool,
    describes_error: bool,
}

impl Look {
    fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            summary: TapSummary::default(),
            content: false,
            excused: false,
            failed: false,
            answer: false,
            describes_error: false,
        }
    }

    fn verdict(self, body: &[u8]) -> BodyVerdict {
        if self.failed || (!self.answer && self.describes_error) {
            return BodyVerdict::Error(Box::new(parse_error_body(200, None, body)));
        }
        let reasoned = self.summary.usage.is_some_and(|usage| usage.reasoning > 0);
        if self.content || self.excused || reasoned {
            BodyVerdict::Ok(self.summary)
        } else {
            BodyVerdict::Empty
        }
    }

    fn object(&mut self, text: &str) -> bool {
        let dialect = self.dialect;
        let mut wrapped = None;
        let whole = json::visit(text, |key, raw| {
            self.shared(key, raw);
            match dialect {
                Dialect::Chat => self.chat(key, raw),
                Dialect::Resp => self.resp(key, raw),
                Dialect::Anth => self.anth(key, raw),
                Dialect::Gem => self.gem(key, raw),
            }
            if dialect == Dialect::Gem && key == "response" && json::is_object(raw) {
                wrapped = Some(raw);
            }
        });
        if let Some(inner) = wrapped.filter(|_| !self.answer) {
            return self.object(inner);
        }
        whole
    }

    fn shared(&mut self, key: &str, raw: &str) {
        match key {
            "error" => {
                let says = json::is_object(raw) && !json::is_blank(raw);
                self.failed |= says || json::text(raw).is_some();
            }
            "type" | "object" => self.failed |= raw == "\"error\"",
            "message" | "detail" | "msg" | "errors" | "base_resp" => {
                self.describes_error |= !json::is_blank(raw);
            }
            "id" | "responseId" => {
                let id = json::text(raw);
                self.summary.response_id = self.summary.response_id.take().or(id);
            }
            "model" | "modelVersion" => {
                let model = json::text(raw);
                self.summary.model = self.summary.model.take().or(model);
            }
            "usage" | "usageMetadata" => self.count(raw),
            _ => {}
        }
    }

    fn count(&mut self, raw: &str) {
        if let Some(counted) = usage::decode_full(self.dialect, raw) {
            self.summary.usage = Some(counted.tokens);
            self.summary.cost_usd = counted.cost_usd;
        }
    }

    fn found(&mut self, bytes: usize) {
        self.content = true;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.summary.content_bytes = self.summary.content_bytes.saturating_add(bytes);
    }

    fn finish(&mut self, raw: &str, excuses: &[&str]) {
        let Some(reason) = json::text(raw) else { return };
        self.excused |= excuses.contains(&reason.as_str());
        self.summary.finish_reason = Some(reason);
    }

    fn chat(&mut self, key: &str, raw: &str) {
        if key != "choices" {
            return;
        }
        self.answer = json::is_array(raw);
        json::visit_elements(raw, |choice| {
            json::visit(choice, |key, raw| match key {
                "message" | "delta" => {
                    if let Some(bytes) = delta_content(raw.as_bytes()) {
                        self.found(bytes);
                    }
                }
                "text" if !json::is_blank(raw) => self.found(raw.len()),
                "finish_reason" => {
                    self.finish(raw, &["length", "content_filter", "max_tokens", "refusal"]);
                }
                "error" => self.failed |= json::is_object(raw) && !json::is_blank(raw),
                "usage" => self.count(raw),
                _ => {}
            });
        });
    }

    fn resp(&mut self, key: &str, raw: &str) {
        match key {
            "output" => {
                self.answer = json::is_array(raw);
                json::visit_elements(raw, |item| {
                    if let Some(bytes) = item_content(item) {
                        self.found(bytes);
                    }
                });
            }
            "status" => {
                self.finish(raw, &["incomplete", "queued", "in_progress"]);
                self.failed |= matches!(raw, "\"failed\"" | "\"cancelled\"");
            }
            "incomplete_details" => {
                if let Some(reason) = json::member(raw, "reason").and_then(json::text) {
                    self.summary.finish_reason = Some(reason);
                }
            }
            _ => {}
        }
    }

    fn anth(&mut self, key: &str, raw: &str) {
        match key {
            "content" => {
                self.answer = json::is_array(raw);
                json::visit_elements(raw, |block| {
                    let (mut bytes, mut text_block) = (0, false);
                    json::visit(block, |key, raw| match key {
                        "type" => text_block = raw == "\"text\"",
                        "text" | "thinking" | "input" => {
                            bytes = raw.len().saturating_sub(2);
                        }
                        _ => {}
                    });
                    if bytes > 0 || !text_block {
                        self.found(bytes);
                    }
                });
            }
            "stop_reason" => self.finish(
                raw,
                &["refusal", "max_tokens", "pause_turn", "model_context_window_exceeded"],
            ),
            _ => {}
        }
    }

    fn gem(&mut self, key: &str, raw: &str) {
        match key {
            "candidates" => {
                self.answer = json::is_array(raw);
                json::visit_elements(raw, |candidate| self.candidate(candidate));
            }
            "promptFeedback" | "prompt_feedback" => {
                let blocked = json::member(raw, "blockReason").and_then(json::text);
                if blocked.is_some() {
                    self.answer = true;
                    self.excused = true;
                    self.summary.finish_reason = blocked;
                }
            }
            "usage_metadata" => self.count(raw),
            _ => {}
        }
    }

    fn candidate(&mut self, candidate: &str) {
        json::visit(candidate, |key, raw| match key {
            "content" => {
                if let Some(parts) = json::member(raw, "parts") {
                    json::visit_elements(parts, |part| {
                        if let Some(bytes) = part_content(part) {
                            self.found(bytes);
                        }
                    });
                }
            }
            "finishReason" | "finish_reason" => {
                self.finish(raw, &GEM_EXCUSES);
            }
            _ => {}
        });
    }
}

const GEM_EXCUSES: [&str; 11] = [
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
];

/// How much content an output item holds: a message counts by its parts, all else counts whole.
fn item_content(item: &str) -> Option<usize> {
    let kind = json::member(item, "type").and_then(json::string);
    if kind.is_some_and(|kind| kind != "message") {
        return Some(item.len());
    }
    let mut content = None;
    json::visit_elements(json::member(item, "content")?, |part| {
        json::visit(part, |key, raw| {
            if matches!(key, "text" | "refusal" | "image_url" | "data") && !json::is_blank(raw) {
                content = Some(content.unwrap_or(0_usize).saturating_add(raw.len()));
            }
        });
    });
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Is {
        Fine,
        Error,
        Empty,
        NotJson,
    }

    fn judged(dialect: Dialect, body: &str) -> Is {
        match judge_body(dialect, body.as_bytes()) {
            BodyVerdict::Ok(_) => Is::Fine,
            BodyVerdict::Error(_) => Is::Error,
            BodyVerdict::Empty => Is::Empty,
            BodyVerdict::NotJson { .. } => Is::NotJson,
        }
    }

    const ALL: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];

    #[test]
    fn f16_to_f18_bodies_that_are_no_answer_in_any_dialect() {
        for dialect in ALL {
            for (body, want) in [
                ("", Is::Empty),
                (" \n", Is::Empty),
                ("null", Is::Empty),
                ("[]", Is::Empty),
                ("{}", Is::Empty),
                ("\"text\"", Is::NotJson),
                ("42", Is::NotJson),
                ("ok", Is::NotJson),
                ("{\"a\":", Is::NotJson),
                ("{\"a\":1} x", Is::NotJson),
                ("<!doctype html><title>x</title>", Is::NotJson),
                (r#"{"error":{"message":"m","code":429}}"#, Is::Error),
                (r#"{"error":"m"}"#, Is::Error),
                (r#"[{"error":{"code":503,"message":"m"}}]"#, Is::Error),
                (
                    r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
                    Is::Error,
                ),
                (r#"{"detail":"not allowed"}"#, Is::Error),
                (r#"{"code":500,"msg":"404 NOT_FOUND","success":false}"#, Is::Error),
                (r#"{"error":null}"#, Is::Empty),
            ] {
                assert_eq!(judged(dialect, body), want, "{dialect:?} {body}");
            }
        }
        let page = judge_body(Dialect::Chat, b"<html><title>Oops</title></html>");
        assert_eq!(page, BodyVerdict::NotJson { html: true, title: Some("Oops".into()) });
    }

    #[test]
    fn answers_without_content_are_empty_unless_the_request_explains_them() {
        let chat = |message: &str, reason: &str| {
            format!(r#"{{"choices":[{{"message":{message},"finish_reason":"{reason}"}}]}}"#)
        };
        for (dialect, body, want) in [
            (Dialect::Chat, chat(r#"{"role":"assistant","content":"hi"}"#, "stop"), Is::Fine),
            (Dialect::Chat, chat(r#"{"role":"assistant","content":""}"#, "stop"), Is::Empty),
            (Dialect::Chat, chat(r#"{"role":"assistant","content":null}"#, "stop"), Is::Empty),
            (Dialect::Chat, chat(r#"{"content":null,"refusal":"no"}"#, "stop"), Is::Fine),
            (Dialect::Chat, chat(r#"{"content":"","reasoning_content":"hm"}"#, "stop"), Is::Fine),
            (
                Dialect::Chat,
                chat(r#"{"content":null,"tool_calls":[{"id":"a"}]}"#, "tool_calls"),
                Is::Fine,
            ),
            (Dialect::Chat, chat(r#"{"content":""}"#, "length"), Is::Fine),
            (Dialect::Chat, r#"{"choices":[]}"#.into(), Is::Empty),
            (
                Dialect::Chat,
                r#"{"choices":null,"base_resp":{"status_code":1004,"status_msg":"x"}}"#.into(),
                Is::Error,
            ),
            (
                Dialect::Chat,
                r#"{"choices":[{"error":{"code":502,"message":"x"}}]}"#.into(),
                Is::Error,
            ),
            (
                Dialect::Anth,
                r#"{"type":"message","content":[],"stop_reason":"end_turn"}"#.into(),
                Is::Empty,
            ),
            (
                Dialect::Anth,
                r#"{"type":"message","content":[],"stop_reason":"refusal"}"#.into(),
                Is::Fine,
            ),
            (
                Dialect::Anth,
                r#"{"content":[{"type":"text","text":""}],"stop_reason":"end_turn"}"#.into(),
                Is::Empty,
            ),
            (
                Dialect::Anth,
                r#"{"content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}"#.into(),
                Is::Fine,
            ),
            (Dialect::Resp, r#"{"error":null,"status":"completed","output":[]}"#.into(), Is::Empty),
            (
                Dialect::Resp,
                r#"{"error":{"code":"server_error","message":"x"},"status":"failed","output":[]}"#
                    .into(),
                Is::Error,
            ),
            (Dialect::Resp, r#"{"status":"incomplete","output":[]}"#.into(), Is::Fine),
            (
                Dialect::Resp,
                r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]}]}"#
                    .into(),
                Is::Fine,
            ),
            (
                Dialect::Resp,
                r#"{"output":[{"type":"message","content":[{"type":"output_text","text":""}]}]}"#
                    .into(),
                Is::Empty,
            ),
            (Dialect::Resp, r#"{"output":[{"type":"function_call","name":"f"}]}"#.into(), Is::Fine),
            (
                Dialect::Gem,
                r#"{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}]}"#
                    .into(),
                Is::Fine,
            ),
            (
                Dialect::Gem,
                r#"{"candidates":[{"content":{"role":"model"},"finishReason":"STOP"}]}"#.into(),
                Is::Empty,
            ),
            (
                Dialect::Gem,
                r#"{"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS"}]}"#
                    .into(),
                Is::Fine,
            ),
            (Dialect::Gem, r#"{"promptFeedback":{"blockReason":"MODEL_ARMOR"}}"#.into(), Is::Fine),
            (
                Dialect::Gem,
                r#"[{"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}]"#.into(),
                Is::Fine,
            ),
            (
                Dialect::Gem,
                r#"{"response":{"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}}"#.into(),
                Is::Fine,
            ),
        ] {
            assert_eq!(judged(dialect, &body), want, "{dialect:?} {body}");
        }
    }

    #[test]
    fn summary_holds_what_a_usage_row_needs() {
        let body = br#"{"id":"c1","model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":3,"completion_tokens":2,"cost":0.5}}"#;
        let BodyVerdict::Ok(seen) = judge_body(Dialect::Chat, body) else { panic!() };
        assert_eq!(seen.response_id.as_deref(), Some("c1"));
        assert_eq!(seen.model.as_deref(), Some("m"));
        assert_eq!(seen.finish_reason.as_deref(), Some("stop"));
        assert_eq!(seen.usage.map(|u| (u.input, u.output)), Some((3, 2)));
        assert_eq!(seen.cost_usd, Some(0.5));
        assert_eq!(seen.content_bytes, 2);
    }

    #[test]
    fn first_byte_tells_what_came() {
        for (bytes, want) in [
            (&b""[..], StreamBody::Undecided),
            (b"\r\n ", StreamBody::Undecided),
            (b"data: x", StreamBody::Sse),
            (b": c", StreamBody::Sse),
            (b"\xef\xbb\xbf {", StreamBody::JsonObject),
            (b"\n[", StreamBody::JsonArray),
            (b"<html", StreamBody::Markup),
        ] {
            assert_eq!(sniff_stream_body(bytes), want, "{bytes:?}");
        }
    }
}
