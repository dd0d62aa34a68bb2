//! Gemini chunks: each is a fragment of a `GenerateContentResponse` (translation §4.2).

use super::observer::Observer;
use crate::{Dialect, json, usage};

impl Observer {
    pub(super) fn gem(&mut self, data: &[u8]) {
        let text = json::lossy(data);
        if !self.gem_object(&text, data) {
            self.bad();
        }
    }

    fn gem_object(&mut self, text: &str, data: &[u8]) -> bool {
        let (mut id, mut model, mut counted) = (None, None, None);
        let (mut candidates, mut blocked) = (None, None);
        let (mut error, mut wrapped) = (false, None);
        let whole = json::visit(text, |key, raw| match key {
            "responseId" | "response_id" => id = Some(raw),
            "modelVersion" | "model_version" => model = Some(raw),
            "usageMetadata" | "usage_metadata" => counted = usage::decode_full(Dialect::Gem, raw),
            "candidates" => candidates = Some(raw),
            "promptFeedback" | "prompt_feedback" => {
                blocked = json::member(raw, "blockReason")
                    .or_else(|| json::member(raw, "block_reason"))
                    .and_then(json::text);
            }
            "error" => error = json::is_object(raw) || json::text(raw).is_some(),
            "response" => wrapped = Some(raw),
            _ => {}
        });
        if !whole {
            return false;
        }
        self.good();
        if let Some(inner) = wrapped.filter(|raw| candidates.is_none() && json::is_object(raw)) {
            return self.gem_object(inner, data);
        }
        self.name(id, model);
        if let Some(candidates) = candidates {
            json::visit_elements(candidates, |candidate| self.candidate(candidate));
        }
        if blocked.is_some() {
            self.finish(blocked);
        }
        if let Some(decoded) = counted {
            self.usage(decoded);
        }
        if error {
            self.fail_event(data);
        }
        true
    }

    fn candidate(&mut self, candidate: &str) {
        let mut reason = None;
        json::visit(candidate, |key, raw| match key {
            "content" => {
                if let Some(parts) = json::member(raw, "parts") {
                    json::visit_elements(parts, |part| {
                        if let Some(bytes) = part_content(part) {
                            self.content(bytes);
                        }
                    });
                }
            }
            "finishReason" | "finish_reason" => reason = json::text(raw),
            _ => {}
        });
        // A second reason is ignored, but the stream is read on: usage may follow.
        if reason.is_some() && !self.finished {
            self.finish(reason);
        }
    }
}

/// How much content a part holds; empty text without anything else is none.
pub(crate) fn part_content(part: &str) -> Option<usize> {
    let mut content = None;
    json::visit(part, |key, raw| match key {
        "thought" | "thoughtSignature" | "thought_signature" | "partMetadata" => {}
        "text" => {
            if !json::is_blank(raw) {
                content = Some(raw.len().saturating_sub(2));
            }
        }
        _ => {
            if raw != "null" {
                content = content.or(Some(raw.len()));
            }
        }
    });
    content
}
