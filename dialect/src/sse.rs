//! Splits an event stream into events, linearly and without copying whole events (§4.1).

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use memchr::memchr2;

use crate::tap::TapFault;

/// A line that is no data may not grow further without its end (security §10).
const FIELD_LINE_LIMIT: usize = 1024 * 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// One event with at least one data line.
pub(crate) struct Frame<'a> {
    /// The data lines, joined by line feeds.
    pub(crate) data: Cow<'a, [u8]>,
    /// The event name, if one was given.
    pub(crate) name: Option<&'a [u8]>,
    /// A line that starts with `{` instead of a field name (NDJSON-like providers).
    pub(crate) bare: bool,
}

/// Receives each event, or the end of a block without data, and the offset in the chunk at which
/// it ended. Breaking off stops the scan.
pub(crate) type Sink<'s> = dyn FnMut(Option<Frame<'_>>, usize) -> ControlFlow<()> + 's;

/// The splitter. Its state is the unfinished event and nothing else; no byte is looked at twice.
#[derive(Debug)]
pub(crate) struct SseSplitter {
    /// The bytes of the event that began in an earlier chunk.
    pending: Vec<u8>,
    carrying: bool,
    /// Where the current line starts, counted from the start of the event.
    line_start: usize,
    /// The last byte was a CR: a following LF belongs to the same line end.
    last_cr: bool,
    saw_crlf: bool,
    first_line: bool,
    fields: bool,
    anything: bool,
    /// The last data line's value, counted from the start of the event.
    data: Range<usize>,
    data_lines: u32,
    name: Option<Range<usize>>,
    max_event: usize,
}

enum Line {
    Blank,
    Comment,
    /// Offset of the value.
    Data(usize),
    /// Offset of the value.
    Name(usize),
    /// Offset of the brace.
    Bare(usize),
    Other,
}

impl SseSplitter {
    pub(crate) fn new(max_event: usize) -> Self {
        Self {
            pending: Vec::new(),
            carrying: false,
            line_start: 0,
            last_cr: false,
            saw_crlf: false,
            first_line: true,
            fields: false,
            anything: false,
            data: 0..0,
            data_lines: 0,
            name: None,
            max_event,
        }
    }

    /// Whether the bytes so far end between two events. After a lone CR in a stream of CRLFs the
    /// LF is still to come.
    pub(crate) fn at_boundary(&self) -> bool {
        !self.fields && self.pending.len() == self.line_start && !(self.last_cr && self.saw_crlf)
    }

    /// Whether the next byte, if it is an LF, completes the end of the event before.
    pub(crate) fn awaits_line_feed(&self) -> bool {
        self.last_cr && !self.carrying
    }

    /// Whether anything but comments and blank lines was seen.
    pub(crate) fn saw_anything_but_comments(&self) -> bool {
        self.anything
    }

    /// Scans a chunk; returns how much of it was consumed.
    pub(crate) fn push(&mut self, chunk: &[u8], sink: &mut Sink<'_>) -> Result<usize, TapFault> {
        let Some(&first) = chunk.first() else { return Ok(0) };
        // Where the bytes of the current event start in this chunk.
        let mut start = 0;
        if std::mem::take(&mut self.last_cr) && first == b'\n' {
            self.saw_crlf = true;
            start = 1;
            if self.carrying {
                self.pending.push(b'\n');
                self.line_start = self.pending.len();
            }
        }
        let mut scan = start;
        while let Some(offset) = memchr2(b'\n', b'\r', chunk.get(scan..).unwrap_or_default()) {
            let at = scan.saturating_add(offset);
            let next = self.line_end(chunk, at);
            scan = next;
            let flow = self.line(chunk, &mut start, at, next, sink)?;
            if flow.is_break() {
                return Ok(next);
            }
        }
        self.carry(chunk.get(start..).unwrap_or_default())?;
        Ok(chunk.len())
    }

