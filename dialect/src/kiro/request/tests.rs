use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::Dialect;
use crate::ir::SigFamily;
use crate::translate::{
    Envelope, EnvelopeIds, ModelCaps, NoSignatures, PrepareCx, RequestTranslator,
};

const CX: PrepareCx<'_> = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };

fn target(model: &'static str) -> Target {
    Target {
        envelope: Envelope::Kiro,
        family: if model.contains("claude") { SigFamily::Claude } else { SigFamily::Unknown },
        conversation: Some("c-1".into()),
        ids: EnvelopeIds { profile_arn: Some("arn:p".into()), ..EnvelopeIds::default() },
        ..Target::new(Dialect::Anth, model)
    }
}

fn encoded(client: Dialect, target: &Target, body: &Value) -> Result<Value, TranslateError> {
    let translator = RequestTranslator::decode(client, body.to_string().as_bytes()).unwrap();
    let encoded = translator.prepare(target, &CX)?.encode()?;
    Ok(serde_json::from_slice(&encoded.body).unwrap())
}

/// A request of a chat client, as it reaches Kiro.
fn sent(body: &Value) -> Value {
    encoded(Dialect::Chat, &target("claude-sonnet-4.5"), body).unwrap()
}

fn chat(messages: Value) -> Value {
    json!({ "model": "m", "messages": messages })
}

fn user_message(content: &str) -> Value {
    json!({"userInputMessage": {"content": content, "modelId": "claude-sonnet-4.5", "origin": "AI_EDITOR"}})
}

#[test]
fn a_plain_question_has_the_form_of_the_service() {
    let mut body = chat(json!([
        {"role": "system", "content": "S"},
        {"role": "developer", "content": "D"},
        {"role": "user", "content": "q"},
    ]));
    body["max_tokens"] = json!(50);
    body["temperature"] = json!(0.5);
    assert_eq!(
        sent(&body),
        json!({
            "conversationState": {
                "chatTriggerType": "MANUAL",
                "conversationId": "c-1",
                "agentTaskType": "vibe",
                "currentMessage": user_message("S\n\nD\n\nq"),
            },
            "profileArn": "arn:p",
            "inferenceConfig": {"maxTokens": 50, "temperature": 0.5},
        })
    );
}

#[test]
fn t175_turns_alternate_and_results_are_where_their_calls_are_answered() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let mut body = chat(json!([
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": [
            {"type": "text", "text": "b"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]},
        {"role": "assistant", "content": null, "tool_calls": [call("t1", "{\"x\":12345678901234567890}"), call("t2", "{bad")]},
        {"role": "tool", "tool_call_id": "t2", "content": "two"},
        {"role": "tool", "tool_call_id": "t1", "content": "one"},
        {"role": "assistant", "content": "so"},
        {"role": "tool", "tool_call_id": "gone", "content": "orphan"},
    ]));
    body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    let got = sent(&body);
    let state = &got["conversationState"];
    let history = state["history"].as_array().unwrap();
    assert_eq!(history.len(), 4);
    let first = &history[0]["userInputMessage"];
    assert_eq!(first["content"], "S\n\na\n\nb");
    assert_eq!(first["images"], json!([{"format": "png", "source": {"bytes": "AAAA"}}]));
    let asked = &history[1]["assistantResponseMessage"];
    assert_eq!(asked["content"], ".");
    assert_eq!(asked["toolUses"][1]["input"], json!({"_raw": "{bad"}));
    let raw = serde_json::to_string(&asked["toolUses"][0]["input"]).unwrap();
    assert!(raw.starts_with("{\"x\":1234567890"), "{raw}");
    let answered = &history[2]["userInputMessage"];
    assert_eq!(answered["content"], "Tool results provided.");
    let result = |id: &str, text: &str| json!({"toolUseId": id, "status": "success", "content": [{"text": text}]});
    assert_eq!(
        answered["userInputMessageContext"],
        json!({"toolResults": [result("t1", "one"), result("t2", "two")]})
    );
    assert_eq!(history[3], json!({"assistantResponseMessage": {"content": "so"}}));
    let current = &state["currentMessage"]["userInputMessage"];
    assert_eq!(current["content"], "[tool result gone] orphan");
    let tools = json!([{"toolSpecification": {
        "name": "f", "description": "f",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
    }}]);
    assert_eq!(current["userInputMessageContext"], json!({ "tools": tools }));
}

