//! One request on one connection: send, watch the timers, read the response head.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::error::ParseError;
use actix_http::{Payload, RequestHead, RequestHeadType, ResponseHead};
use awc::error::{ConnectError, SendRequestError};
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::{RequestBody, Sending};
use super::error::{Garbage, NetError};
use super::io::{Meter, Wire};
use super::pool::{Answer, Answering, Link};

/// Far enough ahead to be never.
const NEVER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Limits of one exchange.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Body sent to head received.
    pub(super) head: Duration,
    /// Longest time without a byte of the request accepted.
    pub(super) stall: Duration,
}

/// A response head with what follows it.
pub(super) struct Answered {
    pub(super) head: ResponseHead,
    pub(super) payload: Payload,
    pub(super) wire: Option<Rc<Wire>>,
}

/// A failed exchange.
pub(super) struct Failed {
    pub(super) error: NetError,
    /// The connection had died before it answered anything: the same request may go out once more (REL-UP-4).
    pub(super) nothing_answered: bool,
}

impl Failed {
    fn plain(error: NetError) -> Self {
        Self { error, nothing_answered: false }
    }
}

/// Sends and waits for the head.
pub(super) async fn exchange(
    link: Link,
    head: Rc<RequestHead>,
    sending: Rc<Sending>,
    meter: &Meter,
    limits: Limits,
) -> Result<Answered, Failed> {
    let pooled = link.pooled;
    meter.forget_last();
    let body = RequestBody::new(Rc::clone(&sending));
    let answering = link.send(RequestHeadType::Rc(head, None), body);
    let mut watch = Watch::new(answering, &sending, meter, limits);
    let mut timer = std::pin::pin!(None);
    let done = std::future::poll_fn(|cx| watch.poll(cx, timer.as_mut())).await;
    let wire = watch.wire;
    match done.map_err(Failed::plain)? {
        Ok((head, payload)) => Ok(Answered { head, payload, wire }),
        Err(error) => Err(failed(error, pooled, wire.as_deref())),
    }
}

/// The exchange under its timers. One timer serves both: it is moved when the phase changes and
/// looks again at what happened meanwhile when it fires.
struct Watch<'a> {
    answering: Answering,
    sending: &'a Sending,
    meter: &'a Meter,
    limits: Limits,
    wire: Option<Rc<Wire>>,
    sent: bool,
    /// Last time the upstream took something from us.
    progress: Option<Instant>,
}

impl<'a> Watch<'a> {
    fn new(answering: Answering, sending: &'a Sending, meter: &'a Meter, limits: Limits) -> Self {
        Self { answering, sending, meter, limits, wire: None, sent: false, progress: None }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: std::pin::Pin<&mut Option<Sleep>>,
    ) -> Poll<Result<Answer, NetError>> {
        let before = (self.meter.written(), self.sending.pieces());
        let done = self.answering.as_mut().poll(cx);
        if self.progress.is_none() {
            // Over HTTP/1.1 the first poll writes the head. Over HTTP/2 a task of the library's own does
            // all reading and writing, and there is nothing to see.
            self.wire = self.meter.last();
        }
        if let Poll::Ready(done) = done {
            return Poll::Ready(Ok(done));
        }
        let moved = before != (self.meter.written(), self.sending.pieces());
        if moved || self.progress.is_none() {
            self.progress = Some(Instant::now());
        }
        let phase_changed = self.sending.is_done() != self.sent;
        self.sent = self.sending.is_done();
        loop {
            match timer.as_mut().as_pin_mut() {
                None => timer.set(Some(sleep_until(self.deadline()))),
                Some(mut running) => {
                    if phase_changed && running.deadline() != self.deadline() {
                        running.as_mut().reset(self.deadline());
                    }
                    if running.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let deadline = self.deadline();
                    if deadline <= Instant::now() {
                        return Poll::Ready(Err(self.expired()));
                    }
                    running.reset(deadline);
                }
            }
        }
    }

    fn deadline(&self) -> Instant {
        let since = self.progress.unwrap_or_else(Instant::now);
        let limit = if self.sent { self.limits.head } else { self.limits.stall };
        since.checked_add(limit.min(NEVER)).unwrap_or(since)
    }

    fn expired(&self) -> NetError {
        if self.sent { NetError::HeadTimeout } else { NetError::SendStall }
    }
}

fn failed(error: SendRequestError, pooled: bool, wire: Option<&Wire>) -> Failed {
    let received = wire.map_or(0, Wire::received);
    let broke = |received: u64| {
        let write_failed = wire.is_some_and(Wire::write_failed);
        let error = if write_failed && received == 0 && !pooled {
            NetError::BrokeWhileSending
        } else {
            NetError::Reset { pooled }
        };
        Failed { error, nothing_answered: received == 0 }
    };
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => broke(received),
        SendRequestError::Send(_) => Failed {
            error: if pooled { NetError::Reset { pooled } } else { NetError::BrokeWhileSending },
            nothing_answered: received == 0,
        },
        SendRequestError::Response(ParseError::Io(error)) if is_broken(&error) => broke(received),
        // The library's word for an end in the middle of the head.
        SendRequestError::Response(ParseError::Io(_) | ParseError::Incomplete) => broke(received),
        SendRequestError::Response(ParseError::TooLarge) => {
            Failed::plain(NetError::Protocol(Garbage::HeadTooLarge))
        }
        SendRequestError::Response(_) => Failed::plain(NetError::Protocol(Garbage::Head)),
        SendRequestError::H2(error) => {
            // A stream or connection that the server had given up before it saw the request.
            let gone = error.is_io() || error.is_go_away();
            let error =
                if gone { NetError::Reset { pooled } } else { NetError::Protocol(Garbage::H2) };
            Failed { error, nothing_answered: gone }
        }
        SendRequestError::Connect(_) | SendRequestError::Timeout => {
            Failed::plain(NetError::ConnectTimeout)
        }
        _ => Failed::plain(NetError::Unsendable("it is not valid HTTP")),
    }
}

/// The connection itself failed, as against a head that broke off.
pub(super) fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof
    )
}
