use serde_json::{Value, json};

use super::*;
use crate::effort::{Effort, Level, Levels};
use crate::ir::{
    MediaSource, OutputFormat, Part, Role, Summary, Tool, ToolChoice, ToolInput, ToolKind,
    ToolMode, ToolResult, Turn,
};
use crate::translate::{BudgetCaps, Envelope, LevelCaps, Target, ThinkingCaps};

fn decoded(body: &Value) -> Request {
    decode_request(body.to_string().as_bytes(), &mut Warnings::default()).unwrap()
}

fn encoded_for(request: &Request, target: &Target) -> Value {
    let body = encode_request(request, target, &mut Warnings::default()).unwrap().body;
    serde_json::from_slice(&body).unwrap()
}

fn encoded(request: &Request) -> Value {
    encoded_for(request, &Target::new(Dialect::Gem, "m"))
}

fn asks(parts: Vec<Part>) -> Request {
    Request { turns: vec![Turn::new(Role::User, parts)], ..Request::default() }
}

fn result(text: &str, is_error: bool) -> Part {
    Part::ToolResult(ToolResult {
        id: "c".into(),
        name: Some("f".into()),
        content: vec![Part::text(text)],
        is_error,
        kind: ToolKind::Function,
        cache: None,
        ext: Ext::default(),
    })
}

#[test]
fn t031_system_text_is_read_in_each_form() {
    for system in [
        json!({"systemInstruction": "S"}),
        json!({"system_instruction": {"parts": [{"text": "S"}]}}),
        json!({"systemInstruction": {"role": "user", "parts": [{"text": "S"}]}}),
        json!({"systemInstruction": {"parts": {"text": "S"}}}),
        json!({"systemInstruction": [{"text": "S"}]}),
    ] {
        let request = decoded(&system);
        assert_eq!(request.system.len(), 1, "{system}");
        assert_eq!(request.system[0].text, "S", "{system}");
    }
}

#[test]
fn t019_system_text_goes_out_without_a_role() {
    let mut request = asks(vec![Part::text("hi")]);
    for text in ["A", "", "B"] {
        request.system.push(SystemPart {
            text: text.into(),
            cache: None,
            origin: SystemOrigin::System,
            ext: Ext::default(),
        });
    }
    let want = json!({
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "A"}, {"text": "B"}]},
    });
    assert_eq!(encoded(&request), want);
}

#[test]
fn t032_roles_are_read_leniently_and_wrong_ones_refused() {
    for (role, want) in [
        (json!({}), Role::User),
        (json!({"role": "user"}), Role::User),
        (json!({"role": "function"}), Role::User),
        (json!({"role": "model"}), Role::Assistant),
    ] {
        let mut content = role.clone();
        content["parts"] = json!([{"text": "a"}]);
        assert_eq!(decoded(&json!({"contents": [content]})).turns[0].role, want, "{role}");
    }
    for body in [
        json!({"contents": "hi"}),
        json!({"contents": [1]}),
        json!({"contents": [{"role": "system", "parts": []}]}),
        json!({"contents": [{"role": 5, "parts": []}]}),
        json!([1]),
    ] {
        let read = decode_request(body.to_string().as_bytes(), &mut Warnings::default());
        assert!(read.is_err(), "{body}");
    }
}

#[test]
fn t033_notes_between_turns_stay_in_place() {
    let note = Part::SystemNote { text: "N".into(), developer: false, cache: None };
    let request = asks(vec![result("r", false), note]);
    let want = json!({"text": "<system-reminder>\nN\n</system-reminder>"});
    assert_eq!(encoded(&request)["contents"][0]["parts"][1], want);
}