#[test]
fn t175_the_last_results_come_with_the_current_message() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a.b", "name": "f", "input": {"x": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a.b", "is_error": true, "content": [
            {"type": "text", "text": "boom"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "BBBB"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "CCCC"}},
        ]}]},
    ], "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    let got = encoded(Dialect::Anth, &target("claude-sonnet-4.5"), &body).unwrap();
    let state = &got["conversationState"];
    assert_eq!(state["history"][0], user_message("…"));
    assert_eq!(state["history"][1]["assistantResponseMessage"]["toolUses"][0]["toolUseId"], "a_b");
    let current = &state["currentMessage"]["userInputMessage"];
    assert_eq!(
        current["userInputMessageContext"]["toolResults"],
        json!([{"toolUseId": "a_b", "status": "error", "content": [
            {"text": "boom\n\n[image omitted: its format is not supported]"},
        ]}])
    );
    assert_eq!(current["images"], json!([{"format": "webp", "source": {"bytes": "BBBB"}}]));
}

#[test]
fn the_last_word_is_the_users() {
    for (messages, want) in [
        (
            json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "Sure: "}]),
            "Continue.",
        ),
        (json!([{"role": "system", "content": "S"}]), "S"),
        (json!([{"role": "user", "content": "  "}, {"role": "user", "content": "q"}]), "q"),
    ] {
        let got = sent(&chat(messages));
        assert_eq!(got["conversationState"]["currentMessage"]["userInputMessage"]["content"], want);
    }
    // A call that has no result yet: the service's own error is the honest one.
    let waiting = chat(json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    ]));
    let state = &sent(&waiting)["conversationState"];
    assert_eq!(state["currentMessage"], user_message("."));
    assert_eq!(state["history"].as_array().unwrap().len(), 2);
}

#[test]
fn tools_are_declared_as_the_service_takes_them() {
    let long = "é".repeat(10_001);
    let mut body = chat(json!([{"role": "user", "content": "q"}]));
    let schema = json!({"type": "object", "additionalProperties": false, "required": [], "properties": {
        "a": {"type": "object", "additionalProperties": {}, "properties": {"b": {"type": "string"}}, "required": ["b", "gone"]},
        "additionalProperties": {"type": "string"},
    }});
    body["tools"] = json!([
        {"type": "function", "function": {"name": "my tool!", "description": "", "parameters": schema}},
        {"type": "function", "function": {"name": "x".repeat(70), "description": long}},
        {"type": "web_search_preview"},
    ]);
    let got = sent(&body);
    let tools = &got["conversationState"]["currentMessage"]["userInputMessage"]["userInputMessageContext"]
        ["tools"];
    let specification = |at: usize| &tools[at]["toolSpecification"];
    assert_eq!(specification(0)["name"], "my_tool_");
    assert_eq!(specification(0)["description"], "my_tool_");
    assert_eq!(
        specification(0)["inputSchema"]["json"],
        json!({"type": "object", "properties": {
            "a": {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
            "additionalProperties": {"type": "string"},
        }})
    );
    assert_eq!(specification(1)["name"].as_str().unwrap().len(), 64);
    assert_eq!(specification(1)["description"].as_str().unwrap().chars().count(), 10_000);
    assert_eq!(tools.as_array().unwrap().len(), 2);

    body["tool_choice"] = json!("none");
    let got = sent(&body);
    assert!(
        got["conversationState"]["currentMessage"]["userInputMessage"]["userInputMessageContext"]
            .is_null()
    );
}

#[test]
fn built_in_tools_of_messages_become_functions_or_go() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}], "tools": [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "web_search"},
    ]});
    let got = encoded(Dialect::Anth, &target("claude-sonnet-4.5"), &body).unwrap();
    let tools = &got["conversationState"]["currentMessage"]["userInputMessage"]["userInputMessageContext"]
        ["tools"];
    assert_eq!(tools.as_array().unwrap().len(), 1);
    assert_eq!(tools[0]["toolSpecification"]["name"], "bash");
}

