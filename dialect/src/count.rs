//! Estimates how many tokens a request is, without asking anybody (translation §2.12).

use crate::image_size::image_size;
use crate::peek::{PeekError, checked_text, json_error};
use crate::{Dialect, json};

/// An image or file whose size is unknown.
const MEDIA_TOKENS: u64 = 1200;
/// The most that an image counts.
const IMAGE_CAP: u64 = 1600;
/// Pixels per token of an image.
const PIXELS_PER_TOKEN: u64 = 750;
const PDF_BYTES_PER_PAGE: u64 = 50_000;
const PDF_TOKENS_PER_PAGE: u64 = 2000;
const PER_MESSAGE: u64 = 4;
const PER_REQUEST: u64 = 3;

/// Estimates the input tokens of a request body, in the shape that the dialect's own counting
/// endpoint takes (for `gem` also wrapped in `generateContentRequest`).
///
/// # Errors
/// A [`PeekError`] when the body is not a JSON object.
///
/// # Examples
/// ```
/// use ninerouter_dialect::{Dialect, estimate_tokens};
/// let body = br#"{"messages":[{"role":"user","content":"hello world, this is text"}]}"#;
/// assert_eq!(estimate_tokens(Dialect::Anth, body), Ok(7 + 4 + 3));
/// ```
pub fn estimate_tokens(dialect: Dialect, body: &[u8]) -> Result<u64, PeekError> {
    let text = checked_text(body)?;
    let mut tally = Tally::default();
    json::each_member(text, |m| {
        tally.member(dialect, &m.key, m.value);
        std::ops::ControlFlow::Continue(())
    })
    .map_err(|error| json_error(&error))?;
    Ok(tally.tokens())
}

#[derive(Default)]
struct Tally {
    /// UTF-8 bytes of text outside CJK runs.
    bytes: u64,
    /// CJK characters.
    cjk: u64,
    /// Tokens of messages and media.
    fixed: u64,
}

impl Tally {
    fn tokens(&self) -> u64 {
        // bytes / 3.6 and characters / 1.5, rounded up.
        let text = self.bytes.saturating_mul(10).div_ceil(36);
        let cjk = self.cjk.saturating_mul(2).div_ceil(3);
        text.saturating_add(cjk).saturating_add(self.fixed).saturating_add(PER_REQUEST)
    }

    fn member(&mut self, dialect: Dialect, key: &str, raw: &str) {
        match key {
            "tools" | "functions" => self.text(raw),
            "system" | "instructions" | "systemInstruction" | "system_instruction" => {
                self.content(raw);
            }
            "generateContentRequest" | "generate_content_request" if dialect == Dialect::Gem => {
                json::visit(raw, |key, raw| self.member(dialect, key, raw));
            }
            key if key == dialect.turns_key() => self.turns(raw),
            _ => {}
        }
    }

    fn turns(&mut self, raw: &str) {
        if raw.starts_with('"') {
            self.message();
            self.content(raw);
            return;
        }
        json::visit_elements(raw, |turn| {
            self.message();
            self.content(turn);
        });
    }

    fn message(&mut self) {
        self.fixed = self.fixed.saturating_add(PER_MESSAGE);
    }

    /// A string, a part, or an array of either.
    fn content(&mut self, raw: &str) {
        if let Some(text) = json::string(raw) {
            self.text(&text);
        } else if json::is_array(raw) {
            json::visit_elements(raw, |part| self.content(part));
        } else if json::is_object(raw) {
            self.part(raw);
        }
    }

