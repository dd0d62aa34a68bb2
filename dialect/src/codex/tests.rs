//! Requests as the backend takes them, and its answers (translation §5.1, T168–T170).

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Dialect;
use crate::ir::{Failure, Request};
use crate::profile::CodexSystem;
use crate::translate::{
    Envelope, Folding, NoSignatures, PrepareCx, ReplyPlan, RequestTranslator, Source,
    StreamTranslator, Target, TranslateError, Warnings,
};

const CX: CodexRequest<'_> =
    CodexRequest { model: "gpt-5.5", conversation: Some("conv"), image_tool: false };
const ENCRYPTED: &str = "reasoning.encrypted_content";

fn fitted(body: &Value) -> Value {
    let body = fit_request(body.to_string().as_bytes(), &CX, &mut Warnings::default()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// The items that the backend gets for these.
fn items(input: &Value) -> Value {
    fitted(&json!({ "model": "m", "input": input }))["input"].clone()
}

fn said(role: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]})
}

#[test]
fn t168_members_are_set_and_left_out() {
    let mut warnings = Warnings::default();
    let body = json!({
        "model": "cx/gpt-5.5", "input": "Hi", "temperature": 0.2, "top_p": 1, "user": "u",
        "metadata": {"a": "b"}, "max_output_tokens": 9, "truncation": "auto", "store": true,
        "previous_response_id": null, "safety_identifier": "s", "prompt_cache_retention": "24h",
        "prompt_cache_key": "own", "include": ["file_search_call.results"],
        "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "client_metadata": {"x": 1},
        "parallel_tool_calls": true, "tool_choice": "auto", "service_tier": "fast",
    });
    let got = fit_request(body.to_string().as_bytes(), &CX, &mut warnings).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&got).unwrap(),
        json!({
            "model": "gpt-5.5", "instructions": "", "input": [said("user", "Hi")],
            "reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"},
            "include": ["file_search_call.results", ENCRYPTED], "service_tier": "priority",
            "prompt_cache_key": "own", "client_metadata": {"x": 1}, "store": false, "stream": true,
        })
    );
    let fields: Vec<&str> = warnings.as_slice().iter().map(|warning| &*warning.field).collect();
    for field in ["temperature", "top_p", "user", "metadata", "max_output_tokens", "truncation"] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    assert!(!fields.contains(&"previous_response_id"), "null says nothing");
}

#[test]
fn t168_what_the_client_says_of_reasoning_stays() {
    for (reasoning, include, want_reasoning, want_include) in [
        (Value::Null, Value::Null, Value::Null, json!([ENCRYPTED])),
        (
            json!({"effort": "high", "summary": "detailed"}),
            json!([ENCRYPTED]),
            json!({"effort": "high", "summary": "detailed"}),
            json!([ENCRYPTED]),
        ),
        (
            json!({"effort": "none", "summary": null}),
            json!(["x"]),
            json!({"effort": "none", "summary": "auto"}),
            json!(["x"]),
        ),
        (
            json!({"effort": "none"}),
            Value::Null,
            json!({"effort": "none", "summary": "auto"}),
            Value::Null,
        ),
    ] {
        let got = fitted(
            &json!({"model": "m", "input": "q", "reasoning": reasoning, "include": include}),
        );
        assert_eq!(got["reasoning"], want_reasoning);
        assert_eq!(got["include"], want_include);
    }
}

