//! Requests for an Ollama server.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::effort::{Effort, Level};
use crate::ir::{
    FunctionTool, MediaSource, OutputFormat, Part, RawJson, Request, Role, Str, Tool, ToolChoice,
    ToolInput, Turn,
};
use crate::json;
use crate::translate::{EncodedRequest, Target, TranslateError, WarningKind, Warnings};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    // Absent means true here.
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Cow<'a, RawJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Value>,
    #[serde(skip_serializing_if = "Options::is_empty")]
    options: Options<'a>,
}

#[derive(Default, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
}

/// A call of a tool.
#[derive(Serialize)]
pub(super) struct Call<'a> {
    function: CallFunction<'a>,
}

#[derive(Serialize)]
struct CallFunction<'a> {
    name: &'a str,
    arguments: Cow<'a, RawJson>,
}

impl<'a> Call<'a> {
    pub(super) fn new(name: &'a str, input: &'a ToolInput) -> Self {
        Self { function: CallFunction { name, arguments: arguments(input) } }
    }
}

#[derive(Serialize)]
struct WireTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Cow<'a, RawJson>,
}

#[derive(Default, Serialize)]
struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [Str],
}

impl<'a> Options<'a> {
    fn of(request: &'a Request) -> Self {
        let sampling = &request.sampling;
        Self {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            min_p: sampling.min_p,
            repeat_penalty: sampling.repetition_penalty,
            frequency_penalty: sampling.frequency_penalty,
            presence_penalty: sampling.presence_penalty,
            seed: sampling.seed,
            num_predict: request.max_tokens,
            stop: &request.stop,
        }
    }

    fn is_empty(&self) -> bool {
        let Self { temperature, top_p, top_k, min_p, repeat_penalty, .. } = self;
        let Self { frequency_penalty, presence_penalty, seed, num_predict, stop, .. } = self;
        [temperature, top_p, min_p, repeat_penalty, frequency_penalty, presence_penalty]
            .iter()
            .all(|option| option.is_none())
            && top_k.is_none()
            && seed.is_none()
            && num_predict.is_none()
            && stop.is_empty()
    }
}

/// Writes a request that is already repaired and fitted to a chat target.
///
/// # Errors
/// None for any request: what Ollama cannot be told is left out, with a warning.
pub fn encode_request(
    request: &Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<EncodedRequest, TranslateError> {
    let body = Body {
        model: &target.model,
        messages: messages(request, warnings),
        stream: request.stream,
        tools: tools(request, warnings),
        format: format(&request.output),
        think: think(request.reasoning.effort, &target.model),
        options: Options::of(request),
    };
    for (given, field) in [
        (request.n.is_some_and(|n| n > 1), "n"),
        (request.logit_bias.is_some(), "logit_bias"),
        (request.logprobs == Some(true), "logprobs"),
        (request.service_tier.is_some(), "service_tier"),
        (request.verbosity.is_some(), "verbosity"),
    ] {
        if given {
            warnings.push(WarningKind::Dropped, field, "Ollama has no such field");
        }
    }
    let body = serde_json::to_vec(&body).map_err(|error| TranslateError::Invalid {
        param: "messages".into(),
        message: error.to_string(),
    })?;
    Ok(EncodedRequest { body, betas: Vec::new() })
}

fn messages<'a>(request: &'a Request, warnings: &mut Warnings) -> Vec<Message<'a>> {
    let mut messages = Vec::new();
    let system: Vec<&str> = request.system.iter().map(|part| &*part.text).collect();
    if !system.is_empty() {
        let content = system.join("\n\n").into();
        messages.push(Message { role: "system", content, ..Message::default() });
    }
    for turn in &request.turns {
        match turn.role {
            Role::User => user(turn, &mut messages, warnings),
            Role::Assistant => messages.extend(assistant(turn, warnings)),
        }
    }
    messages
}

/// Results first, each a message of its own; then what the user says.
fn user<'a>(turn: &'a Turn, messages: &mut Vec<Message<'a>>, warnings: &mut Warnings) {
    let mut said = Said::default();
    for part in &turn.parts {
        match part {
            Part::ToolResult(result) => {
                let mut told = Said::default();
                result.content.iter().for_each(|part| told.take(part, warnings));
                let text = told.text();
                let says_so = text.get(..5).is_some_and(|t| t.eq_ignore_ascii_case("error"));
                let content =
                    if result.is_error && !says_so { format!("Error: {text}") } else { text };
                messages.push(Message {
                    role: "tool",
                    content: content.into(),
                    tool_name: result.name.as_deref(),
                    ..Message::default()
                });
            }
            Part::SystemNote { text, .. } => messages.push(Message {
                role: "system",
                content: Cow::Borrowed(text),
                ..Message::default()
            }),
            part => said.take(part, warnings),
        }
    }
    if !said.is_empty() {
        let images = std::mem::take(&mut said.images);
        let content = said.text().into();
        messages.push(Message { role: "user", content, images, ..Message::default() });
    }
}

