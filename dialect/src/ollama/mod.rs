//! Ollama's own API: NDJSON chat, towards upstreams and towards clients (translation §5.6, endpoints §4.9).
//!
//! ```text
//! upstream  encode_request, StreamDecoder, decode_response: a chat target in the envelope `Ollama`
//! client    to_chat, AnswerStream, to_answer, loaded: its requests become chat, chat answers become its own
//! lists     tags, show, shown_model: what its clients look up before they ask
//! ```
//!
//! A line is an event: [`EventReader`](crate::translate::EventReader) takes lines that begin with a brace
//! for such.

mod answer;
mod client;
mod lists;
mod request;
mod stream_in;
#[cfg(test)]
mod tests;

pub use answer::{AnswerStream, Moment, loaded, stream_error, to_answer};
pub use client::{Asked, Form, to_chat};
pub use lists::{ListedModel, show, shown_model, tags};
pub use request::encode_request;
pub use stream_in::{StreamDecoder, decode_response};
