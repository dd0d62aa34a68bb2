use std::sync::LazyLock;

use bytes::Bytes;
use ninerouter_dialect::apply_edits;

use super::*;
use crate::provider::catalog::Catalog;

static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().unwrap());

/// The body that `provider/model(effort)` makes of `body`.
fn body(id: &str, model: &str, dialect: Dialect, effort: Effort, body: &'static str) -> String {
    let catalog = &*BUILTIN;
    let provider = catalog.by_id(id).unwrap();
    let max = serde_json::from_str::<serde_json::Value>(body).unwrap();
    let out = think_edits(
        effort,
        &ThinkCx {
            dialect,
            model,
            facts: catalog.model_facts(provider, model),
            style: provider.profile.reasoning_style,
            max_tokens: max.get("max_tokens").and_then(serde_json::Value::as_u64),
            tools: true,
        },
    );
    let parts = apply_edits(&Bytes::from_static(body.as_bytes()), &out.edits).unwrap().parts;
    String::from_utf8(parts.concat()).unwrap()
}

const OFF: Effort = Effort::Off;
const LOW: Effort = Effort::Level(Level::Low);
const MEDIUM: Effort = Effort::Level(Level::Medium);
const HIGH: Effort = Effort::Level(Level::High);
const XHIGH: Effort = Effort::Level(Level::XHigh);
const MAX: Effort = Effort::Level(Level::Max);
const MINIMAL: Effort = Effort::Level(Level::Minimal);
const ULTRA: Effort = Effort::Level(Level::Ultra);

