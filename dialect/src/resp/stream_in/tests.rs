use serde_json::{Value, json};

use super::*;
use crate::ir::{
    EventOrder, MediaSource, Part, PartKind, Response, ServerTool, Signature, Thinking, ToolInput,
    ToolKind,
};
use crate::translate::Fold;

fn source() -> Source {
    Source { family: SigFamily::OpenAi, ..Source::new(Dialect::Resp) }
}

fn events(frames: &[Value]) -> Vec<Event> {
    let mut decoder = StreamDecoder::new(&source());
    let mut out = Vec::new();
    for frame in frames {
        decoder.frame(frame.to_string().as_bytes(), None, &mut out).unwrap();
    }
    decoder.finish(&mut out);
    let mut order = EventOrder::default();
    for event in &out {
        order.check(event).unwrap_or_else(|broken| panic!("{broken}: {event:?} in {out:?}"));
    }
    assert!(order.is_ended(), "{out:?}");
    out
}

fn folded(frames: &[Value]) -> Result<Response, Failure> {
    let mut fold = Fold::default();
    events(frames).into_iter().for_each(|event| fold.push(event));
    fold.finish()
}

fn parts(frames: &[Value]) -> Vec<Part> {
    let mut choices = folded(frames).unwrap().choices;
    assert_eq!(choices.len(), 1);
    choices.remove(0).parts
}

fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "created_at": 7}})
}

fn completed() -> Value {
    json!({"type": "response.completed", "response": {"status": "completed", "output": []}})
}

fn added(index: u32, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

fn done(index: u32, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn text_delta(index: u32, text: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": index, "content_index": 0,
        "delta": text})
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

#[test]
fn t143_repeated_text_adds_only_what_is_missing() {
    let text_done = |text: &str| {
        json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0,
            "text": text})
    };
    for (frames, want) in [
        (vec![text_delta(0, "Hel"), text_delta(0, "lo"), text_done("Hello")], "Hello"),
        (vec![text_delta(0, "Hel"), text_done("Hello")], "Hello"),
        (vec![text_delta(0, "Hel"), text_done("other")], "Hel"),
        (vec![text_delta(0, "Hel"), done(0, message("Hello"))], "Hello"),
        (vec![done(0, message("Hello"))], "Hello"),
        (vec![added(0, message("")), done(0, message("Hello"))], "Hello"),
    ] {
        let frames: Vec<Value> =
            [created()].into_iter().chain(frames).chain([completed()]).collect();
        assert_eq!(parts(&frames), [Part::text(want)], "{frames:?}");
    }
}

#[test]
fn t144_ids_that_change_with_every_event_do_not_matter() {
    let named = |mut frame: Value, id: &str| {
        frame["item_id"] = id.into();
        frame
    };
    let frames = [
        created(),
        added(0, json!({"type": "message", "id": "a", "content": []})),
        named(text_delta(0, "Hel"), "b"),
        named(text_delta(0, "lo"), "c"),
        done(
            0,
            json!({"type": "message", "id": "d",
            "content": [{"type": "output_text", "text": "Hello"}]}),
        ),
        json!({"type": "response.completed", "response": {"status": "completed", "output": [
            {"type": "message", "id": "e", "content": [{"type": "output_text", "text": "Hello"}]}]}}),
    ];
    assert_eq!(parts(&frames), [Part::text("Hello")]);
}

#[test]
fn t145_summaries_of_one_item_are_one_part_with_the_last_seal() {
    let delta = |index: u32, text: &str| {
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0,
            "summary_index": index, "delta": text})
    };
    let summary = json!([{"type": "summary_text", "text": "a"},
        {"type": "summary_text", "text": "b"}]);
    let frames = [
        created(),
        added(0, json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "early"})),
        delta(0, "a"),
        json!({"type": "response.reasoning_summary_part.added", "output_index": 0,
            "summary_index": 1}),
        delta(1, "b"),
        done(
            0,
            json!({"type": "reasoning", "id": "rs_1", "summary": summary,
            "encrypted_content": "late"}),
        ),
        completed(),
    ];
    let seen = events(&frames);
    assert_eq!(seen.iter().filter(|e| matches!(e, Event::ThinkingBreak { .. })).count(), 1);
    let want = Thinking {
        text: "a\n\nb".into(),
        signature: Some(Signature { family: SigFamily::OpenAi, value: "late".into() }),
        summary: true,
        item_id: Some("rs_1".into()),
        ..Thinking::default()
    };
    assert_eq!(parts(&frames), [Part::Thinking(want)]);
}

