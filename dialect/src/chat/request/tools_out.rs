//! Declarations and choice of tools, written (translation §2.5).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use crate::Dialect;
use crate::ir::{BuiltinTool, FunctionTool, RawJson, Request, Tool, ToolChoice, ToolMode};
use crate::json;
use crate::profile::Quirk;
use crate::translate::{Target, WarningKind, Warnings};

use super::message_out::Extra;

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireTool<'a> {
    Function {
        #[serde(rename = "type")]
        kind: &'static str,
        function: Box<WireFunction<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawJson>,
    },
    /// A vendor's own tool, as a chat client wrote it.
    Same(&'a RawJson),
}

#[derive(Serialize)]
pub(super) struct WireFunction<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Cow<'a, RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(flatten)]
    ext: Extra<'a>,
}

/// What a request declares.
#[derive(Default)]
pub(super) struct Declared<'a> {
    pub(super) tools: Vec<WireTool<'a>>,
    pub(super) web_search_options: Option<&'a RawJson>,
}

impl<'a> Declared<'a> {
    pub(super) fn of(request: &'a Request, target: &Target, warnings: &mut Warnings) -> Self {
        let mut declared = Self::default();
        for tool in &request.tools {
            declared.add(tool, None, target, warnings);
        }
        declared
    }

    fn add(
        &mut self,
        tool: &'a Tool,
        namespace: Option<&str>,
        target: &Target,
        warnings: &mut Warnings,
    ) {
        match tool {
            Tool::Function(function) => self.tools.push(declare(function, namespace, target)),
            Tool::Custom { name, description, .. } => {
                let schema = json!({"type":"object","properties":{"input":{"type":"string"}},
                    "required":["input"]});
                self.tools.push(WireTool::Function {
                    kind: "function",
                    function: Box::new(WireFunction {
                        name: named(name, namespace),
                        description: description.as_deref(),
                        parameters: Cow::Owned(RawJson::from(schema)),
                        strict: None,
                        ext: Extra(None),
                    }),
                    cache_control: None,
                });
            }
            Tool::Namespace { name, tools, .. } => {
                tools.iter().for_each(|tool| self.add(tool, Some(name), target, warnings));
            }
            Tool::Builtin(BuiltinTool { origin: Dialect::Chat, raw, .. }) => {
                // What has no type stood in a field of its own.
                if json::member(raw.get(), "type").is_some() {
                    self.tools.push(WireTool::Same(raw));
                } else {
                    self.web_search_options = Some(raw);
                }
            }
            Tool::Builtin(_) => {
                warnings.push(WarningKind::Dropped, "tools", "a built-in tool that chat lacks");
            }
        }
    }
}

fn named<'a>(name: &'a str, namespace: Option<&str>) -> Cow<'a, str> {
    match namespace {
        Some(namespace) => Cow::Owned(format!("{namespace}__{name}")),
        None => Cow::Borrowed(name),
    }
}

fn declare<'a>(tool: &'a FunctionTool, namespace: Option<&str>, target: &Target) -> WireTool<'a> {
    let parameters = match &tool.schema {
        Some(schema) => Cow::Borrowed(schema),
        None => Cow::Owned(RawJson::from(json!({"type":"object","properties":{}}))),
    };
    let mark = tool.cache.as_ref().and_then(|mark| mark.raw.as_ref());
    WireTool::Function {
        kind: "function",
        function: Box::new(WireFunction {
            name: named(&tool.name, namespace),
            description: tool.description.as_deref(),
            parameters,
            strict: tool.strict.filter(|_| !target.profile.no_strict),
            ext: Extra(Some(&tool.ext)),
        }),
        cache_control: mark.filter(|_| target.has(Quirk::KeepCacheControl)),
    }
}

/// `tool_choice`.
pub(super) fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Named(name) => json!({"type":"function","function":{"name":&**name}}),
        ToolChoice::Allowed { mode, names } => {
            let tool = |name| json!({"type":"function","function":{"name":name}});
            let tools: Vec<Value> = names.iter().map(|name| tool(&**name)).collect();
            let mode = match mode {
                ToolMode::Auto => "auto",
                ToolMode::Any => "required",
            };
            json!({"type":"allowed_tools","allowed_tools":{"mode":mode,"tools":tools}})
        }
        ToolChoice::Auto | ToolChoice::NamedBuiltin(_) | ToolChoice::Validated => "auto".into(),
    }
}
