//! Secrets at rest: markers, wrong keys, generations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{
    NOW, account, execute, master, new_store, open, options, stamp, take_back_last_migration,
};
use crate::id::ProxyId;
use crate::provider::proxy::ProxyUrl;
use crate::routing::account::AccountKind;
use crate::secret::Secret;
use crate::store::master_key::{KeyOrigin, MasterKey};
use crate::store::proxies::NewProxy;
use crate::store::secrets::{self, NewSecrets};
use crate::store::sqlite::probe;
use crate::store::{Store, StoreError, accounts, proxies, settings};

const MARKER: &str = "sk-marker-7f3a9c";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn files_with(dir: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if memchr::memmem::find(&fs::read(&path).unwrap(), needle).is_some() {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn t_key_01_no_plain_secret_in_any_file_of_the_data_folder() {
    let dir = tempfile::tempdir().unwrap();
    let keys = MasterKey::load_or_create(dir.path(), None).unwrap();
    let store = Store::open(&options(dir.path()), &keys).unwrap();
    let config = account("glm", "visible-label");
    store
        .write(|conn| {
            let sealer = store.sealer();
            accounts::upsert(conn, sealer, &config, Some(&secret(MARKER)), stamp())?;
            let new = NewSecrets {
                access_token: Some(secret(MARKER)),
                refresh_token: Some(secret(MARKER)),
                id_token: Some(secret(MARKER)),
                extra: BTreeMap::from([("device".to_owned(), secret(MARKER))]),
                ..NewSecrets::default()
            };
            secrets::update(conn, sealer, config.id, 1, &new, NOW)?;
            let url = ProxyUrl::parse(&format!("http://user:{MARKER}@proxy.example")).unwrap();
            let (name, no_proxy) = ("home".to_owned(), String::new());
            let new =
                NewProxy { id: ProxyId::new(), name, url: Some(url), no_proxy, enabled: true };
            proxies::upsert(conn, sealer, &new, stamp())?;
            settings::set_secret(conn, sealer, "metrics_token", &secret(MARKER), stamp())
        })
        .unwrap();
    assert!(!files_with(dir.path(), b"visible-label").is_empty(), "the search finds what is there");
    assert!(files_with(dir.path(), MARKER.as_bytes()).is_empty());
    store.close().unwrap();
    // A backup holds them sealed as well.
    let mut conn = {
        use diesel::prelude::*;
        SqliteConnection::establish(store.path().to_str().unwrap()).unwrap()
    };
    take_back_last_migration(&mut conn);
    drop(conn);
    Store::open(&options(dir.path()), &keys).unwrap().close().unwrap();
    assert_eq!(fs::read_dir(dir.path().join("backups")).unwrap().count(), 1);
    assert!(files_with(dir.path(), MARKER.as_bytes()).is_empty());
}

#[test]
fn a_credential_comes_back_as_it_was_given() {
    let (_dir, store) = new_store();
    let mut config = account("glm", "plan");
    let write = |config: &_, text| {
        store.write(|conn| {
            accounts::upsert(conn, store.sealer(), config, Some(&secret(text)), stamp())
        })
    };
    write(&config, "sk-1").unwrap();
    let got = store.credential(config.id).unwrap();
    assert_eq!((got.api_key, got.generation), (Some(secret("sk-1")), 1));
    // The same secret again is no new generation; another one is.
    write(&config, "sk-1").unwrap();
    assert_eq!(store.credential(config.id).unwrap().generation, 1);
    config.label = "plan b".to_owned();
    write(&config, "sk-2").unwrap();
    let got = store.credential(config.id).unwrap();
    assert_eq!((got.api_key, got.generation), (Some(secret("sk-2")), 2));

    let mut service = account("vertex", "sa");
    service.kind = AccountKind::ServiceAccount;
    write(&service, "{\"type\":\"service_account\"}").unwrap();
    let got = store.credential(service.id).unwrap();
    assert_eq!(
        got.extra.get(secrets::SERVICE_ACCOUNT),
        Some(&secret("{\"type\":\"service_account\"}"))
    );
    assert!(got.api_key.is_none());

    let mut free = account("ollama", "local");
    free.kind = AccountKind::None;
    assert!(write(&free, "sk-x").is_err());
    store.write(|conn| accounts::upsert(conn, store.sealer(), &free, None, stamp())).unwrap();
    assert!(store.credential(free.id).unwrap().bearer().is_none());
    assert!(matches!(
        store.credential(crate::id::AccountId::new()),
        Err(StoreError::NotFound { .. })
    ));
}

#[test]
fn a_write_of_an_older_generation_is_discarded_and_extra_is_merged() {
    let (_dir, store) = new_store();
    let config = account("claude", "me");
    let update = |expected, new: &NewSecrets| {
        store.write(|conn| secrets::update(conn, store.sealer(), config.id, expected, new, NOW))
    };
    store.write(|conn| accounts::upsert(conn, store.sealer(), &config, None, stamp())).unwrap();
    let first = NewSecrets {
        access_token: Some(secret("at-1")),
        refresh_token: Some(secret("rt-1")),
        extra: BTreeMap::from([
            ("project".to_owned(), secret("p")),
            ("device".to_owned(), secret("d")),
        ]),
        expires_at: Some(Some(NOW + 60_000)),
        ..NewSecrets::default()
    };
    assert_eq!(update(0, &first).unwrap(), 1);
    let second = NewSecrets {
        access_token: Some(secret("at-2")),
        extra: BTreeMap::from([("device".to_owned(), secret("d2"))]),
        ..NewSecrets::default()
    };
    assert_eq!(update(1, &second).unwrap(), 2);
    for stale in [0, 1, 3] {
        assert!(matches!(update(stale, &first), Err(StoreError::Stale(_))), "{stale}");
    }
    let got = store.credential(config.id).unwrap();
    assert_eq!(got.access_token, Some(secret("at-2")));
    assert_eq!(got.expires_at, Some(NOW + 60_000));
    assert_eq!(got.extra["project"], secret("p"));
    assert_eq!(got.extra["device"], secret("d2"));
    let refresh =
        store.read(|conn| secrets::refresh_token(conn, store.sealer(), config.id)).unwrap();
    assert_eq!(refresh, Some(secret("rt-1")));
}

#[test]
fn t_key_02_swapped_rows_both_fail() {
    let (_dir, store) = new_store();
    let (a, b) = (account("glm", "a"), account("glm", "b"));
    store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), &a, Some(&secret("sk-a")), stamp())?;
            accounts::upsert(conn, store.sealer(), &b, Some(&secret("sk-b")), stamp())?;
            execute(
                conn,
                "create temp table s as select * from account_secrets; \
                 update account_secrets set api_key = \
                 (select api_key from s where s.account_id <> account_secrets.account_id)",
            )
        })
        .unwrap();
    for id in [a.id, b.id] {
        let error = store.credential(id).unwrap_err();
        assert!(matches!(error, StoreError::Unsealable { column: "api_key", .. }), "{error:?}");
    }
}

