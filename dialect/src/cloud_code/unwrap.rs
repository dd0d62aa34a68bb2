//! Answers out of their envelope, without a tree of them (translation §5.2, T171).

use std::ops::{ControlFlow, Range};

use bytes::Bytes;

use crate::json_array::ArrayScanner;
use crate::sse::SseSplitter;
use crate::tap::TapFault;
use crate::{Dialect, Framing, json, keep_alive};

/// Takes the envelope off a whole answer: the bytes of what is inside. What is in no envelope comes back
/// as it is.
pub fn unwrap_answer(body: &Bytes) -> Bytes {
    body.slice(inner(body))
}

/// Where the answer lies in `data`: inside `response`, unless the top is an answer itself.
fn inner(data: &[u8]) -> Range<usize> {
    let all = 0..data.len();
    let Ok(text) = std::str::from_utf8(data) else { return all };
    let (mut wrapped, mut bare) = (None, false);
    let whole = json::visit(text, |key, raw| match key {
        "response" => wrapped = Some(raw).filter(|raw| json::is_object(raw)),
        "candidates" => bare = true,
        _ => {}
    });
    match wrapped.filter(|_| whole && !bare) {
        Some(raw) => json::range_in(text, raw),
        None => all,
    }
}

/// Takes the envelope off each event of a stream, for a client of Gemini's own dialect. What is inside
/// keeps its bytes; what is in no envelope passes.
///
/// Upstream the stream is one of server-sent events, or a JSON array; the client gets the framing that it
/// asked for.
#[derive(Debug)]
pub struct StreamUnwrap {
    split: Option<Split>,
    out: Writer,
    max_event_bytes: usize,
}

#[derive(Debug)]
enum Split {
    Sse(SseSplitter),
    Array(ArrayScanner),
}

impl StreamUnwrap {
    /// At the start of a stream, for a client that wants `framing`.
    pub fn new(framing: Framing, max_event_bytes: usize) -> Self {
        let out = Writer { framing, bytes: Vec::new(), elements: 0 };
        Self { split: None, out, max_event_bytes }
    }

    /// Takes a chunk of the upstream's bytes; returns what goes to the client, which may be nothing yet.
    ///
    /// # Errors
    /// A [`TapFault`] when an event is larger than allowed.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Bytes, TapFault> {
        if self.split.is_none() {
            let start = chunk.strip_prefix(b"\xef\xbb\xbf").unwrap_or(chunk).trim_ascii_start();
            let Some(first) = start.first() else { return Ok(Bytes::new()) };
            self.split = Some(match first {
                b'[' | b'{' => Split::Array(ArrayScanner::new(self.max_event_bytes)),
                _ => Split::Sse(SseSplitter::new(self.max_event_bytes)),
            });
        }
        let out = &mut self.out;
        match &mut self.split {
            Some(Split::Sse(splitter)) => {
                splitter.push(chunk, &mut |frame, _| {
                    match frame {
                        Some(frame) => out.event(&frame.data),
                        None => out.comment(),
                    }
                    ControlFlow::Continue(())
                })?;
            }
            Some(Split::Array(scanner)) => {
                scanner.push(chunk, &mut |element| out.event(element))?;
                if scanner.is_lost() {
                    return Err(TapFault::Garbage);
                }
            }
            None => {}
        }
        Ok(self.out.take())
    }

    /// The upstream ended its stream cleanly. `complete` = the answer is whole: only then an array is
    /// closed.
    pub fn finish(&mut self, complete: bool) -> Bytes {
        let out = &mut self.out;
        if complete && out.framing == Framing::JsonArray {
            out.bytes.extend_from_slice(if out.elements == 0 { b"[]" } else { b"]" });
        }
        out.take()
    }

    /// Hands out an event that its last blank line is missing from.
    pub fn flush(&mut self) -> Bytes {
        let out = &mut self.out;
        if let Some(Split::Sse(splitter)) = &mut self.split {
            splitter.finish(&mut |frame, _| {
                // Half an event is no event; that the answer is cut shows by what is missing.
                if let Some(frame) = frame
                    && json::visit(&json::lossy(&frame.data), |_, _| {})
                {
                    out.event(&frame.data);
                }
                ControlFlow::Continue(())
            });
        }
        out.take()
    }
}

/// Writes events in the client's framing.
#[derive(Debug)]
struct Writer {
    framing: Framing,
    bytes: Vec<u8>,
    elements: u64,
}

impl Writer {
    fn event(&mut self, data: &[u8]) {
        let data = data.get(inner(data)).unwrap_or_default();
        match self.framing {
            Framing::Sse => {
                for (at, line) in data.split(|byte| *byte == b'\n').enumerate() {
                    self.bytes.extend_from_slice(if at == 0 { b"data: " } else { b"\r\ndata: " });
                    self.bytes.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
                }
                self.bytes.extend_from_slice(b"\r\n\r\n");
            }
            Framing::JsonArray if data.starts_with(b"{") => {
                self.bytes.extend_from_slice(if self.elements == 0 { b"[" } else { b",\r\n" });
                self.elements = self.elements.saturating_add(1);
                self.bytes.extend_from_slice(data);
            }
            // Only objects are elements.
            Framing::JsonArray => {}
        }
    }

    fn comment(&mut self) {
        self.bytes.extend_from_slice(&keep_alive(Dialect::Gem, self.framing, false));
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).into()
    }
}
