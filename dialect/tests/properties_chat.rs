//! T180 for the chat codec and for the drivers of all dialects: whatever comes in, nothing panics, the order
//! of events holds, and it makes no difference where the bytes are cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ninerouter_dialect::chat::{decode_request, decode_response, encode_request, encode_response};
use ninerouter_dialect::ir::{Event, EventOrder, Request};
use ninerouter_dialect::translate::{
    EventReader, Fold, Folding, ReplyPlan, Source, StreamTranslator, Target, Warnings, unfold,
};
use ninerouter_dialect::{Dialect, Framing};
use proptest::prelude::*;
use proptest::sample::select;

const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];
const LARGEST: usize = 1 << 16;

const WORDS: &[&str] = &[
    "id",
    "model",
    "created",
    "choices",
    "index",
    "delta",
    "message",
    "content",
    "text",
    "type",
    "role",
    "user",
    "assistant",
    "tool",
    "system",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "tool_call_id",
    "finish_reason",
    "stop",
    "error",
    "usage",
    "prompt_tokens",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "audio",
    "data",
    "images",
    "image_url",
    "url",
    "annotations",
    "logprobs",
    "messages",
    "tools",
    "tool_choice",
    "stream",
    "max_tokens",
    "reasoning_effort",
    "response_format",
    "json_schema",
    "schema",
    "extra_body",
    "metadata",
    "n",
];

