//! The ways out of everything configured: from stored proxies, settings and the environment (SEC-OUT-6).

use std::collections::HashMap;

use tracing::warn;

use crate::actors::snapshot::Fixed;
use crate::config::settings::Settings;
use crate::provider::proxy::{NoProxy, ProxyUrl, Route, Routes};
use crate::secret::Secret;
use crate::store::proxies::ProxyRow;
use crate::store::{Store, StoreError};

/// The setting that names everybody's proxy.
const SETTING: &str = "outbound_proxy_url";

/// Reads the URLs of all proxies. One that cannot be read closes its way: nothing goes out without it instead. Blocking.
pub(super) fn routes(
    store: &Store,
    stored: &[ProxyRow],
    settings: &Settings,
    fixed: &Fixed,
) -> Routes {
    if fixed.demo {
        // Its providers are on this machine.
        return Routes::default();
    }
    let stored = stored.iter().map(|row| (row.id.to_string(), of_row(store, row)));
    Routes::new(everybody(store, settings, fixed), stored.collect::<HashMap<_, _>>())
}

/// The way of those whose account and provider say nothing: the settings, else the environment.
fn everybody(store: &Store, settings: &Settings, fixed: &Fixed) -> Route {
    let own = Some(&settings.outbound_no_proxy).filter(|list| !list.is_empty());
    match store.secret_setting(SETTING) {
        Ok(None) => fixed.proxies.route(own),
        Ok(Some(url)) => through(SETTING, Ok(url), own.unwrap_or(&fixed.proxies.no_proxy).clone()),
        Err(error) => through(SETTING, Err(error), NoProxy::default()),
    }
}

fn of_row(store: &Store, row: &ProxyRow) -> Route {
    if !row.enabled {
        return Route::closed(&row.name, "it is switched off; switch it on, or choose another one");
    }
    let (except, _checked_when_stored) = NoProxy::parse(&row.no_proxy);
    through(&row.name, store.proxy_url(row.id), except)
}

fn through(name: &str, url: Result<Secret, StoreError>, except: NoProxy) -> Route {
    let why = match url {
        Ok(url) => match ProxyUrl::parse(url.expose()) {
            Ok(url) => return Route::through(url, except),
            Err(bad) => bad.to_string(),
        },
        Err(error) => error.to_string(),
    };
    warn!(proxy = name, %why, "the proxy cannot be used, and nothing goes out without it; set its URL again");
    Route::closed(name, "its stored URL cannot be read; set it again")
}
