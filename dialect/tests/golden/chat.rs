//! The story through the chat codec.

use ninerouter_dialect::chat::{
    StreamDecoder, StreamEncoder, decode_request, decode_response, encode_request, encode_response,
};
use ninerouter_dialect::ir::Event;
use ninerouter_dialect::translate::{Source, Target, Warnings};
use ninerouter_dialect::{Dialect, Framing};
use serde_json::Value;

use crate::{DIALECTS, compare, file, story};

#[test]
fn chat_reads_the_stream() {
    let mut decoder = StreamDecoder::new(&Source::new(Dialect::Chat));
    let mut events = Vec::new();
    for frame in compare::frames(&file("chat.stream.sse")) {
        let data = match frame.data {
            Value::String(text) => text,
            data => data.to_string(),
        };
        decoder.frame(data.as_bytes(), None, &mut events).unwrap();
    }
    decoder.finish(&mut events);
    assert_eq!(compare::essence(events), story::events(Dialect::Chat));
}

#[test]
fn chat_reads_the_whole_answer() {
    let got = decode_response(&file("chat.whole.json"), &Source::new(Dialect::Chat));
    assert_eq!(got, Ok(story::response(Dialect::Chat)));
}

fn stream(events: &[Event]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(compare::plan(Dialect::Chat), Framing::Sse);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    out
}

#[test]
fn chat_writes_the_stream() {
    assert_eq!(
        String::from_utf8(stream(&story::events(Dialect::Chat))).unwrap(),
        String::from_utf8(file("chat.stream.sse")).unwrap()
    );
    for source in DIALECTS {
        let mut want = compare::masked_frames(&file("chat.stream.sse"));
        if source == Dialect::Gem {
            // Gemini gives arguments whole.
            let rest = want.remove(5);
            let rest = rest.data.pointer("/choices/0/delta/tool_calls/0/function/arguments");
            let arguments =
                want[4].data.pointer_mut("/choices/0/delta/tool_calls/0/function/arguments");
            let (arguments, rest) = (arguments.unwrap(), rest.unwrap());
            *arguments =
                format!("{}{}", arguments.as_str().unwrap(), rest.as_str().unwrap()).into();
        }
        if source == Dialect::Anth {
            // This Messages answer does not say how much was reasoning.
            let usage = want.iter_mut().find_map(|frame| {
                frame.data.pointer_mut("/usage/completion_tokens_details/reasoning_tokens")
            });
            *usage.unwrap() = 0.into();
        }
        assert_eq!(compare::masked_frames(&stream(&story::events(source))), want, "{source:?}");
    }
}

#[test]
fn chat_writes_the_whole_answer() {
    for source in DIALECTS {
        let mut want: Value = serde_json::from_slice(&file("chat.whole.json")).unwrap();
        compare::mask(&mut want);
        if source == Dialect::Anth {
            want["usage"]["completion_tokens_details"]["reasoning_tokens"] = 0.into();
        }
        let body = encode_response(&story::response(source), &compare::plan(Dialect::Chat));
        let mut got: Value = serde_json::from_slice(&body).unwrap();
        compare::mask(&mut got);
        assert_eq!(got, want, "{source:?}");
    }
}

#[test]
fn chat_reads_the_request() {
    let mut warnings = Warnings::default();
    let got = decode_request(&file("chat.request.json"), &mut warnings);
    assert_eq!(got, Ok(story::request(Dialect::Chat)));
    assert!(warnings.as_slice().is_empty());
}

#[test]
fn chat_writes_the_request() {
    let want: Value = serde_json::from_slice(&file("chat.request.json")).unwrap();
    for source in DIALECTS {
        let mut request = story::request(source);
        // Only Messages demands a cap, which chat passes on.
        request.max_tokens = None;
        let target = Target::new(Dialect::Chat, "m1");
        let encoded = encode_request(&request, &target, &mut Warnings::default()).unwrap();
        let got: Value = serde_json::from_slice(&encoded.body).unwrap();
        assert_eq!(got, want, "{source:?}");
    }
}
