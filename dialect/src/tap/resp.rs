//! OpenAI Responses events (translation §4.2).

use super::needle::{self, DELTA};
use super::observer::Observer;
use crate::{Dialect, json, usage};

/// What an event's type says about it.
enum Kind {
    /// `response.created` and the like: names the response, nothing more.
    Handshake,
    /// An item begins.
    ItemAdded,
    /// A piece of an item.
    Delta,
    /// Content that came whole.
    Whole,
    /// The end, in one way or another.
    Terminal,
    /// The end, by failure.
    Failed,
    /// An error event.
    Error,
    /// Nothing that matters here.
    Other,
}

fn kind_of(name: &[u8]) -> Kind {
    match name {
        b"response.created" | b"response.in_progress" | b"response.queued" => Kind::Handshake,
        b"response.output_item.added" => Kind::ItemAdded,
        b"response.completed" | b"response.incomplete" | b"response.done" => Kind::Terminal,
        b"response.failed" | b"response.cancelled" => Kind::Failed,
        b"error" => Kind::Error,
        name if name.ends_with(b".delta") => Kind::Delta,
        name if name.ends_with(b".done")
            || name.ends_with(b"_call.completed")
            || name.ends_with(b".annotation.added")
            || name.ends_with(b".partial_image") =>
        {
            Kind::Whole
        }
        _ => Kind::Other,
    }
}

impl Observer {
    pub(super) fn resp(&mut self, data: &[u8], name: Option<&[u8]>) {
        match needle::leading_type(data) {
            Some(kind) => self.resp_event(&kind_of(kind), data),
            None => self.resp_untyped(data, name),
        }
    }

    fn resp_untyped(&mut self, data: &[u8], name: Option<&[u8]>) {
        let text = json::lossy(data);
        let (mut kind, mut error) = (None, false);
        let whole = json::visit(&text, |key, raw| match key {
            "type" => kind = json::string(raw),
            "error" => error = !json::is_blank(raw),
            _ => {}
        });
        if !whole {
            self.bad();
            return;
        }
        match (kind, name) {
            (Some(kind), _) => self.resp_event(&kind_of(kind.as_bytes()), data),
            (None, _) if error => self.fail_event(data),
            (None, Some(name)) => self.resp_event(&kind_of(name), data),
            (None, None) => self.good(),
        }
    }

    fn resp_event(&mut self, kind: &Kind, data: &[u8]) {
        match kind {
            Kind::Handshake => {
                if self.content_seen() || !self.proven(data) {
                    return;
                }
                let text = json::lossy(data);
                self.response(json::member(&text, "response").unwrap_or_default());
            }
            Kind::ItemAdded => {
                if self.proven(data) && (self.content_seen() || starts_content(data)) {
                    self.content(0);
                }
            }
            Kind::Delta => {
                let bytes = needle::string_len(data, &DELTA);
                if bytes != Some(0) && self.proven(data) {
                    self.content(bytes.unwrap_or(0));
                }
            }
            Kind::Whole => {
                if self.proven(data) {
                    self.content(0);
                }
            }
            Kind::Terminal => self.terminal(data),
            Kind::Failed => {
                if self.proven(data) {
                    let text = json::lossy(data);
                    self.response(json::member(&text, "response").unwrap_or_default());
                    self.fail_event(data);
                    self.finished = true;
                    self.ended = true;
                }
            }
            Kind::Error => self.fail_event(data),
            Kind::Other => {
                self.proven(data);
            }
        }
    }

    fn terminal(&mut self, data: &[u8]) {
        let text = json::lossy(data);
        let mut response = None;
        if !json::visit(&text, |key, raw| {
            if key == "response" {
                response = Some(raw);
            }
        }) {
            self.bad();
            return;
        }
        self.good();
        let reason = self.response(response.unwrap_or_default());
        self.finish(reason);
        self.ended = true;
    }

    /// Reads a response object; gives its reason to finish.
    fn response(&mut self, response: &str) -> Option<String> {
        let (mut id, mut model, mut counted) = (None, None, None);
        let (mut status, mut incomplete) = (None, None);
        json::visit(response, |key, raw| match key {
            "id" => id = Some(raw),
            "model" => model = Some(raw),
            "usage" => counted = usage::decode_full(Dialect::Resp, raw),
            "status" => status = json::text(raw),
            "incomplete_details" => {
                incomplete = json::member(raw, "reason").and_then(json::text);
            }
            _ => {}
        });
        self.name(id, model);
        if let Some(decoded) = counted {
            self.summary.usage = Some(decoded.tokens);
            self.summary.cost_usd = decoded.cost_usd.or(self.summary.cost_usd);
        }
        incomplete.or(status)
    }
}

/// Whether a new item is content by itself: messages and reasoning start with their first text.
fn starts_content(data: &[u8]) -> bool {
    let text = json::lossy(data);
    let kind = json::member(&text, "item").and_then(|item| json::member(item, "type"));
    kind.and_then(json::string).is_some_and(|kind| kind != "message" && kind != "reasoning")
}
