//! Usage arithmetic: each dialect's token counts as one neutral record (translation §3.3).

mod encode;
#[cfg(test)]
mod tests;

use crate::ir::{self, UsageDetail};
use crate::{Dialect, json};

pub use encode::{AnthCounts, ChatCounts, GemCounts, RespCounts, WireUsage, encode};

/// Token counts of one attempt.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Prompt tokens, including cached and cache-written ones.
    pub input: u64,
    /// Prompt tokens read from a cache.
    pub cached: u64,
    /// Prompt tokens written to a cache that lives five minutes.
    pub cache_write_5m: u64,
    /// Prompt tokens written to a cache that lives one hour.
    pub cache_write_1h: u64,
    /// Output tokens, including reasoning.
    pub output: u64,
    /// Reasoning tokens.
    pub reasoning: u64,
    /// Whether the counts are the provider's own and none had to be corrected.
    pub exact: bool,
}

impl Usage {
    /// Input plus output.
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Whether nothing was counted.
    pub const fn is_zero(&self) -> bool {
        self.total() == 0
    }

    /// Makes the parts fit the sums that contain them (T122: cached above prompt, F43).
    fn fitted(mut self) -> Self {
        self.cached = self.cached.min(self.input);
        let fresh = self.input.saturating_sub(self.cached);
        self.cache_write_5m = self.cache_write_5m.min(fresh);
        self.cache_write_1h = self.cache_write_1h.min(fresh.saturating_sub(self.cache_write_5m));
        self.reasoning = self.reasoning.min(self.output);
        self
    }
}

/// Decodes a whole usage object; `None` when it counts nothing.
pub fn decode_full(dialect: Dialect, raw: &str) -> Option<ir::Usage> {
    if !json::is_object(raw) {
        return None;
    }
    let usage = match dialect {
        Dialect::Chat | Dialect::Resp => open_ai(raw),
        Dialect::Anth => {
            let mut seen = AnthUsage::default();
            seen.merge(raw);
            seen.to_full()
        }
        Dialect::Gem => gemini(raw)?,
    };
    (!usage.tokens.is_zero()).then_some(usage)
}

/// A token count in whatever spelling; `None` for what is no number.
pub(crate) fn lenient_tokens(raw: &str) -> Option<u64> {
    Counter::default().read(raw)
}

/// More tokens than any model handles: such a number is an upstream's bug, not a count (F43).
const ABSURD: f64 = 1e12;

/// Reads counts leniently and remembers whether one had to be corrected.
#[derive(Default)]
struct Counter {
    corrected: bool,
}

impl Counter {
    fn read(&mut self, raw: &str) -> Option<u64> {
        let spelled = json::string(raw);
        let digits = spelled.as_deref().unwrap_or(raw).trim();
        if let Ok(count) = digits.parse::<u64>()
            && count <= 1_000_000_000_000
        {
            return Some(count);
        }
        let number = digits.parse::<f64>().ok().filter(|n| n.is_finite())?;
        if number > ABSURD {
            self.corrected = true;
            return None;
        }
        if number < 0.0 {
            self.corrected = true;
            return Some(0);
        }
        // Integral by now, so the decimal spelling parses as an integer.
        format!("{:.0}", number.floor()).parse().ok()
    }

    fn keep(&mut self, slot: &mut Option<u64>, raw: &str) {
        if let Some(count) = self.read(raw) {
            *slot = Some(count);
        }
    }

    fn add(&mut self, sum: &mut u64, raw: &str) {
        *sum = sum.saturating_add(self.read(raw).unwrap_or(0));
    }
}

#[derive(Default)]
struct OpenAi {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached_in_details: Option<u64>,
    cached_flat: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
    reasoning_flat: Option<u64>,
}

