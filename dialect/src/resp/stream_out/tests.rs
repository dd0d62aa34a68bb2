use serde_json::json;

use super::*;
use crate::ErrorKind;
use crate::ir::{
    Choice, Citation, CitationKind, Request, SigFamily, Signature, TextPart, Thinking, ToolInput,
    ToolKind, ToolUse,
};
use crate::resp::encode_response;
use crate::translate::unfold;

fn plan() -> ReplyPlan {
    ReplyPlan {
        model: "m".into(),
        shows_encrypted: true,
        ..ReplyPlan::new(Dialect::Resp, &Request::default(), 7)
    }
}

fn response(parts: Vec<Part>, finish: Finish) -> ir::Response {
    ir::Response {
        id: "r1".into(),
        choices: vec![Choice { parts, finish, ..Choice::new(0) }],
        ..ir::Response::default()
    }
}

fn frames(bytes: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.split_terminator("\n\n")
        .map(|block| {
            let (name, data) = block.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap().to_owned();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(data["type"], name);
            (name, data)
        })
        .collect()
}

/// The stream of an answer, checked for numbers and indices.
fn streamed(response: &ir::Response, plan: &ReplyPlan) -> Vec<(String, Value)> {
    let mut encoder = StreamEncoder::new(plan.clone(), Framing::Sse);
    let mut out = Vec::new();
    for event in unfold(response.clone()) {
        encoder.event(&event, &mut out);
    }
    let frames = frames(&out);
    for (number, (_, data)) in frames.iter().enumerate() {
        assert_eq!(data["sequence_number"], number);
    }
    let done: Vec<&Value> = frames
        .iter()
        .filter(|(name, _)| name == "response.output_item.done")
        .map(|(_, data)| data)
        .collect();
    let (_, last) = frames.last().unwrap();
    for (index, data) in done.iter().enumerate() {
        assert_eq!(data["output_index"], index);
        assert_eq!(data["item"], last["response"]["output"][index]);
    }
    assert_eq!(last["response"]["output"].as_array().unwrap().len(), done.len());
    let whole: Value = serde_json::from_slice(&encode_response(response, plan)).unwrap();
    assert_eq!(whole, last["response"], "both forms are one answer");
    frames
}

fn output(response: &ir::Response, plan: &ReplyPlan) -> Value {
    streamed(response, plan).last().unwrap().1["response"]["output"].clone()
}

fn call(kind: ToolKind, name: &str, input: ToolInput) -> Part {
    Part::ToolUse(ToolUse {
        id: "call_1".into(),
        name: name.into(),
        input,
        kind,
        namespace: None,
        signature: None,
        cache: None,
        ext: ir::Ext::default(),
    })
}

fn json_input(text: &str) -> ToolInput {
    ToolInput::Json(RawJson::parse(text).unwrap())
}

