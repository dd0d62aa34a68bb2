//! The variables by which the world names its proxies: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.

use std::sync::Arc;

use crate::provider::proxy::no_proxy::NoProxy;
use crate::provider::proxy::proxy_url::ProxyUrl;
use crate::provider::proxy::route::{ProxyRules, Route};

/// Upper-case names; the lower-case form of each wins over it.
pub const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"];

/// What the environment says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EnvironmentProxies {
    /// For targets over TLS.
    pub https: Option<Arc<ProxyUrl>>,
    /// For targets in clear.
    pub http: Option<Arc<ProxyUrl>>,
    /// For whichever of the two has none of its own.
    pub all: Option<Arc<ProxyUrl>>,
    /// Hosts without proxy.
    pub no_proxy: NoProxy,
}

impl EnvironmentProxies {
    /// The names of a variable that count, best first. Under CGI a client's `Proxy:` header arrives as
    /// `HTTP_PROXY`, so that the upper-case form means nothing there.
    #[must_use]
    pub fn names(upper: &'static str, under_cgi: bool) -> Vec<String> {
        let lower = upper.to_ascii_lowercase();
        if under_cgi && upper == "HTTP_PROXY" {
            return vec![lower];
        }
        vec![lower, upper.to_owned()]
    }

    /// The way everybody takes whose account, provider and settings say nothing. `except` = the setting's own list of
    /// hosts, which replaces `NO_PROXY`.
    #[must_use]
    pub fn route(&self, except: Option<&NoProxy>) -> Route {
        Route::of(ProxyRules {
            http: self.http.clone().or_else(|| self.all.clone()),
            https: self.https.clone().or_else(|| self.all.clone()),
            except: except.unwrap_or(&self.no_proxy).clone(),
            spare_loopback: false,
        })
    }
}
