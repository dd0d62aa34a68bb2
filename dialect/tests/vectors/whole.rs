//! Whole answers (T115–T128, T178).

use ninerouter_dialect::Dialect::{self, Anth, Chat, Gem, Resp};
use ninerouter_dialect::ir::Failure;
use ninerouter_dialect::translate::{
    NoSignatures, PrepareCx, RequestTranslator, failure_for_client, translate_response,
};
use ninerouter_dialect::{
    ErrorShape, Framing, StreamEnd, error_body, error_status, parse_error_body,
};
use serde_json::{Value, json};

use crate::pipeline::{
    DIALECTS, ReplyPlan, Source, answered, asking, call, encoded, modest, plain, plan, streamed,
    text, told,
};

fn anth(content: Value, stop: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2,
            "output_tokens": 5}})
}

fn chat(message: Value, finish: &str) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}]})
}

fn gem(parts: Value, finish: &str) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish,
        "index": 0}], "modelVersion": "m", "responseId": "r1"})
}

fn resp(output: Value, status: &str) -> Value {
    json!({"id": "resp_1", "object": "response", "status": status, "model": "m", "output": output})
}

fn message(said: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": said, "annotations": []}]})
}

#[test]
fn t115_blocks_become_one_message() {
    let body = anth(
        json!([
            {"type": "thinking", "thinking": "t", "signature": "S"}, text("a"), text("b"),
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
        ]),
        "tool_use",
    );
    let got = answered(Anth, &plan(Chat), &body);
    let choice = &got["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": "ab", "refusal": null, "reasoning_content": "t",
            "tool_calls": [call("toolu_1", "f", "{\"x\":1}")]})
    );
}

#[test]
fn t116_calls_end_the_turn_whatever_the_upstream_says() {
    let body = chat(
        json!({"role": "assistant", "content": null, "tool_calls": [call("c1", "f", "{}")]}),
        "stop",
    );
    let got = answered(Chat, &plan(Anth), &body);
    assert_eq!(got["stop_reason"], "tool_use");
    assert_eq!(got["content"], json!([{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]));
    let got = answered(Chat, &plan(Gem), &body);
    assert_eq!(got["candidates"][0]["finishReason"], "STOP");
    let got = answered(Chat, &plan(Resp), &body);
    assert_eq!((&got["status"], &got["output"][0]["call_id"]), (&json!("completed"), &json!("c1")));
}

#[test]
fn t117_reasons_of_gemini() {
    let call = json!([{"functionCall": {"name": "f", "args": {"x": 1}}}]);
    let said = json!([{"text": "a"}]);
    // Columns as in §3.2: chat, Responses' status and detail, Messages.
    for (parts, finish, for_chat, status, for_anth) in [
        (call, "STOP", "tool_calls", "completed", "tool_use"),
        (said.clone(), "STOP", "stop", "completed", "end_turn"),
        (said.clone(), "MAX_TOKENS", "length", "incomplete", "max_tokens"),
        (said.clone(), "SAFETY", "content_filter", "incomplete", "refusal"),
        (said.clone(), "RECITATION", "content_filter", "incomplete", "refusal"),
        (said.clone(), "PROHIBITED_CONTENT", "content_filter", "incomplete", "refusal"),
        (said.clone(), "MALFORMED_FUNCTION_CALL", "stop", "completed", "end_turn"),
        (said, "OTHER", "stop", "completed", "end_turn"),
    ] {
        let body = gem(parts, finish);
        let got = answered(Gem, &plan(Chat), &body);
        assert_eq!(got["choices"][0]["finish_reason"], for_chat, "{finish}");
        assert_eq!(answered(Gem, &plan(Resp), &body)["status"], status, "{finish}");
        assert_eq!(answered(Gem, &plan(Anth), &body)["stop_reason"], for_anth, "{finish}");
    }
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m",
        "responseId": "r", "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}});
    let choice = &answered(Gem, &plan(Chat), &blocked)["choices"][0];
    assert_eq!(choice["message"]["content"], "");
    assert_eq!(choice["finish_reason"], "content_filter");
    let got = answered(Gem, &plan(Anth), &blocked);
    assert_eq!((&got["content"], &got["stop_reason"]), (&json!([]), &json!("refusal")));
    let got = answered(Gem, &plan(Resp), &blocked);
    assert_eq!(got["incomplete_details"], json!({"reason": "content_filter"}));

    // A call that makes no sense, and nothing else: the next target may do better (§3.2, note 2).
    let empty = gem(json!([]), "MALFORMED_FUNCTION_CALL").to_string();
    let failure = translate_response(empty.as_bytes(), &Source::new(Gem), &plan(Chat)).unwrap_err();
    let error = failure_for_client(&failure, "req_1");
    assert_eq!(error.code.as_deref(), Some("upstream_malformed_tool_call"));
    assert_eq!(error_status(ErrorShape::Chat, &error), 502);
}

#[test]
fn t118_items_keep_their_order() {
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f",
        "arguments": "{\"x\":1}", "status": "completed"});
    let body = resp(json!([message("a"), call, message("b")]), "completed");
    let got = answered(Resp, &plan(Anth), &body);
    assert_eq!(
        got["content"],
        json!([text("a"), {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}}, text("b")])
    );
    assert_eq!(got["stop_reason"], "tool_use");
    let mut body = resp(json!([message("a")]), "incomplete");
    body["incomplete_details"] = json!({"reason": "max_output_tokens"});
    assert_eq!(answered(Resp, &plan(Anth), &body)["stop_reason"], "max_tokens");
    assert_eq!(answered(Resp, &plan(Chat), &body)["choices"][0]["finish_reason"], "length");
    let got = answered(Resp, &plan(Gem), &body);
    assert_eq!(got["candidates"][0]["finishReason"], "MAX_TOKENS");
}

