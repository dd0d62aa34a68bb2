//! Types of configuration values: reading them from text or JSON, and saying what is wrong with one.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use jiff::tz::TimeZone;
use serde_json::Value;
use url::{Host, Url};

use crate::provider::proxy::{NoProxy, ProxyUrl};
use crate::routing::error_rule::ErrorRule;

/// Most entries a list of addresses may have (SEC-IP-7).
const MAX_LIST: usize = 1024;

/// What a value of a key looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Yes or no.
    Bool,
    /// Yes, no, or decided by the router.
    AutoBool,
    /// A whole number in a range.
    Int {
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
    /// A share between 0 and 1.
    Share,
    /// One word of a closed set.
    Choice(&'static [&'static str]),
    /// Several words of a closed set, each at most once.
    Choices(&'static [&'static str]),
    /// All words of a closed set, each once, in any order.
    Order(&'static [&'static str]),
    /// One line of text.
    Text {
        /// Most characters.
        max: usize,
    },
    /// A list of one-line texts.
    Texts,
    /// A text that is never shown.
    Secret,
    /// URL of an outbound proxy; never shown, for its password.
    ProxyUrl,
    /// List of hosts reached without a proxy.
    HostRules,
    /// A path of the file system.
    Path,
    /// An `http` or `https` address with any path.
    Url,
    /// `http(s)://host[:port]`, nothing behind it.
    Origin,
    /// List of origins, or `*`.
    Origins,
    /// List of host names.
    Hosts,
    /// List of addresses and CIDR ranges.
    Addresses,
    /// List of addresses, CIDR ranges and presets.
    Proxies,
    /// Name of a time zone.
    Zone,
    /// Log filter, as `tracing` reads it.
    LogFilter,
    /// List of operator error rules (accounts §5.2).
    ErrorRules,
    /// Any JSON value; checked by the part that uses it.
    Json,
}

/// A value that does not fit its kind. It never holds the value itself: that may be a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("got {got}, expected {want}")]
pub struct Misfit {
    /// Class of the value given.
    pub got: String,
    /// What is allowed.
    pub want: String,
}

impl Kind {
    /// Reads a value from an environment variable, a `.env` line or a flag.
    ///
    /// # Errors
    /// The class of the value and what is allowed, when it does not fit.
    pub fn read_text(self, text: &str) -> Result<Value, Misfit> {
        let text = text.trim();
        let value = match self {
            Self::Bool | Self::AutoBool => word_value(text),
            Self::Share => text.parse::<f64>().map_or_else(|_| text.into(), Value::from),
            Self::Int { .. } => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
            Self::Choices(_)
            | Self::Order(_)
            | Self::Texts
            | Self::HostRules
            | Self::Origins
            | Self::Hosts
            | Self::Addresses
            | Self::Proxies => comma_list(text),
            Self::ErrorRules | Self::Json => {
                serde_json::from_str(text).unwrap_or_else(|_| text.into())
            }
            Self::Choice(_)
            | Self::Text { .. }
            | Self::Secret
            | Self::ProxyUrl
            | Self::Path
            | Self::Url
            | Self::Origin
            | Self::Zone
            | Self::LogFilter => text.into(),
        };
        self.check(&value)
    }

