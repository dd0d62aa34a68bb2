//! Answers out: events become a stream of `GenerateContentResponse` fragments (translation §4.3).

use bytes::Bytes;

use super::grounding::Grounding;
use super::logprobs;
use super::response::sound_type;
use super::wire_out::{Answer, Candidate, Content, Part};
use crate::ir::{
    self, Citation, Event, Finish, MediaSource, PartKind, RawJson, SigFamily, Signature, Str,
    ToolKind, Usage,
};
use crate::stream_error::{StreamPosition, keep_alive, stream_error_at};
use crate::translate::{ReplyPlan, finish, ids, tool_input};
use crate::{ApiError, Dialect, Framing, json, usage};

/// Writes a stream. Calls go out whole, the end of each alternative with the last fragment.
#[derive(Debug)]
pub struct StreamEncoder {
    plan: ReplyPlan,
    framing: Framing,
    id: Str,
    usage: Option<Usage>,
    open: Vec<OpenPart>,
    choices: Vec<Choice>,
    /// Fragments so far.
    written: u64,
}

#[derive(Debug)]
struct OpenPart {
    index: u32,
    choice: u32,
    kind: PartKind,
    /// Arguments of a call; the text that citations point into.
    text: String,
    citations: Vec<Citation>,
    signature: Option<Signature>,
}

/// What the last fragment says of an alternative.
#[derive(Debug)]
struct Choice {
    index: u32,
    text: String,
    has_call: bool,
    has_parts: bool,
    citations: Vec<(Citation, String, usize)>,
    logprobs: Vec<RawJson>,
    finish: Option<(Finish, Option<RawJson>)>,
}

impl StreamEncoder {
    /// An encoder for one answer.
    pub fn new(plan: ReplyPlan, framing: Framing) -> Self {
        Self {
            plan,
            framing,
            id: Str::new(),
            usage: None,
            open: Vec::new(),
            choices: Vec::new(),
            written: 0,
        }
    }

