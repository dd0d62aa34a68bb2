//! Streams, by what the client gets (T139–T142, T152–T153, T159–T162, T164).

use ninerouter_dialect::Dialect::{Anth, Chat, Gem, Resp};
use ninerouter_dialect::translate::{Folding, translate_response, unfold_body};
use ninerouter_dialect::{Framing, StreamBody, StreamEnd, sniff_stream_body};
use serde_json::{Value, json};

use crate::pipeline::{
    DIALECTS, Source, data, modest, plan, stream_of, streamed, text, told, types,
};

/// Text and a call of Anthropic, the arguments in pieces.
fn anth_story() -> Vec<Value> {
    let delta = |index: u8, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let json_delta = |piece: &str| json!({"type": "input_json_delta", "partial_json": piece});
    vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": "m", "content": [], "stop_reason": null,
            "usage": {"input_tokens": 3, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": text("")}),
        delta(0, json!({"type": "text_delta", "text": "Hi"})),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}}),
        delta(1, json_delta("")),
        delta(1, json_delta("{\"a\":")),
        delta(1, json_delta("1}")),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn t139_t140_anthropic_for_chat() {
    let got = streamed(Anth, &modest(Chat), &anth_story());
    let choices: Vec<&Value> =
        got.iter().filter(|chunk| chunk.is_object()).map(|chunk| &chunk["choices"][0]).collect();
    let deltas: Vec<&Value> = choices.iter().map(|choice| &choice["delta"]).collect();
    let piece =
        |piece: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
    assert_eq!(deltas[0], &json!({"role": "assistant", "content": ""}));
    assert_eq!(deltas[1], &json!({"content": "Hi"}));
    assert_eq!(
        deltas[2],
        &json!({"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function",
            "function": {"name": "f", "arguments": ""}}]})
    );
    assert_eq!(deltas[3..5], [&piece("{\"a\":"), &piece("1}")]);
    assert_eq!((deltas[5], &choices[5]["finish_reason"]), (&json!({}), &json!("tool_calls")));
    assert_eq!(got.len(), 7);
    assert_eq!(got[6], "[DONE]");
    assert!(choices[..5].iter().all(|choice| choice["finish_reason"].is_null()));

    let with_usage = streamed(Anth, &plan(Chat), &anth_story());
    assert_eq!(with_usage.len(), 8);
    assert_eq!(with_usage[6]["choices"], json!([]));
    assert_eq!(with_usage[6]["usage"]["total_tokens"], 8);
}

#[test]
fn t141_anthropic_for_responses() {
    let got = streamed(Anth, &modest(Resp), &anth_story());
    let numbers: Vec<u64> =
        got.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..).take(got.len()).collect::<Vec<u64>>());
    assert_eq!(
        types(&got),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!((&got[2]["output_index"], &got[8]["output_index"]), (&json!(0), &json!(1)));
    let response = &got.last().unwrap()["response"];
    let output = response["output"].as_array().unwrap();
    assert_eq!(output.len(), 2);
    assert_eq!(output[..], [got[7]["item"].clone(), got[12]["item"].clone()]);
    assert_eq!(response["usage"]["input_tokens_details"], json!({"cached_tokens": 0}));
    assert_eq!(response["usage"]["output_tokens_details"], json!({"reasoning_tokens": 0}));
    for event in &got[2..8] {
        let id = event.get("item_id").unwrap_or(&event["item"]["id"]);
        assert_eq!(*id, output[0]["id"], "one id for all events of an item");
    }
}

#[test]
fn t142_reasoning_for_responses() {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let events = [
        chunk(json!({"reasoning_content": "why"}), Value::Null),
        chunk(json!({"content": "a"}), Value::Null),
        chunk(json!({}), json!("stop")),
    ];
    let got = streamed(Chat, &modest(Resp), &events);
    assert_eq!(
        types(&got)[2..8],
        [
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
        ]
    );
    assert!(got[2..8].iter().all(|event| event["output_index"] == 0));
    let rest = &got[8..got.len() - 1];
    assert!(rest.iter().all(|event| event["output_index"] == 1));
    let output = &got.last().unwrap()["response"]["output"];
    assert_eq!((&output[0]["type"], &output[1]["type"]), (&json!("reasoning"), &json!("message")));
    assert_eq!(output[0]["summary"], json!([{"type": "summary_text", "text": "why"}]));
}

