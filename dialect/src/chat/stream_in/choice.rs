//! One alternative of a chat answer: which of its parts is open, and what goes into it.

use crate::ir::{
    Citation, Event, Failure, MediaSource, PartKind, RawJson, SigFamily, Signature, Str,
};
use crate::json;
use crate::tap::TapFault;
use crate::translate::{PartQueue, ids};

use super::super::delta::{self, ContentPart, Delta};
use super::call::{Call, Fragment};
use crate::translate::think_tags::{Stretch, ThinkTags};

/// The most arguments that wait for the name of their call, bytes.
const HELD_LIMIT: usize = 32 * 1024 * 1024;

/// What all choices of an answer share.
pub(super) struct Parts<'d> {
    pub(super) queue: &'d mut PartQueue<u32>,
    pub(super) next_key: &'d mut u32,
    /// Calls so far, over all choices.
    pub(super) calls: &'d mut u32,
    pub(super) response_id: &'d Str,
    pub(super) family: SigFamily,
    pub(super) out: &'d mut Vec<Event>,
}

impl Parts<'_> {
    fn start(&mut self, choice: u32, kind: PartKind) -> u32 {
        let key = *self.next_key;
        *self.next_key = key.saturating_add(1);
        self.queue.start(key, choice, kind, self.out);
        key
    }

    fn stop(&mut self, key: u32) {
        self.queue.stop(key, None, self.out);
    }

    fn delta(
        &mut self,
        key: u32,
        bytes: usize,
        event: impl FnOnce(u32) -> Event,
    ) -> Result<(), Failure> {
        self.queue.delta(key, event, bytes, self.out)
    }

    fn signature(&self, value: Str, family: Option<SigFamily>) -> Signature {
        Signature { family: family.unwrap_or(self.family), value }
    }

    /// A signature that stands where Google puts them.
    fn google(&self, value: Str) -> Signature {
        let known = (self.family != SigFamily::Unknown).then_some(self.family);
        self.signature(value, known.or(Some(SigFamily::Gemini)))
    }
}

/// The kinds of content that go on over several chunks and are no calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Says {
    Text,
    Thinking,
    Refusal,
    Audio,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    says: Says,
    key: u32,
    signed: bool,
}

/// The state of one choice.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) index: u32,
    /// The upstream's word for its end.
    pub(super) reason: Option<Str>,
    /// The text that ended it (vLLM, SGLang).
    pub(super) stop_sequence: Option<Str>,
    /// Whether it said anything.
    pub(super) said: bool,
    /// Whether it refused in words.
    pub(super) refused: bool,
    /// Whether its text was cited.
    pub(super) cited: bool,
    open: Option<Open>,
    calls: Vec<Call>,
    /// Citations that came before the text.
    early: Vec<Citation>,
    tags: Option<ThinkTags>,
}

impl Choice {
    pub(super) fn new(index: u32, think_tags: bool) -> Self {
        Self {
            index,
            reason: None,
            stop_sequence: None,
            said: false,
            refused: false,
            cited: false,
            open: None,
            calls: Vec::new(),
            early: Vec::new(),
            tags: think_tags.then(ThinkTags::think),
        }
    }

    /// Whether it calls a tool of the client.
    pub(super) fn has_call(&self) -> bool {
        self.calls.iter().any(|call| call.key.is_some())
    }

    /// Takes a `delta`, or with `whole` a `message`, where each element of `tool_calls` is a call.
    pub(super) fn take(
        &mut self,
        raw: &str,
        whole: bool,
        parts: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        let delta = Delta::read(raw);
        self.say(Says::Thinking, &delta.reasoning(), parts)?;
        self.seals(&delta, parts)?;
        if let Some(content) = delta.content {
            self.content(content, parts)?;
        }
        if let Some(refusal) = delta.refusal.and_then(json::string) {
            self.say(Says::Refusal, &refusal, parts)?;
        }
        if let Some(signature) = delta.signature.clone() {
            self.sign(parts.google(signature), parts)?;
        }
        if let Some(list) = delta.annotations {
            self.cite(delta::annotations(list), parts)?;
        }
        if let Some(images) = delta.images {
            let mut pictures = Vec::new();
            json::visit_elements(images, |image| {
                let source = json::member(image, "image_url").and_then(delta::image_url);
                if let Some(source) = source {
                    pictures.push(source);
                }
            });
            for source in pictures {
                self.image(source, parts);
            }
        }
        if let Some(audio) = delta.audio {
            self.audio(audio, parts)?;
        }
        let mut fragments = Vec::new();
        json::visit_elements(delta.tool_calls.unwrap_or_default(), |call| {
            let mut fragment = Fragment::read(call);
            if whole {
                fragment.index = u64::try_from(fragments.len()).ok();
            }
            fragments.push(fragment);
        });
        fragments.extend(delta.function_call.map(Fragment::read_function_call));
        fragments.into_iter().try_for_each(|fragment| self.call(fragment, parts))
    }

