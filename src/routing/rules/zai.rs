//! Vendors with numeric codes: Z.ai (`error.code`) and MiniMax (`base_resp.status_code`), often inside HTTP 200.

use super::generic::{TOO_LONG, plan};
use super::rule::{Rule, Then, To, Until, When};
use crate::clock::UnixMs;
use crate::routing::classify::Class;
use crate::routing::facts::Facts;
use crate::routing::instant::{self, HOUR, Zone};
use crate::routing::verdict::Cooldown;

/// Fair-use violation: a day off, not a ban.
const FAIR_USE_STEPS: &[i64] = &[24 * HOUR];

/// A request's own fault, never read from a 402 or 429.
const REQUEST: &[u16] = &[200, 400, 404, 413, 422, 500];

pub(super) const ZAI: &[Rule] = &[
    Rule {
        id: "zai.1003",
        statuses: &[],
        when: &[When::Code(&["1003"]), When::OAuth],
        then: Then::class(Class::AuthExpired),
    },
    Rule {
        id: "zai.auth",
        statuses: &[],
        when: &[When::Code(&["1000", "1001", "1002", "1003", "1004"])],
        then: Then::class(Class::AuthDead),
    },
    Rule {
        id: "zai.inactive",
        statuses: &[],
        when: &[When::Code(&["1110", "1111", "1112", "1121"])],
        then: Then::class(Class::AccountBanned),
    },
    Rule {
        id: "zai.payment",
        statuses: &[],
        when: &[When::Code(&["1113", "1309"])],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "zai.1211",
        statuses: &[],
        when: &[When::Code(&["1211"])],
        then: Then::class(Class::ModelUnavailable),
    },
    Rule {
        id: "zai.request",
        statuses: REQUEST,
        when: &[When::Code(&["1210", "1212", "1213", "1214", "1215"])],
        then: Then::class(Class::BadRequest),
    },
    Rule { id: "zai.plan", statuses: &[], when: &[When::Code(&["1220", "1311"])], then: plan() },
    Rule {
        id: "zai.1261",
        statuses: &[],
        when: &[When::Code(&["1261"])],
        then: Then::class(Class::ContextTooLong),
    },
    Rule {
        id: "zai.policy",
        statuses: &[],
        when: &[When::Code(&["1300", "1301"])],
        then: Then::class(Class::ContentPolicy),
    },
    Rule {
        id: "zai.rate",
        statuses: &[],
        when: &[When::Code(&["1302", "1303"])],
        then: Then::class(Class::RateLimited).lower_concurrency(),
    },
    Rule {
        id: "zai.1305",
        statuses: &[],
        when: &[When::Code(&["1305"])],
        then: Then::class(Class::Overloaded).lower_concurrency(),
    },
    Rule {
        id: "zai.1304",
        statuses: &[],
        when: &[When::Code(&["1304"])],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::Model)
            .until(Until::Midnight(Zone::Shanghai)),
    },
    Rule {
        id: "zai.window",
        statuses: &[],
        when: &[When::Code(&["1308", "1310"])],
        then: Then::class(Class::QuotaExhausted).scope(To::All).until(Until::Read(reset_text)),
    },
    Rule {
        id: "zai.1313",
        statuses: &[],
        when: &[When::Code(&["1313"])],
        then: Then::class(Class::AccountBanned).cooldown(Cooldown::Steps(FAIR_USE_STEPS)),
    },
];

pub(super) const MINIMAX: &[Rule] = &[
    Rule {
        id: "minimax.transient",
        statuses: &[],
        when: &[When::Code(&["1000", "1001", "1013", "1024", "1033"])],
        then: Then::class(Class::Transient),
    },
    Rule {
        id: "minimax.rate",
        statuses: &[],
        when: &[When::Code(&["1002", "1039"])],
        then: Then::class(Class::RateLimited),
    },
    Rule {
        id: "minimax.1041",
        statuses: &[],
        when: &[When::Code(&["1041"])],
        then: Then::class(Class::RateLimited).lower_concurrency(),
    },
    Rule {
        id: "minimax.auth",
        statuses: &[],
        when: &[When::Code(&["1004", "2049"])],
        then: Then::class(Class::AuthDead),
    },
    Rule {
        id: "minimax.payment",
        statuses: &[],
        when: &[When::Code(&["1008"])],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "minimax.policy",
        statuses: &[],
        when: &[When::Code(&["1026", "1027"])],
        then: Then::class(Class::ContentPolicy),
    },
    Rule {
        id: "minimax.2013.prompt",
        statuses: REQUEST,
        when: &[When::Code(&["2013"]), When::Says(TOO_LONG)],
        then: Then::class(Class::ContextTooLong),
    },
    Rule {
        id: "minimax.2013",
        statuses: REQUEST,
        when: &[When::Code(&["2013"])],
        then: Then::class(Class::BadRequest),
    },
    Rule {
        id: "minimax.2056",
        statuses: &[],
        when: &[When::Code(&["2056"])],
        then: Then::class(Class::QuotaExhausted).scope(To::All).until(Until::HintOrAfter(HOUR)),
    },
];

/// `… reset at 2026-08-25 07:41:44`, the vendor's local time.
fn reset_text(facts: &Facts<'_>) -> Option<UnixMs> {
    instant::civil_in_text(facts.message, Zone::Shanghai)
}
