//! Cursor: connect errors; the vendor's own code is inside `details[].debug.error`.

use super::rule::{Rule, Then, To, Until, When};
use crate::routing::classify::Class;
use crate::routing::instant::HOUR;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "cursor.usage",
        statuses: &[],
        when: &[When::Code(&["ERROR_USAGE_PRICING_REQUIRED*"])],
        then: Then::class(Class::QuotaExhausted).scope(To::All).until(Until::HintOrAfter(HOUR)),
    },
    Rule {
        id: "cursor.rate",
        statuses: &[],
        when: &[When::Is(|facts| {
            facts.codes.iter().any(|c| c.starts_with("ERROR_") && c.contains("RATE_LIMIT"))
        })],
        then: Then::class(Class::RateLimited),
    },
    Rule {
        id: "cursor.login",
        statuses: &[],
        when: &[When::Code(&["unauthenticated", "ERROR_NOT_LOGGED_IN"])],
        then: Then::class(Class::AuthExpired),
    },
    Rule {
        id: "cursor.client",
        statuses: &[],
        when: &[When::Code(&["ERROR_OUTDATED_CLIENT"])],
        then: Then::class(Class::ClientNotPermitted),
    },
];
