//! The story from each dialect to each, end to end: streams, whole answers, and crosswise.

use ninerouter_dialect::ir::{Event, EventOrder, Part, Response};
use ninerouter_dialect::translate::{
    EventReader, Fold, Folding, Source, StreamTranslator, translate_response, unfold_body,
};
use ninerouter_dialect::{Dialect, Framing, StreamEnd};

use crate::{DIALECTS, compare, file, story, streams};

const LARGEST: usize = 1 << 20;

fn source(dialect: Dialect, framing: Framing) -> Source {
    Source { framing, ..Source::new(dialect) }
}

fn read(dialect: Dialect, framing: Framing, chunks: &[&[u8]]) -> Vec<Event> {
    let mut reader = EventReader::new(source(dialect, framing), LARGEST);
    let mut out = Vec::new();
    chunks.iter().for_each(|chunk| reader.push(chunk, &mut out));
    reader.finish(&mut out);
    let mut order = EventOrder::default();
    out.iter().for_each(|event| order.check(event).unwrap());
    assert!(order.is_ended());
    out
}

/// The answer without what a dialect cannot say or spells in its own way (A.6).
fn level(mut response: Response) -> Response {
    (response.id, response.model, response.created) = ("".into(), "".into(), None);
    if let Some(usage) = &mut response.usage {
        usage.tokens.reasoning = 0;
    }
    for choice in &mut response.choices {
        choice.reason = None;
        for part in &mut choice.parts {
            if let Part::Thinking(thinking) = part {
                (thinking.signature, thinking.item_id, thinking.summary) = (None, None, false);
            }
        }
    }
    response
}

fn folded(events: Vec<Event>) -> Response {
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    level(fold.finish().unwrap())
}

#[test]
fn t129_every_cut_of_a_stream_tells_the_same_story() {
    for (dialect, framing, bytes) in streams() {
        let want = story::events(dialect);
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            let got = compare::essence(read(dialect, framing, &[head, tail]));
            assert_eq!(got, want, "{dialect:?} cut at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let got = compare::essence(read(dialect, framing, &single));
        assert_eq!(got, want, "{dialect:?} byte by byte");
    }
}

#[test]
fn each_stream_reaches_each_client() {
    for (from, framing, bytes) in streams() {
        for to in DIALECTS {
            let told = |piece: usize| {
                let source = source(from, framing);
                let plan = compare::plan(to);
                let mut translator = StreamTranslator::new(source, plan, Framing::Sse, LARGEST);
                let mut out = Vec::new();
                for chunk in bytes.chunks(piece) {
                    translator.push(chunk, &mut out).unwrap();
                }
                assert_eq!(translator.finish(&mut out), StreamEnd::Complete, "{from:?} {to:?}");
                assert!(translator.content_seen() && translator.message_started());
                let (seen, response) = (translator.summary(), story::response(from));
                assert_eq!(seen.usage, response.usage.map(|usage| usage.tokens), "{from:?}");
                let reason = response.choices[0].reason.as_deref();
                assert_eq!(seen.finish_reason.as_deref(), reason, "{from:?}");
                out.concat()
            };
            let whole = told(bytes.len());
            assert_eq!(told(1), whole, "{from:?} {to:?}");
            let got = folded(read(to, Framing::Sse, &[&whole]));
            assert_eq!(got, level(story::response(from)), "{from:?} {to:?}");
        }
    }
}

#[test]
fn each_whole_answer_reaches_each_client() {
    for from in DIALECTS {
        let body = file(&format!("{}.whole.json", from.as_str()));
        let want = level(story::response(from));
        for to in DIALECTS {
            let source = Source::new(from);
            let plan = compare::plan(to);
            let told = translate_response(&body, &source, &plan).unwrap();
            let again = translate_response(&told.body, &Source::new(to), &compare::plan(from));
            let back = again.unwrap().body;
            let read_back = translate_response(&back, &source, &plan).unwrap();
            assert_eq!(
                read_back.summary.finish_reason, told.summary.finish_reason,
                "{from:?} {to:?}"
            );

            let stream = unfold_body(&body, &source, &plan, Framing::Sse).unwrap();
            assert_eq!(
                folded(read(to, Framing::Sse, &[&stream.body])),
                want,
                "T161 {from:?} {to:?}"
            );
        }
    }
}

#[test]
fn t160_a_stream_is_gathered_for_a_client_that_wants_the_whole() {
    for (from, framing, bytes) in streams() {
        for to in DIALECTS {
            let folding = || Folding::new(source(from, framing), compare::plan(to), LARGEST);
            let mut whole = folding();
            bytes.chunks(3).for_each(|chunk| whole.push(chunk).unwrap());
            let whole = whole.finish().unwrap();
            let stream =
                unfold_body(&whole.body, &Source::new(to), &compare::plan(to), Framing::Sse);
            let got = folded(read(to, Framing::Sse, &[&stream.unwrap().body]));
            assert_eq!(got, level(story::response(from)), "{from:?} {to:?}");

            let mut cut = folding();
            let (head, _) = bytes.split_at(bytes.len() / 2);
            let cut = cut.push(head).and_then(|()| cut.finish().map(|_| ()));
            assert!(cut.is_err(), "{from:?} {to:?}");
        }
    }
}