    /// Ends the stream: an unterminated event is dispatched as it stands.
    pub(crate) fn finish(&mut self, sink: &mut Sink<'_>) {
        if !self.carrying {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let line = pending.get(self.line_start..).unwrap_or_default();
        let kind = classify(line, self.first_line);
        match kind {
            Line::Bare(at) if self.data_lines == 0 => {
                let data = Cow::Borrowed(line.get(at..).unwrap_or_default());
                let _ = sink(Some(Frame { data, name: None, bare: true }), 0);
            }
            kind => {
                self.note(&kind, line.len());
                let _ = sink(self.frame(&pending), 0);
            }
        }
        self.reset();
    }

    /// The offset behind the line end at `at`.
    fn line_end(&mut self, chunk: &[u8], at: usize) -> usize {
        let next = at.saturating_add(1);
        if chunk.get(at) != Some(&b'\r') {
            return next;
        }
        match chunk.get(next) {
            Some(b'\n') => {
                self.saw_crlf = true;
                next.saturating_add(1)
            }
            Some(_) => next,
            None => {
                self.last_cr = true;
                next
            }
        }
    }

    /// Handles the line that ends at `at` (its end included: `next`).
    fn line(
        &mut self,
        chunk: &[u8],
        start: &mut usize,
        at: usize,
        next: usize,
        sink: &mut Sink<'_>,
    ) -> Result<ControlFlow<()>, TapFault> {
        if self.carrying {
            self.pending.extend_from_slice(chunk.get(*start..next).unwrap_or_default());
            *start = next;
        }
        // Taken out and put back, so that a frame may borrow it while the state changes.
        let pending = std::mem::take(&mut self.pending);
        let event =
            if self.carrying { &pending } else { chunk.get(*start..next).unwrap_or_default() };
        if event.len() > self.max_event {
            return Err(TapFault::EventTooLarge { limit: self.max_event });
        }
        let end = event.len().saturating_sub(next.saturating_sub(at));
        let line = event.get(self.line_start..end).unwrap_or_default();
        let kind = classify(line, self.first_line);
        self.first_line = false;
        let (flow, ended) = match kind {
            Line::Blank => (sink(self.frame(event), next), true),
            Line::Bare(at) if self.data_lines == 0 => {
                self.anything = true;
                let data = Cow::Borrowed(line.get(at..).unwrap_or_default());
                (sink(Some(Frame { data, name: None, bare: true }), next), true)
            }
            kind => {
                self.note(&kind, line.len());
                self.line_start = event.len();
                (ControlFlow::Continue(()), false)
            }
        };
        self.pending = pending;
        if ended {
            *start = next;
            self.reset();
        }
        Ok(flow)
    }

    fn note(&mut self, kind: &Line, len: usize) {
        let value =
            |at: usize| self.line_start.saturating_add(at)..self.line_start.saturating_add(len);
        match kind {
            Line::Blank | Line::Comment => return,
            Line::Data(at) => {
                self.data = value(*at);
                self.data_lines = self.data_lines.saturating_add(1);
            }
            Line::Name(at) => self.name = Some(value(*at)),
            Line::Bare(_) | Line::Other => {}
        }
        self.fields = true;
        self.anything = true;
    }

    fn frame<'e>(&self, event: &'e [u8]) -> Option<Frame<'e>> {
        let data = match self.data_lines {
            0 => return None,
            1 => Cow::Borrowed(event.get(self.data.clone()).unwrap_or_default()),
            _ => Cow::Owned(join_data(event)),
        };
        let name = self.name.clone().and_then(|range| event.get(range));
        Some(Frame { data, name, bare: false })
    }

    fn reset(&mut self) {
        // One huge event must not pin its buffer for the rest of the stream.
        if self.pending.capacity() > FIELD_LINE_LIMIT {
            self.pending = Vec::new();
        }
        self.pending.clear();
        self.carrying = false;
        self.line_start = 0;
        self.fields = false;
        self.data_lines = 0;
        self.name = None;
    }

    /// Keeps what a chunk holds of an unfinished event.
    fn carry(&mut self, rest: &[u8]) -> Result<(), TapFault> {
        if rest.is_empty() {
            return Ok(());
        }
        self.pending.extend_from_slice(rest);
        self.carrying = true;
        if self.pending.len() > self.max_event {
            return Err(TapFault::EventTooLarge { limit: self.max_event });
        }
        let line = self.pending.get(self.line_start..).unwrap_or_default();
        self.anything |= !line.is_empty() && !line.starts_with(b":");
        let is_data = [b"data".as_slice(), b"{", b"["].iter().any(|p| line.starts_with(p));
        if line.len() > FIELD_LINE_LIMIT && !is_data {
            return Err(TapFault::LineTooLong { limit: FIELD_LINE_LIMIT });
        }
        Ok(())
    }
}

