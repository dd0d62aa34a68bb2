//! Requests, out: the body and its contents (translation §2.2–§2.4).

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::wire_out::{Content, FunctionResponse, MadePart, Part};
use super::encode_config::{generation_config, tool_config, tools};
use super::history::called;
use crate::ir::{
    self, MediaSource, RawJson, Request, Role, Str, TextPart, ToolResult, ToolUse, Turn,
};
use crate::translate::data_url::{audio_media_type, source_of};
use crate::translate::{EncodedRequest, Envelope, Target, TranslateError, WarningKind, Warnings};
use crate::{Dialect, json};

/// A request as it goes out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    tool_config: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_settings: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    generation_config: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content: Option<&'a Str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a Str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a Map<String, Value>>,
}

/// Instructions have parts, but nobody's turn they are.
#[derive(Debug, Serialize)]
struct Instruction<'a> {
    parts: Vec<Part<'a>>,
}

/// Writes a request. The model is not in it: it stands in the path.
///
/// # Errors
/// When the target cannot take the request at all.
pub fn encode_request(
    request: &Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<EncodedRequest, TranslateError> {
    let name_of = called(&request.turns);
    let mut spelling = Spelling { target, name_of: &name_of, warnings };
    let mut contents = Vec::with_capacity(request.turns.len());
    let names: Vec<Vec<Option<Str>>> =
        request.turns.iter().map(|turn| spelling.names(turn)).collect();
    for (turn, names) in request.turns.iter().zip(&names) {
        let parts = spelling.parts(turn, names);
        if !parts.is_empty() {
            let role = match turn.role {
                Role::User => "user",
                Role::Assistant => "model",
            };
            contents.push(Content { role, parts });
        }
    }
    let system: Vec<Part<'_>> = request
        .system
        .iter()
        .filter(|part| !part.text.is_empty())
        .map(|part| Part::text(&*part.text))
        .collect();
    let own_tier = |tier: &&ir::ServiceTier| tier.dialect == Dialect::Gem;
    let vertex = target.envelope == Envelope::Vertex;
    let body = Body {
        contents,
        system_instruction: (!system.is_empty()).then_some(Instruction { parts: system }),
        tools: tools(request, target, warnings),
        tool_config: tool_config(request, target),
        safety_settings: request.safety_settings.as_ref(),
        generation_config: generation_config(request, target, warnings),
        cached_content: request.cache.cached_content.as_ref(),
        service_tier: request.service_tier.as_ref().filter(own_tier).map(|tier| &tier.name),
        labels: (vertex && !request.metadata.is_empty()).then_some(&request.metadata),
    };
    // Every key is a string: writing JSON to memory cannot fail.
    let mut body = serde_json::to_vec(&body).unwrap_or_default();
    let merged = ["generationConfig", "toolConfig"];
    for field in request.ext.of(Dialect::Gem).filter(|field| !merged.contains(&&*field.key)) {
        add_member(&mut body, &field.key, field.value.get());
    }
    Ok(EncodedRequest { body, betas: Vec::new() })
}

/// Adds a member to an object that has some.
fn add_member(object: &mut Vec<u8>, key: &str, raw: &str) {
    if object.pop() == Some(b'}') {
        object.extend_from_slice(format!(",{}:{raw}}}", json::quote(key)).as_bytes());
    }
}

struct Spelling<'a, 'w> {
    target: &'a Target,
    name_of: &'a dyn Fn(&str) -> Option<Str>,
    warnings: &'w mut Warnings,
}

impl Spelling<'_, '_> {
    /// The name of the function behind each part that is a result.
    fn names(&self, turn: &Turn) -> Vec<Option<Str>> {
        let name = |result: &ToolResult| {
            let told = result.name.clone().filter(|name| !name.is_empty());
            told.or_else(|| (self.name_of)(&result.id))
                .filter(|name| !name.is_empty())
                .unwrap_or(Str::from_static("unknown_function"))
        };
        let of = |part: &ir::Part| match part {
            ir::Part::ToolResult(result) => Some(name(result)),
            _ => None,
        };
        turn.parts.iter().map(of).collect()
    }

    fn parts<'p>(&mut self, turn: &'p Turn, names: &'p [Option<Str>]) -> Vec<Part<'p>> {
        let mut out = Vec::with_capacity(turn.parts.len());
        for (part, name) in turn.parts.iter().zip(names) {
            self.part(part, name.as_deref().unwrap_or_default(), &mut out);
        }
        out
    }

    fn part<'p>(&mut self, part: &'p ir::Part, name: &'p str, out: &mut Vec<Part<'p>>) {
        match part {
            ir::Part::Text(TextPart { text, signature, .. }) => {
                if !text.is_empty() || signature.is_some() {
                    out.push(Part::text(&**text).signed(signature.as_ref()));
                }
            }
            ir::Part::SystemNote { text, .. } => {
                let note = format!("<system-reminder>\n{text}\n</system-reminder>");
                out.push(Part::text(note));
            }
            ir::Part::Refusal { text } => out.push(Part::text(&**text)),
            ir::Part::Thinking(thinking) => {
                let signature = thinking.signature.as_ref();
                if !thinking.text.is_empty() || signature.is_some() {
                    out.push(Part::text(&*thinking.text).thought().signed(signature));
                }
            }
            ir::Part::ToolUse(ToolUse { id, name, kind, input, signature, .. }) => {
                let id = self.id(id);
                out.push(Part::call(id, name, kind, input).signed(signature.as_ref()));
            }
            ir::Part::ToolResult(result) => out.push(self.result(result, name)),
            ir::Part::Image { source, signature, .. } => {
                if let Some(part) = self.medium(source, None) {
                    out.push(part.signed(signature.as_ref()));
                }
            }
            ir::Part::Document { source, .. } => out.extend(self.medium(source, None)),
            ir::Part::Audio { source, format, .. } => {
                out.extend(self.medium(source, Some(audio_media_type(format))));
            }
            ir::Part::Video { source, metadata } => {
                let part = self.medium(source, None).map(|part| match part {
                    Part::Made(mut part) => {
                        part.video_metadata = metadata.as_ref();
                        Part::Made(part)
                    }
                    Part::Given(raw) => Part::Given(raw),
                });
                out.extend(part);
            }
            ir::Part::ServerTool(call) if call.origin == Dialect::Gem => {
                out.push(Part::Given(&call.input));
                out.extend(call.result.as_ref().map(Part::Given));
            }
            ir::Part::Opaque { dialect: Dialect::Gem, raw } => out.push(Part::Given(raw)),
            ir::Part::ServerTool(_) | ir::Part::Redacted { .. } | ir::Part::Opaque { .. } => {
                self.dropped("means nothing to this provider");
            }
        }
    }

    /// Vertex refuses ids, older models ignore them.
    fn id<'p>(&self, id: &'p str) -> Option<&'p str> {
        Some(id).filter(|id| !id.is_empty() && self.target.envelope != Envelope::Vertex)
    }

    fn result<'p>(&mut self, result: &'p ToolResult, name: &'p str) -> Part<'p> {
        let mut parts = Vec::new();
        for part in &result.content {
            match part {
                ir::Part::Image { source, .. } | ir::Part::Document { source, .. } => {
                    parts.extend(self.medium(source, None));
                }
                _ => {}
            }
        }
        let response = response_object(result);
        let response = FunctionResponse { id: self.id(&result.id), name, response, parts };
        Part::from(MadePart { function_response: Some(response), ..MadePart::default() })
    }

    /// Bytes, in the body or where Google itself can fetch them. Addresses that it cannot read were
    /// fetched before; one that was not is tried all the same.
    fn medium<'p>(&mut self, source: &'p MediaSource, mime: Option<Str>) -> Option<Part<'p>> {
        match source {
            MediaSource::Base64 { mime: own, data } => {
                let mime = mime.map_or_else(|| (&**own).into(), |mime| mime.to_string().into());
                let mime: std::borrow::Cow<'p, str> = mime;
                Some(Part::inline(mime, &**data))
            }
            MediaSource::Url(url) => match source_of(url) {
                MediaSource::Base64 { mime, data } => {
                    Some(Part::inline(mime.to_string(), data.to_string()))
                }
                _ => Some(Part::file(url, None)),
            },
            MediaSource::FileUri { uri, mime } => Some(Part::file(uri, mime.as_deref())),
            MediaSource::Text(text) => Some(Part::text(&**text)),
            MediaSource::FileId { .. } => {
                self.dropped("a file of another provider");
                None
            }
        }
    }

    fn dropped(&mut self, why: &'static str) {
        self.warnings.push(WarningKind::Dropped, "contents.parts", why);
    }
}

/// What a tool answered, as the object that Gemini wants.
pub(super) fn response_object(result: &ToolResult) -> RawJson {
    if let Some(raw) = result.ext.get(Dialect::Gem, "response") {
        return raw.clone();
    }
    let mut text = String::new();
    for part in &result.content {
        let said: &str = match part {
            ir::Part::Text(part) => &part.text,
            ir::Part::Document { source: MediaSource::Text(text), .. } => text,
            _ => continue,
        };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(said);
    }
    let trimmed = text.trim();
    if !result.is_error
        && json::is_object(trimmed)
        && !json::too_deep(trimmed.as_bytes())
        && let Ok(object) = RawJson::parse(trimmed)
    {
        return object;
    }
    let key = if result.is_error { "error" } else { "result" };
    let mut object = Map::new();
    object.insert(key.into(), text.into());
    RawJson::from(Value::Object(object))
}
