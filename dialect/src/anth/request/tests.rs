//! Requests both ways.

use serde_json::{Value, json};

use super::*;
use crate::Dialect;
use crate::effort::{Effort, Level, Levels};
use crate::ir::{
    Builtin, FunctionTool, OutputFormat, Part, RawJson, Request, Role, ServiceTier, Summary,
    SystemOrigin, SystemPart, Tool, ToolChoice, ToolMode, Turn,
};
use crate::translate::{
    BudgetCaps, LevelCaps, Target, ThinkingCaps, TranslateError, WarningKind, Warnings,
};

fn decoded(body: &Value) -> Request {
    decode_request(body.to_string().as_bytes(), &mut Warnings::default()).unwrap()
}

fn target() -> Target {
    Target::new(Dialect::Anth, "up")
}

fn encoded_for(request: &Request, target: &Target) -> Value {
    let encoded = encode_request(request, target, &mut Warnings::default()).unwrap();
    serde_json::from_slice(&encoded.body).unwrap()
}

fn encoded(request: &Request) -> Value {
    encoded_for(request, &target())
}

fn betas(request: &Request) -> Vec<&'static str> {
    encode_request(request, &target(), &mut Warnings::default()).unwrap().betas
}

fn tool(name: &'static str) -> Tool {
    Tool::Function(FunctionTool { name: name.into(), ..FunctionTool::default() })
}

#[test]
fn a_request_of_claude_code_comes_out_as_it_came_in() {
    let body = json!({
        "model": "up", "max_tokens": 32000, "stream": true,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2"},
            {"type": "text", "text": "You are", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "<system-reminder>…"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "", "signature": "S"},
                {"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {"p": "/a"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1",
                 "content": [{"type": "text", "text": "ok"}], "cache_control": {"type": "ephemeral"}},
            ]},
        ],
        "tools": [
            {"name": "Write", "description": "d", "input_schema": {"type": "object"}, "defer_loading": true},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high", "task_budget": {"total": 1}},
        "metadata": {"user_id": "{\"session_id\":\"s\"}"},
        "temperature": 1.0, "top_p": 0.5, "top_k": 3, "stop_sequences": ["X"],
        "service_tier": "standard_only", "cache_control": {"type": "ephemeral"}, "speed": "fast",
    });
    let request = decoded(&body);
    assert_eq!(request.reasoning.effort, Some(Effort::Level(Level::High)));
    assert_eq!(request.reasoning.summary, Summary::Hidden);
    let mut target = target();
    let levels = Levels::default();
    target.caps.thinking = ThinkingCaps::Adaptive(LevelCaps { levels, off: true, dynamic: true });
    assert_eq!(encoded_for(&request, &target), body);
    let encoded = encode_request(&request, &target, &mut Warnings::default()).unwrap();
    for token in [
        "effort-2025-11-24",
        "context-management-2025-06-27",
        "advanced-tool-use-2025-11-20",
        "fast-mode-2026-02-01",
        "extended-cache-ttl-2025-04-11",
    ] {
        assert!(encoded.betas.contains(&token), "{token}: {:?}", encoded.betas);
    }
    assert!(!encoded.betas.contains(&"interleaved-thinking-2025-05-14"));
}

#[test]
fn t018_instructions_and_notes_are_read_where_they_stand() {
    let request = decoded(&json!({
        "model": "m", "max_tokens": 1, "system": "S",
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "system", "content": [{"type": "text", "text": "N"}, {"type": "text", "text": "O"}],
             "output_config": {"effort": "low"}},
            {"role": "assistant", "content": null},
        ],
    }));
    assert_eq!(request.system.len(), 1);
    assert_eq!(request.system[0].origin, SystemOrigin::Top);
    let note = Part::SystemNote { text: "N\n\nO".into(), developer: false, cache: None };
    assert_eq!((request.turns[1].role, &request.turns[1].parts), (Role::User, &vec![note]));
    assert!(request.turns[1].ext.get(Dialect::Anth, "output_config").is_some());
    assert_eq!(request.turns[2], Turn::new(Role::Assistant, Vec::new()));
}

