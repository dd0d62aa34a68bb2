//! The fold invariants (translation §4.10) and T179: what an encoder writes, its own decoder reads as the same,
//! wherever the bytes are cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ninerouter_dialect::ir::{
    Choice, Event, EventOrder, Ext, Finish, Part, RawJson, Request, Response, Thinking, ToolInput,
    ToolKind, ToolUse,
};
use ninerouter_dialect::translate::{
    EventReader, Fold, ReplyPlan, Source, Target, Warnings, unfold,
};
use ninerouter_dialect::{Dialect, Framing, Usage, anth, chat, gem, ir, resp};
use proptest::prelude::*;
use proptest::sample::select;

const DIALECTS: [Dialect; 4] = [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem];
const LARGEST: usize = 1 << 20;

/// Text as models write it, with what JSON and event streams must escape.
fn words() -> impl Strategy<Value = String> {
    "[a-z \n\r\t\"\\\\{}\u{0}\u{e9}\u{2028}\u{1f642}<]{1,12}"
}

fn arguments() -> impl Strategy<Value = String> {
    select(
        &[
            "{}",
            r#"{"a":1}"#,
            r#"{"id":12345678901234567890,"x":1.0,"e":1e2}"#,
            r#"{"t":"é\n\"\\","o":{"p":[null,true,"]}"]}}"#,
        ][..],
    )
    .prop_map(str::to_owned)
}

fn part() -> impl Strategy<Value = Part> {
    let call = (0_u16..1000, arguments()).prop_map(|(id, arguments)| {
        Part::ToolUse(ToolUse {
            id: format!("call_{id}").into(),
            name: "f".into(),
            input: ToolInput::Json(RawJson::parse(arguments).unwrap()),
            kind: ToolKind::Function,
            namespace: None,
            signature: None,
            cache: None,
            ext: Ext::default(),
        })
    });
    prop_oneof![
        2 => words().prop_map(|text| Part::text(format!("{text}."))),
        1 => words().prop_map(|text| Part::Thinking(Thinking { text: text.into(), ..Thinking::default() })),
        2 => call,
    ]
}

/// An answer that every dialect can tell: reasoning once, no two texts beside each other, which some dialects
/// run together, and no two calls of one id.
fn response() -> impl Strategy<Value = Response> {
    let counts = (0_u64..90, 0_u64..90, 0_u64..90);
    (prop::collection::vec(part(), 1..7), any::<bool>(), counts).prop_map(|(drawn, cut, counts)| {
        let mut parts: Vec<Part> = Vec::new();
        for part in drawn {
            let joins = match (parts.last(), &part) {
                (Some(Part::Text(_)), Part::Text(_)) => true,
                (_, Part::Thinking(_)) => {
                    parts.iter().any(|part| matches!(part, Part::Thinking(_)))
                }
                (_, Part::ToolUse(call)) => parts
                    .iter()
                    .any(|part| matches!(part, Part::ToolUse(other) if other.id == call.id)),
                _ => false,
            };
            if !joins {
                parts.push(part);
            }
        }
        let calls = parts.iter().any(|part| matches!(part, Part::ToolUse(_)));
        let finish = match (cut, calls) {
            (true, _) => Finish::Length,
            (false, true) => Finish::ToolUse,
            (false, false) => Finish::Stop,
        };
        let (input, cached, output) = counts;
        let tokens =
            Usage { input: input + cached + 1, cached, output: output + 1, ..Usage::default() };
        let choice = Choice {
            index: 0,
            parts,
            finish,
            reason: None,
            stop_sequence: None,
            details: None,
            logprobs: Vec::new(),
        };
        Response {
            id: "r1".into(),
            model: "m".into(),
            choices: vec![choice],
            usage: Some(Usage { exact: true, ..tokens }.into()),
            ..Response::default()
        }
    })
}

/// An answer without what dialects make up or spell in their own way: ids of answers and items, times, the
/// word for the end.
fn level(mut response: Response) -> Response {
    (response.id, response.created) = ("".into(), None);
    (response.service_tier, response.fingerprint) = (None, None);
    for choice in &mut response.choices {
        choice.reason = None;
        for part in &mut choice.parts {
            match part {
                Part::Thinking(thinking) => {
                    (thinking.item_id, thinking.summary) = (None, false);
                }
                Part::ToolUse(call) => {
                    call.ext = Ext::default();
                    // Blanks between tokens are the writer's own; the tokens are not.
                    if let ToolInput::Json(json) = &mut call.input {
                        *json = RawJson::parse(compact(json.get())).unwrap();
                    }
                }
                _ => {}
            }
        }
    }
    response
}

