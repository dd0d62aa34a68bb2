//! Requests: limits, sampling, reasoning effort, form of the answer (T085–T101).

use ninerouter_dialect::Dialect::{Anth, Chat, Gem, Resp};
use ninerouter_dialect::profile::Profile;
use ninerouter_dialect::translate::Target;
use serde_json::{Value, json};

use crate::pipeline::{asking, encoded, model, plain, refused, sent, text, turns};

const SONNET: &str = "claude-sonnet-4-5";
const ADAPTIVE: &str = "claude-opus-4-7";

#[test]
fn t085_messages_always_has_a_cap() {
    let none = asking(Chat, json!({}));
    assert_eq!(sent(Chat, &model(Anth, SONNET), &none)["max_tokens"], 32_000);
    assert_eq!(sent(Chat, &plain(Anth), &none)["max_tokens"], 8192);
    let some = asking(Chat, json!({"max_completion_tokens": 50, "max_tokens": 70}));
    assert_eq!(sent(Chat, &plain(Anth), &some)["max_tokens"], 50);
    let got = sent(Chat, &model(Anth, SONNET), &asking(Chat, json!({"max_tokens": 99_999})));
    assert_eq!(got["max_tokens"], 64_000, "no more than the model can");
    // Nobody else is given a cap that the client did not ask for.
    for target in [Chat, Resp, Gem] {
        let got = sent(Chat, &model(target, "gemini-2.5-pro"), &none).to_string();
        assert!(!got.to_lowercase().contains("max"), "{got}");
    }
}

#[test]
fn t086_t087_sampling_that_claude_takes() {
    let asked = |members: Value| asking(Chat, members);
    let got = sent(Chat, &plain(Anth), &asked(json!({"temperature": 1.7})));
    assert_eq!(got["temperature"], 1.0);
    let thinking = asked(json!({"temperature": 0.5, "top_p": 0.5, "reasoning_effort": "high"}));
    let got = sent(Chat, &model(Anth, SONNET), &thinking);
    assert!(got.get("temperature").is_none() && got.get("top_p").is_none(), "{got}");
    assert_eq!(got["thinking"]["type"], "enabled");
    let all = asked(json!({"temperature": 0.5, "top_p": 0.5, "top_k": 4}));
    let got = sent(Chat, &model(Anth, ADAPTIVE), &all);
    for field in ["temperature", "top_p", "top_k"] {
        assert!(got.get(field).is_none(), "{field}");
    }
}

#[test]
fn t088_t089_texts_that_end_the_answer() {
    let got = sent(Chat, &plain(Anth), &asking(Chat, json!({"stop": "X"})));
    assert_eq!(got["stop_sequences"], json!(["X"]));
    let got = sent(Chat, &plain(Anth), &asking(Chat, json!({"stop": [" "]})));
    assert!(got.get("stop_sequences").is_none());
    let six = asking(Anth, json!({"stop_sequences": ["a", "b", "c", "d", "e", "f"]}));
    assert_eq!(sent(Anth, &plain(Chat), &six)["stop"], json!(["a", "b", "c", "d"]));
    let config = &sent(Anth, &plain(Gem), &six)["generationConfig"];
    assert_eq!(config["stopSequences"], json!(["a", "b", "c", "d", "e"]));
    assert!(sent(Anth, &plain(Resp), &six).get("stop").is_none());
    assert!(sent(Anth, &model(Chat, "o3"), &six).get("stop").is_none());
}

#[test]
fn t090_several_answers() {
    let two = asking(Chat, json!({"n": 2}));
    for target in [Anth, Resp] {
        assert!(refused(Chat, &plain(target), &two).contains('n'));
    }
    assert_eq!(sent(Chat, &plain(Gem), &two)["generationConfig"]["candidateCount"], 2);
    let got =
        sent(Gem, &plain(Chat), &asking(Gem, json!({"generationConfig": {"candidateCount": 2}})));
    assert_eq!(got["n"], 2);
}

