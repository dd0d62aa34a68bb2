//! The answer when nobody could serve (accounts §6.9): one status, one code, one list of reasons.

use ninerouter_dialect::ErrorKind;

use crate::clock::UnixMs;
use crate::routing::classify::{Class, TransportFailure};
use crate::routing::instant::{DAY, HOUR, MINUTE, SECOND};

/// One failed attempt, or one entry or account that was passed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailureRecord {
    /// `prefix/model`.
    pub target: String,
    /// What happened.
    pub cause: Cause,
    /// When it may serve again, Unix ms, when that is known.
    pub until: Option<UnixMs>,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A call was made and failed.
    Attempt {
        /// What the failure means.
        class: Class,
        /// Status of the upstream's answer.
        status: Option<u16>,
        /// Failure below HTTP.
        transport: Option<TransportFailure>,
        /// The upstream's own message, redacted.
        message: String,
    },
    /// An account is locked.
    Locked {
        /// Class of the failure that set the lock.
        class: Class,
        /// This request's own failure set it: not a state somebody can wait for (accounts §6.9.2).
        by_this_request: bool,
    },
    /// The provider's breaker for the model, or its host's, is open.
    BreakerOpen,
    /// Every place of the account or provider is taken.
    Busy,
    /// A spending limit is reached.
    Budget,
    /// The account's credential is finished; only the operator can mend it.
    Dead,
    /// The account's token ran out and there is none to be had yet.
    ExpiredToken,
    /// The account's actor did not answer: it died, or has too much to do. Its successor is on its way (REL-ACT-2).
    Silent,
    /// The provider has no account.
    NoAccount,
    /// The prompt is known to be larger than the model's window.
    ContextTooSmall,
    /// Switched off, not allowed, not configured: no candidate at all. The text says which, for people.
    NoCandidate(&'static str),
}

/// What the client is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinalAnswer {
    /// Kind of the error, spelled by the client's dialect.
    pub kind: ErrorKind,
    /// Status.
    pub status: u16,
    /// `code` of the error body; `None` = the kind's own.
    pub code: Option<&'static str>,
    /// `retry-after`, seconds.
    pub retry_after_s: Option<u64>,
    /// Text for people: reasons, no account names.
    pub message: String,
    /// `x-should-retry`.
    pub should_retry: bool,
    /// The record whose upstream answer is handed on as it came, when the client speaks its dialect.
    pub passthrough: Option<usize>,
}

/// Picks the answer. `events` in the order they happened.
#[must_use]
pub fn when_all_failed(events: &[FailureRecord], now: UnixMs) -> FinalAnswer {
    let mut answer = clients_fault(events)
        .or_else(|| nobody_may(events))
        .or_else(|| router_is_full(events))
        .or_else(|| wait_for_recovery(events, now))
        .or_else(|| our_credentials(events))
        .unwrap_or_else(|| last_failure(events));
    if answer.message.is_empty() {
        answer.message = reasons(events, now);
    }
    // Clients repeat what is worth repeating; when every member was asked, the router has done so already.
    let worth_it = matches!(answer.status, 408 | 409 | 429 | 500..);
    answer.should_retry = worth_it && !has_several_targets(events);
    answer
}

fn answer(kind: ErrorKind, status: u16, code: Option<&'static str>) -> FinalAnswer {
    FinalAnswer {
        kind,
        status,
        code,
        retry_after_s: None,
        message: String::new(),
        should_retry: false,
        passthrough: None,
    }
}

fn attempts(events: &[FailureRecord]) -> impl DoubleEndedIterator<Item = (usize, Class, &Cause)> {
    events.iter().enumerate().filter_map(|(at, event)| match &event.cause {
        Cause::Attempt { class, .. } => Some((at, *class, &event.cause)),
        Cause::Locked { .. }
        | Cause::BreakerOpen
        | Cause::Busy
        | Cause::Budget
        | Cause::Dead
        | Cause::ExpiredToken
        | Cause::Silent
        | Cause::NoAccount
        | Cause::ContextTooSmall
        | Cause::NoCandidate(_) => None,
    })
}

fn parts(cause: &Cause) -> (Option<u16>, Option<TransportFailure>, &str) {
    match cause {
        Cause::Attempt { status, transport, message, .. } => (*status, *transport, message),
        Cause::Locked { .. }
        | Cause::BreakerOpen
        | Cause::Busy
        | Cause::Budget
        | Cause::Dead
        | Cause::ExpiredToken
        | Cause::Silent
        | Cause::NoAccount
        | Cause::ContextTooSmall
        | Cause::NoCandidate(_) => (None, None, ""),
    }
}

