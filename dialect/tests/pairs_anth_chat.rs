//! Answers of Anthropic for chat clients, and the reverse (translation §6).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ninerouter_dialect::ir::Request;
use ninerouter_dialect::translate::{ReplyPlan, Source};
use ninerouter_dialect::{Dialect, anth, chat, gem};
use serde_json::{Value, json};

fn plan(client: Dialect) -> ReplyPlan {
    ReplyPlan::new(client, &Request::default(), 0)
}

fn from_anth(content: &Value, stop: &str) -> ninerouter_dialect::ir::Response {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": stop, "stop_sequence": null,
        "usage": {
            "input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2,
            "output_tokens": 5
        },
    });
    anth::decode_response(body.to_string().as_bytes(), &Source::new(Dialect::Anth)).unwrap()
}

#[test]
fn t115_blocks_become_one_message() {
    let answer = from_anth(
        &json!([
            {"type": "thinking", "thinking": "t", "signature": "S"},
            {"type": "text", "text": "a"},
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
        ]),
        "tool_use",
    );
    let body: Value =
        serde_json::from_slice(&chat::encode_response(&answer, &plan(Dialect::Chat))).unwrap();
    let choice = &body["choices"][0];
    assert_eq!(choice["message"]["reasoning_content"], "t");
    assert_eq!(choice["message"]["content"], "ab");
    assert_eq!(choice["message"]["tool_calls"][0]["id"], "toolu_1");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
    assert_eq!(choice["finish_reason"], "tool_calls");
}

#[test]
fn t119_counts_go_there_and_back() {
    let answer = from_anth(&json!([{"type": "text", "text": "a"}]), "end_turn");
    let body = chat::encode_response(&answer, &plan(Dialect::Chat));
    let value: Value = serde_json::from_slice(&body).unwrap();
    let usage = &value["usage"];
    assert_eq!(
        (usage["prompt_tokens"].as_u64(), usage["total_tokens"].as_u64()),
        (Some(12), Some(17))
    );
    let again = chat::decode_response(&body, &Source::new(Dialect::Chat)).unwrap();
    let body = anth::encode_response(&again, &plan(Dialect::Anth));
    let value: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        value["usage"],
        json!({
            "input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2,
            "output_tokens": 5
        })
    );
}

#[test]
fn t123_an_answer_without_content_is_an_answer() {
    let answer = from_anth(&json!([]), "end_turn");
    let body: Value =
        serde_json::from_slice(&chat::encode_response(&answer, &plan(Dialect::Chat))).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let body: Value =
        serde_json::from_slice(&gem::encode_response(&answer, &plan(Dialect::Gem))).unwrap();
    assert_eq!(body["candidates"][0]["content"]["parts"], json!([{"text": ""}]));
}
