//! What translation costs: 1 MB histories, whole answers and streams from each dialect to each other one.
//!
//! `cargo bench -p ninerouter-dialect --bench codec [requests|answers|streams|same]`. Prints the mean time of
//! each on one core, and beside it how many times that of reading the same bytes into `serde_json::Value`
//! and writing them again it is. Nothing is judged.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench fails by panicking, looks at the clock, and prints what it found"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ninerouter_dialect::translate::{
    NoSignatures, PrepareCx, ReplyPlan, RequestTranslator, Source, StreamTranslator, Target,
    translate_response,
};
use ninerouter_dialect::{
    BodyEdit, Dialect, Framing, StreamTap, TapOptions, apply_edits, peek, splice_model,
};
use serde_json::{Value, json};

const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];
const MB: usize = 1 << 20;
/// Time spent on each case.
const EACH: Duration = Duration::from_millis(400);
/// The size of the pieces in which a stream arrives.
const CHUNK: usize = 4096;
const CX: PrepareCx<'_> = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let parts: [(&str, fn()); 4] = [
        ("requests", requests),
        ("answers", answers),
        ("streams", streams),
        ("same", same_dialect),
    ];
    for (name, part) in parts {
        if only.as_deref().is_none_or(|only| only == name) {
            part();
            println!();
        }
    }
}

/// Mean time of one round, milliseconds. What else the machine does is not counted.
fn millis(mut round: impl FnMut()) -> f64 {
    // The first one fills caches.
    round();
    let begun = Instant::now();
    let (start, mut rounds) = (on_cpu(begun), 0_u32);
    while begun.elapsed() < EACH {
        round();
        rounds += 1;
    }
    on_cpu(begun).saturating_sub(start).as_secs_f64() * 1e3 / f64::from(rounds)
}

/// How long this thread has been on a processor, where the system tells (Linux); else the time since `begun`.
fn on_cpu(begun: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat");
    let nanos = told.ok().and_then(|told| told.split(' ').next()?.parse::<u64>().ok());
    nanos.map_or_else(|| begun.elapsed(), Duration::from_nanos)
}

/// The work that every translation through a tree does at least.
fn tree(body: &[u8]) {
    let value: Value = serde_json::from_slice(black_box(body)).unwrap();
    black_box(serde_json::to_vec(&value).unwrap());
}

fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    DIALECTS
        .into_iter()
        .flat_map(|from| DIALECTS.into_iter().map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
}

fn megabytes(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap()) / f64::from(u32::try_from(MB).unwrap())
}

fn requests() {
    println!("{:<28} {:>8} {:>8} {:>8}", "history of an agent", "MB", "ms", "× tree");
    for (from, to) in pairs() {
        let body = request(from);
        let target = Target::new(to, "model");
        let spent = millis(|| {
            let translator = RequestTranslator::decode(from, black_box(&body)).unwrap();
            let prepared = translator.prepare(&target, &CX).unwrap();
            black_box(prepared.encode().unwrap());
        });
        row(from, to, body.len(), spent, millis(|| tree(&body)));
    }
}

fn answers() {
    println!("{:<28} {:>8} {:>8} {:>8}", "whole answer", "MB", "ms", "× tree");
    for (from, to) in pairs() {
        let (body, source, plan) = (answer(from), Source::new(from), plan(to));
        let spent = millis(|| {
            black_box(translate_response(black_box(&body), &source, &plan).unwrap());
        });
        row(from, to, body.len(), spent, millis(|| tree(&body)));
    }
}

fn row(from: Dialect, to: Dialect, bytes: usize, spent: f64, by_tree: f64) {
    let pair = format!("{} to {}", from.as_str(), to.as_str());
    println!("{pair:<28} {:>8.2} {spent:>8.2} {:>8.2}", megabytes(bytes), spent / by_tree);
}

