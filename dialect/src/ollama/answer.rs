//! Chat answers, as Ollama's clients expect them: lines, the last of which says that it is done.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::Form;
use super::request::Call;
use crate::ir::{Event, Failure, Finish, Part, PartKind, Str, ToolKind, Usage};
use crate::translate::{EventReader, Source, tool_input};
use crate::{ApiError, Dialect, ErrorShape, chat, error_body};

/// The time of a line. The caller has the clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// RFC 3339, with a zone.
    pub stamp: &'a str,
    /// Since the request came, nanoseconds.
    pub elapsed_ns: u64,
}

/// Makes lines of a chat stream.
#[derive(Debug)]
pub struct AnswerStream {
    reader: EventReader,
    events: Vec<Event>,
    lines: Lines,
}

impl AnswerStream {
    /// At the start of an answer; `model` is what the client called it.
    pub fn new(form: Form, model: impl Into<String>, max_event_bytes: usize) -> Self {
        Self {
            reader: EventReader::new(Source::new(Dialect::Chat), max_event_bytes),
            events: Vec::new(),
            lines: Lines::new(form, model.into()),
        }
    }

    /// Takes a chunk of the chat stream; whole lines go to `out`.
    pub fn push(&mut self, chunk: &[u8], at: &Moment<'_>, out: &mut Vec<u8>) {
        self.reader.push(chunk, &mut self.events);
        self.write(at, out);
    }

    /// The chat stream ended cleanly. Without its end there is none here either.
    pub fn finish(&mut self, at: &Moment<'_>, out: &mut Vec<u8>) {
        self.reader.finish(&mut self.events);
        self.write(at, out);
    }

    fn write(&mut self, at: &Moment<'_>, out: &mut Vec<u8>) {
        for event in self.events.drain(..) {
            self.lines.event(event, at, out);
        }
    }
}

/// A chat answer in one piece; `None` when the body is none.
pub fn to_answer(form: Form, model: &str, body: &[u8], at: &Moment<'_>) -> Option<Vec<u8>> {
    let response = chat::decode_response(body, &Source::new(Dialect::Chat)).ok()?;
    let mut lines = Lines::new(form, model.to_owned());
    lines.usage = response.usage;
    lines.first_ns = Some(at.elapsed_ns);
    let choice = response.choices.into_iter().next()?;
    let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for part in &choice.parts {
        match part {
            Part::Text(part) => text.push_str(&part.text),
            Part::Refusal { text: refusal } => text.push_str(refusal),
            Part::Thinking(part) => thinking.push_str(&part.text),
            Part::ToolUse(call) => calls.push(Call::new(&call.name, &call.input)),
            _ => {}
        }
    }
    let said = Said { text: &text, thinking: &thinking, calls };
    let mut line = lines.line(said, at);
    lines.end(&mut line, &choice.finish, at);
    serde_json::to_vec(&line).ok()
}

/// The answer to a request that a model be made ready or let go: here it always is, and never was.
pub fn loaded(form: Form, model: &str, unload: bool, at: &Moment<'_>) -> Vec<u8> {
    let lines = Lines::new(form, model.to_owned());
    let mut line = lines.line(Said::default(), at);
    line.done = true;
    line.done_reason = Some(if unload { "unload" } else { "load" });
    let mut out = Vec::new();
    put(&line, &mut out);
    out
}

/// The line that tells of a broken answer. No done line may follow.
pub fn stream_error(error: &ApiError) -> Bytes {
    let mut line = error_body(ErrorShape::Ollama, error);
    line.push(b'\n');
    line.into()
}

/// A line on the wire.
#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    created_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_eval_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_eval_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_duration: Option<u64>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

/// What a line says.
#[derive(Default)]
struct Said<'a> {
    text: &'a str,
    thinking: &'a str,
    calls: Vec<Call<'a>>,
}

/// Writes lines.
#[derive(Debug)]
struct Lines {
    form: Form,
    model: String,
    usage: Option<Usage>,
    finish: Option<Finish>,
    /// When the first word came, nanoseconds.
    first_ns: Option<u64>,
    /// The call under way: its name and its arguments so far.
    call: Option<(Str, String)>,
    over: bool,
}

impl Lines {
    fn new(form: Form, model: String) -> Self {
        Self { form, model, usage: None, finish: None, first_ns: None, call: None, over: false }
    }

    fn event(&mut self, event: Event, at: &Moment<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        if event.is_content() {
            self.first_ns.get_or_insert(at.elapsed_ns);
        }
        match event {
            Event::Text { text, .. } | Event::Refusal { text, .. } => {
                put(&self.line(Said { text: &text, ..Said::default() }, at), out);
            }
            Event::Thinking { text, .. } => {
                put(&self.line(Said { thinking: &text, ..Said::default() }, at), out);
            }
            Event::PartStart { kind: PartKind::ToolUse { name, .. }, .. } => {
                self.call = Some((name, String::new()));
            }
            Event::ToolInput { text, .. } => {
                if let Some((_, input)) = &mut self.call {
                    input.push_str(&text);
                }
            }
            // Calls are told whole.
            Event::PartStop { .. } => {
                if let Some((name, input)) = self.call.take() {
                    let input = tool_input(&ToolKind::Function, input.into());
                    let calls = vec![Call::new(&name, &input)];
                    put(&self.line(Said { calls, ..Said::default() }, at), out);
                }
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish { choice: 0, finish, .. } => self.finish = Some(finish),
            Event::End => {
                self.over = true;
                let finish = self.finish.take().unwrap_or(Finish::Stop);
                let mut line = self.line(Said::default(), at);
                self.end(&mut line, &finish, at);
                put(&line, out);
            }
            Event::Failed(failure) => {
                self.over = true;
                // What stands in a stream for clients is meant for them.
                if let Failure::Upstream(error) = *failure {
                    put(&json!({ "error": error.body.message.unwrap_or_default() }), out);
                }
            }
            _ => {}
        }
    }

    fn line<'a>(&'a self, said: Said<'a>, at: &Moment<'a>) -> Line<'a> {
        let Said { text, thinking, calls } = said;
        let is_chat = self.form == Form::Chat;
        let message = Message { role: "assistant", content: text, thinking, tool_calls: calls };
        Line {
            model: &self.model,
            created_at: at.stamp,
            message: is_chat.then_some(message),
            response: (!is_chat).then_some(text),
            thinking: if is_chat { "" } else { thinking },
            done: false,
            done_reason: None,
            total_duration: None,
            load_duration: None,
            prompt_eval_count: None,
            prompt_eval_duration: None,
            eval_count: None,
            eval_duration: None,
        }
    }

    /// Makes the line the last one. Counts are the upstream's own; where it has none there are none.
    fn end(&self, line: &mut Line<'_>, finish: &Finish, at: &Moment<'_>) {
        line.done = true;
        line.done_reason = Some(match finish {
            Finish::Length | Finish::ContextLength => "length",
            _ => "stop",
        });
        let first = self.first_ns.unwrap_or(at.elapsed_ns).min(at.elapsed_ns);
        line.total_duration = Some(at.elapsed_ns);
        line.load_duration = Some(0);
        line.prompt_eval_duration = Some(first);
        line.eval_duration = Some(at.elapsed_ns.saturating_sub(first));
        line.prompt_eval_count = self.usage.map(|usage| usage.tokens.input);
        line.eval_count = self.usage.map(|usage| usage.tokens.output);
    }
}

fn put(line: &impl Serialize, out: &mut Vec<u8>) {
    // Writing into memory cannot fail.
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}