    /// One message, block, item or part of any dialect; thinking is not counted.
    fn part(&mut self, raw: &str) {
        let mut thinking = false;
        json::visit(raw, |key, raw| match key {
            "type" => {
                thinking |=
                    matches!(raw, "\"thinking\"" | "\"redacted_thinking\"" | "\"reasoning\"");
            }
            "thought" => thinking |= raw == "true",
            _ => {}
        });
        if thinking {
            return;
        }
        json::visit(raw, |key, raw| match key {
            "text" | "refusal" | "content" | "parts" | "output" => self.content(raw),
            "name"
            | "arguments"
            | "input"
            | "tool_calls"
            | "function_call"
            | "functionCall"
            | "functionResponse"
            | "executableCode"
            | "codeExecutionResult"
            | "function_response" => {
                self.text(raw);
            }
            "source" | "inlineData" | "inline_data" => self.media(raw),
            "image_url" => {
                let url = if json::is_object(raw) { json::member(raw, "url") } else { Some(raw) };
                self.url(url.and_then(json::string).as_deref().unwrap_or_default());
            }
            "file" => {
                let data = json::member(raw, "file_data").and_then(json::string);
                self.url(data.as_deref().unwrap_or_default());
            }
            "file_data" => self.url(json::string(raw).as_deref().unwrap_or_default()),
            "fileData" | "file_data_uri" | "input_audio" => self.fixed(MEDIA_TOKENS),
            _ => {}
        });
    }

    /// A source with its type beside the data: base64, text, or a reference.
    fn media(&mut self, raw: &str) {
        let (mut mime, mut data, mut nested) = (None, None, None);
        json::visit(raw, |key, raw| match key {
            "media_type" | "mimeType" | "mime_type" => mime = json::string(raw),
            "data" => data = json::string(raw),
            "content" => nested = Some(raw),
            _ => {}
        });
        match (data, nested) {
            (Some(data), _) => self.data(mime.as_deref().unwrap_or_default(), &data),
            (None, Some(content)) => self.content(content),
            (None, None) => self.fixed(MEDIA_TOKENS),
        }
    }

    /// A data URL, or a reference of unknown size.
    fn url(&mut self, url: &str) {
        let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
        match inline {
            Some((mime, data)) => self.data(mime, data),
            None => self.fixed(MEDIA_TOKENS),
        }
    }

    fn data(&mut self, mime: &str, data: &str) {
        if mime.starts_with("text/") && !mime.contains("base64") {
            self.text(data);
        } else if mime.starts_with("application/pdf") {
            let bytes = length(data).saturating_mul(3) / 4;
            let pages = bytes.div_ceil(PDF_BYTES_PER_PAGE).max(1);
            self.fixed(pages.saturating_mul(PDF_TOKENS_PER_PAGE));
        } else {
            let tokens = image_size(data).map_or(MEDIA_TOKENS, |(width, height)| {
                (width.saturating_mul(height) / PIXELS_PER_TOKEN).clamp(1, IMAGE_CAP)
            });
            self.fixed(tokens);
        }
    }

    fn fixed(&mut self, tokens: u64) {
        self.fixed = self.fixed.saturating_add(tokens);
    }

