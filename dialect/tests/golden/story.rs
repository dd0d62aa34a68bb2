//! The story of the transcripts in the neutral form, as each dialect tells it.

use ninerouter_dialect::Dialect;
use ninerouter_dialect::ir::{
    Choice, Event, Ext, Finish, FunctionTool, Part, PartKind, RawJson, Request, Response, Role,
    SigFamily, Signature, Str, Thinking, Tool, ToolInput, ToolKind, ToolResult, ToolUse, Turn,
    Usage,
};

/// The arguments of the call.
pub(crate) const ARGUMENTS: &str = r#"{"city":"Oslo"}"#;

/// The id of the answer, in the spelling of its dialect.
fn id(dialect: Dialect) -> Str {
    Str::from_static(match dialect {
        Dialect::Chat => "chatcmpl-r1",
        Dialect::Resp => "resp_r1",
        Dialect::Anth => "msg_r1",
        Dialect::Gem => "r1",
    })
}

/// Only the OpenAI dialects say when an answer was made.
fn created(dialect: Dialect) -> Option<u64> {
    matches!(dialect, Dialect::Chat | Dialect::Resp).then_some(1_700_000_000)
}

/// The dialect's own word for "waits for results of tools".
fn reason(dialect: Dialect) -> Str {
    Str::from_static(match dialect {
        Dialect::Chat => "tool_calls",
        Dialect::Resp => "completed",
        Dialect::Anth => "tool_use",
        Dialect::Gem => "STOP",
    })
}

fn usage(dialect: Dialect) -> Usage {
    Usage::from(ninerouter_dialect::Usage {
        input: 20,
        cached: 8,
        output: 12,
        // This Messages answer does not say how much of its output was reasoning.
        reasoning: if dialect == Dialect::Anth { 0 } else { 4 },
        exact: true,
        ..ninerouter_dialect::Usage::default()
    })
}

fn thinking(dialect: Dialect) -> Thinking {
    Thinking {
        text: "Plan.".into(),
        signature: (dialect == Dialect::Anth)
            .then(|| Signature { family: SigFamily::Unknown, value: "U0lHMQ==".into() }),
        summary: dialect == Dialect::Resp,
        item_id: (dialect == Dialect::Resp).then(|| "rs_1".into()),
        ext: Ext::default(),
    }
}

fn call() -> ToolUse {
    ToolUse {
        id: "call_1".into(),
        name: "get_weather".into(),
        input: ToolInput::Json(RawJson::parse(ARGUMENTS).unwrap()),
        kind: ToolKind::Function,
        namespace: None,
        signature: None,
        cache: None,
        ext: Ext::default(),
    }
}

/// The answer, as a decoder of `dialect` must read it from the whole body.
pub(crate) fn response(dialect: Dialect) -> Response {
    let parts =
        vec![Part::Thinking(thinking(dialect)), Part::text("Checking."), Part::ToolUse(call())];
    Response {
        id: id(dialect),
        created: created(dialect),
        model: "m1".into(),
        choices: vec![Choice {
            parts,
            finish: Finish::ToolUse,
            reason: Some(reason(dialect)),
            ..Choice::new(0)
        }],
        usage: Some(usage(dialect)),
        ..Response::default()
    }
}

/// The answer, as a decoder of `dialect` must read it from the stream; without pings, and with usage
/// in its last form right before the end.
pub(crate) fn events(dialect: Dialect) -> Vec<Event> {
    let thinking = thinking(dialect);
    let start_usage = (dialect == Dialect::Anth).then(|| {
        let mut usage = usage(dialect);
        usage.tokens.output = 1;
        usage
    });
    let start = |part, kind| Event::PartStart { part, choice: 0, kind };
    let stop = |part| Event::PartStop { part, full: None };
    let mut events = vec![
        Event::Start {
            id: id(dialect),
            model: "m1".into(),
            created: created(dialect),
            usage: start_usage,
            service_tier: None,
            fingerprint: None,
        },
        start(0, PartKind::Thinking { summary: thinking.summary, item_id: thinking.item_id }),
        Event::Thinking { part: 0, text: thinking.text },
    ];
    events.extend(thinking.signature.map(|signature| Event::Signature { part: 0, signature }));
    events.extend([
        stop(0),
        start(1, PartKind::Text { phase: None }),
        Event::Text { part: 1, text: "Checking.".into() },
        stop(1),
        start(
            2,
            PartKind::ToolUse {
                id: "call_1".into(),
                name: "get_weather".into(),
                kind: ToolKind::Function,
                namespace: None,
                signature: None,
            },
        ),
    ]);
    let cuts: &[&str] =
        if dialect == Dialect::Gem { &[ARGUMENTS] } else { &["{\"city\":", "\"Oslo\"}"] };
    events.extend(cuts.iter().map(|&text| Event::ToolInput { part: 2, text: text.into() }));
    events.extend([
        stop(2),
        Event::Finish {
            choice: 0,
            finish: Finish::ToolUse,
            reason: Some(reason(dialect)),
            stop_sequence: None,
            details: None,
        },
        Event::Usage(usage(dialect)),
        Event::End,
    ]);
    events
}

/// The next request, as a decoder of `dialect` must read it.
pub(crate) fn request(dialect: Dialect) -> Request {
    let result = ToolResult {
        id: "call_1".into(),
        // Only Gemini repeats the name.
        name: (dialect == Dialect::Gem).then(|| "get_weather".into()),
        content: vec![Part::text("-3 C")],
        is_error: false,
        kind: ToolKind::Function,
        cache: None,
        ext: Ext::default(),
    };
    let schema = r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#;
    Request {
        // Gemini names the model in the path.
        model: if dialect == Dialect::Gem { Str::new() } else { "m1".into() },
        turns: vec![
            Turn::new(Role::User, vec![Part::text("Weather?")]),
            Turn::new(Role::Assistant, vec![Part::text("Checking."), Part::ToolUse(call())]),
            Turn::new(Role::User, vec![Part::ToolResult(result)]),
        ],
        tools: vec![Tool::Function(FunctionTool {
            name: "get_weather".into(),
            description: Some("d".into()),
            schema: Some(RawJson::parse(schema).unwrap()),
            ..FunctionTool::default()
        })],
        max_tokens: (dialect == Dialect::Anth).then_some(8192),
        store: (dialect == Dialect::Resp).then_some(false),
        ..Request::default()
    }
}
