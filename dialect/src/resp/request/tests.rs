use serde_json::{Value, json};

use super::*;
use crate::Dialect;
use crate::effort::{Effort, Level};
use crate::ir::{
    Builtin, Ext, Part, RawJson, Request, Role, SigFamily, Signature, SystemOrigin, Tool,
    ToolChoice, ToolInput, ToolKind, ToolMode, ToolResult, Turn,
};
use crate::translate::{Target, TranslateError, Warnings};

fn decoded(body: &Value) -> Request {
    decode_request(body.to_string().as_bytes(), &mut Warnings::default()).unwrap()
}

fn encoded(request: &Request) -> Value {
    let target = Target::new(Dialect::Resp, "m");
    let encoded = encode_request(request, &target, &mut Warnings::default()).unwrap();
    serde_json::from_slice(&encoded.body).unwrap()
}

fn with_input(input: Value) -> Request {
    decoded(&json!({"model": "m", "input": input}))
}

fn user(parts: Vec<Part>) -> Turn {
    Turn::new(Role::User, parts)
}

#[test]
fn t028_t029_text_and_untyped_messages_are_turns_of_the_user() {
    let request = decoded(&json!({"model": "m", "input": "hi", "instructions": "I"}));
    assert_eq!(request.system[0].text, "I");
    assert_eq!(request.system[0].origin, SystemOrigin::Top);
    assert_eq!(request.turns, [user(vec![Part::text("hi")])]);
    let request = with_input(json!([{"role": "user", "content": "q"}]));
    assert_eq!(request.turns, [user(vec![Part::text("q")])]);
}

#[test]
fn t030_what_the_model_says_in_a_row_is_one_turn() {
    let request = with_input(json!([
        {"role": "user", "content": "q"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}],
            "encrypted_content": "E"},
        {"type": "message", "role": "assistant",
            "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "function_call_output", "call_id": "c2", "output": "2"},
        {"role": "user", "content": "next"},
    ]));
    let roles: Vec<(Role, usize)> =
        request.turns.iter().map(|turn| (turn.role, turn.parts.len())).collect();
    assert_eq!(roles, [(Role::User, 1), (Role::Assistant, 4), (Role::User, 2), (Role::User, 1)]);
    let Part::ToolUse(call) = &request.turns[1].parts[3] else { panic!("{request:?}") };
    assert_eq!(call.input, ToolInput::Json(RawJson::parse("{}").unwrap()));
}

#[test]
fn instructions_between_turns_stay_where_they_are() {
    let request = with_input(json!([
        {"role": "developer", "content": "D"},
        {"role": "system", "content": [{"type": "input_text", "text": "S"}]},
        {"role": "user", "content": "q"},
        {"role": "developer", "content": "N"},
    ]));
    let system: Vec<(&str, SystemOrigin)> =
        request.system.iter().map(|part| (&*part.text, part.origin)).collect();
    assert_eq!(system, [("D", SystemOrigin::Developer), ("S", SystemOrigin::System)]);
    let note = Part::SystemNote { text: "N".into(), developer: true, cache: None };
    assert_eq!(request.turns[1], user(vec![note]));
    let body = encoded(&request);
    assert_eq!(body["instructions"], "D\n\nS");
    assert_eq!(body["input"][1]["role"], "developer");
}

#[test]
fn t179_items_survive_both_ways() {
    let input = json!([
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "q"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0K", "detail": "low"},
            {"type": "input_image", "image_url": "https://x/y.png"},
            {"type": "input_image", "file_id": "file-1"},
            {"type": "input_file", "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0x"},
            {"type": "input_file", "file_url": "https://x/y.pdf"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}],
            "encrypted_content": "E"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "F"},
        {"type": "message", "role": "assistant", "phase": "commentary",
            "content": [{"type": "output_text", "text": "a"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed",
            "action": {"type": "search", "query": "q"}},
        {"type": "function_call", "call_id": "c1", "name": "f", "namespace": "n",
            "arguments": "{\"id\":12345678901234567890}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply", "input": "x\ny"},
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "c3", "status": "completed",
            "action": {"type": "exec", "command": ["ls"]}},
        {"type": "compaction", "encrypted_content": "C"},
        {"type": "function_call_output", "call_id": "c1", "output": [
            {"type": "input_text", "text": "t"},
            {"type": "input_image", "image_url": "https://x/z.png"}]},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
        {"type": "local_shell_call_output", "id": "c3", "output": "{\"stdout\":\"\"}"},
    ]);
    let request = with_input(input.clone());
    let mut want = input;
    // The server numbers its own items anew; only the id of the call pairs them.
    want[7].as_object_mut().unwrap().remove("id");
    assert_eq!(encoded(&request)["input"], want);
    // Once more gives the same neutral form.
    assert_eq!(decoded(&encoded(&request)).turns, request.turns);
}

