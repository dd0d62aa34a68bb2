//! Walks over JSON text: as strict as the parser, but nothing is built, and values are passed over whole.
//!
//! Every body that goes through the router is read this way, requests once and answers event by event. What is
//! accepted here is what `serde_json` accepts as a `RawValue`; a test holds the two against each other.

use std::ops::ControlFlow;

/// How a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walked {
    /// At the end of the text.
    Whole,
    /// Where the caller had seen enough.
    Stopped,
}

/// A value that was passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Passed<'a> {
    /// The value as written.
    pub(crate) text: &'a str,
    /// How many elements or members it has; 0 for what can have none.
    pub(crate) items: usize,
    /// How deep brackets nest in it, its own included.
    pub(crate) depth: usize,
}

/// Calls `f` with each key, as written, and each value of the object that the text is. `None` = it is none, or
/// breaks off being one.
pub(crate) fn members<'a>(
    text: &'a str,
    mut f: impl FnMut(&'a str, Passed<'a>) -> ControlFlow<()>,
) -> Option<Walked> {
    let mut scan = Scan { text, at: 0 };
    scan.eat(b'{')?;
    if scan.eat(b'}').is_none() {
        loop {
            let key = scan.key()?;
            let value = scan.value()?;
            if f(key, value).is_break() {
                return Some(Walked::Stopped);
            }
            match scan.take()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    scan.end()
}

/// The same for each element of an array.
pub(crate) fn elements<'a>(
    text: &'a str,
    mut f: impl FnMut(&'a str) -> ControlFlow<()>,
) -> Option<Walked> {
    let mut scan = Scan { text, at: 0 };
    scan.eat(b'[')?;
    if scan.eat(b']').is_none() {
        loop {
            if f(scan.value()?.text).is_break() {
                return Some(Walked::Stopped);
            }
            match scan.take()? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
    }
    scan.end()
}

/// A place in a text.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.step();
        }
    }

    /// The next byte that is no space, taken.
    fn take(&mut self) -> Option<u8> {
        self.skip_space();
        let byte = self.byte()?;
        self.step();
        Some(byte)
    }

    /// Takes the next byte that is no space if it is this one.
    fn eat(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.byte()? == byte).then(|| self.step())
    }

    fn end(&mut self) -> Option<Walked> {
        self.skip_space();
        self.byte().is_none().then_some(Walked::Whole)
    }

    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }

    /// A key as written, and the colon.
    fn key(&mut self) -> Option<&'a str> {
        self.skip_space();
        let start = self.at;
        self.eat(b'"')?;
        self.string()?;
        let key = self.since(start);
        self.eat(b':')?;
        key
    }

    fn value(&mut self) -> Option<Passed<'a>> {
        self.skip_space();
        let start = self.at;
        let mut open = Nesting::default();
        let (mut items, mut depth) = (0_usize, 0_usize);
        loop {
            // Here a value begins.
            self.skip_space();
            match self.take()? {
                b'"' => self.string()?,
                b'{' => {
                    depth = depth.max(open.len().saturating_add(1));
                    if self.eat(b'}').is_none() {
                        items = items.max(1);
                        open.push(true);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    depth = depth.max(open.len().saturating_add(1));
                    if self.eat(b']').is_none() {
                        items = items.max(1);
                        open.push(false);
                        continue;
                    }
                }
                b't' => self.word(b"rue")?,
                b'f' => self.word(b"alse")?,
                b'n' => self.word(b"ull")?,
                b'-' => {
                    let first = self.byte()?;
                    self.step();
                    self.number(first)?;
                }
                first => self.number(first)?,
            }
            // Here one has ended, and with it perhaps what it stands in.
            loop {
                let Some(in_object) = open.top() else {
                    return Some(Passed { text: self.since(start)?, items, depth });
                };
                match (self.take()?, in_object) {
                    (b',', _) => {
                        if open.len() == 1 {
                            items = items.saturating_add(1);
                        }
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => open.pop(),
                    _ => return None,
                }
            }
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let is_there = self.text.as_bytes().get(self.at..)?.starts_with(rest);
        self.at = self.at.saturating_add(rest.len());
        is_there.then_some(())
    }

    /// A number whose first digit is taken.
    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' if self.byte().is_some_and(|byte| byte.is_ascii_digit()) => return None,
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.byte() == Some(b'.') {
            self.step();
            self.digit()?;
            self.digits();
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.step();
            if let Some(b'+' | b'-') = self.byte() {
                self.step();
            }
            self.digit()?;
            self.digits();
        }
        Some(())
    }

    fn digit(&mut self) -> Option<()> {
        self.byte()?.is_ascii_digit().then(|| self.step())
    }

    fn digits(&mut self) {
        while self.digit().is_some() {}
    }

    /// A string whose first quote is taken.
    fn string(&mut self) -> Option<()> {
        loop {
            self.at = plain_end(self.text.as_bytes(), self.at);
            let byte = self.byte()?;
            self.step();
            match byte {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                // A control character.
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let byte = self.byte()?;
        self.step();
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let hex = self.text.as_bytes().get(self.at..)?.first_chunk::<4>()?;
                self.at = self.at.saturating_add(hex.len());
                hex.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }
}

/// Where, from `at` on, the first byte stands that ends a string, escapes, or may not be in one.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let rest = |at: usize| bytes.get(at..).unwrap_or_default();
    // In long texts the compiler looks at many bytes at a time.
    while let Some(block) = rest(at).first_chunk::<32>() {
        if block.iter().fold(false, |found, byte| found | is_special(*byte)) {
            break;
        }
        at = at.saturating_add(32);
    }
    while let Some(block) = rest(at).first_chunk::<8>() {
        let word = u64::from_le_bytes(*block);
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = is_zero(word ^ (ONES * 0x22));
        let backslash = is_zero(word ^ (ONES * 0x5c));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & TOPS;
        if found != 0 {
            // The lowest mark is exact; a borrow spoils only those above it.
            return at.saturating_add(usize::try_from(found.trailing_zeros() / 8).unwrap_or(0));
        }
        at = at.saturating_add(8);
    }
    at.saturating_add(rest(at).iter().take_while(|byte| !is_special(**byte)).count())
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The brackets that are open, one bit each: true = an object.
#[derive(Default)]
struct Nesting {
    bits: u64,
    depth: u32,
    /// Full words of the outer ones. How deep a body may nest is judged elsewhere.
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        if self.depth == u64::BITS {
            self.outer.push(self.bits);
            self.depth = 0;
        }
        self.bits = (self.bits << 1) | u64::from(object);
        self.depth += 1;
    }

    fn len(&self) -> usize {
        let outer = self.outer.len().saturating_mul(64);
        outer.saturating_add(usize::try_from(self.depth).unwrap_or(0))
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(outer) = self.outer.pop()
        {
            (self.bits, self.depth) = (outer, u64::BITS);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// The parser's word on an array, and its elements.
    fn parsed(text: &str) -> Option<Vec<&str>> {
        let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        Some(elements.into_iter().map(RawValue::get).collect())
    }

    fn scanned(text: &str) -> Option<Vec<&str>> {
        let mut found = Vec::new();
        elements(text, |element| {
            found.push(element);
            ControlFlow::Continue(())
        })?;
        Some(found)
    }

    #[test]
    fn values_are_passed_over_as_the_parser_does() {
        for text in [
            "[]",
            " [ ] ",
            "[1,-0,0.5,-1.5e+9,2E-3,10]",
            "[01]",
            "[1.]",
            "[.5]",
            "[-]",
            "[1e]",
            "[+1]",
            "[true,false,null]",
            "[tru]",
            "[nul",
            "[\"\\u00e4\\n\\\"é\"]",
            "[\"\\ud800\"]",
            "[\"\\u12g4\"]",
            "[\"\\x\"]",
            "[\"\n\"]",
            "[\"\\u12",
            "[\"",
            "[{},[],{\"a\":[{\"b\":{}}]}]",
            "[{\"a\" : 1 , \"b\":2}]",
            "[{\"a\":1,}]",
            "[{,}]",
            "[{\"a\"}]",
            "[{1:2}]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[[1}]",
            "[1]x",
            "[",
            "",
            "{}",
            "1",
        ] {
            assert_eq!(scanned(text), parsed(text), "{text}");
        }
    }

    #[test]
    fn nesting_has_no_limit_here() {
        for depth in [63, 64, 65, 127, 128, 129, 1_000] {
            let inner = "[{\"a\":".repeat(depth) + "1" + &"}]".repeat(depth);
            let text = format!("[{inner}]");
            assert_eq!(scanned(&text), Some(vec![inner.as_str()]), "{depth}");
            let object = format!("{{\"k\":{inner}}}");
            let mut nests = 0;
            members(&object, |_, value| {
                nests = value.depth;
                ControlFlow::Continue(())
            });
            assert_eq!(nests, 2 * depth);
            let crossed = text.replacen("}]", "]}", 1);
            assert_eq!(scanned(&crossed), None, "{depth}");
        }
    }

    #[test]
    fn members_come_as_written_until_the_caller_has_seen_enough() {
        let mut seen = Vec::new();
        let text = r#" { "a\u0062" : [1, 2] ,"c":"d","e":{"f":[[],{}],"g":[1,2,3]} ,"h":{}} "#;
        let walked = members(text, |key, value| {
            seen.push((key, value.text, value.items, value.depth));
            ControlFlow::Continue(())
        });
        assert_eq!(walked, Some(Walked::Whole));
        let want = [
            (r#""a\u0062""#, "[1, 2]", 2, 1),
            ("\"c\"", "\"d\"", 0, 0),
            ("\"e\"", r#"{"f":[[],{}],"g":[1,2,3]}"#, 2, 3),
            ("\"h\"", "{}", 0, 1),
        ];
        assert_eq!(seen, want);
        let stopped = members(r#"{"a":1,"b"#, |_, _| ControlFlow::Break(()));
        assert_eq!(stopped, Some(Walked::Stopped));
        for broken in [r#"{"a":1"#, r#"{"a":1}}"#, r#"{"a" 1}"#, r#"{a:1}"#, "[]", "null"] {
            assert_eq!(members(broken, |_, _| ControlFlow::Continue(())), None, "{broken}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn any_text_is_taken_as_the_parser_takes_it(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u00e4", "\\n", "1", "0", "-", ".", "e5",
                    "true", "null", " ", "\n", "\t", "é", "\u{1f}", "\u{7f}", "a", "\"k\":", "\"v\"", ",\"k\":",
                    "a long run of text without anything in it",
                ]),
                0..24,
            ),
        ) {
            let inner: String = parts.concat();
            for text in [format!("[{inner}]"), format!("[{{{inner}}}]"), format!("[\"{inner}\"]"), inner] {
                prop_assert_eq!(scanned(&text), parsed(&text), "{}", text);
            }
        }

        #[test]
        fn the_end_of_plain_text_is_where_the_first_special_byte_is(
            bytes in prop::collection::vec(prop_oneof![9 => Just(b'a'), 1 => any::<u8>()], 0..100),
            at in 0_usize..100,
        ) {
            let at = at.min(bytes.len());
            let want = bytes[at..].iter().position(|b| is_special(*b)).map_or(bytes.len(), |n| at + n);
            prop_assert_eq!(plain_end(&bytes, at), want);
        }
    }
}