#[test]
fn t044_t047_results_become_objects_and_come_back() {
    for (text, is_error, want) in [
        ("boom", true, json!({"error": "boom"})),
        (r#"{"a":1}"#, true, json!({"error": r#"{"a":1}"#})),
        (r#"{"a":1}"#, false, json!({"a": 1})),
        ("5", false, json!({"result": "5"})),
        ("[1]", false, json!({"result": "[1]"})),
        ("", false, json!({"result": ""})),
        ("{bad", false, json!({"result": "{bad"})),
    ] {
        let request = asks(vec![result(text, is_error)]);
        let body = encoded(&request);
        let response = &body["contents"][0]["parts"][0]["functionResponse"]["response"];
        assert_eq!(response, &want, "{text}");
        let Part::ToolResult(back) = &decoded(&body).turns[0].parts[0] else { panic!("{body}") };
        assert_eq!(back.is_error, is_error, "{text}");
        assert!(back.ext.is_empty(), "{text}");
    }
}

#[test]
fn results_of_gemini_clients_go_back_as_they_were() {
    for response in [
        json!({"output": "x"}),
        json!({"result": {"a": 1}}),
        json!({"result": 5, "more": [1.5]}),
        json!({"error": {"code": 5}}),
    ] {
        let part = json!({"functionResponse": {"id": "c", "name": "f", "response": response}});
        let body = json!({"contents": [{"role": "user", "parts": [part]}]});
        assert_eq!(encoded(&decoded(&body)), body);
    }
}

#[test]
fn t048_t049_calls_and_results_without_ids_find_each_other() {
    let call = |name: &str| json!({"functionCall": {"name": name, "args": {}}});
    let answer =
        |name: &str| json!({"functionResponse": {"name": name, "response": {"result": "r"}}});
    let pairs = |names: [&str; 2], answers: [&str; 2]| {
        let body = json!({"contents": [
            {"role": "model", "parts": names.map(call)},
            {"role": "user", "parts": answers.map(answer)},
        ]});
        let request = decoded(&body);
        assert_eq!(request, decoded(&body));
        let ids: Vec<_> = request.turns.into_iter().flat_map(|turn| turn.parts).collect();
        let seen = |part: &Part| match part {
            Part::ToolUse(call) => (call.id.to_string(), call.name.to_string()),
            Part::ToolResult(r) => (r.id.to_string(), r.name.clone().unwrap().to_string()),
            part => panic!("{part:?}"),
        };
        ids.iter().map(seen).collect::<Vec<_>>()
    };
    let same = pairs(["f", "f"], ["f", "f"]);
    assert_ne!(same[0].0, same[1].0);
    assert_eq!((&same[0], &same[1]), (&same[2], &same[3]));
    let crossed = pairs(["f", "g"], ["g", "f"]);
    assert_eq!((&crossed[0], &crossed[1]), (&crossed[3], &crossed[2]));
    let nameless = pairs(["f", "g"], ["", ""]);
    assert_eq!((&nameless[0], &nameless[1]), (&nameless[2], &nameless[3]));
}

#[test]
fn signatures_stay_on_their_parts() {
    let body = json!({"contents": [{"role": "model", "parts": [
        {"text": "plan", "thought": true},
        {"text": "a", "thoughtSignature": "S1"},
        {"functionCall": {"id": "c", "name": "f", "args": {"id": 12345678901234567890_u64}}, "thoughtSignature": "S2"},
        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "S3"},
    ]}]});
    assert_eq!(encoded(&decoded(&body)), body);
    // One on an empty text belongs to the part before it.
    let body = json!({"contents": [{"role": "model", "parts": [
        {"text": "a"}, {"text": "", "thoughtSignature": "S"},
    ]}]});
    let want = json!([{"text": "a", "thoughtSignature": "S"}]);
    assert_eq!(encoded(&decoded(&body))["contents"][0]["parts"], want);
}

#[test]
fn media_are_told_apart_by_their_type() {
    let body = json!({"contents": [{"parts": [
        {"inline_data": {"mime_type": "image/jpg", "data": "_-8\n"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "a.pdf"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1}},
        {"fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://example.com/a.png", "mimeType": "image/png"}},
    ]}]});
    let parts = &decoded(&body).turns[0].parts;
    let base64 = |mime: &'static str, data: &'static str| MediaSource::Base64 {
        mime: mime.into(),
        data: data.into(),
    };
    assert!(
        matches!(&parts[0], Part::Image { source, .. } if *source == base64("image/jpeg", "/+8="))
    );
    assert!(matches!(&parts[1], Part::Document { name: Some(name), .. } if name == "a.pdf"));
    assert!(matches!(&parts[2], Part::Audio { format, .. } if format == "wav"));
    assert!(matches!(
        &parts[3],
        Part::Video { source: MediaSource::FileUri { .. }, metadata: Some(_) }
    ));
    assert!(matches!(&parts[4], Part::Image { source: MediaSource::FileUri { .. }, .. }));
    assert!(matches!(&parts[5], Part::Image { source: MediaSource::Url(_), .. }));
}

#[test]
fn t089_t090_generation_settings_survive_a_round_trip() {
    let config = json!({
        "temperature": 0.5, "topP": 0.25, "topK": 64, "maxOutputTokens": 100,
        "stopSequences": ["a", "b"], "candidateCount": 2, "seed": -7, "presencePenalty": 0.5,
        "frequencyPenalty": -0.5, "responseLogprobs": true, "logprobs": 3,
        "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"},
        "responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "16:9", "imageSize": "1K"},
        "speechConfig": {"voiceConfig": {"x": 1}}, "mediaResolution": "LOW",
        "thinkingConfig": {"thinkingBudget": 1000, "includeThoughts": true},
    });
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "a"}]}],
        "generationConfig": config, "safetySettings": [{"category": "X"}], "cachedContent": "c/1",
        "serviceTier": "flex", "unknownField": {"a": 1},
        "toolConfig": {"includeServerSideToolInvocations": true},
    });
    assert_eq!(encoded(&decoded(&body)), body);
    let snake = decoded(&json!({"generation_config": {
        "max_output_tokens": 5, "top_k": "7", "temperature": "warm",
        "thinking_config": {"thinking_level": "HIGH", "include_thoughts": false},
    }}));
    assert_eq!((snake.max_tokens, snake.sampling.top_k), (Some(5), Some(7)));
    assert_eq!(snake.sampling.temperature, None);
    assert_eq!(snake.reasoning.effort, Some(Effort::Level(Level::High)));
    assert_eq!(snake.reasoning.summary, Summary::None);
}

