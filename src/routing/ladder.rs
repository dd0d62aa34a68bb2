//! Cool-down arithmetic of one account: how long a failure locks, how locks merge, what success clears (accounts §5.6).

use std::time::Duration;

use crate::clock::UnixMs;
use crate::routing::classify::{Class, Classified};
use crate::routing::instant::{DAY, HOUR, MINUTE, SECOND};
use crate::routing::lock::{Lock, Scope};
use crate::routing::verdict::{AUTH_STEPS, Cooldown, Dead};

/// Ladder A's numbers (settings `cooldown_base_s`, `cooldown_max_s`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LadderSettings {
    /// First step.
    pub base: Duration,
    /// Ceiling.
    pub max: Duration,
}

impl Default for LadderSettings {
    fn default() -> Self {
        Self { base: Duration::from_secs(2), max: Duration::from_secs(300) }
    }
}

impl LadderSettings {
    fn step_ms(&self, level: u8) -> i64 {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        doubled(ms(self.base), level, ms(self.max))
    }
}

/// Ladder B: transient failures.
const TRANSIENT_BASE_MS: i64 = 5 * SECOND;
const TRANSIENT_MAX_MS: i64 = 2 * MINUTE;
/// Re-probe ladder of a used-up window whose reset nobody named.
const QUOTA_BASE_MS: i64 = 15 * MINUTE;
const QUOTA_MAX_MS: i64 = 6 * HOUR;
/// No lock is longer than this.
const LONGEST_MS: i64 = 35 * DAY;
/// A throttle is probed again after this, whatever it claims: only quotas have far resets.
const LONGEST_THROTTLE_MS: i64 = 30 * MINUTE;

/// Text of a lock whose window has no known end: it is probed by one request at a time.
pub const REASON_QUOTA_UNKNOWN: &str = "quota exhausted, reset unknown";

/// Text of a lock that keeps an account from being used beyond its plan.
pub const REASON_OVERAGE: &str = "overage_guard";

/// What is left of a failed attempt for the account.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Nothing.
    Unchanged,
    /// This scope is locked now.
    Locked(Lock),
    /// The credential is finished.
    Dead(Dead),
}

/// The lock a failure sets, given the lock its scope has or had. `None` when it sets none, or when that lock
/// is still open and as strong.
///
/// `jitter` is any number; it spreads the return of many clients. For `Cooldown::Transient` the caller has
/// asked [`FailureMemory`] first; [`apply`] does both.
#[must_use]
pub fn lock_for(
    failure: &Classified,
    current: Option<&Lock>,
    now: UnixMs,
    jitter: u32,
    settings: &LadderSettings,
) -> Option<Lock> {
    let scope = failure.scope.clone()?;
    if matches!(failure.cooldown, Cooldown::None | Cooldown::Dead(_)) {
        return None;
    }
    let open = current.filter(|lock| lock.until > now && lock.class == failure.class);
    let lock = |until: UnixMs, level: u8, reason: &'static str| Lock {
        scope: scope.clone(),
        until,
        reason: reason.into(),
        class: failure.class,
        level,
        set_at: now,
    };
    if let Some(until) = hinted_until(failure, now) {
        // The burst of one window names the same instant again: neither level nor jitter moves the lock.
        if open.is_some_and(|lock| lock.until >= until) {
            return None;
        }
        let until = until.saturating_add(spread(failure.cooldown, jitter));
        return Some(lock(until, 0, reason(failure.class)));
    }
    // Rises at most once per window: a failure that arrives while the lock is open changes nothing.
    if open.is_some() {
        return None;
    }
    let level = next_level(current.filter(|lock| lock.class == failure.class), now);
    let length = length_ms(failure.cooldown, level, settings)?;
    let reason = match failure.cooldown {
        Cooldown::Quota { .. } => REASON_QUOTA_UNKNOWN,
        Cooldown::None
        | Cooldown::Throttle
        | Cooldown::ThrottleFloor { .. }
        | Cooldown::Transient
        | Cooldown::Steps(_)
        | Cooldown::OnceThenDead(_)
        | Cooldown::Dead(_) => reason(failure.class),
    };
    Some(lock(now.saturating_add(length), level, reason))
}

