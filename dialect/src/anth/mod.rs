//! The codec of Anthropic's Messages API (translation §2–§4).
//!
//! Blocks and parts map one to one: the neutral form has Anthropic's order of blocks. What this dialect
//! alone knows rides along as unknown fields and comes out again unchanged.

mod betas;
mod block;
mod citation;
mod object;
mod request;
mod response;
mod search;
mod stream_in;
mod stream_out;
mod wire;

pub(crate) use block::object_input;
pub use request::{decode_request, encode_request};
pub use response::{decode_response, encode_response};
pub use stream_in::StreamDecoder;
pub use stream_out::StreamEncoder;
