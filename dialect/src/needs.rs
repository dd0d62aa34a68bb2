//! What the current user turn asks of a model: eyes, ears, PDF pages, tools, a schema (accounts §6.3).

use std::ops::{ControlFlow, Range};

use memchr::memmem;

use crate::peek::Peek;
use crate::{Dialect, json};

/// Capabilities a request needs. `false` = not needed, as far as the request tells.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Needs {
    /// The turn holds an image.
    pub vision: bool,
    /// The turn holds a PDF document.
    pub pdf: bool,
    /// The turn holds sound.
    pub audio: bool,
    /// Tools are declared.
    pub tools: bool,
    /// The answer must follow a JSON schema.
    pub json_schema: bool,
}

impl Needs {
    /// True when any model will do.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Reads what the request needs. Of the conversation only the current user turn counts: the last user
/// messages and what followed them (calls and results of tools); an image in old history does not.
///
/// Looks into the turns, so call it only when the answer matters.
///
/// # Examples
/// ```
/// use ninerouter_dialect::{Dialect, needs, peek};
/// let body = br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/x"}}]}]}"#;
/// let seen = peek(Dialect::Chat, body).unwrap();
/// assert!(needs(Dialect::Chat, body, &seen).vision);
/// ```
pub fn needs(dialect: Dialect, body: &[u8], peek: &Peek) -> Needs {
    let text_at = |range: &Range<usize>| {
        body.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok())
    };
    let mut needs =
        Needs { tools: peek.tools, json_schema: wants_schema(dialect, body), ..Needs::default() };
    if let Some(turns) = peek.turns.as_ref().and_then(text_at) {
        for turn in current(dialect, turns) {
            needs.content(turn);
        }
    }
    needs
}

/// Whether any message of a conversation holds an image, however long ago.
pub(crate) fn has_image(turns: &str) -> bool {
    let mut needs = Needs::default();
    needs.content(turns);
    needs.vision
}

/// The messages of the current turn, last first.
fn current(dialect: Dialect, turns: &str) -> Vec<&str> {
    let mut all = Vec::new();
    json::visit_elements(turns, |turn| all.push(turn));
    let mut asked = false;
    let is_current = |turn: &&str| {
        let asks = is_question(dialect, turn);
        // Some clients send picture and text as two messages: both are the question.
        let current = asks || !asked;
        asked |= asks;
        current
    };
    all.into_iter().rev().take_while(is_current).collect()
}

/// True for a message in which the user speaks; results of tools come in the user's name too.
fn is_question(dialect: Dialect, turn: &str) -> bool {
    let (mut role, mut content) = (None, None);
    json::visit(turn, |key, raw| match key {
        "role" => role = json::string(raw),
        "content" | "parts" => content = Some(raw),
        _ => {}
    });
    match (dialect, role.as_deref()) {
        // Gemini allows a turn without a role; it is the user's.
        (Dialect::Gem, None | Some("user")) | (Dialect::Anth, Some("user")) => {
            content.is_none_or(|content| !is_all_results(content))
        }
        (Dialect::Chat | Dialect::Resp, Some("user")) => true,
        (Dialect::Chat | Dialect::Resp | Dialect::Anth | Dialect::Gem, _) => false,
    }
}

/// True for a list of results of tools and nothing else.
fn is_all_results(content: &str) -> bool {
    let (mut results, mut others) = (false, false);
    json::visit_elements(content, |part| {
        let mut is_result = false;
        json::visit(part, |key, raw| {
            is_result |= matches!(key, "functionResponse" | "function_response")
                || (key == "type" && raw == "\"tool_result\"");
        });
        results |= is_result;
        others |= !is_result;
    });
    results && !others
}

impl Needs {
    /// A message, a part, a result of a tool, or a list of them.
    fn content(&mut self, raw: &str) {
        if json::is_array(raw) {
            json::visit_elements(raw, |part| self.content(part));
        } else if json::is_object(raw) {
            self.part(raw);
        }
    }

    fn part(&mut self, raw: &str) {
        let (mut kind, mut mime, mut plain) = (None, Mime::Unknown, false);
        json::visit(raw, |key, raw| match key {
            "type" => kind = json::string(raw),
            "content" | "parts" | "output" | "functionResponse" | "function_response" => {
                self.content(raw);
            }
            "source" | "file" => {
                mime = Mime::inside(raw);
                // Anthropic: a document of plain text, or of blocks that speak for themselves.
                plain = matches!(json::member(raw, "type"), Some("\"text\"" | "\"content\""));
                json::visit(raw, |key, raw| {
                    if key == "content" {
                        self.content(raw);
                    }
                });
            }
            "file_data" if raw.starts_with('"') => mime = Mime::of_url(raw),
            "inlineData" | "inline_data" | "fileData" | "file_data" => {
                self.media(Mime::inside(raw));
            }
            _ => {}
        });
        match kind.as_deref() {
            Some("image" | "image_url" | "input_image") => self.vision = true,
            Some("input_audio" | "audio") => self.audio = true,
            // What a file is, if it does not say: a PDF, which is what the format was made for.
            Some("file" | "input_file" | "document") if !plain => {
                self.media(if mime == Mime::Unknown { Mime::Pdf } else { mime });
            }
            Some(_) | None => {}
        }
    }

