//! Every way in which a caller is turned away, with the words for it (security §7, SEC-AK-5).

use thiserror::Error;

use super::host::BadHost;
use super::key::{KeyFault, Scope};
use super::limits::LimitRefusal;

/// Why a request is not served. The gateway renders it in the caller's dialect.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Refusal {
    /// A key is needed and none was offered.
    #[error("an API key is required; send it as `Authorization: Bearer` or `x-api-key`")]
    KeyMissing,
    /// A key is needed and what was offered is none of ours.
    #[error("this API key is not known")]
    KeyUnknown,
    /// As `KeyUnknown`, and the checksum says that it was never ours.
    #[error("this API key is mistyped: its checksum does not fit")]
    KeyMistyped,
    /// A key of ours that is off, revoked or expired.
    #[error(transparent)]
    KeyInvalid(#[from] KeyFault),
    /// Too many failed keys from this address (SEC-AK-7).
    #[error("too many failed API keys from this address; try again later")]
    TooManyFailures {
        /// Seconds until the next attempt is looked at.
        retry_after_s: u32,
    },
    /// The key may not be used from this address.
    #[error("this API key may not be used from this address")]
    AddressNotAllowed,
    /// The key lacks the scope of the route.
    #[error("this API key lacks the scope `{}`", .0.as_str())]
    ScopeMissing(Scope),
    /// The key may not use the model, provider or combo.
    #[error("this API key may not use `{0}`")]
    ModelNotAllowed(String),
    /// A limit of the key.
    #[error(transparent)]
    Limit(#[from] LimitRefusal),
    /// A keyless caller, or anybody while `allowed_hosts` is set, used another host name.
    #[error("this host name is not allowed here; use an API key, or add it to `allowed_hosts`")]
    UnsafeHost,
    /// The `Host` header cannot be one.
    #[error(transparent)]
    BadHost(#[from] BadHost),
    /// A web page of another site made a browser send this without a key.
    #[error("requests from other web sites need an API key")]
    ForeignOrigin,
    /// A keyless request whose body is not declared as JSON.
    #[error("without an API key the content type must be `application/json`")]
    NotJson,
}

/// What kind of error a refusal is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RefusalKind {
    /// 400
    InvalidRequest,
    /// 401
    Auth,
    /// 403
    Permission,
    /// 429, asks to slow down.
    RateLimit,
    /// 429, money is used up.
    Quota,
}

impl Refusal {
    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::KeyMissing | Self::KeyUnknown | Self::KeyMistyped | Self::KeyInvalid(_) => {
                RefusalKind::Auth
            }
            Self::TooManyFailures { .. } => RefusalKind::RateLimit,
            Self::AddressNotAllowed
            | Self::ScopeMissing(_)
            | Self::ModelNotAllowed(_)
            | Self::ForeignOrigin => RefusalKind::Permission,
            Self::Limit(limit) if limit.kind.is_money() => RefusalKind::Quota,
            Self::Limit(_) => RefusalKind::RateLimit,
            Self::UnsafeHost | Self::BadHost(_) | Self::NotJson => RefusalKind::InvalidRequest,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::UnsafeHost => 421,
            Self::NotJson => 415,
            Self::KeyMissing
            | Self::KeyUnknown
            | Self::KeyMistyped
            | Self::KeyInvalid(_)
            | Self::TooManyFailures { .. }
            | Self::AddressNotAllowed
            | Self::ScopeMissing(_)
            | Self::ModelNotAllowed(_)
            | Self::Limit(_)
            | Self::BadHost(_)
            | Self::ForeignOrigin => match self.kind() {
                RefusalKind::InvalidRequest => 400,
                RefusalKind::Auth => 401,
                RefusalKind::Permission => 403,
                RefusalKind::RateLimit | RefusalKind::Quota => 429,
            },
        }
    }

    /// The machine-readable reason (endpoints §5).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyMissing | Self::KeyUnknown | Self::KeyMistyped | Self::KeyInvalid(_) => {
                "invalid_api_key"
            }
            Self::TooManyFailures { .. } => "too_many_failed_keys",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::ScopeMissing(_) => "scope_missing",
            Self::ModelNotAllowed(_) => "model_not_allowed",
            Self::Limit(limit) => limit.kind.code(),
            Self::UnsafeHost => "host_not_allowed",
            Self::BadHost(_) => "bad_host",
            Self::ForeignOrigin => "foreign_origin",
            Self::NotJson => "unsupported_media_type",
        }
    }

    /// Seconds for `Retry-After`.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::TooManyFailures { retry_after_s } => Some(*retry_after_s),
            Self::Limit(limit) => Some(limit.retry_after_s),
            Self::KeyMissing
            | Self::KeyUnknown
            | Self::KeyMistyped
            | Self::KeyInvalid(_)
            | Self::AddressNotAllowed
            | Self::ScopeMissing(_)
            | Self::ModelNotAllowed(_)
            | Self::UnsafeHost
            | Self::BadHost(_)
            | Self::ForeignOrigin
            | Self::NotJson => None,
        }
    }

    /// True when the reply carries `www-authenticate: Bearer`.
    #[must_use]
    pub fn asks_for_key(&self) -> bool {
        self.kind() == RefusalKind::Auth
    }
}
