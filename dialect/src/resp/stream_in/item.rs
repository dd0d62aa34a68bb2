//! One output item on its way in.

use super::call::Call;
use super::message::Message;
use super::reasoning::Reasoning;
use super::{Key, Parts};
use crate::Dialect;
use crate::ir::{
    Event, Failure, MediaSource, Part, PartKind, RawJson, Str, ToolInput, ToolKind, ToolUse,
};
use crate::resp::items::{NativeCall, ran_upstream, server_tool};
use crate::resp::object::Object;
use crate::translate::data_url;

/// An output item and what was handed on of it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) output_index: Option<u32>,
    pub(super) id: Option<Str>,
    pub(super) item_type: String,
    pub(super) done: bool,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Message(Message),
    Reasoning(Reasoning),
    Call(Call),
    /// Everything that is handed on only when it is whole.
    Whole,
}

/// The type of the item that an event belongs to, for items that nobody announced; `None` for events
/// that say nothing.
pub(super) fn implied_type(event: &str) -> Option<&'static str> {
    Some(match event {
        "response.content_part.added"
        | "response.content_part.done"
        | "response.output_text.delta"
        | "response.output_text.done"
        | "response.output_text.annotation.added"
        | "response.refusal.delta"
        | "response.refusal.done" => "message",
        "response.reasoning_summary_text.delta"
        | "response.reasoning_summary_text.done"
        | "response.reasoning_summary_part.done"
        | "response.reasoning_text.delta"
        | "response.reasoning_text.done" => "reasoning",
        "response.function_call_arguments.delta" | "response.function_call_arguments.done" => {
            "function_call"
        }
        "response.custom_tool_call_input.delta" | "response.custom_tool_call_input.done" => {
            "custom_tool_call"
        }
        _ => return None,
    })
}

impl Item {
    pub(super) fn new(output_index: Option<u32>, item_type: &str, item: &Object<'_>) -> Self {
        let body = match item_type {
            "message" => Body::Message(Message::new(item)),
            "reasoning" => Body::Reasoning(Reasoning::new(item)),
            "function_call" => Body::Call(Call::new(ToolKind::Function, item)),
            "custom_tool_call" => Body::Call(Call::new(ToolKind::Custom, item)),
            _ => Body::Whole,
        };
        let id = item.name("id").or_else(|| item.name("item_id"));
        Self { output_index, id, item_type: item_type.to_owned(), done: false, body }
    }

    /// The id that pairs the call with its output.
    pub(super) fn call_id(&self) -> Option<Str> {
        match &self.body {
            Body::Call(call) => call.id.clone(),
            Body::Message(_) | Body::Reasoning(_) | Body::Whole => None,
        }
    }

    /// The item was announced.
    pub(super) fn added(
        &mut self,
        at: usize,
        item: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        match &mut self.body {
            Body::Call(call) => call.added(at, item, parts, out),
            Body::Message(_) | Body::Reasoning(_) | Body::Whole => Ok(()),
        }
    }

    /// Something of the item came.
    pub(super) fn event(
        &mut self,
        at: usize,
        kind: &str,
        event: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if self.done {
            return Ok(());
        }
        match &mut self.body {
            Body::Message(message) => message.event(at, kind, event, parts, out),
            Body::Reasoning(reasoning) => reasoning.event((at, 0), kind, event, parts, out),
            Body::Call(call) => call.event(at, kind, event, parts, out),
            Body::Whole => Ok(()),
        }
    }

    /// The item is whole: what is missing of it is handed on.
    pub(super) fn done(
        &mut self,
        at: usize,
        item: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(());
        }
        match &mut self.body {
            Body::Message(message) => message.done(at, item, parts, out),
            Body::Reasoning(reasoning) => reasoning.done((at, 0), item, parts, out),
            Body::Call(call) => call.done(at, item, parts, out),
            Body::Whole => whole((at, 0), &self.item_type, item, parts, out),
        }
    }

    /// Ends texts that were told to be whole; the next item has begun.
    pub(super) fn close_told(&mut self, at: usize, parts: &mut Parts, out: &mut Vec<Event>) {
        if let Body::Message(message) = &mut self.body {
            message.close_told(at, parts, out);
        }
    }
}

/// Hands on an item that has no deltas.
fn whole(
    key: Key,
    item_type: &str,
    item: &Object<'_>,
    parts: &mut Parts,
    out: &mut Vec<Event>,
) -> Result<(), Failure> {
    if let Some(native) = NativeCall::of_call(item_type).filter(|_| !ran_upstream(item)) {
        return native_call(key, native, item, parts, out);
    }
    let kind = if item_type == "image_generation_call" {
        // Without a result nothing was made.
        let Some(source) = image(item) else { return Ok(()) };
        PartKind::Image { source, signature: None }
    } else if let Some(call) = server_tool(item_type, item) {
        PartKind::ServerTool(Box::new(call))
    } else {
        PartKind::Opaque { dialect: Dialect::Resp, raw: item.as_written() }
    };
    parts.queue.start(key, 0, kind, out);
    parts.queue.stop(key, None, out);
    Ok(())
}

/// A call of a client's tool that has a form of its own.
fn native_call(
    key: Key,
    native: &NativeCall,
    item: &Object<'_>,
    parts: &mut Parts,
    out: &mut Vec<Event>,
) -> Result<(), Failure> {
    let id = parts.call_id(item.name("call_id").or_else(|| item.name("id")));
    let input = item.raw(native.input).unwrap_or("{}");
    let kind = PartKind::ToolUse {
        id: id.clone(),
        name: native.name.into(),
        kind: native.kind(),
        namespace: None,
        signature: None,
    };
    parts.queue.start(key, 0, kind, out);
    let text = Str::from(input);
    let bytes = text.len();
    parts.queue.delta(key, |part| Event::ToolInput { part, text }, bytes, out)?;
    let ext = item.others(&["type", "id", "call_id", "status", native.input]);
    let full = (!ext.is_empty()).then(|| {
        let input = match RawJson::parse(input) {
            Ok(json) if json.is_object() => ToolInput::Json(json),
            Ok(_) | Err(_) => ToolInput::Text(input.into()),
        };
        Box::new(Part::ToolUse(ToolUse {
            id,
            name: native.name.into(),
            input,
            kind: native.kind(),
            namespace: None,
            signature: None,
            cache: None,
            ext,
        }))
    });
    parts.queue.stop(key, full, out);
    Ok(())
}

/// The image that an item holds.
pub(in crate::resp) fn image(item: &Object<'_>) -> Option<MediaSource> {
    let result = item.name("result")?;
    if let Some(url) = data_url::DataUrl::parse(&result) {
        return Some(url.into());
    }
    let data = data_url::standard_base64(&result);
    let mime = data_url::sniff(&data).map_or_else(
        || {
            let format = item.name("output_format").unwrap_or_else(|| "png".into());
            data_url::media_type(&format!("image/{format}"))
        },
        Str::from,
    );
    Some(MediaSource::Base64 { mime, data })
}
