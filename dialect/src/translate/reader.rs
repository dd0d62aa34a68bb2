//! An upstream's bytes into events, whatever their framing (translation §4.1).

use std::ops::ControlFlow;

use aws_smithy_types::event_stream::Message;
use bytes::Bytes;

use crate::event_stream::{self, FrameSplitter};
use crate::ir::{Event, Failure};
use crate::json_array::ArrayScanner;
use crate::sse::{Frame, SseSplitter};
use crate::tap::{StreamError, TapFault};
use crate::translate::{Envelope, Source, unfold};
use crate::{Dialect, Framing, hosted, json, parse_error_body};

use super::codec::{self, Decoder};

/// Bad events in a row before the first content that make an upstream unusable.
const BAD_FRAMES: u32 = 5;
/// The largest whole body that comes where a stream was promised.
const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// White space at most before a whole body; what has more in front is a stream.
const BLANKS: usize = 64;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one answer. Whatever comes, the events are in order and the last one is `End` or `Failed`.
#[derive(Debug)]
pub struct EventReader {
    split: Split,
    frames: Frames,
    /// A whole body that came where a stream was promised.
    body: Option<Vec<u8>>,
    /// What came so far, while that is nothing but white space: whether a stream or a body begins shows after it, however
    /// the bytes are cut into chunks.
    lead: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Split {
    Sse(SseSplitter),
    Array(ArrayScanner),
    Binary(FrameSplitter),
}

impl EventReader {
    /// A reader at the start of an answer. No event of it may be larger than `max_event_bytes`.
    pub fn new(source: Source, max_event_bytes: usize) -> Self {
        let split = match source.framing {
            _ if source.envelope.is_binary() => Split::Binary(FrameSplitter::new(max_event_bytes)),
            Framing::Sse => Split::Sse(SseSplitter::new(max_event_bytes)),
            Framing::JsonArray => Split::Array(ArrayScanner::new(max_event_bytes)),
        };
        Self { split, frames: Frames::new(source), body: None, lead: Some(Vec::new()) }
    }

    /// Takes a chunk of bytes.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<Event>) {
        if self.frames.ended {
            return;
        }
        let Some(mut lead) = self.lead.take() else { return self.push_begun(chunk, out) };
        lead.extend_from_slice(chunk);
        match self.opening(&lead) {
            Opening::Unclear => self.lead = Some(lead),
            Opening::Stream => self.push_begun(&lead, out),
            Opening::Body { at } => {
                self.body = Some(Vec::new());
                self.push_begun(lead.get(at..).unwrap_or_default(), out);
            }
        }
    }

