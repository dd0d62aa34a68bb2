//! Requests and answers on their way through the translator, as the vectors write them down.

use ninerouter_dialect::translate::family::family_caps;
use ninerouter_dialect::translate::{
    Encoded, NoSignatures, PrepareCx, RequestTranslator, Signatures, StreamTranslator, Target,
    TranslateError, translate_response,
};
use ninerouter_dialect::{Dialect, Framing, StreamEnd};
use serde_json::{Value, json};

pub(crate) use ninerouter_dialect::translate::{ReplyPlan, Source};

pub(crate) const DIALECTS: [Dialect; 4] =
    [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];

const LARGEST_EVENT: usize = 1 << 20;

/// An upstream of which nothing is known.
pub(crate) fn plain(dialect: Dialect) -> Target {
    Target::new(dialect, "m")
}

/// An upstream with a model whose name tells its abilities.
pub(crate) fn model(dialect: Dialect, model: &'static str) -> Target {
    Target { caps: family_caps(model), ..Target::new(dialect, model) }
}

/// What a client's request becomes, or why it is refused.
pub(crate) fn try_send(
    client: Dialect,
    target: &Target,
    signatures: &dyn Signatures,
    body: &Value,
) -> Result<Encoded, TranslateError> {
    let cx = PrepareCx { signatures, now: 1_700_000_000, estimated_input: 0 };
    RequestTranslator::decode(client, body.to_string().as_bytes())?.prepare(target, &cx)?.encode()
}

/// The request upstream, and the plan for its answer.
pub(crate) fn encoded(client: Dialect, target: &Target, body: &Value) -> (Value, ReplyPlan) {
    let sent = try_send(client, target, &NoSignatures, body).unwrap();
    (serde_json::from_slice(&sent.body).unwrap(), sent.plan)
}

/// The request upstream.
pub(crate) fn sent(client: Dialect, target: &Target, body: &Value) -> Value {
    encoded(client, target, body).0
}

/// The message with which a request is refused.
pub(crate) fn refused(client: Dialect, target: &Target, body: &Value) -> String {
    let error = try_send(client, target, &NoSignatures, body).unwrap_err();
    let told = error.to_api_error("req_1");
    assert_eq!(ninerouter_dialect::error_status(ninerouter_dialect::ErrorShape::Chat, &told), 400);
    told.message
}

/// A request with these turns and nothing else.
pub(crate) fn turns(dialect: Dialect, turns: Value) -> Value {
    match dialect {
        Dialect::Anth => json!({ "model": "asked", "max_tokens": 64, "messages": turns }),
        _ => json!({ "model": "asked", dialect.turns_key(): turns }),
    }
}

/// A request of one user message, with members added.
pub(crate) fn asking(dialect: Dialect, members: Value) -> Value {
    let mut body = match dialect {
        Dialect::Chat | Dialect::Resp | Dialect::Anth => {
            turns(dialect, json!([{"role": "user", "content": "q"}]))
        }
        Dialect::Gem => turns(dialect, json!([{"role": "user", "parts": [{"text": "q"}]}])),
    };
    let Value::Object(members) = members else { panic!("members must be an object") };
    body.as_object_mut().unwrap().extend(members);
    body
}

/// A client that asked for everything that its dialect can show.
pub(crate) fn plan(client: Dialect) -> ReplyPlan {
    let body = match client {
        Dialect::Chat => asking(client, json!({"stream_options": {"include_usage": true}})),
        Dialect::Resp => asking(
            client,
            json!({"reasoning": {"effort": "low", "summary": "auto"},
                "include": ["reasoning.encrypted_content"]}),
        ),
        Dialect::Anth => asking(
            client,
            json!({"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ),
        Dialect::Gem => asking(
            client,
            json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}}),
        ),
    };
    encoded(client, &plain(Dialect::Chat), &body).1
}

/// A client that asked for nothing special.
pub(crate) fn modest(client: Dialect) -> ReplyPlan {
    encoded(client, &plain(Dialect::Chat), &asking(client, json!({}))).1
}

/// A whole answer in the client's dialect.
pub(crate) fn answered(upstream: Dialect, plan: &ReplyPlan, body: &Value) -> Value {
    let told = translate_response(body.to_string().as_bytes(), &Source::new(upstream), plan);
    serde_json::from_slice(&told.unwrap().body).unwrap()
}

