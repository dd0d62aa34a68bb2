use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ir::SigFamily;
use crate::translate::{
    Envelope, EnvelopeIds, Folding, NoSignatures, PrepareCx, ReplyPlan, RequestTranslator, Source,
    StreamTranslator, Target, translate_response,
};
use crate::{Dialect, Framing, StreamEnd, StreamTap, TapOptions};

const CX: PrepareCx<'_> = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
const LIMIT: usize = 1 << 20;

fn target(envelope: Envelope, model: &'static str) -> Target {
    let ids = EnvelopeIds {
        project: Some("p-1".into()),
        request: Some("u-1".into()),
        sent_ms: 1_700_000_000_000,
        profile_arn: None,
    };
    let family = if model.contains("claude") { SigFamily::Claude } else { SigFamily::Gemini };
    let conversation = Some("c-1".into());
    Target { envelope, conversation, ids, family, ..Target::new(Dialect::Gem, model) }
}

fn wrapped(body: &str, target: &Target) -> String {
    let spliced = wrap(&Bytes::from(body.to_owned()), target).unwrap();
    let bytes = spliced.parts.concat();
    assert_eq!(usize::try_from(spliced.len), Ok(bytes.len()));
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_gemini_request_keeps_its_bytes_inside_the_envelope() {
    let cli = target(Envelope::CloudCode, "gemini-2.5-pro");
    let head = r#"{"model":"gemini-2.5-pro","project":"p-1","user_prompt_id":"u-1","request":"#;
    for (body, want) in [
        (
            r#"{ "contents" : [ {"parts":[{"text":"\u00e9"}]} ], "n":1.0 }"#,
            r#"{"session_id":"c-1", "contents" : [ {"parts":[{"text":"\u00e9"}]} ], "n":1.0 }"#,
        ),
        (
            r#"{"model":"models/x","contents":[],"safetySettings":[{}]}"#,
            r#"{"session_id":"c-1","contents":[],"safetySettings":[{}]}"#,
        ),
        (r#"{"contents":[],"session_id":"s"}"#, r#"{"contents":[],"session_id":"c-1"}"#),
        (
            r#"{"model":"m","project":"theirs","request":{"contents":[ 1]}}"#,
            r#"{"session_id":"c-1","contents":[ 1]}"#,
        ),
    ] {
        assert_eq!(wrapped(body, &cli), format!("{head}{want}}}"));
    }
    let nobody = Target { ids: EnvelopeIds::default(), conversation: None, ..cli };
    let want = r#"{"model":"gemini-2.5-pro","request":{"contents":[]}}"#;
    assert_eq!(wrapped(r#"{"contents":[]}"#, &nobody), want);
    assert!(wrap(&Bytes::from_static(b"[]"), &nobody).is_err());
}

#[test]
fn antigravity_has_members_and_omissions_of_its_own() {
    let body = r#"{"contents":[],"safetySettings":[],"generationConfig":{"maxOutputTokens":9,"topK":1.0}}"#;
    let agent = target(Envelope::Antigravity, "gemini-3-flash-agent");
    // printf 'c-1' | sha256sum: the first eight bytes without their first bit.
    let session = "-2807975984912779338";
    let want = format!(
        r#"{{"project":"p-1","model":"gemini-3-flash-agent","userAgent":"antigravity","requestType":"agent","requestId":"agent-u-1","request":{{"sessionId":"{session}","contents":[],"generationConfig":{{"topK":1.0}}}}}}"#
    );
    assert_eq!(wrapped(body, &agent), want);
    let claude = target(Envelope::Antigravity, "claude-sonnet-4-6");
    assert!(wrapped(body, &claude).contains(r#""maxOutputTokens":9"#));
    let images = target(Envelope::Antigravity, "gemini-3.1-flash-image");
    let got = wrapped(body, &images);
    assert!(
        got.contains(
            r#""requestType":"image_gen","requestId":"image_gen/1700000000000/u-1/12","request""#
        ),
        "{got}"
    );
}

#[test]
fn what_the_envelope_cannot_take_as_it_is_goes_through_translation() {
    let thoughts = br#"{"contents":[{"parts":[{"thought" : true,"text":"t"}]}]}"#.as_slice();
    let quoted = br#"{"contents":[{"parts":[{"text":"{\"thought\":true}"}]}]}"#.as_slice();
    let off = br#"{"contents":[{"parts":[{"thought":false}]}]}"#.as_slice();
    for (envelope, model, body, want) in [
        (Envelope::CloudCode, "gemini-2.5-pro", thoughts, false),
        (Envelope::Antigravity, "gemini-3-flash", thoughts, true),
        (Envelope::Antigravity, "gemini-3-flash", quoted, false),
        (Envelope::Antigravity, "gemini-3-flash", off, false),
        (Envelope::Antigravity, "claude-sonnet-4-6", off, true),
        (Envelope::Antigravity, "gemini-3.1-flash-image", off, true),
    ] {
        let got = needs_translation(body, &target(envelope, model));
        assert_eq!(got, want, "{model} {}", String::from_utf8_lossy(body));
    }
}

/// A request of a client, as it reaches the upstream.
fn sent(client: Dialect, target: &Target, body: &Value) -> Value {
    let translator = RequestTranslator::decode(client, body.to_string().as_bytes()).unwrap();
    let encoded = translator.prepare(target, &CX).unwrap().encode().unwrap();
    serde_json::from_slice(&encoded.body).unwrap()
}

#[test]
fn requests_of_other_dialects_are_wrapped_too() {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {
        "type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}, "additionalProperties": false,
    }}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "q"}], "tools": [tool], "max_tokens": 5});
    let got = sent(Dialect::Chat, &target(Envelope::CloudCode, "gemini-2.5-pro"), &body);
    assert_eq!(got["model"], "gemini-2.5-pro");
    assert_eq!(got["user_prompt_id"], "u-1");
    let request = &got["request"];
    assert_eq!(request["session_id"], "c-1");
    assert_eq!(request["contents"], json!([{"role": "user", "parts": [{"text": "q"}]}]));
    assert_eq!(request["generationConfig"]["maxOutputTokens"], 5);
    assert!(request["model"].is_null());
    let declared = &request["tools"][0]["functionDeclarations"][0]["parameters"];
    assert!(declared["properties"]["a"].is_object(), "{declared}");
    assert!(declared["additionalProperties"].is_null(), "{declared}");

    let wrapped = json!({"model": "m", "request": {"contents": [{"parts": [{"text": "q"}]}]}});
    let got = sent(Dialect::Gem, &target(Envelope::CloudCode, "gemini-2.5-pro"), &wrapped);
    assert_eq!(got["request"]["contents"][0]["parts"][0]["text"], "q", "{got}");
}

#[test]
fn claude_behind_antigravity_gets_what_both_vendors_want() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "model", "parts": [
            {"text": "unsigned", "thought": true},
            {"functionCall": {"name": "f", "args": {}}},
        ]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"r": 1}}}]},
    ], "tools": [{"functionDeclarations": [{"name": "f"}]}],
       "safetySettings": [{"category": "c"}],
       "generationConfig": {"maxOutputTokens": 100_000, "thinkingConfig": {"thinkingBudget": 90_000}}});
    let got = sent(Dialect::Gem, &target(Envelope::Antigravity, "claude-sonnet-4-6"), &body);
    let request = &got["request"];
    let contents = request["contents"].as_array().unwrap();
    let call = &contents[1]["parts"][0]["functionCall"];
    let result = &contents[2]["parts"][0]["functionResponse"];
    assert_eq!(contents[1]["parts"].as_array().unwrap().len(), 1, "no unsigned thought: {got}");
    assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(call["id"], result["id"]);
    assert_eq!(contents[2]["role"], "user");
    assert_eq!(request["toolConfig"]["functionCallingConfig"]["mode"], "VALIDATED");
    let declared = &request["tools"][0]["functionDeclarations"][0]["parameters"];
    assert!(!declared["required"].as_array().unwrap().is_empty(), "{declared}");
    assert!(request["safetySettings"].is_null());
    let config = &request["generationConfig"];
    assert_eq!(config["maxOutputTokens"], 64_000);
    assert_eq!(config["thinkingConfig"]["thinkingBudget"], 63_999);
}

