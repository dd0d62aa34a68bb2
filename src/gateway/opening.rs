//! From the head of a success to the point where it is clear that it serves: the whole body, or a stream
//! up to its commit point (translation §4.8). An answer that comes whole where a stream was asked for, or the
//! reverse, is put into the wanted form (§4.9).

use std::borrow::Cow;
use std::pin::Pin;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use ninerouter_dialect::translate::{
    Folding, StreamTranslator, Translated, translate_response, unfold_body,
};
use ninerouter_dialect::{
    BodyVerdict, Framing, StreamBody, StreamEnd, StreamTap, TapOptions, ir, judge_body,
    sniff_stream_body,
};

use crate::gateway::answer::{OpenStream, WholeAnswer};
use crate::gateway::blame::{Blame, header};
use crate::gateway::failure::Failure;
use crate::gateway::passage::Passage;
use crate::gateway::translation::{Outbound, WayBack, same_dialect};
use crate::net::{NetError, Reply, ReplyBody};
use crate::provider::catalog::Endpoint;
use crate::provider::request::Shaped;
use crate::routing::classify::TransportFailure;

/// Bytes held back before the commit point (translation §4.8); beyond it the stream is committed.
const HELD: usize = 256 * 1024;
/// Largest non-stream answer (security §10).
const WHOLE_BODY: usize = 64 * 1024 * 1024;
/// Largest event of a stream (security §10).
const EVENT: usize = 16 * 1024 * 1024;
/// Longest silence before the first content when no limit is set for the content itself (security §17).
const SILENCE: Duration = Duration::from_secs(300);
/// A gathered stream that has said how it ends gets this long for its usage and its last event.
const AFTER_FINISH: Duration = Duration::from_secs(5);

type Opened<T> = Result<Box<T>, Box<Failure>>;

/// The success of one attempt, not yet proven.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    /// Reads its failures.
    pub blame: Blame<'a>,
    /// The call.
    pub shaped: &'a Shaped,
    /// Where it went.
    pub endpoint: &'a Endpoint,
    /// What was sent.
    pub out: &'a Outbound<'a>,
}

