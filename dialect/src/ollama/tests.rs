//! Both sides of Ollama (translation §5.6, T177).

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    AnswerStream, Asked, Form, ListedModel, Moment, loaded, show, shown_model, stream_error, tags,
    to_answer, to_chat,
};
use crate::ir::{EventOrder, Failure, Request};
use crate::translate::{
    Envelope, EventReader, Folding, NoSignatures, PrepareCx, ReplyPlan, RequestTranslator, Source,
    Target, translate_response,
};
use crate::{Dialect, PeekError};

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

fn chat_of(form: Form, body: &Value) -> Value {
    match to_chat(form, body.to_string().as_bytes()).unwrap() {
        Asked::Answer(chat) => serde_json::from_slice(&chat).unwrap(),
        other @ Asked::Ready { .. } => panic!("{other:?}"),
    }
}

#[test]
fn t177_requests_stream_unless_they_say_no() {
    let usage = json!({"include_usage": true});
    for (stream, want) in [
        (json!({}), true),
        (json!({"stream": true}), true),
        (json!({"stream": null}), true),
        (json!({"stream": false}), false),
    ] {
        for form in [Form::Chat, Form::Generate] {
            let mut body = json!({"model": "a/b", "prompt": "q",
                "messages": [{"role": "user", "content": "q"}]});
            body.as_object_mut().unwrap().extend(stream.as_object().unwrap().clone());
            let chat = chat_of(form, &body);
            assert_eq!(chat["stream"], want);
            assert_eq!(chat.get("stream_options"), want.then_some(&usage));
            assert_eq!(chat["messages"], json!([{"role": "user", "content": "q"}]));
            assert_eq!(chat["model"], "a/b");
        }
    }
}

#[test]
fn options_go_by_their_chat_names() {
    let chat = chat_of(
        Form::Chat,
        &json!({"model": "m", "messages": [{"role": "user", "content": "q"}], "keep_alive": "5m",
            "format": {"type": "object"}, "think": "high", "stream": false,
            "options": {"temperature": 0.1, "top_p": 0.9, "top_k": 40, "min_p": 0.0, "seed": 42,
                "num_predict": 12, "stop": ["x"], "repeat_penalty": 1.1, "num_ctx": 8192}}),
    );
    assert_eq!(
        chat,
        json!({"model": "m", "messages": [{"role": "user", "content": "q"}], "stream": false,
            "temperature": 0.1, "top_p": 0.9, "top_k": 40, "min_p": 0.0, "seed": 42,
            "max_tokens": 12, "stop": ["x"], "repetition_penalty": 1.1, "reasoning_effort": "high",
            "response_format": {"type": "json_schema",
                "json_schema": {"name": "response", "schema": {"type": "object"}}}})
    );
    for (member, want) in [
        (json!({"format": "json"}), json!({"response_format": {"type": "json_object"}})),
        (json!({"format": ""}), json!({})),
        (json!({"think": true}), json!({"reasoning_effort": "medium"})),
        (json!({"think": false}), json!({"reasoning_effort": "none"})),
        (json!({"options": {"num_predict": -1}}), json!({})),
        (json!({"options": [], "tools": []}), json!({})),
    ] {
        let mut body =
            json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": "q"}]});
        let mut chat = body.clone();
        body.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        chat.as_object_mut().unwrap().extend(want.as_object().unwrap().clone());
        assert_eq!(chat_of(Form::Chat, &body), chat, "{member}");
    }
}

