//! A call item on its way out.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::sink::Sink;
use crate::Dialect;
use crate::ir::{Ext, Str, ToolInput, ToolKind, ToolUse};
use crate::resp::items::NativeCall;
use crate::resp::wire::{Item, Status};
use crate::translate::ids;

/// A call: function and custom calls go out as they come, native ones when they are whole.
#[derive(Debug)]
pub(super) struct Call {
    id: String,
    output_index: u32,
    call_id: Str,
    name: Str,
    namespace: Option<Str>,
    form: Form,
    input: String,
    ext: Ext,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Function,
    Custom,
    Native(&'static NativeCall),
}

#[derive(Serialize)]
struct Delta<'a> {
    item_id: &'a str,
    output_index: u32,
    delta: &'a str,
}

#[derive(Serialize)]
struct ArgumentsDone<'a> {
    item_id: &'a str,
    output_index: u32,
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct InputDone<'a> {
    item_id: &'a str,
    output_index: u32,
    input: &'a str,
}

impl Call {
    pub(super) fn new(
        response_id: &str,
        output_index: u32,
        call_id: &Str,
        name: &Str,
        kind: &ToolKind,
        namespace: Option<&Str>,
    ) -> Self {
        let (form, prefix) = match kind {
            ToolKind::Custom => (Form::Custom, "ctc"),
            ToolKind::Function => (Form::Function, "fc"),
            ToolKind::Native(item) => match NativeCall::of_call(item) {
                Some(native) => (Form::Native(native), native.prefix),
                None => (Form::Function, "fc"),
            },
        };
        Self {
            id: ids::item_id(prefix, response_id, output_index),
            output_index,
            call_id: call_id.clone(),
            name: name.clone(),
            namespace: namespace.cloned(),
            form,
            input: String::new(),
            ext: Ext::default(),
        }
    }

    pub(super) fn announce(&self, sink: &mut Sink<'_>) {
        if !matches!(self.form, Form::Native(_)) {
            let item = self.item(Status::InProgress);
            sink.item("response.output_item.added", self.output_index, &item);
        }
    }

    pub(super) fn say(&mut self, text: &str, sink: &mut Sink<'_>) {
        self.input.push_str(text);
        let kind = match self.form {
            Form::Function => "response.function_call_arguments.delta",
            Form::Custom => "response.custom_tool_call_input.delta",
            Form::Native(_) => return,
        };
        let event = Delta { item_id: &self.id, output_index: self.output_index, delta: text };
        sink.send(kind, &event);
    }

    /// The source repeated the call: that counts.
    pub(super) fn correct(&mut self, full: &ToolUse) {
        self.input = match &full.input {
            ToolInput::Json(json) => json.get().to_owned(),
            ToolInput::Text(text) => text.to_string(),
        };
        self.ext = full.ext.clone();
    }

    pub(super) fn finish(mut self, sink: &mut Sink<'_>) -> Option<Box<RawValue>> {
        if matches!(self.form, Form::Function) && self.input.trim().is_empty() {
            // Clients parse the arguments, so no arguments are an empty object.
            self.input.clear();
            self.say("{}", sink);
        }
        let (item_id, output_index) = (&*self.id, self.output_index);
        match self.form {
            Form::Function => {
                let (name, arguments) = (&*self.name, &*self.input);
                let event = ArgumentsDone { item_id, output_index, name, arguments };
                sink.send("response.function_call_arguments.done", &event);
            }
            Form::Custom => {
                let event = InputDone { item_id, output_index, input: &self.input };
                sink.send("response.custom_tool_call_input.done", &event);
            }
            Form::Native(_) => {
                let item = self.item(Status::InProgress);
                sink.item("response.output_item.added", output_index, &item);
            }
        }
        sink.item("response.output_item.done", output_index, &self.item(Status::Completed))
    }

    fn item(&self, status: Status) -> Item<'_> {
        let id = Some(&*self.id);
        let call_id = (&*self.call_id).into();
        let status = Some(status);
        let (name, namespace) = (&*self.name, self.namespace.as_deref());
        match self.form {
            Form::Function => {
                Item::FunctionCall { id, status, call_id, name, namespace, arguments: &self.input }
            }
            Form::Custom => {
                Item::CustomToolCall { id, status, call_id, name, namespace, input: &self.input }
            }
            Form::Native(native) => {
                let mut members = Map::new();
                members.insert("id".into(), (*self.id).into());
                members.insert("type".into(), native.call.into());
                members.insert("status".into(), json!(status));
                members.insert("call_id".into(), (*self.call_id).into());
                members.insert(native.input.into(), native_input(&self.input));
                for field in self.ext.of(Dialect::Resp) {
                    let value = field.value.to_value().unwrap_or_default();
                    members.insert(field.key.to_string(), value);
                }
                Item::Members(members)
            }
        }
    }
}

/// The arguments of a native call are an object, whatever the model wrote.
pub(in crate::resp) fn native_input(text: &str) -> Value {
    let written = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(written)
        .ok()
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({ "_raw": text }))
}
