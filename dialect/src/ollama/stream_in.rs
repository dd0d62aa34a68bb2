//! Answers of an Ollama server: lines to events. A whole answer is a stream of one line.

use bytes::Bytes;

use crate::ir::{Event, Failure, Finish, PartKind, Response, Str, ToolKind, Usage};
use crate::tap::StreamError;
use crate::translate::{BadFrame, Fold, Source, finish, ids};
use crate::usage::lenient_tokens;
use crate::{Dialect, json, parse_error_body};

/// Reads the lines of one answer.
#[derive(Debug)]
pub struct StreamDecoder {
    eof_is_end: bool,
    started: bool,
    ended: bool,
    id: String,
    next: u32,
    /// The part that text goes into, and whether it is reasoning.
    open: Option<(u32, bool)>,
    calls: u32,
    said: bool,
}

/// The members of a line, as written.
#[derive(Default)]
struct Line<'a> {
    model: &'a str,
    created_at: &'a str,
    content: &'a str,
    thinking: &'a str,
    calls: &'a str,
    done: bool,
    reason: Option<Str>,
    input: Option<u64>,
    output: Option<u64>,
    error: bool,
    answer: bool,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut line = Self::default();
        let whole = json::visit(text, |key, raw| match key {
            "model" => line.model = raw,
            "created_at" => line.created_at = raw,
            "message" => {
                line.answer = true;
                json::visit(raw, |key, raw| match key {
                    "content" => line.content = raw,
                    "thinking" => line.thinking = raw,
                    "tool_calls" => line.calls = raw,
                    _ => {}
                });
            }
            "done" => line.done = raw == "true",
            "done_reason" => line.reason = json::text(raw).map(Str::from),
            "prompt_eval_count" => line.input = lenient_tokens(raw),
            "eval_count" => line.output = lenient_tokens(raw),
            "error" => line.error = !json::is_blank(raw),
            _ => {}
        });
        whole.then_some(line)
    }

    /// What the server counted. A prompt that it had in its cache it does not always count.
    fn usage(&self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let tokens = crate::Usage {
            input: self.input.unwrap_or_default(),
            output: self.output.unwrap_or_default(),
            exact: self.input.is_some() && self.output.is_some(),
            ..crate::Usage::default()
        };
        Some(tokens.into())
    }
}

impl StreamDecoder {
    /// A decoder at the start of an answer.
    pub fn new(source: &Source) -> Self {
        Self {
            eof_is_end: source.profile.eof_is_end,
            started: false,
            ended: false,
            id: String::new(),
            next: 0,
            open: None,
            calls: 0,
            said: false,
        }
    }

    /// Takes one line.
    ///
    /// # Errors
    /// When the line is no JSON object; the decoder stays as it was.
    pub fn frame(&mut self, data: &[u8], out: &mut Vec<Event>) -> Result<(), BadFrame> {
        if self.ended {
            return Ok(());
        }
        let text = json::lossy(data);
        let line = Line::read(text.trim()).ok_or(BadFrame)?;
        if line.error {
            self.fail(upstream_error(data), out);
            return Ok(());
        }
        self.start(&line, out);
        self.text(line.thinking, true, out);
        self.text(line.content, false, out);
        let mut calls = Vec::new();
        json::visit_elements(line.calls, |call| calls.push(call));
        calls.into_iter().for_each(|call| self.call(call, out));
        if line.done {
            self.end(&line, out);
        }
        Ok(())
    }

