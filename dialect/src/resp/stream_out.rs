//! Neutral events to Responses events (translation §4.3).
//!
//! One machine makes both forms of an answer: a whole body is the list of items that the stream would
//! have ended with, so the two can never differ.

mod call;
mod message;
mod reasoning;
mod sink;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::items::server_item;
use super::wire::{Item, Status};
use crate::error::open_ai_code;
use crate::ir::{
    self, Event, Finish, MediaSource, Part, PartKind, RawJson, ServerTool, Str, Usage,
};
use crate::translate::{ReplyPlan, finish, ids, tier};
use crate::usage::RespCounts;
use crate::{ApiError, Dialect, Framing, json};
use call::Call;
pub(super) use call::native_input;
use message::Message;
use reasoning::Reasoning;
use sink::Sink;

/// Writes the events of one answer.
#[derive(Debug)]
pub struct StreamEncoder {
    model: Str,
    created: u64,
    echo: Map<String, Value>,
    shows_thinking: bool,
    shows_encrypted: bool,
    started: bool,
    id: String,
    service_tier: Option<Str>,
    sequence: u64,
    /// Items that are done, as they were sent.
    items: Vec<Box<RawValue>>,
    open: Option<OpenItem>,
    part: Option<OpenPart>,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

/// The item under way. A message stays open behind its last text: more text belongs to it.
#[derive(Debug)]
enum OpenItem {
    Message(Message),
    Reasoning(Reasoning),
    Call(Call),
}

/// The part under way.
#[derive(Debug)]
struct OpenPart {
    index: u32,
    says: Says,
}

#[derive(Debug)]
enum Says {
    Text {
        phase: Option<Str>,
    },
    Refusal,
    Thinking {
        item_id: Option<Str>,
    },
    /// Deltas go to the open call.
    Call,
    /// It is out already, or never will be.
    Nothing,
}

impl StreamEncoder {
    /// An encoder at the start of an answer.
    pub fn new(plan: ReplyPlan, _framing: Framing) -> Self {
        let echo = if plan.echo.0.is_empty() {
            super::echo(&ir::Request::default()).0
        } else {
            plan.echo.0
        };
        Self {
            model: plan.model,
            created: plan.created,
            echo,
            shows_thinking: plan.shows_thinking,
            shows_encrypted: plan.shows_encrypted,
            started: false,
            id: String::new(),
            service_tier: None,
            sequence: 0,
            items: Vec::new(),
            open: None,
            part: None,
            finish: None,
            usage: None,
        }
    }

    /// Writes what an event means to the client.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        self.take(event, Some(out));
    }

