//! Turns into messages (translation §2.2–§2.4).

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::Dialect;
use crate::ir::{
    CacheMark, Ext, MediaSource, Part, RawJson, Request, Role, Signature, Str, TextPart, Thinking,
    ToolInput, ToolKind, ToolResult, ToolUse, Turn,
};
use crate::profile::{Quirk, ReasoningStyle, SystemRole};
use crate::translate::data_url::{DataUrl, audio_format};
use crate::translate::{Target, WarningKind, Warnings, ids};

use super::super::wire::{ToolCall, media_url};

const IMAGE_MOVED: &str = "[image omitted: see next message]";
const FILE_MOVED: &str = "[file omitted: see next message]";

/// One message.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<ReasoningDetail<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<AudioId<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(flatten)]
    ext: Extra<'a>,
}

impl<'a> Message<'a> {
    fn new(role: &'static str, content: Content<'a>) -> Self {
        Self {
            role,
            content,
            name: None,
            reasoning_content: None,
            reasoning_details: Vec::new(),
            refusal: None,
            audio: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            ext: Extra(None),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Null,
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Typed<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawJson>,
    },
    ImageUrl {
        image_url: ImageUrl<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawJson>,
    },
    InputAudio {
        input_audio: InputAudio<'a>,
    },
    File {
        file: File<'a>,
    },
    VideoUrl {
        video_url: ImageUrl<'a>,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum ContentPart<'a> {
    Typed(Typed<'a>),
    /// A part of chat that the router does not know.
    Same(&'a RawJson),
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct InputAudio<'a> {
    data: &'a str,
    format: Cow<'a, str>,
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
}

#[derive(Serialize)]
struct AudioId<'a> {
    id: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum ReasoningDetail<'a> {
    #[serde(rename = "reasoning.text")]
    Text { text: &'a str, signature: &'a str },
    #[serde(rename = "reasoning.encrypted")]
    Encrypted { data: &'a str },
}

/// The unknown fields that came from chat.
pub(super) struct Extra<'a>(pub(super) Option<&'a Ext>);

impl Serialize for Extra<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in self.0.into_iter().flat_map(|ext| ext.of(Dialect::Chat)) {
            map.serialize_entry(&*field.key, &field.value)?;
        }
        map.end()
    }
}

/// Writes messages for one target.
pub(super) struct Writer<'a, 'w> {
    target: &'a Target,
    /// Whether the request asks for reasoning, or leaves it to the model.
    reasons: bool,
    warnings: &'w mut Warnings,
    out: Vec<Message<'a>>,
}

impl<'a, 'w> Writer<'a, 'w> {
    /// All messages of a request.
    pub(super) fn write(
        request: &'a Request,
        target: &'a Target,
        warnings: &'w mut Warnings,
    ) -> Vec<Message<'a>> {
        let reasons = request.reasoning.effort != Some(crate::effort::Effort::Off);
        let mut writer = Self { target, reasons, warnings, out: Vec::new() };
        writer.system(request);
        for turn in &request.turns {
            match turn.role {
                Role::User => writer.user(turn),
                Role::Assistant => writer.assistant(turn),
            }
        }
        writer.out
    }

    /// One message: many servers take one only, and at the start.
    fn system(&mut self, request: &'a Request) {
        let texts = || request.system.iter().filter(|part| !part.text.is_empty());
        let marked = texts().any(|part| self.mark(part.cache.as_ref()).is_some());
        let content = if marked {
            let part = |part: &'a crate::ir::SystemPart| {
                ContentPart::Typed(Typed::Text {
                    text: Cow::Borrowed(&*part.text),
                    cache_control: self.mark(part.cache.as_ref()),
                })
            };
            Content::Parts(texts().map(part).collect())
        } else {
            Content::Text(joined(texts().map(|part| &*part.text), "\n\n"))
        };
        if texts().next().is_some() {
            self.out.push(Message::new(self.system_role(), content));
        }
    }

