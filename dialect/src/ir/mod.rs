//! The neutral form: what any dialect can say, as a turn of ordered parts (translation §1.4–§1.6).
//!
//! It is wider than any one dialect. Decoders fill what their dialect knows and leave the rest at its
//! default; encoders take what their dialect can say and name what they had to leave out. Nothing here knows the spelling of a wire format.
//!
//! Conventions: text is [`Str`], cheap to clone, because several attempts may encode one request;
//! JSON that is only carried along is [`RawJson`], kept as written (numbers beyond 2^53 survive);
//! `None` means "the source did not say", never "the default".

mod citation;
mod event;
mod ext;
pub(crate) mod failure;
mod media;
mod order;
mod part;
mod raw;
mod request;
mod response;
mod tool;
mod usage;

pub use citation::{Citation, CitationKind, CitationSpan};
pub use event::{Event, PartKind};
pub use ext::{Ext, ExtField};
pub use failure::Failure;
pub use media::{MediaSource, Modality};
pub use order::{EventOrder, OutOfOrder};
pub use part::{
    CacheMark, CacheTtl, Part, ServerTool, SigFamily, Signature, TextPart, Thinking, ToolInput,
    ToolKind, ToolResult, ToolUse,
};
pub use raw::RawJson;
pub use request::{
    AudioOutput, CachePolicy, ImageOutput, OutputFormat, Reasoning, Request, Role, Sampling,
    ServiceTier, Summary, SystemOrigin, SystemPart, Turn, Verbosity,
};
pub use response::{Choice, Finish, Response};
pub use tool::{Builtin, BuiltinConfig, BuiltinTool, FunctionTool, Tool, ToolChoice, ToolMode};
pub use usage::{Usage, UsageDetail};

/// Text of the neutral form: immutable, cheap to clone and to slice, made from a `String` without a copy.
pub type Str = bytestring::ByteString;
