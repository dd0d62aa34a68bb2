//! Which URLs a request may go to, and in which spelling (security §9.2).

use std::net::IpAddr;

use url::{Host, Url};

use super::verdict::{Range, judge};
use crate::provider::node::NetworkPolicy;

/// A URL that passed, in the WHATWG parser's spelling.
///
/// Only this spelling is ever sent: the client's own URI type keeps `http://2130706433` as written and
/// the system resolver accepts it, so checking one text and sending another would be a bypass (§26).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    url: Url,
    host: String,
    address: Option<IpAddr>,
    port: u16,
    tls: bool,
}

impl Accepted {
    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Host name in lower case, or the address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, when the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Port, also when it is the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// True for https.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// `host:port` with brackets around IPv6.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.url.host_str().unwrap_or_default(), self.port)
    }

    /// The address that a `location` header of its answer leads to. A fragment is for browsers.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn redirect(&self, location: &str) -> Result<String, UrlRefusal> {
        let mut next = self.url.join(location).map_err(|_invalid| UrlRefusal::Unparsable)?;
        next.set_fragment(None);
        Ok(next.into())
    }

    /// Value of the `host` header: without the scheme's own port.
    #[must_use]
    pub fn host_header(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

/// Why a URL is refused. Safe to show: it names no address and no secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlRefusal {
    /// Not a URL.
    #[error("the address is not a valid URL")]
    Unparsable,
    /// Neither http nor https.
    #[error("the URL must start with `https://` or `http://`")]
    Scheme,
    /// http where the destination asks for https.
    #[error("plain http is refused: use https, or allow insecure http for this node")]
    PlainHttp,
    /// `user:password@`.
    #[error("the URL must not contain a user name or password")]
    UserInfo,
    /// `#…`.
    #[error("the URL must not contain a fragment")]
    Fragment,
    /// Empty host.
    #[error("the URL has no host")]
    NoHost,
    /// Port 0 or one that belongs to another protocol.
    #[error("port `{0}` is refused")]
    Port(u16),
    /// Too long, or an empty or too long label.
    #[error("the host name is malformed")]
    HostName,
    /// A name that only means something inside a network.
    #[error("the host name is local to a network: choose the network policy `private` to allow it")]
    LocalName,
    /// A name of a cloud's metadata service.
    #[error("the host is a metadata service")]
    MetadataName,
    /// The host is an address of a range that is not open.
    #[error("the host is {0}{hint}", hint = policy_hint(*.0))]
    Address(Range),
}

/// `: choose the network policy `…` to allow it`, or nothing.
pub(crate) fn policy_hint(range: Range) -> &'static str {
    match range.opened_by() {
        Some(NetworkPolicy::Private) => ": choose the network policy `private` to allow it",
        Some(NetworkPolicy::Loopback) => ": choose the network policy `loopback` to allow it",
        Some(NetworkPolicy::Public | NetworkPolicy::PrivateAndLoopback) | None => "",
    }
}

/// Name under which containers see their host.
pub(crate) const DOCKER_HOST: &str = "host.docker.internal";

/// Parses and judges one URL.
///
/// # Errors
/// The first rule it breaks.
pub fn accept(
    text: &str,
    network: NetworkPolicy,
    insecure_http: bool,
) -> Result<Accepted, UrlRefusal> {
    let mut url = Url::parse(text.trim()).map_err(|error| match error {
        url::ParseError::EmptyHost => UrlRefusal::NoHost,
        _ => UrlRefusal::Unparsable,
    })?;
    let tls = check_scheme(&url, network, insecure_http)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(UrlRefusal::Fragment);
    }
    drop_trailing_dot(&mut url)?;
    let port = url.port_or_known_default().ok_or(UrlRefusal::Scheme)?;
    if is_blocked_port(port) {
        return Err(UrlRefusal::Port(port));
    }
    let (host, address) = match url.host().ok_or(UrlRefusal::NoHost)? {
        Host::Domain(name) => {
            check_name(name, network)?;
            (name.to_owned(), None)
        }
        Host::Ipv4(v4) => (v4.to_string(), Some(IpAddr::V4(v4))),
        Host::Ipv6(v6) => (v6.to_string(), Some(IpAddr::V6(v6))),
    };
    if let Some(address) = address {
        judge(address, network).map_err(UrlRefusal::Address)?;
    }
    Ok(Accepted { url, host, address, port, tls })
}

fn check_scheme(
    url: &Url,
    network: NetworkPolicy,
    insecure_http: bool,
) -> Result<bool, UrlRefusal> {
    match url.scheme() {
        "https" => Ok(true),
        "http" if network != NetworkPolicy::Public || insecure_http => Ok(false),
        "http" => Err(UrlRefusal::PlainHttp),
        _ => Err(UrlRefusal::Scheme),
    }
}

fn drop_trailing_dot(url: &mut Url) -> Result<(), UrlRefusal> {
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    let Some(bare) = name.strip_suffix('.').map(str::to_owned) else { return Ok(()) };
    if bare.is_empty() {
        return Err(UrlRefusal::NoHost);
    }
    url.set_host(Some(&bare)).map_err(|_invalid| UrlRefusal::HostName)
}

fn check_name(name: &str, network: NetworkPolicy) -> Result<(), UrlRefusal> {
    if name.is_empty() {
        return Err(UrlRefusal::NoHost);
    }
    if name.len() > 253 || name.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(UrlRefusal::HostName);
    }
    const METADATA: [&str; 4] =
        ["metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"];
    if METADATA.contains(&name) {
        return Err(UrlRefusal::MetadataName);
    }
    const LOCAL: [&str; 6] = [".internal", ".local", ".localhost", ".home.arpa", ".onion", ".test"];
    let opens_private =
        matches!(network, NetworkPolicy::Private | NetworkPolicy::PrivateAndLoopback);
    let is_docker_host = name == DOCKER_HOST && network == NetworkPolicy::Loopback;
    if LOCAL.iter().any(|suffix| name.ends_with(suffix)) && !opens_private && !is_docker_host {
        return Err(UrlRefusal::LocalName);
    }
    Ok(())
}

/// Port 0 and the browsers' list of ports that speak something else.
fn is_blocked_port(port: u16) -> bool {
    matches!(
        port,
        0 | 1
            | 7
            | 9
            | 11
            | 13
            | 15
            | 17
            | 19..=23
            | 25
            | 37
            | 42
            | 43
            | 53
            | 69
            | 77
            | 79
            | 87
            | 95
            | 101..=104
            | 109..=111
            | 113
            | 115
            | 117
            | 119
            | 123
            | 135
            | 137
            | 139
            | 143
            | 161
            | 179
            | 389
            | 427
            | 465
            | 512..=515
            | 526
            | 530..=532
            | 540
            | 548
            | 554
            | 556
            | 563
            | 587
            | 601
            | 636
            | 989
            | 990
            | 993
            | 995
            | 1719
            | 1720
            | 1723
            | 2049
            | 3659
            | 4045
            | 4190
            | 5060
            | 5061
            | 6000
            | 6566
            | 6665..=6669
            | 6679
            | 6697
            | 10080
    )
}

#[cfg(test)]
mod tests;
