//! Chunks of rare events.

use serde_json::{Value, json};

use super::*;
use crate::ErrorKind;
use crate::ir::{
    CitationKind, MediaSource, Part, Request, Response, SigFamily, Signature, TextPart, ToolInput,
    ToolUse,
};
use crate::translate::unfold;

fn plan() -> ReplyPlan {
    let request = Request { model: "asked".into(), ..Request::default() };
    ReplyPlan::new(Dialect::Chat, &request, 9)
}

fn chunks(events: &[Event], plan: ReplyPlan) -> Vec<Value> {
    let mut encoder = StreamEncoder::new(plan, Framing::Sse);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    let text = String::from_utf8(out).unwrap();
    let mut events: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(events.split_off(events.len() - 2), ["data: [DONE]", ""]);
    let data = |event: &str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    events.into_iter().map(data).collect()
}

fn told(parts: Vec<Part>, finish: Finish, plan: ReplyPlan) -> Vec<Value> {
    let choice = crate::ir::Choice { parts, finish, ..crate::ir::Choice::new(0) };
    let response = Response { id: "r".into(), choices: vec![choice], ..Response::default() };
    chunks(&unfold(response), plan)
}

fn deltas(chunks: &[Value], member: &str) -> Vec<Value> {
    let delta = |chunk: &Value| chunk["choices"][0]["delta"].get(member).cloned();
    chunks.iter().filter_map(delta).collect()
}

fn call(name: &str, input: ToolInput, kind: ToolKind, signature: Option<Signature>) -> Part {
    Part::ToolUse(ToolUse {
        id: format!("id_{name}").into(),
        name: name.into(),
        input,
        kind,
        namespace: None,
        signature,
        cache: None,
        ext: crate::ir::Ext::default(),
    })
}

#[test]
fn every_chunk_names_the_model_that_was_asked_for() {
    let got = told(vec![Part::text("a")], Finish::Stop, plan());
    assert!(got.iter().all(|chunk| chunk["model"] == "asked" && chunk["created"] == 9));
    assert!(got.iter().all(|chunk| chunk["id"] == "chatcmpl-r"));
    assert_eq!(deltas(&got, "role"), [json!("assistant")]);
}

