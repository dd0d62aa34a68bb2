//! Qwen sign-in and DashScope; iFlow.

use super::rule::{Rule, Then, To, Until, When};
use crate::routing::classify::Class;
use crate::routing::instant::Zone;
use crate::routing::verdict::{Cooldown, Dead};

pub(super) const QWEN: &[Rule] = &[
    Rule {
        // The free service is retired (accounts §0.5): a refreshed token that is refused again ends it.
        id: "qwen.401.retired",
        statuses: &[401],
        when: &[When::OAuth, When::Says(&["invalid access token or token expired"])],
        then: Then::class(Class::AuthExpired).cooldown(Cooldown::OnceThenDead(Dead::Retired)),
    },
    Rule {
        id: "qwen.quota",
        statuses: &[403, 429],
        when: &[When::Is(|facts| {
            facts.has_code("insufficient_quota")
                || facts.has_code("quota_exceeded")
                || facts.has_code("AllocationQuota*")
                || facts.says("free allocated quota exceeded")
        })],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::All)
            .until(Until::Midnight(Zone::Shanghai)),
    },
    Rule {
        id: "qwen.arrears",
        statuses: &[],
        when: &[When::Code(&["Arrearage"])],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "qwen.policy",
        statuses: &[],
        when: &[When::Code(&["DataInspectionFailed", "data_inspection_failed"])],
        then: Then::class(Class::ContentPolicy),
    },
    Rule { id: "qwen.429", statuses: &[429], when: &[], then: Then::class(Class::RateLimited) },
];

pub(super) const IFLOW: &[Rule] = &[
    Rule {
        id: "iflow.449",
        statuses: &[],
        when: &[When::Code(&["449"])],
        then: Then::class(Class::RateLimited),
    },
    Rule {
        // The API key is fetched anew with the sign-in, so both are mended by a refresh.
        id: "iflow.token",
        statuses: &[],
        when: &[When::Code(&["434", "439"]), When::OAuth],
        then: Then::class(Class::AuthExpired),
    },
    Rule {
        id: "iflow.key",
        statuses: &[],
        when: &[When::Code(&["434", "439"]), When::Key],
        then: Then::class(Class::AuthDead),
    },
    Rule {
        id: "iflow.model",
        statuses: &[],
        when: &[When::Code(&["514", "435"])],
        then: Then::class(Class::ModelUnavailable),
    },
];
