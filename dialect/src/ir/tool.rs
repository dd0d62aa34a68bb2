//! Tools that a model may use, and which of them it must.

use super::{CacheMark, Ext, RawJson, Str};
use crate::Dialect;

/// A declaration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tool {
    /// A tool that takes JSON.
    Function(FunctionTool),
    /// A tool that takes free text (Responses).
    Custom {
        /// Its name.
        name: Str,
        /// What it does.
        description: Option<Str>,
        /// The `format` that the text must follow.
        format: Option<RawJson>,
    },
    /// A group of tools that share a prefix (Responses).
    Namespace {
        /// The group's name.
        name: Str,
        /// What the group is for.
        description: Option<Str>,
        /// Its members; no group holds a group.
        tools: Vec<Tool>,
    },
    /// A tool with a form of its own in its dialect, run by the provider or by the client.
    Builtin(BuiltinTool),
}

/// A tool that takes JSON.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct FunctionTool {
    /// Its name as the client wrote it.
    pub name: Str,
    /// What it does.
    pub description: Option<Str>,
    /// The JSON schema of its arguments; `None` = it takes none. Gemini's upper-case types are kept
    /// until a target's cleaning lowers them.
    pub schema: Option<RawJson>,
    /// Whether arguments must follow the schema.
    pub strict: Option<bool>,
    /// The client's caching mark.
    pub cache: Option<CacheMark>,
    /// Anthropic: declared, but not shown to the model until searched for.
    pub defer_loading: Option<bool>,
    /// Unknown fields.
    pub ext: Ext,
}

/// A built-in tool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltinTool {
    /// What it does, across dialects.
    pub kind: Builtin,
    /// The name by which calls of it come (`bash`, `web_search`), where the dialect has one.
    pub name: Option<Str>,
    /// Where it was declared.
    pub origin: Dialect,
    /// The declaration as written, given back to the same dialect as it is.
    pub raw: RawJson,
    /// What other dialects can take over.
    pub config: BuiltinConfig,
}

/// What built-in tools do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Builtin {
    /// Searches the web.
    WebSearch,
    /// Reads pages.
    WebFetch,
    /// Runs code on the provider's side.
    CodeExecution,
    /// Searches uploaded files.
    FileSearch,
    /// Makes images.
    ImageGeneration,
    /// Drives a desktop.
    ComputerUse,
    /// Runs commands on the client's side.
    Shell,
    /// Edits files on the client's side.
    TextEditor,
    /// Applies patches on the client's side.
    ApplyPatch,
    /// Keeps notes on the client's side.
    Memory,
    /// Calls an MCP server from the provider's side.
    Mcp,
    /// Searches tools.
    ToolSearch,
    /// Looks up places.
    Maps,
    /// Anything else.
    Other,
}

/// Settings of built-in tools that more than one dialect has.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct BuiltinConfig {
    /// The most times it may run.
    pub max_uses: Option<u32>,
    /// Only these domains.
    pub allowed_domains: Vec<Str>,
    /// Not these domains.
    pub blocked_domains: Vec<Str>,
    /// Where the user is, in the form that Anthropic and OpenAI share.
    pub user_location: Option<RawJson>,
}

/// Which tools the model must use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// None.
    None,
    /// One at least.
    Any,
    /// This one.
    Named(Str),
    /// This built-in one.
    NamedBuiltin(Builtin),
    /// Only among these.
    Allowed {
        /// Whether it must use one.
        mode: ToolMode,
        /// Their names.
        names: Vec<Str>,
    },
    /// As the model decides, arguments checked against the schema (Gemini's `VALIDATED`).
    Validated,
}

/// Whether a tool must be used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ToolMode {
    /// The model decides.
    Auto,
    /// One at least.
    Any,
}
