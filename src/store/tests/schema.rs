//! Migrations against the Rust schema, and back; plans of the queries pages use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use diesel_migrations::MigrationHarness;

use super::{execute, new_store};
use crate::store::migrate::MIGRATIONS;
use crate::store::sqlite::{Durability, Journal, prepare_writer, probe};

fn dump(conn: &mut SqliteConnection) -> Vec<String> {
    probe::words(
        conn,
        "select type || ' ' || name || ' ' || coalesce(sql, '') as word from sqlite_schema \
         where name not like '\\_\\_diesel%' escape '\\' and name <> 'sqlite_sequence' and name not like 'sqlite_autoindex___diesel%' \
         order by type, name",
    )
}

#[test]
fn t_db_02_up_down_up_gives_the_same_schema() {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    prepare_writer(&mut conn, Durability::Full, Journal::Rollback).unwrap();
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    let first = dump(&mut conn);
    assert!(first.len() > 20);
    let version = |conn: &mut SqliteConnection| {
        probe::one(conn, "select user_version as n from pragma_user_version")
    };
    assert_eq!(version(&mut conn), 13);
    for left in (0..13).rev() {
        conn.revert_last_migration(MIGRATIONS).unwrap();
        assert_eq!(version(&mut conn), left);
    }
    assert!(dump(&mut conn).is_empty());
    conn.run_pending_migrations(MIGRATIONS).unwrap();
    assert_eq!(dump(&mut conn), first);
}

#[test]
fn every_table_of_ours_is_strict() {
    let (_dir, store) = new_store();
    let loose = store
        .read(|conn| {
            Ok(probe::words(
                conn,
                "select name as word from pragma_table_list \
                 where schema = 'main' and type = 'table' and strict = 0 \
                 and name not like 'sqlite\\_%' escape '\\' \
                 and name not like '\\_\\_diesel%' escape '\\'",
            ))
        })
        .unwrap();
    assert!(loose.is_empty(), "{loose:?}");
}

/// `table -> column -> type` as `schema.rs` says it.
fn declared() -> BTreeMap<String, Vec<(String, String)>> {
    let mut tables = BTreeMap::new();
    let mut current: Option<(String, Vec<(String, String)>)> = None;
    let mut renamed = None;
    for line in include_str!("../schema.rs").lines() {
        let line = line.trim();
        if let Some((name, _)) = line.strip_suffix(") {").and_then(|l| l.split_once(" (")) {
            current = Some((name.to_owned(), Vec::new()));
        } else if let Some(name) = line.strip_prefix("#[sql_name = \"") {
            renamed = Some(name.trim_end_matches("\"]").to_owned());
        } else if let Some((name, kind)) = line.split_once(" -> ")
            && let Some((_, columns)) = &mut current
        {
            let name = renamed.take().unwrap_or_else(|| name.to_owned());
            columns.push((name, kind.trim_end_matches(',').to_owned()));
        } else if line == "}"
            && let Some((name, columns)) = current.take()
        {
            tables.insert(name, columns);
        }
    }
    tables
}

/// The same from the migrated database: INTEGER is BigInt, 0/1 columns are Bool.
fn migrated(conn: &mut SqliteConnection) -> BTreeMap<String, Vec<(String, String)>> {
    let rows = probe::words(
        conn,
        "select t.name || '|' || c.name || '|' || c.type || '|' || (c.\"notnull\" or t.name = 'data_keys' and c.name = 'id') \
         || '|' || (instr(t.sql, c.name || ' in (0, 1)') > 0) as word \
         from sqlite_schema t, pragma_table_info(t.name) c \
         where t.type = 'table' and t.name not like 'sqlite\\_%' escape '\\' \
         and t.name not like '\\_\\_diesel%' escape '\\' order by t.name, c.cid",
    );
    let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in rows {
        let parts: Vec<&str> = row.split('|').collect();
        let [table, column, kind, not_null, flag] = parts[..] else { panic!("{row}") };
        let kind = match (kind.to_ascii_uppercase().as_str(), flag) {
            ("INTEGER", "1") => "Bool",
            ("INTEGER", _) => "BigInt",
            ("TEXT", _) => "Text",
            ("BLOB", _) => "Binary",
            other => panic!("{other:?}"),
        };
        let kind = if not_null == "1" { kind.to_owned() } else { format!("Nullable<{kind}>") };
        tables.entry(table.to_owned()).or_default().push((column.to_owned(), kind));
    }
    tables
}

