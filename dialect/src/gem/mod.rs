//! The codec of Google's Gemini API (`generateContent`, translation §2–§4).
//!
//! Both spellings of Google's JSON are read (`inlineData`, `inline_data`), camel case is written. The
//! model of a request stands in the path: its decoder leaves it empty, the caller fills it in.

mod candidate;
mod chunk;
mod grounding;
mod logprobs;
mod partial_args;
mod request;
mod response;
mod stream_in;
mod stream_out;
mod wire;
mod wire_out;

pub(crate) use request::is_gemini_3;
pub use request::{decode_request, encode_request};
pub use response::{decode_response, encode_response};
pub use stream_in::StreamDecoder;
pub use stream_out::StreamEncoder;
