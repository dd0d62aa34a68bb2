use super::*;
use crate::effort::Level;
use crate::ir::{Ext, RawJson, Role, Turn};

const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];

fn function(name: &str) -> Tool {
    Tool::Function(FunctionTool { name: name.into(), ..FunctionTool::default() })
}

fn custom(name: &'static str) -> Tool {
    Tool::Custom { name: name.into(), description: None, format: None }
}

fn namespace(name: &'static str, tools: Vec<Tool>) -> Tool {
    Tool::Namespace { name: name.into(), description: None, tools }
}

fn call(id: &str, name: &str) -> ToolUse {
    ToolUse {
        id: id.into(),
        name: name.into(),
        input: ToolInput::Json(RawJson::parse("{}").unwrap()),
        kind: ToolKind::Function,
        namespace: None,
        signature: None,
        cache: None,
        ext: Ext::default(),
    }
}

fn result(id: &str) -> Part {
    Part::ToolResult(ToolResult {
        id: id.into(),
        name: None,
        content: vec![Part::text("r")],
        is_error: false,
        kind: ToolKind::Function,
        cache: None,
        ext: Ext::default(),
    })
}

fn adapted_for(mut request: Request, target: &Target) -> (Request, ReplyPlan) {
    let mut plan = ReplyPlan::new(Dialect::Resp, &request, 0);
    adapt(&mut request, target, &mut plan, &mut Warnings::default());
    (request, plan)
}

fn adapted(request: Request, dialect: Dialect) -> (Request, ReplyPlan) {
    adapted_for(request, &Target::new(dialect, "m"))
}

fn names(request: &Request) -> Vec<String> {
    let name = |tool: &Tool| match tool {
        Tool::Function(function) => function.name.to_string(),
        tool => format!("{tool:?}"),
    };
    request.tools.iter().map(name).collect()
}

#[test]
fn t053_names_change_everywhere_and_are_found_again() {
    let turns = vec![
        Turn::new(Role::Assistant, vec![Part::ToolUse(call("1", "my tool!"))]),
        Turn::new(Role::User, vec![result("1")]),
    ];
    let request = Request {
        turns,
        tools: vec![function("my tool!"), function("f")],
        tool_choice: Some(ToolChoice::Named("my tool!".into())),
        ..Request::default()
    };
    let (request, plan) = adapted(request, Dialect::Gem);
    assert_eq!(names(&request), ["my_tool_", "f"]);
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("my_tool_".into())));
    assert!(matches!(&request.turns[0].parts[0], Part::ToolUse(call) if call.name == "my_tool_"));
    assert_eq!(plan.tools.get("my_tool_").unwrap().name, "my tool!");
    assert_eq!(plan.tools.get("f"), None);
}

#[test]
fn t060_a_choice_without_tools_goes() {
    for dialect in DIALECTS {
        let request = Request {
            tool_choice: Some(ToolChoice::Any),
            parallel_tool_calls: Some(false),
            tools: vec![function("")],
            ..Request::default()
        };
        let (request, _) = adapted(request, dialect);
        assert_eq!(request, Request::default(), "{dialect:?}");
    }
}

#[test]
fn t058_t061_choices_name_tools_that_exist() {
    let allowed = |mode, names: &[&str]| ToolChoice::Allowed {
        mode,
        names: names.iter().map(|name| Str::from(*name)).collect(),
    };
    for (dialect, choice, want, tools) in [
        (Dialect::Chat, ToolChoice::Named("zz".into()), ToolChoice::Auto, 2),
        (Dialect::Chat, ToolChoice::Named("f".into()), ToolChoice::Named("f".into()), 2),
        (Dialect::Chat, ToolChoice::Validated, ToolChoice::Auto, 2),
        (Dialect::Gem, ToolChoice::Validated, ToolChoice::Validated, 2),
        (Dialect::Chat, allowed(ToolMode::Any, &["f", "zz"]), allowed(ToolMode::Any, &["f"]), 2),
        (Dialect::Gem, allowed(ToolMode::Any, &["f"]), allowed(ToolMode::Any, &["f"]), 2),
        (Dialect::Gem, allowed(ToolMode::Auto, &["f"]), ToolChoice::Auto, 1),
        (Dialect::Anth, allowed(ToolMode::Any, &["f"]), ToolChoice::Any, 1),
        (Dialect::Anth, allowed(ToolMode::Any, &["zz"]), ToolChoice::Any, 2),
    ] {
        let request = Request {
            tools: vec![function("f"), function("g")],
            tool_choice: Some(choice.clone()),
            ..Request::default()
        };
        let (request, _) = adapted(request, dialect);
        assert_eq!(request.tool_choice, Some(want), "{dialect:?} {choice:?}");
        assert_eq!(request.tools.len(), tools, "{dialect:?} {choice:?}");
    }
}

