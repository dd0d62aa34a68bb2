//! Everything only SQLite knows: pragmas, `VACUUM INTO`, statements the DSL cannot say.
//!
//! SEC-SQL-1: this is the one file that uses `sql_query`; every value is bound.
#![expect(clippy::disallowed_methods, reason = "the allow-file of `diesel::sql_query`")]

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use crate::clock::UnixMs;
use crate::store::error::StoreError;

/// `NRTR`: tells our file from other programs' databases.
pub(crate) const APPLICATION_ID: i64 = 0x4E52_5452;

/// How much of a commit must reach the disk before it is acknowledged (REL-DB-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Durability {
    /// Every commit is synced: configuration, tokens, keys.
    Full,
    /// The last commits may be lost on power failure: usage.
    Normal,
}

/// Where SQLite keeps what is not yet in the database file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Journal {
    /// Write-ahead log.
    Wal,
    /// Rollback journal: file systems without shared memory (REL-DB-7), databases being made.
    Rollback,
}

const COMMON: &str = "
    pragma busy_timeout = 5000;
    pragma foreign_keys = on;
    pragma temp_store = memory;
    pragma cache_size = -2000;
    pragma trusted_schema = off;
    pragma recursive_triggers = off;
";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

/// What requests are summed by over a short time: the minute in which they began, and the provider. The DSL groups by
/// columns alone.
pub(crate) mod minutes {
    use diesel::dsl::sql;
    use diesel::expression::SqlLiteral;
    use diesel::sql_types::{BigInt, Text};

    pub(crate) fn by() -> SqlLiteral<Text> {
        sql("ts / 60000, provider")
    }

    pub(crate) fn minute() -> SqlLiteral<BigInt> {
        sql("ts / 60000")
    }

    pub(crate) fn provider() -> SqlLiteral<Text> {
        sql("provider")
    }
}

/// Sets up a connection that writes.
pub(crate) fn prepare_writer(
    conn: &mut SqliteConnection,
    durability: Durability,
    journal: Journal,
) -> Result<(), StoreError> {
    conn.batch_execute(COMMON)?;
    conn.batch_execute(match journal {
        Journal::Wal => "pragma journal_mode = wal; pragma journal_size_limit = 67108864; pragma wal_autocheckpoint = 1000;",
        Journal::Rollback => "pragma journal_mode = delete;",
    })?;
    conn.batch_execute(match durability {
        Durability::Full => "pragma synchronous = full;",
        Durability::Normal => "pragma synchronous = normal;",
    })?;
    Ok(())
}

/// Sets up a connection that only reads.
pub(crate) fn prepare_reader(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.batch_execute(COMMON)?;
    conn.batch_execute("pragma query_only = on;")
}

/// Sets up a connection that copies the database, which takes a writer's rights.
pub(crate) fn prepare_copier(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.batch_execute(COMMON)
}

/// Marks a new database as ours.
pub(crate) fn mark_as_ours(conn: &mut SqliteConnection) -> QueryResult<()> {
    // APPLICATION_ID; a pragma takes no bound value.
    conn.batch_execute("pragma application_id = 0x4E525452;")
}

/// The file's application id; 0 = none.
pub(crate) fn application_id(conn: &mut SqliteConnection) -> QueryResult<i64> {
    number(conn, "select application_id as n from pragma_application_id")
}

/// Number of migrations the file says it has.
pub(crate) fn user_version(conn: &mut SqliteConnection) -> QueryResult<i64> {
    number(conn, "select user_version as n from pragma_user_version")
}

/// `ok`, or the first fault SQLite finds in the file.
pub(crate) fn quick_check(conn: &mut SqliteConnection) -> QueryResult<String> {
    Ok(sql_query("select quick_check as word from pragma_quick_check limit 1")
        .get_result::<Word>(conn)?
        .word)
}

