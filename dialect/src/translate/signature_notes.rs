//! Gathers from an answer what is worth remembering of its reasoning (translation §2.7, last paragraph).

use super::signature::{Note, NoteKey, Remembered};
use crate::ir::{Event, Part, PartKind, Response, SigFamily, Signature, Str, Thinking, ToolInput};

/// The most that the reasoning of one answer may take up, bytes; beyond it nothing is kept.
const LIMIT: usize = 1 << 20;

/// Listens to the events of an answer.
#[derive(Debug)]
pub struct SignatureNotes {
    family: SigFamily,
    /// Reasoning so far, in order: it led to every call that comes after it.
    reasoning: Vec<Part>,
    open: Option<Open>,
    size: usize,
    notes: Vec<Note>,
}

#[derive(Debug)]
struct Open {
    part: u32,
    kind: PartKind,
    text: String,
    signature: Option<Signature>,
}

impl SignatureNotes {
    /// Notes on an answer of a model of `family`.
    pub fn new(family: SigFamily) -> Self {
        Self { family, reasoning: Vec::new(), open: None, size: 0, notes: Vec::new() }
    }

    /// Takes the next event, before the client's names are put in.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::PartStart { part, choice: 0, kind } => self.start(*part, kind),
            Event::Thinking { part, text } | Event::ToolInput { part, text } => {
                self.with(*part, |open| open.text.push_str(text));
                self.size = self.size.saturating_add(text.len());
            }
            Event::ThinkingBreak { part } => self.with(*part, |open| open.text.push_str("\n\n")),
            Event::Signature { part, signature } => {
                self.with(*part, |open| open.signature = Some(signature.clone()));
            }
            Event::PartStop { part, .. } => {
                if let Some(open) = self.open.take_if(|open| open.part == *part) {
                    self.stop(open);
                }
            }
            _ => {}
        }
    }

    /// Takes a whole answer.
    pub fn response(&mut self, response: &Response) {
        for event in super::unfold(response.clone()) {
            self.event(&event);
        }
    }

    /// What was noted since the last time: a stream that breaks off has told its reasoning all the same.
    pub fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    fn start(&mut self, part: u32, kind: &PartKind) {
        let heard = matches!(
            kind,
            PartKind::Thinking { .. } | PartKind::Redacted { .. } | PartKind::ToolUse { .. }
        );
        self.open =
            heard.then(|| Open { part, kind: kind.clone(), text: String::new(), signature: None });
    }

    fn with(&mut self, part: u32, change: impl FnOnce(&mut Open)) {
        if self.size <= LIMIT
            && let Some(open) = self.open.as_mut().filter(|open| open.part == part)
        {
            change(open);
        }
    }

    fn stop(&mut self, open: Open) {
        if self.size > LIMIT {
            // Half of a proof is none.
            self.reasoning.clear();
            return;
        }
        match open.kind {
            PartKind::Thinking { summary, item_id } => {
                if let Some(signature) = &open.signature {
                    self.note_signature(signature);
                    if !open.text.is_empty() {
                        self.note(NoteKey::words(&open.text), Vec::new(), open.signature.clone());
                    }
                }
                let mut thinking = Thinking { text: open.text.into(), ..Thinking::default() };
                thinking.signature = open.signature;
                (thinking.summary, thinking.item_id) = (summary, item_id);
                self.reasoning.push(Part::Thinking(thinking));
            }
            PartKind::Redacted { seal, item_id } => {
                self.note_signature(&seal);
                self.reasoning.push(Part::Redacted { seal, item_id });
            }
            PartKind::ToolUse { id, name, kind, signature, .. } => {
                let signature = open.signature.or(signature);
                if let Some(signature) = &signature {
                    self.note_signature(signature);
                }
                if signature.is_none() && self.reasoning.is_empty() {
                    return;
                }
                let reasoning = self.reasoning.clone();
                if !id.is_empty() {
                    self.note(NoteKey::Call(id), reasoning.clone(), signature.clone());
                }
                let input = match super::tool_input(&kind, open.text.into()) {
                    ToolInput::Json(json) => Str::from(json.get()),
                    ToolInput::Text(text) => text,
                };
                self.note(NoteKey::call_content(&name, &input), reasoning, signature);
            }
            _ => {}
        }
    }

    fn note_signature(&mut self, signature: &Signature) {
        self.note(NoteKey::signature(&signature.value), Vec::new(), None);
    }

    fn note(&mut self, key: NoteKey, reasoning: Vec<Part>, signature: Option<Signature>) {
        let remembered = Remembered { reasoning, signature };
        self.notes.push(Note { family: self.family, key, remembered });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Choice, Ext, RawJson, ToolKind, ToolUse};

    fn call(id: &'static str, signature: Option<Signature>) -> Part {
        Part::ToolUse(ToolUse {
            id: id.into(),
            name: "f".into(),
            input: ToolInput::Json(RawJson::parse("{\"a\":1}").unwrap()),
            kind: ToolKind::Function,
            namespace: None,
            signature,
            cache: None,
            ext: Ext::default(),
        })
    }

    fn notes(parts: Vec<Part>) -> Vec<Note> {
        let choice = Choice { parts, ..Choice::new(0) };
        let mut notes = SignatureNotes::new(SigFamily::Claude);
        notes.response(&Response { choices: vec![choice], ..Response::default() });
        notes.take()
    }

    fn signed(value: &'static str) -> Signature {
        Signature { family: SigFamily::Claude, value: value.into() }
    }

    #[test]
    fn reasoning_is_found_by_the_calls_that_it_led_to() {
        let thinking = Part::Thinking(Thinking {
            text: "t".into(),
            signature: Some(signed("S")),
            ..Thinking::default()
        });
        let seal = Part::Redacted { seal: signed("R"), item_id: None };
        let reasoning = vec![thinking, seal];
        let mut parts = reasoning.clone();
        parts.extend([Part::text("a"), call("c1", None), call("c2", None)]);
        let notes = notes(parts);
        let of = |key: NoteKey| notes.iter().find(|note| note.key == key).map(|n| &n.remembered);
        for key in ["c1", "c2"] {
            assert_eq!(of(NoteKey::Call(key.into())).unwrap().reasoning, reasoning);
        }
        assert!(of(NoteKey::call_content("f", "{\"a\":1}")).is_some());
        assert_eq!(of(NoteKey::words("t")).unwrap().signature, Some(signed("S")));
        assert!(of(NoteKey::signature("S")).is_some() && of(NoteKey::signature("R")).is_some());
    }

    #[test]
    fn what_proves_nothing_is_not_noted() {
        assert_eq!(notes(vec![Part::text("a"), call("c1", None)]), []);
        let notes = notes(vec![call("c1", Some(signed("S")))]);
        let by_id = notes.iter().find(|note| note.key == NoteKey::Call("c1".into())).unwrap();
        assert_eq!(by_id.remembered.signature, Some(signed("S")));
    }

    #[test]
    fn endless_reasoning_is_not_kept() {
        let text = "x".repeat(LIMIT + 1);
        let thinking = Part::Thinking(Thinking { text: text.into(), ..Thinking::default() });
        assert_eq!(notes(vec![thinking, call("c1", None)]), []);
    }
}
