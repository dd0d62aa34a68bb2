//! A message item on its way out.

use serde::Serialize;
use serde_json::value::RawValue;

use super::sink::Sink;
use crate::ir::{Citation, RawJson, Str};
use crate::resp::wire::{Annotation, Content, Item, Status};
use crate::translate::ids;

/// A message: texts that are done, and the one under way.
#[derive(Debug)]
pub(super) struct Message {
    id: String,
    output_index: u32,
    pub(super) phase: Option<Str>,
    contents: Vec<Text>,
    is_open: bool,
}

#[derive(Debug, Default)]
struct Text {
    refusal: bool,
    text: String,
    citations: Vec<Citation>,
    logprobs: Vec<RawJson>,
}

/// What every event about a text begins with.
#[derive(Clone, Copy, Serialize)]
struct Place<'a> {
    item_id: &'a str,
    output_index: u32,
    content_index: usize,
}

#[derive(Serialize)]
struct PartEvent<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    part: Content<'a>,
}

#[derive(Serialize)]
struct Delta<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    delta: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

#[derive(Serialize)]
struct TextDone<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    text: &'a str,
    logprobs: &'a [RawJson],
}

#[derive(Serialize)]
struct RefusalDone<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    refusal: &'a str,
}

#[derive(Serialize)]
struct Annotated<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    annotation_index: usize,
    annotation: Annotation<'a>,
}

impl Text {
    fn content(&self) -> Content<'_> {
        if self.refusal {
            return Content::Refusal { refusal: &self.text };
        }
        let annotations = self.citations.iter();
        let annotations = annotations.filter_map(|cited| Annotation::new(cited, &self.text));
        Content::OutputText {
            text: &self.text,
            annotations: Some(annotations.collect()),
            logprobs: Some(&self.logprobs),
        }
    }
}

impl Message {
    pub(super) fn new(response_id: &str, output_index: u32, phase: Option<Str>) -> Self {
        let id = ids::item_id("msg", response_id, output_index);
        Self { id, output_index, phase, contents: Vec::new(), is_open: false }
    }

    pub(super) fn announce(&self, sink: &mut Sink<'_>) {
        let item = self.item(Status::InProgress);
        sink.item("response.output_item.added", self.output_index, &item);
    }

    pub(super) fn say(&mut self, text: &str, refusal: bool, sink: &mut Sink<'_>) {
        if !self.is_open {
            self.is_open = true;
            self.contents.push(Text { refusal, ..Text::default() });
            if let Some((place, content)) = self.last() {
                let part = content.content();
                sink.send("response.content_part.added", &PartEvent { place, part });
            }
        }
        if let Some((place, content)) = self.last() {
            let (kind, logprobs) = if content.refusal {
                ("response.refusal.delta", None)
            } else {
                ("response.output_text.delta", Some([]))
            };
            sink.send(kind, &Delta { place, delta: text, logprobs });
        }
        if let Some(content) = self.contents.last_mut() {
            content.text.push_str(text);
        }
    }

    pub(super) fn cite(&mut self, citation: &Citation, sink: &mut Sink<'_>) {
        if !self.is_open {
            return;
        }
        if let Some((place, content)) = self.last()
            && let Some(annotation) = Annotation::new(citation, &content.text)
        {
            let told = content.citations.iter();
            let annotation_index =
                told.filter(|cited| Annotation::new(cited, "").is_some()).count();
            let event = Annotated { place, annotation_index, annotation };
            sink.send("response.output_text.annotation.added", &event);
        }
        if let Some(content) = self.contents.last_mut() {
            let mut citation = citation.clone();
            if citation.span.is_none() {
                // Later text of the part is not what it supports.
                let end = content.text.chars().count();
                citation.span = Some(crate::ir::CitationSpan { start: 0, end });
            }
            content.citations.push(citation);
        }
    }

    pub(super) fn weigh(&mut self, tokens: &[RawJson]) {
        if let Some(content) = self.contents.last_mut().filter(|_| self.is_open) {
            content.logprobs.extend_from_slice(tokens);
        }
    }

    pub(super) fn end_text(&mut self, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        let Some((place, content)) = self.last() else { return };
        if content.refusal {
            let event = RefusalDone { place, refusal: &content.text };
            sink.send("response.refusal.done", &event);
        } else {
            let event = TextDone { place, text: &content.text, logprobs: &content.logprobs };
            sink.send("response.output_text.done", &event);
        }
        let part = content.content();
        sink.send("response.content_part.done", &PartEvent { place, part });
    }

    pub(super) fn finish(mut self, sink: &mut Sink<'_>) -> Option<Box<RawValue>> {
        self.end_text(sink);
        let item = self.item(Status::Completed);
        sink.item("response.output_item.done", self.output_index, &item)
    }

    fn item(&self, status: Status) -> Item<'_> {
        Item::Message {
            id: Some(&self.id),
            status: Some(status),
            role: "assistant",
            content: self.contents.iter().map(Text::content).collect(),
            phase: self.phase.as_deref(),
        }
    }

    fn last(&self) -> Option<(Place<'_>, &Text)> {
        let content = self.contents.last()?;
        let place = Place {
            item_id: &self.id,
            output_index: self.output_index,
            content_index: self.contents.len().saturating_sub(1),
        };
        Some((place, content))
    }
}