/// Case 1: the request itself is wrong. Never hidden behind a 503.
fn clients_fault(events: &[FailureRecord]) -> Option<FinalAnswer> {
    let kind_of = |class| match class {
        Class::BadRequest => Some(ErrorKind::InvalidRequest),
        Class::ContextTooLong => Some(ErrorKind::ContextLength),
        Class::ContentPolicy => Some(ErrorKind::InvalidRequest),
        Class::AuthExpired
        | Class::AuthDead
        | Class::QuotaExhausted
        | Class::RateLimited
        | Class::Overloaded
        | Class::Transient
        | Class::ModelUnavailable
        | Class::ClientNotPermitted
        | Class::PaymentRequired
        | Class::AccountBanned
        | Class::Entitlement
        | Class::EndpointMismatch
        | Class::ClientCancelled
        | Class::Unknown => None,
    };
    // The last one speaks: a later entry with a larger window knows better than the first.
    let (at, class, kind, cause) = attempts(events)
        .rev()
        .find_map(|(at, class, cause)| Some((at, class, kind_of(class)?, cause)))?;
    let (status, _, message) = parts(cause);
    let usual = if class == Class::ContentPolicy { 400 } else { kind_status(kind) };
    // 401 would be read as the fault of the client's own key.
    let fits = |s: &u16| (400..500).contains(s) && *s != 401;
    let status = status.filter(fits).unwrap_or(usual);
    let code = (class == Class::ContentPolicy).then_some("content_policy_violation");
    let mut found = answer(kind_of_status(kind, status), status, code);
    found.message = message.to_owned();
    found.passthrough = Some(at);
    Some(found)
}

/// 404 and 413 of a wrong request keep their own kind.
fn kind_of_status(kind: ErrorKind, status: u16) -> ErrorKind {
    match (kind, status) {
        (ErrorKind::InvalidRequest, 404) => ErrorKind::NotFound,
        (ErrorKind::InvalidRequest, 409) => ErrorKind::Conflict,
        (ErrorKind::InvalidRequest, 422) => ErrorKind::Unprocessable,
        (kind, _) => kind,
    }
}

fn kind_status(kind: ErrorKind) -> u16 {
    kind.http_status()
}

/// Case 1b: the vendor refuses this client, this feature, this model; another account changes nothing.
fn nobody_may(events: &[FailureRecord]) -> Option<FinalAnswer> {
    let class_of = |event: &FailureRecord| match &event.cause {
        Cause::Attempt { class, .. } | Cause::Locked { class, .. } => Some(*class),
        Cause::BreakerOpen
        | Cause::Busy
        | Cause::Budget
        | Cause::Dead
        | Cause::ExpiredToken
        | Cause::Silent
        | Cause::NoAccount
        | Cause::ContextTooSmall
        | Cause::NoCandidate(_) => None,
    };
    let counted: Vec<Option<Class>> =
        events.iter().filter(|e| !is_no_candidate(e)).map(class_of).collect();
    let all = |wanted: &[Class]| {
        !counted.is_empty() && counted.iter().all(|c| c.is_some_and(|c| wanted.contains(&c)))
    };
    let mut found = if all(&[Class::ModelUnavailable]) {
        answer(ErrorKind::NotFound, 404, Some("model_not_found"))
    } else if all(&[Class::ClientNotPermitted, Class::Entitlement, Class::ModelUnavailable]) {
        answer(ErrorKind::Permission, 403, None)
    } else {
        return None;
    };
    // The vendor's own words, of the refusal that decided the status.
    let speaks = |class| found.status == 404 || class != Class::ModelUnavailable;
    let last = attempts(events).rev().find(|(_, class, _)| speaks(*class));
    if let Some((at, _, cause)) = last {
        let (status, _, message) = parts(cause);
        found.message = message.to_owned();
        found.passthrough = (status == Some(found.status)).then_some(at);
    }
    Some(found)
}

/// Everybody is busy, or over a budget: the router's own limits.
fn router_is_full(events: &[FailureRecord]) -> Option<FinalAnswer> {
    let mut counted = events.iter().filter(|e| !is_no_candidate(e)).peekable();
    counted.peek()?;
    if counted.all(|event| event.cause == Cause::Busy) {
        let mut found = answer(ErrorKind::RateLimit, 429, Some("router_busy"));
        found.retry_after_s = Some(1);
        return Some(found);
    }
    None
}

