//! The last step of an answer whose client does not speak chat: its stream is rewritten chunk by chunk.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use ninerouter_dialect::CompletionStream;

use crate::gateway::stream::Cut;

/// Largest event (security §10).
pub(super) const EVENT: usize = 16 * 1024 * 1024;

/// Rewrites a chat stream.
pub(super) trait Rewrite {
    /// Takes a chunk and puts what goes to the client into `out`; a chunk may hold nothing to send yet.
    ///
    /// # Errors
    /// When the stream cannot be rewritten any further.
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Cut>;

    /// The stream ended; `out` gets what was still held back.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// Legacy `/v1/completions`: text-completion chunks.
impl Rewrite for CompletionStream {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Cut> {
        Self::push(self, chunk, out).map_err(|_fault| Cut)
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        Self::finish(self, out);
    }
}

/// Body that rewrites the chat stream of another body.
pub(super) struct Rewritten<B, R> {
    inner: B,
    rewrite: R,
    ended: bool,
}

impl<B, R> fmt::Debug for Rewritten<B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewritten").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<B, R> Rewritten<B, R> {
    /// Rewrites `inner`.
    pub(super) fn new(inner: B, rewrite: R) -> Self {
        Self { inner, rewrite, ended: false }
    }
}

impl<B, R> MessageBody for Rewritten<B, R>
where
    B: MessageBody<Error = Cut> + Unpin,
    R: Rewrite + Unpin,
{
    type Error = Cut;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        let mut out = Vec::new();
        while !this.ended && out.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_next(cx)) {
                Some(Ok(chunk)) => {
                    if let Err(cut) = this.rewrite.push(&chunk, &mut out) {
                        return Poll::Ready(Some(Err(cut)));
                    }
                }
                Some(Err(cut)) => return Poll::Ready(Some(Err(cut))),
                None => {
                    this.ended = true;
                    this.rewrite.finish(&mut out);
                }
            }
        }
        if out.is_empty() { Poll::Ready(None) } else { Poll::Ready(Some(Ok(Bytes::from(out)))) }
    }
}
