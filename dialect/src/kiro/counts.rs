//! What an answer cost: tokens in several spellings, and credits (translation §3.3, §5.3).

use crate::ir;
use crate::{Usage, json, usage};

/// Counts of one answer, as far as they came.
#[derive(Debug)]
pub(super) struct Counts {
    context_window: Option<u32>,
    input: Option<u64>,
    uncached: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    /// How much of the context window is in use, percent.
    context_used: Option<f64>,
    credits: Option<f64>,
}

impl Counts {
    pub(super) fn new(context_window: Option<u32>) -> Self {
        Self {
            context_window,
            input: None,
            uncached: None,
            output: None,
            total: None,
            cache_read: 0,
            cache_write: 0,
            context_used: None,
            credits: None,
        }
    }

    /// Reads an event; whether it counts tokens.
    pub(super) fn read(&mut self, event: &str, payload: &str) -> bool {
        if event == "meteringEvent" {
            let unit = json::member(payload, "unit").and_then(json::string).unwrap_or_default();
            if unit.is_empty() || unit.to_ascii_lowercase().starts_with("credit") {
                self.credits = number(json::member(payload, "usage")).or(self.credits);
            }
            return false;
        }
        let nested = json::member(payload, "tokenUsage").filter(|raw| json::is_object(raw));
        let before = (self.input, self.uncached, self.output, self.total);
        for object in std::iter::once(payload).chain(nested) {
            json::visit(object, |key, raw| match key {
                "inputTokens" => keep(&mut self.input, raw),
                "uncachedInputTokens" => keep(&mut self.uncached, raw),
                "outputTokens" => keep(&mut self.output, raw),
                "totalTokens" => keep(&mut self.total, raw),
                "cacheReadInputTokens" => raise(&mut self.cache_read, raw),
                "cacheCreationInputTokens" | "cacheWriteInputTokens" => {
                    raise(&mut self.cache_write, raw);
                }
                "contextUsagePercentage" => {
                    self.context_used = number(Some(raw)).or(self.context_used);
                }
                _ => {}
            });
        }
        before != (self.input, self.uncached, self.output, self.total)
    }

    /// The service's own counts so far.
    pub(super) fn told(&self) -> Option<ir::Usage> {
        let output = self.output.unwrap_or(0);
        let cached = self.cache_read.saturating_add(self.cache_write);
        let input = match (self.uncached, self.input) {
            (Some(uncached), _) => uncached.saturating_add(cached),
            // The sum tells whether the cached part is in it.
            (None, Some(input)) if self.total == Some(input.saturating_add(output)) => {
                input.max(cached)
            }
            (None, Some(input)) => input.saturating_add(cached),
            (None, None) => cached,
        };
        let tokens = Usage {
            input,
            cached: self.cache_read,
            cache_write_5m: self.cache_write,
            output,
            exact: true,
            ..Usage::default()
        };
        (!tokens.is_zero()).then(|| ir::Usage { credits: self.credits, ..tokens.into() })
    }

    /// The counts at the end: the service's own, else what can be guessed from its hints.
    pub(super) fn last(&self, content_bytes: u64) -> Option<ir::Usage> {
        if let Some(told) = self.told() {
            return Some(told);
        }
        let input = self.estimated_input();
        if input.is_none() && self.credits.is_none() {
            return None;
        }
        let tokens = input.map(|input| Usage {
            input,
            output: content_bytes.saturating_mul(10).div_ceil(36),
            ..Usage::default()
        });
        Some(ir::Usage { credits: self.credits, ..tokens.unwrap_or_default().into() })
    }

    fn estimated_input(&self) -> Option<u64> {
        let percent = self.context_used.filter(|percent| (0.0..=100.0).contains(percent))?;
        let tokens = f64::from(self.context_window?) * percent / 100.0;
        // Integral by now, so the decimal spelling parses as an integer.
        format!("{:.0}", tokens.ceil()).parse().ok().filter(|tokens| *tokens > 0)
    }
}

fn number(raw: Option<&str>) -> Option<f64> {
    raw?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

/// Counts come more than once; zeros are placeholders that replace nothing.
fn keep(slot: &mut Option<u64>, raw: &str) {
    if let Some(count) = usage::lenient_tokens(raw).filter(|count| *count > 0) {
        *slot = Some(count);
    }
}

fn raise(slot: &mut u64, raw: &str) {
    *slot = usage::lenient_tokens(raw).unwrap_or(0).max(*slot);
}
