//! Requests of chat clients, and requests to chat upstreams.

use serde_json::{Value, json};

use super::*;
use crate::Dialect;
use crate::effort::{Effort, Level, Levels};
use crate::ir::{
    Ext, MediaSource, OutputFormat, Part, Reasoning, Request, Role, Summary, SystemOrigin,
    SystemPart, Thinking, Tool, ToolChoice, ToolInput, ToolKind, ToolMode, ToolResult, ToolUse,
    Turn,
};
use crate::profile::{MaxField, Profile, Quirk, ReasoningStyle, SystemRole, Think};
use crate::translate::{LevelCaps, Target, ThinkingCaps, TranslateError, Warnings};

fn decoded(body: &Value) -> Request {
    decode_request(body.to_string().as_bytes(), &mut Warnings::default()).unwrap()
}

fn target() -> Target {
    Target::new(Dialect::Chat, "up")
}

fn encoded_for(request: &Request, target: &Target) -> Value {
    let encoded = encode_request(request, target, &mut Warnings::default()).unwrap();
    serde_json::from_slice(&encoded.body).unwrap()
}

fn messages(turns: Vec<Turn>) -> Value {
    encoded_for(&Request { turns, ..Request::default() }, &target())["messages"].clone()
}

fn user(parts: Vec<Part>) -> Turn {
    Turn::new(Role::User, parts)
}

fn image() -> Part {
    Part::Image {
        source: MediaSource::Base64 { mime: "image/png".into(), data: "iVBORw==".into() },
        detail: None,
        cache: None,
        signature: None,
        ext: Ext::default(),
    }
}

fn result(id: &str, content: Vec<Part>, is_error: bool) -> Part {
    Part::ToolResult(ToolResult {
        id: id.into(),
        name: None,
        content,
        is_error,
        kind: ToolKind::Function,
        cache: None,
        ext: Ext::default(),
    })
}

fn call(id: &str, input: ToolInput, kind: ToolKind) -> Part {
    Part::ToolUse(ToolUse {
        id: id.into(),
        name: "f".into(),
        input,
        kind,
        namespace: None,
        signature: None,
        cache: None,
        ext: Ext::default(),
    })
}

fn wire_call(id: &str, arguments: &str) -> Value {
    json!({"id":id,"type":"function","function":{"name":"f","arguments":arguments}})
}

fn system(text: &str) -> SystemPart {
    SystemPart { text: text.into(), cache: None, origin: SystemOrigin::Top, ext: Ext::default() }
}

const PNG: &str = "data:image/png;base64,iVBORw==";

#[test]
fn t016_leading_instructions_stay_apart_and_later_ones_in_place() {
    let got = decoded(&json!({"messages":[
        {"role":"system","content":"A"},
        {"role":"developer","content":[{"type":"text","text":"B"},{"type":"text","text":"C"}]},
        {"role":"user","content":"hi","name":"bob"},
        {"role":"system","content":"N"}]}));
    let texts: Vec<_> = got.system.iter().map(|part| (&*part.text, part.origin)).collect();
    let (system, developer) = (SystemOrigin::System, SystemOrigin::Developer);
    assert_eq!(texts, [("A", system), ("B", developer), ("C", developer)]);
    assert_eq!(got.turns[0].name.as_deref(), Some("bob"));
    let note = Part::SystemNote { text: "N".into(), developer: false, cache: None };
    assert_eq!(got.turns[1], user(vec![note]));
}

#[test]
fn t018_instructions_become_one_message() {
    let request = Request {
        system: vec![system("A"), system("B")],
        turns: vec![user(vec![Part::text("hi")])],
        ..Request::default()
    };
    let got = encoded_for(&request, &target());
    assert_eq!(got["messages"][0], json!({"role":"system","content":"A\n\nB"}));
    let role = |target: &Target| encoded_for(&request, target)["messages"][0]["role"].clone();
    assert_eq!(role(&Target::new(Dialect::Chat, "openai/gpt-5.1")), "developer");
    let mut plain = Target::new(Dialect::Chat, "gpt-5.1");
    plain.profile.system_role = Some(SystemRole::System);
    assert_eq!(role(&plain), "system");
}

