//! Rule G: signatures on the calls of Gemini 3 (translation §2.7).
//!
//! Each step's first call of the current turn must carry the signature that the model put there, else
//! the request is refused. Clients of other dialects lose it; the router remembers, and where it does not,
//! Google documents a value that skips the check.

use std::borrow::Cow;

use super::Target;
use super::signature::{GEMINI_BYPASS, NoteKey, Signatures};
use crate::Dialect;
use crate::gem::is_gemini_3;
use crate::ir::{Part, Request, Role, SigFamily, Signature, Thinking, ToolInput, ToolUse, Turn};

/// Signs the first call of each step since the user last spoke. Signatures of other families go.
pub fn sign_calls(request: &mut Request, target: &Target, signatures: &dyn Signatures) {
    if target.dialect != Dialect::Gem || target.family == SigFamily::Claude {
        return;
    }
    let current = current_turn(&request.turns);
    let must_sign = is_gemini_3(&target.model);
    for (at, turn) in request.turns.iter_mut().enumerate() {
        if turn.role == Role::Assistant {
            take_from_thinking(turn);
            let forced = must_sign && at >= current;
            sign_first(turn, forced, signatures);
        }
    }
}

/// The turn after the last one in which the user said something beside results of tools.
fn current_turn(turns: &[Turn]) -> usize {
    let speaks = |turn: &Turn| {
        turn.role == Role::User
            && turn
                .parts
                .iter()
                .any(|part| !matches!(part, Part::ToolResult(_) | Part::SystemNote { .. }))
    };
    turns.iter().rposition(speaks).map_or(0, |at| at.saturating_add(1))
}

/// A signature that a client got as reasoning without words belongs to the call behind it (T109).
fn take_from_thinking(turn: &mut Turn) {
    let mut carried: Option<Signature> = None;
    let mut parts = Vec::with_capacity(turn.parts.len());
    for mut part in turn.parts.drain(..) {
        match &mut part {
            Part::Thinking(Thinking { text, signature: Some(signature), .. })
                if signature.family == SigFamily::Gemini =>
            {
                carried = Some(signature.clone());
                if text.is_empty() {
                    continue;
                }
            }
            Part::Redacted { seal, .. } if seal.family == SigFamily::Gemini => {
                carried = Some(seal.clone());
                continue;
            }
            Part::ToolUse(ToolUse { signature, .. }) => {
                let carried = carried.take();
                if signature.is_none() {
                    *signature = carried;
                }
            }
            _ => {}
        }
        parts.push(part);
    }
    turn.parts = parts;
}

fn sign_first(turn: &mut Turn, forced: bool, signatures: &dyn Signatures) {
    let first = turn.parts.iter_mut().find_map(|part| match part {
        Part::ToolUse(call) => Some(call),
        _ => None,
    });
    let Some(call) = first.filter(|call| call.signature.is_none()) else { return };
    let input: Cow<'_, str> = match &call.input {
        ToolInput::Json(json) => json.get().into(),
        ToolInput::Text(text) => (&**text).into(),
    };
    let recall = |key: &NoteKey| signatures.recall(SigFamily::Gemini, key)?.signature;
    let known = recall(&NoteKey::Call(call.id.clone()))
        .or_else(|| recall(&NoteKey::call_content(&call.name, &input)));
    let bypass = || Signature {
        family: SigFamily::Gemini,
        value: crate::ir::Str::from_static(GEMINI_BYPASS),
    };
    call.signature = known.or_else(|| forced.then(bypass));
}

#[cfg(test)]
mod tests {
    use super::super::signature::Remembered;
    use super::*;
    use crate::ir::{Ext, RawJson, ToolKind, ToolResult};

    struct Memory(&'static str);

    impl Signatures for Memory {
        fn recall(&self, family: SigFamily, key: &NoteKey) -> Option<Remembered> {
            let known = family == SigFamily::Gemini && *key == NoteKey::Call(self.0.into());
            known.then(|| Remembered { signature: Some(signature("real")), ..Default::default() })
        }
    }

    fn signature(value: &'static str) -> Signature {
        Signature { family: SigFamily::Gemini, value: value.into() }
    }

    fn call(id: &'static str) -> Part {
        Part::ToolUse(ToolUse {
            id: id.into(),
            name: "f".into(),
            input: ToolInput::Json(RawJson::parse("{}").unwrap()),
            kind: ToolKind::Function,
            namespace: None,
            signature: None,
            cache: None,
            ext: Ext::default(),
        })
    }

    fn result(id: &'static str) -> Part {
        Part::ToolResult(ToolResult {
            id: id.into(),
            name: None,
            content: vec![],
            is_error: false,
            kind: ToolKind::Function,
            cache: None,
            ext: Ext::default(),
        })
    }

    fn signed(
        model: &str,
        turns: Vec<(Role, Vec<Part>)>,
        memory: &'static str,
    ) -> Vec<Option<String>> {
        let turns = turns.into_iter().map(|(role, parts)| Turn::new(role, parts)).collect();
        let mut request = Request { turns, ..Request::default() };
        let target = Target { family: SigFamily::Gemini, ..Target::new(Dialect::Gem, model) };
        sign_calls(&mut request, &target, &Memory(memory));
        let parts = request.turns.into_iter().flat_map(|turn| turn.parts);
        parts
            .filter_map(|part| match part {
                Part::ToolUse(call) => Some(call.signature.map(|s| s.value.to_string())),
                _ => None,
            })
            .collect()
    }

    fn some(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn t110_the_first_call_of_each_step_is_signed() {
        use Role::{Assistant, User};
        let talk = || {
            vec![
                (User, vec![Part::text("a")]),
                (Assistant, vec![call("old")]),
                (User, vec![result("old")]),
                (Assistant, vec![Part::text("b")]),
                (User, vec![Part::text("c")]),
                (Assistant, vec![call("1"), call("2")]),
                (User, vec![result("1"), result("2")]),
                (Assistant, vec![call("3")]),
                (User, vec![result("3")]),
            ]
        };
        let bypass = || some(GEMINI_BYPASS);
        let model = "gemini-3-flash-preview";
        assert_eq!(signed(model, talk(), "1"), [None, some("real"), None, bypass()]);
        assert_eq!(signed(model, talk(), "old"), [some("real"), bypass(), None, bypass()]);
    }

    #[test]
    fn t111_older_models_get_no_made_up_signature() {
        let talk = vec![(Role::User, vec![Part::text("a")]), (Role::Assistant, vec![call("1")])];
        assert_eq!(signed("gemini-2.5-pro", talk.clone(), "x"), [None]);
        assert_eq!(signed("gemini-2.5-pro", talk, "1"), [some("real")]);
    }

    #[test]
    fn t109_a_signature_in_a_thinking_block_goes_back_to_its_call() {
        let block = |text: &'static str| {
            Part::Thinking(Thinking {
                text: text.into(),
                signature: Some(signature("S")),
                ..Thinking::default()
            })
        };
        let talk = |block| {
            vec![
                (Role::User, vec![Part::text("a")]),
                (Role::Assistant, vec![block, call("1"), call("2")]),
            ]
        };
        assert_eq!(signed("gemini-3-pro", talk(block("")), "x"), [some("S"), None]);
        assert_eq!(signed("gemini-3-pro", talk(block("words")), "x"), [some("S"), None]);
    }
}
