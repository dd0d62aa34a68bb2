//! Answers: what a decoder knows of the upstream that gave one.

use crate::ir::SigFamily;
use crate::profile::Profile;
use crate::translate::Envelope;
use crate::{Dialect, Framing};

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
        }
    }
}

/// Data of an event that is no JSON object. A stream may hold a few; the caller counts them (§4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the event is no JSON object")]
pub struct BadFrame;
