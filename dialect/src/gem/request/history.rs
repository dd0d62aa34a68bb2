//! The conversation, in: contents become turns, calls and results find their ids (translation §2.4).

use std::collections::{HashMap, VecDeque};

use super::super::wire::{Blob, Call, Part, string};
use super::keep;
use crate::ir::{
    self, Ext, MediaSource, RawJson, Role, SigFamily, Signature, Str, TextPart, Thinking,
    ToolInput, ToolKind, ToolResult, ToolUse, Turn,
};
use crate::translate::data_url::{MediaClass, audio_format, media_type, standard_base64};
use crate::translate::{TranslateError, WarningKind, Warnings, ids};
use crate::{Dialect, json};

use super::encode::response_object;

/// Reads `contents`.
pub(super) fn decode(raw: &str, warnings: &mut Warnings) -> Result<Vec<Turn>, TranslateError> {
    let mut history = History { turns: Vec::new(), waiting: VecDeque::new(), warnings };
    let mut result = Ok(());
    let whole = json::visit_elements(raw, |content| {
        if result.is_ok() {
            result = history.content(content);
        }
    });
    result?;
    if whole {
        Ok(history.turns)
    } else {
        Err(invalid("contents", "`contents` must be an array of contents".into()))
    }
}

fn invalid(param: &'static str, message: String) -> TranslateError {
    TranslateError::Invalid { param: param.into(), message }
}

struct History<'w> {
    turns: Vec<Turn>,
    /// Calls of the last model turn that have no result yet.
    waiting: VecDeque<Waiting>,
    warnings: &'w mut Warnings,
}

struct Waiting {
    id: Str,
    name: Str,
}

