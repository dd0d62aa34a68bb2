//! Where a request arrived from, worked out once for everybody who asks: admission, sign-in, its limit, the audit log.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;
use url::{Origin, Url};

use super::address::{
    ClientAddr, Peer, client_addr, has_forwarding_header, has_tunnel_header, local,
};
use super::csrf::origin_of;
use super::host::{BadHost, RequestHost, request_host};
use super::policy::AdmitPolicy;

/// Both addresses of a request. The only caller of [`client_addr`]: no two parts of the router can disagree about who is
/// calling (T-IP-14).
#[must_use]
pub fn address(peer: Peer, headers: &HeaderMap, policy: &AdmitPolicy) -> ClientAddr {
    client_addr(peer, headers, &policy.proxy)
}

/// A request's place of origin.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// Both addresses.
    pub addr: ClientAddr,
    /// The host it names.
    pub host: RequestHost<'a>,
    /// The other end of the socket.
    pub peer: Peer,
    headers: &'a HeaderMap,
    policy: &'a AdmitPolicy,
}

impl<'a> Arrival<'a> {
    /// Looks at a request. `target_authority` is that of an absolute-form target.
    ///
    /// # Errors
    /// When no request may have such a host (SEC-HOST-1).
    pub fn of(
        peer: Peer,
        headers: &'a HeaderMap,
        target_authority: Option<&str>,
        policy: &'a AdmitPolicy,
    ) -> Result<Self, BadHost> {
        let host = request_host(headers, target_authority)?;
        let addr = address(peer, headers, policy);
        Ok(Self { addr, host, peer, headers, policy })
    }

    /// From this machine, by a program that means this server (SEC-IP-9).
    #[must_use]
    pub fn is_local(&self) -> bool {
        local(self.peer, self.headers, &self.host)
    }

    /// Came through a tunnel: by its name, or by the mark of a tunnel program on this machine (SEC-TUN-1).
    #[must_use]
    pub fn is_tunnelled(&self) -> bool {
        self.policy.hosts.is_tunnel(&self.host)
            || (self.addr.peer.is_loopback() && has_tunnel_header(self.headers))
    }

    /// Carries the mark of a proxy, believed or not.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        has_forwarding_header(self.headers)
    }

    /// The client's address is on the list. A proxied request never profits from the address of its proxy
    /// (SEC-IP-5).
    #[must_use]
    pub fn is_whitelisted(&self) -> bool {
        (self.addr.derived || !self.is_forwarded())
            && self.policy.whitelist.contains(self.addr.client)
    }

    /// A forwarding header came from a peer that nobody trusts.
    #[must_use]
    pub fn has_ignored_forwarding(&self) -> bool {
        !self.is_behind_trusted_proxy() && self.is_forwarded()
    }

    /// The browser's connection is encrypted: a trusted proxy says so.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_behind_trusted_proxy()
            && nearest(self.headers, "x-forwarded-proto")
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }

    /// The place our own pages come from: `base_url` when it is set, else what the browser's address bar shows.
    #[must_use]
    pub fn own_origin(&self, base_url: Option<&Url>) -> Option<Origin> {
        if let Some(base) = base_url {
            return Some(base.origin());
        }
        let scheme = if self.is_https() { "https" } else { "http" };
        let forwarded = match self.is_behind_trusted_proxy() {
            true => nearest(self.headers, "x-forwarded-host"),
            false => None,
        };
        let sent = || self.headers.get("host").and_then(|host| host.to_str().ok());
        origin_of(&format!("{scheme}://{}", forwarded.or_else(sent)?))
    }

    /// The address that the whitelist would judge.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.addr.client
    }

    fn is_behind_trusted_proxy(&self) -> bool {
        self.policy.proxy.enabled && self.policy.proxy.trusted.contains(self.addr.peer)
    }
}