    /// Checks a JSON value and gives it in its one normal form.
    ///
    /// # Errors
    /// The class of the value and what is allowed, when it does not fit.
    pub fn check(self, value: &Value) -> Result<Value, Misfit> {
        let checked =
            match self {
                Self::Bool => value.as_bool().map(Value::from),
                Self::AutoBool => auto_bool(value),
                Self::Int { min, max } => {
                    value.as_i64().filter(|n| (min..=max).contains(n)).map(Value::from)
                }
                Self::Share => value.as_f64().filter(|n| (0.0..=1.0).contains(n)).map(Value::from),
                Self::Choice(words) => choice(value, words),
                Self::Choices(words) => subset(value, words),
                Self::Order(words) => subset(value, words)
                    .filter(|list| list.as_array().is_some_and(|l| l.len() == words.len())),
                Self::Text { max } => line(value, max),
                Self::Texts => each(value, |text| line(&text.into(), 1024)),
                Self::Secret | Self::Path => line(value, 65_536),
                Self::ProxyUrl => {
                    let url = value.as_str().map(str::trim).map(|url| (url, ProxyUrl::parse(url)));
                    match url {
                        Some((url, Ok(_fits))) => Some(url.into()),
                        Some((_, Err(bad))) => {
                            return Err(Misfit {
                                got: format!("{} ({bad})", class_of(value)),
                                want: self.allowed(),
                            });
                        }
                        None => None,
                    }
                }
                Self::HostRules => each(value, |entry| {
                    let (_, bad) = NoProxy::of([entry]);
                    bad.is_empty().then(|| entry.trim().into())
                }),
                Self::Url => value.as_str().and_then(web_url).map(|url| url.as_str().into()),
                Self::Origin => value.as_str().and_then(origin).map(Value::from),
                Self::Origins => each(value, |o| {
                    if o == "*" { Some("*".into()) } else { origin(o).map(Value::from) }
                }),
                Self::Hosts => each(value, |host| host_name(host).map(Value::from)),
                Self::Addresses => {
                    return address_list(value, |s| range(s).map(|n| n.to_string()), self);
                }
                Self::Proxies => return address_list(value, proxy, self),
                Self::Zone => value.as_str().filter(|z| TimeZone::get(z).is_ok()).map(Value::from),
                Self::LogFilter => value.as_str().filter(|f| is_log_filter(f)).map(Value::from),
                Self::ErrorRules => {
                    return match ErrorRule::parse_list(value) {
                        Ok(_rules) => Ok(value.clone()),
                        Err(why) => {
                            Err(Misfit { got: format!("a bad list ({why})"), want: self.allowed() })
                        }
                    };
                }
                Self::Json => Some(value.clone()),
            };
        checked.ok_or_else(|| Misfit { got: class_of(value), want: self.allowed() })
    }

    /// What is allowed, as the end of "expected …".
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Self::Bool => "true or false (also `1/yes/on`, `0/no/off`)".into(),
            Self::AutoBool => "true, false or auto".into(),
            Self::Int { min, max } if max == i64::MAX => format!("a whole number from {min} on"),
            Self::Int { min, max } => format!("a whole number from {min} to {max}"),
            Self::Share => "a number from 0 to 1".into(),
            Self::Choice(words) => format!("one of {}", quoted(words)),
            Self::Choices(words) => format!("a list of {}, each at most once", quoted(words)),
            Self::Order(words) => format!("a list with each of {} once", quoted(words)),
            Self::Text { max } => format!("one line of text, 1 to {max} characters"),
            Self::Texts => "a list of one-line texts".into(),
            Self::Secret => "one line of text".into(),
            Self::ProxyUrl => {
                "`scheme://[user:password@]host[:port]` with scheme `http`, `https`, `socks5` or `socks5h`".into()
            }
            Self::HostRules => {
                "a list of host names, `.suffix`, addresses, CIDR ranges or `*`, each with an optional `:port`".into()
            }
            Self::Path => "a path".into(),
            Self::Url => "an `http` or `https` address without user name".into(),
            Self::Origin => "`http://host[:port]` or `https://host[:port]`, no path".into(),
            Self::Origins => "a list of origins such as `https://host[:port]`, or `*`".into(),
            Self::Hosts => "a list of host names without scheme or path".into(),
            Self::Addresses => "a list of IP addresses and CIDR ranges".into(),
            Self::Proxies => {
                "a list of IP addresses, CIDR ranges, `loopback`, `private`, `cloudflare`".into()
            }
            Self::Zone => "a time zone name such as `Europe/Berlin`".into(),
            Self::LogFilter => "a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) \
                 or `target=level` pairs with commas"
                .into(),
            Self::ErrorRules => {
                "a list of rules `{provider?, status, match[], regex[], action}`".into()
            }
            Self::Json => "any value".into(),
        }
    }

    /// Short name of the type for tables.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Bool => "bool".into(),
            Self::AutoBool => "auto, true, false".into(),
            Self::Int { min, max } if max == i64::MAX => format!("number ≥ {min}"),
            Self::Int { min, max } => format!("{min}–{max}"),
            Self::Share => "0–1".into(),
            Self::Choice(words) => words.join(", "),
            Self::Choices(words) | Self::Order(words) => format!("list of {}", words.join(", ")),
            Self::Text { .. } => "text".into(),
            Self::Texts => "list".into(),
            Self::Secret => "secret".into(),
            Self::ProxyUrl => "URL (secret)".into(),
            Self::HostRules => "list of hosts".into(),
            Self::Path => "path".into(),
            Self::Url | Self::Origin => "URL".into(),
            Self::Origins => "list of origins".into(),
            Self::Hosts => "list of host names".into(),
            Self::Addresses => "list of addresses".into(),
            Self::Proxies => "list of addresses and presets".into(),
            Self::Zone => "time zone".into(),
            Self::LogFilter => "log filter".into(),
            Self::ErrorRules => "list of rules".into(),
            Self::Json => "object".into(),
        }
    }
}

