//! Streams of chat (T130–T138, T165, T167). That the cut of the bytes makes no difference (T129) is checked
//! for each of them, as for those of the other dialects.

use ninerouter_dialect::Dialect::{Anth, Chat, Gem};
use ninerouter_dialect::{Framing, StreamEnd};
use serde_json::{Value, json};

use crate::pipeline::{
    DIALECTS, Source, blocks, chat_text, data, modest, plan, stream_of, streamed, text, told, types,
};

pub(crate) fn chunk(delta: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

pub(crate) fn finish(reason: &str) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn call_chunk(call: Value) -> Value {
    chunk(json!({"tool_calls": [call]}))
}
fn tool_block(id: &str, name: &str, input: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

#[test]
fn t130_t132_framing_makes_no_difference() {
    let piece = |text: &str| chunk(json!({"content": text})).to_string();
    let (a, b) = (piece("a"), piece("b"));
    let end = finish("stop");
    let lines = format!("data: {a}\n\ndata: {b}\n\ndata: {end}\n\n");
    let (head, tail) = a.split_at(a.find(',').unwrap() + 1);
    for stream in [
        format!("data:{a}\n\ndata:{b}\n\ndata:{end}\n\ndata:[DONE]\n\n"),
        lines.replace('\n', "\r\n"),
        lines.replace('\n', "\r"),
        format!("\u{feff}{lines}"),
        format!(": hi\n\n{lines}: ho\n\n"),
        format!("event: x\nid: 1\nretry: 5\n{lines}"),
        format!("data: {head}\ndata: {tail}\n\ndata: {b}\n\ndata: {end}\n\n"),
        lines.trim_end().to_owned(),
        format!("data: null\n\ndata:\n\n{lines}"),
    ] {
        let told = told(&Source::new(Chat), &plan(Chat), Framing::Sse, &stream);
        assert_eq!(told.end, StreamEnd::Complete, "{stream}");
        let said: String = data(&told.text)
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(said, "ab", "{stream}");
    }
}

#[test]
fn t131_characters_survive_any_cut() {
    let events = [chunk(json!({"content": "é🙂"})), finish("stop")];
    for client in DIALECTS {
        let stream = stream_of(Chat, &events);
        let told = told(&Source::new(Chat), &plan(client), Framing::Sse, &stream);
        assert!(told.text.contains("é🙂"), "{}", told.text);
    }
}

#[test]
fn t133_a_short_answer_of_chat() {
    let usage = json!({"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}});
    let events = [
        chunk(json!({"role": "assistant", "content": ""})),
        chunk(json!({"content": "Hel"})),
        chunk(json!({"content": "lo"})),
        finish("stop"),
        usage,
    ];
    let got = streamed(Chat, &modest(Anth), &events);
    assert_eq!(
        types(&got),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(blocks(&got), [text("Hello")]);
    assert_eq!(got[5]["delta"]["stop_reason"], "end_turn");
    assert_eq!(got[5]["usage"]["input_tokens"], 9);
    assert_eq!(got[5]["usage"]["output_tokens"], 2);
}

#[test]
fn t134_parallel_calls_come_one_after_the_other() {
    let start = |index: u8, name: &str| {
        call_chunk(json!({"index": index, "id": name, "type": "function",
            "function": {"name": name, "arguments": ""}}))
    };
    let more = |index: u8, arguments: &str| {
        call_chunk(json!({"index": index, "function": {"arguments": arguments}}))
    };
    let in_order = [start(0, "f"), more(0, "{\"a\":"), more(0, "1}"), start(1, "g"), more(1, "{}")];
    let mixed = [
        start(0, "f"),
        start(1, "g"),
        more(0, "{\"a\":"),
        more(1, "{"),
        more(0, "1}"),
        more(1, "}"),
    ];
    for calls in [in_order.to_vec(), mixed.to_vec()] {
        let events: Vec<Value> = calls.into_iter().chain([finish("tool_calls")]).collect();
        let got = streamed(Chat, &modest(Anth), &events);
        let want = [tool_block("f", "f", "{\"a\":1}"), tool_block("g", "g", "{}")];
        assert_eq!(blocks(&got), want);
        let got = streamed(Chat, &modest(Gem), &events);
        let args: Vec<&Value> = got
            .iter()
            .flat_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array().unwrap())
            .filter_map(|part| part.get("functionCall"))
            .map(|call| &call["args"])
            .collect();
        assert_eq!(args, [&json!({"a": 1}), &json!({})]);
    }
}

#[test]
fn t135_to_t137_odd_calls_of_chat() {
    let function = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
    for (number, calls, want) in [
        (
            "T135",
            vec![
                json!({"index": 0, "id": "x", "function": function("", json!("{"))}),
                json!({"index": 0, "function": function("f", json!("}"))}),
            ],
            vec![tool_block("x", "f", "{}")],
        ),
        (
            "T136",
            vec![
                json!({"index": 0, "id": "x", "function": function("f", json!("{}"))}),
                json!({"index": 0, "id": "y", "function": function("g", json!("{}"))}),
            ],
            vec![tool_block("x", "f", "{}"), tool_block("y", "g", "{}")],
        ),
        (
            "T137 object",
            vec![json!({"index": 0, "id": "x", "function": function("f", json!({"a": 1}))})],
            vec![tool_block("x", "f", "{\"a\":1}")],
        ),
        (
            "T137 null",
            vec![json!({"index": 0, "id": "x", "function": function("f", Value::Null)})],
            vec![tool_block("x", "f", "")],
        ),
        (
            "T137 absent",
            vec![json!({"index": 0, "id": "x", "function": {"name": "f"}})],
            vec![tool_block("x", "f", "")],
        ),
    ] {
        let events: Vec<Value> =
            calls.into_iter().map(call_chunk).chain([finish("tool_calls")]).collect();
        let got = streamed(Chat, &modest(Anth), &events);
        let got = blocks(&got);
        // An input of nothing is read as `{}` by clients, as one of `{}` is.
        let level = |block: &Value| {
            let mut block = block.clone();
            if block["input"] == "" {
                block["input"] = "{}".into();
            }
            block
        };
        assert_eq!(
            got.iter().map(level).collect::<Vec<_>>(),
            want.iter().map(level).collect::<Vec<_>>(),
            "{number}"
        );
    }
}

#[test]
fn t138_reasoning_before_words() {
    let events = [
        chunk(json!({"reasoning_content": "why"})),
        chunk(json!({"content": "a"})),
        finish("stop"),
    ];
    let got = streamed(Chat, &plan(Anth), &events);
    let thinking = json!({"type": "thinking", "thinking": "why", "signature": ""});
    assert_eq!(blocks(&got), [thinking, text("a")]);
    assert_eq!(blocks(&streamed(Chat, &modest(Anth), &events)), [text("a")]);
}

#[test]
fn t165_the_first_chunk_of_azure() {
    let filters = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [],
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]});
    let events = [filters, chunk(json!({"content": "a"})), finish("stop")];
    let got = streamed(Chat, &modest(Anth), &events);
    assert_eq!(blocks(&got), [text("a")]);
    assert_eq!(types(&got).iter().filter(|kind| **kind == "message_start").count(), 1);
    let got = streamed(Chat, &modest(Chat), &events);
    assert_eq!(chat_text(&got), "a");
    assert!(got.iter().all(|chunk| chunk["choices"] != json!([])), "no usage was asked for");
}

#[test]
fn t167_reasoning_in_tags() {
    let pieces = ["<thi", "nk>a</th", "ink>b"];
    let events: Vec<Value> = pieces
        .iter()
        .map(|piece| chunk(json!({"content": piece})))
        .chain([finish("stop")])
        .collect();
    let mut source = Source::new(Chat);
    source.profile.think_tags = true;
    let told = told(&source, &plan(Anth), Framing::Sse, &stream_of(Chat, &events));
    let thinking = json!({"type": "thinking", "thinking": "a", "signature": ""});
    assert_eq!(blocks(&data(&told.text)), [thinking, text("b")]);
    let got = streamed(Chat, &plan(Anth), &events);
    assert_eq!(blocks(&got), [text("<think>a</think>b")]);
}
