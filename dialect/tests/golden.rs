//! The golden transcripts: one story in four dialects, and what it means in the neutral form.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "golden/answers.rs"]
mod answers;
#[path = "golden/anth.rs"]
mod anth;
#[path = "golden/chat.rs"]
mod chat;
#[path = "golden/compare.rs"]
mod compare;
#[path = "golden/gem.rs"]
mod gem;
#[path = "golden/pairs.rs"]
mod pairs;
#[path = "golden/resp.rs"]
mod resp;
#[path = "golden/story.rs"]
mod story;

use ninerouter_dialect::ir::{Event, EventOrder};
use ninerouter_dialect::translate::{Fold, unfold};
use ninerouter_dialect::{
    BodyVerdict, Dialect, Framing, StreamEnd, StreamTap, TapOptions, TapSummary, judge_body, peek,
};

const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn streams() -> Vec<(Dialect, Framing, Vec<u8>)> {
    let sse = |dialect: Dialect| file(&format!("{}.stream.sse", dialect.as_str()));
    let mut streams: Vec<_> =
        DIALECTS.iter().map(|&dialect| (dialect, Framing::Sse, sse(dialect))).collect();
    streams.push((Dialect::Gem, Framing::JsonArray, file("gem.stream.json")));
    streams
}

/// What the tap reads from a transcript is what the story says.
fn assert_told(dialect: Dialect, seen: &TapSummary) {
    let told = story::response(dialect);
    assert_eq!(seen.usage, told.usage.map(|usage| usage.tokens), "{dialect:?}");
    assert_eq!(seen.response_id.as_deref(), Some(&*told.id), "{dialect:?}");
    assert_eq!(seen.model.as_deref(), Some("m1"), "{dialect:?}");
    assert_eq!(seen.finish_reason.as_deref(), told.choices[0].reason.as_deref(), "{dialect:?}");
}

#[test]
fn transcripts_of_streams_are_whole_and_tell_the_story() {
    for (dialect, framing, bytes) in streams() {
        let mut tap = StreamTap::new(TapOptions {
            dialect,
            framing,
            hide_usage_chunk: false,
            eof_is_end: false,
            unwrap: false,
            max_event_bytes: 1 << 20,
        });
        let mut out = Vec::new();
        tap.push(bytes.into(), &mut out).unwrap();
        assert_eq!(tap.finish(&mut out), StreamEnd::Complete, "{dialect:?} {framing:?}");
        assert_told(dialect, tap.summary());
    }
}

#[test]
fn transcripts_of_whole_answers_tell_the_story() {
    for dialect in DIALECTS {
        let body = file(&format!("{}.whole.json", dialect.as_str()));
        let BodyVerdict::Ok(seen) = judge_body(dialect, &body) else { panic!("{dialect:?}") };
        assert_told(dialect, &seen);
    }
}

#[test]
fn transcripts_of_requests_have_the_storys_frame() {
    for dialect in DIALECTS {
        let body = file(&format!("{}.request.json", dialect.as_str()));
        let seen = peek(dialect, &body).unwrap();
        let told = story::request(dialect);
        assert_eq!(seen.model.map(|m| m.value).unwrap_or_default(), &*told.model, "{dialect:?}");
        assert_eq!(seen.max_tokens, told.max_tokens.map(u64::from), "{dialect:?}");
        assert!(seen.tools && seen.turns_nonempty, "{dialect:?}");
    }
}

#[test]
fn events_of_the_story_are_in_order_and_fold_into_the_answer() {
    for dialect in DIALECTS {
        let mut order = EventOrder::default();
        let mut fold = Fold::default();
        for event in story::events(dialect) {
            order.check(&event).unwrap_or_else(|e| panic!("{dialect:?}: {e}"));
            fold.push(event);
        }
        assert_eq!(fold.finish(), Ok(story::response(dialect)));
    }
}

#[test]
fn the_answer_unfolds_into_the_events_of_the_story() {
    // Pieces of arguments and the prompt's size at the start are a stream's own.
    let essence = |events: Vec<Event>| -> Vec<Event> {
        let mut out: Vec<Event> = Vec::new();
        for event in events {
            match (out.last_mut(), event) {
                (Some(Event::ToolInput { text, .. }), Event::ToolInput { text: more, .. }) => {
                    *text = format!("{text}{more}").into();
                }
                (_, Event::Start { id, model, created, service_tier, fingerprint, .. }) => {
                    out.push(Event::Start {
                        id,
                        model,
                        created,
                        usage: None,
                        service_tier,
                        fingerprint,
                    });
                }
                (_, event) => out.push(event),
            }
        }
        out
    };
    for dialect in DIALECTS {
        let unfolded = unfold(story::response(dialect));
        assert_eq!(essence(unfolded), essence(story::events(dialect)), "{dialect:?}");
    }
}
