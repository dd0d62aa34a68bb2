//! Translates a stream on its way to the client; turns streams into whole answers and back
//! (translation §4).

use bytes::Bytes;

use crate::ir::{Event, Failure, Str};
use crate::tap::{StreamEnd, TapFault, TapSummary};
use crate::translate::{ClientNames, Fold, ReplyPlan, SignatureNotes, Source, Translated, unfold};
use crate::{ApiError, Framing};

use super::answer::{name, notes};
use super::codec::{self, Encoder};
use super::reader::EventReader;
use super::signature::Note;
use super::summary;

/// The most generated text that is gathered into a whole answer, bytes.
const FOLD_LIMIT: u64 = 32 * 1024 * 1024;

/// Translates one stream. Its counterpart for traffic that is handed on as it is: [`crate::StreamTap`].
#[derive(Debug)]
pub struct StreamTranslator {
    reader: EventReader,
    answer_id: Str,
    names: ClientNames,
    encoder: Encoder,
    events: Vec<Event>,
    seen: Seen,
}

/// What the events so far say.
#[derive(Debug)]
struct Seen {
    summary: TapSummary,
    content: u64,
    started: bool,
    pinged: bool,
    failure: Option<Failure>,
    signatures: SignatureNotes,
}

impl Seen {
    fn new(source: &Source) -> Self {
        Self {
            summary: TapSummary::default(),
            content: 0,
            started: false,
            pinged: false,
            failure: None,
            signatures: SignatureNotes::new(source.family),
        }
    }

    fn note(&mut self, event: &Event) {
        summary::note(&mut self.summary, event);
        self.signatures.event(event);
        self.content = self.content.saturating_add(u64::from(event.is_content()));
        self.started |= matches!(event, Event::Start { .. });
        self.pinged |= matches!(event, Event::Ping);
        if let Event::Failed(failure) = event {
            self.failure = Some((**failure).clone());
        }
    }
}

impl StreamTranslator {
    /// A translator at the start of a stream.
    pub fn new(
        mut source: Source,
        plan: ReplyPlan,
        client_framing: Framing,
        max_event_bytes: usize,
    ) -> Self {
        source.profile.think_tags |= plan.think_tags;
        Self {
            seen: Seen::new(&source),
            reader: EventReader::new(source, max_event_bytes),
            answer_id: plan.answer_id.clone(),
            names: ClientNames::new(plan.tools.clone()),
            encoder: Encoder::new(plan, client_framing),
            events: Vec::new(),
        }
    }

    /// Takes a chunk of the upstream's bytes and puts what goes to the client into `out`: one piece, or
    /// none.
    ///
    /// # Errors
    /// Why the answer broke off; what came before it is in `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<Bytes>) -> Result<(), Failure> {
        self.reader.push(chunk, &mut self.events);
        self.encode(out);
        self.seen.failure.clone().map_or(Ok(()), Err)
    }

    /// The upstream ended its stream cleanly; `out` gets what was still held back.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        self.reader.finish(&mut self.events);
        self.encode(out);
        match &self.seen.failure {
            None => StreamEnd::Complete,
            Some(Failure::Truncated) => StreamEnd::Truncated,
            Some(_) => StreamEnd::Failed,
        }
    }

    /// Tells the client that the answer broke off. Nothing may follow but the broken connection.
    pub fn fail(&mut self, error: &ApiError, out: &mut Vec<Bytes>) {
        let mut bytes = Vec::new();
        self.encoder.error(error, &mut bytes);
        if !bytes.is_empty() {
            out.push(bytes.into());
        }
    }

    /// Bytes that keep a silent stream alive. They fit at any time: only whole events go out.
    pub fn keep_alive(&self) -> Bytes {
        self.encoder.keep_alive()
    }

    /// Whether the upstream gave a sign of life since the last time. It is not passed on by itself: the
    /// caller has the clock, and sends [`StreamTranslator::keep_alive`] at most once in ten seconds (§4.1).
    pub fn take_ping(&mut self) -> bool {
        std::mem::take(&mut self.seen.pinged)
    }

    /// Why the answer broke off.
    pub fn failure(&self) -> Option<&Failure> {
        self.seen.failure.as_ref()
    }

    /// Whether meaningful content was seen: the commit point (§4.8).
    pub fn content_seen(&self) -> bool {
        self.seen.content > 0
    }

    /// Content events so far, for the content-idle timer.
    pub fn content_count(&self) -> u64 {
        self.seen.content
    }

    /// Whether the upstream said that the answer is over.
    pub fn terminal_seen(&self) -> bool {
        self.reader.terminal_seen()
    }

    /// Whether the upstream's last event has come. A finish reason alone is none.
    pub fn nothing_follows(&self) -> bool {
        self.reader.nothing_follows()
    }

    /// Whether anything but comments came; until then the target may still be switched silently.
    pub fn saw_anything_but_comments(&self) -> bool {
        self.reader.saw_anything_but_comments()
    }

    /// Whether the answer's start went to the client: only then may an Anthropic client get pings.
    pub fn message_started(&self) -> bool {
        self.seen.started
    }

    /// What was learnt so far.
    pub fn summary(&self) -> &TapSummary {
        &self.seen.summary
    }

    /// What is to be remembered of the reasoning since the last time (§2.7).
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.seen.signatures.take()
    }

    fn encode(&mut self, out: &mut Vec<Bytes>) {
        let (mut bytes, mut spelled) = (Vec::new(), Vec::new());
        for event in self.events.drain(..) {
            self.seen.note(&event);
            if is_for_client(&event) {
                self.names.event(named(event, &self.answer_id), &mut spelled);
            }
        }
        spelled.iter().for_each(|event| self.encoder.event(event, &mut bytes));
        if !bytes.is_empty() {
            out.push(bytes.into());
        }
    }
}

