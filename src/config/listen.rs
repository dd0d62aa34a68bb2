//! Addresses the server listens on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// One listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listen {
    /// An IP address.
    Tcp {
        /// Address and port; port 0 takes any free one.
        addr: SocketAddr,
        /// Left out when the machine does not have that address: the IPv6 half of `localhost` and `*`.
        optional: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// True when only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp { addr, .. } => addr.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for Listen {
    /// As it is written in settings.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { addr, .. } => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Listeners of one name: an IP literal, `localhost`, `*` or `unix:/path`. Anything else is `None`: names are not resolved.
#[must_use]
pub fn read(name: &str, port: u16) -> Option<Vec<Listen>> {
    let tcp = |ip: IpAddr, optional| Listen::Tcp { addr: SocketAddr::new(ip, port), optional };
    let v4 = |ip: Ipv4Addr| tcp(ip.into(), false);
    let v6 = |ip: Ipv6Addr| tcp(ip.into(), true);
    let name = name.trim();
    if let Some(path) = name.strip_prefix("unix:") {
        let absolute = path.starts_with('/') && path.len() > 1;
        return absolute.then(|| vec![Listen::Unix(path.into())]);
    }
    match name {
        "localhost" => Some(vec![v4(Ipv4Addr::LOCALHOST), v6(Ipv6Addr::LOCALHOST)]),
        "*" => Some(vec![v4(Ipv4Addr::UNSPECIFIED), v6(Ipv6Addr::UNSPECIFIED)]),
        _ => {
            let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
            let ip: IpAddr = bare.parse().ok()?;
            Some(vec![tcp(ip, false)])
        }
    }
}

/// The default: loopback, both families.
#[must_use]
pub fn loopback(port: u16) -> Vec<Listen> {
    read("localhost", port).unwrap_or_default()
}

/// Adds `more` without repeating a listener.
pub fn add(listeners: &mut Vec<Listen>, more: Vec<Listen>) {
    for new in more {
        let known = listeners.iter_mut().find(|old| match (&**old, &new) {
            (Listen::Tcp { addr: a, .. }, Listen::Tcp { addr: b, .. }) => a == b,
            (Listen::Unix(a), Listen::Unix(b)) => a == b,
            _ => false,
        });
        match (known, &new) {
            // An address named outright is no longer optional.
            (Some(Listen::Tcp { optional, .. }), Listen::Tcp { optional: new, .. }) => {
                *optional &= *new;
            }
            (Some(_), _) => {}
            (None, _) => listeners.push(new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(name: &str) -> Option<Vec<String>> {
        let show = |listen: Listen| match listen {
            Listen::Tcp { addr, optional } => {
                format!("{addr}{}", if optional { "?" } else { "" })
            }
            Listen::Unix(path) => format!("unix:{}", path.display()),
        };
        Some(read(name, 7)?.into_iter().map(show).collect())
    }

    #[test]
    fn c04_only_literals_are_read() {
        for (name, want) in [
            ("127.0.0.1", Some(vec!["127.0.0.1:7"])),
            ("0.0.0.0", Some(vec!["0.0.0.0:7"])),
            ("::1", Some(vec!["[::1]:7"])),
            ("[::1]", Some(vec!["[::1]:7"])),
            ("localhost", Some(vec!["127.0.0.1:7", "[::1]:7?"])),
            ("*", Some(vec!["0.0.0.0:7", "[::]:7?"])),
            ("unix:/run/nr.sock", Some(vec!["unix:/run/nr.sock"])),
            ("unix:nr.sock", None),
            ("unix:/", None),
            ("my-laptop", None),
            ("my-laptop.example.org", None),
            ("127.0.0.1:3000", None),
            ("127.1", None),
            ("", None),
        ] {
            assert_eq!(
                texts(name),
                want.map(|w| w.into_iter().map(String::from).collect()),
                "{name}"
            );
        }
    }

    #[test]
    fn repeated_addresses_are_kept_once_and_become_mandatory() {
        let mut listeners = loopback(7);
        add(&mut listeners, read("::1", 7).unwrap());
        add(&mut listeners, read("0.0.0.0", 7).unwrap());
        add(&mut listeners, read("127.0.0.1", 7).unwrap());
        assert_eq!(listeners.len(), 3);
        assert!(listeners.iter().all(|l| !matches!(l, Listen::Tcp { optional: true, .. })));
        assert_eq!(listeners.iter().filter(|l| l.is_loopback()).count(), 2);
    }
}
