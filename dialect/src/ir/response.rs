//! An answer in the neutral form (translation §1.5).

use super::{Ext, Part, RawJson, Str, Usage};

/// A whole answer.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// The upstream's id of the answer; empty when it gave none.
    pub id: Str,
    /// When it was made, Unix seconds; `None` when the dialect does not say.
    pub created: Option<u64>,
    /// The model as the upstream names it.
    pub model: Str,
    /// The alternatives, by index; one unless `n` asked for more.
    pub choices: Vec<Choice>,
    /// Token counts; `None` when the upstream gave none.
    pub usage: Option<Usage>,
    /// Speed class, the upstream's word.
    pub service_tier: Option<Str>,
    /// `system_fingerprint`.
    pub fingerprint: Option<Str>,
    /// Unknown fields.
    pub ext: Ext,
}

/// One alternative of an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// Its index.
    pub index: u32,
    /// What the model says, in order.
    pub parts: Vec<Part>,
    /// Why it stopped.
    pub finish: Finish,
    /// The upstream's own word for that.
    pub reason: Option<Str>,
    /// The text that ended it.
    pub stop_sequence: Option<Str>,
    /// What the upstream says about a refusal or a block (`promptFeedback`, `stop_details`).
    pub details: Option<RawJson>,
    /// Log probabilities of the text: elements of OpenAI's `logprobs.content`.
    pub logprobs: Vec<RawJson>,
}

impl Choice {
    /// An alternative that says nothing yet.
    pub fn new(index: u32) -> Self {
        Self {
            index,
            parts: Vec::new(),
            finish: Finish::Stop,
            reason: None,
            stop_sequence: None,
            details: None,
            logprobs: Vec::new(),
        }
    }
}

/// Why a model stopped (translation §3.2).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Finish {
    /// It was done.
    Stop,
    /// It came to a text that ends the answer.
    StopSequence,
    /// The output cap.
    Length,
    /// The context window.
    ContextLength,
    /// It waits for results of the client's tools.
    ToolUse,
    /// A filter of the provider.
    ContentFilter,
    /// It refuses.
    Refusal,
    /// The provider paused a long turn.
    PauseTurn,
    /// It called a tool in a way that makes no sense.
    MalformedTool,
    /// It failed.
    Error,
    /// Anything else, the upstream's word.
    Other(Str),
}