#[test]
fn reasoning_itself_counts_where_there_is_no_summary() {
    let raw = |text: &str| {
        json!({"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0,
            "delta": text})
    };
    let item = json!({"type": "reasoning", "id": "rs_1", "summary": [],
        "content": [{"type": "reasoning_text", "text": "abc"}]});
    let frames = [created(), raw("a"), raw("b"), done(0, item), completed()];
    let seen = parts(&frames);
    let [Part::Thinking(thinking)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((&*thinking.text, thinking.summary), ("abc", false));

    let sealed = json!({"type": "reasoning", "id": "rs_1", "summary": [],
        "encrypted_content": "S"});
    let seal = Signature { family: SigFamily::OpenAi, value: "S".into() };
    let want = Part::Redacted { seal, item_id: Some("rs_1".into()) };
    assert_eq!(parts(&[created(), done(0, sealed), completed()]), [want]);
    let nothing = done(0, json!({"type": "reasoning", "id": "rs_1", "summary": []}));
    assert_eq!(folded(&[created(), nothing, completed()]).unwrap().choices[0].parts, []);
}

#[test]
fn t146_the_last_event_alone_tells_everything() {
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
        "arguments": "{\"a\":1}"});
    let all = json!({"type": "response.completed", "response": {"id": "resp_1", "model": "m",
        "status": "completed", "output": [message("Hello"), call],
        "usage": {"input_tokens": 3, "output_tokens": 2}}});
    let whole = folded(std::slice::from_ref(&all)).unwrap();
    assert_eq!(whole.choices[0].parts.len(), 2);
    assert_eq!(whole.choices[0].finish, Finish::ToolUse);
    assert_eq!(whole.usage.unwrap().tokens.total(), 5);
    // What was streamed is not told again, whatever indices the stream had.
    let frames = [created(), text_delta(0, "Hello"), added(0, call.clone()), done(0, call), all];
    assert_eq!(parts(&frames), whole.choices[0].parts);
}

#[test]
fn t147_an_error_is_told_once() {
    for first in [
        json!({"type": "error", "code": "server_is_overloaded", "message": "busy"}),
        json!({"type": "error", "error": {"type": "server_error", "message": "busy"}}),
        json!({"error": {"message": "busy"}}),
        json!({"type": "response.failed", "response": {"status": "failed",
            "error": {"code": "rate_limit_exceeded", "message": "busy"}}}),
    ] {
        let failed = json!({"type": "response.failed", "response": {"status": "failed",
            "error": {"code": "x", "message": "y"}}});
        let seen = events(&[created(), text_delta(0, "a"), first.clone(), failed]);
        let Some(Event::Failed(failure)) = seen.last() else { panic!("{seen:?}") };
        let Failure::Upstream(error) = &**failure else { panic!("{failure:?}") };
        assert_eq!(error.body.message.as_deref(), Some("busy"), "{first}");
    }
}

#[test]
fn t118_the_reason_of_an_incomplete_answer_is_kept() {
    let incomplete = |details: Value| {
        json!({"type": "response.incomplete", "response": {"status": "incomplete",
            "incomplete_details": details}})
    };
    for (details, finish, word) in [
        (json!({"reason": "max_output_tokens"}), Finish::Length, "max_output_tokens"),
        (json!({"reason": "content_filter"}), Finish::ContentFilter, "content_filter"),
        (Value::Null, Finish::Length, "incomplete"),
    ] {
        let whole = folded(&[created(), text_delta(0, "a"), incomplete(details)]).unwrap();
        assert_eq!(whole.choices[0].finish, finish);
        assert_eq!(whole.choices[0].reason.as_deref(), Some(word));
    }
    let refusal = json!({"type": "response.refusal.delta", "output_index": 0, "content_index": 0,
        "delta": "No."});
    let whole = folded(&[created(), refusal, completed()]).unwrap();
    assert_eq!(whole.choices[0].finish, Finish::Refusal);
    assert_eq!(whole.choices[0].parts, [Part::Refusal { text: "No.".into() }]);
}