#[test]
fn t062_free_text_goes_as_one_argument() {
    let written = ToolUse {
        input: ToolInput::Text("x\ny".into()),
        kind: ToolKind::Custom,
        ..call("1", "apply")
    };
    let request = Request {
        turns: vec![Turn::new(Role::Assistant, vec![Part::ToolUse(written)])],
        tools: vec![custom("apply")],
        ..Request::default()
    };
    let (same, _) = adapted(request.clone(), Dialect::Resp);
    assert_eq!(same, request);
    let (request, plan) = adapted(request, Dialect::Chat);
    assert_eq!(names(&request), ["apply"]);
    let Part::ToolUse(call) = &request.turns[0].parts[0] else { panic!("{request:?}") };
    assert_eq!(call.input, ToolInput::Json(RawJson::parse(r#"{"input":"x\ny"}"#).unwrap()));
    assert_eq!(call.kind, ToolKind::Function);
    let back = plan.tools.get("apply").unwrap();
    assert!(back.unwrap_input && back.kind == ToolKind::Custom);
}

#[test]
fn t065_members_of_namespaces_get_its_name() {
    let written = ToolUse { namespace: Some("n".into()), ..call("1", "f") };
    let request = Request {
        turns: vec![Turn::new(Role::Assistant, vec![Part::ToolUse(written)])],
        tools: vec![
            namespace("n", vec![function("f"), custom("c")]),
            function("n__c"),
            function("f"),
        ],
        tool_choice: Some(ToolChoice::Named("n__f".into())),
        ..Request::default()
    };
    let (request, plan) = adapted(request, Dialect::Chat);
    // Declarations at the top win.
    assert_eq!(names(&request), ["n__c", "f", "n__f"]);
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("n__f".into())));
    assert!(matches!(&request.turns[0].parts[0], Part::ToolUse(call) if call.name == "n__f"));
    let back = plan.tools.get("n__f").unwrap();
    assert_eq!((&*back.name, back.namespace.as_deref()), ("f", Some("n")));
    assert_eq!(plan.tools.get("n__c"), None);
}

#[test]
fn t051_t052_ids_fit_in_call_and_result_alike() {
    let long = "x".repeat(90);
    for (dialect, id) in
        [(Dialect::Anth, "functions.read:0"), (Dialect::Resp, &*long), (Dialect::Gem, "a:b")]
    {
        let turns = vec![
            Turn::new(Role::Assistant, vec![Part::ToolUse(call(id, "f"))]),
            Turn::new(Role::User, vec![result(id)]),
        ];
        let (request, _) = adapted(Request { turns, ..Request::default() }, dialect);
        let (Part::ToolUse(call), Part::ToolResult(result)) =
            (&request.turns[0].parts[0], &request.turns[1].parts[0])
        else {
            panic!("{request:?}")
        };
        assert_eq!(call.id, result.id);
        assert!(call.id.len() <= 64);
        assert_eq!(call.id == id, dialect == Dialect::Gem);
    }
}

#[test]
fn calls_without_a_name_become_text() {
    let turns = vec![
        Turn::new(Role::Assistant, vec![Part::ToolUse(call("1", ""))]),
        Turn::new(Role::User, vec![result("1")]),
    ];
    let (request, _) = adapted(Request { turns, ..Request::default() }, Dialect::Anth);
    assert_eq!(request.turns[0].parts, [Part::text("[tool call without name] {}")]);
    assert_eq!(request.turns[1].parts, [Part::text("[tool result 1] r")]);
}

#[test]
fn claude_does_not_think_when_it_must_call() {
    let high = Some(Effort::Level(Level::High));
    let ask = |choice| {
        let mut request =
            Request { tools: vec![function("f")], tool_choice: Some(choice), ..Request::default() };
        request.reasoning.effort = high;
        request
    };
    let (request, _) = adapted(ask(ToolChoice::Any), Dialect::Anth);
    assert_eq!((request.reasoning.effort, request.tool_choice), (None, Some(ToolChoice::Any)));
    let (request, _) = adapted(ask(ToolChoice::Auto), Dialect::Anth);
    assert_eq!(request.reasoning.effort, high);
    let (request, _) = adapted(ask(ToolChoice::Any), Dialect::Chat);
    assert_eq!(request.reasoning.effort, high);
    let mut target = Target::new(Dialect::Anth, "m");
    target.quirks.push(Quirk::ToolChoiceAutoWhenThinking);
    let (request, _) = adapted_for(ask(ToolChoice::Any), &target);
    assert_eq!((request.reasoning.effort, request.tool_choice), (high, Some(ToolChoice::Auto)));
}
