//! A reasoning item on its way out: paragraphs of a summary, and the seal.

use serde::Serialize;
use serde_json::value::RawValue;

use super::sink::Sink;
use crate::ir::Str;
use crate::resp::wire::{Item, Summary};
use crate::translate::ids;

/// A reasoning item.
#[derive(Debug)]
pub(super) struct Reasoning {
    id: String,
    output_index: u32,
    paragraphs: Vec<String>,
    is_open: bool,
    seal: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
struct Place<'a> {
    item_id: &'a str,
    output_index: u32,
    summary_index: usize,
}

#[derive(Serialize)]
struct PartEvent<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    part: Summary<'a>,
}

#[derive(Serialize)]
struct Delta<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    delta: &'a str,
}

#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    text: &'a str,
}

impl Reasoning {
    pub(super) fn new(response_id: &str, output_index: u32, item_id: Option<&Str>) -> Self {
        let id = item_id
            .map_or_else(|| ids::item_id("rs", response_id, output_index), ToString::to_string);
        Self { id, output_index, paragraphs: Vec::new(), is_open: false, seal: None }
    }

    pub(super) fn announce(&self, sink: &mut Sink<'_>) {
        sink.item("response.output_item.added", self.output_index, &self.item());
    }

    pub(super) fn say(&mut self, text: &str, sink: &mut Sink<'_>) {
        if !self.is_open {
            self.is_open = true;
            self.paragraphs.push(String::new());
            if let Some((place, text)) = self.last() {
                let part = Summary::SummaryText { text };
                sink.send("response.reasoning_summary_part.added", &PartEvent { place, part });
            }
        }
        if let Some((place, _)) = self.last() {
            sink.send("response.reasoning_summary_text.delta", &Delta { place, delta: text });
        }
        if let Some(paragraph) = self.paragraphs.last_mut() {
            paragraph.push_str(text);
        }
    }

    /// The paragraph ends; more words begin another one.
    pub(super) fn next(&mut self, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        if let Some((place, text)) = self.last() {
            sink.send("response.reasoning_summary_text.done", &Done { place, text });
            let part = Summary::SummaryText { text };
            sink.send("response.reasoning_summary_part.done", &PartEvent { place, part });
        }
    }

    pub(super) fn seal(&mut self, value: &str) {
        self.seal = Some(value.to_owned());
    }

    pub(super) fn finish(mut self, sink: &mut Sink<'_>) -> Option<Box<RawValue>> {
        self.next(sink);
        sink.item("response.output_item.done", self.output_index, &self.item())
    }

    fn item(&self) -> Item<'_> {
        let summary = self.paragraphs.iter().map(|text| Summary::SummaryText { text });
        Item::Reasoning {
            id: Some(&self.id),
            summary: summary.collect(),
            encrypted_content: self.seal.as_deref(),
        }
    }

    fn last(&self) -> Option<(Place<'_>, &str)> {
        let paragraph = self.paragraphs.last()?;
        let place = Place {
            item_id: &self.id,
            output_index: self.output_index,
            summary_index: self.paragraphs.len().saturating_sub(1),
        };
        Some((place, paragraph))
    }
}
