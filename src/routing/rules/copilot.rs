//! GitHub Copilot.

use super::generic::{TOO_LONG, plan};
use super::rule::{Rule, Then, To, Until, When};
use crate::clock::UnixMs;
use crate::routing::classify::Class;
use crate::routing::facts::Facts;
use crate::routing::{hints, instant};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "copilot.401.expired",
        statuses: &[401],
        when: &[When::Says(&["token expired", "token has expired"])],
        then: Then::class(Class::AuthExpired),
    },
    Rule {
        id: "copilot.quota",
        statuses: &[402],
        when: &[],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::Family("premium"))
            .until(Until::Read(month)),
    },
    Rule {
        id: "copilot.429.quota",
        statuses: &[429],
        when: &[When::Code(&["quota_exceeded"])],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::Family("premium"))
            .until(Until::Read(month)),
    },
    Rule {
        id: "copilot.429.global",
        statuses: &[429],
        when: &[When::Is(|facts| {
            facts.has_code("user_global_rate_limited*")
                || facts.header("x-ratelimit-exceeded").is_some()
        })],
        then: Then::class(Class::RateLimited).scope(To::All).until(Until::Read(user_wait)),
    },
    Rule {
        id: "copilot.403.policy",
        statuses: &[403],
        when: &[When::Is(|facts| facts.has_code("feature_flag_blocked") || facts.says("policy"))],
        then: plan(),
    },
    Rule {
        id: "copilot.400.endpoint",
        statuses: &[400, 404],
        when: &[When::Is(|facts| {
            facts.has_code("unsupported_api_for_model")
                || facts.says("not accessible via the ~ endpoint")
        })],
        then: Then::class(Class::EndpointMismatch),
    },
    Rule {
        id: "copilot.400.model",
        statuses: &[400],
        when: &[When::Code(&["model_not_supported"])],
        then: Then::class(Class::ModelUnavailable),
    },
    Rule {
        id: "copilot.400.prompt",
        statuses: &[400, 413],
        when: &[When::Is(|facts| {
            facts.has_code("model_max_prompt_tokens_exceeded")
                || TOO_LONG.iter().any(|pattern| facts.says(pattern))
        })],
        then: Then::class(Class::ContextTooLong),
    },
    Rule {
        id: "copilot.466",
        statuses: &[466],
        when: &[],
        then: Then::class(Class::ClientNotPermitted),
    },
];

/// `quota_reset_date`, else the first of the next month. A short `retry-after` beside it is the throttle's.
fn month(facts: &Facts<'_>) -> Option<UnixMs> {
    facts
        .field_text("quota_reset_date")
        .and_then(|date| {
            let date = date.trim();
            // Sent as a bare day: midnight UTC.
            instant::reset(date, facts.now)
                .or_else(|| instant::reset(&format!("{date}T00:00:00Z"), facts.now))
        })
        .or_else(|| instant::next_month_utc(facts.now))
}

fn user_wait(facts: &Facts<'_>) -> Option<UnixMs> {
    facts
        .header("x-ratelimit-user-retry-after")
        .and_then(|value| instant::retry_after(value, facts.now))
        .or_else(|| hints::any(facts))
}
