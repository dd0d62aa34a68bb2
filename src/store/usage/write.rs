//! Writing usage: rows and aggregates of a batch in one transaction (`storage.md` §4.3).

use std::fmt;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use jiff::tz::TimeZone;

use crate::clock::UnixMs;
use crate::id::KeyId;
use crate::store::api_keys;
use crate::store::column;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::schema::{counters, error_hourly, usage_daily, usage_hourly};
use crate::store::usage::fold::{Dimensions, FoldedAggregates, Sums, count, hist_bytes, hist_from};
use crate::store::usage::insert::{RawAttempt, RawRequest};
use crate::store::usage::row::{self, AttemptRow, RequestRow, UsageRecord};

/// Longest message of an attempt, in characters.
const MESSAGE: usize = 500;
/// Source of our own daily sums; imported ones are `import:<id>`.
pub(super) const OWN: &str = "own";

/// Counter that a probe writes.
const PROBE: &str = "write_probe";

/// The last use of an API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// The key.
    pub id: KeyId,
    /// When, Unix ms.
    pub at: UnixMs,
    /// By which tool.
    pub tool: String,
    /// From where.
    pub client_ip: Option<String>,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchReport {
    /// Requests stored.
    pub written: usize,
    /// Requests whose id was stored before; ignored, not counted again.
    pub duplicates: usize,
    /// Rows the schema refused: a fault of ours, logged.
    pub refused: usize,
}

/// Writes a batch: requests, attempts, hourly and daily sums, error counts and counters, and on top
/// what was folded while the queue was full (REL-DB-3).
///
/// `zone` is the setting `timezone`. A request whose id is stored already is left out everywhere.
///
/// # Errors
///
/// The database fails: then nothing of the batch is stored, and it can be written again.
pub fn write_batch(
    conn: &mut SqliteConnection,
    batch: &[UsageRecord],
    folded: &FoldedAggregates,
    zone: &TimeZone,
) -> Result<BatchReport, StoreError> {
    conn.immediate_transaction(|conn| {
        let mut report = BatchReport::default();
        let mut counted = Vec::with_capacity(batch.len());
        for record in batch {
            match insert_request(conn, &record.request)? {
                Inserted::Yes => report.written += 1,
                Inserted::Duplicate => {
                    report.duplicates += 1;
                    continue;
                }
                Inserted::Refused => report.refused += 1,
            }
            // Refused rows count all the same: sums may lack detail, never numbers.
            counted.push(&record.request);
            for attempt in &record.attempts {
                if insert_attempt(conn, &record.request.id, attempt)? == Inserted::Refused {
                    report.refused += 1;
                }
            }
        }
        let mut sums = folded.clone();
        sums.add_all(counted, zone);
        add_folded(conn, &sums)?;
        Ok(report)
    })
}

/// The Ledger's connection and zone. Blocking; lives on the Ledger's own thread.
pub struct UsageWriter {
    connection: SqliteConnection,
    zone: TimeZone,
}

impl fmt::Debug for UsageWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageWriter").field("zone", &self.zone).finish_non_exhaustive()
    }
}

impl Store {
    /// A writer of usage rows with a connection of its own (REL-DB-1, batch).
    ///
    /// # Errors
    ///
    /// The database cannot be opened, or the store is closed. That of a store open for reading only refuses each row.
    pub fn usage_writer(&self, zone: TimeZone) -> Result<UsageWriter, StoreError> {
        let connection = match self.batch_connection() {
            Err(StoreError::ReadOnly) => self.spare_reader()?,
            other => other?,
        };
        Ok(UsageWriter { connection, zone })
    }
}

impl UsageWriter {
    /// See [`write_batch`].
    ///
    /// # Errors
    ///
    /// The database fails: then nothing is stored, and it can be written again.
    pub fn write(
        &mut self,
        batch: &[UsageRecord],
        folded: &FoldedAggregates,
    ) -> Result<BatchReport, StoreError> {
        write_batch(&mut self.connection, batch, folded, &self.zone)
    }

