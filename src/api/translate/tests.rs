//! All pairs of dialects, whole and streamed, and everything that people may paste by mistake.

use ninerouter_dialect::{Dialect, StreamTap, TapOptions};
use serde_json::json;

use super::*;
use crate::actors::snapshot::Snapshot;
use crate::actors::testing::opened;
use crate::clock::Clock;
use crate::provider::request::Moment;

const ALL: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];
const NOW: i64 = 1_790_000_000_000;

fn snapshot() -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let (store, fixed) = opened(folder.path(), &Clock::manual(NOW), Vec::new());
    Snapshot::load(&store, &fixed).unwrap().0
}

fn ask(from: Dialect, to: Dialect, model: Option<&str>, text: &str) -> Question {
    Question { from, to, model: model.map(str::to_owned), text: text.to_owned() }
}

fn asked(from: Dialect, to: Dialect, model: Option<&str>, body: &Value) -> Value {
    let moment = Moment { now: NOW, ..Moment::default() };
    request::translated(&ask(from, to, model, &body.to_string()), &snapshot(), &moment).object(to)
}

fn answered(from: Dialect, to: Dialect, text: &str) -> Value {
    response::translated(&ask(from, to, None, text), &snapshot(), NOW).object(to)
}

/// The same question in each dialect.
fn question(dialect: Dialect) -> Value {
    match dialect {
        Dialect::Chat => {
            json!({"model": "m", "messages": [{"role": "user", "content": "ask-marker"}]})
        }
        Dialect::Resp => json!({"model": "m", "input": "ask-marker"}),
        Dialect::Anth => {
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "ask-marker"}]})
        }
        Dialect::Gem => json!({"contents": [{"role": "user", "parts": [{"text": "ask-marker"}]}]}),
    }
}

