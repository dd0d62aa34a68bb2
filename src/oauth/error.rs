//! Why a call about a sign-in did not do what was asked. Every text may be shown.

use crate::store::StoreError;

/// Class of a [`SignInError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInErrorKind {
    /// No such sign-in, account or provider.
    NotFound,
    /// What was given cannot be used.
    Invalid,
    /// It does not fit the present state.
    Conflict,
    /// The router or its store cannot do it now.
    Unavailable,
}

/// A refusal: cause, consequence, remedy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SignInError {
    /// Its class.
    pub kind: SignInErrorKind,
    /// For people; holds no secret.
    pub message: String,
}

impl SignInError {
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { kind: SignInErrorKind::NotFound, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: SignInErrorKind::Invalid, message: message.into() }
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self { kind: SignInErrorKind::Conflict, message: message.into() }
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self { kind: SignInErrorKind::Unavailable, message: message.into() }
    }

    /// HTTP status of an answer with this error.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.kind {
            SignInErrorKind::NotFound => 404,
            SignInErrorKind::Invalid => 422,
            SignInErrorKind::Conflict => 409,
            SignInErrorKind::Unavailable => 503,
        }
    }
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<actix::MailboxError> for SignInError {
    fn from(_stopping: actix::MailboxError) -> Self {
        Self::unavailable("the router is stopping; try again when it runs")
    }
}
