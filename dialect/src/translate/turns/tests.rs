//! Conversations in the order that targets take.

use super::*;
use crate::ir::{
    Ext, RawJson, Signature, SystemOrigin, SystemPart, Thinking, ToolInput, ToolKind, ToolResult,
    ToolUse,
};

fn user(text: &'static str) -> Turn {
    Turn::new(Role::User, vec![Part::text(text)])
}

fn model(text: &'static str) -> Turn {
    Turn::new(Role::Assistant, vec![Part::text(text)])
}

fn note(text: &'static str) -> Turn {
    let note = Part::SystemNote { text: text.into(), developer: false, cache: None };
    Turn::new(Role::User, vec![note])
}

fn result() -> Part {
    Part::ToolResult(ToolResult {
        id: "a".into(),
        name: None,
        content: Vec::new(),
        is_error: false,
        kind: ToolKind::Function,
        cache: None,
        ext: Ext::default(),
    })
}

fn call() -> Part {
    Part::ToolUse(ToolUse {
        id: "a".into(),
        name: "f".into(),
        input: ToolInput::Json(RawJson::parse("{}").unwrap()),
        kind: ToolKind::Function,
        namespace: None,
        signature: None,
        cache: None,
        ext: Ext::default(),
    })
}

fn system(texts: &[&'static str]) -> Vec<SystemPart> {
    let part = |text: &&'static str| SystemPart {
        text: (*text).into(),
        cache: None,
        origin: SystemOrigin::System,
        ext: Ext::default(),
    };
    texts.iter().map(part).collect()
}

/// Turns in shorthand: `u` or `m`, and their parts.
fn told(request: &Request) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.text.to_string(),
        Part::ToolUse(_) => "call".to_owned(),
        Part::ToolResult(_) => "result".to_owned(),
        Part::SystemNote { text, .. } => format!("note {text}"),
        Part::Thinking(_) => "thought".to_owned(),
        other => format!("{other:?}"),
    };
    let turn = |turn: &Turn| {
        let role = if turn.role == Role::User { "u" } else { "m" };
        format!("{role}: {}", turn.parts.iter().map(part).collect::<Vec<_>>().join(", "))
    };
    request.turns.iter().map(turn).collect::<Vec<_>>().join(" | ")
}

fn arranged(target: &Target, turns: Vec<Turn>) -> Request {
    let mut request = Request { turns, ..Request::default() };
    arrange(&mut request, target, &mut Warnings::default()).unwrap();
    request
}

const WRAPPED: &str = "<system-reminder>\nN\n</system-reminder>";

#[test]
fn turns_take_the_form_of_the_target() {
    let turn = |role, parts| Turn::new(role, parts);
    let cases: Vec<(&str, Vec<Turn>, [String; 4])> = vec![
        (
            "t017 t033 notes stay in place",
            vec![user("q"), model("a"), note("N"), user("x")],
            [
                format!("u: q | m: a | u: {WRAPPED} | u: x"),
                "u: q | m: a | u: note N | u: x".into(),
                format!("u: q | m: a | u: {WRAPPED}, x"),
                format!("u: q | m: a | u: {WRAPPED}, x"),
            ],
        ),
        (
            "t021 t022 neighbours of one role",
            vec![user("a"), user("b")],
            ["u: a | u: b".into(), "u: a | u: b".into(), "u: a, b".into(), "u: a, b".into()],
        ),
        (
            "t023 an empty turn between two",
            vec![user("q"), model("a"), user(""), model("b"), user("x")],
            std::array::from_fn(|_| "u: q | m: a, b | u: x".into()),
        ),
        (
            "t024 white space is nothing to Anthropic",
            vec![user("q"), model("a"), user(" \n"), user("x")],
            [
                "u: q | m: a | u:  \n | u: x".into(),
                "u: q | m: a | u:  \n | u: x".into(),
                "u: q | m: a | u: x".into(),
                "u: q | m: a | u:  \n, x".into(),
            ],
        ),
        (
            "t027 the user begins",
            vec![model("a"), user("x")],
            [
                "m: a | u: x".into(),
                "m: a | u: x".into(),
                "u: … | m: a | u: x".into(),
                "u: … | m: a | u: x".into(),
            ],
        ),
        (
            "t026 the model goes on",
            vec![user("q"), model("Sure: ")],
            [
                "u: q | m: Sure: ".into(),
                "u: q | m: Sure:  | u: Continue.".into(),
                "u: q | m: Sure:".into(),
                "u: q | m: Sure:  | u: Continue.".into(),
            ],
        ),
        (
            "results come first",
            vec![
                turn(Role::User, vec![Part::text("q")]),
                turn(Role::Assistant, vec![call(), Part::text("after")]),
                turn(Role::User, vec![Part::text("x"), result()]),
            ],
            std::array::from_fn(|_| "u: q | m: call, after | u: result, x".into()),
        ),
        (
            "calls at the end wait",
            vec![user("q"), turn(Role::Assistant, vec![call()])],
            std::array::from_fn(|_| "u: q | m: call".into()),
        ),
        (
            "thoughts alone say nothing",
            vec![
                user("q"),
                turn(Role::Assistant, vec![Part::Thinking(Thinking::default())]),
                user("x"),
            ],
            std::array::from_fn(|_| "u: q, x".into()),
        ),
    ];
    for (name, turns, want) in cases {
        let dialects = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];
        for (dialect, want) in dialects.into_iter().zip(want) {
            let got = arranged(&Target::new(dialect, "m"), turns.clone());
            assert_eq!(told(&got), want, "{name} {dialect:?}");
        }
    }
}