#[test]
fn formats_that_only_gemini_knows_are_kept_for_it() {
    let config = json!({"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]}});
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "a"}]}], "generationConfig": config});
    let request = decoded(&body);
    assert_eq!(request.output, OutputFormat::Text);
    assert_eq!(encoded(&request), body);
}

#[test]
fn t094_t095_effort_is_a_number_or_a_name_never_both() {
    let levels = Levels::try_from(vec!["low".to_owned(), "high".to_owned()]).unwrap();
    let named = ThinkingCaps::Levels(LevelCaps { levels, off: false, dynamic: true });
    let numbered =
        ThinkingCaps::Budget(BudgetCaps { min: 128, max: 32_768, off: false, dynamic: true });
    let high = Effort::Level(Level::High);
    for (caps, model, effort, want) in [
        (&named, "m", high, json!({"thinkingLevel": "high", "includeThoughts": true})),
        (
            &named,
            "m",
            Effort::Budget(9000),
            json!({"thinkingLevel": "high", "includeThoughts": true}),
        ),
        (&named, "m", Effort::Off, json!({"thinkingLevel": "low"})),
        (&named, "m", Effort::Auto, json!({"includeThoughts": true})),
        (&numbered, "m", high, json!({"thinkingBudget": 24576, "includeThoughts": true})),
        (&numbered, "m", Effort::Auto, json!({"thinkingBudget": -1, "includeThoughts": true})),
        (&numbered, "m", Effort::Off, json!({"thinkingBudget": 0})),
        (
            &ThinkingCaps::Unknown,
            "gemini-3.1-pro",
            high,
            json!({"thinkingLevel": "high", "includeThoughts": true}),
        ),
        (
            &ThinkingCaps::Unknown,
            "gemini-2.5-pro",
            high,
            json!({"thinkingBudget": 24576, "includeThoughts": true}),
        ),
        (&ThinkingCaps::None, "m", high, Value::Null),
    ] {
        let mut request = asks(vec![Part::text("a")]);
        request.reasoning.effort = Some(effort);
        let mut target = Target::new(Dialect::Gem, model);
        target.caps.thinking = caps.clone();
        let body = encoded_for(&request, &target);
        let config = body.pointer("/generationConfig/thinkingConfig").cloned().unwrap_or_default();
        assert_eq!(config, want, "{caps:?} {model} {effort:?}");
    }
}

#[test]
fn t058_tool_choices_have_their_modes() {
    let names = vec!["f".into(), "g".into()];
    for (choice, want) in [
        (ToolChoice::Auto, json!({"mode": "AUTO"})),
        (ToolChoice::None, json!({"mode": "NONE"})),
        (ToolChoice::Any, json!({"mode": "ANY"})),
        (ToolChoice::Validated, json!({"mode": "VALIDATED"})),
        (ToolChoice::Named("f".into()), json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
        (
            ToolChoice::Allowed { mode: ToolMode::Any, names },
            json!({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
        ),
    ] {
        let mut request = asks(vec![Part::text("a")]);
        request.tool_choice = Some(choice.clone());
        let body = encoded(&request);
        assert_eq!(body["toolConfig"]["functionCallingConfig"], want);
        assert_eq!(decoded(&body).tool_choice, Some(choice));
    }
}

#[test]
fn t057_declarations_keep_what_gemini_wrote() {
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "a"}]}],
        "tools": [
            {"functionDeclarations": [
                {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}, "behavior": "BLOCKING"},
                {"name": "g"},
            ]},
            {"googleSearch": {}},
            {"codeExecution": {}},
        ],
    });
    assert_eq!(encoded(&decoded(&body)), body);
    let json_schema = json!({"tools": {"function_declarations": [{"name": "f", "parametersJsonSchema": {"type": "object", "properties": {}}}]}});
    let request = decoded(&json_schema);
    assert!(matches!(&request.tools[..], [Tool::Function(f)] if f.schema.is_some()));
    assert_eq!(encoded(&request)["tools"][0]["functionDeclarations"], json!([{"name": "f"}]));
}

#[test]
fn vertex_gets_no_ids() {
    let call = Part::ToolUse(crate::ir::ToolUse {
        id: "c".into(),
        name: "f".into(),
        input: ToolInput::Text("[1]".into()),
        kind: ToolKind::Function,
        namespace: None,
        signature: None,
        cache: None,
        ext: Ext::default(),
    });
    let mut request = asks(vec![result("r", false)]);
    request.turns.insert(0, Turn::new(Role::Assistant, vec![call]));
    let target = Target { envelope: Envelope::Vertex, ..Target::new(Dialect::Gem, "m") };
    let want = json!([
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"value": [1]}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "r"}}}]},
    ]);
    assert_eq!(encoded_for(&request, &target)["contents"], want);
}
