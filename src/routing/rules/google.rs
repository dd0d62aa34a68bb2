//! Google: Gemini API, Code Assist, Antigravity, Vertex. The details of `google.rpc.Status` decide.

use serde_json::Value;

use super::generic::TOO_LONG;
use super::rule::{Rule, Then, To, Until, When};
use crate::clock::UnixMs;
use crate::routing::classify::Class;
use crate::routing::facts::Facts;
use crate::routing::hints;
use crate::routing::instant::{self, MINUTE, SECOND, Zone};
use crate::routing::verdict::{CONFIGURATION_STEPS, Cooldown, Dead, Retry};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "google.capacity",
        statuses: &[],
        when: &[When::Is(|facts| {
            facts.has_code("MODEL_CAPACITY_EXHAUSTED")
                || facts.says("no capacity available for model")
        })],
        then: Then::class(Class::Overloaded),
    },
    Rule { id: "google.503", statuses: &[503], when: &[], then: Then::class(Class::Overloaded) },
    Rule {
        // The plan's window is used up and the credits that would pay for more are too: the window's reset ends it.
        id: "google.429.credits",
        statuses: &[429],
        when: &[When::Code(&["INSUFFICIENT_G1_CREDITS_BALANCE"])],
        then: Then::class(Class::PaymentRequired)
            .scope(To::Model)
            .until(Until::Read(quota_reset))
            .cooldown(Cooldown::Quota { wide_jitter: false }),
    },
    Rule {
        id: "google.429.day",
        statuses: &[429],
        when: &[When::Is(|facts| violates(facts, "perday"))],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::Model)
            .until(Until::Midnight(Zone::LosAngeles)),
    },
    Rule {
        id: "google.429.quota",
        statuses: &[429],
        when: &[When::Code(&["QUOTA_EXHAUSTED"])],
        then: Then::class(Class::QuotaExhausted).scope(To::Model).until(Until::Read(quota_reset)),
    },
    Rule {
        id: "google.429.long",
        statuses: &[429],
        when: &[When::Is(|facts| wait_ms(facts).is_some_and(|ms| ms >= 5 * MINUTE))],
        then: Then::class(Class::QuotaExhausted).scope(To::Model).until(Until::Read(any_reset)),
    },
    Rule {
        id: "google.429.short",
        statuses: &[429],
        when: &[
            When::Code(&["RATE_LIMIT_EXCEEDED"]),
            When::Is(|facts| wait_ms(facts).is_some_and(|ms| ms < 3 * SECOND)),
        ],
        then: Then::class(Class::RateLimited).until(Until::Read(any_reset)).retry(Retry::AtHint(2)),
    },
    Rule {
        id: "google.429.minute",
        statuses: &[429],
        when: &[When::Is(|facts| wait_ms(facts).is_some())],
        then: Then::class(Class::RateLimited).until(Until::Read(any_reset)),
    },
    Rule {
        id: "google.429.soft",
        statuses: &[429],
        when: &[When::Is(|facts| facts.details().next().is_none())],
        then: Then::class(Class::RateLimited).retry(Retry::Times(2)),
    },
    Rule {
        id: "google.400.key",
        statuses: &[400, 401, 403],
        when: &[When::Is(|facts| {
            facts.has_code("API_KEY_INVALID")
                || facts.says("api key not valid")
                || facts.says("api key expired")
        })],
        then: Then::class(Class::AuthDead),
    },
    Rule {
        id: "google.400.location",
        statuses: &[400],
        when: &[When::Says(&["user location is not supported"])],
        then: Then::class(Class::ClientNotPermitted).scope(To::All),
    },
    Rule {
        id: "google.400.tokens",
        statuses: &[400],
        when: &[When::Says(TOO_LONG)],
        then: Then::class(Class::ContextTooLong),
    },
    Rule {
        id: "google.400.argument",
        statuses: &[400],
        when: &[When::Code(&["INVALID_ARGUMENT"])],
        then: Then::class(Class::BadRequest),
    },
    Rule {
        id: "google.403.service",
        statuses: &[403],
        when: &[When::Is(|facts| {
            facts.has_code("SERVICE_DISABLED") || facts.says("has not been used in project")
        })],
        then: Then::class(Class::Unknown)
            .scope(To::All)
            .cooldown(Cooldown::Steps(CONFIGURATION_STEPS)),
    },
    Rule {
        id: "google.403.verify",
        statuses: &[403],
        when: &[When::Is(|facts| {
            facts.has_code("VALIDATION_REQUIRED") || facts.says("verify your account")
        })],
        then: Then::class(Class::AuthDead).cooldown(Cooldown::Dead(Dead::Verify)),
    },
    Rule {
        id: "google.403.banned",
        statuses: &[403],
        when: &[When::Says(&["disabled in this account for violation"])],
        then: Then::class(Class::AccountBanned),
    },
    Rule {
        // A blind refresh on every 403 would hide bans (accounts §3.5): only when it speaks of the credential.
        id: "google.403.token",
        statuses: &[403],
        when: &[When::OAuth, When::Says(&["token", "credential"])],
        then: Then::class(Class::AuthExpired),
    },
];

/// True when a violated quota's id contains `period` (lower case).
fn violates(facts: &Facts<'_>, period: &str) -> bool {
    facts
        .details()
        .filter_map(|detail| detail.get("violations").and_then(Value::as_array))
        .flatten()
        .filter_map(|violation| violation.get("quotaId").and_then(Value::as_str))
        .any(|id| id.to_ascii_lowercase().contains(period))
}

/// Milliseconds to wait. Precedence: RetryInfo, quotaResetDelay, message, header.
fn wait_ms(facts: &Facts<'_>) -> Option<i64> {
    let from_headers = || {
        hints::waits(&|name| facts.header(name), facts.now)
            .and_then(|until| until.checked_sub(facts.now))
    };
    hints::retry_info_ms(facts)
        .or_else(|| metadata(facts, "quotaResetDelay").and_then(instant::duration))
        .or_else(|| hints::text(facts).and_then(|until| until.checked_sub(facts.now)))
        .or_else(from_headers)
        .filter(|ms| *ms > 0)
}

fn any_reset(facts: &Facts<'_>) -> Option<UnixMs> {
    facts.now.checked_add(wait_ms(facts)?)
}

/// The end of a used-up plan window; a short RetryInfo beside it is only the throttle's.
fn quota_reset(facts: &Facts<'_>) -> Option<UnixMs> {
    metadata(facts, "quotaResetDelay")
        .and_then(|delay| instant::after(instant::duration(delay)?, facts.now))
        .or_else(|| instant::reset(metadata(facts, "quotaResetTimeStamp")?, facts.now))
        .or_else(|| hints::text(facts))
        .or_else(|| any_reset(facts))
}

fn metadata<'a>(facts: &Facts<'a>, name: &str) -> Option<&'a str> {
    facts.details().find_map(|detail| detail.get("metadata")?.get(name)?.as_str())
}
