//! The request body on its way out: known length, slices of the one received buffer.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;

/// Handed over at a time: the library copies each piece into its write buffer, which must not grow
/// to the size of the body.
const PIECE: usize = 64 * 1024;

/// A body that can be sent more than once, and how far it got.
pub(super) struct Sending {
    parts: Vec<Bytes>,
    len: u64,
    pieces: Cell<u64>,
    done: Cell<bool>,
}

impl Sending {
    pub(super) fn new(parts: Vec<Bytes>, len: u64) -> Self {
        Self { parts, len, pieces: Cell::new(0), done: Cell::new(len == 0) }
    }

    /// Rises with every piece taken.
    pub(super) fn pieces(&self) -> u64 {
        self.pieces.get()
    }

    /// Everything was taken.
    pub(super) fn is_done(&self) -> bool {
        self.done.get()
    }
}

/// One pass over a [`Sending`].
pub(super) struct RequestBody {
    sending: Rc<Sending>,
    part: usize,
    offset: usize,
}

impl RequestBody {
    pub(super) fn new(sending: Rc<Sending>) -> Self {
        sending.done.set(sending.len == 0);
        Self { sending, part: 0, offset: 0 }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        loop {
            let part = self.sending.parts.get(self.part)?;
            if self.offset < part.len() {
                let end = self.offset.saturating_add(PIECE).min(part.len());
                let piece = part.slice(self.offset..end);
                self.offset = end;
                return Some(piece);
            }
            self.part = self.part.saturating_add(1);
            self.offset = 0;
        }
    }
}

impl MessageBody for RequestBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.sending.len)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let piece = self.next_piece();
        self.sending.pieces.set(self.sending.pieces.get().saturating_add(1));
        if piece.is_none() {
            self.sending.done.set(true);
        }
        Poll::Ready(piece.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_small_slices_of_the_parts_in_order() {
        let big = Bytes::from(vec![7; PIECE * 2 + 1]);
        let parts = vec![Bytes::from_static(b"a"), Bytes::new(), big.clone()];
        let sending = Rc::new(Sending::new(parts, 2 + 2 * 65_536));
        let mut body = RequestBody::new(Rc::clone(&sending));
        let pieces: Vec<Bytes> = std::iter::from_fn(|| body.next_piece()).collect();
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [1, PIECE, PIECE, 1]);
        assert_eq!(pieces[1].as_ptr(), big.as_ptr(), "no copy is made");
    }
}