    /// Log probabilities of what was said in the same chunk.
    pub(super) fn logprobs(&mut self, raw: &str, parts: &mut Parts<'_>) -> Result<(), Failure> {
        let member = match self.open {
            Some(Open { says: Says::Text, .. }) => "content",
            Some(Open { says: Says::Refusal, .. }) => "refusal",
            _ => return Ok(()),
        };
        let mut tokens = Vec::new();
        json::visit_elements(json::member(raw, member).unwrap_or_default(), |token| {
            tokens.extend(RawJson::parse(token));
        });
        match self.open {
            Some(open) if !tokens.is_empty() => {
                parts.delta(open.key, raw.len(), |part| Event::Logprobs { part, tokens })
            }
            _ => Ok(()),
        }
    }

    /// Ties citations to the text.
    pub(super) fn cite(
        &mut self,
        citations: Vec<Citation>,
        parts: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        self.cited |= !citations.is_empty();
        match self.open {
            Some(Open { says: Says::Text, key, .. }) => {
                citations.into_iter().try_for_each(|citation| {
                    let bytes = citation.raw.as_ref().map_or(0, |(_, raw)| raw.get().len());
                    let citation = Box::new(citation);
                    parts.delta(key, bytes, |part| Event::Citation { part, citation })
                })
            }
            _ => {
                self.early.extend(citations);
                Ok(())
            }
        }
    }

    /// Ends the text that is held back for a tag.
    pub(super) fn flush(&mut self, parts: &mut Parts<'_>) -> Result<(), Failure> {
        let Some(rest) = self.tags.as_mut().map(ThinkTags::finish) else { return Ok(()) };
        self.stretch(&rest, parts)
    }

    /// Ends every part.
    pub(super) fn stop(&mut self, parts: &mut Parts<'_>) {
        self.end_open(parts);
        parts.queue.stop_all(self.index, parts.out);
    }

    fn content(&mut self, raw: &str, parts: &mut Parts<'_>) -> Result<(), Failure> {
        if let Some(text) = json::string(raw) {
            return self.text(&text, parts);
        }
        let mut found = Vec::new();
        delta::content_parts(raw, |part| found.push(part));
        found.into_iter().try_for_each(|part| match part {
            ContentPart::Text(text) => self.text(&text, parts),
            ContentPart::Thinking(text) => self.say(Says::Thinking, &text, parts),
            ContentPart::Image(source) => {
                self.image(source, parts);
                Ok(())
            }
        })
    }

    fn text(&mut self, text: &str, parts: &mut Parts<'_>) -> Result<(), Failure> {
        match &mut self.tags {
            None => self.say(Says::Text, text, parts),
            Some(tags) => {
                let sorted = tags.push(text);
                sorted.iter().try_for_each(|stretch| self.stretch(stretch, parts))
            }
        }
    }

    fn stretch(&mut self, stretch: &Stretch, parts: &mut Parts<'_>) -> Result<(), Failure> {
        match stretch {
            Stretch::Thinking(text) => self.say(Says::Thinking, text, parts),
            Stretch::Text(text) => self.say(Says::Text, text, parts),
        }
    }

