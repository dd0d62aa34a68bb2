//! Values of placeholders: the account's own, the request's, this router's.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::provider::catalog::Provider;
use crate::provider::credential::Credential;
use crate::provider::header::USER_AGENT;
use crate::provider::request::ShapeCx;
use crate::routing::account::AccountConfig;

/// Version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A value the account supplies: its own, else the catalog's default. Empty counts as none.
pub(super) fn param<'a>(
    provider: &'a Provider,
    account: &'a AccountConfig,
    credential: &'a Credential,
    name: &str,
) -> Option<Cow<'a, str>> {
    let own = account.params.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim());
    let found = || credential.extra.get(name).map(|secret| secret.expose().trim());
    let default = || provider.params.iter().find(|p| p.name == name).map(|p| p.default.trim());
    own.filter(|v| !v.is_empty())
        .or_else(|| found().filter(|v| !v.is_empty()))
        .or_else(|| default().filter(|v| !v.is_empty()))
        .map(Cow::Borrowed)
}

/// The values of one attempt.
#[derive(Debug)]
pub(super) struct Values<'c, 'a> {
    cx: &'c ShapeCx<'a>,
    uuid: Uuid,
}

impl<'c, 'a> Values<'c, 'a> {
    pub(super) fn of(cx: &'c ShapeCx<'a>) -> Self {
        Self { cx, uuid: uuid::Builder::from_random_bytes(cx.moment.nonce).into_uuid() }
    }

    /// The value of `{name}`; `None` = not known.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'c, str>> {
        let cx = self.cx;
        match name {
            "model" => Some(Cow::Borrowed(cx.upstream_model)),
            "uuid" => Some(self.uuid.to_string().into()),
            "unix_ms" => Some(cx.moment.now.to_string().into()),
            "version" => Some(Cow::Borrowed(VERSION)),
            "os" => Some(Cow::Borrowed(std::env::consts::OS)),
            "arch" => Some(Cow::Borrowed(std::env::consts::ARCH)),
            "hostname" => cx.moment.hostname.map(Cow::Borrowed),
            "public_url" => cx.moment.public_url.map(Cow::Borrowed),
            "session_id" => self.session(),
            "location_host" => self.param("location").map(|l| location_host(&l)),
            "hmac_sha256_hex" => self.iflow_signature(),
            // an Azure deployment is called like its model unless the account says otherwise
            "deployment" => self.param("deployment").or(Some(Cow::Borrowed(cx.upstream_model))),
            // Known only to providers that are not called with a plain key.
            "initiator" | "if_vision:true" | "access_token" | "code" | "voice" | "kind" => None,
            _ => self.param(name),
        }
    }

    pub(super) fn param(&self, name: &str) -> Option<Cow<'c, str>> {
        param(self.cx.provider, self.cx.account, self.cx.credential, name)
    }

    /// The conversation, bound to the account: two accounts never share an id (providers §2).
    pub(super) fn session(&self) -> Option<Cow<'c, str>> {
        let session = self.cx.session_id.filter(|s| !s.is_empty())?;
        let account = Uuid::from_bytes(*self.cx.account.id.as_bytes());
        Some(Uuid::new_v5(&account, session.as_bytes()).to_string().into())
    }

    /// HMAC-SHA256 over user agent, session header and time, under the key itself (providers §3.8).
    fn iflow_signature(&self) -> Option<Cow<'c, str>> {
        let key = self.cx.credential.bearer()?.expose().trim();
        let rules = &self.cx.endpoint.headers;
        let agent = rules.iter().find(|h| h.name == "user-agent").map_or(USER_AGENT, |h| &h.value);
        let message = format!("{agent}:session-{}:{}", self.uuid, self.cx.moment.now);
        Some(hmac_sha256_hex(key, &message)?.into())
    }
}

/// Empty for `global`, which has no host of its own.
fn location_host<'a>(location: &str) -> Cow<'a, str> {
    if location == "global" { Cow::Borrowed("") } else { Cow::Owned(format!("{location}-")) }
}

fn hmac_sha256_hex(key: &str, message: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(message.as_bytes());
    let digest = mac.finalize().into_bytes();
    Some(digest.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iflow_signature_matches_the_vector() {
        let message = "iFlow-Cli:session-00000000-0000-4000-8000-000000000000:1700000000000";
        assert_eq!(
            hmac_sha256_hex("test-key", message).unwrap(),
            "4c21d909469af9f716e737ecb9f3b2ec7ddedf3295481fbaea90030d677c0e35"
        );
    }
}
