//! Tools, fitted to a target: forms that it has not, names and ids that it does not take, choices that
//! make no sense (translation §2.4, item 11; §2.5). What must be undone in the answer is noted in the plan.

use std::collections::HashSet;

use serde_json::json;

use super::names::{NameMap, NameRules};
use super::{ClientTool, Envelope, ReplyPlan, Target, WarningKind, Warnings, free_text_input, ids};
use crate::Dialect;
use crate::effort::Effort;
use crate::ir::{
    FunctionTool, Part, Request, Str, Tool, ToolChoice, ToolInput, ToolKind, ToolMode, ToolResult,
    ToolUse,
};
use crate::profile::Quirk;

/// Fits declarations, history and choice, in this order.
pub fn adapt(
    request: &mut Request,
    target: &Target,
    plan: &mut ReplyPlan,
    warnings: &mut Warnings,
) {
    let mut declared = declare(request, target, warnings);
    nameless_calls(request, warnings);
    plain_history(request, target);
    rename(request, target, &mut declared, plan, warnings);
    fit_ids(request, target);
    choose(request, target, warnings);
    sober_choice(request, target, warnings);
}

/// What a client calls a function that the target knows under another name or form.
struct Declared {
    /// The name upstream, before it is fitted.
    name: Str,
    client: ClientTool,
}

/// The name of a member of a namespace, for targets that have none (T065).
fn qualified(namespace: &str, name: &str) -> Str {
    format!("{namespace}__{name}").into()
}

/// Puts declarations into forms that the target has; empty and repeated names go.
fn declare(request: &mut Request, target: &Target, warnings: &mut Warnings) -> Vec<Declared> {
    let flat = target.dialect != Dialect::Resp;
    let mut declared = Vec::new();
    let mut nested = Vec::new();
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in std::mem::take(&mut request.tools) {
        match tool {
            Tool::Namespace { name, tools: members, .. } if flat => {
                nested.extend(members.into_iter().map(|member| (Some(name.clone()), member)));
            }
            tool => tools.push((None, tool)),
        }
    }
    // Top-level declarations win over those of namespaces.
    tools.extend(nested);
    let mut seen = HashSet::new();
    for (namespace, tool) in tools {
        let (mut function, kind) = match tool {
            Tool::Function(function) => (function, ToolKind::Function),
            Tool::Custom { name, description, .. } if flat => {
                warnings.push(WarningKind::Changed, "tools", "free text goes as a JSON argument");
                (free_text(name, description), ToolKind::Custom)
            }
            // Namespaces hold no namespaces.
            Tool::Namespace { .. } if namespace.is_some() => continue,
            tool => {
                request.tools.push(tool);
                continue;
            }
        };
        if function.name.is_empty() {
            warnings.push(WarningKind::Dropped, "tools", "a tool without a name");
            continue;
        }
        let client_name = function.name.clone();
        if let Some(namespace) = &namespace {
            function.name = qualified(namespace, &function.name);
        }
        if !seen.insert(function.name.clone()) {
            warnings.push(WarningKind::Dropped, "tools", "a second tool of the same name");
            continue;
        }
        let unwrap_input = kind == ToolKind::Custom;
        let client = ClientTool {
            name: client_name,
            namespace,
            kind,
            unwrap_input,
            strip_placeholder: false,
        };
        declared.push(Declared { name: function.name.clone(), client });
        fit_fields(&mut function, target);
        request.tools.push(Tool::Function(function));
    }
    declared
}

/// A custom tool as a function with one argument.
fn free_text(name: Str, description: Option<Str>) -> FunctionTool {
    let schema = json!({
        "type": "object",
        "properties": { "input": { "type": "string" } },
        "required": ["input"],
    });
    FunctionTool { name, description, schema: Some(schema.into()), ..FunctionTool::default() }
}

/// Fields that only some targets take.
fn fit_fields(function: &mut FunctionTool, target: &Target) {
    if target.dialect == Dialect::Gem || target.profile.no_strict {
        function.strict = None;
    }
    if target.dialect != Dialect::Anth {
        function.defer_loading = None;
    }
}

