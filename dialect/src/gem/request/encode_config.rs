//! Requests, out: tools, which of them to use, and how to generate.

use serde_json::{Map, Value, json};

use crate::Dialect;
use crate::effort::{Effort, Level};
use crate::ir::{
    FunctionTool, Modality, OutputFormat, RawJson, Request, Summary, Tool, ToolChoice, ToolMode,
};
use crate::translate::{Target, ThinkingCaps, WarningKind, Warnings};

/// `tools`: all functions in one group, then what Google runs.
pub(super) fn tools(request: &Request, target: &Target, warnings: &mut Warnings) -> Vec<Value> {
    let mut declarations = Vec::new();
    let mut own = Vec::new();
    for tool in &request.tools {
        match tool {
            Tool::Function(tool) => declarations.push(declaration(tool, target)),
            Tool::Builtin(tool) if tool.origin == Dialect::Gem => {
                own.extend(tool.raw.to_value().ok());
            }
            Tool::Builtin(_) | Tool::Custom { .. } | Tool::Namespace { .. } => {
                warnings.push(WarningKind::Dropped, "tools", "not known to this provider");
            }
        }
    }
    let mut tools = Vec::new();
    if !declarations.is_empty() {
        tools.push(json!({ "functionDeclarations": declarations }));
    }
    tools.extend(own);
    tools
}

fn declaration(tool: &FunctionTool, target: &Target) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), (*tool.name).into());
    if let Some(description) = &tool.description {
        out.insert("description".into(), (**description).into());
    }
    if let Some(schema) = tool.schema.as_ref().and_then(|schema| schema.to_value().ok()) {
        let key = if target.takes_json_schema() { "parametersJsonSchema" } else { "parameters" };
        if says_something(&schema) {
            out.insert(key.into(), schema);
        }
    }
    for field in tool.ext.of(Dialect::Gem) {
        out.insert(field.key.to_string(), field.value.to_value().unwrap_or_default());
    }
    Value::Object(out)
}

/// A function without arguments has no schema at all (T057).
fn says_something(schema: &Value) -> bool {
    let Value::Object(members) = schema else { return false };
    members.iter().any(|(key, value)| match key.as_str() {
        "type" => value != "object" && value != "OBJECT",
        "properties" => value.as_object().is_some_and(|properties| !properties.is_empty()),
        "additionalProperties" => false,
        _ => true,
    })
}

/// `toolConfig`: which functions must be called, beside what only Gemini knows.
pub(super) fn tool_config(request: &Request, target: &Target) -> Map<String, Value> {
    let mut config = extra(request, "toolConfig");
    let claude = target.is_code_assist_claude();
    let has_functions = request.tools.iter().any(|tool| matches!(tool, Tool::Function(_)));
    let names = |names: &[crate::ir::Str]| -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    };
    let choice = match &request.tool_choice {
        // Claude behind Code Assist wants its arguments checked.
        Some(ToolChoice::Auto) | None if claude && has_functions => json!({ "mode": "VALIDATED" }),
        None | Some(ToolChoice::NamedBuiltin(_)) => return config,
        Some(ToolChoice::Auto) => json!({ "mode": "AUTO" }),
        Some(ToolChoice::None) => json!({ "mode": "NONE" }),
        Some(ToolChoice::Any) => json!({ "mode": "ANY" }),
        Some(ToolChoice::Validated) => json!({ "mode": "VALIDATED" }),
        Some(ToolChoice::Named(name)) => {
            json!({ "mode": "ANY", "allowedFunctionNames": [name.to_string()] })
        }
        Some(ToolChoice::Allowed { mode: ToolMode::Any, names: allowed }) => {
            json!({ "mode": "ANY", "allowedFunctionNames": names(allowed) })
        }
        // Only a forced choice takes names; the others were filtered out of the tools.
        Some(ToolChoice::Allowed { mode: ToolMode::Auto, .. }) => json!({ "mode": "AUTO" }),
    };
    config.insert("functionCallingConfig".into(), choice);
    config
}

/// Fields of one of Gemini's own objects that the neutral form has no place for. Such an object may
/// also come from a client of another dialect that knows whom it talks to (§2.13).
fn extra(request: &Request, key: &str) -> Map<String, Value> {
    let mut out = Map::new();
    for field in request.ext.iter().filter(|field| field.key == key) {
        if let Ok(Value::Object(members)) = field.value.to_value() {
            out.extend(members);
        }
    }
    out
}

