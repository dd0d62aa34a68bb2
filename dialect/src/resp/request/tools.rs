//! Declarations of tools, and which of them must be used (translation §2.5).

use crate::ir::{
    Builtin, BuiltinConfig, BuiltinTool, FunctionTool, Request, Str, Tool, ToolChoice, ToolMode,
};
use crate::resp::object::{Object, elements};
use crate::translate::{WarningKind, Warnings};
use crate::{Dialect, json};

/// Reads `tools` and `tool_choice`.
pub(super) fn decode(body: &Object<'_>, request: &mut Request, warnings: &mut Warnings) {
    match body.raw("tools") {
        Some(raw) if json::is_array(raw) => {
            request.tools = elements(raw).into_iter().filter_map(tool).collect();
        }
        Some(_) => warnings.push(WarningKind::Dropped, "tools", "of the wrong type"),
        None => {}
    }
    if let Some(raw) = body.raw("tool_choice") {
        request.tool_choice = choice(raw);
        if request.tool_choice.is_none() {
            warnings.push(WarningKind::Dropped, "tool_choice", "unknown");
        }
    }
}

fn tool(text: &str) -> Option<Tool> {
    let tool = Object::parse(text)?;
    match tool.word("type").as_deref().unwrap_or("function") {
        "function" => {
            // Some clients nest it as chat does.
            let nested = tool.object("function");
            Some(Tool::Function(function(nested.as_ref().unwrap_or(&tool))))
        }
        "custom" => {
            let nested = tool.object("custom");
            let custom = nested.as_ref().unwrap_or(&tool);
            Some(Tool::Custom {
                name: custom.text("name").unwrap_or_default(),
                description: custom.text("description"),
                format: custom.json("format"),
            })
        }
        "namespace" => Some(Tool::Namespace {
            name: tool.text("name").unwrap_or_default(),
            description: tool.text("description"),
            tools: tool
                .elements("tools")
                .into_iter()
                .filter_map(self::tool)
                .filter(|tool| !matches!(tool, Tool::Namespace { .. }))
                .collect(),
        }),
        kind => Some(Tool::Builtin(BuiltinTool {
            kind: builtin(kind),
            name: None,
            origin: Dialect::Resp,
            raw: tool.as_written(),
            config: config(&tool),
        })),
    }
}

fn function(tool: &Object<'_>) -> FunctionTool {
    FunctionTool {
        name: tool.text("name").unwrap_or_default(),
        description: tool.text("description"),
        schema: tool.json("parameters"),
        strict: tool.flag("strict"),
        cache: None,
        defer_loading: tool.flag("defer_loading"),
        ext: tool.others(&["type", "name", "description", "parameters", "strict", "defer_loading"]),
    }
}

/// What a built-in tool's type means across dialects.
pub(super) fn builtin(kind: &str) -> Builtin {
    match kind {
        kind if kind.starts_with("web_search") => Builtin::WebSearch,
        "file_search" => Builtin::FileSearch,
        "code_interpreter" => Builtin::CodeExecution,
        "image_generation" => Builtin::ImageGeneration,
        kind if kind.starts_with("computer") => Builtin::ComputerUse,
        "local_shell" | "shell" => Builtin::Shell,
        "apply_patch" => Builtin::ApplyPatch,
        "mcp" => Builtin::Mcp,
        "tool_search" => Builtin::ToolSearch,
        _ => Builtin::Other,
    }
}

fn config(tool: &Object<'_>) -> BuiltinConfig {
    let filters = tool.object("filters").unwrap_or_default();
    let domains = |key| {
        let domains = filters.elements(key).into_iter().filter_map(json::string);
        domains.map(|domain| Str::from(domain.into_owned())).collect()
    };
    BuiltinConfig {
        max_uses: None,
        allowed_domains: domains("allowed_domains"),
        blocked_domains: domains("blocked_domains"),
        user_location: tool.json("user_location"),
    }
}

fn choice(raw: &str) -> Option<ToolChoice> {
    if let Some(word) = json::string(raw) {
        return Some(match &*word {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Any,
            _ => return None,
        });
    }
    let choice = Object::parse(raw)?;
    match choice.word("type").as_deref()? {
        kind @ ("function" | "custom" | "tool") => {
            let nested = choice.object(kind);
            let name = choice.name("name").or_else(|| nested.as_ref()?.name("name"));
            name.map(ToolChoice::Named)
        }
        "allowed_tools" => {
            let nested = choice.object("allowed_tools");
            let allowed = nested.as_ref().unwrap_or(&choice);
            let required = allowed.word("mode").is_some_and(|mode| mode == "required");
            let names = allowed.elements("tools").into_iter().filter_map(allowed_name);
            Some(ToolChoice::Allowed {
                mode: if required { ToolMode::Any } else { ToolMode::Auto },
                names: names.collect(),
            })
        }
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "any" | "required" => Some(ToolChoice::Any),
        kind => match builtin(kind) {
            Builtin::Other => None,
            kind => Some(ToolChoice::NamedBuiltin(kind)),
        },
    }
}

/// A built-in tool in the list goes by its type.
fn allowed_name(text: &str) -> Option<Str> {
    let tool = Object::parse(text)?;
    let nested = tool.object("function");
    tool.name("name").or_else(|| nested.as_ref()?.name("name")).or_else(|| tool.name("type"))
}
