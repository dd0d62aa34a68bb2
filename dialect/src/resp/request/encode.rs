//! The members of a request, except its items and tools.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::decode::{ENCRYPTED, LOGPROBS};
use super::encode_input::input;
use super::encode_tools::{encode_tool, encode_tool_choice};
use crate::Dialect;
use crate::effort::{Effort, Level};
use crate::ir::{
    Builtin, BuiltinTool, ExtField, Modality, OutputFormat, RawJson, Request, Summary, SystemPart,
    Tool, Verbosity,
};
use crate::resp::wire;
use crate::translate::{
    EncodedRequest, Target, TranslateError, WarningKind, Warnings, foreign_fields,
};

/// What a client of another dialect means without being able to say it: nobody will ask for the answer
/// again, so nothing need be stored; and reasoning must come along, in words and sealed (§2.6).
pub fn adapt(request: &mut Request, client: Dialect) {
    if client == Dialect::Resp {
        return;
    }
    request.store.get_or_insert(false);
    let thinks = request.reasoning.effort.is_some_and(|effort| effort != Effort::Off);
    if thinks && request.reasoning.summary == Summary::Unset {
        request.reasoning.summary = Summary::Auto;
    }
    request.reasoning.include_encrypted |= thinks;
}

/// A request on the wire.
#[derive(Serialize)]
struct Wire<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    input: Vec<wire::Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<wire::Tool<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<wire::TextOptions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_retention: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: Cow<'a, Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_response_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_management: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(flatten)]
    others: Others<'a>,
}

/// Members that this program carries along.
struct Others<'a>(Vec<&'a ExtField>);

impl Serialize for Others<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|field| (&*field.key, &field.value)))
    }
}

/// Writes a request for the target.
///
/// # Errors
/// When the request cannot be written as JSON.
pub fn encode_request(
    request: &Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<EncodedRequest, TranslateError> {
    let tools = tools(request, target);
    let has_tools = tools.as_ref().is_some_and(|tools| !tools.is_empty());
    let choice = request.tool_choice.as_ref().filter(|_| has_tools);
    let parallel =
        request.parallel_tool_calls.filter(|_| has_tools && !target.profile.no_parallel_flag);
    let of_openai = |dialect| matches!(dialect, Dialect::Chat | Dialect::Resp);
    let own_and_foreign = request.ext.of(Dialect::Resp).chain(foreign_fields(&request.ext, target));
    let wire = Wire {
        model: &target.model,
        instructions: instructions(&request.system),
        input: input(request, warnings),
        store: request.store,
        tools,
        tool_choice: choice.map(|choice| encode_tool_choice(choice, &request.tools)),
        parallel_tool_calls: parallel,
        max_output_tokens: request.max_tokens,
        temperature: request.sampling.temperature,
        top_p: request.sampling.top_p,
        top_logprobs: request.top_logprobs,
        text: text_options(request),
        reasoning: reasoning(request),
        include: include(request),
        prompt_cache_key: request.cache.key.as_deref(),
        prompt_cache_retention: request.cache.retention.as_deref(),
        user: request.user.as_deref(),
        safety_identifier: request.safety_identifier.as_deref(),
        metadata: Cow::Borrowed(&request.metadata),
        // OpenAI's two dialects share the words; those of others mean something else.
        service_tier: request
            .service_tier
            .as_ref()
            .filter(|tier| of_openai(tier.dialect))
            .map(|tier| &*tier.name),
        previous_response_id: request.previous_response_id.as_deref(),
        conversation: request.conversation.as_ref(),
        truncation: request.truncation.as_deref(),
        background: request.background,
        context_management: request
            .context_management
            .as_ref()
            .filter(|(dialect, _)| *dialect == Dialect::Resp)
            .map(|(_, raw)| raw),
        stream: request.stream.then_some(true),
        others: Others(own_and_foreign.collect()),
    };
    warn_of_what_is_left_out(request, warnings);
    let body = serde_json::to_vec(&wire).map_err(|error| TranslateError::Invalid {
        param: "input".into(),
        message: error.to_string(),
    })?;
    Ok(EncodedRequest { body, betas: Vec::new() })
}

fn instructions(system: &[SystemPart]) -> Option<String> {
    let texts: Vec<&str> =
        system.iter().map(|part| &*part.text).filter(|text| !text.is_empty()).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

fn tools<'a>(request: &'a Request, target: &Target) -> Option<Vec<wire::Tool<'a>>> {
    let strict = !target.profile.no_strict;
    let mut tools: Vec<_> =
        request.tools.iter().filter_map(|tool| encode_tool(tool, strict)).collect();
    let makes_images = |tool: &Tool| {
        matches!(tool, Tool::Builtin(BuiltinTool { kind: Builtin::ImageGeneration, .. }))
    };
    // Here a tool makes the images.
    if request.modalities.contains(&Modality::Image) && !request.tools.iter().any(makes_images) {
        tools.push(wire::Tool::Bare { kind: "image_generation" });
    }
    (!tools.is_empty()).then_some(tools)
}