/// What the nearest proxy said: the last value of the last line.
fn nearest<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).last()?.to_str().ok()?;
    let last = line.rsplit(',').next().unwrap_or_default().trim();
    (!last.is_empty()).then_some(last)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use serde_json::{Value, json};

    use super::*;
    use crate::auth::candidate::tests::headers;
    use crate::config::settings::Settings;

    fn policy(more: &[(&str, Value)]) -> AdmitPolicy {
        let stored: BTreeMap<String, Value> =
            more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        AdmitPolicy::new(&Settings::from_map(&stored).unwrap())
    }

    fn proxied() -> AdmitPolicy {
        policy(&[("trusted_proxy_enabled", json!(true)), ("trusted_proxies", json!(["10.0.0.1"]))])
    }

    fn look<T>(
        policy: &AdmitPolicy,
        peer: &str,
        lines: &[(&str, &str)],
        ask: impl Fn(&Arrival<'_>) -> T,
    ) -> T {
        let lines: Vec<_> = [("host", "localhost:20128")].iter().chain(lines).copied().collect();
        let headers = headers(&lines);
        let peer = Peer::Tcp(SocketAddr::new(peer.parse().unwrap(), 50_000));
        ask(&Arrival::of(peer, &headers, None, policy).unwrap())
    }

    /// T-IP-08: no header makes a stranger local or admitted. T-IP-09: they make a local request another one.
    #[test]
    fn t_ip_08_and_09_spoofed_headers_open_nothing() {
        let off = policy(&[]);
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("cf-connecting-ip", "::1"),
            ("true-client-ip", "127.0.0.1"),
            ("x-client-ip", "127.0.0.1"),
            ("x-cluster-client-ip", "127.0.0.1"),
            ("x-9r-real-ip", "127.0.0.1"),
            ("x-originating-ip", "127.0.0.1"),
            ("x-original-forwarded-for", "127.0.0.1"),
            ("x-envoy-external-address", "127.0.0.1"),
            ("x-forwarded-host", "localhost"),
            ("via", "1.1 localhost"),
            ("tailscale-user-login", "root"),
            ("ngrok-trace-id", "1"),
            ("cdn-loop", "x"),
        ] {
            let lines = [(name, value)];
            let seen = |peer, ask: fn(&Arrival<'_>) -> bool| look(&off, peer, &lines, ask);
            assert!(!seen("198.51.100.7", |a| a.is_local()), "{name}");
            assert!(!seen("198.51.100.7", |a| a.is_whitelisted()), "{name}");
            assert!(!seen("127.0.0.1", |a| a.is_local()), "{name}");
            assert!(!seen("127.0.0.1", |a| a.is_whitelisted()), "{name}: its proxy is admitted");
            assert!(seen("127.0.0.1", |a| a.has_ignored_forwarding()), "{name}");
            assert_eq!(
                look(&off, "198.51.100.7", &lines, |a| a.client().to_string()),
                "198.51.100.7"
            );
        }
        assert!(look(&off, "127.0.0.1", &[], |a| a.is_local()));
        assert!(look(&off, "127.0.0.1", &[], |a| a.is_whitelisted()));
        assert!(look(&off, "172.17.0.9", &[], |a| a.is_whitelisted()));
        assert!(!look(&off, "172.18.0.9", &[], |a| a.is_whitelisted()));
    }

    #[test]
    fn sec_ip_5_behind_a_trusted_proxy_the_client_is_judged() {
        let on = proxied();
        let from = |client: &str| {
            look(&on, "10.0.0.1", &[("x-forwarded-for", client)], |a| a.is_whitelisted())
        };
        assert!(from("172.17.0.9"));
        assert!(!from("198.51.100.7"));
        assert!(!from("unknown"), "nobody is named");
        let direct = look(&on, "10.0.0.1", &[], |a| a.is_whitelisted());
        assert!(!direct, "the proxy's own address is on no list");
    }

    #[test]
    fn t_ses_04_only_a_trusted_proxy_can_say_https() {
        let https = [("x-forwarded-proto", "https")];
        assert!(look(&proxied(), "10.0.0.1", &https, |a| a.is_https()));
        assert!(!look(&proxied(), "10.0.0.2", &https, |a| a.is_https()));
        assert!(!look(&policy(&[]), "10.0.0.1", &https, |a| a.is_https()));
        assert!(!look(&policy(&[]), "127.0.0.1", &https, |a| a.is_https()));
        let spoofed = [("x-forwarded-proto", "https, http")];
        assert!(!look(&proxied(), "10.0.0.1", &spoofed, |a| a.is_https()), "the nearest counts");
    }

    #[test]
    fn the_own_origin_is_that_of_the_address_bar() {
        let own = |policy: &AdmitPolicy, peer: &str, lines: &[(&str, &str)]| {
            look(policy, peer, lines, |a| a.own_origin(None).map(|o| o.ascii_serialization()))
        };
        let plain = Some("http://localhost:20128".to_owned());
        assert_eq!(own(&policy(&[]), "127.0.0.1", &[]), plain);
        let forwarded = [("x-forwarded-host", "router.example"), ("x-forwarded-proto", "https")];
        assert_eq!(own(&policy(&[]), "127.0.0.1", &forwarded), plain);
        assert_eq!(own(&proxied(), "10.0.0.1", &forwarded), Some("https://router.example".into()));
        let base = Url::parse("https://public.example").unwrap();
        let by_base = look(&policy(&[]), "127.0.0.1", &[], |a| a.own_origin(Some(&base)));
        assert_eq!(by_base, Some(base.origin()));
    }

    #[test]
    fn t_tun_01_and_02_tunnels_are_known_by_name_and_by_mark() {
        let named = policy(&[("tunnel_hosts", json!(["tunnel.example"]))]);
        let tunnelled = |policy: &AdmitPolicy, peer: &str, lines: &[(&str, &str)]| {
            let headers = headers(lines);
            let peer = Peer::Tcp(SocketAddr::new(peer.parse().unwrap(), 50_000));
            Arrival::of(peer, &headers, None, policy).unwrap().is_tunnelled()
        };
        assert!(tunnelled(&named, "198.51.100.7", &[("host", "TUNNEL.example.:443")]));
        assert!(!tunnelled(&named, "198.51.100.7", &[("host", "router.example")]));
        let marked = [("host", "x.trycloudflare.com"), ("cf-ray", "1")];
        assert!(tunnelled(&policy(&[]), "127.0.0.1", &marked));
        assert!(
            !tunnelled(&policy(&[]), "198.51.100.7", &marked),
            "a content network is no tunnel"
        );
    }
}
