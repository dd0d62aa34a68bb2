//! Step 7 of accounts §5.2: the class of a status alone (accounts §5.5).

use crate::routing::classify::Class;
use crate::routing::facts::Facts;
use crate::routing::hints;
use crate::routing::lock::Scope;
use crate::routing::verdict::{Cooldown, FORBIDDEN_STEPS, Retry, Verdict};

/// The default of a status.
pub(crate) fn default(facts: &Facts<'_>) -> (&'static str, Verdict) {
    let of = |class| Verdict::of(class, facts.canonical);
    let hinted = |class| Verdict { until: hints::any(facts), ..of(class) };
    let Some(status) = facts.status else {
        // Neither a status nor a body: nothing that could be read was received.
        return ("status.none", hinted(Class::Transient));
    };
    match status {
        400 | 405 | 406 | 409 | 411 | 415 | 422 => ("status.4xx", of(Class::BadRequest)),
        401 if facts.oauth => ("status.401", of(Class::AuthExpired)),
        401 => ("status.401", of(Class::AuthDead)),
        402 => ("status.402", of(Class::PaymentRequired)),
        403 => ("status.403", forbidden(facts)),
        404 if facts.names_model() => ("status.404.model", of(Class::ModelUnavailable)),
        404 | 300..=399 => ("status.configuration", configuration(facts)),
        408 | 425 => ("status.4xx.transient", hinted(Class::Transient)),
        413 => ("status.413", of(Class::ContextTooLong)),
        429 => ("status.429", hinted(Class::RateLimited)),
        451 => ("status.451", of(Class::ContentPolicy)),
        499 => ("status.499", of(Class::ClientCancelled)),
        503 | 529 => ("status.overloaded", hinted(Class::Overloaded)),
        500..=599 => ("status.5xx", hinted(Class::Transient)),
        // REL-UP-4: a 200 whose body is no answer is a failed attempt like a 5xx.
        0..=299 => ("status.2xx", Verdict { retry: Retry::No, ..of(Class::Transient) }),
        _ => ("status.unknown", of(Class::Unknown)),
    }
}

/// No refresh: a blind one on every 403 burns rotations and hides bans (accounts §3.5).
fn forbidden(facts: &Facts<'_>) -> Verdict {
    Verdict {
        scope: Some(Scope::All),
        cooldown: Cooldown::Steps(FORBIDDEN_STEPS),
        ..Verdict::of(Class::Unknown, facts.canonical)
    }
}

/// The endpoint's address is wrong: no account's fault, nothing to lock.
fn configuration(facts: &Facts<'_>) -> Verdict {
    Verdict {
        scope: None,
        cooldown: Cooldown::None,
        ..Verdict::of(Class::Unknown, facts.canonical)
    }
}
