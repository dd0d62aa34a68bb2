//! Whole answers (translation §3.1).

use std::borrow::Cow;

use serde::Serialize;

use super::object::Object;
use super::stream_in::{StreamDecoder, upstream_error};
use super::wire::{self, Block, Rest};
use super::{block, search};
use crate::body::{BodyVerdict, judge_body};
use crate::ir::{self, Choice, Ext, Failure, Finish, Part, RawJson, ToolInput};
use crate::translate::{Fold, ReplyPlan, Source, finish, ids};
use crate::usage::AnthCounts;
use crate::{Dialect, json};

/// Reads a whole answer.
///
/// # Errors
/// [`Failure::Upstream`] for an error under a success status, [`Failure::Empty`] for a body without
/// anything in it, [`Failure::NotAnAnswer`] for what is no JSON object.
pub fn decode_response(body: &[u8], source: &Source) -> Result<ir::Response, Failure> {
    match judge_body(Dialect::Anth, body) {
        // An answer that ended without a word is one all the same (T123): whether another account should
        // be asked instead is not for a codec to say. Without an end it is none.
        BodyVerdict::Ok(_) | BodyVerdict::Empty => {}
        BodyVerdict::Error(_) => return Err(upstream_error(body)),
        BodyVerdict::NotJson { .. } => return Err(Failure::NotAnAnswer("it is no JSON".into())),
    }
    let text = json::lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii());
    if matches!(&*text, "" | "null") {
        return Err(Failure::Empty);
    }
    let message =
        Object::read(&text).ok_or_else(|| Failure::NotAnAnswer("it is no JSON object".into()))?;
    let mut events = Vec::new();
    StreamDecoder::new(source).whole(message, &text, &mut events);
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    fold.finish()
}

#[derive(Serialize)]
struct Message<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_details: Option<&'a RawJson>,
    usage: AnthCounts,
}

/// Writes a whole answer. This dialect has room for one alternative: the first.
pub fn encode_response(response: &ir::Response, plan: &ReplyPlan) -> Vec<u8> {
    let silent = Choice::new(0);
    let choice = response.choices.first().unwrap_or(&silent);
    let message = Message {
        id: ids::response_id(Dialect::Anth, &response.id),
        kind: "message",
        role: "assistant",
        model: &plan.model,
        content: content(choice, plan),
        stop_reason: finish::anth_word(&choice.finish),
        stop_sequence: choice.stop_sequence.as_deref(),
        stop_details: choice.details.as_ref().filter(|details| is_own_details(details)),
        usage: response.usage.as_ref().map(AnthCounts::from).unwrap_or_default(),
    };
    serde_json::to_vec(&message).unwrap_or_default()
}

/// Whether details of a stop have this dialect's form; other dialects have their own.
pub(super) fn is_own_details(details: &RawJson) -> bool {
    json::member(details.get(), "type").is_some()
}

fn content<'a>(choice: &'a Choice, plan: &ReplyPlan) -> Vec<Block<'a>> {
    let mut blocks = Vec::with_capacity(choice.parts.len());
    for part in &choice.parts {
        match part {
            Part::Thinking(_) | Part::Redacted { .. } if !plan.shows_thinking => {}
            // Answers of this dialect hold no media, only requests do (§2.9).
            Part::Image { .. } | Part::Document { .. } => {}
            Part::ToolUse(call) => {
                if plan.shows_thinking
                    && let Some(signature) = &call.signature
                {
                    blocks.push(signature_alone(&signature.value));
                }
                let mut written = block::write(part);
                if let [Block::ToolUse(wire)] = written.as_mut_slice()
                    && call.kind != ir::ToolKind::Custom
                    && is_cut(choice, &call.input)
                {
                    // The cap cut the arguments: the client must not take the rest for all of them.
                    wire.input = Cow::Owned(RawJson::from(serde_json::json!({})));
                }
                blocks.append(&mut written);
            }
            // Requests with blank blocks are refused; in an answer a blank block is part of the text.
            Part::Text(text) => {
                if !text.text.is_empty() {
                    blocks.push(block::write_text(text));
                }
            }
            Part::ServerTool(call) if call.origin != Dialect::Anth => {
                if plan.declared_web_search
                    && let Some(found) = search::Search::of(call)
                {
                    let [call, result] = found.blocks();
                    blocks.extend([Block::Same(Cow::Owned(call)), Block::Same(Cow::Owned(result))]);
                }
            }
            part => blocks.extend(block::write(part)),
        }
    }
    blocks
}

/// A signature on something else than reasoning, in a block that brings it back with the next request.
fn signature_alone(signature: &str) -> Block<'_> {
    static NO_FIELDS: std::sync::LazyLock<Ext> = std::sync::LazyLock::new(Ext::default);
    Block::Thinking(wire::Thinking { thinking: "", signature, rest: Rest(&NO_FIELDS) })
}

fn is_cut(choice: &Choice, input: &ToolInput) -> bool {
    matches!(choice.finish, Finish::Length | Finish::ContextLength)
        && matches!(input, ToolInput::Text(text) if RawJson::parse(&**text).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t178_nothing_is_no_answer() {
        let read = |body: &[u8]| decode_response(body, &Source::new(Dialect::Anth));
        for body in ["", " \n", "null", "{}", r#"{"content":[],"stop_reason":null}"#] {
            assert_eq!(read(body.as_bytes()), Err(Failure::Empty), "{body}");
        }
        for body in ["<html>", "[1", "{\"a\""] {
            assert!(matches!(read(body.as_bytes()), Err(Failure::NotAnAnswer(_))), "{body}");
        }
        let error = br#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
        assert!(matches!(read(error), Err(Failure::Upstream(_))));
    }

    #[test]
    fn arguments_that_the_cap_cut_are_not_taken_for_whole() {
        let call = |input: &str| {
            Part::ToolUse(ir::ToolUse {
                id: "t".into(),
                name: "f".into(),
                input: ToolInput::Text(input.into()),
                kind: ir::ToolKind::Function,
                namespace: None,
                signature: None,
                cache: None,
                ext: Ext::default(),
            })
        };
        let plan = ReplyPlan::new(Dialect::Anth, &ir::Request::default(), 0);
        for (finish, input, want) in [
            (Finish::Length, "{\"a\":", "{}"),
            (Finish::ToolUse, "{\"a\":", r#"{"_raw":"{\"a\":"}"#),
            (Finish::Length, "[1]", r#"{"value":[1]}"#),
        ] {
            let choice = Choice { parts: vec![call(input)], finish, ..Choice::new(0) };
            let blocks = content(&choice, &plan);
            let [Block::ToolUse(block)] = blocks.as_slice() else { panic!("{input}") };
            assert_eq!(block.input.get(), want);
        }
    }

    #[test]
    fn pictures_of_other_dialects_are_no_blocks_of_an_answer() {
        let source = ir::MediaSource::Base64 { mime: "image/png".into(), data: "iVBORw==".into() };
        let image =
            Part::Image { source, detail: None, cache: None, signature: None, ext: Ext::default() };
        let choice = Choice { parts: vec![Part::text("Here."), image], ..Choice::new(0) };
        let plan = ReplyPlan::new(Dialect::Anth, &ir::Request::default(), 0);
        assert!(matches!(content(&choice, &plan).as_slice(), [Block::Text(_)]));
    }
}