/// Gathers a stream for a client that wants the whole answer.
#[derive(Debug)]
pub struct Folding {
    reader: EventReader,
    plan: ReplyPlan,
    fold: Fold,
    events: Vec<Event>,
    seen: Seen,
}

impl Folding {
    /// At the start of a stream.
    pub fn new(mut source: Source, plan: ReplyPlan, max_event_bytes: usize) -> Self {
        source.profile.think_tags |= plan.think_tags;
        Self {
            seen: Seen::new(&source),
            reader: EventReader::new(source, max_event_bytes),
            plan,
            fold: Fold::default(),
            events: Vec::new(),
        }
    }

    /// Takes a chunk of the upstream's bytes.
    ///
    /// # Errors
    /// Why the answer broke off, or that it is too large to be gathered.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.reader.push(chunk, &mut self.events);
        self.gather()
    }

    /// Whether meaningful content was seen.
    pub fn content_seen(&self) -> bool {
        self.seen.content > 0
    }

    /// Content events so far, for the content-idle timer.
    pub fn content_count(&self) -> u64 {
        self.seen.content
    }

    /// Whether the upstream said that the answer is over.
    pub fn terminal_seen(&self) -> bool {
        self.reader.terminal_seen()
    }

    /// Whether the upstream's last event has come. A finish reason alone is none.
    pub fn nothing_follows(&self) -> bool {
        self.reader.nothing_follows()
    }

    /// What was learnt so far.
    pub fn summary(&self) -> &TapSummary {
        &self.seen.summary
    }

    /// The upstream ended its stream cleanly: the whole answer in the client's dialect.
    ///
    /// # Errors
    /// Why the answer broke off.
    pub fn finish(mut self) -> Result<Translated, Failure> {
        self.reader.finish(&mut self.events);
        self.gather()?;
        let mut response = self.fold.finish()?;
        ClientNames::new(self.plan.tools.clone()).response(&mut response);
        Ok(Translated {
            body: codec::encode_response(&response, &self.plan),
            summary: self.seen.summary,
            notes: self.seen.signatures.take(),
        })
    }

    fn gather(&mut self) -> Result<(), Failure> {
        for event in self.events.drain(..) {
            self.seen.note(&event);
            if is_for_client(&event) {
                self.fold.push(named(event, &self.plan.answer_id));
            }
        }
        if self.seen.summary.content_bytes > FOLD_LIMIT {
            let limit = usize::try_from(FOLD_LIMIT).unwrap_or(usize::MAX);
            return Err(TapFault::EventTooLarge { limit }.into());
        }
        self.seen.failure.clone().map_or(Ok(()), Err)
    }
}

/// Whether an event is told to the client: failures are the caller's, counts of nothing are nobody's.
fn is_for_client(event: &Event) -> bool {
    match event {
        Event::Failed(_) => false,
        Event::Usage(usage) => !usage.tokens.is_zero(),
        _ => true,
    }
}

/// The event, with an id for an answer to which the upstream gave none.
fn named(mut event: Event, answer_id: &Str) -> Event {
    if let Event::Start { id, .. } = &mut event
        && id.is_empty()
    {
        id.clone_from(answer_id);
    }
    event
}

/// Makes a stream out of a whole answer, for a client that wants one.
///
/// # Errors
/// Why the body is no answer.
pub fn unfold_body(
    body: &[u8],
    source: &Source,
    plan: &ReplyPlan,
    client_framing: Framing,
) -> Result<Translated, Failure> {
    let mut response = codec::decode_response(body, source)?;
    let summary = summary::of(&response);
    let notes = notes(&response, source);
    name(&mut response, plan);
    ClientNames::new(plan.tools.clone()).response(&mut response);
    let mut encoder = Encoder::new(plan.clone(), client_framing);
    let mut body = Vec::new();
    for event in unfold(response) {
        encoder.event(&event, &mut body);
    }
    Ok(Translated { body, summary, notes })
}
