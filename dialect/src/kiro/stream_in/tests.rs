use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event_stream::frame;
use crate::ir::EventOrder;
use crate::translate::{
    Envelope, EventReader, Folding, ReplyPlan, StreamTranslator, translate_response,
};
use crate::{Dialect, ErrorKind, Framing, StreamEnd};

const LIMIT: usize = 1 << 20;

fn source() -> Source {
    Source {
        envelope: Envelope::Kiro,
        family: SigFamily::Claude,
        context_window: Some(200_000),
        ..Source::new(Dialect::Anth)
    }
}

fn event(name: &str, payload: &Value) -> Vec<u8> {
    frame(&[(":message-type", "event"), (":event-type", name)], &payload.to_string())
}

fn text(text: &str) -> Vec<u8> {
    event("assistantResponseEvent", &json!({ "content": text }))
}

fn call(payload: &Value) -> Vec<u8> {
    event("toolUseEvent", payload)
}

/// The events of a stream that comes in these pieces.
fn events_of(pieces: &[&[u8]], source: Source) -> Vec<Event> {
    let mut reader = EventReader::new(source, LIMIT);
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| reader.push(piece, &mut out));
    reader.finish(&mut out);
    let mut order = EventOrder::default();
    for event in &out {
        order.check(event).unwrap();
    }
    assert!(order.is_ended());
    out.retain(|event| *event != Event::Ping);
    out
}

fn events(frames: &[Vec<u8>]) -> Vec<Event> {
    events_of(&[&frames.concat()], source())
}

fn failure(events: &[Event]) -> Option<&Failure> {
    match events.last() {
        Some(Event::Failed(failure)) => Some(failure),
        _ => None,
    }
}

/// What was said, one word for each part.
fn said(events: &[Event]) -> String {
    let mut said = String::new();
    for event in events {
        match event {
            Event::PartStart { kind: PartKind::Text { .. }, .. } => said.push_str("|text "),
            Event::PartStart { kind: PartKind::Thinking { .. }, .. } => said.push_str("|think "),
            Event::PartStart { kind: PartKind::ToolUse { id, name, .. }, .. } => {
                said.push_str(&format!("|{name}#{id} "));
            }
            Event::Text { text, .. }
            | Event::Thinking { text, .. }
            | Event::ToolInput { text, .. } => said.push_str(text),
            Event::Signature { signature, .. } => said.push_str(&format!("[{}]", signature.value)),
            Event::Finish { finish, .. } => said.push_str(&format!("|{finish:?}")),
            _ => {}
        }
    }
    said
}

#[test]
fn events_become_parts_and_the_end_of_the_bytes_is_the_end() {
    let long = "x".repeat(10);
    for (frames, want) in [
        (vec![text("a"), text("b")], "|text ab|Stop"),
        (
            vec![
                event("initial-response", &json!({"conversationId": "c"})),
                event("reasoningContentEvent", &json!({"text": "hm"})),
                event("reasoningContentEvent", &json!({"content": "m"})),
                event("reasoningContentEvent", &json!({"signature": "S"})),
                event("codeEvent", &json!({"content": "c"})),
                event("followupPromptEvent", &json!({"followupPrompt": {"content": "?"}})),
                event("neverHeardOf", &json!({"content": "?"})),
            ],
            "|think hmm[S]|text c|Stop",
        ),
        (
            vec![event(
                "assistantResponseEvent",
                &json!({"assistantResponseEvent": {"content": "w"}}),
            )],
            "|text w|Stop",
        ),
        (
            vec![text(&long), event("messageStopEvent", &json!({"stopReason": "MAX_TOKENS"}))],
            "|text xxxxxxxxxx|Length",
        ),
        (
            vec![text("a"), call(&json!({"toolUseId": "t", "name": "f", "stop": true})), text("b")],
            "|text a|f#t |text b|ToolUse",
        ),
    ] {
        assert_eq!(said(&events(&frames)), want);
    }
}