#[test]
fn calls_that_stream_at_the_same_time_come_one_after_the_other() {
    let call = |n: u32| {
        json!({"type": "function_call", "call_id": format!("call_{n}"), "name": "f",
            "arguments": ""})
    };
    let delta = |index: u32, text: &str| {
        json!({"type": "response.function_call_arguments.delta", "output_index": index,
            "delta": text})
    };
    let frames = [
        created(),
        added(0, call(0)),
        added(1, call(1)),
        delta(0, "{\"a\""),
        delta(1, "{\"b\""),
        delta(0, ":1}"),
        delta(1, ":2}"),
        done(1, json!({"type": "function_call", "call_id": "call_1", "name": "f"})),
        completed(),
    ];
    let inputs: Vec<String> = parts(&frames)
        .into_iter()
        .map(|part| match part {
            Part::ToolUse(call) => match call.input {
                ToolInput::Json(json) => json.get().to_owned(),
                ToolInput::Text(text) => text.to_string(),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(inputs, [r#"{"a":1}"#, r#"{"b":2}"#]);
}

#[test]
fn a_call_starts_when_its_name_is_known_and_gets_an_id() {
    let frames = [
        created(),
        added(0, json!({"type": "function_call", "name": ""})),
        json!({"type": "response.function_call_arguments.delta", "output_index": 0,
            "delta": "{}"}),
        done(0, json!({"type": "function_call", "name": "f", "arguments": "{}"})),
        // Never named: nothing that a client could run.
        done(1, json!({"type": "function_call", "call_id": "x", "arguments": "{}"})),
        completed(),
    ];
    let seen = parts(&frames);
    let [Part::ToolUse(call)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((&*call.name, call.id.starts_with("call_")), ("f", true));
}

#[test]
fn items_without_deltas_come_whole() {
    let shell = json!({"type": "local_shell_call", "id": "lsh_1", "call_id": "call_1",
        "status": "completed", "action": {"type": "exec", "command": ["ls"]}, "extra": 1});
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed",
        "action": {"type": "search", "query": "q"}});
    let image = json!({"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0K"});
    let unknown = json!({"type": "compaction", "encrypted_content": "x"});
    let custom = json!({"type": "custom_tool_call", "call_id": "call_2", "name": "apply",
        "input": "x\ny"});
    let frames = [
        created(),
        done(0, search),
        done(1, shell),
        done(2, image),
        done(3, unknown.clone()),
        done(4, custom),
        completed(),
    ];
    let seen = parts(&frames);
    let [
        Part::ServerTool(ServerTool { name, input, .. }),
        Part::ToolUse(shell),
        Part::Image { source, .. },
        Part::Opaque { raw, .. },
        Part::ToolUse(custom),
    ] = seen.as_slice()
    else {
        panic!("{seen:?}")
    };
    assert_eq!((&**name, input.get()), ("web_search_call", r#"{"type":"search","query":"q"}"#));
    assert_eq!(shell.kind, ToolKind::Native("local_shell_call".into()));
    assert_eq!(shell.ext.get(Dialect::Resp, "extra").unwrap().get(), "1");
    let png = MediaSource::Base64 { mime: "image/png".into(), data: "iVBORw0K".into() };
    assert_eq!(*source, png);
    assert_eq!(raw.to_value().unwrap(), unknown);
    assert_eq!((&custom.kind, &custom.input), (&ToolKind::Custom, &ToolInput::Text("x\ny".into())));
}

#[test]
fn citations_and_probabilities_stay_with_their_text() {
    let annotation = json!({"type": "url_citation", "url": "https://x", "title": "t",
        "start_index": 0, "end_index": 1});
    let mut delta = text_delta(0, "ab");
    delta["logprobs"] = json!([{"token": "ab", "logprob": -0.1}]);
    let frames = [
        created(),
        delta,
        json!({"type": "response.output_text.annotation.added", "output_index": 0,
            "content_index": 0, "annotation_index": 0, "annotation": annotation}),
        done(
            0,
            json!({"type": "message", "content": [{"type": "output_text", "text": "ab",
            "annotations": [annotation], "logprobs": [{"token": "ab"}]}]}),
        ),
        completed(),
    ];
    let whole = folded(&frames).unwrap();
    let Part::Text(text) = &whole.choices[0].parts[0] else { panic!("{whole:?}") };
    assert_eq!(text.citations.len(), 1);
    assert_eq!(text.citations[0].url.as_deref(), Some("https://x"));
    assert_eq!(whole.choices[0].logprobs.len(), 1);
}

#[test]
fn a_stream_without_its_last_event_is_cut_off() {
    let frames = [created(), text_delta(0, "a")];
    assert_eq!(folded(&frames), Err(Failure::Truncated));
    let mut decoder = StreamDecoder::new(&source());
    let mut out = Vec::new();
    for frame in &frames {
        decoder.frame(frame.to_string().as_bytes(), None, &mut out).unwrap();
    }
    decoder.frame(b" [DONE]", None, &mut out).unwrap();
    decoder.finish(&mut out);
    assert_eq!(out.last(), Some(&Event::End));
    assert_eq!(decoder.frame(b"nonsense", None, &mut out), Ok(()));
    let mut decoder = StreamDecoder::new(&source());
    assert_eq!(decoder.frame(b"[1]", None, &mut out), Err(BadFrame));
}

#[test]
fn names_of_events_stand_in_for_types() {
    let mut decoder = StreamDecoder::new(&source());
    let mut out = Vec::new();
    let data = br#"{"output_index":0,"delta":"a"}"#;
    decoder.frame(data, Some(b"response.output_text.delta"), &mut out).unwrap();
    decoder.frame(b"{}", Some(b"keepalive"), &mut out).unwrap();
    assert!(matches!(&out[1], Event::PartStart { kind: PartKind::Text { .. }, .. }));
    assert_eq!(out.len(), 3);
}
