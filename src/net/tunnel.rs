//! Opening a way through a proxy: HTTP `CONNECT`, and SOCKS 5 (RFC 1928, RFC 1929).
//!
//! Both leave a connection on which the upstream is spoken to as if it were its own. Nothing is sent before the proxy
//! has agreed, and what a proxy adds behind its agreement is refused: nobody could have answered yet.

use std::fmt;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_socks::tcp::Socks5Stream;
use zeroize::Zeroizing;

use super::error::{ConnectFailure, ProxyFailure};
use super::io::Line;
use crate::provider::proxy::{ProxyLogin, ProxyUrl};

/// The largest head of an answer to `CONNECT`.
const HEAD: usize = 16 << 10;
/// Header lines in it.
const LINES: usize = 96;
/// Bytes read at a time.
const PIECE: usize = 1024;

/// Where the tunnel is to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum End<'a> {
    /// At a judged address.
    Address(SocketAddr),
    /// At a host that the proxy looks up.
    Name(&'a str, u16),
}

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// Opens a tunnel on a connection to the proxy, which is gone when that fails.
pub(super) async fn open(line: Line, proxy: &ProxyUrl, end: End<'_>) -> Result<Line, ProxyFailure> {
    if proxy.scheme().is_socks() {
        socks(line, proxy.login(), end).await
    } else {
        connect(line, proxy.login(), end).await
    }
}

