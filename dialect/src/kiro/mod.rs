//! The codec of Kiro: a JSON of its own upstream, an AWS event stream back (translation §5.3, providers
//! §3.6).
//!
//! No client speaks it. A [`Target`](crate::translate::Target) for it has
//! [`Envelope::Kiro`](crate::translate::Envelope) around [`Dialect::Anth`](crate::Dialect): turns, calls
//! and results are put into the order that Messages wants, which is Kiro's too. Answers always stream;
//! clients that want the whole get it from [`Folding`](crate::translate::Folding).

mod calls;
mod counts;
mod reasoning;
mod request;
mod stream_in;
mod wire;

pub(crate) use reasoning::thinks_in_tags;
pub use request::encode_request;
pub use stream_in::{StreamDecoder, decode_response};