/// Class of a JSON value in words, without the value.
#[must_use]
pub fn class_of(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(_) => "a boolean".into(),
        Value::Number(n) if n.is_f64() => "a number with a fraction".into(),
        Value::Number(n) if n.as_i64().is_some_and(|n| n < 0) => "a negative number".into(),
        Value::Number(_) => "a number".into(),
        Value::String(s) if s.is_empty() => "an empty text".into(),
        Value::String(s) => format!("a text of {} characters", s.chars().count()),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".into(),
    }
}

/// One address or CIDR range. Host bits are cleared (SEC-IP-7); IPv4-mapped IPv6 becomes IPv4 (security §6.1).
#[must_use]
pub fn range(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    Some(unmapped(net).trunc())
}

/// `http` or `https` URL with a host and without user name, password or fragment.
#[must_use]
pub fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// Lower-case host name or address without port and without trailing dot.
#[must_use]
pub fn host_name(text: &str) -> Option<String> {
    let text = text.trim();
    let host = match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => Host::Ipv6(v6),
        Ok(IpAddr::V4(v4)) => Host::Ipv4(v4),
        Err(_) => Host::parse(without_port(text)).ok()?,
    };
    let name = host.to_string();
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let fits = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    fits.then_some(name)
}

fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port))
            if !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => text,
    }
}

fn unmapped(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(bits) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = Ipv4Net::new(v4, bits)
    {
        return IpNet::V4(v4);
    }
    net
}

fn origin(text: &str) -> Option<String> {
    let url = web_url(text)?;
    let bare = url.path() == "/" && url.query().is_none();
    bare.then(|| url.as_str().trim_end_matches('/').to_owned())
}

fn proxy(text: &str) -> Option<String> {
    match text {
        "loopback" | "private" | "cloudflare" => Some(text.to_owned()),
        _ => range(text).map(|net| net.to_string()),
    }
}

fn address_list(
    value: &Value,
    read: impl Fn(&str) -> Option<String>,
    kind: Kind,
) -> Result<Value, Misfit> {
    let misfit = |got: String| Misfit { got, want: kind.allowed() };
    let list = value.as_array().ok_or_else(|| misfit(class_of(value)))?;
    if list.len() > MAX_LIST {
        let want = format!("at most {MAX_LIST} entries");
        return Err(Misfit { got: class_of(value), want });
    }
    let read: Vec<Option<String>> =
        list.iter().map(|entry| entry.as_str().and_then(|s| read(s.trim()))).collect();
    // SEC-IP-7: an invalid entry rejects the whole list, and every bad index is named.
    let bad: Vec<String> = read
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.is_none())
        .map(|(index, _)| index.to_string())
        .collect();
    if bad.is_empty() {
        return Ok(read.into_iter().flatten().collect());
    }
    Err(misfit(format!("no address at index {} (the first is 0)", bad.join(", "))))
}

fn word_value(text: &str) -> Value {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => true.into(),
        "0" | "false" | "no" | "off" => false.into(),
        _ => text.into(),
    }
}

fn auto_bool(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(s) if s == "auto" => Some(value.clone()),
        Value::String(s) => word_value(s).as_bool().map(Value::from),
        _ => None,
    }
}

fn comma_list(text: &str) -> Value {
    text.split(',').map(str::trim).filter(|s| !s.is_empty()).collect()
}

fn choice(value: &Value, words: &[&str]) -> Option<Value> {
    let given = value.as_str()?.to_ascii_lowercase().replace('_', "-");
    words.iter().find(|w| w.replace('_', "-") == given).map(|w| (*w).into())
}

