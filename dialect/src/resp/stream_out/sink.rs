//! Where events go: numbered, into the client's stream, or nowhere when only items are gathered.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::json;
use crate::resp::wire::Item;

/// Numbers and writes events.
pub(super) struct Sink<'a> {
    sequence: &'a mut u64,
    out: Option<&'a mut Vec<u8>>,
}

#[derive(Serialize)]
struct Numbered<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u64,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Serialize)]
struct OfItem<'a> {
    output_index: u32,
    item: &'a RawValue,
}

impl<'a> Sink<'a> {
    pub(super) fn new(sequence: &'a mut u64, out: Option<&'a mut Vec<u8>>) -> Self {
        Self { sequence, out }
    }

    /// Writes one event.
    pub(super) fn send(&mut self, kind: &'static str, body: &impl Serialize) {
        let sequence_number = *self.sequence;
        *self.sequence = sequence_number.saturating_add(1);
        let Some(out) = self.out.as_deref_mut() else { return };
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let start = out.len();
        let whole = serde_json::to_writer(&mut *out, &Numbered { kind, sequence_number, body });
        // Writing to a vector cannot fail, and all keys are strings.
        debug_assert!(whole.is_ok(), "{kind}: {whole:?}");
        // What is carried along may have been written over several lines.
        json::one_line(out.get_mut(start..).unwrap_or_default());
        out.extend_from_slice(b"\n\n");
    }

    /// Writes an event about a whole item, and gives the item back as it was written.
    pub(super) fn item(
        &mut self,
        kind: &'static str,
        output_index: u32,
        item: &Item<'_>,
    ) -> Option<Box<RawValue>> {
        let item = to_raw_value(item).ok()?;
        self.send(kind, &OfItem { output_index, item: &item });
        Some(item)
    }
}
