//! The events of a Messages stream as they are written.

use serde::Serialize;

use crate::ir::RawJson;
use crate::usage::AnthCounts;

/// One event.
#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum Frame<'a> {
    #[serde(rename = "message_start")]
    MessageStart { message: StartMessage<'a> },
    #[serde(rename = "content_block_start")]
    BlockStart { index: u32, content_block: StartBlock<'a> },
    #[serde(rename = "content_block_delta")]
    BlockDelta { index: u32, delta: Delta<'a> },
    #[serde(rename = "content_block_stop")]
    BlockStop { index: u32 },
    #[serde(rename = "message_delta")]
    MessageDelta { delta: EndDelta<'a>, usage: AnthCounts },
    #[serde(rename = "message_stop")]
    MessageStop {},
}

impl Frame<'_> {
    /// Writes the event with its name.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let name = match self {
            Self::MessageStart { .. } => "message_start",
            Self::BlockStart { .. } => "content_block_start",
            Self::BlockDelta { .. } => "content_block_delta",
            Self::BlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop {} => "message_stop",
        };
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let start = out.len();
        // Writing to a vector cannot fail, and all keys are strings.
        serde_json::to_writer(&mut *out, self).unwrap_or_default();
        // What is carried along may have been written over several lines.
        crate::json::one_line(out.get_mut(start..).unwrap_or_default());
        out.extend_from_slice(b"\n\n");
    }
}

/// The message as far as it is known at its start.
#[derive(Serialize)]
pub(super) struct StartMessage<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: [(); 0],
    stop_reason: Option<()>,
    stop_sequence: Option<()>,
    usage: AnthCounts,
}

impl<'a> StartMessage<'a> {
    pub(super) fn new(id: &'a str, model: &'a str, usage: AnthCounts) -> Self {
        Self {
            id,
            kind: "message",
            role: "assistant",
            model,
            content: [],
            stop_reason: None,
            stop_sequence: None,
            usage,
        }
    }
}

/// A block at its start.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum StartBlock<'a> {
    Known(KnownBlock<'a>),
    /// As it came, whole.
    Same(&'a RawJson),
}

impl<'a> StartBlock<'a> {
    pub(super) fn text() -> Self {
        Self::Known(KnownBlock::Text { text: "" })
    }

    pub(super) fn thinking() -> Self {
        Self::Known(KnownBlock::Thinking { thinking: "", signature: "" })
    }

    pub(super) fn redacted(data: &'a str) -> Self {
        Self::Known(KnownBlock::RedactedThinking { data })
    }

    pub(super) fn tool_use(id: &'a str, name: &'a str) -> Self {
        Self::Known(KnownBlock::ToolUse { id, name, input: Nothing {} })
    }

    pub(super) fn server_tool_use(id: &'a str, name: &'a str) -> Self {
        Self::Known(KnownBlock::ServerToolUse { id, name, input: Nothing {} })
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum KnownBlock<'a> {
    Text { text: &'static str },
    Thinking { thinking: &'static str, signature: &'static str },
    ToolUse { id: &'a str, name: &'a str, input: Nothing },
    ServerToolUse { id: &'a str, name: &'a str, input: Nothing },
    RedactedThinking { data: &'a str },
}

/// `{}`.
#[derive(Serialize)]
pub(super) struct Nothing {}

/// More of a block.
#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: &'a str },
    #[serde(rename = "citations_delta")]
    Citation { citation: &'a RawJson },
}

impl<'a> Delta<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text { text }
    }

    pub(super) fn thinking(thinking: &'a str) -> Self {
        Self::Thinking { thinking }
    }

    pub(super) fn input(partial_json: &'a str) -> Self {
        Self::Input { partial_json }
    }
}

/// Why the answer ends.
#[derive(Serialize)]
pub(super) struct EndDelta<'a> {
    pub(super) stop_reason: &'static str,
    pub(super) stop_sequence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_details: Option<&'a RawJson>,
}
