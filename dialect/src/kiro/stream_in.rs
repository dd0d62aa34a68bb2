//! Answers in: payloads of an event stream become events (translation §5.3).

use std::borrow::Cow;

use bytes::Bytes;

use super::calls::{Call, CallError, Fragment};
use super::counts::Counts;
use crate::event_stream::{self, FrameSplitter};
use crate::ir::{
    Citation, CitationKind, Event, Failure, Finish, PartKind, Response, SigFamily, Signature, Str,
    ToolKind,
};
use crate::tap::{StreamError, TapFault};
use crate::translate::think_tags::{Stretch, ThinkTags};
use crate::translate::{BadFrame, Fold, Source, finish, ids};
use crate::{json, parse_error_body};

/// Arguments of one call that are more than this are an upstream gone mad, bytes.
const CALL_LIMIT: usize = 32 * 1024 * 1024;
/// More links than this are not kept for a text that is yet to come.
const MAX_LINKS: usize = 64;

/// Reads the events of one answer.
///
/// A call is held until it is whole: one whose arguments turn out to make no sense is left out. There is
/// no terminal event: the end of the bytes between two frames is the end of the answer.
#[derive(Debug)]
pub struct StreamDecoder {
    family: SigFamily,
    tags: Option<ThinkTags>,
    started: bool,
    ended: bool,
    open: Open,
    next_part: u32,
    calls: u32,
    /// Whether a text or a call came out.
    said: bool,
    /// Whether a call made no sense.
    lost_call: bool,
    /// Ids of calls that are over.
    closed: Vec<Str>,
    links: Vec<Citation>,
    reason: Option<Str>,
    counts: Counts,
    content_bytes: u64,
}

/// What is being said.
#[derive(Debug)]
enum Open {
    Nothing,
    Text(u32),
    Thinking(u32, Option<Signature>),
    Call(Box<Call>),
}

impl StreamDecoder {
    /// A decoder at the start of an answer.
    pub fn new(source: &Source) -> Self {
        Self {
            family: source.family,
            tags: source.profile.think_tags.then(ThinkTags::thinking),
            started: false,
            ended: false,
            open: Open::Nothing,
            next_part: 0,
            calls: 0,
            said: false,
            lost_call: false,
            closed: Vec::new(),
            links: Vec::new(),
            reason: None,
            counts: Counts::new(source.context_window),
            content_bytes: 0,
        }
    }

    /// Takes the payload of one message; `name` is its `:event-type`.
    ///
    /// # Errors
    /// [`BadFrame`] when the payload is no JSON object.
    pub fn frame(
        &mut self,
        data: &[u8],
        name: Option<&[u8]>,
        out: &mut Vec<Event>,
    ) -> Result<(), BadFrame> {
        if self.ended {
            return Ok(());
        }
        if json::too_deep(data) {
            return Err(BadFrame);
        }
        let text = json::lossy(data);
        let name = name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        let payload = payload(&text, name).ok_or(BadFrame)?;
        self.start(payload, out);
        match name {
            "assistantResponseEvent" | "codeEvent" => {
                if let Some(text) = member_text(payload, "content") {
                    self.text(&text, out);
                }
            }
            "reasoningContentEvent" => self.reasoning(payload, out),
            "toolUseEvent" => self.call(payload, out),
            "messageStopEvent" => self.stop(payload),
            "metadataEvent"
            | "messageMetadataEvent"
            | "metricsEvent"
            | "contextUsageEvent"
            | "meteringEvent" => {
                self.stop(payload);
                if self.counts.read(name, payload)
                    && let Some(usage) = self.counts.told()
                {
                    out.push(Event::Usage(usage));
                }
            }
            "supplementaryWebLinksEvent" => self.web_links(payload, out),
            "invalidStateEvent" => self.invalid_state(payload, out),
            // followupPromptEvent, codeReferenceEvent, initial-response and what is yet to be invented.
            _ => {}
        }
        Ok(())
    }

    /// Whether the service said why it stopped.
    pub fn may_end(&self) -> bool {
        self.reason.is_some()
    }

