//! Sets of addresses as operators write them: single addresses, CIDR, presets.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

use super::address::canonical;

/// A set of networks. Membership is decided on canonical addresses.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct IpSet(Vec<IpNet>);

/// Most entries a list may have (SEC-IP-7).
pub const MAX_ENTRIES: usize = 1024;

/// An entry that cannot be read; the whole list is refused with all of these (SEC-IP-7).
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("entry {index}, `{text}`: {reason}")]
pub struct BadEntry {
    /// Its place in the list, from 0.
    pub index: usize,
    /// What was written.
    pub text: String,
    /// What is wrong.
    pub reason: BadNet,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BadNet {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// Neither an address nor a CIDR range.
    #[error("is neither an address nor a range such as `10.0.0.0/8`")]
    Unreadable,
    /// One too many.
    #[error("a list has at most 1024 entries")]
    TooMany,
}

impl IpSet {
    /// Reads a list of addresses and CIDR ranges.
    ///
    /// # Errors
    /// Every entry that cannot be read.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, Vec<BadEntry>> {
        Self::collect(entries, |text| parse_net(text).map(|net| vec![net]))
    }

    /// Reads a list of trusted proxies, where `loopback`, `private` and `cloudflare` may stand
    /// for their ranges.
    ///
    /// # Errors
    /// Every entry that cannot be read.
    pub fn parse_proxies<S: AsRef<str>>(entries: &[S]) -> Result<Self, Vec<BadEntry>> {
        Self::collect(entries, |text| match preset(text.trim()) {
            Some(nets) => Ok(nets.to_vec()),
            None => parse_net(text).map(|net| vec![net]),
        })
    }

    /// The default of `trusted_proxies`: loopback, RFC 1918, `fc00::/7`.
    #[must_use]
    pub fn private() -> Self {
        Self(PRIVATE.clone())
    }

    /// The default of `ip_whitelist` (SEC-IP-4), without the container's own subnets.
    #[must_use]
    pub fn default_whitelist() -> Self {
        let docker = IpNet::V4(Ipv4Net::new_assert([172, 17, 0, 0].into(), 16));
        Self(LOOPBACK.iter().copied().chain([docker]).collect())
    }

    /// True when `ip` is in one of the ranges.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = canonical(ip);
        self.0.iter().any(|net| net.contains(&ip))
    }

    /// True when nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, host bits cleared.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    fn collect<S: AsRef<str>>(
        entries: &[S],
        read: impl Fn(&str) -> Result<Vec<IpNet>, BadNet>,
    ) -> Result<Self, Vec<BadEntry>> {
        let (mut nets, mut bad) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().map(AsRef::as_ref).enumerate() {
            let read = if index < MAX_ENTRIES { read(entry) } else { Err(BadNet::TooMany) };
            match read {
                Ok(some) => nets.extend(some),
                Err(reason) => bad.push(BadEntry { index, text: entry.to_owned(), reason }),
            }
            if bad.last().is_some_and(|b| b.reason == BadNet::TooMany) {
                break;
            }
        }
        if bad.is_empty() { Ok(Self(nets)) } else { Err(bad) }
    }
}

/// True for ranges that no list of proxies may name by hand (B6): public space wider than /16,
/// or /32 in IPv6.
#[must_use]
pub fn is_too_wide_for_proxies(entry: &str) -> bool {
    if preset(entry.trim()).is_some() {
        return false;
    }
    let Ok(net) = parse_net(entry) else { return false };
    if PRIVATE.iter().any(|private| private.contains(&net)) {
        return false;
    }
    match net {
        IpNet::V4(net) => net.prefix_len() < 16,
        IpNet::V6(net) => net.prefix_len() < 32,
    }
}

/// Reads one address or range; host bits are cleared, a mapped range becomes an IPv4 range.
///
/// # Errors
/// What is wrong with it.
pub fn parse_net(text: &str) -> Result<IpNet, BadNet> {
    let text = text.trim();
    if text.is_empty() {
        return Err(BadNet::Empty);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(canonical(ip)));
    }
    let net = text.parse::<IpNet>().map_err(|_bad| BadNet::Unreadable)?.trunc();
    Ok(match net {
        IpNet::V6(net) => unmapped(net).map_or(IpNet::V6(net), IpNet::V4),
        IpNet::V4(_) => net,
    })
}

