//! What the data plane does to every body it passes on, beside the cheapest other way to do it.
//!
//! `cargo bench --bench wire [NAME]`: looking into a request (`peek`) and changing its model (`splice`), beside
//! reading it into a tree and writing that; cutting a stream into events (`framing`), beside counting its line ends;
//! reading an event's usage and end (`tap`), beside reading each event into a tree.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ninerouter_dialect::{Dialect, Framing, StreamTap, TapOptions, peek, splice_model};
use serde_json::{Value, json};

/// Sizes of a prompt: a question, a file, a long session of an agent.
const PROMPTS: [(&str, usize); 3] = [("1 KB", 1_000), ("64 KB", 64_000), ("1 MB", 1_000_000)];
/// Events of a stream.
const EVENTS: usize = 256;
/// Bytes that arrive together.
const PIECE: usize = 4096;

fn requests(c: &mut Criterion) {
    for (size, bytes) in PROMPTS {
        let body = Bytes::from(request(bytes));
        let found = peek(Dialect::Chat, &body).unwrap();
        let model = found.model.as_ref().unwrap();
        let mut group = c.benchmark_group("request");
        group.throughput(Throughput::Bytes(body.len().try_into().unwrap()));
        group.bench_function(BenchmarkId::new("peek", size), |b| {
            b.iter(|| peek(Dialect::Chat, black_box(&body)).unwrap());
        });
        group.bench_function(BenchmarkId::new("splice", size), |b| {
            b.iter(|| splice_model(black_box(&body), model, "another-model"));
        });
        group.bench_function(BenchmarkId::new("yardstick: tree", size), |b| {
            b.iter(|| {
                let mut tree: Value = serde_json::from_slice(black_box(&body)).unwrap();
                *tree.get_mut("model").unwrap() = "another-model".into();
                serde_json::to_vec(&tree).unwrap()
            });
        });
        group.finish();
    }
}

fn streams(c: &mut Criterion) {
    // Comments say nothing to the tap: what is left is the search for the ends of lines and events.
    let comments = pieces(&": ping\n\n".repeat(EVENTS * 24));
    let events = events();
    let stream = pieces(&events.concat());
    let mut group = c.benchmark_group("stream");
    for (name, yardstick, stream) in
        [("framing", "line ends", &comments), ("tap", "tree of each event", &stream)]
    {
        let bytes: usize = stream.iter().map(Bytes::len).sum();
        group.throughput(Throughput::Bytes(bytes.try_into().unwrap()));
        group.bench_function(name, |b| b.iter(|| tap(black_box(stream))));
        group.bench_function(format!("yardstick: {yardstick}"), |b| {
            if name == "framing" {
                b.iter(|| line_ends(black_box(stream)));
            } else {
                b.iter(|| trees(black_box(&events)));
            }
        });
    }
    group.finish();
}

fn tap(stream: &[Bytes]) -> u64 {
    let mut tap = StreamTap::new(TapOptions {
        dialect: Dialect::Chat,
        framing: Framing::Sse,
        hide_usage_chunk: false,
        eof_is_end: false,
        unwrap: false,
        max_event_bytes: 1 << 24,
    });
    let mut out = Vec::new();
    for piece in stream {
        tap.push(piece.clone(), &mut out).unwrap();
        out.clear();
    }
    tap.content_count()
}

fn line_ends(stream: &[Bytes]) -> usize {
    stream.iter().map(|piece| memchr::memchr_iter(b'\n', piece).count()).sum()
}

fn trees(events: &[String]) -> usize {
    let json = events.iter().filter_map(|event| event.strip_prefix("data: "));
    json.filter_map(|json| serde_json::from_str::<Value>(json).ok()).count()
}

/// A chat request of about so many bytes: turns of a kilobyte each.
fn request(bytes: usize) -> Vec<u8> {
    let turns = bytes.div_ceil(1_000);
    let text = "The quick brown fox\njumps over the \"lazy\" dog. ".repeat(19);
    let turns: Vec<Value> = (0..turns)
        .map(|turn| json!({"role": if turn % 2 == 0 { "user" } else { "assistant" }, "content": text}))
        .collect();
    serde_json::to_vec(&json!({"model": "gpt-5.5", "stream": true, "messages": turns})).unwrap()
}

fn events() -> Vec<String> {
    let event = |delta: Value, finish: Value, usage: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let mut all: Vec<String> = (0..EVENTS)
        .map(|_| event(json!({"content": " and so on"}), Value::Null, Value::Null))
        .collect();
    let usage =
        json!({"prompt_tokens": 9, "completion_tokens": EVENTS, "total_tokens": EVENTS + 9});
    all.push(event(json!({}), json!("stop"), usage));
    all.push("data: [DONE]\n\n".to_owned());
    all
}

fn pieces(text: &str) -> Vec<Bytes> {
    text.as_bytes().chunks(PIECE).map(Bytes::copy_from_slice).collect()
}

criterion_group! {
    name = wire;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = requests, streams
}
criterion_main!(wire);