#[test]
fn t022_users_messages_stay_apart_and_notes_stay_in_place() {
    let note = Part::SystemNote { text: "N".into(), developer: true, cache: None };
    let turns = vec![user(vec![Part::text("a")]), user(vec![note]), user(vec![Part::text("b")])];
    let got = messages(turns.clone());
    let wrapped = "<system-reminder>\nN\n</system-reminder>";
    let want = [("user", "a"), ("user", wrapped), ("user", "b")];
    let want = want.map(|(role, content)| json!({"role":role,"content":content}));
    assert_eq!(got, Value::from(want.to_vec()));
    let mut lenient = target();
    lenient.profile.mid_system_ok = true;
    let got = encoded_for(&Request { turns, ..Request::default() }, &lenient);
    assert_eq!(got["messages"][1], json!({"role":"system","content":"N"}));
}

#[test]
fn t040_results_come_before_what_the_user_says() {
    let parts = vec![result("a", vec![Part::text("out")], false), Part::text("more"), image()];
    assert_eq!(
        messages(vec![user(parts)]),
        json!([
            {"role":"tool","tool_call_id":"a","content":"out"},
            {"role":"user","content":[{"type":"text","text":"more"},
                {"type":"image_url","image_url":{"url":PNG}}]}])
    );
}

#[test]
fn t041_calls_without_words_have_no_content() {
    let input = || ToolInput::Json(crate::ir::RawJson::parse("{\"a\":1}").unwrap());
    for (parts, content) in [
        (vec![Part::text("x"), call("c", input(), ToolKind::Function)], json!("x")),
        (vec![call("c", input(), ToolKind::Function)], Value::Null),
    ] {
        assert_eq!(
            messages(vec![Turn::new(Role::Assistant, parts)]),
            json!([{"role":"assistant","content":content,
                "tool_calls":[wire_call("c", "{\"a\":1}")]}])
        );
    }
}

#[test]
fn t042_images_of_results_follow_after_all_results() {
    let parts = vec![
        result("a", vec![Part::text("out"), image()], false),
        result("b", vec![Part::text("two")], false),
    ];
    let mut strings = target();
    strings.profile.tool_content_string = true;
    let request = Request { turns: vec![user(parts)], ..Request::default() };
    assert_eq!(
        encoded_for(&request, &strings)["messages"],
        json!([
            {"role":"tool","tool_call_id":"a","content":"out\n[image omitted: see next message]"},
            {"role":"tool","tool_call_id":"b","content":"two"},
            {"role":"user","content":[{"type":"image_url","image_url":{"url":PNG}}]}])
    );
}

#[test]
fn t043_errors_say_so_once() {
    for (text, want) in [("boom", "Error: boom"), ("error: boom", "error: boom"), ("", "Error: ")] {
        let got = messages(vec![user(vec![result("a", vec![Part::text(text)], true)])]);
        assert_eq!(got[0]["content"], want);
    }
    assert_eq!(messages(vec![user(vec![result("a", vec![], false)])])[0]["content"], "");
}