/// The same answer in each dialect.
fn answer(dialect: Dialect) -> Value {
    match dialect {
        Dialect::Chat => {
            json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "up-1",
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "answer-marker"}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
        }
        Dialect::Resp => json!({"id": "r1", "object": "response", "created_at": 1, "model": "up-1",
            "status": "completed", "output": [{"type": "message", "id": "m1", "role": "assistant",
                "status": "completed", "content": [{"type": "output_text", "text": "answer-marker", "annotations": []}]}],
            "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}),
        Dialect::Anth => {
            json!({"id": "a1", "type": "message", "role": "assistant", "model": "up-1",
            "content": [{"type": "text", "text": "answer-marker"}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 2}})
        }
        Dialect::Gem => {
            json!({"responseId": "g1", "modelVersion": "up-1", "candidates": [{"index": 0,
                "content": {"role": "model", "parts": [{"text": "answer-marker"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}})
        }
    }
}

/// The same answer as a stream of each dialect: what another translation of the whole one makes.
fn stream(dialect: Dialect) -> String {
    let chat = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"up-1\",\
        \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"answer-marker\"},\"finish_reason\":null}]}\n\n\
        data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"up-1\",\
        \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\
        \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\ndata: [DONE]\n\n";
    match dialect {
        Dialect::Chat => chat.to_owned(),
        other => answered(Dialect::Chat, other, chat)["body"].as_str().unwrap().to_owned(),
    }
}

/// True when the dialect's own reader takes the stream as a whole one.
fn is_whole(dialect: Dialect, text: &str) -> bool {
    let mut tap = StreamTap::new(TapOptions {
        dialect,
        framing: ninerouter_dialect::Framing::Sse,
        hide_usage_chunk: false,
        eof_is_end: false,
        unwrap: false,
        max_event_bytes: 1 << 20,
    });
    let mut out = Vec::new();
    tap.push(bytes::Bytes::copy_from_slice(text.as_bytes()), &mut out).is_ok()
        && tap.finish(&mut out) == ninerouter_dialect::StreamEnd::Complete
}

#[test]
fn requests_of_every_pair_hold_what_was_asked() {
    for from in ALL {
        for to in ALL {
            let reply = asked(from, to, Some("m"), &question(from));
            let shown = format!("{from:?} {to:?} {reply}");
            assert_eq!(reply["dialect"], dialect::name(to), "{shown}");
            assert!(reply.get("error").is_none() && reply.get("url").is_none(), "{shown}");
            assert!(reply["body"].to_string().contains("ask-marker"), "{shown}");
            assert!(reply["body"].get(to.turns_key()).is_some(), "{shown}");
        }
    }
}

#[test]
fn answers_of_every_pair_hold_what_was_said() {
    for from in ALL {
        for to in ALL {
            let reply = answered(from, to, &answer(from).to_string());
            let shown = format!("{from:?} {to:?} {reply}");
            assert!(reply.get("error").is_none(), "{shown}");
            let body = reply["body"].to_string();
            assert!(body.contains("answer-marker") && body.contains("up-1"), "{shown}");
        }
    }
}

#[test]
fn streams_of_every_pair_are_whole_streams() {
    for from in ALL {
        let text = stream(from);
        for to in ALL {
            let reply = answered(from, to, &text);
            assert!(reply.get("error").is_none(), "{from:?} {to:?} {reply}");
            let body = reply["body"].as_str().unwrap();
            assert!(body.contains("answer-marker"), "{from:?} {to:?} {body}");
            assert!(is_whole(to, body), "{from:?} {to:?} {body}");
        }
    }
}

#[test]
fn a_model_of_the_catalog_shows_address_and_headers_without_any_secret() {
    let reply = asked(
        Dialect::Chat,
        Dialect::Anth,
        Some("anthropic/claude-sonnet-4-6"),
        &question(Dialect::Chat),
    );
    assert_eq!(reply["url"], "https://api.anthropic.com/v1/messages", "{reply}");
    assert_eq!(reply["headers"]["x-api-key"], "your-credential", "{reply}");
    assert_eq!(reply["body"]["model"], "claude-sonnet-4-6", "{reply}");
    let reply =
        asked(Dialect::Anth, Dialect::Anth, Some("cc/claude-opus-5"), &question(Dialect::Anth));
    assert_eq!(reply["headers"]["authorization"], "Bearer your-credential", "{reply}");
    assert!(reply["headers"]["anthropic-beta"].as_str().unwrap().contains("oauth-"), "{reply}");
    assert_eq!(
        reply["body"]["model"], "claude-opus-5",
        "the model is the one that is sent: {reply}"
    );
    let reply =
        asked(Dialect::Resp, Dialect::Gem, Some("gemini/gemini-2.5-pro"), &question(Dialect::Resp));
    let url = reply["url"].as_str().unwrap();
    assert!(url.contains("gemini-2.5-pro:generateContent"), "{url}");
    assert!(!url.contains("your-credential"), "{url}");
}

#[test]
fn headers_of_the_operators_own_are_named_and_not_shown() {
    let shaped = crate::provider::request::Shaped {
        url: "https://x.example/".to_owned(),
        headers: vec![
            ("authorization".to_owned(), "Bearer your-credential".to_owned()),
            ("x-tenant".to_owned(), "tenant-secret".to_owned()),
        ],
        edits: Vec::new(),
        body_model: None,
        hide_usage_chunk: false,
        eof_is_end: false,
    };
    let shown = request::shown(&shaped, &[("X-Tenant".to_owned(), "tenant-secret".to_owned())]);
    assert_eq!(shown[1], ("x-tenant".to_owned(), "***".to_owned()));
    assert_eq!(shown[0].1, "Bearer your-credential");
}

#[test]
fn models_without_an_address_say_why() {
    for (model, to, want) in [
        (None, Dialect::Anth, "no model is named"),
        (Some("nobody/knows-it"), Dialect::Anth, "nobody"),
        (Some("gemini/gemini-2.5-pro"), Dialect::Anth, "does not take"),
    ] {
        let reply = asked(Dialect::Gem, to, model, &question(Dialect::Gem));
        assert!(reply.get("url").is_none() && reply.get("error").is_none(), "{reply}");
        assert!(reply["notes"].to_string().contains(want), "{reply}");
        assert!(reply["body"].get("messages").is_some(), "{reply}");
    }
}

#[test]
fn what_is_lost_is_noted_and_what_cannot_be_said_is_an_error_with_its_field() {
    let mut body = question(Dialect::Chat);
    body["logit_bias"] = json!({"5": 1});
    body["seed"] = json!(7);
    let reply = asked(Dialect::Chat, Dialect::Anth, None, &body);
    let fields: Vec<_> =
        reply["notes"].as_array().unwrap().iter().map(|note| &note["field"]).collect();
    assert!(fields.contains(&&json!("seed")), "{reply}");
    body["n"] = json!(3);
    let reply = asked(Dialect::Chat, Dialect::Anth, None, &body);
    assert_eq!(reply["error"]["field"], "n", "{reply}");
    assert!(reply["body"].is_null() && reply["error"].get("line").is_none(), "{reply}");
}

#[test]
fn broken_json_is_placed() {
    let moment = Moment { now: NOW, ..Moment::default() };
    let broken =
        ask(Dialect::Chat, Dialect::Anth, None, "{\n  \"model\": \"m\",\n  messages: []\n}");
    let reply = request::translated(&broken, &snapshot(), &moment).object(Dialect::Anth);
    assert_eq!(
        (&reply["error"]["line"], &reply["error"]["column"]),
        (&json!(3), &json!(3)),
        "{reply}"
    );
    let reply = answered(Dialect::Chat, Dialect::Anth, "{\"id\": }");
    assert_eq!(reply["error"]["line"], 1, "{reply}");
    let text = stream(Dialect::Chat).replace("data: [DONE]", "data: {oops}");
    let reply = answered(Dialect::Chat, Dialect::Gem, &text);
    assert_eq!(
        (&reply["error"]["line"], &reply["error"]["column"]),
        (&json!(5), &json!(8)),
        "{reply}"
    );
    for text in ["", "hello", "event: x\n\n"] {
        let reply = answered(Dialect::Anth, Dialect::Chat, text);
        assert_eq!(reply["error"]["line"], 1, "{text} {reply}");
    }
}

#[test]
fn broken_answers_are_told_as_a_client_would_be_told() {
    let text = stream(Dialect::Chat);
    let cut =
        text.split("data: {\"id\":\"c1\"").nth(1).map(|one| format!("data: {{\"id\":\"c1\"{one}"));
    let reply = answered(Dialect::Chat, Dialect::Anth, &cut.unwrap());
    assert!(reply["error"]["message"].as_str().unwrap().contains("ended"), "{reply}");
    let body = reply["body"].as_str().unwrap();
    assert!(body.contains("answer-marker") && body.contains("event: error"), "{body}");
    let error =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let reply = answered(Dialect::Anth, Dialect::Chat, &error.to_string());
    assert!(reply.get("error").is_none(), "{reply}");
    assert_eq!(reply["body"]["error"]["message"], "Overloaded", "{reply}");
    let reply = answered(Dialect::Anth, Dialect::Chat, "{}");
    assert!(reply.get("error").is_some(), "{reply}");
}