/// Files a failed attempt: everything §5.6 does with it, in one step.
pub fn apply(
    locks: &mut Vec<Lock>,
    memory: &mut FailureMemory,
    failure: &Classified,
    now: UnixMs,
    jitter: u32,
    settings: &LadderSettings,
) -> Outcome {
    if let Cooldown::Dead(why) = failure.cooldown {
        return Outcome::Dead(why);
    }
    let Some(scope) = &failure.scope else { return Outcome::Unchanged };
    let current = locks.iter().find(|lock| lock.scope == *scope);
    if failure.cooldown == Cooldown::Transient && !memory.is_repeated(scope, now) {
        return Outcome::Unchanged;
    }
    if let Cooldown::OnceThenDead(why) = failure.cooldown
        && current.is_some_and(|lock| lock.class == failure.class)
    {
        return Outcome::Dead(why);
    }
    // Requests that were under way when the lock was set are one incident with it.
    let is_new_incident = current.is_none_or(|lock| lock.until <= now);
    if failure.class == Class::AuthDead && is_new_incident && memory.key_is_finished(now) {
        return Outcome::Dead(Dead::KeyRejected);
    }
    let Some(lock) = lock_for(failure, current, now, jitter, settings) else {
        return Outcome::Unchanged;
    };
    merge(locks, lock.clone());
    Outcome::Locked(lock)
}

/// Locks a scope whose window is used up without a known reset; the re-probe ladder applies. `None` when it is locked
/// already.
pub fn spent(locks: &mut Vec<Lock>, scope: &Scope, now: UnixMs) -> Option<Lock> {
    let last = locks.iter().find(|lock| lock.scope == *scope);
    if last.is_some_and(|lock| lock.until > now) {
        return None;
    }
    let class = Class::QuotaExhausted;
    let level = next_level(last.filter(|lock| lock.class == class), now);
    let lock = Lock {
        scope: scope.clone(),
        until: now.saturating_add(doubled(QUOTA_BASE_MS, level, QUOTA_MAX_MS)),
        reason: REASON_QUOTA_UNKNOWN.into(),
        class,
        level,
        set_at: now,
    };
    merge(locks, lock.clone());
    Some(lock)
}

/// Locks a scope that is served at extra cost, until its window resets (accounts §4.6). `None` when it is locked that
/// long already.
pub fn guard_overage(
    locks: &mut Vec<Lock>,
    scope: &Scope,
    until: Option<UnixMs>,
    now: UnixMs,
) -> Option<Lock> {
    let until = until.filter(|at| *at > now).unwrap_or(now.saturating_add(QUOTA_BASE_MS));
    let until = until.min(now.saturating_add(LONGEST_MS));
    if locks.iter().any(|lock| lock.scope == *scope && lock.until >= until) {
        return None;
    }
    let lock = Lock {
        scope: scope.clone(),
        until,
        reason: REASON_OVERAGE.into(),
        class: Class::QuotaExhausted,
        level: 0,
        set_at: now,
    };
    merge(locks, lock.clone());
    Some(lock)
}

/// Puts a lock in place. Per scope the later `until` wins: a weaker report never shortens.
pub fn merge(locks: &mut Vec<Lock>, new: Lock) {
    match locks.iter_mut().find(|lock| lock.scope == new.scope) {
        Some(lock) if lock.until >= new.until => {}
        Some(lock) => *lock = new,
        None => locks.push(new),
    }
}

