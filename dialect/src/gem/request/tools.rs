//! `tools` and `toolConfig`, in.

use super::super::wire::string;
use super::keep;
use crate::ir::{
    Builtin, BuiltinConfig, BuiltinTool, FunctionTool, RawJson, Request, Str, Tool, ToolChoice,
    ToolMode,
};
use crate::translate::{WarningKind, Warnings};
use crate::{Dialect, json};

/// Reads `tools`: declarations of functions, and tools that Google runs.
pub(super) fn decode(raw: &str, warnings: &mut Warnings) -> Vec<Tool> {
    let mut tools = Vec::new();
    let mut one = |raw: &str| {
        let whole = json::visit(raw, |key, raw| match key {
            "functionDeclarations" | "function_declarations" => {
                json::visit_elements(raw, |raw| tools.extend(function(raw)));
            }
            _ if raw == "null" => {}
            key => tools.extend(builtin(key, raw)),
        });
        if !whole {
            warnings.push(WarningKind::Dropped, "tools", "not an object");
        }
    };
    if json::is_array(raw) {
        json::visit_elements(raw, one);
    } else {
        one(raw);
    }
    tools
}

fn function(raw: &str) -> Option<Tool> {
    let mut tool = FunctionTool::default();
    json::visit(raw, |key, raw| match key {
        "name" => tool.name = string(raw).unwrap_or_default().as_ref().into(),
        "description" => tool.description = string(raw).map(|text| text.as_ref().into()),
        "parameters" | "parametersJsonSchema" | "parameters_json_schema" => {
            if raw != "null" {
                tool.schema = RawJson::parse(raw).ok().or(tool.schema.take());
            }
        }
        key => keep(&mut tool.ext, key, raw),
    })
    .then_some(Tool::Function(tool))
}

fn builtin(key: &str, raw: &str) -> Option<Tool> {
    let kind = match key {
        "googleSearch"
        | "google_search"
        | "googleSearchRetrieval"
        | "google_search_retrieval"
        | "enterpriseWebSearch"
        | "enterprise_web_search" => Builtin::WebSearch,
        "urlContext" | "url_context" => Builtin::WebFetch,
        "codeExecution" | "code_execution" => Builtin::CodeExecution,
        "fileSearch" | "file_search" => Builtin::FileSearch,
        "computerUse" | "computer_use" => Builtin::ComputerUse,
        "googleMaps" | "google_maps" => Builtin::Maps,
        "mcpServers" | "mcp_servers" => Builtin::Mcp,
        _ => Builtin::Other,
    };
    let mut config = BuiltinConfig::default();
    if kind == Builtin::WebSearch {
        let excluded = json::member(raw, "excludeDomains").unwrap_or("[]");
        json::visit_elements(excluded, |raw| {
            config.blocked_domains.extend(string(raw).map(|domain| Str::from(domain.as_ref())));
        });
    }
    let raw = RawJson::parse(format!("{{{}:{raw}}}", json::quote(key))).ok()?;
    Some(Tool::Builtin(BuiltinTool { kind, name: None, origin: Dialect::Gem, raw, config }))
}

/// Reads `toolConfig`. What is not about functions is kept as it is.
pub(super) fn decode_config(raw: &str, request: &mut Request) {
    let mut rest = Vec::new();
    json::visit(raw, |key, raw| match key {
        "functionCallingConfig" | "function_calling_config" => {
            request.tool_choice = choice(raw);
        }
        key => rest.push(format!("{}:{raw}", json::quote(key))),
    });
    if !rest.is_empty() {
        keep(&mut request.ext, "toolConfig", &format!("{{{}}}", rest.join(",")));
    }
}

fn choice(raw: &str) -> Option<ToolChoice> {
    let (mut mode, mut names) = (None, Vec::new());
    json::visit(raw, |key, raw| match key {
        "mode" => mode = string(raw).map(|word| word.to_ascii_uppercase()),
        "allowedFunctionNames" | "allowed_function_names" => {
            json::visit_elements(raw, |raw| {
                names.extend(string(raw).map(|name| Str::from(name.as_ref())));
            });
        }
        _ => {}
    });
    let allowed = |mode, names: Vec<Str>| ToolChoice::Allowed { mode, names };
    Some(match (mode.as_deref()?, names.len()) {
        ("AUTO", 0) => ToolChoice::Auto,
        ("NONE", _) => ToolChoice::None,
        ("ANY", 0) => ToolChoice::Any,
        ("ANY", 1) => ToolChoice::Named(names.swap_remove(0)),
        ("ANY", _) => allowed(ToolMode::Any, names),
        ("VALIDATED", 0) => ToolChoice::Validated,
        ("AUTO" | "VALIDATED", _) => allowed(ToolMode::Auto, names),
        _ => return None,
    })
}
