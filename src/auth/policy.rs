//! The settings that admission reads, in the form it reads them.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::address::ProxySettings;
use super::host::HostPolicy;
use super::ipset::IpSet;
use crate::config::settings::{RequireApiKey, Settings};

/// Who needs a key, from where, under which host name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdmitPolicy {
    /// `require_api_key`
    pub require: RequireApiKey,
    /// `allowed_hosts`, `base_url`, `tunnel_hosts`
    pub hosts: HostPolicy,
    /// `ip_whitelist`, with loopback unless it is strict
    pub whitelist: IpSet,
    /// `trusted_proxy_*`
    pub proxy: ProxySettings,
}

impl AdmitPolicy {
    /// Takes a settings snapshot.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let base_url = settings.base_url.as_ref().map(url::Url::as_str);
        Self {
            require: settings.require_api_key,
            hosts: HostPolicy::new(&settings.allowed_hosts, base_url, &settings.tunnel_hosts),
            whitelist: whitelist(&settings.ip_whitelist, settings.ip_whitelist_strict),
            proxy: ProxySettings {
                enabled: settings.trusted_proxy_enabled,
                trusted: IpSet::new(settings.trusted_proxies.clone()),
                header: settings.trusted_proxy_header,
            },
        }
    }
}

/// SEC-IP-7: loopback stays admitted unless the list is strict.
fn whitelist(listed: &[IpNet], strict: bool) -> IpSet {
    let loopback = [
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    ];
    let always = loopback.into_iter().filter(|_net| !strict);
    IpSet::new(listed.iter().copied().chain(always).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn settings_become_a_policy() {
        let stored = BTreeMap::from([
            ("require_api_key".to_owned(), json!(false)),
            ("allowed_hosts".to_owned(), json!(["Router.Example:443"])),
            ("ip_whitelist".to_owned(), json!(["10.0.0.0/8"])),
            ("trusted_proxy_enabled".to_owned(), json!(true)),
        ]);
        let policy = AdmitPolicy::new(&Settings::from_map(&stored).unwrap());
        assert_eq!(policy.require, RequireApiKey::Never);
        assert!(policy.hosts.is_restricted());
        assert!(policy.proxy.enabled);
        assert!(policy.proxy.trusted.contains("192.168.1.1".parse().unwrap()), "unset: private");
        assert!(policy.whitelist.contains("127.0.0.1".parse().unwrap()));
        assert!(policy.whitelist.contains("10.1.1.1".parse().unwrap()));
        assert!(!policy.whitelist.contains("172.17.0.1".parse().unwrap()));
    }

    #[test]
    fn a_strict_whitelist_holds_what_it_lists() {
        let strict = whitelist(&["10.0.0.0/8".parse().unwrap()], true);
        assert!(!strict.contains("127.0.0.1".parse().unwrap()));
        assert!(!strict.contains("::1".parse().unwrap()));
    }
}
