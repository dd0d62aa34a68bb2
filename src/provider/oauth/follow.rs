//! Credential files of official CLIs, which the router may follow instead of refreshing itself (accounts §2.1).

use crate::clock::UnixMs;
use crate::provider::catalog::Provider;
use crate::provider::oauth::family::Family;
use crate::secret::Secret;

/// What a credential file says now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Followed {
    /// Bearer token.
    pub access_token: Secret,
    /// Token that buys the next one. Who follows a file never redeems it.
    pub refresh_token: Option<Secret>,
    /// End of the access token, Unix ms; `None` = not said.
    pub expires_at: Option<UnixMs>,
    /// Scopes, space separated.
    pub scope: Option<String>,
    /// The vendor's word for the plan (`pro`, `max` …).
    pub plan: Option<String>,
    /// The vendor's word for the size of the plan's limits.
    pub rate_tier: Option<String>,
}

/// Why a file gives no credential. The text never quotes the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotFollowed {
    /// Not the expected JSON.
    #[error("the file is not a credential file of the official CLI")]
    Malformed,
    /// The CLI is signed out.
    #[error("the file holds no sign-in; sign in with the official CLI")]
    NoSignIn,
    /// Nothing is known of such files for this provider.
    #[error("credential files of this provider cannot be followed")]
    Unsupported,
}

/// Reads the credential file of a provider's official CLI.
///
/// # Errors
/// See [`NotFollowed`].
pub fn parse(provider: &Provider, bytes: &[u8]) -> Result<Followed, NotFollowed> {
    let parser = Family::of(provider).and_then(|family| family.file);
    parser.ok_or(NotFollowed::Unsupported)?(bytes)
}
