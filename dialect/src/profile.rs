//! What an OpenAI-compatible upstream takes and wants (translation §5.5), and the catalog's quirks.

use serde::{Deserialize, Serialize};

/// How reasoning is asked for on the wire `openai_chat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningStyle {
    /// `reasoning_effort`.
    Effort,
    /// `thinking: {type}`.
    ThinkingType,
    /// `enable_thinking` and `thinking_budget`.
    EnableThinking,
    /// `reasoning: {…}`.
    Openrouter,
    /// The upstream has no such switch.
    None,
}

/// How a model is told to reason (providers §1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Think {
    /// `thinking: {type: adaptive}` and `output_config.effort`.
    ClaudeAdaptive,
    /// `thinking: {type: enabled, budget_tokens}`.
    ClaudeBudget,
    /// `reasoning_effort`, or `reasoning.effort` on the responses wires.
    OpenaiEffort,
    /// `thinkingConfig.thinkingLevel`.
    GeminiLevel,
    /// `thinkingConfig.thinkingBudget`.
    GeminiBudget,
    /// `thinking: {type}`, newer models also `reasoning_effort`.
    Zai,
    /// `enable_thinking`, `thinking_budget`.
    Qwen,
    /// `thinking: {type}`, the K3 family also `reasoning_effort`.
    Kimi,
    /// `thinking: {type}` and `reasoning_effort` high or max.
    Deepseek,
    /// `thinking: {type: adaptive}`.
    Minimax,
    /// `thinking: {type}` with a budget.
    Hunyuan,
    /// `reasoning_effort` up to high.
    Step,
    /// Tags or request fields of the Kiro wire.
    Kiro,
}

/// Spelling of the output limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxField {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// Role of system text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemRole {
    /// `system`.
    System,
    /// `developer`.
    Developer,
}

/// Where Codex is given the instructions of clients of other dialects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodexSystem {
    /// In front of the conversation, as a `developer` message: for a long time the backend took no
    /// `instructions` but its own.
    Developer,
    /// In `instructions`.
    Instructions,
}

/// Non-default flags of an upstream.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// How reasoning is asked for; `None` = the model's `think` says.
    pub reasoning_style: Option<ReasoningStyle>,
    /// Earlier reasoning is sent back.
    pub reasoning_history: bool,
    /// Thinking blocks without signature are accepted (wire `anthropic_messages`).
    pub unsigned_thinking_ok: bool,
    /// Reasoning arrives as tags inside the text.
    pub think_tags: bool,
    /// Streams report usage when asked.
    pub supports_stream_usage: bool,
    /// Spelling of the output limit; `None` = as the client wrote it.
    pub max_field: Option<MaxField>,
    /// Role of system text; `None` = as the client wrote it.
    pub system_role: Option<SystemRole>,
    /// One system message only.
    pub merge_system: bool,
    /// System messages may stand between turns.
    pub mid_system_ok: bool,
    /// Message content must be a string.
    pub string_content_only: bool,
    /// An empty list of tools is refused.
    pub no_empty_tools: bool,
    /// `parallel_tool_calls` is refused.
    pub no_parallel_flag: bool,
    /// `strict` in tool declarations is refused.
    pub no_strict: bool,
    /// A JSON schema as response format is refused.
    pub no_response_schema: bool,
    /// Frequency and presence penalties are refused.
    pub no_penalties: bool,
    /// `seed` is refused.
    pub no_seed: bool,
    /// `top_k` is taken.
    pub top_k: bool,
    /// Tool call ids have exactly nine letters and digits.
    pub id_len9: bool,
    /// Reasoning tokens are not part of the completion tokens.
    pub xai_usage: bool,
    /// One choice only.
    pub single_choice: bool,
    /// A clean end of the stream after content is the end.
    pub eof_is_end: bool,
    /// Tool results must be strings.
    pub tool_content_string: bool,
    /// An assistant message with tool calls needs `content: null`.
    pub assistant_null_content: bool,
    /// Schemas may be plain JSON Schema (`parametersJsonSchema`), not Google's subset, from Gemini 2.5 on
    /// (wire `gemini`).
    pub gem_json_schema: bool,
    /// Google's subset takes `anyOf`, from Gemini 2.0 on (wire `gemini`).
    pub gem_anyof: bool,
    /// Tool calls in the history are refused without declarations of tools.
    pub needs_tools_with_history: bool,
    /// Text behind a tool call of the same turn is refused (wire `anthropic_messages`).
    pub anth_strict_tool_tail: bool,
    /// The router places caching marks where the client has none (wire `anthropic_messages`); `None` =
    /// for Claude alone.
    pub auto_cache: Option<bool>,
    /// Where instructions of clients of other dialects stand (Codex).
    pub codex_system: CodexSystem,
    /// The upstream's own tool for images is offered with every request (Codex).
    pub codex_image_tool: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            reasoning_style: None,
            reasoning_history: false,
            unsigned_thinking_ok: false,
            think_tags: false,
            supports_stream_usage: true,
            max_field: None,
            system_role: None,
            merge_system: false,
            mid_system_ok: false,
            string_content_only: false,
            no_empty_tools: false,
            no_parallel_flag: false,
            no_strict: false,
            no_response_schema: false,
            no_penalties: false,
            no_seed: false,
            top_k: false,
            id_len9: false,
            xai_usage: false,
            single_choice: false,
            eof_is_end: false,
            tool_content_string: false,
            assistant_null_content: false,
            gem_json_schema: false,
            gem_anyof: false,
            needs_tools_with_history: false,
            anth_strict_tool_tail: false,
            auto_cache: None,
            codex_system: CodexSystem::Developer,
            codex_image_tool: false,
        }
    }
}

/// A rule of one upstream that no profile flag names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// Every assistant message carries `reasoning_content`.
    ReasoningEchoAll,
    /// Assistant messages with tool calls carry `reasoning_content`.
    ReasoningEchoToolCalls,
    /// Top-level `client_metadata` is removed.
    DropClientMetadata,
    /// `output_config` is removed (Anthropic wire).
    DropOutputConfig,
    /// `cache_control` on content parts is kept on the wire `openai_chat`.
    KeepCacheControl,
    /// Streams always ask for usage.
    StreamIncludeUsage,
    /// A system message stands first.
    RequireSystemMessage,
    /// With thinking on, a forced tool choice becomes `auto`.
    ToolChoiceAutoWhenThinking,
}