#[test]
fn t141_text_and_call_have_indices_of_their_own() {
    let f = call(ToolKind::Function, "f", json_input(r#"{"a":1}"#));
    let answer = response(vec![Part::text("Hi"), f, Part::text("later")], Finish::ToolUse);
    let frames = streamed(&answer, &plan());
    let names: Vec<&str> = frames.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
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
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let last = &frames.last().unwrap().1["response"];
    assert_eq!(last["usage"]["input_tokens_details"]["cached_tokens"], 0, "T121");
    assert_eq!(last["output"][1]["arguments"], r#"{"a":1}"#);
    assert_eq!(last["id"], "resp_r1");
}

#[test]
fn texts_with_nothing_between_are_one_message() {
    let phased = |phase: &'static str| {
        let phase = Some(Str::from_static(phase));
        Part::Text(TextPart { text: "c".into(), phase, ..TextPart::default() })
    };
    let parts = vec![
        Part::text("a"),
        Part::text("b"),
        Part::Refusal { text: "no".into() },
        phased("commentary"),
        phased("final_answer"),
    ];
    let output = output(&response(parts, Finish::Stop), &plan());
    let contents: Vec<usize> = output
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["content"].as_array().unwrap().len())
        .collect();
    assert_eq!(contents, [3, 1, 1]);
    assert_eq!(output[0]["content"][2], json!({"type": "refusal", "refusal": "no"}));
    assert_eq!(output[2]["phase"], "final_answer");
}

#[test]
fn t142_reasoning_is_an_item_before_the_text() {
    let signature = Signature { family: SigFamily::Claude, value: "S".into() };
    let thinking = Thinking {
        text: "a\n\nb".into(),
        signature: Some(signature.clone()),
        ..Thinking::default()
    };
    let seal = Part::Redacted { seal: signature, item_id: Some("rs_9".into()) };
    let answer = response(vec![Part::Thinking(thinking), seal, Part::text("Hi")], Finish::Stop);
    let shown = output(&answer, &plan());
    assert_eq!(shown[0]["summary"], json!([{"type": "summary_text", "text": "a\n\nb"}]));
    assert_eq!(shown[0]["encrypted_content"], "S");
    assert_eq!((&shown[1]["id"], &shown[1]["summary"]), (&json!("rs_9"), &json!([])));
    assert_eq!(shown[2]["type"], "message");

    let unsealed = output(&answer, &ReplyPlan { shows_encrypted: false, ..plan() });
    assert_eq!(unsealed[0].get("encrypted_content"), None);
    assert_eq!(unsealed[1]["type"], "message");
    let hidden = ReplyPlan { shows_thinking: false, shows_encrypted: false, ..plan() };
    assert_eq!(output(&answer, &hidden).as_array().unwrap().len(), 1);
}

#[test]
fn a_break_begins_another_paragraph_of_the_summary() {
    let mut encoder = StreamEncoder::new(plan(), Framing::Sse);
    let kind = PartKind::Thinking { summary: true, item_id: None };
    let mut out = Vec::new();
    for event in [
        Event::PartStart { part: 0, choice: 0, kind },
        Event::Thinking { part: 0, text: "a".into() },
        Event::ThinkingBreak { part: 0 },
        Event::Thinking { part: 0, text: "b".into() },
        Event::PartStop { part: 0, full: None },
        Event::End,
    ] {
        encoder.event(&event, &mut out);
    }
    let frames = frames(&out);
    let indices: Vec<&Value> = frames
        .iter()
        .filter(|(name, _)| name == "response.reasoning_summary_part.added")
        .map(|(_, data)| &data["summary_index"])
        .collect();
    assert_eq!(indices, [0, 1]);
    let (_, last) = frames.last().unwrap();
    assert_eq!(last["response"]["output"][0]["summary"][1]["text"], "b");
}

#[test]
fn calls_take_the_form_of_their_tool() {
    let shell = ToolKind::Native("local_shell_call".into());
    for (part, want) in [
        (
            call(ToolKind::Function, "f", json_input("{}")),
            json!({"type": "function_call", "name": "f", "arguments": "{}"}),
        ),
        (
            call(ToolKind::Function, "f", ToolInput::Text("{bad".into())),
            json!({"type": "function_call", "name": "f", "arguments": "{bad"}),
        ),
        (
            call(ToolKind::Custom, "apply", ToolInput::Text("x\ny".into())),
            json!({"type": "custom_tool_call", "name": "apply", "input": "x\ny"}),
        ),
        (
            call(shell, "local_shell", json_input(r#"{"type":"exec","command":["ls"]}"#)),
            json!({"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"]}}),
        ),
    ] {
        let mut got = output(&response(vec![part], Finish::ToolUse), &plan())[0].clone();
        let members = got.as_object_mut().unwrap();
        assert_eq!(members.remove("call_id"), Some("call_1".into()));
        assert_eq!(members.remove("status"), Some("completed".into()));
        assert!(members.remove("id").is_some());
        assert_eq!(got, want);
    }
}

#[test]
fn a_gemini_seal_on_a_call_goes_before_it() {
    let Part::ToolUse(mut with_seal) = call(ToolKind::Function, "f", json_input("{}")) else {
        unreachable!("made above")
    };
    with_seal.signature = Some(Signature { family: SigFamily::Gemini, value: "G".into() });
    let output = output(&response(vec![Part::ToolUse(with_seal)], Finish::ToolUse), &plan());
    assert_eq!(output[0]["encrypted_content"], "G");
    assert_eq!(output[1]["type"], "function_call");
}

#[test]
fn t166_citations_become_annotations_of_their_text() {
    let citation = Citation {
        kind: CitationKind::SearchResult,
        url: Some("https://x".into()),
        title: Some("t".into()),
        cited_text: None,
        span: None,
        document: None,
        raw: None,
    };
    let text = TextPart { text: "é x".into(), citations: vec![citation], ..TextPart::default() };
    let frames = streamed(&response(vec![Part::Text(text)], Finish::Stop), &plan());
    let want = json!({"type": "url_citation", "url": "https://x", "title": "t",
        "start_index": 0, "end_index": 3});
    let (_, event) =
        frames.iter().find(|(name, _)| name == "response.output_text.annotation.added").unwrap();
    assert_eq!((&event["annotation"], &event["annotation_index"]), (&want, &json!(0)));
    let (_, last) = frames.last().unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["annotations"], json!([want]));
}

