//! Built-in tools towards other dialects (translation §2.5, last table): searches and the like under
//! their name there, tools that the client runs as functions, everything else left out.

use serde_json::{Map, Value, json};

use super::{ClientTool, Envelope, ReplyPlan, Target, WarningKind, Warnings};
use crate::Dialect;
use crate::gem::is_gemini_3;
use crate::ir::{
    Builtin, BuiltinConfig, BuiltinTool, FunctionTool, Modality, RawJson, Request, Str, Tool,
    ToolChoice, ToolKind,
};

/// Replaces the built-in tools of other dialects. How the client knows those that became functions is
/// noted in the plan.
pub fn map(request: &mut Request, target: &Target, plan: &mut ReplyPlan, warnings: &mut Warnings) {
    let mut tools: Vec<Tool> = Vec::with_capacity(request.tools.len());
    let mut became: Vec<(Builtin, Str)> = Vec::new();
    for tool in std::mem::take(&mut request.tools) {
        let builtin = match tool {
            Tool::Builtin(builtin)
                if builtin.origin != target.dialect || target.envelope == Envelope::Kiro =>
            {
                builtin
            }
            tool => {
                tools.push(tool);
                continue;
            }
        };
        if let Some((function, kind)) = as_function(&builtin) {
            let name = function.name.clone();
            let taken =
                tools.iter().any(|tool| matches!(tool, Tool::Function(f) if f.name == name));
            if !taken {
                note(plan, &name, kind);
                became.push((builtin.kind, name));
                tools.push(Tool::Function(function));
            }
            continue;
        }
        if builtin.kind == Builtin::ImageGeneration && target.dialect == Dialect::Gem {
            // Gemini makes images without being given a tool for it.
            request.modalities = vec![Modality::Text, Modality::Image];
            continue;
        }
        match translated(&builtin, target) {
            Some(builtin) => tools.push(Tool::Builtin(builtin)),
            None => {
                let note = "the target has no such built-in tool";
                warnings.push(WarningKind::Dropped, "tools", note);
            }
        }
    }
    request.tools = tools;
    search_beside_functions(request, target, warnings);
    show_deferred(request);
    choose(request, &became, warnings);
}

/// A tool that the client runs, as a function with its published schema (T064).
fn as_function(tool: &BuiltinTool) -> Option<(FunctionTool, ToolKind)> {
    let native = |call: &'static str| ToolKind::Native(Str::from_static(call));
    let raw_type = crate::json::member(tool.raw.get(), "type").unwrap_or_default();
    let (name, kind, description, schema) = match (tool.origin, tool.kind) {
        (Dialect::Anth, Builtin::Shell) => {
            ("bash", ToolKind::Function, "Run a command in a persistent bash shell.", BASH)
        }
        (Dialect::Anth, Builtin::TextEditor) => (
            "str_replace_based_edit_tool",
            ToolKind::Function,
            "View, create and edit text files.",
            TEXT_EDITOR,
        ),
        (Dialect::Anth, Builtin::Memory) => {
            ("memory", ToolKind::Function, "Keep notes in files under /memories.", MEMORY)
        }
        (Dialect::Resp, Builtin::Shell) if raw_type == "\"local_shell\"" => {
            ("local_shell", native("local_shell_call"), "Run a command.", LOCAL_SHELL)
        }
        (Dialect::Resp, Builtin::Shell) if !is_hosted(tool) => {
            ("shell", native("shell_call"), "Run commands in a shell.", SHELL)
        }
        (Dialect::Resp, Builtin::ApplyPatch) => (
            "apply_patch",
            native("apply_patch_call"),
            "Create, update or delete a file with a diff.",
            APPLY_PATCH,
        ),
        _ => return None,
    };
    let function = FunctionTool {
        name: tool.name.clone().unwrap_or_else(|| Str::from_static(name)),
        description: Some(Str::from_static(description)),
        schema: RawJson::parse(schema).ok(),
        ..FunctionTool::default()
    };
    Some((function, kind))
}

/// A shell in the provider's own container.
fn is_hosted(tool: &BuiltinTool) -> bool {
    let environment = crate::json::member(tool.raw.get(), "environment");
    let kind = environment.and_then(|raw| crate::json::member(raw, "type"));
    kind.is_some_and(|kind| kind.starts_with("\"container"))
}

