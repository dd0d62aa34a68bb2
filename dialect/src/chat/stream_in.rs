//! Chat chunks to events (translation §4.2).

mod call;
mod choice;

use bytes::Bytes;

use crate::ir::{Citation, Event, Failure, Finish, SigFamily, Str};
use crate::tap::StreamError;
use crate::translate::{BadFrame, Envelope, PartQueue, Source, finish};
use crate::usage::{decode_full, lenient_tokens};
use crate::{Dialect, json, parse_error_body};

use super::delta;
use choice::{Choice, Parts};

/// Reads the chunks of one answer.
#[derive(Debug)]
pub struct StreamDecoder {
    family: SigFamily,
    /// Copilot answers for Claude in two choices that are one turn (§5.4).
    merges_choices: bool,
    think_tags: bool,
    eof_is_end: bool,
    started: bool,
    ended: bool,
    id: Str,
    choices: Vec<Choice>,
    queue: PartQueue<u32>,
    next_key: u32,
    calls: u32,
    /// Sources that the upstream lists beside the choices.
    sources: Vec<Citation>,
}

/// The members of a chunk, as written.
#[derive(Default)]
struct Chunk<'a> {
    id: Option<&'a str>,
    model: Option<&'a str>,
    created: Option<&'a str>,
    service_tier: Option<&'a str>,
    fingerprint: Option<&'a str>,
    choices: Option<&'a str>,
    usage: Option<&'a str>,
    sources: Option<&'a str>,
    error: bool,
    describes_error: bool,
}

impl<'a> Chunk<'a> {
    fn member(&mut self, key: &str, raw: &'a str) {
        match key {
            "id" => self.id = Some(raw),
            "model" => self.model = Some(raw),
            "created" => self.created = Some(raw),
            "service_tier" => self.service_tier = Some(raw),
            "system_fingerprint" => self.fingerprint = Some(raw),
            "choices" if json::is_array(raw) => self.choices = Some(raw),
            "usage" if json::is_object(raw) => self.usage = Some(raw),
            // Groq.
            "x_groq" => self.usage = self.usage.or_else(|| json::member(raw, "usage")),
            // Perplexity; the results say more than the bare addresses.
            "search_results" => self.sources = Some(raw),
            "citations" => self.sources = self.sources.or(Some(raw)),
            "error" => self.error |= is_error(raw),
            "object" | "type" => self.error |= raw == "\"error\"",
            "message" | "detail" | "msg" => self.describes_error |= json::text(raw).is_some(),
            _ => {}
        }
    }

    fn text(raw: Option<&str>) -> Option<Str> {
        raw.and_then(json::text).map(Str::from)
    }

    fn start(&self) -> Event {
        Event::Start {
            id: Self::text(self.id).unwrap_or_default(),
            model: Self::text(self.model).unwrap_or_default(),
            created: self.created.and_then(lenient_tokens).filter(|seconds| *seconds > 0),
            usage: None,
            service_tier: Self::text(self.service_tier),
            fingerprint: Self::text(self.fingerprint),
        }
    }

    /// Whether it says nothing of the answer: what content filters think of the prompt (Azure).
    fn is_prelude(&self) -> bool {
        let nothing = self.choices.is_none_or(json::is_blank) && self.usage.is_none();
        nothing && Self::text(self.id).is_none()
    }
}

/// An `error` member that says something.
fn is_error(raw: &str) -> bool {
    (raw.starts_with('{') || raw.starts_with('"')) && !json::is_blank(raw)
}

impl StreamDecoder {
    /// A decoder at the start of an answer.
    pub fn new(source: &Source) -> Self {
        Self {
            family: source.family,
            merges_choices: source.envelope == Envelope::Copilot,
            think_tags: source.profile.think_tags,
            eof_is_end: source.profile.eof_is_end,
            started: false,
            ended: false,
            id: Str::new(),
            choices: Vec::new(),
            queue: PartQueue::default(),
            next_key: 0,
            calls: 0,
            sources: Vec::new(),
        }
    }