/// Clears what a successful attempt on `model` (lock id) proves to be over. Returns true when a lock went.
///
/// `started_at` is when that attempt began: a lock set later is news it knows nothing of.
pub fn on_success(
    locks: &mut Vec<Lock>,
    memory: &mut FailureMemory,
    model: &str,
    families: &[String],
    started_at: UnixMs,
    now: UnixMs,
) -> bool {
    memory.succeeded(model);
    let before = locks.len();
    locks.retain(|lock| {
        let covers = match &lock.scope {
            Scope::All => true,
            Scope::Model(m) => m == model,
            Scope::Family(f) => families.contains(f),
            Scope::Feature(_) => false,
        };
        // A used-up window stays until its reset: one answer from overage or a late stream proves nothing.
        let stands = lock.until > now
            && (matches!(lock.class, Class::QuotaExhausted | Class::PaymentRequired)
                || lock.set_at >= started_at);
        !covers || stands
    });
    locks.len() != before
}

/// Locks that were set in the future were set under another clock (REL-CLK-1): they keep their length, from now, so
/// that a clock that was wrong for a while makes no cool-down eternal. True when there was one.
pub fn shorten_future(locks: &mut [Lock], now: UnixMs) -> bool {
    let mut found = false;
    for lock in locks.iter_mut().filter(|lock| lock.set_at > now) {
        let length = lock.until.saturating_sub(lock.set_at).max(0);
        lock.until = lock.until.min(now.saturating_add(length));
        lock.set_at = now;
        found = true;
    }
    found
}

/// Drops locks that neither hold nor carry a level any more.
pub fn prune(locks: &mut Vec<Lock>, now: UnixMs) {
    locks.retain(|lock| lock.until > now || remembers_level(lock, now));
}

/// What one account remembers of failures that set no lock yet.
#[derive(Clone, Debug, Default)]
pub struct FailureMemory {
    transient: Vec<(Scope, UnixMs)>,
    key_refused: Option<KeyRefusals>,
}

#[derive(Clone, Copy, Debug)]
struct KeyRefusals {
    first_at: UnixMs,
    count: u32,
}

impl FailureMemory {
    /// Ladder B begins with the second transient failure of a scope within this time.
    const WINDOW_MS: i64 = MINUTE;
    /// Scopes remembered at once; one account serves few models at a time.
    const SCOPES: usize = 64;
    /// accounts §3.5: a key is given up after this many refusals …
    const KEY_REFUSALS: u32 = 3;
    /// … that span more than this.
    const KEY_REFUSAL_SPAN_MS: i64 = 10 * MINUTE;

    /// Notes a transient failure; true when it is not the first of the last 60 s.
    pub fn is_repeated(&mut self, scope: &Scope, now: UnixMs) -> bool {
        self.transient.retain(|(_, at)| now.saturating_sub(*at) < Self::WINDOW_MS && *at <= now);
        if let Some((_, at)) = self.transient.iter_mut().find(|(known, _)| known == scope) {
            *at = now;
            return true;
        }
        if self.transient.len() >= Self::SCOPES {
            self.transient.remove(0);
        }
        self.transient.push((scope.clone(), now));
        false
    }

    /// Notes a refused key; true when it has been refused often and long enough to be given up.
    pub fn key_is_finished(&mut self, now: UnixMs) -> bool {
        let seen = self.key_refused.get_or_insert(KeyRefusals { first_at: now, count: 0 });
        seen.count = seen.count.saturating_add(1);
        seen.count >= Self::KEY_REFUSALS
            && now.saturating_sub(seen.first_at) > Self::KEY_REFUSAL_SPAN_MS
    }

    fn succeeded(&mut self, model: &str) {
        self.key_refused = None;
        self.transient.retain(|(scope, _)| !matches!(scope, Scope::Model(m) if m == model));
    }
}

/// The instant the upstream named, within what its class may claim.
fn hinted_until(failure: &Classified, now: UnixMs) -> Option<UnixMs> {
    let hint = failure.until.filter(|until| *until > now)?;
    let longest = match failure.class {
        Class::RateLimited => LONGEST_THROTTLE_MS,
        Class::AuthExpired
        | Class::AuthDead
        | Class::QuotaExhausted
        | Class::Overloaded
        | Class::Transient
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
        | Class::Unknown => LONGEST_MS,
    };
    let floor = match failure.cooldown {
        Cooldown::ThrottleFloor { floor_ms } => floor_ms,
        Cooldown::None
        | Cooldown::Throttle
        | Cooldown::Transient
        | Cooldown::Quota { .. }
        | Cooldown::Steps(_)
        | Cooldown::OnceThenDead(_)
        | Cooldown::Dead(_) => SECOND,
    };
    Some(hint.clamp(now.saturating_add(floor), now.saturating_add(longest)))
}

