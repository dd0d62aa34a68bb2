//! Which address is the client's, and whether a request is local (security §6.1, §6.3).

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;

use super::host::{Host, RequestHost, is_same_origin};
use super::ipset::IpSet;
use crate::config::settings::ProxyHeader;

/// The other end of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A TCP connection.
    Tcp(SocketAddr),
    /// A Unix socket: always this machine.
    Unix,
}

impl Peer {
    /// The canonical address; loopback for a Unix socket.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Tcp(addr) => canonical(addr.ip()),
            Self::Unix => IpAddr::from([127, 0, 0, 1]),
        }
    }
}

/// How forwarding headers are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxySettings {
    /// Off: all forwarding headers are ignored.
    pub enabled: bool,
    /// Peers whose headers are believed.
    pub trusted: IpSet,
    /// The one header that is read.
    pub header: ProxyHeader,
}

/// Both addresses of a request; both are logged and stored (SEC-IP-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddr {
    /// The socket peer, canonical.
    pub peer: IpAddr,
    /// The client, as far as it is known.
    pub client: IpAddr,
    /// A trusted proxy named the client.
    pub derived: bool,
}

/// Most hops that are looked at.
const MOST_HOPS: usize = 32;

/// The client's address: the right-most one that is no trusted proxy.
#[must_use]
pub fn client_addr(peer: Peer, headers: &HeaderMap, proxy: &ProxySettings) -> ClientAddr {
    let peer = peer.ip();
    let named = if proxy.enabled && proxy.trusted.contains(peer) {
        named_client(headers, proxy)
    } else {
        None
    };
    ClientAddr { peer, client: named.unwrap_or(peer), derived: named.is_some() }
}

/// True for a request from this machine by a program that means this server (SEC-IP-9).
#[must_use]
pub fn local(peer: Peer, headers: &HeaderMap, host: &RequestHost<'_>) -> bool {
    peer.ip().is_loopback()
        && !has_forwarding_header(headers)
        && (peer == Peer::Unix || host.name().is_some_and(Host::is_loopback))
        && is_same_origin(headers, host)
}

/// True when a proxy or tunnel put its mark on the request.
#[must_use]
pub fn has_forwarding_header(headers: &HeaderMap) -> bool {
    const PREFIXES: [&str; 7] =
        ["x-forwarded", "cf-", "tailscale-", "ngrok-", "x-envoy-", "x-original-", "x-originating-"];
    // `x-originating-` and the last six names are not in SEC-IP-9's list: T-IP-08 and proxies in
    // the field use them.
    const NAMES: [&str; 11] = [
        "forwarded",
        "x-real-ip",
        "via",
        "cdn-loop",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "x-9r-real-ip",
        "x-remote-ip",
    ];
    headers.keys().any(|name| {
        let name = name.as_str();
        PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
    })
}

/// True when a tunnel program on this machine put its mark on the request (SEC-TUN-1).
#[must_use]
pub fn has_tunnel_header(headers: &HeaderMap) -> bool {
    const PREFIXES: [&str; 3] = ["cf-", "tailscale-", "ngrok-"];
    headers.keys().any(|name| {
        let name = name.as_str();
        name == "cdn-loop" || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// IPv4-mapped IPv6 is IPv4.
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Reads an address as forwarding headers write it: port, brackets and zone id are dropped.
#[must_use]
pub fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            if !port.is_empty() {
                is_port(port.strip_prefix(':')?).then_some(())?;
            }
            inside
        }
        None => match text.split_once(':') {
            // One colon is a port; more are an IPv6 address.
            Some((addr, port)) if !port.contains(':') => is_port(port).then_some(addr)?,
            _ => text,
        },
    };
    let without_zone = bare.split_once('%').map_or(bare, |(addr, _zone)| addr);
    without_zone.parse().ok().map(canonical)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn named_client(headers: &HeaderMap, proxy: &ProxySettings) -> Option<IpAddr> {
    match proxy.header {
        ProxyHeader::Auto if headers.contains_key("x-forwarded-for") => {
            walk(forwarded_for(headers), proxy)
        }
        ProxyHeader::Auto if headers.contains_key("forwarded") => walk(forwarded(headers), proxy),
        ProxyHeader::Auto | ProxyHeader::XRealIp => single(headers, "x-real-ip"),
        ProxyHeader::XForwardedFor => walk(forwarded_for(headers), proxy),
        ProxyHeader::Forwarded => walk(forwarded(headers), proxy),
        ProxyHeader::CfConnectingIp => single(headers, "cf-connecting-ip"),
    }
}

/// `hops` come right to left: what the nearest proxy saw first. The left part may be forged, but
/// it is reached only through trusted addresses.
fn walk<'a>(hops: impl Iterator<Item = Option<&'a str>>, proxy: &ProxySettings) -> Option<IpAddr> {
    let mut current = None;
    for hop in hops.take(MOST_HOPS) {
        let Some(addr) = hop.and_then(parse_hop) else { return current };
        current = Some(addr);
        if !proxy.trusted.contains(addr) {
            return current;
        }
    }
    current
}