#[test]
fn t140_usage_comes_only_where_it_was_asked_for() {
    let mut asked = plan();
    asked.include_usage = true;
    asked.estimated_input = 11;
    let got = told(vec![Part::text("x".repeat(36))], Finish::Stop, asked);
    let last = got.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        (&last["usage"]["prompt_tokens"], &last["usage"]["total_tokens"]),
        (&11.into(), &21.into())
    );
    let got = told(vec![Part::text("a")], Finish::Stop, plan());
    assert!(got.iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(got.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn calls_are_numbered_and_named_once() {
    let object = |text: &str| ToolInput::Json(RawJson::parse(text).unwrap());
    let nothing = Event::PartStart {
        part: 0,
        choice: 0,
        kind: PartKind::ToolUse {
            id: "id_e".into(),
            name: "e".into(),
            kind: ToolKind::Function,
            namespace: None,
            signature: None,
        },
    };
    let start = unfold(Response::default()).remove(0);
    let got =
        chunks(&[start, nothing, Event::PartStop { part: 0, full: None }, Event::End], plan());
    let calls = deltas(&got, "tool_calls");
    assert_eq!(calls[1], json!([{"index":0,"function":{"arguments":"{}"}}]));
    assert_eq!(got.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");

    let gemini = Signature { family: SigFamily::Gemini, value: "S".into() };
    let claude = Signature { family: SigFamily::Claude, value: "C".into() };
    let parts = vec![
        call("f", object("{\"a\":1}"), ToolKind::Function, Some(gemini)),
        call("g", ToolInput::Text("free".into()), ToolKind::Custom, Some(claude)),
    ];
    let calls = deltas(&told(parts, Finish::ToolUse, plan()), "tool_calls");
    assert_eq!(
        calls,
        [
            json!([{"index":0,"id":"id_f","type":"function","function":{"name":"f","arguments":""},
                "extra_content":{"google":{"thought_signature":"S"}}}]),
            json!([{"index":0,"function":{"arguments":"{\"a\":1}"}}]),
            json!([{"index":1,"id":"id_g","type":"custom","custom":{"name":"g","input":""}}]),
            json!([{"index":1,"custom":{"input":"free"}}]),
        ]
    );
}

#[test]
fn reasoning_is_shown_apart_and_can_be_withheld() {
    let thought = |text: &str| {
        Part::Thinking(crate::ir::Thinking { text: text.into(), ..crate::ir::Thinking::default() })
    };
    let parts = vec![thought("a"), Part::text("x"), thought("b")];
    let got = told(parts.clone(), Finish::Stop, plan());
    assert_eq!(deltas(&got, "reasoning_content"), [json!("a"), json!("\n\n"), json!("b")]);
    let mut blind = plan();
    blind.shows_thinking = false;
    assert!(deltas(&told(parts, Finish::Stop, blind), "reasoning_content").is_empty());
}

#[test]
fn citations_come_in_one_chunk_before_the_end() {
    let cited = |url: &str, span| Citation {
        kind: CitationKind::Url,
        url: Some(url.into()),
        title: None,
        cited_text: None,
        span,
        document: None,
        raw: None,
    };
    let text = |text: &str, citations| {
        Part::Text(TextPart { text: text.into(), citations, ..TextPart::default() })
    };
    let span = Some(CitationSpan { start: 1, end: 2 });
    let parts = vec![
        text("é", vec![]),
        text("xyz", vec![cited("https://a", None), cited("https://b", span)]),
    ];
    let got = told(parts, Finish::Stop, plan());
    let annotations = deltas(&got, "annotations");
    assert_eq!(annotations.len(), 1);
    let place = |at: usize| {
        let citation = &annotations[0][at]["url_citation"];
        (citation["start_index"].as_u64().unwrap(), citation["end_index"].as_u64().unwrap())
    };
    assert_eq!((place(0), place(1)), ((1, 4), (2, 3)));
    assert_eq!(annotations[0][0]["url_citation"]["title"], "https://a");
}

#[test]
fn a_refusal_in_words_ends_like_any_answer() {
    let parts = vec![Part::Refusal { text: "No.".into() }];
    let got = told(parts, Finish::Refusal, plan());
    assert_eq!(deltas(&got, "refusal"), [json!("No.")]);
    assert_eq!(got.last().unwrap()["choices"][0]["finish_reason"], "stop");
    let got = told(vec![Part::text("No.")], Finish::Refusal, plan());
    assert_eq!(got.last().unwrap()["choices"][0]["finish_reason"], "content_filter");
}

#[test]
fn images_and_sound_have_their_own_members() {
    let source = |mime: &str| MediaSource::Base64 { mime: mime.into(), data: "AA==".into() };
    let parts = vec![
        Part::Image {
            source: source("image/png"),
            detail: None,
            cache: None,
            signature: None,
            ext: crate::ir::Ext::default(),
        },
        Part::Audio {
            source: source("audio/wav"),
            format: "wav".into(),
            transcript: Some("Hm".into()),
            id: Some("a1".into()),
        },
    ];
    let got = told(parts, Finish::Stop, plan());
    let images = deltas(&got, "images");
    assert_eq!(images[0][0]["image_url"]["url"], "data:image/png;base64,AA==");
    let audio = deltas(&got, "audio");
    assert_eq!((&audio[0]["id"], &audio[1]["data"]), (&json!("a1"), &json!("AA==")));
}

#[test]
fn t154_an_error_is_no_end() {
    let mut encoder = StreamEncoder::new(plan(), Framing::Sse);
    let mut out = Vec::new();
    encoder.event(&unfold(Response::default()).remove(0), &mut out);
    out.clear();
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
    assert!(text.starts_with("data: {\"error\":") && !text.contains("DONE"), "{text}");
    assert_eq!(encoder.keep_alive(), ": keep-alive\n\n");
}