async fn connect(
    mut line: Line,
    login: Option<&ProxyLogin>,
    end: End<'_>,
) -> Result<Line, ProxyFailure> {
    let mut head = Zeroizing::new(format!("CONNECT {end} HTTP/1.1\r\nHost: {end}\r\n"));
    if let Some(login) = login {
        let pair = Zeroizing::new([login.user.expose(), ":", login.password.expose()].concat());
        head.push_str("Proxy-Authorization: Basic ");
        BASE64_STANDARD.encode_string(pair.as_bytes(), &mut head);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    line.write_all(head.as_bytes()).await.map_err(|_broken| ProxyFailure::Closed)?;
    line.flush().await.map_err(|_broken| ProxyFailure::Closed)?;
    agreed(&mut line, login.is_some()).await?;
    Ok(line)
}

/// Reads the answer to `CONNECT`.
async fn agreed(line: &mut Line, logged_in: bool) -> Result<(), ProxyFailure> {
    let mut head = Vec::with_capacity(PIECE);
    loop {
        let mut piece = [0; PIECE];
        let read = line.read(&mut piece).await.map_err(|_broken| ProxyFailure::Closed)?;
        let searched = head.len().saturating_sub(3);
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
        if read == 0 {
            return Err(ProxyFailure::Closed);
        }
        if !begins_as_http(&head) {
            return Err(ProxyFailure::Foreign);
        }
        // An interim answer may stand in front of the final one.
        let mut from = searched;
        while let Some(end) = end_of_head(&head, from) {
            let rest = head.split_off(end);
            if let Some(verdict) = verdict(&head, logged_in) {
                return match verdict {
                    Ok(()) if !rest.is_empty() => Err(ProxyFailure::Early),
                    verdict => verdict,
                };
            }
            head = rest;
            from = 0;
        }
        if head.len() > HEAD {
            return Err(ProxyFailure::Foreign);
        }
    }
}

fn begins_as_http(head: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/1.";
    let known = head.len().min(START.len());
    head.get(..known) == START.get(..known)
}

/// Where the first head ends whose end lies behind `from`.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let tail = bytes.get(from..)?;
    memchr::memchr_iter(b'\n', tail).find_map(|at| match tail.get(at + 1..)? {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// What a whole head says; `None` = it is an interim one.
fn verdict(head: &[u8], logged_in: bool) -> Option<Result<(), ProxyFailure>> {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut answer = httparse::Response::new(&mut lines);
    let status = match answer.parse(head) {
        Ok(httparse::Status::Complete(_)) => answer.code?,
        Ok(httparse::Status::Partial) | Err(_) => return Some(Err(ProxyFailure::Foreign)),
    };
    let offers_basic = || {
        let asks =
            |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("proxy-authenticate");
        answer.headers.iter().filter(asks).any(|header| {
            let value = String::from_utf8_lossy(header.value).to_ascii_lowercase();
            value.split(',').any(|challenge| challenge.trim_start().starts_with("basic"))
        })
    };
    Some(match status {
        100..=199 => return None,
        200..=299 => Ok(()),
        407 if logged_in && offers_basic() => Err(ProxyFailure::LoginRefused),
        407 if logged_in => Err(ProxyFailure::LoginKind),
        407 => Err(ProxyFailure::LoginNeeded),
        502..=504 => Err(ProxyFailure::NoUpstream(status)),
        _ => Err(ProxyFailure::Status(status)),
    })
}

async fn socks(line: Line, login: Option<&ProxyLogin>, end: End<'_>) -> Result<Line, ProxyFailure> {
    let target = match end {
        End::Address(address) => tokio_socks::TargetAddr::Ip(address),
        End::Name(host, port) => tokio_socks::TargetAddr::Domain(host.into(), port),
    };
    let opened = match login {
        None => Socks5Stream::connect_with_socket(line, target).await,
        Some(login) => {
            let (user, password) = (login.user.expose(), login.password.expose());
            Socks5Stream::connect_with_password_and_socket(line, target, user, password).await
        }
    };
    opened.map(Socks5Stream::into_inner).map_err(|error| socks_failure(&error, login.is_some()))
}

fn socks_failure(error: &tokio_socks::Error, logged_in: bool) -> ProxyFailure {
    use tokio_socks::Error;
    match error {
        Error::NoAcceptableAuthMethods | Error::AuthorizationRequired if !logged_in => {
            ProxyFailure::LoginNeeded
        }
        Error::NoAcceptableAuthMethods | Error::AuthorizationRequired => ProxyFailure::LoginKind,
        Error::PasswordAuthFailure(_) => ProxyFailure::LoginRefused,
        Error::ConnectionNotAllowedByRuleset => ProxyFailure::Ruleset,
        Error::GeneralSocksServerFailure => ProxyFailure::NoSocksUpstream("general failure"),
        Error::NetworkUnreachable => ProxyFailure::NoSocksUpstream("network unreachable"),
        Error::HostUnreachable => ProxyFailure::NoSocksUpstream("host unreachable"),
        Error::ConnectionRefused => ProxyFailure::NoSocksUpstream("connection refused"),
        Error::TtlExpired => ProxyFailure::NoSocksUpstream("TTL expired"),
        Error::AddressTypeNotSupported => {
            ProxyFailure::NoSocksUpstream("address type not supported")
        }
        Error::CommandNotSupported => ProxyFailure::Command,
        Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ProxyFailure::Closed
        }
        Error::Io(error) => ProxyFailure::Unreachable(ConnectFailure::from(error)),
        _ => ProxyFailure::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_wherever_the_pieces_were_cut() {
        let whole = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nrest";
        for from in 0..23 {
            assert_eq!(end_of_head(whole, from), Some(25), "{from}");
        }
        assert_eq!(end_of_head(b"HTTP/1.1 200 OK\n\n", 0), Some(17));
        for cut in 0..25 {
            assert_eq!(end_of_head(&whole[..cut], 0), None, "{cut}");
        }
    }

    #[test]
    fn heads_say_what_the_proxy_wants() {
        type Verdict = Option<Result<(), ProxyFailure>>;
        let table: &[(&str, bool, Verdict)] = &[
            ("HTTP/1.1 200 OK\r\n\r\n", false, Some(Ok(()))),
            ("HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n", false, Some(Ok(()))),
            ("HTTP/1.1 204 \r\ncontent-length: 3\r\n\r\n", false, Some(Ok(()))),
            ("HTTP/1.1 100 Continue\r\n\r\n", false, None),
            ("HTTP/1.1 407 x\r\n\r\n", false, Some(Err(ProxyFailure::LoginNeeded))),
            (
                "HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate, Basic realm=\"a\"\r\n\r\n",
                true,
                Some(Err(ProxyFailure::LoginRefused)),
            ),
            (
                "HTTP/1.1 407 x\r\nproxy-authenticate: NTLM\r\n\r\n",
                true,
                Some(Err(ProxyFailure::LoginKind)),
            ),
            ("HTTP/1.1 403 x\r\n\r\n", false, Some(Err(ProxyFailure::Status(403)))),
            ("HTTP/1.1 504 x\r\n\r\n", false, Some(Err(ProxyFailure::NoUpstream(504)))),
            ("HTTP/1.1 302 x\r\nlocation: y\r\n\r\n", false, Some(Err(ProxyFailure::Status(302)))),
            ("HTTP/1.1 2000 x\r\n\r\n", false, Some(Err(ProxyFailure::Foreign))),
            ("HTTP/1.1\r\n\r\n", false, Some(Err(ProxyFailure::Foreign))),
        ];
        for (head, logged_in, want) in table {
            assert_eq!(verdict(head.as_bytes(), *logged_in), *want, "{head}");
        }
    }
}
