//! The streaming body: pulls from the upstream as the client reads; its bytes go on verbatim, or translated.
//!
//! No channel, no task, no unbounded buffer. Dropping it closes the upstream connection and frees the
//! lease. After the commit point a failure becomes the dialect's error event, then the connection is
//! broken, so that a cut answer never looks complete (translation §4.8).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use ninerouter_dialect::translate::failure_for_client;
use ninerouter_dialect::{ApiError, Dialect, StreamEnd};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::actors::lease::Outcome;
use crate::gateway::answer::{Committed, OpenStream};
use crate::gateway::broken::Broken;
use crate::gateway::exchange::Exchange;
use crate::gateway::farewell::Farewell;
use crate::gateway::record::Ending;
use crate::net::NetError;
use crate::provider::credential::Credential;
use crate::redact::redact_text;

/// After its last event the upstream gets this long to end its body, so that the connection can be used
/// again; then the client's stream ends without it.
const AFTER_LAST_EVENT: Duration = Duration::from_millis(250);
/// After a chat finish reason usage and `[DONE]` are still to come. An upstream that sends neither is waited
/// for this long.
const AFTER_FINISH_REASON: Duration = Duration::from_secs(5);

/// Pings of a translated upstream are passed on at most this often (translation §4.1).
const PING_EVERY: Duration = Duration::from_secs(10);

/// Pieces that are ready at the same time go out as one, up to this size: what the server library does for each piece
/// costs more than to join small ones.
const TOGETHER: usize = 16 * 1024;

/// Next look at a stream that has no limit at all.
const NO_LIMIT: Duration = Duration::from_secs(60);

/// The answer was cut on purpose: the connection ends without its last chunk.
#[derive(Debug, thiserror::Error)]
#[error("stream ended with an error event")]
pub(super) struct Cut;

/// Where the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Bytes flow.
    Open,
    /// The answer broke off: the farewell goes out, then the connection is cut.
    Farewell,
    /// Everything went out.
    Done,
}

/// Time limits of a running stream; `None` is switched off.
#[derive(Clone, Copy, Debug)]
struct Limits {
    idle: Option<Duration>,
    content_idle: Option<Duration>,
    total: Option<Duration>,
    keep_alive: Option<Duration>,
}

/// Body of a committed stream.
#[derive(Debug)]
pub(super) struct StreamBody {
    exchange: Box<Exchange>,
    committed: Committed,
    out: VecDeque<Bytes>,
    /// How the upstream's body goes on, when it was asked already.
    ahead: Option<Option<Result<Bytes, NetError>>>,
    scratch: Vec<Bytes>,
    phase: Phase,
    farewell: Farewell,
    limits: Limits,
    times: Times,
    contents: u64,
    bytes_out: u64,
    timer: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The caller's key is revoked at once.
    revoked: Option<Revoked>,
}

/// The end of the caller's key, asked for and waited for.
#[derive(Debug)]
struct Revoked {
    token: CancellationToken,
    fired: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Revoked {
    fn of(token: CancellationToken) -> Self {
        Self { fired: Box::pin(token.clone().cancelled_owned()), token }
    }
}

/// Instants that the limits count from.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Last byte of the upstream.
    byte: Instant,
    /// Last content of the upstream.
    content: Instant,
    /// Last keep-alive, sent or put off.
    keep_alive: Instant,
    /// When the upstream has had its time to end after the terminal mark.
    end: Option<Instant>,
    /// Since then the client, not the upstream, is waited for: it got a piece and has not asked for more.
    client_since: Option<Instant>,
}

impl StreamBody {
    /// A body that first sends what was held back; `sent` bytes went out before it.
    #[must_use]
    pub(super) fn new(exchange: Box<Exchange>, mut committed: Committed, sent: u64) -> Self {
        let timeouts = &exchange.snapshot.settings.timeouts;
        let limits = Limits {
            idle: Some(timeouts.stream_idle),
            content_idle: timeouts.content_idle,
            total: timeouts.stream_total,
            keep_alive: Some(timeouts.keep_alive),
        };
        let now = exchange.shared.clock.now();
        let cut = exchange.shared.drain.cut_token().clone().cancelled_owned();
        let key = exchange.caller.key().map(|key| key.id);
        let revoked = key.map(|key| Revoked::of(exchange.shared.revoked.token(key)));
        let out = VecDeque::from(std::mem::take(&mut committed.open.held));
        // The client has its head; a stream may take long, and there may be thousands.
        committed.open.headers = HeaderMap::new();
        let times =
            Times { byte: now, content: now, keep_alive: now, end: None, client_since: None };
        let mut body = Self {
            contents: committed.open.passage.content_count(),
            exchange,
            committed,
            out,
            ahead: None,
            scratch: Vec::new(),
            phase: Phase::Open,
            farewell: Farewell::of([]),
            limits,
            times,
            bytes_out: sent,
            timer: Box::pin(sleep(Duration::ZERO)),
            cut: Box::pin(cut),
            revoked,
        };
        body.remember();
        body.exchange.recorder.has_got(body.committed.open.passage.summary());
        body.note_end(now);
        body.set_timer(now);
        body
    }

