//! What can go wrong between us and an upstream. Every text is safe to show: no address, no secret.

use std::io;
use std::sync::Arc;

use super::decode::DecodeError;
use super::tls::TlsFailure;
use super::url::{UrlRefusal, policy_hint};
use super::verdict::Range;

/// Why the outbound guard refused a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The URL itself breaks a rule.
    #[error("{0}")]
    Url(#[from] UrlRefusal),
    /// At least one address of the name lies in a range that the policy does not open.
    #[error("the host resolves to {0}{hint}", hint = policy_hint(*.0))]
    Address(Range),
    /// The socket ended up somewhere else than where it was sent.
    #[error("the connection reached an address that was not judged")]
    Peer,
    /// A request's content lies on the router's own machine.
    #[error("the host is this machine")]
    Own,
    /// A request's content, whose address the proxy would look up: nobody could judge it (security §9.6).
    #[error("its address would be looked up by the proxy, where it cannot be judged")]
    Unjudged,
    /// A request's content in clear, through a proxy (security §9.6).
    #[error("plain http is not fetched through a proxy")]
    PlainThroughProxy,
}

/// Why a name has no addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DnsFailure {
    /// The resolver says no.
    #[error("the name does not resolve")]
    NotFound,
    /// The resolver did not answer in time.
    #[error("the resolver did not answer in time")]
    TimedOut,
}

/// Why no TCP connection came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectFailure {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// No route.
    #[error("host or network unreachable")]
    Unreachable,
    /// Reset while connecting.
    #[error("connection reset while connecting")]
    Reset,
    /// This process has no socket left.
    #[error("no free socket on this machine")]
    NoSocket,
    /// Anything else.
    #[error("connection failed")]
    Other,
}

impl From<&io::Error> for ConnectFailure {
    fn from(error: &io::Error) -> Self {
        const EMFILE: i32 = 24;
        const ENFILE: i32 = 23;
        if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) {
            return Self::NoSocket;
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::Unreachable,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Self::NoSocket,
            _ => Self::Other,
        }
    }
}

/// Why no way through a proxy came about, and what to do. Never continued without the proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProxyFailure {
    /// Its name has no addresses.
    #[error("cannot be reached: {0}; check its address")]
    Dns(DnsFailure),
    /// No TCP connection to it.
    #[error("cannot be reached: {0}; check that it runs, and its address")]
    Unreachable(ConnectFailure),
    /// No TLS session with it.
    #[error("cannot be spoken to over TLS: {0}; check its URL and certificate")]
    Tls(TlsFailure),
    /// No connection to it in time.
    #[error("cannot be reached in time; check that it runs, and its address")]
    NoAnswer,
    /// It did not open the way in time.
    #[error("opened no way to the upstream in time; check its way to the Internet")]
    Slow,
    /// It closed the connection.
    #[error("closed the connection instead of opening a way to the upstream; see its log")]
    Closed,
    /// It answers with another protocol, or breaks its own.
    #[error("does not answer as a proxy of its kind; check scheme and port of its URL")]
    Foreign,
    /// Bytes of an upstream that was not spoken to yet.
    #[error("sent data before anything was asked of the upstream; it cannot be trusted")]
    Early,
    /// 407, or SOCKS without a common way to sign in.
    #[error("asks for a user name and password; put them into its URL")]
    LoginNeeded,
    /// 407 again, or SOCKS status of RFC 1929.
    #[error("refuses the user name and password of its URL; correct them")]
    LoginRefused,
    /// NTLM, Negotiate, Digest …
    #[error("asks for another way to sign in than user name and password, which is not supported")]
    LoginKind,
    /// Any other answer to `CONNECT`.
    #[error(
        "refuses the way to the upstream with status {0}; allow it there (a proxy that takes host names only needs \
         the setting `proxy_resolves_names`)"
    )]
    Status(u16),
    /// SOCKS reply 2.
    #[error("refuses the way to the upstream by its rules; allow it there")]
    Ruleset,
    /// SOCKS reply 7.
    #[error("does not make connections for others")]
    Command,
    /// 502 to 504.
    #[error("does not reach the upstream (status {0}); check its way to the Internet")]
    NoUpstream(u16),
    /// SOCKS replies 1, 3 to 6 and 8.
    #[error("does not reach the upstream ({0}); check its way to the Internet")]
    NoSocksUpstream(&'static str),
    /// It is switched off, or its stored URL cannot be used.
    #[error("is to be used, but {0}")]
    Unusable(&'static str),
}

impl ProxyFailure {
    /// The proxy itself is at fault: no other target is reached through it either.
    #[must_use]
    pub fn is_its_own(self) -> bool {
        match self {
            Self::Dns(_)
            | Self::Unreachable(_)
            | Self::Tls(_)
            | Self::NoAnswer
            | Self::Foreign
            | Self::Early
            | Self::LoginNeeded
            | Self::LoginRefused
            | Self::LoginKind
            | Self::Command
            | Self::Unusable(_) => true,
            Self::Slow
            | Self::Closed
            | Self::Status(_)
            | Self::Ruleset
            | Self::NoUpstream(_)
            | Self::NoSocksUpstream(_) => false,
        }
    }

    /// The proxy works, but not for this address: another one of the same host may be reached.
    pub(super) fn is_of_the_address(self) -> bool {
        matches!(self, Self::NoUpstream(_) | Self::NoSocksUpstream(_))
    }
}

/// How an answer breaks HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Garbage {
    /// Status line or header lines that are none.
    #[error("the response head is malformed")]
    Head,
    /// More than 128 KiB, or more than 96 lines.
    #[error("the response head is too large")]
    HeadTooLarge,
    /// Below 200 or above 599 as the final status (REL-UP-2).
    #[error("status `{0}` cannot be final")]
    Status(u16),
    /// A chunk that is none, or a broken stream.
    #[error("the response body is malformed")]
    Body,
    /// HTTP/2 rules broken.
    #[error("HTTP/2 failure")]
    H2,
}

