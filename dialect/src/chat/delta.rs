//! What a choice says: the `delta` of a chunk, or the `message` of a whole answer. Both have the same
//! members, in the spellings of all vendors.

use std::borrow::Cow;

use crate::ir::{Citation, CitationKind, CitationSpan, MediaSource, RawJson, SigFamily, Str};
use crate::translate::data_url::source_of;
use crate::usage::lenient_tokens;
use crate::{Dialect, json};

/// The members that say something, as written.
#[derive(Default)]
pub(super) struct Delta<'a> {
    pub(super) content: Option<&'a str>,
    pub(super) refusal: Option<&'a str>,
    pub(super) tool_calls: Option<&'a str>,
    pub(super) function_call: Option<&'a str>,
    pub(super) audio: Option<&'a str>,
    pub(super) images: Option<&'a str>,
    pub(super) annotations: Option<&'a str>,
    pub(super) details: Option<&'a str>,
    /// Google's signature on the text.
    pub(super) signature: Option<Str>,
    reasoning_content: Option<&'a str>,
    reasoning: Option<&'a str>,
}

impl<'a> Delta<'a> {
    pub(super) fn read(raw: &'a str) -> Self {
        let mut delta = Self::default();
        json::visit(raw, |key, raw| {
            if json::is_blank(raw) {
                return;
            }
            match key {
                "content" => delta.content = Some(raw),
                "refusal" => delta.refusal = Some(raw),
                "tool_calls" => delta.tool_calls = Some(raw),
                "function_call" => delta.function_call = Some(raw),
                "audio" => delta.audio = Some(raw),
                "images" => delta.images = Some(raw),
                "annotations" => delta.annotations = Some(raw),
                "reasoning_content" => delta.reasoning_content = Some(raw),
                "reasoning" => delta.reasoning = Some(raw),
                "reasoning_details" => delta.details = Some(raw),
                "extra_content" => delta.signature = google_signature(raw),
                _ => {}
            }
        });
        delta
    }

    /// Reasoning in words. Vendors that fill several of the fields say the same in each.
    pub(super) fn reasoning(&self) -> Cow<'a, str> {
        let said = |raw: Option<&'a str>| raw.and_then(json::string).filter(|s| !s.is_empty());
        said(self.reasoning_content).or_else(|| said(self.reasoning)).unwrap_or_else(|| {
            let mut text = String::new();
            for detail in self.details() {
                text.push_str(detail.text.as_deref().unwrap_or_default());
            }
            Cow::Owned(text)
        })
    }

    /// The elements of `reasoning_details`.
    pub(super) fn details(&self) -> Vec<ReasoningDetail<'a>> {
        let mut details = Vec::new();
        json::visit_elements(self.details.unwrap_or_default(), |raw| {
            details.push(ReasoningDetail::read(raw));
        });
        details
    }
}

/// One element of OpenRouter's `reasoning_details`.
#[derive(Default)]
pub(super) struct ReasoningDetail<'a> {
    /// `reasoning.text` or `reasoning.summary`.
    pub(super) text: Option<Cow<'a, str>>,
    /// The signature of a `reasoning.text`, or the data of a `reasoning.encrypted`.
    pub(super) seal: Option<Str>,
    /// Who made the seal, where the format says so.
    pub(super) family: Option<SigFamily>,
}

impl<'a> ReasoningDetail<'a> {
    fn read(raw: &'a str) -> Self {
        let mut detail = Self::default();
        json::visit(raw, |key, raw| match key {
            "text" | "summary" => detail.text = json::string(raw).or(detail.text.take()),
            "signature" | "data" => detail.seal = json::text(raw).map(Str::from),
            "format" => detail.family = json::string(raw).and_then(|format| family(&format)),
            _ => {}
        });
        detail
    }
}