    fn now(&self) -> Instant {
        self.exchange.shared.clock.now()
    }

    /// Takes what the upstream has ready. `None` = nothing now.
    fn pull(&mut self, cx: &mut Context<'_>) -> Option<Result<(), Broken>> {
        if let Some(broken) = self.broken_already() {
            return Some(Err(broken));
        }
        match self.poll_upstream(cx) {
            Poll::Pending => None,
            Poll::Ready(Some(Ok(chunk))) => Some(self.take(chunk)),
            Poll::Ready(Some(Err(error))) => {
                self.committed.open.body = None;
                Some(self.upstream_broke(&error))
            }
            Poll::Ready(None) => {
                self.committed.open.body = None;
                Some(self.upstream_ended())
            }
        }
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, NetError>>> {
        if let Some(known) = self.ahead.take() {
            return Poll::Ready(known);
        }
        match &mut self.committed.open.body {
            Some(upstream) => Pin::new(upstream).poll_next(cx),
            None => Poll::Ready(None),
        }
    }

    /// Takes more of what is ready beside what is there to go out. Of an end it is only noted that it comes.
    fn gather(&mut self, cx: &mut Context<'_>) {
        let mut size = self.waiting();
        while self.phase == Phase::Open && size < TOGETHER && self.broken_already().is_none() {
            match self.poll_upstream(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(chunk))) => {
                    if let Err(broken) = self.take(chunk) {
                        self.fail(broken);
                    }
                }
                Poll::Ready(end) => {
                    self.ahead = Some(end);
                    return;
                }
            }
            size = self.waiting();
        }
    }

    /// Bytes that are there to go out.
    fn waiting(&self) -> usize {
        self.out.iter().map(Bytes::len).sum()
    }

    /// Everything that is there to go out, in one piece.
    fn joined(&mut self) -> Option<Bytes> {
        if self.out.len() < 2 {
            return self.out.pop_front();
        }
        let mut whole = BytesMut::with_capacity(self.waiting());
        self.out.drain(..).for_each(|piece| whole.extend_from_slice(&piece));
        Some(whole.freeze())
    }

    /// Bytes that the client gets, whatever comes after.
    fn sent(&self) -> u64 {
        self.bytes_out.saturating_add(u64::try_from(self.waiting()).unwrap_or(u64::MAX))
    }

    fn take(&mut self, chunk: Bytes) -> Result<(), Broken> {
        let now = self.now();
        self.forgive_client(now);
        self.times.byte = now;
        let outcome = self.committed.open.passage.push(chunk, &mut self.scratch);
        self.out.extend(self.scratch.drain(..));
        self.remember();
        if self.note_end(now) {
            self.set_timer(now);
        }
        let contents = self.committed.open.passage.content_count();
        if contents != self.contents {
            self.contents = contents;
            self.times.content = now;
            self.exchange.recorder.has_got(self.committed.open.passage.summary());
        }
        // The upstream is alive but says nothing that could be passed on.
        let pings = self.committed.open.passage.take_ping();
        if pings && self.out.is_empty() && now >= self.times.keep_alive + PING_EVERY {
            self.out.extend(self.committed.open.passage.keep_alive(&self.exchange.ask));
            self.times.keep_alive = now;
        }
        outcome.map_err(|failure| Broken::of(&failure))
    }

    /// What has come says that the answer broke off.
    fn broken_already(&self) -> Option<Broken> {
        let passage = &self.committed.open.passage;
        let said = || passage.error().map(|_| Broken::InBand);
        passage.failure().map(Broken::of).or_else(said)
    }

    /// Keeps what a later request needs of the reasoning (translation §2.7).
    fn remember(&mut self) {
        let notes = self.committed.open.passage.take_notes();
        if !notes.is_empty() {
            self.exchange.remember(notes);
        }
    }

    fn upstream_ended(&mut self) -> Result<(), Broken> {
        let end = self.committed.open.passage.finish(&mut self.scratch);
        self.out.extend(self.scratch.drain(..));
        self.remember();
        match end {
            StreamEnd::Complete => {
                self.succeed();
                Ok(())
            }
            StreamEnd::Failed => Err(self.broken_already().unwrap_or(Broken::InBand)),
            // REL-UP-1: the transport says "clean end" even when the answer was cut.
            StreamEnd::Truncated => Err(Broken::Truncated),
        }
    }

    fn upstream_broke(&mut self, error: &NetError) -> Result<(), Broken> {
        tracing::debug!(%error, request.id = %self.exchange.request_id, "upstream broke off");
        if self.committed.open.passage.terminal_seen() {
            // The client has the whole answer; how the connection ended is of no interest to it.
            return self.upstream_ended();
        }
        Err(Broken::Upstream)
    }

    fn succeed(&mut self) {
        self.phase = Phase::Done;
        let summary = self.committed.open.passage.summary().clone();
        let sent = self.sent();
        self.exchange.settle(&self.committed.route, &summary, Ending::Complete, sent);
        if let Some(lease) = self.committed.lease.take() {
            lease.report(Outcome::Success);
        }
        self.committed.open.body = None;
    }

    /// Ends the client's stream with an error event; reports and records the failure.
    fn fail(&mut self, why: Broken) {
        let passage = &self.committed.open.passage;
        let summary = passage.summary().clone();
        let lease = self.committed.lease.as_ref();
        let credential = lease.map(|lease| Arc::clone(&lease.credential));
        let credential = credential.as_deref();
        let failure = self.exchange.broke(&self.committed.route, credential, why, passage.error());
        let ending = Ending::Broken(&failure);
        let sent = self.sent();
        self.exchange.settle(&self.committed.route, &summary, ending, sent);
        if let Some(lease) = self.committed.lease.take() {
            lease.report(if why.is_ours() {
                Outcome::Aborted
            } else {
                Outcome::Failed(Box::new(failure.classified))
            });
        }
        self.committed.open.body = None;
        if let Some(error) = self.told(why, credential) {
            let ask = &self.exchange.ask;
            let passage = &mut self.committed.open.passage;
            passage.error_event(ask.dialect, ask.framing, &error, &mut self.scratch);
            let events = self.scratch.drain(..);
            self.farewell = Farewell::new(ask.dialect, ask.framing, events, &error);
        }
        self.phase = Phase::Farewell;
    }

    /// What the client is still to be told; nothing, when it got the upstream's own event.
    fn told(&self, why: Broken, credential: Option<&Credential>) -> Option<ApiError> {
        let request_id = &*self.exchange.request_id;
        if why != Broken::InBand {
            return Some(why.to_error(request_id));
        }
        let mut error = failure_for_client(self.committed.open.passage.failure()?, request_id);
        let known = credential.map(Credential::known).unwrap_or_default();
        error.message = redact_text(&known.text(&error.message)).into_owned();
        Some(error)
    }

    /// Notices the terminal mark. True when the end is now nearer than it was.
    fn note_end(&mut self, now: Instant) -> bool {
        let OpenStream { passage, dialect, .. } = &self.committed.open;
        let grace = if passage.nothing_follows() {
            AFTER_LAST_EVENT
        } else if !passage.terminal_seen() {
            return false;
        } else if *dialect == Dialect::Chat {
            AFTER_FINISH_REASON
        } else {
            AFTER_LAST_EVENT
        };
        let end = now + grace;
        // Nothing that still comes puts the end off.
        let nearer = self.times.end.is_none_or(|known| end < known);
        if nearer {
            self.times.end = Some(end);
        }
        nearer
    }

    /// The upstream is waited for again: the time that the client took is not the upstream's.
    fn forgive_client(&mut self, now: Instant) {
        let Some(since) = self.times.client_since.take() else { return };
        let took = now.saturating_duration_since(since);
        self.times.byte += took;
        self.times.content += took;
    }

    /// Looks at the clock. `Some` when a limit has passed.
    fn tick(&mut self, cx: &mut Context<'_>) -> Option<Broken> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = self.now();
            if self.times.end.is_some_and(|end| now >= end) {
                self.finish_early();
                return None;
            }
            if let Some(broken) = self.overdue(now) {
                return Some(broken);
            }
            if self.quiet_since().is_some_and(|limit| now >= limit) {
                // In the middle of an event nothing fits; the next look comes after another interval.
                self.out.extend(self.committed.open.passage.keep_alive(&self.exchange.ask));
                self.times.keep_alive = now;
            }
            self.set_timer(now);
        }
        None
    }

    fn finish_early(&mut self) {
        self.committed.open.body = None;
        if let Err(broken) = self.upstream_ended() {
            self.fail(broken);
        }
    }

    fn overdue(&self, now: Instant) -> Option<Broken> {
        let over = |limit: Option<Duration>, since: Instant| {
            limit.is_some_and(|limit| now.duration_since(since) >= limit)
        };
        if over(self.limits.total, self.committed.open.head_at) {
            return Some(Broken::Total);
        }
        if over(self.limits.idle, self.times.byte) {
            return Some(Broken::Idle);
        }
        over(self.limits.content_idle, self.times.content).then_some(Broken::ContentIdle)
    }

    /// When the client has heard nothing for the keep-alive interval.
    fn quiet_since(&self) -> Option<Instant> {
        self.limits.keep_alive.map(|limit| self.times.keep_alive.max(self.times.byte) + limit)
    }

    /// Sets the timer to the nearest limit.
    fn set_timer(&mut self, now: Instant) {
        let at = |limit: Option<Duration>, since: Instant| limit.map(|limit| since + limit);
        let nearest = [
            at(self.limits.total, self.committed.open.head_at),
            at(self.limits.idle, self.times.byte),
            at(self.limits.content_idle, self.times.content),
            self.quiet_since(),
            self.times.end,
        ];
        let nearest = nearest.into_iter().flatten().min().unwrap_or(now + NO_LIMIT);
        // The timer's resolution; a limit that has just passed must not spin.
        let at = nearest.max(now + Duration::from_millis(1));
        self.timer.as_mut().reset(at.into());
    }
}

