//! Declarations of tools and the choice among them (translation §2.5).

use std::borrow::Cow;

use serde::Serialize;

use crate::anth::block;
use crate::anth::object::Object;
use crate::anth::wire::{Mark, Rest};
use crate::ir::{
    Builtin, BuiltinConfig, BuiltinTool, Ext, FunctionTool, RawJson, Request, Str, Tool,
    ToolChoice, ToolMode,
};
use crate::translate::{WarningKind, Warnings};
use crate::{Dialect, json};

/// Reads `tools`.
pub(super) fn read(raw: &str, warnings: &mut Warnings) -> Vec<Tool> {
    let mut tools = Vec::new();
    let whole = json::visit_elements(raw, |raw| match Object::read(raw) {
        Some(tool) => tools.push(read_tool(raw, tool)),
        None => warnings.push(WarningKind::Dropped, "tools", "one of them is no object"),
    });
    if !whole {
        warnings.push(WarningKind::Dropped, "tools", "it has the wrong type");
    }
    tools
}

fn read_tool(raw: &str, mut tool: Object<'_>) -> Tool {
    let kind = tool.text("type").filter(|kind| kind != "custom");
    if let Some(kind) = kind
        && let Ok(raw) = RawJson::parse(raw)
    {
        return Tool::Builtin(BuiltinTool {
            kind: builtin(&kind),
            name: tool.string("name"),
            origin: Dialect::Anth,
            raw,
            config: BuiltinConfig {
                max_uses: tool.count("max_uses"),
                allowed_domains: strings(tool.take("allowed_domains")),
                blocked_domains: strings(tool.take("blocked_domains")),
                user_location: tool.raw("user_location"),
            },
        });
    }
    Tool::Function(FunctionTool {
        name: tool.string("name").unwrap_or_default(),
        description: tool.string("description"),
        schema: tool.raw("input_schema"),
        strict: tool.flag("strict"),
        cache: block::read_mark(&mut tool),
        defer_loading: tool.flag("defer_loading"),
        ext: tool.into_ext(),
    })
}

fn strings(raw: Option<&str>) -> Vec<Str> {
    let mut texts = Vec::new();
    if let Some(raw) = raw {
        json::visit_elements(raw, |raw| {
            texts.extend(json::string(raw).map(|text| Str::from(text.into_owned())));
        });
    }
    texts
}

/// What a tool with a dated type (`web_search_20250305`) does.
fn builtin(kind: &str) -> Builtin {
    const PREFIXES: [(&str, Builtin); 9] = [
        ("web_search_", Builtin::WebSearch),
        ("web_fetch_", Builtin::WebFetch),
        ("code_execution_", Builtin::CodeExecution),
        ("bash_", Builtin::Shell),
        ("text_editor_", Builtin::TextEditor),
        ("memory_", Builtin::Memory),
        ("computer_", Builtin::ComputerUse),
        ("tool_search_tool_", Builtin::ToolSearch),
        ("mcp_toolset", Builtin::Mcp),
    ];
    PREFIXES
        .iter()
        .find(|(prefix, _)| kind.starts_with(prefix))
        .map_or(Builtin::Other, |(_, builtin)| *builtin)
}

/// Reads `tool_choice`.
pub(super) fn read_choice(raw: &str, request: &mut Request, warnings: &mut Warnings) {
    let choice = Object::read(raw);
    let Some(mut choice) = choice else {
        warnings.push(WarningKind::Dropped, "tool_choice", "it has the wrong type");
        return;
    };
    let parallel = choice.flag("disable_parallel_tool_use").map(|disabled| !disabled);
    request.parallel_tool_calls = parallel;
    request.tool_choice = match choice.text("type").unwrap_or_default().as_ref() {
        "auto" => Some(ToolChoice::Auto),
        "any" => Some(ToolChoice::Any),
        "none" => Some(ToolChoice::None),
        "tool" => choice.string("name").map(ToolChoice::Named),
        _ => {
            warnings.push(WarningKind::Dropped, "tool_choice", "its type is not known");
            None
        }
    };
}