fn open_ai(raw: &str) -> ir::Usage {
    let mut count = Counter::default();
    let mut seen = OpenAi::default();
    let mut detail = UsageDetail::default();
    let mut cost_usd = None;
    json::visit(raw, |key, raw| match key {
        "prompt_tokens" | "input_tokens" => count.keep(&mut seen.input, raw),
        "completion_tokens" | "output_tokens" => count.keep(&mut seen.output, raw),
        "total_tokens" => count.keep(&mut seen.total, raw),
        // DeepSeek; Kimi.
        "prompt_cache_hit_tokens" | "cached_tokens" => count.keep(&mut seen.cached_flat, raw),
        "reasoning_tokens" => count.keep(&mut seen.reasoning_flat, raw),
        "prompt_tokens_details" | "input_tokens_details" => {
            json::visit(raw, |key, raw| match key {
                "cached_tokens" => count.keep(&mut seen.cached_in_details, raw),
                "cache_creation_tokens" | "cache_write_tokens" => {
                    count.keep(&mut seen.cache_write, raw);
                }
                "audio_tokens" => count.add(&mut detail.audio_in, raw),
                "image_tokens" => count.add(&mut detail.image_in, raw),
                _ => {}
            });
        }
        "completion_tokens_details" | "output_tokens_details" => {
            json::visit(raw, |key, raw| match key {
                "reasoning_tokens" => count.keep(&mut seen.reasoning, raw),
                "audio_tokens" => count.add(&mut detail.audio_out, raw),
                "accepted_prediction_tokens" => count.add(&mut detail.accepted_prediction, raw),
                "rejected_prediction_tokens" => count.add(&mut detail.rejected_prediction, raw),
                _ => {}
            });
        }
        "cost" => cost_usd = dollars(raw),
        _ => {}
    });
    let input = seen.input.unwrap_or(0);
    let reasoning = seen.reasoning.or(seen.reasoning_flat).unwrap_or(0);
    let mut output = seen.output.unwrap_or(0);
    // xAI counts reasoning beside the completion, not in it; the total gives it away.
    let beside = input.saturating_add(output).saturating_add(reasoning);
    if reasoning > 0 && seen.total == Some(beside) {
        output = output.saturating_add(reasoning);
    }
    let usage = Usage {
        input,
        cached: seen.cached_in_details.or(seen.cached_flat).unwrap_or(0),
        cache_write_5m: seen.cache_write.unwrap_or(0),
        cache_write_1h: 0,
        output,
        reasoning,
        exact: !count.corrected,
    };
    ir::Usage { tokens: usage.fitted(), detail, cost_usd, credits: None }
}

/// The provider's own price: a number (OpenRouter) or an object with a total (Perplexity).
fn dollars(raw: &str) -> Option<f64> {
    let number = if json::is_object(raw) { json::member(raw, "total_cost")? } else { raw };
    number.parse::<f64>().ok().filter(|cost| cost.is_finite() && *cost >= 0.0)
}

/// Usage of a Messages stream: snapshots that come in `message_start` and `message_delta`.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct AnthUsage {
    input: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    written_1h: Option<u64>,
    written_5m: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
    searches: Option<u64>,
    fetches: Option<u64>,
    corrected: bool,
}

impl AnthUsage {
    /// Takes over a later snapshot: fields that count something replace, absent, null and zero ones leave
    /// what stood (gateways put zeros where the start had the true number). The prompt's size alone,
    /// without what of it came from the cache, is believed when it grows: the start may know it better.
    pub(crate) fn merge(&mut self, raw: &str) {
        let before = self.input;
        self.replace(raw);
        let tells_cache = ["cache_read_input_tokens", "cache_creation_input_tokens"]
            .iter()
            .any(|key| json::member(raw, key).is_some_and(|count| count != "null"));
        if !tells_cache {
            self.input = self.input.max(before);
        }
    }

    fn replace(&mut self, raw: &str) {
        let mut count = Counter::default();
        let mut replace = |slot: &mut Option<u64>, raw: &str| {
            let read = count.read(raw);
            if read.is_some_and(|n| n > 0) || slot.is_none() {
                *slot = read.or(*slot);
            }
        };
        json::visit(raw, |key, raw| match key {
            "input_tokens" => replace(&mut self.input, raw),
            "cache_read_input_tokens" => replace(&mut self.cached, raw),
            "cache_creation_input_tokens" => replace(&mut self.written, raw),
            "output_tokens" => replace(&mut self.output, raw),
            "cache_creation" => {
                json::visit(raw, |key, raw| match key {
                    "ephemeral_5m_input_tokens" => replace(&mut self.written_5m, raw),
                    "ephemeral_1h_input_tokens" => replace(&mut self.written_1h, raw),
                    _ => {}
                });
            }
            "output_tokens_details" => {
                json::visit(raw, |key, raw| {
                    if key == "thinking_tokens" {
                        replace(&mut self.thinking, raw);
                    }
                });
            }
            "server_tool_use" => {
                json::visit(raw, |key, raw| match key {
                    "web_search_requests" => replace(&mut self.searches, raw),
                    "web_fetch_requests" => replace(&mut self.fetches, raw),
                    _ => {}
                });
            }
            _ => {}
        });
        self.corrected |= count.corrected;
    }

