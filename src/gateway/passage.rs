//! How an upstream's stream becomes the client's: handed on byte for byte with a tap beside it, or
//! translated event by event.

use bytes::Bytes;
use ninerouter_dialect::ir::Failure;
use ninerouter_dialect::translate::{Note, StreamTranslator};
use ninerouter_dialect::{
    ApiError, Dialect, Framing, StreamEnd, StreamError, StreamPosition, StreamTap, TapSummary,
    keep_alive, stream_error_at,
};

use crate::gateway::exchange::Ask;

/// The way of one stream to the client.
#[derive(Debug)]
pub(super) enum Passage {
    /// Byte for byte.
    Verbatim(Box<StreamTap>),
    /// Into the client's dialect.
    Translated(Box<StreamTranslator>),
    /// The upstream answered whole; the stream made of that is there already.
    Whole(Box<TapSummary>),
}

impl Passage {
    /// Takes a chunk of the upstream's bytes and puts what goes to the client into `out`.
    ///
    /// # Errors
    /// Why the answer broke off. A translated stream says so of the upstream's own error too; one that is
    /// handed on has it in [`Passage::error`], since the client has the event already.
    pub(super) fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), Failure> {
        match self {
            Self::Verbatim(tap) => tap.push(chunk, out).map_err(Failure::from),
            Self::Translated(translator) => translator.push(&chunk, out),
            Self::Whole(_) => Ok(()),
        }
    }

    /// The upstream ended its stream cleanly; `out` gets what was still held back.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        match self {
            Self::Verbatim(tap) => tap.finish(out),
            Self::Translated(translator) => translator.finish(out),
            Self::Whole(_) => StreamEnd::Complete,
        }
    }

    /// Whether meaningful content was seen: the commit point (translation §4.8).
    pub(super) fn content_seen(&self) -> bool {
        match self {
            Self::Verbatim(tap) => tap.content_seen(),
            Self::Translated(translator) => translator.content_seen(),
            Self::Whole(_) => true,
        }
    }

    /// Content events so far, for the content-idle timer.
    pub(super) fn content_count(&self) -> u64 {
        match self {
            Self::Verbatim(tap) => tap.content_count(),
            Self::Translated(translator) => translator.content_count(),
            Self::Whole(_) => 1,
        }
    }

    /// Whether the upstream said that the answer is over.
    pub(super) fn terminal_seen(&self) -> bool {
        match self {
            Self::Verbatim(tap) => tap.terminal_seen(),
            Self::Translated(translator) => translator.terminal_seen(),
            Self::Whole(_) => true,
        }
    }

    /// Whether its last event has come. A finish reason alone is none.
    pub(super) fn nothing_follows(&self) -> bool {
        match self {
            Self::Verbatim(tap) => tap.nothing_follows(),
            Self::Translated(translator) => translator.nothing_follows(),
            Self::Whole(_) => true,
        }
    }

    /// The error that the upstream reported inside the stream.
    pub(super) fn error(&self) -> Option<&StreamError> {
        match self {
            Self::Verbatim(tap) => tap.error(),
            Self::Translated(translator) => match translator.failure()? {
                Failure::Upstream(error) => Some(error),
                _ => None,
            },
            Self::Whole(_) => None,
        }
    }

    /// Why a translated answer broke off. Its client has not been told yet.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Verbatim(_) | Self::Whole(_) => None,
            Self::Translated(translator) => translator.failure(),
        }
    }

    /// What was learnt so far.
    pub(super) fn summary(&self) -> &TapSummary {
        match self {
            Self::Verbatim(tap) => tap.summary(),
            Self::Translated(translator) => translator.summary(),
            Self::Whole(summary) => summary,
        }
    }

    /// What is to be remembered of the reasoning since the last time (translation §2.7).
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        match self {
            Self::Verbatim(_) | Self::Whole(_) => Vec::new(),
            Self::Translated(translator) => translator.take_notes(),
        }
    }

    /// Whether the upstream pinged since the last time, of which the client has heard nothing.
    pub(super) fn take_ping(&mut self) -> bool {
        match self {
            Self::Verbatim(_) | Self::Whole(_) => false,
            Self::Translated(translator) => translator.take_ping(),
        }
    }

    /// Bytes that keep a silent stream alive; `None` in the middle of an event, where nothing fits.
    pub(super) fn keep_alive(&self, ask: &Ask) -> Option<Bytes> {
        match self {
            Self::Verbatim(tap) => tap
                .at_boundary()
                .then(|| keep_alive(ask.dialect, ask.framing, tap.message_started())),
            Self::Translated(translator) => Some(translator.keep_alive()),
            Self::Whole(_) => None,
        }
    }

    /// The events that tell a client in the middle of a stream that it broke.
    pub(super) fn error_event(
        &mut self,
        dialect: Dialect,
        framing: Framing,
        error: &ApiError,
        out: &mut Vec<Bytes>,
    ) {
        match self {
            Self::Verbatim(tap) => {
                out.push(stream_error_at(dialect, framing, error, &tap.position()));
            }
            Self::Translated(translator) => translator.fail(error, out),
            Self::Whole(_) => {
                out.push(stream_error_at(dialect, framing, error, &StreamPosition::default()));
            }
        }
    }
}
