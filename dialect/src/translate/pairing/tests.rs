//! Broken histories and what becomes of them.

use super::*;
use crate::ir::ToolKind;

fn call(id: &'static str, name: &'static str) -> Part {
    Part::ToolUse(ToolUse {
        id: id.into(),
        name: name.into(),
        input: ToolInput::Json(RawJson::parse("{}").unwrap()),
        kind: ToolKind::Function,
        namespace: None,
        signature: None,
        cache: None,
        ext: Ext::default(),
    })
}

fn result(id: &'static str, text: &'static str) -> Part {
    named_result(id, None, text)
}

fn named_result(id: &'static str, name: Option<&'static str>, text: &'static str) -> Part {
    Part::ToolResult(ToolResult {
        id: id.into(),
        name: name.map(Into::into),
        content: vec![Part::text(text)],
        is_error: false,
        kind: ToolKind::Function,
        cache: None,
        ext: Ext::default(),
    })
}

fn user(parts: Vec<Part>) -> Turn {
    Turn::new(Role::User, parts)
}

fn model(parts: Vec<Part>) -> Turn {
    Turn::new(Role::Assistant, parts)
}

/// A history in shorthand: `call id`, `result id text`, `text`; turns by `|`.
fn told(turns: &[Turn]) -> String {
    let part = |part: &Part| match part {
        Part::ToolUse(call) => format!("call {}", call.id),
        Part::ToolResult(result) => {
            let text: Vec<String> = result
                .content
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.text.to_string(),
                    other => format!("{other:?}"),
                })
                .collect();
            let error = if result.is_error { "!" } else { "" };
            format!("result {}{error} {}", result.id, text.concat())
        }
        Part::Text(text) => text.text.to_string(),
        other => format!("{other:?}"),
    };
    let turn = |turn: &Turn| turn.parts.iter().map(part).collect::<Vec<_>>().join(", ");
    turns.iter().map(turn).collect::<Vec<_>>().join(" | ")
}

fn repaired(target: Dialect, turns: Vec<Turn>) -> Request {
    let mut request = Request { turns, ..Request::default() };
    let target = Target::new(target, "m");
    repair(&mut request, &target, &mut Warnings::default()).unwrap();
    request
}

#[test]
fn histories_are_paired() {
    let missing = format!("result b! {NO_RESULT}");
    let cases: Vec<(&str, Vec<Turn>, String)> = vec![
        (
            "t034_results_stand_in_call_order",
            vec![
                model(vec![call("a", "f"), call("b", "g")]),
                user(vec![result("b", "2")]),
                user(vec![result("a", "1")]),
            ],
            "call a, call b | result a 1, result b 2 | ".into(),
        ),
        (
            "t035_a_missing_result_is_an_error",
            vec![
                model(vec![call("a", "f"), call("b", "g")]),
                user(vec![result("a", "1")]),
                user(vec![Part::text("go")]),
            ],
            format!("call a, call b | result a 1, {missing} | go"),
        ),
        (
            "t036_late_results_move_up",
            vec![
                model(vec![call("a", "f")]),
                user(vec![Part::text("wait")]),
                user(vec![result("a", "1")]),
            ],
            "call a | result a 1, wait | ".into(),
        ),
        (
            "t037_orphans_become_text",
            vec![user(vec![Part::text("q"), result("zz", "out")])],
            "q, [tool result zz] out".into(),
        ),
        (
            "t038_the_last_of_several_results_counts",
            vec![model(vec![call("a", "f")]), user(vec![result("a", "1"), result("a", "2")])],
            "call a | result a 2".into(),
        ),
        (
            "t039_calls_at_the_end_wait",
            vec![user(vec![Part::text("q")]), model(vec![call("a", "f")])],
            "q | call a".into(),
        ),
        (
            "results move over a turn of the model",
            vec![
                model(vec![call("a", "f")]),
                model(vec![Part::text("x")]),
                user(vec![result("a", "1")]),
            ],
            "call a | result a 1 | x | ".into(),
        ),
        (
            "one turn uses an id twice",
            vec![
                model(vec![call("a", "f"), call("a", "f")]),
                user(vec![result("a", "1"), result("a", "2")]),
            ],
            "call a, call a_2 | result a 1, result a_2 2".into(),
        ),
        (
            "calls without a name are told in words",
            vec![model(vec![call("a", " ")]), user(vec![result("a", "1")])],
            "[tool call without name] {} | [tool result a] 1".into(),
        ),
    ];
    for (name, turns, want) in cases {
        assert_eq!(told(&repaired(Dialect::Anth, turns).turns), want, "{name}");
    }
}

