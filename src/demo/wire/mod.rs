//! The four wire formats a simulated provider speaks.

mod chat;
mod gemini;
mod messages;
pub(super) mod refusal;
mod responses;

use bytes::Bytes;
use serde_json::Value;

use super::answer::Answer;

/// Wire format of one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Wire {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages`
    Messages,
    /// `…/models/{m}:generateContent`
    Gemini,
}

/// How a reply is framed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Framing {
    /// One JSON body.
    Whole,
    /// Server-sent events.
    Events {
        /// A chat client asked for the usage chunk.
        include_usage: bool,
    },
    /// A JSON array that grows (Gemini without `alt=sse`).
    Array,
}

impl Framing {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Whole | Self::Array => "application/json",
            Self::Events { .. } => "text/event-stream",
        }
    }
}

/// The reply in pieces, each sent on its own; one piece when it is not streamed.
pub(super) fn frames(wire: Wire, framing: Framing, answer: &Answer) -> Vec<Bytes> {
    match (framing, wire) {
        (Framing::Whole, _) => {
            let body = match wire {
                Wire::Chat => chat::whole(answer),
                Wire::Responses => responses::whole(answer),
                Wire::Messages => messages::whole(answer),
                Wire::Gemini => gemini::whole(answer),
            };
            vec![Bytes::from(body.to_string())]
        }
        (Framing::Events { include_usage }, Wire::Chat) => chat::events(answer, include_usage),
        (Framing::Events { .. }, Wire::Responses) => responses::events(answer),
        (Framing::Events { .. }, Wire::Messages) => messages::events(answer),
        (Framing::Events { .. }, Wire::Gemini) => gemini::events(answer),
        (Framing::Array, _) => gemini::array(answer),
    }
}

/// `event:` and `data:` lines of the wires whose events carry their `type`.
fn typed_event(data: &Value) -> Bytes {
    let name = data.get("type").and_then(Value::as_str).unwrap_or("message");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
