//! Usage: rows and aggregates agree, duplicates, folding, spending, retention.

use diesel::prelude::*;
use jiff::tz::TimeZone;

use super::{NOW, execute, new_store};
use crate::id::{AccountId, ComboId, KeyId};
use crate::routing::account::Tier;
use crate::routing::classify::{Class, Next};
use crate::store::Store;
use crate::store::retention::{Pruned, Retention};
use crate::store::sqlite::probe;
use crate::store::usage::{
    AttemptOutcome, AttemptRow, BatchReport, FoldedAggregates, Period, RequestRow, RequestStatus,
    UsageRecord, key_spend, key_usage, write_batch,
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A small generator: the same requests on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let sides = u64::try_from(of.len()).unwrap();
        of[usize::try_from(self.roll(sides)).unwrap()].clone()
    }
}

fn attempt(n: u16, ts: i64) -> AttemptRow {
    AttemptRow {
        n,
        ts,
        target: "glm/glm-4.7".to_owned(),
        entry_index: Some(0),
        account_id: None,
        account_label: Some("plan".to_owned()),
        outcome: AttemptOutcome::Failed,
        class: Some(Class::RateLimited),
        upstream_status: Some(429),
        code: None,
        message: Some("slow down".to_owned()),
        next: Next::NextAccount,
        until: Some(ts + 1_000),
        connect_ms: Some(3),
        head_ms: None,
        first_ms: None,
        total_ms: Some(9),
    }
}

fn request(id: &str, ts: i64) -> UsageRecord {
    let request = RequestRow {
        id: id.to_owned(),
        ts,
        tool: "codex".to_owned(),
        entrypoint: "/v1/chat/completions".to_owned(),
        requested_model: "glm/glm-4.7".to_owned(),
        provider: Some("glm".to_owned()),
        model: Some("glm-4.7".to_owned()),
        http_status: 200,
        attempts: 1,
        input_tokens: 100,
        output_tokens: 10,
        list_cost: Some(50),
        paid_cost: Some(20),
        total_ms: Some(900),
        ..RequestRow::default()
    };
    UsageRecord { request, attempts: vec![attempt(1, ts)] }
}

fn random_records(n: usize, from: i64, span: i64) -> Vec<UsageRecord> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let keys = [None, Some(KeyId::new()), Some(KeyId::new())];
    let accounts = [None, Some(AccountId::new()), Some(AccountId::new()), Some(AccountId::new())];
    let combos = [None, Some(ComboId::new())];
    (0..n)
        .map(|i| {
            let mut record = request(
                &format!("req_{i:06}"),
                from + i64::try_from(dice.roll(u64::try_from(span).unwrap())).unwrap(),
            );
            let row = &mut record.request;
            row.api_key_id = dice.pick(&keys);
            row.account_id = dice.pick(&accounts);
            row.combo_id = dice.pick(&combos);
            row.provider = dice.pick(&[None, Some("glm".to_owned()), Some("claude".to_owned())]);
            row.model = row.provider.as_ref().map(|p| format!("{p}-model"));
            row.tool = dice.pick(&["codex", "claude-code", "other"]).to_owned();
            row.tier = dice.pick(&[None, Some(Tier::Subscription), Some(Tier::Free)]);
            row.status = dice.pick(&[
                RequestStatus::Ok,
                RequestStatus::Ok,
                RequestStatus::Error,
                RequestStatus::ClientCancelled,
                RequestStatus::Rejected,
            ]);
            if row.status == RequestStatus::Error {
                row.error_class = Some(dice.pick(&["rate_limited", "transient"]).to_owned());
            }
            row.attempts = u16::try_from(dice.roll(4)).unwrap();
            row.fallback = dice.roll(3) == 0;
            row.input_tokens = dice.roll(100_000);
            row.cached_tokens = dice.roll(50_000);
            row.cache_write_5m_tokens = dice.roll(900);
            row.cache_write_1h_tokens = dice.roll(900);
            row.output_tokens = dice.roll(9_000);
            row.reasoning_tokens = dice.roll(4_000);
            row.list_cost = dice.pick(&[None, Some(1_234)]);
            row.paid_cost = row.list_cost.map(|cost| cost / 2);
            row.ttft_ms = dice.pick(&[None, Some(0), Some(1), Some(700), Some(u32::MAX)]);
            row.total_ms = Some(u32::try_from(dice.roll(100_000)).unwrap());
            record.attempts.truncate(usize::from(row.attempts.min(1)));
            record
        })
        .collect()
}

