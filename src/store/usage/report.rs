//! Sums of usage over a period, as a whole or by one dimension, from the hourly aggregates.

use std::collections::BTreeMap;

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::store::error::StoreError;
use crate::store::schema::{error_hourly as errors, usage_hourly as hourly};
use crate::store::usage::fold::{BUCKETS, hist_from};

/// What usage is counted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dimension {
    /// Provider.
    Provider,
    /// Provider and model.
    Model,
    /// Account.
    Account,
    /// API key.
    Key,
    /// Combo.
    Combo,
    /// Client tool.
    Tool,
    /// Price class.
    Tier,
}

impl Dimension {
    /// The dimension of its word in the API.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "provider" => Some(Self::Provider),
            "model" => Some(Self::Model),
            "account" => Some(Self::Account),
            "key" => Some(Self::Key),
            "combo" => Some(Self::Combo),
            "tool" => Some(Self::Tool),
            "tier" => Some(Self::Tier),
            _ => None,
        }
    }
}

/// Which usage is counted; `None` counts all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// From this hour on, Unix ms.
    pub from: UnixMs,
    /// Hours that begin before this instant, Unix ms.
    pub to: UnixMs,
    /// Provider id.
    pub provider: Option<String>,
    /// Upstream's model id.
    pub model: Option<String>,
    /// Account id.
    pub account_id: Option<String>,
    /// Key id.
    pub api_key_id: Option<String>,
    /// Combo id.
    pub combo_id: Option<String>,
    /// Client tool.
    pub tool: Option<String>,
    /// Price class.
    pub tier: Option<String>,
}

/// Sums over a period.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Requests.
    pub requests: i64,
    /// Of these, served.
    pub ok: i64,
    /// Of these, failed or refused.
    pub failed: i64,
    /// Input tokens, with cache.
    pub input_tokens: i64,
    /// Input tokens read from the cache.
    pub cached_tokens: i64,
    /// Input tokens written to the cache.
    pub cache_write_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Of these, spent on reasoning.
    pub reasoning_tokens: i64,
    /// Micro-dollars paid.
    pub paid_umicro: i64,
    /// Micro-dollars at list price.
    pub list_umicro: i64,
    /// Requests without a known price.
    pub unpriced_requests: i64,
    /// Start of the last hour with a request, Unix ms; 0 = none.
    pub last_hour: UnixMs,
    ttft: [u64; BUCKETS],
    total: [u64; BUCKETS],
}

impl Totals {
    /// Time to the first content that `percent` of the requests did not exceed, ms. Upper end of a bucket that
    /// doubles from one to the next.
    #[must_use]
    pub fn ttft_ms(&self, percent: u64) -> Option<u64> {
        percentile(&self.ttft, percent)
    }

    /// The same for the whole request.
    #[must_use]
    pub fn total_ms(&self, percent: u64) -> Option<u64> {
        percentile(&self.total, percent)
    }

    fn add(&mut self, row: &Raw) {
        let sums = [
            (&mut self.requests, row.requests),
            (&mut self.ok, row.ok),
            (&mut self.failed, row.failed),
            (&mut self.input_tokens, row.input_tokens),
            (&mut self.cached_tokens, row.cached_tokens),
            (&mut self.cache_write_tokens, row.cache_write_tokens),
            (&mut self.output_tokens, row.output_tokens),
            (&mut self.reasoning_tokens, row.reasoning_tokens),
            (&mut self.paid_umicro, row.paid_cost),
            (&mut self.list_umicro, row.list_cost),
            (&mut self.unpriced_requests, row.unpriced),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
        self.last_hour = self.last_hour.max(row.hour);
        for (sum, bytes) in [(&mut self.ttft, &row.ttft_hist), (&mut self.total, &row.total_hist)] {
            // One damaged histogram is no reason to show no sums.
            for (sum, more) in sum.iter_mut().zip(hist_from(bytes).unwrap_or_default()) {
                *sum = sum.saturating_add(more.into());
            }
        }
    }
}

fn percentile(buckets: &[u64; BUCKETS], percent: u64) -> Option<u64> {
    let all: u64 = buckets.iter().sum();
    let wanted = (all.saturating_mul(percent)).div_ceil(100).max(1);
    let mut seen = 0;
    let mut end = 2_u64;
    for count in buckets {
        seen += count;
        if seen >= wanted {
            return Some(end);
        }
        end = end.saturating_mul(2);
    }
    None
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = hourly)]
struct Raw {
    hour: UnixMs,
    provider: String,
    model: String,
    account_id: String,
    api_key_id: String,
    combo_id: String,
    tool: String,
    tier: String,
    requests: i64,
    ok: i64,
    failed: i64,
    input_tokens: i64,
    cached_tokens: i64,
    cache_write_tokens: i64,
    output_tokens: i64,
    reasoning_tokens: i64,
    list_cost: i64,
    paid_cost: i64,
    unpriced: i64,
    ttft_hist: Vec<u8>,
    total_hist: Vec<u8>,
}

impl Raw {
    fn group(&self, by: Dimension) -> (String, String) {
        let one = |id: &String| (id.clone(), String::new());
        match by {
            Dimension::Provider => one(&self.provider),
            Dimension::Model => (self.provider.clone(), self.model.clone()),
            Dimension::Account => one(&self.account_id),
            Dimension::Key => one(&self.api_key_id),
            Dimension::Combo => one(&self.combo_id),
            Dimension::Tool => one(&self.tool),
            Dimension::Tier => one(&self.tier),
        }
    }
}