fn streams() {
    println!("{:<28} {:>8} {:>8} {:>8} {:>10}", "stream", "MB", "ms", "× tree", "µs/event");
    for (from, to) in pairs() {
        let (stream, source, plan) = (stream(from), Source::new(from), plan(to));
        let spent = millis(|| {
            let mut translator =
                StreamTranslator::new(source.clone(), plan.clone(), Framing::Sse, MB);
            let mut out = Vec::new();
            for chunk in stream.chunks(CHUNK) {
                translator.push(black_box(chunk), &mut out).unwrap();
                out.clear();
            }
            translator.finish(&mut out);
        });
        let data = events(&stream);
        let by_tree = millis(|| data.iter().for_each(|event| tree(event)));
        let pair = format!("{} to {}", from.as_str(), to.as_str());
        println!(
            "{pair:<28} {:>8.2} {spent:>8.2} {:>8.2} {:>10.2}",
            megabytes(stream.len()),
            spent / by_tree,
            spent * 1e3 / f64::from(u32::try_from(data.len()).unwrap()),
        );
    }
}

/// What the router does with traffic whose two sides speak one dialect.
fn same_dialect() {
    println!("{:<28} {:>8} {:>8} {:>8}", "same dialect", "MB", "ms", "× tree");
    for dialect in [Dialect::Chat, Dialect::Resp, Dialect::Anth] {
        let body = Bytes::from(request(dialect));
        let edits = [BodyEdit::Remove { key: "temperature".into() }];
        let spent = millis(|| {
            let seen = peek(dialect, black_box(&body)).unwrap();
            black_box(splice_model(&body, seen.require_model().unwrap(), "other"));
        });
        let by_tree = millis(|| tree(&body));
        let name = |what: &str| format!("{} {what}", dialect.as_str());
        let size = megabytes(body.len());
        println!("{:<28} {size:>8.2} {spent:>8.2} {:>8.2}", name("model spliced"), spent / by_tree);
        let spent = millis(|| {
            black_box(apply_edits(black_box(&body), &edits).unwrap());
        });
        println!("{:<28} {size:>8.2} {spent:>8.2} {:>8.2}", name("member edited"), spent / by_tree);
    }
    for dialect in DIALECTS {
        let stream = Bytes::from(stream(dialect));
        let spent = millis(|| {
            let mut tap = StreamTap::new(TapOptions {
                dialect,
                framing: Framing::Sse,
                hide_usage_chunk: false,
                eof_is_end: false,
                max_event_bytes: MB,
                unwrap: false,
            });
            let mut out = Vec::new();
            let mut rest = stream.clone();
            while !rest.is_empty() {
                tap.push(rest.split_to(CHUNK.min(rest.len())), &mut out).unwrap();
                out.clear();
            }
            tap.finish(&mut out);
        });
        let data = events(&stream);
        let by_tree = millis(|| data.iter().for_each(|event| tree(event)));
        let name = format!("{} stream tapped", dialect.as_str());
        let size = megabytes(stream.len());
        println!("{name:<28} {size:>8.2} {spent:>8.2} {:>8.2}", spent / by_tree);
    }
}

