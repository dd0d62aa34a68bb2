//! Messages into instructions and turns (translation §2.2, §2.3).

use crate::ir::{
    CacheMark, Ext, MediaSource, Part, Role, SigFamily, Signature, Str, SystemOrigin, SystemPart,
    Thinking, ToolInput, ToolKind, ToolResult, ToolUse, Turn,
};
use crate::translate::{TranslateError, tool_input};
use crate::{Dialect, json};

use super::super::delta::{Delta, google_signature, image_url};
use super::content;
use super::lenient::{Lenient, cache_mark, raw_json, text, word};

/// Gathers messages. The leading instructions stay apart from the turns.
pub(super) struct Messages<'m, 'w> {
    lenient: &'m mut Lenient<'w>,
    system: Vec<SystemPart>,
    turns: Vec<Turn>,
    /// The last turn holds results of tools and takes more of them.
    gathers_results: bool,
}

/// The members that messages of all roles share.
#[derive(Default)]
struct Message<'a> {
    role: Option<Str>,
    content: Option<&'a str>,
    name: Option<Str>,
    tool_call_id: Option<Str>,
    cache: Option<CacheMark>,
    signature: Option<Str>,
    ext: Ext,
}

impl<'a> Message<'a> {
    fn read(raw: &'a str) -> Option<Self> {
        let mut message = Self::default();
        let whole = json::visit(raw, |key, value| match key {
            "role" => message.role = text(value),
            "content" => message.content = Some(value).filter(|value| *value != "null"),
            "name" => message.name = word(value),
            "tool_call_id" => message.tool_call_id = text(value),
            "cache_control" => message.cache = cache_mark(value),
            "extra_content" => message.signature = google_signature(value),
            // The rest of what an assistant says is read by `Delta`.
            "tool_calls" | "function_call" | "refusal" | "audio" | "images" | "annotations"
            | "reasoning_content" | "reasoning" | "reasoning_details" => {}
            _ => {
                if let Some(value) = raw_json(value).filter(|json| json.get() != "null") {
                    message.ext.push(Dialect::Chat, key.to_owned(), value);
                }
            }
        });
        whole.then_some(message)
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = content::parts(self.content.unwrap_or_default());
        // A mark on the message marks its last part.
        if let (Some(mark), Some(last)) = (&self.cache, parts.last_mut()) {
            set_cache(last, mark.clone());
        }
        parts
    }
}

fn set_cache(part: &mut Part, mark: CacheMark) {
    if let Some(slot) = part.cache_mut() {
        slot.get_or_insert(mark);
    }
}

impl<'m, 'w> Messages<'m, 'w> {
    pub(super) fn new(lenient: &'m mut Lenient<'w>) -> Self {
        Self { lenient, system: Vec::new(), turns: Vec::new(), gathers_results: false }
    }

    pub(super) fn finish(self) -> (Vec<SystemPart>, Vec<Turn>) {
        (self.system, self.turns)
    }

    /// Takes the next message.
    pub(super) fn take(&mut self, index: usize, raw: &str) -> Result<(), TranslateError> {
        let invalid = |what: &str| TranslateError::Invalid {
            param: format!("messages[{index}]").into(),
            message: format!("`messages[{index}]` {what}"),
        };
        let message = Message::read(raw).ok_or_else(|| invalid("must be an object"))?;
        let gathered = std::mem::take(&mut self.gathers_results);
        match message.role.as_deref() {
            Some("system") => self.instruct(message, SystemOrigin::System),
            Some("developer") => self.instruct(message, SystemOrigin::Developer),
            Some("user") => self.user(message),
            Some("assistant") => self.assistant(message, raw),
            Some("tool" | "function") => self.result(message, gathered),
            Some(_) => return Err(invalid("has an unknown role")),
            None => return Err(invalid("needs a role")),
        }
        Ok(())
    }

    fn instruct(&mut self, message: Message<'_>, origin: SystemOrigin) {
        let texts = message.parts().into_iter().filter_map(|part| match part {
            Part::Text(text) => Some((text.text, text.cache)),
            _ => {
                self.lenient.drop("messages.content", "instructions are text");
                None
            }
        });
        if self.turns.is_empty() {
            let ext = message.ext.clone();
            let part = |(text, cache)| SystemPart { text, cache, origin, ext: ext.clone() };
            let parts: Vec<_> = texts.map(part).collect();
            self.system.extend(parts);
            return;
        }
        let (mut all, mut mark) = (String::new(), None);
        for (text, cache) in texts {
            if !all.is_empty() {
                all.push_str("\n\n");
            }
            all.push_str(&text);
            mark = cache.or(mark);
        }
        let developer = origin == SystemOrigin::Developer;
        let note = Part::SystemNote { text: all.into(), developer, cache: mark };
        self.turns.push(Turn::new(Role::User, vec![note]));
    }