const BASH: &str = r#"{"type":"object","properties":{"command":{"type":"string","description":"The command to run."},"restart":{"type":"boolean","description":"Restart the shell instead."}}}"#;
const TEXT_EDITOR: &str = r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"]},"path":{"type":"string"},"file_text":{"type":"string","description":"For create."},"old_str":{"type":"string","description":"For str_replace."},"new_str":{"type":"string","description":"For str_replace and insert."},"insert_line":{"type":"integer","description":"For insert: the line after which."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line."}},"required":["command","path"]}"#;
const MEMORY: &str = r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}}},"required":["command"]}"#;
const LOCAL_SHELL: &str = r#"{"type":"object","properties":{"type":{"type":"string","enum":["exec"]},"command":{"type":"array","items":{"type":"string"},"description":"Program and arguments."},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"},"env":{"type":"object","properties":{}}},"required":["type","command","env"]}"#;
const SHELL: &str = r#"{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"}},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},"required":["commands"]}"#;
const APPLY_PATCH: &str = r#"{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},"diff":{"type":"string"}},"required":["type","path"]}"#;

/// The client is called in the form of its own declaration.
fn note(plan: &mut ReplyPlan, name: &Str, kind: ToolKind) {
    if kind == ToolKind::Function {
        return;
    }
    let tool = ClientTool {
        name: name.clone(),
        namespace: None,
        kind,
        unwrap_input: false,
        strip_placeholder: false,
    };
    plan.tools.insert(name.clone(), tool);
}

/// The tool of the target that does the same; `None` where it has none.
fn translated(tool: &BuiltinTool, target: &Target) -> Option<BuiltinTool> {
    let (name, raw) = match (tool.kind, target.dialect) {
        _ if target.envelope == Envelope::Kiro => return None,
        (Builtin::WebSearch, Dialect::Resp) => (None, search_of_responses(&tool.config)),
        (Builtin::WebSearch, Dialect::Anth) => {
            (Some("web_search"), search_of_anthropic(&tool.config))
        }
        (Builtin::WebSearch, Dialect::Gem) => (None, json!({ "googleSearch": {} })),
        // Only search models take it; any other refuses the request.
        (Builtin::WebSearch, Dialect::Chat) if target.model.contains("search") => {
            (None, search_of_chat(&tool.config))
        }
        (Builtin::WebFetch, Dialect::Anth) => {
            let raw = json!({ "type": "web_fetch_20250910", "name": "web_fetch" });
            (Some("web_fetch"), raw)
        }
        (Builtin::WebFetch, Dialect::Gem) => (None, json!({ "urlContext": {} })),
        (Builtin::CodeExecution, Dialect::Resp) => {
            (None, json!({ "type": "code_interpreter", "container": { "type": "auto" } }))
        }
        (Builtin::CodeExecution, Dialect::Anth) => {
            let raw = json!({ "type": "code_execution_20250825", "name": "code_execution" });
            (Some("code_execution"), raw)
        }
        (Builtin::CodeExecution, Dialect::Gem) => (None, json!({ "codeExecution": {} })),
        _ => return None,
    };
    Some(BuiltinTool {
        kind: tool.kind,
        name: name.map(Str::from_static),
        origin: target.dialect,
        raw: raw.into(),
        config: tool.config.clone(),
    })
}

fn location(config: &BuiltinConfig) -> Option<Value> {
    config.user_location.as_ref()?.to_value().ok().filter(Value::is_object)
}

fn domains(domains: &[Str]) -> Value {
    domains.iter().map(|domain| Value::from(&**domain)).collect()
}

fn search_of_responses(config: &BuiltinConfig) -> Value {
    let mut tool = Map::new();
    tool.insert("type".into(), "web_search".into());
    if !config.allowed_domains.is_empty() {
        let filters = json!({ "allowed_domains": domains(&config.allowed_domains) });
        tool.insert("filters".into(), filters);
    }
    if let Some(location) = location(config) {
        tool.insert("user_location".into(), location);
    }
    Value::Object(tool)
}

