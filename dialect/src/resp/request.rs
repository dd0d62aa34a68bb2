//! Requests of Responses, both ways (translation §2).

mod content;
mod decode;
mod encode;
mod encode_input;
mod encode_tools;
mod input;
#[cfg(test)]
mod tests;
mod tools;

pub use decode::decode_request;
pub use encode::{adapt, encode_request};
pub(super) use encode::{effort_word, encode_format, summary_word, verbosity_word};
pub(super) use encode_tools::{encode_tool, encode_tool_choice};