    fn user(&mut self, message: Message<'_>) {
        let parts = message.parts();
        let (name, ext) = (message.name, message.ext);
        self.turns.push(Turn { role: Role::User, parts, name, ext });
    }

    fn result(&mut self, message: Message<'_>, gathered: bool) {
        // The older `function` role pairs by name.
        let id = message.tool_call_id.or_else(|| message.name.clone()).unwrap_or_default();
        let content = content::parts(message.content.unwrap_or_default());
        let result = Part::ToolResult(ToolResult {
            id,
            name: message.name,
            content,
            is_error: false,
            kind: ToolKind::Function,
            cache: message.cache,
            ext: message.ext,
        });
        self.gathers_results = true;
        match self.turns.last_mut().filter(|_| gathered) {
            Some(turn) => turn.parts.push(result),
            None => self.turns.push(Turn::new(Role::User, vec![result])),
        }
    }

    fn assistant(&mut self, message: Message<'_>, raw: &str) {
        let said = Delta::read(raw);
        let mut parts = Vec::new();
        reasoning(&said, &mut parts);
        parts.extend(message.parts());
        if let Some(value) = &message.signature {
            let last = parts.iter_mut().rev().find_map(|part| match part {
                Part::Text(text) => Some(text),
                _ => None,
            });
            if let Some(text) = last {
                text.signature =
                    Some(Signature { family: SigFamily::Gemini, value: value.clone() });
            }
        }
        if let Some(text) = said.refusal.and_then(text) {
            parts.push(Part::Refusal { text });
        }
        json::visit_elements(said.images.unwrap_or_default(), |image| {
            let source = json::member(image, "image_url").and_then(image_url);
            parts.extend(source.map(|source| Part::Image {
                source,
                detail: None,
                cache: None,
                signature: None,
                ext: Ext::default(),
            }));
        });
        if let Some(id) = said.audio.and_then(|audio| json::member(audio, "id")).and_then(word) {
            // The provider still has the sound; the client sends its id alone.
            let source = MediaSource::FileId { dialect: Dialect::Chat, id: id.clone() };
            parts.push(Part::Audio { source, format: Str::new(), transcript: None, id: Some(id) });
        }
        json::visit_elements(said.tool_calls.unwrap_or_default(), |call| {
            parts.extend(tool_call(call));
        });
        if let Some(function) = said.function_call {
            let name = json::member(function, "name").and_then(text).unwrap_or_default();
            parts.push(call(name.clone(), name, arguments(function), ToolKind::Function, None));
        }
        if let (Some(mark), Some(last)) = (message.cache, parts.last_mut()) {
            set_cache(last, mark);
        }
        let (name, ext) = (message.name, message.ext);
        self.turns.push(Turn { role: Role::Assistant, parts, name, ext });
    }
}

/// Reasoning comes first, with the seals that OpenRouter keeps beside it.
fn reasoning(said: &Delta<'_>, parts: &mut Vec<Part>) {
    let words = said.reasoning();
    let mut signature = None;
    let mut sealed = Vec::new();
    for detail in said.details() {
        let Some(value) = detail.seal else { continue };
        let seal = Signature { family: detail.family.unwrap_or(SigFamily::Unknown), value };
        if detail.text.is_some() {
            signature = Some(seal);
        } else {
            sealed.push(Part::Redacted { seal, item_id: None });
        }
    }
    if !words.is_empty() || signature.is_some() {
        let text = Str::from(words.into_owned());
        parts.push(Part::Thinking(Thinking { text, signature, ..Thinking::default() }));
    }
    parts.extend(sealed);
}

fn tool_call(raw: &str) -> Option<Part> {
    if !json::is_object(raw) {
        return None;
    }
    let member = |key| json::member(raw, key);
    let id = member("id").and_then(text).unwrap_or_default();
    let google = member("extra_content").and_then(google_signature);
    let signature = google.map(|value| Signature { family: SigFamily::Gemini, value });
    let custom = member("custom").filter(|custom| json::is_object(custom));
    let inner = custom.or_else(|| member("function")).unwrap_or(raw);
    let name = json::member(inner, "name").and_then(text).unwrap_or_default();
    let kind = if custom.is_some() { ToolKind::Custom } else { ToolKind::Function };
    Some(call(id, name, arguments(inner), kind, signature))
}

/// The arguments as text; an object stands for its text.
fn arguments(raw: &str) -> Str {
    let found = json::member(raw, "arguments").or_else(|| json::member(raw, "input"));
    let Some(raw) = found.filter(|raw| *raw != "null") else { return Str::new() };
    text(raw).unwrap_or_else(|| Str::from(raw))
}

fn call(id: Str, name: Str, input: Str, kind: ToolKind, signature: Option<Signature>) -> Part {
    let input: ToolInput = tool_input(&kind, input);
    let (namespace, cache, ext) = (None, None, Ext::default());
    Part::ToolUse(ToolUse { id, name, input, kind, namespace, signature, cache, ext })
}
