//! Which reasoning survives the way to which target.

use super::*;
use crate::effort::Level;
use crate::ir::{Ext, RawJson, ToolInput, ToolKind, ToolResult, ToolUse};
use crate::translate::signature::{GEMINI_BYPASS, NoSignatures, Remembered};
use crate::translate::{BudgetCaps, LevelCaps};

/// A memory of one thing.
struct Memory(SigFamily, NoteKey, Remembered);

impl Signatures for Memory {
    fn recall(&self, family: SigFamily, key: &NoteKey) -> Option<Remembered> {
        (family == self.0 && *key == self.1).then(|| self.2.clone())
    }
}

fn signature(family: SigFamily, value: &'static str) -> Signature {
    Signature { family, value: value.into() }
}

fn thought(signature: Option<Signature>) -> Part {
    Part::Thinking(Thinking { text: "t".into(), signature, ..Thinking::default() })
}

fn call(signature: Option<Signature>) -> Part {
    Part::ToolUse(ToolUse {
        id: "c1".into(),
        name: "f".into(),
        input: ToolInput::Json(RawJson::parse("{}").unwrap()),
        kind: ToolKind::Function,
        namespace: None,
        signature,
        cache: None,
        ext: Ext::default(),
    })
}

fn result() -> Part {
    Part::ToolResult(ToolResult {
        id: "c1".into(),
        name: None,
        content: Vec::new(),
        is_error: false,
        kind: ToolKind::Function,
        cache: None,
        ext: Ext::default(),
    })
}

fn carried(
    client: Dialect,
    target: &Target,
    memory: &dyn Signatures,
    parts: Vec<Part>,
) -> Vec<Part> {
    let turns = vec![Turn::new(Role::Assistant, parts)];
    let mut request = Request { turns, ..Request::default() };
    carry(&mut request, client, target, memory, &mut Warnings::default()).unwrap();
    request.turns.remove(0).parts
}

fn of(family: SigFamily, dialect: Dialect) -> Target {
    Target { family, ..Target::new(dialect, "m") }
}

#[test]
fn t108_reasoning_goes_to_the_family_that_made_it() {
    use SigFamily::{Claude, Gemini, OpenAi, Unknown};
    let cases = [
        // From any client, once it is known who made it.
        (Dialect::Chat, Claude, of(Claude, Dialect::Anth), true),
        (Dialect::Anth, Gemini, of(Claude, Dialect::Anth), false),
        (Dialect::Anth, Claude, of(Gemini, Dialect::Gem), false),
        (Dialect::Anth, Gemini, of(Gemini, Dialect::Gem), true),
        (Dialect::Anth, Claude, of(Claude, Dialect::Gem), true),
        (Dialect::Anth, OpenAi, of(OpenAi, Dialect::Resp), true),
        (Dialect::Anth, Claude, of(OpenAi, Dialect::Resp), false),
        (Dialect::Anth, Claude, of(OpenAi, Dialect::Chat), false),
        // Nobody knows: kept where the client speaks as the target does.
        (Dialect::Anth, Unknown, of(Claude, Dialect::Anth), true),
        (Dialect::Anth, Unknown, of(Unknown, Dialect::Anth), true),
        (Dialect::Chat, Unknown, of(Claude, Dialect::Anth), false),
        (Dialect::Gem, Unknown, of(Gemini, Dialect::Gem), true),
        (Dialect::Anth, Unknown, of(Gemini, Dialect::Gem), false),
        // The model's name tells where the catalog does not.
        (Dialect::Chat, Claude, Target::new(Dialect::Anth, "claude-opus-5"), true),
    ];
    for (client, family, target, kept) in cases {
        let parts = vec![thought(Some(signature(family, "S")))];
        let got = carried(client, &target, &NoSignatures, parts);
        assert_eq!(!got.is_empty(), kept, "{client:?} {family:?} {target:?}");
        let seal = Part::Redacted { seal: signature(family, "S"), item_id: None };
        let got = carried(client, &target, &NoSignatures, vec![seal]);
        assert_eq!(!got.is_empty(), kept, "sealed {client:?} {family:?} {target:?}");
    }
}

#[test]
fn signatures_are_known_by_memory_and_by_their_look() {
    let gem = of(SigFamily::Gemini, Dialect::Gem);
    let key = NoteKey::signature("S");
    let memory = Memory(SigFamily::Gemini, key, Remembered::default());
    let unknown = || vec![thought(Some(signature(SigFamily::Unknown, "S")))];
    let got = carried(Dialect::Anth, &gem, &memory, unknown());
    assert_eq!(got, [thought(Some(signature(SigFamily::Gemini, "S")))]);
    let bypass = vec![call(Some(signature(SigFamily::Unknown, GEMINI_BYPASS)))];
    let got = carried(Dialect::Chat, &gem, &NoSignatures, bypass);
    assert_eq!(got, [call(Some(signature(SigFamily::Gemini, GEMINI_BYPASS)))]);
    // A call stays when its signature does not.
    let foreign = vec![call(Some(signature(SigFamily::Claude, "S")))];
    assert_eq!(carried(Dialect::Chat, &gem, &NoSignatures, foreign), [call(None)]);
}

#[test]
fn t114_reasoning_in_words_goes_to_those_who_take_it() {
    let mut deep = of(SigFamily::Unknown, Dialect::Chat);
    let words = || vec![thought(Some(signature(SigFamily::Claude, "S"))), call(None)];
    assert_eq!(carried(Dialect::Chat, &deep, &NoSignatures, words()), [call(None)]);
    deep.profile.reasoning_history = true;
    let got = carried(Dialect::Chat, &deep, &NoSignatures, words());
    assert_eq!(got, [thought(None), call(None)]);

    let mut gateway = of(SigFamily::Unknown, Dialect::Anth);
    let unsigned = || vec![thought(None)];
    assert_eq!(carried(Dialect::Chat, &gateway, &NoSignatures, unsigned()), []);
    gateway.profile.unsigned_thinking_ok = true;
    assert_eq!(carried(Dialect::Chat, &gateway, &NoSignatures, unsigned()), unsigned());
}