fn compact(json: &str) -> String {
    let mut inside = false;
    let mut escaped = false;
    json.chars()
        .filter(|c| {
            let keep = inside || !c.is_ascii_whitespace();
            match c {
                '"' if !escaped => inside = !inside,
                _ => {}
            }
            escaped = *c == '\\' && !escaped;
            keep
        })
        .collect()
}

fn plan(client: Dialect) -> ReplyPlan {
    let request = Request { model: "m".into(), ..Request::default() };
    let mut plan = ReplyPlan::new(client, &request, 0);
    (plan.shows_thinking, plan.include_usage) = (true, true);
    plan
}

/// The stream of an answer in a dialect.
fn encoded(dialect: Dialect, framing: Framing, response: Response) -> Vec<u8> {
    let mut out = Vec::new();
    macro_rules! write_with {
        ($codec:ident) => {{
            let mut encoder = $codec::StreamEncoder::new(plan(dialect), framing);
            unfold(response).iter().for_each(|event| encoder.event(event, &mut out));
        }};
    }
    match dialect {
        Dialect::Chat => write_with!(chat),
        Dialect::Resp => write_with!(resp),
        Dialect::Anth => write_with!(anth),
        Dialect::Gem => write_with!(gem),
    }
    out
}

fn whole(dialect: Dialect, response: &Response) -> Vec<u8> {
    match dialect {
        Dialect::Chat => chat::encode_response(response, &plan(dialect)),
        Dialect::Resp => resp::encode_response(response, &plan(dialect)),
        Dialect::Anth => anth::encode_response(response, &plan(dialect)),
        Dialect::Gem => gem::encode_response(response, &plan(dialect)),
    }
}

fn read_whole(dialect: Dialect, body: &[u8]) -> Response {
    let source = Source::new(dialect);
    match dialect {
        Dialect::Chat => chat::decode_response(body, &source),
        Dialect::Resp => resp::decode_response(body, &source),
        Dialect::Anth => anth::decode_response(body, &source),
        Dialect::Gem => gem::decode_response(body, &source),
    }
    .unwrap()
}