    fn media(&mut self, mime: Mime) {
        match mime {
            Mime::Image => self.vision = true,
            Mime::Pdf => self.pdf = true,
            Mime::Audio => self.audio = true,
            Mime::Other | Mime::Unknown => {}
        }
    }
}

/// Kind of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mime {
    Image,
    Pdf,
    Audio,
    Other,
    Unknown,
}

impl Mime {
    fn of(text: &str) -> Self {
        let is =
            |start: &str| text.get(..start.len()).is_some_and(|t| t.eq_ignore_ascii_case(start));
        if is("image/") {
            Self::Image
        } else if is("application/pdf") {
            Self::Pdf
        } else if is("audio/") {
            Self::Audio
        } else if text.is_empty() {
            Self::Unknown
        } else {
            Self::Other
        }
    }

    /// The type a data URL names; looks at its start only.
    fn of_url(raw: &str) -> Self {
        let start = raw.strip_prefix("\"data:").map(|rest| rest.split([';', ',', '"']).next());
        start.flatten().map_or(Self::Unknown, |mime| Self::of(&mime.replace("\\/", "/")))
    }

    /// The type an object names for its data.
    fn inside(raw: &str) -> Self {
        let mut found = Self::Unknown;
        json::visit(raw, |key, raw| match key {
            "media_type" | "mimeType" | "mime_type" => {
                found = json::string(raw).map_or(Self::Unknown, |mime| Self::of(&mime));
            }
            "file_data" => found = Self::of_url(raw),
            _ => {}
        });
        found
    }
}

