//! One `GenerateContentResponse`: a whole answer, or a fragment of a stream.

use std::borrow::Cow;

use super::wire::{integer, string};
use crate::{Dialect, ir, json, usage};

/// A chunk, borrowing from its JSON.
#[derive(Clone, Default, Debug)]
pub(super) struct Chunk<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) model: Option<Cow<'a, str>>,
    pub(super) candidates: Vec<Candidate<'a>>,
    pub(super) usage: Option<ir::Usage>,
    pub(super) service_tier: Option<Cow<'a, str>>,
    /// Why the prompt was refused, and everything that was said of it.
    pub(super) blocked: Option<(Cow<'a, str>, &'a str)>,
    /// Whether the chunk is an error.
    pub(super) is_error: bool,
}

/// One alternative of a chunk.
#[derive(Clone, Default, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) index: u32,
    /// The array of parts as written.
    pub(super) parts: Option<&'a str>,
    pub(super) finish_reason: Option<Cow<'a, str>>,
    pub(super) grounding: Option<&'a str>,
    pub(super) citations: Option<&'a str>,
    pub(super) logprobs: Option<&'a str>,
}

impl<'a> Chunk<'a> {
    /// Reads a chunk, Code Assist's wrapper around it taken off; `None` when it is no object.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (mut chunk, wrapped, has_candidates) = Self::read_level(text)?;
        if let Some(inner) = wrapped.filter(|raw| !has_candidates && json::is_object(raw)) {
            (chunk, _, _) = Self::read_level(inner)?;
        }
        Some(chunk)
    }

    fn read_level(text: &'a str) -> Option<(Self, Option<&'a str>, bool)> {
        let mut chunk = Self::default();
        let mut wrapped = None;
        let mut candidates = None;
        let whole = json::visit(text, |key, raw| match key {
            "responseId" | "response_id" => chunk.id = string(raw),
            "modelVersion" | "model_version" => chunk.model = string(raw),
            "candidates" => candidates = Some(raw).filter(|raw| json::is_array(raw)),
            "usageMetadata" | "usage_metadata" => {
                chunk.usage = usage::decode_full(Dialect::Gem, raw);
                chunk.service_tier = json::member(raw, "serviceTier").and_then(string);
            }
            "promptFeedback" | "prompt_feedback" => {
                let reason = json::member(raw, "blockReason")
                    .or_else(|| json::member(raw, "block_reason"))
                    .and_then(string)
                    .filter(|reason| !reason.is_empty());
                chunk.blocked = reason.map(|reason| (reason, raw));
            }
            "error" => chunk.is_error = json::is_object(raw) || json::text(raw).is_some(),
            "response" => wrapped = Some(raw),
            _ => {}
        });
        if !whole {
            return None;
        }
        let mut next = 0;
        json::visit_elements(candidates.unwrap_or("[]"), |raw| {
            if let Some(candidate) = Candidate::read(raw, next) {
                next = candidate.index.saturating_add(1);
                chunk.candidates.push(candidate);
            }
        });
        Some((chunk, wrapped, candidates.is_some()))
    }
}

impl<'a> Candidate<'a> {
    /// `place` = its index where it names none.
    fn read(raw: &'a str, place: u32) -> Option<Self> {
        let mut candidate = Self { index: place, ..Self::default() };
        let whole = json::visit(raw, |key, raw| match key {
            "index" => {
                let index = integer(raw).and_then(|index| u32::try_from(index).ok());
                candidate.index = index.unwrap_or(place);
            }
            "content" => {
                candidate.parts = json::member(raw, "parts").filter(|raw| json::is_array(raw));
            }
            "finishReason" | "finish_reason" => {
                let reason = string(raw).filter(|reason| !reason.is_empty());
                // The protocol's zero value: nothing was said yet.
                candidate.finish_reason = reason.filter(|r| r != "FINISH_REASON_UNSPECIFIED");
            }
            "groundingMetadata" | "grounding_metadata" => candidate.grounding = Some(raw),
            "citationMetadata" | "citation_metadata" => candidate.citations = Some(raw),
            "logprobsResult" | "logprobs_result" => candidate.logprobs = Some(raw),
            _ => {}
        });
        whole.then_some(candidate)
    }
}
