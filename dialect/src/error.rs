//! The router's own errors, spelled in each dialect (translation §3.4, endpoints §5).

use std::borrow::Cow;

use serde_json::json;

use crate::Dialect;

/// What went wrong, as far as a client can tell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The request is malformed.
    InvalidRequest,
    /// The conversation is longer than the model takes.
    ContextLength,
    /// The credential is missing or wrong.
    Auth,
    /// Payment is required.
    Billing,
    /// The credential may not do this.
    Permission,
    /// No such model, account or path.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The client was too slow.
    Timeout,
    /// The request collides with another one.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// The request is well-formed but cannot be served.
    Unprocessable,
    /// Too many requests in too little time.
    RateLimit,
    /// A quota or budget is used up.
    Quota,
    /// The client left; never sent.
    ClientClosed,
    /// A fault of the router.
    Server,
    /// The upstream could not be reached or made no sense.
    BadGateway,
    /// Nothing can serve this at the moment.
    Unavailable,
    /// The upstream was too slow.
    GatewayTimeout,
    /// Too much load.
    Overloaded,
}

/// The outer shape of an error body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorShape {
    /// OpenAI, for chat and Responses alike.
    Chat,
    /// Anthropic.
    Anth,
    /// Google.
    Gem,
    /// Ollama.
    Ollama,
}

impl From<Dialect> for ErrorShape {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Chat | Dialect::Resp => Self::Chat,
            Dialect::Anth => Self::Anth,
            Dialect::Gem => Self::Gem,
        }
    }
}

/// An error for a client, not yet spelled in a dialect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// The class of the error.
    pub kind: ErrorKind,
    /// A status that differs from the kind's own (415, 421, 426, 501).
    pub status: Option<u16>,
    /// A code that differs from the kind's own.
    pub code: Option<Cow<'static, str>>,
    /// The field at fault.
    pub param: Option<String>,
    /// The text for people.
    pub message: String,
    /// The id that the client also gets as `x-request-id`.
    pub request_id: String,
}

struct Spelling {
    status: u16,
    open_ai: &'static str,
    code: Option<&'static str>,
    anth: &'static str,
    gem: &'static str,
}

impl ErrorKind {
    /// The table of translation §3.4, one row per kind.
    const fn spelling(self) -> Spelling {
        let (status, open_ai, code, anth, gem) = match self {
            Self::InvalidRequest => {
                (400, "invalid_request_error", None, "invalid_request_error", "INVALID_ARGUMENT")
            }
            Self::ContextLength => (
                400,
                "invalid_request_error",
                Some("context_length_exceeded"),
                "invalid_request_error",
                "INVALID_ARGUMENT",
            ),
            Self::Auth => (
                401,
                "authentication_error",
                Some("invalid_api_key"),
                "authentication_error",
                "UNAUTHENTICATED",
            ),
            Self::Billing => (
                402,
                "insufficient_quota",
                Some("insufficient_quota"),
                "billing_error",
                "FAILED_PRECONDITION",
            ),
            Self::Permission => {
                (403, "permission_error", None, "permission_error", "PERMISSION_DENIED")
            }
            Self::NotFound => (
                404,
                "invalid_request_error",
                Some("model_not_found"),
                "not_found_error",
                "NOT_FOUND",
            ),
            Self::MethodNotAllowed => (
                405,
                "invalid_request_error",
                Some("method_not_allowed"),
                "invalid_request_error",
                "UNIMPLEMENTED",
            ),
            Self::Timeout => (
                408,
                "timeout_error",
                Some("request_timeout"),
                "timeout_error",
                "DEADLINE_EXCEEDED",
            ),
            Self::Conflict => {
                (409, "invalid_request_error", Some("conflict"), "invalid_request_error", "ABORTED")
            }
            Self::TooLarge => (
                413,
                "invalid_request_error",
                Some("request_too_large"),
                "request_too_large",
                "INVALID_ARGUMENT",
            ),
            Self::Unprocessable => {
                (422, "invalid_request_error", None, "invalid_request_error", "INVALID_ARGUMENT")
            }
            Self::RateLimit => (
                429,
                "rate_limit_error",
                Some("rate_limit_exceeded"),
                "rate_limit_error",
                "RESOURCE_EXHAUSTED",
            ),
            Self::Quota => (
                429,
                "insufficient_quota",
                Some("insufficient_quota"),
                "rate_limit_error",
                "RESOURCE_EXHAUSTED",
            ),
            Self::ClientClosed => {
                (499, "invalid_request_error", None, "invalid_request_error", "CANCELLED")
            }
            Self::Server => (500, "server_error", Some("internal_error"), "api_error", "INTERNAL"),
            Self::BadGateway => {
                (502, "server_error", Some("bad_gateway"), "api_error", "UNAVAILABLE")
            }
            Self::Unavailable => {
                (503, "server_error", Some("service_unavailable"), "api_error", "UNAVAILABLE")
            }
            Self::GatewayTimeout => {
                (504, "server_error", Some("gateway_timeout"), "timeout_error", "DEADLINE_EXCEEDED")
            }
            Self::Overloaded => {
                (503, "server_error", Some("overloaded"), "overloaded_error", "UNAVAILABLE")
            }
        };
        Spelling { status, open_ai, code, anth, gem }
    }

    /// The HTTP status of the kind (529 for overload is Anthropic's own, see [`error_status`]).
    pub const fn http_status(self) -> u16 {
        self.spelling().status
    }

    /// The `error.type` of the OpenAI shape.
    pub const fn open_ai_type(self) -> &'static str {
        self.spelling().open_ai
    }

    /// The `error.type` of the Anthropic shape.
    pub const fn anth_type(self) -> &'static str {
        self.spelling().anth
    }

    /// The `error.status` of the Google shape.
    pub const fn gem_status(self) -> &'static str {
        self.spelling().gem
    }

    /// The `error.code` of the OpenAI shape when no better one is known.
    pub const fn default_code(self) -> Option<&'static str> {
        self.spelling().code
    }
}