/// A server-sent event of the upstream.
pub(crate) fn sse(dialect: Dialect, data: &Value) -> String {
    match dialect {
        Dialect::Chat => format!("data: {data}\n\n"),
        Dialect::Gem => format!("data: {data}\r\n\r\n"),
        Dialect::Resp | Dialect::Anth => {
            let name = data["type"].as_str().unwrap_or_default();
            format!("event: {name}\ndata: {data}\n\n")
        }
    }
}

/// A whole stream of the upstream, with its end mark where the dialect has one.
pub(crate) fn stream_of(dialect: Dialect, events: &[Value]) -> String {
    let mut stream: String = events.iter().map(|data| sse(dialect, data)).collect();
    if dialect == Dialect::Chat {
        stream.push_str("data: [DONE]\n\n");
    }
    stream
}

/// How a stream went: what the client got, and how the upstream's side ended.
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) end: StreamEnd,
    pub(crate) translator: StreamTranslator,
}

fn drive(source: &Source, plan: &ReplyPlan, framing: Framing, chunks: &[&[u8]]) -> Told {
    let mut translator =
        StreamTranslator::new(source.clone(), plan.clone(), framing, LARGEST_EVENT);
    let mut out = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| translator.push(chunk, &mut out));
    let end = match pushed {
        Ok(()) => translator.finish(&mut out),
        Err(_) => StreamEnd::Failed,
    };
    Told { text: String::from_utf8(out.concat()).unwrap(), end, translator }
}

/// Translates a stream. However its bytes are cut, the client gets the same (T129).
pub(crate) fn told(source: &Source, plan: &ReplyPlan, framing: Framing, stream: &str) -> Told {
    let bytes = stream.as_bytes();
    let whole = drive(source, plan, framing, &[bytes]);
    for size in [1, 2, 3, 7, 64] {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let cut = drive(source, plan, framing, &pieces);
        assert_eq!((&cut.text, cut.end), (&whole.text, whole.end), "pieces of {size}");
    }
    whole
}

/// The data of the events that a client gets from a stream that ends well.
pub(crate) fn streamed(upstream: Dialect, plan: &ReplyPlan, events: &[Value]) -> Vec<Value> {
    let stream = stream_of(upstream, events);
    let told = told(&Source::new(upstream), plan, Framing::Sse, &stream);
    assert_eq!(told.end, StreamEnd::Complete, "{}", told.text);
    data(&told.text)
}

/// The data of events; what is no JSON is a string.
pub(crate) fn data(stream: &str) -> Vec<Value> {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    lines
        .map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned())))
        .collect()
}

/// The `type` of each event.
pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap_or("?")).collect()
}

/// A text block of Anthropic.
pub(crate) fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// A call in a chat message.
pub(crate) fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
}

/// What a chat client puts together.
pub(crate) fn chat_text(events: &[Value]) -> String {
    events.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

/// The blocks that a client of Messages builds from its events.
pub(crate) fn blocks(events: &[Value]) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    let mut open = false;
    for event in events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(!open, "one block at a time");
                open = true;
                assert_eq!(event["index"], blocks.len());
                let mut block = event["content_block"].clone();
                if block["type"] == "tool_use" {
                    assert_eq!(block["input"], json!({}));
                    block["input"] = "".into();
                }
                blocks.push(block);
            }
            "content_block_delta" => {
                assert!(open && event["index"] == blocks.len() - 1);
                let (block, delta) = (blocks.last_mut().unwrap(), &event["delta"]);
                let (member, piece) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &delta["text"]),
                    "thinking_delta" => ("thinking", &delta["thinking"]),
                    "signature_delta" => ("signature", &delta["signature"]),
                    "input_json_delta" => ("input", &delta["partial_json"]),
                    other => panic!("{other}"),
                };
                let piece = piece.as_str().unwrap();
                block[member] = format!("{}{piece}", block[member].as_str().unwrap()).into();
            }
            "content_block_stop" => {
                assert!(open);
                open = false;
            }
            _ => {}
        }
    }
    assert!(!open);
    blocks
}