#[test]
fn reasoning_is_asked_for_in_the_models_own_way() {
    let mut body =
        chat(json!([{"role": "system", "content": "S"}, {"role": "user", "content": "q"}]));
    body["reasoning_effort"] = json!("medium");
    let tagged = sent(&body);
    let tags =
        "<thinking_mode>enabled</thinking_mode><max_thinking_length>8192</max_thinking_length>";
    let content = &tagged["conversationState"]["currentMessage"]["userInputMessage"]["content"];
    assert_eq!(content, &json!(format!("{tags}\nS\n\nq")));
    assert!(tagged["additionalModelRequestFields"].is_null());

    let translator = RequestTranslator::decode(Dialect::Chat, body.to_string().as_bytes()).unwrap();
    let prepared = translator.prepare(&target("claude-sonnet-4.5"), &CX).unwrap();
    assert!(prepared.plan.think_tags);

    let adaptive = encoded(Dialect::Chat, &target("claude-opus-4.8"), &body).unwrap();
    assert_eq!(adaptive["additionalModelRequestFields"]["output_config"]["effort"], "medium");
    assert_eq!(
        adaptive["conversationState"]["currentMessage"]["userInputMessage"]["content"],
        "S\n\nq"
    );
    let gpt = encoded(Dialect::Chat, &target("gpt-5.6-sol"), &body).unwrap();
    assert_eq!(gpt["additionalModelRequestFields"], json!({"reasoning": {"effort": "medium"}}));
    let none = encoded(Dialect::Chat, &target("deepseek-3.2"), &body).unwrap();
    assert!(none["additionalModelRequestFields"].is_null());
}

#[test]
fn reasoning_of_the_history_is_not_taken_back_and_stops_nothing() {
    let body = json!({"model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 4000}, "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "S"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
    ], "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    let got = encoded(Dialect::Anth, &target("claude-sonnet-4.5"), &body).unwrap();
    let text = got.to_string();
    assert!(!text.contains("hm\"") && text.contains("<max_thinking_length>4000<"), "{text}");
    let current = &got["conversationState"]["currentMessage"]["userInputMessage"];
    let results = &current["userInputMessageContext"]["toolResults"];
    assert_eq!(results[0]["content"], json!([{"text": "(empty)"}]));
}

#[test]
fn caps_and_limits_are_kept() {
    let question = || chat(json!([{"role": "user", "content": "q"}]));
    let caps = |most| Target {
        caps: ModelCaps { max_output: most, vision: Some(false), ..ModelCaps::default() },
        ..target("deepseek-3.2")
    };
    for (asked, most, want) in [
        (json!(null), None, 32_000),
        (json!(null), Some(8000), 8000),
        (json!(9000), Some(8000), 8000),
        (json!(64_000), Some(128_000), 64_000),
        (json!(0), None, 32_000),
    ] {
        let mut body = question();
        body["max_tokens"] = asked;
        let got = encoded(Dialect::Chat, &caps(most), &body).unwrap();
        assert_eq!(got["inferenceConfig"], json!({ "maxTokens": want }));
    }
    let image = chat(json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]}]));
    let got = encoded(Dialect::Chat, &caps(None), &image).unwrap();
    let current = &got["conversationState"]["currentMessage"]["userInputMessage"];
    assert_eq!(current["content"], "[image omitted: model has no vision]");

    let long = chat(json!([{"role": "user", "content": "x".repeat(BODY_LIMIT)}]));
    let error = encoded(Dialect::Chat, &target("claude-sonnet-4.5"), &long).unwrap_err();
    assert!(
        matches!(error, TranslateError::TooLong { limit: BODY_LIMIT, .. })
            && error.is_target_specific()
    );
    assert_eq!(error.to_api_error("r").kind, crate::ErrorKind::ContextLength);
}

