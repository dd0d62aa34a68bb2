//! What the encoders of answers write: the members that whole answers and chunks share.

use std::borrow::Cow;

use serde::Serialize;

use crate::Dialect;
use crate::ir::{Citation, CitationKind, CitationSpan, MediaSource, RawJson, SigFamily, Signature};
use crate::translate::data_url::DataUrl;

/// An element of `tool_calls`. A chunk after a call's first one leaves out all but index and arguments.
#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) custom: Option<Custom<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra_content: Option<ExtraContent<'a>>,
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct Custom<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    input: Cow<'a, str>,
}

impl<'a> ToolCall<'a> {
    /// A call, or the first chunk of one.
    pub(super) fn new(
        id: impl Into<Cow<'a, str>>,
        name: &'a str,
        input: impl Into<Cow<'a, str>>,
        custom: bool,
    ) -> Self {
        let mut call = Self::more(input, custom);
        call.id = Some(id.into());
        call.kind = Some(if custom { "custom" } else { "function" });
        if let Some(function) = &mut call.function {
            function.name = Some(name);
        }
        if let Some(custom) = &mut call.custom {
            custom.name = Some(name);
        }
        call
    }

    /// A later chunk of a call.
    pub(super) fn more(input: impl Into<Cow<'a, str>>, custom: bool) -> Self {
        let input = input.into();
        let (function, custom) = if custom {
            (None, Some(Custom { name: None, input }))
        } else {
            (Some(Function { name: None, arguments: input }), None)
        };
        Self { index: None, id: None, kind: None, function, custom, extra_content: None }
    }

    /// With Gemini's signature, where Google's own chat endpoint puts it; those of others stay here.
    pub(super) fn signed(mut self, signature: Option<&'a Signature>) -> Self {
        self.extra_content =
            signature.filter(|signature| signature.family == SigFamily::Gemini).map(|signature| {
                ExtraContent { google: Google { thought_signature: &signature.value } }
            });
        self
    }
}

#[derive(Serialize)]
pub(super) struct ExtraContent<'a> {
    google: Google<'a>,
}

#[derive(Serialize)]
struct Google<'a> {
    thought_signature: &'a str,
}

/// An element of `images`.
#[derive(Serialize)]
pub(super) struct Image {
    #[serde(rename = "type")]
    kind: &'static str,
    image_url: ImageUrl,
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

impl Image {
    pub(super) fn new(source: &MediaSource) -> Option<Self> {
        Some(Self { kind: "image_url", image_url: ImageUrl { url: media_url(source)? } })
    }
}

/// The address of a medium; `None` for what has none that another provider could read.
pub(super) fn media_url(source: &MediaSource) -> Option<String> {
    match source {
        MediaSource::Base64 { mime, data } => Some(DataUrl::format(mime, data)),
        MediaSource::Url(url) => Some(url.to_string()),
        MediaSource::FileUri { uri, .. } => Some(uri.to_string()),
        MediaSource::FileId { .. } | MediaSource::Text(_) => None,
    }
}

/// An element of `annotations`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Annotation<'a> {
    /// As another chat upstream wrote it.
    Same(&'a RawJson),
    Url {
        #[serde(rename = "type")]
        kind: &'static str,
        url_citation: UrlCitation<'a>,
    },
}

#[derive(Serialize)]
pub(super) struct UrlCitation<'a> {
    url: &'a str,
    title: &'a str,
    start_index: usize,
    end_index: usize,
}

impl<'a> Annotation<'a> {
    /// `None` for citations of documents, which chat does not know. A citation without a span marks
    /// the part, `text` in the whole content; its own span counts from the part's start.
    pub(super) fn new(citation: &'a Citation, text: CitationSpan) -> Option<Self> {
        if let Some((Dialect::Chat, raw)) = &citation.raw {
            return Some(Self::Same(raw));
        }
        let url = citation.url.as_deref().filter(|_| citation.kind == CitationKind::Url)?;
        let (start_index, end_index) = match citation.span {
            Some(span) => {
                (text.start.saturating_add(span.start), text.start.saturating_add(span.end))
            }
            None => (text.start, text.end),
        };
        let title = citation.title.as_deref().unwrap_or(url);
        let url_citation = UrlCitation { url, title, start_index, end_index };
        Some(Self::Url { kind: "url_citation", url_citation })
    }
}
