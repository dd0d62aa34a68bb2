//! Sets of addresses: the whitelist, trusted proxies, the addresses of an API key.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

use super::address::canonical;
use crate::config::kind;

/// A set of networks. Membership is decided on canonical addresses: an IPv4 range also holds
/// mapped peers, a wide IPv6 range such as `::/0` means IPv6 only.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct IpSet(Vec<IpNet>);

/// A list with entries that are neither an address nor a range: refused as a whole (SEC-IP-7).
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("not an address or a range such as `10.0.0.0/8`: entries {indexes:?}")]
pub struct BadEntries {
    /// Their places in the list, from 0.
    pub indexes: Vec<usize>,
}

impl IpSet {
    /// The set of these networks.
    #[must_use]
    pub fn new(nets: Vec<IpNet>) -> Self {
        Self(nets)
    }

    /// Reads a list that somebody enters.
    ///
    /// # Errors
    /// The places of the entries that cannot be read.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, BadEntries> {
        let read: Vec<_> = entries.iter().map(|entry| kind::range(entry.as_ref().trim())).collect();
        let bad = read.iter().enumerate().filter(|(_at, net)| net.is_none());
        let indexes: Vec<_> = bad.map(|(at, _net)| at).collect();
        if indexes.is_empty() {
            Ok(Self(read.into_iter().flatten().collect()))
        } else {
            Err(BadEntries { indexes })
        }
    }

    /// Reads a stored list. An entry that cannot be read admits nobody.
    #[must_use]
    pub fn readable<S: AsRef<str>>(entries: &[S]) -> Self {
        Self(entries.iter().filter_map(|entry| kind::range(entry.as_ref().trim())).collect())
    }

    /// True when `ip` is in one of the ranges.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = canonical(ip);
        self.0.iter().any(|net| net.contains(&ip))
    }

    /// The ranges, host bits cleared.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }
}

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
    fn t_ip_12_unreadable_entries_are_named_by_index_and_admit_nobody() {
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
        assert_eq!(bad.indexes, [1, 2, 3, 4, 5, 6, 7, 8]);
        let set = IpSet::readable(&entries);
        assert_eq!(set.iter().count(), 1);
        assert!(!set.contains("127.0.0.1".parse().unwrap()));
    }
}