fn assistant<'a>(turn: &'a Turn, warnings: &mut Warnings) -> Option<Message<'a>> {
    let mut said = Said::default();
    let mut thoughts: Vec<&str> = Vec::new();
    let mut tool_calls = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Thinking(thinking) => thoughts.push(&thinking.text),
            Part::ToolUse(call) => tool_calls.push(Call::new(&call.name, &call.input)),
            part => said.take(part, warnings),
        }
    }
    let is_empty = said.is_empty() && thoughts.is_empty() && tool_calls.is_empty();
    (!is_empty).then(|| Message {
        role: "assistant",
        images: std::mem::take(&mut said.images),
        content: said.text().into(),
        thinking: (!thoughts.is_empty()).then(|| thoughts.join("\n\n").into()),
        tool_calls,
        tool_name: None,
    })
}

/// Text and images of a message.
#[derive(Default)]
struct Said<'a> {
    texts: Vec<&'a str>,
    images: Vec<&'a str>,
}

impl<'a> Said<'a> {
    fn take(&mut self, part: &'a Part, warnings: &mut Warnings) {
        let left_out = match part {
            Part::Text(text) => return self.texts.push(&text.text),
            Part::Refusal { text } | Part::Document { source: MediaSource::Text(text), .. } => {
                return self.texts.push(text);
            }
            Part::Image { source: MediaSource::Base64 { data, .. }, .. } => {
                return self.images.push(data);
            }
            Part::Image { .. } => "image without its bytes",
            Part::Document { .. } => "document",
            Part::Audio { .. } => "audio",
            Part::Video { .. } => "video",
            _ => return,
        };
        warnings.push(WarningKind::Dropped, "messages", left_out);
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.images.is_empty()
    }

    fn text(&self) -> String {
        self.texts.join("\n")
    }
}

/// Arguments are an object here (§2.4).
fn arguments(input: &ToolInput) -> Cow<'_, RawJson> {
    let text = match input {
        ToolInput::Json(json) if json.is_object() => return Cow::Borrowed(json),
        ToolInput::Json(json) => json.get(),
        ToolInput::Text(text) => text.trim(),
    };
    let wrapped = match RawJson::parse(text) {
        Ok(json) if json.is_object() && !json::too_deep(text.as_bytes()) => json,
        Ok(json) if !json::too_deep(text.as_bytes()) => {
            raw(&format!(r#"{{"value":{}}}"#, json.get()))
        }
        _ if text.is_empty() => raw("{}"),
        _ => raw(&format!(r#"{{"_raw":{}}}"#, json::quote(text))),
    };
    Cow::Owned(wrapped)
}

fn raw(text: &str) -> RawJson {
    RawJson::parse(text).unwrap_or_else(|_| RawJson::from(&Value::Null))
}

fn tools<'a>(request: &'a Request, warnings: &mut Warnings) -> Vec<WireTool<'a>> {
    match request.tool_choice {
        Some(ToolChoice::None) => return Vec::new(),
        None | Some(ToolChoice::Auto | ToolChoice::Validated) => {}
        Some(_) => {
            warnings.push(WarningKind::Dropped, "tool_choice", "Ollama cannot be made to use one");
        }
    }
    let functions = request.tools.iter().filter_map(|tool| match tool {
        Tool::Function(function) => Some(function),
        Tool::Custom { .. } | Tool::Namespace { .. } | Tool::Builtin(_) => None,
    });
    functions
        .map(|FunctionTool { name, description, schema, .. }| WireTool {
            kind: "function",
            function: WireFunction {
                name,
                description: description.as_deref(),
                parameters: match schema {
                    Some(schema) => Cow::Borrowed(schema),
                    None => Cow::Owned(raw(r#"{"type":"object","properties":{}}"#)),
                },
            },
        })
        .collect()
}

fn format(output: &OutputFormat) -> Option<Cow<'_, RawJson>> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some(Cow::Owned(raw("\"json\""))),
        OutputFormat::JsonSchema { schema, .. } => Some(Cow::Borrowed(schema)),
    }
}

/// A switch. Only gpt-oss knows steps, and it cannot be switched off.
fn think(effort: Option<Effort>, model: &str) -> Option<Value> {
    let effort = effort?;
    if !model.to_ascii_lowercase().contains("gpt-oss") {
        return Some((effort != Effort::Off).into());
    }
    Some(match effort.level() {
        _ if effort == Effort::Off => "low".into(),
        None => true.into(),
        Some(Level::Minimal | Level::Low) => "low".into(),
        Some(Level::Medium) => "medium".into(),
        Some(Level::High | Level::XHigh | Level::Max | Level::Ultra) => "high".into(),
    })
}
