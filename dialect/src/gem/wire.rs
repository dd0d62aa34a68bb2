//! What Gemini bodies are made of, as they come in: parts, blobs, calls.
//!
//! All of it borrows from the body. A field of the wrong type reads as absent, since Google's own
//! parsers of JSON differ in what they let pass.

use std::borrow::Cow;

use crate::json;

/// The value of a string field.
pub(super) fn string(raw: &str) -> Option<Cow<'_, str>> {
    json::string(raw)
}

/// The value of a field that holds a whole number, as a number or (as in protobuf's JSON) as text.
pub(super) fn integer(raw: &str) -> Option<i64> {
    let text = json::string(raw).unwrap_or(Cow::Borrowed(raw));
    let text = text.trim();
    text.parse().ok().or_else(|| whole(text.parse().ok()?))
}

#[expect(
    clippy::as_conversions,
    reason = "the range is checked, and there is no other cast from f64"
)]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}

/// One part of a content.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Part<'a> {
    /// The part as written.
    pub(super) raw: &'a str,
    text: Option<&'a str>,
    pub(super) thought: bool,
    signature: Option<&'a str>,
    pub(super) inline_data: Option<&'a str>,
    pub(super) file_data: Option<&'a str>,
    pub(super) video_metadata: Option<&'a str>,
    pub(super) call: Option<&'a str>,
    pub(super) response: Option<&'a str>,
    pub(super) code: Option<&'a str>,
    pub(super) code_result: Option<&'a str>,
    pub(super) tool_call: Option<&'a str>,
    pub(super) tool_response: Option<&'a str>,
}

impl<'a> Part<'a> {
    /// Reads a part; `None` when it is no object.
    pub(super) fn read(raw: &'a str) -> Option<Self> {
        let mut part = Self { raw, ..Self::default() };
        let whole = json::visit(raw, |key, raw| {
            if raw == "null" {
                return;
            }
            match key {
                "text" => part.text = Some(raw),
                "thought" => part.thought = raw == "true",
                "thoughtSignature" | "thought_signature" => part.signature = Some(raw),
                "inlineData" | "inline_data" => part.inline_data = Some(raw),
                "fileData" | "file_data" => part.file_data = Some(raw),
                "videoMetadata" | "video_metadata" => part.video_metadata = Some(raw),
                "functionCall" | "function_call" => part.call = Some(raw),
                "functionResponse" | "function_response" => part.response = Some(raw),
                "executableCode" | "executable_code" => part.code = Some(raw),
                "codeExecutionResult" | "code_execution_result" => part.code_result = Some(raw),
                "toolCall" | "tool_call" => part.tool_call = Some(raw),
                "toolResponse" | "tool_response" => part.tool_response = Some(raw),
                _ => {}
            }
        });
        whole.then_some(part)
    }

    /// Its text, if it is a part of text.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        self.text.and_then(string)
    }

    /// Its signature; an empty one is none.
    pub(super) fn signature(&self) -> Option<Cow<'a, str>> {
        self.signature.and_then(string).filter(|value| !value.is_empty())
    }

    /// Whether it holds nothing but, at most, a signature.
    pub(super) fn is_bare(&self) -> bool {
        let Self { inline_data, file_data, call, response, code, .. } = self;
        let Self { code_result, tool_call, tool_response, text, signature, .. } = self;
        let data = [inline_data, file_data, call, response, code];
        let results = [code_result, tool_call, tool_response];
        let known = text.is_some() || signature.is_some() || self.thought || self.raw == "{}";
        known && data.into_iter().chain(results).all(Option::is_none)
    }
}

/// Bytes in a body (`inlineData`), or behind an address (`fileData`).
#[derive(Clone, Default, Debug)]
pub(super) struct Blob<'a> {
    /// The media type.
    pub(super) mime: Option<Cow<'a, str>>,
    /// The bytes, base64, or the address.
    pub(super) data: Cow<'a, str>,
    /// The file's name.
    pub(super) name: Option<Cow<'a, str>>,
}

impl<'a> Blob<'a> {
    /// Reads a blob; `None` when it has neither bytes nor address.
    pub(super) fn read(raw: &'a str) -> Option<Self> {
        let mut blob = Self::default();
        json::visit(raw, |key, raw| match key {
            "mimeType" | "mime_type" => blob.mime = string(raw).filter(|mime| !mime.is_empty()),
            "data" | "fileUri" | "file_uri" => blob.data = string(raw).unwrap_or_default(),
            "displayName" | "display_name" => blob.name = string(raw).filter(|n| !n.is_empty()),
            _ => {}
        });
        (!blob.data.is_empty()).then_some(blob)
    }
}

/// A call of a function, or a fragment of one.
#[derive(Clone, Default, Debug)]
pub(super) struct Call<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) name: Option<Cow<'a, str>>,
    /// The arguments as written; `None` when absent or no object.
    pub(super) args: Option<&'a str>,
    /// Fragments of arguments (Vertex).
    pub(super) partial_args: Option<&'a str>,
    /// Whether more fragments follow.
    pub(super) continues: bool,
}

impl<'a> Call<'a> {
    pub(super) fn read(raw: &'a str) -> Self {
        let mut call = Self::default();
        json::visit(raw, |key, raw| match key {
            "id" => call.id = string(raw).filter(|id| !id.is_empty()),
            "name" => call.name = string(raw).filter(|name| !name.is_empty()),
            "args" => call.args = Some(raw).filter(|raw| json::is_object(raw)),
            "partialArgs" | "partial_args" => {
                call.partial_args = Some(raw).filter(|raw| json::is_array(raw));
            }
            "willContinue" | "will_continue" => call.continues = raw == "true",
            _ => {}
        });
        call
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_and_wrong_types_are_absent() {
        let part = Part::read(r#"{"text":"a","thought_signature":"S","thought":true}"#).unwrap();
        assert_eq!((part.text().as_deref(), part.signature().as_deref()), (Some("a"), Some("S")));
        assert!(part.thought && part.is_bare());
        let odd = Part::read(r#"{"text":1,"thoughtSignature":"","functionCall":null}"#).unwrap();
        assert_eq!((odd.text(), odd.signature(), odd.call), (None, None, None));
        assert!(Part::read("[]").is_none());
        assert!(!Part::read(r#"{"new":1}"#).unwrap().is_bare());

        let blob = Blob::read(r#"{"mime_type":"image/png","data":"AA"}"#).unwrap();
        assert_eq!((blob.mime.as_deref(), &*blob.data), (Some("image/png"), "AA"));
        assert!(Blob::read(r#"{"mimeType":"image/png"}"#).is_none());

        let call = Call::read(r#"{"name":"f","args":[1],"willContinue":true,"id":""}"#);
        assert_eq!((call.name.as_deref(), call.args, call.id), (Some("f"), None, None));
        assert!(call.continues);
    }

    #[test]
    fn whole_numbers_come_as_numbers_or_text() {
        for (raw, want) in
            [("5", Some(5)), ("\"-1\"", Some(-1)), ("5.0", Some(5)), ("5.5", None), ("null", None)]
        {
            assert_eq!(integer(raw), want, "{raw}");
        }
    }
}
