//! What a rule decides: class, scope, and what becomes of the account until it recovers (accounts §5.1, §5.6).

use crate::clock::UnixMs;
use crate::routing::classify::{Class, Next};
use crate::routing::instant::{HOUR, MINUTE, SECOND};
use crate::routing::lock::Scope;

/// What becomes of the scope of a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cooldown {
    /// No lock.
    None,
    /// Throttle: the hint, else ladder A.
    Throttle,
    /// Ladder A, but never shorter than this (challenge pages).
    ThrottleFloor {
        /// Milliseconds.
        floor_ms: i64,
    },
    /// Ladder B, and only after two failures within 60 s.
    Transient,
    /// Plan window: the hint with this much jitter at least, else the re-probe ladder.
    Quota {
        /// Anthropic's resets are shared by many clients: 1–30 s of jitter instead of 0–1 s.
        wide_jitter: bool,
    },
    /// The hint, else these steps; the last one repeats.
    Steps(&'static [i64]),
    /// As the auth ladder's first step; a second refusal is final (a retired service).
    OnceThenDead(Dead),
    /// The credential is finished: only the operator can mend it.
    Dead(Dead),
}

/// Why a credential is finished.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dead {
    /// Revoked by the vendor or the user.
    Revoked,
    /// The key was refused for longer than ten minutes.
    KeyRejected,
    /// Suspended, disabled, terminated.
    Banned,
    /// The vendor wants the owner to verify the account.
    Verify,
    /// The service itself is gone.
    Retired,
}

impl Dead {
    /// The name used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::KeyRejected => "key_rejected",
            Self::Banned => "banned",
            Self::Verify => "verify",
            Self::Retired => "retired",
        }
    }
}

/// Auth refusals of a refreshable credential (accounts §5.6).
pub(crate) const AUTH_STEPS: &[i64] = &[2 * MINUTE, 10 * MINUTE, 30 * MINUTE];
/// A key that was refused (accounts §3.5).
pub(crate) const KEY_STEPS: &[i64] = &[30 * MINUTE];
/// A 403 nobody knows (accounts §5.5).
pub(crate) const FORBIDDEN_STEPS: &[i64] = &[5 * MINUTE, 30 * MINUTE];
/// No balance (accounts §5.1).
pub(crate) const PAYMENT_STEPS: &[i64] = &[6 * HOUR];
/// A model outside the account's plan (accounts §5.1).
pub(crate) const PLAN_STEPS: &[i64] = &[12 * HOUR];
/// A model the provider does not know (accounts §5.1).
pub(crate) const UNKNOWN_MODEL_STEPS: &[i64] = &[10 * MINUTE];
/// A 4xx nobody knows (accounts §5.1).
pub(crate) const UNKNOWN_STEPS: &[i64] = &[30 * SECOND];
/// A fault in the operator's configuration at the vendor.
pub(crate) const CONFIGURATION_STEPS: &[i64] = &[30 * MINUTE];

/// A rule's decision, before it is turned into a `Classified`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Verdict {
    pub(crate) class: Class,
    pub(crate) scope: Option<Scope>,
    pub(crate) until: Option<UnixMs>,
    pub(crate) next: Next,
    pub(crate) cooldown: Cooldown,
    pub(crate) retry: Retry,
    pub(crate) lower_concurrency: bool,
    pub(crate) learned_window: Option<u64>,
}

/// Whether the same account is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Retry {
    No,
    /// At the hinted instant, when that is near enough, at most this often.
    AtHint(u8),
    /// Once after 0.5–1 s.
    Once,
    /// Once after 1–2 s, and only when nobody else is left to ask.
    WhenLast,
    /// At once, on the provider's other endpoint.
    OtherEndpoint,
    /// This often, from 0.5 s on.
    Times(u8),
}

/// accounts §5.1: a hint up to this long is waited for.
const NEAR_HINT_MS: i64 = 3 * SECOND;

