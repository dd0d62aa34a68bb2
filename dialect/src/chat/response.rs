//! Whole chat answers (translation §3.1).

use std::borrow::Cow;

use serde::Serialize;

use crate::Dialect;
use crate::ir::failure::answer_text;
use crate::ir::{
    self, CitationSpan, Failure, MediaSource, Part, RawJson, ToolInput, ToolKind, ToolUse,
};
use crate::translate::sound::wav_prefix;
use crate::translate::{BadFrame, Fold, ReplyPlan, Source, finish, ids, tier};
use crate::usage::ChatCounts;

use super::StreamDecoder;
use super::wire::{Annotation, Image, ToolCall};

/// Reads a whole answer.
///
/// # Errors
/// [`Failure::Upstream`] for an error under a success status, [`Failure::Empty`] for an answer without
/// anything in it, [`Failure::NotAnAnswer`] for what is no JSON.
pub fn decode_response(body: &[u8], source: &Source) -> Result<ir::Response, Failure> {
    let text = answer_text(Dialect::Chat, body)?;
    // A message has the members of a delta: the answer is read as a stream of one chunk.
    let mut decoder = StreamDecoder::new(source);
    let mut events = Vec::new();
    decoder
        .whole(text.as_bytes(), &mut events)
        .map_err(|BadFrame| Failure::NotAnAnswer("it is no JSON object".into()))?;
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    fold.finish()
}

#[derive(Serialize)]
struct Completion<'a> {
    id: Cow<'a, str>,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<ChatCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<&'a str>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Logprobs<'a> {
    content: &'a [RawJson],
    refusal: Option<()>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<Audio<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation<'a>>,
}

#[derive(Serialize)]
struct Audio<'a> {
    id: &'a str,
    data: Cow<'a, str>,
    transcript: &'a str,
    expires_at: u64,
}

/// How long a client may refer to an answer's sound by its id, seconds; where the source does not say.
const AUDIO_LIFE: u64 = 3600;

/// Writes a whole answer.
pub fn encode_response(response: &ir::Response, plan: &ReplyPlan) -> Vec<u8> {
    let created = response.created.unwrap_or(plan.created);
    let choice = |choice| encode_choice(choice, created, plan);
    let body = Completion {
        id: ids::response_id(Dialect::Chat, &response.id),
        object: "chat.completion",
        created,
        model: &plan.model,
        choices: response.choices.iter().map(choice).collect(),
        usage: response.usage.as_ref().map(ChatCounts::from),
        service_tier: response.service_tier.as_deref().and_then(tier::open_ai),
        system_fingerprint: response.fingerprint.as_deref(),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

fn encode_choice<'a>(choice: &'a ir::Choice, created: u64, plan: &ReplyPlan) -> Choice<'a> {
    let mut message = Message {
        role: "assistant",
        content: None,
        refusal: None,
        reasoning_content: None,
        tool_calls: Vec::new(),
        audio: None,
        images: Vec::new(),
        annotations: Vec::new(),
    };
    let mut characters = 0_usize;
    for part in &choice.parts {
        match part {
            Part::Text(text) => {
                let start = characters;
                characters = characters.saturating_add(text.text.chars().count());
                let span = CitationSpan { start, end: characters };
                let cited = text.citations.iter().filter_map(|c| Annotation::new(c, span));
                message.annotations.extend(cited);
                message.content.get_or_insert_default().push_str(&text.text);
            }
            Part::Thinking(thinking) if plan.shows_thinking && !thinking.text.is_empty() => {
                let reasoning = message.reasoning_content.get_or_insert_default();
                if !reasoning.is_empty() {
                    reasoning.push_str("\n\n");
                }
                reasoning.push_str(&thinking.text);
            }
            Part::Refusal { text } => message.refusal.get_or_insert_default().push_str(text),
            Part::ToolUse(call) => message.tool_calls.push(encode_call(call)),
            Part::Image { source, .. } => message.images.extend(Image::new(source)),
            Part::Audio { source: MediaSource::Base64 { data, .. }, format, transcript, id } => {
                let prefix = wav_prefix(format, plan.sound.as_deref(), Some(data));
                message.audio = Some(Audio {
                    id: id.as_deref().unwrap_or_default(),
                    data: prefix
                        .map_or(Cow::Borrowed(data), |prefix| format!("{prefix}{data}").into()),
                    transcript: transcript.as_deref().unwrap_or_default(),
                    expires_at: created.saturating_add(AUDIO_LIFE),
                });
            }
            // Chat shows neither sealed reasoning nor what the provider ran; the rest is no answer.
            Part::Thinking(_)
            | Part::Redacted { .. }
            | Part::ServerTool(_)
            | Part::Audio { .. }
            | Part::Video { .. }
            | Part::Document { .. }
            | Part::ToolResult(_)
            | Part::SystemNote { .. }
            | Part::Opaque { .. } => {}
        }
    }
    let says_otherwise =
        !message.tool_calls.is_empty() || message.refusal.is_some() || message.audio.is_some();
    if !says_otherwise {
        message.content.get_or_insert_default();
    }
    let logprobs = Logprobs { content: &choice.logprobs, refusal: None };
    Choice {
        index: choice.index,
        finish_reason: finish::chat_word(&choice.finish, message.refusal.is_some()),
        message,
        logprobs: (!choice.logprobs.is_empty()).then_some(logprobs),
    }
}

fn encode_call(call: &ToolUse) -> ToolCall<'_> {
    let custom = call.kind == ToolKind::Custom;
    let input = match &call.input {
        ToolInput::Json(json) => json.get(),
        ToolInput::Text(text) if text.trim().is_empty() && !custom => "{}",
        ToolInput::Text(text) => text,
    };
    ToolCall::new(&*call.id, &call.name, input, custom).signed(call.signature.as_ref())
}
