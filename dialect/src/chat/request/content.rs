//! The parts of a message's content, in chat's own forms and those of other dialects that clients mix
//! in (translation §2.9).

use crate::ir::{CacheMark, Ext, MediaSource, Part, RawJson, Str, TextPart};
use crate::translate::data_url::{DataUrl, MediaClass, audio_media_type, media_type, source_of};
use crate::{Dialect, json};

use super::lenient::{cache_mark, raw_json, text, word};

/// The parts of a `content`: a string, a list, or nothing. Empty texts stay: whoever repairs the
/// request takes them out.
pub(super) fn parts(raw: &str) -> Vec<Part> {
    if let Some(text) = text(raw) {
        return vec![Part::text(text)];
    }
    let mut parts = Vec::new();
    if json::is_object(raw) {
        parts.extend(part(raw));
    }
    json::visit_elements(raw, |element| parts.extend(part(element)));
    parts
}

/// The members of a part that its type may need.
#[derive(Default)]
struct Members<'a> {
    kind: Option<Str>,
    text: Option<Str>,
    image_url: Option<&'a str>,
    detail: Option<Str>,
    file: Option<&'a str>,
    input_audio: Option<&'a str>,
    video_url: Option<&'a str>,
    source: Option<&'a str>,
    refusal: Option<Str>,
    title: Option<Str>,
    cache: Option<CacheMark>,
}

fn part(raw: &str) -> Option<Part> {
    if let Some(text) = text(raw) {
        return Some(Part::text(text));
    }
    let mut members = Members::default();
    json::visit(raw, |key, value| match key {
        "type" => members.kind = text(value),
        "text" => members.text = text(value),
        "image_url" => members.image_url = Some(value),
        "detail" => members.detail = word(value),
        "file" => members.file = Some(value),
        "input_audio" => members.input_audio = Some(value),
        "video_url" => members.video_url = Some(value),
        "source" => members.source = Some(value),
        "refusal" => members.refusal = text(value),
        "title" => members.title = word(value),
        "cache_control" => members.cache = cache_mark(value),
        _ => {}
    });
    members.part(raw).or_else(|| {
        let raw: RawJson = raw_json(raw)?;
        Some(Part::Opaque { dialect: Dialect::Chat, raw })
    })
}

impl Members<'_> {
    fn part(self, raw: &str) -> Option<Part> {
        match self.kind.as_deref() {
            Some("image_url" | "input_image") => self.image(),
            Some("image") => self.block(true),
            Some("document") => self.block(false),
            Some("file") => file(self.file?, self.cache),
            Some("input_file") => file(raw, self.cache),
            Some("input_audio") => audio(self.input_audio?),
            Some("video_url") => {
                let url = address(self.video_url?)?;
                Some(Part::Video { source: source_of(&url), metadata: None })
            }
            Some("refusal") => Some(Part::Refusal { text: self.refusal? }),
            Some("text" | "input_text" | "output_text") | None => {
                let (text, cache) = (self.text?, self.cache);
                Some(Part::Text(TextPart { text, cache, ..TextPart::default() }))
            }
            Some(_) => None,
        }
    }

    fn image(self) -> Option<Part> {
        let raw = self.image_url?;
        let detail = json::member(raw, "detail").and_then(word).or(self.detail);
        Some(Part::Image {
            source: source_of(&address(raw)?),
            detail,
            cache: self.cache,
            signature: None,
            ext: Ext::default(),
        })
    }

    /// Anthropic's `image` and `document` blocks.
    fn block(self, image: bool) -> Option<Part> {
        let raw = self.source?;
        let member = |key| json::member(raw, key).and_then(json::string);
        let source = match member("type").as_deref() {
            Some("base64") => MediaSource::Base64 {
                mime: media_type(&member("media_type")?),
                data: crate::translate::data_url::standard_base64(&member("data")?),
            },
            Some("url") => MediaSource::Url(Str::from(member("url")?.into_owned())),
            Some("text") => MediaSource::Text(Str::from(member("data")?.into_owned())),
            _ => return None,
        };
        let (cache, ext) = (self.cache, Ext::default());
        Some(if image {
            Part::Image { source, detail: None, cache, signature: None, ext }
        } else {
            Part::Document {
                source,
                name: None,
                title: self.title,
                context: None,
                citations: false,
                cache,
                ext,
            }
        })
    }
}

/// An address as a string, or as an object with `url`.
fn address(raw: &str) -> Option<String> {
    let url = json::string(raw).or_else(|| json::member(raw, "url").and_then(json::string))?;
    (!url.is_empty()).then(|| url.into_owned())
}

/// A file by its bytes, its id or its address. What is an image by its type becomes one.
fn file(raw: &str, cache: Option<CacheMark>) -> Option<Part> {
    let member = |key| json::member(raw, key).and_then(word);
    let name = member("filename");
    let source = if let Some(data) = member("file_data") {
        match DataUrl::parse(&data) {
            Some(url) => url.into(),
            None => MediaSource::Base64 {
                mime: crate::translate::data_url::sniff(&data).unwrap_or("application/pdf").into(),
                data: crate::translate::data_url::standard_base64(&data),
            },
        }
    } else if let Some(url) = member("file_url") {
        source_of(&url)
    } else {
        MediaSource::FileId { dialect: Dialect::Chat, id: member("file_id")? }
    };
    let class = match &source {
        MediaSource::Base64 { mime, .. } => MediaClass::of(mime),
        _ => MediaClass::Document,
    };
    let ext = Ext::default();
    Some(match class {
        MediaClass::Image => Part::Image { source, detail: None, cache, signature: None, ext },
        _ => Part::Document {
            source,
            name,
            title: None,
            context: None,
            citations: false,
            cache,
            ext,
        },
    })
}

fn audio(raw: &str) -> Option<Part> {
    let member = |key| json::member(raw, key).and_then(word);
    let format = member("format").unwrap_or_else(|| "wav".into());
    let data = member("data")?;
    let source = DataUrl::parse(&data).map_or_else(
        || MediaSource::Base64 {
            mime: audio_media_type(&format),
            data: crate::translate::data_url::standard_base64(&data),
        },
        MediaSource::from,
    );
    Some(Part::Audio { source, format, transcript: None, id: None })
}