    /// Writes something without meaning, to learn whether the database takes writes.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn probe(&mut self, now: UnixMs) -> Result<(), StoreError> {
        self.connection.immediate_transaction(|conn| {
            diesel::insert_into(counters::table)
                .values((counters::name.eq(PROBE), counters::value.eq(now)))
                .on_conflict(counters::name)
                .do_update()
                .set(counters::value.eq(now))
                .execute(conn)?;
            Ok(())
        })
    }

    /// Notes the last use of keys.
    ///
    /// # Errors
    ///
    /// The database fails: then none is noted.
    pub fn note_key_uses(&mut self, uses: &[KeyUse]) -> Result<(), StoreError> {
        self.connection.immediate_transaction(|conn| {
            for one in uses {
                let from = serde_json::json!({"tool": one.tool, "ip": one.client_ip});
                api_keys::touch(conn, one.id, one.at, &from)?;
            }
            Ok(())
        })
    }

    /// The zone of daily sums.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inserted {
    Yes,
    Duplicate,
    Refused,
}

fn insert_request(
    conn: &mut SqliteConnection,
    request: &RequestRow,
) -> Result<Inserted, StoreError> {
    judge(raw_request(request).execute(conn), &request.id)
}

fn insert_attempt(
    conn: &mut SqliteConnection,
    request_id: &str,
    attempt: &AttemptRow,
) -> Result<Inserted, StoreError> {
    judge(raw_attempt(request_id, attempt).execute(conn), request_id)
}

/// A row that is stored already is left out, and one the schema refuses must not hold up the rest of
/// the batch for ever. Both end their statement alone, not the transaction.
fn judge(inserted: QueryResult<usize>, request_id: &str) -> Result<Inserted, StoreError> {
    match inserted {
        Ok(_) => Ok(Inserted::Yes),
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            Ok(Inserted::Duplicate)
        }
        Err(DieselError::DatabaseError(DatabaseErrorKind::CheckViolation, info)) => {
            tracing::error!(request.id = %request_id, check = info.message(), "usage row refused");
            Ok(Inserted::Refused)
        }
        Err(other) => Err(other.into()),
    }
}

/// The columns of a request.
pub(super) fn raw_request(row: &RequestRow) -> RawRequest<'_> {
    RawRequest {
        id: &row.id,
        ts: row.ts,
        external_id: row.external_id.as_deref(),
        api_key_id: row.api_key_id.map(|id| id.to_string()),
        api_key_name: row.api_key_name.as_deref(),
        tool: &row.tool,
        client_ip: row.client_ip.as_deref(),
        session_hash: row.session_hash.as_ref().map(<[u8; 32]>::as_slice),
        dialect: row::dialect_text(row.dialect),
        entrypoint: &row.entrypoint,
        kind: row::request_kind_text(row.kind),
        stream: row.stream,
        requested_model: &row.requested_model,
        combo_id: row.combo_id.map(|id| id.to_string()),
        combo_name: row.combo_name.as_deref(),
        provider: row.provider.as_deref(),
        model: row.model.as_deref(),
        model_key: row.model_key.as_deref(),
        account_id: row.account_id.map(|id| id.to_string()),
        account_label: row.account_label.as_deref(),
        tier: row.tier.map(column::tier_text),
        exec_tier: row.exec_tier.map(row::exec_tier_text),
        entry_index: row.entry_index.map(i64::from),
        status: row::status_text(row.status),
        http_status: i64::from(row.http_status),
        error_class: row.error_class.as_deref(),
        error_code: row.error_code.as_deref(),
        incomplete: row.incomplete,
        attempts: i64::from(row.attempts),
        fallback: row.fallback,
        input_tokens: count(row.input_tokens),
        cached_tokens: count(row.cached_tokens),
        cache_write_5m_tokens: count(row.cache_write_5m_tokens),
        cache_write_1h_tokens: count(row.cache_write_1h_tokens),
        output_tokens: count(row.output_tokens),
        reasoning_tokens: count(row.reasoning_tokens),
        estimated: row.estimated,
        list_cost: row.list_cost,
        paid_cost: row.paid_cost,
        price_source: row::price_source_text(row.price_source),
        overage: row.overage,
        notional: row.notional,
        queue_ms: row.queue_ms.map(i64::from),
        ttft_ms: row.ttft_ms.map(i64::from),
        total_ms: row.total_ms.map(i64::from),
        bytes_in: count(row.bytes_in),
        bytes_out: count(row.bytes_out),
        captured: row.captured,
        body_bytes: count(row.body_bytes),
    }
}

