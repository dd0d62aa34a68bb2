//! The request log: stored rows by filter and page, one of them with its attempts, and removing old ones.

use std::collections::HashMap;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use serde::{Serialize, Serializer};

use crate::clock::UnixMs;
use crate::store::column::hex;
use crate::store::error::StoreError;
use crate::store::schema::{attempts, requests};
use crate::store::usage::Filter;
use crate::store::usage::row::{AttemptRow, RequestRow, UsageRecord};
use crate::store::usage::write::{raw_attempt, raw_request};

/// Rows deleted in one transaction.
const STEP: i64 = 1_000;

/// A row of the request log. Members are named as the columns (storage §4.1), money with its unit.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Serialize)]
#[diesel(table_name = requests)]
#[expect(missing_docs, reason = "columns, described where they are written: `RequestRow`")]
pub struct StoredRequest {
    pub id: String,
    pub ts: UnixMs,
    pub external_id: Option<String>,
    pub api_key_id: Option<String>,
    pub api_key_name: Option<String>,
    pub tool: String,
    pub client_ip: Option<String>,
    #[serde(serialize_with = "as_hex")]
    pub session_hash: Option<Vec<u8>>,
    pub dialect: String,
    pub entrypoint: String,
    pub kind: String,
    pub stream: bool,
    pub requested_model: String,
    pub combo_id: Option<String>,
    pub combo_name: Option<String>,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub model_key: Option<String>,
    pub account_id: Option<String>,
    pub account_label: Option<String>,
    pub tier: Option<String>,
    pub exec_tier: Option<String>,
    pub entry_index: Option<i64>,
    pub status: String,
    pub http_status: i64,
    pub error_class: Option<String>,
    pub error_code: Option<String>,
    pub incomplete: bool,
    pub attempts: i64,
    pub fallback: bool,
    pub input_tokens: i64,
    pub cached_tokens: i64,
    pub cache_write_5m_tokens: i64,
    pub cache_write_1h_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_tokens: i64,
    pub estimated: bool,
    #[serde(rename = "list_umicro")]
    pub list_cost: Option<i64>,
    #[serde(rename = "paid_umicro")]
    pub paid_cost: Option<i64>,
    pub price_source: String,
    pub overage: bool,
    pub notional: bool,
    pub queue_ms: Option<i64>,
    pub ttft_ms: Option<i64>,
    pub total_ms: Option<i64>,
    pub bytes_in: i64,
    pub bytes_out: i64,
    pub captured: bool,
    pub body_bytes: i64,
}

/// A row of an attempt, or of a skip (storage §4.2).
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Serialize)]
#[diesel(table_name = attempts)]
#[expect(missing_docs, reason = "columns, described where they are written: `AttemptRow`")]
pub struct StoredAttempt {
    #[serde(skip)]
    pub request_id: String,
    pub n: i64,
    pub ts: UnixMs,
    pub target: String,
    pub entry_index: Option<i64>,
    pub account_id: Option<String>,
    pub account_label: Option<String>,
    pub outcome: String,
    pub class: Option<String>,
    pub upstream_status: Option<i64>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub next: String,
    pub until: Option<UnixMs>,
    pub connect_ms: Option<i64>,
    pub head_ms: Option<i64>,
    pub first_ms: Option<i64>,
    pub total_ms: Option<i64>,
}

fn as_hex<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
    bytes.as_deref().map(hex).serialize(to)
}

/// A row with the way it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The row.
    pub row: StoredRequest,
    /// Targets in the order they were met; one that was passed over begins with `skip:`.
    pub path: Vec<String>,
}

/// Which rows are wanted; `None` takes all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestFilter {
    /// Span and dimensions.
    pub usage: Filter,
    /// Part of an id, a model or an error.
    pub text: Option<String>,
    /// How it ended.
    pub status: Option<StatusFilter>,
    /// A stream was asked for.
    pub stream: Option<bool>,
    /// Somebody else served than the first choice.
    pub fallback: Option<bool>,
    /// Took at least so long.
    pub min_ms: Option<i64>,
    /// Bodies were captured.
    pub captured: Option<bool>,
    /// Only rows before this one: instant and id of the last that was shown.
    pub before: Option<(UnixMs, String)>,
}

