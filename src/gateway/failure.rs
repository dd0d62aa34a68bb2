//! One failed attempt: what it means for routing, and what of it may be shown to the client.

use bytes::Bytes;
use ninerouter_dialect::ApiError;

use crate::routing::classify::{Classified, TransportFailure};

/// An upstream's own error answer, kept so that it can be handed on byte for byte (translation §3.4).
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// HTTP status.
    pub status: u16,
    /// Its content type.
    pub content_type: Option<String>,
    /// At most 64 KiB.
    pub body: Bytes,
}

/// What kind of trouble an attempt had, as far as the client's status depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// The upstream answered with an error.
    Answer,
    /// Connect, TLS or DNS failed.
    Unreachable,
    /// The outbound proxy failed; `down` = it would for every target.
    Proxy {
        /// The proxy itself is at fault.
        down: bool,
    },
    /// A time limit passed.
    Timeout,
    /// The client's own limit passed: nobody's fault.
    ClientsLimit,
    /// The destination is refused by the outbound guard.
    Blocked,
    /// The answer was cut, empty or not of its dialect.
    BadAnswer,
    /// The request could not be built (a parameter of the account is missing).
    NotBuilt,
}

/// One failed attempt.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// What it means.
    pub classified: Classified,
    /// Kind of trouble.
    pub trouble: Trouble,
    /// Failure below HTTP, or an answer that is none.
    pub transport: Option<TransportFailure>,
    /// Upstream status, when there was an answer.
    pub status: Option<u16>,
    /// The upstream's own error answer, when the client speaks its dialect.
    pub raw: Option<RawAnswer>,
    /// Nothing was sent, because the request cannot be said in the upstream's dialect.
    pub untranslatable: Option<Box<ApiError>>,
}

impl Failure {
    /// A failure of which no more is known.
    pub(super) fn of(classified: Classified, trouble: Trouble) -> Self {
        let (transport, status, raw, untranslatable) = (None, None, None, None);
        Self { classified, trouble, transport, status, raw, untranslatable }
    }
}
