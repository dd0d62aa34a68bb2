//! The streaming body: pulls from the upstream as the client reads, bytes verbatim, one tap beside it.
//!
//! No channel, no task, no unbounded buffer. Dropping it closes the upstream connection and frees the
//! lease. After the commit point a failure becomes the dialect's error event, then the connection is
//! broken, so that a cut answer never looks complete (translation §4.8).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::Stream;
use ninerouter_dialect::{StreamEnd, keep_alive, stream_error_at};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::actors::lease::Outcome;
use crate::gateway::broken::Broken;
use crate::gateway::exchange::Exchange;
use crate::gateway::record::Ending;
use crate::gateway::relay::Committed;
use crate::net::NetError;

/// After the terminal mark the upstream gets this long to end its body, so that the connection can be
/// used again; then the client's stream ends without it.
const AFTER_TERMINAL: Duration = Duration::from_secs(5);

/// The answer was cut on purpose: the connection ends without its last chunk.
#[derive(Debug, thiserror::Error)]
#[error("stream ended with an error event")]
pub(super) struct Cut;

/// Where the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Bytes flow.
    Open,
    /// The error event went out; one pause so that it is flushed, then the cut (security §26).
    Pause,
    /// The next poll breaks the connection.
    Break,
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
    scratch: Vec<Bytes>,
    phase: Phase,
    limits: Limits,
    last_byte: Instant,
    last_sent: Instant,
    last_content: Instant,
    contents: u64,
    bytes_out: u64,
    timer: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl StreamBody {
    /// A body that first sends what was held back.
    #[must_use]
    pub(super) fn new(exchange: Box<Exchange>, mut committed: Committed) -> Self {
        let timeouts = &exchange.snapshot.settings.timeouts;
        let limits = Limits {
            idle: Some(timeouts.stream_idle),
            content_idle: timeouts.content_idle,
            total: timeouts.stream_total,
            keep_alive: Some(timeouts.keep_alive),
        };
        let now = exchange.shared.clock.now();
        let cut = exchange.shared.drain.cut_token().clone().cancelled_owned();
        let out = VecDeque::from(std::mem::take(&mut committed.open.held));
        Self {
            contents: committed.open.tap.content_count(),
            exchange,
            committed,
            out,
            scratch: Vec::new(),
            phase: Phase::Open,
            limits,
            last_byte: now,
            last_sent: now,
            last_content: now,
            bytes_out: 0,
            timer: Box::pin(sleep(limits.first_tick())),
            cut: Box::pin(cut),
        }
    }

    fn now(&self) -> Instant {
        self.exchange.shared.clock.now()
    }

    /// Takes what the upstream has ready. `None` = nothing now.
    fn pull(&mut self, cx: &mut Context<'_>) -> Option<Result<(), Broken>> {
        let Some(upstream) = &mut self.committed.open.body else {
            return Some(self.upstream_ended());
        };
        match Pin::new(upstream).poll_next(cx) {
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

    fn take(&mut self, chunk: Bytes) -> Result<(), Broken> {
        let now = self.now();
        self.last_byte = now;
        let tap = &mut self.committed.open.tap;
        let outcome = tap.push(chunk, &mut self.scratch);
        self.out.extend(self.scratch.drain(..));
        if tap.content_count() != self.contents {
            self.contents = tap.content_count();
            self.last_content = now;
        }
        match outcome {
            // The upstream's own error event was handed on as it is: only the cut is left to do.
            Ok(()) if tap.error().is_some() => Err(Broken::InBand),
            Ok(()) => Ok(()),
            Err(_fault) => Err(Broken::Oversized),
        }
    }

    fn upstream_ended(&mut self) -> Result<(), Broken> {
        let end = self.committed.open.tap.finish(&mut self.scratch);
        self.out.extend(self.scratch.drain(..));
        match end {
            StreamEnd::Complete => {
                self.succeed();
                Ok(())
            }
            StreamEnd::Failed => Err(Broken::InBand),
            // REL-UP-1: the transport says "clean end" even when the answer was cut.
            StreamEnd::Truncated => Err(Broken::Truncated),
        }
    }

    fn upstream_broke(&mut self, error: &NetError) -> Result<(), Broken> {
        tracing::debug!(%error, request.id = %self.exchange.request_id, "upstream broke off");
        if self.committed.open.tap.terminal_seen() {
            // The client has the whole answer; how the connection ended is of no interest to it.
            return self.upstream_ended();
        }
        Err(Broken::Upstream)
    }

    fn succeed(&mut self) {
        self.phase = Phase::Done;
        let summary = self.committed.open.tap.summary().clone();
        self.exchange.settle(&self.committed.route, &summary, Ending::Complete, self.bytes_out);
        if let Some(lease) = self.committed.lease.take() {
            lease.report(Outcome::Success);
        }
        self.committed.open.body = None;
    }

    /// Ends the client's stream with an error event; reports and records the failure.
    fn fail(&mut self, why: Broken) {
        let tap = &self.committed.open.tap;
        let summary = tap.summary().clone();
        let failure = self.exchange.break_failure(&self.committed.route, why, tap.error());
        let ending = Ending::Broken(&failure);
        self.exchange.settle(&self.committed.route, &summary, ending, self.bytes_out);
        if let Some(lease) = self.committed.lease.take() {
            lease.report(if why.is_ours() {
                Outcome::Aborted
            } else {
                Outcome::Failed(Box::new(failure.classified))
            });
        }
        self.committed.open.body = None;
        if why != Broken::InBand {
            let ask = &self.exchange.ask;
            let error = why.to_error(&self.exchange.request_id);
            let position = self.committed.open.tap.position();
            self.out.push_back(stream_error_at(ask.dialect, ask.framing, &error, &position));
        }
        self.phase = Phase::Pause;
    }

    /// Looks at the clock. `Some` when a limit has passed.
    fn tick(&mut self, cx: &mut Context<'_>) -> Option<Broken> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = self.now();
            if self.committed.open.tap.terminal_seen()
                && now.duration_since(self.last_byte) >= AFTER_TERMINAL
            {
                self.finish_early();
                return None;
            }
            if let Some(broken) = self.overdue(now) {
                return Some(broken);
            }
            if self.quiet_for(now, self.limits.keep_alive) && self.committed.open.tap.at_boundary()
            {
                let ask = &self.exchange.ask;
                let started = self.committed.open.tap.message_started();
                self.out.push_back(keep_alive(ask.dialect, ask.framing, started));
                self.last_sent = now;
            }
            let next = self.next_tick(now);
            self.timer.as_mut().reset(tokio::time::Instant::from_std(now + next));
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
        if over(self.limits.idle, self.last_byte) {
            return Some(Broken::Idle);
        }
        over(self.limits.content_idle, self.last_content).then_some(Broken::ContentIdle)
    }

    fn quiet_for(&self, now: Instant, limit: Option<Duration>) -> bool {
        let since = self.last_sent.max(self.last_byte);
        limit.is_some_and(|limit| now.duration_since(since) >= limit)
    }

    /// Time to the next limit, at least a millisecond.
    fn next_tick(&self, now: Instant) -> Duration {
        let left = |limit: Option<Duration>, since: Instant| {
            limit.map(|limit| (since + limit).saturating_duration_since(now))
        };
        let terminal = self.committed.open.tap.terminal_seen().then_some(AFTER_TERMINAL);
        [
            left(self.limits.total, self.committed.open.head_at),
            left(self.limits.idle, self.last_byte),
            left(self.limits.content_idle, self.last_content),
            left(self.limits.keep_alive, self.last_sent.max(self.last_byte)),
            terminal,
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(Duration::from_secs(60))
        .max(Duration::from_millis(1))
    }
}

impl Limits {
    fn first_tick(self) -> Duration {
        [self.idle, self.content_idle, self.total, self.keep_alive]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Duration::from_secs(60))
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
            if let Some(bytes) = this.out.pop_front() {
                this.bytes_out += u64::try_from(bytes.len()).unwrap_or(0);
                return Poll::Ready(Some(Ok(bytes)));
            }
            match this.phase {
                Phase::Done => return Poll::Ready(None),
                Phase::Break => return Poll::Ready(Some(Err(Cut))),
                Phase::Pause => {
                    this.phase = Phase::Break;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Phase::Open => {}
            }
            if let Some(pulled) = this.pull(cx) {
                if let Err(broken) = pulled {
                    this.fail(broken);
                }
                continue;
            }
            if this.cut.as_mut().poll(cx).is_ready() {
                this.fail(Broken::ShuttingDown);
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
        let summary = self.committed.open.tap.summary().clone();
        let served = self.committed.open.tap.terminal_seen() && self.out.is_empty();
        let ending = if served { Ending::Complete } else { Ending::ClientLeft };
        self.exchange.settle(&self.committed.route, &summary, ending, self.bytes_out);
        if let Some(lease) = self.committed.lease.take()
            && served
        {
            lease.report(Outcome::Success);
        }
    }
}