#[test]
fn t016_each_instruction_is_a_block() {
    let part = |text: &'static str, origin| SystemPart {
        text: text.into(),
        cache: None,
        origin,
        ext: crate::ir::Ext::default(),
    };
    let request = Request {
        system: vec![
            part("A", SystemOrigin::System),
            part(" ", SystemOrigin::System),
            part("B", SystemOrigin::Developer),
        ],
        turns: vec![Turn::new(Role::User, vec![Part::text("hi")])],
        ..Request::default()
    };
    let body = encoded(&request);
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "A"}, {"type": "text", "text": "B"}])
    );
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
    assert_eq!(body["max_tokens"], 8192);
    assert_eq!(body.get("stream"), None);
}

#[test]
fn what_makes_no_sense_is_an_error_and_what_is_merely_odd_a_warning() {
    for (body, param) in [
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": [1]}), "messages[0]"),
        (json!({"messages": [{"role": "user"}, {"role": "tool"}]}), "messages[1].role"),
        (json!({"messages": [{"content": "a"}]}), "messages[0].role"),
    ] {
        let error = decode_request(body.to_string().as_bytes(), &mut Warnings::default());
        let Err(TranslateError::Invalid { param: named, .. }) = error else { panic!("{body}") };
        assert_eq!(named, param);
    }
    for body in ["", "[]", "{", "\u{feff}1"] {
        let error = decode_request(body.as_bytes(), &mut Warnings::default());
        assert!(matches!(error, Err(TranslateError::Body(_))), "{body}");
    }
    let odd = json!({
        "temperature": "hot", "top_k": [], "stop_sequences": 5, "tools": {}, "system": 1,
        "tool_choice": "auto", "thinking": true, "output_config": 1, "max_tokens": -1,
        "messages": [{"role": "user", "content": 1}],
    });
    let mut warnings = Warnings::default();
    let request = decode_request(odd.to_string().as_bytes(), &mut warnings).unwrap();
    let fields: Vec<&str> = warnings.as_slice().iter().map(|warning| &*warning.field).collect();
    for field in [
        "temperature",
        "top_k",
        "stop_sequences",
        "tools",
        "system",
        "tool_choice",
        "thinking",
        "output_config",
        "messages[0].content",
    ] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    assert!(warnings.as_slice().iter().all(|w| w.kind == WarningKind::Dropped));
    assert_eq!(request.sampling, crate::ir::Sampling::default());
}

#[test]
fn reasoning_is_read_as_the_table_says() {
    for (thinking, config, want) in [
        (json!({"type": "enabled", "budget_tokens": 5000}), json!({}), Some(Effort::Budget(5000))),
        (json!({"type": "enabled"}), json!({}), Some(Effort::Auto)),
        (json!({"type": "adaptive"}), json!({}), Some(Effort::Auto)),
        (json!({"type": "adaptive"}), json!({"effort": "max"}), Some(Effort::Level(Level::Max))),
        (json!({"type": "disabled"}), json!({"effort": "max"}), Some(Effort::Off)),
        (Value::Null, json!({"effort": "max"}), None),
    ] {
        let body = json!({"thinking": thinking, "output_config": config, "messages": []});
        assert_eq!(decoded(&body).reasoning.effort, want, "{body}");
    }
}