#[test]
fn schema_rs_is_what_the_migrations_make() {
    let (_dir, store) = new_store();
    let migrated = store.read(|conn| Ok(migrated(conn))).unwrap();
    let declared = declared();
    assert_eq!(declared.keys().collect::<Vec<_>>(), migrated.keys().collect::<Vec<_>>());
    for (table, columns) in &migrated {
        assert_eq!(&declared[table], columns, "{table}");
    }
}

#[test]
fn no_query_of_a_page_scans_requests_or_attempts() {
    let (_dir, store) = new_store();
    let queries = [
        "select * from requests where id = ?",
        "select * from requests where ts >= ? and ts < ? order by ts desc limit 50",
        "select * from requests where provider = ? and ts < ? order by ts desc limit 50",
        "select * from requests where account_id = ? and ts < ? order by ts desc limit 50",
        "select * from requests where api_key_id = ? and ts < ? order by ts desc limit 50",
        "select * from requests where status = ? and ts < ? order by ts desc limit 50",
        "select id from requests where ts < ? order by ts limit 1000",
        "select * from attempts where request_id = ? order by n",
        "select * from usage_hourly where hour >= ?",
        "select model, sum(requests) from usage_hourly where api_key_id = ? and hour >= ? group by model",
        "select * from usage_daily where day >= ?",
        "select * from error_hourly where hour >= ?",
        "select * from account_locks where until > ?",
        "delete from live_models where fetched_at < ?",
    ];
    store
        .read(|conn| {
            for query in queries {
                let plan = probe::plan(conn, query);
                assert!(plan.contains("SEARCH") && !plan.contains("SCAN"), "{query}\n{plan}");
                // Only the grouping may sort; a list comes in the order of its index.
                assert!(
                    query.contains("group by") || !plan.contains("TEMP B-TREE"),
                    "{query}\n{plan}"
                );
            }
            Ok(())
        })
        .unwrap();
}

