//! Codex: errors of the ChatGPT backend, also as first events of a 200 stream.

use super::generic::plan;
use super::rule::{Rule, Then, To, Until, When, family_scope};
use crate::clock::UnixMs;
use crate::routing::classify::Class;
use crate::routing::facts::Facts;
use crate::routing::hints;
use crate::routing::instant;
use crate::routing::lock::Scope;
use crate::routing::verdict::{Cooldown, Dead};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "codex.usage_limit",
        statuses: &[],
        when: &[When::Code(&["usage_limit_reached"])],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::Read(limit_scope))
            .until(Until::Read(reset)),
    },
    Rule {
        id: "codex.not_included",
        statuses: &[],
        when: &[When::Code(&["usage_not_included"])],
        then: plan(),
    },
    Rule {
        id: "codex.capacity",
        statuses: &[],
        when: &[When::Says(&["selected model is at capacity"])],
        then: Then::class(Class::Overloaded),
    },
    Rule {
        id: "codex.overloaded",
        statuses: &[],
        when: &[When::Code(&["server_is_overloaded", "service_unavailable_error", "slow_down"])],
        then: Then::class(Class::Overloaded),
    },
    Rule {
        id: "codex.rate_limit",
        statuses: &[],
        when: &[When::Code(&["rate_limit_*"])],
        then: Then::class(Class::RateLimited),
    },
    Rule {
        id: "codex.401.revoked",
        statuses: &[401, 403],
        when: &[When::Is(|facts| {
            facts.has_code("token_revoked")
                || facts.says("logged out or signed in to another account")
        })],
        then: Then::class(Class::AuthDead).cooldown(Cooldown::Dead(Dead::Revoked)),
    },
    Rule {
        id: "codex.401.expired",
        statuses: &[401],
        when: &[When::Is(|facts| {
            facts.has_code("token_expired") || facts.says("invalid or expired token")
        })],
        then: Then::class(Class::AuthExpired),
    },
    Rule {
        id: "codex.402.workspace",
        statuses: &[402, 403],
        when: &[When::Code(&["deactivated_workspace"])],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "codex.400.plan",
        statuses: &[400],
        when: &[When::Says(&["model is not supported when using codex"])],
        then: plan(),
    },
];

/// The main limit covers the account; a further limit (`codex_review`, …) covers its own family.
fn limit_scope(facts: &Facts<'_>) -> Scope {
    let named = facts
        .header("x-codex-active-limit")
        .map(str::to_owned)
        .or_else(|| facts.field_text("limit_id").map(|id| id.into_owned()));
    let Some(id) = named else { return Scope::All };
    let id = id.trim().to_ascii_lowercase();
    let name = id.strip_prefix("codex_").or_else(|| id.strip_prefix("codex-")).unwrap_or(&id);
    match name {
        "" | "codex" | "premium" | "primary" | "secondary" | "default" => Scope::All,
        further => family_scope(facts, further),
    }
}

/// `resets_at`, else `resets_in_seconds`, else the reset of the fullest window.
fn reset(facts: &Facts<'_>) -> Option<UnixMs> {
    hints::body(facts).or_else(|| fullest_window(facts))
}

fn fullest_window(facts: &Facts<'_>) -> Option<UnixMs> {
    let window = |name: &str| {
        let header = |suffix: &str| facts.header(&format!("x-codex-{name}-{suffix}"));
        let used = instant::decimal(header("used-percent")?.trim(), instant::SECOND)?;
        let until =
            header("reset-at").and_then(|v| instant::reset(v, facts.now)).or_else(|| {
                let delay =
                    instant::decimal(header("reset-after-seconds")?.trim(), instant::SECOND)?;
                instant::after(delay, facts.now)
            })?;
        // Two full windows: both must pass.
        Some((used.min(100 * instant::SECOND), until))
    };
    let found = ["primary", "secondary"].into_iter().filter_map(window).max()?;
    Some(found.1)
}
