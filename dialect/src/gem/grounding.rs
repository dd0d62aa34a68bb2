//! Citations: `groundingMetadata` and `citationMetadata` (translation §3.5). Google counts bytes.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::wire::{integer, string};
use crate::Dialect;
use crate::ir::{Citation, CitationKind, CitationSpan, RawJson, Str};
use crate::json;

/// Looking for the cited words costs time; beyond this many, offsets alone count.
const SEARCHES: usize = 256;

/// The text that citations point into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    /// The text of the part that gets the citations.
    pub(super) part: &'a str,
    /// How many bytes the candidate said in earlier parts: some offsets count from there.
    pub(super) before: usize,
}

/// Citations of one text part, each once.
pub(super) fn decode<'a>(metadata: impl Iterator<Item = &'a str>, said: Said<'_>) -> Vec<Citation> {
    let mut finder = Finder::new(said);
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for raw in metadata {
        for citation in one(raw, &mut finder) {
            if seen
                .insert((citation.raw.as_ref().map(|(_, raw)| raw.get().to_owned()), citation.span))
            {
                out.push(citation);
            }
        }
    }
    out
}

fn one(raw: &str, finder: &mut Finder<'_>) -> Vec<Citation> {
    let (mut chunks, mut supports, mut sources) = (Vec::new(), None, None);
    json::visit(raw, |key, raw| match key {
        "groundingChunks" | "grounding_chunks" => {
            json::visit_elements(raw, |chunk| chunks.push(chunk));
        }
        "groundingSupports" | "grounding_supports" => supports = Some(raw),
        "citationSources" | "citation_sources" | "citations" => sources = Some(raw),
        _ => {}
    });
    let mut out = Vec::new();
    match supports.filter(|raw| !json::is_blank(raw)) {
        Some(supports) => {
            json::visit_elements(supports, |support| {
                let span = json::member(support, "segment").and_then(|raw| finder.segment(raw));
                let indices = json::member(support, "groundingChunkIndices")
                    .or_else(|| json::member(support, "grounding_chunk_indices"));
                json::visit_elements(indices.unwrap_or("[]"), |index| {
                    let index = integer(index).and_then(|index| usize::try_from(index).ok());
                    let chunk = index.and_then(|index| chunks.get(index));
                    out.extend(chunk.and_then(|chunk| source(chunk, span)));
                });
            });
        }
        // Sources of the whole answer.
        None => out.extend(chunks.iter().filter_map(|chunk| source(chunk, None))),
    }
    json::visit_elements(sources.unwrap_or("[]"), |raw| {
        let span = finder.segment(raw);
        out.extend(source_at(raw, span).map(|citation| from_chunk(citation, raw)));
    });
    out
}

/// A grounding chunk: an object with one member that says what kind it is.
fn source(chunk: &str, span: Option<CitationSpan>) -> Option<Citation> {
    let mut citation = None;
    json::visit(chunk, |_, raw| {
        citation = citation.take().or_else(|| source_at(raw, span));
    });
    citation.map(|citation| from_chunk(citation, chunk))
}

fn from_chunk(mut citation: Citation, raw: &str) -> Citation {
    citation.raw = RawJson::parse(raw).ok().map(|raw| (Dialect::Gem, raw));
    citation
}

fn source_at(raw: &str, span: Option<CitationSpan>) -> Option<Citation> {
    let (mut url, mut title, mut cited_text) = (None, None, None);
    let word = |raw| string(raw).filter(|s| !s.is_empty()).map(|s| Str::from(s.as_ref()));
    json::visit(raw, |key, raw| match key {
        "uri" => url = word(raw),
        "title" => title = word(raw),
        "text" => cited_text = word(raw),
        _ => {}
    });
    if url.is_none() && title.is_none() && cited_text.is_none() {
        return None;
    }
    let kind = if url.is_some() { CitationKind::Url } else { CitationKind::SearchResult };
    Some(Citation { kind, url, title, cited_text, span, document: None, raw: None })
}

/// Turns Google's byte offsets into offsets of characters.
#[derive(Debug)]
struct Finder<'a> {
    said: Said<'a>,
    /// Characters before each [`Finder::STEP`]th byte.
    marks: Vec<usize>,
    searches: usize,
}

impl<'a> Finder<'a> {
    const STEP: usize = 1024;

