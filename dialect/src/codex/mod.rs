//! The Codex backend of ChatGPT: Responses with a restricted set of members, streaming only
//! (translation §5.1).
//!
//! A request of the same dialect is edited where it stands, [`fit_request`]; one of another dialect is
//! [`adapt`]ed before it is written and then edited alike. Answers are plain Responses: that the last event
//! lists no items, [`resp::StreamDecoder`](crate::resp::StreamDecoder) expects of any upstream.

mod input;
mod media;
mod request;
#[cfg(test)]
mod tests;
mod tools;

pub use media::needs_media;
pub use request::{CodexRequest, adapt, fit_compact, fit_request};
