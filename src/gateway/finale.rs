//! The answer when nobody could serve (accounts §6.9), in words a person can act on.

use ninerouter_dialect::ErrorKind;

use crate::actors::checkout::{Journey, Skip, SkipReason};
use crate::gateway::deadline::Deadline;
use crate::gateway::exchange::Exchange;
use crate::gateway::failure::{RawAnswer, Trouble};
use crate::gateway::reply::Refusal;
use crate::gateway::retry::Stumble;
use crate::redact::redact_text;
use crate::routing::choose::Ineligible;
use crate::routing::classify::{Class, Next};
use crate::routing::outcome::{Cause, FailureRecord, FinalAnswer, reasons, when_all_failed};
use crate::routing::resolve::ResolveError;

/// A model id that means nothing.
#[must_use]
pub(super) fn unresolved(error: &ResolveError) -> Refusal {
    let kind = match error {
        ResolveError::NotFound { .. } | ResolveError::EmptyCombo { .. } => ErrorKind::NotFound,
        ResolveError::AliasCycle { .. } => ErrorKind::InvalidRequest,
    };
    Refusal::new(kind, error.to_string()).code(error.code()).param("model")
}

/// The answer after the last attempt.
#[must_use]
pub(super) fn answer(
    exchange: &Exchange,
    journey: Option<&Journey>,
    stumbles: &[Stumble],
) -> Refusal {
    if let Some(refusal) = untranslatable(journey, stumbles) {
        return refusal;
    }
    if let Some(refusal) = journey.and_then(|j| only_private(exchange, j, stumbles)) {
        return refusal;
    }
    let records = records(exchange, journey, stumbles);
    let blocked = stumbles.iter().all(|s| s.failure.trouble == Trouble::Blocked);
    let found = when_all_failed(&records, exchange.shared.clock.now_ms());
    let mut refusal = render(exchange, &found, stumbles);
    if let (true, Some(last)) = (blocked, stumbles.last()) {
        // The operator reads which policy would allow the destination (security §9.1).
        refusal = Refusal::new(ErrorKind::BadGateway, last.failure.classified.message.clone())
            .code("outbound_blocked");
        refusal.should_retry = Some(false);
    }
    refusal.class = stumbles.last().map(|s| s.failure.classified.class);
    refusal
}

/// The answer when the request's own limit of time passed (security §17).
#[must_use]
pub(super) fn overdue(
    exchange: &Exchange,
    deadline: Deadline,
    journey: Option<&Journey>,
    stumbles: &[Stumble],
) -> Refusal {
    let records = records(exchange, journey, stumbles);
    let limit = deadline.limit.as_millis();
    let mut message = format!("no answer within the request's limit of {limit} ms");
    if !records.is_empty() {
        message += ": ";
        message += &reasons(&records, exchange.shared.clock.now_ms());
    }
    let mut refusal = Refusal::new(ErrorKind::GatewayTimeout, redact_text(&message).into_owned())
        .code("upstream_timeout");
    refusal.class = stumbles.last().map(|s| s.failure.classified.class);
    refusal
}

/// Everything that was tried or passed over, as the rules of accounts §6.9 read it.
fn records(
    exchange: &Exchange,
    journey: Option<&Journey>,
    stumbles: &[Stumble],
) -> Vec<FailureRecord> {
    let skips = journey.map_or(&[][..], |journey| journey.skips.as_slice());
    let skips = skips.iter().map(|skip| skipped(exchange, journey, skip));
    stumbles.iter().map(attempted).chain(skips).collect()
}

fn render(exchange: &Exchange, found: &FinalAnswer, stumbles: &[Stumble]) -> Refusal {
    let mut refusal = Refusal::new(found.kind, redact_text(&found.message).into_owned());
    if found.kind.http_status() != found.status {
        refusal.error.status = Some(found.status);
    }
    refusal.error.code = found.code.map(Into::into);
    refusal.retry_after_s = found.retry_after_s;
    refusal.should_retry = Some(found.should_retry);
    refusal.raw = found
        .passthrough
        .and_then(|at| stumbles.get(at))
        .and_then(|stumble| stumble.failure.raw.clone())
        // Another status was chosen so that the client does not take a refusal of our credential for one
        // of its own key; the upstream's words under its own status would undo that.
        .filter(|raw| raw.status == found.status)
        .filter(|raw| is_presentable(raw) && !exchange.ask.is_mapped());
    refusal
}

