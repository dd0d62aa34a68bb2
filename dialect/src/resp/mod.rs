//! The codec of OpenAI Responses (translation §2–§4, column `resp`).
//!
//! A conversation is a list of items: messages, reasoning, calls and their outputs, each with a type of
//! its own. The neutral form knows turns; decoders gather items into turns, encoders take turns apart.
//!
//! ```text
//! object    members of one JSON object as written        items   tables of call items and their members
//! request   requests, both ways                          wire    what encoders write
//! stream_in, response (reading), stream_out, response (writing), echo: answers
//! ```

pub mod echo;
mod items;
pub(crate) mod object;
pub mod request;
pub mod response;
pub mod stream_in;
pub mod stream_out;
mod wire;

pub use echo::echo;
pub use request::{decode_request, encode_request};
pub use response::{decode_response, encode_response};
pub use stream_in::StreamDecoder;
pub use stream_out::StreamEncoder;