#[test]
fn t152_t153_chat_for_gemini() {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let call = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
    let events = [
        call(json!({"index": 0, "id": "x", "function": {"name": "f", "arguments": "{"}})),
        call(json!({"index": 0, "function": {"arguments": "\"a\":"}})),
        call(json!({"index": 0, "function": {"arguments": "1}"}})),
        chunk(json!({}), json!("tool_calls")),
        json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
    ];
    let stream = stream_of(Chat, &events);
    let source = Source::new(Chat);
    let sse = told(&source, &modest(Gem), Framing::Sse, &stream);
    assert_eq!(sse.end, StreamEnd::Complete);
    assert!(sse.text.ends_with("\r\n\r\n") && !sse.text.contains("[DONE]"));
    assert_eq!(sse.text.matches("\r\n\r\n").count(), sse.text.matches("data: ").count());
    let fragments = data(&sse.text);
    let calls: Vec<&Value> = fragments
        .iter()
        .flat_map(|fragment| fragment["candidates"][0]["content"]["parts"].as_array().unwrap())
        .filter_map(|part| part.get("functionCall"))
        .collect();
    assert_eq!(calls, [&json!({"id": "x", "name": "f", "args": {"a": 1}})]);
    let (last, before) = fragments.split_last().unwrap();
    assert_eq!(last["usageMetadata"]["totalTokenCount"], 5);
    assert!(before.iter().all(|fragment| fragment.get("usageMetadata").is_none()));

    let array = told(&source, &modest(Gem), Framing::JsonArray, &stream);
    let elements: Vec<Value> = serde_json::from_str(&array.text).unwrap();
    assert_eq!(elements, fragments);
}