/// One row per check, unique rule and foreign key of the schema: each must be refused.
#[test]
fn every_rule_of_the_schema_refuses_a_row() {
    let (_dir, store) = new_store();
    let a = "'00000000-0000-7000-8000-00000000000a'";
    let b = "'00000000-0000-7000-8000-00000000000b'";
    let none = "'00000000-0000-7000-8000-0000000000ff'";
    let good = [
        format!("insert into accounts (id, provider, kind, label, identity_key, created_at, updated_at) values ({a}, 'glm', 'api_key', 'Plan', 'k', 0, 0)"),
        "insert into nodes (id, type, api_type, name, prefix, base_url, created_at, updated_at) values ('n', 'openai-compatible', 'chat', 'N', 'mine', 'u', 0, 0)".to_owned(),
        format!("insert into combos (id, name, strategy, created_at, updated_at) values ({a}, 'Stack', 'fallback', 0, 0)"),
        format!("insert into combo_entries (id, combo_id, position, target) values ({a}, {a}, 0, 'glm/x')"),
        format!("insert into api_keys (id, lookup, prefix, last4, name, hmac_key_version, created_at, updated_at) values ({a}, zeroblob(32), 'p', 'l', 'laptop', 1, 0, 0)"),
        format!("insert into proxies (id, name, scheme, url, display_url, created_at, updated_at) values ({a}, 'p', 'http', 'nrx1.1.x', 'u', 0, 0)"),
        "insert into provider_overrides (provider, created_at, updated_at) values ('glm', 0, 0)".to_owned(),
        "insert into models (provider, model, source, created_at, updated_at) values ('glm', 'm', 'manual', 0, 0)".to_owned(),
        "insert into live_models values ('glm', '', 'm', '{}', 0)".to_owned(),
        "insert into prices (provider, model, created_at, updated_at) values ('glm', 'm', 0, 0)".to_owned(),
        "insert into aliases (alias, target, created_at, updated_at) values ('fast', 'glm/x', 0, 0)".to_owned(),
        "insert into settings (key, value, updated_at) values ('port', '1', 0)".to_owned(),
        format!("insert into account_secrets (account_id, updated_at) values ({a}, 0)"),
        format!("insert into account_hot_state (account_id, updated_at) values ({a}, 0)"),
        format!("insert into account_locks values ({a}, '*', 1, 'r', 'rate_limited', 0, 0)"),
        "insert into requests (id, ts, tool, dialect, entrypoint, kind, stream, requested_model, status, http_status, incomplete, attempts, fallback, estimated, price_source, overage, notional, captured) values ('r', 1, 'codex', 'chat', '/v1', 'chat', 0, 'm', 'ok', 200, 0, 1, 0, 0, 'none', 0, 0, 0)".to_owned(),
        "insert into attempts (request_id, n, ts, target, outcome, next) values ('r', 1, 1, 't', 'ok', 'return')".to_owned(),
    ];
    store
        .write(|conn| {
            for sql in &good {
                execute(conn, sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            }
            Ok(())
        })
        .unwrap();
    let row = |table: &str, columns: &str, values: &str| {
        format!("insert into {table} ({columns}, created_at, updated_at) values ({values}, 0, 0)")
    };
    let set = |table: &str, change: &str| format!("update {table} set {change}");
    let mut bad = vec![
        row("accounts", "id, provider, kind, label", "'short', 'p', 'none', 'l'"),
        row("accounts", "id, provider, kind, label", &format!("{b}, 'p', 'other', 'l'")),
        row("accounts", "id, provider, kind, label", &format!("{b}, 'glm', 'none', 'PLAN'")),
        row("accounts", "id, provider, kind, label, identity_key", &format!("{b}, 'glm', 'none', 'l', 'k'")),
        row("nodes", "id, type, name, prefix, base_url", "'m', 'anthropic-compatible', 'N', 'MINE', 'u'"),
        row("nodes", "id, type, name, prefix, base_url", "'m', 'openai-compatible', 'N', 'x', 'u'"),
        row("combos", "id, name, strategy", &format!("{b}, 'STACK', 'fallback'")),
        row("combos", "id, name, strategy", &format!("{b}, 'a/b', 'fallback'")),
        row("combos", "id, name, strategy", &format!("{b}, 'a', 'random'")),
        row("api_keys", "id, lookup, prefix, last4, name, hmac_key_version", &format!("{b}, zeroblob(32), 'p', 'l', 'other', 1")),
        row("api_keys", "id, lookup, prefix, last4, name, hmac_key_version", &format!("{b}, randomblob(32), 'p', 'l', 'laptop', 1")),
        row("api_keys", "id, lookup, prefix, last4, name, hmac_key_version", &format!("{b}, randomblob(31), 'p', 'l', 'x', 1")),
        row("proxies", "id, name, scheme, url, display_url", &format!("{b}, 'p', 'http', 'nrx1.1.x', 'u'")),
        row("provider_overrides", "provider", "'glm'"),
        row("models", "provider, model, source", "'glm', 'm', 'manual'"),
        row("prices", "provider, model", "'glm', 'm'"),
        row("aliases", "alias, target", "'fast', 'x'"),
        format!("insert into combo_entries (id, combo_id, position, target) values ({b}, {a}, 0, 'x')"),
        format!("insert into combo_entries (id, combo_id, position, target) values ({b}, {none}, 0, 'x')"),
        "insert into settings (key, updated_at) values ('k', 0)".to_owned(),
        "insert into settings (key, value, secret, updated_at) values ('k', '1', 'nrx1.1.x', 0)".to_owned(),
        format!("insert into account_secrets (account_id, updated_at) values ({none}, 0)"),
        format!("insert into account_hot_state (account_id, updated_at) values ({none}, 0)"),
        format!("insert into account_locks values ({none}, '*', 1, 'r', 'c', 0, 0)"),
        format!("insert into account_locks values ({a}, '*', 2, 'r', 'c', 0, 0)"),
        "insert into live_models values ('glm', '', 'm', '{}', 0)".to_owned(),
        "insert into attempts (request_id, n, ts, target, outcome, next) values ('r', 1, 1, 't', 'ok', 'return')".to_owned(),
        // STRICT: a text is no number.
        set("accounts", "priority = 'first'"),
        set("nodes", "auth_style = 'header'"),
        set("nodes", "auth_header = 'x-k'"),
        set("nodes", "api_type = 'other'"),
    ];
    for (table, changes) in [
        (
            "accounts",
            &[
                "label = ''",
                "label = printf('%81s', 'x')",
                "priority = 0",
                "priority = 1000",
                "weight = -1",
                "weight = 1001",
                "enabled = 2",
                "tags = '{}'",
                "tags = 'x'",
                "allowed_models = '1'",
                "excluded_models = '1'",
                "max_concurrent = 0",
                "proxy_mode = 'x'",
                "proxy_id = 'none'",
                "params = '[]'",
                "tier = 'x'",
                "min_remaining_percent = 101",
                "allow_overage = 2",
                "refresh_enabled = 2",
                "ownership = 'x'",
                "validation = 'x'",
                "managed_by = 'x'",
            ][..],
        ),
        (
            "account_secrets",
            &[
                "access_token = 'plain'",
                "refresh_token = 'plain'",
                "id_token = 'plain'",
                "api_key = 'plain'",
                "extra = '{}'",
                "generation = -1",
            ][..],
        ),
        (
            "account_hot_state",
            &[
                "auth = 'x'",
                "auth_detail = 'x'",
                "quota = 'x'",
                "quota_json = 'x'",
                "health = 'x'",
                "last_error = 'x'",
            ][..],
        ),
        ("account_locks", &["scope = 'x'", "scope = 'model:'", "level = 256"][..]),
        (
            "nodes",
            &[
                "type = 'x'",
                "auth_style = 'x'",
                "headers = '{}'",
                "network = 'x'",
                "insecure_http = 2",
                "model_source = 'x'",
                "managed_by = 'x'",
            ][..],
        ),
        (
            "combos",
            &[
                "name = ''",
                "name = printf('%065d', 1)",
                "enabled = 2",
                "tier_inner = 'tier'",
                "sticky_enabled = 2",
                "sticky_ttl_s = -1",
                "rr_sticky_count = 0",
                "max_attempts = 0",
                "deadline_ms = 0",
                "fallback_on_policy = 2",
                "capability_filter = 2",
                "report_real_model = 2",
                "managed_by = 'x'",
                "id = 'short'",
            ][..],
        ),
        (
            "combo_entries",
            &[
                "id = 'short'",
                "position = -1",
                "target = ''",
                "weight = 1001",
                "tier = 'x'",
                "enabled = 2",
                "account_id = 'none'",
                "tags = '{}'",
            ][..],
        ),
        ("aliases", &["alias = ''", "target = ''", "managed_by = 'x'"][..]),
        (
            "api_keys",
            &[
                "id = 'short'",
                "prefix = '123456789012'",
                "last4 = '12345'",
                "name = ''",
                "legacy = 2",
                "enabled = 2",
                "last_used = 'x'",
                "scopes = '{}'",
                "allowed_models = 'x'",
                "allowed_providers = 'x'",
                "allowed_combos = 'x'",
                "allowed_cidrs = 'x'",
                "rpm = -1",
                "tpm = -1",
                "max_concurrent = -1",
                "usd_day = -1",
                "usd_month = -1",
                "usd_total = -1",
                "capture_bodies = 2",
                "managed_by = 'x'",
            ][..],
        ),
        (
            "proxies",
            &[
                "id = 'short'",
                "scheme = 'ftp'",
                "url = 'http://u:p@h'",
                "enabled = 2",
                "last_test = 'x'",
                "managed_by = 'x'",
            ][..],
        ),
        (
            "provider_overrides",
            &[
                "enabled = 2",
                "tier = 'x'",
                "account_strategy = 'x'",
                "sticky_count = 0",
                "affinity_ttl_s = -1",
                "cooldown_base_s = -1",
                "cooldown_max_s = -1",
                "max_in_flight = 0",
                "refresh_lead_s = -1",
                "min_remaining_percent = 101",
                "proxy_mode = 'x'",
                "proxy_id = 'none'",
                "headers = '{}'",
                "retry_statuses = 'x'",
                "count_notional = 2",
                "managed_by = 'x'",
            ][..],
        ),
        (
            "models",
            &[
                "source = 'x'",
                "enabled = 2",
                "ctx = 0",
                "max_output = 0",
                "caps = 'x'",
                "last_test = 'x'",
                "managed_by = 'x'",
            ][..],
        ),
        ("live_models", &["facts = 'x'"][..]),
        (
            "prices",
            &[
                "input = -1",
                "cached = -1",
                "cache_write_5m = -1",
                "cache_write_1h = -1",
                "output = -1",
                "reasoning = -1",
                "per_request = -1",
                "managed_by = 'x'",
            ][..],
        ),
        ("settings", &["value = 'x'", "secret = 'plain', value = null", "managed_by = 'x'"][..]),
        (
            "requests",
            &[
                "session_hash = zeroblob(16)",
                "dialect = 'x'",
                "kind = 'x'",
                "stream = 2",
                "tier = 'x'",
                "exec_tier = 'D'",
                "status = 'x'",
                "incomplete = 2",
                "attempts = -1",
                "fallback = 2",
                "input_tokens = -1",
                "cached_tokens = -1",
                "cache_write_5m_tokens = -1",
                "cache_write_1h_tokens = -1",
                "output_tokens = -1",
                "reasoning_tokens = -1",
                "estimated = 2",
                "price_source = 'x'",
                "overage = 2",
                "notional = 2",
                "captured = 2",
            ][..],
        ),
        ("attempts", &["outcome = 'x'", "message = printf('%501s', 'x')", "next = 'x'"][..]),
    ] {
        bad.extend(changes.iter().map(|change| set(table, change)));
    }
    for sql in &bad {
        let result = store.write(|conn| execute(conn, sql));
        assert!(result.is_err(), "accepted: {sql}");
    }
    let hourly = |hour: &str, hist: &str| {
        format!(
            "insert into usage_hourly values ({hour}, '', '', '', '', '', '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {hist}, zeroblob(96))"
        )
    };
    let daily = |day: &str, source: &str| {
        format!(
            "insert into usage_daily values ('{day}', '', '', '', '', '', '', '', '{source}', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, zeroblob(96), zeroblob(96))"
        )
    };
    store.write(|conn| execute(conn, &hourly("3600000", "zeroblob(96)"))).unwrap();
    store.write(|conn| execute(conn, &daily("2026-11-24", "import:9router"))).unwrap();
    for sql in [
        hourly("3600001", "zeroblob(96)"),
        hourly("7200000", "zeroblob(95)"),
        hourly("3600000", "zeroblob(96)"),
        daily("24.11.2026", "own"),
        daily("2026-11-24", "other"),
        daily("2026-11-24", "import:9router"),
        "insert into error_hourly values (1, '', '', 1)".to_owned(),
    ] {
        assert!(store.write(|conn| execute(conn, &sql)).is_err(), "accepted: {sql}");
    }
}

/// Files under `dir` with their text.
fn sources(dir: &Path, into: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            into.push((path, text));
        }
    }
}

/// SEC-SQL-1 and invariant I3: text becomes SQL in one file, and only the store knows diesel.
#[test]
fn sql_text_lives_in_one_file() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&src, &mut all);
    for (path, text) in &all {
        let inside = path.strip_prefix(&src).unwrap();
        let is_store = inside.starts_with("store");
        if inside == Path::new("store/sqlite.rs") || inside.starts_with("store/tests") {
            assert!(inside.starts_with("store/tests") || !text.contains("format!"), "{inside:?}");
            continue;
        }
        for word in ["sql_query(", "batch_execute(", "dsl::sql"] {
            assert!(!text.contains(word), "`{word}` in {inside:?}");
        }
        assert!(is_store || !text.contains("diesel::"), "diesel in {inside:?}");
        let product = text.split("#[cfg(test)]").next().unwrap();
        assert!(!is_store || !product.contains("format!("), "`format!` in {inside:?}");
    }
}