    fn text(&mut self, text: &str) {
        if text.is_ascii() {
            self.bytes = self.bytes.saturating_add(length(text));
            return;
        }
        for character in text.chars() {
            if is_cjk(character) {
                self.cjk = self.cjk.saturating_add(1);
            } else {
                let bytes = u64::try_from(character.len_utf8()).unwrap_or(1);
                self.bytes = self.bytes.saturating_add(bytes);
            }
        }
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// Scripts in which a character is about two thirds of a token.
fn is_cjk(character: char) -> bool {
    matches!(u32::from(character),
        0x1100..=0x11ff | 0x2e80..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff
        | 0xff00..=0xffef | 0x20000..=0x3ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(dialect: Dialect, body: &str) -> u64 {
        estimate_tokens(dialect, body.as_bytes()).unwrap()
    }

    #[test]
    fn text_counts_alike_in_every_dialect() {
        let text = "x".repeat(36);
        for (dialect, body) in [
            (
                Dialect::Anth,
                format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#),
            ),
            (
                Dialect::Anth,
                format!(
                    r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"{text}"}}]}}]}}"#
                ),
            ),
            (Dialect::Chat, format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#)),
            (Dialect::Resp, format!(r#"{{"input":"{text}"}}"#)),
            (
                Dialect::Resp,
                format!(
                    r#"{{"input":[{{"role":"user","content":[{{"type":"input_text","text":"{text}"}}]}}]}}"#
                ),
            ),
            (Dialect::Gem, format!(r#"{{"contents":[{{"parts":[{{"text":"{text}"}}]}}]}}"#)),
            (
                Dialect::Gem,
                format!(
                    r#"{{"generateContentRequest":{{"model":"models/m","contents":[{{"parts":[{{"text":"{text}"}}]}}]}}}}"#
                ),
            ),
        ] {
            assert_eq!(count(dialect, &body), 10 + 4 + 3, "{body}");
        }
    }

    #[test]
    fn e013_system_and_tools_count() {
        let plain = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
        let system = format!(
            r#"{{"system":"{}","messages":[{{"role":"user","content":"hi"}}]}}"#,
            "s".repeat(360)
        );
        let tool = format!(
            r#"{{"tools":[{{"name":"f","description":"{}"}}],"messages":[{{"role":"user","content":"hi"}}]}}"#,
            "d".repeat(4096)
        );
        let base = count(Dialect::Anth, plain);
        assert_eq!(count(Dialect::Anth, &system), base + 100);
        assert!(count(Dialect::Anth, &tool) > base + 1100);
    }

    #[test]
    fn tool_traffic_counts_and_thinking_does_not() {
        let base = count(Dialect::Anth, r#"{"messages":[{"role":"user","content":[]}]}"#);
        for (block, adds) in [
            (r#"{"type":"thinking","thinking":"long long long long","signature":"abc"}"#, false),
            (r#"{"type":"redacted_thinking","data":"abcdefghijkl"}"#, false),
            (r#"{"type":"tool_use","id":"t","name":"f","input":{"a":"b"}}"#, true),
            (r#"{"type":"tool_result","tool_use_id":"t","content":"result"}"#, true),
            (
                r#"{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"result"}]}"#,
                true,
            ),
        ] {
            let body = format!(r#"{{"messages":[{{"role":"user","content":[{block}]}}]}}"#);
            assert_eq!(count(Dialect::Anth, &body) > base, adds, "{block}");
        }
        let thought = r#"{"contents":[{"parts":[{"text":"thinking text","thought":true}]}]}"#;
        assert_eq!(count(Dialect::Gem, thought), 4 + 3);
    }

    #[test]
    fn cjk_counts_by_character() {
        let body = r#"{"messages":[{"role":"user","content":"你好世界你好"}]}"#;
        assert_eq!(count(Dialect::Chat, body), 4 + 4 + 3);
    }

    #[test]
    fn media_counts_by_size() {
        let pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        let anth = |source: &str| {
            format!(
                r#"{{"messages":[{{"role":"user","content":[{{"type":"image","source":{source}}}]}}]}}"#
            )
        };
        let base64 = |mime: &str, data: &str| {
            anth(&format!(r#"{{"type":"base64","media_type":"{mime}","data":"{data}"}}"#))
        };
        for (dialect, body, want) in [
            (Dialect::Anth, base64("image/png", pixel), 1),
            (Dialect::Anth, base64("image/png", "AAAA"), 1200),
            (Dialect::Anth, anth(r#"{"type":"url","url":"https://x/y.png"}"#), 1200),
            (Dialect::Anth, base64("application/pdf", "AAAA"), 2000),
            (Dialect::Anth, base64("application/pdf", &"A".repeat(100_000)), 4000),
            (
                Dialect::Anth,
                anth(r#"{"type":"text","media_type":"text/plain","data":"xxxxxxxxxxxxxxxxxx"}"#),
                5,
            ),
            (
                Dialect::Chat,
                format!(
                    r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{pixel}"}}}}]}}]}}"#
                ),
                1,
            ),
            (
                Dialect::Gem,
                format!(
                    r#"{{"contents":[{{"parts":[{{"inlineData":{{"mimeType":"image/png","data":"{pixel}"}}}}]}}]}}"#
                ),
                1,
            ),
            (
                Dialect::Resp,
                format!(
                    r#"{{"input":[{{"role":"user","content":[{{"type":"input_image","image_url":"data:image/png;base64,{pixel}"}}]}}]}}"#
                ),
                1,
            ),
        ] {
            assert_eq!(count(dialect, &body), want + 4 + 3, "{body}");
        }
    }

    #[test]
    fn only_a_json_object_can_be_counted() {
        assert_eq!(estimate_tokens(Dialect::Anth, b"[]"), Err(PeekError::NotObject));
        assert_eq!(estimate_tokens(Dialect::Anth, b"{}"), Ok(3));
    }
}