#[test]
fn t168_items_lose_what_only_a_store_knows() {
    let long = "x".repeat(70);
    let got = items(&json!([
        {"role": "system", "content": "S"},
        {"type": "message", "id": "msg_1", "role": "user", "content": [
            {"type": "input_text", "text": "q", "prompt_cache_breakpoint": {"a": 1}},
            {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
            {"type": "input_image", "image_url": "data:,", "detail": "low"},
        ]},
        {"type": "reasoning", "id": "rs_0", "summary": []},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"},
        {"type": "function_call", "id": "fc_1", "call_id": long, "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "id": "x", "call_id": long, "output": "1"},
        {"type": "local_shell_call", "id": "l", "call_id": "c2", "action": {}},
        {"type": "local_shell_call_output", "id": "c2", "output": "2"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ]));
    let short = got[3]["call_id"].as_str().unwrap().to_owned();
    assert!(short.len() <= 64);
    assert_eq!(
        got,
        json!([
            {"role": "developer", "content": "S"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "q"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
                {"type": "input_image", "image_url": "data:,", "detail": "low"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"},
            {"type": "function_call", "call_id": short, "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": short, "output": "1"},
            {"type": "local_shell_call", "call_id": "c2", "action": {}},
            {"type": "local_shell_call_output", "id": "c2", "output": "2"},
            {"type": "web_search_call", "status": "completed"},
        ])
    );
}

#[test]
fn t168_results_that_no_call_asked_for_become_words() {
    let image = json!({"type": "input_image", "image_url": "data:,", "detail": "auto"});
    let output = json!([{"type": "input_text", "text": "a"}, image, {"type": "x"}]);
    let got = items(&json!([
        {"type": "function_call_output", "call_id": "c", "output": output},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "b"},
    ]));
    let mut first = said("user", r#"[tool result c] a{"type":"x"}"#);
    first["content"].as_array_mut().unwrap().push(image);
    assert_eq!(got[0], first);
    assert_eq!(got[1]["type"], "function_call");
    assert_eq!(got[2], said("user", "[tool result d] b"));
}

#[test]
fn bytes_that_need_no_change_are_kept() {
    let item = r#"{ "type" : "message","role":"user", "content":[ {"type":"input_text","text":"\u00e9", "n":1.0} ] }"#;
    let tool = r#"{ "type":"custom", "name" : "c" }"#;
    let body = format!(r#"{{"model":"m","input":[ {item} ],"tools":[ {tool} ]}}"#);
    let got = fit_request(body.as_bytes(), &CX, &mut Warnings::default()).unwrap();
    let got = String::from_utf8(got).unwrap();
    assert!(got.contains(item) && got.contains(tool), "{got}");
}

#[test]
fn tools_are_declared_as_the_backend_knows_them() {
    let nothing = json!({"type": "object", "properties": {}});
    let own = json!({"properties": {"a": {}}, "type": "object"});
    let got = fitted(&json!({"model": "m", "input": "q", "parallel_tool_calls": false, "tools": [
        {"type": "web_search_preview_2025_03_11", "search_context_size": "low"},
        {"type": "function", "name": "a"},
        {"type": "function", "name": "b", "parameters": {"type": "object"}, "strict": false},
        {"type": "function", "name": "c", "parameters": own},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "d", "parameters": null}]},
        {"type": "local_shell"},
    ], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [
        {"type": "web_search_preview"}, {"type": "function", "name": "a"}]}}));
    assert_eq!(
        got["tools"],
        json!([
            {"type": "web_search", "search_context_size": "low"},
            {"type": "function", "name": "a", "parameters": nothing},
            {"type": "function", "name": "b", "parameters": nothing, "strict": false},
            {"type": "function", "name": "c", "parameters": own},
            {"type": "namespace", "name": "n", "tools": [
                {"type": "function", "name": "d", "parameters": nothing}]},
            {"type": "local_shell"},
        ])
    );
    assert_eq!(got["tool_choice"]["tools"][0], json!({"type": "web_search"}));
    assert_eq!(got["parallel_tool_calls"], false);
    let several = fitted(&json!({"model": "m", "input": "q", "tools": [{"type": "local_shell"}]}));
    assert_eq!(several["parallel_tool_calls"], true);
}

#[test]
fn the_image_tool_is_offered_once_and_only_on_demand() {
    let offered = |tools: Value, image_tool| {
        let body = json!({"model": "m", "input": "q", "tools": tools}).to_string();
        let cx = CodexRequest { image_tool, ..CX };
        let got = fit_request(body.as_bytes(), &cx, &mut Warnings::default()).unwrap();
        serde_json::from_slice::<Value>(&got).unwrap()["tools"].clone()
    };
    let tool = json!({"type": "image_generation", "output_format": "png"});
    assert_eq!(offered(json!([]), false), Value::Null);
    assert_eq!(offered(json!([]), true), json!([tool]));
    let own = json!([{"type": "image_generation"}]);
    assert_eq!(offered(own.clone(), true), own);
}

#[test]
fn nothing_is_invented_and_no_beginning_is_lost() {
    for (input, further) in [
        (json!(""), json!({})),
        (json!([]), json!({})),
        (json!(5), json!({})),
        (Value::Null, json!({})),
        (json!([{"type": "reasoning", "summary": []}]), json!({})),
        (json!("q"), json!({"previous_response_id": "resp_1"})),
        (json!("q"), json!({"conversation": {"id": "conv_1"}})),
        (json!("q"), json!({"background": true})),
        (json!([{"type": "item_reference", "id": "msg_1"}]), json!({})),
    ] {
        let mut body = json!({"model": "m", "input": input});
        body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let got = fit_request(body.to_string().as_bytes(), &CX, &mut Warnings::default());
        assert!(got.is_err(), "{body}");
    }
    for body in [&b"[]"[..], b"{", b"", b"\xff", b"{\"a\":1}x"] {
        let got = fit_request(body, &CX, &mut Warnings::default());
        assert!(matches!(got, Err(TranslateError::Body(_))), "{body:?}");
    }
}

#[test]
fn conversations_are_compacted_without_a_stream() {
    let body = json!({"model": "m", "input": "q", "instructions": "I", "stream": true, "store": true,
        "include": ["x"], "reasoning": {"effort": "low"}, "parallel_tool_calls": true,
        "temperature": 1, "tools": [{"type": "local_shell"}]});
    let got = fit_compact(body.to_string().as_bytes(), &CX, &mut Warnings::default()).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&got).unwrap(),
        json!({"model": "gpt-5.5", "instructions": "I", "input": [said("user", "q")],
            "tools": [{"type": "local_shell"}], "prompt_cache_key": "conv"})
    );
}

