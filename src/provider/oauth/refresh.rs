//! The refresh request of a provider (RFC 6749 §6, accounts §3.1).

use crate::provider::catalog::{OAuth, Provider};
use crate::provider::oauth::call::TokenCall;
use crate::provider::oauth::client::Client;
use crate::provider::oauth::family::{Family, RefreshScope};
use crate::secret::Secret;

/// Name in `extra` under which the granted scope of a sign-in is kept.
pub const SCOPE: &str = "scope";
/// Name in `extra` under which the OAuth client of an account's own is kept.
pub const CLIENT_ID: &str = "client_id";

/// What a refresh is made from.
#[derive(Clone, Copy, Debug)]
pub struct Refresh<'a> {
    /// Whose token.
    pub oauth: &'a OAuth,
    /// How the vendor differs.
    pub family: &'a Family,
    /// Who asks.
    pub client: &'a Client,
    /// Redeemed by the call.
    pub refresh_token: &'a Secret,
    /// Scope as granted, when it is known.
    pub granted: Option<&'a str>,
}

/// What a repetition does otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Variant {
    /// The endpoint refused the scope.
    pub without_scope: bool,
    /// So many of the vendor's addresses know no such path.
    pub addresses_tried: usize,
}

impl Refresh<'_> {
    /// The call. `None` = the vendor has no further address.
    #[must_use]
    pub fn call(&self, variant: Variant) -> Option<TokenCall> {
        let url = self.family.url_after(endpoint(self.oauth), variant.addresses_tried)?;
        let mut fields = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", self.refresh_token.expose()),
            ("client_id", self.client.id.as_str()),
        ];
        if let Some(secret) = &self.client.secret {
            fields.push(("client_secret", secret.expose()));
        }
        if let Some(scope) = self.scope(variant) {
            fields.push(("scope", scope));
        }
        Some(TokenCall::new(url, self.oauth.token_encoding, &fields))
    }

    /// The scope that goes out.
    #[must_use]
    pub fn scope(&self, variant: Variant) -> Option<&str> {
        match self.family.scope {
            _ if variant.without_scope => None,
            RefreshScope::None => None,
            RefreshScope::Granted => self.granted.filter(|scope| !scope.trim().is_empty()),
            RefreshScope::Fixed(scope) => Some(scope),
        }
    }
}

/// Where a provider's tokens are refreshed.
#[must_use]
pub fn endpoint(oauth: &OAuth) -> &str {
    oauth.refresh_url.as_deref().unwrap_or(&oauth.token_url)
}

/// Host of a provider's token endpoint: background refreshes keep their distance per host.
#[must_use]
pub fn host(provider: &Provider) -> Option<String> {
    let url = url::Url::parse(endpoint(provider.oauth.as_ref()?)).ok()?;
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::{Catalog, EndpointOverride};

    fn body(
        catalog: &Catalog,
        id: &str,
        granted: Option<&str>,
        variant: Variant,
    ) -> (String, String) {
        let provider = catalog.by_id(id).unwrap();
        let operator = crate::provider::oauth::OperatorClient {
            client_id: None,
            client_secret: (id == "gemini-cli").then(|| Secret::new("shh".into())),
        };
        let client = Client::of(provider, Some(&operator), None).unwrap();
        let refresh = Refresh {
            oauth: provider.oauth.as_ref().unwrap(),
            family: Family::of(provider).unwrap(),
            client: &client,
            refresh_token: &Secret::new("R".into()),
            granted,
        };
        let call = refresh.call(variant).unwrap();
        (call.url, String::from_utf8(call.body.to_vec()).unwrap())
    }

    #[test]
    fn each_vendor_gets_its_own_form() {
        let catalog = Catalog::builtin().unwrap();
        let plain = Variant::default();
        let id = "9d1c250a-e61b-44d9-88ed-5944d1962f5e";
        let (url, claude) = body(&catalog, "claude", Some("user:profile user:inference"), plain);
        assert_eq!(url, "https://platform.claude.com/v1/oauth/token");
        assert_eq!(
            claude,
            format!(
                r#"{{"grant_type":"refresh_token","refresh_token":"R","client_id":"{id}","scope":"user:profile user:inference"}}"#
            )
        );
        let bare =
            format!(r#"{{"grant_type":"refresh_token","refresh_token":"R","client_id":"{id}"}}"#);
        assert_eq!(body(&catalog, "claude", None, plain).1, bare);
        let without = Variant { without_scope: true, addresses_tried: 1 };
        let (url, again) = body(&catalog, "claude", Some("user:profile"), without);
        assert_eq!((url.as_str(), again), ("https://api.anthropic.com/v1/oauth/token", bare));
        let (_, google) = body(&catalog, "gemini-cli", Some("x"), plain);
        assert!(
            google.starts_with("grant_type=refresh_token&refresh_token=R&client_id="),
            "{google}"
        );
        assert!(google.ends_with("&client_secret=shh"), "{google}");
        let (_, codex) = body(&catalog, "codex", None, plain);
        assert!(codex.ends_with("&scope=openid+profile+email"), "{codex}");
    }

    #[test]
    fn overrides_of_the_environment_reach_the_call() {
        let over = |name| EndpointOverride::from_name(name, "http://127.0.0.1:9/t").unwrap();
        for (names, want) in [
            (&["CLAUDE_TOKEN"][..], "http://127.0.0.1:9/t"),
            (&["CLAUDE_REFRESH"], "http://127.0.0.1:9/t"),
            (&["CLAUDE_API"], "https://platform.claude.com/v1/oauth/token"),
        ] {
            let overrides: Vec<_> = names.iter().copied().map(over).collect();
            let catalog = Catalog::assemble(&[], &overrides, &[]).unwrap();
            assert_eq!(body(&catalog, "claude", None, Variant::default()).0, want);
        }
        let catalog = Catalog::assemble(&[], &[over("CLAUDE_TOKEN")], &[]).unwrap();
        assert_eq!(host(catalog.by_id("claude").unwrap()).as_deref(), Some("127.0.0.1:9"));
        assert_eq!(host(catalog.by_id("openai").unwrap()), None);
    }
}