fn text_options(request: &Request) -> Option<wire::TextOptions<'_>> {
    let format = encode_format(&request.output);
    let verbosity = request.verbosity.map(verbosity_word);
    (format.is_some() || verbosity.is_some()).then_some(wire::TextOptions { format, verbosity })
}

/// `text.format`; `None` for free text.
pub(in crate::resp) fn encode_format(output: &OutputFormat) -> Option<wire::Format<'_>> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some(wire::Format::JsonObject),
        OutputFormat::JsonSchema { name, description, schema, strict } => {
            Some(wire::Format::JsonSchema {
                name: name.as_deref().unwrap_or("response"),
                description: description.as_deref(),
                schema,
                strict: *strict,
            })
        }
    }
}

/// `text.verbosity`.
pub(in crate::resp) fn verbosity_word(verbosity: Verbosity) -> &'static str {
    match verbosity {
        Verbosity::Low => "low",
        Verbosity::Medium => "medium",
        Verbosity::High => "high",
    }
}

fn reasoning(request: &Request) -> Option<Value> {
    let mut reasoning = Map::new();
    if let Some(word) = request.reasoning.effort.and_then(effort_word) {
        reasoning.insert("effort".into(), word.into());
    }
    if let Some(word) = summary_word(request.reasoning.summary) {
        reasoning.insert("summary".into(), word.into());
    }
    (!reasoning.is_empty()).then_some(Value::Object(reasoning))
}

/// `reasoning.effort`; `None` where the model decides.
pub(in crate::resp) fn effort_word(effort: Effort) -> Option<&'static str> {
    match effort {
        Effort::Off => Some("none"),
        Effort::Auto => None,
        // The highest that all models with steps above `high` know.
        Effort::Level(Level::Ultra) => Some(Level::XHigh.as_str()),
        Effort::Level(_) | Effort::Budget(_) => effort.level().map(Level::as_str),
    }
}

/// `reasoning.summary`.
pub(in crate::resp) fn summary_word(summary: Summary) -> Option<&'static str> {
    match summary {
        Summary::Auto => Some("auto"),
        Summary::Concise => Some("concise"),
        Summary::Detailed => Some("detailed"),
        Summary::Unset | Summary::None | Summary::Hidden => None,
    }
}

fn include(request: &Request) -> Vec<&str> {
    let mut include: Vec<&str> = Vec::new();
    let asked = [
        (request.reasoning.include_encrypted, ENCRYPTED),
        (request.logprobs == Some(true), LOGPROBS),
    ];
    let asked = asked.into_iter().filter(|(asked, _)| *asked).map(|(_, word)| word);
    for word in request.include.iter().map(|word| &**word).chain(asked) {
        if !include.contains(&word) {
            include.push(word);
        }
    }
    include
}

fn warn_of_what_is_left_out(request: &Request, warnings: &mut Warnings) {
    let sampling = &request.sampling;
    for (given, field) in [
        (!request.stop.is_empty(), "stop"),
        (request.n.is_some_and(|n| n > 1), "n"),
        (request.logit_bias.is_some(), "logit_bias"),
        (sampling.top_k.is_some(), "top_k"),
        (sampling.seed.is_some(), "seed"),
        (sampling.frequency_penalty.is_some(), "frequency_penalty"),
        (sampling.presence_penalty.is_some(), "presence_penalty"),
        (sampling.min_p.is_some(), "min_p"),
        (sampling.repetition_penalty.is_some(), "repetition_penalty"),
    ] {
        if given {
            warnings.push(WarningKind::Dropped, field, "Responses has no such field");
        }
    }
}
