//! Turns taken apart into items.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::Dialect;
use crate::ir::{
    Ext, MediaSource, Part, Request, Role, TextPart, Thinking, ToolInput, ToolKind, ToolResult,
    ToolUse, Turn,
};
use crate::resp::items::{NativeCall, server_item};
use crate::resp::stream_out::native_input;
use crate::resp::wire::{Audio, Content, Fields, Item, Output, Summary};
use crate::translate::data_url::DataUrl;
use crate::translate::{WarningKind, Warnings, ids};

/// The items of a request.
pub(super) fn input<'a>(request: &'a Request, warnings: &mut Warnings) -> Vec<Item<'a>> {
    let mut items = Items {
        // Ids of items that a server did not store mean nothing to it.
        keeps_ids: request.store != Some(false),
        items: Vec::new(),
        message: None,
        pictures: Vec::new(),
        warnings,
    };
    for turn in &request.turns {
        items.turn(turn);
    }
    items.items
}

struct Items<'a, 'w> {
    keeps_ids: bool,
    items: Vec<Item<'a>>,
    /// The message that further content goes into.
    message: Option<Message<'a>>,
    /// Images that the model made: its own messages cannot hold them, a message of the user's can.
    pictures: Vec<Content<'a>>,
    warnings: &'w mut Warnings,
}

struct Message<'a> {
    role: &'static str,
    phase: Option<&'a str>,
    content: Vec<Content<'a>>,
}

