//! The way a call takes: which proxy, if any, for which target.

use std::net::IpAddr;
use std::sync::Arc;

use crate::provider::proxy::no_proxy::NoProxy;
use crate::provider::proxy::proxy_url::ProxyUrl;

/// What configuration decided for the calls of an account, of a provider, or of everybody. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Route {
    /// No proxy.
    #[default]
    Direct,
    /// Through a proxy, with exceptions.
    Proxied(Arc<ProxyRules>),
    /// Through a proxy that cannot be used. Nothing goes out: a direct connection would be what nobody asked for.
    Closed(Arc<Closed>),
}

/// Which proxy for which target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProxyRules {
    /// For targets in clear.
    pub http: Option<Arc<ProxyUrl>>,
    /// For targets over TLS.
    pub https: Option<Arc<ProxyUrl>>,
    /// Hosts reached without it.
    pub except: NoProxy,
    /// Hosts of this machine are reached without it, too: a proxy would look for them on its own machine.
    pub spare_loopback: bool,
}

/// A configured proxy that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// The proxy, as the operator knows it. No password.
    pub proxy: String,
    /// Why, and what to do.
    pub why: &'static str,
}

/// What stands between the router and one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hop {
    /// This proxy.
    Proxy(Arc<ProxyUrl>),
    /// A proxy that cannot be used.
    Closed(Arc<Closed>),
}

/// The end of a call's way, as far as a route depends on it.
#[derive(Clone, Copy, Debug)]
pub struct RouteTarget<'a> {
    /// https.
    pub tls: bool,
    /// Host in lower case, or an address without brackets.
    pub host: &'a str,
    /// Port.
    pub port: u16,
}

impl Route {
    /// Every target through one proxy, except some hosts.
    #[must_use]
    pub fn through(proxy: ProxyUrl, except: NoProxy) -> Self {
        let proxy = Arc::new(proxy);
        let (http, https) = (Some(Arc::clone(&proxy)), Some(proxy));
        Self::of(ProxyRules { http, https, except, spare_loopback: false })
    }

    /// The route of some rules; direct when they name no proxy.
    #[must_use]
    pub fn of(rules: ProxyRules) -> Self {
        match (&rules.http, &rules.https) {
            (None, None) => Self::Direct,
            _ => Self::Proxied(Arc::new(rules)),
        }
    }

    /// No way out.
    #[must_use]
    pub fn closed(proxy: impl Into<String>, why: &'static str) -> Self {
        Self::Closed(Arc::new(Closed { proxy: proxy.into(), why }))
    }

    /// The same, with hosts of this machine reached directly.
    #[must_use]
    pub fn sparing_loopback(&self) -> Self {
        match self {
            Self::Proxied(rules) => Self::Proxied(Arc::new(ProxyRules {
                spare_loopback: true,
                ..ProxyRules::clone(rules)
            })),
            Self::Direct | Self::Closed(_) => self.clone(),
        }
    }

    /// What stands before one target; `None` = nothing, it is reached directly.
    #[must_use]
    pub fn hop(&self, to: RouteTarget<'_>) -> Option<Hop> {
        let rules = match self {
            Self::Direct => return None,
            Self::Closed(closed) => return Some(Hop::Closed(Arc::clone(closed))),
            Self::Proxied(rules) => rules,
        };
        let proxy = if to.tls { &rules.https } else { &rules.http };
        let spared = (rules.spare_loopback && is_this_machine(to.host))
            || rules.except.covers(to.host, to.port);
        proxy.as_ref().filter(|_| !spared).map(|proxy| Hop::Proxy(Arc::clone(proxy)))
    }

    /// Every proxy it may lead through.
    pub fn proxies(&self) -> impl Iterator<Item = &Arc<ProxyUrl>> {
        let rules = match self {
            Self::Proxied(rules) => Some(rules),
            Self::Direct | Self::Closed(_) => None,
        };
        rules.into_iter().flat_map(|rules| rules.http.iter().chain(&rules.https))
    }
}

fn is_this_machine(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