/// JSON of the words that the codec looks for, put together at random.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(&["null", "{}", "[]", "\"\"", "true", "-1.5e3", "12345678901234567890", "0"][..])
            .prop_map(str::to_owned),
        "[a-z\u{e9}\u{1f642}]{0,6}".prop_map(|text| format!("\"{text}\"")),
        select(WORDS).prop_map(|word| format!("\"{word}\"")),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec((select(WORDS), inner), 0..6).prop_map(|all| {
                let members = all.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// A chunk, often a sensible one.
fn chunk() -> impl Strategy<Value = String> {
    let deltas = [
        r#"{"content":"a"}"#,
        r#"{"content":"<think>b"}"#,
        r#"{"content":"</think>"}"#,
        r#"{"reasoning_content":"c"}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","text":"d","signature":"S"}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"E"}]}"#,
        r#"{"refusal":"no"}"#,
        r#"{"audio":{"id":"a1","data":"AAAA"}}"#,
        r#"{"images":[{"image_url":{"url":"data:image/png;base64,iVBORw=="}}]}"#,
        r#"{"annotations":[{"type":"url_citation","url_citation":{"url":"https://e.x"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{\"a\":"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"y","function":{"name":"","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"function":{"name":"g"}}]}"#,
        r#"{"tool_calls":[{"id":"z","function":{"name":"h","arguments":{"b":2}}}]}"#,
        r#"{"function_call":{"name":"k","arguments":"{}"}}"#,
    ];
    let delta = prop_oneof![4 => select(deltas.to_vec()).prop_map(str::to_owned), 1 => json()];
    let reason = select(&["null", "null", "null", "\"stop\"", "\"length\"", "\"tool_calls\""][..]);
    prop_oneof![
        8 => (0_u8..2, delta, reason).prop_map(|(index, delta, reason)| format!(
            r#"{{"id":"c","choices":[{{"index":{index},"delta":{delta},"finish_reason":{reason}}}]}}"#
        )),
        1 => Just(r#"{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1}}"#.to_owned()),
        1 => json(),
    ]
}

/// A stream of chunks.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let ends = select(&["\n\n", "\r\n\r\n", "\r\r"][..]);
    let tail = select(&["data: [DONE]\n\n", "", ": ping\n\n", "data: {\"choi"][..]);
    (prop::collection::vec(chunk(), 0..12), ends, tail).prop_map(|(chunks, end, tail)| {
        let mut all: String = chunks.iter().map(|chunk| format!("data: {chunk}{end}")).collect();
        all.push_str(tail);
        all.into_bytes()
    })
}

fn source(dialect: Dialect, framing: Framing, lenient: bool) -> Source {
    let mut source = Source { framing, ..Source::new(dialect) };
    (source.profile.think_tags, source.profile.eof_is_end) = (lenient, lenient);
    source
}

fn read(source: Source, stream: &[u8], piece: usize) -> Vec<Event> {
    let mut reader = EventReader::new(source, LARGEST);
    let mut out = Vec::new();
    stream.chunks(piece.max(1)).for_each(|chunk| reader.push(chunk, &mut out));
    reader.finish(&mut out);
    out
}

fn check_order(events: &[Event]) {
    let mut order = EventOrder::default();
    for event in events {
        order.check(event).unwrap();
    }
    assert!(order.is_ended(), "{events:?}");
}

fn plan(client: Dialect) -> ReplyPlan {
    let mut plan = ReplyPlan::new(client, &Request::default(), 0);
    (plan.shows_thinking, plan.include_usage) = (true, true);
    plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn chunks_in_any_order_make_an_answer(stream in stream(), piece in 1_usize..40, lenient: bool) {
        let source = source(Dialect::Chat, Framing::Sse, lenient);
        let events = read(source.clone(), &stream, stream.len());
        check_order(&events);
        prop_assert_eq!(&read(source, &stream, piece), &events);
        let mut fold = Fold::default();
        events.into_iter().for_each(|event| fold.push(event));
        if let Ok(response) = fold.finish() {
            check_order(&unfold(response.clone()));
            let body = encode_response(&response, &plan(Dialect::Chat));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
    }

    #[test]
    fn a_stream_for_any_client_is_one_of_its_dialect(stream in stream(), piece in 1_usize..40) {
        for client in DIALECTS {
            let upstream = source(Dialect::Chat, Framing::Sse, true);
            let mut translator =
                StreamTranslator::new(upstream.clone(), plan(client), Framing::Sse, LARGEST);
            let mut out = Vec::new();
            let pushed = stream.chunks(piece).try_for_each(|chunk| translator.push(chunk, &mut out));
            translator.finish(&mut out);
            let whole = pushed.is_ok() && translator.failure().is_none();
            let told = read(source(client, Framing::Sse, false), &out.concat(), 4096);
            check_order(&told);
            let ended = matches!(told.last(), Some(Event::End));
            prop_assert_eq!(whole, ended, "{:?} {:?}", client, translator.failure());

            let mut folding = Folding::new(upstream, plan(client), LARGEST);
            let gathered = stream.chunks(piece).try_for_each(|chunk| folding.push(chunk));
            prop_assert_eq!(gathered.and_then(|()| folding.finish()).is_ok(), whole);
        }
    }

    #[test]
    fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
        for dialect in DIALECTS {
            for framing in [Framing::Sse, Framing::JsonArray] {
                check_order(&read(source(dialect, framing, true), &bytes, piece));
            }
        }
    }

    #[test]
    fn no_json_breaks_a_reader(all in prop::collection::vec(json(), 0..5), bare: bool) {
        let mark = if bare { "" } else { "data: " };
        let stream: String = all.iter().map(|json| format!("{mark}{json}\n\n")).collect();
        for dialect in DIALECTS {
            check_order(&read(source(dialect, Framing::Sse, true), stream.as_bytes(), 9));
            let array = format!("[{}]", all.join(",")).into_bytes();
            check_order(&read(source(dialect, Framing::JsonArray, true), &array, 9));
        }
    }

    #[test]
    fn no_body_breaks_the_codec(body in json(), messages in json()) {
        let answer = format!(r#"{{"choices":[{{"message":{body},"finish_reason":"stop"}}]}}"#);
        for body in [&body, &answer] {
            let got = decode_response(body.as_bytes(), &Source::new(Dialect::Chat));
            if let Ok(response) = got {
                check_order(&unfold(response));
            }
        }
        let message = format!(r#"{{"messages":[{{"role":"assistant","content":{messages}}},{body}]}}"#);
        let asked = format!(r#"{{"messages":{messages},"tools":{body},"reasoning":{body}}}"#);
        for request in [&message, &asked, &body] {
            let mut warnings = Warnings::default();
            if let Ok(request) = decode_request(request.as_bytes(), &mut warnings) {
                let target = Target::new(Dialect::Chat, "m");
                let encoded = encode_request(&request, &target, &mut warnings).unwrap();
                prop_assert!(decode_request(&encoded.body, &mut warnings).is_ok());
            }
        }
    }
}
