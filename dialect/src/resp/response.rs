//! Whole Responses answers (translation §3.1).

use bytes::Bytes;

use super::{StreamDecoder, StreamEncoder};
use crate::body::{BodyVerdict, judge_body};
use crate::ir::{self, Failure};
use crate::tap::StreamError;
use crate::translate::{BadFrame, Fold, ReplyPlan, Source, unfold};
use crate::{Dialect, Framing, json};

/// Reads a whole answer.
///
/// # Errors
/// [`Failure::Upstream`] for an error under a success status, [`Failure::Empty`] for an answer without
/// anything in it, [`Failure::NotAnAnswer`] for what is no JSON.
pub fn decode_response(body: &[u8], source: &Source) -> Result<ir::Response, Failure> {
    match judge_body(Dialect::Resp, body) {
        BodyVerdict::Ok(_) => {}
        BodyVerdict::Error(error) => {
            let raw = Bytes::copy_from_slice(body);
            let error = StreamError { raw, status: error.status_hint(), body: *error };
            return Err(Failure::Upstream(Box::new(error)));
        }
        BodyVerdict::Empty => return Err(Failure::Empty),
        BodyVerdict::NotJson { .. } => return Err(Failure::NotAnAnswer("it is no JSON".into())),
    }
    // The whole body is what the last event of a stream holds.
    let text = json::lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii());
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
