//! Requests: calls of tools and their results (T034–T052, T081).

use ninerouter_dialect::Dialect::{Anth, Chat, Gem, Resp};
use serde_json::{Value, json};

use crate::pipeline::{call, model, plain, sent, text, turns};

const PIXEL: &str = "iVBORw0KGgo=";

fn user(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

fn calls(calls: &[Value]) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn output(id: &str, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

fn result(id: &str, content: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": [text(content)]})
}

fn tool_use(id: &str, name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

/// The messages that a chat history becomes.
fn to_anth(messages: Value) -> Value {
    sent(Chat, &plain(Anth), &turns(Chat, messages))["messages"].take()
}

/// The messages that a history of Anthropic becomes.
fn to_chat(messages: Value) -> Value {
    sent(Anth, &plain(Chat), &turns(Anth, messages))["messages"].take()
}

#[test]
fn t034_results_stand_in_the_order_of_the_calls() {
    let got = to_anth(json!([
        user("q"),
        calls(&[call("a", "f", "{}"), call("b", "g", "{}")]),
        output("b", "2"),
        output("a", "1"),
    ]));
    let results = json!({"role": "user", "content": [result("a", "1"), result("b", "2")]});
    assert_eq!(got[2], results);
    assert_eq!(got.as_array().unwrap().len(), 3);
}

#[test]
fn t035_a_missing_result_is_made_up_for() {
    let history = json!([
        user("q"),
        calls(&[call("a", "f", "{}"), call("b", "g", "{}")]),
        output("a", "1"),
        user("go"),
    ]);
    let missing = "[no result: the tool call was interrupted]";
    let mut failed = result("b", missing);
    failed["is_error"] = true.into();
    let want = json!({"role": "user", "content": [result("a", "1"), failed, text("go")]});
    assert_eq!(to_anth(history.clone())[2], want);

    let body = turns(Chat, history);
    let got = sent(Chat, &plain(Gem), &body);
    let parts = got["contents"][2]["parts"].as_array().unwrap().clone();
    assert_eq!(parts.len(), 3, "{got}");
    assert_eq!(parts[1]["functionResponse"]["response"], json!({"error": missing}));
    let got = sent(Chat, &plain(Resp), &body);
    assert_eq!(got["input"][4]["call_id"], "b");
    assert_eq!(got["input"][4]["output"], format!("Error: {missing}"));
}

#[test]
fn t036_a_late_result_moves_up_to_its_call() {
    let got =
        to_anth(json!(
            [user("q"), calls(&[call("a", "f", "{}")]), user("wait"), output("a", "1"),]
        ));
    assert_eq!(got[2], json!({"role": "user", "content": [result("a", "1"), text("wait")]}));
    assert_eq!(got.as_array().unwrap().len(), 3);
}

#[test]
fn t037_a_result_of_nothing_becomes_text() {
    let history = json!([user("q"), output("zz", "out")]);
    let got = to_anth(history.clone());
    let told = "[tool result zz] out";
    assert_eq!(got, json!([{"role": "user", "content": [text("q"), text(told)]}]));
    let body = turns(Chat, history);
    let got = sent(Chat, &plain(Gem), &body);
    assert_eq!(got["contents"][0]["parts"][1], json!({"text": told}));
    let got = sent(Chat, &plain(Resp), &body);
    assert_eq!(got["input"][1]["content"], json!([{"type": "input_text", "text": told}]));
}

#[test]
fn t038_the_last_of_several_results_counts() {
    let got = to_anth(json!([
        user("q"),
        calls(&[call("a", "f", "{}")]),
        output("a", "1"),
        output("a", "2"),
    ]));
    assert_eq!(got[2], json!({"role": "user", "content": [result("a", "2")]}));
}

#[test]
fn t039_calls_that_still_wait_are_sent_as_they_are() {
    let got = to_anth(json!([user("q"), calls(&[call("a", "f", "{}")])]));
    assert_eq!(
        got,
        json!([
            {"role": "user", "content": [text("q")]},
            {"role": "assistant", "content": [tool_use("a", "f", json!({}))]},
        ])
    );
}

#[test]
fn t040_t041_blocks_become_messages() {
    let url = format!("data:image/png;base64,{PIXEL}");
    let image = json!({"type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    let got = to_chat(json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [text("x"), tool_use("a", "f", json!({"y": 1}))]},
        {"role": "user", "content": [result("a", "o"), text("more"), image]},
        {"role": "assistant", "content": [tool_use("b", "f", json!({}))]},
        {"role": "user", "content": [result("b", "p")]},
    ]));
    assert_eq!(
        got,
        json!([
            user("q"),
            {"role": "assistant", "content": "x", "tool_calls": [call("a", "f", "{\"y\":1}")]},
            output("a", "o"),
            {"role": "user", "content": [
                {"type": "text", "text": "more"},
                {"type": "image_url", "image_url": {"url": url}},
            ]},
            calls(&[call("b", "f", "{}")]),
            output("b", "p"),
        ])
    );
}

#[test]
fn t042_images_of_results_follow_all_results() {
    let image = json!({"type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [tool_use("a", "f", json!({})), tool_use("b", "f", json!({}))]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [text("t"), image]},
            result("b", "p"),
        ]},
    ]);
    let got = to_chat(history.clone());
    let placeholder = "[image omitted: see next message]";
    assert_eq!(got[2]["tool_call_id"], "a");
    assert_eq!(got[2]["content"], json!([text("t"), text(placeholder)]));
    assert_eq!(got[3], output("b", "p"));
    let url = format!("data:image/png;base64,{PIXEL}");
    let follows =
        json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]});
    assert_eq!(got[4], follows);

    let body = turns(Anth, history);
    let inline = json!({"inlineData": {"mimeType": "image/png", "data": PIXEL}});
    let got = sent(Anth, &model(Gem, "gemini-2.5-pro"), &body);
    assert_eq!(got["contents"][2]["parts"][2], inline, "beside the results: {got}");
    let got = sent(Anth, &model(Gem, "gemini-3-pro"), &body);
    let parts = &got["contents"][2]["parts"];
    assert_eq!(parts[0]["functionResponse"]["parts"], json!([inline]), "inside the result");
    let got = sent(Anth, &plain(Resp), &body);
    assert_eq!(
        got["input"][3]["output"],
        json!([{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": url}])
    );
}

#[test]
fn t043_t044_failed_calls_say_so() {
    let failed = |content: &str| {
        turns(
            Anth,
            json!([
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": [tool_use("a", "f", json!({}))]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": content},
                ]},
            ]),
        )
    };
    for (said, told) in [("boom", "Error: boom"), ("error: boom", "error: boom")] {
        let body = failed(said);
        assert_eq!(sent(Anth, &plain(Chat), &body)["messages"][2]["content"], told);
        assert_eq!(sent(Anth, &plain(Resp), &body)["input"][2]["output"], told);
        let got = sent(Anth, &plain(Gem), &body);
        let response = &got["contents"][2]["parts"][0]["functionResponse"]["response"];
        assert_eq!(*response, json!({"error": said}));
    }
}

