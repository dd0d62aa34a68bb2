//! T180 for the Anthropic codec: whatever comes in, nothing panics, and the order of events holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ninerouter_dialect::Dialect;
use ninerouter_dialect::anth::{
    StreamDecoder, StreamEncoder, decode_request, decode_response, encode_request, encode_response,
};
use ninerouter_dialect::ir::{Event, EventOrder, Request};
use ninerouter_dialect::translate::{Fold, ReplyPlan, Source, Target, Warnings, unfold};
use proptest::prelude::*;

/// Pieces of bodies and events, to be put together at random.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        Just("\"\"".to_owned()),
        Just("true".to_owned()),
        Just("-1.5e3".to_owned()),
        Just("12345678901234567890".to_owned()),
        "[a-z\u{e9}\u{1f642}]{0,6}".prop_map(|text| format!("\"{text}\"")),
        prop::sample::select(WORDS).prop_map(|word| format!("\"{word}\"")),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec((prop::sample::select(WORDS), inner), 0..6).prop_map(|all| {
                let members = all.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

const WORDS: &[&str] = &[
    "type",
    "text",
    "thinking",
    "signature",
    "tool_use",
    "tool_result",
    "server_tool_use",
    "web_search_tool_result",
    "redacted_thinking",
    "id",
    "name",
    "input",
    "content",
    "role",
    "user",
    "assistant",
    "system",
    "messages",
    "tools",
    "tool_choice",
    "tool_use_id",
    "source",
    "base64",
    "media_type",
    "data",
    "image",
    "document",
    "citations",
    "cache_control",
    "thinking_delta",
    "output_config",
    "effort",
    "max_tokens",
    "usage",
    "stop_reason",
    "end_turn",
    "model",
    "caller",
];

/// One event of a stream, often a sensible one.
fn frame() -> impl Strategy<Value = String> {
    let index = 0_u8..3;
    let block = prop_oneof![
        Just(r#"{"type":"text","text":""}"#.to_owned()),
        Just(r#"{"type":"text","text":"a"}"#.to_owned()),
        Just(r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned()),
        Just(r#"{"type":"redacted_thinking","data":"D"}"#.to_owned()),
        Just(r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#.to_owned()),
        Just(r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#.to_owned()),
        Just(r#"{"type":"web_search_tool_result","tool_use_id":"s","content":[]}"#.to_owned()),
        json(),
    ];
    let delta = prop_oneof![
        Just(r#"{"type":"text_delta","text":"b"}"#.to_owned()),
        Just(r#"{"type":"thinking_delta","thinking":"c"}"#.to_owned()),
        Just(r#"{"type":"signature_delta","signature":"S"}"#.to_owned()),
        Just(r#"{"type":"input_json_delta","partial_json":"{\"a\":"}"#.to_owned()),
        Just(r#"{"type":"citations_delta","citation":{"type":"char_location"}}"#.to_owned()),
        json(),
    ];
    prop_oneof![
        Just(r#"{"type":"message_start","message":{"id":"m","model":"x"}}"#.to_owned()),
        Just(r#"{"type":"message_start","message":{"id":"n"}}"#.to_owned()),
        Just(r#"{"type":"ping"}"#.to_owned()),
        Just(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#.to_owned()),
        Just(r#"{"type":"message_stop"}"#.to_owned()),
        (index.clone(), block).prop_map(|(index, block)| format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#
        )),
        (index.clone(), delta).prop_map(|(index, delta)| format!(
            r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#
        )),
        index.prop_map(|index| format!(r#"{{"type":"content_block_stop","index":{index}}}"#)),
        json(),
    ]
}

fn plan() -> ReplyPlan {
    let mut plan = ReplyPlan::new(Dialect::Anth, &Request::default(), 0);
    plan.shows_thinking = true;
    plan
}

/// The data of the events that an encoder wrote; each must be one line of JSON.
fn read_back(written: &[u8]) -> Vec<Event> {
    let text = std::str::from_utf8(written).unwrap();
    let mut decoder = StreamDecoder::new(&Source::new(Dialect::Anth));
    let mut events = Vec::new();
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        decoder.frame(data.as_bytes(), None, &mut events).unwrap();
    }
    decoder.finish(&mut events);
    events
}

proptest! {
    #[test]
    fn t180_any_stream_has_events_in_order(frames in prop::collection::vec(frame(), 0..24)) {
        let mut decoder = StreamDecoder::new(&Source::new(Dialect::Anth));
        let mut events = Vec::new();
        for frame in &frames {
            // Pieces that are no object are refused, and nothing else.
            prop_assert_eq!(
                decoder.frame(frame.as_bytes(), None, &mut events).is_err(),
                !frame.starts_with('{') && !matches!(events.last(), Some(Event::End | Event::Failed(_)))
            );
        }
        decoder.finish(&mut events);
        let mut order = EventOrder::default();
        for event in &events {
            prop_assert!(order.check(event).is_ok(), "{:?} in {:?}", event, events);
        }
        prop_assert!(order.is_ended());

        // What can be read can be written, and reads the same again.
        let mut fold = Fold::default();
        events.into_iter().for_each(|event| fold.push(event));
        if let Ok(answer) = fold.finish() {
            let mut encoder = StreamEncoder::new(plan(), ninerouter_dialect::Framing::Sse);
            let mut written = Vec::new();
            unfold(answer.clone()).iter().for_each(|event| encoder.event(event, &mut written));
            let mut again = Fold::default();
            read_back(&written).into_iter().for_each(|event| again.push(event));
            if let Ok(again) = again.finish() {
                prop_assert_eq!(
                    again.choices.first().map(|choice| &choice.parts),
                    answer.choices.first().map(|choice| &choice.parts)
                );
            }
            let body = encode_response(&answer, &plan());
            let value: Result<serde_json::Value, _> = serde_json::from_slice(&body);
            prop_assert!(value.is_ok());
        }
    }

    #[test]
    fn t180_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut decoder = StreamDecoder::new(&Source::new(Dialect::Anth));
        let mut events = Vec::new();
        let refused = decoder.frame(&bytes, Some(&bytes), &mut events).is_err();
        let object = bytes.trim_ascii_start().starts_with(b"{");
        prop_assert!(refused || object);
        prop_assert!(decode_response(&bytes, &Source::new(Dialect::Anth)).is_err() || !refused);
        let request = decode_request(&bytes, &mut Warnings::default());
        prop_assert!(request.is_err() || !refused);
    }

    #[test]
    fn t180_any_request_is_read_and_written_as_json(
        members in prop::collection::vec((prop::sample::select(WORDS), json()), 0..8),
    ) {
        let members: Vec<String> =
            members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let body = format!("{{{}}}", members.join(","));
        let mut warnings = Warnings::default();
        if let Ok(request) = decode_request(body.as_bytes(), &mut warnings) {
            let target = Target::new(Dialect::Anth, "m");
            let encoded = encode_request(&request, &target, &mut warnings);
            let encoded = encoded.map(|encoded| encoded.body).unwrap_or_default();
            let value: Result<serde_json::Value, _> = serde_json::from_slice(&encoded);
            prop_assert!(value.is_ok(), "{}", body);
        }
    }
}
