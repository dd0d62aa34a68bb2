//! An answer as it comes in (translation §1.5).

use super::{
    Citation, Failure, Finish, MediaSource, Part, RawJson, ServerTool, Signature, Str, ToolKind,
    Usage,
};

/// One step of an answer.
///
/// What decoders promise and encoders rely on: `Start` comes first and once; part indices count up
/// from 0 in the order of `PartStart`, over all choices; at most one part of a choice is open, and only
/// an open part gets deltas; every part is closed before `Finish` of its choice; `Finish` comes at most
/// once for each choice; usage may come before or after it; the last event is `End` or `Failed`.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The upstream's id; may be empty.
        id: Str,
        /// The model as the upstream names it; may be empty.
        model: Str,
        /// Unix seconds, where the dialect says.
        created: Option<u64>,
        /// What is known of the prompt's size (Anthropic).
        usage: Option<Usage>,
        /// Speed class, the upstream's word.
        service_tier: Option<Str>,
        /// `system_fingerprint`.
        fingerprint: Option<Str>,
    },
    /// A part begins.
    PartStart {
        /// Its index.
        part: u32,
        /// The alternative that it belongs to.
        choice: u32,
        /// What it is.
        kind: PartKind,
    },
    /// More text.
    Text {
        /// The part.
        part: u32,
        /// The text; never empty.
        text: Str,
    },
    /// More reasoning.
    Thinking {
        /// The part.
        part: u32,
        /// The text; never empty.
        text: Str,
    },
    /// A new paragraph of the summary; encoders without such a thing write a blank line.
    ThinkingBreak {
        /// The part.
        part: u32,
    },
    /// The signature of the part, whole. Comes once, before the part's end.
    Signature {
        /// The part.
        part: u32,
        /// The signature.
        signature: Signature,
    },
    /// More of a call's arguments: a stretch of JSON text, or of free text for custom tools.
    ToolInput {
        /// The part.
        part: u32,
        /// The text; never empty.
        text: Str,
    },
    /// The text so far is supported by this.
    Citation {
        /// The part.
        part: u32,
        /// The citation.
        citation: Box<Citation>,
    },
    /// More words of a refusal.
    Refusal {
        /// The part.
        part: u32,
        /// The text; never empty.
        text: Str,
    },
    /// A stretch of sound, and what is said in it.
    Audio {
        /// The part.
        part: u32,
        /// Bytes, base64; may be empty.
        data: Str,
        /// Words; may be empty.
        transcript: Str,
    },
    /// Log probabilities of the text that came last: elements of OpenAI's `logprobs.content`.
    Logprobs {
        /// The part.
        part: u32,
        /// The elements.
        tokens: Vec<RawJson>,
    },
    /// A part is whole.
    PartStop {
        /// The part.
        part: u32,
        /// The part as the source repeats it at the end; it wins over the deltas.
        full: Option<Box<Part>>,
    },
    /// Token counts so far: a snapshot, later ones replace it.
    Usage(Usage),
    /// The model stopped.
    Finish {
        /// The alternative that ended.
        choice: u32,
        /// Why.
        finish: Finish,
        /// The upstream's own word for that.
        reason: Option<Str>,
        /// The text that ended it.
        stop_sequence: Option<Str>,
        /// What the upstream says about a refusal or a block.
        details: Option<RawJson>,
    },
    /// The upstream is alive.
    Ping,
    /// The answer is whole.
    End,
    /// The answer broke off. Encoders never see it: the caller decides what the client is told.
    Failed(Box<Failure>),
}

impl Event {
    /// The part that the event belongs to.
    pub fn part(&self) -> Option<u32> {
        match self {
            Self::PartStart { part, .. }
            | Self::Text { part, .. }
            | Self::Thinking { part, .. }
            | Self::ThinkingBreak { part }
            | Self::Signature { part, .. }
            | Self::ToolInput { part, .. }
            | Self::Citation { part, .. }
            | Self::Refusal { part, .. }
            | Self::Audio { part, .. }
            | Self::Logprobs { part, .. }
            | Self::PartStop { part, .. } => Some(*part),
            Self::Start { .. }
            | Self::Usage(_)
            | Self::Finish { .. }
            | Self::Ping
            | Self::End
            | Self::Failed(_) => None,
        }
    }

    /// The same event for another part; events that belong to no part stay as they are.
    #[must_use]
    pub fn with_part(mut self, index: u32) -> Self {
        match &mut self {
            Self::PartStart { part, .. }
            | Self::Text { part, .. }
            | Self::Thinking { part, .. }
            | Self::ThinkingBreak { part }
            | Self::Signature { part, .. }
            | Self::ToolInput { part, .. }
            | Self::Citation { part, .. }
            | Self::Refusal { part, .. }
            | Self::Audio { part, .. }
            | Self::Logprobs { part, .. }
            | Self::PartStop { part, .. } => *part = index,
            Self::Start { .. }
            | Self::Usage(_)
            | Self::Finish { .. }
            | Self::Ping
            | Self::End
            | Self::Failed(_) => {}
        }
        self
    }

    /// Whether the event is meaningful: from here on the target cannot be switched any more (§4.8).
    pub fn is_content(&self) -> bool {
        match self {
            Self::Start { .. } | Self::Ping | Self::End | Self::Failed(_) => false,
            Self::Usage(usage) => !usage.tokens.is_zero(),
            Self::PartStart { .. }
            | Self::Text { .. }
            | Self::Thinking { .. }
            | Self::ThinkingBreak { .. }
            | Self::Signature { .. }
            | Self::ToolInput { .. }
            | Self::Citation { .. }
            | Self::Refusal { .. }
            | Self::Audio { .. }
            | Self::Logprobs { .. }
            | Self::PartStop { .. }
            | Self::Finish { .. } => true,
        }
    }
}

/// What a part is when it begins.
#[derive(Clone, PartialEq, Debug)]
pub enum PartKind {
    /// Text.
    Text {
        /// The phase of a Responses message item.
        phase: Option<Str>,
    },
    /// Reasoning.
    Thinking {
        /// Whether it is a summary.
        summary: bool,
        /// The id of the Responses item.
        item_id: Option<Str>,
    },
    /// Sealed reasoning; whole.
    Redacted {
        /// The seal.
        seal: Signature,
        /// The id of the Responses item.
        item_id: Option<Str>,
    },
    /// A call of a client's tool. Starts when its name is known.
    ToolUse {
        /// The id.
        id: Str,
        /// The name as the upstream wrote it, without a namespace.
        name: Str,
        /// How it is called.
        kind: ToolKind,
        /// The Responses namespace.
        namespace: Option<Str>,
        /// The signature on the call, known at its start (Gemini).
        signature: Option<Signature>,
    },
    /// An image; whole.
    Image {
        /// Its bytes.
        source: MediaSource,
        /// The signature on it.
        signature: Option<Signature>,
    },
    /// Sound.
    Audio {
        /// The id, by which later turns refer to it.
        id: Option<Str>,
        /// OpenAI's format word.
        format: Str,
    },
    /// A tool that the provider ran; whole.
    ServerTool(Box<ServerTool>),
    /// A refusal in words.
    Refusal,
    /// A block that this program does not know; whole.
    Opaque {
        /// The dialect.
        dialect: crate::Dialect,
        /// The block.
        raw: RawJson,
    },
}