    fn say(&mut self, says: Says, text: &str, parts: &mut Parts<'_>) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let kind = match says {
            Says::Text => PartKind::Text { phase: None },
            Says::Thinking => PartKind::Thinking { summary: false, item_id: None },
            Says::Refusal | Says::Audio => PartKind::Refusal,
        };
        self.refused |= says == Says::Refusal;
        let key = self.open(says, kind, parts)?;
        let text = Str::from(text);
        parts.delta(key, text.len(), |part| match says {
            Says::Text => Event::Text { part, text },
            Says::Thinking => Event::Thinking { part, text },
            Says::Refusal | Says::Audio => Event::Refusal { part, text },
        })
    }

    /// The open part of that kind, begun if need be.
    fn open(&mut self, says: Says, kind: PartKind, parts: &mut Parts<'_>) -> Result<u32, Failure> {
        if let Some(open) = self.open
            && open.says == says
        {
            return Ok(open.key);
        }
        self.make_room(parts);
        let key = parts.start(self.index, kind);
        self.open = Some(Open { says, key, signed: false });
        if says == Says::Text {
            let early = std::mem::take(&mut self.early);
            self.cite(early, parts)?;
        }
        Ok(key)
    }

    /// Ends what the next part would have to wait for.
    fn make_room(&mut self, parts: &mut Parts<'_>) {
        self.said = true;
        self.end_open(parts);
        for call in self.calls.iter().filter(|call| call.is_whole()) {
            if let Some(key) = call.key {
                parts.stop(key);
            }
        }
    }

    fn end_open(&mut self, parts: &mut Parts<'_>) {
        if let Some(open) = self.open.take() {
            parts.stop(open.key);
        }
    }

    /// Signatures and sealed reasoning.
    fn seals(&mut self, delta: &Delta<'_>, parts: &mut Parts<'_>) -> Result<(), Failure> {
        for detail in delta.details() {
            let Some(value) = detail.seal else { continue };
            let seal = parts.signature(value, detail.family);
            match self.open {
                Some(Open { says: Says::Thinking, .. }) => self.sign(seal, parts)?,
                _ => self.whole(PartKind::Redacted { seal, item_id: None }, parts),
            }
        }
        Ok(())
    }

    /// Signs the open part, once.
    fn sign(&mut self, signature: Signature, parts: &mut Parts<'_>) -> Result<(), Failure> {
        match &mut self.open {
            Some(Open { says: Says::Text | Says::Thinking, key, signed: signed @ false }) => {
                *signed = true;
                let bytes = signature.value.len();
                parts.delta(*key, bytes, |part| Event::Signature { part, signature })
            }
            _ => Ok(()),
        }
    }

    /// A part that has no deltas.
    fn whole(&mut self, kind: PartKind, parts: &mut Parts<'_>) {
        self.make_room(parts);
        let key = parts.start(self.index, kind);
        parts.stop(key);
    }

    fn image(&mut self, source: MediaSource, parts: &mut Parts<'_>) {
        self.whole(PartKind::Image { source, signature: None }, parts);
    }

    fn audio(&mut self, raw: &str, parts: &mut Parts<'_>) -> Result<(), Failure> {
        let text = |key| json::member(raw, key).and_then(json::string);
        let data = Str::from(text("data").unwrap_or_default().into_owned());
        let transcript = Str::from(text("transcript").unwrap_or_default().into_owned());
        let id = text("id").map(|id| Str::from(id.into_owned()));
        // Chat never repeats the format: it is the one that was asked for.
        let kind = PartKind::Audio { id, format: Str::new() };
        let key = self.open(Says::Audio, kind, parts)?;
        let bytes = data.len().saturating_add(transcript.len());
        if bytes == 0 {
            return Ok(());
        }
        parts.delta(key, bytes, |part| Event::Audio { part, data, transcript })
    }

    fn call(&mut self, mut fragment: Fragment<'_>, parts: &mut Parts<'_>) -> Result<(), Failure> {
        let at = Call::find(&self.calls, &fragment).unwrap_or_else(|| {
            self.calls.push(Call::new(&fragment));
            self.calls.len().saturating_sub(1)
        });
        self.end_other_calls(at, parts);
        let Some(call) = self.calls.get_mut(at) else { return Ok(()) };
        if call.id.is_empty() {
            call.id = Str::from(&*fragment.id);
        }
        let signature = fragment.signature.take().map(|value| parts.google(value));
        if call.key.is_none() {
            call.held.push_str(&fragment.arguments);
            if call.held.len() > HELD_LIMIT {
                return Err(TapFault::EventTooLarge { limit: HELD_LIMIT }.into());
            }
            if fragment.name.is_empty() {
                call.signature = call.signature.take().or(signature);
                return Ok(());
            }
            return self.begin_call(at, &fragment.name, signature, parts);
        }
        call.follow(&fragment.arguments);
        let Some(key) = call.key else { return Ok(()) };
        if let Some(signature) = signature {
            let bytes = signature.value.len();
            parts.delta(key, bytes, |part| Event::Signature { part, signature })?;
        }
        input(key, &fragment.arguments, parts)
    }

    /// The name is known: the part begins, with the arguments so far.
    fn begin_call(
        &mut self,
        at: usize,
        name: &str,
        signature: Option<Signature>,
        parts: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        self.make_room(parts);
        let Some(call) = self.calls.get_mut(at) else { return Ok(()) };
        let ordinal = *parts.calls;
        *parts.calls = ordinal.saturating_add(1);
        if call.id.is_empty() {
            call.id = ids::answer_call_id(parts.response_id, ordinal).into();
        }
        let kind = PartKind::ToolUse {
            id: call.id.clone(),
            name: Str::from(name),
            kind: call.kind(),
            namespace: None,
            signature: call.signature.take().or(signature),
        };
        let key = parts.start(self.index, kind);
        call.key = Some(key);
        let held = std::mem::take(&mut call.held);
        call.follow(&held);
        input(key, &held, parts)
    }

    /// Calls whose arguments are whole make room for the one that goes on.
    fn end_other_calls(&self, at: usize, parts: &mut Parts<'_>) {
        for (other, call) in self.calls.iter().enumerate() {
            if let Some(key) = call.key.filter(|_| other != at && call.is_whole()) {
                parts.stop(key);
            }
        }
    }
}

fn input(key: u32, text: &str, parts: &mut Parts<'_>) -> Result<(), Failure> {
    if text.is_empty() {
        return Ok(());
    }
    let text = Str::from(text);
    parts.delta(key, text.len(), |part| Event::ToolInput { part, text })
}