/// How a request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StatusFilter {
    /// A word of the column: `ok`, `error`, `client_cancelled`, `rejected`.
    Word(String),
    /// An HTTP status.
    Http(i64),
    /// A class of HTTP statuses: 4 for 400 to 499.
    Class(i64),
}

type Query<'a> = requests::BoxedQuery<'a, Sqlite>;

fn filtered(filter: &RequestFilter) -> Query<'_> {
    let usage = &filter.usage;
    let mut query = requests::table
        .filter(requests::ts.ge(usage.from))
        .filter(requests::ts.lt(usage.to))
        .into_boxed();
    if let Some(id) = &usage.provider {
        query = query.filter(requests::provider.eq(id));
    }
    if let Some(id) = &usage.model {
        query = query.filter(requests::model.eq(id).or(requests::model_key.eq(id)));
    }
    if let Some(id) = &usage.account_id {
        query = query.filter(requests::account_id.eq(id));
    }
    if let Some(id) = &usage.api_key_id {
        query = query.filter(requests::api_key_id.eq(id));
    }
    if let Some(id) = &usage.combo_id {
        query = query.filter(requests::combo_id.eq(id));
    }
    if let Some(word) = &usage.tool {
        query = query.filter(requests::tool.eq(word));
    }
    if let Some(word) = &usage.tier {
        query = query.filter(requests::tier.eq(word));
    }
    match &filter.status {
        None => {}
        Some(StatusFilter::Word(word)) => query = query.filter(requests::status.eq(word)),
        Some(StatusFilter::Http(status)) => query = query.filter(requests::http_status.eq(status)),
        Some(StatusFilter::Class(class)) => {
            let from = class.saturating_mul(100);
            query = query.filter(requests::http_status.between(from, from.saturating_add(99)));
        }
    }
    if let Some(stream) = filter.stream {
        query = query.filter(requests::stream.eq(stream));
    }
    if let Some(fallback) = filter.fallback {
        query = query.filter(requests::fallback.eq(fallback));
    }
    if let Some(captured) = filter.captured {
        query = query.filter(requests::captured.eq(captured));
    }
    if let Some(ms) = filter.min_ms {
        query = query.filter(requests::total_ms.ge(ms));
    }
    if let Some(text) = &filter.text {
        let plain = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let part = ["%", &plain, "%"].concat();
        query = query.filter(
            requests::id
                .like(part.clone())
                .escape('\\')
                .or(requests::external_id.assume_not_null().like(part.clone()).escape('\\'))
                .or(requests::requested_model.like(part.clone()).escape('\\'))
                .or(requests::model_key.assume_not_null().like(part.clone()).escape('\\'))
                .or(requests::error_class.assume_not_null().like(part.clone()).escape('\\'))
                .or(requests::error_code.assume_not_null().like(part).escape('\\')),
        );
    }
    if let Some((ts, id)) = &filter.before {
        query = query
            .filter(requests::ts.lt(*ts).or(requests::ts.eq(*ts).and(requests::id.lt(id.clone()))));
    }
    query
}

/// The newest rows that fit, at most `limit`, each with the way it went.
///
/// # Errors
///
/// The database fails.
pub fn list_requests(
    conn: &mut SqliteConnection,
    filter: &RequestFilter,
    limit: usize,
) -> Result<Vec<Listed>, StoreError> {
    let rows: Vec<StoredRequest> = filtered(filter)
        .order((requests::ts.desc(), requests::id.desc()))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(StoredRequest::as_select())
        .load(conn)?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let mut paths: HashMap<String, Vec<String>> = HashMap::new();
    for ids in ids.chunks(500) {
        let steps: Vec<(String, String, String)> = attempts::table
            .filter(attempts::request_id.eq_any(ids))
            .order((attempts::request_id, attempts::n))
            .select((attempts::request_id, attempts::outcome, attempts::target))
            .load(conn)?;
        for (id, outcome, target) in steps {
            paths.entry(id).or_default().push(step(&outcome, target));
        }
    }
    Ok(rows
        .into_iter()
        .map(|row| Listed { path: paths.remove(&row.id).unwrap_or_default(), row })
        .collect())
}

