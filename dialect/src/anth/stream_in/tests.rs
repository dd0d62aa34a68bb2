//! Streams of upstreams, tidy and otherwise.

use super::*;
use crate::ir::{EventOrder, Finish, Part, Response};
use crate::translate::Fold;

/// All events of a stream, checked for their order.
fn events(frames: &[&str]) -> Vec<Event> {
    let mut decoder = StreamDecoder::new(&Source::new(Dialect::Anth));
    let mut out = Vec::new();
    for frame in frames {
        decoder.frame(frame.as_bytes(), None, &mut out).unwrap();
    }
    decoder.finish(&mut out);
    let mut order = EventOrder::default();
    for event in &out {
        order.check(event).unwrap_or_else(|broken| panic!("{broken}: {out:?}"));
    }
    assert!(order.is_ended(), "{out:?}");
    out
}

fn folded(frames: &[&str]) -> Result<Response, Failure> {
    let mut fold = Fold::default();
    events(frames).into_iter().for_each(|event| fold.push(event));
    fold.finish()
}

fn parts(frames: &[&str]) -> Vec<Part> {
    folded(frames).unwrap().choices.remove(0).parts
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":61,"output_tokens":1}}}"#;
const END: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn start(block: &str) -> String {
    format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#)
}

fn delta(delta: &str) -> String {
    format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#)
}

#[test]
fn t156_a_repeated_start_is_ignored_and_another_one_is_an_error() {
    let text = delta(r#"{"type":"text_delta","text":"a"}"#);
    let other = START.replace("msg_1", "msg_2");
    assert_eq!(parts(&[START, &text, START, END, STOP]), [Part::text("a")]);
    assert_eq!(parts(&[START, &other, &text, END, STOP]), [Part::text("a")]);
    assert_eq!(folded(&[START, &text, &other, END, STOP]), Err(Failure::Spliced));
}

#[test]
fn t157_counts_of_the_start_stand_until_the_end_says_more() {
    let text = delta(r#"{"type":"text_delta","text":"a"}"#);
    for (usage, input, output) in [
        (r#"{"output_tokens":5}"#, 61, 5),
        (r#"{"input_tokens":0,"output_tokens":5}"#, 61, 5),
        (r#"{"input_tokens":null,"output_tokens":5}"#, 61, 5),
        (r#"{"input_tokens":70,"output_tokens":5}"#, 70, 5),
    ] {
        let end = END.replace(r#"{"output_tokens":5}"#, usage);
        let usage = folded(&[START, &text, &end, STOP]).unwrap().usage.unwrap();
        assert_eq!((usage.tokens.input, usage.tokens.output), (input, output));
    }
}

#[test]
fn t139_empty_pieces_of_arguments_say_nothing() {
    let call = start(r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{}}"#);
    let piece = |json: &str| {
        delta(&format!(r#"{{"type":"input_json_delta","partial_json":{}}}"#, json::quote(json)))
    };
    let end = END.replace("end_turn", "tool_use");
    let frames =
        [START, &call, &piece(""), &piece("{\"a\":"), &piece("1}"), &end, STOP].map(str::to_owned);
    let seen = events(&frames.each_ref().map(String::as_str));
    let pieces: Vec<_> =
        seen.iter().filter(|event| matches!(event, Event::ToolInput { .. })).collect();
    assert_eq!(pieces.len(), 2);
    let finish = seen.iter().find_map(|event| match event {
        Event::Finish { finish, .. } => Some(finish.clone()),
        _ => None,
    });
    assert_eq!(finish, Some(Finish::ToolUse));

    for (input, more, want) in [
        ("{}", "", "{}"),
        (r#"{"a":1}"#, "", r#"{"a":1}"#),
        ("{}", r#"{"id":12345678901234567890}"#, r#"{"id":12345678901234567890}"#),
    ] {
        let call = start(&format!(r#"{{"type":"tool_use","id":"t","name":"f","input":{input}}}"#));
        let parts = parts(&[START, &call, &piece(more), &end, STOP]);
        let [Part::ToolUse(call)] = parts.as_slice() else { panic!("{parts:?}") };
        let want = crate::ir::ToolInput::Json(RawJson::parse(want).unwrap());
        assert_eq!(call.input, want);
    }
}

#[test]
fn blocks_start_and_stop_by_themselves() {
    let text = delta(r#"{"type":"text_delta","text":"a"}"#);
    let later = text.replace("\"index\":0", "\"index\":1").replace("\"a\"", "\"b\"");
    let two = [Part::text("a"), Part::text("b")];
    assert_eq!(parts(&[START, &text, &later, END, STOP]), two);
    let opened = start(r#"{"type":"text","text":"a"}"#);
    assert_eq!(parts(&[START, &opened, &later, END, STOP]), two);
    // Nor does a missing start of the message harm.
    assert_eq!(parts(&[&text, END, STOP]), [Part::text("a")]);
}

#[test]
fn blocks_without_words_are_no_parts() {
    let empty = start(r#"{"type":"text","text":""}"#);
    let thought = start(r#"{"type":"thinking","thinking":"","signature":""}"#);
    assert_eq!(
        parts(&[START, &empty, &thought, &delta(r#"{"type":"text_delta"}"#), END, STOP]),
        []
    );
    let signed = delta(r#"{"type":"signature_delta","signature":"S1"}"#);
    let more = delta(r#"{"type":"signature_delta","signature":"S2"}"#);
    let parts = parts(&[START, &thought, &signed, &more, END, STOP]);
    let [Part::Thinking(thinking)] = parts.as_slice() else { panic!("{parts:?}") };
    assert_eq!(thinking.signature.as_ref().map(|s| &*s.value), Some("S1S2"));
}

#[test]
fn citations_may_come_before_the_text() {
    let cited = delta(
        r#"{"type":"citations_delta","citation":{"type":"char_location","cited_text":"c","document_index":0}}"#,
    );
    let text = delta(r#"{"type":"text_delta","text":"a"}"#);
    let parts = parts(&[START, &start(r#"{"type":"text","text":""}"#), &cited, &text, END, STOP]);
    let [Part::Text(text)] = parts.as_slice() else { panic!("{parts:?}") };
    assert_eq!((text.citations.len(), &*text.text), (1, "a"));
}

#[test]
fn results_find_the_calls_that_the_provider_ran() {
    let call = |id: &str| {
        start(&format!(
            r#"{{"type":"server_tool_use","id":"{id}","name":"web_search","input":{{}}}}"#
        ))
    };
    let query = delta(r#"{"type":"input_json_delta","partial_json":"{\"query\":\"q\"}"}"#);
    let result = |id: &str| {
        start(&format!(r#"{{"type":"web_search_tool_result","tool_use_id":"{id}","content":[]}}"#))
    };
    let text = start(r#"{"type":"text","text":"a"}"#);
    let parts = parts(&[
        START,
        &call("s1"),
        &query,
        &call("s2"),
        &result("s1"),
        &result("s2"),
        &call("s3"),
        &text,
        &result("s3"),
        END,
        STOP,
    ]);
    let [Part::ServerTool(first), Part::ServerTool(second), rest @ ..] = parts.as_slice() else {
        panic!("{parts:?}")
    };
    assert_eq!((first.input.get(), first.result.is_some()), (r#"{"query":"q"}"#, true));
    assert_eq!((second.input.get(), second.result.is_some()), ("{}", true));
    let [Part::ServerTool(third), Part::Text(_), Part::Opaque { .. }] = rest else {
        panic!("{parts:?}")
    };
    assert_eq!(third.result, None);
}

#[test]
fn streams_that_break_off_are_failures() {
    let text = delta(r#"{"type":"text_delta","text":"a"}"#);
    assert_eq!(folded(&[START, &text]), Err(Failure::Truncated));
    assert_eq!(folded(&[]), Err(Failure::Empty));
    assert_eq!(folded(&[START, STOP]), Err(Failure::Empty));
    // The reason was said: only the last event is missing.
    assert_eq!(parts(&[START, &text, END]), [Part::text("a")]);
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    for frames in [vec![START, &text, error, END, STOP], vec![error]] {
        let Err(Failure::Upstream(error)) = folded(&frames) else { panic!("{frames:?}") };
        assert_eq!(error.body.message.as_deref(), Some("busy"));
    }
}

#[test]
fn names_of_events_count_only_where_the_data_has_no_type() {
    let mut decoder = StreamDecoder::new(&Source::new(Dialect::Anth));
    let mut out = Vec::new();
    decoder.frame(START.as_bytes(), Some(b"ping"), &mut out).unwrap();
    decoder.frame(b"{}", Some(b"ping"), &mut out).unwrap();
    decoder.frame(br#"{"type":"new_event"}"#, None, &mut out).unwrap();
    assert!(matches!(out.as_slice(), [Event::Start { .. }, Event::Ping]), "{out:?}");
    for bad in ["", "[1]", "{", "DONE"] {
        assert_eq!(decoder.frame(bad.as_bytes(), None, &mut out), Err(BadFrame), "{bad}");
    }
}