/// `::ffff:a.b.c.d/n` as IPv4: peers are compared in canonical form, where nothing is mapped.
/// Wider IPv6 ranges (`::/0`) mean IPv6 only.
fn unmapped(net: Ipv6Net) -> Option<Ipv4Net> {
    let prefix = net.prefix_len().checked_sub(96)?;
    let v4 = net.addr().to_ipv4_mapped()?;
    Ipv4Net::new(v4, prefix).ok()
}

fn preset(name: &str) -> Option<&'static [IpNet]> {
    match name {
        "loopback" => Some(&LOOPBACK),
        "private" => Some(&PRIVATE),
        "cloudflare" => Some(&CLOUDFLARE),
        _ => None,
    }
}

static LOOPBACK: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let v4 = Ipv4Net::new_assert([127, 0, 0, 0].into(), 8);
    vec![v4.into(), Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into()]
});

static PRIVATE: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let v4 = [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
    let v4 = v4.map(|(addr, prefix)| IpNet::V4(Ipv4Net::new_assert(addr.into(), prefix)));
    let v6 = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7));
    LOOPBACK.iter().copied().chain(v4).chain([v6]).collect()
});

static CLOUDFLARE: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let lines = include_str!("../../assets/cloudflare-ips.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| parse_net(line).ok()).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(entry: &str, ip: &str) -> bool {
        IpSet::parse(&[entry]).unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn t_ip_12_cidr_edges() {
        for (entry, ip, want) in [
            ("0.0.0.0/0", "203.0.113.5", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.5", false),
            ("10.0.0.4/31", "10.0.0.5", true),
            ("10.0.0.4/31", "10.0.0.6", false),
            ("10.0.0.4/32", "10.0.0.4", true),
            ("10.0.0.4/32", "10.0.0.5", false),
            ("10.0.0.5/8", "10.9.9.9", true),
            ("2001:db8::1/128", "2001:db8::1", true),
            ("2001:db8::1/128", "2001:db8::2", false),
            ("::ffff:0:0/96", "203.0.113.5", true),
            ("::ffff:10.0.0.0/104", "10.1.1.1", true),
            ("::ffff:10.0.0.0/104", "11.1.1.1", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            (" 10.0.0.1 ", "10.0.0.1", true),
        ] {
            assert_eq!(contains(entry, ip), want, "{entry} {ip}");
        }
    }

    #[test]
    fn t_ip_12_unreadable_entries_are_named_by_index() {
        let entries = [
            "10.0.0.0/8",
            "256.1.1.1",
            "10.0.0.0/33",
            "",
            "  ",
            "::/129",
            "0x7f.1",
            "host",
            "1.2.3",
        ];
        let bad = IpSet::parse(&entries).unwrap_err();
        assert_eq!(bad.iter().map(|b| b.index).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bad[2].reason, BadNet::Empty);
        let many = vec!["10.0.0.1"; MAX_ENTRIES + 2];
        assert_eq!(IpSet::parse(&many).unwrap_err()[0].reason, BadNet::TooMany);
        assert!(IpSet::parse(&many[..MAX_ENTRIES]).is_ok());
    }

    #[test]
    fn presets_are_for_proxies_only() {
        let proxies = IpSet::parse_proxies(&["private", "cloudflare"]).unwrap();
        for (ip, want) in [
            ("127.0.0.9", true),
            ("::1", true),
            ("172.31.255.255", true),
            ("fd00::1", true),
            ("104.16.0.1", true),
            ("2a06:98c7::1", true),
            ("8.8.8.8", false),
            ("172.32.0.1", false),
        ] {
            assert_eq!(proxies.contains(ip.parse().unwrap()), want, "{ip}");
        }
        assert!(IpSet::parse(&["private"]).is_err());
        assert_eq!(CLOUDFLARE.len(), 22, "every line of the data file is readable");
    }

    #[test]
    fn wide_public_ranges_are_no_proxies() {
        for (entry, want) in [
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("203.0.0.0/15", true),
            ("203.0.0.0/16", false),
            ("2001:db8::/31", true),
            ("10.0.0.0/8", false),
            ("10.0.0.0/7", true),
            ("fc00::/7", false),
            ("cloudflare", false),
        ] {
            assert_eq!(is_too_wide_for_proxies(entry), want, "{entry}");
        }
    }

    #[test]
    fn default_whitelist_is_loopback_and_the_default_container_bridge() {
        let list = IpSet::default_whitelist();
        let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["127.0.0.0/8", "::1/128", "172.17.0.0/16"]);
    }
}
