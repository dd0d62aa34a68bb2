//! Streams of Responses (T143–T147).

use ninerouter_dialect::Dialect::{Anth, Chat, Resp};
use ninerouter_dialect::{Framing, StreamEnd};
use serde_json::{Value, json};

use crate::pipeline::{
    DIALECTS, Source, blocks, chat_text, modest, plan, stream_of, streamed, text, told,
};

pub(crate) fn item(index: u8, kind: &str, item: Value) -> Value {
    json!({"type": format!("response.output_item.{kind}"), "output_index": index, "item": item})
}

pub(crate) fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "created_at": 1}})
}

pub(crate) fn completed(output: Value) -> Value {
    json!({"type": "response.completed", "response": {"id": "resp_1", "model": "m",
        "status": "completed", "output": output,
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}})
}

pub(crate) fn message(id: &str, said: &str) -> Value {
    json!({"type": "message", "id": id, "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": said, "annotations": []}]})
}

pub(crate) fn opened(id: &str) -> Value {
    item(0, "added", json!({"type": "message", "id": id, "role": "assistant", "content": []}))
}

pub(crate) fn delta(id: &str, said: &str) -> Value {
    json!({"type": "response.output_text.delta", "item_id": id, "output_index": 0, "content_index": 0,
        "delta": said})
}

fn text_done(id: &str, said: &str) -> Value {
    json!({"type": "response.output_text.done", "item_id": id, "output_index": 0, "content_index": 0,
        "text": said})
}

#[test]
fn t143_what_is_said_again_at_the_end() {
    for (said, done, want) in [
        (Some("Hello"), Some("Hello"), "Hello"),
        (Some("Hel"), Some("Hello"), "Hello"),
        (Some("Hello"), Some("Other"), "Hello"),
        (None, Some("Hello"), "Hello"),
        (None, None, "Hello"),
    ] {
        let mut events = vec![created(), opened("m1")];
        events.extend(said.map(|said| delta("m1", said)));
        events.extend(done.map(|done| text_done("m1", done)));
        let whole = done.unwrap_or("Hello");
        events.extend([
            item(0, "done", message("m1", whole)),
            completed(json!([message("m1", whole)])),
        ]);
        let got = streamed(Resp, &modest(Anth), &events);
        assert_eq!(blocks(&got), [text(want)], "{said:?} {done:?}");
    }
}

#[test]
fn t144_ids_that_change_with_each_event() {
    let events = [
        created(),
        opened("x1"),
        delta("x2", "a"),
        delta("x3", "b"),
        text_done("x4", "ab"),
        item(0, "done", message("x5", "ab")),
        completed(json!([message("x6", "ab")])),
    ];
    assert_eq!(chat_text(&streamed(Resp, &modest(Chat), &events)), "ab");
}

#[test]
fn t145_a_reasoning_item_is_one_block() {
    let part = |index: u8, kind: &str| {
        json!({"type": format!("response.reasoning_summary_part.{kind}"), "item_id": "rs_1",
            "output_index": 0, "summary_index": index, "part": {"type": "summary_text", "text": ""}})
    };
    let said = |index: u8, said: &str| {
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0,
            "summary_index": index, "delta": said})
    };
    let reasoning = |sealed: Value, summary: Value| json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": sealed});
    let summary =
        json!([{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]);
    let events = [
        created(),
        item(0, "added", reasoning(json!("early"), json!([]))),
        part(0, "added"),
        said(0, "a"),
        part(0, "done"),
        part(1, "added"),
        said(1, "b"),
        part(1, "done"),
        item(0, "done", reasoning(json!("sealed"), summary)),
        completed(json!([])),
    ];
    let got = streamed(Resp, &plan(Anth), &events);
    let thinking = json!({"type": "thinking", "thinking": "a\n\nb", "signature": "sealed"});
    assert_eq!(blocks(&got), [thinking]);
    let signatures = got.iter().filter(|event| event["delta"]["type"] == "signature_delta").count();
    assert_eq!(signatures, 1);
}

#[test]
fn t146_t147_ends_of_responses() {
    let whole = completed(json!([message("m1", "all of it")]));
    assert_eq!(chat_text(&streamed(Resp, &modest(Chat), &[whole])), "all of it");

    let error = json!({"type": "error", "code": "server_error", "message": "broke", "param": null});
    let failed = json!({"type": "response.failed", "response": {"id": "resp_1", "status": "failed",
        "error": {"code": "server_error", "message": "broke"}}});
    for client in DIALECTS {
        for ends in [vec![error.clone(), failed.clone()], vec![failed.clone()], vec![error.clone()]]
        {
            let events: Vec<Value> =
                [created(), opened("m1"), delta("m1", "a")].into_iter().chain(ends).collect();
            let stream = stream_of(Resp, &events);
            let mut told = told(&Source::new(Resp), &modest(client), Framing::Sse, &stream);
            assert_eq!(told.end, StreamEnd::Failed);
            let failure = told.translator.failure().unwrap().clone();
            let mut out = Vec::new();
            let error = ninerouter_dialect::translate::failure_for_client(&failure, "req_1");
            told.translator.fail(&error, &mut out);
            let tail = String::from_utf8(out.concat()).unwrap();
            let all = format!("{}{tail}", told.text);
            assert_eq!(all.matches("broke").count(), if client == Resp { 2 } else { 1 }, "{all}");
        }
    }
}
