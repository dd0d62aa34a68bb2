//! What Gemini bodies are made of, as they go out.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ir::{RawJson, Signature, ToolInput, ToolKind};
use crate::json;
use crate::translate::free_text_input;
use crate::usage::WireUsage;

/// A content: whose turn, and its parts.
#[derive(Debug, Serialize)]
pub(super) struct Content<'a> {
    pub(super) role: &'static str,
    pub(super) parts: Vec<Part<'a>>,
}

/// One part.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Part<'a> {
    /// A part made here.
    Made(Box<MadePart<'a>>),
    /// A part that Google wrote, given back as it is.
    Given(&'a RawJson),
}

/// A part made here; one of its data fields is set.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MadePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inline_data: Option<InlineData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_data: Option<FileData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) video_metadata: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_response: Option<FunctionResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<&'a str>,
}

/// Bytes in the body.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InlineData<'a> {
    pub(super) mime_type: Cow<'a, str>,
    pub(super) data: Cow<'a, str>,
}

/// Bytes behind one of Google's addresses.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<&'a str>,
    pub(super) file_uri: &'a str,
}

/// The model calls a function.
#[derive(Debug, Serialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) args: Cow<'a, RawValue>,
}

/// What a function answered.
#[derive(Debug, Serialize)]
pub(super) struct FunctionResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) response: RawJson,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Part<'a>>,
}

/// An answer, or a fragment of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates: Vec<Candidate<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_feedback: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_metadata: Option<WireUsage>,
    pub(super) model_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) response_id: &'a str,
}

/// One alternative.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    pub(super) content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_reason: Option<&'static str>,
    pub(super) index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grounding_metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs_result: Option<Value>,
}

impl<'a> Part<'a> {
    /// Text.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::from(MadePart { text: Some(text.into()), ..MadePart::default() })
    }

    /// Bytes in the body.
    pub(super) fn inline(mime: impl Into<Cow<'a, str>>, data: impl Into<Cow<'a, str>>) -> Self {
        let blob = InlineData { mime_type: mime.into(), data: data.into() };
        Self::from(MadePart { inline_data: Some(blob), ..MadePart::default() })
    }

    /// Bytes behind an address.
    pub(super) fn file(uri: &'a str, mime: Option<&'a str>) -> Self {
        let file = FileData { mime_type: mime, file_uri: uri };
        Self::from(MadePart { file_data: Some(file), ..MadePart::default() })
    }

    /// A call.
    pub(super) fn call(
        id: Option<&'a str>,
        name: &'a str,
        kind: &ToolKind,
        input: &'a ToolInput,
    ) -> Self {
        let call = FunctionCall { id, name, args: arguments(kind, input) };
        Self::from(MadePart { function_call: Some(call), ..MadePart::default() })
    }

    /// The part with a signature on it.
    pub(super) fn signed(mut self, signature: Option<&'a Signature>) -> Self {
        if let (Self::Made(part), Some(signature)) = (&mut self, signature) {
            part.thought_signature = Some(&signature.value);
        }
        self
    }

    /// The part as a thought.
    pub(super) fn thought(mut self) -> Self {
        if let Self::Made(part) = &mut self {
            part.thought = true;
        }
        self
    }
}

impl<'a> From<MadePart<'a>> for Part<'a> {
    fn from(part: MadePart<'a>) -> Self {
        Self::Made(Box::new(part))
    }
}

/// Arguments as the object that Gemini wants (§2.4, item 9): nothing is lost, whatever they were.
fn arguments<'a>(kind: &ToolKind, input: &'a ToolInput) -> Cow<'a, RawValue> {
    let free;
    let text = match input {
        ToolInput::Text(text) if *kind == ToolKind::Custom => {
            free = free_text_input(text);
            free.get()
        }
        ToolInput::Json(json) if json.is_object() => {
            // Carried JSON is valid; the fallback stands for an error that cannot happen.
            return serde_json::from_str::<&RawValue>(json.get())
                .map_or_else(|_| Cow::Owned(RawValue::NULL.to_owned()), Cow::Borrowed);
        }
        ToolInput::Json(json) => json.get(),
        ToolInput::Text(text) => text,
    };
    let object = if text.trim().is_empty() {
        "{}".to_owned()
    } else if serde_json::from_str::<&RawValue>(text)
        .is_ok_and(|_| !json::too_deep(text.as_bytes()))
    {
        let text = text.trim();
        if json::is_object(text) { text.to_owned() } else { format!("{{\"value\":{text}}}") }
    } else {
        format!("{{\"_raw\":{}}}", json::quote(text))
    };
    RawValue::from_string(object).map_or_else(|_| Cow::Owned(RawValue::NULL.to_owned()), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t045_arguments_become_an_object_and_nothing_is_lost() {
        let text = |text: &'static str| ToolInput::Text(text.into());
        for (input, want) in [
            (text(""), "{}"),
            (text("[1]"), r#"{"value":[1]}"#),
            (text("{bad"), r#"{"_raw":"{bad"}"#),
            (text(r#" {"a":12345678901234567890} "#), r#"{"a":12345678901234567890}"#),
            (ToolInput::Json(RawJson::parse(r#"{ "a":1.0}"#).unwrap()), r#"{ "a":1.0}"#),
            (ToolInput::Json(RawJson::parse("7").unwrap()), r#"{"value":7}"#),
        ] {
            assert_eq!(arguments(&ToolKind::Function, &input).get(), want);
        }
        assert_eq!(arguments(&ToolKind::Custom, &text("+x\n")).get(), r#"{"input":"+x\n"}"#);
    }
}