#[test]
fn t172_a_stream_may_be_cut_anywhere() {
    let frames = [
        text("é🙂"),
        call(&json!({"toolUseId": "t", "name": "f", "input": "{\"a\":"})),
        call(&json!({"toolUseId": "t", "name": "f", "input": "1}", "stop": true})),
        event("metricsEvent", &json!({"inputTokens": 7, "outputTokens": 3})),
    ]
    .concat();
    let want = events_of(&[&frames], source());
    assert_eq!(said(&want), "|text é🙂|f#t {\"a\":1}|ToolUse");
    for cut in 0..frames.len() {
        let (head, tail) = frames.split_at(cut);
        assert_eq!(events_of(&[head, tail], source()), want, "cut at {cut}");
        if !is_boundary(head) {
            assert_eq!(failure(&events_of(&[head], source())), Some(&Failure::Truncated), "{cut}");
        }
    }
}

fn is_boundary(bytes: &[u8]) -> bool {
    let mut splitter = FrameSplitter::new(LIMIT);
    splitter.push(bytes, &mut |_| {}).unwrap();
    splitter.at_boundary()
}

#[test]
fn t172_a_damaged_frame_ends_the_answer() {
    let mut bytes = [text("a"), text("b")].concat();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let events = events_of(&[&bytes], source());
    assert_eq!(said(&events), "|text a");
    assert_eq!(failure(&events), Some(&Failure::Fault(TapFault::Corrupt)));
}

#[test]
fn t173_calls_are_put_together() {
    let part = |input: Value| json!({"toolUseId": "t", "name": "f", "input": input});
    let stop = || json!({"toolUseId": "t", "name": "f", "stop": true});
    for (payloads, want) in [
        (vec![part(json!("{\"a")), part(json!("\":1}")), stop()], "|f#t {\"a\":1}|ToolUse"),
        (vec![part(json!({"a": 1})), stop()], "|f#t {\"a\":1}|ToolUse"),
        (vec![stop()], "|f#t |ToolUse"),
        // The end of the bytes closes it, too, and so does another call.
        (vec![part(json!("{}"))], "|f#t {}|ToolUse"),
        (vec![part(json!("{}")), json!({"toolUseId": "u", "name": "g"})], "|f#t {}|g#u |ToolUse"),
        // An object replaces the one before; a name may come late; what follows the end is nobody's.
        (vec![part(json!({"a": 1})), part(json!({"b": 2})), stop()], "|f#t {\"b\":2}|ToolUse"),
        (
            vec![
                json!({"toolUseId": "t", "input": "{"}),
                part(json!("}")),
                stop(),
                part(json!("{}")),
            ],
            "|f#t {}|ToolUse",
        ),
        (vec![part(json!("[1]")), stop()], "|f#t [1]|ToolUse"),
    ] {
        let frames: Vec<Vec<u8>> = payloads.iter().map(call).collect();
        assert_eq!(said(&events(&frames)), want, "{payloads:?}");
    }
}

#[test]
fn calls_that_make_no_sense_are_left_out() {
    let part = |input: Value| call(&json!({"toolUseId": "t", "name": "f", "input": input}));
    for broken in [
        vec![part(json!("{\"a"))],
        vec![part(json!("{}")), part(json!({}))],
        vec![call(&json!({"toolUseId": "t", "input": "{}", "stop": true}))],
        vec![part(json!("[".repeat(200) + &"]".repeat(200)))],
    ] {
        let alone = events(&broken);
        assert_eq!(failure(&alone), Some(&Failure::MalformedTool), "{alone:?}");
        let beside = events(&[vec![text("a")], broken].concat());
        assert_eq!(said(&beside), "|text a|Stop");
    }
}