    fn new(said: Said<'a>) -> Self {
        Self { said, marks: Vec::new(), searches: 0 }
    }

    /// The place of a `segment`; `None` when it lies outside the part.
    fn segment(&mut self, raw: &str) -> Option<CitationSpan> {
        let (mut start, mut end, mut words) = (0, None, None);
        json::visit(raw, |key, raw| match key {
            "startIndex" | "start_index" => {
                start = integer(raw).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            }
            "endIndex" | "end_index" => end = integer(raw).and_then(|n| usize::try_from(n).ok()),
            "text" => words = string(raw).filter(|words| !words.is_empty()),
            _ => {}
        });
        let part = self.said.part;
        let end = end.or_else(|| Some(start.saturating_add(words.as_ref()?.len())))?;
        let told = (start, end);
        let shifted = (start.checked_sub(self.said.before), end.checked_sub(self.said.before));
        let shifted = match shifted {
            (Some(start), Some(end)) => Some((start, end)),
            _ => None,
        };
        let holds = |(start, end): (usize, usize)| {
            let slice = part.get(start..end)?;
            words.as_ref().is_none_or(|words| slice == words.as_ref()).then_some((start, end))
        };
        let found = holds(told).or_else(|| shifted.and_then(holds)).or_else(|| {
            self.searches = self.searches.saturating_add(1);
            let words = words.as_ref().filter(|_| self.searches <= SEARCHES)?;
            let at = part.find(words.as_ref())?;
            Some((at, at.saturating_add(words.len())))
        });
        let (start, end) = found.unwrap_or(told);
        (start < part.len() && start < end).then(|| CitationSpan {
            start: self.characters(start),
            end: self.characters(end.min(part.len())),
        })
    }

    /// Characters before the byte `at`; inside a character: before that one.
    fn characters(&mut self, at: usize) -> usize {
        let bytes = self.said.part.as_bytes();
        let starts = |bytes: &[u8]| bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count();
        if self.marks.is_empty() {
            let mut sum = 0_usize;
            for block in bytes.chunks(Self::STEP) {
                self.marks.push(sum);
                sum = sum.saturating_add(starts(block));
            }
        }
        let block = at / Self::STEP;
        let base = self.marks.get(block).copied().unwrap_or(0);
        let from = block.saturating_mul(Self::STEP);
        let inside = bytes.get(at).is_some_and(|byte| (byte & 0xc0) == 0x80);
        base.saturating_add(starts(bytes.get(from..at).unwrap_or_default()))
            .saturating_sub(usize::from(inside))
    }
}

/// Builds the `groundingMetadata` of an answer.
#[derive(Debug, Default)]
pub(super) struct Grounding {
    chunks: Vec<Value>,
    places: HashMap<String, usize>,
    supports: Vec<(Option<(usize, usize)>, Value)>,
}

impl Grounding {
    /// Adds a citation of a text part that begins `before` bytes into the answer.
    pub(super) fn add(&mut self, citation: &Citation, part: &str, before: usize) {
        let chunk = match &citation.raw {
            Some((Dialect::Gem, raw)) => raw.to_value().unwrap_or_default(),
            _ => match &citation.url {
                Some(url) => {
                    let mut web = Map::new();
                    web.insert("uri".into(), (**url).into());
                    if let Some(title) = &citation.title {
                        web.insert("title".into(), (**title).into());
                    }
                    json!({ "web": web })
                }
                None => return,
            },
        };
        let key = chunk.to_string();
        let index = self.places.get(&key).copied().unwrap_or_else(|| {
            self.chunks.push(chunk);
            let index = self.chunks.len().saturating_sub(1);
            self.places.insert(key, index);
            index
        });
        let Some(span) = citation.span else { return };
        let byte = |character: usize| {
            part.char_indices().nth(character).map_or(part.len(), |(byte, _)| byte)
        };
        let (start, end) = (byte(span.start), byte(span.end));
        let place = (before.saturating_add(start), before.saturating_add(end));
        if let Some((last, Value::Array(indices))) = self.supports.last_mut()
            && *last == Some(place)
        {
            indices.push(index.into());
            return;
        }
        self.supports.push((Some(place), json!([index])));
    }