fn single(headers: &HeaderMap, name: &str) -> Option<IpAddr> {
    let mut lines = headers.get_all(name);
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    parse_hop(line.to_str().ok()?)
}

/// The values of all lines of `name`, the last line first; `None` for unreadable bytes.
fn lines<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Option<&'a str>> {
    headers.get_all(name).rev().map(|line| line.to_str().ok())
}

fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<&str>> {
    lines(headers, "x-forwarded-for").flat_map(|line| match line {
        Some(text) => Hops::Split(text.rsplit(',')),
        None => Hops::Unreadable(false),
    })
}

/// The hops of one line.
enum Hops<'a> {
    Split(std::str::RSplit<'a, char>),
    Unreadable(bool),
}

impl<'a> Iterator for Hops<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Split(parts) => parts.next().map(Some),
            Self::Unreadable(true) => None,
            Self::Unreadable(done) => {
                *done = true;
                Some(None)
            }
        }
    }
}

fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<&str>> {
    lines(headers, "forwarded").flat_map(|line| Elements { left: line, bad: line.is_none() })
}

/// The elements of a `Forwarded` line from right to left. Reading from the right, a quote that a
/// client left open at the far end cannot swallow what the proxy appended.
struct Elements<'a> {
    left: Option<&'a str>,
    bad: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bad {
            self.bad = false;
            return Some(None);
        }
        let text = self.left?;
        let mut quoted = false;
        let comma = text.rfind(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let (rest, element) = match comma {
            Some(at) => (text.get(..at), text.get(at + 1..).unwrap_or_default()),
            None => (None, text),
        };
        self.left = rest;
        Some(for_parameter(element))
    }
}

