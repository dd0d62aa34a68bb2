//! How an upstream's answer can break (translation §3.4, §4.8).

use std::borrow::Cow;

use bytes::Bytes;

use crate::body::{BodyVerdict, judge_body};
use crate::tap::{StreamError, TapFault};
use crate::{ApiError, Dialect, ErrorKind, json};

/// Why an answer broke off.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Failure {
    /// The upstream reported an error inside the stream.
    #[error("the upstream reported an error")]
    Upstream(Box<StreamError>),
    /// The stream ended without its dialect's terminal mark.
    #[error("the upstream's answer ended before it was whole")]
    Truncated,
    /// A second answer began inside the first.
    #[error("the upstream sent two answers in one stream")]
    Spliced,
    /// The model called a tool in a way that makes no sense and said nothing else.
    #[error("the model's tool call makes no sense")]
    MalformedTool,
    /// The answer holds nothing at all.
    #[error("the upstream's answer is empty")]
    Empty,
    /// The stream breaks a limit or makes no sense.
    #[error(transparent)]
    Fault(#[from] TapFault),
    /// A whole body is no answer of its dialect.
    #[error("the upstream's answer makes no sense: {0}")]
    NotAnAnswer(Cow<'static, str>),
}

/// The text of a whole body, when it is an answer of its dialect.
pub(crate) fn answer_text(dialect: Dialect, body: &[u8]) -> Result<Cow<'_, str>, Failure> {
    match judge_body(dialect, body) {
        BodyVerdict::Ok(_) => {
            Ok(json::lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()))
        }
        BodyVerdict::Error(error) => {
            let raw = Bytes::copy_from_slice(body);
            let error = StreamError { raw, status: error.status_hint(), body: *error };
            Err(Failure::Upstream(Box::new(error)))
        }
        BodyVerdict::Empty => Err(Failure::Empty),
        BodyVerdict::NotJson { .. } => Err(Failure::NotAnAnswer("it is no JSON".into())),
    }
}

impl Failure {
    /// The error that a client is told when nobody knows better. The text of the upstream is not in
    /// it: what may be shown is for the caller to decide.
    pub fn to_api_error(&self, request_id: impl Into<String>) -> ApiError {
        let (kind, code) = match self {
            Self::Upstream(error) => (error.body.kind(error.status), None),
            Self::MalformedTool => (ErrorKind::BadGateway, Some("upstream_malformed_tool_call")),
            Self::Truncated
            | Self::Spliced
            | Self::Empty
            | Self::Fault(_)
            | Self::NotAnAnswer(_) => (ErrorKind::BadGateway, Some("upstream_error")),
        };
        ApiError {
            kind,
            status: None,
            code: code.map(Cow::Borrowed),
            param: None,
            message: self.to_string(),
            request_id: request_id.into(),
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::{ErrorShape, error_status, parse_error_body};

    #[test]
    fn failures_are_told_as_bad_gateway_unless_the_upstream_named_a_kind() {
        let body = br#"{"error":{"type":"overloaded_error","message":"secret"}}"#;
        let upstream = Failure::Upstream(Box::new(StreamError {
            raw: Bytes::from_static(body),
            status: None,
            body: parse_error_body(200, None, body),
        }));
        for (failure, kind, code) in [
            (Failure::Truncated, ErrorKind::BadGateway, Some("upstream_error")),
            (Failure::MalformedTool, ErrorKind::BadGateway, Some("upstream_malformed_tool_call")),
            (upstream, ErrorKind::Overloaded, None),
        ] {
            let error = failure.to_api_error("req_1");
            assert_eq!((error.kind, error.code.as_deref()), (kind, code), "{failure:?}");
            assert!(error_status(ErrorShape::Chat, &error) >= 500);
            assert!(!error.message.contains("secret"));
        }
    }
}
