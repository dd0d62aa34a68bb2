//! Anthropic: subscriptions and keys. Windows of a subscription are read from headers (accounts §4.3).

use super::generic::{TOO_LONG, plan};
use super::rule::{Rule, Then, To, Until, When, family_scope};
use crate::clock::UnixMs;
use crate::routing::classify::Class;
use crate::routing::facts::Facts;
use crate::routing::hints;
use crate::routing::instant::{self, MINUTE};
use crate::routing::lock::Scope;
use crate::routing::verdict::{Cooldown, Dead, PAYMENT_STEPS, Retry, Verdict};

const ENTITLEMENT: &[&str] = &[
    "fast~usage credits are required",
    "usage credits are required~fast",
    "extra usage is required for long context",
];

/// Family windows that are asked for by name although the model does not carry it in its id.
const FAMILIES: [&str; 6] = ["opus", "sonnet", "haiku", "fable", "oi", "oauth_apps"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "anthropic.legacy.usage",
        statuses: &[],
        when: &[When::Says(&["claude ai usage limit reached"])],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::All)
            .until(Until::Read(legacy_reset))
            .cooldown(Cooldown::Quota { wide_jitter: true }),
    },
    Rule {
        id: "anthropic.401.expired",
        statuses: &[401],
        when: &[When::Says(&[
            "oauth token has expired",
            "invalid bearer token",
            "token has expired",
        ])],
        then: Then::class(Class::AuthExpired),
    },
    Rule {
        id: "anthropic.401.key",
        statuses: &[401],
        when: &[When::Says(&["invalid x-api-key", "invalid api key"])],
        then: Then::class(Class::AuthDead),
    },
    Rule {
        id: "anthropic.403.revoked",
        statuses: &[403],
        when: &[When::Says(&[
            "oauth token has been revoked",
            "not allowed for this organization",
            "does not meet scope requirement",
        ])],
        then: Then::class(Class::AuthDead).cooldown(Cooldown::Dead(Dead::Revoked)),
    },
    Rule {
        id: "anthropic.403.model",
        statuses: &[403],
        when: &[When::Code(&["permission_error"]), When::NamesModel],
        then: plan(),
    },
    Rule {
        id: "anthropic.429.entitlement",
        statuses: &[429],
        when: &[When::Says(ENTITLEMENT)],
        then: Then::class(Class::Entitlement),
    },
    Rule {
        id: "anthropic.429.long",
        statuses: &[429],
        when: &[When::HintOver(5 * MINUTE)],
        then: Then::class(Class::QuotaExhausted)
            .scope(To::All)
            .cooldown(Cooldown::Quota { wide_jitter: true }),
    },
    Rule {
        id: "anthropic.429.short",
        statuses: &[429],
        when: &[When::HintWithin(5 * MINUTE)],
        then: Then::class(Class::RateLimited),
    },
    Rule {
        id: "anthropic.400.client",
        statuses: &[400, 403],
        when: &[When::Says(&[
            "third-party apps now draw from",
            "only authorized for use with claude code",
            "out of extra usage",
        ])],
        then: Then::class(Class::ClientNotPermitted),
    },
    Rule {
        id: "anthropic.400.balance",
        statuses: &[400, 402, 403],
        when: &[When::Says(&["credit balance is too low"])],
        then: Then::class(Class::PaymentRequired).cooldown(Cooldown::Steps(PAYMENT_STEPS)),
    },
    Rule {
        id: "anthropic.400.prompt",
        statuses: &[400],
        when: &[When::Says(TOO_LONG)],
        then: Then::class(Class::ContextTooLong),
    },
    Rule {
        id: "anthropic.404.model",
        statuses: &[404],
        when: &[When::Code(&["not_found_error"]), When::Says(&["model:"])],
        then: Then::class(Class::ModelUnavailable),
    },
    Rule {
        id: "anthropic.529",
        statuses: &[],
        when: &[When::Code(&["overloaded_error"])],
        then: Then::class(Class::Overloaded),
    },
    Rule {
        id: "anthropic.500",
        statuses: &[500],
        when: &[When::Code(&["api_error"])],
        then: Then::class(Class::Transient),
    },
];

