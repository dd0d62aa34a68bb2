//! Lets events through whole and verbatim, except for the usage-only chunk that the router asked for (T009).
//!
//! Half an event is of no use to a client, and does harm when the upstream breaks off in it: whatever
//! follows is read as its other half, and clients that would repeat the request after an error give up
//! over JSON that does not parse.

use bytes::Bytes;

/// An unfinished event larger than this is let go in pieces: memory is worth more.
const HOLD_LIMIT: usize = 64 * 1024;

/// The filter. It hands out slices of the chunks, without a copy.
#[derive(Debug, Default)]
pub(super) struct EventFilter {
    /// The unfinished event, as slices of earlier chunks.
    held: Vec<Bytes>,
    held_len: usize,
    /// Part of the unfinished event has gone out already.
    released: bool,
    /// The last hidden event ended in a CR: an LF that follows is hidden too.
    hidden_cr: bool,
    /// In the current chunk: bytes before this went out or were hidden.
    emit_from: usize,
    /// In the current chunk: where the current event starts.
    event_start: usize,
}

impl EventFilter {
    /// Whether part of the unfinished event has gone out: nothing else fits in then.
    pub(super) fn is_inside(&self) -> bool {
        self.released
    }

    /// Starts a chunk. `after_cr`: an LF in front belongs to the event before.
    pub(super) fn begin(&mut self, chunk: &[u8], after_cr: bool) {
        let skip = usize::from(after_cr && chunk.starts_with(b"\n"));
        self.event_start = skip;
        self.emit_from = if std::mem::take(&mut self.hidden_cr) { skip } else { 0 };
    }

    /// An event ended at `end`.
    pub(super) fn event(&mut self, chunk: &Bytes, end: usize, hide: bool, out: &mut Vec<Bytes>) {
        if hide && !self.released {
            self.held.clear();
            self.emit(chunk, self.event_start, out);
            self.emit_from = end;
            self.hidden_cr = end == chunk.len() && chunk.last() == Some(&b'\r');
        } else {
            out.append(&mut self.held);
        }
        self.held_len = 0;
        self.released = false;
        self.event_start = end;
    }

    /// Ends a chunk: whole events go out, an unfinished one stays.
    pub(super) fn end_chunk(&mut self, chunk: &Bytes, out: &mut Vec<Bytes>) {
        self.emit(chunk, self.event_start, out);
        let rest = chunk.slice(self.event_start.min(chunk.len())..);
        if rest.is_empty() {
            return;
        }
        if self.released {
            out.push(rest);
            return;
        }
        self.held_len = self.held_len.saturating_add(rest.len());
        self.held.push(rest);
        if self.held_len > HOLD_LIMIT {
            out.append(&mut self.held);
            self.released = true;
        }
    }

    /// Lets go of what is held.
    pub(super) fn flush(&mut self, out: &mut Vec<Bytes>) {
        out.append(&mut self.held);
        self.held_len = 0;
    }

    fn emit(&mut self, chunk: &Bytes, to: usize, out: &mut Vec<Bytes>) {
        let to = to.min(chunk.len());
        if self.emit_from < to {
            out.push(chunk.slice(self.emit_from..to));
        }
        self.emit_from = to;
    }
}