#[test]
fn images_by_address_are_wanted_and_put_in() {
    let url = "https://example.org/a.jpg";
    let document = "https://example.org/a.pdf";
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": url}},
        {"type": "document", "source": {"type": "url", "url": document}},
    ]}]});
    let translator = RequestTranslator::decode(Dialect::Anth, body.to_string().as_bytes()).unwrap();
    let mut prepared = translator.prepare(&target("claude-sonnet-4.5"), &CX).unwrap();
    let wanted: Vec<_> = prepared.wanted_media().into_iter().map(|wanted| wanted.url).collect();
    assert_eq!(wanted, [url]);
    prepared.provide_media(url, "image/jpeg", &"AAAA".into());
    let got: Value = serde_json::from_slice(&prepared.encode().unwrap().body).unwrap();
    let current = &got["conversationState"]["currentMessage"]["userInputMessage"];
    assert_eq!(current["images"], json!([{"format": "jpeg", "source": {"bytes": "AAAA"}}]));
    assert_eq!(current["content"], "[document omitted]");
}

#[test]
fn a_conversation_without_an_id_keeps_the_one_it_is_given() {
    let nobody = Target { conversation: None, ..target("claude-sonnet-4.5") };
    let id = |messages: Value| {
        let got = encoded(Dialect::Chat, &nobody, &chat(messages)).unwrap();
        got["conversationState"]["conversationId"].as_str().unwrap().to_owned()
    };
    let first = id(json!([{"role": "user", "content": "a"}]));
    let second = id(json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]));
    assert_eq!(first, second);
    assert_ne!(first, id(json!([{"role": "user", "content": "b"}])));
    let groups: Vec<usize> = first.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    let digit = |at: usize| first.chars().nth(at).unwrap();
    assert!(digit(14) == '8' && "89ab".contains(digit(19)), "{first}");
}

#[test]
fn an_answers_form_is_told_in_words() {
    let mut body = chat(json!([{"role": "user", "content": "q"}]));
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "title": "T9"}}});
    let capable = Target {
        caps: ModelCaps { structured_output: Some(true), ..ModelCaps::default() },
        ..target("claude-sonnet-4.5")
    };
    let got = encoded(Dialect::Chat, &capable, &body).unwrap();
    assert!(got.to_string().contains("T9"), "{got}");
}

proptest! {
    #[test]
    fn t180_any_history_is_well_formed(turns in proptest::collection::vec((0_usize..6, "[a-z{\" ]{0,4}"), 1..8)) {
        let messages: Vec<Value> = turns.iter().map(|(kind, text)| match kind {
            0 => json!({"role": "user", "content": text}),
            1 => json!({"role": "assistant", "content": text}),
            2 => json!({"role": "assistant", "tool_calls": [{"id": text, "type": "function", "function": {"name": "f", "arguments": text}}]}),
            3 => json!({"role": "tool", "tool_call_id": text, "content": text}),
            4 => json!({"role": "system", "content": text}),
            _ => json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": text}}]}),
        }).collect();
        let Ok(got) = encoded(Dialect::Chat, &target("claude-sonnet-4.5"), &chat(messages.into())) else {
            return Ok(());
        };
        let state = &got["conversationState"];
        let mut all = state["history"].as_array().cloned().unwrap_or_default();
        all.push(state["currentMessage"].clone());
        let mut called: Vec<Value> = Vec::new();
        for (at, message) in all.iter().enumerate() {
            let key = if at % 2 == 0 { "userInputMessage" } else { "assistantResponseMessage" };
            let content = message[key]["content"].as_str();
            prop_assert!(content.is_some_and(|content| !content.is_empty()), "{got}");
            let ids = |list: &Value| -> Vec<Value> {
                list.as_array().into_iter().flatten().map(|one| one["toolUseId"].clone()).collect()
            };
            let results = ids(&message[key]["userInputMessageContext"]["toolResults"]);
            prop_assert!(results.iter().all(|id| called.contains(id)), "{got}");
            called = ids(&message[key]["toolUses"]);
        }
    }
}
