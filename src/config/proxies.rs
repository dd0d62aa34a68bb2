//! Trusted reverse proxies: presets, and the rule against ranges that hold too much of the Internet (B6).

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::kind;

/// Cloudflare's published ranges, a dated data file (security §6.1).
const CLOUDFLARE: &str = include_str!("../../assets/cloudflare-ranges.txt");

/// Loopback.
const LOOPBACK: &[&str] = &["127.0.0.0/8", "::1/128"];

/// Address space of private networks.
const PRIVATE: &[&str] = &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// Further space no public host has: shared address space and link-local.
const NOT_PUBLIC: &[&str] = &["100.64.0.0/10", "169.254.0.0/16", "fe80::/10"];

/// Ranges of a list of addresses and presets.
#[must_use]
pub fn expand(list: &[String]) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for entry in list {
        match entry.as_str() {
            "loopback" => nets.extend(read(LOOPBACK)),
            "private" => nets.extend(read(LOOPBACK).chain(read(PRIVATE))),
            "cloudflare" => nets.extend(cloudflare()),
            range => nets.extend(kind::range(range)),
        }
    }
    nets
}

/// The first range that holds public space wider than /16 (IPv4) or /32 (IPv6). Presets are exempt: they are published lists.
#[must_use]
pub fn too_wide(list: &[String]) -> Option<IpNet> {
    list.iter().filter_map(|entry| kind::range(entry)).find(|net| {
        let widest = match net {
            IpNet::V4(_) => 16,
            IpNet::V6(_) => 32,
        };
        net.prefix_len() < widest && !is_private(net)
    })
}

fn is_private(net: &IpNet) -> bool {
    let holds = |outer: IpNet| match (outer, net) {
        (IpNet::V4(outer), IpNet::V4(net)) => Ipv4Net::contains(&outer, net),
        (IpNet::V6(outer), IpNet::V6(net)) => Ipv6Net::contains(&outer, net),
        _ => false,
    };
    read(LOOPBACK).chain(read(PRIVATE)).chain(read(NOT_PUBLIC)).any(holds)
}

fn read<'a>(list: &'a [&'a str]) -> impl Iterator<Item = IpNet> + 'a {
    list.iter().filter_map(|net| kind::range(net))
}

fn cloudflare() -> impl Iterator<Item = IpNet> {
    CLOUDFLARE.lines().filter_map(|line| kind::range(line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_expand() {
        let texts = |list: &[&str]| -> Vec<String> {
            let list: Vec<String> = list.iter().map(|s| (*s).to_owned()).collect();
            expand(&list).iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(&["loopback"]), ["127.0.0.0/8", "::1/128"]);
        assert_eq!(texts(&["private"]).len(), 6);
        assert_eq!(texts(&["10.1.2.3"]), ["10.1.2.3/32"]);
        let cloudflare = texts(&["cloudflare"]);
        assert_eq!(cloudflare.len(), 22, "every line of the data file is a range");
    }

    #[test]
    fn t_boot_06_wide_public_ranges_are_found() {
        for (net, wide) in [
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("8.0.0.0/15", true),
            ("8.8.0.0/16", false),
            ("10.0.0.0/8", false),
            ("10.0.0.0/7", true),
            ("172.16.0.0/12", false),
            ("172.16.0.0/11", true),
            ("100.64.0.0/10", false),
            ("127.0.0.0/8", false),
            ("fc00::/7", false),
            ("2001:db8::/31", true),
            ("2001:db8::/32", false),
            ("::ffff:0:0/96", true),
            ("cloudflare", false),
        ] {
            assert_eq!(too_wide(&[net.to_owned()]).is_some(), wide, "{net}");
        }
    }
}