#[test]
fn chat_upstreams_by_table() {
    let cases = [
        ("openai", "gpt-5", OFF, r#"{"reasoning_effort":"none"}"#),
        ("openai", "gpt-5", HIGH, r#"{"reasoning_effort":"high"}"#),
        ("openai", "gpt-5", Effort::Budget(2_000), r#"{"reasoning_effort":"medium"}"#),
        ("openai", "gpt-4o", HIGH, "{}"),
        ("xai", "grok-4.5", OFF, r#"{"reasoning_effort":"low"}"#),
        ("xai", "grok-4.3", OFF, r#"{"reasoning_effort":"none"}"#),
        ("xai", "grok-4.5", MAX, r#"{"reasoning_effort":"high"}"#),
        ("xai", "grok-4.6", ULTRA, r#"{"reasoning_effort":"xhigh"}"#),
        ("glm", "glm-5.1", OFF, r#"{"thinking":{"type":"disabled"}}"#),
        ("glm", "glm-5.1", HIGH, r#"{"thinking":{"type":"enabled"}}"#),
        ("glm", "glm-5.2", XHIGH, r#"{"thinking":{"type":"enabled"},"reasoning_effort":"high"}"#),
        ("glm", "glm-5.2", Effort::Auto, r#"{"thinking":{"type":"enabled"}}"#),
        (
            "deepseek",
            "deepseek-v4-pro",
            LOW,
            r#"{"thinking":{"type":"enabled"},"reasoning_effort":"high"}"#,
        ),
        (
            "deepseek",
            "deepseek-v4-pro",
            XHIGH,
            r#"{"thinking":{"type":"enabled"},"reasoning_effort":"max"}"#,
        ),
        (
            "moonshot",
            "kimi-k3",
            XHIGH,
            r#"{"thinking":{"type":"enabled"},"reasoning_effort":"high"}"#,
        ),
        ("moonshot", "kimi-k3", OFF, r#"{"thinking":{"type":"enabled"},"reasoning_effort":"low"}"#),
        ("moonshot", "kimi-k2.6", OFF, r#"{"thinking":{"type":"disabled"}}"#),
        ("moonshot", "kimi-k2.6", HIGH, r#"{"thinking":{"type":"enabled"}}"#),
        ("dashscope", "qwen3.7-max", OFF, r#"{"enable_thinking":false}"#),
        ("dashscope", "qwen3.7-max", LOW, r#"{"enable_thinking":true,"thinking_budget":1024}"#),
        ("dashscope", "qwen3.7-max", Effort::Auto, r#"{"enable_thinking":true}"#),
        (
            "groq",
            "qwen/qwen3-32b",
            Effort::Budget(5_000),
            r#"{"enable_thinking":true,"thinking_budget":5000}"#,
        ),
        ("minimax", "MiniMax-M3", HIGH, r#"{"thinking":{"type":"adaptive"}}"#),
        ("minimax", "MiniMax-M3", OFF, r#"{"thinking":{"type":"disabled"}}"#),
        ("openrouter", "x/o3", HIGH, r#"{"reasoning":{"effort":"high"}}"#),
        ("openrouter", "x/o3", OFF, r#"{"reasoning":{"enabled":false}}"#),
        ("openrouter", "x/o3", Effort::Budget(99), r#"{"reasoning":{"max_tokens":99}}"#),
        ("mistral", "unknown-model", HIGH, "{}"),
        ("huggingface", "who/knows", HIGH, r#"{"reasoning_effort":"high"}"#),
        ("huggingface", "who/step-3", XHIGH, r#"{"reasoning_effort":"high"}"#),
        ("huggingface", "who/step-3", OFF, "{}"),
    ];
    for (id, model, effort, want) in cases {
        assert_eq!(body(id, model, Dialect::Chat, effort, "{}"), want, "{id}/{model} {effort:?}");
    }
}

#[test]
fn the_suffix_outranks_the_body() {
    let body = body("openai", "gpt-5", Dialect::Chat, HIGH, r#"{"a":1,"reasoning_effort":"low"}"#);
    assert_eq!(body, r#"{"a":1,"reasoning_effort":"high"}"#);
    let auto =
        self::body("openai", "gpt-5", Dialect::Chat, Effort::Auto, r#"{"reasoning_effort":"low"}"#);
    assert_eq!(auto, "{}");
}

#[test]
fn responses_upstreams_keep_the_rest_of_the_object() {
    let got = body("openai", "gpt-5.5", Dialect::Resp, HIGH, r#"{"reasoning":{"summary":"auto"}}"#);
    assert_eq!(got, r#"{"reasoning":{"effort":"high","summary":"auto"}}"#);
    assert_eq!(
        body("openai", "gpt-5.5", Dialect::Resp, OFF, "{}"),
        r#"{"reasoning":{"effort":"none"}}"#
    );
}

#[test]
fn anthropic_upstreams_by_table() {
    let cases = [
        (
            "anthropic",
            "claude-sonnet-4-5-20250929",
            OFF,
            r#"{"max_tokens":32000}"#,
            r#"{"thinking":{"type":"disabled"},"max_tokens":32000}"#,
        ),
        (
            "anthropic",
            "claude-sonnet-4-5-20250929",
            MINIMAL,
            r#"{"max_tokens":32000}"#,
            r#"{"thinking":{"type":"enabled","budget_tokens":1024},"max_tokens":32000}"#,
        ),
        (
            "anthropic",
            "claude-sonnet-4-5-20250929",
            XHIGH,
            r#"{"max_tokens":32000}"#,
            r#"{"thinking":{"type":"enabled","budget_tokens":31999},"max_tokens":32000}"#,
        ),
        (
            "anthropic",
            "claude-sonnet-4-5-20250929",
            HIGH,
            r#"{"max_tokens":1024,"thinking":{}}"#,
            r#"{"max_tokens":1024}"#,
        ),
        (
            "anthropic",
            "claude-sonnet-4-5-20250929",
            Effort::Auto,
            r#"{"max_tokens":32000}"#,
            r#"{"thinking":{"type":"enabled","budget_tokens":10000},"max_tokens":32000}"#,
        ),
        (
            "anthropic",
            "claude-sonnet-4-5-20250929",
            LOW,
            r#"{"max_tokens":9000,"temperature":0.2,"top_k":5}"#,
            r#"{"thinking":{"type":"enabled","budget_tokens":1024},"max_tokens":9000}"#,
        ),
        ("anthropic", "claude-opus-4-6", OFF, "{}", r#"{"thinking":{"type":"disabled"}}"#),
        ("anthropic", "claude-opus-4-8", OFF, r#"{"thinking":{"type":"adaptive"}}"#, "{}"),
        (
            "anthropic",
            "claude-opus-4-8",
            XHIGH,
            "{}",
            r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"xhigh"}}"#,
        ),
        (
            "anthropic",
            "claude-opus-4-6",
            XHIGH,
            "{}",
            r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"max"}}"#,
        ),
        (
            "anthropic",
            "claude-opus-4-6",
            MINIMAL,
            r#"{"output_config":{"format":{}}}"#,
            r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"low","format":{}}}"#,
        ),
        ("anthropic", "claude-opus-4-6", Effort::Auto, "{}", r#"{"thinking":{"type":"adaptive"}}"#),
        (
            "claude",
            "claude-fable-5-1",
            OFF,
            "{}",
            r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"low"}}"#,
        ),
        ("minimax", "MiniMax-M3", MEDIUM, "{}", r#"{"thinking":{"type":"adaptive"}}"#),
        (
            "glm",
            "glm-5.2",
            MEDIUM,
            r#"{"max_tokens":32000,"temperature":0.2}"#,
            r#"{"thinking":{"type":"enabled","budget_tokens":8192},"max_tokens":32000,"temperature":0.2}"#,
        ),
        ("glm", "glm-5.2", OFF, "{}", r#"{"thinking":{"type":"disabled"}}"#),
    ];
    for (id, model, effort, from, want) in cases {
        assert_eq!(body(id, model, Dialect::Anth, effort, from), want, "{id}/{model} {effort:?}");
    }
}

#[test]
fn gemini_upstreams_by_table() {
    let budget =
        |n: i64| format!(r#"{{"generationConfig":{{"thinkingConfig":{{"thinkingBudget":{n}}}}}}}"#);
    let level = |l: &str| {
        format!(r#"{{"generationConfig":{{"thinkingConfig":{{"thinkingLevel":"{l}"}}}}}}"#)
    };
    let cases = [
        ("gemini-2.5-flash", OFF, budget(0)),
        ("gemini-2.5-pro", OFF, budget(128)),
        ("gemini-2.5-flash", MAX, budget(24_576)),
        ("gemini-2.5-pro", MAX, budget(32_768)),
        ("gemini-2.5-flash-lite", Effort::Budget(100), budget(512)),
        ("gemini-2.5-flash-lite", OFF, budget(0)),
        ("gemini-2.5-flash", Effort::Auto, budget(-1)),
        ("gemini-3.1-pro-preview", OFF, level("low")),
        ("gemini-3.7-flash", OFF, level("minimal")),
        ("gemini-3.1-pro-preview", MAX, level("high")),
        ("gemini-3-pro-preview", MEDIUM, level("low")),
        ("gemini-3.8-flash", MAX, level("high")),
        ("gemma-4-31b-it", HIGH, "{}".to_owned()),
    ];
    for (model, effort, want) in cases {
        assert_eq!(body("gemini", model, Dialect::Gem, effort, "{}"), want, "{model} {effort:?}");
    }
}