impl Verdict {
    /// The row of accounts §5.1 for `class`. `model` is the lock id of the model.
    pub(crate) fn of(class: Class, model: &str) -> Self {
        let model_scope = || Some(Scope::Model(model.to_owned()));
        let (scope, cooldown, next, retry) = match class {
            Class::AuthExpired => {
                (Some(Scope::All), Cooldown::Steps(AUTH_STEPS), Next::NextAccount, Retry::No)
            }
            Class::AuthDead => {
                (Some(Scope::All), Cooldown::Steps(KEY_STEPS), Next::NextAccount, Retry::No)
            }
            Class::QuotaExhausted => (
                Some(Scope::All),
                Cooldown::Quota { wide_jitter: false },
                Next::NextAccount,
                Retry::No,
            ),
            Class::RateLimited => {
                (model_scope(), Cooldown::Throttle, Next::NextAccount, Retry::AtHint(1))
            }
            Class::Overloaded => (None, Cooldown::None, Next::NextAccount, Retry::WhenLast),
            Class::Transient => {
                (model_scope(), Cooldown::Transient, Next::NextAccount, Retry::Once)
            }
            Class::ModelUnavailable => {
                (model_scope(), Cooldown::Steps(UNKNOWN_MODEL_STEPS), Next::NextEntry, Retry::No)
            }
            Class::BadRequest | Class::ClientCancelled => {
                (None, Cooldown::None, Next::Return, Retry::No)
            }
            // §5.1 sends these two on under conditions only the attempt loop knows: a larger
            // window, the combo's `fallback_on_policy`.
            Class::ContextTooLong | Class::ContentPolicy => {
                (None, Cooldown::None, Next::NextEntry, Retry::No)
            }
            Class::ClientNotPermitted | Class::Entitlement => {
                (None, Cooldown::None, Next::NextEntry, Retry::No)
            }
            Class::PaymentRequired => {
                (Some(Scope::All), Cooldown::Steps(PAYMENT_STEPS), Next::NextAccount, Retry::No)
            }
            Class::AccountBanned => {
                (Some(Scope::All), Cooldown::Dead(Dead::Banned), Next::NextAccount, Retry::No)
            }
            Class::EndpointMismatch => {
                (None, Cooldown::None, Next::NextEntry, Retry::OtherEndpoint)
            }
            Class::Unknown => {
                (model_scope(), Cooldown::Steps(UNKNOWN_STEPS), Next::NextAccount, Retry::No)
            }
        };
        Self {
            class,
            scope,
            until: None,
            next,
            cooldown,
            retry,
            lower_concurrency: false,
            learned_window: None,
        }
    }

    /// Where the next attempt goes, given whether the same account may be asked again.
    pub(crate) fn next(&self, retries: bool) -> Next {
        match self.retry {
            Retry::AtHint(_) | Retry::Once | Retry::OtherEndpoint | Retry::Times(_) if retries => {
                Next::SameAccount
            }
            Retry::No
            | Retry::WhenLast
            | Retry::AtHint(_)
            | Retry::Once
            | Retry::OtherEndpoint
            | Retry::Times(_) => self.next,
        }
    }

    /// How often the same account may be asked again.
    pub(crate) fn retry_same_max(&self) -> u8 {
        match self.retry {
            Retry::No => 0,
            Retry::Once | Retry::WhenLast | Retry::OtherEndpoint => 1,
            Retry::AtHint(n) | Retry::Times(n) => n,
        }
    }

    /// How long to wait before that; `None` when it is not asked again.
    pub(crate) fn retry_same_after_ms(&self, now: UnixMs) -> Option<u32> {
        match self.retry {
            Retry::No => None,
            Retry::OtherEndpoint => Some(0),
            Retry::Times(_) => Some(500),
            // Spreads parallel retries over the half second of §5.1 without a source of chance.
            Retry::Once => u32::try_from(now.rem_euclid(501)).ok()?.checked_add(500),
            Retry::WhenLast => u32::try_from(now.rem_euclid(1_001)).ok()?.checked_add(1_000),
            Retry::AtHint(_) => {
                let wait = self.until?.checked_sub(now)?;
                (wait <= NEAR_HINT_MS).then(|| u32::try_from(wait).ok())?
            }
        }
    }
}