/// What is in the tables that hold secrets.
fn sealed(store: &Store) -> Vec<String> {
    let sql = "select hex(wrapped) as word from data_keys union all \
               select account_id || coalesce(api_key, '') || generation from account_secrets";
    store.read(|conn| Ok(probe::words(conn, sql))).unwrap()
}

#[test]
fn t_key_05_with_a_wrong_key_the_store_opens_and_overwrites_nothing() {
    let (dir, store) = new_store();
    let config = account("glm", "a");
    store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), &config, Some(&secret("sk-a")), stamp())
        })
        .unwrap();
    let before = sealed(&store);
    store.close().unwrap();
    for wrong in [
        MasterKey::from_bytes([1; 32], KeyOrigin::Environment),
        MasterKey::from_bytes([2; 32], KeyOrigin::Lost),
    ] {
        let store = Store::open(&options(dir.path()), &wrong).unwrap();
        assert!(!store.sealer().is_ready());
        store.load().unwrap();
        assert!(matches!(store.credential(config.id), Err(StoreError::SecretsUnreadable)));
        let changed = store.write(|conn| {
            accounts::upsert(conn, store.sealer(), &config, Some(&secret("sk-b")), stamp())
        });
        assert!(matches!(changed, Err(StoreError::SecretsUnreadable)));
        assert_eq!(sealed(&store), before);
        store.close().unwrap();
    }
    let store = open(dir.path());
    assert_eq!(store.credential(config.id).unwrap().api_key, Some(secret("sk-a")));
}