/// The one `for=` of an element; quotes removed.
fn for_parameter(element: &str) -> Option<&str> {
    let mut values = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::candidate::tests::headers;
    use crate::auth::host::request_host;
    use crate::config::proxies::expand;

    fn peer(ip: &str) -> Peer {
        Peer::Tcp(SocketAddr::new(ip.parse().unwrap(), 50_000))
    }

    fn proxy(header: ProxyHeader) -> ProxySettings {
        let trusted = IpSet::new(expand(&["private".to_owned()]));
        ProxySettings { enabled: true, trusted, header }
    }

    fn proxy_off() -> ProxySettings {
        ProxySettings { enabled: false, ..proxy(ProxyHeader::Auto) }
    }

    fn default_whitelist() -> IpSet {
        IpSet::parse(&["127.0.0.0/8", "::1", "172.17.0.0/16"]).unwrap()
    }

    fn client(peer_ip: &str, lines: &[(&str, &str)]) -> String {
        let on = proxy(ProxyHeader::Auto);
        client_addr(peer(peer_ip), &headers(lines), &on).client.to_string()
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn t_ip_01_off_means_peer() {
        let lines = headers(&[(XFF, "1.2.3.4"), ("forwarded", "for=1.2.3.4")]);
        let found = client_addr(peer("10.0.0.1"), &lines, &proxy_off());
        assert_eq!(found.client.to_string(), "10.0.0.1");
        assert!(!found.derived);
    }

    #[test]
    fn t_ip_02_the_proxy_itself_is_skipped() {
        assert_eq!(client("10.0.0.1", &[(XFF, "203.0.113.5, 10.0.0.1")]), "203.0.113.5");
    }

    #[test]
    fn t_ip_03_a_spoofed_left_part_is_ignored() {
        assert_eq!(client("127.0.0.1", &[(XFF, "127.0.0.1, 198.51.100.7")]), "198.51.100.7");
    }

    #[test]
    fn t_ip_04_a_public_peer_is_believed_nothing() {
        assert_eq!(client("198.51.100.1", &[(XFF, "127.0.0.1")]), "198.51.100.1");
    }

    #[test]
    fn t_ip_05_several_lines_are_one_list() {
        let lines = [(XFF, "9.9.9.9, 203.0.113.5"), (XFF, "10.0.0.2, 10.0.0.3")];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.5");
        let lines = [(XFF, "203.0.113.5"), (XFF, "198.51.100.7, 10.0.0.3")];
        assert_eq!(client("10.0.0.1", &lines), "198.51.100.7");
    }

    #[test]
    fn t_ip_06_forwarded_with_quotes_brackets_and_ports() {
        let value = r#"for="[2001:db8::1]:4711";proto=https, for=10.0.0.2"#;
        assert_eq!(client("10.0.0.1", &[("forwarded", value)]), "2001:db8::1");
        let value = r#"for="evil, for=203.0.113.5"#;
        assert_eq!(client("10.0.0.1", &[("forwarded", value)]), "203.0.113.5");
        let value = "by=10.0.0.9;For=198.51.100.7";
        assert_eq!(client("10.0.0.1", &[("forwarded", value)]), "198.51.100.7");
        let value = "for=1.1.1.1;for=2.2.2.2";
        assert_eq!(client("10.0.0.1", &[("forwarded", value)]), "10.0.0.1");
    }

    #[test]
    fn t_ip_07_v4_mapped_peer_is_canonical() {
        assert_eq!(peer("::ffff:127.0.0.1").ip(), peer("127.0.0.1").ip());
        assert_eq!(client("::ffff:10.0.0.1", &[(XFF, "::ffff:203.0.113.5")]), "203.0.113.5");
    }

    const SPOOFS: [(&str, &str); 5] = [
        ("x-real-ip", "127.0.0.1"),
        ("cf-connecting-ip", "::1"),
        ("x-client-ip", "127.0.0.1"),
        ("x-9r-real-ip", "127.0.0.1"),
        ("x-originating-ip", "127.0.0.1"),
    ];

    fn is_local(peer_ip: &str, lines: &[(&str, &str)]) -> bool {
        let headers = headers(lines);
        let host = request_host(&headers, None).unwrap();
        local(peer(peer_ip), &headers, &host)
    }

    #[test]
    fn t_ip_08_a_remote_peer_is_never_local_or_admitted_by_a_header() {
        for spoof in SPOOFS {
            let lines = [("host", "localhost:20128"), spoof];
            assert!(!is_local("198.51.100.7", &lines), "{spoof:?}");
            let found = client_addr(peer("198.51.100.7"), &headers(&lines), &proxy_off());
            assert!(!default_whitelist().contains(found.client), "{spoof:?}");
        }
    }

    #[test]
    fn t_ip_09_a_loopback_peer_with_such_a_header_is_not_local() {
        assert!(is_local("127.0.0.1", &[("host", "localhost:20128")]));
        for spoof in SPOOFS.into_iter().chain([
            ("via", "1.1 x"),
            ("forwarded", "for=127.0.0.1"),
            ("x-forwarded-host", "localhost"),
            ("cdn-loop", "cloudflare"),
            ("tailscale-user-login", "me"),
            ("ngrok-skip-browser-warning", "1"),
            ("x-envoy-external-address", "::1"),
            ("x-original-url", "/"),
            ("true-client-ip", "::1"),
        ]) {
            assert!(!is_local("127.0.0.1", &[("host", "localhost"), spoof]), "{spoof:?}");
        }
    }

    #[test]
    fn local_needs_a_loopback_host_and_no_foreign_origin() {
        for (lines, want) in [
            (vec![("host", "127.0.0.1:20128")], true),
            (vec![("host", "[::1]:20128")], true),
            (vec![("host", "App.LocalHost.")], true),
            (vec![("host", "evil.example")], false),
            (vec![], false),
            (vec![("host", "localhost:1"), ("origin", "http://localhost:1")], true),
            (vec![("host", "localhost:1"), ("origin", "http://localhost:2")], false),
            (vec![("host", "localhost:1"), ("origin", "null")], false),
            (
                vec![("host", "localhost:1"), ("origin", "null"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            // A form of our own page: it names no referrer, so the browser names no origin.
            (
                vec![
                    ("host", "localhost:1"),
                    ("origin", "null"),
                    ("sec-fetch-site", "same-origin"),
                ],
                true,
            ),
            (
                vec![
                    ("host", "evil.example"),
                    ("origin", "null"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
        ] {
            assert_eq!(is_local("::1", &lines), want, "{lines:?}");
        }
        let headers = headers(&[]);
        let host = request_host(&headers, None).unwrap();
        assert!(local(Peer::Unix, &headers, &host));
    }

    #[test]
    fn t_ip_10_at_most_32_hops_are_walked() {
        let hops: Vec<String> = (1..=33).map(|n| format!("10.0.0.{n}")).collect();
        assert_eq!(client("10.1.0.1", &[(XFF, &hops.join(","))]), "10.0.0.2");
        let all_trusted = &hops[..32];
        assert_eq!(client("10.1.0.1", &[(XFF, &all_trusted.join(","))]), "10.0.0.1");
    }

    #[test]
    fn t_ip_11_junk_stops_the_walk() {
        for (value, want) in [
            ("unknown", "10.0.0.1"),
            ("203.0.113.5, unknown", "10.0.0.1"),
            ("203.0.113.5, unknown, 10.0.0.2", "10.0.0.2"),
            ("203.0.113.5,, 10.0.0.2", "10.0.0.2"),
            ("1.2.3.4:99", "1.2.3.4"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("0x7f.1", "10.0.0.1"),
            ("1.2.3", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("é", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[(XFF, value)]), want, "{value}");
        }
        for (text, want) in [
            ("[::1]", Some("::1")),
            ("::1", Some("::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%25eth0]:80", Some("fe80::1")),
            ("[::1]x", None),
            ("[::1", None),
            ("1.2.3.4:", None),
            ("1.2.3.4:99999", None),
            ("01.2.3.4", None),
            ("_hidden", None),
        ] {
            assert_eq!(parse_hop(text).map(|ip| ip.to_string()).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn single_value_headers_are_read_only_when_chosen_and_single() {
        let lines = headers(&[("x-real-ip", "203.0.113.5"), ("cf-connecting-ip", "203.0.113.6")]);
        let find = |header, lines: &HeaderMap| {
            client_addr(peer("127.0.0.1"), lines, &proxy(header)).client.to_string()
        };
        assert_eq!(find(ProxyHeader::Auto, &lines), "203.0.113.5");
        assert_eq!(find(ProxyHeader::CfConnectingIp, &lines), "203.0.113.6");
        assert_eq!(find(ProxyHeader::XForwardedFor, &lines), "127.0.0.1");
        let twice = headers(&[("x-real-ip", "203.0.113.5"), ("x-real-ip", "203.0.113.6")]);
        assert_eq!(find(ProxyHeader::XRealIp, &twice), "127.0.0.1");
        // Never several: a junk `X-Forwarded-For` does not make `X-Real-IP` count.
        let both = headers(&[(XFF, "unknown"), ("x-real-ip", "203.0.113.5")]);
        assert_eq!(find(ProxyHeader::Auto, &both), "127.0.0.1");
    }

    proptest! {
        #[test]
        fn what_the_proxy_appended_wins_over_anything_left_of_it(junk in "[ -~]{0,60}") {
            let value = format!("{junk}, for=203.0.113.5");
            prop_assert_eq!(client("10.0.0.1", &[("forwarded", &value)]), "203.0.113.5");
            let value = format!("{junk}, 203.0.113.5");
            prop_assert_eq!(client("10.0.0.1", &[(XFF, &value)]), "203.0.113.5");
        }
    }
}