/// One text per group: all sums of the requests, computed by SQL from the rows.
fn rows_summed(conn: &mut SqliteConnection, span: &str) -> Vec<String> {
    let bucket = |column: &str, k: u32| {
        let (low, high) = (1_u64 << k, 1_u64 << (k + 1));
        let low = if k == 0 { 0 } else { low };
        if k == 23 {
            format!("coalesce(sum({column} >= {low}), 0)")
        } else {
            format!("coalesce(sum({column} >= {low} and {column} < {high}), 0)")
        }
    };
    let hists: Vec<String> = ["ttft_ms", "total_ms"]
        .iter()
        .flat_map(|column| (0..24).map(move |k| bucket(column, k)))
        .collect();
    let sql = format!(
        "select ({span}) || '|' || concat_ws('|', coalesce(provider, ''), coalesce(model, ''), \
         coalesce(account_id, ''), coalesce(api_key_id, ''), coalesce(combo_id, ''), tool, \
         coalesce(tier, ''), count(*), sum(status = 'ok'), sum(status in ('error', 'rejected')), \
         sum(status = 'client_cancelled'), sum(attempts), sum(fallback), sum(input_tokens), \
         sum(cached_tokens), sum(cache_write_5m_tokens + cache_write_1h_tokens), \
         sum(output_tokens), sum(reasoning_tokens), coalesce(sum(list_cost), 0), \
         coalesce(sum(paid_cost), 0), sum(list_cost is null), {}) as word \
         from requests group by {span}, provider, model, account_id, api_key_id, combo_id, tool, \
         tier order by 1",
        hists.join(", ")
    );
    probe::words(conn, &sql)
}

/// The same from an aggregate table.
fn table_summed(conn: &mut SqliteConnection, table: &str, span: &str) -> Vec<String> {
    // u32, little endian, out of the hex text of the blob.
    let word = |column: &str, k: u32| {
        let byte = |i: u32| {
            let at = 1 + 2 * (4 * k + i);
            format!(
                "(instr('0123456789ABCDEF', substr(hex({column}), {at}, 1)) - 1) * 16 + \
                 instr('0123456789ABCDEF', substr(hex({column}), {}, 1)) - 1",
                at + 1
            )
        };
        format!(
            "(({}) + ({}) * 256 + ({}) * 65536 + ({}) * 16777216)",
            byte(0),
            byte(1),
            byte(2),
            byte(3)
        )
    };
    let hists: Vec<String> = ["ttft_hist", "total_hist"]
        .iter()
        .flat_map(|column| (0..24).map(move |k| word(column, k)))
        .collect();
    let sql = format!(
        "select ({span}) || '|' || concat_ws('|', provider, model, account_id, api_key_id, combo_id, \
         tool, tier, requests, ok, failed, cancelled, attempts, fallbacks, input_tokens, \
         cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, list_cost, \
         paid_cost, unpriced, {}) as word from {table} order by 1",
        hists.join(", ")
    );
    probe::words(conn, &sql)
}

/// Nothing was folded.
fn none() -> FoldedAggregates {
    FoldedAggregates::default()
}

/// As `assert_eq!`, but names the first difference only.
fn same(got: &[String], want: &[String]) {
    for (got, want) in got.iter().zip(want) {
        assert_eq!(got, want);
    }
    assert_eq!(got.len(), want.len());
}

