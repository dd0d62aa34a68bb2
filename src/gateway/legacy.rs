//! Legacy `/v1/completions`: a chat stream rewritten into text-completion chunks at the edge.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use ninerouter_dialect::CompletionStream;

/// Body that rewrites the chat stream of another body.
#[derive(Debug)]
pub struct LegacyBody<B> {
    inner: B,
    rewrite: CompletionStream,
}

impl<B> LegacyBody<B> {
    /// Rewrites `inner`.
    #[must_use]
    pub fn new(inner: B) -> Self {
        Self { inner, rewrite: CompletionStream::new() }
    }
}

impl<B: MessageBody + Unpin> MessageBody for LegacyBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        loop {
            let chunk = match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(Ok(chunk)) => chunk,
                other => return Poll::Ready(other),
            };
            // A chunk may hold no whole event: then there is nothing to send yet.
            let out = self.rewrite.push(&chunk);
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(out)));
            }
        }
    }
}
