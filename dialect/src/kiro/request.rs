//! Requests, out (translation §5.3, providers §3.6).

use std::borrow::Cow;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::reasoning;
use super::wire::{
    AssistantMessage, Body, Bytes, Context, ConversationState, Image, InferenceConfig, Message,
    Schema, Text, Tool, ToolResult, ToolSpecification, ToolUse, UserMessage,
};
use crate::anth::object_input;
use crate::ir::{self, MediaSource, Part, RawJson, Request, Role, ToolChoice, Turn};
use crate::translate::{EncodedRequest, Target, TranslateError, WarningKind, Warnings};

/// Output cap where neither the client nor the catalog names a smaller one, tokens.
const MAX_TOKENS: u32 = 32_000;
/// The largest body that the service takes, bytes.
const BODY_LIMIT: usize = 600 * 1024;
/// Longest description of a tool, characters.
const DESCRIPTION_LIMIT: usize = 10_000;
/// Stands for the words of a user that only sends results.
const ONLY_RESULTS: &str = "Tool results provided.";
/// Stands for words where there are none; the service refuses empty ones.
const NO_WORDS: &str = ".";
/// Stands for the output of a tool that said nothing.
const NO_OUTPUT: &str = "(empty)";

/// Writes a request that was repaired and adapted to its target.
///
/// # Errors
/// [`TranslateError::TooLong`] when the body is larger than the service takes.
pub fn encode_request(
    request: &Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<EncodedRequest, TranslateError> {
    let mut messages: Vec<Message<'_>> = Vec::with_capacity(request.turns.len().saturating_add(1));
    for turn in &request.turns {
        let message = match turn.role {
            Role::User => Message::UserInputMessage(user(turn, target, warnings)),
            Role::Assistant => Message::AssistantResponseMessage(assistant(turn, warnings)),
        };
        messages.push(message);
    }
    // The turns alternate and begin with the user's; the last one is his, too.
    if !matches!(messages.last(), Some(Message::UserInputMessage(_))) {
        messages.push(Message::UserInputMessage(words(NO_WORDS.to_owned(), target)));
    }
    instruct(&mut messages, request, target);
    let mut current_message = messages.pop();
    if let Some(Message::UserInputMessage(message)) = &mut current_message {
        message.user_input_message_context.tools = tools(request, warnings);
    }
    let Some(current_message) = current_message else {
        return Err(TranslateError::Invalid {
            param: "messages".into(),
            message: "messages: at least one message is required".into(),
        });
    };
    untold(request, warnings);
    let most = target.caps.max_output.unwrap_or(u32::MAX);
    let body = Body {
        conversation_state: ConversationState {
            chat_trigger_type: "MANUAL",
            conversation_id: conversation(request, target),
            agent_task_type: "vibe",
            current_message,
            history: messages,
        },
        profile_arn: target.ids.profile_arn.as_deref(),
        inference_config: InferenceConfig {
            max_tokens: request.max_tokens.unwrap_or(MAX_TOKENS).min(most),
            temperature: request.sampling.temperature,
            top_p: request.sampling.top_p,
        },
        additional_model_request_fields: reasoning::fields(request, &target.model),
    };
    // Every key is a string: writing JSON to memory cannot fail.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    if body.len() > BODY_LIMIT {
        return Err(TranslateError::TooLong { bytes: body.len(), limit: BODY_LIMIT });
    }
    Ok(EncodedRequest { body, betas: Vec::new() })
}

/// Puts the instructions in front of the user's first words.
fn instruct(messages: &mut [Message<'_>], request: &Request, target: &Target) {
    let texts =
        request.system.iter().map(|part| &*part.text).filter(|text| !text.trim().is_empty());
    let system = texts.collect::<Vec<_>>().join("\n\n");
    let tags = reasoning::tags(request, &target.model);
    let system = match (tags, system.is_empty()) {
        (None, true) => return,
        (None, false) => system,
        (Some(tags), true) => tags,
        (Some(tags), false) => format!("{tags}\n{system}"),
    };
    let first = messages.iter_mut().find_map(|message| match message {
        Message::UserInputMessage(message) => Some(message),
        Message::AssistantResponseMessage(_) => None,
    });
    if let Some(message) = first {
        message.content = format!("{system}\n\n{}", message.content);
    }
}

/// The conversation's id; where nobody knows one, one that stays the same as it goes on.
fn conversation<'a>(request: &Request, target: &'a Target) -> Cow<'a, str> {
    if let Some(id) = &target.conversation {
        return Cow::Borrowed(id);
    }
    let first = request.turns.first().map(|turn| text_of(&turn.parts)).unwrap_or_default();
    let mut bits = [0; 16];
    for (bit, sum) in bits.iter_mut().zip(Sha256::digest(first.as_bytes())) {
        *bit = sum;
    }
    // Version 8, RFC 9562: the bits are the maker's own.
    let bits = u128::from_be_bytes(bits);
    let bits = (bits & !(0xf << 76) | (8 << 76)) & !(3 << 62) | (2 << 62);
    let hex = format!("{bits:032x}");
    let cuts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let groups: Vec<&str> = cuts.into_iter().filter_map(|cut| hex.get(cut)).collect();
    Cow::Owned(groups.join("-"))
}

fn words<'a>(content: String, target: &'a Target) -> UserMessage<'a> {
    UserMessage {
        content,
        model_id: &target.model,
        origin: "AI_EDITOR",
        images: Vec::new(),
        user_input_message_context: Context::default(),
    }
}

