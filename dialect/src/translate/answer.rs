//! Whole answers from one dialect to another, and what a decoder knows of the upstream.

use crate::ir::{Failure, Response, SigFamily};
use crate::profile::Profile;
use crate::tap::TapSummary;
use crate::translate::{ClientNames, Envelope, ReplyPlan, SignatureNotes};
use crate::{Dialect, Framing};

use super::signature::Note;
use super::{codec, summary};

/// The upstream that an answer comes from, as its decoder needs to know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Its dialect.
    pub dialect: Dialect,
    /// How its events are framed.
    pub framing: Framing,
    /// The family whose signatures its model makes.
    pub family: SigFamily,
    /// Where its answers differ: think tags, an end without a mark.
    pub profile: Profile,
    /// What is wrapped around its dialect.
    pub envelope: Envelope,
    /// The model's context window, tokens, for upstreams that tell the prompt's size as a part of it.
    pub context_window: Option<u32>,
}

impl Source {
    /// An upstream of which nothing is known but its dialect, streaming server-sent events.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            framing: Framing::Sse,
            family: SigFamily::Unknown,
            profile: Profile::default(),
            envelope: Envelope::Plain,
            context_window: None,
        }
    }
}

/// Data of an event that is no JSON object. A stream may hold a few; the caller counts them (§4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the event is no JSON object")]
pub struct BadFrame;

/// An answer in the client's dialect.
#[derive(Clone, PartialEq, Debug)]
pub struct Translated {
    /// The body, or all of the stream.
    pub body: Vec<u8>,
    /// What the answer comes to, in the upstream's words.
    pub summary: TapSummary,
    /// What is to be remembered of the reasoning (§2.7).
    pub notes: Vec<Note>,
}

/// Translates a whole answer.
///
/// # Errors
/// Why the body is no answer.
pub fn translate_response(
    body: &[u8],
    source: &Source,
    plan: &ReplyPlan,
) -> Result<Translated, Failure> {
    let mut response = codec::decode_response(body, source)?;
    let summary = summary::of(&response);
    let notes = notes(&response, source);
    name(&mut response, plan);
    ClientNames::new(plan.tools.clone()).response(&mut response);
    Ok(Translated { body: codec::encode_response(&response, plan), summary, notes })
}

/// Gives the answer an id where the upstream gave none.
pub(super) fn name(response: &mut Response, plan: &ReplyPlan) {
    if response.id.is_empty() {
        response.id.clone_from(&plan.answer_id);
    }
}

pub(super) fn notes(response: &Response, source: &Source) -> Vec<Note> {
    let mut notes = SignatureNotes::new(source.family);
    notes.response(response);
    notes.take()
}
