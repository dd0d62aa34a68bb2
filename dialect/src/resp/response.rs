//! Whole Responses answers (translation §3.1).

use super::{StreamDecoder, StreamEncoder};
use crate::ir::failure::answer_text;
use crate::ir::{self, Failure};
use crate::translate::{BadFrame, Fold, ReplyPlan, Source, unfold};
use crate::{Dialect, Framing};

/// Reads a whole answer.
///
/// # Errors
/// [`Failure::Upstream`] for an error under a success status, [`Failure::Empty`] for an answer without
/// anything in it, [`Failure::NotAnAnswer`] for what is no JSON.
pub fn decode_response(body: &[u8], source: &Source) -> Result<ir::Response, Failure> {
    let text = answer_text(Dialect::Resp, body)?;
    // The whole body is what the last event of a stream holds.
    let mut decoder = StreamDecoder::new(source);
    let mut events = Vec::new();
    decoder
        .whole(text.as_bytes(), &mut events)
        .map_err(|BadFrame| Failure::NotAnAnswer("it is no JSON object".into()))?;
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    fold.finish()
}

/// Writes a whole answer.
pub fn encode_response(response: &ir::Response, plan: &ReplyPlan) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(plan.clone(), Framing::Sse);
    for event in unfold(response.clone()) {
        encoder.take(&event, None);
    }
    encoder.whole()
}
