//! The side tap: watches a stream that is handed on byte for byte (translation §1.3, §4.1).

mod anth;
mod chat;
mod filter;
mod gem;
mod needle;
mod observer;
mod resp;

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::body::{BodyVerdict, judge_body};
use crate::cloud_code::StreamUnwrap;
use crate::json_array::ArrayScanner;
use crate::sse::{Frame, SseSplitter};
use crate::stream_error::StreamPosition;
use crate::upstream_error::UpstreamErrorBody;
use crate::{Dialect, Usage, json};
use filter::EventFilter;
use observer::Observer;

pub(crate) use gem::part_content;
pub(crate) use needle::delta_content;

/// Bad events in a row before the first content that make an upstream unusable (§4.1).
const BAD_FRAMES: u32 = 5;

/// How events are framed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON array, streamed (Gemini without `alt=sse`).
    JsonArray,
}

/// What to watch for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TapOptions {
    /// The dialect of the stream.
    pub dialect: Dialect,
    /// Its framing.
    pub framing: Framing,
    /// Withhold the usage-only chunk, because the router asked for it and not the client (T009).
    pub hide_usage_chunk: bool,
    /// A clean end after content counts as the terminal mark (provider profile).
    pub eof_is_end: bool,
    /// The events come in Google Code Assist's envelope, which is taken off each of them
    /// ([`StreamUnwrap`]); `framing` is then the client's.
    pub unwrap: bool,
    /// The largest event.
    pub max_event_bytes: usize,
}

/// What the tap learnt.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct TapSummary {
    /// Token counts, where the upstream gave any.
    pub usage: Option<Usage>,
    /// The upstream's own word for why it finished.
    pub finish_reason: Option<String>,
    /// The id of the response.
    pub response_id: Option<String>,
    /// The model as the upstream names it.
    pub model: Option<String>,
    /// The price as the upstream names it (`usage.cost`).
    pub cost_usd: Option<f64>,
    /// What it takes off the account's balance, in the upstream's own unit (Kiro's credits).
    pub credits: Option<f64>,
    /// Bytes of generated text, roughly: the base of an estimate when no usage came.
    pub content_bytes: u64,
}

/// An error that the upstream sent inside the stream.
#[derive(Clone, PartialEq, Debug)]
pub struct StreamError {
    /// The event's data as received.
    pub raw: Bytes,
    /// The status that it stands for, if it says so.
    pub status: Option<u16>,
    /// Its parts.
    pub body: UpstreamErrorBody,
}

/// Why a stream cannot be watched any further. The attempt has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TapFault {
    /// One event is larger than allowed.
    #[error("the upstream sent an event of more than {limit} bytes")]
    EventTooLarge {
        /// The limit.
        limit: usize,
    },
    /// A line that is no data does not end.
    #[error("the upstream sent a line of more than {limit} bytes that is no data")]
    LineTooLong {
        /// The limit.
        limit: usize,
    },
    /// A frame of a binary stream is damaged: a checksum or a length is wrong.
    #[error("the upstream sent a damaged frame")]
    Corrupt,
    /// Five events in a row before the first content made no sense.
    #[error("the upstream sent a stream that makes no sense")]
    Garbage,
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StreamEnd {
    /// With its dialect's terminal mark.
    Complete,
    /// Without it (REL-UP-1: the transport calls this a clean end).
    Truncated,
    /// The upstream reported an error.
    Failed,
}

/// Watches one stream. Bytes pass unchanged and in whole events, except for a hidden usage chunk and an
/// envelope.
///
/// # Examples
/// ```
/// use bytes::Bytes;
/// use ninerouter_dialect::{Dialect, Framing, StreamEnd, StreamTap, TapOptions};
/// let mut tap = StreamTap::new(TapOptions {
///     dialect: Dialect::Chat, framing: Framing::Sse, hide_usage_chunk: false,
///     eof_is_end: false, unwrap: false, max_event_bytes: 16 << 20,
/// });
/// let mut out = Vec::new();
/// let chunk = Bytes::from_static(
///     b"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n");
/// tap.push(chunk.clone(), &mut out).unwrap();
/// assert!(tap.content_seen());
/// assert_eq!(tap.finish(&mut out), StreamEnd::Complete);
/// assert_eq!(out, [chunk]);
/// ```
#[derive(Debug)]
pub struct StreamTap {
    options: TapOptions,
    split: Split,
    observer: Observer,
    filter: EventFilter,
    unwrap: Option<StreamUnwrap>,
    /// A whole JSON body that came where a stream was promised.
    body: Option<Vec<u8>>,
    begun: bool,
}