/// Case 2: something recovers at a known instant.
fn wait_for_recovery(events: &[FailureRecord], now: UnixMs) -> Option<FinalAnswer> {
    const LONGEST_S: i64 = 86_400;
    let earliest = events.iter().filter_map(|event| recovery(event, now)).min()?;
    let wait_ms = earliest.saturating_sub(now).max(0);
    // Rounded up, and never 0: clients would hot-loop.
    let seconds = wait_ms.saturating_add(SECOND - 1).checked_div(SECOND).unwrap_or(1);
    let mut counted = events.iter().filter(|event| !is_inert(event)).peekable();
    let any_counted = counted.peek().is_some();
    let mut found = if any_counted && counted.clone().all(|e| e.cause == Cause::Budget) {
        answer(ErrorKind::Quota, 429, Some("budget_exceeded"))
    } else if any_counted && counted.all(is_allowance) {
        answer(ErrorKind::RateLimit, 429, Some("all_targets_unavailable"))
    } else {
        answer(ErrorKind::Overloaded, 503, Some("all_targets_unavailable"))
    };
    found.retry_after_s = u64::try_from(seconds.clamp(1, LONGEST_S)).ok();
    Some(found)
}

/// When waiting for this event could help.
fn recovery(event: &FailureRecord, now: UnixMs) -> Option<UnixMs> {
    /// Ladder A's first step, and the first probe of a window without a known reset.
    const THROTTLE_MS: i64 = 2 * SECOND;
    const QUOTA_MS: i64 = 15 * MINUTE;
    let known = event.until.filter(|until| *until > now);
    match &event.cause {
        Cause::Attempt { class, .. } => match class {
            Class::RateLimited => known.or_else(|| now.checked_add(THROTTLE_MS)),
            Class::QuotaExhausted => known.or_else(|| now.checked_add(QUOTA_MS)),
            Class::Overloaded | Class::Transient => known,
            // Their locks say when we look again, not when it works again.
            Class::AuthExpired
            | Class::AuthDead
            | Class::ModelUnavailable
            | Class::BadRequest
            | Class::ContextTooLong
            | Class::ContentPolicy
            | Class::ClientNotPermitted
            | Class::PaymentRequired
            | Class::AccountBanned
            | Class::Entitlement
            | Class::EndpointMismatch
            | Class::ClientCancelled
            | Class::Unknown => None,
        },
        Cause::Locked { by_this_request: true, class } => match class {
            Class::RateLimited | Class::QuotaExhausted | Class::Overloaded => known,
            Class::AuthExpired
            | Class::AuthDead
            | Class::Transient
            | Class::ModelUnavailable
            | Class::BadRequest
            | Class::ContextTooLong
            | Class::ContentPolicy
            | Class::ClientNotPermitted
            | Class::PaymentRequired
            | Class::AccountBanned
            | Class::Entitlement
            | Class::EndpointMismatch
            | Class::ClientCancelled
            | Class::Unknown => None,
        },
        // Only the operator ends these, whatever their probe says.
        Cause::Locked { class: Class::PaymentRequired | Class::AccountBanned, .. } => None,
        Cause::Locked { .. } | Cause::BreakerOpen | Cause::Budget | Cause::ExpiredToken => known,
        Cause::Busy | Cause::Silent => known.or_else(|| now.checked_add(SECOND)),
        Cause::Dead | Cause::NoAccount | Cause::ContextTooSmall | Cause::NoCandidate(_) => None,
    }
}

/// Quota, rate, budget: the client's answer is 429.
fn is_allowance(event: &FailureRecord) -> bool {
    match &event.cause {
        Cause::Attempt { class, .. } | Cause::Locked { class, .. } => {
            matches!(class, Class::QuotaExhausted | Class::RateLimited)
        }
        Cause::Budget | Cause::Busy => true,
        Cause::BreakerOpen
        | Cause::Dead
        | Cause::ExpiredToken
        | Cause::Silent
        | Cause::NoAccount
        | Cause::ContextTooSmall
        | Cause::NoCandidate(_) => false,
    }
}

