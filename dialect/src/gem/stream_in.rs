//! Answers in: a stream of `GenerateContentResponse` fragments becomes events (translation §4.2).

use bytes::Bytes;

use super::candidate::CandidateState;
use super::chunk::{Candidate, Chunk};
use crate::ir::{self, Event, Failure, Finish, RawJson, Str};
use crate::tap::StreamError;
use crate::translate::{BadFrame, Source, finish};
use crate::{Dialect, json, parse_error_body};

/// More alternatives than any request asks for; further ones are left out.
const MAX_CANDIDATES: usize = 64;

/// Reads a stream, or a whole answer as a stream of one fragment.
///
/// There is no terminal mark: a reason to finish makes the end of the bytes the end of the answer. Some
/// models repeat the reason in every fragment, hence `Finish` is held back until then.
#[derive(Debug)]
pub struct StreamDecoder {
    family: ir::SigFamily,
    eof_is_end: bool,
    started: bool,
    ended: bool,
    candidates: Vec<CandidateState>,
    /// Why the prompt was refused, in Google's word, and all that was said of it.
    blocked: Option<(Str, RawJson)>,
    usage: Option<ir::Usage>,
    response_id: Str,
    next_part: u32,
    calls: u32,
}

/// What the parts of all candidates share while one fragment is read.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) family: ir::SigFamily,
    pub(super) response_id: &'a str,
    pub(super) next_part: &'a mut u32,
    pub(super) calls: &'a mut u32,
    pub(super) out: &'a mut Vec<Event>,
}

impl StreamDecoder {
    /// A decoder at the start of an answer.
    pub fn new(source: &Source) -> Self {
        Self {
            family: source.family,
            eof_is_end: source.profile.eof_is_end,
            started: false,
            ended: false,
            candidates: Vec::new(),
            blocked: None,
            usage: None,
            response_id: Str::new(),
            next_part: 0,
            calls: 0,
        }
    }

    /// A decoder of a whole answer: it needs no reason to be whole.
    pub(super) fn whole(source: &Source) -> Self {
        Self { eof_is_end: true, ..Self::new(source) }
    }

    /// Takes one fragment: the data of an event, or one element of an array. The event's name says nothing.
    ///
    /// # Errors
    /// [`BadFrame`] when the data is no JSON object.
    pub fn frame(
        &mut self,
        data: &[u8],
        _name: Option<&[u8]>,
        out: &mut Vec<Event>,
    ) -> Result<(), BadFrame> {
        if self.ended {
            return Ok(());
        }
        if json::too_deep(data) {
            return Err(BadFrame);
        }
        let text = json::lossy(data);
        let chunk = Chunk::read(&text).ok_or(BadFrame)?;
        if chunk.is_error {
            let body = parse_error_body(502, None, data);
            let raw = Bytes::copy_from_slice(data);
            let error = StreamError { raw, status: body.status_hint(), body };
            self.fail(Failure::Upstream(Box::new(error)), out);
            return Ok(());
        }
        self.start(&chunk, out);
        if let Some((reason, raw)) = &chunk.blocked
            && self.blocked.is_none()
        {
            self.blocked = RawJson::parse(*raw).ok().map(|raw| (reason.as_ref().into(), raw));
        }
        for candidate in &chunk.candidates {
            self.candidate(candidate, out);
        }
        if let Some(usage) = chunk.usage
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            out.push(Event::Usage(usage));
        }
        Ok(())
    }

    /// The bytes ended cleanly.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        let has_parts = self.next_part > 0;
        let reasoned =
            self.blocked.is_some() || self.candidates.iter().any(CandidateState::finished);
        let whole = reasoned || (self.eof_is_end && has_parts);
        if !whole {
            let nothing = !self.started || (self.eof_is_end && !has_parts);
            self.fail(if nothing { Failure::Empty } else { Failure::Truncated }, out);
            return;
        }
        let mut candidates = std::mem::take(&mut self.candidates);
        let mut answer = Answer {
            family: self.family,
            response_id: &self.response_id,
            next_part: &mut self.next_part,
            calls: &mut self.calls,
            out,
        };
        for candidate in &mut candidates {
            candidate.close(&mut answer);
        }
        let finishes: Vec<_> = candidates.iter().map(|candidate| self.reason(candidate)).collect();
        let malformed = finishes.iter().any(|(finish, _)| *finish == Finish::MalformedTool);
        if malformed && self.next_part == 0 {
            self.fail(Failure::MalformedTool, out);
            return;
        }
        for (candidate, (finish, reason)) in candidates.iter().zip(finishes) {
            let details = self.blocked.as_ref().map(|(_, raw)| raw.clone());
            out.push(finish_event(candidate.index, finish, reason, details));
        }
        if candidates.is_empty() {
            let (reason, details) = self.blocked.take().unzip();
            out.push(finish_event(0, Finish::ContentFilter, reason, details));
        }
        self.ended = true;
        out.push(Event::End);
    }

    fn reason(&self, candidate: &CandidateState) -> (Finish, Option<Str>) {
        match (&candidate.reason, &self.blocked) {
            (Some(word), _) => {
                (finish::decode(Dialect::Gem, word, candidate.has_call), Some(word.clone()))
            }
            (None, Some((word, _))) => (Finish::ContentFilter, Some(word.clone())),
            (None, None) => (finish::without_word(candidate.has_call), None),
        }
    }

    fn start(&mut self, chunk: &Chunk<'_>, out: &mut Vec<Event>) {
        if self.started {
            return;
        }
        self.started = true;
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| -> Option<Str> {
            text.as_ref().map(|text| text.as_ref().into())
        };
        self.response_id = owned(&chunk.id).unwrap_or_default();
        out.push(Event::Start {
            id: self.response_id.clone(),
            model: owned(&chunk.model).unwrap_or_default(),
            created: None,
            usage: None,
            service_tier: owned(&chunk.service_tier),
            fingerprint: None,
        });
    }

    fn candidate(&mut self, candidate: &Candidate<'_>, out: &mut Vec<Event>) {
        let known = self.candidates.iter().position(|state| state.index == candidate.index);
        let at = match known {
            Some(at) => at,
            None if self.candidates.len() < MAX_CANDIDATES => {
                self.candidates.push(CandidateState::new(candidate.index));
                self.candidates.len().saturating_sub(1)
            }
            None => return,
        };
        let Some(state) = self.candidates.get_mut(at) else { return };
        let mut answer = Answer {
            family: self.family,
            response_id: &self.response_id,
            next_part: &mut self.next_part,
            calls: &mut self.calls,
            out,
        };
        state.take(candidate, &mut answer);
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.ended = true;
        out.push(Event::Failed(Box::new(failure)));
    }
}

fn finish_event(
    choice: u32,
    finish: Finish,
    reason: Option<Str>,
    details: Option<RawJson>,
) -> Event {
    Event::Finish { choice, finish, reason, stop_sequence: None, details }
}