    /// The metadata; `None` when nothing is cited. `text` = all that the answer says.
    pub(super) fn finish(self, text: &str) -> Option<Value> {
        if self.chunks.is_empty() {
            return None;
        }
        let supports: Vec<Value> = self
            .supports
            .into_iter()
            .filter_map(|(place, indices)| {
                let (start, end) = place?;
                let words = text.get(start..end).unwrap_or_default();
                let segment = json!({ "startIndex": start, "endIndex": end, "text": words });
                Some(json!({ "segment": segment, "groundingChunkIndices": indices }))
            })
            .collect();
        Some(json!({ "groundingChunks": self.chunks, "groundingSupports": supports }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = (Option<Str>, Option<(usize, usize)>);

    fn spans(raw: &str, part: &str, before: usize) -> Vec<Seen> {
        decode(std::iter::once(raw), Said { part, before })
            .into_iter()
            .map(|c| (c.url, c.span.map(|span| (span.start, span.end))))
            .collect()
    }

    #[test]
    fn t166_byte_offsets_become_character_offsets() {
        let raw = |segment: &str| {
            format!(
                r#"{{"groundingChunks":[{{"web":{{"uri":"u","title":"t"}}}}],
                "groundingSupports":[{{"segment":{segment},"groundingChunkIndices":[0,7]}}]}}"#
            )
        };
        for (segment, part, before, want) in [
            (r#"{"startIndex":3,"endIndex":4,"text":"x"}"#, "é x", 0, Some((2, 3))),
            (r#"{"endIndex":2,"text":"é"}"#, "é x", 0, Some((0, 1))),
            (r#"{"startIndex":3,"endIndex":4}"#, "é x", 0, Some((2, 3))),
            // Counted from the beginning of the answer, not of the part.
            (r#"{"startIndex":13,"endIndex":14,"text":"x"}"#, "é x", 10, Some((2, 3))),
            // The words win over offsets that are off.
            (r#"{"startIndex":1,"endIndex":2,"text":"x"}"#, "é x", 0, Some((2, 3))),
            (r#"{"startIndex":70,"endIndex":90}"#, "é x", 0, None),
            (r#"{"startIndex":2,"endIndex":99}"#, "é x", 0, Some((1, 3))),
        ] {
            assert_eq!(spans(&raw(segment), part, before), [(Some("u".into()), want)], "{segment}");
        }
        let long = format!("{}x", "é".repeat(3000));
        let segment = r#"{"startIndex":6000,"endIndex":6001,"text":"x"}"#;
        assert_eq!(spans(&raw(segment), &long, 0), [(Some("u".into()), Some((3000, 3001)))]);
    }

    #[test]
    fn sources_without_a_place_hold_for_the_whole_part() {
        let raw = r#"{"groundingChunks":[{"web":{"uri":"u"}},{"retrievedContext":{"text":"w"}},{"x":{}}]}"#;
        assert_eq!(spans(raw, "a", 0), [(Some("u".into()), None), (None, None)]);
        let raw =
            r#"{"citationSources":[{"startIndex":0,"endIndex":1,"uri":"u"},{"license":"mit"}]}"#;
        assert_eq!(spans(raw, "ab", 0), [(Some("u".into()), Some((0, 1)))]);
        assert!(decode(["7", "{}"].into_iter(), Said { part: "", before: 0 }).is_empty());
    }

    #[test]
    fn metadata_are_built_in_bytes() {
        let mut grounding = Grounding::default();
        let citation = |url: &'static str, span| Citation {
            kind: CitationKind::Url,
            url: Some(url.into()),
            title: Some("t".into()),
            cited_text: None,
            span,
            document: None,
            raw: None,
        };
        let span = Some(CitationSpan { start: 2, end: 3 });
        grounding.add(&citation("u", span), "é x", 1);
        grounding.add(&citation("v", span), "é x", 1);
        grounding.add(&citation("u", None), "é x", 1);
        let want = json!({
            "groundingChunks": [{"web":{"uri":"u","title":"t"}}, {"web":{"uri":"v","title":"t"}}],
            "groundingSupports": [{"segment":{"startIndex":4,"endIndex":5,"text":"x"},"groundingChunkIndices":[0,1]}],
        });
        assert_eq!(grounding.finish(">é x"), Some(want));
        assert_eq!(Grounding::default().finish(""), None);
    }
}
