//! From the head of a success to the point where it is clear that it serves: the whole body, or a stream
//! up to its commit point (translation §4.8).

use std::pin::Pin;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use ninerouter_dialect::{
    BodyVerdict, Framing, StreamBody, StreamEnd, StreamTap, TapFault, TapOptions, judge_body,
    sniff_stream_body,
};

use crate::gateway::answer::{OpenStream, WholeAnswer};
use crate::gateway::blame::{Blame, header};
use crate::gateway::failure::Failure;
use crate::net::{NetError, Reply, ReplyBody};
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
/// Of a body that is no stream so much is read, and so long, to find out whether it is an error.
const MISFIT: usize = 64 * 1024;
const MISFIT_TIME: Duration = Duration::from_secs(10);

type Opened<T> = Result<Box<T>, Box<Failure>>;

/// The success of one attempt, not yet proven.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    /// Reads its failures.
    pub blame: Blame<'a>,
    /// The call.
    pub shaped: &'a Shaped,
}

impl Opening<'_> {
    /// Collects and judges a whole answer.
    pub(super) async fn whole(&self, reply: Reply) -> Opened<WholeAnswer> {
        let exchange = self.blame.exchange;
        let idle = exchange.snapshot.settings.timeouts.stream_idle;
        let Reply { status, headers, body } = reply;
        let body = if is_event_stream(&headers) {
            self.not_streamed(status, body, idle).await?
        } else {
            body.collect(WHOLE_BODY, idle).await.map_err(|error| self.blame.transport(error))?
        };
        match judge_body(exchange.ask.dialect, &body) {
            BodyVerdict::Ok(summary) => {
                Ok(Box::new(WholeAnswer { status, headers, body, summary }))
            }
            BodyVerdict::Error(error) => Err(self.blame.disguised(&headers, &error)),
            BodyVerdict::Empty => Err(self.empty(status)),
            BodyVerdict::NotJson { html: false, .. } if looks_like_events(&body) => {
                Err(self.streamed(status))
            }
            BodyVerdict::NotJson { html, title } => Err(self.not_json(status, html, title)),
        }
    }

    /// A body that calls itself a stream although none was asked for. One that is a stream is given up at
    /// its first bytes; some servers only get the label wrong.
    async fn not_streamed(
        &self,
        status: u16,
        body: ReplyBody,
        idle: Duration,
    ) -> Result<Bytes, Box<Failure>> {
        let mut body = Box::pin(body);
        let mut whole = BytesMut::new();
        let mut decided = false;
        loop {
            let piece = match tokio::time::timeout(idle, body.next()).await {
                Ok(Some(piece)) => piece.map_err(|error| self.blame.transport(error))?,
                Ok(None) => return Ok(whole.freeze()),
                Err(_elapsed) => return Err(self.blame.transport(NetError::Idle)),
            };
            whole.extend_from_slice(&piece);
            if whole.len() > WHOLE_BODY {
                return Err(self.blame.transport(NetError::BodyTooLarge(WHOLE_BODY)));
            }
            if !decided {
                match sniff_stream_body(&piece) {
                    StreamBody::Sse => return Err(self.streamed(status)),
                    found => decided = found != StreamBody::Undecided,
                }
            }
        }
    }

    /// Holds a stream back until content shows that it serves. The time of that first content comes with
    /// it.
    pub(super) async fn stream(&self, reply: Reply, head_at: Instant) -> Opened<OpenStream> {
        let ask = &self.blame.exchange.ask;
        let Reply { status, headers, body } = reply;
        let mut hold = Hold {
            tap: StreamTap::new(TapOptions {
                dialect: ask.dialect,
                framing: ask.framing,
                hide_usage_chunk: self.shaped.hide_usage_chunk,
                eof_is_end: self.shaped.eof_is_end,
                unwrap: false,
                max_event_bytes: EVENT,
            }),
            held: Vec::new(),
            bytes: 0,
        };
        let mut body = Box::pin(body);
        let deadline = self.first_content_deadline(head_at);
        let mut is_events = ask.framing == Framing::JsonArray;
        loop {
            let chunk = self.next_chunk(&mut body, deadline).await?;
            if let (false, Some(bytes)) = (is_events, &chunk) {
                match sniff_stream_body(bytes) {
                    StreamBody::Undecided => {}
                    StreamBody::Sse => is_events = true,
                    // Bytes go on as they are: an event-stream parser would find nothing in it.
                    StreamBody::JsonObject | StreamBody::JsonArray | StreamBody::Markup => {
                        let misfit = start_of(&mut body, bytes).await;
                        return Err(self.no_stream(status, &headers, &misfit));
                    }
                }
            }
            let ended = match chunk {
                Some(bytes) => {
                    let fault = hold.take(bytes).err();
                    if let Some(fault) = fault {
                        return Err(self.bad_body(status, fault.to_string()));
                    }
                    None
                }
                None => Some(hold.end()),
            };
            let has_content = hold.tap.content_seen();
            if let Some(error) = hold.tap.error().filter(|_| !has_content) {
                return Err(self.blame.event(&headers, error));
            }
            match ended {
                Some(StreamEnd::Truncated) => {
                    let message = "upstream ended its stream before the answer was complete";
                    return Err(self.blame.unusable(status, TransportFailure::Truncated, message));
                }
                Some(StreamEnd::Complete | StreamEnd::Failed) if !has_content => {
                    return Err(self.empty(status));
                }
                _ => {}
            }
            if has_content || hold.bytes > HELD {
                let body = ended.is_none().then_some(body);
                let Hold { tap, held, .. } = hold;
                return Ok(Box::new(OpenStream { status, headers, tap, held, body, head_at }));
            }
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

    /// A whole body, or a page, where a stream was asked for.
    fn no_stream(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Box<Failure> {
        match judge_body(self.blame.exchange.ask.dialect, body) {
            BodyVerdict::Error(error) => self.blame.disguised(headers, &error),
            BodyVerdict::Empty => self.empty(status),
            BodyVerdict::NotJson { html: true, title } => self.not_json(status, true, title),
            // What was cut at `MISFIT` parses no more; it began like an answer all the same.
            BodyVerdict::Ok(_) | BodyVerdict::NotJson { html: false, .. } => self.bad_body(
                status,
                "upstream answered with JSON where an event stream was asked for",
            ),
        }
    }

    fn streamed(&self, status: u16) -> Box<Failure> {
        self.bad_body(
            status,
            "upstream answered with an event stream where a whole answer was asked for",
        )
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
    tap: StreamTap,
    held: Vec<Bytes>,
    bytes: usize,
}

impl Hold {
    fn take(&mut self, chunk: Bytes) -> Result<(), TapFault> {
        self.bytes += chunk.len();
        self.tap.push(chunk, &mut self.held)
    }

    fn end(&mut self) -> StreamEnd {
        self.tap.finish(&mut self.held)
    }
}

/// The start of a body that is no stream.
async fn start_of(body: &mut Pin<Box<ReplyBody>>, first: &Bytes) -> Bytes {
    let mut start = BytesMut::from(first.as_ref());
    let read = async {
        while start.len() < MISFIT {
            let Some(Ok(chunk)) = body.next().await else { break };
            start.extend_from_slice(&chunk);
        }
    };
    // Late or broken: it is judged by what came.
    let _elapsed = tokio::time::timeout(MISFIT_TIME, read).await;
    start.freeze()
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    header(headers, "content-type").is_some_and(|kind| kind.contains("event-stream"))
}

/// The first line is a field or a comment of an event stream.
fn looks_like_events(body: &[u8]) -> bool {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    [b"data:".as_slice(), b"event:", b"id:", b"retry:", b":"].iter().any(|f| text.starts_with(f))
}