#[test]
fn t174_exceptions_end_the_answer_and_metering_does_not() {
    let throttled = frame(
        &[(":message-type", "exception"), (":exception-type", "ThrottlingException")],
        r#"{"message":"slow down"}"#,
    );
    let failed = events(std::slice::from_ref(&throttled));
    let Some(Failure::Upstream(error)) = failure(&failed) else { panic!("{failed:?}") };
    assert_eq!((error.status, error.body.kind(error.status)), (Some(429), ErrorKind::RateLimit));
    assert_eq!(error.body.message.as_deref(), Some("slow down"));
    assert!(failed.iter().all(|event| !event.is_content()));
    let later = events(&[text("a"), throttled, text("b")]);
    assert_eq!(said(&later), "|text a");

    let metered = events(&[
        text("a"),
        event("contextUsageEvent", &json!({"contextUsagePercentage": 10})),
        event("meteringEvent", &json!({"unit": "credit", "usage": 0.5})),
        text("b"),
    ]);
    assert_eq!(said(&metered), "|text ab|Stop");
}

#[test]
fn answers_without_a_word_are_failures() {
    let stop = |word: &str| event("messageStopEvent", &json!({ "stopReason": word }));
    let invalid = event("invalidStateEvent", &json!({"reason": "BAD", "message": "no"}));
    let failed = events(&[text("a"), invalid, text("b")]);
    let Some(Failure::Upstream(error)) = failure(&failed) else { panic!("{failed:?}") };
    assert_eq!(error.body.message.as_deref(), Some("no"));
    for (frames, want) in [
        (vec![], Failure::Empty),
        (vec![event("meteringEvent", &json!({"usage": 1}))], Failure::Empty),
        (vec![text(""), stop("end_turn")], Failure::Empty),
        (vec![text("a"), stop("MALFORMED_MODEL_OUTPUT")], Failure::MalformedTool),
    ] {
        assert_eq!(failure(&events(&frames)), Some(&want), "t178 {want:?}");
    }
    for (word, finish) in [
        ("guardrailIntervened", Finish::ContentFilter),
        ("content-filtered", Finish::ContentFilter),
        ("Max Tokens", Finish::Length),
        ("modelContextWindowExceeded", Finish::ContextLength),
    ] {
        let events = events(&[text(""), stop(word)]);
        assert_eq!(said(&events), format!("|{finish:?}"), "{word}");
    }
    let called = call(&json!({"toolUseId": "t", "name": "f"}));
    for (word, finish) in [
        ("END_TURN", Finish::ToolUse),
        ("stop-sequence", Finish::StopSequence),
        ("pauseTurn", Finish::PauseTurn),
        ("whatever", Finish::ToolUse),
    ] {
        let events = events(&[called.clone(), stop(word)]);
        let got = events.iter().find_map(|event| match event {
            Event::Finish { finish, reason, .. } => Some((finish.clone(), reason.clone().unwrap())),
            _ => None,
        });
        assert_eq!(got, Some((finish, word.into())));
    }
}

