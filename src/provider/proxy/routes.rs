//! Every way out that is configured, and the one that an account and its provider decide on.

use std::collections::HashMap;
use std::sync::Arc;

use crate::provider::proxy::proxy_url::ProxyUrl;
use crate::provider::proxy::route::Route;
use crate::routing::account::ProxyChoice;

/// Ways out, made once per configuration.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    everybody: Route,
    /// [`Routes::everybody`] for servers of this machine.
    local: Route,
    stored: HashMap<String, Route>,
}

impl Routes {
    /// From the way of everybody and the stored proxies by id.
    #[must_use]
    pub fn new(everybody: Route, stored: HashMap<String, Route>) -> Self {
        Self { local: everybody.sparing_loopback(), everybody, stored }
    }

    /// The way of calls for an account: its own choice, else its provider's, else everybody's. `local` = the
    /// provider's server runs on this machine as a rule (Ollama, LM Studio …): everybody's proxy would look for it on
    /// the proxy's machine, so that loopback hosts are then reached directly.
    #[must_use]
    pub fn choose(&self, account: &ProxyChoice, provider: &ProxyChoice, local: bool) -> Route {
        match (account, provider) {
            (ProxyChoice::Direct, _) | (ProxyChoice::Inherit, ProxyChoice::Direct) => Route::Direct,
            (ProxyChoice::Proxy(id), _) | (ProxyChoice::Inherit, ProxyChoice::Proxy(id)) => {
                let unknown = || Route::closed(id, "it is not stored; choose another one");
                self.stored.get(id.as_str()).cloned().unwrap_or_else(unknown)
            }
            (ProxyChoice::Inherit, ProxyChoice::Inherit) if local => self.local.clone(),
            (ProxyChoice::Inherit, ProxyChoice::Inherit) => self.everybody.clone(),
        }
    }

    /// Every proxy that calls may lead through.
    #[must_use]
    pub fn proxies(&self) -> Vec<Arc<ProxyUrl>> {
        let all = self.stored.values().chain([&self.everybody]);
        all.flat_map(Route::proxies).cloned().collect()
    }
}