/// Things that were no candidates: they decide nothing while others do.
fn is_inert(event: &FailureRecord) -> bool {
    match &event.cause {
        Cause::Dead | Cause::NoAccount | Cause::ContextTooSmall | Cause::NoCandidate(_) => true,
        Cause::Locked { class, .. } => {
            matches!(class, Class::PaymentRequired | Class::AccountBanned)
        }
        Cause::Attempt { .. }
        | Cause::BreakerOpen
        | Cause::Busy
        | Cause::Budget
        | Cause::ExpiredToken
        | Cause::Silent => false,
    }
}

fn is_no_candidate(event: &FailureRecord) -> bool {
    matches!(event.cause, Cause::NoCandidate(_))
}

/// Case 3: it is about our credentials. Never 401: clients would drop *their* key.
fn our_credentials(events: &[FailureRecord]) -> Option<FinalAnswer> {
    let is_refusal = |class| matches!(class, Class::AuthExpired | Class::AuthDead);
    if attempts(events).any(|(_, class, _)| is_refusal(class)) {
        return Some(answer(ErrorKind::BadGateway, 502, Some("upstream_auth_failed")));
    }
    let counted = || events.iter().filter(|event| !is_no_candidate(event));
    if counted().next().is_some() && counted().all(|event| event.cause == Cause::NoAccount) {
        return Some(answer(ErrorKind::NotFound, 404, Some("no_credentials")));
    }
    let needs_operator = |class| matches!(class, Class::PaymentRequired | Class::AccountBanned);
    let hopeless = events.iter().all(|event| match &event.cause {
        Cause::Attempt { class, .. } => needs_operator(*class),
        Cause::Locked { .. }
        | Cause::BreakerOpen
        | Cause::Busy
        | Cause::Budget
        | Cause::Dead
        | Cause::ExpiredToken
        | Cause::Silent
        | Cause::NoAccount
        | Cause::ContextTooSmall
        | Cause::NoCandidate(_) => true,
    });
    hopeless.then(|| answer(ErrorKind::Unavailable, 503, Some("no_usable_account")))
}

/// Case 4: the last upstream's trouble.
fn last_failure(events: &[FailureRecord]) -> FinalAnswer {
    let Some((at, _, cause)) = attempts(events).next_back() else {
        return answer(ErrorKind::Unavailable, 503, Some("no_usable_account"));
    };
    let (status, transport, _) = parts(cause);
    if let Some(transport) = transport {
        return transport_answer(transport);
    }
    // The router failed over: no single upstream's words stand for all of them.
    let passthrough = (!has_several_targets(events)).then_some(at);
    match status.filter(|status| (500..600).contains(status)) {
        Some(status) => {
            let kind = match status {
                500 => ErrorKind::Server,
                503 => ErrorKind::Unavailable,
                504 => ErrorKind::GatewayTimeout,
                529 => ErrorKind::Overloaded,
                _ => ErrorKind::BadGateway,
            };
            FinalAnswer { passthrough, ..answer(kind, status, Some("upstream_error")) }
        }
        None => answer(ErrorKind::BadGateway, 502, Some("upstream_error")),
    }
}

fn transport_answer(transport: TransportFailure) -> FinalAnswer {
    match transport {
        TransportFailure::SendStall
        | TransportFailure::HeadTimeout
        | TransportFailure::ContentTimeout => {
            answer(ErrorKind::GatewayTimeout, 504, Some("upstream_timeout"))
        }
        TransportFailure::ConnectTimeout
        | TransportFailure::Dns
        | TransportFailure::Connect
        | TransportFailure::Tls
        | TransportFailure::Proxy => {
            answer(ErrorKind::BadGateway, 502, Some("upstream_unreachable"))
        }
        TransportFailure::Blocked => answer(ErrorKind::BadGateway, 502, Some("outbound_blocked")),
        TransportFailure::Truncated => {
            answer(ErrorKind::BadGateway, 502, Some("upstream_truncated"))
        }
        TransportFailure::BadBody => answer(ErrorKind::BadGateway, 502, Some("upstream_bad_body")),
        TransportFailure::Empty => answer(ErrorKind::BadGateway, 502, Some("upstream_empty")),
        TransportFailure::ClientGone | TransportFailure::Reset | TransportFailure::Protocol => {
            answer(ErrorKind::BadGateway, 502, Some("upstream_error"))
        }
    }
}

fn has_several_targets(events: &[FailureRecord]) -> bool {
    let mut targets = events.iter().map(|event| event.target.as_str());
    let first = targets.next();
    targets.any(|target| Some(target) != first)
}