fn classify(line: &[u8], first: bool) -> Line {
    let bom = if first && line.starts_with(BOM) { BOM.len() } else { 0 };
    let line = line.get(bom..).unwrap_or_default();
    match line.first() {
        None => return Line::Blank,
        Some(b':') => return Line::Comment,
        Some(b'{') => return Line::Bare(bom),
        Some(_) => {}
    }
    let value_at = |name: &[u8]| -> Option<usize> {
        let rest = line.strip_prefix(name)?;
        let skip = match rest {
            [] => 0,
            [b':', b' ', ..] => 2,
            [b':', ..] => 1,
            _ => return None,
        };
        Some(bom.saturating_add(name.len()).saturating_add(skip))
    };
    if let Some(at) = value_at(b"data") {
        Line::Data(at)
    } else if let Some(at) = value_at(b"event") {
        Line::Name(at)
    } else {
        Line::Other
    }
}

/// Joins the data lines of an event; rare, so it may look at the event once more.
fn join_data(event: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.len());
    let mut rest = event;
    let mut first = true;
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        if let Line::Data(at) = classify(line, true) {
            if !first {
                out.push(b'\n');
            }
            first = false;
            out.extend_from_slice(line.get(at..).unwrap_or_default());
        }
        rest = rest.get(end.saturating_add(1)..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Seen = Vec<(Option<String>, String)>;

    fn split(chunks: &[&[u8]]) -> Seen {
        let mut splitter = SseSplitter::new(1 << 20);
        let mut seen = Vec::new();
        let mut sink = |frame: Option<Frame<'_>>, _: usize| {
            if let Some(frame) = frame {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                seen.push((frame.name.map(text), text(&frame.data)));
            }
            ControlFlow::Continue(())
        };
        for chunk in chunks {
            splitter.push(chunk, &mut sink).unwrap();
        }
        splitter.finish(&mut sink);
        seen
    }

    fn bytewise(bytes: &[u8]) -> Vec<&[u8]> {
        bytes.chunks(1).collect()
    }

    #[test]
    fn t130_spellings_of_the_same_events_are_equal() {
        let want: Seen = vec![
            (Some("x".into()), r#"{"a":1}"#.into()),
            (None, "l1\nl2".into()),
            (None, String::new()),
        ];
        for text in [
            "event: x\ndata: {\"a\":1}\n\ndata: l1\ndata: l2\n\ndata\n\n",
            "event:x\r\ndata:{\"a\":1}\r\n\r\ndata:l1\r\ndata:l2\r\n\r\ndata:\r\n\r\n",
            "event: x\rdata: {\"a\":1}\r\rdata: l1\rdata: l2\r\rdata\r\r",
            "\u{feff}event: x\n: c\nid: 7\ndata: {\"a\":1}\n\n: c\n\n\ndata: l1\nretry: 1\ndata: l2\n\ndata:",
            "event: x\r\ndata: {\"a\":1}\n\rdata: l1\r\ndata: l2\r\rdata\n\n",
        ] {
            assert_eq!(split(&[text.as_bytes()]), want, "{text:?}");
            assert_eq!(split(&bytewise(text.as_bytes())), want, "bytewise {text:?}");
        }
    }

    #[test]
    fn only_one_space_after_the_colon_goes() {
        assert_eq!(split(&[b"data:  x\n\n"]), vec![(None, " x".into())]);
        assert_eq!(split(&[b"datax: y\n\nevent: only\n\n"]), vec![]);
    }

    #[test]
    fn t132_last_event_needs_no_blank_line() {
        for text in ["data: x", "data: x\n", "data: x\r", "data: x\r\n"] {
            assert_eq!(split(&[text.as_bytes()]), vec![(None, "x".into())], "{text:?}");
            assert_eq!(split(&bytewise(text.as_bytes())), vec![(None, "x".into())], "{text:?}");
        }
    }

    #[test]
    fn lines_that_start_with_a_brace_are_events_of_their_own() {
        let want: Seen = vec![(None, "{\"a\":1}".into()), (None, "{\"b\":2}".into())];
        assert_eq!(split(&[b"{\"a\":1}\n{\"b\":2}"]), want);
        assert_eq!(split(&bytewise(b"{\"a\":1}\n\n{\"b\":2}\n")), want);
    }

    #[test]
    fn boundary_is_between_events_only() {
        let mut splitter = SseSplitter::new(1 << 20);
        let mut sink = |_: Option<Frame<'_>>, _: usize| ControlFlow::Continue(());
        for (chunk, want) in [
            (&b": c\n"[..], true),
            (b"\n", true),
            (b"da", false),
            (b"ta: x\n", false),
            (b"\n", true),
            (b"data: x\r\n\r", false),
            (b"\n", true),
            (b"id: 1\n", false),
            (b"\n", true),
        ] {
            splitter.push(chunk, &mut sink).unwrap();
            assert_eq!(splitter.at_boundary(), want, "after {chunk:?}");
        }
    }

    #[test]
    fn f38_limits_hold_for_whole_and_for_dripping_events() {
        let mut sink = |_: Option<Frame<'_>>, _: usize| ControlFlow::Continue(());
        let long = [b"data: ".as_slice(), &[b'x'; 2000], b"\n\n"].concat();
        let fault = Err(TapFault::EventTooLarge { limit: 1000 });
        assert_eq!(SseSplitter::new(1000).push(&long, &mut sink), fault);
        let mut dripping = SseSplitter::new(1000);
        let results: Vec<_> = long.chunks(100).map(|c| dripping.push(c, &mut sink)).collect();
        assert!(results.contains(&fault));
        let mut named = SseSplitter::new(16 << 20);
        let line = vec![b'i'; FIELD_LINE_LIMIT + 1];
        let fault = Err(TapFault::LineTooLong { limit: FIELD_LINE_LIMIT });
        assert_eq!(named.push(&line, &mut sink), fault);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("data: é🙂x".to_owned()),
            Just("data:{\"a\":1}".to_owned()),
            Just("event: e".to_owned()),
            Just(": c".to_owned()),
            Just("data".to_owned()),
            Just("{\"n\":2}".to_owned()),
            Just("junk".to_owned()),
            Just("\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("\r".to_owned()),
            Just("\n\n".to_owned()),
            Just("\r\n\r\n".to_owned()),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn t129_any_chunking_gives_the_same_events(
            bytes in stream(),
            sizes in proptest::collection::vec(1_usize..7, 1..20),
        ) {
            let whole = split(&[&bytes]);
            prop_assert_eq!(&split(&bytewise(&bytes)), &whole);
            let mut chunks = Vec::new();
            let mut rest = bytes.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (head, tail) = rest.split_at((*size).min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            prop_assert_eq!(&split(&chunks), &whole);
        }
    }
}