#[test]
fn t045_arguments_are_kept_as_they_are() {
    let got = decoded(&json!({"messages":[{"role":"assistant","content":null,"tool_calls":[
        wire_call("a", ""), wire_call("b", "[1]"), wire_call("c", "{bad"),
        wire_call("d", "{\"id\":12345678901234567890}")]}]}));
    let inputs: Vec<String> = got.turns[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolUse(ToolUse { input: ToolInput::Json(json), .. }) => json.get().to_owned(),
            Part::ToolUse(ToolUse { input: ToolInput::Text(text), .. }) => format!("text {text}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(inputs, ["{}", "text [1]", "text {bad", "{\"id\":12345678901234567890}"]);
    let back = encoded_for(&got, &target());
    let arguments =
        |at: usize| back["messages"][0]["tool_calls"][at]["function"]["arguments"].clone();
    assert_eq!((arguments(1), arguments(2)), (json!("[1]"), json!("{bad")));
}

#[test]
fn t062_free_text_travels_as_the_argument_of_a_function() {
    let request = Request {
        tools: vec![Tool::Custom { name: "f".into(), description: None, format: None }],
        turns: vec![Turn::new(
            Role::Assistant,
            vec![call("c", ToolInput::Text("x\ny".into()), ToolKind::Custom)],
        )],
        ..Request::default()
    };
    let got = encoded_for(&request, &target());
    assert_eq!(got["messages"][0]["tool_calls"][0], wire_call("c", "{\"input\":\"x\\ny\"}"));
    assert_eq!(got["tools"][0]["function"]["parameters"]["required"], json!(["input"]));
}

#[test]
fn t114_reasoning_goes_back_to_those_who_want_it() {
    let thought = Part::Thinking(Thinking { text: "Plan.".into(), ..Thinking::default() });
    let empty = || ToolInput::Text("".into());
    let turn = |parts| Turn::new(Role::Assistant, parts);
    let request = Request {
        turns: vec![
            turn(vec![thought.clone(), call("c", empty(), ToolKind::Function)]),
            turn(vec![thought, Part::text("x")]),
            turn(vec![call("d", empty(), ToolKind::Function)]),
        ],
        ..Request::default()
    };
    let kept = |profile: Profile, quirks: Vec<Quirk>| {
        let target = Target { profile, quirks, ..target() };
        let got = encoded_for(&request, &target);
        let messages = got["messages"].as_array().unwrap().clone();
        messages.iter().map(|m| m["reasoning_content"].clone()).collect::<Vec<_>>()
    };
    let history = Profile { reasoning_history: true, ..Profile::default() };
    let (plan, space, none) = (json!("Plan."), json!(" "), Value::Null);
    assert_eq!(kept(Profile::default(), vec![]), [none.clone(), none.clone(), none.clone()]);
    assert_eq!(kept(history, vec![]), [plan.clone(), none.clone(), none.clone()]);
    let echo = kept(Profile::default(), vec![Quirk::ReasoningEchoToolCalls]);
    assert_eq!(echo, [plan.clone(), none, space.clone()]);
    let all = kept(Profile::default(), vec![Quirk::ReasoningEchoAll]);
    assert_eq!(all, [plan.clone(), plan, space]);

    let got = decoded(&json!({"messages":[
        {"role":"assistant","content":"x","reasoning_content":"Plan."}]}));
    assert!(matches!(&got.turns[0].parts[0], Part::Thinking(t) if t.text == "Plan."));
}

#[test]
fn older_forms_of_calls_are_read() {
    let got = decoded(&json!({
        "functions":[{"name":"f","parameters":{"type":"object"}}],
        "function_call":{"name":"f"},
        "messages":[
            {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
            {"role":"function","name":"f","content":"out"}]}));
    let Part::ToolUse(call) = &got.turns[0].parts[0] else { panic!("{got:?}") };
    let Part::ToolResult(result) = &got.turns[1].parts[0] else { panic!("{got:?}") };
    assert_eq!((&*call.id, &*result.id), ("f", "f"));
    assert_eq!(got.tool_choice, Some(ToolChoice::Named("f".into())));
    assert!(matches!(&got.tools[0], Tool::Function(tool) if tool.name == "f"));
}

#[test]
fn t058_choices_of_tools_have_many_forms() {
    let any = |names: &[&str], mode| ToolChoice::Allowed {
        mode,
        names: names.iter().map(|name| (*name).into()).collect(),
    };
    let tools = json!([{"type":"function","function":{"name":"f"}}]);
    for (written, choice) in [
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Any),
        (json!({"type":"function","function":{"name":"f"}}), ToolChoice::Named("f".into())),
        (
            json!({"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[
                {"type":"function","function":{"name":"f"}}]}}),
            any(&["f"], ToolMode::Any),
        ),
    ] {
        let request = decoded(&json!({"messages":[],"tools":tools,"tool_choice":written}));
        assert_eq!(request.tool_choice, Some(choice), "{written}");
        assert_eq!(encoded_for(&request, &target())["tool_choice"], written);
    }
    let request = decoded(&json!({"messages":[],"tools":[],"tool_choice":"auto"}));
    let got = encoded_for(&request, &target());
    assert!(got.get("tool_choice").is_none() && got.get("tools").is_none(), "T060: {got}");
}

