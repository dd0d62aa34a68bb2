//! Parts of a turn, in the order in which they were said.

use super::{Citation, Ext, MediaSource, RawJson, Str};
use crate::Dialect;

/// One part of a turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Text.
    Text(TextPart),
    /// An image.
    Image {
        /// Its bytes.
        source: MediaSource,
        /// OpenAI's resolution hint, verbatim.
        detail: Option<Str>,
        /// The client's caching mark.
        cache: Option<CacheMark>,
        /// A signature that the model put on a generated image.
        signature: Option<Signature>,
        /// Unknown fields.
        ext: Ext,
    },
    /// A PDF or plain text document.
    Document {
        /// Its bytes.
        source: MediaSource,
        /// The file's name.
        name: Option<Str>,
        /// Anthropic's title.
        title: Option<Str>,
        /// Anthropic's context.
        context: Option<Str>,
        /// Whether the answer may cite it.
        citations: bool,
        /// The client's caching mark.
        cache: Option<CacheMark>,
        /// Unknown fields.
        ext: Ext,
    },
    /// Sound.
    Audio {
        /// Its bytes.
        source: MediaSource,
        /// OpenAI's format word (`wav`, `mp3`, `pcm16` …); empty = the one that was asked for.
        format: Str,
        /// What is said in it.
        transcript: Option<Str>,
        /// The id of an earlier answer's sound.
        id: Option<Str>,
    },
    /// A film.
    Video {
        /// Its bytes.
        source: MediaSource,
        /// Google's `videoMetadata`.
        metadata: Option<RawJson>,
    },
    /// The model calls a tool of the client.
    ToolUse(ToolUse),
    /// What a tool of the client answered.
    ToolResult(ToolResult),
    /// Reasoning.
    Thinking(Thinking),
    /// Reasoning that only its maker can read: `redacted_thinking`, or a reasoning item that has
    /// nothing but `encrypted_content`.
    Redacted {
        /// The sealed reasoning and who sealed it.
        seal: Signature,
        /// The id of the Responses item.
        item_id: Option<Str>,
    },
    /// The model refuses, in words.
    Refusal {
        /// The words.
        text: Str,
    },
    /// A tool that the provider ran itself.
    ServerTool(ServerTool),
    /// Instructions that stand between turns. The only part of its user turn.
    SystemNote {
        /// The text.
        text: Str,
        /// Whether the source said `developer`.
        developer: bool,
        /// The client's caching mark.
        cache: Option<CacheMark>,
    },
    /// A block that this program does not know; given back to the same dialect only.
    Opaque {
        /// The dialect.
        dialect: Dialect,
        /// The block.
        raw: RawJson,
    },
}

impl Part {
    /// Plain text.
    pub fn text(text: impl Into<Str>) -> Self {
        Self::Text(TextPart { text: text.into(), ..TextPart::default() })
    }

    /// The client's caching mark on this part.
    pub fn cache(&self) -> Option<&CacheMark> {
        match self {
            Self::Text(TextPart { cache, .. })
            | Self::Image { cache, .. }
            | Self::Document { cache, .. }
            | Self::ToolUse(ToolUse { cache, .. })
            | Self::ToolResult(ToolResult { cache, .. })
            | Self::SystemNote { cache, .. } => cache.as_ref(),
            Self::Audio { .. }
            | Self::Video { .. }
            | Self::Thinking(_)
            | Self::Redacted { .. }
            | Self::Refusal { .. }
            | Self::ServerTool(_)
            | Self::Opaque { .. } => None,
        }
    }

    /// Where the caching mark of this part stands; `None` for parts that take none.
    pub fn cache_mut(&mut self) -> Option<&mut Option<CacheMark>> {
        match self {
            Self::Text(TextPart { cache, .. })
            | Self::Image { cache, .. }
            | Self::Document { cache, .. }
            | Self::ToolUse(ToolUse { cache, .. })
            | Self::ToolResult(ToolResult { cache, .. })
            | Self::SystemNote { cache, .. } => Some(cache),
            Self::Audio { .. }
            | Self::Video { .. }
            | Self::Thinking(_)
            | Self::Redacted { .. }
            | Self::Refusal { .. }
            | Self::ServerTool(_)
            | Self::Opaque { .. } => None,
        }
    }
}

