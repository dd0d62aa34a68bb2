//! Parts of messages and of tool outputs (translation §2.9), however clients write them.

use crate::ir::{Citation, Ext, MediaSource, Part, Str, TextPart};
use crate::resp::object::{Object, elements, str_of};
use crate::resp::stream_in::citation;
use crate::translate::data_url::{self, DataUrl, MediaClass};
use crate::translate::{WarningKind, Warnings};
use crate::{Dialect, json};

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    User,
    Assistant,
}

/// The parts of a message item.
pub(super) fn decode(item: &Object<'_>, side: Side, warnings: &mut Warnings) -> Vec<Part> {
    let phase = item.name("phase");
    let mut parts = match item.raw("content") {
        None => Vec::new(),
        Some(raw) => match json::string(raw) {
            Some(text) => vec![Part::text(str_of(text))],
            None => elements(raw)
                .into_iter()
                .filter_map(|element| match part(element) {
                    Some(part) => Some(part),
                    None => unknown(element, side, warnings),
                })
                .collect(),
        },
    };
    if phase.is_some() {
        for part in &mut parts {
            if let Part::Text(text) = part {
                text.phase.clone_from(&phase);
            }
        }
    }
    parts
}

/// The texts of a message item.
pub(super) fn texts(item: &Object<'_>) -> Vec<Str> {
    let mut unheard = Warnings::default();
    let parts = decode(item, Side::User, &mut unheard).into_iter();
    parts
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.text),
            _ => None,
        })
        .collect()
}

/// The output of a tool: a string, a list of parts, or any JSON as text.
pub(super) fn output(raw: Option<&str>) -> Vec<Part> {
    let Some(raw) = raw else { return Vec::new() };
    if let Some(text) = json::string(raw) {
        return if text.is_empty() { Vec::new() } else { vec![Part::text(str_of(text))] };
    }
    let elements = elements(raw);
    let are_parts = elements.iter().any(|element| part(element).is_some());
    if !are_parts {
        return if json::is_blank(raw) && json::is_array(raw) {
            Vec::new()
        } else {
            vec![Part::text(raw)]
        };
    }
    elements
        .into_iter()
        .map(|element| part(element).unwrap_or_else(|| Part::text(element)))
        .collect()
}

/// A part that this program does not know, kept for the same dialect as a message of its own.
fn unknown(element: &str, side: Side, warnings: &mut Warnings) -> Option<Part> {
    let role = if side == Side::User { "user" } else { "assistant" };
    warnings.push(WarningKind::Changed, "input[].content[]", "of an unknown type");
    let message = format!(r#"{{"type":"message","role":"{role}","content":[{element}]}}"#);
    let raw = crate::ir::RawJson::parse(message).ok()?;
    Some(Part::Opaque { dialect: Dialect::Resp, raw })
}

fn part(element: &str) -> Option<Part> {
    let part = Object::parse(element)?;
    match part.word("type").as_deref()? {
        "input_text" | "output_text" | "text" | "summary_text" => Some(Part::Text(TextPart {
            text: part.text("text")?,
            citations: citations(&part),
            ext: part.others(&["type", "text", "annotations", "logprobs"]),
            ..TextPart::default()
        })),
        "refusal" => Some(Part::Refusal { text: part.text("refusal")? }),
        "input_image" | "image_url" => image(&part),
        // Messages wrote it.
        "image" => Some(Part::Image {
            source: source(&part.object("source")?)?,
            detail: None,
            cache: None,
            signature: None,
            ext: Ext::default(),
        }),
        "input_file" | "file" => file(&part),
        "document" => document(&part),
        "input_audio" => {
            let nested = part.object("input_audio");
            let audio = nested.as_ref().unwrap_or(&part);
            let format = audio.name("format").unwrap_or_else(|| "wav".into());
            Some(Part::Audio {
                source: MediaSource::Base64 {
                    mime: data_url::audio_media_type(&format),
                    data: data_url::standard_base64(&audio.name("data")?),
                },
                format,
                transcript: None,
                id: None,
            })
        }
        _ => None,
    }
}

fn citations(part: &Object<'_>) -> Vec<Citation> {
    part.elements("annotations").into_iter().filter_map(citation).collect()
}

fn file_id(id: Str) -> MediaSource {
    MediaSource::FileId { dialect: Dialect::Resp, id }
}

fn image(part: &Object<'_>) -> Option<Part> {
    // Chat's form is an object around the address.
    let nested = part.object("image_url");
    let url = part.name("image_url").or_else(|| nested.as_ref()?.name("url"));
    let source = match url {
        Some(url) => data_url::source_of(&url),
        None => file_id(part.name("file_id")?),
    };
    let detail = part.name("detail").or_else(|| nested.as_ref()?.name("detail"));
    Some(Part::Image {
        source,
        detail,
        cache: None,
        signature: None,
        ext: part.others(&["type", "image_url", "file_id", "detail"]),
    })
}

fn file(part: &Object<'_>) -> Option<Part> {
    let nested = part.object("file");
    let file = nested.as_ref().unwrap_or(part);
    let source = if let Some(data) = file.name("file_data") {
        match DataUrl::parse(&data) {
            Some(url) => url.into(),
            None => {
                let data = data_url::standard_base64(&data);
                let mime = data_url::sniff(&data).unwrap_or("application/pdf");
                MediaSource::Base64 { mime: mime.into(), data }
            }
        }
    } else if let Some(url) = file.name("file_url") {
        data_url::source_of(&url)
    } else {
        file_id(file.name("file_id")?)
    };
    let is_image = matches!(&source, MediaSource::Base64 { mime, .. }
        if MediaClass::of(mime) == MediaClass::Image);
    let ext = part.others(&["type", "file", "file_data", "file_url", "file_id", "filename"]);
    if is_image {
        return Some(Part::Image { source, detail: None, cache: None, signature: None, ext });
    }
    Some(Part::Document {
        source,
        name: file.name("filename"),
        title: None,
        context: None,
        citations: false,
        cache: None,
        ext,
    })
}

fn document(part: &Object<'_>) -> Option<Part> {
    Some(Part::Document {
        source: source(&part.object("source")?)?,
        name: None,
        title: part.name("title"),
        context: part.name("context"),
        citations: false,
        cache: None,
        ext: Ext::default(),
    })
}

/// A `source` as Messages writes it.
fn source(source: &Object<'_>) -> Option<MediaSource> {
    match source.word("type").as_deref()? {
        "base64" => Some(MediaSource::Base64 {
            mime: data_url::media_type(&source.name("media_type")?),
            data: data_url::standard_base64(&source.name("data")?),
        }),
        "url" => Some(data_url::source_of(&source.name("url")?)),
        "text" => Some(MediaSource::Text(source.text("data")?)),
        _ => None,
    }
}