    /// Takes the data of one event. `[DONE]` ends the answer.
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
            self.close(true, out);
            return Ok(());
        }
        self.object(data, name, false, out)
    }

    /// The transport ended cleanly.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.ended {
            self.close(self.eof_is_end, out);
        }
    }

    /// Whether a finish reason came: the stream may end now, though usage may still follow.
    pub fn may_end(&self) -> bool {
        self.ended || self.choices.iter().any(|choice| choice.reason.is_some())
    }

    /// Takes a whole answer and ends.
    pub(super) fn whole(&mut self, body: &[u8], out: &mut Vec<Event>) -> Result<(), BadFrame> {
        self.object(body, None, true, out)?;
        if !self.ended {
            self.close(true, out);
        }
        Ok(())
    }

    fn object(
        &mut self,
        data: &[u8],
        name: Option<&[u8]>,
        whole: bool,
        out: &mut Vec<Event>,
    ) -> Result<(), BadFrame> {
        let text = json::lossy(data);
        let mut chunk = Chunk::default();
        if !json::visit(&text, |key, raw| chunk.member(key, raw)) {
            return Err(BadFrame);
        }
        let nothing_else = chunk.describes_error || name == Some(b"error");
        let mut failed = chunk.error || (chunk.choices.is_none() && nothing_else);
        if !failed {
            if !self.started && !chunk.is_prelude() {
                self.started = true;
                self.id = Chunk::text(chunk.id).unwrap_or_default();
                out.push(chunk.start());
            }
            match self.choices(&chunk, whole, out) {
                Ok(error) => failed = error,
                Err(failure) => self.fail(failure, out),
            }
        }
        if failed {
            let body = parse_error_body(502, None, data);
            let raw = Bytes::copy_from_slice(data);
            let error = StreamError { raw, status: body.status_hint(), body };
            self.fail(Failure::Upstream(Box::new(error)), out);
        }
        Ok(())
    }

    /// Takes the choices and the usage of a chunk; `true` when a choice reports an error.
    fn choices(
        &mut self,
        chunk: &Chunk<'_>,
        whole: bool,
        out: &mut Vec<Event>,
    ) -> Result<bool, Failure> {
        let mut usage = chunk.usage;
        let mut list = Vec::new();
        json::visit_elements(chunk.choices.unwrap_or_default(), |choice| list.push(choice));
        for raw in list {
            let seen = ChoiceSeen::read(raw);
            usage = usage.or(seen.usage);
            if seen.error {
                return Ok(true);
            }
            self.choice(&seen, whole, out)?;
        }
        if let Some(list) = chunk.sources {
            // Repeated with every chunk, growing.
            self.sources = delta::sources(list);
        }
        if let Some(usage) = usage.and_then(|raw| decode_full(Dialect::Chat, raw)) {
            out.push(Event::Usage(usage));
        }
        Ok(false)
    }

    fn choice(
        &mut self,
        seen: &ChoiceSeen<'_>,
        whole: bool,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let index = if self.merges_choices { 0 } else { seen.index };
        let at = self.choices.iter().position(|choice| choice.index == index);
        let at = at.unwrap_or_else(|| {
            self.choices.push(Choice::new(index, self.think_tags));
            self.choices.len().saturating_sub(1)
        });
        let Some(choice) = self.choices.get_mut(at) else { return Ok(()) };
        let mut parts = Parts {
            queue: &mut self.queue,
            next_key: &mut self.next_key,
            calls: &mut self.calls,
            response_id: &self.id,
            family: self.family,
            out,
        };
        if let Some(raw) = seen.delta {
            choice.take(raw, whole, &mut parts)?;
        }
        if let Some(raw) = seen.logprobs {
            choice.logprobs(raw, &mut parts)?;
        }
        if seen.reason.is_some() {
            choice.reason.clone_from(&seen.reason);
        }
        if seen.stop_sequence.is_some() {
            choice.stop_sequence.clone_from(&seen.stop_sequence);
        }
        Ok(())
    }

    /// Ends the answer. `marked` = the stream said so, or needs not say so.
    fn close(&mut self, marked: bool, out: &mut Vec<Event>) {
        match self.close_choices(marked, out) {
            Ok(()) => {
                self.ended = true;
                out.push(Event::End);
            }
            Err(failure) => self.fail(failure, out),
        }
    }

    fn close_choices(&mut self, marked: bool, out: &mut Vec<Event>) -> Result<(), Failure> {
        let mut parts = Parts {
            queue: &mut self.queue,
            next_key: &mut self.next_key,
            calls: &mut self.calls,
            response_id: &self.id,
            family: self.family,
            out,
        };
        for choice in &mut self.choices {
            choice.flush(&mut parts)?;
        }
        let finished = self.choices.iter().any(|choice| choice.reason.is_some());
        let said = self.choices.iter().any(|choice| choice.said);
        let whole = finished || (said && marked);
        if !whole {
            return Err(Failure::Truncated);
        }
        if let Some(first) = self.choices.first_mut().filter(|choice| !choice.cited) {
            first.cite(std::mem::take(&mut self.sources), &mut parts)?;
        }
        self.choices.sort_by_key(|choice| choice.index);
        for choice in &mut self.choices {
            choice.stop(&mut parts);
            parts.out.push(finish_event(choice));
        }
        Ok(())
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.ended = true;
        out.push(Event::Failed(Box::new(failure)));
    }
}

