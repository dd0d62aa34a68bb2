//! The story through the Anthropic codec.

use ninerouter_dialect::anth::{
    StreamDecoder, StreamEncoder, decode_request, decode_response, encode_request, encode_response,
};
use ninerouter_dialect::ir::Event;
use ninerouter_dialect::translate::{Source, Target, Warnings};
use ninerouter_dialect::{Dialect, Framing};
use serde_json::Value;

use crate::{DIALECTS, compare, file, story};

#[test]
fn anth_reads_the_stream() {
    let mut decoder = StreamDecoder::new(&Source::new(Dialect::Anth));
    let mut events = Vec::new();
    for frame in compare::frames(&file("anth.stream.sse")) {
        let name = frame.name.as_ref().map(|name| name.as_bytes());
        decoder.frame(frame.data.to_string().as_bytes(), name, &mut events).unwrap();
    }
    decoder.finish(&mut events);
    assert_eq!(compare::essence(events), story::events(Dialect::Anth));
}

#[test]
fn anth_reads_the_whole_answer() {
    let got = decode_response(&file("anth.whole.json"), &Source::new(Dialect::Anth));
    assert_eq!(got, Ok(story::response(Dialect::Anth)));
}

#[test]
fn anth_reads_the_request() {
    let mut warnings = Warnings::default();
    let got = decode_request(&file("anth.request.json"), &mut warnings);
    assert_eq!(got, Ok(story::request(Dialect::Anth)));
    assert!(warnings.as_slice().is_empty());
}

fn stream(events: &[Event]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(compare::plan(Dialect::Anth), Framing::Sse);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    out
}

#[test]
fn anth_writes_the_stream() {
    // Pings come between events, where the source had them; the story has none.
    let golden = String::from_utf8(file("anth.stream.sse")).unwrap();
    let golden = golden.replace("event: ping\ndata: {\"type\":\"ping\"}\n\n", "");
    assert_eq!(String::from_utf8(stream(&story::events(Dialect::Anth))).unwrap(), golden);
    for source in DIALECTS.into_iter().filter(|source| *source != Dialect::Anth) {
        let mut want = compare::masked_frames(golden.as_bytes());
        // Only Anthropic signs reasoning in words, and tells the prompt's size at the start.
        want.retain(|frame| frame.data.pointer("/delta/type") != Some(&"signature_delta".into()));
        let start = want[0].data.pointer_mut("/message/usage").unwrap();
        start["input_tokens"] = 0.into();
        start["cache_read_input_tokens"] = 0.into();
        if source == Dialect::Gem {
            let at = want.iter().position(|f| f.data.pointer("/delta/partial_json").is_some());
            let at = at.unwrap();
            want.remove(at + 1);
            *want[at].data.pointer_mut("/delta/partial_json").unwrap() = story::ARGUMENTS.into();
        }
        assert_eq!(compare::masked_frames(&stream(&story::events(source))), want, "{source:?}");
    }
}

#[test]
fn anth_writes_the_whole_answer() {
    for source in DIALECTS {
        let mut want: Value = serde_json::from_slice(&file("anth.whole.json")).unwrap();
        compare::mask(&mut want);
        if source != Dialect::Anth {
            want["content"][0]["signature"] = "".into();
        }
        let body = encode_response(&story::response(source), &compare::plan(Dialect::Anth));
        let mut got: Value = serde_json::from_slice(&body).unwrap();
        compare::mask(&mut got);
        assert_eq!(got, want, "{source:?}");
    }
}

#[test]
fn anth_writes_the_request() {
    let want: Value = serde_json::from_slice(&file("anth.request.json")).unwrap();
    for source in DIALECTS {
        let told = story::request(source);
        let target = Target::new(Dialect::Anth, "m1");
        let encoded = encode_request(&told, &target, &mut Warnings::default()).unwrap();
        let got: Value = serde_json::from_slice(&encoded.body).unwrap();
        assert_eq!(got, want, "{source:?}");
        assert!(encoded.betas.is_empty());
    }
}