impl Opening<'_> {
    /// Collects and judges an answer for a client that wants it whole.
    pub(super) async fn whole(&self, reply: Reply) -> Opened<WholeAnswer> {
        let idle = self.blame.exchange.snapshot.settings.timeouts.stream_idle;
        let Reply { status, headers, body } = reply;
        let mut body = Box::pin(body);
        // Some servers only get the label wrong: the first bytes decide.
        let mut start = Bytes::new();
        if self.out.stream || is_event_stream(&headers) {
            let mut found = StreamBody::Undecided;
            while found == StreamBody::Undecided {
                let Some(piece) = self.next_piece(&mut body, idle).await? else { break };
                start = joined(start, piece);
                found = sniff_stream_body(&start);
            }
            if found == StreamBody::Sse {
                return self.gather(status, headers, start, body).await;
            }
        }
        let body = self.rest(start, &mut body, idle).await?;
        if looks_like_events(&body) {
            return self.gathered(status, headers, &body);
        }
        let summary = self.judge(status, &headers, &body)?;
        let Some(way_back) = &self.out.way_back else {
            return Ok(Box::new(WholeAnswer { status, headers, body, summary }));
        };
        let translated = translate_response(&body, &way_back.source, &way_back.plan);
        self.translated(status, headers, translated)
    }

    /// Gathers a stream, for a client that wants the whole answer.
    async fn gather(
        &self,
        status: u16,
        headers: HeaderMap,
        start: Bytes,
        mut body: Pin<Box<ReplyBody>>,
    ) -> Opened<WholeAnswer> {
        let idle = self.blame.exchange.snapshot.settings.timeouts.stream_idle;
        let way_back = self.way_back()?;
        let WayBack { source, plan } = way_back.into_owned();
        let mut folding = Folding::new(source, plan, EVENT);
        let now = || self.blame.exchange.shared.clock.now();
        let content_idle = self.blame.exchange.snapshot.settings.timeouts.content_idle;
        let (mut contents, mut content_at) = (0, now());
        let mut piece = Some(start);
        while let Some(bytes) = piece {
            if let Err(failure) = folding.push(&bytes) {
                return Err(self.broke(status, &headers, &failure));
            }
            // Pings alone are no answer.
            if folding.content_count() != contents {
                (contents, content_at) = (folding.content_count(), now());
            } else if content_idle.is_some_and(|limit| now() - content_at >= limit) {
                return Err(self.blame.no_content());
            }
            if folding.nothing_follows() {
                break;
            }
            piece = if folding.terminal_seen() {
                let last = tokio::time::timeout(AFTER_FINISH, body.next()).await;
                // Late, cut or over: the answer is there.
                last.ok().flatten().and_then(Result::ok)
            } else {
                self.next_piece(&mut body, idle).await?
            };
        }
        self.translated(status, headers, folding.finish())
    }

    /// The same of a stream that came under the label of a whole body.
    fn gathered(&self, status: u16, headers: HeaderMap, body: &[u8]) -> Opened<WholeAnswer> {
        let WayBack { source, plan } = self.way_back()?.into_owned();
        let mut folding = Folding::new(source, plan, EVENT);
        let whole = folding.push(body).and_then(|()| folding.finish());
        self.translated(status, headers, whole)
    }

    fn translated(
        &self,
        status: u16,
        headers: HeaderMap,
        answer: Result<Translated, ir::Failure>,
    ) -> Opened<WholeAnswer> {
        let Translated { body, summary, notes } =
            answer.map_err(|failure| self.broke(status, &headers, &failure))?;
        self.blame.exchange.remember(notes);
        Ok(Box::new(WholeAnswer { status, headers, body: body.into(), summary }))
    }

    /// Holds a stream back until content shows that it serves. The time of that first content comes with
    /// it.
    pub(super) async fn stream(&self, reply: Reply, head_at: Instant) -> Opened<OpenStream> {
        let Reply { status, headers, body } = reply;
        let mut hold = Hold { passage: self.passage(), held: Vec::new(), bytes: 0 };
        let mut body = Box::pin(body);
        let deadline = self.first_content_deadline(head_at);
        let mut is_events = self.framing() == Framing::JsonArray;
        loop {
            let chunk = self.next_chunk(&mut body, deadline).await?;
            if let (false, Some(bytes)) = (is_events, &chunk) {
                match sniff_stream_body(bytes) {
                    StreamBody::Undecided => {}
                    StreamBody::Sse => is_events = true,
                    // Bytes go on as they are: an event-stream parser would find nothing in it.
                    StreamBody::JsonObject | StreamBody::JsonArray | StreamBody::Markup => {
                        let whole = self.unstreamed(bytes.clone(), &mut body, deadline).await?;
                        return self.unfolded(status, headers, &whole, head_at);
                    }
                }
            }
            let mut failed = None;
            let ended = match chunk {
                Some(bytes) => {
                    failed = hold.take(bytes).err();
                    None
                }
                None => Some(hold.end()),
            };
            let has_content = hold.passage.content_seen();
            let failed = failed.or_else(|| hold.passage.failure().cloned());
            // An error of the upstream's own that follows content is told inside the stream.
            let is_fault = |failure: &ir::Failure| !matches!(failure, ir::Failure::Upstream(_));
            if let Some(failure) = failed.filter(|failure| !has_content || is_fault(failure)) {
                return Err(self.broke(status, &headers, &failure));
            }
            if let Some(error) = hold.passage.error().filter(|_| !has_content) {
                return Err(self.blame.event(&headers, error));
            }
            match ended {
                Some(StreamEnd::Truncated) => return Err(self.truncated(status)),
                Some(StreamEnd::Complete | StreamEnd::Failed) if !has_content => {
                    return Err(self.empty(status));
                }
                _ => {}
            }
            if has_content || hold.bytes > HELD {
                let body = ended.is_none().then_some(body);
                let Hold { passage, held, .. } = hold;
                let dialect = self.out.dialect;
                return Ok(Box::new(OpenStream {
                    status,
                    headers,
                    dialect,
                    passage,
                    held,
                    body,
                    head_at,
                }));
            }
        }
    }

    /// The stream that a whole answer makes, for a client that wants one.
    fn unfolded(
        &self,
        status: u16,
        headers: HeaderMap,
        body: &[u8],
        head_at: Instant,
    ) -> Opened<OpenStream> {
        self.judge(status, &headers, body)?;
        let way_back = self.way_back()?;
        let framing = self.blame.exchange.ask.framing;
        let Translated { body, summary, notes } =
            unfold_body(body, &way_back.source, &way_back.plan, framing)
                .map_err(|failure| self.broke(status, &headers, &failure))?;
        self.blame.exchange.remember(notes);
        Ok(Box::new(OpenStream {
            status,
            headers,
            dialect: self.out.dialect,
            passage: Passage::Whole(Box::new(summary)),
            held: vec![body.into()],
            body: None,
            head_at,
        }))
    }

    fn passage(&self) -> Passage {
        let ask = &self.blame.exchange.ask;
        match &self.out.way_back {
            Some(WayBack { source, plan }) => {
                let (source, plan) = (source.clone(), plan.clone());
                let translator = StreamTranslator::new(source, plan, ask.framing, EVENT);
                Passage::Translated(Box::new(translator))
            }
            None => Passage::Verbatim(Box::new(StreamTap::new(TapOptions {
                dialect: ask.dialect,
                framing: ask.framing,
                hide_usage_chunk: self.shaped.hide_usage_chunk,
                eof_is_end: self.shaped.eof_is_end,
                unwrap: false,
                max_event_bytes: EVENT,
            }))),
        }
    }

    /// How the upstream frames its events.
    fn framing(&self) -> Framing {
        let asked = self.blame.exchange.ask.framing;
        self.out.way_back.as_ref().map_or(asked, |way_back| way_back.source.framing)
    }

    fn way_back(&self) -> Result<Cow<'_, WayBack>, Box<Failure>> {
        match &self.out.way_back {
            Some(way_back) => Ok(Cow::Borrowed(way_back)),
            None => {
                same_dialect(self.blame.exchange, self.blame.target, self.endpoint).map(Cow::Owned)
            }
        }
    }
}

