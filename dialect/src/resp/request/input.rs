//! The items of a request, gathered into turns (translation §2.2–§2.4).

use super::content::{self, Side};
use crate::ir::{
    Ext, MediaSource, Part, RawJson, Request, Role, SigFamily, Signature, Str, SystemOrigin,
    SystemPart, Thinking, ToolKind, ToolResult, ToolUse, Turn,
};
use crate::resp::items::{NativeCall, ran_upstream, server_tool};
use crate::resp::object::{Object, elements};
use crate::resp::stream_in::{call_input, item_image, paragraphs};
use crate::translate::{TranslateError, WarningKind, Warnings, tool_input};
use crate::{Dialect, json};

/// Reads `instructions` and `input`.
pub(super) fn decode(
    body: &Object<'_>,
    request: &mut Request,
    warnings: &mut Warnings,
) -> Result<(), TranslateError> {
    if let Some(raw) = body.raw("instructions") {
        instructions(raw, request, warnings);
    }
    let Some(raw) = body.raw("input") else { return Ok(()) };
    if let Some(text) = json::string(raw) {
        let part = Part::text(text.into_owned());
        request.turns.push(Turn::new(Role::User, vec![part]));
        return Ok(());
    }
    if !json::is_array(raw) {
        return Err(invalid("`input` must be a string or a list of items"));
    }
    let mut items = Items { request, warnings, last: Last::Nothing };
    for (index, text) in elements(raw).into_iter().enumerate() {
        let item = Object::parse(text)
            .ok_or_else(|| invalid(&format!("`input[{index}]` must be an object")))?;
        items.item(index, &item)?;
    }
    Ok(())
}

fn invalid(message: &str) -> TranslateError {
    TranslateError::Invalid { param: "input".into(), message: message.to_owned() }
}

fn instructions(raw: &str, request: &mut Request, warnings: &mut Warnings) {
    let texts = match json::string(raw) {
        Some(text) => vec![crate::resp::object::str_of(text)],
        None => {
            warnings.push(WarningKind::Changed, "instructions", "not a string");
            let items = elements(raw).into_iter().filter_map(Object::parse);
            items.flat_map(|item| content::texts(&item)).collect()
        }
    };
    let parts = texts.into_iter().filter(|text| !text.is_empty());
    request.system.extend(parts.map(|text| system_part(text, SystemOrigin::Top)));
}

fn system_part(text: Str, origin: SystemOrigin) -> SystemPart {
    SystemPart { text, cache: None, origin, ext: Ext::default() }
}

/// What the last item was: some items belong to the turn that it began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    /// Something that the model said or called.
    Assistant,
    /// An output of a call.
    Output,
    /// A message of the user or an instruction; each is a turn of its own.
    Message,
}

struct Items<'r, 'w> {
    request: &'r mut Request,
    warnings: &'w mut Warnings,
    last: Last,
}

impl Items<'_, '_> {
    fn item(&mut self, index: usize, item: &Object<'_>) -> Result<(), TranslateError> {
        let item_type = item.word("type").unwrap_or_default();
        match &*item_type {
            "message" => self.message(index, item)?,
            "" if item.raw("role").is_some() => self.message(index, item)?,
            "reasoning" => self.assistant(reasoning(item)),
            "function_call" => self.assistant(call(item, ToolKind::Function, "arguments")),
            "custom_tool_call" => self.assistant(call(item, ToolKind::Custom, "input")),
            "function_call_output" => self.output(result(item, ToolKind::Function)),
            "custom_tool_call_output" => self.output(result(item, ToolKind::Custom)),
            "image_generation_call" => self.assistant(image(item)),
            other => self.other(other, item),
        }
        Ok(())
    }

    fn other(&mut self, item_type: &str, item: &Object<'_>) {
        if !ran_upstream(item) {
            if let Some(native) = NativeCall::of_call(item_type) {
                return self.assistant(native_call(item, native));
            }
            if let Some(native) = NativeCall::of_output(item_type) {
                return self.output(native_result(item, native));
            }
        }
        match server_tool(item_type, item) {
            Some(call) => self.assistant(Part::ServerTool(call)),
            None => self.assistant(opaque(item)),
        }
    }

    fn message(&mut self, index: usize, item: &Object<'_>) -> Result<(), TranslateError> {
        let role = item.word("role").unwrap_or_default();
        match &*role {
            "user" => {
                let parts = content::decode(item, Side::User, self.warnings);
                self.request.turns.push(Turn::new(Role::User, parts));
                self.last = Last::Message;
            }
            "assistant" => {
                for part in content::decode(item, Side::Assistant, self.warnings) {
                    self.assistant(part);
                }
            }
            "system" => self.instruct(item, SystemOrigin::System),
            "developer" => self.instruct(item, SystemOrigin::Developer),
            _ => {
                let message = format!("`input[{index}].role` is none that this route knows");
                return Err(invalid(&message));
            }
        }
        Ok(())
    }

    /// Instructions before the first turn are the system's; later ones stay where they are.
    fn instruct(&mut self, item: &Object<'_>, origin: SystemOrigin) {
        let texts = content::texts(item).into_iter().filter(|text| !text.is_empty());
        if self.request.turns.is_empty() {
            self.request.system.extend(texts.map(|text| system_part(text, origin)));
            return;
        }
        let texts: Vec<Str> = texts.collect();
        if texts.is_empty() {
            return;
        }
        let note = Part::SystemNote {
            text: texts.join("\n\n").into(),
            developer: origin == SystemOrigin::Developer,
            cache: None,
        };
        self.request.turns.push(Turn::new(Role::User, vec![note]));
        self.last = Last::Message;
    }