fn search_of_anthropic(config: &BuiltinConfig) -> Value {
    let mut tool = Map::new();
    tool.insert("type".into(), "web_search_20250305".into());
    tool.insert("name".into(), "web_search".into());
    if let Some(max_uses) = config.max_uses {
        tool.insert("max_uses".into(), max_uses.into());
    }
    // One list or the other; both together are refused.
    if !config.allowed_domains.is_empty() {
        tool.insert("allowed_domains".into(), domains(&config.allowed_domains));
    } else if !config.blocked_domains.is_empty() {
        tool.insert("blocked_domains".into(), domains(&config.blocked_domains));
    }
    if let Some(location) = location(config) {
        tool.insert("user_location".into(), location);
    }
    Value::Object(tool)
}

/// `web_search_options`, which is no element of `tools`.
fn search_of_chat(config: &BuiltinConfig) -> Value {
    match location(config) {
        Some(Value::Object(mut place)) => {
            place.remove("type");
            json!({ "user_location": { "type": "approximate", "approximate": place } })
        }
        _ => json!({}),
    }
}

/// Gemini before 3 refuses a search beside functions; the functions are what the client needs.
fn search_beside_functions(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    if target.dialect != Dialect::Gem || is_gemini_3(&target.model) {
        return;
    }
    let functions = request.tools.iter().any(|tool| matches!(tool, Tool::Function(_)));
    let is_search =
        |tool: &Tool| matches!(tool, Tool::Builtin(BuiltinTool { kind: Builtin::WebSearch, .. }));
    if functions && request.tools.iter().any(is_search) {
        request.tools.retain(|tool| !is_search(tool));
        warnings.push(WarningKind::Dropped, "googleSearch", "not beside functions");
    }
}

/// Without a search among tools, a deferred one would never be seen.
fn show_deferred(request: &mut Request) {
    let can_search = request
        .tools
        .iter()
        .any(|tool| matches!(tool, Tool::Builtin(BuiltinTool { kind: Builtin::ToolSearch, .. })));
    if !can_search {
        for tool in &mut request.tools {
            if let Tool::Function(function) = tool {
                function.defer_loading = None;
            }
        }
    }
}

