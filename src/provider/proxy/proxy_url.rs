//! A proxy's URL: `scheme://[user[:password]@]host[:port]`. Nothing but [`ProxyUrl::to_secret`] tells its password.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::secret::Secret;

/// How a proxy is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProxyScheme {
    /// HTTP `CONNECT` in clear.
    Http,
    /// HTTP `CONNECT` inside TLS.
    Https,
    /// SOCKS 5 (RFC 1928); names are resolved here.
    Socks5,
    /// SOCKS 5; names are resolved by the proxy.
    Socks5h,
}

impl ProxyScheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Socks5, Self::Socks5h];

    /// As it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// The scheme of this name, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
    }

    /// Port when the URL names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    /// SOCKS, as against HTTP.
    #[must_use]
    pub fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }
}

/// Where a proxy listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ProxyHost {
    /// Lower case, without trailing dot.
    Name(String),
    /// A literal address.
    Address(IpAddr),
}

/// What a proxy asks for. Both parts are percent-decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyLogin {
    /// User name; not empty.
    pub user: Secret,
    /// Password; may be empty over HTTP.
    pub password: Secret,
}

/// The URL of a proxy, understood. `Debug` and `Display` show it without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    scheme: ProxyScheme,
    host: ProxyHost,
    port: u16,
    login: Option<ProxyLogin>,
    display: String,
}

/// Why a text is no URL of a proxy. It never holds the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadProxyUrl {
    /// Nothing there.
    #[error("the proxy's URL is empty")]
    Empty,
    /// Another scheme.
    #[error("a proxy's URL begins with `http://`, `https://`, `socks5://` or `socks5h://`")]
    Scheme,
    /// Not `host[:port]` behind the scheme.
    #[error(
        "the proxy's URL must read `scheme://[user:password@]host[:port]`; write `@ : / ? # %` inside user name or \
         password percent-encoded (`@` is `%40`)"
    )]
    Malformed,
    /// A path, query or fragment.
    #[error(
        "the proxy's URL must end behind its port; write `/ ? #` inside user name or password percent-encoded \
         (`/` is `%2F`)"
    )]
    Trailing,
    /// Port 0.
    #[error("port 0 is no port of a proxy")]
    Port,
    /// Not UTF-8, a control character, or a colon in a user name that HTTP cannot carry.
    #[error("the proxy's user name or password holds characters that its protocol cannot carry")]
    Login,
    /// RFC 1929 has one byte for each length, and none for zero.
    #[error("a SOCKS proxy takes a user name and a password of 1 to 255 bytes each")]
    SocksLogin,
}

impl ProxyUrl {
    /// Reads a proxy's URL. A text without scheme is `http://`, as everywhere.
    ///
    /// # Errors
    /// See [`BadProxyUrl`].
    pub fn parse(text: &str) -> Result<Self, BadProxyUrl> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadProxyUrl::Empty);
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (ProxyScheme::parse(scheme).ok_or(BadProxyUrl::Scheme)?, rest),
            None => (ProxyScheme::Http, text),
        };
        // The parser treats hosts of the web's schemes as hosts, those of others as opaque text. It forgets a port
        // that is the scheme's own: asked under two schemes, one of them says it.
        let [http, https] = ["http", "https"].map(|web| Url::parse(&[web, "://", rest].concat()));
        let (Ok(url), Ok(twin)) = (http, https) else { return Err(BadProxyUrl::Malformed) };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(BadProxyUrl::Trailing);
        }
        let host = match url.host().ok_or(BadProxyUrl::Malformed)? {
            Host::Domain(name) => match name.strip_suffix('.').unwrap_or(name) {
                "" => return Err(BadProxyUrl::Malformed),
                name => ProxyHost::Name(name.to_owned()),
            },
            Host::Ipv4(v4) => ProxyHost::Address(v4.into()),
            Host::Ipv6(v6) => ProxyHost::Address(v6.into()),
        };
        let port = url.port().or(twin.port()).unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(BadProxyUrl::Port);
        }
        let login = login(&url, scheme)?;
        let display = display(scheme, &host, port, login.as_ref());
        Ok(Self { scheme, host, port, login, display })
    }

    /// How it is spoken to.
    #[must_use]
    pub fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Where it listens.
    #[must_use]
    pub fn host(&self) -> &ProxyHost {
        &self.host
    }

    /// Port, also when it is the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it asks for.
    #[must_use]
    pub fn login(&self) -> Option<&ProxyLogin> {
        self.login.as_ref()
    }

    /// The URL without its password. A user name without password is hidden too: with some vendors it is the key.
    #[must_use]
    pub fn display(&self) -> &str {
        &self.display
    }

    /// `scheme://host:port`: for clients, who need not know how the operator signs in there.
    #[must_use]
    pub fn address(&self) -> String {
        written(self.scheme, "", &self.host, self.port)
    }

    /// The whole URL, password included, in one normal form that [`ProxyUrl::parse`] reads.
    #[must_use]
    pub fn to_secret(&self) -> Secret {
        let encode = |part: &Secret| {
            percent_encoding::utf8_percent_encode(part.expose(), percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let login = self.login.as_ref().map_or_else(String::new, |login| {
            format!("{}:{}@", encode(&login.user), encode(&login.password))
        });
        Secret::new(written(self.scheme, &login, &self.host, self.port))
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({})", self.display)
    }
}

impl Hash for ProxyUrl {
    /// Without the login: two that differ in it alone are rare, and equality tells them apart.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.scheme, &self.host, self.port).hash(state);
    }
}

fn login(url: &Url, scheme: ProxyScheme) -> Result<Option<ProxyLogin>, BadProxyUrl> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decode = |part: &str| {
        let text = percent_decode_str(part).decode_utf8().map_err(|_other| BadProxyUrl::Login)?;
        let fits = !text.chars().any(char::is_control);
        if fits { Ok(text.into_owned()) } else { Err(BadProxyUrl::Login) }
    };
    let user = decode(url.username())?;
    let password = decode(url.password().unwrap_or_default())?;
    if scheme.is_socks() {
        let fits = |part: &str| (1..=255).contains(&part.len());
        if !fits(&user) || !fits(&password) {
            return Err(BadProxyUrl::SocksLogin);
        }
    } else if user.contains(':') {
        return Err(BadProxyUrl::Login);
    }
    Ok(Some(ProxyLogin { user: Secret::new(user), password: Secret::new(password) }))
}

fn display(scheme: ProxyScheme, host: &ProxyHost, port: u16, login: Option<&ProxyLogin>) -> String {
    let login = match login {
        None => String::new(),
        Some(login) if login.password.is_empty() => "***@".to_owned(),
        Some(login) => format!("{}:***@", login.user.expose()),
    };
    written(scheme, &login, host, port)
}

fn written(scheme: ProxyScheme, login: &str, host: &ProxyHost, port: u16) -> String {
    let scheme = scheme.as_str();
    match host {
        ProxyHost::Address(IpAddr::V6(v6)) => format!("{scheme}://{login}[{v6}]:{port}"),
        ProxyHost::Address(IpAddr::V4(v4)) => format!("{scheme}://{login}{v4}:{port}"),
        ProxyHost::Name(name) => format!("{scheme}://{login}{name}:{port}"),
    }
}