#[test]
fn addresses_are_noticed_wherever_media_stand() {
    for (item, want) in [
        (
            json!({"role": "user", "content": [{"type": "input_image", "image_url": "https://a/b"}]}),
            true,
        ),
        (
            json!({"role": "user", "content": [{"type": "input_file", "file_url": "HTTP://a/b"}]}),
            true,
        ),
        (
            json!({"type": "function_call_output", "call_id": "c", "output": [
            {"type": "input_image", "image_url": "http://a/b"}]}),
            true,
        ),
        (
            json!({"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}),
            false,
        ),
        (json!({"role": "user", "content": "image_url https://a/b"}), false),
    ] {
        let body = json!({"model": "m", "input": [item]}).to_string();
        assert_eq!(needs_media(body.as_bytes()), want, "{body}");
    }
    assert!(!needs_media(b"image_url") && !needs_media(b"\xff"));
}

fn target() -> Target {
    Target {
        envelope: Envelope::Codex,
        conversation: Some("conv".into()),
        ..Target::new(Dialect::Resp, "gpt-5.5")
    }
}

/// A request of a client, as it reaches the backend.
fn sent(client: Dialect, target: &Target, body: &Value) -> Value {
    let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
    let translator = RequestTranslator::decode(client, body.to_string().as_bytes()).unwrap();
    let encoded = translator.prepare(target, &cx).unwrap().encode().unwrap();
    serde_json::from_slice(&encoded.body).unwrap()
}

#[test]
fn instructions_of_other_dialects_lead_the_conversation() {
    let chat = json!({"model": "m", "max_tokens": 5, "temperature": 0.1, "messages": [
        {"role": "system", "content": "A"}, {"role": "system", "content": "B"},
        {"role": "user", "content": "q"}]});
    let got = sent(Dialect::Chat, &target(), &chat);
    assert_eq!(
        got,
        json!({"model": "gpt-5.5", "instructions": "",
            "input": [said("developer", "A\n\nB"), said("user", "q")],
            "include": [ENCRYPTED], "prompt_cache_key": "conv", "store": false, "stream": true})
    );
    let mut fixed = target();
    fixed.profile.codex_system = CodexSystem::Instructions;
    let got = sent(Dialect::Chat, &fixed, &chat);
    assert_eq!(
        (&got["instructions"], &got["input"]),
        (&json!("A\n\nB"), &json!([said("user", "q")]))
    );
    let own = json!({"model": "m", "instructions": "I", "input": "q"});
    assert_eq!(sent(Dialect::Resp, &target(), &own)["instructions"], "I");
    let alone = json!({"model": "m", "messages": [{"role": "system", "content": "A"}]});
    assert_eq!(sent(Dialect::Chat, &target(), &alone)["input"], json!([said("user", "A")]));
}

/// The events of an answer as the backend sends it: the last one lists nothing.
const ANSWER: &str = concat!(
    "event: codex.rate_limits\n",
    "data: {\"type\":\"codex.rate_limits\",\"rate_limits\":{\"primary\":{\"used_percent\":5}}}\n\n",
    "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"model\":\"gpt-5.5\",\"created_at\":7}}\n\n",
    "data: {\"type\":\"response.output_item.done\",\"output_index\":1,\"item\":{\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"}}\n\n",
    "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\"}]}}\n\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}}\n\n",
);