#[test]
fn ids_used_again_are_told_apart_for_anthropic_only() {
    let turns = || {
        vec![
            model(vec![call("a", "f")]),
            user(vec![result("a", "1")]),
            model(vec![call("a", "f")]),
            user(vec![result("a", "2")]),
        ]
    };
    let anth = repaired(Dialect::Anth, turns());
    assert_eq!(told(&anth.turns), "call a | result a 1 | call a_2 | result a_2 2");
    let chat = repaired(Dialect::Chat, turns());
    assert_eq!(told(&chat.turns), "call a | result a 1 | call a | result a 2");
}

#[test]
fn t048_t050_missing_ids_are_made_up_and_match() {
    let turns = || {
        vec![
            model(vec![call("", "f"), call("", "f"), call("", "g")]),
            user(vec![
                named_result("", Some("g"), "3"),
                named_result("", Some("f"), "1"),
                named_result("", Some("f"), "2"),
            ]),
        ]
    };
    let first = repaired(Dialect::Chat, turns());
    let [Part::ToolUse(a), Part::ToolUse(b), Part::ToolUse(c)] = first.turns[0].parts.as_slice()
    else {
        panic!("{first:?}")
    };
    assert!(a.id.starts_with("call_") && a.id != b.id);
    let want = format!("result {} 1, result {} 2, result {} 3", a.id, b.id, c.id);
    assert_eq!(told(&first.turns[1..]), want);
    assert_eq!(repaired(Dialect::Chat, turns()), first);
    // By position, where there is no name either.
    let turns = vec![
        model(vec![call("", "f"), call("", "g")]),
        user(vec![result("", "1"), result("", "2")]),
    ];
    let request = repaired(Dialect::Chat, turns);
    let [Part::ToolUse(a), Part::ToolUse(b)] = request.turns[0].parts.as_slice() else {
        panic!("{request:?}")
    };
    assert_eq!(told(&request.turns[1..]), format!("result {} 1, result {} 2", a.id, b.id));
}

#[test]
fn t049_results_get_the_name_of_their_call() {
    let turns = vec![model(vec![call("a", "f")]), user(vec![named_result("a", Some(""), "1")])];
    let request = repaired(Dialect::Gem, turns);
    let [Part::ToolResult(result)] = request.turns[1].parts.as_slice() else {
        panic!("{request:?}")
    };
    assert_eq!(result.name.as_deref(), Some("f"));
}

#[test]
fn halves_of_pairs_that_the_upstream_keeps_stay() {
    let mut request = Request {
        turns: vec![user(vec![result("a", "1")])],
        previous_response_id: Some("resp_1".into()),
        ..Request::default()
    };
    let target = Target::new(Dialect::Resp, "m");
    repair(&mut request, &target, &mut Warnings::default()).unwrap();
    assert_eq!(told(&request.turns), "result a 1");
}

#[test]
fn notes_stay_alone_when_results_move_before_them() {
    let note = Part::SystemNote { text: "n".into(), developer: false, cache: None };
    let turns =
        vec![model(vec![call("a", "f")]), user(vec![note.clone()]), user(vec![result("a", "1")])];
    let request = repaired(Dialect::Resp, turns);
    assert_eq!(told(&request.turns[..2]), "call a | result a 1");
    assert_eq!(request.turns[2].parts, [note]);
}

#[test]
fn unknown_blocks_in_results_are_text_for_others() {
    let raw = RawJson::parse(r#"{"type":"search_result"}"#).unwrap();
    for (target, want) in [(Dialect::Anth, false), (Dialect::Chat, true), (Dialect::Gem, true)] {
        let Part::ToolResult(mut part) = result("a", "1") else { panic!() };
        part.content = vec![Part::Opaque { dialect: Dialect::Anth, raw: raw.clone() }];
        let turns = vec![model(vec![call("a", "f")]), user(vec![Part::ToolResult(part)])];
        let request = repaired(target, turns);
        let [Part::ToolResult(result)] = request.turns[1].parts.as_slice() else {
            panic!("{request:?}")
        };
        assert_eq!(result.content == [Part::text(raw.get())], want, "{target:?}");
    }
}

#[test]
fn tools_of_the_history_are_declared_where_that_is_demanded() {
    let turns = || vec![model(vec![call("a", "f"), call("b", "f")]), user(vec![result("a", "1")])];
    assert_eq!(repaired(Dialect::Chat, turns()).tools, []);
    let mut target = Target::new(Dialect::Chat, "m");
    target.profile.needs_tools_with_history = true;
    let mut request = Request { turns: turns(), ..Request::default() };
    repair(&mut request, &target, &mut Warnings::default()).unwrap();
    let [Tool::Function(tool)] = request.tools.as_slice() else { panic!("{request:?}") };
    assert_eq!(tool.name, "f");
}