    /// Writes the end of a broken answer. The caller must still break the connection after it.
    pub fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        let code = open_ai_code(error).unwrap_or(error.kind.open_ai_type());
        let told = Told { code, message: &error.message, param: Some(error.param.as_deref()) };
        if self.id.is_empty() {
            self.id = format!("resp_{}", error.request_id);
        }
        let mut sequence = self.sequence;
        let mut sink = Sink::new(&mut sequence, Some(out));
        sink.send("error", &told);
        let told = Told { param: None, ..told };
        let response = self.response("failed", None, Some(told), self.usage.as_ref());
        sink.send("response.failed", &Holder { response });
        self.sequence = sequence;
    }

    /// Bytes that keep a silent stream alive.
    pub fn keep_alive(&self) -> Bytes {
        crate::keep_alive(Dialect::Resp, Framing::Sse, self.started)
    }

    /// Takes an event; without `out` only the items are gathered.
    pub(super) fn take(&mut self, event: &Event, mut out: Option<&mut Vec<u8>>) {
        match event {
            Event::Start { id, created, usage, service_tier, .. } => {
                self.start(id, *created, service_tier.as_ref(), out);
                self.usage = *usage;
            }
            Event::PartStart { part, choice: 0, kind } => self.part_start(*part, kind, &mut out),
            Event::PartStop { part, full } => {
                if self.is_open(*part) {
                    self.part_stop(full.as_deref(), &mut out);
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice: 0, finish, .. } => self.finish = Some(finish.clone()),
            Event::End => self.end(&mut out),
            Event::Text { part, text }
            | Event::Refusal { part, text }
            | Event::Audio { part, transcript: text, .. } => self.say(*part, text, &mut out),
            Event::Thinking { part, text } => self.think(*part, text, &mut out),
            Event::ThinkingBreak { part } => {
                if self.is_open(*part)
                    && let Some(OpenItem::Reasoning(reasoning)) = &mut self.open
                {
                    reasoning.next(&mut Sink::new(&mut self.sequence, out));
                }
            }
            Event::ToolInput { part, text } => {
                if self.is_open(*part)
                    && let Some(OpenItem::Call(call)) = &mut self.open
                {
                    call.say(text, &mut Sink::new(&mut self.sequence, out));
                }
            }
            Event::Signature { part, signature } => {
                self.seal(*part, &signature.value, &mut out);
            }
            Event::Citation { part, citation } => {
                if self.is_open(*part)
                    && let Some(OpenItem::Message(message)) = &mut self.open
                {
                    message.cite(citation, &mut Sink::new(&mut self.sequence, out));
                }
            }
            Event::Logprobs { part, tokens } => {
                if self.is_open(*part)
                    && let Some(OpenItem::Message(message)) = &mut self.open
                {
                    message.weigh(tokens);
                }
            }
            // The dialect has one answer only. The caller tells of failures with `error`.
            Event::PartStart { .. } | Event::Finish { .. } | Event::Ping | Event::Failed(_) => {}
        }
    }

    /// The whole body, once all events were taken.
    pub(super) fn whole(&self) -> Vec<u8> {
        let (status, reason) = self.status();
        let usage = self.usage.unwrap_or_default();
        let response = self.response(status, reason, self.failed(status), Some(&usage));
        serde_json::to_vec(&response).unwrap_or_default()
    }

    fn is_open(&self, part: u32) -> bool {
        self.part.as_ref().is_some_and(|open| open.index == part)
    }

    fn start(
        &mut self,
        id: &str,
        created: Option<u64>,
        service_tier: Option<&Str>,
        out: Option<&mut Vec<u8>>,
    ) {
        self.started = true;
        self.id = ids::response_id(Dialect::Resp, id).into_owned();
        if self.id == "resp_" {
            // The upstream gave none.
            let made = ids::digest(&[self.model.as_bytes(), &self.created.to_le_bytes()], 32);
            self.id.push_str(&made);
        }
        self.created = created.unwrap_or(self.created);
        self.service_tier = service_tier.cloned();
        let mut sequence = self.sequence;
        let mut sink = Sink::new(&mut sequence, out);
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", None, None, None);
            sink.send(kind, &Holder { response });
        }
        self.sequence = sequence;
    }

    fn part_start(&mut self, part: u32, kind: &PartKind, out: &mut Option<&mut Vec<u8>>) {
        let says = match kind {
            PartKind::Text { phase } => Says::Text { phase: phase.clone() },
            // Sound itself has no place here; what is said in it is told as text.
            PartKind::Audio { .. } => Says::Text { phase: None },
            PartKind::Refusal => Says::Refusal,
            PartKind::Thinking { item_id, .. } => Says::Thinking { item_id: item_id.clone() },
            PartKind::Redacted { seal, item_id } => {
                self.sealed_item(item_id.as_ref(), &seal.value, out);
                Says::Nothing
            }
            PartKind::ToolUse { id, name, kind, namespace, signature } => {
                if let Some(signature) = signature {
                    self.sealed_item(None, &signature.value, out);
                }
                self.close(out);
                let index = self.output_index();
                let call = Call::new(&self.id, index, id, name, kind, namespace.as_ref());
                call.announce(&mut Sink::new(&mut self.sequence, out.as_deref_mut()));
                self.open = Some(OpenItem::Call(call));
                Says::Call
            }
            PartKind::Image { source, .. } => {
                if let MediaSource::Base64 { data, .. } = source {
                    self.close(out);
                    let id = ids::item_id("ig", &self.id, self.output_index());
                    let item = |status| Item::ImageGenerationCall { id: &id, status, result: data };
                    self.whole_item(&item(Status::InProgress), &item(Status::Completed), out);
                }
                Says::Nothing
            }
            PartKind::ServerTool(call) => {
                if let Some(item) = server_item(call).or_else(|| self.foreign_search(call)) {
                    self.close(out);
                    let item = Item::Members(item);
                    self.whole_item(&item, &item, out);
                }
                Says::Nothing
            }
            PartKind::Opaque { dialect: Dialect::Resp, raw } => {
                self.close(out);
                let item = Item::Raw(raw);
                self.whole_item(&item, &item, out);
                Says::Nothing
            }
            PartKind::Opaque { .. } => Says::Nothing,
        };
        self.part = Some(OpenPart { index: part, says });
    }

    fn part_stop(&mut self, full: Option<&Part>, out: &mut Option<&mut Vec<u8>>) {
        self.part = None;
        match &mut self.open {
            Some(OpenItem::Message(message)) => {
                message.end_text(&mut Sink::new(&mut self.sequence, out.as_deref_mut()));
            }
            Some(OpenItem::Call(call)) => {
                if let Some(Part::ToolUse(full)) = full {
                    call.correct(full);
                }
                self.close(out);
            }
            Some(OpenItem::Reasoning(_)) => self.close(out),
            None => {}
        }
    }

    fn say(&mut self, part: u32, text: &str, out: &mut Option<&mut Vec<u8>>) {
        let Some(open) = self.part.as_ref().filter(|open| open.index == part) else { return };
        let (phase, refusal) = match &open.says {
            Says::Text { phase } => (phase.clone(), false),
            Says::Refusal => (None, true),
            Says::Thinking { .. } | Says::Call | Says::Nothing => return,
        };
        if text.is_empty() {
            return;
        }
        let fits = matches!(&self.open, Some(OpenItem::Message(message))
            if refusal || message.phase == phase);
        if !fits {
            self.close(out);
            let index = self.output_index();
            let message = Message::new(&self.id, index, phase);
            message.announce(&mut Sink::new(&mut self.sequence, out.as_deref_mut()));
            self.open = Some(OpenItem::Message(message));
        }
        if let Some(OpenItem::Message(message)) = &mut self.open {
            message.say(text, refusal, &mut Sink::new(&mut self.sequence, out.as_deref_mut()));
        }
    }

    fn think(&mut self, part: u32, text: &str, out: &mut Option<&mut Vec<u8>>) {
        let Some(open) = self.part.as_ref().filter(|open| open.index == part) else { return };
        let Says::Thinking { item_id } = &open.says else { return };
        if !self.shows_thinking || text.is_empty() {
            return;
        }
        if !matches!(self.open, Some(OpenItem::Reasoning(_))) {
            let item_id = item_id.clone();
            self.close(out);
            let index = self.output_index();
            let reasoning = Reasoning::new(&self.id, index, item_id.as_ref());
            reasoning.announce(&mut Sink::new(&mut self.sequence, out.as_deref_mut()));
            self.open = Some(OpenItem::Reasoning(reasoning));
        }
        if let Some(OpenItem::Reasoning(reasoning)) = &mut self.open {
            reasoning.say(text, &mut Sink::new(&mut self.sequence, out.as_deref_mut()));
        }
    }

    /// The signature of the open part.
    fn seal(&mut self, part: u32, value: &str, out: &mut Option<&mut Vec<u8>>) {
        let Some(open) = self.part.as_ref().filter(|open| open.index == part) else { return };
        let Says::Thinking { item_id } = &open.says else { return };
        if let Some(OpenItem::Reasoning(reasoning)) = &mut self.open {
            if self.shows_encrypted {
                reasoning.seal(value);
            }
            return;
        }
        let item_id = item_id.clone();
        self.sealed_item(item_id.as_ref(), value, out);
    }

    /// A reasoning item without words.
    fn sealed_item(&mut self, item_id: Option<&Str>, seal: &str, out: &mut Option<&mut Vec<u8>>) {
        if !self.shows_encrypted {
            return;
        }
        self.close(out);
        let mut reasoning = Reasoning::new(&self.id, self.output_index(), item_id);
        reasoning.announce(&mut Sink::new(&mut self.sequence, out.as_deref_mut()));
        reasoning.seal(seal);
        self.open = Some(OpenItem::Reasoning(reasoning));
        self.close(out);
    }

    /// A search that a provider of another dialect ran.
    fn foreign_search(&self, call: &ServerTool) -> Option<Map<String, Value>> {
        let searches = call.name.contains("search") && call.name != "tool_search";
        if call.origin == Dialect::Resp || !searches {
            return None;
        }
        let input = call.input.to_value().ok()?;
        let queries: Vec<Value> = ["query", "queries", "webSearchQueries"]
            .iter()
            .filter_map(|key| input.get(*key))
            .flat_map(|found| found.as_array().cloned().unwrap_or_else(|| vec![found.clone()]))
            .filter(Value::is_string)
            .collect();
        let action = serde_json::json!({
            "type": "search",
            "query": queries.first().cloned().unwrap_or_else(|| "".into()),
            "queries": queries,
            "sources": sources(call.result.as_ref()),
        });
        let item = serde_json::json!({
            "id": ids::item_id("ws", &self.id, self.output_index()),
            "type": "web_search_call",
            "status": "completed",
            "action": action,
        });
        item.as_object().cloned()
    }

    /// An item without deltas: it begins and is done.
    fn whole_item(&mut self, added: &Item<'_>, done: &Item<'_>, out: &mut Option<&mut Vec<u8>>) {
        let index = self.output_index();
        let mut sink = Sink::new(&mut self.sequence, out.as_deref_mut());
        sink.item("response.output_item.added", index, added);
        self.items.extend(sink.item("response.output_item.done", index, done));
    }

    /// Ends the item under way.
    fn close(&mut self, out: &mut Option<&mut Vec<u8>>) {
        let mut sink = Sink::new(&mut self.sequence, out.as_deref_mut());
        let item = match self.open.take() {
            Some(OpenItem::Message(message)) => message.finish(&mut sink),
            Some(OpenItem::Reasoning(reasoning)) => reasoning.finish(&mut sink),
            Some(OpenItem::Call(call)) => call.finish(&mut sink),
            None => None,
        };
        self.items.extend(item);
    }

    fn end(&mut self, out: &mut Option<&mut Vec<u8>>) {
        self.close(out);
        let (status, reason) = self.status();
        let usage = self.usage.unwrap_or_default();
        let kind = match status {
            "incomplete" => "response.incomplete",
            "failed" => "response.failed",
            _ => "response.completed",
        };
        let mut sequence = self.sequence;
        let response = self.response(status, reason, self.failed(status), Some(&usage));
        Sink::new(&mut sequence, out.as_deref_mut()).send(kind, &Holder { response });
        self.sequence = sequence;
    }

    fn status(&self) -> (&'static str, Option<&'static str>) {
        finish::resp_status(self.finish.as_ref().unwrap_or(&Finish::Stop))
    }

    fn failed(&self, status: &str) -> Option<Told<'static>> {
        (status == "failed").then_some(Told {
            code: "server_error",
            message: "the upstream reported a failure",
            param: None,
        })
    }

    fn output_index(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }

    fn response<'a>(
        &'a self,
        status: &'static str,
        reason: Option<&'static str>,
        error: Option<Told<'a>>,
        usage: Option<&Usage>,
    ) -> Response<'a> {
        Response {
            id: &self.id,
            object: "response",
            created_at: self.created,
            status,
            error,
            incomplete_details: reason.map(|reason| Incomplete { reason }),
            model: &self.model,
            output: &self.items,
            usage: usage.map(RespCounts::from),
            service_tier: self.service_tier.as_deref().and_then(tier::open_ai),
            echo: &self.echo,
        }
    }
}

/// Pages that a search found, in the form of `action.sources`.
fn sources(result: Option<&RawJson>) -> Vec<Value> {
    let found = result.map(RawJson::get).unwrap_or_default();
    // Anthropic gives the list itself, or puts it into the result block.
    let list = if json::is_array(found) { Some(found) } else { json::member(found, "content") };
    let mut sources = Vec::new();
    json::visit_elements(list.unwrap_or_default(), |page| {
        if let Some(url) = json::member(page, "url").and_then(json::string) {
            sources.push(serde_json::json!({ "type": "url", "url": url }));
        }
    });
    sources
}

/// An event that holds the answer's object.
#[derive(Serialize)]
struct Holder<'a> {
    response: Response<'a>,
}

/// The answer's object.
#[derive(Serialize)]
struct Response<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    error: Option<Told<'a>>,
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    output: &'a [Box<RawValue>],
    usage: Option<RespCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(flatten)]
    echo: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

/// What a client is told of an error; the event has `param`, the object has not.
#[derive(Clone, Copy, Serialize)]
struct Told<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<Option<&'a str>>,
}