#[test]
fn results_find_their_calls_by_the_name_of_the_tool() {
    let call = |name: &str, n: u32| json!({"function": {"name": name, "arguments": {"n": n}}});
    let chat = chat_of(
        Form::Chat,
        &json!({"model": "m", "messages": [
            {"role": "user", "content": "look", "images": ["iVBORw0KGgo=", "data:image/gif;base64,R0lGOD"]},
            {"role": "assistant", "content": "", "thinking": "hm",
                "tool_calls": [call("f", 1), call("g", 2), call("f", 3)]},
            {"role": "tool", "tool_name": "g", "content": "G"},
            {"role": "tool", "tool_name": "f", "content": "F1"},
            {"role": "tool", "content": "F3"},
            {"role": "tool", "tool_name": "h", "content": "H"},
        ]}),
    );
    let messages = chat["messages"].as_array().unwrap();
    let images: Vec<&str> = messages[0]["content"].as_array().unwrap()[1..]
        .iter()
        .map(|part| part["image_url"]["url"].as_str().unwrap())
        .collect();
    assert_eq!(images, ["data:image/png;base64,iVBORw0KGgo=", "data:image/gif;base64,R0lGOD"]);
    let calls = messages[1]["tool_calls"].as_array().unwrap();
    assert_eq!(calls[0]["function"]["arguments"], r#"{"n":1}"#);
    assert_eq!(messages[1]["reasoning_content"], "hm");
    let answered = |at: usize| &messages[at]["tool_call_id"];
    assert_eq!(answered(2), &calls[1]["id"]);
    assert_eq!(answered(3), &calls[0]["id"]);
    assert_eq!(answered(4), &calls[2]["id"]);
    assert!(calls.iter().all(|call| &call["id"] != answered(5)), "nobody called it");
}

#[test]
fn a_prompt_is_a_message_and_nothing_is_a_request_to_load() {
    let chat = chat_of(
        Form::Generate,
        &json!({"model": "m", "prompt": "q", "system": "S",
        "images": ["AAAA"], "raw": true, "context": [1, 2], "template": "T"}),
    );
    assert_eq!(chat["messages"][0], json!({"role": "system", "content": "S"}));
    assert_eq!(chat["messages"][1]["content"][0], json!({"type": "text", "text": "q"}));
    for (form, body, unload) in [
        (Form::Generate, json!({"model": "m"}), false),
        (Form::Generate, json!({"model": "m", "prompt": "", "system": "S"}), false),
        (Form::Chat, json!({"model": "m", "messages": []}), false),
        (Form::Chat, json!({"model": "m", "keep_alive": 0}), true),
    ] {
        let want = Asked::Ready { model: "m".to_owned(), unload };
        assert_eq!(to_chat(form, body.to_string().as_bytes()), Ok(want), "{body}");
    }
    let suffix = json!({"model": "m", "prompt": "a", "suffix": "b"}).to_string();
    assert_eq!(to_chat(Form::Generate, suffix.as_bytes()).unwrap_err().param(), Some("suffix"));
    let odd = br#"{"model":"m","messages":{}}"#;
    assert_eq!(to_chat(Form::Chat, odd).unwrap_err().param(), Some("messages"));
    assert_eq!(to_chat(Form::Chat, b"{}"), Err(PeekError::NoModel));
    assert_eq!(to_chat(Form::Chat, b"[]"), Err(PeekError::NotObject));
}

const AT: Moment<'_> = Moment { stamp: "2026-01-01T00:00:00Z", elapsed_ns: 900 };

/// A chat answer, as a stream.
const CHAT: &str = concat!(
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    ": keep-alive\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"H\\u00e9\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
);

fn lines_of(form: Form, stream: &[u8], cut: usize) -> Vec<Value> {
    let mut answer = AnswerStream::new(form, "a/b", 1 << 20);
    let mut out = Vec::new();
    let (head, tail) = stream.split_at(cut.min(stream.len()));
    answer.push(head, &Moment { elapsed_ns: 100, ..AT }, &mut out);
    answer.push(tail, &AT, &mut out);
    answer.finish(&AT, &mut out);
    let text = String::from_utf8(out).unwrap();
    text.split_terminator('\n').map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn t177_answers_end_with_one_line_that_is_done() {
    let lines = lines_of(Form::Chat, CHAT.as_bytes(), 200);
    let messages: Vec<&Value> = lines.iter().map(|line| &line["message"]).collect();
    assert_eq!(messages[0], &json!({"role": "assistant", "content": "", "thinking": "hm"}));
    assert_eq!(messages[1], &json!({"role": "assistant", "content": "Hé"}));
    let call = json!([{"function": {"name": "f", "arguments": {"a": 1}}}]);
    assert_eq!(messages[2]["tool_calls"], call);
    assert_eq!(
        lines[3],
        json!({"model": "a/b", "created_at": AT.stamp, "done": true, "done_reason": "stop",
            "message": {"role": "assistant", "content": ""}, "total_duration": 900,
            "load_duration": 0, "prompt_eval_count": 4, "prompt_eval_duration": 100,
            "eval_count": 2, "eval_duration": 800})
    );
    assert_eq!(lines.len(), 4);
    assert_eq!(lines.iter().filter(|line| line["done"] == true).count(), 1);
    let prompted = lines_of(Form::Generate, CHAT.as_bytes(), 0);
    assert_eq!((&prompted[0]["response"], &prompted[0]["thinking"]), (&json!(""), &json!("hm")));
    assert_eq!(prompted[1]["response"], "Hé");
}

#[test]
fn counts_are_the_upstreams_or_none() {
    let silent = CHAT.replace("\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}", "\"x\":1");
    let lines = lines_of(Form::Chat, silent.as_bytes(), 0);
    let last = lines.last().unwrap();
    assert_eq!((last.get("eval_count"), last.get("prompt_eval_count")), (None, None));
    assert_eq!(last["done"], true);
}

#[test]
fn broken_answers_are_never_done() {
    let cut: String = CHAT.split_inclusive("\n\n").take(4).collect();
    let lines = lines_of(Form::Chat, cut.as_bytes(), 0);
    assert!(lines.iter().all(|line| line["done"] == false), "{lines:?}");
    let failed =
        format!("{cut}data: {{\"error\":{{\"message\":\"gone\",\"type\":\"server_error\"}}}}\n\n");
    let lines = lines_of(Form::Chat, failed.as_bytes(), 0);
    assert_eq!(lines.last(), Some(&json!({"error": "gone"})));
    let error = crate::ApiError {
        kind: crate::ErrorKind::BadGateway,
        status: None,
        code: None,
        param: None,
        message: "gone".to_owned(),
        request_id: "r".to_owned(),
    };
    assert_eq!(&stream_error(&error)[..], b"{\"error\":\"gone\"}\n");
}

#[test]
fn whole_answers_are_one_object() {
    let body = br#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi",
        "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{bad"}}]},
        "finish_reason":"length"}],"usage":{"prompt_tokens":4,"completion_tokens":2}}"#;
    let got: Value =
        serde_json::from_slice(&to_answer(Form::Chat, "a/b", body, &AT).unwrap()).unwrap();
    assert_eq!(got["message"]["content"], "Hi");
    assert_eq!(got["message"]["tool_calls"][0]["function"]["arguments"], json!({"_raw": "{bad"}));
    assert_eq!((&got["done"], &got["done_reason"]), (&json!(true), &json!("length")));
    assert_eq!((&got["eval_count"], &got["eval_duration"]), (&json!(2), &json!(0)));
    let got: Value =
        serde_json::from_slice(&to_answer(Form::Generate, "m", body, &AT).unwrap()).unwrap();
    assert_eq!(got["response"], "Hi");
    assert_eq!(to_answer(Form::Chat, "m", b"{\"error\":{\"message\":\"x\"}}", &AT), None);
    let ready: Value = serde_json::from_slice(&loaded(Form::Generate, "m", true, &AT)).unwrap();
    assert_eq!((&ready["response"], &ready["done_reason"]), (&json!(""), &json!("unload")));
}