impl History<'_> {
    fn content(&mut self, raw: &str) -> Result<(), TranslateError> {
        let (mut role, mut parts) = (None, None);
        let whole = json::visit(raw, |key, raw| match key {
            "role" => role = Some(raw),
            "parts" => parts = Some(raw),
            _ => {}
        });
        let place = self.turns.len();
        if !whole {
            return Err(invalid("contents", format!("`contents[{place}]` must be an object")));
        }
        let role = match role.filter(|raw| *raw != "null").map(string) {
            // Results of tools once had a role of their own.
            None => Role::User,
            Some(Some(word)) => match &*word {
                "" | "user" | "function" | "tool" => Role::User,
                "model" | "assistant" => Role::Assistant,
                _ => {
                    let message = format!("`contents[{place}].role` must be `user` or `model`");
                    return Err(invalid("contents", message));
                }
            },
            Some(None) => {
                let message = format!("`contents[{place}].role` must be a string");
                return Err(invalid("contents", message));
            }
        };
        if role == Role::Assistant {
            self.waiting.clear();
        }
        let mut turn = Turn::new(role, Vec::new());
        let parts = parts.unwrap_or("[]");
        // One part alone is taken for a list of one.
        if json::is_object(parts) {
            self.part(parts, place, &mut turn);
        } else {
            json::visit_elements(parts, |raw| self.part(raw, place, &mut turn));
        }
        self.turns.push(turn);
        Ok(())
    }

    fn part(&mut self, raw: &str, place: usize, turn: &mut Turn) {
        let Some(part) = Part::read(raw) else {
            self.warnings.push(
                WarningKind::Dropped,
                format!("contents[{place}].parts"),
                "no object",
            );
            return;
        };
        if let Some(raw) = part.call {
            let call = self.call(&Call::read(raw), &part, place, turn.parts.len());
            turn.parts.push(ir::Part::ToolUse(call));
        } else if let Some(raw) = part.response {
            let result = self.result(raw);
            turn.parts.push(ir::Part::ToolResult(result));
        } else if let Some(blob) = part.inline_data.and_then(Blob::read) {
            turn.parts.push(medium(&blob, true, &part));
        } else if let Some(blob) = part.file_data.and_then(Blob::read) {
            turn.parts.push(medium(&blob, false, &part));
        } else if part.is_bare() {
            text(&part, &mut turn.parts);
        } else if let Ok(raw) = RawJson::parse(part.raw) {
            turn.parts.push(ir::Part::Opaque { dialect: Dialect::Gem, raw });
        }
    }

    fn call(&mut self, call: &Call<'_>, part: &Part<'_>, turn: usize, place: usize) -> ToolUse {
        let name: Str = call.name.as_deref().unwrap_or_default().into();
        let args = call.args.unwrap_or("{}");
        let id: Str = match &call.id {
            Some(id) => id.as_ref().into(),
            None => ids::history_call_id(turn, place, &name, args).into(),
        };
        self.waiting.push_back(Waiting { id: id.clone(), name: name.clone() });
        let input = match RawJson::parse(args) {
            Ok(json) => ToolInput::Json(json),
            Err(_) => ToolInput::Text(args.into()),
        };
        ToolUse {
            id,
            name,
            input,
            kind: ToolKind::Function,
            namespace: None,
            signature: signature(part),
            cache: None,
            ext: Ext::default(),
        }
    }

    /// A result belongs to the call with its id, else to the first waiting one of its name, else to the
    /// first waiting one.
    fn result(&mut self, raw: &str) -> ToolResult {
        let (mut id, mut name) = (None, None);
        let (mut response, mut parts, mut ext) = (None, None, Ext::default());
        json::visit(raw, |key, raw| match key {
            "id" => id = string(raw).filter(|id| !id.is_empty()),
            "name" => name = string(raw).filter(|name| !name.is_empty()),
            "response" => response = Some(raw),
            "parts" => parts = Some(raw),
            key => keep(&mut ext, key, raw),
        });
        let by_id = || self.waiting.iter().position(|call| Some(&*call.id) == id.as_deref());
        let by_name = || self.waiting.iter().position(|call| Some(&*call.name) == name.as_deref());
        let at = by_id().or_else(by_name).or_else(|| (id.is_none() && name.is_none()).then_some(0));
        let at = at.or_else(|| id.is_none().then_some(0));
        let call = at.and_then(|at| self.waiting.remove(at));
        let id: Str = match (&id, &call) {
            (Some(id), _) => id.as_ref().into(),
            (None, Some(call)) => call.id.clone(),
            (None, None) => Str::new(),
        };
        let name = match (&name, call) {
            (Some(name), _) => Some(name.as_ref().into()),
            (None, Some(call)) => Some(call.name),
            (None, None) => None,
        };
        let (mut content, is_error) = content_of(response.unwrap_or("{}"));
        json::visit_elements(parts.unwrap_or("[]"), |raw| {
            let Some(part) = Part::read(raw) else { return };
            let blob = part.inline_data.and_then(Blob::read).map(|blob| medium(&blob, true, &part));
            let file = || part.file_data.and_then(Blob::read).map(|b| medium(&b, false, &part));
            content.extend(blob.or_else(file));
        });
        let mut result =
            ToolResult { id, name, content, is_error, kind: ToolKind::Function, cache: None, ext };
        // What the neutral form cannot say again in the same words is kept beside it.
        if let Some(raw) = response
            && !same_json(response_object(&result).get(), raw)
        {
            keep(&mut result.ext, "response", raw);
        }
        result
    }
}

fn same_json(left: &str, right: &str) -> bool {
    let tree = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    left == right || tree(left).is_some_and(|left| tree(right) == Some(left))
}

/// What a tool answered, out of the object that Gemini puts it into.
fn content_of(response: &str) -> (Vec<ir::Part>, bool) {
    let mut members = Vec::new();
    json::visit(response, |key, raw| members.push((key.to_owned(), raw)));
    let (inner, is_error) = match members.as_slice() {
        [] => return (Vec::new(), false),
        [(key, raw)] if key == "result" || key == "output" => (*raw, false),
        [(key, raw)] if key == "error" => (*raw, true),
        _ => (response, false),
    };
    let text = string(inner).unwrap_or(inner.into());
    let content = if text.is_empty() { Vec::new() } else { vec![ir::Part::text(text.as_ref())] };
    (content, is_error)
}