#[derive(Debug)]
enum Split {
    Sse(SseSplitter),
    Array(ArrayScanner),
}

impl StreamTap {
    /// A tap at the start of a stream.
    pub fn new(options: TapOptions) -> Self {
        let split = match options.framing {
            Framing::Sse => Split::Sse(SseSplitter::new(options.max_event_bytes)),
            Framing::JsonArray => Split::Array(ArrayScanner::new(options.max_event_bytes)),
        };
        Self {
            options,
            split,
            observer: Observer::new(options.dialect),
            filter: EventFilter::default(),
            unwrap: options
                .unwrap
                .then(|| StreamUnwrap::new(options.framing, options.max_event_bytes)),
            body: None,
            begun: false,
        }
    }

    /// Takes a chunk of the upstream's bytes and puts what goes to the client into `out`.
    ///
    /// # Errors
    /// A [`TapFault`] when the stream breaks a limit or makes no sense; the chunk is then withheld.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), TapFault> {
        let chunk = match &mut self.unwrap {
            Some(unwrap) => unwrap.push(&chunk)?,
            None => chunk,
        };
        self.pass(chunk, out)
    }

    fn pass(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), TapFault> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.notice_body(&chunk);
        if self.body.is_some() {
            return self.push_body(chunk, out);
        }
        match &mut self.split {
            Split::Array(scanner) => {
                let observer = &mut self.observer;
                scanner.push(&chunk, &mut |element| {
                    observer.observe(element, None);
                })?;
                let lost = scanner.is_lost() && !self.observer.content_seen();
                if lost || self.observer.bad_run() >= BAD_FRAMES {
                    return Err(TapFault::Garbage);
                }
                out.push(chunk);
                Ok(())
            }
            Split::Sse(_) => self.push_sse(&chunk, out),
        }
    }

    /// The upstream ended its stream cleanly; `out` gets what was still held back.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        if let Some(mut unwrap) = self.unwrap.take()
            && self.pass_rest(&mut unwrap, out).is_err()
        {
            self.observer.mark_cut();
        }
        let mut hidden = false;
        if let Some(body) = self.body.take() {
            self.settle_body(&body);
        } else {
            let observer = &mut self.observer;
            match &mut self.split {
                Split::Sse(splitter) => splitter.finish(&mut |frame, _| {
                    if let Some(frame) = frame {
                        hidden = observer.observe_last(&frame.data, frame.name);
                    }
                    ControlFlow::Continue(())
                }),
                // An array that was never closed is no JSON for the client.
                Split::Array(scanner) if !scanner.is_whole() => observer.mark_cut(),
                Split::Array(_) => {}
            }
        }
        let end = self.observer.end(self.options.eof_is_end);
        // An event that the upstream never finished goes no further: an error event takes its place.
        if end != StreamEnd::Truncated && !(hidden && self.options.hide_usage_chunk) {
            self.filter.flush(out);
        }
        end
    }

    /// Hands out what the envelope's reader still holds.
    fn pass_rest(
        &mut self,
        unwrap: &mut StreamUnwrap,
        out: &mut Vec<Bytes>,
    ) -> Result<(), TapFault> {
        self.pass(unwrap.flush(), out)?;
        let complete = self.terminal_seen() || (self.options.eof_is_end && self.content_seen());
        self.pass(unwrap.finish(complete), out)
    }

    /// Whether meaningful content was seen: the commit point (translation §4.8).
    pub fn content_seen(&self) -> bool {
        self.observer.content_seen()
    }

    /// Content events so far, for the content-idle timer.
    pub fn content_count(&self) -> u64 {
        self.observer.content_count()
    }

    /// Whether the dialect's terminal mark was seen.
    pub fn terminal_seen(&self) -> bool {
        self.observer.terminal_seen()
    }

    /// Whether the stream's last event has come: `[DONE]`, `message_stop`, `response.completed` …
    /// A finish reason alone is no last event.
    pub fn nothing_follows(&self) -> bool {
        self.observer.ended
    }

    /// Whether the bytes handed out so far end between two events: keep-alives may go here.
    pub fn at_boundary(&self) -> bool {
        if self.body.is_some() {
            return false;
        }
        match &self.split {
            Split::Sse(splitter) => !self.filter.is_inside() && !splitter.awaits_line_feed(),
            Split::Array(scanner) => scanner.at_boundary(),
        }
    }

    /// Whether anything but comments came; until then the target may still be switched silently.
    pub fn saw_anything_but_comments(&self) -> bool {
        self.body.is_some()
            || match &self.split {
                Split::Sse(splitter) => splitter.saw_anything_but_comments(),
                Split::Array(scanner) => scanner.started(),
            }
    }

    /// The error that the upstream reported, if any.
    pub fn error(&self) -> Option<&StreamError> {
        self.observer.error()
    }

    /// Whether `message_start` went by: only then may an Anthropic client get pings.
    pub fn message_started(&self) -> bool {
        self.observer.message_started()
    }

    /// What was learnt so far.
    pub fn summary(&self) -> &TapSummary {
        self.observer.summary()
    }

    /// Events that came after the terminal one; they are ignored, the caller logs it (REL-UP-7).
    pub fn late_events(&self) -> u64 {
        self.observer.late_events()
    }

    /// Where an error event would go: what [`crate::stream_error_at`] needs to fit in.
    pub fn position(&self) -> StreamPosition<'_> {
        let elements = match &self.split {
            Split::Sse(_) => self.observer.next_sequence(),
            Split::Array(scanner) if scanner.started() => scanner.elements().max(1),
            Split::Array(_) => 0,
        };
        StreamPosition {
            next_sequence: elements,
            response_id: self.summary().response_id.as_deref(),
            model: self.summary().model.as_deref(),
            mid_event: !self.at_boundary(),
        }
    }

    /// A `[` as the first byte of an event stream: a whole JSON body under the wrong label.
    fn notice_body(&mut self, chunk: &[u8]) {
        if self.begun {
            return;
        }
        let text = chunk.strip_prefix(b"\xef\xbb\xbf").unwrap_or(chunk).trim_ascii_start();
        let Some(first) = text.first() else { return };
        self.begun = true;
        if *first == b'[' && self.options.framing == Framing::Sse {
            self.body = Some(Vec::new());
        }
    }

    fn push_body(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), TapFault> {
        if let Some(body) = &mut self.body {
            let limit = self.options.max_event_bytes.saturating_mul(2);
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(TapFault::EventTooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        self.filter.flush(out);
        out.push(chunk);
        Ok(())
    }

    fn push_sse(&mut self, chunk: &Bytes, out: &mut Vec<Bytes>) -> Result<(), TapFault> {
        let Split::Sse(splitter) = &mut self.split else { return Ok(()) };
        let (observer, filter) = (&mut self.observer, &mut self.filter);
        let hides = self.options.hide_usage_chunk;
        filter.begin(chunk, splitter.awaits_line_feed());
        let mut garbage = false;
        let mut body_line = None;
        let mut sink = |frame: Option<Frame<'_>>, end: usize| {
            let mut usage_only = false;
            if let Some(frame) = frame {
                // A line with an open brace: either NDJSON, or the first line of a whole body.
                if frame.bare && !observer.begun() && !is_json(&frame.data) {
                    body_line = Some(frame.data.into_owned());
                    return ControlFlow::Break(());
                }
                usage_only = observer.observe(&frame.data, frame.name) && hides;
                garbage = observer.bad_run() >= BAD_FRAMES;
            }
            filter.event(chunk, end, usage_only, out);
            if garbage { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let consumed = splitter.push(chunk, &mut sink)?;
        if garbage {
            return Err(TapFault::Garbage);
        }
        self.filter.end_chunk(chunk, out);
        if let Some(mut body) = body_line {
            body.push(b'\n');
            body.extend_from_slice(chunk.get(consumed..).unwrap_or_default());
            self.body = Some(body);
            // It has no events to wait for.
            self.filter.flush(out);
        }
        Ok(())
    }

    fn settle_body(&mut self, body: &[u8]) {
        match judge_body(self.options.dialect, body) {
            BodyVerdict::Ok(summary) => self.observer.adopt(summary),
            BodyVerdict::Error(error) => {
                self.observer.fail(Bytes::copy_from_slice(body), *error);
            }
            BodyVerdict::Empty | BodyVerdict::NotJson { .. } => self.observer.mark_cut(),
        }
    }
}

fn is_json(data: &[u8]) -> bool {
    json::visit(&json::lossy(data), |_, _| {})
}

#[cfg(test)]
mod tests;
