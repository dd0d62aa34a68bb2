//! Outbound proxies: written, read again, changed, and kept while somebody is sent through them.

use serde_json::json;

use super::{NOW, account, new_store, stamp};
use crate::id::ProxyId;
use crate::provider::proxy::{ProxyScheme, ProxyUrl};
use crate::routing::account::ProxyChoice;
use crate::store::column::{Owner, Stamp};
use crate::store::provider_overrides::{self, ProviderOverride};
use crate::store::proxies::{self, NewProxy};
use crate::store::{Store, StoreError, accounts};

fn proxy(name: &str, url: &str) -> NewProxy {
    NewProxy {
        id: ProxyId::new(),
        name: name.to_owned(),
        url: Some(ProxyUrl::parse(url).unwrap()),
        no_proxy: ".corp, 10.0.0.0/8".to_owned(),
        enabled: true,
    }
}

fn put(store: &Store, new: &NewProxy, stamp: Stamp) -> Result<(), StoreError> {
    store.write(|conn| proxies::upsert(conn, store.sealer(), new, stamp))
}

#[test]
fn a_proxy_is_read_as_written_and_shown_without_its_password() {
    let (_dir, store) = new_store();
    let home = proxy("home", "socks5h://me:hunter2@proxy.example");
    put(&store, &home, Stamp::config_file(NOW)).unwrap();
    put(&store, &proxy("away", "https://10.0.0.1:8443"), stamp()).unwrap();
    let rows = store.read(proxies::list).unwrap();
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["away", "home"]);
    let row = store.read(|conn| proxies::find_by_name(conn, "home")).unwrap().unwrap();
    assert_eq!(Some(&row), rows.get(1));
    assert_eq!(store.read(|conn| proxies::find(conn, home.id)).unwrap(), Some(row.clone()));
    assert_eq!((row.id, row.scheme, row.rev), (home.id, ProxyScheme::Socks5h, 1));
    assert_eq!(row.display_url, "socks5h://me:***@proxy.example:1080");
    assert_eq!((row.no_proxy.as_str(), row.enabled), (".corp, 10.0.0.0/8", true));
    assert_eq!(row.managed_by, Some(Owner::ConfigFile));
    assert!(!format!("{rows:?} {home:?}").contains("hunter2"));
    let url = store.proxy_url(home.id).unwrap();
    assert_eq!(ProxyUrl::parse(url.expose()).ok(), home.url);
}

#[test]
fn a_change_keeps_the_url_unless_it_names_one_and_a_new_url_forgets_the_test() {
    let (_dir, store) = new_store();
    let mut home = proxy("home", "http://me:hunter2@proxy.example");
    put(&store, &home, stamp()).unwrap();
    let result = json!({"ok": true, "ms": 210, "at": NOW});
    store.write(|conn| proxies::keep_test(conn, home.id, &result)).unwrap();
    let url = home.url.take();
    (home.name, home.enabled) = ("house".to_owned(), false);
    put(&store, &home, Stamp::operator(NOW + 1)).unwrap();
    let find = || store.read(|conn| proxies::find(conn, home.id)).unwrap().unwrap();
    let row = find();
    assert_eq!((row.name.as_str(), row.enabled, row.rev), ("house", false, 2));
    assert_eq!(row.last_test, Some(result));
    assert_eq!(ProxyUrl::parse(store.proxy_url(home.id).unwrap().expose()).ok(), url);

    let moved = NewProxy { url: ProxyUrl::parse("http://other.example").ok(), ..home.clone() };
    put(&store, &moved, stamp()).unwrap();
    let row = find();
    assert_eq!((row.display_url.as_str(), row.last_test), ("http://other.example:80", None));
}

#[test]
fn what_is_no_proxy_is_refused() {
    let (_dir, store) = new_store();
    let home = proxy("home", "http://proxy.example");
    put(&store, &home, stamp()).unwrap();
    let twin = proxy("home", "http://other.example");
    assert!(matches!(put(&store, &twin, stamp()), Err(StoreError::Duplicate(_))));
    for bad in [NewProxy { url: None, ..twin.clone() }, proxy(" ", "http://other.example")] {
        assert!(matches!(put(&store, &bad, stamp()), Err(StoreError::Invalid { .. })));
    }
    let unknown = ProxyId::new();
    assert!(matches!(store.proxy_url(unknown), Err(StoreError::NotFound { .. })));
    let keep = store.write(|conn| proxies::keep_test(conn, unknown, &json!({})));
    assert!(matches!(keep, Err(StoreError::NotFound { .. })));
}

#[test]
fn a_proxy_in_use_stays_and_says_who_uses_it() {
    let (_dir, store) = new_store();
    let home = proxy("home", "http://proxy.example");
    put(&store, &home, stamp()).unwrap();
    let through_home = ProxyChoice::Proxy(home.id.to_string());
    let mut config = account("glm", "work");
    config.proxy = through_home.clone();
    let mut of_provider = ProviderOverride::new("claude".to_owned());
    of_provider.proxy = through_home.clone();
    store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), &config, None, stamp())?;
            provider_overrides::upsert(conn, &of_provider, stamp())
        })
        .unwrap();
    let stored = store.read(provider_overrides::list).unwrap();
    assert_eq!(stored[0].proxy, through_home);

    let users = store.read(|conn| proxies::users(conn, home.id)).unwrap();
    assert_eq!(users.accounts, [(config.id, "glm".to_owned(), "work".to_owned())]);
    assert_eq!((users.providers, users.accounts.len()), (vec!["claude".to_owned()], 1));
    let delete = || store.write(|conn| proxies::delete(conn, home.id));
    let refused = delete().unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }));
    assert_eq!(
        refused.to_string(),
        "proxy `home` is in use by account `glm/work`, provider `claude`; choose another one there first"
    );

    config.proxy = ProxyChoice::Direct;
    of_provider.proxy = ProxyChoice::Inherit;
    store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), &config, None, stamp())?;
            provider_overrides::upsert(conn, &of_provider, stamp())
        })
        .unwrap();
    assert!(delete().unwrap());
    assert!(!delete().unwrap(), "there is none left");
}
