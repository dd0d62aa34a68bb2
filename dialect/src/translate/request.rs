//! Requests: one decoding, then for each attempt a clone that is repaired, adapted and encoded.

/// A request in the target's dialect.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct EncodedRequest {
    /// The JSON body.
    pub body: Vec<u8>,
    /// Tokens that the body needs in `anthropic-beta` (§2.14); empty for all other dialects.
    pub betas: Vec<&'static str>,
}
