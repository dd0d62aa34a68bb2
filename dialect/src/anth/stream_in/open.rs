//! The block that is being streamed.

use crate::ir::ServerTool;

/// An open block.
#[derive(Debug)]
pub(super) struct OpenBlock {
    /// Its index in the source.
    pub(super) index: u32,
    pub(super) kind: Kind,
    /// Its part, once it said something.
    pub(super) part: Option<u32>,
    /// What is known only at its end: a signature, or the arguments of a call that the provider runs.
    pub(super) held: String,
}

/// What kind of block it is. Blocks of other kinds come whole.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Thinking,
    ToolUse,
    ServerTool(Box<ServerTool>),
}

impl OpenBlock {
    pub(super) fn new(index: u32, kind: Kind) -> Self {
        Self { index, kind, part: None, held: String::new() }
    }

    /// Whether it is reasoning with a signature.
    pub(super) fn is_signed_thinking(&self) -> bool {
        matches!(self.kind, Kind::Thinking) && !self.held.is_empty()
    }
}