/// The HTTP status of an error; overload is 529 for Anthropic clients and 503 for all others.
pub fn error_status(shape: ErrorShape, error: &ApiError) -> u16 {
    match (error.status, error.kind, shape) {
        (Some(status), _, _) => status,
        (None, ErrorKind::Overloaded, ErrorShape::Anth) => 529,
        (None, kind, _) => kind.spelling().status,
    }
}

/// The error body in the shape that the client's endpoint answers with.
///
/// # Examples
/// ```
/// use ninerouter_dialect::{ApiError, ErrorKind, ErrorShape, error_body};
/// let error = ApiError {
///     kind: ErrorKind::NotFound, status: None, code: None, param: Some("model".into()),
///     message: "Model 'x/y' not found".into(), request_id: "req_1".into(),
/// };
/// assert_eq!(
///     error_body(ErrorShape::Gem, &error),
///     br#"{"error":{"code":404,"message":"Model 'x/y' not found","status":"NOT_FOUND"}}"#
/// );
/// ```
pub fn error_body(shape: ErrorShape, error: &ApiError) -> Vec<u8> {
    let body = match shape {
        ErrorShape::Chat => json!({ "error": open_ai_error(error) }),
        ErrorShape::Anth => {
            let inner = json!({ "type": error.kind.anth_type(), "message": anth_message(error) });
            if error.request_id.is_empty() {
                json!({ "type": "error", "error": inner })
            } else {
                json!({ "type": "error", "error": inner, "request_id": error.request_id })
            }
        }
        ErrorShape::Gem => json!({ "error": {
            "code": error_status(shape, error),
            "message": error.message,
            "status": match error.status {
                Some(501) => "UNIMPLEMENTED",
                _ => error.kind.gem_status(),
            },
        } }),
        ErrorShape::Ollama => json!({ "error": error.message }),
    };
    body.to_string().into_bytes()
}

/// The inner object of the OpenAI shape.
pub(crate) fn open_ai_error(error: &ApiError) -> serde_json::Value {
    json!({
        "message": error.message,
        "type": error.kind.open_ai_type(),
        "param": error.param,
        "code": open_ai_code(error),
    })
}

/// The code that a client sees in the OpenAI shape.
pub(crate) fn open_ai_code(error: &ApiError) -> Option<&str> {
    error.code.as_deref().or(error.kind.default_code())
}

/// Anthropic clients know a context overflow by the start of its message only.
pub(crate) fn anth_message(error: &ApiError) -> Cow<'_, str> {
    const START: &str = "prompt is too long";
    if error.kind == ErrorKind::ContextLength && !error.message.starts_with(START) {
        Cow::Owned(format!("{START}: {}", error.message))
    } else {
        Cow::Borrowed(&error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> ApiError {
        ApiError {
            kind,
            status: None,
            code: None,
            param: None,
            message: "m".into(),
            request_id: "req_1".into(),
        }
    }

    fn body(shape: ErrorShape, error: &ApiError) -> String {
        String::from_utf8(error_body(shape, error)).unwrap()
    }

    #[test]
    fn unknown_model_reads_as_endpoints_section_5_shows() {
        let mut error = error(ErrorKind::NotFound);
        error.param = Some("model".into());
        error.message = "Model 'x/y' not found".into();
        for (shape, want) in [
            (
                ErrorShape::Chat,
                r#"{"error":{"message":"Model 'x/y' not found","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
            ),
            (
                ErrorShape::Anth,
                r#"{"type":"error","error":{"type":"not_found_error","message":"Model 'x/y' not found"},"request_id":"req_1"}"#,
            ),
            (
                ErrorShape::Gem,
                r#"{"error":{"code":404,"message":"Model 'x/y' not found","status":"NOT_FOUND"}}"#,
            ),
            (ErrorShape::Ollama, r#"{"error":"Model 'x/y' not found"}"#),
        ] {
            assert_eq!(body(shape, &error), want);
        }
    }

    #[test]
    fn overload_is_529_for_anthropic_clients_only() {
        let error = error(ErrorKind::Overloaded);
        assert_eq!(error_status(ErrorShape::Anth, &error), 529);
        for shape in [ErrorShape::Chat, ErrorShape::Gem, ErrorShape::Ollama] {
            assert_eq!(error_status(shape, &error), 503);
        }
        assert!(body(ErrorShape::Anth, &error).contains("overloaded_error"));
        assert!(body(ErrorShape::Gem, &error).contains("\"code\":503"));
    }

    #[test]
    fn overrides_win_over_the_table() {
        let mut error = error(ErrorKind::InvalidRequest);
        error.status = Some(415);
        error.code = Some("unsupported_media_type".into());
        assert_eq!(error_status(ErrorShape::Chat, &error), 415);
        assert!(body(ErrorShape::Chat, &error).contains(r#""code":"unsupported_media_type""#));
        assert!(body(ErrorShape::Gem, &error).contains(r#""status":"INVALID_ARGUMENT""#));
        error.status = Some(501);
        assert!(body(ErrorShape::Gem, &error).contains(r#""code":501,"#));
        assert!(body(ErrorShape::Gem, &error).contains(r#""status":"UNIMPLEMENTED""#));
    }

    #[test]
    fn context_overflow_starts_as_anthropic_clients_expect() {
        let error = error(ErrorKind::ContextLength);
        assert!(body(ErrorShape::Anth, &error).contains(r#""message":"prompt is too long: m""#));
        assert!(body(ErrorShape::Chat, &error).contains(r#""code":"context_length_exceeded""#));
    }
}
