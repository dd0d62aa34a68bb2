//! Sums over requests: what a batch adds to the aggregates, and where rows go when the queue is full.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::UnixMs;
use crate::id::{AccountId, ComboId, KeyId};
use crate::routing::account::Tier;
use crate::store::column;
use crate::store::usage::row::{RequestRow, RequestStatus};
use crate::store::usage::{UsageRecord, hour_of};

/// Buckets of a histogram: bucket k holds [2^k, 2^(k+1)) ms.
pub(super) const BUCKETS: usize = 24;

const MINUTE_MS: i64 = 60_000;

/// What aggregates are kept by; `""` = none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Dimensions {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) account_id: String,
    pub(super) api_key_id: String,
    pub(super) combo_id: String,
    pub(super) tool: String,
    pub(super) tier: String,
}

/// The numbers of one row of `usage_hourly` or `usage_daily`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Sums {
    pub(super) requests: i64,
    pub(super) ok: i64,
    pub(super) failed: i64,
    pub(super) cancelled: i64,
    pub(super) attempts: i64,
    pub(super) fallbacks: i64,
    pub(super) input_tokens: i64,
    pub(super) cached_tokens: i64,
    pub(super) cache_write_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) reasoning_tokens: i64,
    pub(super) list_cost: i64,
    pub(super) paid_cost: i64,
    pub(super) unpriced: i64,
    pub(super) ttft_hist: [u32; BUCKETS],
    pub(super) total_hist: [u32; BUCKETS],
}

/// Requests as sums, without their detail.
///
/// [`super::write_batch`] makes one of each batch. The Ledger keeps one when its queue is full
/// (REL-DB-3): numbers are kept, detail is lost.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FoldedAggregates {
    pub(super) hourly: BTreeMap<(i64, Dimensions), Sums>,
    pub(super) daily: BTreeMap<(String, Dimensions), Sums>,
    pub(super) errors: BTreeMap<(i64, String, String), i64>,
    pub(super) counters: BTreeMap<String, i64>,
    requests: u64,
}

impl FoldedAggregates {
    /// Adds one request; its day is the local date in `zone`.
    pub fn add(&mut self, record: &UsageRecord, zone: &TimeZone) {
        self.add_all([&record.request], zone);
    }

    /// Adds requests. Those that belong together are summed first: names and dates are made for each sum, not for
    /// each request.
    pub(super) fn add_all<'a>(
        &mut self,
        rows: impl IntoIterator<Item = &'a RequestRow>,
        zone: &TimeZone,
    ) {
        let mut groups: HashMap<Group<'_>, Sums> = HashMap::new();
        for row in rows {
            groups.entry(Group::of(row)).or_default().add(row);
            if let Some(class) = &row.error_class {
                let provider = row.provider.clone().unwrap_or_default();
                let error = (hour_of(row.ts), provider, class.clone());
                *self.errors.entry(error).or_default() += 1;
            }
        }
        for (group, sums) in groups {
            let requests = u64::try_from(sums.requests).unwrap_or(0);
            *self.counters.entry("requests_lifetime".to_owned()).or_default() += sums.requests;
            if let (Some(key), true) = (group.api_key, sums.paid_cost != 0) {
                let spent = self.counters.entry(spent_counter(&key.to_string())).or_default();
                *spent = spent.saturating_add(sums.paid_cost);
            }
            let ts = group.minute.saturating_mul(MINUTE_MS);
            let dimensions = Dimensions::of(&group);
            let day = (local_date(ts, zone), dimensions.clone());
            self.daily.entry(day).or_default().merge(&sums);
            self.hourly.entry((hour_of(ts), dimensions)).or_default().merge(&sums);
            self.requests += requests;
        }
    }

    /// Adds what another one holds.
    pub fn merge(&mut self, other: Self) {
        for (key, sums) in other.hourly {
            self.hourly.entry(key).or_default().merge(&sums);
        }
        for (key, sums) in other.daily {
            self.daily.entry(key).or_default().merge(&sums);
        }
        for (key, count) in other.errors {
            *self.errors.entry(key).or_default() += count;
        }
        for (name, count) in other.counters {
            let sum = self.counters.entry(name).or_default();
            *sum = sum.saturating_add(count);
        }
        self.requests += other.requests;
    }

    /// Requests folded in.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// True when nothing is folded in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }
}

/// Name of the counter of what a key has spent for ever.
pub(super) fn spent_counter(key_id: &str) -> String {
    ["key_spent:", key_id].concat()
}

/// `yyyy-mm-dd` in the operator's zone.
pub(super) fn local_date(ts: UnixMs, zone: &TimeZone) -> String {
    let instant = Timestamp::from_millisecond(ts).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(instant).date().to_string()
}

/// What requests have in common that are summed together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Group<'a> {
    /// Hours and local dates change at full minutes.
    minute: i64,
    provider: &'a str,
    model: &'a str,
    account: Option<AccountId>,
    api_key: Option<KeyId>,
    combo: Option<ComboId>,
    tool: &'a str,
    tier: Option<Tier>,
}

impl<'a> Group<'a> {
    fn of(row: &'a RequestRow) -> Self {
        Self {
            minute: row.ts.div_euclid(MINUTE_MS),
            provider: row.provider.as_deref().unwrap_or_default(),
            model: row.model.as_deref().unwrap_or_default(),
            account: row.account_id,
            api_key: row.api_key_id,
            combo: row.combo_id,
            tool: &row.tool,
            tier: row.tier,
        }
    }
}

