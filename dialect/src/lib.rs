//! Wire formats of LLM APIs: splicing, translation, SSE framing, usage arithmetic. No I/O, no clock.
//!
//! Traffic whose two sides speak one dialect is looked at but not parsed: [`peek()`], [`edit`], [`tap`].
//! All other traffic goes through the neutral form [`ir`], see [`translate`].

pub mod anth;
pub mod body;
pub mod chat;
pub mod cloud_code;
pub mod codex;
pub mod completion_stream;
pub mod completions;
pub mod copilot;
pub mod count;
pub mod edit;
pub mod effort;
pub mod error;
mod event_stream;
pub mod gem;
pub mod hints;
pub mod hosted;
mod image_size;
pub mod ir;
mod json;
mod json_array;
pub mod kiro;
pub mod needs;
pub mod ollama;
pub mod peek;
pub mod profile;
pub mod resp;
mod scan;
mod sse;
pub mod stream_error;
pub mod tap;
pub mod translate;
pub mod upstream_error;
pub mod usage;

pub use body::{BodyVerdict, StreamBody, judge_body, sniff_stream_body};
pub use completion_stream::CompletionStream;
pub use completions::{chat_to_completion, completion_to_chat};
pub use count::estimate_tokens;
pub use edit::{BodyEdit, SplicedBody, apply_edits, splice_model};
pub use error::{ApiError, ErrorKind, ErrorShape, error_body, error_status};
pub use hints::{SessionHints, session_hints};
pub use needs::{Needs, needs};
pub use peek::{Peek, PeekError, StrField, peek, strip_bom};
pub use stream_error::{StreamPosition, bare_error, keep_alive, stream_error, stream_error_at};
pub use tap::{Framing, StreamEnd, StreamError, StreamTap, TapFault, TapOptions, TapSummary};
pub use upstream_error::{UpstreamErrorBody, parse_error_body};
pub use usage::Usage;

/// A wire format, as spoken by a client or by a provider.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Resp,
    /// Anthropic Messages.
    Anth,
    /// Google Gemini `generateContent`.
    Gem,
}

impl Dialect {
    /// The short name used in settings, logs and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Resp => "resp",
            Self::Anth => "anth",
            Self::Gem => "gem",
        }
    }

    /// The key of a request body that holds the conversation.
    pub const fn turns_key(self) -> &'static str {
        match self {
            Self::Chat | Self::Anth => "messages",
            Self::Resp => "input",
            Self::Gem => "contents",
        }
    }
}