#[test]
fn aggregates_are_the_sums_of_10_000_random_requests_across_a_clock_change() {
    let (_dir, store) = new_store();
    let mut conn = store.batch_connection().unwrap();
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    // 2026-10-24T00:00Z; summer time ends on the 25th at 01:00Z.
    let from = 1_792_800_000_000;
    let records = random_records(10_000, from, 2 * DAY);
    for batch in records.chunks(512) {
        let report = write_batch(&mut conn, batch, &none(), &berlin).unwrap();
        assert_eq!((report.written, report.duplicates, report.refused), (batch.len(), 0, 0));
    }
    let hourly = table_summed(&mut conn, "usage_hourly", "hour");
    assert!(hourly.len() > 1_000);
    same(&hourly, &rows_summed(&mut conn, "ts / 3600000 * 3600000"));
    // Local dates, written down by hand: +2 h before the change, +1 h after it.
    let local = "date((ts + case when ts < 1792890000000 then 7200000 else 3600000 end) / 1000, 'unixepoch')";
    let daily = table_summed(&mut conn, "usage_daily", "day");
    same(&daily, &rows_summed(&mut conn, local));
    let errors = probe::words(
        &mut conn,
        "select concat_ws('|', hour, provider, error_class, count) as word from error_hourly order by 1",
    );
    let want = probe::words(
        &mut conn,
        "select concat_ws('|', ts / 3600000 * 3600000, coalesce(provider, ''), error_class, count(*)) as word \
         from requests where error_class is not null \
         group by ts / 3600000, provider, error_class order by 1",
    );
    assert!(!errors.is_empty());
    assert_eq!(errors, want);
    let counters = probe::words(
        &mut conn,
        "select concat_ws('|', name, value) as word from counters order by 1",
    );
    let want = probe::words(
        &mut conn,
        "select concat_ws('|', 'key_spent:' || api_key_id, sum(paid_cost)) as word from requests \
         where api_key_id is not null group by api_key_id union all \
         select 'requests_lifetime|10000' order by 1",
    );
    assert_eq!(counters, want);
}

#[test]
fn folding_gives_the_same_aggregates_as_rows() {
    let (_dir, rows) = new_store();
    let (_other, folds) = new_store();
    let records = random_records(600, NOW, 3 * HOUR);
    write_batch(&mut rows.batch_connection().unwrap(), &records, &none(), &TimeZone::UTC).unwrap();
    let mut conn = folds.batch_connection().unwrap();
    for half in records.chunks(300) {
        let mut folded = FoldedAggregates::default();
        assert!(folded.is_empty());
        half.iter().for_each(|record| folded.add(record, &TimeZone::UTC));
        assert_eq!(folded.requests(), 300);
        let mut merged = FoldedAggregates::default();
        merged.merge(folded.clone());
        merged.merge(none());
        assert_eq!(merged, folded);
        write_batch(&mut conn, &[], &folded, &TimeZone::UTC).unwrap();
    }
    let dump = |store: &Store| {
        store
            .read(|conn| {
                let mut all = table_summed(conn, "usage_hourly", "hour");
                all.extend(table_summed(conn, "usage_daily", "day || source"));
                all.extend(probe::words(
                    conn,
                    "select concat_ws('|', hour, provider, error_class, count) as word \
                     from error_hourly order by 1",
                ));
                all.extend(probe::words(
                    conn,
                    "select concat_ws('|', name, value) as word from counters order by 1",
                ));
                Ok(all)
            })
            .unwrap()
    };
    same(&dump(&folds), &dump(&rows));
    assert_eq!(probe::one(&mut conn, "select count(*) as n from requests"), 0);
}

