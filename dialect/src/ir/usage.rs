//! Token counts of a whole answer: what is billed, and the details that clients can see.

/// The counts of one answer (translation §3.3).
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Usage {
    /// The counts that are billed: input with cache reads and writes, output with reasoning.
    pub tokens: crate::Usage,
    /// Parts of those counts.
    pub detail: UsageDetail,
    /// The provider's own price in US dollars.
    pub cost_usd: Option<f64>,
    /// What the provider takes off the account's balance, in its own unit (Kiro's credits).
    pub credits: Option<f64>,
}

/// Parts of the counts by kind. 0 = none, or not said.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct UsageDetail {
    /// Sound in the prompt, tokens.
    pub audio_in: u64,
    /// Sound in the answer, tokens.
    pub audio_out: u64,
    /// Images in the prompt, tokens.
    pub image_in: u64,
    /// Predicted output that was used, tokens.
    pub accepted_prediction: u64,
    /// Predicted output that was not used, tokens.
    pub rejected_prediction: u64,
    /// Part of the prompt that results of server tools made, tokens.
    pub tool_prompt: u64,
    /// Web searches that the provider ran, requests.
    pub web_searches: u64,
    /// Pages that the provider fetched, requests.
    pub web_fetches: u64,
}

impl From<crate::Usage> for Usage {
    fn from(tokens: crate::Usage) -> Self {
        Self { tokens, ..Self::default() }
    }
}