/// Whether the answer must follow a schema. The body is walked only when it can be so.
fn wants_schema(dialect: Dialect, body: &[u8]) -> bool {
    let marks: &[&str] = match dialect {
        Dialect::Chat | Dialect::Resp | Dialect::Anth => &["json_schema"],
        Dialect::Gem => {
            &["responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"]
        }
    };
    if !marks.iter().any(|mark| memmem::find(body, mark.as_bytes()).is_some()) {
        return false;
    }
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let mut found = false;
    // A body that does not parse was refused before.
    let _walked = json::each_member(text, |m| {
        found |= match (dialect, &*m.key) {
            (Dialect::Chat, "response_format") | (Dialect::Anth, "output_format") => {
                is_schema(m.value)
            }
            (Dialect::Resp, "text") | (Dialect::Anth, "output_config") => {
                json::member(m.value, "format").is_some_and(is_schema)
            }
            (Dialect::Gem, "generationConfig" | "generation_config") => {
                let given = |key: &&&str| json::member(m.value, key).is_some_and(|v| v != "null");
                marks.iter().any(|mark| given(&mark))
            }
            (Dialect::Chat | Dialect::Resp | Dialect::Anth | Dialect::Gem, _) => false,
        };
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

fn is_schema(format: &str) -> bool {
    json::member(format, "type") == Some("\"json_schema\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peek;

    fn read(dialect: Dialect, body: &str) -> Needs {
        needs(dialect, body.as_bytes(), &peek(dialect, body.as_bytes()).unwrap())
    }

    fn media(dialect: Dialect, turns: &str) -> &'static str {
        let found = read(dialect, &format!(r#"{{"{}":{turns}}}"#, dialect.turns_key()));
        match (found.vision, found.pdf, found.audio) {
            (false, false, false) => "",
            (true, false, false) => "vision",
            (false, true, false) => "pdf",
            (false, false, true) => "audio",
            _ => "several",
        }
    }

    #[test]
    fn media_of_the_current_turn_are_seen_in_every_dialect() {
        use Dialect::{Anth, Chat, Gem, Resp};
        let table = [
            (Chat, r#"[{"role":"user","content":"an image, a \"type\":\"image\""}]"#, ""),
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"u"}}]}]"#,
                "vision",
            ),
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"","format":"wav"}}]}]"#,
                "audio",
            ),
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/pdf;base64,AA"}}]}]"#,
                "pdf",
            ),
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]"#,
                "pdf",
            ),
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"file","file":{"file_data":"data:text/plain,x"}}]}]"#,
                "",
            ),
            (Resp, r#""plain text""#, ""),
            (
                Resp,
                r#"[{"role":"user","content":[{"type":"input_image","image_url":"u"}]}]"#,
                "vision",
            ),
            (Resp, r#"[{"role":"user","content":[{"type":"input_file","file_url":"u"}]}]"#, "pdf"),
            (
                Resp,
                r#"[{"role":"user","content":[{"type":"input_file","file_data":"data:image\/png;base64,A"}]}]"#,
                "vision",
            ),
            (
                Resp,
                r#"[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"u"}]}]"#,
                "vision",
            ),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":""}}]}]"#,
                "vision",
            ),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":""}}]}]"#,
                "pdf",
            ),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"u"}}]}]"#,
                "pdf",
            ),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}]}]"#,
                "",
            ),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"image","source":{}}]}}]}]"#,
                "vision",
            ),
            (Gem, r#"[{"parts":[{"inlineData":{"mimeType":"image/png","data":""}}]}]"#, "vision"),
            (
                Gem,
                r#"[{"role":"user","parts":[{"file_data":{"mime_type":"application/pdf","file_uri":"u"}}]}]"#,
                "pdf",
            ),
            (
                Gem,
                r#"[{"role":"user","parts":[{"inline_data":{"mime_type":"audio/wav","data":""}}]}]"#,
                "audio",
            ),
            (Gem, r#"[{"role":"user","parts":[{"text":"inlineData"}]}]"#, ""),
        ];
        for (dialect, turns, want) in table {
            assert_eq!(media(dialect, turns), want, "{dialect:?} {turns}");
        }
    }

    #[test]
    fn old_history_does_not_count() {
        use Dialect::{Anth, Chat, Gem, Resp};
        let table = [
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]},{"role":"assistant","content":"a"},{"role":"user","content":"b"}]"#,
            ),
            (
                Resp,
                r#"[{"role":"user","content":[{"type":"input_image","image_url":"u"}]},{"type":"message","role":"assistant","content":[]},{"role":"user","content":"b"}]"#,
            ),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"image","source":{}}]},{"role":"assistant","content":"a"},{"role":"user","content":"b"}]"#,
            ),
            (
                Gem,
                r#"[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png"}}]},{"role":"model","parts":[]},{"role":"user","parts":[{"text":"b"}]}]"#,
            ),
        ];
        for (dialect, turns) in table {
            assert_eq!(media(dialect, turns), "", "{dialect:?}");
        }
    }

    #[test]
    fn a_turn_goes_on_through_calls_of_tools() {
        use Dialect::{Anth, Chat, Gem, Resp};
        let table = [
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]},{"role":"assistant","tool_calls":[]},{"role":"tool","content":"r"}]"#,
            ),
            (
                Chat,
                r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]},{"role":"user","content":"what is it?"}]"#,
            ),
            (
                Resp,
                r#"[{"role":"user","content":[{"type":"input_image","image_url":"u"}]},{"type":"function_call"},{"type":"function_call_output","output":"r"}]"#,
            ),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"image","source":{}}]},{"role":"assistant","content":[{"type":"tool_use"}]},{"role":"user","content":[{"type":"tool_result","content":"r"}]}]"#,
            ),
            (
                Anth,
                r#"[{"role":"user","content":"see"},{"role":"assistant","content":[{"type":"tool_use"}]},{"role":"user","content":[{"type":"tool_result","content":[{"type":"image","source":{}}]}]}]"#,
            ),
            (
                Gem,
                r#"[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png"}}]},{"role":"model","parts":[{"functionCall":{}}]},{"role":"user","parts":[{"functionResponse":{"name":"f"}}]}]"#,
            ),
        ];
        for (dialect, turns) in table {
            assert_eq!(media(dialect, turns), "vision", "{dialect:?} {turns}");
        }
    }

    #[test]
    fn tools_and_schemas_are_seen() {
        use Dialect::{Anth, Chat, Gem, Resp};
        let table = [
            (Chat, r#""tools":[{}]"#, true, false),
            (Chat, r#""tools":[]"#, false, false),
            (Chat, r#""response_format":{"type":"json_schema","json_schema":{}}"#, false, true),
            (Chat, r#""response_format":{"type":"json_object"},"x":"json_schema""#, false, false),
            (Resp, r#""text":{"format":{"type":"json_schema","schema":{}}}"#, false, true),
            (Anth, r#""output_format":{"type":"json_schema","schema":{}}"#, false, true),
            (Anth, r#""output_config":{"format":{"type":"json_schema"}}"#, false, true),
            (Gem, r#""generationConfig":{"responseSchema":{}}"#, false, true),
            (Gem, r#""generationConfig":{"responseSchema":null}"#, false, false),
            (Gem, r#""generation_config":{"response_json_schema":{}}"#, false, true),
        ];
        for (dialect, members, tools, json_schema) in table {
            let found = read(dialect, &format!(r#"{{"model":"m",{members}}}"#));
            assert_eq!((found.tools, found.json_schema), (tools, json_schema), "{members}");
            assert_eq!(found.is_empty(), !tools && !json_schema);
        }
    }
}
