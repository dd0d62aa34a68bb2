//! Calls of tools, gathered from their fragments (translation §5.3, T173).

use std::borrow::Cow;

use super::stream_in::member_text;
use crate::ir::{RawJson, Str};
use crate::json;

/// One `toolUseEvent`.
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) stop: bool,
    input: Option<&'a str>,
}

impl<'a> Fragment<'a> {
    pub(super) fn read(payload: &'a str) -> Self {
        Self {
            id: member_text(payload, "toolUseId").unwrap_or_default(),
            name: member_text(payload, "name").unwrap_or_default(),
            stop: json::member(payload, "stop") == Some("true"),
            input: json::member(payload, "input").filter(|raw| *raw != "null"),
        }
    }
}

/// The arguments of a call make no sense.
#[derive(Debug)]
pub(super) struct CallError;

/// A call whose end has not come yet.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: Str,
    pub(super) name: Str,
    /// Fragments of JSON text, put together.
    text: String,
    /// The arguments as one value; a later one replaces it.
    value: Option<Str>,
}

impl Call {
    pub(super) fn new(first: &Fragment<'_>) -> Self {
        let id = Str::from(&*first.id);
        Self { id, name: Str::new(), text: String::new(), value: None }
    }

    pub(super) fn take(&mut self, fragment: &Fragment<'_>) {
        if self.name.is_empty() {
            self.name = (&*fragment.name).into();
        }
        let Some(raw) = fragment.input else { return };
        match json::string(raw) {
            Some(text) => self.text.push_str(&text),
            None => self.value = Some(raw.into()),
        }
    }

    /// Bytes of the arguments so far.
    pub(super) fn len(&self) -> usize {
        self.text.len().saturating_add(self.value.as_ref().map_or(0, |value| value.len()))
    }

    /// The arguments; empty for none.
    pub(super) fn input(self) -> Result<Str, CallError> {
        let text = match (self.value, self.text.trim()) {
            (None, "") => return Ok(Str::new()),
            (None, text) => text.into(),
            (Some(value), "") => value,
            // Half of it in pieces and half of it whole: nobody knows what is meant.
            (Some(_), _) => return Err(CallError),
        };
        let sane = !json::too_deep(text.as_bytes()) && RawJson::parse(&*text).is_ok();
        if sane { Ok(text) } else { Err(CallError) }
    }
}
