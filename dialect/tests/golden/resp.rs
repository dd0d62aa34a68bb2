//! The story through the codec of Responses, from and to the neutral form.

use ninerouter_dialect::ir::{Event, EventOrder};
use ninerouter_dialect::resp::request::adapt;
use ninerouter_dialect::resp::{
    StreamDecoder, StreamEncoder, decode_request, decode_response, encode_request, encode_response,
};
use ninerouter_dialect::translate::{Source, Target, Warnings};
use ninerouter_dialect::{Dialect, Framing};
use serde_json::Value;

use crate::{DIALECTS, compare, file, story};

#[test]
fn responses_decodes_the_story() {
    let mut decoder = StreamDecoder::new(&Source::new(Dialect::Resp));
    let mut events = Vec::new();
    for frame in compare::frames(&file("resp.stream.sse")) {
        let name = frame.name.unwrap();
        decoder
            .frame(frame.data.to_string().as_bytes(), Some(name.as_bytes()), &mut events)
            .unwrap();
    }
    decoder.finish(&mut events);
    let mut order = EventOrder::default();
    events.iter().for_each(|event| order.check(event).unwrap());
    assert_eq!(compare::essence(events), story::events(Dialect::Resp));

    let whole = decode_response(&file("resp.whole.json"), &Source::new(Dialect::Resp));
    assert_eq!(whole, Ok(story::response(Dialect::Resp)));
}

fn stream(events: &[Event]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(compare::plan(Dialect::Resp), Framing::Sse);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    out
}

/// This Messages answer does not say how much was reasoning (A.6).
fn uncounted(source: Dialect, response: &mut Value) {
    if source == Dialect::Anth
        && let Some(tokens) = response.pointer_mut("/usage/output_tokens_details/reasoning_tokens")
    {
        *tokens = 0.into();
    }
}

/// Deltas of arguments joined, and events numbered anew: sources cut arguments in their own ways.
fn joined(mut frames: Vec<compare::Frame>) -> Vec<compare::Frame> {
    let is_delta = |frame: &compare::Frame| {
        frame.name.as_deref() == Some("response.function_call_arguments.delta")
    };
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame.data["sequence_number"], number, "{frame:?}");
    }
    frames.dedup_by(|next, before| {
        let same = is_delta(next) && is_delta(before);
        if same {
            let text = |frame: &compare::Frame| frame.data["delta"].as_str().unwrap().to_owned();
            before.data["delta"] = (text(before) + &text(next)).into();
        }
        same
    });
    for frame in &mut frames {
        frame.data["sequence_number"] = Value::Null;
    }
    frames
}

#[test]
fn responses_encodes_the_story_of_each_dialect() {
    for source in DIALECTS {
        let mut want = compare::masked_frames(&file("resp.stream.sse"));
        let responses = want.iter_mut().filter_map(|frame| frame.data.get_mut("response"));
        responses.for_each(|response| uncounted(source, response));
        let got = compare::masked_frames(&stream(&story::events(source)));
        assert_eq!(joined(got), joined(want), "{source:?}");

        let mut want: Value = serde_json::from_slice(&file("resp.whole.json")).unwrap();
        compare::mask(&mut want);
        uncounted(source, &mut want);
        let body = encode_response(&story::response(source), &compare::plan(Dialect::Resp));
        let mut got: Value = serde_json::from_slice(&body).unwrap();
        compare::mask(&mut got);
        assert_eq!(got, want, "{source:?}");
    }
}

#[test]
fn ids_are_one_per_item_and_those_of_the_source_where_it_has_them() {
    for source in DIALECTS {
        let mut done: Vec<String> = Vec::new();
        for frame in compare::frames(&stream(&story::events(source))) {
            let id = frame.data.get("item_id").or_else(|| frame.data.pointer("/item/id"));
            let Some(id) = id.and_then(Value::as_str) else { continue };
            if done.last().is_none_or(|last| last != id) {
                assert!(!done.iter().any(|other| other == id), "{source:?}: {id} comes again");
                done.push(id.to_owned());
            }
        }
        assert_eq!(done.len(), 3, "{source:?}: {done:?}");
        assert_eq!(done[0] == "rs_1", source == Dialect::Resp);
        assert!(done[1].starts_with("msg_") && done[2].starts_with("fc_"), "{done:?}");
    }
}

#[test]
fn responses_reads_and_writes_the_next_request() {
    let mut warnings = Warnings::default();
    let request = decode_request(&file("resp.request.json"), &mut warnings).unwrap();
    assert_eq!(request, story::request(Dialect::Resp));
    for source in DIALECTS {
        let mut request = story::request(source);
        // The prompt of a Messages client always has a cap.
        request.max_tokens = None;
        adapt(&mut request, source);
        let target = Target::new(Dialect::Resp, "m1");
        let encoded = encode_request(&request, &target, &mut warnings).unwrap();
        let got: Value = serde_json::from_slice(&encoded.body).unwrap();
        let want: Value = serde_json::from_slice(&file("resp.request.json")).unwrap();
        assert_eq!(got, want, "{source:?}");
    }
    assert_eq!(warnings.as_slice(), []);
}