    /// The bytes ended between two frames.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        if let Some(rest) = self.tags.as_mut().map(ThinkTags::finish) {
            self.stretch(&rest, out);
        }
        self.close(out);
        let has_call = self.calls > 0;
        let reason = self.reason.take();
        let finish = match &reason {
            Some(word) => stop_reason(word, has_call),
            None => finish::without_word(has_call),
        };
        if matches!(finish, Finish::MalformedTool) {
            return self.fail(Failure::MalformedTool, out);
        }
        let excused = matches!(
            finish,
            Finish::Length | Finish::ContextLength | Finish::ContentFilter | Finish::Refusal
        );
        let may_be_silent = self.started && excused;
        if !(self.said || may_be_silent) {
            let failure = if self.lost_call { Failure::MalformedTool } else { Failure::Empty };
            return self.fail(failure, out);
        }
        out.extend(self.counts.last(self.content_bytes).map(Event::Usage));
        self.ended = true;
        out.push(Event::Finish { choice: 0, finish, reason, stop_sequence: None, details: None });
        out.push(Event::End);
    }

    fn start(&mut self, payload: &str, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        out.push(Event::Start {
            id: Str::new(),
            model: member_text(payload, "modelId")
                .map(|model| (&*model).into())
                .unwrap_or_default(),
            created: None,
            usage: None,
            service_tier: None,
            fingerprint: None,
        });
    }

    fn text(&mut self, text: &str, out: &mut Vec<Event>) {
        match &mut self.tags {
            None => self.say(text, out),
            Some(tags) => {
                let sorted = tags.push(text);
                sorted.iter().for_each(|stretch| self.stretch(stretch, out));
            }
        }
    }

    fn stretch(&mut self, stretch: &Stretch, out: &mut Vec<Event>) {
        match stretch {
            Stretch::Thinking(text) => self.think(text, out),
            Stretch::Text(text) => self.say(text, out),
        }
    }

    fn say(&mut self, text: &str, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.count(text.len());
        let part = match self.open {
            Open::Text(part) => part,
            _ => {
                let part = self.open_part(PartKind::Text { phase: None }, out);
                self.open = Open::Text(part);
                self.said = true;
                part
            }
        };
        out.push(Event::Text { part, text: text.into() });
        for link in self.links.drain(..) {
            out.push(Event::Citation { part, citation: Box::new(link) });
        }
    }

    fn think(&mut self, text: &str, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.count(text.len());
        let part = self.thinking_part(out);
        out.push(Event::Thinking { part, text: text.into() });
    }

    fn thinking_part(&mut self, out: &mut Vec<Event>) -> u32 {
        if let Open::Thinking(part, _) = self.open {
            return part;
        }
        let part = self.open_part(PartKind::Thinking { summary: false, item_id: None }, out);
        self.open = Open::Thinking(part, None);
        part
    }

    fn reasoning(&mut self, payload: &str, out: &mut Vec<Event>) {
        let inner = json::member(payload, "reasoningText").filter(|raw| json::is_object(raw));
        let payload = inner.unwrap_or(payload);
        let text = member_text(payload, "text").or_else(|| member_text(payload, "content"));
        self.think(text.as_deref().unwrap_or_default(), out);
        let Some(value) = member_text(payload, "signature").filter(|value| !value.is_empty())
        else {
            return;
        };
        self.thinking_part(out);
        if let Open::Thinking(_, signature) = &mut self.open {
            *signature = Some(Signature { family: self.family, value: (&*value).into() });
        }
    }

    fn call(&mut self, payload: &str, out: &mut Vec<Event>) {
        let fragment = Fragment::read(payload);
        let same = match &self.open {
            Open::Call(call) => fragment.id.is_empty() || fragment.id == *call.id,
            _ => false,
        };
        if !same {
            if self.closed.iter().any(|id| !id.is_empty() && **id == *fragment.id) {
                return;
            }
            self.close(out);
            self.open = Open::Call(Box::new(Call::new(&fragment)));
        }
        let Open::Call(call) = &mut self.open else { return };
        call.take(&fragment);
        let too_large = call.len() > CALL_LIMIT;
        if too_large {
            self.fail(TapFault::EventTooLarge { limit: CALL_LIMIT }.into(), out);
        } else if fragment.stop {
            self.close(out);
        } else {
            // The call is held: this tells that the upstream is at work.
            out.push(Event::Ping);
        }
    }

    /// Closes what is open.
    fn close(&mut self, out: &mut Vec<Event>) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Text(part) => out.push(Event::PartStop { part, full: None }),
            Open::Thinking(part, signature) => {
                out.extend(signature.map(|signature| Event::Signature { part, signature }));
                out.push(Event::PartStop { part, full: None });
            }
            Open::Call(call) => self.whole_call(*call, out),
        }
    }

    fn whole_call(&mut self, call: Call, out: &mut Vec<Event>) {
        self.closed.push(call.id.clone());
        let (mut id, name) = (call.id.clone(), call.name.clone());
        let input = match call.input() {
            Ok(input) if !name.is_empty() => input,
            Ok(_) | Err(CallError) => {
                self.lost_call = true;
                return;
            }
        };
        if id.is_empty() {
            id = ids::answer_call_id(&name, self.calls).into();
        }
        self.calls = self.calls.saturating_add(1);
        self.said = true;
        self.count(input.len());
        let kind = PartKind::ToolUse {
            id,
            name,
            kind: ToolKind::Function,
            namespace: None,
            signature: None,
        };
        let part = self.open_part(kind, out);
        if !input.is_empty() {
            out.push(Event::ToolInput { part, text: input });
        }
        out.push(Event::PartStop { part, full: None });
    }

    /// Begins a part; what was open is closed. The caller notes what is open now.
    fn open_part(&mut self, kind: PartKind, out: &mut Vec<Event>) -> u32 {
        self.close(out);
        let part = self.next_part;
        self.next_part = part.saturating_add(1);
        out.push(Event::PartStart { part, choice: 0, kind });
        part
    }

    fn stop(&mut self, payload: &str) {
        let word = member_text(payload, "stopReason").filter(|word| !word.trim().is_empty());
        if let Some(word) = word {
            self.reason = Some((&*word).into());
        }
    }

    fn web_links(&mut self, payload: &str, out: &mut Vec<Event>) {
        let list = json::member(payload, "supplementaryWebLinks").unwrap_or("[]");
        json::visit_elements(list, |link| {
            let text = |key| member_text(link, key).map(|text| Str::from(&*text));
            let Some(url) = text("url").filter(|url| !url.is_empty()) else { return };
            let citation = Citation {
                kind: CitationKind::Url,
                url: Some(url),
                title: text("title"),
                cited_text: text("snippet"),
                span: None,
                document: None,
                raw: None,
            };
            match self.open {
                Open::Text(part) => {
                    out.push(Event::Citation { part, citation: Box::new(citation) });
                }
                // Sources of a text that is yet to come.
                _ if self.links.len() < MAX_LINKS => self.links.push(citation),
                _ => {}
            }
        });
    }

    fn invalid_state(&mut self, payload: &str, out: &mut Vec<Event>) {
        let mut body = parse_error_body(502, None, payload.as_bytes());
        body.code = body.code.or_else(|| member_text(payload, "reason").map(Cow::into_owned));
        let status = body.status_hint().or(Some(502));
        let raw = Bytes::copy_from_slice(payload.as_bytes());
        self.fail(Failure::Upstream(Box::new(StreamError { raw, status, body })), out);
    }

    fn count(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.content_bytes = self.content_bytes.saturating_add(bytes);
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.ended = true;
        out.push(Event::Failed(Box::new(failure)));
    }
}