#[test]
fn t091_t092_effort_for_claude() {
    let asked = |members: Value| {
        let mut body = asking(Chat, json!({"reasoning_effort": "high"}));
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    let got = sent(Chat, &model(Anth, SONNET), &asked(json!({})));
    assert_eq!(got["thinking"], json!({"type": "enabled", "budget_tokens": 24_576}));
    assert_eq!(got["max_tokens"], 32_768);
    let got = sent(Chat, &model(Anth, ADAPTIVE), &asked(json!({})));
    assert_eq!(got["thinking"]["type"], "adaptive");
    assert_eq!(got["output_config"]["effort"], "high");
    assert!(got["thinking"].get("budget_tokens").is_none());
    let got = sent(Chat, &model(Anth, SONNET), &asked(json!({"max_tokens": 4000})));
    assert_eq!(got["thinking"]["budget_tokens"], 3999);
    let got = sent(Chat, &model(Anth, SONNET), &asked(json!({"max_tokens": 1000})));
    assert!(got.get("thinking").is_none());
}

#[test]
fn t093_t096_effort_from_claude_clients() {
    let asked = |budget: u32| {
        let thinking = json!({"type": "enabled", "budget_tokens": budget});
        asking(Anth, json!({"max_tokens": 64_000, "thinking": thinking}))
    };
    for (name, budget, effort) in [
        ("gpt-5.1", 5000, "medium"),
        ("gpt-5.1", 1024, "low"),
        ("gpt-5.2", 30_000, "xhigh"),
        ("gpt-5.1", 30_000, "high"),
    ] {
        let got = sent(Anth, &model(Chat, name), &asked(budget));
        assert_eq!(got["reasoning_effort"], effort, "{name} {budget}");
        let got = sent(Anth, &model(Resp, name), &asked(budget));
        assert_eq!(got["reasoning"]["effort"], effort, "{name} {budget}");
    }
    let off = asking(Anth, json!({"thinking": {"type": "disabled"}}));
    for (name, word) in [("gpt-5", "minimal"), ("gpt-5.1", "none")] {
        assert_eq!(sent(Anth, &model(Chat, name), &off)["reasoning_effort"], word);
        assert_eq!(sent(Anth, &model(Resp, name), &off)["reasoning"]["effort"], word);
    }
}

#[test]
fn t094_t095_effort_for_gemini() {
    let config = |name, effort: &str| {
        let body = asking(Chat, json!({"reasoning_effort": effort}));
        sent(Chat, &model(Gem, name), &body)["generationConfig"]["thinkingConfig"].take()
    };
    for (name, effort, budget) in [
        ("gemini-2.5-pro", "minimal", 512),
        ("gemini-2.5-flash-lite", "minimal", 512),
        ("gemini-2.5-pro", "none", 128),
        ("gemini-2.5-flash", "none", 0),
    ] {
        let got = config(name, effort);
        assert_eq!(got["thinkingBudget"], budget, "{name} {effort}");
        assert!(got.get("thinkingLevel").is_none());
    }
    let got = config("gemini-3-pro", "medium");
    assert_eq!(got["thinkingLevel"], "low");
    assert!(got.get("thinkingBudget").is_none());
    assert_eq!(config("gemini-3.1-pro", "medium")["thinkingLevel"], "medium");
}

#[test]
fn t097_the_model_decides() {
    let config = json!({"thinkingConfig": {"thinkingBudget": -1}});
    let body = asking(Gem, json!({"generationConfig": config}));
    let got = sent(Gem, &model(Anth, SONNET), &body);
    assert_eq!(got["thinking"], json!({"type": "enabled", "budget_tokens": 10_000}));
    let got = sent(Gem, &model(Anth, ADAPTIVE), &body);
    assert_eq!(got["thinking"]["type"], "adaptive");
    assert!(got["output_config"].get("effort").is_none());
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]})
}

fn structured() -> Value {
    asking(
        Chat,
        json!({"response_format": {"type": "json_schema",
            "json_schema": {"name": "out", "schema": schema(), "strict": true}}}),
    )
}

