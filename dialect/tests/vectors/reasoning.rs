//! Requests: reasoning of earlier turns and its proof (T108–T114).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ninerouter_dialect::Dialect::{Anth, Chat, Gem, Resp};
use ninerouter_dialect::ir::{Part, SigFamily, Signature, Thinking};
use ninerouter_dialect::translate::signature::{GEMINI_BYPASS, NoteKey, Remembered};
use ninerouter_dialect::translate::{NoSignatures, Signatures, Target};
use serde_json::{Value, json};

use crate::pipeline::{call, model, plain, sent, text, try_send, turns};

/// Remembers one thing.
struct Memory(SigFamily, NoteKey, Remembered);

impl Signatures for Memory {
    fn recall(&self, family: SigFamily, key: &NoteKey) -> Option<Remembered> {
        (family == self.0 && *key == self.1).then(|| self.2.clone())
    }
}

/// A signature as Claude's look.
fn claude_signature() -> String {
    BASE64_STANDARD.encode(b"\x12\x30claude-sonnet-4-5 and more")
}

fn recalled(
    target: &Target,
    memory: &dyn Signatures,
    client: ninerouter_dialect::Dialect,
    body: &Value,
) -> Value {
    serde_json::from_slice(&try_send(client, target, memory, body).unwrap().body).unwrap()
}

fn history(reasoning: &[Value]) -> Value {
    let mut said = reasoning.to_vec();
    said.extend([text("a"), json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}})]);
    let mut body = turns(
        Anth,
        json!([
            {"role": "user", "content": [text("q")]},
            {"role": "assistant", "content": said},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [text("o")]},
            ]},
        ]),
    );
    body["max_tokens"] = 9000.into();
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 2048});
    body["tools"] = json!([{"name": "f", "description": "", "input_schema": {"type": "object", "properties": {}}}]);
    body
}

#[test]
fn t108_t113_own_reasoning_comes_back_as_it_was() {
    let thinking = json!({"type": "thinking", "thinking": "why ", "signature": claude_signature()});
    let redacted = json!({"type": "redacted_thinking", "data": "Zm9v"});
    let body = history(&[thinking.clone(), redacted.clone()]);
    let got = sent(Anth, &model(Anth, "claude-sonnet-4-5"), &body);
    assert_eq!(got["messages"], body["messages"]);
    assert_eq!(got["thinking"], body["thinking"]);
    for target in [model(Gem, "gemini-2.5-pro"), model(Chat, "gpt-5"), model(Resp, "gpt-5")] {
        let got = sent(Anth, &target, &body).to_string();
        assert!(!got.contains("why ") && !got.contains("Zm9v"), "{got}");
        assert!(!got.contains(&claude_signature()), "{got}");
    }
}

#[test]
fn t109_a_signature_of_gemini_rides_in_a_thinking_block() {
    let body = history(&[json!({"type": "thinking", "thinking": "", "signature": "R2VtaW5p"})]);
    let key = NoteKey::signature("R2VtaW5p");
    let memory = Memory(SigFamily::Gemini, key, Remembered::default());
    let got = recalled(&model(Gem, "gemini-3-pro"), &memory, Anth, &body);
    let parts = &got["contents"][1]["parts"];
    assert_eq!(parts[0], json!({"text": "a"}));
    assert_eq!(parts[1]["functionCall"]["name"], "f");
    assert_eq!(parts[1]["thoughtSignature"], "R2VtaW5p");
}

#[test]
fn t110_t111_lost_signatures_of_gemini() {
    let body = turns(
        Chat,
        json!([
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": [call("a", "f", "{}"), call("b", "f", "{}")]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": "2"},
        ]),
    );
    let signatures = |got: &Value| -> Vec<Value> {
        let parts = got["contents"][1]["parts"].as_array().unwrap();
        parts.iter().map(|part| part["thoughtSignature"].clone()).collect()
    };
    let own = Signature { family: SigFamily::Gemini, value: "real".into() };
    let remembered = Remembered { signature: Some(own), ..Remembered::default() };
    let memory = Memory(SigFamily::Gemini, NoteKey::Call("a".into()), remembered);
    let gemini_3 = model(Gem, "gemini-3-pro");
    let got = recalled(&gemini_3, &memory, Chat, &body);
    assert_eq!(signatures(&got), [json!("real"), Value::Null]);
    let got = recalled(&gemini_3, &NoSignatures, Chat, &body);
    assert_eq!(signatures(&got), [json!(GEMINI_BYPASS), Value::Null], "the first call alone");
    let got = recalled(&model(Gem, "gemini-2.5-pro"), &NoSignatures, Chat, &body);
    assert_eq!(signatures(&got), [Value::Null, Value::Null]);
}

#[test]
fn t112_claude_without_the_reasoning_that_led_to_a_call() {
    let body = turns(
        Chat,
        json!([
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": [call("a", "f", "{}")]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ]),
    );
    let mut body = body;
    body["reasoning_effort"] = "high".into();
    let claude = model(Anth, "claude-sonnet-4-5");
    assert!(sent(Chat, &claude, &body).get("thinking").is_none());
    // A model that thinks as it likes minds nothing.
    let got = sent(Chat, &model(Anth, "claude-opus-4-7"), &body);
    assert_eq!(got["thinking"]["type"], "adaptive");
    // What the router remembers is put back.
    let own = Signature { family: SigFamily::Claude, value: "S".into() };
    let reasoning = Thinking { text: "why".into(), signature: Some(own), ..Thinking::default() };
    let remembered =
        Remembered { reasoning: vec![Part::Thinking(reasoning)], ..Remembered::default() };
    let memory = Memory(SigFamily::Claude, NoteKey::Call("a".into()), remembered);
    let got = recalled(&claude, &memory, Chat, &body);
    assert_eq!(got["thinking"]["type"], "enabled");
    let first = json!({"type": "thinking", "thinking": "why", "signature": "S"});
    assert_eq!(got["messages"][1]["content"][0], first);
    // With the user's word in between it was another step: nothing is missing.
    body["messages"].as_array_mut().unwrap().push(json!({"role": "user", "content": "go"}));
    let mut plain_end = body.clone();
    plain_end["messages"]
        .as_array_mut()
        .unwrap()
        .insert(3, json!({"role": "assistant", "content": "b"}));
    assert_eq!(sent(Chat, &claude, &plain_end)["thinking"]["type"], "enabled");
}

#[test]
fn t114_words_of_reasoning_go_to_those_who_want_them() {
    let body = turns(
        Chat,
        json!([
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": null, "reasoning_content": "why",
                "tool_calls": [call("a", "f", "{}")]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ]),
    );
    let mut deepseek = plain(Chat);
    deepseek.profile.reasoning_history = true;
    assert_eq!(sent(Chat, &deepseek, &body)["messages"][1]["reasoning_content"], "why");
    for target in [model(Chat, "gpt-5"), model(Resp, "gpt-5")] {
        assert!(!sent(Chat, &target, &body).to_string().contains("why"));
    }
}
