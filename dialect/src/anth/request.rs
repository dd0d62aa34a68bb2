//! Requests (translation §2).

mod decode;
mod encode;
mod reasoning;
#[cfg(test)]
mod tests;
mod tools;

pub use decode::decode_request;
pub use encode::encode_request;