#[test]
fn t159_two_answers_for_gemini() {
    let chunk = |index: u8, delta: Value, finish: Value| {
        json!({"id": "c", "created": 1, "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})
    };
    let events = [
        chunk(0, json!({"content": "a"}), Value::Null),
        chunk(1, json!({"content": "x"}), Value::Null),
        chunk(0, json!({"content": "b"}), Value::Null),
        chunk(1, json!({"content": "y"}), Value::Null),
        chunk(0, json!({}), json!("stop")),
        chunk(1, json!({}), json!("length")),
    ];
    let got = streamed(Chat, &modest(Gem), &events);
    let candidates: Vec<&Value> =
        got.iter().flat_map(|fragment| fragment["candidates"].as_array().unwrap()).collect();
    let said = |index: u8| -> String {
        let own = candidates.iter().filter(|candidate| candidate["index"] == index);
        let parts = own.flat_map(|candidate| candidate["content"]["parts"].as_array().unwrap());
        parts.filter_map(|part| part["text"].as_str()).collect()
    };
    assert_eq!((said(0), said(1)), ("ab".into(), "xy".into()));
    let reason = |index: u8| -> Vec<&str> {
        let own = candidates.iter().filter(|candidate| candidate["index"] == index);
        own.filter_map(|candidate| candidate["finishReason"].as_str()).collect()
    };
    assert_eq!((reason(0), reason(1)), (vec!["STOP"], vec!["MAX_TOKENS"]));

    // The same from Gemini to chat, and whole.
    let got = streamed(Gem, &modest(Chat), &got);
    let said = |index: u8| -> String {
        got.iter()
            .map(|chunk| &chunk["choices"][0])
            .filter(|choice| choice["index"] == index)
            .filter_map(|choice| choice["delta"]["content"].as_str())
            .collect()
    };
    assert_eq!((said(0), said(1)), ("ab".into(), "xy".into()));
    // Others get the first one alone (§4.4).
    let stream = stream_of(Chat, &events);
    for client in [Anth, Resp] {
        let told = told(&Source::new(Chat), &modest(client), Framing::Sse, &stream);
        assert_eq!(told.end, StreamEnd::Complete);
        assert!(!told.text.contains("\"x\"") && !told.text.contains("\"xy\""), "{}", told.text);
    }
}

#[test]
fn t160_a_stream_for_a_client_that_wants_the_whole() {
    let stream = stream_of(Anth, &anth_story());
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [text("Hi"), {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 5}});
    let source = Source::new(Anth);
    for client in DIALECTS {
        let mut folding = Folding::new(source.clone(), modest(client), 1 << 20);
        folding.push(stream.as_bytes()).unwrap();
        let got: Value = serde_json::from_slice(&folding.finish().unwrap().body).unwrap();
        let want = translate_response(body.to_string().as_bytes(), &source, &modest(client));
        let want: Value = serde_json::from_slice(&want.unwrap().body).unwrap();
        assert_eq!(got, want, "{client:?}");

        let mut folding = Folding::new(source.clone(), modest(client), 1 << 20);
        let (head, _) = stream.split_at(stream.len() / 2);
        folding.push(head.as_bytes()).unwrap();
        let failure = folding.finish().unwrap_err();
        let error = ninerouter_dialect::translate::failure_for_client(&failure, "req_1");
        let shape = ninerouter_dialect::ErrorShape::Chat;
        assert_eq!(ninerouter_dialect::error_status(shape, &error), 502);
    }
}

#[test]
fn t161_t162_whole_answers_for_clients_that_stream() {
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Hello"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
    .to_string();
    assert_eq!(sniff_stream_body(body.as_bytes()), StreamBody::JsonObject);
    assert_eq!(sniff_stream_body(b"data: {}\n\n"), StreamBody::Sse);
    for client in DIALECTS {
        let source = Source::new(Chat);
        let made = unfold_body(body.as_bytes(), &source, &plan(client), Framing::Sse).unwrap();
        let made = String::from_utf8(made.body).unwrap();
        assert!(made.contains("Hello"));
        // Read as a stream of the client's dialect, it is a whole answer.
        let back = told(&Source::new(client), &plan(client), Framing::Sse, &made);
        assert_eq!(back.end, StreamEnd::Complete, "{client:?}");
        // Under the label of an event stream it is found out all the same.
        for labelled in [body.clone(), format!("\n {body}\n")] {
            let got = told(&source, &plan(client), Framing::Sse, &labelled);
            assert_eq!((got.end, got.text), (StreamEnd::Complete, made.clone()), "{client:?}");
        }
    }
}

#[test]
fn t164_signs_of_life() {
    for (client, before, after) in [
        (Chat, ": keep-alive\n\n", ": keep-alive\n\n"),
        (Resp, ": keep-alive\n\n", ": keep-alive\n\n"),
        (Anth, ": keep-alive\n\n", "event: ping\ndata: {\"type\":\"ping\"}\n\n"),
        (Gem, "\r\n", "\r\n"),
    ] {
        let silent = told(&Source::new(Anth), &plan(client), Framing::Sse, ": hi\n\n");
        assert_eq!(silent.translator.keep_alive(), before, "{client:?}");
        let events = anth_story();
        let begun = stream_of(Anth, &events[..3]);
        let begun = told(&Source::new(Anth), &plan(client), Framing::Sse, &begun);
        assert_eq!(begun.translator.keep_alive(), after, "{client:?}");
    }
    let mut array = told(&Source::new(Anth), &plan(Gem), Framing::JsonArray, ": hi\n\n");
    assert!(array.translator.keep_alive().trim_ascii().is_empty());
    // The upstream's own are for the caller to pass on, which has a clock (§4.1).
    assert!(array.translator.take_ping() && !array.translator.take_ping());
    let mut events = anth_story();
    events.insert(2, json!({"type": "ping"}));
    for client in DIALECTS {
        let mut pinged =
            told(&Source::new(Anth), &plan(client), Framing::Sse, &stream_of(Anth, &events));
        let quiet =
            told(&Source::new(Anth), &plan(client), Framing::Sse, &stream_of(Anth, &anth_story()));
        assert_eq!(pinged.text, quiet.text, "{client:?}");
        assert!(pinged.translator.take_ping(), "{client:?}");
    }
}

#[test]
fn lessons_of_peers_on_streams() {
    for client in DIALECTS {
        let told =
            told(&Source::new(Anth), &plan(client), Framing::Sse, &stream_of(Anth, &anth_story()));
        // R06: only chat has an end mark of its own. R03: no tags around reasoning.
        assert_eq!(told.text.contains("[DONE]"), client == Chat, "{client:?}");
        assert!(!told.text.contains("<think"), "{client:?}");
    }
    // R32: one message_delta, with the counts that come late; R33: zeros at the end overwrite nothing.
    let mut events = anth_story();
    events[9]["usage"] = json!({"input_tokens": 0, "output_tokens": 5});
    let got = streamed(Anth, &plan(Anth), &events);
    let deltas: Vec<&Value> = got.iter().filter(|event| event["type"] == "message_delta").collect();
    assert_eq!(deltas.len(), 1);
    assert_eq!(deltas[0]["usage"]["input_tokens"], 3);
}
