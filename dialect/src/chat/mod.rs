//! The codec of OpenAI Chat Completions and of the many vendors that speak it (translation §2–§4).
//!
//! What vendors do differently is named by [`Profile`](crate::profile::Profile): the codec knows no
//! provider by name.

mod delta;
pub mod reasoning;
pub mod request;
pub mod response;
pub mod stream_in;
pub mod stream_out;
mod wire;

pub use request::{decode_request, encode_request};
pub use response::{decode_response, encode_response};
pub use stream_in::StreamDecoder;
pub use stream_out::StreamEncoder;
