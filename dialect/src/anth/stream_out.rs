//! Writes a streamed answer (translation §4.3).

mod frames;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::frames::{Delta, EndDelta, Frame, StartBlock, StartMessage};
use super::block::object_input;
use super::response::is_own_details;
use super::{citation, search};
use crate::ir::{
    Event, Finish, PartKind, RawJson, ServerTool, Signature, Str, ToolInput, ToolKind, Usage,
};
use crate::translate::{ReplyPlan, finish, ids};
use crate::usage::AnthCounts;
use crate::{ApiError, Dialect, Framing, StreamPosition, keep_alive, stream_error_at};

/// Turns the events of the neutral form into those of one Messages stream.
#[derive(Debug)]
pub struct StreamEncoder {
    plan: ReplyPlan,
    framing: Framing,
    started: bool,
    next_block: u32,
    open: Option<Open>,
    usage: Option<Usage>,
    end: Option<End>,
    has_call: bool,
}

/// The part that is being written. Parts that this dialect or this client does not show have no block.
#[derive(Debug)]
struct Open {
    part: u32,
    block: Option<u32>,
    kind: Shown,
    signature: Option<Signature>,
    /// Whether anything was written into it.
    said: bool,
    /// Arguments that are no object, gathered so that they can be put into one.
    held: Option<String>,
    /// The kind of tool that is called.
    tool: ToolKind,
}

/// As what a part is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Text,
    Thinking,
    ToolUse,
    /// As text, from its first word on.
    Transcript,
    Not,
}

#[derive(Debug)]
struct End {
    finish: Finish,
    stop_sequence: Option<Str>,
    details: Option<RawJson>,
}

impl StreamEncoder {
    /// An encoder for one answer.
    pub fn new(plan: ReplyPlan, framing: Framing) -> Self {
        Self {
            plan,
            framing,
            started: false,
            next_block: 0,
            open: None,
            usage: None,
            end: None,
            has_call: false,
        }
    }

