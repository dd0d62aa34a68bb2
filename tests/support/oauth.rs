//! Accounts with a sign-in, put into a router's store before it starts.

use ninerouter::clock::Clock;
use ninerouter::demo::authority::Issued;
use ninerouter::id::AccountId;
use ninerouter::routing::account::{AccountConfig, AccountKind};
use ninerouter::secret::Secret;
use ninerouter::store::secrets::{self, NewSecrets};
use ninerouter::store::{MasterKey, Stamp, Store, StoreOptions, accounts};

use super::Router;

/// A Claude account with room for `max_concurrent` requests.
pub(crate) fn claude(label: &str, priority: u16, max_concurrent: u32) -> AccountConfig {
    AccountConfig {
        priority,
        max_concurrent: Some(max_concurrent),
        ..AccountConfig::new("claude".into(), AccountKind::OAuth, label.to_owned())
    }
}

/// Opens the store of a router that does not run.
fn open<T>(router: &Router, work: impl FnOnce(&Store) -> T) -> T {
    let data_dir = router.data_dir();
    let key = MasterKey::load_or_create(&data_dir, None).unwrap();
    let options = StoreOptions {
        data_dir,
        app_version: "0.1.0".to_owned(),
        clock: Clock::System,
        read_only: false,
        fresh: false,
    };
    let store = Store::open(&options, &key).unwrap();
    let done = work(&store);
    store.close().unwrap();
    done
}

/// Stores an account with tokens that have `left_s` seconds of eight hours left.
pub(crate) fn store(router: &Router, config: &AccountConfig, issued: &Issued, left_s: i64) {
    const LIFE_MS: i64 = 8 * 3_600_000;
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    let expires_at = Clock::System.now_ms() + left_s * 1_000;
    let new = NewSecrets {
        access_token: secret(&issued.access_token),
        refresh_token: secret(&issued.refresh_token),
        expires_at: Some(Some(expires_at)),
        ..NewSecrets::default()
    };
    open(router, |store| {
        store
            .write(|conn| {
                let stamp = Stamp::operator(0);
                accounts::upsert(conn, store.sealer(), config, None, stamp)?;
                let old = secrets::credential(conn, store.sealer(), config.id)?.generation;
                secrets::update(conn, store.sealer(), config.id, old, &new, expires_at - LIFE_MS)
            })
            .unwrap()
    });
}

/// The refresh token that a stopped router has stored.
pub(crate) fn refresh_token(router: &Router, id: AccountId) -> String {
    let token = open(router, |store| {
        store.read(|conn| secrets::refresh_token(conn, store.sealer(), id)).unwrap()
    });
    token.unwrap().expose().to_owned()
}