/// A choice names tools as they are called now.
fn choose(request: &mut Request, became: &[(Builtin, Str)], warnings: &mut Warnings) {
    if request.tools.is_empty() {
        request.tool_choice = None;
        request.parallel_tool_calls = None;
        return;
    }
    let Some(ToolChoice::NamedBuiltin(kind)) = &request.tool_choice else { return };
    let declared = request
        .tools
        .iter()
        .any(|tool| matches!(tool, Tool::Builtin(builtin) if builtin.kind == *kind));
    if declared {
        return;
    }
    let function = became.iter().find(|(builtin, _)| builtin == kind);
    request.tool_choice = Some(match function {
        Some((_, name)) => ToolChoice::Named(name.clone()),
        None => {
            warnings.push(WarningKind::Changed, "tool_choice", "names a tool that was left out");
            ToolChoice::Auto
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(origin: Dialect, kind: Builtin, raw: Value) -> Tool {
        let name = raw.get("name").and_then(Value::as_str).map(|name| name.to_owned().into());
        let config = BuiltinConfig::default();
        Tool::Builtin(BuiltinTool { kind, name, origin, raw: raw.into(), config })
    }

    fn mapped(request: &mut Request, target: &Target) -> (ReplyPlan, usize) {
        let mut plan = ReplyPlan::new(Dialect::Resp, request, 0);
        let mut warnings = Warnings::default();
        map(request, target, &mut plan, &mut warnings);
        (plan, warnings.as_slice().len())
    }

    fn with(tools: Vec<Tool>) -> Request {
        Request { tools, ..Request::default() }
    }

    fn raw(request: &Request) -> Option<Value> {
        match request.tools.as_slice() {
            [] => None,
            [Tool::Builtin(builtin)] => Some(builtin.raw.to_value().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn t063_searches_go_by_the_name_of_the_target() {
        let search = || {
            with(vec![tool(
                Dialect::Resp,
                Builtin::WebSearch,
                json!({"type": "web_search_preview"}),
            )])
        };
        for (dialect, model, want) in [
            (
                Dialect::Anth,
                "m",
                Some(json!({"type": "web_search_20250305", "name": "web_search"})),
            ),
            (Dialect::Gem, "m", Some(json!({"googleSearch": {}}))),
            (Dialect::Chat, "gpt-4o-search-preview", Some(json!({}))),
            (Dialect::Chat, "m", None),
            (Dialect::Resp, "m", Some(json!({"type": "web_search_preview"}))),
        ] {
            let mut request = search();
            request.tool_choice = Some(ToolChoice::NamedBuiltin(Builtin::WebSearch));
            mapped(&mut request, &Target::new(dialect, model));
            assert_eq!(raw(&request), want, "{dialect:?} {model}");
            assert_eq!(request.tool_choice.is_some(), want.is_some());
        }
    }

    #[test]
    fn settings_of_searches_are_taken_over_where_they_exist() {
        let config = BuiltinConfig {
            max_uses: Some(3),
            allowed_domains: vec!["a.org".into()],
            blocked_domains: vec!["b.org".into()],
            user_location: RawJson::parse(r#"{"type":"approximate","city":"Oslo"}"#).ok(),
        };
        let place = json!({"type": "approximate", "city": "Oslo"});
        assert_eq!(
            search_of_anthropic(&config),
            json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3,
                "allowed_domains": ["a.org"], "user_location": place})
        );
        assert_eq!(
            search_of_responses(&config),
            json!({"type": "web_search", "filters": {"allowed_domains": ["a.org"]},
                "user_location": place})
        );
        assert_eq!(
            search_of_chat(&config),
            json!({"user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}})
        );
    }

    #[test]
    fn t064_tools_that_the_client_runs_become_functions() {
        let bash =
            tool(Dialect::Anth, Builtin::Shell, json!({"type": "bash_20250124", "name": "bash"}));
        let mut request = with(vec![bash.clone()]);
        mapped(&mut request, &Target::new(Dialect::Chat, "m"));
        let [Tool::Function(function)] = request.tools.as_slice() else { panic!("{request:?}") };
        assert_eq!(function.name, "bash");
        let schema = function.schema.as_ref().unwrap().to_value().unwrap();
        assert_eq!(schema["properties"]["command"]["type"], "string");

        let mut own = with(vec![bash.clone()]);
        mapped(&mut own, &Target::new(Dialect::Anth, "m"));
        assert_eq!(own.tools, [bash]);
    }

    #[test]
    fn calls_of_native_tools_come_back_in_their_own_form() {
        for (declaration, kind, call) in [
            (json!({"type": "local_shell"}), Builtin::Shell, "local_shell_call"),
            (json!({"type": "shell"}), Builtin::Shell, "shell_call"),
            (json!({"type": "apply_patch"}), Builtin::ApplyPatch, "apply_patch_call"),
        ] {
            let mut request = with(vec![tool(Dialect::Resp, kind, declaration)]);
            request.tool_choice = Some(ToolChoice::NamedBuiltin(kind));
            let (plan, _) = mapped(&mut request, &Target::new(Dialect::Anth, "m"));
            let [Tool::Function(function)] = request.tools.as_slice() else {
                panic!("{request:?}")
            };
            assert_eq!(request.tool_choice, Some(ToolChoice::Named(function.name.clone())));
            let client = plan.tools.get(&function.name).unwrap();
            assert_eq!(client.kind, ToolKind::Native(call.into()));
        }
        let hosted = json!({"type": "shell", "environment": {"type": "container_auto"}});
        let mut request = with(vec![tool(Dialect::Resp, Builtin::Shell, hosted)]);
        assert_eq!(mapped(&mut request, &Target::new(Dialect::Anth, "m")).1, 1);
        assert_eq!(request.tools, []);
    }

    #[test]
    fn older_geminis_get_functions_or_a_search() {
        let tools = || {
            let function = FunctionTool { name: "f".into(), ..FunctionTool::default() };
            vec![
                tool(Dialect::Gem, Builtin::WebSearch, json!({"googleSearch": {}})),
                Tool::Function(function),
            ]
        };
        for (model, left) in [("gemini-2.5-pro", 1), ("gemini-3-pro", 2)] {
            let mut request = with(tools());
            mapped(&mut request, &Target::new(Dialect::Gem, model));
            assert_eq!(request.tools.len(), left, "{model}");
        }
    }

    #[test]
    fn images_are_made_without_a_tool_at_gemini() {
        let image =
            tool(Dialect::Resp, Builtin::ImageGeneration, json!({"type": "image_generation"}));
        let mut request = with(vec![image]);
        mapped(&mut request, &Target::new(Dialect::Gem, "m"));
        assert_eq!(request.modalities, [Modality::Text, Modality::Image]);
        assert_eq!(request.tools, []);
    }
}