/// Calls without a name, and their results, become text: no target takes them, and nothing is lost.
fn nameless_calls(request: &mut Request, warnings: &mut Warnings) {
    let mut nameless = HashSet::new();
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        let text = match part {
            Part::ToolUse(call) if call.name.is_empty() => {
                nameless.insert(call.id.clone());
                let args = match &call.input {
                    ToolInput::Json(json) => json.get(),
                    ToolInput::Text(text) => text,
                };
                format!("[tool call without name] {args}")
            }
            Part::ToolResult(result) if nameless.contains(&result.id) => {
                let mut text = format!("[tool result {}]", result.id);
                for part in &result.content {
                    if let Part::Text(part) = part {
                        text.push(' ');
                        text.push_str(&part.text);
                    }
                }
                text
            }
            _ => continue,
        };
        *part = Part::text(text);
        warnings.push(WarningKind::Changed, "messages", "a call without a name goes as text");
    }
}

/// Calls in the history, in the forms in which their tools are declared.
fn plain_history(request: &mut Request, target: &Target) {
    if target.dialect == Dialect::Resp {
        return;
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match part {
            Part::ToolUse(call) => {
                if let Some(namespace) = call.namespace.take() {
                    call.name = qualified(&namespace, &call.name);
                }
                if call.kind == ToolKind::Custom {
                    call.kind = ToolKind::Function;
                    if let ToolInput::Text(text) = &call.input {
                        call.input = ToolInput::Json(free_text_input(text));
                    }
                }
            }
            Part::ToolResult(result) if result.kind == ToolKind::Custom => {
                result.kind = ToolKind::Function;
            }
            _ => {}
        }
    }
}

fn rename(
    request: &mut Request,
    target: &Target,
    declared: &mut Vec<Declared>,
    plan: &mut ReplyPlan,
    warnings: &mut Warnings,
) {
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    let history = parts.filter_map(|part| match part {
        Part::ToolUse(ToolUse { name, .. }) => Some(name),
        _ => None,
    });
    let names =
        NameMap::new(NameRules::of(target), declared.iter().map(|d| &d.name).chain(history));
    for tool in &mut request.tools {
        if let Tool::Function(function) = tool {
            let name = names.get(&function.name);
            if name != function.name {
                let field = format!("tools.{}", function.name);
                warnings.push(WarningKind::Renamed, field, format!("to {name}"));
                function.name = name;
            }
        }
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match part {
            Part::ToolUse(ToolUse { name, .. })
            | Part::ToolResult(ToolResult { name: Some(name), .. }) => *name = names.get(name),
            _ => {}
        }
    }
    match &mut request.tool_choice {
        Some(ToolChoice::Named(name)) => *name = chosen(declared, &names, name),
        Some(ToolChoice::Allowed { names: allowed, .. }) => {
            for name in allowed {
                *name = chosen(declared, &names, name);
            }
        }
        _ => {}
    }
    for Declared { name, client } in declared.drain(..) {
        let upstream = names.get(&name);
        let alike = upstream == client.name && client.namespace.is_none() && !client.unwrap_input;
        if !alike {
            plan.tools.insert(upstream, client);
        }
    }
}

/// The upstream's name of a tool that a choice names as the client does.
fn chosen(declared: &[Declared], names: &NameMap, name: &Str) -> Str {
    let known = declared.iter().find(|d| d.name == *name);
    let known = known.or_else(|| declared.iter().find(|d| d.client.name == *name));
    names.get(known.map_or(name, |declared| &declared.name))
}

