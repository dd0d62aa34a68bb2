//! Looks at the router's database, and what another program may do to it.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use serde_json::Value;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    j: Option<String>,
}

/// Rows of a query as JSON objects: `columns` of `from` (table and clauses).
#[expect(clippy::disallowed_methods, reason = "assertions on tables, outside the product")]
pub(crate) fn rows(file: &Path, columns: &[&str], from: &str) -> Vec<Value> {
    let url = format!("file:{}?mode=ro", file.display());
    let mut connection = SqliteConnection::establish(&url).expect("the database opens");
    connection.batch_execute("PRAGMA busy_timeout=5000").unwrap();
    let pairs: Vec<_> = columns.iter().map(|c| format!("'{c}', {c}")).collect();
    let query = format!("SELECT json_object({}) AS j FROM {from}", pairs.join(", "));
    diesel::sql_query(&query)
        .load::<Row>(&mut connection)
        .unwrap_or_else(|e| panic!("{e} in {query}"))
        .into_iter()
        .map(|row| serde_json::from_str(&row.j.unwrap()).unwrap())
        .collect()
}

/// One text value, such as the answer of a pragma that is a table-valued function.
#[expect(clippy::disallowed_methods, reason = "assertions on tables, outside the product")]
pub(crate) fn text(file: &Path, query: &str) -> Option<String> {
    let url = format!("file:{}?mode=ro", file.display());
    let mut connection = SqliteConnection::establish(&url).expect("the database opens");
    let row = diesel::sql_query(query).get_result::<Row>(&mut connection);
    row.unwrap_or_else(|e| panic!("{e} in {query}")).j
}

fn connect(file: &Path) -> SqliteConnection {
    let mut connection =
        SqliteConnection::establish(file.to_str().unwrap()).expect("the database opens");
    connection.batch_execute("PRAGMA busy_timeout=5000").unwrap();
    connection
}

/// Changes rows behind the router's back.
pub(crate) fn execute(file: &Path, statement: &str) {
    connect(file).batch_execute(statement).unwrap_or_else(|e| panic!("{e} in {statement}"));
}

/// Keeps everybody else from writing until it is dropped.
pub(crate) fn lock(file: &Path) -> impl Drop + use<> {
    struct Lock(SqliteConnection);
    impl Drop for Lock {
        fn drop(&mut self) {
            self.0.batch_execute("ROLLBACK").unwrap();
        }
    }
    let mut connection = connect(file);
    connection.batch_execute("BEGIN IMMEDIATE").unwrap();
    Lock(connection)
}