#[test]
fn t098_answers_after_a_schema() {
    let body = structured();
    let format = &sent(Chat, &plain(Resp), &body)["text"]["format"];
    let want = json!({"type": "json_schema", "name": "out", "schema": schema(), "strict": true});
    assert_eq!(*format, want);
    let config = &sent(Chat, &plain(Gem), &body)["generationConfig"];
    assert_eq!(config["responseMimeType"], "application/json");
    assert_eq!(config["responseSchema"]["properties"]["a"]["type"], "integer");

    let got = sent(Chat, &model(Anth, SONNET), &body);
    let format = &got["output_config"]["format"];
    assert_eq!(format["type"], "json_schema");
    assert_eq!(format["schema"]["additionalProperties"], false);
    assert!(format["schema"]["properties"]["a"].get("minimum").is_none());
    assert!(got.get("system").is_none() && got.get("tool_choice").is_none());
    let got = sent(Chat, &model(Anth, "claude-opus-4-1"), &body);
    assert!(got.get("output_config").is_none());
    let said = got["system"][0]["text"].as_str().unwrap();
    assert!(said.contains("\"minimum\":1"), "{said}");
    assert_eq!(got["messages"].as_array().unwrap().len(), 1, "no prefill");

    // Back from Anthropic's own clients, in both spellings.
    let format = json!({"type": "json_schema", "schema": schema()});
    for members in [json!({"output_config": {"format": format}}), json!({"output_format": format})]
    {
        let got = sent(Anth, &plain(Chat), &asking(Anth, members));
        let told = &got["response_format"]["json_schema"];
        assert_eq!((&told["schema"], &told["name"]), (&schema(), &json!("response")));
    }
    // Beside functions, older models of Google refuse it.
    let mut body = structured();
    body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    let got = sent(Chat, &model(Gem, "gemini-2.5-pro"), &body);
    assert!(got["generationConfig"].get("responseMimeType").is_none(), "{got}");
    assert!(got["systemInstruction"].to_string().contains("minimum"));
    let got = sent(Chat, &model(Gem, "gemini-3-pro"), &body);
    assert_eq!(got["generationConfig"]["responseMimeType"], "application/json");
    let profile = Profile { no_response_schema: true, ..Profile::default() };
    let got = sent(Resp, &Target { profile, ..plain(Chat) }, &{
        asking(
            Resp,
            json!({"text": {"format": {"type": "json_schema", "name": "out", "schema": schema()}}}),
        )
    });
    assert_eq!(got["response_format"], json!({"type": "json_object"}));
    assert!(got["messages"][0]["content"].as_str().unwrap().contains("minimum"));
}

#[test]
fn t098_answers_of_any_json() {
    let body = asking(Chat, json!({"response_format": {"type": "json_object"}}));
    let got = sent(Chat, &model(Anth, SONNET), &body);
    assert_eq!(got["system"], json!([text("Respond with a single JSON object only.")]));
    let config = &sent(Chat, &plain(Gem), &body)["generationConfig"];
    assert_eq!(*config, json!({"responseMimeType": "application/json"}));
}

#[test]
fn t099_end_users() {
    let got = sent(Chat, &plain(Anth), &asking(Chat, json!({"user": "u"})));
    assert_eq!(got["metadata"], json!({"user_id": "u"}));
    let long = "u".repeat(300);
    let got = sent(Chat, &plain(Anth), &asking(Chat, json!({"user": long})));
    let told = got["metadata"]["user_id"].as_str().unwrap();
    assert!(told.len() == 64 && told.bytes().all(|byte| byte.is_ascii_hexdigit()), "{told}");
    let body = asking(Anth, json!({"metadata": {"user_id": "u"}}));
    assert_eq!(sent(Anth, &plain(Chat), &body)["user"], "u");
    assert_eq!(sent(Anth, &plain(Resp), &body)["user"], "u");
    let got = sent(Chat, &plain(Anth), &asking(Chat, json!({})));
    assert!(got.get("metadata").is_none(), "none is made up");
}

