//! The statements that insert usage rows: made once, bound for each row.
//!
//! What diesel makes of `Insertable` costs more than SQLite's own work on the row: for each row it walks a tree of
//! one node per column five times. Here the columns are bound one after the other, with the types of the schema.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sqlite::Sqlite;

use crate::clock::UnixMs;
use crate::store::schema::{attempts, requests};
use crate::store::usage::requests::{StoredAttempt, StoredRequest};

/// A value of a column: as it is bound, and as it is read.
trait Cell {
    /// As it is read.
    type Read;

    fn read(self) -> Self::Read;
}

/// Values that are bound as they are read.
macro_rules! same {
    ($($type:ty),+) => {
        $(impl Cell for $type {
            type Read = Self;

            fn read(self) -> Self {
                self
            }
        })+
    };
}

same!(i64, bool, Option<i64>, Option<String>);

impl Cell for &str {
    type Read = String;

    fn read(self) -> String {
        self.to_owned()
    }
}

impl Cell for Option<&str> {
    type Read = Option<String>;

    fn read(self) -> Option<String> {
        self.map(str::to_owned)
    }
}

impl Cell for Option<&[u8]> {
    type Read = Option<Vec<u8>>;

    fn read(self) -> Option<Vec<u8>> {
        self.map(<[u8]>::to_vec)
    }
}

/// A row type whose fields are the table's columns, the statement that inserts it, and the row as it is read.
macro_rules! insert {
    ($(#[$doc:meta])* $name:ident<$life:lifetime>, $read:ident, $table:ident { $first:ident: $first_type:ty, $($field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        pub(super) struct $name<$life> {
            pub(super) $first: $first_type,
            $(pub(super) $field: $type,)+
        }

        impl QueryFragment<Sqlite> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                out.push_sql(concat!(
                    "insert into ", stringify!($table), " (", stringify!($first),
                    $(", ", stringify!($field),)+ ") values ("
                ));
                out.push_bind_param::<<$table::$first as Expression>::SqlType, _>(&self.$first)?;
                $(
                    out.push_sql(", ");
                    out.push_bind_param::<<$table::$field as Expression>::SqlType, _>(&self.$field)?;
                )+
                out.push_sql(")");
                Ok(())
            }
        }

        impl $name<'_> {
            /// The row as the table would give it back.
            pub(super) fn read(self) -> $read {
                $read {
                    $first: Cell::read(self.$first),
                    $($field: Cell::read(self.$field),)+
                }
            }
        }

        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl RunQueryDsl<SqliteConnection> for $name<'_> {}
    };
}

insert!(
    /// A row of `requests`.
    RawRequest<'a>, StoredRequest, requests {
        id: &'a str,
        ts: UnixMs,
        external_id: Option<&'a str>,
        api_key_id: Option<String>,
        api_key_name: Option<&'a str>,
        tool: &'a str,
        client_ip: Option<&'a str>,
        session_hash: Option<&'a [u8]>,
        dialect: &'static str,
        entrypoint: &'a str,
        kind: &'static str,
        stream: bool,
        requested_model: &'a str,
        combo_id: Option<String>,
        combo_name: Option<&'a str>,
        provider: Option<&'a str>,
        model: Option<&'a str>,
        model_key: Option<&'a str>,
        account_id: Option<String>,
        account_label: Option<&'a str>,
        tier: Option<&'static str>,
        exec_tier: Option<&'static str>,
        entry_index: Option<i64>,
        status: &'static str,
        http_status: i64,
        error_class: Option<&'a str>,
        error_code: Option<&'a str>,
        incomplete: bool,
        attempts: i64,
        fallback: bool,
        input_tokens: i64,
        cached_tokens: i64,
        cache_write_5m_tokens: i64,
        cache_write_1h_tokens: i64,
        output_tokens: i64,
        reasoning_tokens: i64,
        estimated: bool,
        list_cost: Option<i64>,
        paid_cost: Option<i64>,
        price_source: &'static str,
        overage: bool,
        notional: bool,
        queue_ms: Option<i64>,
        ttft_ms: Option<i64>,
        total_ms: Option<i64>,
        bytes_in: i64,
        bytes_out: i64,
        captured: bool,
        body_bytes: i64,
    }
);

insert!(
    /// A row of `attempts`.
    RawAttempt<'a>, StoredAttempt, attempts {
        request_id: &'a str,
        n: i64,
        ts: UnixMs,
        target: &'a str,
        entry_index: Option<i64>,
        account_id: Option<String>,
        account_label: Option<&'a str>,
        outcome: &'static str,
        class: Option<&'static str>,
        upstream_status: Option<i64>,
        code: Option<&'a str>,
        message: Option<&'a str>,
        next: &'static str,
        until: Option<UnixMs>,
        connect_ms: Option<i64>,
        head_ms: Option<i64>,
        first_ms: Option<i64>,
        total_ms: Option<i64>,
    }
);