#[test]
fn t045_t046_arguments_are_never_lost() {
    for (arguments, input) in [
        ("", "{}"),
        ("[1]", r#"{"value":[1]}"#),
        ("5", r#"{"value":5}"#),
        ("{bad", r#"{"_raw":"{bad"}"#),
        (r#"{"id":12345678901234567890}"#, r#"{"id":12345678901234567890}"#),
        (r#"{"x":1.0,"y":1e2}"#, r#"{"x":1.0,"y":1e2}"#),
    ] {
        let history = json!([user("q"), calls(&[call("a", "f", arguments)]), output("a", "o")]);
        let body = turns(Chat, history).to_string();
        for (target, key) in [(plain(Anth), "input"), (plain(Gem), "args")] {
            let body: Value = serde_json::from_str(&body).unwrap();
            let signatures = ninerouter_dialect::translate::NoSignatures;
            let sent = crate::pipeline::try_send(Chat, &target, &signatures, &body).unwrap();
            let sent = String::from_utf8(sent.body).unwrap();
            assert!(sent.contains(&format!("\"{key}\":{input}")), "{arguments}: {sent}");
        }
        let got = sent(Chat, &plain(Resp), &serde_json::from_str(&body).unwrap());
        let kept = if arguments.is_empty() { "{}" } else { arguments };
        assert_eq!(got["input"][1]["arguments"], kept);
    }
}

#[test]
fn t047_gemini_gets_objects_as_results() {
    for (content, response) in [
        (r#"{"a":1}"#, json!({"a": 1})),
        ("5", json!({"result": "5"})),
        ("[1]", json!({"result": "[1]"})),
        ("", json!({"result": ""})),
    ] {
        let history = json!([user("q"), calls(&[call("a", "f", "{}")]), output("a", content)]);
        let got = sent(Chat, &plain(Gem), &turns(Chat, history));
        assert_eq!(got["contents"][2]["parts"][0]["functionResponse"]["response"], response);
    }
}

#[test]
fn t048_calls_without_ids_get_the_same_ones_each_time() {
    let call = |n: u8| json!({"functionCall": {"name": "f", "args": {"n": n}}});
    let response = |n: u8| json!({"functionResponse": {"name": "f", "response": {"n": n}}});
    let body = turns(
        Gem,
        json!([
            {"role": "user", "parts": [{"text": "q"}]},
            {"role": "model", "parts": [call(1), call(2)]},
            {"role": "user", "parts": [response(1), response(2)]},
        ]),
    );
    let got = sent(Gem, &plain(Chat), &body);
    let messages = &got["messages"];
    let ids: Vec<&Value> =
        messages[1]["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.as_str().is_some_and(|id| id.starts_with("call_"))));
    for (at, id) in ids.into_iter().enumerate() {
        assert_eq!(messages[at + 2]["tool_call_id"], *id, "first in, first out");
        let content = messages[at + 2]["content"].as_str().unwrap();
        assert_eq!(content, format!("{{\"n\":{}}}", at + 1));
    }
    assert_eq!(sent(Gem, &plain(Chat), &body), got);
}

#[test]
fn t049_a_nameless_response_is_that_of_the_call_in_its_place() {
    let body = turns(
        Gem,
        json!([
            {"role": "user", "parts": [{"text": "q"}]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "g", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "", "response": {"n": 1}}},
                {"functionResponse": {"name": "", "response": {"n": 2}}},
            ]},
        ]),
    );
    let got = sent(Gem, &plain(Gem), &body);
    for (at, name) in ["f", "g"].into_iter().enumerate() {
        let response = &got["contents"][2]["parts"][at]["functionResponse"];
        assert_eq!(response["name"], name);
        assert_eq!(response["response"], json!({"n": at + 1}));
    }
}

#[test]
fn t050_a_call_without_an_id_and_its_result_get_one() {
    let nameless = json!({"type": "function", "function": {"name": "f", "arguments": "{}"}});
    let got = to_anth(json!([
        user("q"),
        calls(&[nameless]),
        {"role": "tool", "content": "o"},
    ]));
    let id = got[1]["content"][0]["id"].as_str().unwrap();
    assert!(id.starts_with("call_") && id.len() == 29, "{id}");
    assert_eq!(got[2]["content"], json!([result(id, "o")]));
}

#[test]
fn t051_ids_are_spelled_as_the_target_takes_them() {
    let id = "functions.read:0";
    let got = to_anth(json!([user("q"), calls(&[call(id, "f", "{}")]), output(id, "o")]));
    assert_eq!(got[1]["content"][0]["id"], "functions_read_0");
    assert_eq!(got[2]["content"][0]["tool_use_id"], "functions_read_0");
}

#[test]
fn t052_long_ids_stay_apart() {
    let (one, two) = (format!("{}1", "x".repeat(89)), format!("{}2", "x".repeat(89)));
    let history = json!([
        user("q"),
        calls(&[call(&one, "f", "{}"), call(&two, "f", "{}")]),
        output(&one, "1"),
        output(&two, "2"),
    ]);
    let got = sent(Chat, &plain(Resp), &turns(Chat, history));
    let id = |at: usize| got["input"][at]["call_id"].as_str().unwrap();
    assert!(id(1).len() <= 64 && id(2).len() <= 64);
    assert_ne!(id(1), id(2));
    assert_eq!((id(1), id(2)), (id(3), id(4)));
}

#[test]
fn t081_arguments_are_no_schemas() {
    let arguments = r##"{"title":"t","$ref":"#/x","type":["string","null"],"additionalProperties":false,"const":1}"##;
    let history = json!([user("q"), calls(&[call("a", "f", arguments)]), output("a", arguments)]);
    let body = turns(Chat, history);
    let want: Value = serde_json::from_str(arguments).unwrap();
    let got = sent(Chat, &plain(Gem), &body);
    assert_eq!(got["contents"][1]["parts"][0]["functionCall"]["args"], want);
    assert_eq!(got["contents"][2]["parts"][0]["functionResponse"]["response"], want);
    let got = sent(Chat, &plain(Anth), &body);
    assert_eq!(got["messages"][1]["content"][0]["input"], want);
    let got = sent(Chat, &plain(Resp), &body);
    assert_eq!(got["input"][1]["arguments"], arguments);
}