/// The payload, out of the key of the event's name if it is in there.
fn payload<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let text = text.trim();
    // An event may have nothing to say.
    if text.is_empty() {
        return Some("{}");
    }
    let (mut inner, mut members) = (None, 0_u32);
    let whole = json::visit(text, |key, raw| {
        members = members.saturating_add(1);
        if key == name && json::is_object(raw) {
            inner = Some(raw);
        }
    });
    whole.then(|| inner.filter(|_| members == 1).unwrap_or(text))
}

/// A text member.
pub(super) fn member_text<'a>(object: &'a str, key: &str) -> Option<Cow<'a, str>> {
    json::member(object, key).and_then(json::string)
}

/// What the service's word means, however it is spelled.
fn stop_reason(word: &str, has_call: bool) -> Finish {
    let letters = word.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    match plain.as_str() {
        "endturn" | "tooluse" | "stop" => finish::without_word(has_call),
        "maxtokens" | "length" => Finish::Length,
        "stopsequence" => Finish::StopSequence,
        "modelcontextwindowexceeded" => Finish::ContextLength,
        "pauseturn" => Finish::PauseTurn,
        "refusal" => Finish::ContentFilter,
        "malformedmodeloutput" | "malformedtooluse" => Finish::MalformedTool,
        plain if plain.starts_with("guardrail") || plain.starts_with("contentfilter") => {
            Finish::ContentFilter
        }
        _ if has_call => Finish::ToolUse,
        _ => Finish::Other(word.into()),
    }
}

/// Reads a whole answer: all frames of a stream, or the error in its place.
///
/// # Errors
/// Why the body is no answer.
pub fn decode_response(body: &[u8], source: &Source) -> Result<Response, Failure> {
    let text = body.trim_ascii_start();
    if text.is_empty() {
        return Err(Failure::Empty);
    }
    if text.starts_with(b"{") {
        let seen = parse_error_body(502, None, text);
        let raw = Bytes::copy_from_slice(text);
        let status = seen.status_hint();
        return Err(Failure::Upstream(Box::new(StreamError { raw, status, body: seen })));
    }
    let mut splitter = FrameSplitter::new(usize::MAX);
    let mut decoder = StreamDecoder::new(source);
    let mut events = Vec::new();
    let mut failure = None;
    splitter.push(body, &mut |message| {
        failure = failure.take().or_else(|| event_stream::failure(message));
        let name = event_stream::header(message, ":event-type").map(str::as_bytes);
        // What is no JSON says nothing.
        let _bad = decoder.frame(message.payload(), name, &mut events).is_err();
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !splitter.at_boundary() {
        return Err(Failure::Truncated);
    }
    decoder.finish(&mut events);
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    fold.finish()
}

#[cfg(test)]
mod tests;
