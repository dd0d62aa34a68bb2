//! Usage arithmetic: each dialect's token counts as one neutral record (translation §3.3).

use crate::{Dialect, json};

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

/// A usage object as decoded: the counts, and the price where the provider names one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Decoded {
    pub(crate) usage: Usage,
    pub(crate) cost_usd: Option<f64>,
}

/// Decodes a whole usage object; `None` when it counts nothing.
pub(crate) fn decode(dialect: Dialect, raw: &str) -> Option<Decoded> {
    if !json::is_object(raw) {
        return None;
    }
    let decoded = match dialect {
        Dialect::Chat | Dialect::Resp => open_ai(raw),
        Dialect::Anth => {
            let mut seen = AnthUsage::default();
            seen.merge(raw);
            Decoded { usage: seen.to_usage(), cost_usd: None }
        }
        Dialect::Gem => Decoded { usage: gemini(raw)?, cost_usd: None },
    };
    (!decoded.usage.is_zero()).then_some(decoded)
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

fn open_ai(raw: &str) -> Decoded {
    let mut count = Counter::default();
    let mut seen = OpenAi::default();
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
                _ => {}
            });
        }
        "completion_tokens_details" | "output_tokens_details" => {
            json::visit(raw, |key, raw| {
                if key == "reasoning_tokens" {
                    count.keep(&mut seen.reasoning, raw);
                }
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
    Decoded { usage: usage.fitted(), cost_usd }
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
    corrected: bool,
}

impl AnthUsage {
    /// Takes over a later snapshot: fields that count something replace, absent, null and zero
    /// ones leave what stood (gateways put zeros where the start had the true number).
    pub(crate) fn merge(&mut self, raw: &str) {
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
            _ => {}
        });
        self.corrected |= count.corrected;
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
fn gemini(raw: &str) -> Option<Usage> {
    let mut count = Counter::default();
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
        _ => {}
    });
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
    Some(usage.fitted())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(numbers: [u64; 6]) -> Usage {
        let [input, cached, cache_write_5m, cache_write_1h, output, reasoning] = numbers;
        Usage { input, cached, cache_write_5m, cache_write_1h, output, reasoning, exact: true }
    }

    #[test]
    fn chat_variants_count_alike() {
        for (name, raw, want) in [
            (
                "OpenAI",
                r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
                    "prompt_tokens_details":{"cached_tokens":4},
                    "completion_tokens_details":{"reasoning_tokens":2}}"#,
                [10, 4, 0, 0, 5, 2],
            ),
            (
                "xAI",
                r#"{"prompt_tokens":12,"completion_tokens":1,"total_tokens":303,
                    "prompt_tokens_details":{"cached_tokens":11},
                    "completion_tokens_details":{"reasoning_tokens":290}}"#,
                [12, 11, 0, 0, 291, 290],
            ),
            (
                "DeepSeek",
                r#"{"prompt_tokens":13,"completion_tokens":400,"prompt_cache_hit_tokens":7}"#,
                [13, 7, 0, 0, 400, 0],
            ),
            (
                "Kimi",
                r#"{"prompt_tokens":9,"completion_tokens":1,"cached_tokens":3}"#,
                [9, 3, 0, 0, 1, 0],
            ),
            (
                "OpenRouter",
                r#"{"prompt_tokens":20,"completion_tokens":5,
                    "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":8}}"#,
                [20, 0, 8, 0, 5, 0],
            ),
            (
                "T122",
                r#"{"prompt_tokens":3,"completion_tokens":1,"cached_tokens":9}"#,
                [3, 3, 0, 0, 1, 0],
            ),
            ("strings", r#"{"prompt_tokens":"7","completion_tokens":2.9}"#, [7, 0, 0, 0, 2, 0]),
        ] {
            assert_eq!(decode(Dialect::Chat, raw).unwrap().usage, usage(want), "{name}");
        }
    }

    #[test]
    fn provider_price_is_read() {
        let cost = |raw| decode(Dialect::Chat, raw).unwrap().cost_usd;
        assert_eq!(cost(r#"{"prompt_tokens":1,"cost":0.000837}"#), Some(0.000_837));
        assert_eq!(cost(r#"{"prompt_tokens":1,"cost":{"total_cost":0.5}}"#), Some(0.5));
        assert_eq!(cost(r#"{"prompt_tokens":1,"cost":-1}"#), None);
        assert_eq!(cost(r#"{"prompt_tokens":1,"cost":null}"#), None);
    }

    #[test]
    fn f43_odd_numbers_are_corrected_and_flagged() {
        for (raw, input, exact) in [
            (r#"{"prompt_tokens":-5,"completion_tokens":1}"#, 0, false),
            (r#"{"prompt_tokens":99999999999999999999,"completion_tokens":1}"#, 0, false),
            (r#"{"prompt_tokens":1e400,"completion_tokens":1}"#, 0, true),
            (r#"{"prompt_tokens":1e300,"completion_tokens":1}"#, 0, false),
            (r#"{"prompt_tokens":null,"completion_tokens":1}"#, 0, true),
            (r#"{"prompt_tokens":{},"completion_tokens":1}"#, 0, true),
        ] {
            let got = decode(Dialect::Chat, raw).unwrap().usage;
            assert_eq!((got.input, got.exact), (input, exact), "{raw}");
        }
        assert_eq!(decode(Dialect::Chat, r#"{"prompt_tokens":0}"#), None);
        assert_eq!(decode(Dialect::Chat, "null"), None);
    }

    #[test]
    fn responses_usage_contains_cache_and_reasoning() {
        let raw = r#"{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},
            "output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}"#;
        assert_eq!(decode(Dialect::Resp, raw).unwrap().usage, usage([10, 4, 2, 0, 5, 2]));
    }

    #[test]
    fn t119_messages_usage_adds_up_the_parts_of_the_prompt() {
        let raw = r#"{"input_tokens":6,"cache_read_input_tokens":4,"cache_creation_input_tokens":2,
            "output_tokens":5}"#;
        assert_eq!(decode(Dialect::Anth, raw).unwrap().usage, usage([12, 4, 2, 0, 5, 0]));
        let raw = r#"{"input_tokens":1,"cache_creation_input_tokens":9,"output_tokens":3,
            "cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5},
            "output_tokens_details":{"thinking_tokens":2}}"#;
        assert_eq!(decode(Dialect::Anth, raw).unwrap().usage, usage([10, 0, 4, 5, 3, 2]));
    }

    #[test]
    fn later_snapshots_of_a_messages_stream_win_unless_they_are_empty() {
        let merged = |parts: &[&str]| {
            let mut seen = AnthUsage::default();
            parts.iter().for_each(|raw| seen.merge(raw));
            seen.to_usage()
        };
        for (parts, want) in [
            (
                &[
                    r#"{"input_tokens":43,"output_tokens":1}"#,
                    r#"{"input_tokens":61,"output_tokens":2}"#,
                ][..],
                [61, 0, 0, 0, 2, 0],
            ),
            (
                &[r#"{"input_tokens":17,"output_tokens":1}"#, r#"{"output_tokens":227}"#],
                [17, 0, 0, 0, 227, 0],
            ),
            (
                &[
                    r#"{"input_tokens":17,"output_tokens":1}"#,
                    r#"{"input_tokens":0,"output_tokens":9}"#,
                ],
                [17, 0, 0, 0, 9, 0],
            ),
            (
                &[
                    r#"{"input_tokens":0,"output_tokens":0}"#,
                    r#"{"input_tokens":5,"output_tokens":9}"#,
                ],
                [5, 0, 0, 0, 9, 0],
            ),
            (
                &[
                    r#"{"input_tokens":2,"cache_creation_input_tokens":3068,
                        "cache_creation":{"ephemeral_5m_input_tokens":3068,"ephemeral_1h_input_tokens":0}}"#,
                    r#"{"input_tokens":6,"cache_creation_input_tokens":3337,
                        "cache_read_input_tokens":6289,"output_tokens":198}"#,
                ],
                [9632, 6289, 3337, 0, 198, 0],
            ),
            (
                &[r#"{"input_tokens":4,"output_tokens":1}"#, r#"{"input_tokens":null}"#],
                [4, 0, 0, 0, 1, 0],
            ),
        ] {
            assert_eq!(merged(parts), usage(want), "{parts:?}");
        }
    }

    #[test]
    fn t120_gemini_usage_adds_thoughts_to_the_output() {
        for (raw, want) in [
            (
                r#"{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":3,
                    "thoughtsTokenCount":2,"totalTokenCount":15}"#,
                [10, 4, 0, 0, 5, 2],
            ),
            (
                r#"{"promptTokenCount":15,"candidatesTokenCount":37,"totalTokenCount":1564,
                    "toolUsePromptTokenCount":770,"thoughtsTokenCount":742}"#,
                [785, 0, 0, 0, 779, 742],
            ),
            (
                r#"{"promptTokenCount":15,"thoughtsTokenCount":2,"totalTokenCount":17}"#,
                [15, 0, 0, 0, 2, 2],
            ),
            (r#"{"prompt_token_count":5,"total_token_count":9}"#, [5, 0, 0, 0, 4, 0]),
            (r#"{"promptTokenCount":9,"totalTokenCount":3}"#, [9, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(decode(Dialect::Gem, raw).unwrap().usage, usage(want), "{raw}");
        }
        assert_eq!(decode(Dialect::Gem, r#"{"trafficType":"ON_DEMAND"}"#), None);
    }
}