#[test]
fn t119_counts_of_anthropic() {
    let body = anth(json!([text("a")]), "end_turn");
    let got = answered(Anth, &plan(Chat), &body);
    let usage = &got["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(12), &json!(5), &json!(17))
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 4);
    let back = answered(Chat, &plan(Anth), &got);
    let usage = &back["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&json!(6), &json!(5)),
        "{usage}"
    );
    assert_eq!(usage["cache_read_input_tokens"], 4);
    assert_eq!(usage["cache_creation_input_tokens"], 2);
}

#[test]
fn t120_counts_of_gemini() {
    let mut body = gem(json!([{"text": "a"}]), "STOP");
    body["usageMetadata"] = json!({"promptTokenCount": 10, "cachedContentTokenCount": 4,
        "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 15});
    let usage = &answered(Gem, &plan(Anth), &body)["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["output_tokens"]),
        (&json!(6), &json!(4), &json!(5))
    );
    let usage = &answered(Gem, &plan(Chat), &body)["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(10), &json!(5), &json!(15))
    );
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 2);
    let usage = &answered(Gem, &plan(Resp), &body)["usage"];
    assert_eq!(usage["output_tokens_details"]["reasoning_tokens"], 2);
}

#[test]
fn t121_t122_counts_of_chat() {
    let mut body = chat(json!({"role": "assistant", "content": "a"}), "stop");
    body["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    assert_eq!(
        answered(Chat, &plan(Resp), &body)["usage"],
        json!({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 5})
    );
    body["usage"]["prompt_tokens_details"] = json!({"cached_tokens": 9});
    assert_eq!(answered(Chat, &plan(Anth), &body)["usage"]["input_tokens"], 0);
    // Without any counts: zeros where the dialect demands them, nothing elsewhere (§3.3).
    body.as_object_mut().unwrap().remove("usage");
    assert_eq!(answered(Chat, &plan(Anth), &body)["usage"]["output_tokens"], 0);
    assert_eq!(answered(Chat, &plan(Resp), &body)["usage"]["total_tokens"], 0);
    assert!(answered(Chat, &plan(Gem), &body).get("usageMetadata").is_none());
    assert!(
        answered(Resp, &plan(Chat), &resp(json!([message("a")]), "completed"))
            .get("usage")
            .is_none()
    );
}

#[test]
fn t123_an_answer_without_words() {
    let body = anth(json!([]), "end_turn");
    let choice = &answered(Anth, &plan(Chat), &body)["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!(""), &json!("stop"))
    );
    let got = answered(Anth, &plan(Gem), &body);
    assert_eq!(got["candidates"][0]["content"]["parts"], json!([{"text": ""}]));
}

#[test]
fn t124_answers_of_copilot_in_two_choices() {
    let mut body = chat(json!({"role": "assistant", "content": "a"}), "tool_calls");
    let second =
        json!({"role": "assistant", "content": null, "tool_calls": [call("c1", "f", "{}")]});
    for index in [0, 1] {
        let choice = json!({"index": index, "message": second, "finish_reason": "tool_calls"});
        body["choices"].as_array_mut().unwrap().truncate(1);
        body["choices"].as_array_mut().unwrap().push(choice);
        let source = Source {
            envelope: ninerouter_dialect::translate::Envelope::Copilot,
            ..Source::new(Chat)
        };
        let got = translate_response(body.to_string().as_bytes(), &source, &plan(Anth)).unwrap();
        let got: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(
            got["content"],
            json!([text("a"), {"type": "tool_use", "id": "c1", "name": "f", "input": {}}])
        );
        assert_eq!(got["stop_reason"], "tool_use");
    }
}

#[test]
fn t125_clients_that_did_not_ask_see_no_reasoning() {
    let body =
        chat(json!({"role": "assistant", "content": "a", "reasoning_content": "why"}), "stop");
    assert_eq!(answered(Chat, &modest(Anth), &body)["content"], json!([text("a")]));
    let thinking = json!({"type": "thinking", "thinking": "why", "signature": ""});
    assert_eq!(answered(Chat, &plan(Anth), &body)["content"], json!([thinking, text("a")]));
    let got = answered(Chat, &modest(Gem), &body);
    assert_eq!(got["candidates"][0]["content"]["parts"], json!([{"text": "a"}]));
}

#[test]
fn sound_comes_in_the_format_that_was_asked_for() {
    let spoken = |parts: &[&str]| {
        let part = |data: &&str| json!({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": data}});
        gem(parts.iter().map(part).collect(), "STOP")
    };
    let asking_for = |format: &str| {
        let audio =
            json!({"modalities": ["text", "audio"], "audio": {"voice": "v", "format": format}});
        encoded(Chat, &plain(Gem), &asking(Chat, audio)).1
    };
    let data = |plan: &ReplyPlan| {
        let got = answered(Gem, plan, &spoken(&["AAEC"]));
        got["choices"][0]["message"]["audio"]["data"].as_str().unwrap().to_owned()
    };
    assert_eq!(data(&asking_for("pcm16")), "AAEC");
    let file = data(&asking_for("wav"));
    assert!(
        file.starts_with("UklGR") && file.ends_with("AAEC"),
        "a file of the same samples: {file}"
    );
    let pieces = streamed(Gem, &asking_for("wav"), &[spoken(&["AAEC", "AwQF"])]);
    let pieces: Vec<&str> = pieces
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["audio"]["data"].as_str())
        .collect();
    let sound = pieces.concat();
    assert!(sound.starts_with("UklGR") && sound.ends_with("AAECAwQF"), "one header: {sound}");
    assert_eq!(sound.matches("UklGR").count(), 1);

    // Chat does not repeat the format; it is what the request named.
    let message = json!({"role": "assistant", "content": null,
        "audio": {"id": "audio_1", "data": "AAEC", "transcript": "hi", "expires_at": 9}});
    for (stream, mime) in [(false, "audio/wav"), (true, "audio/L16;rate=24000")] {
        let config = json!({"responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}});
        let body = asking(Gem, json!({"generationConfig": config})).to_string();
        let mut translator = RequestTranslator::decode(Gem, body.as_bytes()).unwrap();
        translator.request_mut().stream = stream;
        let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
        let sent = translator.prepare(&plain(Chat), &cx).unwrap().encode().unwrap();
        let asked: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(asked["audio"]["format"], if stream { "pcm16" } else { "wav" });
        let got = answered(Chat, &sent.plan, &chat(message.clone(), "stop"));
        let part = &got["candidates"][0]["content"]["parts"][0]["inlineData"];
        assert_eq!(*part, json!({"mimeType": mime, "data": "AAEC"}));
    }
    // The others have no place for sound: its words go.
    let body = chat(message, "stop");
    assert_eq!(answered(Chat, &plan(Anth), &body)["content"], json!([text("hi")]));
    let got = answered(Chat, &plan(Resp), &body);
    assert_eq!(got["output"][0]["content"][0]["text"], "hi");
}

/// What clients of each dialect are told of an upstream's error.
fn error_told(status: u16, body: &str, shape: ErrorShape) -> (u16, Value) {
    let body = parse_error_body(status, None, body.as_bytes());
    let error = ninerouter_dialect::translate::error_for_client(&body, Some(status), "req_1");
    let told = error_body(shape, &error);
    (error_status(shape, &error), serde_json::from_slice(&told).unwrap())
}

#[test]
fn t126_limits_of_other_dialects() {
    let chat =
        r#"{"error":{"message":"slow","type":"rate_limit_error","code":"rate_limit_exceeded"}}"#;
    let (status, told) = error_told(429, chat, ErrorShape::Anth);
    assert_eq!((status, &told["error"]["type"]), (429, &json!("rate_limit_error")));
    let gem = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12.5s"}]}}"#;
    // When to come back is read by the router, from what the body keeps for it.
    let details = parse_error_body(429, None, gem.as_bytes()).details.unwrap();
    assert_eq!(details[0]["retryDelay"], "12.5s");
    let (status, told) = error_told(429, gem, ErrorShape::Chat);
    assert_eq!((status, &told["error"]["type"]), (429, &json!("rate_limit_error")));
}

#[test]
fn t127_errors_in_any_wrapping() {
    for (status, body, want) in [
        (400, r#"{"error":{"message":"{\"error\":{\"message\":\"inner\"}}"}}"#, "inner"),
        (400, r#"[{"error":{"code":400,"message":"array","status":"INVALID_ARGUMENT"}}]"#, "array"),
        (502, "<html><head><title>Bad gateway</title></head></html>", "Bad gateway"),
        (422, r#"{"detail":[{"loc":["body","x"],"msg":"missing"}]}"#, "missing"),
    ] {
        for shape in [ErrorShape::Chat, ErrorShape::Anth, ErrorShape::Gem] {
            let (_, told) = error_told(status, body, shape);
            let message = told["error"]["message"].as_str().unwrap();
            assert!(message.contains(want), "{message}");
            assert!(!message.contains('<') && !message.contains("\\\""), "{message}");
        }
    }
    let (status, told) = error_told(503, "", ErrorShape::Chat);
    assert_eq!(status, 503);
    assert!(!told["error"]["message"].as_str().unwrap().is_empty());
}

#[test]
fn t128_errors_about_the_routers_own_account() {
    let body =
        r#"{"error":{"message":"key sk-secret of a@b.c is wrong","type":"authentication_error"}}"#;
    for shape in [ErrorShape::Chat, ErrorShape::Anth, ErrorShape::Gem] {
        let (status, told) = error_told(401, body, shape);
        let told = told.to_string();
        assert!(status == 502 || (shape == ErrorShape::Gem && status == 503), "{status}");
        assert!(!told.contains("sk-secret") && !told.contains("a@b.c"), "{told}");
    }
    let (status, told) = error_told(401, body, ErrorShape::Chat);
    assert_eq!((status, &told["error"]["code"]), (502, &json!("upstream_auth_failed")));
}

#[test]
fn t178_a_success_of_nothing_is_none() {
    for upstream in DIALECTS {
        let source = Source::new(upstream);
        for client in DIALECTS {
            let plan = plan(client);
            for body in ["", "  \n", "{}", "[]", "null"] {
                let failure = translate_response(body.as_bytes(), &source, &plan).unwrap_err();
                let error = failure_for_client(&failure, "req_1");
                assert_eq!(error_status(ErrorShape::Chat, &error), 502, "{upstream:?} {body:?}");
            }
            for stream in ["", "\n\n", ": keep-alive\n\n"] {
                let told = told(&source, &plan, Framing::Sse, stream);
                assert_ne!(told.end, StreamEnd::Complete, "{upstream:?}");
                assert!(!told.translator.content_seen(), "nothing was committed to");
                let failure = told.translator.failure().unwrap();
                let error = failure_for_client(failure, "req_1");
                assert_eq!(error_status(ErrorShape::Chat, &error), 502, "{upstream:?}");
            }
        }
        empty_answer(upstream, &source);
    }
}

/// A well-formed answer without content: a target with nothing to say for itself.
fn empty_answer(upstream: Dialect, source: &Source) {
    let body = match upstream {
        Chat => json!({"id": "c", "model": "m", "choices": []}),
        Resp => return,
        Anth => return,
        Gem => json!({"candidates": [], "modelVersion": "m"}),
    };
    let body = body.to_string();
    let failure = translate_response(body.as_bytes(), source, &plan(Chat)).unwrap_err();
    assert!(matches!(failure, Failure::Empty | Failure::NotAnAnswer(_)), "{failure:?}");
}
