//! Reads a streamed answer (translation §4.2).

mod open;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::open::{Kind, OpenBlock};
use super::object::Object;
use super::{block, citation};
use crate::ir::{Event, Failure, PartKind, RawJson, ServerTool, SigFamily, Str, ToolKind};
use crate::tap::StreamError;
use crate::translate::{BadFrame, Source, finish};
use crate::usage::AnthUsage;
use crate::{Dialect, json, parse_error_body};

/// Turns the events of one answer into those of the neutral form.
#[derive(Debug)]
pub struct StreamDecoder {
    family: SigFamily,
    started: bool,
    over: bool,
    id: Option<Str>,
    next_part: u32,
    open: Option<OpenBlock>,
    /// Calls that the provider ran and whose result may still come: results follow their calls.
    waiting: Vec<ServerTool>,
    has_call: bool,
    usage: AnthUsage,
    stop: Option<Stop>,
}

/// Why the answer ends, as `message_delta` says.
#[derive(Debug, Default)]
struct Stop {
    reason: Str,
    sequence: Option<Str>,
    details: Option<RawJson>,
}

impl StreamDecoder {
    /// A decoder for one answer of `source`.
    pub fn new(source: &Source) -> Self {
        Self {
            family: source.family,
            started: false,
            over: false,
            id: None,
            next_part: 0,
            open: None,
            waiting: Vec::new(),
            has_call: false,
            usage: AnthUsage::default(),
            stop: None,
        }
    }