#[test]
fn t100_caching_marks() {
    let five = json!({"type": "ephemeral"});
    let hour = json!({"type": "ephemeral", "ttl": "1h"});
    let marked =
        |text: &str, mark: &Value| json!({"type": "text", "text": text, "cache_control": mark});
    let tool = json!({"name": "f", "description": "d", "cache_control": hour,
        "input_schema": {"type": "object", "properties": {}}});
    let mut body = turns(
        Anth,
        json!([
            {"role": "user", "content": [marked("a", &five), text("b")]},
            {"role": "assistant", "content": [text("c")]},
            {"role": "user", "content": [marked("d", &five)]},
        ]),
    );
    body["system"] = json!([marked("s", &hour)]);
    body["tools"] = json!([tool]);
    let got = sent(Anth, &plain(Anth), &body);
    for key in ["system", "tools", "messages"] {
        assert_eq!(got[key], body[key], "{key}");
    }
    for target in [Chat, Resp, Gem] {
        let got = sent(Anth, &plain(target), &body).to_string();
        assert!(!got.contains("cache_control") && !got.contains("ephemeral"), "{got}");
    }
    // A fifth is refused: the first in the order tools, system, messages goes.
    body["messages"][0]["content"][1] = marked("b", &five);
    let got = sent(Anth, &plain(Anth), &body);
    assert!(got["tools"][0].get("cache_control").is_none());
    assert_eq!(got["messages"], body["messages"]);
    assert_eq!(got["system"], body["system"]);
}

#[test]
fn t101_classes_of_speed() {
    for (from, to, tier, want) in [
        (Chat, Anth, "default", Some("standard_only")),
        (Chat, Anth, "auto", Some("auto")),
        (Chat, Anth, "priority", Some("auto")),
        (Chat, Anth, "flex", Some("auto")),
        (Anth, Chat, "standard_only", Some("default")),
        (Anth, Resp, "auto", Some("auto")),
        (Chat, Resp, "flex", Some("flex")),
        (Chat, Gem, "flex", None),
    ] {
        let got = sent(from, &plain(to), &asking(from, json!({"service_tier": tier})));
        assert_eq!(got.get("service_tier").and_then(Value::as_str), want, "{from:?} {to:?} {tier}");
    }
}

#[test]
fn what_only_anthropic_knows_goes_to_anthropic_alone() {
    let mut body = turns(
        Anth,
        json!([
            {"role": "user", "content": [text("q")]},
            {"role": "user", "content": [text("r")], "output_config": {"effort": "medium"}},
            {"role": "assistant", "content": [text("a")]},
            {"role": "user", "content": [text("s")]},
        ]),
    );
    body["thinking"] = json!({"type": "adaptive", "display": "updates"});
    body["output_config"] = json!({"effort": "high", "x": 1});
    body["context_management"] = json!({"edits": []});
    let got = sent(Anth, &model(Anth, ADAPTIVE), &body);
    for key in ["thinking", "output_config", "context_management"] {
        assert_eq!(got[key], body[key], "{key}");
    }
    // Joined turns keep the wish for this one.
    assert_eq!(got["messages"][0]["output_config"], json!({"effort": "medium"}));
    for target in [Chat, Resp, Gem] {
        let got = sent(Anth, &plain(target), &body).to_string();
        for word in ["output_config", "context_management", "updates"] {
            assert!(!got.contains(word), "{got}");
        }
    }
}

#[test]
fn lessons_of_peers_on_parameters() {
    // R01: nothing of §2.1 is lost from Anthropic to a gateway that speaks the same.
    let body = asking(
        Anth,
        json!({"temperature": 0.5, "top_k": 7, "stop_sequences": ["x"],
        "metadata": {"user_id": "u"}, "service_tier": "auto"}),
    );
    let got = sent(Anth, &plain(Anth), &body);
    for key in ["temperature", "top_k", "stop_sequences", "metadata", "service_tier", "max_tokens"]
    {
        assert_eq!(got[key], body[key], "{key}");
    }
    // R34: either spelling of the cap is read; which one is written depends on the model.
    for field in ["max_tokens", "max_completion_tokens"] {
        let body = asking(Chat, json!({field: 77}));
        assert_eq!(sent(Chat, &plain(Resp), &body)["max_output_tokens"], 77);
        assert_eq!(sent(Chat, &plain(Chat), &body)["max_tokens"], 77);
        assert_eq!(sent(Chat, &model(Chat, "gpt-5"), &body)["max_completion_tokens"], 77);
    }
    // R24: an attempt leaves the client's request as it was.
    let (first, _) = encoded(Chat, &plain(Anth), &structured());
    let (second, _) = encoded(Chat, &plain(Anth), &structured());
    assert_eq!(first, second);
}
