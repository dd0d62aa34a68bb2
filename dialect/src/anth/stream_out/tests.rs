//! Streams for clients.

use serde_json::{Value, json};

use super::*;
use crate::ErrorKind;
use crate::anth::decode_response;
use crate::ir::{
    Choice, Citation, CitationKind, Ext, MediaSource, Part, Request, Response, SigFamily, TextPart,
    Thinking, ToolInput, ToolKind, ToolUse,
};
use crate::translate::{Source, unfold};

fn plan(shows_thinking: bool) -> ReplyPlan {
    let mut plan = ReplyPlan::new(Dialect::Anth, &Request::default(), 0);
    plan.model = "c".into();
    plan.shows_thinking = shows_thinking;
    plan.estimated_input = 9;
    plan
}

fn written(plan: ReplyPlan, events: &[Event]) -> Vec<Value> {
    let mut encoder = StreamEncoder::new(plan, Framing::Sse);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    let text = String::from_utf8(out).unwrap();
    text.split_terminator("\n\n")
        .map(|frame| {
            let (name, data) = frame.split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

fn kinds(frames: &[Value]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| {
            let kind = frame["type"].as_str().unwrap();
            let more = frame.pointer("/delta/type").or(frame.pointer("/content_block/type"));
            match (more.and_then(Value::as_str), frame.get("index")) {
                (Some(more), Some(index)) => format!("{index} {more}"),
                (None, Some(index)) => format!("{index} stop"),
                _ => kind.to_owned(),
            }
        })
        .collect()
}

fn start() -> Event {
    Event::Start {
        id: "r1".into(),
        model: "m".into(),
        created: None,
        usage: None,
        service_tier: None,
        fingerprint: None,
    }
}

fn response(parts: Vec<Part>, finish: Finish) -> Response {
    let choice = Choice { parts, finish, ..Choice::new(0) };
    Response { id: "r1".into(), choices: vec![choice], ..Response::default() }
}

fn call(input: ToolInput, signature: Option<Signature>) -> Part {
    Part::ToolUse(ToolUse {
        id: "functions.read:0".into(),
        name: "f".into(),
        input,
        kind: ToolKind::Function,
        namespace: None,
        signature,
        cache: None,
        ext: Ext::default(),
    })
}

fn gemini() -> Signature {
    Signature { family: SigFamily::Gemini, value: "S".into() }
}

#[test]
fn t133_counts_that_come_late_go_out_with_the_reason() {
    let counted = Usage::from(crate::Usage { input: 20, output: 5, ..crate::Usage::default() });
    let text = |text: &'static str| Event::Text { part: 0, text: text.into() };
    let frames = written(
        plan(false),
        &[
            start(),
            Event::PartStart { part: 0, choice: 0, kind: PartKind::Text { phase: None } },
            text("Hel"),
            text("lo"),
            Event::PartStop { part: 0, full: None },
            Event::Finish {
                choice: 0,
                finish: Finish::Stop,
                reason: None,
                stop_sequence: None,
                details: None,
            },
            Event::Usage(counted),
            Event::End,
        ],
    );
    assert_eq!(
        kinds(&frames),
        [
            "message_start",
            "0 text",
            "0 text_delta",
            "0 text_delta",
            "0 stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(frames[0]["message"]["id"], "msg_r1");
    assert_eq!(frames[0]["message"]["usage"]["input_tokens"], 9);
    assert_eq!(frames[5]["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
    assert_eq!(frames[5]["usage"]["input_tokens"], 20);
    assert_eq!(frames[5]["usage"]["output_tokens"], 5);
}

#[test]
fn t125_t138_reasoning_is_shown_to_clients_that_asked() {
    let thinking = Thinking { text: "t".into(), ..Thinking::default() };
    let whole = response(vec![Part::Thinking(thinking), Part::text("a")], Finish::Stop);
    let shown = kinds(&written(plan(true), &unfold(whole.clone())));
    assert_eq!(shown[1..5], ["0 thinking", "0 thinking_delta", "0 stop", "1 text"]);
    let hidden = kinds(&written(plan(false), &unfold(whole)));
    assert_eq!(hidden[1..3], ["0 text", "0 text_delta"]);
}

#[test]
fn signatures_stand_right_before_their_blocks_end() {
    let thinking = Thinking { text: "t".into(), signature: Some(gemini()), ..Thinking::default() };
    let input = ToolInput::Json(RawJson::parse("{}").unwrap());
    let parts = vec![Part::Thinking(thinking), call(input, Some(gemini()))];
    let whole = response(parts, Finish::ToolUse);
    let frames = written(plan(true), &unfold(whole.clone()));
    assert_eq!(
        kinds(&frames)[1..11],
        [
            "0 thinking",
            "0 thinking_delta",
            "0 signature_delta",
            "0 stop",
            "1 thinking",
            "1 signature_delta",
            "1 stop",
            "2 tool_use",
            "2 input_json_delta",
            "2 stop"
        ]
    );
    assert_eq!(frames[8]["content_block"]["id"], "functions_read_0");
    assert_eq!(kinds(&written(plan(false), &unfold(whole)))[1], "0 tool_use");
}

#[test]
fn a_call_without_arguments_has_one_empty_piece() {
    let events = [
        start(),
        Event::PartStart {
            part: 0,
            choice: 0,
            kind: PartKind::ToolUse {
                id: "t".into(),
                name: "f".into(),
                kind: ToolKind::Function,
                namespace: None,
                signature: None,
            },
        },
        Event::PartStop { part: 0, full: None },
        // The source never said why it stopped.
        Event::End,
    ];
    let frames = written(plan(false), &events);
    assert_eq!(frames[1]["content_block"]["input"], json!({}));
    assert_eq!(frames[2]["delta"], json!({"type": "input_json_delta", "partial_json": ""}));
    assert_eq!(frames[4]["delta"]["stop_reason"], "tool_use");
}

#[test]
fn an_empty_answer_has_no_blocks() {
    let frames = written(plan(true), &unfold(response(Vec::new(), Finish::Stop)));
    assert_eq!(kinds(&frames), ["message_start", "message_delta", "message_stop"]);
}

#[test]
fn what_this_dialect_cannot_show_is_left_out_and_indices_stay_dense() {
    let audio = |transcript: Option<&'static str>| Part::Audio {
        source: MediaSource::Base64 { mime: "audio/wav".into(), data: "AAAA".into() },
        format: "wav".into(),
        transcript: transcript.map(Into::into),
        id: None,
    };
    let image = Part::Image {
        source: MediaSource::Url("https://a".into()),
        detail: None,
        cache: None,
        signature: None,
        ext: Ext::default(),
    };
    let citation = Citation {
        kind: CitationKind::Url,
        url: Some("u".into()),
        title: None,
        cited_text: None,
        span: None,
        document: None,
        raw: None,
    };
    let cited =
        Part::Text(TextPart { text: "a".into(), citations: vec![citation], ..TextPart::default() });
    let parts =
        vec![image, audio(None), audio(Some("hi")), cited, Part::Refusal { text: "no".into() }];
    let mut whole = response(parts, Finish::Refusal);
    whole.choices.push(Choice { parts: vec![Part::text("second")], ..Choice::new(1) });
    let frames = written(plan(false), &unfold(whole));
    assert_eq!(
        kinds(&frames)[1..10],
        [
            "0 text",
            "0 text_delta",
            "0 stop",
            "1 text",
            "1 text_delta",
            "1 stop",
            "2 text",
            "2 text_delta",
            "2 stop"
        ]
    );
    assert_eq!(frames[10]["delta"]["stop_reason"], "refusal");
}

#[test]
fn t164_pings_wait_for_the_start() {
    let mut encoder = StreamEncoder::new(plan(false), Framing::Sse);
    assert_eq!(encoder.keep_alive(), ": keep-alive\n\n");
    let mut out = Vec::new();
    encoder.event(&start(), &mut out);
    assert_eq!(encoder.keep_alive(), "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

#[test]
fn errors_are_no_ends() {
    let mut encoder = StreamEncoder::new(plan(false), Framing::Sse);
    let mut out = Vec::new();
    let error = ApiError {
        kind: ErrorKind::Overloaded,
        status: None,
        code: None,
        param: None,
        message: "busy".into(),
        request_id: "req_1".into(),
    };
    encoder.error(&error, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("event: error\ndata: {\"type\":\"error\""), "{text}");
    assert!(!text.contains("message_stop"));
}

/// What a client gathers from the stream is what it gets whole.
#[test]
fn t160_the_stream_folds_into_the_whole() {
    let search = r#"{"content":[{"type":"thinking","thinking":"t","signature":"S"},{"type":"redacted_thinking","data":"D"},{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result","tool_use_id":"s1","content":[]},{"type":"text","text":"a","citations":[{"type":"web_search_result_location","url":"u","title":"t","encrypted_index":"e"}]},{"type":"tool_use","id":"toolu_1","name":"f","input":{"n":12345678901234567890}},{"type":"compaction","content":"c"}],"id":"msg_1","model":"m","stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber"},"usage":{"input_tokens":3,"cache_read_input_tokens":4,"cache_creation":{"ephemeral_1h_input_tokens":2},"output_tokens":5,"server_tool_use":{"web_search_requests":1}}}"#;
    let source = Source::new(Dialect::Anth);
    let whole = decode_response(search.as_bytes(), &source).unwrap();
    let mut decoder = crate::anth::StreamDecoder::new(&source);
    let mut fold = crate::translate::Fold::default();
    let mut events = Vec::new();
    for frame in written(plan(true), &unfold(whole.clone())) {
        decoder.frame(frame.to_string().as_bytes(), None, &mut events).unwrap();
    }
    decoder.finish(&mut events);
    events.into_iter().for_each(|event| fold.push(event));
    let mut again = fold.finish().unwrap();
    assert_eq!(again.model, "c");
    again.model = whole.model.clone();
    assert_eq!(again, whole);
    // And so does the whole body.
    let body = crate::anth::encode_response(&whole, &plan(true));
    let mut again = decode_response(&body, &source).unwrap();
    again.model = whole.model.clone();
    assert_eq!(again, whole);
}

#[test]
fn arguments_that_are_no_object_go_whole_in_one() {
    let call = |kind: ToolKind, pieces: &[&str]| {
        let kind = PartKind::ToolUse {
            id: "t".into(),
            name: "f".into(),
            kind,
            namespace: None,
            signature: None,
        };
        let mut events = vec![Event::PartStart { part: 0, choice: 0, kind }];
        let input = |text: &&str| Event::ToolInput { part: 0, text: Str::from(*text) };
        events.extend(pieces.iter().map(input));
        events.push(Event::PartStop { part: 0, full: None });
        let mut encoder = StreamEncoder::new(plan(false), Framing::Sse);
        let mut out = Vec::new();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        let text = String::from_utf8(out).unwrap();
        let deltas = text.lines().filter_map(|line| line.strip_prefix("data: "));
        deltas
            .filter_map(|data| {
                let event: Value = serde_json::from_str(data).unwrap();
                event["delta"]["partial_json"].as_str().map(str::to_owned)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(call(ToolKind::Function, &["x=", "1"]), [r#"{"_raw":"x=1"}"#]);
    assert_eq!(call(ToolKind::Function, &[" ", "[1", "]"]), [r#"{"value":[1]}"#]);
    assert_eq!(call(ToolKind::Function, &[" ", "{\"a\"", ":[1]}"]), ["{\"a\"", ":[1]}"]);
    assert_eq!(call(ToolKind::Custom, &["{\"a\"", ":1}\n"]), [r#"{"input":"{\"a\":1}\n"}"#]);
    assert_eq!(call(ToolKind::Function, &[]), [""]);
}