fn source() -> Source {
    Source { envelope: Envelope::Codex, ..Source::new(Dialect::Resp) }
}

fn plan(client: Dialect) -> ReplyPlan {
    ReplyPlan::new(client, &Request { model: "m".into(), ..Request::default() }, 0)
}

fn whole(client: Dialect, stream: &str, split: usize) -> Result<Value, Failure> {
    let mut folding = Folding::new(source(), plan(client), 1 << 20);
    let (head, tail) = stream.as_bytes().split_at(split.min(stream.len()));
    folding.push(head)?;
    folding.push(tail)?;
    Ok(serde_json::from_slice(&folding.finish()?.body).unwrap())
}

#[test]
fn t169_an_answer_is_gathered_from_its_items_in_their_order() {
    for split in [0, 100, 400, 700] {
        let got = whole(Dialect::Resp, ANSWER, split).unwrap();
        let kinds: Vec<&str> =
            got["output"].as_array().unwrap().iter().map(|i| i["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["message", "function_call"]);
        assert_eq!(got["usage"]["total_tokens"], 5);
    }
    let got = whole(Dialect::Chat, ANSWER, 9).unwrap();
    assert_eq!(got["choices"][0]["message"]["content"], "Hi");
    assert_eq!(got["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn t170_answers_that_break_off_say_so() {
    let created = ANSWER.split_inclusive("\n\n").take(2).collect::<String>();
    assert_eq!(whole(Dialect::Chat, &created, 5), Err(Failure::Truncated));
    for code in ["rate_limit_exceeded", "server_is_overloaded", "context_length_exceeded"] {
        let failed = format!(
            "{created}data: {{\"type\":\"response.failed\",\"response\":{{\"status\":\"failed\",\
             \"error\":{{\"code\":\"{code}\",\"message\":\"m\"}}}}}}\n\n"
        );
        let mut stream =
            StreamTranslator::new(source(), plan(Dialect::Anth), crate::Framing::Sse, 1 << 20);
        let failure = stream.push(failed.as_bytes(), &mut Vec::new()).unwrap_err();
        let Failure::Upstream(error) = failure else { panic!("{failure:?}") };
        assert_eq!(error.body.code.as_deref(), Some(code));
        // Nothing was said yet: another account may be asked.
        assert!(!stream.content_seen());
    }
}

proptest! {
    #[test]
    fn t180_any_bytes_are_read_without_a_panic(body in any::<Vec<u8>>()) {
        let fitted = fit_request(&body, &CX, &mut Warnings::default());
        prop_assert!(fitted.is_err() || !body.is_empty());
        prop_assert!(!needs_media(&body) || body.contains(&b'h') || body.contains(&b'H'));
    }

    #[test]
    fn t180_odd_members_do_no_harm(
        values in prop::collection::vec(
            prop::sample::select(vec![
                "null", "1", "\"x\"", "[]", "{}", "[[]]", "[{}]", "[1,\"a\",{\"type\":1}]",
                "[{\"type\":\"function\"}]", "{\"type\":\"allowed_tools\",\"tools\":5}",
                "[{\"type\":\"message\",\"content\":[{\"type\":\"input_image\"}]}]",
                "[{\"type\":\"x_output\",\"call_id\":7}]", "[{\"role\":\"system\",\"id\":{}}]",
            ]),
            8,
        ),
    ) {
        let keys = ["input", "tools", "tool_choice", "reasoning", "include", "instructions",
            "service_tier", "prompt_cache_key"];
        let members: Vec<String> =
            keys.iter().zip(&values).map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let body = format!("{{{}}}", members.join(","));
        if let Ok(got) = fit_request(body.as_bytes(), &CX, &mut Warnings::default()) {
            let got: Value = serde_json::from_slice(&got).unwrap();
            prop_assert!(got["input"].as_array().is_some_and(|items| !items.is_empty()));
            prop_assert_eq!(&got["store"], &Value::Bool(false));
        }
    }
}