fn signature(part: &Part<'_>) -> Option<Signature> {
    let value = part.signature()?.as_ref().into();
    Some(Signature { family: SigFamily::Unknown, value })
}

/// Text or a thought. A signature on an empty text belongs to the part before it.
fn text(part: &Part<'_>, parts: &mut Vec<ir::Part>) {
    let text: Str = part.text().unwrap_or_default().as_ref().into();
    let signature = signature(part);
    if text.is_empty() {
        let slot = match parts.last_mut() {
            Some(ir::Part::Text(TextPart { signature, .. })) => Some(signature),
            Some(ir::Part::Thinking(Thinking { signature, .. })) => Some(signature),
            Some(ir::Part::ToolUse(ToolUse { signature, .. })) => Some(signature),
            _ => None,
        };
        if let Some(slot) = slot.filter(|slot| slot.is_none()) {
            *slot = signature;
            return;
        }
    }
    if part.thought {
        parts.push(ir::Part::Thinking(Thinking { text, signature, ..Thinking::default() }));
    } else {
        parts.push(ir::Part::Text(TextPart { text, signature, ..TextPart::default() }));
    }
}

/// Bytes in the body (`inline`) or behind an address.
fn medium(blob: &Blob<'_>, inline: bool, part: &Part<'_>) -> ir::Part {
    let uri = blob.data.as_ref();
    let told = blob.mime.as_deref();
    let class = match told {
        Some(mime) => MediaClass::of(mime),
        None if uri.contains("youtube.com/") || uri.contains("youtu.be/") => MediaClass::Video,
        None => MediaClass::Document,
    };
    let source = if inline {
        let mime = media_type(told.unwrap_or("application/octet-stream"));
        MediaSource::Base64 { mime, data: standard_base64(uri) }
    } else if is_google_file(uri) {
        MediaSource::FileUri { uri: uri.into(), mime: told.map(media_type) }
    } else {
        MediaSource::Url(uri.into())
    };
    match class {
        MediaClass::Image => ir::Part::Image {
            source,
            detail: None,
            cache: None,
            signature: signature(part),
            ext: Ext::default(),
        },
        MediaClass::Audio => ir::Part::Audio {
            source,
            format: audio_format(told.unwrap_or_default()),
            transcript: None,
            id: None,
        },
        MediaClass::Video => {
            let metadata = part.video_metadata.and_then(|raw| RawJson::parse(raw).ok());
            ir::Part::Video { source, metadata }
        }
        MediaClass::Document => ir::Part::Document {
            source,
            name: blob.name.as_deref().map(Str::from),
            title: None,
            context: None,
            citations: false,
            cache: None,
            ext: Ext::default(),
        },
    }
}

/// Whether only Google can read the address.
pub(super) fn is_google_file(uri: &str) -> bool {
    let google = [
        "gs://",
        "https://generativelanguage.googleapis.com/",
        "https://www.youtube.com/",
        "https://youtube.com/",
        "https://youtu.be/",
        "files/",
    ];
    google.iter().any(|start| uri.starts_with(start))
}

/// Names of functions that were called, by the id of the call.
pub(super) fn called(turns: &[Turn]) -> impl Fn(&str) -> Option<Str> {
    let parts = turns.iter().flat_map(|turn| &turn.parts);
    let calls: Vec<(Str, Str)> = parts
        .filter_map(|part| match part {
            ir::Part::ToolUse(call) => Some((call.id.clone(), call.name.clone())),
            _ => None,
        })
        .collect();
    let by_id: HashMap<Str, Str> = calls.into_iter().collect();
    move |id| by_id.get(id).cloned()
}