fn spread(cooldown: Cooldown, jitter: u32) -> i64 {
    let jitter = i64::from(jitter);
    match cooldown {
        Cooldown::Quota { wide_jitter: true } => SECOND.saturating_add(jitter % (29 * SECOND + 1)),
        Cooldown::Quota { wide_jitter: false }
        | Cooldown::None
        | Cooldown::Throttle
        | Cooldown::ThrottleFloor { .. }
        | Cooldown::Transient
        | Cooldown::Steps(_)
        | Cooldown::OnceThenDead(_)
        | Cooldown::Dead(_) => jitter % (SECOND + 1),
    }
}

/// One step up from the last lock of the scope, back to 0 when that is long over.
fn next_level(last: Option<&Lock>, now: UnixMs) -> u8 {
    match last.filter(|lock| remembers_level(lock, now)) {
        Some(lock) => lock.level.saturating_add(1),
        None => 0,
    }
}

/// A level is forgotten after twice the lock's length without failure.
fn remembers_level(lock: &Lock, now: UnixMs) -> bool {
    let length = lock.until.saturating_sub(lock.set_at).max(0);
    now.saturating_sub(lock.until) <= length.saturating_mul(2)
}

fn length_ms(cooldown: Cooldown, level: u8, settings: &LadderSettings) -> Option<i64> {
    let throttle = || settings.step_ms(level).min(LONGEST_MS);
    match cooldown {
        Cooldown::None | Cooldown::Dead(_) => None,
        Cooldown::Throttle => Some(throttle()),
        Cooldown::ThrottleFloor { floor_ms } => Some(throttle().max(floor_ms)),
        Cooldown::Transient => Some(doubled(TRANSIENT_BASE_MS, level, TRANSIENT_MAX_MS)),
        Cooldown::Quota { .. } => Some(doubled(QUOTA_BASE_MS, level, QUOTA_MAX_MS)),
        Cooldown::Steps(steps) => steps.get(usize::from(level)).or(steps.last()).copied(),
        Cooldown::OnceThenDead(_) => AUTH_STEPS.first().copied(),
    }
}

fn doubled(base: i64, level: u8, max: i64) -> i64 {
    let factor = 1_i64.checked_shl(u32::from(level.min(40))).unwrap_or(i64::MAX);
    base.max(SECOND).saturating_mul(factor).min(max.max(base).max(SECOND))
}