    /// Takes bytes of what has begun.
    fn push_begun(&mut self, chunk: &[u8], out: &mut Vec<Event>) {
        if self.body.is_some() {
            return self.push_body(chunk, out);
        }
        let frames = &mut self.frames;
        let split = match &mut self.split {
            Split::Binary(splitter) => {
                splitter.push(chunk, &mut |message| frames.message(message, out))
            }
            Split::Array(scanner) => {
                let pushed = scanner.push(chunk, &mut |element| frames.data(element, None, out));
                let lost = scanner.is_lost() && !frames.content;
                pushed.and(if lost { Err(TapFault::Garbage) } else { Ok(()) })
            }
            Split::Sse(splitter) => {
                let mut body = None;
                let mut sink = |frame: Option<Frame<'_>>, _: usize| match frame {
                    None => {
                        frames.ping(out);
                        ControlFlow::Continue(())
                    }
                    Some(frame) if frames.is_body(&frame) => {
                        body = Some(frame.data.into_owned());
                        ControlFlow::Break(())
                    }
                    Some(frame) => {
                        frames.data(&frame.data, frame.name, out);
                        ControlFlow::Continue(())
                    }
                };
                let consumed = splitter.push(chunk, &mut sink);
                if let (Some(mut body), Ok(consumed)) = (body, &consumed) {
                    body.push(b'\n');
                    body.extend_from_slice(chunk.get(*consumed..).unwrap_or_default());
                    self.body = Some(body);
                }
                consumed.map(|_| ())
            }
        };
        if let Err(fault) = split {
            self.frames.fail(fault.into(), out);
        }
    }

    /// The transport ended cleanly.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if let Some(lead) = self.lead.take() {
            self.push_begun(&lead, out);
        }
        let frames = &mut self.frames;
        if let Some(body) = self.body.take() {
            return frames.whole(&body, out);
        }
        let mut cut = false;
        match &mut self.split {
            Split::Sse(splitter) => splitter.finish(&mut |frame, _| {
                match frame {
                    // An event without its blank line counts when it is whole.
                    Some(frame) if frames.is_body(&frame) => frames.whole(&frame.data, out),
                    Some(frame) if is_whole(&frame.data) => {
                        frames.data(&frame.data, frame.name, out);
                    }
                    Some(_) => cut = true,
                    None => {}
                }
                ControlFlow::Continue(())
            }),
            Split::Array(scanner) => cut = !scanner.is_whole(),
            // Half a frame is never the last one.
            Split::Binary(splitter) if !splitter.at_boundary() => {
                return frames.fail(Failure::Truncated, out);
            }
            Split::Binary(_) => {}
        }
        frames.finish(cut, out);
    }

    /// Whether the upstream said that the answer is over, though more may follow.
    pub fn terminal_seen(&self) -> bool {
        self.frames.ended || self.frames.finished || self.frames.decoder.may_end()
    }

    /// Whether the last event has come.
    pub fn nothing_follows(&self) -> bool {
        self.frames.ended
    }

    /// Whether anything but comments came; until then the target may still be switched silently.
    pub fn saw_anything_but_comments(&self) -> bool {
        self.body.is_some()
            || match &self.split {
                Split::Sse(splitter) => splitter.saw_anything_but_comments(),
                Split::Array(scanner) => scanner.started(),
                Split::Binary(splitter) => splitter.started(),
            }
    }

    /// A whole JSON body under the label of an event stream: it begins with `[`, or with an indented `{`.
    /// One at the start of a line may as well be NDJSON, save in a binary stream.
    fn opening(&self, lead: &[u8]) -> Opening {
        let text = lead.strip_prefix(BYTE_ORDER_MARK).unwrap_or(lead);
        if lead.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(lead) {
            return Opening::Unclear;
        }
        let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blanks > BLANKS {
            return Opening::Stream;
        }
        let (blank, rest) = text.split_at_checked(blanks).unwrap_or((text, b""));
        let Some(first) = rest.first() else { return Opening::Unclear };
        let is_body = match &self.split {
            Split::Sse(_) => {
                let indented = blank.last().is_some_and(|byte| !matches!(byte, b'\n' | b'\r'));
                *first == b'[' || (*first == b'{' && indented)
            }
            // No frame is so long that its length begins with such a byte.
            Split::Binary(_) => matches!(first, b'[' | b'{'),
            Split::Array(_) => false,
        };
        if is_body { Opening::Body { at: lead.len() - rest.len() } } else { Opening::Stream }
    }

    fn push_body(&mut self, chunk: &[u8], out: &mut Vec<Event>) {
        let Some(body) = &mut self.body else { return };
        if body.len().saturating_add(chunk.len()) > BODY_LIMIT {
            return self.frames.fail(TapFault::EventTooLarge { limit: BODY_LIMIT }.into(), out);
        }
        body.extend_from_slice(chunk);
    }
}

/// What an answer begins as.
#[derive(Debug)]
enum Opening {
    /// Nothing but white space has come.
    Unclear,
    /// Events.
    Stream,
    /// One JSON value, from here.
    Body { at: usize },
}

