//! Anthropic Messages events (translation §4.2).

use super::needle::{self, PARTIAL_JSON, TEXT, THINKING};
use super::observer::Observer;
use crate::json;

impl Observer {
    pub(super) fn anth(&mut self, data: &[u8], name: Option<&[u8]>) {
        match needle::leading_type(data) {
            Some(kind) => self.anth_event(kind, data),
            None => self.anth_untyped(data, name),
        }
    }

    /// The `type` does not come first, or not at all: then the event name decides.
    fn anth_untyped(&mut self, data: &[u8], name: Option<&[u8]>) {
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
            (Some(kind), _) => self.anth_event(kind.as_bytes(), data),
            (None, _) if error => self.fail_event(data),
            (None, Some(name)) => self.anth_event(name, data),
            (None, None) => self.good(),
        }
    }

    fn anth_event(&mut self, kind: &[u8], data: &[u8]) {
        match kind {
            b"content_block_delta" => {
                if self.proven(data) {
                    let bytes = [&TEXT, &THINKING, &PARTIAL_JSON]
                        .into_iter()
                        .find_map(|needle| needle::string_len(data, needle));
                    self.content(bytes.unwrap_or(0));
                }
            }
            b"content_block_start" => {
                if self.proven(data) {
                    self.content(0);
                }
            }
            b"message_start" => self.message_start(data),
            b"message_delta" => self.message_delta(data),
            b"message_stop" => {
                if self.proven(data) {
                    self.finished = true;
                    self.ended = true;
                }
            }
            b"error" => self.fail_event(data),
            _ => {
                self.proven(data);
            }
        }
    }

    fn message_start(&mut self, data: &[u8]) {
        let text = json::lossy(data);
        let mut message = None;
        if !json::visit(&text, |key, raw| {
            if key == "message" {
                message = Some(raw);
            }
        }) {
            self.bad();
            return;
        }
        self.good();
        self.message_started = true;
        let Some(message) = message else { return };
        let (mut id, mut model) = (None, None);
        json::visit(message, |key, raw| match key {
            "id" => id = Some(raw),
            "model" => model = Some(raw),
            "usage" => self.anth_usage.merge(raw),
            _ => {}
        });
        self.name(id, model);
        let usage = self.anth_usage.to_usage();
        if !usage.is_zero() {
            // The start is no content, whatever it counts.
            self.summary.usage = Some(usage);
        }
    }

    fn message_delta(&mut self, data: &[u8]) {
        let text = json::lossy(data);
        let mut stop = None;
        let mut counted = false;
        let whole = json::visit(&text, |key, raw| match key {
            "delta" => stop = json::member(raw, "stop_reason").and_then(json::text),
            "usage" => {
                self.anth_usage.merge(raw);
                counted = true;
            }
            _ => {}
        });
        if !whole {
            self.bad();
            return;
        }
        self.good();
        if stop.is_some() {
            self.finish(stop);
        }
        let usage = self.anth_usage.to_usage();
        if counted && !usage.is_zero() {
            self.usage(usage.into());
        }
    }
}