#[test]
fn t_key_05_no_new_key_is_made_while_sealed_rows_exist() {
    let dir = tempfile::tempdir().unwrap();
    let keys = MasterKey::load_or_create(dir.path(), None).unwrap();
    let store = Store::open(&options(dir.path()), &keys).unwrap();
    let config = account("glm", "a");
    store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), &config, Some(&secret("sk-a")), stamp())
        })
        .unwrap();
    store.close().unwrap();
    let file = dir.path().join("master.key");
    let away = dir.path().join("elsewhere");
    fs::rename(&file, &away).unwrap();
    let lost = MasterKey::load_or_create(dir.path(), None).unwrap();
    assert_eq!(lost.origin(), KeyOrigin::Lost);
    assert!(!file.exists());
    let store = Store::open(&options(dir.path()), &lost).unwrap();
    assert!(matches!(store.credential(config.id), Err(StoreError::SecretsUnreadable)));
    store.close().unwrap();
    fs::rename(&away, &file).unwrap();
    let keys = MasterKey::load_or_create(dir.path(), None).unwrap();
    let store = Store::open(&options(dir.path()), &keys).unwrap();
    assert_eq!(store.credential(config.id).unwrap().api_key, Some(secret("sk-a")));
}

#[test]
fn a_key_that_sealed_nothing_may_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let keys = MasterKey::load_or_create(dir.path(), None).unwrap();
    Store::open(&options(dir.path()), &keys).unwrap().close().unwrap();
    fs::remove_file(dir.path().join("master.key")).unwrap();
    let keys = MasterKey::load_or_create(dir.path(), None).unwrap();
    assert_eq!(keys.origin(), KeyOrigin::Generated);
    let store = Store::open(&options(dir.path()), &keys).unwrap();
    assert!(store.sealer().is_ready());
    let config = account("glm", "a");
    store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), &config, Some(&secret("sk-a")), stamp())
        })
        .unwrap();
    store.close().unwrap();
    let again = Store::open(&options(dir.path()), &keys).unwrap();
    assert_eq!(again.credential(config.id).unwrap().api_key, Some(secret("sk-a")));
}

#[test]
fn a_lost_key_seals_nothing_in_a_new_database() {
    let dir = tempfile::tempdir().unwrap();
    let lost = MasterKey::from_bytes([2; 32], KeyOrigin::Lost);
    let store = Store::open(&options(dir.path()), &lost).unwrap();
    assert!(!store.sealer().is_ready());
    store.close().unwrap();
    drop(Store::open(&options(dir.path()), &master()).unwrap());
}

#[test]
fn a_secret_setting_is_written_and_read_and_never_loaded() {
    let (_dir, store) = new_store();
    store
        .write(|conn| {
            settings::set_secret(conn, store.sealer(), "metrics_token", &secret("t-1"), stamp())?;
            settings::set(conn, "port", &20128.into(), stamp())
        })
        .unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.settings.keys().collect::<Vec<_>>(), ["port"]);
    let got = store.read(|conn| settings::secret(conn, store.sealer(), "metrics_token")).unwrap();
    assert_eq!(got, Some(secret("t-1")));
}