    fn system_role(&self) -> &'static str {
        match self.target.profile.system_role {
            Some(SystemRole::Developer) => "developer",
            Some(SystemRole::System) => "system",
            None if is_open_ai_reasoner(&self.target.model) => "developer",
            None => "system",
        }
    }

    /// Results first, each a message; then what else the user says.
    fn user(&mut self, turn: &'a Turn) {
        let mut rest = Vec::new();
        for part in &turn.parts {
            if let Part::ToolResult(result) = part {
                self.result(result, &mut rest);
            }
        }
        for part in &turn.parts {
            match part {
                Part::ToolResult(_) => {}
                Part::SystemNote { text, .. } => {
                    self.say(turn, std::mem::take(&mut rest));
                    self.note(text);
                }
                part => rest.extend(self.content_part(part)),
            }
        }
        self.say(turn, rest);
    }

    fn say(&mut self, turn: &'a Turn, parts: Vec<ContentPart<'a>>) {
        if parts.is_empty() {
            return;
        }
        let content = self.content(parts);
        let mut message = Message::new("user", content);
        message.name = turn.name.as_deref();
        message.ext = Extra(Some(&turn.ext));
        self.out.push(message);
    }

    /// Instructions between turns. Templates that know no such message get it as the user's.
    fn note(&mut self, text: &'a Str) {
        if text.is_empty() {
            return;
        }
        let message = if self.target.profile.mid_system_ok {
            Message::new(self.system_role(), Content::Text(Cow::Borrowed(text)))
        } else {
            let wrapped = format!("<system-reminder>\n{text}\n</system-reminder>");
            Message::new("user", Content::Text(wrapped.into()))
        };
        self.out.push(message);
    }

    /// A result as text; what is no text goes into `moved`, for the next message.
    fn result(&mut self, result: &'a ToolResult, moved: &mut Vec<ContentPart<'a>>) {
        let mut texts: Vec<Cow<'a, str>> = Vec::new();
        for part in &result.content {
            match part {
                Part::Text(text) => texts.push(Cow::Borrowed(&text.text)),
                Part::Document { source: MediaSource::Text(text), .. } => {
                    texts.push(Cow::Borrowed(text));
                }
                Part::Image { .. } | Part::Document { .. } => {
                    let image = matches!(part, Part::Image { .. });
                    if let Some(part) = self.content_part(part) {
                        texts.push(Cow::Borrowed(if image { IMAGE_MOVED } else { FILE_MOVED }));
                        moved.push(part);
                    }
                }
                Part::Opaque { raw, .. } => texts.push(Cow::Borrowed(raw.get())),
                _ => {}
            }
        }
        if result.is_error {
            let named =
                |text: &str| text.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("error"));
            match texts.first_mut() {
                Some(text) if named(text) => {}
                Some(text) => *text = format!("Error: {text}").into(),
                None => texts.push("Error".into()),
            }
        }
        let profile = &self.target.profile;
        let plain = profile.tool_content_string || profile.string_content_only || texts.len() < 2;
        let content = if plain {
            Content::Text(joined_owned(texts, "\n"))
        } else {
            let part = |text| ContentPart::Typed(Typed::Text { text, cache_control: None });
            Content::Parts(texts.into_iter().map(part).collect())
        };
        let mut message = Message::new("tool", content);
        message.tool_call_id = Some(self.call_id(&result.id));
        message.ext = Extra(Some(&result.ext));
        self.out.push(message);
    }

    fn assistant(&mut self, turn: &'a Turn) {
        let mut texts = Vec::new();
        let mut reasoning: Vec<&str> = Vec::new();
        let mut message = Message::new("assistant", Content::Null);
        for part in &turn.parts {
            match part {
                Part::Thinking(thinking) => {
                    if !thinking.text.is_empty() {
                        reasoning.push(&thinking.text);
                    }
                    message.reasoning_details.extend(self.detail(thinking));
                }
                Part::Redacted { seal, .. } if self.keeps_details() => {
                    message
                        .reasoning_details
                        .push(ReasoningDetail::Encrypted { data: &seal.value });
                }
                Part::ToolUse(call) => message.tool_calls.push(self.call(call)),
                Part::Refusal { text } => message.refusal = Some(text),
                Part::Audio { id: Some(id), .. } => message.audio = Some(AudioId { id }),
                Part::Text(_) | Part::Opaque { dialect: Dialect::Chat, .. } => {
                    texts.extend(self.content_part(part));
                }
                // What the provider ran itself, and what is sealed for it, means nothing elsewhere.
                Part::Redacted { .. } | Part::ServerTool(_) | Part::Opaque { .. } => {}
                _ => self.warnings.push(
                    WarningKind::Dropped,
                    "messages.content",
                    "an assistant's message holds no media",
                ),
            }
        }
        message.reasoning_content = self.reasoning(&reasoning, !message.tool_calls.is_empty());
        message.content =
            if texts.is_empty() { self.silent(&message) } else { self.content(texts) };
        let empty = matches!(message.content, Content::Text(ref text) if text.is_empty());
        if empty && message.reasoning_content.is_none() && message.refusal.is_none() {
            return;
        }
        message.name = turn.name.as_deref();
        message.ext = Extra(Some(&turn.ext));
        self.out.push(message);
    }

    /// The content of a message that says nothing in words.
    fn silent(&self, message: &Message<'_>) -> Content<'a> {
        let has_else = !message.tool_calls.is_empty() || message.audio.is_some();
        if has_else || message.refusal.is_some() { Content::Null } else { Content::Text("".into()) }
    }

    /// Earlier reasoning, for upstreams that want it back.
    fn reasoning(&self, texts: &[&'a str], has_calls: bool) -> Option<Cow<'a, str>> {
        let all = self.target.has(Quirk::ReasoningEchoAll);
        let wanted = all || self.target.has(Quirk::ReasoningEchoToolCalls);
        let takes = self.target.profile.reasoning_history || wanted;
        if !takes || !(all || has_calls) {
            return None;
        }
        if texts.is_empty() {
            // Blank is refused, nothing too; one space says that it is lost (§5.5).
            return (wanted && self.reasons).then_some(Cow::Borrowed(" "));
        }
        Some(joined(texts.iter().copied(), "\n\n"))
    }

    fn keeps_details(&self) -> bool {
        self.target.profile.reasoning_style == Some(ReasoningStyle::Openrouter)
    }

    fn detail(&self, thinking: &'a Thinking) -> Option<ReasoningDetail<'a>> {
        let signature = thinking.signature.as_ref().filter(|_| self.keeps_details())?;
        Some(ReasoningDetail::Text { text: &thinking.text, signature: &signature.value })
    }

    fn call(&self, call: &'a ToolUse) -> ToolCall<'a> {
        let custom = call.kind == ToolKind::Custom;
        let input = match &call.input {
            ToolInput::Json(json) => Cow::Borrowed(json.get()),
            // Free text travels as the one argument of a function (§2.4, item 11).
            ToolInput::Text(text) if custom => {
                Cow::Owned(serde_json::json!({ "input": &**text }).to_string())
            }
            ToolInput::Text(text) if text.trim().is_empty() => Cow::Borrowed("{}"),
            ToolInput::Text(text) => Cow::Borrowed(&**text),
        };
        let signature: Option<&Signature> = call.signature.as_ref();
        ToolCall::new(self.call_id(&call.id), &call.name, input, false).signed(signature)
    }

    fn call_id(&self, id: &'a str) -> Cow<'a, str> {
        if self.target.profile.id_len9 { ids::nine_character_call_id(id) } else { id.into() }
    }

    /// A string where one text is all there is.
    fn content(&self, parts: Vec<ContentPart<'a>>) -> Content<'a> {
        let is_text = |part: &ContentPart<'_>| {
            matches!(part, ContentPart::Typed(Typed::Text { cache_control: None, .. }))
        };
        let plain = parts.iter().all(is_text)
            && (parts.len() == 1 || self.target.profile.string_content_only);
        if !plain {
            return Content::Parts(parts);
        }
        let text = |part| match part {
            ContentPart::Typed(Typed::Text { text, .. }) => Some(text),
            _ => None,
        };
        Content::Text(joined_owned(parts.into_iter().filter_map(text).collect(), "\n"))
    }

    fn content_part(&mut self, part: &'a Part) -> Option<ContentPart<'a>> {
        let typed = match part {
            Part::Text(TextPart { text, cache, .. }) => {
                let cache_control = self.mark(cache.as_ref());
                Some(Typed::Text { text: Cow::Borrowed(&**text), cache_control })
            }
            Part::Refusal { text } => {
                Some(Typed::Text { text: Cow::Borrowed(&**text), cache_control: None })
            }
            Part::Image { source, detail, cache, .. } => {
                let cache_control = self.mark(cache.as_ref());
                let detail = detail.as_deref();
                let image_url = media_url(source).map(|url| ImageUrl { url, detail });
                image_url.map(|image_url| Typed::ImageUrl { image_url, cache_control })
            }
            Part::Audio { source: MediaSource::Base64 { mime, data }, format, .. } => {
                let format = match &**format {
                    "" => Cow::Owned(audio_format(mime).to_string()),
                    format => Cow::Borrowed(format),
                };
                Some(Typed::InputAudio { input_audio: InputAudio { data, format } })
            }
            Part::Video { source, .. } => {
                let video_url = media_url(source).map(|url| ImageUrl { url, detail: None });
                video_url.map(|video_url| Typed::VideoUrl { video_url })
            }
            Part::Document { source: MediaSource::Text(text), .. } => {
                Some(Typed::Text { text: Cow::Borrowed(&**text), cache_control: None })
            }
            Part::Document { source, name, .. } => {
                file(source, name.as_deref()).map(|file| Typed::File { file })
            }
            Part::Opaque { dialect: Dialect::Chat, raw } => return Some(ContentPart::Same(raw)),
            _ => None,
        };
        if typed.is_none() {
            self.warnings.push(
                WarningKind::Dropped,
                "messages.content",
                "a part that chat cannot carry",
            );
        }
        typed.map(ContentPart::Typed)
    }

    /// The mark as the client wrote it, for upstreams that pass it on to Anthropic.
    fn mark(&self, cache: Option<&'a CacheMark>) -> Option<&'a RawJson> {
        let raw = cache.and_then(|mark| mark.raw.as_ref());
        raw.filter(|_| self.target.has(Quirk::KeepCacheControl))
    }
}

fn file<'a>(source: &'a MediaSource, name: Option<&'a str>) -> Option<File<'a>> {
    match source {
        MediaSource::Base64 { mime, data } => Some(File {
            file_data: Some(DataUrl::format(mime, data)),
            file_id: None,
            // OpenAI refuses bytes without a name.
            filename: Some(name.unwrap_or("document.pdf")),
        }),
        MediaSource::FileId { dialect: Dialect::Chat | Dialect::Resp, id } => {
            Some(File { file_data: None, file_id: Some(id), filename: None })
        }
        MediaSource::FileId { .. }
        | MediaSource::Url(_)
        | MediaSource::FileUri { .. }
        | MediaSource::Text(_) => None,
    }
}

/// OpenAI's reasoning models, by name; gateways put a vendor in front.
pub(super) fn is_open_ai_reasoner(model: &str) -> bool {
    let bare = model.rsplit('/').next().unwrap_or(model);
    ["o1", "o3", "o4", "gpt-5"].iter().any(|family| bare.starts_with(family))
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>, between: &str) -> Cow<'a, str> {
    joined_owned(texts.map(Cow::Borrowed).collect(), between)
}

fn joined_owned<'a>(mut texts: Vec<Cow<'a, str>>, between: &str) -> Cow<'a, str> {
    if texts.len() < 2 { texts.pop().unwrap_or_default() } else { texts.join(between).into() }
}