impl<'a> Items<'a, '_> {
    fn turn(&mut self, turn: &'a Turn) {
        for part in &turn.parts {
            match turn.role {
                Role::User => self.user(part),
                Role::Assistant => self.assistant(part),
            }
        }
        self.close();
        let pictures = std::mem::take(&mut self.pictures);
        if !pictures.is_empty() {
            self.message("user", None, pictures);
        }
    }

    fn user(&mut self, part: &'a Part) {
        match part {
            Part::SystemNote { text, developer: _, cache: _ } => {
                self.close();
                let text = Content::InputText { text: Cow::Borrowed(text), ext: Fields(None) };
                self.message("developer", None, vec![text]);
            }
            Part::ToolResult(result) => {
                self.close();
                let item = self.result(result);
                self.items.push(item);
            }
            Part::Opaque { dialect: Dialect::Resp, raw } => self.item(Item::Raw(raw)),
            Part::Opaque { .. } => {}
            part => match content(part) {
                Some(content) => self.say("user", None, content),
                None => self.left_out(part),
            },
        }
    }

    fn assistant(&mut self, part: &'a Part) {
        match part {
            Part::Text(text) => {
                let content = output_text(text);
                self.say("assistant", text.phase.as_deref(), content);
            }
            Part::Refusal { text } => {
                let phase = self.message.as_ref().and_then(|message| message.phase);
                self.say("assistant", phase, Content::Refusal { refusal: text });
            }
            Part::Thinking(thinking) => self.reasoning(thinking),
            Part::Redacted { seal, item_id } => self.item(Item::Reasoning {
                id: item_id.as_deref(),
                summary: Vec::new(),
                encrypted_content: Some(&seal.value),
            }),
            Part::ToolUse(call) => {
                let item = self.call(call);
                self.item(item);
            }
            Part::ServerTool(call) => match server_item(call) {
                Some(mut item) => {
                    if !self.keeps_ids {
                        item.remove("id");
                    }
                    self.item(Item::Members(item));
                }
                None => self.left_out(part),
            },
            Part::Opaque { dialect: Dialect::Resp, raw } => self.item(Item::Raw(raw)),
            Part::Opaque { .. } => {}
            Part::Image { source, ext, .. } => match (made_here(source, ext), content(part)) {
                (Some(item), _) if self.keeps_ids => self.item(item),
                (_, Some(content)) => self.pictures.push(content),
                (_, None) => self.left_out(part),
            },
            Part::Audio { transcript: Some(text), .. } => {
                let content = Content::OutputText { text, annotations: None, logprobs: None };
                self.say("assistant", None, content);
            }
            Part::Audio { .. }
            | Part::Document { .. }
            | Part::Video { .. }
            | Part::ToolResult(_)
            | Part::SystemNote { .. } => self.left_out(part),
        }
    }

    /// Reasoning counts only with its seal; words alone are no item that a server takes back (§2.7).
    fn reasoning(&mut self, thinking: &'a Thinking) {
        let Some(seal) = &thinking.signature else { return };
        let summary = if thinking.text.is_empty() {
            Vec::new()
        } else {
            vec![Summary::SummaryText { text: &thinking.text }]
        };
        self.item(Item::Reasoning {
            id: thinking.item_id.as_deref(),
            summary,
            encrypted_content: Some(&seal.value),
        });
    }

    fn call(&self, call: &'a ToolUse) -> Item<'a> {
        let call_id = ids::short_call_id(&call.id);
        let written: &str = match &call.input {
            ToolInput::Json(json) => json.get(),
            ToolInput::Text(text) => text,
        };
        let (name, namespace) = (&*call.name, call.namespace.as_deref());
        let native = match &call.kind {
            ToolKind::Native(item) => NativeCall::of_call(item),
            ToolKind::Function | ToolKind::Custom => None,
        };
        match (native, &call.kind) {
            (Some(native), _) => {
                let mut members = Map::new();
                members.insert("type".into(), native.call.into());
                members.insert("call_id".into(), Value::from(&*call_id));
                members.insert("status".into(), "completed".into());
                members.insert(native.input.into(), native_input(written));
                self.own_members(&call.ext, &mut members);
                Item::Members(members)
            }
            (None, ToolKind::Custom) => Item::CustomToolCall {
                id: None,
                status: None,
                call_id,
                name,
                namespace,
                input: written,
            },
            (None, _) => {
                let arguments = if written.trim().is_empty() { "{}" } else { written };
                Item::FunctionCall { id: None, status: None, call_id, name, namespace, arguments }
            }
        }
    }

    fn result(&self, result: &'a ToolResult) -> Item<'a> {
        let call_id = ids::short_call_id(&result.id);
        let native = match &result.kind {
            ToolKind::Native(item) => NativeCall::of_call(item),
            ToolKind::Function | ToolKind::Custom => None,
        };
        match (native, &result.kind) {
            (Some(native), _) => Item::Members(self.native_result(native, result, &call_id)),
            (None, ToolKind::Custom) => {
                Item::CustomToolCallOutput { call_id, output: output(result) }
            }
            (None, _) => Item::FunctionCallOutput { call_id, output: output(result) },
        }
    }

    fn native_result(
        &self,
        native: &NativeCall,
        result: &ToolResult,
        call_id: &str,
    ) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("type".into(), native.output.into());
        // The oldest of them goes by the call's id alone.
        let id_member = if native.call == "local_shell_call" { "id" } else { "call_id" };
        members.insert(id_member.into(), call_id.into());
        self.own_members(&result.ext, &mut members);
        if !members.contains_key("output") && native.call != "tool_search_call" {
            let text = plain_text(&result.content);
            let output = match native.call {
                "shell_call" => json!([{
                    "stdout": text,
                    "stderr": "",
                    "outcome": { "type": "exit", "exit_code": i32::from(result.is_error) },
                }]),
                _ => text.into(),
            };
            members.insert("output".into(), output);
            if native.call == "apply_patch_call" {
                let status = if result.is_error { "failed" } else { "completed" };
                members.insert("status".into(), status.into());
            }
        }
        members
    }

    fn own_members(&self, ext: &Ext, members: &mut Map<String, Value>) {
        for field in ext.of(Dialect::Resp).filter(|field| self.keeps_ids || field.key != "id") {
            members.insert(field.key.to_string(), field.value.to_value().unwrap_or_default());
        }
    }

    fn say(&mut self, role: &'static str, phase: Option<&'a str>, content: Content<'a>) {
        match &mut self.message {
            Some(message) if message.role == role && message.phase == phase => {
                message.content.push(content);
            }
            _ => {
                self.close();
                self.message = Some(Message { role, phase, content: vec![content] });
            }
        }
    }

    fn item(&mut self, item: Item<'a>) {
        self.close();
        self.items.push(item);
    }

    fn close(&mut self) {
        if let Some(Message { role, phase, content }) = self.message.take() {
            self.message(role, phase, content);
        }
    }

    fn message(&mut self, role: &'static str, phase: Option<&'a str>, content: Vec<Content<'a>>) {
        self.items.push(Item::Message { id: None, status: None, role, content, phase });
    }

    fn left_out(&mut self, part: &Part) {
        let what = match part {
            Part::Image { .. } => "image",
            Part::Document { .. } => "document",
            Part::Audio { .. } => "audio",
            Part::Video { .. } => "video",
            Part::ServerTool(_) => "server tool of another dialect",
            _ => "part out of place",
        };
        self.warnings.push(WarningKind::Dropped, "input", what);
    }
}

fn output_text(text: &TextPart) -> Content<'_> {
    Content::OutputText { text: &text.text, annotations: None, logprobs: None }
}

