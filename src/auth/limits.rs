//! The limits of API keys: one table of counters that every worker reserves in (SEC-AK-5).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use thiserror::Error;

use super::key::KeyRecord;
use crate::clock::UnixMs;
use crate::id::KeyId;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
/// A total does not come back by itself; the operator may raise it, so ask again tomorrow.
const TOTAL_RETRY_S: u32 = 86_400;
/// `GET /v1/usage` per minute and key (endpoints §4.10).
const USAGE_QUERIES_PER_MINUTE: u32 = 60;

/// A limit that a key can have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LimitKind {
    /// Requests at one time.
    Concurrent,
    /// Requests in a calendar minute.
    RequestsPerMinute,
    /// Tokens in a calendar minute, charged when they are known.
    TokensPerMinute,
    /// Money per UTC day.
    UsdDay,
    /// Money per UTC month.
    UsdMonth,
    /// Money for the life of the key.
    UsdTotal,
}

impl LimitKind {
    /// As the usage view and the `x-ninerouter-limit-…` headers name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Concurrent => "concurrent",
            Self::RequestsPerMinute => "requests_per_minute",
            Self::TokensPerMinute => "tokens_per_minute",
            Self::UsdDay => "usd_day",
            Self::UsdMonth => "usd_month",
            Self::UsdTotal => "usd_total",
        }
    }

    /// True for budgets.
    #[must_use]
    pub fn is_money(self) -> bool {
        match self {
            Self::UsdDay | Self::UsdMonth | Self::UsdTotal => true,
            Self::Concurrent | Self::RequestsPerMinute | Self::TokensPerMinute => false,
        }
    }

    /// The error code of a refusal.
    #[must_use]
    pub fn code(self) -> &'static str {
        if self.is_money() { "budget_exceeded" } else { "rate_limit_exceeded" }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Concurrent => "requests at one time",
            Self::RequestsPerMinute => "requests per minute",
            Self::TokensPerMinute => "tokens per minute",
            Self::UsdDay => "spending per day",
            Self::UsdMonth => "spending per month",
            Self::UsdTotal => "total spending",
        }
    }
}

/// A limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("this API key has reached its limit of {}", .kind.words())]
pub struct LimitRefusal {
    /// Which one.
    pub kind: LimitKind,
    /// Seconds until it is worth asking again, at least 1.
    pub retry_after_s: u32,
}

/// What a key has spent so far, from the store, at start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// Micro-USD in the UTC day of the seed.
    pub day: i64,
    /// Micro-USD in the UTC month of the seed.
    pub month: i64,
    /// Micro-USD ever.
    pub total: i64,
}

/// One line of the `limits` array of `GET /v1/usage`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitView {
    /// Which limit.
    pub kind: LimitKind,
    /// Its value; micro-USD for money.
    pub limit: i64,
    /// What is used of it. Reserved money of running requests is not in it: the figure equals
    /// the key's usage rows.
    pub used: i64,
    /// When it starts anew; `None` where it does not.
    pub resets_at: Option<UnixMs>,
}

impl LimitView {
    /// What is left, never below 0.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        self.limit.saturating_sub(self.used).max(0)
    }

    /// As endpoints §4.10 writes it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (kind, resets_at) = (self.kind.as_str(), self.resets_at);
        let (limit, used, remaining) = (self.limit, self.used, self.remaining());
        if self.kind.is_money() {
            json!({"kind": kind, "limit_umicro": limit, "used_umicro": used,
                "remaining_umicro": remaining, "resets_at": resets_at})
        } else {
            json!({"kind": kind, "limit": limit, "used": used, "remaining": remaining,
                "resets_at": resets_at})
        }
    }
}

/// The counters of all keys. Cloning shares them; they outlive every change of the key ring.
#[derive(Clone, Debug, Default)]
pub struct Limits(Arc<ArcSwap<HashMap<KeyId, Arc<Slot>>>>);

impl Limits {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what a key has spent, at start and after its usage was corrected.
    pub fn seed(&self, key: KeyId, spent: Spent, now: UnixMs) {
        let slot = self.slot(key);
        let mut counters = slot.lock();
        counters.roll(now);
        (counters.day.spent, counters.month.spent) = (spent.day, spent.month);
        counters.total = spent.total;
    }