/// The turns of a coding agent: calls of tools with small arguments, results of a few KB, some words. It
/// declares sixty tools.
fn request(dialect: Dialect) -> Vec<u8> {
    let tools: Vec<Value> = (0..60).map(tool).collect();
    let source = "fn main() {\n    println!(\"Grüße, {}\", \"world\");\n}\n\tlet x = a[0];\n";
    let mut messages = vec![
        json!({"role": "system", "content": "You are a careful engineer. ".repeat(400)}),
        json!({"role": "user", "content": "Find out why the build fails, and mend it."}),
    ];
    for turn in 0.. {
        let (id, result) = (format!("call_{turn:08}"), source.repeat(40 + turn % 17));
        let arguments = json!({"path": format!("src/module_{turn}.rs"), "line": turn, "all": true});
        messages.push(json!({"role": "assistant", "content": "Let me look at that file first.",
            "tool_calls": [{"id": id, "type": "function",
                "function": {"name": format!("tool_{}", turn % 60), "arguments": arguments.to_string()}}]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": result}));
        if turn * 3_600 > MB {
            break;
        }
    }
    let chat = json!({"model": "model", "max_tokens": 4096, "temperature": 0.5, "stream": true,
        "messages": messages, "tools": tools});
    let chat = serde_json::to_vec(&chat).unwrap();
    if dialect == Dialect::Chat {
        return chat;
    }
    let translator = RequestTranslator::decode(Dialect::Chat, &chat).unwrap();
    translator.prepare(&Target::new(dialect, "model"), &CX).unwrap().encode().unwrap().body
}

fn tool(number: usize) -> Value {
    json!({"type": "function", "function": {
        "name": format!("tool_{number}"),
        "description": "Reads, lists or changes files of the project. ".repeat(12),
        "parameters": {"type": "object", "additionalProperties": false, "required": ["path"],
            "properties": {
                "path": {"type": "string", "description": "Where to look, from the project's root."},
                "line": {"type": "integer", "minimum": 1},
                "all": {"type": ["boolean", "null"]},
                "mode": {"anyOf": [{"const": "read"}, {"const": "write"}]},
            }},
    }})
}

/// A whole answer of about 1 MB: long text, and calls.
fn answer(dialect: Dialect) -> Vec<u8> {
    let text = "All is well that ends well — \"quoted\", and\n broken.\t".repeat(MB / 2 / 52);
    let content = "fn main() {\n    run();\n}\n".repeat(400);
    let calls: Vec<Value> = (0..50)
        .map(|at| {
            let arguments = json!({"path": "src/main.rs", "content": content, "at": at});
            json!({"id": format!("call_{at}"), "type": "function",
                "function": {"name": "write", "arguments": arguments.to_string()}})
        })
        .collect();
    let chat = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "model",
        "choices": [{"index": 0, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": text, "tool_calls": calls}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    let chat = serde_json::to_vec(&chat).unwrap();
    if dialect == Dialect::Chat {
        return chat;
    }
    translate_response(&chat, &Source::new(Dialect::Chat), &plan(dialect)).unwrap().body
}

/// A stream of a few thousand small pieces of text and arguments.
fn stream(dialect: Dialect) -> Vec<u8> {
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
            "model": "model", "system_fingerprint": "fp_1",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let mut chat = chunk(json!({"role": "assistant", "content": ""}), Value::Null);
    for _ in 0..4_000 {
        chat.push_str(&chunk(json!({"content": " word é\n"}), Value::Null));
    }
    let call = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
    let first = json!({"index": 0, "id": "call_1", "type": "function",
        "function": {"name": "write", "arguments": "{\"content\":\""}});
    chat.push_str(&call(first));
    for _ in 0..1_000 {
        chat.push_str(&call(json!({"index": 0, "function": {"arguments": "let x = 1;\\n"}})));
    }
    chat.push_str(&call(json!({"index": 0, "function": {"arguments": "\"}"}})));
    chat.push_str(&chunk(json!({}), json!("tool_calls")));
    chat.push_str("data: [DONE]\n\n");
    if dialect == Dialect::Chat {
        return chat.into_bytes();
    }
    let source = Source::new(Dialect::Chat);
    let mut translator = StreamTranslator::new(source, plan(dialect), Framing::Sse, MB);
    let mut out = Vec::new();
    translator.push(chat.as_bytes(), &mut out).unwrap();
    translator.finish(&mut out);
    out.concat()
}

/// The JSON of the events of a stream.
fn events(stream: &[u8]) -> Vec<&[u8]> {
    stream
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"data: "))
        .map(<[u8]>::trim_ascii_end)
        .filter(|data| data.starts_with(b"{"))
        .collect()
}

fn plan(client: Dialect) -> ReplyPlan {
    let body = json!({"model": "model", client.turns_key(): []}).to_string();
    let mut translator = RequestTranslator::decode(client, body.as_bytes()).unwrap();
    ReplyPlan::new(client, translator.request_mut(), 0)
}
