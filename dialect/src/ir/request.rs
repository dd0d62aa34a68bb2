//! A request in the neutral form (translation §1.4).

use serde_json::{Map, Value};

use super::{CacheMark, Ext, Modality, Part, RawJson, Str, Tool, ToolChoice};
use crate::effort::Effort;

/// What a client asks.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// The model as the client wrote it; encoders write the target's own id.
    pub model: Str,
    /// Instructions that stand before the first turn, in order.
    pub system: Vec<SystemPart>,
    /// The conversation.
    pub turns: Vec<Turn>,
    /// Declared tools.
    pub tools: Vec<Tool>,
    /// Which of them must be used.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// The output cap, reasoning included, tokens.
    pub max_tokens: Option<u32>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<Str>,
    /// How many answers.
    pub n: Option<u32>,
    /// Whether to report log probabilities.
    pub logprobs: Option<bool>,
    /// How many alternatives to report for each token.
    pub top_logprobs: Option<u8>,
    /// Bias by token id (chat only).
    pub logit_bias: Option<RawJson>,
    /// The form of the answer.
    pub output: OutputFormat,
    /// Kinds of output; empty = the client did not say.
    pub modalities: Vec<Modality>,
    /// How sound is to be made.
    pub audio: Option<AudioOutput>,
    /// How images are to be made.
    pub image: Option<ImageOutput>,
    /// How much to reason, and what of it to show.
    pub reasoning: Reasoning,
    /// How long the answer should be.
    pub verbosity: Option<Verbosity>,
    /// Prompt caching.
    pub cache: CachePolicy,
    /// The end user (`user`; `metadata.user_id` of Anthropic).
    pub user: Option<Str>,
    /// OpenAI's successor of `user`.
    pub safety_identifier: Option<Str>,
    /// The client's own notes on the request.
    pub metadata: Map<String, Value>,
    /// Whether the provider may keep the answer.
    pub store: Option<bool>,
    /// Speed class.
    pub service_tier: Option<ServiceTier>,
    /// A stored answer to continue from (Responses).
    pub previous_response_id: Option<Str>,
    /// A stored conversation to continue (Responses).
    pub conversation: Option<RawJson>,
    /// Whether the answer may be made in the background (Responses).
    pub background: Option<bool>,
    /// What to do with too long a conversation (Responses).
    pub truncation: Option<Str>,
    /// Extra parts of the answer, verbatim (Responses).
    pub include: Vec<Str>,
    /// Edits of the history by the provider (Anthropic, Responses; each only to its own dialect).
    pub context_management: Option<(crate::Dialect, RawJson)>,
    /// Safety thresholds (Gemini only).
    pub safety_settings: Option<RawJson>,
    /// Whether to stream. For Gemini the action decides, the caller sets it.
    pub stream: bool,
    /// Whether the client wants usage in a chat stream.
    pub include_usage: bool,
    /// Unknown top-level fields.
    pub ext: Ext,
}

/// One instruction before the first turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SystemPart {
    /// The text.
    pub text: Str,
    /// The client's caching mark.
    pub cache: Option<CacheMark>,
    /// Where it stood.
    pub origin: SystemOrigin,
    /// Unknown fields.
    pub ext: Ext,
}

/// Where an instruction stood.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SystemOrigin {
    /// In the dialect's own field.
    Top,
    /// In a `system` message.
    System,
    /// In a `developer` message.
    Developer,
}

/// What one side says before the other speaks. Results of tools are parts of a user turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Whose turn it is.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// The speaker's name (chat).
    pub name: Option<Str>,
    /// Unknown fields.
    pub ext: Ext,
}

impl Turn {
    /// A turn without a name or unknown fields.
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts, name: None, ext: Ext::default() }
    }

    /// Takes over a turn of the same side that comes right after this one. Of unknown fields that both have,
    /// the later one's stands.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.parts.extend(later.parts);
        self.ext.update(later.ext);
    }
}

/// The two sides of a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// The client's.
    User,
    /// The model's.
    Assistant,
}

/// How tokens are drawn. Numbers as the client wrote them.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Sampling {
    /// 0 … 2 (Anthropic: 0 … 1).
    pub temperature: Option<f64>,
    /// 0 … 1.
    pub top_p: Option<f64>,
    /// Tokens.
    pub top_k: Option<u32>,
    /// −2 … 2.
    pub frequency_penalty: Option<f64>,
    /// −2 … 2.
    pub presence_penalty: Option<f64>,
    /// For repeatable answers.
    pub seed: Option<i64>,
    /// 0 … 1 (vendors of chat).
    pub min_p: Option<f64>,
    /// Vendors of chat.
    pub repetition_penalty: Option<f64>,
}

/// The form of the answer.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON after a schema.
    JsonSchema {
        /// The schema's name.
        name: Option<Str>,
        /// What it describes.
        description: Option<Str>,
        /// The schema.
        schema: RawJson,
        /// Whether it binds.
        strict: Option<bool>,
    },
}

/// How sound is to be made.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct AudioOutput {
    /// The voice: OpenAI's word, or Google's `speechConfig` in [`AudioOutput::raw`].
    pub voice: Option<Str>,
    /// OpenAI's format word.
    pub format: Option<Str>,
    /// Google's `speechConfig`.
    pub raw: Option<RawJson>,
}

/// How images are to be made.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ImageOutput {
    /// Like `16:9`.
    pub aspect_ratio: Option<Str>,
    /// Like `1K`.
    pub size: Option<Str>,
}

/// How much to reason, and what of it to show (translation §1.6).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Reasoning {
    /// How much; `None` = the client did not say.
    pub effort: Option<Effort>,
    /// What the client gets to see.
    pub summary: Summary,
    /// Whether sealed reasoning is to be sent along (`include: reasoning.encrypted_content`).
    pub include_encrypted: bool,
}

/// What of the reasoning the client gets to see.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub enum Summary {
    /// The client did not say.
    #[default]
    Unset,
    /// Nothing, by request (`exclude: true`, `includeThoughts: false`, no summary).
    None,
    /// As the provider likes.
    Auto,
    /// Short.
    Concise,
    /// Long.
    Detailed,
    /// Signatures without words (Anthropic's `display: omitted`).
    Hidden,
}

/// How long the answer should be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verbosity {
    /// Short.
    Low,
    /// Medium.
    Medium,
    /// Long.
    High,
}

/// Speed class, verbatim; dialects use the same words for different things (§2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceTier {
    /// The dialect whose word it is.
    pub dialect: crate::Dialect,
    /// The word.
    pub name: Str,
}

/// Prompt caching beside the marks on parts.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CachePolicy {
    /// `prompt_cache_key`.
    pub key: Option<Str>,
    /// `prompt_cache_retention`, verbatim.
    pub retention: Option<Str>,
    /// The name of Gemini's stored content.
    pub cached_content: Option<Str>,
    /// Anthropic's top-level `cache_control`: the provider places the mark.
    pub automatic: Option<CacheMark>,
}