fn user<'a>(turn: &'a Turn, target: &'a Target, warnings: &mut Warnings) -> UserMessage<'a> {
    let mut message = words(String::new(), target);
    for part in &turn.parts {
        match part {
            Part::ToolResult(result) => {
                for part in &result.content {
                    if let Part::Image { source, .. } = part {
                        message.images.extend(image(source));
                    }
                }
                let said = text_of(&result.content);
                let text = if said.trim().is_empty() { NO_OUTPUT.to_owned() } else { said };
                let status = if result.is_error { "error" } else { "success" };
                message.user_input_message_context.tool_results.push(ToolResult {
                    tool_use_id: &result.id,
                    status,
                    content: [Text { text }],
                });
            }
            Part::Image { source, .. } => match image(source) {
                Some(image) => message.images.push(image),
                None => say(&mut message.content, &omitted(part)),
            },
            part => match said(part) {
                Some(text) => say(&mut message.content, text),
                None => {
                    say(&mut message.content, &omitted(part));
                    warnings.push(WarningKind::Dropped, "messages", "the target cannot take it");
                }
            },
        }
    }
    if message.content.trim().is_empty() {
        let results = !message.user_input_message_context.tool_results.is_empty();
        message.content = if results { ONLY_RESULTS } else { NO_WORDS }.to_owned();
    }
    message
}

fn assistant<'a>(turn: &'a Turn, warnings: &mut Warnings) -> AssistantMessage<'a> {
    let mut message = AssistantMessage { content: String::new(), tool_uses: Vec::new() };
    for part in &turn.parts {
        match part {
            Part::ToolUse(call) => message.tool_uses.push(ToolUse {
                tool_use_id: &call.id,
                name: &call.name,
                input: object_input(&call.kind, &call.input),
            }),
            part => match said(part) {
                Some(text) => say(&mut message.content, text),
                None => {
                    let note = "the target does not take it back";
                    warnings.push(WarningKind::Dropped, "messages", note);
                }
            },
        }
    }
    if message.content.trim().is_empty() {
        NO_WORDS.clone_into(&mut message.content);
    }
    message
}

/// Adds a paragraph.
fn say(content: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    if !content.is_empty() {
        content.push_str("\n\n");
    }
    content.push_str(text);
}

/// The words of a part that is nothing else.
fn said(part: &Part) -> Option<&str> {
    match part {
        Part::Text(part) => Some(&part.text),
        Part::Refusal { text } | Part::SystemNote { text, .. } => Some(text),
        Part::Document { source: MediaSource::Text(text), .. } => Some(text),
        Part::Audio { transcript: Some(transcript), .. } => Some(transcript),
        _ => None,
    }
}

/// All words of some parts; what is no words is named.
fn text_of(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        match (said(part), part) {
            (Some(words), _) => say(&mut text, words),
            (None, Part::Image { source, .. }) if image(source).is_some() => {}
            (None, part) => say(&mut text, &omitted(part)),
        }
    }
    text
}

/// What stands in the place of a part that cannot be sent; nothing for what the user never saw.
fn omitted(part: &Part) -> Cow<'static, str> {
    match part {
        Part::Image { .. } => Cow::Borrowed("[image omitted: its format is not supported]"),
        Part::Document { name: Some(name), .. } => {
            Cow::Owned(format!("[document omitted: {name}]"))
        }
        Part::Document { .. } => Cow::Borrowed("[document omitted]"),
        Part::Audio { .. } => Cow::Borrowed("[audio omitted]"),
        Part::Video { .. } => Cow::Borrowed("[video omitted]"),
        _ => Cow::Borrowed(""),
    }
}

/// An image whose bytes are here, in a format that the service knows.
fn image(source: &MediaSource) -> Option<Image<'_>> {
    let MediaSource::Base64 { mime, data } = source else { return None };
    let format = match &**mime {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        _ => return None,
    };
    Some(Image { format, source: Bytes { bytes: data } })
}

/// Declarations; none where the client wants no tool called.
fn tools<'a>(request: &'a Request, warnings: &mut Warnings) -> Vec<Tool<'a>> {
    if request.tool_choice == Some(ToolChoice::None) {
        return Vec::new();
    }
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        let ir::Tool::Function(function) = tool else {
            warnings.push(WarningKind::Dropped, "tools", "not known to this provider");
            continue;
        };
        let description = function.description.as_deref().filter(|text| !text.trim().is_empty());
        let description = description.unwrap_or(&function.name);
        let end = description.char_indices().nth(DESCRIPTION_LIMIT).map(|(at, _)| at);
        if end.is_some() {
            warnings.push(WarningKind::Clamped, "tools", "a description to 10000 characters");
        }
        let json = match &function.schema {
            Some(schema) => Cow::Borrowed(schema),
            None => Cow::Owned(RawJson::from(json!({ "type": "object", "properties": {} }))),
        };
        tools.push(Tool {
            tool_specification: ToolSpecification {
                name: &function.name,
                description: end.and_then(|end| description.get(..end)).unwrap_or(description),
                input_schema: Schema { json },
            },
        });
    }
    tools
}

/// Notes the parameters for which there is no place.
fn untold(request: &Request, warnings: &mut Warnings) {
    let forces = matches!(
        request.tool_choice,
        Some(ToolChoice::Any | ToolChoice::Named(_) | ToolChoice::NamedBuiltin(_))
    );
    for (given, field) in [
        (forces, "tool_choice"),
        (!request.stop.is_empty(), "stop"),
        (request.sampling.top_k.is_some(), "top_k"),
        (request.sampling.seed.is_some(), "seed"),
    ] {
        if given {
            warnings.push(WarningKind::Dropped, field, "the target has no such parameter");
        }
    }
}

#[cfg(test)]
mod tests;