/// An image that this dialect's own tool made, under the id that the server knows.
fn made_here<'a>(source: &'a MediaSource, ext: &Ext) -> Option<Item<'a>> {
    let MediaSource::Base64 { data, .. } = source else { return None };
    let id = ext.get(Dialect::Resp, "id")?.to_value().ok()?;
    let mut members = Map::new();
    members.insert("type".into(), "image_generation_call".into());
    members.insert("id".into(), id);
    members.insert("status".into(), "completed".into());
    members.insert("result".into(), Value::from(&**data));
    Some(Item::Members(members))
}

/// A part of a user's message, or of a tool's output; `None` for what neither can hold.
fn content(part: &Part) -> Option<Content<'_>> {
    match part {
        Part::Text(text) => Some(Content::InputText {
            text: Cow::Borrowed(&text.text),
            ext: Fields(Some(&text.ext)),
        }),
        Part::Refusal { text } => {
            Some(Content::InputText { text: Cow::Borrowed(text), ext: Fields(None) })
        }
        Part::Image { source, detail, ext, .. } => image(source, detail.as_deref(), ext),
        Part::Document { source, name, ext, .. } => document(source, name.as_deref(), ext),
        Part::Audio { source: MediaSource::Base64 { data, .. }, format, .. } => {
            Some(Content::InputAudio { input_audio: Audio { data, format } })
        }
        _ => None,
    }
}

/// OpenAI's two dialects share their files.
fn own_file(source: &MediaSource) -> Option<&str> {
    match source {
        MediaSource::FileId { dialect: Dialect::Chat | Dialect::Resp, id } => Some(id),
        _ => None,
    }
}

fn image<'a>(
    source: &'a MediaSource,
    detail: Option<&'a str>,
    ext: &'a Ext,
) -> Option<Content<'a>> {
    let image_url = match source {
        MediaSource::Base64 { mime, data } => Some(Cow::Owned(DataUrl::format(mime, data))),
        MediaSource::Url(url) | MediaSource::FileUri { uri: url, .. } => {
            Some(Cow::Borrowed(&**url))
        }
        MediaSource::FileId { .. } | MediaSource::Text(_) => None,
    };
    let file_id = own_file(source);
    if image_url.is_none() && file_id.is_none() {
        return None;
    }
    Some(Content::InputImage { image_url, file_id, detail, ext: Fields(Some(ext)) })
}

fn document<'a>(
    source: &'a MediaSource,
    name: Option<&'a str>,
    ext: &'a Ext,
) -> Option<Content<'a>> {
    let mut filename = name;
    let (mut file_data, mut file_url) = (None, None);
    match source {
        MediaSource::Base64 { mime, data } => {
            // The server tells the kind of file by its name.
            filename = Some(name.unwrap_or(match &**mime {
                "application/pdf" => "document.pdf",
                _ => "document.txt",
            }));
            file_data = Some(DataUrl::format(mime, data));
        }
        MediaSource::Url(url) | MediaSource::FileUri { uri: url, .. } => file_url = Some(&**url),
        MediaSource::Text(text) => {
            return Some(Content::InputText { text: Cow::Borrowed(text), ext: Fields(None) });
        }
        MediaSource::FileId { .. } => {}
    }
    let file_id = own_file(source);
    if file_data.is_none() && file_url.is_none() && file_id.is_none() {
        return None;
    }
    // An address and an id bring their own name.
    let filename = filename.filter(|_| file_data.is_some());
    Some(Content::InputFile { filename, file_data, file_url, file_id, ext: Fields(Some(ext)) })
}

/// What a tool answered: text as a string, anything else as parts. Failures say so in words (§2.4).
fn output(result: &ToolResult) -> Output<'_> {
    match result.content.as_slice() {
        [] if result.is_error => Output::Text(Cow::Borrowed("Error")),
        [] => Output::Text(Cow::Borrowed("")),
        [Part::Text(text)] => Output::Text(told(&text.text, result.is_error)),
        parts => {
            let mut is_error = result.is_error;
            let mut contents = Vec::with_capacity(parts.len());
            for part in parts {
                match (part, content(part)) {
                    (Part::Text(text), _) => contents.push(Content::InputText {
                        text: told(&text.text, std::mem::take(&mut is_error)),
                        ext: Fields(Some(&text.ext)),
                    }),
                    (_, found) => contents.extend(found),
                }
            }
            Output::Parts(contents)
        }
    }
}

fn told(text: &str, is_error: bool) -> Cow<'_, str> {
    let says_so = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
    if is_error && !says_so { Cow::Owned(format!("Error: {text}")) } else { Cow::Borrowed(text) }
}

fn plain_text(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(&*text.text),
            _ => None,
        })
        .collect();
    texts.join("\n")
}
