//! Chat requests, both ways (translation §2).

mod content;
mod decode;
mod encode;
mod lenient;
mod message_in;
mod message_out;
mod params_out;
mod reasoning_in;
mod tools_in;
mod tools_out;

pub use decode::decode_request;
pub use encode::encode_request;

#[cfg(test)]
mod tests;