/// `generationConfig`.
pub(super) fn generation_config(
    request: &Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Map<String, Value> {
    let mut config = extra(request, "generationConfig");
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(key.to_owned(), value);
        }
    };
    let sampling = &request.sampling;
    set("temperature", sampling.temperature.map(Value::from));
    set("topP", sampling.top_p.map(Value::from));
    set("topK", sampling.top_k.map(Value::from));
    set("maxOutputTokens", request.max_tokens.map(Value::from));
    let stop: Vec<String> =
        request.stop.iter().filter(|stop| !stop.is_empty()).map(ToString::to_string).collect();
    set("stopSequences", (!stop.is_empty()).then(|| stop.into()));
    set("candidateCount", request.n.map(Value::from));
    set("seed", sampling.seed.map(Value::from));
    set("frequencyPenalty", sampling.frequency_penalty.map(Value::from));
    set("presencePenalty", sampling.presence_penalty.map(Value::from));
    set("responseLogprobs", request.logprobs.map(Value::from));
    set("logprobs", request.top_logprobs.map(Value::from));
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => set("responseMimeType", Some("application/json".into())),
        OutputFormat::JsonSchema { schema, .. } => {
            let key =
                if target.takes_json_schema() { "responseJsonSchema" } else { "responseSchema" };
            set("responseMimeType", Some("application/json".into()));
            set(key, schema.to_value().ok());
        }
    }
    let modalities: Vec<&str> = request
        .modalities
        .iter()
        .map(|modality| match modality {
            Modality::Text => "TEXT",
            Modality::Image => "IMAGE",
            Modality::Audio => "AUDIO",
        })
        .collect();
    set("responseModalities", (!modalities.is_empty()).then(|| modalities.into()));
    if let Some(image) = &request.image {
        let mut form = Map::new();
        let words = [("aspectRatio", &image.aspect_ratio), ("imageSize", &image.size)];
        for (key, word) in words {
            form.extend(word.as_deref().map(|word| (key.to_owned(), word.into())));
        }
        set("imageConfig", (!form.is_empty()).then_some(Value::Object(form)));
    }
    if let Some(audio) = &request.audio {
        match audio.raw.as_ref().map(RawJson::to_value) {
            Some(Ok(speech)) => set("speechConfig", Some(speech)),
            _ => warnings.push(WarningKind::Dropped, "speechConfig", "voices differ by provider"),
        }
    }
    set("thinkingConfig", thinking_config(request, target));
    config
}

/// How much to think, in tokens or by name, never both (T095), and whether to show it.
fn thinking_config(request: &Request, target: &Target) -> Option<Value> {
    let reasoning = &request.reasoning;
    if target.caps.thinking == ThinkingCaps::None {
        return None;
    }
    let mut config = Map::new();
    let by_name = names_levels(target);
    match reasoning.effort {
        None => {}
        Some(Effort::Auto) if by_name => {}
        Some(Effort::Off) if by_name => {
            let lowest = lowest(target).unwrap_or(Level::Low);
            config.insert("thinkingLevel".into(), lowest.as_str().into());
        }
        Some(effort) => {
            let (key, value) = match effort.level().filter(|_| by_name) {
                Some(level) => ("thinkingLevel", Value::from(level.as_str())),
                None => ("thinkingBudget", effort.budget().map_or(-1, i64::from).into()),
            };
            config.insert(key.into(), value);
        }
    }
    let thinks = reasoning.effort.is_some_and(|effort| effort != Effort::Off);
    let shown = match reasoning.summary {
        Summary::Unset => thinks,
        Summary::Auto | Summary::Concise | Summary::Detailed => {
            reasoning.effort != Some(Effort::Off)
        }
        Summary::None | Summary::Hidden => false,
    };
    if shown {
        config.insert("includeThoughts".into(), true.into());
    }
    (!config.is_empty()).then_some(Value::Object(config))
}

/// Whether the model takes names of levels: Gemini 3 does, 2.5 wants a number.
fn names_levels(target: &Target) -> bool {
    match &target.caps.thinking {
        ThinkingCaps::Levels(_) | ThinkingCaps::Adaptive(_) => true,
        ThinkingCaps::Budget(_) | ThinkingCaps::Switch | ThinkingCaps::None => false,
        ThinkingCaps::Hybrid(..) | ThinkingCaps::Unknown => is_gemini_3(&target.model),
    }
}

fn lowest(target: &Target) -> Option<Level> {
    match &target.caps.thinking {
        ThinkingCaps::Levels(caps) | ThinkingCaps::Adaptive(caps) => caps.levels.lowest(),
        _ => None,
    }
}

/// Whether the model is of the third generation or later: it names levels and signs its calls.
pub(crate) fn is_gemini_3(model: &str) -> bool {
    let bare = model.rsplit('/').next().unwrap_or(model);
    let generation = bare.strip_prefix("gemini-").unwrap_or_default();
    let digits: String = generation.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<u32>().is_ok_and(|generation| generation >= 3) || bare == "gemini-pro-agent"
}
