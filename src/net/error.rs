//! What can go wrong between us and an upstream. Every text is safe to show: no address, no secret.

use std::io;

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
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
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
    pub fn code(self) -> &'static str {
        match self {
            Self::Blocked { .. } => "outbound_blocked",
            Self::Unsendable(_) => "unsendable",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
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
    pub fn is_transport(self) -> bool {
        match self {
            Self::Blocked { .. } | Self::Unsendable(_) => false,
            Self::Dns(_)
            | Self::Connect(_)
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
    pub fn is_timeout(self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::HeadTimeout | Self::SendStall | Self::Idle)
    }
}

impl<T: Into<Refusal>> From<T> for NetError {
    fn from(why: T) -> Self {
        Self::Blocked { why: why.into() }
    }
}