/// A declaration.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireTool<'a> {
    Function(Function<'a>),
    /// As it came.
    Same(&'a RawJson),
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: Cow<'a, RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    defer_loading: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Mark<'a>>,
    #[serde(flatten)]
    rest: Rest<'a>,
}

/// Writes declarations. Groups and free-text tools were turned into functions before; what is left of
/// them is written as such all the same, and tools that only another dialect has are left out.
pub(super) fn write<'a>(tools: &'a [Tool], warnings: &mut Warnings) -> Vec<WireTool<'a>> {
    let mut out = Vec::with_capacity(tools.len());
    for tool in tools {
        match tool {
            Tool::Function(function) => out.push(WireTool::Function(write_function(function))),
            Tool::Custom { name, description, .. } => out.push(WireTool::Function(Function {
                name,
                description: description.as_deref().unwrap_or_default(),
                input_schema: Cow::Owned(schema(FREE_TEXT)),
                strict: None,
                defer_loading: None,
                cache_control: None,
                rest: Rest(&NO_FIELDS),
            })),
            Tool::Namespace { tools, .. } => out.extend(write(tools, warnings)),
            Tool::Builtin(builtin) if builtin.origin == Dialect::Anth => {
                out.push(WireTool::Same(&builtin.raw));
            }
            Tool::Builtin(_) => {
                warnings.push(WarningKind::Dropped, "tools", "a tool that this API does not have");
            }
        }
    }
    out
}

static NO_FIELDS: std::sync::LazyLock<Ext> = std::sync::LazyLock::new(Ext::default);
/// Arguments of a tool that takes none.
const NOTHING: &str = r#"{"type":"object","properties":{}}"#;
/// Arguments of a tool that takes free text.
const FREE_TEXT: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

fn schema(text: &'static str) -> RawJson {
    RawJson::parse(text).unwrap_or_else(|_| RawJson::from(serde_json::json!({})))
}

fn write_function(function: &FunctionTool) -> Function<'_> {
    let written = function.schema.as_ref().filter(|schema| schema.is_object());
    Function {
        name: &function.name,
        description: function.description.as_deref().unwrap_or_default(),
        input_schema: written.map_or_else(|| Cow::Owned(schema(NOTHING)), Cow::Borrowed),
        strict: function.strict,
        defer_loading: function.defer_loading,
        cache_control: Mark::of(function.cache.as_ref()),
        rest: Rest(&function.ext),
    }
}

/// `tool_choice`.
#[derive(Serialize)]
pub(super) struct Choice<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

impl<'a> Choice<'a> {
    /// `None` when there is nothing to say: no tools, or neither a choice nor a limit.
    pub(super) fn new(request: &'a Request, tools: &[WireTool<'_>]) -> Option<Self> {
        let only_one = request.parallel_tool_calls == Some(false);
        if tools.is_empty() || (request.tool_choice.is_none() && !only_one) {
            return None;
        }
        let (kind, name) = match request.tool_choice.as_ref().unwrap_or(&ToolChoice::Auto) {
            ToolChoice::Auto | ToolChoice::Validated => ("auto", None),
            ToolChoice::None => ("none", None),
            ToolChoice::Any => ("any", None),
            ToolChoice::Named(name) => ("tool", Some(&**name)),
            ToolChoice::NamedBuiltin(kind) => match builtin_name(&request.tools, *kind) {
                Some(name) => ("tool", Some(name)),
                None => ("auto", None),
            },
            // The list itself was applied to the declarations.
            ToolChoice::Allowed { mode: ToolMode::Auto, .. } => ("auto", None),
            ToolChoice::Allowed { mode: ToolMode::Any, .. } => ("any", None),
        };
        let disable_parallel_tool_use = (only_one && kind != "none").then_some(true);
        Some(Self { kind, name, disable_parallel_tool_use })
    }
}

fn builtin_name(tools: &[Tool], kind: Builtin) -> Option<&str> {
    tools.iter().find_map(|tool| match tool {
        Tool::Builtin(builtin) if builtin.kind == kind => builtin.name.as_deref(),
        _ => None,
    })
}