/// A 429 of a subscription: which of its windows is used up.
pub(super) fn unified(facts: &Facts<'_>) -> Option<(&'static str, Verdict)> {
    if facts.status != Some(429) || ENTITLEMENT.iter().any(|pattern| facts.says(pattern)) {
        return None;
    }
    let mut whole: Vec<Option<UnixMs>> =
        ["5h", "7d"].iter().filter(|w| rejected(facts, w)).map(|w| reset(facts, w)).collect();
    let overall = facts
        .header("anthropic-ratelimit-unified-reset")
        .and_then(|value| instant::reset(value, facts.now));
    if whole.is_empty() {
        if let Some(window) = rejected_family(facts) {
            let name = window.strip_prefix("7d_").unwrap_or(&window);
            let until = reset(facts, &window).or(overall).or_else(|| wait(facts));
            return Some((
                "anthropic.429.family",
                used_up(facts, family_scope(facts, name), until),
            ));
        }
        if !is_rejected(facts.header("anthropic-ratelimit-unified-status")) {
            return None;
        }
    }
    whole.push(overall);
    let until = whole.into_iter().flatten().max().or_else(|| wait(facts));
    Some(("anthropic.429.unified", used_up(facts, Scope::All, until)))
}

fn used_up(facts: &Facts<'_>, scope: Scope, until: Option<UnixMs>) -> Verdict {
    Verdict {
        scope: Some(scope),
        until,
        // Resets are shared by every client of the plan: spread the return.
        cooldown: Cooldown::Quota { wide_jitter: true },
        retry: Retry::No,
        ..Verdict::of(Class::QuotaExhausted, facts.canonical)
    }
}

fn wait(facts: &Facts<'_>) -> Option<UnixMs> {
    hints::waits(&|name| facts.header(name), facts.now)
}

fn rejected(facts: &Facts<'_>, window: &str) -> bool {
    is_rejected(facts.header(&format!("anthropic-ratelimit-unified-{window}-status")))
}

/// `throttled` is the older word for it.
fn is_rejected(status: Option<&str>) -> bool {
    status.is_some_and(|s| {
        let s = s.trim();
        s.eq_ignore_ascii_case("rejected") || s.eq_ignore_ascii_case("throttled")
    })
}

fn reset(facts: &Facts<'_>, window: &str) -> Option<UnixMs> {
    let value = facts.header(&format!("anthropic-ratelimit-unified-{window}-reset"))?;
    instant::reset(value, facts.now)
}

/// The rejected window of a model family: first the families of the model itself, then what the answer
/// calls its claim, then the names seen so far.
fn rejected_family(facts: &Facts<'_>) -> Option<String> {
    let own = facts.families.iter().map(String::as_str);
    let claim = facts
        .header("anthropic-ratelimit-unified-representative-claim")
        .and_then(|claim| claim.strip_prefix("seven_day_"));
    own.chain(claim)
        .chain(FAMILIES)
        .map(|name| format!("7d_{name}"))
        .find(|window| rejected(facts, window))
        .or_else(|| Some(format!("7d_{}", claim?)))
        .filter(|_| is_anything_rejected(facts))
}

/// The claim alone is no refusal: it is named on successes too.
fn is_anything_rejected(facts: &Facts<'_>) -> bool {
    let own = facts.families.iter().map(String::as_str);
    is_rejected(facts.header("anthropic-ratelimit-unified-status"))
        || own.chain(FAMILIES).any(|name| rejected(facts, &format!("7d_{name}")))
}

/// `Claude AI usage limit reached|1712345678`.
fn legacy_reset(facts: &Facts<'_>) -> Option<UnixMs> {
    let (_, rest) = facts.message.split_once('|')?;
    let digits: String = rest.trim().chars().take_while(char::is_ascii_digit).collect();
    instant::reset(&digits, facts.now)
}
