//! Token counts as each dialect spells them for a client (translation §3.3).

use serde::Serialize;

use crate::Dialect;
use crate::ir::Usage;

/// A usage object in one dialect's spelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum WireUsage {
    /// Chat Completions.
    Chat(ChatCounts),
    /// Responses.
    Resp(RespCounts),
    /// Messages.
    Anth(AnthCounts),
    /// Gemini.
    Gem(GemCounts),
}

/// Spells counts for a client of `dialect`.
pub fn encode(dialect: Dialect, usage: &Usage) -> WireUsage {
    match dialect {
        Dialect::Chat => WireUsage::Chat(usage.into()),
        Dialect::Resp => WireUsage::Resp(usage.into()),
        Dialect::Anth => WireUsage::Anth(usage.into()),
        Dialect::Gem => WireUsage::Gem(usage.into()),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// `usage` of Chat Completions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct ChatCounts {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: OutputDetails,
}

/// `usage` of Responses.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct RespCounts {
    input_tokens: u64,
    input_tokens_details: PromptDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_write_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    audio_tokens: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    audio_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    accepted_prediction_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    rejected_prediction_tokens: u64,
}

/// `usage` of Messages.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct AnthCounts {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation: Option<CacheCreation>,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tool_use: Option<ServerToolUse>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct ServerToolUse {
    web_search_requests: u64,
    web_fetch_requests: u64,
}

/// `usageMetadata` of Gemini.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GemCounts {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cached_content_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    tool_use_prompt_token_count: u64,
    candidates_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    thoughts_token_count: u64,
    total_token_count: u64,
}

impl From<&Usage> for PromptDetails {
    fn from(usage: &Usage) -> Self {
        let tokens = &usage.tokens;
        Self {
            cached_tokens: tokens.cached,
            cache_write_tokens: tokens.cache_write_5m.saturating_add(tokens.cache_write_1h),
            audio_tokens: usage.detail.audio_in,
        }
    }
}

impl From<&Usage> for OutputDetails {
    fn from(usage: &Usage) -> Self {
        Self {
            reasoning_tokens: usage.tokens.reasoning,
            audio_tokens: usage.detail.audio_out,
            accepted_prediction_tokens: usage.detail.accepted_prediction,
            rejected_prediction_tokens: usage.detail.rejected_prediction,
        }
    }
}

impl From<&Usage> for ChatCounts {
    fn from(usage: &Usage) -> Self {
        Self {
            prompt_tokens: usage.tokens.input,
            completion_tokens: usage.tokens.output,
            total_tokens: usage.tokens.total(),
            prompt_tokens_details: usage.into(),
            completion_tokens_details: usage.into(),
        }
    }
}

impl From<&Usage> for RespCounts {
    fn from(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.tokens.input,
            input_tokens_details: usage.into(),
            output_tokens: usage.tokens.output,
            output_tokens_details: usage.into(),
            total_tokens: usage.tokens.total(),
        }
    }
}

impl From<&Usage> for AnthCounts {
    fn from(usage: &Usage) -> Self {
        let tokens = &usage.tokens;
        let written = tokens.cache_write_5m.saturating_add(tokens.cache_write_1h);
        let split = CacheCreation {
            ephemeral_5m_input_tokens: tokens.cache_write_5m,
            ephemeral_1h_input_tokens: tokens.cache_write_1h,
        };
        let server_tools = ServerToolUse {
            web_search_requests: usage.detail.web_searches,
            web_fetch_requests: usage.detail.web_fetches,
        };
        let ran_any = usage.detail.web_searches > 0 || usage.detail.web_fetches > 0;
        Self {
            input_tokens: tokens.input.saturating_sub(tokens.cached).saturating_sub(written),
            cache_creation_input_tokens: written,
            cache_read_input_tokens: tokens.cached,
            // Without hour-long writes the sum says it all.
            cache_creation: (tokens.cache_write_1h > 0).then_some(split),
            output_tokens: tokens.output,
            server_tool_use: ran_any.then_some(server_tools),
        }
    }
}

impl From<&Usage> for GemCounts {
    fn from(usage: &Usage) -> Self {
        let tokens = &usage.tokens;
        let tool_prompt = usage.detail.tool_prompt.min(tokens.input);
        Self {
            prompt_token_count: tokens.input.saturating_sub(tool_prompt),
            cached_content_token_count: tokens.cached,
            tool_use_prompt_token_count: tool_prompt,
            candidates_token_count: tokens.output.saturating_sub(tokens.reasoning),
            thoughts_token_count: tokens.reasoning,
            total_token_count: tokens.total(),
        }
    }
}
