//! Cuts a streamed JSON array into its elements (Gemini without `alt=sse`, translation §4.1).

use memchr::{memchr2, memchr3};

use crate::tap::TapFault;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Start,
    Between,
    Value,
    String,
    Escape,
    End,
    /// Something that is no array of objects; nothing more is read.
    Lost,
}

/// The scanner. It looks at each byte once and holds the unfinished element only.
#[derive(Debug)]
pub(crate) struct ArrayScanner {
    state: State,
    depth: usize,
    opened: bool,
    pending: Vec<u8>,
    elements: u64,
    max_element: usize,
}

impl ArrayScanner {
    pub(crate) fn new(max_element: usize) -> Self {
        Self {
            state: State::Start,
            depth: 0,
            opened: false,
            pending: Vec::new(),
            elements: 0,
            max_element,
        }
    }

    /// Whether the bytes so far end outside an element.
    pub(crate) fn at_boundary(&self) -> bool {
        !matches!(self.state, State::Value | State::String | State::Escape)
    }

    /// Whether any byte of content was seen.
    pub(crate) fn started(&self) -> bool {
        self.opened || self.state != State::Start
    }

    /// Elements that ended so far.
    pub(crate) fn elements(&self) -> u64 {
        self.elements
    }

    /// Whether the array was closed, or was a bare object that ended.
    pub(crate) fn is_whole(&self) -> bool {
        match self.state {
            State::End => true,
            State::Between => !self.opened,
            State::Start | State::Value | State::String | State::Escape | State::Lost => false,
        }
    }

    /// Whether something came that is no array of objects.
    pub(crate) fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Scans a chunk and hands each element that ends in it to `sink`.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), TapFault> {
        let mut start = 0;
        let mut at = 0;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            let step = match self.state {
                State::Start | State::Between => {
                    let Some(step) = self.between(rest) else { return Ok(()) };
                    if self.state == State::Value {
                        start = at.saturating_add(step).saturating_sub(1);
                    }
                    step
                }
                State::Value | State::String | State::Escape => self.inside(rest),
                State::End | State::Lost => return Ok(()),
            };
            at = at.saturating_add(step);
            if self.state == State::Value && self.depth == 0 {
                self.element(chunk.get(start..at).unwrap_or_default(), sink)?;
            }
        }
        if !self.at_boundary() {
            self.pending.extend_from_slice(chunk.get(start..).unwrap_or_default());
            if self.pending.len() > self.max_element {
                return Err(TapFault::EventTooLarge { limit: self.max_element });
            }
        }
        Ok(())
    }

    /// Moves to the next element; `None` when the chunk has none.
    fn between(&mut self, rest: &[u8]) -> Option<usize> {
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
                0xef | 0xbb | 0xbf if self.state == State::Start => {}
                b'[' if self.state == State::Start => {
                    self.opened = true;
                    self.state = State::Between;
                }
                b'{' => {
                    self.state = State::Value;
                    self.depth = 1;
                    return Some(at.saturating_add(1));
                }
                b']' if self.opened => {
                    self.state = State::End;
                    return None;
                }
                _ => {
                    self.state = State::Lost;
                    return None;
                }
            }
        }
        None
    }

    /// Moves inside an element; square brackets balance within braces, so braces suffice.
    fn inside(&mut self, rest: &[u8]) -> usize {
        let found = match self.state {
            State::Escape => {
                self.state = State::String;
                return 1;
            }
            State::String => memchr2(b'"', b'\\', rest),
            State::Start | State::Between | State::Value | State::End | State::Lost => {
                memchr3(b'"', b'{', b'}', rest)
            }
        };
        let Some(at) = found else { return rest.len() };
        let in_string = self.state == State::String;
        match rest.get(at) {
            Some(b'\\') => self.state = State::Escape,
            Some(b'"') => self.state = if in_string { State::Value } else { State::String },
            Some(b'{') => self.depth = self.depth.saturating_add(1),
            _ => self.depth = self.depth.saturating_sub(1),
        }
        at.saturating_add(1)
    }

    fn element(&mut self, tail: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), TapFault> {
        self.state = State::Between;
        self.elements = self.elements.saturating_add(1);
        if self.pending.len().saturating_add(tail.len()) > self.max_element {
            return Err(TapFault::EventTooLarge { limit: self.max_element });
        }
        if self.pending.is_empty() {
            sink(tail);
        } else {
            let mut whole = std::mem::take(&mut self.pending);
            whole.extend_from_slice(tail);
            sink(&whole);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, ArrayScanner) {
        let mut scanner = ArrayScanner::new(1 << 20);
        let mut seen = Vec::new();
        for chunk in chunks {
            scanner
                .push(chunk, &mut |element| {
                    seen.push(String::from_utf8(element.to_vec()).unwrap());
                })
                .unwrap();
        }
        (seen, scanner)
    }

    #[test]
    fn elements_come_out_whole_however_they_are_cut() {
        for (text, want, whole) in [
            ("[{\"a\":\"}]\\\"{\"}\r\n,\r\n{\"b\":[{},{}]}]", 2, true),
            ("[{\"a\":1}", 1, false),
            ("[{\"a\":1},{\"b\"", 1, false),
            ("{\"a\":{\"b\":1}}", 1, true),
            (" [ ] ", 0, true),
            ("\u{feff}[{}]", 1, true),
            ("<html>", 0, false),
            ("[1,{}]", 0, false),
        ] {
            let (seen, scanner) = split(std::iter::once(text.as_bytes()));
            assert_eq!(seen.len(), want, "{text}");
            assert_eq!(scanner.is_whole(), whole, "{text}");
            let (bytewise, scanner) = split(text.as_bytes().chunks(1));
            assert_eq!(bytewise, seen, "{text}");
            assert_eq!(scanner.is_whole(), whole, "{text}");
        }
        let (seen, _) = split(std::iter::once(&b"[{\"a\":\"}\"},\n{\"b\":2}]"[..]));
        assert_eq!(seen, [r#"{"a":"}"}"#, r#"{"b":2}"#]);
    }

    #[test]
    fn elements_are_bounded() {
        let mut scanner = ArrayScanner::new(100);
        let text = format!("[{{\"a\":\"{}", "x".repeat(200));
        let fault = Err(TapFault::EventTooLarge { limit: 100 });
        assert_eq!(scanner.push(text.as_bytes(), &mut |_| {}), fault);
    }

    proptest! {
        #[test]
        fn t129_any_chunking_gives_the_same_elements(
            text in "(\\[|\\{|\\}|\\]|\"|\\\\|,| |a){0,40}",
            size in 1_usize..6,
        ) {
            let (whole, one) = split(std::iter::once(text.as_bytes()));
            let (cut, two) = split(text.as_bytes().chunks(size));
            prop_assert_eq!(whole, cut);
            prop_assert_eq!(one.is_whole(), two.is_whole());
        }
    }
}
