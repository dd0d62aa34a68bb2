//! The early head: when nothing has come for a while, the client gets `200` and comments, and the relay
//! goes on behind them (accounts §6.6). From then on errors travel inside the stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use ninerouter_dialect::{Dialect, Framing, keep_alive, stream_error};
use tokio::time::{Sleep, sleep};

use crate::gateway::answer::Answer;
use crate::gateway::exchange::Exchange;
use crate::gateway::farewell::Farewell;
use crate::gateway::stream::{Cut, StreamBody};

/// The relay of one request, still running.
pub(super) type Running = Pin<Box<dyn Future<Output = (Box<Exchange>, Answer)>>>;

/// Body that sends comments until the relay has an answer, then streams it.
pub(super) struct EarlyBody {
    phase: Phase,
    dialect: Dialect,
    framing: Framing,
    every: Duration,
    /// Bytes of comments so far.
    sent: u64,
    timer: Pin<Box<Sleep>>,
}

enum Phase {
    Waiting(Running),
    Streaming(Box<StreamBody>),
    /// The failure's event goes out, then the connection is cut.
    Failing(Farewell),
    Done,
}

impl std::fmt::Debug for EarlyBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EarlyBody").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

impl EarlyBody {
    /// A body over a relay that has no answer yet. Its first comment goes out at once.
    #[must_use]
    pub(super) fn new(
        running: Running,
        dialect: Dialect,
        framing: Framing,
        every: Duration,
    ) -> Self {
        let timer = Box::pin(sleep(Duration::ZERO));
        Self { phase: Phase::Waiting(running), dialect, framing, every, sent: 0, timer }
    }

    fn answered(&mut self, mut exchange: Box<Exchange>, answer: Answer) {
        self.phase = match answer {
            Answer::Stream(committed) => {
                Phase::Streaming(Box::new(StreamBody::new(exchange, *committed, self.sent)))
            }
            // A streamed request is never answered whole; if it were, the body would be its stream.
            Answer::Whole(whole, _) => Phase::Failing(Farewell::of([whole.body])),
            // The row says what happened; the client's `200` has gone out before.
            Answer::Refused(refusal) => {
                let mut error = refusal.error.clone();
                error.request_id = exchange.request_id.to_string();
                let event = stream_error(self.dialect, self.framing, &error, 0);
                let farewell = Farewell::new(self.dialect, self.framing, [event], &error);
                let shape = exchange.ask.shape;
                exchange.recorder.refused(
                    &refusal,
                    shape,
                    self.sent.saturating_add(farewell.len()),
                );
                Phase::Failing(farewell)
            }
        };
    }
}

impl MessageBody for EarlyBody {
    type Error = Cut;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        loop {
            match &mut self.phase {
                Phase::Waiting(running) => match running.as_mut().poll(cx) {
                    Poll::Ready((exchange, answer)) => self.answered(exchange, answer),
                    Poll::Pending => {
                        if self.timer.as_mut().poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                        let next = tokio::time::Instant::now() + self.every;
                        self.timer.as_mut().reset(next);
                        let comment = keep_alive(self.dialect, self.framing, false);
                        self.sent += u64::try_from(comment.len()).unwrap_or(0);
                        return Poll::Ready(Some(Ok(comment)));
                    }
                },
                Phase::Streaming(body) => return Pin::new(&mut **body).poll_next(cx),
                Phase::Failing(farewell) => {
                    let piece = ready!(farewell.poll_piece(cx));
                    if piece.is_none() {
                        self.phase = Phase::Done;
                    }
                    return Poll::Ready(Some(piece.ok_or(Cut)));
                }
                Phase::Done => return Poll::Ready(None),
            }
        }
    }
}
