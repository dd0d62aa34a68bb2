//! SQLite through diesel: one file per table, secrets at rest, migrations. The only user of diesel.
//!
//! Everything here blocks: call it on the blocking pool or on a thread of its own.

pub mod accounts;
pub mod alerts;
pub mod aliases;
pub mod api_keys;
pub mod audit;
pub mod auth_state;
pub mod backup;
pub mod bodies;
pub mod budgets;
mod column;
pub mod combos;
mod error;
mod files;
pub mod former_keys;
pub mod hot_state;
pub mod jobs;
mod load;
pub mod master_key;
mod migrate;
pub mod models;
pub mod nodes;
pub mod oauth_flows;
mod open;
pub mod prices;
pub mod provider_overrides;
pub mod proxies;
pub mod retention;
mod schema;
pub mod seal;
pub mod secrets;
pub mod sessions;
pub mod settings;
mod sqlite;
pub mod usage;

/// A connection, for callers that join several calls in one transaction.
pub use diesel::SqliteConnection as Connection;

pub use column::{Owner, Stamp};
pub use error::StoreError;
pub use files::{free_bytes, is_network_file_system};
pub use load::{AccountState, Loaded, StoredAccount};
pub use master_key::MasterKey;
pub use open::{Store, StoreOptions};
pub use seal::{Place, Sealer};

/// Version of SQLite in this binary.
#[must_use]
pub fn sqlite_version() -> std::borrow::Cow<'static, str> {
    libsqlite3_sys::SQLITE_VERSION.to_string_lossy()
}

/// Name of the database in the data folder.
pub const DATABASE: &str = "ninerouter.sqlite";
/// Folder of backups in the data folder.
const BACKUPS: &str = "backups";

#[cfg(test)]
pub(crate) mod tests;
