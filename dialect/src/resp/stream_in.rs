//! Responses events to neutral events (translation §4.2).
//!
//! Everything is keyed by `output_index`: Copilot gives the same item another id in every event.

mod call;
mod item;
mod message;
mod reasoning;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::object::Object;
use crate::ir::{Event, Failure, Finish, RawJson, SigFamily, Str};
use crate::tap::StreamError;
use crate::translate::{BadFrame, PartQueue, Source, finish};
use crate::usage::{decode_full, lenient_tokens};
use crate::{Dialect, json, parse_error_body};
pub(super) use call::input as call_input;
use item::Item;
pub(super) use item::image as item_image;
pub(super) use message::citation;
pub(super) use reasoning::paragraphs;

/// Reads the events of one answer.
#[derive(Debug)]
pub struct StreamDecoder {
    eof_is_end: bool,
    started: bool,
    ended: bool,
    /// A `[DONE]` came; the dialect has none, but gateways send it in place of the terminal event.
    marked_done: bool,
    items: Vec<Item>,
    /// Items that came whole and unannounced before those in front of them, by their place.
    early: BTreeMap<u32, RawJson>,
    parts: Parts,
}

/// What tells parts apart: the item's place in [`StreamDecoder::items`], and the part's in the item.
type Key = (usize, u32);

/// What all items share: the queue that puts their parts in order, and what is known of the answer.
#[derive(Debug)]
struct Parts {
    queue: PartQueue<Key>,
    family: SigFamily,
    response_id: Str,
    calls: u32,
    refused: bool,
}

impl StreamDecoder {
    /// A decoder at the start of an answer.
    pub fn new(source: &Source) -> Self {
        Self {
            eof_is_end: source.profile.eof_is_end,
            started: false,
            ended: false,
            marked_done: false,
            items: Vec::new(),
            early: BTreeMap::new(),
            parts: Parts {
                queue: PartQueue::default(),
                family: source.family,
                response_id: Str::new(),
                calls: 0,
                refused: false,
            },
        }
    }

