//! Events to chat chunks (translation §4.3).

use bytes::Bytes;
use serde::Serialize;

use crate::ir::{Citation, CitationSpan, Event, Finish, PartKind, RawJson, Str, ToolKind, Usage};
use crate::translate::sound::wav_prefix;
use crate::translate::{ReplyPlan, finish, ids, tier};
use crate::usage::ChatCounts;
use crate::{ApiError, Dialect, Framing, StreamPosition, json, stream_error_at};

use super::wire::{Annotation, Image, ToolCall};

/// Bytes of text that make about one token, times ten.
const BYTES_PER_10_TOKENS: u64 = 36;

/// Writes the chunks of one answer.
#[derive(Debug)]
pub struct StreamEncoder {
    plan: ReplyPlan,
    framing: Framing,
    head: Head,
    choices: Vec<ChoiceState>,
    parts: Vec<OpenPart>,
    usage: Option<Usage>,
    /// Bytes of generated text: the base of an estimate when no usage comes.
    said: u64,
}

/// What every chunk repeats.
#[derive(Clone, Default, Debug)]
struct Head {
    id: String,
    created: u64,
    service_tier: Option<Str>,
    fingerprint: Option<Str>,
}

#[derive(Debug)]
struct ChoiceState {
    index: u32,
    /// Calls so far.
    calls: u32,
    /// Characters of text so far.
    characters: usize,
    reasoned: bool,
    refused: bool,
    finished: bool,
    /// Citations, with the text part that each one marks if it names no stretch.
    citations: Vec<(Citation, CitationSpan)>,
}

#[derive(Debug)]
struct OpenPart {
    part: u32,
    choice: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Where the part begins in the content, in characters.
    Text {
        start: usize,
    },
    /// Whether a blank line must come before its first words.
    Thinking {
        apart: bool,
    },
    Call {
        index: u32,
        custom: bool,
        empty: bool,
    },
    /// What goes before the first samples.
    Audio {
        header: Option<Str>,
    },
    Other,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<ChatCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<&'a str>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    delta: Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Logprobs<'a> {
    content: &'a [RawJson],
    refusal: Option<()>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<Audio<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<[Image; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Vec<Annotation<'a>>>,
}

#[derive(Default, Serialize)]
struct Audio<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<&'a str>,
}

impl StreamEncoder {
    /// An encoder at the start of an answer.
    pub fn new(plan: ReplyPlan, framing: Framing) -> Self {
        Self {
            plan,
            framing,
            head: Head::default(),
            choices: Vec::new(),
            parts: Vec::new(),
            usage: None,
            said: 0,
        }
    }