#[test]
fn t025_t026_an_unfinished_turn_stays_where_the_model_takes_it() {
    let mut target = Target::new(Dialect::Anth, "m");
    for (prefill, want) in [
        (Some(true), "u: q | m: Sure:"),
        (Some(false), "u: q | m: Sure:  | u: Continue."),
        (None, "u: q | m: Sure:"),
    ] {
        target.caps.prefill = prefill;
        let got = arranged(&target, vec![user("q"), model("Sure: ")]);
        assert_eq!(told(&got), want, "{prefill:?}");
    }
}

#[test]
fn t020_instructions_alone_become_a_message() {
    for (dialect, turns, left) in [
        (Dialect::Anth, "u: S\n\nT", 0),
        (Dialect::Gem, "u: S\n\nT", 0),
        (Dialect::Resp, "u: S\n\nT", 0),
        (Dialect::Chat, "", 2),
    ] {
        let mut request = Request { system: system(&["S", "", "T"]), ..Request::default() };
        arrange(&mut request, &Target::new(dialect, "m"), &mut Warnings::default()).unwrap();
        assert_eq!((told(&request).as_str(), request.system.len()), (turns, left), "{dialect:?}");
    }
}

#[test]
fn t024_nothing_at_all_is_an_error() {
    let mut request = Request { turns: vec![user("  \n")], ..Request::default() };
    let target = Target::new(Dialect::Anth, "m");
    let error = arrange(&mut request, &target, &mut Warnings::default()).unwrap_err();
    assert!(error.to_string().contains("at least one message"), "{error}");
    // Unless the upstream keeps the conversation.
    let mut request = Request { previous_response_id: Some("resp_1".into()), ..Request::default() };
    let target = Target::new(Dialect::Resp, "m");
    assert_eq!(arrange(&mut request, &target, &mut Warnings::default()), Ok(()));
}

#[test]
fn notes_keep_their_role_where_there_is_one() {
    let mut target = Target::new(Dialect::Chat, "m");
    target.profile.mid_system_ok = true;
    let got = arranged(&target, vec![user("q"), note("N"), user("x")]);
    assert_eq!(told(&got), "u: q | u: note N | u: x");
}

#[test]
fn the_billing_note_of_claude_code_stays_at_home() {
    for (dialect, family, left) in [
        (Dialect::Anth, SigFamily::Claude, 2),
        (Dialect::Anth, SigFamily::Unknown, 2),
        (Dialect::Chat, SigFamily::Unknown, 1),
        (Dialect::Gem, SigFamily::Claude, 1),
    ] {
        let mut request = Request {
            system: system(&["x-anthropic-billing-header: cc_version=1;", "S"]),
            turns: vec![user("q")],
            ..Request::default()
        };
        let mut target = Target::new(dialect, "m");
        target.family = family;
        arrange(&mut request, &target, &mut Warnings::default()).unwrap();
        assert_eq!(request.system.len(), left, "{dialect:?} {family:?}");
    }
}

#[test]
fn signed_thoughts_alone_stay_with_those_who_can_read_them() {
    let signature = Some(Signature { family: SigFamily::Claude, value: "S".into() });
    let thought = Part::Thinking(Thinking { signature, ..Thinking::default() });
    let turns = || vec![user("q"), Turn::new(Role::Assistant, vec![thought.clone()]), user("x")];
    let anth = arranged(&Target::new(Dialect::Anth, "m"), turns());
    assert_eq!(told(&anth), "u: q | m: thought | u: x");
    let chat = arranged(&Target::new(Dialect::Chat, "m"), turns());
    assert_eq!(told(&chat), "u: q, x");
}

#[test]
fn gateways_that_want_calls_last_get_them_last() {
    let mut target = Target::new(Dialect::Anth, "m");
    target.profile.anth_strict_tool_tail = true;
    let parts = vec![Part::text("a"), call(), Part::text("b")];
    let turns = vec![user("q"), Turn::new(Role::Assistant, parts)];
    assert_eq!(told(&arranged(&target, turns)), "u: q | m: a, b, call");
}
