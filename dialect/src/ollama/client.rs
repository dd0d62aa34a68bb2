//! Requests of Ollama's clients, as chat requests.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::json;
use crate::peek::{PeekError, checked_text, json_error};
use crate::translate::data_url::{DataUrl, sniff, standard_base64};
use crate::translate::ids;

/// The two ways of asking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// `/api/chat`: a list of messages.
    Chat,
    /// `/api/generate`: one prompt.
    Generate,
}

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// An answer, as a chat request. It says whether it streams, and asks for usage when it does.
    Answer(Bytes),
    /// That a model be made ready, or let go: nothing is said. The answer is [`loaded`](super::loaded).
    Ready {
        /// The model.
        model: String,
        /// Whether it is let go.
        unload: bool,
    },
}

/// Reads a request. Unknown members, and those for a machine of one's own (`keep_alive`, `raw`, `context`,
/// `template`, `options.num_ctx` …), mean nothing here.
///
/// # Errors
/// When the body is no JSON object, `messages` is no list, or it asks for what chat cannot do (`suffix`).
pub fn to_chat(form: Form, body: &[u8]) -> Result<Asked, PeekError> {
    let text = checked_text(body)?;
    let mut asks = Asks { chat: "{".to_owned(), ..Asks::default() };
    json::each_member(text, |member| {
        asks.member(form, &member.key, member.value);
        std::ops::ControlFlow::Continue(())
    })
    .map_err(|error| json_error(&error))?;
    asks.finish(form)
}

/// The members that mean something, as written.
#[derive(Default)]
struct Asks<'a> {
    /// The members of the chat request so far.
    chat: String,
    model: Option<String>,
    silent: bool,
    unload: bool,
    messages: Option<&'a str>,
    prompt: Option<&'a str>,
    system: Option<&'a str>,
    images: Option<&'a str>,
    suffix: bool,
}

impl<'a> Asks<'a> {
    fn member(&mut self, form: Form, key: &str, raw: &'a str) {
        match key {
            "model" => {
                self.model = json::text(raw);
                self.keep("model", raw);
            }
            "stream" => self.silent = raw == "false",
            "keep_alive" => self.unload = matches!(raw, "0" | "\"0\"" | "\"0s\""),
            "messages" => self.messages = Some(raw),
            "prompt" => self.prompt = Some(raw),
            "system" => self.system = Some(raw),
            "images" => self.images = Some(raw),
            "suffix" => self.suffix = !json::is_blank(raw),
            "tools" if form == Form::Chat && json::is_array(raw) && !json::is_blank(raw) => {
                self.keep("tools", raw);
            }
            "options" => self.options(raw),
            "format" => self.format(raw),
            "think" => self.think(raw),
            _ => {}
        }
    }

    fn keep(&mut self, key: &str, raw: &str) {
        json::push_member(&mut self.chat, &json::quote(key), raw);
    }

    fn options(&mut self, raw: &str) {
        let mut options = Vec::new();
        json::visit(raw, |key, raw| options.push((key.to_owned(), raw)));
        for (key, raw) in options {
            match key.as_str() {
                // A cap below zero is none.
                "num_predict" => {
                    let cap = raw.parse::<i64>().ok().filter(|cap| *cap > 0);
                    if let Some(cap) = cap {
                        self.keep("max_tokens", &cap.to_string());
                    }
                }
                "repeat_penalty" => self.keep("repetition_penalty", raw),
                "temperature" | "top_p" | "top_k" | "min_p" | "seed" | "frequency_penalty"
                | "presence_penalty" => self.keep(&key, raw),
                "stop" if !json::is_blank(raw) => self.keep("stop", raw),
                _ => {}
            }
        }
    }