    /// Takes one request's share of the key's limits, all or nothing, in the order concurrency,
    /// rates, budget. `estimate_umicro` is what the request may cost (accounts §6.8); 0 when
    /// nobody knows.
    ///
    /// # Errors
    /// The first limit that is reached. Nothing is taken then.
    pub fn reserve(
        &self,
        key: &KeyRecord,
        estimate_umicro: i64,
        now: UnixMs,
    ) -> Result<KeyPermit, LimitRefusal> {
        let slot = self.slot(key.id);
        let mut counters = slot.lock();
        counters.roll(now);
        counters.check(key, now)?;
        let reserved = estimate_umicro.max(0);
        counters.in_flight = counters.in_flight.saturating_add(1);
        counters.requests = counters.requests.saturating_add(1);
        counters.reserved = counters.reserved.saturating_add(reserved);
        drop(counters);
        Ok(KeyPermit { slot, counts_money: key.limits_money(), reserved })
    }

    /// Counts one `GET /v1/usage`; its own limits do not touch it.
    ///
    /// # Errors
    /// After 60 in a minute.
    pub fn count_usage_query(&self, key: KeyId, now: UnixMs) -> Result<(), LimitRefusal> {
        let slot = self.slot(key);
        let mut counters = slot.lock();
        counters.roll(now);
        if counters.usage_queries >= USAGE_QUERIES_PER_MINUTE {
            let retry_after_s = seconds_until(counters.minute_end(), now);
            return Err(LimitRefusal { kind: LimitKind::RequestsPerMinute, retry_after_s });
        }
        counters.usage_queries += 1;
        Ok(())
    }

    /// The limits that the key has, and how they stand.
    #[must_use]
    pub fn usage_view(&self, key: &KeyRecord, now: UnixMs) -> Vec<LimitView> {
        let slot = self.slot(key.id);
        let mut counters = slot.lock();
        counters.roll(now);
        let minute_end = Some(counters.minute_end());
        let count = |limit: Option<u32>| limit.map(i64::from);
        let tokens = i64::try_from(counters.tokens).unwrap_or(i64::MAX);
        let all = [
            (LimitKind::RequestsPerMinute, count(key.rpm), counters.requests.into(), minute_end),
            (LimitKind::TokensPerMinute, count(key.tpm), tokens, minute_end),
            (LimitKind::Concurrent, count(key.max_concurrent), counters.in_flight.into(), None),
            (LimitKind::UsdDay, key.usd_day, counters.day.spent, Some(counters.day.ends_at)),
            (
                LimitKind::UsdMonth,
                key.usd_month,
                counters.month.spent,
                Some(counters.month.ends_at),
            ),
            (LimitKind::UsdTotal, key.usd_total, counters.total, None),
        ];
        all.into_iter()
            .filter_map(|(kind, limit, used, resets_at)| {
                limit.map(|limit| LimitView { kind, limit, used, resets_at })
            })
            .collect()
    }

    /// Forgets the keys that are no longer there. Running requests keep their counters.
    pub fn retain(&self, keys: &HashSet<KeyId>) {
        self.0.rcu(|map| {
            let kept = map.iter().filter(|(id, _slot)| keys.contains(id));
            kept.map(|(id, slot)| (*id, Arc::clone(slot))).collect::<HashMap<_, _>>()
        });
    }

    fn slot(&self, key: KeyId) -> Arc<Slot> {
        if let Some(slot) = self.0.load().get(&key) {
            return Arc::clone(slot);
        }
        // Two workers may get here at once: the first entry stays, both use it.
        let fresh = Arc::new(Slot::default());
        self.0.rcu(|map| {
            let mut map = HashMap::clone(map);
            map.entry(key).or_insert_with(|| Arc::clone(&fresh));
            map
        });
        self.0.load().get(&key).map_or(fresh, Arc::clone)
    }
}

/// One request's share of a key's limits. Dropped without [`KeyPermit::settle`] — client gone,
/// panic, time-out — it gives back the slot and the reserved money.
#[derive(Debug)]
#[must_use = "dropping it gives the share back at once"]
pub struct KeyPermit {
    slot: Arc<Slot>,
    counts_money: bool,
    reserved: i64,
}

impl KeyPermit {
    /// Charges what the request really used and gives the rest back.
    pub fn settle(self, tokens: u64, cost_umicro: i64, now: UnixMs) {
        let mut counters = self.slot.lock();
        counters.roll(now);
        counters.tokens = counters.tokens.saturating_add(tokens);
        let cost = cost_umicro.max(0);
        counters.day.spent = counters.day.spent.saturating_add(cost);
        counters.month.spent = counters.month.spent.saturating_add(cost);
        counters.total = counters.total.saturating_add(cost);
        // Dropping `self` gives the reservation back, after the spending is on the books.
    }