impl Dimensions {
    fn of(group: &Group<'_>) -> Self {
        Self {
            provider: group.provider.to_owned(),
            model: group.model.to_owned(),
            account_id: group.account.map(|id| id.to_string()).unwrap_or_default(),
            api_key_id: group.api_key.map(|id| id.to_string()).unwrap_or_default(),
            combo_id: group.combo.map(|id| id.to_string()).unwrap_or_default(),
            tool: group.tool.to_owned(),
            tier: group.tier.map(|tier| column::tier_text(tier).to_owned()).unwrap_or_default(),
        }
    }
}

impl Sums {
    /// Adds one request. A sum that would overflow stays at its greatest value.
    fn add(&mut self, row: &RequestRow) {
        let (ok, failed, cancelled) = match row.status {
            RequestStatus::Ok => (1, 0, 0),
            RequestStatus::Error | RequestStatus::Rejected => (0, 1, 0),
            RequestStatus::ClientCancelled => (0, 0, 1),
        };
        let cache_write =
            count(row.cache_write_5m_tokens).saturating_add(count(row.cache_write_1h_tokens));
        for (sum, more) in [
            (&mut self.requests, 1),
            (&mut self.ok, ok),
            (&mut self.failed, failed),
            (&mut self.cancelled, cancelled),
            (&mut self.attempts, i64::from(row.attempts)),
            (&mut self.fallbacks, i64::from(row.fallback)),
            (&mut self.input_tokens, count(row.input_tokens)),
            (&mut self.cached_tokens, count(row.cached_tokens)),
            (&mut self.cache_write_tokens, cache_write),
            (&mut self.output_tokens, count(row.output_tokens)),
            (&mut self.reasoning_tokens, count(row.reasoning_tokens)),
            (&mut self.list_cost, row.list_cost.unwrap_or(0)),
            (&mut self.paid_cost, row.paid_cost.unwrap_or(0)),
            (&mut self.unpriced, i64::from(row.list_cost.is_none())),
        ] {
            *sum = sum.saturating_add(more);
        }
        note(&mut self.ttft_hist, row.ttft_ms);
        note(&mut self.total_hist, row.total_ms);
    }

    /// Adds `other`. A sum that would overflow stays at its greatest value.
    pub(super) fn merge(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.ok, other.ok),
            (&mut self.failed, other.failed),
            (&mut self.cancelled, other.cancelled),
            (&mut self.attempts, other.attempts),
            (&mut self.fallbacks, other.fallbacks),
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.cached_tokens, other.cached_tokens),
            (&mut self.cache_write_tokens, other.cache_write_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.reasoning_tokens, other.reasoning_tokens),
            (&mut self.list_cost, other.list_cost),
            (&mut self.paid_cost, other.paid_cost),
            (&mut self.unpriced, other.unpriced),
        ] {
            *sum = sum.saturating_add(more);
        }
        for (own, more) in
            [(&mut self.ttft_hist, &other.ttft_hist), (&mut self.total_hist, &other.total_hist)]
        {
            for (bucket, more) in own.iter_mut().zip(more) {
                *bucket = bucket.saturating_add(*more);
            }
        }
    }
}

/// A count as SQLite keeps it.
pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn note(hist: &mut [u32; BUCKETS], ms: Option<u32>) {
    let Some(ms) = ms else { return };
    let bucket = usize::try_from(ms.max(1).ilog2()).unwrap_or(BUCKETS);
    if let Some(n) = hist.get_mut(bucket.min(BUCKETS - 1)) {
        *n = n.saturating_add(1);
    }
}

/// The bytes of a histogram: u32, little endian.
pub(super) fn hist_bytes(hist: &[u32; BUCKETS]) -> Vec<u8> {
    hist.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// `None` when the bytes have another length.
pub(super) fn hist_from(bytes: &[u8]) -> Option<[u32; BUCKETS]> {
    let (words, rest) = bytes.as_chunks::<4>();
    let words: &[[u8; 4]; BUCKETS] = words.try_into().ok()?;
    rest.is_empty().then(|| words.map(u32::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_in_the_bucket_of_its_power_of_two() {
        for (ms, bucket) in
            [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (1023, 9), (1024, 10), (u32::MAX, 23)]
        {
            let mut hist = [0; BUCKETS];
            note(&mut hist, Some(ms));
            assert_eq!(hist.iter().position(|n| *n == 1), Some(bucket), "{ms} ms");
            assert_eq!(hist_from(&hist_bytes(&hist)), Some(hist));
        }
        assert_eq!(hist_from(&[0; 95]), None);
        assert_eq!(hist_from(&[0; 97]), None);
    }

    #[test]
    fn the_day_is_the_local_date_of_the_request() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        // 2026-10-24T22:30Z is 00:30 of the 25th in summer time; a day later 22:30Z is 23:30.
        let ts = 1_792_881_000_000;
        assert_eq!(local_date(ts, &berlin), "2026-10-25");
        assert_eq!(local_date(ts + 86_400_000, &berlin), "2026-10-25");
        assert_eq!(local_date(ts, &TimeZone::UTC), "2026-10-24");
    }
}