/// What was used, as a whole.
///
/// # Errors
///
/// The database fails.
pub fn summary(conn: &mut SqliteConnection, filter: &Filter) -> Result<Totals, StoreError> {
    let mut totals = Totals::default();
    each(conn, filter, |row| totals.add(row))?;
    Ok(totals)
}

/// What was used, by one dimension: its id (of a model provider and model), and the sums. `""` = none.
///
/// # Errors
///
/// The database fails.
pub fn by(
    conn: &mut SqliteConnection,
    filter: &Filter,
    dimension: Dimension,
) -> Result<BTreeMap<(String, String), Totals>, StoreError> {
    let mut groups: BTreeMap<(String, String), Totals> = BTreeMap::new();
    each(conn, filter, |row| groups.entry(row.group(dimension)).or_default().add(row))?;
    Ok(groups)
}

/// Figures of one bucket of a series.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Point {
    /// Requests.
    pub requests: i64,
    /// Tokens, in and out.
    pub tokens: i64,
    /// Micro-dollars paid.
    pub paid_umicro: i64,
    /// Micro-dollars at list price.
    pub list_umicro: i64,
}

/// Series by group: its id (of a model provider and model), and a point for each bucket. `bucket` places an hour.
///
/// # Errors
///
/// The database fails.
pub fn series(
    conn: &mut SqliteConnection,
    filter: &Filter,
    dimension: Dimension,
    buckets: usize,
    bucket: impl Fn(UnixMs) -> Option<usize>,
) -> Result<BTreeMap<(String, String), Vec<Point>>, StoreError> {
    let mut groups: BTreeMap<(String, String), Vec<Point>> = BTreeMap::new();
    each(conn, filter, |row| {
        let points = groups.entry(row.group(dimension)).or_insert_with(|| empty(buckets));
        let Some(point) = bucket(row.hour).and_then(|at| points.get_mut(at)) else { return };
        point.requests = point.requests.saturating_add(row.requests);
        point.tokens =
            point.tokens.saturating_add(row.input_tokens.saturating_add(row.output_tokens));
        point.paid_umicro = point.paid_umicro.saturating_add(row.paid_cost);
        point.list_umicro = point.list_umicro.saturating_add(row.list_cost);
    })?;
    Ok(groups)
}

/// The same for classes of errors, of which only the number is known.
///
/// # Errors
///
/// The database fails.
pub fn error_series(
    conn: &mut SqliteConnection,
    filter: &Filter,
    buckets: usize,
    bucket: impl Fn(UnixMs) -> Option<usize>,
) -> Result<BTreeMap<(String, String), Vec<Point>>, StoreError> {
    let mut query = errors::table
        .filter(errors::hour.ge(filter.from))
        .filter(errors::hour.lt(filter.to))
        .select((errors::hour, errors::error_class, errors::count))
        .into_boxed();
    if let Some(id) = &filter.provider {
        query = query.filter(errors::provider.eq(id));
    }
    let rows: Vec<(UnixMs, String, i64)> = query.load(conn)?;
    let mut groups: BTreeMap<(String, String), Vec<Point>> = BTreeMap::new();
    for (hour, class, count) in rows {
        let points = groups.entry((class, String::new())).or_insert_with(|| empty(buckets));
        if let Some(point) = bucket(hour).and_then(|at| points.get_mut(at)) {
            point.requests = point.requests.saturating_add(count);
        }
    }
    Ok(groups)
}

fn empty(buckets: usize) -> Vec<Point> {
    vec![Point::default(); buckets]
}

/// Row by row: histograms have no sum in SQL, and years of hours need not be in memory at once.
fn each(
    conn: &mut SqliteConnection,
    filter: &Filter,
    mut take: impl FnMut(&Raw),
) -> Result<(), StoreError> {
    let mut query = hourly::table
        .filter(hourly::hour.ge(filter.from))
        .filter(hourly::hour.lt(filter.to))
        .select(Raw::as_select())
        .into_boxed();
    if let Some(id) = &filter.provider {
        query = query.filter(hourly::provider.eq(id));
    }
    if let Some(id) = &filter.model {
        query = query.filter(hourly::model.eq(id));
    }
    if let Some(id) = &filter.account_id {
        query = query.filter(hourly::account_id.eq(id));
    }
    if let Some(id) = &filter.api_key_id {
        query = query.filter(hourly::api_key_id.eq(id));
    }
    if let Some(id) = &filter.combo_id {
        query = query.filter(hourly::combo_id.eq(id));
    }
    if let Some(word) = &filter.tool {
        query = query.filter(hourly::tool.eq(word));
    }
    if let Some(word) = &filter.tier {
        query = query.filter(hourly::tier.eq(word));
    }
    for row in query.load_iter::<Raw, diesel::connection::DefaultLoadingMode>(conn)? {
        take(&row?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_upper_end_of_their_bucket() {
        let mut buckets = [0; BUCKETS];
        assert_eq!(percentile(&buckets, 50), None);
        // Ninety requests of 4 to 8 ms, ten of 1,024 to 2,048 ms.
        (buckets[2], buckets[10]) = (90, 10);
        assert_eq!(percentile(&buckets, 50), Some(8));
        assert_eq!(percentile(&buckets, 90), Some(8));
        assert_eq!(percentile(&buckets, 95), Some(2_048));
    }
}
