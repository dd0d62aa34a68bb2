//! T180 for whole translations: whatever comes in, in the words of whichever dialect, is refused or becomes a
//! body that its reader takes. Nothing panics, and the order of events holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ninerouter_dialect::ir::EventOrder;
use ninerouter_dialect::profile::Profile;
use ninerouter_dialect::translate::family::family_caps;
use ninerouter_dialect::translate::{
    EventReader, Folding, NoSignatures, PrepareCx, ReplyPlan, RequestTranslator, Source,
    StreamTranslator, Target, translate_response, unfold_body,
};
use ninerouter_dialect::{Dialect, Framing};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];
const LARGEST: usize = 1 << 16;

/// Keys and words that the codecs look for, by dialect.
fn vocabulary(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Chat => &[
            "messages",
            "role",
            "user",
            "assistant",
            "tool",
            "system",
            "content",
            "type",
            "text",
            "image_url",
            "url",
            "file",
            "file_data",
            "input_audio",
            "data",
            "format",
            "tool_calls",
            "id",
            "function",
            "name",
            "arguments",
            "tool_call_id",
            "tools",
            "parameters",
            "tool_choice",
            "response_format",
            "json_schema",
            "schema",
            "reasoning_effort",
            "reasoning_content",
            "choices",
            "index",
            "delta",
            "message",
            "finish_reason",
            "stop",
            "usage",
            "prompt_tokens",
            "annotations",
            "audio",
            "refusal",
            "error",
            "n",
        ],
        Dialect::Resp => &[
            "input",
            "instructions",
            "type",
            "message",
            "role",
            "user",
            "developer",
            "assistant",
            "content",
            "input_text",
            "output_text",
            "text",
            "input_image",
            "image_url",
            "input_file",
            "file_data",
            "reasoning",
            "summary",
            "summary_text",
            "encrypted_content",
            "function_call",
            "call_id",
            "name",
            "arguments",
            "function_call_output",
            "output",
            "custom_tool_call",
            "custom_tool_call_output",
            "local_shell_call",
            "action",
            "tools",
            "function",
            "custom",
            "namespace",
            "web_search",
            "parameters",
            "tool_choice",
            "id",
            "status",
            "completed",
            "incomplete",
            "incomplete_details",
            "reason",
            "usage",
            "item",
            "item_reference",
            "response",
            "output_index",
            "delta",
            "error",
            "annotations",
            "part",
        ],
        Dialect::Anth => &[
            "messages",
            "role",
            "user",
            "assistant",
            "system",
            "content",
            "type",
            "text",
            "thinking",
            "signature",
            "redacted_thinking",
            "data",
            "tool_use",
            "id",
            "name",
            "input",
            "tool_result",
            "tool_use_id",
            "is_error",
            "image",
            "document",
            "source",
            "base64",
            "media_type",
            "url",
            "cache_control",
            "ephemeral",
            "tools",
            "input_schema",
            "tool_choice",
            "any",
            "max_tokens",
            "output_config",
            "effort",
            "format",
            "schema",
            "citations",
            "server_tool_use",
            "web_search_tool_result",
            "stop_reason",
            "usage",
            "message",
            "delta",
            "index",
            "content_block",
            "error",
            "model",
            "metadata",
        ],
        Dialect::Gem => &[
            "contents",
            "role",
            "user",
            "model",
            "parts",
            "text",
            "thought",
            "thoughtSignature",
            "functionCall",
            "functionResponse",
            "name",
            "args",
            "id",
            "response",
            "inlineData",
            "mimeType",
            "image/png",
            "audio/wav",
            "data",
            "fileData",
            "fileUri",
            "tools",
            "functionDeclarations",
            "parameters",
            "OBJECT",
            "type",
            "properties",
            "toolConfig",
            "functionCallingConfig",
            "mode",
            "ANY",
            "allowedFunctionNames",
            "generationConfig",
            "thinkingConfig",
            "thinkingBudget",
            "responseSchema",
            "systemInstruction",
            "candidates",
            "content",
            "finishReason",
            "STOP",
            "usageMetadata",
            "promptTokenCount",
            "groundingMetadata",
            "groundingChunks",
            "promptFeedback",
            "blockReason",
            "partialArgs",
            "jsonPath",
            "$.a[0]",
            "willContinue",
            "stringValue",
            "executableCode",
        ],
    }
}

