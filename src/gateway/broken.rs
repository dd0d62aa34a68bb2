//! How a committed stream can break, and what that means for the client and for the account.

use ninerouter_dialect::ir::Failure;
use ninerouter_dialect::{ApiError, ErrorKind};

use crate::routing::classify::TransportFailure;

/// Why a committed stream failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// The connection to the upstream broke.
    Upstream,
    /// The upstream ended without the dialect's terminal mark.
    Truncated,
    /// No byte for too long.
    Idle,
    /// Only pings for too long.
    ContentIdle,
    /// The stream took too long as a whole.
    Total,
    /// One event is larger than the limit, or makes no sense.
    Oversized,
    /// The model called a tool in a way that makes no sense.
    MalformedTool,
    /// The upstream sent an error event of its own.
    InBand,
    /// The router stops.
    ShuttingDown,
    /// The caller's key was revoked at once (SEC-AK-8).
    Revoked,
    /// The operator ended it.
    Cancelled,
}

impl Broken {
    /// Why a translated answer broke off.
    #[must_use]
    pub(super) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Upstream(_) => Self::InBand,
            Failure::Truncated | Failure::Empty => Self::Truncated,
            Failure::MalformedTool => Self::MalformedTool,
            Failure::Spliced | Failure::Fault(_) | Failure::NotAnAnswer(_) => Self::Oversized,
        }
    }

    /// The upstream is not to blame.
    #[must_use]
    pub(super) fn is_ours(self) -> bool {
        match self {
            Self::ShuttingDown | Self::Revoked | Self::Cancelled | Self::Total => true,
            Self::Upstream
            | Self::Truncated
            | Self::Idle
            | Self::ContentIdle
            | Self::Oversized
            | Self::MalformedTool
            | Self::InBand => false,
        }
    }

    /// What it is for classification.
    #[must_use]
    pub(super) fn transport(self) -> TransportFailure {
        match self {
            Self::Upstream => TransportFailure::Reset,
            Self::Truncated => TransportFailure::Truncated,
            Self::Idle | Self::ContentIdle | Self::Total => TransportFailure::ContentTimeout,
            Self::Oversized | Self::MalformedTool | Self::InBand => TransportFailure::BadBody,
            Self::ShuttingDown | Self::Revoked | Self::Cancelled => TransportFailure::ClientGone,
        }
    }

    /// What the client is told.
    #[must_use]
    pub(super) fn to_error(self, request_id: &str) -> ApiError {
        let (kind, code, message) = match self {
            Self::Upstream => (
                ErrorKind::BadGateway,
                "upstream_truncated",
                "the upstream broke off in the middle of the answer",
            ),
            Self::Truncated => (
                ErrorKind::BadGateway,
                "upstream_truncated",
                "the upstream ended before the answer was complete",
            ),
            Self::Idle => (
                ErrorKind::GatewayTimeout,
                "stream_idle_timeout",
                "the upstream sent nothing for too long",
            ),
            Self::ContentIdle => (
                ErrorKind::GatewayTimeout,
                "stream_idle_timeout",
                "the upstream sent no content for too long",
            ),
            Self::Total => (
                ErrorKind::GatewayTimeout,
                "stream_total_timeout",
                "the answer took longer than the router allows",
            ),
            Self::MalformedTool => (
                ErrorKind::BadGateway,
                "upstream_malformed_tool_call",
                "the model's tool call makes no sense",
            ),
            Self::Oversized | Self::InBand => (
                ErrorKind::BadGateway,
                "upstream_bad_body",
                "the upstream sent an event that cannot be handed on",
            ),
            Self::Revoked => {
                (ErrorKind::Auth, "key_revoked", "the API key of this request was revoked")
            }
            Self::Cancelled => (
                ErrorKind::Unavailable,
                "cancelled",
                "the operator of the router ended this request",
            ),
            Self::ShuttingDown => (
                ErrorKind::Unavailable,
                "shutting_down",
                "the router is shutting down; send the request again",
            ),
        };
        ApiError {
            kind,
            status: None,
            code: Some(code.into()),
            param: None,
            message: message.into(),
            request_id: request_id.to_owned(),
        }
    }
}
