//! Vendors that speak OpenAI's dialect and differ in a few answers.

use super::generic::plan;
use super::rule::{Rule, Then, To, Until, When};
use crate::routing::classify::Class;
use crate::routing::instant::HOUR;

pub(super) const KIMI: &[Rule] = &[
    Rule {
        id: "kimi.quota",
        statuses: &[403, 429],
        when: &[
            When::Code(&["exceeded_current_quota_error"]),
            When::Says(&["usage limit", "quota will", "resets"]),
        ],
        then: Then::class(Class::QuotaExhausted).scope(To::All),
    },
    Rule {
        id: "kimi.payment",
        statuses: &[],
        when: &[When::Code(&["exceeded_current_quota_error"])],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "kimi.overloaded",
        statuses: &[],
        when: &[When::Code(&["engine_overloaded_error"])],
        then: Then::class(Class::Overloaded),
    },
    Rule {
        id: "kimi.rate",
        statuses: &[],
        when: &[When::Code(&["rate_limit_reached_error"])],
        then: Then::class(Class::RateLimited),
    },
    Rule {
        id: "kimi.401",
        statuses: &[401],
        when: &[When::Code(&["invalid_authentication_error"]), When::Key],
        then: Then::class(Class::AuthDead),
    },
    Rule {
        id: "kimi.403.ended",
        statuses: &[403],
        when: &[
            When::Code(&["access_terminated_error"]),
            When::Says(&["expired", "subscription", "renew", "membership", "payment"]),
        ],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "kimi.403.client",
        statuses: &[403],
        when: &[When::Code(&["access_terminated_error"])],
        then: Then::class(Class::ClientNotPermitted),
    },
];

pub(super) const OPENAI: &[Rule] = &[
    Rule {
        id: "openai.quota",
        statuses: &[],
        when: &[When::Code(&["insufficient_quota"])],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "openai.rate",
        statuses: &[429],
        when: &[When::Code(&["rate_limit_exceeded"])],
        then: Then::class(Class::RateLimited),
    },
    Rule {
        id: "openai.401",
        statuses: &[401],
        when: &[When::Code(&["invalid_api_key"])],
        then: Then::class(Class::AuthDead),
    },
    Rule {
        id: "openai.403.country",
        statuses: &[403],
        when: &[When::Code(&["unsupported_country_region_territory"])],
        then: Then::class(Class::ClientNotPermitted),
    },
    Rule {
        id: "openai.verified",
        statuses: &[400, 403, 404],
        when: &[When::Says(&["organization must be verified"])],
        then: plan(),
    },
];

pub(super) const DEEPSEEK: &[Rule] = &[
    Rule {
        id: "deepseek.402",
        statuses: &[402],
        when: &[],
        then: Then::class(Class::PaymentRequired),
    },
    Rule { id: "deepseek.401", statuses: &[401], when: &[], then: Then::class(Class::AuthDead) },
    Rule { id: "deepseek.503", statuses: &[503], when: &[], then: Then::class(Class::Overloaded) },
];

pub(super) const OPENROUTER: &[Rule] = &[
    Rule {
        id: "openrouter.402",
        statuses: &[402],
        when: &[],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "openrouter.403.moderation",
        statuses: &[403],
        when: &[When::Is(|facts| {
            facts.says("moderation")
                || facts.says("flagged")
                || facts.field("metadata").is_some_and(|m| m.get("reasons").is_some())
        })],
        then: Then::class(Class::ContentPolicy),
    },
    Rule {
        id: "openrouter.upstream",
        statuses: &[502, 503],
        when: &[],
        then: Then::class(Class::Overloaded),
    },
];

pub(super) const XAI: &[Rule] = &[
    Rule {
        id: "xai.token",
        statuses: &[401, 403],
        when: &[
            When::OAuth,
            When::Is(|facts| {
                facts.codes.iter().any(|code| code.contains("bad-credentials"))
                    || facts.says("access token could not be validated")
            }),
        ],
        then: Then::class(Class::AuthExpired),
    },
    Rule {
        id: "xai.key",
        statuses: &[400, 401, 403],
        when: &[When::Is(|facts| {
            facts.codes.iter().any(|code| code.contains("bad-credentials"))
                || facts.says("access token could not be validated")
                || facts.says("incorrect api key")
        })],
        then: Then::class(Class::AuthDead),
    },
    Rule {
        id: "xai.free_usage",
        statuses: &[429],
        when: &[When::Is(|facts| {
            facts.codes.iter().any(|code| code.contains("free-usage-exhausted"))
        })],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::All)
            .until(Until::HintOrAfter(24 * HOUR)),
    },
];

pub(super) const GROQ: &[Rule] = &[
    Rule {
        // One request above the minute's allowance: it never fits here, whatever the window.
        id: "groq.413.minute",
        statuses: &[413],
        when: &[When::Says(&["tokens per minute"])],
        then: Then::class(Class::Entitlement),
    },
    Rule { id: "groq.498", statuses: &[498], when: &[], then: Then::class(Class::Overloaded) },
];

pub(super) const AZURE: &[Rule] = &[
    Rule {
        id: "azure.deployment",
        statuses: &[404],
        when: &[When::Code(&["DeploymentNotFound"])],
        then: Then::class(Class::ModelUnavailable),
    },
    Rule {
        id: "azure.filter",
        statuses: &[400],
        when: &[When::Code(&["content_filter", "ResponsibleAIPolicyViolation"])],
        then: Then::class(Class::ContentPolicy),
    },
    Rule { id: "azure.429", statuses: &[429], when: &[], then: Then::class(Class::RateLimited) },
];