/// A request that got no answer, or an answer that broke off.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetError {
    /// The outbound guard says no (`outbound_blocked`).
    #[error("outbound request blocked: {why}")]
    Blocked {
        /// Which rule.
        why: Refusal,
    },
    /// The request cannot be written as HTTP.
    #[error("the request cannot be sent: {0}")]
    Unsendable(&'static str),
    /// The name has no addresses.
    #[error("dns failure: {0}")]
    Dns(DnsFailure),
    /// No TCP connection to any address.
    #[error("{0}")]
    Connect(ConnectFailure),
    /// No way through the proxy that is configured for this call.
    #[error("the proxy `{proxy}` {why}")]
    Proxy {
        /// Its URL without user and password, or the operator's name for it.
        proxy: Arc<str>,
        /// What it did.
        why: ProxyFailure,
    },
    /// No TLS session; never continued without.
    #[error("tls failure: {0}")]
    Tls(TlsFailure),
    /// TCP and TLS together took too long.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// The request went out, no response head came back in time.
    #[error("no response head in time")]
    HeadTimeout,
    /// The upstream took no byte of our body for too long.
    #[error("the upstream stopped reading the request")]
    SendStall,
    /// The connection broke while our body was being sent, and no answer was found on it (§26).
    #[error("the connection broke while the request was being sent")]
    BrokeWhileSending,
    /// The connection ended before or within the answer.
    #[error("the upstream closed the connection")]
    Reset {
        /// It had served another request before.
        pooled: bool,
    },
    /// The answer is not HTTP.
    #[error("protocol failure: {0}")]
    Protocol(Garbage),
    /// Fewer bytes than declared (REL-UP-1).
    #[error("the response is shorter than declared")]
    Truncated,
    /// More bytes than the caller allows.
    #[error("the response is larger than `{0}` bytes")]
    BodyTooLarge(usize),
    /// The content coding is unknown, stacked, corrupt or a bomb (REL-UP-3).
    #[error("content coding: {0}")]
    BadEncoding(DecodeError),
    /// No byte for too long while a body was collected.
    #[error("the response stopped")]
    Idle,
}

impl NetError {
    /// Short name for logs and usage rows.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Blocked { .. } => "outbound_blocked",
            Self::Unsendable(_) => "unsendable",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Proxy { .. } => "proxy",
            Self::Tls(_) => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::HeadTimeout => "head_timeout",
            Self::SendStall => "send_stall",
            Self::BrokeWhileSending => "send_broken",
            Self::Reset { .. } => "reset",
            Self::Protocol(_) => "protocol",
            Self::Truncated => "truncated",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BadEncoding(_) => "bad_encoding",
            Self::Idle => "idle",
        }
    }

    /// True when the upstream's machine, not our rules, is at fault: what a host breaker counts.
    #[must_use]
    pub fn is_transport(&self) -> bool {
        match self {
            Self::Blocked { .. } | Self::Unsendable(_) => false,
            Self::Dns(_)
            | Self::Connect(_)
            | Self::Proxy { .. }
            | Self::Tls(_)
            | Self::ConnectTimeout
            | Self::HeadTimeout
            | Self::SendStall
            | Self::BrokeWhileSending
            | Self::Reset { .. }
            | Self::Protocol(_)
            | Self::Truncated
            | Self::BodyTooLarge(_)
            | Self::BadEncoding(_)
            | Self::Idle => true,
        }
    }

    /// True for expired timers, which answer 504 rather than 502.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::HeadTimeout | Self::SendStall | Self::Idle)
    }
}

impl<T: Into<Refusal>> From<T> for NetError {
    fn from(why: T) -> Self {
        Self::Blocked { why: why.into() }
    }
}
