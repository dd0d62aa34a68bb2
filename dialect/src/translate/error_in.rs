//! What a client is told of an upstream's error in another dialect (translation §3.4).

use std::borrow::Cow;

use crate::ir::Failure;
use crate::{ApiError, ErrorKind, UpstreamErrorBody};

/// The upstream's error, as a client of any dialect may see it.
///
/// Errors about the router's own credentials never look as if the client's key were wrong: clients such
/// as Codex log out on a 401. The upstream's words about them are kept back, since they may name the
/// account. All other words are passed on; the caller still takes secrets and addresses out of them.
pub fn error_for_client(
    body: &UpstreamErrorBody,
    status: Option<u16>,
    request_id: impl Into<String>,
) -> ApiError {
    let kind = body.kind(status);
    let own_credentials = |kind, code, message: &str| ApiError {
        kind,
        status: None,
        code: Some(Cow::Borrowed(code)),
        param: None,
        message: message.to_owned(),
        request_id: String::new(),
    };
    let error = match kind {
        ErrorKind::Auth | ErrorKind::Permission => own_credentials(
            ErrorKind::BadGateway,
            "upstream_auth_failed",
            "the provider refused the router's credentials",
        ),
        ErrorKind::Billing => own_credentials(
            ErrorKind::Unavailable,
            "no_usable_account",
            "the provider wants payment from the router's account",
        ),
        kind => ApiError {
            kind,
            status: None,
            code: code(kind, body).map(Cow::Owned),
            param: body.param.clone(),
            message: body.message.clone().unwrap_or_else(|| "the upstream failed".to_owned()),
            request_id: String::new(),
        },
    };
    ApiError { request_id: request_id.into(), ..error }
}

/// The upstream's own code where it says more than the kind does.
fn code(kind: ErrorKind, body: &UpstreamErrorBody) -> Option<String> {
    let is_clients_doing = matches!(kind, ErrorKind::InvalidRequest | ErrorKind::Unprocessable);
    let is_number = |code: &String| code.bytes().all(|byte| byte.is_ascii_digit());
    body.code.clone().filter(|code| is_clients_doing && !is_number(code))
}

/// Why an answer broke, as a client of any dialect may see it.
pub fn failure_for_client(failure: &Failure, request_id: impl Into<String>) -> ApiError {
    match failure {
        Failure::Upstream(error) => error_for_client(&error.body, error.status, request_id),
        other => other.to_api_error(request_id),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::tap::StreamError;
    use crate::{ErrorShape, error_body, error_status, parse_error_body};

    fn told(status: u16, body: &Value, shape: ErrorShape) -> (u16, Value) {
        let body = parse_error_body(status, None, body.to_string().as_bytes());
        let error = error_for_client(&body, Some(status), "req_1");
        (error_status(shape, &error), serde_json::from_slice(&error_body(shape, &error)).unwrap())
    }

    #[test]
    fn t126_a_limit_stays_a_limit_in_every_dialect() {
        let body = json!({"error": {"message": "slow down", "type": "rate_limit_error"}});
        let (status, anth) = told(429, &body, ErrorShape::Anth);
        assert_eq!((status, &anth["error"]["type"]), (429, &json!("rate_limit_error")));
        assert_eq!(anth["error"]["message"], "slow down");
        let (_, gem) = told(429, &body, ErrorShape::Gem);
        assert_eq!(gem["error"]["status"], "RESOURCE_EXHAUSTED");
    }

    #[test]
    fn t127_the_innermost_message_is_told() {
        let inner = json!({"error": {"message": "bad field", "code": 400}}).to_string();
        let body =
            json!([{"error": {"code": 400, "message": inner, "status": "INVALID_ARGUMENT"}}]);
        let (status, chat) = told(400, &body, ErrorShape::Chat);
        assert_eq!((status, &chat["error"]["message"]), (400, &json!("bad field")));
        let body = json!({"error": {"message": "m", "type": "invalid_request_error",
            "param": "input", "code": "unsupported_value"}});
        let (_, chat) = told(400, &body, ErrorShape::Chat);
        assert_eq!(chat["error"]["param"], "input");
        assert_eq!(chat["error"]["code"], "unsupported_value");
    }

    #[test]
    fn t128_our_credentials_are_not_the_clients() {
        for status in [401, 403] {
            let body = json!({"error": {"message": "Incorrect API key sk-secret of me@x.org"}});
            for shape in [ErrorShape::Chat, ErrorShape::Anth, ErrorShape::Gem] {
                let (seen, body) = told(status, &body, shape);
                assert!(seen >= 500, "{seen}");
                let text = body.to_string();
                assert!(!text.contains("secret") && !text.contains("me@x.org"), "{text}");
            }
            let (seen, body) = told(status, &body, ErrorShape::Chat);
            assert_eq!((seen, &body["error"]["code"]), (502, &json!("upstream_auth_failed")));
        }
    }

    #[test]
    fn t155_an_error_inside_a_stream_is_told_by_its_kind() {
        let raw = Bytes::from_static(br#"{"error":{"type":"overloaded_error","message":"busy"}}"#);
        let body = parse_error_body(502, None, &raw);
        let failure =
            Failure::Upstream(Box::new(StreamError { raw, status: body.status_hint(), body }));
        let error = failure_for_client(&failure, "req_1");
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Overloaded, "busy"));
        let malformed = failure_for_client(&Failure::MalformedTool, "req_1");
        assert_eq!(malformed.code.as_deref(), Some("upstream_malformed_tool_call"));
        assert_eq!(error_status(ErrorShape::Chat, &malformed), 502);
    }
}