/// Ids of calls as the target takes them; the same for a call and its result.
fn fit_ids(request: &mut Request, target: &Target) {
    let fit = |id: &mut Str| {
        let fitted = match target.dialect {
            Dialect::Anth if target.envelope == Envelope::Kiro => {
                ids::plain_call_id(&ids::short_call_id(id)).into_owned().into()
            }
            Dialect::Anth => ids::plain_call_id(id),
            Dialect::Resp => ids::short_call_id(id),
            Dialect::Chat if target.profile.id_len9 => ids::nine_character_call_id(id),
            Dialect::Chat | Dialect::Gem => return,
        };
        if *fitted != **id {
            *id = fitted.into_owned().into();
        }
    };
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match part {
            Part::ToolUse(ToolUse { id, .. }) | Part::ToolResult(ToolResult { id, .. })
                if !id.is_empty() =>
            {
                fit(id);
            }
            _ => {}
        }
    }
}

/// A choice must name tools that exist, in a way that the target has.
fn choose(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    if request.tools.is_empty() {
        if request.tool_choice.take().is_some() {
            warnings.push(WarningKind::Dropped, "tool_choice", "there are no tools");
        }
        request.parallel_tool_calls = None;
        return;
    }
    let known: HashSet<Str> = request
        .tools
        .iter()
        .flat_map(|tool| match tool {
            Tool::Function(function) => vec![function.name.clone()],
            Tool::Custom { name, .. } => vec![name.clone()],
            Tool::Builtin(tool) => tool.name.iter().cloned().collect(),
            Tool::Namespace { name: space, tools, .. } => tools
                .iter()
                .filter_map(|tool| match tool {
                    Tool::Function(FunctionTool { name, .. }) | Tool::Custom { name, .. } => {
                        Some(name)
                    }
                    Tool::Namespace { .. } | Tool::Builtin(_) => None,
                })
                .flat_map(|name| [name.clone(), qualified(space, name)])
                .collect(),
        })
        .collect();
    let choice = match request.tool_choice.take() {
        Some(ToolChoice::Named(name)) if !known.contains(&name) => {
            warnings.push(WarningKind::Changed, "tool_choice", "names a tool that does not exist");
            Some(ToolChoice::Auto)
        }
        Some(ToolChoice::Allowed { mode, mut names }) => {
            names.retain(|name| known.contains(name));
            Some(allow(request, target, mode, names))
        }
        Some(ToolChoice::Validated) if target.dialect != Dialect::Gem => Some(ToolChoice::Auto),
        choice => choice,
    };
    request.tool_choice = choice;
}

/// Where the target cannot name what is allowed, what is not allowed is not declared.
fn allow(request: &mut Request, target: &Target, mode: ToolMode, names: Vec<Str>) -> ToolChoice {
    let plain = match mode {
        ToolMode::Auto => ToolChoice::Auto,
        ToolMode::Any => ToolChoice::Any,
    };
    if names.is_empty() {
        return plain;
    }
    match (target.dialect, mode) {
        (Dialect::Chat | Dialect::Resp, _) | (Dialect::Gem, ToolMode::Any) => {
            ToolChoice::Allowed { mode, names }
        }
        (Dialect::Anth, _) | (Dialect::Gem, ToolMode::Auto) => {
            request.tools.retain(|tool| match tool {
                Tool::Function(function) => names.contains(&function.name),
                Tool::Custom { .. } | Tool::Namespace { .. } | Tool::Builtin(_) => true,
            });
            plain
        }
    }
}

/// Claude does not think when it is forced to call. Clients that force a call depend on it, so thinking
/// goes, unless the upstream is known to want it the other way round.
fn sober_choice(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    let thinks = request.reasoning.effort.is_some_and(|effort| effort != Effort::Off);
    let forced = matches!(
        request.tool_choice,
        Some(
            ToolChoice::Any
                | ToolChoice::Named(_)
                | ToolChoice::Allowed { mode: ToolMode::Any, .. }
        )
    );
    if target.dialect != Dialect::Anth || !thinks || !forced {
        return;
    }
    if target.has(Quirk::ToolChoiceAutoWhenThinking) {
        request.tool_choice = Some(ToolChoice::Auto);
        warnings.push(WarningKind::Changed, "tool_choice", "auto, because of thinking");
    } else {
        request.reasoning.effort = None;
        warnings.push(WarningKind::Dropped, "thinking", "a forced tool choice excludes it");
    }
}

#[cfg(test)]
mod tests;
