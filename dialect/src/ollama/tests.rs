//! Both sides of Ollama (translation §5.6, T177).

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Dialect;
use crate::ir::{EventOrder, Failure, Request};
use crate::translate::{
    Envelope, EventReader, Folding, NoSignatures, PrepareCx, ReplyPlan, RequestTranslator, Source,
    Target, translate_response,
};

fn target(model: &str) -> Target {
    Target { envelope: Envelope::Ollama, ..Target::new(Dialect::Chat, model) }
}

fn source() -> Source {
    Source { envelope: Envelope::Ollama, ..Source::new(Dialect::Chat) }
}

fn sent(client: Dialect, model: &str, body: &Value) -> Value {
    let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
    let translator = RequestTranslator::decode(client, body.to_string().as_bytes()).unwrap();
    let encoded = translator.prepare(&target(model), &cx).unwrap().encode().unwrap();
    serde_json::from_slice(&encoded.body).unwrap()
}

#[test]
fn requests_are_written_in_ollamas_words() {
    let body = json!({"model": "m", "max_tokens": 7, "system": "S", "stop_sequences": ["x"], "top_k": 4,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]},
            {"role": "assistant", "content": [{"type": "text", "text": "ok"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"n": 12345678901234567890_u64}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": "2", "is_error": true},
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "text", "text": "go on"}]},
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}]});
    assert_eq!(
        sent(Dialect::Anth, "llama3", &body),
        json!({"model": "llama3", "stream": false,
            "options": {"num_predict": 7, "stop": ["x"], "top_k": 4},
            "messages": [
                {"role": "system", "content": "S"},
                {"role": "user", "content": "look", "images": ["AAAA"]},
                {"role": "assistant", "content": "ok", "tool_calls": [
                    {"function": {"name": "f", "arguments": {"n": 12345678901234567890_u64}}},
                    {"function": {"name": "g", "arguments": {}}}]},
                {"role": "tool", "content": "1", "tool_name": "f"},
                {"role": "tool", "content": "Error: 2", "tool_name": "g"},
                {"role": "user", "content": "go on"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d",
                "parameters": {"type": "object", "properties": {}}}}]})
    );
}

#[test]
fn reasoning_is_a_switch_and_a_step_where_the_model_has_steps() {
    for (model, effort, want) in [
        ("qwen3", "high", json!(true)),
        ("qwen3", "none", json!(false)),
        ("gpt-oss:120b", "high", json!("high")),
        ("gpt-oss:120b", "minimal", json!("low")),
        ("gpt-oss:120b", "medium", json!("medium")),
        ("gpt-oss:120b", "none", json!("low")),
    ] {
        let body = json!({"model": "m", "input": "q", "stream": true,
            "reasoning": {"effort": effort}});
        let got = sent(Dialect::Resp, model, &body);
        assert_eq!((&got["think"], &got["stream"]), (&want, &json!(true)), "{model} {effort}");
    }
    let silent = sent(Dialect::Resp, "qwen3", &json!({"model": "m", "input": "q"}));
    assert_eq!(silent.get("think"), None);
    assert_eq!(silent.get("options"), None);
}

#[test]
fn the_form_of_the_answer_and_forbidden_tools_are_told() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let body = |format: Value| {
        json!({"model": "m", "input": "q", "text": {"format": format}, "tool_choice": "none",
            "tools": [{"type": "function", "name": "f", "parameters": {}}]})
    };
    let got = sent(Dialect::Resp, "m", &body(json!({"type": "json_object"})));
    assert_eq!((&got["format"], got.get("tools")), (&json!("json"), None));
    let format = json!({"type": "json_schema", "name": "n", "schema": schema});
    assert_eq!(sent(Dialect::Resp, "m", &body(format))["format"], schema);
}

#[test]
fn what_messages_cannot_hold_is_for_another_target() {
    let body = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf",
            "data": "JVBERi0="}}]}]});
    let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
    let translator = RequestTranslator::decode(Dialect::Anth, body.to_string().as_bytes()).unwrap();
    assert!(translator.prepare(&target("m"), &cx).unwrap_err().is_target_specific());
    let url = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}]}]});
    let translator = RequestTranslator::decode(Dialect::Anth, url.to_string().as_bytes()).unwrap();
    assert_eq!(translator.prepare(&target("m"), &cx).unwrap().wanted_media().len(), 1);
}

/// An answer in lines, as the server sends it.
const LINES: &str = concat!(
    r#"{"model":"qwen3","created_at":"2026-01-01T00:00:00.1Z","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2026-01-01T00:00:00.2Z","message":{"role":"assistant","content":"H\u00e9"},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2026-01-01T00:00:00.3Z","message":{"role":"assistant","content":"llo 🙂"},"done":false}"#,
    "\r\n",
    r#"{"model":"qwen3","created_at":"2026-01-01T00:00:00.4Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1.0}}},{"id":"call_9","function":{"name":"g","arguments":{}}}]},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2026-01-01T00:00:00.5Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":5,"prompt_eval_count":11,"eval_count":3}"#,
    "\n",
);

