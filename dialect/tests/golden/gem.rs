//! The story through the codec of Gemini, from and to the neutral form.

use ninerouter_dialect::gem::{
    StreamDecoder, StreamEncoder, decode_request, decode_response, encode_request, encode_response,
};
use ninerouter_dialect::ir::{Event, EventOrder, Request};
use ninerouter_dialect::translate::{ReplyPlan, Source, Target, Warnings};
use ninerouter_dialect::{Dialect, Framing};
use serde_json::Value;

use crate::{DIALECTS, compare, file, story};

fn plan() -> ReplyPlan {
    compare::plan(Dialect::Gem)
}

fn events(fragments: impl IntoIterator<Item = String>) -> Vec<Event> {
    let mut decoder = StreamDecoder::new(&Source::new(Dialect::Gem));
    let mut events = Vec::new();
    for fragment in fragments {
        decoder.frame(fragment.as_bytes(), None, &mut events).unwrap();
    }
    decoder.finish(&mut events);
    let mut order = EventOrder::default();
    events.iter().for_each(|event| order.check(event).unwrap());
    compare::essence(events)
}

#[test]
fn gemini_decodes_the_story() {
    let sse =
        compare::frames(&file("gem.stream.sse")).into_iter().map(|frame| frame.data.to_string());
    assert_eq!(events(sse), story::events(Dialect::Gem));
    let array: Vec<Value> = serde_json::from_slice(&file("gem.stream.json")).unwrap();
    let elements = array.iter().map(Value::to_string);
    assert_eq!(events(elements), story::events(Dialect::Gem));

    let source = Source::new(Dialect::Gem);
    for whole in ["gem.whole.json", "gem.stream.json"] {
        let response = decode_response(&file(whole), &source).unwrap();
        assert_eq!(response, story::response(Dialect::Gem), "{whole}");
    }
}

/// The transcript as it must come from a source of `dialect`: its own id, and reasoning uncounted where
/// the source does not count it (A.6).
fn expected(name: &str, dialect: Dialect) -> String {
    let text = String::from_utf8(file(name)).unwrap();
    let id = story::response(dialect).id;
    let text = text.replace(r#""responseId":"r1""#, &format!(r#""responseId":"{id}""#));
    if dialect == Dialect::Anth {
        let uncounted = r#""candidatesTokenCount":12,"totalTokenCount""#;
        text.replace(
            r#""candidatesTokenCount":8,"thoughtsTokenCount":4,"totalTokenCount""#,
            uncounted,
        )
    } else {
        text
    }
}

#[test]
fn t152_t153_gemini_encodes_the_story_of_each_dialect() {
    for dialect in DIALECTS {
        for (framing, name) in
            [(Framing::Sse, "gem.stream.sse"), (Framing::JsonArray, "gem.stream.json")]
        {
            let mut encoder = StreamEncoder::new(plan(), framing);
            let mut out = Vec::new();
            for event in story::events(dialect) {
                encoder.event(&event, &mut out);
            }
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out, expected(name, dialect), "{dialect:?} {framing:?}");
        }
        let whole = encode_response(&story::response(dialect), &plan());
        let whole = String::from_utf8(whole).unwrap();
        assert_eq!(whole, expected("gem.whole.json", dialect).trim_end(), "{dialect:?}");
    }
}

#[test]
fn thoughts_stay_hidden_from_clients_that_did_not_ask() {
    let plan = ReplyPlan { shows_thinking: false, ..plan() };
    let whole = encode_response(&story::response(Dialect::Chat), &plan);
    assert!(!String::from_utf8(whole).unwrap().contains("Plan."));
    let mut encoder = StreamEncoder::new(plan, Framing::Sse);
    let mut out = Vec::new();
    story::events(Dialect::Chat).iter().for_each(|event| encoder.event(event, &mut out));
    assert_eq!(compare::frames(&out).len(), 3);
}

#[test]
fn gemini_decodes_and_encodes_the_request_of_the_story() {
    let mut warnings = Warnings::default();
    let told = decode_request(&file("gem.request.json"), &mut warnings).unwrap();
    assert_eq!(told, story::request(Dialect::Gem));
    for dialect in DIALECTS {
        let target = Target::new(Dialect::Gem, "m1");
        let request = Request { max_tokens: None, ..story::request(dialect) };
        let encoded = encode_request(&request, &target, &mut warnings).unwrap();
        let encoded: Value = serde_json::from_slice(&encoded.body).unwrap();
        let want: Value = serde_json::from_slice(&file("gem.request.json")).unwrap();
        assert_eq!(encoded, want, "{dialect:?}");
    }
    assert_eq!(warnings, Warnings::default());
}