    /// True when the key's spending is limited: estimates matter.
    #[must_use]
    pub fn counts_money(&self) -> bool {
        self.counts_money
    }

    /// Reserves for another target, which may cost more or less than the first one.
    pub fn re_estimate(&mut self, estimate_umicro: i64) {
        let wanted = estimate_umicro.max(0);
        let mut counters = self.slot.lock();
        counters.reserved = counters.reserved.saturating_sub(self.reserved).saturating_add(wanted);
        drop(counters);
        self.reserved = wanted;
    }
}

impl Drop for KeyPermit {
    fn drop(&mut self) {
        self.slot.lock().give_back(self.reserved);
    }
}

/// The counters of one key. A mutex, not atomics: a reservation checks six numbers and changes
/// three, all or nothing; it is held for nanoseconds, never across an await.
#[derive(Debug, Default)]
struct Slot(Mutex<Counters>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Counters> {
        // Counters are numbers: a panic elsewhere leaves none half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Counters {
    in_flight: u32,
    /// Index of the calendar minute that the next three belong to.
    minute: i64,
    requests: u32,
    tokens: u64,
    usage_queries: u32,
    /// Estimates of running requests.
    reserved: i64,
    day: Window,
    month: Window,
    total: i64,
}

/// Money spent in a calendar window.
#[derive(Debug, Default)]
struct Window {
    spent: i64,
    ends_at: UnixMs,
}

impl Counters {
    /// Opens the windows of `now`. A clock that steps back keeps the later windows: a limit is
    /// never granted twice.
    fn roll(&mut self, now: UnixMs) {
        let minute = now.div_euclid(MINUTE_MS);
        if minute > self.minute {
            self.minute = minute;
            (self.requests, self.tokens, self.usage_queries) = (0, 0, 0);
        }
        if now >= self.day.ends_at {
            let ends_at = now.div_euclid(DAY_MS).saturating_add(1).saturating_mul(DAY_MS);
            self.day = Window { spent: 0, ends_at };
        }
        if now >= self.month.ends_at {
            self.month = Window { spent: 0, ends_at: end_of_month(now) };
        }
    }

    fn minute_end(&self) -> UnixMs {
        self.minute.saturating_add(1).saturating_mul(MINUTE_MS)
    }

    fn check(&self, key: &KeyRecord, now: UnixMs) -> Result<(), LimitRefusal> {
        let reached = |kind, retry_after_s| Err(LimitRefusal { kind, retry_after_s });
        if key.max_concurrent.is_some_and(|most| self.in_flight >= most) {
            // 1…3 s, spread so that refused clients do not come back together.
            let jitter = u32::try_from(now.rem_euclid(3)).unwrap_or(0);
            return reached(LimitKind::Concurrent, 1 + jitter);
        }
        let minute_left = seconds_until(self.minute_end(), now);
        if key.rpm.is_some_and(|most| self.requests >= most) {
            return reached(LimitKind::RequestsPerMinute, minute_left);
        }
        if key.tpm.is_some_and(|most| self.tokens >= u64::from(most)) {
            return reached(LimitKind::TokensPerMinute, minute_left);
        }
        let is_spent = |limit: Option<i64>, spent: i64| {
            limit.is_some_and(|limit| spent.saturating_add(self.reserved) >= limit)
        };
        // The longest wait is told: asking again after a shorter one would be in vain.
        if is_spent(key.usd_total, self.total) {
            return reached(LimitKind::UsdTotal, TOTAL_RETRY_S);
        }
        if is_spent(key.usd_month, self.month.spent) {
            return reached(LimitKind::UsdMonth, seconds_until(self.month.ends_at, now));
        }
        if is_spent(key.usd_day, self.day.spent) {
            return reached(LimitKind::UsdDay, seconds_until(self.day.ends_at, now));
        }
        Ok(())
    }

    fn give_back(&mut self, reserved: i64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.reserved = self.reserved.saturating_sub(reserved);
    }
}

fn seconds_until(then: UnixMs, now: UnixMs) -> u32 {
    let left_ms = then.saturating_sub(now).max(1);
    u32::try_from(left_ms.saturating_add(999) / 1000).unwrap_or(u32::MAX)
}

/// The first instant of the next UTC month.
fn end_of_month(now: UnixMs) -> UnixMs {
    let next = Timestamp::from_millisecond(now).ok().and_then(|now| {
        let first = TimeZone::UTC.to_datetime(now).date().first_of_month();
        let next = first.checked_add(1.month()).ok()?;
        TimeZone::UTC.to_timestamp(next.into()).ok()
    });
    // Out of the calendar's range only; a month of 31 days then.
    next.map_or_else(|| now.saturating_add(31 * DAY_MS), Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    /// 2026-11-24T18:05:00Z.
    const NOW: UnixMs = 1_795_543_500_000;

    fn key() -> KeyRecord {
        KeyRecord::unlimited(KeyId::new(), "k".into(), [0; 32])
    }

    fn refused(result: Result<KeyPermit, LimitRefusal>) -> (LimitKind, u32) {
        let refusal = result.unwrap_err();
        (refusal.kind, refusal.retry_after_s)
    }

    #[test]
    fn requests_per_minute_start_anew_with_the_minute() {
        let (limits, mut key) = (Limits::new(), key());
        key.rpm = Some(2);
        for _ in 0..2 {
            limits.reserve(&key, 0, NOW + 1).unwrap().settle(5, 0, NOW + 1);
        }
        assert_eq!(refused(limits.reserve(&key, 0, NOW + 1)), (LimitKind::RequestsPerMinute, 60));
        assert_eq!(
            refused(limits.reserve(&key, 0, NOW + 59_500)),
            (LimitKind::RequestsPerMinute, 1)
        );
        assert!(limits.reserve(&key, 0, NOW + 60_000).is_ok());
        assert!(limits.reserve(&key, 0, NOW).is_ok(), "a clock that steps back grants no more");
        assert!(limits.reserve(&key, 0, NOW).is_err());
    }

    #[test]
    fn tokens_are_charged_afterwards() {
        let (limits, mut key) = (Limits::new(), key());
        key.tpm = Some(100);
        let (one, two) = (limits.reserve(&key, 0, NOW), limits.reserve(&key, 0, NOW));
        one.unwrap().settle(90, 0, NOW);
        two.unwrap().settle(90, 0, NOW);
        assert_eq!(refused(limits.reserve(&key, 0, NOW)), (LimitKind::TokensPerMinute, 60));
    }

    #[test]
    fn t_ak_06_concurrency_is_released_on_end_drop_and_panic() {
        let (limits, mut key) = (Limits::new(), key());
        key.max_concurrent = Some(1);
        let permit = limits.reserve(&key, 7, NOW).unwrap();
        let (kind, retry) = refused(limits.reserve(&key, 7, NOW));
        assert_eq!(kind, LimitKind::Concurrent);
        assert!((1..=3).contains(&retry));
        permit.settle(1, 1, NOW);
        drop(limits.reserve(&key, 7, NOW).unwrap());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _permit = limits.reserve(&key, 7, NOW).unwrap();
            panic!("handler");
        }));
        assert!(panicked.is_err());
        assert!(limits.reserve(&key, 7, NOW).is_ok());
        assert_eq!(limits.slot(key.id).lock().reserved, 0);
        assert_eq!(limits.slot(key.id).lock().in_flight, 0);
    }

    #[test]
    fn t_ak_07_parallel_requests_overspend_by_the_in_flight_cost_at_most() {
        const CENT: i64 = 10_000;
        const COST: i64 = 900;
        let (limits, mut key) = (Limits::new(), key());
        key.usd_day = Some(CENT);
        limits.seed(key.id, Spent { day: 0, month: 0, total: 0 }, NOW);
        let passed: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..50).map(|_| scope.spawn(|| limits.reserve(&key, COST, NOW).ok())).collect();
            threads.into_iter().filter_map(|t| t.join().unwrap()).collect()
        });
        // 11 × 900 = 9 900 leaves something of the cent, so a twelfth may start; no thirteenth.
        assert_eq!(passed.len(), 12);
        let in_flight = COST * 12;
        passed.into_iter().for_each(|permit| permit.settle(10, COST, NOW));
        let spent = limits.slot(key.id).lock().day.spent;
        assert!(spent - CENT <= in_flight && spent < CENT + COST);
        assert_eq!(refused(limits.reserve(&key, 1, NOW)).0, LimitKind::UsdDay);
    }

    #[test]
    fn budgets_end_with_the_utc_day_and_month() {
        let (limits, mut key) = (Limits::new(), key());
        key.usd_day = Some(10);
        limits.seed(key.id, Spent { day: 10, month: 40, total: 400 }, NOW);
        let to_midnight = (5 * 3600 + 55 * 60) * 1000;
        assert_eq!(refused(limits.reserve(&key, 0, NOW)), (LimitKind::UsdDay, 5 * 3600 + 55 * 60));
        assert!(limits.reserve(&key, 0, NOW + to_midnight).is_ok());
        key.usd_month = Some(40);
        let to_december = to_midnight + 6 * DAY_MS;
        assert_eq!(
            refused(limits.reserve(&key, 0, NOW + to_midnight)),
            (LimitKind::UsdMonth, u32::try_from(6 * DAY_MS / 1000).unwrap())
        );
        assert!(limits.reserve(&key, 0, NOW + to_december).is_ok());
        key.usd_total = Some(400);
        assert_eq!(
            refused(limits.reserve(&key, 0, NOW + to_december)),
            (LimitKind::UsdTotal, TOTAL_RETRY_S)
        );
    }

    #[test]
    fn evaluation_goes_concurrency_then_rates_then_budget_and_takes_nothing_when_refused() {
        let (limits, mut key) = (Limits::new(), key());
        (key.max_concurrent, key.rpm, key.usd_total) = (Some(1), Some(2), Some(5));
        let permit = limits.reserve(&key, 0, NOW).unwrap();
        assert_eq!(refused(limits.reserve(&key, 0, NOW)).0, LimitKind::Concurrent);
        permit.settle(0, 5, NOW);
        assert_eq!(refused(limits.reserve(&key, 0, NOW)).0, LimitKind::UsdTotal);
        key.usd_total = None;
        limits.reserve(&key, 0, NOW).unwrap().settle(0, 0, NOW);
        assert_eq!(refused(limits.reserve(&key, 0, NOW)).0, LimitKind::RequestsPerMinute);
    }

    #[test]
    fn another_target_changes_the_reservation() {
        let (limits, mut key) = (Limits::new(), key());
        key.usd_total = Some(100);
        let mut permit = limits.reserve(&key, 100, NOW).unwrap();
        assert!(limits.reserve(&key, 1, NOW).is_err());
        permit.re_estimate(20);
        let other = limits.reserve(&key, 50, NOW).unwrap();
        drop((permit, other));
        assert_eq!(limits.slot(key.id).lock().reserved, 0);
    }

    #[test]
    fn the_view_has_the_limits_of_the_key_and_shrinks_with_use() {
        let (limits, mut key) = (Limits::new(), key());
        (key.rpm, key.max_concurrent) = (Some(60), Some(4));
        (key.usd_day, key.usd_total) = (Some(5_000_000), Some(9_000_000));
        let _running = limits.reserve(&key, 1_000, NOW).unwrap();
        limits.reserve(&key, 1_000, NOW).unwrap().settle(10, 410_000, NOW);
        let view: Vec<Value> =
            limits.usage_view(&key, NOW).iter().map(LimitView::to_json).collect();
        assert_eq!(
            view,
            [
                json!({"kind": "requests_per_minute", "limit": 60, "used": 2, "remaining": 58,
                    "resets_at": NOW + 60_000}),
                json!({"kind": "concurrent", "limit": 4, "used": 1, "remaining": 3,
                    "resets_at": null}),
                json!({"kind": "usd_day", "limit_umicro": 5_000_000, "used_umicro": 410_000,
                    "remaining_umicro": 4_590_000, "resets_at": 1_795_564_800_000_i64}),
                json!({"kind": "usd_total", "limit_umicro": 9_000_000, "used_umicro": 410_000,
                    "remaining_umicro": 8_590_000, "resets_at": null}),
            ]
        );
    }

    #[test]
    fn usage_queries_have_a_limit_of_their_own() {
        let (limits, key) = (Limits::new(), key());
        for _ in 0..60 {
            assert_eq!(limits.count_usage_query(key.id, NOW), Ok(()));
        }
        assert!(limits.count_usage_query(key.id, NOW).is_err());
        assert!(limits.count_usage_query(key.id, NOW + 60_000).is_ok());
        assert_eq!(limits.slot(key.id).lock().requests, 0);
    }

    #[test]
    fn forgotten_keys_do_not_disturb_running_requests() {
        let (limits, key) = (Limits::new(), key());
        let permit = limits.reserve(&key, 0, NOW).unwrap();
        limits.retain(&HashSet::new());
        permit.settle(1, 1, NOW);
        assert_eq!(limits.slot(key.id).lock().total, 0, "a new slot, not the old one");
    }

    #[test]
    fn months_end_where_the_calendar_says() {
        for (now, want) in [
            ("2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z"),
            ("2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-02-29T12:00:00Z", "2028-03-01T00:00:00Z"),
        ] {
            let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
            assert_eq!(end_of_month(ms(now)), ms(want), "{now}");
        }
        assert_eq!(end_of_month(i64::MAX - 1), i64::MAX);
    }
}
