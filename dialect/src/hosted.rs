//! Gemini and Claude as clouds host them: Vertex AI and Amazon Bedrock (providers §3.15, §3.17).
//!
//! Bodies are the vendors' own but for a few members. Bedrock streams in AWS frames, each with one event
//! of Messages in it.

use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::json;
use crate::peek::{PeekError, checked_text};
use crate::{BodyEdit, apply_edits};

/// The version of Messages on Vertex AI.
const VERTEX_VERSION: &str = "\"vertex-2023-10-16\"";
/// The version of Messages on Bedrock.
const BEDROCK_VERSION: &str = "\"bedrock-2023-05-31\"";

/// A body of Messages as Vertex AI takes it: the path names the model.
///
/// # Errors
/// A [`PeekError`] when the body is not a JSON object.
pub fn vertex_messages(body: Bytes) -> Result<Vec<u8>, PeekError> {
    let edits = [remove("model"), set_if_absent("anthropic_version", VERTEX_VERSION.to_owned())];
    Ok(apply_edits(&body, &edits)?.parts.concat())
}

/// A body of Messages as Bedrock takes it: the path names the model and whether to stream, the betas are
/// a member.
///
/// # Errors
/// A [`PeekError`] when the body is not a JSON object.
pub fn bedrock_messages(body: Bytes, betas: &[&str]) -> Result<Vec<u8>, PeekError> {
    let mut edits = vec![
        remove("model"),
        remove("stream"),
        set_if_absent("anthropic_version", BEDROCK_VERSION.to_owned()),
    ];
    if !betas.is_empty() {
        let list: Vec<String> = betas.iter().map(|beta| json::quote(beta)).collect();
        edits.push(set_if_absent("anthropic_beta", format!("[{}]", list.join(","))));
    }
    Ok(apply_edits(&body, &edits)?.parts.concat())
}

fn remove(key: &'static str) -> BodyEdit {
    BodyEdit::Remove { key: key.into() }
}

fn set_if_absent(key: &'static str, json: String) -> BodyEdit {
    BodyEdit::SetIfAbsent { key: key.into(), json }
}

/// The event of Messages in the payload of one of Bedrock's frames; `None` when there is none in it.
pub(crate) fn bedrock_event(payload: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(payload).ok()?;
    let base64 = json::member(text, "bytes").and_then(json::string)?;
    STANDARD.decode(&*base64).ok()
}