/// Text and what hangs on it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TextPart {
    /// The text.
    pub text: Str,
    /// The client's caching mark.
    pub cache: Option<CacheMark>,
    /// Where statements in it come from.
    pub citations: Vec<Citation>,
    /// A signature that the model put on it (Gemini 3).
    pub signature: Option<Signature>,
    /// The `phase` of a Responses message item (`commentary`, `final_answer`), verbatim.
    pub phase: Option<Str>,
    /// Unknown fields.
    pub ext: Ext,
}

/// A call of a tool that the client runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolUse {
    /// The id that pairs call and result. Blank until repair gives it one.
    pub id: Str,
    /// The name of the tool, without its namespace.
    pub name: Str,
    /// The arguments.
    pub input: ToolInput,
    /// How the tool was declared.
    pub kind: ToolKind,
    /// The Responses namespace it belongs to.
    pub namespace: Option<Str>,
    /// A signature that the model put on the call (Gemini 3).
    pub signature: Option<Signature>,
    /// The client's caching mark.
    pub cache: Option<CacheMark>,
    /// Unknown fields.
    pub ext: Ext,
}

/// Arguments of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolInput {
    /// A JSON object, as the model wrote it.
    Json(RawJson),
    /// Anything else: free text of a custom tool, or arguments that are no JSON object. The encoders
    /// decide by [`ToolKind`] (translation §2.4, items 9 and 11).
    Text(Str),
}

/// How a tool is called.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ToolKind {
    /// JSON arguments.
    Function,
    /// Free text (`custom` of Responses).
    Custom,
    /// A client-run tool with a wire form of its own, by its call item's name: `local_shell_call`,
    /// `shell_call`, `apply_patch_call`, `computer_call`.
    Native(Str),
}

/// The answer of a tool that the client ran.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolResult {
    /// The id of the call.
    pub id: Str,
    /// The name of the tool, where the source gave it.
    pub name: Option<Str>,
    /// What it says: text, images, documents.
    pub content: Vec<Part>,
    /// Whether the tool failed.
    pub is_error: bool,
    /// How the tool is called.
    pub kind: ToolKind,
    /// The client's caching mark.
    pub cache: Option<CacheMark>,
    /// Unknown fields.
    pub ext: Ext,
}

/// Reasoning in words.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Thinking {
    /// The words; may be empty when the provider shows none but signed them.
    pub text: Str,
    /// The maker's signature.
    pub signature: Option<Signature>,
    /// Whether the words are a summary of the reasoning.
    pub summary: bool,
    /// The id of the Responses item.
    pub item_id: Option<Str>,
    /// Unknown fields.
    pub ext: Ext,
}

/// A call that the provider ran itself (web search …), and its result once known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerTool {
    /// The provider's id of the call.
    pub id: Str,
    /// Anthropic's name of the tool (`web_search`), or the Responses item type.
    pub name: Str,
    /// The arguments.
    pub input: RawJson,
    /// The result, in the wire form of `origin`.
    pub result: Option<RawJson>,
    /// The dialect whose wire form `input` and `result` have.
    pub origin: Dialect,
    /// Unknown fields of the call.
    pub ext: Ext,
}

/// Proof of reasoning, verified by the model family that made it. Never forged, never read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Signature {
    /// Who made it.
    pub family: SigFamily,
    /// The value as given.
    pub value: Str,
}

/// A family of models that verifies its own signatures only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SigFamily {
    /// Claude.
    Claude,
    /// Gemini.
    Gemini,
    /// OpenAI.
    OpenAi,
    /// Grok.
    Grok,
    /// Not known yet: treated as foreign, save where the client's own dialect is the target's (§2.7).
    Unknown,
}

/// A caching mark (`cache_control`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheMark {
    /// How long the cache lives.
    pub ttl: CacheTtl,
    /// The mark as written, given back to Anthropic as it is; `None` for a mark of the router's own.
    pub raw: Option<RawJson>,
}

/// How long a cached prefix lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CacheTtl {
    /// Five minutes.
    Minutes5,
    /// One hour.
    Hour1,
}