    /// Whatever the model says between two turns of the user is one turn (T030).
    fn assistant(&mut self, part: Part) {
        self.add(Role::Assistant, Last::Assistant, part);
    }

    /// Outputs that follow each other are one turn.
    fn output(&mut self, part: Part) {
        self.add(Role::User, Last::Output, part);
    }

    fn add(&mut self, role: Role, last: Last, part: Part) {
        match self.request.turns.last_mut() {
            Some(turn) if self.last == last => turn.parts.push(part),
            _ => self.request.turns.push(Turn::new(role, vec![part])),
        }
        self.last = last;
    }
}

/// Who made a seal is not in the request; the caller finds out.
fn seal(value: Str) -> Signature {
    Signature { family: SigFamily::Unknown, value }
}

fn reasoning(item: &Object<'_>) -> Part {
    let (item_id, signature) = (item.name("id"), item.name("encrypted_content").map(seal));
    let summary = paragraphs(item, "summary");
    let raw = if summary.is_empty() { paragraphs(item, "content") } else { Vec::new() };
    let is_summary = !summary.is_empty();
    let words = if is_summary { summary } else { raw };
    match (words.is_empty(), signature) {
        // Known to the server that stored it, and to nobody else.
        (true, None) => opaque(item),
        (true, Some(seal)) => Part::Redacted { seal, item_id },
        (false, signature) => Part::Thinking(Thinking {
            text: words.join("\n\n").into(),
            signature,
            summary: is_summary,
            item_id,
            ext: Ext::default(),
        }),
    }
}

fn opaque(item: &Object<'_>) -> Part {
    Part::Opaque { dialect: Dialect::Resp, raw: item.as_written() }
}

fn call_id(item: &Object<'_>) -> Str {
    item.name("call_id").or_else(|| item.name("id")).unwrap_or_default()
}

fn call(item: &Object<'_>, kind: ToolKind, input: &str) -> Part {
    Part::ToolUse(ToolUse {
        id: call_id(item),
        name: item.text("name").unwrap_or_default(),
        input: tool_input(&kind, call_input(item, input)),
        namespace: item.name("namespace"),
        signature: None,
        cache: None,
        ext: item.others(&["type", "id", "call_id", "name", "namespace", "status", input]),
        kind,
    })
}

fn native_call(item: &Object<'_>, native: &NativeCall) -> Part {
    let kind = native.kind();
    Part::ToolUse(ToolUse {
        id: call_id(item),
        name: native.name.into(),
        input: tool_input(&kind, call_input(item, native.input)),
        namespace: None,
        signature: None,
        cache: None,
        ext: item.others(&["type", "id", "call_id", "status", native.input]),
        kind,
    })
}

fn result(item: &Object<'_>, kind: ToolKind) -> Part {
    Part::ToolResult(ToolResult {
        id: call_id(item),
        name: item.name("name"),
        content: content::output(item.raw("output")),
        is_error: false,
        kind,
        cache: None,
        ext: item.others(&["type", "id", "call_id", "status", "name", "output"]),
    })
}

/// The output of a tool with a form of its own. Its own server gets it back as it was, all others get
/// the text of it.
fn native_result(item: &Object<'_>, native: &NativeCall) -> Part {
    let screenshot = item.object("output").and_then(|output| output.text("image_url"));
    let content = match (native.call, screenshot) {
        ("shell_call", _) => vec![Part::text(shell_text(&item.elements("output")))],
        ("computer_call", Some(url)) => vec![Part::Image {
            source: crate::translate::data_url::source_of(&url),
            detail: None,
            cache: None,
            signature: None,
            ext: Ext::default(),
        }],
        _ => content::output(item.raw("output").or_else(|| item.raw("tools"))),
    };
    Part::ToolResult(ToolResult {
        id: call_id(item),
        name: Some(native.name.into()),
        content,
        is_error: item.word("status").is_some_and(|status| status == "failed"),
        kind: native.kind(),
        cache: None,
        ext: item.others(&["type", "id", "call_id"]),
    })
}

/// What a shell printed, as a person would read it.
fn shell_text(runs: &[&str]) -> String {
    let mut text = String::new();
    for run in runs.iter().filter_map(|run| Object::parse(run)) {
        for stream in ["stdout", "stderr"] {
            text.push_str(&run.word(stream).unwrap_or_default());
        }
        let outcome = run.object("outcome").unwrap_or_default();
        match (outcome.word("type").as_deref(), outcome.raw("exit_code")) {
            (Some("timeout"), _) => text.push_str("\n[timed out]"),
            (_, Some(code)) if code != "0" => {
                text.push_str("\n[exit code ");
                text.push_str(code);
                text.push(']');
            }
            _ => {}
        }
    }
    text
}

fn image(item: &Object<'_>) -> Part {
    match item_image(item) {
        Some(source @ MediaSource::Base64 { .. }) => {
            Part::Image { source, detail: None, cache: None, signature: None, ext: keep_id(item) }
        }
        // A reference to an image that the server stored.
        _ => opaque(item),
    }
}

fn keep_id(item: &Object<'_>) -> Ext {
    let mut ext = Ext::default();
    if let Some(id) = item.raw("id").and_then(|raw| RawJson::parse(raw).ok()) {
        ext.push(Dialect::Resp, "id", id);
    }
    ext
}