fn subset(value: &Value, words: &[&str]) -> Option<Value> {
    let list: Vec<Value> =
        value.as_array()?.iter().map(|v| choice(v, words)).collect::<Option<_>>()?;
    let unique = list.iter().enumerate().all(|(at, word)| !list.iter().take(at).any(|w| w == word));
    unique.then(|| list.into())
}

fn line(value: &Value, max: usize) -> Option<Value> {
    let text = value.as_str()?;
    let fits =
        !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control);
    fits.then(|| text.into())
}

fn each(value: &Value, read: impl Fn(&str) -> Option<Value>) -> Option<Value> {
    value.as_array()?.iter().map(|entry| read(entry.as_str()?.trim())).collect()
}

fn is_log_filter(text: &str) -> bool {
    !text.is_empty() && tracing_subscriber::EnvFilter::builder().parse(text).is_ok()
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn booleans_are_the_eight_words_and_nothing_else() {
        for (text, want) in [
            ("1", true),
            ("true", true),
            ("YES", true),
            ("on", true),
            ("0", false),
            ("False", false),
            ("no", false),
            ("off", false),
        ] {
            assert_eq!(Kind::Bool.read_text(text), Ok(want.into()), "{text}");
        }
        for text in ["", "2", "ja", "tru e", "auto"] {
            assert!(Kind::Bool.read_text(text).is_err(), "{text}");
        }
        assert_eq!(Kind::AutoBool.read_text("auto"), Ok("auto".into()));
        assert_eq!(Kind::AutoBool.check(&json!("true")), Ok(json!(true)));
    }

    #[test]
    fn a_misfit_names_class_and_range_but_not_the_value() {
        let err = Kind::Int { min: 1, max: 10 }.read_text("sk-secret").unwrap_err();
        assert_eq!(
            err.to_string(),
            "got a text of 9 characters, expected a whole number from 1 to 10"
        );
        let err = Kind::Choice(&["text", "json"]).check(&json!(7)).unwrap_err();
        assert_eq!(err.to_string(), "got a number, expected one of `text`, `json`");
    }

    #[test]
    fn ranges_are_normalised() {
        for (text, want) in [
            ("10.0.0.5/8", Some("10.0.0.0/8")),
            ("127.0.0.1", Some("127.0.0.1/32")),
            ("::1", Some("::1/128")),
            ("::ffff:10.0.0.1", Some("10.0.0.1/32")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            ("::/0", Some("::/0")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.0.0.0/33", None),
            ("256.1.1.1", None),
            ("1.2.3", None),
            ("", None),
            (" ", None),
            ("0x7f.1", None),
        ] {
            assert_eq!(range(text).map(|n| n.to_string()).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn t_ip_12_every_bad_entry_of_a_list_is_named() {
        let err = Kind::Addresses
            .check(&json!(["127.0.0.0/8", "256.1.1.1", "::1", 7, "10.0.0.0/33"]))
            .unwrap_err();
        assert!(err.to_string().contains("index 1, 3, 4"), "{err}");
        let many: Vec<String> =
            (0..1025).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        assert!(Kind::Addresses.check(&json!(many)).is_err());
    }

    #[test]
    fn host_names_lose_port_case_and_dot() {
        for (text, want) in [
            ("Router.Example.ORG", Some("router.example.org")),
            ("router.example.org.", Some("router.example.org")),
            ("router:20128", Some("router")),
            ("[::1]:20128", Some("[::1]")),
            ("::1", Some("[::1]")),
            ("192.168.1.2", Some("192.168.1.2")),
            ("https://router.example.org", None),
            ("a b", None),
            ("a/b", None),
            ("", None),
        ] {
            assert_eq!(host_name(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        for (text, want) in [
            ("https://Example.org", Some("https://example.org")),
            ("https://example.org/", Some("https://example.org")),
            ("http://127.0.0.1:3000", Some("http://127.0.0.1:3000")),
            ("https://example.org/router", None),
            ("https://u:p@example.org", None),
            ("https://example.org?x=1", None),
            ("ftp://example.org", None),
            ("example.org", None),
        ] {
            assert_eq!(origin(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn an_order_names_each_word_once() {
        let kind = Kind::Order(&["a", "b", "c"]);
        assert_eq!(kind.read_text("c, a,b"), Ok(json!(["c", "a", "b"])));
        for text in ["a,b", "a,b,b", "a,b,c,a", "a,b,d", ""] {
            assert!(kind.read_text(text).is_err(), "{text}");
        }
    }
}