    /// Writes what an event comes to; some come to nothing.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, created, service_tier, fingerprint, usage, model: _ } => {
                self.head = Head {
                    id: ids::response_id(Dialect::Chat, id).into_owned(),
                    created: created.unwrap_or(self.plan.created),
                    service_tier: service_tier.clone(),
                    fingerprint: fingerprint.clone(),
                };
                self.usage = *usage;
                self.greet(0, out);
            }
            Event::PartStart { part, choice, kind } => self.part_start(*part, *choice, kind, out),
            Event::Text { part, text } => self.text(*part, text, out),
            Event::Thinking { part, text } => self.thinking(*part, text, out),
            Event::ThinkingBreak { part } => self.thinking(*part, "\n\n", out),
            Event::ToolInput { part, text } => self.input(*part, text, out),
            Event::Refusal { part, text } => {
                self.count(text);
                let refusal = Delta { refusal: Some(text), ..Delta::default() };
                self.delta_of(*part, refusal, out);
            }
            Event::Audio { part, data, transcript } => {
                self.count(transcript);
                let said = |text: &Str| (!text.is_empty()).then(|| text.clone());
                let (mut data, transcript) = (said(data), said(transcript));
                if let (Some(data), Some(prefix)) = (&mut data, self.file_header(*part)) {
                    *data = format!("{prefix}{data}").into();
                }
                let audio =
                    Audio { id: None, data: data.as_deref(), transcript: transcript.as_deref() };
                self.delta_of(*part, Delta { audio: Some(audio), ..Delta::default() }, out);
            }
            Event::Citation { part, citation } => self.cite(*part, citation),
            Event::Logprobs { part, tokens } => {
                let Some(choice) = self.choice_of(*part) else { return };
                let logprobs = Logprobs { content: tokens, refusal: None };
                self.write(
                    &[Choice {
                        index: choice,
                        delta: Delta::default(),
                        logprobs: Some(logprobs),
                        finish_reason: None,
                    }],
                    None,
                    out,
                );
            }
            Event::PartStop { part, .. } => self.part_stop(*part, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice, finish, .. } => self.finish(*choice, finish, out),
            Event::End => self.end(out),
            // Signatures of parts that began are for the caller's memory alone.
            Event::Signature { .. } | Event::Ping | Event::Failed(_) => {}
        }
    }

    /// Writes an error. The stream has no end after it: it must not look complete.
    pub fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        let at = StreamPosition::default();
        out.extend_from_slice(&stream_error_at(Dialect::Chat, self.framing, error, &at));
    }

    /// Bytes that keep a silent stream alive.
    pub fn keep_alive(&self) -> Bytes {
        crate::keep_alive(Dialect::Chat, self.framing, false)
    }

    fn greet(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.choices.iter().any(|state| state.index == choice) {
            return;
        }
        self.choices.push(ChoiceState {
            index: choice,
            calls: 0,
            characters: 0,
            reasoned: false,
            refused: false,
            finished: false,
            citations: Vec::new(),
        });
        let role = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
        self.delta(choice, role, out);
    }

    fn part_start(&mut self, part: u32, choice: u32, kind: &PartKind, out: &mut Vec<u8>) {
        self.greet(choice, out);
        let Some(state) = self.choices.iter_mut().find(|state| state.index == choice) else {
            return;
        };
        let what = match kind {
            PartKind::Text { .. } => What::Text { start: state.characters },
            PartKind::Thinking { .. } => What::Thinking { apart: state.reasoned },
            PartKind::ToolUse { id, name, kind, signature, .. } => {
                let index = state.calls;
                state.calls = index.saturating_add(1);
                let custom = *kind == ToolKind::Custom;
                let mut call = ToolCall::new(&**id, name, "", custom).signed(signature.as_ref());
                call.index = Some(index);
                let first = Delta { tool_calls: Some([call]), ..Delta::default() };
                self.delta(choice, first, out);
                What::Call { index, custom, empty: true }
            }
            PartKind::Refusal => {
                state.refused = true;
                What::Other
            }
            PartKind::Audio { id, format } => {
                let audio = Audio { id: id.as_deref(), ..Audio::default() };
                self.delta(choice, Delta { audio: Some(audio), ..Delta::default() }, out);
                What::Audio { header: wav_prefix(format, self.plan.sound.as_deref(), None) }
            }
            PartKind::Image { source, .. } => {
                if let Some(image) = Image::new(source) {
                    let images = Delta { images: Some([image]), ..Delta::default() };
                    self.delta(choice, images, out);
                }
                What::Other
            }
            // Chat shows neither sealed reasoning nor what the provider ran.
            PartKind::Redacted { .. } | PartKind::ServerTool(_) | PartKind::Opaque { .. } => {
                What::Other
            }
        };
        self.parts.push(OpenPart { part, choice, what });
    }

    fn part_stop(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|open| open.part == part) else { return };
        let open = self.parts.remove(at);
        if let What::Call { index, custom: false, empty: true } = open.what {
            self.more_input(open.choice, index, "{}", false, out);
        }
    }

    fn text(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        self.count(text);
        let Some(choice) = self.choice_of(part) else { return };
        if let Some(state) = self.choices.iter_mut().find(|state| state.index == choice) {
            state.characters = state.characters.saturating_add(text.chars().count());
        }
        self.delta(choice, Delta { content: Some(text), ..Delta::default() }, out);
    }

    fn thinking(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        self.count(text);
        if !self.plan.shows_thinking {
            return;
        }
        let Some(open) = self.parts.iter_mut().find(|open| open.part == part) else { return };
        let choice = open.choice;
        let apart = match &mut open.what {
            What::Thinking { apart } => std::mem::take(apart),
            What::Text { .. } | What::Call { .. } | What::Audio { .. } | What::Other => false,
        };
        if let Some(state) = self.choices.iter_mut().find(|state| state.index == choice) {
            state.reasoned = true;
        }
        for said in apart.then_some("\n\n").into_iter().chain([text]) {
            let delta = Delta { reasoning_content: Some(said), ..Delta::default() };
            self.delta(choice, delta, out);
        }
    }

    fn input(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        self.count(text);
        let Some(open) = self.parts.iter_mut().find(|open| open.part == part) else { return };
        let choice = open.choice;
        if let What::Call { index, custom, empty } = &mut open.what {
            *empty = false;
            let (index, custom) = (*index, *custom);
            self.more_input(choice, index, text, custom, out);
        }
    }

    fn more_input(&self, choice: u32, index: u32, text: &str, custom: bool, out: &mut Vec<u8>) {
        let mut call = ToolCall::more(text, custom);
        call.index = Some(index);
        self.delta(choice, Delta { tool_calls: Some([call]), ..Delta::default() }, out);
    }

    /// What goes before the first samples of a part, once.
    fn file_header(&mut self, part: u32) -> Option<Str> {
        match self.parts.iter_mut().find(|open| open.part == part)? {
            OpenPart { what: What::Audio { header }, .. } => header.take(),
            _ => None,
        }
    }

    fn cite(&mut self, part: u32, citation: &Citation) {
        let open = self.parts.iter().find(|open| open.part == part);
        let Some(OpenPart { choice, what: What::Text { start }, .. }) = open else { return };
        let state = self.choices.iter_mut().find(|state| state.index == *choice);
        if let Some(state) = state {
            let text = CitationSpan { start: *start, end: state.characters };
            state.citations.push((citation.clone(), text));
        }
    }

    fn finish(&mut self, choice: u32, finish: &Finish, out: &mut Vec<u8>) {
        self.greet(choice, out);
        let state = self.choices.iter_mut().find(|state| state.index == choice);
        let Some(state) = state.filter(|state| !state.finished) else { return };
        state.finished = true;
        let refused = state.refused;
        let citations = std::mem::take(&mut state.citations);
        let annotations: Vec<_> =
            citations.iter().filter_map(|(cited, text)| Annotation::new(cited, *text)).collect();
        if !annotations.is_empty() {
            let delta = Delta { annotations: Some(annotations), ..Delta::default() };
            self.delta(choice, delta, out);
        }
        let last = Choice {
            index: choice,
            delta: Delta::default(),
            logprobs: None,
            finish_reason: Some(finish::chat_word(finish, refused)),
        };
        self.write(&[last], None, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let unfinished: Vec<(u32, bool)> = self
            .choices
            .iter()
            .filter(|state| !state.finished)
            .map(|state| (state.index, state.calls > 0))
            .collect();
        for (choice, has_call) in unfinished {
            self.finish(choice, &finish::without_word(has_call), out);
        }
        if self.plan.include_usage {
            let usage = self.usage.unwrap_or_else(|| self.estimate());
            self.write(&[], Some(ChatCounts::from(&usage)), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn estimate(&self) -> Usage {
        let output = self.said.saturating_mul(10).div_ceil(BYTES_PER_10_TOKENS);
        let input = self.plan.estimated_input;
        Usage::from(crate::Usage { input, output, ..crate::Usage::default() })
    }

    fn count(&mut self, text: &str) {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.said = self.said.saturating_add(bytes);
    }

    fn choice_of(&self, part: u32) -> Option<u32> {
        self.parts.iter().find(|open| open.part == part).map(|open| open.choice)
    }

    fn delta_of(&self, part: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        if let Some(choice) = self.choice_of(part) {
            self.delta(choice, delta, out);
        }
    }

    fn delta(&self, choice: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        self.write(
            &[Choice { index: choice, delta, logprobs: None, finish_reason: None }],
            None,
            out,
        );
    }

    fn write(&self, choices: &[Choice<'_>], usage: Option<ChatCounts>, out: &mut Vec<u8>) {
        let chunk = Chunk {
            id: &self.head.id,
            object: "chat.completion.chunk",
            created: self.head.created,
            model: &self.plan.model,
            choices,
            usage,
            service_tier: self.head.service_tier.as_deref().and_then(tier::open_ai),
            system_fingerprint: self.head.fingerprint.as_deref(),
        };
        out.extend_from_slice(b"data: ");
        let start = out.len();
        let written = serde_json::to_writer(&mut *out, &chunk);
        debug_assert!(written.is_ok(), "strings and numbers always have a text");
        // What is carried along may have been written over several lines.
        json::one_line(out.get_mut(start..).unwrap_or_default());
        out.extend_from_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests;