fn plan(client: Dialect) -> ReplyPlan {
    ReplyPlan::new(client, &Request { model: "m".into(), ..Request::default() }, 7)
}

fn folded(stream: &str) -> Result<Value, Failure> {
    let mut folding = Folding::new(source(), plan(Dialect::Chat), 1 << 20);
    folding.push(stream.as_bytes())?;
    Ok(serde_json::from_slice(&folding.finish()?.body).unwrap())
}

#[test]
fn lines_become_an_answer() {
    let got = folded(LINES).unwrap();
    let message = &got["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(message["content"], "Héllo 🙂");
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], r#"{"a":1.0}"#);
    assert_eq!(message["tool_calls"][1]["id"], "call_9");
    assert_eq!(message["tool_calls"][1]["function"]["arguments"], "{}");
    assert_eq!(got["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(got["usage"]["prompt_tokens"], 11);
    assert_eq!(got["usage"]["completion_tokens"], 3);
}

#[test]
fn a_whole_answer_is_one_line() {
    let body = json!({"model": "qwen3", "created_at": "x", "done": true, "done_reason": "length",
        "message": {"role": "assistant", "content": "Hi"}, "prompt_eval_count": 1, "eval_count": 2});
    let read = |body: &[u8]| {
        translate_response(body, &source(), &plan(Dialect::Anth))
            .map(|answer| serde_json::from_slice::<Value>(&answer.body).unwrap())
    };
    let got = read(body.to_string().as_bytes()).unwrap();
    assert_eq!(got["content"], json!([{"type": "text", "text": "Hi"}]));
    assert_eq!(got["stop_reason"], "max_tokens");
    assert_eq!(got["usage"]["input_tokens"], 1);
    assert_eq!(read(LINES.as_bytes()).unwrap()["stop_reason"], "tool_use");
    assert_eq!(read(b" "), Err(Failure::Empty));
    assert!(matches!(read(b"<html>"), Err(Failure::NotAnAnswer(_))));
    assert!(matches!(read(br#"{"error":"no such model"}"#), Err(Failure::Upstream(_))));
    let empty = br#"{"model":"m","message":{"content":""},"done":true,"done_reason":"stop"}"#;
    assert_eq!(read(empty), Err(Failure::Empty));
}

#[test]
fn broken_streams_are_failures() {
    let cut: String = LINES.split_inclusive('\n').take(2).collect();
    assert_eq!(folded(&cut), Err(Failure::Truncated));
    let failed = folded(&format!("{cut}{{\"error\":\"model runner has stopped\"}}\n"));
    let Err(Failure::Upstream(error)) = failed else { panic!("{failed:?}") };
    assert_eq!(error.body.message.as_deref(), Some("model runner has stopped"));
    let mut lenient = source();
    lenient.profile.eof_is_end = true;
    let mut folding = Folding::new(lenient, plan(Dialect::Chat), 1 << 20);
    folding.push(cut.as_bytes()).unwrap();
    assert!(folding.finish().is_ok());
}

fn events(chunks: &[&[u8]]) -> Vec<crate::ir::Event> {
    let mut reader = EventReader::new(source(), 1 << 20);
    let mut out = Vec::new();
    chunks.iter().for_each(|chunk| reader.push(chunk, &mut out));
    reader.finish(&mut out);
    out
}

proptest! {
    #[test]
    fn lines_read_alike_however_they_are_cut(cuts in prop::collection::vec(0..LINES.len(), 0..6)) {
        let mut cuts = cuts;
        cuts.extend([0, LINES.len()]);
        cuts.sort_unstable();
        let bytes = LINES.as_bytes();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let got = events(&chunks);
        let mut order = EventOrder::default();
        for event in &got {
            prop_assert!(order.check(event).is_ok());
        }
        prop_assert_eq!(got, events(&[bytes]));
    }

    #[test]
    fn t180_any_lines_are_read_in_order(
        lines in prop::collection::vec(prop::sample::select(vec![
            "{}", "{\"done\":true}", "{\"message\":5}", "{\"message\":{\"content\":[1]}}", "null", "x",
            "{\"message\":{\"tool_calls\":[{},{\"function\":{\"name\":\"f\",\"arguments\":\"[\"}},7]}}",
            "{\"message\":{\"content\":\"a\",\"thinking\":\"b\"}}", "{\"error\":{}}", "[{}]", "data: {}",
        ]), 0..8),
        tail in any::<Vec<u8>>(),
    ) {
        let mut stream = lines.join("\n").into_bytes();
        stream.extend(&tail);
        let mut order = EventOrder::default();
        for event in events(&[&stream]) {
            prop_assert!(order.check(&event).is_ok());
        }
        prop_assert!(order.is_ended());
    }
}
