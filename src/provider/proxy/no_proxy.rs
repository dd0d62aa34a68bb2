//! `NO_PROXY`: hosts that are reached without the proxy.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

/// A list of hosts, read once.
///
/// One entry is `*` (everything), a host name (exactly that host), `.suffix` or `*.suffix` (every name below it), an
/// address, or a CIDR range; each may end in `:port`, before which an IPv6 address stands in brackets. Case and a trailing
/// dot do not matter. Addresses and ranges are compared with hosts that are written as an address: nothing is resolved for
/// them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NoProxy(Vec<Rule>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    what: What,
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    All,
    Name(String),
    /// With its leading dot.
    Suffix(String),
    Range(IpNet),
}

impl NoProxy {
    /// Reads a list with commas or blanks between its entries. The second value holds what is no entry.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        Self::of(text.split(|c: char| c == ',' || c.is_whitespace()))
    }

    /// Reads entries one by one; empty ones are passed over. The second value holds what is no entry.
    #[must_use]
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a str>) -> (Self, Vec<String>) {
        let (mut rules, mut bad) = (Vec::new(), Vec::new());
        for entry in entries.into_iter().map(str::trim).filter(|entry| !entry.is_empty()) {
            match rule(entry) {
                Some(rule) => rules.push(rule),
                None => bad.push(entry.to_owned()),
            }
        }
        (Self(rules), bad)
    }

    /// True when no host is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a host is reached without the proxy. `host` is in lower case and without brackets.
    #[must_use]
    pub fn covers(&self, host: &str, port: u16) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        self.0.iter().any(|rule| {
            rule.port.is_none_or(|only| only == port)
                && match &rule.what {
                    What::All => true,
                    What::Name(name) => name == host,
                    What::Suffix(suffix) => host.ends_with(suffix.as_str()),
                    What::Range(range) => address.is_some_and(|address| range.contains(&address)),
                }
        })
    }
}

fn rule(entry: &str) -> Option<Rule> {
    if entry == "*" {
        return Some(Rule { what: What::All, port: None });
    }
    if let Some(range) = range(entry) {
        return Some(Rule { what: What::Range(range), port: None });
    }
    let (host, port) = match entry.rsplit_once(':') {
        // `::1` was an address; what is left of colons stands before a port.
        Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|port| *port != 0)?)),
        None => (entry, None),
    };
    let what = match host.strip_prefix('*').unwrap_or(host).strip_prefix('.') {
        Some(suffix) => What::Suffix([".", &name(suffix)?].concat()),
        None => match host {
            "*" => What::All,
            _ => range(host).map(What::Range).or_else(|| name(host).map(What::Name))?,
        },
    };
    Some(Rule { what, port })
}

/// An address with or without brackets, or a range.
fn range(text: &str) -> Option<IpNet> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpNet>() {
        Ok(net) => Some(net.trunc()),
        Err(_) => Some(IpNet::from(bare.parse::<IpAddr>().ok()?.to_canonical())),
    }
}

/// A host name in the spelling of a parsed URL.
fn name(text: &str) -> Option<String> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    match Host::parse(bare).ok()? {
        Host::Domain(name) if !name.is_empty() && !name.contains('*') => Some(name),
        Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}
