//! Error classes: what an upstream's failure means for the account, the model and the request.

use crate::clock::UnixMs;
use crate::routing::lock::Scope;

/// Class of a failed attempt (accounts §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Token stale: refresh once, retry once.
    AuthExpired,
    /// Credential revoked or invalid.
    AuthDead,
    /// Plan window used up.
    QuotaExhausted,
    /// Short throttle.
    RateLimited,
    /// Provider capacity; not the account's fault.
    Overloaded,
    /// 5xx, network, time-out before the first byte.
    Transient,
    /// Model unknown, not in the plan, or not on this endpoint.
    ModelUnavailable,
    /// The client's own mistake.
    BadRequest,
    /// Prompt larger than the window.
    ContextTooLong,
    /// Refused by the vendor's content policy.
    ContentPolicy,
    /// The vendor refuses this client.
    ClientNotPermitted,
    /// No balance, subscription ended.
    PaymentRequired,
    /// Account suspended.
    AccountBanned,
    /// A feature of this request is not in the plan.
    Entitlement,
    /// The model exists on the provider's other endpoint.
    EndpointMismatch,
    /// Our client went away.
    ClientCancelled,
    /// A 4xx nobody knows.
    Unknown,
}

impl Class {
    /// The name used in the database, the API and the logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthExpired => "auth_expired",
            Self::AuthDead => "auth_dead",
            Self::QuotaExhausted => "quota_exhausted",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Transient => "transient",
            Self::ModelUnavailable => "model_unavailable",
            Self::BadRequest => "bad_request",
            Self::ContextTooLong => "context_too_long",
            Self::ContentPolicy => "content_policy",
            Self::ClientNotPermitted => "client_not_permitted",
            Self::PaymentRequired => "payment_required",
            Self::AccountBanned => "account_banned",
            Self::Entitlement => "entitlement",
            Self::EndpointMismatch => "endpoint_mismatch",
            Self::ClientCancelled => "client_cancelled",
            Self::Unknown => "unknown",
        }
    }
}

/// Where the next attempt may go (accounts §5.1, the columns of the table).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The same account once more, after `retry_same_after`.
    SameAccount,
    /// Another account of the same provider, then the next entry.
    NextAccount,
    /// The next combo entry; no other account of this provider.
    NextEntry,
    /// Nobody: the answer goes back to the client.
    Return,
}

/// What a failed attempt means.
#[derive(Clone, PartialEq, Debug)]
pub struct Classified {
    /// Class of the failure.
    pub class: Class,
    /// Scope to lock, when the class locks.
    pub scope: Option<Scope>,
    /// Instant the upstream named for recovery, Unix ms, jitter not yet added.
    pub until: Option<UnixMs>,
    /// Wait this long and try the same account once.
    pub retry_same_after_ms: Option<u32>,
    /// Where the next attempt may go.
    pub next: Next,
    /// True when the failure counts against the account's health.
    pub penalize: bool,
    /// Provider rule or step that matched, for logs: `anthropic.429.unified`, `status.500` …
    pub rule: &'static str,
    /// The upstream's own code, when it sent one.
    pub code: Option<String>,
    /// The upstream's own message, redacted, at most 500 characters.
    pub message: String,
}
