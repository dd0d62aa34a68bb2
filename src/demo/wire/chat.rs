//! Chat Completions, as a simulated provider writes it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::demo::answer::Answer;

pub(super) fn whole(answer: &Answer) -> Value {
    let mut message = Map::new();
    message.insert("role".into(), json!("assistant"));
    message.insert("content".into(), json!(answer.text()));
    message.insert("refusal".into(), Value::Null);
    if let Some(call) = &answer.call {
        message.insert(
            "tool_calls".into(),
            json!([{"id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments.to_string()}}]),
        );
    }
    json!({
        "id": id(answer), "object": "chat.completion", "created": answer.created,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": null,
            "finish_reason": finish(answer)}],
        "usage": usage(answer),
        "system_fingerprint": "simulated",
    })
}

pub(super) fn events(answer: &Answer, include_usage: bool) -> Vec<Bytes> {
    let delta = |delta: Value, finish: Value| {
        chunk(answer, &json!([{"index": 0, "delta": delta, "finish_reason": finish}]), None)
    };
    let mut out = vec![delta(json!({"role": "assistant", "content": ""}), Value::Null)];
    out.extend(answer.pieces.iter().map(|p| delta(json!({"content": p}), Value::Null)));
    if let Some(call) = &answer.call {
        let head = json!({"tool_calls": [{"index": 0, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": ""}}]});
        out.push(delta(head, Value::Null));
        let arguments = json!({"tool_calls": [{"index": 0,
            "function": {"arguments": call.arguments.to_string()}}]});
        out.push(delta(arguments, Value::Null));
    }
    out.push(delta(json!({}), json!(finish(answer))));
    if include_usage {
        out.push(chunk(answer, &json!([]), Some(usage(answer))));
    }
    out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    out
}

fn chunk(answer: &Answer, choices: &Value, usage: Option<Value>) -> Bytes {
    let mut chunk = json!({
        "id": id(answer), "object": "chat.completion.chunk", "created": answer.created,
        "model": answer.model, "choices": choices,
    });
    if let (Some(usage), Some(fields)) = (usage, chunk.as_object_mut()) {
        fields.insert("usage".into(), usage);
    }
    Bytes::from(format!("data: {chunk}\n\n"))
}

fn id(answer: &Answer) -> String {
    format!("chatcmpl-sim{}", answer.number)
}

fn finish(answer: &Answer) -> &'static str {
    if answer.call.is_some() { "tool_calls" } else { "stop" }
}

fn usage(answer: &Answer) -> Value {
    let t = answer.usage;
    json!({
        "prompt_tokens": t.input, "completion_tokens": t.output,
        "total_tokens": t.input + t.output,
        "prompt_tokens_details": {"cached_tokens": t.cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}