#[test]
fn reasoning_is_asked_for_in_many_ways() {
    let high = Effort::Level(Level::High);
    for (body, effort, summary) in [
        (json!({"reasoning_effort":"high"}), Some(high), Summary::Unset),
        (json!({"reasoning_effort":"none"}), Some(Effort::Off), Summary::Unset),
        (json!({"reasoning_effort":"default"}), None, Summary::Unset),
        (json!({"reasoning":{"max_tokens":900}}), Some(Effort::Budget(900)), Summary::Unset),
        (json!({"reasoning":{"enabled":true,"exclude":true}}), Some(Effort::Auto), Summary::None),
        (json!({"reasoning":{"enabled":false,"effort":"high"}}), Some(Effort::Off), Summary::Unset),
        (
            json!({"thinking":{"type":"enabled","budget_tokens":2000}}),
            Some(Effort::Budget(2000)),
            Summary::Unset,
        ),
        (json!({"thinking":{"type":"disabled"}}), Some(Effort::Off), Summary::Unset),
        (
            json!({"enable_thinking":true,"thinking_budget":64}),
            Some(Effort::Budget(64)),
            Summary::Unset,
        ),
        (json!({"enable_thinking":false}), Some(Effort::Off), Summary::Unset),
        (
            json!({"chat_template_kwargs":{"enable_thinking":false}}),
            Some(Effort::Off),
            Summary::Unset,
        ),
        (
            json!({"extra_body":{"google":{"thinking_config":
                {"thinking_budget":-1,"include_thoughts":true}}}}),
            Some(Effort::Auto),
            Summary::Auto,
        ),
        (
            json!({"thinking":{"type":"disabled"},"reasoning_effort":"high"}),
            Some(high),
            Summary::Unset,
        ),
    ] {
        let got = decoded(&body).reasoning;
        assert_eq!((got.effort, got.summary), (effort, summary), "{body}");
    }
}

#[test]
fn t096_reasoning_is_written_in_the_upstreams_words() {
    let request = |effort| Request {
        reasoning: Reasoning { effort: Some(effort), ..Reasoning::default() },
        ..Request::default()
    };
    let levels = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let levels = Levels::try_from(words).unwrap();
        ThinkingCaps::Levels(LevelCaps { levels, off: true, dynamic: true })
    };
    let mut gpt5 = target();
    gpt5.caps.thinking = levels(&["minimal", "low", "medium", "high"]);
    assert_eq!(encoded_for(&request(Effort::Off), &gpt5)["reasoning_effort"], "minimal");
    gpt5.caps.thinking = levels(&["none", "low", "medium", "high"]);
    assert_eq!(encoded_for(&request(Effort::Off), &gpt5)["reasoning_effort"], "none");
    let got = encoded_for(&request(Effort::Off), &target());
    assert!(got.get("reasoning_effort").is_none(), "{got}");
    let mut glm = target();
    glm.caps.think = Some(Think::Zai);
    let got = encoded_for(&request(Effort::Off), &glm);
    assert_eq!(got["thinking"], json!({"type":"disabled"}));
    let mut router = target();
    router.profile.reasoning_style = Some(ReasoningStyle::Openrouter);
    let mut quiet = request(Effort::Budget(900));
    quiet.reasoning.summary = Summary::None;
    let got = encoded_for(&quiet, &router);
    assert_eq!(got["reasoning"], json!({"max_tokens":900,"exclude":true}));
}

#[test]
fn fields_survive_or_are_left_out_as_the_profile_says() {
    let body = json!({"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":5,
        "temperature":0.5,"top_p":1.0,"top_k":4,"seed":7,"frequency_penalty":0.1,"stop":["a","b"],
        "n":2,"user":"u","store":false,"stream":true,"parallel_tool_calls":false,
        "response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"a":1}}},
        "tools":[{"type":"function","function":{"name":"f","strict":true}}],
        "provider":{"order":["x"]},"extra_body":{"route":"r","temperature":2}});
    let request = decoded(&body);
    assert!(request.stream && !request.include_usage);
    assert!(matches!(&request.output, OutputFormat::JsonSchema { name, .. }
        if name.as_deref() == Some("r")));
    let got = encoded_for(&request, &target());
    for (field, want) in [
        ("model", json!("up")),
        ("max_tokens", json!(5)),
        ("temperature", json!(0.5)),
        ("top_p", json!(1)),
        ("top_k", Value::Null),
        ("seed", json!(7)),
        ("stop", json!(["a", "b"])),
        ("n", json!(2)),
        ("store", Value::Null),
        ("stream_options", json!({"include_usage":true})),
        ("parallel_tool_calls", json!(false)),
        ("response_format", body["response_format"].clone()),
        ("provider", json!({"order":["x"]})),
        ("route", json!("r")),
        ("extra_body", Value::Null),
    ] {
        assert_eq!(got[field], want, "{field}");
    }
    let mut strict = Target::new(Dialect::Chat, "o3");
    strict.profile = Profile {
        no_seed: true,
        no_penalties: true,
        no_strict: true,
        no_parallel_flag: true,
        no_response_schema: true,
        supports_stream_usage: false,
        top_k: true,
        ..Profile::default()
    };
    let got = encoded_for(&request, &strict);
    for (field, want) in [
        ("seed", Value::Null),
        ("frequency_penalty", Value::Null),
        ("parallel_tool_calls", Value::Null),
        ("stream_options", Value::Null),
        ("response_format", json!({"type":"json_object"})),
        ("top_k", json!(4)),
        ("max_tokens", Value::Null),
        ("max_completion_tokens", json!(5)),
    ] {
        assert_eq!(got[field], want, "{field}");
    }
    assert!(got["tools"][0]["function"].get("strict").is_none());
    strict.profile.max_field = Some(MaxField::MaxTokens);
    assert_eq!(encoded_for(&request, &strict)["max_tokens"], 5);
}