#[test]
fn models_are_listed_and_described() {
    let model = ListedModel {
        id: "cc/opus",
        owner: "claude",
        context: Some(9),
        tools: true,
        vision: false,
        thinking: true,
    };
    let listed = tags(&[model], "2026-01-01T00:00:00Z");
    let entry = &listed["models"][0];
    assert_eq!((&entry["name"], &entry["model"]), (&json!("cc/opus"), &json!("cc/opus")));
    assert_eq!((&entry["size"], &entry["details"]["family"]), (&json!(0), &json!("claude")));
    assert_eq!(entry["digest"].as_str().unwrap().len(), 64);
    let shown = show(&model, "2026-01-01T00:00:00Z");
    assert_eq!(
        shown["model_info"],
        json!({"general.architecture": "api", "api.context_length": 9})
    );
    assert_eq!(shown["capabilities"], json!(["completion", "tools", "thinking"]));
    assert_eq!(shown_model(br#"{"model":"a"}"#).as_deref(), Some("a"));
    assert_eq!(shown_model(br#"{"name":"b","verbose":true}"#).as_deref(), Some("b"));
    assert_eq!(shown_model(b"{}"), None);
}

proptest! {
    #[test]
    fn chat_streams_become_the_same_lines_however_they_are_cut(cut in 0..CHAT.len()) {
        let texts = |lines: Vec<Value>| -> Vec<Value> {
            lines.into_iter().map(|line| line["message"].clone()).collect()
        };
        let whole = texts(lines_of(Form::Chat, CHAT.as_bytes(), 0));
        prop_assert_eq!(texts(lines_of(Form::Chat, CHAT.as_bytes(), cut)), whole);
    }

    #[test]
    fn t180_any_bytes_of_clients_and_upstreams_do_no_harm(bytes in any::<Vec<u8>>(), cut in 0..64_usize) {
        for form in [Form::Chat, Form::Generate] {
            let is_object = bytes.contains(&0x7b);
            prop_assert!(to_chat(form, &bytes).is_err() || is_object);
            let done = lines_of(form, &bytes, cut).iter().filter(|line| line["done"] == true).count();
            prop_assert!(done <= 1);
        }
        let is_object = bytes.contains(&0x7b);
        prop_assert!(shown_model(&bytes).is_none() || is_object);
    }
}