/// What SQLite finds wrong with the file, at most 20 lines: its outline, or every page and index of it.
pub(crate) fn faults(conn: &mut SqliteConnection, full: bool) -> QueryResult<Vec<String>> {
    let query = if full {
        "select integrity_check as word from pragma_integrity_check limit 20"
    } else {
        "select quick_check as word from pragma_quick_check limit 20"
    };
    let words = sql_query(query).get_results::<Word>(conn)?;
    Ok(words.into_iter().map(|row| row.word).filter(|word| word != "ok").collect())
}

/// Copies the database, as of now, into `path`, which must be absent or empty.
pub(crate) fn vacuum_into(conn: &mut SqliteConnection, path: &str) -> QueryResult<()> {
    sql_query("vacuum into ?").bind::<Text, _>(path).execute(conn)?;
    Ok(())
}

/// Writes the database file anew, without the space that deleted rows left.
pub(crate) fn vacuum(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.batch_execute("vacuum;")
}

/// Moves the write-ahead log into the file and empties it.
pub(crate) fn checkpoint_truncate(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.batch_execute("pragma wal_checkpoint(truncate);")
}

/// Lets SQLite refresh what it knows of the tables' contents, after large deletions.
pub(crate) fn optimize(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.batch_execute("pragma optimize;")
}

/// Deletes up to 1 000 rows of the hourly aggregates older than `before`. Returns how many.
pub(crate) fn delete_old_hours(conn: &mut SqliteConnection, before: UnixMs) -> QueryResult<usize> {
    sql_query(
        "delete from usage_hourly \
         where (hour, provider, model, account_id, api_key_id, combo_id, tool, tier) in \
         (select hour, provider, model, account_id, api_key_id, combo_id, tool, tier \
          from usage_hourly where hour < ? order by hour limit 1000)",
    )
    .bind::<BigInt, _>(before)
    .execute(conn)
}

/// Deletes up to 1 000 rows of the hourly error counts older than `before`. Returns how many.
pub(crate) fn delete_old_error_hours(
    conn: &mut SqliteConnection,
    before: UnixMs,
) -> QueryResult<usize> {
    sql_query(
        "delete from error_hourly where (hour, provider, error_class) in \
         (select hour, provider, error_class from error_hourly where hour < ? order by hour limit 1000)",
    )
    .bind::<BigInt, _>(before)
    .execute(conn)
}

/// Deletes up to 1 000 live models last fetched before `before`. Returns how many.
pub(crate) fn delete_old_live_models(
    conn: &mut SqliteConnection,
    before: UnixMs,
) -> QueryResult<usize> {
    sql_query(
        "delete from live_models where (provider, account_id, model) in \
         (select provider, account_id, model from live_models where fetched_at < ? limit 1000)",
    )
    .bind::<BigInt, _>(before)
    .execute(conn)
}

/// The highest place the audit chain ever gave; 0 = none. The database remembers it when rows are gone.
pub(crate) fn highest_audit_seq(conn: &mut SqliteConnection) -> QueryResult<i64> {
    number(
        conn,
        "select coalesce((select seq from sqlite_sequence where name = 'audit_events'), 0) as n",
    )
}

fn number(conn: &mut SqliteConnection, query: &'static str) -> QueryResult<i64> {
    Ok(sql_query(query).get_result::<Number>(conn)?.n)
}

/// Read-backs and plans for the tests of other files.
#[cfg(test)]
pub(crate) mod probe {
    use super::*;

    #[derive(QueryableByName)]
    struct Detail {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// One text per row of `query`, whose column must be called `word`.
    pub(crate) fn words(conn: &mut SqliteConnection, query: &str) -> Vec<String> {
        sql_query(query).load::<Word>(conn).unwrap().into_iter().map(|w| w.word).collect()
    }

    /// One number, from a column called `n`.
    pub(crate) fn one(conn: &mut SqliteConnection, query: &str) -> i64 {
        sql_query(query).get_result::<Number>(conn).unwrap().n
    }

    /// How SQLite would run `query`, whose `?` are bound to integers.
    pub(crate) fn plan(conn: &mut SqliteConnection, query: &str) -> String {
        let rows = sql_query(["explain query plan ", query].concat()).load::<Detail>(conn).unwrap();
        rows.into_iter().map(|d| d.detail).collect::<Vec<_>>().join("\n")
    }
}