/// `1. cc/claude-opus-4-6 — quota exhausted, resets in 2h 5m; 2. …`, at most eight.
#[must_use]
pub fn reasons(events: &[FailureRecord], now: UnixMs) -> String {
    const MOST: usize = 8;
    let mut lines: Vec<String> = Vec::new();
    for event in events {
        let line = format!("{} — {}", event.target, reason(event, now));
        // Ten accounts with one trouble are one reason.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    match lines.as_slice() {
        [] => "nothing could serve this request: no account is configured for it".to_owned(),
        [only] => only.clone(),
        many => {
            let shown = many.iter().take(MOST).zip(1..);
            let text: Vec<String> = shown.map(|(line, n)| format!("{n}. {line}")).collect();
            let rest = many.len().saturating_sub(MOST);
            let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
            format!("{}{more}", text.join("; "))
        }
    }
}

fn reason(event: &FailureRecord, now: UnixMs) -> String {
    let mut text = match &event.cause {
        // The router's own words on what came instead of an answer, and on which proxy failed.
        Cause::Attempt {
            transport: Some(TransportFailure::BadBody | TransportFailure::Proxy),
            message,
            ..
        } if !message.is_empty() => message.clone(),
        Cause::Attempt { class, status, transport, .. } => {
            attempt_reason(*class, *status, *transport)
        }
        Cause::Locked { class, .. } => class_reason(*class).to_owned(),
        Cause::BreakerOpen => "failing for everybody".to_owned(),
        Cause::Busy => "every place is taken".to_owned(),
        Cause::Budget => "spending limit reached".to_owned(),
        Cause::Dead => "account needs a new credential".to_owned(),
        Cause::ExpiredToken => "token expired".to_owned(),
        Cause::Silent => "account does not answer".to_owned(),
        Cause::NoAccount => "no account".to_owned(),
        Cause::ContextTooSmall => "context window too small".to_owned(),
        Cause::NoCandidate(why) => (*why).to_owned(),
    };
    if let Some(wait) = recovery(event, now).and(event.until).and_then(|at| at.checked_sub(now)) {
        let resets = matches!(
            &event.cause,
            Cause::Attempt { class: Class::QuotaExhausted, .. }
                | Cause::Locked { class: Class::QuotaExhausted, .. }
                | Cause::Budget
        );
        let word = if resets { "resets in" } else { "again in" };
        text.push_str(&format!(", {word} {}", human_duration(wait)));
    }
    text
}

fn attempt_reason(
    class: Class,
    status: Option<u16>,
    transport: Option<TransportFailure>,
) -> String {
    match (transport, status) {
        (Some(transport), _) => transport.describe().to_owned(),
        (None, Some(status)) => format!("{status} {}", class_reason(class)),
        (None, None) => class_reason(class).to_owned(),
    }
}

/// A class in a few words for people.
fn class_reason(class: Class) -> &'static str {
    match class {
        Class::AuthExpired | Class::AuthDead => "credential refused",
        Class::QuotaExhausted => "quota exhausted",
        Class::RateLimited => "rate limited",
        Class::Overloaded => "overloaded",
        Class::Transient => "upstream error",
        Class::ModelUnavailable => "model not available",
        Class::BadRequest => "request refused",
        Class::ContextTooLong => "prompt too long",
        Class::ContentPolicy => "refused by the content policy",
        Class::ClientNotPermitted => "client not permitted",
        Class::PaymentRequired => "balance",
        Class::AccountBanned => "account suspended",
        Class::Entitlement => "not in the plan",
        Class::EndpointMismatch => "model is served elsewhere",
        Class::ClientCancelled => "client went away",
        Class::Unknown => "refused",
    }
}

/// A wait in at most two units, rounded up to the second: `2h 5m`, `45s`, `3d 4h`.
#[must_use]
pub fn human_duration(ms: i64) -> String {
    let seconds = ms.max(0).saturating_add(SECOND - 1).checked_div(SECOND).unwrap_or(0).max(1);
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    let mut rest = seconds;
    let mut shown = Vec::new();
    for (length, name) in units {
        let length = length.checked_div(SECOND).unwrap_or(1);
        let count = rest.checked_div(length).unwrap_or(0);
        rest = rest.checked_rem(length).unwrap_or(0);
        if count > 0 {
            shown.push(format!("{count}{name}"));
        }
        // The second unit beside the first, or none: `2h 5m`, not `2h 3s`.
        if shown.len() == 2 || (!shown.is_empty() && count == 0) {
            break;
        }
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests;