    /// The transport ended cleanly.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        if self.eof_is_end && self.said {
            self.end(&Line::default(), out);
        } else {
            self.fail(Failure::Truncated, out);
        }
    }

    fn start(&mut self, line: &Line<'_>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        // The server has no ids; model and time tell its answers apart.
        self.id = ids::digest(&[line.model.as_bytes(), line.created_at.as_bytes()], 24);
        out.push(Event::Start {
            id: self.id.as_str().into(),
            model: json::text(line.model).map(Str::from).unwrap_or_default(),
            created: None,
            usage: None,
            service_tier: None,
            fingerprint: None,
        });
    }

    fn text(&mut self, raw: &str, thinks: bool, out: &mut Vec<Event>) {
        let Some(text) = json::string(raw).filter(|text| !text.is_empty()) else { return };
        self.said = true;
        let part = match self.open {
            Some((part, kind)) if kind == thinks => part,
            _ => {
                let kind = if thinks {
                    PartKind::Thinking { summary: false, item_id: None }
                } else {
                    PartKind::Text { phase: None }
                };
                let part = self.begin(kind, out);
                self.open = Some((part, thinks));
                part
            }
        };
        let text = Str::from(&*text);
        out.push(if thinks { Event::Thinking { part, text } } else { Event::Text { part, text } });
    }

    /// A call; it comes whole.
    fn call(&mut self, raw: &str, out: &mut Vec<Event>) {
        let function = json::member(raw, "function").unwrap_or_default();
        let Some(name) = json::member(function, "name").and_then(json::text) else { return };
        let given = json::member(raw, "id").and_then(json::text);
        let id = given.unwrap_or_else(|| ids::answer_call_id(&self.id, self.calls));
        let arguments = json::member(function, "arguments").unwrap_or_default();
        let text = match json::string(arguments) {
            Some(text) => Str::from(&*text),
            None if arguments == "null" => Str::new(),
            None => Str::from(arguments),
        };
        self.said = true;
        self.calls = self.calls.saturating_add(1);
        let part = self.begin(
            PartKind::ToolUse {
                id: id.into(),
                name: name.into(),
                kind: ToolKind::Function,
                namespace: None,
                signature: None,
            },
            out,
        );
        if !text.is_empty() && &*text != "{}" {
            out.push(Event::ToolInput { part, text });
        }
        out.push(Event::PartStop { part, full: None });
    }

    fn begin(&mut self, kind: PartKind, out: &mut Vec<Event>) -> u32 {
        self.close(out);
        let part = self.next;
        self.next = self.next.saturating_add(1);
        out.push(Event::PartStart { part, choice: 0, kind });
        part
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((part, _)) = self.open.take() {
            out.push(Event::PartStop { part, full: None });
        }
    }

    fn end(&mut self, line: &Line<'_>, out: &mut Vec<Event>) {
        self.close(out);
        out.extend(line.usage().map(Event::Usage));
        let has_call = self.calls > 0;
        let finish = match line.reason.as_deref() {
            // It was asked to load or unload a model, and did.
            Some("load" | "unload") => Finish::Stop,
            Some(word) => finish::decode(Dialect::Chat, word, has_call),
            None => finish::without_word(has_call),
        };
        let reason = line.reason.clone();
        out.push(Event::Finish { choice: 0, finish, reason, stop_sequence: None, details: None });
        out.push(Event::End);
        self.ended = true;
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.ended = true;
        out.push(Event::Failed(Box::new(failure)));
    }
}

fn upstream_error(data: &[u8]) -> Failure {
    let body = parse_error_body(502, None, data);
    let raw = Bytes::copy_from_slice(data);
    Failure::Upstream(Box::new(StreamError { raw, status: body.status_hint(), body }))
}

/// Reads a whole answer, also one that came in lines although it was to be whole.
///
/// # Errors
/// [`Failure::Upstream`] for an error under a success status, [`Failure::Empty`] for an answer without
/// anything in it, [`Failure::NotAnAnswer`] for what is no JSON.
pub fn decode_response(body: &[u8], source: &Source) -> Result<Response, Failure> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    if body.is_empty() {
        return Err(Failure::Empty);
    }
    let mut decoder = StreamDecoder::new(source);
    let mut events = Vec::new();
    if decoder.frame(body, &mut events).is_err() {
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            decoder
                .frame(line, &mut events)
                .map_err(|BadFrame| Failure::NotAnAnswer("it is no JSON object".into()))?;
        }
    }
    decoder.finish(&mut events);
    let (said, calls) = (decoder.said, decoder.calls);
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    let response = fold.finish()?;
    let excused = response.choices.iter().any(|choice| choice.finish == Finish::Length);
    if !said && calls == 0 && !excused {
        return Err(Failure::Empty);
    }
    Ok(response)
}
