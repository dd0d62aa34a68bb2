//! SQLite through diesel: one file per table, secrets at rest, migrations. The only user of diesel.
//!
//! Everything here blocks: call it on the blocking pool or on a thread of its own.

mod column;
mod error;
mod files;
pub mod master_key;
mod migrate;
pub mod nodes;
mod open;
pub mod schema;
pub mod seal;
mod sqlite;

pub use column::{Owner, Stamp};
pub use error::StoreError;
pub use master_key::MasterKey;
pub use open::{Store, StoreOptions};
pub use seal::{Place, Sealer};

/// Name of the database in the data folder.
const DATABASE: &str = "ninerouter.sqlite";
/// Folder of backups in the data folder.
const BACKUPS: &str = "backups";
