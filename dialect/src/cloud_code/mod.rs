//! Google Code Assist: Gemini's requests and answers inside an object, as Gemini CLI and Antigravity
//! exchange them (translation §5.2, providers §3.3, §3.4).
//!
//! ```text
//! request   {"model", "project", "user_prompt_id", "request": {…Gemini…}}     Antigravity: more members
//! answer    {"response": {…Gemini…}, "traceId"}                               whole, and each event of a stream
//! ```
//!
//! [`wrap`] and [`count`] write requests around a Gemini body whose bytes they leave alone. [`unwrap_answer`]
//! and [`StreamUnwrap`] slice answers out of theirs; the codec of Gemini reads wrapped answers as they are.

mod fit;
mod request;
mod unwrap;

pub(crate) use fit::{fit_history, fit_parameters};
pub use request::{count, unwrap_request, wrap};
pub(crate) use request::{inner_request, needs_translation};
pub use unwrap::{StreamUnwrap, unwrap_answer};

/// Whether a model of Antigravity makes images; it is asked in a form of its own, and never streams.
pub fn makes_images(model: &str) -> bool {
    model.contains("image")
}

#[cfg(test)]
mod tests;
