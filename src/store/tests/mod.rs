//! Tests that cross the files of the store.

mod audit;
mod backup;
mod damage;
mod oauth_flows;
mod open;
mod proxies;
mod schema;
mod secrets;
mod tables;
mod usage;

use std::path::Path;

use diesel::prelude::*;

use crate::clock::Clock;
use crate::id::{ComboId, EntryId};
use crate::provider::node::{ModelSource, NetworkPolicy, Node, NodeType};
use crate::routing::account::{AccountConfig, AccountKind};
use crate::routing::combo::{Combo, Entry, Strategy};
use crate::store::column::Stamp;
use crate::store::master_key::{KeyOrigin, MasterKey};
use crate::store::{Store, StoreError, StoreOptions};

/// 2026-11-24T18:31:26Z.
const NOW: i64 = 1_795_545_086_000;

fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        data_dir: dir.to_owned(),
        app_version: "0.1.0".to_owned(),
        clock: Clock::manual(NOW),
        read_only: false,
        fresh: false,
    }
}

fn master() -> MasterKey {
    MasterKey::from_bytes([9; 32], KeyOrigin::File)
}

fn open(dir: &Path) -> Store {
    Store::open(&options(dir), &master()).unwrap()
}

fn error_of(result: Result<Store, StoreError>) -> StoreError {
    result.map(|_store| ()).unwrap_err()
}

/// A store in a folder that lives as long as the first field.
pub(crate) fn new_store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    (dir, store)
}

fn stamp() -> Stamp {
    Stamp::operator(NOW)
}

fn account(provider: &str, label: &str) -> AccountConfig {
    AccountConfig {
        tags: vec!["work".to_owned()],
        excluded_models: vec!["*-preview".to_owned()],
        max_concurrent: Some(4),
        params: vec![("region".to_owned(), "eu".to_owned()), ("a".to_owned(), "b".to_owned())],
        created_at: NOW,
        ..AccountConfig::new(provider.into(), AccountKind::ApiKey, label.to_owned())
    }
}

fn node(id: &str, prefix: &str) -> Node {
    Node {
        id: id.to_owned(),
        node_type: NodeType::OpenAiChat,
        name: "My cloud".to_owned(),
        prefix: prefix.to_owned(),
        base_url: "https://llm.example.org/v1".to_owned(),
        auth_style: None,
        headers: vec![("x-team".to_owned(), "a, b".to_owned())],
        network: NetworkPolicy::Private,
        insecure_http: false,
        h2: false,
        model_source: ModelSource::default(),
    }
}

fn combo(name: &str, targets: &[&str]) -> Combo {
    let entries = targets.iter().map(|target| Entry {
        id: EntryId::new(),
        target: (*target).to_owned(),
        weight: 1,
        tier: None,
        enabled: true,
        account_id: None,
        tags: Vec::new(),
    });
    Combo {
        id: ComboId::new(),
        name: name.into(),
        enabled: true,
        strategy: Strategy::Fallback,
        tier_inner: Strategy::Fallback,
        entries: entries.collect(),
        sticky_enabled: None,
        sticky_ttl_s: 3600,
        rr_sticky_count: 1,
        max_attempts: 12,
        deadline_ms: None,
        fallback_on_policy: false,
        capability_filter: true,
    }
}

/// Breaks a store, or mends it, with SQL the product never runs.
pub(crate) fn alter(store: &Store, sql: &str) {
    store.write(|conn| execute(conn, sql)).unwrap();
}

/// Runs SQL the product never runs, to break things.
fn execute(conn: &mut SqliteConnection, sql: &str) -> Result<(), StoreError> {
    use diesel::connection::SimpleConnection;
    conn.batch_execute(sql).map_err(StoreError::from)
}

/// Number of migrations of this program.
fn known() -> i64 {
    use diesel::migration::MigrationSource;
    use diesel::sqlite::Sqlite;
    let all = MigrationSource::<Sqlite>::migrations(&super::migrate::MIGRATIONS).unwrap();
    i64::try_from(all.len()).unwrap()
}

/// Makes the newest migration pending again.
fn take_back_last_migration(conn: &mut SqliteConnection) {
    use diesel_migrations::MigrationHarness;
    conn.revert_last_migration(super::migrate::MIGRATIONS).unwrap();
}
