//! Requests around a Gemini body (translation §1.3, providers §3.3, §3.4).

use std::borrow::Cow;
use std::ops::ControlFlow;

use bytes::Bytes;
use memchr::memmem;
use sha2::{Digest, Sha256};

use super::makes_images;
use crate::edit::{BodyEdit, SplicedBody, apply_edits};
use crate::json;
use crate::peek::{PeekError, checked_text, json_error};
use crate::translate::{Envelope, Target};

/// Puts a Gemini request into the envelope of the target. A body that comes in an envelope already loses
/// that one. Members of the request that are not the envelope's keep their bytes.
///
/// # Errors
/// A [`PeekError`] when the body is not a JSON object.
pub fn wrap(body: &Bytes, target: &Target) -> Result<SplicedBody, PeekError> {
    let request = unwrap_request(body).unwrap_or_else(|| body.clone());
    let request = apply_edits(&request, &edits(target))?;
    Ok(request.between(head(target), "}"))
}

/// What becomes of members of the request itself.
fn edits(target: &Target) -> Vec<BodyEdit> {
    let mut edits = vec![remove("model")];
    let conversation = target.conversation.as_deref();
    if target.envelope != Envelope::Antigravity {
        edits.extend(conversation.map(|id| set("session_id", id)));
        return edits;
    }
    edits.extend(conversation.map(|id| set("sessionId", &session_id(id))));
    edits.extend(["safetySettings", "safety_settings"].map(remove));
    if !target.is_code_assist_claude() {
        for key in ["generationConfig", "generation_config"] {
            for member in ["maxOutputTokens", "max_output_tokens"] {
                edits.push(BodyEdit::RemoveMember { key: key.into(), member: member.into() });
            }
        }
    }
    edits
}

fn remove(key: &'static str) -> BodyEdit {
    BodyEdit::Remove { key: key.into() }
}

fn set(key: &'static str, text: &str) -> BodyEdit {
    BodyEdit::Set { key: key.into(), json: json::quote(text) }
}

/// Everything before the request.
fn head(target: &Target) -> String {
    let ids = &target.ids;
    let mut head = String::from("{");
    let mut member = |key: &str, value: &str| {
        head.push_str(&format!("\"{key}\":{},", json::quote(value)));
    };
    if target.envelope != Envelope::Antigravity {
        member("model", &target.model);
        ids.project.iter().for_each(|id| member("project", id));
        ids.request.iter().for_each(|id| member("user_prompt_id", id));
    } else {
        ids.project.iter().for_each(|id| member("project", id));
        member("model", &target.model);
        member("userAgent", "antigravity");
        let images = makes_images(&target.model);
        member("requestType", if images { "image_gen" } else { "agent" });
        let request_id = ids.request.as_deref().map(|id| match images {
            true => format!("image_gen/{}/{id}/12", ids.sent_ms),
            false => format!("agent-{id}"),
        });
        request_id.iter().for_each(|id| member("requestId", id));
    }
    head.push_str("\"request\":");
    head
}

/// The conversation as Antigravity numbers it: a minus sign and 63 bits of a hash.
fn session_id(conversation: &str) -> String {
    let sum = Sha256::digest(conversation.as_bytes());
    let head = sum.iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    format!("-{}", head & (u64::MAX >> 1))
}

/// The Gemini request inside an envelope; `None` when the body is in none.
pub fn unwrap_request(body: &Bytes) -> Option<Bytes> {
    let text = checked_text(body).ok()?;
    let offset = body.len().saturating_sub(text.len());
    let inner = json::range_in(text, inner_request(text)?);
    Some(body.slice(inner.start.saturating_add(offset)..inner.end.saturating_add(offset)))
}

/// The request inside the text of an envelope.
pub(crate) fn inner_request(text: &str) -> Option<&str> {
    let (mut inner, mut bare) = (None, false);
    let whole = json::visit(text, |key, raw| match key {
        "request" => inner = Some(raw).filter(|raw| json::is_object(raw)),
        "contents" => bare = true,
        _ => {}
    });
    inner.filter(|_| whole && !bare)
}

/// Whether a request of Gemini's own dialect must be read and written anew for this target, instead of
/// being put into the envelope as it is.
///
/// Claude behind Antigravity takes calls, schemas and reasoning in another form, and image models take
/// nothing but text. Antigravity takes no reasoning back from Gemini.
pub(crate) fn needs_translation(body: &[u8], target: &Target) -> bool {
    target.is_code_assist_claude()
        || (target.envelope == Envelope::Antigravity
            && (makes_images(&target.model) || holds_thoughts(body)))
}

/// Whether `"thought": true` stands anywhere in the body. Text of the conversation that looks like it has
/// its quotes escaped.
fn holds_thoughts(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"thought\"";
    memmem::find_iter(body, KEY).any(|at| {
        let rest = body.get(at.saturating_add(KEY.len())..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        value.starts_with(b"true")
    })
}

/// A request to count tokens: nothing but the model and the contents are taken. `body` is one of Gemini's
/// own, with `contents` at its top or in `generateContentRequest`.
///
/// # Errors
/// A [`PeekError`] when the body is not a JSON object.
pub fn count(body: &[u8], model: &str) -> Result<Vec<u8>, PeekError> {
    let text = checked_text(body)?;
    json::each_member(text, |_| ControlFlow::Continue(())).map_err(|error| json_error(&error))?;
    let request = inner_request(text).unwrap_or(text);
    let nested = ["generateContentRequest", "generate_content_request"];
    let nested = nested.iter().find_map(|key| json::member(request, key));
    let contents = json::member(nested.unwrap_or(request), "contents").unwrap_or("[]");
    let model: Cow<'_, str> = match model.starts_with("models/") {
        true => model.into(),
        false => format!("models/{model}").into(),
    };
    let model = json::quote(&model);
    Ok(format!("{{\"request\":{{\"model\":{model},\"contents\":{contents}}}}}").into_bytes())
}