#[test]
fn members_survive_both_ways_and_unknown_ones_too() {
    let body = json!({
        "model": "m", "input": [{"type": "message", "role": "user",
            "content": [{"type": "input_text", "text": "q"}]}],
        "instructions": "I", "store": true, "max_output_tokens": 99, "temperature": 0.5,
        "top_p": 0.9, "top_logprobs": 3, "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"},
            "strict": true}, "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "detailed"},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "prompt_cache_key": "k", "user": "u", "safety_identifier": "s", "metadata": {"a": "b"},
        "service_tier": "flex", "previous_response_id": "resp_0", "truncation": "auto",
        "background": false, "conversation": {"id": "conv_1"}, "stream": true,
        "max_tool_calls": 4, "client_metadata": {"x": 1},
        "tools": [
            {"type": "function", "name": "f", "description": "d", "strict": true,
                "parameters": {"type": "object", "properties": {}}, "defer_loading": true},
            {"type": "custom", "name": "c", "format": {"type": "grammar"}},
            {"type": "namespace", "name": "n", "description": "d", "tools": [
                {"type": "function", "name": "g",
                    "parameters": {"type": "object", "properties": {}}}]},
            {"type": "web_search", "search_context_size": "low"}],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [
            {"type": "function", "name": "f"}, {"type": "custom", "name": "c"},
            {"type": "web_search"}]},
    });
    let request = decoded(&body);
    assert_eq!(request.reasoning.effort, Some(Effort::Level(Level::High)));
    assert!(request.reasoning.include_encrypted && request.logprobs == Some(true));
    assert_eq!(encoded(&request), body);
}

#[test]
fn choices_of_tools_are_read_in_all_their_forms() {
    for (choice, want) in [
        (json!("auto"), Some(ToolChoice::Auto)),
        (json!("none"), Some(ToolChoice::None)),
        (json!("required"), Some(ToolChoice::Any)),
        (json!({"type": "function", "name": "f"}), Some(ToolChoice::Named("f".into()))),
        (
            json!({"type": "function", "function": {"name": "f"}}),
            Some(ToolChoice::Named("f".into())),
        ),
        (json!({"type": "web_search_preview"}), Some(ToolChoice::NamedBuiltin(Builtin::WebSearch))),
        (
            json!({"type": "allowed_tools", "mode": "auto",
                "tools": [{"type": "function", "name": "f"}]}),
            Some(ToolChoice::Allowed { mode: ToolMode::Auto, names: vec!["f".into()] }),
        ),
        (json!("sometimes"), None),
        (json!(5), None),
    ] {
        let request = decoded(&json!({"model": "m", "input": "q", "tool_choice": choice}));
        assert_eq!(request.tool_choice, want, "{choice}");
    }
}

#[test]
fn t058_choices_of_tools_are_written_by_the_kind_of_tool() {
    let tools: Vec<Tool> = decoded(&json!({"model": "m", "input": "q", "tools": [
        {"type": "function", "name": "f"}, {"type": "custom", "name": "c"},
        {"type": "web_search_preview"}]}))
    .tools;
    for (choice, want) in [
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::Validated, json!("auto")),
        (ToolChoice::None, json!("none")),
        (ToolChoice::Any, json!("required")),
        (ToolChoice::Named("f".into()), json!({"type": "function", "name": "f"})),
        (ToolChoice::Named("c".into()), json!({"type": "custom", "name": "c"})),
        (ToolChoice::NamedBuiltin(Builtin::WebSearch), json!({"type": "web_search_preview"})),
        (ToolChoice::NamedBuiltin(Builtin::Maps), json!("auto")),
    ] {
        assert_eq!(encode_tool_choice(&choice, &tools), want);
    }
}

#[test]
fn t060_without_tools_there_is_nothing_to_choose() {
    let body = encoded(&decoded(&json!({"model": "m", "input": "q", "tools": [],
        "tool_choice": "auto", "parallel_tool_calls": true})));
    for key in ["tools", "tool_choice", "parallel_tool_calls"] {
        assert_eq!(body.get(key), None, "{key}");
    }
}

#[test]
fn schemas_always_have_properties() {
    let schema = |parameters: Value| {
        let tool = json!({"type": "function", "name": "f", "parameters": parameters});
        let request = decoded(&json!({"model": "m", "input": "q", "tools": [tool]}));
        encoded(&request)["tools"][0]["parameters"].clone()
    };
    let nothing = json!({"type": "object", "properties": {}});
    for parameters in [Value::Null, json!({}), json!({"type": "object"}), json!("x")] {
        assert_eq!(schema(parameters.clone()), nothing, "{parameters}");
    }
    let own = json!({"type": "object", "properties": {"a": {"const": 1}}, "$defs": {}});
    assert_eq!(schema(own.clone()), own);
}