#[test]
fn counts_come_in_many_spellings() {
    let read = |frames: Vec<Vec<u8>>, source: Source| {
        let events = events_of(&[&[vec![text("abcdefghij")], frames].concat().concat()], source);
        events.iter().rev().find_map(|event| match event {
            Event::Usage(usage) => Some((
                (usage.tokens.input, usage.tokens.cached, usage.tokens.cache_write_5m),
                (usage.tokens.output, usage.tokens.exact, usage.credits),
            )),
            _ => None,
        })
    };
    let metrics = |payload: Value| event("metricsEvent", &payload);
    let metadata = |payload: Value| event("metadataEvent", &json!({ "tokenUsage": payload }));
    let percent = event("contextUsageEvent", &json!({"contextUsagePercentage": 12.5}));
    let metered =
        event("meteringEvent", &json!({"unit": "credit", "unitPlural": "credits", "usage": 0.25}));
    for (frames, want) in [
        (
            vec![metrics(json!({"inputTokens": 7, "outputTokens": 3}))],
            Some(((7, 0, 0), (3, true, None))),
        ),
        (
            vec![
                metrics(
                    json!({"inputTokens": 7, "outputTokens": 3, "cacheReadInputTokens": 5, "cacheCreationInputTokens": 2}),
                ),
                metrics(json!({"inputTokens": 0, "outputTokens": 4})),
                percent.clone(),
                metered.clone(),
            ],
            Some(((14, 5, 2), (4, true, Some(0.25)))),
        ),
        (
            vec![metadata(
                json!({"uncachedInputTokens": 1, "outputTokens": 3, "cacheReadInputTokens": 9, "totalTokens": 13}),
            )],
            Some(((10, 9, 0), (3, true, None))),
        ),
        (
            vec![metadata(
                json!({"inputTokens": 10, "outputTokens": 3, "cacheReadInputTokens": 9, "totalTokens": 13}),
            )],
            Some(((10, 9, 0), (3, true, None))),
        ),
        (vec![percent.clone()], Some(((25_000, 0, 0), (3, false, None)))),
        (vec![percent.clone(), metered.clone()], Some(((25_000, 0, 0), (3, false, Some(0.25))))),
        (vec![metered.clone()], Some(((0, 0, 0), (0, false, Some(0.25))))),
        (vec![event("meteringEvent", &json!({"unit": "request", "usage": 1}))], None),
        (vec![event("contextUsageEvent", &json!({"contextUsagePercentage": 1e300}))], None),
        (vec![metrics(json!({"inputTokens": "x", "outputTokens": -1}))], None),
    ] {
        assert_eq!(read(frames, source()), want);
    }
    let blind = Source { context_window: None, ..source() };
    assert_eq!(read(vec![percent], blind), None);
}

#[test]
fn links_are_citations_of_the_text() {
    let links = event(
        "supplementaryWebLinksEvent",
        &json!({"supplementaryWebLinks": [{"url": "https://a", "title": "A", "snippet": "s"}, {"title": "no address"}]}),
    );
    for frames in [vec![text("a"), links.clone()], vec![links, text("a")]] {
        let events = events(&frames);
        let cited: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Citation { citation, .. } => citation.url.clone(),
                _ => None,
            })
            .collect();
        assert_eq!(cited, ["https://a"]);
    }
}

#[test]
fn reasoning_in_tags_is_told_apart_where_it_was_asked_for() {
    let mut tagged = source();
    tagged.profile.think_tags = true;
    let pieces = ["<thin", "king>h", "m</thinking", ">a"].map(text);
    let got = events_of(&[&pieces.concat()], tagged.clone());
    assert_eq!(said(&got), "|think hm|text a|Stop");
    assert_eq!(said(&events(&pieces)), "|text <thinking>hm</thinking>a|Stop");
    let unclosed = events_of(&[&[text("<thinking>h"), text("m</thi")].concat()], tagged);
    assert_eq!(failure(&unclosed), Some(&Failure::Empty));
}

fn plan(client: Dialect) -> ReplyPlan {
    let mut plan = ReplyPlan::new(client, &crate::ir::Request::default(), 1);
    plan.answer_id = "u-1".into();
    plan.think_tags = true;
    plan
}

