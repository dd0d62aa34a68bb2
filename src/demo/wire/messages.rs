//! Anthropic Messages, as a simulated provider writes it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::typed_event;
use crate::demo::answer::Answer;

pub(super) fn whole(answer: &Answer) -> Value {
    let mut content = vec![json!({"type": "text", "text": answer.text()})];
    if let Some(call) = &answer.call {
        content.push(json!({"type": "tool_use", "id": call.id, "name": call.name,
            "input": call.arguments}));
    }
    json!({
        "id": id(answer), "type": "message", "role": "assistant", "model": answer.model,
        "content": content, "stop_reason": stop_reason(answer), "stop_sequence": null,
        "usage": usage(answer, answer.usage.output),
    })
}

pub(super) fn events(answer: &Answer) -> Vec<Bytes> {
    let mut out = vec![
        json!({"type": "message_start", "message": {
            "id": id(answer), "type": "message", "role": "assistant", "model": answer.model,
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": usage(answer, 1)}}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    out.extend(answer.pieces.iter().map(|piece| {
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": piece}})
    }));
    out.push(json!({"type": "content_block_stop", "index": 0}));
    if let Some(call) = &answer.call {
        out.push(json!({"type": "content_block_start", "index": 1, "content_block":
            {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}}));
        out.push(json!({"type": "content_block_delta", "index": 1, "delta":
            {"type": "input_json_delta", "partial_json": call.arguments.to_string()}}));
        out.push(json!({"type": "content_block_stop", "index": 1}));
    }
    out.push(json!({"type": "message_delta",
        "delta": {"stop_reason": stop_reason(answer), "stop_sequence": null},
        "usage": usage(answer, answer.usage.output)}));
    out.push(json!({"type": "message_stop"}));
    out.iter().map(typed_event).collect()
}

fn id(answer: &Answer) -> String {
    format!("msg_sim{}", answer.number)
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.call.is_some() { "tool_use" } else { "end_turn" }
}

fn usage(answer: &Answer, output: u64) -> Value {
    let t = answer.usage;
    json!({
        "input_tokens": t.input.saturating_sub(t.cached), "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": t.cached, "output_tokens": output,
    })
}
