//! One attempt: build the upstream request, send it, and wait until it is clear whether it serves.

use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt;
use ninerouter_dialect::{
    BodyVerdict, Framing, SplicedBody, StreamBody, StreamEnd, StreamError, StreamTap, TapFault,
    TapOptions, TapSummary, UpstreamErrorBody, apply_edits, judge_body, parse_error_body,
    sniff_stream_body, splice_model,
};

use crate::actors::lease::Lease;
use crate::clock::{Clock, UnixMs};
use crate::gateway::exchange::Exchange;
use crate::gateway::failure::{Failure, RawAnswer, Trouble};
use crate::net::{Destination, NetError, Outgoing, Reply, ReplyBody, wire_headers};
use crate::provider::catalog::Endpoint;
use crate::provider::endpoint;
use crate::provider::request::{Call, Moment, ShapeCx, Shaped, shape};
use crate::routing::account::AccountKind;
use crate::routing::classify::{
    Class, Classified, Failure as Symptom, Next, TransportFailure, classify,
};
use crate::routing::plan::PlannedEntry;
use crate::routing::verdict::Cooldown;

/// Bytes held back before the commit point (translation §4.8); beyond it the stream is committed.
const HELD: usize = 256 * 1024;
/// Error bodies are read up to here (accounts §5.2).
const ERROR_BODY: usize = 64 * 1024;
/// An error body that does not arrive in this time is judged without it.
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);
/// Largest non-stream answer (security §10).
const WHOLE_BODY: usize = 64 * 1024 * 1024;
/// Largest event of a stream (security §10).
const EVENT: usize = 16 * 1024 * 1024;

/// A whole answer.
#[derive(Debug)]
pub(super) struct WholeAnswer {
    /// Upstream status, 2xx.
    pub status: u16,
    /// Upstream headers.
    pub headers: HeaderMap,
    /// The answer, byte for byte.
    pub body: Bytes,
    /// What the tap read in it.
    pub summary: TapSummary,
}

/// A stream past its commit point.
#[derive(Debug)]
pub(super) struct OpenStream {
    /// Upstream status, 2xx.
    pub status: u16,
    /// Upstream headers.
    pub headers: HeaderMap,
    /// Reads along.
    pub tap: StreamTap,
    /// Bytes that go out first.
    pub held: Vec<Bytes>,
    /// What comes after them; `None` when the upstream has already ended well.
    pub body: Option<std::pin::Pin<Box<ReplyBody>>>,
    /// When the head came.
    pub head_at: Instant,
}

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Attempted {
    /// A whole answer.
    Whole(Box<WholeAnswer>),
    /// A stream.
    Stream(Box<OpenStream>),
    /// Nothing the client may see yet.
    Failed(Box<Failure>),
}

/// Marks of time of one attempt, for the usage row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// Start, wall time.
    pub at: UnixMs,
    /// Start.
    pub started: Instant,
    /// Response head.
    pub head: Option<Instant>,
    /// First content.
    pub first: Option<Instant>,
}

impl Marks {
    /// An attempt that starts now.
    #[must_use]
    pub(super) fn start(clock: &Clock) -> Self {
        Self { at: clock.now_ms(), started: clock.now(), head: None, first: None }
    }
}

/// Everything one attempt needs.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    /// The client's request.
    pub exchange: &'a Exchange,
    /// Entry of the plan.
    pub entry: &'a PlannedEntry,
    /// Permission and credential.
    pub lease: &'a Lease,
}

