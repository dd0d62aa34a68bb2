//! A message item on its way in: texts and refusals, by `content_index`.

use super::{Parts, missing};
use crate::Dialect;
use crate::ir::{Citation, CitationKind, CitationSpan, Event, Failure, PartKind, RawJson, Str};
use crate::resp::object::{Object, elements, raw_json};

/// A message and what was handed on of it.
#[derive(Debug)]
pub(super) struct Message {
    phase: Option<Str>,
    contents: Vec<Content>,
}

#[derive(Debug)]
struct Content {
    index: u32,
    refusal: bool,
    /// What was handed on.
    text: String,
    started: bool,
    /// The upstream repeated the text: nothing more of it will come.
    told: bool,
    closed: bool,
    cited: bool,
    weighed: bool,
}

impl Message {
    pub(super) fn new(item: &Object<'_>) -> Self {
        Self { phase: item.name("phase"), contents: Vec::new() }
    }

    pub(super) fn event(
        &mut self,
        item: usize,
        kind: &str,
        event: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let index = event.number("content_index").unwrap_or(0);
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                let refusal = kind == "response.refusal.delta";
                let text = event.text("delta").unwrap_or_default();
                let at = self.content(item, index, refusal, parts, out);
                self.say(item, at, text, parts, out)?;
                self.weigh(item, at, event, parts, out)
            }
            "response.output_text.done" | "response.refusal.done" => {
                let refusal = kind == "response.refusal.done";
                let text = event.text(if refusal { "refusal" } else { "text" });
                let at = self.content(item, index, refusal, parts, out);
                self.fill(item, at, &text.unwrap_or_default(), parts, out)?;
                if let Some(content) = self.contents.get_mut(at) {
                    content.told = true;
                }
                Ok(())
            }
            "response.content_part.done" => {
                let part = event.object("part").unwrap_or_default();
                self.part(item, index, &part, parts, out)
            }
            "response.output_text.annotation.added" => {
                let Some(raw) = event.raw("annotation") else { return Ok(()) };
                let at = self.content(item, index, false, parts, out);
                self.cite(item, at, raw, parts, out)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn done(
        &mut self,
        item: usize,
        whole: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        self.phase = self.phase.take().or_else(|| whole.name("phase"));
        for (nth, text) in whole.elements("content").into_iter().enumerate() {
            let Some(part) = Object::parse(text) else { continue };
            let index = u32::try_from(nth).unwrap_or(u32::MAX);
            let by_index = self.contents.iter().any(|content| content.index == index);
            let index = match self.contents.get(nth) {
                Some(content) if !by_index => content.index,
                _ => index,
            };
            self.part(item, index, &part, parts, out)?;
        }
        for content in &mut self.contents {
            content.close(item, parts, out);
        }
        Ok(())
    }

    /// Ends texts that the upstream repeated.
    pub(super) fn close_told(&mut self, item: usize, parts: &mut Parts, out: &mut Vec<Event>) {
        for content in self.contents.iter_mut().filter(|content| content.told) {
            content.close(item, parts, out);
        }
    }

    /// A part came whole: what is missing of it is handed on, and it ends.
    fn part(
        &mut self,
        item: usize,
        index: u32,
        part: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let refusal = match part.word("type").as_deref() {
            Some("output_text" | "text") => false,
            Some("refusal") => true,
            _ => return Ok(()),
        };
        let at = self.content(item, index, refusal, parts, out);
        let text = part.text(if refusal { "refusal" } else { "text" }).unwrap_or_default();
        self.fill(item, at, &text, parts, out)?;
        let content = self.contents.get(at);
        let (cited, weighed) = content.map_or((true, true), |c| (c.cited, c.weighed));
        if !weighed {
            self.weigh(item, at, part, parts, out)?;
        }
        if !cited {
            for annotation in part.elements("annotations") {
                self.cite(item, at, annotation, parts, out)?;
            }
        }
        if let Some(content) = self.contents.get_mut(at) {
            content.close(item, parts, out);
        }
        Ok(())
    }

    /// The content with this index. When it is new, the others of the message end.
    fn content(
        &mut self,
        item: usize,
        index: u32,
        refusal: bool,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> usize {
        let same = |content: &Content| content.index == index && content.refusal == refusal;
        if let Some(at) = self.contents.iter().rposition(same) {
            return at;
        }
        for content in &mut self.contents {
            content.close(item, parts, out);
        }
        self.contents.push(Content {
            index,
            refusal,
            text: String::new(),
            started: false,
            told: false,
            closed: false,
            cited: false,
            weighed: false,
        });
        self.contents.len().saturating_sub(1)
    }

    /// Hands on what a repeated text says beyond the deltas.
    fn fill(
        &mut self,
        item: usize,
        at: usize,
        whole: &str,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let streamed = self.contents.get(at).map(|content| content.text.as_str());
        let rest = Str::from(missing(streamed.unwrap_or_default(), whole));
        self.say(item, at, rest, parts, out)
    }

    fn say(
        &mut self,
        item: usize,
        at: usize,
        text: Str,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let phase = self.phase.clone();
        let Some(content) = self.contents.get_mut(at).filter(|content| !content.closed) else {
            return Ok(());
        };
        if text.is_empty() {
            return Ok(());
        }
        let key = (item, content.index);
        if !std::mem::replace(&mut content.started, true) {
            parts.refused |= content.refusal;
            let kind = if content.refusal { PartKind::Refusal } else { PartKind::Text { phase } };
            parts.queue.start(key, 0, kind, out);
        }
        content.text.push_str(&text);
        let (bytes, refusal) = (text.len(), content.refusal);
        let event = |part| {
            if refusal { Event::Refusal { part, text } } else { Event::Text { part, text } }
        };
        parts.queue.delta(key, event, bytes, out)
    }

    /// Log probabilities of the text that was just handed on.
    fn weigh(
        &mut self,
        item: usize,
        at: usize,
        holder: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(content) = self.contents.get_mut(at).filter(|content| content.started) else {
            return Ok(());
        };
        let Some(raw) = holder.raw("logprobs") else { return Ok(()) };
        let tokens: Vec<RawJson> = elements(raw).into_iter().map(raw_json).collect();
        if tokens.is_empty() {
            return Ok(());
        }
        content.weighed = true;
        let key = (item, content.index);
        parts.queue.delta(key, |part| Event::Logprobs { part, tokens }, raw.len(), out)
    }

    fn cite(
        &mut self,
        item: usize,
        at: usize,
        annotation: &str,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(content) = self.contents.get_mut(at).filter(|content| content.started) else {
            return Ok(());
        };
        let Some(citation) = citation(annotation) else { return Ok(()) };
        content.cited = true;
        let key = (item, content.index);
        let citation = Box::new(citation);
        let event = |part| Event::Citation { part, citation };
        parts.queue.delta(key, event, annotation.len(), out)
    }
}

impl Content {
    fn close(&mut self, item: usize, parts: &mut Parts, out: &mut Vec<Event>) {
        if self.started && !std::mem::replace(&mut self.closed, true) {
            parts.queue.stop((item, self.index), None, out);
        }
    }
}

/// One annotation of a text.
pub(in crate::resp) fn citation(annotation: &str) -> Option<Citation> {
    let object = Object::parse(annotation)?;
    // Some gateways nest it as chat does.
    let nested = object.object("url_citation");
    let at = nested.as_ref().unwrap_or(&object);
    let number = |key| at.number(key).and_then(|n| usize::try_from(n).ok());
    let span = match (number("start_index"), number("end_index")) {
        (Some(start), Some(end)) if start <= end => Some(CitationSpan { start, end }),
        _ => None,
    };
    Some(Citation {
        kind: match object.word("type").as_deref() {
            Some("url_citation") => CitationKind::Url,
            Some(_) | None => CitationKind::File,
        },
        url: at.name("url"),
        title: at.name("title").or_else(|| at.name("filename")),
        cited_text: None,
        span,
        document: None,
        raw: Some((Dialect::Resp, raw_json(annotation))),
    })
}