#[test]
fn t052_long_ids_of_calls_fit_and_still_pair() {
    let long = |tail: &str| format!("{}{tail}", "x".repeat(89));
    let items = |tail: &str| {
        [
            json!({"type": "function_call", "call_id": long(tail), "name": "f", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": long(tail), "output": "1"}),
        ]
    };
    let input: Vec<Value> = items("a").into_iter().chain(items("b")).collect();
    let body = encoded(&with_input(input.into()));
    let id = |at: usize| body["input"][at]["call_id"].as_str().unwrap();
    assert!(id(0).len() <= 64);
    assert_eq!((id(0), id(2)), (id(1), id(3)));
    assert_ne!(id(0), id(2));
}

#[test]
fn failures_of_tools_say_so_in_words() {
    let result = |text: &str, is_error: bool| {
        let content = if text.is_empty() { Vec::new() } else { vec![Part::text(text)] };
        let result = ToolResult {
            id: "c".into(),
            name: None,
            content,
            is_error,
            kind: ToolKind::Function,
            cache: None,
            ext: Ext::default(),
        };
        let turns = vec![user(vec![Part::ToolResult(result)])];
        encoded(&Request { turns, ..Request::default() })["input"][0]["output"].clone()
    };
    assert_eq!(result("boom", true), "Error: boom");
    assert_eq!(result("error: boom", true), "error: boom");
    assert_eq!(result("fine", false), "fine");
    assert_eq!(result("", false), "");
}

#[test]
fn reasoning_without_a_seal_and_foreign_blocks_are_left_out() {
    let signature = Signature { family: SigFamily::OpenAi, value: "E".into() };
    let thinking = |signature| {
        Part::Thinking(crate::ir::Thinking {
            text: "t".into(),
            signature,
            ..crate::ir::Thinking::default()
        })
    };
    let foreign =
        Part::Opaque { dialect: Dialect::Anth, raw: RawJson::parse(r#"{"type":"x"}"#).unwrap() };
    let parts = vec![thinking(None), foreign, thinking(Some(signature)), Part::text("a")];
    let turns = vec![user(vec![Part::text("q")]), Turn::new(Role::Assistant, parts)];
    let body = encoded(&Request { turns, ..Request::default() });
    let types: Vec<&str> = body["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["message", "reasoning", "message"]);
}

#[test]
fn clients_of_other_dialects_get_reasoning_that_nobody_stores() {
    let mut request = with_input(json!("q"));
    request.reasoning.effort = Some(Effort::Budget(9000));
    adapt(&mut request, Dialect::Anth);
    let body = encoded(&request);
    assert_eq!(body["store"], false);
    assert_eq!(body["reasoning"], json!({"effort": "high", "summary": "auto"}));
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    request.reasoning.effort = Some(Effort::Off);
    assert_eq!(encoded(&request)["reasoning"]["effort"], "none");
    let mut own = with_input(json!("q"));
    adapt(&mut own, Dialect::Resp);
    assert_eq!(own, with_input(json!("q")));
}

#[test]
fn bodies_that_no_server_takes_are_refused() {
    for body in [
        r#"{"model":"m","input":5}"#,
        r#"{"model":"m","input":["q"]}"#,
        r#"{"model":"m","input":[{"role":"robot","content":"q"}]}"#,
        r#"{"model":"m","input":[{"type":"message","content":"q"}]}"#,
        "[]",
        "{",
        "",
    ] {
        let seen = decode_request(body.as_bytes(), &mut Warnings::default());
        assert!(seen.is_err(), "{body}: {seen:?}");
    }
    let seen = decode_request(br#"{"input":[{"role":1}]}"#, &mut Warnings::default());
    assert!(matches!(seen, Err(TranslateError::Invalid { .. })));
}

#[test]
fn odd_members_are_left_out_with_a_warning() {
    let mut warnings = Warnings::default();
    let body = br#"{"model":"m","input":"q","temperature":"hot","store":1,"tools":{},
        "reasoning":"high","max_output_tokens":16.0}"#;
    let request = decode_request(body, &mut warnings).unwrap();
    assert_eq!(request.max_tokens, Some(16));
    let fields: Vec<&str> = warnings.as_slice().iter().map(|warning| &*warning.field).collect();
    assert_eq!(fields, ["temperature", "store", "reasoning", "tools"]);
}
