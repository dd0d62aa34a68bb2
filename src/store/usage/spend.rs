//! What a budget counts, summed from the usage tables: for its counters at start (accounts §6.8).

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::routing::budget::{BUCKET, BudgetScope};
use crate::store::error::StoreError;
use crate::store::schema::{requests, usage_daily as daily, usage_hourly as hourly};
use crate::store::sqlite::minutes;
use crate::store::usage::{HOUR_MS, hour_of};

/// What was spent with one provider. Requests that reached no upstream are not in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spend {
    /// When, Unix ms: the start of the minute or of the whole span; 0 for ever.
    pub at: UnixMs,
    /// Catalog id, or node id.
    pub provider: String,
    /// Requests.
    pub requests: i64,
    /// Tokens, input and output.
    pub tokens: i64,
    /// Micro-USD at list price.
    pub list: i64,
    /// Micro-USD paid.
    pub paid: i64,
}

/// `sum` whose result SQLite's interface can give: diesel's own has an arbitrary precision.
mod sums {
    use diesel::sql_types::{BigInt, Nullable};
    diesel::define_sql_function! {
        #[aggregate]
        #[sql_name = "sum"]
        fn sum_of(x: BigInt) -> Nullable<BigInt>;
    }
    diesel::define_sql_function! {
        #[aggregate]
        #[sql_name = "sum"]
        fn sum_known(x: Nullable<BigInt>) -> Nullable<BigInt>;
    }
    diesel::define_sql_function! {
        #[aggregate]
        #[sql_name = "count"]
        fn count_of(x: BigInt) -> BigInt;
    }
}
use sums::{count_of, sum_known, sum_of};

type Sum = Option<i64>;

/// Narrows a query over any usage table to a scope.
macro_rules! within {
    ($query:expr, $scope:expr, $table:ident) => {
        match $scope {
            BudgetScope::All => $query,
            BudgetScope::Provider(id) => $query.filter($table::provider.eq(id.clone())),
            BudgetScope::Account(id) => $query.filter($table::account_id.eq(id.to_string())),
            BudgetScope::Combo(id) => $query.filter($table::combo_id.eq(id.to_string())),
            BudgetScope::ApiKey(id) => $query.filter($table::api_key_id.eq(id.to_string())),
        }
    };
}

/// Spending since an instant: whole hours from their sums, the rest of the first hour from its rows.
///
/// # Errors
///
/// The database fails.
pub fn spend_since(
    conn: &mut SqliteConnection,
    scope: &BudgetScope,
    from: UnixMs,
) -> Result<Vec<Spend>, StoreError> {
    let whole = match hour_of(from) {
        hour if hour == from => from,
        hour => hour.saturating_add(HOUR_MS),
    };
    let mut found = rows(conn, scope, from, whole, from)?;
    let query = hourly::table
        .filter(hourly::hour.ge(whole))
        .filter(hourly::provider.ne(""))
        .group_by(hourly::provider)
        .select((
            hourly::provider,
            sum_of(hourly::requests),
            sum_of(hourly::input_tokens),
            sum_of(hourly::output_tokens),
            sum_of(hourly::list_cost),
            sum_of(hourly::paid_cost),
        ))
        .into_boxed();
    let sums: Vec<(String, Sum, Sum, Sum, Sum, Sum)> = within!(query, scope, hourly).load(conn)?;
    found.extend(sums.into_iter().map(|row| of_sums(from, row)));
    Ok(found)
}

/// Spending since an instant, minute by minute, from the rows of that time.
///
/// # Errors
///
/// The database fails.
pub fn spend_by_minute(
    conn: &mut SqliteConnection,
    scope: &BudgetScope,
    from: UnixMs,
) -> Result<Vec<Spend>, StoreError> {
    let query = requests::table
        .filter(requests::ts.ge(from))
        .filter(requests::provider.is_not_null())
        .group_by(minutes::by())
        .select((
            minutes::minute(),
            minutes::provider(),
            count_of(requests::ts),
            sum_of(requests::input_tokens),
            sum_of(requests::output_tokens),
            sum_known(requests::list_cost),
            sum_known(requests::paid_cost),
        ))
        .into_boxed();
    type Row = (i64, String, i64, Sum, Sum, Sum, Sum);
    let sums: Vec<Row> = within!(query, scope, requests).load(conn)?;
    Ok(sums
        .into_iter()
        .map(|(minute, provider, requests, input, output, list, paid)| {
            let sums = (provider, Some(requests), input, output, list, paid);
            of_sums(minute.saturating_mul(BUCKET), sums)
        })
        .collect())
}

/// Spending of this installation for ever; what was imported from elsewhere is not in it.
///
/// # Errors
///
/// The database fails.
pub fn spend_ever(
    conn: &mut SqliteConnection,
    scope: &BudgetScope,
) -> Result<Vec<Spend>, StoreError> {
    let query = daily::table
        .filter(daily::source.eq("own"))
        .filter(daily::provider.ne(""))
        .group_by(daily::provider)
        .select((
            daily::provider,
            sum_of(daily::requests),
            sum_of(daily::input_tokens),
            sum_of(daily::output_tokens),
            sum_of(daily::list_cost),
            sum_of(daily::paid_cost),
        ))
        .into_boxed();
    let sums: Vec<(String, Sum, Sum, Sum, Sum, Sum)> = within!(query, scope, daily).load(conn)?;
    Ok(sums.into_iter().map(|row| of_sums(0, row)).collect())
}

fn rows(
    conn: &mut SqliteConnection,
    scope: &BudgetScope,
    from: UnixMs,
    to: UnixMs,
    at: UnixMs,
) -> Result<Vec<Spend>, StoreError> {
    if from >= to {
        return Ok(Vec::new());
    }
    let query = requests::table
        .filter(requests::ts.ge(from))
        .filter(requests::ts.lt(to))
        .filter(requests::provider.is_not_null())
        .group_by(requests::provider)
        .select((
            requests::provider,
            count_of(requests::ts),
            sum_of(requests::input_tokens),
            sum_of(requests::output_tokens),
            sum_known(requests::list_cost),
            sum_known(requests::paid_cost),
        ))
        .into_boxed();
    type Row = (Option<String>, i64, Sum, Sum, Sum, Sum);
    let sums: Vec<Row> = within!(query, scope, requests).load(conn)?;
    Ok(sums
        .into_iter()
        .map(|(provider, requests, input, output, list, paid)| {
            let sums = (provider.unwrap_or_default(), Some(requests), input, output, list, paid);
            of_sums(at, sums)
        })
        .collect())
}

fn of_sums(
    at: UnixMs,
    (provider, requests, input, output, list, paid): (String, Sum, Sum, Sum, Sum, Sum),
) -> Spend {
    Spend {
        at,
        provider,
        requests: requests.unwrap_or(0),
        tokens: input.unwrap_or(0).saturating_add(output.unwrap_or(0)),
        list: list.unwrap_or(0),
        paid: paid.unwrap_or(0),
    }
}