/// Whether a request of Gemini's own dialect must be written anew for Vertex AI, which refuses ids on
/// calls and results, and contents that do not say whose they are.
pub(crate) fn vertex_refuses(body: &[u8]) -> bool {
    let Ok(text) = checked_text(body) else { return false };
    let Some(contents) = json::member(text, "contents") else { return false };
    let mut refuses = false;
    let mut look = |content: &str| {
        refuses |= json::is_object(content)
            && (json::member(content, "role").is_none() || has_ids(content));
        if refuses { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    if json::is_array(contents) {
        let _odd = json::each_element(contents, &mut look).is_err();
    } else {
        let _ends = look(contents).is_break();
    }
    refuses
}

fn has_ids(content: &str) -> bool {
    const CALLS: [&str; 4] =
        ["functionCall", "functionResponse", "function_call", "function_response"];
    let mut found = false;
    json::visit_elements(json::member(content, "parts").unwrap_or("[]"), |part| {
        json::visit(part, |key, raw| {
            found |= CALLS.contains(&key) && json::member(raw, "id").is_some();
        });
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event_stream::frame;
    use crate::ir::Failure;
    use crate::translate::{
        Envelope, Folding, NoSignatures, PrepareCx, ReplyPlan, RequestTranslator, Source,
        StreamTranslator, Target, needs_translation,
    };
    use crate::{Dialect, Framing, StreamEnd};

    const CX: PrepareCx<'_> = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
    const LIMIT: usize = 1 << 20;

    fn target(dialect: Dialect, envelope: Envelope) -> Target {
        Target { envelope, ..Target::new(dialect, "claude-sonnet-4-5") }
    }

    fn sent(target: &Target, body: &Value) -> (Value, Vec<&'static str>) {
        let body = body.to_string();
        let translator = RequestTranslator::decode(Dialect::Anth, body.as_bytes()).unwrap();
        let encoded = translator.prepare(target, &CX).unwrap().encode().unwrap();
        (serde_json::from_slice(&encoded.body).unwrap(), encoded.betas)
    }

    #[test]
    fn claude_in_the_clouds_has_its_version_in_the_body() {
        let body = json!({"model": "m", "max_tokens": 9000, "stream": true, "messages": [{"role": "user", "content": "q"}],
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
        let (vertex, betas) = sent(&target(Dialect::Anth, Envelope::Vertex), &body);
        assert_eq!(vertex["anthropic_version"], "vertex-2023-10-16");
        assert_eq!((&vertex["model"], &vertex["stream"]), (&Value::Null, &json!(true)));
        assert!(!betas.is_empty(), "they go into the header");

        let (bedrock, rest) = sent(&target(Dialect::Anth, Envelope::Bedrock), &body);
        assert_eq!(bedrock["anthropic_version"], "bedrock-2023-05-31");
        assert_eq!((&bedrock["model"], &bedrock["stream"]), (&Value::Null, &Value::Null));
        assert_eq!(bedrock["anthropic_beta"], json!(betas));
        assert!(rest.is_empty());
        assert_eq!(bedrock["messages"], vertex["messages"]);
    }

    fn chunk(event: &Value) -> Vec<u8> {
        let payload = json!({"bytes": STANDARD.encode(event.to_string()), "p": "abc"});
        frame(&[(":message-type", "event"), (":event-type", "chunk")], &payload.to_string())
    }

    #[test]
    fn bedrock_streams_messages_in_frames() {
        let stream = [
            json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "é"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {}}),
        ]
        .iter()
        .map(chunk)
        .collect::<Vec<_>>()
        .concat();
        let source = || Source { envelope: Envelope::Bedrock, ..Source::new(Dialect::Anth) };
        let plan = |client| ReplyPlan::new(client, &crate::ir::Request::default(), 1);
        let mut translator =
            StreamTranslator::new(source(), plan(Dialect::Anth), Framing::Sse, LIMIT);
        let mut out = Vec::new();
        for piece in stream.chunks(11) {
            translator.push(piece, &mut out).unwrap();
        }
        assert_eq!(translator.finish(&mut out), StreamEnd::Complete);
        let got = String::from_utf8(out.concat()).unwrap();
        assert!(got.contains("\"text\":\"é\"") && got.contains("event: message_stop"), "{got}");

        let mut folding = Folding::new(source(), plan(Dialect::Chat), LIMIT);
        folding.push(&stream).unwrap();
        let body: Value = serde_json::from_slice(&folding.finish().unwrap().body).unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], "é");

        let exception = frame(
            &[(":message-type", "exception"), (":exception-type", "modelStreamErrorException")],
            r#"{"message":"broke"}"#,
        );
        let mut folding = Folding::new(source(), plan(Dialect::Chat), LIMIT);
        let failure = folding.push(&[chunk(&json!({"type": "ping"})), exception].concat());
        let Err(Failure::Upstream(error)) = failure else { panic!("{failure:?}") };
        assert_eq!(error.body.message.as_deref(), Some("broke"));
        let mut folding = Folding::new(source(), plan(Dialect::Chat), LIMIT);
        let cut = stream.len() - 3;
        folding.push(&stream[..cut]).unwrap();
        assert_eq!(folding.finish(), Err(Failure::Truncated));
    }

    #[test]
    fn bodies_that_vertex_refuses_are_written_anew() {
        let vertex = target(Dialect::Gem, Envelope::Vertex);
        for (body, want) in [
            (r#"{"contents":[{"role":"user","parts":[{"text":"\"id\""}]}]}"#, false),
            (r#"{"contents":[{"parts":[{"text":"q"}]}]}"#, true),
            (r#"{"contents":{"parts":[{"text":"q"}]}}"#, true),
            (r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"}}]}]}"#, false),
            (
                r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","id":"a"}}]}]}"#,
                true,
            ),
            (
                r#"{"contents":[{"role":"user","parts":[{"function_response":{"id":"a","name":"f"}}]}]}"#,
                true,
            ),
            ("{}", false),
            ("[", false),
        ] {
            assert_eq!(needs_translation(body.as_bytes(), &vertex), want, "{body}");
        }
        let body = json!({"contents": [
            {"parts": [{"text": "q"}]},
            {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "f", "response": {}}}]},
        ]})
        .to_string();
        let translator = RequestTranslator::decode(Dialect::Gem, body.as_bytes()).unwrap();
        let encoded = translator.prepare(&vertex, &CX).unwrap().encode().unwrap();
        assert!(!needs_translation(&encoded.body, &vertex));
    }

    #[test]
    fn who_needs_translation_of_their_own_dialect() {
        let body = br#"{"contents":[{"role":"user","parts":[{"text":"q"}]}],"messages":[]}"#;
        for (dialect, envelope, want) in [
            (Dialect::Anth, Envelope::Plain, false),
            (Dialect::Anth, Envelope::Vertex, false),
            (Dialect::Anth, Envelope::Bedrock, true),
            (Dialect::Anth, Envelope::Kiro, true),
            (Dialect::Chat, Envelope::Copilot, false),
            (Dialect::Chat, Envelope::Ollama, true),
            (Dialect::Resp, Envelope::Codex, false),
            (Dialect::Gem, Envelope::CloudCode, false),
            (Dialect::Gem, Envelope::Antigravity, false),
        ] {
            let got = needs_translation(body, &target(dialect, envelope));
            assert_eq!(got, want, "{dialect:?} {envelope:?}");
        }
    }
}
