//! Declarations of tools, and which of them must be used, on the wire.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::ir::{Builtin, BuiltinTool, FunctionTool, RawJson, Tool, ToolChoice, ToolMode};
use crate::resp::object::raw_json;
use crate::resp::wire::{self, Fields};
use crate::{Dialect, json as text};

/// A tool that takes nothing.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// A declaration; `None` for a built-in tool of another dialect.
pub(in crate::resp) fn encode_tool(tool: &Tool, with_strict: bool) -> Option<wire::Tool<'_>> {
    Some(match tool {
        Tool::Function(function) => encode_function(function, with_strict),
        Tool::Custom { name, description, format } => wire::Tool::Custom {
            kind: "custom",
            name,
            description: description.as_deref(),
            format: format.as_ref(),
        },
        Tool::Namespace { name, description, tools } => wire::Tool::Namespace {
            kind: "namespace",
            name,
            description: description.as_deref(),
            tools: tools.iter().filter_map(|tool| encode_tool(tool, with_strict)).collect(),
        },
        Tool::Builtin(builtin) if builtin.origin == Dialect::Resp => wire::Tool::Raw(&builtin.raw),
        Tool::Builtin(_) => return None,
    })
}

fn encode_function(function: &FunctionTool, with_strict: bool) -> wire::Tool<'_> {
    wire::Tool::Function {
        kind: "function",
        name: &function.name,
        description: function.description.as_deref(),
        parameters: parameters(function.schema.as_ref()),
        strict: function.strict.filter(|_| with_strict),
        defer_loading: function.defer_loading,
        ext: Fields(Some(&function.ext)),
    }
}

/// The schema of the arguments: an object, always with properties.
fn parameters(schema: Option<&RawJson>) -> Cow<'_, RawJson> {
    let Some(schema) = schema.filter(|schema| schema.is_object()) else {
        return Cow::Owned(raw_json(NO_PARAMETERS));
    };
    let written = schema.get();
    let is_object = text::member(written, "type") == Some("\"object\"");
    if text::is_blank(written) {
        return Cow::Owned(raw_json(NO_PARAMETERS));
    }
    if is_object && text::member(written, "properties").is_none() {
        let rest = written.strip_prefix('{').unwrap_or_default();
        return Cow::Owned(raw_json(&format!(r#"{{"properties":{{}},{rest}"#)));
    }
    Cow::Borrowed(schema)
}

/// `tool_choice`. Tools go by different types here, so their declarations are looked up.
pub(in crate::resp) fn encode_tool_choice(choice: &ToolChoice, tools: &[Tool]) -> Value {
    match choice {
        ToolChoice::Auto | ToolChoice::Validated => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Named(name) => by_name(name, tools),
        ToolChoice::NamedBuiltin(kind) => declared_type(*kind, tools)
            .map_or_else(|| "auto".into(), |kind| json!({ "type": kind })),
        ToolChoice::Allowed { mode, names } => json!({
            "type": "allowed_tools",
            "mode": match mode {
                ToolMode::Auto => "auto",
                ToolMode::Any => "required",
            },
            "tools": names.iter().map(|name| by_name(name, tools)).collect::<Vec<_>>(),
        }),
    }
}

fn by_name(name: &str, tools: &[Tool]) -> Value {
    let flat = tools.iter().flat_map(|tool| match tool {
        Tool::Namespace { tools, .. } => tools.as_slice(),
        other => std::slice::from_ref(other),
    });
    for tool in flat {
        match tool {
            Tool::Function(function) if function.name == name => break,
            Tool::Custom { name: custom, .. } if custom == name => {
                return json!({ "type": "custom", "name": name });
            }
            // The declaration's type is what a list of allowed tools names it by.
            Tool::Builtin(BuiltinTool { origin: Dialect::Resp, raw, .. })
                if raw_type(raw).as_deref() == Some(name) =>
            {
                return json!({ "type": name });
            }
            Tool::Function(_) | Tool::Custom { .. } | Tool::Namespace { .. } | Tool::Builtin(_) => {
            }
        }
    }
    json!({ "type": "function", "name": name })
}

fn raw_type(raw: &RawJson) -> Option<Cow<'_, str>> {
    text::member(raw.get(), "type").and_then(text::string)
}

fn declared_type(kind: Builtin, tools: &[Tool]) -> Option<Cow<'_, str>> {
    tools.iter().find_map(|tool| match tool {
        Tool::Builtin(tool) if tool.kind == kind && tool.origin == Dialect::Resp => {
            raw_type(&tool.raw)
        }
        _ => None,
    })
}