    /// Writes what the event adds to the stream; the end writes the last fragment.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, usage, .. } => {
                self.id = ids::response_id(Dialect::Gem, id).into_owned().into();
                self.usage = *usage;
            }
            Event::PartStart { part, choice, kind } => self.start(*part, *choice, kind, out),
            Event::Text { part, text } | Event::Refusal { part, text } => {
                let Some(open) = self.open_part(*part) else { return };
                open.text.push_str(text);
                let choice = open.choice;
                self.fragment(choice, Part::text(&**text), out);
            }
            Event::Thinking { part, text } => self.thought(*part, text, out),
            Event::ThinkingBreak { part } => self.thought(*part, "\n\n", out),
            Event::Signature { part, signature } => {
                if let Some(open) = self.open_part(*part) {
                    open.signature = Some(signature.clone());
                }
            }
            Event::ToolInput { part, text } => {
                if let Some(open) = self.open_part(*part) {
                    open.text.push_str(text);
                }
            }
            Event::Citation { part, citation } => {
                if let Some(open) = self.open_part(*part) {
                    open.citations.push((**citation).clone());
                }
            }
            Event::Audio { part, data, .. } => {
                let Some(open) = self.open_part(*part) else { return };
                let PartKind::Audio { format, .. } = &open.kind else { return };
                let (format, choice) = (format.clone(), open.choice);
                let mime = sound_type(&format, &self.plan);
                if !data.is_empty() {
                    self.fragment(choice, Part::inline(&*mime, &**data), out);
                }
            }
            Event::Logprobs { part, tokens } => {
                let choice = self.open_part(*part).map(|open| open.choice);
                if let Some(choice) = choice {
                    self.choice(choice).logprobs.extend(tokens.iter().cloned());
                }
            }
            Event::PartStop { part, full } => self.stop(*part, full.as_deref(), out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice, finish, details, .. } => {
                self.choice(*choice).finish = Some((finish.clone(), details.clone()));
            }
            Event::Ping | Event::Failed(_) => {}
            Event::End => self.end(out),
        }
    }

    /// Writes the error that ends the stream; the caller must then break the connection.
    pub fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        let at = StreamPosition { next_sequence: self.written, ..StreamPosition::default() };
        out.extend_from_slice(&stream_error_at(Dialect::Gem, self.framing, error, &at));
    }

    /// Bytes that keep a silent stream alive.
    pub fn keep_alive(&self) -> Bytes {
        keep_alive(Dialect::Gem, self.framing, self.written > 0)
    }

    fn start(&mut self, index: u32, choice: u32, kind: &PartKind, out: &mut Vec<u8>) {
        self.choice(choice).has_parts = true;
        match kind {
            PartKind::Image { source, signature } => {
                let signature = signature.as_ref().filter(|s| s.family == SigFamily::Gemini);
                if let Some(part) = image(source) {
                    self.fragment(choice, part.signed(signature), out);
                }
            }
            PartKind::ServerTool(call) if call.origin == Dialect::Gem => {
                self.fragment(choice, Part::Given(&call.input), out);
                if let Some(result) = &call.result {
                    self.fragment(choice, Part::Given(result), out);
                }
            }
            PartKind::Opaque { dialect: Dialect::Gem, raw } => {
                self.fragment(choice, Part::Given(raw), out);
            }
            PartKind::Text { .. }
            | PartKind::Thinking { .. }
            | PartKind::Redacted { .. }
            | PartKind::ToolUse { .. }
            | PartKind::Audio { .. }
            | PartKind::ServerTool(_)
            | PartKind::Refusal
            | PartKind::Opaque { .. } => {}
        }
        self.open.push(OpenPart {
            index,
            choice,
            kind: kind.clone(),
            text: String::new(),
            citations: Vec::new(),
            signature: None,
        });
    }

    fn thought(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        let choice = self.open_part(part).map(|open| open.choice);
        if let Some(choice) = choice.filter(|_| self.plan.shows_thinking) {
            self.fragment(choice, Part::text(text).thought(), out);
        }
    }

    fn stop(&mut self, part: u32, full: Option<&ir::Part>, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.index == part) else { return };
        let OpenPart { choice, kind, text, citations, signature, .. } = self.open.remove(at);
        let own = |s: &Signature| s.family == SigFamily::Gemini;
        match kind {
            PartKind::ToolUse { id, name, kind, signature: at_start, .. } => {
                self.choice(choice).has_call = true;
                let signature = signature.or(at_start).filter(own);
                let kind = if kind == ToolKind::Custom { kind } else { ToolKind::Function };
                let input = match full {
                    Some(ir::Part::ToolUse(call)) => call.input.clone(),
                    _ => tool_input(&kind, text.into()),
                };
                let id = Some(&*id).filter(|id| !id.is_empty());
                let part = Part::call(id, &name, &kind, &input).signed(signature.as_ref());
                self.fragment(choice, part, out);
            }
            PartKind::Text { .. } | PartKind::Refusal => {
                let signature = signature.filter(own);
                if signature.is_some() {
                    self.fragment(choice, Part::text("").signed(signature.as_ref()), out);
                }
                let choice = self.choice(choice);
                let before = choice.text.len();
                for citation in citations {
                    choice.citations.push((citation, text.clone(), before));
                }
                choice.text.push_str(&text);
            }
            PartKind::Thinking { .. } => {
                let signature = signature.filter(own);
                if signature.is_some() && self.plan.shows_thinking {
                    let part = Part::text("").thought().signed(signature.as_ref());
                    self.fragment(choice, part, out);
                }
            }
            PartKind::Redacted { .. }
            | PartKind::Image { .. }
            | PartKind::Audio { .. }
            | PartKind::ServerTool(_)
            | PartKind::Opaque { .. } => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.choices.is_empty() {
            self.choice(0);
        }
        let choices = std::mem::take(&mut self.choices);
        let usage = self.usage.map(|usage| usage::encode(Dialect::Gem, &usage));
        let feedback = choices.iter().find_map(Choice::prompt_feedback);
        let candidates = if feedback.is_some() {
            Vec::new()
        } else {
            choices.iter().map(Choice::last).collect()
        };
        self.write(candidates, feedback, usage, out);
        if self.framing == Framing::JsonArray {
            out.push(b']');
        }
    }

    fn fragment(&mut self, choice: u32, part: Part<'_>, out: &mut Vec<u8>) {
        let candidate = Candidate {
            content: Content { role: "model", parts: vec![part] },
            finish_reason: None,
            index: choice,
            grounding_metadata: None,
            logprobs_result: None,
        };
        self.write(vec![candidate], None, None, out);
    }

    fn write(
        &mut self,
        candidates: Vec<Candidate<'_>>,
        prompt_feedback: Option<&RawJson>,
        usage_metadata: Option<usage::WireUsage>,
        out: &mut Vec<u8>,
    ) {
        let answer = Answer {
            candidates,
            prompt_feedback,
            usage_metadata,
            model_version: &self.plan.model,
            response_id: &self.id,
        };
        match self.framing {
            Framing::Sse => out.extend_from_slice(b"data: "),
            Framing::JsonArray if self.written == 0 => out.push(b'['),
            Framing::JsonArray => out.extend_from_slice(b",\r\n"),
        }
        // Every key is a string: writing JSON to memory cannot fail.
        let mut fragment = serde_json::to_vec(&answer).unwrap_or_default();
        json::one_line(&mut fragment);
        out.extend_from_slice(&fragment);
        if self.framing == Framing::Sse {
            out.extend_from_slice(b"\r\n\r\n");
        }
        self.written = self.written.saturating_add(1);
    }

    fn open_part(&mut self, part: u32) -> Option<&mut OpenPart> {
        self.open.iter_mut().find(|open| open.index == part)
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = self.choices.iter().position(|choice| choice.index == index);
        let at = at.unwrap_or_else(|| {
            self.choices.push(Choice {
                index,
                text: String::new(),
                has_call: false,
                has_parts: false,
                citations: Vec::new(),
                logprobs: Vec::new(),
                finish: None,
            });
            self.choices.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "`at` was found or made on the lines above")]
        &mut self.choices[at]
    }
}