/// JSON of a dialect's words, put together at random.
fn json(dialect: Dialect) -> impl Strategy<Value = String> {
    let words = vocabulary(dialect);
    let leaf = prop_oneof![
        select(&["null", "{}", "[]", "\"\"", "true", "-1.5e3", "12345678901234567890", "0"][..])
            .prop_map(str::to_owned),
        "[a-z\u{e9}\u{1f642} ]{0,6}".prop_map(|text| format!("\"{text}\"")),
        select(words).prop_map(|word| format!("\"{word}\"")),
        Just(r#""{\"a\":[1]}""#.to_owned()),
        Just("\"data:image/png;base64,iVBORw0KGgo=\"".to_owned()),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            2 => prop::collection::vec((select(words), inner), 0..7).prop_map(|all| {
                let members = all.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn dialect() -> impl Strategy<Value = Dialect> {
    select(&DIALECTS[..])
}

/// A body of a dialect: its list of turns, each with a role, and members at random.
fn request() -> impl Strategy<Value = (Dialect, String)> {
    dialect().prop_flat_map(|dialect| {
        let (roles, key) = match dialect {
            Dialect::Gem => (&["user", "model", "function"][..], "parts"),
            Dialect::Resp => (&["user", "assistant", "developer"][..], "content"),
            Dialect::Chat => (&["user", "assistant", "tool", "system"][..], "content"),
            Dialect::Anth => (&["user", "assistant", "system"][..], "content"),
        };
        let turn = (select(roles), json(dialect), json(dialect), any::<bool>()).prop_map(
            move |(role, content, other, item)| {
                // Responses have items that are no messages.
                if item && other.starts_with('{') {
                    return other;
                }
                format!(r#"{{"role":"{role}","{key}":{content}}}"#)
            },
        );
        let member = (select(vocabulary(dialect)), json(dialect));
        let turns = prop::collection::vec(turn, 0..6);
        (turns, prop::collection::vec(member, 0..6)).prop_map(move |(turns, members)| {
            let turns = format!("\"{}\":[{}]", dialect.turns_key(), turns.join(","));
            let members = members
                .into_iter()
                .filter(|(key, _)| *key != dialect.turns_key())
                .map(|(key, value)| format!("\"{key}\":{value}"));
            let all: Vec<String> = std::iter::once(turns).chain(members).collect();
            (dialect, format!("{{\"model\":\"m\",{}}}", all.join(",")))
        })
    })
}

/// Upstreams with different rules.
fn targets() -> Vec<Target> {
    let named = |dialect, model: &'static str| Target {
        caps: family_caps(model),
        ..Target::new(dialect, model)
    };
    let strict = Profile {
        reasoning_history: true,
        string_content_only: true,
        tool_content_string: true,
        id_len9: true,
        needs_tools_with_history: true,
        anth_strict_tool_tail: true,
        unsigned_thinking_ok: true,
        no_response_schema: true,
        ..Profile::default()
    };
    let mut targets: Vec<Target> =
        DIALECTS.into_iter().map(|dialect| Target::new(dialect, "m")).collect();
    targets.extend(
        DIALECTS.into_iter().map(|d| Target { profile: strict.clone(), ..Target::new(d, "m") }),
    );
    targets.extend([
        named(Dialect::Anth, "claude-sonnet-4-5"),
        named(Dialect::Anth, "claude-opus-4-7"),
        named(Dialect::Gem, "gemini-3-pro"),
        named(Dialect::Gem, "gemini-2.5-flash"),
        named(Dialect::Chat, "gpt-5.2"),
    ]);
    targets
}

fn plan(client: Dialect) -> ReplyPlan {
    let request = ninerouter_dialect::ir::Request::default();
    let mut plan = ReplyPlan::new(client, &request, 0);
    (plan.shows_thinking, plan.shows_encrypted, plan.include_usage) = (true, true, true);
    plan
}

/// Events that a stream is read as; their order is checked.
fn check(dialect: Dialect, stream: &[u8]) {
    let mut reader = EventReader::new(Source::new(dialect), LARGEST);
    let mut events = Vec::new();
    reader.push(stream, &mut events);
    reader.finish(&mut events);
    let mut order = EventOrder::default();
    events.iter().for_each(|event| order.check(event).unwrap());
    assert!(order.is_ended());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn t180_any_request_becomes_one_of_each_target((client, body) in request()) {
        let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
        let Ok(translator) = RequestTranslator::decode(client, body.as_bytes()) else { return Ok(()) };
        for target in targets() {
            let Ok(prepared) = translator.prepare(&target, &cx) else { continue };
            let sent = prepared.encode().unwrap().body;
            prop_assert!(serde_json::from_slice::<Value>(&sent).is_ok(), "{}", body);
            let again = RequestTranslator::decode(target.dialect, &sent);
            prop_assert!(again.is_ok(), "{:?} {} {:?}", target.dialect, body, again.err());
        }
    }

    #[test]
    fn t180_any_answer_becomes_one_for_each_client(
        (upstream, body) in dialect().prop_flat_map(|dialect| (Just(dialect), json(dialect))),
    ) {
        let wrapped = match upstream {
            Dialect::Chat => format!(r#"{{"choices":[{{"message":{body},"finish_reason":"stop"}}]}}"#),
            Dialect::Resp => format!(r#"{{"status":"completed","output":[{body}]}}"#),
            Dialect::Anth => format!(r#"{{"type":"message","content":[{body}],"stop_reason":"end_turn"}}"#),
            Dialect::Gem => format!(r#"{{"candidates":[{{"content":{{"parts":[{body}]}},"finishReason":"STOP"}}]}}"#),
        };
        let source = Source::new(upstream);
        for body in [body, wrapped] {
            for client in DIALECTS {
                let told = translate_response(body.as_bytes(), &source, &plan(client));
                if let Ok(told) = &told {
                    prop_assert!(serde_json::from_slice::<Value>(&told.body).is_ok(), "{}", body);
                }
                let streamed = unfold_body(body.as_bytes(), &source, &plan(client), Framing::Sse);
                prop_assert_eq!(streamed.is_ok(), told.is_ok());
                if let Ok(streamed) = streamed {
                    check(client, &streamed.body);
                }
            }
        }
    }

    #[test]
    fn t180_any_stream_becomes_one_for_each_client(
        (upstream, events) in dialect().prop_flat_map(|dialect| {
            (Just(dialect), prop::collection::vec(event(dialect), 0..14))
        }),
        piece in 1_usize..60,
    ) {
        let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        check(upstream, stream.as_bytes());
        for client in DIALECTS {
            let source = Source::new(upstream);
            let mut translator =
                StreamTranslator::new(source.clone(), plan(client), Framing::Sse, LARGEST);
            let mut out = Vec::new();
            let pushed =
                stream.as_bytes().chunks(piece).try_for_each(|chunk| translator.push(chunk, &mut out));
            translator.finish(&mut out);
            let whole = pushed.is_ok() && translator.failure().is_none();
            check(client, &out.concat());
            let mut folding = Folding::new(source, plan(client), LARGEST);
            let gathered = stream.as_bytes().chunks(piece).try_for_each(|chunk| folding.push(chunk));
            let gathered = gathered.and_then(|()| folding.finish());
            prop_assert_eq!(gathered.is_ok(), whole, "{:?} {:?}", client, gathered.err());
        }
    }
}

/// An event of a stream, often a sensible one.
fn event(dialect: Dialect) -> impl Strategy<Value = String> {
    let number = 0_u8..3;
    (number, json(dialect), json(dialect), 0_u8..12).prop_map(move |(index, one, two, kind)| {
        match dialect {
            Dialect::Chat => chat_event(index, &one, kind),
            Dialect::Resp => resp_event(index, &one, &two, kind),
            Dialect::Anth => anth_event(index, &one, kind),
            Dialect::Gem => gem_event(&one, &two, kind),
        }
    })
}

fn chat_event(index: u8, one: &str, kind: u8) -> String {
    let delta = match kind {
        0..=2 => r#"{"content":"a"}"#.to_owned(),
        3 => r#"{"reasoning_content":"b"}"#.to_owned(),
        4..=6 => format!(
            r#"{{"tool_calls":[{{"index":{index},"id":"c{index}","function":{{"name":"f","arguments":{one}}}}}]}}"#
        ),
        7 => format!(r#"{{"tool_calls":[{one}]}}"#),
        _ => one.to_owned(),
    };
    let finish = if kind == 11 { "\"stop\"" } else { "null" };
    format!(r#"{{"id":"i","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#)
}

fn resp_event(index: u8, one: &str, two: &str, kind: u8) -> String {
    let typed = |kind: &str, rest: &str| {
        format!(r#"{{"type":"response.{kind}","output_index":{index}{rest}}}"#)
    };
    match kind {
        0 => r#"{"type":"response.created","response":{"id":"resp_1","model":"m"}}"#.to_owned(),
        1 => typed("output_item.added", r#","item":{"type":"message","id":"m","content":[]}"#),
        2 => typed(
            "output_item.added",
            r#","item":{"type":"function_call","call_id":"c","name":"f","arguments":""}"#,
        ),
        3 => typed("output_text.delta", r#","content_index":0,"delta":"a""#),
        4 => typed("function_call_arguments.delta", r#","delta":"{}""#),
        5 => typed("reasoning_summary_text.delta", r#","summary_index":0,"delta":"b""#),
        6 => typed("output_item.done", &format!(r#","item":{one}"#)),
        7 => typed("output_item.added", &format!(r#","item":{one}"#)),
        8 => typed("output_text.done", &format!(r#","content_index":0,"text":{one}"#)),
        9 => format!(
            r#"{{"type":"response.completed","response":{{"id":"resp_1","status":"completed","output":[{one},{two}]}}}}"#
        ),
        10 => typed("content_part.done", &format!(r#","part":{one}"#)),
        _ => one.to_owned(),
    }
}

fn anth_event(index: u8, one: &str, kind: u8) -> String {
    match kind {
        0 | 1 => r#"{"type":"message_start","message":{"id":"m","model":"x"}}"#.to_owned(),
        2 | 3 => format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{one}}}"#
        ),
        4 => format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"tool_use","id":"t{index}","name":"f","input":{{}}}}}}"#
        ),
        5 | 6 => format!(
            r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"text_delta","text":"a"}}}}"#
        ),
        7 => format!(r#"{{"type":"content_block_delta","index":{index},"delta":{one}}}"#),
        8 => format!(r#"{{"type":"content_block_stop","index":{index}}}"#),
        9 => r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#.to_owned(),
        10 => r#"{"type":"message_stop"}"#.to_owned(),
        _ => one.to_owned(),
    }
}

fn gem_event(one: &str, two: &str, kind: u8) -> String {
    let parts = match kind {
        0..=2 => r#"{"text":"a"}"#.to_owned(),
        3 => r#"{"text":"b","thought":true}"#.to_owned(),
        4 => format!(r#"{{"functionCall":{{"name":"f","args":{one}}}}}"#),
        5 => r#"{"functionCall":{"name":"f","willContinue":true}}"#.to_owned(),
        6 => format!(
            r#"{{"functionCall":{{"partialArgs":[{{"jsonPath":"$.a[0].b","stringValue":{one},"willContinue":true}}],"willContinue":true}}}}"#
        ),
        7 => r#"{"functionCall":{}}"#.to_owned(),
        8 | 9 => one.to_owned(),
        _ => return two.to_owned(),
    };
    let finish = if kind == 9 { r#","finishReason":"STOP""# } else { "" };
    format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}},"index":0{finish}}}]}}"#)
}
