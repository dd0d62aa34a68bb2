//! One small story per wire format: how a client asks, how an upstream answers, and how it ends.

use serde_json::{Value, json};

use super::client::Reply;

/// Wire format of a client or an upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    Chat,
    Resp,
    Anth,
    Gem,
}

/// A streamed answer in the parts at which it may break.
pub(crate) struct Story {
    /// Before any content.
    pub(crate) start: String,
    /// Two pieces of content: `Hé` and `llo`.
    pub(crate) content: [String; 2],
    /// Finish mark and usage.
    pub(crate) finish: String,
    /// Chat only: the chunk with usage and no choice.
    pub(crate) usage: String,
    /// Chat only: `[DONE]`.
    pub(crate) done: String,
}

impl Story {
    pub(crate) fn all(&self) -> Vec<u8> {
        let [one, two] = &self.content;
        [&self.start, one, two, &self.finish, &self.usage, &self.done]
            .map(String::as_str)
            .concat()
            .into()
    }

    /// What a chat client sees that did not ask for usage.
    pub(crate) fn without_usage(&self) -> Vec<u8> {
        let [one, two] = &self.content;
        [&self.start, one, two, &self.finish, &self.done].map(String::as_str).concat().into()
    }
}

/// Tokens of every story: input with 4 cached ones, output.
pub(crate) const INPUT: u64 = 11;
pub(crate) const CACHED: u64 = 4;
pub(crate) const OUTPUT: u64 = 5;