impl Attempt<'_> {
    /// Runs the attempt until it is clear whether it serves.
    ///
    /// `patched` tells whether the body was edited beyond its model.
    pub(super) async fn run(&self, marks: &mut Marks, patched: &mut bool) -> Attempted {
        let memory = &self.exchange.shared.stream_usage;
        let target = &self.entry.target;
        let injects = memory.allows(&target.provider.id, &target.canonical);
        let (attempted, injected) = self.once(injects, marks, patched).await;
        match attempted {
            // A 400 that names the field we added: once more without it (translation §1.3).
            Attempted::Failed(failure) if injected && names_stream_options(&failure) => {
                memory.refuse(&target.provider.id, &target.canonical);
                self.once(false, marks, patched).await.0
            }
            other => other,
        }
    }

    async fn once(
        &self,
        injects: bool,
        marks: &mut Marks,
        patched: &mut bool,
    ) -> (Attempted, bool) {
        let shaped = match self.shape(injects) {
            Ok(shaped) => shaped,
            Err(failure) => return (Attempted::Failed(failure), false),
        };
        *patched = !shaped.edits.is_empty();
        let attempted = match self.send(&shaped).await {
            Ok(reply) => {
                marks.head = Some(self.now());
                self.judge(reply, &shaped, marks).await
            }
            Err(error) => Attempted::Failed(self.transport(error)),
        };
        (attempted, shaped.hide_usage_chunk)
    }

    fn now(&self) -> Instant {
        self.exchange.shared.clock.now()
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        let target = &self.entry.target;
        endpoint::pick(
            &target.provider,
            target.provider.model(&target.model),
            self.exchange.ask.dialect,
            self.lease.account.endpoint.as_deref(),
        )
    }

    fn shape(&self, injects: bool) -> Result<Shaped, Box<Failure>> {
        let (exchange, target) = (self.exchange, &self.entry.target);
        let endpoint = self
            .endpoint()
            .ok_or_else(|| not_built("the provider has no endpoint for this request".to_owned()))?;
        shape(&ShapeCx {
            provider: &target.provider,
            endpoint,
            facts: exchange.snapshot.catalog.model_facts(&target.provider, &target.model),
            upstream_model: &target.upstream_model,
            effort: target.effort,
            long_context: target.long_context,
            account: &self.lease.account,
            credential: &self.lease.credential,
            dialect: exchange.ask.dialect,
            call: Call::Generate,
            stream: exchange.ask.stream,
            client_headers: &|name| exchange.header(name),
            client_query: Some(exchange.ask.query.as_str()).filter(|query| !query.is_empty()),
            peek: &exchange.ask.peek,
            session_id: None,
            supports_stream_usage: injects,
            extra_headers: exchange.snapshot.extra_headers(&target.provider.id),
            moment: Moment {
                now: exchange.shared.clock.now_ms(),
                nonce: exchange.shared.nonce(),
                public_url: exchange.snapshot.settings.base_url.as_ref().map(url::Url::as_str),
                hostname: Some(&exchange.snapshot.fixed.found.host_name),
            },
        })
        .map_err(|error| not_built(error.to_string()))
    }

    async fn send(&self, shaped: &Shaped) -> Result<Reply, NetError> {
        let (exchange, target) = (self.exchange, &self.entry.target);
        let timeouts = &exchange.snapshot.settings.timeouts;
        let head_timeout = match (target.provider.local, exchange.ask.stream) {
            (true, _) => timeouts.local_first,
            (false, true) => timeouts.head_stream,
            (false, false) => timeouts.head,
        };
        let left = exchange.until(head_timeout).saturating_duration_since(self.now());
        let outgoing = Outgoing {
            method: Method::POST,
            url: shaped.url.clone(),
            headers: wire_headers(&shaped.headers),
            body: self.body(shaped)?,
            dest: Destination::of(&target.provider),
            head_timeout: left,
            send_stall: timeouts.send_stall,
        };
        exchange.worker.clients.send(outgoing).await
    }

    /// The client's bytes with as few changes as the upstream needs (execution tiers A and B).
    fn body(&self, shaped: &Shaped) -> Result<SplicedBody, NetError> {
        let ask = &self.exchange.ask;
        if !shaped.edits.is_empty() {
            // The body was peeked before: an edit cannot fail on it.
            return apply_edits(&ask.body, &shaped.edits)
                .map_err(|_peeked_before| NetError::Unsendable("its body cannot be edited"));
        }
        Ok(match (&ask.peek.model, &shaped.body_model) {
            (Some(model), Some(new)) => splice_model(&ask.body, model, new),
            (None, _) | (_, None) => SplicedBody::whole(ask.body.clone()),
        })
    }

    async fn judge(&self, reply: Reply, shaped: &Shaped, marks: &mut Marks) -> Attempted {
        match reply.status {
            200..=299 if self.exchange.ask.stream => self.stream(reply, shaped, marks).await,
            200..=299 => self.whole(reply, marks).await,
            300..=399 => Attempted::Failed(self.redirected(reply.status)),
            _ => Attempted::Failed(self.refused(reply).await),
        }
    }

    async fn refused(&self, reply: Reply) -> Box<Failure> {
        let (status, headers) = (reply.status, reply.headers);
        let kind = header(&headers, "content-type").map(str::to_owned);
        // A body that does not come is no reason to forget the status.
        let body = reply.body.collect(ERROR_BODY, ERROR_BODY_TIME).await.unwrap_or_default();
        self.classified(status, &headers, kind, body)
    }

    fn classified(
        &self,
        status: u16,
        headers: &HeaderMap,
        kind: Option<String>,
        body: Bytes,
    ) -> Box<Failure> {
        let parsed = parse_error_body(status, kind.as_deref(), &body);
        let classified = self.classify(Some(status), headers, Some(&parsed), None);
        let raw = (!body.is_empty() && !parsed.is_html).then_some(RawAnswer {
            status,
            content_type: kind,
            body,
        });
        let (trouble, status) = (Trouble::Answer, Some(status));
        Box::new(Failure { classified, trouble, transport: None, status, raw })
    }

    fn classify(
        &self,
        status: Option<u16>,
        headers: &HeaderMap,
        body: Option<&UpstreamErrorBody>,
        transport: Option<TransportFailure>,
    ) -> Classified {
        let target = &self.entry.target;
        let symptom = Symptom {
            provider: &target.provider.id,
            family: target.provider.family,
            status,
            headers: &|name| header(headers, name),
            body,
            transport,
            requested_model: &self.exchange.ask.model,
            upstream_model: &target.upstream_model,
            canonical: &target.canonical,
            families: &target.families,
            oauth: self.lease.account.kind == AccountKind::OAuth,
            now: self.exchange.shared.clock.now_ms(),
        };
        classify(&symptom, &self.exchange.snapshot.error_rules)
    }

    fn redirected(&self, status: u16) -> Box<Failure> {
        let mut classified = self.classify(Some(status), &HeaderMap::new(), None, None);
        classified.message = format!(
            "upstream answered with redirect {status}, which is never followed; correct the base URL"
        );
        classified.code = Some("upstream_redirect".to_owned());
        Box::new(Failure {
            classified,
            trouble: Trouble::BadAnswer,
            transport: None,
            status: Some(status),
            raw: None,
        })
    }

    fn transport(&self, error: NetError) -> Box<Failure> {
        let (failure, trouble) = symptom(error);
        let mut classified = self.classify(None, &HeaderMap::new(), None, Some(failure));
        classified.message = error.to_string();
        classified.code = Some(error.code().to_owned());
        Box::new(Failure { classified, trouble, transport: Some(failure), status: None, raw: None })
    }

    /// An answer that is no answer of its dialect: the next candidate may do better (accounts §6.4).
    fn bad_answer(
        &self,
        status: u16,
        what: TransportFailure,
        code: &'static str,
        message: impl Into<String>,
    ) -> Box<Failure> {
        let transport = Some(what);
        let mut classified = self.classify(None, &HeaderMap::new(), None, transport);
        classified.message = message.into();
        classified.code = Some(code.to_owned());
        Box::new(Failure {
            classified,
            trouble: Trouble::BadAnswer,
            transport,
            status: Some(status),
            raw: None,
        })
    }

    async fn whole(&self, reply: Reply, marks: &mut Marks) -> Attempted {
        let timeouts = &self.exchange.snapshot.settings.timeouts;
        let (status, headers) = (reply.status, reply.headers);
        let body = match reply.body.collect(WHOLE_BODY, timeouts.stream_idle).await {
            Ok(body) => body,
            Err(error) => return Attempted::Failed(self.transport(error)),
        };
        marks.first = Some(self.now());
        match judge_body(self.exchange.ask.dialect, &body) {
            BodyVerdict::Ok(summary) => {
                Attempted::Whole(Box::new(WholeAnswer { status, headers, body, summary }))
            }
            BodyVerdict::Error(error) => Attempted::Failed(self.disguised(&headers, &error)),
            BodyVerdict::Empty => Attempted::Failed(self.bad_answer(
                status,
                TransportFailure::Empty,
                "upstream_empty",
                "upstream answered without content",
            )),
            BodyVerdict::NotJson { html, title } => Attempted::Failed(self.bad_answer(
                status,
                TransportFailure::BadBody,
                "upstream_bad_body",
                not_json(html, title),
            )),
        }
    }

    /// An error under a success status: classified by what it says (REL-UP-4).
    fn disguised(&self, headers: &HeaderMap, error: &UpstreamErrorBody) -> Box<Failure> {
        let classified = self.classify(Some(200), headers, Some(error), None);
        let (trouble, status) = (Trouble::Answer, classified.status);
        Box::new(Failure { classified, trouble, transport: None, status, raw: None })
    }

    async fn stream(&self, reply: Reply, shaped: &Shaped, marks: &mut Marks) -> Attempted {
        let ask = &self.exchange.ask;
        let (status, headers) = (reply.status, reply.headers);
        let labelled =
            header(&headers, "content-type").is_some_and(|kind| kind.contains("event-stream"));
        let mut hold = Hold {
            tap: StreamTap::new(TapOptions {
                dialect: ask.dialect,
                framing: ask.framing,
                hide_usage_chunk: shaped.hide_usage_chunk,
                eof_is_end: shaped.eof_is_end,
                max_event_bytes: EVENT,
            }),
            held: Vec::new(),
            bytes: 0,
        };
        let mut body = Box::pin(reply.body);
        let head_at = self.now();
        let deadline = self.first_content_deadline(head_at);
        let mut sniffed = labelled || ask.framing == Framing::JsonArray;
        loop {
            let chunk = match self.next_chunk(&mut body, deadline).await {
                Ok(chunk) => chunk,
                Err(failure) => return Attempted::Failed(failure),
            };
            if let (false, Some(bytes)) = (sniffed, &chunk) {
                match sniff_stream_body(bytes) {
                    StreamBody::Undecided => {}
                    StreamBody::Sse | StreamBody::JsonArray => sniffed = true,
                    StreamBody::JsonObject | StreamBody::Markup => {
                        let rest = rest_of(&mut body, bytes.clone()).await;
                        return Attempted::Failed(self.no_stream(status, &headers, rest));
                    }
                }
            }
            let ended = match chunk {
                Some(bytes) => match hold.take(bytes) {
                    Ok(()) => None,
                    Err(fault) => {
                        let what = TransportFailure::BadBody;
                        return Attempted::Failed(self.bad_answer(
                            status,
                            what,
                            "upstream_bad_body",
                            fault.to_string(),
                        ));
                    }
                },
                None => Some(hold.end()),
            };
            if let Some(error) = hold.tap.error().filter(|_| !hold.tap.content_seen()) {
                return Attempted::Failed(self.early_error(&headers, error));
            }
            if ended == Some(StreamEnd::Truncated) {
                let what = TransportFailure::Truncated;
                return Attempted::Failed(self.bad_answer(
                    status,
                    what,
                    "upstream_truncated",
                    "upstream ended its stream before the answer was complete",
                ));
            }
            if hold.tap.content_seen() || hold.bytes > HELD {
                marks.first = Some(self.now());
                let body = ended.is_none().then_some(body);
                let Hold { tap, held, .. } = hold;
                return Attempted::Stream(Box::new(OpenStream {
                    status,
                    headers,
                    tap,
                    held,
                    body,
                    head_at,
                }));
            }
            if ended.is_some() {
                let what = TransportFailure::Empty;
                return Attempted::Failed(self.bad_answer(
                    status,
                    what,
                    "upstream_empty",
                    "upstream ended its stream without content",
                ));
            }
        }
    }

    async fn next_chunk(
        &self,
        body: &mut std::pin::Pin<Box<ReplyBody>>,
        deadline: Option<Instant>,
    ) -> Result<Option<Bytes>, Box<Failure>> {
        let next = match deadline {
            Some(at) => match tokio::time::timeout_at(at.into(), body.next()).await {
                Ok(next) => next,
                Err(_elapsed) => return Err(self.no_content()),
            },
            None => body.next().await,
        };
        next.transpose().map_err(|error| self.transport(error))
    }

    fn no_content(&self) -> Box<Failure> {
        let failure = Some(TransportFailure::ContentTimeout);
        let classified = self.classify(None, &HeaderMap::new(), None, failure);
        Box::new(Failure {
            classified,
            trouble: Trouble::Timeout,
            transport: failure,
            status: None,
            raw: None,
        })
    }

    fn early_error(&self, headers: &HeaderMap, error: &StreamError) -> Box<Failure> {
        let classified =
            self.classify(error.status.or(Some(200)), headers, Some(&error.body), None);
        let (trouble, status) = (Trouble::Answer, classified.status);
        Box::new(Failure { classified, trouble, transport: None, status, raw: None })
    }

    /// A whole body, or a page, where a stream was asked for.
    fn no_stream(&self, status: u16, headers: &HeaderMap, body: Bytes) -> Box<Failure> {
        let what = TransportFailure::BadBody;
        match judge_body(self.exchange.ask.dialect, &body) {
            BodyVerdict::Error(error) => self.disguised(headers, &error),
            BodyVerdict::Empty => self.bad_answer(
                status,
                TransportFailure::Empty,
                "upstream_empty",
                "upstream answered without content",
            ),
            BodyVerdict::NotJson { html, title } => {
                self.bad_answer(status, what, "upstream_bad_body", not_json(html, title))
            }
            BodyVerdict::Ok(_) => self.bad_answer(
                status,
                what,
                "upstream_bad_body",
                "upstream answered whole where a stream was asked for",
            ),
        }
    }

    /// Head to first content; local models are loaded first.
    fn first_content_deadline(&self, head_at: Instant) -> Option<Instant> {
        let timeouts = &self.exchange.snapshot.settings.timeouts;
        let own = timeouts.first_content.map(|limit| {
            let local = self.entry.target.provider.local;
            head_at + if local { limit.max(timeouts.local_first) } else { limit }
        });
        [own, self.exchange.deadline].into_iter().flatten().min()
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

/// The rest of a body that is no stream; cut where it becomes unreasonable.
async fn rest_of(body: &mut std::pin::Pin<Box<ReplyBody>>, first: Bytes) -> Bytes {
    let mut whole = bytes::BytesMut::from(first.as_ref());
    while whole.len() < ERROR_BODY {
        match tokio::time::timeout(ERROR_BODY_TIME, body.next()).await {
            Ok(Some(Ok(chunk))) => whole.extend_from_slice(&chunk),
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
    }
    whole.freeze()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn symptom(error: NetError) -> (TransportFailure, Trouble) {
    match error {
        NetError::Blocked { .. } => (TransportFailure::Blocked, Trouble::Blocked),
        NetError::Dns(_) => (TransportFailure::Dns, Trouble::Unreachable),
        NetError::Connect(_) => (TransportFailure::Connect, Trouble::Unreachable),
        NetError::Tls(_) => (TransportFailure::Tls, Trouble::Unreachable),
        NetError::ConnectTimeout => (TransportFailure::ConnectTimeout, Trouble::Timeout),
        NetError::HeadTimeout => (TransportFailure::HeadTimeout, Trouble::Timeout),
        NetError::SendStall => (TransportFailure::SendStall, Trouble::Timeout),
        NetError::Idle => (TransportFailure::ContentTimeout, Trouble::Timeout),
        NetError::BrokeWhileSending | NetError::Reset { .. } => {
            (TransportFailure::Reset, Trouble::BadAnswer)
        }
        NetError::Protocol(_) => (TransportFailure::Protocol, Trouble::BadAnswer),
        NetError::Truncated => (TransportFailure::Truncated, Trouble::BadAnswer),
        NetError::BodyTooLarge(_) | NetError::BadEncoding(_) => {
            (TransportFailure::BadBody, Trouble::BadAnswer)
        }
        NetError::Unsendable(_) => (TransportFailure::Protocol, Trouble::NotBuilt),
    }
}

fn names_stream_options(failure: &Failure) -> bool {
    failure.status == Some(400)
        && failure
            .raw
            .as_ref()
            .is_some_and(|raw| memchr::memmem::find(&raw.body, b"stream_options").is_some())
}

fn not_json(html: bool, title: Option<String>) -> String {
    match (html, title) {
        (true, Some(title)) => {
            format!("upstream answered with a web page (`{title}`); check the base URL")
        }
        (true, None) => "upstream answered with a web page; check the base URL".to_owned(),
        (false, _) => "upstream answered with something that is not JSON".to_owned(),
    }
}

fn not_built(message: String) -> Box<Failure> {
    let classified = Classified {
        class: Class::Unknown,
        scope: None,
        until: None,
        retry_same_after_ms: None,
        retry_same_max: 0,
        next: Next::NextAccount,
        penalize: false,
        cooldown: Cooldown::None,
        lower_concurrency: false,
        learned_window: None,
        rule: "request.not_built",
        status: None,
        code: None,
        message,
    };
    Box::new(Failure {
        classified,
        trouble: Trouble::NotBuilt,
        transport: None,
        status: None,
        raw: None,
    })
}