    /// Writes what there is to write of one event.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, usage, .. } => self.start(id, usage.as_ref(), out),
            // There is room for one alternative.
            Event::PartStart { part, choice: 0, kind } => self.part_start(*part, kind, out),
            Event::PartStart { .. } => {}
            Event::Text { part, text } | Event::Refusal { part, text } => {
                self.delta(*part, Delta::text(text), out);
            }
            Event::Thinking { part, text } => self.delta(*part, Delta::thinking(text), out),
            Event::ThinkingBreak { part } => self.delta(*part, Delta::thinking("\n\n"), out),
            Event::Signature { part, signature } => {
                if let Some(open) = self.open.as_mut().filter(|open| open.part == *part) {
                    open.signature = Some(signature.clone());
                }
            }
            Event::ToolInput { part, text } => self.input(*part, text, out),
            Event::Citation { part, citation } => {
                if let Some(citation) = citation::write(citation) {
                    self.delta(*part, Delta::Citation { citation }, out);
                }
            }
            Event::Audio { part, transcript, .. } => self.transcript(*part, transcript, out),
            Event::PartStop { part, .. } => self.part_stop(*part, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice: 0, finish, stop_sequence, details, .. } => {
                self.end = Some(End {
                    finish: finish.clone(),
                    stop_sequence: stop_sequence.clone(),
                    details: details.clone(),
                });
            }
            // Counts may come after the reason of the stop: both are told together, at the end.
            Event::End => self.finish(out),
            Event::Finish { .. } | Event::Logprobs { .. } | Event::Ping | Event::Failed(_) => {}
        }
    }

    /// Writes an error; nothing that looks like an end.
    pub fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        let at = StreamPosition::default();
        out.extend_from_slice(&stream_error_at(Dialect::Anth, self.framing, error, &at));
    }

    /// What keeps a silent stream alive.
    pub fn keep_alive(&self) -> Bytes {
        keep_alive(Dialect::Anth, self.framing, self.started)
    }

    fn start(&mut self, id: &str, usage: Option<&Usage>, out: &mut Vec<u8>) {
        self.started = true;
        let estimate = Usage::from(crate::Usage {
            input: self.plan.estimated_input,
            output: 1,
            ..crate::Usage::default()
        });
        let usage = AnthCounts::from(usage.unwrap_or(&estimate));
        let id = ids::response_id(Dialect::Anth, id);
        Frame::MessageStart { message: StartMessage::new(&id, &self.plan.model, usage) }.write(out);
    }

    fn part_start(&mut self, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        let mut open = Open {
            part,
            block: None,
            kind: Shown::Not,
            signature: None,
            said: false,
            held: None,
            tool: ToolKind::Function,
        };
        match kind {
            PartKind::Text { .. } | PartKind::Refusal => {
                open.kind = Shown::Text;
                open.block = Some(self.block_start(StartBlock::text(), out));
            }
            PartKind::Thinking { .. } if self.plan.shows_thinking => {
                open.kind = Shown::Thinking;
                open.block = Some(self.block_start(StartBlock::thinking(), out));
            }
            PartKind::Redacted { seal, .. } if self.plan.shows_thinking => {
                self.whole_block(StartBlock::redacted(&seal.value), out);
            }
            PartKind::ToolUse { id, name, kind, signature, .. } => {
                self.has_call = true;
                open.held = (*kind == ToolKind::Custom).then(String::new);
                open.tool = kind.clone();
                if let Some(signature) = signature.as_ref().filter(|_| self.plan.shows_thinking) {
                    self.signature_alone(signature, out);
                }
                open.kind = Shown::ToolUse;
                let id = ids::plain_call_id(id);
                open.block = Some(self.block_start(StartBlock::tool_use(&id, name), out));
            }
            PartKind::Audio { .. } => open.kind = Shown::Transcript,
            PartKind::ServerTool(call) => self.server_tool(call, out),
            PartKind::Opaque { dialect: Dialect::Anth, raw } => {
                self.whole_block(StartBlock::Same(raw), out);
            }
            PartKind::Thinking { .. }
            | PartKind::Redacted { .. }
            | PartKind::Image { .. }
            | PartKind::Opaque { .. } => {}
        }
        self.open = Some(open);
    }

    fn part_stop(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some(open) = self.open.take_if(|open| open.part == part) else { return };
        let Some(index) = open.block else { return };
        let held = open.held.map(|text| ToolInput::Text(text.into()));
        let object = held.as_ref().map(|input| object_input(&open.tool, input));
        let last = match (open.kind, &open.signature) {
            (Shown::Thinking, Some(signature)) => {
                Some(Delta::Signature { signature: &signature.value })
            }
            // Clients read nothing at all as `{}`.
            (Shown::ToolUse, _) if !open.said => {
                Some(Delta::input(object.as_ref().map_or("", |object| object.get())))
            }
            _ => None,
        };
        if let Some(delta) = last {
            Frame::BlockDelta { index, delta }.write(out);
        }
        Frame::BlockStop { index }.write(out);
    }

    fn delta(&mut self, part: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some(open) = self.open.as_mut().filter(|open| open.part == part) else { return };
        let fits = match delta {
            Delta::Text { .. } | Delta::Citation { .. } => {
                matches!(open.kind, Shown::Text | Shown::Transcript)
            }
            Delta::Thinking { .. } | Delta::Signature { .. } => open.kind == Shown::Thinking,
            Delta::Input { .. } => open.kind == Shown::ToolUse,
        };
        if let Some(index) = open.block.filter(|_| fits) {
            open.said = true;
            Frame::BlockDelta { index, delta }.write(out);
        }
    }

    /// Arguments as they come. SDKs take nothing but an object, and raise for what is no JSON: what does
    /// not begin as an object goes at the end, in one.
    fn input(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        if let Some(open) = self.open.as_mut().filter(|open| open.part == part && !open.said) {
            let is_object = text.trim_start().chars().next().map(|first| first == '{');
            match (&mut open.held, is_object) {
                (Some(held), _) => return held.push_str(text),
                (held @ None, Some(false)) => {
                    *held = Some(text.to_owned());
                    return;
                }
                // Blanks before the first word say nothing.
                (None, None) => return,
                (None, Some(true)) => {}
            }
        }
        self.delta(part, Delta::input(text), out);
    }

    fn transcript(&mut self, part: u32, words: &str, out: &mut Vec<u8>) {
        let shown = self.open.as_ref().filter(|open| open.part == part && !words.is_empty());
        let Some(Open { block, kind: Shown::Transcript, .. }) = shown else { return };
        if block.is_none() {
            let index = self.block_start(StartBlock::text(), out);
            if let Some(open) = &mut self.open {
                open.block = Some(index);
            }
        }
        self.delta(part, Delta::text(words), out);
    }

    fn block_start(&mut self, content_block: StartBlock<'_>, out: &mut Vec<u8>) -> u32 {
        let index = self.next_block;
        self.next_block = index.saturating_add(1);
        Frame::BlockStart { index, content_block }.write(out);
        index
    }

    fn whole_block(&mut self, block: StartBlock<'_>, out: &mut Vec<u8>) {
        let index = self.block_start(block, out);
        Frame::BlockStop { index }.write(out);
    }

    /// A signature on something else than reasoning, in a block that brings it back with the next request.
    fn signature_alone(&mut self, signature: &Signature, out: &mut Vec<u8>) {
        let index = self.block_start(StartBlock::thinking(), out);
        let delta = Delta::Signature { signature: &signature.value };
        Frame::BlockDelta { index, delta }.write(out);
        Frame::BlockStop { index }.write(out);
    }

    fn server_tool(&mut self, call: &ServerTool, out: &mut Vec<u8>) {
        if call.origin == Dialect::Anth {
            let index = self.block_start(StartBlock::server_tool_use(&call.id, &call.name), out);
            Frame::BlockDelta { index, delta: Delta::input(call.input.get()) }.write(out);
            Frame::BlockStop { index }.write(out);
            if let Some(result) = &call.result {
                self.whole_block(StartBlock::Same(result), out);
            }
        } else if self.plan.declared_web_search
            && let Some(found) = search::Search::of(call)
        {
            for block in &found.blocks() {
                self.whole_block(StartBlock::Same(block), out);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let end = self.end.take().unwrap_or_else(|| End {
            finish: finish::without_word(self.has_call),
            stop_sequence: None,
            details: None,
        });
        let delta = EndDelta {
            stop_reason: finish::anth_word(&end.finish),
            stop_sequence: end.stop_sequence.as_deref(),
            stop_details: end.details.as_ref().filter(|details| is_own_details(details)),
        };
        let usage = self.usage.as_ref().map(AnthCounts::from).unwrap_or_default();
        Frame::MessageDelta { delta, usage }.write(out);
        Frame::MessageStop {}.write(out);
    }
}
