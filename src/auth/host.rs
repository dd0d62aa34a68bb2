//! The `Host` of a request: whether it is well formed, whether a keyless caller may use it, and
//! whether an `Origin` is the same place (security §6.4).

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;
use thiserror::Error;

use super::address::canonical;

/// A host name with its port, still as the client wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Host<'a> {
    /// Without port, brackets and trailing dot. Compare it without case.
    pub name: &'a str,
    /// The port, if one was given.
    pub port: Option<u16>,
    /// The address, if the name is an IP literal; canonical.
    pub ip: Option<IpAddr>,
}

/// What a request said about the host it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestHost<'a> {
    /// HTTP/1.0 without `Host`: never a safe host.
    Missing,
    /// A well-formed host.
    Named(Host<'a>),
}

/// A `Host` that no request may have: 400 (SEC-HOST-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BadHost {
    /// A character outside of names and addresses, a bad port, an empty name.
    #[error("the Host header is not a host name with an optional port")]
    Malformed,
    /// More than one `Host`, or a request target that names another host.
    #[error("the request names two different hosts")]
    Contradiction,
}

/// Which names a keyless caller may use beside the built-in ones.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct HostPolicy {
    allowed: Vec<String>,
    base: Option<String>,
    tunnels: Vec<String>,
}

impl HostPolicy {
    /// `allowed_hosts`, the host of `base_url`, `tunnel_hosts`; ports are ignored.
    #[must_use]
    pub fn new(allowed: &[String], base_url: Option<&str>, tunnels: &[String]) -> Self {
        Self {
            allowed: allowed.iter().filter_map(|host| folded(host)).collect(),
            base: base_url.and_then(url_authority).and_then(folded),
            tunnels: tunnels.iter().filter_map(|host| folded(host)).collect(),
        }
    }

    /// True when the allow-list is in use: then it binds callers with a key as well.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// True for a host that no foreign web page can make a browser send (SEC-HOST-2).
    #[must_use]
    pub fn is_safe(&self, host: &RequestHost<'_>, local_ip: Option<IpAddr>) -> bool {
        let Some(host) = host.name() else { return false };
        host.is_loopback()
            || host.is_single_label()
            || host.name.eq_ignore_ascii_case("host.docker.internal")
            || (host.ip.is_some() && host.ip == local_ip.map(canonical))
            || self.base.iter().chain(&self.allowed).any(|name| host.is_named(name))
    }

    /// True when the host is that of a configured tunnel (SEC-TUN-1).
    #[must_use]
    pub fn is_tunnel(&self, host: &RequestHost<'_>) -> bool {
        host.name().is_some_and(|host| self.tunnels.iter().any(|name| host.is_named(name)))
    }
}

impl<'a> RequestHost<'a> {
    /// The host, unless it is missing.
    #[must_use]
    pub fn name(&self) -> Option<&Host<'a>> {
        match self {
            Self::Missing => None,
            Self::Named(host) => Some(host),
        }
    }
}

impl<'a> Host<'a> {
    /// Reads `name`, `name:port`, `1.2.3.4:port`, `[::1]:port`, `::1`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &'a str) -> Result<Self, BadHost> {
        let is_host_byte = |b: u8| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_')
        };
        if !text.bytes().all(is_host_byte) {
            return Err(BadHost::Malformed);
        }
        let (name, port) = split_port(text).ok_or(BadHost::Malformed)?;
        let ip = name.parse::<IpAddr>().ok().map(canonical);
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_name = ip.is_some() || !(name.is_empty() || name.contains([':', '[', ']']));
        if is_name { Ok(Self { name, port, ip }) } else { Err(BadHost::Malformed) }
    }

    /// `localhost`, `*.localhost`, `127.0.0.0/8`, `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        if let Some(ip) = self.ip {
            return ip.is_loopback();
        }
        let top = self.name.rsplit_once('.').map_or(self.name, |(_left, top)| top);
        top.eq_ignore_ascii_case("localhost")
    }

    /// A name without a dot, such as a container service. Numbers are addresses, not names.
    fn is_single_label(&self) -> bool {
        let is_number = self.name.starts_with("0x")
            || self.name.starts_with("0X")
            || self.name.bytes().all(|b| b.is_ascii_digit());
        self.ip.is_none() && !self.name.contains('.') && !is_number
    }

    fn is_named(&self, folded_name: &str) -> bool {
        match self.ip {
            Some(ip) => folded_name.parse::<IpAddr>().is_ok_and(|other| canonical(other) == ip),
            None => self.name.eq_ignore_ascii_case(folded_name),
        }
    }

    fn is_same(&self, other: &Host<'_>) -> bool {
        match (self.ip, other.ip) {
            (None, None) => self.name.eq_ignore_ascii_case(other.name),
            (mine, its) => mine == its,
        }
    }
}

