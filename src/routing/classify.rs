//! Error classes: what an upstream's failure means for the account, the model and the request.

use ninerouter_dialect::UpstreamErrorBody;

use crate::clock::UnixMs;
use crate::provider::family::ErrorFamily;
use crate::routing::error_rule::{self, ErrorRule};
use crate::routing::facts::{Facts, message_for_people};
use crate::routing::lock::Scope;
use crate::routing::rules;

use crate::routing::verdict::{Cooldown, Verdict};

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

    /// How many other accounts of the provider may be tried after it within one entry (accounts §5.1).
    #[must_use]
    pub fn other_accounts(self) -> usize {
        match self {
            Self::AuthExpired
            | Self::AuthDead
            | Self::QuotaExhausted
            | Self::RateLimited
            | Self::Transient
            | Self::ModelUnavailable
            | Self::PaymentRequired
            | Self::AccountBanned => usize::MAX,
            Self::Overloaded | Self::Unknown => 1,
            Self::BadRequest
            | Self::ContextTooLong
            | Self::ContentPolicy
            | Self::ClientNotPermitted
            | Self::Entitlement
            | Self::EndpointMismatch
            | Self::ClientCancelled => 0,
        }
    }

    /// True when it counts for the provider×model breaker.
    #[must_use]
    pub fn feeds_breaker(self) -> bool {
        matches!(self, Self::Overloaded | Self::Transient)
    }

    /// True when it counts against the account (accounts §5.6, last bullet).
    #[must_use]
    pub fn penalizes(self) -> bool {
        match self {
            Self::AuthExpired
            | Self::AuthDead
            | Self::QuotaExhausted
            | Self::RateLimited
            | Self::Transient
            | Self::PaymentRequired
            | Self::AccountBanned
            | Self::Unknown => true,
            Self::Overloaded
            | Self::ModelUnavailable
            | Self::BadRequest
            | Self::ContextTooLong
            | Self::ContentPolicy
            | Self::ClientNotPermitted
            | Self::Entitlement
            | Self::EndpointMismatch
            | Self::ClientCancelled => false,
        }
    }

    /// The class of a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Every class.
    pub const ALL: [Self; 17] = [
        Self::AuthExpired,
        Self::AuthDead,
        Self::QuotaExhausted,
        Self::RateLimited,
        Self::Overloaded,
        Self::Transient,
        Self::ModelUnavailable,
        Self::BadRequest,
        Self::ContextTooLong,
        Self::ContentPolicy,
        Self::ClientNotPermitted,
        Self::PaymentRequired,
        Self::AccountBanned,
        Self::Entitlement,
        Self::EndpointMismatch,
        Self::ClientCancelled,
        Self::Unknown,
    ];
}

/// Where the next attempt may go (accounts §5.1, the columns of the table).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The same account once more, after `retry_same_after_ms`; when that fails too, as [`Next::NextAccount`].
    SameAccount,
    /// Another account of the same provider (at most [`Class::other_accounts`]), then the next entry.
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
    /// Wait this long and try the same account again. With [`Next::SameAccount`] always, with another
    /// `next` (overload) only when this was the last candidate of the request.
    pub retry_same_after_ms: Option<u32>,
    /// How often the same account may be tried again, 0 when not at all.
    pub retry_same_max: u8,
    /// Where the next attempt may go.
    pub next: Next,
    /// True when the failure counts against the account's health.
    pub penalize: bool,
    /// What happens to `scope` when no `until` is given.
    pub cooldown: Cooldown,
    /// The vendor asked for fewer parallel requests: one less for ten minutes (accounts §5.4, Z.ai).
    pub lower_concurrency: bool,
    /// Largest prompt in tokens, when the refusal names it.
    pub learned_window: Option<u64>,
    /// Provider rule or step that matched, for logs: `anthropic.429.unified`, `status.500` …
    pub rule: &'static str,
    /// Status the decision was made with: the one inside a 2xx body when there is one.
    pub status: Option<u16>,
    /// The upstream's own code, when it sent one.
    pub code: Option<String>,
    /// The upstream's own message, redacted, at most 500 characters.
    pub message: String,
}

/// A failure below HTTP, or an answer that is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TransportFailure {
    /// Our client went away.
    ClientGone,
    /// The name did not resolve.
    Dns,
    /// The connection was refused or unreachable.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// No connection in time.
    ConnectTimeout,
    /// Our body was not taken in time.
    SendStall,
    /// No response head in time.
    HeadTimeout,
    /// Head, but no content in time.
    ContentTimeout,
    /// The connection broke.
    Reset,
    /// Not HTTP, or a broken body.
    Protocol,
    /// The answer ended without its mark of completion.
    Truncated,
    /// Too large, or coded in a way we do not take.
    BadBody,
    /// A 2xx answer with nothing in it.
    Empty,
    /// The account's outbound proxy could not be reached.
    Proxy,
    /// The outbound guard refused the destination.
    Blocked,
}

/// Everything that is known of a failed attempt.
#[expect(missing_debug_implementations, reason = "holds a closure over response headers")]
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    /// Catalog id or node id, for operator rules.
    pub provider: &'a str,
    /// Table of rules to read the answer with.
    pub family: ErrorFamily,
    /// HTTP status, when there was a response head.
    pub status: Option<u16>,
    /// Response headers: first value of a lower-case name.
    pub headers: &'a (dyn Fn(&str) -> Option<&'a str> + 'a),
    /// Parsed body, also of an error event inside a stream.
    pub body: Option<&'a UpstreamErrorBody>,
    /// Failure below HTTP.
    pub transport: Option<TransportFailure>,
    /// Model as the client named it.
    pub requested_model: &'a str,
    /// Model as it was sent.
    pub upstream_model: &'a str,
    /// Lock id of the model: `Target::canonical`.
    pub canonical: &'a str,
    /// Families of quota the model belongs to: `Target::families`.
    pub families: &'a [String],
    /// The credential can be refreshed.
    pub oauth: bool,
    /// Unix ms.
    pub now: UnixMs,
}

/// What the failure means (accounts §5.2; the first step that matches decides).
#[must_use]
pub fn classify(failure: &Failure<'_>, operator_rules: &[ErrorRule]) -> Classified {
    let facts = Facts::read(failure);
    let (rule, verdict) = decide(&facts, operator_rules);
    finish(&facts, rule, verdict)
}

fn decide(facts: &Facts<'_>, operator_rules: &[ErrorRule]) -> (&'static str, Verdict) {
    if let Some(found) = rules::transport(facts) {
        return found;
    }
    // Step 5 is evaluated before step 4: the operator outranks the vendor's table.
    let ours = || rules::provider(facts).unwrap_or_else(|| rules::fallback(facts));
    match error_rule::first_match(operator_rules, facts) {
        Some(action) => (action.rule_name(), action.apply(ours().1, facts)),
        None => ours(),
    }
}

fn finish(facts: &Facts<'_>, rule: &'static str, verdict: Verdict) -> Classified {
    let retry_same_after_ms = verdict.retry_same_after_ms(facts.now);
    Classified {
        class: verdict.class,
        next: verdict.next(retry_same_after_ms.is_some()),
        retry_same_max: if retry_same_after_ms.is_some() { verdict.retry_same_max() } else { 0 },
        retry_same_after_ms,
        scope: verdict.scope,
        until: verdict.until,
        penalize: verdict.class.penalizes(),
        cooldown: verdict.cooldown,
        lower_concurrency: verdict.lower_concurrency,
        learned_window: verdict.learned_window,
        rule,
        status: facts.status,
        code: facts.main_code().map(str::to_owned),
        message: message_for_people(facts),
    }
}
