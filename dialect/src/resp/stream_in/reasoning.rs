//! A reasoning item on its way in: one part, however many summaries it has.

use super::{Key, Parts, missing};
use crate::ir::{Event, Failure, PartKind, Signature, Str};
use crate::resp::object::Object;

/// A reasoning item and what was handed on of it.
#[derive(Debug)]
pub(super) struct Reasoning {
    id: Option<Str>,
    /// What is handed on of the two that an item may hold; the first to come decides.
    says: Option<Says>,
    /// Paragraphs by their index: what was handed on of each.
    paragraphs: Vec<(u32, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Says {
    Summary,
    /// The reasoning itself (open models).
    Raw,
}

impl Reasoning {
    pub(super) fn new(item: &Object<'_>) -> Self {
        Self { id: item.name("id"), says: None, paragraphs: Vec::new() }
    }

    pub(super) fn event(
        &mut self,
        key: Key,
        kind: &str,
        event: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let summary = event.number("summary_index").unwrap_or(0);
        let content = event.number("content_index").unwrap_or(0);
        let text = |key| event.text(key).unwrap_or_default();
        match kind {
            "response.reasoning_summary_text.delta" => {
                self.say(key, Says::Summary, summary, text("delta"), parts, out)
            }
            "response.reasoning_summary_text.done" => {
                self.fill(key, Says::Summary, summary, &text("text"), parts, out)
            }
            "response.reasoning_summary_part.done" => {
                let part = event.object("part").and_then(|part| part.text("text"));
                self.fill(key, Says::Summary, summary, &part.unwrap_or_default(), parts, out)
            }
            "response.reasoning_text.delta" => {
                self.say(key, Says::Raw, content, text("delta"), parts, out)
            }
            "response.reasoning_text.done" => {
                self.fill(key, Says::Raw, content, &text("text"), parts, out)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn done(
        &mut self,
        key: Key,
        item: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        self.id = self.id.take().or_else(|| item.name("id"));
        for (says, member) in [(Says::Summary, "summary"), (Says::Raw, "content")] {
            for (nth, text) in paragraphs(item, member).iter().enumerate() {
                let index = u32::try_from(nth).unwrap_or(u32::MAX);
                self.fill(key, says, index, text, parts, out)?;
            }
        }
        // The seal at the item's start is provisional; this one counts.
        let seal =
            item.name("encrypted_content").map(|value| Signature { family: parts.family, value });
        if self.says.is_some() {
            if let Some(signature) = seal {
                let bytes = signature.value.len();
                let event = |part| Event::Signature { part, signature };
                parts.queue.delta(key, event, bytes, out)?;
            }
            parts.queue.stop(key, None, out);
        } else if let Some(seal) = seal {
            let item_id = self.id.clone();
            parts.queue.start(key, 0, PartKind::Redacted { seal, item_id }, out);
            parts.queue.stop(key, None, out);
        }
        Ok(())
    }

    fn fill(
        &mut self,
        key: Key,
        says: Says,
        index: u32,
        whole: &str,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let last = self.paragraphs.last().map(|(last, _)| *last);
        let streamed = match self.paragraphs.iter().find(|(known, _)| *known == index) {
            Some((_, text)) if last == Some(index) => text.as_str(),
            // An earlier paragraph cannot be added to any more.
            Some(_) => return Ok(()),
            None if last.is_some_and(|last| last > index) => return Ok(()),
            None => "",
        };
        let rest = Str::from(missing(streamed, whole));
        self.say(key, says, index, rest, parts, out)
    }

    fn say(
        &mut self,
        key: Key,
        says: Says,
        index: u32,
        text: Str,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if text.is_empty() || self.says.is_some_and(|first| first != says) {
            return Ok(());
        }
        if self.says.is_none() {
            self.says = Some(says);
            let item_id = self.id.clone();
            let kind = PartKind::Thinking { summary: says == Says::Summary, item_id };
            parts.queue.start(key, 0, kind, out);
        }
        match self.paragraphs.last_mut() {
            Some((last, said)) if *last == index => said.push_str(&text),
            last => {
                let later = last.is_some();
                self.paragraphs.push((index, text.to_string()));
                if later {
                    parts.queue.delta(key, |part| Event::ThinkingBreak { part }, 2, out)?;
                }
            }
        }
        let bytes = text.len();
        parts.queue.delta(key, |part| Event::Thinking { part, text }, bytes, out)
    }
}

/// The texts of a reasoning item's summary or content; some gateways give a bare string.
pub(in crate::resp) fn paragraphs(item: &Object<'_>, member: &str) -> Vec<Str> {
    if let Some(text) = item.text(member) {
        return vec![text];
    }
    let text = |element| match Object::parse(element) {
        Some(part) => part.text("text"),
        None => crate::json::string(element).map(crate::resp::object::str_of),
    };
    item.elements(member).into_iter().filter_map(text).filter(|text| !text.is_empty()).collect()
}
