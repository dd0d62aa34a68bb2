//! Making HTTP replies: headers every reply carries, errors in the caller's dialect, relayed answers.

use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use bytes::Bytes;
use ninerouter_dialect::{
    ApiError, Dialect, ErrorKind, ErrorShape, Framing, error_body, error_status,
};

use crate::auth::audit::Event;
use crate::gateway::failure::RawAnswer;
use crate::routing::classify::Class;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Upstream headers a client may see (endpoints §7).
const PASSED: [&str; 5] =
    ["openai-processing-ms", "openai-version", "request-id", "retry-after", "retry-after-ms"];
const PASSED_PREFIXES: [&str; 2] = ["anthropic-ratelimit-", "x-ratelimit-"];

/// A refusal or failure on its way to the client.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What is said, rendered in the caller's dialect.
    pub error: ApiError,
    /// Seconds until a retry makes sense.
    pub retry_after_s: Option<u64>,
    /// Hint to SDKs; `None` = by status.
    pub should_retry: Option<bool>,
    /// An upstream error of the same dialect that is handed on instead, byte for byte.
    pub raw: Option<RawAnswer>,
    /// The connection is closed after this answer.
    pub close: bool,
    /// Methods of a 405.
    pub allow: Option<&'static str>,
    /// Class of the failure that decided, for the usage row.
    pub class: Option<Class>,
    /// What the audit log has to know of it.
    pub noted: Option<Box<Event>>,
}

impl Refusal {
    /// A refusal of `kind` with a message; the status follows from the kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let error = ApiError {
            kind,
            status: None,
            code: None,
            param: None,
            message: message.into(),
            request_id: String::new(),
        };
        Self {
            error,
            retry_after_s: None,
            should_retry: None,
            raw: None,
            close: false,
            allow: None,
            class: None,
            noted: None,
        }
    }

    /// The operator ended the request. Nobody should send it again by himself.
    #[must_use]
    pub(super) fn cancelled() -> Self {
        let message = "the operator of the router ended this request";
        let mut refusal = Self::new(ErrorKind::Unavailable, message).code("cancelled");
        refusal.should_retry = Some(false);
        refusal
    }

    /// The router stops: neither new requests nor waiting ones are served any more (REL-RUN-3).
    #[must_use]
    pub(super) fn shutting_down() -> Self {
        let mut refusal = Self::new(
            ErrorKind::Unavailable,
            "the router is shutting down; send the request again",
        )
        .code("shutting_down")
        .retry_after(1);
        refusal.close = true;
        refusal
    }

    /// With a machine-readable code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.error.code = Some(code.into());
        self
    }

    /// With another status than the kind's.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.error.status = Some(status);
        self
    }

    /// With the parameter that is at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.error.param = Some(param.into());
        self
    }

    /// With the seconds until a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// Status the client sees.
    #[must_use]
    pub fn http_status(&self, shape: ErrorShape) -> u16 {
        self.raw.as_ref().map_or_else(|| error_status(shape, &self.error), |raw| raw.status)
    }

    /// The reply.
    #[must_use]
    pub fn render(self, shape: ErrorShape, request_id: &str) -> HttpResponse {
        let body = self.body(shape, request_id);
        self.render_with(shape, request_id, body)
    }

    /// Body of the reply.
    #[must_use]
    pub(super) fn body(&self, shape: ErrorShape, request_id: &str) -> Bytes {
        match &self.raw {
            Some(raw) => raw.body.clone(),
            None => {
                let mut error = self.error.clone();
                error.request_id = request_id.to_owned();
                Bytes::from(error_body(shape, &error))
            }
        }
    }

    /// The reply with another body than its own, or with its own where that is known already.
    #[must_use]
    pub fn render_with(self, shape: ErrorShape, request_id: &str, body: Bytes) -> HttpResponse {
        let status = self.http_status(shape);
        let mut reply = start(status, request_id);
        if let Some(seconds) = self.retry_after_s {
            reply.insert_header((RETRY_AFTER, seconds));
        }
        let retry = self.should_retry.unwrap_or(matches!(status, 408 | 409 | 429 | 500..));
        reply.insert_header((SHOULD_RETRY, if retry { "true" } else { "false" }));
        if status == 401 {
            reply.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(methods) = self.allow {
            reply.insert_header((ALLOW, methods));
        }
        if self.close {
            // A `connection` header of our own would be skipped by the library's encoder.
            reply.force_close();
        }
        let kind = self.raw.as_ref().and_then(|raw| raw.content_type.as_deref());
        let kind = kind.and_then(|kind| HeaderValue::from_str(kind).ok());
        let kind = kind.unwrap_or_else(|| HeaderValue::from_static("application/json"));
        reply.insert_header((CONTENT_TYPE, kind));
        reply.body(body)
    }
}

/// A reply with the headers that every API reply carries.
#[must_use]
pub fn start(status: u16, request_id: &str) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut reply = HttpResponse::build(status);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        reply.insert_header((REQUEST_ID, id));
    }
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        reply.insert_header((name, HeaderValue::from_static(value)));
    }
    reply
}

/// A JSON reply.
#[must_use]
pub fn json(status: u16, request_id: &str, body: impl Into<Bytes>) -> HttpResponse {
    let mut reply = start(status, request_id);
    reply.insert_header((CONTENT_TYPE, "application/json"));
    reply.body(body.into())
}

/// Head of a streamed reply.
#[must_use]
pub(super) fn stream_head(
    status: u16,
    request_id: &str,
    dialect: Dialect,
    framing: Framing,
) -> HttpResponseBuilder {
    let mut reply = start(status, request_id);
    let kind = match (dialect, framing) {
        (Dialect::Gem, Framing::JsonArray) => "application/json",
        (_, Framing::Sse | Framing::JsonArray) => "text/event-stream; charset=utf-8",
    };
    for (name, value) in [
        (CONTENT_TYPE, kind),
        // Proxies must neither hold back nor change the events (cli-and-deploy §7.4).
        (CACHE_CONTROL, "no-cache, no-transform"),
        (ACCEL_BUFFERING, "no"),
    ] {
        reply.insert_header((name, HeaderValue::from_static(value)));
    }
    reply
}

/// Copies the upstream headers a client may see.
pub(super) fn pass_headers<'a>(
    reply: &mut HttpResponseBuilder,
    upstream: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) {
    for (name, value) in upstream {
        let text = name.as_str();
        if PASSED.contains(&text) || PASSED_PREFIXES.iter().any(|p| text.starts_with(p)) {
            reply.append_header((name.clone(), value.clone()));
        }
    }
}