/// The family that a format of `reasoning_details` names.
fn family(format: &str) -> Option<SigFamily> {
    let families = [
        ("anthropic", SigFamily::Claude),
        ("openai", SigFamily::OpenAi),
        ("google", SigFamily::Gemini),
        ("xai", SigFamily::Grok),
    ];
    families.into_iter().find(|(name, _)| format.starts_with(name)).map(|(_, family)| family)
}

/// `extra_content.google.thought_signature`: where Google's chat endpoint puts signatures.
pub(super) fn google_signature(extra_content: &str) -> Option<Str> {
    let google = json::member(extra_content, "google")?;
    json::member(google, "thought_signature").and_then(json::text).map(Str::from)
}

/// One element of a `content` that is a list.
pub(super) enum ContentPart<'a> {
    Text(Cow<'a, str>),
    /// Mistral.
    Thinking(String),
    Image(MediaSource),
}

/// Calls `f` for each element of a content list that says something.
pub(super) fn content_parts<'a>(list: &'a str, mut f: impl FnMut(ContentPart<'a>)) {
    json::visit_elements(list, |raw| {
        if let Some(text) = json::string(raw) {
            return f(ContentPart::Text(text));
        }
        let (mut text, mut thinking, mut image) = (None, None, None);
        json::visit(raw, |key, raw| match key {
            "text" => text = json::string(raw),
            "thinking" => thinking = Some(plain_text(raw)),
            "image_url" => image = image_url(raw),
            _ => {}
        });
        if let Some(source) = image {
            f(ContentPart::Image(source));
        } else if let Some(thinking) = thinking {
            f(ContentPart::Thinking(thinking));
        } else if let Some(text) = text {
            f(ContentPart::Text(text));
        }
    });
}

/// A string, or the texts of a list of text parts.
fn plain_text(raw: &str) -> String {
    if let Some(text) = json::string(raw) {
        return text.into_owned();
    }
    let mut all = String::new();
    json::visit_elements(raw, |part| {
        let text = json::member(part, "text").and_then(json::string);
        all.push_str(text.as_deref().unwrap_or_default());
    });
    all
}

/// `image_url` as an object or, as some vendors write it, a string.
pub(super) fn image_url(raw: &str) -> Option<MediaSource> {
    let url = json::string(raw).or_else(|| json::member(raw, "url").and_then(json::string))?;
    Some(source_of(&url))
}

/// The citations in `annotations`.
pub(super) fn annotations(list: &str) -> Vec<Citation> {
    let mut citations = Vec::new();
    json::visit_elements(list, |raw| citations.extend(annotation(raw)));
    citations
}

fn annotation(raw: &str) -> Option<Citation> {
    // Some vendors leave out the inner object.
    let inner = json::member(raw, "url_citation").unwrap_or(raw);
    let text = |key| json::member(inner, key).and_then(json::text).map(Str::from);
    let place = |key| {
        let place = json::member(inner, key).and_then(lenient_tokens)?;
        usize::try_from(place).ok()
    };
    let span = place("start_index").zip(place("end_index"));
    Some(Citation {
        kind: CitationKind::Url,
        url: Some(text("url")?),
        title: text("title"),
        cited_text: text("content"),
        span: span
            .filter(|(start, end)| start < end)
            .map(|(start, end)| CitationSpan { start, end }),
        document: None,
        raw: RawJson::parse(raw).ok().map(|raw| (Dialect::Chat, raw)),
    })
}

/// The sources that Perplexity lists beside the choices: addresses, or objects with `url` and `title`.
pub(super) fn sources(list: &str) -> Vec<Citation> {
    let mut citations = Vec::new();
    json::visit_elements(list, |raw| {
        let text = |key| json::member(raw, key).and_then(json::text).map(Str::from);
        let Some(url) = json::text(raw).map(Str::from).or_else(|| text("url")) else { return };
        citations.push(Citation {
            kind: CitationKind::Url,
            url: Some(url),
            title: text("title"),
            cited_text: text("snippet"),
            span: None,
            document: None,
            raw: None,
        });
    });
    citations
}
