//! Where a request goes after a failed attempt: the columns of accounts §5.1, with their counts and pauses.

use std::time::Duration;

use crate::clock::UnixMs;
use crate::gateway::failure::{Failure, Trouble};
use crate::id::AccountId;
use crate::routing::classify::{Class, Classified, Next};

/// A hint longer than this is not waited for (accounts §5.1).
const SHORT_HINT: Duration = Duration::from_secs(3);
/// Pause before the one repetition after a transient failure of the last candidate.
const AFTER_TRANSIENT: Duration = Duration::from_millis(500);
/// The same after an overload.
const AFTER_OVERLOAD: Duration = Duration::from_secs(1);
/// Locks end up to this much after the hint (accounts §5.6): a repetition waits for it too.
const LOCK_JITTER: Duration = Duration::from_millis(1_050);

/// One failed attempt and where it happened.
#[derive(Debug)]
pub(super) struct Stumble {
    /// Place of the entry in the plan.
    pub entry: usize,
    /// `prefix/model`.
    pub target: String,
    /// Account that was used.
    pub account: AccountId,
    /// What happened.
    pub failure: Failure,
}

/// Where the next attempt goes after one that failed at entry `position`; `before` are the earlier ones.
#[must_use]
pub(super) fn next(
    failed: &Classified,
    position: usize,
    before: &[Stumble],
    policy_goes_on: bool,
) -> Next {
    let class = failed.class;
    let again =
        || before.iter().any(|s| s.entry == position && s.failure.classified.class == class);
    match (failed.next, class) {
        (Next::Return, _) => Next::Return,
        (_, Class::ContentPolicy) => {
            if policy_goes_on {
                Next::NextEntry
            } else {
                Next::Return
            }
        }
        // At most one other account: the provider is full, not the account.
        (_, Class::Overloaded | Class::Unknown) if again() => Next::NextEntry,
        // The same account comes last, when nobody else is left: see [`repetition`].
        (Next::SameAccount, _) => Next::NextAccount,
        (Next::NextAccount | Next::NextEntry, _) => failed.next,
    }
}

/// The pause before the repetition that accounts §5.1 allows on the same account, kept for when it is
/// the last candidate (§6.4: no sleep between entries).
#[must_use]
pub(super) fn repetition(last: &Stumble) -> Option<Duration> {
    let failure = &last.failure;
    match failure.classified.class {
        Class::RateLimited => {
            let hint = Duration::from_millis(failure.classified.retry_same_after_ms?.into());
            (hint <= SHORT_HINT).then_some(hint + LOCK_JITTER)
        }
        Class::Overloaded => Some(AFTER_OVERLOAD),
        // REL-T-3: a time-out is never turned into a second charge.
        Class::Transient => match failure.trouble {
            Trouble::Answer | Trouble::Unreachable | Trouble::BadAnswer => Some(AFTER_TRANSIENT),
            Trouble::Proxy { .. }
            | Trouble::Timeout
            | Trouble::ClientsLimit
            | Trouble::Blocked
            | Trouble::NotBuilt => None,
        },
        Class::AuthExpired
        | Class::AuthDead
        | Class::QuotaExhausted
        | Class::ModelUnavailable
        | Class::BadRequest
        | Class::ContextTooLong
        | Class::ContentPolicy
        | Class::ClientNotPermitted
        | Class::PaymentRequired
        | Class::AccountBanned
        | Class::Entitlement
        | Class::EndpointMismatch
        | Class::ClientCancelled
        | Class::Unknown => None,
    }
}

/// The wait until the earliest recovery, when it lies within `limit`.
#[must_use]
pub(super) fn cooldown(
    recoveries: impl Iterator<Item = UnixMs>,
    now: UnixMs,
    limit: Duration,
) -> Option<Duration> {
    let earliest = recoveries.filter(|until| *until > now).min()?;
    let wait = Duration::from_millis((earliest - now).unsigned_abs());
    // Not beyond the limit (accounts §6.4).
    (wait <= limit).then(|| (wait + LOCK_JITTER).min(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::blame::not_built;

    fn classified(class: Class, next: Next) -> Classified {
        Classified { class, next, ..not_built(String::new()).classified }
    }

    fn stumble(class: Class, entry: usize) -> Stumble {
        let mut failure = *not_built(String::new());
        failure.classified.class = class;
        Stumble { entry, target: String::new(), account: AccountId::new(), failure }
    }

    #[test]
    fn the_class_and_what_failed_before_decide() {
        use Next::{NextAccount, NextEntry, Return, SameAccount};
        let before = [stumble(Class::Overloaded, 1)];
        let cases = [
            (Class::Transient, SameAccount, 1, NextAccount),
            (Class::QuotaExhausted, NextAccount, 1, NextAccount),
            (Class::ModelUnavailable, NextEntry, 1, NextEntry),
            (Class::BadRequest, Return, 1, Return),
            // One other account per entry.
            (Class::Overloaded, NextAccount, 1, NextEntry),
            (Class::Overloaded, NextAccount, 0, NextAccount),
            (Class::Unknown, NextAccount, 1, NextAccount),
            // An operator's rule that stops, stops.
            (Class::Overloaded, Return, 1, Return),
            (Class::ContentPolicy, NextEntry, 1, Return),
        ];
        for (class, found, position, want) in cases {
            let got = next(&classified(class, found), position, &before, false);
            assert_eq!(got, want, "{class:?} at {position}");
        }
        let policy = |found| next(&classified(Class::ContentPolicy, found), 0, &[], true);
        assert_eq!((policy(NextEntry), policy(Return)), (NextEntry, Return));
    }

    #[test]
    fn a_cool_down_is_waited_for_within_the_limit_and_never_beyond_it() {
        let limit = Duration::from_secs(10);
        let pause = |untils: &[UnixMs]| cooldown(untils.iter().copied(), 1_000, limit);
        assert_eq!(pause(&[]), None);
        assert_eq!(pause(&[900, 1_000]), None, "what is over is no reason to wait");
        assert_eq!(pause(&[90_000, 3_000]), Some(Duration::from_millis(3_050)));
        assert_eq!(pause(&[10_900]), Some(limit));
        assert_eq!(pause(&[11_001]), None);
    }
}