    /// The counts with what else clients can see of them.
    pub(crate) fn to_full(self) -> ir::Usage {
        let web_searches = self.searches.unwrap_or(0);
        let web_fetches = self.fetches.unwrap_or(0);
        let detail = UsageDetail { web_searches, web_fetches, ..UsageDetail::default() };
        ir::Usage { tokens: self.to_usage(), detail, ..ir::Usage::default() }
    }

    pub(crate) fn to_usage(self) -> Usage {
        let split = self.written_5m.unwrap_or(0).saturating_add(self.written_1h.unwrap_or(0));
        let written = self.written.unwrap_or(split);
        // A later snapshot may raise the sum without repeating the split: the rest is 5 min.
        let hour = self.written_1h.unwrap_or(0).min(written);
        let cached = self.cached.unwrap_or(0);
        let usage = Usage {
            input: self.input.unwrap_or(0).saturating_add(cached).saturating_add(written),
            cached,
            cache_write_5m: written.saturating_sub(hour),
            cache_write_1h: hour,
            output: self.output.unwrap_or(0),
            reasoning: self.thinking.unwrap_or(0),
            exact: !self.corrected,
        };
        usage.fitted()
    }
}

/// `None` for a snapshot without a prompt count: such ones carry only the traffic type.
fn gemini(raw: &str) -> Option<ir::Usage> {
    let mut count = Counter::default();
    let mut detail = UsageDetail::default();
    let (mut prompt, mut tool_prompt, mut cached) = (None, None, None);
    let (mut candidates, mut thoughts, mut total) = (None, None, None);
    json::visit(raw, |key, raw| match key {
        "promptTokenCount" | "prompt_token_count" => count.keep(&mut prompt, raw),
        "toolUsePromptTokenCount" | "tool_use_prompt_token_count" => {
            count.keep(&mut tool_prompt, raw);
        }
        "cachedContentTokenCount" | "cached_content_token_count" => count.keep(&mut cached, raw),
        "candidatesTokenCount" | "candidates_token_count" => count.keep(&mut candidates, raw),
        "thoughtsTokenCount" | "thoughts_token_count" => count.keep(&mut thoughts, raw),
        "totalTokenCount" | "total_token_count" => count.keep(&mut total, raw),
        "promptTokensDetails" | "prompt_tokens_details" => {
            modalities(raw, &mut count, &mut detail.audio_in, &mut detail.image_in);
        }
        "candidatesTokensDetails" | "candidates_tokens_details" => {
            // Images of an answer are counted with its text alone.
            modalities(raw, &mut count, &mut detail.audio_out, &mut 0);
        }
        _ => {}
    });
    detail.tool_prompt = tool_prompt.unwrap_or(0);
    let input = prompt?.saturating_add(tool_prompt.unwrap_or(0));
    let thoughts = thoughts.unwrap_or(0);
    let visible = candidates
        .unwrap_or_else(|| total.unwrap_or(0).saturating_sub(input).saturating_sub(thoughts));
    let usage = Usage {
        input,
        cached: cached.unwrap_or(0),
        cache_write_5m: 0,
        cache_write_1h: 0,
        output: visible.saturating_add(thoughts),
        reasoning: thoughts,
        exact: !count.corrected,
    };
    Some(ir::Usage { tokens: usage.fitted(), detail, ..ir::Usage::default() })
}

/// Tokens by modality.
fn modalities(raw: &str, count: &mut Counter, audio: &mut u64, image: &mut u64) {
    json::visit_elements(raw, |element| {
        let counted = json::member(element, "tokenCount");
        let Some(tokens) = counted.or_else(|| json::member(element, "token_count")) else { return };
        match json::member(element, "modality") {
            Some("\"AUDIO\"") => count.add(audio, tokens),
            Some("\"IMAGE\"") => count.add(image, tokens),
            _ => {}
        }
    });
}
