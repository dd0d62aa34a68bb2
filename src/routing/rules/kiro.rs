//! Kiro: AWS JSON errors, and exception frames inside a 200 event stream.

use super::rule::{Rule, Then, To, Until, When};
use crate::clock::UnixMs;
use crate::routing::classify::Class;
use crate::routing::facts::Facts;
use crate::routing::instant::{self, MINUTE};
use crate::routing::verdict::{Cooldown, Retry};

/// "Suspicious activity": never hammer.
const SUSPICION_STEPS: &[i64] = &[15 * MINUTE, 30 * MINUTE];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "kiro.banned",
        statuses: &[200, 403, 423],
        when: &[When::Is(|facts| {
            facts.has_code("TEMPORARILY_SUSPENDED") || facts.says("locked your account")
        })],
        then: Then::class(Class::AccountBanned),
    },
    Rule {
        id: "kiro.month",
        statuses: &[],
        when: &[When::Code(&["MONTHLY_REQUEST_COUNT", "OVERAGE_REQUEST_LIMIT_EXCEEDED"])],
        then: Then::class(Class::QuotaExhausted).scope(To::All).until(Until::Read(month)),
    },
    Rule {
        id: "kiro.capacity",
        statuses: &[],
        when: &[When::Code(&["INSUFFICIENT_MODEL_CAPACITY"])],
        then: Then::class(Class::Overloaded),
    },
    Rule {
        id: "kiro.suspicious",
        statuses: &[],
        when: &[When::Says(&["suspicious activity"])],
        then: Then::class(Class::RateLimited)
            .scope(To::All)
            .cooldown(Cooldown::Steps(SUSPICION_STEPS))
            .until(Until::Unknown)
            .retry(Retry::No),
    },
    Rule {
        // providers §1.5: no retry on the same account after a Kiro 429.
        id: "kiro.throttle",
        statuses: &[],
        when: &[When::Is(|facts| {
            facts.status == Some(429) || facts.has_code("ThrottlingException")
        })],
        then: Then::class(Class::RateLimited).retry(Retry::No),
    },
    Rule {
        id: "kiro.token",
        statuses: &[200, 401, 403],
        when: &[When::Is(|facts| {
            facts.has_code("ExpiredTokenException") || facts.says("bearer token~invalid")
        })],
        then: Then::class(Class::AuthExpired),
    },
    Rule {
        id: "kiro.prompt",
        statuses: &[200, 400, 413],
        when: &[When::Is(|facts| {
            facts.has_code("CONTENT_LENGTH_EXCEEDS_THRESHOLD") || facts.says("input is too long")
        })],
        then: Then::class(Class::ContextTooLong),
    },
    Rule {
        id: "kiro.model",
        statuses: &[200, 400, 404],
        when: &[When::Code(&["INVALID_MODEL_ID"])],
        then: Then::class(Class::ModelUnavailable),
    },
    Rule {
        id: "kiro.request",
        statuses: &[200, 400],
        when: &[When::Says(&["improperly formed request"])],
        then: Then::class(Class::BadRequest),
    },
    Rule {
        id: "kiro.402",
        statuses: &[402],
        when: &[],
        then: Then::class(Class::QuotaExhausted).scope(To::All).until(Until::Read(month)),
    },
];

/// `nextDateReset` (epoch seconds), else the first of the next month.
fn month(facts: &Facts<'_>) -> Option<UnixMs> {
    facts
        .field_text("nextDateReset")
        .and_then(|value| instant::reset(&value, facts.now))
        .or_else(|| instant::next_month_utc(facts.now))
}