/// Whether the data of an unfinished event is all there.
fn is_whole(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    data.is_empty()
        || data == b"[DONE]"
        || looks_like_error_text(data)
        || serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

fn looks_like_error_text(data: &[u8]) -> bool {
    data.get(..5).is_some_and(|head| head.eq_ignore_ascii_case(b"error"))
}

/// Hands the data of events to the decoder, and keeps what makes no sense from it.
#[derive(Debug)]
struct Frames {
    source: Source,
    decoder: Decoder,
    bad_run: u32,
    events: bool,
    content: bool,
    finished: bool,
    ended: bool,
}

impl Frames {
    fn new(source: Source) -> Self {
        Self {
            decoder: Decoder::new(&source),
            source,
            bad_run: 0,
            events: false,
            content: false,
            finished: false,
            ended: false,
        }
    }

    /// A line with an open brace is NDJSON, or the first line of a whole body.
    fn is_body(&self, frame: &Frame<'_>) -> bool {
        frame.bare && !self.events && {
            let text = json::lossy(&frame.data);
            let kind = match self.source.dialect {
                Dialect::Chat => Some(("object", "\"chat.completion\"")),
                Dialect::Resp => Some(("object", "\"response\"")),
                Dialect::Anth => Some(("type", "\"message\"")),
                Dialect::Gem => None,
            };
            !json::visit(&text, |_, _| {})
                || kind.is_some_and(|(key, value)| json::member(&text, key) == Some(value))
        }
    }

    fn ping(&mut self, out: &mut Vec<Event>) {
        if !self.ended {
            out.push(Event::Ping);
        }
    }

    fn data(&mut self, data: &[u8], name: Option<&[u8]>, out: &mut Vec<Event>) {
        let data = data.trim_ascii();
        if self.ended || data.is_empty() || data == b"null" {
            return;
        }
        self.events = true;
        match data.first() {
            // Gateways append it to every dialect; it says nothing but in chat.
            Some(_) if data == b"[DONE]" && self.source.dialect != Dialect::Chat => {}
            Some(b'[') if data != b"[DONE]" => self.array(data, name, out),
            Some(b'[' | b'{') => self.object(data, name, out),
            _ if looks_like_error_text(data) => self.error(data, out),
            _ => self.bad(out),
        }
    }

    /// One message of a binary stream.
    fn message(&mut self, message: &Message, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        self.events = true;
        if let Some(failure) = event_stream::failure(message) {
            return self.fail(failure, out);
        }
        match event_stream::header(message, ":event-type") {
            Some(_) if self.source.envelope == Envelope::Bedrock => {
                match hosted::bedrock_event(message.payload()) {
                    Some(event) => self.data(&event, None, out),
                    None => self.ping(out),
                }
            }
            Some(name) => self.object(message.payload(), Some(name.as_bytes()), out),
            // A frame of nothing keeps the connection alive.
            None => self.ping(out),
        }
    }

    /// Google's endpoints put an error into an array, also under other dialects' paths.
    fn array(&mut self, data: &[u8], name: Option<&[u8]>, out: &mut Vec<Event>) {
        let text = json::lossy(data);
        let mut elements = Vec::new();
        if !json::visit_elements(&text, |element| elements.push(element)) {
            return self.bad(out);
        }
        for element in elements.into_iter().filter(|element| json::is_object(element)) {
            self.object(element.as_bytes(), name, out);
        }
    }

    fn object(&mut self, data: &[u8], name: Option<&[u8]>, out: &mut Vec<Event>) {
        let before = out.len();
        match self.decoder.frame(data, name, out) {
            Ok(()) => self.bad_run = 0,
            Err(super::BadFrame) => self.bad(out),
        }
        self.note(before, out);
    }

    fn note(&mut self, before: usize, out: &[Event]) {
        for event in out.get(before..).unwrap_or_default() {
            self.content |= event.is_content();
            self.finished |= matches!(event, Event::Finish { .. });
            self.ended |= matches!(event, Event::End | Event::Failed(_));
        }
    }

    fn bad(&mut self, out: &mut Vec<Event>) {
        self.bad_run = self.bad_run.saturating_add(1);
        if self.bad_run >= BAD_FRAMES && !self.content {
            self.fail(TapFault::Garbage.into(), out);
        }
    }

    fn error(&mut self, data: &[u8], out: &mut Vec<Event>) {
        let body = parse_error_body(502, None, data);
        let raw = Bytes::copy_from_slice(data);
        let error = StreamError { raw, status: body.status_hint(), body };
        self.fail(Failure::Upstream(Box::new(error)), out);
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        if !self.ended {
            self.ended = true;
            out.push(Event::Failed(Box::new(failure)));
        }
    }

    fn whole(&mut self, body: &[u8], out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        match codec::decode_response(body, &self.source) {
            Ok(response) => {
                self.ended = true;
                out.extend(unfold(response));
            }
            Err(failure) => self.fail(failure, out),
        }
    }

    fn finish(&mut self, cut: bool, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        if cut && !(self.finished || self.decoder.may_end()) {
            return self.fail(Failure::Truncated, out);
        }
        let before = out.len();
        self.decoder.finish(out);
        self.note(before, out);
        // A decoder that says nothing at the end has not seen one.
        self.fail(Failure::Truncated, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn read(source: &Source, answer: &[u8], piece: usize) -> Vec<Event> {
        let mut reader = EventReader::new(source.clone(), LIMIT);
        let mut events = Vec::new();
        answer.chunks(piece).for_each(|chunk| reader.push(chunk, &mut events));
        reader.finish(&mut events);
        events
    }

    fn sources() -> [Source; 4] {
        [
            Source::new(Dialect::Chat),
            Source { framing: Framing::JsonArray, ..Source::new(Dialect::Gem) },
            Source { envelope: Envelope::Kiro, ..Source::new(Dialect::Anth) },
            Source { envelope: Envelope::Ollama, ..Source::new(Dialect::Chat) },
        ]
    }

    /// Both kinds of bodies were told apart from streams by what the first chunk happened to hold.
    #[test]
    fn what_an_answer_begins_as_does_not_hang_on_its_chunks() {
        let blanks = [
            String::new(),
            " ".into(),
            "\r".into(),
            "\n\n \t".into(),
            "\r\n".into(),
            " ".repeat(70),
        ];
        let bodies: [&[u8]; 6] = [
            b"{\"error\":{\"message\":\"no\"}}",
            b"{ \xff",
            b"[\xd2",
            b"[]",
            b"\0\0\0\x10{",
            b"\xef\xbb{",
        ];
        for source in sources() {
            for mark in [&b""[..], BYTE_ORDER_MARK] {
                for blank in &blanks {
                    for body in bodies {
                        let answer = [mark, blank.as_bytes(), body].concat();
                        let whole = read(&source, &answer, answer.len());
                        for piece in 1..answer.len() {
                            assert_eq!(read(&source, &answer, piece), whole, "{piece}: {answer:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_answer_of_white_space_is_cut() {
        for source in sources() {
            for answer in [&b" "[..], b"\xef\xbb", b"\n\n"] {
                let events = read(&source, answer, 1);
                let cut = Event::Failed(Box::new(Failure::Truncated));
                assert_eq!(events.last(), Some(&cut), "{source:?} {answer:?}");
            }
        }
    }
}