impl Dialect {
    pub(crate) const ALL: [Self; 4] = [Self::Chat, Self::Resp, Self::Anth, Self::Gem];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Resp => "resp",
            Self::Anth => "anth",
            Self::Gem => "gem",
        }
    }

    /// `type` and `api_type` of a node.
    pub(crate) fn node_type(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Chat => ("openai-compatible", Some("chat")),
            Self::Resp => ("openai-compatible", Some("responses")),
            Self::Anth => ("anthropic-compatible", None),
            Self::Gem => ("gemini-compatible", None),
        }
    }

    /// Path of a node's base URL.
    pub(crate) fn base(self) -> &'static str {
        if self == Self::Gem { "/v1beta" } else { "/v1" }
    }

    /// Where a client posts.
    pub(crate) fn path(self, model: &str, stream: bool) -> String {
        match self {
            Self::Chat => "/v1/chat/completions".into(),
            Self::Resp => "/v1/responses".into(),
            Self::Anth => "/v1/messages".into(),
            Self::Gem if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Self::Gem => format!("/v1beta/models/{model}:generateContent"),
        }
    }

    /// A request with odd spacing, number spellings and unknown fields, which must arrive as they
    /// are. `extra` goes in front of the last brace.
    pub(crate) fn body_with(self, model: &str, stream: bool, extra: &str) -> String {
        let mode = if stream { "\"stream\" : true," } else { "" };
        match self {
            Self::Chat => format!(
                "{{ \"model\" : \"{model}\" ,{mode}\"temperature\":1.0, \"messages\":[{{\"role\":\"user\",\
                 \"content\":\"{{\\\"model\\\":\\\"no\\\"}} \\u00e9\"}}],\"x_big\":12345678901234567890{extra}}}"
            ),
            Self::Resp => format!(
                "{{\"input\":  \"hi \\u00e9\",{mode}\"top_p\":1e0 ,\n\"model\":\"{model}\",\"store\":false{extra}}}"
            ),
            Self::Anth => format!(
                "{{\"max_tokens\":  64,{mode}\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\
                 \"content\":[{{\"type\":\"text\",\"text\":\"hi\"}}]}}],\"x\":[1.0 , 2]{extra}}}"
            ),
            Self::Gem => format!(
                "{{\"contents\":[{{\"role\":\"user\",\"parts\":[{{\"text\":\"hi\"}}]}}] ,\
                 \"generationConfig\":{{\"temperature\":0.50}}{extra}}}"
            ),
        }
    }

    pub(crate) fn body(self, model: &str, stream: bool) -> String {
        self.body_with(model, stream, "")
    }

    /// A whole answer with the text `Héllo`, in odd spacing.
    pub(crate) fn answer(self) -> String {
        match self {
            Self::Chat => r#"{ "id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m-real","choices":[{"index":0,"message":{"role":"assistant","content":"H\u00e9llo"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":5,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":4}} ,"x":1.0}"#.into(),
            Self::Resp => self.response("completed").to_string().replacen('{', "{ ", 1),
            Self::Anth => r#"{ "id":"msg_1","type":"message","role":"assistant","model":"m-real","content":[{"type":"text","text":"Héllo"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":5},"x":1.0}"#.into(),
            Self::Gem => r#"{ "candidates":[{"content":{"role":"model","parts":[{"text":"Héllo"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"cachedContentTokenCount":4,"candidatesTokenCount":5,"totalTokenCount":16},"modelVersion":"m-real","x":1.0}"#.into(),
        }
    }

    /// A streamed answer with the text `Héllo`, in the odd spacing that upstreams use.
    pub(crate) fn story(self) -> Story {
        match self {
            Self::Chat => chat_story(),
            Self::Resp => resp_story(&self.response("completed")),
            Self::Anth => anth_story(),
            Self::Gem => gem_story(),
        }
    }

    /// A Responses object; nonsense for the other dialects.
    fn response(self, status: &str) -> Value {
        let text =
            json!({"type": "output_text", "text": "Héllo", "annotations": [], "logprobs": []});
        let item = json!({"id": "msg_1", "type": "message", "status": "completed",
            "role": "assistant", "content": [text]});
        let done = status == "completed";
        let usage = json!({"input_tokens": 11, "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 16});
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status,
            "error": null, "incomplete_details": null, "model": "m-real",
            "output": if done { json!([item]) } else { json!([]) }, "store": true,
            "usage": if done { usage } else { Value::Null }})
    }

    /// An error body in this dialect's shape.
    pub(crate) fn error(self, status: u16, kind: &str, code: &str, message: &str) -> String {
        match self {
            Self::Chat | Self::Resp => json!({"error": {"message": message, "type": kind,
                "param": null, "code": code}}),
            Self::Anth => json!({"type": "error", "error": {"type": kind, "message": message}}),
            Self::Gem => json!({"error": {"code": status, "message": message, "status": kind}}),
        }
        .to_string()
    }

    /// Refusal of a client's own mistake.
    pub(crate) fn bad_request(self) -> String {
        let kind = if self == Self::Gem { "INVALID_ARGUMENT" } else { "invalid_request_error" };
        self.error(400, kind, "invalid_value", "messages.0: text contains 'rate limit exceeded'")
    }

    /// What the router sends into a silent stream; Anthropic clients that have a `message_start` get a ping.
    pub(crate) fn keep_alive(self, started: bool) -> &'static str {
        match self {
            Self::Anth if started => "event: ping\ndata: {\"type\":\"ping\"}\n\n",
            Self::Chat | Self::Resp | Self::Anth => ": keep-alive\n\n",
            Self::Gem => "\r\n",
        }
    }

    /// Marks of a streamed error in the client's wire, which stand where the end would.
    pub(crate) fn stream_error_mark(self) -> &'static str {
        match self {
            Self::Chat => "data: {\"error\":",
            Self::Resp => "event: response.failed",
            Self::Anth => "event: error",
            Self::Gem => "\"error\":",
        }
    }

    /// Marks that only a proper end has.
    pub(crate) fn end_marks(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &["[DONE]", "\"finish_reason\":\"stop\""],
            Self::Resp => &["response.completed"],
            Self::Anth => &["message_stop"],
            Self::Gem => &["finishReason"],
        }
    }

    /// Text of an error reply's message, after a check of the shape.
    pub(crate) fn error_message(self, reply: &Reply) -> Result<String, String> {
        let body = reply.json();
        let error = body.get("error").ok_or_else(|| format!("no error in {}", reply.brief()))?;
        let message = error.get("message").and_then(Value::as_str);
        let right_shape = match self {
            Self::Chat | Self::Resp => {
                error.get("type").is_some_and(Value::is_string)
                    && error.get("code").is_some()
                    && error.get("param").is_some()
            }
            Self::Anth => {
                body.get("type") == Some(&json!("error"))
                    && error.get("type").is_some_and(Value::is_string)
            }
            Self::Gem => {
                error.get("code") == Some(&json!(reply.status))
                    && error.get("status").is_some_and(Value::is_string)
            }
        };
        if !right_shape {
            return Err(format!("not the {} error shape: {}", self.name(), reply.brief()));
        }
        message.map(str::to_owned).ok_or_else(|| format!("no message in {}", reply.brief()))
    }

    /// Code of an error reply, where the dialect has one.
    pub(crate) fn error_code(self, reply: &Reply) -> Option<String> {
        let body = reply.json();
        match self {
            Self::Chat | Self::Resp => body.pointer("/error/code")?.as_str().map(str::to_owned),
            Self::Anth | Self::Gem => None,
        }
    }
}