#[test]
fn searches_of_other_providers_are_shown_as_search_calls() {
    let call = Part::ServerTool(ServerTool {
        id: "srvtoolu_1".into(),
        name: "web_search".into(),
        input: RawJson::parse(r#"{"query":"q"}"#).unwrap(),
        result: Some(
            RawJson::parse(r#"[{"type":"web_search_result","url":"https://x"}]"#).unwrap(),
        ),
        origin: Dialect::Anth,
        ext: ir::Ext::default(),
    });
    let output = output(&response(vec![call], Finish::Stop), &plan());
    assert_eq!(output[0]["type"], "web_search_call");
    assert_eq!(
        output[0]["action"],
        json!({"type": "search", "query": "q", "queries": ["q"],
            "sources": [{"type": "url", "url": "https://x"}]})
    );
}

#[test]
fn each_end_has_its_event_and_status() {
    for (finish, event, status, reason) in [
        (Finish::Stop, "response.completed", "completed", Value::Null),
        (Finish::Length, "response.incomplete", "incomplete", "max_output_tokens".into()),
        (Finish::ContentFilter, "response.incomplete", "incomplete", "content_filter".into()),
        (Finish::Error, "response.failed", "failed", Value::Null),
    ] {
        let frames = streamed(&response(vec![Part::text("a")], finish.clone()), &plan());
        let (name, last) = frames.last().unwrap();
        let response = &last["response"];
        assert_eq!((name.as_str(), &response["status"]), (event, &json!(status)));
        let seen = response.pointer("/incomplete_details/reason").unwrap_or(&Value::Null);
        assert_eq!(*seen, reason);
        assert_eq!(response["error"].is_null(), finish != Finish::Error);
    }
}

#[test]
fn a_broken_answer_ends_with_an_error_and_never_with_completed() {
    let mut encoder = StreamEncoder::new(plan(), Framing::Sse);
    let mut out = Vec::new();
    for event in unfold(response(vec![Part::text("whole"), Part::text("cut")], Finish::Stop)) {
        if !matches!(event, Event::End | Event::Finish { .. }) {
            encoder.event(&event, &mut out);
        }
    }
    let error = ApiError {
        kind: ErrorKind::Overloaded,
        status: None,
        code: None,
        param: None,
        message: "busy".into(),
        request_id: "q".into(),
    };
    encoder.error(&error, &mut out);
    let frames = frames(&out);
    let [.., (_, told), (name, failed)] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((&told["type"], &told["message"]), (&json!("error"), &json!("busy")));
    assert_eq!(told.get("param"), Some(&Value::Null));
    assert_eq!(name, "response.failed");
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["error"]["message"], "busy");
    assert_eq!(failed["response"]["id"], "resp_r1");
    assert_eq!(failed["sequence_number"], frames.len() - 1);
    assert!(frames.iter().all(|(name, _)| name != "response.completed"));
}