    /// Takes the data of one event, and the event's name. The name counts only where the data has no
    /// type.
    ///
    /// # Errors
    /// When the data is no JSON object; the decoder stays as it was.
    pub fn frame(
        &mut self,
        data: &[u8],
        name: Option<&[u8]>,
        out: &mut Vec<Event>,
    ) -> Result<(), BadFrame> {
        if self.ended {
            return Ok(());
        }
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.marked_done = true;
            return Ok(());
        }
        let text = json::lossy(data);
        let event = Object::parse(&text).ok_or(BadFrame)?;
        let named = || name.and_then(|name| std::str::from_utf8(name).ok()).map(Into::into);
        let kind = event.word("type").or_else(named).unwrap_or_default();
        if let Err(failure) = self.event(&kind, &event, data, out) {
            self.fail(failure, out);
        }
        Ok(())
    }

    /// The transport ended cleanly. Without a terminal event the answer is cut off, unless the upstream
    /// said so in another way.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        if !(self.started && (self.eof_is_end || self.marked_done)) {
            self.fail(Failure::Truncated, out);
            return;
        }
        if let Err(failure) = self.take_early(None, out) {
            self.fail(failure, out);
            return;
        }
        self.parts.queue.stop_all(0, out);
        self.end(None, out);
    }

    /// Takes a whole body and ends.
    pub(super) fn whole(&mut self, body: &[u8], out: &mut Vec<Event>) -> Result<(), BadFrame> {
        let text = json::lossy(body);
        let response = Object::parse(&text).ok_or(BadFrame)?;
        if let Err(failure) = self.terminal(&response, "", out) {
            self.fail(failure, out);
        }
        Ok(())
    }

    fn event(
        &mut self,
        kind: &str,
        event: &Object<'_>,
        data: &[u8],
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(event.object("response").as_ref(), out);
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                self.terminal(&event.object("response").unwrap_or_default(), kind, out)?;
            }
            "error" | "response.failed" | "response.cancelled" => {
                return Err(upstream_error(data));
            }
            "response.output_item.added" => {
                let Some(item) = event.object("item") else { return Ok(()) };
                self.start(None, out);
                self.added(event.number("output_index"), &item, out)?;
                self.take_early(Some(self.next_index()), out)?;
            }
            "response.output_item.done" => {
                let Some(item) = event.object("item") else { return Ok(()) };
                self.start(None, out);
                let at = self.find(event, &item);
                let index = event.number("output_index");
                let waits = |at: &u32| *at > self.next_index() && !self.early.contains_key(at);
                if at.is_none()
                    && let Some(index) = index.filter(waits)
                {
                    self.early.insert(index, item.as_written());
                    return Ok(());
                }
                self.done(at, index, &item, out)?;
                self.take_early(Some(self.next_index()), out)?;
            }
            "" if event.raw("error").is_some() => return Err(upstream_error(data)),
            // A gateway that answers with the whole body in one event.
            "" if event.raw("output").is_some() => self.terminal(event, kind, out)?,
            _ => self.inside(kind, event, out)?,
        }
        Ok(())
    }

    /// Events of an item that is under way.
    fn inside(
        &mut self,
        kind: &str,
        event: &Object<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(implied) = item::implied_type(kind) else { return Ok(()) };
        self.start(None, out);
        let nothing = Object::default();
        let at = match self.find(event, &nothing) {
            Some(at) => at,
            None => self.push(event.number("output_index"), implied, event),
        };
        match self.items.get_mut(at) {
            Some(item) => item.event(at, kind, event, &mut self.parts, out),
            None => Ok(()),
        }
    }

    fn start(&mut self, response: Option<&Object<'_>>, out: &mut Vec<Event>) {
        if self.started {
            return;
        }
        self.started = true;
        let nothing = Object::default();
        let response = response.unwrap_or(&nothing);
        self.parts.response_id = response.name("id").unwrap_or_default();
        out.push(Event::Start {
            id: self.parts.response_id.clone(),
            model: response.name("model").unwrap_or_default(),
            created: response.raw("created_at").and_then(lenient_tokens).filter(|at| *at > 0),
            usage: None,
            service_tier: response.name("service_tier"),
            fingerprint: None,
        });
    }

    /// An item begins.
    fn added(
        &mut self,
        output_index: Option<u32>,
        item: &Object<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let item_type = item.word("type").unwrap_or_default();
        if output_index.and_then(|index| self.under_way(index)).is_some_and(|known| {
            known.item_type == item_type
                && known.call_id().is_none_or(|id| item.text("call_id") == Some(id))
        }) {
            return Ok(());
        }
        // Some gateways never say that a message is done; the next item does.
        for (at, known) in self.items.iter_mut().enumerate() {
            known.close_told(at, &mut self.parts, out);
        }
        let at = self.push(output_index, &item_type, item);
        match self.items.get_mut(at) {
            Some(known) => known.added(at, item, &mut self.parts, out),
            None => Ok(()),
        }
    }

    /// An item is whole; `at` is where it is known, if it began before.
    fn done(
        &mut self,
        at: Option<usize>,
        output_index: Option<u32>,
        item: &Object<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let item_type = item.word("type").unwrap_or_default();
        let at = at
            .filter(|&at| self.items.get(at).is_some_and(|known| known.item_type == item_type))
            .unwrap_or_else(|| self.push(output_index, &item_type, item));
        match self.items.get_mut(at) {
            Some(known) => known.done(at, item, &mut self.parts, out),
            None => Ok(()),
        }
    }

    /// The last event: items that it alone tells of, the counts, and the end.
    fn terminal(
        &mut self,
        response: &Object<'_>,
        kind: &str,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        self.start(Some(response), out);
        self.take_early(None, out)?;
        let output = response.elements("output");
        let mut seen: Vec<String> = Vec::new();
        for (position, text) in output.into_iter().enumerate() {
            let Some(item) = Object::parse(text) else { continue };
            let item_type = item.word("type").unwrap_or_default().into_owned();
            let ordinal = seen.iter().filter(|other| **other == item_type).count();
            let index = u32::try_from(position).ok();
            let at = self.repeated(index, &item_type, ordinal, &item);
            if at.and_then(|at| self.items.get(at)).is_none_or(|known| !known.done) {
                self.done(at, index, &item, out)?;
            }
            seen.push(item_type);
        }
        self.parts.queue.stop_all(0, out);
        let usage = response.raw("usage").and_then(|raw| decode_full(Dialect::Resp, raw));
        out.extend(usage.map(Event::Usage));
        let reason = response.object("incomplete_details").and_then(|why| why.name("reason"));
        let status = || response.name("status").filter(|status| status != "in_progress");
        let implied = if kind == "response.incomplete" { "incomplete" } else { "completed" };
        let word = reason.or_else(status).unwrap_or_else(|| Str::from_static(implied));
        self.end(Some(word), out);
        Ok(())
    }

    fn end(&mut self, word: Option<Str>, out: &mut Vec<Event>) {
        let has_call = self.parts.calls > 0;
        let finish = match word.as_deref() {
            None => finish::without_word(has_call),
            // Incomplete without a reason: whatever it was, the answer was cut.
            Some("incomplete") => Finish::Length,
            Some(word) => finish::decode(Dialect::Resp, word, has_call),
        };
        let finish = match finish {
            Finish::Stop if self.parts.refused => Finish::Refusal,
            finish => finish,
        };
        out.push(Event::Finish {
            choice: 0,
            finish,
            reason: word,
            stop_sequence: None,
            details: None,
        });
        out.push(Event::End);
        self.ended = true;
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.ended = true;
        out.push(Event::Failed(Box::new(failure)));
    }

    fn push(&mut self, output_index: Option<u32>, item_type: &str, item: &Object<'_>) -> usize {
        self.items.push(Item::new(output_index, item_type, item));
        self.items.len().saturating_sub(1)
    }

    /// The place behind all items so far.
    fn next_index(&self) -> u32 {
        let last = self.items.iter().filter_map(|item| item.output_index).max();
        last.map_or(0, |last| last.saturating_add(1))
    }

    /// Takes the items that came before their turn: those that follow on the items so far, or all.
    fn take_early(&mut self, next: Option<u32>, out: &mut Vec<Event>) -> Result<(), Failure> {
        let mut next = next;
        while let Some(entry) = self.early.first_entry() {
            if next.is_some_and(|next| *entry.key() > next) {
                break;
            }
            let (index, written) = entry.remove_entry();
            if let Some(item) = Object::parse(written.get()) {
                self.done(None, Some(index), &item, out)?;
            }
            next = next.map(|_| self.next_index());
        }
        Ok(())
    }

    fn under_way(&self, output_index: u32) -> Option<&Item> {
        self.items
            .iter()
            .rev()
            .find(|item| item.output_index == Some(output_index))
            .filter(|item| !item.done)
    }

    /// The item that an event belongs to: by index, by the item's id, by the call's id.
    fn find(&self, event: &Object<'_>, item: &Object<'_>) -> Option<usize> {
        let last = |matches: &dyn Fn(&Item) -> bool| self.items.iter().rposition(matches);
        if let Some(index) = event.number("output_index") {
            return last(&|known| known.output_index == Some(index));
        }
        let id = event.name("item_id").or_else(|| item.name("id"));
        let call = event.name("call_id").or_else(|| item.name("call_id"));
        id.and_then(|id| last(&|known| known.id.as_ref() == Some(&id)))
            .or_else(|| {
                call.and_then(|call| last(&|known| known.call_id().as_ref() == Some(&call)))
            })
            .or_else(|| last(&|known| known.output_index.is_none() && !known.done))
    }

    /// The known item that the terminal event repeats. Indices of the stream are not always those of the
    /// list, so the nth item of a type is taken for the nth one seen.
    fn repeated(
        &self,
        index: Option<u32>,
        item_type: &str,
        ordinal: usize,
        item: &Object<'_>,
    ) -> Option<usize> {
        let call = item.name("call_id");
        let same_call = |known: &Item| call.is_some() && known.call_id() == call;
        let same_place = |known: &Item| {
            known.output_index == index && (call.is_none() || known.call_id().is_none())
        };
        let of_type = |known: &&Item| known.item_type == item_type;
        let position = |matches: &dyn Fn(&Item) -> bool| {
            self.items.iter().position(|known| of_type(&known) && matches(known))
        };
        position(&same_call).or_else(|| position(&same_place)).or_else(|| {
            let nth =
                self.items.iter().enumerate().filter(|(_, known)| of_type(known)).nth(ordinal);
            nth.filter(|(_, known)| call.is_none() || known.call_id().is_none()).map(|(at, _)| at)
        })
    }
}

/// The failure that an error event tells of.
fn upstream_error(data: &[u8]) -> Failure {
    let body = parse_error_body(502, None, data);
    let raw = Bytes::copy_from_slice(data);
    Failure::Upstream(Box::new(StreamError { raw, status: body.status_hint(), body }))
}

/// What a repeated text says beyond what was streamed of it; nothing when the two differ.
fn missing<'a>(streamed: &str, whole: &'a str) -> &'a str {
    whole.strip_prefix(streamed).unwrap_or_default()
}