/// The host of a request. `target_authority` is that of an absolute-form target.
///
/// # Errors
/// When the request must be answered with 400 (SEC-HOST-1).
pub fn request_host<'a>(
    headers: &'a HeaderMap,
    target_authority: Option<&str>,
) -> Result<RequestHost<'a>, BadHost> {
    let mut lines = headers.get_all("host");
    let Some(line) = lines.next() else {
        // HTTP/1.0 knows no Host; a target that names one does not make it safe.
        return Ok(RequestHost::Missing);
    };
    if lines.next().is_some() {
        return Err(BadHost::Contradiction);
    }
    let host = Host::parse(line.to_str().map_err(|_not_ascii| BadHost::Malformed)?)?;
    if let Some(authority) = target_authority {
        let target = Host::parse(authority)?;
        if !target.is_same(&host) || target.port != host.port {
            return Err(BadHost::Contradiction);
        }
    }
    Ok(RequestHost::Named(host))
}

/// True without `Origin`, and when the one `Origin` is the place that `Host` names. Our pages name no referrer
/// (SEC-HDR-1), so a browser calls the origin of their forms `null`; that they are ours it says in `Sec-Fetch-Site`,
/// which no script can set.
#[must_use]
pub fn is_same_origin(headers: &HeaderMap, host: &RequestHost<'_>) -> bool {
    let mut lines = headers.get_all("origin");
    let Some(line) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    if line == "null" {
        let mut sites = headers.get_all("sec-fetch-site").peekable();
        return sites.peek().is_some() && sites.all(|site| site == "same-origin");
    }
    let Some(host) = host.name() else { return false };
    let Some((default_port, authority)) = line.to_str().ok().and_then(split_origin) else {
        return false;
    };
    // The scheme of the page decides which port an omitted one means, on both sides: TLS may end
    // at a proxy that passes `Host` on.
    Host::parse(authority).is_ok_and(|origin| {
        origin.is_same(host)
            && origin.port.unwrap_or(default_port) == host.port.unwrap_or(default_port)
    })
}

/// True when the browser says that another site made it send this, or `Origin` is foreign.
#[must_use]
pub fn is_cross_site(headers: &HeaderMap, host: &RequestHost<'_>) -> bool {
    let mut sites = headers.get_all("sec-fetch-site");
    sites.any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"))
        || !is_same_origin(headers, host)
}

fn split_origin(origin: &str) -> Option<(u16, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    if scheme.eq_ignore_ascii_case("http") {
        Some((80, authority))
    } else if scheme.eq_ignore_ascii_case("https") {
        Some((443, authority))
    } else {
        None
    }
}

fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_number { text.parse::<u16>().ok() } else { None }
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        inside.parse::<std::net::Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            Some(number) => Some((inside, Some(port(number)?))),
            None if after.is_empty() => Some((inside, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        Some((_first, rest)) if rest.contains(':') => Some((text, None)),
        Some((name, number)) => Some((name, Some(port(number)?))),
    }
}

/// A host as a list holds it: lower case, no port, no trailing dot.
fn folded(host: &str) -> Option<String> {
    Host::parse(host.trim()).ok().map(|host| host.name.to_ascii_lowercase())
}

