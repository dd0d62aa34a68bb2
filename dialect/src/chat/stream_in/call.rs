//! Calls of tools in chunks: which call a fragment belongs to, and when its arguments are whole.

use std::borrow::Cow;

use crate::ir::{Signature, Str, ToolKind};
use crate::json;
use crate::usage::lenient_tokens;

use super::super::delta::google_signature;

/// One element of `tool_calls`, or the older `function_call`.
#[derive(Default, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) arguments: Cow<'a, str>,
    pub(super) signature: Option<Str>,
    pub(super) custom: bool,
}

impl<'a> Fragment<'a> {
    /// An element of `tool_calls`.
    pub(super) fn read(raw: &'a str) -> Self {
        let mut fragment = Self::default();
        json::visit(raw, |key, raw| match key {
            "index" => fragment.index = lenient_tokens(raw),
            "id" => fragment.id = json::string(raw).unwrap_or_default(),
            "type" => fragment.custom = raw == "\"custom\"",
            "function" => fragment.function(raw),
            "custom" => {
                fragment.custom = true;
                fragment.function(raw);
            }
            "extra_content" => fragment.signature = google_signature(raw),
            // Vendors that leave out the inner object.
            "name" | "arguments" => fragment.member(key, raw),
            _ => {}
        });
        fragment
    }

    /// The older `function_call`: one call without an id.
    pub(super) fn read_function_call(raw: &'a str) -> Self {
        let mut fragment = Self { index: Some(u64::MAX), ..Self::default() };
        fragment.function(raw);
        fragment
    }

    fn function(&mut self, raw: &'a str) {
        json::visit(raw, |key, raw| self.member(key, raw));
    }

    fn member(&mut self, key: &str, raw: &'a str) {
        match key {
            "name" => self.name = json::string(raw).unwrap_or_default(),
            "arguments" | "input" if raw != "null" => {
                // A few servers send the object itself.
                self.arguments = json::string(raw).unwrap_or(Cow::Borrowed(raw));
            }
            _ => {}
        }
    }
}

/// A call of the answer.
#[derive(Debug)]
pub(super) struct Call {
    index: Option<u64>,
    pub(super) id: Str,
    pub(super) custom: bool,
    /// The part's key once its name is known.
    pub(super) key: Option<u32>,
    /// Arguments that came before the name.
    pub(super) held: String,
    pub(super) signature: Option<Signature>,
    scan: JsonScan,
}

impl Call {
    pub(super) fn new(fragment: &Fragment<'_>) -> Self {
        Self {
            index: fragment.index,
            id: Str::from(&*fragment.id),
            custom: fragment.custom,
            key: None,
            held: String::new(),
            signature: None,
            scan: JsonScan::default(),
        }
    }

    /// The call that a fragment goes on with; `None` = it begins a new one.
    pub(super) fn find(calls: &[Self], fragment: &Fragment<'_>) -> Option<usize> {
        let at = if fragment.index.is_some() {
            calls.iter().rposition(|call| call.index == fragment.index)
        } else if !fragment.id.is_empty() {
            calls.iter().rposition(|call| call.id == *fragment.id)
        } else {
            calls.len().checked_sub(1)
        }?;
        let call = calls.get(at)?;
        // Some servers give every call index 0, a few of them without ids.
        let other_id = !fragment.id.is_empty() && !call.id.is_empty() && call.id != *fragment.id;
        let other_call =
            call.is_whole() && !fragment.name.is_empty() && !fragment.arguments.is_empty();
        (!other_id && !other_call).then_some(at)
    }

    pub(super) fn kind(&self) -> ToolKind {
        if self.custom { ToolKind::Custom } else { ToolKind::Function }
    }

    /// Notes more of the arguments.
    pub(super) fn follow(&mut self, arguments: &str) {
        if !self.custom {
            self.scan.push(arguments.as_bytes());
        }
    }

    /// Whether the arguments are one whole JSON object: nothing of it can be missing.
    pub(super) fn is_whole(&self) -> bool {
        self.scan.whole
    }
}

/// Counts brackets outside strings.
#[derive(Default, Debug)]
struct JsonScan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    whole: bool,
}

impl JsonScan {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.whole {
                return;
            }
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match (byte, self.in_string) {
                (b'\\', true) => self.escaped = true,
                (b'"', _) => self.in_string = !self.in_string,
                (_, true) => {}
                (b'{' | b'[', false) => self.depth = self.depth.saturating_add(1),
                (b'}' | b']', false) => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole = self.depth == 0;
                }
                (_, false) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_whole_when_their_brackets_are_closed() {
        for (pieces, whole) in [
            (&["{\"a\":", "1}"][..], true),
            (&["{\"a\":\"}"], false),
            (&["{\"a\":\"\\\"}\"", "}"], true),
            (&["{\"a\":\"\\", "\"}"], false),
            (&["[{}", "]"], true),
            (&[""], false),
            (&["5"], false),
        ] {
            let mut scan = JsonScan::default();
            pieces.iter().for_each(|piece| scan.push(piece.as_bytes()));
            assert_eq!(scan.whole, whole, "{pieces:?}");
        }
    }
}
