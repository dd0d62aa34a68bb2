//! OpenAI Responses, as a simulated provider writes it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::typed_event;
use crate::demo::answer::Answer;

pub(super) fn whole(answer: &Answer) -> Value {
    response(answer, "completed", &items(answer), &usage(answer))
}

pub(super) fn events(answer: &Answer) -> Vec<Bytes> {
    let mut log = Log::default();
    let open = response(answer, "in_progress", &[], &Value::Null);
    log.push("response.created", json!({"response": open}));
    log.push("response.in_progress", json!({"response": open}));
    message_events(answer, &mut log);
    call_events(answer, &mut log);
    log.push("response.completed", json!({"response": whole(answer)}));
    log.0.iter().map(typed_event).collect()
}

/// Events so far; the number of an event is its position.
#[derive(Default)]
struct Log(Vec<Value>);

impl Log {
    fn push(&mut self, name: &str, fields: Value) {
        let mut event = json!({"type": name, "sequence_number": self.0.len()});
        if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        self.0.push(event);
    }
}

fn message_events(answer: &Answer, log: &mut Log) {
    let (id, text) = (message_id(answer), answer.text());
    let at = |rest: Value| {
        let mut fields = json!({"item_id": id, "output_index": 0, "content_index": 0});
        if let (Some(fields), Value::Object(rest)) = (fields.as_object_mut(), rest) {
            fields.extend(rest);
        }
        fields
    };
    let item = json!({"id": id, "type": "message", "status": "in_progress", "role": "assistant",
        "content": []});
    log.push("response.output_item.added", json!({"output_index": 0, "item": item}));
    log.push("response.content_part.added", at(json!({"part": text_part("")})));
    for piece in &answer.pieces {
        log.push("response.output_text.delta", at(json!({"delta": piece, "logprobs": []})));
    }
    log.push("response.output_text.done", at(json!({"text": text, "logprobs": []})));
    log.push("response.content_part.done", at(json!({"part": text_part(&text)})));
    let item = items(answer).into_iter().next();
    log.push("response.output_item.done", json!({"output_index": 0, "item": item}));
}

fn call_events(answer: &Answer, log: &mut Log) {
    let (Some(call), Some(done)) = (&answer.call, items(answer).into_iter().nth(1)) else {
        return;
    };
    let (id, arguments) = (call_item_id(answer), call.arguments.to_string());
    let item = json!({"id": id, "type": "function_call", "status": "in_progress",
        "call_id": call.id, "name": call.name, "arguments": ""});
    log.push("response.output_item.added", json!({"output_index": 1, "item": item}));
    log.push(
        "response.function_call_arguments.delta",
        json!({"item_id": id, "output_index": 1, "delta": arguments}),
    );
    log.push(
        "response.function_call_arguments.done",
        json!({"item_id": id, "output_index": 1, "name": call.name, "arguments": arguments}),
    );
    log.push("response.output_item.done", json!({"output_index": 1, "item": done}));
}

fn items(answer: &Answer) -> Vec<Value> {
    let mut items = vec![json!({"id": message_id(answer), "type": "message",
        "status": "completed", "role": "assistant", "content": [text_part(&answer.text())]})];
    if let Some(call) = &answer.call {
        items.push(json!({"id": call_item_id(answer), "type": "function_call",
            "status": "completed", "call_id": call.id, "name": call.name,
            "arguments": call.arguments.to_string()}));
    }
    items
}

fn response(answer: &Answer, status: &str, output: &[Value], usage: &Value) -> Value {
    json!({
        "id": format!("resp_sim{}", answer.number), "object": "response",
        "created_at": answer.created, "status": status, "error": null,
        "incomplete_details": null, "instructions": null, "max_output_tokens": null,
        "model": answer.model, "output": output, "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": {"effort": null, "summary": null},
        "store": false, "temperature": 1.0, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "usage": usage, "user": null, "metadata": {},
    })
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message_id(answer: &Answer) -> String {
    format!("msg_sim{}", answer.number)
}

fn call_item_id(answer: &Answer) -> String {
    format!("fc_sim{}", answer.number)
}

fn usage(answer: &Answer) -> Value {
    let t = answer.usage;
    json!({
        "input_tokens": t.input, "input_tokens_details": {"cached_tokens": t.cached},
        "output_tokens": t.output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": t.input + t.output,
    })
}
