//! What the events of a stream say, whatever their dialect.

use bytes::Bytes;

use super::{StreamEnd, StreamError, TapSummary};
use crate::ir;
use crate::usage::AnthUsage;
use crate::{Dialect, UpstreamErrorBody, json, parse_error_body};

/// What is known after the events so far. The dialects' own rules are in the sibling modules.
#[derive(Debug)]
pub(super) struct Observer {
    dialect: Dialect,
    pub(super) summary: TapSummary,
    pub(super) anth_usage: AnthUsage,
    content_seen: bool,
    content_count: u64,
    /// A finish reason, `[DONE]`, `message_stop` …: the stream may end now.
    pub(super) finished: bool,
    /// Nothing may follow any more.
    pub(super) ended: bool,
    pub(super) message_started: bool,
    cut: bool,
    error: Option<StreamError>,
    bad_run: u32,
    events: u64,
    late: u64,
}

impl Observer {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            summary: TapSummary::default(),
            anth_usage: AnthUsage::default(),
            content_seen: false,
            content_count: 0,
            finished: false,
            ended: false,
            message_started: false,
            cut: false,
            error: None,
            bad_run: 0,
            events: 0,
            late: 0,
        }
    }

    /// Looks at one event; `true` when it is a chat chunk that carries usage and nothing else.
    pub(super) fn observe(&mut self, data: &[u8], name: Option<&[u8]>) -> bool {
        let data = data.trim_ascii();
        if data.is_empty() || data == b"null" {
            return false;
        }
        if self.ended {
            // REL-UP-7: what follows the end is ignored; the caller logs it once.
            self.late = self.late.saturating_add(1);
            return false;
        }
        if data == b"[DONE]" {
            self.done();
            return false;
        }
        match data.first() {
            Some(b'{') => {
                self.events = self.events.saturating_add(1);
                self.object(data, name)
            }
            Some(b'[') => self.array(data, name),
            _ => {
                self.text(data);
                false
            }
        }
    }

    /// Looks at an event that the end of the stream cut short: it counts only when it is whole.
    pub(super) fn observe_last(&mut self, data: &[u8], name: Option<&[u8]>) -> bool {
        let data = data.trim_ascii();
        let whole = data.is_empty()
            || data == b"[DONE]"
            || serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok();
        if whole {
            return self.observe(data, name);
        }
        if !self.looks_like_error_text(data) {
            self.mark_cut();
        }
        false
    }

    /// How the stream ended, now that no more bytes come.
    pub(super) fn end(&self, eof_is_end: bool) -> StreamEnd {
        if self.error.is_some() {
            StreamEnd::Failed
        } else if self.terminal_seen() || (eof_is_end && self.content_seen && !self.cut) {
            StreamEnd::Complete
        } else {
            StreamEnd::Truncated
        }
    }

    pub(super) fn terminal_seen(&self) -> bool {
        match self.dialect {
            // `[DONE]` after nothing at all is no answer (translation §3.2).
            Dialect::Chat => self.finished || (self.ended && self.content_seen),
            Dialect::Resp | Dialect::Anth => self.ended,
            Dialect::Gem => self.finished && !self.cut,
        }
    }

    pub(super) fn content_seen(&self) -> bool {
        self.content_seen
    }

    pub(super) fn content_count(&self) -> u64 {
        self.content_count
    }

    pub(super) fn message_started(&self) -> bool {
        self.message_started
    }

    pub(super) fn error(&self) -> Option<&StreamError> {
        self.error.as_ref()
    }

    pub(super) fn summary(&self) -> &TapSummary {
        &self.summary
    }

    pub(super) fn late_events(&self) -> u64 {
        self.late
    }

    /// Events so far: the sequence number of the next one in a Responses stream.
    pub(super) fn next_sequence(&self) -> u64 {
        self.events
    }

    /// Whether any event was seen.
    pub(super) fn begun(&self) -> bool {
        self.events > 0 || self.bad_run > 0 || self.ended
    }

    /// Senseless events in a row, as long as no content was seen.
    pub(super) fn bad_run(&self) -> u32 {
        if self.content_seen { 0 } else { self.bad_run }
    }

    /// The end of the stream fell into an event or an unclosed array.
    pub(super) fn mark_cut(&mut self) {
        self.cut = true;
    }

    /// A whole answer came instead of a stream.
    pub(super) fn adopt(&mut self, summary: TapSummary) {
        self.summary = summary;
        self.content(0);
        self.finished = true;
        self.ended = true;
    }

    pub(super) fn fail(&mut self, raw: Bytes, body: UpstreamErrorBody) {
        // `error` directly followed by `response.failed` is one error.
        if self.error.is_none() {
            self.error = Some(StreamError { raw, status: body.status_hint(), body });
        }
    }

    pub(super) fn fail_event(&mut self, data: &[u8]) {
        self.good();
        let body = parse_error_body(502, None, data);
        self.fail(Bytes::copy_from_slice(data), body);
    }

    /// One content event of about `bytes` bytes.
    pub(super) fn content(&mut self, bytes: usize) {
        self.content_seen = true;
        self.content_count = self.content_count.saturating_add(1);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.summary.content_bytes = self.summary.content_bytes.saturating_add(bytes);
    }

    /// A finish reason came; that counts as content.
    pub(super) fn finish(&mut self, reason: Option<String>) {
        self.finished = true;
        if reason.is_some() {
            self.summary.finish_reason = reason;
        }
        self.content(0);
    }

    /// A usage snapshot: the last one wins.
    pub(super) fn usage(&mut self, counted: ir::Usage) {
        self.summary.usage = Some(counted.tokens);
        self.summary.cost_usd = counted.cost_usd.or(self.summary.cost_usd);
        if !self.content_seen {
            self.content(0);
        }
    }

    /// Remembers the first id and model that are not empty.
    pub(super) fn name(&mut self, id: Option<&str>, model: Option<&str>) {
        if self.summary.response_id.is_none() {
            self.summary.response_id = id.and_then(json::text);
        }
        if self.summary.model.is_none() {
            self.summary.model = model.and_then(json::text);
        }
    }

    pub(super) fn good(&mut self) {
        self.bad_run = 0;
    }

    /// Whether the event is one JSON object, as must be proven before the first content.
    pub(super) fn proven(&mut self, data: &[u8]) -> bool {
        if self.content_seen {
            return true;
        }
        let whole = json::visit(&json::lossy(data), |_, _| {});
        if whole {
            self.good();
        } else {
            self.bad();
        }
        whole
    }

    pub(super) fn bad(&mut self) {
        self.bad_run = self.bad_run.saturating_add(1);
    }

    fn object(&mut self, data: &[u8], name: Option<&[u8]>) -> bool {
        match self.dialect {
            Dialect::Chat => return self.chat(data, name),
            Dialect::Resp => self.resp(data, name),
            Dialect::Anth => self.anth(data, name),
            Dialect::Gem => self.gem(data),
        }
        false
    }

    fn done(&mut self) {
        self.good();
        match self.dialect {
            Dialect::Chat => self.ended = true,
            // Gateways append it to every dialect; it says nothing there.
            Dialect::Resp | Dialect::Anth | Dialect::Gem => {}
        }
    }

    /// Google's endpoints put an error into an array, also under an OpenAI-shaped path.
    fn array(&mut self, data: &[u8], name: Option<&[u8]>) -> bool {
        let text = json::lossy(data);
        let mut elements = Vec::new();
        if !json::visit_elements(&text, |element| elements.push(element)) {
            self.bad();
            return false;
        }
        for element in elements.into_iter().filter(|element| json::is_object(element)) {
            self.events = self.events.saturating_add(1);
            let _ = self.object(element.as_bytes(), name);
        }
        false
    }

    fn text(&mut self, data: &[u8]) {
        if !self.looks_like_error_text(data) {
            self.bad();
        }
    }

    fn looks_like_error_text(&mut self, data: &[u8]) -> bool {
        let head = data.get(..5).unwrap_or_default();
        let is_error = head.eq_ignore_ascii_case(b"error");
        if is_error {
            self.fail_event(data);
        }
        is_error
    }
}