#[test]
fn budgets_and_caps_of_claude_behind_antigravity_fit_each_other() {
    for (cap, budget, want_cap, want_budget) in [
        (json!(null), json!(2000), json!(10_192), json!(2000)),
        (json!(3000), json!(2000), json!(3000), json!(2000)),
        (json!(2000), json!(2000), json!(2000), json!(1999)),
        (json!(500), json!(2000), json!(500), json!(null)),
        (json!(500), json!(0), json!(500), json!(0)),
        (json!(null), json!(null), json!(null), json!(null)),
    ] {
        let mut config = json!({ "maxOutputTokens": cap });
        if !budget.is_null() {
            config["thinkingConfig"] = json!({ "thinkingBudget": budget });
        }
        let body = json!({"contents": [{"parts": [{"text": "q"}]}], "generationConfig": config});
        let got = sent(Dialect::Gem, &target(Envelope::Antigravity, "claude-sonnet-4-6"), &body);
        let config = &got["request"]["generationConfig"];
        assert_eq!(config["maxOutputTokens"], want_cap, "{body}");
        assert_eq!(config["thinkingConfig"]["thinkingBudget"], want_budget, "{body}");
    }
    let body =
        json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "q"}]});
    let got = sent(Dialect::Chat, &target(Envelope::Antigravity, "gemini-3-flash"), &body);
    assert!(got["request"]["generationConfig"]["maxOutputTokens"].is_null(), "{got}");
}