impl Choice {
    /// What Google said of a refused prompt: such an answer has no candidates.
    fn prompt_feedback(&self) -> Option<&RawJson> {
        match &self.finish {
            Some((Finish::ContentFilter, Some(details))) if !self.has_parts => {
                blocks_the_prompt(details).then_some(details)
            }
            _ => None,
        }
    }

    fn last(&self) -> Candidate<'_> {
        let finish = match &self.finish {
            Some((finish, _)) => finish.clone(),
            None => finish::without_word(self.has_call),
        };
        let mut grounding = Grounding::default();
        for (citation, part, before) in &self.citations {
            grounding.add(citation, part, *before);
        }
        Candidate {
            content: Content { role: "model", parts: vec![Part::text("")] },
            finish_reason: Some(finish::gem_word(&finish)),
            index: self.index,
            grounding_metadata: grounding.finish(&self.text),
            logprobs_result: (!self.logprobs.is_empty()).then(|| logprobs::encode(&self.logprobs)),
        }
    }
}

/// Whether details of a finish are Google's `promptFeedback`.
pub(super) fn blocks_the_prompt(details: &RawJson) -> bool {
    let block = |key| json::member(details.get(), key);
    block("blockReason").or_else(|| block("block_reason")).is_some()
}

/// An image of an answer; `None` for one that only another provider can read.
pub(super) fn image(source: &MediaSource) -> Option<Part<'_>> {
    match source {
        MediaSource::Base64 { mime, data } => Some(Part::inline(&**mime, &**data)),
        MediaSource::Url(url) => Some(Part::file(url, None)),
        MediaSource::FileUri { uri, mime } => Some(Part::file(uri, mime.as_deref())),
        MediaSource::FileId { .. } | MediaSource::Text(_) => None,
    }
}