#[test]
fn clients_get_the_stream_or_the_whole() {
    let stream = [
        text("<thinking>hm</thinking>"),
        text("a"),
        call(&json!({"toolUseId": "t", "name": "f", "input": "{\"a\":1}", "stop": true})),
        event("metricsEvent", &json!({"inputTokens": 7, "outputTokens": 3})),
        event("meteringEvent", &json!({"unit": "credit", "usage": 0.25})),
    ]
    .concat();
    let mut folding = Folding::new(source(), plan(Dialect::Chat), LIMIT);
    for piece in stream.chunks(7) {
        folding.push(piece).unwrap();
    }
    let folded = folding.finish().unwrap();
    assert_eq!(folded.summary.credits, Some(0.25));
    assert_eq!(folded.summary.usage.map(|usage| usage.input), Some(7));
    let body: Value = serde_json::from_slice(&folded.body).unwrap();
    assert_eq!(body["id"], "chatcmpl-u-1");
    let message = &body["choices"][0]["message"];
    assert_eq!((&message["content"], &message["reasoning_content"]), (&json!("a"), &json!("hm")));
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");

    let mut translator = StreamTranslator::new(source(), plan(Dialect::Anth), Framing::Sse, LIMIT);
    let mut out = Vec::new();
    translator.push(&stream, &mut out).unwrap();
    assert_eq!(translator.finish(&mut out), StreamEnd::Complete);
    let sent = String::from_utf8(out.concat()).unwrap();
    assert!(sent.contains(r#""id":"msg_u-1""#), "{sent}");
    assert!(
        sent.contains(r#""stop_reason":"tool_use""#) && sent.contains("message_stop"),
        "{sent}"
    );

    let whole = translate_response(&stream, &source(), &plan(Dialect::Chat)).unwrap();
    let whole: Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn an_error_in_the_place_of_a_stream_is_told() {
    let body = br#"{"__type":"com.amazon#ThrottlingException","message":"slow"}"#;
    let got = events_of(&[&body[..5], &body[5..]], source());
    let Some(Failure::Upstream(error)) = failure(&got) else { panic!("{got:?}") };
    assert_eq!(error.status, Some(429));
    for (body, want) in [
        (&b""[..], Failure::Empty),
        (b"<html>", Failure::Truncated),
        (b"<html></html>", Failure::Fault(TapFault::Corrupt)),
        (&text("a")[..20], Failure::Truncated),
    ] {
        assert_eq!(decode_response(body, &source()), Err(want));
    }
}

proptest! {
    #[test]
    fn t180_any_payload_is_read_without_panic(
        names in proptest::collection::vec(0_usize..12, 0..8),
        payloads in proptest::collection::vec("[\\[\\]{}:,\"a0 \\\\]{0,12}", 8),
        junk in proptest::collection::vec(any::<u8>(), 0..40),
        tags in any::<bool>(),
    ) {
        const NAMES: [&str; 12] = [
            "assistantResponseEvent", "reasoningContentEvent", "toolUseEvent", "messageStopEvent",
            "metadataEvent", "metricsEvent", "contextUsageEvent", "meteringEvent",
            "supplementaryWebLinksEvent", "invalidStateEvent", "codeEvent", "x",
        ];
        const KEYS: [&str; 6] = ["content", "text", "input", "usage", "stopReason", "toolUseId"];
        let mut bytes = Vec::new();
        for (at, (name, payload)) in names.iter().zip(&payloads).enumerate() {
            let wrapped = format!("{{\"{}\":{payload}}}", KEYS[(name + at) % KEYS.len()]);
            let quoted = json!({KEYS[(name + at) % KEYS.len()]: payload, "name": "f"}).to_string();
            let payload = [payload.as_str(), &wrapped, &quoted][at % 3];
            bytes.extend(frame(&[(":event-type", NAMES[*name])], payload));
        }
        bytes.extend(junk);
        let mut source = source();
        source.profile.think_tags = tags;
        let events = events_of(&[&bytes], source.clone());
        let said: usize = events.iter().map(|event| match event {
            Event::Text { text, .. } | Event::ToolInput { text, .. } => text.len(),
            _ => 0,
        }).sum();
        prop_assert!(said <= bytes.len());
        let _whole = decode_response(&bytes, &source).is_ok();
    }

    #[test]
    fn t172_cuts_change_nothing(cuts in proptest::collection::vec(any::<usize>(), 0..10)) {
        let stream = [text("a"), call(&json!({"toolUseId": "t", "name": "f"})), text("é🙂")].concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % stream.len()).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut from = 0;
        let pieces: Vec<&[u8]> =
            cuts.into_iter().map(|to| &stream[std::mem::replace(&mut from, to)..to]).collect();
        prop_assert_eq!(events_of(&pieces, source()), events_of(&[&stream], source()));
    }
}
