//! Outbound proxies, pure: their URLs, the hosts reached without them, and the way a call takes (SEC-OUT-6).
//!
//! A [`Route`] is what configuration decides for an account, a provider or everybody; with the target of a call it
//! gives the one [`ProxyUrl`] the call goes through, or none. Opening the connection is `net`'s work.

mod environment;
mod no_proxy;
mod proxy_url;
mod route;
mod routes;

pub use environment::{EnvironmentProxies, VARIABLES};
pub use no_proxy::NoProxy;
pub use proxy_url::{BadProxyUrl, ProxyHost, ProxyLogin, ProxyScheme, ProxyUrl};
pub use route::{Closed, Hop, ProxyRules, Route, RouteTarget};
pub use routes::Routes;

#[cfg(test)]
mod tests;