#[test]
fn upstreams_that_want_their_reasoning_back_get_it() {
    let mut target = of(SigFamily::Unknown, Dialect::Chat);
    target.quirks = vec![Quirk::ReasoningEchoToolCalls];
    let known = Remembered { reasoning: vec![thought(None)], signature: None };
    let memory = Memory(SigFamily::Unknown, NoteKey::Call("c1".into()), known);
    assert_eq!(
        carried(Dialect::Chat, &target, &memory, vec![call(None)]),
        [thought(None), call(None)]
    );
    let got = carried(Dialect::Chat, &target, &NoSignatures, vec![call(None)]);
    let [Part::Thinking(thinking), Part::ToolUse(_)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(thinking.text, " ");
    let said = || vec![Part::text("a")];
    assert_eq!(carried(Dialect::Chat, &target, &NoSignatures, said()), said());
    target.quirks = vec![Quirk::ReasoningEchoAll];
    assert_eq!(carried(Dialect::Chat, &target, &NoSignatures, said()).len(), 2);
}

fn history() -> Vec<Turn> {
    vec![
        Turn::new(Role::User, vec![Part::text("q")]),
        Turn::new(Role::Assistant, vec![Part::text("a"), call(None)]),
        Turn::new(Role::User, vec![result()]),
    ]
}

fn prepared(
    thinking: ThinkingCaps,
    effort: Effort,
    memory: &dyn Signatures,
    turns: Vec<Turn>,
) -> Request {
    let mut target = of(SigFamily::Claude, Dialect::Anth);
    target.caps.thinking = thinking;
    let mut request = Request { turns, ..Request::default() };
    request.reasoning.effort = Some(effort);
    carry(&mut request, Dialect::Chat, &target, memory, &mut Warnings::default()).unwrap();
    request
}

#[test]
fn t112_claude_does_not_reason_on_after_calls_whose_reasoning_is_lost() {
    let budget = BudgetCaps { min: 1024, max: 32000, off: true, dynamic: false };
    let levels = LevelCaps { levels: crate::effort::Levels::default(), off: true, dynamic: true };
    let high = Effort::Level(Level::High);
    let cases = [
        (ThinkingCaps::Budget(budget), high, None),
        (ThinkingCaps::Unknown, high, None),
        (ThinkingCaps::Adaptive(levels.clone()), high, Some(high)),
        (ThinkingCaps::Hybrid(budget, levels.clone()), high, Some(high)),
        (ThinkingCaps::Hybrid(budget, levels), Effort::Budget(4096), None),
        (ThinkingCaps::Budget(budget), Effort::Off, Some(Effort::Off)),
    ];
    for (caps, effort, want) in cases {
        let got = prepared(caps.clone(), effort, &NoSignatures, history());
        assert_eq!(got.reasoning.effort, want, "{caps:?} {effort:?}");
    }
    // The user spoke again: earlier reasoning is not asked for.
    let mut turns = history();
    turns.push(Turn::new(Role::Assistant, vec![Part::text("b")]));
    turns.push(Turn::new(Role::User, vec![Part::text("x")]));
    let got = prepared(ThinkingCaps::Unknown, high, &NoSignatures, turns);
    assert_eq!(got.reasoning.effort, Some(high));
}

#[test]
fn reasoning_that_the_client_lost_is_brought_back() {
    let own = thought(Some(signature(SigFamily::Claude, "S")));
    let known = Remembered { reasoning: vec![own.clone()], signature: None };
    let memory = Memory(SigFamily::Claude, NoteKey::Call("c1".into()), known);
    let high = Effort::Level(Level::High);
    let got = prepared(ThinkingCaps::Unknown, high, &memory, history());
    assert_eq!(got.reasoning.effort, Some(high));
    assert_eq!(got.turns[1].parts[0], own);
    assert_eq!(got.turns[1].parts.len(), 3);
    // The calls before the last ones as well: what was sent a request ago is sent again.
    let later = |part| match part {
        Part::ToolUse(call) => Part::ToolUse(ToolUse { id: "c2".into(), ..call }),
        Part::ToolResult(result) => Part::ToolResult(ToolResult { id: "c2".into(), ..result }),
        part => part,
    };
    let mut turns = history();
    turns.push(Turn::new(Role::Assistant, vec![own.clone(), later(call(None))]));
    turns.push(Turn::new(Role::User, vec![later(result())]));
    let got = prepared(ThinkingCaps::Unknown, high, &memory, turns.clone());
    assert_eq!((&got.turns[1].parts[0], got.turns[3].parts.len()), (&own, 2));
    // It is the last ones that count.
    turns[3].parts.remove(0);
    let got = prepared(ThinkingCaps::Unknown, high, &memory, turns);
    assert_eq!((&got.turns[1].parts[0], got.reasoning.effort), (&own, None));
}

#[test]
fn models_that_keep_their_thoughts_are_asked_for_a_summary() {
    let levels = LevelCaps { levels: crate::effort::Levels::default(), off: true, dynamic: true };
    let got = prepared(ThinkingCaps::Adaptive(levels), Effort::Auto, &NoSignatures, Vec::new());
    assert_eq!(got.reasoning.summary, Summary::Auto);
    let got = prepared(ThinkingCaps::Unknown, Effort::Auto, &NoSignatures, Vec::new());
    assert_eq!(got.reasoning.summary, Summary::Unset);
}
