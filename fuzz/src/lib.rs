//! What the fuzz targets do with their bytes (translation §6, T180): nothing may panic or hang, events come
//! in order, and what is written can be read.
//!
//! `fuzz/seed` fills the corpora from recordings. Then, for each target of `cargo +nightly fuzz list`:
//! `cargo +nightly fuzz run <target> -- -max_len=65536 -timeout=10`.

use bytes::Bytes;
use ninerouter_dialect::ir::{Event, EventOrder, RawJson, Request};
use ninerouter_dialect::translate::schema::{GeminiSubset, SchemaForm, clean};
use ninerouter_dialect::translate::{
    Envelope, EventReader, Folding, NoSignatures, PrepareCx, ReplyPlan, RequestTranslator, Source,
    StreamTranslator, Target, error_for_client, needs_translation, translate_response, unfold_body,
};
use ninerouter_dialect::{
    BodyEdit, CompletionStream, Dialect, ErrorShape, Framing, StreamTap, TapOptions, apply_edits,
    chat_to_completion, cloud_code, codex, completion_to_chat, copilot, error_body,
    estimate_tokens, judge_body, needs, parse_error_body, peek, session_hints, splice_model,
};

const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];
const ENVELOPES: [(Dialect, Envelope); 5] = [
    (Dialect::Resp, Envelope::Codex),
    (Dialect::Gem, Envelope::CloudCode),
    (Dialect::Gem, Envelope::Antigravity),
    (Dialect::Anth, Envelope::Kiro),
    (Dialect::Chat, Envelope::Ollama),
];
const LARGEST: usize = 1 << 20;

fn plan(client: Dialect) -> ReplyPlan {
    let mut plan = ReplyPlan::new(client, &Request::default(), 0);
    (plan.shows_thinking, plan.shows_encrypted, plan.include_usage) = (true, true, true);
    plan
}

/// Picks by something that the fuzzer can change without changing what the bytes mean.
fn pick<T: Copy>(from: &[T], data: &[u8]) -> T {
    from[data.len() % from.len()]
}

/// By grammar: a number beyond every type is passed on as it came.
fn is_json(body: &[u8]) {
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(body);
    assert!(read.is_ok(), "{}", String::from_utf8_lossy(body));
}

/// A client's request for all dialects, and for one envelope.
pub fn request(client: Dialect, data: &[u8]) {
    let Ok(translator) = RequestTranslator::decode(client, data) else { return };
    let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
    let (dialect, envelope) = pick(&ENVELOPES, data);
    let wrapped = Target { envelope, ..Target::new(dialect, "claude-sonnet-4-5") };
    for target in DIALECTS.map(|dialect| Target::new(dialect, "m")).into_iter().chain([wrapped]) {
        let Ok(prepared) = translator.prepare(&target, &cx) else { continue };
        let Ok(sent) = prepared.encode() else { continue };
        is_json(&sent.body);
        if target.envelope == Envelope::Plain {
            assert!(RequestTranslator::decode(target.dialect, &sent.body).is_ok());
        }
    }
}

/// A whole answer for each client, whole and as a stream.
pub fn response(source: &Source, data: &[u8]) {
    for client in DIALECTS {
        let told = translate_response(data, source, &plan(client));
        let streamed = unfold_body(data, source, &plan(client), Framing::Sse);
        assert_eq!(told.is_ok(), streamed.is_ok());
        if let (Ok(told), Ok(streamed)) = (told, streamed) {
            is_json(&told.body);
            in_order(&read(&Source::new(client), &streamed.body, LARGEST));
        }
    }
}

fn read(source: &Source, stream: &[u8], piece: usize) -> Vec<Event> {
    let mut reader = EventReader::new(source.clone(), LARGEST);
    let mut events = Vec::new();
    stream.chunks(piece).for_each(|chunk| reader.push(chunk, &mut events));
    reader.finish(&mut events);
    events
}

fn in_order(events: &[Event]) {
    let mut order = EventOrder::default();
    events.iter().for_each(|event| assert_eq!(order.check(event), Ok(())));
    assert!(order.is_ended());
}