#[test]
fn image_models_of_antigravity_are_told_text_alone() {
    let body = json!({"model": "m", "tools": [{"type": "function", "function": {"name": "f"}}], "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "q"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]},
    ]});
    let got = sent(Dialect::Chat, &target(Envelope::Antigravity, "gemini-3.1-flash-image"), &body);
    let request = &got["request"];
    assert_eq!(request["contents"], json!([{"role": "user", "parts": [{"text": "q"}]}]));
    assert!(request["tools"].is_null(), "{got}");
}

#[test]
fn counting_takes_model_and_contents_alone() {
    let want = r#"{"request":{"model":"models/m","contents":[ {"parts":[]} ]}}"#;
    for body in [
        r#"{"contents":[ {"parts":[]} ],"tools":[]}"#,
        r#"{"generateContentRequest":{"model":"x","contents":[ {"parts":[]} ]}}"#,
        r#"{"request":{"model":"models/x","contents":[ {"parts":[]} ]}}"#,
    ] {
        assert_eq!(String::from_utf8(count(body.as_bytes(), "m").unwrap()).unwrap(), want);
        assert_eq!(count(body.as_bytes(), "models/m").unwrap(), want.as_bytes());
    }
    assert!(count(b"1", "m").is_err());
}

#[test]
fn t171_a_whole_answer_is_sliced_out_of_its_envelope() {
    let answer = r#"{ "candidates":[ ],"n":1.0 }"#;
    for body in [
        answer.to_owned(),
        format!(r#"{{"response": {answer} ,"traceId":"t"}}"#),
        format!(r#"{{"traceId":"t","response":{answer}}}"#),
    ] {
        assert_eq!(unwrap_answer(&Bytes::from(body)), answer);
    }
    for odd in [r#"{"response":1}"#, "{", "[1]", r#"{"response":{},"candidates":[]}"#, "\u{1}"] {
        assert_eq!(unwrap_answer(&Bytes::from_static(odd.as_bytes())), odd);
    }
}

const FIRST: &str =
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"é🙂"}]}}],"responseId":"r" }"#;
const LAST: &str = r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}"#;

/// An answer as Code Assist streams it.
fn stream() -> String {
    format!(
        ": hello\n\ndata: {{\"response\":{FIRST},\"traceId\":\"t\"}}\r\n\r\ndata: {{\"traceId\":\"t\",\"response\": {LAST}}}\n\n"
    )
}

fn options(framing: Framing) -> TapOptions {
    TapOptions {
        dialect: Dialect::Gem,
        framing,
        hide_usage_chunk: false,
        eof_is_end: false,
        unwrap: true,
        max_event_bytes: LIMIT,
    }
}

/// Drives a tap with pieces of a stream; what the client gets, how it ends, and the output tokens.
fn tapped(bytes: &[u8], framing: Framing, cuts: &[usize]) -> (String, StreamEnd, Option<u64>) {
    let mut tap = StreamTap::new(options(framing));
    let mut out = Vec::new();
    for piece in pieces(bytes, cuts) {
        tap.push(Bytes::copy_from_slice(piece), &mut out).unwrap();
    }
    let end = tap.finish(&mut out);
    let usage = tap.summary().usage.map(|usage| usage.output);
    (String::from_utf8(out.concat()).unwrap(), end, usage)
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut from = 0;
    cuts.into_iter().map(|to| &bytes[std::mem::replace(&mut from, to)..to]).collect()
}

