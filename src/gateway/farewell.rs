//! The last pieces of a broken stream, with pauses in which they leave, before the connection is cut
//! (security §26).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use ninerouter_dialect::{ApiError, Dialect, Framing, bare_error};
use tokio::time::{Instant, Sleep, sleep};

/// Between pieces that must reach the client as reads of their own: JavaScript's fetch joins what lies
/// ready, and throws away what it has not read yet when the connection ends.
const APART: Duration = Duration::from_millis(250);

/// What is still to be sent. When it is through, the connection is to be cut.
#[derive(Debug)]
pub(super) struct Farewell {
    pieces: VecDeque<Bytes>,
    pause: Pause,
    /// The pause after what went out last has begun.
    pausing: bool,
}

#[derive(Debug)]
enum Pause {
    /// One turn of the worker, so that what was written is flushed.
    Turn,
    /// Long enough that the pieces go apart.
    Time(Pin<Box<Sleep>>),
}

impl Farewell {
    /// These pieces and nothing of our own; none at all when the client has the upstream's own words.
    pub(super) fn of(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self { pieces: pieces.into_iter().collect(), pause: Pause::Turn, pausing: false }
    }

    /// The error events, and the error in whatever other form the dialect's clients need it.
    pub(super) fn new(
        dialect: Dialect,
        framing: Framing,
        events: impl IntoIterator<Item = Bytes>,
        error: &ApiError,
    ) -> Self {
        let bare = bare_error(dialect, framing, error);
        let pause = match bare {
            Some(_) => Pause::Time(Box::pin(sleep(APART))),
            None => Pause::Turn,
        };
        Self { pieces: events.into_iter().chain(bare).collect(), pause, pausing: false }
    }

    /// Bytes that are still to go out.
    pub(super) fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::try_from(piece.len()).unwrap_or(0)).sum()
    }

    /// The next piece, after a pause; `None` when it is time to cut.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let begins = !std::mem::replace(&mut self.pausing, true);
        match &mut self.pause {
            Pause::Turn if begins => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Pause::Turn => {}
            Pause::Time(timer) => {
                if begins {
                    timer.as_mut().reset(Instant::now() + APART);
                }
                ready!(timer.as_mut().poll(cx));
            }
        }
        self.pausing = false;
        Poll::Ready(self.pieces.pop_front())
    }
}