impl MessageBody for StreamBody {
    type Error = Cut;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        loop {
            if !this.out.is_empty() {
                this.gather(cx);
            }
            if let Some(bytes) = this.joined() {
                this.bytes_out += u64::try_from(bytes.len()).unwrap_or(0);
                // The piece was made at one of these instants: no look at the clock for each.
                let made = this.times.byte.max(this.times.keep_alive);
                this.times.client_since.get_or_insert(made);
                return Poll::Ready(Some(Ok(bytes)));
            }
            match this.phase {
                Phase::Done => return Poll::Ready(None),
                Phase::Farewell => match ready!(this.farewell.poll_piece(cx)) {
                    Some(piece) => {
                        this.out.push_back(piece);
                        continue;
                    }
                    None => return Poll::Ready(Some(Err(Cut))),
                },
                // An upstream that always has something ready never lets us wait for what is below.
                Phase::Open
                    if this.revoked.as_ref().is_some_and(|key| key.token.is_cancelled()) =>
                {
                    this.fail(Broken::Revoked);
                    continue;
                }
                Phase::Open
                    if this.exchange.recorder.running().is_some_and(|r| r.is_cancelled()) =>
                {
                    this.fail(Broken::Cancelled);
                    continue;
                }
                Phase::Open => {}
            }
            if let Some(pulled) = this.pull(cx) {
                if let Err(broken) = pulled {
                    this.fail(broken);
                }
                continue;
            }
            if this.times.client_since.is_some() {
                this.forgive_client(this.now());
            }
            if this.cut.as_mut().poll(cx).is_ready() {
                this.fail(Broken::ShuttingDown);
                continue;
            }
            let place = this.exchange.recorder.running();
            if place.is_some_and(|request| request.poll_cancelled(cx).is_ready()) {
                this.fail(Broken::Cancelled);
                continue;
            }
            if this.revoked.as_mut().is_some_and(|key| key.fired.as_mut().poll(cx).is_ready()) {
                this.fail(Broken::Revoked);
                continue;
            }
            if let Some(broken) = this.tick(cx) {
                this.fail(broken);
                continue;
            }
            if this.out.is_empty() && this.phase == Phase::Open {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if self.phase != Phase::Open {
            return;
        }
        // The client left. One that had the terminal mark has had its answer (REL-CAN-1).
        let summary = self.committed.open.passage.summary().clone();
        let served = self.committed.open.passage.terminal_seen() && self.out.is_empty();
        let ending = if served { Ending::Complete } else { Ending::ClientLeft };
        self.exchange.settle(&self.committed.route, &summary, ending, self.bytes_out);
        if let Some(lease) = self.committed.lease.take()
            && served
        {
            lease.report(Outcome::Success);
        }
    }
}
