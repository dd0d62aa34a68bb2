//! Quota in response headers (accounts §4.3). Read on every answer, success or error, before its body.
//!
//! Which family a header belongs to is told by its name alone, so that custom nodes and hosts that speak for others
//! are read, too.

mod anthropic;
mod codex;
mod copilot;
mod throttle;

use crate::clock::UnixMs;
use crate::provider::family::ErrorFamily;
use crate::provider::quota::document::Source;
use crate::provider::quota::reading::Reading;

pub(super) use codex::family as codex_family;
pub(super) use copilot::snapshot as copilot_snapshot;

/// What the headers came with.
#[derive(Clone, Copy, Debug)]
pub struct HeadersCx<'a> {
    /// Unix ms.
    pub now: UnixMs,
    /// Status of the answer.
    pub status: u16,
    /// Whose answer it is.
    pub family: ErrorFamily,
    /// Canonical upstream id of the model that was asked for: rate limits are per model.
    pub model: &'a str,
}

impl HeadersCx<'_> {
    fn served(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Whether a header (its name in lower case) tells of quota. Cheap: it is asked for every header of every answer.
#[must_use]
pub fn is_told_by(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'a') => name.starts_with(anthropic::PREFIX),
        Some(b'x') => {
            name.starts_with(throttle::PREFIX)
                || name.starts_with(codex::PREFIX)
                || name.starts_with(copilot::PREFIX)
        }
        Some(b'r') => name.starts_with(throttle::STANDARD),
        _ => false,
    }
}

/// Headers of one answer: names in lower case, the first value of each.
#[derive(Debug)]
pub struct Told<'h>(Vec<(&'h str, &'h str)>);

impl<'h> Told<'h> {
    /// The headers that tell of quota; `None` when there are none.
    #[must_use]
    pub fn of(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Option<Self> {
        let mut told: Vec<(&str, &str)> = Vec::new();
        for (name, value) in headers.filter(|(name, _)| is_told_by(name)) {
            if !told.iter().any(|(known, _)| *known == name) {
                told.push((name, value.trim()));
            }
        }
        (!told.is_empty()).then_some(Self(told))
    }

    fn get(&self, name: &str) -> Option<&'h str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// What stands behind `prefix` in the names that begin with it, with the values.
    fn behind(&self, prefix: &str) -> impl Iterator<Item = (&'h str, &'h str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, *value)))
    }

    /// What the headers say; `None` when it is nothing that can be read.
    #[must_use]
    pub fn read(&self, cx: &HeadersCx<'_>) -> Option<Reading> {
        let mut reading = Reading::new(Source::Headers, cx.now);
        anthropic::read(self, cx, &mut reading);
        codex::read(self, cx, &mut reading);
        copilot::read(self, cx, &mut reading);
        throttle::read(self, cx, &mut reading);
        (!reading.is_empty() || reading.overage.is_some()).then_some(reading)
    }
}

/// A number of a header; finite, not below 0.
fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)
}

#[cfg(test)]
mod tests;
