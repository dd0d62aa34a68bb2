//! May a request go to this address: a pure verdict per network policy (security §9.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::provider::node::NetworkPolicy;

/// Why an address is not simply public.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Range {
    /// Answers with credentials of the machine. No policy opens it.
    Metadata,
    /// `0.0.0.0/8`, `::`.
    ThisNetwork,
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// RFC 1918, shared (carrier) space, unique local.
    Private,
    /// `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// Examples in documents.
    Documentation,
    /// `198.18.0.0/15`; resolvers that hand out fake addresses use it.
    Benchmark,
    /// Groups of receivers.
    Multicast,
    /// Set aside, or another way to write an IPv4 address that nobody needs.
    Reserved,
}

impl Range {
    /// The policy an operator would have to choose, when there is one.
    #[must_use]
    pub fn opened_by(self) -> Option<NetworkPolicy> {
        match self {
            Self::Private => Some(NetworkPolicy::Private),
            Self::Loopback => Some(NetworkPolicy::Loopback),
            Self::Metadata
            | Self::ThisNetwork
            | Self::LinkLocal
            | Self::Documentation
            | Self::Benchmark
            | Self::Multicast
            | Self::Reserved => None,
        }
    }

    fn is_open(self, policy: NetworkPolicy) -> bool {
        let (private, loopback) = match policy {
            NetworkPolicy::Public => (false, false),
            NetworkPolicy::Private => (true, false),
            NetworkPolicy::Loopback => (false, true),
            NetworkPolicy::PrivateAndLoopback => (true, true),
        };
        match self {
            Self::Private => private,
            Self::Loopback => loopback,
            Self::Metadata
            | Self::ThisNetwork
            | Self::LinkLocal
            | Self::Documentation
            | Self::Benchmark
            | Self::Multicast
            | Self::Reserved => false,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "a metadata address",
            Self::ThisNetwork => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Documentation => "a documentation address",
            Self::Benchmark => "a benchmarking address",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// Judges one address.
///
/// # Errors
/// The range it lies in, when `policy` does not open that range.
pub fn judge(address: IpAddr, policy: NetworkPolicy) -> Result<(), Range> {
    match range_of(address) {
        Some(range) if !range.is_open(policy) => Err(range),
        Some(_) | None => Ok(()),
    }
}

/// The special range an address lies in; `None` for a public one.
#[must_use]
pub fn range_of(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(v4) => range_of_v4(v4),
        IpAddr::V6(v6) => range_of_v6(v6),
    }
}

const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn range_of_v4(v4: Ipv4Addr) -> Option<Range> {
    if METADATA_V4.contains(&v4) {
        return Some(Range::Metadata);
    }
    match v4.octets() {
        [0, ..] => Some(Range::ThisNetwork),
        [127, ..] => Some(Range::Loopback),
        [10, ..] | [100, 64..=127, ..] | [172, 16..=31, ..] | [192, 168, ..] => {
            Some(Range::Private)
        }
        [169, 254, ..] => Some(Range::LinkLocal),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some(Range::Documentation),
        [198, 18..=19, ..] => Some(Range::Benchmark),
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Some(Range::Reserved),
        [224..=239, ..] => Some(Range::Multicast),
        _ => None,
    }
}

fn range_of_v6(v6: Ipv6Addr) -> Option<Range> {
    if METADATA_V6.contains(&v6) {
        return Some(Range::Metadata);
    }
    if let Some(v4) = written_as_v6(v6) {
        return range_of_v4(v4);
    }
    let outer = plain_range_of_v6(v6);
    let Some(inner) = isatap(v6) else { return outer };
    // The inner address is where the packet ends: it may close what the outer one opens, never the reverse.
    match (outer, range_of_v4(inner)) {
        (_, Some(Range::Metadata)) => Some(Range::Metadata),
        (None | Some(Range::Private), inner) => inner.or(outer),
        (Some(outer), _) => Some(outer),
    }
}

fn plain_range_of_v6(v6: Ipv6Addr) -> Option<Range> {
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Range::ThisNetwork),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Range::Loopback),
        // v4-compatible; local-use translation; discard; 2001::/23 (Teredo too); 6to4; SRv6
        [0, 0, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..]
        | [0x100, 0, 0, 0, ..]
        | [0x2001, 0..=0x1ff, ..]
        | [0x2002, ..]
        | [0x5f00, ..] => Some(Range::Reserved),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some(Range::Documentation),
        [0xfc00..=0xfdff, ..] => Some(Range::Private),
        [0xfe80..=0xfebf, ..] => Some(Range::LinkLocal),
        // The old site-local space.
        [0xfec0..=0xfeff, ..] => Some(Range::Reserved),
        [0xff00..=0xffff, ..] => Some(Range::Multicast),
        _ => None,
    }
}

/// IPv4 inside a whole-address form: mapped, translated (SIIT), NAT64.
fn written_as_v6(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last_32_bits(v6)),
        _ => None,
    }
}

/// IPv4 inside an ISATAP interface id.
fn isatap(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    match v6.segments() {
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => Some(last_32_bits(v6)),
        _ => None,
    }
}

fn last_32_bits(v6: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = v6.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests;