    fn format(&mut self, raw: &str) {
        if json::string(raw).is_some_and(|word| word == "json") {
            self.keep("response_format", r#"{"type":"json_object"}"#);
        } else if json::is_object(raw) && !json::is_blank(raw) {
            let schema = format!(r#"{{"name":"response","schema":{raw}}}"#);
            let format = format!(r#"{{"type":"json_schema","json_schema":{schema}}}"#);
            self.keep("response_format", &format);
        }
    }

    fn think(&mut self, raw: &str) {
        let effort = match (raw, json::string(raw).as_deref()) {
            ("true", _) => "medium",
            ("false", _) => "none",
            (_, Some("low")) => "low",
            (_, Some("medium")) => "medium",
            (_, Some("high")) => "high",
            _ => return,
        };
        self.keep("reasoning_effort", &json::quote(effort));
    }

    fn finish(mut self, form: Form) -> Result<Asked, PeekError> {
        let messages = match form {
            Form::Chat => Messages::read(self.messages.unwrap_or("[]"))?,
            Form::Generate => self.prompted()?,
        };
        if messages.is_empty() {
            let model = self.model.ok_or(PeekError::NoModel)?;
            return Ok(Asked::Ready { model, unload: self.unload });
        }
        self.keep("messages", &Value::from(messages).to_string());
        // Absent means true here (T177).
        self.keep("stream", if self.silent { "false" } else { "true" });
        if !self.silent {
            self.keep("stream_options", r#"{"include_usage":true}"#);
        }
        self.chat.push('}');
        Ok(Asked::Answer(self.chat.into()))
    }

    /// The messages of one prompt; none when nothing is asked.
    fn prompted(&self) -> Result<Vec<Value>, PeekError> {
        if self.suffix {
            let message = "`suffix` is not supported here; leave it out".to_owned();
            return Err(PeekError::Unsupported { param: "suffix", message });
        }
        let text = |raw: Option<&str>| raw.and_then(json::string).unwrap_or_default().into_owned();
        let (prompt, system) = (text(self.prompt), text(self.system));
        let content = content(&prompt, self.images);
        if content.is_null() {
            return Ok(Vec::new());
        }
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(json!({ "role": "system", "content": system }));
        }
        messages.push(json!({ "role": "user", "content": content }));
        Ok(messages)
    }
}

/// Messages in the order of the client's, and the calls that wait for their results.
#[derive(Default)]
struct Messages {
    out: Vec<Value>,
    /// Name and id. Results name the tool and no call.
    open: VecDeque<(String, String)>,
}

impl Messages {
    fn read(raw: &str) -> Result<Vec<Value>, PeekError> {
        let mut all = Self::default();
        if !json::visit_elements(raw, |message| all.message(message)) {
            let message = "`messages` must be a list".to_owned();
            return Err(PeekError::Invalid { param: "messages", message });
        }
        Ok(all.out)
    }

    fn message(&mut self, raw: &str) {
        let (mut role, mut text, mut thinking) = (String::new(), String::new(), String::new());
        let (mut images, mut calls, mut name, mut id) = (None, "", None, None);
        json::visit(raw, |key, raw| match key {
            "role" => role = json::string(raw).unwrap_or_default().into_owned(),
            "content" => text = json::string(raw).unwrap_or_default().into_owned(),
            "thinking" => thinking = json::string(raw).unwrap_or_default().into_owned(),
            "images" => images = Some(raw),
            "tool_calls" => calls = raw,
            "tool_name" | "name" => name = name.take().or_else(|| json::text(raw)),
            "tool_call_id" => id = json::text(raw),
            _ => {}
        });
        let message = match role.as_str() {
            "assistant" => self.assistant(&text, &thinking, calls),
            "tool" => {
                let id = id.unwrap_or_else(|| self.answered(name.as_deref()));
                self.open.retain(|(_, open)| *open != id);
                json!({ "role": "tool", "tool_call_id": id, "content": text })
            }
            role => {
                let content = match content(&text, images) {
                    Value::Null => "".into(),
                    content => content,
                };
                json!({ "role": role, "content": content })
            }
        };
        self.out.push(message);
    }

    fn assistant(&mut self, text: &str, thinking: &str, calls: &str) -> Value {
        let turn = self.out.len();
        let mut list = Vec::new();
        json::visit_elements(calls, |call| {
            let function = json::member(call, "function").unwrap_or_default();
            let name = json::member(function, "name").and_then(json::text).unwrap_or_default();
            let arguments = json::member(function, "arguments").unwrap_or("{}");
            // A string is what clients of chat would write.
            let arguments =
                json::string(arguments).map_or_else(|| arguments.to_owned(), Into::into);
            let id = json::member(call, "id")
                .and_then(json::text)
                .unwrap_or_else(|| ids::history_call_id(turn, list.len(), &name, &arguments));
            self.open.push_back((name.clone(), id.clone()));
            list.push(json!({ "id": id, "type": "function",
                "function": { "name": name, "arguments": arguments } }));
        });
        let mut message = json!({ "role": "assistant", "content": text });
        if let Value::Object(message) = &mut message {
            if !thinking.is_empty() {
                message.insert("reasoning_content".into(), thinking.into());
            }
            if !list.is_empty() {
                message.insert("tool_calls".into(), list.into());
            }
        }
        message
    }

    /// The call that a result belongs to: the first open one of that name, else the first.
    fn answered(&self, name: Option<&str>) -> String {
        let named = self.open.iter().find(|(open, _)| name.is_some_and(|name| name == open));
        let found = named.or_else(|| self.open.front().filter(|_| name.is_none()));
        let lost = || ids::history_call_id(self.out.len(), 0, name.unwrap_or_default(), "");
        found.map_or_else(lost, |(_, id)| id.clone())
    }
}

/// Text, and images in front of whose bytes nobody wrote what they are; null for neither.
fn content(text: &str, images: Option<&str>) -> Value {
    let mut parts = Vec::new();
    json::visit_elements(images.unwrap_or_default(), |image| {
        let Some(image) = json::text(image) else { return };
        let url = if DataUrl::parse(&image).is_some() {
            image
        } else {
            let data = standard_base64(&image);
            DataUrl::format(sniff(&data).unwrap_or("image/png"), &data)
        };
        parts.push(json!({ "type": "image_url", "image_url": { "url": url } }));
    });
    match (parts.is_empty(), text.is_empty()) {
        (true, true) => Value::Null,
        (true, false) => text.into(),
        (false, true) => parts.into(),
        (false, false) => {
            parts.insert(0, json!({ "type": "text", "text": text }));
            parts.into()
        }
    }
}