/// A step of the way a request went.
fn step(outcome: &str, target: String) -> String {
    if outcome == "skipped" { ["skip:", &target].concat() } else { target }
}

/// One row with its attempts, by its own id or by the one its client was told.
///
/// # Errors
///
/// The database fails.
pub fn find_request(
    conn: &mut SqliteConnection,
    id: &str,
) -> Result<Option<(StoredRequest, Vec<StoredAttempt>)>, StoreError> {
    let row = requests::table.find(id).select(StoredRequest::as_select()).first(conn).optional()?;
    let Some(row) = row else { return Ok(None) };
    let steps = attempts::table
        .filter(attempts::request_id.eq(&row.id))
        .order(attempts::n)
        .select(StoredAttempt::as_select())
        .load(conn)?;
    Ok(Some((row, steps)))
}

/// A row that may not be stored yet, as it is going to be read.
impl From<&RequestRow> for StoredRequest {
    fn from(row: &RequestRow) -> Self {
        raw_request(row).read()
    }
}

impl StoredAttempt {
    /// An attempt of the request `request_id` that may not be stored yet, as it is going to be read.
    #[must_use]
    pub fn of(request_id: &str, row: &AttemptRow) -> Self {
        raw_attempt(request_id, row).read()
    }
}

impl From<&UsageRecord> for Listed {
    fn from(record: &UsageRecord) -> Self {
        let id = &record.request.id;
        let steps: Vec<_> =
            record.attempts.iter().map(|attempt| StoredAttempt::of(id, attempt)).collect();
        Self::of(StoredRequest::from(&record.request), &steps)
    }
}

impl Listed {
    /// The way of a row whose attempts are known.
    #[must_use]
    pub fn of(row: StoredRequest, steps: &[StoredAttempt]) -> Self {
        let path = steps.iter().map(|s| step(&s.outcome, s.target.clone())).collect();
        Self { row, path }
    }
}

/// One step of deleting rows from before `before`, with their attempts; sums stay. Returns how many rows went; 0 = done.
///
/// # Errors
///
/// The database fails; then nothing is deleted.
pub fn delete_requests(conn: &mut SqliteConnection, before: UnixMs) -> Result<usize, StoreError> {
    let old: Vec<String> = requests::table
        .filter(requests::ts.lt(before))
        .order(requests::ts)
        .select(requests::id)
        .limit(STEP)
        .load(conn)?;
    for ids in old.chunks(500) {
        diesel::delete(attempts::table.filter(attempts::request_id.eq_any(ids))).execute(conn)?;
        diesel::delete(requests::table.filter(requests::id.eq_any(ids))).execute(conn)?;
    }
    Ok(old.len())
}

/// What has no price: provider, model, and how many requests of the span that were.
///
/// # Errors
///
/// The database fails.
pub fn unpriced(
    conn: &mut SqliteConnection,
    filter: &RequestFilter,
) -> Result<Vec<(String, String, i64)>, StoreError> {
    let rows = filtered(filter)
        .filter(requests::list_cost.is_null())
        .select((requests::provider, requests::model));
    let mut counts: HashMap<(String, String), i64> = HashMap::new();
    // Row by row: there may be many, of few models.
    for row in rows.load_iter::<(Option<String>, Option<String>), DefaultLoadingMode>(conn)? {
        let (provider, model) = row?;
        *counts.entry((provider.unwrap_or_default(), model.unwrap_or_default())).or_default() += 1;
    }
    let mut all: Vec<_> =
        counts.into_iter().map(|((provider, model), n)| (provider, model, n)).collect();
    all.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| (&a.0, &a.1).cmp(&(&b.0, &b.1))));
    Ok(all)
}