    /// Takes the data of one event, and its name.
    ///
    /// # Errors
    /// [`BadFrame`] when the data is no JSON object.
    pub fn frame(
        &mut self,
        data: &[u8],
        name: Option<&[u8]>,
        out: &mut Vec<Event>,
    ) -> Result<(), BadFrame> {
        if self.over {
            return Ok(());
        }
        let text = json::lossy(data);
        let mut event = Object::read(text.trim()).ok_or(BadFrame)?;
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        // The name is advisory: what the data says wins.
        let kind = event.string("type").or_else(|| name.map(Str::from)).unwrap_or_default();
        match &*kind {
            "message_start" => self.message_start(event.take("message"), out),
            "content_block_start" => {
                if let Some(raw) = event.take("content_block") {
                    self.block_start(event.count("index").unwrap_or(0), raw, out);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = event.take("delta").and_then(Object::read) {
                    self.delta(event.count("index").unwrap_or(0), delta, out);
                }
            }
            "content_block_stop" => self.block_stop(event.count("index").unwrap_or(0), out),
            "message_delta" => self.message_delta(&mut event, out),
            "message_stop" => self.end(out),
            "ping" => out.push(Event::Ping),
            "error" => self.fail(upstream_error(data), out),
            _ if event.take("error").is_some_and(|error| !json::is_blank(error)) => {
                self.fail(upstream_error(data), out);
            }
            _ => {}
        }
        Ok(())
    }

    /// The transport ended.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.over {
            return;
        }
        if self.stop.is_some() {
            self.end(out);
        } else if self.started {
            self.fail(Failure::Truncated, out);
        } else {
            self.fail(Failure::Empty, out);
        }
    }

    /// Takes a whole answer, as if it had come in pieces.
    pub(super) fn whole(&mut self, mut message: Object<'_>, raw: &str, out: &mut Vec<Event>) {
        self.message_start(Some(raw), out);
        if let Some(content) = message.take("content") {
            let mut index = 0_u32;
            json::visit_elements(content, |raw| {
                self.block_start(index, raw, out);
                self.block_stop(index, out);
                index = index.saturating_add(1);
            });
        }
        self.stopped(&mut message);
        self.count(out);
        self.end(out);
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.over = true;
        out.push(Event::Failed(Box::new(failure)));
    }

    fn message_start(&mut self, message: Option<&str>, out: &mut Vec<Event>) {
        let mut message = message.and_then(Object::read).unwrap_or_default();
        let id = message.string("id").unwrap_or_default();
        if self.started {
            // Gateways repeat the start of the same answer; a second answer after the content of a
            // first one is not to be told apart from it any more.
            let other = self.id.as_ref().is_some_and(|known| *known != id);
            if other && (self.next_part > 0 || self.stop.is_some()) {
                self.fail(Failure::Spliced, out);
            }
            return;
        }
        let usage = message.take("usage").unwrap_or_default();
        self.usage.merge(usage);
        let counted = self.usage.to_full();
        self.started = true;
        self.id = Some(id.clone());
        out.push(Event::Start {
            id,
            model: message.string("model").unwrap_or_default(),
            created: None,
            usage: (!counted.tokens.is_zero()).then_some(counted),
            service_tier: json::member(usage, "service_tier").and_then(json::text).map(Str::from),
            fingerprint: None,
        });
    }

    /// Gateways leave the start out now and then.
    fn ensure_started(&mut self, out: &mut Vec<Event>) {
        if !self.started {
            self.message_start(None, out);
        }
    }

    fn block_start(&mut self, index: u32, raw: &str, out: &mut Vec<Event>) {
        self.ensure_started(out);
        self.close(out);
        let Some(mut block) = Object::read(raw) else { return };
        let kind = block.string("type").unwrap_or_default();
        match &*kind {
            "text" => {
                self.open = Some(OpenBlock::new(index, Kind::Text));
                let citations = block.take("citations").unwrap_or_default();
                self.say(&block.string("text").unwrap_or_default(), out);
                json::visit_elements(citations, |raw| self.cite(raw, out));
            }
            "thinking" => {
                self.open = Some(OpenBlock::new(index, Kind::Thinking));
                self.say(&block.string("thinking").unwrap_or_default(), out);
                if let (Some(open), Some(signature)) = (&mut self.open, block.text("signature")) {
                    open.held.push_str(&signature);
                }
            }
            "redacted_thinking" => {
                let data = block.string("data").unwrap_or_default();
                if let Some(seal) = block::signed_by(self.family, data) {
                    self.whole_part(PartKind::Redacted { seal, item_id: None }, out);
                }
            }
            "tool_use" => {
                self.open = Some(OpenBlock::new(index, Kind::ToolUse));
                self.has_call = true;
                let kind = PartKind::ToolUse {
                    id: block.string("id").unwrap_or_default(),
                    name: block.string("name").unwrap_or_default(),
                    kind: ToolKind::Function,
                    namespace: None,
                    signature: None,
                };
                self.part_start(kind, out);
                // `{}` stands for arguments that are yet to come.
                if let Some(input) = block.take("input").filter(|raw| !json::is_blank(raw)) {
                    self.say(&json::string(input).unwrap_or(input.into()), out);
                }
            }
            "server_tool_use" => {
                let call = block::read_server_call(block);
                self.open = Some(OpenBlock::new(index, Kind::ServerTool(Box::new(call))));
            }
            _ => self.other_block(raw, out),
        }
    }

    /// A result of a tool that the provider ran, or what this program does not know.
    fn other_block(&mut self, raw: &str, out: &mut Vec<Event>) {
        let Ok(raw) = RawJson::parse(raw) else { return };
        let owner = self
            .waiting
            .iter_mut()
            .find(|call| call.result.is_none() && block::is_result_of(raw.get(), &call.id));
        match owner {
            Some(call) => call.result = Some(raw),
            None => self.whole_part(PartKind::Opaque { dialect: Dialect::Anth, raw }, out),
        }
    }

    fn delta(&mut self, index: u32, mut delta: Object<'_>, out: &mut Vec<Event>) {
        self.ensure_started(out);
        let kind = delta.string("type").unwrap_or_default();
        let starts = match &*kind {
            "text_delta" | "citations_delta" => Some(Kind::Text),
            "thinking_delta" | "signature_delta" => Some(Kind::Thinking),
            _ => None,
        };
        if self.open.as_ref().is_none_or(|open| open.index != index) {
            // A delta of a block that never started says itself what the block is.
            let Some(kind) = starts else { return };
            self.close(out);
            self.open = Some(OpenBlock::new(index, kind));
        }
        let Some(open) = &mut self.open else { return };
        match (&*kind, &mut open.kind) {
            ("text_delta", Kind::Text) => self.say_field(delta.string("text"), out),
            ("citations_delta", Kind::Text) => {
                if let Some(raw) = delta.take("citation") {
                    self.cite(raw, out);
                }
            }
            ("thinking_delta", Kind::Thinking) => self.say_field(delta.string("thinking"), out),
            ("signature_delta", Kind::Thinking) => {
                open.held.push_str(&delta.text("signature").unwrap_or_default());
            }
            ("input_json_delta", Kind::ToolUse) => {
                self.say_field(delta.string("partial_json"), out);
            }
            ("input_json_delta", Kind::ServerTool(_)) => {
                open.held.push_str(&delta.text("partial_json").unwrap_or_default());
            }
            _ => {}
        }
    }

    fn block_stop(&mut self, index: u32, out: &mut Vec<Event>) {
        if self.open.as_ref().is_some_and(|open| open.index == index) {
            self.close(out);
        }
    }

    fn message_delta(&mut self, event: &mut Object<'_>, out: &mut Vec<Event>) {
        self.ensure_started(out);
        if let Some(mut delta) = event.take("delta").and_then(Object::read) {
            self.stopped(&mut delta);
        }
        if let Some(usage) = event.take("usage") {
            self.usage.merge(usage);
            self.count(out);
        }
    }

    /// Reads why the answer ended, if it is said.
    fn stopped(&mut self, object: &mut Object<'_>) {
        let Some(reason) = object.string("stop_reason") else { return };
        self.stop = Some(Stop {
            reason,
            sequence: object.string("stop_sequence"),
            details: object.raw("stop_details"),
        });
    }

    fn count(&self, out: &mut Vec<Event>) {
        let counted = self.usage.to_full();
        if !counted.tokens.is_zero() {
            out.push(Event::Usage(counted));
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        self.ensure_started(out);
        self.close(out);
        self.release(out);
        self.over = true;
        if let Some(Stop { reason, sequence, details }) = self.stop.take() {
            out.push(Event::Finish {
                choice: 0,
                finish: finish::decode(Dialect::Anth, &reason, self.has_call),
                reason: Some(reason),
                stop_sequence: sequence,
                details,
            });
        } else if self.next_part == 0 {
            out.push(Event::Failed(Box::new(Failure::Empty)));
            return;
        }
        out.push(Event::End);
    }

    fn say_field(&mut self, text: Option<Str>, out: &mut Vec<Event>) {
        if let Some(text) = text {
            self.say(&text, out);
        }
    }

    /// More of the open block. Blocks that never say anything are no parts.
    fn say(&mut self, text: &str, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let Some(part) = self.ensure_part(out) else { return };
        let text = Str::from(text);
        match self.open.as_ref().map(|open| &open.kind) {
            Some(Kind::Text) => out.push(Event::Text { part, text }),
            Some(Kind::Thinking) => out.push(Event::Thinking { part, text }),
            Some(Kind::ToolUse) => out.push(Event::ToolInput { part, text }),
            Some(Kind::ServerTool(_)) | None => {}
        }
    }

    fn cite(&mut self, raw: &str, out: &mut Vec<Event>) {
        let Some(citation) = citation::read(raw).map(Box::new) else { return };
        if let Some(part) = self.ensure_part(out) {
            out.push(Event::Citation { part, citation });
        }
    }

    /// The part of the open block, begun when it is not yet.
    fn ensure_part(&mut self, out: &mut Vec<Event>) -> Option<u32> {
        let open = self.open.as_ref()?;
        if open.part.is_none() {
            let kind = match open.kind {
                Kind::Text => PartKind::Text { phase: None },
                Kind::Thinking => PartKind::Thinking { summary: false, item_id: None },
                Kind::ToolUse | Kind::ServerTool(_) => return None,
            };
            self.part_start(kind, out);
        }
        self.open.as_ref()?.part
    }

    fn part_start(&mut self, kind: PartKind, out: &mut Vec<Event>) {
        self.release(out);
        let part = self.next_index();
        if let Some(open) = &mut self.open {
            open.part = Some(part);
        }
        out.push(Event::PartStart { part, choice: 0, kind });
    }

    fn whole_part(&mut self, kind: PartKind, out: &mut Vec<Event>) {
        self.release(out);
        self.emit_whole(kind, out);
    }

    fn emit_whole(&mut self, kind: PartKind, out: &mut Vec<Event>) {
        let part = self.next_index();
        out.push(Event::PartStart { part, choice: 0, kind });
        out.push(Event::PartStop { part, full: None });
    }

    fn next_index(&mut self) -> u32 {
        let part = self.next_part;
        self.next_part = part.saturating_add(1);
        part
    }

    /// Hands on the calls whose results can no longer come.
    fn release(&mut self, out: &mut Vec<Event>) {
        for call in std::mem::take(&mut self.waiting) {
            self.emit_whole(PartKind::ServerTool(Box::new(call)), out);
        }
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if matches!(&self.open, Some(open) if open.is_signed_thinking()) {
            // A signature without words is reasoning all the same.
            self.ensure_part(out);
        }
        let Some(open) = self.open.take() else { return };
        if let Kind::ServerTool(mut call) = open.kind {
            if let Some(input) = RawJson::parse(open.held).ok().filter(RawJson::is_object) {
                call.input = input;
            }
            self.waiting.push(*call);
            return;
        }
        let Some(part) = open.part else { return };
        if matches!(open.kind, Kind::Thinking)
            && let Some(signature) = block::signed_by(self.family, open.held.into())
        {
            out.push(Event::Signature { part, signature });
        }
        out.push(Event::PartStop { part, full: None });
    }
}

/// What the upstream says went wrong.
pub(super) fn upstream_error(data: &[u8]) -> Failure {
    let body = parse_error_body(502, None, data);
    let status = body.status_hint();
    let raw = Bytes::copy_from_slice(data);
    Failure::Upstream(Box::new(StreamError { raw, status, body }))
}
