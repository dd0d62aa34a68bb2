//! What the encoders of this dialect write: items, parts of content, tools.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::Dialect;
use crate::ir::{Citation, CitationKind, Ext, RawJson};

/// An item of a request's `input` or of an answer's `output`.
#[derive(Serialize, Debug)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
        role: &'static str,
        content: Vec<Content<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<&'a str>,
    },
    Reasoning {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        summary: Vec<Summary<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<&'a str>,
    },
    FunctionCall {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
        call_id: Cow<'a, str>,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        arguments: &'a str,
    },
    CustomToolCall {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
        call_id: Cow<'a, str>,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        input: &'a str,
    },
    ImageGenerationCall {
        id: &'a str,
        status: Status,
        result: &'a str,
    },
    FunctionCallOutput {
        call_id: Cow<'a, str>,
        output: Output<'a>,
    },
    CustomToolCallOutput {
        call_id: Cow<'a, str>,
        output: Output<'a>,
    },
    /// An item that has no form here: its members, the type among them.
    #[serde(untagged)]
    Members(Map<String, Value>),
    /// An item as another Responses server wrote it.
    #[serde(untagged)]
    Raw(&'a RawJson),
}

/// How far an item of an answer is.
#[derive(Clone, Copy, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    InProgress,
    Completed,
}

/// What a tool of the client's answered.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(super) enum Output<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Content<'a>>),
}

/// A paragraph of a reasoning summary.
#[derive(Serialize, Debug)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Summary<'a> {
    SummaryText { text: &'a str },
}

/// A part of a message.
#[derive(Serialize, Debug)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content<'a> {
    InputText {
        text: Cow<'a, str>,
        #[serde(flatten)]
        ext: Fields<'a>,
    },
    OutputText {
        text: &'a str,
        /// Answers always have them, histories need none.
        #[serde(skip_serializing_if = "Option::is_none")]
        annotations: Option<Vec<Annotation<'a>>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<&'a [RawJson]>,
    },
    Refusal {
        refusal: &'a str,
    },
    InputImage {
        #[serde(skip_serializing_if = "Option::is_none")]
        image_url: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
        #[serde(flatten)]
        ext: Fields<'a>,
    },
    InputFile {
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<&'a str>,
        #[serde(flatten)]
        ext: Fields<'a>,
    },
    InputAudio {
        input_audio: Audio<'a>,
    },
}

/// Sound in a message.
#[derive(Serialize, Debug)]
pub(super) struct Audio<'a> {
    pub(super) data: &'a str,
    pub(super) format: &'a str,
}

/// Fields that another Responses client or server wrote and this program does not know.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) Option<&'a Ext>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in self.0.into_iter().flat_map(|ext| ext.of(Dialect::Resp)) {
            map.serialize_entry(&*field.key, &field.value)?;
        }
        map.end()
    }
}

/// Where a stretch of text comes from.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(super) enum Annotation<'a> {
    Raw(&'a RawJson),
    Url {
        #[serde(rename = "type")]
        kind: &'static str,
        url: &'a str,
        title: &'a str,
        start_index: usize,
        end_index: usize,
    },
}

impl<'a> Annotation<'a> {
    /// A citation as an annotation of `text`; `None` when it leads nowhere that a client could go.
    pub(super) fn new(citation: &'a Citation, text: &str) -> Option<Self> {
        if let Some((Dialect::Resp, raw)) = &citation.raw {
            return Some(Self::Raw(raw));
        }
        if !matches!(citation.kind, CitationKind::Url | CitationKind::SearchResult) {
            return None;
        }
        let url = citation.url.as_deref()?;
        let (start_index, end_index) =
            citation.span.map_or_else(|| (0, text.chars().count()), |span| (span.start, span.end));
        Some(Self::Url {
            kind: "url_citation",
            url,
            title: citation.title.as_deref().unwrap_or_default(),
            start_index,
            end_index,
        })
    }
}

/// The form of the answer.
#[derive(Serialize, Debug)]
pub(super) struct TextOptions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verbosity: Option<&'static str>,
}

/// The form of the answer's text.
#[derive(Serialize, Debug)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Format<'a> {
    Text,
    JsonObject,
    JsonSchema {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        schema: &'a RawJson,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

/// A declaration of a tool.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(super) enum Tool<'a> {
    Function {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        parameters: Cow<'a, RawJson>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        defer_loading: Option<bool>,
        #[serde(flatten)]
        ext: Fields<'a>,
    },
    Custom {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<&'a RawJson>,
    },
    Namespace {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        tools: Vec<Tool<'a>>,
    },
    Raw(&'a RawJson),
    Bare {
        #[serde(rename = "type")]
        kind: &'static str,
    },
}
