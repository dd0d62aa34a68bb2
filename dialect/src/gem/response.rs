//! Whole answers: `GenerateContentResponse` in and out (translation §3.1).

use super::grounding::Grounding;
use super::logprobs;
use super::stream_in::StreamDecoder;
use super::stream_out::{blocks_the_prompt, image};
use super::wire_out::{Answer, Candidate, Content, Part};
use crate::ir::{self, Choice, Failure, Finish, MediaSource, Response, SigFamily, Signature, Str};
use crate::translate::data_url::audio_media_type;
use crate::translate::{Fold, ReplyPlan, Source, finish, ids};
use crate::{Dialect, json, usage};

/// Reads a whole answer. A body may also be the array of a stream's fragments.
///
/// # Errors
/// [`Failure::Upstream`] for an error body, [`Failure::Empty`] for one that holds nothing,
/// [`Failure::NotAnAnswer`] for one that is neither.
pub fn decode_response(body: &[u8], source: &Source) -> Result<Response, Failure> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    if body.is_empty() {
        return Err(Failure::Empty);
    }
    let not_an_answer = || Failure::NotAnAnswer("the body is no JSON object".into());
    let mut decoder = StreamDecoder::whole(source);
    let mut events = Vec::new();
    if body.starts_with(b"[") {
        let text = json::lossy(body);
        let mut odd = json::too_deep(body);
        let whole = json::visit_elements(if odd { "" } else { &text }, |element| {
            odd |= decoder.frame(element.as_bytes(), None, &mut events).is_err();
        });
        if odd || !whole {
            return Err(not_an_answer());
        }
    } else if decoder.frame(body, None, &mut events).is_err() {
        return Err(not_an_answer());
    }
    decoder.finish(&mut events);
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    fold.finish()
}

/// Writes a whole answer.
pub fn encode_response(response: &Response, plan: &ReplyPlan) -> Vec<u8> {
    let nothing = Choice::new(0);
    let choices: Vec<&Choice> = match response.choices.as_slice() {
        [] => vec![&nothing],
        choices => choices.iter().collect(),
    };
    let feedback = choices.iter().find_map(|choice| match (&choice.finish, &choice.details) {
        (Finish::ContentFilter, Some(details)) if choice.parts.is_empty() => {
            blocks_the_prompt(details).then_some(details)
        }
        _ => None,
    });
    let id = ids::response_id(Dialect::Gem, &response.id);
    let candidates = match feedback {
        Some(_) => Vec::new(),
        None => choices.iter().map(|choice| candidate(choice, plan)).collect(),
    };
    let answer = Answer {
        candidates,
        prompt_feedback: feedback,
        usage_metadata: response.usage.map(|usage| usage::encode(Dialect::Gem, &usage)),
        model_version: &plan.model,
        response_id: &id,
    };
    // Every key is a string: writing JSON to memory cannot fail.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn candidate<'a>(choice: &'a Choice, plan: &ReplyPlan) -> Candidate<'a> {
    let mut parts = Vec::with_capacity(choice.parts.len());
    let mut said = String::new();
    let mut grounding = Grounding::default();
    for part in &choice.parts {
        match part {
            ir::Part::Text(text) => {
                for citation in &text.citations {
                    grounding.add(citation, &text.text, said.len());
                }
                said.push_str(&text.text);
                let signature = own(text.signature.as_ref());
                if !text.text.is_empty() || signature.is_some() {
                    parts.push(Part::text(&*text.text).signed(signature));
                }
            }
            ir::Part::Refusal { text } => {
                said.push_str(text);
                parts.push(Part::text(&**text));
            }
            ir::Part::Thinking(thinking) if plan.shows_thinking => {
                let signature = own(thinking.signature.as_ref());
                if !thinking.text.is_empty() || signature.is_some() {
                    parts.push(Part::text(&*thinking.text).thought().signed(signature));
                }
            }
            ir::Part::ToolUse(call) => {
                let id = Some(&*call.id).filter(|id| !id.is_empty());
                let signature = own(call.signature.as_ref());
                parts.push(Part::call(id, &call.name, &call.kind, &call.input).signed(signature));
            }
            ir::Part::Image { source, signature, .. } => {
                parts.extend(image(source).map(|part| part.signed(own(signature.as_ref()))));
            }
            ir::Part::Audio { source: MediaSource::Base64 { data, .. }, format, .. } => {
                parts.push(Part::inline(sound_type(format, plan).to_string(), &**data));
            }
            ir::Part::ServerTool(call) if call.origin == Dialect::Gem => {
                parts.push(Part::Given(&call.input));
                parts.extend(call.result.as_ref().map(Part::Given));
            }
            ir::Part::Opaque { dialect: Dialect::Gem, raw } => parts.push(Part::Given(raw)),
            ir::Part::Thinking(_)
            | ir::Part::Redacted { .. }
            | ir::Part::Audio { .. }
            | ir::Part::ServerTool(_)
            | ir::Part::Opaque { .. }
            | ir::Part::Document { .. }
            | ir::Part::Video { .. }
            | ir::Part::ToolResult(_)
            | ir::Part::SystemNote { .. } => {}
        }
    }
    if parts.is_empty() {
        // Clients read the first part without looking.
        parts.push(Part::text(""));
    }
    let logprobs = &choice.logprobs;
    Candidate {
        content: Content { role: "model", parts },
        finish_reason: Some(finish::gem_word(&choice.finish)),
        index: choice.index,
        grounding_metadata: grounding.finish(&said),
        logprobs_result: (!logprobs.is_empty()).then(|| logprobs::encode(logprobs)),
    }
}

/// The media type of sound.
pub(super) fn sound_type(format: &str, plan: &ReplyPlan) -> Str {
    let asked = || plan.sound.as_deref().unwrap_or("wav");
    audio_media_type(if format.is_empty() { asked() } else { format })
}

/// A signature that Gemini itself made; others mean nothing to it.
fn own(signature: Option<&Signature>) -> Option<&Signature> {
    signature.filter(|signature| signature.family == SigFamily::Gemini)
}
