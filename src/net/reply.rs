//! An upstream's answer: status, headers, and a body that is checked, decoded and bounded.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_http::header::{self, HeaderMap};
use actix_http::{Payload, ResponseHead, StatusCode, Version};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use super::decode::{Coding, DecodeError, Inflater};
use super::error::{Garbage, NetError};
use super::exchange::{Answered, is_broken};
use super::io::Wire;

/// First buffer of a collected body: what a head declares is not believed beyond this.
const FIRST_BUFFER: usize = 256 * 1024;

/// An answer. Its `Debug` does not show the headers, which may set cookies.
pub struct Reply {
    /// Final status, 200 to 599.
    pub status: u16,
    /// Headers. `content-length` and `content-encoding` are gone when the body is being decoded.
    pub headers: HeaderMap,
    /// The body.
    pub body: ReplyBody,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Reply {
    pub(super) fn new(answered: Answered, asks_head: bool) -> Result<Self, NetError> {
        let Answered { mut head, payload, wire } = answered;
        let status = head.status.as_u16();
        if !(200..=599).contains(&status) {
            // REL-UP-2: the library takes an interim answer for the final one; the real one is still to
            // come on this connection and must not answer somebody else.
            poison(wire.as_deref());
            return Err(NetError::Protocol(Garbage::Status(status)));
        }
        let framing = Framing::of(&head, asks_head);
        let tainted = framing.taints || wire.as_ref().is_some_and(|wire| wire.write_failed());
        let coding = match Coding::of(content_encoding(&head.headers)) {
            Ok(coding) if framing.may_have_body => coding,
            Ok(_) => None,
            Err(error) if framing.may_have_body => return Err(NetError::BadEncoding(error)),
            Err(_) => None,
        };
        let mut headers = std::mem::replace(&mut head.headers, HeaderMap::new());
        if coding.is_some() {
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_LENGTH);
        }
        let body = ReplyBody {
            raw: Raw {
                payload,
                wire,
                declared: framing.declared,
                received: 0,
                tainted,
                ended: false,
            },
            decoding: coding.map(|coding| Box::new(Decoding::new(coding))),
            watcher: None,
        };
        Ok(Self { status, headers, body: body.settle() })
    }
}

fn poison(wire: Option<&Wire>) {
    if let Some(wire) = wire {
        wire.poison();
    }
}

fn content_encoding(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"))
}

/// How the end of a body is found.
struct Framing {
    declared: Option<u64>,
    may_have_body: bool,
    /// The connection cannot be trusted with another request.
    taints: bool,
}

impl Framing {
    fn of(head: &ResponseHead, asks_head: bool) -> Self {
        let bodiless =
            asks_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = head.headers.get(header::CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|v| v.to_str().ok()?.trim().parse().ok());
        if head.version == Version::HTTP_2 {
            return Self { declared: length, may_have_body: !bodiless, taints: false };
        }
        let chunked = head.version == Version::HTTP_11
            && head.headers.get(header::TRANSFER_ENCODING).is_some();
        // F14, both lengths: read as chunked, then closed. Neither length: the library shows an empty
        // body, while the real one may follow on the wire (REL-UP-2).
        let taints = match (length, chunked) {
            (Some(_), true) => true,
            (None, false) => !bodiless,
            (Some(_), false) | (None, true) => false,
        };
        let declared = if bodiless { Some(0) } else { length.filter(|_| !chunked) };
        Self { declared, may_have_body: !bodiless, taints }
    }
}

/// The body as it comes: a stream of decoded pieces. Dropping it before the end closes the connection;
/// polling it to the end gives the connection back to the pool.
pub struct ReplyBody {
    raw: Raw,
    decoding: Option<Box<Decoding>>,
    watcher: Option<Watcher>,
}

/// Sees each piece of a body as it is read, decoded.
pub type Watcher = Box<dyn FnMut(&Bytes)>;

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyBody").field("received", &self.raw.received).finish_non_exhaustive()
    }
}

impl ReplyBody {
    /// An answer without a body is over at once.
    fn settle(mut self) -> Self {
        if matches!(self.raw.payload, Payload::None) {
            self.raw.finish();
        }
        self
    }

    /// Has `watcher` see what is read from now on.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// Length the upstream declared, before decoding.
    #[must_use]
    pub fn declared_len(&self) -> Option<u64> {
        self.raw.declared
    }

    /// Bytes received so far, before decoding.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.raw.received
    }

    /// True when the body ended because the connection did: a chunked body without its last chunk, or a
    /// body that only the close delimits. The dialect decides whether that is an end (REL-UP-1).
    #[must_use]
    pub fn ended_by_close(&self) -> bool {
        self.raw.ended && self.raw.wire.as_ref().is_some_and(|wire| wire.ended())
    }

    /// The whole body.
    ///
    /// # Errors
    /// What the stream yields; more than `cap` bytes; no byte for `idle`.
    pub async fn collect(mut self, cap: usize, idle: Duration) -> Result<Bytes, NetError> {
        let expected = self.raw.declared.filter(|_| self.decoding.is_none());
        let expected = expected.and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        if expected > cap {
            return Err(NetError::BodyTooLarge(cap));
        }
        let mut whole = Bytes::new();
        let mut joined: Option<BytesMut> = None;
        loop {
            let next = std::future::poll_fn(|cx| Pin::new(&mut self).poll_next(cx));
            let piece = match tokio::time::timeout(idle, next).await {
                Ok(Some(piece)) => piece?,
                Ok(None) => break,
                Err(_elapsed) => return Err(NetError::Idle),
            };
            let have = joined.as_ref().map_or(whole.len(), BytesMut::len);
            if have.saturating_add(piece.len()) > cap {
                return Err(NetError::BodyTooLarge(cap));
            }
            match &mut joined {
                Some(joined) => joined.extend_from_slice(&piece),
                None if whole.is_empty() => whole = piece,
                None => {
                    let room =
                        expected.clamp(have.saturating_add(piece.len()), FIRST_BUFFER.max(have));
                    let mut both = BytesMut::with_capacity(room);
                    both.extend_from_slice(&whole);
                    both.extend_from_slice(&piece);
                    joined = Some(both);
                }
            }
        }
        Ok(joined.map_or(whole, BytesMut::freeze))
    }
}