#[test]
fn t102_media_survive_the_round_trip() {
    let content = json!([{"type":"text","text":"see"},
        {"type":"image_url","image_url":{"url":PNG,"detail":"low"}},
        {"type":"image_url","image_url":{"url":"https://e.x/a.png"}},
        {"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}},
        {"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0=","filename":"a.pdf"}},
        {"type":"file","file":{"file_id":"file-1"}},
        {"type":"later_invention","x":1}]);
    let body = json!({"messages":[{"role":"user","content":content}]});
    assert_eq!(encoded_for(&decoded(&body), &target())["messages"], body["messages"]);
    let foreign = decoded(&json!({"messages":[{"role":"user","content":[
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw=="}},
        {"type":"input_image","image_url":PNG}, {"type":"image_url","image_url":PNG}]}]}));
    assert_eq!(foreign.turns[0].parts, [image(), image(), image()], "T103");
}

#[test]
fn caching_marks_are_read_and_kept_where_the_upstream_takes_them() {
    let mark = json!({"type":"ephemeral"});
    let body = json!({"messages":[
        {"role":"system","content":[{"type":"text","text":"S","cache_control":mark}]},
        {"role":"user","content":"hi","cache_control":mark}]});
    let request = decoded(&body);
    assert!(request.system[0].cache.is_some() && request.turns[0].parts[0].cache().is_some());
    let got = encoded_for(&request, &target());
    assert!(!got.to_string().contains("cache_control"), "T100: {got}");
    let keeps = Target { quirks: vec![Quirk::KeepCacheControl], ..target() };
    let got = encoded_for(&request, &keeps);
    assert_eq!(got["messages"][0]["content"][0]["cache_control"], mark);
    assert_eq!(got["messages"][1]["content"][0]["cache_control"], mark);
}

#[test]
fn ids_are_cut_to_nine_characters_where_they_must() {
    let mut nine = target();
    nine.profile.id_len9 = true;
    let turns = vec![
        Turn::new(
            Role::Assistant,
            vec![call("call_1", ToolInput::Text("".into()), ToolKind::Function)],
        ),
        user(vec![result("call_1", vec![], false)]),
    ];
    let got = encoded_for(&Request { turns, ..Request::default() }, &nine);
    let id = &got["messages"][0]["tool_calls"][0]["id"];
    assert_eq!(id.as_str().unwrap().len(), 9);
    assert_eq!(*id, got["messages"][1]["tool_call_id"]);
}

#[test]
fn odd_fields_are_left_out_and_odd_messages_refused() {
    let mut warnings = Warnings::default();
    let body = json!({"messages":[],"temperature":"hot","n":{},"max_tokens":-4,"user":null});
    let got = decode_request(body.to_string().as_bytes(), &mut warnings).unwrap();
    assert_eq!((got.sampling.temperature, got.n, got.max_tokens), (None, None, None));
    assert_eq!(warnings.as_slice().len(), 3);
    for messages in [
        json!("hi"),
        json!({}),
        json!([1]),
        json!([{"content":"hi"}]),
        json!([{"role":5,"content":"hi"}]),
        json!([{"role":"wizard","content":"hi"}]),
    ] {
        let body = json!({ "messages": messages }).to_string();
        let got = decode_request(body.as_bytes(), &mut Warnings::default());
        assert!(matches!(got, Err(TranslateError::Invalid { .. })), "{body}");
    }
    let got = decode_request(b"[]", &mut Warnings::default());
    assert!(matches!(got, Err(TranslateError::Body(_))));
}