impl Opening<'_> {
    /// Whether a whole body is an answer; what it comes to.
    fn judge(
        &self,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<ninerouter_dialect::TapSummary, Box<Failure>> {
        match judge_body(self.out.dialect, body) {
            BodyVerdict::Ok(summary) => Ok(summary),
            BodyVerdict::Error(error) => Err(self.blame.disguised(headers, &error)),
            BodyVerdict::Empty => Err(self.empty(status)),
            BodyVerdict::NotJson { html, title } => Err(self.not_json(status, html, title)),
        }
    }

    async fn next_piece(
        &self,
        body: &mut Pin<Box<ReplyBody>>,
        idle: Duration,
    ) -> Result<Option<Bytes>, Box<Failure>> {
        match tokio::time::timeout(idle, body.next()).await {
            Ok(next) => next.transpose().map_err(|error| self.blame.transport(error)),
            Err(_elapsed) => Err(self.blame.transport(NetError::Idle)),
        }
    }

    /// A whole body of which the start is there.
    async fn rest(
        &self,
        start: Bytes,
        body: &mut Pin<Box<ReplyBody>>,
        idle: Duration,
    ) -> Result<Bytes, Box<Failure>> {
        let mut first = Some(start).filter(|start| !start.is_empty());
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next_piece(body, idle).await? {
            if whole.is_empty() {
                match first.take() {
                    Some(start) => whole.extend_from_slice(&start),
                    // The usual case: one piece, not copied.
                    None => {
                        first = Some(piece);
                        continue;
                    }
                }
            }
            whole.extend_from_slice(&piece);
            if whole.len() > WHOLE_BODY {
                return Err(self.blame.transport(NetError::BodyTooLarge(WHOLE_BODY)));
            }
        }
        Ok(first.unwrap_or_else(|| whole.freeze()))
    }

    /// A whole body, or a page, where a stream was asked for. Before it is complete it proves nothing.
    async fn unstreamed(
        &self,
        start: Bytes,
        body: &mut Pin<Box<ReplyBody>>,
        deadline: Option<Instant>,
    ) -> Result<Bytes, Box<Failure>> {
        let idle = self.blame.exchange.snapshot.settings.timeouts.stream_idle;
        let rest = self.rest(start, body, idle);
        match deadline {
            None => rest.await,
            Some(at) => tokio::time::timeout_at(at.into(), rest)
                .await
                .unwrap_or_else(|_elapsed| Err(self.blame.no_content())),
        }
    }

    async fn next_chunk(
        &self,
        body: &mut Pin<Box<ReplyBody>>,
        deadline: Option<Instant>,
    ) -> Result<Option<Bytes>, Box<Failure>> {
        let now = || self.blame.exchange.shared.clock.now();
        let at = deadline.unwrap_or_else(|| now() + SILENCE);
        match tokio::time::timeout_at(at.into(), body.next()).await {
            Ok(next) => next.transpose().map_err(|error| self.blame.transport(error)),
            Err(_elapsed) => Err(self.blame.no_content()),
        }
    }

    /// Head to first content; local models are loaded first.
    fn first_content_deadline(&self, head_at: Instant) -> Option<Instant> {
        let timeouts = &self.blame.exchange.snapshot.settings.timeouts;
        let local = self.blame.target.provider.local;
        timeouts
            .first_content
            .map(|limit| head_at + if local { limit.max(timeouts.local_first) } else { limit })
    }

    /// Why the answer that was read broke off.
    fn broke(&self, status: u16, headers: &HeaderMap, failure: &ir::Failure) -> Box<Failure> {
        match failure {
            ir::Failure::Upstream(error) => self.blame.event(headers, error),
            ir::Failure::Truncated => self.truncated(status),
            ir::Failure::Empty => self.empty(status),
            ir::Failure::MalformedTool
            | ir::Failure::Spliced
            | ir::Failure::Fault(_)
            | ir::Failure::NotAnAnswer(_) => self.bad_body(status, failure.to_string()),
        }
    }

    fn truncated(&self, status: u16) -> Box<Failure> {
        let message = "upstream ended its stream before the answer was complete";
        self.blame.unusable(status, TransportFailure::Truncated, message)
    }

    fn empty(&self, status: u16) -> Box<Failure> {
        let message = "upstream answered without content";
        self.blame.unusable(status, TransportFailure::Empty, message)
    }

    fn not_json(&self, status: u16, html: bool, title: Option<String>) -> Box<Failure> {
        let message = match (html, title) {
            (true, Some(title)) => {
                format!("upstream answered with a web page (`{title}`); check the base URL")
            }
            (true, None) => "upstream answered with a web page; check the base URL".to_owned(),
            (false, _) => "upstream answered with something that is not JSON".to_owned(),
        };
        self.bad_body(status, message)
    }

    fn bad_body(&self, status: u16, message: impl Into<String>) -> Box<Failure> {
        self.blame.unusable(status, TransportFailure::BadBody, message)
    }
}

/// Bytes held back until it is clear that the stream serves.
struct Hold {
    passage: Passage,
    held: Vec<Bytes>,
    bytes: usize,
}

impl Hold {
    fn take(&mut self, chunk: Bytes) -> Result<(), ir::Failure> {
        self.bytes += chunk.len();
        self.passage.push(chunk, &mut self.held)
    }

    fn end(&mut self) -> StreamEnd {
        self.passage.finish(&mut self.held)
    }
}

fn joined(start: Bytes, piece: Bytes) -> Bytes {
    if start.is_empty() { piece } else { [start, piece].concat().into() }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    header(headers, "content-type").is_some_and(|kind| kind.contains("event-stream"))
}

/// The first line is a field or a comment of an event stream.
fn looks_like_events(body: &[u8]) -> bool {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    [b"data:".as_slice(), b"event:", b"id:", b"retry:", b":"].iter().any(|f| text.starts_with(f))
}