impl Stream for ReplyBody {
    type Item = Result<Bytes, NetError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = match &mut this.decoding {
            None => ready!(this.raw.poll_next(cx)),
            Some(decoding) => ready!(decoding.poll_next(&mut this.raw, cx)),
        };
        if let (Some(watcher), Some(Ok(piece))) = (&mut this.watcher, &next) {
            watcher(piece);
        }
        Poll::Ready(next)
    }
}

/// The body as it is on the wire.
struct Raw {
    payload: Payload,
    wire: Option<Rc<Wire>>,
    declared: Option<u64>,
    received: u64,
    /// After this body the connection must not be lent again.
    tainted: bool,
    ended: bool,
}

impl Raw {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, NetError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut self.payload).poll_next(cx)) {
            Some(Ok(piece)) => {
                let len = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                self.received = self.received.saturating_add(len);
                if self.declared == Some(self.received) {
                    self.poll_end(cx);
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(error)) => {
                self.ended = true;
                Poll::Ready(Some(Err(self.body_error(&error))))
            }
            None => {
                self.finish();
                match self.declared {
                    // REL-UP-1: the library calls a short body a clean end.
                    Some(declared) if self.received < declared => {
                        Poll::Ready(Some(Err(NetError::Truncated)))
                    }
                    Some(_) | None => Poll::Ready(None),
                }
            }
        }
    }

    /// All declared bytes are here: let the library see the end, so that the connection is free again
    /// although a caller who counts himself may not ask once more.
    fn poll_end(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(None) = Pin::new(&mut self.payload).poll_next(cx) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.ended = true;
        self.payload = Payload::None;
        let Some(wire) = &self.wire else { return };
        // F12: bytes beyond the declared end belong to nobody.
        let surplus = self.declared.map_or(0, |declared| wire.surplus(declared));
        // Not earlier: the body is read through the same socket. Not later: the pool has it now.
        if self.tainted || surplus > 0 {
            wire.poison();
        }
    }

    fn body_error(&self, error: &PayloadError) -> NetError {
        let closed = self.wire.as_ref().is_some_and(|wire| wire.ended());
        match error {
            PayloadError::Incomplete(None) => NetError::Truncated,
            PayloadError::Incomplete(Some(error)) | PayloadError::Io(error) => match error.kind() {
                std::io::ErrorKind::UnexpectedEof => NetError::Truncated,
                _ if is_broken(error) => NetError::Reset { pooled: false },
                // An end in the middle of a chunk's size line.
                _ if closed => NetError::Truncated,
                _ => NetError::Protocol(Garbage::Body),
            },
            PayloadError::Http2Payload(error) if error.is_io() || error.is_go_away() => {
                NetError::Reset { pooled: false }
            }
            _ => NetError::Protocol(Garbage::Body),
        }
    }
}

/// A coded body, decoded window by window (REL-UP-3).
struct Decoding {
    inflater: Inflater,
    input: Bytes,
    /// The coding may still hold output of input it has taken.
    holds: bool,
    ended: bool,
}

impl Decoding {
    fn new(coding: Coding) -> Self {
        Self { inflater: Inflater::new(coding), input: Bytes::new(), holds: false, ended: false }
    }

    fn poll_next(
        &mut self,
        raw: &mut Raw,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetError>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if !self.input.is_empty() || self.holds {
                match self.inflater.step(&mut self.input) {
                    Ok(out) => {
                        self.holds = !out.is_empty();
                        if !out.is_empty() {
                            return Poll::Ready(Some(Ok(out)));
                        }
                    }
                    Err(error) => return self.fail(NetError::BadEncoding(error)),
                }
                continue;
            }
            match ready!(raw.poll_next(cx)) {
                Some(Ok(piece)) => (self.input, self.holds) = (piece, true),
                Some(Err(error)) => return self.fail(error),
                None => {
                    self.ended = true;
                    return match self.inflater.finish() {
                        Ok(()) => Poll::Ready(None),
                        Err(DecodeError::Truncated) => Poll::Ready(Some(Err(NetError::Truncated))),
                        Err(error) => Poll::Ready(Some(Err(NetError::BadEncoding(error)))),
                    };
                }
            }
        }
    }

    fn fail(&mut self, error: NetError) -> Poll<Option<Result<Bytes, NetError>>> {
        self.ended = true;
        Poll::Ready(Some(Err(error)))
    }
}