/// The events of a stream that arrives in pieces of these sizes, over and over.
fn events(dialect: Dialect, framing: Framing, stream: &[u8], sizes: &[usize]) -> Vec<Event> {
    let mut reader = EventReader::new(Source { framing, ..Source::new(dialect) }, LARGEST);
    let (mut out, mut rest) = (Vec::new(), stream);
    for size in sizes.iter().cycle() {
        let Some((piece, tail)) = rest.split_at_checked((*size).min(rest.len())) else { break };
        reader.push(piece, &mut out);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    reader.finish(&mut out);
    out
}

fn folded(events: Vec<Event>) -> Response {
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    level(fold.finish().unwrap())
}

/// Chat and Gemini put one message together: reasoning first, then text, then calls.
fn in_one_message(mut response: Response) -> Response {
    for choice in &mut response.choices {
        let rank = |part: &Part| match part {
            Part::Thinking(_) => 0_u8,
            Part::Text(_) => 1,
            _ => 2,
        };
        choice.parts.sort_by_key(rank);
        choice.parts.dedup_by_key(|part| match part {
            Part::ToolUse(call) => call.id.to_string(),
            part => rank(part).to_string(),
        });
    }
    response
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_stream_folds_into_what_it_was_made_of(
        response in response(),
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        for (dialect, framing) in DIALECTS
            .map(|dialect| (dialect, Framing::Sse))
            .into_iter()
            .chain([(Dialect::Gem, Framing::JsonArray)])
        {
            let stream = encoded(dialect, framing, response.clone());
            let at_once = events(dialect, framing, &stream, &[stream.len()]);
            let mut order = EventOrder::default();
            at_once.iter().for_each(|event| order.check(event).unwrap());
            prop_assert!(order.is_ended());
            for sizes in [&sizes[..], &[1]] {
                let in_pieces = events(dialect, framing, &stream, sizes);
                prop_assert_eq!(&in_pieces, &at_once, "{:?} in pieces of {:?}", dialect, sizes);
            }
            prop_assert_eq!(folded(at_once), level(response.clone()), "{:?}", dialect);
        }
    }

    #[test]
    fn t179_a_whole_answer_reads_as_what_it_was_written_from(response in response()) {
        for dialect in DIALECTS {
            let told = match dialect {
                Dialect::Chat => in_one_message(response.clone()),
                Dialect::Resp | Dialect::Anth | Dialect::Gem => response.clone(),
            };
            let body = whole(dialect, &told);
            prop_assert_eq!(level(read_whole(dialect, &body)), level(told), "{:?}", dialect);
        }
    }

    #[test]
    fn t179_a_request_reads_as_what_it_was_written_from(request in request()) {
        for dialect in DIALECTS {
            let mut warnings = Warnings::default();
            let target = Target::new(dialect, "m");
            let body = match dialect {
                Dialect::Chat => chat::encode_request(&request, &target, &mut warnings),
                Dialect::Resp => resp::encode_request(&request, &target, &mut warnings),
                Dialect::Anth => anth::encode_request(&request, &target, &mut warnings),
                Dialect::Gem => gem::encode_request(&request, &target, &mut warnings),
            };
            let body = body.unwrap().body;
            let read = match dialect {
                Dialect::Chat => chat::decode_request(&body, &mut warnings),
                Dialect::Resp => resp::decode_request(&body, &mut warnings),
                Dialect::Anth => anth::decode_request(&body, &mut warnings),
                Dialect::Gem => gem::decode_request(&body, &mut warnings),
            };
            let text = String::from_utf8_lossy(&body).into_owned();
            prop_assert_eq!(level_turns(read.unwrap()), level_turns(request.clone()), "{:?} {}", dialect, text);
        }
    }
}

/// A conversation that every dialect can tell: the user begins, sides take turns, every call has its result.
fn request() -> impl Strategy<Value = Request> {
    let step = (words(), prop::collection::vec(arguments(), 0..3), words());
    let system = prop::option::of("[a-z\u{e9}]{1,9}");
    (words(), prop::collection::vec(step, 0..4), system).prop_map(|(asked, steps, system)| {
        let said = |text: String| Part::text(format!("{text}."));
        let mut turns = vec![ir::Turn::new(ir::Role::User, vec![said(asked)])];
        for (at, (text, calls, answer)) in steps.into_iter().enumerate() {
            let mut parts = vec![said(text)];
            let mut results = Vec::new();
            for (n, arguments) in calls.into_iter().enumerate() {
                let id = format!("call_{at}_{n}");
                parts.push(Part::ToolUse(ToolUse {
                    id: id.clone().into(),
                    name: "f".into(),
                    input: ToolInput::Json(RawJson::parse(arguments).unwrap()),
                    kind: ToolKind::Function,
                    namespace: None,
                    signature: None,
                    cache: None,
                    ext: Ext::default(),
                }));
                results.push(Part::ToolResult(ir::ToolResult {
                    id: id.into(),
                    name: Some("f".into()),
                    content: vec![said(answer.clone())],
                    is_error: false,
                    kind: ToolKind::Function,
                    cache: None,
                    ext: Ext::default(),
                }));
            }
            if results.is_empty() {
                results.push(said(answer));
            }
            turns.push(ir::Turn::new(ir::Role::Assistant, parts));
            turns.push(ir::Turn::new(ir::Role::User, results));
        }
        let system = system.map(|text| ir::SystemPart {
            text: text.into(),
            cache: None,
            origin: ir::SystemOrigin::Top,
            ext: Ext::default(),
        });
        Request {
            model: "m".into(),
            turns,
            system: system.into_iter().collect(),
            ..Request::default()
        }
    })
}

/// The conversation alone, with items of Responses put together, and without what dialects keep of a
/// result's form.
fn level_turns(request: Request) -> (Vec<String>, Vec<(ir::Role, Vec<Part>)>) {
    let system = request.system.into_iter().map(|part| part.text.to_string()).collect();
    let mut turns: Vec<(ir::Role, Vec<Part>)> = Vec::new();
    for turn in request.turns {
        let parts = turn.parts.into_iter().map(|mut part| {
            match &mut part {
                Part::ToolUse(call) => {
                    call.ext = Ext::default();
                    if let ToolInput::Json(json) = &mut call.input {
                        *json = RawJson::parse(compact(json.get())).unwrap();
                    }
                }
                Part::ToolResult(result) => {
                    (result.ext, result.name) = (Ext::default(), None);
                }
                _ => {}
            }
            part
        });
        match turns.last_mut() {
            Some((role, before)) if *role == turn.role => before.extend(parts),
            _ => turns.push((turn.role, parts.collect())),
        }
    }
    (system, turns)
}