fn url_authority(url: &str) -> Option<&str> {
    let after = url.split_once("://")?.1;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let authority = after.get(..end)?;
    Some(authority.rsplit_once('@').map_or(authority, |(_user, host)| host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::candidate::tests::headers;

    fn policy() -> HostPolicy {
        HostPolicy::new(
            &["Router.Example:443".into(), "2001:db8::1".into()],
            Some("https://public.example/base"),
            &["tunnel.example".into()],
        )
    }

    fn safe(host: &str) -> bool {
        let headers = headers(&[("host", host)]);
        let host = request_host(&headers, None).unwrap();
        policy().is_safe(&host, Some("192.168.1.5".parse().unwrap()))
    }

    #[test]
    fn t_host_01_only_known_names_are_safe() {
        for host in [
            "localhost:20128",
            "LOCALHOST.",
            "a.localhost",
            "127.8.9.1:1",
            "[::1]:20128",
            "[::ffff:127.0.0.1]",
            "ninerouter:20128",
            "host.docker.internal",
            "192.168.1.5:20128",
            "router.example",
            "ROUTER.example.:8443",
            "public.example",
            "[2001:db8::1]:80",
        ] {
            assert!(safe(host), "{host}");
        }
        for host in [
            "evil.example",
            "attacker.test:20128",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.6",
            "2130706433",
            "0x7f000001",
            "127.1",
            "notlocalhost.example",
        ] {
            assert!(!safe(host), "{host}");
        }
    }

    #[test]
    fn sec_host_1_malformed_and_contradicting_hosts_are_refused() {
        for host in [
            "localhost:20128/#@x",
            "localhost/login?",
            "a b",
            "",
            ":80",
            "localhost:",
            "localhost:99999",
            "localhost:+1",
            "[::1",
            "[::1]x",
            "[localhost]",
            "a:b:c",
            "user@localhost",
            "é.example",
        ] {
            let headers = headers(&[("host", host)]);
            assert_eq!(request_host(&headers, None), Err(BadHost::Malformed), "{host}");
        }
        let two = headers(&[("host", "localhost"), ("host", "localhost")]);
        assert_eq!(request_host(&two, None), Err(BadHost::Contradiction));
        let one = headers(&[("host", "localhost")]);
        assert_eq!(request_host(&one, Some("a")), Err(BadHost::Contradiction));
        assert_eq!(request_host(&one, Some("localhost:1")), Err(BadHost::Contradiction));
        assert!(request_host(&one, Some("LocalHost")).is_ok());
        assert_eq!(request_host(&headers(&[]), None), Ok(RequestHost::Missing));
    }

    #[test]
    fn a_missing_host_is_never_safe() {
        assert!(!policy().is_safe(&RequestHost::Missing, None));
    }

    #[test]
    fn t_tun_02_tunnel_names_compare_without_case_dot_and_port() {
        for (host, want) in [
            ("TUNNEL.example.:443", true),
            ("tunnel.example", true),
            ("x.tunnel.example", false),
            ("localhost", false),
        ] {
            let headers = headers(&[("host", host)]);
            let host_of = request_host(&headers, None).unwrap();
            assert_eq!(policy().is_tunnel(&host_of), want, "{host}");
        }
    }

    #[test]
    fn t_host_02_foreign_pages_are_cross_site() {
        for (host, lines, want) in [
            ("localhost:20128", vec![], false),
            ("localhost:20128", vec![("origin", "http://localhost:20128")], false),
            ("localhost", vec![("origin", "http://localhost:80")], false),
            ("router.example", vec![("origin", "https://router.example")], false),
            ("localhost:20128", vec![("origin", "http://localhost:3000")], true),
            ("localhost:20128", vec![("origin", "http://127.0.0.1:20128")], true),
            ("localhost:20128", vec![("origin", "https://evil.example")], true),
            ("localhost:20128", vec![("origin", "null")], true),
            ("localhost:20128", vec![("origin", "")], true),
            ("localhost:20128", vec![("origin", "http://localhost:20128/")], true),
            ("localhost:20128", vec![("origin", "app://localhost:20128")], true),
            ("localhost:20128", vec![("sec-fetch-site", "cross-site")], true),
            ("localhost:20128", vec![("sec-fetch-site", "same-origin")], false),
            ("localhost:20128", vec![("sec-fetch-site", "none")], false),
        ] {
            let lines: Vec<_> = [("host", host)].into_iter().chain(lines).collect();
            let headers = headers(&lines);
            let host = request_host(&headers, None).unwrap();
            assert_eq!(is_cross_site(&headers, &host), want, "{lines:?}");
        }
    }
}