/// A lock's text for people.
fn reason(class: Class) -> &'static str {
    match class {
        Class::AuthExpired => "token refused",
        Class::AuthDead => "key rejected",
        Class::QuotaExhausted => "quota exhausted",
        Class::RateLimited => "rate limited",
        Class::Overloaded => "overloaded",
        Class::Transient => "failing",
        Class::ModelUnavailable => "model unavailable",
        Class::PaymentRequired => "top up",
        Class::AccountBanned => "suspended",
        Class::Entitlement => "not in plan",
        Class::BadRequest
        | Class::ContextTooLong
        | Class::ContentPolicy
        | Class::ClientNotPermitted
        | Class::EndpointMismatch
        | Class::ClientCancelled
        | Class::Unknown => "refused",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    #[test]
    fn a_window_without_a_reset_is_tried_again_after_15_30_60_minutes() {
        let now = 1_790_000_000_000;
        let mut locks = Vec::new();
        let mut at = now;
        for minutes in [15, 30, 60, 120, 240, 360, 360] {
            let lock = spent(&mut locks, &Scope::All, at).unwrap();
            assert_eq!(lock.until - at, minutes * MINUTE);
            assert_eq!(spent(&mut locks, &Scope::All, lock.until - 1), None, "it is locked");
            at = lock.until;
        }
    }

    #[test]
    fn overage_is_guarded_until_the_reset() {
        let now = 1_790_000_000_000;
        let mut locks = Vec::new();
        let lock = guard_overage(&mut locks, &Scope::All, Some(now + HOUR), now).unwrap();
        assert_eq!((lock.until, &*lock.reason), (now + HOUR, REASON_OVERAGE));
        assert_eq!(guard_overage(&mut locks, &Scope::All, Some(now + HOUR), now + 1), None);
        let family = Scope::Family("premium".into());
        let unknown = guard_overage(&mut locks, &family, None, now).unwrap();
        assert_eq!(unknown.until, now + 15 * MINUTE);
    }

    use super::*;
    use crate::routing::classify::Next;
    use crate::routing::verdict::{FORBIDDEN_STEPS, KEY_STEPS};

    const NOW: UnixMs = 1_782_907_200_000;
    const A: LadderSettings =
        LadderSettings { base: Duration::from_secs(2), max: Duration::from_secs(300) };

    fn failure(class: Class, cooldown: Cooldown) -> Classified {
        Classified {
            class,
            scope: Some(Scope::Model("m".into())),
            until: None,
            retry_same_after_ms: None,
            retry_same_max: 0,
            next: Next::NextAccount,
            penalize: true,
            cooldown,
            lower_concurrency: false,
            learned_window: None,
            rule: "test",
            status: Some(429),
            code: None,
            message: String::new(),
        }
    }

    fn throttle() -> Classified {
        failure(Class::RateLimited, Cooldown::Throttle)
    }

    /// Lengths in seconds of `n` locks, each failure arriving right after the last lock ran out.
    fn climb(failure: &Classified, n: usize) -> Vec<i64> {
        let mut memory = FailureMemory::default();
        let (mut locks, mut now, mut lengths) = (Vec::new(), NOW, Vec::new());
        let _ = memory.is_repeated(failure.scope.as_ref().unwrap(), now);
        while lengths.len() < n {
            let Outcome::Locked(lock) = apply(&mut locks, &mut memory, failure, now, 0, &A) else {
                panic!("no lock at step {}", lengths.len());
            };
            lengths.push((lock.until - now) / 1_000);
            now = lock.until + 1;
            if failure.cooldown == Cooldown::Transient {
                let _ = memory.is_repeated(failure.scope.as_ref().unwrap(), now);
            }
        }
        lengths
    }

    #[test]
    fn every_ladder_climbs_by_its_own_steps_to_its_ceiling() {
        let table = [
            (throttle(), vec![2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
            (failure(Class::Transient, Cooldown::Transient), vec![5, 10, 20, 40, 80, 120, 120]),
            (
                failure(Class::Transient, Cooldown::ThrottleFloor { floor_ms: 10_000 }),
                vec![10, 10, 10, 16, 32],
            ),
            (failure(Class::AuthExpired, Cooldown::Steps(AUTH_STEPS)), vec![120, 600, 1800, 1800]),
            (failure(Class::AuthDead, Cooldown::Steps(KEY_STEPS)), vec![1800, 1800]),
            (failure(Class::Unknown, Cooldown::Steps(FORBIDDEN_STEPS)), vec![300, 1800, 1800]),
            (
                failure(Class::QuotaExhausted, Cooldown::Quota { wide_jitter: false }),
                vec![900, 1800, 3600, 7200, 14400, 21600, 21600],
            ),
        ];
        for (failure, want) in table {
            assert_eq!(climb(&failure, want.len()), want, "{:?}", failure.cooldown);
        }
    }

    #[test]
    fn a_burst_of_fifty_parallel_429s_raises_the_ladder_by_one_level() {
        // accounts §7.3.8
        let (mut locks, mut memory) = (Vec::new(), FailureMemory::default());
        for i in 0..50 {
            apply(&mut locks, &mut memory, &throttle(), NOW + i, 0, &A);
        }
        assert_eq!(locks.len(), 1);
        assert_eq!((locks[0].level, locks[0].until), (0, NOW + 2_000));
        for i in 0..50 {
            apply(&mut locks, &mut memory, &throttle(), NOW + 2_100 + i, 0, &A);
        }
        assert_eq!((locks[0].level, locks[0].until), (1, NOW + 6_100));
    }

    #[test]
    fn a_hinted_burst_moves_the_lock_by_one_jitter_only() {
        let mut hinted = throttle();
        hinted.until = Some(NOW + 7_000);
        let (mut locks, mut memory) = (Vec::new(), FailureMemory::default());
        for i in 0..50 {
            apply(&mut locks, &mut memory, &hinted, NOW, i * 37, &A);
        }
        assert_eq!(locks[0].until, NOW + 7_000);
    }

    #[test]
    fn the_level_is_forgotten_after_twice_the_locks_length() {
        let last = Lock {
            scope: Scope::Model("m".into()),
            until: NOW,
            reason: "".into(),
            class: Class::RateLimited,
            level: 3,
            set_at: NOW - 16_000,
        };
        let level = |now| lock_for(&throttle(), Some(&last), now, 0, &A).unwrap().level;
        assert_eq!(level(NOW + 32_000), 4);
        assert_eq!(level(NOW + 32_001), 0);
    }

    #[test]
    fn hints_are_capped_by_what_their_class_may_claim() {
        let minute = 60_000;
        let table = [
            (Class::RateLimited, Cooldown::Throttle, 29 * minute, 29 * minute),
            (Class::RateLimited, Cooldown::Throttle, 300 * minute, 30 * minute),
            (
                Class::QuotaExhausted,
                Cooldown::Quota { wide_jitter: false },
                300 * minute,
                300 * minute,
            ),
            (Class::QuotaExhausted, Cooldown::Quota { wide_jitter: false }, 60 * DAY, 35 * DAY),
            (Class::RateLimited, Cooldown::Throttle, 1, 1_000),
            (Class::Transient, Cooldown::ThrottleFloor { floor_ms: 10_000 }, 3_000, 10_000),
        ];
        for (class, cooldown, ahead, want) in table {
            let mut failure = failure(class, cooldown);
            failure.until = Some(NOW + ahead);
            let lock = lock_for(&failure, None, NOW, 0, &A).unwrap();
            assert_eq!(lock.until - NOW, want, "{class:?} {ahead}");
        }
    }

    #[test]
    fn jitter_is_at_most_a_second_and_for_shared_resets_one_to_thirty() {
        for jitter in [0, 1, 999, 1_000, 1_001, 29_000, 29_001, u32::MAX] {
            let narrow = spread(Cooldown::Throttle, jitter);
            assert!((0..=1_000).contains(&narrow), "{jitter}");
            let wide = spread(Cooldown::Quota { wide_jitter: true }, jitter);
            assert!((1_000..=30_000).contains(&wide), "{jitter}");
        }
    }

    #[test]
    fn one_transient_failure_locks_nothing_and_two_within_a_minute_do() {
        let transient = failure(Class::Transient, Cooldown::Transient);
        let (mut locks, mut memory) = (Vec::new(), FailureMemory::default());
        assert_eq!(apply(&mut locks, &mut memory, &transient, NOW, 0, &A), Outcome::Unchanged);
        // The first is forgotten after 60 s.
        let later = NOW + 60_000;
        assert_eq!(apply(&mut locks, &mut memory, &transient, later, 0, &A), Outcome::Unchanged);
        let outcome = apply(&mut locks, &mut memory, &transient, later + 59_999, 0, &A);
        assert!(matches!(outcome, Outcome::Locked(lock) if lock.until == later + 59_999 + 5_000));
    }

    #[test]
    fn success_forgets_the_first_transient_failure() {
        let transient = failure(Class::Transient, Cooldown::Transient);
        let (mut locks, mut memory) = (Vec::new(), FailureMemory::default());
        apply(&mut locks, &mut memory, &transient, NOW, 0, &A);
        on_success(&mut locks, &mut memory, "m", &[], NOW, NOW + 10);
        assert_eq!(apply(&mut locks, &mut memory, &transient, NOW + 20, 0, &A), Outcome::Unchanged);
    }

    #[test]
    fn a_key_is_given_up_after_three_refusals_over_ten_minutes() {
        let refused = Classified {
            scope: Some(Scope::All),
            ..failure(Class::AuthDead, Cooldown::Steps(KEY_STEPS))
        };
        let (mut locks, mut memory) = (Vec::new(), FailureMemory::default());
        let mut at = |now| apply(&mut locks, &mut memory, &refused, now, 0, &A);
        assert!(matches!(at(NOW), Outcome::Locked(_)));
        assert_eq!(at(NOW + 1), Outcome::Unchanged);
        assert_eq!(at(NOW + 2), Outcome::Unchanged, "refusals of one burst are one incident");
        assert!(matches!(at(NOW + 31 * MINUTE), Outcome::Locked(_)));
        assert_eq!(at(NOW + 62 * MINUTE), Outcome::Dead(Dead::KeyRejected));
    }

    #[test]
    fn success_between_refusals_starts_the_count_anew() {
        let mut memory = FailureMemory::default();
        assert!(!memory.key_is_finished(NOW));
        assert!(!memory.key_is_finished(NOW + HOUR));
        memory.succeeded("m");
        assert!(!memory.key_is_finished(NOW + 2 * HOUR));
    }

    #[test]
    fn a_retired_service_is_dead_at_the_second_refusal() {
        let refused = failure(Class::AuthExpired, Cooldown::OnceThenDead(Dead::Retired));
        let (mut locks, mut memory) = (Vec::new(), FailureMemory::default());
        assert!(matches!(apply(&mut locks, &mut memory, &refused, NOW, 0, &A), Outcome::Locked(_)));
        assert_eq!(
            apply(&mut locks, &mut memory, &refused, NOW + 2 * MINUTE, 0, &A),
            Outcome::Dead(Dead::Retired)
        );
    }

    fn lock(scope: Scope, class: Class, set_at: UnixMs, until: UnixMs) -> Lock {
        Lock { scope, until, reason: "".into(), class, level: 0, set_at }
    }

    #[test]
    fn success_clears_only_its_own_scope_and_no_window_that_is_still_used_up() {
        let model = |m: &str| Scope::Model(m.into());
        let open = NOW + 10_000;
        // (lock, cleared by a success on model `a` of family `opus` that began at NOW)
        let table = [
            (lock(model("a"), Class::RateLimited, NOW - 5, open), true),
            (lock(model("a"), Class::RateLimited, NOW + 5, open), false),
            (lock(model("b"), Class::RateLimited, NOW - 5, open), false),
            (lock(Scope::All, Class::QuotaExhausted, NOW - 5, open), false),
            (lock(Scope::All, Class::QuotaExhausted, NOW - 5, NOW), true),
            (lock(Scope::All, Class::PaymentRequired, NOW - 5, open), false),
            (lock(Scope::All, Class::Transient, NOW - 5, open), true),
            (lock(Scope::Family("opus".into()), Class::QuotaExhausted, NOW - 5, open), false),
            (lock(Scope::Family("opus".into()), Class::QuotaExhausted, NOW - 5, NOW), true),
            (lock(Scope::Family("x".into()), Class::RateLimited, NOW - 5, NOW), false),
            (lock(Scope::Feature("fast".into()), Class::Entitlement, NOW - 5, open), false),
        ];
        for (lock, cleared) in table {
            let mut locks = vec![lock.clone()];
            let families = ["opus".to_owned()];
            let mut memory = FailureMemory::default();
            let went = on_success(&mut locks, &mut memory, "a", &families, NOW, NOW + 100);
            assert_eq!((went, locks.is_empty()), (cleared, cleared), "{lock:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_lock_eternal() {
        let year = 365 * DAY;
        // Set while the clock was ten years ahead, now it is right again.
        let mut locks = vec![
            lock(Scope::All, Class::RateLimited, NOW + 10 * year, NOW + 10 * year + 5_000),
            lock(Scope::Model("m".into()), Class::QuotaExhausted, NOW + HOUR, NOW + 2 * HOUR),
            lock(Scope::Family("f".into()), Class::QuotaExhausted, NOW - 1, NOW + DAY),
        ];
        assert!(shorten_future(&mut locks, NOW));
        assert_eq!(locks.iter().map(|l| l.until - NOW).collect::<Vec<_>>(), [5_000, HOUR, DAY]);
        assert!(!shorten_future(&mut locks, NOW), "once");
    }

    #[test]
    fn an_open_lock_of_another_class_does_not_hide_a_stronger_report() {
        let (mut locks, mut memory) = (Vec::new(), FailureMemory::default());
        apply(&mut locks, &mut memory, &throttle(), NOW, 0, &A);
        let quota = failure(Class::QuotaExhausted, Cooldown::Quota { wide_jitter: false });
        apply(&mut locks, &mut memory, &quota, NOW + 1, 0, &A);
        assert_eq!(locks[0].until, NOW + 1 + 15 * MINUTE);
        assert_eq!(&*locks[0].reason, REASON_QUOTA_UNKNOWN);
        // And the weaker one does not shorten it again.
        apply(&mut locks, &mut memory, &throttle(), NOW + 2, 0, &A);
        assert_eq!(locks[0].until, NOW + 1 + 15 * MINUTE);
    }

    fn any_lock() -> impl Strategy<Value = Lock> {
        let scope = prop_oneof![
            Just(Scope::All),
            "[ab]".prop_map(Scope::Model),
            "[ab]".prop_map(Scope::Family)
        ];
        let class = (0..Class::ALL.len()).prop_map(|i| Class::ALL[i]);
        (scope, any::<i32>(), class, any::<u8>(), any::<i32>()).prop_map(
            |(scope, until, class, level, set_at)| Lock {
                scope,
                until: until.into(),
                reason: "".into(),
                class,
                level,
                set_at: set_at.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn merging_never_shortens_and_keeps_one_lock_per_scope(
            news in proptest::collection::vec(any_lock(), 0..20)
        ) {
            let mut locks: Vec<Lock> = Vec::new();
            for new in news {
                let before = locks.clone();
                merge(&mut locks, new.clone());
                for old in &before {
                    let now = locks.iter().find(|l| l.scope == old.scope).unwrap();
                    prop_assert!(now.until >= old.until);
                }
                prop_assert!(locks.iter().any(|l| l.scope == new.scope && l.until >= new.until));
                let mut scopes: Vec<String> = locks.iter().map(|l| l.scope.to_string()).collect();
                scopes.sort();
                scopes.dedup();
                prop_assert_eq!(scopes.len(), locks.len());
            }
        }

        #[test]
        fn every_lock_lies_ahead_and_below_the_ceiling(
            current in any_lock(), until in any::<Option<i64>>(), jitter in any::<u32>(),
            class in (0..Class::ALL.len()).prop_map(|i| Class::ALL[i]),
            step in 0..6_usize, base in any::<u64>(), max in any::<u64>(),
        ) {
            let cooldown = [
                Cooldown::Throttle,
                Cooldown::ThrottleFloor { floor_ms: 10_000 },
                Cooldown::Transient,
                Cooldown::Quota { wide_jitter: true },
                Cooldown::Steps(AUTH_STEPS),
                Cooldown::OnceThenDead(Dead::Retired),
            ][step];
            let mut failure = failure(class, cooldown);
            failure.until = until;
            let settings =
                LadderSettings { base: Duration::from_secs(base), max: Duration::from_secs(max) };
            if let Some(lock) = lock_for(&failure, Some(&current), NOW, jitter, &settings) {
                prop_assert!(lock.until >= NOW + SECOND);
                prop_assert!(lock.until <= NOW + LONGEST_MS + 30 * SECOND);
            }
        }
    }
}