/// The columns of an attempt.
pub(super) fn raw_attempt<'a>(request_id: &'a str, row: &'a AttemptRow) -> RawAttempt<'a> {
    RawAttempt {
        request_id,
        n: i64::from(row.n),
        ts: row.ts,
        target: &row.target,
        entry_index: row.entry_index.map(i64::from),
        account_id: row.account_id.map(|id| id.to_string()),
        account_label: row.account_label.as_deref(),
        outcome: row::outcome_text(row.outcome),
        class: row.class.map(column::class_text),
        upstream_status: row.upstream_status.map(i64::from),
        code: row.code.as_deref(),
        message: row.message.as_deref().map(first_characters),
        next: row::next_text(row.next),
        until: row.until,
        connect_ms: row.connect_ms.map(i64::from),
        head_ms: row.head_ms.map(i64::from),
        first_ms: row.first_ms.map(i64::from),
        total_ms: row.total_ms.map(i64::from),
    }
}

fn first_characters(text: &str) -> &str {
    let end = text.char_indices().nth(MESSAGE).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

/// The columns `usage_hourly` and `usage_daily` share, twice, because a row type names its table.
macro_rules! aggregate_row {
    ($name:ident, $table:ident, $span:ident: $span_type:ty $(, $extra:ident: $extra_type:ty)?) => {
        #[derive(Queryable, Selectable, Insertable, AsChangeset)]
        #[diesel(table_name = $table, treat_none_as_default_value = false)]
        struct $name {
            $span: $span_type,
            provider: String,
            model: String,
            account_id: String,
            api_key_id: String,
            combo_id: String,
            tool: String,
            tier: String,
            $($extra: $extra_type,)?
            requests: i64,
            ok: i64,
            failed: i64,
            cancelled: i64,
            attempts: i64,
            fallbacks: i64,
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

        impl $name {
            fn new($span: $span_type $(, $extra: $extra_type)?, key: &Dimensions, sums: &Sums) -> Self {
                Self {
                    $span,
                    provider: key.provider.clone(),
                    model: key.model.clone(),
                    account_id: key.account_id.clone(),
                    api_key_id: key.api_key_id.clone(),
                    combo_id: key.combo_id.clone(),
                    tool: key.tool.clone(),
                    tier: key.tier.clone(),
                    $($extra,)?
                    requests: sums.requests,
                    ok: sums.ok,
                    failed: sums.failed,
                    cancelled: sums.cancelled,
                    attempts: sums.attempts,
                    fallbacks: sums.fallbacks,
                    input_tokens: sums.input_tokens,
                    cached_tokens: sums.cached_tokens,
                    cache_write_tokens: sums.cache_write_tokens,
                    output_tokens: sums.output_tokens,
                    reasoning_tokens: sums.reasoning_tokens,
                    list_cost: sums.list_cost,
                    paid_cost: sums.paid_cost,
                    unpriced: sums.unpriced,
                    ttft_hist: hist_bytes(&sums.ttft_hist),
                    total_hist: hist_bytes(&sums.total_hist),
                }
            }

            fn sums(&self) -> Result<Sums, StoreError> {
                let hist = |bytes: &[u8]| {
                    hist_from(bytes).ok_or_else(|| {
                        let table = stringify!($table);
                        StoreError::corrupt(table, self.$span.to_string(), "bad histogram")
                    })
                };
                Ok(Sums {
                    requests: self.requests,
                    ok: self.ok,
                    failed: self.failed,
                    cancelled: self.cancelled,
                    attempts: self.attempts,
                    fallbacks: self.fallbacks,
                    input_tokens: self.input_tokens,
                    cached_tokens: self.cached_tokens,
                    cache_write_tokens: self.cache_write_tokens,
                    output_tokens: self.output_tokens,
                    reasoning_tokens: self.reasoning_tokens,
                    list_cost: self.list_cost,
                    paid_cost: self.paid_cost,
                    unpriced: self.unpriced,
                    ttft_hist: hist(&self.ttft_hist)?,
                    total_hist: hist(&self.total_hist)?,
                })
            }
        }
    };
}

aggregate_row!(RawHour, usage_hourly, hour: i64);
aggregate_row!(RawDay, usage_daily, day: String, source: String);

fn add_folded(conn: &mut SqliteConnection, folded: &FoldedAggregates) -> Result<(), StoreError> {
    for ((hour, key), sums) in &folded.hourly {
        add_hour(conn, *hour, key, sums)?;
    }
    for ((day, key), sums) in &folded.daily {
        add_day(conn, day, key, sums)?;
    }
    for ((hour, provider, class), more) in &folded.errors {
        diesel::insert_into(error_hourly::table)
            .values((
                error_hourly::hour.eq(hour),
                error_hourly::provider.eq(provider),
                error_hourly::error_class.eq(class),
                error_hourly::count.eq(more),
            ))
            .on_conflict((error_hourly::hour, error_hourly::provider, error_hourly::error_class))
            .do_update()
            .set(error_hourly::count.eq(error_hourly::count + more))
            .execute(conn)?;
    }
    for (name, more) in &folded.counters {
        diesel::insert_into(counters::table)
            .values((counters::name.eq(name), counters::value.eq(more)))
            .on_conflict(counters::name)
            .do_update()
            .set(counters::value.eq(counters::value + more))
            .execute(conn)?;
    }
    Ok(())
}

fn add_hour(
    conn: &mut SqliteConnection,
    hour: i64,
    key: &Dimensions,
    more: &Sums,
) -> Result<(), StoreError> {
    let place = usage_hourly::table.find((
        hour,
        &key.provider,
        &key.model,
        &key.account_id,
        &key.api_key_id,
        &key.combo_id,
        &key.tool,
        &key.tier,
    ));
    // Read, add, write: SQL has no sum over the buckets of a histogram.
    let stored: Option<RawHour> = place.select(RawHour::as_select()).first(conn).optional()?;
    match stored {
        None => {
            let row = RawHour::new(hour, key, more);
            diesel::insert_into(usage_hourly::table).values(&row).execute(conn)?;
        }
        Some(stored) => {
            let mut sums = stored.sums()?;
            sums.merge(more);
            let row = RawHour::new(hour, key, &sums);
            diesel::update(place).set(&row).execute(conn)?;
        }
    }
    Ok(())
}

fn add_day(
    conn: &mut SqliteConnection,
    day: &str,
    key: &Dimensions,
    more: &Sums,
) -> Result<(), StoreError> {
    let place = usage_daily::table.find((
        day,
        &key.provider,
        &key.model,
        &key.account_id,
        &key.api_key_id,
        &key.combo_id,
        &key.tool,
        &key.tier,
        OWN,
    ));
    let stored: Option<RawDay> = place.select(RawDay::as_select()).first(conn).optional()?;
    match stored {
        None => {
            let row = RawDay::new(day.to_owned(), OWN.to_owned(), key, more);
            diesel::insert_into(usage_daily::table).values(&row).execute(conn)?;
        }
        Some(stored) => {
            let mut sums = stored.sums()?;
            sums.merge(more);
            let row = RawDay::new(day.to_owned(), OWN.to_owned(), key, &sums);
            diesel::update(place).set(&row).execute(conn)?;
        }
    }
    Ok(())
}