#[test]
fn a_request_stored_twice_counts_once_and_does_not_hold_up_the_batch() {
    let (_dir, store) = new_store();
    let mut conn = store.batch_connection().unwrap();
    let first = [request("req_1", NOW), request("req_2", NOW)];
    write_batch(&mut conn, &first, &none(), &TimeZone::UTC).unwrap();
    let second = [request("req_2", NOW + 5), request("req_3", NOW), request("req_3", NOW)];
    let report = write_batch(&mut conn, &second, &none(), &TimeZone::UTC).unwrap();
    assert_eq!(report, BatchReport { written: 1, duplicates: 2, refused: 0 });
    let value = |conn: &mut SqliteConnection, sql: &str| probe::one(conn, sql);
    assert_eq!(value(&mut conn, "select sum(requests) as n from usage_hourly"), 3);
    assert_eq!(value(&mut conn, "select value as n from counters"), 3);
    assert_eq!(value(&mut conn, "select count(*) as n from attempts"), 3);
    assert_eq!(value(&mut conn, "select ts as n from requests where id = 'req_2'"), NOW);
}

#[test]
fn a_batch_that_fails_leaves_nothing_and_can_be_written_again() {
    let (_dir, store) = new_store();
    let mut conn = store.batch_connection().unwrap();
    execute(
        &mut conn,
        "create temp trigger refuse before insert on requests when new.id = 'req_bad' \
         begin select raise(abort, 'disk I/O error'); end",
    )
    .unwrap();
    let mut long = request("req_2", NOW);
    long.attempts[0].message = Some("ä".repeat(900));
    let batch = [request("req_1", NOW), request("req_bad", NOW), long];
    assert!(write_batch(&mut conn, &batch, &none(), &TimeZone::UTC).is_err());
    for table in ["requests", "attempts", "usage_hourly", "usage_daily", "counters"] {
        let sql = format!("select count(*) as n from {table}");
        assert_eq!(probe::one(&mut conn, &sql), 0, "{table}");
    }
    execute(&mut conn, "drop trigger refuse").unwrap();
    let report = write_batch(&mut conn, &batch, &none(), &TimeZone::UTC).unwrap();
    assert_eq!(report, BatchReport { written: 3, duplicates: 0, refused: 0 });
    let length = "select length(message) as n from attempts where request_id = 'req_2'";
    assert_eq!(probe::one(&mut conn, length), 500, "cut, not refused");
}

#[test]
fn a_row_the_schema_refuses_is_counted_and_does_not_hold_up_the_rest() {
    let (_dir, store) = new_store();
    let mut conn = store.batch_connection().unwrap();
    // A stricter table in the way: names without a schema find temporary tables first.
    let columns = probe::words(&mut conn, "select name as word from pragma_table_info('requests')");
    let sql = format!(
        "create temp table requests ({}, check (id <> 'req_bad'), primary key (id))",
        columns.join(", ")
    );
    execute(&mut conn, &sql).unwrap();
    let batch = [request("req_1", NOW), request("req_bad", NOW), request("req_2", NOW)];
    let report = write_batch(&mut conn, &batch, &none(), &TimeZone::UTC).unwrap();
    assert_eq!(report, BatchReport { written: 2, duplicates: 0, refused: 1 });
    assert_eq!(probe::one(&mut conn, "select sum(requests) as n from usage_hourly"), 3);
    assert_eq!(probe::one(&mut conn, "select count(*) as n from attempts"), 3);
}