#[test]
fn t091_t097_reasoning_is_written_as_the_model_takes_it() {
    let budget = BudgetCaps { min: 1024, max: 60000, off: true, dynamic: false };
    let levels = |words: &[&str]| LevelCaps {
        levels: Levels::try_from(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
            .unwrap(),
        off: true,
        dynamic: true,
    };
    let four = levels(&["low", "medium", "high", "max"]);
    let adaptive = ThinkingCaps::Adaptive(four.clone());
    let hybrid = ThinkingCaps::Hybrid(budget, four);
    let by_budget = ThinkingCaps::Budget(budget);
    let enabled = |tokens: u32| json!({"type": "enabled", "budget_tokens": tokens});
    let by_step = json!({"type": "adaptive"});
    let disabled = json!({"type": "disabled"});
    let level = |level| Effort::Level(level);
    for (caps, effort, thinking, step) in [
        (&by_budget, level(Level::High), enabled(24576), None),
        (&by_budget, Effort::Auto, enabled(10000), None),
        (&by_budget, Effort::Budget(5000), enabled(5000), None),
        (&by_budget, Effort::Budget(99999), enabled(32767), None),
        (&by_budget, Effort::Off, disabled.clone(), None),
        (&ThinkingCaps::Unknown, level(Level::Low), enabled(1024), None),
        (&ThinkingCaps::Unknown, level(Level::Minimal), Value::Null, None),
        (&adaptive, level(Level::High), by_step.clone(), Some("high")),
        (&adaptive, level(Level::Minimal), by_step.clone(), Some("low")),
        (&adaptive, level(Level::XHigh), by_step.clone(), Some("max")),
        (&adaptive, Effort::Budget(5000), by_step.clone(), Some("medium")),
        (&adaptive, Effort::Auto, by_step.clone(), None),
        (&adaptive, Effort::Off, Value::Null, None),
        (&hybrid, level(Level::Medium), by_step.clone(), Some("medium")),
        (&hybrid, Effort::Budget(5000), enabled(5000), None),
        (&hybrid, Effort::Off, disabled, None),
        (&ThinkingCaps::None, level(Level::High), Value::Null, None),
    ] {
        let mut request = Request { max_tokens: Some(32768), ..Request::default() };
        request.reasoning.effort = Some(effort);
        let mut target = target();
        target.caps.thinking = caps.clone();
        let body = encoded_for(&request, &target);
        assert_eq!(
            body.get("thinking").cloned().unwrap_or_default(),
            thinking,
            "{caps:?} {effort:?}"
        );
        let said = body.pointer("/output_config/effort").and_then(Value::as_str);
        assert_eq!(said, step, "{caps:?} {effort:?}");
    }
}

#[test]
fn t057_tools_without_arguments_have_a_schema_all_the_same() {
    let request = Request { tools: vec![tool("f")], ..Request::default() };
    assert_eq!(
        encoded(&request)["tools"],
        json!([{
            "name": "f", "description": "", "input_schema": {"type": "object", "properties": {}}
        }])
    );
}

#[test]
fn t058_t059_t060_choices_are_written_as_the_table_says() {
    let named = ToolChoice::Named("f".into());
    let allowed = ToolChoice::Allowed { mode: ToolMode::Any, names: vec!["f".into()] };
    for (choice, parallel, want) in [
        (None, None, Value::Null),
        (None, Some(true), Value::Null),
        (None, Some(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::Auto), None, json!({"type": "auto"})),
        (Some(ToolChoice::Validated), None, json!({"type": "auto"})),
        (
            Some(ToolChoice::Any),
            Some(false),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
        (Some(ToolChoice::None), Some(false), json!({"type": "none"})),
        (Some(named), None, json!({"type": "tool", "name": "f"})),
        (Some(allowed), None, json!({"type": "any"})),
        (Some(ToolChoice::NamedBuiltin(Builtin::Shell)), None, json!({"type": "auto"})),
    ] {
        let mut request = Request {
            tools: vec![tool("f")],
            tool_choice: choice,
            parallel_tool_calls: parallel,
            ..Request::default()
        };
        let got = encoded(&request).get("tool_choice").cloned().unwrap_or_default();
        assert_eq!(got, want);
        request.tools.clear();
        assert_eq!(encoded(&request).get("tool_choice"), None);
    }
    for (choice, want, parallel) in [
        (json!({"type": "tool", "name": "f"}), Some(ToolChoice::Named("f".into())), None),
        (json!({"type": "any"}), Some(ToolChoice::Any), None),
        (json!({"type": "none"}), Some(ToolChoice::None), None),
        (
            json!({"type": "auto", "disable_parallel_tool_use": true}),
            Some(ToolChoice::Auto),
            Some(false),
        ),
    ] {
        let request = decoded(&json!({"messages": [], "tool_choice": choice}));
        assert_eq!((request.tool_choice, request.parallel_tool_calls), (want, parallel));
    }
}

#[test]
fn t085_t088_t099_t101_the_rest_fits_what_the_api_takes() {
    let tier = |dialect, name: &'static str| Some(ServiceTier { dialect, name: name.into() });
    let mut request = Request {
        max_tokens: Some(50),
        stop: vec![" ".into(), "X".into()],
        user: Some("u".into()),
        service_tier: tier(Dialect::Chat, "default"),
        ..Request::default()
    };
    let body = encoded(&request);
    assert_eq!(body["max_tokens"], 50);
    assert_eq!(body["stop_sequences"], json!(["X"]));
    assert_eq!(body["metadata"], json!({"user_id": "u"}));
    assert_eq!(body["service_tier"], "standard_only");
    request.user = Some("é".repeat(300).into());
    request.max_tokens = Some(0);
    request.stop = vec![" ".into()];
    for (name, want) in
        [("priority", json!("auto")), ("flex", json!("auto")), ("scale", Value::Null)]
    {
        request.service_tier = tier(Dialect::Resp, name);
        assert_eq!(encoded(&request).get("service_tier").cloned().unwrap_or_default(), want);
    }
    let body = encoded(&request);
    assert_eq!(body["metadata"]["user_id"].as_str().unwrap().len(), 64);
    assert_eq!((body["max_tokens"].as_u64(), body.get("stop_sequences")), (Some(8192), None));
    let read =
        decoded(&json!({"messages": [], "metadata": {"user_id": "u"}, "stop_sequences": "X"}));
    assert_eq!((read.user.as_deref(), read.stop.len()), (Some("u"), 1));
}

#[test]
fn t098_a_schema_for_the_answer_has_two_spellings_and_one_place() {
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    for body in [
        json!({"messages": [], "output_config": {"format": format}}),
        json!({"messages": [], "output_format": format}),
    ] {
        let request = decoded(&body);
        assert!(matches!(request.output, OutputFormat::JsonSchema { .. }), "{body}");
        assert_eq!(encoded(&request)["output_config"], json!({"format": format}));
        assert_eq!(betas(&request), ["structured-outputs-2025-12-15"]);
    }
}

#[test]
fn features_bring_their_tokens() {
    let mut request = Request { tools: vec![tool("f")], ..Request::default() };
    request.reasoning.effort = Some(Effort::Budget(2048));
    assert_eq!(betas(&request), ["interleaved-thinking-2025-05-14"]);
    let request = decoded(&json!({
        "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ]}],
        "tools": [
            {"type": "code_execution_20250825", "name": "code_execution"},
            {"type": "web_fetch_20250910", "name": "web_fetch"},
            {"name": "f", "strict": true, "input_schema": {"type": "object"}},
        ],
        "mcp_servers": [],
    }));
    assert_eq!(
        betas(&request),
        [
            "structured-outputs-2025-12-15",
            "extended-cache-ttl-2025-04-11",
            "files-api-2025-04-14",
            "web-fetch-2025-09-10",
            "code-execution-2025-08-25",
            "mcp-client-2025-11-20",
        ]
    );
}

#[test]
fn parts_and_tools_of_other_dialects_are_left_out_with_a_warning() {
    let raw = RawJson::parse("{}").unwrap();
    let request = Request {
        turns: vec![Turn::new(
            Role::User,
            vec![Part::text("a"), Part::Opaque { dialect: Dialect::Resp, raw: raw.clone() }],
        )],
        tools: vec![Tool::Builtin(crate::ir::BuiltinTool {
            kind: Builtin::Maps,
            name: None,
            origin: Dialect::Gem,
            raw,
            config: crate::ir::BuiltinConfig::default(),
        })],
        ..Request::default()
    };
    let mut warnings = Warnings::default();
    let encoded = encode_request(&request, &target(), &mut warnings).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(body["messages"][0]["content"], json!([{"type": "text", "text": "a"}]));
    assert_eq!(body.get("tools"), None);
    let fields: Vec<&str> = warnings.as_slice().iter().map(|w| &*w.field).collect();
    assert_eq!(fields, ["tools", "messages[0]"]);
}
