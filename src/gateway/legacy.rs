//! Legacy `/v1/completions`: a chat stream rewritten into text-completion chunks at the edge.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use ninerouter_dialect::CompletionStream;

use crate::gateway::stream::Cut;

/// Largest event (security §10).
const EVENT: usize = 16 * 1024 * 1024;

/// Body that rewrites the chat stream of another body.
#[derive(Debug)]
pub(super) struct LegacyBody<B> {
    inner: B,
    rewrite: CompletionStream,
    ended: bool,
}

impl<B> LegacyBody<B> {
    /// Rewrites `inner`.
    #[must_use]
    pub(super) fn new(inner: B) -> Self {
        Self { inner, rewrite: CompletionStream::new(EVENT), ended: false }
    }
}

impl<B: MessageBody<Error = Cut> + Unpin> MessageBody for LegacyBody<B> {
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
                // A chunk may hold no whole event: then there is nothing to send yet.
                Some(Ok(chunk)) => {
                    if this.rewrite.push(&chunk, &mut out).is_err() {
                        return Poll::Ready(Some(Err(Cut)));
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