#[test]
fn a_key_sees_its_own_use_by_model_the_dearest_first() {
    let (_dir, store) = new_store();
    let mut conn = store.batch_connection().unwrap();
    let (mine, other) = (KeyId::new(), KeyId::new());
    let mut records = Vec::new();
    for (i, (key, model, paid, ts)) in [
        (mine, "cheap", 1, NOW),
        (mine, "dear", 500, NOW - HOUR),
        (mine, "dear", 500, NOW),
        (mine, "dear", 7, NOW - 40 * DAY),
        (other, "dear", 9_999, NOW),
    ]
    .into_iter()
    .enumerate()
    {
        let mut record = request(&format!("req_{i}"), ts);
        record.request.api_key_id = Some(key);
        record.request.model = Some(model.to_owned());
        record.request.paid_cost = Some(paid);
        records.push(record);
    }
    let mut refused = request("req_r", NOW);
    refused.request.api_key_id = Some(mine);
    refused.request.provider = None;
    refused.request.model = None;
    refused.request.status = RequestStatus::Rejected;
    (refused.request.list_cost, refused.request.paid_cost) = (Some(0), Some(0));
    (refused.request.input_tokens, refused.request.output_tokens) = (0, 0);
    records.push(refused);
    write_batch(&mut conn, &records, &none(), &TimeZone::UTC).unwrap();
    let from = Period::Month.start(NOW, &TimeZone::UTC);
    let usage = store.read(|conn| key_usage(conn, mine, from)).unwrap();
    let totals = usage.totals;
    assert_eq!((totals.requests, totals.failed, totals.paid_umicro), (4, 1, 1_001));
    assert_eq!((totals.input_tokens, totals.output_tokens, totals.list_umicro), (300, 30, 150));
    let models: Vec<(&str, i64)> =
        usage.by_model.iter().map(|m| (m.model.as_str(), m.totals.paid_umicro)).collect();
    assert_eq!(models, [("dear", 1_000), ("cheap", 1)]);
    let nobody = store.read(|conn| key_usage(conn, KeyId::new(), 0)).unwrap();
    assert_eq!(nobody, Default::default());

    let mut spend = store.read(|conn| key_spend(conn, NOW)).unwrap();
    spend.retain(|s| s.key == mine);
    // NOW is 18:31 UTC of the 24th: the hour before is of the same day.
    assert_eq!((spend[0].day, spend[0].month, spend[0].total), (1_001, 1_001, 1_008));
    let mut later = store.read(|conn| key_spend(conn, NOW + DAY)).unwrap();
    later.retain(|s| s.key == mine);
    assert_eq!((later[0].day, later[0].month, later[0].total), (0, 1_001, 1_008));
    let mut next_month = store.read(|conn| key_spend(conn, NOW + 10 * DAY)).unwrap();
    next_month.retain(|s| s.key == mine);
    assert_eq!((next_month[0].month, next_month[0].total), (0, 1_008));
}

#[test]
fn each_table_is_pruned_at_its_own_age_and_days_never() {
    let (_dir, store) = new_store();
    let mut conn = store.batch_connection().unwrap();
    let mut records: Vec<UsageRecord> =
        (0..2_500).map(|i| request(&format!("old_{i}"), NOW - 91 * DAY + i)).collect();
    records.push(request("mid", NOW - 31 * DAY));
    records.push(request("new", NOW - 29 * DAY));
    let mut ancient = request("ancient", NOW - 401 * DAY);
    ancient.request.error_class = Some("transient".to_owned());
    records.push(ancient);
    write_batch(&mut conn, &records, &none(), &TimeZone::UTC).unwrap();
    store
        .write(|conn| {
            let item = [crate::store::models::LiveModel { model: "m".into(), facts: 1.into() }];
            crate::store::models::replace_live(conn, "a", "", &item, NOW - 31 * DAY)?;
            crate::store::models::replace_live(conn, "b", "", &item, NOW - 29 * DAY)
        })
        .unwrap();
    let days = probe::one(&mut conn, "select count(*) as n from usage_daily");
    let pruned = store.prune(NOW, &Retention::default()).unwrap();
    assert_eq!(
        pruned,
        Pruned { requests: 2_501, attempts: 2_502, hours: 1, error_hours: 1, live_models: 1 }
    );
    let ids = probe::words(&mut conn, "select id as word from requests order by ts");
    assert_eq!(ids, ["mid", "new"]);
    let ids = probe::words(&mut conn, "select request_id as word from attempts");
    assert_eq!(ids, ["new"]);
    assert_eq!(probe::one(&mut conn, "select count(*) as n from usage_daily"), days);
    assert_eq!(store.prune(NOW, &Retention::default()).unwrap(), Pruned::default());
    let forever = Retention { requests_days: 0, attempts_days: 0 };
    let later = store.prune(NOW + 300 * DAY, &forever).unwrap();
    assert_eq!((later.requests, later.attempts), (0, 0));
}