fn chat_story() -> Story {
    let chunk = |choices: &str, more: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\", \"object\":\"chat.completion.chunk\",\"created\":1,\
             \"model\":\"m-real\",\"choices\":[{choices}]{more}}}\n\n"
        )
    };
    let delta = |delta: &str, finish: &str| {
        chunk(&format!("{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{finish}}}"), "")
    };
    Story {
        start: format!(": comment\n\n{}", delta("\"role\":\"assistant\",\"content\":\"\"", "null")),
        content: [
            delta("\"content\":\"Hé\"", "null"),
            delta("\"content\":\"llo\"", "null").replacen("data: ", "data:", 1),
        ],
        finish: delta("", "\"stop\""),
        usage: chunk(
            "",
            ",\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":5,\"total_tokens\":16,\
             \"prompt_tokens_details\":{\"cached_tokens\":4}}",
        ),
        done: "data: [DONE]\n\n".into(),
    }
}

fn resp_story(completed: &Value) -> Story {
    let mut number = 0;
    let mut event = |name: &str, fields: Value| {
        let mut data = json!({"type": name, "sequence_number": number});
        data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        number += 1;
        format!("event: {name}\ndata: {data}\n\n")
    };
    let open = Dialect::Resp.response("in_progress");
    let at = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0});
    let with = |key: &str, value: &str| {
        let mut fields = at.clone();
        fields[key] = value.into();
        fields
    };
    let item = json!({"id": "msg_1", "type": "message", "status": "in_progress",
        "role": "assistant", "content": []});
    let start = [
        event("response.created", json!({"response": open})),
        event("response.in_progress", json!({"response": open})),
    ];
    let added = event("response.output_item.added", json!({"output_index": 0, "item": item}));
    let content = [
        added + &event("response.output_text.delta", with("delta", "Hé")),
        event("response.output_text.delta", with("delta", "llo")),
    ];
    let finish = [
        event("response.output_text.done", with("text", "Héllo")),
        event(
            "response.output_item.done",
            json!({"output_index": 0, "item": completed["output"][0]}),
        ),
        event("response.completed", json!({"response": completed})),
    ];
    Story {
        start: start.concat(),
        content,
        finish: finish.concat(),
        usage: String::new(),
        done: String::new(),
    }
}

fn anth_story() -> Story {
    let event = |data: &str| {
        let parsed: Value = serde_json::from_str(data).unwrap();
        format!("event: {}\r\ndata:  {data}\r\n\r\n", parsed["type"].as_str().unwrap())
    };
    Story {
        start: event(
            r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m-real","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":1}}}"#,
        ) + &event(r#"{"type":"ping"}"#),
        content: [
            event(
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            ) + &event(
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé"}}"#,
            ),
            event(
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"llo"}}"#,
            ),
        ],
        finish: event(r#"{"type":"content_block_stop","index":0}"#)
            + &event(
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}"#,
            )
            + &event(r#"{"type":"message_stop"}"#),
        usage: String::new(),
        done: String::new(),
    }
}

fn gem_story() -> Story {
    let chunk = |text: &str, more: &str, usage: &str| {
        format!(
            "data: {{\"candidates\": [{{\"content\": {{\"parts\": [{{\"text\": \"{text}\"}}],\
             \"role\": \"model\"}}{more},\"index\": 0}}]{usage},\"modelVersion\": \"m-real\"}}\r\n\r\n"
        )
    };
    let usage = ",\"usageMetadata\": {\"promptTokenCount\": 11,\"cachedContentTokenCount\": 4,\
                 \"candidatesTokenCount\": 5,\"totalTokenCount\": 16}";
    Story {
        start: String::new(),
        content: [chunk("Hé", "", ""), chunk("llo", "", "")],
        finish: chunk("", ",\"finishReason\": \"STOP\"", usage),
        usage: String::new(),
        done: String::new(),
    }
}