#[test]
fn t171_events_of_a_gemini_client_are_the_inner_bytes() {
    let bytes = stream();
    let sse = format!("\r\ndata: {FIRST}\r\n\r\ndata: {LAST}\r\n\r\n");
    let array = format!("\n[{FIRST},\r\n{LAST}]");
    for (framing, want) in [(Framing::Sse, &sse), (Framing::JsonArray, &array)] {
        for cut in 0..bytes.len() {
            let got = tapped(bytes.as_bytes(), framing, &[cut]);
            assert_eq!(got, (want.clone(), StreamEnd::Complete, Some(2)), "cut at {cut}");
        }
    }
    // The same as an array upstream, and without the last blank line.
    let upstream = format!("[{{\"response\":{FIRST}}}\r\n,{{\"response\":{LAST}}}]");
    let (got, end, _) = tapped(upstream.as_bytes(), Framing::Sse, &[]);
    assert_eq!((got, end), (sse.trim_start().to_owned(), StreamEnd::Complete));
    let (got, end, _) = tapped(bytes.trim_end().as_bytes(), Framing::JsonArray, &[]);
    assert_eq!((got, end), (array.clone(), StreamEnd::Complete));
    // An answer that breaks off is no whole array.
    let cut = bytes.find("\"finishReason").unwrap();
    let (got, end, _) = tapped(&bytes.as_bytes()[..cut], Framing::JsonArray, &[]);
    assert_eq!((got, end), (format!("\n[{FIRST}"), StreamEnd::Truncated));
}

#[test]
fn an_error_inside_the_stream_is_seen_through_the_envelope() {
    let error = r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#;
    for text in [format!("data: {error}\n\n"), format!("[{error}]"), error.to_owned()] {
        let mut tap = StreamTap::new(options(Framing::Sse));
        let mut out = Vec::new();
        tap.push(text.into(), &mut out).unwrap();
        assert_eq!(tap.error().unwrap().status, Some(429));
    }
}

fn chat_plan() -> ReplyPlan {
    ReplyPlan::new(Dialect::Chat, &crate::ir::Request::default(), 1)
}

fn source() -> Source {
    Source { envelope: Envelope::CloudCode, ..Source::new(Dialect::Gem) }
}

#[test]
fn t171_clients_of_other_dialects_get_wrapped_answers_translated() {
    let mut translator = StreamTranslator::new(source(), chat_plan(), Framing::Sse, LIMIT);
    let mut out = Vec::new();
    translator.push(stream().as_bytes(), &mut out).unwrap();
    assert_eq!(translator.finish(&mut out), StreamEnd::Complete);
    let got = String::from_utf8(out.concat()).unwrap();
    assert!(got.contains(r#""content":"é🙂""#) && got.ends_with("data: [DONE]\n\n"), "{got}");

    let mut folding = Folding::new(source(), chat_plan(), LIMIT);
    folding.push(stream().as_bytes()).unwrap();
    let folded: Value = serde_json::from_slice(&folding.finish().unwrap().body).unwrap();
    assert_eq!(folded["choices"][0]["message"]["content"], "é🙂b");

    let whole = format!(r#"{{"response":{LAST},"traceId":"t"}}"#);
    let whole = translate_response(whole.as_bytes(), &source(), &chat_plan()).unwrap();
    assert_eq!(whole.summary.usage.map(|usage| usage.output), Some(2));
    let whole: Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "b");
}

proptest! {
    #[test]
    fn t180_any_bytes_are_unwrapped_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        prefix in 0_usize..5,
        cuts in proptest::collection::vec(any::<usize>(), 0..4),
        array in any::<bool>(),
    ) {
        let prefix = ["", "data: {\"response\":{", "[", "{\"request\":{", "data: "][prefix];
        let bytes = [prefix.as_bytes(), &bytes].concat();
        let framing = if array { Framing::JsonArray } else { Framing::Sse };
        let mut unwrap = StreamUnwrap::new(framing, 128);
        let mut length = 0;
        for piece in pieces(&bytes, &cuts) {
            let Ok(out) = unwrap.push(piece) else { return Ok(()) };
            length += out.len();
        }
        length += unwrap.flush().len() + unwrap.finish(true).len();
        prop_assert!(length <= 40 + 20 * bytes.len(), "{length}");
        let body = Bytes::from(bytes);
        prop_assert!(unwrap_answer(&body).len() <= body.len());
        let target = target(Envelope::Antigravity, "gemini-3-flash");
        let counted = count(&body, "m").unwrap_or_else(|_| b"{}".to_vec());
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&counted).is_ok());
        prop_assert!(!needs_translation(&body, &target) || body.len() > 10);
        if let Ok(spliced) = wrap(&body, &target) {
            let whole = spliced.parts.concat();
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&whole).is_ok());
        }
    }

    #[test]
    fn t171_cuts_change_nothing(cuts in proptest::collection::vec(any::<usize>(), 0..12)) {
        let bytes = stream();
        let whole = tapped(bytes.as_bytes(), Framing::Sse, &[]);
        prop_assert_eq!(tapped(bytes.as_bytes(), Framing::Sse, &cuts), whole);
    }
}