/// A stream for one client; read at once and in pieces, and gathered.
pub fn stream(source: &Source, data: &[u8]) {
    let piece = data.len() % 61 + 1;
    let at_once = read(source, data, LARGEST);
    in_order(&at_once);
    assert_eq!(read(source, data, piece), at_once);

    let client = pick(&DIALECTS, data);
    let mut translator = StreamTranslator::new(source.clone(), plan(client), Framing::Sse, LARGEST);
    let mut out = Vec::new();
    let pushed = data.chunks(piece).try_for_each(|chunk| translator.push(chunk, &mut out));
    translator.finish(&mut out);
    let whole = pushed.is_ok() && translator.failure().is_none();
    in_order(&read(&Source::new(client), &out.concat(), LARGEST));
    let mut folding = Folding::new(source.clone(), plan(client), LARGEST);
    let gathered = data.chunks(piece).try_for_each(|chunk| folding.push(chunk));
    match gathered.and_then(|()| folding.finish()) {
        Ok(told) => is_json(&told.body),
        Err(failure) => assert!(!whole, "{failure:?}"),
    }
}

/// Traffic that is handed on: no byte may be added, changed or moved.
pub fn tap(framing: Framing, data: &[u8]) {
    for dialect in DIALECTS {
        let mut tap = StreamTap::new(TapOptions {
            dialect,
            framing,
            hide_usage_chunk: false,
            eof_is_end: false,
            unwrap: false,
            max_event_bytes: LARGEST,
        });
        let mut out = Vec::new();
        let piece = data.len() % 61 + 1;
        let pushed = data
            .chunks(piece)
            .try_for_each(|chunk| tap.push(Bytes::copy_from_slice(chunk), &mut out));
        tap.finish(&mut out);
        assert!(data.starts_with(&out.concat()) || pushed.is_err());
    }
    let mut completions = CompletionStream::new(LARGEST);
    let mut out = Vec::new();
    if completions.push(data, &mut out).is_ok() {
        completions.finish(&mut out);
    }
}

/// What is looked up in a body without taking it apart, and edits of it.
pub fn peek_and_splice(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for dialect in DIALECTS {
        let _estimate = estimate_tokens(dialect, data);
        let Ok(seen) = peek(dialect, data) else { continue };
        needs(dialect, data, &seen);
        session_hints(dialect, data, &seen);
        copilot::facts(dialect, data, &seen);
        if let Ok(model) = seen.require_model() {
            let spliced = splice_model(&body, model, "a\"é").parts.concat();
            let model = peek(dialect, &spliced).unwrap().model;
            assert_eq!(model.map(|model| model.value).as_deref(), Some("a\"é"));
        }
        let edits = [
            BodyEdit::Remove { key: "temperature".into() },
            BodyEdit::Set { key: "x".into(), json: "[1]".to_owned() },
        ];
        is_json(&apply_edits(&body, &edits).unwrap().parts.concat());
    }
    if let Ok(chat) = completion_to_chat(data) {
        is_json(&chat);
    }
}

/// Bodies of failed answers, and whole answers of any kind.
pub fn error_bodies(data: &[u8]) {
    let status = pick(&[400, 401, 403, 404, 429, 500, 503], data);
    for kind in [None, Some("application/json"), Some("text/html")] {
        let seen = parse_error_body(status, kind, data);
        let error = error_for_client(&seen, Some(status), "req_1");
        for shape in [ErrorShape::Chat, ErrorShape::Anth, ErrorShape::Gem, ErrorShape::Ollama] {
            is_json(&error_body(shape, &error));
        }
    }
    for dialect in DIALECTS {
        judge_body(dialect, data);
    }
    if let Some(body) = chat_to_completion(data) {
        is_json(&body);
    }
}

/// A JSON schema in every form: cleaning it twice changes nothing.
pub fn schema(data: &[u8]) {
    let text = std::str::from_utf8(data).ok();
    let Some(schema) = text.and_then(|text| RawJson::parse(text).ok()) else { return };
    let subset = |any_of, reduced, placeholder| {
        SchemaForm::Gemini(GeminiSubset { any_of, reduced, placeholder })
    };
    for form in [
        SchemaForm::Plain,
        SchemaForm::WithProperties,
        SchemaForm::ObjectRoot,
        SchemaForm::GeminiJson,
        subset(false, false, false),
        subset(true, false, false),
        subset(false, true, true),
    ] {
        let once = clean(&schema, form);
        assert_eq!(clean(&once, form), once, "{form:?}");
    }
}

/// The envelopes' own ways around the translator.
pub fn envelopes(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for envelope in [Envelope::CloudCode, Envelope::Antigravity] {
        let target = Target { envelope, ..Target::new(Dialect::Gem, "gemini-3-pro") };
        if !needs_translation(data, &target)
            && let Ok(wrapped) = cloud_code::wrap(&body, &target)
        {
            is_json(&wrapped.parts.concat());
        }
    }
    cloud_code::unwrap_answer(&body);
    cloud_code::unwrap_request(&body);
    if let Ok(counted) = cloud_code::count(data, "m") {
        is_json(&counted);
    }
    codex::needs_media(data);
}