fn finish_event(choice: &mut Choice) -> Event {
    let reason = choice.reason.take();
    let has_call = choice.has_call();
    let meant = match &reason {
        Some(word) => finish::decode(Dialect::Chat, word, has_call),
        None => finish::without_word(has_call),
    };
    let stop_sequence = choice.stop_sequence.take().filter(|_| meant == Finish::Stop);
    let finish = match meant {
        Finish::Stop if stop_sequence.is_some() => Finish::StopSequence,
        // Chat says `stop` of a refusal in words, the other dialects have a word for it.
        Finish::Stop if choice.refused => Finish::Refusal,
        meant => meant,
    };
    Event::Finish { choice: choice.index, finish, reason, stop_sequence, details: None }
}

/// The members of a choice.
#[derive(Default)]
struct ChoiceSeen<'a> {
    index: u32,
    delta: Option<&'a str>,
    logprobs: Option<&'a str>,
    usage: Option<&'a str>,
    reason: Option<Str>,
    stop_sequence: Option<Str>,
    error: bool,
}

impl<'a> ChoiceSeen<'a> {
    fn read(raw: &'a str) -> Self {
        let mut seen = Self::default();
        json::visit(raw, |key, raw| match key {
            "index" => {
                let index = lenient_tokens(raw).and_then(|index| u32::try_from(index).ok());
                seen.index = index.unwrap_or_default();
            }
            "delta" | "message" => seen.delta = Some(raw),
            "logprobs" if json::is_object(raw) => seen.logprobs = Some(raw),
            // Some servers send an empty word until the end.
            "finish_reason" => seen.reason = json::text(raw).map(Str::from),
            // vLLM; SGLang. Numbers are token ids and mean nothing to a client.
            "stop_reason" | "matched_stop" => {
                seen.stop_sequence = json::string(raw).map(|text| Str::from(&*text));
            }
            // Kimi.
            "usage" if json::is_object(raw) => seen.usage = Some(raw),
            "error" => seen.error = is_error(raw),
            _ => {}
        });
        let word = seen.reason.as_deref().unwrap_or_default();
        seen.error |= finish::decode(Dialect::Chat, word, false) == Finish::Error;
        seen
    }
}

#[cfg(test)]
mod tests;
