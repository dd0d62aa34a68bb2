//! The secrets of one account, as a lease carries them.

use std::collections::BTreeMap;

use crate::clock::UnixMs;
use crate::redact::{Known, is_secret_name};
use crate::secret::Secret;

/// Snapshot of an account's credential. One generation never changes.
#[derive(Clone, Debug, Default)]
pub struct Credential {
    /// A plain API key.
    pub api_key: Option<Secret>,
    /// A bearer token from a sign-in.
    pub access_token: Option<Secret>,
    /// Further values of the account (`extra`): project id, device id …
    pub extra: BTreeMap<String, Secret>,
    /// End of the access token, Unix ms.
    pub expires_at: Option<UnixMs>,
    /// When the access token was had, Unix ms.
    pub refreshed_at: Option<UnixMs>,
    /// There is a refresh token; it is read only to be redeemed (SEC-KEY-4).
    pub refreshable: bool,
    /// Rises by one on every refresh or reconnect.
    pub generation: u64,
}

impl Credential {
    /// The text that authenticates a call: the access token, else the API key.
    #[must_use]
    pub fn bearer(&self) -> Option<&Secret> {
        self.access_token.as_ref().or(self.api_key.as_ref()).filter(|s| !s.is_empty())
    }

    /// What an answer must not quote to anybody.
    #[must_use]
    pub fn known(&self) -> Known<'_> {
        let extra = self.extra.iter().filter(|(name, _)| is_secret_name(name)).map(|(_, it)| it);
        let all = self.api_key.iter().chain(&self.access_token).chain(extra);
        Known::new(all.map(Secret::expose))
    }
}