/// An upstream's own error keeps its bytes, unless the redactor finds a secret in it (SEC-LOG-4).
fn is_presentable(raw: &RawAnswer) -> bool {
    std::str::from_utf8(&raw.body).is_ok_and(|text| redact_text(text) == text)
}

fn attempted(stumble: &Stumble) -> FailureRecord {
    let failure = &stumble.failure;
    let cause = if failure.untranslatable.is_some() {
        Cause::NoCandidate("cannot take this request")
    } else {
        Cause::Attempt {
            class: failure.classified.class,
            status: failure.status,
            transport: failure.transport,
            message: failure.classified.message.clone(),
        }
    };
    FailureRecord { target: stumble.target.clone(), cause, until: failure.classified.until }
}

fn skipped(exchange: &Exchange, journey: Option<&Journey>, skip: &Skip) -> FailureRecord {
    let entry = journey.and_then(|j| j.plan.as_ref()).and_then(|p| p.entries.get(skip.entry));
    let cause = match &skip.reason {
        SkipReason::BreakerOpen => Cause::BreakerOpen,
        SkipReason::NoAccount => Cause::NoAccount,
        SkipReason::Busy => Cause::Busy,
        SkipReason::Budget => Cause::Budget,
        SkipReason::PrivateProtocol { .. } => {
            Cause::NoCandidate("its protocol is not supported yet")
        }
        SkipReason::ContextTooSmall => Cause::ContextTooSmall,
        SkipReason::Forbidden => Cause::NoCandidate("not allowed for this API key"),
        SkipReason::Unavailable => Cause::Silent,
        SkipReason::ProxyFailed => Cause::NoCandidate("its outbound proxy failed"),
        SkipReason::Ineligible(why) => match why {
            Ineligible::Locked { class, set_at, .. } => {
                Cause::Locked { class: *class, by_this_request: *set_at >= exchange.started_at }
            }
            Ineligible::OverBudget { .. } => Cause::Budget,
            Ineligible::Reserved { .. } => {
                Cause::Locked { class: Class::QuotaExhausted, by_this_request: false }
            }
            Ineligible::Dead => Cause::Dead,
            Ineligible::ExpiredToken { .. } => Cause::ExpiredToken,
            Ineligible::Busy | Ineligible::Probing { .. } => Cause::Busy,
            Ineligible::Faulted => Cause::NoCandidate("account does not answer"),
            Ineligible::Disabled => Cause::NoCandidate("switched off"),
            Ineligible::ModelNotAllowed => Cause::NoCandidate("model excluded by the account"),
            Ineligible::MissingParams => {
                Cause::NoCandidate("a parameter of the account is missing")
            }
            Ineligible::Excluded => Cause::NoCandidate("not asked for"),
        },
    };
    FailureRecord {
        target: entry.map_or_else(String::new, |entry| entry.target.key.clone()),
        cause,
        until: skip.until,
    }
}

/// The request cannot be said in the dialect of any candidate, or in none at all (translation §2.8).
fn untranslatable(journey: Option<&Journey>, stumbles: &[Stumble]) -> Option<Refusal> {
    let last = stumbles.last()?;
    let told = |stumble: &Stumble| stumble.failure.untranslatable.as_deref().cloned();
    let for_all = last.failure.classified.next == Next::Return;
    let nobody_else = || {
        let passed_over = journey.is_some_and(|journey| !journey.skips.is_empty());
        !passed_over && stumbles.iter().all(|s| s.failure.untranslatable.is_some())
    };
    let error = told(last).filter(|_| for_all || nobody_else())?;
    let mut refusal = Refusal::new(error.kind, "");
    refusal.error = error;
    refusal.class = Some(last.failure.classified.class);
    Some(refusal)
}

/// Every candidate is reached by a protocol of its own that this router does not speak.
fn only_private(exchange: &Exchange, journey: &Journey, stumbles: &[Stumble]) -> Option<Refusal> {
    let wire = |skip: &Skip| match skip.reason {
        SkipReason::PrivateProtocol { wire } => Some(wire),
        _ => None,
    };
    if !stumbles.is_empty() || journey.skips.is_empty() {
        return None;
    }
    let wires: Option<Vec<_>> = journey.skips.iter().map(wire).collect();
    let wire = *wires?.first()?;
    let message = format!(
        "`{}` is served over the protocol {wire}, which this version of the router does not speak; use a model of \
         another provider",
        exchange.ask.model,
    );
    Some(
        Refusal::new(ErrorKind::InvalidRequest, message)
            .code("protocol_not_supported")
            .param("model"),
    )
}
